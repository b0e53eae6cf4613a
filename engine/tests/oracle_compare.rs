//! The engine against the oracle: the same events after every command, the same state after every stream.
//!
//! Set `ORACLE_SEEDS` and `ORACLE_COMMANDS` for longer or shorter runs (`make soak`, `make mutants`); `ORACLE_SHRINK=0` leaves
//! a failing stream as long as it is.

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
mod pair;
mod streams;

use std::collections::BTreeSet;
use std::fmt;

use engine::{Command, Event, Sequenced};
use proptest::prelude::*;

use oracle::Oracle;
use pair::{ORDERS, POSITIONS, Pair, open_orders};
use streams::Stream;

/// Commands between two comparisons of the whole state, with the audit of everything that is kept incrementally, in most
/// long streams. In one of [`CLOSE_LOOKS`] it comes after every command.
const STATE_INTERVAL: usize = 50;
const CLOSE_LOOKS: u64 = 50;

/// Position keys and open orders that there is room for.
#[derive(Clone, Copy)]
struct Room {
    positions: u32,
    orders: u32,
}

const ENOUGH: Room = Room {
    positions: POSITIONS,
    orders: ORDERS,
};

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
fn compare(seeds: &[u64], interval: usize, room: Room) -> Result<(), Difference> {
    let mut pair = Pair::new(room.positions, room.orders);
    let mut stream = Stream::default();
    for command in stream.begin() {
        pair.step(&command)
            .unwrap_or_else(|why| panic!("definitions differ: {why}"));
    }
    let mut commands = Vec::with_capacity(seeds.len());
    for &seed in seeds {
        stream.turn(seed);
        while let Some(tick) = stream.tick(pair.oracle.next_deadline()) {
            follow(&mut pair, tick, &mut commands)?;
        }
        let open = open_orders(&pair.oracle);
        follow(&mut pair, stream.command(&open), &mut commands)?;
        if commands.len() % interval == 0 {
            blame(&mut commands, pair.compare_state())?;
        }
    }
    blame(&mut commands, pair.compare_state())
}

fn follow(
    pair: &mut Pair,
    command: Sequenced<Command>,
    commands: &mut Vec<Sequenced<Command>>,
) -> Result<(), Difference> {
    let step = pair.step(&command);
    commands.push(command);
    blame(commands, step)
}

/// What went wrong, with the commands that led there.
fn blame(commands: &mut Vec<Sequenced<Command>>, result: Result<(), String>) -> Result<(), Difference> {
    result.map_err(|why| Difference {
        commands: std::mem::take(commands),
        why,
    })
}

/// Leaves out ever smaller parts of a failing stream while it still fails, single commands until none can go.
fn smallest(mut seeds: Vec<u64>, room: Room) -> Vec<u64> {
    let mut chunk = seeds.len().div_ceil(2);
    while chunk > 0 {
        let before = seeds.len();
        let mut start = 0;
        while start < seeds.len() {
            let mut shorter = seeds.clone();
            shorter.drain(start..(start + chunk).min(seeds.len()));
            if compare(&shorter, 1, room).is_err() {
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
                    check_seed(seed, length, ENOUGH);
                }
            });
        }
    });
}

fn check_seed(seed: u64, length: usize, room: Room) {
    let seeds = streams::seeds(seed, length);
    let interval = if seed.is_multiple_of(CLOSE_LOOKS) {
        1
    } else {
        STATE_INTERVAL
    };
    if let Err(difference) = compare(&seeds, interval, room) {
        if from_environment("ORACLE_SHRINK", 1) == 0 {
            panic!("seed {seed} of {length} commands: {}", difference.why);
        }
        let Err(difference) = compare(&smallest(seeds, room), 1, room) else {
            panic!("seed {seed}: the smallest failing stream does not fail again");
        };
        panic!("seed {seed} of {length} commands; its smallest failing part:\n{difference}");
    }
}

/// Streams whose position keys do not all fit: vacant ones give way to new ones, and where there are none the order is
/// rejected.
#[test]
fn streams_in_a_small_store_of_positions_agree() {
    for positions in [3, 12, 40] {
        for seed in 1..=40 {
            let room = Room { positions, ..ENOUGH };
            check_seed(seed, 1_500, room);
        }
    }
}

/// Streams whose orders do not all fit: what gets out of a position finds room as soon as there is any, whoever has waited
/// longest first.
#[test]
fn streams_in_a_small_pool_of_orders_agree() {
    for orders in [5, 16, 40] {
        for seed in 1..=40 {
            let room = Room { orders, ..ENOUGH };
            check_seed(seed, 1_500, room);
        }
    }
}

/// A stream whose books are first filled with small orders, so that sweeps and kills take several calls.
#[test]
fn commands_of_several_calls_agree() {
    let mut pair = Pair::default();
    let mut stream = Stream::default();
    let mut commands = Vec::new();
    let mut step = |command| {
        follow(&mut pair, command, &mut commands).unwrap_or_else(|difference| panic!("{difference}"));
    };
    for command in stream.begin().into_iter().chain(stream.deep_book(9_000)) {
        step(command);
    }
    assert!(pair.calls > commands.len(), "no command took a second call");
    blame(&mut commands, pair.compare_state()).unwrap_or_else(|difference| panic!("{difference}"));
}

/// The streams are worth comparing: they reach every kind of event and nearly every reason to refuse.
#[test]
fn streams_reach_every_kind_of_event() {
    let mut reached = BTreeSet::new();
    for seed in 1..=60 {
        let mut oracle = Oracle::new(POSITIONS as usize, ORDERS as usize);
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
    Refused:PositionClosed Refused:AboveOpenQuantity Refused:NotAuthorised
    Refused:UnknownAccount Refused:UnknownInstrument Refused:InvalidDefinition
    PhaseChanged HeartbeatSet OrderCancelled:SquareOff OrderCancelled:DeadMan OrderRejected:Session
    OrderRejected:IntradayEnded OrderRejected:StaleReference OrderRejected:StaleProtection Alert:StaleFeed
    Alert:DeadMan OrderAccepted:Close OrderAccepted:Flatten OrderAccepted:SquareOff
    Alert:DailyLossWarning Alert:DrawdownWarning Alert:PositionLossLimit Alert:MissingStopLoss
    Alert:DatabaseBehind Alert:StateDivergence Alert:DiskLow Alert:DeadLetter Alert:TableConflict Alert:JournalError
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn short_streams_agree(seeds in proptest::collection::vec(any::<u64>(), 0..400)) {
        if let Err(difference) = compare(&seeds, 1, ENOUGH) {
            return Err(TestCaseError::fail(difference.to_string()));
        }
    }
}
