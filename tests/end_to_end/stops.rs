//! Stop orders and conditions of positions, from the outside.

use serde_json::{Value, json};

use crate::life_of_an_order::{id_of, limit};
use crate::support::json::assert_fields;
use crate::support::server::{COUNTER, FREE, QUIET, Site};

const ORDERS: &str = "/api/oms/orders";

fn stop(side: &str, quantity: u32, price: Option<&str>, trigger: &str) -> Value {
    json!({
        "symbol": "RELIANCE", "side": side, "quantity": quantity, "price": price, "trigger_price": trigger,
        "order_type": if price.is_some() { "SL" } else { "SL-M" }
    })
}

#[test]
fn a_stop_order_waits_survives_a_kill_and_fires() {
    let site = Site::with_accounts(&[COUNTER, FREE]);
    let server = site.start(QUIET);
    let (mut free, mut counter) = (
        server.client_of(&site, "free"),
        server.client_of(&site, "counter"),
    );
    // A last price: 2450.00.
    counter.post(ORDERS, &limit("SELL", 1, "2450.00")).expect(201);
    free.post(ORDERS, &limit("BUY", 1, "2450.00")).expect(201);

    let order = id_of(
        &free
            .post(ORDERS, &stop("BUY", 3, Some("2462.00"), "2460.00"))
            .expect(201),
    );
    let path = format!("{ORDERS}/{order}");
    let pending = [
        ("status", "\"OPEN\""),
        ("order_type", "\"SL\""),
        ("price", "2462.00"),
        ("trigger_price", "2460.00"),
        ("triggered", "false"),
    ];
    assert_fields(&free.get(&path).expect(200), &pending);
    let active = free.get("/api/oms/orders/active").expect(200);
    assert_fields(&active["orders"][0], &pending);
    free.put(&path, &json!({"trigger_price": 2455.0})).expect(200);
    let error = free.put(&path, &json!({"trigger_price": 2450.0})).expect(400);
    assert_eq!(error["failed_check"], "trigger_price", "{error}");
    let error = free.post(ORDERS, &stop("SELL", 2, None, "2450.00")).expect(400);
    assert_eq!(
        error["reason"],
        "Trigger price ₹2450 is already crossed by the last traded price ₹2450"
    );

    server.kill();
    let server = site.start(QUIET);
    let (mut free, mut counter) = (
        server.client_of(&site, "free"),
        server.client_of(&site, "counter"),
    );
    let mut hears = server.socket_of(&site, "free");
    assert_fields(
        &free.get(&path).expect(200),
        &[
            ("trigger_price", "2455.00"),
            ("triggered", "false"),
            ("status", "\"OPEN\""),
        ],
    );
    // A print at its trigger sets it off: it takes what is offered within its limit.
    counter.post(ORDERS, &limit("SELL", 1, "2455.00")).expect(201);
    counter.post(ORDERS, &limit("SELL", 3, "2461.00")).expect(201);
    let mut main = server.client();
    let mut buy = limit("BUY", 1, "2455.00");
    buy["stop_loss"] = json!(2440.0);
    main.post(ORDERS, &buy).expect(201);
    assert_fields(
        &hears.data_of("order:triggered"),
        &[
            ("order_id", &order.to_string()),
            ("trigger_price", "2455.00"),
            ("print_price", "2455.00"),
        ],
    );
    assert_fields(
        &free.get(&path).expect(200),
        &[
            ("status", "\"FILLED\""),
            ("triggered", "true"),
            ("average_price", "2461.00"),
        ],
    );
}

#[test]
fn stop_orders_need_what_makes_them_stop_orders() {
    let site = Site::with_accounts(&[FREE]);
    let server = site.start(QUIET);
    let mut free = server.client_of(&site, "free");
    for (order_type, price, trigger, details) in [
        ("SL", json!(null), json!(2460), "SL orders require price"),
        ("SL", json!(2462), json!(null), "SL orders require trigger_price"),
        ("SL-M", json!(null), json!(0), "SL-M orders require trigger_price"),
        (
            "LIMIT",
            json!(2462),
            json!(2460),
            "trigger_price needs order_type SL or SL-M",
        ),
        (
            "MARKET",
            json!(null),
            json!(2460),
            "trigger_price needs order_type SL or SL-M",
        ),
    ] {
        let order = json!({
            "symbol": "RELIANCE", "side": "BUY", "quantity": 1, "order_type": order_type, "price": price,
            "trigger_price": trigger
        });
        let error = free.post(ORDERS, &order).expect(400);
        assert_eq!(error["details"], details, "{error}");
    }
}
