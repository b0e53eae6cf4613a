//! One instrument's two sides: price levels, each a first-in-first-out queue of resting orders.
//!
//! Both sides use the same code because a level is addressed by a *key* that is lower the better its price is: for
//! asks the tick's number in the price domain, for bids its mirror image. The queues' nodes live outside (see
//! [`Nodes`]), so that all books of an engine share one pool and its memory is the live set.

use alloc::vec;
use alloc::vec::Vec;

use super::bitmap::Bitmap;
pub(crate) use super::price_domain::PriceDomain;
use crate::arena::{Arena, NIL, Slots, index, slot_of};
use crate::terms::Side;
use crate::units::Price;

/// A resting order's place in its queue. Indexed by the order's slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    next: u32,
    prev: u32,
    /// Level in the order's side of its book.
    level: u32,
    /// Quantity shown, and that trades before the order is refilled or gone.
    pub(crate) visible: u32,
}

/// The nodes of all books that share a pool.
#[derive(Debug, Clone)]
pub(crate) struct Nodes(Vec<Node>);

impl Nodes {
    pub(crate) fn new(capacity: u32) -> Nodes {
        Nodes(Vec::with_capacity(index(capacity)))
    }

    /// Makes `slot` addressable; slots grow one by one, within the capacity reserved.
    #[inline]
    fn cover(&mut self, slot: u32) {
        while slot_of(self.0.len()) <= slot {
            self.0.push(Node {
                next: NIL,
                prev: NIL,
                level: NIL,
                visible: 0,
            });
        }
    }

    #[inline(always)]
    pub(crate) fn at(&self, slot: u32) -> &Node {
        self.0.as_slice().at(slot)
    }

    #[inline(always)]
    fn at_mut(&mut self, slot: u32) -> &mut Node {
        self.0.as_mut_slice().at_mut(slot)
    }
}

#[derive(Clone, Copy, Debug)]
struct Level {
    head: u32,
    tail: u32,
    key: u32,
    orders: u32,
    /// Σ visible quantity of its orders.
    visible: u64,
}

/// Key of an empty side's best level: worse than every key.
const NO_KEY: u32 = u32::MAX;

#[derive(Debug, Clone)]
struct Ladder {
    /// Key → level + 1, or 0. Pages that were never touched cost no memory.
    level_of: Vec<u16>,
    occupied: Bitmap,
    levels: Arena<Level>,
    best_key: u32,
    best_level: u32,
}

impl Ladder {
    fn new(ticks: u32) -> Ladder {
        Ladder {
            level_of: vec![0; index(ticks)],
            occupied: Bitmap::new(ticks),
            levels: Arena::new(ticks.min(u32::from(u16::MAX))),
            best_key: NO_KEY,
            best_level: NIL,
        }
    }

    /// Whether an order at `key` could rest: its level exists or there is room for one more.
    #[inline]
    fn can_rest(&self, key: u32) -> bool {
        self.levels.has_room() || *self.level_of.as_slice().at(key) != 0
    }

    #[inline]
    fn level_at(&mut self, key: u32) -> u32 {
        let entry = self.level_of.as_mut_slice().at_mut(key);
        if *entry != 0 {
            return u32::from(*entry).wrapping_sub(1);
        }
        let level = self.levels.insert(Level {
            head: NIL,
            tail: NIL,
            key,
            orders: 0,
            visible: 0,
        });
        *entry = u16::try_from(level.wrapping_add(1)).unwrap_or(0);
        self.occupied.insert(key);
        if key < self.best_key {
            self.best_key = key;
            self.best_level = level;
        }
        level
    }

    #[inline]
    fn drop_level(&mut self, level: u32, key: u32) {
        self.levels.remove(level);
        *self.level_of.as_mut_slice().at_mut(key) = 0;
        self.occupied.remove(key);
        if key == self.best_key {
            self.advance_best(key);
        }
    }

    #[inline]
    fn advance_best(&mut self, from: u32) {
        match self.occupied.next_from(from) {
            Some(key) => {
                self.best_key = key;
                self.best_level = u32::from(*self.level_of.as_slice().at(key)).wrapping_sub(1);
            }
            None => {
                self.best_key = NO_KEY;
                self.best_level = NIL;
            }
        }
    }

