//! How values look to clients: JSON text, times, ids, rejections and refusals. Shared by both lanes, so that an order
//! reads the same wherever it is seen.

mod alert;
mod json;
mod price;
mod refusal;
mod rejection;
mod time;

pub use alert::{AlertContext, alert_fields, alert_safe, drawdown_reason, loss_reason};
pub use json::{Array, Object};
pub use price::{average_price, net_pnl};
pub(crate) use refusal::rejection_status;
pub use refusal::{OrderAction, refusal_answer};
pub use rejection::{check_fields, rejection_fields};
pub use time::{HttpDate, Iso8601, TradingDate, parse_date, parse_iso8601};

use core::fmt;

/// Whether an `Accept` field asks for CSV: by name, since a browser's `*/*` means a page.
pub(crate) fn wants_csv(accept: &str) -> bool {
    accept
        .split(',')
        .filter_map(|range| range.split(';').next())
        .any(|range| range.trim().eq_ignore_ascii_case("text/csv"))
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
