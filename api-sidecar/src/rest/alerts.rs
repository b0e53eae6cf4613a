//! `/risk/alerts`.

use engine::Symbol;
use read_model::limits::ALERTS_KEPT;
use read_model::{AlertRecord, AlertSubject, ReadModel};

use super::answer::Answer;
use super::limits::ALERTS_DEFAULT;
use super::request::{Caller, Query};
use crate::wire::{AlertContext, Object, alert_fields, alert_safe, average_price};

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
    let AlertSubject {
        alert,
        reason,
        author,
        quantity,
        cost,
    } = &record.subject;
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
