//! One event to very many clients.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};

use serde_json::json;
use socket2::{Domain, Socket as Raw, Type};

use super::support::{Fixture, MAIN, ORDER, PATIENCE, Setup, fill};
use super::ws::Socket;

/// Clients from one loopback address: below the bound for one.
const PER_ADDRESS: usize = 400;

/// Clients on as many addresses as it takes, each of which wants to hear of fills.
fn listeners(fixture: &Fixture, count: usize) -> Vec<Socket> {
    allow_descriptors();
    (0..count)
        .map(|number| {
            let host = u8::try_from(2 + number / PER_ADDRESS).unwrap();
            let raw = Raw::new(Domain::IPV4, Type::STREAM, None).unwrap();
            let from = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)), 0);
            raw.bind(&from.into()).unwrap();
            raw.connect(&fixture.address.into()).unwrap();
            let stream = TcpStream::from(raw);
            stream.set_nodelay(true).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut socket = Socket::over(stream);
            socket.say(r#"{"type":"subscribe","events":["order:filled"]}"#);
            socket
        })
        .collect()
}

/// Both ends of each connection are in this process.
fn allow_descriptors() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit {
        current: limit.maximum,
        ..limit
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
}

fn tell(fixture: &Fixture, clients: &mut [Socket], events: std::ops::RangeInclusive<u64>) {
    for event in events.clone() {
        fixture.inject.send(vec![fill(MAIN, event)]).unwrap();
    }
    for client in clients {
        for event in events.clone() {
            let heard = client.hear();
            assert_eq!(heard["type"], "order:filled");
            assert_eq!(heard["data"]["order_id"], json!(event));
        }
    }
}

#[test]
fn a_thousand_clients_hear_each_event_once_and_orders_pass_meanwhile() {
    const EVENTS: u64 = 50;
    let fixture = Fixture::start(Setup::default());
    let mut clients = listeners(&fixture, 1_000);
    // Some of them never read.
    let _stalled = clients.split_off(990);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..50 {
                assert_eq!(fixture.call("POST", "/api/oms/orders", ORDER).status, 201);
            }
        });
        tell(&fixture, &mut clients, 1..=EVENTS);
    });
}

#[test]
fn an_event_is_encoded_once_whoever_hears_it() {
    const CLIENTS: usize = 200;
    let allocations = |events: u64| {
        let fixture = Fixture::start(Setup::default());
        let mut clients = listeners(&fixture, CLIENTS);
        for event in 1..=events {
            tell(&fixture, &mut clients, event..=event);
        }
        drop(clients);
        fixture.stop_and_count_allocations()
    };
    let (few, many) = (allocations(100), allocations(300));
    // The frame and its count of owners, besides what the machine makes of the connections: not one for each client.
    let each = many.saturating_sub(few) / 200;
    assert!(
        each <= 10,
        "{each} allocations an event ({few} and {many} in all)"
    );
}
