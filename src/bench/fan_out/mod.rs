//! `pinion bench fan-out`: each order's event to a thousand WebSocket clients of a real server, some of which never
//! read.
//!
//! Open loop: orders leave at planned times, and the latency of each delivery counts from the planned send of its order
//! until the client has the message. A figure is given only where every client that reads was told of every order
//! exactly once and in order. Memory is what the server's process has resident beyond what it had before the first
//! client.

mod client;

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token};
use serde_json::{Value, json};

use self::client::{Client, Heard};
use super::gateway_bench::{BenchAck, GatewayBenchError, Scratch, Server, failed, http_answer, http_order};
use super::limits::{FAN_OUT_CLIENTS_PER_ADDRESS, FAN_OUT_PATIENCE, FAN_OUT_WARM_UP};

#[derive(Args, Clone, Debug)]
#[command(args_override_self = true)]
pub struct FanOutArgs {
    /// WebSocket clients that read, on as many loopback addresses as the server's limit for one asks for.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=3_900))]
    pub clients: u32,
    /// Further clients that read nothing.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub stalled: u32,
    /// Orders per second, of each of which every client is told.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rate: u32,
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub seconds: u32,
    /// When the server's answers and events may leave.
    #[arg(long, value_enum, default_value = "memory")]
    pub ack: BenchAck,
    /// How the server's engine thread waits; its default where it is absent.
    #[arg(long, value_name = "STRATEGY")]
    pub wait: Option<String>,
    /// A folder is made in it and removed again.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug)]
pub struct FanOutReport {
    clients: u32,
    stalled: u32,
    rate: u32,
    ack: BenchAck,
    elapsed: Duration,
    /// Nanoseconds from an order's planned send to a client that has its event.
    deliveries: Histogram<u64>,
    /// Nanoseconds from an order's planned send to its answer.
    answers: Histogram<u64>,
    idle_kib: u64,
    busy_kib: u64,
}

/// Resident memory above idle, and deliveries per second, that BENCHMARKS.md asks for.
const ABOVE_IDLE_KIB_MAX: u64 = 64 * 1024;
const DELIVERIES_PER_SECOND_MIN: u64 = 50_000;

/// # Errors
/// Where the server cannot be run, a client is refused, or an event is missing, double or out of order.
pub fn run(args: &FanOutArgs) -> Result<FanOutReport, GatewayBenchError> {
    let scratch = Scratch::new(&args.directory)?;
    let server = Server::start(args.ack, args.wait.as_deref(), scratch.path())?;
    let mut audience = Audience::new(args, server.address)?;
    // What the first order touches belongs to the idle process.
    for _ in 0..FAN_OUT_WARM_UP {
        audience.place_and_wait()?;
    }
    let idle_kib = resident_kib(server.pid())?;
    audience.open_clients(args, server.address)?;
    audience.place_and_wait()?;
    audience.forget();
    let started = Instant::now();
    audience.follow(args.rate, Duration::from_secs(args.seconds.into()))?;
    let elapsed = started.elapsed();
    let busy_kib = resident_kib(server.pid())?;
    Ok(FanOutReport {
        clients: args.clients,
        stalled: args.stalled,
        rate: args.rate,
        ack: args.ack,
        elapsed,
        deliveries: audience.deliveries,
        answers: audience.answers,
        idle_kib,
        busy_kib,
    })
}

/// Whoever places the orders, and everyone who is told of them.
struct Audience {
    poll: Poll,
    clients: Vec<Client>,
    _stalled: Vec<Client>,
    trader: mio::net::TcpStream,
    received: Vec<u8>,
    /// When each order was to leave, from the first that somebody is told of; its number is `first_order` and up.
    planned: Vec<Instant>,
    first_order: u64,
    answered: usize,
    deliveries: Histogram<u64>,
    answers: Histogram<u64>,
    scratch: Vec<u8>,
}

const TRADER: Token = Token(usize::MAX);

impl Audience {
    fn new(args: &FanOutArgs, server: SocketAddr) -> Result<Audience, GatewayBenchError> {
        let poll = Poll::new().map_err(failed("poll"))?;
        let trader = std::net::TcpStream::connect(server).map_err(failed("connect"))?;
        trader.set_nodelay(true).map_err(failed("connect"))?;
        trader.set_nonblocking(true).map_err(failed("connect"))?;
        let mut trader = mio::net::TcpStream::from_std(trader);
        poll.registry()
            .register(&mut trader, TRADER, Interest::READABLE)
            .map_err(failed("poll"))?;
        let histogram = || {
            Histogram::new_with_bounds(1, 60_000_000_000, 3)
                .map_err(|error| GatewayBenchError::WrongResult(error.to_string()))
        };
        Ok(Audience {
            poll,
            clients: Vec::with_capacity(usize::try_from(args.clients).unwrap_or(0)),
            _stalled: Vec::new(),
            trader,
            received: Vec::new(),
            planned: Vec::new(),
            first_order: 1,
            answered: 0,
            deliveries: histogram()?,
            answers: histogram()?,
            scratch: vec![0; 64 * 1024],
        })
    }

