//! The exact shapes of CONTRACT.md section 2.

use engine::{Command, NewOrder, OrderType, Product, Quantity};
use serde_json::{Value, json};

use crate::floor::{ADMIN, COUNTER, COUNTER_TRADER, Floor, MAIN, TRADER, VENUE, sample_buy, sell};

/// Each of `fields` is there with that JSON text; numbers are compared digit by digit.
fn check(body: &Value, fields: &[(&str, &str)]) {
    for (name, expected) in fields {
        assert_eq!(body[name].to_string(), *expected, "{name} in {body}");
    }
}

#[test]
fn an_open_position_has_every_field() {
    let mut floor = Floor::open();
    floor.trade();
    let body = floor.ok(TRADER, "/api/oms/positions");
    check(&body, &[("count", "1")]);
    let position = &body["positions"][0];
    // Brokerage 0.03 % of 24,500 = 7.35; exchange 0.75; SEBI 0.02; GST 18 % of 8.12 = 1.46; stamp 0.74 (0.003 %).
    check(
        position,
        &[
            ("symbol", r#""RELIANCE""#),
            ("exchange", r#""NSE""#),
            ("quantity", "10"),
            ("average_price", "2450.00"),
            ("current_price", "2450.00"),
            ("unrealized_pnl", "0.00"),
            ("realized_pnl", "-10.32"),
            ("total_pnl", "-10.32"),
            ("charges", "10.32"),
            ("stop_loss", "2430.00"),
            ("take_profit", "2491.00"),
            ("is_long", "true"),
            ("is_short", "false"),
            ("entry_time", r#""2026-08-05T03:45:00.006000Z""#),
            ("closed_at", "null"),
            ("product", r#""MIS""#),
            ("strategy_id", "1"),
            ("account", r#""main""#),
        ],
    );
    let id = position["id"].as_u64().unwrap();
    assert_eq!(floor.ok(TRADER, &format!("/api/oms/positions/{id}")), *position);
    let short = &floor.ok(COUNTER_TRADER, "/api/oms/positions")["positions"][0];
    check(
        short,
        &[
            ("quantity", "-10"),
            ("average_price", "2450.00"),
            ("is_short", "true"),
        ],
    );
}

#[test]
fn a_closed_position_leaves_the_list_for_the_history() {
    let mut floor = Floor::open();
    floor.trade();
    let mut exit = sell(10, "2450.00");
    exit.account = MAIN;
    let mut bid = sell(10, "2450.00");
    bid.side = engine::Side::Buy;
    floor.apply(Command::NewOrder(bid));
    floor.apply(Command::NewOrder(exit));

    assert_eq!(
        floor.ok(TRADER, "/api/oms/positions"),
        json!({"positions": [], "count": 0})
    );
    let closed = &floor.ok(TRADER, "/api/oms/positions?closed=1")["positions"][0];
    check(
        closed,
        &[
            ("quantity", "0"),
            ("unrealized_pnl", "0.00"),
            ("was_long", "true"),
            ("entry_time", r#""2026-08-05T03:45:00.006000Z""#),
            ("closed_at", r#""2026-08-05T03:45:00.008000Z""#),
        ],
    );
    assert_eq!(closed["realized_pnl"], closed["total_pnl"]);
    let stats = floor.ok(TRADER, "/api/oms/stats/today");
    assert_eq!(stats["realized_pnl"], closed["realized_pnl"]);
    check(&stats, &[("position_count", "0"), ("closed_positions", "1")]);
}

#[test]
fn the_active_list_and_the_order_itself() {
    let mut floor = Floor::open();
    floor.apply(Command::NewOrder(sample_buy("mine-1")));
    let body = floor.ok(TRADER, "/api/oms/orders/active");
    check(&body, &[("count", "1")]);
    check(
        &body["orders"][0],
        &[
            ("id", "1"),
            ("broker_order_id", r#""PIN0000000001""#),
            ("symbol", r#""RELIANCE""#),
            ("exchange", r#""NSE""#),
            ("side", r#""BUY""#),
            ("quantity", "10"),
            ("price", "2450.00"),
            ("status", r#""OPEN""#),
            ("order_type", r#""LIMIT""#),
            ("filled_quantity", "0"),
            ("created_at", r#""2026-08-05T03:45:00.005000Z""#),
            ("client_order_id", r#""mine-1""#),
            ("account", r#""main""#),
        ],
    );
    let order = floor.ok(TRADER, "/api/oms/orders/1");
    check(
        &order,
        &[
            ("id", "1"),
            ("broker_order_id", r#""PIN0000000001""#),
            ("strategy_id", "1"),
            ("order_type", r#""LIMIT""#),
            ("price", "2450.00"),
            ("trigger_price", "null"),
            ("product", r#""MIS""#),
            ("validity", r#""DAY""#),
            ("stop_loss", "2430.00"),
            ("take_profit", "2491.00"),
            ("risk_amount", "200.00"),
            ("risk_reward_ratio", "2.05"),
            ("status", r#""OPEN""#),
            ("status_message", "null"),
            ("filled_quantity", "0"),
            ("average_price", "null"),
            ("submitted_at", r#""2026-08-05T03:45:00.005000Z""#),
            ("filled_at", "null"),
            ("cancelled_at", "null"),
            ("error_message", "null"),
            ("metadata", r#"{"note":"sample"}"#),
            ("is_active", "true"),
            ("is_filled", "false"),
            ("fill_percentage", "0.00"),
            ("client_order_id", r#""mine-1""#),
            ("account", r#""main""#),
            (
                "validation_result",
                r#"{"is_valid":true,"reason":"","failed_check":""}"#,
            ),
            (
                "validation_warnings",
                r#"["No last traded price: price sanity was not checked"]"#,
            ),
        ],
    );
    floor.cancel(MAIN, 1);
    check(
        &floor.ok(TRADER, "/api/oms/orders/1"),
        &[
            ("status", r#""CANCELLED""#),
            ("status_message", r#""Cancelled by user""#),
            ("is_active", "false"),
        ],
    );
    assert_eq!(
        floor.ok(TRADER, "/api/oms/orders/active"),
        json!({"orders": [], "count": 0})
    );
}

#[test]
fn a_rejected_order_says_why() {
    let mut floor = Floor::open();
    let mut order = sample_buy("");
    order.stop_loss = None;
    floor.apply(Command::NewOrder(order));
    let order = floor.ok(TRADER, "/api/oms/orders/1");
    check(
        &order,
        &[
            ("status", r#""REJECTED""#),
            (
                "status_message",
                r#""Validation failed: Stop-loss is required for all orders""#,
            ),
            ("broker_order_id", "null"),
            ("submitted_at", "null"),
            ("client_order_id", "null"),
        ],
    );
    check(
        &order["validation_result"],
        &[
            ("is_valid", "false"),
            ("failed_check", r#""stop_loss_required""#),
            ("reason", r#""Stop-loss is required for all orders""#),
        ],
    );
    check(
        &floor.ok(TRADER, "/api/oms/stats/today"),
        &[("order_count", "1"), ("rejected_orders", "1")],
    );
}

#[test]
fn trades_carry_their_charges() {
    let mut floor = Floor::open();
    floor.trade();
    let body = floor.ok(TRADER, "/api/oms/trades");
    check(&body, &[("count", "1"), ("next_cursor", "null")]);
    check(
        &body["trades"][0],
        &[
            ("id", "1"),
            ("broker_trade_id", r#""PIN0000000001B""#),
            ("order_id", "2"),
            ("symbol", r#""RELIANCE""#),
            ("side", r#""BUY""#),
            ("quantity", "10"),
            ("price", "2450.00"),
            ("brokerage", "7.35"),
            ("stt", "0.00"),
            ("exchange_txn_charge", "0.75"),
            ("sebi_charges", "0.02"),
            ("gst", "1.46"),
            ("stamp_duty", "0.74"),
            ("total_charges", "10.32"),
            ("gross_value", "24500.00"),
            ("net_value", "24510.32"),
            ("executed_at", r#""2026-08-05T03:45:00.006000Z""#),
        ],
    );
}

/// The fields that the page calls methods on are numbers, whatever happens (CONTRACT.md section 1).
#[test]
fn the_summary_is_never_null_where_the_page_computes() {
    let mut floor = Floor::open();
    let numbers = [
        "account_balance",
        "current_value",
        "account_peak",
        "daily_pnl",
        "daily_pnl_pct",
        "realized_pnl",
        "unrealized_pnl",
        "total_pnl",
        "drawdown",
        "drawdown_pct",
        "position_count",
        "max_positions",
        "recent_alerts_count",
    ];
    for caller in [TRADER, COUNTER_TRADER] {
        let body = floor.ok(caller, "/api/oms/risk/summary");
        for name in numbers {
            assert!(body[name].is_number(), "{name} in {body}");
        }
        assert_eq!(body["kill_switch_active"], Value::Bool(false));
    }
    check(
        &floor.ok(TRADER, "/api/oms/risk/summary"),
        &[
            ("account_balance", "100000.00"),
            ("current_value", "100000.00"),
            ("daily_pnl", "0.00"),
            ("daily_pnl_pct", "0.00"),
            ("max_positions", "5"),
            ("max_daily_loss", "6000.00"),
            ("max_daily_loss_pct", "6.0"),
            ("max_drawdown_pct", "15.0"),
            ("daily_loss_buffer", "6000.00"),
            ("drawdown_buffer", "15000.00"),
            ("kill_switch", "null"),
            ("trading_state", r#""NORMAL""#),
        ],
    );

    floor.trade();
    floor.kill("fat <finger>");
    let body = floor.ok(TRADER, "/api/oms/risk/summary");
    check(
        &body,
        &[
            ("kill_switch_active", "true"),
            ("position_count", "1"),
            ("current_value", "99989.68"),
            ("total_pnl", "-10.32"),
            ("daily_pnl_pct", "-0.01"),
            ("daily_loss_buffer", "5989.68"),
            ("trading_state", r#""REDUCING""#),
        ],
    );
    check(
        &body["kill_switch"],
        &[
            ("scope", r#""account""#),
            ("reason", r#""fat finger""#),
            ("triggered_by", r#""asha""#),
        ],
    );
    let other = floor.ok(COUNTER_TRADER, "/api/oms/risk/summary");
    check(&other, &[("kill_switch_active", "false")]);
}

#[test]
fn alerts_are_oldest_first_and_fit_for_the_page() {
    let mut floor = Floor::open();
    floor.kill("fat <finger>");
    let body = floor.ok(TRADER, "/api/oms/risk/alerts?count=1");
    let alert = &body["alerts"][0];
    check(
        alert,
        &[
            ("severity", r#""CRITICAL""#),
            ("alert_type", r#""kill_switch_triggered""#),
            ("message", r#""KILL SWITCH ACTIVATED: fat finger""#),
            ("details", r#"{"triggered_by":"asha"}"#),
            ("timestamp", r#""2026-08-05T03:45:00.005000Z""#),
        ],
    );
    assert_eq!(
        floor.ok(COUNTER_TRADER, "/api/oms/risk/alerts")["alerts"],
        json!([])
    );
    for bad in ["0", "-1", "ten", "1.5"] {
        let reply = floor.get(TRADER, &format!("/api/oms/risk/alerts?count={bad}"));
        assert_eq!(reply.status, 400, "{bad}");
        assert!(reply.json()["error"].as_str().unwrap().contains("count"));
    }
}

#[test]
fn limits_account_stats_and_market() {
    let mut floor = Floor::open();
    floor.trade();
    check(
        &floor.ok(TRADER, "/api/oms/risk/limits")["limits"],
        &[
            ("positions_max", "5"),
            ("daily_loss_max", "0.06"),
            ("risk_reward_min", "2.0"),
            ("order_value_max", "500000.00"),
            ("self_trade", r#""cancel-resting""#),
        ],
    );
    check(
        &floor.ok(COUNTER_TRADER, "/api/oms/risk/limits")["limits"],
        &[("risk_per_trade_max", "null"), ("orders_per_second_max", "20000")],
    );
    check(
        &floor.ok(TRADER, "/api/oms/account"),
        &[
            ("account", r#""main""#),
            ("balance", "100000.00"),
            ("position_margin", "4900.00"),
            ("available", "95089.68"),
            ("charges", "10.32"),
        ],
    );
    check(
        &floor.ok(TRADER, "/api/oms/stats/today"),
        &[
            ("order_count", "1"),
            ("trade_count", "1"),
            ("realized_pnl", "0.00"),
            ("position_count", "1"),
        ],
    );
    let instruments = floor.ok(TRADER, "/api/oms/instruments");
    check(
        &instruments["instruments"][0],
        &[
            ("symbol", r#""RELIANCE""#),
            ("tick_size", "0.10"),
            ("last_price", "2450.00"),
            ("vwap", "2450.00"),
            ("volume", "10"),
        ],
    );
}

#[test]
fn holdings_survive_the_day() {
    let mut floor = Floor::open();
    let cnc = |order: NewOrder| NewOrder {
        product: Product::Cnc,
        ..order
    };
    let holding = |floor: &Floor| floor.ok(TRADER, "/api/oms/account")["holdings"][0].clone();
    assert_eq!(floor.ok(TRADER, "/api/oms/account")["holdings"], json!([]));
    floor.apply(Command::NewOrder(sell(10, "2450.00")));
    floor.apply(Command::NewOrder(cnc(sample_buy(""))));
    check(
        &holding(&floor),
        &[
            ("symbol", r#""RELIANCE""#),
            ("quantity", "10"),
            ("settled_quantity", "0"),
            ("bought_today", "10"),
        ],
    );
    floor.wait(86_400);
    floor.apply(Command::NewOrder(sell(5, "2450.00")));
    let mut more = cnc(sample_buy(""));
    more.quantity = Quantity::new(5).unwrap();
    floor.apply(Command::NewOrder(more));
    let mut sale = cnc(sell(12, "2460.00"));
    sale.account = MAIN;
    floor.apply(Command::NewOrder(sale));
    check(
        &holding(&floor),
        &[
            ("quantity", "15"),
            ("settled_quantity", "10"),
            ("bought_today", "5"),
            ("on_sale", "12"),
            ("sellable", "3"),
            ("average_price", "2450.00"),
            ("current_price", "2450.00"),
            ("value", "36750.00"),
            ("unrealized_pnl", "0.00"),
        ],
    );
    let mut bid = sell(12, "2460.00");
    bid.side = engine::Side::Buy;
    floor.apply(Command::NewOrder(bid));
    check(
        &holding(&floor),
        &[
            ("quantity", "3"),
            ("settled_quantity", "0"),
            ("bought_today", "3"),
            ("value", "7380.00"),
            ("unrealized_pnl", "30.00"),
        ],
    );
}

#[test]
fn depth_is_best_first_and_counts_everyone() {
    let mut floor = Floor::open();
    for (shares, price) in [(5, "2460.00"), (7, "2455.00"), (1, "2455.00"), (2, "2470.00")] {
        let mut order = sell(shares, price);
        order.account = VENUE;
        floor.apply(Command::NewOrder(order));
    }
    let body = floor.ok(TRADER, "/api/oms/depth/RELIANCE?levels=2");
    assert_eq!(
        body["asks"].to_string(),
        r#"[{"price":2455.00,"quantity":8,"orders":2},{"price":2460.00,"quantity":5,"orders":1}]"#
    );
    check(&body, &[("bids", "[]"), ("last_price", "null"), ("seq", "8")]);
    assert_eq!(floor.get(TRADER, "/api/oms/depth/NOSUCH").status, 404);
}

#[test]
fn venue_accounts_are_nowhere() {
    let mut floor = Floor::open();
    let mut quote = sell(10, "2450.00");
    quote.account = VENUE;
    floor.apply(Command::NewOrder(quote));
    floor.apply(Command::NewOrder(sample_buy("")));
    for path in [
        "/api/oms/orders?account=*",
        "/api/oms/trades?account=*",
        "/api/oms/positions?account=*",
    ] {
        check(&floor.ok(ADMIN, path), &[("count", "1")]);
    }
    check(&floor.ok(ADMIN, "/api/oms/account?account=*"), &[("count", "2")]);
    assert_eq!(floor.get(ADMIN, "/api/oms/orders?account=sim-maker").status, 404);
    let venue_position = (1..10)
        .map(|id| floor.get(ADMIN, &format!("/api/oms/positions/{id}")))
        .filter(|reply| reply.status == 200)
        .filter(|reply| reply.json()["account"] != "main")
        .count();
    assert_eq!(venue_position, 0);
}

#[test]
fn a_market_order_has_no_price_of_its_own() {
    let mut floor = Floor::open();
    floor.trade();
    let mut order = sell(5, "2450.00");
    order.account = COUNTER;
    order.order_type = OrderType::Market;
    floor.apply(Command::NewOrder(order));
    let order = floor.ok(COUNTER_TRADER, "/api/oms/orders/3");
    check(&order, &[("order_type", r#""MARKET""#), ("price", "null")]);
    assert!(order["limit_price"].is_number(), "{order}");
}
