-- A database of the old backend, as CONTRACT.md section 6 describes it, with what people add to one: rows, a reporting
-- role, triggers that stamp and compute.

CREATE TABLE strategies (
    id SERIAL PRIMARY KEY, name VARCHAR(100) NOT NULL, type VARCHAR(50) NOT NULL, description TEXT,
    config JSONB NOT NULL, status VARCHAR(20) DEFAULT 'INACTIVE' CHECK (status IN ('ACTIVE','INACTIVE','PAUSED','ERROR')),
    mode VARCHAR(10) DEFAULT 'PAPER' CHECK (mode IN ('PAPER','LIVE')), total_trades INT DEFAULT 0,
    winning_trades INT DEFAULT 0, losing_trades INT DEFAULT 0, total_pnl DECIMAL(12,2) DEFAULT 0,
    created_at TIMESTAMP DEFAULT NOW(), updated_at TIMESTAMP DEFAULT NOW(), deployed_at TIMESTAMP);
INSERT INTO strategies (name, type, config, status) VALUES
    ('Manual Trading', 'MANUAL', '{"color": "blue"}', 'ACTIVE'), ('Momentum', 'MOMENTUM', '{}', 'PAUSED');

CREATE TABLE orders (
    id SERIAL PRIMARY KEY, broker_order_id VARCHAR(50) UNIQUE,
    strategy_id INT NOT NULL REFERENCES strategies(id) ON DELETE CASCADE,
    symbol VARCHAR(20) NOT NULL, exchange VARCHAR(10) NOT NULL,
    side VARCHAR(4) NOT NULL CHECK (side IN ('BUY','SELL')), quantity INT NOT NULL CHECK (quantity > 0),
    order_type VARCHAR(10) NOT NULL CHECK (order_type IN ('MARKET','LIMIT','SL','SL-M')),
    price DECIMAL(10,2), trigger_price DECIMAL(10,2),
    product VARCHAR(10) NOT NULL CHECK (product IN ('MIS','CNC')),
    validity VARCHAR(10) NOT NULL CHECK (validity IN ('DAY','IOC')),
    stop_loss DECIMAL(10,2), take_profit DECIMAL(10,2), risk_amount DECIMAL(10,2), risk_reward_ratio DECIMAL(5,2),
    status VARCHAR(20) NOT NULL CHECK (status IN
        ('PENDING','SUBMITTED','OPEN','FILLED','CANCELLED','REJECTED','FAILED')),
    status_message TEXT, filled_quantity INT DEFAULT 0, average_price DECIMAL(10,2),
    created_at TIMESTAMP NOT NULL DEFAULT NOW(), submitted_at TIMESTAMP, updated_at TIMESTAMP, filled_at TIMESTAMP,
    cancelled_at TIMESTAMP, validation_result JSONB, validation_warnings TEXT[], error_message TEXT, metadata JSONB);
CREATE INDEX idx_orders_status ON orders(status);

CREATE TABLE positions (
    id SERIAL PRIMARY KEY, symbol VARCHAR(20) NOT NULL, exchange VARCHAR(10) NOT NULL,
    strategy_id INT NOT NULL REFERENCES strategies(id) ON DELETE CASCADE, quantity INT NOT NULL,
    average_price DECIMAL(10,2) NOT NULL, product VARCHAR(10) NOT NULL,
    realized_pnl DECIMAL(12,2) DEFAULT 0, unrealized_pnl DECIMAL(12,2) DEFAULT 0, stop_loss DECIMAL(10,2),
    take_profit DECIMAL(10,2), max_drawdown DECIMAL(10,2), time_based_sl_hours INT, entry_order_ids INT[],
    exit_order_ids INT[], highest_price DECIMAL(10,2), lowest_price DECIMAL(10,2),
    opened_at TIMESTAMP DEFAULT NOW(), updated_at TIMESTAMP DEFAULT NOW(), closed_at TIMESTAMP, metadata JSONB,
    UNIQUE(symbol, exchange, strategy_id, product));

CREATE TABLE trades (
    id SERIAL PRIMARY KEY, order_id INT NOT NULL REFERENCES orders(id) ON DELETE CASCADE,
    position_id INT REFERENCES positions(id), broker_trade_id VARCHAR(50) UNIQUE,
    symbol VARCHAR(20) NOT NULL, exchange VARCHAR(10) NOT NULL, side VARCHAR(4) NOT NULL, quantity INT NOT NULL
    CHECK (quantity > 0), price DECIMAL(10,2) NOT NULL,
    brokerage DECIMAL(10,4) DEFAULT 0, stt DECIMAL(10,4) DEFAULT 0, exchange_txn_charge DECIMAL(10,4) DEFAULT 0,
    gst DECIMAL(10,4) DEFAULT 0, stamp_duty DECIMAL(10,4) DEFAULT 0, sebi_charges DECIMAL(10,4) DEFAULT 0,
    total_charges DECIMAL(10,4) DEFAULT 0, gross_value DECIMAL(12,2), net_value DECIMAL(12,2),
    executed_at TIMESTAMP DEFAULT NOW(), metadata JSONB);

