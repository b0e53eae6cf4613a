//! Every bound of the projector, with its reason.

use std::time::Duration;

/// Rows of one transaction while the tables are nearly up to date: small enough to commit within milliseconds.
pub const LIVE_ROWS: usize = 1_000;

/// Rows of one transaction while they are far behind: COPY is at its best, and a batch takes about 20 MB.
pub const CATCH_UP_ROWS: usize = 10_000;

/// Rows from which a batch travels by COPY; below, one array for each column is faster.
pub const COPY_ROWS: usize = 2_000;

/// Commands of one transaction, rows or none: bounds how far the watermark lags behind what is folded.
pub const COMMANDS_PER_BATCH: u64 = 65_536;

/// Commands behind the journal from which the projector catches up in large batches.
pub const CATCH_UP_LAG: u64 = 20_000;

/// Commands folded between two looks at the stop flag.
pub const FOLD_SLICE: u64 = 4_096;

/// Rows, made or written by the projector's own thread, and commands folded between two offers of the core: each takes 1
/// to 10 µs, and a scheduler may leave a core to whoever is busy until its next tick, 4 ms later. Folding and making rows
/// offer it only while the tables are nearly up to date: on a busy machine each offer may cost such a tick.
pub const ROWS_PER_YIELD: usize = 2;
pub const COMMANDS_PER_YIELD: u64 = 8;

/// Order ids kept in `positions.entry_order_ids` and `exit_order_ids`: the newest. A position that is never flat
/// would otherwise rewrite an ever longer list; `trades.position_id` finds them all.
pub const POSITION_ORDER_IDS: usize = 64;

/// How long the watermark may wait where commands changed no row.
pub const WATERMARK_INTERVAL: Duration = Duration::from_secs(1);

/// How often an idle projector asks whether the tables are still there, and its own.
pub const VERIFY_INTERVAL: Duration = Duration::from_secs(1);

/// How long a reconciliation waits for the journal to be durable up to the read model (with `--ack memory`).
pub const RECONCILE_WAIT: Duration = Duration::from_secs(1);

/// How long the projector sleeps without news before it looks at its stop flag.
pub const IDLE_WAIT: Duration = Duration::from_millis(50);

/// Least time between two commits while the tables are nearly up to date: what a busy desk does meanwhile is one batch.
pub const GATHER_TIME: Duration = Duration::from_millis(10);

/// Pause after the first failure in a row, doubling up to the longest.
pub const BACK_OFF_MIN: Duration = Duration::from_millis(100);
pub const BACK_OFF_MAX: Duration = Duration::from_secs(5);

/// How long a server that stops lets the projector reach the journal's end. What is missing then comes with the next
/// start.
pub const DRAIN_TIME: Duration = Duration::from_secs(4);

/// How long PostgreSQL may take: to connect, for one statement, for a lock, until it gives up a transaction in which
/// nothing happens (its client is gone, and it holds locks), until a peer that does not acknowledge
/// counts as dead, until an answer (a whole batch) is given up, and to migrate an old database with rows in it.
pub const CONNECT_TIME: Duration = Duration::from_secs(5);
pub const STATEMENT_TIME: Duration = Duration::from_secs(30);
pub const IDLE_TRANSACTION_TIME: Duration = Duration::from_secs(10);
pub const LOCK_TIME: Duration = Duration::from_secs(5);
pub const DEAD_PEER_TIME: Duration = Duration::from_secs(15);
pub const ANSWER_TIME: Duration = Duration::from_secs(45);
pub const MIGRATION_TIME: Duration = Duration::from_secs(3_600);

/// How long a reader of the embedded database waits for a lock. Beside a writer in WAL mode there is none to wait for,
/// but while the file is recovered.
pub const READER_BUSY_TIME: Duration = Duration::from_secs(1);

/// Connections at once, those included that were given up and hang.
pub const SESSIONS_MAX: usize = 4;

/// Rows that are refused after this long without any are told of again (alert `dead_letter`).
pub const REFUSALS_OVER: Duration = Duration::from_secs(60);

/// Lag from which the tables count as behind (alert `database_behind`), where nothing else is configured.
pub const BEHIND: Duration = Duration::from_secs(60);

const _: () = assert!(LIVE_ROWS <= CATCH_UP_ROWS);
const _: () = assert!(LIVE_ROWS < COPY_ROWS && COPY_ROWS <= CATCH_UP_ROWS);
const _: () = assert!(STATEMENT_TIME.as_secs() < ANSWER_TIME.as_secs());
const _: () = assert!(FOLD_SLICE < COMMANDS_PER_BATCH);
