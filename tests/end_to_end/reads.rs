//! Every read of the contract, by the names and types that the existing dashboard depends on.

use serde_json::{Value, json};

use crate::life_of_an_order::{limit, sample_order, trade};
use crate::support::json::Type::{
    Array, Boolean, Instant, InstantOrNull, Integer, Number, NumberOrNull, Object, Text, TextOrNull,
};
use crate::support::json::{Type, assert_fields, assert_types};
use crate::support::server::{COUNTER, QUIET, Server, Site};

const POSITION: &[(&str, Type)] = &[
    ("id", Integer),
    ("symbol", Text),
    ("exchange", Text),
    ("quantity", Integer),
    ("average_price", Number),
    ("unrealized_pnl", Number),
    ("realized_pnl", Number),
    ("total_pnl", Number),
    ("stop_loss", NumberOrNull),
    ("take_profit", NumberOrNull),
    ("is_long", Boolean),
    ("is_short", Boolean),
    ("entry_time", InstantOrNull),
];

const ACTIVE_ORDER: &[(&str, Type)] = &[
    ("id", Integer),
    ("broker_order_id", TextOrNull),
    ("symbol", Text),
    ("exchange", Text),
    ("side", Text),
    ("quantity", Integer),
    ("price", NumberOrNull),
    ("status", Text),
    ("order_type", Text),
    ("filled_quantity", Integer),
    ("created_at", Instant),
];

/// `Order.to_dict()` of the old backend.
const ORDER: &[(&str, Type)] = &[
    ("id", Integer),
    ("broker_order_id", TextOrNull),
    ("strategy_id", Integer),
    ("symbol", Text),
    ("exchange", Text),
    ("side", Text),
    ("quantity", Integer),
    ("order_type", Text),
    ("price", NumberOrNull),
    ("trigger_price", NumberOrNull),
    ("product", Text),
    ("validity", Text),
    ("stop_loss", NumberOrNull),
    ("take_profit", NumberOrNull),
    ("risk_amount", NumberOrNull),
    ("risk_reward_ratio", NumberOrNull),
    ("status", Text),
    ("status_message", TextOrNull),
    ("filled_quantity", Integer),
    ("average_price", NumberOrNull),
    ("created_at", Instant),
    ("submitted_at", InstantOrNull),
    ("updated_at", InstantOrNull),
    ("filled_at", InstantOrNull),
    ("cancelled_at", InstantOrNull),
    ("validation_result", Object),
    ("validation_warnings", Array),
    ("error_message", TextOrNull),
    ("metadata", Object),
    ("is_active", Boolean),
    ("is_filled", Boolean),
    ("fill_percentage", Number),
    ("client_order_id", TextOrNull),
];

const SUMMARY: &[(&str, Type)] = &[
    ("kill_switch_active", Boolean),
    ("account_balance", Number),
    ("current_value", Number),
    ("account_peak", Number),
    ("daily_pnl", Number),
    ("daily_pnl_pct", Number),
    ("realized_pnl", Number),
    ("unrealized_pnl", Number),
    ("total_pnl", Number),
    ("drawdown", Number),
    ("drawdown_pct", Number),
    ("position_count", Integer),
    ("max_positions", Integer),
    ("recent_alerts_count", Integer),
    ("max_daily_loss", Number),
    ("max_daily_loss_pct", Number),
    ("max_drawdown", Number),
    ("max_drawdown_pct", Number),
    ("daily_loss_buffer", Number),
    ("drawdown_buffer", Number),
];

const STATS: &[(&str, Type)] = &[
    ("order_count", Integer),
    ("trade_count", Integer),
    ("realized_pnl", Number),
    ("position_count", Integer),
];

const TRADE: &[(&str, Type)] = &[
    ("id", Integer),
    ("order_id", Integer),
    ("position_id", Integer),
    ("symbol", Text),
    ("exchange", Text),
    ("side", Text),
    ("quantity", Integer),
    ("price", Number),
    ("brokerage", Number),
    ("stt", Number),
    ("exchange_txn_charge", Number),
    ("gst", Number),
    ("stamp_duty", Number),
    ("sebi_charges", Number),
    ("total_charges", Number),
    ("gross_value", Number),
    ("net_value", Number),
    ("executed_at", Instant),
];

