//! Stop orders (SL, SL-M): pending until the last traded price reaches their trigger, then LIMIT or protected MARKET.
//!
//! Rulings of VENUE.md: triggers are looked for after the aggressor has finished, on the range of its prints; what a rise
//! reaches goes by ascending trigger, then what a fall reaches by descending, then sequence; each runs to its end before
//! the next, and what its own prints reach queues behind. Outside continuous trading stops and conditions wait: the last
//! price is looked at when it begins.

use crate::arena::{NIL, Slots};
use crate::command::NewOrder;
use crate::conditions::Kind;
use crate::engine::{Engine, Task};
use crate::event::{CancelReason, Event, EventBuffer, OrderTriggered};
use crate::ids::{InstrumentId, TradeId};
use crate::instrument::Instrument;
use crate::order::Order;
use crate::terms::OrderType;
use crate::triggers::{Direction, Fired, Owner, Print, Trees};
use crate::units::{Price, Quantity};

/// The prints that were not yet looked at for triggers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prints {
    first: Price,
    last: Price,
    low: Print,
    high: Print,
    /// How far that has come.
    stage: Stage,
}

/// An aggressor's prints go one way. So trailing stops follow the first of them before the range is looked at, which ends
/// with the last, and follow that one afterwards: as if each print had been looked at for itself.
#[derive(Clone, Copy, Debug)]
enum Stage {
    FollowFirst,
    Collect,
    FollowLast,
}

impl Prints {
    fn first(print: Print) -> Prints {
        Prints {
            first: print.price,
            last: print.price,
            low: print,
            high: print,
            stage: Stage::FollowFirst,
        }
    }

    fn add(&mut self, print: Print) {
        self.last = print.price;
        if print.price < self.low.price {
            self.low = print;
        }
        if print.price > self.high.price {
            self.high = print;
        }
    }
}

impl Engine {
    /// Notes a print that reaches the nearest trigger, and all that follow; they are acted upon when the aggressor has
    /// finished.
    #[cold]
    pub(crate) fn note_print(&mut self, id: InstrumentId, price: Price, trade: Option<TradeId>) {
        if !self.is_continuous(id) {
            return;
        }
        let print = Print { price, trade };
        let instrument = self.instrument_mut(id);
        match &mut instrument.prints {
            Some(prints) => prints.add(print),
            None => {
                instrument.prints = Some(Prints::first(print));
                instrument.rise_at = 0;
                // The lowest instrument goes first, so it is last.
                let place = self.printed.partition_point(|&waiting| waiting > id.get());
                self.printed.insert(place, id.get());
            }
        }
    }

    /// Continuous trading begins in an instrument: what the last price has reached meanwhile is set off.
    pub(crate) fn look_at_last_price(&mut self, id: InstrumentId) {
        let mut slot = self.instrument_of(id).first_open;
        while slot != NIL {
            self.unblock_later(slot);
            self.leave_later(slot);
            slot = self.positions.at(slot).next_open;
        }
        let Instrument {
            last_price,
            rise_at,
            fall_at,
            ..
        } = *self.instrument_of(id);
        if let Some(last) = last_price.filter(|last| last.paise() >= rise_at || last.paise() <= fall_at) {
            self.note_print(id, last, None);
        }
    }

    /// One step of what an instrument's prints set off: trailing stops follow, triggers that were reached go to the queue.
    pub(crate) fn collect_triggers(&mut self, slot: u32) {
        let instrument = self.instruments.as_mut_slice().at_mut(slot);
        let trees = &mut instrument.triggers;
        self.collected = self.collected.saturating_add(1);
        match &mut instrument.prints {
            None => {
                self.printed.retain(|&waiting| waiting != slot);
                self.near_triggers(InstrumentId::new(slot));
            }
            Some(prints) => match prints.stage {
                Stage::FollowFirst => {
                    if !self.triggers.ratchet(trees, prints.first) {
                        prints.stage = Stage::Collect;
                    }
                }
                Stage::Collect => {
                    let Prints { low, high, .. } = *prints;
                    let reached = self
                        .triggers
                        .collect_one(trees, Direction::Rise, high)
                        .or_else(|| self.triggers.collect_one(trees, Direction::Fall, low));
                    match reached {
                        None => prints.stage = Stage::FollowLast,
                        Some((Owner::Trailing(position), leader)) => self.queue_trail(position, leader),
                        Some(_) => {}
                    }
                }
                Stage::FollowLast => {
                    if !self.triggers.ratchet(trees, prints.last) {
                        instrument.prints = None;
                    }
                }
            },
        }
    }

    /// Brings the prices that a print is compared with up to date: the nearest triggers, and the nearest extremes that
    /// trailing stops would follow. While prints wait to be looked at, every further one is noted too.
    pub(crate) fn near_triggers(&mut self, id: InstrumentId) {
        let instrument = self.instruments.as_mut_slice().at_mut(id.get());
        if instrument.prints.is_some() {
            return;
        }
        let (rise_at, fall_at) = self.nearest_triggers(&self.instrument_of(id).triggers);
        let instrument = self.instruments.as_mut_slice().at_mut(id.get());
        (instrument.rise_at, instrument.fall_at) = (rise_at, fall_at);
        self.rehash_instrument(id);
    }

