//! A REST server over a fold of its own, and its histories.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use api_sidecar::rest::{EarlierProbe, ProcessHealth, RestServer, RestSettings, serve};
use engine::{AccountId, Capacity, Command, Sequenced};
use read_model::{ReadModel, SharedReadModel};
use serde_json::Value;

use crate::session::MAIN;

/// A REST server over a fold of its own.
pub(crate) struct Reader {
    model: Arc<SharedReadModel>,
    socket: PathBuf,
    _server: RestServer,
    _directory: tempfile::TempDir,
}

impl Reader {
    pub(crate) fn new(earlier: Option<EarlierProbe>) -> Reader {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("rest.sock");
        let model = Arc::new(SharedReadModel::new(ReadModel::new(Capacity::default())));
        let settings = RestSettings {
            threads: 2,
            health: Box::new(|| ProcessHealth {
                database: true,
                order_manager: true,
                written: 0,
                durable: 0,
                tables: None,
            }),
            reconcile: None,
            earlier,
            latency: Arc::default(),
            assets_dir: None,
        };
        let server = serve(&socket, Arc::clone(&model), settings).unwrap();
        Reader {
            model,
            socket,
            _server: server,
            _directory: directory,
        }
    }

    pub(crate) fn fold(&self, command: &Sequenced<Command>) {
        self.model.advance(|model| model.apply(command));
    }

    /// Asks as `main`, an admin.
    pub(crate) fn ask(&self, path: &str, fields: &str) -> (u16, String) {
        self.ask_as((MAIN, "main", "admin"), path, fields)
    }

    /// Asks as an account with a name and a role.
    pub(crate) fn ask_as(
        &self,
        (account, name, role): (AccountId, &str, &str),
        path: &str,
        fields: &str,
    ) -> (u16, String) {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: pinion\r\nX-Pinion-Account: {account}\r\nX-Pinion-Account-Name: {name}\r\n\
             X-Pinion-Role: {role}\r\nX-Pinion-Min-Seq: 0\r\n{fields}Connection: close\r\n\r\n"
        )
        .unwrap();
        // A chunk of a download may end within a character.
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let text = String::from_utf8_lossy(&answer);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(path, "");
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// All pages of a history, one after the other.
    pub(crate) fn pages(&self, history: History, filters: &str, limit: usize) -> Vec<Value> {
        let mut rows = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("{}&account=*&limit={limit}{filters}{cursor}", history.path());
            let page = self.get(&path);
            let found = page[history.name()].as_array().unwrap();
            assert!(found.len() <= limit);
            assert_eq!(page["count"], found.len());
            rows.extend(found.iter().cloned());
            match page["next_cursor"].as_i64() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return rows,
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum History {
    Orders,
    Trades,
    Closed,
}

pub(crate) const HISTORIES: [History; 3] = [History::Orders, History::Trades, History::Closed];

impl History {
    pub(crate) fn path(self) -> &'static str {
        match self {
            History::Orders => "/api/oms/orders?",
            History::Trades => "/api/oms/trades?",
            History::Closed => "/api/oms/positions?closed=1",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            History::Orders => "orders",
            History::Trades => "trades",
            History::Closed => "positions",
        }
    }

    pub(crate) fn time(self) -> &'static str {
        match self {
            History::Orders => "created_at",
            History::Trades => "executed_at",
            History::Closed => "closed_at",
        }
    }

    /// What a row is known by. A position may be closed often, but not twice at a time.
    pub(crate) fn key(self, row: &Value) -> String {
        match self {
            History::Orders => format!("{:020}", row["id"].as_i64().unwrap()),
            History::Trades => row["broker_trade_id"].as_str().unwrap().to_owned(),
            History::Closed => format!("{} {}", row["closed_at"], row["id"]),
        }
    }

    /// What a row says of the past.
    pub(crate) fn said(self, row: &Value) -> Value {
        let mut row = row.clone();
        if self == History::Closed {
            // The price of the moment.
            row.as_object_mut().unwrap().remove("current_price");
        }
        if self == History::Orders && row["metadata"] != serde_json::json!({}) {
            // Neither database takes a NUL.
            row["metadata"] = row["metadata"].to_string().replace("\\u0000", "\u{fffd}").into();
        }
        row
    }
}
