//! One client connection: its socket, its buffers, and which protocol it speaks now.

use std::io;
use std::net::{IpAddr, Shutdown};
use std::time::Instant;

use mio::net::TcpStream;

use super::buffers::{Input, Output, ReadStep};
use super::http::HttpSession;
use super::ws::session::WsSession;
use crate::limits::{LINGER_TIME_MAX, PIPELINE_MAX, RELAY_QUEUE_BYTES_MAX, WS_QUEUE_BYTES_MAX};

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
    /// The client will send no more.
    pub(crate) ended: bool,
    /// In the loop's queue of connections to serve, or of bulk ones.
    pub(crate) queued: bool,
    pub(crate) queued_bulk: bool,
    /// When the client last sent a byte, and when it last took one (or had none to take).
    pub(crate) heard: Instant,
    pub(crate) took: Instant,
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
            ended: false,
            queued: false,
            queued_bulk: false,
            heard: now,
            took: now,
        }
    }

    /// Whether more input could be used now. A client that does not take its answers, or that has enough requests in
    /// flight, is not read: TCP tells it to wait.
    pub(crate) fn wants_input(&self) -> bool {
        let room = !self.input.is_full() && !self.ended;
        match &self.protocol {
            Protocol::Http(session) => {
                room && session.may_read() && self.output.len() < RELAY_QUEUE_BYTES_MAX
            }
            Protocol::WebSocket(session) => {
                room && !session.closed
                    && session.in_flight < PIPELINE_MAX
                    && self.output.len() < WS_QUEUE_BYTES_MAX
            }
            Protocol::Draining { .. } => room,
        }
    }

    /// Reads once, if there may be something and it is wanted.
    pub(crate) fn fill(&mut self, scratch: &mut [u8], now: Instant) -> io::Result<()> {
        if !self.readable || !self.wants_input() {
            return Ok(());
        }
        match self.input.read_from(&mut self.stream, scratch)? {
            ReadStep::Bytes { drained } => {
                self.readable = !drained;
                self.heard = now;
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
        if self.output.is_empty() {
            self.took = now;
            return Ok(0);
        }
        if !self.writable {
            return Ok(0);
        }
        let step = self.output.write_to(&mut self.stream, budget)?;
        self.writable = !step.blocked;
        if step.written > 0 || self.output.is_empty() {
            self.took = now;
        }
        Ok(step.written)
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
