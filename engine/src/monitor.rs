//! The risk monitor: watches the limits of positions and accounts, edge-triggered (RISK.md).

use crate::alert::{Alert, AlertKind};
use crate::arena::Slots;
use crate::bands::Spare;
use crate::closing::Closing;
use crate::command::{KillScope, MarketPrice};
use crate::engine::{Engine, Task};
use crate::event::{Event, EventBuffer, KillCause};
use crate::ids::AccountId;
use crate::position::Positions;
use crate::rejection::Refusal;
use crate::terms::TradingState;
use crate::units::{Money, Ratio};

/// Warnings come at this share of a limit: 80 %.
pub(crate) const WARN_PERCENT: i64 = 80;
/// An alert is armed again below this share of its threshold: 90 %.
const RECOVER_PERCENT: i64 = 90;

/// Where an alert that goes up at `percent` of a limit may come down again.
pub(crate) const fn recovery(percent: i64) -> i64 {
    percent.wrapping_mul(RECOVER_PERCENT).wrapping_div(100)
}

const MILLION: i128 = 1_000_000;

/// Whether `amount` is above `percent` of `ratio` of `basis`, exactly.
#[inline]
pub(crate) fn exceeds(amount: Money, basis: Money, ratio: Ratio, percent: i64) -> bool {
    // Amounts up to ₹184 crore need no wider numbers.
    let narrow = || {
        let share = i64::from(ratio.ppm()).checked_mul(percent)?;
        let threshold = basis.paise().checked_mul(share.checked_div(2)?)?;
        let is_whole = share & 1 == 0;
        let amount = amount.paise().checked_mul(HALF_OF_ALL)?;
        is_whole.then_some(amount > threshold)
    };
    narrow().unwrap_or_else(|| exceeds_widely(amount, basis, ratio, percent))
}

/// Half of 100 % of a million.
const HALF_OF_ALL: i64 = 50_000_000;

#[cold]
fn exceeds_widely(amount: Money, basis: Money, ratio: Ratio, percent: i64) -> bool {
    let amount = amount.wide().wrapping_mul(MILLION).wrapping_mul(100);
    amount > ratio.of(basis).wrapping_mul(i128::from(percent))
}

/// An alert with hysteresis: fires when its threshold is crossed, again only after a recovery. `percent` is the
/// threshold as a share of the limit.
fn edge(raised: &mut bool, amount: Money, basis: Money, ratio: Ratio, percent: i64) -> bool {
    if exceeds(amount, basis, ratio, percent) {
        return !core::mem::replace(raised, true);
    }
    if *raised && !exceeds(amount, basis, ratio, recovery(percent)) {
        *raised = false;
    }
    false
}

impl Engine {
    pub(crate) fn market_price(&mut self, price: &MarketPrice) -> Result<(), Refusal> {
        self.known_instrument(price.instrument)?;
        self.set_last_price(price.instrument, price.price, None);
        self.touch(price.instrument);
        Ok(())
    }

    /// Has the monitor look at a position that was filled or marked.
    pub(crate) fn watch_later(&mut self, slot: u32) {
        let position = self.positions.at_mut(slot);
        if !position.venue && !core::mem::replace(&mut position.watched, true) {
            self.watches.add(slot);
        }
    }

    /// Has the monitor look at an account of which something changed that may bring any limit nearer.
    #[inline]
    pub(crate) fn review_later(&mut self, id: AccountId) {
        let account = self.accounts.as_mut_slice().at_mut(id.get());
        account.spare = Spare::NONE;
        if !account.under_review && !account.venue {
            account.under_review = true;
            self.reviews.add(id.get());
        }
    }

    /// Looks at a position that was filled or marked.
    pub(crate) fn watch_position(&mut self, slot: u32, out: &mut EventBuffer) {
        let position = self.positions.at_mut(slot);
        position.watched = false;
        if position.quantity != 0 {
            self.watch_loss(slot, out);
            self.settle_leg(slot);
        }
    }

