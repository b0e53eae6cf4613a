-- Pages of history at any number of rows: by account and number, from a moment on, and of what was there before Pinion
-- (its ids are below zero). None of these columns changes, so that updates of orders and positions may stay in their pages.
CREATE INDEX IF NOT EXISTS pinion_orders_account ON orders (account, id);
CREATE INDEX IF NOT EXISTS pinion_orders_created ON orders (created_at, id) WHERE id > 0;
CREATE INDEX IF NOT EXISTS pinion_orders_before ON orders (created_at) WHERE id < 0;
CREATE INDEX IF NOT EXISTS pinion_trades_account ON trades (account, id);
CREATE INDEX IF NOT EXISTS pinion_trades_executed ON trades (executed_at, id) WHERE id > 0;
CREATE INDEX IF NOT EXISTS pinion_trades_before ON trades (executed_at) WHERE id < 0;
CREATE INDEX IF NOT EXISTS pinion_positions_account ON positions (account, id);
CREATE INDEX IF NOT EXISTS round_trips_account ON pinion.round_trips (account, number);
CREATE INDEX IF NOT EXISTS round_trips_at ON pinion.round_trips (closed_at, number);

-- A position that takes over an old one's row takes its trades along.
CREATE INDEX IF NOT EXISTS pinion_trades_position ON trades (position_id);

-- Columns that the old trades did not have. What they sum up to stays as it was.
ALTER TABLE trades DISABLE TRIGGER pinion_sum_up;
UPDATE trades t SET strategy_id = coalesce(t.strategy_id, o.strategy_id), product = coalesce(t.product, o.product)
FROM orders o WHERE o.id = t.order_id AND t.seq IS NULL AND (t.strategy_id IS NULL OR t.product IS NULL);
ALTER TABLE trades ENABLE TRIGGER pinion_sum_up;
