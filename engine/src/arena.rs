//! Fixed-capacity storage addressed by `u32` slots: the one place where the engine indexes memory.
//!
//! A slot that an arena has handed out is always in range, so an out-of-range access can only be a bug of the engine.
//! That is an assertion, not an error: it stops the process, and recovery is replay.

use alloc::vec::Vec;

/// The "no slot" value of links.
pub(crate) const NIL: u32 = u32::MAX;

/// Widens a slot to an index. Lossless on every target that has at least 32-bit pointers.
#[inline(always)]
pub(crate) const fn index(slot: u32) -> usize {
    const { assert!(usize::BITS >= 32) };
    #[expect(
        clippy::as_conversions,
        reason = "widening; `From` does not exist because of 16-bit targets"
    )]
    let index = slot as usize;
    index
}

/// Narrows a length that capacity bounds keep below 2^32.
#[inline(always)]
pub(crate) fn slot_of(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(NIL)
}

#[cold]
#[inline(never)]
#[expect(
    clippy::panic,
    reason = "a broken invariant of the engine must stop the process"
)]
pub(crate) fn out_of_range(slot: u32) -> ! {
    panic!("engine bug: slot {slot} is out of range")
}

/// A slice that may only be indexed by slots the engine itself made.
pub(crate) trait Slots<T> {
    fn at(&self, slot: u32) -> &T;
    fn at_mut(&mut self, slot: u32) -> &mut T;
}

impl<T> Slots<T> for [T] {
    #[inline(always)]
    fn at(&self, slot: u32) -> &T {
        match self.get(index(slot)) {
            Some(item) => item,
            None => out_of_range(slot),
        }
    }

    #[inline(always)]
    fn at_mut(&mut self, slot: u32) -> &mut T {
        match self.get_mut(index(slot)) {
            Some(item) => item,
            None => out_of_range(slot),
        }
    }
}

/// Slots handed out last-in-first-out, so that the memory in use is the live set and stays in cache.
///
/// Storage is reserved at construction and touched only as far as the live set has ever grown.
#[derive(Debug, Clone)]
pub(crate) struct Arena<T> {
    items: Vec<T>,
    free: Vec<u32>,
    capacity: u32,
}

impl<T> Arena<T> {
    pub(crate) fn new(capacity: u32) -> Arena<T> {
        let length = index(capacity);
        Arena {
            items: Vec::with_capacity(length),
            free: Vec::with_capacity(length),
            capacity,
        }
    }

    /// Whether [`Arena::insert`] would succeed.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        !self.free.is_empty() || slot_of(self.items.len()) < self.capacity
    }

    pub(crate) fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Slots in use.
    pub(crate) fn len(&self) -> u32 {
        slot_of(self.items.len().saturating_sub(self.free.len()))
    }

    /// Stores an item; the caller has checked [`Arena::has_room`].
    #[inline]
    pub(crate) fn insert(&mut self, item: T) -> u32 {
        if let Some(slot) = self.free.pop() {
            *self.items.as_mut_slice().at_mut(slot) = item;
            return slot;
        }
        let slot = slot_of(self.items.len());
        if slot >= self.capacity {
            out_of_range(slot);
        }
        self.items.push(item);
        slot
    }

    /// Every slot ever handed out, and those that are free, the next to be handed out last.
    pub(crate) fn parts(&self) -> (&[T], &[u32]) {
        (&self.items, &self.free)
    }

    #[inline(always)]
    pub(crate) fn items_mut(&mut self) -> &mut [T] {
        &mut self.items
    }

    /// Puts back what [`Arena::parts`] gave; `false` where it is none that this arena could have given.
    pub(crate) fn refill(&mut self, items: Vec<T>, free: &[u32]) -> bool {
        let used = slot_of(items.len());
        if used > self.capacity || free.len() > items.len() || free.iter().any(|&slot| slot >= used) {
            return false;
        }
        self.items.clear();
        self.items.extend(items);
        self.free.clear();
        self.free.extend_from_slice(free);
        true
    }

    /// Gives a slot back. Its item stays readable until the slot is handed out again.
    #[inline]
    pub(crate) fn remove(&mut self, slot: u32) {
        debug_assert!(
            self.free.len() < self.items.len(),
            "more slots freed than handed out"
        );
        self.free.push(slot);
    }

    #[inline(always)]
    pub(crate) fn at(&self, slot: u32) -> &T {
        self.items.as_slice().at(slot)
    }

    #[inline(always)]
    pub(crate) fn at_mut(&mut self, slot: u32) -> &mut T {
        self.items.as_mut_slice().at_mut(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_an_arena_could_have_given_is_put_back() {
        let put_back = |items: &[u8], free: &[u32]| {
            let mut arena = Arena::new(3);
            let taken = arena.refill(items.to_vec(), free);
            taken.then(|| (arena.len(), arena.has_room()))
        };
        assert_eq!(put_back(&[], &[]), Some((0, true)));
        assert_eq!(put_back(&[1, 2], &[]), Some((2, true)));
        assert_eq!(put_back(&[1, 2, 3], &[]), Some((3, false)));
        assert_eq!(put_back(&[1, 2, 3], &[1]), Some((2, true)));
        assert_eq!(put_back(&[1, 2, 3], &[2, 0, 1]), Some((0, true)));
        assert_eq!(put_back(&[1, 2, 3, 4], &[]), None, "more than its capacity");
        assert_eq!(put_back(&[1, 2], &[0, 1, 0]), None, "more free than there are");
        assert_eq!(put_back(&[1, 2], &[2]), None, "a slot that was never handed out");
    }
}
