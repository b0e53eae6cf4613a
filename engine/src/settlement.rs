//! Settlement: what a fill does to its order, position and account.

use crate::account::Account;
use crate::arena::Slots;
use crate::engine::Engine;
use crate::event::{Charges, Event, EventBuffer, Fill, PositionChange, PositionChanged};
use crate::ids::TradeId;
use crate::marking::Spread;
use crate::position::{Position, Positions};
use crate::reservation;
use crate::terms::{OrderStatus, Product, Side, TimeInForce};
use crate::units::{Money, Price, Quantity};

impl Engine {
    /// Books a fill on its order: quantities, turnover, charges, reservation. Returns the fill's charges.
    #[inline]
    pub(crate) fn fill(
        &mut self,
        slot: u32,
        trade: TradeId,
        price: Price,
        quantity: Quantity,
        out: &mut EventBuffer,
    ) -> Charges {
        let shares = quantity.shares();
        let order = self.orders.at_mut(slot);
        let position = self.positions.at_mut(order.position);
        let account = self.accounts.as_mut_slice().at_mut(order.account.get());
        let exit = order.exit_leaves.min(shares);
        reservation::release(order, position, account, shares.wrapping_sub(exit), exit);
        order.cum = order.cum.wrapping_add(shares);
        order.cum_notional = order.cum_notional.saturating_add(price.notional(quantity));
        self.digests.orders.note_one(order, slot);
        if order.venue {
            self.after_release(slot, exit);
            return Charges::default();
        }
        account.fills_today = account.fills_today.saturating_add(1);
        let is_counted = account.bounds.counts_executions | account.strategy_limited;
        let charges = self.tariff.charge(order, price.notional(quantity));
        out.push(Event::Fill(Fill {
            trade,
            order: order.id,
            position: Positions::id(order.position),
            account: order.account,
            instrument: order.instrument,
            last_quantity: quantity,
            last_price: price,
            cum_quantity: order.filled_quantity(),
            leaves_quantity: order.leaves_quantity(),
            cum_notional: order.cum_notional,
            charges,
            side: order.side,
            status: if order.leaves == 0 {
                OrderStatus::Filled
            } else {
                OrderStatus::Open
            },
        }));
        self.after_release(slot, exit);
        if is_counted {
            self.count_execution(slot);
        }
        charges
    }

    /// Counts a fill of its strategy's minute, where that is limited.
    #[inline(never)]
    fn count_execution(&mut self, slot: u32) {
        let order = self.orders.at(slot);
        let (id, side, now) = (order.account, order.side, self.time);
        let strategy = self.positions.at(order.position).strategy;
        if let Some(limit) = self.limits_for(id, strategy).repeated_executions_max {
            self.account_mut(id).note_execution(strategy, side, limit, now);
        }
    }

    /// Books a fill on its position and account.
    #[inline]
    pub(crate) fn settle(
        &mut self,
        slot: u32,
        price: Price,
        shares: u32,
        charges: Charges,
        out: &mut EventBuffer,
    ) {
        let order = self.orders.at(slot);
        let (position_slot, side, account) = (order.position, order.side, order.account);
        // Its first fill names the conditions; whatever opens a position does.
        let named = Named {
            stop_loss: order.stop_loss,
            take_profit: order.take_profit,
            first: order.cum == shares,
        };
        self.refresh_one(account);
        let position = self.positions.at(position_slot);
        let open = position.quantity.unsigned_abs();
        let closes = position.closing_side() == Some(side);
        let closed = if closes {
            u32::try_from(open).unwrap_or(u32::MAX).min(shares)
        } else {
            0
        };
        let opened = shares.wrapping_sub(closed);
        let part = |shares, charges| Part {
            side,
            price,
            shares,
            charges,
        };
        let mut charges = charges.total();
        if closed > 0 {
            self.reduce(position_slot, &part(closed, charges), out);
            charges = Money::ZERO;
        }
        if opened > 0 {
            self.extend(position_slot, &part(opened, charges), named, out);
        }
        let position = self.positions.at_mut(position_slot);
        let holder = self.accounts.as_mut_slice().at_mut(account.get());
        reservation::restand(position, holder);
        self.digests.positions.note_one(position, position_slot);
        self.digests.accounts.note_one(holder, account.get());
        // Exits of a position that was flipped are of no use to it, however few they are.
        let flipped = closed > 0 && opened > 0;
        if position.exits > position.quantity.wrapping_abs() || flipped && position.exits > 0 {
            self.excess_exits.push(position_slot);
        }
        if !position.venue {
            if !core::mem::replace(&mut position.watched, true) {
                self.watches.add(position_slot);
            }
            if !core::mem::replace(&mut holder.under_review, true) {
                self.reviews.add(account.get());
            }
        }
    }

