//! The express way: what most commands are, in one pass over the entities that they touch.
//!
//! A usual order that comes to rest without trading, the move of one to another price, the cancel of one. They set nothing
//! off, so they need neither the tasks nor the agendas of the run loop. Each function first sees that the command is one of
//! these and certainly passes, which changes nothing, and then does what `entry`, `modify` or `cancel`, `matching` and
//! `monitor` would do for it, by the same primitives: the same state, the same events. Whatever it cannot tell goes there.

use crate::arena::{Slots, index};
use crate::command::{CancelOrder, Command, ModifyOrder, NewOrder, OrderRef};
use crate::engine::Engine;
use crate::event::{CancelReason, Event, EventBuffer, OrderCancelled, OrderModified};
use crate::ids::AccountId;
use crate::modify::{Change, released};
use crate::order::Order;
use crate::reservation;
use crate::risk::{self, Ask};
use crate::terms::{OrderStatus, OrderType, TimeInForce};
use crate::units::Quantity;

impl Engine {
    /// Carries out a command, if it is of the usual kind; `None` where nothing was done.
    #[inline(always)]
    pub(crate) fn express(&mut self, command: &Command, out: &mut EventBuffer) -> Option<()> {
        // Nobody waits for room in the order pool.
        if !self.leaving.is_empty() {
            return None;
        }
        match command {
            Command::ModifyOrder(modify) => self.move_express(modify, out),
            Command::NewOrder(order) => self.rest_express(order, out),
            Command::CancelOrder(cancel) => self.cancel_express(cancel, out),
            _ => None,
        }
    }

    /// A usual order that meets nobody and rests.
    #[inline(always)]
    fn rest_express(&mut self, order: &NewOrder, out: &mut EventBuffer) -> Option<()> {
        let account = self.accounts.get(index(order.account.get()))?;
        let instrument = self.instruments.get(index(order.instrument.get()))?;
        if !matches!(order.time_in_force, TimeInForce::Day) | !order.client_order_id.is_empty() {
            return None;
        }
        let (plan, position) = self.assess_usual(order, self.time)?;
        let (position, tick) = (position?, plan.tick?);
        let value = plan.limit.notional(order.quantity).paise();
        let rests = (plan.exit_quantity == 0)
            && instrument
                .sides
                .head_within(&self.nodes, order.side.opposite(), tick)
                .is_none()
            && account.takes_quietly(
                value,
                account.pace.after_token(account.rate_horizon, self.time),
                self.time,
            );
        if !rests {
            return None;
        }
        let slot = self.accept_at(position, order, plan, out);
        self.orders.at_mut(slot).resting = true;
        let visible = order.quantity.shares();
        let instrument = self.instruments.as_mut_slice().at_mut(order.instrument.get());
        instrument
            .sides
            .rest(&mut self.nodes, order.side, slot, tick, visible);
        instrument.publish_top(&self.nodes, order.instrument, out);
        self.count_message(order.account);
        Some(())
    }

