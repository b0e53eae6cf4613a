//! Prices that set something off when the last traded price reaches them: stop orders and conditions of positions.
//!
//! Each instrument has two ordered trees of triggers, those that a rise reaches and those that a fall reaches. All of
//! them are treaps over one pool of nodes that is sized when the engine is built: a trigger is added, found and taken
//! out in O(log n), and a print costs two comparisons with the nearest triggers. What a print reached leaves its tree for
//! one queue, in which it waits for its turn.

use crate::arena::{Arena, NIL};
use crate::ids::TradeId;
use crate::state_hash::Digest;
use crate::terms::{Side, Trailing};
use crate::trails::{Group, Trails};
use crate::units::Price;

/// What a trigger sets off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Owner {
    /// The pending stop order in this slot.
    Order(u32),
    /// Conditions of the position in this slot.
    StopLoss(u32),
    TakeProfit(u32),
    Trailing(u32),
    /// A group of trailing stops; such a node is in no tree of triggers.
    Group,
}

/// The way the price has to move to reach a trigger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    Rise,
    Fall,
}

impl Direction {
    /// Where a stop order of this side waits: a buy above the last price, a sell below it.
    pub(crate) const fn of_stop(side: Side) -> Direction {
        match side {
            Side::Buy => Direction::Rise,
            Side::Sell => Direction::Fall,
        }
    }

    pub(crate) const fn opposite(self) -> Direction {
        match self {
            Direction::Rise => Direction::Fall,
            Direction::Fall => Direction::Rise,
        }
    }

    /// A coordinate that grows the way the price has to move; its own inverse.
    pub(crate) const fn along(self, paise: u32) -> u32 {
        match self {
            Direction::Rise => paise,
            Direction::Fall => !paise,
        }
    }

    /// Whether a print at `price` reaches a trigger.
    pub(crate) const fn reaches(self, price: Price, trigger: Price) -> bool {
        self.along(price.paise()) >= self.along(trigger.paise())
    }
}

/// Order within a tree: what is reached first; what does not trail before what does, that by distance; then sequence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Key {
    pub(crate) along: u32,
    rank: u64,
    sequence: u64,
}

impl Key {
    pub(crate) const fn new(along: u32, rank: u64, sequence: u64) -> Key {
        Key {
            along,
            rank,
            sequence,
        }
    }

    pub(crate) const fn sequence(&self) -> u64 {
        self.sequence
    }
}

/// A print that reached a trigger; no trade where the price came from outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Print {
    pub(crate) price: Price,
    pub(crate) trade: Option<TradeId>,
}

impl Print {
    /// A last price that was there before, or came from outside.
    pub(crate) const fn outside(price: Price) -> Print {
        Print { price, trade: None }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub(crate) key: Key,
    pub(crate) owner: Owner,
    pub(crate) direction: Direction,
    /// Children in its tree, or its neighbours in the queue.
    pub(crate) left: u32,
    pub(crate) right: u32,
    /// Of a member of a group of trailing stops, and of the group's own node.
    pub(crate) group: u32,
    pub(crate) trailing: Option<Trailing>,
    /// Set while it waits in the queue.
    fired_by: Option<Print>,
}

/// The two trees of an instrument: their roots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trees {
    rising: u32,
    falling: u32,
    pub(crate) trails: Trails,
}

impl Trees {
    pub(crate) const EMPTY: Trees = Trees {
        rising: NIL,
        falling: NIL,
        trails: Trails::EMPTY,
    };

    pub(crate) const fn root(&self, direction: Direction) -> u32 {
        match direction {
            Direction::Rise => self.rising,
            Direction::Fall => self.falling,
        }
    }

    pub(crate) const fn set_root(&mut self, direction: Direction, root: u32) {
        match direction {
            Direction::Rise => self.rising = root,
            Direction::Fall => self.falling = root,
        }
    }
}

/// A trigger that is being set off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fired {
    pub(crate) owner: Owner,
    pub(crate) trigger: Price,
    pub(crate) print: Print,
}

/// The nodes of every tree, and the queue of those that were reached.
#[derive(Debug, Clone)]
pub(crate) struct Triggers {
    pub(crate) nodes: Arena<Node>,
    pub(crate) groups: Arena<Group>,
    first_fired: u32,
    last_fired: u32,
    next_sequence: u64,
}

impl Triggers {
    /// For that many orders and positions. A position may have a stop, a target and a trailing stop, which is a member of
    /// a group; a group has a node of its own and one for its leader.
    pub(crate) fn new(orders: u32, positions: u32) -> Triggers {
        Triggers {
            nodes: Arena::new(orders.saturating_add(positions.saturating_mul(5))),
            groups: Arena::new(positions),
            first_fired: NIL,
            last_fired: NIL,
            next_sequence: 1,
        }
    }

