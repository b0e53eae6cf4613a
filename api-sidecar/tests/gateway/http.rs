//! HTTP/1.1 conformance and request smuggling (RFC 9112), on a raw socket.

use super::support::{Client, Fixture, ORDER, Response, Setup, request};

fn rest_echo() -> Setup {
    Setup {
        rest: Some(Box::new(|request, out| {
            let path = request.split(' ').nth(1).unwrap();
            let body = format!(r#"{{"path":"{path}"}}"#);
            let head_only = request.starts_with("HEAD ");
            let text = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
                body.len(),
                if head_only { "" } else { &body }
            );
            out.write_all(text.as_bytes()).unwrap();
        })),
        ..Setup::default()
    }
}

/// Sends raw bytes, reads as many answers as there are expected statuses, and checks that the connection then is as
/// `closes` says.
fn exchange(fixture: &Fixture, bytes: &str, statuses: &[u16], closes: bool) -> Vec<Response> {
    let mut client = fixture.connect();
    client.send(bytes);
    let responses: Vec<Response> = statuses
        .iter()
        .map(|&status| {
            let response = client.response(bytes.starts_with("HEAD"));
            assert_eq!(response.status, status, "{bytes:.200}\n{response:?}");
            if status >= 400 && !response.body.is_empty() {
                let error = response.json()["error"].as_str().map(str::to_owned);
                assert!(error.is_some_and(|error| !error.is_empty()), "{response:?}");
                assert_eq!(response.field("content-type"), "application/json");
            }
            response
        })
        .collect();
    if closes {
        assert!(client.is_closed(), "{bytes:.200}");
    } else {
        client.send(&request("GET", "/api/oms/health", "", ""));
        assert_eq!(client.response(false).status, 200, "{bytes:.200}");
    }
    responses
}

#[test]
fn requests_are_framed_as_the_standard_says() {
    let fixture = Fixture::start(rest_echo());
    let get = |version: &str, fields: &str| format!("GET /api/oms/health HTTP/{version}\r\n{fields}\r\n");
    let post = |fields: &str, body: &str| {
        format!("POST /api/oms/orders HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n{body}")
    };
    let local = "Host: localhost\r\n";
    let long_target = format!("GET /{} HTTP/1.1\r\n{local}\r\n", "a".repeat(9_000));
    let long_head = format!("GET / HTTP/1.1\r\n{local}A: {}\r\n\r\n", "a".repeat(17_000));
    let many_fields = format!("GET / HTTP/1.1\r\n{local}{}\r\n", "A: b\r\n".repeat(70));
    for (bytes, statuses, closes) in [
        (get("1.1", local), &[200][..], false),
        (
            get("1.1", "Host: localhost\r\nConnection: close\r\n"),
            &[200],
            true,
        ),
        (get("1.0", local), &[200], true),
        (
            get("1.0", "Host: localhost\r\nConnection: keep-alive\r\n"),
            &[200],
            false,
        ),
        (format!("\r\n\r\n{}", get("1.1", local)), &[200], false),
        (get("1.1", ""), &[400], true),
        (get("2.0", local), &[505], true),
        (
            "BREW /pot HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            &[501],
            true,
        ),
        ("\u{16}\u{3}\u{1}garbage\r\n\r\n".to_owned(), &[400], true),
        (long_target, &[414], true),
        (long_head, &[431], true),
        (many_fields, &[431], true),
        (post("Content-Length: 65537\r\n", ""), &[413], true),
        (
            post("Expect: 100-continue\r\nContent-Length: 65537\r\n", ""),
            &[413],
            true,
        ),
        (post("Expect: tea\r\nContent-Length: 1\r\n", ""), &[417], true),
        (post("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"), &[411], true),
        (post("Transfer-Encoding: gzip\r\n", ""), &[501], true),
        (
            "GET http://localhost/api/oms/health HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            &[200],
            false,
        ),
        (
            "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            &[200],
            false,
        ),
        (
            "GET /api/oms/he%61lth HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            &[200],
            false,
        ),
        (
            "GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            &[400],
            false,
        ),
        (
            "GET /static/../x HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            &[404],
            false,
        ),
        (
            "DELETE /api/oms/orders/x HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            &[404],
            false,
        ),
        (
            "PATCH /api/oms/orders HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            &[405],
            false,
        ),
        (
            "HEAD /api/oms/validate-order HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            &[405],
            false,
        ),
        (
            "GET /ws/oms HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            &[426],
            false,
        ),
        // A body that nobody wants is still taken off the wire.
        (
            "GET /api/oms/health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody".to_owned(),
            &[200],
            false,
        ),
    ] {
        exchange(&fixture, &bytes, statuses, closes);
    }
}

