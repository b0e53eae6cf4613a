//! Rows of `kill_switch_events`: one from a trigger to its deactivation.

use std::collections::BTreeSet;

use engine::{
    AccountId, Actor, Command, Engine, KillCause, KillScope, Money, OrderId, Percent, PositionId,
    PositionView, Quantity, Rupees, Timestamp, TradingState, TradingStateChanged,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::names::Names;
use super::table::{Row, Value};

/// Characters of `kill_switch_events.reason`.
const REASON_CHARS: usize = 100;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KillEvent {
    pub(crate) id: u64,
    scope: KillScope,
    /// The account that it is about; for the whole engine the one that asked.
    account: AccountId,
    state: TradingState,
    reason: String,
    triggered_by: String,
    balance: Money,
    pnl: Money,
    open_positions: u32,
    /// Positions that exits were placed for, each with a JSON object, and when that was last.
    closes: Vec<(PositionId, String)>,
    completed: Option<Timestamp>,
    triggered: Timestamp,
    deactivated: Option<(Timestamp, String)>,
}

/// The kill switches that are on.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct KillEvents {
    active: Vec<KillEvent>,
    last_id: u64,
    /// Triggered by the present command.
    triggered_now: Vec<u64>,
    /// Exits that the present command placed because a kill switch flattens, and the kill switches that have closed by them.
    flattening_now: Vec<OrderId>,
    closed_now: Vec<u64>,
}

impl KillEvents {
    pub(crate) fn begin_command(&mut self) {
        self.triggered_now.clear();
        self.flattening_now.clear();
        self.closed_now.clear();
    }

    /// An exit was placed because a kill switch flattens: with it, or as soon as that could be.
    pub(crate) fn flattening(&mut self, order: OrderId) {
        self.flattening_now.push(order);
    }

    /// Returns the event as it stands after the change, if it is one of a kill switch that is or was on.
    pub(crate) fn change(
        &mut self,
        command: &Command,
        event: &TradingStateChanged,
        open_positions: u32,
        now: Timestamp,
    ) -> Option<KillEvent> {
        let before = self.active.iter().position(|kill| kill.scope == event.scope);
        if event.state == TradingState::Normal {
            let mut kill = self.active.remove(before?);
            let author = match command {
                Command::Rearm(rearm) => rearm.deactivated_by.as_str().to_owned(),
                _ => String::new(),
            };
            kill.deactivated = Some((now, author));
            return Some(kill);
        }
        if let Some(kill) = before.and_then(|index| self.active.get_mut(index)) {
            kill.state = event.state;
            return Some(kill.clone());
        }
        self.last_id += 1;
        let (reason, triggered_by) = reason_and_author(command, event.cause);
        let kill = KillEvent {
            id: self.last_id,
            scope: event.scope,
            account: account_of(command, event.scope),
            state: event.state,
            reason,
            triggered_by,
            balance: Money::ZERO,
            pnl: Money::ZERO,
            open_positions,
            closes: Vec::new(),
            completed: None,
            triggered: now,
            deactivated: None,
        };
        self.triggered_now.push(kill.id);
        self.active.push(kill.clone());
        Some(kill)
    }

    /// Exits were placed for a position, the first of them `order`.
    pub(crate) fn closing(
        &mut self,
        position: &PositionView,
        order: OrderId,
        quantity: Quantity,
        now: Timestamp,
    ) {
        if !self.flattening_now.contains(&order) {
            return;
        }
        for kill in self.active.iter_mut().filter(|kill| kill.covers(position)) {
            let close = json!({
                "position_id": position.position.get(),
                "order_id": order.get(),
                "quantity": quantity.shares(),
            });
            kill.closes.push((position.position, close.to_string()));
            kill.completed = Some(now);
            self.closed_now.push(kill.id);
        }
    }

