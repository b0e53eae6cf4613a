//! Serving a WebSocket connection: what the client says, and the answers to it.

use std::borrow::Cow;

use engine::Text;
use tungstenite::protocol::frame::coding::CloseCode;

use super::answer::Answer;
use super::buffers::{Input, Output};
use super::connection::Pause;
use super::core::Core;
use super::order_lane::{self, Decoded};
use super::replies::{Address, ReplyTo};
use super::router::{OrderName, OrderRoute};
use super::serve_http::Peer;
use super::ws::channels::Channel;
use super::ws::message::{self, OrderRequest, Request};
use super::ws::session::{Heard, WsSession, append_text_frame};
use crate::auth::Principal;
use crate::latency::{Durations, Stage};
use crate::limits::{PIPELINE_MAX, WS_CORRELATION_BYTES_MAX, WS_QUEUE_BYTES_MAX};
use crate::wire::Object;

/// Hears every message that may be heard now.
pub(crate) fn serve(
    core: &mut Core,
    peer: Peer,
    session: &mut WsSession,
    input: &mut Input,
    output: &mut Output,
    scratch: &mut Vec<u8>,
) -> Pause {
    if core.stopping {
        if session.in_flight == 0 {
            session.close(output, CloseCode::Away, "the server is stopping");
        }
        return Pause::Answers;
    }
    while session.in_flight < PIPELINE_MAX {
        if output.len() >= WS_QUEUE_BYTES_MAX {
            return Pause::Output;
        }
        match session.hear(input, output, core.now) {
            Heard::Text(text) => hear(core, peer, session, &text, output, scratch),
            Heard::Other => {}
            Heard::Nothing | Heard::Closed => return Pause::Input,
        }
    }
    Pause::Answers
}

fn hear(
    core: &mut Core,
    peer: Peer,
    session: &mut WsSession,
    text: &str,
    output: &mut Output,
    scratch: &mut Vec<u8>,
) {
    match message::parse(text) {
        Some(Request::Ping) => output.append(|tail| append_text_frame(tail, br#"{"type":"pong"}"#)),
        Some(Request::Subscribe(wanted)) => session.wanted = wanted,
        Some(Request::Channels { names, begin, wanted }) => {
            session.wanted = wanted.unwrap_or(session.wanted);
            change_channels(core, peer, session, &names, begin, scratch);
            output.append(|tail| append_text_frame(tail, scratch));
        }
        Some(Request::Unanswerable(kind)) => {
            let details = format!(
                "id must be a string or a number whose JSON has at most {WS_CORRELATION_BYTES_MAX} bytes"
            );
            let answer = Answer::invalid("Invalid request", &details);
            write_reply(scratch, kind.as_str(), None, answer.status, &answer.body, None);
            output.append(|tail| append_text_frame(tail, scratch));
        }
        Some(Request::Order {
            kind,
            correlation,
            timings,
            data,
        }) => {
            let to = ReplyTo {
                connection: peer.index,
                serial: peer.serial,
                address: Address::WebSocket {
                    request: kind.as_str(),
                    correlation: correlation.and_then(Text::new),
                    timings,
                },
                stamps: peer.stamps(),
            };
            let result = decode(kind, data, &session.who, core).and_then(|decoded| core.submit(decoded, to));
            match result {
                Ok(()) => session.in_flight += 1,
                Err(answer) => {
                    write_reply(
                        scratch,
                        kind.as_str(),
                        correlation,
                        answer.status,
                        &answer.body,
                        None,
                    );
                    output.append(|tail| append_text_frame(tail, scratch));
                }
            }
        }
        None => {}
    }
}

/// Begins or ends channels and writes the answer over what `out` held. A new channel's present state follows when the
/// session is topped up.
fn change_channels(
    core: &mut Core,
    peer: Peer,
    session: &mut WsSession,
    names: &[Cow<'_, str>],
    begin: bool,
    out: &mut Vec<u8>,
) {
    let mut refused = Vec::new();
    for name in names {
        match Channel::parse(name, &core.directory) {
            Some(channel) if !begin => {
                session.subscriptions.remove(channel);
                core.market.leave(channel, peer.index);
            }
            Some(channel) if session.subscriptions.add(channel) => {
                core.market.join(channel, peer.index);
                session.subscriptions.postpone(channel);
            }
            _ => refused.push(name),
        }
    }
    out.clear();
    let mut answer = Object::begin(out);
    answer.string("type", "channels").array("channels", |list| {
        for channel in session.subscriptions.channels() {
            list.string(&channel.name(&core.directory).to_string());
        }
    });
    answer.array("refused", |list| {
        for name in refused {
            list.string(name);
        }
    });
}

fn decode(kind: OrderRequest, data: &str, who: &Principal, core: &Core) -> Result<Decoded, Answer> {
    let route = match kind {
        OrderRequest::Place => OrderRoute::Place,
        OrderRequest::CancelAll => OrderRoute::CancelAll,
        OrderRequest::Validate => OrderRoute::Validate,
        OrderRequest::Heartbeat => OrderRoute::Heartbeat,
        OrderRequest::Modify => OrderRoute::Modify(OrderName::Body),
        OrderRequest::Cancel => OrderRoute::Cancel(OrderName::Body),
    };
    order_lane::decode(route, data.as_bytes(), None, who, &core.directory)
}

/// Writes `{"type":"reply", …}` over what `out` held; with `timings` where they were asked for.
pub(crate) fn write_reply(
    out: &mut Vec<u8>,
    request: &str,
    correlation: Option<&str>,
    status: u16,
    body: &[u8],
    timings: Option<&Durations>,
) {
    out.clear();
    let mut reply = Object::begin(out);
    reply.string("type", "reply").string("request", request);
    match correlation {
        Some(correlation) => reply.raw("id", correlation.as_bytes()),
        None => reply.null("id"),
    };
    reply.number("status", status).raw("data", body);
    if let Some(durations) = timings {
        reply.object("timings_ns", |row| {
            for (stage, nanos) in Stage::ALL.into_iter().zip(durations) {
                row.optional_number(stage.as_str(), *nanos);
            }
        });
    }
}
