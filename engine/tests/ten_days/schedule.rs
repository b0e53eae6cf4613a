//! Ten trading days of a small market, as commands with their times: quotes that wander, entries with stops and targets,
//! stop orders, trailing stops, good-till-date and day orders, delivery that settles, closes, heartbeats, and nights under a kill
//! switch that flattens when trading begins.

use engine::{
    AccountDefinition, AccountId, AccountName, Actor, ByClass, CancelAll, ClientOrderId, ClosePosition,
    Command, Edit, EditConditions, Heartbeat, InstrumentDefinition, InstrumentId, KillScope, KillSwitch,
    Money, NewOrder, OrderType, PositionId, Price, Product, Quantity, Ratio, Rearm, RiskLimits,
    SessionCalendar, Side, StrategyId, Symbol, Text, TimeInForce, Timestamp, Timetable, TradingState,
    Trailing,
};

pub const DAYS: usize = 10;

const MINUTE: u32 = 60;
const HOUR: u32 = 3_600;
const SECOND_NS: u64 = 1_000_000_000;
/// 2026-11-20, a Friday.
const FIRST_DAY: u32 = 20_777;
/// Accounts: two of the venue, which quote and take, and three traders.
const QUOTES: AccountId = AccountId::new(0);
const TAKES: AccountId = AccountId::new(1);
const TRADERS: u32 = 3;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u32) -> u32 {
        (self.draw() % u64::from(bound)) as u32
    }
}

/// Commands in the order of their times.
pub struct Schedule {
    pub commands: Vec<(Timestamp, Command)>,
    /// When the last day is over.
    pub end: Timestamp,
    now: Timestamp,
    random: Random,
    /// The middle of the quotes of each instrument, in ticks.
    middle: [u32; 2],
}

/// Instruments: one without and one with derivatives.
const TICKS: [u32; 2] = [5, 10];

impl Schedule {
    pub fn new(seed: u64) -> Schedule {
        let calendar = calendar();
        let mut schedule = Schedule {
            commands: Vec::new(),
            end: Timestamp::ZERO,
            now: at(FIRST_DAY, 8 * HOUR),
            random: Random(seed),
            middle: [2_000, 2_000],
        };
        schedule.define(&calendar);
        let days = (FIRST_DAY..).filter(|day| calendar.is_trading_day(*day));
        for day in days.take(DAYS) {
            schedule.trade(day);
            schedule.kill_overnight(day);
            schedule.end = at(day + 1, MINUTE);
        }
        schedule
    }

    fn add(&mut self, command: Command) {
        self.commands.push((self.now, command));
    }

    fn define(&mut self, calendar: &SessionCalendar) {
        for (index, symbol) in ["ACME", "DERI"].into_iter().enumerate() {
            self.add(Command::DefineInstrument(Box::new(InstrumentDefinition {
                symbol: Symbol::cut(symbol),
                exchange: Text::cut("NSE"),
                tick_size: price(TICKS[index]),
                lot_size: shares(1),
                freeze_quantity: shares(25),
                reference_price: price(2_000 * TICKS[index]),
                price_band: Ratio::from_ppm(200_000),
                mis_allowed: true,
                banned: false,
                derivatives: index == 1,
            })));
        }
        for name in ["quotes", "takes", "asha", "bela", "chand"] {
            let is_trader = !matches!(name, "quotes" | "takes");
            self.add(Command::DefineAccount(Box::new(AccountDefinition {
                name: AccountName::cut(name),
                opening_balance: Money::from_paise(1_000_000_000),
                limits: RiskLimits::unlimited_paper(),
                profile: Text::cut("unlimited-paper"),
                venue: !is_trader,
            })));
        }
        self.add(Command::SetSession(Box::new(calendar.clone())));
    }

    /// One day: something every few minutes while the market is open, at times that are no deadlines.
    fn trade(&mut self, day: u32) {
        let mut second = 9 * HOUR + 15 * MINUTE;
        self.now = at(day, second + 30);
        self.add(Command::Rearm(Rearm {
            actor: admin(),
            deactivated_by: Text::cut("test"),
        }));
        while second < 15 * HOUR + 25 * MINUTE {
            second += 40 + self.random.below(400);
            self.now = at(day, second).saturating_add_nanos(u64::from(self.random.below(SECOND_NS as u32)));
            let instrument = self.random.below(2) as usize;
            if self.random.below(3) == 0 {
                self.quote(instrument);
            } else {
                self.act(instrument);
            }
        }
    }

    /// After hours somebody wants one of the traders out of everything.
    fn kill_overnight(&mut self, day: u32) {
        self.now = at(day, 20 * HOUR);
        let trader = AccountId::new(2 + self.random.below(TRADERS));
        self.add(Command::KillSwitch(KillSwitch {
            actor: admin(),
            scope: KillScope::Account(trader),
            state: TradingState::Reducing,
            flatten: Some(true),
            reason: Text::cut("test"),
            triggered_by: Text::cut("test"),
        }));
    }

    /// The venue's quotes wander by up to 3 %, and the last price with them.
    fn quote(&mut self, instrument: usize) {
        let step = self.random.below(121);
        self.middle[instrument] = (self.middle[instrument] + step).clamp(1_760, 2_360) - 60;
        let middle = self.middle[instrument];
        let id = InstrumentId::new(instrument as u32);
        self.add(Command::CancelAll(CancelAll {
            actor: actor(QUOTES),
            account: Some(QUOTES),
            strategy: None,
            instrument: Some(id),
            side: None,
        }));
        for level in 1..=4 {
            for (side, ticks) in [(Side::Buy, middle - level), (Side::Sell, middle + level)] {
                let order_type = OrderType::Limit(price(ticks * TICKS[instrument]));
                self.add(new_order(QUOTES, instrument, side, order_type, 20));
            }
        }
        let (side, ticks) = if self.random.below(2) == 0 {
            (Side::Buy, middle + 2)
        } else {
            (Side::Sell, middle - 2)
        };
        let order_type = OrderType::Limit(price(ticks * TICKS[instrument]));
        self.add(new_order(TAKES, instrument, side, order_type, 23));
    }