    /// The lowest price that sets anything off from below and the highest that does from above; `u32::MAX` and 0 where
    /// there is none.
    pub(crate) fn nearest_triggers(&self, trees: &Trees) -> (u32, u32) {
        let trigger = |direction| self.triggers.nearest(trees, direction).map(Price::paise);
        let extreme = |direction| self.triggers.nearest_extreme(trees, direction).map(Price::paise);
        // A long's extreme follows a rise, and its stop waits for a fall.
        let above = extreme(Direction::Fall).map_or(u32::MAX, |paise| paise.saturating_add(1));
        let below = extreme(Direction::Rise).map_or(0, |paise| paise.saturating_sub(1));
        (
            trigger(Direction::Rise).unwrap_or(u32::MAX).min(above),
            trigger(Direction::Fall).unwrap_or(0).max(below),
        )
    }

    /// Sets off what has waited longest.
    pub(crate) fn fire_next(&mut self, out: &mut EventBuffer) {
        let Some(fired) = self.triggers.next_fired() else {
            return;
        };
        match fired.owner {
            Owner::Order(slot) => self.trigger_order(slot, &fired, out),
            Owner::StopLoss(slot) => self.fire_condition(slot, Kind::StopLoss, &fired, out),
            Owner::TakeProfit(slot) => self.fire_condition(slot, Kind::TakeProfit, &fired, out),
            Owner::Trailing(slot) => self.fire_condition(slot, Kind::Trailing, &fired, out),
            Owner::Group => {}
        }
    }

    /// Lets a stop order wait for its trigger; an exit whose trigger is crossed already goes at once.
    pub(crate) fn arm_order(&mut self, slot: u32) {
        let sequence = self.triggers.take_sequence();
        self.reclassify(slot, |engine| engine.arm_order_as(slot, sequence));
        self.rehash_account_of(slot);
    }

    /// Lets a pending stop order wait for another trigger, at the end of the sequence.
    pub(crate) fn rearm_order(&mut self, slot: u32) {
        self.disarm_order(slot);
        let sequence = self.triggers.take_sequence();
        self.arm_order_as(slot, sequence);
        self.rehash_account_of(slot);
    }

    /// As [`Engine::arm_order`], at a place in the sequence that the order has already.
    pub(crate) fn arm_order_as(&mut self, slot: u32, sequence: u64) {
        let order = self.orders.at(slot);
        let Some(trigger) = order.order_type.trigger() else {
            return;
        };
        let (id, direction) = (order.instrument, Direction::of_stop(order.side));
        // A restored one may have been reached while the market was closed: it goes on waiting.
        let waits = !self.is_continuous(id);
        let instrument = self.instruments.as_mut_slice().at_mut(id.get());
        let reached = instrument
            .last_price
            .filter(|&last| !waits && direction.reaches(last, trigger));
        let owner = Owner::Order(slot);
        let node = match reached {
            Some(price) => {
                let print = Print::outside(price);
                self.triggers
                    .add_reached(owner, direction, trigger, sequence, print)
            }
            None => self
                .triggers
                .add(&mut instrument.triggers, owner, direction, trigger, sequence),
        };
        self.orders.at_mut(slot).trigger = node;
        self.near_triggers(id);
        self.rehash_order(slot);
    }

    /// Takes an order's trigger away, where it has one; the caller gives it another, or the order goes.
    pub(crate) fn disarm_order(&mut self, slot: u32) {
        let order = self.orders.at_mut(slot);
        let node = core::mem::replace(&mut order.trigger, NIL);
        if node != NIL {
            let id = order.instrument;
            let instrument = self.instruments.as_mut_slice().at_mut(id.get());
            self.triggers.remove(&mut instrument.triggers, node);
            self.near_triggers(id);
        }
    }

    /// A stop order's price came: an SL goes on as a limit order, an SL-M as a market order protected from the last
    /// price. Its margin follows the new limit without another check, because it passed them all when it came.
    fn trigger_order(&mut self, slot: u32, fired: &Fired, out: &mut EventBuffer) {
        self.reclassify(slot, |engine| engine.orders.at_mut(slot).trigger = NIL);
        let order = self.orders.at(slot);
        let (id, side, old) = (order.instrument, order.side, order.limit);
        let (account, venue) = (order.account, order.venue);
        let market = matches!(order.order_type, OrderType::StopMarket { .. });
        let instrument = self.instrument_of(id);
        let limit = match instrument.protected_price(side).filter(|_| market) {
            Some(protected) => protected,
            None => old,
        };
        let tick = instrument
            .sides
            .domain()
            .tick_of(limit)
            .filter(|&tick| instrument.sides.can_rest(side, tick));
        if limit != old {
            self.move_reservation(slot, limit);
        }
        if !venue {
            out.push(Event::OrderTriggered(OrderTriggered {
                order: self.orders.at(slot).id,
                account,
                instrument: id,
                limit,
                trigger_price: fired.trigger,
                print_price: fired.print.price,
                trade: fired.print.trade,
            }));
        }
        match tick {
            Some(tick) => {
                self.orders.at_mut(slot).tick = tick;
                self.rehash_order(slot);
                self.active = Some(Task::Match(slot));
            }
            None => self.cancel_open(slot, CancelReason::PriceBand, out),
        }
    }

