//! A fold of a journal outside of a server: the same engine code, and a look at every event.

use engine::{Capacity, Command, Engine, Event, EventBuffer, Seq, Sequenced, Work};

/// The first place where a fold came to another state than the sequencer had.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the fold disagrees with the journal's state hash at seq {seq}: expected {expected:016x}, found {found:016x}"
)]
pub struct Divergence {
    pub seq: Seq,
    pub expected: u64,
    pub found: u64,
}

/// An engine, and what there was to count on its way.
#[derive(Debug)]
pub struct Fold {
    engine: Engine,
    events: EventBuffer,
    trades: u64,
    hash_checks: u64,
    divergence: Option<Divergence>,
}

impl Fold {
    /// Before the first command.
    pub fn new() -> Fold {
        Fold::starting_with(Engine::new(Capacity::default()))
    }

    /// After the engine's last command.
    pub fn starting_with(engine: Engine) -> Fold {
        Fold {
            engine,
            events: EventBuffer::new(),
            trades: 0,
            hash_checks: 0,
            divergence: None,
        }
    }

    /// Folds the next command and shows each of its events, with the engine as it is after that run of events.
    pub fn apply(&mut self, command: &Sequenced<Command>, mut see: impl FnMut(&Engine, &Event)) {
        self.hash_checks += u64::from(matches!(command.command, Command::HashCheck(_)));
        self.events.clear();
        let mut work = self.engine.apply(command, &mut self.events);
        loop {
            for event in self.events.iter() {
                match *event {
                    Event::Trade(_) => self.trades += 1,
                    Event::HashMismatch { expected, found } if self.divergence.is_none() => {
                        let seq = command.seq;
                        self.divergence = Some(Divergence { seq, expected, found });
                    }
                    _ => {}
                }
                see(&self.engine, event);
            }
            if work == Work::Done {
                return;
            }
            self.events.clear();
            work = self.engine.resume(&mut self.events);
        }
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    pub fn trades(&self) -> u64 {
        self.trades
    }

    /// State hashes in the journal that were compared.
    pub fn hash_checks(&self) -> u64 {
        self.hash_checks
    }

    pub fn divergence(&self) -> Option<Divergence> {
        self.divergence
    }
}

impl Default for Fold {
    fn default() -> Fold {
        Fold::new()
    }
}
