//! `stale_feed`: instruments whose last price is too old while they trade (RISK.md).
//!
//! The limit is the strictest of the accounts'. One timer serves all instruments: it is set by the first price after it
//! rang, looks at every instrument when it rings, and is set again for the one that would be stale first.

use crate::alert::{Alert, AlertKind};
use crate::arena::{Slots, slot_of};
use crate::engine::{Engine, Task};
use crate::event::{Event, EventBuffer};
use crate::ids::{AccountId, InstrumentId};
use crate::units::{Money, Ratio, Timestamp};

const NS_PER_MS: u64 = 1_000_000;

/// A look at the instruments and how far it has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FeedWatch {
    at: Timestamp,
    instrument: u32,
}

impl FeedWatch {
    pub(crate) fn at(at: Timestamp) -> FeedWatch {
        FeedWatch { at, instrument: 0 }
    }
}

impl Engine {
    /// The strictest limit on the age of the last price that a trader's account or strategy has.
    pub(crate) fn strictest_feed_age(&self) -> Option<u32> {
        let traders = self.accounts.iter().filter(|account| !account.venue);
        let own = self
            .strategy_limits
            .iter()
            .filter_map(|strategy| strategy.own.reference_age_ms_max);
        traders
            .filter_map(|account| account.limits.reference_age_ms_max)
            .chain(own)
            .min()
    }

    /// Limits changed: looks at every instrument anew where they watch the feed in another way.
    pub(crate) fn follow_feed_limits(&mut self) {
        self.watch_feed_by(self.strictest_feed_age());
    }

    /// An account came: its limit may be the strictest. The others need no look.
    pub(crate) fn follow_feed_limit_of(&mut self, id: AccountId) {
        let account = self.account_of(id);
        let limit = account.limits.reference_age_ms_max.filter(|_| !account.venue);
        if let Some(limit) = limit {
            self.watch_feed_by(Some(self.feed_age_ms.map_or(limit, |ms| ms.min(limit))));
        }
    }

    fn watch_feed_by(&mut self, strictest: Option<u32>) {
        if strictest != self.feed_age_ms {
            self.feed_age_ms = strictest;
            self.feed_due = strictest.map(|_| self.time);
        }
    }

    /// A price came, or trading began: it is too old after the limit.
    #[inline]
    pub(crate) fn feed_watched_from(&mut self, at: Timestamp) {
        if let Some(ms) = self.feed_age_ms {
            self.feed_due.get_or_insert(stale_at(at, ms));
        }
    }

    /// Raises an alert for each instrument that trades without a fresh price.
    pub(crate) fn watch_feed(&mut self, mut watch: FeedWatch, out: &mut EventBuffer) -> Option<Task> {
        let limit_ms = self.feed_age_ms?;
        while watch.instrument < slot_of(self.instruments.len()) {
            if !out.has_room_for_a_step() {
                return Some(Task::WatchFeed(watch));
            }
            let id = InstrumentId::new(watch.instrument);
            if let Some(stale) = self.next_stale(id, limit_ms) {
                if stale <= watch.at {
                    self.alert_stale_feed(id, limit_ms, out);
                } else {
                    self.feed_due = Some(self.feed_due.map_or(stale, |due| due.min(stale)));
                }
            }
            watch.instrument = watch.instrument.wrapping_add(1);
        }
        None
    }

    /// When an instrument that trades and has a price would be stale; `None` where that is known already.
    fn next_stale(&self, id: InstrumentId, limit_ms: u32) -> Option<Timestamp> {
        let instrument = self.instrument_of(id);
        let derivatives = instrument.definition.derivatives;
        if instrument.feed_alerted
            || instrument.last_price.is_none()
            || !self.session.is_continuous(derivatives)
        {
            return None;
        }
        let since = instrument.last_price_at.max(*self.session.since.of(derivatives));
        Some(stale_at(since, limit_ms))
    }

    fn alert_stale_feed(&mut self, id: InstrumentId, limit_ms: u32, out: &mut EventBuffer) {
        self.instruments.as_mut_slice().at_mut(id.get()).feed_alerted = true;
        out.push(Event::Alert(Alert {
            kind: AlertKind::StaleFeed,
            account: None,
            position: None,
            instrument: Some(id),
            amount: Money::from_paise(i64::from(limit_ms)),
            basis: Money::ZERO,
            realised: Money::ZERO,
            unrealised: Money::ZERO,
            limit: Ratio::ZERO,
        }));
    }
}

fn stale_at(since: Timestamp, limit_ms: u32) -> Timestamp {
    since.saturating_add_nanos(u64::from(limit_ms).saturating_mul(NS_PER_MS))
}
