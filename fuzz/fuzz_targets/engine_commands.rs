//! Any stream of commands that decodes may be folded: no panic, no invariant broken, every call bounded, `check` says what
//! `apply` does, and a second fold gives the same events and state.
//!
//! An input is records of the journal, each behind its length (16 bits, little-endian); those that cannot be read are
//! passed over. `cargo run -p persistence-writer --example fuzz_corpus` writes the first ones.

#![no_main]

use engine::{
    Capacity, Command, Engine, Event, EventBuffer, Seq, Sequenced, Timestamp, Work, limits::EVENTS_PER_CALL,
};
use libfuzzer_sys::fuzz_target;
use persistence_writer::record;

/// Small, so that capacities are reached too.
const CAPACITY: Capacity = Capacity {
    accounts: 8,
    instruments: 4,
    orders: 128,
    positions: 32,
    client_order_ids: 32,
};

/// Of each kind.
const POOL_MAX: u32 = 4_096;

/// Time goes on by at most this much between two commands: three days, so that days roll but not by the thousand.
const PAUSE_MAX_NS: u64 = 3 * 86_400 * 1_000_000_000;
/// The year 2500: clocks of computers do not go further.
const TIME_MAX: Timestamp = Timestamp::from_nanos(16_725_225_600_000_000_000);
/// No command takes more calls: each but the last fills its buffer.
const CALLS_MAX: u32 = 64;

fuzz_target!(|bytes: &[u8]| {
    let commands = commands(bytes);
    let first = fold(&commands, true);
    let second = fold(&commands, false);
    assert!(first == second, "two folds of one stream differ");
});

/// The records of an input that can be read, in their order. The last may be cut short.
fn commands(mut bytes: &[u8]) -> Vec<Sequenced<Command>> {
    let mut commands = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (record, rest) = rest.split_at(length);
        commands.extend(record::decode(Seq::default(), record).ok().filter(is_affordable));
        bytes = rest;
    }
    commands
}

/// What an engine may reserve is bounded by `engine::limits`, at more than a fuzzer's memory.
fn is_affordable(sequenced: &Sequenced<Command>) -> bool {
    let Command::SetCapacity(capacity) = &sequenced.command else {
        return true;
    };
    let pools = [
        capacity.accounts,
        capacity.instruments,
        capacity.orders,
        capacity.positions,
        capacity.client_order_ids,
    ];
    pools.iter().all(|&pool| pool <= POOL_MAX)
}

/// The sequencer in small: it counts, keeps time from running backwards, and ticks what is due.
struct Fold {
    engine: Engine,
    buffer: EventBuffer,
    seq: u64,
    events: Vec<Event>,
}

fn fold(commands: &[Sequenced<Command>], checked: bool) -> (Vec<Event>, u64) {
    let mut fold = Fold {
        engine: Engine::new(CAPACITY),
        buffer: EventBuffer::new(),
        seq: 0,
        events: Vec::new(),
    };
    for sequenced in commands {
        let before = fold.engine.time();
        let latest = match before {
            Timestamp::ZERO => TIME_MAX,
            before => before.saturating_add_nanos(PAUSE_MAX_NS).min(TIME_MAX),
        };
        let time = sequenced.time.min(latest).max(before);
        if fold.engine.next_deadline().is_some_and(|due| due <= time) {
            fold.apply(time, Command::Tick);
        }
        let verdict = match &sequenced.command {
            Command::NewOrder(order) if checked && order.client_order_id.is_empty() => {
                Some(fold.engine.check(order, time).rejection)
            }
            _ => None,
        };
        let start = fold.events.len();
        fold.apply(time, sequenced.command.clone());
        if let Some(verdict) = verdict {
            agrees(verdict.is_some(), &fold.events[start..]);
        }
        if checked && let Err(broken) = fold.engine.audit() {
            panic!("{broken} after {:?}", sequenced.command);
        }
    }
    (fold.events, fold.engine.state_hash())
}

impl Fold {
    fn apply(&mut self, time: Timestamp, command: Command) {
        self.seq += 1;
        let sequenced = Sequenced {
            seq: Seq::new(self.seq),
            time,
            command,
        };
        let mut work = self.engine.apply(&sequenced, &mut self.buffer);
        self.absorb();
        let mut calls = 1;
        while work == Work::More {
            work = self.engine.resume(&mut self.buffer);
            self.absorb();
            calls += 1;
            assert!(
                calls < CALLS_MAX,
                "a command does not end: {:?}",
                sequenced.command
            );
        }
        let due = self.engine.next_deadline();
        assert!(
            sequenced.command != Command::Tick || due.is_none_or(|due| due > time),
            "a tick leaves something due"
        );
    }

    fn absorb(&mut self) {
        assert!(self.buffer.len() <= EVENTS_PER_CALL, "a call emits too much");
        self.events.extend_from_slice(&self.buffer);
        self.buffer.clear();
    }
}

/// What is published of an order's fate agrees with the verdict before it. Venue accounts publish nothing.
fn agrees(rejected: bool, events: &[Event]) {
    let was = |kind: fn(&Event) -> bool| events.iter().any(kind);
    if was(|event| matches!(event, Event::OrderAccepted(_))) {
        assert!(!rejected, "check refuses what apply accepts");
    }
    if was(|event| matches!(event, Event::OrderRejected(_))) {
        assert!(rejected, "check accepts what apply refuses");
    }
}
