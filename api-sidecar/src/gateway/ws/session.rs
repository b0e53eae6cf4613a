//! One WebSocket connection. tungstenite decodes and answers control frames over the connection's own buffers, so
//! that every bound on memory is ours; pushed frames are encoded once and shared.

use std::io::{self, Read, Write};
use std::time::Instant;

use bytes::Bytes;
use engine::AccountId;
use tungstenite::Utf8Bytes;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame, FrameHeader};
use tungstenite::protocol::{Message, Role, WebSocketConfig, WebSocketContext};

use super::super::buffers::{Input, Output};
use super::channels::Subscriptions;
use super::cursor::Cursor;
use super::events::Push;
use crate::auth::{Principal, Role as Authority};
use crate::limits::{WS_MESSAGE_BYTES_MAX, WS_QUEUE_BYTES_MAX};

#[derive(Debug)]
pub(crate) struct WsSession {
    context: WebSocketContext,
    pub(crate) who: Principal,
    /// A bit for each type of pushed message that the client wants.
    pub(crate) wanted: u32,
    /// Market data that the client listens to.
    pub(crate) subscriptions: Subscriptions,
    /// The client is still being told what it missed, and has been up to here; what is new waits in the history.
    pub(crate) catching_up: Option<Cursor>,
    /// Order-lane requests not answered yet.
    pub(crate) in_flight: usize,
    /// A close frame is queued or was received: nothing more is said or heard.
    pub(crate) closed: bool,
    /// When the client last sent a frame, and when it was pinged since.
    pub(crate) heard: Instant,
    pub(crate) pinged: Option<Instant>,
}

/// What the client said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Heard {
    Text(Utf8Bytes),
    /// Nothing that needs an answer, but something.
    Other,
    Nothing,
    Closed,
}

impl WsSession {
    /// `resume`: the last message that the client saw on an earlier connection.
    pub(crate) fn new(who: Principal, resume: Option<Cursor>, now: Instant) -> WsSession {
        // Writes go to our own queue at once, so tungstenite's buffer only ever holds one frame.
        let config = WebSocketConfig::default()
            .read_buffer_size(4 * 1024)
            .write_buffer_size(0)
            .max_write_buffer_size(WS_QUEUE_BYTES_MAX)
            .max_message_size(Some(WS_MESSAGE_BYTES_MAX))
            .max_frame_size(Some(WS_MESSAGE_BYTES_MAX));
        WsSession {
            context: WebSocketContext::new(Role::Server, Some(config)),
            who,
            wanted: Push::ALL_BITS,
            subscriptions: Subscriptions::default(),
            catching_up: resume,
            in_flight: 0,
            closed: false,
            heard: now,
            pinged: None,
        }
    }

    /// Whether what belongs to `account` (`None`: to everyone) may be told here.
    pub(crate) fn sees(&self, account: Option<AccountId>) -> bool {
        self.who.role == Authority::Admin || account.is_none_or(|account| account == self.who.account)
    }

    pub(crate) fn wants(&self, push: Push) -> bool {
        self.wanted & push.bit() != 0
    }

    /// Whether something is kept back until the client has taken what is queued.
    pub(crate) fn has_backlog(&self) -> bool {
        !self.closed && (self.catching_up.is_some() || self.subscriptions.is_waiting())
    }

    /// The next message out of the connection's input.
    pub(crate) fn hear(&mut self, input: &mut Input, output: &mut Output, now: Instant) -> Heard {
        if self.closed {
            return Heard::Closed;
        }
        let result = self.context.read(&mut Pipe { input, output });
        if !matches!(&result, Err(tungstenite::Error::Io(_))) {
            self.heard = now;
            self.pinged = None;
        }
        match result {
            Ok(Message::Text(text)) => Heard::Text(text),
            Ok(Message::Close(_)) => {
                // The answering close frame is flushed by one more read.
                let _ = self.context.flush(&mut Pipe { input, output });
                self.closed = true;
                Heard::Closed
            }
            Ok(_) => Heard::Other,
            Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Heard::Nothing,
            Err(error) => {
                let (code, reason) = close_of(&error);
                self.close(output, code, reason);
                Heard::Closed
            }
        }
    }

    /// Queues a close frame as the last thing said.
    pub(crate) fn close(&mut self, output: &mut Output, code: CloseCode, reason: &'static str) {
        if self.closed {
            return;
        }
        self.closed = true;
        let frame = Frame::close(Some(CloseFrame {
            code,
            reason: Utf8Bytes::from_static(reason),
        }));
        output.append(|tail| write_frame(tail, frame));
    }

    pub(crate) fn ping(&mut self, output: &mut Output, now: Instant) {
        self.pinged = Some(now);
        output.append(|tail| write_frame(tail, Frame::ping(Bytes::new())));
    }

    /// Queues a shared frame. A client that leaves more than [`WS_QUEUE_BYTES_MAX`] unread is closed instead: what it
    /// has not begun to receive is dropped, and it is told to come again (1013).
    pub(crate) fn push(&mut self, output: &mut Output, frame: &Bytes) {
        if self.closed {
            return;
        }
        if output.len() + frame.len() > WS_QUEUE_BYTES_MAX {
            output.discard_unsent();
            self.close(output, CloseCode::Again, "too slow: reconnect with resume=CURSOR");
            return;
        }
        output.push_shared(frame.clone());
    }
}

/// A text frame as it goes to every client; a server's frames are not masked.
pub(crate) fn text_frame(payload: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(payload.len() + 10);
    append_text_frame(&mut bytes, payload);
    Bytes::from(bytes)
}

pub(crate) fn append_text_frame(out: &mut Vec<u8>, payload: &[u8]) {
    let header = FrameHeader {
        opcode: OpCode::Data(Data::Text),
        ..FrameHeader::default()
    };
    // Appending to a Vec cannot fail. The payload is copied straight, where a whole frame would own one.
    let _ = header.format(payload.len() as u64, out);
    out.extend_from_slice(payload);
}

fn write_frame(out: &mut Vec<u8>, frame: Frame) {
    // Appending to a Vec cannot fail.
    let _ = frame.format(out);
}

fn close_of(error: &tungstenite::Error) -> (CloseCode, &'static str) {
    match error {
        tungstenite::Error::Capacity(_) => (CloseCode::Size, "message is too large"),
        tungstenite::Error::Utf8(_) => (CloseCode::Invalid, "text is not UTF-8"),
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => (CloseCode::Normal, ""),
        _ => (CloseCode::Protocol, "protocol error"),
    }
}

/// The connection's buffers as the stream that tungstenite wants.
struct Pipe<'a> {
    input: &'a mut Input,
    output: &'a mut Output,
}

impl Read for Pipe<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        self.input.read(target)
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.append(|tail| tail.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
