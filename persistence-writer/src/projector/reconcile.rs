//! Reconciliation: what the engine's fold, the read model and the tables show after the same command, side by side.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use engine::{AveragePrice, Engine, Money, Timestamp};
use read_model::History;
use serde_json::json;

use super::store::{Question, StoreError, TableStore};
use super::table::{Column, Kind, OnConflict, Row, Table, Value, date_text};

/// What one side shows after the command `seq`: everything that is open, and today's totals.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    pub seq: u64,
    /// Trading day (IST) of that command.
    pub day: u32,
    pub orders: BTreeMap<u64, OpenOrder>,
    pub positions: BTreeMap<u64, OpenPosition>,
    pub accounts: BTreeMap<String, AccountTotals>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenOrder {
    pub account: String,
    pub symbol: String,
    pub exchange: String,
    pub status: String,
    pub quantity: i64,
    pub filled: i64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenPosition {
    pub account: String,
    pub symbol: String,
    pub exchange: String,
    /// Signed.
    pub quantity: i64,
    pub average_price: Money,
    /// Net of charges.
    pub realised: Money,
}

/// Of today, but for the balance.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AccountTotals {
    pub balance: Money,
    pub orders: u64,
    pub trades: u64,
    pub charges: Money,
    /// Of positions that were closed, net.
    pub realised: Money,
}

/// What was traded since the journal began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Volume {
    pub orders: u64,
    pub trades: u64,
    pub quantity: u64,
}

impl fmt::Display for OpenOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OpenOrder {
            account,
            symbol,
            exchange,
            status,
            quantity,
            filled,
        } = self;
        write!(
            f,
            "{status}, {filled} of {quantity} filled ({symbol} on {exchange}, account {account})"
        )
    }
}

impl fmt::Display for OpenPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OpenPosition {
            account,
            symbol,
            exchange,
            quantity,
            average_price,
            realised,
        } = self;
        write!(
            f,
            "{quantity} at {average_price}, realised {realised} ({symbol} on {exchange}, account {account})"
        )
    }
}

impl fmt::Display for AccountTotals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AccountTotals {
            balance,
            orders,
            trades,
            charges,
            realised,
        } = self;
        write!(
            f,
            "balance {balance}, today {orders} orders, {trades} trades, charges {charges}, realised {realised}"
        )
    }
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Volume {
            orders,
            trades,
            quantity,
        } = self;
        write!(f, "{orders} orders, {trades} trades of {quantity} shares")
    }
}

/// For a sentence; what a side does not have is nothing.
fn or_none(side: Option<&impl fmt::Display>) -> String {
    side.map_or_else(|| "nothing".to_owned(), ToString::to_string)
}

/// One thing on which two sides do not agree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// Who differs from the engine's fold: `read_model` or `tables`.
    pub side: &'static str,
    pub account: String,
    /// `*` where no single one is meant.
    pub symbol: String,
    pub exchange: String,
    /// One of `reconciliation_log.issue_type`.
    pub issue_type: &'static str,
    /// `WARNING` or `CRITICAL`.
    pub severity: &'static str,
    /// The engine's and the other side's, where they are quantities.
    pub engine_quantity: Option<i64>,
    pub other_quantity: Option<i64>,
    /// Average prices, where those differ.
    pub engine_price: Option<Money>,
    pub other_price: Option<Money>,
    /// A sentence for a person.
    pub message: String,
}

/// What a reconciliation came to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    pub seq: u64,
    pub open_orders: u64,
    pub open_positions: u64,
    pub accounts: u64,
    /// Of the tables, in all.
    pub orders: u64,
    pub trades: u64,
    pub differences: Vec<Difference>,
}

impl Report {
    /// `engine` is what was compared with; `volume` is what the tables have in all, and `expected` what they must have.
    pub fn new(engine: &Standing, volume: Volume, expected: Volume, differences: Vec<Difference>) -> Report {
        let mut differences = differences;
        differences.extend(compare_volume(expected, volume));
        Report {
            seq: engine.seq,
            open_orders: engine.orders.len() as u64,
            open_positions: engine.positions.len() as u64,
            accounts: engine.accounts.len() as u64,
            orders: volume.orders,
            trades: volume.trades,
            differences,
        }
    }
}

