//! Histories as CSV (RFC 4180) or as lines of JSON, streamed: the whole history that a filter matches, newest first, a
//! batch of rows at a time. Memory is bounded by a batch, and the fold waits for no more than one.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Arc, RwLockReadGuard};

use engine::AccountId;
use read_model::ReadModel;
use serde_json::value::RawValue;

use super::answer::Answer;
use super::earlier::{Asked, Histories, History};
use super::limits::{DOWNLOAD_BATCH_ROWS, ROWS_A_SLICE};
use super::request::{Caller, Query};
use crate::wire::DownloadFormat;

/// Columns are fields of the JSON rows, by the same names and in an order that does not change.
const ORDER_COLUMNS: &[&str] = &[
    "id",
    "client_order_id",
    "broker_order_id",
    "account",
    "strategy_id",
    "symbol",
    "exchange",
    "side",
    "quantity",
    "order_type",
    "price",
    "product",
    "validity",
    "good_till",
    "stop_loss",
    "take_profit",
    "risk_amount",
    "risk_reward_ratio",
    "status",
    "status_message",
    "filled_quantity",
    "average_price",
    "charges",
    "created_at",
    "updated_at",
    "submitted_at",
    "filled_at",
    "cancelled_at",
    "position_id",
    "modifications",
    "engine_made",
    "metadata",
];

const TRADE_COLUMNS: &[&str] = &[
    "id",
    "broker_trade_id",
    "order_id",
    "broker_order_id",
    "position_id",
    "account",
    "strategy_id",
    "symbol",
    "exchange",
    "side",
    "product",
    "quantity",
    "price",
    "brokerage",
    "stt",
    "exchange_txn_charge",
    "gst",
    "stamp_duty",
    "sebi_charges",
    "total_charges",
    "gross_value",
    "net_value",
    "executed_at",
];

const POSITION_COLUMNS: &[&str] = &[
    "id",
    "account",
    "strategy_id",
    "symbol",
    "exchange",
    "product",
    "was_long",
    "realized_pnl",
    "charges",
    "stop_loss",
    "take_profit",
    "entry_time",
    "closed_at",
];

impl History {
    const fn columns(self) -> &'static [&'static str] {
        match self {
            History::Orders => ORDER_COLUMNS,
            History::Trades => TRADE_COLUMNS,
            History::ClosedPositions => POSITION_COLUMNS,
        }
    }

    /// Offered to the client as the name of a file.
    const fn disposition(self, format: DownloadFormat) -> &'static str {
        match (self, format) {
            (History::Orders, DownloadFormat::Csv) => "attachment; filename=\"orders.csv\"",
            (History::Orders, DownloadFormat::JsonLines) => "attachment; filename=\"orders.ndjson\"",
            (History::Trades, DownloadFormat::Csv) => "attachment; filename=\"trades.csv\"",
            (History::Trades, DownloadFormat::JsonLines) => "attachment; filename=\"trades.ndjson\"",
            (History::ClosedPositions, DownloadFormat::Csv) => "attachment; filename=\"positions.csv\"",
            (History::ClosedPositions, DownloadFormat::JsonLines) => {
                "attachment; filename=\"positions.ndjson\""
            }
        }
    }
}

/// A body that is made while it is read.
#[derive(Debug)]
pub(super) struct Download {
    histories: Histories,
    history: History,
    format: DownloadFormat,
    query: Query,
    scope: Option<AccountId>,
    /// Where the next batch begins; `None` at the newest row.
    cursor: Option<i64>,
    /// Rows that may still come.
    rows_left: usize,
    finished: bool,
    buffer: Vec<u8>,
    taken: usize,
}

impl Download {
    /// `Err` is the answer where the request cannot be understood or is not allowed.
    pub(super) fn begin(
        (history, format): (History, DownloadFormat),
        caller: &Caller,
        query: Query,
        histories: &Histories,
        model: RwLockReadGuard<'_, ReadModel>,
    ) -> Result<Download, Answer> {
        let mut buffer = Vec::new();
        if format == DownloadFormat::Csv {
            buffer.extend_from_slice(history.columns().join(",").as_bytes());
            buffer.extend_from_slice(b"\r\n");
        }
        let mut download = Download {
            scope: caller.scope(&query, &model)?,
            cursor: query.cursor()?,
            rows_left: query.count("limit", usize::MAX, usize::MAX)?,
            histories: histories.clone(),
            history,
            format,
            query,
            finished: false,
            buffer,
            taken: 0,
        };
        // The first batch now, so that a filter that cannot be understood is an answer and not half a file.
        download.add_batch(model)?;
        Ok(download)
    }

