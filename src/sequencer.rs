//! The sequencer: gives each command its place and time, applies it, and hands the results on.
//!
//! It owns the hot engine and the engine thread's output rings. A command is applied first and then moved into the
//! journal's ring, a long one after its first run of events; they leave the process only once the journal covers it,
//! which the gateway sees to.

use std::time::Instant;

use api_sidecar::latency::StampClock;
use engine::lane::{Input, JournalEntry, Outbound, Request, Stamp, Token};
use engine::limits::EVENTS_PER_CALL;
use engine::{Command, Engine, Event, EventBuffer, NewOrder, Seq, Sequenced, Timestamp, Work};
use rtrb::Producer;

use crate::clock::{Clock, Slew};

/// Commands between two state hashes in the journal (DESIGN.md section 5).
const HASH_CHECK_INTERVAL: u64 = 65_536;

/// Entries that one turn of the loop may add to the journal's ring beside the command itself: a tick, a hash check.
pub const JOURNAL_SLOTS_PER_TURN: usize = 4;

/// Slots that one call of the engine may need in the outbound ring: its events, `Begin` and `End`.
pub const OUTBOUND_SLOTS_PER_CALL: usize = EVENTS_PER_CALL + 2;

/// Applies commands in order and publishes what comes of them.
pub struct Sequencer {
    engine: Engine,
    events: EventBuffer,
    journal: Producer<JournalEntry>,
    outbound: Producer<Outbound>,
    clock: StampClock,
    time: Clock,
    /// How it goes on while the wall clock is behind.
    slew: Slew,
    /// Free slots known of each ring; looked up again only when they run low.
    journal_free: usize,
    outbound_free: usize,
    /// When the last command was decided, while the loop has done nothing else since: then the next one is taken.
    decided: Option<Stamp>,
}

impl std::fmt::Debug for Sequencer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sequencer")
            .field("seq", &self.engine.last_seq())
            .finish_non_exhaustive()
    }
}

impl Sequencer {
    /// # Panics
    /// Where a ring is too small for one call.
    pub fn new(
        engine: Engine,
        journal: Producer<JournalEntry>,
        outbound: Producer<Outbound>,
        clock: StampClock,
    ) -> Sequencer {
        assert!(
            outbound.buffer().capacity() >= OUTBOUND_SLOTS_PER_CALL,
            "the outbound ring holds less than a call"
        );
        assert!(
            journal.buffer().capacity() >= JOURNAL_SLOTS_PER_TURN,
            "the journal ring holds less than a turn"
        );
        Sequencer {
            engine,
            events: EventBuffer::new(),
            journal,
            outbound,
            clock,
            time: Clock::Wall,
            slew: Slew::default(),
            journal_free: 0,
            outbound_free: 0,
            decided: None,
        }
    }

