//! What an order costs in production, on one thread: the sequencer with an engine in it, and the far ends of its rings.

use std::hint::black_box;

use api_sidecar::latency::StampClock;
use engine::lane::{JournalEntry, Outbound};
use engine::{Command, Engine, EventBuffer, Sequenced, Timestamp, Work};
use persistence_writer::record;
use rtrb::{Consumer, RingBuffer};

use crate::limits::{JOURNAL_RING, OUTBOUND_RING};
use crate::sequencer::Sequencer;

/// Applies one command to its end; its last events stay in `events`.
#[inline(always)]
pub(super) fn apply(engine: &mut Engine, command: &Sequenced<Command>, events: &mut EventBuffer) {
    events.clear();
    let mut work = engine.apply(command, events);
    while work == Work::More {
        events.clear();
        work = engine.resume(events);
    }
}

/// The sequencer between its rings, and a journal that keeps nothing.
#[derive(Debug)]
pub(super) struct Rig {
    sequencer: Sequencer,
    journal: Consumer<JournalEntry>,
    outbound: Consumer<Outbound>,
    record: Vec<u8>,
    time: u64,
    interval_ns: u64,
}

impl Rig {
    /// Its clock begins at `start` and goes on by `interval_ns` before each command.
    pub(super) fn new(engine: Engine, start: Timestamp, interval_ns: u64) -> Rig {
        let (journal_in, journal) = RingBuffer::new(JOURNAL_RING);
        let (outbound_in, outbound) = RingBuffer::new(OUTBOUND_RING);
        Rig {
            sequencer: Sequencer::new(engine, journal_in, outbound_in, StampClock::new()),
            journal,
            outbound,
            record: Vec::with_capacity(4_096),
            time: start.nanos(),
            interval_ns,
        }
    }

    pub(super) fn engine(&self) -> &Engine {
        self.sequencer.engine()
    }

    /// One turn of the engine's loop with one command, then what the other ends of its rings have to do: `see` each
    /// item of the outbound ring, and `keep` each encoded record.
    #[inline(always)]
    pub(super) fn step(
        &mut self,
        command: Command,
        mut see: impl FnMut(&Outbound),
        mut keep: impl FnMut(&[u8]),
    ) {
        self.time += self.interval_ns;
        let now = Timestamp::from_nanos(self.time);
        let has_room = self.sequencer.has_room();
        debug_assert!(has_room, "the rings are emptied after every command");
        self.sequencer.tick_when_due(now);
        self.sequencer.sequence(command, Some(0), now);
        if let Ok(chunk) = self.journal.read_chunk(self.journal.slots()) {
            let (first, second) = chunk.as_slices();
            for entry in first.iter().chain(second) {
                if let JournalEntry::Command { command, .. } = entry {
                    self.record.clear();
                    record::encode(command.time, &command.command, &mut self.record);
                    keep(black_box(&self.record));
                }
            }
            chunk.commit_all();
        }
        if let Ok(chunk) = self.outbound.read_chunk(self.outbound.slots()) {
            let (first, second) = chunk.as_slices();
            first.iter().chain(second).for_each(&mut see);
            chunk.commit_all();
        }
    }
}
