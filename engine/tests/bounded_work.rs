//! No call emits more than 4,096 events, however long its command is, and a command cut into calls leaves the same
//! state as it would in one: sweeps, mass cancels, kills and day rolls over 100,000 orders.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may stop on overflow"
)]

use engine::limits::EVENTS_PER_CALL;
use engine::{
    AccountDefinition, AccountId, AccountName, Actor, CancelAll, Capacity, ClientOrderId, Command, Engine,
    Event, EventBuffer, InstrumentDefinition, InstrumentId, KillScope, KillSwitch, MarketPrice, Money,
    NewOrder, OrderType, Price, Product, Quantity, Ratio, RiskLimits, Seq, Sequenced, Side, StrategyId,
    Symbol, Text, TimeInForce, Timestamp, TradingState, Work,
};

const ORDERS: u32 = 100_000;
const ORDERS_IN_ALL: usize = 100_000;
const MAKER: AccountId = AccountId::new(0);
const TAKER: AccountId = AccountId::new(1);

fn price(paise: u32) -> Price {
    Price::from_paise(paise).expect("a price")
}

fn shares(count: u32) -> Quantity {
    Quantity::new(count).expect("below the maximum")
}

struct World {
    engine: Engine,
    buffer: EventBuffer,
    time: Timestamp,
    /// Of the last command.
    events: Vec<Event>,
    calls: usize,
}

impl World {
    /// One instrument around ₹100.00, a maker and a taker without limits.
    fn new() -> World {
        let capacity = Capacity {
            accounts: 4,
            instruments: 2,
            orders: ORDERS + 10,
            positions: 16,
            client_order_ids: 16,
        };
        let mut world = World {
            engine: Engine::new(capacity),
            buffer: EventBuffer::new(),
            time: Timestamp::start_of_trading_day(20_000).saturating_add_nanos(1),
            events: Vec::new(),
            calls: 0,
        };
        world.apply(Command::DefineInstrument(Box::new(InstrumentDefinition {
            symbol: Symbol::parse("TEST").expect("a symbol"),
            exchange: Text::cut("NSE"),
            tick_size: price(1),
            lot_size: shares(1),
            freeze_quantity: shares(1_000_000),
            reference_price: price(10_000),
            price_band: Ratio::from_ppm(200_000),
            mis_allowed: true,
        })));
        for name in ["maker", "taker"] {
            let limits = RiskLimits::unlimited_paper();
            let opening_balance = Money::from_paise(1_000_000_000_000);
            let (name, profile) = (AccountName::cut(name), Text::cut("unlimited-paper"));
            let definition = AccountDefinition {
                name,
                opening_balance,
                limits,
                profile,
                venue: false,
            };
            world.apply(Command::DefineAccount(Box::new(definition)));
        }
        world.apply(Command::MarketPrice(MarketPrice {
            instrument: InstrumentId::new(0),
            price: price(10_000),
        }));
        world
    }

    fn apply(&mut self, command: Command) {
        let seq = Seq::new(self.engine.last_seq().get() + 1);
        self.events.clear();
        self.calls = 1;
        self.buffer.clear();
        let mut work = self.engine.apply(
            &Sequenced {
                seq,
                time: self.time,
                command,
            },
            &mut self.buffer,
        );
        loop {
            assert!(
                self.buffer.len() <= EVENTS_PER_CALL,
                "{} events in one call",
                self.buffer.len()
            );
            self.events.extend_from_slice(&self.buffer);
            if work == Work::Done {
                break;
            }
            assert!(
                !self.buffer.is_empty(),
                "a call that is not the last makes progress"
            );
            self.buffer.clear();
            work = self.engine.resume(&mut self.buffer);
            self.calls += 1;
        }
        assert_eq!(self.engine.audit(), Ok(()));
    }

    fn order(&mut self, account: AccountId, side: Side, paise: u32, quantity: u32) {
        let order = NewOrder {
            account,
            strategy: StrategyId::new(1),
            instrument: InstrumentId::new(0),
            side,
            product: Product::Mis,
            order_type: OrderType::Limit(price(paise)),
            time_in_force: TimeInForce::Day,
            quantity: shares(quantity),
            post_only: false,
            disclosed: None,
            minimum: None,
            stop_loss: None,
            take_profit: None,
            client_order_id: ClientOrderId::EMPTY,
            metadata: None,
        };
        self.apply_unaudited(Command::NewOrder(order));
    }

