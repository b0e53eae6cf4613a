//! When positions were opened and closed. Their money is the engine's own (`Engine::position`).

use std::collections::{BTreeMap, BTreeSet};

use engine::{
    AccountId, ConditionsChanged, InstrumentId, Money, PositionChange, PositionChanged, PositionId, Price,
    Product, StrategyId, Timestamp,
};

use crate::limits::CLOSED_POSITIONS_KEPT;
use crate::log::Log;

/// A position that is open now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct OpenPosition {
    pub position: PositionId,
    pub account: AccountId,
    /// When it was last flat until then.
    pub opened: Timestamp,
    /// Of its last change.
    pub updated: Timestamp,
    /// Signed, as of its last change.
    pub quantity: i64,
    /// Signed cost of the open quantity, as of its last change.
    pub cost: Money,
    /// Unlike the position's own, these are what the position had while it was open.
    stop_loss: Option<Price>,
    take_profit: Option<Price>,
}

/// A position that was closed today: one round trip from flat to flat.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct ClosedPosition {
    pub position: PositionId,
    pub account: AccountId,
    pub strategy: StrategyId,
    pub instrument: InstrumentId,
    pub product: Product,
    /// Before charges.
    pub realised: Money,
    pub charges: Money,
    pub stop_loss: Option<Price>,
    pub take_profit: Option<Price>,
    /// Whether it was long when it was closed.
    pub was_long: bool,
    pub opened: Timestamp,
    pub closed: Timestamp,
}

impl ClosedPosition {
    /// Realised P&L after charges.
    pub fn net(&self) -> Money {
        self.realised.saturating_sub(self.charges)
    }
}

/// Open positions of every account, and today's closed ones.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Positions {
    open: BTreeMap<PositionId, OpenPosition>,
    of_account: BTreeMap<AccountId, BTreeSet<PositionId>>,
    closed: Log<ClosedPosition>,
}

impl Positions {
    pub(crate) fn new() -> Positions {
        Positions {
            open: BTreeMap::new(),
            of_account: BTreeMap::new(),
            closed: Log::new(CLOSED_POSITIONS_KEPT),
        }
    }

    /// `None` where the position is flat.
    pub fn open_position(&self, position: PositionId) -> Option<&OpenPosition> {
        self.open.get(&position)
    }

    /// Open positions, the one opened last first. `None` for the account means all.
    pub fn open_newest_first(&self, account: Option<AccountId>) -> Vec<&OpenPosition> {
        let mut positions: Vec<&OpenPosition> = match account {
            None => self.open.values().collect(),
            Some(account) => self
                .of_account
                .get(&account)
                .into_iter()
                .flatten()
                .filter_map(|id| self.open.get(id))
                .collect(),
        };
        positions.sort_unstable_by_key(|position| std::cmp::Reverse((position.opened, position.position)));
        positions
    }

    pub fn open_count(&self, account: Option<AccountId>) -> usize {
        match account {
            None => self.open.len(),
            Some(account) => self.of_account.get(&account).map_or(0, BTreeSet::len),
        }
    }

    /// Round trips that ended today, newest first, with their numbers (paging cursors).
    pub fn closed_newest_first(
        &self,
        account: Option<AccountId>,
        before: Option<u64>,
    ) -> impl Iterator<Item = (u64, &ClosedPosition)> {
        self.closed.newest_first(account, before)
    }

    /// The round trip of that number, counted from the journal's beginning, where it is still kept.
    pub fn closed(&self, number: u64) -> Option<&ClosedPosition> {
        self.closed.entry(number)
    }

    /// The oldest round trip that is kept, with its number, where earlier ones of today were forgotten for others.
    pub fn closed_kept_from(&self) -> Option<(u64, &ClosedPosition)> {
        self.closed.kept_from()
    }

    /// The conditions that an open position has now.
    pub(crate) fn edit(&mut self, event: &ConditionsChanged, now: Timestamp) {
        // What fired is what the round trip is remembered with.
        if let Some(open) = self
            .open
            .get_mut(&event.position)
            .filter(|_| event.fired.is_none())
        {
            (open.stop_loss, open.take_profit) = (event.stop_loss, event.take_profit);
            open.updated = now;
        }
    }

    /// The round trip, where the change ended one.
    pub(crate) fn change(&mut self, event: &PositionChanged, now: Timestamp) -> Option<ClosedPosition> {
        let before = self.open.get(&event.position).copied();
        let quantity = i64::from(event.quantity);
        if event.change == PositionChange::Closed || quantity == 0 {
            self.open.remove(&event.position);
            if let Some(ids) = self.of_account.get_mut(&event.account) {
                ids.remove(&event.position);
            }
            let closed = closed_position(event, before.as_ref(), now);
            self.closed.push(event.account, closed);
            return Some(closed);
        }
        let opened = match before {
            Some(before) if event.change != PositionChange::Opened => before.opened,
            _ => now,
        };
        self.open.insert(
            event.position,
            OpenPosition {
                position: event.position,
                account: event.account,
                opened,
                updated: now,
                quantity,
                cost: event.cost,
                stop_loss: event.stop_loss,
                take_profit: event.take_profit,
            },
        );
        self.of_account
            .entry(event.account)
            .or_default()
            .insert(event.position);
        None
    }

    /// Forgets the round trips of earlier days.
    pub(crate) fn roll_day(&mut self) {
        self.closed.clear();
    }
}

fn closed_position(event: &PositionChanged, before: Option<&OpenPosition>, now: Timestamp) -> ClosedPosition {
    ClosedPosition {
        position: event.position,
        account: event.account,
        strategy: event.strategy,
        instrument: event.instrument,
        product: event.product,
        realised: event.realised,
        charges: event.charges,
        stop_loss: before.map_or(event.stop_loss, |before| before.stop_loss),
        take_profit: before.map_or(event.take_profit, |before| before.take_profit),
        was_long: before.is_some_and(|before| before.quantity > 0),
        opened: before.map_or(now, |before| before.opened),
        closed: now,
    }
}
