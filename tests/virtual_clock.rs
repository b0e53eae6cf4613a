//! The real engine thread on a clock that the test moves: ten trading days in about a second, journaled like any others.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    unreachable_pub,
    reason = "test code"
)]

#[path = "../engine/tests/ten_days/schedule.rs"]
mod schedule;

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use api_sidecar::latency::StampClock;
use engine::lane::{Input, JournalEntry, Outbound, Request};
use engine::{
    AccountDefinition, AccountId, AccountName, Capacity, Command, Engine, Heartbeat, Money, RiskLimits,
    Sequenced, Text, Timestamp,
};
use pinion::clock::{Clock, VirtualClock};
use pinion::config::Wait;
use pinion::engine_thread::{self, Lanes};
use pinion::fold::Fold;
use pinion::sequencer::{OUTBOUND_SLOTS_PER_CALL, Sequencer};
use rtrb::{Consumer, Producer, RingBuffer};
use scheduling::SharedCore;

use schedule::Schedule;

const CAPACITY: Capacity = Capacity {
    accounts: 8,
    instruments: 2,
    orders: 1 << 12,
    positions: 64,
    client_order_ids: 8,
};

/// The engine thread, its clock and the far ends of its rings. A fold of its journal knows what is due next.
struct Venue {
    clock: VirtualClock,
    gateway: Producer<Request>,
    journal: Consumer<JournalEntry>,
    outbound: Consumer<Outbound>,
    replica: Fold,
    commands: Vec<Sequenced<Command>>,
    engine: JoinHandle<Sequencer>,
}

impl Venue {
    fn open(at: Timestamp) -> Venue {
        let clock = VirtualClock::at(at);
        let (gateway_in, gateway) = RingBuffer::new(64);
        let (journal_in, journal) = RingBuffer::new(1_024);
        let (outbound_in, outbound) = RingBuffer::new(2 * OUTBOUND_SLOTS_PER_CALL);
        // Nobody speaks on the control lane: it is closed from the start.
        let (_, control) = crossbeam_channel::bounded(0);
        let lanes = Lanes {
            control,
            gateway,
            market: None,
        };
        let sequencer = Sequencer::new(Engine::new(CAPACITY), journal_in, outbound_in, StampClock::new())
            .with_clock(Clock::Virtual(clock.clone()));
        Venue {
            clock,
            gateway: gateway_in,
            journal,
            outbound,
            replica: Fold::starting_with(Engine::new(CAPACITY)),
            commands: Vec::new(),
            engine: thread::spawn(move || {
                engine_thread::run(sequencer, lanes, Wait::Yield, &SharedCore::default())
            }),
        }
    }

    /// Follows the journal; what is published is of no interest here.
    fn follow(&mut self) {
        while self.outbound.pop().is_ok() {}
        while let Ok(entry) = self.journal.pop() {
            if let JournalEntry::Command { command, .. } = entry {
                self.replica.apply(&command, |_, _| ());
                self.commands.push(command);
            }
        }
    }

    fn wait_until(&mut self, is_done: impl Fn(&Venue) -> bool) {
        self.follow();
        while !is_done(self) {
            thread::yield_now();
            self.follow();
        }
    }

    /// Moves the clock, at each deadline on the way until everything that is due there is done.
    fn pass(&mut self, until: Timestamp, step_ns: Option<u64>) {
        let mut now = self.clock.now();
        while now < until {
            let step = step_ns.map_or(until, |step| now.saturating_add_nanos(step));
            let due = self.replica.engine().next_deadline().unwrap_or(until);
            now = due.max(now).min(step).min(until);
            self.clock.set(now);
            self.wait_until(|venue| venue.clock.is_noticed() && venue.has_done_what_is_due());
        }
    }

    fn has_done_what_is_due(&self) -> bool {
        let due = self.replica.engine().next_deadline();
        due.is_none_or(|due| due > self.clock.now())
    }

