//! The queues of price levels: circular lists of resting orders, each with its level as the sentinel.
//!
//! Orders and levels are cells of one array and are linked by their indices in it, so that an order is taken out of a
//! queue by two stores, whatever stands beside it: an end of the queue is a neighbour like any other. All books of an
//! engine share one pool, so that its memory is the live set.

use alloc::vec;
use alloc::vec::Vec;

use crate::arena::{Slots, index, out_of_range, slot_of};

/// 16 bytes, as an array because a vector of zeroed arrays costs no memory before it is touched.
///
/// An order: next, prev, its level, visible quantity. A level takes two cells: next (the head of its queue), prev (the
/// tail), key, orders; then Σ visible quantity of its orders as two halves, and two words that nobody uses.
type Cell = [u32; 4];

const NEXT: usize = 0;
const PREV: usize = 1;
const LEVEL: usize = 2;
const KEY: usize = 2;
const VISIBLE: usize = 3;
const ORDERS: usize = 3;

/// Where no level is.
pub(super) const NO_LEVEL: u32 = 0;

/// A resting order's place in its queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Node {
    pub(super) next: u32,
    pub(super) prev: u32,
    pub(super) level: u32,
    /// Quantity shown, and that trades before the order is refilled or gone.
    pub(crate) visible: u32,
}

/// A price level that is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Level {
    pub(super) head: u32,
    pub(super) tail: u32,
    pub(super) key: u32,
    pub(super) orders: u32,
    /// Σ visible quantity of its orders.
    pub(super) visible: u64,
}

/// The queues of all books that share a pool. An order's cell is that of its slot.
///
/// A level has at least one order, so where there is a cell for each order there are enough for their levels.
#[derive(Debug, Clone)]
pub(crate) struct Nodes {
    cells: Vec<Cell>,
    first_level: u32,
    /// Levels that were given back, the last one first, linked by `NEXT`.
    free_level: u32,
    /// The first level that was never used.
    fresh_level: u32,
}

impl Nodes {
    /// For orders in the slots below `capacity`.
    pub(crate) fn new(capacity: u32) -> Nodes {
        // Two cells more for the level to which the last order moves, one for the index that is no level's, and one to put
        // levels on even addresses.
        let cells: Vec<Cell> = vec![[0; 4]; index(capacity).saturating_mul(3).saturating_add(4)];
        assert!(slot_of(cells.len()) != u32::MAX, "cells have 32-bit indices");
        let first = capacity.saturating_add(1);
        // Both cells of a level in one line of the cache.
        let odd = cells
            .get(index(first)..)
            .is_some_and(|levels| levels.as_ptr().align_offset(size_of::<[Cell; 2]>()) == 1);
        let first_level = first.saturating_add(u32::from(odd));
        Nodes {
            cells,
            first_level,
            free_level: NO_LEVEL,
            fresh_level: first_level,
        }
    }

    /// Levels in use, by those that are not.
    pub(crate) fn level_count(&self) -> u32 {
        let free = core::iter::successors(Some(self.free_level), |&level| Some(self.head(level)))
            .take_while(|&level| level != NO_LEVEL)
            .fold(0_u32, |count, _| count.saturating_add(1));
        let used = self.fresh_level.saturating_sub(self.first_level) >> 1;
        used.saturating_sub(free)
    }

    #[inline(always)]
    pub(crate) fn at(&self, slot: u32) -> Node {
        let [next, prev, level, visible] = *self.cells.as_slice().at(slot);
        Node {
            next,
            prev,
            level,
            visible,
        }
    }

    /// The first order of a level.
    #[inline(always)]
    pub(super) fn head(&self, level: u32) -> u32 {
        self.cells.as_slice().at(level)[NEXT]
    }

    /// The key of the level in which an order rests.
    #[inline(always)]
    pub(super) fn key_of(&self, slot: u32) -> u32 {
        let cells = self.cells.as_slice();
        cells.at(cells.at(slot)[LEVEL])[KEY]
    }

    #[inline]
    pub(super) fn level(&self, level: u32) -> Level {
        let visible = sum(second(&self.cells, level));
        let [head, tail, key, orders] = *self.cells.as_slice().at(level);
        Level {
            head,
            tail,
            key,
            orders,
            visible,
        }
    }

