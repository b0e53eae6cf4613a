//! Conditions of positions from the outside: they fire, they are edited, they survive a kill, and rows and messages tell why.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::life_of_an_order::{id_of, limit};
use crate::support::json::assert_fields;
use crate::support::server::{Account, COUNTER, FREE, QUIET, Server, Site};
use crate::support::wait_for;
use crate::support::websocket::Socket;

const ORDERS: &str = "/api/oms/orders";

/// Another trader, so that prices can be printed without the one whose position it is about.
const OTHER: Account = Account {
    name: "other",
    ..FREE
};

fn site() -> Site {
    Site::with_accounts(&[COUNTER, FREE, OTHER])
}

/// A trade of one share between `counter` and `other`.
fn print(server: &Server, site: &Site, price: &str) {
    let post = |account: &str, side: &str| {
        let mut client = server.client_of(site, account);
        client.post(ORDERS, &limit(side, 1, price)).expect(201)
    };
    post("other", "BUY");
    let sold = post("counter", "SELL");
    assert_eq!(sold["status"], "FILLED", "{sold}");
}

/// `other` bids for what an exit will sell.
fn bid(server: &Server, site: &Site, shares: u32, price: &str) {
    server
        .client_of(site, "other")
        .post(ORDERS, &limit("BUY", shares, price))
        .expect(201);
}

/// `free` holds ten shares at 2450.00 with a stop at 2430.00 and a target at 2491.00; the position's id.
fn open(server: &Server, site: &Site) -> u64 {
    let (mut free, mut counter) = (server.client_of(site, "free"), server.client_of(site, "counter"));
    counter.post(ORDERS, &limit("SELL", 10, "2450.00")).expect(201);
    let mut order = limit("BUY", 10, "2450.00");
    order["stop_loss"] = json!(2430.0);
    order["take_profit"] = json!(2491.0);
    free.post(ORDERS, &order).expect(201);
    let positions = free.get("/api/oms/positions").expect(200);
    assert_fields(&positions, &[("count", "1")]);
    assert_fields(
        &positions["positions"][0],
        &[
            ("quantity", "10"),
            ("stop_loss", "2430.00"),
            ("take_profit", "2491.00"),
            ("trailing", "null"),
            ("trailing_stop", "null"),
        ],
    );
    positions["positions"][0]["id"].as_u64().unwrap()
}

/// The exit that a socket hears of, which must be caused by this; everything heard up to it comes too.
fn exit_placed(hears: &mut Socket, cause: &str) -> (u64, Vec<Value>) {
    let mut heard = Vec::new();
    loop {
        heard.extend(hears.until("order:placed"));
        let data = &heard.last().unwrap()["data"];
        if data["cause"] == cause {
            return (id_of(data), heard);
        }
        assert_eq!(data["cause"], Value::Null, "{data}");
    }
}

/// What the table of orders holds under `metadata`, once the projector has come that far.
fn metadata_of(site: &Site, order: u64) -> Value {
    let file = site.data_dir().join("pinion.db");
    let text: String = wait_for("the exit's row", || {
        let database = rusqlite::Connection::open(&file).ok()?;
        database
            .query_row(
                "SELECT metadata FROM orders WHERE id = ?1 AND status = 'FILLED'",
                [i64::try_from(order).unwrap()],
                |row| row.get(0),
            )
            .ok()
    });
    serde_json::from_str(&text).unwrap()
}

/// The account is flat, and the position's last conditions are gone.
fn assert_closed(server: &Server, site: &Site, position: u64) {
    let mut free = server.client_of(site, "free");
    assert_fields(&free.get("/api/oms/positions").expect(200), &[("count", "0")]);
    assert_fields(&free.get("/api/oms/orders/active").expect(200), &[("count", "0")]);
    assert_fields(
        &free.get(&format!("/api/oms/positions/{position}")).expect(200),
        &[
            ("quantity", "0"),
            ("stop_loss", "null"),
            ("take_profit", "null"),
            ("trailing", "null"),
            ("trailing_stop", "null"),
        ],
    );
}