    /// Holds margin at another limit for all that is open of an order.
    fn move_reservation(&mut self, slot: u32, limit: Price) {
        let Order {
            leaves, exit_leaves, ..
        } = *self.orders.at(slot);
        let entry = leaves.wrapping_sub(exit_leaves);
        self.release(slot, entry, exit_leaves);
        let order = self.orders.at_mut(slot);
        order.limit = limit;
        (order.leaves, order.exit_leaves) = (leaves, exit_leaves);
        self.reserve(slot, entry, exit_leaves);
    }

    /// The trigger price that an entry would find crossed already.
    pub(crate) fn crossed_trigger(
        instrument: &Instrument,
        order: &NewOrder,
        exit: Quantity,
    ) -> Option<(Price, Price)> {
        let (trigger, last) = (order.order_type.trigger()?, instrument.last_price?);
        let crossed = Direction::of_stop(order.side).reaches(last, trigger);
        (crossed && exit < order.quantity).then_some((trigger, last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{AccountDefinition, Command, InstrumentDefinition, MarketPrice, Sequenced};
    use crate::engine::{Capacity, Work};
    use crate::ids::{AccountId, Seq};
    use crate::risk_limits::RiskLimits;
    use crate::terms::Side;
    use crate::text::{Symbol, Text};
    use crate::units::{Money, Ratio, Timestamp};
    use std::boxed::Box;

    /// An engine whose last price is 100.00, with pending buys above 101.00, one at each of many triggers.
    struct Bench {
        engine: Engine,
        out: EventBuffer,
    }

    impl Bench {
        fn new(pending: u32) -> Bench {
            let capacity = Capacity {
                accounts: 1,
                instruments: 1,
                orders: pending.saturating_mul(2).saturating_add(64),
                positions: 1,
                client_order_ids: 1,
            };
            let mut bench = Bench {
                engine: Engine::new(capacity),
                out: EventBuffer::new(),
            };
            let price = Price::from_paise_clamped;
            bench.apply(Command::DefineInstrument(Box::new(InstrumentDefinition {
                symbol: Symbol::cut("ACME"),
                exchange: Text::cut("NSE"),
                tick_size: price(1),
                lot_size: Quantity::clamped(1),
                freeze_quantity: Quantity::clamped(100),
                reference_price: price(10_000),
                price_band: Ratio::from_ppm(200_000),
                mis_allowed: true,
                banned: false,
                derivatives: false,
            })));
            bench.apply(Command::DefineAccount(Box::new(AccountDefinition {
                name: Text::cut("main"),
                opening_balance: Money::from_paise(1_000_000),
                limits: RiskLimits::unlimited_paper(),
                profile: Text::cut("test"),
                venue: false,
            })));
            bench.print(10_000);
            for index in 0..pending {
                let trigger = price(i64::from(10_101_u32.saturating_add(index.wrapping_rem(1_000))));
                let (account, instrument) = (AccountId::new(0), InstrumentId::new(0));
                bench.apply(Command::NewOrder(NewOrder {
                    order_type: OrderType::StopMarket { trigger },
                    ..NewOrder::plain(account, instrument, Side::Buy, trigger, Quantity::clamped(1))
                }));
            }
            assert_eq!(bench.engine.triggers.len(), pending);
            bench
        }

        /// Gives the steps that triggers took in the command's last call.
        fn apply(&mut self, command: Command) -> u32 {
            let command = Sequenced {
                seq: Seq::new(self.engine.last_seq().get().wrapping_add(1)),
                time: Timestamp::from_nanos(1_795_146_300_000_000_000),
                command,
            };
            self.out.clear();
            assert_eq!(self.engine.apply(&command, &mut self.out), Work::Done);
            self.engine.collected
        }

        fn print(&mut self, paise: i64) -> u32 {
            self.apply(Command::MarketPrice(MarketPrice {
                instrument: InstrumentId::new(0),
                price: Price::from_paise_clamped(paise),
            }))
        }
    }

    #[test]
    fn a_print_costs_what_it_reaches_and_not_what_waits() {
        let mut few = Bench::new(10);
        let mut many = Bench::new(100_000);
        for paise in [9_000, 10_100, 9_999, 10_000] {
            assert_eq!(
                (few.print(paise), many.print(paise)),
                (0, 0),
                "nothing is reached"
            );
        }
        // One trigger of a few, a hundred of many at the same price; the other steps of the print are the same.
        let (few, many) = (few.print(10_101), many.print(10_101));
        assert_eq!(many.wrapping_sub(100), few.wrapping_sub(1));
        assert!(few < 10, "{few} steps for one trigger");
    }
}