impl Standing {
    /// Of a fold: the read model's or the projector's own.
    pub fn of(engine: &Engine, history: &History) -> Standing {
        let account_name = |id| {
            engine
                .account(id)
                .map_or_else(String::new, |view| view.name.as_str().to_owned())
        };
        let names = |id| {
            engine.instrument(id).map_or_else(Default::default, |view| {
                let definition = view.definition;
                (
                    definition.symbol.as_str().to_owned(),
                    definition.exchange.as_str().to_owned(),
                )
            })
        };
        let orders = history.orders().active(None).map(|order| {
            let (symbol, exchange) = names(order.instrument);
            let open = OpenOrder {
                account: account_name(order.account),
                symbol,
                exchange,
                status: order.status.as_str().to_owned(),
                quantity: order.quantity.shares().into(),
                filled: order.filled.shares().into(),
            };
            (order.id.get(), open)
        });
        let open = history.positions().open_newest_first(None);
        let positions = open
            .iter()
            .filter_map(|open| engine.position(open.position))
            .map(|view| {
                let (symbol, exchange) = names(view.instrument);
                let average = AveragePrice::of(view.cost, view.quantity);
                let open = OpenPosition {
                    account: account_name(view.account),
                    symbol,
                    exchange,
                    quantity: view.quantity,
                    average_price: average.map_or(Money::ZERO, |average| average.round_half_up()),
                    realised: view.realised.saturating_sub(view.charges),
                };
                (view.position.get().into(), open)
            });
        let accounts = engine.accounts().filter(|view| !view.venue).map(|view| {
            let counters = history.counters(view.account);
            let totals = AccountTotals {
                balance: view.balance,
                orders: counters.orders,
                trades: counters.trades,
                charges: counters.charges,
                realised: counters.realised_of_closed,
            };
            (view.name.as_str().to_owned(), totals)
        });
        Standing {
            seq: engine.last_seq().get(),
            day: engine.time().trading_day(),
            orders: orders.collect(),
            positions: positions.collect(),
            accounts: accounts.collect(),
        }
    }
}

/// Reads what the tables show, in one snapshot of the database. `day` is the trading day to total.
pub fn read_tables(store: &mut dyn TableStore, day: u32) -> Result<(Standing, Volume), StoreError> {
    let own = store.own_prefix();
    let mine = "seq IS NOT NULL";
    let text = |column: &str| format!("CAST({column} AS TEXT)");
    let queries = vec![
        format!("SELECT {} FROM {own}watermark", text("seq")),
        format!(
            "SELECT {}, account, symbol, exchange, status, {}, {} FROM orders
             WHERE {mine} AND status IN ('PENDING', 'SUBMITTED', 'OPEN')",
            text("id"),
            text("quantity"),
            text("filled_quantity")
        ),
        format!(
            "SELECT {}, account, symbol, exchange, {}, {}, {} FROM positions WHERE {mine} AND closed_at IS NULL",
            text("id"),
            text("quantity"),
            text("average_price"),
            text("realized_pnl")
        ),
        format!(
            "SELECT account, {}, {}, {}, {} FROM daily_stats WHERE {mine} AND date = '{}'",
            text("total_orders"),
            text("total_trades"),
            text("total_charges"),
            text("realized_pnl"),
            date_text(day)
        ),
        format!(
            "SELECT l.account, {} FROM {own}account_ledger l
             JOIN (SELECT account, max(seq) AS seq FROM {own}account_ledger GROUP BY account) newest
             ON newest.account = l.account AND newest.seq = l.seq ORDER BY l.ordinal",
            text("l.balance")
        ),
        format!("SELECT CAST(count(*) AS TEXT) FROM orders WHERE {mine}"),
        format!(
            "SELECT CAST(count(*) AS TEXT), CAST(coalesce(sum(quantity), 0) AS TEXT) FROM trades WHERE {mine}"
        ),
    ];
    let mut answers = store
        .read(queries.into_iter().map(Question::from).collect())?
        .into_iter();
    let mut next = || answers.next().unwrap_or_default();
    let mut standing = Standing {
        seq: next().first().map_or(0, |row| whole(row, 0)),
        day,
        ..Standing::default()
    };
    for row in next() {
        let order = OpenOrder {
            account: text_at(&row, 1),
            symbol: text_at(&row, 2),
            exchange: text_at(&row, 3),
            status: text_at(&row, 4),
            quantity: signed(&row, 5),
            filled: signed(&row, 6),
        };
        standing.orders.insert(whole(&row, 0), order);
    }
    for row in next() {
        let position = OpenPosition {
            account: text_at(&row, 1),
            symbol: text_at(&row, 2),
            exchange: text_at(&row, 3),
            quantity: signed(&row, 4),
            average_price: money(&row, 5),
            realised: money(&row, 6),
        };
        standing.positions.insert(whole(&row, 0), position);
    }
    for row in next() {
        let totals = AccountTotals {
            balance: Money::ZERO,
            orders: whole(&row, 1),
            trades: whole(&row, 2),
            charges: money(&row, 3),
            realised: money(&row, 4),
        };
        standing.accounts.insert(text_at(&row, 0), totals);
    }
    for row in next() {
        standing.accounts.entry(text_at(&row, 0)).or_default().balance = money(&row, 1);
    }
    let orders = next();
    let trades = next();
    let volume = Volume {
        orders: orders.first().map_or(0, |row| whole(row, 0)),
        trades: trades.first().map_or(0, |row| whole(row, 0)),
        quantity: trades.first().map_or(0, |row| whole(row, 1)),
    };
    Ok((standing, volume))
}

