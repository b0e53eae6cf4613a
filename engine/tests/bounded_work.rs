//! Work is bounded per call: sweeps and mass cancels of 100,000 orders come in calls of at most 4,096 events, complete
//! and in order.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test code"
)]

use engine::limits::EVENTS_PER_CALL;
use engine::{
    AccountDefinition, AccountId, AccountName, Actor, CancelAll, Capacity, ClientOrderId, Command, Engine,
    Event, EventBuffer, InstrumentDefinition, InstrumentId, KillScope, KillSwitch, Money, NewOrder,
    OrderType, Price, Product, Quantity, Ratio, RiskLimits, Seq, Sequenced, Side, StrategyId, Symbol, Text,
    TimeInForce, Timestamp, TradingState, Work,
};

const ORDERS: u32 = 100_000;
const MAKER: AccountId = AccountId::new(0);
const TAKER: AccountId = AccountId::new(1);

/// An engine with one instrument, two accounts and `ORDERS` sells of one share, a thousand at each price.
struct Market {
    engine: Engine,
    buffer: EventBuffer,
    seq: u64,
}

/// Everything that a command gave, and in how many calls.
struct Outcome {
    events: Vec<Event>,
    calls: usize,
}

impl Market {
    fn new() -> Market {
        let mut market = Market {
            engine: Engine::new(Capacity {
                accounts: 2,
                instruments: 1,
                // A sixteenth is kept for exits.
                orders: ORDERS + ORDERS / 8,
                positions: 8,
                client_order_ids: 1,
            }),
            buffer: EventBuffer::new(),
            seq: 0,
        };
        market.apply(Command::DefineInstrument(Box::new(InstrumentDefinition {
            symbol: Symbol::cut("ACME"),
            exchange: Text::cut("NSE"),
            tick_size: price(5),
            lot_size: shares(1),
            freeze_quantity: shares(ORDERS),
            reference_price: price(10_000),
            price_band: Ratio::from_ppm(200_000),
            mis_allowed: true,
            banned: false,
            derivatives: false,
        })));
        for name in ["maker", "taker"] {
            market.apply(Command::DefineAccount(Box::new(AccountDefinition {
                name: AccountName::cut(name),
                opening_balance: Money::from_paise(1_000_000_000_000),
                limits: RiskLimits::unlimited_paper(),
                profile: Text::cut("test"),
                venue: false,
            })));
        }
        for index in 0..ORDERS {
            let outcome = market.apply(order(MAKER, Side::Sell, 10_000 + index / 1_000 * 5, 1));
            assert_eq!(outcome.calls, 1, "an order that rests takes one call");
        }
        market
    }

    fn apply(&mut self, command: Command) -> Outcome {
        self.seq += 1;
        let command = Sequenced {
            seq: Seq::new(self.seq),
            time: Timestamp::from_nanos(1_795_146_300_000_000_000),
            command,
        };
        self.buffer.clear();
        let mut events = Vec::new();
        let mut calls = 1;
        let mut work = self.engine.apply(&command, &mut self.buffer);
        loop {
            assert!(self.buffer.len() <= EVENTS_PER_CALL);
            events.extend_from_slice(&self.buffer);
            self.buffer.clear();
            if work == Work::Done {
                return Outcome { events, calls };
            }
            calls += 1;
            work = self.engine.resume(&mut self.buffer);
        }
    }
}

fn order(account: AccountId, side: Side, paise: u32, quantity: u32) -> Command {
    Command::NewOrder(NewOrder {
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
    })
}

fn price(paise: u32) -> Price {
    Price::from_paise(paise).expect("a positive price")
}

fn shares(shares: u32) -> Quantity {
    Quantity::new(shares).expect("a small quantity")
}

const ADMIN: Actor = Actor {
    account: MAKER,
    admin: true,
};

/// Cancelled orders in the order of their events, each exactly once.
fn cancelled(events: &[Event]) -> Vec<u64> {
    let ids = events.iter().filter_map(|event| match event {
        Event::OrderCancelled(cancelled) => Some(cancelled.order.get()),
        _ => None,
    });
    ids.collect()
}

#[test]
fn a_sweep_of_a_hundred_thousand_orders_comes_in_bounded_calls() {
    let mut market = Market::new();
    // All but the last ten prices.
    let outcome = market.apply(order(TAKER, Side::Buy, 10_495, 90_000));
    let makers: Vec<u64> = outcome
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Trade(trade) => Some(trade.maker.get()),
            _ => None,
        })
        .collect();
    assert_eq!(
        makers,
        (1..=90_000).collect::<Vec<_>>(),
        "every maker once, by price and time"
    );
    assert!(
        outcome.calls > 90_000 * 3 / EVENTS_PER_CALL,
        "{} calls",
        outcome.calls
    );
    assert_eq!(
        market.engine.account(MAKER).expect("the maker").open_orders,
        10_000
    );
    assert_eq!(market.engine.audit(), Ok(()));
}

#[test]
fn a_mass_cancel_of_a_hundred_thousand_orders_comes_in_bounded_calls() {
    let mut market = Market::new();
    let outcome = market.apply(Command::CancelAll(CancelAll {
        actor: ADMIN,
        account: None,
        strategy: None,
        instrument: None,
        side: None,
    }));
    assert_eq!(
        cancelled(&outcome.events),
        (1..=u64::from(ORDERS)).collect::<Vec<_>>()
    );
    let summary = outcome.events.iter().find_map(|event| match event {
        Event::MassCancelled(summary) => Some(summary.orders),
        _ => None,
    });
    assert_eq!(summary, Some(ORDERS));
    assert!(outcome.calls > ORDERS as usize / EVENTS_PER_CALL);
    assert!(
        market
            .engine
            .depth(InstrumentId::new(0), Side::Sell, 1)
            .is_empty()
    );
    assert_eq!(market.engine.audit(), Ok(()));
}

#[test]
fn a_kill_of_a_hundred_thousand_orders_comes_in_bounded_calls() {
    let mut market = Market::new();
    let outcome = market.apply(Command::KillSwitch(KillSwitch {
        actor: ADMIN,
        scope: KillScope::Account(MAKER),
        state: TradingState::Reducing,
        flatten: None,
        reason: Text::cut("test"),
        triggered_by: Text::cut("test"),
    }));
    assert_eq!(
        cancelled(&outcome.events),
        (1..=u64::from(ORDERS)).collect::<Vec<_>>()
    );
    assert_eq!(market.engine.audit(), Ok(()));
}
