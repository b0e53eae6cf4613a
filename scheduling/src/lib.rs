//! Who has the core, where more threads have work than there are cores.
//!
//! - [`SharedCore`]: the engine sleeps, instead of yielding, while others work on its core, and is woken for the next order; where
//!   somebody takes it unannounced, who waits for the engine fetches it to another core.
//! - [`shorten_time_slice`]: the thread that is woken then takes the core at once.

mod shared_core;
mod time_slice;

pub use shared_core::{AWAY_TIME, FETCH_AFTER, Overdue, SharedCore, Work};
pub use time_slice::{TIME_SLICE, shorten_time_slice};
