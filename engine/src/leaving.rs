//! Positions that are to be got out of and could not be at once.
//!
//! Getting out is never blocked for good (RISK.md): a kill switch with `flatten` and the square-off want a position *gone*,
//! and go on wanting it until it is flat, or the kill switch is lifted. Where the market is not open, or trading is halted,
//! the exits come when that changes; where the clock, a new price band or a further kill took them away unfilled, they come
//! again. What the account cancels itself stays cancelled until the next of those moments. Exits of any kind that find the
//! order pool full are *owed* and go as soon as there is room: the position that has waited longest first, a slice in turn, a
//! step of the run loop each. Nothing is looked at while the pool is full.

use crate::arena::NIL;
use crate::cause::Cause;
use crate::closing::Closing;
use crate::command::KillScope;
use crate::engine::Engine;
use crate::event::CancelReason;
use crate::position::Position;
use crate::state_hash::Digest;
use crate::terms::TradingState;
use crate::units::Price;

/// Positions that one step of a rearm looks at.
const FREED_PER_STEP: u32 = 64;

/// What a position is still to be got out of by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Leaving {
    /// Shares whose exits found no room, why they are to go, and at which limit; without one at a protected price.
    shares: u32,
    limit: Option<Price>,
    cause: Cause,
    /// Scopes whose kill switch flattens it.
    flattened_by: u8,
    square_off: bool,
    /// In the queue of those that go as soon as there is room.
    queued: bool,
}

impl Leaving {
    pub(crate) const NONE: Leaving = Leaving {
        shares: 0,
        limit: None,
        cause: Cause::Close,
        flattened_by: 0,
        square_off: false,
        queued: false,
    };

    /// The position is flat. Its place in the queue is given up when its turn comes.
    #[inline(always)]
    pub(crate) const fn clear(&mut self) {
        *self = Leaving {
            queued: self.queued,
            ..Leaving::NONE
        };
    }

    pub(crate) const fn is_queued(&self) -> bool {
        self.queued
    }

    /// Why all of the position is to go.
    const fn wanted_gone(&self) -> Option<Cause> {
        if self.flattened_by != 0 {
            Some(Cause::Flatten)
        } else if self.square_off {
            Some(Cause::SquareOff)
        } else {
            None
        }
    }

    /// Shares that a close which somebody asked for still has to place exits for.
    pub(crate) const fn owed_to_close(&self) -> u32 {
        match self.cause {
            Cause::Close => self.shares,
            _ => 0,
        }
    }

    const fn is_none(&self) -> bool {
        self.shares == 0 && self.wanted_gone().is_none()
    }

    pub(crate) fn digest(&self, digest: Digest) -> Digest {
        if self.is_none() {
            return digest;
        }
        #[expect(clippy::as_conversions, reason = "the discriminant of a repr(u8) enum")]
        let cause = u32::from(self.cause as u8);
        let why = cause << 16 | u32::from(self.flattened_by) << 8 | u32::from(self.square_off);
        digest
            .pair(self.shares, why)
            .pair(self.limit.map_or(0, Price::paise), 1)
    }
}

/// The mark of a kill switch's scope in [`Leaving::flattened_by`].
const fn mark_of(scope: KillScope) -> u8 {
    match scope {
        KillScope::Engine => 1,
        KillScope::Account(_) => 2,
        KillScope::Strategy(..) => 4,
    }
}

impl Engine {
    /// A kill switch, or (`None`) the square-off, wants a position gone from now on.
    pub(crate) fn want_gone(&mut self, slot: u32, scope: Option<KillScope>) {
        let leaving = &mut self.positions.at_mut(slot).leaving;
        match scope {
            Some(scope) => leaving.flattened_by |= mark_of(scope),
            None => leaving.square_off = true,
        }
        self.rehash_position(slot);
    }

    /// `shares` of a closing found no room.
    pub(crate) fn owe(&mut self, closing: &Closing, shares: u32) {
        let (slot, cause, limit) = closing.owing();
        let leaving = &mut self.positions.at_mut(slot).leaving;
        if leaving.wanted_gone() != Some(cause) {
            // What goes at a protected price is not held up by a target.
            if leaving.shares == 0 || limit.is_none() {
                (leaving.cause, leaving.limit) = (cause, limit);
            }
            leaving.shares = leaving.shares.max(shares);
        }
        self.rehash_position(slot);
        self.leave_later(slot);
    }

    /// Something that kept a position from being got out of may have changed.
    pub(crate) fn leave_later(&mut self, slot: u32) {
        let position = self.positions.at(slot);
        if position.leaving.queued || position.leaving.is_none() || !self.may_leave(position) {
            return;
        }
        self.positions.at_mut(slot).leaving.queued = true;
        self.leaving.push_back(slot);
    }

    /// As [`Engine::leave_later`], after an order of a position was cancelled: what the account itself wishes holds.
    #[inline(always)]
    pub(crate) fn leave_after(&mut self, slot: u32, reason: CancelReason) {
        use CancelReason::{Expired, KillSwitch, PriceBand};
        if matches!(reason, Expired | KillSwitch | PriceBand) {
            self.leave_later(slot);
        }
    }

    /// Whether exits of a position may be placed now.
    pub(crate) fn may_leave(&self, position: &Position) -> bool {
        self.is_continuous(position.instrument)
            && self.state_for(position.account, position.strategy) != TradingState::Halted
    }

    /// Whether a position waits to be got out of, and an exit would find room.
    #[inline(always)]
    pub(crate) fn can_leave(&self) -> bool {
        !self.leaving.is_empty() && self.orders.has_room()
    }

    /// Has the exits of the position placed that has waited longest.
    pub(crate) fn leave_next(&mut self) {
        let Some(slot) = self.leaving.pop_front() else {
            return;
        };
        self.collected = self.collected.saturating_add(1);
        self.positions.at_mut(slot).leaving.queued = false;
        let position = self.positions.at(slot);
        let leaving = position.leaving;
        if leaving.is_none() || !self.may_leave(position) {
            return;
        }
        let closing = match leaving.wanted_gone() {
            Some(cause) => Closing::resumed(slot, self.uncovered(slot), cause, None),
            None => {
                let free = u32::try_from(self.closable_now(slot)).unwrap_or(u32::MAX);
                Closing::resumed(slot, leaving.shares.min(free), leaving.cause, leaving.limit)
            }
        };
        self.positions.at_mut(slot).leaving.shares = 0;
        self.rehash_position(slot);
        self.active = Some(crate::engine::Task::Close(closing));
    }

    /// Trading in some scopes of an account goes on: a few of its positions from `slot` on are no longer flattened by those,
    /// and what was blocked is looked at again. Returns where to go on.
    pub(crate) fn free_some(&mut self, mut slot: u32) -> u32 {
        for _ in 0..FREED_PER_STEP {
            if slot == NIL {
                break;
            }
            let position = self.positions.at(slot);
            let (next, flattened_by) = (position.next_of_account, position.leaving.flattened_by);
            if flattened_by != 0 {
                let account = self.account_of(position.account).state;
                let strategy = self.strategy_state(position.account, position.strategy);
                let states = [self.state, account, strategy];
                let killed = |(mark, state)| {
                    if state == TradingState::Normal {
                        0
                    } else {
                        1_u8 << mark
                    }
                };
                let still = (0_u8..).zip(states).map(killed).fold(0, |all, one| all | one);
                self.positions.at_mut(slot).leaving.flattened_by = flattened_by & still;
                self.rehash_position(slot);
            }
            self.unblock_later(slot);
            self.leave_later(slot);
            self.collected = self.collected.saturating_add(1);
            slot = next;
        }
        slot
    }
}