fn text_at(row: &[Option<String>], place: usize) -> String {
    row.get(place).cloned().flatten().unwrap_or_default()
}

fn whole(row: &[Option<String>], place: usize) -> u64 {
    text_at(row, place).parse().unwrap_or_default()
}

fn signed(row: &[Option<String>], place: usize) -> i64 {
    text_at(row, place).parse().unwrap_or_default()
}

fn money(row: &[Option<String>], place: usize) -> Money {
    text_at(row, place).parse().unwrap_or_default()
}

/// Everything on which `other` and the engine's fold do not agree.
pub fn compare(engine: &Standing, other: &Standing, side: &'static str) -> Vec<Difference> {
    let mut differences = Vec::new();
    compare_orders(engine, other, side, &mut differences);
    compare_positions(engine, other, side, &mut differences);
    let names: BTreeSet<&String> = engine.accounts.keys().chain(other.accounts.keys()).collect();
    for name in names {
        let (found, shown) = (engine.accounts.get(name), other.accounts.get(name));
        if found != shown {
            differences.push(Difference {
                message: format!(
                    "account {name}: the engine has {}, the {side} {}",
                    or_none(found),
                    or_none(shown)
                ),
                ..Difference::other(side, name)
            });
        }
    }
    differences
}

fn compare_orders(
    engine: &Standing,
    other: &Standing,
    side: &'static str,
    differences: &mut Vec<Difference>,
) {
    let ids: BTreeSet<&u64> = engine.orders.keys().chain(other.orders.keys()).collect();
    for id in ids {
        let (found, shown) = (engine.orders.get(id), other.orders.get(id));
        let Some(either) = found.or(shown).filter(|_| found != shown) else {
            continue;
        };
        differences.push(Difference {
            symbol: either.symbol.clone(),
            exchange: either.exchange.clone(),
            engine_quantity: found.map(|order| order.quantity),
            other_quantity: shown.map(|order| order.quantity),
            message: format!(
                "order {id}: the engine has {}, the {side} {}",
                or_none(found),
                or_none(shown)
            ),
            ..Difference::other(side, &either.account)
        });
    }
}

fn compare_positions(
    engine: &Standing,
    other: &Standing,
    side: &'static str,
    differences: &mut Vec<Difference>,
) {
    let ids: BTreeSet<&u64> = engine.positions.keys().chain(other.positions.keys()).collect();
    for id in ids {
        let (found, shown) = (engine.positions.get(id), other.positions.get(id));
        let Some(either) = found.or(shown).filter(|_| found != shown) else {
            continue;
        };
        let issue_type = match (found, shown) {
            (None, _) => "PHANTOM_POSITION",
            (_, None) => "UNKNOWN_POSITION",
            (Some(found), Some(shown)) if found.quantity != shown.quantity => "QUANTITY_MISMATCH",
            (Some(found), Some(shown)) if found.average_price != shown.average_price => "PRICE_MISMATCH",
            _ => "OTHER",
        };
        differences.push(Difference {
            symbol: either.symbol.clone(),
            exchange: either.exchange.clone(),
            issue_type,
            severity: "CRITICAL",
            engine_quantity: Some(found.map_or(0, |position| position.quantity)),
            other_quantity: Some(shown.map_or(0, |position| position.quantity)),
            engine_price: found.map(|position| position.average_price),
            other_price: shown.map(|position| position.average_price),
            message: format!(
                "position {id}: the engine has {}, the {side} {}",
                or_none(found),
                or_none(shown)
            ),
            ..Difference::other(side, &either.account)
        });
    }
}

/// Orders and trades since the journal began. What the database refused is missing there, and so a difference.
fn compare_volume(engine: Volume, tables: Volume) -> Option<Difference> {
    (engine != tables).then(|| Difference {
        severity: "CRITICAL",
        message: format!("in all: the engine has {engine}, the tables {tables}"),
        ..Difference::other("tables", "main")
    })
}

