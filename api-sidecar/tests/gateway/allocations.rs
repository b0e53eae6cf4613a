//! The gateway's thread allocates nothing for a request of the order lane once it is warm.
//!
//! Two gateways serve a few and many of the same requests. What the second allocated more is what the requests cost:
//! connections, buffers and tables cost both the same.

use engine::lane::Input;
use engine::{Command, Event, OrderId, Refusal};

use super::support::{Fixture, ORDER, Says, Setup, accept_everything, accepted, request};
use super::ws::Socket;

const FEW: u32 = 200;
const MANY: u32 = 2_200;

/// A buffer may grow once more in the longer run, because a thread was late at a bad moment.
const LATE_GROWTH_MAX: u64 = 20;

fn check(name: &str, serve: impl Fn(&Fixture, u32)) {
    let run = |requests| {
        let fixture = Fixture::start(Setup {
            script: Box::new(venue),
            ..Setup::default()
        });
        serve(&fixture, requests);
        fixture.stop_and_count_allocations()
    };
    let (few, many) = (run(FEW), run(MANY));
    assert!(few > 0, "nothing is counted");
    assert!(
        many <= few + LATE_GROWTH_MAX,
        "{name}: {few} allocations for {FEW} requests, {many} for {MANY}"
    );
}

fn venue(input: &Input, next: OrderId) -> Says {
    match input {
        Input::Command(Command::NewOrder(order)) => Says::Events(vec![accepted(order, next)]),
        // Refused, which is an answer all the same.
        Input::Command(Command::ModifyOrder(_) | Command::CancelOrder(_)) => {
            Says::Events(vec![Event::Refused(Refusal::UnknownOrder)])
        }
        _ => accept_everything(input, next),
    }
}

fn over_http(fixture: &Fixture, requests: u32, method: &str, path: &str, body: &str, status: u16) {
    let mut client = fixture.connect();
    let text = request(method, path, "", body);
    for _ in 0..requests {
        client.send(&text);
        assert_eq!(client.response(false).status, status);
    }
}

#[test]
fn an_order_over_http_allocates_nothing() {
    check("POST", |fixture, requests| {
        over_http(fixture, requests, "POST", "/api/oms/orders", ORDER, 201);
    });
    check("validate", |fixture, requests| {
        over_http(fixture, requests, "POST", "/api/oms/validate-order", ORDER, 200);
    });
}

#[test]
fn a_change_over_http_allocates_nothing() {
    check("PUT", |fixture, requests| {
        let body = r#"{"quantity":5,"price":2451}"#;
        over_http(fixture, requests, "PUT", "/api/oms/orders/7", body, 404);
    });
    check("DELETE", |fixture, requests| {
        over_http(fixture, requests, "DELETE", "/api/oms/orders/7", "", 404);
    });
}

#[test]
fn an_order_over_websocket_allocates_nothing() {
    check("order:place", |fixture, requests| {
        let mut socket = Socket::local(fixture);
        socket.say(r#"{"type":"subscribe","events":[]}"#);
        for number in 0..requests {
            socket.say(format!(
                r#"{{"type":"order:place","id":"order-{number}","timings":true,"data":{ORDER}}}"#
            ));
            let reply = socket.hear();
            assert_eq!(reply["status"], 201, "{reply}");
        }
    });
}
