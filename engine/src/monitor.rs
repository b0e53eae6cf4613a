//! The risk monitor: marks open positions with the last price and watches the limits, edge-triggered (RISK.md).

use crate::alert::{Alert, AlertKind};
use crate::arena::{NIL, Slots};
use crate::closing::Closing;
use crate::command::{KillScope, MarketPrice};
use crate::engine::{Engine, Task};
use crate::event::{Event, EventBuffer, KillCause, PositionMarked};
use crate::ids::{AccountId, InstrumentId};
use crate::position::{Marked, Positions};
use crate::rejection::Refusal;
use crate::risk;
use crate::terms::TradingState;
use crate::units::{Money, Price, Ratio};

/// A position whose mark moved is published at most this often: 2 s.
const MARK_INTERVAL_NS: u64 = 2_000_000_000;
/// Warnings come at this share of a limit: 80 %.
const WARN_PERCENT: i128 = 80;
/// An alert is armed again below this share of its threshold: 90 %.
const RECOVER_PERCENT: i128 = 90;
const MILLION: i128 = 1_000_000;

/// Whether `amount` is above `percent` of `ratio` of `basis`, exactly.
fn exceeds(amount: Money, basis: Money, ratio: Ratio, percent: i128) -> bool {
    let amount = amount.wide().wrapping_mul(MILLION).wrapping_mul(100);
    amount > ratio.of(basis).wrapping_mul(percent)
}

/// An alert with hysteresis: fires when its threshold is crossed, again only after a recovery. `percent` is the
/// threshold as a share of the limit.
fn edge(raised: &mut bool, amount: Money, basis: Money, ratio: Ratio, percent: i128) -> bool {
    if exceeds(amount, basis, ratio, percent) {
        return !core::mem::replace(raised, true);
    }
    let recovered = percent.wrapping_mul(RECOVER_PERCENT).wrapping_div(100);
    if *raised && !exceeds(amount, basis, ratio, recovered) {
        *raised = false;
    }
    false
}

impl Engine {
    pub(crate) fn market_price(&mut self, price: &MarketPrice) -> Result<(), Refusal> {
        self.known_instrument(price.instrument)?;
        self.set_last_price(price.instrument, price.price);
        self.touch(price.instrument);
        Ok(())
    }

    /// Sets the last traded price; the monitor marks the instrument's positions before the command ends.
    #[inline]
    pub(crate) fn set_last_price(&mut self, id: InstrumentId, price: Price) {
        let instrument = self.instruments.as_mut_slice().at_mut(id.get());
        instrument.last_price = Some(price);
        if !instrument.unmarked && instrument.marked_price != Some(price) {
            instrument.unmarked = true;
            self.unmarked.push(id.get());
        }
    }

    /// Has the monitor look at a position that was filled.
    pub(crate) fn watch_later(&mut self, slot: u32) {
        let position = self.positions.at_mut(slot);
        if !position.venue && !core::mem::replace(&mut position.watched, true) {
            self.watches.push_back(slot);
        }
    }

    #[inline]
    pub(crate) fn review_later(&mut self, id: AccountId) {
        let account = self.accounts.as_mut_slice().at_mut(id.get());
        if !account.under_review && !account.venue {
            account.under_review = true;
            self.reviews.push(id.get());
        }
    }

    /// Marks the open positions of an instrument with its last price, those too that a fill of this command marked at
    /// an earlier print.
    pub(crate) fn mark_instrument(&mut self, slot: u32, out: &mut EventBuffer) {
        let instrument = self.instruments.as_slice().at(slot);
        let mut position = instrument.first_open;
        let Some(mark) = instrument.last_price else { return };
        while position != NIL {
            if !out.has_room_for_a_step() {
                // Marking is idempotent: the next call starts over with the same mark.
                return;
            }
            let next = self.positions.at(position).next_open;
            self.mark(position, mark, out);
            position = next;
        }
        let instrument = self.instruments.as_mut_slice().at_mut(slot);
        instrument.marked_price = instrument.last_price;
        instrument.unmarked = false;
        self.unmarked.retain(|&waiting| waiting != slot);
    }

