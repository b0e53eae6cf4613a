//! Reservations: what open orders hold of their account and position, from acceptance until they fill or go.
//!
//! An entry holds margin (its value counts against the account's funds) and a place for its position; an exit counts
//! against the open quantity. Sums change by exactly what an order holds, so nothing can leak.

use crate::account::Account;
use crate::arena::Slots;
use crate::engine::Engine;
use crate::order::Order;
use crate::position::{Position, Standing};
use crate::units::Quantity;

/// Holds margin for `entry` and counts `exit` of an order's open quantity, which already includes both.
#[inline(always)]
pub(crate) fn reserve(order: &Order, position: &mut Position, account: &mut Account, entry: u32, exit: u32) {
    let open = position.open_of(order.side);
    // A side's open quantity stays below orders × largest quantity, 2^57.
    *open = open.wrapping_add(i64::from(entry)).wrapping_add(i64::from(exit));
    if exit > 0 {
        position.count_exit(order, i64::from(exit));
    }
    if entry > 0 {
        let value = order.limit.notional(Quantity::clamped(i64::from(entry))).paise();
        let held = account.entry_value.of(order.product);
        *held = held.saturating_add(value);
        if order.entry_leaves() <= entry {
            account.entry_orders = account.entry_orders.wrapping_add(1);
            position.entries = position.entries.wrapping_add(1);
            restand(position, account);
        }
    }
}

/// Gives back what was held for `entry` and `exit` of an order's open quantity, and takes them off it.
#[inline(always)]
pub(crate) fn release(
    order: &mut Order,
    position: &mut Position,
    account: &mut Account,
    entry: u32,
    exit: u32,
) {
    order.leaves = order.leaves.wrapping_sub(entry).wrapping_sub(exit);
    order.exit_leaves = order.exit_leaves.wrapping_sub(exit);
    let open = position.open_of(order.side);
    *open = open.wrapping_sub(i64::from(entry)).wrapping_sub(i64::from(exit));
    if exit > 0 {
        position.count_exit(order, i64::from(exit).wrapping_neg());
    }
    if entry > 0 {
        let value = order.limit.notional(Quantity::clamped(i64::from(entry))).paise();
        let held = account.entry_value.of(order.product);
        *held = held.saturating_sub(value);
        if order.entry_leaves() == 0 {
            account.entry_orders = account.entry_orders.wrapping_sub(1);
            position.entries = position.entries.wrapping_sub(1);
            restand(position, account);
        }
    }
}

/// Brings a position's standing, and its account's counts, up to date.
#[inline(always)]
pub(crate) fn restand(position: &mut Position, account: &mut Account) {
    let standing = match (position.quantity, position.entries) {
        (0, 0) => Standing::Flat,
        (0, _) => Standing::Pending,
        _ => Standing::Open,
    };
    let before = core::mem::replace(&mut position.standing, standing);
    if before == standing {
        return;
    }
    match before {
        Standing::Flat => {}
        Standing::Pending => account.pending_positions = account.pending_positions.wrapping_sub(1),
        Standing::Open => account.open_positions = account.open_positions.wrapping_sub(1),
    }
    match standing {
        Standing::Flat => {}
        Standing::Pending => account.pending_positions = account.pending_positions.wrapping_add(1),
        Standing::Open => account.open_positions = account.open_positions.wrapping_add(1),
    }
}

impl Engine {
    /// [`reserve`] for the order in a slot.
    pub(crate) fn reserve(&mut self, slot: u32, entry: u32, exit: u32) {
        let order = self.orders.at(slot);
        let position = self.positions.at_mut(order.position);
        let account = self.accounts.as_mut_slice().at_mut(order.account.get());
        reserve(order, position, account, entry, exit);
    }

    /// [`release`] for the order in a slot; conditions that an exit kept from firing may go on.
    #[inline]
    pub(crate) fn release(&mut self, slot: u32, entry: u32, exit: u32) {
        let order = self.orders.at_mut(slot);
        let position_slot = order.position;
        let position = self.positions.at_mut(position_slot);
        let account = self.accounts.as_mut_slice().at_mut(order.account.get());
        release(order, position, account, entry, exit);
        self.after_release(slot, exit);
    }

    /// What follows from [`release`] of an exit part.
    #[inline(always)]
    pub(crate) fn after_release(&mut self, slot: u32, exit: u32) {
        if exit > 0 {
            let order = self.orders.at(slot);
            let used_up = order.exit_leaves == 0 && order.leaves > 0;
            self.unblock_later(order.position);
            if used_up {
                self.relist(slot);
            }
        }
    }
}
