//! Random command streams. A stream is a list of 64-bit seeds, one for each command, so that any part of it can be
//! left out and the rest still means much the same: that is what makes a failing stream small.

#![allow(dead_code, reason = "each test uses its part")]

mod definitions;
mod limits;
mod random;

use engine::{
    AccountId, Actor, AdjustCash, ByClass, CancelAll, CancelOrder, ClientOrderId, ClosePosition, Command,
    Edit, EditConditions, Heartbeat, InstrumentId, KillScope, KillSwitch, MarketPrice, ModifyOrder, Money,
    NewOrder, Notice, NoticeKind, OrderId, OrderRef, OrderType, PositionId, Price, Product, Quantity, Ratio,
    Rearm, RiskLimits, Seq, Sequenced, SessionCalendar, Side, StrategyDefinition, StrategyId, Text,
    TimeInForce, Timestamp, Timetable, TradingState, Trailing,
};

use definitions::{ACCOUNTS, account, charge_rates, definitions, redefinition};
use limits::{limits, set_limits};
pub use random::Random;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
const DAY: u64 = 86_400 * SECOND;
/// 2026-11-20 09:15 in India.
const START: u64 = 1_795_146_300 * SECOND;

/// Seeds for a stream of `length` commands.
pub fn seeds(seed: u64, length: usize) -> Vec<u64> {
    let mut random = Random::new(seed);
    (0..length).map(|_| random.draw()).collect()
}

/// An order that a command may be about.
#[derive(Clone, Copy, Debug)]
pub struct OpenOrder {
    pub id: OrderId,
    pub account: AccountId,
    pub instrument: InstrumentId,
}

/// Turns seeds into sequenced commands.
#[derive(Default)]
pub struct Stream {
    seq: u64,
    time: u64,
    /// Of the seed in turn: its remaining draws, when its command comes, and whether ticks before it are late.
    random: Random,
    next_time: u64,
    late: bool,
    /// New orders so far: about the highest id.
    orders: u32,
    /// The last order without a `client_order_id`, which is now and then sent once more.
    last_order: Option<NewOrder>,
}

impl Stream {
    /// The definitions that every stream begins with.
    pub fn begin(&mut self) -> Vec<Sequenced<Command>> {
        self.time = START;
        let commands = definitions();
        commands
            .into_iter()
            .map(|command| self.sequence(command))
            .collect()
    }

    /// `orders` small sells over a hundred prices by two accounts, then what is long: a sweep of half of them, a kill of
    /// one account and a mass cancel.
    pub fn deep_book(&mut self, orders: u32) -> Vec<Sequenced<Command>> {
        let mut commands = Vec::new();
        for index in 0..orders {
            let account = 3 + 2 * (index % 2);
            commands.push(Command::NewOrder(small_order(
                account,
                Side::Sell,
                10_000 + index % 100 * 5,
                1,
            )));
        }
        commands.push(Command::NewOrder(small_order(4, Side::Buy, 10_245, orders / 2)));
        commands.push(Command::KillSwitch(KillSwitch {
            scope: KillScope::Account(AccountId::new(3)),
            actor: Actor {
                account: AccountId::new(0),
                admin: true,
            },
            state: TradingState::Reducing,
            flatten: Some(true),
            ..kill(&mut Random::new(0))
        }));
        commands.push(Command::CancelAll(CancelAll {
            actor: Actor {
                account: AccountId::new(0),
                admin: true,
            },
            account: None,
            strategy: None,
            instrument: None,
            side: None,
        }));
        commands
            .into_iter()
            .map(|command| self.sequence(command))
            .collect()
    }

    /// Starts on a seed: draws when its command comes.
    pub fn turn(&mut self, seed: u64) {
        self.turn_to(Random::new(seed));
    }

    /// The same with what decides instead of a seed.
    pub fn turn_to(&mut self, random: Random) {
        self.random = random;
        self.next_time = self.time + pause(&mut self.random);
        self.late = self.random.percent(10);
    }

    /// The tick that is due before the seed's command, mostly on time, sometimes as late as that command (a process
    /// that was stopped). To be asked again until there is none.
    pub fn tick(&mut self, deadline: Option<Timestamp>) -> Option<Sequenced<Command>> {
        let due = deadline?.nanos();
        if due > self.next_time {
            return None;
        }
        self.time = if self.late {
            self.next_time
        } else {
            due.max(self.time)
        };
        Some(self.sequence(Command::Tick))
    }

