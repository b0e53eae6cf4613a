//! An existing database of the old backend, with rows in it.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::cluster::{Cluster, Database};
use crate::journal::Journal;
use crate::postgres::dump;
use crate::rows::{assert_same, expected};
use crate::session::Session;

const OLD_SCHEMA: &str = include_str!("old_schema.sql");

/// The old rows, without what adoption changes: their ids, and the state of what was open.
fn old_rows(database: &Database) -> Vec<String> {
    let mut client = database.client();
    [
        "SELECT o.broker_order_id || ' ' || o.symbol || o.side || o.quantity || o.filled_quantity || o.created_at || coalesce(o.price, 0)
             || coalesce(o.metadata -> 'before_pinion' ->> 'status', o.status)
         FROM orders o WHERE created_at < '2026-08-01' AND broker_order_id IS NOT NULL",
        "SELECT t.broker_trade_id || ' ' || t.quantity || t.price || ' ' || t.gross_value || ' ' || t.net_value || ' of '
             || o.broker_order_id FROM trades t JOIN orders o ON o.id = t.order_id WHERE t.executed_at < '2026-08-01'",
        "SELECT symbol || issue_type || difference FROM reconciliation_log",
        "SELECT reason || triggered_at || coalesce(metadata -> 'before_pinion' ->> 'status', status)
         FROM kill_switch_events WHERE triggered_at < '2026-08-01'",
        "SELECT date::text || total_orders || total_trades FROM daily_stats WHERE date < '2026-08-01'",
        "SELECT id || name || type || config::text || status FROM strategies WHERE type = 'MOMENTUM'
             OR config::text <> '{}'",
    ]
    .iter()
    .flat_map(|sql| {
        let rows = client.query(*sql, &[]).unwrap_or_else(|error| panic!("{error:?}: {sql}"));
        rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>()
    })
    .map(|row| row.replace(".50 ", ".5 "))
    .collect()
}

fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort();
    rows
}

#[test]
fn an_old_database_keeps_its_rows_and_gets_the_journals() {
    let database = Cluster::shared().database();
    database.execute(OLD_SCHEMA);
    database.execute("CREATE ROLE reporting; GRANT SELECT ON v_active_positions, orders TO reporting");
    let before = sorted(old_rows(&database));
    assert!(before.len() >= 15, "{before:?}");

    let session = Session::random(51, 2_000);
    let journal = Journal::of(1, &session.commands);
    let applied = database.store().migrate().unwrap();
    assert_eq!(applied.len(), 5, "{applied:?}");
    assert_eq!(sorted(old_rows(&database)), before, "migrated");
    assert_eq!(database.store().migrate().unwrap(), [""; 0], "once");
    assert_eq!(
        database.one("SELECT count(*) FROM v_active_positions"),
        "0",
        "INFY was the old system's"
    );
    assert_eq!(
        database.one("SELECT entry_order_ids::text FROM positions WHERE symbol = 'INFY'"),
        "{-3}"
    );

    journal.project(database.store()).unwrap();
    assert_eq!(sorted(old_rows(&database)), before, "projected");
    let mut found = dump(&database);
    let mut rows = expected(&session.commands);
    // What only the old rows know stays theirs: how the strategy was set up.
    for dumped in [&mut found, &mut rows] {
        let strategies = dumped.get_mut("strategies").unwrap();
        strategies.retain(|row| !format!("{:?}", row[0]).contains("main"));
    }
    assert_same(&found, &rows, "beside old rows");
    assert_eq!(database.one("SELECT count(*) FROM pinion.dead_letter"), "0");
    // The old position was closed and is taken over by the journal's of the same key, with its old trades.
    let sql = "SELECT count(*) FROM positions WHERE account = 'main' AND symbol = 'RELIANCE' AND strategy_id = 1 AND product = 'MIS'";
    assert_eq!(database.one(sql), "1");
    let sql = "SELECT count(*) FROM trades t JOIN positions p ON p.id = t.position_id WHERE t.broker_trade_id IN ('T1', 'T2', 'T3')";
    assert_eq!(database.one(sql), "3");
    // Who could read can read.
    database
        .execute("SET ROLE reporting; SELECT count(*) FROM v_active_positions; SELECT count(*) FROM orders");
    // The old answer is still to be had, under another name.
    database.execute("SELECT get_today_pnl(), get_order_to_trade_ratio(), get_today_pnl_before_pinion()");
}

/// What the old backend asked for of what is open, each with the number that an answer for Pinion's own would give.
const WHAT_IS_OPEN: [(&str, &str); 5] = [
    (
        "SELECT count(*) FROM orders WHERE status IN ('PENDING', 'SUBMITTED', 'OPEN')",
        "SELECT count(*) FROM orders WHERE status IN ('PENDING', 'SUBMITTED', 'OPEN') AND seq IS NOT NULL",
    ),
    (
        "SELECT count(*) FROM positions WHERE closed_at IS NULL",
        "SELECT count(*) FROM positions WHERE closed_at IS NULL AND seq IS NOT NULL",
    ),
    (
        "SELECT count(*) FROM positions WHERE quantity <> 0",
        "SELECT count(*) FROM positions WHERE quantity <> 0 AND seq IS NOT NULL",
    ),
    (
        "SELECT count(*) FROM kill_switch_events WHERE deactivated_at IS NULL",
        "SELECT count(*) FROM kill_switch_events WHERE deactivated_at IS NULL AND seq IS NOT NULL",
    ),
    (
        "SELECT count(*) FROM kill_switch_events WHERE status = 'ACTIVE'",
        "SELECT count(*) FROM kill_switch_events WHERE status = 'ACTIVE' AND seq IS NOT NULL",
    ),
];

