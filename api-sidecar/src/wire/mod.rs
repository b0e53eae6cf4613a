//! How values look to clients: JSON text, times, ids, rejections and refusals. Shared by both lanes, so that an order
//! reads the same wherever it is seen.

mod alert;
mod heartbeat;
mod json;
mod price;
mod refusal;
mod rejection;
mod time;
mod trailing;

pub use alert::{AlertContext, alert_fields, alert_safe, drawdown_reason, loss_reason};
pub use heartbeat::heartbeat_fields;
pub use json::{Array, Object};
pub use price::{average_price, net_pnl};
pub(crate) use refusal::rejection_status;
pub use refusal::{OrderAction, refusal_answer};
pub use rejection::{check_fields, rejection_fields};
pub use time::{HttpDate, Iso8601, TradingDate, parse_date, parse_iso8601};
pub(crate) use trailing::trailing_fields;

use core::fmt;

/// How a whole history is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DownloadFormat {
    Csv,
    /// A JSON object a line.
    JsonLines,
}

impl DownloadFormat {
    /// What an `Accept` field asks for: by name, since a browser's `*/*` means a page, and not less than for JSON. Of
    /// two that weigh the same, the first.
    pub(crate) fn asked_for(accept: &str) -> Option<DownloadFormat> {
        let mut best: Option<(DownloadFormat, u32)> = None;
        let mut json = 0;
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or("");
            let weight = parts.find_map(weight).unwrap_or(1_000);
            let formats = [DownloadFormat::Csv, DownloadFormat::JsonLines];
            let named = formats
                .into_iter()
                .find(|format| name.eq_ignore_ascii_case(format.media_type()));
            match named {
                Some(format) if best.is_none_or(|(_, other)| weight > other) => {
                    best = Some((format, weight));
                }
                None if name.eq_ignore_ascii_case("application/json") => json = weight,
                _ => {}
            }
        }
        best.filter(|(_, weight)| *weight > 0 && *weight >= json)
            .map(|(format, _)| format)
    }

    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            DownloadFormat::Csv => "text/csv",
            DownloadFormat::JsonLines => "application/x-ndjson",
        }
    }
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
    use super::DownloadFormat;

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
            let expected = csv.then_some(DownloadFormat::Csv);
            assert_eq!(DownloadFormat::asked_for(accept), expected, "{accept}");
        }
    }
    #[test]
    fn lines_of_json_are_asked_for_in_the_same_way() {
        for (accept, expected) in [
            ("application/x-ndjson", Some(DownloadFormat::JsonLines)),
            ("application/x-ndjson, text/csv", Some(DownloadFormat::JsonLines)),
            (
                "application/x-ndjson;q=0.2, text/csv;q=0.3",
                Some(DownloadFormat::Csv),
            ),
            ("application/x-ndjson;q=0.2, application/json", None),
            ("application/x-ndjson;q=0", None),
        ] {
            assert_eq!(DownloadFormat::asked_for(accept), expected, "{accept}");
        }
    }
}
