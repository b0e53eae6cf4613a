//! Serving an HTTP connection: requests out of its input, each to its lane.

use engine::lane::{self, Stamp};
use std::net::{IpAddr, SocketAddr};

use mio::Token;

use super::answer::{Answer, ResponseShape, write_options_response};
use super::buffers::{Input, Output};
use super::connection::Pause;
use super::core::Core;
use super::head::{Head, Method, TOO_LARGE};
use super::http::HttpSession;
use super::order_lane;
use super::relay::{Identity, Relay, RelayKind, asks_for_websocket, write_forwarded, write_request};
use super::replies::{Address, ReplyTo};
use super::router::{OrderRoute, Route, is_ours, route};
use super::ws::cursor::Cursor;
use super::ws::handshake::{Origin, check_upgrade, write_upgrade};
use super::ws::session::{WsSession, append_text_frame};
use super::ws::standing::standing_alert;
use crate::latency::Stamps;
use crate::limits::{BODY_BYTES_MAX, HEADERS_MAX, RELAY_QUEUE_BYTES_MAX, UPLOAD_BYTES_MAX};
use crate::wire::DownloadFormat;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The connection that is being served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) index: usize,
    pub(crate) serial: u64,
    pub(crate) loopback: bool,
    pub(crate) address: IpAddr,
    /// For the private socket of a relayed request.
    pub(crate) relay_token: Token,
    /// When its last bytes came off the socket.
    pub(crate) read_at: Stamp,
}

impl Peer {
    pub(crate) fn stamps(&self) -> Stamps {
        Stamps {
            read: self.read_at,
            ..Stamps::default()
        }
    }
}

/// How a look at the input ended.
#[derive(Debug)]
pub(crate) enum Served {
    Paused(Pause),
    /// A relayed request began: its socket wants pumping.
    Relaying,
    Upgraded(Box<WsSession>),
}

/// Serves every whole request that may be served now.
pub(crate) fn serve(
    core: &mut Core,
    peer: Peer,
    session: &mut HttpSession,
    input: &mut Input,
    output: &mut Output,
) -> Served {
    if let Some(relay) = &mut session.relay
        && relay.feed(input, core.now)
    {
        return Served::Relaying;
    }
    while session.may_read() {
        if output.len() >= RELAY_QUEUE_BYTES_MAX {
            return Served::Paused(Pause::Output);
        }
        if input.len() < session.wanted_bytes.max(1) {
            return Served::Paused(Pause::Input);
        }
        let step = serve_one(core, peer, session, input, output);
        match step {
            Step::Incomplete { wanted } => {
                session.began.get_or_insert(core.now);
                session.wanted_bytes = wanted;
                return Served::Paused(Pause::Input);
            }
            Step::Blocked => return Served::Paused(Pause::Answers),
            Step::Served { bytes } => take(session, input, bytes),
            Step::Relayed { bytes } => {
                take(session, input, bytes);
                return Served::Relaying;
            }
            Step::Upgraded { bytes, session } => {
                input.consume(bytes);
                return Served::Upgraded(session);
            }
        }
    }
    Served::Paused(Pause::Answers)
}

/// A request is done with its input.
fn take(session: &mut HttpSession, input: &mut Input, bytes: usize) {
    input.consume(bytes);
    session.wanted_bytes = 0;
    session.began = None;
    session.told_to_continue = false;
}

enum Step {
    Served {
        bytes: usize,
    },
    Relayed {
        bytes: usize,
    },
    Upgraded {
        bytes: usize,
        session: Box<WsSession>,
    },
    /// `wanted` bytes of input are needed at least.
    Incomplete {
        wanted: usize,
    },
    /// The request has to wait for the answers before it.
    Blocked,
}

fn serve_one(
    core: &mut Core,
    peer: Peer,
    session: &mut HttpSession,
    input: &Input,
    output: &mut Output,
) -> Step {
    let bytes = input.as_slice();
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let body_max = match core.settings.upstream {
        Some(_) => UPLOAD_BYTES_MAX,
        None => BODY_BYTES_MAX,
    };
    let head = match Head::parse(bytes, &mut fields, body_max) {
        Ok(Some(head)) if head.content_length > BODY_BYTES_MAX => {
            return serve_large(core, peer, session, &head, &bytes[head.len..], output);
        }
        Ok(Some(head)) => head,
        Ok(None) => {
            return Step::Incomplete {
                wanted: bytes.len() + 1,
            };
        }
        Err(refused) => {
            let answer = Answer::error(refused.status, refused.error);
            session.answer(ResponseShape::closing(), &answer, output, &core.date);
            return Step::Served { bytes: bytes.len() };
        }
    };
    let whole = head.len + head.content_length;
    let Some(body) = bytes.get(head.len..whole) else {
        return await_body(core, session, &head, bytes.len(), output);
    };
    serve_request(core, peer, session, &head, body, output)
}