    /// `position_loss_limit`: one position's loss against a share of the balance.
    fn watch_loss(&mut self, slot: u32, out: &mut EventBuffer) {
        let position = self.positions.at(slot);
        let account = position.account;
        self.refresh_one(account);
        let unrealised = self.unrealised_of(self.positions.at(slot));
        let position = self.positions.at_mut(slot);
        let account = self.accounts.as_slice().at(position.account.get());
        let Some(limit) = account.bounds.position_loss() else {
            return;
        };
        let net = position
            .realised
            .saturating_sub(position.charges)
            .saturating_add(unrealised);
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
                unrealised,
                limit,
            }));
        }
    }

    /// Has the monitor see, when everything else is done, whether a position still has what stops its losses.
    #[cold]
    pub(crate) fn doubt_later(&mut self, slot: u32) {
        let position = self.positions.at_mut(slot);
        if !position.venue && !core::mem::replace(&mut position.doubted, true) {
            self.doubts.add(slot);
        }
    }

    pub(crate) fn resolve_doubt(&mut self, slot: u32, out: &mut EventBuffer) {
        self.positions.at_mut(slot).doubted = false;
        self.watch_stop_at_mark(slot, out);
    }

    /// [`Engine::watch_stop`] while no fill is being settled.
    pub(crate) fn watch_stop_at_mark(&mut self, slot: u32, out: &mut EventBuffer) {
        let unrealised = self.unrealised_of(self.positions.at(slot));
        self.watch_stop(slot, unrealised, out);
    }

    /// `missing_stop_loss`: raised once when an open position has no stop, nor protected market exits for all of it (what a
    /// stop became when it fired, or a close), and again only after a stop was set or the position was flat.
    pub(crate) fn watch_stop(&mut self, slot: u32, unrealised: Money, out: &mut EventBuffer) {
        let position = self.positions.at_mut(slot);
        let open = position.quantity.saturating_abs();
        let missing = position.lacks_stop() && open > position.market_exits && !position.venue;
        if !missing || core::mem::replace(&mut position.stop_missing, true) {
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
            unrealised,
            limit: Ratio::ZERO,
        }));
    }

    /// Peak, daily loss, drawdown and margin of an account that changed.
    pub(crate) fn review_account(&mut self, slot: u32, out: &mut EventBuffer) {
        let id = AccountId::new(slot);
        self.account_mut(id).under_review = false;
        if self.account_of(id).banded && self.stays_quiet(id) {
            self.rehash_account(id);
            return;
        }
        self.refresh(id);
        let account = self.account_mut(id);
        account.peak = account.peak.max(account.current_value(account.marks.unrealised));
        if !self.stays_quiet(id) {
            if self.account_of(id).state == TradingState::Normal {
                self.watch_account(id, out);
            }
            self.watch_margin(id, out);
            self.renew_band(id);
        }
        self.rehash_account(id);
    }

    fn watch_account(&mut self, id: AccountId, out: &mut EventBuffer) {
        let account = self.accounts.as_mut_slice().at_mut(id.get());
        let (balance, peak, unrealised) = (account.balance, account.peak, account.marks.unrealised);
        let loss = account.counted_pnl(unrealised).negated();
        let drawdown = peak.saturating_sub(account.current_value(unrealised));
        let realised = account.realised.saturating_sub(account.charges);
        let alert = |kind, amount, basis, limit| Alert {
            kind,
            account: Some(id),
            position: None,
            instrument: None,
            amount,
            basis,
            realised,
            unrealised,
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
        let funds = account.funds(account.marks.unrealised).max(Money::ZERO);
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

    /// `margin_usage`, `order_to_trade` and `order_rate_near_limit`, after a message of the account.
    pub(crate) fn watch_messages(&mut self, id: AccountId, out: &mut EventBuffer) {
        let now = self.time;
        let account = self.accounts.as_mut_slice().at_mut(id.get());
        if account.venue {
            return;
        }
        account.messages_today = account.messages_today.saturating_add(1);
        let watched = account.bounds.counts_messages
            || account.rate_alerted
            || !account.pace.is_quiet(account.rate_horizon, now);
        if !account.has_margin_room() {
            self.refresh(id);
            self.watch_margin(id, out);
            if !self.stays_quiet(id) {
                self.renew_band(id);
            }
        }
        if watched {
            self.watch_order_to_trade(id, out);
            self.watch_order_rate(id, out);
        }
        self.rehash_account(id);
    }

    fn watch_order_to_trade(&mut self, id: AccountId, out: &mut EventBuffer) {
        let account = self.accounts.as_mut_slice().at_mut(id.get());
        let Some(limit) = account.limits.order_to_trade_alert else {
            return;
        };
        let messages = Money::from_paise(i64::from(account.messages_today));
        let fills = account.fills_today;
        // Without a fill every message counts as if there were one.
        let against = Money::from_paise(i64::from(fills.max(1)));
        let ratio = Ratio::from_ppm(limit.saturating_mul(1_000_000));
        if edge(&mut account.ratio_alerted, messages, against, ratio, 100) {
            let fills = Money::from_paise(i64::from(fills));
            let alert = self.count_alert(id, AlertKind::OrderToTrade, messages, fills);
            out.push(Event::Alert(Alert {
                limit: ratio,
                ..alert
            }));
        }
    }

    fn watch_order_rate(&mut self, id: AccountId, out: &mut EventBuffer) {
        let now = self.time;
        let account = self.accounts.as_mut_slice().at_mut(id.get());
        let Some(rate) = account.limits.orders_per_second_max else {
            return;
        };
        let taken = Money::from_paise(account.pace.taken(account.rate_horizon, now));
        let size = Money::from_paise(i64::from(rate));
        if edge(&mut account.rate_alerted, taken, size, Ratio::ONE, WARN_PERCENT) {
            let alert = self.count_alert(id, AlertKind::OrderRateNearLimit, taken, size);
            out.push(Event::Alert(alert));
        }
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
            unrealised: self.marks_of(account).unrealised,
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
}
