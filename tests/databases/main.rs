//! The whole of Pinion over real databases: what its users see of the tables, and what becomes of processes.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "a test panics where its own data is wrong; the support is shared"
)]

mod adopted;
mod earlier_days;
mod old_client;
mod processes;
mod reader;

#[path = "../../persistence-writer/tests/projector/cluster.rs"]
mod cluster;
#[path = "../../persistence-writer/tests/projector/journal.rs"]
mod journal;
#[path = "../../persistence-writer/tests/projector/session.rs"]
mod session;
#[path = "../end_to_end/support/mod.rs"]
mod support;
