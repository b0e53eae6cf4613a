//! The order book alone: price-time priority for callers that bring their own order ids and need no accounts.
//!
//! This is the code that the engine matches with ([`crate::Engine`] adds accounts, risk and positions around the same
//! price ladders). See `engine/examples/book.rs` for a walk-through.

mod bitmap;
mod ids;
pub(crate) mod ladder;
mod nodes;
mod price_domain;

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use self::ids::Ids;
use self::ladder::{Nodes, PriceDomain, Sides};
use crate::arena::{Slots, index};
use crate::terms::{Side, TimeInForce};
use crate::units::{Price, Quantity};

/// What a [`Book`] can hold; everything is reserved when it is built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BookSettings {
    /// Prices are the multiples of `tick` from `min_price` to `max_price`, at most
    /// [`crate::limits::LADDER_TICKS_MAX`] of them.
    pub min_price: Price,
    pub max_price: Price,
    pub tick: Price,
    /// Orders resting at once.
    pub max_orders: u32,
    /// Ids are `0..=max_order_id`; an array of that length maps them to orders.
    pub max_order_id: u32,
}

/// Why a command was refused. The book is as it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BookRefusal {
    /// The id is above `max_order_id`.
    IdOutOfRange,
    /// An order with this id is resting.
    IdInUse,
    /// No order with this id is resting: it never was, or it was filled or cancelled.
    UnknownOrder,
    /// The price is off the tick grid or outside the book's range.
    InvalidPrice,
    ZeroQuantity,
    /// `max_orders` orders are resting and this one might have to rest.
    Full,
    /// Fill-or-kill: less than the whole quantity can trade at once.
    CannotFill,
}

impl fmt::Display for BookRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BookRefusal::IdOutOfRange => "order id is above max_order_id",
            BookRefusal::IdInUse => "an order with this id is resting",
            BookRefusal::UnknownOrder => "no order with this id is resting",
            BookRefusal::InvalidPrice => "price is off the tick grid or outside the book's range",
            BookRefusal::ZeroQuantity => "quantity is zero",
            BookRefusal::Full => "the book holds its maximum of resting orders",
            BookRefusal::CannotFill => "the whole quantity cannot trade at once",
        })
    }
}

impl core::error::Error for BookRefusal {}

/// One trade, at the maker's price.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Execution {
    pub maker: u32,
    pub taker: u32,
    pub price: Price,
    pub quantity: Quantity,
    /// What is left of the maker; zero means it has left the book.
    pub maker_leaves: Quantity,
}

/// What became of an order that was not refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    pub traded: Quantity,
    /// What rests now; zero when it was filled or its remainder was dropped.
    pub resting: Quantity,
}

/// Orders that a place can tell apart.
const ORDERS_MAX: u32 = 1 << 30;

/// Where an id's order is: its slot, and in the lowest bit whether it is a sell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place(u32);

impl Place {
    /// Of an id of which no order rests: slot 0, which no order has.
    const NOWHERE: u32 = 0;

    #[inline(always)]
    fn new(slot: u32, side: Side) -> Place {
        Place(slot << 1 | u32::from(side == Side::Sell))
    }

    #[inline(always)]
    fn slot(self) -> u32 {
        self.0 >> 1
    }

    #[inline(always)]
    fn side(self) -> Side {
        if self.0 & 1 == 0 { Side::Buy } else { Side::Sell }
    }
}

/// An order book with price-time priority over dense ids of the caller's.
#[derive(Debug, Clone)]
pub struct Book {
    sides: Sides,
    nodes: Nodes,
    ids: Ids,
    /// Id → [`Place`] of its order.
    places: Vec<u32>,
}

impl Book {
    /// `None` when the price range is empty or too wide, or there is no memory that could hold so many orders.
    pub fn new(settings: &BookSettings) -> Option<Book> {
        if settings.max_orders > ORDERS_MAX {
            return None;
        }
        let domain = PriceDomain::new(settings.min_price, settings.max_price, settings.tick)?;
        Some(Book {
            sides: Sides::new(domain),
            nodes: Nodes::new(settings.max_orders.saturating_add(1)),
            ids: Ids::new(settings.max_orders),
            places: vec![Place::NOWHERE; index(settings.max_order_id).saturating_add(1)],
        })
    }

