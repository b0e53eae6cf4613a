//! The tables as data: one description of every column drives both databases, so that they cannot drift apart.
//!
//! The seven tables and their columns are those of CONTRACT.md section 6. Every table also has `seq`, the sequence
//! number of the command that last changed the row, and `account`.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt::Write as _;

use engine::{Money, Timestamp};

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Int4,
    Int8,
    Bool,
    Text,
    /// Rupees, or a ratio, with two decimals.
    Decimal2,
    /// Rupees with four decimals.
    Decimal4,
    /// UTC, in microseconds.
    Time,
    Date,
    Json,
    /// A list of integers.
    Ids,
    /// A list of texts.
    Texts,
}

impl Kind {
    /// A value as text, the same for every database: decimals with all their places, times as
    /// `YYYY-MM-DD HH:MM:SS.ffffff`, lists as JSON. `None` for NULL.
    pub fn text(self, value: &Value) -> Option<String> {
        Some(match value {
            Value::Null => return None,
            Value::Int(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            Value::Text(text) => text.clone().into_owned(),
            Value::Hundredths(hundredths) if self == Kind::Decimal4 => {
                format!("{}00", Money::from_paise(*hundredths))
            }
            Value::Hundredths(hundredths) => Money::from_paise(*hundredths).to_string(),
            Value::Time(time) => time_text(*time),
            Value::Date(day) => date_text(*day),
            Value::Json(json) => json.clone().into_owned(),
            Value::Ids(ids) => serde_json::json!(ids).to_string(),
            Value::Texts(texts) => serde_json::json!(texts).to_string(),
        })
    }
}

/// One value of a row, as its [`Kind`] says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Value {
    Null,
    Int(i64),
    Bool(bool),
    Text(Cow<'static, str>),
    /// In hundredths: paise, or a ratio times 100.
    Hundredths(i64),
    Time(Timestamp),
    /// Days since 1970-01-01.
    Date(u32),
    /// JSON text.
    Json(Cow<'static, str>),
    Ids(Vec<i64>),
    Texts(Vec<Cow<'static, str>>),
}

impl Value {
    /// Text as a database can hold it: PostgreSQL has no NUL in texts.
    pub(crate) fn text(text: &str) -> Value {
        Value::Text(Cow::Owned(text.replace('\0', "\u{fffd}")))
    }

    pub(crate) fn name(text: &'static str) -> Value {
        Value::Text(Cow::Borrowed(text))
    }

    /// Ids and counts stay far below 2^63; a larger one is shown as that.
    pub(crate) fn id(id: impl Into<u64>) -> Value {
        Value::Int(i64::try_from(id.into()).unwrap_or(i64::MAX))
    }

    pub(crate) fn money(amount: Money) -> Value {
        Value::Hundredths(amount.paise())
    }

    pub(crate) fn optional<T>(value: Option<T>, make: impl FnOnce(T) -> Value) -> Value {
        value.map_or(Value::Null, make)
    }
}

/// The values of a row, in the order of its table's columns.
pub type Row = Vec<Value>;

/// One column of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
    /// An existing row keeps its value, if it has one.
    pub kept: bool,
}

const fn column(name: &'static str, kind: Kind) -> Column {
    Column {
        name,
        kind,
        kept: false,
    }
}

const fn kept(name: &'static str, kind: Kind) -> Column {
    Column {
        name,
        kind,
        kept: true,
    }
}

/// What happens to a row whose key exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnConflict {
    /// It replaces one of an earlier `seq`.
    Newer,
    /// Rows never change: the same one again is nothing, another one an alarm.
    Once,
}

/// One of the contract's tables, or of Pinion's own.
#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    /// Pinion's own: in the schema `pinion` of PostgreSQL, with the prefix `pinion_` in SQLite.
    pub own: bool,
    pub columns: &'static [Column],
    /// The columns that tell rows apart.
    pub key: &'static [&'static str],
    pub on_conflict: OnConflict,
}

/// Index into [`TABLES`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(usize)]
pub enum TableId {
    Strategies,
    Positions,
    Orders,
    Trades,
    KillSwitchEvents,
    DailyStats,
    RoundTrips,
    Alerts,
    Audit,
    AccountLedger,
}

impl TableId {
    pub fn table(self) -> &'static Table {
        &TABLES[self as usize]
    }
}

pub(crate) const TABLES_LEN: usize = 10;

