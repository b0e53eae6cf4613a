//! Reconciliation finds what somebody changed in the tables, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use persistence_writer::projector::reconcile::{Report, Standing};
use persistence_writer::projector::{Projector, Reconciler, SqliteStore, TableStore, run};

use crate::cluster::Cluster;
use crate::journal::{Journal, PATIENCE};
use crate::session::Session;

/// Projects a session, and reconciles at first and after each of the steps that tamper with the tables.
fn reconcile(session: &Session, store: impl TableStore + 'static, steps: &[&dyn Fn()]) -> Vec<Report> {
    let journal = Journal::of(1, &session.commands);
    let (reconciler, requests) = Reconciler::new();
    let source = journal.source();
    let status = Arc::clone(&source.status);
    let stop = AtomicBool::new(false);
    let mut reports = Vec::new();
    std::thread::scope(|scope| {
        let projector = Projector::new(source, store).with_requests(requests);
        scope.spawn(|| run(projector, &stop).unwrap());
        let deadline = Instant::now() + PATIENCE;
        while status.written() < journal.last() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        let ask = || {
            let model = session.model();
            let standing = Standing::of(model.engine(), model.history());
            reconciler.reconcile(move |_| Some(standing), PATIENCE)
        };
        reports.push(ask());
        for step in steps {
            step();
            reports.push(ask());
        }
        stop.store(true, Ordering::Release);
    });
    reports.into_iter().map(Result::unwrap).collect()
}

const TAMPER: [&str; 3] = [
    "UPDATE positions SET quantity = quantity + 7 WHERE id =
        (SELECT min(id) FROM positions WHERE closed_at IS NULL)",
    "UPDATE orders SET status = 'OPEN', filled_quantity = 0 WHERE id =
        (SELECT min(id) FROM orders WHERE status = 'FILLED')",
    "DELETE FROM trades WHERE id = (SELECT id FROM trades ORDER BY id LIMIT 1 OFFSET 9)",
];

fn check(reports: &[Report]) {
    let found: Vec<Vec<&str>> = reports
        .iter()
        .map(|report| {
            report
                .differences
                .iter()
                .map(|difference| difference.issue_type)
                .collect()
        })
        .collect();
    assert!(found[0].is_empty(), "{:?}", reports[0].differences);
    assert_eq!(found[1], ["QUANTITY_MISMATCH"], "a position's quantity");
    assert_eq!(found[2], ["OTHER", "QUANTITY_MISMATCH"], "and an order's status");
    assert_eq!(
        found[3],
        ["OTHER", "QUANTITY_MISMATCH", "OTHER"],
        "and the trades in all"
    );
    let moved = &reports[1].differences[0];
    assert_eq!(
        moved.other_quantity,
        moved.engine_quantity.map(|quantity| quantity + 7)
    );
    assert!(reports[0].open_positions > 0 && reports[0].open_orders > 0 && reports[0].trades > 100);
}

#[test]
fn what_was_changed_in_sqlite_is_found() {
    let session = Session::random(71, 1_500);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pinion.db");
    let open = || rusqlite::Connection::open(&file).unwrap();
    let steps = TAMPER.map(|sql| move || open().execute_batch(sql).unwrap());
    let steps: Vec<&dyn Fn()> = steps.iter().map(|step| step as &dyn Fn()).collect();
    check(&reconcile(&session, SqliteStore::new(&file), &steps));
    let sql = "SELECT count(*) FROM v_reconciliation_issues";
    let unresolved: i64 = open().query_row(sql, (), |row| row.get(0)).unwrap();
    assert_eq!(unresolved, 3, "those of the last one; earlier ones are resolved");
}

#[test]
fn what_was_changed_in_postgres_is_found() {
    let session = Session::random(72, 1_500);
    let database = Cluster::shared().database();
    let steps = TAMPER.map(|sql| {
        let database = database.clone();
        move || database.execute(sql)
    });
    let steps: Vec<&dyn Fn()> = steps.iter().map(|step| step as &dyn Fn()).collect();
    check(&reconcile(&session, database.store(), &steps));
    assert_eq!(database.one("SELECT count(*) FROM v_reconciliation_issues"), "3");
    assert_eq!(database.one("SELECT count(*) FROM reconciliation_log"), "6");
}
