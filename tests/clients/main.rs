//! Clients that others wrote, against the real binary: what they expect of an HTTP or WebSocket server is not what we
//! think of ourselves.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    dead_code,
    reason = "a test panics where its own data is wrong; the support of the end-to-end tests is used in part"
)]

mod market_data;
mod openapi;
mod own_page;
mod programs;
mod python;
#[path = "../end_to_end/support/mod.rs"]
mod support;
