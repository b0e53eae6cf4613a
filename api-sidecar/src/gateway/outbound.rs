//! The engine's decisions as they come out of the ring, held back until the journal covers them.
//!
//! The ring itself is the buffer: an item that may not leave yet stays in it, and the engine stops polling its lanes
//! when the ring runs full. So nothing is dropped and nothing grows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::lane::{Outbound, Stamp, Token, Verdict};
use engine::{Event, ExplainedCheck, Seq, Timestamp};
use rtrb::Consumer;

use super::replies::Outcome;
use crate::limits::{LOOKS_PER_YIELD, YIELDS_PER_POLL};

/// Reads the engine's output ring up to the released position.
#[derive(Debug)]
pub(crate) struct Decisions {
    ring: Consumer<Outbound>,
    /// Answers to commands up to this `seq` may leave the process.
    released: Arc<AtomicU64>,
    /// The engine thread never runs on this one's core.
    apart: bool,
    open: Option<Open>,
    /// Checks of the validation whose verdict is coming.
    explained: Vec<ExplainedCheck>,
    /// The last command whose items were all taken.
    taken: u64,
}

/// The command whose events are coming.
#[derive(Clone, Copy, Debug)]
struct Open {
    seq: Seq,
    time: Timestamp,
    token: Option<Token>,
    dequeued: Stamp,
    outcome: Outcome,
}

#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, on the stack; a box would allocate for every answer"
)]
#[derive(Clone, Debug)]
pub(crate) enum Decision {
    Event {
        event: Event,
        seq: Seq,
        time: Timestamp,
        token: Option<Token>,
    },
    /// A command of the gateway's is finished.
    Finished {
        seq: Seq,
        token: Token,
        outcome: Outcome,
        dequeued: Stamp,
        decided: Stamp,
    },
    Checked {
        token: Token,
        verdict: Verdict,
        /// Every check on its own, where that was asked for.
        explained: Vec<ExplainedCheck>,
        dequeued: Stamp,
        decided: Stamp,
    },
    /// The engine did not take a request that would use the disk's reserve for more than reducing.
    Withheld {
        token: Token,
        dequeued: Stamp,
        decided: Stamp,
    },
}

impl Decisions {
    pub(crate) fn new(ring: Consumer<Outbound>, released: Arc<AtomicU64>, apart: bool) -> Decisions {
        Decisions {
            ring,
            released,
            apart,
            open: None,
            explained: Vec::new(),
            taken: 0,
        }
    }

    /// The last command whose items were all taken.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// Whether [`Decisions::next`] would take an item.
    pub(crate) fn has_next(&self) -> bool {
        self.ring.peek().is_ok_and(|item| self.may_leave(item))
    }

    /// Looks for a decision for about as long as one takes, offering the core to whoever makes it: at once where the
    /// engine may be waiting for it.
    pub(crate) fn comes(&self) -> bool {
        let looks = if self.apart { LOOKS_PER_YIELD } else { 1 };
        for _ in 0..YIELDS_PER_POLL {
            for _ in 0..looks {
                if self.has_next() {
                    return true;
                }
                std::hint::spin_loop();
            }
            std::thread::yield_now();
        }
        self.has_next()
    }

    /// `Event` and `End` belong to a `Begin` that has already passed.
    fn may_leave(&self, item: &Outbound) -> bool {
        match item {
            Outbound::Begin { seq, .. } | Outbound::Checked { seq, .. } | Outbound::Withheld { seq, .. } => {
                seq.get() <= self.released.load(Ordering::Acquire)
            }
            Outbound::Event(_) | Outbound::End { .. } | Outbound::Explained { .. } => true,
        }
    }

    /// The next decision that may leave; `items` counts down the ring items that may be looked at.
    pub(crate) fn next(&mut self, items: &mut usize) -> Option<Decision> {
        while *items > 0 && self.has_next() {
            let Ok(item) = self.ring.pop() else { return None };
            *items -= 1;
            match item {
                Outbound::Begin {
                    seq,
                    time,
                    token,
                    dequeued,
                } => {
                    self.open = Some(Open {
                        seq,
                        time,
                        token,
                        dequeued,
                        outcome: Outcome::default(),
                    });
                }
                Outbound::Event(event) => {
                    let Some(open) = &mut self.open else { continue };
                    if open.token.is_some() {
                        open.outcome.absorb(&event);
                    }
                    return Some(Decision::Event {
                        event,
                        seq: open.seq,
                        time: open.time,
                        token: open.token,
                    });
                }
                Outbound::End { seq, decided } => {
                    self.taken = seq.get();
                    let finished = self.open.take();
                    if let Some(Open {
                        token: Some(token),
                        dequeued,
                        outcome,
                        ..
                    }) = finished
                    {
                        return Some(Decision::Finished {
                            seq,
                            token,
                            outcome,
                            dequeued,
                            decided,
                        });
                    }
                }
                Outbound::Explained { check, .. } => self.explained.push(check),
                Outbound::Checked {
                    token,
                    verdict,
                    dequeued,
                    decided,
                    ..
                } => {
                    let explained = std::mem::take(&mut self.explained);
                    return Some(Decision::Checked {
                        token,
                        verdict,
                        explained,
                        dequeued,
                        decided,
                    });
                }
                Outbound::Withheld {
                    token,
                    dequeued,
                    decided,
                    ..
                } => {
                    return Some(Decision::Withheld {
                        token,
                        dequeued,
                        decided,
                    });
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::InstrumentId;

    #[test]
    fn nothing_passes_the_released_position() {
        let (mut engine, ring) = rtrb::RingBuffer::new(16);
        let released = Arc::new(AtomicU64::new(0));
        let mut decisions = Decisions::new(ring, Arc::clone(&released), false);
        let begin = |seq: u64, token| Outbound::Begin {
            seq: Seq::new(seq),
            time: Timestamp::ZERO,
            token,
            dequeued: 0,
        };
        let end = |seq: u64| Outbound::End {
            seq: Seq::new(seq),
            decided: 0,
        };
        let event = Outbound::Event(Event::InstrumentDefined(InstrumentId::new(1)));
        for item in [
            begin(1, None),
            event,
            end(1),
            Outbound::Checked {
                token: 8,
                seq: Seq::new(1),
                verdict: Verdict::default(),
                dequeued: 0,
                decided: 0,
            },
            begin(2, Some(9)),
            event,
            end(2),
        ] {
            engine.push(item).unwrap();
        }
        let mut items = usize::MAX;
        assert!(!decisions.has_next());
        assert!(decisions.next(&mut items).is_none());
        released.store(1, Ordering::Release);
        assert!(matches!(
            decisions.next(&mut items),
            Some(Decision::Event { token: None, .. })
        ));
        assert!(matches!(
            decisions.next(&mut items),
            Some(Decision::Checked { token: 8, .. })
        ));
        assert!(decisions.next(&mut items).is_none());
        released.store(2, Ordering::Release);
        assert!(matches!(
            decisions.next(&mut items),
            Some(Decision::Event { token: Some(9), .. })
        ));
        assert!(matches!(
            decisions.next(&mut items),
            Some(Decision::Finished { token: 9, .. })
        ));
        assert!(decisions.next(&mut items).is_none());
    }
}
