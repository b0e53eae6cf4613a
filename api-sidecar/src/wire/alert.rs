//! An alert as clients see it (CONTRACT.md sections 2 and 5).

use engine::{Alert, AlertKind, Money, Percent, Ratio, Symbol, Timestamp};

use super::json::Object;
use super::time::Iso8601;

/// What an alert's sentence and details need besides its own numbers.
#[derive(Clone, Copy, Debug)]
pub struct AlertContext<'a> {
    /// Of the alert's instrument; empty where it has none.
    pub symbol: Symbol,
    /// Of the alert's position, signed.
    pub quantity: i64,
    /// Of the alert's position; `None` where it is flat.
    pub average_price: Option<Money>,
    /// The command's text, for a manual kill or a notice.
    pub reason: &'a str,
    /// Who triggered or deactivated the kill switch by command.
    pub author: &'a str,
}

/// Adds `severity`, `alert_type`, `message`, `details` and `timestamp` to an object.
pub fn alert_fields(object: &mut Object<'_>, alert: &Alert, context: &AlertContext<'_>, time: Timestamp) {
    let text = match alert.kind {
        AlertKind::KillSwitchDeactivated => context.author,
        _ => context.reason,
    };
    object
        .string("severity", alert.kind.severity().as_str())
        .string("alert_type", alert.kind.as_str())
        .text("message", alert.message(context.symbol, text))
        .object("details", |details| details_of(details, alert, context))
        .text("timestamp", Iso8601(time));
}

fn details_of(details: &mut Object<'_>, alert: &Alert, context: &AlertContext<'_>) {
    let share = Percent::of(alert.amount.paise(), alert.basis.paise());
    let limit = percent(alert.limit);
    let buffer = alert.limit.of_floor(alert.basis).saturating_sub(alert.amount);
    let total = alert.realised.saturating_add(alert.unrealised);
    match alert.kind {
        AlertKind::DailyLossWarning | AlertKind::KillSwitchDailyLoss => {
            details
                .number("daily_pnl", total)
                .number("loss_pct", share)
                .number("max_loss_pct", limit);
        }
        AlertKind::DrawdownWarning | AlertKind::KillSwitchDrawdown => {
            details
                .number("drawdown", alert.amount)
                .number("drawdown_pct", share)
                .number("max_drawdown_pct", limit);
        }
        AlertKind::PositionLossLimit => {
            details
                .string("symbol", context.symbol.as_str())
                .number("position_pnl", total)
                .number("loss_pct", share)
                .number("max_loss_pct", limit);
        }
        AlertKind::MissingStopLoss => {
            details.string("symbol", context.symbol.as_str());
        }
        AlertKind::MarginUsage => {
            details
                .number("margin_used", alert.amount)
                .number("funds", alert.basis)
                .number("usage_pct", share);
        }
        AlertKind::OrderToTrade => {
            details
                .number("messages", alert.amount.paise())
                .number("fills", alert.basis.paise());
        }
        AlertKind::OrderRateNearLimit => {
            details
                .number("orders", alert.amount.paise())
                .number("limit", alert.basis.paise());
        }
        AlertKind::StaleFeed => {
            details
                .string("symbol", context.symbol.as_str())
                .number("silent_ms", alert.amount.paise());
        }
        AlertKind::DeadMan => {
            details.number("timeout_ms", alert.amount.paise());
        }
        AlertKind::KillSwitchManual => {
            details.string("triggered_by", context.author);
        }
        AlertKind::JournalError
        | AlertKind::DatabaseBehind
        | AlertKind::StateDivergence
        | AlertKind::DiskLow
        | AlertKind::DeadLetter
        | AlertKind::TableConflict => {
            details.string("reason", context.reason);
        }
        AlertKind::KillSwitchDeactivated => {
            details.string("deactivated_by", context.author);
        }
    }
    match alert.kind {
        AlertKind::DailyLossWarning | AlertKind::DrawdownWarning => {
            details.number("remaining_buffer", buffer);
        }
        AlertKind::KillSwitchDailyLoss => {
            details
                .number("realized_pnl", alert.realised)
                .number("unrealized_pnl", alert.unrealised);
        }
        AlertKind::KillSwitchDrawdown => {
            details
                .number("account_peak", alert.basis)
                .number("current_value", alert.basis.saturating_sub(alert.amount));
        }
        AlertKind::PositionLossLimit | AlertKind::MissingStopLoss => {
            details
                .number("quantity", context.quantity)
                .optional_number("average_price", context.average_price);
            if alert.kind == AlertKind::MissingStopLoss {
                details.number("unrealized_pnl", alert.unrealised);
            }
        }
        AlertKind::KillSwitchManual
        | AlertKind::KillSwitchDeactivated
        | AlertKind::MarginUsage
        | AlertKind::OrderToTrade
        | AlertKind::OrderRateNearLimit
        | AlertKind::StaleFeed
        | AlertKind::DeadMan
        | AlertKind::JournalError
        | AlertKind::DatabaseBehind
        | AlertKind::StateDivergence
        | AlertKind::DiskLow
        | AlertKind::DeadLetter
        | AlertKind::TableConflict => {}
    }
}

