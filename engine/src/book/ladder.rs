//! One instrument's two sides: price levels, each a first-in-first-out queue of resting orders.
//!
//! Both sides use the same code because a level is addressed by a *key* that is lower the better its price is: for
//! asks the tick's number in the price domain, for bids its mirror image. The queues and the levels themselves live
//! outside (see [`Nodes`]); a side knows where the level of each key is, and its best one.

use alloc::vec;
use alloc::vec::Vec;

use super::bitmap::Bitmap;
pub(crate) use super::nodes::Nodes;
use super::nodes::{Level, NO_LEVEL};
pub(crate) use super::price_domain::PriceDomain;
use crate::arena::{Slots, index};
use crate::terms::Side;
use crate::units::Price;

/// Key of an empty side's best level: worse than every key.
const NO_KEY: u32 = u32::MAX;

/// Whole lines, so that a side is found by a shift and its first line has what a match asks for.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
struct Ladder {
    best_key: u32,
    best_level: u32,
    /// A tick's key, and a key's tick, is `(tick ^ mirror) + offset`. Read from here and not worked out from the side,
    /// because that becomes a branch on it, and sides alternate.
    mirror: u32,
    offset: u32,
    /// Key → level. Pages that were never touched cost no memory.
    level_of: Vec<u32>,
    occupied: Bitmap,
    /// Levels in use.
    levels: u32,
}

impl Ladder {
    fn new(domain: &PriceDomain, side: Side) -> Ladder {
        let ticks = domain.ticks();
        let (mirror, offset) = match side {
            // !tick + ticks is ticks - 1 - tick.
            Side::Buy => (u32::MAX, ticks),
            Side::Sell => (0, 0),
        };
        Ladder {
            mirror,
            offset,
            level_of: vec![NO_LEVEL; index(ticks)],
            occupied: Bitmap::new(ticks),
            best_key: NO_KEY,
            best_level: NO_LEVEL,
            levels: 0,
        }
    }

    /// The key of a tick, and the tick of a key. Also the worst key of this side that an incoming order of the other
    /// side, limited to the tick, trades with.
    #[inline(always)]
    fn key(&self, tick: u32) -> u32 {
        (tick ^ self.mirror).wrapping_add(self.offset)
    }

    #[inline(never)]
    fn open_level(&mut self, nodes: &mut Nodes, key: u32) -> u32 {
        let level = nodes.open_level(key);
        *self.level_of.as_mut_slice().at_mut(key) = level;
        self.occupied.insert(key);
        self.levels = self.levels.wrapping_add(1);
        if key < self.best_key {
            self.best_key = key;
            self.best_level = level;
        }
        level
    }

    #[inline(never)]
    fn close_level(&mut self, nodes: &mut Nodes, level: u32) {
        let key = nodes.level(level).key;
        nodes.close_level(level);
        *self.level_of.as_mut_slice().at_mut(key) = NO_LEVEL;
        self.occupied.remove(key);
        self.levels = self.levels.wrapping_sub(1);
        if key == self.best_key {
            (self.best_key, self.best_level) = match self.occupied.next_from(key) {
                Some(key) => (key, *self.level_of.as_slice().at(key)),
                None => (NO_KEY, NO_LEVEL),
            };
        }
    }

    /// The level of a key, a fresh one where there is none.
    #[inline(always)]
    fn level_at(&mut self, nodes: &mut Nodes, key: u32) -> u32 {
        match *self.level_of.as_slice().at(key) {
            NO_LEVEL => self.open_level(nodes, key),
            level => level,
        }
    }

    #[inline(always)]
    fn push_back(&mut self, nodes: &mut Nodes, slot: u32, key: u32, visible: u32) {
        let level = self.level_at(nodes, key);
        nodes.push_back(level, slot, visible);
    }

    #[inline(always)]
    fn unlink(&mut self, nodes: &mut Nodes, slot: u32) {
        if let Some(level) = nodes.unlink(slot) {
            self.close_level(nodes, level);
        }
    }

    /// Levels in use, best first, with what they hold.
    fn levels<'a>(&'a self, nodes: &'a Nodes) -> impl Iterator<Item = (u32, Level)> + 'a {
        core::iter::successors(self.occupied.next_from(0), |&key| {
            self.occupied.next_from(key.wrapping_add(1))
        })
        .map(|key| {
            let level = *self.level_of.as_slice().at(key);
            (level, nodes.level(level))
        })
    }
}

/// A side's place among the ladders.
#[inline(always)]
const fn place(side: Side) -> u32 {
    match side {
        Side::Buy => 0,
        Side::Sell => 1,
    }
}

