//! Depth and P&L channels, which the gateway gets from the read model by way of their publisher.

use serde_json::{Value, json};

use crate::support::server::{COUNTER, FREE, QUIET, Site};

fn order(side: &str, quantity: u32) -> Value {
    json!({"symbol": "SBIN", "side": side, "quantity": quantity, "price": 800})
}

#[test]
fn depth_follows_the_book_and_pnl_the_fills() {
    let site = Site::with_accounts(&[COUNTER, FREE]);
    let server = site.start(QUIET);
    let mut socket = server.socket_of(&site, "free");
    socket.say(r#"{"type":"subscribe","channels":["depth:SBIN","depth:SBIN:20"]}"#);
    assert_eq!(socket.next()["channels"], json!(["depth:SBIN", "depth:SBIN:20"]));
    for _ in 0..2 {
        assert_eq!(
            socket.data_of("depth"),
            json!({"symbol": "SBIN", "bids": [], "asks": []})
        );
    }

    let mut maker = server.client_of(&site, "counter");
    maker.post("/api/oms/orders", &order("SELL", 30)).expect(201);
    let depth = socket.data_of("depth");
    assert_eq!(depth["asks"][0]["quantity"], 30, "{depth}");
    socket.until("depth");

    let mut taker = server.client_of(&site, "free");
    taker.post("/api/oms/orders", &order("BUY", 10)).expect(201);
    let (mut left, mut pnl) = (None, None);
    while left.is_none() || pnl.is_none() {
        let message = socket.next();
        match message["type"].as_str() {
            Some("depth") => left = message["data"]["asks"][0]["quantity"].as_u64(),
            Some("account:pnl_updated") => pnl = Some(message["data"].clone()),
            _ => {}
        }
    }
    assert_eq!(left, Some(20));
    let pnl = pnl.unwrap();
    assert_eq!(
        [&pnl["account"], &pnl["position_count"]],
        [&json!("free"), &json!(1)]
    );
    assert!(pnl["charges"].as_f64().unwrap() > 0.0, "{pnl}");
}
