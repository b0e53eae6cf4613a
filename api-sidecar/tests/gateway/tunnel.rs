//! WebSockets of the application behind us: granted by it, and then bytes both ways.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;

use super::support::{Client, Fixture, ORDER, PATIENCE, Setup, request};

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const GRANTED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello";

/// An application that answers each connection with `answer` and hands it over.
fn application(answer: &'static str) -> (SocketAddr, mpsc::Receiver<BufReader<TcpStream>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (give, given) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut reader = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                reader.read_line(&mut head).unwrap();
            }
            assert!(head.contains("\r\nUpgrade: websocket\r\n"), "{head}");
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
            if give.send(reader).is_err() {
                return;
            }
        }
    });
    (address, given)
}

fn fixture(upstream: SocketAddr) -> Fixture {
    Fixture::start(Setup {
        upstream: Some(upstream),
        ..Setup::default()
    })
}

fn opened(fixture: &Fixture) -> Client {
    let mut client = fixture.connect();
    client.send(&request("GET", "/ws/pages", UPGRADE, ""));
    let head = client.head();
    assert_eq!((head.status, head.field("upgrade")), (101, "websocket"));
    assert_eq!(head.field("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let mut hello = [0; 5];
    client.stream.read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"hello");
    client
}

#[test]
fn bytes_go_both_ways_until_one_side_ends() {
    let (upstream, given) = application(GRANTED);
    let fixture = fixture(upstream);
    for client_ends in [true, false] {
        let mut client = opened(&fixture);
        let mut app = given.recv_timeout(PATIENCE).unwrap();
        let many = vec![b'x'; 300_000];
        for _ in 0..3 {
            client.send("ping");
            let mut four = [0; 4];
            app.read_exact(&mut four).unwrap();
            assert_eq!(&four, b"ping");
            app.get_mut().write_all(b"pong").unwrap();
            client.stream.read_exact(&mut four).unwrap();
            assert_eq!(&four, b"pong");
        }
        // More than is held on the way, in each direction.
        let mut copy = vec![0; many.len()];
        std::thread::scope(|scope| {
            scope.spawn(|| client.stream.get_mut().write_all(&many).unwrap());
            app.read_exact(&mut copy).unwrap();
        });
        assert_eq!(copy, many);
        std::thread::scope(|scope| {
            scope.spawn(|| app.get_mut().write_all(&many).unwrap());
            client.stream.read_exact(&mut copy).unwrap();
        });
        assert_eq!(copy, many);
        assert_eq!(fixture.call("POST", "/api/oms/orders", ORDER).status, 201);
        if client_ends {
            drop(client);
            assert_eq!(app.read(&mut [0; 1]).unwrap_or(0), 0);
        } else {
            drop(app);
            assert!(client.is_closed());
        }
    }
    // A stop waits for nobody who need never end.
    let mut client = opened(&fixture);
    fixture.begin_stop();
    let _app = given;
    assert!(client.is_closed());
}

#[test]
fn an_application_may_refuse() {
    let (upstream, given) = application("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno");
    let fixture = fixture(upstream);
    let mut client = fixture.connect();
    for _ in 0..2 {
        client.send(&request("GET", "/ws/pages", UPGRADE, ""));
        let refused = client.response(false);
        assert_eq!((refused.status, refused.body.as_str()), (404, "no"));
        given.recv_timeout(PATIENCE).unwrap();
    }
}
