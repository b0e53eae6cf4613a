//! `/risk/alerts`.

use engine::{Alert, AlertKind, Money, Percent, Ratio, Symbol};
use read_model::limits::ALERTS_KEPT;
use read_model::{AlertRecord, AlertSubject, ReadModel};

use super::answer::Answer;
use super::limits::ALERTS_DEFAULT;
use super::request::{Caller, Query};
use crate::wire::{Iso8601, Object, average_price};

/// The last alerts, oldest first (CONTRACT.md section 2).
pub(super) fn list(caller: &Caller, query: &Query, model: &ReadModel) -> Result<Answer, Answer> {
    let scope = caller.scope(query, model)?;
    let count = query.count("count", ALERTS_DEFAULT, ALERTS_KEPT)?;
    let alerts = model.history().last_alerts(scope, count);
    Ok(Answer::object(|body| {
        body.array("alerts", |list| {
            for alert in &alerts {
                list.object(|row| alert_fields(row, alert, model));
            }
        })
        .number("count", alerts.len());
    }))
}

fn alert_fields(row: &mut Object<'_>, record: &AlertRecord, model: &ReadModel) {
    let symbol = match &record.subject {
        AlertSubject::Monitor { alert, .. } => alert
            .instrument
            .and_then(|instrument| model.engine().instrument(instrument))
            .map_or(Symbol::EMPTY, |view| view.definition.symbol),
        AlertSubject::StateDivergence { .. } => Symbol::EMPTY,
    };
    row.string("severity", record.severity().as_str())
        .string("alert_type", record.alert_type())
        .string("message", &record.message(symbol))
        .object("details", |details| detail_fields(details, record, symbol))
        .text("timestamp", Iso8601(record.raised));
}

/// The keys of CONTRACT.md section 5, by kind.
fn detail_fields(details: &mut Object<'_>, record: &AlertRecord, symbol: Symbol) {
    let (alert, reason, quantity, cost) = match &record.subject {
        AlertSubject::Monitor {
            alert,
            reason,
            quantity,
            cost,
        } => (alert, reason, *quantity, *cost),
        AlertSubject::StateDivergence { expected, found } => {
            details
                .text("expected", format_args!("{expected:016x}"))
                .text("found", format_args!("{found:016x}"));
            return;
        }
    };
    match alert.kind {
        AlertKind::DailyLossWarning | AlertKind::KillSwitchDailyLoss => loss_fields(details, alert),
        AlertKind::DrawdownWarning | AlertKind::KillSwitchDrawdown => drawdown_fields(details, alert),
        AlertKind::PositionLossLimit => {
            details
                .string("symbol", symbol.as_str())
                .number("position_pnl", alert.amount.negated())
                .number("loss_pct", share(alert))
                .number("max_loss_pct", in_percent(alert.limit))
                .number("quantity", quantity)
                .number(
                    "average_price",
                    average_price(cost, quantity).unwrap_or(Money::ZERO),
                );
        }
        AlertKind::MissingStopLoss => {
            details
                .string("symbol", symbol.as_str())
                .number("quantity", quantity)
                .number(
                    "average_price",
                    average_price(cost, quantity).unwrap_or(Money::ZERO),
                )
                .number("unrealized_pnl", alert.unrealised);
        }
        AlertKind::KillSwitchManual => {
            details.string("reason", reason);
        }
        AlertKind::KillSwitchDeactivated => {
            details.string("deactivated_by", reason);
        }
    }
}

fn loss_fields(details: &mut Object<'_>, alert: &Alert) {
    let max = alert.limit.of_floor(alert.basis);
    details
        .number("daily_pnl", alert.amount.negated())
        .number("loss_pct", share(alert))
        .number("max_loss_pct", in_percent(alert.limit))
        .number("remaining_buffer", max.saturating_sub(alert.amount))
        .number("realized_pnl", alert.realised)
        .number("unrealized_pnl", alert.unrealised);
}

fn drawdown_fields(details: &mut Object<'_>, alert: &Alert) {
    let max = alert.limit.of_floor(alert.basis);
    details
        .number("drawdown", alert.amount)
        .number("drawdown_pct", share(alert))
        .number("max_drawdown_pct", in_percent(alert.limit))
        .number("remaining_buffer", max.saturating_sub(alert.amount))
        .number("account_peak", alert.basis)
        .number("current_value", alert.basis.saturating_sub(alert.amount));
}

fn share(alert: &Alert) -> Percent {
    Percent::of(alert.amount.paise(), alert.basis.paise())
}

/// 0.06 as `6.0`.
fn in_percent(ratio: Ratio) -> Ratio {
    Ratio::from_ppm(ratio.ppm().saturating_mul(100))
}
