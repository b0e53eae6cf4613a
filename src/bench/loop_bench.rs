//! `pinion bench loop`: a command into the gateway's ring, through the real engine thread, its events out of the outbound
//! ring. Workload B through the whole engine; what leaves the ring has to be what the reference book traded.

use std::fmt;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use api_sidecar::latency::StampClock;
use clap::Args;
use engine::lane::{Input, JournalEntry, Outbound, Request};
use engine::{Command, Engine, Event, InstrumentId, MarketPrice, Price};
use rtrb::{Consumer, Producer, RingBuffer};
use scheduling::SharedCore;
use serde_json::{Value, json};

use super::engine_bench::EngineBenchError;
use super::event_books::EventBooks;
use super::full_run::FullRun;
use super::latency::{Latency, Stopwatch};
use super::limits::{PRICE_START, TURN_COMMANDS};
use super::workload::{Name, Workload};
use crate::config::Wait;
use crate::engine_thread::{self, Lanes, rest};
use crate::limits::{GATEWAY_RING, JOURNAL_RING, MARKET_RING, OUTBOUND_RING};
use crate::sequencer::Sequencer;

#[derive(Args, Clone, Debug)]
#[command(args_override_self = true)]
pub struct LoopBenchArgs {
    /// Commands of workload B after its prefill.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    pub commands: u32,
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// How both threads wait: busy-spin, yield or park.
    #[arg(long, value_name = "STRATEGY", default_value = "yield")]
    pub wait: Wait,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug)]
pub struct LoopReport {
    commands: u32,
    wait: Wait,
    /// From the push of a command to its last event, one command under way.
    one_at_a_time: Latency,
    empty: Latency,
    /// The same beside a market that never stops.
    beside_market: Latency,
    turn: Turn,
    /// All commands, as many under way as the gateway's ring holds.
    stream_ns: u128,
}

/// Commands that each lane gets served in a turn of the loop where both have more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Turn {
    gateway: u32,
    market: u32,
}

/// Measures all ways of use.
///
/// # Errors
/// Where what came out is not what the workload comes to.
pub fn run(args: &LoopBenchArgs) -> Result<LoopReport, EngineBenchError> {
    let workload = Workload::generate(Name::B, None, args.commands as usize, args.seed);
    let run = FullRun::new(&workload);
    Ok(LoopReport {
        commands: args.commands,
        wait: args.wait,
        one_at_a_time: one_at_a_time(&run, &workload, args.wait)?,
        beside_market: beside_market(&run, &workload, args.wait)?,
        turn: turn(&run, &workload, args.wait)?,
        empty: Latency::of_nothing(args.commands as usize),
        stream_ns: stream(&run, &workload, args.wait)?,
    })
}

/// The far ends of the engine thread's rings.
struct Edges {
    gateway: Producer<Request>,
    journal: Consumer<JournalEntry>,
    outbound: Consumer<Outbound>,
    engine: JoinHandle<Sequencer>,
}

impl Edges {
    fn new(engine: Engine, wait: Wait) -> Edges {
        Edges::of(engine, wait, RingBuffer::new(GATEWAY_RING), None)
    }

    /// With what the lanes already hold.
    fn of(
        engine: Engine,
        wait: Wait,
        (gateway_in, gateway): (Producer<Request>, Consumer<Request>),
        market: Option<Consumer<Command>>,
    ) -> Edges {
        let (journal_in, journal) = RingBuffer::new(JOURNAL_RING);
        let (outbound_in, outbound) = RingBuffer::new(OUTBOUND_RING);
        // Nobody speaks on the control lane: it is closed from the start.
        let (_, control) = crossbeam_channel::bounded(0);
        let lanes = Lanes {
            control,
            gateway,
            market,
        };
        let sequencer = Sequencer::new(engine, journal_in, outbound_in, StampClock::new());
        Edges {
            gateway: gateway_in,
            journal,
            outbound,
            engine: thread::spawn(move || engine_thread::run(sequencer, lanes, wait, &SharedCore::default())),
        }
    }

    /// Pushes a command; `false` while the ring is full.
    fn push(&mut self, run: &FullRun<'_>, index: usize) -> bool {
        self.gateway.push(request(run, index)).is_ok()
    }

    /// Takes what is in the outbound ring, and throws the journal's entries away. Gives the number of items.
    fn drain(&mut self, mut see: impl FnMut(&Outbound)) -> usize {
        while self.journal.pop().is_ok() {}
        let slots = self.outbound.slots();
        if let Ok(chunk) = self.outbound.read_chunk(slots) {
            let (first, second) = chunk.as_slices();
            first.iter().chain(second).for_each(&mut see);
            chunk.commit_all();
        }
        slots
    }

