//! The engine against the oracle: the same events after every command, the same state after every stream.
//!
//! Set `ORACLE_SEEDS` and `ORACLE_COMMANDS` for longer runs (`make soak`).

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    unreachable_pub,
    reason = "the oracle is plain arithmetic in a test: overflow and bad indices should stop it"
)]

mod oracle;
mod streams;

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use engine::{
    AccountId, Capacity, Command, Engine, Event, EventBuffer, InstrumentId, NewOrder, OrderRejected,
    PositionId, Rejection, Sequenced, Side, Work,
};
use proptest::prelude::*;

use oracle::Oracle;
use streams::{OpenOrder, Stream};

const CAPACITY: Capacity = Capacity {
    accounts: 16,
    instruments: 8,
    orders: 1 << 14,
    positions: 256,
    client_order_ids: 1 << 10,
};

/// Commands between two comparisons of the whole state in long streams.
const STATE_INTERVAL: usize = 50;

/// What the two disagree about, and the commands that led there.
struct Difference {
    commands: Vec<Sequenced<Command>>,
    why: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for command in &self.commands {
            writeln!(f, "{:?} {:?}", command.time, command.command)?;
        }
        f.write_str(&self.why)
    }
}

/// Runs one stream through both, to the first difference.
/// Events are compared after every command; all state after every `interval` of them and at the end.
fn compare(seeds: &[u64], interval: usize) -> Result<(), Difference> {
    let mut pair = Pair::default();
    let mut stream = Stream::default();
    for command in stream.begin() {
        pair.step(&command)
            .unwrap_or_else(|why| panic!("definitions differ: {why}"));
    }
    let mut commands = Vec::with_capacity(seeds.len());
    for &seed in seeds {
        stream.turn(seed);
        while let Some(tick) = stream.tick(pair.oracle.next_deadline()) {
            pair.follow(tick, &mut commands)?;
        }
        let open = open_orders(&pair.oracle);
        pair.follow(stream.command(&open), &mut commands)?;
        if commands.len() % interval == 0 {
            pair.compare_state(&mut commands)?;
        }
    }
    pair.compare_state(&mut commands)
}

/// The engine and the oracle side by side.
struct Pair {
    engine: Engine,
    oracle: Oracle,
    buffer: EventBuffer,
    calls: usize,
}

impl Default for Pair {
    fn default() -> Pair {
        Pair {
            engine: Engine::new(CAPACITY),
            oracle: Oracle::default(),
            buffer: EventBuffer::new(),
            calls: 0,
        }
    }
}

impl Pair {
    fn follow(
        &mut self,
        command: Sequenced<Command>,
        commands: &mut Vec<Sequenced<Command>>,
    ) -> Result<(), Difference> {
        let step = self.step(&command);
        commands.push(command);
        step.map_err(|why| Difference {
            commands: std::mem::take(commands),
            why,
        })
    }

    /// One command: the same events, the same verdict before it, the same deadline after it.
    fn step(&mut self, command: &Sequenced<Command>) -> Result<(), String> {
        let verdict = match &command.command {
            Command::NewOrder(order) if order.client_order_id.is_empty() => {
                Some(self.engine.check(order, command.time).rejection)
            }
            _ => None,
        };
        let found = self.apply_to_engine(command);
        let expected = canonical(self.oracle.apply(command));
        if found != expected {
            return Err(difference(&expected, &found));
        }
        if let (Some(verdict), Command::NewOrder(order)) = (verdict, &command.command) {
            self.compare_verdict(order, verdict, &found)?;
        }
        equal(
            "next deadline",
            self.oracle.next_deadline(),
            self.engine.next_deadline(),
        )?;
        self.nothing_is_left()?;
        exits_fit(&self.engine, &found)
    }

    /// A command that is done has left no work behind.
    fn nothing_is_left(&mut self) -> Result<(), String> {
        self.buffer.clear();
        let work = self.engine.resume(&mut self.buffer);
        if work == Work::Done && self.buffer.is_empty() {
            Ok(())
        } else {
            Err(format!("left behind: {:?}", self.buffer.as_slice()))
        }
    }

    /// All events of a command. Of a command that took several calls only the last top of each book counts.
    fn apply_to_engine(&mut self, command: &Sequenced<Command>) -> Vec<Event> {
        let mut events = Vec::new();
        self.buffer.clear();
        let mut work = self.engine.apply(command, &mut self.buffer);
        events.extend_from_slice(&self.buffer);
        self.calls += 1;
        while work == Work::More {
            self.buffer.clear();
            work = self.engine.resume(&mut self.buffer);
            self.calls += 1;
            let again: Vec<_> = self.buffer.iter().filter_map(top_instrument).collect();
            events.retain(|event| top_instrument(event).is_none_or(|top| !again.contains(&top)));
            events.extend_from_slice(&self.buffer);
        }
        canonical(events)
    }

