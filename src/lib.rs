//! The composition root of Pinion: configuration, command line, genesis, and [`serve`], which wires rings and threads.

pub mod archive;
pub mod base;
pub mod bench;
pub mod cli;
pub mod clock;
pub mod config;
mod descriptors;
pub mod diff;
pub mod earlier;
pub mod engine_thread;
pub mod facts;
pub mod fold;
pub mod genesis;
pub mod instruments;
pub mod keys;
pub mod limits;
pub mod placement;
pub mod repair;
pub mod replay;
pub mod sequencer;
pub mod serve;
pub mod tables;
pub mod verify;
