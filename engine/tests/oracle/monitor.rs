//! The risk monitor, and what follows from a fill: excess exits, marks, alerts, the automatic kill.

use engine::{
    AccountId, Alert, AlertKind, CancelReason, Event, KillCause, KillScope, Money, OrderId, PositionId,
    PositionMarked, Ratio, TradingState,
};

use super::state::Paise;
use super::{Oracle, money};

const MILLION: i128 = 1_000_000;
const MARK_INTERVAL_NS: u64 = 2_000_000_000;

impl Oracle {
    /// Exits that no longer fit into their position go, newest first.
    pub(super) fn trim_exits(&mut self) {
        for index in 1..=self.positions.len() as u32 {
            let id = PositionId::new(index);
            let position = self.position(id);
            let (account, held) = (position.account, position.quantity);
            let exits: Vec<(OrderId, i128, i128)> = self
                .open_orders(account)
                .filter(|(_, o)| o.position == id && o.exit_leaves > 0)
                .map(|(order, o)| (order, o.exit_leaves, i128::from(o.request.side.sign())))
                .collect();
            let closable = |sign: i128| if held.signum() == -sign { held.abs() } else { 0 };
            let mut excess: i128 = exits.iter().map(|(_, leaves, _)| leaves).sum::<i128>()
                - exits.first().map_or(0, |(_, _, sign)| closable(*sign));
            for (order, leaves, _) in exits.into_iter().rev() {
                let cut = excess.min(leaves);
                if cut > 0 {
                    excess -= cut;
                    self.take_off(order, cut, CancelReason::ExcessExit);
                }
            }
        }
    }

    /// Marks, then every account's rules.
    pub(super) fn monitor(&mut self) {
        self.report_marks();
        for index in 0..self.accounts.len() {
            let id = AccountId::new(index as u32);
            if !self.account(id).venue {
                self.watch_account(id);
            }
        }
    }

    fn report_marks(&mut self) {
        let printed: Vec<_> = self.prints.iter().map(|(instrument, _)| *instrument).collect();
        for index in 1..=self.positions.len() as u32 {
            let id = PositionId::new(index);
            let position = self.position(id);
            let due = position
                .marked_at
                .is_none_or(|at| self.time.saturating_since(at) >= MARK_INTERVAL_NS);
            let traded = self.moved_positions.contains(&id);
            if position.quantity == 0 || traded || !due || !printed.contains(&position.instrument) {
                continue;
            }
            let event = PositionMarked {
                position: id,
                account: position.account,
                instrument: position.instrument,
                quantity: i32::try_from(position.quantity).expect("a position within its bound"),
                cost: money(position.cost),
                realised: money(position.realised),
                charges: money(position.charges),
                unrealised: money(self.unrealised(id)),
            };
            let now = self.time;
            self.position_mut(id).marked_at = Some(now);
            self.events.push(Event::PositionMarked(event));
        }
    }

    fn watch_account(&mut self, id: AccountId) {
        let pnl = self.pnl_today(id);
        let account = self.account_mut(id);
        let current = account.balance + pnl;
        account.peak = account.peak.max(current);
        if self.engine_state.max(self.account(id).state) != TradingState::Normal {
            return;
        }
        let account = self.account(id);
        let (balance, peak, limits) = (account.balance, account.peak, account.limits.clone());
        let loss = self.loss_today(id);
        let drawdown = peak - current;
        if let Some(ratio) = limits.daily_loss_max {
            if exceeds(loss, balance, ratio) {
                let cause = KillCause::DailyLoss {
                    loss: money(loss),
                    balance: money(balance),
                };
                self.trip(KillScope::Account(id), TradingState::Reducing, cause, None);
                self.alert(AlertKind::KillSwitchDailyLoss, id, None, loss, balance, ratio);
                return;
            }
        }
        if let Some(ratio) = limits.drawdown_max {
            if exceeds(drawdown, peak, ratio) {
                let cause = KillCause::Drawdown {
                    drawdown: money(drawdown),
                    peak: money(peak),
                };
                self.trip(KillScope::Account(id), TradingState::Reducing, cause, None);
                self.alert(AlertKind::KillSwitchDrawdown, id, None, drawdown, peak, ratio);
                return;
            }
        }
        self.warn_account(id, loss, drawdown);
        self.watch_positions(id);
    }

