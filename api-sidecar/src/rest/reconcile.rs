//! `/reconcile`: whether the engine, the read model and the tables show the same. For admins.

use super::answer::{Answer, optional_text};
use super::request::Caller;
use crate::auth::Role;
use crate::wire::Object;

/// Asks the composition root to compare all sides; the error says why that cannot be done now.
pub type ReconcileProbe = Box<dyn Fn() -> Result<Reconciliation, String> + Send + Sync>;

/// What a reconciliation came to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reconciliation {
    /// Journal position at which all sides were compared.
    pub seq: u64,
    pub open_orders: u64,
    pub open_positions: u64,
    pub accounts: u64,
    /// Rows of the tables in all.
    pub orders: u64,
    pub trades: u64,
    pub differences: Vec<ReconcileDifference>,
}

/// One thing on which a side does not agree with the engine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReconcileDifference {
    /// `read_model` or `tables`.
    pub side: &'static str,
    pub account: String,
    pub symbol: String,
    pub exchange: String,
    /// As in `reconciliation_log`.
    pub issue_type: &'static str,
    pub severity: &'static str,
    pub engine_quantity: Option<i64>,
    pub other_quantity: Option<i64>,
    pub message: String,
}

/// Everybody's orders and positions are compared, so only an admin may ask.
pub(super) fn answer(caller: &Caller, reconcile: Option<&ReconcileProbe>) -> Answer {
    if caller.role != Role::Admin {
        return Answer::error(403, "Only an admin may reconcile");
    }
    let Some(reconcile) = reconcile else {
        return Answer::not_found();
    };
    match reconcile() {
        Ok(report) => Answer::object(|body| report_fields(body, &report)),
        Err(why) => Answer::error(503, format_args!("Not reconciled: {why}")).with_header("Retry-After", "1"),
    }
}

fn report_fields(body: &mut Object<'_>, report: &Reconciliation) {
    let status = if report.differences.is_empty() {
        "matched"
    } else {
        "different"
    };
    body.string("status", status)
        .number("seq", report.seq)
        .object("compared", |compared| {
            compared
                .number("open_orders", report.open_orders)
                .number("open_positions", report.open_positions)
                .number("accounts", report.accounts)
                .number("orders", report.orders)
                .number("trades", report.trades);
        })
        .array("differences", |list| {
            for difference in &report.differences {
                list.object(|row| difference_fields(row, difference));
            }
        })
        .number("count", report.differences.len());
}

fn difference_fields(row: &mut Object<'_>, difference: &ReconcileDifference) {
    row.string("side", difference.side)
        .string("account", &difference.account)
        .string("symbol", &difference.symbol)
        .string("exchange", &difference.exchange)
        .string("issue_type", difference.issue_type)
        .string("severity", difference.severity);
    optional_text(row, "message", Some(&difference.message));
    row.optional_number("engine_quantity", difference.engine_quantity)
        .optional_number("other_quantity", difference.other_quantity);
}

#[cfg(test)]
mod tests {
    use engine::{AccountId, Seq};

    use super::*;

    fn caller(role: Role) -> Caller {
        Caller {
            account: AccountId::new(0),
            name: "main".to_owned(),
            role,
            min_seq: Seq::new(0),
        }
    }

    #[test]
    fn only_admins_and_only_when_it_can_be_done() {
        let different: ReconcileProbe = Box::new(|| {
            Ok(Reconciliation {
                seq: 7,
                differences: vec![ReconcileDifference {
                    side: "tables",
                    account: "main".to_owned(),
                    symbol: "TCS".to_owned(),
                    exchange: "NSE".to_owned(),
                    issue_type: "QUANTITY_MISMATCH",
                    severity: "CRITICAL",
                    engine_quantity: Some(5),
                    other_quantity: None,
                    message: "five".to_owned(),
                }],
                ..Reconciliation::default()
            })
        });
        assert_eq!(answer(&caller(Role::Trader), Some(&different)).status, 403);
        assert_eq!(answer(&caller(Role::Admin), None).status, 404);
        let busy: ReconcileProbe = Box::new(|| Err("busy".to_owned()));
        assert_eq!(answer(&caller(Role::Admin), Some(&busy)).status, 503);
        let found = answer(&caller(Role::Admin), Some(&different));
        let body: serde_json::Value = serde_json::from_slice(&found.body).unwrap();
        assert_eq!((found.status, &body["status"]), (200, &"different".into()));
        assert_eq!(body["differences"][0]["engine_quantity"], 5);
        assert!(body["differences"][0]["other_quantity"].is_null());
    }
}