    /// Sends one command and collects everything up to its last event. `meanwhile` is called in every turn.
    fn send(
        &mut self,
        run: &FullRun<'_>,
        index: usize,
        wait: Wait,
        items: &mut Vec<Outbound>,
        mut meanwhile: impl FnMut(),
    ) {
        items.clear();
        // The ring is empty: nothing else is under way.
        let pushed = self.push(run, index);
        let mut answers = Answers::default();
        let mut idle = 0;
        while pushed && answers.ended == 0 {
            meanwhile();
            let drained = self.drain(|item| {
                items.push(*item);
                answers.see(item);
            });
            idle = if drained == 0 { idle + 1 } else { 0 };
            if idle > 0 {
                rest(wait, idle);
            }
        }
    }

    /// Ends the engine thread.
    fn finish(self) {
        let Edges { gateway, engine, .. } = self;
        drop(gateway);
        engine.join().expect("the engine thread does not panic");
    }
}

fn request(run: &FullRun<'_>, index: usize) -> Request {
    Request {
        token: index as u64,
        input: Input::Command(run.command(index)),
    }
}

/// The market's: the price that the workload starts from.
fn price() -> Command {
    Command::MarketPrice(MarketPrice {
        instrument: InstrumentId::new(0),
        price: Price::from_paise_clamped(i64::from(PRICE_START)),
    })
}

/// Fills a ring as far as it takes.
fn fill(market: &mut Producer<Command>) {
    while market.push(price()).is_ok() {}
}

/// Counts commands that have ended; what the engine does by itself has no token and does not count.
#[derive(Default)]
struct Answers {
    answering: bool,
    ended: u64,
    trades: u64,
    traded_quantity: u64,
}

impl Answers {
    fn see(&mut self, item: &Outbound) {
        match item {
            Outbound::Begin { token, .. } => self.answering = token.is_some(),
            Outbound::End { .. } => self.ended += u64::from(self.answering),
            Outbound::Event(Event::Trade(trade)) => {
                self.trades += 1;
                self.traded_quantity += u64::from(trade.quantity.shares());
            }
            _ => {}
        }
    }
}

fn wrong(what: &str) -> EngineBenchError {
    EngineBenchError::WrongResult(vec![what.to_owned()])
}

fn one_at_a_time(run: &FullRun<'_>, workload: &Workload, wait: Wait) -> Result<Latency, EngineBenchError> {
    let mut edges = Edges::new(run.engine().0, wait);
    let mut books = EventBooks::new(1);
    let mut items = Vec::with_capacity(OUTBOUND_RING);
    let mut stopwatch = Stopwatch::new(workload.commands());
    for index in 0..workload.records.len() {
        if index < workload.name.prefill() {
            edges.send(run, index, wait, &mut items, || ());
        } else {
            stopwatch.time(|| edges.send(run, index, wait, &mut items, || ()));
        }
        items.iter().for_each(|item| books.see(item));
        books.end_of_command(0);
    }
    edges.finish();
    match books.finish() == workload.outcome {
        true => Ok(stopwatch.finish()),
        false => Err(wrong("the engine thread's events are not those of the workload")),
    }
}

/// Commands of each lane in a turn of the loop where both are full: whether the order of polling is kept is seen in the
/// journal's ring. Their events all fit into the outbound ring: a loop that waits for its reader begins again with the
/// gateway's lane.
fn turn(run: &FullRun<'_>, workload: &Workload, wait: Wait) -> Result<Turn, EngineBenchError> {
    let (mut gateway_in, gateway) = RingBuffer::new(GATEWAY_RING);
    let count = workload.records.len().min(TURN_COMMANDS);
    for index in 0..count {
        let pushed = gateway_in.push(request(run, index));
        debug_assert!(pushed.is_ok(), "the ring holds them all");
    }
    let (mut market_in, market) = RingBuffer::new(MARKET_RING);
    fill(&mut market_in);
    let mut edges = Edges::of(run.engine().0, wait, (gateway_in, gateway), Some(market));
    let (mut runs, mut from_gateway) = (Vec::<(bool, u32)>::new(), 0);
    while from_gateway < count {
        while edges.outbound.pop().is_ok() {}
        let Ok(entry) = edges.journal.pop() else {
            thread::yield_now();
            continue;
        };
        let JournalEntry::Command { command, .. } = entry else {
            continue;
        };
        let is_market = match command.command {
            Command::MarketPrice(_) => true,
            Command::Tick | Command::HashCheck(_) => continue,
            _ => false,
        };
        from_gateway += usize::from(!is_market);
        match runs.last_mut() {
            Some((last, length)) if *last == is_market => *length += 1,
            _ => runs.push((is_market, 1)),
        }
    }
    drop(market_in);
    edges.finish();
    // The last turn of the gateway's lane may be a part of one.
    runs.pop();
    let length = |of| {
        runs.iter()
            .find(|&&(is_market, _)| is_market == of)
            .map(|run| run.1)
    };
    let (Some(gateway), Some(market)) = (length(false), length(true)) else {
        return Err(wrong("a lane had no turn while the other was full"));
    };
    let turn = Turn { gateway, market };
    let expected = |&(is_market, length): &(bool, u32)| length == if is_market { market } else { gateway };
    match runs.iter().all(expected) {
        true => Ok(turn),
        false => Err(wrong("the lanes' turns differ in length while both are full")),
    }
}