    #[inline]
    fn push_back(&mut self, nodes: &mut Nodes, slot: u32, key: u32, visible: u32) {
        nodes.cover(slot);
        let level_index = self.level_at(key);
        let level = self.levels.at_mut(level_index);
        let tail = level.tail;
        *nodes.at_mut(slot) = Node {
            next: NIL,
            prev: tail,
            level: level_index,
            visible,
        };
        level.tail = slot;
        level.orders = level.orders.wrapping_add(1);
        level.visible = level.visible.wrapping_add(u64::from(visible));
        if tail == NIL {
            level.head = slot;
        } else {
            nodes.at_mut(tail).next = slot;
        }
    }

    #[inline]
    fn unlink(&mut self, nodes: &mut Nodes, slot: u32) {
        let Node {
            next,
            prev,
            level: level_index,
            visible,
        } = *nodes.at(slot);
        let level = self.levels.at_mut(level_index);
        level.orders = level.orders.wrapping_sub(1);
        level.visible = level.visible.wrapping_sub(u64::from(visible));
        if prev == NIL {
            level.head = next;
        } else {
            nodes.at_mut(prev).next = next;
        }
        if next == NIL {
            level.tail = prev;
        } else {
            nodes.at_mut(next).prev = prev;
        }
        if level.orders == 0 {
            let key = level.key;
            self.drop_level(level_index, key);
        }
    }

    #[inline]
    fn set_visible(&mut self, nodes: &mut Nodes, slot: u32, visible: u32) {
        let node = nodes.at_mut(slot);
        let level = self.levels.at_mut(node.level);
        level.visible = level
            .visible
            .wrapping_sub(u64::from(node.visible))
            .wrapping_add(u64::from(visible));
        node.visible = visible;
    }
}

/// The resting orders of one instrument.
#[derive(Debug, Clone)]
pub(crate) struct Sides {
    domain: PriceDomain,
    bids: Ladder,
    asks: Ladder,
}

/// The head of the best level of a side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    pub(crate) slot: u32,
    pub(crate) price: Price,
    pub(crate) visible: u32,
}

/// Best price of a side and its visible quantity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Best {
    pub(crate) price: Option<Price>,
    pub(crate) visible: u64,
}

impl Sides {
    pub(crate) fn new(domain: PriceDomain) -> Sides {
        Sides {
            domain,
            bids: Ladder::new(domain.ticks()),
            asks: Ladder::new(domain.ticks()),
        }
    }

    pub(crate) fn domain(&self) -> &PriceDomain {
        &self.domain
    }

