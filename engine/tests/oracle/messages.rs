//! What an account's messages and fills are counted for: repeated executions, bursts, and the alerts about funds, the
//! order-to-trade ratio and the order rate.

use engine::{AccountId, AlertKind, Ratio, RiskLimits, Side, StrategyId, Timestamp};

use super::Oracle;
use super::monitor::Amounts;
use super::risk::Candidate;
use super::state::{Executions, Paise, RecentOrder};

const MINUTE_NS: u64 = 60_000_000_000;

/// Whether fills of a strategy and side still count: within their minute, or above the limit until a re-arm.
fn counts(executions: &Executions, limits: &RiskLimits, now: Timestamp) -> bool {
    now.saturating_since(executions.since) < MINUTE_NS
        || limits
            .repeated_executions_max
            .is_some_and(|limit| executions.count > limit)
}

impl Oracle {
    /// The counters of an account that still count, each by the limit of the strategy that it belongs to.
    fn live_executions(&self, id: AccountId) -> [Option<Executions>; 8] {
        self.account(id).executions.clone().map(|slot| {
            slot.filter(|executions| counts(executions, &self.limits_of(id, executions.strategy), self.time))
        })
    }

    /// Fills of a strategy and side that count. Where all counters are in use, strategies without one share the last.
    pub(super) fn executions(&self, id: AccountId, strategy: StrategyId, side: Side) -> u32 {
        let counters = self.live_executions(id);
        let own = |e: &&Executions| e.strategy == strategy && e.side == side;
        if let Some(own) = counters.iter().flatten().find(own) {
            return own.count;
        }
        match counters.last() {
            Some(Some(last)) if counters.iter().all(Option::is_some) => last.count,
            _ => 0,
        }
    }

    /// Counts a fill.
    pub(super) fn note_execution(&mut self, id: AccountId, strategy: StrategyId, side: Side) {
        self.account_mut(id).fills_today += 1;
        if self.limits_of(id, strategy).repeated_executions_max.is_none() {
            return;
        }
        let live = self.live_executions(id);
        let fresh = Executions {
            strategy,
            side,
            since: self.time,
            count: 1,
        };
        let own = |e: &Executions| e.strategy == strategy && e.side == side;
        let slots = &mut self.account_mut(id).executions;
        let place = slots
            .iter()
            .position(|slot| slot.as_ref().is_some_and(own))
            .or_else(|| live.iter().position(Option::is_none))
            .unwrap_or(slots.len() - 1);
        match &mut slots[place] {
            Some(executions) if live[place].is_some() => executions.count += 1,
            slot => *slot = Some(fresh),
        }
    }

    /// Limits that change do not look back at minutes that are over.
    pub(super) fn forget_old_executions(&mut self, id: AccountId) {
        self.account_mut(id).executions = self.live_executions(id);
    }

    /// Remembers an accepted order where bursts are looked for.
    pub(super) fn note_order(&mut self, candidate: &Candidate) {
        let at = self.time;
        let order = &candidate.order;
        let limited = self.has_limited_strategies(order.account);
        let account = self.account_mut(order.account);
        if limited || account.limits.duplicate_burst_max.is_some() {
            account.recent.push(RecentOrder {
                instrument: order.instrument,
                side: order.side,
                quantity: order.quantity,
                price: candidate.price,
                at,
            });
        }
    }

    /// After a message (a new order, a modification or a cancel that was not refused) and all that it set off.
    pub(super) fn watch_messages(&mut self, id: AccountId) {
        if self.account(id).venue {
            return;
        }
        self.watch_margin(id);
        let account = self.account_mut(id);
        account.messages_today += 1;
        let (messages, fills) = (account.messages_today, account.fills_today);
        if let Some(limit) = account.limits.order_to_trade_alert {
            let limit = Ratio::from_ppm(limit * 1_000_000);
            let raised = &mut self.account_mut(id).warned_ratio;
            if super::monitor::rises(raised, messages, fills.max(1), limit, 100) {
                self.count_alert(id, AlertKind::OrderToTrade, messages, fills, limit);
            }
        }
        if let Some((taken, rate)) = self.rate_taken(id) {
            let raised = &mut self.account_mut(id).warned_rate;
            if super::monitor::rises(raised, taken, rate, Ratio::ONE, 80) {
                self.count_alert(id, AlertKind::OrderRateNearLimit, taken, rate, Ratio::ONE);
            }
        }
    }

    /// `margin_usage`: what is held is more than 80 % of what was there before anything was held.
    pub(super) fn watch_margin(&mut self, id: AccountId) {
        if !self.account(id).limits.balance_check {
            return;
        }
        let (held, leverage) = self.leveraged_margins(id);
        let funds = (self.cash(id)).max(0);
        let raised = &mut self.account_mut(id).warned_margin;
        if super::monitor::rises(raised, held, funds * leverage, Ratio::ONE, 80) {
            let used = -(-held).div_euclid(leverage);
            let limit = Ratio::from_ppm(800_000);
            self.count_alert(id, AlertKind::MarginUsage, used, funds, limit);
        }
    }

    fn count_alert(&mut self, id: AccountId, kind: AlertKind, amount: Paise, basis: Paise, limit: Ratio) {
        let account = self.account(id);
        let amounts = Amounts {
            amount,
            basis,
            realised: account.realised - account.charges,
            unrealised: self.account_unrealised(id),
            limit,
        };
        self.alert(kind, id, None, amounts);
    }
}
