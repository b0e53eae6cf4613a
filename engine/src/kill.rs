//! The kill switch: NORMAL → REDUCING → HALTED per strategy, per account and for the engine (RISK.md).

use crate::alert::{Alert, AlertKind};
use crate::closing::Closing;
use crate::command::{Actor, KillScope, KillSwitch, Rearm};
use crate::engine::{Engine, STRATEGY_STATES_MAX, Task};
use crate::event::{CancelReason, Event, EventBuffer, KillCause, TradingStateChanged};
use crate::ids::{AccountId, StrategyId};
use crate::rejection::Refusal;
use crate::sweep::{Filter, Sweep};
use crate::terms::TradingState;
use crate::units::{Money, Ratio};

impl Engine {
    pub(crate) fn kill_switch(&mut self, kill: &KillSwitch, out: &mut EventBuffer) -> Result<(), Refusal> {
        self.may_kill(kill.actor, kill.scope, kill.state)?;
        let alert = self.kill_alert(AlertKind::KillSwitchManual, kill.scope);
        if self.tighten(kill.scope, kill.state, KillCause::Manual, alert, out)? {
            let flatten = kill.flatten.unwrap_or_else(|| match kill.scope {
                KillScope::Engine => false,
                KillScope::Account(account) | KillScope::Strategy(account, _) => {
                    self.account_of(account).limits.flatten_on_kill
                }
            });
            if flatten && kill.state == TradingState::Reducing {
                self.later(Task::Close(Closing::flatten(kill.scope)));
            }
        }
        Ok(())
    }

    fn may_kill(&self, actor: Actor, scope: KillScope, state: TradingState) -> Result<(), Refusal> {
        let owner = match scope {
            KillScope::Engine => None,
            KillScope::Account(account) | KillScope::Strategy(account, _) => {
                self.known_account(account)?;
                Some(account)
            }
        };
        let own = owner == Some(actor.account);
        if actor.admin || (own && state == TradingState::Reducing) {
            Ok(())
        } else {
            Err(Refusal::NotAuthorised)
        }
    }

    fn kill_alert(&self, kind: AlertKind, scope: KillScope) -> Alert {
        let account = match scope {
            KillScope::Engine => None,
            KillScope::Account(account) | KillScope::Strategy(account, _) => Some(account),
        };
        let (realised, unrealised) = account.map_or((Money::ZERO, Money::ZERO), |account| {
            let account = self.account_of(account);
            (
                account.realised.saturating_sub(account.charges),
                account.unrealised,
            )
        });
        Alert {
            kind,
            account,
            position: None,
            instrument: None,
            amount: Money::ZERO,
            basis: Money::ZERO,
            realised,
            unrealised,
            limit: Ratio::ZERO,
        }
    }

    /// Moves a scope to a stricter state, sweeps its orders, and says so. `false` where it was that strict already.
    pub(crate) fn tighten(
        &mut self,
        scope: KillScope,
        state: TradingState,
        cause: KillCause,
        alert: Alert,
        out: &mut EventBuffer,
    ) -> Result<bool, Refusal> {
        if self.own_state(scope) >= state {
            return Ok(false);
        }
        self.set_state(scope, state)?;
        out.push(Event::Alert(alert));
        out.push(Event::TradingStateChanged(TradingStateChanged {
            scope,
            state,
            cause,
        }));
        let filter = match scope {
            KillScope::Engine => Filter::default(),
            KillScope::Account(account) => Filter {
                account: Some(account),
                ..Filter::default()
            },
            KillScope::Strategy(account, strategy) => Filter {
                account: Some(account),
                strategy: Some(strategy),
                ..Filter::default()
            },
        };
        self.later(Task::Sweep(Sweep::new(filter, CancelReason::KillSwitch, true)));
        Ok(true)
    }

    fn own_state(&self, scope: KillScope) -> TradingState {
        match scope {
            KillScope::Engine => self.state,
            KillScope::Account(account) => self.account_of(account).state,
            KillScope::Strategy(account, strategy) => self.strategy_state(account, strategy),
        }
    }

    fn set_state(&mut self, scope: KillScope, state: TradingState) -> Result<(), Refusal> {
        match scope {
            KillScope::Engine => self.state = state,
            KillScope::Account(account) => {
                self.account_mut(account).state = state;
                self.rehash_account(account);
            }
            KillScope::Strategy(account, strategy) => self.set_strategy_state(account, strategy, state)?,
        }
        Ok(())
    }

    fn set_strategy_state(
        &mut self,
        account: AccountId,
        strategy: StrategyId,
        state: TradingState,
    ) -> Result<(), Refusal> {
        let full = self.strategy_states.len() >= STRATEGY_STATES_MAX;
        let same =
            |entry: &&mut (AccountId, StrategyId, TradingState)| entry.0 == account && entry.1 == strategy;
        match self.strategy_states.iter_mut().find(same) {
            Some(entry) => entry.2 = state,
            None if full => {
                return Err(Refusal::InvalidDefinition(
                    "too many strategies are outside the normal state",
                ));
            }
            None => self.strategy_states.push((account, strategy, state)),
        }
        self.account_mut(account).strategy_killed = true;
        Ok(())
    }

    /// Back to normal wherever the actor may clear, with a new loss base and peak so that old losses do not fire again.
    pub(crate) fn rearm(&mut self, rearm: &Rearm, out: &mut EventBuffer) -> Result<(), Refusal> {
        let actor = rearm.actor;
        self.known_account(actor.account)?;
        let mut cleared = false;
        if actor.admin && self.state != TradingState::Normal {
            self.state = TradingState::Normal;
            self.say_rearmed(KillScope::Engine, out);
            cleared = true;
        }
        for index in 0..self.accounts.len() {
            let account = AccountId::new(crate::arena::slot_of(index));
            if !actor.admin && account != actor.account {
                continue;
            }
            let holder = self.account_mut(account);
            let killed = holder.state != TradingState::Normal || holder.strategy_killed;
            // A trader may not lift a halt that an admin set.
            if !killed || (!actor.admin && holder.state == TradingState::Halted) {
                continue;
            }
            holder.strategy_killed = false;
            let scope = KillScope::Account(account);
            let was_killed = core::mem::take(&mut holder.state) != TradingState::Normal;
            self.strategy_states.retain(|entry| entry.0 != account);
            if was_killed || !cleared {
                self.say_rearmed(scope, out);
            }
            cleared = true;
        }
        self.rebase_losses(actor);
        Ok(())
    }

    fn rebase_losses(&mut self, actor: Actor) {
        for index in 0..self.accounts.len() {
            let id = AccountId::new(crate::arena::slot_of(index));
            if actor.admin || id == actor.account {
                let account = self.account_mut(id);
                if !account.venue {
                    account.loss_base = account.total_pnl();
                    account.peak = account.current_value();
                    account.daily_loss_alerted = false;
                    account.drawdown_alerted = false;
                    self.rehash_account(id);
                }
            }
        }
    }

    fn say_rearmed(&mut self, scope: KillScope, out: &mut EventBuffer) {
        let alert = self.kill_alert(AlertKind::KillSwitchDeactivated, scope);
        out.push(Event::Alert(alert));
        out.push(Event::TradingStateChanged(TradingStateChanged {
            scope,
            state: TradingState::Normal,
            cause: KillCause::Rearmed,
        }));
    }
}