    #[inline(always)]
    fn ladder(&self, side: Side) -> &Ladder {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    #[inline(always)]
    fn ladder_mut(&mut self, side: Side) -> &mut Ladder {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    #[inline]
    pub(crate) fn can_rest(&self, side: Side, tick: u32) -> bool {
        self.ladder(side).can_rest(self.domain.key(side, tick))
    }

    /// Puts an order at the tail of its level.
    #[inline]
    pub(crate) fn rest(&mut self, nodes: &mut Nodes, side: Side, slot: u32, tick: u32, visible: u32) {
        let key = self.domain.key(side, tick);
        self.ladder_mut(side).push_back(nodes, slot, key, visible);
    }

    #[inline]
    pub(crate) fn unlink(&mut self, nodes: &mut Nodes, side: Side, slot: u32) {
        self.ladder_mut(side).unlink(nodes, slot);
    }

    /// Changes a resting order's visible quantity where it stands.
    #[inline]
    pub(crate) fn set_visible(&mut self, nodes: &mut Nodes, side: Side, slot: u32, visible: u32) {
        self.ladder_mut(side).set_visible(nodes, slot, visible);
    }

    /// Moves a resting order to the tail of its own level with a new visible quantity.
    pub(crate) fn requeue(&mut self, nodes: &mut Nodes, side: Side, slot: u32, visible: u32) {
        let ladder = self.ladder_mut(side);
        let key = ladder.levels.at(nodes.at(slot).level).key;
        ladder.unlink(nodes, slot);
        ladder.push_back(nodes, slot, key, visible);
    }

    /// The order that an incoming order of the *other* side, limited to `tick`, trades with next.
    #[inline]
    pub(crate) fn head_within(&self, nodes: &Nodes, side: Side, tick: u32) -> Option<Head> {
        let ladder = self.ladder(side);
        // An empty side's best key is worse than every key.
        if ladder.best_key > self.domain.key(side, tick) {
            return None;
        }
        let slot = ladder.levels.at(ladder.best_level).head;
        Some(Head {
            slot,
            price: self.price_at(side, ladder.best_key),
            visible: nodes.at(slot).visible,
        })
    }

    #[inline]
    fn price_at(&self, side: Side, key: u32) -> Price {
        // The mirror is its own inverse.
        self.domain.price_of(self.domain.key(side, key))
    }

    #[inline]
    pub(crate) fn best(&self, side: Side) -> Best {
        let ladder = self.ladder(side);
        if ladder.best_key == NO_KEY {
            return Best::default();
        }
        Best {
            price: Some(self.price_at(side, ladder.best_key)),
            visible: ladder.levels.at(ladder.best_level).visible,
        }
    }

    /// Visible quantity and order count at a tick.
    pub(crate) fn level_at(&self, side: Side, tick: u32) -> (u64, u32) {
        let ladder = self.ladder(side);
        match ladder
            .level_of
            .as_slice()
            .at(self.domain.key(side, tick))
            .checked_sub(1)
        {
            Some(level) => {
                let level = ladder.levels.at(u32::from(level));
                (level.visible, level.orders)
            }
            None => (0, 0),
        }
    }

    /// Levels best first: price, visible quantity, orders.
    pub(crate) fn levels(&self, side: Side) -> impl Iterator<Item = (Price, u64, u32)> {
        let ladder = self.ladder(side);
        core::iter::successors(ladder.occupied.next_from(0), |&key| {
            ladder.occupied.next_from(key.wrapping_add(1))
        })
        .map(move |key| {
            let level = ladder
                .levels
                .at(u32::from(*ladder.level_of.as_slice().at(key)).wrapping_sub(1));
            (self.price_at(side, key), level.visible, level.orders)
        })
    }

    /// Slots in order of priority, best level first.
    pub(crate) fn queue<'a>(&'a self, nodes: &'a Nodes, side: Side) -> impl Iterator<Item = u32> + 'a {
        let ladder = self.ladder(side);
        core::iter::successors(ladder.occupied.next_from(0), |&key| {
            ladder.occupied.next_from(key.wrapping_add(1))
        })
        .flat_map(move |key| {
            let level = ladder
                .levels
                .at(u32::from(*ladder.level_of.as_slice().at(key)).wrapping_sub(1));
            core::iter::successors(Some(level.head), |&slot| {
                Some(nodes.at(slot).next).filter(|&next| next != NIL)
            })
        })
    }

    /// Walks both sides and names the first structural invariant that does not hold: levels = bits = table, links,
    /// Σ visible = level, the best is the best, not crossed.
    pub(crate) fn audit(&self, nodes: &Nodes) -> Result<(), &'static str> {
        for ladder in [&self.bids, &self.asks] {
            ladder.audit(nodes)?;
        }
        match (self.best(Side::Buy).price, self.best(Side::Sell).price) {
            (Some(bid), Some(ask)) if bid >= ask => Err("a book is crossed"),
            _ => Ok(()),
        }
    }
}

impl Ladder {
    fn audit(&self, nodes: &Nodes) -> Result<(), &'static str> {
        let ensure = |holds: bool, broken: &'static str| if holds { Ok(()) } else { Err(broken) };
        let mut key = self.occupied.next_from(0);
        ensure(
            key.unwrap_or(NO_KEY) == self.best_key,
            "the best level is not the first occupied one",
        )?;
        let mut levels = 0_u32;
        while let Some(present) = key {
            let index = u32::from(*self.level_of.as_slice().at(present)).wrapping_sub(1);
            ensure(index != NIL, "an occupied key has no level")?;
            let level = self.levels.at(index);
            let (mut visible, mut orders, mut prev, mut slot) = (0_u64, 0_u32, NIL, level.head);
            while slot != NIL {
                let node = nodes.at(slot);
                ensure(
                    node.prev == prev && node.level == index,
                    "a queue's links disagree",
                )?;
                ensure(node.visible > 0, "a resting order shows nothing")?;
                visible = visible.saturating_add(u64::from(node.visible));
                orders = orders.saturating_add(1);
                (prev, slot) = (slot, node.next);
            }
            ensure(
                level.key == present && prev == level.tail,
                "a level's ends disagree with its queue",
            )?;
            ensure(
                (visible, orders) == (level.visible, level.orders),
                "a level's sums differ from its orders'",
            )?;
            levels = levels.saturating_add(1);
            key = self.occupied.next_from(present.saturating_add(1));
        }
        ensure(levels == self.levels.len(), "a level is in use but not occupied")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICKS: u32 = 100;

