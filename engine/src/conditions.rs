//! Conditions of positions: stop-loss, take-profit and trailing stop (RISK.md, sixth rule).
//!
//! They belong to the position, not to a quantity, so they cover whatever is open. They hold nothing and are no orders
//! until the last price reaches them; then they become reduce-only exits, and one firing ends the others. A stop's exit is
//! for all that is open: whatever else rests to close the position makes way for it. A target's is for what other exits
//! leave, because they take profit as it does. While there is nothing to exit (others cover the target), or an exit may not
//! be (trading is halted, or the market is not open), a condition that is reached stays set, *blocked*, and is looked at
//! again when that changes. What fired is over: where its exit goes without having closed the position, nothing is set
//! again, and the monitor says that the position has no stop.
//!
//! An entry sets the conditions that it names when it opens the position and with its first fill; the newest wins. What an
//! aggressor's fills set counts from the last price after its sweep: crossed already, it fires at once.

use crate::arena::{NIL, Slots};
use crate::cause::{Cause, Reached};
use crate::closing::Closing;
use crate::command::{Edit, EditConditions};
use crate::engine::{Engine, Task};
use crate::event::{ConditionsChanged, Event, EventBuffer};
use crate::position::{Position, Positions};
use crate::rejection::{Refusal, RejectCode, Rejection};
use crate::terms::{Side, TradingState, Trailing};
use crate::trails::Trail;
use crate::triggers::{Direction, Fired, Owner, Print};
use crate::units::{Price, Ratio};

/// The three conditions that a position may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    StopLoss,
    TakeProfit,
    Trailing,
}

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::StopLoss, Kind::TakeProfit, Kind::Trailing];

    const fn owner(self, position: u32) -> Owner {
        match self {
            Kind::StopLoss => Owner::StopLoss(position),
            Kind::TakeProfit => Owner::TakeProfit(position),
            Kind::Trailing => Owner::Trailing(position),
        }
    }
}

/// A condition's place among the triggers.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Armed {
    /// 0 until it has been armed for the first time.
    pub(crate) sequence: u64,
    /// Reached while nothing was left to exit.
    pub(crate) blocked: bool,
    #[serde(skip, default = "no_node")]
    pub(crate) node: u32,
}

const fn no_node() -> u32 {
    NIL
}

impl Armed {
    pub(crate) const NONE: Armed = Armed {
        sequence: 0,
        blocked: false,
        node: NIL,
    };
}

impl Position {
    pub(crate) const fn armed(&self, kind: Kind) -> &Armed {
        let [stop, target, trail] = &self.armed;
        match kind {
            Kind::StopLoss => stop,
            Kind::TakeProfit => target,
            Kind::Trailing => trail,
        }
    }

    pub(crate) const fn armed_mut(&mut self, kind: Kind) -> &mut Armed {
        let [stop, target, trail] = &mut self.armed;
        match kind {
            Kind::StopLoss => stop,
            Kind::TakeProfit => target,
            Kind::Trailing => trail,
        }
    }

    pub(crate) const fn is_set(&self, kind: Kind) -> bool {
        match kind {
            Kind::StopLoss => self.stop_loss.is_some(),
            Kind::TakeProfit => self.take_profit.is_some(),
            Kind::Trailing => self.trailing.is_some(),
        }
    }

    /// The way the price has to move to reach a condition of an open position.
    pub(crate) const fn reached_by(&self, kind: Kind) -> Direction {
        let losing = if self.quantity > 0 {
            Direction::Fall
        } else {
            Direction::Rise
        };
        match kind {
            Kind::StopLoss | Kind::Trailing => losing,
            Kind::TakeProfit => losing.opposite(),
        }
    }

    fn is_blocked(&self) -> bool {
        self.armed.iter().any(|armed| armed.blocked)
    }

    /// Whether it may have lost what stops its losses when one of its exits changes.
    #[inline(always)]
    fn is_in_doubt(&self) -> bool {
        self.lacks_stop() & !self.stop_missing & !self.venue
    }

    /// Whether anything follows from a change of its exits.
    #[inline(always)]
    pub(crate) fn minds_its_exits(&self) -> bool {
        self.is_blocked() || self.is_in_doubt()
    }
}

impl Engine {
    /// Sets the conditions that an entry names; what it leaves out stays.
    pub(crate) fn name_conditions(
        &mut self,
        slot: u32,
        stop_loss: Option<Price>,
        take_profit: Option<Price>,
    ) {
        let position = self.positions.at(slot);
        if stop_loss.is_some() && stop_loss != position.stop_loss {
            self.disarm(slot, Kind::StopLoss);
            let position = self.positions.at_mut(slot);
            (position.stop_loss, position.stop_missing) = (stop_loss, false);
            self.arm_later(slot);
        }
        if take_profit.is_some() && take_profit != self.positions.at(slot).take_profit {
            self.disarm(slot, Kind::TakeProfit);
            self.positions.at_mut(slot).take_profit = take_profit;
            self.arm_later(slot);
        }
    }