    /// Without the audit, which costs as much as the book is large.
    fn apply_unaudited(&mut self, command: Command) {
        let seq = Seq::new(self.engine.last_seq().get() + 1);
        self.buffer.clear();
        let done = self.engine.apply(
            &Sequenced {
                seq,
                time: self.time,
                command,
            },
            &mut self.buffer,
        );
        assert_eq!(done, Work::Done);
    }

    /// 100,000 offers of one share over a thousand prices.
    fn with_offers() -> World {
        let mut world = World::new();
        for place in 0..ORDERS {
            world.order(MAKER, Side::Sell, 10_000 + place % 1_000, 1);
        }
        assert_eq!(world.engine.open_orders(), ORDERS);
        world
    }

    fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| wanted(event)).count()
    }
}

fn cancelled(event: &Event) -> bool {
    matches!(event, Event::OrderCancelled(_))
}

fn admin() -> Actor {
    Actor {
        account: MAKER,
        admin: true,
    }
}

#[test]
fn a_sweep_of_the_whole_book() {
    let mut world = World::with_offers();
    let order = NewOrder {
        account: TAKER,
        strategy: StrategyId::new(1),
        instrument: InstrumentId::new(0),
        side: Side::Buy,
        product: Product::Mis,
        order_type: OrderType::Limit(price(11_000)),
        time_in_force: TimeInForce::Ioc,
        quantity: shares(ORDERS),
        post_only: false,
        disclosed: None,
        minimum: None,
        stop_loss: None,
        take_profit: None,
        client_order_id: ClientOrderId::cut("sweep"),
        metadata: None,
    };
    world.apply(Command::NewOrder(order));
    assert!(world.calls > 100, "{} calls", world.calls);
    assert_eq!(
        world.count(|event| matches!(event, Event::Trade(_))),
        ORDERS_IN_ALL
    );
    assert_eq!(world.engine.open_orders(), 0);
    let tops = world.count(|event| matches!(event, Event::TopOfBook(_)));
    assert_eq!(tops, 1, "the touch is published once, at the end");
    let prints: Vec<u32> = world
        .events
        .iter()
        .filter_map(|event| {
            if let Event::Trade(trade) = event {
                Some(trade.price.paise())
            } else {
                None
            }
        })
        .collect();
    assert!(prints.is_sorted(), "best price first");
}

#[test]
fn a_mass_cancel_of_everything() {
    let mut world = World::with_offers();
    let all = CancelAll {
        actor: admin(),
        account: None,
        strategy: None,
        instrument: None,
        side: None,
    };
    world.apply(Command::CancelAll(all));
    assert!(world.calls >= ORDERS_IN_ALL / EVENTS_PER_CALL);
    assert_eq!(world.count(cancelled), ORDERS_IN_ALL);
    assert!(
        world
            .events
            .iter()
            .any(|event| matches!(event, Event::MassCancelled(done) if done.orders == ORDERS))
    );
    assert_eq!(world.engine.open_orders(), 0);
}

#[test]
fn a_kill_switch_sweeps_before_anything_else() {
    let mut world = World::with_offers();
    world.apply(Command::KillSwitch(KillSwitch {
        actor: admin(),
        scope: KillScope::Engine,
        state: TradingState::Reducing,
        flatten: None,
        reason: Text::cut("test"),
        triggered_by: Text::cut("test"),
    }));
    assert_eq!(world.count(cancelled), ORDERS_IN_ALL);
    assert_eq!(world.engine.open_orders(), 0);
}

#[test]
fn the_day_roll_expires_day_orders() {
    let mut world = World::with_offers();
    world.time = world.engine.next_deadline().expect("the roll");
    world.apply(Command::Tick);
    assert_eq!(world.count(cancelled), ORDERS_IN_ALL);
    assert_eq!(world.engine.open_orders(), 0);
    assert!(world.engine.next_deadline().expect("the next roll") > world.time);
}
