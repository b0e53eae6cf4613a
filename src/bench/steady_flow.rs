//! A flow of orders that leaves every size as it was, so that one size can be varied and all others held.
//!
//! All orders are of one share. Four commands belong together: a cancel of a resting order, drawn uniformly; a new order
//! at the same price; an immediate-or-cancel order that takes the oldest order of a best price, of an instrument and side drawn
//! uniformly; a new order at that price. So each price always has as many orders as at the start. Who sends an order is
//! drawn uniformly, too. A quarter of the commands trades.

use std::collections::VecDeque;

use super::limits::PRICE_START;
use super::workload::SplitMix64;

/// What the flow keeps constant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Shape {
    /// Orders that rest, over all books.
    pub(super) resting: u32,
    /// Prices in use of each book: half of them bids, half of them asks, one tick apart.
    pub(super) levels: u32,
    pub(super) instruments: u32,
    pub(super) accounts: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum OpKind {
    Rest,
    Take,
    Cancel,
}

/// One command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Op {
    pub(super) kind: OpKind,
    pub(super) is_sell: bool,
    pub(super) instrument: u16,
    /// From 1.
    pub(super) account: u32,
    /// Of the order, dense from 1 over all books.
    pub(super) id: u32,
    /// The same within its book.
    pub(super) book_id: u32,
    /// In ticks.
    pub(super) price: u32,
}

#[derive(Clone, Copy, Debug)]
struct Order {
    instrument: u16,
    is_sell: bool,
    /// 0 is the best.
    level: u32,
    account: u32,
    book_id: u32,
    /// Index among the live ones; [`GONE`] once it is none.
    live_at: u32,
}

const GONE: u32 = u32::MAX;

/// One book's bookkeeping.
#[derive(Clone, Debug, Default)]
struct Ends {
    orders: u32,
    /// The best level of each side by age, with orders that have gone.
    best: [VecDeque<u32>; 2],
}

#[derive(Debug)]
pub(super) struct Flow {
    pub(super) shape: Shape,
    random: SplitMix64,
    /// By id; slot 0 is never used.
    orders: Vec<Order>,
    live: Vec<u32>,
    books: Vec<Ends>,
    /// Shares traded, which is the number of trades, too.
    pub(super) trades: u64,
}

impl Flow {
    pub(super) fn new(shape: Shape) -> Flow {
        let unused = Order {
            instrument: 0,
            is_sell: false,
            level: 0,
            account: 0,
            book_id: 0,
            live_at: GONE,
        };
        Flow {
            shape,
            random: SplitMix64::new(u64::from(shape.resting)),
            orders: vec![unused],
            live: Vec::with_capacity(shape.resting as usize),
            books: vec![Ends::default(); shape.instruments as usize],
            trades: 0,
        }
    }

    /// The commands that fill the books: instrument by instrument, level by level, in turn.
    pub(super) fn prefill(&mut self, mut each: impl FnMut(Op)) {
        let Shape {
            resting,
            levels,
            instruments,
            accounts,
        } = self.shape;
        for number in 0..resting {
            let (instrument, round) = (number % instruments, number / instruments);
            let is_sell = round % 2 == 1;
            let level = round / 2 % (levels / 2);
            each(self.rest(instrument as u16, is_sell, level, 1 + number % accounts));
        }
    }

    /// For each account an order on each side and its cancel: what it then uses is in use already.
    pub(super) fn introduce(&mut self, mut each: impl FnMut(Op)) {
        for account in 1..=self.shape.accounts {
            for is_sell in [false, true] {
                let order = self.rest(0, is_sell, 0, account);
                each(order);
                each(self.cancel(order.id));
            }
        }
    }

    /// The next `commands`, a multiple of four.
    pub(super) fn next(&mut self, commands: usize) -> Vec<Op> {
        let mut ops = Vec::with_capacity(commands);
        while ops.len() < commands {
            let index = self.random.below(self.live.len() as u64) as usize;
            let order = self.orders[self.live[index] as usize];
            ops.push(self.cancel(self.live[index]));
            let account = self.account();
            ops.push(self.rest(order.instrument, order.is_sell, order.level, account));
            let instrument = self.random.below(u64::from(self.shape.instruments)) as u16;
            let is_sell = self.random.below(2) == 1;
            let account = self.account();
            ops.push(self.take(instrument, is_sell, account));
            let account = self.account();
            ops.push(self.rest(instrument, is_sell, 0, account));
        }
        ops
    }

