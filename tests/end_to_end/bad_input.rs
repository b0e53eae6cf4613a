//! Nothing that a client can send ends the process or goes unexplained: every row is answered with JSON that says
//! why, and the next client is served as if nothing had been.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use crate::life_of_an_order::sample_order;
use crate::support::http::exchange;
use crate::support::json::assert_fields;
use crate::support::server::{QUIET, Server, Site};
use crate::support::{PATIENCE, Random};

const ORDERS: &str = "/api/oms/orders";
const ORDER_1: &str = "/api/oms/orders/1";
const VALIDATE: &str = "/api/oms/validate-order";
const CHARGES: &str = "/api/oms/charges";
const KILL: &str = "/api/oms/risk/kill-switch";
const REARM: &str = "/api/oms/risk/deactivate-kill-switch";
const CANCEL_ALL: &str = "/api/oms/orders/cancel-all";
const CLOSE: &str = "/api/oms/positions/close";

/// Bodies that no route which needs a body takes.
fn hopeless_bodies() -> Vec<Vec<u8>> {
    [
        &b""[..],
        b" ",
        b"{",
        b"}",
        b"[]",
        b"[1,2]",
        b"null",
        b"true",
        b"7",
        b"\"text\"",
        b"NaN",
        b"{]",
        b"{\"symbol\"}",
        b"{\"symbol\":}",
        b"{\"symbol\":\"RELIANCE\",}",
        b"{'symbol':'RELIANCE'}",
        b"{\"symbol\":NaN}",
        b"{\"symbol\":Infinity}",
        b"{\"symbol\":\"RELIANCE\"} trailing",
        b"{\"symbol\":\"\\x\"}",
        b"\xef\xbb\xbf{}x",
        b"\xff\xfe{\x00}\x00",
        b"{\"symbol\":\"\xff\"}",
        b"\x00",
        b"symbol=RELIANCE&side=BUY",
        b"<order/>",
    ]
    .map(<[u8]>::to_vec)
    .into()
}

/// The sample order with one field as this JSON text.
fn order_with(field: &str, text: &str) -> Vec<u8> {
    let mut order = sample_order();
    order.as_object_mut().unwrap().remove(field);
    let whole = order.to_string();
    format!("{},\"{field}\":{text}}}", whole.strip_suffix('}').unwrap()).into_bytes()
}

/// One field of an order wrong at a time.
fn bad_order_fields() -> Vec<(&'static str, &'static str)> {
    let never_numbers = [
        "\"abc\"",
        "true",
        "[]",
        "{}",
        "[1]",
        "\"NaN\"",
        "\"1 0\"",
        "\"0x10\"",
        "\"\u{0967}\"",
    ];
    let mut rows: Vec<(&str, &str)> = Vec::new();
    for field in [
        "quantity",
        "price",
        "stop_loss",
        "take_profit",
        "disclosed_quantity",
        "min_quantity",
        "strategy_id",
    ] {
        rows.extend(never_numbers.map(|text| (field, text)));
        rows.extend(["-1", "\"-1\"", "1e400", "99999999999999999999999999"].map(|text| (field, text)));
    }
    rows.extend(
        [
            "0",
            "0.5",
            "-0",
            "null",
            "\"\"",
            "1e-9",
            "2147483648",
            "4294967296",
        ]
        .map(|text| ("quantity", text)),
    );
    rows.extend(["0", "null", "\"\"", "2450.001", "1e-9", "42949672.96"].map(|text| ("price", text)));
    for field in ["symbol", "side", "order_type", "product", "validity", "exchange"] {
        rows.extend(
            [
                "7",
                "true",
                "[]",
                "{}",
                "\"\\u0000\"",
                "\"NO SUCH\"",
                "\"' OR 1=1 --\"",
            ]
            .map(|text| (field, text)),
        );
    }
    rows.extend([
        ("symbol", "\"\""),
        ("symbol", "null"),
        ("symbol", "\"reliance\""),
        ("symbol", "\"<script>\""),
        ("symbol", "\"AAAAAAAAAAAAAAAAAAAAA\""),
        ("symbol", "\"\u{0420}ELIANCE\""),
        ("side", "\"\""),
        ("side", "null"),
        ("side", "\"HOLD\""),
        ("order_type", "\"STOP\""),
        ("product", "\"NRML\""),
        ("validity", "\"GTC\""),
        ("validity", "\"GTD\""),
        ("good_till", "\"2026-08-03T09:15:00Z\""),
        ("post_only", "1"),
        ("post_only", "\"true\""),
        ("metadata", "[]"),
        ("metadata", "\"x\""),
        ("metadata", "7"),
        ("metadata", "{\"a\":\"\\ud800\"}"),
        ("metadata", "{\"a\":\"\\u0000\"}"),
        ("metadata", "{\"\\u0000\":1}"),
        ("client_order_id", "7"),
        ("client_order_id", "{}"),
        ("client_order_id", "\"a\\nb\""),
        ("client_order_id", "\"\\u0000\""),
        (
            "client_order_id",
            "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
        ),
        ("strategy_id", "0"),
        ("strategy_id", "4294967296"),
    ]);
    rows
}

