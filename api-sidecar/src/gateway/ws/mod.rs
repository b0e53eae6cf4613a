//! WebSocket `/ws/oms`: pushed events and order entry on one socket.
//!
//! Client to server, besides `ping` and `subscribe` (CONTRACT.md section 3), order entry:
//!
//! ```json
//! {"type": "order:place",       "id": "c-1", "data": { order body of POST /orders }}
//! {"type": "order:validate",    "id": "c-2", "data": { order body }}
//! {"type": "order:modify",      "id": "c-3", "data": {"order_id": 7, "quantity": 5, "price": 2450.00}}
//! {"type": "order:cancel",      "id": "c-4", "data": {"client_order_id": "abc"}}
//! {"type": "orders:cancel_all", "id": "c-5", "data": {"symbol": "SBIN"}}
//! {"type": "heartbeat",         "id": "c-6", "data": {"timeout_s": 5}}
//! ```
//!
//! `id` is the client's own (a string or a number of at most 64 bytes) and may be left out. Each is answered once, in
//! the order of decisions, after the events that it caused:
//!
//! ```json
//! {"type": "reply", "request": "order:place", "id": "c-1", "status": 201, "data": { body of the HTTP answer }}
//! ```
//!
//! `status` is the HTTP status that the same request would have had. Messages of other types are ignored.
//!
//! Every pushed message carries `"cursor": "SEQ:INDEX"`. A client that opens `/ws/oms?resume=CURSOR` with the last one
//! it saw is first told what it missed, in order and each once, then what is new; where that is too long ago it gets
//! `{"type": "resync", "cursor": …}` instead and has to read the present state.
//!
//! While trading is stopped because the journal failed in an earlier run, the first message of every socket is that
//! `risk:alert`, `journal_error`: it was raised before anybody could be connected.
//!
//! Market data is asked for by channel, and conflated for a client that is slow to take it:
//!
//! ```json
//! {"type": "subscribe",   "channels": ["l1:SBIN", "depth:SBIN", "depth:SBIN:20", "trades:SBIN"]}
//! {"type": "unsubscribe", "channels": ["l1:SBIN"]}
//! ```
//!
//! Both are answered with `{"type": "channels", "channels": [all that are held], "refused": [unknown or too many]}`,
//! and a new channel at once with its present state.

pub(crate) mod channels;
pub(crate) mod cursor;
pub(crate) mod events;
pub(crate) mod handshake;
pub(crate) mod history;
pub(crate) mod message;
pub(crate) mod session;
pub(crate) mod standing;