/// A request whose body is not held here whole: the application behind us may get it in parts, nobody else at all.
fn serve_large(
    core: &mut Core,
    peer: Peer,
    session: &mut HttpSession,
    head: &Head<'_, '_>,
    received: &[u8],
    output: &mut Output,
) -> Step {
    let bytes = head.len + received.len();
    let Some(application) = core.settings.upstream.filter(|_| !is_ours(head.path)) else {
        let answer = Answer::error(TOO_LARGE.status, TOO_LARGE.error);
        session.answer(ResponseShape::closing(), &answer, output, &core.date);
        return Step::Served { bytes };
    };
    if session.has_answers_in_flight() {
        return Step::Blocked;
    }
    let shape = ResponseShape {
        minor_version: head.minor_version,
        keep_alive: head.keep_alive && !core.stopping,
        head_only: false,
        cors_origin: None,
    };
    match forward(core, peer, application, head, received, &shape) {
        Ok(relay) => {
            if head.expects_continue && received.is_empty() {
                output.append(|out| out.extend_from_slice(CONTINUE));
            }
            session.relay = Some(Box::new(relay));
            Step::Relayed { bytes }
        }
        Err(answer) => {
            session.answer(ResponseShape::closing(), &answer, output, &core.date);
            Step::Served { bytes }
        }
    }
}

/// The body gets a time of its own, and a client that waits for our word gets it once all before is answered.
fn await_body(
    core: &Core,
    session: &mut HttpSession,
    head: &Head<'_, '_>,
    received: usize,
    output: &mut Output,
) -> Step {
    let whole = head.len + head.content_length;
    if session.wanted_bytes != whole {
        session.began = Some(core.now);
    }
    if head.expects_continue && !session.told_to_continue && received == head.len {
        if session.has_answers_in_flight() {
            return Step::Blocked;
        }
        session.told_to_continue = true;
        output.append(|out| out.extend_from_slice(CONTINUE));
    }
    Step::Incomplete { wanted: whole }
}

fn serve_request(
    core: &mut Core,
    peer: Peer,
    session: &mut HttpSession,
    head: &Head<'_, '_>,
    body: &[u8],
    output: &mut Output,
) -> Step {
    let served = Step::Served {
        bytes: head.len + body.len(),
    };
    let origin = core.origins.judge(head);
    let shape = ResponseShape {
        minor_version: head.minor_version,
        keep_alive: head.keep_alive && !core.stopping,
        head_only: head.method == Method::Head,
        cors_origin: match origin {
            Origin::Listed(origin) => Some(origin.into()),
            Origin::Own | Origin::Foreign => None,
        },
    };
    if let Some(application) = core.settings.upstream.filter(|_| !is_ours(head.path)) {
        if session.has_answers_in_flight() {
            return Step::Blocked;
        }
        let shape = ResponseShape {
            cors_origin: None,
            ..shape
        };
        return match forward(core, peer, application, head, body, &shape) {
            Ok(relay) => {
                session.relay = Some(Box::new(relay));
                Step::Relayed {
                    bytes: head.len + body.len(),
                }
            }
            Err(answer) => {
                session.answer(shape, &answer, output, &core.date);
                served
            }
        };
    }
    let answer = match route(head.method, head.path) {
        Route::Order(order) => match order_lane(core, peer, session, head, body, (order, origin), &shape) {
            Ok(()) => return served,
            Err(answer) => answer,
        },
        Route::Options { allow } => {
            let slot = session.reserve(shape);
            let date = &core.date;
            session.fill(slot, output, |out, shape| {
                write_options_response(out, shape, date, allow)
            });
            return served;
        }
        // From here on the lane changes, which waits for the answers before it.
        _ if session.has_answers_in_flight() => return Step::Blocked,
        Route::WebSocket => match upgrade(core, peer, head, origin, output) {
            Ok(upgraded) => {
                return Step::Upgraded {
                    bytes: head.len + body.len(),
                    session: upgraded,
                };
            }
            Err(answer) => answer,
        },
        Route::Relay { path, open } => match relay(core, peer, (head, origin), &path, body, open, &shape) {
            Ok(relay) => {
                session.relay = Some(Box::new(relay));
                return Step::Relayed {
                    bytes: head.len + body.len(),
                };
            }
            Err(answer) => answer,
        },
        Route::NotFound => Answer::not_found(),
        Route::MethodNotAllowed { allow } => Answer::method_not_allowed(allow),
        Route::Malformed => Answer::error(400, "Malformed percent-encoding in the path"),
    };
    session.answer(shape, &answer, output, &core.date);
    served
}

fn unauthorised() -> Answer {
    Answer::error(401, "An API key is required: X-API-Key or Authorization: Bearer")
}

fn foreign() -> Answer {
    Answer::error(403, "Requests from this origin are not allowed")
}