    /// Matches an order and rests what is left (`Day`, `Gtd`) or drops it (`Ioc`); `Fok` trades whole or is refused.
    /// `report` is called once a trade, in order.
    ///
    /// Inlined like `cancel` and `move_to`: what a call saves and gives back in memory is a tenth of a command.
    #[inline(always)]
    pub fn new_order(
        &mut self,
        id: u32,
        side: Side,
        price: Price,
        quantity: Quantity,
        time_in_force: TimeInForce,
        mut report: impl FnMut(Execution),
    ) -> Result<Outcome, BookRefusal> {
        let tick = self
            .sides
            .domain()
            .tick_of(price)
            .ok_or(BookRefusal::InvalidPrice)?;
        match self.places.get(index(id)) {
            Some(&Place::NOWHERE) => {}
            Some(_) => return Err(BookRefusal::IdInUse),
            None => return Err(BookRefusal::IdOutOfRange),
        }
        if quantity.is_zero() {
            return Err(BookRefusal::ZeroQuantity);
        }
        let rests = match time_in_force {
            TimeInForce::Day | TimeInForce::Gtd(_) => true,
            TimeInForce::Ioc => false,
            TimeInForce::Fok => {
                if self.available(side, tick, quantity.shares()) < u64::from(quantity.shares()) {
                    return Err(BookRefusal::CannotFill);
                }
                false
            }
        };
        if rests && !self.ids.has_room() {
            return Err(BookRefusal::Full);
        }
        let mut leaves = quantity.shares();
        if self.sides.reaches(side.opposite(), tick) {
            leaves = self.match_incoming(id, side, tick, leaves, &mut report);
        }
        let resting = if rests { leaves } else { 0 };
        if resting > 0 {
            let slot = self.ids.insert(id);
            *self.places.as_mut_slice().at_mut(id) = Place::new(slot, side).0;
            self.sides.rest(&mut self.nodes, side, slot, tick, resting);
        }
        Ok(Outcome {
            traded: Quantity::clamped(i64::from(quantity.shares().wrapping_sub(leaves))),
            resting: Quantity::clamped(i64::from(resting)),
        })
    }

    /// Takes an order off the book; returns what was left of it.
    #[inline(always)]
    pub fn cancel(&mut self, id: u32) -> Result<Quantity, BookRefusal> {
        let place = self.place(id)?;
        let (slot, side) = (place.slot(), place.side());
        let leaves = self.nodes.at(slot).visible;
        self.sides.unlink(&mut self.nodes, side, slot);
        self.release(slot, id);
        Ok(Quantity::clamped(i64::from(leaves)))
    }

    /// Changes price and open quantity. A smaller or equal quantity at the same price keeps its priority; anything
    /// else leaves the queue, matches at the new price and rests what is left at the tail.
    pub fn modify(
        &mut self,
        id: u32,
        price: Price,
        quantity: Quantity,
        report: impl FnMut(Execution),
    ) -> Result<Outcome, BookRefusal> {
        let place = self.place(id)?;
        let tick = self
            .sides
            .domain()
            .tick_of(price)
            .ok_or(BookRefusal::InvalidPrice)?;
        if quantity.is_zero() {
            return Err(BookRefusal::ZeroQuantity);
        }
        let (slot, side) = (place.slot(), place.side());
        if quantity.shares() <= self.nodes.at(slot).visible
            && tick == self.sides.tick_at(&self.nodes, side, slot)
        {
            self.sides
                .set_visible(&mut self.nodes, side, slot, quantity.shares());
            return Ok(Outcome {
                traded: Quantity::ZERO,
                resting: quantity,
            });
        }
        Ok(self.reenter(id, place, tick, quantity.shares(), report))
    }

