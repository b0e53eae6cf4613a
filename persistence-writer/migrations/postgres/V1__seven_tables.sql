-- The seven tables of the contract as the old backend knew them, where they are not there yet. An existing database of
-- the old schema passes through here unchanged; V2 brings both to the same shape. Nothing is ever dropped that holds
-- data.

CREATE TABLE IF NOT EXISTS strategies (
    id             SERIAL PRIMARY KEY,
    name           VARCHAR(100) NOT NULL,
    type           VARCHAR(50) NOT NULL,
    description    TEXT,
    config         JSONB NOT NULL DEFAULT '{}',
    status         VARCHAR(20) DEFAULT 'INACTIVE' CHECK (status IN ('ACTIVE', 'INACTIVE', 'PAUSED', 'ERROR')),
    mode           VARCHAR(10) DEFAULT 'PAPER' CHECK (mode IN ('PAPER', 'LIVE')),
    total_trades   INTEGER DEFAULT 0,
    winning_trades INTEGER DEFAULT 0,
    losing_trades  INTEGER DEFAULT 0,
    total_pnl      NUMERIC(12, 2) DEFAULT 0,
    created_at     TIMESTAMP DEFAULT (now() AT TIME ZONE 'UTC'),
    updated_at     TIMESTAMP DEFAULT (now() AT TIME ZONE 'UTC'),
    deployed_at    TIMESTAMP
);

CREATE TABLE IF NOT EXISTS orders (
    id                  SERIAL PRIMARY KEY,
    broker_order_id     VARCHAR(50) UNIQUE,
    strategy_id         INTEGER NOT NULL REFERENCES strategies (id) ON DELETE CASCADE,
    symbol              VARCHAR(20) NOT NULL,
    exchange            VARCHAR(10) NOT NULL,
    side                VARCHAR(4) NOT NULL CHECK (side IN ('BUY', 'SELL')),
    quantity            INTEGER NOT NULL CHECK (quantity > 0),
    order_type          VARCHAR(10) NOT NULL CHECK (order_type IN ('MARKET', 'LIMIT', 'SL', 'SL-M')),
    price               NUMERIC(10, 2),
    trigger_price       NUMERIC(10, 2),
    product             VARCHAR(10) NOT NULL CHECK (product IN ('MIS', 'CNC')),
    validity            VARCHAR(10) NOT NULL CHECK (validity IN ('DAY', 'IOC')),
    stop_loss           NUMERIC(10, 2),
    take_profit         NUMERIC(10, 2),
    risk_amount         NUMERIC(10, 2),
    risk_reward_ratio   NUMERIC(5, 2),
    status              VARCHAR(20) NOT NULL
        CHECK (status IN ('PENDING', 'SUBMITTED', 'OPEN', 'FILLED', 'CANCELLED', 'REJECTED', 'FAILED')),
    status_message      TEXT,
    filled_quantity     INTEGER DEFAULT 0,
    average_price       NUMERIC(10, 2),
    created_at          TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),
    submitted_at        TIMESTAMP,
    updated_at          TIMESTAMP DEFAULT (now() AT TIME ZONE 'UTC'),
    filled_at           TIMESTAMP,
    cancelled_at        TIMESTAMP,
    validation_result   JSONB,
    validation_warnings TEXT[],
    error_message       TEXT,
    metadata            JSONB
);

CREATE TABLE IF NOT EXISTS positions (
    id                  SERIAL PRIMARY KEY,
    symbol              VARCHAR(20) NOT NULL,
    exchange            VARCHAR(10) NOT NULL,
    strategy_id         INTEGER NOT NULL REFERENCES strategies (id) ON DELETE CASCADE,
    quantity            INTEGER NOT NULL,
    average_price       NUMERIC(10, 2) NOT NULL,
    product             VARCHAR(10) NOT NULL CHECK (product IN ('MIS', 'CNC')),
    realized_pnl        NUMERIC(12, 2) DEFAULT 0,
    unrealized_pnl      NUMERIC(12, 2) DEFAULT 0,
    stop_loss           NUMERIC(10, 2),
    take_profit         NUMERIC(10, 2),
    max_drawdown        NUMERIC(10, 2),
    time_based_sl_hours INTEGER,
    entry_order_ids     INTEGER[],
    exit_order_ids      INTEGER[],
    highest_price       NUMERIC(10, 2),
    lowest_price        NUMERIC(10, 2),
    opened_at           TIMESTAMP DEFAULT (now() AT TIME ZONE 'UTC'),
    updated_at          TIMESTAMP DEFAULT (now() AT TIME ZONE 'UTC'),
    closed_at           TIMESTAMP,
    metadata            JSONB,
    UNIQUE (symbol, exchange, strategy_id, product)
);

