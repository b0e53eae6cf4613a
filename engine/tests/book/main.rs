//! The library face of the order book against a model that keeps its orders in one list: every answer, every trade, and
//! after every command the whole book.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a test panics where its own data is wrong"
)]

mod invariants;

use engine::book::{Book, BookRefusal, BookSettings, Execution, Outcome};
use engine::{Price, Quantity, Side, TimeInForce};
use proptest::prelude::*;

const MIN_PRICE: u32 = 95;
const MAX_PRICE: u32 = 105;
const MAX_ORDERS: u32 = 8;
const MAX_ID: u32 = 12;

#[derive(Clone, Debug)]
enum Step {
    New(u32, Side, u32, u32, TimeInForce),
    Cancel(u32),
    Modify(u32, u32, u32),
    Move(u32, u32),
}

#[derive(Clone, Debug)]
struct Resting {
    id: u32,
    side: Side,
    price: u32,
    quantity: u32,
}

/// Resting orders in order of time. The best is looked for each time.
#[derive(Default)]
struct Model {
    orders: Vec<Resting>,
    trades: Vec<(u32, u32, u32, u32, u32)>,
}

type Answer = Result<(u32, u32), BookRefusal>;

impl Model {
    fn at(&self, id: u32) -> Result<usize, BookRefusal> {
        let at = self.orders.iter().position(|order| order.id == id);
        at.ok_or(BookRefusal::UnknownOrder)
    }

    /// The makers that an order may trade with, in order of priority.
    fn makers(&self, side: Side, limit: u32) -> Vec<usize> {
        let crosses = |price: u32| match side {
            Side::Buy => price <= limit,
            Side::Sell => price >= limit,
        };
        let mut makers: Vec<usize> = (0..self.orders.len())
            .filter(|&at| self.orders[at].side != side && crosses(self.orders[at].price))
            .collect();
        let key = |at: usize| i64::from(self.orders[at].price) * side.sign();
        makers.sort_by_key(|&at| (key(at), at));
        makers
    }

    fn take(&mut self, id: u32, side: Side, limit: u32, quantity: u32) -> u32 {
        let mut leaves = quantity;
        for at in self.makers(side, limit) {
            let maker = &mut self.orders[at];
            let traded = leaves.min(maker.quantity);
            if traded > 0 {
                maker.quantity -= traded;
                leaves -= traded;
                self.trades
                    .push((maker.id, id, maker.price, traded, maker.quantity));
            }
        }
        self.orders.retain(|order| order.quantity > 0);
        leaves
    }

    fn is_full(&self) -> bool {
        self.orders.len() >= MAX_ORDERS as usize
    }

    fn new_order(&mut self, id: u32, side: Side, price: u32, quantity: u32, validity: TimeInForce) -> Answer {
        check_price(price)?;
        if id > MAX_ID {
            return Err(BookRefusal::IdOutOfRange);
        }
        if self.at(id).is_ok() {
            return Err(BookRefusal::IdInUse);
        }
        if quantity == 0 {
            return Err(BookRefusal::ZeroQuantity);
        }
        let available: u32 = self
            .makers(side, price)
            .iter()
            .map(|&at| self.orders[at].quantity)
            .sum();
        if validity == TimeInForce::Fok && available < quantity {
            return Err(BookRefusal::CannotFill);
        }
        let rests = matches!(validity, TimeInForce::Day | TimeInForce::Gtd(_));
        if rests && self.is_full() {
            return Err(BookRefusal::Full);
        }
        let leaves = self.take(id, side, price, quantity);
        Ok((
            quantity - leaves,
            self.rest(id, side, price, if rests { leaves } else { 0 }),
        ))
    }

    fn rest(&mut self, id: u32, side: Side, price: u32, quantity: u32) -> u32 {
        if quantity > 0 {
            self.orders.push(Resting {
                id,
                side,
                price,
                quantity,
            });
        }
        quantity
    }

