//! The sample order of the contract, all the way: HTTP, matching, WebSocket, reads, restart.

use serde_json::{Value, json};

use crate::support::http::Client;
use crate::support::json::assert_fields;
use crate::support::server::{COUNTER, FREE, QUIET, Server, Site};

/// The dashboard's sample order.
pub fn sample_order() -> Value {
    json!({
        "symbol": "RELIANCE", "exchange": "NSE", "side": "BUY", "quantity": 10, "order_type": "LIMIT",
        "price": 2450.00, "product": "MIS", "validity": "DAY", "strategy_id": 1,
        "stop_loss": 2430.00, "take_profit": 2491.00, "metadata": {"note": "sample"}
    })
}

/// A limit order without stop or target, for accounts that need none.
pub fn limit(side: &str, quantity: u32, price: &str) -> Value {
    json!({"symbol": "RELIANCE", "side": side, "quantity": quantity, "price": price})
}

/// The sample order of `main`, met in full by `counter`. Returns both orders' ids.
pub fn trade(server: &Server, site: &Site) -> (u64, u64) {
    let bought = server
        .client()
        .post("/api/oms/orders", &sample_order())
        .expect(201);
    let sold = server
        .client_of(site, "counter")
        .post("/api/oms/orders", &limit("SELL", 10, "2450.00"))
        .expect(201);
    assert_eq!(sold["status"], "FILLED", "{sold}");
    (id_of(&bought), id_of(&sold))
}

pub fn id_of(reply: &Value) -> u64 {
    reply["order_id"]
        .as_u64()
        .unwrap_or_else(|| panic!("no order_id in {reply}"))
}

#[test]
fn the_sample_order_rests_trades_and_shows_everywhere() {
    let site = Site::with_accounts(&[COUNTER]);
    let server = site.start(QUIET);
    let (mut main, mut counter) = (server.client(), server.client_of(&site, "counter"));
    let (mut main_hears, mut counter_hears) = (server.socket(), server.socket_of(&site, "counter"));

    // It rests.
    let reply = main.post("/api/oms/orders", &sample_order()).expect(201);
    let buy = id_of(&reply);
    let broker_order_id = format!("\"PIN{buy:010}\"");
    assert_fields(
        &reply,
        &[
            ("broker_order_id", &broker_order_id),
            ("status", "\"OPEN\""),
            ("message", "\"Order placed successfully\""),
            ("durable", "true"),
        ],
    );
    let placed = main_hears.data_of("order:placed");
    assert_fields(
        &placed,
        &[
            ("order_id", &buy.to_string()),
            ("broker_order_id", &broker_order_id),
            ("symbol", "\"RELIANCE\""),
            ("side", "\"BUY\""),
            ("quantity", "10"),
            ("status", "\"OPEN\""),
        ],
    );
    let active = main.get("/api/oms/orders/active").expect(200);
    assert_fields(&active, &[("count", "1")]);
    assert_fields(
        &active["orders"][0],
        &[("id", &buy.to_string()), ("status", "\"OPEN\"")],
    );

    // It trades.
    let reply = counter
        .post("/api/oms/orders", &limit("SELL", 10, "2450.00"))
        .expect(201);
    let sell = id_of(&reply);
    assert_eq!(reply["status"], "FILLED");
    reads_agree(&mut main, &mut counter, buy, sell);

    let filled = main_hears.data_of("order:filled");
    assert_fields(
        &filled,
        &[
            ("order_id", &buy.to_string()),
            ("broker_order_id", &broker_order_id),
            ("symbol", "\"RELIANCE\""),
            ("side", "\"BUY\""),
            ("quantity", "10"),
            ("price", "2450.00"),
            ("status", "\"FILLED\""),
        ],
    );
    // Charges of the buy (RISK.md): brokerage 7.35, exchange 0.75, SEBI 0.02, GST 1.46, stamp duty 0.74.
    let updated = main_hears.data_of("position:updated");
    assert_fields(
        &updated,
        &[
            ("symbol", "\"RELIANCE\""),
            ("quantity", "10"),
            ("avg_price", "2450.00"),
            ("unrealized_pnl", "0.00"),
            ("realized_pnl", "-10.32"),
            ("total_pnl", "-10.32"),
        ],
    );

    // A trader hears of the own account alone; `main` is an admin.
    let heard = counter_hears.drain();
    let kinds: Vec<&str> = heard
        .iter()
        .filter_map(|message| message["type"].as_str())
        .collect();
    for kind in ["order:placed", "order:filled", "position:updated"] {
        assert!(kinds.contains(&kind), "no {kind} in {heard:?}");
    }
    assert!(
        heard
            .iter()
            .all(|message| message["data"]["account"] == "counter"),
        "{heard:?}"
    );
}

