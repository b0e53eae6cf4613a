//! Requests that are not of the order lane: written anew for the REST service, answered anew for the client.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use super::support::{Client, Fixture, ORDER, RestScript, Setup, request};

fn answering(script: impl Fn(&str, &mut dyn Write) + Send + Sync + 'static) -> Fixture {
    Fixture::start(Setup {
        rest: Some(Box::new(script) as RestScript),
        ..Setup::default()
    })
}

#[test]
fn a_request_is_written_anew() {
    let fixture = answering(|_, out| {
        out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            .unwrap();
    });
    assert_eq!(fixture.call("POST", "/api/oms/orders", ORDER).status, 201);
    let fields = "X-API-Key: viewer-key\r\nCookie: a=b\r\nX-Pinion-Role: admin\r\nx-pinion-account: 0\r\nAccept: text/csv\r\n";
    let answer = fixture.call_with("GET", "/api/oms/tr%61des?limit=5", fields, "");
    assert_eq!((answer.status, answer.body.as_str()), (200, "{}"));
    assert_eq!(
        *fixture.relayed.lock().unwrap(),
        [
            "GET /api/oms/trades?limit=5 HTTP/1.1\r\nHost: pinion\r\nConnection: close\r\naccept: text/csv\r\n\
          X-Pinion-Role: viewer\r\nX-Pinion-Account: 2\r\nX-Pinion-Account-Name: watch\r\nX-Pinion-Min-Seq: 1\r\n\r\n"
        ]
    );
    let body = r#"{"amount":5}"#;
    assert_eq!(fixture.call("POST", "/api/oms/cash", body).status, 200);
    let relayed = fixture.relayed.lock().unwrap().last().cloned().unwrap();
    assert!(
        relayed.ends_with(&format!("Content-Length: 12\r\n\r\n{body}")),
        "{relayed}"
    );
}

