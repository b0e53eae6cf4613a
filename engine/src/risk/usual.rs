//! The risk pass of the usual order in a few comparisons of integers.
//!
//! It answers either "every check passes, without a warning" or "cannot tell", and never "fails": whatever it cannot
//! tell goes through the checks one by one, which are the rule. In builds with debug assertions each of its answers is
//! compared with theirs.

use super::Plan;
use crate::account::Account;
use crate::command::NewOrder;
use crate::engine::Engine;
use crate::instrument::Instrument;
use crate::limits::{ORDER_VALUE_CAP, POSITION_QUANTITY_MAX};
use crate::order::Order;
use crate::position::Position;
use crate::risk_limits::RiskLimits;
use crate::terms::{OrderType, Product, SelfTrade, Side, TimeInForce};
use crate::units::{Money, Price, Quantity, Ratio, Timestamp};

/// As much further from the last price draws a warning: 3 %.
const COLLAR_PPM: u64 = 30_000;
const MILLION: u64 = 1_000_000;

/// What the usual order is: an intraday limit for the day or for now, with nothing else to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) side: Side,
    pub(crate) limit: Price,
    pub(crate) quantity: Quantity,
}

impl Ask {
    /// `None` where an order is more than that.
    #[inline(always)]
    pub(crate) fn of(order: &NewOrder) -> Option<Ask> {
        let OrderType::Limit(limit) = order.order_type else {
            return None;
        };
        let plain = matches!(order.time_in_force, TimeInForce::Day | TimeInForce::Ioc)
            & (order.product == Product::Mis)
            & !order.post_only
            & order.disclosed.is_none()
            & order.minimum.is_none()
            & order.stop_loss.is_none()
            & order.take_profit.is_none();
        plain.then_some(Ask {
            side: order.side,
            limit,
            quantity: order.quantity,
        })
    }

    /// As [`Ask::of`], for what an open order is modified into: `leaves` at `order_type`.
    #[inline(always)]
    pub(crate) fn after(order: &Order, order_type: OrderType, leaves: u32) -> Option<Ask> {
        let OrderType::Limit(limit) = order_type else {
            return None;
        };
        let plain = matches!(order.time_in_force, TimeInForce::Day | TimeInForce::Ioc)
            & (order.product == Product::Mis)
            & !order.post_only
            & order.stop_loss.is_none()
            & order.take_profit.is_none();
        plain.then_some(Ask {
            side: order.side,
            limit,
            quantity: Quantity::clamped(i64::from(leaves)),
        })
    }
}

/// What the account of an order has to do with it.
#[derive(Clone, Copy)]
pub(crate) struct Ground<'a> {
    /// Where the account's profit is worked out, should it be needed.
    pub(crate) engine: &'a Engine,
    pub(crate) account: &'a Account,
    pub(crate) instrument: &'a Instrument,
    /// `None` where the key has never been used.
    pub(crate) position: Option<&'a Position>,
    pub(crate) now: Timestamp,
}

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

/// An account's limits as the hot paths compare them, in one cache line: a limit that is off is one that nothing exceeds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bounds {
    order_value: i64,
    open_value: i64,
    sanity_ppm: u32,
    pub(crate) leverage: u32,
    /// Of the balance, the peak and the balance; [`NO_LOSS_LIMIT`] where there is none.
    daily_loss_ppm: u32,
    drawdown_ppm: u32,
    position_loss_ppm: u32,
    order_quantity: u32,
    positions: u32,
    pub(crate) modifications: u32,
    /// No limit is on that the short way does not know.
    knows_all: bool,
    checks_sanity: bool,
    pub(crate) checks_funds: bool,
    /// Orders that look alike are counted, or fills of a minute, or messages against fills.
    pub(crate) counts_bursts: bool,
    pub(crate) counts_executions: bool,
    pub(crate) counts_messages: bool,
    pub(crate) self_trade: SelfTrade,
}

