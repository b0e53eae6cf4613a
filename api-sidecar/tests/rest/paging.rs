//! Filters and cursors of the histories.

use engine::Command;

use crate::floor::{ADMIN, COUNTER, COUNTER_TRADER, Floor, TRADER, sell};

fn ids(floor: &Floor, query: &str) -> Vec<u64> {
    let body = floor.ok(COUNTER_TRADER, &format!("/api/oms/orders{query}"));
    let orders = body["orders"].as_array().unwrap();
    assert_eq!(body["count"].as_u64(), u64::try_from(orders.len()).ok());
    orders.iter().map(|order| order["id"].as_u64().unwrap()).collect()
}

#[test]
fn pages_stay_exact_while_new_orders_arrive() {
    let mut floor = Floor::open();
    for _ in 0..5 {
        floor.apply(Command::NewOrder(sell(1, "2450.00")));
    }
    let mut seen = Vec::new();
    let mut query = String::from("?limit=2");
    let mut pages = 0;
    loop {
        let body = floor.ok(COUNTER_TRADER, &format!("/api/oms/orders{query}"));
        seen.extend(
            body["orders"]
                .as_array()
                .unwrap()
                .iter()
                .map(|order| order["id"].as_u64().unwrap()),
        );
        pages += 1;
        floor.apply(Command::NewOrder(sell(1, "2451.00")));
        match body["next_cursor"].as_u64() {
            Some(cursor) => query = format!("?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
    assert_eq!(pages, 3);
}

#[test]
fn filters_narrow_the_history() {
    let mut floor = Floor::open();
    for _ in 0..3 {
        floor.apply(Command::NewOrder(sell(1, "2450.00")));
    }
    floor.cancel(COUNTER, 2);
    assert_eq!(ids(&floor, "?status=open"), [3, 1]);
    assert_eq!(ids(&floor, "?status=CANCELLED"), [2]);
    assert_eq!(ids(&floor, "?symbol=RELIANCE&limit=1"), [3]);
    assert_eq!(ids(&floor, "?symbol=TCS"), [0_u64; 0]);
    assert_eq!(ids(&floor, "?strategy=1"), [3, 2, 1]);
    assert_eq!(ids(&floor, "?strategy=9"), [0_u64; 0]);
    assert_eq!(ids(&floor, "?from=2026-08-05&to=2026-08-05"), [3, 2, 1]);
    assert_eq!(ids(&floor, "?from=2026-08-06"), [0_u64; 0]);
    // The orders came with commands 5, 6 and 7, one millisecond apart.
    assert_eq!(ids(&floor, "?from=2026-08-05T03:45:00.006Z"), [3, 2]);
    assert_eq!(ids(&floor, "?to=2026-08-05T09:15:00.006%2B05:30"), [1]);
    for bad in [
        "?status=HOLD",
        "?strategy=x",
        "?from=then",
        "?limit=0",
        "?cursor=x",
    ] {
        let reply = floor.get(COUNTER_TRADER, &format!("/api/oms/orders{bad}"));
        assert_eq!(reply.status, 400, "{bad}");
        assert!(!reply.json()["error"].as_str().unwrap().is_empty());
    }
}

/// Whoever asks for the positions in one symbol is shown no other's.
#[test]
fn open_positions_are_narrowed_by_symbol_and_strategy() {
    let mut floor = Floor::open();
    floor.trade();
    let count = |query: &str| {
        let body = floor.ok(TRADER, &format!("/api/oms/positions{query}"));
        assert_eq!(
            body["count"].as_u64(),
            Some(body["positions"].as_array().unwrap().len() as u64)
        );
        body["count"].as_u64().unwrap()
    };
    for (query, expected) in [
        ("", 1),
        ("?symbol=RELIANCE", 1),
        ("?symbol=TCS", 0),
        ("?strategy=1", 1),
        ("?strategy=2", 0),
        ("?symbol=RELIANCE&strategy=2", 0),
    ] {
        assert_eq!(count(query), expected, "{query}");
    }
    for bad in [
        "/positions?strategy=x",
        "/orders?limit=9007199254740992",
        "/depth/TCS?levels=9007199254740992",
    ] {
        assert_eq!(floor.get(TRADER, &format!("/api/oms{bad}")).status, 400, "{bad}");
    }
}

#[test]
fn trades_page_like_orders() {
    let mut floor = Floor::open();
    for shares in [10, 9, 8] {
        floor.trade_of(shares);
    }
    let page = floor.ok(ADMIN, "/api/oms/trades?account=*&limit=4");
    assert_eq!(page["count"], 4);
    let cursor = page["next_cursor"].as_u64().unwrap();
    let rest = floor.ok(
        ADMIN,
        &format!("/api/oms/trades?account=*&limit=4&cursor={cursor}"),
    );
    let trades = |page: &serde_json::Value| -> Vec<String> {
        let rows = page["trades"].as_array().unwrap();
        rows.iter()
            .map(|row| row["broker_trade_id"].as_str().unwrap().to_owned())
            .collect()
    };
    let mut all = trades(&page);
    all.extend(trades(&rest));
    all.sort();
    assert_eq!(
        all,
        [
            "PIN0000000001B",
            "PIN0000000001S",
            "PIN0000000002B",
            "PIN0000000002S",
            "PIN0000000003B",
            "PIN0000000003S"
        ]
    );
    assert!(rest["next_cursor"].is_null());
    assert_eq!(floor.ok(TRADER, "/api/oms/trades?order=2")["count"], 1);
}