/// The resting orders of one instrument.
#[derive(Debug, Clone)]
pub(crate) struct Sides {
    /// Bids, asks.
    ladders: [Ladder; 2],
    domain: PriceDomain,
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
            ladders: [Side::Buy, Side::Sell].map(|side| Ladder::new(&domain, side)),
            domain,
        }
    }

    pub(crate) fn domain(&self) -> &PriceDomain {
        &self.domain
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ladders.iter().all(|ladder| ladder.levels == 0)
    }

    /// Price levels in use.
    pub(crate) fn level_count(&self, side: Side) -> u32 {
        self.ladder(side).levels
    }

    #[inline(always)]
    fn ladder(&self, side: Side) -> &Ladder {
        self.ladders.as_slice().at(place(side))
    }

    #[inline(always)]
    fn ladder_mut(&mut self, side: Side) -> &mut Ladder {
        self.ladders.as_mut_slice().at_mut(place(side))
    }

    /// Whether an order at a tick could rest: the tick is one of the domain's. There is always a level for it.
    #[inline]
    pub(crate) fn can_rest(&self, _side: Side, tick: u32) -> bool {
        tick < self.domain.ticks()
    }

    /// Puts an order at the tail of its level.
    #[inline]
    pub(crate) fn rest(&mut self, nodes: &mut Nodes, side: Side, slot: u32, tick: u32, visible: u32) {
        let ladder = self.ladder_mut(side);
        ladder.push_back(nodes, slot, ladder.key(tick), visible);
    }

    #[inline]
    pub(crate) fn unlink(&mut self, nodes: &mut Nodes, side: Side, slot: u32) {
        self.ladder_mut(side).unlink(nodes, slot);
    }

    /// Takes a resting order to the tail of the level of a tick.
    #[inline(always)]
    pub(crate) fn relocate(&mut self, nodes: &mut Nodes, side: Side, slot: u32, tick: u32, visible: u32) {
        let ladder = self.ladder_mut(side);
        let to = ladder.level_at(nodes, ladder.key(tick));
        if let Some(left) = nodes.relocate(slot, to, visible) {
            ladder.close_level(nodes, left);
        }
    }

    /// Changes a resting order's visible quantity where it stands.
    #[inline]
    pub(crate) fn set_visible(&mut self, nodes: &mut Nodes, _side: Side, slot: u32, visible: u32) {
        nodes.set_visible(slot, visible);
    }

    /// Moves a resting order to the tail of its own level with a new visible quantity.
    #[inline]
    pub(crate) fn requeue(&mut self, nodes: &mut Nodes, _side: Side, slot: u32, visible: u32) {
        let level = nodes.at(slot).level;
        let left = nodes.relocate(slot, level, visible);
        debug_assert!(left.is_none(), "it is where it was");
    }

    /// Whether an incoming order of the *other* side, limited to `tick`, has something to trade with.
    #[inline(always)]
    pub(crate) fn reaches(&self, side: Side, tick: u32) -> bool {
        // An empty side's best key is worse than every key.
        let ladder = self.ladder(side);
        ladder.best_key <= ladder.key(tick)
    }

    /// The order that an incoming order of the *other* side, limited to `tick`, trades with next.
    #[inline]
    pub(crate) fn head_within(&self, nodes: &Nodes, side: Side, tick: u32) -> Option<Head> {
        let ladder = self.ladder(side);
        if ladder.best_key > ladder.key(tick) {
            return None;
        }
        let slot = nodes.head(ladder.best_level);
        Some(Head {
            slot,
            price: self.price_at(side, ladder.best_key),
            visible: nodes.at(slot).visible,
        })
    }

    #[inline]
    fn price_at(&self, side: Side, key: u32) -> Price {
        self.domain.price_of(self.ladder(side).key(key))
    }

    /// The tick at which an order rests.
    #[inline]
    pub(super) fn tick_at(&self, nodes: &Nodes, side: Side, slot: u32) -> u32 {
        self.ladder(side).key(nodes.key_of(slot))
    }

    #[inline]
    pub(crate) fn best(&self, nodes: &Nodes, side: Side) -> Best {
        let ladder = self.ladder(side);
        if ladder.best_key == NO_KEY {
            return Best::default();
        }
        Best {
            price: Some(self.price_at(side, ladder.best_key)),
            visible: nodes.level(ladder.best_level).visible,
        }
    }

    /// Best price of a side.
    #[inline]
    pub(crate) fn best_price(&self, side: Side) -> Option<Price> {
        let key = self.ladder(side).best_key;
        (key != NO_KEY).then(|| self.price_at(side, key))
    }

    /// Visible quantity and order count at a tick.
    pub(crate) fn level_at(&self, nodes: &Nodes, side: Side, tick: u32) -> (u64, u32) {
        let ladder = self.ladder(side);
        match *ladder.level_of.as_slice().at(ladder.key(tick)) {
            NO_LEVEL => (0, 0),
            level => {
                let Level { visible, orders, .. } = nodes.level(level);
                (visible, orders)
            }
        }
    }

    /// Levels best first: price, visible quantity, orders.
    pub(crate) fn levels<'a>(
        &'a self,
        nodes: &'a Nodes,
        side: Side,
    ) -> impl Iterator<Item = (Price, u64, u32)> + 'a {
        self.ladder(side)
            .levels(nodes)
            .map(move |(_, level)| (self.price_at(side, level.key), level.visible, level.orders))
    }

    /// Slots in order of priority, best level first.
    pub(crate) fn queue<'a>(&'a self, nodes: &'a Nodes, side: Side) -> impl Iterator<Item = u32> + 'a {
        self.ladder(side)
            .levels(nodes)
            .flat_map(move |(sentinel, level)| nodes.queue(sentinel, level.head))
    }

    /// Walks both sides and names the first structural invariant that does not hold: levels = bits = table, links,
    /// Σ visible = level, the best is the best, not crossed.
    pub(crate) fn audit(&self, nodes: &Nodes) -> Result<(), &'static str> {
        for ladder in &self.ladders {
            ladder.audit(nodes)?;
        }
        match (self.best_price(Side::Buy), self.best_price(Side::Sell)) {
            (Some(bid), Some(ask)) if bid >= ask => Err("a book is crossed"),
            _ => Ok(()),
        }
    }
}