    fn mark(&mut self, slot: u32, mark: Price, out: &mut EventBuffer) {
        let position = self.positions.at_mut(slot);
        let before = Marked::of(position);
        position.exposure = position.value_at(mark);
        position.unrealised = position.exposure.saturating_sub(position.cost);
        let after = Marked::of(position);
        let account = position.account;
        if after != before {
            let waits = core::mem::replace(&mut position.mark_pending, true);
            self.accounts
                .as_mut_slice()
                .at_mut(account.get())
                .carry_mark(before, after);
            if !waits {
                self.marks_pending.push(slot);
                self.marks_due
                    .get_or_insert(self.time.saturating_add_nanos(MARK_INTERVAL_NS));
            }
            self.rehash_position(slot);
            self.review_later(account);
        }
        self.watch_position(slot, out);
    }

    /// `position_loss_limit`: one position's loss against a share of the balance.
    pub(crate) fn watch_position(&mut self, slot: u32, out: &mut EventBuffer) {
        let position = self.positions.at_mut(slot);
        position.watched = false;
        if position.quantity == 0 {
            return;
        }
        let account = self.accounts.as_slice().at(position.account.get());
        let Some(limit) = account.limits.position_loss_max else {
            return;
        };
        let net = position
            .realised
            .saturating_sub(position.charges)
            .saturating_add(position.unrealised);
        let loss = net.negated();
        if edge(&mut position.loss_alerted, loss, account.balance, limit, 100) {
            out.push(Event::Alert(Alert {
                kind: AlertKind::PositionLossLimit,
                account: Some(position.account),
                position: Some(Positions::id(slot)),
                instrument: Some(position.instrument),
                amount: loss,
                basis: account.balance,
                realised: position.realised.saturating_sub(position.charges),
                unrealised: position.unrealised,
                limit,
            }));
        }
    }

    /// `missing_stop_loss`, once when a position opens without one.
    pub(crate) fn alert_missing_stop(&mut self, slot: u32, out: &mut EventBuffer) {
        let position = self.positions.at(slot);
        if position.venue || position.stop_loss.is_some() {
            return;
        }
        out.push(Event::Alert(Alert {
            kind: AlertKind::MissingStopLoss,
            account: Some(position.account),
            position: Some(Positions::id(slot)),
            instrument: Some(position.instrument),
            amount: Money::ZERO,
            basis: Money::ZERO,
            realised: position.realised.saturating_sub(position.charges),
            unrealised: position.unrealised,
            limit: Ratio::ZERO,
        }));
    }

    /// Peak, daily loss and drawdown of an account whose P&L changed.
    pub(crate) fn review_account(&mut self, slot: u32, out: &mut EventBuffer) {
        let id = AccountId::new(slot);
        let account = self.account_mut(id);
        account.under_review = false;
        account.peak = account.peak.max(account.current_value());
        if account.state == TradingState::Normal {
            self.watch_account(id, out);
        }
        self.watch_margin(id, out);
        self.rehash_account(id);
    }

    fn watch_account(&mut self, id: AccountId, out: &mut EventBuffer) {
        let account = self.accounts.as_mut_slice().at_mut(id.get());
        let (balance, peak) = (account.balance, account.peak);
        let loss = account.counted_pnl().negated();
        let drawdown = peak.saturating_sub(account.current_value());
        let realised = account.realised.saturating_sub(account.charges);
        let alert = |kind, amount, basis, limit| Alert {
            kind,
            account: Some(id),
            position: None,
            instrument: None,
            amount,
            basis,
            realised,
            unrealised: account.unrealised,
            limit,
        };
        let daily = account.limits.daily_loss_max;
        let fall = account.limits.drawdown_max;
        if let Some(limit) = daily.filter(|&limit| exceeds(loss, balance, limit, 100)) {
            let alert = alert(AlertKind::KillSwitchDailyLoss, loss, balance, limit);
            self.trip(id, KillCause::DailyLoss { loss, balance }, alert, out);
            return;
        }
        if let Some(limit) = fall.filter(|&limit| exceeds(drawdown, peak, limit, 100)) {
            let alert = alert(AlertKind::KillSwitchDrawdown, drawdown, peak, limit);
            self.trip(id, KillCause::Drawdown { drawdown, peak }, alert, out);
            return;
        }
        let daily_warning =
            daily.map(|limit| (alert(AlertKind::DailyLossWarning, loss, balance, limit), limit));
        let fall_warning =
            fall.map(|limit| (alert(AlertKind::DrawdownWarning, drawdown, peak, limit), limit));
        if let Some((warning, limit)) = daily_warning
            && edge(
                &mut account.daily_loss_alerted,
                loss,
                balance,
                limit,
                WARN_PERCENT,
            )
        {
            out.push(Event::Alert(warning));
        }
        if let Some((warning, limit)) = fall_warning
            && edge(&mut account.drawdown_alerted, drawdown, peak, limit, WARN_PERCENT)
        {
            out.push(Event::Alert(warning));
        }
    }

