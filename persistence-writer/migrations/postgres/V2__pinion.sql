-- Brings the old schema to what the journal needs, new database or old, rows or none. No table, column or row is
-- dropped: what is replaced are narrower constraints by wider ones, and three views that hold nothing.
--
-- Rows that were there before keep everything but their ids: those become negative, with all that refer to them,
-- because the journal counts its own orders, positions and trades from 1.

CREATE SCHEMA IF NOT EXISTS pinion;

-- Views stand in the way of wider types. They are made again below; what was granted on them is granted again.
CREATE TEMPORARY TABLE pinion_view_grants ON COMMIT DROP AS
SELECT c.relname, a.grantee, a.privilege_type
FROM pg_class c, aclexplode(c.relacl) a
WHERE c.relkind = 'v' AND c.relnamespace = current_schema()::regnamespace
  AND c.relname IN ('v_active_positions', 'v_today_orders', 'v_reconciliation_issues')
  AND a.grantee <> c.relowner;

DROP VIEW IF EXISTS v_active_positions, v_today_orders, v_reconciliation_issues;

-- Triggers that stamp or compute what the journal decides would overwrite it. They stay, switched off.
DO $$
DECLARE found record;
BEGIN
    FOR found IN
        SELECT t.tgname, t.tgrelid::regclass AS of_table
        FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE NOT t.tgisinternal
          AND t.tgrelid IN ('strategies'::regclass, 'orders'::regclass, 'positions'::regclass, 'trades'::regclass,
                            'kill_switch_events'::regclass, 'daily_stats'::regclass)
          AND p.prosrc ~* '(updated_at|gross_value|net_value|total_charges)\s*(:=|=)'
    LOOP
        EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', found.of_table, found.tgname);
    END LOOP;
END $$;

-- Foreign keys and unique keys that do not know accounts, and checks that do not know all validities.
DO $$
DECLARE found record;
BEGIN
    FOR found IN
        SELECT con.conname, con.conrelid::regclass AS of_table
        FROM pg_constraint con
        WHERE con.conrelid IN ('strategies'::regclass, 'orders'::regclass, 'positions'::regclass, 'trades'::regclass,
                               'daily_stats'::regclass)
          AND (con.contype = 'f'
               OR (con.contype = 'p' AND con.conrelid = 'strategies'::regclass)
               OR (con.contype = 'u' AND con.conrelid IN ('positions'::regclass, 'daily_stats'::regclass))
               OR (con.contype = 'c' AND con.conrelid = 'orders'::regclass
                   AND pg_get_constraintdef(con.oid) ~ '\mvalidity\M'))
        ORDER BY con.contype <> 'f'
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', found.of_table, found.conname);
    END LOOP;
END $$;

-- A unique index without a constraint would stand in the way as well.
DO $$
DECLARE found record;
BEGIN
    FOR found IN
        SELECT i.indexrelid::regclass AS of_index
        FROM pg_index i
        WHERE i.indisunique AND NOT i.indisprimary
          AND i.indrelid IN ('positions'::regclass, 'daily_stats'::regclass)
    LOOP
        EXECUTE format('DROP INDEX %s', found.of_index);
    END LOOP;
END $$;

ALTER TABLE strategies
    ALTER COLUMN id TYPE BIGINT,
    ALTER COLUMN total_trades TYPE BIGINT,
    ALTER COLUMN winning_trades TYPE BIGINT,
    ALTER COLUMN losing_trades TYPE BIGINT,
    ALTER COLUMN total_pnl TYPE NUMERIC(20, 2),
    ADD COLUMN IF NOT EXISTS account VARCHAR(32) NOT NULL DEFAULT 'main',
    ADD COLUMN IF NOT EXISTS seq BIGINT;
ALTER TABLE strategies ADD PRIMARY KEY (account, id);

-- When it came to be is for the journal to say.
INSERT INTO strategies (id, name, type, description, config, status, created_at)
VALUES (1, 'Manual Trading', 'MANUAL', 'Orders that a person places', '{}', 'ACTIVE', NULL)
ON CONFLICT (account, id) DO NOTHING;

