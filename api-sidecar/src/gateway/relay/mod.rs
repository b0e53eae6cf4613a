//! Relaying a request to the REST handlers and their answer back, one request per connection of a private socket.
//!
//! The handlers' server must never see bytes that a client wrote (DESIGN.md section 6): a request is written anew from
//! its parsed parts, and an answer is written anew from its own.

mod answer;
mod chunks;
mod forward;
mod request;
mod slots;

use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Instant;

use std::net::SocketAddr;

use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};

pub(crate) use forward::{asks_for_websocket, write_forwarded};
pub(crate) use request::{Identity, write_request};
pub(crate) use slots::RelaySlots;

use self::answer::{AnswerHead, Framing, Pass};
use self::chunks::{ChunkDecoder, ChunkError};
use super::answer::{Answer, ResponseShape};
use super::buffers::{Input, Output};
use crate::limits::{
    APPLICATION_HEAD_BYTES_MAX, RELAY_HEAD_BYTES_MAX, RELAY_QUEUE_BYTES_MAX, STALL_BYTES_MIN,
    UPLOAD_QUEUE_BYTES_MAX,
};

/// What a relayed request counts as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RelayKind {
    /// The REST handlers answer it.
    Read,
    /// So do they, with a whole history.
    Download,
    /// The application behind us answers it.
    Page,
    /// So does that, and its body is more than is held here at once.
    Upload,
}

/// One relayed request.
#[derive(Debug)]
pub(crate) struct Relay {
    upstream: Upstream,
    /// Bytes on their way to the other side; of an upload, a part.
    request: Vec<u8>,
    sent: usize,
    /// Bytes of the body that are still to come from the client.
    body_left: usize,
    /// What came of it since `moved`.
    fed: usize,
    /// The other side takes no more of the body; its answer decides.
    refused: bool,
    tunnel: Tunnel,
    /// Readiness as epoll last told it, until a call would block.
    readable: bool,
    writable: bool,
    /// Received bytes of the answer's head.
    head: Vec<u8>,
    phase: Phase,
    shape: ResponseShape,
    /// When it began, when an upload last made progress, or since when more of the answer's body is waited for.
    pub(crate) moved: Instant,
    pub(crate) kind: RelayKind,
}

/// Who answers.
#[derive(Debug)]
enum Upstream {
    /// The REST handlers.
    Handlers(UnixStream),
    /// Another web application.
    Application(TcpStream),
}

impl Read for Upstream {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        match self {
            Upstream::Handlers(stream) => stream.read(target),
            Upstream::Application(stream) => stream.read(target),
        }
    }
}

impl Write for Upstream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Upstream::Handlers(stream) => stream.write(bytes),
            Upstream::Application(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether bytes go both ways until one side ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tunnel {
    No,
    /// The client asked for a WebSocket.
    Asked,
    Open,
}

#[derive(Debug)]
enum Phase {
    Head,
    Body {
        framing: BodyFraming,
        towards_client: Towards,
    },
}

#[derive(Debug)]
enum BodyFraming {
    Length(u64),
    Chunked(ChunkDecoder),
    UntilClose,
}

/// How the body goes to the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Towards {
    Plain,
    Chunked,
}

/// What a round of pumping came to.
#[derive(Debug)]
pub(crate) enum Pumped {
    /// Blocked on one of the two sides, or the budget is spent; `bytes` moved.
    Going { bytes: usize },
    /// The answer is queued whole. The client's connection goes on if `keep_alive`.
    Done { bytes: usize, keep_alive: bool },
    /// Nothing was sent to the client yet: it gets this answer instead.
    Failed(Answer),
    /// The client has a part of an answer that will never be whole.
    Broken,
}

impl Relay {
    /// Connects and registers the private socket under `token`.
    pub(crate) fn connect(
        socket: &Path,
        registry: &Registry,
        token: Token,
        request: Vec<u8>,
        shape: ResponseShape,
        (kind, now): (RelayKind, Instant),
    ) -> io::Result<Relay> {
        let mut upstream = UnixStream::connect(socket)?;
        registry.register(&mut upstream, token, Interest::READABLE | Interest::WRITABLE)?;
        // Connected at once, or not at all.
        Ok(Relay::begin(
            Upstream::Handlers(upstream),
            true,
            request,
            shape,
            (kind, now),
        ))
    }