/// Every read right after the reply of the crossing order shows the trade, to both sides.
fn reads_agree(main: &mut Client, counter: &mut Client, buy: u64, sell: u64) {
    for (client, order, quantity) in [(main, buy, "10"), (counter, sell, "-10")] {
        let order_row = client.get(&format!("/api/oms/orders/{order}")).expect(200);
        assert_fields(
            &order_row,
            &[
                ("status", "\"FILLED\""),
                ("filled_quantity", "10"),
                ("average_price", "2450.00"),
                ("is_filled", "true"),
            ],
        );
        let active = client.get("/api/oms/orders/active").expect(200);
        assert_fields(&active, &[("count", "0"), ("orders", "[]")]);
        let positions = client.get("/api/oms/positions").expect(200);
        assert_fields(&positions, &[("count", "1")]);
        assert_fields(
            &positions["positions"][0],
            &[
                ("symbol", "\"RELIANCE\""),
                ("quantity", quantity),
                ("average_price", "2450.00"),
            ],
        );
        let trades = client.get("/api/oms/trades").expect(200);
        assert_fields(&trades, &[("count", "1")]);
        assert_fields(
            &trades["trades"][0],
            &[("order_id", &order.to_string()), ("price", "2450.00")],
        );
        let stats = client.get("/api/oms/stats/today").expect(200);
        assert_fields(
            &stats,
            &[
                ("order_count", "1"),
                ("trade_count", "1"),
                ("position_count", "1"),
            ],
        );
        let summary = client.get("/api/oms/risk/summary").expect(200);
        assert_fields(
            &summary,
            &[("position_count", "1"), ("kill_switch_active", "false")],
        );
    }
}

#[test]
fn a_read_never_lags_behind_a_reply() {
    let site = Site::with_accounts(&[FREE]);
    let server = site.start(QUIET);
    // Two connections at once: what one was told, the other may not miss.
    let mut client = server.client_of(&site, "free");
    let mut other = server.client_of(&site, "free");
    for round in 0..200 {
        let order = id_of(
            &client
                .post("/api/oms/orders", &limit("SELL", 1, "2450.00"))
                .expect(201),
        );
        let active = other.get("/api/oms/orders/active").expect(200);
        assert_eq!(
            active["orders"][0]["id"].as_u64(),
            Some(order),
            "round {round}: {active}"
        );
        client.delete(&format!("/api/oms/orders/{order}")).expect(200);
        let active = other.get("/api/oms/orders/active").expect(200);
        assert_fields(&active, &[("count", "0")]);
    }
}

#[test]
fn a_position_closes_by_its_own_order() {
    let site = Site::with_accounts(&[COUNTER]);
    let server = site.start(QUIET);
    trade(&server, &site);
    let (mut main, mut counter) = (server.client(), server.client_of(&site, "counter"));
    counter
        .post("/api/oms/orders", &limit("BUY", 4, "2449.00"))
        .expect(201);
    counter
        .post("/api/oms/orders", &limit("BUY", 6, "2448.00"))
        .expect(201);
    let mut hears = server.socket();

    let position = main.get("/api/oms/positions").expect(200)["positions"][0]["id"]
        .as_u64()
        .unwrap();
    let reply = main
        .post(
            &format!("/api/oms/positions/{position}/close"),
            &json!({"quantity": 4}),
        )
        .expect(200);
    assert_fields(
        &reply,
        &[("position_id", &position.to_string()), ("quantity", "4")],
    );
    let row = main.get(&format!("/api/oms/positions/{position}")).expect(200);
    assert_fields(&row, &[("quantity", "6"), ("average_price", "2450.00")]);

    let reply = main
        .post("/api/oms/positions/close", &json!({"symbol": "RELIANCE"}))
        .expect(200);
    assert_fields(&reply, &[("quantity", "6")]);
    let closed = hears.until("position:closed");
    let mine =
        |message: &&Value| message["type"] == "position:updated" && message["data"]["account"] == "main";
    let updated = closed.iter().rfind(mine);
    assert_fields(
        &updated.expect("an update comes too")["data"],
        &[("quantity", "0")],
    );
    // 4 × −1.00 + 6 × −2.00 = −16.00, less the charges of three orders.
    let data = &closed.last().unwrap()["data"];
    assert_eq!(data["symbol"], "RELIANCE");
    let positions = main.get("/api/oms/positions?closed=1").expect(200);
    let row = &positions["positions"][0];
    assert_eq!(row["realized_pnl"], data["realized_pnl"]);
    let (realised, charges) = (
        row["realized_pnl"].as_f64().unwrap(),
        row["charges"].as_f64().unwrap(),
    );
    assert!((realised + charges + 16.0).abs() < 0.001, "{row}");
    assert_fields(&main.get("/api/oms/positions").expect(200), &[("count", "0")]);
    main.post("/api/oms/positions/close", &json!({"symbol": "RELIANCE"}))
        .expect_error(404);
    main.post(&format!("/api/oms/positions/{position}/close"), &json!({}))
        .expect_error(409);
}

