//! The kill switch: by hand and by itself, over restarts, until someone deactivates it.

use serde_json::json;

use crate::life_of_an_order::{id_of, limit, sample_order, trade};
use crate::support::json::assert_fields;
use crate::support::server::{COUNTER, FREE, QUIET, Site};

const ORDERS: &str = "/api/oms/orders";
const KILL: &str = "/api/oms/risk/kill-switch";
const REARM: &str = "/api/oms/risk/deactivate-kill-switch";
const SUMMARY: &str = "/api/oms/risk/summary";

#[test]
fn a_kill_stops_entries_until_it_is_deactivated_even_over_a_restart() {
    let site = Site::with_accounts(&[COUNTER]);
    let server = site.start(QUIET);
    trade(&server, &site);
    let mut main = server.client();
    let resting = id_of(&main.post(ORDERS, &sample_order()).expect(201));
    let mut hears = server.socket();
    let mut counter_hears = server.socket_of(&site, "counter");

    let reply = main
        .post(KILL, &json!({"reason": "drill <b>", "triggered_by": "ops"}))
        .expect(200);
    assert_fields(
        &reply,
        &[
            ("scope", "\"engine\""),
            ("state", "\"REDUCING\""),
            ("orders_cancelled", "1"),
        ],
    );
    let heard = hears.until("risk:kill_switch_triggered");
    let mut rest = hears.drain();
    let mut all = heard;
    all.append(&mut rest);
    let data_of = |kind: &str| {
        let found = all.iter().find(|message| message["type"] == kind);
        found.unwrap_or_else(|| panic!("no {kind} in {all:?}"))["data"].clone()
    };
    assert_fields(
        &data_of("risk:alert"),
        &[
            ("severity", "\"CRITICAL\""),
            ("alert_type", "\"kill_switch_triggered\""),
            ("message", "\"KILL SWITCH ACTIVATED: drill b\""),
        ],
    );
    assert_fields(
        &data_of("risk:kill_switch_triggered"),
        &[("reason", "\"drill b\"")],
    );
    assert!(data_of("risk:kill_switch_triggered")["timestamp"].is_string());
    assert_fields(&data_of("order:cancelled"), &[("order_id", &resting.to_string())]);
    counter_hears.data_of("risk:kill_switch_triggered");

    let mut server = server;
    for restarted in [false, true] {
        if restarted {
            server.stop();
            server = site.start(QUIET);
        }
        let (mut main, mut counter) = (server.client(), server.client_of(&site, "counter"));
        assert_fields(
            &main.get(SUMMARY).expect(200),
            &[("kill_switch_active", "true"), ("trading_state", "\"REDUCING\"")],
        );
        let refused = main.post(ORDERS, &sample_order()).expect(400);
        assert_fields(&refused, &[("failed_check", "\"circuit_breaker\"")]);
        let verdict = main.post("/api/oms/validate-order", &sample_order()).expect(200);
        assert_fields(
            &verdict,
            &[("is_valid", "false"), ("failed_check", "\"circuit_breaker\"")],
        );
        counter
            .post(ORDERS, &limit("SELL", 1, "2450.00"))
            .expect_error(400);
        // An exit passes: the counter is short 10.
        let exit = id_of(&counter.post(ORDERS, &limit("BUY", 1, "2440.00")).expect(201));
        counter.delete(&format!("{ORDERS}/{exit}")).expect(200);
    }

    let mut hears = server.socket();
    let reply = server
        .client()
        .post(REARM, &json!({"deactivated_by": "lead"}))
        .expect(200);
    assert_fields(&reply, &[("message", "\"Kill switch deactivated\"")]);
    let heard = hears.until("risk:kill_switch_deactivated");
    assert!(heard.last().unwrap()["data"]["timestamp"].is_string());
    let alerts = server.client().get("/api/oms/risk/alerts?count=100").expect(200);
    let kinds: Vec<&str> = alerts["alerts"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|alert| alert["alert_type"].as_str())
        .collect();
    assert_eq!(
        kinds,
        ["kill_switch_triggered", "kill_switch_deactivated"],
        "oldest first"
    );
    assert_fields(
        &server.client().get(SUMMARY).expect(200),
        &[("kill_switch_active", "false")],
    );
    server.client().post(ORDERS, &sample_order()).expect(201);
    // Again is no error.
    server.client().post(REARM, &json!({})).expect(200);
}