    /// The events that the present command triggered, with the money of their scope at its end, and those that closed.
    pub(crate) fn finish_command(&mut self, engine: &Engine, names: &Names) -> Vec<KillEvent> {
        let (triggered, closed) = (&self.triggered_now, &self.closed_now);
        let changed = |kill: &&mut KillEvent| triggered.contains(&kill.id) || closed.contains(&kill.id);
        self.active
            .iter_mut()
            .filter(changed)
            .map(|kill| {
                if !triggered.contains(&kill.id) {
                    return kill.clone();
                }
                let accounts: Vec<AccountId> = match kill.scope {
                    KillScope::Engine => names.traders().collect(),
                    KillScope::Account(account) | KillScope::Strategy(account, _) => vec![account],
                };
                for account in accounts.into_iter().filter_map(|id| engine.account(id)) {
                    kill.balance = kill.balance.saturating_add(account.balance);
                    kill.pnl = kill.pnl.saturating_add(account.total_pnl());
                }
                kill.clone()
            })
            .collect()
    }
}

impl KillEvent {
    fn covers(&self, position: &PositionView) -> bool {
        match self.scope {
            KillScope::Engine => true,
            KillScope::Account(account) => account == position.account,
            KillScope::Strategy(account, strategy) => {
                account == position.account && strategy == position.strategy
            }
        }
    }

    pub(crate) fn row(&self, names: &Names, seq: u64) -> Row {
        let scope = match self.scope {
            KillScope::Engine => "engine",
            KillScope::Account(_) => "account",
            KillScope::Strategy(..) => "strategy",
        };
        let strategy = match self.scope {
            KillScope::Strategy(_, strategy) => Some(strategy.get()),
            _ => None,
        };
        // A position whose exits ended unfilled was closed again.
        let positions: BTreeSet<PositionId> = self.closes.iter().map(|close| close.0).collect();
        let closed = u64::try_from(positions.len()).unwrap_or(u64::MAX);
        let closes: Vec<&str> = self.closes.iter().map(|close| close.1.as_str()).collect();
        let (deactivated_at, deactivated_by) = match &self.deactivated {
            Some((at, by)) => (Value::Time(*at), Value::text(by)),
            None => (Value::Null, Value::Null),
        };
        let status = if self.deactivated.is_some() {
            "DEACTIVATED"
        } else {
            "ACTIVE"
        };
        vec![
            Value::id(self.id),
            names.account(self.account),
            Value::name(scope),
            Value::text(&self.reason),
            Value::text(&self.triggered_by),
            Value::money(self.balance),
            Value::money(self.pnl),
            Value::id(self.open_positions),
            Value::id(closed),
            Value::Json(format!("[{}]", closes.join(",")).into()),
            Value::Time(self.triggered),
            Value::optional(self.completed, Value::Time),
            deactivated_at,
            deactivated_by,
            Value::name(status),
            Value::Json(
                json!({"state": self.state.as_str(), "strategy_id": strategy})
                    .to_string()
                    .into(),
            ),
            Value::id(seq),
        ]
    }
}

fn account_of(command: &Command, scope: KillScope) -> AccountId {
    match (scope, command) {
        (KillScope::Account(account) | KillScope::Strategy(account, _), _) => account,
        (KillScope::Engine, Command::KillSwitch(kill)) if kill.actor != Actor::PROCESS => kill.actor.account,
        (KillScope::Engine, _) => AccountId::new(0),
    }
}

fn reason_and_author(command: &Command, cause: KillCause) -> (String, String) {
    let automatic = |what: &str, amount: Money, basis: Money| {
        let share = Percent::of(amount.paise(), basis.paise());
        format!("{what} limit exceeded: {} ({share}%)", Rupees(amount))
    };
    let monitor = || "risk_monitor".to_owned();
    let (reason, author) = match (cause, command) {
        (KillCause::DailyLoss { loss, balance }, _) => (automatic("Daily loss", loss, balance), monitor()),
        (KillCause::Drawdown { drawdown, peak }, _) => (automatic("Drawdown", drawdown, peak), monitor()),
        (_, Command::KillSwitch(kill)) => (
            kill.reason.as_str().to_owned(),
            kill.triggered_by.as_str().to_owned(),
        ),
        _ => (String::new(), String::new()),
    };
    (reason.chars().take(REASON_CHARS).collect(), author)
}
