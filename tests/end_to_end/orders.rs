//! What becomes of orders: modified, cancelled, repeated, refused.

use serde_json::{Value, json};

use crate::life_of_an_order::{id_of, limit, sample_order, trade};
use crate::support::json::assert_fields;
use crate::support::server::{COUNTER, FREE, QUIET, Site};

const ORDERS: &str = "/api/oms/orders";

fn with(mut order: Value, field: &str, value: Value) -> Value {
    order[field] = value;
    order
}

#[test]
fn orders_are_modified_and_cancelled_while_they_are_open() {
    let site = Site::with_accounts(&[COUNTER]);
    let server = site.start(QUIET);
    let mut client = server.client_of(&site, "counter");
    let mut hears = server.socket_of(&site, "counter");
    let order = id_of(&client.post(ORDERS, &limit("SELL", 10, "2460.00")).expect(201));
    let path = format!("{ORDERS}/{order}");

    let reply = client
        .put(&path, &json!({"quantity": 4, "price": 2461.5}))
        .expect(200);
    assert_fields(
        &reply,
        &[
            ("order_id", &order.to_string()),
            ("message", "\"Order modified successfully\""),
        ],
    );
    assert_fields(
        &client.get(&path).expect(200),
        &[("quantity", "4"), ("price", "2461.50"), ("status", "\"OPEN\"")],
    );
    // What is absent, null or 0 stays as it is.
    client
        .put(&path, &json!({"quantity": 0, "price": null}))
        .expect(200);
    assert_fields(
        &client.get(&path).expect(200),
        &[("quantity", "4"), ("price", "2461.50")],
    );
    // Off the tick grid: refused, and nothing changes.
    client.put(&path, &json!({"price": 2461.57})).expect_error(400);
    assert_fields(&client.get(&path).expect(200), &[("price", "2461.50")]);

    let reply = client.delete(&path).expect(200);
    assert_fields(
        &reply,
        &[
            ("order_id", &order.to_string()),
            ("message", "\"Order cancelled successfully\""),
        ],
    );
    assert_fields(
        &hears.data_of("order:cancelled"),
        &[("order_id", &order.to_string()), ("symbol", "\"RELIANCE\"")],
    );
    assert_fields(
        &client.get(&path).expect(200),
        &[
            ("status", "\"CANCELLED\""),
            ("is_active", "false"),
            ("filled_quantity", "0"),
        ],
    );
    let error = client.delete(&path).expect_error(409);
    assert_eq!(error, "Cannot cancel order in status CANCELLED");
    let error = client.put(&path, &json!({"quantity": 1})).expect_error(409);
    assert_eq!(error, "Cannot modify order in status CANCELLED");
    assert_eq!(
        client.delete(&format!("{ORDERS}/999999")).expect_error(404),
        "Order 999999 not found"
    );
    client
        .put(&format!("{ORDERS}/999999"), &json!({"quantity": 1}))
        .expect_error(404);
    // The documented second way to cancel.
    let order = id_of(&client.post(ORDERS, &limit("SELL", 1, "2460.00")).expect(201));
    client
        .post(&format!("{ORDERS}/{order}/cancel"), &json!({}))
        .expect(200);
}

