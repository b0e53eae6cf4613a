//! A graceful stop.

use std::net::TcpStream;
use std::sync::atomic::Ordering;

use engine::lane::Input;

use super::support::{Fixture, ORDER, Setup, accept_everything, request};

#[test]
fn what_is_in_flight_is_answered_and_then_all_is_closed() {
    let (arrival, arrived) = std::sync::mpsc::channel();
    let mut fixture = Fixture::start(Setup {
        release: false,
        script: Box::new(move |input, next| {
            if matches!(input, Input::Command(_)) {
                arrival.send(()).unwrap();
            }
            accept_everything(input, next)
        }),
        ..Setup::default()
    });
    let mut idle = fixture.connect();
    let mut busy = fixture.connect();
    busy.send(&request("POST", "/api/oms/validate-order", "", ORDER));
    assert_eq!(busy.response(false).status, 200);
    busy.send(&request("POST", "/api/oms/orders", "", ORDER));
    // The scripted engine says when the order has reached it.
    assert_eq!(arrived.recv().unwrap(), ());
    fixture.begin_stop();
    assert!(idle.is_closed());
    while TcpStream::connect(fixture.address).is_ok() {
        std::thread::yield_now();
    }
    fixture.release(1);
    assert_eq!(busy.response(false).json()["order_id"], 1);
    assert!(busy.is_closed());
    drop((idle, busy));
    fixture.join_gateway();
    assert_eq!(fixture.released.load(Ordering::Acquire), 1);
}
