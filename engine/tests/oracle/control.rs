//! Commands about accounts, instruments and the kill switch.

use engine::{
    AccountDefinition, AccountId, AdjustCash, Alert, AlertKind, CancelReason, Event, InstrumentDefinition,
    InstrumentId, KillCause, KillScope, KillSwitch, MarketPrice, Money, Ratio, Rearm, Refusal, SetLimits,
    StrategyDefinition, TradingState, TradingStateChanged,
};

use super::state::{Account, Instrument};
use super::{Oracle, money};

impl Oracle {
    pub(super) fn define_instrument(&mut self, definition: &InstrumentDefinition) {
        let same = |i: &Instrument| {
            i.definition.symbol == definition.symbol && i.definition.exchange == definition.exchange
        };
        let index = match self.instruments.iter().position(same) {
            Some(index) => {
                self.instruments[index].definition = definition.clone();
                index
            }
            None => {
                self.instruments.push(Instrument {
                    definition: definition.clone(),
                    last_price: None,
                    bids: Default::default(),
                    asks: Default::default(),
                });
                self.instruments.len() - 1
            }
        };
        let id = InstrumentId::new(index as u32);
        let outside = self.matching_orders(None, |order| {
            order.request.instrument == id && self.check_band(id, i128::from(order.limit.paise())).is_some()
        });
        for order in outside {
            self.cancel(order, CancelReason::PriceBand);
        }
        self.events.push(Event::InstrumentDefined(id));
    }

    pub(super) fn define_account(&mut self, definition: &AccountDefinition) {
        let same = |account: &Account| account.name == definition.name;
        let index = match self.accounts.iter().position(same) {
            Some(index) => {
                let account = &mut self.accounts[index];
                account.limits = definition.limits.clone();
                index
            }
            None => {
                let balance = definition.opening_balance.wide();
                self.accounts.push(Account {
                    name: definition.name,
                    venue: definition.venue,
                    limits: definition.limits.clone(),
                    balance,
                    realised: 0,
                    charges: 0,
                    peak: balance,
                    loss_base: 0,
                    state: TradingState::Normal,
                    rate_tokens: i128::MAX / 2,
                    rate_time: self.time,
                    orders_today: 0,
                    client_ids: Default::default(),
                    warned_loss: false,
                    warned_drawdown: false,
                });
                self.accounts.len() - 1
            }
        };
        self.events
            .push(Event::AccountDefined(AccountId::new(index as u32)));
    }

    pub(super) fn define_strategy(&mut self, definition: &StrategyDefinition) {
        if self.knows_account(definition.account) {
            self.events
                .push(Event::StrategyDefined(definition.account, definition.strategy));
        } else {
            self.refuse_command(Refusal::UnknownAccount);
        }
    }

    pub(super) fn set_limits(&mut self, command: &SetLimits) {
        if !command.actor.admin {
            self.refuse_command(Refusal::NotAuthorised);
        } else if !self.knows_account(command.account) {
            self.refuse_command(Refusal::UnknownAccount);
        } else {
            self.account_mut(command.account).limits = command.limits.clone();
            self.events.push(Event::LimitsSet(command.account));
        }
    }

    pub(super) fn adjust_cash(&mut self, command: &AdjustCash) {
        if !self.knows_account(command.account) {
            self.refuse_command(Refusal::UnknownAccount);
            return;
        }
        let account = self.account_mut(command.account);
        account.balance += command.amount.wide();
        account.peak += command.amount.wide();
        self.report_account(command.account);
    }

    pub(super) fn market_price(&mut self, command: &MarketPrice) {
        if self.knows_instrument(command.instrument) {
            self.instrument_mut(command.instrument).last_price = Some(command.price);
            self.prints.push((command.instrument, command.price));
        } else {
            self.refuse_command(Refusal::UnknownInstrument);
        }
    }

