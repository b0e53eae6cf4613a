//! What a connection has received and not used, and what it has to send.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};

use bytes::Bytes;

use crate::limits::{BODY_BYTES_MAX, INPUT_BYTES_MAX};

/// Received bytes, in order; used from the front.
#[derive(Debug, Default)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    start: usize,
}

/// What one read of a socket gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ReadStep {
    /// Bytes; `drained` where the socket had no more than these.
    Bytes { drained: bool },
    /// Nothing now.
    WouldBlock,
    /// The peer will send no more.
    End,
}

impl Input {
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() >= INPUT_BYTES_MAX
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.bytes.len());
        if self.start == self.bytes.len() {
            self.start = 0;
            // One large request must not make an idle connection large for ever.
            if self.bytes.capacity() > BODY_BYTES_MAX {
                self.bytes = Vec::new();
            }
            self.bytes.clear();
        }
    }

    /// Reads once, at most what `scratch` and the room left hold.
    pub(crate) fn read_from(&mut self, source: &mut impl Read, scratch: &mut [u8]) -> io::Result<ReadStep> {
        let room = scratch.len().min(INPUT_BYTES_MAX.saturating_sub(self.len()));
        let target = &mut scratch[..room];
        let count = match source.read(target) {
            Ok(0) => return Ok(ReadStep::End),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(ReadStep::WouldBlock),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                return Ok(ReadStep::Bytes { drained: false });
            }
            Err(error) => return Err(error),
        };
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(&target[..count]);
        // A short read of a stream socket says that it is empty (epoll(7)); what comes later is a new edge.
        Ok(ReadStep::Bytes {
            drained: count < room,
        })
    }
}

/// Reads as a socket would: an empty input is "not now".
impl Read for Input {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if self.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = target.len().min(self.len());
        target[..count].copy_from_slice(&self.as_slice()[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// Slices handed to one vectored write; the kernel takes at most 1,024.
const SLICES_PER_WRITE: usize = 16;

/// Bytes to send, in order: pieces shared between connections, then an own tail that answers are appended to.
#[derive(Debug, Default)]
pub(crate) struct Output {
    shared: VecDeque<Bytes>,
    tail: Vec<u8>,
    /// Bytes of the front piece (of the tail, where there is no shared piece) that are already sent.
    sent: usize,
    len: usize,
}

impl Output {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends what `write` adds to the buffer it is given.
    pub(crate) fn append<R>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let before = self.tail.len();
        let result = write(&mut self.tail);
        self.len += self.tail.len() - before;
        result
    }

    pub(crate) fn push_shared(&mut self, piece: Bytes) {
        if !self.tail.is_empty() {
            let sent_of_tail = if self.shared.is_empty() { self.sent } else { 0 };
            self.tail.drain(..sent_of_tail);
            self.sent -= sent_of_tail;
            self.shared.push_back(Bytes::from(std::mem::take(&mut self.tail)));
        }
        self.len += piece.len();
        self.shared.push_back(piece);
    }

    /// Forgets what has not begun to be sent: all but the rest of a piece that is partly out. Used to make room for
    /// a last word to a client that does not read.
    pub(crate) fn discard_unsent(&mut self) {
        if self.sent == 0 {
            *self = Output::default();
            return;
        }
        if self.shared.is_empty() {
            // Frames in the tail have no known borders, so it stays whole; it is small.
            return;
        }
        self.shared.truncate(1);
        self.tail.clear();
        self.len = self.shared.front().map_or(0, Bytes::len) - self.sent;
    }

    /// Writes until all is out, the sink would block, or about `budget` bytes went. Returns the bytes written.
    pub(crate) fn write_to(&mut self, sink: &mut impl Write, budget: usize) -> io::Result<WriteStep> {
        let mut written = 0;
        while self.len > 0 {
            if written >= budget {
                return Ok(WriteStep {
                    written,
                    blocked: false,
                });
            }
            let result = if self.shared.is_empty() {
                sink.write(&self.tail[self.sent..])
            } else {
                self.write_vectored(sink)
            };
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.advance(count);
                    written += count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(WriteStep {
                        written,
                        blocked: true,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(WriteStep {
            written,
            blocked: false,
        })
    }

    fn write_vectored(&self, sink: &mut impl Write) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE];
        let mut used = 0;
        let pieces = self
            .shared
            .iter()
            .map(|piece| &piece[..])
            .chain([self.tail.as_slice()]);
        for (slot, (at, piece)) in slices.iter_mut().zip(pieces.enumerate()) {
            *slot = IoSlice::new(if at == 0 { &piece[self.sent..] } else { piece });
            used += 1;
        }
        sink.write_vectored(&slices[..used])
    }

    fn advance(&mut self, mut count: usize) {
        self.len -= count;
        while let Some(front) = self.shared.front() {
            let left = front.len() - self.sent;
            if count < left {
                self.sent += count;
                return;
            }
            count -= left;
            self.sent = 0;
            self.shared.pop_front();
        }
        self.sent += count;
        if self.sent == self.tail.len() {
            self.sent = 0;
            if self.tail.capacity() > BODY_BYTES_MAX {
                self.tail = Vec::new();
            }
            self.tail.clear();
        }
    }
}

/// What one round of writing did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct WriteStep {
    pub(crate) written: usize,
    pub(crate) blocked: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes at most `step` bytes a call.
    struct Sink {
        taken: Vec<u8>,
        step: usize,
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.step);
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn pieces_leave_in_order_whatever_the_sink_takes() {
        for step in 1..12 {
            let mut output = Output::default();
            let mut sink = Sink {
                taken: Vec::new(),
                step,
            };
            output.append(|tail| tail.extend_from_slice(b"one "));
            output.write_to(&mut sink, 1).unwrap();
            output.push_shared(Bytes::from_static(b"two "));
            output.append(|tail| tail.extend_from_slice(b"three "));
            output.write_to(&mut sink, 3).unwrap();
            output.push_shared(Bytes::from_static(b"four"));
            assert_eq!(output.len() + sink.taken.len(), 18, "{step}");
            output.write_to(&mut sink, usize::MAX).unwrap();
            assert_eq!(sink.taken, b"one two three four", "{step}");
            assert!(output.is_empty());
        }
    }

    #[test]
    fn discarding_keeps_a_piece_that_is_partly_out() {
        let mut output = Output::default();
        let mut sink = Sink {
            taken: Vec::new(),
            step: 2,
        };
        output.push_shared(Bytes::from_static(b"abcd"));
        output.push_shared(Bytes::from_static(b"efgh"));
        output.write_to(&mut sink, 2).unwrap();
        output.discard_unsent();
        output.append(|tail| tail.extend_from_slice(b"!"));
        assert_eq!(output.len(), 3);
        output.write_to(&mut sink, usize::MAX).unwrap();
        assert_eq!(sink.taken, b"abcd!");
    }

    #[test]
    fn input_is_bounded_and_compacts() {
        let mut input = Input::default();
        let mut scratch = vec![0; 16 * 1024];
        let mut source = io::repeat(b'x');
        while !input.is_full() {
            input.read_from(&mut source, &mut scratch).unwrap();
        }
        assert_eq!(input.len(), INPUT_BYTES_MAX);
        input.consume(INPUT_BYTES_MAX - 1);
        input.read_from(&mut &b"y"[..], &mut scratch).unwrap();
        assert_eq!(input.as_slice(), b"xy");
    }
}
