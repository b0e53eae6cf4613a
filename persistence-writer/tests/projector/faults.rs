//! What happens to databases, many times over: the rows are always those of the journal, once each.

use std::sync::Arc;
use std::time::Duration;

use engine::{Command, InstrumentId, MarketPrice, Price, Seq, Sequenced, Timestamp};
use persistence_writer::projector::{PostgresSettings, PostgresStore, State};

use crate::cluster::Cluster;
use crate::journal::Journal;
use crate::postgres::dump;
use crate::proxy::{Fault, Proxy};
use crate::rows::{assert_same, expected};
use crate::session::Session;

/// Faults of each kind: the rows of issue 9's table have four kinds or five, and 50 faults in all; `make soak` makes them 50 of
/// each.
fn faults_of_each_kind() -> usize {
    floor("FAULT_ROUNDS", 50).div_ceil(4)
}

#[test]
fn killed_restarted_and_disconnected_in_the_middle_of_writing() {
    let each = faults_of_each_kind();
    let rounds = 4 * each;
    let session = Session::random(41, rounds * 120);
    let cluster = Arc::new(Cluster::start());
    let database = cluster.database();
    let mut journal = Journal::new(1);
    let running = journal.projector(database.store());
    let size = session.commands.len() / rounds;
    let (faults, rest) = session.commands.split_at(rounds * size);
    for (round, commands) in faults.chunks(size).enumerate() {
        journal.append(commands);
        match round % 4 {
            0 => database.terminate_backends(),
            1 => {
                cluster.stop_at_once();
                cluster.resume();
            }
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
    journal.append(rest);
    running.wait_for_seq(journal.last());
    running.stop();
    assert_same(&dump(&database), &expected(&session.commands), "after all faults");
    println!("{each} times each: backends terminated, immediate stop, SIGKILL, restart");
}

#[test]
fn cut_stalled_half_open_and_slow_at_the_commit() {
    let faults = [
        Fault::CutBefore,
        Fault::CutAfter,
        Fault::Stall(Duration::from_millis(300)),
        Fault::HalfOpen,
        Fault::Slow(Duration::from_millis(5)),
    ];
    let each = faults_of_each_kind();
    let rounds = faults.len() * each;
    let session = Session::random(42, rounds * 120);
    let cluster = Cluster::shared();
    let database = cluster.database();
    let proxy = Proxy::before(cluster.port);
    let settings = PostgresSettings::parse(&database.url_through(proxy.port)).unwrap();
    // A database that says nothing for a second is given up.
    let store = PostgresStore::new(settings).with_answer_time(Duration::from_secs(1));
    let mut journal = Journal::new(1);
    let running = journal.projector(store);
    let size = session.commands.len() / rounds;
    for (commands, fault) in session
        .commands
        .chunks(size)
        .zip(faults.iter().cycle().take(rounds))
    {
        proxy.arm(*fault);
        journal.append(commands);
        running.wait_for_seq(journal.last());
        assert!(proxy.has_happened(), "{fault:?}");
    }
    let rest = &session.commands[rounds * size..];
    journal.append(rest);
    running.wait_for_seq(journal.last());
    running.stop();
    assert_same(&dump(&database), &expected(&session.commands), "after all faults");
    println!("{each} times each, at a COMMIT: {faults:?}");
}

/// A long outage is a place further back in the journal: nothing piles up, and everything comes.
#[test]
fn a_long_outage_drains() {
    let session = Session::random(43, 20_000);
    let cluster = Arc::new(Cluster::start());
    let database = cluster.database();
    let (before, outage) = session.commands.split_at(1_000);
    let mut journal = Journal::of(1, before);
    let running = journal.projector(database.store());
    running.wait_for_seq(journal.last());
    cluster.stop_at_once();
    // Noticed while there is nothing to write.
    running.wait_for_state(State::Unavailable);
    journal.append(outage);
    running.wait_until("the lag is known", |status| status.pending_since().is_some());
    let resident = resident_mib();
    let prices = || market_after(&session).take(floor("OUTAGE_COMMANDS", 20_000));
    let mut coming = prices().peekable();
    while coming.peek().is_some() {
        journal.append(&coming.by_ref().take(10_000).collect::<Vec<_>>());
    }
    assert!(running.status.written() < journal.last());
    cluster.resume();
    running.wait_for_seq(journal.last());
    running.wait_for_state(State::Live);
    assert_eq!(running.status.pending_since(), None);
    let grown = resident_mib().saturating_sub(resident);
    println!(
        "{} commands behind; {grown} MiB more resident afterwards",
        journal.last()
    );
    assert!(grown < OUTAGE_MIB_MAX, "{grown} MiB");
    running.stop();
    let rows = expected(session.commands.iter().cloned().chain(prices()));
    assert_same(&dump(&database), &rows, "after the outage");
}

/// What an outage may take, whatever its length: the rows of a batch on its way, the allocator's slack, and what tests
/// beside this one hold.
const OUTAGE_MIB_MAX: u64 = 512;

/// Prices as they come from a market, after the session's end.
fn market_after(session: &Session) -> impl Iterator<Item = Sequenced<Command>> + use<> {
    let (last, start) = (
        session.model().seq().get(),
        session.model().engine().time().nanos(),
    );
    (1_u64..).map(move |number| {
        let instrument = u32::try_from(number % 3).unwrap();
        let reference = [245_000, 350_000, 300_000][usize::try_from(number % 3).unwrap()];
        let wobble = i64::try_from(number / 3 % 41).unwrap() - 20;
        Sequenced {
            seq: Seq::new(last + number),
            time: Timestamp::from_nanos(start + number * 100_000),
            command: Command::MarketPrice(MarketPrice {
                instrument: InstrumentId::new(instrument),
                price: Price::from_paise_clamped(reference + wobble * 10),
            }),
        }
    })
}

/// Memory of this process that is in use, in MiB.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1_024
}

/// How often, by an environment variable of `make soak`.
fn floor(variable: &str, usual: usize) -> usize {
    std::env::var(variable).map_or(usual, |given| given.parse().unwrap())
}
