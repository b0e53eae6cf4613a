//! A small trading floor: one instrument, a trader, a counterparty and a venue account, behind a REST server.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use api_sidecar::rest::{ProcessHealth, RestServer, RestSettings, serve};
use engine::{
    AccountDefinition, AccountId, AccountName, Actor, CancelOrder, Capacity, ClientOrderId, Command,
    InstrumentDefinition, InstrumentId, KillScope, KillSwitch, NewOrder, OrderId, OrderRef, OrderType,
    Product, Quantity, Ratio, RiskLimits, Seq, Sequenced, Side, StrategyId, Symbol, Text, TimeInForce,
    Timestamp, TradingState,
};
use read_model::{ReadModel, SharedReadModel};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const MAIN: AccountId = AccountId::new(0);
pub(crate) const COUNTER: AccountId = AccountId::new(1);
pub(crate) const VENUE: AccountId = AccountId::new(2);
pub(crate) const RELIANCE: InstrumentId = InstrumentId::new(0);
/// 2026-08-05 09:15:00 in India.
const OPENING_NS: u64 = 1_785_901_500_000_000_000;

pub(crate) struct Floor {
    pub(crate) model: Arc<SharedReadModel>,
    pub(crate) healthy: Arc<AtomicBool>,
    pub(crate) socket: PathBuf,
    _server: RestServer,
    seq: u64,
    waited_ns: u64,
    _directory: TempDir,
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// Who asks: the gateway's headers.
#[derive(Clone, Copy)]
pub(crate) struct As {
    account: AccountId,
    name: &'static str,
    role: &'static str,
    min_seq: u64,
}

pub(crate) const TRADER: As = As {
    account: MAIN,
    name: "main",
    role: "trader",
    min_seq: 0,
};
pub(crate) const COUNTER_TRADER: As = As {
    account: COUNTER,
    name: "counter",
    ..TRADER
};
pub(crate) const ADMIN: As = As {
    role: "admin",
    ..TRADER
};

impl As {
    /// The gateway's header lines.
    pub(crate) fn fields(self) -> String {
        format!(
            "X-Pinion-Account: {}\r\nX-Pinion-Account-Name: {}\r\nX-Pinion-Role: {}\r\nX-Pinion-Min-Seq: {}\r\n",
            self.account, self.name, self.role, self.min_seq
        )
    }

    pub(crate) fn told(self, min_seq: u64) -> As {
        As { min_seq, ..self }
    }
}

impl Floor {
    pub(crate) fn open() -> Floor {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("rest.sock");
        let capacity = Capacity {
            accounts: 8,
            instruments: 8,
            orders: 1_024,
            positions: 256,
            client_order_ids: 1_024,
        };
        let model = Arc::new(SharedReadModel::new(ReadModel::new(capacity)));
        let healthy = Arc::new(AtomicBool::new(true));
        let server = start(&socket, &model, &healthy);
        let mut floor = Floor {
            model,
            healthy,
            socket,
            _server: server,
            seq: 0,
            waited_ns: 0,
            _directory: directory,
        };
        floor.apply(Command::DefineInstrument(Box::new(reliance())));
        for (name, limits, balance, venue) in [
            ("main", RiskLimits::dashboard(), "100000", false),
            ("counter", RiskLimits::maker(), "10000000", false),
            ("sim-maker", RiskLimits::unlimited_paper(), "0", true),
        ] {
            floor.apply(Command::DefineAccount(Box::new(AccountDefinition {
                name: AccountName::new(name).unwrap(),
                opening_balance: balance.parse().unwrap(),
                limits,
                profile: Text::new("dashboard").unwrap(),
                venue,
            })));
        }
        floor
    }

    /// Folds a command one millisecond after the last.
    pub(crate) fn apply(&mut self, command: Command) -> u64 {
        self.seq += 1;
        let sequenced = Sequenced {
            seq: Seq::new(self.seq),
            time: Timestamp::from_nanos(OPENING_NS + self.waited_ns + self.seq * 1_000_000),
            command,
        };
        self.model.advance(|model| model.apply(&sequenced));
        self.seq
    }

    /// Lets seconds pass, then fires what became due.
    pub(crate) fn wait(&mut self, seconds: u64) {
        self.waited_ns += seconds * 1_000_000_000;
        self.apply(Command::Tick);
    }

    /// A resting sell of the counterparty and the sample order of CONTRACT.md section 2 that takes it: order 1 of the
    /// counterparty, order 2 of the trader, one trade of 10 at ₹2,450.
    pub(crate) fn trade(&mut self) {
        self.trade_of(10);
    }

    /// As [`Floor::trade`], of so many shares: three identical orders within a second would be a burst.
    pub(crate) fn trade_of(&mut self, shares: u32) {
        self.apply(Command::NewOrder(sell(shares, "2450.00")));
        self.apply(Command::NewOrder(NewOrder {
            quantity: Quantity::new(shares).unwrap(),
            ..sample_buy("")
        }));
    }