impl Bounds {
    pub(crate) fn new(limits: &RiskLimits) -> Bounds {
        let unknown = limits.stop_loss_required
            || limits.orders_per_position_max.is_some()
            || limits.duplicate_burst_max.is_some()
            || limits.repeated_executions_max.is_some()
            || limits.reference_age_ms_max.is_some()
            || limits.gross_exposure_max.is_some()
            || limits.net_exposure_max.is_some()
            || limits.daily_orders_max.is_some()
            || limits.symbol_position_max.is_some();
        let order_value = limits
            .order_value_max
            .unwrap_or(ORDER_VALUE_CAP)
            .min(ORDER_VALUE_CAP);
        Bounds {
            knows_all: !unknown,
            order_quantity: limits.order_quantity_max.unwrap_or(u32::MAX),
            positions: limits.positions_max.unwrap_or(u32::MAX),
            order_value: order_value.paise(),
            open_value: limits.open_order_value_max.map_or(i64::MAX, Money::paise),
            checks_sanity: limits.price_sanity_max.is_some(),
            sanity_ppm: limits.price_sanity_max.map_or(0, Ratio::ppm),
            leverage: limits.mis_leverage.max(1),
            daily_loss_ppm: loss_ppm(limits.daily_loss_max),
            drawdown_ppm: loss_ppm(limits.drawdown_max),
            position_loss_ppm: loss_ppm(limits.position_loss_max),
            modifications: limits.modifications_max.unwrap_or(u32::MAX),
            checks_funds: limits.balance_check,
            counts_bursts: limits.duplicate_burst_max.is_some(),
            counts_executions: limits.repeated_executions_max.is_some(),
            counts_messages: limits.order_to_trade_alert.is_some(),
            self_trade: limits.self_trade,
        }
    }

    #[inline(always)]
    pub(crate) fn leverage(&self) -> i64 {
        i64::from(self.leverage)
    }

    #[inline(always)]
    pub(crate) fn daily_loss(&self) -> Option<Ratio> {
        loss_limit(self.daily_loss_ppm)
    }

    #[inline(always)]
    pub(crate) fn drawdown(&self) -> Option<Ratio> {
        loss_limit(self.drawdown_ppm)
    }

    #[inline(always)]
    pub(crate) fn position_loss(&self) -> Option<Ratio> {
        loss_limit(self.position_loss_ppm)
    }
}

/// No limit on a loss: nobody loses 4,294 times of what there was.
const NO_LOSS_LIMIT: u32 = u32::MAX;

fn loss_ppm(limit: Option<Ratio>) -> u32 {
    limit.map_or(NO_LOSS_LIMIT, Ratio::ppm)
}

#[inline(always)]
fn loss_limit(ppm: u32) -> Option<Ratio> {
    (ppm != NO_LOSS_LIMIT).then(|| Ratio::from_ppm(ppm))
}

