//! Rows of the tables in the shapes of `orders`, `trades` and `positions`: a row says the same whichever side it comes
//! from.

use engine::{Money, OrderId, OrderStatus, Percent};
use read_model::ReadModel;
use serde_json::Value;

use super::answer::optional_text;
use super::earlier::EarlierRow;
use super::orders::instrument_fields;
use crate::wire::{BrokerOrderId, Object, trailing_fields};

impl EarlierRow {
    fn text(&self, column: &str) -> Option<&str> {
        self.values.get(column).map(String::as_str)
    }

    fn whole(&self, column: &str) -> i64 {
        self.text(column)
            .and_then(|text| text.parse().ok())
            .unwrap_or_default()
    }
}

/// A text column under its own name.
fn string(row: &mut Object<'_>, of: &EarlierRow, column: &str) {
    optional_text(row, column, of.text(column));
}

/// A column whose text is JSON as it stands: a number, a truth, an object, a list.
fn json(row: &mut Object<'_>, of: &EarlierRow, column: &str) {
    match of.text(column) {
        Some(text) => row.raw(column, text.as_bytes()),
        None => row.null(column),
    };
}

/// Rupees that the tables keep with four decimals, of which the last two are always zero.
fn paise(row: &mut Object<'_>, of: &EarlierRow, column: &str) {
    let text = of.text(column).unwrap_or("0.0000");
    let text = text.strip_suffix("00").unwrap_or(text);
    row.raw(column, text.as_bytes());
}

/// `2026-08-03 09:15:00.000042` under `key` as `2026-08-03T09:15:00.000042Z`.
fn time(row: &mut Object<'_>, of: &EarlierRow, key: &str, column: &str) {
    let time = of
        .text(column)
        .and_then(|text| text.split_once(' '))
        .map(|(date, time)| format!("{date}T{time}Z"));
    optional_text(row, key, time);
}

/// As [`super::orders::order_fields`].
pub(super) fn order_fields(row: &mut Object<'_>, of: &EarlierRow) {
    json(row, of, "id");
    string(row, of, "broker_order_id");
    json(row, of, "strategy_id");
    for column in ["symbol", "exchange", "side"] {
        string(row, of, column);
    }
    json(row, of, "quantity");
    string(row, of, "order_type");
    json(row, of, "price");
    json(row, of, "trigger_price");
    if of.text("triggered").is_some() {
        json(row, of, "triggered");
    }
    string(row, of, "product");
    string(row, of, "validity");
    for column in ["stop_loss", "take_profit", "risk_amount", "risk_reward_ratio"] {
        json(row, of, column);
    }
    string(row, of, "status");
    string(row, of, "status_message");
    json(row, of, "filled_quantity");
    json(row, of, "average_price");
    for column in [
        "created_at",
        "updated_at",
        "submitted_at",
        "filled_at",
        "cancelled_at",
    ] {
        time(row, of, column, column);
    }
    if of.text("good_till").is_some() {
        time(row, of, "good_till", "good_till");
    }
    json(row, of, "validation_result");
    json(row, of, "validation_warnings");
    string(row, of, "error_message");
    // Of the engine's own orders the tables keep there why it placed them.
    let cause = own_cause(of);
    match of.text("metadata").filter(|_| cause.is_none()) {
        Some(metadata) => row.raw("metadata", metadata.as_bytes()),
        None => row.object("metadata", |_| ()),
    };
    let status = of.text("status").unwrap_or_default();
    let is_active = OrderStatus::ALL
        .into_iter()
        .any(|known| known.as_str() == status && known.is_active());
    let filled = Percent::of(of.whole("filled_quantity"), of.whole("quantity"));
    row.boolean("is_active", is_active)
        .boolean("is_filled", status == OrderStatus::Filled.as_str())
        .number("fill_percentage", filled);
    string(row, of, "client_order_id");
    string(row, of, "account");
    for column in [
        "position_id",
        "limit_price",
        "charges",
        "modifications",
        "engine_made",
    ] {
        json(row, of, column);
    }
    match cause {
        Some(cause) => row.raw("cause", cause.to_string().as_bytes()),
        None => row.null("cause"),
    };
}

fn own_cause(of: &EarlierRow) -> Option<Value> {
    let metadata = of
        .text("metadata")
        .filter(|_| of.text("engine_made") == Some("true"))?;
    let metadata: Value = serde_json::from_str(metadata).ok()?;
    metadata.get("cause").cloned()
}

/// As [`super::trades::trade_fields`].
pub(super) fn trade_fields(row: &mut Object<'_>, of: &EarlierRow) {
    row.number("id", of.whole("trade_id"));
    string(row, of, "broker_trade_id");
    json(row, of, "order_id");
    let order = u64::try_from(of.whole("order_id")).unwrap_or_default();
    row.text("broker_order_id", BrokerOrderId(OrderId::new(order)));
    json(row, of, "position_id");
    json(row, of, "strategy_id");
    for column in ["symbol", "exchange", "side", "product"] {
        string(row, of, column);
    }
    json(row, of, "quantity");
    json(row, of, "price");
    for column in [
        "brokerage",
        "stt",
        "exchange_txn_charge",
        "gst",
        "stamp_duty",
        "sebi_charges",
        "total_charges",
    ] {
        paise(row, of, column);
    }
    json(row, of, "gross_value");
    json(row, of, "net_value");
    time(row, of, "executed_at", "executed_at");
    string(row, of, "account");
}

/// As [`super::positions::closed_fields`].
pub(super) fn closed_fields(row: &mut Object<'_>, of: &EarlierRow, model: &ReadModel) {
    row.number("id", of.whole("position_id"));
    let (symbol, exchange) = (of.text("symbol").unwrap_or_default(), of.text("exchange"));
    let instrument = model
        .instrument_by_symbol(symbol, exchange)
        .and_then(|instrument| model.engine().instrument(instrument));
    instrument_fields(row, instrument);
    row.number("quantity", 0)
        .number("average_price", Money::ZERO)
        .optional_number("current_price", instrument.and_then(|view| view.last_price))
        .number("unrealized_pnl", Money::ZERO);
    json(row, of, "realized_pnl");
    row.raw("total_pnl", of.text("realized_pnl").unwrap_or("0.00").as_bytes());
    json(row, of, "charges");
    json(row, of, "stop_loss");
    json(row, of, "take_profit");
    trailing_fields(row, None, None);
    row.boolean("is_long", false)
        .boolean("is_short", false)
        .boolean("was_long", of.text("side") == Some("LONG"));
    time(row, of, "entry_time", "opened_at");
    time(row, of, "updated_at", "closed_at");
    time(row, of, "closed_at", "closed_at");
    string(row, of, "product");
    json(row, of, "strategy_id");
    string(row, of, "account");
}
