//! From a request to its answer.

use std::path::Path;
use std::sync::{Arc, RwLockReadGuard};
use std::time::Duration;

use read_model::{ReadModel, SharedReadModel};

use super::answer::Answer;
use super::download::Download;
use super::earlier::{Asked, EarlierProbe, Histories, History};
use super::health::{ProcessHealth, health};
use super::latency;
use super::limits::{PAGE_DEFAULT, PAGE_MAX, READ_YOUR_WRITES_WAIT};
use super::reconcile::ReconcileProbe;
use super::request::{Caller, Query, Target};
use crate::latency::Latency;
use crate::wire::DownloadFormat;

use super::{
    account, alerts, assets, charges, explain, market, orders, own_page, positions, reconcile, risk,
};

/// What every route may use.
pub(super) struct Context<'a> {
    pub(super) model: &'a Arc<SharedReadModel>,
    /// Serves other pages than our own.
    pub(super) assets_dir: Option<&'a Path>,
    pub(super) latency: &'a Latency,
    pub(super) process: &'a (dyn Fn() -> ProcessHealth + Send + Sync),
    pub(super) reconcile: Option<&'a ReconcileProbe>,
    pub(super) earlier: Option<&'a EarlierProbe>,
}

/// An answer, or a download that is made while it is sent.
pub(super) enum Reply {
    Whole(Answer),
    Download(Download),
}

/// A read on the model, with what it needs from the request.
enum Read {
    Positions,
    Position(u64),
    Explain(u64),
    Orders,
    ActiveOrders,
    /// Those before Pinion have ids below zero.
    Order(i64),
    Trades,
    RiskSummary,
    RiskAlerts,
    RiskLimits,
    Account,
    StatsToday,
    Instruments,
    Depth(String),
}

impl Read {
    /// The route of a path below `/api/oms/`; an id that is not an integer is an unknown path.
    fn parse(path: &[&str]) -> Option<Read> {
        match path {
            ["positions"] => Some(Read::Positions),
            ["positions", id] => decimal(id).map(Read::Position),
            ["positions", id, "explain"] => decimal(id).map(Read::Explain),
            ["orders"] => Some(Read::Orders),
            ["orders", "active"] => Some(Read::ActiveOrders),
            ["orders", id] => signed_decimal(id).map(Read::Order),
            ["trades"] => Some(Read::Trades),
            ["risk", "summary"] => Some(Read::RiskSummary),
            ["risk", "alerts"] => Some(Read::RiskAlerts),
            ["risk", "limits"] => Some(Read::RiskLimits),
            ["account"] => Some(Read::Account),
            ["stats", "today"] => Some(Read::StatsToday),
            ["instruments"] => Some(Read::Instruments),
            ["depth", symbol] => Some(Read::Depth((*symbol).to_owned())),
            _ => None,
        }
    }

    /// What reaches into earlier days, can be paged and be downloaded whole.
    fn history(&self, query: &Query) -> Option<History> {
        match self {
            Read::Orders => Some(History::Orders),
            Read::Trades => Some(History::Trades),
            Read::Positions if query.flag("closed") => Some(History::ClosedPositions),
            _ => None,
        }
    }

    fn answer(&self, caller: &Caller, query: &Query, model: &ReadModel) -> Result<Answer, Answer> {
        match self {
            Read::Positions => positions::list(caller, query, model),
            Read::Position(id) => positions::one(caller, *id, model),
            Read::Explain(id) => explain::explain(caller, *id, query, model),
            Read::ActiveOrders => orders::active(caller, query, model),
            Read::Order(id) => orders::one(caller, *id, model),
            Read::RiskSummary => risk::summary(caller, query, model),
            Read::RiskAlerts => alerts::list(caller, query, model),
            Read::RiskLimits => risk::limits(caller, query, model),
            Read::Account => account::account(caller, query, model),
            Read::StatsToday => account::stats_today(caller, query, model),
            Read::Instruments => Ok(market::instruments(model)),
            Read::Depth(symbol) => market::depth(symbol, query, model),
            Read::Orders | Read::Trades => Err(Answer::not_found()),
        }
    }
}

/// Digits only: neither `+1` nor ` 1`.
fn decimal(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    text.parse().ok()
}

/// The same with a minus in front, or none.
fn signed_decimal(text: &str) -> Option<i64> {
    let number = text.strip_prefix('-').unwrap_or(text);
    decimal(number).and_then(|_| text.parse().ok())
}

