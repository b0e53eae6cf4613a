//! Position keys come and go: orders that go unfilled never use the store up, whatever symbols and strategies they name;
//! keys that were filled, or have an order, stay.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::panic,
    reason = "test support"
)]

use allocation_counter::measure;
use engine::{
    AccountDefinition, AccountId, Actor, CancelAll, CancelOrder, Capacity, ClientOrderId, Command, Engine,
    Event, EventBuffer, InstrumentDefinition, InstrumentId, Money, NewOrder, OrderId, OrderRef, OrderType,
    PositionId, Price, Product, Quantity, Ratio, RejectCode, RiskLimits, Seq, Sequenced, Side, StrategyId,
    Symbol, Text, TimeInForce, Timestamp, Work,
};

const KEYS: u32 = 3;
/// More than two pages of the index of instruments.
const INSTRUMENTS: u32 = 150;
const ADMIN: Actor = Actor {
    account: AccountId::new(0),
    admin: true,
};

struct Desk {
    engine: Engine,
    buffer: EventBuffer,
    seq: u64,
}

/// What a new order names besides its price.
#[derive(Clone, Copy)]
struct Key {
    account: u32,
    instrument: u32,
    strategy: u32,
    product: Product,
}

impl Desk {
    fn new() -> Desk {
        Desk::with_keys(KEYS)
    }

    fn with_keys(keys: u32) -> Desk {
        let mut desk = Desk {
            engine: Engine::new(Capacity {
                accounts: 4,
                instruments: INSTRUMENTS,
                orders: 64 + 4 * keys,
                positions: keys,
                client_order_ids: 64,
            }),
            buffer: EventBuffer::new(),
            seq: 0,
        };
        for name in ["alice", "bob", "carol"] {
            desk.apply(Command::DefineAccount(Box::new(AccountDefinition {
                name: Text::cut(name),
                profile: Text::cut("maker"),
                opening_balance: Money::from_paise(1_000_000_000),
                venue: false,
                limits: RiskLimits {
                    orders_per_second_max: None,
                    ..RiskLimits::maker()
                },
            })));
        }
        for index in 0..INSTRUMENTS {
            desk.apply(Command::DefineInstrument(Box::new(instrument(index))));
        }
        desk
    }

    fn apply(&mut self, command: Command) -> &[Event] {
        self.seq += 1;
        self.buffer.clear();
        let command = Sequenced {
            seq: Seq::new(self.seq),
            time: Timestamp::from_nanos(1_785_900_000_000_000_000 + self.seq * 1_000_000),
            command,
        };
        let work = self.engine.apply(&command, &mut self.buffer);
        assert_eq!(work, Work::Done);
        &self.buffer
    }

    fn place(&mut self, key: Key, side: Side, paise: i64) -> Result<(OrderId, PositionId), RejectCode> {
        let events = self.apply(Command::NewOrder(NewOrder {
            account: AccountId::new(key.account),
            strategy: StrategyId::new(key.strategy),
            instrument: InstrumentId::new(key.instrument),
            side,
            product: key.product,
            order_type: OrderType::Limit(Price::from_paise_clamped(paise)),
            time_in_force: TimeInForce::Day,
            quantity: Quantity::clamped(1),
            post_only: false,
            disclosed: None,
            minimum: None,
            stop_loss: None,
            take_profit: None,
            client_order_id: ClientOrderId::EMPTY,
            metadata: None,
        }));
        events
            .iter()
            .find_map(|event| match event {
                Event::OrderAccepted(accepted) => Some(Ok((accepted.order, accepted.position))),
                Event::OrderRejected(rejected) => Some(Err(rejected.rejection.code)),
                _ => None,
            })
            .unwrap_or_else(|| panic!("no outcome"))
    }

    fn bid(&mut self, key: Key) -> Result<(OrderId, PositionId), RejectCode> {
        self.place(key, Side::Buy, 9_900)
    }

    fn cancel(&mut self, order: OrderId) {
        let events = self.apply(Command::CancelOrder(CancelOrder {
            actor: ADMIN,
            order: OrderRef::Id(order),
        }));
        assert!(
            events
                .iter()
                .any(|event| matches!(event, Event::OrderCancelled(_)))
        );
    }

    /// The same engine out of its own snapshot.
    fn restart(&mut self) {
        let (bytes, hash) = (self.engine.save(), self.engine.state_hash());
        match Engine::restore(&bytes) {
            Ok(engine) => self.engine = engine,
            Err(error) => panic!("{error}"),
        }
        assert_eq!(self.engine.state_hash(), hash);
    }

    fn audit(&self) {
        self.engine.audit().unwrap_or_else(|broken| panic!("{broken}"));
    }
}

fn instrument(index: u32) -> InstrumentDefinition {
    InstrumentDefinition {
        symbol: Symbol::cut(&format!("S{index}")),
        exchange: Text::cut("NSE"),
        tick_size: Price::from_paise_clamped(5),
        lot_size: Quantity::clamped(1),
        freeze_quantity: Quantity::clamped(100_000),
        reference_price: Price::from_paise_clamped(10_000),
        price_band: Ratio::from_ppm(100_000),
        mis_allowed: true,
        banned: false,
        derivatives: false,
    }
}

