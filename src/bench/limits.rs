//! Bounds of the benchmarks, with their reasons.

/// Records of the prefill, which brings a book to about a thousand resting orders before the timed commands.
pub const PREFILL: usize = 1_000;

/// Commands of one run: a hundred times the largest row of the table; 1.6 GB of records.
pub const COMMANDS_MAX: usize = 100_000_000;

/// The generated prices, in ticks. Market orders are limits at the ends.
pub const PRICE_LOW: u32 = 2;
pub const PRICE_HIGH: u32 = 65_000;

/// The price that a stream starts from, where there has been no trade.
pub const PRICE_START: u32 = 32_768;

/// Orders resting at once: the generator holds them near a thousand, so eight times that is never reached.
pub const RESTING_MAX: u32 = 8_192;

/// Timed passes over one stream, of which the median is reported. Odd, so that the median is one of them.
pub const TIMED_PASSES: usize = 5;

/// Orders that one lane of the gateway's benchmark places: two lanes' orders rest in the engine's pool of 2^18.
pub const GATEWAY_BENCH_REQUESTS_MAX: u64 = 110_000;

/// How long a lane sends before the next has its turn: short against the machine's moods, long against a turn's start.
pub const GATEWAY_BENCH_TURN: std::time::Duration = std::time::Duration::from_millis(500);

/// Bare fdatasyncs, for their median.
pub const GATEWAY_BENCH_SYNCS: u32 = 1_000;

/// Clients of the fan-out from one loopback address: below the gateway's limit for one.
pub const FAN_OUT_CLIENTS_PER_ADDRESS: u32 = 400;

/// Orders of the fan-out before its clients connect: what they touch is part of the idle process.
pub const FAN_OUT_WARM_UP: u32 = 100;

/// How long the fan-out waits for an event or an answer.
pub const FAN_OUT_PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

const _: () = assert!(FAN_OUT_CLIENTS_PER_ADDRESS < api_sidecar::limits::CONNECTIONS_PER_ADDRESS_MAX);

/// Timed passes of workload C and of full runs, whose preparation takes longer. Odd, too.
pub const TIMED_PASSES_LONG: usize = 3;

/// Timed passes of workload C through the full engine: each begins with 200,000 accounts and a million orders.
pub const TIMED_PASSES_C: usize = 1;

/// Orders that workload E may have resting at once: about 40,000 when the price stands still.
pub const RESTING_MAX_E: u32 = 1 << 17;

/// Slots of the ring that workload E's reports cross: a burst of a few milliseconds, 2 MiB.
pub const REPORT_RING: usize = 1 << 16;

const _: () = assert!(TIMED_PASSES_LONG % 2 == 1);
const _: () = assert!(TIMED_PASSES % 2 == 1);

/// Commands of the gateway by which the loop's turns are seen: so few that their events fit into the outbound ring even
/// where nobody reads (some 20 items a command, and a turn begins only beside 4,096 free slots).
pub const TURN_COMMANDS: usize = 320;

/// Records that go to the replay beside a checked pass at once, and how many such chunks may wait: some MiB.
pub const REPLAY_CHUNK: usize = 1_024;
pub const REPLAY_CHUNKS: usize = 64;

/// Commands of one timed batch of a curve: some 10 ms, long against what the preparation leaves in the caches.
pub const CURVE_BATCH: usize = 100_000;

/// The same where only whether it works counts.
pub const CURVE_BATCH_QUICK: usize = 2_000;

/// Memory that a resting order of a curve may take, with its account's and the flow's share of bookkeeping; a point that
/// would not fit is left out.
pub const CURVE_BYTES_PER_ORDER: u64 = 800;

const _: () = assert!(CURVE_BATCH.is_multiple_of(4) && CURVE_BATCH_QUICK.is_multiple_of(4));
