//! The fold as bytes, and back: so that the tables need not be folded from the journal's beginning.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | layout version |
//! | 4 | 8 | length of the engine's own snapshot |
//! | 12 | | the engine's own snapshot, then the rest (postcard) |
//!
//! Whether the bytes are those that were written is for whoever keeps them to check.

use std::collections::BTreeMap;

use engine::{AccountId, Engine, EventBuffer, StrategyId};
use read_model::History;
use serde::{Deserialize, Serialize};

use super::{Days, Dirty, Fold, Held, KillEvents, Ledger, Names, PositionLives, StrategyTotals};
use crate::projector::batch::Batch;
use crate::projector::reconcile::Volume;

/// Layout of the bytes. Another layout is refused.
const VERSION: u32 = 4;

/// Why bytes are not a fold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FoldRestoreError {
    #[error("layout {0} of the tables' fold is unknown")]
    Version(u32),
    #[error("the bytes are not a fold of the tables")]
    Malformed,
    #[error(transparent)]
    Engine(#[from] engine::RestoreError),
}

#[derive(Serialize)]
struct Saved<'a> {
    history: &'a History,
    positions: &'a PositionLives,
    strategies: &'a BTreeMap<(AccountId, StrategyId), StrategyTotals>,
    days: &'a Days,
    kills: &'a KillEvents,
    ledger: &'a Ledger,
    day: u32,
    held: Held,
    volume: Volume,
    round_trips: u64,
}

#[derive(Deserialize)]
struct Restored {
    history: History,
    positions: PositionLives,
    strategies: BTreeMap<(AccountId, StrategyId), StrategyTotals>,
    days: Days,
    kills: KillEvents,
    ledger: Ledger,
    day: u32,
    held: Held,
    volume: Volume,
    round_trips: u64,
}

impl Fold {
    /// The state after the last command folded; `None` where rows wait to be taken, which a save would lose.
    pub fn save(&self) -> Option<Vec<u8>> {
        if self.pending_rows() > 0 {
            return None;
        }
        let engine = self.engine.save();
        let mut bytes = Vec::with_capacity(2 * engine.len() + 1_024);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(engine.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&engine);
        let saved = Saved {
            history: &self.history,
            positions: &self.positions,
            strategies: &self.strategies,
            days: &self.days,
            kills: &self.kills,
            ledger: &self.ledger,
            day: self.day,
            held: self.held,
            volume: self.volume,
            round_trips: self.round_trips,
        };
        Some(postcard::to_extend(&saved, bytes).expect("plain data is written into memory"))
    }

    /// A fold that goes on like the one that was saved, for tables that hold everything up to `written_to`. The
    /// engine's state is checked against its hash and all invariants.
    pub fn restore(bytes: &[u8], written_to: u64) -> Result<Fold, FoldRestoreError> {
        let (version, rest) = bytes.split_first_chunk().ok_or(FoldRestoreError::Malformed)?;
        let version = u32::from_le_bytes(*version);
        if version != VERSION {
            return Err(FoldRestoreError::Version(version));
        }
        let (len, rest) = rest.split_first_chunk().ok_or(FoldRestoreError::Malformed)?;
        let len = usize::try_from(u64::from_le_bytes(*len)).map_err(|_| FoldRestoreError::Malformed)?;
        let (engine, rest) = rest.split_at_checked(len).ok_or(FoldRestoreError::Malformed)?;
        let engine = Engine::restore(engine)?;
        let restored: Restored = postcard::from_bytes(rest).map_err(|_| FoldRestoreError::Malformed)?;
        let mut names = Names::default();
        for account in engine.accounts() {
            names.learn_account(account.account, &engine);
        }
        for instrument in engine.instruments() {
            names.learn_instrument(instrument.instrument, &engine);
        }
        Ok(Fold {
            engine,
            history: restored.history,
            events: EventBuffer::new(),
            names,
            positions: restored.positions,
            strategies: restored.strategies,
            days: restored.days,
            kills: restored.kills,
            ledger: restored.ledger,
            day: restored.day,
            dirty: Dirty::default(),
            batch: Batch::starting_after(written_to),
            written_to,
            held: restored.held,
            volume: restored.volume,
            round_trips: restored.round_trips,
            ordinal: 0,
            last_fills: BTreeMap::new(),
            refusal: None,
            touched: std::collections::BTreeSet::new(),
        })
    }
}