/// Every table that is projected, referenced ones first. (`reconciliation_log` is written by a reconciliation.)
pub static TABLES: [Table; TABLES_LEN] = [
    Table {
        name: "strategies",
        own: false,
        columns: &[
            column("account", Kind::Text),
            column("id", Kind::Int8),
            kept("name", Kind::Text),
            kept("type", Kind::Text),
            kept("config", Kind::Json),
            kept("status", Kind::Text),
            kept("mode", Kind::Text),
            column("total_trades", Kind::Int8),
            column("winning_trades", Kind::Int8),
            column("losing_trades", Kind::Int8),
            column("total_pnl", Kind::Decimal2),
            kept("created_at", Kind::Time),
            column("updated_at", Kind::Time),
            column("seq", Kind::Int8),
        ],
        key: &["account", "id"],
        on_conflict: OnConflict::Newer,
    },
    Table {
        name: "positions",
        own: false,
        columns: &[
            column("id", Kind::Int8),
            column("account", Kind::Text),
            column("symbol", Kind::Text),
            column("exchange", Kind::Text),
            column("strategy_id", Kind::Int8),
            column("product", Kind::Text),
            column("quantity", Kind::Int4),
            column("average_price", Kind::Decimal2),
            column("realized_pnl", Kind::Decimal2),
            column("unrealized_pnl", Kind::Decimal2),
            column("charges", Kind::Decimal2),
            column("stop_loss", Kind::Decimal2),
            column("take_profit", Kind::Decimal2),
            column("max_drawdown", Kind::Decimal2),
            column("entry_order_ids", Kind::Ids),
            column("exit_order_ids", Kind::Ids),
            column("highest_price", Kind::Decimal2),
            column("lowest_price", Kind::Decimal2),
            column("opened_at", Kind::Time),
            column("updated_at", Kind::Time),
            column("closed_at", Kind::Time),
            column("seq", Kind::Int8),
        ],
        key: &["account", "symbol", "exchange", "strategy_id", "product"],
        on_conflict: OnConflict::Newer,
    },
    Table {
        name: "orders",
        own: false,
        columns: &[
            column("id", Kind::Int8),
            column("broker_order_id", Kind::Text),
            column("client_order_id", Kind::Text),
            column("account", Kind::Text),
            column("strategy_id", Kind::Int8),
            column("position_id", Kind::Int8),
            column("symbol", Kind::Text),
            column("exchange", Kind::Text),
            column("side", Kind::Text),
            column("quantity", Kind::Int4),
            column("order_type", Kind::Text),
            column("price", Kind::Decimal2),
            column("limit_price", Kind::Decimal2),
            column("trigger_price", Kind::Decimal2),
            column("triggered", Kind::Bool),
            column("product", Kind::Text),
            column("validity", Kind::Text),
            column("good_till", Kind::Time),
            column("stop_loss", Kind::Decimal2),
            column("take_profit", Kind::Decimal2),
            column("risk_amount", Kind::Decimal2),
            column("risk_reward_ratio", Kind::Decimal2),
            column("status", Kind::Text),
            column("status_message", Kind::Text),
            column("filled_quantity", Kind::Int4),
            column("average_price", Kind::Decimal2),
            column("charges", Kind::Decimal2),
            column("modifications", Kind::Int4),
            column("engine_made", Kind::Bool),
            column("created_at", Kind::Time),
            column("submitted_at", Kind::Time),
            column("updated_at", Kind::Time),
            column("filled_at", Kind::Time),
            column("cancelled_at", Kind::Time),
            column("validation_result", Kind::Json),
            column("validation_warnings", Kind::Texts),
            column("error_message", Kind::Text),
            column("metadata", Kind::Json),
            column("seq", Kind::Int8),
        ],
        key: &["id"],
        on_conflict: OnConflict::Newer,
    },
    Table {
        name: "trades",
        own: false,
        columns: &[
            column("id", Kind::Int8),
            column("trade_id", Kind::Int8),
            column("broker_trade_id", Kind::Text),
            column("order_id", Kind::Int8),
            column("position_id", Kind::Int8),
            column("account", Kind::Text),
            column("strategy_id", Kind::Int8),
            column("symbol", Kind::Text),
            column("exchange", Kind::Text),
            column("side", Kind::Text),
            column("product", Kind::Text),
            column("quantity", Kind::Int4),
            column("price", Kind::Decimal2),
            column("brokerage", Kind::Decimal4),
            column("stt", Kind::Decimal4),
            column("exchange_txn_charge", Kind::Decimal4),
            column("gst", Kind::Decimal4),
            column("stamp_duty", Kind::Decimal4),
            column("sebi_charges", Kind::Decimal4),
            column("total_charges", Kind::Decimal4),
            column("gross_value", Kind::Decimal2),
            column("net_value", Kind::Decimal2),
            column("executed_at", Kind::Time),
            column("seq", Kind::Int8),
        ],
        key: &["id"],
        on_conflict: OnConflict::Once,
    },
    Table {
        name: "kill_switch_events",
        own: false,
        columns: &[
            column("id", Kind::Int8),
            column("account", Kind::Text),
            column("scope", Kind::Text),
            column("reason", Kind::Text),
            column("triggered_by", Kind::Text),
            column("account_balance", Kind::Decimal2),
            column("today_pnl", Kind::Decimal2),
            column("open_positions_count", Kind::Int4),
            column("positions_closed_count", Kind::Int4),
            column("close_results", Kind::Json),
            column("triggered_at", Kind::Time),
            column("completed_at", Kind::Time),
            column("deactivated_at", Kind::Time),
            column("deactivated_by", Kind::Text),
            column("status", Kind::Text),
            column("metadata", Kind::Json),
            column("seq", Kind::Int8),
        ],
        key: &["id"],
        on_conflict: OnConflict::Newer,
    },
    Table {
        name: "daily_stats",
        own: false,
        columns: &[
            column("account", Kind::Text),
            column("date", Kind::Date),
            column("total_orders", Kind::Int8),
            column("total_trades", Kind::Int8),
            column("filled_orders", Kind::Int8),
            column("cancelled_orders", Kind::Int8),
            column("rejected_orders", Kind::Int8),
            column("gross_pnl", Kind::Decimal2),
            column("total_charges", Kind::Decimal2),
            column("net_pnl", Kind::Decimal2),
            column("realized_pnl", Kind::Decimal2),
            column("winning_trades", Kind::Int8),
            column("losing_trades", Kind::Int8),
            column("win_rate", Kind::Decimal2),
            column("max_positions_held", Kind::Int4),
            column("symbols_traded", Kind::Texts),
            column("max_drawdown", Kind::Decimal2),
            column("peak_balance", Kind::Decimal2),
            column("order_to_trade_ratio", Kind::Decimal2),
            column("kill_switch_triggered", Kind::Bool),
            kept("created_at", Kind::Time),
            column("updated_at", Kind::Time),
            column("seq", Kind::Int8),
        ],
        key: &["account", "date"],
        on_conflict: OnConflict::Newer,
    },
    Table {
        name: "round_trips",
        own: true,
        columns: &[
            column("seq", Kind::Int8),
            column("ordinal", Kind::Int4),
            column("position_id", Kind::Int8),
            column("account", Kind::Text),
            column("strategy_id", Kind::Int8),
            column("symbol", Kind::Text),
            column("exchange", Kind::Text),
            column("product", Kind::Text),
            column("side", Kind::Text),
            column("realized_pnl", Kind::Decimal2),
            column("charges", Kind::Decimal2),
            column("opened_at", Kind::Time),
            column("closed_at", Kind::Time),
            column("number", Kind::Int8),
            column("stop_loss", Kind::Decimal2),
            column("take_profit", Kind::Decimal2),
        ],
        key: &["seq", "ordinal"],
        on_conflict: OnConflict::Once,
    },
    Table {
        name: "alerts",
        own: true,
        columns: &[
            column("seq", Kind::Int8),
            column("ordinal", Kind::Int4),
            column("account", Kind::Text),
            column("severity", Kind::Text),
            column("alert_type", Kind::Text),
            column("message", Kind::Text),
            column("details", Kind::Json),
            column("raised_at", Kind::Time),
        ],
        key: &["seq", "ordinal"],
        on_conflict: OnConflict::Once,
    },
    Table {
        name: "audit",
        own: true,
        columns: &[
            column("seq", Kind::Int8),
            column("ordinal", Kind::Int4),
            column("account", Kind::Text),
            column("action", Kind::Text),
            column("details", Kind::Json),
            column("refusal", Kind::Text),
            column("at", Kind::Time),
        ],
        key: &["seq", "ordinal"],
        on_conflict: OnConflict::Once,
    },
    Table {
        name: "account_ledger",
        own: true,
        columns: &[
            column("seq", Kind::Int8),
            column("ordinal", Kind::Int4),
            column("account", Kind::Text),
            column("entry", Kind::Text),
            column("amount", Kind::Decimal2),
            column("balance", Kind::Decimal2),
            column("at", Kind::Time),
        ],
        key: &["seq", "ordinal"],
        on_conflict: OnConflict::Once,
    },
];

