//! `/risk/alerts`.

use engine::{Severity, Symbol};
use read_model::limits::ALERTS_KEPT;
use read_model::{AlertRecord, AlertSubject, ReadModel};

use super::answer::Answer;
use super::limits::ALERTS_DEFAULT;
use super::request::{Caller, Query};
use crate::wire::{AlertContext, Iso8601, Object, alert_fields, alert_safe, average_price};

/// The last alerts, oldest first (CONTRACT.md section 2).
pub(super) fn list(caller: &Caller, query: &Query, model: &ReadModel) -> Result<Answer, Answer> {
    let scope = caller.scope(query, model)?;
    let count = query.count("count", ALERTS_DEFAULT, ALERTS_KEPT)?;
    let alerts = model.history().last_alerts(scope, count);
    Ok(Answer::object(|body| {
        body.array("alerts", |list| {
            for alert in &alerts {
                list.object(|row| record_fields(row, alert, model));
            }
        })
        .number("count", alerts.len());
    }))
}

fn record_fields(row: &mut Object<'_>, record: &AlertRecord, model: &ReadModel) {
    match &record.subject {
        AlertSubject::Monitor {
            alert,
            reason,
            author,
            quantity,
            cost,
        } => {
            let instrument = alert
                .instrument
                .and_then(|instrument| model.engine().instrument(instrument));
            let context = AlertContext {
                symbol: instrument.map_or(Symbol::EMPTY, |view| view.definition.symbol),
                quantity: *quantity,
                average_price: average_price(*cost, *quantity),
                reason: &alert_safe(reason),
                author: &alert_safe(author),
            };
            alert_fields(row, alert, &context, record.raised);
        }
        AlertSubject::StateDivergence { expected, found } => {
            let (expected, found) = (format!("{expected:016x}"), format!("{found:016x}"));
            row.string("severity", Severity::Critical.as_str())
                .string("alert_type", "state_divergence")
                .text(
                    "message",
                    format_args!(
                        "State divergence: the read model has hash {found} where the engine has {expected}"
                    ),
                )
                .object("details", |details| {
                    details.string("expected", &expected).string("found", &found);
                })
                .text("timestamp", Iso8601(record.raised));
        }
        AlertSubject::DatabaseBehind { reason } => {
            let reason = alert_safe(reason);
            row.string("severity", Severity::Warning.as_str())
                .string("alert_type", "database_behind")
                .text("message", format_args!("The database is behind: {reason}"))
                .object("details", |details| {
                    details.string("reason", &reason);
                })
                .text("timestamp", Iso8601(record.raised));
        }
    }
}
