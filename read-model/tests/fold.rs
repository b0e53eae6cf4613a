//! The history against the engine that it stands beside, on random command streams: whatever the two both know must
//! agree after every command.
#![allow(clippy::unwrap_used, reason = "a test panics where its own data is wrong")]

use engine::{
    AccountDefinition, AccountId, AccountName, Actor, CancelAll, CancelOrder, Capacity, ClientOrderId,
    ClosePosition, Command, InstrumentDefinition, InstrumentId, KillScope, KillSwitch, ModifyOrder, Money,
    NewOrder, OrderId, OrderRef, OrderStatus, OrderType, PositionId, Price, Product, Quantity, Ratio, Rearm,
    RiskLimits, Seq, Sequenced, Side, StrategyId, Symbol, Text, TimeInForce, Timestamp, TradingState,
};
use proptest::prelude::*;
use read_model::ReadModel;

const TRADERS: [AccountId; 2] = [AccountId::new(0), AccountId::new(1)];
const VENUE: AccountId = AccountId::new(2);
const RELIANCE: InstrumentId = InstrumentId::new(0);
/// Noon in India; a stream may run past midnight.
const START_NS: u64 = 1_785_911_400_000_000_000;

/// A step of a stream; ids are taken modulo what exists.
#[derive(Clone, Debug)]
enum Step {
    Order {
        account: u32,
        sell: bool,
        shares: u32,
        ticks: u32,
        market: bool,
        ioc: bool,
        client_order_id: u8,
    },
    Cancel(u64),
    Modify(u64, u32),
    CancelAll(u32),
    Close(u32),
    Kill(u32),
    Rearm,
    /// Lets this many minutes pass.
    Wait(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let order = (0..3_u32, any::<bool>(), 1..30_u32, 0..8_u32, 0..10_u8, 0..8_u8).prop_map(
        |(account, sell, shares, ticks, kind, client_order_id)| Step::Order {
            account,
            sell,
            shares,
            ticks,
            market: kind == 0,
            ioc: kind == 1,
            client_order_id,
        },
    );
    let step = prop_oneof![
        20 => order,
        4 => (0..100_u64).prop_map(Step::Cancel),
        3 => (0..100_u64, 1..40_u32).prop_map(|(order, shares)| Step::Modify(order, shares)),
        1 => (0..2_u32).prop_map(Step::CancelAll),
        2 => (0..6_u32).prop_map(Step::Close),
        1 => (0..2_u32).prop_map(Step::Kill),
        1 => Just(Step::Rearm),
        1 => (1..400_u32).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..120)
}

struct Fold {
    model: ReadModel,
    seq: u64,
    now_ns: u64,
}

impl Fold {
    fn new() -> Fold {
        let mut fold = Fold {
            model: ReadModel::new(Capacity {
                accounts: 4,
                instruments: 2,
                orders: 1_024,
                positions: 64,
                client_order_ids: 1_024,
            }),
            seq: 0,
            now_ns: START_NS,
        };
        fold.apply(Command::DefineInstrument(Box::new(InstrumentDefinition {
            symbol: Symbol::parse("RELIANCE").unwrap(),
            exchange: Text::new("NSE").unwrap(),
            tick_size: Price::from_paise(10).unwrap(),
            lot_size: Quantity::new(1).unwrap(),
            freeze_quantity: Quantity::new(100_000).unwrap(),
            reference_price: Price::from_paise(245_000).unwrap(),
            price_band: Ratio::from_ppm(100_000),
            mis_allowed: true,
            banned: false,
            derivatives: false,
        })));
        for (name, venue) in [("asha", false), ("ravi", false), ("sim", true)] {
            fold.apply(Command::DefineAccount(Box::new(AccountDefinition {
                name: AccountName::new(name).unwrap(),
                opening_balance: Money::from_paise(1_000_000_000),
                limits: RiskLimits::maker(),
                profile: Text::new("maker").unwrap(),
                venue,
            })));
        }
        fold
    }

    /// Fires what is due, then applies the command, as the engine's loop does.
    fn apply(&mut self, command: Command) {
        self.now_ns += 1_000_000;
        let due = |fold: &Fold| {
            fold.model
                .engine()
                .next_deadline()
                .is_some_and(|at| at.nanos() <= fold.now_ns)
        };
        if due(self) {
            self.sequence(Command::Tick);
        }
        self.sequence(command);
    }

