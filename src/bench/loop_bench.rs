//! `pinion bench loop`: a command into the gateway's ring, through the real engine thread, its events out of the outbound
//! ring. Workload B through the whole engine; what leaves the ring has to be what the reference book traded.

use std::fmt;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use api_sidecar::latency::StampClock;
use clap::Args;
use engine::lane::{Input, JournalEntry, Outbound, Request};
use engine::{Engine, Event};
use rtrb::{Consumer, Producer, RingBuffer};
use serde_json::{Value, json};

use super::engine_bench::EngineBenchError;
use super::event_books::EventBooks;
use super::full_run::FullRun;
use super::latency::{Latency, Stopwatch};
use super::workload::{Name, Workload};
use crate::config::Wait;
use crate::engine_thread::{self, Lanes, rest};
use crate::limits::{GATEWAY_RING, JOURNAL_RING, OUTBOUND_RING};
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
    /// All commands, as many under way as the gateway's ring holds.
    stream_ns: u128,
}

/// Measures both ways of use.
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
        let (gateway_in, gateway) = RingBuffer::new(GATEWAY_RING);
        let (journal_in, journal) = RingBuffer::new(JOURNAL_RING);
        let (outbound_in, outbound) = RingBuffer::new(OUTBOUND_RING);
        // Nobody speaks on the control lane: it is closed from the start.
        let (_, control) = crossbeam_channel::bounded(0);
        let lanes = Lanes {
            control,
            gateway,
            market: None,
        };
        let sequencer = Sequencer::new(engine, journal_in, outbound_in, StampClock::new());
        Edges {
            gateway: gateway_in,
            journal,
            outbound,
            engine: thread::spawn(move || engine_thread::run(sequencer, lanes, wait)),
        }
    }

    /// Pushes a command; `false` while the ring is full.
    fn push(&mut self, run: &FullRun<'_>, index: usize) -> bool {
        let request = Request {
            token: index as u64,
            input: Input::Command(run.command(index)),
        };
        self.gateway.push(request).is_ok()
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

    /// Sends one command and collects everything up to its last event.
    fn send(&mut self, run: &FullRun<'_>, index: usize, wait: Wait, items: &mut Vec<Outbound>) {
        items.clear();
        // The ring is empty: nothing else is under way.
        let pushed = self.push(run, index);
        let mut answers = Answers::default();
        let mut idle = 0;
        while pushed && answers.ended == 0 {
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
            edges.send(run, index, wait, &mut items);
        } else {
            stopwatch.time(|| edges.send(run, index, wait, &mut items));
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

fn stream(run: &FullRun<'_>, workload: &Workload, wait: Wait) -> Result<u128, EngineBenchError> {
    let mut edges = Edges::new(run.engine().0, wait);
    let mut items = Vec::with_capacity(OUTBOUND_RING);
    let mut answers = Answers::default();
    let prefill = workload.name.prefill();
    for index in 0..prefill {
        edges.send(run, index, wait, &mut items);
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
        for (name, of) in [("one at a time", &self.one_at_a_time), ("empty", &self.empty)] {
            let (p50, p99, p999, max) = (of.p50(), of.p99(), of.p999(), of.max());
            writeln!(
                f,
                "{name:13} p50 {p50} ns, p99 {p99} ns, p99.9 {p999} ns, max {max} ns"
            )?;
        }
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
    }
}