    /// The orders that rest on a side of a book: level, id within the book; best level first, each by age.
    pub(super) fn queue(&self, instrument: u16, is_sell: bool) -> Vec<(u32, u32)> {
        let orders = self.live.iter().map(|&id| self.orders[id as usize]);
        let own = orders.filter(|order| order.instrument == instrument && order.is_sell == is_sell);
        let mut queue: Vec<_> = own.map(|order| (order.level, order.book_id)).collect();
        queue.sort_unstable();
        queue
    }

    /// Orders at each level, best first, of one side of one book.
    pub(super) fn populations(&self, instrument: u32) -> [Vec<u64>; 2] {
        let Shape {
            resting,
            levels,
            instruments,
            ..
        } = self.shape;
        let own = resting / instruments + u32::from(instrument < resting % instruments);
        let mut sides = [(); 2].map(|()| vec![0; (levels / 2) as usize]);
        for round in 0..own {
            sides[(round % 2) as usize][(round / 2 % (levels / 2)) as usize] += 1;
        }
        sides
    }

    pub(super) fn price(is_sell: bool, level: u32) -> u32 {
        if is_sell {
            PRICE_START + 1 + level
        } else {
            PRICE_START - 1 - level
        }
    }

    fn account(&mut self) -> u32 {
        1 + self.random.below(u64::from(self.shape.accounts)) as u32
    }

    fn number(&mut self, instrument: u16, is_sell: bool, level: u32, account: u32) -> Op {
        let book = &mut self.books[usize::from(instrument)];
        book.orders += 1;
        self.orders.push(Order {
            instrument,
            is_sell,
            level,
            account,
            book_id: book.orders,
            live_at: GONE,
        });
        Op {
            kind: OpKind::Take,
            is_sell,
            instrument,
            account,
            id: self.orders.len() as u32 - 1,
            book_id: book.orders,
            price: Flow::price(is_sell, level),
        }
    }

    fn rest(&mut self, instrument: u16, is_sell: bool, level: u32, account: u32) -> Op {
        let op = self.number(instrument, is_sell, level, account);
        self.orders[op.id as usize].live_at = self.live.len() as u32;
        self.live.push(op.id);
        if level == 0 {
            self.books[usize::from(instrument)].best[usize::from(is_sell)].push_back(op.id);
        }
        Op {
            kind: OpKind::Rest,
            ..op
        }
    }

    /// Takes the head of the best level of the side `is_sell`; the taker stands on the other one.
    fn take(&mut self, instrument: u16, is_sell: bool, account: u32) -> Op {
        let best = &mut self.books[usize::from(instrument)].best[usize::from(is_sell)];
        let maker = loop {
            let id = best.pop_front().expect("each level always has orders");
            if self.orders[id as usize].live_at != GONE {
                break id;
            }
        };
        self.leave(maker);
        self.trades += 1;
        let op = self.number(instrument, !is_sell, 0, account);
        Op {
            price: Flow::price(is_sell, 0),
            ..op
        }
    }

    fn cancel(&mut self, id: u32) -> Op {
        self.leave(id);
        let Order {
            instrument,
            is_sell,
            account,
            book_id,
            ..
        } = self.orders[id as usize];
        Op {
            kind: OpKind::Cancel,
            is_sell,
            instrument,
            account,
            id,
            book_id,
            price: 0,
        }
    }

    fn leave(&mut self, id: u32) {
        let at = std::mem::replace(&mut self.orders[id as usize].live_at, GONE);
        self.live.swap_remove(at as usize);
        if let Some(&moved) = self.live.get(at as usize) {
            self.orders[moved as usize].live_at = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_stay_as_they_were() {
        let shape = Shape {
            resting: 103,
            levels: 10,
            instruments: 3,
            accounts: 7,
        };
        let mut flow = Flow::new(shape);
        flow.prefill(|_| ());
        flow.introduce(|_| ());
        flow.next(4_000);
        assert_eq!(flow.trades, 1_000);
        for instrument in 0..3 {
            let expected = flow.populations(instrument);
            for (is_sell, expected) in [false, true].into_iter().zip(expected) {
                let mut found = vec![0; 5];
                for (level, _) in flow.queue(instrument as u16, is_sell) {
                    found[level as usize] += 1;
                }
                assert_eq!(found, expected);
            }
        }
    }
}
