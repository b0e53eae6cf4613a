//! Every bound of the edge, with its reason. Nothing that a client sends makes this crate hold more than these.

use std::time::Duration;

/// Largest request head (request line and headers), in bytes: twice what browsers with large cookies send.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Most header fields of a request.
pub const HEADERS_MAX: usize = 64;

/// Longest request target, in bytes. Longer ones are answered 414.
pub const TARGET_BYTES_MAX: usize = 8 * 1024;

/// Most segments of a path; ours have five.
pub const PATH_SEGMENTS_MAX: usize = 8;

/// Largest body of a request: an order with full metadata takes about 3 KiB.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// Deepest nesting of an order's metadata: it is read back inside lists and messages by parsers that go to 100 or 128.
pub const METADATA_DEPTH_MAX: usize = 64;

/// Unread input of one connection: one request, whole.
pub const INPUT_BYTES_MAX: usize = HEAD_BYTES_MAX + BODY_BYTES_MAX;

/// Bytes asked of a socket at once.
pub const READ_BYTES: usize = 16 * 1024;

/// Largest WebSocket message and frame, in bytes (DESIGN.md section 6).
pub const WS_MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Output queued for one WebSocket client before it counts as too slow and is closed (DESIGN.md section 6).
pub const WS_QUEUE_BYTES_MAX: usize = 256 * 1024;

/// Event types that one `subscribe` may name; there are about twenty.
pub const WS_SUBSCRIBE_EVENTS_MAX: usize = 64;

/// Longest correlation id of a WebSocket request, in bytes of its JSON text.
pub const WS_CORRELATION_BYTES_MAX: usize = 66;

/// Pushed messages remembered for clients that lost their connection, and their bytes: some minutes of a busy desk. At
/// about 40 bytes a message besides its text.
pub const WS_HISTORY_MESSAGES_MAX: usize = 32 * 1024;
pub const WS_HISTORY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Market data channels of one connection: four for each symbol of a long watch list.
pub const WS_CHANNELS_MAX: usize = 256;

/// Output queued for one WebSocket client from which on market data is conflated: it gets the state as it is when it
/// has caught up. Also what is queued at once of a history that a client missed.
pub const WS_CONFLATE_BYTES: usize = 64 * 1024;

/// Depths and P&L on their way to the gateway; when it is full the publisher tries again at its next turn.
pub const FIGURES_RING: usize = 1_024;

/// How often depths and P&L are looked at: no channel changes more often than this.
pub const FIGURES_INTERVAL: Duration = Duration::from_millis(100);

/// How often an account's P&L is told while only its marks move (CONTRACT.md section 0, `position:updated`).
pub const PNL_INTERVAL: Duration = Duration::from_secs(2);

/// Order-lane requests in flight on one connection (DESIGN.md section 6).
pub const PIPELINE_MAX: usize = 64;

/// Order-lane requests in flight in all: what the engine's request ring may hold, several times over.
pub const PENDING_MAX: usize = 64 * 1024;

/// Connections at once. Each costs a descriptor and, idle, under 1 KiB.
pub const CONNECTIONS_MAX: usize = 4_096;

/// Connections at once from one address: about forty open pages, or a desk of strategies behind one host.
pub const CONNECTIONS_PER_ADDRESS_MAX: u32 = 512;

/// Connections accepted in one turn of the loop, so that a flood of connects cannot delay an order.
pub const ACCEPTS_PER_TURN: usize = 64;

/// Relayed requests at once (DESIGN.md section 6).
pub const RELAYS_MAX: usize = 64;

/// Those of one address, so that others always get theirs: eight pages that load at the same moment.
pub const RELAYS_PER_ADDRESS_MAX: usize = 48;

/// Those that the application behind us answers, so that one that hangs leaves room for our own reads, from the same
/// address too.
pub const RELAYS_OF_APPLICATION_MAX: usize = 40;

/// Downloads at once, of all relays (DESIGN.md section 6): each holds a REST thread for as long as its client reads.
pub const DOWNLOADS_MAX: usize = 2;

/// Uploads to the application behind us at once, of all relays: each lasts as long as its client takes to send it.
pub const UPLOADS_MAX: usize = 16;

/// Largest body that the application behind us may be sent: far above what any takes. What it permits is its own
/// business, because a body that is larger than [`BODY_BYTES_MAX`] passes through and is never held here whole.
pub const UPLOAD_BYTES_MAX: usize = 1 << 40;

/// Bytes of an upload that wait for the application before more of it waits for its client.
pub const UPLOAD_QUEUE_BYTES_MAX: usize = 64 * 1024;

/// Time that an upload may stand still, on either side; less than [`STALL_BYTES_MIN`] from its client is standing still.
pub const UPLOAD_STALL_TIME_MAX: Duration = Duration::from_secs(30);

/// Bytes of relayed answers and pushed events moved in one turn of the loop (DESIGN.md section 6).
pub const BULK_BYTES_PER_TURN: usize = 64 * 1024;

/// Connections whose bulk is moved in one turn: each write of a pushed event costs about 10 µs.
pub const BULK_CONNECTIONS_PER_TURN: usize = 32;

/// A relayed answer queued for a client before reading more of it waits for the client.
pub const RELAY_QUEUE_BYTES_MAX: usize = 64 * 1024;

/// Largest head of a relayed answer: our own handlers write it.
pub const RELAY_HEAD_BYTES_MAX: usize = 8 * 1024;