    /// How many have ever been set, plus one.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    pub(crate) fn set_next_sequence(&mut self, next: u64) {
        self.next_sequence = next;
    }

    pub(crate) fn take_sequence(&mut self) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence = sequence.wrapping_add(1);
        sequence
    }

    pub(crate) fn new_node(&mut self, owner: Owner, direction: Direction, key: Key) -> u32 {
        self.nodes.insert(Node {
            key,
            owner,
            direction,
            left: NIL,
            right: NIL,
            group: NIL,
            trailing: None,
            fired_by: None,
        })
    }

    /// Adds a trigger that the price has not reached.
    pub(crate) fn add(
        &mut self,
        trees: &mut Trees,
        owner: Owner,
        direction: Direction,
        price: Price,
        sequence: u64,
    ) -> u32 {
        let key = Key::new(direction.along(price.paise()), 0, sequence);
        let node = self.new_node(owner, direction, key);
        let root = self.insert(trees.root(direction), node);
        trees.set_root(direction, root);
        node
    }

    /// Adds a trigger that the price has reached already: it goes straight to the end of the queue.
    pub(crate) fn add_reached(
        &mut self,
        owner: Owner,
        direction: Direction,
        price: Price,
        sequence: u64,
        print: Print,
    ) -> u32 {
        let key = Key::new(direction.along(price.paise()), 0, sequence);
        let node = self.new_node(owner, direction, key);
        self.enqueue(node, print);
        node
    }

    /// Takes a trigger out of its tree or out of the queue.
    pub(crate) fn remove(&mut self, trees: &mut Trees, node: u32) {
        let Node {
            key,
            direction,
            fired_by,
            ..
        } = *self.nodes.at(node);
        if fired_by.is_some() {
            self.dequeue(node);
        } else {
            let root = self.erase(trees.root(direction), key);
            trees.set_root(direction, root);
        }
        self.nodes.remove(node);
    }

    /// Moves the first trigger of a direction that a print reaches to the queue: its owner and its node.
    pub(crate) fn collect_one(
        &mut self,
        trees: &mut Trees,
        direction: Direction,
        print: Print,
    ) -> Option<(Owner, u32)> {
        let root = trees.root(direction);
        let first = self.first(root)?;
        let Node { key, owner, .. } = *self.nodes.at(first);
        if key.along > direction.along(print.price.paise()) {
            return None;
        }
        let root = self.erase(root, key);
        trees.set_root(direction, root);
        self.enqueue(first, print);
        Some((owner, first))
    }

    pub(crate) fn is_queued(&self, node: u32) -> bool {
        self.nodes.at(node).fired_by.is_some()
    }

    /// The price that is reached first in a direction.
    pub(crate) fn nearest(&self, trees: &Trees, direction: Direction) -> Option<Price> {
        let first = self.first(trees.root(direction))?;
        Price::from_paise(direction.along(self.nodes.at(first).key.along))
    }

    pub(crate) fn has_fired(&self) -> bool {
        self.first_fired != NIL
    }

    /// Takes the next trigger out of the queue.
    pub(crate) fn next_fired(&mut self) -> Option<Fired> {
        let node = self.first_fired;
        if node == NIL {
            return None;
        }
        let Node {
            key,
            owner,
            direction,
            fired_by,
            ..
        } = *self.nodes.at(node);
        self.dequeue(node);
        self.nodes.remove(node);
        Some(Fired {
            owner,
            trigger: Price::from_paise(direction.along(key.along))?,
            print: fired_by?,
        })
    }

    fn enqueue(&mut self, node: u32, print: Print) {
        let last = self.last_fired;
        let fired = self.nodes.at_mut(node);
        (fired.left, fired.right) = (last, NIL);
        fired.fired_by = Some(print);
        if last == NIL {
            self.first_fired = node;
        } else {
            self.nodes.at_mut(last).right = node;
        }
        self.last_fired = node;
    }

    fn dequeue(&mut self, node: u32) {
        let Node { left, right, .. } = *self.nodes.at(node);
        if left == NIL {
            self.first_fired = right;
        } else {
            self.nodes.at_mut(left).right = right;
        }
        if right == NIL {
            self.last_fired = left;
        } else {
            self.nodes.at_mut(right).left = left;
        }
    }

    /// Every trigger of a tree in order: owner, price, sequence, node.
    pub(crate) fn in_order(
        &self,
        trees: &Trees,
        direction: Direction,
        visit: &mut impl FnMut(Owner, Price, u64, u32),
    ) {
        self.walk(trees.root(direction), &mut |node| {
            let of = self.nodes.at(node);
            if let Some(price) = Price::from_paise(direction.along(of.key.along)) {
                visit(of.owner, price, of.key.sequence, node);
            }
        });
    }

    /// Nodes in use.
    pub(crate) fn len(&self) -> u32 {
        self.nodes.len()
    }

    /// Whether a tree is in order and a heap by priority.
    pub(crate) fn audit(&self, trees: &Trees) -> Result<(), &'static str> {
        for direction in [Direction::Rise, Direction::Fall] {
            let mut last: Option<Key> = None;
            let mut sound = true;
            self.walk(trees.root(direction), &mut |node| {
                let of = self.nodes.at(node);
                sound &= last.is_none_or(|last| last < of.key) && of.fired_by.is_none();
                for child in [of.left, of.right] {
                    sound &= child == NIL || self.priority(child) <= self.priority(node);
                }
                last = Some(of.key);
            });
            if !sound {
                return Err("a tree of triggers is out of order");
            }
        }
        Ok(())
    }
}

