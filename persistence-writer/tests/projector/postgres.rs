//! PostgreSQL: the same rows, and the same answers as the old tools expect.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::{Notice, NoticeKind};
use persistence_writer::projector::{
    Column, Kind, PostgresSettings, PostgresStore, Projector, State, StoreError, TABLES, Table, rebuild,
};

use crate::both::Both;
use crate::cluster::{Cluster, Database};
use crate::journal::Journal;
use crate::rows::{Cell, Dump, assert_same, expected, sorted};
use crate::session::{ASHA, MAIN, Session, parted_at_the_end, today};

/// The rows that come from a journal.
pub(crate) fn dump(database: &Database) -> Dump {
    let mut client = database.client();
    let mut read = |table: &'static Table| {
        let columns: Vec<String> = table
            .columns
            .iter()
            .map(|Column { name, kind, .. }| match kind {
                Kind::Time => format!("to_char({name}, 'YYYY-MM-DD HH24:MI:SS.US')"),
                Kind::Ids | Kind::Texts => format!("to_json({name})::text"),
                _ => format!("{name}::text"),
            })
            .collect();
        let schema = if table.own { "pinion." } else { "" };
        let sql = format!(
            "SELECT {} FROM {schema}{} WHERE seq IS NOT NULL",
            columns.join(", "),
            table.name
        );
        let rows = client.query(&sql, &[]).unwrap();
        let cells = |row: &postgres::Row| {
            let columns = table.columns.iter().enumerate();
            columns
                .map(|(place, column)| Cell::new(column.kind, row.get(place)))
                .collect::<Vec<Cell>>()
        };
        (table.name, sorted(table, rows.iter().map(cells).collect()))
    };
    TABLES.iter().map(&mut read).collect()
}

#[test]
fn both_databases_hold_the_same_rows() {
    for seed in 21..=23 {
        let session = Session::random(seed, 4_000);
        let both = Both::with(&session);
        let (postgres, sqlite) = (dump(&both.database), crate::sqlite::dump(&both.file));
        assert_same(&postgres, &sqlite, &format!("seed {seed}"));
        assert_same(&postgres, &expected(&session.commands), &format!("seed {seed}"));
        assert_eq!(both.database.one("SELECT count(*) FROM pinion.dead_letter"), "0");
        assert_eq!(
            both.database.one("SELECT seq FROM pinion.watermark"),
            both.journal.last().to_string()
        );
    }
}

/// Bit by bit, in small batches, by one thread and then by one process after the other.
#[test]
fn rows_follow_live() {
    let session = Session::random(24, 3_000);
    let (live, later) = session.commands.split_at(2_000);
    let mut journal = Journal::new(1);
    let database = Cluster::shared().database();
    let running = journal.projector(database.store());
    for commands in live.chunks(53) {
        journal.append(commands);
    }
    running.wait_for_seq(journal.last());
    running.wait_for_state(State::Live);
    assert_same(&dump(&database), &expected(live), "live");
    running.stop();
    for commands in later.chunks(300) {
        journal.append(commands);
        journal.project(database.store()).unwrap();
    }
    assert_same(&dump(&database), &expected(&session.commands), "in pieces");
}

#[test]
fn a_database_that_is_not_there_yet_is_caught_up_with_later() {
    let session = Session::random(25, 1_000);
    let journal = Journal::of(1, &session.commands);
    let cluster = Arc::new(Cluster::start());
    let database = cluster.database();
    cluster.shut_down();
    let running = journal.projector(database.store());
    let reason = running.wait_for_state(State::Unavailable);
    assert!(reason.contains("cannot connect"), "{reason}");
    assert!(running.status.written() == 0);
    cluster.resume();
    running.wait_for_seq(journal.last());
    running.wait_for_state(State::Live);
    running.stop();
    assert_same(&dump(&database), &expected(&session.commands), "later");
}

#[test]
fn of_two_projectors_the_older_is_fenced() {
    let session = Session::random(26, 2_000);
    let cluster = Cluster::shared();
    for round in 0..10 {
        let mut journal = Journal::of(1, &session.commands[..1_000]);
        let database = cluster.database();
        let older = journal.projector(database.store());
        older.wait_for_seq(journal.last());
        let newer = journal.projector(database.store());
        newer.wait_for_state(State::Live);
        for commands in session.commands[1_000..].chunks(97) {
            journal.append(commands);
        }
        newer.wait_for_seq(journal.last());
        let reason = older.wait_for_state(State::Fenced);
        assert!(reason.contains("another projector"), "{reason}");
        older.stop();
        newer.stop();
        assert_same(
            &dump(&database),
            &expected(&session.commands),
            &format!("round {round}"),
        );
    }
}

