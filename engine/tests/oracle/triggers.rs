//! Stop orders: they wait, are reached by the range of an aggressor's prints, and go one after the other.

use engine::{Event, InstrumentId, OrderId, OrderTriggered, OrderType, Price, Side, TradeId};

use super::Oracle;
use super::state::Range;

/// An order whose trigger was reached, and by which print.
#[derive(Clone)]
pub struct Fired {
    order: OrderId,
    sequence: u64,
    print: (Price, Option<TradeId>),
}

impl Oracle {
    /// Lets an accepted stop order wait, at the end of the sequence of triggers.
    pub(super) fn wait_for_trigger(&mut self, id: OrderId) {
        self.next_sequence += 1;
        let sequence = self.next_sequence;
        let order = self.orders.get_mut(&id).expect("a known order");
        order.status = engine::OrderStatus::Open;
        order.pending = Some(sequence);
        let (request, trigger) = (&order.request, order.order_type.trigger().expect("a stop order"));
        let (instrument, side) = (request.instrument, request.side);
        self.resting.insert(id);
        let last = self.instrument(instrument).last_price;
        if let Some(last) = last.filter(|last| reaches(side, *last, trigger)) {
            self.fired.push_back(Fired {
                order: id,
                sequence,
                print: (last, None),
            });
        }
    }

    /// The trigger and the last price that is past it.
    pub(super) fn crossed(&self, order: &engine::NewOrder) -> Option<(Price, Price)> {
        let (trigger, last) = (
            order.order_type.trigger()?,
            self.instrument(order.instrument).last_price?,
        );
        reaches(order.side, last, trigger).then_some((trigger, last))
    }

    /// Queues what the last aggressor's prints reached: buys by ascending, sells by descending trigger, then sequence.
    pub(super) fn collect(&mut self) {
        for index in 0..self.instruments.len() {
            let Some(range) = self.instruments[index].prints.take() else {
                continue;
            };
            let id = InstrumentId::new(index as u32);
            for side in [Side::Buy, Side::Sell] {
                self.collect_side(id, side, &range);
            }
        }
    }

    fn collect_side(&mut self, id: InstrumentId, side: Side, range: &Range) {
        let print = match side {
            Side::Buy => range.high,
            Side::Sell => range.low,
        };
        let mut reached: Vec<_> = self
            .open()
            .filter(|(_, order)| order.request.instrument == id && order.request.side == side)
            .filter_map(|(order, of)| Some((of.order_type.trigger()?, of.pending?, order)))
            .filter(|(trigger, sequence, _)| {
                let queued = self.fired.iter().any(|fired| fired.sequence == *sequence);
                !queued && reaches(side, print.0, *trigger)
            })
            .collect();
        reached.sort();
        if side == Side::Sell {
            reached.sort_by_key(|(trigger, sequence, _)| (std::cmp::Reverse(*trigger), *sequence));
        }
        for (_, sequence, order) in reached {
            self.fired.push_back(Fired {
                order,
                sequence,
                print,
            });
        }
    }

    /// Sets off one order, if it still waits.
    pub(super) fn fire(&mut self, fired: &Fired) {
        let order = &self.orders[&fired.order];
        if order.pending != Some(fired.sequence) || !self.resting.contains(&fired.order) {
            return;
        }
        let (instrument, side) = (order.request.instrument, order.request.side);
        let protected = match order.order_type {
            OrderType::StopMarket { .. } => self.protected_price(instrument, side),
            _ => None,
        };
        self.resting.remove(&fired.order);
        let order = self.orders.get_mut(&fired.order).expect("a known order");
        order.pending = None;
        order.limit = protected.unwrap_or(order.limit);
        let event = OrderTriggered {
            order: fired.order,
            account: order.request.account,
            instrument,
            limit: order.limit,
            trigger_price: order.order_type.trigger().expect("a stop order"),
            print_price: fired.print.0,
            trade: fired.print.1,
        };
        if !self.account(event.account).venue {
            self.events.push(Event::OrderTriggered(event));
        }
        self.enter(fired.order);
    }
}

fn reaches(side: Side, print: Price, trigger: Price) -> bool {
    match side {
        Side::Buy => print >= trigger,
        Side::Sell => print <= trigger,
    }
}
