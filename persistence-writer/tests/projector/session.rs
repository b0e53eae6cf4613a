//! Trading sessions: random, the same for the same seed, and sequenced as the engine's loop would.

use engine::{
    AccountDefinition, AccountId, AccountName, Actor, AdjustCash, CancelAll, CancelOrder, Capacity,
    ClientOrderId, ClosePosition, Command, InstrumentDefinition, InstrumentId, KillScope, KillSwitch,
    ModifyOrder, Money, NewOrder, OrderId, OrderRef, OrderType, PositionId, Price, Product, Quantity, Ratio,
    Rearm, RiskLimits, Seq, Sequenced, Side, StrategyDefinition, StrategyId, Symbol, Text, TimeInForce,
    Timestamp, TradingState,
};
use read_model::ReadModel;

pub(crate) const MAIN: AccountId = AccountId::new(0);
pub(crate) const ASHA: AccountId = AccountId::new(1);
pub(crate) const VENUE: AccountId = AccountId::new(2);
/// Wednesday, 5 August 2026, noon in India.
pub(crate) const START_NS: u64 = 1_785_911_400_000_000_000;

const SYMBOLS: [(&str, u32); 3] = [("RELIANCE", 245_000), ("TCS", 350_000), ("M&M", 300_000)];

/// Commands in the order of a journal.
pub(crate) struct Session {
    model: ReadModel,
    now_ns: u64,
    random: u64,
    pub(crate) commands: Vec<Sequenced<Command>>,
}

impl Session {
    /// Instruments, two traders and a simulated market participant.
    pub(crate) fn new(seed: u64) -> Session {
        let mut session = Session {
            model: ReadModel::new(Capacity::default()),
            now_ns: START_NS,
            random: seed | 1,
            commands: Vec::new(),
        };
        for (symbol, reference) in SYMBOLS {
            session.sequence(Command::DefineInstrument(Box::new(InstrumentDefinition {
                symbol: Symbol::parse(symbol).unwrap(),
                exchange: Text::new("NSE").unwrap(),
                tick_size: Price::from_paise(10).unwrap(),
                lot_size: Quantity::new(1).unwrap(),
                freeze_quantity: Quantity::new(100_000).unwrap(),
                reference_price: Price::from_paise(reference).unwrap(),
                price_band: Ratio::from_ppm(100_000),
                mis_allowed: true,
                banned: false,
                derivatives: false,
            })));
        }
        for (name, venue) in [("main", false), ("asha", false), ("sim", true)] {
            session.sequence(Command::DefineAccount(Box::new(AccountDefinition {
                name: AccountName::new(name).unwrap(),
                opening_balance: Money::from_paise(100_000_000_000),
                limits: RiskLimits::maker(),
                profile: Text::new("maker").unwrap(),
                venue,
            })));
        }
        session.sequence(Command::DefineStrategy(Box::new(StrategyDefinition {
            account: ASHA,
            strategy: StrategyId::new(2),
            name: Text::new("Pairs").unwrap(),
            limits: RiskLimits::NONE,
        })));
        session
    }

    /// A session of about `steps` commands of every kind, over a few days.
    pub(crate) fn random(seed: u64, steps: usize) -> Session {
        let mut session = Session::new(seed);
        session.go_on(steps);
        session
    }

    /// So many random commands more.
    pub(crate) fn go_on(&mut self, steps: usize) {
        for _ in 0..steps {
            self.step();
        }
    }

    /// Sequences a command a millisecond later, and before it a tick where one is due.
    pub(crate) fn sequence(&mut self, command: Command) -> u64 {
        self.now_ns += 1_000_000;
        let due = self.model.engine().next_deadline();
        if due.is_some_and(|due| due.nanos() <= self.now_ns) {
            self.push(Command::Tick);
        }
        self.push(command)
    }

    fn push(&mut self, command: Command) -> u64 {
        let seq = self.model.seq().get() + 1;
        let command = Sequenced {
            seq: Seq::new(seq),
            time: Timestamp::from_nanos(self.now_ns),
            command,
        };
        self.model.apply(&command);
        self.commands.push(command);
        seq
    }

    pub(crate) fn model(&self) -> &ReadModel {
        &self.model
    }

    pub(crate) fn pass_minutes(&mut self, minutes: u64) {
        self.pass_seconds(minutes * 60);
    }

    pub(crate) fn pass_seconds(&mut self, seconds: u64) {
        self.now_ns += seconds * 1_000_000_000;
    }

