//! What may still be done when the journal's disk is nearly full: whatever can only bring a position nearer to nothing.

use crate::command::{Command, ModifyOrder, NewOrder};
use crate::engine::Engine;
use crate::units::Quantity;

impl Engine {
    /// Whether a command could add to no position: an order that is an exit with all of its quantity (RISK.md), a
    /// modification that leaves an exit one or does no more than shrink an order, and whatever is not about the terms
    /// of an order. Whether it would pass the checks is not looked at. Changes nothing.
    pub fn only_reduces(&self, command: &Command) -> bool {
        match command {
            Command::NewOrder(order) => self.is_exit(order),
            Command::ModifyOrder(modify) => self.shrinks_or_exits(modify),
            _ => true,
        }
    }

    fn is_exit(&self, order: &NewOrder) -> bool {
        if self.known_account(order.account).is_err() || self.known_instrument(order.instrument).is_err() {
            return false;
        }
        let slot = self
            .positions
            .find(order.account, order.instrument, order.strategy, order.product);
        let closable = slot.map_or(0, |slot| self.positions.at(slot).closable_by(order.side));
        i64::from(order.quantity.shares()) <= closable
    }

    /// `false` also for an order that is not there to be modified: that needs no place in the journal.
    fn shrinks_or_exits(&self, modify: &ModifyOrder) -> bool {
        let Ok(slot) = self.open_order(modify.actor, modify.order) else {
            return false;
        };
        let order = self.orders.at(slot);
        let quantity = modify.quantity.map_or(order.quantity, Quantity::shares);
        let stays = modify.price.is_none_or(|price| price == order.limit)
            && modify
                .trigger
                .is_none_or(|trigger| order.order_type.trigger() == Some(trigger));
        if stays && quantity <= order.quantity {
            return true;
        }
        let position = self.positions.at(order.position);
        let closable = position
            .closable_by(order.side)
            .saturating_add(i64::from(order.exit_leaves));
        order.entry_leaves() == 0 && i64::from(quantity.saturating_sub(order.cum)) <= closable
    }
}
