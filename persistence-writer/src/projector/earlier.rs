//! Pages of what the tables hold, for the API's history of earlier days.
//!
//! A page is read in one snapshot with the time up to which the tables stand, so that whoever asks can tell an answer
//! from a gap. Rows that were there before Pinion (`seq` is NULL) are the old system's and left out.

use engine::Timestamp;

use super::store::{Question, StoreError, TableStore};
use super::table::{Kind, TableId, time_text};

/// Which rows, newest first. What is `None` does not filter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PageQuery {
    pub of: History,
    pub account: Option<String>,
    pub symbol: Option<String>,
    pub strategy: Option<u32>,
    /// Of trades: their order.
    pub order: Option<u64>,
    /// Of orders.
    pub status: Option<&'static str>,
    /// When it was created, executed or closed.
    pub from: Option<Timestamp>,
    /// Exclusive.
    pub to: Option<Timestamp>,
    /// Keys below this.
    pub before: Option<u64>,
    /// Rows at most.
    pub limit: usize,
}

/// What there are histories of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum History {
    Orders,
    Trades,
    /// Positions from flat to flat.
    RoundTrips,
}

impl History {
    const fn table(self) -> TableId {
        match self {
            History::Orders => TableId::Orders,
            History::Trades => TableId::Trades,
            History::RoundTrips => TableId::RoundTrips,
        }
    }

    /// The column that pages go by: it grows with time.
    const fn key(self) -> &'static str {
        match self {
            History::Orders | History::Trades => "id",
            History::RoundTrips => "number",
        }
    }

    const fn time(self) -> &'static str {
        match self {
            History::Orders => "created_at",
            History::Trades => "executed_at",
            History::RoundTrips => "closed_at",
        }
    }
}

/// A page, and up to when the tables stand.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    pub rows: Vec<PageRow>,
    /// Of the last command that the tables hold, as [`Kind::text`] shows times; `None` where that is not known.
    pub stands_at: Option<String>,
}

/// A row's key, and its values that are not NULL, by column.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PageRow {
    pub key: u64,
    pub values: Vec<(&'static str, String)>,
}

impl Page {
    /// Whether the tables hold every command before `time`.
    pub fn covers(&self, time: Timestamp) -> bool {
        self.stands_at
            .as_ref()
            .is_some_and(|stands_at| *stands_at >= time_text(time))
    }
}

/// Reads a page.
pub fn page(store: &mut dyn TableStore, query: &PageQuery) -> Result<Page, StoreError> {
    let table = query.of.table().table();
    let own = store.own_prefix();
    let columns: Vec<String> = table.columns.iter().map(|column| store.as_text(column)).collect();
    let stands_at = Question::from(format!(
        "SELECT {} FROM {own}watermark",
        store.as_text(&super::table::Column {
            name: "time",
            kind: Kind::Time,
            kept: false
        })
    ));
    // Ordered by the column itself: its name alone could mean its text in the list of columns.
    let rows = Question {
        sql: format!(
            "SELECT {} FROM {}{} AS rows WHERE {} ORDER BY rows.{} DESC LIMIT {}",
            columns.join(", "),
            if table.own { own } else { "" },
            table.name,
            conditions(query).join(" AND "),
            query.of.key(),
            query.limit
        ),
        texts: query.account.iter().chain(&query.symbol).cloned().collect(),
    };
    let mut answers = store.read(vec![stands_at, rows])?.into_iter();
    let mut next = || answers.next().unwrap_or_default();
    let stands_at = next().pop().and_then(|mut row| row.pop()).flatten();
    let rows = next().into_iter().filter_map(|cells| {
        let named = table.columns.iter().map(|column| column.name).zip(cells);
        let values: Vec<(&str, String)> = named.filter_map(|(name, cell)| Some((name, cell?))).collect();
        let key = values.iter().find(|(name, _)| *name == query.of.key());
        let key = key.and_then(|(_, key)| key.parse().ok())?;
        Some(PageRow { key, values })
    });
    Ok(Page {
        rows: rows.collect(),
        stands_at,
    })
}

/// Texts are parameters; numbers and times are written by us.
fn conditions(query: &PageQuery) -> Vec<String> {
    let time = query.of.time();
    let mut conditions = vec!["seq IS NOT NULL".to_owned()];
    let mut add = |condition: String| conditions.push(condition);
    let mut parameter = 0;
    for (column, text) in [("account", &query.account), ("symbol", &query.symbol)] {
        if text.is_some() {
            parameter += 1;
            add(format!("{column} = ${parameter}"));
        }
    }
    if let Some(strategy) = query.strategy {
        add(format!("strategy_id = {strategy}"));
    }
    if let Some(order) = query.order {
        add(format!("order_id = {}", order.min(KEY_MAX)));
    }
    if let Some(status) = query.status {
        add(format!("status = '{status}'"));
    }
    if let Some(from) = query.from {
        add(format!("{time} >= '{}'", time_text(from)));
    }
    if let Some(to) = query.to {
        add(format!("{time} < '{}'", time_text(to)));
    }
    if let Some(before) = query.before {
        add(format!("{} < {}", query.of.key(), before.min(KEY_MAX)));
    }
    conditions
}

/// The largest integer that both databases know.
const KEY_MAX: u64 = i64::MAX as u64;