impl Difference {
    fn other(side: &'static str, account: &str) -> Difference {
        Difference {
            side,
            account: account.to_owned(),
            symbol: "*".to_owned(),
            exchange: "*".to_owned(),
            issue_type: "OTHER",
            severity: "WARNING",
            engine_quantity: None,
            other_quantity: None,
            engine_price: None,
            other_price: None,
            message: String::new(),
        }
    }

    fn row(&self, seq: u64, now: Timestamp) -> Row {
        let apart = self
            .engine_quantity
            .zip(self.other_quantity)
            // Somebody may have written anything, and the column has 32 bits.
            .map(|(engine, other)| {
                engine
                    .saturating_sub(other)
                    .clamp(i32::MIN.into(), i32::MAX.into())
            });
        vec![
            Value::text(&self.account),
            Value::text(&self.symbol),
            Value::text(&self.exchange),
            Value::name(self.issue_type),
            Value::name(self.severity),
            Value::optional(self.engine_quantity, Value::Int),
            Value::optional(self.other_quantity, Value::Int),
            Value::optional(apart, Value::Int),
            Value::optional(self.engine_price, Value::money),
            Value::optional(self.other_price, Value::money),
            Value::Time(now),
            Value::Json(
                json!({"side": self.side, "message": self.message})
                    .to_string()
                    .into(),
            ),
            Value::id(seq),
        ]
    }
}

const fn column(name: &'static str, kind: Kind) -> Column {
    Column {
        name,
        kind,
        kept: false,
    }
}

/// `reconciliation_log`, as differences are written to it: each a new row.
pub(crate) static RECONCILIATION_LOG: Table = Table {
    name: "reconciliation_log",
    own: false,
    columns: &[
        column("account", Kind::Text),
        column("symbol", Kind::Text),
        column("exchange", Kind::Text),
        column("issue_type", Kind::Text),
        column("severity", Kind::Text),
        column("internal_quantity", Kind::Int4),
        column("broker_quantity", Kind::Int4),
        column("difference", Kind::Int4),
        column("internal_avg_price", Kind::Decimal2),
        column("broker_avg_price", Kind::Decimal2),
        column("detected_at", Kind::Time),
        column("metadata", Kind::Json),
        column("seq", Kind::Int8),
    ],
    key: &["id"],
    on_conflict: OnConflict::Once,
};

/// Puts the differences in the place of those of the last reconciliation, which count as resolved.
pub fn log(store: &mut dyn TableStore, report: &Report, now: Timestamp) -> Result<(), StoreError> {
    let rows = report
        .differences
        .iter()
        .map(|difference| difference.row(report.seq, now));
    store.log(rows.collect(), now)
}

/// Shows what the read model has at some command at or after the one given; `None` where it does not get there.
pub(crate) type Capture = Box<dyn FnOnce(u64) -> Option<Standing> + Send>;

pub(crate) struct Request {
    pub(crate) capture: Capture,
    pub(crate) reply: SyncSender<Result<Report, String>>,
    /// Whoever asks has given up by then.
    pub(crate) until: Instant,
}

/// Asks the projector's thread, which alone stands still where the tables do. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reconciler {
    requests: SyncSender<Request>,
}

/// The projector's end of a [`Reconciler`].
pub struct Requests(pub(crate) Receiver<Request>);

impl std::fmt::Debug for Requests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Requests").finish_non_exhaustive()
    }
}

impl Reconciler {
    /// One reconciliation waits at a time; more are refused.
    pub fn new() -> (Reconciler, Requests) {
        let (requests, receiver) = sync_channel(1);
        (Reconciler { requests }, Requests(receiver))
    }

    /// Compares all sides. `capture` is called on the projector's thread with a command, and shows what the read model
    /// has at that command or a later one. Tables that are catching up are waited for.
    pub fn reconcile(
        &self,
        capture: impl FnOnce(u64) -> Option<Standing> + Send + 'static,
        timeout: Duration,
    ) -> Result<Report, String> {
        let (reply, answer) = sync_channel(1);
        let request = Request {
            capture: Box::new(capture),
            reply,
            until: Instant::now() + timeout,
        };
        match self.requests.try_send(request) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err("another reconciliation is under way".to_owned()),
            Err(TrySendError::Disconnected(_)) => return Err("the projector has ended".to_owned()),
        }
        answer.recv_timeout(timeout).unwrap_or_else(|error| match error {
            RecvTimeoutError::Timeout => Err(format!("no answer within {} s", timeout.as_secs())),
            RecvTimeoutError::Disconnected => Err("the projector has ended".to_owned()),
        })
    }
}