/// What happens next when somebody has emptied the tables.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// More rows come: they must not hide that the others are gone.
    Rows,
    /// The connection is cut.
    Cut,
    Nothing,
}

#[test]
fn emptied_tables_are_filled_again() {
    let session = Session::random(27, 1_500);
    let mut to = session.commands.len() - 240;
    let mut journal = Journal::of(1, &session.commands[..to]);
    let database = Cluster::shared().database();
    let running = journal.projector(database.store());
    running.wait_for_seq(journal.last());
    let ways = [
        "DROP SCHEMA pinion CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public",
        "TRUNCATE trades, orders, positions, strategies, daily_stats, kill_switch_events, pinion.watermark",
        "TRUNCATE trades, orders, positions, strategies, daily_stats, kill_switch_events",
        "DELETE FROM trades; DELETE FROM orders",
        "DELETE FROM kill_switch_events; TRUNCATE pinion.alerts",
        "DROP SCHEMA pinion CASCADE",
    ];
    for way in ways {
        for next in [Next::Rows, Next::Cut, Next::Nothing] {
            database.execute(way);
            match next {
                Next::Rows => {
                    journal.append(&session.commands[to..to + 40]);
                    to += 40;
                }
                Next::Cut => database.terminate_backends(),
                Next::Nothing => {}
            }
            let rows = expected(&session.commands[..to]);
            running.wait_until("the tables are filled again", |status| {
                // In this order: the rows were counted after the loss was noticed.
                let full = counts(&database).is_ok_and(|counts| {
                    TABLES
                        .iter()
                        .zip(counts)
                        .all(|(of, count)| rows[of.name].len() == count)
                });
                full && status.written() == journal.last()
            });
            assert_same(&dump(&database), &rows, &format!("{way}, then {next:?}"));
        }
    }
    running.stop();
    assert_eq!(to, session.commands.len());
}

/// Rows of each table, in the order of [`TABLES`].
fn counts(database: &Database) -> Result<Vec<usize>, postgres::Error> {
    let count = |table: &Table| {
        let schema = if table.own { "pinion." } else { "" };
        format!(
            "(SELECT count(*) FROM {schema}{} WHERE seq IS NOT NULL)",
            table.name
        )
    };
    let counts: Vec<String> = TABLES.iter().map(count).collect();
    let row = database
        .client()
        .query_one(&format!("SELECT {}", counts.join(", ")), &[])?;
    let count = |place| usize::try_from(row.get::<_, i64>(place)).unwrap();
    Ok((0..TABLES.len()).map(count).collect())
}

#[test]
fn an_older_dump_is_caught_up_with() {
    let session = Session::random(28, 2_000);
    let database = Cluster::shared().database();
    let mut journal = Journal::of(1, &session.commands[..700]);
    let running = journal.projector(database.store());
    running.wait_for_seq(journal.last());
    let dumped = database.dump();
    for round in 0..5 {
        let to = 900 + round * 200;
        journal.append(&session.commands[to - 200..to]);
        running.wait_for_seq(journal.last());
        // Disconnects everyone; whoever comes back sees that the tables are others.
        database.restore(&dumped);
        running.wait_until("the older tables catch up", |_| {
            let watermark = database
                .client()
                .query_one("SELECT seq FROM pinion.watermark", &[]);
            watermark.is_ok_and(|row| u64::try_from(row.get::<_, i64>(0)).unwrap() == journal.last())
        });
        assert_same(
            &dump(&database),
            &expected(&session.commands[..to]),
            &format!("round {round}"),
        );
    }
    running.stop();
}

#[test]
fn foreign_tables_and_tables_ahead_of_the_journal_are_refused() {
    let cluster = Cluster::shared();
    for seed in 31..=35 {
        let session = Session::random(seed, 300);
        let database = cluster.database();
        Journal::of(1, &session.commands)
            .project(database.store())
            .unwrap();
        let before = dump(&database);
        let refused = |journal: &Journal, word: &str| {
            let error = journal.project(database.store()).unwrap_err();
            assert!(
                matches!(&error, StoreError::Refused(why) if why.contains(word)),
                "{error}"
            );
        };
        let other = Journal::of(2, &session.commands);
        refused(&other, "belong to journal 0101");
        let short = &session.commands[..session.commands.len() - 1];
        refused(&Journal::of(1, short), "the journal has lost its end");
        let parted = Journal::of(1, &parted_at_the_end(&session));
        refused(&parted, "another history of this journal");
        assert_same(&dump(&database), &before, "nothing was written");
        // Whoever says so may replace them.
        let done = rebuild(Projector::new(other.source(), database.store())).unwrap();
        assert_eq!(done, Ok(()));
        assert_same(&dump(&database), &before, "the same commands in another journal");
    }
}

