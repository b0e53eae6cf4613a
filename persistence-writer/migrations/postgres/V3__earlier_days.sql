-- What the history of earlier days and the check of the journal's hash chain need of the tables.

-- The checksum of the watermark's command in the hash chain; NULL until a version that knows it has written.
ALTER TABLE pinion.watermark ADD COLUMN IF NOT EXISTS chain BIGINT;

-- Of stop orders: whether the trigger was reached.
ALTER TABLE orders ADD COLUMN IF NOT EXISTS triggered BOOLEAN;

-- Counted from the journal's beginning, as the API's cursors do. Those that are there are all of them.
ALTER TABLE pinion.round_trips
    ADD COLUMN IF NOT EXISTS number BIGINT,
    ADD COLUMN IF NOT EXISTS stop_loss NUMERIC(14, 2),
    ADD COLUMN IF NOT EXISTS take_profit NUMERIC(14, 2);
UPDATE pinion.round_trips AS r SET number = numbered.number
FROM (SELECT seq, ordinal, row_number() OVER (ORDER BY seq, ordinal) AS number FROM pinion.round_trips) AS numbered
WHERE numbered.seq = r.seq AND numbered.ordinal = r.ordinal AND r.number IS NULL;
CREATE INDEX IF NOT EXISTS round_trips_number ON pinion.round_trips (number);