    /// A flat position has no conditions, and one firing ends the others.
    pub(crate) fn clear_conditions(&mut self, slot: u32) {
        for kind in Kind::ALL {
            if self.positions.at(slot).is_set(kind) {
                self.disarm(slot, kind);
            }
        }
        let position = self.positions.at_mut(slot);
        (position.stop_loss, position.take_profit, position.trailing) = (None, None, None);
    }

    /// Has a position's conditions looked at when the aggressor has finished.
    pub(crate) fn arm_later(&mut self, slot: u32) {
        let position = self.positions.at_mut(slot);
        if !position.venue && !core::mem::replace(&mut position.arming, true) {
            self.arming.push(slot);
            self.arming_sorted = false;
        }
    }

    /// Something that may have kept a reached condition from firing has changed, or what covered the position.
    #[inline]
    pub(crate) fn unblock_later(&mut self, slot: u32) {
        let position = self.positions.at(slot);
        let in_doubt = position.is_in_doubt();
        if position.is_blocked() {
            self.arm_later(slot);
        }
        if in_doubt {
            self.doubt_later(slot);
        }
    }

    /// Arms the next position that waits for it, by id.
    pub(crate) fn arm_next(&mut self) {
        if !core::mem::replace(&mut self.arming_sorted, true) {
            self.arming.sort_unstable_by(|a, b| b.cmp(a));
        }
        let Some(slot) = self.arming.pop() else { return };
        let position = self.positions.at_mut(slot);
        position.arming = false;
        if position.quantity == 0 {
            return;
        }
        for kind in Kind::ALL {
            let position = self.positions.at(slot);
            let armed = *position.armed(kind);
            if position.is_set(kind) && armed.node == NIL && (!armed.blocked || self.may_exit(slot, kind)) {
                self.arm(slot, kind);
            }
        }
    }

    /// Puts a condition among its instrument's triggers, or straight into the queue where its price is crossed.
    fn arm(&mut self, slot: u32, kind: Kind) {
        if self.positions.at(slot).armed(kind).sequence == 0 {
            let sequence = self.triggers.take_sequence();
            self.positions.at_mut(slot).armed_mut(kind).sequence = sequence;
        }
        let position = self.positions.at(slot);
        let (id, direction) = (position.instrument, position.reached_by(kind));
        let sequence = position.armed(kind).sequence;
        let Some(last) = self.instrument_of(id).last_price else {
            return;
        };
        let extreme = position.extreme.unwrap_or(last);
        let Some(price) = self.condition_price(position, kind, extreme) else {
            return;
        };
        self.positions.at_mut(slot).armed_mut(kind).blocked = false;
        if direction.reaches(last, price) {
            if kind == Kind::Trailing {
                self.positions.at_mut(slot).extreme = Some(extreme);
            }
            if self.may_exit(slot, kind) {
                let (owner, print) = (kind.owner(slot), Print::outside(last));
                let node = self
                    .triggers
                    .add_reached(owner, direction, price, sequence, print);
                self.positions.at_mut(slot).armed_mut(kind).node = node;
            } else {
                self.positions.at_mut(slot).armed_mut(kind).blocked = true;
            }
            return;
        }
        self.arm_ahead(slot, kind, price, extreme);
    }

    /// Puts a condition that the last price has not reached among its instrument's triggers.
    fn arm_ahead(&mut self, slot: u32, kind: Kind, price: Price, extreme: Price) {
        let position = self.positions.at_mut(slot);
        let (id, direction) = (position.instrument, position.reached_by(kind));
        let sequence = position.armed(kind).sequence;
        let trees = &mut self.instruments.as_mut_slice().at_mut(id.get()).triggers;
        let node = match (kind, position.trailing) {
            (Kind::Trailing, Some(trailing)) => {
                position.extreme = None;
                let trail = Trail {
                    position: slot,
                    direction,
                    trailing,
                    sequence,
                };
                self.triggers.add_trail(trees, trail, extreme)
            }
            _ => self
                .triggers
                .add(trees, kind.owner(slot), direction, price, sequence),
        };
        self.positions.at_mut(slot).armed_mut(kind).node = node;
        self.near_triggers(id);
    }

