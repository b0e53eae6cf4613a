//! The paths whose instructions `scripts/instructions.sh` counts under callgrind: a thousand operations of one kind,
//! each kind in a function of its own, on the bare book and on the whole engine.
//!
//! `cargo run --release --package engine --example hot_paths -- book_add`

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    reason = "not part of the engine"
)]

use std::hint::black_box;

use engine::book::{Book, BookSettings};
use engine::{
    AccountDefinition, AccountId, Actor, CancelOrder, Capacity, ClosePosition, Command, Edit, EditConditions,
    Engine, EventBuffer, InstrumentDefinition, InstrumentId, MarketPrice, ModifyOrder, Money, NewOrder,
    OrderId, OrderRef, OrderType, PositionId, Price, Quantity, Ratio, RiskLimits, Seq, Sequenced, Side,
    StrategyId, Symbol, Text, TimeInForce, Timestamp, Trailing, Work,
};

/// Operations that are counted, and orders that rest before.
const OPERATIONS: u32 = 1_000;
const RESTING: u32 = 1_000;
/// The middle of the prices, in paise; orders rest up to `DEPTH` ticks away on both sides.
const MID: u32 = 32_768;
const DEPTH: u32 = 200;
const MAKERS: u32 = 100;
/// Stop orders that wait for their triggers.
const WAITING: u32 = 100_000;
/// Positions with a trailing stop; accounts under the maker profile have at most 1,000 each.
const TRAILING: u32 = 95_000;
/// Position keys of one account.
const KEYS: u32 = 500;

fn main() {
    let path = std::env::args().nth(1).unwrap_or_default();
    match path.as_str() {
        "book_add" => book_add(&mut book()),
        "book_cancel" => book_cancel(&mut book()),
        "book_modify" => book_modify(&mut book()),
        "book_take" => book_take(&mut book()),
        "full_add" => full_add(&mut Desk::new()),
        "full_cancel" => full_cancel(&mut Desk::new()),
        "full_modify" => full_modify(&mut Desk::new()),
        "full_take" => full_take(&mut Desk::new()),
        "print_beside_stops" => print_beside_stops(&mut Desk::with_stops()),
        "stop_fires" => stop_fires(&mut Desk::with_stops()),
        "close_beside_orders" => close_beside_orders(&mut Desk::with_own_orders()),
        "condition_fires" => condition_fires(&mut Desk::with_conditions()),
        "print_beside_trails" => print_beside_trails(&mut Desk::with_trails()),
        "print_moves_trails" => print_moves_trails(&mut Desk::with_trails()),
        "order_expires" => order_expires(&mut Desk::with_deadlines()),
        "add_beside_keys" => add_beside_keys(&mut Desk::with_keys()),
        other => {
            eprintln!("no path is called {other:?}");
            std::process::exit(2);
        }
    }
}

/// The `n`th number of a fixed sequence, below `bound`.
fn mixed(n: u32, bound: u32) -> u32 {
    let mut z = u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let high = (z ^ (z >> 31)) >> 32;
    u32::try_from((high * u64::from(bound)) >> 32).unwrap_or(0)
}

/// Side and price of an order that rests.
fn passive(n: u32) -> (Side, Price) {
    let distance = 1 + mixed(n, DEPTH);
    if n.is_multiple_of(2) {
        (Side::Buy, price(MID - distance))
    } else {
        (Side::Sell, price(MID + distance))
    }
}

fn price(paise: u32) -> Price {
    Price::from_paise(paise).expect("a positive price")
}

fn shares(shares: u32) -> Quantity {
    Quantity::new(shares).expect("a small quantity")
}

fn book() -> Book {
    let settings = BookSettings {
        min_price: price(1),
        max_price: price(2 * MID),
        tick: price(1),
        max_orders: 4 * RESTING,
        max_order_id: 4 * RESTING,
    };
    let mut book = Book::new(&settings).expect("a valid range");
    for n in 0..RESTING {
        rest(&mut book, n);
    }
    book
}

fn rest(book: &mut Book, n: u32) {
    let (side, at) = passive(n);
    let quantity = shares(1 + mixed(n, 100));
    book.new_order(n, side, at, quantity, TimeInForce::Day, |_| {})
        .expect("there is room");
}

#[inline(never)]
fn book_add(book: &mut Book) {
    for n in RESTING..RESTING + OPERATIONS {
        rest(book, n);
    }
    black_box(book);
}

#[inline(never)]
fn book_cancel(book: &mut Book) {
    for n in 0..RESTING.min(OPERATIONS) {
        // Every order once, in an order that is not that of arrival.
        let id = n * 617 % RESTING;
        book.cancel(id).expect("it rests");
    }
    black_box(book);
}