ALTER TABLE orders
    ALTER COLUMN id TYPE BIGINT,
    ALTER COLUMN strategy_id TYPE BIGINT,
    ALTER COLUMN price TYPE NUMERIC(14, 2),
    ALTER COLUMN trigger_price TYPE NUMERIC(14, 2),
    ALTER COLUMN stop_loss TYPE NUMERIC(14, 2),
    ALTER COLUMN take_profit TYPE NUMERIC(14, 2),
    ALTER COLUMN average_price TYPE NUMERIC(14, 2),
    ALTER COLUMN risk_amount TYPE NUMERIC(20, 2),
    ALTER COLUMN risk_reward_ratio TYPE NUMERIC(20, 2),
    ADD COLUMN IF NOT EXISTS account VARCHAR(32) NOT NULL DEFAULT 'main',
    ADD COLUMN IF NOT EXISTS client_order_id VARCHAR(64),
    ADD COLUMN IF NOT EXISTS position_id BIGINT,
    ADD COLUMN IF NOT EXISTS limit_price NUMERIC(14, 2),
    ADD COLUMN IF NOT EXISTS good_till TIMESTAMP,
    ADD COLUMN IF NOT EXISTS charges NUMERIC(20, 2) NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS modifications INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS engine_made BOOLEAN NOT NULL DEFAULT FALSE,
    ADD COLUMN IF NOT EXISTS seq BIGINT,
    ADD CONSTRAINT orders_validity_known CHECK (validity IN ('DAY', 'IOC', 'FOK', 'GTD'));

ALTER TABLE positions
    ALTER COLUMN id TYPE BIGINT,
    ALTER COLUMN strategy_id TYPE BIGINT,
    ALTER COLUMN average_price TYPE NUMERIC(14, 2),
    ALTER COLUMN realized_pnl TYPE NUMERIC(20, 2),
    ALTER COLUMN unrealized_pnl TYPE NUMERIC(20, 2),
    ALTER COLUMN stop_loss TYPE NUMERIC(14, 2),
    ALTER COLUMN take_profit TYPE NUMERIC(14, 2),
    ALTER COLUMN max_drawdown TYPE NUMERIC(20, 2),
    ALTER COLUMN highest_price TYPE NUMERIC(14, 2),
    ALTER COLUMN lowest_price TYPE NUMERIC(14, 2),
    ALTER COLUMN entry_order_ids TYPE BIGINT[],
    ALTER COLUMN exit_order_ids TYPE BIGINT[],
    ADD COLUMN IF NOT EXISTS account VARCHAR(32) NOT NULL DEFAULT 'main',
    ADD COLUMN IF NOT EXISTS charges NUMERIC(20, 2) NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS seq BIGINT;

ALTER TABLE trades
    ALTER COLUMN id TYPE BIGINT,
    ALTER COLUMN order_id TYPE BIGINT,
    ALTER COLUMN position_id TYPE BIGINT,
    ALTER COLUMN price TYPE NUMERIC(14, 2),
    ALTER COLUMN brokerage TYPE NUMERIC(16, 4),
    ALTER COLUMN stt TYPE NUMERIC(16, 4),
    ALTER COLUMN exchange_txn_charge TYPE NUMERIC(16, 4),
    ALTER COLUMN gst TYPE NUMERIC(16, 4),
    ALTER COLUMN stamp_duty TYPE NUMERIC(16, 4),
    ALTER COLUMN sebi_charges TYPE NUMERIC(16, 4),
    ALTER COLUMN total_charges TYPE NUMERIC(16, 4),
    ALTER COLUMN gross_value TYPE NUMERIC(20, 2),
    ALTER COLUMN net_value TYPE NUMERIC(20, 2),
    ADD COLUMN IF NOT EXISTS account VARCHAR(32) NOT NULL DEFAULT 'main',
    ADD COLUMN IF NOT EXISTS trade_id BIGINT,
    ADD COLUMN IF NOT EXISTS strategy_id BIGINT,
    ADD COLUMN IF NOT EXISTS product VARCHAR(10),
    ADD COLUMN IF NOT EXISTS seq BIGINT;

