//! The engine's decisions out of the ring: answers to those who wait for them, events to those who may see them.

use engine::Text;
use engine::lane::Stamp;

use super::super::answer::Answer;
use super::super::connection::Protocol;
use super::super::outbound::Decision;
use super::super::replies::{Action, Address, ReplyTo, encode_reply, encode_verdict};
use super::super::serve_ws::write_reply;
use super::super::ws::events;
use super::super::ws::session::append_text_frame;
use super::EventLoop;
use crate::latency::Stamps;
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
                    let action = token.and_then(|token| self.core.replies.action(token));
                    self.core.directory.absorb(&event, time, action);
                    if events::is_pushed(&event) {
                        self.core.visible_seq = seq.get();
                        self.push(&event, seq, time, token);
                    } else {
                        self.push_market(&event);
                    }
                }
                Decision::Finished {
                    seq,
                    token,
                    outcome,
                    dequeued,
                    decided,
                } => {
                    self.core.visible_seq = seq.get();
                    let Some((mut action, to)) = self.core.replies.take(token) else {
                        continue;
                    };
                    // A kill switch that was as strict already stays as it is: the answer tells how.
                    if let Action::Kill {
                        scope, state, reason, ..
                    } = &mut action
                        && let Some(held) = self.core.directory.kill(*scope)
                    {
                        (*state, *reason) = (held.state, held.reason);
                    }
                    self.body.clear();
                    let durable = self.core.acknowledges_durable();
                    let status = encode_reply(&mut self.body, &action, &outcome, seq, durable);
                    if let Some(mut to) = to {
                        self.complete_stamps(&mut to.stamps, dequeued, decided);
                        self.deliver(&to, status);
                    }
                }
                Decision::Checked {
                    token,
                    verdict,
                    explained,
                    dequeued,
                    decided,
                } => {
                    let Some((_, to)) = self.core.replies.take(token) else {
                        continue;
                    };
                    self.body.clear();
                    let status = encode_verdict(&mut self.body, &verdict, &explained);
                    if let Some(mut to) = to {
                        self.complete_stamps(&mut to.stamps, dequeued, decided);
                        self.deliver(&to, status);
                    }
                }
                Decision::Withheld {
                    token,
                    dequeued,
                    decided,
                } => {
                    let Some((_, to)) = self.core.replies.take(token) else {
                        continue;
                    };
                    let answer = Answer::disk_low();
                    self.body.clear();
                    self.body.extend_from_slice(&answer.body);
                    if let Some(mut to) = to {
                        self.complete_stamps(&mut to.stamps, dequeued, decided);
                        self.deliver(&to, answer.status);
                    }
                }
            }
        }
        items < OUTBOUND_PER_TURN
    }

    fn complete_stamps(&self, stamps: &mut Stamps, dequeued: Stamp, decided: Stamp) {
        let latency = self.core.recorder.shared();
        stamps.dequeued = dequeued;
        stamps.decided = decided;
        stamps.released = self
            .core
            .acknowledges_durable()
            .then(|| latency.released_after(decided));
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
        if to.stamps.decided != 0 {
            connection.unwritten.push(to.stamps);
        }
        let output = &mut connection.output;
        match (&to.address, &mut connection.protocol) {
            (Address::Http { slot }, Protocol::Http(session)) => {
                session.complete(*slot, status, None, &self.body, output, &self.core.date);
            }
            (
                Address::WebSocket {
                    request,
                    correlation,
                    timings,
                },
                Protocol::WebSocket(session),
            ) => {
                session.in_flight -= 1;
                if !session.closed {
                    let latency = self.core.recorder.shared();
                    let durations =
                        timings.then(|| to.stamps.durations(latency.clock(), latency.clock().stamp()));
                    write_reply(
                        &mut self.message,
                        request,
                        correlation.as_ref().map(Text::as_str),
                        status,
                        &self.body,
                        durations.as_ref(),
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