/// Answers a request. `header` looks a header up by its lower-case name; `body` is empty for a read.
pub(super) fn answer<'h>(
    context: &Context<'_>,
    method: &str,
    target: &str,
    header: impl Fn(&str) -> Option<&'h str>,
    body: &[u8],
) -> Reply {
    let Some(target) = Target::parse(target) else {
        let refused = Answer::error(400, "The request target is not valid percent-encoded UTF-8");
        return Reply::Whole(refused);
    };
    let segments: Vec<&str> = target.segments.iter().map(String::as_str).collect();
    let reads = matches!(method, "GET" | "HEAD");
    let whole = match segments.as_slice() {
        ["api", "oms", "charges"] if method == "POST" => ask_charges(context, header, body),
        ["api", "oms", "charges"] => {
            Answer::error(405, "Method is not allowed here").with_header("Allow", "POST, OPTIONS")
        }
        path if !reads && !is_known(context, path) => Answer::not_found(),
        _ if !reads => {
            Answer::error(405, "Method is not allowed here").with_header("Allow", "GET, HEAD, OPTIONS")
        }
        ["api", "oms", "health"] => health(&(context.process)(), context.model),
        ["api", "oms", "reconcile"] => match Caller::parse(header) {
            Some(caller) => reconcile::answer(&caller, context.reconcile),
            None => Answer::error(401, "Authentication required"),
        },
        ["metrics"] => latency::metrics(context.latency, &(context.process)()),
        ["api", "oms", "latency"] => latency::json(context.latency),
        ["api", "oms", "latency.hgrm"] => {
            latency::hgrm(context.latency, &target.query).unwrap_or_else(|refused| refused)
        }
        [
            "api",
            "oms",
            "docs" | "docs.css" | "docs.js" | "openapi.json" | "latency.html" | "latency.js",
        ] => assets::page(&segments).unwrap_or_else(Answer::not_found),
        ["api", "oms", rest @ ..] => match Read::parse(rest) {
            Some(read) => return answer_read(context, &read, target.query, header),
            None => Answer::not_found(),
        },
        path => page(context, path).unwrap_or_else(Answer::not_found),
    };
    Reply::Whole(whole)
}

fn ask_charges<'h>(context: &Context<'_>, header: impl Fn(&str) -> Option<&'h str>, body: &[u8]) -> Answer {
    let Some(caller) = Caller::parse(header) else {
        return Answer::error(401, "Authentication required");
    };
    match context.model.read_at(caller.min_seq, READ_YOUR_WRITES_WAIT) {
        Some(model) => charges::quote(&caller, body, &model).unwrap_or_else(|refused| refused),
        None => behind(READ_YOUR_WRITES_WAIT),
    }
}

fn page(context: &Context<'_>, path: &[&str]) -> Option<Answer> {
    match context.assets_dir {
        Some(folder) if !matches!(path, ["api", ..]) => own_page::page(folder, path),
        _ => assets::page(path),
    }
}

/// Whether a path names something that can be read.
fn is_known(context: &Context<'_>, path: &[&str]) -> bool {
    match path {
        ["api", "oms", "health" | "reconcile" | "latency" | "latency.hgrm"] | ["metrics"] => true,
        ["api", "oms", rest @ ..] if Read::parse(rest).is_some() => true,
        path => page(context, path).is_some(),
    }
}

fn answer_read<'h>(
    context: &Context<'_>,
    read: &Read,
    query: Query,
    header: impl Fn(&str) -> Option<&'h str>,
) -> Reply {
    if let Some(name) = query.repeated() {
        let name: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
        return Reply::Whole(Answer::error(
            400,
            format_args!("Invalid parameter: {name} is given more than once"),
        ));
    }
    let history = read.history(&query);
    let format = header("accept").and_then(DownloadFormat::asked_for);
    let Some(caller) = Caller::parse(header) else {
        return Reply::Whole(Answer::error(401, "Authentication required"));
    };
    let Some(model) = context.model.read_at(caller.min_seq, READ_YOUR_WRITES_WAIT) else {
        return Reply::Whole(behind(READ_YOUR_WRITES_WAIT));
    };
    let histories = || Histories {
        model: Arc::clone(context.model),
        earlier: context.earlier.cloned(),
    };
    let reply = match (history.map(|history| (history, format)), read) {
        (Some((history, Some(format))), _) => {
            Download::begin((history, format), &caller, query, &histories(), model).map(Reply::Download)
        }
        (Some((history, None)), _) => {
            one_page(history, &caller, &query, &histories(), model).map(Reply::Whole)
        }
        (None, Read::Order(id)) if !orders::is_remembered(*id, &model) => {
            histories().order(&caller, *id, model).map(Reply::Whole)
        }
        (None, read) => read.answer(&caller, &query, &model).map(Reply::Whole),
    };
    reply.unwrap_or_else(Reply::Whole)
}

/// A page of a history, filtered and paged by key, newest first.
fn one_page(
    history: History,
    caller: &Caller,
    query: &Query,
    histories: &Histories,
    model: RwLockReadGuard<'_, ReadModel>,
) -> Result<Answer, Answer> {
    let asked = Asked {
        history,
        query,
        scope: caller.scope(query, &model)?,
        cursor: query.cursor()?,
        limit: query.count("limit", PAGE_DEFAULT, PAGE_MAX)?,
    };
    let page = histories.page(&asked, model)?;
    let name = match history {
        History::Orders => "orders",
        History::Trades => "trades",
        History::ClosedPositions => "positions",
    };
    Ok(Answer::object(|body| {
        body.array(name, |list| {
            for row in &page.rows {
                list.raw(&row.json);
            }
        })
        .number("count", page.rows.len())
        .optional_number("next_cursor", page.next);
    }))
}

fn behind(waited: Duration) -> Answer {
    Answer::error(
        503,
        format_args!(
            "The read model has not caught up within {} s: try again",
            waited.as_secs()
        ),
    )
    .with_header("Retry-After", "1")
}
