//! Closing positions by request: idempotent while it works, sliced to the freeze quantity, bounded, and refused in words.

use std::fs;

use serde_json::{Value, json};

use crate::life_of_an_order::{id_of, limit};
use crate::support::http::Client;
use crate::support::json::assert_fields;
use crate::support::server::{COUNTER, FREE, QUIET, Server, Site};

const ORDERS: &str = "/api/oms/orders";
const CLOSE: &str = "/api/oms/positions/close";

/// A site whose RELIANCE takes orders of at most four shares.
fn site() -> Site {
    let site = Site::with_accounts(&[COUNTER, FREE]);
    let file = site.config_file().with_file_name("instruments.csv");
    fs::write(
        &file,
        "symbol,exchange,tick_size,lot_size,freeze_quantity,price_band,reference_price,mis_allowed,derivatives\n\
         RELIANCE,NSE,0.10,1,4,0.10,2450.00,true,true\n\
         TCS,NSE,0.10,1,100000,0.10,3500.00,true,true\n",
    )
    .unwrap();
    let accounts = fs::read_to_string(site.config_file()).unwrap();
    site.configure(&format!("{accounts}[instruments]\nfile = {file:?}\n"));
    site
}

/// Buys as many shares for `free` from `counter` at 2450.00; the position's id.
fn open(server: &Server, site: &Site, shares: u32) -> u64 {
    let (mut free, mut counter) = (server.client_of(site, "free"), server.client_of(site, "counter"));
    let mut left = shares;
    while left > 0 {
        let quantity = left.min(4);
        counter
            .post(ORDERS, &limit("SELL", quantity, "2450.00"))
            .expect(201);
        free.post(ORDERS, &limit("BUY", quantity, "2450.00")).expect(201);
        left -= quantity;
    }
    position_of(&mut free)
}

fn position_of(client: &mut Client) -> u64 {
    let positions = client.get("/api/oms/positions").expect(200);
    assert_fields(&positions, &[("count", "1")]);
    positions["positions"][0]["id"].as_u64().unwrap()
}

/// Ids and quantities of an account's working orders, oldest first.
fn working(client: &mut Client) -> Vec<(u64, u64)> {
    let active = client.get("/api/oms/orders/active").expect(200);
    let rows = active["orders"].as_array().unwrap().iter().rev();
    rows.map(|row| (row["id"].as_u64().unwrap(), row["quantity"].as_u64().unwrap()))
        .collect()
}

#[test]
fn a_close_is_sliced_and_answered_again_while_it_works() {
    let site = site();
    let server = site.start(QUIET);
    let position = open(&server, &site, 10);
    let by_id = format!("/api/oms/positions/{position}/close");
    let mut free = server.client_of(&site, "free");

    let first = free.post(&by_id, &json!({})).expect(200);
    assert_fields(
        &first,
        &[
            ("position_id", &position.to_string()),
            ("quantity", "10"),
            ("message", "\"Position is being closed\""),
            ("durable", "true"),
        ],
    );
    let order = id_of(&first);
    let exits = working(&mut free);
    assert_eq!(exits, [(order, 4), (order + 1, 4), (order + 2, 2)]);
    for (exit, _) in &exits {
        let row = free.get(&format!("{ORDERS}/{exit}")).expect(200);
        assert_fields(&row["cause"], &[("kind", "\"close\""), ("trade_id", "null")]);
    }
    let again = [
        (by_id.as_str(), json!({})),
        (&by_id, json!({"quantity": 3})),
        (&by_id, json!({"quantity": 1_000})),
        (CLOSE, json!({"symbol": "RELIANCE"})),
        (
            CLOSE,
            json!({"symbol": "RELIANCE", "exchange": "NSE", "strategy_id": 1, "product": "mis", "quantity": 10}),
        ),
    ];
    for (path, body) in &again {
        let repeat = free.post(path, body).expect(200);
        assert_eq!(id_of(&repeat), order, "{path} {body}");
        assert_fields(
            &repeat,
            &[
                ("quantity", "10"),
                ("message", "\"Position is already being closed\""),
            ],
        );
    }
    // Partly filled, and after a crash, it is still the same close.
    let mut counter = server.client_of(&site, "counter");
    counter.post(ORDERS, &limit("BUY", 4, "2450.00")).expect(201);
    assert_eq!(
        id_of(&free.post(&by_id, &json!({"quantity": 8})).expect(200)),
        order
    );
    server.kill();
    let server = site.start(QUIET);
    let mut free = server.client_of(&site, "free");
    for (path, body) in &again {
        assert_eq!(id_of(&free.post(path, body).expect(200)), order, "{path} {body}");
    }
    assert_eq!(working(&mut free), exits[1..]);

    // A part works: the same request gives the same answer, a request for all closes the rest besides.
    free.post("/api/oms/orders/cancel-all", &json!({})).expect(200);
    let part = free.post(&by_id, &json!({"quantity": 2})).expect(200);
    assert!(id_of(&part) > order);
    assert_eq!(
        id_of(&free.post(&by_id, &json!({"quantity": 2})).expect(200)),
        id_of(&part)
    );
    let rest = free.post(&by_id, &json!({})).expect(200);
    assert_fields(&rest, &[("quantity", "4")]);
    assert_eq!(id_of(&rest), id_of(&part) + 1);
    assert_eq!(id_of(&free.post(&by_id, &json!({})).expect(200)), id_of(&rest));
    assert_eq!(working(&mut free), [(id_of(&part), 2), (id_of(&rest), 4)]);
}

