//! Limits of single strategies: they tighten their account's for the orders of one strategy.
//!
//! What is observed stays the account's (its positions, open orders, orders of the day and P&L), except what is counted
//! by strategy anyway: shares of a position, fills of a minute, and the order rate, whose bucket a strategy with a rate
//! of its own has besides its account's.

use crate::arena::{Slots, slot_of};
use crate::engine::Engine;
use crate::ids::{AccountId, StrategyId};
use crate::limits::STRATEGY_LIMITS_MAX;
use crate::rejection::Refusal;
use crate::risk::{Bucket, Pace};
use crate::risk_limits::{LimitFields, RiskLimits};
use crate::state_hash::Digest;
use crate::units::Timestamp;

/// A strategy with limits of its own.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct StrategyLimits {
    pub(crate) account: AccountId,
    pub(crate) strategy: StrategyId,
    /// What was set for the strategy; the rest is off.
    pub(crate) own: RiskLimits,
    /// Field by field the stricter of the account's and its own.
    pub(crate) in_force: RiskLimits,
    /// Its own token bucket, where it has a rate.
    rate_horizon: Timestamp,
}

impl StrategyLimits {
    fn key(&self) -> (AccountId, StrategyId) {
        (self.account, self.strategy)
    }

    /// The bucket of its own order rate.
    pub(crate) fn bucket(&self) -> Option<Bucket> {
        let rate = self.own.orders_per_second_max?;
        Some(Bucket {
            rate,
            pace: Pace::new(Some(rate)),
            horizon: self.rate_horizon,
        })
    }

    pub(crate) fn digest(&self) -> u64 {
        Digest::new(11)
            .pair(self.account.get(), self.strategy.get())
            .word(self.rate_horizon.nanos())
            .finish()
    }
}

impl Engine {
    fn strategy_place(&self, account: AccountId, strategy: StrategyId) -> Result<usize, usize> {
        self.strategy_limits
            .binary_search_by_key(&(account, strategy), StrategyLimits::key)
    }

    /// `None` where the account's limits alone hold.
    #[inline]
    pub(crate) fn strategy_limits_of(
        &self,
        account: AccountId,
        strategy: StrategyId,
    ) -> Option<&StrategyLimits> {
        if !self.account_of(account).strategy_limited {
            return None;
        }
        let place = self.strategy_place(account, strategy).ok()?;
        self.strategy_limits.get(place)
    }

    /// The limits that the orders of a strategy face.
    #[inline]
    pub(crate) fn limits_for(&self, account: AccountId, strategy: StrategyId) -> &RiskLimits {
        self.strategy_limits_of(account, strategy)
            .map_or(&self.account_of(account).limits, |strategy| &strategy.in_force)
    }

    /// Changes what is set for one strategy. A limit that is switched off there is the account's again.
    pub(crate) fn set_strategy_limits(
        &mut self,
        id: AccountId,
        strategy: StrategyId,
        fields: LimitFields,
        limits: &RiskLimits,
    ) -> Result<(), Refusal> {
        if !LimitFields::OF_STRATEGIES.contains(fields) {
            return Err(Refusal::InvalidDefinition(
                "a limit of the whole account cannot be set for a strategy",
            ));
        }
        let place = self.strategy_place(id, strategy);
        let known = place.ok().and_then(|place| self.strategy_limits.get(place));
        let mut own = known.map_or(RiskLimits::NONE, |known| known.own.clone());
        own.take(fields, limits);
        let is_set = own != RiskLimits::NONE;
        match place {
            Ok(place) if is_set => {
                if let Some(entry) = self.strategy_limits.get_mut(place) {
                    entry.own = own;
                }
            }
            Ok(place) => {
                self.strategy_limits.remove(place);
            }
            Err(_) if !is_set => {}
            Err(_) if self.strategy_limits.len() >= STRATEGY_LIMITS_MAX => {
                return Err(Refusal::InvalidDefinition(
                    "too many strategies have limits of their own",
                ));
            }
            Err(place) => self.strategy_limits.insert(
                place,
                StrategyLimits {
                    account: id,
                    strategy,
                    in_force: own.clone(),
                    own,
                    rate_horizon: Timestamp::ZERO,
                },
            ),
        }
        Ok(())
    }

    /// Brings what is in force for an account's strategies up to date after its or their limits changed.
    pub(crate) fn follow_account_limits(&mut self, id: AccountId) {
        let first = self
            .strategy_limits
            .partition_point(|strategy| strategy.account < id);
        let account = self.account_of(id);
        let limits = account.limits.clone();
        let mut limited = false;
        for strategy in self.strategy_limits.iter_mut().skip(first) {
            if strategy.account != id {
                break;
            }
            strategy.in_force = limits.tightened_by(&strategy.own);
            limited = true;
        }
        self.account_mut(id).strategy_limited = limited;
    }

    /// Fills are counted against the limits as they are now.
    pub(crate) fn limit_executions_anew(&mut self, id: AccountId) {
        let (now, strategies) = (self.time, &self.strategy_limits);
        let account = self.accounts.as_mut_slice().at_mut(id.get());
        let of_account = account.limits.repeated_executions_max;
        account.limit_executions(now, |strategy| {
            let place = strategies.binary_search_by_key(&(id, strategy), StrategyLimits::key);
            let own = place.ok().and_then(|place| strategies.get(place));
            own.map_or(of_account, |own| own.in_force.repeated_executions_max)
        });
    }

    /// Takes one token from the own bucket of a strategy that has one.
    pub(crate) fn take_strategy_token(&mut self, id: AccountId, strategy: StrategyId) {
        let now = self.time;
        let place = self.strategy_place(id, strategy);
        let entry = place.ok().and_then(|place| self.strategy_limits.get_mut(place));
        if let Some(entry) = entry
            && let Some(bucket) = entry.bucket()
        {
            entry.rate_horizon = bucket.after_token(now);
        }
    }

    /// What the state hash knows of them; 0 without any.
    pub(crate) fn strategy_limits_digest(&self) -> u64 {
        self.strategy_limits
            .iter()
            .fold(0, |sum, strategy| sum.wrapping_add(strategy.digest()))
    }

    pub(crate) fn audit_strategy_limits(&self) -> Result<(), &'static str> {
        if !self
            .strategy_limits
            .is_sorted_by(|first, second| first.key() < second.key())
        {
            return Err("strategies' limits are out of order");
        }
        for entry in &self.strategy_limits {
            if entry.account.get() >= slot_of(self.accounts.len()) {
                return Err("limits of a strategy of no account");
            }
            let account = self.account_of(entry.account);
            if !account.strategy_limited {
                return Err("an account forgot that a strategy has limits");
            }
            if entry.own == RiskLimits::NONE || entry.in_force != account.limits.tightened_by(&entry.own) {
                return Err("a strategy's limits are not those in force");
            }
        }
        let marked = self.accounts.iter().filter(|account| account.strategy_limited);
        let limited = self
            .strategy_limits
            .chunk_by(|first, second| first.account == second.account);
        if marked.count() == limited.count() {
            Ok(())
        } else {
            Err("an account's strategies are marked as limited without limits")
        }
    }
}
