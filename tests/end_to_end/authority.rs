//! Who may do what: keys, roles, and the trust that loopback has.

use serde_json::json;

use crate::life_of_an_order::{id_of, limit, sample_order};
use crate::support::http::Client;
use crate::support::json::assert_fields;
use crate::support::server::{Account, COUNTER, FREE, QUIET, Server, Site};
use crate::support::websocket::Socket;

const VIEWER: Account = Account {
    name: "viewer",
    balance: "100000.00",
    profile: "dashboard",
    role: "viewer",
};

const SUMMARY: &str = "/api/oms/risk/summary";

/// A loopback client without a key is `main`, an admin.
fn is_main(client: &mut Client) -> bool {
    match client.get("/api/oms/account").status {
        200 => true,
        401 => false,
        other => panic!("{other}"),
    }
}

#[test]
fn loopback_is_trusted_until_something_says_otherwise() {
    let site = Site::new();
    let server = site.start(QUIET);
    let port = server.address().port();
    assert!(is_main(&mut server.client()));
    for host in [
        "localhost",
        "127.0.0.1",
        "[::1]",
        &format!("127.0.0.1:{port}"),
        "LOCALHOST:1",
    ] {
        assert!(is_main(&mut server.client().with_header("Host", host)), "{host}");
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "192.168.1.7",
        "127.0.0.2",
    ] {
        assert!(!is_main(&mut server.client().with_header("Host", host)), "{host}");
    }
    for header in [
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Whatever",
        "X-Real-IP",
        "Via",
    ] {
        let mut client = server.client().with_header(header, "127.0.0.1");
        assert!(!is_main(&mut client), "{header}");
        client.post("/api/oms/orders", &sample_order()).expect_error(401);
        client
            .post("/api/oms/risk/kill-switch", &json!({}))
            .expect_error(401);
        let refused = Socket::open(server.address(), &[(header, "127.0.0.1")]);
        assert!(refused.is_err_and(|error| error.contains("401")), "{header}");
    }
    // What a health check and a browser need is open to everyone.
    let mut stranger = server.client().with_header("X-Forwarded-For", "10.0.0.1");
    assert_eq!(stranger.get("/api/oms/health").status, 200);
    assert_eq!(stranger.get("/").status, 200);
    // Headers that only the gateway may set do nothing in a client's hands.
    let mut pretender = server
        .client()
        .with_header("X-Forwarded-For", "10.0.0.1")
        .with_header("X-Pinion-Account", "0")
        .with_header("X-Pinion-Role", "admin");
    pretender.get(SUMMARY).expect_error(401);
}

#[test]
fn a_wrong_key_is_never_helped_by_loopback() {
    let site = Site::with_accounts(&[COUNTER]);
    let server = site.start(QUIET);
    let key = site.key("counter").to_owned();
    let account = |client: &mut Client| client.get("/api/oms/account");
    assert_fields(
        &account(&mut server.client().with_key(&key)).expect(200),
        &[("account", "\"counter\"")],
    );
    let bearer = format!("Bearer {key}");
    let mut client = server.client().with_header("Authorization", &bearer);
    assert_fields(&account(&mut client).expect(200), &[("account", "\"counter\"")]);
    // A key works wherever the request comes from.
    let mut client = server
        .client()
        .with_key(&key)
        .with_header("X-Forwarded-For", "10.0.0.1");
    assert_fields(&account(&mut client).expect(200), &[("account", "\"counter\"")]);
    let swapped: String = key.chars().rev().collect();
    for wrong in ["", "x", &key[1..], &swapped, &format!("{key}0")] {
        let answer = account(&mut server.client().with_key(wrong));
        assert_eq!(answer.status, 401, "{wrong}");
    }
    account(&mut server.client().with_header("Authorization", "Basic eDp5")).expect_error(401);
    account(
        &mut server
            .client()
            .with_key(&key)
            .with_header("Authorization", &bearer),
    )
    .expect_error(401);
    let refused = Socket::open(server.address(), &[("X-API-Key", "wrong")]);
    assert!(refused.is_err_and(|error| error.contains("401")));
}

#[test]
fn loopback_trust_can_be_turned_off() {
    let site = Site::new();
    site.configure("[auth]\nloopback_account = \"\"\n");
    let server = site.start(QUIET);
    assert!(!is_main(&mut server.client()));
    server
        .client()
        .post("/api/oms/orders", &sample_order())
        .expect_error(401);
}

