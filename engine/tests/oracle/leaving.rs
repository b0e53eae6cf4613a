//! Positions that are to be got out of and could not be at once: mandates of a flatten or a square-off, and exits that found
//! the order pool full.

use engine::{
    AccountId, CancelReason, Cause, InstrumentId, KillScope, PositionId, Price, RejectCode, Rejection,
    TradingState,
};

use super::Oracle;
use super::risk::{Candidate, rejection};
use super::state::{List, Order, Shares};

/// What a position is still to be got out of by.
#[derive(Clone, Default)]
pub struct Leaving {
    /// Scopes whose kill switch flattens it.
    pub flattened_by: Vec<KillScope>,
    pub square_off: bool,
    /// Shares whose exits found no room, why, and their limit.
    pub owed: Option<(Shares, Cause, Option<Price>)>,
}

impl Leaving {
    pub fn owed_to_close(&self) -> Shares {
        match self.owed {
            Some((shares, Cause::Close, _)) => shares,
            _ => 0,
        }
    }

    fn wanted_gone(&self) -> Option<Cause> {
        match (self.flattened_by.is_empty(), self.square_off) {
            (false, _) => Some(Cause::Flatten),
            (true, true) => Some(Cause::SquareOff),
            (true, false) => None,
        }
    }

    fn is_none(&self) -> bool {
        self.wanted_gone().is_none() && self.owed.is_none()
    }
}

impl Oracle {
    pub fn has_room(&self) -> bool {
        self.resting.len() < self.orders_max
    }

    /// The last sixteenth of the pool is for exits, the last half of that for those of the engine.
    pub(super) fn check_order_capacity(&self, c: &Candidate) -> Option<Rejection> {
        let kept = if c.enters() { 16 } else { 32 };
        let bound = self.orders_max - self.orders_max / kept;
        let limit = bound as i128;
        (self.resting.len() >= bound).then(|| rejection(RejectCode::OrderCapacity, limit + 1, limit))
    }

    /// What works at a protected price for a position.
    pub(super) fn market_exits(&self, id: PositionId) -> Shares {
        let works = |order: &Order| {
            order.position == id && order.pending.is_none() && order.order_type.price().is_none()
        };
        self.open()
            .filter(|(_, order)| works(order))
            .map(|(_, order)| order.exit_leaves)
            .sum()
    }

    pub(super) fn uncovered(&self, id: PositionId) -> Shares {
        self.position(id).quantity.abs() - self.market_exits(id)
    }

    /// Whether an exit makes way for one of a cause.
    pub(super) fn makes_way(order: &Order, cause: Cause) -> bool {
        match cause {
            Cause::StopLoss | Cause::TrailingStop => true,
            Cause::TakeProfit => order.list() == List::PendingExits,
            Cause::Close | Cause::Flatten | Cause::SquareOff => {
                order.list() == List::PendingExits || order.order_type.price().is_some()
            }
        }
    }

    pub(super) fn owe(&mut self, id: PositionId, shares: Shares, cause: Cause, limit: Option<Price>) {
        let leaving = &mut self.position_mut(id).leaving;
        if leaving.wanted_gone() != Some(cause) {
            leaving.owed = Some(match leaving.owed {
                Some((before, of, at)) if limit.is_some() => (before.max(shares), of, at),
                Some((before, _, _)) => (before.max(shares), cause, limit),
                None => (shares, cause, limit),
            });
        }
        self.leave_later(id);
    }

    pub(super) fn may_leave(&self, id: PositionId) -> bool {
        let position = self.position(id);
        self.is_continuous(position.instrument)
            && self.state_of(position.account, position.strategy) != TradingState::Halted
    }

    pub(super) fn leave_later(&mut self, id: PositionId) {
        if !self.position(id).leaving.is_none() && self.may_leave(id) && !self.leaving.contains(&id) {
            self.leaving.push_back(id);
        }
    }

    /// After a cancellation that the account did not ask for.
    pub(super) fn leave_after(&mut self, id: PositionId, reason: CancelReason) {
        let others = [
            CancelReason::Expired,
            CancelReason::KillSwitch,
            CancelReason::PriceBand,
        ];
        if others.contains(&reason) {
            self.leave_later(id);
        }
    }

    /// Continuous trading may have begun in an instrument.
    pub(super) fn leave_all_of(&mut self, instrument: InstrumentId) {
        for id in self.open_positions(instrument) {
            self.leave_later(id);
        }
    }

    pub(super) fn leave_next(&mut self) {
        let id = self.leaving.pop_front().expect("one waits");
        let leaving = self.position(id).leaving.clone();
        if leaving.is_none() || !self.may_leave(id) {
            return;
        }
        self.position_mut(id).leaving.owed = None;
        let free = self.position(id).quantity.abs() - self.working_exits(id);
        match (leaving.wanted_gone(), leaving.owed) {
            (Some(cause), _) => self.place_exits(id, self.uncovered(id), cause, None, true),
            (None, Some((shares, cause, limit))) => {
                self.place_exits(id, shares.min(free), cause, limit, true);
            }
            (None, None) => {}
        }
    }

    /// Kill switches of an account, or of everyone, were lifted.
    pub(super) fn free_positions(&mut self, account: AccountId) {
        let mut ids: Vec<_> = self.positions_of(account).map(|(id, _)| id).collect();
        ids.sort_by_key(|id| self.position(*id).made);
        for id in ids {
            let mut scopes = std::mem::take(&mut self.position_mut(id).leaving.flattened_by);
            scopes.retain(|scope| self.own_state(*scope) != TradingState::Normal);
            self.position_mut(id).leaving.flattened_by = scopes;
            self.leave_later(id);
        }
    }
}
