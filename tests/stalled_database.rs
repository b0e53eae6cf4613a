//! The order lane beside a database that answers, one that hangs and one that is slow: the same server, in turns, through a
//! proxy that stops all traffic when told to, or lets little of it through and late. Prints the percentiles and their ratios
//! (`cargo test --release --test stalled_database -- --nocapture`); what it asserts is that an order in the middle takes no
//! other time, and that the rows come.

#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "a test panics where its own data is wrong; the support is shared"
)]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
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

/// Orders of a turn, and turns with each kind of database.
const ORDERS: usize = 250;
const TURNS: usize = 6;

/// Of a slow link: 200 ms for a round trip, and about 64 KiB a second.
const ONE_WAY: Duration = Duration::from_millis(100);
const BYTES_A_MS: u64 = 64;

/// Most that the median order may take beside a database in trouble, in times of what it takes beside one that answers: were
/// it to wait for that database, it would be hundreds.
const RATIO_MAX: u128 = 10;

/// How the database answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Link {
    Answers,
    Hangs,
    Slow,
}

const LINKS: [Link; 3] = [Link::Answers, Link::Hangs, Link::Slow];

/// Passes everything on, nothing, or little and late.
struct Gate {
    port: u16,
    link: Arc<AtomicU8>,
}

impl Gate {
    fn before(target: u16) -> Gate {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let link = Arc::new(AtomicU8::new(Link::Answers as u8));
        let gate = Arc::clone(&link);
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
        Gate { port, link }
    }

    fn set(&self, link: Link) {
        self.link.store(link as u8, Ordering::SeqCst);
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, link: &AtomicU8) {
    let is = |kind: Link| link.load(Ordering::SeqCst) == kind as u8;
    let mut buffer = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if is(Link::Slow) {
            std::thread::sleep(ONE_WAY + Duration::from_millis(read as u64 / BYTES_A_MS));
        }
        while is(Link::Hangs) {
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
fn the_order_lane_does_not_wait_for_a_database_that_hangs_or_is_slow() {
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
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for turn in 0..LINKS.len() * TURNS {
        let link = LINKS[turn % LINKS.len()];
        let before = orders_in(&database);
        gate.set(link);
        for number in 0..ORDERS {
            let start = Instant::now();
            client
                .send("POST", "/api/oms/orders", order.as_bytes())
                .expect(201);
            // The first ones of a turn warm up.
            if number >= ORDERS / 10 {
                times[link as usize].push(start.elapsed());
            }
        }
        placed += ORDERS as u64;
        match link {
            Link::Answers => {}
            Link::Hangs => {
                let health = client.get("/api/oms/health").json();
                assert!(health["tables"]["lag"].as_u64().unwrap() > 0, "{health}");
            }
            // Slow as it is, rows come.
            Link::Slow => wait_for("a row", || (orders_in(&database) > before).then_some(())),
        }
        gate.set(Link::Answers);
        wait_for("every row", || (orders_in(&database) == placed).then_some(()));
    }
    let [answers, hangs, slow] = times.map(|mut times| {
        times.sort_unstable();
        let at = |permille: usize| times[times.len() * permille / 1_000].as_micros();
        (times.len(), at(500), at(990))
    });
    println!(
        "database answers: {} orders, p50 {} µs, p99 {} µs",
        answers.0, answers.1, answers.2
    );
    for (what, (orders, p50, p99)) in [("hangs", hangs), ("is slow", slow)] {
        println!("database {what}: {orders} orders, p50 {p50} µs, p99 {p99} µs");
        let (of_p50, of_p99) = (p50 * 100 / answers.1.max(1), p99 * 100 / answers.2.max(1));
        println!("{what} ÷ answers in per cent: p50 {of_p50}, p99 {of_p99}");
        assert!(
            p50 <= RATIO_MAX * answers.1,
            "the median order beside a database that {what}"
        );
    }
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