#[inline(never)]
fn book_modify(book: &mut Book) {
    for n in 0..OPERATIONS {
        let id = n * 617 % RESTING;
        let (_, at) = passive(id + 2 * (n % 7));
        book.move_to(id, same_side(id, at), |trade| {
            black_box(trade);
        })
        .expect("it rests");
    }
    black_box(book);
}

/// The price mirrored to the side of order `n`, where it is on the other.
fn same_side(n: u32, at: Price) -> Price {
    let (side, _) = passive(n);
    let distance = at.paise().abs_diff(MID);
    price(if side == Side::Buy {
        MID - distance
    } else {
        MID + distance
    })
}

#[inline(never)]
fn book_take(book: &mut Book) {
    for n in 0..OPERATIONS {
        let (side, limit) = aggressive(n);
        book.new_order(
            2 * RESTING + n,
            side,
            limit,
            shares(1 + mixed(n, 60)),
            TimeInForce::Ioc,
            |trade| {
                black_box(trade);
            },
        )
        .expect("a take is never refused");
    }
    black_box(book);
}

/// Through the whole book.
fn aggressive(n: u32) -> (Side, Price) {
    if n.is_multiple_of(2) {
        (Side::Buy, price(MID + DEPTH))
    } else {
        (Side::Sell, price(MID - DEPTH))
    }
}

/// The `n`th order, a limit order.
fn request(n: u32, side: Side, limit: Price, time_in_force: TimeInForce, quantity: u32) -> NewOrder {
    let (account, instrument) = (AccountId::new(n % MAKERS), InstrumentId::new(0));
    NewOrder {
        time_in_force,
        ..NewOrder::plain(account, instrument, side, limit, shares(quantity))
    }
}

/// An engine with accounts under the maker profile and the same resting orders.
struct Desk {
    engine: Engine,
    events: EventBuffer,
    seq: u64,
    /// Between two commands.
    step_ns: u64,
}

impl Desk {
    fn new() -> Desk {
        let mut desk = Desk::empty(4 * RESTING, MAKERS);
        for n in 0..RESTING {
            desk.rest(n);
        }
        // A last price, so that every check has what it compares with.
        desk.order(RESTING, Side::Buy, price(MID + DEPTH), TimeInForce::Ioc, 1);
        desk
    }

    /// With `WAITING` stop orders above the last price: one at each of the next `OPERATIONS` prices, the others beyond.
    fn with_stops() -> Desk {
        let mut desk = Desk::empty(2 * WAITING, MAKERS);
        desk.print(MID);
        for n in 0..WAITING {
            let above = if n < OPERATIONS {
                1 + n
            } else {
                OPERATIONS + 1 + mixed(n, 2 * OPERATIONS)
            };
            desk.apply(Command::NewOrder(NewOrder {
                order_type: OrderType::StopMarket {
                    trigger: price(MID + above),
                },
                ..request(n, Side::Buy, price(MID), TimeInForce::Day, 1)
            }));
        }
        desk
    }

    /// With `OPERATIONS` positions of one share, each with a stop one tick below that of the one before.
    fn with_conditions() -> Desk {
        let mut desk = Desk::empty(4 * OPERATIONS, 2 * OPERATIONS);
        desk.order(0, Side::Sell, price(MID), TimeInForce::Day, OPERATIONS);
        for n in 0..OPERATIONS {
            desk.apply(Command::NewOrder(NewOrder {
                // Every one a position of its own.
                strategy: StrategyId::new(2 + n / (MAKERS - 1)),
                stop_loss: Some(price(MID - 1 - n)),
                ..request(1 + n % (MAKERS - 1), Side::Buy, price(MID), TimeInForce::Day, 1)
            }));
        }
        let open = desk.engine.positions().filter(|position| position.quantity > 0);
        assert_eq!(open.count(), 1_000, "a position each");
        desk
    }

    /// With `TRAILING` positions of one share, each with a trailing stop further away than any print goes.
    fn with_trails() -> Desk {
        let mut desk = Desk::empty(1_000, 2 * TRAILING);
        for _ in 0..100 {
            desk.order(0, Side::Sell, price(MID), TimeInForce::Day, TRAILING / 100);
        }
        for n in 0..TRAILING {
            // Every one a position of its own.
            let account = 1 + n % (MAKERS - 1);
            let strategy = StrategyId::new(2 + n / (MAKERS - 1));
            desk.apply(Command::NewOrder(NewOrder {
                strategy,
                ..request(account, Side::Buy, price(MID), TimeInForce::Day, 1)
            }));
            let position = PositionId::new(2 + n);
            desk.apply(Command::EditConditions(EditConditions {
                actor: Actor {
                    account: AccountId::new(account),
                    admin: false,
                },
                position,
                stop_loss: Edit::Keep,
                take_profit: Edit::Keep,
                trailing: Edit::Set(Trailing::Distance(price(2 * OPERATIONS + mixed(n, OPERATIONS)))),
            }));
        }
        let trailing = desk
            .engine
            .positions()
            .filter(|position| position.trailing.is_some());
        assert_eq!(trailing.count(), 95_000, "a trailing stop each");
        desk
    }