const ALERT: &[(&str, Type)] = &[
    ("severity", Text),
    ("alert_type", Text),
    ("message", Text),
    ("details", Object),
    ("timestamp", Instant),
];

fn get(server: &Server, path: &str) -> Value {
    server.client().get(path).expect(200)
}

#[test]
fn a_fresh_server_answers_every_poll_of_the_dashboard() {
    let site = Site::new();
    let server = site.start(QUIET);
    assert_eq!(
        get(&server, "/api/oms/positions"),
        json!({"positions": [], "count": 0})
    );
    assert_eq!(
        get(&server, "/api/oms/orders/active"),
        json!({"orders": [], "count": 0})
    );
    let summary = get(&server, "/api/oms/risk/summary");
    assert_types(&summary, SUMMARY);
    assert_fields(
        &summary,
        &[
            ("account_balance", "100000.00"),
            ("current_value", "100000.00"),
            ("daily_pnl", "0.00"),
            ("max_daily_loss", "6000.00"),
            ("max_drawdown", "15000.00"),
            ("position_count", "0"),
            ("max_positions", "5"),
        ],
    );
    let stats = get(&server, "/api/oms/stats/today");
    assert_types(&stats, STATS);
    assert_fields(
        &stats,
        &[
            ("order_count", "0"),
            ("trade_count", "0"),
            ("realized_pnl", "0.00"),
        ],
    );
    assert_fields(&get(&server, "/api/oms/risk/alerts"), &[("alerts", "[]")]);
    let health = get(&server, "/api/oms/health");
    assert_fields(
        &health,
        &[
            ("status", "\"healthy\""),
            (
                "components",
                r#"{"database":true,"order_manager":true,"risk_monitor":true}"#,
            ),
        ],
    );
}

#[test]
fn every_row_has_the_fields_and_types_of_the_contract() {
    let site = Site::with_accounts(&[COUNTER]);
    let server = site.start(QUIET);
    trade(&server, &site);
    let mut main = server.client();
    main.post("/api/oms/orders", &sample_order()).expect(201);
    main.post("/api/oms/orders", &limit("BUY", 1, "2450.00"))
        .expect_error(400);
    server
        .client_of(&site, "counter")
        .post("/api/oms/orders", &limit("SELL", 1, "2460.00"))
        .expect(201);

    let positions = get(&server, "/api/oms/positions?account=*");
    assert_fields(&positions, &[("count", "2")]);
    for row in positions["positions"].as_array().unwrap() {
        assert_types(row, POSITION);
        assert_eq!(get(&server, &format!("/api/oms/positions/{}", row["id"])), *row);
    }
    let active = get(&server, "/api/oms/orders/active?account=*");
    assert_fields(&active, &[("count", "2")]);
    for row in active["orders"].as_array().unwrap() {
        assert_types(row, ACTIVE_ORDER);
    }
    let orders = get(&server, "/api/oms/orders?account=*");
    assert_fields(&orders, &[("count", "5")]);
    for row in orders["orders"].as_array().unwrap() {
        assert_types(row, ORDER);
        assert_eq!(get(&server, &format!("/api/oms/orders/{}", row["id"])), *row);
    }
    let trades = get(&server, "/api/oms/trades?account=*");
    assert_fields(&trades, &[("count", "2")]);
    for row in trades["trades"].as_array().unwrap() {
        assert_types(row, TRADE);
    }
    assert_types(&get(&server, "/api/oms/risk/summary"), SUMMARY);
    assert_types(&get(&server, "/api/oms/stats/today"), STATS);
    // The counter's short has no stop-loss: the monitor said so, once.
    let alerts = get(&server, "/api/oms/risk/alerts?account=counter");
    let alerts = alerts["alerts"].as_array().unwrap();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_types(&alerts[0], ALERT);
    assert_fields(
        &alerts[0],
        &[
            ("severity", "\"WARNING\""),
            ("alert_type", "\"missing_stop_loss\""),
            ("message", "\"Position RELIANCE has no stop-loss\""),
        ],
    );
}

