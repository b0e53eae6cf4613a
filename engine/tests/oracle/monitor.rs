//! What follows from a fill or a mark: excess exits, waiting marks, alerts, the automatic kill.

use std::collections::BTreeSet;

use engine::{
    AccountId, Alert, AlertKind, CancelReason, Event, InstrumentId, KillCause, KillScope, OrderId,
    PositionId, PositionMarked, Ratio, TradingState,
};

use super::state::{Order, Paise, Shares};
use super::{Later, Oracle, money};

const MILLION: i128 = 1_000_000;
const MARK_INTERVAL_NS: u64 = 2_000_000_000;

impl Oracle {
    /// Resting exits that no longer fit into their position go, newest first, and those that a flip has put on the wrong
    /// side. The incoming order's own exit part counts, but is never cut.
    pub(super) fn trim_exits(&mut self, id: PositionId, incoming: OrderId) {
        let position = self.position(id);
        let held = position.quantity;
        let closes = |order: &Order| held.signum() == -i128::from(order.request.side.sign());
        let own = Some(&self.orders[&incoming]).filter(|own| own.position == id && closes(own));
        let incoming_exit = own.map_or(0, |own| own.exit_leaves);
        let resting: Vec<_> = self
            .exits_to_give_up(id)
            .into_iter()
            .map(|(order, exit)| (order, exit, closes(&self.orders[&order])))
            .collect();
        let fitting = resting.iter().filter(|(_, _, closes)| *closes);
        let exits: Shares = fitting.map(|(_, exit, _)| exit).sum();
        let mut excess = exits + incoming_exit - held.abs();
        for (order, exit, closes) in resting {
            let cut = if closes { excess.min(exit) } else { exit };
            if cut > 0 {
                excess -= if closes { cut } else { 0 };
                self.take_off(order, cut, CancelReason::ExcessExit);
            }
        }
    }

    /// Marks every book whose last price moved, then watches the positions and reviews the accounts that changed, both
    /// in order of their ids.
    pub(super) fn mark_and_review(&mut self) {
        let ids: Vec<_> = (0..self.instruments.len() as u32)
            .map(InstrumentId::new)
            .collect();
        for id in ids {
            let instrument = self.instrument_mut(id);
            if std::mem::take(&mut instrument.unmarked) {
                instrument.marked_price = instrument.last_price;
                self.mark_instrument(id);
            }
        }
        while let Some(position) = self.watches.pop_first() {
            if self.position(position).quantity != 0 {
                self.watch_position(position);
            }
        }
        while let Some(account) = self.reviews.pop_first() {
            self.review(account);
        }
    }

    /// An account whose balance or limits changed: the account and all that it holds.
    pub(super) fn look_at_everything(&mut self, id: AccountId) {
        if self.account(id).venue {
            return;
        }
        let open = self
            .positions_of(id)
            .filter(|(_, position)| position.quantity != 0);
        let open: Vec<_> = open.map(|(position, _)| position).collect();
        self.watches.extend(open);
        self.reviews.insert(id);
    }

    /// The open positions of a book, the latest opened first.
    pub(super) fn open_positions(&self, id: InstrumentId) -> Vec<PositionId> {
        let mut open: Vec<_> = (1..=self.positions.len() as u32)
            .map(PositionId::new)
            .filter(|position| {
                let p = self.position(*position);
                p.instrument == id && p.quantity != 0 && !self.account(p.account).venue
            })
            .collect();
        open.sort_by_key(|position| std::cmp::Reverse(self.position(*position).opened));
        open
    }

    fn mark_instrument(&mut self, id: InstrumentId) {
        let mark = self.instrument(id).marked_price;
        let open = self.open_positions(id);
        if !open.is_empty() && !self.marks_pending.contains(&id) {
            self.marks_pending.push(id);
            let due = self.time.saturating_add_nanos(MARK_INTERVAL_NS);
            self.marks_due.get_or_insert(due);
        }
        for position in open {
            let held = self.position_mut(position);
            if held.mark != mark {
                held.mark = mark;
                let account = held.account;
                self.watches.insert(position);
                self.reviews.insert(account);
            }
        }
    }

