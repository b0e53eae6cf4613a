//! A queue of things by deadline (orders by expiry, accounts by their heartbeat's): a binary heap that also finds a
//! thing's entry, so that it can be taken out early.

use alloc::vec;
use alloc::vec::Vec;

use crate::arena::{NIL, Slots, index, slot_of};
use crate::units::Timestamp;

/// Deadline, then id (so that equal deadlines have one order), then slot.
type Entry<Id> = (Timestamp, Id, u32);

#[derive(Clone, Debug)]
pub(crate) struct Deadlines<Id> {
    heap: Vec<Entry<Id>>,
    /// Slot → place in the heap; [`NIL`] where it has none.
    place: Vec<u32>,
    capacity: u32,
}

impl<Id: Copy + Ord> Deadlines<Id> {
    pub(crate) fn new(capacity: u32) -> Deadlines<Id> {
        Deadlines {
            heap: Vec::with_capacity(index(capacity)),
            place: vec![0; index(capacity)],
            capacity,
        }
    }

    pub(crate) fn first(&self) -> Option<(Timestamp, u32)> {
        self.heap.first().map(|&(at, _, slot)| (at, slot))
    }

    pub(crate) fn insert(&mut self, at: Timestamp, id: Id, slot: u32) {
        debug_assert!(slot < self.capacity);
        self.heap.push((at, id, slot));
        let last = slot_of(self.heap.len()).wrapping_sub(1);
        self.settle(last);
        self.rise(last);
    }

    /// Takes a slot's entry out, if it has one.
    pub(crate) fn remove(&mut self, slot: u32) {
        let Some(hole) = self.place.as_slice().at(slot).checked_sub(1) else {
            return;
        };
        *self.place.as_mut_slice().at_mut(slot) = 0;
        let Some(moved) = self.heap.pop() else { return };
        if hole < slot_of(self.heap.len()) {
            *self.heap.as_mut_slice().at_mut(hole) = moved;
            self.settle(hole);
            self.sink(hole);
            self.rise(hole);
        }
    }

    /// Writes down where the entry at a place is.
    fn settle(&mut self, place: u32) {
        let slot = self.heap.as_slice().at(place).2;
        *self.place.as_mut_slice().at_mut(slot) = place.wrapping_add(1);
    }

    fn exchange(&mut self, a: u32, b: u32) {
        self.heap.swap(index(a), index(b));
        self.settle(a);
        self.settle(b);
    }

    fn rise(&mut self, mut place: u32) {
        while place > 0 {
            let parent = place.wrapping_sub(1) >> 1;
            if self.heap.as_slice().at(parent) <= self.heap.as_slice().at(place) {
                break;
            }
            self.exchange(parent, place);
            place = parent;
        }
    }

    fn sink(&mut self, mut place: u32) {
        loop {
            let left = place.wrapping_mul(2).wrapping_add(1);
            let length = slot_of(self.heap.len());
            if left >= length {
                break;
            }
            let right = left.wrapping_add(1);
            let smaller = right < length && self.heap.as_slice().at(right) < self.heap.as_slice().at(left);
            let child = if smaller { right } else { left };
            if self.heap.as_slice().at(place) <= self.heap.as_slice().at(child) {
                break;
            }
            self.exchange(place, child);
            place = child;
        }
    }
}

const _: () = assert!(NIL == u32::MAX, "a place + 1 never wraps");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::OrderId;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn agrees_with_a_sorted_set(ops in prop::collection::vec((0_u32..40, 0_u64..20), 1..300)) {
            let mut deadlines = Deadlines::new(40);
            let mut set: BTreeSet<(Timestamp, OrderId, u32)> = BTreeSet::new();
            for (slot, at) in ops {
                if let Some(entry) = set.iter().copied().find(|entry| entry.2 == slot) {
                    set.remove(&entry);
                    deadlines.remove(slot);
                } else {
                    let entry = (Timestamp::from_nanos(at), OrderId::new(u64::from(slot) + 1), slot);
                    set.insert(entry);
                    deadlines.insert(entry.0, entry.1, slot);
                }
                prop_assert_eq!(deadlines.first(), set.first().map(|entry| (entry.0, entry.2)));
            }
        }
    }
}
