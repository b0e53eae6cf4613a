//! Cancellation: by request, in part, and of exits that a smaller position no longer needs.

use crate::arena::Slots;
use crate::command::{Actor, CancelOrder, OrderRef};
use crate::engine::Engine;
use crate::event::{CancelReason, Event, EventBuffer, OrderCancelled};
use crate::ids::OrderId;
use crate::order::Lookup;
use crate::rejection::Refusal;
use crate::terms::OrderStatus;
use crate::units::Quantity;

impl Engine {
    pub(crate) fn cancel_order(
        &mut self,
        cancel: &CancelOrder,
        out: &mut EventBuffer,
    ) -> Result<(), Refusal> {
        let slot = self.open_order(cancel.actor, cancel.order)?;
        self.message_of = Some(self.orders.at(slot).account);
        self.cancel_open(slot, CancelReason::Requested, out);
        Ok(())
    }

    /// The open order that an actor names. An order of another account is as good as unknown, except to an admin, to whom only
    /// the orders of venue accounts are.
    pub(crate) fn open_order(&self, actor: Actor, order: OrderRef) -> Result<u32, Refusal> {
        let id = match order {
            OrderRef::Id(id) => id,
            OrderRef::Client(id) => self.order_of_client(actor, &id)?,
        };
        let may_touch = |owner| owner == actor.account || actor.admin && !self.account_of(owner).venue;
        match self.orders.find(id) {
            Lookup::Open(slot) if may_touch(self.orders.at(slot).account) => Ok(slot),
            Lookup::Finished { account, status } if may_touch(account) => Err(Refusal::OrderFinished(status)),
            _ => Err(Refusal::UnknownOrder),
        }
    }

    fn order_of_client(&self, actor: Actor, id: &crate::text::ClientOrderId) -> Result<OrderId, Refusal> {
        let found = self
            .client_order_ids
            .find(actor.account, id)
            .ok_or(Refusal::UnknownOrder)?;
        Ok(found.order)
    }

    /// Cancels all that is left of an open order, resting or still incoming.
    pub(crate) fn cancel_open(&mut self, slot: u32, reason: CancelReason, out: &mut EventBuffer) {
        let order = self.orders.at(slot);
        let (instrument, side, resting) = (order.instrument, order.side, order.resting);
        let (entry, exit, position) = (order.entry_leaves(), order.exit_leaves, order.position);
        if resting {
            let sides = &mut self.instruments.as_mut_slice().at_mut(instrument.get()).sides;
            sides.unlink(&mut self.nodes, side, slot);
            self.touch(instrument);
        }
        self.release(slot, entry, exit);
        self.ease_margin(slot);
        self.emit_cancelled(
            slot,
            entry.wrapping_add(exit),
            OrderStatus::Cancelled,
            reason,
            out,
        );
        self.finish(slot, OrderStatus::Cancelled);
        self.leave_after(position, reason);
    }

    /// Takes `quantity` off an open order: the entry part last, what is shown first. Taking all of it cancels it.
    pub(crate) fn cancel_part(
        &mut self,
        slot: u32,
        quantity: u32,
        reason: CancelReason,
        out: &mut EventBuffer,
    ) {
        if quantity >= self.orders.at(slot).leaves {
            self.cancel_open(slot, reason, out);
            return;
        }
        let exit = self.orders.at(slot).exit_leaves.min(quantity);
        self.release(slot, quantity.wrapping_sub(exit), exit);
        self.ease_margin(slot);
        let order = self.orders.at_mut(slot);
        order.quantity = order.quantity.wrapping_sub(quantity);
        let order = self.orders.at(slot);
        if order.resting {
            let (instrument, side, slice) = (order.instrument, order.side, order.slice());
            let visible = self.nodes.at(slot).visible.saturating_sub(quantity);
            let sides = &mut self.instruments.as_mut_slice().at_mut(instrument.get()).sides;
            if visible == 0 {
                sides.requeue(&mut self.nodes, side, slot, slice);
            } else {
                sides.set_visible(&mut self.nodes, side, slot, visible);
            }
            self.touch(instrument);
        }
        self.rehash_order(slot);
        self.rehash_account_of(slot);
        self.emit_cancelled(slot, quantity, OrderStatus::Open, reason, out);
    }

    /// Cancels (part of) the newest exit of a position whose resting exits exceed what is open. All of a position's exits
    /// are on one side: after a flip on the wrong one, where each of them would add to it.
    pub(crate) fn trim_one_exit(&mut self, position_slot: u32, out: &mut EventBuffer) {
        let position = self.positions.at(position_slot);
        if position.exits == 0 {
            self.excess_exits.pop();
            return;
        }
        let Some(slot) = self.newest_exit(position_slot) else {
            // The rest of it is the incoming order's, which consumes its own exit part as it fills.
            self.excess_exits.pop();
            return;
        };
        let excess = position.exits.saturating_sub(position.quantity.saturating_abs());
        let order = self.orders.at(slot);
        let exit = if position.closing_side() == Some(order.side) {
            let excess = u32::try_from(excess.max(0)).unwrap_or(u32::MAX);
            order.exit_leaves.min(excess)
        } else {
            order.exit_leaves
        };
        if exit == 0 {
            self.excess_exits.pop();
            return;
        }
        self.cancel_exit(slot, exit, out);
    }

    /// Takes `exit` off the exit part of an open order, hidden quantity first so that its place is kept.
    pub(crate) fn cancel_exit(&mut self, slot: u32, exit: u32, out: &mut EventBuffer) {
        if exit == self.orders.at(slot).leaves {
            self.cancel_open(slot, CancelReason::ExcessExit, out);
            return;
        }
        self.release(slot, 0, exit);
        let order = self.orders.at_mut(slot);
        order.quantity = order.quantity.wrapping_sub(exit);
        let order = self.orders.at(slot);
        if order.resting {
            let (instrument, side, leaves) = (order.instrument, order.side, order.leaves);
            let visible = self.nodes.at(slot).visible.min(leaves);
            let sides = &mut self.instruments.as_mut_slice().at_mut(instrument.get()).sides;
            sides.set_visible(&mut self.nodes, side, slot, visible);
            self.touch(instrument);
        }
        self.rehash_order(slot);
        self.rehash_account_of(slot);
        self.emit_cancelled(slot, exit, OrderStatus::Open, CancelReason::ExcessExit, out);
    }

    fn emit_cancelled(
        &mut self,
        slot: u32,
        cancelled: u32,
        status: OrderStatus,
        reason: CancelReason,
        out: &mut EventBuffer,
    ) {
        let order = self.orders.at(slot);
        if order.venue {
            return;
        }
        out.push(Event::OrderCancelled(OrderCancelled {
            order: order.id,
            account: order.account,
            instrument: order.instrument,
            cancelled_quantity: Quantity::clamped(i64::from(cancelled)),
            leaves_quantity: order.leaves_quantity(),
            cum_quantity: order.filled_quantity(),
            side: order.side,
            status,
            reason,
        }));
    }
}