/// A method, a path and a body, and what the status must be: 4 for any of the four hundreds.
type Row = (&'static str, String, Vec<u8>, u16);

fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut add = |method, path: &str, body: &[u8], status| {
        rows.push((method, path.to_owned(), body.to_vec(), status));
    };
    for body in hopeless_bodies() {
        add("POST", ORDERS, &body, 400);
        add("POST", VALIDATE, &body, 400);
        add("POST", CLOSE, &body, 400);
        add("PUT", ORDERS, &body, 400);
        add("DELETE", ORDERS, &body, 400);
        add("PUT", ORDER_1, &body, 400);
        let blank = body.iter().all(u8::is_ascii_whitespace);
        if !blank {
            add("POST", CANCEL_ALL, &body, 400);
            add("POST", KILL, &body, 400);
            add("POST", REARM, &body, 400);
            add("POST", "/api/oms/positions/1/close", &body, 400);
        }
    }
    // Bodies that pass but for a byte that is not UTF-8.
    for (method, path, body) in [
        ("POST", ORDERS, order_with("metadata", r#"{"note":"@"}"#)),
        ("POST", VALIDATE, order_with("metadata", r#"{"note":"@"}"#)),
        ("POST", CHARGES, order_with("metadata", r#"{"note":"@"}"#)),
        ("PUT", ORDER_1, br#"{"quantity":5,"note":"@"}"#.to_vec()),
        ("POST", CLOSE, br#"{"symbol":"RELIANCE","note":"@"}"#.to_vec()),
        ("POST", CANCEL_ALL, br#"{"note":"@"}"#.to_vec()),
        ("POST", KILL, br#"{"note":"@"}"#.to_vec()),
        ("POST", REARM, br#"{"note":"@"}"#.to_vec()),
    ] {
        let at = body.iter().position(|&byte| byte == b'@').unwrap();
        // Never a part of UTF-8; half of a character; half of one beyond the basic plane.
        for bytes in [&b"\xff"[..], b"\xc3", b"\xed\xa0\x80"] {
            add(method, path, &[&body[..at], bytes, &body[at + 1..]].concat(), 400);
        }
    }
    for (field, text) in bad_order_fields() {
        add("POST", ORDERS, &order_with(field, text), 400);
    }
    // Half of a character outside the basic plane.
    for path in [ORDERS, VALIDATE, CLOSE, CANCEL_ALL] {
        add("POST", path, br#"{"symbol":"\ud800"}"#, 400);
    }
    let deep = format!("{}1{}", "{\"a\":".repeat(5_000), "}".repeat(5_000));
    for path in [ORDERS, VALIDATE, CLOSE] {
        add("POST", path, deep.as_bytes(), 400);
    }
    for field in ["symbol", "quantity", "metadata", "client_order_id"] {
        add("POST", ORDERS, &order_with(field, &deep), 400);
    }
    // The same field twice.
    add("POST", ORDERS, &order_with("quantity", "1,\"quantity\":2"), 400);
    for (body, status) in [
        (r#"{"symbol":7}"#, 400),
        (r#"{"symbol":"NOSUCH"}"#, 404),
        (r#"{"symbol":"RELIANCE"}"#, 404),
        (r#"{"symbol":"RELIANCE","quantity":-1}"#, 4),
        (r#"{"symbol":"RELIANCE","product":"X"}"#, 400),
        (r#"{"symbol":"RELIANCE","account":"nobody"}"#, 404),
    ] {
        add("POST", CLOSE, body.as_bytes(), status);
    }
    for (body, status) in [
        (r#"{"account":7}"#, 400),
        (r#"{"account":"nobody"}"#, 404),
        (r#"{"side":"UP"}"#, 400),
        (r#"{"symbol":"<b>"}"#, 400),
        (r#"{"symbol":"NOSUCH"}"#, 404),
        (r#"{"strategy_id":"x"}"#, 400),
    ] {
        add("POST", CANCEL_ALL, body.as_bytes(), status);
    }
    for body in [
        r#"{"scope":"galaxy"}"#,
        r#"{"scope":7}"#,
        r#"{"scope":"strategy"}"#,
        r#"{"state":"NORMAL"}"#,
        // The account is of no concern to the whole engine, and has to be a name all the same.
        r#"{"scope":"engine","account":7}"#,
        r#"{"scope":"engine","account":["main"]}"#,
        r#"{"scope":"engine","account":{"name":"main"}}"#,
        r#"{"scope":"engine","account":true}"#,
        r#"{"flatten":"yes"}"#,
        r#"{"reason":{}}"#,
        r#"{"triggered_by":[1]}"#,
    ] {
        add("POST", KILL, body.as_bytes(), 400);
    }
    add("POST", KILL, br#"{"account":"nobody"}"#, 404);
    add("POST", REARM, br#"{"deactivated_by":7}"#, 400);
    for (body, status) in [
        (r#"{"quantity":-1}"#, 400),
        (r#"{"quantity":"x"}"#, 400),
        (r#"{"price":"x"}"#, 400),
        (r#"{"price":2450.001}"#, 400),
        (r#"{"quantity":5}"#, 404),
    ] {
        add("PUT", ORDER_1, body.as_bytes(), status);
    }
    unknown_things(&mut add);
    rows
}

/// Ids, paths, methods and parameters that name nothing.
fn unknown_things(add: &mut impl FnMut(&'static str, &str, &[u8], u16)) {
    let one = br#"{"quantity":1}"#;
    for id in [
        "999",
        "0",
        "99999999999999999999999",
        "-1",
        "+1",
        "1.5",
        "x",
        "1%2f2",
        "%00",
        "%ff",
        "1;2",
        "..%2f1",
        "\u{7f}",
    ] {
        let escaped = id.replace('\u{7f}', "%7f");
        for (method, path) in [
            ("GET", format!("/api/oms/orders/{escaped}")),
            ("PUT", format!("/api/oms/orders/{escaped}")),
            ("DELETE", format!("/api/oms/orders/{escaped}")),
            ("POST", format!("/api/oms/orders/{escaped}/cancel")),
            ("GET", format!("/api/oms/positions/{escaped}")),
            ("POST", format!("/api/oms/positions/{escaped}/close")),
            ("GET", format!("/api/oms/depth/{escaped}")),
        ] {
            add(method, &path, if method == "PUT" { one } else { b"" }, 404);
        }
    }
    for path in [
        "/api/oms/nowhere",
        "/api/oms/",
        "/api/oms",
        "/api",
        "/nowhere",
        "/static/nowhere.js",
        "/static/../Cargo.toml",
        "/static/%2e%2e/%2e%2e/etc/passwd",
        "/../../etc/passwd",
        "//etc/passwd",
        "/api/oms/orders/1/2/3/4/5/6/7/8/9",
        "/api/oms/orders/1/cancel/now",
        "/static/js/oms-client.js%00.html",
        "/.env",
    ] {
        add("GET", path, b"", 404);
    }
    for (method, path) in [
        ("PATCH", ORDERS),
        ("POST", ORDER_1),
        ("PATCH", ORDER_1),
        ("GET", CANCEL_ALL),
        ("GET", VALIDATE),
        ("GET", KILL),
        ("GET", REARM),
        ("POST", "/"),
        ("POST", "/api/oms/positions"),
        ("DELETE", "/api/oms/risk/summary"),
        ("POST", "/api/oms/orders/active"),
        ("POST", "/api/oms/health"),
        ("POST", "/ws/oms"),
    ] {
        add(method, path, b"", 405);
    }
    for query in [
        "risk/alerts?count=x",
        "risk/alerts?count=-1",
        "risk/alerts?count=1.5",
        "risk/alerts?count=%00",
        "risk/alerts?count=99999999999999999999999",
        "orders?status=x",
        "orders?limit=-1",
        "orders?cursor=x",
        "orders?from=x",
        "orders?to=2026-13-45",
        "orders?strategy=-1",
        "trades?order=x",
        "trades?limit=%ff",
        "positions?closed=1&cursor=x",
        "depth/RELIANCE?levels=x",
        "depth/RELIANCE?levels=0",
        // Twice the same is twice.
        "orders?limit=5&limit=5",
        "orders?limit=5&l%69mit=6",
        "orders/active?account=main&account=*",
        "positions?symbol=SBIN&symbol=SBIN",
        "trades?order=1&limit=5&order=2",
        "risk/alerts?count=5&count=5",
        "depth/RELIANCE?levels=5&levels=5",
    ] {
        add("GET", &format!("/api/oms/{query}"), b"", 400);
    }
    for path in [
        "orders",
        "positions",
        "trades",
        "risk/summary",
        "risk/alerts",
        "stats/today",
        "account",
    ] {
        add("GET", &format!("/api/oms/{path}?account=nobody"), b"", 404);
    }
    add("GET", "/api/oms/orders/%zz", b"", 400);
    // Not an upgrade.
    add("GET", "/ws/oms", b"", 426);
}

#[track_caller]
fn assert_status(expected: u16, found: u16, what: &str) {
    let right = if expected < 10 {
        found / 100 == expected
    } else {
        found == expected
    };
    assert!(right, "{what}: {found}, not {expected}");
}

#[test]
fn every_bad_request_is_refused_with_a_reason() {
    let site = Site::new();
    let mut server = site.start(QUIET);
    let mut client = server.client();
    for (at, (method, path, body, status)) in rows().into_iter().enumerate() {
        let shown = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
        let what = format!("row {at}: {method} {path} {shown}");
        let answer = client
            .try_send(method, &path, &body)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_status(
            status,
            answer.status,
            &format!("{what}: {}", String::from_utf8_lossy(&answer.body)),
        );
        let error = answer.json()["error"].as_str().map(str::len);
        assert!(error.is_some_and(|length| length > 0), "{what}: no error");
        // The next client is served.
        assert_eq!(server.client().get("/api/oms/health").status, 200, "{what}");
    }
    server.assert_well();
    let stats = server.client().get("/api/oms/stats/today").expect(200);
    assert_fields(&stats, &[("trade_count", "0"), ("position_count", "0")]);
    let active = server.client().get("/api/oms/orders/active").expect(200);
    assert_fields(&active, &[("count", "0")]);
    server.client().post(ORDERS, &sample_order()).expect(201);
}

/// Requests that no client library would send.
fn raw_requests() -> Vec<(Vec<u8>, u16)> {
    let post = |fields: &str, body: &str| {
        format!("POST {ORDERS} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n{body}").into_bytes()
    };
    let order = sample_order().to_string();
    let length = order.len();
    let mut rows = vec![
        (post("Content-Length: -1\r\n", &order), 400),
        (post("Content-Length: +5\r\n", &order), 400),
        (post("Content-Length: 0x10\r\n", &order), 400),
        (post("Content-Length: 1e3\r\n", &order), 400),
        (post("Content-Length: 99999999999999\r\n", &order), 413),
        (
            post("Content-Length: 99999999999999999999999999\r\n", &order),
            413,
        ),
        (post("Content-Length: 1048576\r\n", &"x".repeat(1 << 20)), 413),
        (
            post(
                &format!("Content-Length: {length}\r\nContent-Length: 0\r\n"),
                &order,
            ),
            400,
        ),
        (
            post(&format!("Content-Length: {length}, {length}\r\n"), &order),
            400,
        ),
        (
            post("Transfer-Encoding: chunked\r\n", "5\r\n{\"a\":\r\n0\r\n\r\n"),
            411,
        ),
        (
            post(
                &format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"),
                &order,
            ),
            400,
        ),
        (post("Transfer-Encoding: gzip\r\n", ""), 501),
        (post("Expect: miracles\r\nContent-Length: 2\r\n", "{}"), 417),
        (post(" folded: x\r\n", ""), 400),
        (post("No colon\r\n", ""), 400),
        (post("A: b\0c\r\n", ""), 400),
        (post(&format!("Big: {}\r\n", "y".repeat(100_000)), ""), 431),
        (post(&"X: y\r\n".repeat(1_000), ""), 431),
        (b"GET /api/oms/health HTTP/1.1\r\n\r\n".to_vec(), 400),
        (
            b"GET /api/oms/health HTTP/2.0\r\nHost: localhost\r\n\r\n".to_vec(),
            505,
        ),
        (
            b"GET /api/oms/health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_vec(),
            400,
        ),
        (b"GET /api/oms/health\r\nHost: localhost\r\n\r\n".to_vec(), 400),
        (b"BREW /pot HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(), 501),
        (
            b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
            501,
        ),
        (b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(), 400),
        (
            b"GET ftp://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
            400,
        ),
        (b"GET /a#b HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(), 400),
        (b"GET /\x01 HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(), 400),
        (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(), 400),
        (b"\r\n\r\nnonsense\r\n\r\n".to_vec(), 400),
        (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03hello TLS\r\n\r\n".to_vec(),
            400,
        ),
        (
            format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(10_000)).into_bytes(),
            414,
        ),
    ];
    let upgrade = |fields: &str| {
        format!("GET /ws/oms HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{fields}\r\n")
            .into_bytes()
    };
    rows.extend([
        (upgrade(""), 426),
        (upgrade("Sec-WebSocket-Version: 13\r\n"), 400),
        (
            upgrade("Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
            426,
        ),
        (
            upgrade("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n"),
            400,
        ),
    ]);
    rows
}

#[test]
fn malformed_framing_is_refused_with_a_reason() {
    let site = Site::new();
    let mut server = site.start(QUIET);
    for (at, (bytes, status)) in raw_requests().into_iter().enumerate() {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
        let what = format!("row {at}: {shown:?}");
        let answer =
            exchange(server.address(), &bytes, false).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_status(status, answer.status, &what);
        assert!(
            !answer.json()["error"].as_str().unwrap_or_default().is_empty(),
            "{what}"
        );
        server.assert_well();
    }
    let stats = server.client().get("/api/oms/stats/today").expect(200);
    assert_fields(&stats, &[("order_count", "0")]);
}

/// A second request hidden in what might be the first one's body is never acted on.
#[test]
fn no_request_is_smuggled() {
    let site = Site::new();
    let mut server = site.start(QUIET);
    let hidden = format!("POST {KILL} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{{}}");
    for fields in [
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 0\r\nContent-Length: 200\r\n",
        "Content-Length: 0, 200\r\n",
        "Content-Length:\r\n",
        "Content-Length : 200\r\n",
        "Transfer-Encoding: xchunked\r\n",
    ] {
        let bytes =
            format!("GET /api/oms/positions HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n0\r\n\r\n{hidden}");
        let answer = exchange(server.address(), bytes.as_bytes(), false).unwrap();
        assert!(answer.status >= 400, "{fields}");
        let summary = server.client().get("/api/oms/risk/summary").expect(200);
        assert_fields(&summary, &[("kill_switch_active", "false")]);
    }
    server.assert_well();
}

#[test]
fn clients_that_vanish_leave_no_trace() {
    let site = Site::new();
    let mut server = site.start(QUIET);
    let whole = format!(
        "POST {ORDERS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}",
        sample_order().to_string().len(),
        sample_order()
    );
    // Every prefix of a good request, and then nothing; only the whole one is acted on.
    for end in (1..whole.len()).step_by(7) {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(&whole.as_bytes()[..end]).unwrap();
        drop(stream);
    }
    server.assert_well();
    let stats = server.client().get("/api/oms/stats/today").expect(200);
    assert_fields(&stats, &[("order_count", "0")]);
}

#[test]
fn random_bytes_end_nothing() {
    let seed = 7;
    let mut random = Random::new(seed);
    let site = Site::new();
    let mut server = site.start(QUIET);
    let template = format!(
        "POST {ORDERS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n{{\"symbol\":\"RELIANCE\"}}"
    );
    for _ in 0..300 {
        let mut bytes = template.clone().into_bytes();
        for _ in 0..=random.below(8) {
            let at = usize::try_from(random.below(bytes.len() as u64)).unwrap();
            bytes[at] = u8::try_from(random.below(256)).unwrap();
        }
        // Whatever comes, it is an answer or an end of the connection, not silence.
        if let Err(error) = exchange(server.address(), &bytes, true) {
            assert!(
                matches!(
                    error.kind(),
                    std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset
                ),
                "seed {seed}: {error} for {:?}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }
    server.assert_well();
}

#[test]
fn websocket_nonsense_is_ignored_or_refused() {
    let site = Site::new();
    let mut server = site.start(QUIET);
    let mut socket = server.socket();
    let deep = "[".repeat(20_000);
    for text in [
        "",
        " ",
        "null",
        "7",
        "\"x\"",
        "[]",
        "{}",
        "{",
        "}",
        "NaN",
        "{\"type\":null}",
        "{\"type\":7}",
        "{\"type\":\"nonsense\"}",
        "{\"type\":[\"ping\"]}",
        "{\"type\":\"subscribe\"}",
        "\u{0}",
        "{\"type\":\"subscribe\",\"events\":7}",
        "{\"type\":\"subscribe\",\"events\":[7]}",
        "{\"type\":\"subscribe\",\"events\":[\"\\ud800\"]}",
        "{\"type\":\"ping\",\"type\":\"ping\"}",
        &deep,
    ] {
        socket.say(text);
        assert_eq!(socket.drain(), Vec::<serde_json::Value>::new(), "{text:.80}");
    }
    for kind in ["order:place", "order:modify", "order:cancel", "order:validate"] {
        for data in [
            "null",
            "7",
            "[]",
            "{}",
            "\"x\"",
            r#"{"symbol":7}"#,
            r#"{"order_id":"x"}"#,
            r#"{"order_id":1,"client_order_id":"a"}"#,
        ] {
            socket.say(&format!(r#"{{"type":"{kind}","id":3,"data":{data}}}"#));
            let reply = socket.until("reply").pop().unwrap();
            assert_fields(
                &reply,
                &[
                    ("request", &json!(kind).to_string()),
                    ("id", "3"),
                    ("status", "400"),
                ],
            );
            assert!(reply["data"]["error"].is_string(), "{reply}");
        }
        socket.say(&format!(r#"{{"type":"{kind}"}}"#));
        let reply = socket.until("reply").pop().unwrap();
        assert_fields(&reply, &[("id", "null"), ("status", "400")]);
    }
    socket.say(r#"{"type":"order:cancel","data":{"order_id":-5}}"#);
    assert_fields(&socket.until("reply").pop().unwrap(), &[("status", "404")]);
    server.assert_well();
}

/// Frames as bytes, after a good handshake: each must end the connection, with a close frame.
#[test]
fn broken_websocket_frames_close_the_connection() {
    let site = Site::new();
    let mut server = site.start(QUIET);
    let masked = |first: u8, payload: &[u8]| {
        let mut frame = vec![first, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0];
        frame.extend_from_slice(payload);
        frame
    };
    let huge = [&[0x81, 0xff][..], &u64::MAX.to_be_bytes(), &[0; 4]].concat();
    let large = [&[0x81, 0xff][..], &(1_u64 << 20).to_be_bytes(), &[0; 4]].concat();
    for (name, frame, code) in [
        ("an unmasked frame", vec![0x81, 0x02, b'{', b'}'], 1002),
        ("a reserved opcode", masked(0x83, b"x"), 1002),
        ("a reserved bit", masked(0xc1, b"x"), 1002),
        ("a continuation of nothing", masked(0x80, b"x"), 1002),
        ("a fragmented ping", masked(0x09, b"x"), 1002),
        ("text that is not UTF-8", masked(0x81, b"\xff\xfe"), 1007),
        ("a frame of 2^64 bytes", huge, 1009),
        ("a frame of a megabyte", large, 1009),
    ] {
        let mut stream = upgrade(&server);
        stream.write_all(&frame).unwrap();
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        // A server's frames are short and not masked; the last one is the close.
        let close = said.windows(4).rfind(|window| window[0] == 0x88);
        let found = close.map(|window| u16::from_be_bytes([window[2], window[3]]));
        assert_eq!(found, Some(code), "{name}: {said:?}");
        server.assert_well();
    }
}

/// A connection after its handshake and greeting.
fn upgrade(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(
            b"GET /ws/oms HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .unwrap();
    let mut heard = Vec::new();
    let mut byte = [0];
    while !heard.ends_with(b"Connected to OMS WebSocket\"}") {
        stream.read_exact(&mut byte).unwrap();
        heard.push(byte[0]);
    }
    stream
}