#[test]
fn a_page_of_another_site_cannot_act() {
    let site = Site::new();
    site.configure("[server]\nallowed_origins = [\"https://desk.example\"]\n");
    let server = site.start(QUIET);
    let port = server.address().port();
    let own = [
        format!("http://localhost:{port}"),
        format!("http://127.0.0.1:{port}"),
    ];
    let from = |origin: &str| server.client().with_header("Origin", origin);
    for (origin, quantity) in own
        .iter()
        .map(String::as_str)
        .chain(["https://desk.example"])
        .zip(1..)
    {
        let mut order = sample_order();
        order["quantity"] = json!(quantity);
        let order = id_of(&from(origin).post("/api/oms/orders", &order).expect(201));
        from(origin)
            .delete(&format!("/api/oms/orders/{order}"))
            .expect(200);
        assert!(
            Socket::open(server.address(), &[("Origin", origin)]).is_ok(),
            "{origin}"
        );
    }
    for origin in [
        "http://evil.example",
        "null",
        "http://localhost:1",
        "http://localhost.evil.example",
    ] {
        from(origin)
            .post("/api/oms/orders", &sample_order())
            .expect_error(403);
        from(origin)
            .post("/api/oms/risk/kill-switch", &json!({}))
            .expect_error(403);
        let refused = Socket::open(server.address(), &[("Origin", origin)]);
        assert!(refused.is_err_and(|error| error.contains("403")), "{origin}");
    }
    let stats = server.client().get("/api/oms/stats/today").expect(200);
    assert_fields(&stats, &[("order_count", "3")]);
}

#[test]
fn roles_bound_what_an_account_may_do() {
    let site = Site::with_accounts(&[COUNTER, FREE, VIEWER]);
    let server = site.start(QUIET);
    let of = |name: &str| server.client_of(&site, name);
    let order = id_of(
        &of("counter")
            .post("/api/oms/orders", &limit("SELL", 1, "2460.00"))
            .expect(201),
    );
    let path = format!("/api/oms/orders/{order}");

    // A viewer reads, and asks.
    assert_eq!(of("viewer").get(SUMMARY).status, 200);
    of("viewer")
        .post("/api/oms/validate-order", &sample_order())
        .expect(200);
    of("viewer")
        .post("/api/oms/orders", &sample_order())
        .expect_error(403);
    of("viewer").delete(&path).expect_error(403);
    of("viewer").put(&path, &json!({"quantity": 2})).expect_error(403);
    for action in [
        "orders/cancel-all",
        "positions/close",
        "risk/kill-switch",
        "risk/deactivate-kill-switch",
    ] {
        of("viewer")
            .post(&format!("/api/oms/{action}"), &json!({"symbol": "RELIANCE"}))
            .expect_error(403);
    }
    assert_refused_on_websocket(&server, &site);

    // A trader acts for the own account alone, and does not learn of others' orders.
    of("free").get(&path).expect_error(404);
    assert!([403, 404].contains(&of("free").delete(&path).status));
    assert!([403, 404].contains(&of("free").put(&path, &json!({"quantity": 2})).status));
    of("free")
        .get("/api/oms/orders?account=counter")
        .expect_error(403);
    of("free").get("/api/oms/orders?account=*").expect_error(403);
    of("free")
        .get("/api/oms/risk/summary?account=counter")
        .expect_error(403);
    of("free")
        .post("/api/oms/risk/kill-switch", &json!({"scope": "engine"}))
        .expect_error(403);
    assert_fields(
        &of("counter").get(&path).expect(200),
        &[("status", "\"OPEN\""), ("quantity", "1")],
    );

    // An admin acts for every account.
    let mut main = server.client();
    assert_fields(&main.get(&path).expect(200), &[("account", "\"counter\"")]);
    assert_fields(
        &main.get("/api/oms/orders?account=counter").expect(200),
        &[("count", "1")],
    );
    main.delete(&path).expect(200);
    assert_fields(
        &of("counter").get(&path).expect(200),
        &[("status", "\"CANCELLED\"")],
    );
}

fn assert_refused_on_websocket(server: &Server, site: &Site) {
    let mut socket = server.socket_of(site, "viewer");
    for kind in ["order:place", "order:cancel", "order:modify", "orders:cancel_all"] {
        socket.say(&json!({"type": kind, "id": 1, "data": {"order_id": 1}}).to_string());
        let reply = socket.until("reply").pop().unwrap();
        assert_fields(&reply, &[("status", "403"), ("id", "1")]);
    }
}