    /// Takes the time from another clock than the wall's.
    #[must_use]
    pub fn with_clock(self, time: Clock) -> Sequencer {
        Sequencer { time, ..self }
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Whether every output ring has room for a whole call, so that a lane may be polled.
    #[inline]
    pub fn has_room(&mut self) -> bool {
        if self.journal_free < JOURNAL_SLOTS_PER_TURN {
            self.journal_free = self.journal.slots();
        }
        if self.outbound_free < OUTBOUND_SLOTS_PER_CALL {
            self.outbound_free = self.outbound.slots();
        }
        self.journal_free >= JOURNAL_SLOTS_PER_TURN && self.outbound_free >= OUTBOUND_SLOTS_PER_CALL
    }

    /// Whether nobody is left to journal what would be sequenced.
    pub fn is_cut_off(&self) -> bool {
        self.journal.is_abandoned()
    }

    /// The clock's time, never behind the last command. While the wall clock is, time goes on at half its speed.
    #[inline]
    pub fn now(&mut self) -> Timestamp {
        let (clock, last) = (self.time.now(), self.engine.time());
        if clock >= last {
            self.slew.end();
            return clock;
        }
        match self.time {
            Clock::Wall => self.slew.time(last, Instant::now()),
            Clock::Virtual(_) => last,
        }
    }

    /// The loop comes back from its lanes: what it takes next is taken now.
    #[inline]
    pub fn begin_turn(&mut self) {
        self.decided = None;
    }

    /// Sequences a tick where one is due.
    #[inline]
    pub fn tick_when_due(&mut self, now: Timestamp) -> bool {
        let due = self
            .engine
            .next_deadline()
            .is_some_and(|deadline| deadline <= now);
        if due {
            self.sequence(Command::Tick, None, now);
        }
        due
    }

    /// Serves one request of the gateway.
    #[inline]
    pub fn serve(&mut self, request: Request, now: Timestamp) {
        match request.input {
            Input::Command(command) => self.sequence(command, Some(request.token), now),
            Input::Reducing(command) => match self.engine.only_reduces(&command) {
                true => self.sequence(command, Some(request.token), now),
                false => self.withhold(request.token),
            },
            Input::Validate { order, explain } => self.validate(request.token, &order, explain, now),
        }
    }

    fn validate(&mut self, token: Token, order: &NewOrder, explain: bool, now: Timestamp) {
        let dequeued = self.clock.stamp();
        if explain {
            let outbound = &mut self.outbound;
            let mut sent = 0;
            self.engine.explain(order, now, |check| {
                sent += usize::from(outbound.push(Outbound::Explained { token, check }).is_ok());
            });
            self.outbound_free = self.outbound_free.saturating_sub(sent);
        }
        let verdict = self.engine.check(order, now);
        self.send(Outbound::Checked {
            token,
            seq: self.engine.last_seq(),
            verdict,
            dequeued,
            decided: self.clock.stamp(),
        });
        self.enter(JournalEntry::Sync);
    }

    #[cold]
    fn withhold(&mut self, token: Token) {
        let dequeued = self.clock.stamp();
        self.send(Outbound::Withheld {
            token,
            seq: self.engine.last_seq(),
            dequeued,
            decided: self.clock.stamp(),
        });
        self.enter(JournalEntry::Sync);
    }

    /// Gives a command its place, applies it to the end, and publishes events and journal entry. The caller has seen
    /// [`Sequencer::has_room`].
    #[inline]
    pub fn sequence(&mut self, command: Command, token: Option<Token>, now: Timestamp) {
        self.sequence_idling(command, token, now, std::thread::yield_now);
    }

    /// As [`Sequencer::sequence`]; `idle` runs, again and again, while a long command waits for room for its events.
    #[inline]
    pub fn sequence_idling(
        &mut self,
        command: Command,
        token: Option<Token>,
        now: Timestamp,
        idle: impl FnMut(),
    ) {
        // Only what a client waits for is timed.
        let taken = self.decided.take();
        let dequeued = token.map_or(0, |_| taken.unwrap_or_else(|| self.clock.stamp()));
        let seq = Seq::new(self.engine.last_seq().get() + 1);
        let command = Sequenced {
            seq,
            time: now.max(self.engine.time()),
            command,
        };
        self.events.clear();
        let work = self.engine.apply(&command, &mut self.events);
        let urgent = token.is_some() || work == Work::More || self.events.iter().any(concerns_a_client);
        // A call may have collected triggers only, and has its events to come.
        let speaks = urgent || !self.events.is_empty();
        if speaks {
            self.send(Outbound::Begin {
                seq,
                time: command.time,
                token,
                dequeued,
            });
        }
        self.publish_events();
        // The events of a long command may fill the ring, and none leaves it before the journal covers the command: so
        // the entry comes first, and once they are all there whoever sends them on is woken.
        if work == Work::More {
            self.enter(JournalEntry::Command { command, urgent });
            self.work_off(idle);
            self.end(seq, token);
            self.enter(JournalEntry::Sync);
        } else {
            if speaks {
                self.end(seq, token);
            }
            self.enter(JournalEntry::Command { command, urgent });
        }
        if seq.get().is_multiple_of(HASH_CHECK_INTERVAL) {
            self.check_hash(now);
        }
    }

    /// The rest of a long command, run by run.
    #[cold]
    fn work_off(&mut self, mut idle: impl FnMut()) {
        let mut work = Work::More;
        while work == Work::More {
            self.wait_for_room(&mut idle);
            self.events.clear();
            work = self.engine.resume(&mut self.events);
            self.publish_events();
        }
    }

    #[inline]
    fn end(&mut self, seq: Seq, token: Option<Token>) {
        let decided = token.map_or(0, |_| self.clock.stamp());
        self.decided = token.map(|_| decided);
        self.send(Outbound::End { seq, decided });
    }

    fn check_hash(&mut self, now: Timestamp) {
        let seq = Seq::new(self.engine.last_seq().get() + 1);
        let command = Command::HashCheck(self.engine.state_hash());
        let command = Sequenced {
            seq,
            time: now.max(self.engine.time()),
            command,
        };
        self.events.clear();
        let work = self.engine.apply(&command, &mut self.events);
        debug_assert!(
            work == Work::Done && self.events.is_empty(),
            "an engine agrees with its own hash"
        );
        self.enter(JournalEntry::Command {
            command,
            urgent: false,
        });
    }

    /// A long command goes on only when its next run of events fits.
    fn wait_for_room(&mut self, idle: &mut impl FnMut()) {
        while !self.has_room() && !self.is_cut_off() && !self.outbound.is_abandoned() {
            idle();
        }
    }

    /// One run of events in one step of the ring.
    #[inline]
    fn publish_events(&mut self) {
        let count = self.events.len();
        match self.outbound.write_chunk_uninit(count) {
            Ok(chunk) => {
                chunk.fill_from_iter(self.events.iter().map(|event| Outbound::Event(*event)));
            }
            Err(_) => debug_assert!(
                self.outbound.is_abandoned(),
                "the caller keeps a call's slots free"
            ),
        }
        self.outbound_free = self.outbound_free.saturating_sub(count);
    }

    #[inline]
    fn send(&mut self, item: Outbound) {
        let sent = self.outbound.push(item);
        debug_assert!(
            sent.is_ok() || self.outbound.is_abandoned(),
            "the caller keeps a call's slots free"
        );
        self.outbound_free = self.outbound_free.saturating_sub(1);
    }

    #[inline]
    fn enter(&mut self, entry: JournalEntry) {
        let entered = self.journal.push(entry);
        debug_assert!(
            entered.is_ok() || self.is_cut_off(),
            "the caller keeps a turn's slots free"
        );
        self.journal_free = self.journal_free.saturating_sub(1);
    }
}

/// Whether someone outside waits for an event: everything but prints and quotes of the market.
fn concerns_a_client(event: &Event) -> bool {
    !matches!(
        event,
        Event::Trade(_) | Event::TopOfBook(_) | Event::PositionMarked(_)
    )
}