    /// `position_loss_limit`.
    fn watch_position(&mut self, id: PositionId) {
        let unrealised = self.unrealised(id);
        let position = self.position(id);
        let account = position.account;
        let balance = self.account(account).balance;
        let Some(limit) = self.account(account).limits.position_loss_max else {
            return;
        };
        let realised = position.realised - position.charges;
        let loss = -(realised + unrealised);
        let raised = position.warned_loss;
        let (now, fires) = edge(raised, loss, balance, limit, 100);
        self.position_mut(id).warned_loss = now;
        if fires {
            let amounts = Amounts {
                amount: loss,
                basis: balance,
                realised,
                unrealised,
                limit,
            };
            self.alert(AlertKind::PositionLossLimit, account, Some(id), amounts);
        }
    }

    /// `missing_stop_loss` of every open position that has no stop, nor protected market exits for all of it, and was not
    /// warned of since it had one.
    pub(super) fn warn_missing_stops(&mut self) {
        for id in (1..=self.positions.len() as u32).map(PositionId::new) {
            let alert = self.warn_missing_stop(id);
            self.events.extend(alert);
        }
    }

    pub(super) fn warn_missing_stop(&mut self, id: PositionId) -> Option<Event> {
        let position = self.position(id);
        let at_market = |order: &Order| {
            order.position == id && order.pending.is_none() && order.order_type.price().is_none()
        };
        let covered: i128 = self
            .open()
            .filter(|(_, order)| at_market(order))
            .map(|(_, order)| order.exit_leaves)
            .sum();
        let has_stop = position.stop_loss.is_some() || position.trailing.is_some();
        let venue = self.account(position.account).venue;
        if has_stop || venue || position.quantity.abs() <= covered || position.warned_stop {
            return None;
        }
        self.position_mut(id).warned_stop = true;
        let position = self.position(id);
        let amounts = Amounts {
            realised: position.realised - position.charges,
            unrealised: self.unrealised(id),
            ..Amounts::default()
        };
        Some(self.alert_event(AlertKind::MissingStopLoss, position.account, Some(id), amounts))
    }

    /// Peak, daily loss and drawdown of one account.
    fn review(&mut self, id: AccountId) {
        if self.account(id).venue {
            return;
        }
        let pnl = self.pnl_today(id);
        let account = self.account_mut(id);
        let current = account.balance + pnl;
        account.peak = account.peak.max(current);
        if account.state == TradingState::Normal {
            self.watch_limits(id, pnl);
        }
        self.watch_margin(id);
    }

    fn watch_limits(&mut self, id: AccountId, pnl: Paise) {
        let account = self.account(id);
        let current = account.balance + pnl;
        let (balance, peak) = (account.balance, account.peak);
        let (daily, fall) = (account.limits.daily_loss_max, account.limits.drawdown_max);
        let (loss, drawdown) = (self.loss_today(id), peak - current);
        let amounts = |amount, basis, limit| Amounts {
            amount,
            basis,
            realised: account.realised - account.charges,
            unrealised: pnl - account.realised + account.charges,
            limit,
        };
        if let Some(limit) = daily.filter(|limit| exceeds(loss, balance, *limit, 100)) {
            let cause = KillCause::DailyLoss {
                loss: money(loss),
                balance: money(balance),
            };
            let amounts = amounts(loss, balance, limit);
            self.trip(id, cause, AlertKind::KillSwitchDailyLoss, amounts);
        } else if let Some(limit) = fall.filter(|limit| exceeds(drawdown, peak, *limit, 100)) {
            let cause = KillCause::Drawdown {
                drawdown: money(drawdown),
                peak: money(peak),
            };
            let amounts = amounts(drawdown, peak, limit);
            self.trip(id, cause, AlertKind::KillSwitchDrawdown, amounts);
        } else {
            let loss = daily.map(|limit| amounts(loss, balance, limit));
            let drawdown = fall.map(|limit| amounts(drawdown, peak, limit));
            self.warn(id, loss, drawdown);
        }
    }

