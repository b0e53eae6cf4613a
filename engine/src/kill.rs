//! The kill switch: NORMAL → REDUCING → HALTED per strategy, per account and for the engine (RISK.md).

use crate::alert::{Alert, AlertKind};
use crate::arena::{NIL, slot_of};
use crate::closing::Closing;
use crate::command::{Actor, KillScope, KillSwitch, Rearm};
use crate::engine::{Engine, Task};
use crate::event::{CancelReason, Event, EventBuffer, KillCause, TradingStateChanged};
use crate::ids::{AccountId, StrategyId};
use crate::limits::{STRATEGY_STATES_MAX, STRATEGY_STATES_OF_ACCOUNT_MAX};
use crate::rejection::Refusal;
use crate::sweep::{Filter, Sweep};
use crate::terms::TradingState;
use crate::units::{Money, Ratio};

/// A deactivation and how far it has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rearming {
    actor: Actor,
    account: u32,
    engine_done: bool,
    account_done: bool,
    /// The position of the account to look at next, once all its scopes are cleared.
    position: Option<u32>,
    /// The engine was not in the normal state, or the account or one of its strategies.
    engine_lifted: bool,
    account_lifted: bool,
}

impl Engine {
    pub(crate) fn kill_switch(&mut self, kill: &KillSwitch, out: &mut EventBuffer) -> Result<(), Refusal> {
        self.may_kill(kill.actor, kill.scope, kill.state)?;
        // Also where trading was stopped already.
        if kill.actor == Actor::PROCESS {
            out.push(Event::Alert(self.kill_alert(AlertKind::JournalError, kill.scope)));
        }
        let alert = self.kill_alert(AlertKind::KillSwitchManual, kill.scope);
        let tightened = self.tighten(kill.scope, kill.state, KillCause::Manual, alert, out)?;
        // Where entries are refused already, somebody who asks for it still gets out.
        let reducing = TradingState::Reducing;
        let gets_out =
            kill.flatten == Some(true) && kill.state == reducing && self.own_state(kill.scope) == reducing;
        if gets_out && !tightened {
            self.sweep_scope(kill.scope);
        }
        if gets_out || tightened && kill.state == reducing && kill.flatten.is_none() {
            self.later(Task::Close(Closing::flatten(kill.scope, kill.flatten.is_none())));
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
                self.marks_of(account).unrealised,
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
        self.sweep_scope(scope);
        Ok(true)
    }

    /// Cancels every open order of a scope.
    fn sweep_scope(&mut self, scope: KillScope) {
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
        let of_account = self.strategy_states.iter().filter(|entry| entry.0 == account);
        let full = self.strategy_states.len() >= STRATEGY_STATES_MAX
            || of_account.count() >= STRATEGY_STATES_OF_ACCOUNT_MAX;
        let same =
            |entry: &&mut (AccountId, StrategyId, TradingState)| entry.0 == account && entry.1 == strategy;
        match self.strategy_states.iter_mut().find(same) {
            Some(entry) => entry.2 = state,
            None if full => {
                return Err(Refusal::InvalidDefinition(
                    "too many strategies are stopped one by one: stop the account",
                ));
            }
            None => self.strategy_states.push((account, strategy, state)),
        }
        self.account_mut(account).strategy_killed = true;
        Ok(())
    }

    /// Back to normal wherever the actor may clear; each scope is announced for itself. Refused where everything that
    /// stops a trader is an admin's to lift.
    pub(crate) fn rearm(&mut self, rearm: &Rearm) -> Result<(), Refusal> {
        let actor = rearm.actor;
        self.known_account(actor.account)?;
        if !actor.admin && self.is_stopped_by_admins_alone(actor.account) {
            return Err(Refusal::NotAuthorised);
        }
        let account = if actor.admin { 0 } else { actor.account.get() };
        self.active = Some(Task::Rearm(Rearming {
            actor,
            account,
            engine_done: !actor.admin,
            account_done: false,
            position: None,
            engine_lifted: false,
            account_lifted: false,
        }));
        Ok(())
    }

    fn is_stopped_by_admins_alone(&self, account: AccountId) -> bool {
        let strategies = self.strategy_states.iter().filter(|entry| entry.0 == account);
        let own = || {
            core::iter::once(self.account_of(account).state).chain(strategies.clone().map(|entry| entry.2))
        };
        let is = |wanted: TradingState| own().any(|state| state == wanted);
        (self.state != TradingState::Normal || is(TradingState::Halted)) && !is(TradingState::Reducing)
    }

    /// Clears one scope a step: the engine, then account by account the account itself and its strategies.
    pub(crate) fn rearm_next(&mut self, mut rearming: Rearming, out: &mut EventBuffer) -> Option<Task> {
        let admin = rearming.actor.admin;
        if !core::mem::replace(&mut rearming.engine_done, true) {
            if core::mem::take(&mut self.state) != TradingState::Normal {
                rearming.engine_lifted = true;
                self.say_rearmed(KillScope::Engine, out);
            }
            return Some(Task::Rearm(rearming));
        }
        if rearming.account >= slot_of(self.accounts.len()) {
            return None;
        }
        let account = AccountId::new(rearming.account);
        let may_lift =
            |state: TradingState| state != TradingState::Normal && (admin || state != TradingState::Halted);
        if !core::mem::replace(&mut rearming.account_done, true) && may_lift(self.account_of(account).state) {
            self.account_mut(account).state = TradingState::Normal;
            self.rebase_losses(account);
            rearming.account_lifted = true;
            self.say_rearmed(KillScope::Account(account), out);
            return Some(Task::Rearm(rearming));
        }
        let next = self
            .strategy_states
            .iter()
            .filter(|entry| entry.0 == account && may_lift(entry.2));
        if let Some(strategy) = next.map(|entry| entry.1).min() {
            self.strategy_states
                .retain(|entry| (entry.0, entry.1) != (account, strategy));
            let left = self.strategy_states.iter().any(|entry| entry.0 == account);
            self.account_mut(account).strategy_killed = left;
            rearming.account_lifted = true;
            self.say_rearmed(KillScope::Strategy(account, strategy), out);
            return Some(Task::Rearm(rearming));
        }
        let lifted = rearming.account_lifted || rearming.engine_lifted;
        let first = self.account_of(account).first_position;
        let position = rearming.position.unwrap_or(if lifted { first } else { NIL });
        if position != NIL {
            rearming.position = Some(self.free_some(position));
            return Some(Task::Rearm(rearming));
        }
        self.account_mut(account).forget_executions();
        rearming.account = rearming.account.saturating_add(1);
        (rearming.account_done, rearming.account_lifted, rearming.position) = (false, false, None);
        admin.then_some(Task::Rearm(rearming))
    }

    /// A new loss base and peak, so that the loss that tripped the switch does not fire again.
    fn rebase_losses(&mut self, id: AccountId) {
        self.refresh(id);
        let account = self.account_mut(id);
        let unrealised = account.marks.unrealised;
        account.loss_base = account.total_pnl(unrealised);
        account.peak = account.current_value(unrealised);
        account.daily_loss_alerted = false;
        account.drawdown_alerted = false;
        self.rehash_account(id);
        self.review_later(id);
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
