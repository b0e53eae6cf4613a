//! Commands about accounts, instruments and the kill switch.

use std::collections::BTreeSet;

use engine::{
    AccountDefinition, AccountId, Actor, AdjustCash, Alert, AlertKind, CancelReason, Cause, ChargeRates,
    Event, InstrumentDefinition, InstrumentId, KillCause, KillScope, KillSwitch, MarketPrice, MassCancelled,
    Money, PositionId, Ratio, Rearm, Refusal, SetLimits, StrategyDefinition, StrategyId, TradingState,
    TradingStateChanged,
};

use super::state::{Account, Instrument};
use super::{Later, Oracle, money};

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
                    last_price_at: engine::Timestamp::ZERO,
                    feed_alerted: false,
                    marked_price: None,
                    unmarked: false,
                    bids: Default::default(),
                    asks: Default::default(),
                    prints: None,
                    trades: Vec::new(),
                });
                self.instruments.len() - 1
            }
        };
        let id = InstrumentId::new(index as u32);
        self.events.push(Event::InstrumentDefined(id));
        let (low, high) = self.instrument(id).band();
        let tick = self.instrument(id).tick();
        self.leave_all_of(id);
        let outside = self.matching_orders(None, |order| {
            let trigger = order.order_type.trigger().filter(|_| order.pending.is_some());
            let outside = |price: Option<engine::Price>| {
                price.is_some_and(|price| {
                    let price = i128::from(price.paise());
                    price < low || price > high || price % tick != 0
                })
            };
            order.request.instrument == id && (outside(Some(order.limit)) || outside(trigger))
        });
        for order in outside {
            self.cancel(order, CancelReason::PriceBand);
        }
        self.look_at_last_price(id);
    }

    /// Of an account that exists only the profile's name changes: limits and balance have their own commands.
    pub(super) fn define_account(&mut self, definition: &AccountDefinition) {
        let same = |account: &Account| account.name == definition.name;
        let index = self.accounts.iter().position(same).unwrap_or_else(|| {
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
                rate_missing: 0,
                rate_time: self.time,
                dead_man: None,
                orders_today: 0,
                client_ids: Default::default(),
                warned_loss: false,
                warned_drawdown: false,
                warned_margin: false,
                warned_ratio: false,
                warned_rate: false,
                messages_today: 0,
                fills_today: 0,
                recent: Vec::new(),
                executions: Default::default(),
            });
            self.accounts.len() - 1
        });
        self.follow_feed_limits();
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

    pub(super) fn define_charges(&mut self, rates: &ChargeRates) {
        let caps = [rates.mis.brokerage_max, rates.cnc.brokerage_max];
        if caps.into_iter().flatten().any(|cap| cap < Money::ZERO) {
            self.refuse_command(Refusal::InvalidDefinition("a brokerage cap must not be negative"));
        } else {
            self.rates.insert(rates.effective_from, *rates);
        }
    }

    /// Those of the latest date that is not after today.
    pub(super) fn rates_in_force(&self) -> ChargeRates {
        let today = self.day.expect("the day of this command");
        let latest = self.rates.range(..=today).next_back();
        latest.map_or(ChargeRates::built_in(), |(_, rates)| *rates)
    }

    pub(super) fn set_limits(&mut self, command: &SetLimits) {
        if !self.knows_account(command.account) {
            self.refuse_command(Refusal::UnknownAccount);
        } else if !command.actor.admin {
            self.refuse_command(Refusal::NotAuthorised);
        } else {
            self.forget_old_executions(command.account);
            match command.strategy {
                Some(strategy) => {
                    if let Err(refusal) = self.set_strategy_limits(strategy, command) {
                        self.refuse_command(refusal);
                        return;
                    }
                }
                None => self
                    .account_mut(command.account)
                    .limits
                    .take(command.fields, &command.limits),
            }
            self.events
                .push(Event::LimitsSet(command.account, command.strategy));
            self.look_at_everything(command.account);
            self.follow_feed_limits();
        }
    }

    pub(super) fn adjust_cash(&mut self, command: &AdjustCash) {
        if !self.knows_account(command.account) {
            self.refuse_command(Refusal::UnknownAccount);
            return;
        }
        if !command.actor.admin {
            self.refuse_command(Refusal::NotAuthorised);
            return;
        }
        let account = self.account_mut(command.account);
        account.balance += command.amount.wide();
        account.peak += command.amount.wide();
        self.report_account(command.account);
        self.look_at_everything(command.account);
    }

    pub(super) fn market_price(&mut self, command: &MarketPrice) {
        if self.knows_instrument(command.instrument) {
            self.print(command.instrument, command.price, None);
        } else {
            self.refuse_command(Refusal::UnknownInstrument);
        }
    }

    pub(super) fn kill_switch(&mut self, command: &KillSwitch) {
        let actor = command.actor;
        let account = match command.scope {
            KillScope::Engine => None,
            KillScope::Account(account) | KillScope::Strategy(account, _) => Some(account),
        };
        if account.is_some_and(|account| !self.knows_account(account)) {
            self.refuse_command(Refusal::UnknownAccount);
            return;
        }
        let own = account == Some(actor.account) && command.state == TradingState::Reducing;
        if !actor.admin && !own {
            self.refuse_command(Refusal::NotAuthorised);
            return;
        }
        if actor == Actor::PROCESS {
            let alert = self.manual_alert(AlertKind::JournalError, account);
            self.events.push(alert);
        }
        let tightens = command.state > self.own_state(command.scope);
        // Asked again, it does no more than close what is open.
        let again = self.own_state(command.scope) == TradingState::Reducing
            && command.state == TradingState::Reducing
            && command.flatten == Some(true);
        if tightens {
            let alert = self.manual_alert(AlertKind::KillSwitchManual, account);
            self.tighten(command.scope, command.state, KillCause::Manual, alert);
        } else if again {
            self.later.push_back(Later::Sweep(command.scope));
        } else {
            return;
        }
        let flattens = |id: &AccountId| {
            command
                .flatten
                .unwrap_or(self.account(*id).limits.flatten_on_kill)
        };
        let everyone = (0..self.accounts.len() as u32).map(AccountId::new);
        let flattened: BTreeSet<_> = everyone.filter(flattens).collect();
        if command.state == TradingState::Reducing && !flattened.is_empty() {
            self.later.push_back(Later::Flatten(command.scope, flattened));
        }
    }

    pub(super) fn own_state(&self, scope: KillScope) -> TradingState {
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

    /// Enters a stricter state and says so; the resting orders of the scope go after what is under way.
    pub(super) fn tighten(&mut self, scope: KillScope, state: TradingState, cause: KillCause, alert: Event) {
        self.events.push(alert);
        self.set_state(scope, state, cause);
        self.later.push_back(Later::Sweep(scope));
    }

    /// Cancels every resting order of a scope.
    pub(super) fn sweep(&mut self, scope: KillScope) {
        let account = match scope {
            KillScope::Engine => None,
            KillScope::Account(account) | KillScope::Strategy(account, _) => Some(account),
        };
        let orders = self.matching_orders(account, |order| {
            covers(scope, order.request.account, order.request.strategy)
        });
        let count = orders.len() as u32;
        for id in orders {
            self.cancel(id, CancelReason::KillSwitch);
        }
        if account.is_none_or(|account| !self.account(account).venue) {
            self.events.push(Event::MassCancelled(MassCancelled {
                account,
                orders: count,
            }));
        }
    }

    /// Closes every open position of a scope that belongs to one of `accounts`: of all accounts by id, of one by age.
    /// Halted ones stay as they are.
    pub(super) fn flatten(&mut self, scope: KillScope, accounts: &BTreeSet<AccountId>) {
        let mut ids: Vec<_> = (1..=self.positions.len() as u32).map(PositionId::new).collect();
        if scope != KillScope::Engine {
            ids.sort_by_key(|id| self.position(*id).made);
        }
        for id in ids {
            let position = self.position(id);
            let covered = covers(scope, position.account, position.strategy)
                && position.quantity != 0
                && accounts.contains(&position.account)
                && self.state_of(position.account, position.strategy) != TradingState::Halted
                && !self.account(position.account).venue;
            if !covered {
                continue;
            }
            let by = &mut self.position_mut(id).leaving.flattened_by;
            if !by.contains(&scope) {
                by.push(scope);
            }
            if self.may_leave(id) {
                self.place_exits(id, self.uncovered(id), Cause::Flatten, None, false);
            }
        }
    }

    pub(super) fn manual_alert(&self, kind: AlertKind, account: Option<AccountId>) -> Event {
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
        Event::Alert(Alert {
            kind,
            account,
            position: None,
            instrument: None,
            amount: Money::ZERO,
            basis: Money::ZERO,
            realised,
            unrealised,
            limit: Ratio::ZERO,
        })
    }

    /// Clears every scope that the actor may clear. A trader may not lift a halt, which an admin set, nor what stops the
    /// engine, and is told so where he can lift nothing else.
    pub(super) fn rearm(&mut self, command: &Rearm) {
        let actor = command.actor;
        if !self.knows_account(actor.account) {
            self.refuse_command(Refusal::UnknownAccount);
            return;
        }
        let mut scopes = Vec::new();
        if actor.admin {
            scopes.push(KillScope::Engine);
        }
        for id in (0..self.accounts.len() as u32).map(AccountId::new) {
            if actor.admin || id == actor.account {
                scopes.push(KillScope::Account(id));
                let own = self.strategies.keys().filter(|(account, _)| *account == id);
                scopes.extend(own.map(|(account, strategy)| KillScope::Strategy(*account, *strategy)));
            }
        }
        let stopped = |scope: &KillScope| self.own_state(*scope) != TradingState::Normal;
        let engine_stopped = stopped(&KillScope::Engine);
        let (mine, theirs): (Vec<_>, Vec<_>) = scopes
            .into_iter()
            .filter(stopped)
            .partition(|scope| actor.admin || self.own_state(*scope) != TradingState::Halted);
        if !actor.admin && mine.is_empty() && (engine_stopped || !theirs.is_empty()) {
            self.refuse_command(Refusal::NotAuthorised);
            return;
        }
        let mut lifted = BTreeSet::new();
        for scope in mine {
            let account = match scope {
                KillScope::Engine => None,
                KillScope::Account(account) | KillScope::Strategy(account, _) => Some(account),
            };
            let alert = self.manual_alert(AlertKind::KillSwitchDeactivated, account);
            self.events.push(alert);
            self.set_state(scope, TradingState::Normal, KillCause::Rearmed);
            match account {
                Some(account) => lifted.extend([account]),
                None => lifted.extend((0..self.accounts.len() as u32).map(AccountId::new)),
            }
            if let KillScope::Account(id) = scope {
                self.rebase(id);
            }
        }
        for index in 0..self.accounts.len() {
            if actor.admin || index == actor.account.get() as usize {
                self.accounts[index].executions = Default::default();
            }
        }
        for account in lifted {
            self.free_positions(account);
        }
    }

    /// Old losses do not trip the switch again.
    fn rebase(&mut self, id: AccountId) {
        let pnl = self.pnl_today(id);
        let account = self.account_mut(id);
        account.loss_base = pnl;
        account.peak = account.balance + pnl;
        account.warned_loss = false;
        account.warned_drawdown = false;
        self.reviews.insert(id);
    }
}

fn covers(scope: KillScope, account: AccountId, strategy: StrategyId) -> bool {
    match scope {
        KillScope::Engine => true,
        KillScope::Account(killed) => killed == account,
        KillScope::Strategy(killed, of) => killed == account && of == strategy,
    }
}