    /// The same state, and nothing leaked.
    fn compare_state(&self, commands: &mut Vec<Sequenced<Command>>) -> Result<(), Difference> {
        let compared = compare_books(&self.engine, &self.oracle)
            .and_then(|()| compare_state(&self.engine, &self.oracle))
            .and_then(|()| self.engine.audit().map_err(String::from));
        compared.map_err(|why| Difference {
            commands: std::mem::take(commands),
            why,
        })
    }

    /// `check` before a command says what `apply` then does. Of venue accounts no rejection is published, and orders
    /// that name nothing known are refused, not rejected.
    fn compare_verdict(
        &self,
        order: &NewOrder,
        verdict: Option<Rejection>,
        found: &[Event],
    ) -> Result<(), String> {
        let published = self
            .engine
            .account(order.account)
            .is_some_and(|account| !account.venue)
            && self.engine.instrument(order.instrument).is_some();
        let rejected = found.iter().find_map(|event| match event {
            Event::OrderRejected(OrderRejected { rejection, .. }) => Some(*rejection),
            _ => None,
        });
        if !published {
            return Ok(());
        }
        equal("apply (as oracle) and check (as engine)", rejected, verdict)
    }
}

/// Never two exits for one share, and what a condition that fired left uncovered is nothing; a flat position has no
/// conditions and no exits.
fn exits_fit(engine: &Engine, events: &[Event]) -> Result<(), String> {
    for position in engine.positions() {
        let conditions = (position.stop_loss, position.take_profit, position.trailing);
        let is_flat = position.quantity == 0;
        if position.closing > position.quantity.abs() || is_flat && conditions != (None, None, None) {
            return Err(format!("{position:?}"));
        }
    }
    let mut fired = events.iter().enumerate().filter_map(|(at, event)| match event {
        Event::ConditionsChanged(changed) if changed.fired.is_some() => Some((at, changed)),
        _ => None,
    });
    fired.try_for_each(|(at, changed)| {
        let conditions = (changed.stop_loss, changed.take_profit, changed.trailing);
        let after = events[at..].iter();
        let mut closing = after.filter_map(|event| match event {
            Event::PositionClosing {
                position, quantity, ..
            } => Some((*position, *quantity)),
            _ => None,
        });
        match closing.next() {
            Some((position, quantity))
                if position == changed.position
                    && !quantity.is_zero()
                    && conditions == (None, None, None) =>
            {
                Ok(())
            }
            other => Err(format!("{changed:?} led to {other:?}")),
        }
    })
}

/// Tops of several books come in no particular order at the end of a call.
fn canonical(mut events: Vec<Event>) -> Vec<Event> {
    let tops = events
        .iter()
        .rev()
        .take_while(|event| top_instrument(event).is_some());
    let start = events.len() - tops.count();
    events[start..].sort_by_key(top_instrument);
    events
}

fn top_instrument(event: &Event) -> Option<InstrumentId> {
    match event {
        Event::TopOfBook(top) => Some(top.instrument),
        _ => None,
    }
}

fn difference(expected: &[Event], found: &[Event]) -> String {
    let mut text = String::new();
    for index in 0..expected.len().max(found.len()) {
        let (expected, found) = (expected.get(index), found.get(index));
        let write = if expected == found {
            writeln!(text, "  both   {expected:?}")
        } else {
            writeln!(text, "  oracle {expected:?}\n  engine {found:?}")
        };
        write.expect("writing to a string");
    }
    text
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, expected: T, found: T) -> Result<(), String> {
    if expected == found {
        Ok(())
    } else {
        Err(format!("{what}: oracle {expected:?}, engine {found:?}"))
    }
}

fn compare_books(engine: &Engine, oracle: &Oracle) -> Result<(), String> {
    for index in 0..oracle.all_instruments().len() as u32 {
        let id = InstrumentId::new(index);
        for side in [Side::Buy, Side::Sell] {
            let mut levels: Vec<(engine::Price, u64, u32)> = Vec::new();
            for (price, _, visible, _) in oracle.queue(id, side) {
                let visible = visible as u64;
                match levels.last_mut() {
                    Some(level) if level.0 == price => {
                        level.1 += visible;
                        level.2 += 1;
                    }
                    _ => levels.push((price, visible, 1)),
                }
            }
            let depth = engine.depth(id, side, usize::MAX);
            let depth: Vec<_> = depth
                .iter()
                .map(|level| (level.price, level.quantity, level.orders))
                .collect();
            equal(&format!("{side} depth of instrument {id}"), levels, depth)?;
        }
    }
    Ok(())
}

