//! Pages of what the tables hold, for the API's history of earlier days.
//!
//! A page goes by a key that grows with time: of rows of the journal their own number, of rows that were there before
//! Pinion (`seq` is NULL, ids below zero) one below zero, so that they come after all others. Whatever is asked for, a
//! page looks at a bounded number of rows, in the order of an index: moments are turned into keys first, and filters
//! that no index knows see as many rows as [`PageQuery::scan`] says.

use engine::Timestamp;

use super::store::{Question, StoreError, TableStore, TextRows};
use super::table::{Column, Kind, Table, TableId, time_text};

/// Which rows, newest first. What is `None` does not filter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PageQuery {
    pub of: History,
    pub account: Option<String>,
    pub symbol: Option<String>,
    pub strategy: Option<u32>,
    /// Of trades: their order.
    pub order: Option<i64>,
    /// Of orders.
    pub status: Option<&'static str>,
    /// When it was created, executed or closed.
    pub from: Option<Timestamp>,
    /// Exclusive.
    pub to: Option<Timestamp>,
    /// Keys below this.
    pub before: Option<i64>,
    /// Of orders and trades: the row of this number alone.
    pub id: Option<i64>,
    /// Rows at most.
    pub limit: usize,
    /// Rows looked at, at most.
    pub scan: usize,
}

/// What there are histories of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum History {
    Orders,
    Trades,
    /// Positions from flat to flat.
    RoundTrips,
}

/// A page, and up to when the tables stand.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    pub rows: Vec<PageRow>,
    /// Every row that was asked for, from this key on, is there; `None` where there are no more at all.
    pub known_from: Option<i64>,
    /// Of the last command that the tables hold, as [`Kind::text`] shows times; `None` where that is not known.
    pub stands_at: Option<String>,
}

/// A row's key, and its values that are not NULL, by column.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PageRow {
    pub key: i64,
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

/// Of rows that were there before Pinion: what their old number is counted from to make their key. Keys stay integers
/// that any JSON reader has exactly, and the newest row's is the largest.
const BEFORE_PINION: i64 = -(1 << 53);

/// The key of a row that was there before Pinion, by its id, which is below zero.
pub const fn key_before_pinion(id: i64) -> i64 {
    BEFORE_PINION.saturating_sub(id)
}

/// Reads a page.
pub fn page(store: &mut dyn TableStore, query: &PageQuery) -> Result<Page, StoreError> {
    let mut page = Page::default();
    let (newer, older) = match query.id {
        Some(id) => (id > 0, id < 0),
        None => (query.before.is_none_or(|before| before > 0), true),
    };
    if newer {
        page = Segment::of_journal(query.of).page(store, query)?;
        if page.known_from.is_some() || !older {
            return Ok(page);
        }
    }
    let rest = PageQuery {
        limit: query.limit - page.rows.len(),
        ..query.clone()
    };
    let rest = Segment::before_pinion(query.of).page(store, &rest)?;
    page.rows.extend(rest.rows);
    Ok(Page {
        rows: page.rows,
        ..rest
    })
}

/// Rows of one table that are paged in one order.
struct Segment {
    table: &'static Table,
    /// The column that numbers them.
    number: &'static str,
    time: &'static str,
    /// Which rows of the table.
    these: &'static str,
    /// Whether the numbers grow with time and are the keys.
    of_journal: bool,
    /// Columns besides the table's own: name and SQL.
    more: &'static [(&'static str, &'static str)],
}

impl Segment {
    fn of_journal(of: History) -> Segment {
        let (table, number, time) = match of {
            History::Orders => (TableId::Orders, "id", "created_at"),
            History::Trades => (TableId::Trades, "id", "executed_at"),
            History::RoundTrips => (TableId::RoundTrips, "number", "closed_at"),
        };
        Segment {
            table: table.table(),
            number,
            time,
            these: "seq IS NOT NULL",
            of_journal: true,
            more: &[],
        }
    }

    fn before_pinion(of: History) -> Segment {
        let (table, time, more): (_, _, &[_]) = match of {
            History::Orders => (TableId::Orders, "created_at", &[]),
            History::Trades => (
                TableId::Trades,
                "executed_at",
                &[(
                    "broker_order_id",
                    "(SELECT o.broker_order_id FROM orders o WHERE o.id = rows.order_id)",
                )],
            ),
            History::RoundTrips => (
                TableId::Positions,
                "closed_at",
                &[("metadata", "CAST(metadata AS TEXT)")],
            ),
        };
        Segment {
            table: table.table(),
            number: "id",
            time,
            these: "seq IS NULL",
            of_journal: false,
            more,
        }
    }