    /// With `WAITING` orders that expire, `OPERATIONS` of them one after the other from now on.
    fn with_deadlines() -> Desk {
        let mut desk = Desk::empty(2 * WAITING, MAKERS);
        let from = 1_795_146_400_000_000_000;
        for n in 0..WAITING {
            let (side, at) = passive(n);
            let until = from + u64::from(n * 617 % WAITING) * 1_000_000;
            desk.order(n, side, at, TimeInForce::Gtd(Timestamp::from_nanos(until)), 1);
        }
        desk
    }

    /// With an account that has `KEYS` keys in the instrument.
    fn with_keys() -> Desk {
        let mut desk = Desk::empty(4 * OPERATIONS, 2 * OPERATIONS);
        for n in 0..KEYS {
            desk.key_order(n, n);
        }
        desk
    }

    /// A bid of account 1, under the `key`th strategy.
    fn key_order(&mut self, n: u32, key: u32) {
        let at = price(MID - 1 - mixed(n, DEPTH));
        self.apply(Command::NewOrder(NewOrder {
            strategy: StrategyId::new(1 + key),
            ..request(1, Side::Buy, at, TimeInForce::Day, 1 + n % 50)
        }));
    }

    /// With a position of `OPERATIONS` shares, as many bids for them, and `WAITING` newer entries of the position's own.
    fn with_own_orders() -> Desk {
        let mut desk = Desk::empty(2 * WAITING, MAKERS);
        desk.step_ns = 100_000;
        desk.order(0, Side::Sell, price(MID), TimeInForce::Day, OPERATIONS);
        desk.order(1, Side::Buy, price(MID), TimeInForce::Day, OPERATIONS);
        desk.order(2, Side::Buy, price(MID - 1), TimeInForce::Day, OPERATIONS);
        for n in 0..WAITING {
            let below = 2 + mixed(n, DEPTH);
            desk.order(1, Side::Buy, price(MID - below), TimeInForce::Day, 1);
        }
        let waiting = desk
            .engine
            .account(AccountId::new(1))
            .expect("defined")
            .open_orders;
        assert_eq!(waiting, WAITING, "each of them rests");
        desk
    }

    fn empty(orders: u32, positions: u32) -> Desk {
        let capacity = Capacity {
            accounts: MAKERS,
            instruments: 1,
            orders,
            positions,
            client_order_ids: 16,
        };
        let mut desk = Desk {
            engine: Engine::new(capacity),
            events: EventBuffer::new(),
            seq: 0,
            step_ns: 1_000,
        };
        desk.apply(Command::DefineInstrument(Box::new(InstrumentDefinition {
            symbol: Symbol::cut("BENCH"),
            exchange: Text::cut("NSE"),
            tick_size: price(1),
            lot_size: shares(1),
            freeze_quantity: shares(100_000),
            reference_price: price(MID),
            price_band: Ratio::from_ppm(200_000),
            mis_allowed: true,
            banned: false,
            derivatives: false,
        })));
        for maker in 0..MAKERS {
            desk.apply(Command::DefineAccount(Box::new(AccountDefinition {
                name: Text::cut(&format!("maker-{maker}")),
                opening_balance: Money::from_paise(1_000_000_000_000),
                limits: RiskLimits::maker(),
                profile: Text::cut("maker"),
                venue: false,
            })));
        }
        desk
    }

    /// A last price from outside.
    fn print(&mut self, paise: u32) {
        self.apply(Command::MarketPrice(MarketPrice {
            instrument: InstrumentId::new(0),
            price: price(paise),
        }));
    }

    fn rest(&mut self, n: u32) {
        let (side, at) = passive(n);
        self.order(n, side, at, TimeInForce::Day, 1 + mixed(n, 100));
    }

    fn order(&mut self, n: u32, side: Side, limit: Price, time_in_force: TimeInForce, quantity: u32) {
        self.apply(Command::NewOrder(request(
            n,
            side,
            limit,
            time_in_force,
            quantity,
        )));
    }

    fn apply(&mut self, command: Command) {
        self.apply_at(1_795_146_300_000_000_000 + (self.seq + 1) * self.step_ns, command);
    }

    fn apply_at(&mut self, nanos: u64, command: Command) {
        self.seq += 1;
        let command = Sequenced {
            seq: Seq::new(self.seq),
            time: Timestamp::from_nanos(nanos),
            command,
        };
        self.events.clear();
        while self.engine_step(&command) == Work::More {
            self.events.clear();
        }
        black_box(self.events.as_slice());
    }

