//! The last alerts of each account and of the engine as a whole.

use std::collections::{BTreeMap, VecDeque};

use engine::{AccountId, Alert, Money, Timestamp};

use crate::limits::ALERTS_KEPT;

/// An alert as it is kept: its numbers, and what the command and the position were at that moment.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct AlertRecord {
    pub raised: Timestamp,
    /// `None` where the whole engine is meant.
    pub account: Option<AccountId>,
    pub subject: AlertSubject,
    /// Counts alerts, so that those of several accounts can be put in order.
    number: u64,
}

/// What an alert is about.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct AlertSubject {
    pub alert: Alert,
    /// Of the kill command or the notice, as its sender wrote it; empty for any other.
    pub reason: Box<str>,
    /// Who sent the kill or rearm command; empty for any other.
    pub author: Box<str>,
    /// Signed open quantity of the alert's position when it was raised.
    pub quantity: i64,
    /// Signed cost of that quantity.
    pub cost: Money,
}

/// A ring of [`ALERTS_KEPT`] per account, and one for the engine.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
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
