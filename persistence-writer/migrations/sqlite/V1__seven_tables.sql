-- The seven tables of the contract and Pinion's own, for SQLite. Decimals are TEXT with all their places (SQLite has no
-- exact decimal), times are UTC TEXT with microseconds, lists and JSON are JSON text.

CREATE TABLE strategies (
    account        TEXT NOT NULL DEFAULT 'main',
    id             INTEGER NOT NULL,
    name           TEXT NOT NULL,
    type           TEXT NOT NULL,
    description    TEXT,
    config         TEXT NOT NULL DEFAULT '{}',
    status         TEXT NOT NULL DEFAULT 'INACTIVE' CHECK (status IN ('ACTIVE', 'INACTIVE', 'PAUSED', 'ERROR')),
    mode           TEXT NOT NULL DEFAULT 'PAPER' CHECK (mode IN ('PAPER', 'LIVE')),
    total_trades   INTEGER NOT NULL DEFAULT 0,
    winning_trades INTEGER NOT NULL DEFAULT 0,
    losing_trades  INTEGER NOT NULL DEFAULT 0,
    total_pnl      TEXT NOT NULL DEFAULT '0.00',
    created_at     TEXT,
    updated_at     TEXT,
    deployed_at    TEXT,
    seq            INTEGER,
    PRIMARY KEY (account, id)
) STRICT;

CREATE TABLE positions (
    id                  INTEGER PRIMARY KEY,
    account             TEXT NOT NULL DEFAULT 'main',
    symbol              TEXT NOT NULL,
    exchange            TEXT NOT NULL,
    strategy_id         INTEGER NOT NULL,
    quantity            INTEGER NOT NULL,
    average_price       TEXT NOT NULL,
    product             TEXT NOT NULL CHECK (product IN ('MIS', 'CNC')),
    realized_pnl        TEXT NOT NULL DEFAULT '0.00',
    unrealized_pnl      TEXT NOT NULL DEFAULT '0.00',
    charges             TEXT NOT NULL DEFAULT '0.00',
    stop_loss           TEXT,
    take_profit         TEXT,
    max_drawdown        TEXT,
    time_based_sl_hours INTEGER,
    entry_order_ids     TEXT NOT NULL DEFAULT '[]',
    exit_order_ids      TEXT NOT NULL DEFAULT '[]',
    highest_price       TEXT,
    lowest_price        TEXT,
    opened_at           TEXT,
    updated_at          TEXT,
    closed_at           TEXT,
    metadata            TEXT,
    seq                 INTEGER,
    UNIQUE (account, symbol, exchange, strategy_id, product),
    FOREIGN KEY (account, strategy_id) REFERENCES strategies (account, id)
) STRICT;

CREATE TABLE orders (
    id                  INTEGER PRIMARY KEY,
    broker_order_id     TEXT UNIQUE,
    client_order_id     TEXT,
    account             TEXT NOT NULL DEFAULT 'main',
    strategy_id         INTEGER NOT NULL,
    position_id         INTEGER,
    symbol              TEXT NOT NULL,
    exchange            TEXT NOT NULL,
    side                TEXT NOT NULL CHECK (side IN ('BUY', 'SELL')),
    quantity            INTEGER NOT NULL CHECK (quantity > 0),
    order_type          TEXT NOT NULL CHECK (order_type IN ('MARKET', 'LIMIT', 'SL', 'SL-M')),
    price               TEXT,
    limit_price         TEXT,
    trigger_price       TEXT,
    product             TEXT NOT NULL CHECK (product IN ('MIS', 'CNC')),
    validity            TEXT NOT NULL CHECK (validity IN ('DAY', 'IOC', 'FOK', 'GTD')),
    good_till           TEXT,
    stop_loss           TEXT,
    take_profit         TEXT,
    risk_amount         TEXT,
    risk_reward_ratio   TEXT,
    status              TEXT NOT NULL
        CHECK (status IN ('PENDING', 'SUBMITTED', 'OPEN', 'FILLED', 'CANCELLED', 'REJECTED', 'FAILED')),
    status_message      TEXT,
    filled_quantity     INTEGER NOT NULL DEFAULT 0,
    average_price       TEXT,
    charges             TEXT NOT NULL DEFAULT '0.00',
    modifications       INTEGER NOT NULL DEFAULT 0,
    engine_made         INTEGER NOT NULL DEFAULT 0,
    created_at          TEXT NOT NULL,
    submitted_at        TEXT,
    updated_at          TEXT,
    filled_at           TEXT,
    cancelled_at        TEXT,
    validation_result   TEXT,
    validation_warnings TEXT,
    error_message       TEXT,
    metadata            TEXT,
    seq                 INTEGER,
    FOREIGN KEY (account, strategy_id) REFERENCES strategies (account, id)
) STRICT;

