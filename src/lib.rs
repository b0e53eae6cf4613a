//! The composition root of Pinion: configuration, command line and genesis. `main.rs` wires the rings and threads.

pub mod cli;
pub mod config;
pub mod genesis;
pub mod instruments;
pub mod keys;
pub mod limits;
