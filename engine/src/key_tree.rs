//! Position keys by what they stand for: a crit-bit tree, for accounts with more keys in one instrument than a walk over
//! them should look at.
//!
//! An inner node names the highest bit in which the keys below it differ. So a look-up takes at most one step for each bit
//! of a key, whatever keys somebody chooses, and the shape depends on the keys alone.

use crate::arena::{Arena, NIL};

/// Bits of a key: account, instrument, strategy, product.
pub(crate) type Key = u128;

/// Set in a link that names a position rather than an inner node.
const LEAF: u32 = 1 << 31;

#[derive(Clone, Copy, Debug)]
struct Inner {
    bit: u32,
    /// Where the bit is 0, and where it is 1.
    zero: u32,
    one: u32,
}

impl Inner {
    const fn is_one(&self, key: Key) -> bool {
        key >> self.bit & 1 == 1
    }

    /// The way that a key goes.
    const fn toward(&self, key: Key) -> u32 {
        if self.is_one(key) { self.one } else { self.zero }
    }

    const fn away_from(&self, key: Key) -> u32 {
        if self.is_one(key) { self.zero } else { self.one }
    }

    const fn set_toward(&mut self, key: Key, link: u32) {
        if self.is_one(key) {
            self.one = link;
        } else {
            self.zero = link;
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct KeyTree {
    inner: Arena<Inner>,
    root: u32,
}

impl KeyTree {
    pub(crate) fn new(keys: u32) -> KeyTree {
        KeyTree {
            inner: Arena::new(keys),
            root: NIL,
        }
    }

    /// The position whose key can only be this one; the caller compares, because the tree knows but the bits that matter.
    pub(crate) fn candidate(&self, key: Key) -> Option<u32> {
        let mut link = self.root;
        while link & LEAF == 0 {
            link = self.inner.at(link).toward(key);
        }
        (link != NIL).then_some(link & !LEAF)
    }

    /// Adds a key that is not there; `key_of` tells those of the positions that are.
    pub(crate) fn insert(&mut self, key: Key, position: u32, key_of: impl Fn(u32) -> Key) {
        let leaf = position | LEAF;
        let Some(near) = self.candidate(key) else {
            self.root = leaf;
            return;
        };
        let differing = key ^ key_of(near);
        debug_assert!(differing != 0, "a key is entered once");
        let bit = differing.checked_ilog2().unwrap_or(0);
        let (parent, below) = self.place_of(key, |inner| inner.bit < bit);
        let mut inner = Inner {
            bit,
            zero: below,
            one: below,
        };
        inner.set_toward(key, leaf);
        let made = self.inner.insert(inner);
        self.relink(parent, key, made);
    }

    /// Takes a key out that is there.
    pub(crate) fn remove(&mut self, key: Key) {
        let (mut grandparent, mut parent, mut link) = (NIL, NIL, self.root);
        while link & LEAF == 0 {
            (grandparent, parent) = (parent, link);
            link = self.inner.at(link).toward(key);
        }
        if parent == NIL {
            self.root = NIL;
            return;
        }
        let sibling = self.inner.at(parent).away_from(key);
        self.relink(grandparent, key, sibling);
        self.inner.remove(parent);
    }

    /// Goes down along a key to the first link that is a leaf or whose node stops it: the node that holds it, and the link.
    fn place_of(&self, key: Key, stops: impl Fn(&Inner) -> bool) -> (u32, u32) {
        let (mut parent, mut link) = (NIL, self.root);
        while link & LEAF == 0 {
            let inner = self.inner.at(link);
            if stops(inner) {
                break;
            }
            (parent, link) = (link, inner.toward(key));
        }
        (parent, link)
    }

    fn relink(&mut self, parent: u32, key: Key, link: u32) {
        if parent == NIL {
            self.root = link;
            return;
        }
        self.inner.at_mut(parent).set_toward(key, link);
    }
}

const _: () = assert!(
    crate::limits::POSITION_KEYS_MAX <= LEAF,
    "a position fits beside the mark of a leaf"
);
const _: () = assert!(NIL & LEAF != 0, "an empty tree has no inner node");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::vec::Vec;

    proptest! {
        /// Keys that share long beginnings, and keys that share none.
        #[test]
        fn agrees_with_a_sorted_map(ops in prop::collection::vec((0_u32..48, any::<bool>()), 1..200)) {
            let keys: Vec<Key> = (0..48_u32)
                .map(|n| if n.is_multiple_of(2) { Key::from(n) } else { 1 << (n * 2 + 6) })
                .collect();
            let key_of = |position: u32| keys[position as usize];
            let mut tree = KeyTree::new(48);
            let mut map: BTreeMap<Key, u32> = BTreeMap::new();
            for (position, remove) in ops {
                let key = key_of(position);
                let there = map.values().any(|&of| of == position);
                if there && remove {
                    tree.remove(key);
                    map.remove(&key);
                }
                if !there {
                    tree.insert(key, position, key_of);
                    map.insert(key, position);
                }
                for position in 0..48 {
                    let key = key_of(position);
                    let found = tree.candidate(key).filter(|&found| key_of(found) == key);
                    prop_assert_eq!(found, map.get(&key).copied());
                }
                prop_assert_eq!(tree.inner.len() as usize, map.len().saturating_sub(1));
            }
        }
    }
}
