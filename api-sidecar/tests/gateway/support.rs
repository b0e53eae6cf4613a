//! A gateway on a free port, an engine that follows a script, and clients that speak plain HTTP and WebSocket.

use scheduling::SharedCore;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use api_sidecar::auth::{AccountAccess, AuthTable, KeyHash, Role};
use api_sidecar::gateway::{AckMode, Directory, Doorbell, Gateway, GatewayError, Lanes, Settings};
use api_sidecar::latency::StampClock;
use engine::lane::{Input, Outbound, Request, Verdict};
use engine::{
    AccountId, AccountName, Command, Event, InstrumentId, Money, OrderAccepted, OrderId, PositionId,
    PositionView, Price, Product, Seq, Side, StrategyId, Text, Timestamp,
};
use serde_json::Value;

/// How long anything in a test may take before the test has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const MAIN: AccountId = AccountId::new(0);
pub(crate) const DESK: AccountId = AccountId::new(1);

/// What the scripted engine says to one input.
pub(crate) enum Says {
    Events(Vec<Event>),
    Verdict(Verdict),
    /// Not without a disk with room.
    Withheld,
}

pub(crate) type Script = Box<dyn FnMut(&Input, OrderId) -> Says + Send>;

pub(crate) struct Setup {
    pub(crate) ack: AckMode,
    pub(crate) script: Script,
    pub(crate) request_ring: usize,
    pub(crate) loopback_account: &'static str,
    pub(crate) allowed_origins: Vec<String>,
    pub(crate) upstream: Option<SocketAddr>,
    /// Whether the scripted journal releases each command at once.
    pub(crate) release: bool,
    /// Answers of the REST service: a request's head and body in, bytes out until the socket is closed.
    pub(crate) rest: Option<RestScript>,
}

pub(crate) type RestScript = Box<dyn Fn(&str, &mut dyn Write) + Send + Sync>;

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            ack: AckMode::Durable,
            script: Box::new(accept_everything),
            request_ring: 1_024,
            loopback_account: "main",
            allowed_origins: Vec::new(),
            upstream: None,
            release: true,
            rest: None,
        }
    }
}

/// Accepts every order at its limit, in the simplest way that the vocabulary allows.
pub(crate) fn accept_everything(input: &Input, next: OrderId) -> Says {
    match input {
        Input::Validate { .. } => Says::Verdict(Verdict::default()),
        Input::Command(Command::NewOrder(order)) => Says::Events(vec![accepted(order, next)]),
        Input::Command(_) => Says::Events(Vec::new()),
        Input::Reducing(_) => Says::Withheld,
    }
}

pub(crate) fn accepted(order: &engine::NewOrder, id: OrderId) -> Event {
    Event::OrderAccepted(OrderAccepted {
        order: id,
        account: order.account,
        strategy: order.strategy,
        instrument: order.instrument,
        position: PositionId::new(1),
        quantity: order.quantity,
        limit: order.order_type.price().unwrap_or(Price::MIN),
        order_type: order.order_type,
        stop_loss: order.stop_loss,
        take_profit: order.take_profit,
        side: order.side,
        product: order.product,
        time_in_force: order.time_in_force,
        cause: None,
    })
}

pub(crate) struct Fixture {
    pub(crate) address: SocketAddr,
    pub(crate) released: Arc<AtomicU64>,
    pub(crate) doorbell: Doorbell,
    /// Events that no request asked for.
    pub(crate) inject: mpsc::Sender<Vec<Event>>,
    /// While set, the scripted engine takes nothing from its ring.
    engine_paused: Arc<AtomicBool>,
    /// Set by the scripted engine while it sees that it is paused.
    engine_rests: Arc<AtomicBool>,
    pub(crate) disk_low: Arc<AtomicBool>,
    /// Heads (and bodies) that reached the REST service.
    pub(crate) relayed: Arc<Mutex<Vec<String>>>,
    /// Allocations of the gateway's thread from its start to its end; known after the end.
    allocations: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    engine_stop: Arc<AtomicBool>,
    gateway: Option<JoinHandle<Result<(), GatewayError>>>,
    engine: Option<JoinHandle<()>>,
    _dir: tempfile::TempDir,
}

