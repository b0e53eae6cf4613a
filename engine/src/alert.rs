//! Alerts of the risk monitor: a kind, the numbers behind it, and a sentence for a person (CONTRACT.md section 5).

use core::fmt;

use crate::ids::{AccountId, InstrumentId, PositionId};
use crate::rejection::{Percent, Rupees};
use crate::text::Symbol;
use crate::units::{Money, Ratio};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Severity {
    Info = 0,
    Warning = 1,
    Critical = 2,
}

impl Severity {
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "INFO",
            Severity::Warning => "WARNING",
            Severity::Critical => "CRITICAL",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum AlertKind {
    /// `amount` is the loss (positive), `basis` the balance, `limit` the limit's share of it.
    DailyLossWarning = 0,
    /// `amount` is the drawdown, `basis` the day's peak.
    DrawdownWarning = 1,
    /// `amount` is the position's loss, `basis` the balance.
    PositionLossLimit = 2,
    MissingStopLoss = 3,
    /// Automatic, by daily loss; as [`AlertKind::DailyLossWarning`].
    KillSwitchDailyLoss = 4,
    /// Automatic, by drawdown; as [`AlertKind::DrawdownWarning`].
    KillSwitchDrawdown = 5,
    /// By command; the reason is in the command.
    KillSwitchManual = 6,
    KillSwitchDeactivated = 7,
    /// `amount` is the margin in use, `basis` the funds, `limit` the share of them.
    MarginUsage = 8,
    /// `amount` is the number of messages and `basis` of fills today, in whole numbers; `limit` × 10^6 the ratio.
    OrderToTrade = 9,
    /// `amount` is the number of orders in the bucket and `basis` its size, in whole numbers.
    OrderRateNearLimit = 10,
    /// No price of an instrument for `amount` milliseconds in continuous trading.
    StaleFeed = 11,
    /// No heartbeat of an account for `amount` milliseconds: its entries were cancelled.
    DeadMan = 12,
    /// The journal failed in an earlier run: what was decided last may be lost. The reason is in the command.
    JournalError = 13,
    /// Those of a [`crate::Notice`]; its reason is in the command.
    DatabaseBehind = 14,
    StateDivergence = 15,
    DiskLow = 16,
    DeadLetter = 17,
    TableConflict = 18,
}

impl AlertKind {
    /// `alert_type` as clients see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            AlertKind::DailyLossWarning => "daily_loss_warning",
            AlertKind::DrawdownWarning => "drawdown_warning",
            AlertKind::PositionLossLimit => "position_loss_limit",
            AlertKind::MissingStopLoss => "missing_stop_loss",
            AlertKind::KillSwitchDailyLoss | AlertKind::KillSwitchDrawdown | AlertKind::KillSwitchManual => {
                "kill_switch_triggered"
            }
            AlertKind::KillSwitchDeactivated => "kill_switch_deactivated",
            AlertKind::MarginUsage => "margin_usage",
            AlertKind::OrderToTrade => "order_to_trade",
            AlertKind::OrderRateNearLimit => "order_rate_near_limit",
            AlertKind::StaleFeed => "stale_feed",
            AlertKind::DeadMan => "dead_man",
            AlertKind::JournalError => "journal_error",
            AlertKind::DatabaseBehind => "database_behind",
            AlertKind::StateDivergence => "state_divergence",
            AlertKind::DiskLow => "disk_low",
            AlertKind::DeadLetter => "dead_letter",
            AlertKind::TableConflict => "table_conflict",
        }
    }

    pub const fn severity(self) -> Severity {
        match self {
            AlertKind::DailyLossWarning
            | AlertKind::DrawdownWarning
            | AlertKind::MissingStopLoss
            | AlertKind::MarginUsage
            | AlertKind::OrderToTrade
            | AlertKind::OrderRateNearLimit
            | AlertKind::StaleFeed
            | AlertKind::DeadMan
            | AlertKind::DatabaseBehind
            | AlertKind::DiskLow
            | AlertKind::DeadLetter => Severity::Warning,
            AlertKind::PositionLossLimit
            | AlertKind::KillSwitchDailyLoss
            | AlertKind::KillSwitchDrawdown
            | AlertKind::KillSwitchManual
            | AlertKind::JournalError
            | AlertKind::StateDivergence
            | AlertKind::TableConflict => Severity::Critical,
            AlertKind::KillSwitchDeactivated => Severity::Info,
        }
    }
}

