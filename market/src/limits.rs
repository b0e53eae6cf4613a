//! Every bound of the market simulator, with its reason.

use std::time::Duration;

/// Most commands of one step. A step goes onto the ring as a whole, so this is also the longest run of simulated
/// commands that a trader's order can find before it: well under a millisecond of the engine's time.
pub const COMMANDS_PER_STEP_MAX: usize = 64;

/// Most price levels on each side of a quoted ladder: one instrument's step (both sides, one mass cancel, one print)
/// must fit in [`COMMANDS_PER_STEP_MAX`].
pub const LEVELS_MAX: usize = 20;

/// Shortest time between two steps. With very many instruments each is quoted less often instead of the thread
/// spinning.
pub const STEP_INTERVAL_MIN: Duration = Duration::from_millis(2);

/// Longest sleep of the thread, hence the longest that it takes to see `stop`.
pub const SLEEP_MAX: Duration = Duration::from_millis(50);

/// Most shares of one simulated order, so that a low-priced share does not get a book of millions.
pub const ORDER_SHARES_MAX: u32 = 50_000;

const _: () = assert!(2 * LEVELS_MAX + 2 <= COMMANDS_PER_STEP_MAX);