    /// An order in whole rupees' tenths around the reference price.
    pub(crate) fn order(
        &mut self,
        account: AccountId,
        side: Side,
        instrument: usize,
        shares: u32,
        ticks: i64,
    ) -> NewOrder {
        let reference = i64::from(SYMBOLS[instrument].1);
        NewOrder {
            account,
            strategy: StrategyId::new(1),
            instrument: InstrumentId::new(u32::try_from(instrument).unwrap()),
            side,
            product: Product::Mis,
            order_type: OrderType::Limit(Price::from_paise_clamped(reference + ticks * 10)),
            time_in_force: TimeInForce::Day,
            quantity: Quantity::new(shares).unwrap(),
            post_only: false,
            disclosed: None,
            minimum: None,
            stop_loss: None,
            take_profit: None,
            client_order_id: ClientOrderId::EMPTY,
            metadata: None,
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        // xorshift64*
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    fn step(&mut self) {
        let command = match self.below(100) {
            0..=69 => self.random_order(),
            70..=78 => Command::CancelOrder(CancelOrder {
                actor: self.admin(),
                order: self.some_order(),
            }),
            79..=85 => Command::ModifyOrder(ModifyOrder {
                actor: self.admin(),
                order: self.some_order(),
                quantity: Quantity::new(u32::try_from(self.below(60)).unwrap() + 1),
                price: None,
                trigger: None,
            }),
            86..=91 => Command::ClosePosition(ClosePosition {
                actor: self.admin(),
                position: PositionId::new(u32::try_from(self.below(12)).unwrap() + 1),
                quantity: None,
            }),
            92 => Command::CancelAll(CancelAll {
                actor: self.admin(),
                account: Some(ASHA),
                strategy: None,
                instrument: None,
                side: None,
            }),
            93 => self.kill(),
            94..=96 => Command::Rearm(Rearm {
                actor: self.admin(),
                deactivated_by: Text::cut("ops"),
            }),
            97 => Command::AdjustCash(AdjustCash {
                actor: Actor {
                    account: AccountId::new(0),
                    admin: true,
                },
                reason: Text::EMPTY,
                account: MAIN,
                amount: Money::from_paise(i64::try_from(self.below(1_000_000)).unwrap() - 500_000),
            }),
            98 => {
                let minutes = self.below(300);
                self.pass_minutes(minutes);
                Command::Tick
            }
            _ => {
                self.now_ns += 3_000_000_000;
                Command::Tick
            }
        };
        self.sequence(command);
    }

    fn admin(&self) -> Actor {
        Actor {
            account: MAIN,
            admin: true,
        }
    }

    fn some_order(&mut self) -> OrderRef {
        let newest = self.model.history().orders().newest_first(None, None).next();
        let newest = newest.map_or(1, |order| order.id.get());
        let back = self.below(40);
        OrderRef::Id(OrderId::new(newest.saturating_sub(back).max(1)))
    }

    fn kill(&mut self) -> Command {
        let scope = match self.below(3) {
            0 => KillScope::Engine,
            1 => KillScope::Account(ASHA),
            _ => KillScope::Strategy(ASHA, StrategyId::new(2)),
        };
        Command::KillSwitch(KillSwitch {
            actor: self.admin(),
            scope,
            state: TradingState::Reducing,
            flatten: Some(self.below(2) == 0),
            reason: Text::cut("a \"test\" of ₹"),
            triggered_by: Text::cut("ops"),
        })
    }

    fn random_order(&mut self) -> Command {
        let account = [MAIN, ASHA, VENUE, VENUE][usize::try_from(self.below(4)).unwrap()];
        let side = if self.below(2) == 0 { Side::Buy } else { Side::Sell };
        let instrument = usize::try_from(self.below(3)).unwrap();
        let shares = u32::try_from(self.below(50)).unwrap() + 1;
        let ticks = i64::try_from(self.below(9)).unwrap() - 4;
        let mut order = self.order(account, side, instrument, shares, ticks);
        order.strategy = StrategyId::new(u32::try_from(self.below(3)).unwrap() + 1);
        if self.below(4) == 0 {
            order.product = Product::Cnc;
        }
        match self.below(12) {
            0 => order.order_type = OrderType::Market,
            1 => order.time_in_force = TimeInForce::Ioc,
            2 => order.time_in_force = TimeInForce::Fok,
            3 => {
                let until = Timestamp::from_nanos(self.now_ns + 7_200_000_000_000);
                order.time_in_force = TimeInForce::Gtd(until);
            }
            4 => order.order_type = OrderType::Limit(Price::from_paise(100_005).unwrap()),
            5 => {
                let number = self.commands.len();
                order.client_order_id = ClientOrderId::cut(&format!("mine-{number}"));
                order.metadata = Some(r#"{"note":"a \"b\" ₹ \u0000","n":[1,2.50]}"#.into());
            }
            6 => {
                let OrderType::Limit(price) = order.order_type else {
                    unreachable!()
                };
                let away = i64::from(price.paise()) - 2_000 * side.sign();
                order.stop_loss = Some(Price::from_paise_clamped(away));
                let target = i64::from(price.paise()) + 4_100 * side.sign();
                order.take_profit = Some(Price::from_paise_clamped(target));
            }
            _ => {}
        }
        Command::NewOrder(order)
    }
}

/// The trading day (IST) of the session's end, as the tables write it.
pub(crate) fn today(session: &Session) -> String {
    let day = session.model().time().trading_day();
    persistence_writer::projector::Kind::Date
        .text(&persistence_writer::projector::Value::Date(day))
        .unwrap()
}

/// A journal that went another way after a repair or a restore: its last command came a moment later, and it went on.
pub(crate) fn parted_at_the_end(session: &Session) -> Vec<Sequenced<Command>> {
    let mut commands = session.commands.clone();
    let last = commands.last_mut().unwrap();
    last.time = Timestamp::from_nanos(last.time.nanos() + 1);
    let next = Sequenced {
        seq: Seq::new(last.seq.get() + 1),
        time: last.time,
        command: Command::Tick,
    };
    commands.push(next);
    commands
}