    fn modify(&mut self, id: u32, price: u32, quantity: u32) -> Answer {
        let at = self.at(id)?;
        check_price(price)?;
        if quantity == 0 {
            return Err(BookRefusal::ZeroQuantity);
        }
        let order = &mut self.orders[at];
        if order.price == price && quantity <= order.quantity {
            order.quantity = quantity;
            return Ok((0, quantity));
        }
        self.reenter(at, price, quantity)
    }

    fn reenter(&mut self, at: usize, price: u32, quantity: u32) -> Answer {
        let Resting { id, side, .. } = self.orders.remove(at);
        let leaves = self.take(id, side, price, quantity);
        Ok((quantity - leaves, self.rest(id, side, price, leaves)))
    }

    fn step(&mut self, step: &Step) -> Answer {
        match *step {
            Step::New(id, side, price, quantity, validity) => {
                self.new_order(id, side, price, quantity, validity)
            }
            Step::Cancel(id) => {
                let at = self.at(id)?;
                Ok((0, self.orders.remove(at).quantity))
            }
            Step::Modify(id, price, quantity) => self.modify(id, price, quantity),
            Step::Move(id, price) => {
                let at = self.at(id)?;
                check_price(price)?;
                let quantity = self.orders[at].quantity;
                self.reenter(at, price, quantity)
            }
        }
    }

    /// Best first: id, price, quantity.
    fn side(&self, side: Side) -> Vec<(u32, u32, u32)> {
        let far = if side == Side::Buy { 0 } else { u32::MAX };
        let row = |&at: &usize| {
            (
                self.orders[at].id,
                self.orders[at].price,
                self.orders[at].quantity,
            )
        };
        self.makers(side.opposite(), far).iter().map(row).collect()
    }
}

fn check_price(price: u32) -> Result<(), BookRefusal> {
    if (MIN_PRICE..=MAX_PRICE).contains(&price) {
        Ok(())
    } else {
        Err(BookRefusal::InvalidPrice)
    }
}

fn price(paise: u32) -> Price {
    Price::from_paise(paise).unwrap()
}

fn quantity(shares: u32) -> Quantity {
    Quantity::new(shares).unwrap()
}

fn run(book: &mut Book, step: &Step, trades: &mut Vec<(u32, u32, u32, u32, u32)>) -> Answer {
    let report = |e: Execution| {
        let (quantity, left) = (e.quantity.shares(), e.maker_leaves.shares());
        trades.push((e.maker, e.taker, e.price.paise(), quantity, left));
    };
    let parts = |outcome: Outcome| (outcome.traded.shares(), outcome.resting.shares());
    match *step {
        Step::New(id, side, at, shares, validity) => book
            .new_order(id, side, price(at), quantity(shares), validity, report)
            .map(parts),
        Step::Cancel(id) => book.cancel(id).map(|left| (0, left.shares())),
        Step::Modify(id, at, shares) => book.modify(id, price(at), quantity(shares), report).map(parts),
        Step::Move(id, at) => book.move_to(id, price(at), report).map(parts),
    }
}

fn compare(book: &Book, model: &Model) {
    for side in [Side::Buy, Side::Sell] {
        let expected = model.side(side);
        let orders = book
            .orders(side)
            .map(|(id, at, shares)| (id, at.paise(), shares.shares()));
        assert_eq!(orders.collect::<Vec<_>>(), expected);
        let mut levels: Vec<(u32, u64, u32)> = Vec::new();
        for (_, at, shares) in expected {
            match levels.last_mut().filter(|level| level.0 == at) {
                Some(level) => (level.1, level.2) = (level.1 + u64::from(shares), level.2 + 1),
                None => levels.push((at, u64::from(shares), 1)),
            }
        }
        let found = book
            .levels(side)
            .map(|(at, shares, orders)| (at.paise(), shares, orders));
        assert_eq!(found.collect::<Vec<_>>(), levels);
        let best = book.best(side).map(|(at, shares)| (at.paise(), shares));
        assert_eq!(best, levels.first().map(|level| (level.0, level.1)));
        for at in MIN_PRICE - 1..=MAX_PRICE + 1 {
            let level = levels.iter().find(|level| level.0 == at);
            assert_eq!(
                book.depth_at(side, price(at)),
                level.map_or((0, 0), |level| (level.1, level.2))
            );
        }
    }
    assert_eq!(book.len() as usize, model.orders.len());
    assert_eq!(book.is_empty(), model.orders.is_empty());
}

