//! The engine is a function: the same commands give the same events and the same state, twice in one process and, by
//! way of a constant, in debug and release builds and on other machines.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    unreachable_pub,
    reason = "a test stops on overflow and bad indices"
)]

mod streams;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use engine::{
    Capacity, Command, Engine, Event, EventBuffer, Fill, OrderCancelled, OrderModified, Sequenced, Work,
};
use streams::{OpenOrder, Stream};

const COMMANDS: usize = 100_000;
const SEED: u64 = 2;

/// What the stream comes to. It changes only where a decision of the engine or the stream itself is meant to: then the
/// failing test prints the new value.
const GOLDEN: Fingerprint = Fingerprint {
    events: 12_515_838_520_488_911_229,
    state: 11_766_434_899_612_505_169,
};

const CAPACITY: Capacity = Capacity {
    accounts: 16,
    instruments: 8,
    orders: 1 << 14,
    positions: 256,
    client_order_ids: 1 << 10,
};

/// Commands between two audits, state hash checks and repetitions of the capacities.
const AUDIT_INTERVAL: usize = 500;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Fingerprint {
    /// Of every event in order, as text.
    events: u64,
    state: u64,
}

/// FNV-1a over what is written to it.
struct TextHash(u64);

impl std::fmt::Write for TextHash {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(())
    }
}

/// An engine with a fingerprint of everything it has said.
struct Run {
    engine: Engine,
    buffer: EventBuffer,
    events: TextHash,
    kinds: BTreeMap<String, u64>,
    /// Orders of accounts that are not the venue's.
    open: BTreeMap<u64, OpenOrder>,
}

impl Run {
    fn new() -> Run {
        Run::of(Engine::new(CAPACITY))
    }

    fn of(engine: Engine) -> Run {
        Run {
            engine,
            buffer: EventBuffer::new(),
            events: TextHash(0xcbf2_9ce4_8422_2325),
            kinds: BTreeMap::new(),
            open: BTreeMap::new(),
        }
    }

    fn apply(&mut self, command: &Sequenced<Command>) {
        let mut work = self.engine.apply(command, &mut self.buffer);
        self.absorb();
        while work == Work::More {
            work = self.engine.resume(&mut self.buffer);
            self.absorb();
        }
    }

    fn absorb(&mut self) {
        for event in self.buffer.iter() {
            let text = format!("{event:?}");
            writeln!(self.events, "{text}").expect("a hash takes any text");
            let kind = text.split(['(', ' ']).next().unwrap_or_default();
            *self.kinds.entry(kind.to_owned()).or_default() += 1;
            match event {
                Event::OrderAccepted(accepted) => {
                    let order = OpenOrder {
                        id: accepted.order,
                        account: accepted.account,
                        instrument: accepted.instrument,
                    };
                    self.open.insert(accepted.order.get(), order);
                }
                Event::Fill(Fill { order, status, .. })
                | Event::OrderCancelled(OrderCancelled { order, status, .. })
                | Event::OrderModified(OrderModified { order, status, .. })
                    if !status.is_active() =>
                {
                    self.open.remove(&order.get());
                }
                _ => {}
            }
        }
        self.buffer.clear();
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint {
            events: self.events.0,
            state: self.engine.state_hash(),
        }
    }
}

/// Draws the stream while an engine answers it: ticks come when that engine is due, and most commands are about orders
/// that rest in it. Returns the commands too.
fn draw() -> (Run, Vec<Sequenced<Command>>) {
    let mut run = Run::new();
    let mut stream = Stream::default();
    let mut commands = stream.begin();
    commands.iter().for_each(|command| run.apply(command));
    let mut follow = |run: &mut Run, command: Sequenced<Command>| {
        run.apply(&command);
        commands.push(command);
    };
    for (at, &seed) in streams::seeds(SEED, COMMANDS).iter().enumerate() {
        stream.turn(seed);
        while let Some(tick) = stream.tick(run.engine.next_deadline()) {
            follow(&mut run, tick);
        }
        let open: Vec<OpenOrder> = run.open.values().copied().collect();
        follow(&mut run, stream.command(&open));
        if at % AUDIT_INTERVAL == 0 {
            if let Err(broken) = run.engine.audit() {
                panic!("seed {SEED}, after command {at}: {broken}");
            }
            let hash = run.engine.state_hash();
            follow(&mut run, stream.sequence(Command::HashCheck(hash)));
            follow(&mut run, stream.sequence(Command::SetCapacity(CAPACITY)));
        }
    }
    (run, commands)
}

#[test]
fn the_same_commands_give_the_same_events_and_state() {
    let (first, commands) = draw();
    assert!(commands.len() >= COMMANDS);
    let mut second = Run::new();
    commands.iter().for_each(|command| second.apply(command));
    assert_eq!(
        second.fingerprint(),
        first.fingerprint(),
        "two folds of one stream"
    );
    assert_eq!(second.engine.audit(), Ok(()));
    every_kind_happened(&first);
    assert_eq!(
        first.fingerprint(),
        GOLDEN,
        "the engine decides otherwise than before; {:?}",
        first.kinds
    );
}

#[test]
fn the_express_way_decides_what_the_steps_of_the_run_loop_do() {
    let (_, commands) = draw();
    let mut express = Run::new();
    let mut steps = Run::of(Engine::new(CAPACITY).without_express());
    for (at, command) in commands.iter().enumerate() {
        express.apply(command);
        steps.apply(command);
        assert_eq!(express.events.0, steps.events.0, "command {at}: {command:?}");
        if at % AUDIT_INTERVAL == 0 {
            assert_eq!(express.fingerprint(), steps.fingerprint(), "after command {at}");
        }
    }
    assert_eq!(express.fingerprint(), steps.fingerprint());
}

/// A stream in which nothing happens would prove nothing.
fn every_kind_happened(run: &Run) {
    for (kind, least) in [
        ("OrderAccepted", 8_000),
        ("OrderRejected", 1_000),
        ("OrderRepeated", 100),
        ("Fill", 7_000),
        ("Trade", 7_000),
        ("OrderCancelled", 1_000),
        ("OrderModified", 1_000),
        ("OrderTriggered", 200),
        ("PositionChanged", 8_000),
        ("PositionMarked", 100),
        ("PositionClosing", 100),
        ("CloseRepeated", 5),
        ("AccountChanged", 10),
        ("Alert", 100),
        ("TradingStateChanged", 100),
        ("TopOfBook", 10_000),
        ("MassCancelled", 100),
        ("Refused", 1_000),
        ("InstrumentDefined", 10),
        ("AccountDefined", 10),
        ("StrategyDefined", 10),
        ("LimitsSet", 10),
        ("PhaseChanged", 10),
        ("HeartbeatSet", 100),
    ] {
        let count = run.kinds.get(kind).copied().unwrap_or_default();
        assert!(count >= least, "{kind} happened {count} times: {:?}", run.kinds);
    }
    assert!(!run.kinds.contains_key("HashMismatch"), "{:?}", run.kinds);
}
