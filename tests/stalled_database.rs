//! The order lane beside a database that answers, and one that hangs: the same server, in turns, through a proxy that stops all
//! traffic when told to. Prints the percentiles of both and their ratio (`cargo test --release --test stalled_database --
//! --nocapture`); what it asserts is that nothing waits for the database, and that its rows come afterwards.

#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "a test panics where its own data is wrong; the support is shared"
)]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

#[path = "../persistence-writer/tests/projector/cluster.rs"]
mod cluster;
#[path = "end_to_end/support/mod.rs"]
mod support;

/// What the cluster waits by.
mod journal {
    pub(crate) use crate::support::PATIENCE;
}

use cluster::Cluster;
use support::server::{FREE, Site};
use support::wait_for;

/// Orders of a turn, and turns with and without a database.
const ORDERS: usize = 250;
const TURNS: usize = 8;

/// Passes everything on, or nothing.
struct Gate {
    port: u16,
    shut: Arc<AtomicBool>,
}

impl Gate {
    fn before(target: u16) -> Gate {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shut = Arc::new(AtomicBool::new(false));
        let gate = Arc::clone(&shut);
        // Ends with the process: a test target of its own.
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else {
                    continue;
                };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let gate = Arc::clone(&gate);
                    std::thread::spawn(move || pass_on(from, to, &gate));
                }
            }
        });
        Gate { port, shut }
    }

    fn shut(&self, shut: bool) {
        self.shut.store(shut, Ordering::SeqCst);
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, shut: &AtomicBool) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        while shut.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

#[test]
fn the_order_lane_does_not_wait_for_a_database_that_hangs() {
    let cluster = Arc::new(Cluster::start());
    let database = cluster.database();
    let gate = Gate::before(cluster.port);
    let site = Site::with_accounts(&[FREE]);
    let mut command = site.command(&["--market", "none", "--wait", "yield"]);
    command.env("DATABASE_URL", database.url_through(gate.port));
    let server = site.start_command(command);
    let mut client = server.client_of(&site, "free");
    let order = json!({"symbol": "RELIANCE", "side": "BUY", "quantity": 1, "price": "2440.00"}).to_string();
    let mut placed: u64 = 0;
    let mut times = [Vec::new(), Vec::new()];
    for turn in 0..2 * TURNS {
        let hangs = turn % 2 == 1;
        let before = orders_in(&database);
        gate.shut(hangs);
        for number in 0..ORDERS {
            let start = Instant::now();
            client
                .send("POST", "/api/oms/orders", order.as_bytes())
                .expect(201);
            // The first ones of a turn warm up.
            if number >= ORDERS / 10 {
                times[usize::from(hangs)].push(start.elapsed());
            }
        }
        placed += ORDERS as u64;
        if hangs {
            let health = client.get("/api/oms/health").json();
            assert!(health["tables"]["lag"].as_u64().unwrap() > 0, "{health}");
            gate.shut(false);
        }
        assert!(orders_in(&database) >= before);
        wait_for("every row", || (orders_in(&database) == placed).then_some(()));
    }
    let [answers, hangs] = times.map(|mut times| {
        times.sort_unstable();
        let at = |permille: usize| times[times.len() * permille / 1_000].as_micros();
        (times.len(), at(500), at(990))
    });
    println!(
        "database answers: {} orders, p50 {} µs, p99 {} µs",
        answers.0, answers.1, answers.2
    );
    println!(
        "database hangs:   {} orders, p50 {} µs, p99 {} µs",
        hangs.0, hangs.1, hangs.2
    );
    println!(
        "hangs ÷ answers in per cent: p50 {}, p99 {}",
        hangs.1 * 100 / answers.1.max(1),
        hangs.2 * 100 / answers.2.max(1)
    );
    server.stop();
}

/// Past the proxy. 0 while there is no table yet.
fn orders_in(database: &cluster::Database) -> u64 {
    let there = database.one("SELECT to_regclass('orders') IS NOT NULL");
    match there.as_str() {
        "t" | "true" => database.one("SELECT count(*) FROM orders").parse().unwrap(),
        _ => 0,
    }
}