impl Fixture {
    pub(crate) fn start(setup: Setup) -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let rest_socket = dir.path().join("rest.sock");
        let relayed = Arc::new(Mutex::new(Vec::new()));
        if let Some(script) = setup.rest {
            serve_rest(&rest_socket, script, Arc::clone(&relayed));
        }
        let gateway = Gateway::bind(Settings {
            upstream: setup.upstream,
            ..settings(
                setup.ack,
                rest_socket,
                setup.allowed_origins,
                setup.loopback_account,
            )
        })
        .unwrap();
        let disk_low = Arc::new(AtomicBool::new(false));
        let gateway = gateway.with_disk_low(Arc::clone(&disk_low));
        let (address, doorbell) = (gateway.local_addr(), gateway.doorbell());
        let latency = gateway.latency();
        let (requests, engine_requests) = rtrb::RingBuffer::new(setup.request_ring);
        let (engine_outbound, outbound) = rtrb::RingBuffer::new(1 << 16);
        let released = Arc::new(AtomicU64::new(0));
        let (inject, injected) = mpsc::channel();
        let (stop, engine_stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (engine_paused, engine_rests) = (Arc::default(), Arc::default());
        let engine = ScriptedEngine {
            script: setup.script,
            requests: engine_requests,
            outbound: engine_outbound,
            injected,
            released: Arc::clone(&released),
            release: setup.release,
            doorbell: doorbell.clone(),
            clock: latency.clock().clone(),
            paused: Arc::clone(&engine_paused),
            rests: Arc::clone(&engine_rests),
            stop: Arc::clone(&engine_stop),
            seq: 0,
            next_order: 1,
        };
        let lanes = Lanes {
            engine_core: SharedCore::default(),
            requests,
            outbound,
            released: Arc::clone(&released),
        };
        let gateway_stop = Arc::clone(&stop);
        let allocations = Arc::new(AtomicU64::new(0));
        Fixture {
            address,
            released,
            doorbell,
            inject,
            engine_paused,
            engine_rests,
            disk_low,
            relayed,
            allocations: Arc::clone(&allocations),
            stop,
            engine_stop,
            gateway: Some(std::thread::spawn(move || {
                let mut end = Ok(());
                let counted = allocation_counter::measure(|| {
                    end = gateway.run(lanes, directory(), &gateway_stop);
                });
                allocations.store(counted.count_total, Ordering::Release);
                end
            })),
            engine: Some(std::thread::spawn(move || engine.run())),
            _dir: dir,
        }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::new(TcpStream::connect(self.address).unwrap())
    }

    /// From another address of this host.
    pub(crate) fn connect_from(&self, address: [u8; 4]) -> Client {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((address, 0)).into()).unwrap();
        socket.connect(&self.address.into()).unwrap();
        Client::new(socket.into())
    }

    /// One request on a connection of its own, as the account that loopback stands for.
    pub(crate) fn call(&self, method: &str, path: &str, body: &str) -> Response {
        self.call_with(method, path, "", body)
    }

    /// As [`Fixture::call`] with further header lines, each ending in CRLF.
    pub(crate) fn call_with(&self, method: &str, path: &str, fields: &str, body: &str) -> Response {
        let mut client = self.connect();
        client.send(&request(method, path, fields, body));
        client.response(method == "HEAD")
    }

    pub(crate) fn release(&self, seq: u64) {
        self.released.store(seq, Ordering::Release);
        self.doorbell.ring();
    }

    /// The scripted engine takes nothing more from its ring when this returns: it may have been about to take one.
    pub(crate) fn pause_engine(&self) {
        self.engine_paused.store(true, Ordering::Release);
        self.engine_rests.store(false, Ordering::Release);
        while !self.engine_rests.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
    }

    pub(crate) fn resume_engine(&self) {
        self.engine_paused.store(false, Ordering::Release);
    }

    pub(crate) fn begin_stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.doorbell.ring();
    }

    /// Stops the gateway and says how often its thread allocated.
    pub(crate) fn stop_and_count_allocations(mut self) -> u64 {
        self.begin_stop();
        self.join_gateway();
        self.allocations.load(Ordering::Acquire)
    }

    pub(crate) fn join_gateway(&mut self) {
        self.gateway.take().unwrap().join().unwrap().unwrap();
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.begin_stop();
        let gateway = self.gateway.take().map(JoinHandle::join);
        self.engine_stop.store(true, Ordering::Release);
        let engine = self.engine.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            if let Some(end) = gateway {
                end.unwrap().unwrap();
            }
            if let Some(end) = engine {
                end.unwrap();
            }
        }
    }
}