fn compare_state(engine: &Engine, oracle: &Oracle) -> Result<(), String> {
    let venue = |id: AccountId| oracle.all_accounts()[id.get() as usize].venue;
    for (position, index) in oracle.all_positions().iter().zip(1_u32..) {
        if venue(position.account) {
            continue;
        }
        let id = PositionId::new(index);
        let view = engine
            .position(id)
            .ok_or_else(|| format!("position {id} is missing"))?;
        let paise = |money: engine::Money| money.wide();
        equal(
            &format!("position {id}: quantity, cost, realised, charges, unrealised, settled"),
            [
                position.quantity,
                position.cost,
                position.realised,
                position.charges,
                oracle.position_unrealised(id),
                oracle.settled(id),
            ],
            [
                i128::from(view.quantity),
                paise(view.cost),
                paise(view.realised),
                paise(view.charges),
                paise(view.unrealised),
                i128::from(view.settled),
            ],
        )?;
    }
    for (account, index) in oracle.all_accounts().iter().zip(0_u32..) {
        if account.venue {
            continue;
        }
        let id = AccountId::new(index);
        let view = engine
            .account(id)
            .ok_or_else(|| format!("account {id} is missing"))?;
        let (position_margin, order_margin, available) = oracle.funds(id);
        equal(
            &format!(
                "account {id}: balance, realised, charges, peak, position margin, order margin, available"
            ),
            [
                account.balance,
                account.realised,
                account.charges,
                account.peak,
                position_margin,
                order_margin,
                available,
            ],
            [
                view.balance.wide(),
                view.realised.wide(),
                view.charges.wide(),
                view.peak.wide(),
                view.position_margin.wide(),
                view.order_margin.wide(),
                view.available.wide(),
            ],
        )?;
    }
    Ok(())
}

/// Leaves out ever smaller parts of a failing stream while it still fails, single commands until none can go.
fn smallest(mut seeds: Vec<u64>) -> Vec<u64> {
    let mut chunk = seeds.len().div_ceil(2);
    while chunk > 0 {
        let before = seeds.len();
        let mut start = 0;
        while start < seeds.len() {
            let mut shorter = seeds.clone();
            shorter.drain(start..(start + chunk).min(seeds.len()));
            if compare(&shorter, 1).is_err() {
                seeds = shorter;
            } else {
                start += chunk;
            }
        }
        if chunk > 1 || seeds.len() == before {
            chunk /= 2;
        }
    }
    seeds
}

fn from_environment(name: &str, default: usize) -> usize {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// A thousand streams of ten thousand commands, shared among the cores.
#[test]
fn long_streams_agree() {
    let count = from_environment("ORACLE_SEEDS", 1_000) as u64;
    let first = from_environment("ORACLE_FIRST_SEED", 1) as u64;
    let length = from_environment("ORACLE_COMMANDS", 10_000);
    let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let mine = (first..first + count).filter(move |seed| seed % workers == worker);
            scope.spawn(move || {
                for seed in mine {
                    check_seed(seed, length);
                }
            });
        }
    });
}

fn check_seed(seed: u64, length: usize) {
    let seeds = streams::seeds(seed, length);
    if compare(&seeds, STATE_INTERVAL).is_err() {
        let Err(difference) = compare(&smallest(seeds), 1) else {
            panic!("seed {seed}: the smallest failing stream does not fail again");
        };
        panic!("seed {seed} of {length} commands; its smallest failing part:\n{difference}");
    }
}

/// A stream whose books are first filled with small orders, so that sweeps and kills take several calls.
#[test]
fn commands_of_several_calls_agree() {
    let mut pair = Pair::default();
    let mut stream = Stream::default();
    let mut commands = Vec::new();
    let mut step = |command| {
        pair.follow(command, &mut commands)
            .unwrap_or_else(|difference| panic!("{difference}"));
    };
    for command in stream.begin().into_iter().chain(stream.deep_book(9_000)) {
        step(command);
    }
    assert!(pair.calls > commands.len(), "no command took a second call");
    pair.compare_state(&mut commands)
        .unwrap_or_else(|difference| panic!("{difference}"));
}

/// The streams are worth comparing: they reach every kind of event and nearly every reason to refuse.
#[test]
fn streams_reach_every_kind_of_event() {
    let mut reached = BTreeSet::new();
    for seed in 1..=60 {
        let mut oracle = Oracle::default();
        let mut stream = Stream::default();
        let mut events = Vec::new();
        for command in stream.begin() {
            events.extend(oracle.apply(&command));
        }
        for seed in streams::seeds(seed, 5_000) {
            stream.turn(seed);
            while let Some(tick) = stream.tick(oracle.next_deadline()) {
                events.extend(oracle.apply(&tick));
            }
            let open = open_orders(&oracle);
            events.extend(oracle.apply(&stream.command(&open)));
        }
        reached.extend(events.iter().map(kind));
    }
    let missing: Vec<_> = EXPECTED_KINDS
        .split_whitespace()
        .filter(|kind| !reached.contains(*kind))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}