impl Table {
    /// The names of all columns, with commas.
    pub(crate) fn column_list(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|column| column.name).collect();
        names.join(", ")
    }

    /// What follows `INSERT INTO name …`: the same words in both databases.
    pub(crate) fn conflict_clause(&self, qualified: &str) -> String {
        let mut clause = format!("ON CONFLICT ({}) DO ", self.key.join(", "));
        if self.on_conflict == OnConflict::Once {
            clause.push_str("NOTHING");
            return clause;
        }
        clause.push_str("UPDATE SET ");
        let others = self
            .columns
            .iter()
            .filter(|column| !self.key.contains(&column.name));
        for (place, Column { name, kept, .. }) in others.enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            // Writing to a String cannot fail.
            let _ = match kept {
                true => write!(
                    clause,
                    "{comma}{name} = coalesce({qualified}.{name}, excluded.{name})"
                ),
                false => write!(clause, "{comma}{name} = excluded.{name}"),
            };
        }
        // A row without `seq` was there before Pinion; the key is Pinion's from its first use.
        let _ = write!(
            clause,
            " WHERE {qualified}.seq IS NULL OR {qualified}.seq < excluded.seq"
        );
        clause
    }

    /// The key of a row as text, for people and for `dead_letter`.
    pub fn key_text(&self, row: &[Value]) -> String {
        let of_key = |(column, value): (&Column, &Value)| {
            let name = column.name;
            self.key
                .contains(&name)
                .then(|| format!("{name}={}", column.kind.text(value).unwrap_or_default()))
        };
        let parts: Vec<String> = self.columns.iter().zip(row).filter_map(of_key).collect();
        parts.join(" ")
    }

    /// A whole row as one JSON object.
    pub(crate) fn row_json(&self, row: &[Value]) -> String {
        let fields = self.columns.iter().zip(row).map(|(column, value)| {
            let text = column.kind.text(value);
            let value = text.map_or(serde_json::Value::Null, serde_json::Value::String);
            (column.name.to_owned(), value)
        });
        serde_json::Value::Object(fields.collect()).to_string()
    }
}

