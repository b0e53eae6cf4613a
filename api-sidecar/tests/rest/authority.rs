//! Who may see what, and what is not there.

use engine::Command;

use crate::floor::{ADMIN, COUNTER_TRADER, Floor, TRADER, sample_buy};

#[test]
fn an_account_sees_its_own_and_an_admin_any() {
    let mut floor = Floor::open();
    floor.trade();
    let count = |caller, path: &str| floor.ok(caller, path)["count"].as_u64();
    assert_eq!(count(TRADER, "/api/oms/orders"), Some(1));
    assert_eq!(
        count(ADMIN, "/api/oms/orders"),
        Some(1),
        "an admin's own by default"
    );
    assert_eq!(count(ADMIN, "/api/oms/orders?account=counter"), Some(1));
    assert_eq!(count(ADMIN, "/api/oms/orders?account=*"), Some(2));
    assert_eq!(
        count(TRADER, "/api/oms/orders?account=main"),
        Some(1),
        "its own by name"
    );

    let status = |caller, path: &str| {
        let reply = floor.get(caller, path);
        assert!(reply.status == 200 || !reply.json()["error"].as_str().unwrap().is_empty());
        reply.status
    };
    assert_eq!(status(TRADER, "/api/oms/orders/2"), 200);
    assert_eq!(status(COUNTER_TRADER, "/api/oms/orders/2"), 404, "not its own");
    assert_eq!(status(ADMIN, "/api/oms/orders/1"), 200);
    for path in [
        "orders",
        "orders/active",
        "positions",
        "trades",
        "risk/summary",
        "account",
    ] {
        assert_eq!(
            status(TRADER, &format!("/api/oms/{path}?account=counter")),
            403,
            "{path}"
        );
        assert_eq!(
            status(TRADER, &format!("/api/oms/{path}?account=*")),
            403,
            "{path}"
        );
        assert_eq!(
            status(ADMIN, &format!("/api/oms/{path}?account=nobody")),
            404,
            "{path}"
        );
    }
    assert_eq!(
        status(ADMIN, "/api/oms/risk/summary?account=*"),
        400,
        "about one account"
    );
}

#[test]
fn nobody_gets_in_without_the_gateways_word() {
    let floor = Floor::open();
    let reply = floor.ask("GET", None, "/api/oms/orders");
    assert_eq!(reply.status, 401);
    assert_eq!(floor.ask("GET", None, "/api/oms/health").status, 200);
}

#[test]
fn unknown_paths_answer_to_the_letter() {
    let mut floor = Floor::open();
    floor.apply(Command::NewOrder(sample_buy("")));
    for path in [
        "/api/oms/nothing",
        "/api/oms/orders/abc",
        "/api/oms/orders/-1",
        "/api/oms/orders/1.0",
        "/api/oms/orders/99999999999999999999999",
        "/api/oms/positions/x",
        "/api/oms/orders/",
        "/static/js/../js/oms-client.js",
        "/static/secret",
        "/etc/passwd",
    ] {
        let reply = floor.get(TRADER, path);
        assert_eq!(reply.status, 404, "{path}");
        assert_eq!(
            reply.body, r#"{"error":"NOT_FOUND","message":"The requested resource was not found"}"#,
            "{path}"
        );
    }
    let reply = floor.get(TRADER, "/api/oms/orders/77");
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (404, r#"{"error":"Order 77 not found"}"#)
    );
    assert_eq!(floor.get(TRADER, "/api/oms/positions/77").status, 404);
    assert_eq!(floor.get(TRADER, "/api/oms/%ff").status, 400);
    let reply = floor.ask("POST", Some(TRADER), "/api/oms/account");
    assert_eq!(
        (reply.status, reply.header("Allow")),
        (405, Some("GET, HEAD, OPTIONS"))
    );
}
