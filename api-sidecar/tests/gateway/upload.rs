//! Bodies for the application behind us that are larger than the gateway holds: they pass through.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use super::support::{Client, Fixture, ORDER, PATIENCE, Setup, request};

/// A gateway with an application behind it that serves each connection by `script`.
fn behind(script: impl Fn(Incoming) + Send + Sync + 'static) -> Fixture {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        std::thread::scope(|scope| {
            for stream in listener.incoming() {
                let script = &script;
                scope.spawn(move || script(Incoming::read(stream.unwrap())));
            }
        });
    });
    Fixture::start(Setup {
        upstream: Some(upstream),
        ..Setup::default()
    })
}

/// A request as the application has it: the head is read, the body is not.
struct Incoming {
    stream: BufReader<TcpStream>,
    head: String,
    length: usize,
}

impl Incoming {
    fn read(stream: TcpStream) -> Incoming {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(stream.read_line(&mut head).unwrap(), 0, "{head}");
        }
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "));
        Incoming {
            length: length.map_or(0, |length| length.parse().unwrap()),
            stream,
            head,
        }
    }

    fn answer(&mut self, status: &str, body: &str) {
        let text = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// Reads the whole body, of which every byte must be an `x`, and says how long it was.
    fn answer_with_length(&mut self) {
        let mut left = self.length;
        let mut piece = vec![0; 1 << 16];
        while left > 0 {
            let count = self.stream.read(&mut piece).unwrap();
            assert!(count > 0, "{left} bytes are missing");
            assert!(piece[..count].iter().all(|&byte| byte == b'x'));
            left -= count;
        }
        self.answer("200 OK", &self.length.to_string());
    }
}

fn head(length: usize, fields: &str) -> String {
    format!("POST /upload HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {length}\r\n\r\n")
}

#[test]
fn an_upload_passes_through_and_only_the_buffers_on_the_way_fill() {
    const SIZE: usize = 64 << 20;
    const PIECE: usize = 1 << 20;
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let fixture = behind(move |mut incoming| {
        wait.lock().unwrap().recv().unwrap();
        incoming.answer_with_length();
    });
    let mut client = fixture.connect();
    client.send(&head(SIZE, ""));
    let (sent, progress) = mpsc::channel();
    let mut writer = client.stream.get_ref().try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        let piece = vec![b'x'; PIECE];
        for _ in 0..SIZE / PIECE {
            writer.write_all(&piece).unwrap();
            let _ = sent.send(());
        }
    });
    // The application reads nothing yet. Orders pass all the while.
    let mut pieces = 0;
    while progress.recv_timeout(Duration::from_millis(500)).is_ok() {
        pieces += 1;
        assert_eq!(fixture.call("POST", "/api/oms/orders", ORDER).status, 201);
    }
    assert!(
        pieces < SIZE / PIECE,
        "the whole body was taken before anyone read it"
    );
    go.send(()).unwrap();
    let answer = client.response(false);
    assert_eq!((answer.status, answer.body.as_str()), (200, &*SIZE.to_string()));
    writing.join().unwrap();
    // The connection goes on, with the next request where it belongs.
    go.send(()).unwrap();
    client.send(&(head(70_000, "") + &"x".repeat(70_000)));
    client.send(&request("POST", "/api/oms/orders", "", ORDER));
    assert_eq!(client.response(false).body, "70000");
    assert_eq!(client.response(false).status, 201);
}

#[test]
fn every_length_arrives_whole() {
    let fixture = behind(|mut incoming| incoming.answer_with_length());
    let mut client = fixture.connect();
    for length in [0, 1, 65_535, 65_536, 65_537, 81_920, 131_072, 200_001] {
        client.send(&(head(length, "") + &"x".repeat(length)));
        assert_eq!(client.response(false).body, length.to_string());
    }
    // One byte at a time around the border between what is held and what passes.
    let body = "x".repeat(65_540);
    client.send(&(head(65_540, "") + &body[..65_500]));
    for _ in 65_500..65_540 {
        client.send("x");
    }
    assert_eq!(client.response(false).body, "65540");
}

#[test]
fn an_application_may_answer_before_the_body_is_whole() {
    let fixture = behind(|mut incoming| incoming.answer("413 Content Too Large", "no"));
    let mut client = fixture.connect();
    client.send(&(head(10 << 20, "") + &"x".repeat(100_000)));
    let answer = client.response(false);
    assert_eq!(
        (answer.status, answer.body.as_str(), answer.field("connection")),
        (413, "no", "close")
    );
    assert!(client.is_closed());
}

#[test]
fn a_client_that_asks_first_is_told_to_continue() {
    let fixture = behind(|mut incoming| {
        assert!(!incoming.head.to_lowercase().contains("expect"));
        incoming.answer_with_length();
    });
    let mut client = fixture.connect();
    client.send(&head(100_000, "Expect: 100-continue\r\n"));
    assert_eq!(client.response(false).status, 100);
    client.send(&"x".repeat(100_000));
    assert_eq!(client.response(false).body, "100000");
}

#[test]
fn who_leaves_in_the_middle_leaves_nothing_behind() {
    let (end, ended) = mpsc::channel();
    let end = std::sync::Mutex::new(end);
    let fixture = behind(move |mut incoming| {
        let mut body = Vec::new();
        let read = incoming.stream.read_to_end(&mut body);
        end.lock().unwrap().send(read.map_or(0, |_| body.len())).unwrap();
    });
    // More than may be under way at once, so that each has to make room for the next.
    for _ in 0..40 {
        let mut client = fixture.connect();
        client.send(&(head(1 << 20, "") + &"x".repeat(90_000)));
        client.finish_sending();
        assert!(client.is_closed());
        assert!(ended.recv_timeout(PATIENCE).unwrap() < 1 << 20);
    }
}

#[test]
fn uploads_have_a_bound_of_their_own() {
    let (started, begun) = mpsc::channel();
    let started = std::sync::Mutex::new(started);
    let fixture = behind(move |mut incoming| {
        started.lock().unwrap().send(()).unwrap();
        if incoming.length > 0 {
            incoming.answer_with_length();
        } else {
            incoming.answer("200 OK", "page");
        }
    });
    let mut uploading: Vec<Client> = (0..16)
        .map(|_| {
            let mut client = fixture.connect();
            client.send(&head(100_000, ""));
            begun.recv_timeout(PATIENCE).unwrap();
            client
        })
        .collect();
    let refused = fixture.call("POST", "/upload", &"x".repeat(100_000));
    assert_eq!((refused.status, refused.field("retry-after")), (503, "1"));
    // Pages are read as before.
    assert_eq!(fixture.call("GET", "/", "").status, 200);
    for client in &mut uploading {
        client.send(&"x".repeat(100_000));
        assert_eq!(client.response(false).body, "100000");
    }
    assert_eq!(fixture.call("POST", "/upload", &"x".repeat(100_000)).status, 200);
}
