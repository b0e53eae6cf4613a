//! What an admin changes at run time, and what of it a restart keeps.

use serde_json::json;

use crate::life_of_an_order::sample_order;
use crate::support::http::Client;
use crate::support::server::{Account, QUIET, Site};

const LIMITS: &str = "/api/oms/risk/limits";
const CASH: &str = "/api/oms/account/cash";

const DESK: [Account; 2] = [
    Account {
        name: "main",
        balance: "1000000.00",
        profile: "dashboard",
        role: "admin",
    },
    Account {
        name: "trader",
        balance: "100000.00",
        profile: "dashboard",
        role: "trader",
    },
];

#[test]
fn a_limit_that_was_tightened_at_run_time_stays_tight() {
    let site = Site::with_accounts(&DESK);
    let server = site.start(QUIET);
    let (mut admin, mut trader) = (server.client_of(&site, "main"), server.client_of(&site, "trader"));
    let tighten = json!({"account": "trader", "limits": {"order_quantity_max": 5, "positions_max": 2}});
    let error = trader.put(LIMITS, &tighten).expect_error(403);
    assert_eq!(error, "Only an admin may change limits");
    trader.post("/api/oms/orders", &sample_order()).expect(201);
    trader.delete("/api/oms/orders/1").expect(200);

    let changed = admin.put(LIMITS, &tighten).expect(200);
    assert_eq!(changed["durable"], true);
    let seq = changed["effective_seq"].as_u64().unwrap();
    let refused = trader.post("/api/oms/orders", &sample_order()).expect(400);
    assert_eq!(refused["failed_check"], "quantity_limits");
    let in_force = trader.get(LIMITS).expect(200);
    assert_eq!(in_force["limits"]["order_quantity_max"], 5);
    assert_eq!(
        in_force["limits"]["daily_loss_max"].to_string(),
        "0.06",
        "the others stay"
    );
    admin
        .put(LIMITS, &json!({"account": "trader", "limits": {"max": 1}}))
        .expect_error(400);
    admin
        .put(
            LIMITS,
            &json!({"account": "nobody", "limits": {"positions_max": 1}}),
        )
        .expect_error(404);
    server.kill();

    // As the file was, and with a file that asks for more: neither loosens it.
    let text = std::fs::read_to_string(site.config_file()).unwrap();
    for looser in ["", "limits.order_quantity_max = 9000\n"] {
        site.configure(&format!("{text}{looser}"));
        let server = site.start(QUIET);
        let mut trader = server.client_of(&site, "trader");
        let limits = trader.get(LIMITS).expect(200);
        assert_eq!(limits["limits"]["order_quantity_max"], 5, "{looser}");
        assert_eq!(limits["limits"]["positions_max"], 2, "{looser}");
        let refused = trader.post("/api/oms/orders", &sample_order()).expect(400);
        assert_eq!(refused["failed_check"], "quantity_limits");
        server.stop();
    }
    assert!(site.replay().last_seq > seq);
}

#[test]
fn a_strategy_is_held_to_its_own_limits_across_restarts() {
    let site = Site::with_accounts(&DESK);
    let text = std::fs::read_to_string(site.config_file()).unwrap();
    // `trader` is the last account of the file.
    let strategies = "[accounts.strategies.2]\nname = \"Pairs\"\npositions_max = 1\n";
    site.configure(&format!("{text}{strategies}"));
    let server = site.start(QUIET);
    let (mut admin, mut trader) = (server.client_of(&site, "main"), server.client_of(&site, "trader"));
    let order_of = |strategy: u32| {
        let mut order = sample_order();
        order["strategy_id"] = json!(strategy);
        order
    };
    let tighten = json!({"account": "trader", "strategy_id": 2, "limits": {"order_quantity_max": 5}});
    trader.put(LIMITS, &tighten).expect_error(403);
    trader.post("/api/oms/orders", &order_of(2)).expect(201);
    trader.delete("/api/oms/orders/1").expect(200);
    let changed = admin.put(LIMITS, &tighten).expect(200);
    assert_eq!(changed["durable"], true);
    let seq = changed["effective_seq"].as_u64().unwrap();
    let of_account = json!({"account": "trader", "strategy_id": 2, "limits": {"mis_leverage": 1}});
    let answer = admin.put(LIMITS, &of_account).expect(400);
    assert_eq!(
        answer["details"],
        "mis_leverage is a limit of the whole account, not of a strategy"
    );

    // Another quantity at each start, because identical orders are counted.
    let check = |trader: &mut Client, quantity: u32| {
        let limits = trader.get(LIMITS).expect(200);
        assert_eq!(limits["limits"]["order_quantity_max"], 10_000);
        let strategy = &limits["strategies"][0];
        assert_eq!(strategy["strategy_id"], 2);
        assert_eq!(strategy["own"]["order_quantity_max"], 5);
        assert_eq!(strategy["own"]["positions_max"], 1);
        assert_eq!(strategy["own"]["price_sanity_max"], json!(null));
        assert_eq!(strategy["limits"]["order_quantity_max"], 5);
        assert_eq!(strategy["limits"]["price_sanity_max"].to_string(), "0.1");
        let refused = trader.post("/api/oms/orders", &order_of(2)).expect(400);
        assert_eq!(refused["failed_check"], "quantity_limits");
        assert_eq!(refused["reason"], "Quantity exceeds maximum: 10 > 5 allowed");
        let checked = trader.post("/api/oms/validate-order", &order_of(2)).expect(200);
        assert_eq!(checked["failed_check"], "quantity_limits");
        let mut order = order_of(1);
        order["quantity"] = json!(quantity);
        let placed = trader.post("/api/oms/orders", &order).expect(201);
        trader
            .delete(&format!("/api/oms/orders/{}", placed["order_id"]))
            .expect(200);
    };
    check(&mut trader, 6);
    server.kill();

    // Neither a restart nor a file that asks for more loosens it.
    for (quantity, looser) in [(7, ""), (8, "order_quantity_max = 9000\n")] {
        site.configure(&format!("{text}{strategies}{looser}"));
        let server = site.start(QUIET);
        check(&mut server.client_of(&site, "trader"), quantity);
        server.stop();
    }
    assert!(site.replay().last_seq > seq);
}