    /// Puts the conditions of a restored position back where they were.
    pub(crate) fn restore_conditions(&mut self, slot: u32) {
        for kind in Kind::ALL {
            let position = self.positions.at(slot);
            let armed = *position.armed(kind);
            let last = self
                .instruments
                .get(crate::arena::index(position.instrument.get()))
                .and_then(|instrument| instrument.last_price);
            let Some(extreme) = position.extreme.or(last) else {
                continue;
            };
            if position.quantity != 0
                && position.is_set(kind)
                && armed.sequence != 0
                && !armed.blocked
                && let Some(price) = self.condition_price(position, kind, extreme)
            {
                self.arm_ahead(slot, kind, price, extreme);
            }
        }
    }

    /// The price at which a condition fires, of a trailing stop at an extreme.
    fn condition_price(&self, position: &Position, kind: Kind, extreme: Price) -> Option<Price> {
        match kind {
            Kind::StopLoss => position.stop_loss,
            Kind::TakeProfit => position.take_profit,
            Kind::Trailing => {
                let trailing = position.trailing?;
                Some(trailing.stop_at(extreme, position.reached_by(kind)))
            }
        }
    }

    /// Where a position's trailing stop stands, and its extreme.
    pub(crate) fn trailing_stop(&self, position: &Position) -> Option<(Price, Price)> {
        let trailing = position.trailing.filter(|_| position.quantity != 0)?;
        let extreme = self.extreme(position)?;
        Some((
            trailing.stop_at(extreme, position.reached_by(Kind::Trailing)),
            extreme,
        ))
    }

    fn extreme(&self, position: &Position) -> Option<Price> {
        let node = position.armed(Kind::Trailing).node;
        let grouped = || (node != NIL).then(|| self.triggers.extreme_of(node));
        let last = || self.instrument_of(position.instrument).last_price;
        position.extreme.or_else(grouped).or_else(last)
    }

    /// Takes a condition away from the triggers; it is as if it had never been armed.
    fn disarm(&mut self, slot: u32, kind: Kind) {
        let position = self.positions.at_mut(slot);
        let node = position.armed(kind).node;
        let id = position.instrument;
        *position.armed_mut(kind) = Armed::NONE;
        if kind == Kind::Trailing {
            position.extreme = None;
        }
        if node == NIL {
            return;
        }
        let trees = &mut self.instruments.as_mut_slice().at_mut(id.get()).triggers;
        if kind == Kind::Trailing && !self.triggers.is_queued(node) {
            self.triggers.remove_trail(trees, node, false);
        } else {
            self.triggers.remove(trees, node);
        }
        self.near_triggers(id);
    }

    /// The leader of a group went to the queue: it is now the trigger of its position's trailing stop.
    pub(crate) fn queue_trail(&mut self, slot: u32, leader: u32) {
        let position = self.positions.at_mut(slot);
        let member = core::mem::replace(&mut position.armed_mut(Kind::Trailing).node, leader);
        position.extreme = Some(self.triggers.extreme_of(member));
        let id = position.instrument;
        let trees = &mut self.instruments.as_mut_slice().at_mut(id.get()).triggers;
        self.triggers.remove_trail(trees, member, true);
    }

    /// Whether the exit that a condition of an open position becomes would have anything to close, and may.
    fn may_exit(&self, slot: u32, kind: Kind) -> bool {
        let position = self.positions.at(slot);
        (kind != Kind::TakeProfit || self.closable_now(slot) > 0)
            && self.is_continuous(position.instrument)
            && self.state_for(position.account, position.strategy) != TradingState::Halted
    }

    /// A condition's turn has come: it becomes an exit and ends the others, or stays blocked.
    pub(crate) fn fire_condition(&mut self, slot: u32, kind: Kind, fired: &Fired, out: &mut EventBuffer) {
        self.positions.at_mut(slot).armed_mut(kind).node = NIL;
        if !self.may_exit(slot, kind) {
            self.positions.at_mut(slot).armed_mut(kind).blocked = true;
            return;
        }
        let reached = Reached {
            trigger_price: fired.trigger,
            print_price: fired.print.price,
            trade: fired.print.trade,
        };
        let cause = match kind {
            Kind::StopLoss => Cause::StopLoss,
            Kind::TakeProfit => Cause::TakeProfit,
            Kind::Trailing => Cause::TrailingStop,
        };
        let limit = (kind == Kind::TakeProfit).then_some(fired.trigger);
        let wanted = match kind {
            Kind::TakeProfit => self.closable_now(slot),
            Kind::StopLoss | Kind::Trailing => self.positions.at(slot).quantity.saturating_abs(),
        };
        let remaining = u32::try_from(wanted).unwrap_or(u32::MAX);
        self.clear_conditions(slot);
        self.doubt_later(slot);
        self.rehash_position(slot);
        self.say_conditions(slot, false, Some(reached), out);
        self.active = Some(Task::Close(Closing::of_one(slot, remaining, cause, limit)));
    }