/// The treap itself. Its shape depends on the keys alone: a node's priority is a hash of its sequence. Recursion is as
/// deep as the tree, which is O(log n) with overwhelming probability.
impl Triggers {
    fn priority(&self, node: u32) -> u64 {
        Digest::new(10).word(self.nodes.at(node).key.sequence).finish()
    }

    /// The node with the smallest key above `key`.
    pub(crate) fn after(&self, mut root: u32, key: Key) -> Option<u32> {
        let mut found = None;
        while root != NIL {
            let Node {
                key: at, left, right, ..
            } = *self.nodes.at(root);
            if at > key {
                found = Some(root);
                root = left;
            } else {
                root = right;
            }
        }
        found
    }

    pub(crate) fn first(&self, mut root: u32) -> Option<u32> {
        if root == NIL {
            return None;
        }
        loop {
            let left = self.nodes.at(root).left;
            if left == NIL {
                return Some(root);
            }
            root = left;
        }
    }

    /// Puts a node without children into the tree and returns the new root.
    pub(crate) fn insert(&mut self, root: u32, node: u32) -> u32 {
        if root == NIL {
            return node;
        }
        let key = self.nodes.at(node).key;
        if self.priority(node) > self.priority(root) {
            let (left, right) = self.split(root, key);
            let inserted = self.nodes.at_mut(node);
            (inserted.left, inserted.right) = (left, right);
            return node;
        }
        let Node {
            key: at, left, right, ..
        } = *self.nodes.at(root);
        if key < at {
            let left = self.insert(left, node);
            self.nodes.at_mut(root).left = left;
        } else {
            let right = self.insert(right, node);
            self.nodes.at_mut(root).right = right;
        }
        root
    }

    /// The parts of a tree below `key` and from it on.
    fn split(&mut self, root: u32, key: Key) -> (u32, u32) {
        if root == NIL {
            return (NIL, NIL);
        }
        let Node {
            key: at, left, right, ..
        } = *self.nodes.at(root);
        if at < key {
            let (below, rest) = self.split(right, key);
            self.nodes.at_mut(root).right = below;
            (root, rest)
        } else {
            let (below, rest) = self.split(left, key);
            self.nodes.at_mut(root).left = rest;
            (below, root)
        }
    }

    /// One tree of two, all of the first before all of the second.
    fn merge(&mut self, first: u32, second: u32) -> u32 {
        if first == NIL {
            return second;
        }
        if second == NIL {
            return first;
        }
        if self.priority(first) >= self.priority(second) {
            let right = self.nodes.at(first).right;
            let right = self.merge(right, second);
            self.nodes.at_mut(first).right = right;
            first
        } else {
            let left = self.nodes.at(second).left;
            let left = self.merge(first, left);
            self.nodes.at_mut(second).left = left;
            second
        }
    }

    /// Takes the node with a key, which must be there, out of the tree and returns the new root.
    pub(crate) fn erase(&mut self, root: u32, key: Key) -> u32 {
        if root == NIL {
            return NIL;
        }
        let Node {
            key: at, left, right, ..
        } = *self.nodes.at(root);
        if key == at {
            return self.merge(left, right);
        }
        if key < at {
            let left = self.erase(left, key);
            self.nodes.at_mut(root).left = left;
        } else {
            let right = self.erase(right, key);
            self.nodes.at_mut(root).right = right;
        }
        root
    }