/// Out of reach of random streams: capacities (their own tests), and loss limits that the kill switch forestalls.
const EXPECTED_KINDS: &str = "
    OrderAccepted OrderRepeated Fill OrderModified OrderTriggered Trade PositionMarked ConditionsChanged AccountChanged TopOfBook MassCancelled
    PositionClosing CloseRepeated InstrumentDefined AccountDefined StrategyDefined LimitsSet
    PositionChanged:Opened PositionChanged:Changed PositionChanged:Closed
    OrderCancelled:Requested OrderCancelled:MassCancel OrderCancelled:ImmediateOrCancel OrderCancelled:SelfTrade
    OrderCancelled:Expired OrderCancelled:KillSwitch OrderCancelled:ExcessExit OrderCancelled:PriceBand
    OrderRejected:InsufficientBalance OrderRejected:NoLastPrice OrderRejected:PositionLimit
    OrderRejected:RiskPerTrade OrderRejected:StopLossMissing OrderRejected:StopLossNotBelowEntry
    OrderRejected:StopLossNotAboveEntry OrderRejected:RiskRewardRatio OrderRejected:PriceSanity
    OrderRejected:QuantityBelowOne OrderRejected:QuantityAboveLimit OrderRejected:OrderToPositionRatio
    OrderRejected:CircuitBreaker OrderRejected:MisNotAllowed OrderRejected:TickSize OrderRejected:LotSize
    OrderRejected:PriceBand OrderRejected:OrderValue OrderRejected:FreezeQuantity OrderRejected:Holdings
    OrderRejected:PostOnlyWouldCross OrderRejected:FillOrKill OrderRejected:MinimumQuantity
    OrderRejected:GoodTillInPast OrderRejected:Incompatible OrderRejected:OrderRate OrderRejected:DailyOrders
    OrderRejected:OpenOrderValue OrderRejected:DisclosedQuantity OrderRejected:Banned OrderRejected:GrossExposure
    OrderRejected:NetExposure OrderRejected:SymbolPosition OrderRejected:DuplicateBurst
    OrderRejected:RepeatedExecution OrderRejected:TriggerCrossed
    Refused:UnknownOrder Refused:OrderFinished Refused:BelowFilled Refused:Rejected Refused:UnknownPosition
    Refused:PositionClosed Refused:AboveOpenQuantity Refused:AlreadyClosing Refused:NotAuthorised
    Refused:UnknownAccount Refused:UnknownInstrument Refused:InvalidDefinition
    PhaseChanged HeartbeatSet OrderCancelled:SquareOff OrderCancelled:DeadMan OrderRejected:Session
    OrderRejected:IntradayEnded OrderRejected:StaleReference OrderRejected:StaleProtection Alert:StaleFeed
    Alert:DeadMan OrderAccepted:Close OrderAccepted:Flatten OrderAccepted:SquareOff
    Alert:DailyLossWarning Alert:DrawdownWarning Alert:PositionLossLimit Alert:MissingStopLoss
    Alert:MarginUsage Alert:OrderToTrade Alert:OrderRateNearLimit
    Alert:KillSwitchDailyLoss Alert:KillSwitchDrawdown Alert:KillSwitchManual Alert:KillSwitchDeactivated
    TradingStateChanged:Normal TradingStateChanged:Reducing TradingStateChanged:Halted
";

/// An event's name, with what tells its cases apart.
fn kind(event: &Event) -> String {
    let first_word = |value: &dyn fmt::Debug| {
        let text = format!("{value:?}");
        let end = text.find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len());
        text[..end].to_owned()
    };
    let name = first_word(event);
    match event {
        Event::OrderAccepted(e) => e.cause.map_or(name.clone(), |cause| format!("{name}:{cause:?}")),
        Event::OrderRejected(e) => format!("{name}:{:?}", e.rejection.code),
        Event::OrderCancelled(e) => format!("{name}:{:?}", e.reason),
        Event::PositionChanged(e) => format!("{name}:{:?}", e.change),
        Event::Refused(e) => format!("{name}:{}", first_word(e)),
        Event::Alert(e) => format!("{name}:{:?}", e.kind),
        Event::TradingStateChanged(e) => format!("{name}:{:?}", e.state),
        _ => name,
    }
}

fn open_orders(oracle: &Oracle) -> Vec<OpenOrder> {
    let open = oracle.open_orders_of_all();
    open.map(|(id, account, instrument)| OpenOrder {
        id,
        account,
        instrument,
    })
    .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn short_streams_agree(seeds in proptest::collection::vec(any::<u64>(), 0..400)) {
        if let Err(difference) = compare(&seeds, 1) {
            return Err(TestCaseError::fail(difference.to_string()));
        }
    }
}