    /// The orders of a level from one of them on, by priority.
    pub(super) fn queue(&self, level: u32, from: u32) -> impl Iterator<Item = u32> + '_ {
        let order = move |&slot: &u32| slot != level;
        core::iter::successors(Some(from).filter(order), move |&slot| {
            Some(self.at(slot).next).filter(order)
        })
    }

    /// A level without orders.
    #[inline]
    pub(super) fn open_level(&mut self, key: u32) -> u32 {
        let level = match self.free_level {
            NO_LEVEL => {
                let level = self.fresh_level;
                self.fresh_level = level.wrapping_add(2);
                level
            }
            level => {
                self.free_level = self.head(level);
                level
            }
        };
        set_sum(second_mut(&mut self.cells, level), 0);
        *self.cells.as_mut_slice().at_mut(level) = [level, level, key, 0];
        level
    }

    /// Gives back a level that has no orders.
    #[inline]
    pub(super) fn close_level(&mut self, level: u32) {
        self.cells.as_mut_slice().at_mut(level)[NEXT] = self.free_level;
        self.free_level = level;
    }

    /// Puts an order at the tail of a level.
    #[inline(always)]
    pub(super) fn push_back(&mut self, level: u32, slot: u32, visible: u32) {
        let cells = self.cells.as_mut_slice();
        let second = second_mut(cells, level);
        set_sum(second, sum(second).wrapping_add(u64::from(visible)));
        let first = cells.at_mut(level);
        let tail = first[PREV];
        first[PREV] = slot;
        first[ORDERS] = first[ORDERS].wrapping_add(1);
        cells.at_mut(tail)[NEXT] = slot;
        *cells.at_mut(slot) = [level, tail, level, visible];
    }

    /// Takes an order out of its queue; gives its level where it was the last one there.
    #[inline(always)]
    pub(super) fn unlink(&mut self, slot: u32) -> Option<u32> {
        let cells = self.cells.as_mut_slice();
        let [next, prev, level, visible] = *cells.at(slot);
        cells.at_mut(prev)[NEXT] = next;
        cells.at_mut(next)[PREV] = prev;
        let second = second_mut(cells, level);
        set_sum(second, sum(second).wrapping_sub(u64::from(visible)));
        let first = cells.at_mut(level);
        first[ORDERS] = first[ORDERS].wrapping_sub(1);
        (first[ORDERS] == 0).then_some(level)
    }

    /// Takes a resting order to the tail of a level, its own or another; gives the level that it left where it was the last
    /// one there.
    #[inline(always)]
    pub(super) fn relocate(&mut self, slot: u32, to: u32, visible: u32) -> Option<u32> {
        let cells = self.cells.as_mut_slice();
        let [next, prev, from, before] = *cells.at(slot);
        cells.at_mut(prev)[NEXT] = next;
        cells.at_mut(next)[PREV] = prev;
        let second = second_mut(cells, from);
        set_sum(second, sum(second).wrapping_sub(u64::from(before)));
        let first = cells.at_mut(from);
        let left = first[ORDERS].wrapping_sub(1);
        first[ORDERS] = left;
        let second = second_mut(cells, to);
        set_sum(second, sum(second).wrapping_add(u64::from(visible)));
        let first = cells.at_mut(to);
        let tail = first[PREV];
        first[PREV] = slot;
        first[ORDERS] = first[ORDERS].wrapping_add(1);
        cells.at_mut(tail)[NEXT] = slot;
        *cells.at_mut(slot) = [to, tail, to, visible];
        (left == 0 && from != to).then_some(from)
    }

    /// Changes a resting order's visible quantity where it stands.
    #[inline(always)]
    pub(super) fn set_visible(&mut self, slot: u32, visible: u32) {
        let cells = self.cells.as_mut_slice();
        let order = cells.at_mut(slot);
        let (level, before) = (order[LEVEL], order[VISIBLE]);
        order[VISIBLE] = visible;
        let second = second_mut(cells, level);
        let sum = sum(second)
            .wrapping_sub(u64::from(before))
            .wrapping_add(u64::from(visible));
        set_sum(second, sum);
    }
}

/// A level's second cell. Whoever asks for it before the first one pays for one check of both.
#[inline(always)]
fn second(cells: &[Cell], level: u32) -> &Cell {
    match cells.get(index(level).wrapping_add(1)) {
        Some(second) => second,
        None => out_of_range(level),
    }
}

#[inline(always)]
fn second_mut(cells: &mut [Cell], level: u32) -> &mut Cell {
    match cells.get_mut(index(level).wrapping_add(1)) {
        Some(second) => second,
        None => out_of_range(level),
    }
}

#[inline(always)]
fn sum(second: &Cell) -> u64 {
    u64::from(second[0]) | u64::from(second[1]) << 32
}

#[inline(always)]
fn set_sum(second: &mut Cell, sum: u64) {
    let [low, high] = halves(sum);
    second[0] = low;
    second[1] = high;
}

