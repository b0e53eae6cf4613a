//! The read model: today's orders, fills, positions and alerts, folded from the same commands as the engine's own
//! state and through the same engine code.
//!
//! [`ReadModel`] is the fold; [`SharedReadModel`] lets one thread fold while others read, and lets a reader wait for a
//! position of the journal (read-your-writes). Nothing here is on the path of an order. Venue accounts are absent:
//! the engine emits no account events for them.

mod alerts;
mod counters;
mod definitions;
mod fills;
mod foreseen;
mod history;
mod kills;
pub mod limits;
mod log;
mod model;
mod orders;
mod positions;
mod rejection_numbers;
mod shared;
mod snapshot;
mod stories;

pub use alerts::{AlertRecord, AlertSubject};
pub use counters::DayCounters;
pub use definitions::Definitions;
pub use fills::FillRecord;
pub use foreseen::{Checks, Foreseen};
pub use history::{Divergence, History};
pub use kills::ActiveKill;
pub use model::ReadModel;
pub use orders::{Order, Orders};
pub use positions::{ClosedPosition, OpenPosition, Positions};
pub use rejection_numbers::{Figure, RejectionNumbers};
pub use shared::SharedReadModel;
pub use snapshot::RestoreError;
pub use stories::{ChargeSums, Effect, Explanation, Running, Start};
