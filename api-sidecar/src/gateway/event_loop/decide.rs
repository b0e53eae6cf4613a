//! The engine's decisions out of the ring: answers to those who wait for them, events to those who may see them.

use super::super::connection::Protocol;
use super::super::outbound::Decision;
use super::super::replies::{Address, ReplyTo, encode_reply, encode_verdict};
use super::super::serve_ws::write_reply;
use super::super::ws::events;
use super::super::ws::session::append_text_frame;
use super::EventLoop;
use crate::limits::OUTBOUND_PER_TURN;

impl EventLoop {
    /// Takes what the engine decided and may leave; `true` where there was something.
    pub(super) fn take_decisions(&mut self) -> bool {
        let mut items = OUTBOUND_PER_TURN;
        while let Some(decision) = self.decisions.next(&mut items) {
            match decision {
                Decision::Event {
                    event,
                    seq,
                    time,
                    token,
                } => {
                    self.core.directory.absorb(&event, time);
                    if events::is_pushed(&event) {
                        self.core.visible_seq = seq.get();
                        self.push(&event, seq, time, token);
                    } else {
                        self.push_market(&event);
                    }
                }
                Decision::Finished { seq, token, outcome } => {
                    self.core.visible_seq = seq.get();
                    let Some((action, to)) = self.core.replies.take(token) else {
                        continue;
                    };
                    self.body.clear();
                    let durable = self.core.acknowledges_durable();
                    let status = encode_reply(&mut self.body, &action, &outcome, durable);
                    if let Some(to) = to {
                        self.deliver(&to, status);
                    }
                }
                Decision::Checked {
                    token,
                    verdict,
                    explained,
                } => {
                    let Some((_, to)) = self.core.replies.take(token) else {
                        continue;
                    };
                    self.body.clear();
                    let status = encode_verdict(&mut self.body, &verdict, &explained);
                    if let Some(to) = to {
                        self.deliver(&to, status);
                    }
                }
            }
        }
        items < OUTBOUND_PER_TURN
    }

    /// Gives the answer in `self.body` to the request that waits for it, if its connection still lives.
    pub(super) fn deliver(&mut self, to: &ReplyTo, status: u16) {
        let Some(connection) = self
            .connections
            .get_mut(to.connection)
            .filter(|found| found.serial == to.serial)
        else {
            return;
        };
        let output = &mut connection.output;
        match (&to.address, &mut connection.protocol) {
            (Address::Http { slot }, Protocol::Http(session)) => {
                session.complete(*slot, status, None, &self.body, output, &self.core.date);
            }
            (Address::WebSocket { request, correlation }, Protocol::WebSocket(session)) => {
                session.in_flight -= 1;
                if !session.closed {
                    write_reply(
                        &mut self.message,
                        request,
                        correlation.as_deref(),
                        status,
                        &self.body,
                    );
                    output.append(|tail| append_text_frame(tail, &self.message));
                }
            }
            // The connection is only waiting to be closed.
            _ => {}
        }
        self.enqueue(to.connection);
    }
}
