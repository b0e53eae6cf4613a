//! The last alerts of each account and of the engine as a whole.

use std::collections::{BTreeMap, VecDeque};

use engine::{AccountId, Alert, AlertKind, Money, Severity, Symbol, Timestamp};

use crate::limits::ALERTS_KEPT;
use crate::text::plain;

/// An alert as it is kept: what it says, and what the position was at that moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlertRecord {
    pub raised: Timestamp,
    /// `None` where the whole engine is meant.
    pub account: Option<AccountId>,
    pub subject: AlertSubject,
    /// Breaks ties of `raised`.
    number: u64,
}

/// What an alert is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AlertSubject {
    /// Raised by the engine's monitor.
    Monitor {
        alert: Alert,
        /// The command's reason (or author, for a deactivation), where a command raised it. Safe to show.
        reason: Box<str>,
        /// Signed open quantity of the alert's position when it was raised.
        quantity: i64,
        /// Signed cost of that quantity.
        cost: Money,
    },
    /// This fold disagrees with the sequencer's state hash.
    StateDivergence { expected: u64, found: u64 },
}

impl AlertRecord {
    /// `alert_type` as clients see it.
    pub fn alert_type(&self) -> &'static str {
        match &self.subject {
            AlertSubject::Monitor { alert, .. } => alert.kind.as_str(),
            AlertSubject::StateDivergence { .. } => "state_divergence",
        }
    }

    pub fn severity(&self) -> Severity {
        match &self.subject {
            AlertSubject::Monitor { alert, .. } => alert.kind.severity(),
            AlertSubject::StateDivergence { .. } => Severity::Critical,
        }
    }

    /// The sentence of CONTRACT.md section 5. `symbol` is that of the alert's instrument.
    pub fn message(&self, symbol: Symbol) -> String {
        match &self.subject {
            AlertSubject::Monitor { alert, reason, .. } => alert.message(symbol, reason).to_string(),
            AlertSubject::StateDivergence { expected, found } => format!(
                "State divergence: the read model's hash is {found:016x}, the engine's {expected:016x}"
            ),
        }
    }
}

/// A ring of [`ALERTS_KEPT`] per account, and one for the engine.
#[derive(Debug, Default)]
pub(crate) struct Alerts {
    of: BTreeMap<Option<AccountId>, VecDeque<AlertRecord>>,
    raised: u64,
}

impl Alerts {
    pub(crate) fn raise(&mut self, account: Option<AccountId>, subject: AlertSubject, now: Timestamp) {
        self.raised = self.raised.saturating_add(1);
        let alerts = self.of.entry(account).or_default();
        if alerts.len() >= ALERTS_KEPT {
            alerts.pop_front();
        }
        alerts.push_back(AlertRecord {
            raised: now,
            account,
            subject,
            number: self.raised,
        });
    }

    /// The last `count` alerts that concern the account (its own and the engine's), oldest first. `None` means
    /// every account's.
    pub(crate) fn last(&self, account: Option<AccountId>, count: usize) -> Vec<&AlertRecord> {
        let mut alerts: Vec<&AlertRecord> = self
            .of
            .iter()
            .filter(|(of, _)| account.is_none() || of.is_none() || **of == account)
            .flat_map(|(_, alerts)| alerts)
            .collect();
        alerts.sort_unstable_by_key(|alert| alert.number);
        let count = count.min(ALERTS_KEPT);
        alerts.split_off(alerts.len().saturating_sub(count))
    }
}

/// The text that a kill or rearm command gives its alert: the reason, or the author of a deactivation.
pub(crate) fn reason_of(alert: &Alert, reason: &str, author: &str) -> Box<str> {
    match alert.kind {
        AlertKind::KillSwitchManual => plain(reason).into(),
        AlertKind::KillSwitchDeactivated => plain(author).into(),
        AlertKind::DailyLossWarning
        | AlertKind::DrawdownWarning
        | AlertKind::PositionLossLimit
        | AlertKind::MissingStopLoss
        | AlertKind::KillSwitchDailyLoss
        | AlertKind::KillSwitchDrawdown => Box::from(""),
    }
}