/// `2026-08-03`.
pub(crate) fn date_text(day: u32) -> String {
    let (year, month, day) = civil(day);
    format!("{year:04}-{month:02}-{day:02}")
}

/// `2026-08-03 09:15:00.000042`, UTC.
pub(crate) fn time_text(time: Timestamp) -> String {
    let micros = time.nanos() / 1_000;
    let seconds = micros / 1_000_000;
    let date = date_text(u32::try_from(seconds / 86_400).unwrap_or(u32::MAX));
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!(
        "{date} {hour:02}:{minute:02}:{second:02}.{:06}",
        micros % 1_000_000
    )
}

/// Days since 1970-01-01 to (year, month, day), by the 400-year cycle that begins in March 2000.
fn civil(days: u32) -> (u64, u64, u64) {
    let shifted = u64::from(days) + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_with_microseconds() {
        let check = |nanos, text: &str| assert_eq!(time_text(Timestamp::from_nanos(nanos)), text);
        check(0, "1970-01-01 00:00:00.000000");
        check(951_782_400_000_001_999, "2000-02-29 00:00:00.000001");
        check(1_785_921_300_000_042_000, "2026-08-05 09:15:00.000042");
        check(4_107_542_399_999_999_000, "2100-02-28 23:59:59.999999");
        check(4_107_542_400_000_000_000, "2100-03-01 00:00:00.000000");
    }

    #[test]
    fn decimals_keep_their_places() {
        let paise = Value::Hundredths(-5);
        assert_eq!(Kind::Decimal2.text(&paise).as_deref(), Some("-0.05"));
        assert_eq!(Kind::Decimal4.text(&paise).as_deref(), Some("-0.0500"));
    }

    #[test]
    fn every_table_has_its_key_and_seq() {
        for (place, table) in TABLES.iter().enumerate() {
            let has = |name: &&str| table.columns.iter().any(|column| column.name == *name);
            assert!(table.key.iter().all(has), "{}", table.name);
            assert!(has(&"seq") && has(&"account"), "{}", table.name);
            assert_eq!(TABLES[place].name, table.name);
        }
        assert_eq!(TableId::AccountLedger.table().name, "account_ledger");
        assert_eq!(TableId::Orders.table().name, "orders");
    }

    #[test]
    fn no_nul_reaches_a_text() {
        assert_eq!(Value::text("a\0b"), Value::Text("a\u{fffd}b".into()));
    }
}
