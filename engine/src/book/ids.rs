//! The callers' ids of resting orders, by slot: slots from 1 on, handed out last-in-first-out.

use alloc::vec;
use alloc::vec::Vec;

use crate::arena::{Slots, index};

/// No slot: the end of the list of free ones.
const NONE: u32 = 0;

/// As many slots as orders can rest.
#[derive(Debug, Clone)]
pub(super) struct Ids {
    /// Of a slot in use its order's id, of one that was given back the next free one. Zeroed memory costs nothing before it
    /// is touched.
    entries: Vec<u32>,
    free: u32,
    /// The first slot that was never used.
    fresh: u32,
    len: u32,
    capacity: u32,
}

impl Ids {
    pub(super) fn new(capacity: u32) -> Ids {
        Ids {
            entries: vec![NONE; index(capacity).saturating_add(1)],
            free: NONE,
            fresh: 1,
            len: 0,
            capacity,
        }
    }

    /// Slots in use.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// Whether [`Ids::insert`] would succeed.
    #[inline(always)]
    pub(super) fn has_room(&self) -> bool {
        self.len < self.capacity
    }

    /// A slot for an id; the caller has checked [`Ids::has_room`].
    #[inline(always)]
    pub(super) fn insert(&mut self, id: u32) -> u32 {
        self.len = self.len.wrapping_add(1);
        match self.free {
            NONE => {
                let slot = self.fresh;
                self.fresh = slot.wrapping_add(1);
                *self.entries.as_mut_slice().at_mut(slot) = id;
                slot
            }
            slot => {
                let entry = self.entries.as_mut_slice().at_mut(slot);
                self.free = core::mem::replace(entry, id);
                slot
            }
        }
    }

    /// Gives back a slot in use.
    #[inline(always)]
    pub(super) fn remove(&mut self, slot: u32) {
        self.len = self.len.wrapping_sub(1);
        *self.entries.as_mut_slice().at_mut(slot) = self.free;
        self.free = slot;
    }

    /// The id of a slot in use.
    #[inline(always)]
    pub(super) fn at(&self, slot: u32) -> u32 {
        *self.entries.as_slice().at(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn slots_in_use_keep_their_ids(
            capacity in 0_u32..9,
            ops in prop::collection::vec((any::<bool>(), any::<u32>()), 1..200),
        ) {
            let mut ids = Ids::new(capacity);
            let mut used = BTreeMap::new();
            for (insert, n) in ops {
                if insert && ids.has_room() {
                    let slot = ids.insert(n);
                    prop_assert!((1..=capacity).contains(&slot));
                    prop_assert_eq!(used.insert(slot, n), None, "a slot in use");
                } else if let Some((&slot, _)) = used.iter().nth(index(n) % used.len().max(1)) {
                    ids.remove(slot);
                    used.remove(&slot);
                }
                prop_assert_eq!(index(ids.len()), used.len());
                prop_assert_eq!(ids.has_room(), used.len() < index(capacity));
                for (&slot, &id) in &used {
                    prop_assert_eq!(ids.at(slot), id);
                }
            }
        }
    }

    #[test]
    fn the_slot_given_back_last_comes_first() {
        let mut ids = Ids::new(3);
        assert_eq!([ids.insert(10), ids.insert(11), ids.insert(12)], [1, 2, 3]);
        ids.remove(3);
        ids.remove(1);
        assert_eq!([ids.insert(13), ids.insert(14)], [1, 3]);
    }
}
