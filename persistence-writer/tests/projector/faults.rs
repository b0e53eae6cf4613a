//! What happens to databases, many times over: the rows are always those of the journal, once each.

use std::sync::Arc;
use std::time::Duration;

use persistence_writer::projector::{PostgresSettings, PostgresStore, State};

use crate::cluster::Cluster;
use crate::journal::Journal;
use crate::postgres::dump;
use crate::proxy::{Fault, Proxy};
use crate::rows::{assert_same, expected};
use crate::session::Session;

/// Faults of a kind that a test goes through.
const ROUNDS: usize = 50;

#[test]
fn killed_restarted_and_disconnected_in_the_middle_of_writing() {
    let session = Session::random(41, 6_000);
    let cluster = Arc::new(Cluster::start());
    let database = cluster.database();
    let mut journal = Journal::new(1);
    let running = journal.projector(database.store());
    let size = session.commands.len() / ROUNDS;
    for (round, commands) in session.commands.chunks(size).enumerate() {
        journal.append(commands);
        match round % 4 {
            0 | 1 => database.terminate_backends(),
            2 => {
                cluster.kill();
                cluster.resume();
            }
            _ => {
                cluster.shut_down();
                cluster.resume();
            }
        }
        if round % 10 == 9 {
            running.wait_for_seq(journal.last());
        }
    }
    running.wait_for_seq(journal.last());
    running.stop();
    assert_same(&dump(&database), &expected(&session.commands), "after all faults");
}

#[test]
fn cut_stalled_half_open_and_slow_at_the_commit() {
    let session = Session::random(42, 6_000);
    let cluster = Cluster::shared();
    let database = cluster.database();
    let proxy = Proxy::before(cluster.port);
    let settings = PostgresSettings::parse(&database.url_through(proxy.port)).unwrap();
    // A database that says nothing for a second is given up.
    let store = PostgresStore::new(settings).with_answer_time(Duration::from_secs(1));
    let mut journal = Journal::new(1);
    let running = journal.projector(store);
    let faults = [
        Fault::CutBefore,
        Fault::CutAfter,
        Fault::Stall(Duration::from_millis(300)),
        Fault::CutAfter,
        Fault::HalfOpen,
        Fault::Slow(Duration::from_millis(5)),
        Fault::CutBefore,
        Fault::CutAfter,
    ];
    let size = session.commands.len() / ROUNDS;
    for (commands, fault) in session.commands.chunks(size).zip(faults.iter().cycle()) {
        proxy.arm(*fault);
        journal.append(commands);
        running.wait_for_seq(journal.last());
        assert!(proxy.has_happened(), "{fault:?}");
    }
    let rest = &session.commands[ROUNDS * size..];
    journal.append(rest);
    running.wait_for_seq(journal.last());
    running.stop();
    assert_same(&dump(&database), &expected(&session.commands), "after all faults");
}

/// A long outage is a place further back in the journal: nothing piles up, and everything comes.
#[test]
fn a_long_outage_drains() {
    let session = Session::random(43, 30_000);
    let cluster = Arc::new(Cluster::start());
    let database = cluster.database();
    let (before, outage) = session.commands.split_at(1_000);
    let mut journal = Journal::of(1, before);
    let running = journal.projector(database.store());
    running.wait_for_seq(journal.last());
    cluster.kill();
    // Noticed while there is nothing to write.
    running.wait_for_state(State::Unavailable);
    journal.append(outage);
    running.wait_until("the lag is known", |status| status.pending_since().is_some());
    assert!(running.status.written() < journal.last());
    cluster.resume();
    running.wait_for_seq(journal.last());
    running.wait_for_state(State::Live);
    assert_eq!(running.status.pending_since(), None);
    running.stop();
    assert_same(&dump(&database), &expected(&session.commands), "after the outage");
}