    fn sequence(&mut self, command: Command) {
        self.seq += 1;
        self.model.apply(&Sequenced {
            seq: Seq::new(self.seq),
            time: Timestamp::from_nanos(self.now_ns),
            command,
        });
        self.check();
    }

    fn step(&mut self, step: &Step) {
        let admin = Actor {
            account: TRADERS[0],
            admin: true,
        };
        let any_order = |n: u64| OrderRef::Id(OrderId::new(n % self.seq.max(1) + 1));
        let command = match *step {
            Step::Order {
                account,
                sell,
                shares,
                ticks,
                market,
                ioc,
                client_order_id,
            } => {
                let limit = Price::from_paise(244_960 + ticks * 10).unwrap();
                Command::NewOrder(NewOrder {
                    account: AccountId::new(account),
                    strategy: StrategyId::new(1),
                    instrument: RELIANCE,
                    side: if sell { Side::Sell } else { Side::Buy },
                    product: Product::Mis,
                    order_type: if market {
                        OrderType::Market
                    } else {
                        OrderType::Limit(limit)
                    },
                    time_in_force: if ioc { TimeInForce::Ioc } else { TimeInForce::Day },
                    quantity: Quantity::new(shares).unwrap(),
                    post_only: false,
                    disclosed: None,
                    minimum: None,
                    stop_loss: None,
                    take_profit: None,
                    client_order_id: match client_order_id {
                        0 => ClientOrderId::new("again").unwrap(),
                        _ => ClientOrderId::EMPTY,
                    },
                    metadata: None,
                })
            }
            Step::Cancel(order) => Command::CancelOrder(CancelOrder {
                actor: admin,
                order: any_order(order),
            }),
            Step::Modify(order, shares) => Command::ModifyOrder(ModifyOrder {
                actor: admin,
                order: any_order(order),
                quantity: Quantity::new(shares),
                price: None,
                trigger: None,
            }),
            Step::CancelAll(account) => Command::CancelAll(CancelAll {
                actor: admin,
                account: Some(AccountId::new(account)),
                strategy: None,
                instrument: None,
                side: None,
            }),
            Step::Close(position) => Command::ClosePosition(ClosePosition {
                actor: admin,
                position: PositionId::new(position),
                quantity: None,
            }),
            Step::Kill(account) => Command::KillSwitch(KillSwitch {
                actor: admin,
                scope: KillScope::Account(AccountId::new(account)),
                state: TradingState::Reducing,
                flatten: Some(true),
                reason: Text::EMPTY,
                triggered_by: Text::EMPTY,
            }),
            Step::Rearm => Command::Rearm(Rearm {
                actor: admin,
                deactivated_by: Text::EMPTY,
            }),
            Step::Wait(minutes) => {
                self.now_ns += u64::from(minutes) * 60_000_000_000;
                return;
            }
        };
        self.apply(command);
    }

    fn check(&self) {
        let history = self.model.history();
        assert!(history.divergence().is_none());
        for view in self.model.engine().accounts() {
            self.check_orders(view.account);
            let open = history.orders().active(Some(view.account)).count();
            let positions = history.positions().open_count(Some(view.account));
            if view.account == VENUE {
                let seen = history.orders().newest_first(Some(VENUE), None).count();
                assert_eq!((seen, positions), (0, 0), "a venue account shows");
                continue;
            }
            assert_eq!(open, usize::try_from(view.open_orders).unwrap());
            assert_eq!(positions, usize::try_from(view.open_positions).unwrap());
            let killed = history
                .kill_of(view.account)
                .map_or(TradingState::Normal, |kill| kill.state);
            assert_eq!(killed, view.state);
            let day = history.counters(view.account);
            let closed = history.positions().closed_newest_first(Some(view.account), None);
            let realised = closed.fold(Money::ZERO, |sum, (_, closed)| sum.saturating_add(closed.net()));
            assert_eq!(day.realised_of_closed, realised);
        }
        for open in history.positions().open_newest_first(None) {
            let view = self.model.engine().position(open.position).unwrap();
            assert_eq!((open.quantity, open.cost), (view.quantity, view.cost));
        }
        self.check_explanations();
    }