    fn page(&self, store: &mut dyn TableStore, query: &PageQuery) -> Result<Page, StoreError> {
        let (from, to) = (query.from.map(time_text), query.to.map(time_text));
        let (mut low, mut high) = (None, query.before);
        let mut filters = vec![self.these.to_owned()];
        // Where moments begin, in keys. The positions of before Pinion are too few to be looked up by time.
        let starts: Vec<&String> = match (self.of_journal, query.of) {
            (true, _) => from.iter().chain(&to).collect(),
            (false, History::RoundTrips) => Vec::new(),
            (false, _) => from.iter().collect(),
        };
        if !starts.is_empty() {
            let questions = starts.iter().map(|time| self.first_at(store, time)).collect();
            let (stands_at, found) = read(store, questions)?;
            let mut found = found.into_iter().map(|rows| number_in(&rows));
            if from.is_some() {
                let Some(first) = found.next().flatten() else {
                    return Ok(Page {
                        stands_at,
                        ..Page::default()
                    });
                };
                low = self.of_journal.then_some(first);
            }
            if let Some(first) = found.next().flatten() {
                high = Some(high.map_or(first, |high| high.min(first)));
            }
        }
        if !self.of_journal {
            // The old system stamped rows as it liked: their numbers say nothing of their moments.
            let time = self.time;
            filters.extend(from.map(|from| format!("{time} >= '{from}'")));
            filters.extend(to.map(|to| format!("{time} < '{to}'")));
            if query.of == History::RoundTrips {
                filters.push(format!("{time} IS NOT NULL"));
            }
        }
        filters.extend(query.strategy.map(|strategy| format!("strategy_id = {strategy}")));
        filters.extend(query.status.map(|status| format!("status = '{status}'")));
        let indexed = self.indexed(query, low, high);
        let mut end = None;
        if filters.len() > 1 || query.symbol.is_some() {
            end = self.end_of_scan(store, query, &indexed)?;
        }
        let mut conditions = indexed;
        conditions.extend(end.map(|number| self.not_after(number)));
        conditions.extend(filters);
        let mut page = self.rows(store, query, conditions)?;
        page.known_from = match page.rows.last() {
            Some(last) if page.rows.len() >= query.limit => Some(last.key),
            _ => end.map(|number| self.key(number)),
        };
        Ok(page)
    }

    /// Question for the number of the first row from a moment on. Of rows before Pinion any such row's.
    fn first_at(&self, store: &dyn TableStore, time: &str) -> Question {
        let (number, these) = (self.number, self.these);
        // The sign is what an index of these rows alone goes by.
        let (sign, order) = if self.of_journal {
            (">", format!("rows.{}, rows.{number}", self.time))
        } else {
            ("<", format!("rows.{}", self.time))
        };
        // Ordered by the columns themselves, not by the text that is answered.
        Question::from(format!(
            "SELECT CAST({number} AS TEXT) FROM {} AS rows WHERE {these} AND {number} {sign} 0 AND {} >= '{time}'
             ORDER BY {order} LIMIT 1",
            self.name(store),
            self.time,
        ))
    }

    /// What an index finds.
    fn indexed(&self, query: &PageQuery, low: Option<i64>, high: Option<i64>) -> Vec<String> {
        let number = self.number;
        let mut conditions = Vec::new();
        if query.account.is_some() {
            conditions.push("account = $1".to_owned());
        }
        conditions.extend(query.order.map(|order| format!("order_id = {order}")));
        conditions.extend(query.id.map(|id| format!("{number} = {id}")));
        if self.of_journal {
            conditions.push(format!("{number} < {}", high.unwrap_or(i64::MAX)));
            conditions.push(format!("{number} >= {}", low.unwrap_or(1)));
        } else {
            let newest = high.unwrap_or(0).clamp(BEFORE_PINION, 0);
            conditions.push(format!("{number} > {}", key_before_pinion(newest)));
            conditions.push(format!("{number} < 0"));
        }
        conditions
    }

