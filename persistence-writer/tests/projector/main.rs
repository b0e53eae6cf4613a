//! The projector over real journals and real databases.
#![allow(clippy::unwrap_used, reason = "a test panics where its own data is wrong")]

mod cluster;
mod journal;
mod postgres;
mod rows;
mod session;
mod sqlite;
