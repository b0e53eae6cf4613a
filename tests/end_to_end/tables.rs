//! The embedded tables beside a running server, and the commands about them.

use std::process::Output;

use serde_json::Value;

use crate::life_of_an_order::{limit, trade};
use crate::support::server::{COUNTER, QUIET, Site, pinion};

/// What an operator may do to the file with any tool.
fn tamper(site: &Site, sql: &str) -> usize {
    let connection = rusqlite::Connection::open(site.data_dir().join("pinion.db")).unwrap();
    connection.execute(sql, ()).unwrap()
}

fn reconcile(site: &Site) -> Output {
    let mut command = pinion();
    command.arg("reconcile").arg("--data-dir").arg(site.data_dir());
    if site.config_file().exists() {
        command.arg("--config").arg(site.config_file());
    }
    command.output().unwrap()
}

/// The kinds of the differences, and the sides that have them.
fn found(report: &Value) -> Vec<(String, String)> {
    let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
    let rows = report["differences"].as_array().unwrap();
    assert_eq!(report["count"], rows.len());
    rows.iter()
        .map(|row| (text(row, "side"), text(row, "issue_type")))
        .collect()
}

#[test]
fn a_reconciliation_finds_what_was_changed_in_the_tables() {
    let site = Site::with_accounts(&[COUNTER]);
    let server = site.start(QUIET);
    trade(&server, &site);
    server
        .client()
        .post("/api/oms/orders", &limit("SELL", 1, "2460.00"))
        .expect(201);
    let mut client = server.client();
    let report = client.get("/api/oms/reconcile").expect(200);
    assert_eq!(report["status"], "matched", "{report}");
    assert_eq!(report["compared"]["open_orders"], 1);
    assert_eq!(report["compared"]["open_positions"], 2);
    assert_eq!(report["compared"]["orders"], 3);
    assert_eq!(report["compared"]["trades"], 2);

    server
        .client_of(&site, "counter")
        .get("/api/oms/reconcile")
        .expect_error(403);

    let sql = "UPDATE positions SET quantity = 11 WHERE quantity = 10";
    assert_eq!(tamper(&site, sql), 1);
    let report = client.get("/api/oms/reconcile").expect(200);
    assert_eq!(report["status"], "different");
    let quantity = ("tables".to_owned(), "QUANTITY_MISMATCH".to_owned());
    assert_eq!(found(&report), [quantity]);
    let difference = &report["differences"][0];
    assert_eq!(
        (&difference["engine_quantity"], &difference["other_quantity"]),
        (&10.into(), &11.into())
    );
    server.stop();

    let told = reconcile(&site);
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(!told.status.success(), "{told:?}");
    assert!(text.contains("QUANTITY_MISMATCH"), "{text}");
    // Two reconciliations found it; the first counts as resolved.
    let unresolved = "UPDATE reconciliation_log SET auto_fixed = auto_fixed WHERE NOT resolved";
    assert_eq!(tamper(&site, unresolved), 1);
    assert_eq!(
        tamper(&site, "UPDATE positions SET quantity = 10 WHERE quantity = 11"),
        1
    );
    let told = reconcile(&site);
    assert!(told.status.success(), "{told:?}");
    assert_eq!(tamper(&site, unresolved), 0);
}