pub(crate) fn settings(
    ack: AckMode,
    rest_socket: PathBuf,
    allowed_origins: Vec<String>,
    loopback_account: &str,
) -> Settings {
    let access = |name: &str, role, key: &str| AccountAccess {
        name: AccountName::cut(name),
        role,
        key_hashes: vec![KeyHash::of(key.as_bytes())],
    };
    let accounts = vec![
        access("main", Role::Admin, "admin-key"),
        access("desk", Role::Trader, "trader-key"),
        access("watch", Role::Viewer, "viewer-key"),
    ];
    Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        ack,
        rest_socket,
        allowed_origins,
        auth: AuthTable::new(accounts, loopback_account).unwrap(),
        upstream: None,
    }
}

fn directory() -> Directory {
    let mut directory = Directory::default();
    for (id, symbol) in [(0, "RELIANCE"), (1, "SBIN")] {
        directory.add_instrument(InstrumentId::new(id), Text::cut(symbol), Text::cut("NSE"));
    }
    for (id, name) in [(0, "main"), (1, "desk"), (2, "watch")] {
        directory.add_account(AccountId::new(id), AccountName::cut(name));
    }
    directory.add_position(&PositionView {
        position: PositionId::new(5),
        account: MAIN,
        strategy: StrategyId::new(1),
        instrument: InstrumentId::new(1),
        product: Product::Mis,
        quantity: 10,
        cost: Money::from_paise(800_000),
        realised: Money::ZERO,
        charges: Money::ZERO,
        unrealised: Money::ZERO,
        trailing: None,
        trailing_stop: None,
        trailing_from: None,
        stop_loss: None,
        take_profit: None,
        settled: 0,
        closing: 0,
    });
    directory
}

struct ScriptedEngine {
    script: Script,
    requests: rtrb::Consumer<Request>,
    outbound: rtrb::Producer<Outbound>,
    injected: mpsc::Receiver<Vec<Event>>,
    released: Arc<AtomicU64>,
    release: bool,
    doorbell: Doorbell,
    clock: StampClock,
    paused: Arc<AtomicBool>,
    rests: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    seq: u64,
    next_order: u64,
}

impl ScriptedEngine {
    fn run(mut self) {
        while !self.stop.load(Ordering::Acquire) {
            let rests = self.paused.load(Ordering::Acquire);
            self.rests.store(rests, Ordering::Release);
            if let Ok(events) = self.injected.try_recv() {
                self.decide(None, events);
            } else if !rests && let Ok(request) = self.requests.pop() {
                self.serve(request);
            } else {
                std::thread::sleep(Duration::from_micros(50));
            }
        }
    }

    fn serve(&mut self, request: Request) {
        let order = OrderId::new(self.next_order);
        match (self.script)(&request.input, order) {
            Says::Events(events) => {
                self.next_order += 1;
                self.decide(Some(request.token), events);
            }
            Says::Withheld => {
                self.push(Outbound::Withheld {
                    token: request.token,
                    seq: Seq::new(self.seq),
                    dequeued: self.clock.stamp(),
                    decided: self.clock.stamp(),
                });
                self.doorbell.ring();
            }
            Says::Verdict(verdict) => {
                self.push(Outbound::Checked {
                    token: request.token,
                    seq: Seq::new(self.seq),
                    verdict,
                    dequeued: self.clock.stamp(),
                    decided: self.clock.stamp(),
                });
                self.doorbell.ring();
            }
        }
    }

    fn decide(&mut self, token: Option<u64>, events: Vec<Event>) {
        self.seq += 1;
        self.push(Outbound::Begin {
            seq: Seq::new(self.seq),
            time: Timestamp::from_nanos(self.seq),
            token,
            dequeued: self.clock.stamp(),
        });
        for event in events {
            self.push(Outbound::Event(event));
        }
        self.push(Outbound::End {
            seq: Seq::new(self.seq),
            decided: self.clock.stamp(),
        });
        if self.release {
            self.released.store(self.seq, Ordering::Release);
        }
        self.doorbell.ring();
    }