impl Ladder {
    fn audit(&self, nodes: &Nodes) -> Result<(), &'static str> {
        let ensure = |holds: bool, broken: &'static str| if holds { Ok(()) } else { Err(broken) };
        let best = match self.occupied.next_from(0) {
            Some(key) => (key, *self.level_of.as_slice().at(key)),
            None => (NO_KEY, NO_LEVEL),
        };
        ensure(
            best == (self.best_key, self.best_level),
            "the best level is not the first occupied one",
        )?;
        let mut levels = 0_u32;
        let mut key = self.occupied.next_from(0);
        while let Some(present) = key {
            let sentinel = *self.level_of.as_slice().at(present);
            ensure(sentinel != NO_LEVEL, "an occupied key has no level")?;
            let level = nodes.level(sentinel);
            let (mut visible, mut orders, mut prev) = (0_u64, 0_u32, sentinel);
            for slot in nodes.queue(sentinel, level.head) {
                let node = nodes.at(slot);
                ensure(
                    node.prev == prev && node.level == sentinel,
                    "a queue's links disagree",
                )?;
                ensure(node.visible > 0, "a resting order shows nothing")?;
                visible = visible.saturating_add(u64::from(node.visible));
                orders = orders.saturating_add(1);
                prev = slot;
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
        ensure(levels == self.levels, "a level is in use but not occupied")
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
        let best = "the best level is not the first occupied one";
        finds(|sides, _| sides.ladder_mut(Side::Sell).best_key = 70, best);
        finds(|sides, _| sides.ladder_mut(Side::Buy).best_key = NO_KEY, best);
        finds(|sides, _| sides.ladder_mut(Side::Buy).best_level = NO_LEVEL, best);
        finds(
            |sides, _| *sides.ladder_mut(Side::Sell).level_of.as_mut_slice().at_mut(70) = NO_LEVEL,
            "an occupied key has no level",
        );
        let of = |sides: &Sides, tick| *sides.ladder(Side::Sell).level_of.as_slice().at(tick);
        finds(|_, nodes| nodes.damage(1, |node| node.prev = 2), links);
        finds(|_, nodes| nodes.damage(1, |node| node.level += 2), links);
        finds(|_, nodes| nodes.damage(0, |node| node.prev = 2), links);
        finds(
            |sides, nodes| sides.set_visible(nodes, Side::Sell, 1, 0),
            "a resting order shows nothing",
        );
        finds(
            |sides, nodes| nodes.damage_level(of(sides, 60), |level| level.tail = 0),
            ends,
        );
        finds(
            |sides, nodes| nodes.damage_level(of(sides, 70), |level| level.key = 71),
            ends,
        );
        finds(
            |sides, nodes| nodes.damage_level(of(sides, 60), |level| level.visible = 12),
            sums,
        );
        finds(
            |sides, nodes| nodes.damage_level(of(sides, 70), |level| level.orders = 2),
            sums,
        );
        finds(
            |sides, _| sides.ladder_mut(Side::Sell).occupied.remove(70),
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