/// One alert. `realised` is net of charges. What `amount` and `basis` are is written at each kind; both are positive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Alert {
    pub kind: AlertKind,
    /// `None` where the whole engine is meant.
    pub account: Option<AccountId>,
    pub position: Option<PositionId>,
    pub instrument: Option<InstrumentId>,
    pub amount: Money,
    pub basis: Money,
    pub realised: Money,
    pub unrealised: Money,
    pub limit: Ratio,
}

impl Alert {
    /// An alert without numbers, about the engine as a whole.
    pub(crate) const fn bare(kind: AlertKind) -> Alert {
        Alert {
            kind,
            account: None,
            position: None,
            instrument: None,
            amount: Money::ZERO,
            basis: Money::ZERO,
            realised: Money::ZERO,
            unrealised: Money::ZERO,
            limit: Ratio::ZERO,
        }
    }

    /// The sentence of CONTRACT.md section 5. `symbol` is that of the alert's instrument; `reason` is the command's
    /// text for a manual kill and a notice (or the author for a deactivation), already safe to show.
    pub fn message<'a>(&'a self, symbol: Symbol, reason: &'a str) -> impl fmt::Display + 'a {
        Message {
            alert: self,
            symbol,
            reason,
        }
    }
}

struct Message<'a> {
    alert: &'a Alert,
    symbol: Symbol,
    reason: &'a str,
}

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alert = self.alert;
        let share = Percent::of(alert.amount.paise(), alert.basis.paise());
        let limit = Percent::hundredths(i128::from(alert.limit.ppm()), 10_000);
        let (amount, symbol, reason) = (Rupees(alert.amount), self.symbol, self.reason);
        match alert.kind {
            AlertKind::DailyLossWarning => {
                write!(
                    f,
                    "Approaching daily loss limit: {share}% of {}%",
                    WholeWhenExact(limit)
                )
            }
            AlertKind::DrawdownWarning => {
                write!(
                    f,
                    "Approaching drawdown limit: {share}% of {}%",
                    WholeWhenExact(limit)
                )
            }
            AlertKind::PositionLossLimit => {
                write!(f, "Position {symbol} exceeded loss limit: {amount} ({share}%)")
            }
            AlertKind::MissingStopLoss => write!(f, "Position {symbol} has no stop-loss"),
            AlertKind::KillSwitchDailyLoss => {
                write!(
                    f,
                    "KILL SWITCH ACTIVATED: Daily loss limit exceeded: {amount} ({share}%)"
                )
            }
            AlertKind::KillSwitchDrawdown => {
                write!(
                    f,
                    "KILL SWITCH ACTIVATED: Drawdown limit exceeded: {amount} ({share}%)"
                )
            }
            AlertKind::KillSwitchManual => write!(f, "KILL SWITCH ACTIVATED: {reason}"),
            AlertKind::KillSwitchDeactivated => write!(f, "Kill switch deactivated by: {reason}"),
            AlertKind::MarginUsage => write!(f, "Margin usage {share}% of funds"),
            AlertKind::OrderToTrade => write!(
                f,
                "Order-to-trade ratio high: {} messages for {} fills",
                alert.amount.paise(),
                alert.basis.paise()
            ),
            AlertKind::OrderRateNearLimit => write!(
                f,
                "Order rate near its limit: {} of {} per second",
                alert.amount.paise(),
                alert.basis.paise()
            ),
            AlertKind::DeadMan => write!(
                f,
                "Heartbeat lost: none for {} ms, entry orders cancelled",
                alert.amount.paise()
            ),
            AlertKind::JournalError => write!(f, "Trading stopped: {reason}"),
            AlertKind::DatabaseBehind => write!(f, "The database is behind: {reason}"),
            AlertKind::StateDivergence => write!(f, "State divergence: {reason}"),
            AlertKind::DiskLow => write!(f, "Disk space is low: {reason}"),
            AlertKind::DeadLetter => write!(f, "The database refused rows: {reason}"),
            AlertKind::TableConflict => write!(f, "The tables contradict the journal: {reason}"),
            AlertKind::StaleFeed => write!(f, "No price of {symbol} for {} ms", alert.amount.paise()),
        }
    }
}

/// `6` rather than `6.00`.
struct WholeWhenExact(Percent);

impl fmt::Display for WholeWhenExact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.scaled().checked_rem(100) == Some(0) {
            write!(f, "{}", self.0.scaled().wrapping_div(100))
        } else {
            fmt::Display::fmt(&self.0, f)
        }
    }
}