    fn push(&mut self, mut item: Outbound) {
        while let Err(rtrb::PushError::Full(back)) = self.outbound.push(item) {
            if self.stop.load(Ordering::Acquire) {
                return;
            }
            item = back;
            self.doorbell.ring();
            std::thread::yield_now();
        }
    }
}

/// One thread per connection, as `tiny_http` has; the threads end with their sockets.
fn serve_rest(socket: &std::path::Path, script: RestScript, relayed: Arc<Mutex<Vec<String>>>) {
    let listener = UnixListener::bind(socket).unwrap();
    let script = Arc::new(script);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let (script, relayed) = (Arc::clone(&script), Arc::clone(&relayed));
            std::thread::spawn(move || {
                let text = read_request(&stream);
                relayed.lock().unwrap().push(text.clone());
                script(&text, &mut stream);
            });
        }
    });
}

fn read_request(stream: &std::os::unix::net::UnixStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        if reader.read_line(&mut text).unwrap() == 0 {
            return text;
        }
    }
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    text + &String::from_utf8(body).unwrap()
}

/// A well-formed request to `localhost`.
pub(crate) fn request(method: &str, path: &str, fields: &str, body: &str) -> String {
    let length = match body.is_empty() && method != "POST" && method != "PUT" {
        true => String::new(),
        false => format!("Content-Length: {}\r\n", body.len()),
    };
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}{length}\r\n{body}")
}

/// The sample order of the contract.
pub(crate) const ORDER: &str = r#"{"symbol":"RELIANCE","side":"BUY","quantity":10,"order_type":"LIMIT","price":2450.00,"stop_loss":2430.00,"take_profit":2491.00}"#;

pub(crate) struct Client {
    pub(crate) stream: BufReader<TcpStream>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) fields: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

impl Client {
    pub(crate) fn new(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client {
            stream: BufReader::new(stream),
        }
    }

    pub(crate) fn send(&mut self, bytes: &str) {
        self.stream.get_mut().write_all(bytes.as_bytes()).unwrap();
    }

    pub(crate) fn finish_sending(&mut self) {
        self.stream.get_mut().shutdown(Shutdown::Write).unwrap();
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Status and fields.
    pub(crate) fn head(&mut self) -> Response {
        let status_line = self.line();
        let status = status_line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3))
            .unwrap_or_else(|| panic!("not a status line: {status_line:?}"));
        let mut fields = BTreeMap::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            let twice = fields.insert(name.to_lowercase(), value.to_owned());
            assert_eq!(twice, None, "{name} is given twice");
        }
        Response {
            status: status.parse().unwrap(),
            fields,
            body: String::new(),
        }
    }

    pub(crate) fn response(&mut self, head_only: bool) -> Response {
        let mut response = self.head();
        if head_only || response.status == 100 || response.status == 101 {
            return response;
        }
        let mut body = Vec::new();
        if let Some(length) = response.fields.get("content-length") {
            body.resize(length.parse().unwrap(), 0);
            self.stream.read_exact(&mut body).unwrap();
        } else if response.field("transfer-encoding") == "chunked" {
            loop {
                let size = usize::from_str_radix(&self.line(), 16).unwrap();
                let mut chunk = vec![0; size];
                self.stream.read_exact(&mut chunk).unwrap();
                assert_eq!(self.line(), "");
                if size == 0 {
                    break;
                }
                body.extend_from_slice(&chunk);
            }
        } else {
            self.stream.read_to_end(&mut body).unwrap();
        }
        response.body = String::from_utf8(body).unwrap();
        response
    }

    /// Whether the server has closed, without a further byte.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => {
                assert_eq!(String::from_utf8_lossy(&rest), "");
                true
            }
            Err(error) => panic!("not closed: {error}"),
        }
    }
}

/// A fill of a resting order of `account`.
pub(crate) fn fill(account: AccountId, order: u64) -> Event {
    Event::Fill(engine::Fill {
        trade: engine::TradeId::new(order),
        order: OrderId::new(order),
        position: PositionId::new(1),
        account,
        instrument: InstrumentId::new(0),
        last_quantity: engine::Quantity::clamped(10),
        last_price: Price::from_paise_clamped(245_000),
        cum_quantity: engine::Quantity::clamped(10),
        leaves_quantity: engine::Quantity::ZERO,
        cum_notional: Money::from_paise(2_450_000),
        charges: Default::default(),
        side: Side::Buy,
        status: engine::OrderStatus::Filled,
    })
}
