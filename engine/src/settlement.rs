//! Settlement: what a fill does to its order, position and account.

use crate::arena::Slots;
use crate::engine::Engine;
use crate::event::{Charges, Event, EventBuffer, Fill, PositionChange, PositionChanged};
use crate::ids::TradeId;
use crate::legs::Reach;
use crate::marking::Marks;
use crate::position::Positions;
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
        let mut charges = charges.total();
        if closed > 0 {
            self.reduce(position_slot, side, price, closed, charges, out);
            charges = Money::ZERO;
        }
        if opened > 0 {
            self.extend(position_slot, side, price, opened, charges, named, out);
        }
        let position = self.positions.at_mut(position_slot);
        let holder = self.accounts.as_mut_slice().at_mut(account.get());
        reservation::restand(position, holder);
        self.digests.positions.note_one(position, position_slot);
        self.digests.accounts.note_one(holder, account.get());
        self.watch_later(position_slot);
        let position = self.positions.at(position_slot);
        // Exits of a position that was flipped are of no use to it, however few they are.
        let flipped = closed > 0 && opened > 0;
        if position.exits > position.quantity.wrapping_abs() || flipped && position.exits > 0 {
            self.excess_exits.push(position_slot);
        }
    }

    /// Closes `shares` of a position: their share of the cost is released and the difference to the proceeds realised.
    fn reduce(
        &mut self,
        slot: u32,
        side: Side,
        price: Price,
        shares: u32,
        charges: Money,
        out: &mut EventBuffer,
    ) {
        let before = self.carried(slot);
        let position = self.positions.at_mut(slot);
        let released = released_cost(position.cost, i64::from(shares), position.quantity.wrapping_abs());
        let paid = price
            .notional(Quantity::clamped(i64::from(shares)))
            .paise()
            .wrapping_mul(side.sign());
        let realised = Money::from_paise(paid.saturating_neg()).saturating_sub(released);
        position.quantity = position
            .quantity
            .wrapping_add(i64::from(shares).wrapping_mul(side.sign()));
        position.clip_bought();
        position.cost = position.cost.saturating_sub(released);
        position.realised = position.realised.saturating_add(realised);
        position.charges = position.charges.saturating_add(charges);
        let change = if position.quantity == 0 {
            PositionChange::Closed
        } else {
            PositionChange::Changed
        };
        self.carry(slot, before, price, realised, charges);
        if change == PositionChange::Closed {
            self.unlist_open(slot);
            self.clear_conditions(slot);
            self.positions.at_mut(slot).leaving.clear();
        }
        self.emit_position(slot, change, out);
    }

    /// Opens or adds to a position.
    fn extend(
        &mut self,
        slot: u32,
        side: Side,
        price: Price,
        shares: u32,
        charges: Money,
        named: Named,
        out: &mut EventBuffer,
    ) {
        let day = self.day;
        let before = self.carried(slot);
        let position = self.positions.at_mut(slot);
        let opens = position.quantity == 0;
        if opens {
            position.realised = Money::ZERO;
            position.charges = Money::ZERO;
            position.loss_alerted = false;
            position.stop_missing = false;
        }
        let value = price
            .notional(Quantity::clamped(i64::from(shares)))
            .paise()
            .wrapping_mul(side.sign());
        position.quantity = position
            .quantity
            .wrapping_add(i64::from(shares).wrapping_mul(side.sign()));
        if position.product == Product::Cnc && side == Side::Buy {
            position.note_bought(shares, day);
        }
        position.cost = position.cost.saturating_add(Money::from_paise(value));
        position.charges = position.charges.saturating_add(charges);
        self.carry(slot, before, price, Money::ZERO, charges);
        if opens {
            self.list_open(slot);
        }
        if (opens || named.first) && !self.positions.at(slot).venue {
            self.name_conditions(slot, named.stop_loss, named.take_profit);
        }
        if !opens {
            self.unblock_later(slot);
        }
        self.emit_position(
            slot,
            if opens {
                PositionChange::Opened
            } else {
                PositionChange::Changed
            },
            out,
        );
        if opens {
            // Its mark is this fill's price.
            let unrealised = Marks::of(self.positions.at(slot)).unrealised;
            self.watch_stop(slot, unrealised, out);
        }
    }

    #[inline(always)]
    fn carried(&self, slot: u32) -> Carried {
        let position = self.positions.at(slot);
        let banded = self.account_of(position.account).banded;
        Carried {
            held: position.held(),
            quantity: position.quantity,
            marks: Marks::of(position),
            reach: if banded {
                self.reach_of(position)
            } else {
                Reach::default()
            },
        }
    }

    /// Brings the account's sums up to date after a position changed, marking it at the print.
    #[inline(always)]
    fn carry(&mut self, slot: u32, before: Carried, price: Price, realised: Money, charges: Money) {
        self.positions.at_mut(slot).mark = Some(price);
        let after = self.carried(slot);
        let position = self.positions.at(slot);
        let (account_id, product, venue) = (position.account, position.product, position.venue);
        let account = self.account_mut(account_id);
        let held = account.position_cost.of(product);
        *held = held.saturating_add(after.held).saturating_sub(before.held);
        if !venue {
            account.marks.exchange(&before.marks, &after.marks);
            account.reach.exchange(&before.reach, &after.reach);
            account.held.exchange(before.quantity, after.quantity);
        }
        account.realised = account.realised.saturating_add(realised);
        account.charges = account.charges.saturating_add(charges);
        self.review_later(account_id);
    }

    #[inline(always)]
    fn emit_position(&mut self, slot: u32, change: PositionChange, out: &mut EventBuffer) {
        let position = self.positions.at_mut(slot);
        if position.venue {
            return;
        }
        position.published = position.mark;
        let unrealised = Marks::of(position).unrealised;
        out.push(Event::PositionChanged(PositionChanged {
            position: Positions::id(slot),
            account: position.account,
            strategy: position.strategy,
            instrument: position.instrument,
            quantity: i32::try_from(position.quantity).unwrap_or(0),
            cost: position.cost,
            realised: position.realised,
            charges: position.charges,
            unrealised,
            stop_loss: position.stop_loss,
            take_profit: position.take_profit,
            product: position.product,
            change,
        }));
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

/// The part of a position that its account's sums contain.
#[derive(Clone, Copy)]
struct Carried {
    held: i64,
    quantity: i64,
    marks: Marks,
    /// Nothing, unless its account is banded.
    reach: Reach,
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
