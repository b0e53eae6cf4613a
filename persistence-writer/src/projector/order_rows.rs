//! Rows of `orders` and `trades`.

use engine::{
    AveragePrice, Charges, CheckOutcome, ExplainedCheck, Fill, Money, Percent, Price, Rejection, Side,
    TimeInForce, Timestamp,
};
use read_model::{Order, RejectionNumbers};
use serde_json::{Number, json};

use super::names::Names;
use super::table::{Row, Value};

/// The order as it stands after the command `seq`, in the order of the table's columns.
pub(crate) fn order_row(order: &Order, names: &Names, seq: u64) -> Row {
    let good_till = match order.time_in_force {
        TimeInForce::Gtd(until) => Some(until),
        _ => None,
    };
    let broker_order_id = order
        .submitted
        .map(|_| Value::text(&format!("PIN{:010}", order.id.get())));
    vec![
        Value::id(order.id.get()),
        broker_order_id.unwrap_or(Value::Null),
        Value::optional(order.client_order_id.as_deref(), Value::text),
        names.account(order.account),
        Value::id(order.strategy.get()),
        Value::optional(order.position, |id| Value::id(id.get())),
        names.symbol(order.instrument),
        names.exchange(order.instrument),
        Value::name(order.side.as_str()),
        Value::id(order.quantity.shares()),
        Value::name(order.order_type.as_str()),
        Value::optional(order.order_type.price(), |price| Value::money(price.money())),
        Value::optional(order.limit, |price| Value::money(price.money())),
        Value::optional(order.order_type.trigger(), |price| Value::money(price.money())),
        Value::optional(order.triggered, Value::Bool),
        Value::name(order.product.as_str()),
        Value::name(order.time_in_force.as_str()),
        Value::optional(good_till, Value::Time),
        Value::optional(order.stop_loss, |price| Value::money(price.money())),
        Value::optional(order.take_profit, |price| Value::money(price.money())),
        Value::optional(order.risk_amount(), Value::money),
        reward_to_risk(order),
        Value::name(order.status.as_str()),
        Value::optional(order.status_message(), |message| {
            Value::text(&message.to_string())
        }),
        Value::id(order.filled.shares()),
        average_price(order.notional, order.filled.shares().into()),
        Value::money(order.charges),
        Value::id(order.modifications),
        Value::Bool(order.cause.is_some()),
        Value::Time(order.created),
        Value::optional(order.submitted, Value::Time),
        Value::Time(order.updated),
        Value::optional(order.filled_at, Value::Time),
        Value::optional(order.cancelled_at, Value::Time),
        validation_result(order),
        Value::Texts(order.warnings.sentences().map(Into::into).collect()),
        Value::optional(order.rejection.as_deref(), |rejection| {
            Value::text(&rejection.to_string())
        }),
        metadata(order),
        Value::id(seq),
    ]
}

/// What the client gave; of the engine's own exits why they were placed, as `GET /orders/<id>` says it.
fn metadata(order: &Order) -> Value {
    let Some(cause) = order.cause else {
        return Value::optional(order.metadata.as_deref(), |json| {
            Value::Json(without_nul(json).into())
        });
    };
    let price = |price: Price| Number::from_string_unchecked(price.to_string());
    let reached = order.reached;
    let cause = json!({"cause": {
        "kind": cause.as_str(),
        "position_id": order.position.map(|id| id.get()),
        "trigger_price": reached.map(|reached| price(reached.trigger_price)),
        "print_price": reached.map(|reached| price(reached.print_price)),
        "trade_id": reached.and_then(|reached| reached.trade).map(|trade| trade.get()),
    }});
    Value::Json(cause.to_string().into())
}

/// One side of a trade. Both sides of a trade are rows: the buy is `2 × trade`, the sale one more.
pub(crate) fn trade_row(fill: &Fill, order: &Order, names: &Names, now: Timestamp, seq: u64) -> Row {
    let gross = fill.last_price.notional(fill.last_quantity);
    let total = fill.charges.total();
    let (mark, net) = match fill.side {
        Side::Buy => ('B', gross.saturating_add(total)),
        Side::Sell => ('S', gross.saturating_sub(total)),
    };
    let Charges {
        brokerage,
        stt,
        exchange,
        gst,
        stamp_duty,
        sebi,
    } = fill.charges;
    vec![
        Value::id(trade_row_id(fill)),
        Value::id(fill.trade.get()),
        Value::text(&format!("PIN{:010}{mark}", fill.trade.get())),
        Value::id(fill.order.get()),
        Value::id(fill.position.get()),
        names.account(fill.account),
        Value::id(order.strategy.get()),
        names.symbol(fill.instrument),
        names.exchange(fill.instrument),
        Value::name(fill.side.as_str()),
        Value::name(order.product.as_str()),
        Value::id(fill.last_quantity.shares()),
        Value::money(fill.last_price.money()),
        Value::Hundredths(brokerage.into()),
        Value::Hundredths(stt.into()),
        Value::Hundredths(exchange.into()),
        Value::Hundredths(gst.into()),
        Value::Hundredths(stamp_duty.into()),
        Value::Hundredths(sebi.into()),
        Value::money(total),
        Value::money(gross),
        Value::money(net),
        Value::Time(now),
        Value::id(seq),
    ]
}