/// Decodes and sends an order-lane request. A page of another site cannot read our answers, but could make a
/// visitor's browser act: so its requests stop here.
fn order_lane(
    core: &mut Core,
    peer: Peer,
    session: &mut HttpSession,
    head: &Head<'_, '_>,
    body: &[u8],
    (order, origin): (OrderRoute, Origin<'_>),
    shape: &ResponseShape,
) -> Result<(), Answer> {
    if origin == Origin::Foreign {
        return Err(foreign());
    }
    let who = core.principal(head, peer.loopback).ok_or_else(unauthorised)?;
    let key = idempotency_key(head)?;
    let mut decoded = order_lane::decode(order, body, key, &who, &core.directory)?;
    if let lane::Input::Validate { explain, .. } = &mut decoded.input {
        let asks = |pair: &str| matches!(pair, "explain=1" | "explain=true" | "explain=yes");
        *explain = head.query.is_some_and(|query| query.split('&').any(asks));
    }
    let to = ReplyTo {
        connection: peer.index,
        serial: peer.serial,
        address: Address::Http {
            slot: session.next_slot(),
        },
        stamps: peer.stamps(),
    };
    core.submit(decoded, to)?;
    session.reserve(shape.clone());
    Ok(())
}

fn idempotency_key<'b>(head: &Head<'_, 'b>) -> Result<Option<&'b str>, Answer> {
    if head.field("idempotency-key").is_none() {
        return Ok(None);
    }
    head.text_field("idempotency-key").map(Some).ok_or_else(|| {
        Answer::invalid(
            "Invalid request",
            "Idempotency-Key must be one line of visible ASCII",
        )
    })
}

fn upgrade(
    core: &Core,
    peer: Peer,
    head: &Head<'_, '_>,
    origin: Origin<'_>,
    output: &mut Output,
) -> Result<Box<WsSession>, Answer> {
    if core.stopping {
        return Err(Answer::busy("The server is stopping"));
    }
    let key = check_upgrade(head)?;
    if origin == Origin::Foreign {
        return Err(foreign());
    }
    let who = core.principal(head, peer.loopback).ok_or_else(unauthorised)?;
    output.append(|out| {
        write_upgrade(out, key, &core.date);
        append_text_frame(
            out,
            br#"{"type":"connection","status":"connected","message":"Connected to OMS WebSocket"}"#,
        );
    });
    let resume = resume(head.query);
    if let Some(record) = core.directory.journal_error() {
        let mut message = Vec::new();
        standing_alert(&mut message, record, resume.unwrap_or(core.history.last()));
        output.append(|out| append_text_frame(out, &message));
    }
    Ok(Box::new(WsSession::new(who, resume, core.now)))
}

/// `?resume=CURSOR`. One that cannot be understood is as one that is too long ago: the client has to read anew.
fn resume(query: Option<&str>) -> Option<Cursor> {
    let mut parameters = query.unwrap_or("").split('&');
    let text = parameters.find_map(|parameter| parameter.strip_prefix("resume="))?;
    let text = text.replace("%3A", ":").replace("%3a", ":");
    Some(Cursor::parse(&text).unwrap_or(Cursor::end_of(u64::MAX)))
}

/// To the application behind us: `body` or its beginning. Who may do what there is its own business.
fn forward(
    core: &mut Core,
    peer: Peer,
    application: SocketAddr,
    head: &Head<'_, '_>,
    body: &[u8],
    shape: &ResponseShape,
) -> Result<Relay, Answer> {
    let body_left = head.content_length - body.len();
    let kind = match body_left {
        0 => RelayKind::Page,
        _ => RelayKind::Upload,
    };
    core.relays.begin(kind, peer.address)?;
    let request = write_forwarded(head, body, (peer.address, application));
    Relay::connect_application(
        application,
        &core.registry,
        peer.relay_token,
        (request, body_left),
        shape.clone(),
        core.now,
    )
    .map(|relay| match asks_for_websocket(head) {
        true => relay.may_upgrade(),
        false => relay,
    })
    .map_err(|error| {
        core.relays.end(kind, peer.address);
        tracing::warn!(%error, %application, "cannot connect to the application behind us");
        Answer::coded(
            502,
            "The application behind this page is not reachable",
            "upstream",
        )
    })
}

fn relay(
    core: &mut Core,
    peer: Peer,
    (head, origin): (&Head<'_, '_>, Origin<'_>),
    path: &str,
    body: &[u8],
    open: bool,
    shape: &ResponseShape,
) -> Result<Relay, Answer> {
    if origin == Origin::Foreign && !head.method.is_safe() {
        return Err(foreign());
    }
    let who = core.principal(head, peer.loopback);
    if who.is_none() && !open {
        return Err(unauthorised());
    }
    let kind = match head.text_field("accept").and_then(DownloadFormat::asked_for) {
        Some(_) => RelayKind::Download,
        None => RelayKind::Read,
    };
    core.relays.begin(kind, peer.address)?;
    core.hurry_journal();
    let identity = Identity {
        who: who.as_ref(),
        min_seq: core.visible_seq,
    };
    let request = write_request(head, path, body, identity);
    let relay = Relay::connect(
        &core.settings.rest_socket,
        &core.registry,
        peer.relay_token,
        request,
        shape.clone(),
        (kind, core.now),
    );
    relay.map_err(|error| {
        core.relays.end(kind, peer.address);
        let socket = core.settings.rest_socket.display();
        tracing::warn!(%error, %socket, "cannot reach the REST socket");
        Answer::coded(503, "The read service is not reachable", "read_service")
    })
}
