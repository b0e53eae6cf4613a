//! After start-up no command makes the engine allocate: pools are reserved when it is built, and what does not fit is
//! refused.
//!
//! The exceptions are administrative: a new instrument brings its book, a redefinition that changes its price grid
//! lays the book out anew, and new charge rates are kept in a list.

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

use allocation_counter::measure;
use engine::{
    Capacity, Command, Engine, Event, EventBuffer, Fill, OrderCancelled, OrderModified, Refusal, RejectCode,
    Sequenced, Work,
};
use streams::{OpenOrder, Stream};

/// Commands that may allocate.
const ADMINISTRATIVE: [&str; 4] = ["DefineInstrument", "DefineCharges", "SetSession", "SetCapacity"];

#[derive(Default)]
struct Seen {
    commands: u64,
    allocations: u64,
}

/// An engine that is watched while it works.
struct Watched {
    engine: Engine,
    buffer: EventBuffer,
    /// By kind of command.
    seen: BTreeMap<String, Seen>,
    open: BTreeMap<u64, OpenOrder>,
    resumed: u64,
    alerts: u64,
    rolled_days: u32,
    capacity_refusals: BTreeMap<String, u64>,
}

impl Watched {
    fn new(capacity: Capacity) -> Watched {
        Watched {
            engine: Engine::new(capacity),
            buffer: EventBuffer::new(),
            seen: BTreeMap::new(),
            open: BTreeMap::new(),
            resumed: 0,
            alerts: 0,
            rolled_days: 0,
            capacity_refusals: BTreeMap::new(),
        }
    }

    fn apply(&mut self, command: &Sequenced<Command>) {
        let day = self.engine.time().trading_day();
        let mut work = Work::Done;
        let mut allocations = measure(|| work = self.engine.apply(command, &mut self.buffer)).count_total;
        self.absorb();
        while work == Work::More {
            self.resumed += 1;
            allocations += measure(|| work = self.engine.resume(&mut self.buffer)).count_total;
            self.absorb();
        }
        self.rolled_days += self.engine.time().trading_day().saturating_sub(day).min(1);
        let text = format!("{:?}", command.command);
        let kind = text.split(['(', ' ']).next().unwrap_or_default();
        let seen = self.seen.entry(kind.to_owned()).or_default();
        seen.commands += 1;
        seen.allocations += allocations;
    }

    fn absorb(&mut self) {
        for event in self.buffer.iter() {
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
                Event::Alert(_) => self.alerts += 1,
                Event::OrderRejected(rejected) => {
                    let code = rejected.rejection.code;
                    if matches!(code, RejectCode::OrderCapacity | RejectCode::PositionCapacity) {
                        *self.capacity_refusals.entry(format!("{code:?}")).or_default() += 1;
                    }
                }
                Event::Refused(Refusal::InvalidDefinition(why)) => {
                    *self.capacity_refusals.entry((*why).to_owned()).or_default() += 1;
                }
                _ => {}
            }
        }
        self.buffer.clear();
    }

    fn check(&self) {
        for (kind, seen) in &self.seen {
            if !ADMINISTRATIVE.contains(&kind.as_str()) {
                let Seen {
                    commands,
                    allocations,
                } = seen;
                assert_eq!(
                    *allocations, 0,
                    "{commands} {kind} commands made {allocations} allocations"
                );
            }
        }
    }
}

#[test]
fn the_counter_counts() {
    let info = measure(|| drop(std::hint::black_box(vec![1_u8; 100])));
    assert_eq!(info.count_total, 1);
}

/// Every kind of command, with its rejections, fills, alerts, kills, day rolls and late ticks; then commands that take
/// many calls.
#[test]
fn no_command_allocates() {
    let mut watched = Watched::new(Capacity {
        accounts: 16,
        instruments: 8,
        orders: 1 << 15,
        positions: 256,
        client_order_ids: 1 << 10,
    });
    let mut stream = Stream::default();
    for command in stream.begin() {
        watched.apply(&command);
    }
    for seed in streams::seeds(6, 60_000) {
        stream.turn(seed);
        while let Some(tick) = stream.tick(watched.engine.next_deadline()) {
            watched.apply(&tick);
        }
        let open: Vec<OpenOrder> = watched.open.values().copied().collect();
        watched.apply(&stream.command(&open));
    }
    for command in stream.deep_book(20_000) {
        watched.apply(&command);
    }
    watched.apply(&stream.sequence(Command::HashCheck(watched.engine.state_hash())));
    watched.check();
    let kinds: Vec<&str> = watched.seen.keys().map(String::as_str).collect();
    assert!(kinds.len() >= 16, "the stream has only {kinds:?}");
    assert!(watched.resumed > 0, "no command took more than one call");
    assert!(watched.alerts > 0, "no alert");
    assert!(watched.rolled_days > 0, "no day was rolled");
    assert_eq!(watched.engine.audit(), Ok(()));
}

/// Pools so small that every one of them runs out: commands are refused, and nothing grows.
#[test]
fn what_does_not_fit_is_refused() {
    let mut watched = Watched::new(Capacity {
        accounts: 6,
        instruments: 3,
        orders: 32,
        positions: 6,
        client_order_ids: 2,
    });
    let mut stream = Stream::default();
    for command in stream.begin() {
        watched.apply(&command);
    }
    for seed in streams::seeds(7, 20_000) {
        stream.turn(seed);
        while let Some(tick) = stream.tick(watched.engine.next_deadline()) {
            watched.apply(&tick);
        }
        let open: Vec<OpenOrder> = watched.open.values().copied().collect();
        watched.apply(&stream.command(&open));
    }
    watched.check();
    assert!(
        watched.capacity_refusals.len() >= 2,
        "refused only for {:?}",
        watched.capacity_refusals
    );
    assert_eq!(watched.engine.audit(), Ok(()));
}
