//! Who has the core, where more threads have work than there are cores.
//!
//! - [`SharedCore`]: the engine sleeps, instead of yielding, while others work on its core, and is woken for the next order.
//! - [`shorten_time_slice`]: the thread that is woken then takes the core at once.

mod shared_core;
mod time_slice;

pub use shared_core::{SharedCore, Work};
pub use time_slice::{TIME_SLICE, shorten_time_slice};