    pub(crate) fn walk(&self, root: u32, visit: &mut impl FnMut(u32)) {
        if root != NIL {
            let Node { left, right, .. } = *self.nodes.at(root);
            self.walk(left, visit);
            visit(root);
            self.walk(right, visit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn agrees_with_a_sorted_set(ops in prop::collection::vec((any::<bool>(), 1_u32..40, 0_u32..30), 1..300)) {
            let (mut triggers, mut trees) = (Triggers::new(512, 0), Trees::EMPTY);
            let mut sets = [BTreeSet::new(), BTreeSet::new()];
            let directions = [Direction::Rise, Direction::Fall];
            for (rise, paise, pick) in ops {
                let side = usize::from(!rise);
                let (direction, set) = (directions[side], &mut sets[side]);
                let price = Price::from_paise(paise).unwrap();
                if pick < 20 {
                    let sequence = triggers.take_sequence();
                    let node = triggers.add(&mut trees, Owner::Order(pick), direction, price, sequence);
                    set.insert((direction.along(paise), sequence, node));
                } else if pick < 25 {
                    if let Some(entry) = set.iter().nth(usize::try_from(paise).unwrap()).copied() {
                        set.remove(&entry);
                        triggers.remove(&mut trees, entry.2);
                    }
                } else {
                    let print = Print { price, trade: None };
                    while let Some(entry) = set.first().copied().filter(|entry| entry.0 <= direction.along(paise)) {
                        set.remove(&entry);
                        prop_assert!(triggers.collect_one(&mut trees, direction, print).is_some());
                        let fired = triggers.next_fired().unwrap();
                        prop_assert_eq!((direction.along(fired.trigger.paise()), fired.print), (entry.0, print));
                    }
                    prop_assert!(triggers.collect_one(&mut trees, direction, print).is_none());
                }
                let nearest = triggers.nearest(&trees, direction).map(|price| direction.along(price.paise()));
                prop_assert_eq!(nearest, set.first().map(|entry| entry.0));
                prop_assert_eq!(triggers.audit(&trees), Ok(()));
                let both = sets.iter().map(BTreeSet::len).sum::<usize>();
                prop_assert_eq!(triggers.len(), u32::try_from(both).unwrap());
            }
        }
    }

    type Damage = fn(&mut Triggers, &mut Trees, Direction);

    /// What can be wrong with a tree of two while everything else about it is right.
    const DAMAGES: [(&str, Damage); 4] = [
        ("out of order", |triggers, trees, direction| {
            let (root, child) = root_and_child(triggers, trees, direction);
            let (above, below) = (
                triggers.nodes.at(root).key.along,
                triggers.nodes.at(child).key.along,
            );
            triggers.nodes.at_mut(root).key.along = below;
            triggers.nodes.at_mut(child).key.along = above;
        }),
        ("the same key twice", |triggers, trees, direction| {
            let (root, child) = root_and_child(triggers, trees, direction);
            triggers.nodes.at_mut(child).key = triggers.nodes.at(root).key;
        }),
        ("reached and still in the tree", |triggers, trees, direction| {
            let (_, child) = root_and_child(triggers, trees, direction);
            triggers.nodes.at_mut(child).fired_by = Some(Print::outside(Price::MIN));
        }),
        ("the lower priority at the root", |triggers, trees, direction| {
            let (root, child) = root_and_child(triggers, trees, direction);
            if triggers.nodes.at(root).left == child {
                triggers.nodes.at_mut(root).left = NIL;
                triggers.nodes.at_mut(child).right = root;
            } else {
                triggers.nodes.at_mut(root).right = NIL;
                triggers.nodes.at_mut(child).left = root;
            }
            trees.set_root(direction, child);
        }),
    ];

    fn root_and_child(triggers: &Triggers, trees: &Trees, direction: Direction) -> (u32, u32) {
        let root = trees.root(direction);
        let Node { left, right, .. } = *triggers.nodes.at(root);
        (root, if left == NIL { right } else { left })
    }

    #[test]
    fn the_audit_finds_every_damage() {
        for (what, damage) in DAMAGES {
            for direction in [Direction::Rise, Direction::Fall] {
                let (mut triggers, mut trees) = (Triggers::new(2, 0), Trees::EMPTY);
                for paise in [100, 101] {
                    let sequence = triggers.take_sequence();
                    let price = Price::from_paise(paise).unwrap();
                    triggers.add(&mut trees, Owner::Order(paise), direction, price, sequence);
                }
                assert_eq!(triggers.audit(&trees), Ok(()), "{what}, {direction:?}");
                damage(&mut triggers, &mut trees, direction);
                assert!(triggers.audit(&trees).is_err(), "{what}, {direction:?}");
            }
        }
    }
}