ALTER TABLE reconciliation_log
    ALTER COLUMN id TYPE BIGINT,
    ALTER COLUMN internal_avg_price TYPE NUMERIC(14, 2),
    ALTER COLUMN broker_avg_price TYPE NUMERIC(14, 2),
    ADD COLUMN IF NOT EXISTS account VARCHAR(32) NOT NULL DEFAULT 'main',
    ADD COLUMN IF NOT EXISTS seq BIGINT;

ALTER TABLE kill_switch_events
    ALTER COLUMN id TYPE BIGINT,
    ALTER COLUMN account_balance TYPE NUMERIC(20, 2),
    ALTER COLUMN today_pnl TYPE NUMERIC(20, 2),
    ADD COLUMN IF NOT EXISTS account VARCHAR(32) NOT NULL DEFAULT 'main',
    ADD COLUMN IF NOT EXISTS scope VARCHAR(10) NOT NULL DEFAULT 'engine'
        CHECK (scope IN ('engine', 'account', 'strategy')),
    ADD COLUMN IF NOT EXISTS deactivated_by VARCHAR(50),
    ADD COLUMN IF NOT EXISTS seq BIGINT;

ALTER TABLE daily_stats
    ALTER COLUMN id TYPE BIGINT,
    ALTER COLUMN total_orders TYPE BIGINT,
    ALTER COLUMN total_trades TYPE BIGINT,
    ALTER COLUMN filled_orders TYPE BIGINT,
    ALTER COLUMN cancelled_orders TYPE BIGINT,
    ALTER COLUMN rejected_orders TYPE BIGINT,
    ALTER COLUMN winning_trades TYPE BIGINT,
    ALTER COLUMN losing_trades TYPE BIGINT,
    ALTER COLUMN gross_pnl TYPE NUMERIC(20, 2),
    ALTER COLUMN total_charges TYPE NUMERIC(20, 2),
    ALTER COLUMN net_pnl TYPE NUMERIC(20, 2),
    ALTER COLUMN max_drawdown TYPE NUMERIC(20, 2),
    ALTER COLUMN peak_balance TYPE NUMERIC(20, 2),
    ALTER COLUMN order_to_trade_ratio TYPE NUMERIC(20, 2),
    ADD COLUMN IF NOT EXISTS account VARCHAR(32) NOT NULL DEFAULT 'main',
    ADD COLUMN IF NOT EXISTS realized_pnl NUMERIC(20, 2) NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS seq BIGINT;

-- Sequences would still end at 2^31.
DO $$
DECLARE found record;
BEGIN
    FOR found IN
        SELECT s.oid::regclass AS of_sequence
        FROM pg_class s JOIN pg_depend d ON d.objid = s.oid AND d.deptype IN ('a', 'i')
        WHERE s.relkind = 'S'
          AND d.refobjid IN ('strategies'::regclass, 'orders'::regclass, 'positions'::regclass, 'trades'::regclass,
                             'reconciliation_log'::regclass, 'kill_switch_events'::regclass, 'daily_stats'::regclass)
    LOOP
        EXECUTE format('ALTER SEQUENCE %s AS BIGINT', found.of_sequence);
    END LOOP;
END $$;

-- What was there before counts downwards from here on.
UPDATE orders SET id = -id WHERE seq IS NULL;
UPDATE positions SET
    id = -id,
    entry_order_ids = (SELECT array_agg(-entry ORDER BY place) FROM unnest(entry_order_ids) WITH ORDINALITY AS e (entry, place)),
    exit_order_ids = (SELECT array_agg(-exit ORDER BY place) FROM unnest(exit_order_ids) WITH ORDINALITY AS e (exit, place))
WHERE seq IS NULL;
UPDATE trades SET id = -id, order_id = -order_id, position_id = -position_id WHERE seq IS NULL;
UPDATE kill_switch_events SET id = -id WHERE seq IS NULL;

ALTER TABLE orders
    ADD CONSTRAINT orders_strategy FOREIGN KEY (account, strategy_id) REFERENCES strategies (account, id);
ALTER TABLE positions
    ADD CONSTRAINT positions_strategy FOREIGN KEY (account, strategy_id) REFERENCES strategies (account, id),
    ADD CONSTRAINT positions_key UNIQUE (account, symbol, exchange, strategy_id, product);