    /// Warnings at 80 % of the limits.
    fn warn(&mut self, id: AccountId, loss: Option<Amounts>, drawdown: Option<Amounts>) {
        if let Some(loss) = loss {
            let raised = self.account(id).warned_loss;
            let (now, fires) = edge(raised, loss.amount, loss.basis, loss.limit, 80);
            self.account_mut(id).warned_loss = now;
            if fires {
                self.alert(AlertKind::DailyLossWarning, id, None, loss);
            }
        }
        if let Some(fall) = drawdown {
            let raised = self.account(id).warned_drawdown;
            let (now, fires) = edge(raised, fall.amount, fall.basis, fall.limit, 80);
            self.account_mut(id).warned_drawdown = now;
            if fires {
                self.alert(AlertKind::DrawdownWarning, id, None, fall);
            }
        }
    }

    fn trip(&mut self, id: AccountId, cause: KillCause, kind: AlertKind, amounts: Amounts) {
        let scope = KillScope::Account(id);
        let alert = self.alert_event(kind, id, None, amounts);
        self.tighten(scope, TradingState::Reducing, cause, alert);
        if self.account(id).limits.flatten_on_kill {
            self.later.push_back(Later::Flatten(scope, BTreeSet::from([id])));
        }
    }

    pub(super) fn alert(
        &mut self,
        kind: AlertKind,
        account: AccountId,
        position: Option<PositionId>,
        amounts: Amounts,
    ) {
        let event = self.alert_event(kind, account, position, amounts);
        self.events.push(event);
    }

    fn alert_event(
        &self,
        kind: AlertKind,
        account: AccountId,
        position: Option<PositionId>,
        amounts: Amounts,
    ) -> Event {
        Event::Alert(Alert {
            kind,
            account: Some(account),
            position,
            instrument: position.map(|id| self.position(id).instrument),
            amount: money(amounts.amount),
            basis: money(amounts.basis),
            realised: money(amounts.realised),
            unrealised: money(amounts.unrealised),
            limit: amounts.limit,
        })
    }

    /// Publishes every mark that waits and is news, the book that began to wait last first.
    pub(super) fn publish_marks(&mut self) {
        self.marks_due = None;
        let books: Vec<_> = std::mem::take(&mut self.marks_pending);
        let positions = books.into_iter().rev().flat_map(|book| self.open_positions(book));
        for id in positions.collect::<Vec<_>>() {
            let position = self.position(id);
            let mark = self.instrument(position.instrument).marked_price;
            if position.published == mark {
                continue;
            }
            self.events.push(Event::PositionMarked(PositionMarked {
                position: id,
                account: position.account,
                instrument: position.instrument,
                quantity: i32::try_from(position.quantity).expect("a position within its bound"),
                cost: money(position.cost),
                realised: money(position.realised),
                charges: money(position.charges),
                unrealised: money(self.unrealised(id)),
            }));
            self.position_mut(id).published = mark;
        }
    }
}

/// The numbers of an alert.
#[derive(Clone, Copy, Default)]
pub(super) struct Amounts {
    pub(super) amount: Paise,
    pub(super) basis: Paise,
    pub(super) realised: Paise,
    pub(super) unrealised: Paise,
    pub(super) limit: Ratio,
}

/// Strictly more than `percent` of a share of `basis`.
fn exceeds(amount: Paise, basis: Paise, limit: Ratio, percent: i128) -> bool {
    amount * MILLION * 100 > basis * i128::from(limit.ppm()) * percent
}

/// [`edge`] on an alert's own flag: whether it just went up.
pub(super) fn rises(raised: &mut bool, amount: Paise, basis: Paise, limit: Ratio, percent: i128) -> bool {
    let (now, fires) = edge(*raised, amount, basis, limit, percent);
    *raised = now;
    fires
}

/// Whether an alert is up, and whether it just went up. It comes down below nine tenths of its threshold.
fn edge(raised: bool, amount: Paise, basis: Paise, limit: Ratio, percent: i128) -> (bool, bool) {
    if exceeds(amount, basis, limit, percent) {
        (true, !raised)
    } else {
        (raised && exceeds(amount, basis, limit, percent * 90 / 100), false)
    }
}