CREATE TABLE reconciliation_log (
    id SERIAL PRIMARY KEY, symbol VARCHAR(20) NOT NULL, exchange VARCHAR(10) NOT NULL,
    issue_type VARCHAR(50) NOT NULL CHECK (issue_type IN
        ('UNKNOWN_POSITION','QUANTITY_MISMATCH','PHANTOM_POSITION','PRICE_MISMATCH','OTHER')),
    severity VARCHAR(20) NOT NULL CHECK (severity IN ('INFO','WARNING','CRITICAL')),
    internal_quantity INT, broker_quantity INT, difference INT, internal_avg_price DECIMAL(10,2),
    broker_avg_price DECIMAL(10,2), resolved BOOLEAN DEFAULT FALSE, resolution TEXT, auto_fixed BOOLEAN DEFAULT FALSE,
    detected_at TIMESTAMP DEFAULT NOW(), resolved_at TIMESTAMP, metadata JSONB);

CREATE TABLE kill_switch_events (
    id SERIAL PRIMARY KEY, reason VARCHAR(100) NOT NULL, triggered_by VARCHAR(50), account_balance DECIMAL(12,2),
    today_pnl DECIMAL(12,2), open_positions_count INT, positions_closed_count INT, close_results JSONB,
    triggered_at TIMESTAMP NOT NULL DEFAULT NOW(), completed_at TIMESTAMP, deactivated_at TIMESTAMP,
    status VARCHAR(20) DEFAULT 'ACTIVE' CHECK (status IN ('ACTIVE','COMPLETED','DEACTIVATED','FAILED')),
    metadata JSONB);

CREATE TABLE daily_stats (
    id SERIAL PRIMARY KEY, date DATE NOT NULL UNIQUE, total_orders INT DEFAULT 0, total_trades INT DEFAULT 0,
    filled_orders INT DEFAULT 0, cancelled_orders INT DEFAULT 0, rejected_orders INT DEFAULT 0,
    gross_pnl DECIMAL(12,2) DEFAULT 0, total_charges DECIMAL(12,2) DEFAULT 0, net_pnl DECIMAL(12,2) DEFAULT 0,
    winning_trades INT DEFAULT 0, losing_trades INT DEFAULT 0, win_rate DECIMAL(5,2), max_positions_held INT DEFAULT 0,
    symbols_traded TEXT[], max_drawdown DECIMAL(12,2), peak_balance DECIMAL(12,2), order_to_trade_ratio DECIMAL(5,2),
    kill_switch_triggered BOOLEAN DEFAULT FALSE, created_at TIMESTAMP DEFAULT NOW(), updated_at TIMESTAMP DEFAULT NOW(),
    metadata JSONB);

CREATE FUNCTION update_updated_at_column() RETURNS TRIGGER AS $$
BEGIN NEW.updated_at = NOW(); RETURN NEW; END; $$ LANGUAGE plpgsql;
CREATE TRIGGER stamp_strategies BEFORE UPDATE ON strategies FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
CREATE TRIGGER stamp_positions BEFORE UPDATE ON positions FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
CREATE TRIGGER stamp_daily_stats BEFORE UPDATE ON daily_stats FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();

CREATE FUNCTION calculate_trade_values() RETURNS TRIGGER AS $$
BEGIN
    NEW.gross_value := NEW.quantity * NEW.price;
    NEW.total_charges := NEW.brokerage + NEW.stt + NEW.exchange_txn_charge + NEW.gst + NEW.stamp_duty;
    NEW.net_value := CASE WHEN NEW.side = 'BUY' THEN NEW.gross_value + NEW.total_charges
                          ELSE NEW.gross_value - NEW.total_charges END;
    RETURN NEW;
END; $$ LANGUAGE plpgsql;
CREATE TRIGGER compute_trades BEFORE INSERT OR UPDATE ON trades FOR EACH ROW EXECUTE FUNCTION calculate_trade_values();

CREATE VIEW v_active_positions AS
    SELECT p.*, s.name AS strategy_name FROM positions p JOIN strategies s ON p.strategy_id = s.id
    WHERE p.closed_at IS NULL;
CREATE VIEW v_today_orders AS
    SELECT o.*, s.name AS strategy_name FROM orders o JOIN strategies s ON o.strategy_id = s.id
    WHERE DATE(o.created_at) = CURRENT_DATE;
