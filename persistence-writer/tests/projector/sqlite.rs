//! The embedded database.

use std::path::Path;

use engine::{
    Actor, ByClass, Command, KillScope, KillSwitch, Price, SessionCalendar, Side, Text, Timetable,
    TradingState,
};
use persistence_writer::projector::{Column, Kind, SqliteStore, State, StoreError, TABLES, Table};
use rusqlite::Connection;

use crate::journal::Journal;
use crate::rows::{Cell, Dump, assert_same, expected, sorted};
use crate::session::{ASHA, MAIN, Session, VENUE, parted_at_the_end};

pub(crate) fn dump(path: &Path) -> Dump {
    let connection = Connection::open(path).unwrap();
    let read = |table: &'static Table| {
        let columns: Vec<String> = table
            .columns
            .iter()
            .map(|column| match column.kind {
                Kind::Bool => format!("CASE {} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END", column.name),
                _ => format!("CAST({} AS TEXT)", column.name),
            })
            .collect();
        let prefix = if table.own { "pinion_" } else { "" };
        let sql = format!("SELECT {} FROM {prefix}{}", columns.join(", "), table.name);
        let mut statement = connection.prepare(&sql).unwrap();
        let cells = |row: &rusqlite::Row<'_>| {
            let cell = |(place, column): (usize, &Column)| {
                Cell::new(column.kind, row.get::<_, Option<String>>(place).unwrap())
            };
            Ok(table.columns.iter().enumerate().map(cell).collect::<Vec<Cell>>())
        };
        let rows = statement
            .query_map((), cells)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        (table.name, sorted(table, rows))
    };
    TABLES.iter().map(read).collect()
}

fn one<T: rusqlite::types::FromSql>(path: &Path, sql: &str) -> T {
    let connection = Connection::open(path).unwrap();
    connection
        .query_row(sql, (), |row| row.get(0))
        .unwrap_or_else(|error| panic!("{error}: {sql}"))
}

#[test]
fn a_session_is_in_the_tables_row_by_row() {
    for seed in 1..=5 {
        let session = Session::random(seed, 3_000);
        let journal = Journal::of(1, &session.commands);
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pinion.db");
        journal.project(SqliteStore::new(&file)).unwrap();
        let expected = expected(&session.commands);
        for table in [
            "orders",
            "trades",
            "positions",
            "kill_switch_events",
            "daily_stats",
            "round_trips",
        ] {
            assert!(
                expected[table].len() > 3,
                "seed {seed}: the session fills {table}"
            );
        }
        assert_same(&dump(&file), &expected, &format!("seed {seed}"));
        assert_eq!(one::<i64>(&file, "SELECT count(*) FROM pinion_dead_letter"), 0);
        let watermark = one::<i64>(&file, "SELECT seq FROM pinion_watermark");
        assert_eq!(u64::try_from(watermark), Ok(journal.last()));
        for (ids, side) in [
            ("entry_order_ids", "quantity > 0"),
            ("exit_order_ids", "quantity < 0"),
        ] {
            let foreign = format!(
                "SELECT count(*) FROM positions p, json_each(p.{ids}) e JOIN orders o ON o.id = e.value
                 WHERE o.account <> p.account OR o.position_id <> p.id
                    OR (p.quantity <> 0 AND (o.side = 'BUY') <> (p.{side}))"
            );
            assert_eq!(one::<i64>(&file, &foreign), 0, "seed {seed}: {ids}");
        }
    }
}

/// In pieces, by a new projector each time: what was written before is folded again and not written twice.
#[test]
fn every_start_goes_on_where_the_last_one_ended() {
    let session = Session::random(11, 3_000);
    let mut journal = Journal::new(1);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pinion.db");
    let mut from = 0;
    for to in [1, 2, 40, 41, 900, 1_700, session.commands.len()] {
        journal.append(&session.commands[from..to]);
        from = to;
        journal.project(SqliteStore::new(&file)).unwrap();
        assert_same(
            &dump(&file),
            &expected(&session.commands[..to]),
            &format!("after {to}"),
        );
    }
}

#[test]
fn a_missing_damaged_or_emptied_file_is_made_anew() {
    let session = Session::random(12, 1_500);
    let journal = Journal::of(1, &session.commands);
    let expected = expected(&session.commands);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pinion.db");
    let check = |what: &str| {
        journal.project(SqliteStore::new(&file)).unwrap();
        assert_same(&dump(&file), &expected, what);
    };
    check("fresh");
    std::fs::remove_file(&file).unwrap();
    check("removed");
    std::fs::write(&file, b"this is not a database, however long one looks at it").unwrap();
    check("overwritten");
    assert!(directory.path().join("pinion.db.damaged").exists());
    let middle = std::fs::metadata(&file).unwrap().len() / 8_192 * 4_096;
    std::os::unix::fs::FileExt::write_all_at(
        &std::fs::OpenOptions::new().write(true).open(&file).unwrap(),
        &[0xa5; 16_384],
        middle,
    )
    .unwrap();
    check("damaged in the middle");
    Connection::open(&file)
        .unwrap()
        .execute_batch("DELETE FROM trades; DELETE FROM orders; DELETE FROM positions;")
        .unwrap();
    check("emptied behind the watermark");
    Connection::open(&file)
        .unwrap()
        .execute_batch("DROP TABLE pinion_watermark")
        .unwrap();
    assert!(
        journal.project(SqliteStore::new(&file)).is_err(),
        "a broken schema is said, not hidden"
    );
}

