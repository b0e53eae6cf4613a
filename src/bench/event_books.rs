//! The books as the engine's events describe them: proof that a full run traded what it should have, and that its
//! events are enough to know every queue.

use std::collections::BTreeMap;

use engine::lane::Outbound;
use engine::{Event, OrderId, Price, RejectCode, Side};

use super::checksum::{Outcome, Touch};

#[derive(Clone, Copy, Debug)]
struct Order {
    instrument: u32,
    side: Side,
    limit: u32,
    leaves: u32,
    /// When it joined its queue; `None` while it stands in none.
    arrival: Option<u64>,
}

impl Order {
    /// Bids best to worst, then asks; within a price by arrival.
    fn place(&self) -> Option<(u32, bool, u32, u64)> {
        let (is_ask, key) = match self.side {
            Side::Buy => (false, !self.limit),
            Side::Sell => (true, self.limit),
        };
        Some((self.instrument, is_ask, key, self.arrival?))
    }
}

/// Folds what the sequencer publishes.
#[derive(Clone, Debug, Default)]
pub(super) struct EventBooks {
    /// By order id.
    orders: Vec<Option<Order>>,
    queues: BTreeMap<(u32, bool, u32, u64), u32>,
    /// The orders that this command will leave at the tail of a queue, if anything of them is left, in the order of
    /// their matching: its own, and those that it set off.
    incoming: Vec<u32>,
    /// Whether the client's command under way has had no verdict on its order yet.
    asking: bool,
    /// The id that the client's last new order was given, until [`EventBooks::take_order_id`].
    given: Option<u32>,
    arrivals: u64,
    trades_seen: u64,
    tops: Vec<(Touch, Touch)>,
    pub(super) outcome: Outcome,
    /// New orders of clients.
    pub(super) accepted: u64,
    /// Orders that the engine placed itself: exits of stops that fired.
    pub(super) own: u64,
    /// Rejected new orders by code.
    pub(super) rejected: BTreeMap<RejectCode, u64>,
    pub(super) refused: u64,
}

impl EventBooks {
    pub(super) fn new(instruments: u16) -> EventBooks {
        EventBooks {
            tops: vec![((0, 0), (0, 0)); usize::from(instruments)],
            ..EventBooks::default()
        }
    }

    pub(super) fn see(&mut self, item: &Outbound) {
        let event = match item {
            Outbound::Event(event) => event,
            Outbound::Begin { token, .. } => {
                self.asking = token.is_some();
                return;
            }
            _ => return,
        };
        match event {
            Event::OrderAccepted(order) => {
                let id = number(order.order);
                if self.answer(id) {
                    self.accepted += 1;
                } else {
                    self.own += 1;
                }
                self.put(
                    id,
                    Order {
                        instrument: order.instrument.get(),
                        side: order.side,
                        limit: order.limit.paise(),
                        leaves: order.quantity.shares(),
                        arrival: None,
                    },
                );
                self.incoming.push(id);
            }
            Event::OrderRejected(rejected) => {
                self.answer(number(rejected.order));
                *self.rejected.entry(rejected.rejection.code).or_default() += 1;
            }
            Event::Refused(_) => self.refused += 1,
            Event::Trade(trade) => {
                let (maker, taker) = (number(trade.maker), number(trade.taker));
                let quantity = trade.quantity.shares();
                self.outcome.trade(maker, taker, trade.price.paise(), quantity);
                for id in [maker, taker] {
                    self.change(id, |order| order.leaves -= quantity);
                }
            }
            Event::OrderCancelled(cancelled) => {
                let leaves = cancelled.leaves_quantity.shares();
                self.change(number(cancelled.order), |order| order.leaves = leaves);
            }
            Event::OrderModified(modified) => {
                let id = number(modified.order);
                if !modified.kept_priority {
                    self.unplace(id);
                    self.incoming.push(id);
                }
                self.change(id, |order| {
                    order.leaves = modified.leaves_quantity.shares();
                    order.limit = modified.limit.paise();
                });
            }
            Event::TopOfBook(top) => {
                let touch = |price: Option<Price>, quantity| (price.map_or(0, Price::paise), quantity);
                let slot = top.instrument.get() as usize;
                self.tops[slot] = (touch(top.bid, top.bid_quantity), touch(top.ask, top.ask_quantity));
            }
            _ => {}
        }
    }

    /// After all of a command's events: its order rests with what is left, and the touch of its book counts.
    pub(super) fn end_of_command(&mut self, instrument: u16) {
        for id in self.incoming.drain(..) {
            let order = self.orders[id as usize].as_mut();
            let order = order.expect("what comes in was accepted");
            if order.leaves > 0 {
                self.arrivals += 1;
                order.arrival = Some(self.arrivals);
                let place = order.place();
                self.queues.extend(place.map(|place| (place, id)));
            }
        }
        let (bid, ask) = self.tops[usize::from(instrument)];
        self.outcome.l1(bid, ask);
    }

    /// The id that the engine gave to the new order of the command that has just ended.
    pub(super) fn take_order_id(&mut self) -> Option<u32> {
        self.given.take()
    }

    /// Trades since this was last asked.
    pub(super) fn take_trades(&mut self) -> u64 {
        let before = std::mem::replace(&mut self.trades_seen, self.outcome.trades);
        self.outcome.trades - before
    }

    /// Notes the verdict on a client's new order; `false` for an order of the engine's own.
    fn answer(&mut self, id: u32) -> bool {
        let asked = std::mem::take(&mut self.asking);
        if asked {
            self.given = Some(id);
        }
        asked
    }

    /// Orders in queues.
    pub(super) fn resting(&self) -> usize {
        self.queues.len()
    }

    /// The outcome with the final queues.
    pub(super) fn finish(mut self) -> Outcome {
        for &id in self.queues.values() {
            if let Some(order) = self.orders[id as usize] {
                self.outcome.resting(id, order.limit, order.leaves);
            }
        }
        self.outcome
    }

    fn put(&mut self, id: u32, order: Order) {
        let length = self.orders.len().max(id as usize + 1);
        self.orders.resize(length, None);
        self.orders[id as usize] = Some(order);
    }

    /// Changes an order; what has nothing left leaves its queue.
    fn change(&mut self, id: u32, change: impl FnOnce(&mut Order)) {
        let order = self.orders[id as usize].as_mut();
        let order = order.expect("an event names an order that was accepted");
        change(order);
        if order.leaves == 0 {
            self.unplace(id);
        }
    }

    fn unplace(&mut self, id: u32) {
        if let Some(order) = self.orders[id as usize].as_mut()
            && let Some(place) = order.place()
        {
            order.arrival = None;
            self.queues.remove(&place);
        }
    }
}

/// Ids of the streams are below 2^32.
fn number(id: OrderId) -> u32 {
    u32::try_from(id.get()).expect("a workload has fewer than 2^32 orders")
}