    /// The fills of each position, added up by the history's own arithmetic, come to the engine's numbers to the paisa.
    fn check_explanations(&self) {
        let history = self.model.history();
        for view in self
            .model
            .engine()
            .positions()
            .filter(|view| view.account != VENUE)
        {
            let Some(explanation) = history.explanation(view.position) else {
                assert_eq!((view.quantity, view.realised), (0, Money::ZERO));
                continue;
            };
            let mut running = explanation.base;
            for fill in &explanation.fills {
                assert_eq!(fill.position, view.position);
                running.take(fill.side, fill.quantity, fill.price, &fill.charges);
            }
            assert_eq!(running, explanation.end);
            assert_eq!(
                (
                    running.quantity,
                    running.cost,
                    running.realised,
                    running.charges.total()
                ),
                (view.quantity, view.cost, view.realised, view.charges)
            );
            let instrument = self.model.engine().instrument(view.instrument);
            let mark = instrument.and_then(|instrument| instrument.last_price).unwrap();
            let value = Money::from_wide(i128::from(mark.paise()) * i128::from(view.quantity));
            assert_eq!(value.saturating_sub(running.cost), view.unrealised);
        }
    }

    /// Each order against its fills, and the day's counters against both.
    fn check_orders(&self, account: AccountId) {
        let history = self.model.history();
        let (mut filled_today, mut finished_today) = (0_u64, 0_u64);
        let midnight = Timestamp::start_of_trading_day(self.model.time().trading_day());
        for order in history.orders().newest_first(Some(account), None) {
            let filled = order.status == OrderStatus::Filled;
            assert_eq!(filled, order.filled_at.is_some(), "{order:?}");
            assert!(!filled || order.filled == order.quantity, "{order:?}");
            assert_eq!(order.status == OrderStatus::Rejected, order.rejection.is_some());
            assert_eq!(
                order.status == OrderStatus::Cancelled,
                order.cancel_reason.is_some()
            );
            filled_today += u64::from(filled);
            finished_today += u64::from(!order.status.is_active());
            if order.created < midnight {
                continue;
            }
            let fills = history.fills_newest_first(Some(account), None);
            let (shares, notional, charges) = fills.filter(|(_, fill)| fill.order == order.id).fold(
                (0, Money::ZERO, Money::ZERO),
                |(shares, notional, charges), (_, fill)| {
                    (
                        shares + fill.quantity.shares(),
                        notional.saturating_add(fill.gross()),
                        charges.saturating_add(fill.charges.total()),
                    )
                },
            );
            assert_eq!(
                (order.filled.shares(), order.notional, order.charges),
                (shares, notional, charges)
            );
        }
        let day = history.counters(account);
        assert_eq!(day.filled, filled_today);
        assert_eq!(day.filled + day.cancelled + day.rejected, finished_today);
        assert_eq!(
            day.trades,
            u64::try_from(history.fills_newest_first(Some(account), None).count()).unwrap()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn the_history_agrees_with_the_engine(steps in steps()) {
        let mut fold = Fold::new();
        for step in &steps {
            fold.step(step);
        }
    }

    /// Saved anywhere and restored, it goes on to the same bytes and the same history.
    #[test]
    fn a_restored_model_goes_on_like_the_one_that_was_saved(steps in steps(), at in any::<prop::sample::Index>()) {
        let mut fold = Fold::new();
        let (before, after) = steps.split_at(at.index(steps.len()));
        before.iter().for_each(|step| fold.step(step));
        let saved = fold.model.save();
        let model = ReadModel::restore(&saved).unwrap();
        prop_assert_eq!(model.save(), saved);
        let mut restored = Fold { model, seq: fold.seq, now_ns: fold.now_ns };
        for step in after {
            fold.step(step);
            restored.step(step);
        }
        prop_assert_eq!(restored.model.save(), fold.model.save());
        prop_assert_eq!(
            format!("{:?}", restored.model.history()),
            format!("{:?}", fold.model.history())
        );
        prop_assert_eq!(fold.model.audit(), Ok(()));
    }
}

#[test]
fn bytes_that_are_no_model_are_refused() {
    let mut fold = Fold::new();
    fold.step(&Step::Kill(0));
    let saved = fold.model.save();
    for len in 0..saved.len() {
        assert!(ReadModel::restore(&saved[..len]).is_err(), "{len}");
    }
    let mut future = saved;
    future[0] = 3;
    assert_eq!(
        ReadModel::restore(&future).unwrap_err(),
        read_model::RestoreError::Version(3)
    );
}