    /// Moves an order to a price, always to the tail of its queue, even where the price is the one it had.
    #[inline(always)]
    pub fn move_to(
        &mut self,
        id: u32,
        price: Price,
        report: impl FnMut(Execution),
    ) -> Result<Outcome, BookRefusal> {
        let place = self.place(id)?;
        let tick = self
            .sides
            .domain()
            .tick_of(price)
            .ok_or(BookRefusal::InvalidPrice)?;
        let quantity = self.nodes.at(place.slot()).visible;
        Ok(self.reenter(id, place, tick, quantity, report))
    }

    /// Best price of a side with its quantity.
    #[inline]
    pub fn best(&self, side: Side) -> Option<(Price, u64)> {
        let best = self.sides.best(&self.nodes, side);
        best.price.map(|price| (price, best.visible))
    }

    /// Quantity and number of orders at a price; zeros where nothing rests or the price is none of the book's.
    pub fn depth_at(&self, side: Side, price: Price) -> (u64, u32) {
        self.sides
            .domain()
            .tick_of(price)
            .map_or((0, 0), |tick| self.sides.level_at(&self.nodes, side, tick))
    }

    /// Levels of a side, best first: price, quantity, orders.
    pub fn levels(&self, side: Side) -> impl Iterator<Item = (Price, u64, u32)> {
        self.sides.levels(&self.nodes, side)
    }

    /// Orders of a side, best level first and by time within a level: id, price, open quantity.
    pub fn orders(&self, side: Side) -> impl Iterator<Item = (u32, Price, Quantity)> {
        self.sides.queue(&self.nodes, side).map(move |slot| {
            let tick = self.sides.tick_at(&self.nodes, side, slot);
            (
                self.ids.at(slot),
                self.sides.domain().price_of(tick),
                Quantity::clamped(i64::from(self.nodes.at(slot).visible)),
            )
        })
    }

    /// Orders resting on both sides.
    pub fn len(&self) -> u32 {
        self.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline(always)]
    fn place(&self, id: u32) -> Result<Place, BookRefusal> {
        match self.places.get(index(id)) {
            None | Some(&Place::NOWHERE) => Err(BookRefusal::UnknownOrder),
            Some(&place) => Ok(Place(place)),
        }
    }

    #[inline]
    fn release(&mut self, slot: u32, id: u32) {
        self.ids.remove(slot);
        *self.places.as_mut_slice().at_mut(id) = Place::NOWHERE;
    }

    /// A resting order leaves its queue, matches at `tick`, and what is left of `quantity` rests there.
    #[inline(always)]
    fn reenter(
        &mut self,
        id: u32,
        place: Place,
        tick: u32,
        quantity: u32,
        mut report: impl FnMut(Execution),
    ) -> Outcome {
        let (slot, side) = (place.slot(), place.side());
        if self.sides.reaches(side.opposite(), tick) {
            return self.trade_resting(id, place, tick, quantity, &mut report);
        }
        self.sides.relocate(&mut self.nodes, side, slot, tick, quantity);
        Outcome {
            traded: Quantity::ZERO,
            resting: Quantity::clamped(i64::from(quantity)),
        }
    }

    #[inline(never)]
    fn trade_resting(
        &mut self,
        id: u32,
        place: Place,
        tick: u32,
        quantity: u32,
        report: &mut impl FnMut(Execution),
    ) -> Outcome {
        let (slot, side) = (place.slot(), place.side());
        self.sides.unlink(&mut self.nodes, side, slot);
        let leaves = self.match_incoming(id, side, tick, quantity, report);
        if leaves == 0 {
            self.release(slot, id);
        } else {
            self.sides.rest(&mut self.nodes, side, slot, tick, leaves);
        }
        Outcome {
            traded: Quantity::clamped(i64::from(quantity.wrapping_sub(leaves))),
            resting: Quantity::clamped(i64::from(leaves)),
        }
    }

