//! An HTTP/1.x connection's queue of answers: they leave in the order of their requests, whatever the order in which
//! they become ready.

use std::collections::VecDeque;
use std::time::Instant;

use super::answer::{Answer, ResponseShape, write_response};
use super::buffers::Output;
use super::relay::Relay;
use crate::limits::PIPELINE_MAX;

#[derive(Debug, Default)]
pub(crate) struct HttpSession {
    slots: VecDeque<Slot>,
    /// Number of the front slot; they are counted for ever.
    first: u64,
    pub(crate) relay: Option<Box<Relay>>,
    /// No further request is read; the connection ends after the answers in the queue.
    pub(crate) closing: bool,
    /// Bytes that must be there before parsing again makes sense.
    pub(crate) wanted_bytes: usize,
    /// When the request that is being received began, or its body did.
    pub(crate) began: Option<Instant>,
    pub(crate) told_to_continue: bool,
}

#[derive(Debug)]
struct Slot {
    shape: ResponseShape,
    /// The whole answer on the wire, waiting for those before it.
    ready: Option<Vec<u8>>,
}

impl HttpSession {
    pub(crate) fn has_answers_in_flight(&self) -> bool {
        !self.slots.is_empty()
    }

    /// Whether another request may be read now.
    pub(crate) fn may_read(&self) -> bool {
        !self.closing && self.relay.is_none() && self.slots.len() < PIPELINE_MAX
    }

    /// Whether a request is being passed on that has not arrived whole.
    pub(crate) fn lacks_body(&self) -> bool {
        self.relay.as_ref().is_some_and(|relay| relay.lacks_body())
    }

    /// Whether more of that request could be passed on now.
    pub(crate) fn wants_body(&self) -> bool {
        self.relay.as_ref().is_some_and(|relay| relay.wants_body())
    }

    /// Nothing more will be said.
    pub(crate) fn is_finished(&self) -> bool {
        self.closing && self.relay.is_none() && self.slots.is_empty()
    }

    /// The place that [`HttpSession::reserve`] would give.
    pub(crate) fn next_slot(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    /// A place in the queue for an answer that comes later.
    pub(crate) fn reserve(&mut self, shape: ResponseShape) -> u64 {
        self.closing |= !shape.keep_alive;
        let slot = self.next_slot();
        self.slots.push_back(Slot { shape, ready: None });
        slot
    }

    /// Queues an answer that is known at once.
    pub(crate) fn answer(&mut self, shape: ResponseShape, answer: &Answer, output: &mut Output, date: &str) {
        let slot = self.reserve(shape);
        self.complete(slot, answer.status, answer.allow, &answer.body, output, date);
    }

    /// Fills a place in the queue; what is ready at the front goes out.
    pub(crate) fn complete(
        &mut self,
        slot: u64,
        status: u16,
        allow: Option<&'static str>,
        body: &[u8],
        output: &mut Output,
        date: &str,
    ) {
        self.fill(slot, output, |out, shape| {
            write_response(out, shape, date, status, allow, body)
        });
    }

    /// As [`HttpSession::complete`], for an answer of another form.
    pub(crate) fn fill(
        &mut self,
        slot: u64,
        output: &mut Output,
        write: impl FnOnce(&mut Vec<u8>, &ResponseShape),
    ) {
        let at = usize::try_from(slot.wrapping_sub(self.first)).unwrap_or(usize::MAX);
        let Some(entry) = self.slots.get_mut(at) else {
            return;
        };
        if at > 0 {
            let mut bytes = Vec::new();
            write(&mut bytes, &entry.shape);
            entry.ready = Some(bytes);
            return;
        }
        output.append(|out| write(out, &entry.shape));
        self.slots.pop_front();
        self.first += 1;
        while let Some(bytes) = self.slots.front_mut().and_then(|slot| slot.ready.take()) {
            output.append(|out| out.extend_from_slice(&bytes));
            self.slots.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(keep_alive: bool) -> ResponseShape {
        ResponseShape {
            keep_alive,
            ..ResponseShape::closing()
        }
    }

    #[test]
    fn answers_leave_in_the_order_of_requests() {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut session = HttpSession::default();
            let mut output = Output::default();
            // An earlier answer has already gone, so that numbers and places differ.
            session.answer(shape(true), &Answer::error(400, "first"), &mut output, "");
            let slots = [0, 1, 2].map(|_| session.reserve(shape(true)));
            for at in order {
                let body = format!("\"body {at}\"");
                session.complete(slots[at], 200, None, body.as_bytes(), &mut output, "");
            }
            let mut wire = Vec::new();
            output.write_to(&mut wire, usize::MAX).unwrap();
            let wire = String::from_utf8(wire).unwrap();
            let places = ["first", "body 0", "body 1", "body 2"].map(|part| wire.find(part).unwrap());
            assert!(places.is_sorted(), "{order:?}: {wire}");
            assert!(!session.has_answers_in_flight());
        }
    }

    #[test]
    fn a_closing_answer_ends_reading() {
        let mut session = HttpSession::default();
        let mut output = Output::default();
        let slot = session.reserve(shape(false));
        assert!(!session.may_read() && !session.is_finished());
        session.complete(slot, 200, None, b"{}", &mut output, "");
        assert!(session.is_finished());
    }
}