    /// Closes shares of a position: their share of the cost is released and the difference to the proceeds realised.
    #[inline]
    fn reduce(&mut self, slot: u32, part: &Part, out: &mut EventBuffer) {
        let leg = self.leg_of(slot);
        let position = self.positions.at_mut(slot);
        let account = self.accounts.as_mut_slice().at_mut(position.account.get());
        let before = Carried::of(position);
        let open = position.quantity.wrapping_abs();
        let released = released_cost(position.cost, i64::from(part.shares), open);
        let realised = part.value().negated().saturating_sub(released);
        position.quantity = position.quantity.wrapping_add(part.signed_shares());
        position.clip_bought();
        position.cost = position.cost.saturating_sub(released);
        position.realised = position.realised.saturating_add(realised);
        account.realised = account.realised.saturating_add(realised);
        carry(position, account, &before, part);
        let closed = position.quantity == 0;
        if let Some(leg) = leg {
            self.carry_leg(slot, &leg);
        }
        if closed {
            self.unlist_open(slot);
            self.clear_conditions(slot);
            self.positions.at_mut(slot).leaving.clear();
        }
        let change = match closed {
            true => PositionChange::Closed,
            false => PositionChange::Changed,
        };
        publish(self.positions.at_mut(slot), slot, change, part.price, out);
    }

    /// Opens or adds to a position.
    #[inline]
    fn extend(&mut self, slot: u32, part: &Part, named: Named, out: &mut EventBuffer) {
        let opens = self.positions.at(slot).quantity == 0;
        if opens {
            self.open(slot);
        }
        let leg = self.leg_of(slot);
        let position = self.positions.at_mut(slot);
        let account = self.accounts.as_mut_slice().at_mut(position.account.get());
        let before = Carried::of(position);
        position.quantity = position.quantity.wrapping_add(part.signed_shares());
        if position.product == Product::Cnc && part.side == Side::Buy {
            position.note_bought(part.shares, self.day);
        }
        position.cost = position.cost.saturating_add(part.value());
        carry(position, account, &before, part);
        let names = (opens || named.first) && named.is_something() && !position.venue;
        let minds = !opens && position.minds_its_exits();
        if let Some(leg) = leg {
            self.carry_leg(slot, &leg);
        }
        if names {
            self.name_conditions(slot, named.stop_loss, named.take_profit);
        }
        if minds {
            self.unblock_later(slot);
        }
        let change = match opens {
            true => PositionChange::Opened,
            false => PositionChange::Changed,
        };
        let position = self.positions.at_mut(slot);
        publish(position, slot, change, part.price, out);
        if opens {
            // Its mark is this fill's price.
            let unrealised = position.gain_at(part.price);
            self.watch_stop(slot, unrealised, out);
        }
    }

    /// A flat position is about to be opened.
    fn open(&mut self, slot: u32) {
        let position = self.positions.at_mut(slot);
        position.realised = Money::ZERO;
        position.charges = Money::ZERO;
        position.loss_alerted = false;
        position.stop_missing = false;
        self.list_open(slot);
    }

    pub(crate) fn rehash_account_of(&mut self, order: u32) {
        let account = self.orders.at(order).account;
        self.rehash_account(account);
    }

    /// Takes an order that is no longer in the book out of everything else.
    pub(crate) fn finish(&mut self, slot: u32, status: OrderStatus) {
        let order = self.orders.at_mut(slot);
        let (position_slot, account_id) = (order.position, order.account);
        if matches!(order.time_in_force, TimeInForce::Gtd(_)) {
            self.good_till.remove(slot);
        }
        self.digests.orders.remove(order);
        if order.is_pending() {
            self.disarm_order(slot);
        }
        let account = self.accounts.as_mut_slice().at_mut(account_id.get());
        account.open_orders = account.open_orders.wrapping_sub(1);
        self.digests.accounts.note_one(account, account_id.get());
        let position = self.positions.at_mut(position_slot);
        position.lists.unlink(&mut self.orders, slot);
        if position.is_vacant() {
            self.positions.vacate(position_slot);
        }
        self.orders.remove(slot, status);
    }
}