#[inline(always)]
const fn halves(sum: u64) -> [u32; 2] {
    #[expect(clippy::as_conversions, reason = "cuts, as is meant")]
    let halves = [sum as u32, (sum >> 32) as u32];
    halves
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use std::vec::Vec as StdVec;

    const ORDERS: u32 = 12;

    impl Nodes {
        /// Writes an order's cell as no method of the queues would.
        pub(in crate::book) fn damage(&mut self, slot: u32, damage: impl Fn(&mut Node)) {
            let mut node = self.at(slot);
            damage(&mut node);
            *self.cells.as_mut_slice().at_mut(slot) = [node.next, node.prev, node.level, node.visible];
        }

        /// The same of a level's.
        pub(in crate::book) fn damage_level(&mut self, level: u32, damage: impl Fn(&mut Level)) {
            let mut damaged = self.level(level);
            damage(&mut damaged);
            set_sum(second_mut(&mut self.cells, level), damaged.visible);
            *self.cells.as_mut_slice().at_mut(level) =
                [damaged.head, damaged.tail, damaged.key, damaged.orders];
        }
    }

    /// A level by the book: its index, its key, and slots with what they show.
    type Model = (u32, u32, VecDeque<(u32, u32)>);

    fn check(nodes: &Nodes, levels: &[Model]) {
        assert_eq!(nodes.level_count(), slot_of(levels.len()));
        for (index, key, queue) in levels {
            let level = nodes.level(*index);
            let slots: StdVec<u32> = nodes.queue(*index, level.head).collect();
            let expected: StdVec<u32> = queue.iter().map(|&(slot, _)| slot).collect();
            assert_eq!(slots, expected);
            let backwards = expected.iter().rev().scan(level.tail, |slot, &expected| {
                let here = core::mem::replace(slot, nodes.at(*slot).prev);
                Some((here, expected))
            });
            assert!(backwards.into_iter().all(|(found, expected)| found == expected));
            let sum: u64 = queue.iter().map(|&(_, visible)| u64::from(visible)).sum();
            assert_eq!((level.key, level.visible), (*key, sum));
            assert_eq!(level.orders, slot_of(queue.len()));
            for &(slot, visible) in queue {
                assert_eq!((nodes.key_of(slot), nodes.at(slot).visible), (*key, visible));
            }
        }
    }

    proptest! {
        /// Every order in a level of its own or together, added, changed and taken out in any order.
        #[test]
        fn agrees_with_queues_of_the_library(
            ops in prop::collection::vec((0..ORDERS, 0_u32..6, any::<u32>()), 1..300),
        ) {
            let mut nodes = Nodes::new(ORDERS);
            let mut levels: StdVec<Model> = StdVec::new();
            for (slot, key, visible) in ops {
                let of = levels.iter().position(|(_, _, queue)| queue.iter().any(|&(at, _)| at == slot));
                match of {
                    Some(of) if key == 0 => {
                        nodes.set_visible(slot, visible);
                        let order = levels[of].2.iter_mut().find(|(at, _)| *at == slot);
                        order.expect("it is there").1 = visible;
                    }
                    Some(of) if key == 4 => {
                        // To the tail of the first level, or of its own where that is the only one.
                        let to = levels[0].0;
                        let emptied = nodes.relocate(slot, to, visible);
                        levels[of].2.retain(|&(at, _)| at != slot);
                        levels[0].2.push_back((slot, visible));
                        let expected = levels[of].2.is_empty().then_some(levels[of].0);
                        prop_assert_eq!(emptied, expected);
                        if let Some(level) = emptied {
                            nodes.close_level(level);
                            levels.remove(of);
                        }
                    }
                    Some(of) => {
                        let emptied = nodes.unlink(slot);
                        levels[of].2.retain(|&(at, _)| at != slot);
                        let expected = levels[of].2.is_empty().then_some(levels[of].0);
                        prop_assert_eq!(emptied, expected);
                        if let Some(level) = emptied {
                            nodes.close_level(level);
                            levels.swap_remove(of);
                        }
                    }
                    None => {
                        // Slots are keys too where everyone shall have a level of his own.
                        let key = if key == 5 { 100 + slot } else { key };
                        let at = levels.iter().position(|&(_, of, _)| of == key).unwrap_or_else(|| {
                            levels.push((nodes.open_level(key), key, VecDeque::new()));
                            levels.len() - 1
                        });
                        nodes.push_back(levels[at].0, slot, visible);
                        levels[at].2.push_back((slot, visible));
                    }
                }
                check(&nodes, &levels);
            }
        }
    }

    #[test]
    fn there_is_a_level_for_every_order() {
        for capacity in [0, 1, 2, 7, 8] {
            let mut nodes = Nodes::new(capacity);
            for round in 0..2 {
                let levels: StdVec<u32> = (0..capacity)
                    .map(|slot| {
                        let level = nodes.open_level(slot);
                        nodes.push_back(level, slot, slot + 1);
                        level
                    })
                    .collect();
                for (slot, &level) in (0..).zip(&levels) {
                    assert_eq!(nodes.level(level).visible, u64::from(slot) + 1, "round {round}");
                    assert!(level > capacity, "no order's cell, and not NO_LEVEL");
                    assert_eq!(nodes.unlink(slot), Some(level));
                    nodes.close_level(level);
                }
            }
        }
    }
}
