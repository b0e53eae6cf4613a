//! The edge of Pinion: everything that speaks to a client.
//!
//! - [`gateway`] owns port 8050 with one thread: it frames HTTP and WebSocket, authenticates, decodes the order lane
//!   into the engine's ring, answers from the engine's output, and relays every other request;
//! - [`rest`] answers the relayed requests from the read model, behind a private Unix socket.
//!
//! [`latency`] is where the time of an order-lane request went, told by both.
//!
//! The two share [`auth`] (who asks), [`wire`] (how values look in JSON) and [`limits`].

pub mod auth;
pub mod gateway;
pub mod latency;
pub mod limits;
pub mod rest;
pub mod wire;
