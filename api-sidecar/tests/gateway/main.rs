//! The gateway over real sockets, with a scripted engine behind its rings and a scripted REST service behind its relay.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod allocations;
mod auth;
mod fan_out;
mod http;
mod orders;
mod relay;
mod stop;
mod stream;
mod support;
mod tunnel;
mod upload;
mod ws;