CREATE VIEW v_reconciliation_issues AS SELECT * FROM reconciliation_log WHERE resolved = FALSE;

CREATE FUNCTION update_position_pnl(p_position_id INT, p_current_price DECIMAL) RETURNS VOID AS $$
BEGIN
    UPDATE positions SET unrealized_pnl = (p_current_price - average_price) * quantity WHERE id = p_position_id;
END; $$ LANGUAGE plpgsql;
CREATE FUNCTION get_today_pnl() RETURNS DECIMAL AS $$
BEGIN RETURN (SELECT COALESCE(SUM(net_value), 0) FROM trades WHERE DATE(executed_at) = CURRENT_DATE); END;
$$ LANGUAGE plpgsql;
CREATE FUNCTION get_order_to_trade_ratio() RETURNS FLOAT AS $$
BEGIN RETURN (SELECT COUNT(*) FROM orders)::FLOAT / NULLIF((SELECT COUNT(*) FROM trades), 0); END;
$$ LANGUAGE plpgsql;

INSERT INTO orders (broker_order_id, strategy_id, symbol, exchange, side, quantity, order_type, price, product, validity,
    status, filled_quantity, average_price, created_at) VALUES
    ('MOCK001000', 1, 'RELIANCE', 'NSE', 'BUY', 10, 'LIMIT', 2450, 'MIS', 'DAY', 'FILLED', 10, 2449.5, '2026-07-01 05:00'),
    ('MOCK001001', 1, 'RELIANCE', 'NSE', 'SELL', 10, 'LIMIT', 2460, 'MIS', 'DAY', 'FILLED', 10, 2460.5, '2026-07-01 06:00'),
    ('MOCK001002', 2, 'INFY', 'NSE', 'BUY', 5, 'LIMIT', 1500, 'CNC', 'DAY', 'FILLED', 5, 1500, '2026-07-02 05:00'),
    (NULL, 2, 'INFY', 'NSE', 'BUY', 5, 'LIMIT', 1500, 'CNC', 'IOC', 'REJECTED', 0, NULL, '2026-07-02 05:01'),
    ('MOCK001003', 2, 'INFY', 'NSE', 'BUY', 8, 'LIMIT', 1490, 'CNC', 'DAY', 'OPEN', 3, 1490, '2026-07-02 05:02'),
    ('MOCK001004', 1, 'TCS', 'NSE', 'BUY', 1, 'LIMIT', 3500, 'MIS', 'DAY', 'SUBMITTED', 0, NULL, '2026-07-02 05:03'),
    (NULL, 1, 'TCS', 'NSE', 'BUY', 1, 'LIMIT', 3400, 'MIS', 'DAY', 'PENDING', 0, NULL, '2026-07-02 05:04');
INSERT INTO positions (symbol, exchange, strategy_id, quantity, average_price, product, realized_pnl, entry_order_ids,
    exit_order_ids, opened_at, updated_at, closed_at) VALUES
    ('RELIANCE', 'NSE', 1, 0, 2449.5, 'MIS', 110, '{1}', '{2}', '2026-07-01 05:00', '2026-07-01 06:00', '2026-07-01 06:00'),
    ('INFY', 'NSE', 2, 5, 1500, 'CNC', 75, '{3}', NULL, '2026-07-02 05:00', '2026-07-02 05:10', NULL);
INSERT INTO trades (order_id, position_id, broker_trade_id, symbol, exchange, side, quantity, price, brokerage, executed_at)
VALUES
    (1, 1, 'T1', 'RELIANCE', 'NSE', 'BUY', 10, 2449.5, 7.35, '2026-07-01 05:00'),
    (2, 1, 'T2', 'RELIANCE', 'NSE', 'SELL', 10, 2460.5, 7.38, '2026-07-01 06:00'),
    (3, 2, 'T3', 'INFY', 'NSE', 'BUY', 5, 1500, 0, '2026-07-02 05:00');
INSERT INTO kill_switch_events (reason, triggered_by, triggered_at, deactivated_at, status) VALUES
    ('Daily loss limit exceeded', 'risk_monitor', '2026-07-03 05:00', '2026-07-03 06:00', 'DEACTIVATED'),
    ('Left on', 'operator', '2026-07-04 05:00', NULL, 'ACTIVE'),
    ('Closed everything', 'operator', '2026-07-05 05:00', NULL, 'COMPLETED');
INSERT INTO daily_stats (date, total_orders, total_trades) VALUES ('2026-07-01', 2, 2), ('2026-07-02', 2, 1);
INSERT INTO reconciliation_log (symbol, exchange, issue_type, severity, internal_quantity, broker_quantity, difference)
VALUES ('INFY', 'NSE', 'QUANTITY_MISMATCH', 'WARNING', 5, 4, 1);