    fn add_batch(&mut self, model: RwLockReadGuard<'_, ReadModel>) -> Result<(), Answer> {
        let asked = Asked {
            history: self.history,
            query: &self.query,
            scope: self.scope,
            cursor: self.cursor,
            limit: DOWNLOAD_BATCH_ROWS.min(self.rows_left),
        };
        let page = self.histories.page(&asked, model)?;
        for (at, row) in page.rows.iter().enumerate() {
            if at.is_multiple_of(ROWS_A_SLICE) {
                // Where cores are few, an order may wait for this one.
                std::thread::yield_now();
            }
            match self.format {
                DownloadFormat::Csv => add_line(&mut self.buffer, &row.json, self.history.columns())
                    .map_err(|error| {
                        tracing::error!(%error, "a row cannot be written as CSV");
                        Answer::error(503, "A row cannot be written as CSV")
                    })?,
                DownloadFormat::JsonLines => {
                    self.buffer.extend_from_slice(&row.json);
                    self.buffer.push(b'\n');
                }
            }
        }
        self.rows_left -= page.rows.len();
        self.finished = page.next.is_none() || self.rows_left == 0;
        self.cursor = page.next;
        Ok(())
    }
}

impl Download {
    pub(super) fn disposition(&self) -> &'static str {
        self.history.disposition(self.format)
    }

    pub(super) fn content_type(&self) -> &'static str {
        match self.format {
            DownloadFormat::Csv => "text/csv; charset=utf-8; header=present",
            DownloadFormat::JsonLines => DownloadFormat::JsonLines.media_type(),
        }
    }
}

impl Read for Download {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.buffer.len() && !self.finished {
            self.buffer.clear();
            self.taken = 0;
            let model = Arc::clone(&self.histories.model);
            // A file that ends early must not look whole.
            self.add_batch(model.read())
                .map_err(|_| io::Error::other("the rest of the history cannot be read now"))?;
        }
        let rest = self.buffer.get(self.taken..).unwrap_or_default();
        let count = rest.len().min(target.len());
        target[..count].copy_from_slice(&rest[..count]);
        self.taken += count;
        Ok(count)
    }
}

/// Adds a row by way of its JSON, so that both forms say the same. What is composite stays as its text: how deep it is
/// nested was its sender's choice. `Err` where the row is no JSON object.
fn add_line(out: &mut Vec<u8>, json: &[u8], columns: &[&str]) -> Result<(), serde_json::Error> {
    let row: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(json)?;
    for (at, column) in columns.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let text = row.get(*column).map_or("null", |value| value.get());
        match text.as_bytes().first() {
            _ if matches!(text, "null" | "{}") => {}
            Some(b'"') => add_text(out, &serde_json::from_str::<Cow<'_, str>>(text)?),
            Some(b'{' | b'[') => add_text(out, text),
            _ => out.extend_from_slice(text.as_bytes()),
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// A text field. One that a spreadsheet would take for a formula gets an apostrophe in front: parts of it may be what
/// another user wrote.
fn add_text(out: &mut Vec<u8>, text: &str) {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if !formula && !text.contains(['"', ',', '\n', '\r']) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    if formula {
        out.push(b'\'');
    }
    for part in text.split_inclusive('"') {
        out.extend_from_slice(part.as_bytes());
        if part.ends_with('"') {
            out.push(b'"');
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Object;

    #[test]
    fn fields_are_quoted_where_they_have_to_be() {
        let line = |fill: &dyn Fn(&mut Object<'_>)| {
            let (mut out, mut json) = (Vec::new(), Vec::new());
            fill(&mut Object::begin(&mut json));
            add_line(&mut out, &json, &["a", "b", "c"]).unwrap();
            String::from_utf8(out).unwrap()
        };
        let text = |value: &'static str| {
            line(&|row| {
                row.string("a", value);
            })
        };
        for (value, field) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("a\"b", "\"a\"\"b\""),
            ("a\nb", "\"a\nb\""),
            ("=1+1", "\"'=1+1\""),
            ("-1", "\"'-1\""),
            ("", ""),
        ] {
            assert_eq!(text(value), format!("{field},,\r\n"), "{value:?}");
        }
        let mixed = line(&|row| {
            row.number("c", "-12.50")
                .boolean("a", true)
                .object("b", |metadata| {
                    metadata.number("x", 1);
                });
        });
        assert_eq!(mixed, "true,\"{\"\"x\"\":1}\",-12.50\r\n");
        // Deeper than what parsers go by default.
        let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
        let mut out = Vec::new();
        add_line(
            &mut out,
            format!(r#"{{"b":{deep},"a":{{}}}}"#).as_bytes(),
            &["a", "b"],
        )
        .unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), format!(",{deep}\r\n"));
        assert!(add_line(&mut Vec::new(), b"[]", &["a"]).is_err());
    }
}
