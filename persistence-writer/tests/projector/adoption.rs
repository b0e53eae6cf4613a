//! An existing database of the old backend, with rows in it.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::cluster::{Cluster, Database};
use crate::journal::Journal;
use crate::postgres::dump;
use crate::rows::{assert_same, expected};
use crate::session::Session;

const OLD_SCHEMA: &str = include_str!("old_schema.sql");

/// The old rows, without what adoption changes: their ids.
fn old_rows(database: &Database) -> Vec<String> {
    let mut client = database.client();
    [
        "SELECT o.broker_order_id || ' ' || o.symbol || o.side || o.quantity || o.status || o.created_at || coalesce(o.price, 0)
         FROM orders o WHERE created_at < '2026-08-01' AND broker_order_id IS NOT NULL",
        "SELECT t.broker_trade_id || ' ' || t.quantity || t.price || ' ' || t.gross_value || ' ' || t.net_value || ' of '
             || o.broker_order_id FROM trades t JOIN orders o ON o.id = t.order_id WHERE t.executed_at < '2026-08-01'",
        "SELECT symbol || issue_type || difference FROM reconciliation_log",
        "SELECT reason || triggered_at || status FROM kill_switch_events WHERE triggered_at < '2026-08-01'",
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
    assert!(before.len() >= 11, "{before:?}");

    let session = Session::random(51, 2_000);
    let journal = Journal::of(1, &session.commands);
    let applied = database.store().migrate().unwrap();
    assert_eq!(applied.len(), 3, "{applied:?}");
    assert_eq!(sorted(old_rows(&database)), before, "migrated");
    assert_eq!(database.store().migrate().unwrap(), [""; 0], "once");
    assert_eq!(
        database.one("SELECT count(*) FROM v_active_positions"),
        "1",
        "INFY is open"
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
    assert_eq!(applied.load(Ordering::Relaxed), 3);
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
