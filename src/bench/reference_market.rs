//! The slow, obvious books that the workload generators draw their picks and prices from: sorted maps, no cleverness.

use std::collections::BTreeMap;

use super::checksum::{Outcome, Touch};
use super::limits::PRICE_START;

/// 0 is a buy, 1 a sell, as in the records.
pub(super) type Side = usize;
pub(super) const BUY: Side = 0;

#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) instrument: u16,
    pub(super) side: Side,
    pub(super) uid: u16,
    pub(super) price: u32,
    pub(super) remaining: u32,
    /// When it joined the queue that it stands in.
    arrival: u64,
    /// Index in its book's `live` while the order rests.
    live_at: Option<u32>,
}

impl Order {
    pub(super) fn is_live(&self) -> bool {
        self.live_at.is_some()
    }

    /// Lower is better, on both sides.
    fn key(&self) -> u32 {
        key(self.side, self.price)
    }
}

fn key(side: Side, price: u32) -> u32 {
    if side == BUY { !price } else { price }
}

fn price_of(side: Side, key: u32) -> u32 {
    if side == BUY { !key } else { key }
}

/// One side of a book.
#[derive(Clone, Debug, Default)]
struct Queue {
    /// Key of the price and arrival → id.
    orders: BTreeMap<(u32, u64), u32>,
    /// Key of the price → quantity there.
    quantities: BTreeMap<u32, u64>,
}

impl Queue {
    fn add(&mut self, key: u32, quantity: u32) {
        *self.quantities.entry(key).or_default() += u64::from(quantity);
    }

    fn take(&mut self, key: u32, quantity: u32) {
        if let Some(sum) = self.quantities.get_mut(&key) {
            *sum -= u64::from(quantity);
            if *sum == 0 {
                self.quantities.remove(&key);
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Book {
    sides: [Queue; 2],
    /// Resting ids in the order that uniform picks are drawn from.
    live: Vec<u32>,
    last: u32,
}

/// Books under the semantics of `ORACLE.md`: price-time priority, trades at the maker's price, no accounts.
#[derive(Debug)]
pub(super) struct ReferenceMarket {
    /// By id; ids are dense from 1 over all books, so slot 0 is never used.
    orders: Vec<Order>,
    books: Vec<Book>,
    arrivals: u64,
    pub(super) outcome: Outcome,
}

impl ReferenceMarket {
    pub(super) fn new(instruments: u16) -> ReferenceMarket {
        let unused = Order {
            instrument: 0,
            side: BUY,
            uid: 0,
            price: 0,
            remaining: 0,
            arrival: 0,
            live_at: None,
        };
        let book = Book {
            sides: [Queue::default(), Queue::default()],
            live: Vec::new(),
            last: PRICE_START,
        };
        ReferenceMarket {
            orders: vec![unused],
            books: vec![book; usize::from(instruments)],
            arrivals: 0,
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

    pub(super) fn live(&self, instrument: u16) -> &[u32] {
        &self.books[usize::from(instrument)].live
    }

    /// Price of a book's last trade.
    pub(super) fn last(&self, instrument: u16) -> u32 {
        self.books[usize::from(instrument)].last
    }

    pub(super) fn touch(&self, instrument: u16, side: Side) -> Touch {
        let levels = &self.books[usize::from(instrument)].sides[side].quantities;
        levels
            .first_key_value()
            .map_or((0, 0), |(&key, &quantity)| (price_of(side, key), quantity))
    }

    /// Adds a book's touch to the checksum, as it is after a command.
    pub(super) fn note_l1(&mut self, instrument: u16) {
        self.outcome
            .l1(self.touch(instrument, BUY), self.touch(instrument, 1 - BUY));
    }

    /// A new order: trades what it can, then rests (or is dropped, where it is immediate-or-cancel).
    pub(super) fn add(&mut self, order: NewOrder, rests: bool) {
        let id = self.next_id();
        self.orders.push(Order {
            instrument: order.instrument,
            side: order.side,
            uid: order.uid,
            price: order.price,
            remaining: order.quantity,
            arrival: 0,
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

    /// Loses its place, trades `quantity` as far as it can at the new price, and rests with what is left.
    pub(super) fn reprice(&mut self, id: u32, price: u32, quantity: u32) {
        self.unlink(id);
        let order = &mut self.orders[id as usize];
        (order.price, order.remaining) = (price, quantity);
        self.take(id);
        if self.order(id).remaining > 0 {
            self.rest(id);
        } else {
            self.leave_live(id);
        }
    }

    /// Adds every resting order to the checksum.
    pub(super) fn note_resting(&mut self) {
        for book in &self.books {
            for side in &book.sides {
                for &id in side.orders.values() {
                    let order = &self.orders[id as usize];
                    self.outcome.resting(id, order.price, order.remaining);
                }
            }
        }
    }

    fn queue(&mut self, order: &Order, side: Side) -> &mut Queue {
        &mut self.books[usize::from(order.instrument)].sides[side]
    }

    /// Executes `id` against the other side while prices cross.
    fn take(&mut self, id: u32) {
        let taker = self.order(id);
        let other = 1 - taker.side;
        let limit = key(other, taker.price);
        while self.order(id).remaining > 0 {
            let head = self.queue(&taker, other).orders.first_key_value();
            let Some((&(at, _), &maker)) = head else { break };
            if at > limit {
                break;
            }
            let price = price_of(other, at);
            let quantity = self.order(id).remaining.min(self.order(maker).remaining);
            self.queue(&taker, other).take(at, quantity);
            self.orders[id as usize].remaining -= quantity;
            self.orders[maker as usize].remaining -= quantity;
            self.books[usize::from(taker.instrument)].last = price;
            self.outcome.trade(maker, id, price, quantity);
            if self.order(maker).remaining == 0 {
                self.cancel(maker);
            }
        }
    }

    fn rest(&mut self, id: u32) {
        self.arrivals += 1;
        self.orders[id as usize].arrival = self.arrivals;
        let order = self.order(id);
        let queue = self.queue(&order, order.side);
        queue.orders.insert((order.key(), order.arrival), id);
        queue.add(order.key(), order.remaining);
        if !order.is_live() {
            let live = &mut self.books[usize::from(order.instrument)].live;
            self.orders[id as usize].live_at = Some(live.len() as u32);
            live.push(id);
        }
    }

    fn unlink(&mut self, id: u32) {
        let order = self.order(id);
        let queue = self.queue(&order, order.side);
        queue.orders.remove(&(order.key(), order.arrival));
        queue.take(order.key(), order.remaining);
    }

    fn leave_live(&mut self, id: u32) {
        let order = &mut self.orders[id as usize];
        if let Some(at) = order.live_at.take() {
            let live = &mut self.books[usize::from(order.instrument)].live;
            live.swap_remove(at as usize);
            if let Some(&moved) = live.get(at as usize) {
                self.orders[moved as usize].live_at = Some(at);
            }
        }
    }
}

/// What an order asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewOrder {
    pub(super) instrument: u16,
    pub(super) side: Side,
    pub(super) uid: u16,
    pub(super) price: u32,
    pub(super) quantity: u32,
}