    /// Begins to connect to another application; that it cannot be reached shows later. `body_left` bytes of the body
    /// are not in `request`: give them to [`Relay::feed`].
    pub(crate) fn connect_application(
        address: SocketAddr,
        registry: &Registry,
        token: Token,
        (request, body_left): (Vec<u8>, usize),
        shape: ResponseShape,
        now: Instant,
    ) -> io::Result<Relay> {
        let mut upstream = TcpStream::connect(address)?;
        registry.register(&mut upstream, token, Interest::READABLE | Interest::WRITABLE)?;
        let kind = match body_left {
            0 => RelayKind::Page,
            _ => RelayKind::Upload,
        };
        let mut relay = Relay::begin(
            Upstream::Application(upstream),
            false,
            request,
            shape,
            (kind, now),
        );
        relay.body_left = body_left;
        Ok(relay)
    }

    fn begin(
        upstream: Upstream,
        writable: bool,
        request: Vec<u8>,
        shape: ResponseShape,
        (kind, moved): (RelayKind, Instant),
    ) -> Relay {
        Relay {
            upstream,
            request,
            sent: 0,
            body_left: 0,
            fed: 0,
            refused: false,
            tunnel: Tunnel::No,
            readable: false,
            writable,
            head: Vec::new(),
            phase: Phase::Head,
            shape,
            moved,
            kind,
        }
    }

    /// The client asks for a WebSocket: where that is granted, bytes go both ways from then on.
    pub(crate) fn may_upgrade(mut self) -> Relay {
        self.tunnel = Tunnel::Asked;
        self
    }

    /// Whether bytes go both ways, for as long as both sides like.
    pub(crate) fn is_tunnel(&self) -> bool {
        self.tunnel == Tunnel::Open
    }

    pub(crate) fn shape(&self) -> &ResponseShape {
        &self.shape
    }

    pub(crate) fn note_readiness(&mut self, readable: bool, writable: bool) {
        self.readable |= readable;
        self.writable |= writable;
    }

    /// Whether the client has to send more of the body, and there is room for it.
    pub(crate) fn wants_body(&self) -> bool {
        self.body_left > 0 && self.sent == self.request.len()
    }

    /// Whether a part of the body is still to come from the client.
    pub(crate) fn lacks_body(&self) -> bool {
        self.body_left > 0
    }

    /// Takes what there is of the body, as far as there is room; `true` where that was something.
    pub(crate) fn feed(&mut self, input: &mut Input, now: Instant) -> bool {
        if !self.wants_body() {
            return false;
        }
        let count = input.len().min(self.body_left).min(UPLOAD_QUEUE_BYTES_MAX);
        self.request.clear();
        self.sent = 0;
        if !self.refused {
            self.request.extend_from_slice(&input.as_slice()[..count]);
        }
        input.consume(count);
        self.body_left -= count;
        self.fed += count;
        // Of an upload a byte now and then is no progress; a WebSocket may have little to say.
        let least = if self.is_tunnel() { 1 } else { STALL_BYTES_MIN };
        if self.fed >= least || self.body_left == 0 {
            self.moved = now;
            self.fed = 0;
        }
        count > 0
    }

    /// Whether the head of the answer is still to come.
    pub(crate) fn awaits_answer(&self) -> bool {
        matches!(self.phase, Phase::Head)
    }

    /// Whether the other side has begun to answer and owes the rest.
    pub(crate) fn awaits_rest(&self) -> bool {
        !self.awaits_answer() && !self.readable
    }

    /// Whether pumping can move something now.
    pub(crate) fn can_move(&self, output: &Output) -> bool {
        (self.writable && self.sent < self.request.len())
            || (self.readable && output.len() < RELAY_QUEUE_BYTES_MAX)
    }