    /// Trades against the other side as far as `tick` allows; returns what is left.
    #[inline(never)]
    fn match_incoming(
        &mut self,
        taker: u32,
        side: Side,
        tick: u32,
        mut leaves: u32,
        report: &mut impl FnMut(Execution),
    ) -> u32 {
        let other = side.opposite();
        while leaves > 0 {
            let Some(head) = self.sides.head_within(&self.nodes, other, tick) else {
                break;
            };
            let quantity = leaves.min(head.visible);
            let maker_leaves = head.visible.wrapping_sub(quantity);
            leaves = leaves.wrapping_sub(quantity);
            let maker = self.ids.at(head.slot);
            if maker_leaves == 0 {
                self.sides.unlink(&mut self.nodes, other, head.slot);
                self.release(head.slot, maker);
            } else {
                self.sides
                    .set_visible(&mut self.nodes, other, head.slot, maker_leaves);
            }
            report(Execution {
                maker,
                taker,
                price: head.price,
                quantity: Quantity::clamped(i64::from(quantity)),
                maker_leaves: Quantity::clamped(i64::from(maker_leaves)),
            });
        }
        leaves
    }

    /// Quantity that an order of `side` limited to `tick` could trade with, counted up to `wanted`.
    fn available(&self, side: Side, tick: u32, wanted: u32) -> u64 {
        let limit = self.sides.domain().price_of(tick);
        let within = |price: Price| {
            if side == Side::Buy {
                price <= limit
            } else {
                price >= limit
            }
        };
        let mut sum = 0_u64;
        for (price, quantity, _) in self.sides.levels(&self.nodes, side.opposite()) {
            if !within(price) || sum >= u64::from(wanted) {
                break;
            }
            sum = sum.saturating_add(quantity);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec as StdVec;

    fn price(paise: u32) -> Price {
        Price::from_paise(paise).expect("a positive price")
    }

    fn quantity(shares: u32) -> Quantity {
        Quantity::new(shares).expect("a small quantity")
    }

    fn book(min: u32, max: u32) -> Book {
        let settings = BookSettings {
            min_price: price(min),
            max_price: price(max),
            tick: price(1),
            max_orders: 10_000,
            max_order_id: 20_000,
        };
        Book::new(&settings).expect("a valid range")
    }

    struct Bench {
        book: Book,
        trades: StdVec<(u32, u32, u32, u32)>,
    }

    impl Bench {
        fn new() -> Bench {
            Bench {
                book: book(1, 1_000),
                trades: StdVec::new(),
            }
        }

        fn add(&mut self, id: u32, side: Side, at: u32, shares: u32) -> Result<Outcome, BookRefusal> {
            let trades = &mut self.trades;
            let report = |e: Execution| trades.push((e.maker, e.taker, e.price.paise(), e.quantity.shares()));
            let outcome =
                self.book
                    .new_order(id, side, price(at), quantity(shares), TimeInForce::Day, report);
            assert_eq!(self.book.sides.audit(&self.book.nodes), Ok(()));
            outcome
        }
    }

    #[test]
    fn trades_at_the_makers_price_in_time_order() {
        let mut b = Bench::new();
        b.add(1, Side::Sell, 100, 5).unwrap();
        b.add(2, Side::Sell, 100, 5).unwrap();
        b.add(3, Side::Sell, 99, 5).unwrap();
        let outcome = b.add(4, Side::Buy, 101, 12).unwrap();
        assert_eq!(b.trades, [(3, 4, 99, 5), (1, 4, 100, 5), (2, 4, 100, 2)]);
        assert_eq!(
            outcome,
            Outcome {
                traded: quantity(12),
                resting: Quantity::ZERO
            }
        );
        assert_eq!(b.book.best(Side::Sell), Some((price(100), 3)));
        assert_eq!(b.book.best(Side::Buy), None);
    }

    #[test]
    fn a_residual_becomes_the_touch_and_ids_are_free_again() {
        let mut b = Bench::new();
        b.add(1, Side::Sell, 100, 5).unwrap();
        assert_eq!(b.add(1, Side::Sell, 100, 5), Err(BookRefusal::IdInUse));
        b.add(2, Side::Buy, 100, 8).unwrap();
        assert_eq!(b.book.best(Side::Buy), Some((price(100), 3)));
        b.add(1, Side::Buy, 99, 1).unwrap();
        assert_eq!(b.book.cancel(1), Ok(quantity(1)));
        assert_eq!(b.book.cancel(1), Err(BookRefusal::UnknownOrder));
        b.add(1, Side::Buy, 98, 1).unwrap();
        assert_eq!(b.book.cancel(2), Ok(quantity(3)));
        assert_eq!(b.book.best(Side::Buy), Some((price(98), 1)));
        assert_eq!(b.book.depth_at(Side::Buy, price(100)), (0, 0));
    }

    #[test]
    fn modify_keeps_priority_only_when_it_shrinks_in_place() {
        let mut b = Bench::new();
        b.add(1, Side::Buy, 100, 10).unwrap();
        b.add(2, Side::Buy, 100, 10).unwrap();
        b.book.modify(1, price(100), quantity(4), |_| ()).unwrap();
        assert_eq!(
            b.book.orders(Side::Buy).map(|o| o.0).collect::<StdVec<_>>(),
            [1, 2]
        );
        b.book.modify(1, price(100), quantity(6), |_| ()).unwrap();
        assert_eq!(
            b.book.orders(Side::Buy).map(|o| o.0).collect::<StdVec<_>>(),
            [2, 1]
        );
        b.add(3, Side::Sell, 105, 7).unwrap();
        let mut trades = StdVec::new();
        let outcome = b
            .book
            .modify(2, price(105), quantity(9), |e| {
                trades.push((e.maker, e.price.paise()))
            })
            .unwrap();
        assert_eq!(
            (trades.as_slice(), outcome.resting),
            ([(3, 105)].as_slice(), quantity(2))
        );
        assert_eq!(b.book.best(Side::Buy), Some((price(105), 2)));
        assert_eq!(
            b.book.modify(9, price(105), quantity(9), |_| ()),
            Err(BookRefusal::UnknownOrder)
        );
    }

    #[test]
    fn prices_up_to_the_types_ceiling() {
        let top = u32::MAX;
        let mut b = Bench {
            book: book(top - 999, top),
            trades: StdVec::new(),
        };
        b.add(1, Side::Sell, top, 3).unwrap();
        b.add(2, Side::Buy, top - 999, 3).unwrap();
        assert_eq!(b.add(3, Side::Buy, 5, 1), Err(BookRefusal::InvalidPrice));
        b.add(4, Side::Buy, top, 3).unwrap();
        assert_eq!(b.trades, [(1, 4, top, 3)]);
        assert_eq!(b.book.best(Side::Buy), Some((price(top - 999), 3)));
    }

    #[test]
    fn fill_or_kill_and_immediate_or_cancel_never_rest() {
        let mut b = Bench::new();
        b.add(1, Side::Sell, 100, 5).unwrap();
        let fok = b
            .book
            .new_order(2, Side::Buy, price(100), quantity(6), TimeInForce::Fok, |_| ());
        assert_eq!(fok, Err(BookRefusal::CannotFill));
        let ioc = b
            .book
            .new_order(3, Side::Buy, price(100), quantity(6), TimeInForce::Ioc, |_| ())
            .unwrap();
        assert_eq!((ioc.traded, ioc.resting), (quantity(5), Quantity::ZERO));
        assert!(b.book.is_empty());
    }

    #[test]
    fn a_sweep_of_five_thousand_makers() {
        let mut b = Bench::new();
        for id in 0..5_000 {
            b.book
                .new_order(
                    id,
                    Side::Sell,
                    price(100 + id % 50),
                    quantity(1),
                    TimeInForce::Day,
                    |_| (),
                )
                .unwrap();
        }
        let outcome = b.add(5_000, Side::Buy, 1_000, 5_001).unwrap();
        assert_eq!(b.trades.len(), 5_000);
        assert_eq!(outcome.resting, quantity(1));
        assert!(b.trades.windows(2).all(|pair| pair[0].2 <= pair[1].2));
    }
}