#[test]
fn a_filled_order_is_beyond_reach() {
    let site = Site::with_accounts(&[COUNTER]);
    let server = site.start(QUIET);
    let (buy, sell) = trade(&server, &site);
    let mut main = server.client();
    let error = main.delete(&format!("{ORDERS}/{buy}")).expect_error(409);
    assert_eq!(error, "Cannot cancel order in status FILLED");
    main.put(&format!("{ORDERS}/{buy}"), &json!({"quantity": 20}))
        .expect_error(409);
    // Partly filled: OPEN, and never below what is filled.
    let mut counter = server.client_of(&site, "counter");
    let order = id_of(&counter.post(ORDERS, &limit("BUY", 10, "2445.00")).expect(201));
    let position = main.get("/api/oms/positions").expect(200)["positions"][0]["id"].clone();
    main.post(
        &format!("/api/oms/positions/{position}/close"),
        &json!({"quantity": 3}),
    )
    .expect(200);
    let path = format!("{ORDERS}/{order}");
    assert_fields(
        &counter.get(&path).expect(200),
        &[
            ("status", "\"OPEN\""),
            ("filled_quantity", "3"),
            ("quantity", "10"),
            ("fill_percentage", "30.00"),
        ],
    );
    counter.put(&path, &json!({"quantity": 2})).expect_error(409);
    counter.put(&path, &json!({"quantity": 3})).expect(200);
    assert_fields(
        &counter.get(&path).expect(200),
        &[("status", "\"FILLED\""), ("filled_quantity", "3")],
    );
    assert!(sell > buy);
}

#[test]
fn cancel_all_cancels_what_matches() {
    let site = Site::with_accounts(&[COUNTER, FREE]);
    let server = site.start(QUIET);
    let mut counter = server.client_of(&site, "counter");
    let mut free = server.client_of(&site, "free");
    for price in ["2460.00", "2461.00", "2462.00"] {
        counter.post(ORDERS, &limit("SELL", 1, price)).expect(201);
    }
    counter.post(ORDERS, &limit("BUY", 1, "2400.00")).expect(201);
    counter
        .post(
            ORDERS,
            &json!({"symbol": "TCS", "side": "SELL", "quantity": 1, "price": 3510}),
        )
        .expect(201);
    free.post(ORDERS, &limit("SELL", 1, "2463.00")).expect(201);

    let cancel = |client: &mut crate::support::http::Client, body: Value| {
        let reply = client.post("/api/oms/orders/cancel-all", &body).expect(200);
        reply["cancelled"].as_u64().unwrap()
    };
    assert_eq!(
        cancel(&mut counter, json!({"symbol": "RELIANCE", "side": "SELL"})),
        3
    );
    assert_eq!(
        cancel(&mut counter, json!({"symbol": "RELIANCE", "side": "SELL"})),
        0
    );
    counter
        .post("/api/oms/orders/cancel-all", &json!({"account": "*"}))
        .expect_error(403);
    counter
        .post("/api/oms/orders/cancel-all", &json!({"account": "free"}))
        .expect_error(403);
    assert_eq!(cancel(&mut counter, json!({})), 2);
    assert_fields(&free.get("/api/oms/orders/active").expect(200), &[("count", "1")]);
    assert_eq!(cancel(&mut server.client(), json!({"account": "*"})), 1);
    assert_fields(&free.get("/api/oms/orders/active").expect(200), &[("count", "0")]);
}