#[test]
fn cash_moves_the_balance_for_good() {
    let site = Site::with_accounts(&DESK);
    let server = site.start(QUIET);
    let (mut admin, mut trader) = (server.client_of(&site, "main"), server.client_of(&site, "trader"));
    let mut heard = server.socket_of(&site, "trader");
    heard.drain();
    trader
        .post(CASH, &json!({"amount": 1, "reason": "a gift"}))
        .expect_error(403);
    admin
        .post(CASH, &json!({"account": "trader", "amount": 1}))
        .expect_error(400);

    let take = json!({"account": "trader", "amount": -40000.50, "reason": "Withdrawal 17"});
    let answer = admin.post(CASH, &take).expect(200);
    assert_eq!(answer["balance"].to_string(), "59999.50");
    assert_eq!(
        heard.data_of("account:balance_updated")["balance"].to_string(),
        "59999.50"
    );
    let account = trader.get("/api/oms/account").expect(200);
    assert_eq!(account["balance"].to_string(), "59999.50");
    assert_eq!(
        account["peak"].to_string(),
        "59999.50",
        "a withdrawal is no drawdown"
    );
    assert_eq!(
        admin.get("/api/oms/account").expect(200)["balance"].to_string(),
        "1000000.00"
    );
    server.kill();

    let server = site.start(QUIET);
    let account = server
        .client_of(&site, "trader")
        .get("/api/oms/account")
        .expect(200);
    assert_eq!(account["balance"].to_string(), "59999.50");
    server.stop();
}

#[test]
fn a_lost_heartbeat_cancels_what_was_sent() {
    const HEARTBEAT: &str = "/api/oms/heartbeat";
    let site = Site::with_accounts(&DESK);
    let server = site.start(QUIET);
    let mut trader = server.client_of(&site, "trader");
    let mut socket = server.socket_of(&site, "trader");
    socket.drain();
    for wrong in [
        json!({"timeout_s": 0.05}),
        json!({"timeout_s": 3601}),
        json!({"timeout_s": "5"}),
    ] {
        trader.post(HEARTBEAT, &wrong).expect_error(400);
    }
    // Armed, beaten from the other edge, and disarmed: a promise that nobody has to keep.
    let armed = trader.post(HEARTBEAT, &json!({})).expect(200);
    assert_eq!(
        (&armed["timeout_s"], &armed["durable"]),
        (&json!(5.0), &json!(true))
    );
    let deadline = armed["deadline"].as_str().unwrap().to_owned();
    socket.say(r#"{"type":"heartbeat","id":"beat","data":{"timeout_s":60}}"#);
    let beaten = socket.next();
    assert_eq!(
        (&beaten["id"], &beaten["data"]["timeout_s"]),
        (&json!("beat"), &json!(60.0)),
        "{beaten}"
    );
    assert!(beaten["data"]["deadline"].as_str().unwrap() > deadline.as_str());
    let account = trader.get("/api/oms/account").expect(200);
    assert_eq!(account["heartbeat"]["timeout_s"], json!(60.0));
    assert_eq!(account["heartbeat"]["deadline"], beaten["data"]["deadline"]);
    let disarmed = trader.post(HEARTBEAT, &json!({"timeout_s": 0})).expect(200);
    let account = trader.get("/api/oms/account").expect(200);
    assert_eq!(account["heartbeat"], json!(null));
    assert_eq!(
        (&disarmed["timeout_s"], &disarmed["deadline"]),
        (&json!(0.0), &json!(null))
    );

    // Only a machine that takes five seconds for the above has let the first one lapse, when there was nothing to cancel.
    let alerts = |trader: &mut Client| {
        let alerts = trader.get("/api/oms/risk/alerts").expect(200);
        alerts["alerts"].as_array().unwrap().clone()
    };
    let lapsed = alerts(&mut trader).len();

    // Four of ten bought, and an exit at a limit of the trader's own.
    let mut short = sample_order();
    short["side"] = json!("SELL");
    short["quantity"] = json!(4);
    (short["stop_loss"], short["take_profit"]) = (json!(2470.0), json!(2409.0));
    let exit = json!({"symbol": "RELIANCE", "side": "SELL", "quantity": 2, "price": "2480.00"});
    trader.post("/api/oms/orders", &sample_order()).expect(201);
    server.client().post("/api/oms/orders", &short).expect(201);
    trader.post("/api/oms/orders", &exit).expect(201);
    socket.say(r#"{"type":"heartbeat","data":{"timeout_s":0.1}}"#);
    for order in [1, 3] {
        let cancelled = socket.data_of("order:cancelled");
        assert_eq!(cancelled["order_id"], order);
    }
    let orders = trader.get("/api/oms/orders/active").expect(200);
    assert_eq!(orders["orders"], json!([]));
    // What was protected stays protected.
    let positions = trader.get("/api/oms/positions").expect(200);
    let position = &positions["positions"][0];
    assert_eq!(position["quantity"], 4, "{positions}");
    assert_eq!(position["stop_loss"].to_string(), "2430.00", "{positions}");
    let alerts = alerts(&mut trader);
    assert_eq!(alerts.len(), lapsed + 1, "{alerts:?}");
    assert!(
        alerts.iter().all(|alert| alert["alert_type"] == "dead_man"),
        "{alerts:?}"
    );
    server.stop();
}