    /// `PUT /positions/<id>`: journaled like everything that decides.
    pub(crate) fn edit_conditions(
        &mut self,
        edit: &EditConditions,
        out: &mut EventBuffer,
    ) -> Result<(), Refusal> {
        let slot = self
            .positions
            .slot(edit.position)
            .ok_or(Refusal::UnknownPosition)?;
        let position = self.positions.at(slot);
        if position.venue || !edit.actor.admin && position.account != edit.actor.account {
            return Err(Refusal::UnknownPosition);
        }
        let side = position.closing_side().ok_or(Refusal::PositionClosed)?;
        let before = (position.stop_loss, position.take_profit, position.trailing);
        // What triggers earlier: a long's stop further up, its target further down.
        let is_long = side == Side::Sell;
        let stop_loss = edit
            .stop_loss
            .over(before.0)
            .map(|price| self.on_grid(slot, price, is_long));
        let take_profit = edit
            .take_profit
            .over(before.1)
            .map(|price| self.on_grid(slot, price, !is_long));
        let trailing = match edit.trailing.over(before.2) {
            Some(trailing) => Some(self.distance_on_grid(slot, trailing)?),
            None => None,
        };
        if let (Some(stop), Some(target)) = (stop_loss, take_profit)
            && (if is_long { stop >= target } else { stop <= target })
        {
            let (stop, target) = (i64::from(stop.paise()), i64::from(target.paise()));
            let rejection = Rejection::new(RejectCode::StopBeyondTarget, stop, target);
            return Err(Refusal::Rejected(rejection));
        }
        let asked = (
            edit.stop_loss.over(before.0),
            edit.take_profit.over(before.1),
            edit.trailing.over(before.2),
        );
        let rounded = asked != (stop_loss, take_profit, trailing);
        for (kind, changed) in [
            (Kind::StopLoss, stop_loss != before.0),
            (Kind::TakeProfit, take_profit != before.1),
            (Kind::Trailing, trailing != before.2),
        ] {
            if changed {
                self.disarm(slot, kind);
            }
        }
        let position = self.positions.at_mut(slot);
        (position.stop_loss, position.take_profit, position.trailing) = (stop_loss, take_profit, trailing);
        self.rehash_position(slot);
        self.arm_later(slot);
        self.say_conditions(slot, rounded, None, out);
        if !self.positions.at(slot).lacks_stop() {
            self.positions.at_mut(slot).stop_missing = false;
        }
        self.watch_stop_at_mark(slot, out);
        Ok(())
    }

    fn on_grid(&self, slot: u32, price: Price, up: bool) -> Price {
        let instrument = self.instrument_of(self.positions.at(slot).instrument);
        let tick = i64::from(instrument.definition.tick_size.paise());
        let paise = i64::from(price.paise());
        let over = paise.rem_euclid(tick);
        if over == 0 {
            return price;
        }
        let below = paise.saturating_sub(over);
        Price::from_paise_clamped(if up { below.saturating_add(tick) } else { below })
    }

    /// A distance shrinks to whole ticks, but not to none; a percentage is above 0 and below 100.
    fn distance_on_grid(&self, slot: u32, trailing: Trailing) -> Result<Trailing, Refusal> {
        match trailing {
            Trailing::Distance(distance) => {
                let instrument = self.instrument_of(self.positions.at(slot).instrument);
                let tick = instrument.definition.tick_size;
                let distance = self.on_grid(slot, distance, false).max(tick);
                Ok(Trailing::Distance(distance))
            }
            Trailing::Percent(share) if share > Ratio::ZERO && share < Ratio::ONE => Ok(trailing),
            Trailing::Percent(_) => Err(Refusal::Rejected(Rejection::bare(RejectCode::TrailingShare))),
        }
    }

    fn say_conditions(&self, slot: u32, rounded: bool, fired: Option<Reached>, out: &mut EventBuffer) {
        let position = self.positions.at(slot);
        out.push(Event::ConditionsChanged(ConditionsChanged {
            position: Positions::id(slot),
            account: position.account,
            instrument: position.instrument,
            stop_loss: position.stop_loss,
            take_profit: position.take_profit,
            trailing: position.trailing,
            trailing_stop: self.trailing_stop(position).map(|(stop, _)| stop),
            rounded,
            fired,
        }));
    }
}

impl<T: Copy> Edit<T> {
    /// What an edit makes of a value.
    fn over(self, before: Option<T>) -> Option<T> {
        match self {
            Edit::Keep => before,
            Edit::Remove => None,
            Edit::Set(value) => Some(value),
        }
    }
}