/// Whoever asks to get out gets out: exits at the trader's own limits make way for a close, as far as it needs them.
#[test]
fn the_traders_own_exits_make_way() {
    let site = site();
    let server = site.start(QUIET);
    let position = open(&server, &site, 10);
    let by_id = format!("/api/oms/positions/{position}/close");
    let mut free = server.client_of(&site, "free");
    let mut sell = |quantity, price| id_of(&free.post(ORDERS, &limit("SELL", quantity, price)).expect(201));
    let (oldest, older, newest) = (sell(4, "2490.00"), sell(4, "2500.00"), sell(2, "2495.00"));

    // Three of ten: the newest goes, and one share of the one before it.
    let part = free.post(&by_id, &json!({"quantity": 3})).expect(200);
    let exit = id_of(&part);
    assert_fields(
        &part,
        &[("quantity", "3"), ("message", "\"Position is being closed\"")],
    );
    assert_eq!(working(&mut free), [(oldest, 4), (older, 3), (exit, 3)]);
    let gone = free.get(&format!("{ORDERS}/{newest}")).expect(200);
    assert_fields(
        &gone,
        &[
            ("status", "\"CANCELLED\""),
            ("status_message", "\"Exit exceeds the open position\""),
        ],
    );
    let again = free.post(&by_id, &json!({"quantity": 3})).expect(200);
    assert_eq!(id_of(&again), exit);

    // All of it: the rest goes too, and no share has two exits, also after a crash.
    let all = free.post(&by_id, &json!({})).expect(200);
    assert_fields(&all, &[("quantity", "7")]);
    let exits = [(exit, 3), (id_of(&all), 4), (id_of(&all) + 1, 3)];
    assert_eq!(working(&mut free), exits);
    server.kill();
    let server = site.start(QUIET);
    let mut free = server.client_of(&site, "free");
    assert_eq!(working(&mut free), exits);
    assert_eq!(id_of(&free.post(&by_id, &json!({})).expect(200)), id_of(&all));
    let mut counter = server.client_of(&site, "counter");
    for _ in 0..5 {
        counter.post(ORDERS, &limit("BUY", 2, "2450.00")).expect(201);
    }
    assert_eq!(
        free.post(&by_id, &json!({})).expect_error(409),
        "Position is closed"
    );
}

#[test]
fn of_many_closes_at_once_one_is_placed() {
    let site = site();
    let server = site.start(QUIET);
    let position = open(&server, &site, 8);
    let path = format!("/api/oms/positions/{position}/close");
    let answers: Vec<Value> = std::thread::scope(|scope| {
        let askers: Vec<_> = (0..8)
            .map(|_| {
                let mut client = server.client_of(&site, "free");
                let path = &path;
                scope.spawn(move || client.post(path, &json!({})).expect(200))
            })
            .collect();
        askers.into_iter().map(|asker| asker.join().unwrap()).collect()
    });
    let placed = |answer: &&Value| answer["message"] == "Position is being closed";
    assert_eq!(answers.iter().filter(placed).count(), 1, "{answers:?}");
    let order = id_of(&answers[0]);
    for answer in &answers {
        assert_eq!(id_of(answer), order, "{answers:?}");
        assert_fields(answer, &[("quantity", "8")]);
    }
    let mut free = server.client_of(&site, "free");
    assert_eq!(working(&mut free), [(order, 4), (order + 1, 4)]);
}