    /// The number of the last row that a page looks at; `None` where it looks at all of them.
    fn end_of_scan(
        &self,
        store: &mut dyn TableStore,
        query: &PageQuery,
        indexed: &[String],
    ) -> Result<Option<i64>, StoreError> {
        let number = self.number;
        let last = if self.of_journal { "min" } else { "max" };
        let sql = format!(
            "SELECT CAST({last}({number}) AS TEXT), CAST(count(*) AS TEXT)
             FROM (SELECT {number} FROM {} WHERE {} ORDER BY {} LIMIT {}) AS looked_at",
            self.name(store),
            indexed.join(" AND "),
            self.newest_first(number),
            query.scan,
        );
        let question = Question {
            sql,
            texts: query.account.iter().cloned().collect(),
        };
        let (_, answers) = read(store, vec![question])?;
        let row = answers
            .into_iter()
            .next()
            .and_then(|rows| rows.into_iter().next());
        let mut cells = row.into_iter().flatten();
        let (last, count) = (cells.next().flatten(), cells.next().flatten());
        let is_whole = count.and_then(|count| count.parse().ok()) < Some(query.scan);
        Ok(last.filter(|_| !is_whole).and_then(|last| last.parse().ok()))
    }

    fn rows(
        &self,
        store: &mut dyn TableStore,
        query: &PageQuery,
        mut conditions: Vec<String>,
    ) -> Result<Page, StoreError> {
        if query.symbol.is_some() {
            let place = usize::from(query.account.is_some()) + 1;
            conditions.push(format!("symbol = ${place}"));
        }
        let own = self.table.columns.iter().map(|column| store.as_text(column));
        let columns: Vec<String> = own
            .chain(self.more.iter().map(|(_, sql)| (*sql).to_owned()))
            .collect();
        let names: Vec<&'static str> = self.table.columns.iter().map(|column| column.name).collect();
        let names = names.into_iter().chain(self.more.iter().map(|(name, _)| *name));
        let question = Question {
            // Ordered by the column itself: its name alone could mean its text in the list of columns.
            sql: format!(
                "SELECT {} FROM {} AS rows WHERE {} ORDER BY {} LIMIT {}",
                columns.join(", "),
                self.name(store),
                conditions.join(" AND "),
                self.newest_first(&format!("rows.{}", self.number)),
                query.limit
            ),
            texts: query.account.iter().chain(&query.symbol).cloned().collect(),
        };
        let (stands_at, answers) = read(store, vec![question])?;
        let rows = answers.into_iter().flatten().filter_map(|cells| {
            let named = names.clone().zip(cells);
            let values: Vec<(&str, String)> = named.filter_map(|(name, cell)| Some((name, cell?))).collect();
            let (_, number) = values.iter().find(|(name, _)| *name == self.number)?;
            let key = self.key(number.parse().ok()?);
            Some(PageRow { key, values })
        });
        Ok(Page {
            rows: rows.collect(),
            known_from: None,
            stands_at,
        })
    }

    fn name(&self, store: &dyn TableStore) -> String {
        let own = if self.table.own { store.own_prefix() } else { "" };
        format!("{own}{}", self.table.name)
    }

    fn newest_first(&self, number: &str) -> String {
        let order = if self.of_journal { "DESC" } else { "ASC" };
        format!("{number} {order}")
    }

    /// Rows down to this number.
    fn not_after(&self, number: i64) -> String {
        let compared = if self.of_journal { ">=" } else { "<=" };
        format!("{} {compared} {number}", self.number)
    }

    fn key(&self, number: i64) -> i64 {
        if self.of_journal {
            number
        } else {
            key_before_pinion(number)
        }
    }
}

/// Answers with the time up to which the tables stand, all on one snapshot.
fn read(
    store: &mut dyn TableStore,
    questions: Vec<Question>,
) -> Result<(Option<String>, Vec<TextRows>), StoreError> {
    let time = store.as_text(&Column {
        name: "time",
        kind: Kind::Time,
        kept: false,
    });
    let stands_at = Question::from(format!("SELECT {time} FROM {}watermark", store.own_prefix()));
    let all = std::iter::once(stands_at).chain(questions).collect();
    let mut answers = store.read(all)?.into_iter();
    let stands_at = answers.next().unwrap_or_default().pop();
    let stands_at = stands_at.and_then(|mut row| row.pop()).flatten();
    Ok((stands_at, answers.collect()))
}

/// The number in the only cell of the only row.
fn number_in(rows: &TextRows) -> Option<i64> {
    rows.first()?.first()?.as_ref()?.parse().ok()
}
