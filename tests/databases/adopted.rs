//! Rows that were there before Pinion, in the API's histories: after its own, newest first, whatever they lack.

use std::path::Path;
use std::time::Duration;

use engine::AccountId;
use persistence_writer::projector::{PostgresSettings, SqliteStore};
use pinion::{earlier, tables::Tables};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::journal::Journal;
use crate::reader::{HISTORIES, History, Reader};
use crate::session::{ASHA, Session};

const OLD_SCHEMA: &str = include_str!("../../persistence-writer/tests/projector/old_schema.sql");

/// What nothing kept the old system from writing.
const ODD_ROWS: &str = "
    INSERT INTO orders (broker_order_id, strategy_id, symbol, exchange, side, quantity, order_type, price, product,
        validity, status, filled_quantity, created_at, updated_at)
    VALUES ('MOCK001005', 1, 'OLDCO', 'BSE', 'SELL', 7, 'SL-M', 'NaN', 'CNC', 'DAY', 'FAILED', NULL,
        '2026-07-03 05:00:00.123456', NULL);
    INSERT INTO trades (order_id, broker_trade_id, symbol, exchange, side, quantity, price, brokerage, stt, executed_at)
    VALUES (3, 'T4', 'INFY', 'NSE', 'BUY', 3, 1490.05, 1.3456, NULL, '2026-07-02 05:02');
    INSERT INTO positions (symbol, exchange, strategy_id, quantity, average_price, product, realized_pnl, opened_at,
        closed_at)
    VALUES ('OLDCO', 'BSE', 1, 0, 10.10, 'MIS', NULL, NULL, '2026-07-01 07:00');";

/// Rows as adoption leaves them, for the database that the old system did not know.
const OLD_ROWS_OF_SQLITE: &str = "
    INSERT INTO orders (id, broker_order_id, strategy_id, symbol, exchange, side, quantity, order_type, price, product,
        validity, status, filled_quantity, average_price, created_at, updated_at, metadata, status_message) VALUES
    (-1, 'MOCK001000', 1, 'RELIANCE', 'NSE', 'BUY', 10, 'LIMIT', '2450.00', 'MIS', 'DAY', 'FILLED', 10, '2449.50',
        '2026-07-01 05:00:00.000000', NULL, NULL, NULL),
    (-2, 'MOCK001001', 1, 'RELIANCE', 'NSE', 'SELL', 10, 'LIMIT', '2460.00', 'MIS', 'DAY', 'FILLED', 10, '2460.50',
        '2026-07-01 06:00:00.000000', NULL, NULL, NULL),
    (-3, 'MOCK001002', 2, 'INFY', 'NSE', 'BUY', 5, 'LIMIT', '1500.00', 'CNC', 'DAY', 'FILLED', 5, '1500.00',
        '2026-07-02 05:00:00.000000', NULL, NULL, NULL),
    (-4, NULL, 2, 'INFY', 'NSE', 'BUY', 5, 'LIMIT', '1500.00', 'CNC', 'IOC', 'REJECTED', 0, NULL,
        '2026-07-02 05:01:00.000000', NULL, NULL, NULL),
    (-5, 'MOCK001003', 2, 'INFY', 'NSE', 'BUY', 8, 'LIMIT', '1490.00', 'CNC', 'DAY', 'CANCELLED', 3, '1490.00',
        '2026-07-02 05:02:00.000000', NULL, '{\"before_pinion\": {\"status\": \"OPEN\", \"status_message\": null}}',
        'Order of the system before Pinion, cancelled when Pinion took the database over'),
    (-6, 'MOCK001004', 1, 'TCS', 'NSE', 'BUY', 1, 'LIMIT', '3500.00', 'MIS', 'DAY', 'CANCELLED', 0, NULL,
        '2026-07-02 05:03:00.000000', NULL, '{}', NULL),
    (-7, NULL, 1, 'TCS', 'NSE', 'BUY', 1, 'LIMIT', '3400.00', 'MIS', 'DAY', 'CANCELLED', 0, NULL,
        '2026-07-02 05:04:00.000000', NULL, '{}', NULL),
    (-8, 'MOCK001005', 1, 'OLDCO', 'BSE', 'SELL', 7, 'SL-M', 'NaN', 'CNC', 'DAY', 'FAILED', 0, NULL,
        '2026-07-03 05:00:00.123456', NULL, NULL, NULL);
    INSERT INTO trades (id, order_id, broker_trade_id, strategy_id, product, symbol, exchange, side, quantity, price,
        brokerage, total_charges, gross_value, net_value, executed_at) VALUES
    (-1, -1, 'T1', 1, 'MIS', 'RELIANCE', 'NSE', 'BUY', 10, '2449.50', '7.3500', '7.3500', '24495.00', '24502.35',
        '2026-07-01 05:00:00.000000'),
    (-2, -2, 'T2', 1, 'MIS', 'RELIANCE', 'NSE', 'SELL', 10, '2460.50', '7.3800', '7.3800', '24605.00', '24597.62',
        '2026-07-01 06:00:00.000000'),
    (-3, -3, 'T3', 2, 'CNC', 'INFY', 'NSE', 'BUY', 5, '1500.00', '0.0000', '0.0000', '7500.00', '7500.00',
        '2026-07-02 05:00:00.000000'),
    (-4, -3, 'T4', 2, 'CNC', 'INFY', 'NSE', 'BUY', 3, '1490.05', '1.3456', '1.3456', '4470.15', NULL,
        '2026-07-02 05:02:00.000000');
    INSERT INTO positions (id, symbol, exchange, strategy_id, product, quantity, average_price, realized_pnl, opened_at,
        closed_at, metadata) VALUES
    (-2, 'INFY', 'NSE', 2, 'CNC', 0, '1500.00', '75.00', '2026-07-02 05:00:00.000000', '2026-07-02 05:10:00.000000',
        '{\"before_pinion\": {\"quantity\": 5}}'),
    (-3, 'OLDCO', 'BSE', 1, 'MIS', 0, '10.10', '0.00', NULL, '2026-07-01 07:00:00.000000', NULL);";

