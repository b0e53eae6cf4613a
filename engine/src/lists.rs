//! The open orders of a position in three lists: what enters it, what reduces it, and what will reduce it once its trigger
//! is reached. So whoever needs the newest exit, or the newest that still waits, finds it at an end, however many
//! other orders the position has.
//!
//! An order joins a list at its newer end, when it is accepted and when it becomes another kind of order: its exit part is
//! used up, a modification gives it one, or its trigger is reached.

use crate::arena::NIL;
use crate::engine::Engine;
use crate::order::{Order, Orders};

/// Where an open order is listed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) enum List {
    /// Nothing of it reduces the position.
    Entries,
    Exits,
    /// Exits that wait for their trigger.
    PendingExits,
}

impl List {
    /// The list of an order as it is now.
    pub(crate) const fn of(order: &Order) -> List {
        match (order.exit_leaves > 0, order.is_pending()) {
            (false, _) => List::Entries,
            (true, false) => List::Exits,
            (true, true) => List::PendingExits,
        }
    }
}

/// Slots at the ends of a list; [`NIL`] where it is empty.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Ends {
    pub(crate) oldest: u32,
    pub(crate) newest: u32,
}

#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct OrderLists {
    pub(crate) entries: Ends,
    pub(crate) exits: Ends,
    pub(crate) pending_exits: Ends,
}

impl OrderLists {
    pub(crate) const EMPTY: OrderLists = {
        let empty = Ends {
            oldest: NIL,
            newest: NIL,
        };
        OrderLists {
            entries: empty,
            exits: empty,
            pending_exits: empty,
        }
    };

    #[inline(always)]
    pub(crate) const fn of_mut(&mut self, list: List) -> &mut Ends {
        match list {
            List::Entries => &mut self.entries,
            List::Exits => &mut self.exits,
            List::PendingExits => &mut self.pending_exits,
        }
    }

    /// The oldest order of the first list that has any, after `list` where that is given.
    pub(crate) fn first_after(&self, list: Option<List>) -> u32 {
        let lists = [
            (List::Entries, self.entries.oldest),
            (List::Exits, self.exits.oldest),
            (List::PendingExits, self.pending_exits.oldest),
        ];
        let later = |entry: &&(List, u32)| list.is_none_or(|list| entry.0 > list) && entry.1 != NIL;
        lists.iter().find(later).map_or(NIL, |entry| entry.1)
    }

    #[inline(always)]
    pub(crate) const fn is_empty(&self) -> bool {
        self.entries.newest == NIL && self.exits.newest == NIL && self.pending_exits.newest == NIL
    }

    /// Every end, for checks.
    pub(crate) fn ends(&self) -> [(List, Ends); 3] {
        [
            (List::Entries, self.entries),
            (List::Exits, self.exits),
            (List::PendingExits, self.pending_exits),
        ]
    }

    /// Puts an order, which names its neighbours and its list, at the newer end.
    #[inline(always)]
    pub(crate) fn link(&mut self, orders: &mut Orders, slot: u32) {
        let list = orders.at(slot).list;
        let ends = self.of_mut(list);
        let older = core::mem::replace(&mut ends.newest, slot);
        if older == NIL {
            ends.oldest = slot;
        } else {
            orders.at_mut(older).newer = slot;
        }
        let order = orders.at_mut(slot);
        (order.older, order.newer) = (older, NIL);
    }

    #[inline(always)]
    pub(crate) fn unlink(&mut self, orders: &mut Orders, slot: u32) {
        let order = orders.at(slot);
        let (older, newer, list) = (order.older, order.newer, order.list);
        if older != NIL {
            orders.at_mut(older).newer = newer;
        }
        if newer != NIL {
            orders.at_mut(newer).older = older;
        }
        if older == NIL || newer == NIL {
            let ends = self.of_mut(list);
            if older == NIL {
                ends.oldest = newer;
            }
            if newer == NIL {
                ends.newest = older;
            }
        }
    }
}

impl Engine {
    /// Moves an order that became another kind of order to the list that it belongs to now.
    pub(crate) fn relist(&mut self, slot: u32) {
        let order = self.orders.at(slot);
        let (list, position) = (List::of(order), order.position);
        if order.list == list || order.leaves == 0 {
            return;
        }
        let lists = &mut self.positions.at_mut(position).lists;
        lists.unlink(&mut self.orders, slot);
        self.orders.at_mut(slot).list = list;
        lists.link(&mut self.orders, slot);
    }

    /// Counts an order's exit part anew around a change of what kind of exit it is, and lists the order accordingly.
    pub(crate) fn reclassify(&mut self, slot: u32, change: impl FnOnce(&mut Engine)) {
        let order = self.orders.at(slot);
        let (position, exit) = (order.position, i64::from(order.exit_leaves));
        self.positions
            .at_mut(position)
            .count_exit(order, exit.wrapping_neg());
        change(self);
        let order = self.orders.at(slot);
        self.positions.at_mut(position).count_exit(order, exit);
        self.relist(slot);
    }

    /// The order to look at after another one of its position: the next of its list, then the lists behind; [`NIL`]
    /// after the last.
    pub(crate) fn order_after(&self, slot: u32) -> u32 {
        let order = self.orders.at(slot);
        if order.newer != NIL {
            return order.newer;
        }
        self.positions
            .at(order.position)
            .lists
            .first_after(Some(order.list))
    }

    /// The exit that excess is taken off first: the newest that rests, then the newest that waits for its trigger. The
    /// incoming order is none of them.
    pub(crate) fn newest_exit(&self, position: u32) -> Option<u32> {
        let lists = &self.positions.at(position).lists;
        let mut slot = lists.exits.newest;
        // At most one order is on its way into the book.
        if slot != NIL && !self.orders.at(slot).resting {
            slot = self.orders.at(slot).older;
        }
        if slot == NIL {
            slot = lists.pending_exits.newest;
        }
        (slot != NIL).then_some(slot)
    }
}