#[test]
fn a_stop_loss_closes_the_position_and_says_why() {
    let site = site();
    let server = site.start(QUIET);
    let position = open(&server, &site);
    let mut hears = server.socket_of(&site, "free");
    bid(&server, &site, 10, "2429.00");
    print(&server, &site, "2430.10");
    print(&server, &site, "2430.00");

    let (exit, heard) = exit_placed(&mut hears, "stop_loss");
    let fired = heard
        .iter()
        .rfind(|message| message["type"] == "position:conditions");
    let fired = &fired.expect("the conditions' end is told")["data"];
    let position_text = position.to_string();
    assert_fields(
        fired,
        &[
            ("symbol", "\"RELIANCE\""),
            ("position_id", &position_text),
            ("stop_loss", "null"),
            ("take_profit", "null"),
        ],
    );
    let reached = [("trigger_price", "2430.00"), ("print_price", "2430.00")];
    assert_fields(&fired["fired"], &reached);
    assert_fields(
        &hears.data_of("order:filled"),
        &[("order_id", &exit.to_string()), ("price", "2429.00")],
    );
    hears.until("position:closed");

    let mut free = server.client_of(&site, "free");
    let row = free.get(&format!("{ORDERS}/{exit}")).expect(200);
    assert_fields(
        &row,
        &[
            ("side", "\"SELL\""),
            ("quantity", "10"),
            ("order_type", "\"MARKET\""),
            ("status", "\"FILLED\""),
            ("average_price", "2429.00"),
            ("engine_made", "true"),
        ],
    );
    let cause = &row["cause"];
    assert_fields(
        cause,
        &[("kind", "\"stop_loss\""), ("position_id", &position_text)],
    );
    assert_fields(cause, &reached);
    assert!(cause["trade_id"].is_u64(), "{row}");
    assert_eq!(fired["fired"]["trade_id"], cause["trade_id"]);
    assert_eq!(metadata_of(&site, exit), json!({"cause": cause}));
    assert_closed(&server, &site, position);
}

#[test]
fn a_target_sells_at_its_price_and_ends_the_stop() {
    let site = site();
    let server = site.start(QUIET);
    let position = open(&server, &site);
    let mut hears = server.socket_of(&site, "free");
    print(&server, &site, "2491.00");
    let (exit, _) = exit_placed(&mut hears, "take_profit");
    let mut free = server.client_of(&site, "free");
    assert_fields(
        &free.get(&format!("{ORDERS}/{exit}")).expect(200),
        &[
            ("order_type", "\"LIMIT\""),
            ("price", "2491.00"),
            ("status", "\"OPEN\""),
        ],
    );
    // The stop is gone with it: a fall leaves the target where it is.
    assert_fields(
        &free.get(&format!("/api/oms/positions/{position}")).expect(200),
        &[("quantity", "10"), ("stop_loss", "null"), ("take_profit", "null")],
    );
    print(&server, &site, "2425.00");
    let active = free.get("/api/oms/orders/active").expect(200);
    assert_fields(&active, &[("count", "1")]);
    bid(&server, &site, 10, "2491.00");
    hears.until("position:closed");
    let row = free.get(&format!("{ORDERS}/{exit}")).expect(200);
    assert_fields(&row, &[("average_price", "2491.00"), ("status", "\"FILLED\"")]);
    assert_eq!(metadata_of(&site, exit)["cause"]["kind"], "take_profit");
    assert_closed(&server, &site, position);
}