#[test]
fn what_cannot_be_closed_is_refused_in_words() {
    let site = site();
    let server = site.start(QUIET);
    let position = open(&server, &site, 4);
    let (mut free, mut counter) = (
        server.client_of(&site, "free"),
        server.client_of(&site, "counter"),
    );
    let by_id = format!("/api/oms/positions/{position}/close");
    let theirs = format!("/api/oms/positions/{}/close", position_of(&mut counter));
    let symbol = |extra: Value| {
        let mut body = json!({"symbol": "RELIANCE"});
        body.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        body
    };
    for (path, body, status, error) in [
        (
            "/api/oms/positions/9999/close",
            json!({}),
            404,
            "Position not found",
        ),
        ("/api/oms/positions/0/close", json!({}), 404, "Position not found"),
        (
            "/api/oms/positions/4294967296/close",
            json!({}),
            404,
            "Position not found",
        ),
        ("/api/oms/positions/-1/close", json!({}), 404, "NOT_FOUND"),
        ("/api/oms/positions/x/close", json!({}), 404, "NOT_FOUND"),
        // Somebody else's is as unknown as none.
        (&theirs, json!({}), 404, "Position not found"),
        (&by_id, json!({"quantity": 0}), 400, "Invalid request"),
        (&by_id, json!({"quantity": -1}), 400, "Invalid request"),
        (&by_id, json!({"quantity": "four"}), 400, "Invalid request"),
        (&by_id, json!({"quantity": true}), 400, "Invalid request"),
        (&by_id, json!({"quantity": [4]}), 400, "Invalid request"),
        (
            &by_id,
            json!({"quantity": 4_294_967_296_u64}),
            400,
            "Invalid request",
        ),
        (&by_id, json!([]), 400, "Invalid request"),
        (
            &by_id,
            json!({"quantity": 5}),
            409,
            "Quantity is above the open quantity 4",
        ),
        (
            &by_id,
            json!({"quantity": 2_147_483_647}),
            409,
            "Quantity is above the open quantity 4",
        ),
        (CLOSE, json!({}), 400, "Invalid request"),
        (CLOSE, json!({"symbol": 7}), 400, "Invalid request"),
        (CLOSE, json!({"symbol": "reliance"}), 400, "Invalid request"),
        (CLOSE, json!({"symbol": "NOSUCH"}), 404, "Symbol not found"),
        (CLOSE, symbol(json!({"exchange": "BSE"})), 404, "Symbol not found"),
        (CLOSE, json!({"symbol": "TCS"}), 404, "No open position in TCS"),
        (
            CLOSE,
            symbol(json!({"product": "CNC"})),
            404,
            "No open position in RELIANCE",
        ),
        (
            CLOSE,
            symbol(json!({"strategy_id": 7})),
            404,
            "No open position in RELIANCE",
        ),
        (CLOSE, symbol(json!({"product": "NRML"})), 400, "Invalid request"),
        (CLOSE, symbol(json!({"strategy_id": 0})), 400, "Invalid request"),
        (CLOSE, symbol(json!({"quantity": 0})), 400, "Invalid request"),
        (
            CLOSE,
            symbol(json!({"quantity": 5})),
            409,
            "Quantity is above the open quantity 4",
        ),
        (
            CLOSE,
            symbol(json!({"account": "counter"})),
            403,
            "Only an admin may name another account",
        ),
    ] {
        assert_eq!(
            free.post(path, &body).expect_error(status),
            error,
            "{path} {body}"
        );
    }
    assert_eq!(working(&mut free), []);

    // A second position in the symbol makes its name ambiguous.
    let mut delivery = limit("BUY", 1, "2450.00");
    delivery["product"] = json!("CNC");
    counter.post(ORDERS, &limit("SELL", 1, "2450.00")).expect(201);
    free.post(ORDERS, &delivery).expect(201);
    assert_eq!(
        free.post(CLOSE, &symbol(json!({}))).expect_error(409),
        "More than one open position in RELIANCE: name strategy_id and product"
    );
    // Halted, nothing passes but cancels; afterwards it closes, and then there is nothing left to close.
    let mut main = server.client();
    main.post(
        "/api/oms/risk/kill-switch",
        &json!({"scope": "account", "account": "free", "state": "HALTED"}),
    )
    .expect(200);
    assert_eq!(
        free.post(&by_id, &json!({})).expect(400)["failed_check"],
        "circuit_breaker"
    );
    main.post("/api/oms/risk/deactivate-kill-switch", &json!({}))
        .expect(200);
    counter.post(ORDERS, &limit("BUY", 4, "2450.00")).expect(201);
    free.post(CLOSE, &symbol(json!({"product": "MIS"}))).expect(200);
    assert_eq!(
        free.post(&by_id, &json!({})).expect_error(409),
        "Position is closed"
    );
}