    /// `margin_usage`: margin in use against funds, both multiplied by the leverage so that nothing is rounded.
    fn watch_margin(&mut self, id: AccountId, out: &mut EventBuffer) {
        let account = self.accounts.as_mut_slice().at_mut(id.get());
        if !account.limits.balance_check {
            return;
        }
        let leverage = i128::from(account.limits.mis_leverage.max(1));
        let funds = account.funds().max(Money::ZERO);
        let held = account.held_leveraged();
        let leveraged = |amount: i128| Money::from_wide(amount);
        if edge(
            &mut account.margin_alerted,
            leveraged(held),
            leveraged(funds.wide().wrapping_mul(leverage)),
            Ratio::ONE,
            WARN_PERCENT,
        ) {
            let rounded_up = held.wrapping_add(leverage).wrapping_sub(1);
            let used = Money::from_wide(rounded_up.div_euclid(leverage));
            let alert = Alert {
                limit: Ratio::from_ppm(800_000),
                ..self.count_alert(id, AlertKind::MarginUsage, used, funds)
            };
            out.push(Event::Alert(alert));
        }
    }

    /// `order_to_trade` and `order_rate_near_limit`, after a message of the account.
    pub(crate) fn watch_messages(&mut self, id: AccountId, out: &mut EventBuffer) {
        let now = self.time;
        if !self.account_of(id).venue {
            self.watch_margin(id, out);
        }
        let account = self.accounts.as_mut_slice().at_mut(id.get());
        if account.venue {
            return;
        }
        account.messages_today = account.messages_today.saturating_add(1);
        let (messages, fills) = (
            i64::from(account.messages_today),
            i64::from(account.fills_today.max(1)),
        );
        if let Some(limit) = account.limits.order_to_trade_alert {
            let (messages, fills) = (Money::from_paise(messages), Money::from_paise(fills));
            let ratio = Ratio::from_ppm(limit.saturating_mul(1_000_000));
            if edge(&mut account.ratio_alerted, messages, fills, ratio, 100) {
                let alert = self.count_alert(id, AlertKind::OrderToTrade, messages, fills);
                out.push(Event::Alert(Alert {
                    limit: ratio,
                    ..alert
                }));
            }
        }
        let account = self.accounts.as_mut_slice().at_mut(id.get());
        if let Some(rate) = account.limits.orders_per_second_max {
            let taken = Money::from_paise(risk::tokens_taken(account, now));
            let size = Money::from_paise(i64::from(rate));
            if edge(&mut account.rate_alerted, taken, size, Ratio::ONE, WARN_PERCENT) {
                out.push(Event::Alert(self.count_alert(
                    id,
                    AlertKind::OrderRateNearLimit,
                    taken,
                    size,
                )));
            }
        }
        self.rehash_account(id);
    }

    fn count_alert(&self, id: AccountId, kind: AlertKind, amount: Money, basis: Money) -> Alert {
        let account = self.account_of(id);
        Alert {
            kind,
            account: Some(id),
            position: None,
            instrument: None,
            amount,
            basis,
            realised: account.realised.saturating_sub(account.charges),
            unrealised: account.unrealised,
            limit: Ratio::ONE,
        }
    }

    /// The automatic kill switch of an account.
    fn trip(&mut self, id: AccountId, cause: KillCause, alert: Alert, out: &mut EventBuffer) {
        let scope = KillScope::Account(id);
        if self.tighten(scope, TradingState::Reducing, cause, alert, out) == Ok(true) {
            self.later(Task::Close(Closing::flatten(scope, true)));
        }
    }

    /// Publishes one waiting mark a step.
    pub(crate) fn publish_next_mark(&mut self, out: &mut EventBuffer) -> Option<Task> {
        let slot = self.marks_pending.pop()?;
        let position = self.positions.at_mut(slot);
        position.mark_pending = false;
        if position.quantity != 0 {
            out.push(Event::PositionMarked(PositionMarked {
                position: Positions::id(slot),
                account: position.account,
                instrument: position.instrument,
                quantity: i32::try_from(position.quantity).unwrap_or(0),
                cost: position.cost,
                realised: position.realised,
                charges: position.charges,
                unrealised: position.unrealised,
            }));
        }
        Some(Task::PublishMarks)
    }
}
