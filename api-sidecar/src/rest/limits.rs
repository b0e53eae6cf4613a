//! Every bound of the REST half, with its reason.

use std::time::Duration;

/// How long a read waits for the read model to reach what its caller was last told (DESIGN.md section 6); then 503.
pub const READ_YOUR_WRITES_WAIT: Duration = Duration::from_secs(1);

/// Pause before a broken listener is opened again, so that a lack of descriptors does not become a busy loop.
pub const LISTENER_RETRY: Duration = Duration::from_millis(100);

/// Rows of a page where the caller does not say.
pub const PAGE_DEFAULT: usize = 100;

/// Rows of the largest page: about 200 KB, and three times that where every order has the longest metadata.
pub const PAGE_MAX: usize = 200;

/// Largest body that the thread which made it also sends: a Unix socket's send buffer (208 KiB, in small pieces half of
/// it) takes that at once, so that a slow client never holds one of the few threads that answer.
pub const SENT_AT_ONCE_MAX: usize = 64 * 1024;

/// Rows that one page looks at before it answers with what it found and a cursor: bounds the time for which a filter
/// that matches little holds up the fold.
pub const PAGE_SCAN_MAX: usize = 20_000;

/// Rows of a download made at once: about 40 KB of text, and under 1 ms for which the fold waits.
pub const DOWNLOAD_BATCH_ROWS: usize = 100;

/// Rows of a download that are written before the core is offered to whoever else wants it: about 50 µs.
pub const ROWS_A_SLICE: usize = 8;

/// How often a history is begun again because the day changed while the tables were asked.
pub const MIDNIGHT_ATTEMPTS: usize = 3;

/// Smallest body worth compressing: below it head and packet weigh more.
pub const GZIP_BYTES_MIN: usize = 1_024;

/// Largest file of a trader's own page: what a bundled script takes, several times over.
pub const ASSET_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Open orders or positions in one unpaged list. The dashboard draws every one of them; a market maker's thousands
/// are for the paged routes and the WebSocket.
pub const OPEN_LIST_MAX: usize = 1_000;

/// Orders in one question for charges: what a basket holds, several times over, and no more than a body has room for.
pub const QUOTES_MAX: usize = 200;

/// Alerts where the caller does not say (CONTRACT.md section 2).
pub const ALERTS_DEFAULT: usize = 10;

/// Price levels of a side where the caller does not say, and at most.
pub const DEPTH_DEFAULT: usize = 5;
pub const DEPTH_MAX: usize = 50;

/// Threads that a server may be given.
pub const THREADS_MAX: usize = 64;

const _: () = assert!(PAGE_DEFAULT <= PAGE_MAX && PAGE_MAX <= PAGE_SCAN_MAX);
