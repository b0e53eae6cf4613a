-- What the history of earlier days and the check of the journal's hash chain need of the tables.

-- The checksum of the watermark's command in the hash chain; NULL until a version that knows it has written.
ALTER TABLE pinion_watermark ADD COLUMN chain INTEGER;

-- Of stop orders: whether the trigger was reached.
ALTER TABLE orders ADD COLUMN triggered INTEGER;

-- Counted from the journal's beginning, as the API's cursors do. Those that are there are all of them.
ALTER TABLE pinion_round_trips ADD COLUMN number INTEGER;
ALTER TABLE pinion_round_trips ADD COLUMN stop_loss TEXT;
ALTER TABLE pinion_round_trips ADD COLUMN take_profit TEXT;
UPDATE pinion_round_trips SET number = numbered.number
FROM (SELECT seq, ordinal, row_number() OVER (ORDER BY seq, ordinal) AS number FROM pinion_round_trips) AS numbered
WHERE numbered.seq = pinion_round_trips.seq AND numbered.ordinal = pinion_round_trips.ordinal;
CREATE INDEX pinion_round_trips_number ON pinion_round_trips (number);