    /// Moves at most about `budget` bytes of the answer into `output`.
    pub(crate) fn pump(
        &mut self,
        output: &mut Output,
        scratch: &mut [u8],
        date: &str,
        (budget, now): (usize, Instant),
    ) -> Pumped {
        if let Err(error) = self.send_request() {
            tracing::debug!(%error, "the REST socket refused a request");
            return self.fail("The read service did not take the request");
        }
        let mut bytes = 0;
        while bytes < budget && self.readable && output.len() < RELAY_QUEUE_BYTES_MAX {
            match self.upstream.read(scratch) {
                Ok(0) => return self.end_of_stream(output, bytes),
                Ok(count) => {
                    bytes += count;
                    match self.take(&scratch[..count], output, date) {
                        Ok(false) => {}
                        Ok(true) => return self.done(bytes),
                        Err(pumped) => return pumped,
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    if !self.awaits_answer() {
                        self.moved = now;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::debug!(%error, "the REST socket failed");
                    return self.fail("The read service broke off");
                }
            }
        }
        Pumped::Going { bytes }
    }

    fn send_request(&mut self) -> io::Result<()> {
        while self.writable && self.sent < self.request.len() {
            match self.upstream.write(&self.request[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The other side may answer without reading the body and close; its answer decides.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
                    ) =>
                {
                    self.sent = self.request.len();
                    self.refused = true;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn fail(&self, error: &str) -> Pumped {
        match (&self.upstream, self.awaits_answer()) {
            (_, false) => Pumped::Broken,
            (Upstream::Handlers(_), true) => Pumped::Failed(Answer::coded(503, error, "read_service")),
            (Upstream::Application(_), true) => Pumped::Failed(Answer::coded(
                502,
                "The application behind this page does not answer",
                "upstream",
            )),
        }
    }

    fn done(&self, bytes: usize) -> Pumped {
        Pumped::Done {
            bytes,
            keep_alive: self.shape.keep_alive,
        }
    }

    /// Takes received bytes. `Ok(true)`: the answer is whole.
    fn take(&mut self, received: &[u8], output: &mut Output, date: &str) -> Result<bool, Pumped> {
        if !self.awaits_answer() {
            return self.take_body(received, output);
        }
        self.head.extend_from_slice(received);
        let pass = match &self.upstream {
            Upstream::Handlers(_) => Pass::Known,
            Upstream::Application(_) => Pass::All,
        };
        let head = match AnswerHead::parse(&self.head, pass) {
            Ok(Some(head)) if head.is_interim() => {
                // It promises what the client did not ask for; the answer follows.
                let rest = self.head.split_off(head.len);
                self.head.clear();
                return self.take(&rest, output, date);
            }
            Ok(Some(head)) if head.is_upgrade() => return self.begin_tunnel(&head, output, date),
            Ok(Some(head)) => head,
            Ok(None) if self.head.len() < self.head_bytes_max() => return Ok(false),
            Ok(None) | Err(()) => return Err(self.fail("The read service gave a malformed answer")),
        };
        if self.body_left > 0 {
            // Answered before the request was whole: the rest of it is not looked at.
            self.shape.keep_alive = false;
        }
        let bodyless = self.shape.head_only || head.is_bodyless();
        let (framing, towards_client) = match head.framing {
            Framing::Length(length) => (BodyFraming::Length(length), Towards::Plain),
            Framing::Chunked => (
                BodyFraming::Chunked(ChunkDecoder::default()),
                self.unsized_towards(),
            ),
            Framing::UntilClose => (BodyFraming::UntilClose, self.unsized_towards()),
        };
        if towards_client == Towards::Plain && !matches!(framing, BodyFraming::Length(_)) && !bodyless {
            // A 1.0 client knows no chunks: the end of the connection is the end of the body.
            self.shape.keep_alive = false;
        }
        output.append(|out| head.write(out, &self.shape, date, towards_client == Towards::Chunked));
        let rest = self.head.split_off(head.len);
        if bodyless {
            return Ok(true);
        }
        self.head = Vec::new();
        self.phase = Phase::Body {
            framing,
            towards_client,
        };
        self.take_body(&rest, output)
    }

    /// The application granted the WebSocket; nobody else can, and only where it was asked for.
    fn begin_tunnel(&mut self, head: &AnswerHead, output: &mut Output, date: &str) -> Result<bool, Pumped> {
        if self.tunnel == Tunnel::No {
            return Err(self.fail("The read service gave a malformed answer"));
        }
        self.tunnel = Tunnel::Open;
        self.shape.keep_alive = false;
        // What the client says from here on is a body without an end, and so is the answer.
        self.body_left = usize::MAX;
        output.append(|out| head.write_upgrade(out, date));
        let rest = self.head.split_off(head.len);
        self.head = Vec::new();
        self.phase = Phase::Body {
            framing: BodyFraming::UntilClose,
            towards_client: Towards::Plain,
        };
        self.take_body(&rest, output)
    }

    fn head_bytes_max(&self) -> usize {
        match &self.upstream {
            Upstream::Handlers(_) => RELAY_HEAD_BYTES_MAX,
            Upstream::Application(_) => APPLICATION_HEAD_BYTES_MAX,
        }
    }

    fn unsized_towards(&self) -> Towards {
        if self.shape.minor_version == 1 {
            Towards::Chunked
        } else {
            Towards::Plain
        }
    }

    fn take_body(&mut self, received: &[u8], output: &mut Output) -> Result<bool, Pumped> {
        let Phase::Body {
            framing,
            towards_client,
        } = &mut self.phase
        else {
            return Ok(false);
        };
        let towards = *towards_client;
        match framing {
            BodyFraming::Length(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(received.len());
                output.append(|out| out.extend_from_slice(&received[..count]));
                *left -= count as u64;
                Ok(*left == 0)
            }
            BodyFraming::Chunked(decoder) => {
                let whole = decoder
                    .decode(received, |piece| append_piece(output, piece, towards))
                    .map_err(|ChunkError| Pumped::Broken)?;
                if whole {
                    append_end(output, towards);
                }
                Ok(whole)
            }
            BodyFraming::UntilClose => {
                append_piece(output, received, towards);
                Ok(false)
            }
        }
    }

    fn end_of_stream(&mut self, output: &mut Output, bytes: usize) -> Pumped {
        match &self.phase {
            Phase::Body {
                framing: BodyFraming::UntilClose,
                towards_client,
            } => {
                append_end(output, *towards_client);
                self.done(bytes)
            }
            _ => self.fail("The read service broke off"),
        }
    }
}

fn append_piece(output: &mut Output, piece: &[u8], towards: Towards) {
    if piece.is_empty() {
        return;
    }
    output.append(|out| {
        if towards == Towards::Chunked {
            let _ = write!(out, "{:x}\r\n", piece.len());
        }
        out.extend_from_slice(piece);
        if towards == Towards::Chunked {
            out.extend_from_slice(b"\r\n");
        }
    });
}

fn append_end(output: &mut Output, towards: Towards) {
    if towards == Towards::Chunked {
        output.append(|out| out.extend_from_slice(b"0\r\n\r\n"));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn an_upload_that_trickles_stands_still_and_a_websocket_may_say_little() {
        let start = Instant::now();
        let later = start + std::time::Duration::from_secs(1);
        for (tunnel, bytes, moved) in [
            (Tunnel::No, STALL_BYTES_MIN - 1, start),
            (Tunnel::No, STALL_BYTES_MIN, later),
            (Tunnel::Open, 1, later),
        ] {
            let (_other, stream) = UnixStream::pair().unwrap();
            let upstream = Upstream::Handlers(stream);
            let begun = (RelayKind::Upload, start);
            let mut relay = Relay::begin(upstream, true, Vec::new(), ResponseShape::closing(), begun);
            relay.body_left = 10 * STALL_BYTES_MIN;
            relay.tunnel = tunnel;
            let mut input = Input::default();
            let mut source = Cursor::new(vec![b'x'; bytes]);
            input.read_from(&mut source, &mut vec![0; bytes]).unwrap();
            assert!(relay.feed(&mut input, later));
            assert_eq!(relay.moved, moved, "{tunnel:?} {bytes}");
        }
    }
}
