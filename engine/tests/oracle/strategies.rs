//! Limits of single strategies: for their orders the stricter of the account's and their own.

use engine::{AccountId, LimitFields, Refusal, RiskLimits, SetLimits, StrategyId, Timestamp};

use super::Oracle;

/// What the engine keeps at most, over all accounts.
const STRATEGIES_MAX: usize = 1_024;
const OF_ACCOUNTS: [&str; 7] = [
    "balance_check",
    "mis_leverage",
    "drawdown_max",
    "position_loss_max",
    "order_to_trade_alert",
    "self_trade",
    "flatten_on_kill",
];

/// A strategy with limits of its own, and what its own bucket lacked at `rate_time`, in nanoseconds.
#[derive(Clone)]
pub struct Strategy {
    pub limits: RiskLimits,
    pub rate_missing: i128,
    pub rate_time: Timestamp,
}

impl Oracle {
    pub(super) fn set_strategy_limits(
        &mut self,
        strategy: StrategyId,
        command: &SetLimits,
    ) -> Result<(), Refusal> {
        if command.fields.names().any(|name| OF_ACCOUNTS.contains(&name)) {
            return Err(Refusal::InvalidDefinition(
                "a limit of the whole account cannot be set for a strategy",
            ));
        }
        let key = (command.account, strategy);
        let mut limits = match self.limited.get(&key) {
            Some(known) => known.limits.clone(),
            None => RiskLimits::NONE,
        };
        limits.take(command.fields, &command.limits);
        if limits == RiskLimits::NONE {
            self.limited.remove(&key);
        } else if let Some(known) = self.limited.get_mut(&key) {
            known.limits = limits;
        } else if self.limited.len() == STRATEGIES_MAX {
            return Err(Refusal::InvalidDefinition(
                "too many strategies have limits of their own",
            ));
        } else {
            let strategy = Strategy {
                limits,
                rate_missing: 0,
                rate_time: self.time,
            };
            self.limited.insert(key, strategy);
        }
        Ok(())
    }

    pub(super) fn own_limits(&self, account: AccountId, strategy: StrategyId) -> Option<&Strategy> {
        self.limited.get(&(account, strategy))
    }

    pub(super) fn has_limited_strategies(&self, account: AccountId) -> bool {
        self.limited.keys().any(|(of, _)| *of == account)
    }

    /// What a strategy's orders face: each of its own limits where that says less than the account's.
    pub(super) fn limits_of(&self, account: AccountId, strategy: StrategyId) -> RiskLimits {
        let mut limits = self.account(account).limits.clone();
        let Some(own) = self.own_limits(account, strategy) else {
            return limits;
        };
        let own = &own.limits;
        for name in LimitFields::ALL.names() {
            if stricter(name, own, &limits) {
                limits.take(LimitFields::named(name).expect("a limit"), own);
            }
        }
        limits
    }
}

/// Whether the first says less than the second of one limit.
fn stricter(name: &str, first: &RiskLimits, second: &RiskLimits) -> bool {
    fn less<T: PartialOrd + Copy>(first: Option<T>, second: Option<T>) -> bool {
        first.is_some_and(|first| second.is_none_or(|second| first < second))
    }
    macro_rules! upper {
        ($($field:ident)+) => {
            match name {
                $(stringify!($field) => less(first.$field, second.$field),)+
                "stop_loss_required" => first.stop_loss_required && !second.stop_loss_required,
                "risk_reward_min" => first
                    .risk_reward_min
                    .is_some_and(|first| second.risk_reward_min.is_none_or(|second| first > second)),
                of_account => {
                    assert!(OF_ACCOUNTS.contains(&of_account), "{of_account}");
                    false
                }
            }
        };
    }
    upper! {
        positions_max risk_per_trade_max daily_loss_max price_sanity_max order_quantity_max orders_per_position_max
        order_value_max open_order_value_max orders_per_second_max daily_orders_max modifications_max
        symbol_position_max gross_exposure_max net_exposure_max duplicate_burst_max repeated_executions_max
        reference_age_ms_max
    }
}