#[test]
fn a_client_order_id_makes_an_order_happen_once() {
    let site = Site::with_accounts(&[COUNTER]);
    let mut server = site.start(QUIET);
    let mine = with(limit("SELL", 10, "2460.00"), "client_order_id", json!("mine-1"));
    let first = server.client_of(&site, "counter").post(ORDERS, &mine).expect(201);
    let rejected = with(limit("SELL", 10, "1.00"), "client_order_id", json!("mine-2"));
    let refusal = server
        .client_of(&site, "counter")
        .post(ORDERS, &rejected)
        .expect(400);
    let row = |server: &crate::support::server::Server, order: u64| {
        server
            .client_of(&site, "counter")
            .get(&format!("{ORDERS}/{order}"))
            .expect(200)
    };
    assert_fields(&row(&server, id_of(&first)), &[("client_order_id", "\"mine-1\"")]);
    // The second round asks a server that has been restarted.
    for round in 0..2 {
        let mut client = server.client_of(&site, "counter");
        assert_eq!(client.post(ORDERS, &mine).expect(201), first, "round {round}");
        assert_eq!(
            client.post(ORDERS, &rejected).expect(400),
            refusal,
            "round {round}"
        );
        let other = with(mine.clone(), "quantity", json!(11));
        client.post(ORDERS, &other).expect_error(409);
        // The header means the same as the field; the field wins.
        let mut keyed = server
            .client_of(&site, "counter")
            .with_header("Idempotency-Key", "mine-1");
        let same = keyed.post(ORDERS, &limit("SELL", 10, "2460.00")).expect(201);
        assert_eq!(id_of(&same), id_of(&first), "round {round}");
        // Another account's id is another id.
        let sample = with(sample_order(), "client_order_id", json!("mine-1"));
        assert_ne!(
            id_of(&server.client().post(ORDERS, &sample).expect(201)),
            id_of(&first)
        );
        assert_fields(
            &client.get("/api/oms/orders/active").expect(200),
            &[("count", "1")],
        );
        if round == 0 {
            server.stop();
            server = site.start(QUIET);
        }
    }
    // The answer stays the first one, whatever became of the order since.
    let mut client = server.client_of(&site, "counter");
    client.delete(&format!("{ORDERS}/{}", id_of(&first))).expect(200);
    assert_eq!(client.post(ORDERS, &mine).expect(201), first);
    assert_fields(
        &client.get("/api/oms/orders/active").expect(200),
        &[("count", "0")],
    );
}

#[test]
fn an_unmatched_ioc_order_is_cancelled() {
    let site = Site::with_accounts(&[COUNTER]);
    let server = site.start(QUIET);
    let mut counter = server.client_of(&site, "counter");
    let ioc = with(limit("SELL", 10, "2450.00"), "validity", json!("IOC"));
    let reply = counter.post(ORDERS, &ioc).expect(201);
    assert_eq!(reply["status"], "CANCELLED", "{reply}");
    // Of a partly matched one only the rest is cancelled.
    server.client().post(ORDERS, &sample_order()).expect(201);
    let reply = counter
        .post(ORDERS, &with(ioc, "quantity", json!(15)))
        .expect(201);
    let row = counter.get(&format!("{ORDERS}/{}", id_of(&reply))).expect(200);
    assert_fields(
        &row,
        &[
            ("status", "\"CANCELLED\""),
            ("filled_quantity", "10"),
            ("quantity", "15"),
        ],
    );
    assert_eq!(reply["status"], "CANCELLED", "{reply}");
    assert_fields(
        &counter.get("/api/oms/orders/active").expect(200),
        &[("count", "0")],
    );
}

#[test]
fn validation_says_what_placing_would_and_does_nothing() {
    let site = Site::new();
    let server = site.start(QUIET);
    let mut client = server.client();
    let without_stop = json!({"symbol": "RELIANCE", "side": "BUY", "quantity": 10, "price": 2450});
    for (order, failed_check, reason) in [
        (sample_order(), "", ""),
        (
            without_stop,
            "stop_loss_required",
            "Stop-loss is required for all orders",
        ),
        (
            with(sample_order(), "quantity", json!(2000)),
            "balance_check",
            "Insufficient balance: Required ₹980,000.00, Available ₹100,000.00",
        ),
        (
            with(sample_order(), "quantity", json!(101)),
            "risk_per_trade",
            "Risk per trade exceeds limit: ₹2,020.00 (2.02%) > ₹2,000.00 (2.0%)",
        ),
        (
            with(sample_order(), "take_profit", json!(2480)),
            "risk_reward_ratio",
            "Risk-reward ratio too low: 1.50:1 < 2:1 required",
        ),
        (
            with(sample_order(), "stop_loss", json!(2460)),
            "stop_loss_required",
            "Invalid stop-loss: Buy order stop-loss (₹2460) must be < entry (₹2450)",
        ),
    ] {
        let verdict = client.post("/api/oms/validate-order", &order).expect(200);
        assert_fields(
            &verdict,
            &[
                ("is_valid", &failed_check.is_empty().to_string()),
                ("failed_check", &json!(failed_check).to_string()),
                ("reason", &json!(reason).to_string()),
            ],
        );
        assert!(verdict["warnings"].is_array(), "{verdict}");
        if !failed_check.is_empty() {
            let refused = client.post(ORDERS, &order).expect(400);
            assert_eq!(refused["error"], "Order rejected");
            assert_eq!(refused["failed_check"], verdict["failed_check"]);
            assert_eq!(refused["reason"], verdict["reason"]);
            let row = client.get(&format!("{ORDERS}/{}", id_of(&refused))).expect(200);
            assert_fields(
                &row,
                &[
                    ("status", "\"REJECTED\""),
                    (
                        "status_message",
                        &json!(format!("Validation failed: {reason}")).to_string(),
                    ),
                ],
            );
        }
    }
    // Exactly at the limit passes: 100 × ₹20 of risk is 2 % of the balance.
    let verdict = client
        .post(
            "/api/oms/validate-order",
            &with(sample_order(), "quantity", json!(100)),
        )
        .expect(200);
    assert_fields(
        &verdict,
        &[("is_valid", "true"), ("reason", "\"\""), ("failed_check", "\"\"")],
    );
    let stats = client.get("/api/oms/stats/today").expect(200);
    assert_fields(&stats, &[("order_count", "5"), ("rejected_orders", "5")]);
    client
        .post("/api/oms/validate-order", &json!({"symbol": "RELIANCE"}))
        .expect_error(400);
}