#[test]
fn an_adopted_postgres_shows_its_old_rows() {
    let session = Session::random(65, 2_000);
    let journal = Journal::of(1, &session.commands);
    let database = Cluster::shared().database();
    database.execute(OLD_SCHEMA);
    database.execute(ODD_ROWS);
    journal.project(database.store()).unwrap();
    let settings = PostgresSettings::parse(&database.url()).unwrap();
    check(&session, &Tables::Postgres(Box::new(settings)));
}

#[test]
fn a_sqlite_file_shows_rows_that_are_not_the_journals() {
    let session = Session::random(66, 2_000);
    let journal = Journal::of(1, &session.commands);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pinion.db");
    journal.project(SqliteStore::new(&file)).unwrap();
    execute(&file, OLD_ROWS_OF_SQLITE);
    check(&session, &Tables::Embedded(file));
}

fn execute(file: &Path, sql: &str) {
    rusqlite::Connection::open(file)
        .unwrap()
        .execute_batch(sql)
        .unwrap();
}

fn check(session: &Session, tables: &Tables) {
    let reader = Reader::new(Some(earlier::probe(tables, Duration::ZERO)));
    session.commands.iter().for_each(|command| reader.fold(command));
    let old = |history: History, filters: &str, limit: usize| -> Vec<Value> {
        let rows = reader.pages(history, filters, limit);
        let own = rows
            .iter()
            .take_while(|row| row["id"].as_i64().unwrap() > 0)
            .count();
        rows[own..].to_vec()
    };
    let ids = |rows: &[Value]| -> Vec<i64> { rows.iter().map(|row| row["id"].as_i64().unwrap()).collect() };

    let orders = old(History::Orders, "&from=2026-01-01", 200);
    assert_eq!(ids(&orders), [-8, -7, -6, -5, -4, -3, -2, -1]);
    // No symbol has a NUL, which PostgreSQL refuses to look for.
    for history in HISTORIES {
        for symbol in ["%00", "OLDCO%00", "%00OLDCO"] {
            let rows = reader.pages(history, &format!("&from=2026-01-01&symbol={symbol}"), 200);
            assert_eq!(rows, Vec::<Value>::new(), "{history:?} of {symbol}");
        }
    }
    assert_eq!(
        old(History::Orders, "&from=2026-01-01", 3),
        orders,
        "in small pages"
    );
    let fields = |row: &Value, expected: Value| {
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&row[name], value, "{name} of {row}");
        }
    };
    fields(
        &orders[0],
        json!({
            "broker_order_id": "MOCK001005", "strategy_id": 1, "symbol": "OLDCO", "exchange": "BSE", "side": "SELL",
            "quantity": 7, "order_type": "SL-M", "price": null, "trigger_price": null, "product": "CNC",
            "validity": "DAY", "status": "FAILED", "status_message": null, "filled_quantity": 0,
            "average_price": null, "created_at": "2026-07-03T05:00:00.123456Z", "updated_at": null,
            "submitted_at": null, "validation_warnings": [], "metadata": {}, "is_active": false, "is_filled": false,
            "account": "main", "client_order_id": null, "engine_made": false, "cause": null,
        }),
    );
    fields(
        &orders[3],
        json!({"status": "CANCELLED", "filled_quantity": 3, "is_active": false}),
    );
    assert_eq!(orders[3]["metadata"]["before_pinion"]["status"], "OPEN");
    assert_eq!(orders[4]["validation_result"]["is_valid"], false);
    assert_eq!(orders[7]["average_price"].to_string(), "2449.50");
    assert_eq!(orders[7]["fill_percentage"].as_f64(), Some(100.0));

    // Every filter, in the time before Pinion.
    let found = |filters: &str| ids(&old(History::Orders, filters, 2));
    assert_eq!(found("&to=2026-07-01"), [-2, -1]);
    assert_eq!(found("&from=2026-07-02&to=2026-07-02"), [-7, -6, -5, -4, -3]);
    assert_eq!(found("&from=2026-07-02T05:02:00Z&to=2026-07-02T05:03:00Z"), [-5]);
    assert_eq!(found("&to=2026-08-01&symbol=INFY"), [-5, -4, -3]);
    assert_eq!(found("&to=2026-08-01&strategy=2&status=filled"), [-3]);
    assert_eq!(found("&to=2026-08-01&status=rejected"), [-4]);
    assert_eq!(found("&to=2026-06-30"), [0; 0]);

    let trades = old(History::Trades, "&from=2026-01-01", 2);
    assert_eq!(ids(&trades), [-4, -3, -2, -1]);
    fields(
        &trades[0],
        json!({
            "broker_trade_id": "T4", "order_id": -3, "broker_order_id": "MOCK001002", "strategy_id": 2,
            "symbol": "INFY", "product": "CNC", "side": "BUY", "quantity": 3,
            "executed_at": "2026-07-02T05:02:00.000000Z", "account": "main",
        }),
    );
    let number = |row: &Value, field: &str| row[field].to_string();
    assert_eq!(number(&trades[0], "brokerage"), "1.35", "in paise");
    assert_eq!(number(&trades[0], "stt"), "0.00");
    assert_eq!(number(&trades[0], "gross_value"), "4470.15");
    assert_eq!(number(&trades[0], "total_charges"), "1.35");
    assert_eq!(
        number(&trades[0], "net_value"),
        "4471.50",
        "which nobody had summed up"
    );
    assert_eq!(
        number(&trades[3], "net_value"),
        "24502.35",
        "as the old system had summed it up"
    );
    assert_eq!(
        ids(&old(History::Trades, "&from=2026-01-01&order=-3", 1)),
        [-4, -3]
    );
    assert_eq!(
        ids(&old(History::Trades, "&to=2026-08-01&strategy=1", 9)),
        [-2, -1]
    );

    let closed = old(History::Closed, "&from=2026-01-01", 1);
    assert_eq!(ids(&closed), [-3, -2]);
    fields(
        &closed[1],
        json!({
            "symbol": "INFY", "exchange": "NSE", "quantity": 0, "was_long": true, "strategy_id": 2, "product": "CNC",
            "entry_time": "2026-07-02T05:00:00.000000Z", "closed_at": "2026-07-02T05:10:00.000000Z",
        }),
    );
    assert_eq!(number(&closed[1], "realized_pnl"), "75.00");
    fields(
        &closed[0],
        json!({"symbol": "OLDCO", "exchange": "BSE", "entry_time": null}),
    );
    assert_eq!(number(&closed[0], "total_pnl"), "0.00");
    assert_eq!(closed[0].get("was_long"), None, "nobody knows");

    // One by one, and only for those who may see them.
    for row in &orders {
        assert_eq!(&reader.get(&format!("/api/oms/orders/{}", row["id"])), row);
    }
    for unknown in [
        "-9",
        "-0",
        "--1",
        "-",
        "-9223372036854775808",
        "-99999999999999999999",
    ] {
        let (status, body) = reader.ask(&format!("/api/oms/orders/{unknown}"), "");
        assert_eq!(status, 404, "{unknown}: {body}");
    }
    let asha = |path: &str| reader.ask_as((ASHA, "asha", "trader"), path, "");
    assert_eq!(asha("/api/oms/orders/-3").0, 404);
    let (status, body) = asha("/api/oms/trades?to=2026-08-01");
    assert_eq!((status, body.contains("\"count\":0")), (200, true), "{body}");
    let main = reader.ask_as((AccountId::new(0), "main", "trader"), "/api/oms/orders/-3", "");
    assert_eq!(main.0, 200);

    for (history, text) in [
        (History::Orders, "MOCK001005"),
        (History::Trades, "MOCK001002"),
        (History::Closed, "OLDCO"),
    ] {
        let path = format!("{}&account=*&from=2026-01-01", history.path());
        let (status, csv) = reader.ask(&path, "Accept: text/csv\r\n");
        assert!(status == 200 && csv.contains(text), "{status}");
    }
}
