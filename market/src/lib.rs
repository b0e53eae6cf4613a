//! The paper market: a seeded simulator that quotes two-sided books and prints trades, so that a trader's order has
//! something to trade with.
//!
//! [`Simulator`] is a pure generator: a seed, the instruments and the times of its steps give the same [`Command`]s
//! on any machine. [`run`] is the body of the thread `market`, which steps it on a timer and puts its commands on a
//! ring of its own to the engine. The simulator acts through two venue accounts (DESIGN.md section 3), is sequenced
//! like any other client, and needs no answers.
//!
//! [`Command`]: engine::Command

pub mod limits;
mod random;
mod run;
mod simulator;
mod walk;

pub use run::{Summary, run};
pub use simulator::{SimInstrument, Simulator, SimulatorSettings};
