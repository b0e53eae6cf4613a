//! The order rate of an account: a token bucket of one second's depth, kept as the time at which it would be full again
//! (GCRA). The quotients are worked out when the limit is set.

use super::NS_PER_SECOND;
use crate::units::Timestamp;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pace {
    /// One token's share of a second; all of it where the rate is 0, which lets nothing pass. 0 without a rate.
    interval_ns: u64,
    /// How long a full bucket takes to drain: a second, less what does not divide evenly, so that it holds exactly the
    /// rate. Endless without a rate.
    depth_ns: u64,
    /// How far ahead the horizon may be for whole tokens taken to be at most 80 % of the rate.
    quiet_ns: u64,
}

impl Pace {
    /// Orders and modifications per second; `None`: as many as come.
    pub(crate) fn new(rate: Option<u32>) -> Pace {
        let Some(rate) = rate else {
            return Pace {
                interval_ns: 0,
                depth_ns: u64::MAX,
                quiet_ns: u64::MAX,
            };
        };
        let interval_ns = NS_PER_SECOND
            .checked_div(u64::from(rate))
            .unwrap_or(NS_PER_SECOND);
        let depth_ns = interval_ns.saturating_mul(u64::from(rate));
        Pace {
            interval_ns,
            depth_ns,
            quiet_ns: depth_ns.wrapping_div(10).saturating_mul(8),
        }
    }

    /// Whether one more token is there at `now`.
    #[inline(always)]
    pub(crate) fn has_token(&self, horizon: Timestamp, now: Timestamp) -> bool {
        let backlog = horizon.saturating_since(now);
        backlog.saturating_add(self.interval_ns) <= self.depth_ns
    }

    /// Whether so few tokens are taken that no warning is due (80 % of the rate). `false` may mean either.
    #[inline(always)]
    pub(crate) fn is_quiet(&self, horizon: Timestamp, now: Timestamp) -> bool {
        horizon.saturating_since(now) <= self.quiet_ns
    }

    /// Whole tokens that the bucket lacks; 0 without a rate.
    pub(crate) fn taken(&self, horizon: Timestamp, now: Timestamp) -> i64 {
        let backlog = horizon.saturating_since(now);
        i64::try_from(backlog.checked_div(self.interval_ns).unwrap_or(0)).unwrap_or(i64::MAX)
    }

    /// The bucket's horizon after taking one token. Exits take tokens too but are never refused: the bucket does not
    /// sink below empty.
    #[inline(always)]
    pub(crate) fn after_token(&self, horizon: Timestamp, now: Timestamp) -> Timestamp {
        if self.interval_ns == 0 {
            return horizon;
        }
        let after = horizon.max(now).saturating_add_nanos(self.interval_ns);
        after.min(now.saturating_add_nanos(self.depth_ns))
    }
}
