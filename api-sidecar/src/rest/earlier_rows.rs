//! Rows of the tables in the shapes of `orders`, `trades` and `positions`: a row says the same whichever side it comes
//! from.

use engine::{Money, OrderId, OrderStatus, Percent};
use read_model::ReadModel;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::answer::optional_text;
use super::earlier::EarlierRow;
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

    /// Rupees, in paise: the last two of four decimals are always zero in the journal's rows, but the old system did not
    /// round its charges.
    fn money(&self, column: &str) -> Option<Money> {
        self.text(column).and_then(rounded_to_paise)
    }
}

/// A text column under its own name.
fn string(row: &mut Object<'_>, of: &EarlierRow, column: &str) {
    optional_text(row, column, of.text(column));
}

/// A column whose text is JSON as it stands: a number, a truth, an object, a list. What is not JSON (the `NaN` of a
/// decimal) is null.
fn json(row: &mut Object<'_>, of: &EarlierRow, column: &str) {
    json_or(row, of, column, "null");
}

/// The same for a column that the old system may have left empty.
fn json_or(row: &mut Object<'_>, of: &EarlierRow, column: &str, otherwise: &str) {
    let text = of
        .text(column)
        .filter(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
    row.raw(column, text.unwrap_or(otherwise).as_bytes());
}

/// A decimal with up to four places, half a paisa away from zero.
fn rounded_to_paise(text: &str) -> Option<Money> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (rupees, places) = digits.split_once('.').unwrap_or((digits, ""));
    let ten_thousandths = format!("{rupees}{places:0<4.4}").parse::<i64>().ok()?;
    let paise = ten_thousandths.checked_add(50)? / 100;
    Some(Money::from_paise(if negative { -paise } else { paise }))
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
    json_or(row, of, "filled_quantity", "0");
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
    validation_result(row, of);
    json_or(row, of, "validation_warnings", "[]");
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

/// The old system kept none of what it let pass.
fn validation_result(row: &mut Object<'_>, of: &EarlierRow) {
    if of.text("validation_result").is_some() {
        return json(row, of, "validation_result");
    }
    let rejected = of.text("status") == Some(OrderStatus::Rejected.as_str());
    let reason = of.text("status_message").filter(|_| rejected);
    row.object("validation_result", |result| {
        result
            .boolean("is_valid", !rejected)
            .string("reason", reason.unwrap_or_default())
            .string("failed_check", "");
    });
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
    // Each side of a trade is a row; one that was there before Pinion stands for itself.
    let number = if of.key > 0 { "trade_id" } else { "id" };
    row.number("id", of.whole(number));
    string(row, of, "broker_trade_id");
    json(row, of, "order_id");
    match u64::try_from(of.whole("order_id")) {
        Ok(order) => {
            row.text("broker_order_id", BrokerOrderId(OrderId::new(order)));
        }
        Err(_) => string(row, of, "broker_order_id"),
    }
    json(row, of, "position_id");
    json(row, of, "strategy_id");
    for column in ["symbol", "exchange", "side", "product"] {
        string(row, of, column);
    }
    json(row, of, "quantity");
    json(row, of, "price");
    let mut sum = Money::ZERO;
    for column in [
        "brokerage",
        "stt",
        "exchange_txn_charge",
        "gst",
        "stamp_duty",
        "sebi_charges",
    ] {
        let charge = of.money(column).unwrap_or_default();
        sum = sum.saturating_add(charge);
        row.number(column, charge);
    }
    // The old system's triggers may have left out what they could not sum up.
    let charges = of.money("total_charges").unwrap_or(sum);
    let price = of.money("price").unwrap_or_default();
    let gross = Money::from_paise(price.paise().saturating_mul(of.whole("quantity")));
    let gross = of.money("gross_value").unwrap_or(gross);
    let net = match of.text("side") {
        Some("SELL") => gross.saturating_sub(charges),
        _ => gross.saturating_add(charges),
    };
    row.number("total_charges", charges)
        .number("gross_value", gross)
        .number("net_value", of.money("net_value").unwrap_or(net));
    time(row, of, "executed_at", "executed_at");
    string(row, of, "account");
}

/// As [`super::positions::closed_fields`]. A row that was there before Pinion is the position's own.
pub(super) fn closed_fields(row: &mut Object<'_>, of: &EarlierRow, model: &ReadModel) {
    let number = if of.key > 0 { "position_id" } else { "id" };
    row.number("id", of.whole(number));
    string(row, of, "symbol");
    string(row, of, "exchange");
    let (symbol, exchange) = (of.text("symbol").unwrap_or_default(), of.text("exchange"));
    let instrument = model
        .instrument_by_symbol(symbol, exchange)
        .and_then(|instrument| model.engine().instrument(instrument));
    row.number("quantity", 0)
        .number("average_price", Money::ZERO)
        .optional_number("current_price", instrument.and_then(|view| view.last_price))
        .number("unrealized_pnl", Money::ZERO);
    let pnl = of.money("realized_pnl").unwrap_or_default();
    row.number("realized_pnl", pnl).number("total_pnl", pnl);
    json(row, of, "charges");
    json(row, of, "stop_loss");
    json(row, of, "take_profit");
    trailing_fields(row, None, None);
    row.boolean("is_long", false).boolean("is_short", false);
    if let Some(was_long) = was_long(of) {
        row.boolean("was_long", was_long);
    }
    time(row, of, "entry_time", "opened_at");
    time(row, of, "updated_at", "closed_at");
    time(row, of, "closed_at", "closed_at");
    string(row, of, "product");
    json(row, of, "strategy_id");
    string(row, of, "account");
}

/// The old system kept no side of what it had closed; adoption kept it of what was open.
fn was_long(of: &EarlierRow) -> Option<bool> {
    if let Some(side) = of.text("side") {
        return Some(side == "LONG");
    }
    let metadata: Value = serde_json::from_str(of.text("metadata")?).ok()?;
    let quantity = metadata["before_pinion"]["quantity"].as_i64()?;
    Some(quantity > 0)
}

#[cfg(test)]
mod tests {
    use super::rounded_to_paise;

    #[test]
    fn charges_of_the_old_system_are_rounded_to_paise() {
        let check = |text: &str, shown: Option<&str>| {
            let rounded = rounded_to_paise(text).map(|money| money.to_string());
            assert_eq!(rounded.as_deref(), shown, "{text}");
        };
        check("7.3500", Some("7.35"));
        check("0.0050", Some("0.01"));
        check("0.0049", Some("0.00"));
        check("-0.0050", Some("-0.01"));
        check("-12.3449", Some("-12.34"));
        check("110.00", Some("110.00"));
        check("20", Some("20.00"));
        check("NaN", None);
    }
}