CREATE INDEX orders_account_created ON orders (account, created_at);
CREATE INDEX orders_active ON orders (account) WHERE status IN ('PENDING', 'SUBMITTED', 'OPEN');

CREATE TABLE trades (
    id                  INTEGER PRIMARY KEY,
    trade_id            INTEGER,
    broker_trade_id     TEXT UNIQUE,
    order_id            INTEGER NOT NULL REFERENCES orders (id),
    position_id         INTEGER REFERENCES positions (id) ON UPDATE CASCADE,
    account             TEXT NOT NULL DEFAULT 'main',
    strategy_id         INTEGER,
    symbol              TEXT NOT NULL,
    exchange            TEXT NOT NULL,
    side                TEXT NOT NULL CHECK (side IN ('BUY', 'SELL')),
    product             TEXT,
    quantity            INTEGER NOT NULL CHECK (quantity > 0),
    price               TEXT NOT NULL,
    brokerage           TEXT NOT NULL DEFAULT '0.0000',
    stt                 TEXT NOT NULL DEFAULT '0.0000',
    exchange_txn_charge TEXT NOT NULL DEFAULT '0.0000',
    gst                 TEXT NOT NULL DEFAULT '0.0000',
    stamp_duty          TEXT NOT NULL DEFAULT '0.0000',
    sebi_charges        TEXT NOT NULL DEFAULT '0.0000',
    total_charges       TEXT NOT NULL DEFAULT '0.0000',
    gross_value         TEXT,
    net_value           TEXT,
    executed_at         TEXT NOT NULL,
    metadata            TEXT,
    seq                 INTEGER
) STRICT;

CREATE INDEX trades_order ON trades (order_id);
CREATE INDEX trades_account_executed ON trades (account, executed_at);

CREATE TABLE reconciliation_log (
    id                 INTEGER PRIMARY KEY,
    account            TEXT NOT NULL DEFAULT 'main',
    symbol             TEXT NOT NULL,
    exchange           TEXT NOT NULL,
    issue_type         TEXT NOT NULL CHECK (issue_type IN
        ('UNKNOWN_POSITION', 'QUANTITY_MISMATCH', 'PHANTOM_POSITION', 'PRICE_MISMATCH', 'OTHER')),
    severity           TEXT NOT NULL CHECK (severity IN ('INFO', 'WARNING', 'CRITICAL')),
    internal_quantity  INTEGER,
    broker_quantity    INTEGER,
    difference         INTEGER,
    internal_avg_price TEXT,
    broker_avg_price   TEXT,
    resolved           INTEGER NOT NULL DEFAULT 0,
    resolution         TEXT,
    auto_fixed         INTEGER NOT NULL DEFAULT 0,
    detected_at        TEXT NOT NULL,
    resolved_at        TEXT,
    metadata           TEXT,
    seq                INTEGER
) STRICT;

CREATE TABLE kill_switch_events (
    id                     INTEGER PRIMARY KEY,
    account                TEXT NOT NULL DEFAULT 'main',
    scope                  TEXT NOT NULL DEFAULT 'account' CHECK (scope IN ('engine', 'account', 'strategy')),
    reason                 TEXT NOT NULL,
    triggered_by           TEXT,
    account_balance        TEXT,
    today_pnl              TEXT,
    open_positions_count   INTEGER,
    positions_closed_count INTEGER,
    close_results          TEXT,
    triggered_at           TEXT NOT NULL,
    completed_at           TEXT,
    deactivated_at         TEXT,
    deactivated_by         TEXT,
    status                 TEXT NOT NULL DEFAULT 'ACTIVE'
        CHECK (status IN ('ACTIVE', 'COMPLETED', 'DEACTIVATED', 'FAILED')),
    metadata               TEXT,
    seq                    INTEGER
) STRICT;