    /// Another price for a usual order, where it meets nobody.
    #[inline(always)]
    fn move_express(&mut self, modify: &ModifyOrder, out: &mut EventBuffer) -> Option<()> {
        let (OrderRef::Id(id), Some(limit), None) = (modify.order, modify.price, modify.trigger) else {
            return None;
        };
        let account = self.accounts.get(index(modify.actor.account.get()))?;
        let slot = self.orders.find_open(id)?;
        let order = self.orders.at(slot);
        let ask = Ask::after(order, OrderType::Limit(limit), order.leaves)?;
        let is_usual = (order.account == modify.actor.account)
            & is_usual(order)
            & (order.limit != limit)
            & (order.modifications < account.bounds.modifications)
            & modify
                .quantity
                .is_none_or(|total| total.shares() == order.quantity);
        if !is_usual {
            return None;
        }
        let ground = self.ground(order.account, order.instrument, Some(order.position), self.time)?;
        let held = released(order);
        let plan = risk::usual::plan(&ask, &ground, &held)?;
        let tick = plan.tick?;
        let change = Change {
            quantity: order.quantity,
            limit,
            tick,
            order_type: OrderType::Limit(limit),
        };
        let value = limit.notional(ask.quantity).paise();
        let sides = &ground.instrument.sides;
        let horizon = account.pace.after_token(account.rate_horizon, self.time);
        let rests = (plan.exit_quantity == 0)
            && (order.cum == 0 || change.total_fits(ground.instrument))
            && sides.can_rest(order.side, tick)
            && sides
                .head_within(&self.nodes, order.side.opposite(), tick)
                .is_none()
            && account.takes_quietly(value.wrapping_sub(held.entry_value), horizon, self.time);
        if !rests {
            return None;
        }
        let order = self.orders.at_mut(slot);
        let account = self.accounts.as_mut_slice().at_mut(order.account.get());
        let instrument = self.instruments.as_mut_slice().at_mut(order.instrument.get());
        let intraday = &mut account.entry_value.mis;
        *intraday = intraday.saturating_sub(held.entry_value).saturating_add(value);
        account.rate_horizon = horizon;
        (order.limit, order.tick) = (limit, tick);
        order.modifications = order.modifications.wrapping_add(1);
        order.order_type = change.order_type;
        order.protective = false;
        self.digests.orders.note_one(order, slot);
        out.push(Event::OrderModified(OrderModified {
            order: order.id,
            account: order.account,
            instrument: order.instrument,
            quantity: Quantity::clamped(i64::from(order.quantity)),
            leaves_quantity: ask.quantity,
            limit,
            order_type: change.order_type,
            side: order.side,
            status: OrderStatus::Open,
            kept_priority: false,
        }));
        instrument.sides.unlink(&mut self.nodes, order.side, slot);
        instrument
            .sides
            .rest(&mut self.nodes, order.side, slot, tick, order.leaves);
        let (id, account_id) = (order.instrument, order.account);
        instrument.publish_top(&self.nodes, id, out);
        self.count_message(account_id);
        Some(())
    }

    /// The cancel of a usual order.
    #[inline(always)]
    fn cancel_express(&mut self, cancel: &CancelOrder, out: &mut EventBuffer) -> Option<()> {
        let OrderRef::Id(id) = cancel.order else {
            return None;
        };
        let account = self.accounts.get(index(cancel.actor.account.get()))?;
        let slot = self.orders.find_open(id)?;
        let order = self.orders.at(slot);
        let is_usual = (order.account == cancel.actor.account)
            & is_usual(order)
            & !order.venue
            & !account.margin_alerted
            & !matches!(order.time_in_force, TimeInForce::Gtd(_));
        if !is_usual || !account.takes_quietly(0, account.rate_horizon, self.time) {
            return None;
        }
        let order = self.orders.at_mut(slot);
        let (side, leaves, account_id, instrument_id) =
            (order.side, order.leaves, order.account, order.instrument);
        let position = self.positions.at_mut(order.position);
        let account = self.accounts.as_mut_slice().at_mut(account_id.get());
        reservation::release(order, position, account, leaves, 0);
        out.push(Event::OrderCancelled(OrderCancelled {
            order: order.id,
            account: account_id,
            instrument: instrument_id,
            cancelled_quantity: Quantity::clamped(i64::from(leaves)),
            leaves_quantity: Quantity::ZERO,
            cum_quantity: order.filled_quantity(),
            side,
            status: OrderStatus::Cancelled,
            reason: CancelReason::Requested,
        }));
        let instrument = self.instruments.as_mut_slice().at_mut(instrument_id.get());
        instrument.sides.unlink(&mut self.nodes, side, slot);
        instrument.publish_top(&self.nodes, instrument_id, out);
        self.finish(slot, OrderStatus::Cancelled);
        self.count_message(account_id);
        Some(())
    }

    /// Counts a message of an account that has no alert to raise for it.
    #[inline(always)]
    fn count_message(&mut self, id: AccountId) {
        let account = self.accounts.as_mut_slice().at_mut(id.get());
        account.messages_today = account.messages_today.saturating_add(1);
        self.digests.accounts.note_one(account, id.get());
    }
}

/// Whether an order rests as a limit order all of which is shown and none of which reduces its position.
#[inline(always)]
fn is_usual(order: &Order) -> bool {
    order.resting
        & (order.exit_leaves == 0)
        & (order.disclosed == 0)
        & matches!(order.order_type, OrderType::Limit(_))
}