#[test]
fn conditions_are_edited_and_a_trailing_stop_follows() {
    let site = site();
    let server = site.start(QUIET);
    let position = open(&server, &site);
    let path = format!("/api/oms/positions/{position}");
    let mut free = server.client_of(&site, "free");
    let mut hears = server.socket_of(&site, "free");

    let edited = free
        .put(
            &path,
            &json!({"stop_loss": 2420.04, "take_profit": null, "trailing": {"distance": 15.0}}),
        )
        .expect(200);
    assert_fields(
        &edited,
        &[
            ("position_id", &position.to_string()),
            ("stop_loss", "2420.10"),
            ("take_profit", "null"),
            ("trailing", r#"{"distance":15.00}"#),
            ("trailing_stop", "2435.00"),
            (
                "warnings",
                r#"["Rounded to the tick size, toward triggering earlier"]"#,
            ),
        ],
    );
    assert_fields(
        &hears.data_of("position:conditions"),
        &[
            ("trailing", r#"{"distance":15.00}"#),
            ("trailing_stop", "2435.00"),
            ("fired", "null"),
        ],
    );
    let shown = |stop: &str| {
        let mut free = server.client_of(&site, "free");
        let fields = [("trailing", r#"{"distance":15.00}"#), ("trailing_stop", stop)];
        assert_fields(&free.get(&path).expect(200), &fields);
        assert_fields(
            &free.get("/api/oms/positions").expect(200)["positions"][0],
            &fields,
        );
    };
    shown("2435.00");
    print(&server, &site, "2460.00");
    shown("2445.00");
    print(&server, &site, "2445.10");
    shown("2445.00");

    let explained = free.get(&format!("{path}/explain")).expect(200);
    assert_fields(&explained["position"], &[("trailing_stop", "2445.00")]);
    let lines = explained["arithmetic"].as_array().unwrap();
    let line = lines.iter().find(|line| line["name"] == "trailing_stop").unwrap();
    assert_fields(
        line,
        &[
            ("value", "2445.00"),
            ("formula", "\"best_price - distance\""),
            (
                "terms",
                r#"{"quantity":10,"best_price":2460.00,"distance":15.00}"#,
            ),
        ],
    );
    // A share instead of a distance begins anew at the last price: 1 % of 2445.10 is 24.45.
    let edited = free
        .put(&path, &json!({"trailing": {"percent": 1}, "take_profit": 2500}))
        .expect(200);
    assert_fields(
        &edited,
        &[
            ("stop_loss", "2420.10"),
            ("take_profit", "2500.00"),
            ("trailing", r#"{"percent":1.0}"#),
            ("trailing_stop", "2420.65"),
        ],
    );
    bid(&server, &site, 10, "2420.00");
    print(&server, &site, "2420.60");
    let (exit, _) = exit_placed(&mut hears, "trailing_stop");
    hears.until("position:closed");
    let row = free.get(&format!("{ORDERS}/{exit}")).expect(200);
    assert_fields(
        &row["cause"],
        &[
            ("kind", "\"trailing_stop\""),
            ("trigger_price", "2420.65"),
            ("print_price", "2420.60"),
        ],
    );
    assert_closed(&server, &site, position);
}

#[test]
fn conditions_that_cannot_be_are_refused_in_words() {
    let site = site();
    let server = site.start(QUIET);
    let position = open(&server, &site);
    let path = format!("/api/oms/positions/{position}");
    let mut free = server.client_of(&site, "free");
    let theirs = server
        .client_of(&site, "counter")
        .get("/api/oms/positions")
        .expect(200)["positions"][0]["id"]
        .clone();
    let theirs = format!("/api/oms/positions/{theirs}");
    for (path, body, status, text) in [
        ("/api/oms/positions/9999", json!({}), 404, "Position not found"),
        ("/api/oms/positions/x", json!({}), 404, "NOT_FOUND"),
        (&theirs, json!({"stop_loss": null}), 404, "Position not found"),
        (&path, json!([]), 400, "must be a JSON object"),
        (
            &path,
            json!({"stop_loss": "low"}),
            400,
            "stop_loss is not a decimal number",
        ),
        (
            &path,
            json!({"take_profit": -1}),
            400,
            "take_profit is out of range",
        ),
        (&path, json!({"trailing": 5}), 400, "trailing must be an object"),
        (
            &path,
            json!({"trailing": {}}),
            400,
            "trailing needs either distance or percent",
        ),
        (
            &path,
            json!({"trailing": {"distance": 1, "percent": 1}}),
            400,
            "trailing needs either",
        ),
        (
            &path,
            json!({"trailing": {"percent": 100}}),
            400,
            "percent must be below 100",
        ),
        (
            &path,
            json!({"trailing": {"percent": 0.001}}),
            400,
            "more than two decimals",
        ),
        (
            &path,
            json!({"stop_loss": 2491, "take_profit": 2491}),
            400,
            "losing side",
        ),
        (&path, json!({"stop_loss": 2495}), 400, "losing side"),
    ] {
        let answer = free.put(path, &body).expect(status);
        assert!(answer.to_string().contains(text), "{path} {body}: {answer}");
    }
    // Nothing of that changed anything.
    assert_fields(
        &free.get(&path).expect(200),
        &[
            ("stop_loss", "2430.00"),
            ("take_profit", "2491.00"),
            ("trailing", "null"),
        ],
    );
    // One that is crossed already fires at once; a flat position has none to edit.
    bid(&server, &site, 10, "2449.00");
    free.put(&path, &json!({"stop_loss": 2450})).expect(200);
    assert_closed(&server, &site, position);
    let flat = free.put(&path, &json!({"stop_loss": 2400})).expect_error(409);
    assert_eq!(flat, "Position is closed");
}

#[test]
fn what_waits_for_a_price_survives_a_kill() {
    let site = site();
    let server = site.start(QUIET);
    let position = open(&server, &site);
    let path = format!("/api/oms/positions/{position}");
    let mut free = server.client_of(&site, "free");
    free.put(&path, &json!({"trailing": {"distance": 20}}))
        .expect(200);
    print(&server, &site, "2470.00");
    print(&server, &site, "2455.00");
    let stop = json!({
        "symbol": "RELIANCE", "side": "SELL", "quantity": 4, "order_type": "SL-M", "trigger_price": 2452.0
    });
    let stop = id_of(&free.post(ORDERS, &stop).expect(201));
    let fields = [
        ("stop_loss", "2430.00"),
        ("take_profit", "2491.00"),
        ("trailing", r#"{"distance":20.00}"#),
        ("trailing_stop", "2450.00"),
    ];
    assert_fields(&free.get(&path).expect(200), &fields);
    server.kill();

    let server = site.start(QUIET);
    let mut free = server.client_of(&site, "free");
    assert_fields(&free.get(&path).expect(200), &fields);
    let mut hears = server.socket_of(&site, "free");
    bid(&server, &site, 4, "2451.00");
    print(&server, &site, "2452.00");
    assert_eq!(id_of(&hears.data_of("order:triggered")), stop);
    assert_fields(
        &free.get(&path).expect(200),
        &[("quantity", "6"), ("trailing_stop", "2450.00")],
    );
    bid(&server, &site, 6, "2449.00");
    print(&server, &site, "2450.00");
    let (exit, _) = exit_placed(&mut hears, "trailing_stop");
    hears.until("position:closed");
    assert_fields(
        &free.get(&format!("{ORDERS}/{exit}")).expect(200),
        &[("quantity", "6"), ("average_price", "2449.00")],
    );
    assert_closed(&server, &site, position);
    let hash = server.stop_with_hash();
    assert_eq!(site.replay().state_hash, hash);
}

/// Seconds since midnight in India.
fn second_of_day() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    (now + 19_800) % 86_400
}

#[test]
fn intraday_positions_are_squared_off_at_the_time_that_is_set() {
    let site = site();
    let server = site.start(QUIET);
    let position = open(&server, &site);
    bid(&server, &site, 10, "2449.00");
    server
        .client_of(&site, "free")
        .post(ORDERS, &limit("BUY", 1, "2400.00"))
        .expect(201);
    server.stop();

    // A square-off that was earlier than the start is not made up for: a machine too busy to start in time tries again.
    let accounts = fs::read_to_string(site.config_file()).unwrap();
    let server = (1..15)
        .find_map(|attempt| {
            let at = second_of_day() + 2 * attempt;
            let time = format!("{:02}:{:02}:{:02}", at / 3_600, at / 60 % 60, at % 60);
            site.configure(&format!(
                "{accounts}[session]\nsquare_off_derivatives = \"{time}\"\n"
            ));
            let server = site.start(QUIET);
            if second_of_day() < at {
                return Some(server);
            }
            server.stop();
            None
        })
        .expect("a start within 28 seconds");
    wait_for("the square-off", || {
        let mut free = server.client_of(&site, "free");
        (free.get("/api/oms/positions").expect(200)["count"] == 0).then_some(())
    });
    let mut free = server.client_of(&site, "free");
    let orders = free.get("/api/oms/orders").expect(200)["orders"].clone();
    let rows = orders.as_array().unwrap();
    let cancelled = rows.iter().find(|row| row["status"] == "CANCELLED").unwrap();
    assert_fields(cancelled, &[("limit_price", "2400.00"), ("cause", "null")]);
    let exit = rows.iter().find(|row| row["engine_made"] == true).unwrap();
    assert_fields(
        exit,
        &[("side", "\"SELL\""), ("quantity", "10"), ("status", "\"FILLED\"")],
    );
    assert_fields(
        &exit["cause"],
        &[
            ("kind", "\"square_off\""),
            ("position_id", &position.to_string()),
            ("trigger_price", "null"),
        ],
    );
    assert_eq!(
        metadata_of(&site, exit["id"].as_u64().unwrap())["cause"]["kind"],
        "square_off"
    );
    assert_closed(&server, &site, position);
    // An attempt that was over before this one saw it has squared off, too: then the time is still to come.
    let entry = limit("BUY", 1, "2400.00");
    wait_for("the end of entries", || {
        let verdict = free.post("/api/oms/validate-order", &entry).expect(200);
        (verdict["failed_check"] == "session").then_some(())
    });
    let refused = free.post(ORDERS, &entry).expect(400);
    assert_eq!(refused["failed_check"], "session", "{refused}");
}

/// The alerts of an account that say that a position has no stop-loss.
fn missing_stops(server: &Server, site: &Site) -> Vec<Value> {
    let alerts = server
        .client_of(site, "free")
        .get("/api/oms/risk/alerts?count=100")
        .expect(200);
    let mut alerts = alerts["alerts"].as_array().unwrap().clone();
    alerts.retain(|alert| alert["alert_type"] == "missing_stop_loss");
    alerts
}

/// The next alert that a socket hears of is that, of so many shares.
fn assert_told(hears: &mut Socket, shares: &str) -> Value {
    let mut alert = hears.data_of("risk:alert");
    // What is pushed names the account too.
    let account = alert.as_object_mut().unwrap().remove("account");
    assert_eq!(account, Some(json!("free")));
    assert_fields(
        &alert,
        &[
            ("severity", "\"WARNING\""),
            ("alert_type", "\"missing_stop_loss\""),
            ("message", "\"Position RELIANCE has no stop-loss\""),
        ],
    );
    let details = [("symbol", "\"RELIANCE\""), ("quantity", shares)];
    assert_fields(&alert["details"], &details);
    alert
}

#[test]
fn a_position_that_loses_its_stop_is_told_of() {
    let site = site();
    let server = site.start(QUIET);
    let position = open(&server, &site);
    let path = format!("/api/oms/positions/{position}");
    let mut free = server.client_of(&site, "free");
    let mut hears = server.socket_of(&site, "free");
    // A limit far away does not keep the stop from taking all ten; four of them find a buyer.
    let far = id_of(&free.post(ORDERS, &limit("SELL", 10, "2600.00")).expect(201));
    bid(&server, &site, 4, "2429.00");
    print(&server, &site, "2430.00");
    let (exit, _) = exit_placed(&mut hears, "stop_loss");
    assert_eq!(
        free.get(&format!("{ORDERS}/{far}")).expect(200)["status"],
        "CANCELLED"
    );
    let row = free.get(&format!("{ORDERS}/{exit}")).expect(200);
    assert_fields(&row, &[("status", "\"OPEN\""), ("filled_quantity", "4")]);
    assert_eq!(
        missing_stops(&server, &site),
        Vec::<Value>::new(),
        "its exit works"
    );
    free.delete(&format!("{ORDERS}/{exit}")).expect(200);
    let first = assert_told(&mut hears, "6");
    assert_eq!(missing_stops(&server, &site), std::slice::from_ref(&first));

    // With a stop again, a target that fills in part ends it.
    let edit = json!({"stop_loss": 2400, "take_profit": 2440});
    free.put(&path, &edit).expect(200);
    bid(&server, &site, 2, "2440.00");
    print(&server, &site, "2440.00");
    let (exit, _) = exit_placed(&mut hears, "take_profit");
    let second = assert_told(&mut hears, "4");
    assert_fields(
        &free.get(&path).expect(200),
        &[("quantity", "4"), ("stop_loss", "null"), ("take_profit", "null")],
    );
    // Once: also when its order goes, and nothing is set again by itself.
    free.delete(&format!("{ORDERS}/{exit}")).expect(200);
    print(&server, &site, "2380.00");
    assert_eq!(missing_stops(&server, &site), [first, second]);
    assert_fields(
        &free.get(&path).expect(200),
        &[("quantity", "4"), ("stop_loss", "null")],
    );
    let hash = server.stop_with_hash();
    assert_eq!(site.replay().state_hash, hash);
}