CREATE TABLE daily_stats (
    id                    INTEGER PRIMARY KEY,
    account               TEXT NOT NULL DEFAULT 'main',
    date                  TEXT NOT NULL,
    total_orders          INTEGER NOT NULL DEFAULT 0,
    total_trades          INTEGER NOT NULL DEFAULT 0,
    filled_orders         INTEGER NOT NULL DEFAULT 0,
    cancelled_orders      INTEGER NOT NULL DEFAULT 0,
    rejected_orders       INTEGER NOT NULL DEFAULT 0,
    gross_pnl             TEXT NOT NULL DEFAULT '0.00',
    total_charges         TEXT NOT NULL DEFAULT '0.00',
    net_pnl               TEXT NOT NULL DEFAULT '0.00',
    realized_pnl          TEXT NOT NULL DEFAULT '0.00',
    winning_trades        INTEGER NOT NULL DEFAULT 0,
    losing_trades         INTEGER NOT NULL DEFAULT 0,
    win_rate              TEXT,
    max_positions_held    INTEGER NOT NULL DEFAULT 0,
    symbols_traded        TEXT NOT NULL DEFAULT '[]',
    max_drawdown          TEXT,
    peak_balance          TEXT,
    order_to_trade_ratio  TEXT,
    kill_switch_triggered INTEGER NOT NULL DEFAULT 0,
    created_at            TEXT,
    updated_at            TEXT,
    metadata              TEXT,
    seq                   INTEGER,
    UNIQUE (account, date)
) STRICT;

CREATE VIEW v_active_positions AS
    SELECT p.*, s.name AS strategy_name
    FROM positions p JOIN strategies s ON s.account = p.account AND s.id = p.strategy_id
    WHERE p.closed_at IS NULL AND p.quantity <> 0;

-- The trading day is the Indian one: UTC + 5:30.
CREATE VIEW v_today_orders AS
    SELECT o.*, s.name AS strategy_name
    FROM orders o JOIN strategies s ON s.account = o.account AND s.id = o.strategy_id
    WHERE date(o.created_at, '+330 minutes') = date('now', '+330 minutes');

CREATE VIEW v_reconciliation_issues AS
    SELECT * FROM reconciliation_log WHERE resolved = 0;

-- Pinion's own.

CREATE TABLE pinion_watermark (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    journal TEXT NOT NULL,
    epoch   INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    time    TEXT
) STRICT;

CREATE TABLE pinion_dead_letter (
    seq        INTEGER NOT NULL,
    table_name TEXT NOT NULL,
    row_key    TEXT NOT NULL,
    row        TEXT NOT NULL,
    error      TEXT NOT NULL,
    PRIMARY KEY (seq, table_name, row_key)
) STRICT;

CREATE TABLE pinion_round_trips (
    seq          INTEGER NOT NULL,
    ordinal      INTEGER NOT NULL,
    position_id  INTEGER NOT NULL,
    account      TEXT NOT NULL,
    strategy_id  INTEGER NOT NULL,
    symbol       TEXT NOT NULL,
    exchange     TEXT NOT NULL,
    product      TEXT NOT NULL,
    side         TEXT NOT NULL,
    realized_pnl TEXT NOT NULL,
    charges      TEXT NOT NULL,
    opened_at    TEXT NOT NULL,
    closed_at    TEXT NOT NULL,
    PRIMARY KEY (seq, ordinal)
) STRICT;

CREATE INDEX pinion_round_trips_closed ON pinion_round_trips (account, closed_at);

CREATE TABLE pinion_alerts (
    seq        INTEGER NOT NULL,
    ordinal    INTEGER NOT NULL,
    account    TEXT,
    severity   TEXT NOT NULL,
    alert_type TEXT NOT NULL,
    message    TEXT NOT NULL,
    details    TEXT NOT NULL,
    raised_at  TEXT NOT NULL,
    PRIMARY KEY (seq, ordinal)
) STRICT;

CREATE TABLE pinion_audit (
    seq     INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    account TEXT,
    action  TEXT NOT NULL,
    details TEXT NOT NULL,
    refusal TEXT,
    at      TEXT NOT NULL,
    PRIMARY KEY (seq, ordinal)
) STRICT;

CREATE TABLE pinion_account_ledger (
    seq     INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    account TEXT NOT NULL,
    entry   TEXT NOT NULL CHECK (entry IN ('opening', 'cash', 'day_roll')),
    amount  TEXT NOT NULL,
    balance TEXT NOT NULL,
    at      TEXT NOT NULL,
    PRIMARY KEY (seq, ordinal)
) STRICT;
