//! The embedded tables beside a running server, and the commands about them.

use std::process::Output;

use serde_json::{Value, json};

use crate::life_of_an_order::{limit, trade};
use crate::support::reconciled;
use crate::support::server::{COUNTER, FREE, QUIET, Site, pinion};

/// What an operator may do to the file with any tool.
fn tamper(site: &Site, sql: &str) -> usize {
    let connection = rusqlite::Connection::open(site.data_dir().join("pinion.db")).unwrap();
    connection.execute(sql, ()).unwrap()
}

fn reconcile(site: &Site) -> Output {
    tables_command(site, &["reconcile"])
}

fn tables_command(site: &Site, args: &[&str]) -> Output {
    let mut command = pinion();
    command.args(args).arg("--data-dir").arg(site.data_dir());
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
    let report = reconciled(&mut client);
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
    let report = reconciled(&mut client);
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
    let words = ": the engine has 10 at 2450.00, ";
    assert!(
        text.contains(words) && text.contains(", the tables 11 at 2450.00, "),
        "{text}"
    );
    let told = tables_command(&site, &["reconcile", "--json"]);
    assert!(!told.status.success(), "{told:?}");
    let json: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(json["status"], "different");
    assert_eq!(json["differences"][0], *difference);
    // Three reconciliations found it; the earlier ones count as resolved.
    let unresolved = "UPDATE reconciliation_log SET auto_fixed = auto_fixed WHERE NOT resolved";
    assert_eq!(tamper(&site, unresolved), 1);
    assert_eq!(
        tamper(&site, "UPDATE positions SET quantity = 10 WHERE quantity = 11"),
        1
    );
    let told = reconcile(&site);
    assert!(told.status.success(), "{told:?}");
    assert_eq!(tamper(&site, unresolved), 0);
    let told = tables_command(&site, &["rebuild-tables", "--json"]);
    let json: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!((told.status.success(), &json["dead_letters"]), (true, &0.into()));
    let told = tables_command(&site, &["reconcile", "--json"]);
    let json: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(
        (told.status.success(), &json["status"]),
        (true, &"matched".into())
    );
}

/// The queries of the system that Pinion replaces, on the tables, after a session: the page and the API show the same.
#[test]
fn the_old_backends_queries_answer_what_the_api_answers() {
    let site = Site::with_accounts(&[COUNTER, FREE]);
    let server = site.start(QUIET);
    let (mut main, mut counter, mut free) = (
        server.client(),
        server.client_of(&site, "counter"),
        server.client_of(&site, "free"),
    );
    // Bought at 2450 and sold at 2455, then bought again; one order rests and one is refused.
    trade(&server, &site);
    counter
        .post("/api/oms/orders", &limit("BUY", 10, "2455.00"))
        .expect(201);
    let sold = main
        .post("/api/oms/orders", &limit("SELL", 10, "2455.00"))
        .expect(201);
    assert_eq!(sold["status"], "FILLED", "{sold}");
    trade(&server, &site);
    free.post("/api/oms/orders", &limit("BUY", 3, "2440.00"))
        .expect(201);
    free.post("/api/oms/orders", &limit("BUY", 3, "9000.00"))
        .expect(400);
    main.post(
        "/api/oms/risk/kill-switch",
        &json!({"reason": "drill", "account": "counter"}),
    )
    .expect(200);
    // So that the tables are where the API is.
    let report = reconciled(&mut main);
    assert_eq!(report["status"], "matched", "{report}");

    let tables = rusqlite::Connection::open(site.data_dir().join("pinion.db")).unwrap();
    for (client, account) in [
        (&mut main, "main"),
        (&mut counter, "counter"),
        (&mut free, "free"),
    ] {
        let ask = |sql: &str| -> Vec<String> {
            let mut statement = tables.prepare(sql).unwrap();
            let rows = statement.query_map([account], |row| row.get(0)).unwrap();
            rows.map(Result::unwrap).collect()
        };
        let one = |sql: &str| ask(sql).remove(0);
        let list = |body: &Value, name: &str, fields: &[&str]| -> Vec<String> {
            let rows = body[name].as_array().unwrap();
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            rows.iter()
                .map(|row| {
                    fields
                        .iter()
                        .map(|field| text(&row[*field]))
                        .collect::<Vec<_>>()
                        .join(" ")
                })
                .collect()
        };
        let active = client.get("/api/oms/orders/active").expect(200);
        assert_eq!(
            ask("SELECT id || ' ' || symbol || ' ' || side || ' ' || quantity || ' ' || price || ' ' || status
                 FROM orders WHERE status IN ('PENDING', 'SUBMITTED', 'OPEN') AND account = ?1
                 ORDER BY created_at DESC, id DESC"),
            list(&active, "orders", &["id", "symbol", "side", "quantity", "price", "status"]),
            "{account}"
        );
        let positions = client.get("/api/oms/positions").expect(200);
        assert_eq!(
            ask(
                "SELECT id || ' ' || symbol || ' ' || quantity || ' ' || average_price FROM positions
                 WHERE closed_at IS NULL AND account = ?1 ORDER BY opened_at DESC"
            ),
            list(
                &positions,
                "positions",
                &["id", "symbol", "quantity", "average_price"]
            ),
            "{account}"
        );
        let stats = client.get("/api/oms/stats/today").expect(200);
        let today = "= date('now', '+330 minutes') AND account = ?1";
        assert_eq!(
            one(&format!(
                "SELECT CAST(count(*) AS TEXT) FROM orders WHERE date(created_at, '+330 minutes') {today}"
            )),
            stats["order_count"].to_string(),
            "{account}"
        );
        assert_eq!(
            one(&format!(
                "SELECT CAST(count(*) AS TEXT) FROM trades WHERE date(executed_at, '+330 minutes') {today}"
            )),
            stats["trade_count"].to_string(),
            "{account}"
        );
        assert_eq!(
            one(&format!(
                "SELECT realized_pnl FROM daily_stats WHERE date {today}"
            )),
            stats["realized_pnl"].to_string(),
            "{account}"
        );
        assert_eq!(
            one(&format!(
                "SELECT printf('%.2f', coalesce(sum(realized_pnl), 0)) FROM pinion_round_trips
                 WHERE date(closed_at, '+330 minutes') {today}"
            )),
            stats["realized_pnl"].to_string(),
            "{account}"
        );
        let summary = client.get("/api/oms/risk/summary").expect(200);
        assert_eq!(
            one(
                "SELECT CASE count(*) WHEN 0 THEN 'false' ELSE 'true' END FROM kill_switch_events
                 WHERE deactivated_at IS NULL AND account = ?1"
            ),
            summary["kill_switch_active"].to_string(),
            "{account}"
        );
    }
}