/// The primary key of a fill's row.
pub(crate) fn trade_row_id(fill: &Fill) -> u64 {
    let sale = u64::from(fill.side == Side::Sell);
    fill.trade.get().saturating_mul(2).saturating_add(sale)
}

/// Σ price × quantity over quantity, both with the same sign, halves away from zero; NULL for no shares.
pub(crate) fn average_price(notional: Money, quantity: i64) -> Value {
    Value::optional(AveragePrice::of(notional, quantity), |average| {
        Value::money(average.round_half_up())
    })
}

/// A ratio or percentage with two decimals.
pub(crate) fn hundredths(ratio: Percent) -> Value {
    Value::money(Money::from_wide(ratio.scaled()))
}

fn reward_to_risk(order: &Order) -> Value {
    Value::optional(order.reward_and_risk(), |(reward, risk)| {
        hundredths(Percent::hundredths(reward.wide(), risk.wide()))
    })
}

/// [`validation_result`] of an order that passed: most are, so it is not made for each.
const PASSED: &str = r#"{"is_valid":true,"reason":"","failed_check":""}"#;

/// In the shape of the answer to `POST /validate-order`.
fn validation_result(order: &Order) -> Value {
    let Some(rejection) = order.rejection.as_deref() else {
        return Value::Json(PASSED.into());
    };
    let [limit, observed, headroom] = numbers(rejection);
    let checks: Vec<_> = order.checks.iter().map(check_line).collect();
    let result = json!({
        "is_valid": false,
        "reason": rejection.to_string(),
        "failed_check": rejection.code.check(),
        "code": rejection.code.code(),
        "limit": limit,
        "observed": observed,
        "headroom": headroom,
        "checks": checks,
    });
    Value::Json(result.to_string().into())
}

fn check_line(check: ExplainedCheck) -> serde_json::Value {
    let measured = Some(check.measured).filter(|_| check.outcome != CheckOutcome::NotApplicable);
    let [limit, observed, headroom] = measured.as_ref().map(numbers).unwrap_or_default();
    json!({
        "check": check.measured.code.check(),
        "outcome": check.outcome.as_str(),
        "limit": limit,
        "observed": observed,
        "headroom": headroom,
    })
}

/// Limit, observed value and headroom; none where the check has no numbers.
fn numbers(rejection: &Rejection) -> [Option<Number>; 3] {
    let numbers = RejectionNumbers::of(rejection);
    numbers.map_or_else(Default::default, |numbers| {
        [numbers.limit, numbers.observed, numbers.headroom].map(decimal)
    })
}

/// A number of JSON with all its places.
fn decimal(number: impl std::fmt::Display) -> Option<Number> {
    number.to_string().parse().ok()
}

/// JSON text as PostgreSQL can hold it: its `jsonb` refuses the escape of U+0000.
fn without_nul(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        if let Some(after) = escape.strip_prefix("\\u0000") {
            out.push_str("\\ufffd");
            rest = after;
        } else {
            // The backslash and what it escapes, which may be another backslash.
            let len = 1 + escape.chars().nth(1).map_or(0, char::len_utf8);
            let (pair, after) = escape.split_at(len);
            out.push_str(pair);
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_escape_of_nul_is_replaced() {
        for (json, expected) in [
            (r#"{"a":1}"#, r#"{"a":1}"#),
            (r#"{"a":"\u0000x"}"#, r#"{"a":"\ufffdx"}"#),
            (r#"{"a":"\\u0000"}"#, r#"{"a":"\\u0000"}"#),
            (r#"{"a":"\\\u0000"}"#, r#"{"a":"\\\ufffd"}"#),
            (r#"{"a":"\u00001\u20b9"}"#, r#"{"a":"\ufffd1\u20b9"}"#),
        ] {
            assert_eq!(without_nul(json), expected);
        }
    }

    #[test]
    fn what_passed_has_the_fields_of_what_did_not() {
        let passed = json!({"is_valid": true, "reason": "", "failed_check": ""});
        assert_eq!(PASSED, passed.to_string());
    }

    #[test]
    fn averages_round_half_away_from_zero() {
        let average = |paise, quantity| average_price(Money::from_paise(paise), quantity);
        assert_eq!(average(301, 2), Value::Hundredths(151));
        assert_eq!(average(-301, -2), Value::Hundredths(151));
        assert_eq!(average(0, 0), Value::Null);
    }
}