ALTER TABLE trades
    ADD CONSTRAINT trades_order FOREIGN KEY (order_id) REFERENCES orders (id) ON UPDATE CASCADE,
    ADD CONSTRAINT trades_position FOREIGN KEY (position_id) REFERENCES positions (id) ON UPDATE CASCADE;
ALTER TABLE daily_stats ADD CONSTRAINT daily_stats_key UNIQUE (account, date);

CREATE INDEX IF NOT EXISTS pinion_orders_account_created ON orders (account, created_at);
CREATE INDEX IF NOT EXISTS pinion_orders_active ON orders (account)
    WHERE status IN ('PENDING', 'SUBMITTED', 'OPEN');
CREATE INDEX IF NOT EXISTS pinion_trades_order ON trades (order_id);
CREATE INDEX IF NOT EXISTS pinion_trades_account_executed ON trades (account, executed_at);

-- Pinion's own.

CREATE TABLE pinion.watermark (
    id         SMALLINT PRIMARY KEY CHECK (id = 1),
    journal    TEXT NOT NULL,
    epoch      BIGINT NOT NULL,
    seq        BIGINT NOT NULL,
    time       TIMESTAMP,
    updated_at TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')
);

CREATE TABLE pinion.dead_letter (
    seq        BIGINT NOT NULL,
    table_name TEXT NOT NULL,
    row_key    TEXT NOT NULL,
    row        JSON NOT NULL,
    error      TEXT NOT NULL,
    at         TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),
    PRIMARY KEY (seq, table_name, row_key)
);

CREATE TABLE pinion.round_trips (
    seq          BIGINT NOT NULL,
    ordinal      INTEGER NOT NULL,
    position_id  BIGINT NOT NULL,
    account      VARCHAR(32) NOT NULL,
    strategy_id  BIGINT NOT NULL,
    symbol       VARCHAR(20) NOT NULL,
    exchange     VARCHAR(10) NOT NULL,
    product      VARCHAR(10) NOT NULL,
    side         VARCHAR(5) NOT NULL,
    realized_pnl NUMERIC(20, 2) NOT NULL,
    charges      NUMERIC(20, 2) NOT NULL,
    opened_at    TIMESTAMP NOT NULL,
    closed_at    TIMESTAMP NOT NULL,
    PRIMARY KEY (seq, ordinal)
);
CREATE INDEX round_trips_closed ON pinion.round_trips (account, closed_at);

CREATE TABLE pinion.alerts (
    seq        BIGINT NOT NULL,
    ordinal    INTEGER NOT NULL,
    account    VARCHAR(32),
    severity   VARCHAR(10) NOT NULL,
    alert_type VARCHAR(50) NOT NULL,
    message    TEXT NOT NULL,
    details    JSONB NOT NULL,
    raised_at  TIMESTAMP NOT NULL,
    PRIMARY KEY (seq, ordinal)
);

CREATE TABLE pinion.audit (
    seq     BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    account VARCHAR(32),
    action  VARCHAR(30) NOT NULL,
    details JSONB NOT NULL,
    refusal TEXT,
    at      TIMESTAMP NOT NULL,
    PRIMARY KEY (seq, ordinal)
);

CREATE TABLE pinion.account_ledger (
    seq     BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    account VARCHAR(32) NOT NULL,
    entry   VARCHAR(10) NOT NULL CHECK (entry IN ('opening', 'cash', 'day_roll')),
    amount  NUMERIC(20, 2) NOT NULL,
    balance NUMERIC(20, 2) NOT NULL,
    at      TIMESTAMP NOT NULL,
    PRIMARY KEY (seq, ordinal)
);

-- The views of the old schema, with accounts.

CREATE VIEW v_active_positions AS
    SELECT p.*, s.name AS strategy_name
    FROM positions p JOIN strategies s ON s.account = p.account AND s.id = p.strategy_id
    WHERE p.closed_at IS NULL AND p.quantity <> 0;

