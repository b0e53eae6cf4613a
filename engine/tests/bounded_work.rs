//! Work is bounded per call: sweeps and mass cancels of 100,000 orders, and 100,000 triggers or conditions that one print
//! reaches, come in calls of at most 4,096 events, complete and in order; so do exits that waited for room; and so are the levels
//! of a book bounded.

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
    AccountDefinition, AccountId, AccountName, Actor, CancelAll, CancelOrder, Capacity, Command, Engine,
    Event, EventBuffer, InstrumentDefinition, InstrumentId, KillScope, KillSwitch, MarketPrice, ModifyOrder,
    Money, NewOrder, OrderId, OrderRef, OrderType, Price, Quantity, Ratio, RiskLimits, Seq, Sequenced, Side,
    Symbol, Text, Timestamp, TradingState, Work,
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
        let mut market = Market::empty(0);
        for index in 0..ORDERS {
            let outcome = market.apply(order(MAKER, Side::Sell, 10_000 + index / 1_000 * 5, 1));
            assert_eq!(outcome.calls, 1, "an order that rests takes one call");
        }
        market
    }

    /// With two accounts and as many more, and no orders.
    fn empty(holders: u32) -> Market {
        Market::of(holders, price(5), price(10_000))
    }

    fn of(holders: u32, tick_size: Price, reference_price: Price) -> Market {
        // A sixteenth is kept for exits.
        Market::with(holders, 2 * ORDERS + ORDERS / 4, tick_size, reference_price)
    }

    /// With room for so many orders.
    fn with_room(holders: u32, orders: u32) -> Market {
        Market::with(holders, orders, price(5), price(10_000))
    }

    fn with(holders: u32, orders: u32, tick_size: Price, reference_price: Price) -> Market {
        let mut market = Market {
            engine: Engine::new(Capacity {
                accounts: 2 + holders,
                instruments: 1,
                orders,
                positions: 8 + holders,
                client_order_ids: 1,
            }),
            buffer: EventBuffer::new(),
            seq: 0,
        };
        market.apply(Command::DefineInstrument(Box::new(InstrumentDefinition {
            symbol: Symbol::cut("ACME"),
            exchange: Text::cut("NSE"),
            tick_size,
            lot_size: shares(1),
            freeze_quantity: shares(ORDERS),
            reference_price,
            price_band: Ratio::from_ppm(200_000),
            mis_allowed: true,
            banned: false,
            derivatives: false,
        })));
        let others = (0..holders).map(|holder| format!("holder-{holder}"));
        for name in ["maker".to_owned(), "taker".to_owned()].into_iter().chain(others) {
            market.apply(Command::DefineAccount(Box::new(AccountDefinition {
                name: AccountName::cut(&name),
                opening_balance: Money::from_paise(1_000_000_000_000),
                limits: RiskLimits::unlimited_paper(),
                profile: Text::cut("test"),
                venue: false,
            })));
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
    Command::NewOrder(limit_order(account, side, paise, quantity))
}

/// An SL-M buy of one share.
fn stop_buy(paise: u32) -> Command {
    Command::NewOrder(NewOrder {
        order_type: OrderType::StopMarket {
            trigger: price(paise),
        },
        ..limit_order(TAKER, Side::Buy, paise, 1)
    })
}

/// A last price from outside.
fn print(paise: u32) -> Command {
    Command::MarketPrice(MarketPrice {
        instrument: InstrumentId::new(0),
        price: price(paise),
    })
}

fn limit_order(account: AccountId, side: Side, paise: u32, quantity: u32) -> NewOrder {
    NewOrder::plain(
        account,
        InstrumentId::new(0),
        side,
        price(paise),
        shares(quantity),
    )
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

/// The triggers that were set off, in order: order id and trigger price.
fn triggered(events: &[Event]) -> Vec<(u64, u32)> {
    let rows = events.iter().filter_map(|event| match event {
        Event::OrderTriggered(triggered) => Some((triggered.order.get(), triggered.trigger_price.paise())),
        _ => None,
    });
    rows.collect()
}

#[test]
fn a_hundred_thousand_stop_orders_that_one_print_reaches_go_in_order_in_bounded_calls() {
    let mut market = Market::empty(0);
    market.apply(print(9_995));
    // A thousand at each of a hundred triggers, the furthest first.
    for index in 0..ORDERS {
        let outcome = market.apply(stop_buy(10_495 - index / 1_000 * 5));
        assert_eq!(outcome.calls, 1);
    }
    let outcome = market.apply(print(10_495));
    let mut expected: Vec<(u64, u32)> = (0..ORDERS)
        .map(|index| (u64::from(index) + 1, 10_495 - index / 1_000 * 5))
        .collect();
    expected.sort_by_key(|&(order, trigger)| (trigger, order));
    assert_eq!(
        triggered(&outcome.events),
        expected,
        "ascending triggers, then sequence, each once"
    );
    assert!(outcome.calls > ORDERS as usize / EVENTS_PER_CALL);
    // Nobody sells: all of them rest as protected market orders.
    let depth = market.engine.depth(InstrumentId::new(0), Side::Buy, usize::MAX);
    assert_eq!(depth.iter().map(|level| level.orders).sum::<u32>(), ORDERS);
    assert_eq!(market.engine.audit(), Ok(()));
}

#[test]
fn a_cascade_of_a_hundred_thousand_stop_orders_runs_to_its_end() {
    // A thousand offers at each of a hundred prices, and as many stops that wait for a print at each price.
    let mut market = Market::new();
    market.apply(print(9_995));
    for index in 0..ORDERS {
        market.apply(stop_buy(10_000 + index / 1_000 * 5));
    }
    // One share at the first price sets off the thousand stops there; the last of them buys at the second price.
    let outcome = market.apply(order(TAKER, Side::Buy, 10_000, 1));
    let first = u64::from(ORDERS) + 1;
    let set_off: Vec<u64> = triggered(&outcome.events).iter().map(|row| row.0).collect();
    assert_eq!(set_off, (first..first + u64::from(ORDERS)).collect::<Vec<_>>());
    let trades = outcome
        .events
        .iter()
        .filter(|event| matches!(event, Event::Trade(_)));
    assert_eq!(trades.count(), ORDERS as usize, "every offer was taken");
    assert!(outcome.calls > ORDERS as usize * 3 / EVENTS_PER_CALL);
    // The last stop found no offer left.
    assert_eq!(market.engine.account(TAKER).expect("the taker").open_orders, 1);
    assert_eq!(market.engine.audit(), Ok(()));
}

#[test]
fn conditions_of_a_hundred_thousand_positions_that_one_print_reaches_fire_in_bounded_calls() {
    let mut market = Market::empty(ORDERS);
    market.apply(order(MAKER, Side::Sell, 10_000, ORDERS));
    for holder in 0..ORDERS {
        let mut entry = limit_order(AccountId::new(2 + holder), Side::Buy, 10_000, 1);
        // A thousand at each of a hundred stops, and targets that end with them.
        entry.stop_loss = Some(price(9_900 - holder / 1_000 * 5));
        entry.take_profit = Some(price(10_500));
        let outcome = market.apply(Command::NewOrder(entry));
        assert_eq!(outcome.calls, 1);
    }
    let outcome = market.apply(print(9_405));
    let fired: Vec<(u32, u32)> = outcome
        .events
        .iter()
        .filter_map(|event| match event {
            Event::ConditionsChanged(changed) => {
                Some((changed.account.get() - 2, changed.fired?.trigger_price.paise()))
            }
            _ => None,
        })
        .collect();
    let expected: Vec<(u32, u32)> = (0..ORDERS)
        .map(|holder| (holder, 9_900 - holder / 1_000 * 5))
        .collect();
    assert_eq!(fired, expected, "descending triggers, then sequence, each once");
    assert!(outcome.calls > ORDERS as usize * 2 / EVENTS_PER_CALL);
    // One exit for each share, and no condition is left.
    for position in market.engine.positions().filter(|position| position.quantity > 0) {
        assert_eq!(position.closing, position.quantity, "{position:?}");
        assert_eq!((position.stop_loss, position.take_profit), (None, None));
    }
    let orders = market.engine.depth(InstrumentId::new(0), Side::Sell, usize::MAX);
    assert_eq!(
        orders.iter().map(|level| level.quantity).sum::<u64>(),
        u64::from(ORDERS)
    );
    assert_eq!(market.engine.audit(), Ok(()));
}

/// Positions of one share, a stop each, whose exits fill the order pool: as many as there is room for, the others wait. Whatever
/// makes room is used at once, by whoever has waited longest, in bounded calls.
#[test]
fn exits_that_wait_for_room_go_in_turn_in_bounded_calls() {
    const HOLDERS: u32 = 20_000;
    const BIDS: u32 = 15_000;
    let mut market = Market::with_room(HOLDERS, BIDS + BIDS / 15 + 1);
    market.apply(order(MAKER, Side::Sell, 10_000, HOLDERS));
    for holder in 0..HOLDERS {
        let mut entry = limit_order(AccountId::new(2 + holder), Side::Buy, 10_000, 1);
        entry.stop_loss = Some(price(9_900));
        market.apply(Command::NewOrder(entry));
    }
    for _ in 0..BIDS {
        market.apply(order(TAKER, Side::Buy, 9_005, 1));
    }
    let room = market.engine.capacity().orders - BIDS;
    let exits = |outcome: &Outcome| -> Vec<u32> {
        let accepted = outcome.events.iter().filter_map(|event| match event {
            Event::OrderAccepted(accepted) => Some(accepted.account.get() - 2),
            _ => None,
        });
        accepted.collect()
    };
    let outcome = market.apply(print(9_900));
    assert_eq!(
        exits(&outcome),
        (0..room).collect::<Vec<_>>(),
        "those that were first to be reached find room"
    );
    assert_eq!(market.engine.audit(), Ok(()));
    // The price is of no matter any more, and one cancellation makes room for one.
    assert!(exits(&market.apply(print(10_000))).is_empty());
    let first_bid = OrderId::new(u64::from(HOLDERS) + 2);
    let one = market.apply(Command::CancelOrder(CancelOrder {
        actor: ADMIN,
        order: OrderRef::Id(first_bid),
    }));
    assert_eq!((exits(&one), one.calls), (vec![room], 1));
    let all = market.apply(Command::CancelAll(CancelAll {
        actor: ADMIN,
        account: Some(TAKER),
        strategy: None,
        instrument: None,
        side: None,
    }));
    assert_eq!(exits(&all), (room + 1..room + BIDS).collect::<Vec<_>>());
    assert!(
        all.calls > BIDS as usize * 2 / EVENTS_PER_CALL,
        "{} calls",
        all.calls
    );
    assert_eq!(market.engine.audit(), Ok(()));
}

/// A process that ends between two calls of a command folds the whole command again: nothing fires twice, nothing is lost.
#[test]
fn a_cascade_that_was_half_fired_is_folded_again() {
    let mut market = Market::new();
    market.apply(print(9_995));
    for index in 0..ORDERS {
        market.apply(stop_buy(10_000 + index / 1_000 * 5));
    }
    let saved = market.engine.save();
    let trigger = Sequenced {
        seq: Seq::new(market.seq + 1),
        time: Timestamp::from_nanos(1_795_146_300_000_000_000),
        command: order(TAKER, Side::Buy, 10_000, 1),
    };
    let whole = market.apply(trigger.command.clone());
    for calls in [1, 2, 10] {
        let mut lost = Engine::restore(&saved).expect("what was saved");
        let mut buffer = EventBuffer::new();
        let mut work = lost.apply(&trigger, &mut buffer);
        for _ in 1..calls {
            buffer.clear();
            work = lost.resume(&mut buffer);
        }
        assert_eq!(work, Work::More, "it is half done");
        let mut restarted = Market {
            engine: Engine::restore(&saved).expect("what was saved"),
            buffer: EventBuffer::new(),
            seq: market.seq - 1,
        };
        let again = restarted.apply(trigger.command.clone());
        assert!(again.events == whole.events, "after {calls} calls");
        assert_eq!(restarted.engine.state_hash(), market.engine.state_hash());
    }
}

/// A side of a book has a level for every price: what bounds them is the orders that can rest.
#[test]
fn a_side_has_a_level_for_every_price() {
    const LEVELS: u32 = 80_001;
    const LOWEST: u32 = 160_000;
    let mut market = Market::of(0, price(1), price(200_000));
    for level in 0..LEVELS {
        let rested = market.apply(order(MAKER, Side::Buy, LOWEST + level, 1)).events;
        assert!(matches!(rested[0], Event::OrderAccepted(_)), "{rested:?}");
    }
    let beyond = market.apply(order(MAKER, Side::Buy, LOWEST + LEVELS, 1)).events;
    assert!(
        matches!(beyond[0], Event::OrderRejected(_)),
        "the last price is the band's: {beyond:?}"
    );
    let first_moves = market.apply(Command::ModifyOrder(ModifyOrder {
        actor: ADMIN,
        order: OrderRef::Id(OrderId::new(1)),
        quantity: None,
        price: Some(price(LOWEST + 1)),
        trigger: None,
    }));
    assert!(matches!(first_moves.events[0], Event::OrderModified(_)));
    let depth = market.engine.depth(InstrumentId::new(0), Side::Buy, usize::MAX);
    let last = |back: usize| (depth[depth.len() - back].price, depth[depth.len() - back].orders);
    assert_eq!(depth.len(), LEVELS as usize - 1);
    assert_eq!(
        [last(2), last(1)],
        [(price(LOWEST + 2), 1), (price(LOWEST + 1), 2)]
    );
    assert_eq!(market.engine.audit(), Ok(()));
}
