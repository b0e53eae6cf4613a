//! WebSocket sessions: greeting, order entry, who sees what, and clients that misbehave.

use std::net::TcpStream;

use engine::lane::Input;
use engine::{Command, Event, KillCause, KillScope, TradingState, TradingStateChanged};
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

use super::support::{
    Client, DESK, Fixture, MAIN, ORDER, PATIENCE, Says, Setup, accept_everything, accepted, fill, request,
};

pub(crate) struct Socket(pub(crate) WebSocket<TcpStream>);

impl Socket {
    fn open(fixture: &Fixture, fields: &[(&'static str, &str)]) -> Result<Socket, tungstenite::Error> {
        Socket::open_at(fixture, "ws://localhost/ws/oms", fields)
    }

    fn open_at(
        fixture: &Fixture,
        url: &str,
        fields: &[(&'static str, &str)],
    ) -> Result<Socket, tungstenite::Error> {
        let stream = TcpStream::connect(fixture.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Socket::open_over(stream, url, fields)
    }

    fn open_over(
        stream: TcpStream,
        url: &str,
        fields: &[(&'static str, &str)],
    ) -> Result<Socket, tungstenite::Error> {
        let mut request = url.into_client_request().unwrap();
        for (name, value) in fields {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match tungstenite::client(request, stream) {
            Ok((mut socket, _)) => {
                let greeting = socket.read().unwrap().into_text().unwrap();
                assert_eq!(
                    greeting.as_str(),
                    r#"{"type":"connection","status":"connected","message":"Connected to OMS WebSocket"}"#
                );
                Ok(Socket(socket))
            }
            Err(tungstenite::HandshakeError::Failure(error)) => Err(error),
            Err(other) => panic!("{other}"),
        }
    }

    /// As the admin that loopback stands for, on a connection of the caller's.
    pub(crate) fn over(stream: TcpStream) -> Socket {
        Socket::open_over(stream, "ws://localhost/ws/oms", &[]).unwrap()
    }

    /// A trader who says what it saw last.
    pub(crate) fn resume(fixture: &Fixture, cursor: &str) -> Socket {
        let url = format!("ws://localhost/ws/oms?resume={cursor}");
        Socket::open_at(fixture, &url, &[("X-API-Key", "trader-key")]).unwrap()
    }

    /// As the admin that loopback stands for.
    pub(crate) fn local(fixture: &Fixture) -> Socket {
        Socket::open(fixture, &[]).unwrap()
    }

    pub(crate) fn with_key(fixture: &Fixture, key: &str) -> Socket {
        Socket::open(fixture, &[("X-API-Key", key)]).unwrap()
    }

    pub(crate) fn say(&mut self, text: impl Into<String>) {
        self.0.send(Message::text(text.into())).unwrap();
    }

    pub(crate) fn hear(&mut self) -> Value {
        loop {
            match self.0.read().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn hear_type(&mut self) -> String {
        self.hear()["type"].as_str().unwrap().to_owned()
    }

    /// The code that the server closes with, whatever it says before.
    fn closing_code(mut self) -> CloseCode {
        loop {
            match self.0.read() {
                Ok(Message::Close(frame)) => return frame.unwrap().code,
                Ok(_) => {}
                Err(error) => panic!("closed without a code: {error}"),
            }
        }
    }
}

fn place(id: &str) -> String {
    format!(r#"{{"type":"order:place","id":"{id}","data":{ORDER}}}"#)
}

#[test]
fn a_session_speaks_as_the_contract_says() {
    let fixture = Fixture::start(Setup::default());
    let mut socket = Socket::local(&fixture);
    socket.say(r#"{"type":"ping"}"#);
    assert_eq!(socket.hear(), json!({"type": "pong"}));
    for ignored in [
        "not json",
        "null",
        "[]",
        r#"{"type":"fly"}"#,
        r#"{"type":"subscribe"}"#,
    ] {
        socket.say(ignored);
    }
    socket.0.send(Message::binary(vec![1, 2, 3])).unwrap();
    socket.say(r#"{"type":"ping"}"#);
    assert_eq!(socket.hear(), json!({"type": "pong"}));
    socket.0.send(Message::Ping("x".into())).unwrap();
    assert!(matches!(socket.0.read().unwrap(), Message::Pong(payload) if &payload[..] == b"x"));
    socket.0.close(None).unwrap();
    assert!(matches!(
        socket.0.read(),
        Ok(Message::Close(_)) | Err(tungstenite::Error::ConnectionClosed)
    ));
}

#[test]
fn orders_are_entered_and_answered_by_their_id() {
    let fixture = Fixture::start(Setup::default());
    let mut socket = Socket::with_key(&fixture, "trader-key");
    socket.say(place("c-1"));
    let placed = socket.hear();
    assert_eq!(placed["type"], "order:placed");
    assert_eq!(
        [
            &placed["data"]["order_id"],
            &placed["data"]["symbol"],
            &placed["data"]["side"],
            &placed["data"]["status"]
        ],
        [&json!(1), &json!("RELIANCE"), &json!("BUY"), &json!("OPEN")]
    );
    assert_eq!(placed["data"]["account"], "desk");
    let reply = socket.hear();
    assert_eq!(
        [
            &reply["type"],
            &reply["request"],
            &reply["id"],
            &reply["status"],
            &reply["data"]["order_id"]
        ],
        [
            &json!("reply"),
            &json!("order:place"),
            &json!("c-1"),
            &json!(201),
            &json!(1)
        ]
    );
    assert_eq!(reply["data"]["durable"], true);

    for (text, status, id) in [
        (
            format!(r#"{{"type":"order:validate","id":7,"data":{ORDER}}}"#),
            200,
            json!(7),
        ),
        (
            r#"{"type":"order:place","id":"bad","data":{}}"#.to_owned(),
            400,
            json!("bad"),
        ),
        (r#"{"type":"order:place"}"#.to_owned(), 400, Value::Null),
        (
            r#"{"type":"orders:cancel_all","id":"all"}"#.to_owned(),
            200,
            json!("all"),
        ),
        (
            r#"{"type":"orders:cancel_all","id":"all","data":{"account":"*"}}"#.to_owned(),
            403,
            json!("all"),
        ),
        (
            r#"{"type":"order:cancel","id":"x","data":{}}"#.to_owned(),
            400,
            json!("x"),
        ),
    ] {
        socket.say(&text);
        let reply = socket.hear();
        assert_eq!(
            (&reply["status"], &reply["id"]),
            (&json!(status), &id),
            "{text}: {reply}"
        );
        assert_eq!(reply["type"], "reply");
    }
    let mut viewer = Socket::with_key(&fixture, "viewer-key");
    for kind in ["order:place", "order:modify", "order:cancel", "orders:cancel_all"] {
        viewer.say(format!(r#"{{"type":"{kind}","data":{ORDER}}}"#));
        assert_eq!(viewer.hear()["status"], 403, "{kind}");
    }
}

#[test]
fn what_could_not_be_answered_by_its_id_is_not_done() {
    let fixture = Fixture::start(Setup::default());
    let mut socket = Socket::with_key(&fixture, "trader-key");
    let long = format!("\"{}\"", "x".repeat(65));
    for id in [&long, "[1]", "{}", "true", "false"] {
        socket.say(format!(r#"{{"type":"order:place","id":{id},"data":{ORDER}}}"#));
        let reply = socket.hear();
        assert_eq!(
            [&reply["type"], &reply["request"], &reply["id"], &reply["status"]],
            [&json!("reply"), &json!("order:place"), &Value::Null, &json!(400)],
            "{id}"
        );
        assert!(
            reply["data"]["details"]
                .as_str()
                .unwrap()
                .starts_with("id must be")
        );
    }
    // The first order that is placed is the first there is.
    let longest = "x".repeat(64);
    socket.say(place(&longest));
    assert_eq!(socket.hear()["data"]["order_id"], 1);
    assert_eq!(socket.hear()["id"], json!(longest));
}

#[test]
fn more_orders_than_may_be_in_flight_are_all_answered_in_order() {
    let fixture = Fixture::start(Setup::default());
    let mut socket = Socket::local(&fixture);
    socket.say(r#"{"type":"subscribe","events":[]}"#);
    for id in 0..500 {
        socket.say(place(&id.to_string()));
    }
    for id in 0..500 {
        assert_eq!(socket.hear()["id"], json!(id.to_string()));
    }
}

#[test]
fn accounts_see_their_own_events_and_admins_see_all() {
    let fixture = Fixture::start(Setup::default());
    let mut admin = Socket::local(&fixture);
    let mut desk = Socket::with_key(&fixture, "trader-key");
    let mut watch = Socket::with_key(&fixture, "viewer-key");
    let kill = Event::TradingStateChanged(TradingStateChanged {
        scope: KillScope::Engine,
        state: TradingState::Reducing,
        cause: KillCause::Manual,
    });
    fixture
        .inject
        .send(vec![fill(DESK, 1), fill(MAIN, 2), kill])
        .unwrap();
    let seen = |socket: &mut Socket| -> Vec<Value> {
        let mut seen = Vec::new();
        loop {
            let message = socket.hear();
            if message["type"] == "risk:kill_switch_triggered" {
                return seen;
            }
            seen.push(message["data"]["order_id"].clone());
        }
    };
    assert_eq!(seen(&mut admin), [json!(1), json!(2)]);
    assert_eq!(seen(&mut desk), [json!(1)]);
    assert_eq!(seen(&mut watch), Vec::<Value>::new());
}

#[test]
fn a_subscription_narrows_and_widens() {
    let fixture = Fixture::start(Setup {
        script: Box::new(|input, next| match input {
            Input::Command(Command::NewOrder(order)) => {
                Says::Events(vec![accepted(order, next), fill(order.account, next.get())])
            }
            _ => accept_everything(input, next),
        }),
        ..Setup::default()
    });
    let mut socket = Socket::local(&fixture);
    let order = |socket: &mut Socket| {
        socket.say(place("x"));
        let mut types = Vec::new();
        while types.last().is_none_or(|last| last != "reply") {
            types.push(socket.hear_type());
        }
        types
    };
    assert_eq!(order(&mut socket), ["order:placed", "order:filled", "reply"]);
    socket.say(r#"{"type":"subscribe","events":["order:filled"]}"#);
    assert_eq!(order(&mut socket), ["order:filled", "reply"]);
    socket.say(r#"{"type":"subscribe","events":["*"]}"#);
    assert_eq!(order(&mut socket), ["order:placed", "order:filled", "reply"]);
}

#[test]
fn the_kill_switch_tells_its_reason_to_every_tab() {
    let fixture = Fixture::start(Setup {
        script: Box::new(|input, next| match input {
            Input::Command(Command::KillSwitch(kill)) => {
                Says::Events(vec![Event::TradingStateChanged(TradingStateChanged {
                    scope: kill.scope,
                    state: kill.state,
                    cause: KillCause::Manual,
                })])
            }
            _ => accept_everything(input, next),
        }),
        ..Setup::default()
    });
    let mut desk = Socket::with_key(&fixture, "trader-key");
    let body = r#"{"reason":"<script>halt</script>","triggered_by":"ops"}"#;
    assert_eq!(
        fixture.call("POST", "/api/oms/risk/kill-switch", body).status,
        200
    );
    let told = desk.hear();
    assert_eq!(told["type"], "risk:kill_switch_triggered");
    assert_eq!(
        (&told["data"]["reason"], &told["data"]["triggered_by"]),
        (&json!("scripthalt/script"), &json!("ops"))
    );
}

#[test]
fn handshakes_are_checked() {
    let fixture = Fixture::start(Setup {
        allowed_origins: vec!["https://desk.example".to_owned()],
        ..Setup::default()
    });
    let port = fixture.address.port();
    let opens = |fields: &[(&'static str, &str)]| match Socket::open(&fixture, fields) {
        Ok(_) => 101,
        Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
        Err(other) => panic!("{other}"),
    };
    assert_eq!(opens(&[]), 101);
    assert_eq!(opens(&[("Origin", &format!("http://localhost:{port}"))]), 101);
    assert_eq!(opens(&[("Origin", &format!("http://127.0.0.1:{port}"))]), 101);
    assert_eq!(opens(&[("Origin", "https://desk.example")]), 101);
    assert_eq!(opens(&[("Origin", "http://evil.example")]), 403);
    assert_eq!(opens(&[("Origin", "null")]), 403);
    assert_eq!(opens(&[("X-API-Key", "wrong")]), 401);
    assert_eq!(opens(&[("X-Forwarded-For", "1.2.3.4")]), 401);

    let mut client = fixture.connect();
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n";
    client.send(&request("GET", "/ws/oms", upgrade, ""));
    let refused = client.response(false);
    assert_eq!(
        (refused.status, refused.field("sec-websocket-version")),
        (426, "13")
    );
}

#[test]
fn what_breaks_the_protocol_is_closed_with_a_code() {
    let fixture = Fixture::start(Setup::default());
    let mut large = Socket::local(&fixture);
    // The server may close before all of it is sent.
    let _ = large.0.send(Message::text("x".repeat(70_000)));
    assert_eq!(large.closing_code(), CloseCode::Size);

    // An unmasked frame, by hand: header and payload after a handshake.
    let mut client: Client = fixture.connect();
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    client.send(&request("GET", "/ws/oms", upgrade, ""));
    let accepted = client.response(false);
    // The example of RFC 6455 section 1.3.
    assert_eq!(
        accepted.field("sec-websocket-accept"),
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
    client.send("\u{1}\u{2}{}");
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut client.stream, &mut rest).unwrap();
    // After the greeting, a close frame with 1002.
    let close = rest
        .windows(4)
        .any(|window| window[0] == 0x88 && window[2..] == 1002_u16.to_be_bytes());
    assert!(close, "{rest:?}");
}

/// A connection that holds little on its way: it is full soon, and long before it would count as dead.
fn narrow(fixture: &Fixture) -> TcpStream {
    let raw = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    raw.set_recv_buffer_size(4_096).unwrap();
    raw.set_tcp_mss(1_200).unwrap();
    raw.connect(&fixture.address.into()).unwrap();
    let stream = TcpStream::from(raw);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn a_slow_reader_is_closed_and_harms_nobody() {
    let fixture = Fixture::start(Setup::default());
    let slow = Socket::over(narrow(&fixture));
    let mut quick = Socket::local(&fixture);
    const ROUNDS: u64 = 60;
    const BATCH: u64 = 100;
    // About 2 MB: several times what the queue and the buffers of a narrow connection hold on both sides.
    for round in 0..ROUNDS {
        let events = (0..BATCH).map(|at| fill(MAIN, round * BATCH + at + 1)).collect();
        fixture.inject.send(events).unwrap();
        for at in 0..BATCH {
            assert_eq!(quick.hear()["data"]["order_id"], json!(round * BATCH + at + 1));
        }
    }
    assert_eq!(slow.closing_code(), CloseCode::Again);
}

#[test]
fn a_stop_says_goodbye() {
    let mut fixture = Fixture::start(Setup::default());
    let socket = Socket::local(&fixture);
    fixture.begin_stop();
    assert_eq!(socket.closing_code(), CloseCode::Away);
    fixture.join_gateway();
}

#[test]
fn an_answer_tells_its_timings_when_asked() {
    let fixture = Fixture::start(Setup::default());
    let mut socket = Socket::local(&fixture);
    let mut ask = |fields: &str| {
        socket.say(format!(
            r#"{{"type":"order:place","id":1,{fields}"data":{ORDER}}}"#
        ));
        loop {
            let message = socket.hear();
            if message["type"] == "reply" {
                return message;
            }
        }
    };
    assert_eq!(ask("").get("timings_ns"), None);
    assert_eq!(ask(r#""timings":false,"#).get("timings_ns"), None);
    let timings = &ask(r#""timings":true,"#)["timings_ns"];
    let nanos = |stage: &str| {
        timings[stage]
            .as_u64()
            .unwrap_or_else(|| panic!("{stage}: {timings}"))
    };
    let parts = ["decode", "queue", "decide", "journal", "reply"].map(nanos);
    let sum: u64 = parts.iter().sum();
    // The scripted journal releases without a stamp, so its time is that of the look at it.
    assert!(
        nanos("total") > 0 && sum.abs_diff(nanos("total")) <= 10,
        "{timings}"
    );
}
