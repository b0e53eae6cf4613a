//! Time is what commands say it is: ten trading days folded by a clock that jumps from deadline to deadline, by one that
//! strikes every second, and by one that is late, come to the same state by the same events.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    unreachable_pub,
    reason = "test code"
)]

mod schedule;

use std::collections::BTreeMap;

use engine::{Capacity, Command, Engine, Event, EventBuffer, Seq, Sequenced, Timestamp, Work};

use schedule::Schedule;

const CAPACITY: Capacity = Capacity {
    accounts: 8,
    instruments: 2,
    orders: 1 << 12,
    positions: 64,
    client_order_ids: 8,
};

const SECOND_NS: u64 = 1_000_000_000;

/// When ticks are sequenced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pace {
    /// At every deadline, and nowhere else: time in between is skipped.
    Jump,
    /// At every deadline and every second.
    SlowMotion,
    /// Only when the next command comes, as by a process that was stopped since the last.
    Late,
}

struct Run {
    engine: Engine,
    buffer: EventBuffer,
    seq: u64,
    now: Timestamp,
    ticks: u64,
    events: Vec<Event>,
}

impl Run {
    fn new() -> Run {
        Run {
            engine: Engine::new(CAPACITY),
            buffer: EventBuffer::new(),
            seq: 0,
            now: Timestamp::ZERO,
            ticks: 0,
            events: Vec::new(),
        }
    }

    fn apply(&mut self, time: Timestamp, command: Command) {
        self.seq += 1;
        self.now = time;
        let command = Sequenced {
            seq: Seq::new(self.seq),
            time,
            command,
        };
        self.buffer.clear();
        let mut work = self.engine.apply(&command, &mut self.buffer);
        loop {
            self.events.extend_from_slice(&self.buffer);
            if work == Work::Done {
                return;
            }
            self.buffer.clear();
            work = self.engine.resume(&mut self.buffer);
        }
    }

    fn tick(&mut self, time: Timestamp) {
        self.ticks += 1;
        self.apply(time, Command::Tick);
        assert!(
            self.engine.next_deadline().is_none_or(|due| due > time),
            "a tick leaves nothing undone that was due"
        );
    }

    /// Lets time pass up to the next command, or the end.
    fn pass(&mut self, until: Timestamp, pace: Pace) {
        loop {
            let due = self.engine.next_deadline().filter(|due| *due <= until);
            let strike = match pace {
                Pace::SlowMotion if self.now > Timestamp::ZERO => {
                    Some(next_second(self.now)).filter(|second| *second <= until)
                }
                _ => None,
            };
            match (due, strike, pace) {
                (None, None, _) => return,
                (Some(_), _, Pace::Late) => self.tick(until),
                (due, strike, _) => {
                    let next = due.into_iter().chain(strike).min().expect("one of them");
                    self.tick(next.max(self.now));
                }
            }
        }
    }
}

fn next_second(now: Timestamp) -> Timestamp {
    Timestamp::from_nanos((now.nanos() / SECOND_NS + 1) * SECOND_NS)
}

fn run(schedule: &Schedule, pace: Pace) -> Run {
    let mut run = Run::new();
    for (at, command) in &schedule.commands {
        run.pass(*at, pace);
        run.apply(*at, command.clone());
    }
    run.pass(schedule.end, pace);
    assert_eq!(run.engine.audit(), Ok(()));
    run
}

/// What happened, by name.
fn counts(events: &[Event]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for event in events {
        let name = match event {
            Event::OrderAccepted(accepted) => {
                accepted.cause.map(|cause| format!("exit by {}", cause.as_str()))
            }
            Event::OrderCancelled(cancelled) => Some(cancelled.reason.as_str().to_owned()),
            Event::OrderTriggered(_) => Some("triggered".to_owned()),
            Event::ConditionsChanged(changed) => Some(match changed.fired {
                Some(_) => "fired".to_owned(),
                None => "edited".to_owned(),
            }),
            Event::PhaseChanged { derivatives, phase } => Some(format!("{derivatives} {}", phase.as_str())),
            Event::AccountChanged(_) => Some("account".to_owned()),
            Event::CloseRepeated { .. } => Some("close repeated".to_owned()),
            Event::Alert(alert) => Some(format!("alert {}", alert.kind.as_str())),
            _ => None,
        };
        if let Some(name) = name {
            *counts.entry(name).or_default() += 1;
        }
    }
    counts
}

#[test]
fn ten_trading_days_jump_by_as_they_pass_in_slow_motion() {
    for seed in 1..=3 {
        let schedule = Schedule::new(seed);
        let jumped = run(&schedule, Pace::Jump);
        let slow = run(&schedule, Pace::SlowMotion);
        // Fourteen days of the calendar, weekends and the holiday among them.
        assert!(slow.ticks > 14 * 86_400, "{} ticks", slow.ticks);
        assert!(jumped.ticks < slow.ticks / 100, "{} ticks", jumped.ticks);
        assert_eq!(
            jumped.engine.state_hash(),
            slow.engine.state_hash(),
            "seed {seed}"
        );
        assert!(jumped.events == slow.events, "seed {seed}");
        happened(&jumped, seed);
    }
}

/// Of what happened, all but marks and tops of books, of which a late tick publishes one where several were due.
fn decisions(events: &[Event]) -> Vec<&Event> {
    events
        .iter()
        .filter(|event| !matches!(event, Event::PositionMarked(_) | Event::TopOfBook(_)))
        .collect()
}

#[test]
fn a_late_tick_makes_up_for_all_that_it_missed_in_order() {
    for seed in 1..=8 {
        let schedule = Schedule::new(seed);
        let (punctual, late) = (run(&schedule, Pace::Jump), run(&schedule, Pace::Late));
        assert!(late.ticks < punctual.ticks, "seed {seed}");
        let (expected, found) = (decisions(&punctual.events), decisions(&late.events));
        let differs = expected.iter().zip(&found).position(|(a, b)| a != b);
        if let Some(at) = differs {
            panic!("seed {seed}: {:?}\n{:?}", expected[at], found[at]);
        }
        assert_eq!(expected.len(), found.len(), "seed {seed}");
        // Only when it happened differs: the time of the last print, and of the orders that count against the rate.
        let views = |run: &Run| {
            let positions: Vec<_> = run.engine.positions().collect();
            let accounts: Vec<_> = run.engine.accounts().map(|view| format!("{view:?}")).collect();
            (positions, accounts)
        };
        assert_eq!(views(&punctual), views(&late), "seed {seed}");
    }
}

/// Ten days in which nothing happens would prove nothing.
fn happened(run: &Run, seed: u64) {
    let counts = counts(&run.events);
    for (name, least) in [
        ("exit by close", 5),
        ("exit by flatten", 2),
        ("exit by square_off", 10),
        ("exit by stop_loss", 10),
        ("exit by take_profit", 10),
        ("exit by trailing_stop", 5),
        ("triggered", 10),
        ("fired", 20),
        ("edited", 5),
        ("Expired", 5),
        ("Cancelled by square-off", 10),
        ("false CONTINUOUS", 10),
        ("true CLOSED", 10),
    ] {
        let count = counts.get(name).copied().unwrap_or_default();
        assert!(
            count >= least,
            "seed {seed}: {name} happened {count} times: {counts:?}"
        );
    }
}