    /// The seed's command. Most commands about orders pick one of `open`.
    pub fn command(&mut self, open: &[OpenOrder]) -> Sequenced<Command> {
        self.time = self.next_time;
        let mut random = std::mem::take(&mut self.random);
        let command = self.draw(&mut random, open);
        if let Command::NewOrder(order) = &command {
            self.orders += 1;
            self.last_order = Some(order.clone()).filter(|order| order.client_order_id.is_empty());
        }
        self.sequence(command)
    }

    /// Gives a command the next place in the stream, at the present time.
    pub fn sequence(&mut self, command: Command) -> Sequenced<Command> {
        self.seq += 1;
        Sequenced {
            seq: Seq::new(self.seq),
            time: Timestamp::from_nanos(self.time),
            command,
        }
    }
}

/// Mostly nothing or milliseconds, sometimes seconds, rarely a day.
fn pause(random: &mut Random) -> u64 {
    let scale = match random.below(1_000) {
        0 => DAY,
        1..=10 => 3_600 * SECOND,
        11..=80 => SECOND,
        81..=600 => 50 * MS,
        _ => return 0,
    };
    u64::from(random.below(1_000)) * scale / 500
}

impl Stream {
    fn draw(&self, random: &mut Random, open: &[OpenOrder]) -> Command {
        match random.below(1_000) {
            0..644 => Command::NewOrder(self.new_order(random)),
            644..648 => Command::Heartbeat(heartbeat(random)),
            648..650 => Command::SetSession(Box::new(self.calendar(random))),
            650..760 => Command::ModifyOrder(self.modify(random, open)),
            760..830 => {
                let (order, actor, _) = self.pick(random, open);
                Command::CancelOrder(CancelOrder { actor, order })
            }
            830..835 => Command::CancelAll(cancel_all(random)),
            835..895 => Command::ClosePosition(close(random)),
            895..922 => Command::MarketPrice(market_price(random)),
            922..940 => Command::EditConditions(edit_conditions(random)),
            940..949 => Command::Tick,
            949 => Command::Notice(Box::new(Notice {
                kind: random.of(&NoticeKind::ALL),
                reason: Text::cut("a test"),
            })),
            950..956 => Command::KillSwitch(kill(random)),
            956..976 => Command::Rearm(Rearm {
                actor: actor(random),
                deactivated_by: Text::cut("tester"),
            }),
            976..984 => Command::AdjustCash(AdjustCash {
                actor: actor(random),
                reason: Text::EMPTY,
                account: AccountId::new(random.below(ACCOUNTS + 1)),
                amount: Money::from_paise(i64::from(random.below(2_000_001)) - 1_000_000),
            }),
            984..991 => Command::SetLimits(Box::new(set_limits(random))),
            991..995 => Command::DefineInstrument(Box::new(redefinition(random))),
            995..998 => {
                let index = random.below(ACCOUNTS);
                Command::DefineAccount(Box::new(account(index, limits(random))))
            }
            998 => Command::DefineCharges(Box::new(charge_rates(random))),
            _ => Command::DefineStrategy(Box::new(StrategyDefinition {
                account: AccountId::new(random.below(ACCOUNTS + 1)),
                strategy: strategy(random),
                name: Text::cut("momentum"),
                limits: RiskLimits::NONE,
            })),
        }
    }

    /// Around the clock, or a day that is mostly continuous trading, with square-offs soon.
    fn calendar(&self, random: &mut Random) -> SessionCalendar {
        let now = Timestamp::from_nanos(self.time);
        let (day, second) = (now.trading_day(), now.second_of_trading_day());
        let soon = |random: &mut Random| (second + random.below(4_000)).min(86_399);
        let timetable = |random: &mut Random| {
            let closing = 80_000 + random.below(4_000);
            Timetable {
                pre_open: random.below(100),
                continuous: 100 + random.below(100),
                closing,
                closed: closing + random.below(2_000),
            }
        };
        let by_class = |random: &mut Random| ByClass {
            cash: timetable(random),
            derivatives: timetable(random),
        };
        SessionCalendar {
            timetables: random.percent(15).then(|| by_class(random)),
            square_off: ByClass {
                cash: random.percent(25).then(|| soon(random)),
                derivatives: random.percent(25).then(|| soon(random)),
            },
            holidays: (day..day + 20).filter(|_| random.percent(10)).collect(),
        }
    }

    fn new_order(&self, random: &mut Random) -> NewOrder {
        if let Some(last) = self.last_order.clone().filter(|_| random.percent(10)) {
            return last;
        }
        if !random.percent(12) {
            return self.plain_order(random, ClientOrderId::EMPTY);
        }
        // An id's order is mostly the same whenever the id is used, as of a client that tries again.
        let number = random.below(60);
        let id = ClientOrderId::cut(&format!("client-{number}"));
        if random.percent(85) {
            self.plain_order(&mut Random::new(u64::from(number)), id)
        } else {
            self.plain_order(random, id)
        }
    }