/// A key that changes in all its parts.
fn key(round: u32) -> Key {
    Key {
        account: round % 3,
        instrument: round * 7 % INSTRUMENTS,
        strategy: 1 + round,
        product: if round % 5 < 2 { Product::Cnc } else { Product::Mis },
    }
}

#[test]
fn orders_that_come_and_go_never_use_the_store_up() {
    let mut desk = Desk::new();
    for round in 0..20_000 {
        let (first, second) = (key(2 * round), key(2 * round + 1));
        let allocated = measure(|| {
            let placed = [first, second].map(|key| desk.bid(key));
            for outcome in placed {
                match outcome {
                    Ok((order, _)) => desk.cancel(order),
                    Err(code) => panic!("round {round}: {code:?}"),
                }
            }
        });
        assert!(
            round < 10 || allocated.count_total == 0,
            "round {round} allocates"
        );
        if round % 1_000 == 0 {
            desk.audit();
            desk.restart();
        }
    }
    desk.audit();
}

/// The longest vacant gives way first; its key is a new one when it comes back, with the place that is free by then.
#[test]
fn the_longest_vacant_key_gives_way() {
    let mut desk = Desk::new();
    let keys = [0, 1, 2, 3].map(key);
    let [first, second, third] =
        [0, 1, 2].map(|index| place_and_check(&mut desk, keys[index], index as u32 + 1));
    assert_eq!(desk.bid(keys[3]), Err(RejectCode::PositionCapacity));
    desk.cancel(second);
    desk.cancel(first);
    desk.cancel(third);
    desk.restart();
    let (fourth, position) = desk.bid(keys[3]).unwrap_or_else(|code| panic!("{code:?}"));
    assert_eq!(
        position,
        PositionId::new(2),
        "the second was the first to be vacant"
    );
    desk.audit();
    // A vacant key that is used again is the same key, and no longer vacant.
    place_and_check(&mut desk, keys[0], 1);
    place_and_check(&mut desk, keys[1], 3);
    assert_eq!(desk.bid(keys[2]), Err(RejectCode::PositionCapacity));
    desk.cancel(fourth);
    place_and_check(&mut desk, keys[2], 2);
    desk.audit();
}

/// However many keys an account has in one instrument, each is found, also after others gave way and over restarts.
#[test]
fn many_keys_of_one_account_in_one_instrument() {
    let mut desk = Desk::with_keys(300);
    let key = |round: u32| Key {
        account: round % 2,
        instrument: 7,
        // Neighbours, and far apart.
        strategy: if round.is_multiple_of(3) {
            round
        } else {
            round.reverse_bits()
        },
        product: if round % 5 < 2 { Product::Cnc } else { Product::Mis },
    };
    let mut placed = Vec::new();
    for round in 1..=300 {
        placed.push((key(round), place_and_check(&mut desk, key(round), round), round));
    }
    desk.audit();
    desk.restart();
    for &(key, _, position) in &placed {
        place_and_check(&mut desk, key, position);
    }
    assert_eq!(desk.bid(key(301)), Err(RejectCode::PositionCapacity));
    desk.apply(Command::CancelAll(CancelAll {
        actor: ADMIN,
        account: None,
        strategy: None,
        instrument: None,
        side: None,
    }));
    for round in 301..=450 {
        assert!(desk.bid(key(round)).is_ok(), "round {round}");
    }
    desk.audit();
    desk.restart();
    desk.audit();
}

/// A mass cancel makes many keys vacant at once, in the order in which it cancels; every one can be had again.
#[test]
fn a_mass_cancel_gives_every_key_back() {
    let mut desk = Desk::new();
    for round in 0..200 {
        for index in 0..KEYS {
            let outcome = desk.bid(key(round * KEYS + index));
            assert!(outcome.is_ok(), "round {round}: {outcome:?}");
        }
        assert_eq!(desk.bid(key(1_000_000)), Err(RejectCode::PositionCapacity));
        desk.apply(Command::CancelAll(CancelAll {
            actor: ADMIN,
            account: None,
            strategy: None,
            instrument: None,
            side: None,
        }));
        desk.audit();
    }
}

/// What was ever filled keeps its key, open or flat: its id is in trades and tables.
#[test]
fn a_key_that_was_filled_stays() {
    let mut desk = Desk::new();
    let buyer = Key {
        product: Product::Mis,
        ..key(0)
    };
    let seller = Key { account: 1, ..buyer };
    for side in [Side::Buy, Side::Sell] {
        for (key, side) in [(buyer, side), (seller, side.opposite())] {
            let outcome = desk.place(key, side, 10_000);
            assert!(outcome.is_ok(), "{outcome:?}");
        }
    }
    assert!(desk.engine.positions().all(|position| position.quantity == 0));
    for round in 10..50 {
        let (order, position) = desk.bid(key(round)).unwrap_or_else(|code| panic!("{code:?}"));
        assert_eq!(position, PositionId::new(3), "the only place that is left");
        desk.cancel(order);
    }
    let (order, position) = desk.bid(buyer).unwrap_or_else(|code| panic!("{code:?}"));
    assert_eq!(position, PositionId::new(1));
    desk.cancel(order);
    desk.restart();
    desk.audit();
}

fn place_and_check(desk: &mut Desk, key: Key, expected: u32) -> OrderId {
    let (order, position) = desk.bid(key).unwrap_or_else(|code| panic!("{code:?}"));
    assert_eq!(position, PositionId::new(expected));
    order
}
