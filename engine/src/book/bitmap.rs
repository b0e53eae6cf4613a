//! A set of small integers that finds the next member at or above a key in three word reads.

use alloc::vec;
use alloc::vec::Vec;

use crate::arena::{Slots, slot_of};

/// Members are `0..len` with `len ≤ 64³`. Each bit of a level says that the word below it is not zero.
#[derive(Debug, Clone)]
pub(super) struct Bitmap {
    leaves: Vec<u64>,
    middle: Vec<u64>,
    top: u64,
}

/// A 64-way split of a key: word index and bit within it.
#[inline(always)]
const fn split(key: u32) -> (u32, u32) {
    (key >> 6, key & 63)
}

#[inline(always)]
const fn bit(position: u32) -> u64 {
    1_u64.wrapping_shl(position)
}

/// The lowest member of `word` at or above `position`, which may be 64 ("none").
#[inline(always)]
const fn lowest_from(word: u64, position: u32) -> Option<u32> {
    let above = match u64::MAX.checked_shl(position) {
        Some(mask) => word & mask,
        None => 0,
    };
    if above == 0 {
        None
    } else {
        Some(above.trailing_zeros())
    }
}

#[inline(always)]
const fn join(word: u32, bit: u32) -> u32 {
    (word << 6) | bit
}

impl Bitmap {
    pub(super) fn new(len: u32) -> Bitmap {
        assert!(len <= 64 * 64 * 64, "a bitmap of three levels holds 262,144 keys");
        let words = |len: u32| usize::try_from(len.div_ceil(64)).unwrap_or(0);
        let leaves = words(len);
        Bitmap {
            leaves: vec![0; leaves],
            middle: vec![0; words(slot_of(leaves))],
            top: 0,
        }
    }

    #[inline]
    pub(super) fn insert(&mut self, key: u32) {
        let (leaf, position) = split(key);
        let (middle, leaf_position) = split(leaf);
        *self.leaves.as_mut_slice().at_mut(leaf) |= bit(position);
        *self.middle.as_mut_slice().at_mut(middle) |= bit(leaf_position);
        self.top |= bit(middle);
    }

    /// Without branches: where levels lie far apart, whether a word becomes empty is a toss of a coin.
    #[inline]
    pub(super) fn remove(&mut self, key: u32) {
        let (leaf, position) = split(key);
        let word = self.leaves.as_mut_slice().at_mut(leaf);
        *word &= !bit(position);
        let empty = u64::from(*word == 0);
        let (middle, leaf_position) = split(leaf);
        let word = self.middle.as_mut_slice().at_mut(middle);
        *word &= !empty.wrapping_shl(leaf_position);
        let empty = u64::from(*word == 0);
        self.top &= !empty.wrapping_shl(middle);
    }

    /// The lowest member at or above `key`.
    #[inline]
    pub(super) fn next_from(&self, key: u32) -> Option<u32> {
        let (leaf, position) = split(key);
        if let Some(found) = self
            .leaves
            .get(crate::arena::index(leaf))
            .and_then(|&word| lowest_from(word, position))
        {
            return Some(join(leaf, found));
        }
        self.next_leaf_after(leaf)
    }

    fn next_leaf_after(&self, leaf: u32) -> Option<u32> {
        let (middle, position) = split(leaf);
        let here = self
            .middle
            .get(crate::arena::index(middle))
            .and_then(|&word| lowest_from(word, position.wrapping_add(1)));
        let leaf = match here {
            Some(found) => join(middle, found),
            None => {
                let middle = lowest_from(self.top, middle.wrapping_add(1))?;
                join(middle, self.middle.as_slice().at(middle).trailing_zeros())
            }
        };
        Some(join(leaf, self.leaves.as_slice().at(leaf).trailing_zeros()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn agrees_with_a_tree_set(len in 1_u32..200_000, ops in prop::collection::vec((any::<bool>(), any::<u32>()), 1..200)) {
            let mut bitmap = Bitmap::new(len);
            let mut set = BTreeSet::new();
            for (insert, key) in ops {
                let key = key % len;
                if insert { bitmap.insert(key); set.insert(key); } else { bitmap.remove(key); set.remove(&key); }
                for probe in [0, key, key.saturating_add(1).min(len - 1), len - 1] {
                    prop_assert_eq!(bitmap.next_from(probe), set.range(probe..).next().copied());
                }
            }
        }
    }
}
