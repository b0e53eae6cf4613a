//! Every bound of this crate, with its reason.

use std::time::Duration;

/// A batch begins on a block of this many bytes, so that no later write touches a sector that has been acknowledged.
/// The page size of the file cache and the physical sector of today's disks.
pub const BLOCK_BYTES: u64 = 4_096;

/// Default size of a segment. Large enough that the two extra syncs of a change of segment are lost in half a million
/// records, small enough to be zero-filled in well under a second.
pub const SEGMENT_BYTES_DEFAULT: u32 = 64 * 1024 * 1024;

/// Smallest segment: a header and a few blocks. Tests use it to change segments often.
pub const SEGMENT_BYTES_MIN: u32 = 4 * 4_096;

/// Largest segment; recovery searches the rest of the last one after a torn write.
pub const SEGMENT_BYTES_MAX: u32 = 1024 * 1024 * 1024;

/// Longest record. The longest today is an order with a full client id and full metadata (about 2.2 KiB).
pub const PAYLOAD_BYTES_MAX: usize = 4_000;

/// Unsynced bytes that force a sync when nobody waits (DESIGN.md section 5).
pub const UNSYNCED_BYTES_MAX: u64 = 256 * 1024;

/// Age of the oldest unsynced record that forces a sync when nobody waits (DESIGN.md section 5).
pub const UNSYNCED_AGE_MAX: Duration = Duration::from_millis(100);

/// Entries taken from the ring before the writer writes and looks at its sync policy again: bounds the memory of a
/// batch (about 9 MiB if every order carried full metadata) and how long the first of them waits for the last.
pub const ENTRIES_PER_TURN: usize = 4_096;

/// No batch is longer: a turn's entries of the longest kind come after what just did not force a sync. Behind the last
/// whole batch, what a torn one left reaches no further.
pub const BATCH_BYTES_MAX: u64 = UNSYNCED_BYTES_MAX + (ENTRIES_PER_TURN * (PAYLOAD_BYTES_MAX + 40)) as u64;

/// Turns without work that the writer spins through, then yields through, before it parks. The spins cover the gap
/// between two orders of a burst, where there are cores enough ([`SPIN_CORES_MIN`]); the yields let the other threads of
/// a small machine run.
pub const IDLE_SPINS: u32 = 2_000;
pub const SPIN_CORES_MIN: usize = 4;
pub const IDLE_YIELDS: u32 = 50;

/// Park times of an idle writer: the first, doubling up to the longest. The engine never wakes the writer, so the
/// longest is the most that a lone order can wait for it (less if somebody calls `Progress::nudge_writer`).
pub const PARK_MIN: Duration = Duration::from_micros(50);
pub const PARK_MAX: Duration = Duration::from_micros(200);

/// Park time of a writer that no answer waits for: what a read may come later where nobody nudges, and few enough wake-ups.
pub const PARK_BEHIND: Duration = Duration::from_millis(1);

/// Bytes of zeros written and synced at a time while a segment is prepared, so that the device queue is never long
/// when the writer needs it.
pub const ZERO_FILL_CHUNK_BYTES: usize = 1024 * 1024;

/// How often the helper that prepares segments looks at the free space, and retries after a failure.
pub const SPACE_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Free space below which the disk counts as low, in segments: one that may be in preparation, and three that
/// cancels, exits and kills may still use while new orders are refused.
pub const RESERVE_SEGMENTS: u64 = 4;

/// Bytes read at a time by a walk over the whole journal, and by a tailer: that one reads again at every new position, some
/// thousand times a second, mostly for a few records.
pub const WALK_CHUNK_BYTES: usize = 1024 * 1024;
pub const TAIL_CHUNK_BYTES: usize = 16 * 1024;

/// Bytes of a segment in one frame of its archive: what a reader unpacks at a time, and enough for a good ratio.
pub const ARCHIVE_CHUNK_BYTES: usize = 1024 * 1024;

/// Longest frame of an archive. Bytes that cannot be compressed grow by far less than this leaves.
pub const ARCHIVE_FRAME_BYTES_MAX: usize = ARCHIVE_CHUNK_BYTES + 64 * 1024;

/// Zstandard's own default: records shrink to about a seventh at several hundred MB/s; higher levels gain little.
pub const ARCHIVE_LEVEL: i32 = 3;

/// Commands that the replica folds under one write lock of the read model: bounds how long a reader waits (about
/// 50 µs).
pub const REPLICA_SLICE: usize = 256;

/// Commands from which a fold of the replica counts as work on the engine's core: about 50 µs.
pub const REPLICA_WORK: usize = 32;

/// Least time between two folds of the replica: what the journal takes meanwhile is one slice. A read that follows an
/// answer may wait for it.
pub const REPLICA_PACE: Duration = Duration::from_micros(500);

/// How long the replica sleeps without news before it looks at its stop flag.
pub const REPLICA_WAIT: Duration = Duration::from_millis(50);

/// Newest snapshots kept: should the newest turn out to be bad, a start falls back to the one before.
pub const SNAPSHOTS_KEPT: usize = 2;

/// Commands and time between two snapshots while a server runs. At 5 M commands a second the tail that a start folds
/// after a crash takes a fraction of a second; a snapshot of a large state takes a few on one of the cores.
pub const SNAPSHOT_COMMANDS: u64 = 1_000_000;
pub const SNAPSHOT_INTERVAL_MIN: Duration = Duration::from_secs(60);

/// How long the end of a server waits for the journal to become durable up to its last snapshot.
pub const SNAPSHOT_DURABLE_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest reason kept in the failure marker, in bytes: it must fit in the marker's one preallocated block.
pub const FAILURE_REASON_BYTES_MAX: usize = 3_000;

const _: () = assert!(PAYLOAD_BYTES_MAX > engine::limits::METADATA_LEN_MAX + 512);
const _: () = assert!(SEGMENT_BYTES_MIN as u64 >= BLOCK_BYTES * 3);
const _: () = assert!((SEGMENT_BYTES_DEFAULT as u64).is_multiple_of(BLOCK_BYTES));
const _: () = assert!(FAILURE_REASON_BYTES_MAX < BLOCK_BYTES as usize);
const _: () = assert!(TAIL_CHUNK_BYTES > 2 * PAYLOAD_BYTES_MAX);
