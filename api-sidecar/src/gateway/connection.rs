//! One client connection: its socket, its buffers, and which protocol it speaks now.

use std::io;
use std::net::{IpAddr, Shutdown};
use std::time::Instant;

use engine::lane::Stamp;
use mio::net::TcpStream;

use super::buffers::{Input, Output, ReadStep};
use super::http::HttpSession;
use super::ws::session::WsSession;
use crate::latency::{Recorder, Stamps};
use crate::limits::{
    LINGER_TIME_MAX, PIPELINE_MAX, RELAY_QUEUE_BYTES_MAX, STALL_BYTES_MIN, WS_CONFLATE_BYTES,
    WS_QUEUE_BYTES_MAX,
};

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) peer: IpAddr,
    /// Never used again, unlike the index.
    pub(crate) serial: u64,
    pub(crate) input: Input,
    pub(crate) output: Output,
    pub(crate) protocol: Protocol,
    /// Readiness as epoll last told it, until a call would block.
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// epoll said that the client sends no more; the end itself may still be behind unread bytes.
    pub(crate) hung_up: bool,
    /// The client will send no more, and all of it was read.
    pub(crate) ended: bool,
    /// In the loop's queue of connections to serve, or of bulk ones.
    pub(crate) queued: bool,
    pub(crate) queued_bulk: bool,
    /// What serving stopped at.
    pub(crate) pause: Pause,
    /// When bytes last came off the socket.
    pub(crate) read_at: Stamp,
    /// Requests whose answers the socket has not taken whole.
    pub(crate) unwritten: Vec<Stamps>,
    /// When the client last sent something, or its last answer was relayed.
    pub(crate) heard: Instant,
    /// Since when the client has taken less than [`STALL_BYTES_MIN`] of what is queued for it, and how much it took.
    pub(crate) stalled: Option<Instant>,
    taken: usize,
}

/// Why a connection is not served further now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pause {
    /// More input is needed.
    Input,
    /// Answers in flight come first.
    Answers,
    /// The client takes too little of what is queued for it.
    Output,
}

#[derive(Debug)]
pub(crate) enum Protocol {
    Http(HttpSession),
    WebSocket(Box<WsSession>),
    /// Our last byte is sent; what still arrives is thrown away until the client closes or the time is over.
    Draining {
        until: Instant,
    },
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, peer: IpAddr, serial: u64, now: Instant) -> Connection {
        Connection {
            stream,
            peer,
            serial,
            input: Input::default(),
            output: Output::default(),
            protocol: Protocol::Http(HttpSession::default()),
            readable: true,
            writable: true,
            hung_up: false,
            ended: false,
            queued: false,
            queued_bulk: false,
            pause: Pause::Input,
            read_at: 0,
            unwritten: Vec::new(),
            heard: now,
            stalled: None,
            taken: 0,
        }
    }

    /// Whether more input could be used now. A client that does not take its answers, or that has enough requests in
    /// flight, is not read: TCP tells it to wait.
    fn wants_input(&self) -> bool {
        let room = !self.input.is_full() && !self.ended && self.may_queue_more();
        match &self.protocol {
            Protocol::Http(session) => room && (session.may_read() || session.lacks_body()),
            Protocol::WebSocket(session) => room && !session.closed && session.in_flight < PIPELINE_MAX,
            Protocol::Draining { .. } => room,
        }
    }

    /// Whether so little is queued for the client that more answers may be.
    fn may_queue_more(&self) -> bool {
        self.output.len()
            < match &self.protocol {
                Protocol::WebSocket(_) => WS_QUEUE_BYTES_MAX,
                _ => RELAY_QUEUE_BYTES_MAX,
            }
    }

    /// Whether serving it again would do something, without anything new from outside.
    pub(crate) fn can_go_on(&self) -> bool {
        match self.pause {
            Pause::Input => self.readable && self.wants_input(),
            Pause::Output => self.may_queue_more(),
            Pause::Answers => match &self.protocol {
                Protocol::Http(session) if session.wants_body() => {
                    !self.input.is_empty() || (self.readable && self.wants_input())
                }
                _ => false,
            },
        }
    }

    /// Whether bytes for the client, or of its relayed answer, can move now.
    pub(crate) fn has_bulk(&self) -> bool {
        let pumps = match &self.protocol {
            Protocol::Http(session) => session
                .relay
                .as_ref()
                .is_some_and(|relay| relay.can_move(&self.output)),
            Protocol::WebSocket(session) => session.has_backlog() && self.output.len() < WS_CONFLATE_BYTES,
            _ => false,
        };
        pumps || (self.writable && !self.output.is_empty())
    }

    /// Reads once, if there may be something and it is wanted.
    pub(crate) fn fill(&mut self, scratch: &mut [u8], recorder: &Recorder, now: Instant) -> io::Result<()> {
        if !self.readable || !self.wants_input() {
            return Ok(());
        }
        match self.input.read_from(&mut self.stream, scratch)? {
            ReadStep::Bytes { drained } => {
                // The edge that told of the end is gone: only reading shows it now.
                self.readable = !drained || self.hung_up;
                self.heard = now;
                self.read_at = recorder.shared().clock().stamp();
            }
            ReadStep::WouldBlock => self.readable = false,
            ReadStep::End => {
                self.readable = false;
                self.ended = true;
            }
        }
        Ok(())
    }

    /// Writes what the socket takes, up to about `budget` bytes; returns how many.
    pub(crate) fn flush(&mut self, budget: usize, now: Instant) -> io::Result<usize> {
        let mut written = 0;
        if self.writable && !self.output.is_empty() {
            let step = self.output.write_to(&mut self.stream, budget)?;
            self.writable = !step.blocked;
            written = step.written;
        }
        self.note_taken(written, now);
        Ok(written)
    }

    /// The client has taken `written` more bytes of what is queued.
    pub(crate) fn note_taken(&mut self, written: usize, now: Instant) {
        self.taken += written;
        if self.output.is_empty() || self.taken >= STALL_BYTES_MIN {
            self.stalled = None;
            self.taken = 0;
        }
        if !self.output.is_empty() {
            self.stalled.get_or_insert(now);
        }
    }

    /// Records the requests whose answers are out.
    pub(crate) fn note_written(&mut self, recorder: &mut Recorder) {
        if !self.unwritten.is_empty() && self.output.is_empty() {
            recorder.record(&mut self.unwritten);
        }
    }

    /// Says that no more will come, and waits a while for the client to agree: closing at once could reset the
    /// connection under an answer that the client has not read.
    pub(crate) fn begin_draining(&mut self, now: Instant) {
        let _ = self.stream.shutdown(Shutdown::Write);
        let rest = self.input.len();
        self.input.consume(rest);
        self.protocol = Protocol::Draining {
            until: now + LINGER_TIME_MAX,
        };
    }
}