/// Largest head of an answer of the application behind us: it may set a dozen cookies of 4 KiB each.
pub const APPLICATION_HEAD_BYTES_MAX: usize = 64 * 1024;

/// Items of the engine's output taken in one turn before sockets are served again.
pub const OUTBOUND_PER_TURN: usize = 4_096;

/// Time from the first byte of a head to its last, and again for a body.
pub const REQUEST_TIME_MAX: Duration = Duration::from_secs(10);

/// Time that a connection may stay idle between requests, or before its first.
pub const IDLE_TIME_MAX: Duration = Duration::from_secs(75);

/// The same where a connection has just been refused that its place would have been for.
pub const IDLE_TIME_WANTED: Duration = Duration::from_secs(2);

/// Time that a client may leave its answers unread (DESIGN.md section 6).
pub const STALL_TIME_MAX: Duration = Duration::from_secs(30);

/// What it has to take in that time where more is queued: a byte now and then is no progress.
pub const STALL_BYTES_MIN: usize = 4 * 1024;

/// The same time for the client of a relayed request while another is refused because too many go on.
pub const SLOT_STALL_TIME_MAX: Duration = Duration::from_secs(2);

/// Time that the REST handlers may take before the first byte of an answer.
pub const RELAY_ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// Time that whoever answers a relayed request may let pass between two parts of its body: what other proxies give.
pub const RELAY_BODY_TIME_MAX: Duration = Duration::from_secs(60);

/// Silence of a WebSocket client after which it is pinged, and silence after the ping after which it is closed. The
/// existing dashboard pings every 30 s.
pub const WS_SILENCE: Duration = Duration::from_secs(45);

/// Time between our last byte and closing a socket, in which what the client still sends is read and thrown away, so
/// that a reset does not overtake the answer.
pub const LINGER_TIME_MAX: Duration = Duration::from_secs(2);

/// Time that a reply may be held for the journal before it becomes 503 `outcome_unknown` (DESIGN.md section 5).
pub const HELD_TIME_MAX: Duration = Duration::from_secs(5);

/// Time given to answers in flight at a stop: they may be held for the journal, and then must reach their client.
pub const STOP_TIME_MAX: Duration = Duration::from_secs(7);

/// Longest latency that is told apart from longer ones, in nanoseconds: held answers are given up far earlier.
pub const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// Requests whose latency waits while a reader copies the histograms, which takes about 0.1 ms.
pub const LATENCY_SPILL_MAX: usize = 4_096;

/// How often deadlines are looked at; all of them are at least twenty times longer.
pub const SWEEP_INTERVAL: Duration = Duration::from_millis(100);

/// How long the loop polls without sleeping after the last sign of work while a reply is in flight: about one
/// fdatasync of the journal on the reference machine.
pub const SPIN_TIME_MAX: Duration = Duration::from_micros(200);

/// The same where answers do not wait for the journal: the engine is at work, and nobody will ring when it is done.
pub const SPIN_TIME_MAX_MEMORY: Duration = Duration::from_millis(5);

/// Looks at the engine's ring, each followed by an offer of the core, between two polls of the sockets while spinning.
/// A look at the ring costs nothing, one at the sockets a system call.
pub const YIELDS_PER_POLL: usize = 4;

/// Looks before each of those offers where the engine has a core of its own: some 2 µs, in which it decides.
pub const LOOKS_PER_YIELD: usize = 128;

/// Longest sleep while a reply is in flight. Nobody rings the doorbell for a validation, which is never journaled.
pub const SLEEP_IN_FLIGHT: Duration = Duration::from_millis(1);

/// Longest sleep otherwise: bounds how late a stop is seen when nobody rings.
pub const SLEEP_IDLE: Duration = Duration::from_millis(250);

/// Largest amount that a limit in rupees or a cash adjustment may name, ₹10^12: a thousand of them still sum below the
/// 2^63 paise of [`engine::Money`].
pub const CASH_MAX: engine::Money = engine::Money::from_paise(100_000_000_000_000);

/// Highest MIS leverage that may be set: what a configuration file may say.
pub const LEVERAGE_MAX: u32 = 100;

/// Highest reward-to-risk ratio that may be demanded.
pub const RISK_REWARD_MAX: u32 = 1_000;

const _: () =
    assert!(RELAYS_OF_APPLICATION_MAX < RELAYS_PER_ADDRESS_MAX && RELAYS_PER_ADDRESS_MAX < RELAYS_MAX);
const _: () = assert!(WS_CONFLATE_BYTES < WS_QUEUE_BYTES_MAX);
const _: () = assert!(WS_HISTORY_BYTES_MAX > WS_QUEUE_BYTES_MAX);
const _: () = assert!(READ_BYTES <= INPUT_BYTES_MAX);
const _: () = assert!(
    WS_MESSAGE_BYTES_MAX + 14 <= INPUT_BYTES_MAX,
    "a frame and its header fit the input"
);
const _: () = assert!(BODY_BYTES_MAX > 2 * engine::limits::METADATA_LEN_MAX);
const _: () = assert!(STOP_TIME_MAX.as_millis() > HELD_TIME_MAX.as_millis());

/// Notices of other threads that wait for the engine. Each is told at the beginning of a trouble, and there are few kinds.
pub const NOTICES_MAX: usize = 64;
