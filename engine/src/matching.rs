//! Matching: an accepted order against the other side of its book, one trade a step.

use crate::arena::Slots;
use crate::book::ladder::Head;
use crate::engine::{Engine, Work};
use crate::event::{CancelReason, Event, EventBuffer, Trade};
use crate::ids::TradeId;
use crate::terms::{OrderStatus, SelfTrade, TimeInForce};
use crate::units::Quantity;

/// What a step left of the incoming order.
enum Step {
    Continue,
    /// It is finished, or nothing more within its limit is there.
    Stop,
}

impl Engine {
    /// Matches as long as the buffer has room; done when the order is filled, resting or gone.
    pub(crate) fn match_order(&mut self, slot: u32, out: &mut EventBuffer) -> Work {
        loop {
            if !self.excess_exits.is_empty() || !out.has_room_for_a_step() {
                return Work::More;
            }
            if let Step::Stop = self.match_once(slot, out) {
                return Work::Done;
            }
        }
    }

    /// One trade, one self-trade prevention, or the end.
    #[inline]
    fn match_once(&mut self, slot: u32, out: &mut EventBuffer) -> Step {
        let taker = self.orders.at(slot);
        if taker.leaves == 0 {
            self.finish(slot, OrderStatus::Filled);
            return Step::Stop;
        }
        let (account, instrument, side, tick, leaves) = (
            taker.account,
            taker.instrument,
            taker.side,
            taker.tick,
            taker.leaves,
        );
        self.touch(instrument);
        let sides = &self.instrument_of(instrument).sides;
        let Some(head) = sides.head_within(&self.nodes, side.opposite(), tick) else {
            self.rest_or_drop(slot, out);
            return Step::Stop;
        };
        if self.orders.at(head.slot).account == account {
            let policy = self.account_of(account).bounds.self_trade;
            if policy != SelfTrade::Off {
                return self.prevent_self_trade(slot, head, policy, out);
            }
        }
        self.trade(slot, head, leaves.min(head.visible), out);
        Step::Continue
    }

    /// Executes one trade at the maker's price.
    #[inline]
    fn trade(&mut self, taker: u32, head: Head, quantity: u32, out: &mut EventBuffer) {
        let trade = TradeId::new(self.next_trade);
        self.next_trade = self.next_trade.wrapping_add(1);
        let maker = head.slot;
        let shares = Quantity::clamped(i64::from(quantity));
        let taker_side = self.orders.at(taker).side;
        let instrument_id = self.orders.at(taker).instrument;
        self.set_last_price(instrument_id, head.price, Some(trade));
        self.instrument_mut(instrument_id).day.record(head.price, shares);
        out.push(Event::Trade(Trade {
            trade,
            instrument: instrument_id,
            price: head.price,
            quantity: shares,
            maker: self.orders.at(maker).id,
            taker: self.orders.at(taker).id,
            taker_side,
        }));
        let maker_fill = self.fill(maker, trade, head.price, shares, out);
        let taker_fill = self.fill(taker, trade, head.price, shares, out);
        self.settle(maker, head.price, quantity, maker_fill, out);
        self.settle(taker, head.price, quantity, taker_fill, out);
        self.update_maker(maker, head.visible.wrapping_sub(quantity));
    }

    /// Takes a maker's traded quantity out of the queue: it shrinks, shows its next slice, or leaves.
    #[inline]
    fn update_maker(&mut self, slot: u32, visible: u32) {
        let maker = self.orders.at(slot);
        let (instrument, side, leaves, slice) = (maker.instrument, maker.side, maker.leaves, maker.slice());
        let sides = &mut self.instruments.as_mut_slice().at_mut(instrument.get()).sides;
        if leaves == 0 {
            sides.unlink(&mut self.nodes, side, slot);
            self.finish(slot, OrderStatus::Filled);
        } else if visible == 0 {
            sides.requeue(&mut self.nodes, side, slot, slice);
        } else {
            sides.set_visible(&mut self.nodes, side, slot, visible);
        }
    }

    /// The incoming order met one of its own account at the head of the queue.
    #[cold]
    fn prevent_self_trade(
        &mut self,
        taker: u32,
        head: Head,
        policy: SelfTrade,
        out: &mut EventBuffer,
    ) -> Step {
        match policy {
            SelfTrade::CancelResting | SelfTrade::Off => {
                self.cancel_open(head.slot, CancelReason::SelfTrade, out);
                Step::Continue
            }
            SelfTrade::CancelIncoming => {
                self.cancel_open(taker, CancelReason::SelfTrade, out);
                Step::Stop
            }
            SelfTrade::CancelBoth => {
                self.cancel_open(head.slot, CancelReason::SelfTrade, out);
                self.cancel_open(taker, CancelReason::SelfTrade, out);
                Step::Stop
            }
            SelfTrade::Decrement => {
                let quantity = head.visible.min(self.orders.at(taker).leaves);
                self.cancel_part(head.slot, quantity, CancelReason::SelfTrade, out);
                if self.orders.at(taker).leaves == quantity {
                    self.cancel_open(taker, CancelReason::SelfTrade, out);
                    return Step::Stop;
                }
                self.cancel_part(taker, quantity, CancelReason::SelfTrade, out);
                Step::Continue
            }
        }
    }

    /// Nothing more can trade: the remainder rests, or is cancelled where the order may not rest.
    #[inline]
    fn rest_or_drop(&mut self, slot: u32, out: &mut EventBuffer) {
        let order = self.orders.at_mut(slot);
        if matches!(order.time_in_force, TimeInForce::Ioc | TimeInForce::Fok) {
            self.cancel_open(slot, CancelReason::ImmediateOrCancel, out);
            return;
        }
        order.resting = true;
        let (instrument, side, tick, slice) = (order.instrument, order.side, order.tick, order.slice());
        let sides = &mut self.instruments.as_mut_slice().at_mut(instrument.get()).sides;
        sides.rest(&mut self.nodes, side, slot, tick, slice);
        self.rehash_order(slot);
        self.rehash_account_of(slot);
    }
}