    fn send(&mut self, command: Command) {
        let count = self.commands.len();
        let request = Request {
            token: 1,
            input: Input::Command(command),
        };
        self.gateway
            .push(request)
            .expect("one request at a time fits the ring");
        // What it sets off at this very instant comes before the next command of the same instant.
        self.wait_until(|venue| venue.commands.len() > count && venue.has_done_what_is_due());
    }

    /// The state hash of the engine thread, and everything that it journaled.
    fn close(self) -> (u64, Vec<Sequenced<Command>>) {
        drop(self.gateway);
        let sequencer = self.engine.join().expect("the engine thread ends");
        let hash = sequencer.engine().state_hash();
        assert_eq!(
            self.replica.engine().state_hash(),
            hash,
            "the fold of the journal"
        );
        assert_eq!(self.replica.divergence(), None);
        (hash, self.commands)
    }
}

/// Runs the schedule; `step_ns` apart the clock stops even where nothing is due.
fn run(schedule: &Schedule, step_ns: Option<u64>) -> (u64, Vec<Sequenced<Command>>) {
    let mut venue = Venue::open(schedule.commands[0].0);
    for (at, command) in &schedule.commands {
        venue.pass(*at, step_ns);
        venue.send(command.clone());
    }
    venue.pass(schedule.end, step_ns);
    venue.close()
}

#[test]
fn ten_trading_days_pass_as_fast_as_they_can_be_decided() {
    let schedule = Schedule::new(7);
    let (jumped, commands) = run(&schedule, None);
    let ticks = commands
        .iter()
        .filter(|command| matches!(command.command, Command::Tick));
    assert!(ticks.count() > 100, "deadlines set off ticks");
    // Every command has the time that the schedule gave it: nothing of the wall clock is in the journal.
    let of_schedule = commands
        .iter()
        .filter(|command| !matches!(command.command, Command::Tick));
    let times: Vec<Timestamp> = of_schedule.map(|command| command.time).collect();
    let planned: Vec<Timestamp> = schedule.commands.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, planned);
    // The same days with the clock stopping every minute.
    let (slow, again) = run(&schedule, Some(60_000_000_000));
    assert_eq!(slow, jumped);
    assert!(again == commands, "the same journal, tick by tick");
}

/// Whoever sets the machine's clock back does not keep a dead-man switch from firing.
#[test]
fn deadlines_come_while_the_wall_clock_is_behind_the_journal() {
    let (journal_in, mut journal) = RingBuffer::new(1_024);
    let (outbound_in, _outbound) = RingBuffer::new(2 * OUTBOUND_SLOTS_PER_CALL);
    let mut sequencer = Sequencer::new(Engine::new(CAPACITY), journal_in, outbound_in, StampClock::new());
    let ahead = Clock::Wall.now().saturating_add_nanos(3_600_000_000_000);
    let account = Command::DefineAccount(Box::new(AccountDefinition {
        name: AccountName::new("desk").unwrap(),
        opening_balance: Money::from_paise(10_000_000),
        limits: RiskLimits::dashboard(),
        profile: Text::new("dashboard").unwrap(),
        venue: false,
    }));
    let beat = Command::Heartbeat(Heartbeat {
        account: AccountId::new(0),
        timeout_ms: 100,
    });
    for command in [account, beat] {
        sequencer.sequence(command, None, ahead);
    }
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        let now = sequencer.now();
        assert!(now >= ahead);
        if sequencer.tick_when_due(now) {
            break;
        }
        assert!(Instant::now() < patience, "it never fired");
        thread::yield_now();
    }
    let last = std::iter::from_fn(|| journal.pop().ok()).last();
    let Some(JournalEntry::Command { command, .. }) = last else {
        panic!("a tick is journaled");
    };
    assert!(matches!(command.command, Command::Tick));
    assert!(command.time >= ahead.saturating_add_nanos(100_000_000));
}