/// A share in percent with two decimals.
fn percent(ratio: Ratio) -> Percent {
    Percent::hundredths(i128::from(ratio.ppm()), 10_000)
}

/// Free text of a client that may be shown inside an alert: the existing dashboard pastes alerts into HTML
/// unescaped, so `<`, `>`, `&`, quotes and control characters are left out.
pub fn alert_safe(text: &str) -> String {
    text.chars()
        .filter(|character| {
            !matches!(character, '<' | '>' | '&' | '"' | '\'' | '`') && !character.is_control()
        })
        .collect()
}

/// The reason of an automatic kill, as in the alert's message.
pub fn loss_reason(loss: Money, balance: Money) -> impl core::fmt::Display {
    Reason("Daily loss limit exceeded", loss, balance)
}

/// As [`loss_reason`], for a drawdown from the day's peak.
pub fn drawdown_reason(drawdown: Money, peak: Money) -> impl core::fmt::Display {
    Reason("Drawdown limit exceeded", drawdown, peak)
}

struct Reason(&'static str, Money, Money);

impl core::fmt::Display for Reason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Reason(what, amount, basis) = *self;
        let share = Percent::of(amount.paise(), basis.paise());
        write!(f, "{what}: {} ({share}%)", engine::Rupees(amount))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(alert: Alert, context: AlertContext<'_>) -> serde_json::Value {
        let mut out = Vec::new();
        alert_fields(&mut Object::begin(&mut out), &alert, &context, Timestamp::ZERO);
        serde_json::from_slice(&out).unwrap()
    }

    fn sample(kind: AlertKind) -> Alert {
        Alert {
            kind,
            account: None,
            position: None,
            instrument: None,
            amount: Money::from_paise(700_000),
            basis: Money::from_paise(10_000_000),
            realised: Money::from_paise(-500_000),
            unrealised: Money::from_paise(-200_000),
            limit: Ratio::from_ppm(60_000),
        }
    }

    const CONTEXT: AlertContext<'static> = AlertContext {
        symbol: Symbol::EMPTY,
        quantity: -3,
        average_price: Some(Money::from_paise(245_000)),
        reason: "too wild",
        author: "ops",
    };

    #[test]
    fn details_carry_the_keys_of_the_contract() {
        let check = |kind: AlertKind, keys: &[&str]| {
            let value = render(sample(kind), CONTEXT);
            let details = value["details"].as_object().unwrap();
            assert_eq!(
                details.keys().map(String::as_str).collect::<Vec<_>>(),
                keys,
                "{kind:?}"
            );
        };
        check(
            AlertKind::KillSwitchDailyLoss,
            &[
                "daily_pnl",
                "loss_pct",
                "max_loss_pct",
                "realized_pnl",
                "unrealized_pnl",
            ],
        );
        check(
            AlertKind::KillSwitchDrawdown,
            &[
                "drawdown",
                "drawdown_pct",
                "max_drawdown_pct",
                "account_peak",
                "current_value",
            ],
        );
        check(
            AlertKind::DailyLossWarning,
            &["daily_pnl", "loss_pct", "max_loss_pct", "remaining_buffer"],
        );
        check(
            AlertKind::DrawdownWarning,
            &["drawdown", "drawdown_pct", "max_drawdown_pct", "remaining_buffer"],
        );
        check(
            AlertKind::PositionLossLimit,
            &[
                "symbol",
                "position_pnl",
                "loss_pct",
                "max_loss_pct",
                "quantity",
                "average_price",
            ],
        );
        check(
            AlertKind::MissingStopLoss,
            &["symbol", "quantity", "average_price", "unrealized_pnl"],
        );
    }

    #[test]
    fn messages_and_reasons_agree() {
        let value = render(sample(AlertKind::KillSwitchDailyLoss), CONTEXT);
        let reason = loss_reason(Money::from_paise(700_000), Money::from_paise(10_000_000)).to_string();
        assert_eq!(reason, "Daily loss limit exceeded: ₹7,000.00 (7.00%)");
        assert_eq!(value["message"], format!("KILL SWITCH ACTIVATED: {reason}"));
        assert_eq!(value["timestamp"], "1970-01-01T00:00:00.000000Z");
        let value = render(sample(AlertKind::KillSwitchDeactivated), CONTEXT);
        assert_eq!(value["message"], "Kill switch deactivated by: ops");
        assert_eq!(alert_safe("<b>\"a & b\"</b>\n"), "ba  b/b");
    }
}