    /// Warnings at four fifths of the limits, once until they have recovered.
    fn warn_account(&mut self, id: AccountId, loss: Paise, drawdown: Paise) {
        let account = self.account(id);
        let (balance, peak) = (account.balance, account.peak);
        let (loss_max, drawdown_max) = (account.limits.daily_loss_max, account.limits.drawdown_max);
        let near = |amount: Paise, basis: Paise, limit: Option<Ratio>| {
            limit.is_some_and(|limit| amount * 5 * MILLION > basis * i128::from(limit.ppm()) * 4)
        };
        let (losing, falling) = (near(loss, balance, loss_max), near(drawdown, peak, drawdown_max));
        let account = self.account_mut(id);
        let warn_loss = losing && !std::mem::replace(&mut account.warned_loss, losing);
        let warn_drawdown = falling && !std::mem::replace(&mut account.warned_drawdown, falling);
        if warn_loss {
            let limit = loss_max.unwrap_or_default();
            self.alert(AlertKind::DailyLossWarning, id, None, loss, balance, limit);
        }
        if warn_drawdown {
            let limit = drawdown_max.unwrap_or_default();
            self.alert(AlertKind::DrawdownWarning, id, None, drawdown, peak, limit);
        }
    }

    fn watch_positions(&mut self, account: AccountId) {
        let balance = self.account(account).balance;
        let limit = self.account(account).limits.position_loss_max;
        let stops = self.account(account).limits.stop_loss_required;
        let ids: Vec<_> = self.positions_of(account).map(|(id, _)| id).collect();
        for id in ids {
            let unrealised = self.unrealised(id);
            let position = self.position_mut(id);
            let loss = -(position.realised + unrealised);
            let open = position.quantity != 0;
            let losing = open && limit.is_some_and(|limit| exceeds(loss, balance, limit));
            let naked = open && stops && position.stop_loss.is_none();
            let warn_loss = losing && !std::mem::replace(&mut position.warned_loss, losing);
            let warn_stop = naked && !std::mem::replace(&mut position.warned_stop, naked);
            if warn_loss {
                let limit = limit.unwrap_or_default();
                self.alert(
                    AlertKind::PositionLossLimit,
                    account,
                    Some(id),
                    loss,
                    balance,
                    limit,
                );
            }
            if warn_stop {
                self.alert(AlertKind::MissingStopLoss, account, Some(id), 0, 0, Ratio::ZERO);
            }
        }
    }

    fn alert(
        &mut self,
        kind: AlertKind,
        account: AccountId,
        position: Option<PositionId>,
        amount: Paise,
        basis: Paise,
        limit: Ratio,
    ) {
        let (realised, unrealised) = match position {
            Some(id) => {
                let p = self.position(id);
                (p.realised - p.charges, self.unrealised(id))
            }
            None => {
                let a = self.account(account);
                (a.realised - a.charges, self.account_unrealised(account))
            }
        };
        self.events.push(Event::Alert(Alert {
            kind,
            account: Some(account),
            position,
            instrument: position.map(|id| self.position(id).instrument),
            amount: Money::from_wide(amount),
            basis: Money::from_wide(basis),
            realised: money(realised),
            unrealised: money(unrealised),
            limit,
        }));
    }
}

/// Strictly more than a share of `basis`.
fn exceeds(amount: Paise, basis: Paise, limit: Ratio) -> bool {
    amount * MILLION > basis * i128::from(limit.ppm())
}
