//! The paper market: quotes that move, prints that make a last price, somebody to trade with.

use serde_json::{Value, json};

use crate::life_of_an_order::id_of;
use crate::support::json::assert_fields;
use crate::support::server::{COUNTER, MARKET, QUIET, Site};
use crate::support::wait_for;

#[test]
fn an_order_at_the_market_trades_with_the_simulated_one() {
    let site = Site::with_accounts(&[COUNTER]);
    let server = site.start(MARKET);
    let mut client = server.client_of(&site, "counter");
    wait_for("a last price of every instrument", || {
        let rows = client.get("/api/oms/instruments").expect(200);
        let rows = rows["instruments"].as_array().unwrap().clone();
        rows.iter().all(|row| row["last_price"].is_number()).then_some(())
    });
    let mut hears = server.socket_of(&site, "counter");
    let order = json!({"symbol": "RELIANCE", "side": "BUY", "quantity": 5, "order_type": "MARKET"});
    let reply = client.post("/api/oms/orders", &order).expect(201);
    assert_eq!(reply["status"], "FILLED", "{reply}");
    let filled = hears.data_of("order:filled");
    let price = filled["price"].as_f64().unwrap();
    assert!((2205.0..=2695.0).contains(&price), "inside the band: {filled}");
    let row = client
        .get(&format!("/api/oms/orders/{}", id_of(&reply)))
        .expect(200);
    assert_fields(
        &row,
        &[
            ("order_type", "\"MARKET\""),
            ("price", "null"),
            ("filled_quantity", "5"),
        ],
    );

    // Marks move the position without anyone trading it.
    let marked = hears.data_of("position:updated");
    assert_fields(&marked, &[("symbol", "\"RELIANCE\""), ("quantity", "5")]);
    let moved = wait_for("a mark away from the entry", || {
        let positions = client.get("/api/oms/positions").expect(200);
        let row = positions["positions"][0].clone();
        (row["unrealized_pnl"].as_f64() != Some(0.0)).then_some(row)
    });
    assert!(moved["current_price"].is_number());

    // The simulator is nobody's account: absent from tables, statistics and reads.
    let accounts = server.client().get("/api/oms/account?account=*").expect(200);
    let names: Vec<&str> = accounts["accounts"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|row| row["account"].as_str())
        .collect();
    assert_eq!(names, ["main", "counter"]);
    let orders = server.client().get("/api/oms/orders?account=*").expect(200);
    assert_fields(&orders, &[("count", "1")]);

    let position = moved["id"].as_u64().unwrap();
    client
        .post(&format!("/api/oms/positions/{position}/close"), &json!({}))
        .expect(200);
    wait_for("the position to be closed", || {
        (client.get("/api/oms/positions").expect(200)["count"].as_u64() == Some(0)).then_some(())
    });
}

#[test]
fn quotes_are_two_sided_and_survive_a_restart_without_leftovers() {
    let site = Site::new();
    let mut server = site.start(MARKET);
    for _ in 0..2 {
        let depth = wait_for("a two-sided book", || {
            let depth = server.client().get("/api/oms/depth/SBIN?levels=50").expect(200);
            let sides = ["bids", "asks"].map(|side| depth[side].as_array().unwrap().len());
            (sides[0] >= 5 && sides[1] >= 5 && depth["last_price"].is_number()).then_some(depth)
        });
        let best = |side: &str| depth[side][0]["price"].as_f64().unwrap();
        assert!(best("bids") < best("asks"), "{depth}");
        for side in ["bids", "asks"] {
            // One ladder of five levels, or two while the next one is being placed.
            let levels = depth[side].as_array().unwrap();
            assert!(levels.len() <= 10, "{levels:?}");
        }
        server.stop();
        server = site.start(MARKET);
    }
}

/// The simulator's orders rest on when it does not run: nobody but an administrator could reach them, and does not either.
#[test]
fn an_administrator_who_guesses_numbers_reaches_no_order_of_the_market() {
    // More than the simulator has open: the newest ones are among them.
    const GUESSES: u64 = 600;
    let site = Site::new();
    let server = site.start(MARKET);
    wait_for("a two-sided book", || {
        let depth = server.client().get("/api/oms/depth/SBIN?levels=50").expect(200);
        ["bids", "asks"]
            .iter()
            .all(|side| depth[side].as_array().unwrap().len() >= 5)
            .then_some(())
    });
    server.stop();
    let server = site.start(QUIET);
    let books = || -> Vec<[Value; 3]> {
        let mut client = server.client();
        let rows = client.get("/api/oms/instruments").expect(200);
        let of_row = |row: &Value| {
            let path = format!("/api/oms/depth/{}?levels=50", row["symbol"].as_str().unwrap());
            let depth = client.get(&path).expect(200);
            ["symbol", "bids", "asks"].map(|field| depth[field].clone())
        };
        rows["instruments"]
            .as_array()
            .unwrap()
            .iter()
            .map(of_row)
            .collect()
    };
    let before = books();
    // One instrument may have been between two ladders.
    assert!(
        before.iter().any(|[_, bids, _]| bids[0].is_object()),
        "{before:?}"
    );

    let mut admin = server.client();
    // It rests: what it would meet is far above.
    let far = json!({"symbol": "RELIANCE", "side": "BUY", "quantity": 1, "price": 2300, "stop_loss": 2280});
    let own = id_of(&admin.post("/api/oms/orders", &far).expect(201));
    admin.delete(&format!("/api/oms/orders/{own}")).expect(200);
    for order in own.saturating_sub(GUESSES).max(1)..own {
        let path = format!("/api/oms/orders/{order}");
        let unknown = format!("Order {order} not found");
        assert_eq!(admin.delete(&path).expect_error(404), unknown);
        assert_eq!(
            admin.put(&path, &json!({"quantity": 1})).expect_error(404),
            unknown
        );
    }
    assert_eq!(books(), before);
    let hash = server.stop_with_hash();
    assert_eq!(site.replay().state_hash, hash);
}
