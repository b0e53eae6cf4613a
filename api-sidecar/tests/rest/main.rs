//! The REST half as the gateway sees it: raw requests over its Unix socket, a read model fed by hand-written commands.
#![allow(clippy::unwrap_used, reason = "a test panics where its own data is wrong")]

mod authority;
mod charges;
mod csv;
mod floor;
mod latency;
mod paging;
mod server;
mod shapes;
