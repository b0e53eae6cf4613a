//! Who may do what, from where.

use api_sidecar::gateway::{Gateway, GatewayError};

use super::support::{Fixture, ORDER, Setup, request, settings};

fn rest_ok() -> Setup {
    Setup {
        rest: Some(Box::new(|_, out| {
            out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                .unwrap();
        })),
        ..Setup::default()
    }
}

const ORDERS: (&str, &str) = ("POST", "/api/oms/orders");
const VALIDATE: (&str, &str) = ("POST", "/api/oms/validate-order");
const POSITIONS: (&str, &str) = ("GET", "/api/oms/positions");
const HEALTH: (&str, &str) = ("GET", "/api/oms/health");
const PAGE: (&str, &str) = ("GET", "/");
const ENGINE_KILL: (&str, &str) = ("POST", "/api/oms/risk/kill-switch");

/// A row: header lines, and the status of each of the six requests above.
fn check(fixture: &Fixture, host: &str, fields: &str, expected: [u16; 6]) {
    let requests = [ORDERS, VALIDATE, POSITIONS, HEALTH, PAGE, ENGINE_KILL];
    let found = requests.map(|(method, path)| {
        let body = match path {
            "/api/oms/risk/kill-switch" => r#"{"scope":"engine"}"#,
            _ if method == "POST" => ORDER,
            _ => "",
        };
        let text = request(method, path, fields, body).replace("Host: localhost", &format!("Host: {host}"));
        let mut client = fixture.connect();
        client.send(&text);
        let response = client.response(false);
        if response.status == 401 {
            assert_eq!(response.field("www-authenticate"), "Bearer");
        }
        response.status
    });
    assert_eq!(found, expected, "{host} {fields}");
}

#[test]
fn authority_is_a_matrix() {
    let fixture = Fixture::start(rest_ok());
    let admin = [201, 200, 200, 200, 200, 200];
    let trader = [201, 200, 200, 200, 200, 403];
    let viewer = [403, 200, 200, 200, 200, 403];
    let nobody = [401, 401, 401, 200, 200, 401];
    check(&fixture, "localhost", "", admin);
    check(&fixture, "127.0.0.1:8050", "", admin);
    check(&fixture, "[::1]", "", admin);
    check(&fixture, "localhost", "X-API-Key: admin-key\r\n", admin);
    check(&fixture, "localhost", "X-API-Key: trader-key\r\n", trader);
    check(
        &fixture,
        "localhost",
        "Authorization: Bearer viewer-key\r\n",
        viewer,
    );
    check(&fixture, "anything.example", "X-API-Key: trader-key\r\n", trader);
    // A wrong key is never helped by where it comes from.
    check(&fixture, "localhost", "X-API-Key: wrong\r\n", nobody);
    check(&fixture, "localhost", "X-API-Key: \r\n", nobody);
    check(&fixture, "localhost", "Authorization: Basic dTpw\r\n", nobody);
    check(
        &fixture,
        "localhost",
        "X-API-Key: admin-key\r\nX-API-Key: admin-key\r\n",
        nobody,
    );
    // A proxy or a foreign name in front takes the trust away.
    for forwarded in [
        "Forwarded: for=1.2.3.4",
        "X-Forwarded-For: 1.2.3.4",
        "X-Real-IP: 1.2.3.4",
        "Via: 1.1 x",
    ] {
        check(&fixture, "localhost", &format!("{forwarded}\r\n"), nobody);
    }
    check(&fixture, "desk.example", "", nobody);
    check(&fixture, "localhost.desk.example", "", nobody);
}

#[test]
fn loopback_trust_can_be_turned_off() {
    let fixture = Fixture::start(Setup {
        loopback_account: "",
        ..rest_ok()
    });
    check(&fixture, "localhost", "", [401, 401, 401, 200, 200, 401]);
    check(
        &fixture,
        "localhost",
        "X-API-Key: trader-key\r\n",
        [201, 200, 200, 200, 200, 403],
    );
}

#[test]
fn a_page_of_another_site_cannot_act() {
    let fixture = Fixture::start(Setup {
        allowed_origins: vec!["https://desk.example".to_owned()],
        ..rest_ok()
    });
    let own = format!("Origin: http://localhost:{}\r\n", fixture.address.port());
    check(&fixture, "localhost", &own, [201, 200, 200, 200, 200, 200]);
    check(
        &fixture,
        "localhost",
        "Origin: https://evil.example\r\n",
        [403, 403, 200, 200, 200, 403],
    );
    check(
        &fixture,
        "localhost",
        "Origin: null\r\n",
        [403, 403, 200, 200, 200, 403],
    );
    let listed = "Origin: https://desk.example\r\n";
    check(&fixture, "localhost", listed, [201, 200, 200, 200, 200, 200]);

    let preflight =
        |origin: &str| fixture.call_with("OPTIONS", "/api/oms/orders", &format!("Origin: {origin}\r\n"), "");
    let allowed = preflight("https://desk.example");
    assert_eq!(
        allowed.field("access-control-allow-origin"),
        "https://desk.example"
    );
    assert!(
        allowed
            .field("access-control-allow-headers")
            .contains("X-API-Key")
    );
    assert_eq!(
        preflight("https://evil.example").field("access-control-allow-origin"),
        ""
    );
    let answer = fixture.call_with("GET", "/api/oms/positions", listed, "");
    assert_eq!(
        answer.field("access-control-allow-origin"),
        "https://desk.example"
    );
    let answer = fixture.call_with(
        "GET",
        "/api/oms/positions",
        "Origin: https://evil.example\r\n",
        "",
    );
    assert_eq!(answer.field("access-control-allow-origin"), "");
}

#[test]
fn a_port_open_to_other_hosts_needs_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let mut open = settings(
        api_sidecar::gateway::AckMode::Durable,
        dir.path().join("rest.sock"),
        Vec::new(),
        "main",
    );
    open.listen = "0.0.0.0:0".parse().unwrap();
    assert!(Gateway::bind(open.clone()).is_ok());
    open.auth = api_sidecar::auth::AuthTable::new(Vec::new(), "").unwrap();
    assert!(matches!(Gateway::bind(open), Err(GatewayError::OpenToAll(_))));
}
