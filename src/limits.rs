//! Every bound of the composition root, with its reason.

use std::time::Duration;

use engine::Money;

/// Largest configuration file in bytes. A thousand accounts take about 200 KiB; more is the wrong file.
pub const CONFIG_FILE_BYTES_MAX: u64 = 1 << 20;

/// Largest instrument file in bytes. All of NSE's equities take about 200 KiB.
pub const INSTRUMENT_FILE_BYTES_MAX: u64 = 4 << 20;

/// API keys of one account: one in use, one being rotated in, and room for a few programs.
pub const KEYS_PER_ACCOUNT_MAX: usize = 16;

/// Extra browser origins: an Origin check walks the list.
pub const ALLOWED_ORIGINS_MAX: usize = 32;

/// Longest name of an account or profile, in bytes: what the engine's texts hold.
pub const NAME_LEN_MAX: usize = 32;

/// Largest opening balance, ₹10^12: a thousand such accounts still sum below the 2^63 paise of [`Money`].
pub const BALANCE_MAX: Money = Money::from_paise(100_000_000_000_000);

/// Highest MIS leverage. Brokers grant 5; above this a typing error is likelier than a wish.
pub const LEVERAGE_MAX: u32 = 100;

/// Highest cap of an order's brokerage: ₹1 lakh. What an exchange's members charge is below ₹100.
pub const BROKERAGE_CAP_MAX: Money = Money::from_paise(10_000_000);

/// Highest reward-to-risk ratio that may be demanded.
pub const RISK_REWARD_MAX: u32 = 1_000;

/// Instruments that the engine may be built for: all of NSE and BSE are about 8,000.
pub const INSTRUMENT_CAPACITY_MAX: u32 = 1 << 16;

/// `client_order_id`s that the engine may remember for a day, at about 150 bytes each.
pub const CLIENT_ORDER_ID_CAPACITY_MAX: u32 = 1 << 26;

/// Position keys that the engine may be built for.
pub const POSITION_CAPACITY_MAX: u32 = 1 << 26;

/// Cores from which the engine thread busy-spins by default; with fewer, spinning starves the other threads.
pub const BUSY_SPIN_CORES_MIN: usize = 4;

/// Random bytes of an API key: 256 bits, so that its plain SHA-256 needs no salt and no stretching.
pub const KEY_RANDOM_BYTES: usize = 32;

const _: () = assert!(BALANCE_MAX.paise() < i64::MAX / 1_000);

/// Requests under way from the gateway to the engine; beyond it clients get 503.
pub const GATEWAY_RING: usize = 4_096;

/// Simulated commands under way to the engine; beyond it the simulator leaves out a step.
pub const MARKET_RING: usize = 1_024;

/// Decisions not yet written: what a slow disk may fall behind before the engine waits for it.
pub const JOURNAL_RING: usize = 4_096;

/// Events not yet released to clients: room for several calls of the engine of 4,096 events each, so that an
/// fdatasync does not hold up the next decision.
pub const OUTBOUND_RING: usize = 16_384;

/// File descriptors of a full gateway: each connection, each relayed request on both of its ends, and journal, tables,
/// snapshots and archives.
pub const DESCRIPTORS: u64 =
    (api_sidecar::limits::CONNECTIONS_MAX + 2 * api_sidecar::limits::RELAYS_MAX + 512) as u64;

/// Threads that answer reads (DESIGN.md section 4).
pub const REST_THREADS: usize = 4;

/// How long the read model may take to show what the start sequenced.
pub const START_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a reconciliation waits for the read model to reach the tables, and in all: less than the relay waits for
/// REST (`api_sidecar::limits::RELAY_ANSWER_TIME_MAX`).
pub const READ_MODEL_WAIT: Duration = Duration::from_secs(2);
pub const RECONCILE_TIMEOUT: Duration = Duration::from_secs(15);

/// How often `pinion reconcile` follows tables that move while it reads.
pub const RECONCILE_ATTEMPTS: u32 = 5;

/// How long each thread may take to end. The gateway answers what is in flight first, which takes up to 5 s.
pub const THREAD_END_TIMEOUT: Duration = Duration::from_secs(10);

/// Readers of the tables at a time, fewer than the threads that answer reads: a database that hangs leaves the others.
pub const EARLIER_READERS: usize = 2;

/// How long a read waits for one of them; then 503.
pub const EARLIER_WAIT: Duration = Duration::from_secs(1);

/// How long a read waits for tables that are behind; then 503.
pub const EARLIER_CATCH_UP: Duration = Duration::from_secs(2);

/// Between two looks at them.
pub const EARLIER_PAUSE: Duration = Duration::from_millis(20);

/// How long PostgreSQL may take for a page of history before its connection is given up; then 503.
pub const EARLIER_ANSWER_TIME: Duration = Duration::from_secs(10);

/// Rows of the tables that one page looks at before it answers with what it found and a cursor: a filter that matches little
/// takes some 10 ms of either database, however many rows there are.
pub const EARLIER_SCAN_MAX: usize = 10_000;

const _: () = assert!(EARLIER_READERS < REST_THREADS);
