//! Histories: today's rows are the read model's, those of earlier days the tables'.
//!
//! Both are ordered by keys that grow with time and mean the same on either side, so a cursor stays exact while rows
//! arrive, and across midnight, when what was in memory is in the tables alone.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, RwLockReadGuard};

use engine::{AccountId, OrderId, Timestamp};
use read_model::{ReadModel, SharedReadModel};

use super::answer::Answer;
use super::earlier_rows;
use super::limits::MIDNIGHT_ATTEMPTS;
use super::request::{Caller, Query};
use super::{orders, positions, trades};
use crate::wire::Object;

/// Asks the composition root for rows of the tables; the error says why there is no answer now.
pub type EarlierProbe = Arc<dyn Fn(&EarlierQuery) -> Result<EarlierPage, String> + Send + Sync>;

/// What has a history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum History {
    Orders,
    Trades,
    ClosedPositions,
}

/// Which rows, newest first. What is `None` does not filter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EarlierQuery {
    pub of: History,
    pub account: Option<String>,
    pub symbol: Option<String>,
    pub strategy: Option<u32>,
    /// Of trades: their order.
    pub order: Option<i64>,
    /// Of orders.
    pub status: Option<&'static str>,
    pub from: Option<Timestamp>,
    /// Exclusive.
    pub to: Option<Timestamp>,
    /// Keys below this.
    pub before: Option<i64>,
    /// Of orders: this one alone. Those before Pinion have ids below zero.
    pub id: Option<i64>,
    /// Rows at most.
    pub limit: usize,
    /// The tables must hold every command before this, or there is no answer.
    pub complete_to: Timestamp,
}

/// Rows of the tables, newest first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EarlierPage {
    pub rows: Vec<EarlierRow>,
    /// Every row that was asked for, from this key on, is there; `None` where there are no more at all.
    pub known_from: Option<i64>,
}

/// A row of the tables: its key, and the texts of its columns that are not NULL. Rows that were there before Pinion
/// have keys below zero.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EarlierRow {
    pub key: i64,
    pub values: BTreeMap<&'static str, String>,
}

/// A row of an answer, as JSON.
#[derive(Debug)]
pub(super) struct Rendered {
    pub(super) key: i64,
    pub(super) json: Vec<u8>,
}

impl Rendered {
    /// A row of memory.
    pub(super) fn remembered(key: u64, fill: impl FnOnce(&mut Object<'_>)) -> Rendered {
        Rendered::new(signed(key), fill)
    }

    fn new(key: i64, fill: impl FnOnce(&mut Object<'_>)) -> Rendered {
        let mut json = Vec::with_capacity(1_024);
        fill(&mut Object::begin(&mut json));
        Rendered { key, json }
    }
}

/// Rows, newest first. `next` is the cursor of those after them: every row with a key from `next` on has been given.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) rows: Vec<Rendered>,
    pub(super) next: Option<i64>,
}

impl Page {
    /// Ends above the row of memory that has this key.
    pub(super) fn end_above(&mut self, key: u64) {
        self.next = Some(signed(key).saturating_add(1));
    }
}

/// Numbers stay far below 2^63.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Whose rows of what, and where they begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) history: History,
    pub(super) query: &'a Query,
    pub(super) scope: Option<AccountId>,
    pub(super) cursor: Option<i64>,
    pub(super) limit: usize,
}

impl Asked<'_> {
    /// Where the rows of memory end; they have keys from 1 on.
    pub(super) fn before(&self) -> Option<u64> {
        self.cursor
            .map(|cursor| u64::try_from(cursor).unwrap_or_default())
    }
}

/// Where histories come from.
#[derive(Clone)]
pub(super) struct Histories {
    pub(super) model: Arc<SharedReadModel>,
    /// `None` where there are no tables: then earlier days have no rows.
    pub(super) earlier: Option<EarlierProbe>,
}

impl std::fmt::Debug for Histories {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Histories")
            .field("earlier", &self.earlier.is_some())
            .finish_non_exhaustive()
    }
}

impl Histories {
    /// A page, `model` being the present state. The fold is not held up while the tables are asked.
    pub(super) fn page(
        &self,
        asked: &Asked<'_>,
        model: RwLockReadGuard<'_, ReadModel>,
    ) -> Result<Page, Answer> {
        let mut present = Some(model);
        for _ in 0..MIDNIGHT_ATTEMPTS {
            let model = present.take().unwrap_or_else(|| self.model.read());
            let remembered = remembered(asked, &model)?;
            let Some(earlier) = &self.earlier else {
                return Ok(remembered);
            };
            let Some(query) = to_ask(asked, &remembered, &model)? else {
                return Ok(remembered);
            };
            let day = model.time().trading_day();
            drop(model);
            let page = earlier(&query).map_err(|why| unavailable(&why))?;
            let model = self.model.read();
            if model.time().trading_day() == day {
                return Ok(merge(asked, remembered, &page, &model));
            }
            // What was in memory has just become an earlier day's.
        }
        Err(unavailable("the day has just changed"))
    }

    /// An order that is not in memory any more, or never was: the ids of those before Pinion are below zero.
    pub(super) fn order(
        &self,
        caller: &Caller,
        id: i64,
        model: RwLockReadGuard<'_, ReadModel>,
    ) -> Result<Answer, Answer> {
        let unknown = || orders::unknown(id);
        let newest = model.history().orders().newest_first(None, None).next();
        let earlier = self.earlier.as_ref().ok_or_else(unknown)?;
        if newest.is_some_and(|newest| id > signed(newest.id.get())) {
            return Err(unknown());
        }
        let query = EarlierQuery {
            of: History::Orders,
            account: match caller.role {
                crate::auth::Role::Admin => None,
                _ => Some(caller.name.clone()),
            },
            symbol: None,
            strategy: None,
            order: None,
            status: None,
            from: None,
            to: None,
            before: None,
            id: Some(id),
            limit: 1,
            complete_to: kept_from(History::Orders, &model).map_or_else(|| today(&model), |kept| kept.time),
        };
        drop(model);
        let page = earlier(&query).map_err(|why| unavailable(&why))?;
        match page.rows.first() {
            Some(row) => Ok(Answer::object(|body| earlier_rows::order_fields(body, row))),
            None => Err(unknown()),
        }
    }
}

