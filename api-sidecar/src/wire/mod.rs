//! How values look to clients: JSON text, times, ids, rejections and refusals. Shared by both lanes, so that an order
//! reads the same wherever it is seen.

mod alert;
mod json;
mod price;
mod refusal;
mod rejection;
mod time;
mod trailing;

pub use alert::{AlertContext, alert_fields, alert_safe, drawdown_reason, loss_reason};
pub use json::{Array, Object};
pub use price::{average_price, net_pnl};
pub(crate) use refusal::rejection_status;
pub use refusal::{OrderAction, refusal_answer};
pub use rejection::{check_fields, rejection_fields};
pub use time::{HttpDate, Iso8601, TradingDate, parse_date, parse_iso8601};
pub(crate) use trailing::trailing_fields;

use core::fmt;

/// Whether an `Accept` field asks for CSV: by name, since a browser's `*/*` means a page, and not less than for JSON.
pub(crate) fn wants_csv(accept: &str) -> bool {
    let (mut csv, mut json) = (0, 0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or("");
        let weight = parts.find_map(weight).unwrap_or(1_000);
        if name.eq_ignore_ascii_case("text/csv") {
            csv = weight;
        } else if name.eq_ignore_ascii_case("application/json") {
            json = weight;
        }
    }
    csv > 0 && csv >= json
}

/// `q=0.25` in thousandths (RFC 9110 section 12.4.2).
fn weight(parameter: &str) -> Option<u32> {
    let (name, value) = parameter.split_once('=')?;
    let digits = name.trim().eq_ignore_ascii_case("q").then_some(value.trim())?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let thousandths = [100, 10, 1]
        .iter()
        .zip(fraction.chars())
        .map(|(value, digit)| digit.to_digit(10).map(|digit| digit * value))
        .sum::<Option<u32>>()?;
    whole
        .parse::<u32>()
        .ok()?
        .checked_mul(1_000)?
        .checked_add(thousandths)
}

use engine::OrderId;

/// `{"error": …}` of an unknown path, to the letter of CONTRACT.md section 2.
pub const NOT_FOUND: &[u8] = br#"{"error":"NOT_FOUND","message":"The requested resource was not found"}"#;

/// The broker's number of an order that the paper venue filled: `PIN0000000042`. Derived from the order's id, so it is
/// unique for ever and needs no table.
#[derive(Clone, Copy, Debug)]
pub struct BrokerOrderId(pub OrderId);

impl fmt::Display for BrokerOrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PIN{:010}", self.0.get())
    }
}

#[cfg(test)]
mod tests {
    use super::wants_csv;

    #[test]
    fn csv_is_asked_for_by_name_and_by_weight() {
        for (accept, csv) in [
            ("text/csv", true),
            ("TEXT/CSV; q=0.1", true),
            ("text/csv, */*", true),
            ("application/json, text/csv", true),
            ("application/json; q=0.5, text/csv;q=0.500", true),
            ("application/json, text/csv; q=0.9", false),
            ("application/json; q=0.25, text/csv;q=0.2", false),
            ("text/csv;q=0", false),
            ("*/*", false),
            ("text/html", false),
        ] {
            assert_eq!(wants_csv(accept), csv, "{accept}");
        }
    }
}