    fn act(&mut self, instrument: usize) {
        let account = AccountId::new(2 + self.random.below(TRADERS));
        let position = PositionId::new(1 + self.random.below(16));
        let command = match self.random.below(20) {
            0..=9 | 19 => self.entry(account, instrument),
            10..=12 => self.stop_order(account, instrument),
            13..=15 => {
                let middle = self.middle[instrument] * TICKS[instrument];
                let trailing = if self.random.below(2) == 0 {
                    Trailing::Distance(price(40 * TICKS[instrument]))
                } else {
                    Trailing::Percent(Ratio::from_ppm(10_000 + 5_000 * self.random.below(4)))
                };
                Command::EditConditions(EditConditions {
                    actor: Actor { account, admin: true },
                    position,
                    stop_loss: [Edit::Keep, Edit::Remove, Edit::Set(price(middle - 300))]
                        [self.random.below(3) as usize],
                    take_profit: Edit::Keep,
                    trailing: Edit::Set(trailing),
                })
            }
            16..=17 => Command::ClosePosition(ClosePosition {
                actor: Actor { account, admin: true },
                position,
                quantity: (self.random.below(2) == 0).then(|| shares(1 + self.random.below(5))),
            }),
            _ => Command::Heartbeat(Heartbeat {
                account,
                timeout_ms: 60_000 * self.random.below(30),
            }),
        };
        self.add(command);
    }

    /// Near the market, or far from it and then for the day or until some second of the next days.
    fn entry(&mut self, account: AccountId, instrument: usize) -> Command {
        let buys = self.random.below(3) > 0;
        let (side, sign) = if buys {
            (Side::Buy, 1_i64)
        } else {
            (Side::Sell, -1)
        };
        let tick = TICKS[instrument];
        let middle = self.middle[instrument];
        let ticks = |offset: i64| price((i64::from(middle) + sign * offset) as u32 * tick);
        let is_far = self.random.below(3) == 0;
        let order_type = OrderType::Limit(ticks(if is_far { -80 } else { 3 }));
        let quantity = 1 + self.random.below(25);
        let Command::NewOrder(mut order) = new_order(account, instrument, side, order_type, quantity) else {
            unreachable!("a new order");
        };
        if self.random.below(4) == 0 {
            order.product = Product::Cnc;
        }
        if is_far && self.random.below(2) == 0 {
            let until = self
                .now
                .saturating_add_nanos(u64::from(self.random.below(200_000)) * SECOND_NS);
            order.time_in_force = TimeInForce::Gtd(until.saturating_add_nanos(1));
        }
        if self.random.below(4) > 0 {
            order.stop_loss = Some(ticks(-30 - i64::from(self.random.below(90))));
            order.take_profit = Some(ticks(30 + i64::from(self.random.below(90))));
        }
        Command::NewOrder(order)
    }

    fn stop_order(&mut self, account: AccountId, instrument: usize) -> Command {
        let tick = TICKS[instrument];
        let middle = self.middle[instrument];
        let away = 5 + self.random.below(60);
        let (side, trigger) = if self.random.below(2) == 0 {
            (Side::Buy, price((middle + away) * tick))
        } else {
            (Side::Sell, price((middle - away) * tick))
        };
        let limit = match side {
            Side::Buy => price((middle + away + 4) * tick),
            Side::Sell => price((middle - away - 4) * tick),
        };
        let order_type = if self.random.below(2) == 0 {
            OrderType::Stop { limit, trigger }
        } else {
            OrderType::StopMarket { trigger }
        };
        let quantity = 1 + self.random.below(20);
        new_order(account, instrument, side, order_type, quantity)
    }
}

fn new_order(
    account: AccountId,
    instrument: usize,
    side: Side,
    order_type: OrderType,
    quantity: u32,
) -> Command {
    Command::NewOrder(NewOrder {
        account,
        strategy: StrategyId::new(1),
        instrument: InstrumentId::new(instrument as u32),
        side,
        product: Product::Mis,
        order_type,
        time_in_force: if account == TAKES {
            TimeInForce::Ioc
        } else {
            TimeInForce::Day
        },
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

/// The venue's hours with its square-offs, and a day off in the middle of the second week.
fn calendar() -> SessionCalendar {
    let cash = Timetable {
        pre_open: 9 * HOUR,
        continuous: 9 * HOUR + 15 * MINUTE,
        closing: 15 * HOUR + 30 * MINUTE,
        closed: 15 * HOUR + 30 * MINUTE,
    };
    SessionCalendar {
        timetables: Some(ByClass {
            cash,
            derivatives: Timetable {
                closing: 15 * HOUR + 15 * MINUTE,
                ..cash
            },
        }),
        square_off: ByClass {
            cash: Some(15 * HOUR + 20 * MINUTE),
            derivatives: Some(15 * HOUR + 10 * MINUTE),
        },
        holidays: vec![FIRST_DAY + 5],
    }
}

fn at(day: u32, second: u32) -> Timestamp {
    Timestamp::in_trading_day(day, second)
}

fn actor(account: AccountId) -> Actor {
    Actor {
        account,
        admin: false,
    }
}

fn admin() -> Actor {
    Actor {
        admin: true,
        ..actor(QUOTES)
    }
}

fn price(paise: u32) -> Price {
    Price::from_paise(paise).expect("a positive price")
}

fn shares(shares: u32) -> Quantity {
    Quantity::new(shares).expect("a small quantity")
}
