//! Histories as CSV and as lines of JSON.

use engine::Command;
use serde_json::Value;

use crate::floor::{ADMIN, COUNTER_TRADER, Floor, TRADER, sell};

/// The body of a chunked answer.
fn dechunk(mut rest: &str) -> String {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        body.push_str(&after[..size]);
        rest = after[size..].strip_prefix("\r\n").unwrap();
        if size == 0 {
            assert_eq!(rest, "");
            return body;
        }
    }
}

fn rows(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split(',').collect()).collect()
}

#[test]
fn a_history_of_many_batches_comes_whole_and_newest_first() {
    const ORDERS: u64 = 600;
    let mut floor = Floor::open();
    for _ in 0..ORDERS {
        floor.apply(Command::NewOrder(sell(1, "2450.00")));
    }
    // Cancelled and placed again, so that more orders than one batch holds are remembered and fit the book.
    for order in 1..=ORDERS {
        floor.cancel(crate::floor::COUNTER, order);
        floor.apply(Command::NewOrder(sell(2, "2450.00")));
    }
    let reply = floor.csv(COUNTER_TRADER, "/api/oms/orders");
    assert_eq!(reply.status, 200);
    assert!(reply.header("Content-Type").unwrap().starts_with("text/csv"));
    assert_eq!(reply.header("Transfer-Encoding"), Some("chunked"));
    assert_eq!(
        reply.header("Content-Disposition"),
        Some("attachment; filename=\"orders.csv\"")
    );
    let body = dechunk(&reply.body);
    let table = rows(&body);
    let column = |name| table[0].iter().position(|column| *column == name).unwrap();
    let (id, symbol, status) = (column("id"), column("symbol"), column("status"));
    let ids: Vec<u64> = table[1..].iter().map(|row| row[id].parse().unwrap()).collect();
    assert_eq!(ids, (1..=2 * ORDERS).rev().collect::<Vec<_>>());
    assert!(
        table[1..]
            .iter()
            .all(|row| row.len() == table[0].len() && row[symbol] == "RELIANCE")
    );
    assert_eq!((table[1][status], table[1_200][status]), ("OPEN", "CANCELLED"));

    let some = dechunk(
        &floor
            .csv(COUNTER_TRADER, "/api/oms/orders?status=OPEN&limit=3&cursor=1100")
            .body,
    );
    let ids: Vec<String> = rows(&some)[1..].iter().map(|row| row[id].to_owned()).collect();
    assert_eq!(ids, ["1099", "1098", "1097"]);
    // The same as lines of JSON: the rows of the pages.
    let reply = floor.download(
        COUNTER_TRADER,
        "/api/oms/orders?limit=150",
        "application/x-ndjson",
    );
    assert_eq!(reply.header("Content-Type"), Some("application/x-ndjson"));
    assert_eq!(
        reply.header("Content-Disposition"),
        Some("attachment; filename=\"orders.ndjson\"")
    );
    let body = dechunk(&reply.body);
    let lines: Vec<Value> = body
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let page = floor.ok(COUNTER_TRADER, "/api/oms/orders?limit=150");
    assert_eq!(page["orders"], Value::from(lines));
    let none = dechunk(&floor.csv(COUNTER_TRADER, "/api/oms/orders?symbol=TCS").body);
    assert_eq!(rows(&none).len(), 1, "only the names of the columns");
}

#[test]
fn trades_and_closed_positions_are_tables_too_and_refusals_stay_json() {
    let mut floor = Floor::open();
    floor.trade();
    let trades = dechunk(&floor.csv(ADMIN, "/api/oms/trades?account=*").body);
    assert_eq!(rows(&trades).len(), 3);
    assert!(trades.starts_with("id,broker_trade_id,order_id,"));
    let closed = dechunk(&floor.csv(TRADER, "/api/oms/positions?closed=1").body);
    assert!(closed.starts_with("id,account,strategy_id,"));
    for (path, status) in [
        ("/api/oms/orders?limit=0", 400),
        ("/api/oms/orders?status=HOLD", 400),
        ("/api/oms/orders?account=counter", 403),
        ("/api/oms/positions", 200),
        ("/api/oms/account", 200),
    ] {
        let reply = floor.csv(TRADER, path);
        assert_eq!(reply.status, status, "{path}");
        assert!(reply.json().is_object(), "{path}");
    }
}