/// The plan of an order that passes every check without a warning; `None` where that takes a closer look. The caller
/// has seen that the states of engine, account and strategy are normal and that the market takes intraday entries.
#[inline(always)]
pub(crate) fn plan(ask: &Ask, ground: &Ground<'_>, released: &Released) -> Option<Plan> {
    let (account, instrument) = (ground.account, ground.instrument);
    let bounds = &account.bounds;
    let last = instrument.last_price?;
    let tick = instrument.sides.domain().tick_of(ask.limit)?;
    let shares = i64::from(ask.quantity.shares());
    let fits = instrument.is_plain
        & !account.venue
        & (shares > 0)
        & (ask.quantity <= instrument.definition.freeze_quantity)
        & !is_far(ask, last);
    let (held, open, exits) = match ground.position {
        Some(position) => {
            let open = match ask.side {
                Side::Buy => position.open_buy,
                Side::Sell => position.open_sell,
            };
            // What is open on a side stays below orders × largest quantity, 2^57, and what is held below 2^31.
            (
                position.quantity.wrapping_mul(ask.side.sign()),
                open.wrapping_sub(released.open),
                position.exits.wrapping_sub(released.exits),
            )
        }
        None => (0, 0, 0),
    };
    let worst = held.wrapping_add(open).wrapping_add(shares);
    if !fits | (worst.wrapping_abs() > POSITION_QUANTITY_MAX) {
        return None;
    }
    let closable = held
        .wrapping_neg()
        .max(0)
        .wrapping_sub(exits.min(held.wrapping_neg().max(0)));
    let exit = closable.min(shares);
    let entry = shares.wrapping_sub(exit);
    if entry > 0 {
        let value = ask.limit.notional(Quantity::clamped(entry)).paise();
        let working = account
            .entry_value
            .total()
            .checked_sub(released.entry_value)?
            .checked_add(value)?;
        let passes = bounds.knows_all
            & (ask.quantity.shares() <= bounds.order_quantity)
            & (value <= bounds.order_value)
            & (working <= bounds.open_value)
            & (!bounds.checks_sanity | is_sane(ask.limit, last, bounds.sanity_ppm))
            & has_place(account, held)
            & account.pace.has_token(account.rate_horizon, ground.now);
        let ample = account.has_ample_room_for(value.wrapping_sub(released.entry_value));
        if !(passes && (ample || has_not_lost(ground)? && has_funds(ground, value, released)?)) {
            return None;
        }
    }
    Some(Plan {
        limit: ask.limit,
        tick: Some(tick),
        exit_quantity: ask
            .quantity
            .shares()
            .wrapping_sub(Quantity::clamped(entry).shares()),
        stop_loss: None,
        take_profit: None,
        cause: None,
    })
}

/// The collar's warning.
#[inline(always)]
fn is_far(ask: &Ask, last: Price) -> bool {
    let (limit, last) = (u64::from(ask.limit.paise()), u64::from(last.paise()));
    let adverse = match ask.side {
        Side::Buy => limit.saturating_sub(last),
        Side::Sell => last.saturating_sub(limit),
    };
    adverse.wrapping_mul(MILLION) > last.wrapping_mul(COLLAR_PPM)
}

/// Check 7, price sanity.
#[inline(always)]
fn is_sane(limit: Price, last: Price, ppm: u32) -> bool {
    let (limit, last) = (u64::from(limit.paise()), u64::from(last.paise()));
    limit.abs_diff(last).wrapping_mul(MILLION) <= last.wrapping_mul(u64::from(ppm))
}

/// Check 2: an order that may open a position finds room for one more.
#[inline(always)]
fn has_place(account: &Account, held: i64) -> bool {
    let count = account.open_positions.wrapping_add(account.pending_positions);
    (held != 0) | (count < account.bounds.positions) | (account.bounds.positions == u32::MAX)
}

/// Check 1, funds; `None` on numbers out of the ordinary.
#[inline(never)]
fn has_funds(ground: &Ground<'_>, value: i64, released: &Released) -> Option<bool> {
    let account = ground.account;
    if !account.bounds.checks_funds {
        return Some(true);
    }
    let leverage = account.bounds.leverage();
    let delivery = account.position_cost.cnc.checked_add(account.entry_value.cnc)?;
    let intraday = account
        .position_cost
        .mis
        .checked_add(account.entry_value.mis)?
        .checked_sub(released.entry_value)?;
    let free = account
        .funds(ground.engine.least_unrealised(account))
        .paise()
        .checked_sub(delivery)?
        .checked_mul(leverage)?;
    Some(value <= free.checked_sub(intraday)?)
}

/// Check 4, the day's loss: whoever has not lost anything has not lost too much.
#[inline(never)]
fn has_not_lost(ground: &Ground<'_>) -> Option<bool> {
    let account = ground.account;
    let limit = account.bounds.daily_loss_ppm;
    let pnl = account
        .counted_pnl(ground.engine.least_unrealised(account))
        .paise();
    let balance = account.balance.paise();
    if (limit == NO_LOSS_LIMIT) | ((pnl >= 0) & (balance >= 0)) {
        return Some(true);
    }
    let allowed = balance.checked_mul(i64::from(limit))?;
    Some(pnl.checked_neg()?.checked_mul(1_000_000)? <= allowed)
}