    fn engine_step(&mut self, command: &Sequenced<Command>) -> Work {
        if self.engine.last_seq() == command.seq {
            self.engine.resume(&mut self.events)
        } else {
            self.engine.apply(command, &mut self.events)
        }
    }

    /// The `n`th resting order and who sent it: ids are dense from 1.
    fn target(n: u32) -> (Actor, OrderRef) {
        let actor = Actor {
            account: AccountId::new(n % MAKERS),
            admin: false,
        };
        (actor, OrderRef::Id(OrderId::new(u64::from(n) + 1)))
    }
}

#[inline(never)]
fn full_add(desk: &mut Desk) {
    for n in RESTING..RESTING + OPERATIONS {
        desk.rest(n);
    }
}

#[inline(never)]
fn full_cancel(desk: &mut Desk) {
    for n in 0..OPERATIONS {
        let (actor, order) = Desk::target(n * 617 % RESTING);
        desk.apply(Command::CancelOrder(CancelOrder { actor, order }));
    }
}

#[inline(never)]
fn full_modify(desk: &mut Desk) {
    for n in 0..OPERATIONS {
        let id = n * 617 % RESTING;
        let (_, at) = passive(id + 2 * (n % 7));
        let (actor, order) = Desk::target(id);
        desk.apply(Command::ModifyOrder(ModifyOrder {
            actor,
            order,
            quantity: None,
            price: Some(same_side(id, at)),
            trigger: None,
        }));
    }
}

#[inline(never)]
fn full_take(desk: &mut Desk) {
    for n in 0..OPERATIONS {
        let (side, limit) = aggressive(n);
        // Another account than that of the order at the head, mostly.
        desk.order(n * 31 + 7, side, limit, TimeInForce::Ioc, 1 + mixed(n, 60));
    }
}

/// Prints that reach none of the stop orders beside them.
#[inline(never)]
fn print_beside_stops(desk: &mut Desk) {
    for n in 0..OPERATIONS {
        desk.print(MID - mixed(n, DEPTH));
    }
}

/// Prints that set off one of them each, which rests as a protected market order.
#[inline(never)]
fn stop_fires(desk: &mut Desk) {
    for n in 0..OPERATIONS {
        desk.print(MID + 1 + n);
    }
}

/// Prints that reach none of the trailing stops and move none of them.
#[inline(never)]
fn print_beside_trails(desk: &mut Desk) {
    for n in 0..OPERATIONS {
        desk.print(MID - mixed(n, DEPTH));
    }
    let last = desk.engine.instrument(InstrumentId::new(0));
    assert!(
        last.and_then(|view| view.last_price) <= Some(price(MID)),
        "none of them moved"
    );
}

/// Prints of which every fourth moves every trailing stop: few enough new highs that nobody's marks are brought up to date.
#[inline(never)]
fn print_moves_trails(desk: &mut Desk) {
    for n in 0..OPERATIONS {
        desk.print(MID + 1 + n / 4);
    }
    let first = desk.engine.position(PositionId::new(2));
    let stop = first.and_then(|position| position.trailing_stop);
    assert!(
        stop.is_some_and(|stop| stop >= price(MID + OPERATIONS / 4 - 3 * OPERATIONS)),
        "they moved"
    );
}

/// Ticks that let one order each expire.
#[inline(never)]
fn order_expires(desk: &mut Desk) {
    for _ in 0..OPERATIONS {
        let due = desk.engine.next_deadline().expect("an order expires");
        desk.apply_at(due.nanos(), Command::Tick);
    }
}

/// Orders under one of many keys of their account in the instrument.
#[inline(never)]
fn add_beside_keys(desk: &mut Desk) {
    for n in OPERATIONS..2 * OPERATIONS {
        desk.key_order(n, mixed(n, KEYS));
    }
}

/// Closes of one share each, which fill at once.
#[inline(never)]
fn close_beside_orders(desk: &mut Desk) {
    let holder = Actor {
        account: AccountId::new(1),
        admin: false,
    };
    let position = PositionId::new(2);
    for _ in 0..OPERATIONS {
        desk.apply(Command::ClosePosition(ClosePosition {
            actor: holder,
            position,
            quantity: Some(shares(1)),
        }));
    }
    let left = desk
        .engine
        .position(position)
        .map_or(0, |position| position.quantity);
    assert_eq!(left, 0, "every close filled");
}

/// Prints that reach the stop of one position each, whose exit rests.
#[inline(never)]
fn condition_fires(desk: &mut Desk) {
    for n in 0..OPERATIONS {
        desk.print(MID - 1 - n);
    }
}
