//! The projector over real journals and real databases.
#![allow(clippy::unwrap_used, reason = "a test panics where its own data is wrong")]

mod adoption;
mod bench;
mod both;
mod cluster;
mod earlier;
mod faults;
mod journal;
mod plans;
mod postgres;
mod proxy;
mod reconcile;
mod rows;
mod session;
mod snapshots;
mod sqlite;
mod tls;