/// The conditions that an order names for what it enters.
#[derive(Clone, Copy)]
struct Named {
    stop_loss: Option<Price>,
    take_profit: Option<Price>,
    /// This is the order's first fill.
    first: bool,
}

impl Named {
    #[inline(always)]
    fn is_something(&self) -> bool {
        self.stop_loss.is_some() | self.take_profit.is_some()
    }
}

/// A fill, or the part of it that closes a position or opens one the other way.
struct Part {
    side: Side,
    price: Price,
    shares: u32,
    charges: Money,
}

impl Part {
    /// What is paid for the shares; what is received for them, below zero.
    #[inline(always)]
    fn value(&self) -> Money {
        let notional = self.price.notional(Quantity::clamped(i64::from(self.shares)));
        Money::from_paise(notional.paise().wrapping_mul(self.side.sign()))
    }

    #[inline(always)]
    fn signed_shares(&self) -> i64 {
        i64::from(self.shares).wrapping_mul(self.side.sign())
    }
}

/// What its account's sums contain of a position.
struct Carried {
    held: i64,
    quantity: i64,
    cost: Money,
}

impl Carried {
    #[inline(always)]
    fn of(position: &Position) -> Carried {
        Carried {
            held: position.held(),
            quantity: position.quantity,
            cost: position.cost,
        }
    }
}

/// Brings position and account up to date after a fill but for the worth of legs, which [`Engine::carry_leg`] does.
#[inline(always)]
fn carry(position: &mut Position, account: &mut Account, before: &Carried, part: &Part) {
    position.mark = Some(part.price);
    position.charges = position.charges.saturating_add(part.charges);
    account.charges = account.charges.saturating_add(part.charges);
    let held = account.position_cost.of(position.product);
    *held = held.saturating_add(position.held()).saturating_sub(before.held);
    if position.venue {
        return;
    }
    if account.spread != Spread::Several {
        // Nobody has traded before the first mark, so nothing else is held.
        let mark = *account.mark.get_or_insert(part.price);
        let cost = position.cost.saturating_sub(before.cost);
        account
            .marks
            .trade(before.quantity, position.quantity, cost, mark);
        account.spare.spend(part.shares, part.price, part.charges);
    }
    account.held.exchange(before.quantity, position.quantity);
}

/// Tells of a position whose mark is the price of its fill.
#[inline(always)]
fn publish(position: &mut Position, slot: u32, change: PositionChange, price: Price, out: &mut EventBuffer) {
    if position.venue {
        return;
    }
    position.published = Some(price);
    out.push(Event::PositionChanged(PositionChanged {
        position: Positions::id(slot),
        account: position.account,
        strategy: position.strategy,
        instrument: position.instrument,
        quantity: i32::try_from(position.quantity).unwrap_or(0),
        cost: position.cost,
        realised: position.realised,
        charges: position.charges,
        unrealised: position.gain_at(price),
        stop_loss: position.stop_loss,
        take_profit: position.take_profit,
        product: position.product,
        change,
    }));
}

/// The share of `cost` that `shares` of `open` carry, rounded half away from zero; the whole cost for all of them.
fn released_cost(cost: Money, shares: i64, open: i64) -> Money {
    if shares >= open {
        return cost;
    }
    let product = cost.wide().wrapping_mul(i128::from(shares));
    let doubled = product
        .unsigned_abs()
        .wrapping_mul(2)
        .wrapping_add(u128::from(open.unsigned_abs()));
    let magnitude = doubled
        .checked_div(u128::from(open.unsigned_abs()).wrapping_mul(2))
        .unwrap_or(0);
    let magnitude = i128::try_from(magnitude).unwrap_or(i128::MAX);
    Money::from_wide(if product < 0 {
        magnitude.wrapping_neg()
    } else {
        magnitude
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn released_cost_is_exact_in_sum() {
        let check = |cost: i64, shares: i64, open: i64, expected: i64| {
            assert_eq!(
                released_cost(Money::from_paise(cost), shares, open).paise(),
                expected
            );
        };
        check(100, 1, 3, 33);
        check(67, 1, 2, 34);
        check(-67, 1, 2, -34);
        check(33, 1, 1, 33);
    }
}
