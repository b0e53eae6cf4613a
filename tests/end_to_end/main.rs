//! Pinion from the outside: the real binary, real sockets, a real disk.
//!
//! Every test starts its own servers on free ports and temporary directories, and ends them.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test panics where its own data is wrong, and nothing outside sees it"
)]

mod administration;
mod alerts;
mod authority;
mod bad_input;
mod browser;
mod closes;
mod conditions;
mod configuration;
mod crash;
mod crash_load;
mod disk_full;
mod io_errors;
mod kill_scopes;
mod kill_switch;
mod latency;
mod life_of_an_order;
mod order_attributes;
mod orders;
mod paper_market;
mod process;
mod reads;
mod risk_audit;
mod stops;
mod stream;
mod support;
mod tables;
