//! A run cut by snapshot and restore goes on exactly like one that was not: same events, same hash, same bytes.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "test support that stops on overflow"
)]

mod streams;

use std::collections::BTreeMap;

use engine::{Capacity, Command, Engine, Event, EventBuffer, OrderStatus, RestoreError, Sequenced, Work};
use streams::{OpenOrder, Random, Stream};

const CAPACITY: Capacity = Capacity {
    accounts: 16,
    instruments: 8,
    orders: 1 << 12,
    positions: 256,
    client_order_ids: 1 << 12,
};

/// Folds one command to its end.
fn fold(engine: &mut Engine, command: &Sequenced<Command>) -> Vec<Event> {
    let mut buffer = EventBuffer::new();
    let mut events = Vec::new();
    let mut work = engine.apply(command, &mut buffer);
    events.extend_from_slice(&buffer);
    while work == Work::More {
        buffer.clear();
        work = engine.resume(&mut buffer);
        events.extend_from_slice(&buffer);
    }
    events
}

/// The orders that a stream may refer to, as a client would know them.
#[derive(Default)]
struct Known(BTreeMap<u64, OpenOrder>);

impl Known {
    fn absorb(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::OrderAccepted(accepted) => {
                    let (id, account, instrument) = (accepted.order, accepted.account, accepted.instrument);
                    self.0.insert(
                        id.get(),
                        OpenOrder {
                            id,
                            account,
                            instrument,
                        },
                    );
                }
                Event::Fill(fill) if fill.status == OrderStatus::Filled => {
                    self.0.remove(&fill.order.get());
                }
                Event::OrderCancelled(order) if !order.status.is_active() => {
                    self.0.remove(&order.order.get());
                }
                _ => {}
            }
        }
    }
}

fn check(seed: u64, commands: usize, positions: u32) {
    let mut stream = Stream::default();
    let mut engine = Engine::new(Capacity {
        positions,
        ..CAPACITY
    });
    let mut known = Known::default();
    let mut cuts = Random::new(!seed);
    let mut copy: Option<Engine> = None;
    for command in stream.begin() {
        fold(&mut engine, &command);
    }
    for (place, turn) in streams::seeds(seed, commands).into_iter().enumerate() {
        stream.turn(turn);
        while let Some(tick) = stream.tick(engine.next_deadline()) {
            follow(&mut engine, &mut copy, &tick, seed, place);
        }
        let open: Vec<OpenOrder> = known.0.values().copied().collect();
        let command = stream.command(&open);
        known.absorb(&follow(&mut engine, &mut copy, &command, seed, place));
        if cuts.below(200) == 0 {
            let bytes = engine.save();
            let restored =
                Engine::restore(&bytes).unwrap_or_else(|error| panic!("seed {seed} at {place}: {error}"));
            assert_eq!(
                restored.save(),
                bytes,
                "seed {seed} at {place}: saving again gives other bytes"
            );
            copy = Some(restored);
        }
    }
    assert!(copy.is_some(), "seed {seed}: the run was never cut");
}

fn follow(
    engine: &mut Engine,
    copy: &mut Option<Engine>,
    command: &Sequenced<Command>,
    seed: u64,
    place: usize,
) -> Vec<Event> {
    let events = fold(engine, command);
    if let Some(copy) = copy {
        assert_eq!(fold(copy, command), events, "seed {seed} at {place}: {command:?}");
        assert_eq!(
            copy.state_hash(),
            engine.state_hash(),
            "seed {seed} at {place}: {command:?}"
        );
        assert_eq!(
            copy.next_deadline(),
            engine.next_deadline(),
            "seed {seed} at {place}"
        );
    }
    events
}

#[test]
fn a_restored_engine_goes_on_like_the_one_that_was_saved() {
    for seed in 0..20 {
        check(seed, 3_000, CAPACITY.positions);
        check(seed, 1_000, 12);
    }
}

#[test]
fn damage_is_named_and_never_a_panic() {
    let mut engine = Engine::new(CAPACITY);
    let mut stream = Stream::default();
    for command in stream.begin() {
        fold(&mut engine, &command);
    }
    for turn in streams::seeds(7, 300) {
        stream.turn(turn);
        while let Some(tick) = stream.tick(engine.next_deadline()) {
            fold(&mut engine, &tick);
        }
        fold(&mut engine, &stream.command(&[]));
    }
    let bytes = engine.save();
    assert_eq!(Engine::restore(&[]).err(), Some(RestoreError::Malformed));
    let mut other = bytes.clone();
    other[0] = 9;
    assert_eq!(Engine::restore(&other).err(), Some(RestoreError::Version(9)));
    for cut in (0..bytes.len()).step_by(97) {
        assert!(Engine::restore(&bytes[..cut]).is_err(), "cut at {cut}");
    }
}
