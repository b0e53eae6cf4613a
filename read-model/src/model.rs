//! The fold: an engine, and the history of what it decided.

use engine::{
    AccountId, Capacity, Command, Engine, EventBuffer, InstrumentId, Seq, Sequenced, Timestamp, Work,
};

use crate::definitions::Definitions;
use crate::foreseen::Foreseen;
use crate::history::History;

/// An engine of its own and today's history, after the command at [`ReadModel::seq`].
#[derive(Debug)]
pub struct ReadModel {
    pub(crate) engine: Engine,
    pub(crate) capacity: Capacity,
    pub(crate) events: EventBuffer,
    pub(crate) history: History,
    pub(crate) definitions: Definitions,
}

impl ReadModel {
    /// Before the first command. `capacity` must be the sequencing engine's.
    pub fn new(capacity: Capacity) -> ReadModel {
        ReadModel {
            engine: Engine::new(capacity),
            capacity,
            events: EventBuffer::new(),
            history: History::new(),
            definitions: Definitions::default(),
        }
    }

    /// Folds the next command.
    ///
    /// # Panics
    /// Where the command is not the next one: a fold with a hole in it is worthless.
    pub fn apply(&mut self, command: &Sequenced<Command>) {
        assert_eq!(
            command.seq.get(),
            self.seq().get().saturating_add(1),
            "the journal has a hole before {:?}",
            command.seq
        );
        self.definitions.observe(&command.command);
        self.history.begin(command, Foreseen::of(&self.engine, command));
        self.events.clear();
        let mut work = self.engine.apply(command, &mut self.events);
        self.history.absorb(command, &self.events);
        while work == Work::More {
            self.events.clear();
            work = self.engine.resume(&mut self.events);
            self.history.absorb(command, &self.events);
        }
    }

    /// The last command folded.
    pub fn seq(&self) -> Seq {
        self.engine.last_seq()
    }

    /// The time of the last command folded.
    pub fn time(&self) -> Timestamp {
        self.engine.time()
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    pub fn history(&self) -> &History {
        &self.history
    }

    /// The configuration as it was last applied.
    pub fn definitions(&self) -> &Definitions {
        &self.definitions
    }

    /// Recomputes what the engine keeps incrementally, and notes a divergence where the two differ: a bug or bad
    /// memory. Costs a pass over the whole state, so it belongs to every some ten thousand commands.
    pub fn audit(&mut self) -> Result<(), &'static str> {
        self.engine.audit().inspect_err(|_| {
            let (expected, found) = (self.engine.state_hash(), self.engine.recomputed_hash());
            self.history
                .diverged(self.engine.last_seq(), self.engine.time(), expected, found);
        })
    }

    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// The account of that name, venue accounts excepted.
    pub fn account_by_name(&self, name: &str) -> Option<AccountId> {
        self.engine
            .accounts()
            .find(|account| account.name.as_str() == name && !account.venue)
            .map(|account| account.account)
    }

    /// The instrument of that symbol, on the exchange where one is named.
    pub fn instrument_by_symbol(&self, symbol: &str, exchange: Option<&str>) -> Option<InstrumentId> {
        self.engine
            .instruments()
            .find(|instrument| {
                instrument.definition.symbol.as_str() == symbol
                    && exchange.is_none_or(|exchange| instrument.definition.exchange.as_str() == exchange)
            })
            .map(|instrument| instrument.instrument)
    }
}