#[test]
fn every_framing_of_an_answer_arrives_whole() {
    let fixture = answering(|request, out| {
        let head = "HTTP/1.1 200 OK\r\nSet-Cookie: x=y\r\nContent-Type: text/plain\r\nETag: \"e\"\r\n";
        let answer = match request.split(' ').nth(1).unwrap() {
            "/fixed" => format!("{head}Content-Length: 5\r\n\r\nhello"),
            "/empty" => format!("{head}Content-Length: 0\r\n\r\n"),
            "/chunked" => format!("{head}Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
            "/until-close" => format!("{head}Connection: close\r\n\r\nhello"),
            "/none" => "HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\n\r\n".to_owned(),
            _ => "HTTP/1.1 404 Not Found\r\nContent-Length: 13\r\n\r\n{\"error\":\"x\"}".to_owned(),
        };
        // In small pieces, so that every state of the reader is met.
        for piece in answer.as_bytes().chunks(7) {
            out.write_all(piece).unwrap();
            out.flush().unwrap();
        }
    });
    for (path, status, body) in [
        ("/fixed", 200, "hello"),
        ("/empty", 200, ""),
        ("/chunked", 200, "hello"),
        ("/until-close", 200, "hello"),
        ("/other", 404, "{\"error\":\"x\"}"),
    ] {
        // Twice on one connection: the first answer ended where it should.
        let mut client = fixture.connect();
        for _ in 0..2 {
            client.send(&request("GET", path, "", ""));
            let answer = client.response(false);
            assert_eq!((answer.status, answer.body.as_str()), (status, body), "{path}");
            assert_eq!(answer.field("set-cookie"), "");
        }
        // A 1.0 client knows no chunks; the end of the connection is the end of the body.
        client.send(&format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n"));
        let answer = client.response(false);
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (status, body),
            "{path} 1.0"
        );
        assert_eq!(answer.field("transfer-encoding"), "");
        assert!(client.is_closed());
    }
    let mut client = fixture.connect();
    client.send(&request("GET", "/none", "If-None-Match: \"e\"\r\n", ""));
    assert_eq!(client.response(true).status, 304);
    client.send(&request("GET", "/fixed", "", ""));
    assert_eq!(client.response(false).body, "hello");
}

#[test]
fn a_service_that_fails_is_an_error_or_a_broken_answer_and_never_a_wrong_one() {
    let fixture = answering(|request, out| {
        let answer: &[u8] = match request.split(' ').nth(1).unwrap() {
            "/silent" => b"",
            "/nonsense" => b"nonsense\r\n\r\n",
            "/short" => b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
            "/bad-chunk" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX",
            _ => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        };
        out.write_all(answer).unwrap();
    });
    for path in ["/silent", "/nonsense"] {
        let answer = fixture.call("GET", path, "");
        assert_eq!(
            (answer.status, answer.json()["code"].as_str()),
            (503, Some("read_service")),
            "{path}"
        );
    }
    for path in ["/short", "/bad-chunk"] {
        let mut client = fixture.connect();
        client.send(&request("GET", path, "", ""));
        assert_eq!(client.head().status, 200);
        let mut rest = Vec::new();
        let _ = std::io::Read::read_to_end(&mut client.stream, &mut rest);
        assert!(!rest.ends_with(b"0\r\n\r\n") && rest.len() < 50, "{path}");
    }
    assert_eq!(fixture.call("GET", "/fine", "").status, 200);
}

#[test]
fn without_a_service_reads_are_refused_and_orders_are_not() {
    let fixture = Fixture::start(Setup::default());
    let answer = fixture.call("GET", "/api/oms/positions", "");
    assert_eq!((answer.status, answer.field("retry-after")), (503, "1"));
    assert_eq!(fixture.call("POST", "/api/oms/orders", ORDER).status, 201);
}

#[test]
fn reads_have_a_bound_and_orders_pass_them() {
    let open = Arc::new(AtomicBool::new(false));
    let waiting = Arc::new(AtomicUsize::new(0));
    let (gate, count) = (Arc::clone(&open), Arc::clone(&waiting));
    let fixture = answering(move |_, out| {
        count.fetch_add(1, Ordering::AcqRel);
        while !gate.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    });
    let read = request("GET", "/api/oms/positions", "", "");
    let fill = |clients: &mut Vec<Client>, most: usize, address: [u8; 4]| {
        while clients.len() < most {
            let mut client = fixture.connect_from(address);
            client.send(&read);
            clients.push(client);
        }
        while waiting.load(Ordering::Acquire) < most {
            std::thread::sleep(Duration::from_millis(1));
        }
        // One more of the same address.
        let mut client = fixture.connect_from(address);
        client.send(&read);
        let refused = client.response(false);
        assert_eq!(
            (refused.status, refused.json()["code"].as_str()),
            (503, Some("busy"))
        );
    };
    let mut clients = Vec::new();
    fill(&mut clients, 48, [127, 0, 0, 1]);
    fill(&mut clients, 64, [127, 0, 0, 2]);
    assert_eq!(fixture.call("POST", "/api/oms/orders", ORDER).status, 201);
    open.store(true, Ordering::Release);
    for client in &mut clients {
        assert_eq!(client.response(false).status, 200);
    }
    assert_eq!(fixture.call("GET", "/api/oms/positions", "").status, 200);
}

/// How often a test looks for what has to happen.
const LOOKS_MAX: usize = 6_000;

/// An answer that is far more than all buffers on the way hold.
fn endless(out: &mut dyn Write) {
    let _ = out.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    let piece = vec![b'x'; 1 << 20];
    while out.write_all(&piece).is_ok() {}
}

#[test]
fn who_takes_next_to_nothing_makes_room_when_it_is_wanted() {
    let fixture = answering(|request, out| match request.split(' ').nth(1).unwrap() {
        "/endless" => endless(out),
        _ => out
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            .unwrap(),
    });
    let mut idlers: Vec<_> = (0..48).map(|_| fixture.connect()).collect();
    for idler in &mut idlers {
        idler.send(&request("GET", "/endless", "", ""));
        assert_eq!(idler.head().status, 200);
    }
    let mut other = fixture.connect_from([127, 0, 0, 2]);
    other.send(&request("GET", "/fine", "", ""));
    assert_eq!(
        other.response(false).status,
        200,
        "the rest is for other addresses"
    );
    // A byte now and then never was nothing for long, and yet the address gets its place back.
    assert_eq!(fixture.call("GET", "/fine", "").status, 503);
    let served = (0..LOOKS_MAX).any(|_| {
        for idler in &mut idlers {
            let _ = std::io::Read::read(&mut idler.stream.get_mut(), &mut [0; 1]);
        }
        std::thread::sleep(Duration::from_millis(10));
        fixture.call("GET", "/fine", "").status == 200
    });
    assert!(served);
}

#[test]
fn who_is_gone_holds_no_place() {
    let fixture = answering(|request, out| {
        if request.starts_with("GET /fine ") {
            let _ = out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
            return;
        }
        // Begins, and never goes on.
        let _ = out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{");
        let _ = out.flush();
        loop {
            std::thread::park();
        }
    });
    for _ in 0..3 {
        let mut clients: Vec<_> = (0..48).map(|_| fixture.connect()).collect();
        for client in &mut clients {
            client.send(&request("GET", "/stuck", "", ""));
            assert_eq!(client.head().status, 200);
        }
        for client in &clients {
            // Ends with a reset.
            let socket = socket2::SockRef::from(client.stream.get_ref());
            socket.set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop(clients);
        let served = (0..LOOKS_MAX).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            fixture.call("GET", "/fine", "").status == 200
        });
        assert!(served);
    }
}

#[test]
fn a_large_download_is_streamed_with_back_pressure() {
    const SIZE: usize = 64 << 20;
    let (sent, progress) = mpsc::channel();
    let sent = Mutex::new(sent);
    let fixture = answering(move |_, out| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n");
        out.write_all(head.as_bytes()).unwrap();
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..SIZE >> 20 {
            out.write_all(&piece).unwrap();
            let _ = sent.lock().unwrap().send(());
        }
    });
    let mut client = fixture.connect();
    client.send(&request("GET", "/big", "", ""));
    assert_eq!(client.head().status, 200);
    // Until the client reads, only the buffers on the way fill; orders pass all the while.
    let mut pieces = 0;
    while progress.recv_timeout(Duration::from_millis(500)).is_ok() {
        pieces += 1;
        assert_eq!(fixture.call("POST", "/api/oms/orders", ORDER).status, 201);
    }
    assert!(
        pieces < SIZE >> 20,
        "the whole answer was taken before the client read it"
    );
    let mut body = vec![0; SIZE];
    std::io::Read::read_exact(&mut client.stream, &mut body).unwrap();
    assert!(body.iter().all(|&byte| byte == b'x'));
    client.send(&request("POST", "/api/oms/orders", "", ORDER));
    assert_eq!(client.response(false).status, 201);
}
