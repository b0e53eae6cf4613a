-- Pages of history at any number of rows: by account and number (which is the row id, and in every index), from a moment
-- on, and of rows with ids below zero, which are not the journal's.
CREATE INDEX orders_account ON orders (account);
CREATE INDEX orders_created ON orders (created_at) WHERE id > 0;
CREATE INDEX orders_before ON orders (created_at) WHERE id < 0;
CREATE INDEX trades_account ON trades (account);
CREATE INDEX trades_executed ON trades (executed_at) WHERE id > 0;
CREATE INDEX trades_before ON trades (executed_at) WHERE id < 0;
CREATE INDEX positions_account ON positions (account);
CREATE INDEX pinion_round_trips_account ON pinion_round_trips (account, number);
CREATE INDEX pinion_round_trips_at ON pinion_round_trips (closed_at, number);

-- SQLite looks for the trades of a position whenever that is written.
CREATE INDEX trades_position ON trades (position_id);
