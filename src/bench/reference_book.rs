//! The slow, obvious book that the workload generator draws its picks and prices from: a sorted map of queues.

use std::collections::{BTreeMap, VecDeque};

use super::checksum::{Outcome, Touch};
use super::limits::PRICE_START;

/// 0 is a buy, 1 a sell, as in the records.
pub(super) type Side = usize;
pub(super) const BUY: Side = 0;

#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) side: Side,
    pub(super) uid: u16,
    pub(super) price: u32,
    pub(super) remaining: u32,
    /// Index in `live` while the order rests.
    live_at: Option<usize>,
}

/// One book under the semantics of `ORACLE.md`: price-time priority, trades at the maker's price, no accounts.
#[derive(Debug)]
pub(super) struct ReferenceBook {
    /// By id; ids are dense from 1, so slot 0 is never used.
    orders: Vec<Order>,
    levels: [BTreeMap<u32, VecDeque<u32>>; 2],
    /// Resting ids in the order that uniform picks are drawn from.
    live: Vec<u32>,
    pub(super) last: u32,
    pub(super) outcome: Outcome,
}

impl ReferenceBook {
    pub(super) fn new() -> ReferenceBook {
        let unused = Order {
            side: BUY,
            uid: 0,
            price: 0,
            remaining: 0,
            live_at: None,
        };
        ReferenceBook {
            orders: vec![unused],
            levels: [BTreeMap::new(), BTreeMap::new()],
            live: Vec::new(),
            last: PRICE_START,
            outcome: Outcome::default(),
        }
    }

    /// The id that the next order gets.
    pub(super) fn next_id(&self) -> u32 {
        self.orders.len() as u32
    }

    pub(super) fn order(&self, id: u32) -> Order {
        self.orders[id as usize]
    }

    pub(super) fn live(&self) -> &[u32] {
        &self.live
    }

    pub(super) fn touch(&self, side: Side) -> Touch {
        self.best_level(side).map_or((0, 0), |price| {
            let quantity = self.levels[side][&price]
                .iter()
                .map(|&id| u64::from(self.order(id).remaining))
                .sum();
            (price, quantity)
        })
    }

    /// A new order: trades what it can, then rests (or is dropped, where it is immediate-or-cancel).
    pub(super) fn add(&mut self, side: Side, uid: u16, price: u32, quantity: u32, rests: bool) {
        let id = self.next_id();
        self.orders.push(Order {
            side,
            uid,
            price,
            remaining: quantity,
            live_at: None,
        });
        self.take(id);
        if rests && self.order(id).remaining > 0 {
            self.rest(id);
        }
    }

    pub(super) fn cancel(&mut self, id: u32) {
        self.unlink(id);
        self.leave_live(id);
    }

    /// Loses its place, trades what it can at the new price, and rests with what is left.
    pub(super) fn reprice(&mut self, id: u32, price: u32) {
        self.unlink(id);
        self.orders[id as usize].price = price;
        self.take(id);
        if self.order(id).remaining > 0 {
            self.rest(id);
        } else {
            self.leave_live(id);
        }
    }

    /// Every resting order in the order of the book checksum.
    pub(super) fn resting(&self) -> impl Iterator<Item = (u32, Order)> {
        let bids = self.levels[BUY].values().rev();
        let asks = self.levels[1 - BUY].values();
        bids.chain(asks).flatten().map(|&id| (id, self.order(id)))
    }

    fn best_level(&self, side: Side) -> Option<u32> {
        let prices = &self.levels[side];
        let best = if side == BUY {
            prices.last_key_value()
        } else {
            prices.first_key_value()
        };
        best.map(|(&price, _)| price)
    }

    /// Executes `id` against the other side while prices cross.
    fn take(&mut self, id: u32) {
        let taker = self.order(id);
        let other = 1 - taker.side;
        while self.order(id).remaining > 0 {
            let Some(price) = self.best_level(other) else {
                break;
            };
            let crosses = if taker.side == BUY {
                price <= taker.price
            } else {
                price >= taker.price
            };
            if !crosses {
                break;
            }
            let maker = self.levels[other][&price][0];
            let quantity = self.order(id).remaining.min(self.order(maker).remaining);
            self.orders[id as usize].remaining -= quantity;
            self.orders[maker as usize].remaining -= quantity;
            self.last = price;
            self.outcome.trade(maker, id, price, quantity);
            if self.order(maker).remaining == 0 {
                self.cancel(maker);
            }
        }
    }

    fn rest(&mut self, id: u32) {
        let order = self.order(id);
        self.levels[order.side]
            .entry(order.price)
            .or_default()
            .push_back(id);
        if order.live_at.is_none() {
            self.orders[id as usize].live_at = Some(self.live.len());
            self.live.push(id);
        }
    }

    fn unlink(&mut self, id: u32) {
        let order = self.order(id);
        let side = &mut self.levels[order.side];
        if let Some(queue) = side.get_mut(&order.price) {
            queue.retain(|&resting| resting != id);
            if queue.is_empty() {
                side.remove(&order.price);
            }
        }
    }

    fn leave_live(&mut self, id: u32) {
        if let Some(at) = self.orders[id as usize].live_at.take() {
            self.live.swap_remove(at);
            if let Some(&moved) = self.live.get(at) {
                self.orders[moved as usize].live_at = Some(at);
            }
        }
    }
}