CREATE TABLE IF NOT EXISTS trades (
    id                  SERIAL PRIMARY KEY,
    order_id            INTEGER NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    position_id         INTEGER REFERENCES positions (id) ON DELETE SET NULL,
    broker_trade_id     VARCHAR(50) UNIQUE,
    symbol              VARCHAR(20) NOT NULL,
    exchange            VARCHAR(10) NOT NULL,
    side                VARCHAR(4) NOT NULL CHECK (side IN ('BUY', 'SELL')),
    quantity            INTEGER NOT NULL CHECK (quantity > 0),
    price               NUMERIC(10, 2) NOT NULL,
    brokerage           NUMERIC(10, 4) DEFAULT 0,
    stt                 NUMERIC(10, 4) DEFAULT 0,
    exchange_txn_charge NUMERIC(10, 4) DEFAULT 0,
    gst                 NUMERIC(10, 4) DEFAULT 0,
    stamp_duty          NUMERIC(10, 4) DEFAULT 0,
    sebi_charges        NUMERIC(10, 4) DEFAULT 0,
    total_charges       NUMERIC(10, 4) DEFAULT 0,
    gross_value         NUMERIC(12, 2),
    net_value           NUMERIC(12, 2),
    executed_at         TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),
    metadata            JSONB
);

CREATE TABLE IF NOT EXISTS reconciliation_log (
    id                 SERIAL PRIMARY KEY,
    symbol             VARCHAR(20) NOT NULL,
    exchange           VARCHAR(10) NOT NULL,
    issue_type         VARCHAR(50) NOT NULL CHECK (issue_type IN
        ('UNKNOWN_POSITION', 'QUANTITY_MISMATCH', 'PHANTOM_POSITION', 'PRICE_MISMATCH', 'OTHER')),
    severity           VARCHAR(20) NOT NULL CHECK (severity IN ('INFO', 'WARNING', 'CRITICAL')),
    internal_quantity  INTEGER,
    broker_quantity    INTEGER,
    difference         INTEGER,
    internal_avg_price NUMERIC(10, 2),
    broker_avg_price   NUMERIC(10, 2),
    resolved           BOOLEAN DEFAULT FALSE,
    resolution         TEXT,
    auto_fixed         BOOLEAN DEFAULT FALSE,
    detected_at        TIMESTAMP DEFAULT (now() AT TIME ZONE 'UTC'),
    resolved_at        TIMESTAMP,
    metadata           JSONB
);

CREATE TABLE IF NOT EXISTS kill_switch_events (
    id                     SERIAL PRIMARY KEY,
    reason                 VARCHAR(100) NOT NULL,
    triggered_by           VARCHAR(50),
    account_balance        NUMERIC(12, 2),
    today_pnl              NUMERIC(12, 2),
    open_positions_count   INTEGER,
    positions_closed_count INTEGER,
    close_results          JSONB,
    triggered_at           TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),
    completed_at           TIMESTAMP,
    deactivated_at         TIMESTAMP,
    status                 VARCHAR(20) DEFAULT 'ACTIVE'
        CHECK (status IN ('ACTIVE', 'COMPLETED', 'DEACTIVATED', 'FAILED')),
    metadata               JSONB
);

CREATE TABLE IF NOT EXISTS daily_stats (
    id                    SERIAL PRIMARY KEY,
    date                  DATE NOT NULL UNIQUE,
    total_orders          INTEGER DEFAULT 0,
    total_trades          INTEGER DEFAULT 0,
    filled_orders         INTEGER DEFAULT 0,
    cancelled_orders      INTEGER DEFAULT 0,
    rejected_orders       INTEGER DEFAULT 0,
    gross_pnl             NUMERIC(12, 2) DEFAULT 0,
    total_charges         NUMERIC(12, 2) DEFAULT 0,
    net_pnl               NUMERIC(12, 2) DEFAULT 0,
    winning_trades        INTEGER DEFAULT 0,
    losing_trades         INTEGER DEFAULT 0,
    win_rate              NUMERIC(5, 2),
    max_positions_held    INTEGER DEFAULT 0,
    symbols_traded        TEXT[],
    max_drawdown          NUMERIC(12, 2),
    peak_balance          NUMERIC(12, 2),
    order_to_trade_ratio  NUMERIC(5, 2),
    kill_switch_triggered BOOLEAN DEFAULT FALSE,
    created_at            TIMESTAMP DEFAULT (now() AT TIME ZONE 'UTC'),
    updated_at            TIMESTAMP DEFAULT (now() AT TIME ZONE 'UTC'),
    metadata              JSONB
);