/// What memory has.
fn remembered(asked: &Asked<'_>, model: &ReadModel) -> Result<Page, Answer> {
    match asked.history {
        History::Orders => orders::page(asked, model),
        History::Trades => trades::page(asked, model),
        History::ClosedPositions => positions::closed_page(asked, model),
    }
}

fn today(model: &ReadModel) -> Timestamp {
    Timestamp::start_of_trading_day(model.time().trading_day())
}

/// Where memory begins on a day with more rows than it keeps.
struct Kept {
    time: Timestamp,
    /// Every row from this key on is in memory; `None` where those that are not lie between those that are.
    key: Option<u64>,
}

fn kept_from(history: History, model: &ReadModel) -> Option<Kept> {
    let kept = model.history();
    match history {
        History::Orders => {
            let time = kept.orders().finished_kept_from()?;
            Some(Kept { time, key: None })
        }
        History::Trades => kept.fills_kept_from().map(|fill| Kept {
            time: fill.executed,
            key: Some(fill.key()),
        }),
        History::ClosedPositions => {
            let (number, closed) = kept.positions().closed_kept_from()?;
            Some(Kept {
                time: closed.closed,
                key: Some(number),
            })
        }
    }
}

/// What the tables are to be asked for the rest of the page; `None` where memory has all of it. Without `from` a
/// history is today's.
fn to_ask(asked: &Asked<'_>, page: &Page, model: &ReadModel) -> Result<Option<EarlierQuery>, Answer> {
    let query = asked.query;
    let (from, to) = (query.instant("from", false)?, query.instant("to", true)?);
    if query.text("symbol").is_some_and(|symbol| symbol.contains('\0')) {
        // Nothing has such a symbol, and PostgreSQL would not hear of it.
        return Ok(None);
    }
    let today = today(model);
    let kept = kept_from(asked.history, model);
    let reaches_back = from.map_or(to.is_some_and(|to| to <= today), |from| from < today);
    if !reaches_back && kept.is_none() {
        return Ok(None);
    }
    if let Some(next) = page.next {
        // Memory goes on. Its orders of earlier days, open or finished today, lie between those of the tables.
        let goes_on_today = || {
            let order = u64::try_from(next - 1).map(OrderId::new);
            let order = order.ok().and_then(|order| model.history().orders().order(order));
            kept.is_none() && order.is_some_and(|order| order.created >= today)
        };
        if asked.history != History::Orders || goes_on_today() {
            return Ok(None);
        }
    }
    let begin_of_memory = kept.as_ref().and_then(|kept| kept.key);
    let account = asked.scope.and_then(|account| model.engine().account(account));
    Ok(Some(EarlierQuery {
        of: asked.history,
        account: account.map(|view| view.name.as_str().to_owned()),
        symbol: query.text("symbol").map(str::to_owned),
        strategy: query.parsed("strategy", "a strategy's number")?,
        order: match asked.history {
            History::Trades => query.parsed("order", "an order's number")?,
            History::Orders | History::ClosedPositions => None,
        },
        status: match asked.history {
            History::Orders => orders::status(query)?.map(engine::OrderStatus::as_str),
            History::Trades | History::ClosedPositions => None,
        },
        from: if reaches_back { from } else { from.or(Some(today)) },
        to: match kept {
            Some(_) => to,
            None => Some(to.map_or(today, |to| to.min(today))),
        },
        before: asked.cursor.into_iter().chain(begin_of_memory.map(signed)).min(),
        id: None,
        limit: asked.limit,
        complete_to: kept.map_or(today, |kept| kept.time),
    }))
}

/// Rows of both sides in one order, as far down as both are known.
fn merge(asked: &Asked<'_>, page: Page, earlier: &EarlierPage, model: &ReadModel) -> Page {
    let known_from = page.next.max(earlier.known_from);
    let given: BTreeSet<i64> = page.rows.iter().map(|row| row.key).collect();
    let mut merged = page.rows;
    for row in &earlier.rows {
        // Where both have it, memory is the newer, also where it no longer matches.
        let in_memory = asked.history == History::Orders
            && u64::try_from(row.key)
                .is_ok_and(|id| model.history().orders().order(OrderId::new(id)).is_some());
        if !in_memory && !given.contains(&row.key) {
            merged.push(Rendered::new(row.key, |fields| match asked.history {
                History::Orders => earlier_rows::order_fields(fields, row),
                History::Trades => earlier_rows::trade_fields(fields, row),
                History::ClosedPositions => earlier_rows::closed_fields(fields, row, model),
            }));
        }
    }
    merged.retain(|row| known_from.is_none_or(|from| row.key >= from));
    merged.sort_unstable_by_key(|row| Reverse(row.key));
    let next = if merged.len() > asked.limit {
        merged.truncate(asked.limit);
        merged.last().map(|row| row.key)
    } else {
        known_from
    };
    Page { rows: merged, next }
}

fn unavailable(why: &str) -> Answer {
    let sentence = format_args!("Earlier days are answered from the database, and not now: {why}");
    Answer::error(503, sentence).with_header("Retry-After", "1")
}