    fn plain_order(&self, random: &mut Random, client_order_id: ClientOrderId) -> NewOrder {
        let instrument = random.below(3);
        let side = random.of(&[Side::Buy, Side::Sell]);
        let at = passive(random, instrument, side);
        let quantity = order_quantity(random);
        let fraction =
            |random: &mut Random| shares(1 + random.below(quantity.max(1)) + random.below(40) / 39);
        let away = |toward: bool, paise: u32| {
            let sign = if toward { 1 } else { -1 } * side.sign();
            Some(Price::from_paise_clamped(i64::from(at) + sign * i64::from(paise)))
        };
        let stop_distance = 1 + random.below(100);
        let (has_stop, has_target) = (random.percent(70), random.percent(40));
        NewOrder {
            account: AccountId::new(random.of(&[0, 0, 1, 1, 2, 2, 3, 4, 5, 5])),
            strategy: strategy(random),
            instrument: InstrumentId::new(if random.below(300) == 0 { 7 } else { instrument }),
            side,
            product: if random.percent(if instrument == 2 { 8 } else { 80 }) {
                Product::Mis
            } else {
                Product::Cnc
            },
            order_type: order_type(random, instrument, side, at),
            time_in_force: self.time_in_force(random),
            quantity: shares(quantity),
            post_only: random.percent(8),
            disclosed: random.percent(15).then(|| fraction(random)),
            minimum: random.percent(6).then(|| fraction(random)),
            stop_loss: has_stop.then(|| away(false, stop_distance)).flatten(),
            take_profit: has_target
                .then(|| away(true, stop_distance * (1 + random.below(4))))
                .flatten(),
            client_order_id,
            metadata: None,
        }
    }

    fn time_in_force(&self, random: &mut Random) -> TimeInForce {
        match random.below(100) {
            0..65 => TimeInForce::Day,
            65..80 => TimeInForce::Ioc,
            80..88 => TimeInForce::Fok,
            _ => {
                let scale = random.of(&[0, MS, SECOND, DAY / 100]);
                TimeInForce::Gtd(Timestamp::from_nanos(
                    self.time + u64::from(random.below(200)) * scale,
                ))
            }
        }
    }

    /// An order, who asks, and the instrument to think of.
    fn pick(&self, random: &mut Random, open: &[OpenOrder]) -> (OrderRef, Actor, u32) {
        let anyone = actor(random);
        if random.percent(8) {
            let number = random.below(60);
            let client = ClientOrderId::cut(&format!("client-{number}"));
            return (OrderRef::Client(client), anyone, random.below(3));
        }
        if open.is_empty() || random.percent(15) {
            let id = 1 + random.below(self.orders + 2);
            return (OrderRef::Id(OrderId::new(u64::from(id))), anyone, random.below(3));
        }
        let order = random.of(open);
        let owner = Actor {
            account: order.account,
            admin: false,
        };
        let actor = if random.percent(80) { owner } else { anyone };
        (OrderRef::Id(order.id), actor, order.instrument.get())
    }

    fn modify(&self, random: &mut Random, open: &[OpenOrder]) -> ModifyOrder {
        let (order, actor, instrument) = self.pick(random, open);
        ModifyOrder {
            actor,
            order,
            quantity: random.percent(60).then(|| shares(order_quantity(random))),
            price: random.percent(50).then(|| price(order_price(random, instrument))),
            trigger: random.percent(25).then(|| price(order_price(random, instrument))),
        }
    }
}

/// Stops wait mostly on their own side of the price, near it.
fn order_type(random: &mut Random, instrument: u32, side: Side, at: u32) -> OrderType {
    let kind = random.below(100);
    if kind < 70 {
        return OrderType::Limit(price(at));
    }
    if kind < 81 {
        return OrderType::Market;
    }
    let tick = i64::from([5, 10, 5][instrument as usize]);
    let ahead = tick * i64::from(random.below(14)) * side.sign();
    let trigger = Price::from_paise_clamped(i64::from(order_price(random, instrument)) + ahead);
    if kind < 92 {
        let through = tick * i64::from(random.below(10)) * side.sign();
        OrderType::Stop {
            limit: Price::from_paise_clamped(i64::from(trigger.paise()) + through),
            trigger,
        }
    } else {
        OrderType::StopMarket { trigger }
    }
}