    pub(crate) fn cancel(&mut self, account: AccountId, order: u64) {
        self.apply(Command::CancelOrder(CancelOrder {
            actor: Actor {
                account,
                admin: false,
            },
            order: OrderRef::Id(OrderId::new(order)),
        }));
    }

    pub(crate) fn kill(&mut self, reason: &str) {
        self.apply(Command::KillSwitch(KillSwitch {
            actor: Actor {
                account: MAIN,
                admin: true,
            },
            scope: KillScope::Account(MAIN),
            state: TradingState::Reducing,
            flatten: Some(false),
            reason: Text::new(reason).unwrap(),
            triggered_by: Text::new("asha").unwrap(),
        }));
    }

    pub(crate) fn get(&self, caller: As, path: &str) -> Reply {
        self.ask("GET", Some(caller), path)
    }

    pub(crate) fn ok(&self, caller: As, path: &str) -> Value {
        let reply = self.get(caller, path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        reply.json()
    }

    /// A history as CSV, as the gateway gets it.
    pub(crate) fn csv(&self, caller: As, path: &str) -> Reply {
        self.download(caller, path, "text/csv")
    }

    /// A whole history, in the form that is accepted.
    pub(crate) fn download(&self, caller: As, path: &str, accept: &str) -> Reply {
        let fields = format!("Accept: {accept}\r\n");
        ask_with(&self.socket, "GET", Some(caller), path, &fields)
    }

    /// A question with a JSON body.
    pub(crate) fn post(&self, caller: As, path: &str, json: &str) -> Reply {
        let fields = format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            json.len()
        );
        ask_whole(&self.socket, "POST", Some(caller), path, &fields, json)
    }

    pub(crate) fn ask(&self, method: &str, caller: Option<As>, path: &str) -> Reply {
        ask(&self.socket, method, caller, path)
    }
}

pub(crate) fn start(socket: &Path, model: &Arc<SharedReadModel>, healthy: &Arc<AtomicBool>) -> RestServer {
    let healthy = Arc::clone(healthy);
    let settings = RestSettings {
        reconcile: None,
        earlier: None,
        latency: Arc::default(),
        assets_dir: None,
        threads: 4,
        health: Box::new(move || ProcessHealth {
            database: healthy.load(Ordering::Relaxed),
            order_manager: true,
            written: 7,
            durable: 6,
            tables: None,
        }),
    };
    serve(socket, Arc::clone(model), settings).unwrap()
}

/// One request on a connection of its own, as the gateway sends it.
pub(crate) fn ask(socket: &Path, method: &str, caller: Option<As>, path: &str) -> Reply {
    ask_with(socket, method, caller, path, "")
}

/// As [`ask`] with further header lines, each ending in CRLF.
pub(crate) fn ask_with(socket: &Path, method: &str, caller: Option<As>, path: &str, fields: &str) -> Reply {
    ask_whole(socket, method, caller, path, fields, "")
}

fn ask_whole(socket: &Path, method: &str, caller: Option<As>, path: &str, fields: &str, body: &str) -> Reply {
    let mut stream = UnixStream::connect(socket).unwrap();
    let identity = caller.map_or(String::new(), As::fields);
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: pinion\r\n{identity}{fields}Connection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    Reply {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

fn reliance() -> InstrumentDefinition {
    InstrumentDefinition {
        symbol: Symbol::parse("RELIANCE").unwrap(),
        exchange: Text::new("NSE").unwrap(),
        tick_size: "0.10".parse().unwrap(),
        lot_size: Quantity::new(1).unwrap(),
        freeze_quantity: Quantity::new(100_000).unwrap(),
        reference_price: "2450".parse().unwrap(),
        price_band: Ratio::from_ppm(200_000),
        mis_allowed: true,
        banned: false,
        derivatives: false,
    }
}

pub(crate) fn sell(shares: u32, price: &str) -> NewOrder {
    NewOrder {
        account: COUNTER,
        strategy: StrategyId::new(1),
        instrument: RELIANCE,
        side: Side::Sell,
        product: Product::Mis,
        order_type: OrderType::Limit(price.parse().unwrap()),
        time_in_force: TimeInForce::Day,
        quantity: Quantity::new(shares).unwrap(),
        post_only: false,
        disclosed: None,
        minimum: None,
        stop_loss: None,
        take_profit: None,
        client_order_id: ClientOrderId::EMPTY,
        metadata: None,
    }
}

/// The sample order of the old dashboard.
pub(crate) fn sample_buy(client_order_id: &str) -> NewOrder {
    NewOrder {
        account: MAIN,
        side: Side::Buy,
        stop_loss: Some("2430.00".parse().unwrap()),
        take_profit: Some("2491.00".parse().unwrap()),
        client_order_id: ClientOrderId::new(client_order_id).unwrap(),
        metadata: Some(Box::from(r#"{"note":"sample"}"#)),
        ..sell(10, "2450.00")
    }
}
