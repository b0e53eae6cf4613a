//! The risk pass of the usual order in a few comparisons of integers.
//!
//! It answers either "every check passes, without a warning" or "cannot tell", and never "fails": whatever it cannot
//! tell goes through the checks one by one, which are the rule. In builds with debug assertions each of its answers is
//! compared with theirs.

use super::{MILLION, Plan, Subject};
use crate::account::Account;
use crate::limits::{ORDER_VALUE_CAP, POSITION_QUANTITY_MAX};
use crate::terms::{OrderType, Product, Side, TradingState};
use crate::units::{Price, Quantity};

/// As much further from the last price draws a warning: 3 %.
const COLLAR_PPM: u64 = 30_000;
const MILLIONTHS: u64 = 1_000_000;

/// What an open order holds that is about to be modified: the checks see the state without it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Released {
    /// Limit × entry quantity.
    pub(crate) entry_value: i64,
    /// Open quantity.
    pub(crate) open: i64,
    /// The part of it that reduces the position.
    pub(crate) exits: i64,
}

/// The plan of an order that passes every check without a warning; `None` where that takes a closer look.
#[inline]
pub(crate) fn plan(subject: &Subject<'_>, released: &Released) -> Option<Plan> {
    let (order, account, instrument) = (subject.order, subject.account, subject.instrument);
    let OrderType::Limit(limit) = order.order_type else {
        return None;
    };
    let last = instrument.last_price?;
    let definition = &instrument.definition;
    let limits = &account.limits;
    let quantity = order.quantity;
    let plain = subject.state == TradingState::Normal
        && !subject.gate.is_scheduled
        && !account.venue
        && order.stop_loss.is_none()
        && order.take_profit.is_none()
        && order.product == Product::Mis
        && definition.mis_allowed
        && !definition.banned
        && definition.lot_size.shares() == 1
        && !quantity.is_zero()
        && quantity <= definition.freeze_quantity;
    let tick = instrument.sides.domain().tick_of(limit)?;
    if !plain {
        return None;
    }
    let (held, open, exits) = match subject.position {
        Some(position) => {
            let open = match order.side {
                Side::Buy => position.open_buy,
                Side::Sell => position.open_sell,
            };
            (position.quantity, open, position.exits)
        }
        None => (0, 0, 0),
    };
    let shares = i64::from(quantity.shares());
    let sign = order.side.sign();
    let worst = held
        .checked_mul(sign)?
        .checked_add(open)?
        .checked_sub(released.open)?
        .checked_add(shares)?;
    if worst.checked_abs()? > POSITION_QUANTITY_MAX {
        return None;
    }
    let closable = if held.signum() == sign.wrapping_neg() {
        held.checked_abs()?
            .checked_sub(exits)?
            .checked_add(released.exits)?
            .max(0)
    } else {
        0
    };
    let exit = closable.min(shares);
    let entry = Quantity::clamped(shares.wrapping_sub(exit));
    let plan = Plan {
        limit,
        tick: Some(tick),
        exit_quantity: quantity.shares().wrapping_sub(entry.shares()),
        stop_loss: None,
        take_profit: None,
        cause: None,
    };
    if entry.is_zero() {
        return Some(plan);
    }
    let off = limits.stop_loss_required
        || limits.orders_per_position_max.is_some()
        || limits.duplicate_burst_max.is_some()
        || limits.repeated_executions_max.is_some()
        || limits.reference_age_ms_max.is_some()
        || limits.gross_exposure_max.is_some()
        || limits.net_exposure_max.is_some()
        || limits.daily_orders_max.is_some()
        || limits.symbol_position_max.is_some();
    let value = limit.notional(entry).paise();
    let passes = !off
        && limits
            .order_quantity_max
            .is_none_or(|most| quantity.shares() <= most)
        && value <= limits.order_value_max.unwrap_or(ORDER_VALUE_CAP).paise()
        && value <= ORDER_VALUE_CAP.paise()
        && near_enough(
            limit,
            last,
            order.side,
            limits.price_sanity_max.map(|share| share.ppm()),
        )
        && has_place(account, held)
        && has_funds(subject, value, released)?
        && has_not_lost(subject)?
        && account.pace.has_token(account.rate_horizon, subject.now);
    passes.then_some(plan)
}

/// Checks 7 (price sanity) and the collar's warning.
#[inline(always)]
fn near_enough(limit: Price, last: Price, side: Side, sanity: Option<u32>) -> bool {
    let (limit, last) = (u64::from(limit.paise()), u64::from(last.paise()));
    let distance = limit.abs_diff(last).wrapping_mul(MILLIONTHS);
    let adverse = match side {
        Side::Buy => limit > last,
        Side::Sell => limit < last,
    };
    sanity.is_none_or(|ppm| distance <= last.wrapping_mul(u64::from(ppm)))
        && !(adverse && distance > last.wrapping_mul(COLLAR_PPM))
}

/// Check 2: an order that may open a position finds room for one more.
#[inline(always)]
fn has_place(account: &Account, held: i64) -> bool {
    let count = account.open_positions.saturating_add(account.pending_positions);
    held != 0 || account.limits.positions_max.is_none_or(|most| count < most)
}

/// Check 1 (funds) and the value of all open entries together; `None` on numbers out of the ordinary.
#[inline(always)]
fn has_funds(subject: &Subject<'_>, value: i64, released: &Released) -> Option<bool> {
    let (account, limits) = (subject.account, &subject.account.limits);
    let working = account
        .entry_value
        .total()
        .checked_sub(released.entry_value)?
        .checked_add(value)?;
    if limits
        .open_order_value_max
        .is_some_and(|most| working > most.paise())
    {
        return Some(false);
    }
    if !limits.balance_check {
        return Some(true);
    }
    let leverage = i64::from(limits.mis_leverage.max(1));
    let funds = account
        .funds(subject.marks.unrealised)
        .paise()
        .checked_mul(leverage)?;
    let delivery = account
        .position_cost
        .cnc
        .checked_add(account.entry_value.cnc)?
        .checked_mul(leverage)?;
    let held = account
        .position_cost
        .mis
        .checked_add(account.entry_value.mis)?
        .checked_sub(released.entry_value)?
        .checked_add(delivery)?;
    Some(value <= funds.checked_sub(held)?)
}

/// Check 4: the day's loss.
#[inline(always)]
fn has_not_lost(subject: &Subject<'_>) -> Option<bool> {
    let account = subject.account;
    let Some(limit) = account.limits.daily_loss_max else {
        return Some(true);
    };
    let loss = account.counted_pnl(subject.marks.unrealised).negated().paise();
    let allowed = account.balance.paise().checked_mul(i64::from(limit.ppm()))?;
    Some(loss.checked_mul(MILLION_NARROW)? <= allowed)
}

const MILLION_NARROW: i64 = 1_000_000;
const _: () = assert!(MILLION == 1_000_000);