#[test]
fn no_request_can_be_smuggled() {
    let fixture = Fixture::start(rest_echo());
    let hidden = "POST /api/oms/risk/kill-switch HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
    let chunked_hidden = format!("0\r\n\r\n{hidden}");
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding:\u{b}chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 200\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 5 \u{b}\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length\u{0}: 5\r\n",
        " Content-Length: 5\r\n",
        "A: b\r\n Content-Length: 200\r\n",
        "A: b\rContent-Length: 200\r\n",
    ] {
        let bytes =
            format!("POST /api/oms/orders HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n{chunked_hidden}");
        let mut client = fixture.connect();
        client.send(&bytes);
        let response = client.response(false);
        assert!((400..=501).contains(&response.status), "{fields:?}: {response:?}");
        assert_eq!(response.field("connection"), "close", "{fields:?}");
        assert!(client.is_closed(), "{fields:?}");
    }
    assert_eq!(*fixture.relayed.lock().unwrap(), Vec::<String>::new());
}

#[test]
fn options_and_methods_are_told() {
    let fixture = Fixture::start(rest_echo());
    let options = fixture.call("OPTIONS", "/api/oms/orders/7", "");
    assert_eq!(options.field("allow"), "GET, HEAD, PUT, DELETE, OPTIONS");
    assert_eq!(options.field("access-control-allow-methods"), "");
    let refused = fixture.call("PATCH", "/api/oms/orders/7", "");
    assert_eq!(
        (refused.status, refused.field("allow")),
        (405, "GET, HEAD, PUT, DELETE, OPTIONS")
    );
    let unknown = fixture.call("DELETE", "/api/oms/orders/none", "");
    assert_eq!(
        unknown.body,
        r#"{"error":"NOT_FOUND","message":"The requested resource was not found"}"#
    );
    let head = fixture.call("HEAD", "/api/oms/health", "");
    assert_eq!((head.status, head.field("content-length")), (200, "26"));
}

#[test]
fn a_request_may_arrive_byte_by_byte() {
    let fixture = Fixture::start(rest_echo());
    let mut client = fixture.connect();
    for byte in request("POST", "/api/oms/orders", "", ORDER).chars() {
        client.send(&byte.to_string());
    }
    assert_eq!(client.response(false).status, 201);
}

#[test]
fn pipelined_answers_keep_their_order_across_lanes() {
    let fixture = Fixture::start(rest_echo());
    let mut client = fixture.connect();
    let mut bytes = String::new();
    let mut expected = Vec::new();
    for round in 0..60 {
        bytes += &request("POST", "/api/oms/orders", "", ORDER);
        expected.push((201, round + 1));
        bytes += &request("POST", "/api/oms/orders", "", "{}");
        expected.push((400, 0));
        if round % 20 == 7 {
            bytes += &request("GET", "/api/oms/health", "", "");
            expected.push((200, 0));
            bytes += &request("DELETE", "/api/oms/orders/x", "", "");
            expected.push((404, 0));
        }
    }
    client.send(&bytes);
    for (status, order) in expected {
        let response = client.response(false);
        assert_eq!(response.status, status, "{response:?}");
        if status == 201 {
            assert_eq!(response.json()["order_id"], order);
        }
    }
}

#[test]
fn a_client_that_stops_sending_still_gets_its_answers() {
    let fixture = Fixture::start(rest_echo());
    let mut client = fixture.connect();
    let mut bytes = request("POST", "/api/oms/orders", "", ORDER).repeat(3);
    bytes += &request("GET", "/api/oms/health", "", "");
    bytes += "GET /half-a-requ";
    client.send(&bytes);
    client.finish_sending();
    let statuses: Vec<u16> = (0..4).map(|_| client.response(false).status).collect();
    assert_eq!(statuses, [201, 201, 201, 200]);
    assert!(client.is_closed());
}

#[test]
fn a_client_that_asks_first_is_told_to_continue() {
    let fixture = Fixture::start(rest_echo());
    let mut client = fixture.connect();
    let head = |length: usize| {
        format!(
            "POST /api/oms/orders HTTP/1.1\r\nHost: localhost\r\nExpect: 100-Continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    // The word comes after the answer to what was sent before it.
    client.send(&(request("POST", "/api/oms/orders", "", ORDER) + &head(ORDER.len())));
    assert_eq!(client.response(false).status, 201);
    assert_eq!(client.response(false).status, 100);
    client.send(ORDER);
    assert_eq!(client.response(false).status, 201);
    // Who does not wait for the word does not get it.
    client.send(&(head(ORDER.len()) + ORDER));
    assert_eq!(client.response(false).status, 201);
}

#[test]
fn a_client_that_does_not_read_is_not_read_either() {
    let fixture = Fixture::start(rest_echo());
    let mut client = fixture.connect();
    // More answers than the queue and the socket's buffers hold, asked for without reading one.
    let count = 60_000;
    let bad = request("POST", "/api/oms/orders", "", "{}");
    let writer = {
        let stream = client.stream.get_ref().try_clone().unwrap();
        std::thread::spawn(move || {
            let mut writer = Client::new(stream);
            for _ in 0..count / 100 {
                writer.send(&bad.repeat(100));
            }
        })
    };
    // Others are served meanwhile.
    assert_eq!(fixture.call("POST", "/api/oms/orders", ORDER).status, 201);
    for _ in 0..count {
        assert_eq!(client.response(false).status, 400);
    }
    writer.join().unwrap();
}
