//! What a client may say on the socket.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::fields::{self, Raw};
use super::super::order_body::parse_object;
use super::events::Push;
use crate::limits::{WS_CHANNELS_MAX, WS_CORRELATION_BYTES_MAX, WS_SUBSCRIBE_EVENTS_MAX};

#[derive(Deserialize)]
struct Envelope<'b> {
    #[serde(borrow, rename = "type")]
    kind: Raw<'b>,
    id: Raw<'b>,
    timings: Raw<'b>,
    data: Raw<'b>,
    events: Raw<'b>,
    channels: Raw<'b>,
}

/// A message that asks for something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Request<'b> {
    Ping,
    /// The bits of the types that the client wants from now on.
    Subscribe(u32),
    /// Market data to begin or to end, as the client names it; and the types as of [`Request::Subscribe`], where the
    /// message has those too.
    Channels {
        names: Vec<Cow<'b, str>>,
        begin: bool,
        wanted: Option<u32>,
    },
    /// An order-lane request whose `id` could not be given back: it is refused, because its answer could not be told
    /// from others.
    Unanswerable(OrderRequest),
    Order {
        kind: OrderRequest,
        /// JSON text of the client's correlation id.
        correlation: Option<&'b str>,
        /// Whether the answer shall tell how long each stage took.
        timings: bool,
        /// JSON text of `data`; empty where it is absent.
        data: &'b str,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OrderRequest {
    Place,
    Modify,
    Cancel,
    CancelAll,
    Validate,
    Heartbeat,
}

impl OrderRequest {
    const ALL: [OrderRequest; 6] = [
        OrderRequest::Place,
        OrderRequest::Modify,
        OrderRequest::Cancel,
        OrderRequest::CancelAll,
        OrderRequest::Validate,
        OrderRequest::Heartbeat,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            OrderRequest::Place => "order:place",
            OrderRequest::Modify => "order:modify",
            OrderRequest::Cancel => "order:cancel",
            OrderRequest::CancelAll => "orders:cancel_all",
            OrderRequest::Validate => "order:validate",
            OrderRequest::Heartbeat => "heartbeat",
        }
    }
}

/// `None` for what is ignored: bad JSON, other types (CONTRACT.md section 3).
pub(crate) fn parse(text: &str) -> Option<Request<'_>> {
    let envelope: Envelope<'_> = parse_object(text).ok()?;
    let kind = fields::string("type", envelope.kind).ok()??;
    match &*kind {
        "ping" => return Some(Request::Ping),
        "subscribe" if envelope.channels.is_none() => return wanted(envelope.events).map(Request::Subscribe),
        "subscribe" | "unsubscribe" => {
            let names = list(envelope.channels, WS_CHANNELS_MAX)?;
            let begin = kind == "subscribe";
            return Some(Request::Channels {
                names,
                begin,
                wanted: wanted(envelope.events).filter(|_| begin),
            });
        }
        _ => {}
    }
    let kind = OrderRequest::ALL
        .into_iter()
        .find(|request| request.as_str() == kind)?;
    let correlation = match envelope.id.map(correlation) {
        Some(None) => return Some(Request::Unanswerable(kind)),
        given => given.flatten(),
    };
    Some(Request::Order {
        kind,
        correlation,
        timings: envelope.timings.is_some_and(|raw| raw.get() == "true"),
        data: envelope.data.map_or("", RawValue::get),
    })
}

/// A string or a number, short enough to be kept.
fn correlation(raw: &RawValue) -> Option<&str> {
    let text = raw.get().trim();
    let scalar = text.starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit());
    (scalar && text.len() <= WS_CORRELATION_BYTES_MAX).then_some(text)
}

/// `None` where the list changes nothing: it is not one, or it names only types that do not exist (the existing
/// client must not silence itself by a name of its own).
fn wanted(events: Raw<'_>) -> Option<u32> {
    let names = list(events, WS_SUBSCRIBE_EVENTS_MAX)?;
    if names.iter().any(|name| name == "*") {
        return Some(Push::ALL_BITS);
    }
    let bits = names
        .iter()
        .filter_map(|name| Push::by_name(name))
        .fold(0, |bits, push| bits | push.bit());
    (bits != 0 || names.is_empty()).then_some(bits)
}

/// At most `max` strings. `None` for anything else.
fn list<'b>(raw: Raw<'b>, max: usize) -> Option<Vec<Cow<'b, str>>> {
    let names: Vec<Cow<'b, str>> = serde_json::from_str(raw?.get()).ok()?;
    (names.len() <= max).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_understood_or_ignored() {
        let order = |kind, correlation, data| {
            Some(Request::Order {
                kind,
                correlation,
                timings: false,
                data,
            })
        };
        let long = format!(r#"{{"type":"order:cancel","id":"{}"}}"#, "x".repeat(80));
        for (text, expected) in [
            (r#"{"type":"ping"}"#, Some(Request::Ping)),
            (
                r#"{"type":"subscribe","events":["order:filled","risk:alert"]}"#,
                Some(Request::Subscribe(
                    Push::OrderFilled.bit() | Push::RiskAlert.bit(),
                )),
            ),
            (
                r#"{"type":"subscribe","events":["order:filled","*"]}"#,
                Some(Request::Subscribe(Push::ALL_BITS)),
            ),
            (r#"{"type":"subscribe","events":[]}"#, Some(Request::Subscribe(0))),
            (r#"{"type":"subscribe","events":["orders"]}"#, None),
            (r#"{"type":"subscribe","events":"order:filled"}"#, None),
            (r#"{"type":"subscribe"}"#, None),
            (
                r#"{"type":"unsubscribe","channels":["l1:SBIN"]}"#,
                Some(Request::Channels {
                    names: vec!["l1:SBIN".into()],
                    begin: false,
                    wanted: None,
                }),
            ),
            (
                r#"{"type":"subscribe","events":["order:filled"],"channels":["l1:SBIN"]}"#,
                Some(Request::Channels {
                    names: vec!["l1:SBIN".into()],
                    begin: true,
                    wanted: Some(Push::OrderFilled.bit()),
                }),
            ),
            (r#"{"type":"subscribe","channels":"l1:SBIN"}"#, None),
            (r#"{"type":"unsubscribe","events":["*"]}"#, None),
            (
                r#"{"type":"order:place","id":"a","data":{"x":1}}"#,
                order(OrderRequest::Place, Some("\"a\""), r#"{"x":1}"#),
            ),
            (
                r#"{"type":"orders:cancel_all","id":7}"#,
                order(OrderRequest::CancelAll, Some("7"), ""),
            ),
            (
                r#"{"type":"order:cancel","id":null}"#,
                order(OrderRequest::Cancel, None, ""),
            ),
            (
                r#"{"type":"order:place","id":[1]}"#,
                Some(Request::Unanswerable(OrderRequest::Place)),
            ),
            (
                r#"{"type":"order:place","id":true}"#,
                Some(Request::Unanswerable(OrderRequest::Place)),
            ),
            (&long, Some(Request::Unanswerable(OrderRequest::Cancel))),
            (
                r#"{"type":"heartbeat","id":1,"data":{"timeout_s":2}}"#,
                order(OrderRequest::Heartbeat, Some("1"), r#"{"timeout_s":2}"#),
            ),
            (r#"{"type":"order:fly"}"#, None),
            (r#"{"type":7}"#, None),
            ("[]", None),
            ("null", None),
            ("{", None),
            ("", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
