//! Tables that all accounts share leave room for others: no account takes every `client_order_id` of a day or every place
//! of a stopped strategy, and exits have the last ids.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test support"
)]

use engine::limits::STRATEGY_STATES_OF_ACCOUNT_MAX;
use engine::{
    AccountDefinition, AccountId, Actor, Capacity, ClientOrderId, Command, Engine, Event, EventBuffer,
    InstrumentDefinition, InstrumentId, KillScope, KillSwitch, Money, NewOrder, OrderType, Price, Product,
    Quantity, Ratio, Refusal, RejectCode, RiskLimits, Seq, Sequenced, Side, StrategyId, Symbol, Text,
    TimeInForce, Timestamp, TradingState, Work,
};

const IDS: u32 = 16;
const ALICE: AccountId = AccountId::new(0);
const BOB: AccountId = AccountId::new(1);
const DAY_NS: u64 = 86_400_000_000_000;

struct Desk {
    engine: Engine,
    seen: Vec<Event>,
    seq: u64,
    now_ns: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Accepted,
    Repeated,
    Rejected(RejectCode),
}

use Outcome::{Accepted, Rejected, Repeated};

impl Desk {
    fn new() -> Desk {
        let mut desk = Desk {
            engine: Engine::new(Capacity {
                accounts: 4,
                instruments: 2,
                orders: 1_024,
                positions: 8,
                client_order_ids: IDS,
            }),
            seen: Vec::new(),
            seq: 0,
            now_ns: 1_785_900_000_000_000_000,
        };
        for name in ["alice", "bob"] {
            desk.apply(Command::DefineAccount(Box::new(AccountDefinition {
                name: Text::cut(name),
                profile: Text::cut("maker"),
                opening_balance: Money::from_paise(1_000_000_000),
                venue: false,
                limits: RiskLimits::maker(),
            })));
        }
        desk.apply(Command::DefineInstrument(Box::new(InstrumentDefinition {
            symbol: Symbol::parse("X").unwrap(),
            exchange: Text::cut("NSE"),
            tick_size: Price::from_paise(5).unwrap(),
            lot_size: Quantity::clamped(1),
            freeze_quantity: Quantity::clamped(1_000),
            reference_price: Price::from_paise(10_000).unwrap(),
            price_band: Ratio::from_ppm(100_000),
            mis_allowed: true,
            banned: false,
            derivatives: false,
        })));
        desk
    }

    fn apply(&mut self, command: Command) {
        self.seq += 1;
        self.now_ns += 1_000_000;
        let command = Sequenced {
            seq: Seq::new(self.seq),
            time: Timestamp::from_nanos(self.now_ns),
            command,
        };
        let mut events = EventBuffer::new();
        let mut work = self.engine.apply(&command, &mut events);
        self.seen = events.iter().copied().collect();
        while work == Work::More {
            events.clear();
            work = self.engine.resume(&mut events);
            self.seen.extend(events.iter().copied());
        }
        assert_eq!(self.engine.audit(), Ok(()));
    }

    /// An order for one share; an empty `id` is none.
    fn order(&mut self, account: AccountId, side: Side, paise: i64, id: &str) -> Outcome {
        self.apply(Command::NewOrder(NewOrder {
            account,
            strategy: StrategyId::new(1),
            instrument: InstrumentId::new(0),
            side,
            product: Product::Mis,
            order_type: OrderType::Limit(Price::from_paise_clamped(paise)),
            time_in_force: TimeInForce::Day,
            quantity: Quantity::clamped(1),
            post_only: false,
            disclosed: None,
            minimum: None,
            stop_loss: None,
            take_profit: None,
            client_order_id: ClientOrderId::new(id).unwrap(),
            metadata: None,
        }));
        self.seen
            .iter()
            .find_map(|event| match event {
                Event::OrderAccepted(_) => Some(Accepted),
                Event::OrderRepeated(_) => Some(Repeated),
                Event::OrderRejected(rejected) => Some(Rejected(rejected.rejection.code)),
                _ => None,
            })
            .unwrap_or_else(|| panic!("{:?}", self.seen))
    }

    /// Bids with ids that begin with `name`, and how many of `count` were accepted before the first that was not.
    fn bids(&mut self, account: AccountId, name: &str, count: usize) -> usize {
        (0..count)
            .take_while(|number| {
                self.order(account, Side::Buy, 9_900, &format!("{name}{number}")) == Accepted
            })
            .count()
    }

    /// Stops a strategy; `false` where that is refused.
    fn stop(&mut self, account: AccountId, strategy: u32) -> bool {
        self.apply(Command::KillSwitch(KillSwitch {
            actor: Actor {
                account,
                admin: false,
            },
            scope: KillScope::Strategy(account, StrategyId::new(strategy)),
            state: TradingState::Reducing,
            flatten: None,
            reason: Text::cut("drill"),
            triggered_by: Text::cut("desk"),
        }));
        !self
            .seen
            .iter()
            .any(|event| matches!(event, Event::Refused(Refusal::InvalidDefinition(_))))
    }
}

#[test]
fn no_account_takes_all_client_order_ids_and_exits_have_the_last() {
    let full = Rejected(RejectCode::ClientOrderIdCapacity);
    let mut desk = Desk::new();
    for _ in 0..3 {
        assert_eq!(desk.order(ALICE, Side::Sell, 10_000, ""), Accepted);
        assert_eq!(desk.order(BOB, Side::Buy, 10_000, ""), Accepted);
    }
    assert_eq!(desk.bids(ALICE, "a", 16), 12, "three quarters of the day's");
    assert_eq!(desk.order(ALICE, Side::Buy, 9_900, "a12"), full);
    assert_eq!(desk.order(ALICE, Side::Buy, 9_900, ""), Accepted);
    assert_eq!(desk.order(ALICE, Side::Buy, 9_900, "a3"), Repeated);
    assert_eq!(desk.bids(BOB, "b", 16), 3, "the last sixteenth is for exits");
    assert_eq!(desk.order(BOB, Side::Sell, 10_500, "out"), Accepted);
    assert_eq!(desk.order(BOB, Side::Sell, 10_500, "out"), Repeated);
    assert_eq!(desk.order(BOB, Side::Sell, 10_500, "again"), full);
    assert_eq!(desk.order(BOB, Side::Sell, 10_500, ""), Accepted);
    // Remembered for the day after, too, and that day has its own.
    desk.now_ns += DAY_NS;
    desk.apply(Command::Tick);
    assert_eq!(desk.order(ALICE, Side::Buy, 9_900, "a3"), Repeated);
    assert_eq!(desk.bids(ALICE, "c", 16), 12);
    desk.now_ns += DAY_NS;
    desk.apply(Command::Tick);
    assert_eq!(desk.order(ALICE, Side::Buy, 9_900, "a3"), Accepted);
    assert_eq!(desk.order(ALICE, Side::Buy, 9_900, "c3"), Repeated);
}

#[test]
fn no_account_takes_every_place_of_a_stopped_strategy() {
    let mut desk = Desk::new();
    let most = u32::try_from(STRATEGY_STATES_OF_ACCOUNT_MAX).unwrap();
    for strategy in 1..=most {
        assert!(desk.stop(ALICE, strategy), "{strategy}");
    }
    assert!(!desk.stop(ALICE, most + 1));
    assert!(desk.stop(ALICE, 1), "it is stopped");
    assert!(desk.stop(BOB, 1));
}