#[test]
fn numbers_may_be_strings_and_words_in_any_case() {
    let site = Site::new();
    let server = site.start(QUIET);
    let mut client = server.client();
    let order = json!({
        "symbol": "RELIANCE", "side": "buy", "quantity": "10", "order_type": "limit", "price": "2450.00",
        "product": "mis", "validity": "day", "stop_loss": "2430", "take_profit": 0
    });
    let reply = client.post(ORDERS, &order).expect(201);
    let row = client.get(&format!("{ORDERS}/{}", id_of(&reply))).expect(200);
    assert_fields(
        &row,
        &[
            ("side", "\"BUY\""),
            ("quantity", "10"),
            ("price", "2450.00"),
            ("order_type", "\"LIMIT\""),
            ("stop_loss", "2430.00"),
            ("take_profit", "null"),
            ("product", "\"MIS\""),
            ("validity", "\"DAY\""),
        ],
    );
    for (order, details) in [
        (
            with(sample_order(), "quantity", json!(0)),
            "Quantity must be positive",
        ),
        (
            with(sample_order(), "side", json!("HOLD")),
            "'HOLD' is not a valid OrderSide",
        ),
        (
            with(sample_order(), "price", json!(0)),
            "LIMIT orders require price",
        ),
    ] {
        let answer = client.post(ORDERS, &order).expect(400);
        assert_eq!(answer["error"], "Invalid order data");
        assert_eq!(answer["details"], details);
    }
}