    fn price(paise: u32) -> Price {
        Price::from_paise(paise).expect("a positive price")
    }

    /// Two asks at tick 60, one at 70, a bid at 40: slots 0 to 3, with 5, 6, 7 and 8 shares.
    fn sides() -> (Sides, Nodes) {
        let domain = PriceDomain::new(price(1), price(TICKS), price(1)).expect("a domain");
        let (mut sides, mut nodes) = (Sides::new(domain), Nodes::new(8));
        for (slot, tick, visible) in [(0, 60, 5), (1, 60, 6), (2, 70, 7)] {
            sides.rest(&mut nodes, Side::Sell, slot, tick, visible);
        }
        sides.rest(&mut nodes, Side::Buy, 3, 40, 8);
        (sides, nodes)
    }

    #[track_caller]
    fn finds(damage: impl Fn(&mut Sides, &mut Nodes), broken: &'static str) {
        let (mut sides, mut nodes) = sides();
        assert_eq!(sides.audit(&nodes), Ok(()));
        damage(&mut sides, &mut nodes);
        assert_eq!(sides.audit(&nodes), Err(broken));
    }

    #[test]
    fn the_audit_finds_each_kind_of_damage() {
        let links = "a queue's links disagree";
        let ends = "a level's ends disagree with its queue";
        let sums = "a level's sums differ from its orders'";
        finds(
            |sides, _| sides.asks.best_key = 70,
            "the best level is not the first occupied one",
        );
        finds(
            |sides, _| sides.bids.best_key = NO_KEY,
            "the best level is not the first occupied one",
        );
        finds(
            |sides, _| *sides.asks.level_of.as_mut_slice().at_mut(70) = 0,
            "an occupied key has no level",
        );
        finds(|_, nodes| nodes.at_mut(1).prev = NIL, links);
        finds(|_, nodes| nodes.at_mut(1).level = 1, links);
        finds(|_, nodes| nodes.at_mut(0).prev = 2, links);
        finds(
            |sides, nodes| sides.set_visible(nodes, Side::Sell, 1, 0),
            "a resting order shows nothing",
        );
        finds(|sides, _| sides.asks.levels.at_mut(0).tail = 0, ends);
        finds(|sides, _| sides.asks.levels.at_mut(1).key = 71, ends);
        finds(|sides, _| sides.asks.levels.at_mut(0).visible = 12, sums);
        finds(|sides, _| sides.bids.levels.at_mut(0).orders = 2, sums);
        finds(
            |sides, _| sides.asks.occupied.remove(70),
            "a level is in use but not occupied",
        );
        for bid in [60, 61] {
            finds(
                |sides, nodes| sides.rest(nodes, Side::Buy, 4, bid, 1),
                "a book is crossed",
            );
        }
        let (mut sides, mut nodes) = sides();
        sides.rest(&mut nodes, Side::Buy, 4, 59, 1);
        assert_eq!(sides.audit(&nodes), Ok(()), "one tick apart");
    }
}