/// Around the reference price; rarely off the grid or outside the band.
fn order_price(random: &mut Random, instrument: u32) -> u32 {
    let (reference, tick) = [(10_000, 5), (245_000, 10), (40_000, 5)][instrument as usize];
    match random.below(100) {
        0 => reference + random.below(tick * 10),
        1 => reference / 2 + random.below(reference) / tick * tick,
        2..=20 => reference - 100 * tick + random.below(200) * tick,
        _ => reference - 6 * tick + random.below(13) * tick,
    }
}

/// An order's price: half of the time moved away from trading.
fn passive(random: &mut Random, instrument: u32, side: Side) -> u32 {
    let at = order_price(random, instrument);
    let tick = [5, 10, 5][instrument as usize];
    let away = i64::from(random.below(8) * tick) * -side.sign();
    if random.percent(50) {
        Price::from_paise_clamped(i64::from(at) + away).paise()
    } else {
        at
    }
}

fn order_quantity(random: &mut Random) -> u32 {
    match random.below(100) {
        0 => 0,
        1 => random.below(200_000),
        2..=10 => 10 * (1 + random.below(200)),
        11..=40 => 10 * (1 + random.below(10)),
        _ => 1 + random.below(60),
    }
}

fn strategy(random: &mut Random) -> StrategyId {
    StrategyId::new(match random.below(100) {
        0..84 => 1,
        84..97 => 2,
        _ => 3 + random.below(5),
    })
}

fn actor(random: &mut Random) -> Actor {
    Actor {
        account: AccountId::new(random.below(ACCOUNTS)),
        admin: random.percent(70),
    }
}

fn cancel_all(random: &mut Random) -> CancelAll {
    CancelAll {
        actor: actor(random),
        account: random
            .percent(80)
            .then(|| AccountId::new(random.below(ACCOUNTS + 1))),
        strategy: random.percent(20).then(|| strategy(random)),
        instrument: random.percent(40).then(|| InstrumentId::new(random.below(4))),
        side: random.percent(30).then(|| random.of(&[Side::Buy, Side::Sell])),
    }
}

fn close(random: &mut Random) -> ClosePosition {
    ClosePosition {
        actor: actor(random),
        position: PositionId::new(random.below(24)),
        quantity: random.percent(40).then(|| shares(order_quantity(random))),
    }
}

fn edit_conditions(random: &mut Random) -> EditConditions {
    let instrument = random.below(3);
    let price = |random: &mut Random| match random.below(4) {
        0 => Edit::Keep,
        1 => Edit::Remove,
        _ => Edit::Set(price(order_price(random, instrument))),
    };
    let (stop_loss, take_profit) = (price(random), price(random));
    EditConditions {
        actor: actor(random),
        position: PositionId::new(random.below(24)),
        stop_loss,
        take_profit,
        trailing: match random.below(6) {
            0 => Edit::Remove,
            1 => Edit::Set(Trailing::Percent(Ratio::from_ppm(random.below(20_000)))),
            2..=4 => Edit::Set(Trailing::Distance(Price::from_paise_clamped(i64::from(
                random.below(80),
            )))),
            _ => Edit::Keep,
        },
    }
}

fn market_price(random: &mut Random) -> MarketPrice {
    let instrument = random.below(3);
    let at = order_price(random, instrument);
    MarketPrice {
        instrument: InstrumentId::new(if random.percent(3) { 9 } else { instrument }),
        price: price(at),
    }
}

fn small_order(account: u32, side: Side, paise: u32, quantity: u32) -> NewOrder {
    NewOrder {
        account: AccountId::new(account),
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
    }
}

fn heartbeat(random: &mut Random) -> Heartbeat {
    Heartbeat {
        account: AccountId::new(random.below(ACCOUNTS + 1)),
        timeout_ms: random.of(&[0, 50, 100, 100, 1_000, 1_000, 5_000, 60_000]),
    }
}

fn kill(random: &mut Random) -> KillSwitch {
    let account = AccountId::new(random.below(ACCOUNTS));
    KillSwitch {
        actor: if random.percent(10) {
            Actor::PROCESS
        } else {
            actor(random)
        },
        scope: match random.below(4) {
            0 => KillScope::Engine,
            1 => KillScope::Strategy(account, strategy(random)),
            _ => KillScope::Account(account),
        },
        state: random.of(&[
            TradingState::Normal,
            TradingState::Reducing,
            TradingState::Reducing,
            TradingState::Halted,
        ]),
        flatten: random.of(&[None, Some(true), Some(false)]),
        reason: Text::cut("test"),
        triggered_by: Text::cut("tester"),
    }
}

fn price(paise: u32) -> Price {
    Price::from_paise(paise.max(1)).expect("a positive price")
}

fn shares(shares: u32) -> Quantity {
    Quantity::new(shares).expect("a small quantity")
}