/// One key by whatever way, however it is written: key order, white space, numbers as text, case, header or field, REST or
/// WebSocket, and while the first is still in flight. Anything else under it is a conflict, on every way.
#[test]
fn one_key_is_one_order_on_every_way() {
    let site = Site::with_accounts(&[COUNTER]);
    let server = site.start(QUIET);
    let mut client = server.client_of(&site, "counter");
    let first = r#"{"symbol":"RELIANCE","side":"SELL","quantity":10,"price":2460.00,"metadata":{"a":1,"b":[1,2]},"client_order_id":"k"}"#;
    let placed = client.send("POST", ORDERS, first.as_bytes()).expect(201);
    for again in [
        r#"{"client_order_id":"k","price":2460.00,"metadata":{"a":1,"b":[1,2]},"quantity":10,"side":"SELL","symbol":"RELIANCE"}"#,
        "{ \"symbol\" : \"RELIANCE\",\n \"side\":\"sell\", \"quantity\":\"10\", \"price\":\"2460\",\t\"exchange\":\"NSE\", \"order_type\":\"limit\",
           \"product\":\"MIS\", \"validity\":\"DAY\", \"strategy_id\":1, \"stop_loss\":0, \"metadata\":{\"a\":1,\"b\":[1,2]}, \"client_order_id\":\"k\" }",
        r#"{"symbol":"RELIANCE","side":"SELL","quantity":10,"price":2460,"metadata":{ "b": [1, 2], "a": 1 },"client_order_id":"k"}"#,
    ] {
        assert_eq!(client.send("POST", ORDERS, again.as_bytes()).expect(201), placed, "{again}");
    }
    let mut socket = server.socket_of(&site, "counter");
    socket.say(&format!(r#"{{"type":"order:place","id":"w","data":{first}}}"#));
    let reply = loop {
        let message = socket.next();
        if message["id"] == "w" {
            break message;
        }
    };
    assert_eq!(reply["data"]["order_id"], placed["order_id"], "{reply}");
    for (field, other) in [
        ("quantity", json!(11)),
        ("price", json!(2460.05)),
        ("side", json!("BUY")),
        ("symbol", json!("TCS")),
        ("product", json!("CNC")),
        ("validity", json!("IOC")),
        ("order_type", json!("MARKET")),
        ("strategy_id", json!(2)),
        ("stop_loss", json!(2470.00)),
        ("take_profit", json!(2400.00)),
        ("metadata", json!({"a": 2})),
    ] {
        let body = with(serde_json::from_str(first).unwrap(), field, other);
        client.post(ORDERS, &body).expect_error(409);
        socket.say(&json!({"type": "order:place", "id": field, "data": body}).to_string());
        let reply = loop {
            let message = socket.next();
            if message["id"] == field {
                break message;
            }
        };
        assert_eq!(reply["status"], 409, "{reply}");
    }

    // Two at once on one connection, and more from several: one order.
    let body = limit("SELL", 5, "2461.00");
    let numbers: Vec<u64> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..8)
            .map(|_| {
                let mut client = server
                    .client_of(&site, "counter")
                    .with_header("Idempotency-Key", "race");
                let body = &body;
                scope.spawn(move || id_of(&client.post(ORDERS, body).expect(201)))
            })
            .collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    assert!(numbers.iter().all(|number| *number == numbers[0]), "{numbers:?}");
    assert_fields(
        &client.get("/api/oms/orders/active").expect(200),
        &[("count", "2")],
    );
}

/// What was refused for its rate may be sent again under the same id, and is then decided.
#[test]
fn a_throttled_order_is_not_remembered() {
    let site = Site::with_accounts(&[crate::support::server::Account {
        name: "slow",
        balance: "10000000.00",
        profile: "slow",
        role: "trader",
    }]);
    let config = std::fs::read_to_string(site.config_file()).unwrap();
    let profile = "[profiles.slow]\nbase = \"unlimited-paper\"\norders_per_second_max = 2\n";
    site.configure(&format!("{config}\n{profile}"));
    let server = site.start(QUIET);
    let mut client = server.client_of(&site, "slow");
    let order = |id: usize| {
        with(
            limit("BUY", 1, "2440.00"),
            "client_order_id",
            json!(format!("n-{id}")),
        )
    };
    let throttled = crate::support::wait_for("a refusal for the rate", {
        let mut id = 0;
        let client = &mut client;
        move || {
            id += 1;
            let answer = client.post(ORDERS, &order(id));
            (answer.status == 429).then_some((id, answer))
        }
    });
    let (id, answer) = throttled;
    assert_eq!(answer.header("retry-after"), Some("1"));
    let placed = crate::support::wait_for("a token", || {
        let answer = client.post(ORDERS, &order(id));
        (answer.status == 201).then(|| answer.json())
    });
    assert_eq!(client.post(ORDERS, &order(id)).expect(201), placed);
}