#[test]
fn the_thread_follows_while_the_journal_grows() {
    let session = Session::random(13, 2_000);
    let mut journal = Journal::new(1);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pinion.db");
    let running = journal.projector(SqliteStore::new(&file));
    for commands in session.commands.chunks(37) {
        journal.append(commands);
    }
    running.wait_for_seq(journal.last());
    running.wait_for_state(State::Live);
    running.stop();
    assert_same(&dump(&file), &expected(&session.commands), "followed");
}

#[test]
fn foreign_tables_and_tables_ahead_of_the_journal_are_refused() {
    let session = Session::random(14, 300);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pinion.db");
    Journal::of(1, &session.commands)
        .project(SqliteStore::new(&file))
        .unwrap();
    let before = dump(&file);

    let refused = |journal: &Journal, word: &str| {
        let error = journal.project(SqliteStore::new(&file)).unwrap_err();
        assert!(
            matches!(&error, StoreError::Refused(why) if why.contains(word)),
            "{error}"
        );
    };
    refused(&Journal::of(2, &session.commands), "belong to journal 0101");
    let short = &session.commands[..session.commands.len() - 1];
    refused(&Journal::of(1, short), "the journal has lost its end");
    let parted = Journal::of(1, &parted_at_the_end(&session));
    refused(&parted, "another history of this journal");
    assert_eq!(dump(&file), before, "nothing was written");
}

#[test]
fn of_two_projectors_the_older_is_fenced() {
    let session = Session::random(15, 800);
    let (first, second) = session.commands.split_at(400);
    let mut journal = Journal::of(1, first);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pinion.db");
    let older = journal.projector(SqliteStore::new(&file));
    older.wait_for_seq(journal.last());
    journal.project(SqliteStore::new(&file)).unwrap();
    // Both learn of more; only the newer one may write it.
    journal.append(second);
    journal.project(SqliteStore::new(&file)).unwrap();
    let reason = older.wait_for_state(State::Fenced);
    assert!(reason.contains("another projector"), "{reason}");
    older.stop();
    assert_same(&dump(&file), &expected(&session.commands), "the newer one's");
}