#[test]
fn poison_rows_are_dead_letters_alone() {
    let mut session = Session::new(36);
    for number in 0..10_500 {
        // Resting orders far from each other: rows of their own that nothing refers to.
        let side = if number % 2 == 0 {
            engine::Side::Buy
        } else {
            engine::Side::Sell
        };
        let away = if number % 2 == 0 { -50 } else { 50 };
        let order = session.order(MAIN, side, number % 3, 1, away);
        session.pass_minutes(if number % 500 == 0 { 1 } else { 0 });
        session.sequence(engine::Command::NewOrder(order));
    }
    let database = Cluster::shared().database();
    let mut journal = Journal::of(1, &session.commands[..7]);
    journal.project(database.store()).unwrap();
    database.execute("ALTER TABLE orders ADD CONSTRAINT poison CHECK (id % 1000 <> 0)");
    journal.append(&session.commands[7..]);
    let told = Arc::new(Mutex::new(Vec::new()));
    let alarm = {
        let told = Arc::clone(&told);
        Box::new(move |notice: Notice| told.lock().unwrap().push(notice.kind))
    };
    let running = journal.projector_with_alarm(database.store(), alarm);
    running.wait_for_seq(journal.last());
    let letters = running.status.dead_letters();
    running.stop();
    let told = told.lock().unwrap();
    let dead_letters = |kind: &NoticeKind| *kind == NoticeKind::DeadLetter;
    assert!(!told.is_empty() && told.iter().all(dead_letters), "{told:?}");

    let mut rows = expected(&session.commands);
    let poisoned = |row: &Vec<Cell>| matches!(&row[0], Cell::Text(id) if id.ends_with("000"));
    let all = rows["orders"].len();
    assert!(all >= 10_000, "{all}");
    let sound: Vec<_> = rows["orders"]
        .iter()
        .filter(|row| !poisoned(row))
        .cloned()
        .collect();
    let refused = all - sound.len();
    rows.insert("orders", sound);
    assert_same(&dump(&database), &rows, "all but the poison");
    assert_eq!(u64::try_from(refused).unwrap(), letters);
    let sql = "SELECT count(DISTINCT row_key) FROM pinion.dead_letter WHERE table_name = 'orders' AND error LIKE '%poison%'";
    assert_eq!(database.one(sql), refused.to_string());
    assert_eq!(
        database.one("SELECT count(*) FROM pinion.dead_letter WHERE table_name <> 'orders'"),
        "0"
    );
}

/// A table that somebody holds is not waited for without end, and written when it is free.
#[test]
fn a_lock_is_given_up_and_tried_again() {
    let session = Session::random(39, 300);
    let (before, later) = session.commands.split_at(200);
    let mut journal = Journal::of(1, before);
    let database = Cluster::shared().database();
    let running = journal.projector(database.store());
    running.wait_for_seq(journal.last());
    let mut holder = database.client();
    holder
        .batch_execute("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        .unwrap();
    journal.append(later);
    let reason = running.wait_for_state(State::Unavailable);
    assert!(reason.contains("lock timeout"), "{reason}");
    holder.batch_execute("ROLLBACK").unwrap();
    running.wait_for_seq(journal.last());
    running.stop();
    assert_same(&dump(&database), &expected(&session.commands), "after the lock");
}

/// What bounds a session on the server's side, and that a commit is on the disk before the watermark says so.
#[test]
fn every_session_has_its_bounds() {
    let database = Cluster::shared().database();
    let settings = PostgresSettings::parse(&database.url()).unwrap();
    for (name, value) in [
        ("statement_timeout", "30s"),
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("synchronous_commit", "on"),
        ("TimeZone", "UTC"),
    ] {
        let sql = format!(
            "DO $$ BEGIN ASSERT current_setting('{name}') = '{value}', current_setting('{name}'); END $$"
        );
        assert_eq!(settings.execute(&sql), Ok(()), "{name}");
    }
    let refused = settings
        .execute("DO $$ BEGIN ASSERT current_setting('statement_timeout') = '1s', 'so it is'; END $$");
    assert!(
        refused.unwrap_err().to_string().contains("so it is"),
        "the question can fail"
    );
    let cancelled = settings.execute("SET statement_timeout = 50; SELECT pg_sleep(60)");
    assert!(matches!(cancelled, Err(StoreError::Unavailable(why)) if why.contains("statement timeout")));
}

/// Whoever accepts and says nothing holds nobody up for ever.
#[test]
fn a_server_that_says_nothing_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgresql://postgres@{}/nothing", silent.local_addr().unwrap());
    let journal = Journal::of(1, &Session::new(40).commands);
    let store = PostgresStore::new(PostgresSettings::parse(&url).unwrap());
    let running = journal.projector(store.with_answer_time(Duration::from_millis(50)));
    let says = |reason: &'static str| {
        running.wait_until(reason, |status| {
            let (state, why) = status.state();
            state == State::Unavailable && why.contains(reason)
        });
    };
    let patient = Arc::new(AtomicBool::new(false));
    // Ends with the process.
    std::thread::spawn({
        let patient = Arc::clone(&patient);
        move || {
            let mut hanging = Vec::new();
            for client in silent.incoming().map_while(Result::ok) {
                // As long as it hangs up on those before, there is nothing else to say of it.
                if !patient.load(Ordering::Acquire) {
                    hanging.clear();
                }
                hanging.push(client);
            }
        }
    });
    says("no answer within");
    // Some connections may hang; their number is bounded.
    patient.store(true, Ordering::Release);
    says("too many connections");
    running.stop();
}