#[test]
fn a_traders_kill_is_the_own_accounts() {
    let site = Site::with_accounts(&[COUNTER, FREE]);
    let server = site.start(QUIET);
    let reply = server
        .client_of(&site, "counter")
        .post(KILL, &json!({}))
        .expect(200);
    assert_fields(&reply, &[("scope", "\"account\"")]);
    server
        .client_of(&site, "counter")
        .post(ORDERS, &limit("SELL", 1, "2460.00"))
        .expect_error(400);
    server
        .client_of(&site, "free")
        .post(ORDERS, &limit("SELL", 1, "2460.00"))
        .expect(201);
    assert_fields(
        &server.client().get(SUMMARY).expect(200),
        &[("kill_switch_active", "false")],
    );
    // Another trader cannot lift it; the account itself can.
    server
        .client_of(&site, "free")
        .post(REARM, &json!({}))
        .expect(200);
    server
        .client_of(&site, "counter")
        .post(ORDERS, &limit("SELL", 1, "2460.00"))
        .expect_error(400);
    server
        .client_of(&site, "counter")
        .post(REARM, &json!({}))
        .expect(200);
    server
        .client_of(&site, "counter")
        .post(ORDERS, &limit("SELL", 1, "2460.00"))
        .expect(201);
}

#[test]
fn a_halt_lets_only_cancels_through() {
    let site = Site::with_accounts(&[COUNTER]);
    let server = site.start(QUIET);
    trade(&server, &site);
    server
        .client_of(&site, "counter")
        .post(KILL, &json!({"state": "HALTED"}))
        .expect_error(403);
    server
        .client()
        .post(KILL, &json!({"state": "HALTED"}))
        .expect(200);
    let exit = limit("BUY", 1, "2440.00");
    server
        .client_of(&site, "counter")
        .post(ORDERS, &exit)
        .expect_error(400);
    server.client().post(REARM, &json!({})).expect(200);
    let order = id_of(&server.client_of(&site, "counter").post(ORDERS, &exit).expect(201));
    server
        .client_of(&site, "counter")
        .delete(&format!("{ORDERS}/{order}"))
        .expect(200);
}

#[test]
fn too_large_a_loss_kills_by_itself_and_not_again_after_rearming() {
    let site = Site::with_accounts(&[COUNTER, FREE]);
    let server = site.start(QUIET);
    let (mut main, mut counter, mut free) = (
        server.client(),
        server.client_of(&site, "counter"),
        server.client_of(&site, "free"),
    );
    let mut hears = server.socket();
    // Long 100 at 2450 with a balance of 100,000: at 2385 the loss is 6.5 %.
    let mut order = sample_order();
    order["quantity"] = json!(100);
    main.post(ORDERS, &order).expect(201);
    counter.post(ORDERS, &limit("SELL", 100, "2450.00")).expect(201);
    counter.post(ORDERS, &limit("BUY", 1, "2385.00")).expect(201);
    let printed = free.post(ORDERS, &limit("SELL", 1, "2385.00")).expect(201);
    assert_eq!(printed["status"], "FILLED");

    let reason = hears.data_of("risk:kill_switch_triggered")["reason"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(reason.starts_with("Daily loss limit exceeded: ₹6,5"), "{reason}");
    assert_fields(
        &main.get(SUMMARY).expect(200),
        &[("kill_switch_active", "true"), ("trading_state", "\"REDUCING\"")],
    );
    let refused = main.post(
        ORDERS,
        &json!({
            "symbol": "TCS", "side": "BUY", "quantity": 1, "price": 3500, "stop_loss": 3480
        }),
    );
    assert_eq!(refused.expect(400)["error"], "Order rejected");
    // Others go on.
    free.post(ORDERS, &limit("SELL", 1, "2400.00")).expect(201);

    main.post(REARM, &json!({})).expect(200);
    assert_fields(&main.get(SUMMARY).expect(200), &[("kill_switch_active", "false")]);
    // A further print at the same price changes nothing: the loss was taken note of.
    counter.post(ORDERS, &limit("BUY", 1, "2385.00")).expect(201);
    free.post(ORDERS, &limit("SELL", 1, "2385.00")).expect(201);
    assert_fields(&main.get(SUMMARY).expect(200), &[("kill_switch_active", "false")]);
}

#[test]
fn a_weaker_kill_answers_with_the_state_and_the_reason_that_hold() {
    let site = Site::with_accounts(&[COUNTER]);
    let mut server = site.start(QUIET);
    let halt = json!({"reason": "the exchange is down", "state": "HALTED"});
    let reply = server.client().post(KILL, &halt).expect(200);
    assert_fields(
        &reply,
        &[("message", "\"Kill switch activated\""), ("state", "\"HALTED\"")],
    );
    for restarted in [false, true] {
        if restarted {
            server.stop();
            server = site.start(QUIET);
        }
        let reply = server
            .client()
            .post(KILL, &json!({"reason": "another"}))
            .expect(200);
        assert_fields(
            &reply,
            &[
                ("message", "\"Kill switch was already active\""),
                ("state", "\"HALTED\""),
                ("reason", "\"the exchange is down\""),
            ],
        );
    }
    server.client().post(REARM, &json!({})).expect(200);
    let reply = server.client().post(KILL, &json!({"reason": "anew"})).expect(200);
    assert_fields(&reply, &[("state", "\"REDUCING\""), ("reason", "\"anew\"")]);
    server.stop();
}