/// Nobody works the old system's orders any more: they are finished beside the journal's, and no row goes.
#[test]
fn what_the_old_system_left_open_is_finished() {
    let database = Cluster::shared().database();
    database.execute(OLD_SCHEMA);
    let counts = |when: &str| -> Vec<String> {
        ["orders", "positions", "trades", "kill_switch_events"]
            .iter()
            .map(|table| database.one(&format!("SELECT {when} || count(*) FROM {table}")))
            .collect()
    };
    let rows = counts("''");
    let open: Vec<String> = WHAT_IS_OPEN.iter().map(|(old, _)| database.one(old)).collect();
    assert_eq!(open, ["3", "1", "1", "2", "1"], "there is something to finish");

    database.store().migrate().unwrap();
    assert_eq!(counts("''"), rows, "no row is deleted");
    for (old, _) in WHAT_IS_OPEN {
        assert_eq!(database.one(old), "0", "{old}");
    }
    // Text comes quoted where it has spaces.
    let finished = |sql: &str| database.one(sql).trim_matches('"').to_owned();
    assert_eq!(
        finished(
            "SELECT status || ' ' || filled_quantity || ' ' || (cancelled_at IS NOT NULL) || ' ' || status_message
             FROM orders WHERE broker_order_id = 'MOCK001003'"
        ),
        "CANCELLED 3 true Order of the system before Pinion, cancelled when Pinion took the database over"
    );
    // Not today, where it would count as realised.
    assert_eq!(
        finished(
            "SELECT quantity || ' ' || unrealized_pnl || ' ' || realized_pnl || ' ' || closed_at || ' was '
                 || (metadata #>> '{before_pinion,quantity}') FROM positions WHERE symbol = 'INFY'"
        ),
        "0 0.00 75.00 2026-07-02 05:10:00 was 5"
    );
    assert_eq!(
        finished("SELECT string_agg(status || ' by ' || coalesce(deactivated_by, 'itself'), ', ' ORDER BY triggered_at)
             FROM kill_switch_events"),
        "DEACTIVATED by itself, DEACTIVATED by Pinion, taking the database over, \
         DEACTIVATED by Pinion, taking the database over"
    );

    // A session ends with orders, positions and switches of its own, which old queries see alone.
    let session = Session::random(54, 2_000);
    Journal::of(1, &session.commands)
        .project(database.store())
        .unwrap();
    let sql = "SELECT json_agg(o ORDER BY id)::text FROM orders o WHERE seq IS NULL";
    let before = database.one(sql);
    assert_eq!(database.store().migrate().unwrap(), [""; 0], "once");
    assert_eq!(database.one(sql), before);
    let mut seen = 0;
    for (old, of_pinion) in WHAT_IS_OPEN {
        let found = database.one(old);
        assert_eq!(found, database.one(of_pinion), "{old}");
        seen += found.parse::<u32>().unwrap();
    }
    assert!(seen > 0, "the session leaves something open");
}

/// Rows by hand, as the old tools make them, are stamped and summed up as before.
#[test]
fn rows_made_by_hand_are_summed_up() {
    let database = Cluster::shared().database();
    Journal::of(1, &Session::new(52).commands)
        .project(database.store())
        .unwrap();
    database.execute(
        "INSERT INTO orders (id, strategy_id, symbol, exchange, side, quantity, order_type, product, validity, status)
         VALUES (-1, 1, 'TCS', 'NSE', 'SELL', 2, 'MARKET', 'MIS', 'DAY', 'FILLED');
         INSERT INTO trades (id, order_id, symbol, exchange, side, quantity, price, brokerage, stt)
         VALUES (-1, -1, 'TCS', 'NSE', 'SELL', 2, 3500, 2.1, 1.75);
         UPDATE strategies SET status = 'PAUSED', updated_at = '2000-01-01' WHERE account = 'main'",
    );
    assert_eq!(
        database.one("SELECT net_value FROM trades WHERE id = -1"),
        "6996.15"
    );
    assert_eq!(
        database.one("SELECT updated_at > '2020-01-01' FROM strategies WHERE account = 'main'"),
        "t"
    );
}

#[test]
fn of_many_that_migrate_at_once_one_does() {
    let database = Cluster::shared().database();
    let applied = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let migrations = database.store().migrate().unwrap();
                applied.fetch_add(u32::try_from(migrations.len()).unwrap(), Ordering::Relaxed);
            });
        }
    });
    assert_eq!(applied.load(Ordering::Relaxed), 5);
}

/// Not an owner: it connects, makes temporary tables, and reads and writes rows.
#[test]
fn a_role_of_least_privilege_projects() {
    let session = Session::random(53, 3_000);
    let journal = Journal::of(1, &session.commands);
    let database = Cluster::shared().database();
    database.store().migrate().unwrap();
    let role = include_str!("../../../deploy/postgres-role.sql");
    database.execute(&format!("REVOKE ALL ON DATABASE {} FROM PUBLIC", database.name));
    database.execute(&role.replace("DATABASE xcoin", &format!("DATABASE {}", database.name)));
    let url = database.url().replace("postgres@", "pinion@");
    let settings = persistence_writer::projector::PostgresSettings::parse(&url).unwrap();
    journal
        .project(persistence_writer::projector::PostgresStore::new(settings))
        .unwrap();
    assert_same(&dump(&database), &expected(&session.commands), "least privilege");
}
