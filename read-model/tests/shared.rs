//! Waiting for a position of the journal.
#![allow(clippy::unwrap_used, reason = "a test panics where its own data is wrong")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use engine::{Capacity, Command, Seq, Sequenced, Timestamp};
use read_model::{ReadModel, SharedReadModel};

/// Far longer than any of these tests takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn model() -> Arc<SharedReadModel> {
    Arc::new(SharedReadModel::new(ReadModel::new(Capacity {
        accounts: 1,
        instruments: 1,
        orders: 16,
        positions: 16,
        client_order_ids: 1_024,
    })))
}

fn tick(seq: u64) -> Sequenced<Command> {
    Sequenced {
        seq: Seq::new(seq),
        time: Timestamp::from_nanos(seq),
        command: Command::Tick,
    }
}

#[test]
fn readers_wake_when_their_position_is_folded() {
    let model = model();
    let readers: Vec<_> = (1..=20_u64)
        .map(|seq| {
            let model = Arc::clone(&model);
            thread::spawn(move || {
                model
                    .read_at(Seq::new(seq), PATIENCE)
                    .map(|model| model.seq().get() >= seq)
            })
        })
        .collect();
    for seq in 1..=20 {
        model.advance(|model| model.apply(&tick(seq)));
    }
    for reader in readers {
        assert_eq!(reader.join().unwrap(), Some(true));
    }
    assert_eq!(model.seq(), Seq::new(20));
}

#[test]
fn a_position_that_does_not_come_is_not_waited_for_for_ever() {
    let model = model();
    assert!(model.read_at(Seq::new(0), Duration::ZERO).is_some());
    assert!(model.read_at(Seq::new(1), Duration::from_millis(5)).is_none());
}

#[test]
fn a_fold_without_pause_does_not_shut_readers_out() {
    let model = model();
    let stop = Arc::new(AtomicBool::new(false));
    let fold = {
        let (model, stop) = (Arc::clone(&model), Arc::clone(&stop));
        thread::spawn(move || {
            let mut seq = 0;
            while !stop.load(Ordering::Relaxed) {
                model.advance(|model| {
                    for _ in 0..100 {
                        seq += 1;
                        model.apply(&tick(seq));
                    }
                });
            }
        })
    };
    for _ in 0..1_000 {
        drop(model.read());
    }
    stop.store(true, Ordering::Relaxed);
    fold.join().unwrap();
}

#[test]
#[should_panic(expected = "the journal has a hole before")]
fn a_hole_in_the_journal_is_a_bug() {
    model().advance(|model| model.apply(&tick(2)));
}
