//! What an admin changes at run time, and what of it a restart keeps.

use serde_json::json;

use crate::life_of_an_order::sample_order;
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