/// One command under way while the market's lane is always full.
fn beside_market(run: &FullRun<'_>, workload: &Workload, wait: Wait) -> Result<Latency, EngineBenchError> {
    let (mut market_in, market) = RingBuffer::new(MARKET_RING);
    let mut edges = Edges::of(run.engine().0, wait, RingBuffer::new(GATEWAY_RING), Some(market));
    let mut items = Vec::with_capacity(OUTBOUND_RING);
    let mut trades = Answers::default();
    let mut stopwatch = Stopwatch::new(workload.commands());
    for index in 0..workload.records.len() {
        let mut send = || edges.send(run, index, wait, &mut items, || fill(&mut market_in));
        if index < workload.name.prefill() {
            send();
        } else {
            stopwatch.time(send);
        }
        items.iter().for_each(|item| trades.see(item));
    }
    drop(market_in);
    edges.finish();
    let outcome = &workload.outcome;
    match (trades.trades, trades.traded_quantity) == (outcome.trades, outcome.traded_quantity) {
        true => Ok(stopwatch.finish()),
        false => Err(wrong("beside the market the engine thread traded something else")),
    }
}

fn stream(run: &FullRun<'_>, workload: &Workload, wait: Wait) -> Result<u128, EngineBenchError> {
    let mut edges = Edges::new(run.engine().0, wait);
    let mut items = Vec::with_capacity(OUTBOUND_RING);
    let mut answers = Answers::default();
    let prefill = workload.name.prefill();
    for index in 0..prefill {
        edges.send(run, index, wait, &mut items, || ());
        items.iter().for_each(|item| answers.see(item));
    }
    let mut next = prefill;
    let mut idle = 0;
    let total = workload.records.len();
    let start = Instant::now();
    while answers.ended < total as u64 {
        let mut moved = 0;
        while next < total && edges.push(run, next) {
            next += 1;
            moved += 1;
        }
        moved += edges.drain(|item| answers.see(item));
        idle = if moved == 0 { idle + 1 } else { 0 };
        if idle > 0 {
            rest(wait, idle);
        }
    }
    let elapsed = start.elapsed();
    edges.finish();
    let outcome = &workload.outcome;
    match (answers.trades, answers.traded_quantity) == (outcome.trades, outcome.traded_quantity) {
        true => Ok(elapsed.as_nanos()),
        false => Err(wrong("the engine thread did not trade what the workload trades")),
    }
}

impl LoopReport {
    pub fn json(&self) -> Value {
        json!({
            "benchmark": "loop",
            "commands": self.commands,
            "wait": self.wait.as_str(),
            "one_at_a_time_p50_ns": self.one_at_a_time.p50(),
            "one_at_a_time_p99_ns": self.one_at_a_time.p99(),
            "one_at_a_time_p999_ns": self.one_at_a_time.p999(),
            "one_at_a_time_max_ns": self.one_at_a_time.max(),
            "beside_market_p50_ns": self.beside_market.p50(),
            "beside_market_p99_ns": self.beside_market.p99(),
            "turn_gateway_commands": self.turn.gateway,
            "turn_market_commands": self.turn.market,
            "empty_p50_ns": self.empty.p50(),
            "empty_p99_ns": self.empty.p99(),
            "stream_ns_per_command": self.stream_ns_per_command(),
        })
    }

    fn stream_ns_per_command(&self) -> u64 {
        u64::try_from(self.stream_ns / u128::from(self.commands)).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for LoopReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "workload B, {} commands through the engine thread; both threads wait by {}",
            self.commands,
            self.wait.as_str()
        )?;
        let rows = [
            ("one at a time", &self.one_at_a_time),
            ("beside market", &self.beside_market),
            ("empty", &self.empty),
        ];
        for (name, of) in rows {
            let (p50, p99, p999, max) = (of.p50(), of.p99(), of.p999(), of.max());
            writeln!(
                f,
                "{name:13} p50 {p50} ns, p99 {p99} ns, p99.9 {p999} ns, max {max} ns"
            )?;
        }
        let Turn { gateway, market } = self.turn;
        writeln!(
            f,
            "a turn        {gateway} commands of the gateway, then {market} of the market, both lanes full"
        )?;
        write!(f, "stream        {} ns a command", self.stream_ns_per_command())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_thread_trades_what_the_workload_trades() {
        let args = LoopBenchArgs {
            commands: 5_000,
            seed: 7,
            wait: Wait::Yield,
            json: true,
        };
        let json = run(&args).expect("the engine thread is right").json();
        assert_eq!(json["commands"], 5_000);
        assert!(json["one_at_a_time_p50_ns"].as_u64() > Some(0));
        assert_eq!(
            (&json["turn_gateway_commands"], &json["turn_market_commands"]),
            (&json!(32), &json!(2))
        );
    }
}
