//! Every bound of the read model, with its reason. Together they bound its memory, however long the day.

/// Finished orders kept for today's history; beyond it the one that finished first is forgotten (the tables keep it).
/// At about 400 bytes each, 700 where they were refused, they take at most 730 MB. Open orders are kept on top, bounded by the engine's capacity.
pub const FINISHED_ORDERS_KEPT: usize = 1 << 20;

/// Bytes of metadata that the finished orders kept were sent with, in all: a clerk's notes on each of a million orders, not a
/// million times the longest. Beyond it the order that finished first is forgotten (the tables keep it). An open order's is on
/// top: at most 2 KiB each.
pub const FINISHED_METADATA_KEPT: usize = 128 << 20;

/// Fills kept for today's history; beyond it the oldest is forgotten. At about 110 bytes each: 115 MB.
pub const FILLS_KEPT: usize = 1 << 20;

/// Closed round trips kept for today's history; beyond it the oldest is forgotten.
pub const CLOSED_POSITIONS_KEPT: usize = 100_000;

/// Alerts kept per account and for the engine as a whole (CONTRACT.md section 2, `/risk/alerts`).
pub const ALERTS_KEPT: usize = 100;

/// How often a fold offers the processor to readers that are waiting for the lock before it takes the lock again.
/// Without it a catching-up fold could keep readers out for as long as it has work.
pub const READER_YIELDS: u32 = 64;

const _: () = assert!(
    FINISHED_ORDERS_KEPT >= 1_000_000 && FILLS_KEPT >= 1_000_000,
    "histories of 1,000,000 rows are a stated use"
);