-- The trading day is the Indian one.
CREATE VIEW v_today_orders AS
    SELECT o.*, s.name AS strategy_name
    FROM orders o JOIN strategies s ON s.account = o.account AND s.id = o.strategy_id
    WHERE (o.created_at AT TIME ZONE 'UTC' AT TIME ZONE 'Asia/Kolkata')::date
        = (now() AT TIME ZONE 'Asia/Kolkata')::date;

CREATE VIEW v_reconciliation_issues AS
    SELECT * FROM reconciliation_log WHERE NOT coalesce(resolved, FALSE);

DO $$
DECLARE found record;
BEGIN
    FOR found IN SELECT * FROM pinion_view_grants LOOP
        EXECUTE format('GRANT %s ON %I TO %s', found.privilege_type, found.relname,
            CASE found.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(found.grantee)) END);
    END LOOP;
END $$;

-- The old functions stay under another name, where there are any: what they answered was not a P&L, or was of another
-- type.
DO $$
DECLARE found record;
BEGIN
    FOR found IN
        SELECT p.oid::regprocedure AS of_function, p.proname
        FROM pg_proc p
        WHERE p.pronamespace = current_schema()::regnamespace
          AND p.proname IN ('get_today_pnl', 'get_order_to_trade_ratio')
          AND p.pronargs = 0
          -- Migrated before, and this schema lost since: what stands there now is ours.
          AND to_regprocedure(p.proname || '_before_pinion()') IS NULL
    LOOP
        EXECUTE format('ALTER FUNCTION %s RENAME TO %I', found.of_function, found.proname || '_before_pinion');
    END LOOP;
END $$;

-- Today's P&L net of charges: what was realised, and what the open positions are worth above their cost.
CREATE OR REPLACE FUNCTION get_today_pnl() RETURNS NUMERIC LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT sum(net_pnl) FROM daily_stats
                     WHERE date = (now() AT TIME ZONE 'Asia/Kolkata')::date), 0)
         + coalesce((SELECT sum(unrealized_pnl) FROM positions
                     WHERE closed_at IS NULL AND seq IS NOT NULL), 0)
$$;

-- Today's orders per trade; NULL before the first trade.
CREATE OR REPLACE FUNCTION get_order_to_trade_ratio() RETURNS NUMERIC LANGUAGE sql STABLE AS $$
    SELECT round(sum(total_orders)::numeric / nullif(sum(total_trades), 0), 2) FROM daily_stats
    WHERE date = (now() AT TIME ZONE 'Asia/Kolkata')::date
$$;

-- Rows changed by hand keep their stamps and sums; the journal's rows bring their own.
CREATE FUNCTION pinion.stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now() AT TIME ZONE 'UTC';
    RETURN NEW;
END $$;

CREATE TRIGGER pinion_stamp BEFORE UPDATE ON strategies
    FOR EACH ROW WHEN (NEW.seq IS NOT DISTINCT FROM OLD.seq) EXECUTE FUNCTION pinion.stamp();
CREATE TRIGGER pinion_stamp BEFORE UPDATE ON positions
    FOR EACH ROW WHEN (NEW.seq IS NOT DISTINCT FROM OLD.seq) EXECUTE FUNCTION pinion.stamp();
CREATE TRIGGER pinion_stamp BEFORE UPDATE ON daily_stats
    FOR EACH ROW WHEN (NEW.seq IS NOT DISTINCT FROM OLD.seq) EXECUTE FUNCTION pinion.stamp();

CREATE FUNCTION pinion.sum_up() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.gross_value := NEW.quantity * NEW.price;
    NEW.total_charges := coalesce(NEW.brokerage, 0) + coalesce(NEW.stt, 0) + coalesce(NEW.exchange_txn_charge, 0)
        + coalesce(NEW.gst, 0) + coalesce(NEW.stamp_duty, 0) + coalesce(NEW.sebi_charges, 0);
    NEW.net_value := NEW.gross_value + NEW.total_charges * CASE NEW.side WHEN 'BUY' THEN 1 ELSE -1 END;
    RETURN NEW;
END $$;

CREATE TRIGGER pinion_sum_up BEFORE INSERT OR UPDATE ON trades
    FOR EACH ROW WHEN (NEW.seq IS NULL) EXECUTE FUNCTION pinion.sum_up();