#[test]
fn histories_filter_and_page() {
    let site = Site::with_accounts(&[COUNTER]);
    let server = site.start(QUIET);
    let mut counter = server.client_of(&site, "counter");
    for step in 0..12 {
        let (symbol, price) = if step % 3 == 0 {
            ("TCS", 3500 + step)
        } else {
            ("RELIANCE", 2451 + step)
        };
        let order = json!({"symbol": symbol, "side": "SELL", "quantity": 1, "price": price});
        counter.post("/api/oms/orders", &order).expect(201);
    }
    let ids = |page: &Value| -> Vec<u64> {
        let rows = page["orders"].as_array().unwrap();
        rows.iter().map(|row| row["id"].as_u64().unwrap()).collect()
    };
    let all = ids(&counter.get("/api/oms/orders").expect(200));
    assert_eq!(all.len(), 12);
    assert!(
        all.windows(2).all(|pair| pair[0] > pair[1]),
        "newest first: {all:?}"
    );
    let mut paged = Vec::new();
    let mut path = "/api/oms/orders?limit=5".to_owned();
    loop {
        let page = counter.get(&path).expect(200);
        paged.extend(ids(&page));
        let Some(cursor) = page["next_cursor"].as_u64() else {
            break;
        };
        path = format!("/api/oms/orders?limit=5&cursor={cursor}");
    }
    assert_eq!(paged, all);
    for (query, count) in [
        ("symbol=TCS", 4),
        ("status=OPEN", 12),
        ("status=filled", 0),
        ("strategy=1", 12),
        ("strategy=2", 0),
        ("from=2000-01-01", 12),
        ("to=2000-01-01", 0),
    ] {
        let page = counter.get(&format!("/api/oms/orders?{query}")).expect(200);
        assert_eq!(ids(&page).len(), count, "{query}");
    }
    for query in [
        "status=DONE",
        "limit=0",
        "limit=x",
        "cursor=x",
        "from=yesterday",
        "strategy=x",
    ] {
        counter.get(&format!("/api/oms/orders?{query}")).expect_error(400);
    }
}

#[test]
fn the_market_is_readable() {
    let site = Site::with_accounts(&[COUNTER]);
    let server = site.start(QUIET);
    trade(&server, &site);
    let mut counter = server.client_of(&site, "counter");
    counter
        .post("/api/oms/orders", &limit("SELL", 7, "2460.00"))
        .expect(201);
    counter
        .post("/api/oms/orders", &limit("BUY", 3, "2440.00"))
        .expect(201);
    let depth = get(&server, "/api/oms/depth/RELIANCE");
    assert_fields(
        &depth,
        &[
            ("symbol", "\"RELIANCE\""),
            ("last_price", "2450.00"),
            ("bids", r#"[{"price":2440.00,"quantity":3,"orders":1}]"#),
            ("asks", r#"[{"price":2460.00,"quantity":7,"orders":1}]"#),
        ],
    );
    let instruments = get(&server, "/api/oms/instruments");
    let rows = instruments["instruments"].as_array().unwrap();
    assert!(rows.len() >= 40, "{}", rows.len());
    let reliance = rows.iter().find(|row| row["symbol"] == "RELIANCE").unwrap();
    assert_fields(
        reliance,
        &[
            ("reference_price", "2450.00"),
            ("last_price", "2450.00"),
            ("volume", "10"),
        ],
    );
    server.client().get("/api/oms/depth/NOSUCH").expect_error(404);
}

#[test]
fn the_page_and_its_script_are_served() {
    let site = Site::new();
    let server = site.start(QUIET);
    let page = server.client().get("/");
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    let html = String::from_utf8(page.body).unwrap();
    for id in [
        "positions-table",
        "position-count",
        "orders-table",
        "account-balance",
        "daily-pnl",
        "daily-pnl-pct",
        "drawdown",
        "position-count-display",
        "kill-switch-status",
        "order-count",
        "trade-count",
        "risk-alerts-container",
    ] {
        assert_eq!(html.matches(&format!("id=\"{id}\"")).count(), 1, "{id}");
    }
    let script = server.client().get("/static/js/oms-client.js");
    assert_eq!(script.status, 200);
    assert!(String::from_utf8(script.body).unwrap().contains("omsClient"));
    // HEAD is GET without the body.
    let head = server.client().send("HEAD", "/", b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
}