#[test]
fn orders_enter_by_websocket_too() {
    let site = Site::with_accounts(&[COUNTER]);
    let server = site.start(QUIET);
    let mut socket = server.socket_of(&site, "counter");
    let say = |socket: &mut crate::support::websocket::Socket, kind: &str, data: Value| {
        socket.say(&json!({"type": kind, "id": "a-1", "data": data}).to_string());
        let mut reply = socket.until("reply").pop().unwrap();
        assert_fields(&reply, &[("request", &format!("\"{kind}\"")), ("id", "\"a-1\"")]);
        (reply["status"].as_u64().unwrap(), reply["data"].take())
    };
    let (status, verdict) = say(&mut socket, "order:validate", limit("SELL", 5, "2460"));
    assert_eq!((status, &verdict["is_valid"]), (200, &json!(true)), "{verdict}");
    let (status, placed) = say(&mut socket, "order:place", limit("SELL", 5, "2460"));
    assert_eq!((status, &placed["status"]), (201, &json!("OPEN")), "{placed}");
    let order = id_of(&placed);
    let (status, modified) = say(
        &mut socket,
        "order:modify",
        json!({"order_id": order, "quantity": 3}),
    );
    assert_eq!(
        (status, &modified["order_id"]),
        (200, &json!(order)),
        "{modified}"
    );
    let mut client = server.client_of(&site, "counter");
    let row = client.get(&format!("/api/oms/orders/{order}")).expect(200);
    assert_fields(&row, &[("quantity", "3"), ("status", "\"OPEN\"")]);
    let (status, cancelled) = say(&mut socket, "order:cancel", json!({"order_id": order}));
    assert_eq!(
        (status, &cancelled["order_id"]),
        (200, &json!(order)),
        "{cancelled}"
    );
    let (status, refused) = say(&mut socket, "order:cancel", json!({"order_id": order}));
    assert_eq!(status, 409, "{refused}");
    let (status, rejected) = say(&mut socket, "order:place", limit("SELL", 5, "1"));
    assert_eq!(
        (status, &rejected["error"]),
        (400, &json!("Order rejected")),
        "{rejected}"
    );
}

#[test]
fn a_subscription_narrows_what_is_heard() {
    let site = Site::new();
    let server = site.start(QUIET);
    let mut client = server.client();
    let (mut all, mut few) = (server.socket(), server.socket());
    few.say(r#"{"type":"subscribe","events":["order:cancelled"]}"#);
    few.drain();
    let order = id_of(&client.post("/api/oms/orders", &sample_order()).expect(201));
    client.delete(&format!("/api/oms/orders/{order}")).expect(200);
    let cancelled = all.until("order:cancelled");
    assert!(cancelled.iter().any(|message| message["type"] == "order:placed"));
    assert_fields(
        &cancelled.last().unwrap()["data"],
        &[
            ("order_id", &order.to_string()),
            ("broker_order_id", &format!("\"PIN{order:010}\"")),
            ("symbol", "\"RELIANCE\""),
        ],
    );
    let heard = few.until("order:cancelled");
    assert_eq!(heard.len(), 1, "{heard:?}");
}

#[test]
fn a_restart_keeps_everything() {
    let site = Site::with_accounts(&[COUNTER]);
    let server = site.start(QUIET);
    trade(&server, &site);
    server
        .client()
        .post("/api/oms/orders", &sample_order())
        .expect(201);
    let counter = |server: &Server| server.client_of(&site, "counter");
    counter(&server)
        .post("/api/oms/orders", &limit("SELL", 7, "2470.00"))
        .expect(201);
    counter(&server)
        .post("/api/oms/orders", &limit("SELL", 0, "2470.00"))
        .expect_error(400);
    counter(&server)
        .post("/api/oms/orders", &limit("SELL", 1, "1.00"))
        .expect_error(400);

    let paths = [
        "/api/oms/orders?account=*",
        "/api/oms/orders/active?account=*",
        "/api/oms/positions?account=*",
        "/api/oms/trades?account=*",
        "/api/oms/account?account=*",
        "/api/oms/risk/summary",
        "/api/oms/risk/alerts?account=*",
        "/api/oms/stats/today",
        "/api/oms/instruments",
    ];
    let read = |server: &Server| paths.map(|path| server.client().get(path).expect(200));
    let before = read(&server);
    assert_eq!(before[0]["count"].as_u64(), Some(5), "{}", before[0]);
    let hash = server.stop_with_hash();
    let replay = site.replay();
    assert_eq!(replay.state_hash, hash);
    assert_eq!(replay.open_orders, 2);

    let server = site.start(QUIET);
    assert_eq!(server.logged("journal recovered", "state_hash"), hash);
    assert_eq!(read(&server), before);
    // The resting orders still trade, and ids go on.
    let reply = counter(&server)
        .post("/api/oms/orders", &limit("SELL", 10, "2450.00"))
        .expect(201);
    assert_eq!(reply["status"], "FILLED", "{reply}");
    assert_eq!(id_of(&reply), before[0]["orders"][0]["id"].as_u64().unwrap() + 1);
}