#[test]
fn a_row_that_the_database_refuses_is_a_dead_letter_alone() {
    let session = Session::random(16, 2_000);
    let journal = Journal::of(1, &session.commands[..1]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pinion.db");
    journal.project(SqliteStore::new(&file)).unwrap();
    Connection::open(&file)
        .unwrap()
        .execute_batch(
            "CREATE TRIGGER poison BEFORE INSERT ON trades WHEN NEW.id % 7 = 0
             BEGIN SELECT RAISE(ABORT, 'poison'); END",
        )
        .unwrap();
    let mut journal = journal;
    journal.append(&session.commands[1..]);
    journal.project(SqliteStore::new(&file)).unwrap();

    let mut expected = expected(&session.commands);
    let poisoned = |row: &Vec<Cell>| match &row[0] {
        Cell::Text(id) => id.parse::<u64>().unwrap().is_multiple_of(7),
        _ => false,
    };
    let all = expected["trades"].len();
    let trades: Vec<_> = expected["trades"]
        .iter()
        .filter(|row| !poisoned(row))
        .cloned()
        .collect();
    let refused = i64::try_from(all - trades.len()).unwrap();
    assert!(refused > 3);
    expected.insert("trades", trades);
    assert_same(&dump(&file), &expected, "all but the poison");
    let letters =
        "SELECT count(*) FROM pinion_dead_letter WHERE table_name = 'trades' AND error LIKE '%poison%'";
    assert_eq!(one::<i64>(&file, letters), refused);
}

/// What the old tools ask, answered by the tables and by the read model.
#[test]
fn the_old_tools_see_what_the_api_shows() {
    let session = Session::random(17, 2_500);
    let journal = Journal::of(1, &session.commands);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pinion.db");
    journal.project(SqliteStore::new(&file)).unwrap();
    let history = session.model().history();
    let count = |sql: &str| usize::try_from(one::<i64>(&file, sql)).unwrap();
    let active = count("SELECT count(*) FROM orders WHERE status IN ('PENDING', 'SUBMITTED', 'OPEN')");
    assert_eq!(active, history.orders().active(None).count());
    let open = count("SELECT count(*) FROM v_active_positions");
    assert_eq!(open, history.positions().open_count(None));
    let killed = count("SELECT count(*) FROM kill_switch_events WHERE deactivated_at IS NULL");
    assert_eq!(killed, history.active_kills().len());
    let today = crate::session::today(&session);
    for (account, name) in [(crate::session::MAIN, "main"), (crate::session::ASHA, "asha")] {
        let counters = history.counters(account);
        let stats = |column: &str| {
            let sql =
                format!("SELECT {column} FROM daily_stats WHERE account = '{name}' AND date = '{today}'");
            one::<String>(&file, &sql)
        };
        assert_eq!(stats("realized_pnl"), counters.realised_of_closed.to_string());
        assert_eq!(stats("total_charges"), counters.charges.to_string());
        assert_eq!(stats("CAST(total_orders AS TEXT)"), counters.orders.to_string());
        assert_eq!(stats("CAST(total_trades AS TEXT)"), counters.trades.to_string());
    }
}

/// A flatten that is asked for while the market is closed goes when it opens, and its kill switch's row says so then.
#[test]
fn a_kill_switch_is_completed_by_what_it_closes_later() {
    let at = |hour: u32, minute: u32| hour * 3_600 + minute * 60;
    let hours = Timetable {
        pre_open: at(9, 0),
        continuous: at(9, 15),
        closing: at(15, 30),
        closed: at(15, 30),
    };
    let mut session = Session::new(3);
    session.sequence(Command::SetSession(Box::new(SessionCalendar {
        timetables: Some(ByClass {
            cash: hours,
            derivatives: hours,
        }),
        ..SessionCalendar::default()
    })));
    for (account, side) in [(MAIN, Side::Sell), (ASHA, Side::Buy)] {
        let order = session.order(account, side, 0, 5, 0);
        session.sequence(Command::NewOrder(order));
    }
    session.pass_minutes(5 * 60);
    session.sequence(Command::KillSwitch(KillSwitch {
        actor: Actor {
            account: MAIN,
            admin: true,
        },
        scope: KillScope::Account(ASHA),
        state: TradingState::Reducing,
        flatten: Some(true),
        reason: Text::cut("the night"),
        triggered_by: Text::cut("main"),
    }));
    let mut journal = Journal::of(1, &session.commands);
    let so_far = session.commands.len();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pinion.db");
    let row = "SELECT positions_closed_count || ' ' || coalesce(completed_at > triggered_at, 'open') || ' '
                  || json_array_length(close_results) || ' '
                  || coalesce(json_extract(close_results, '$[0].order_id'), 'none')
               FROM kill_switch_events";
    journal.project(SqliteStore::new(&file)).unwrap();
    assert_eq!(one::<String>(&file, row), "0 open 0 none");
    session.pass_minutes(16 * 60 + 20);
    session.sequence(Command::Tick);
    journal.append(&session.commands[so_far..]);
    journal.project(SqliteStore::new(&file)).unwrap();
    assert_eq!(one::<String>(&file, row), "1 1 1 3");
    assert_same(&dump(&file), &expected(&session.commands), "in one go");
}

/// A stop that has fired protects nothing while its exit waits, and is what the row of the closed position names.
#[test]
fn a_fired_stop_leaves_the_row_until_the_position_is_closed() {
    let mut session = Session::new(5);
    let trade = |session: &mut Session, account, side, shares, ticks| {
        let order = session.order(account, side, 0, shares, ticks);
        session.sequence(Command::NewOrder(order));
    };
    trade(&mut session, MAIN, Side::Sell, 5, 0);
    let mut entry = session.order(ASHA, Side::Buy, 0, 5, 0);
    entry.stop_loss = Price::from_paise(244_800);
    session.sequence(Command::NewOrder(entry));
    let mut journal = Journal::new(1);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pinion.db");
    let mut done = 0;
    let mut row = |session: &Session| {
        journal.append(&session.commands[done..]);
        done = session.commands.len();
        journal.project(SqliteStore::new(&file)).unwrap();
        one::<String>(
            &file,
            "SELECT quantity || ' ' || coalesce(stop_loss, 'none') FROM positions WHERE account = 'asha'",
        )
    };
    assert_eq!(row(&session), "5 2448.00");
    trade(&mut session, MAIN, Side::Buy, 1, -30);
    trade(&mut session, VENUE, Side::Sell, 1, -30);
    assert_eq!(session.model().history().orders().active(Some(ASHA)).count(), 1);
    assert_eq!(row(&session), "5 none");
    trade(&mut session, MAIN, Side::Buy, 2, -30);
    assert_eq!(row(&session), "3 none");
    trade(&mut session, MAIN, Side::Buy, 3, -30);
    assert_eq!(row(&session), "0 2448.00");
}
