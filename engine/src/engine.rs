//! The engine: a fold of commands into state and events.

use alloc::vec::Vec;

use crate::command::{Command, NewOrder, Sequenced};
use crate::event::EventBuffer;
use crate::ids::{AccountId, InstrumentId, PositionId, Seq};
use crate::lane::Verdict;
use crate::terms::Side;
use crate::units::Timestamp;
use crate::view::{AccountView, DepthLevel, InstrumentView, PositionView};

/// Sizes of the pools, fixed when the engine is built. They are part of the configuration, not of the state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capacity {
    pub accounts: u32,
    pub instruments: u32,
    /// Orders open at once.
    pub orders: u32,
    /// Position keys ever used.
    pub positions: u32,
}

impl Default for Capacity {
    fn default() -> Capacity {
        Capacity {
            accounts: 1_024,
            instruments: 1_024,
            orders: 1 << 18,
            positions: 1 << 16,
        }
    }
}

/// Whether a call finished its command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "a command with more work must be resumed before the next one"]
pub enum Work {
    Done,
    More,
}

#[derive(Debug)]
pub struct Engine {}

impl Engine {
    pub fn new(_capacity: Capacity) -> Engine {
        todo!()
    }

    /// Folds one command. Emits at most [`crate::limits::EVENTS_PER_CALL`] events into `out`, which it does not clear.
    /// After [`Work::More`] the caller publishes `out`, clears it and calls [`Engine::resume`] until it is done.
    pub fn apply(&mut self, _command: &Sequenced<Command>, _out: &mut EventBuffer) -> Work {
        todo!()
    }

    /// Goes on with the command that last answered [`Work::More`].
    pub fn resume(&mut self, _out: &mut EventBuffer) -> Work {
        todo!()
    }

    /// Evaluates an order exactly as [`Engine::apply`] would, at time `now`, without changing anything.
    pub fn check(&self, _order: &NewOrder, _now: Timestamp) -> Verdict {
        todo!()
    }

    /// When the next [`Command::Tick`] is due.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        todo!()
    }

    /// A hash of the whole state, kept incrementally.
    pub fn state_hash(&self) -> u64 {
        todo!()
    }

    /// The last command applied, and its time.
    pub fn last_seq(&self) -> Seq {
        todo!()
    }

    pub fn time(&self) -> Timestamp {
        todo!()
    }

    pub fn instrument(&self, _instrument: InstrumentId) -> Option<InstrumentView<'_>> {
        todo!()
    }

    pub fn instruments(&self) -> impl Iterator<Item = InstrumentView<'_>> {
        core::iter::empty()
    }

    pub fn account(&self, _account: AccountId) -> Option<AccountView<'_>> {
        todo!()
    }

    pub fn accounts(&self) -> impl Iterator<Item = AccountView<'_>> {
        core::iter::empty()
    }

    pub fn position(&self, _position: PositionId) -> Option<PositionView> {
        todo!()
    }

    /// Every position key ever used, flat ones included, by id.
    pub fn positions(&self) -> impl Iterator<Item = PositionView> {
        core::iter::empty()
    }

    /// The best `levels` price levels of one side of a book, best first.
    pub fn depth(&self, _instrument: InstrumentId, _side: Side, _levels: usize) -> Vec<DepthLevel> {
        todo!()
    }
}