    pub(super) fn kill_switch(&mut self, command: &KillSwitch) {
        let actor = command.actor;
        let (allowed, account) = match command.scope {
            KillScope::Engine => (actor.admin, None),
            KillScope::Account(account) | KillScope::Strategy(account, _) => {
                (actor.admin || account == actor.account, Some(account))
            }
        };
        if !allowed || command.state == TradingState::Halted && !actor.admin {
            self.refuse_command(Refusal::NotAuthorised);
            return;
        }
        if account.is_some_and(|account| !self.knows_account(account)) {
            self.refuse_command(Refusal::UnknownAccount);
            return;
        }
        if command.state <= self.own_state(command.scope) {
            return;
        }
        self.trip(command.scope, command.state, KillCause::Manual, command.flatten);
        let alert = self.manual_alert(AlertKind::KillSwitchManual, account);
        self.events.push(Event::Alert(alert));
    }

    fn own_state(&self, scope: KillScope) -> TradingState {
        match scope {
            KillScope::Engine => self.engine_state,
            KillScope::Account(account) => self.account(account).state,
            KillScope::Strategy(account, strategy) => self
                .strategies
                .get(&(account, strategy))
                .copied()
                .unwrap_or_default(),
        }
    }

    fn set_state(&mut self, scope: KillScope, state: TradingState, cause: KillCause) {
        match scope {
            KillScope::Engine => self.engine_state = state,
            KillScope::Account(account) => self.account_mut(account).state = state,
            KillScope::Strategy(account, strategy) => {
                self.strategies.insert((account, strategy), state);
            }
        }
        self.events.push(Event::TradingStateChanged(TradingStateChanged {
            scope,
            state,
            cause,
        }));
    }

    /// Enters a stricter state: resting orders of the scope are cancelled, positions closed where that is asked for.
    pub(super) fn trip(
        &mut self,
        scope: KillScope,
        state: TradingState,
        cause: KillCause,
        flatten: Option<bool>,
    ) {
        self.set_state(scope, state, cause);
        let (account, strategy) = match scope {
            KillScope::Engine => (None, None),
            KillScope::Account(account) => (Some(account), None),
            KillScope::Strategy(account, strategy) => (Some(account), Some(strategy)),
        };
        let orders = self.matching_orders(account, |order| {
            strategy.is_none_or(|strategy| order.request.strategy == strategy)
        });
        for id in orders {
            self.cancel(id, CancelReason::KillSwitch);
        }
        let ids = (1..=self.positions.len() as u32).map(engine::PositionId::new);
        for id in ids {
            let position = self.position(id);
            let covered = account.is_none_or(|account| position.account == account)
                && strategy.is_none_or(|strategy| position.strategy == strategy);
            let flattens = flatten.unwrap_or(self.account(position.account).limits.flatten_on_kill);
            if covered && flattens && position.quantity != 0 {
                let held = position.quantity.abs();
                self.place_exits(id, held);
            }
        }
    }

    fn manual_alert(&self, kind: AlertKind, account: Option<AccountId>) -> Alert {
        let (realised, unrealised) = match account {
            Some(id) => {
                let account = self.account(id);
                (
                    money(account.realised - account.charges),
                    money(self.account_unrealised(id)),
                )
            }
            None => (Money::ZERO, Money::ZERO),
        };
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

    pub(super) fn rearm(&mut self, command: &Rearm) {
        let actor = command.actor;
        let mut scopes = vec![KillScope::Engine];
        for index in 0..self.accounts.len() {
            scopes.push(KillScope::Account(AccountId::new(index as u32)));
        }
        scopes.extend(
            self.strategies
                .keys()
                .map(|(account, strategy)| KillScope::Strategy(*account, *strategy)),
        );
        let mut cleared = Vec::new();
        for scope in scopes {
            let may = match scope {
                KillScope::Engine => actor.admin,
                KillScope::Account(account) | KillScope::Strategy(account, _) => {
                    actor.admin || account == actor.account
                }
            };
            if may && self.own_state(scope) != TradingState::Normal {
                self.set_state(scope, TradingState::Normal, KillCause::Rearmed);
                cleared.push(scope);
            }
        }
        for index in 0..self.accounts.len() {
            let id = AccountId::new(index as u32);
            if !actor.admin && id != actor.account {
                continue;
            }
            let pnl = self.pnl_today(id);
            let account = self.account_mut(id);
            account.loss_base = pnl;
            account.peak = account.balance + pnl;
        }
        if !cleared.is_empty() {
            let account = (!actor.admin).then_some(actor.account);
            let alert = self.manual_alert(AlertKind::KillSwitchDeactivated, account);
            self.events.push(Event::Alert(alert));
        }
    }
}