fn step() -> impl Strategy<Value = Step> {
    let id = 0..=MAX_ID + 1;
    let at = MIN_PRICE - 1..=MAX_PRICE + 1;
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    let validity = prop_oneof![
        4 => Just(TimeInForce::Day),
        1 => Just(TimeInForce::Ioc),
        2 => Just(TimeInForce::Fok),
    ];
    prop_oneof![
        6 => (id.clone(), side, at.clone(), 0_u32..20, validity)
            .prop_map(|(id, side, at, shares, validity)| Step::New(id, side, at, shares, validity)),
        1 => id.clone().prop_map(Step::Cancel),
        2 => (id.clone(), at.clone(), 0_u32..20).prop_map(|(id, at, shares)| Step::Modify(id, at, shares)),
        2 => (id, at).prop_map(|(id, at)| Step::Move(id, at)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_book_is_the_model(steps in prop::collection::vec(step(), 1..120)) {
        let settings = BookSettings {
            min_price: price(MIN_PRICE),
            max_price: price(MAX_PRICE),
            tick: price(1),
            max_orders: MAX_ORDERS,
            max_order_id: MAX_ID,
        };
        let mut book = Book::new(&settings).unwrap();
        let mut model = Model::default();
        let mut trades = Vec::new();
        for step in &steps {
            prop_assert_eq!(run(&mut book, step, &mut trades), model.step(step), "{:?}", step);
            prop_assert_eq!(&trades, &model.trades);
            compare(&book, &model);
        }
    }
}

#[test]
fn a_refusal_says_why() {
    let sentences = [
        (BookRefusal::IdOutOfRange, "order id is above max_order_id"),
        (BookRefusal::IdInUse, "an order with this id is resting"),
        (BookRefusal::UnknownOrder, "no order with this id is resting"),
        (
            BookRefusal::InvalidPrice,
            "price is off the tick grid or outside the book's range",
        ),
        (BookRefusal::ZeroQuantity, "quantity is zero"),
        (BookRefusal::Full, "the book holds its maximum of resting orders"),
        (BookRefusal::CannotFill, "the whole quantity cannot trade at once"),
    ];
    for (refusal, sentence) in sentences {
        assert_eq!(refusal.to_string(), sentence);
    }
}

/// A side has room for a price level for each order that can rest, as many as there are prices.
#[test]
fn a_side_is_full_of_levels() {
    const LEVELS: u32 = 131_072;
    let settings = BookSettings {
        min_price: price(1),
        max_price: price(LEVELS),
        tick: price(1),
        max_orders: LEVELS + 1,
        max_order_id: LEVELS + 10,
    };
    let mut book = Book::new(&settings).unwrap();
    let mut trades = Vec::new();
    let mut add = |book: &mut Book, id, at| {
        run(
            book,
            &Step::New(id, Side::Buy, at, 1, TimeInForce::Day),
            &mut trades,
        )
    };
    for level in 1..=LEVELS {
        assert_eq!(add(&mut book, level, level), Ok((0, 1)));
    }
    assert_eq!(book.levels(Side::Buy).count(), LEVELS as usize);
    assert_eq!(add(&mut book, LEVELS + 1, 1), Ok((0, 1)));
    assert_eq!(add(&mut book, LEVELS + 2, 1), Err(BookRefusal::Full));
    assert!(book.move_to(LEVELS, price(1), |_| ()).is_ok());
    assert_eq!(book.depth_at(Side::Buy, price(1)), (3, 3));
    assert_eq!(book.best(Side::Buy), Some((price(LEVELS - 1), 1)));
}