#[test]
fn a_changed_trade_is_an_alarm() {
    let session = Session::random(37, 800);
    let journal = Journal::of(1, &session.commands);
    let database = Cluster::shared().database();
    journal.project(database.store()).unwrap();
    database.execute(
        "UPDATE trades SET price = price + 1 WHERE id = (SELECT min(id) FROM trades);
         UPDATE pinion.watermark SET seq = 0",
    );
    let running = journal.projector(database.store());
    running.wait_for_seq(journal.last());
    assert_eq!(running.status.conflicts(), 1);
    running.stop();
    assert_eq!(
        database.one("SELECT count(*) FROM pinion.dead_letter WHERE table_name = 'trades' AND error LIKE '%never changes%'"),
        "1"
    );
}

/// What the old tools ask, answered by the tables and by the read model.
#[test]
fn the_old_tools_see_what_the_api_shows() {
    let session = Session::random(38, 3_000);
    let journal = Journal::of(1, &session.commands);
    let database = Cluster::shared().database();
    journal.project(database.store()).unwrap();
    let history = session.model().history();
    let check = |sql: &str, shown: &dyn ToString| assert_eq!(database.one(sql), shown.to_string(), "{sql}");
    check(
        "SELECT count(*) FROM orders WHERE status IN ('PENDING', 'SUBMITTED', 'OPEN')",
        &history.orders().active(None).count(),
    );
    check(
        "SELECT count(*) FROM v_active_positions",
        &history.positions().open_count(None),
    );
    check(
        "SELECT count(*) FROM positions WHERE closed_at IS NULL",
        &history.positions().open_count(None),
    );
    check(
        "SELECT count(*) FROM kill_switch_events WHERE deactivated_at IS NULL",
        &history.active_kills().len(),
    );
    let today = today(&session);
    let in_day =
        |column: &str| format!("({column} AT TIME ZONE 'UTC' AT TIME ZONE 'Asia/Kolkata')::date = '{today}'");
    for (account, name) in [(MAIN, "main"), (ASHA, "asha")] {
        let counters = history.counters(account);
        let of = format!("account = '{name}'");
        let stats =
            |column: &str| format!("SELECT {column} FROM daily_stats WHERE {of} AND date = '{today}'");
        check(&stats("realized_pnl"), &counters.realised_of_closed);
        check(&stats("total_charges"), &counters.charges);
        check(
            &format!(
                "SELECT count(*) FROM orders WHERE {of} AND {}",
                in_day("created_at")
            ),
            &counters.orders,
        );
        check(
            &format!(
                "SELECT count(*) FROM trades WHERE {of} AND {}",
                in_day("executed_at")
            ),
            &counters.trades,
        );
        check(
            &format!(
                "SELECT coalesce(sum(realized_pnl), 0)::numeric(20, 2) FROM pinion.round_trips WHERE {of} AND {}",
                in_day("closed_at")
            ),
            &counters.realised_of_closed,
        );
        check(
            &format!("SELECT total_charges::numeric(20, 2) = (SELECT coalesce(sum(t.total_charges), 0) FROM trades t
                WHERE {of} AND {}) FROM daily_stats WHERE {of} AND date = '{today}'", in_day("executed_at")),
            &"t",
        );
    }
}