    /// Opens every client, one after the other, from as many addresses as the server's limit asks for.
    fn open_clients(&mut self, args: &FanOutArgs, server: SocketAddr) -> Result<(), GatewayBenchError> {
        let told = u64::try_from(self.planned.len()).unwrap_or(u64::MAX);
        self.first_order += told;
        self.planned.clear();
        self.answered = 0;
        for number in 0..args.clients + args.stalled {
            let host = u8::try_from(2 + number / FAN_OUT_CLIENTS_PER_ADDRESS).unwrap_or(u8::MAX);
            let from = IpAddr::V4(Ipv4Addr::new(127, 0, 0, host));
            let reads = number < args.clients;
            let mut client = Client::open(server, from, reads, self.first_order)?;
            if reads {
                let token = Token(self.clients.len());
                self.poll
                    .registry()
                    .register(client.stream(), token, Interest::READABLE)
                    .map_err(failed("poll"))?;
                self.clients.push(client);
            } else {
                self._stalled.push(client);
            }
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.deliveries.reset();
        self.answers.reset();
    }

    /// Sends at `rate` for `time`, and waits until everyone has heard of the last order.
    fn follow(&mut self, rate: u32, time: Duration) -> Result<(), GatewayBenchError> {
        let interval = Duration::from_secs(1) / rate;
        let end = Instant::now() + time;
        let mut next = Instant::now();
        while next < end {
            let now = Instant::now();
            if now >= next {
                self.place(next)?;
                next += interval;
            }
            self.listen(next.saturating_duration_since(Instant::now()))?;
        }
        self.wait_for_all()
    }

    fn place_and_wait(&mut self) -> Result<(), GatewayBenchError> {
        self.place(Instant::now())?;
        self.wait_for_all()
    }

    fn wait_for_all(&mut self) -> Result<(), GatewayBenchError> {
        let started = Instant::now();
        let last = self.first_order + u64::try_from(self.planned.len()).unwrap_or(u64::MAX);
        loop {
            let behind = self
                .clients
                .iter()
                .filter(|client| client.next_order() < last)
                .count();
            if behind == 0 && self.answered == self.planned.len() {
                return Ok(());
            }
            if started.elapsed() > FAN_OUT_PATIENCE {
                let answers = self.planned.len() - self.answered;
                return Err(wrong(&format!(
                    "{behind} clients wait for events and {answers} orders for an answer"
                )));
            }
            self.listen(Duration::from_millis(10))?;
        }
    }

    fn place(&mut self, planned: Instant) -> Result<(), GatewayBenchError> {
        self.planned.push(planned);
        // A request is far smaller than an empty socket buffer.
        self.trader.write_all(&http_order()).map_err(failed("send"))
    }

    /// Takes what comes within `time`.
    fn listen(&mut self, time: Duration) -> Result<(), GatewayBenchError> {
        let mut events = Events::with_capacity(1_024);
        match self.poll.poll(&mut events, Some(time)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other.map_err(failed("poll"))?,
        }
        for event in &events {
            match event.token() {
                TRADER => self.take_answers()?,
                Token(index) => self.take_events(index)?,
            }
        }
        Ok(())
    }

    fn take_events(&mut self, index: usize) -> Result<(), GatewayBenchError> {
        let Some(client) = self.clients.get_mut(index) else {
            return Ok(());
        };
        let (planned, first, deliveries) = (&self.planned, self.first_order, &mut self.deliveries);
        client.hear(&mut self.scratch, |Heard { order, at }| {
            let place = usize::try_from(order - first).unwrap_or(usize::MAX);
            let planned = planned.get(place).ok_or_else(|| wrong("an event of no order"))?;
            deliveries.saturating_record(nanos(at.saturating_duration_since(*planned)));
            Ok(())
        })
    }

    fn take_answers(&mut self) -> Result<(), GatewayBenchError> {
        loop {
            match self.trader.read(&mut self.scratch) {
                Ok(0) => return Err(wrong("the trader's connection was closed")),
                Ok(count) => self.received.extend_from_slice(&self.scratch[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(failed("receive")(error)),
            }
        }
        let now = Instant::now();
        while let Some(length) = http_answer(&self.received)? {
            self.received.drain(..length);
            let planned = self.planned.get(self.answered);
            let planned = planned.ok_or_else(|| wrong("an answer to nothing"))?;
            self.answers
                .saturating_record(nanos(now.saturating_duration_since(*planned)));
            self.answered += 1;
        }
        Ok(())
    }
}

fn wrong(what: &str) -> GatewayBenchError {
    GatewayBenchError::WrongResult(what.to_owned())
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// `VmRSS` of a process (proc(5)).
fn resident_kib(pid: u32) -> Result<u64, GatewayBenchError> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(failed("memory"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|text| text.trim().strip_suffix(" kB")?.trim().parse().ok())
        .ok_or_else(|| wrong("the process tells no VmRSS"))
}

impl FanOutReport {
    fn per_second(&self) -> u64 {
        let micros = u64::try_from(self.elapsed.as_micros()).unwrap_or(u64::MAX).max(1);
        self.deliveries.len().saturating_mul(1_000_000) / micros
    }

    fn above_idle_kib(&self) -> u64 {
        self.busy_kib.saturating_sub(self.idle_kib)
    }

    fn rows(&self) -> [(&'static str, &Histogram<u64>); 2] {
        [
            ("deliveries", &self.deliveries),
            ("POST meanwhile", &self.answers),
        ]
    }

    pub fn json(&self) -> Value {
        let rows = self.rows().map(|(name, histogram)| {
            json!({
                "what": name,
                "count": histogram.len(),
                "p50_ns": histogram.value_at_quantile(0.5),
                "p99_ns": histogram.value_at_quantile(0.99),
                "p99_9_ns": histogram.value_at_quantile(0.999),
                "max_ns": histogram.max(),
            })
        });
        json!({
            "benchmark": "fan-out",
            "ack": self.ack.as_str(),
            "clients": self.clients,
            "stalled": self.stalled,
            "orders_per_second": self.rate,
            "deliveries_per_second": self.per_second(),
            "idle_kib": self.idle_kib,
            "above_idle_kib": self.above_idle_kib(),
            "met": self.above_idle_kib() <= ABOVE_IDLE_KIB_MAX,
            "rows": rows,
        })
    }
}

impl fmt::Display for FanOutReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (clients, stalled, rate, ack) = (self.clients, self.stalled, self.rate, self.ack.as_str());
        writeln!(
            f,
            "open loop, {rate} orders/s to {clients} clients and {stalled} that read nothing, ack {ack}; microseconds"
        )?;
        writeln!(
            f,
            "{:<16} {:>8} {:>8} {:>8} {:>8} {:>8}",
            "", "count", "p50", "p99", "p99.9", "max"
        )?;
        for (name, histogram) in self.rows() {
            let us = |quantile| histogram.value_at_quantile(quantile) / 1_000;
            let (count, max) = (histogram.len(), histogram.max() / 1_000);
            let (p50, p99, p99_9) = (us(0.5), us(0.99), us(0.999));
            writeln!(f, "{name:<16} {count:>8} {p50:>8} {p99:>8} {p99_9:>8} {max:>8}")?;
        }
        let word = |met| if met { "met" } else { "missed" };
        let (per_second, above) = (self.per_second(), self.above_idle_kib());
        // A run sends what it was asked to: the target only speaks of runs that ask for it.
        let asked = u64::from(clients) * u64::from(rate);
        if asked >= DELIVERIES_PER_SECOND_MIN {
            // The last event is waited for, which takes some milliseconds beyond the planned time.
            let met = per_second >= DELIVERIES_PER_SECOND_MIN * 99 / 100;
            writeln!(
                f,
                "deliveries: {per_second}/s (target {DELIVERIES_PER_SECOND_MIN}: {})",
                word(met)
            )?;
        } else {
            writeln!(f, "deliveries: {per_second}/s")?;
        }
        writeln!(
            f,
            "resident: {} KiB idle, {above} KiB above (target {ABOVE_IDLE_KIB_MAX}: {})",
            self.idle_kib,
            word(above <= ABOVE_IDLE_KIB_MAX)
        )
    }
}
