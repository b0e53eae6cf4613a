//! Layer B: what a pre-trade engine checks besides (RISK.md), in the order of its table. An exit faces session, tick,
//! lot, band, freeze and holdings only.

use super::check::Check;
use super::{Bucket, MILLION, NS_PER_MS, NS_PER_SECOND, Split, is_fresh, reference_age_ns};
use crate::lane::Warnings;
use crate::limits::{ORDER_VALUE_CAP, POSITION_QUANTITY_MAX};
use crate::rejection::{RejectCode, Rejection};
use crate::terms::{OrderType, Product, Side};
use crate::units::{Price, Ratio};

/// A limit this much worse than the last price draws a warning: 3 %.
const COLLAR: Ratio = Ratio::from_ppm(30_000);
/// Identical orders are counted over this long.
const BURST_WINDOW_NS: u64 = NS_PER_SECOND;

/// The checks in their order.
pub(super) const CHECKS: [fn(&Split<'_>) -> Check; 19] = [
    banned,
    restricted,
    session,
    tick_size,
    lot_size,
    price_band,
    market_protection,
    stale_reference,
    order_value,
    freeze_quantity,
    open_order_value,
    gross_exposure,
    net_exposure,
    symbol_position,
    holdings,
    order_rate,
    daily_orders,
    duplicate_burst,
    repeated_execution,
];

/// The first failure.
#[inline]
pub(super) fn verdict(split: &Split<'_>, warnings: &mut Warnings) -> Result<(), Rejection> {
    banned(split).verdict()?;
    restricted(split).verdict()?;
    session(split).verdict()?;
    tick_size(split).verdict()?;
    lot_size(split).verdict()?;
    price_band(split).verdict()?;
    price_collar(split, warnings);
    market_protection(split).verdict()?;
    stale_reference(split).verdict()?;
    order_value(split).verdict()?;
    freeze_quantity(split).verdict()?;
    open_order_value(split).verdict()?;
    gross_exposure(split).verdict()?;
    net_exposure(split).verdict()?;
    symbol_position(split).verdict()?;
    holdings(split).verdict()?;
    order_rate(split).verdict()?;
    daily_orders(split).verdict()?;
    duplicate_burst(split).verdict()?;
    repeated_execution(split).verdict()
}

/// What even a venue account faces: the exchange's session, grid and band, and capacity.
#[inline]
pub(super) fn venue_verdict(split: &Split<'_>) -> Result<(), Rejection> {
    session(split).verdict()?;
    tick_size(split).verdict()?;
    lot_size(split).verdict()?;
    price_band(split).verdict()?;
    symbol_position(split).verdict()
}

/// `restricted`: nobody may open a position in a banned instrument.
#[inline(always)]
fn banned(split: &Split<'_>) -> Check {
    if !split.is_entry() {
        return Check::NotApplicable(RejectCode::Banned);
    }
    let failed = split.subject.instrument.definition.banned;
    Check::of(failed, Rejection::bare(RejectCode::Banned))
}

/// `restricted`: not every instrument may be traded on margin.
#[inline(always)]
fn restricted(split: &Split<'_>) -> Check {
    if split.subject.order.product != Product::Mis || !split.is_entry() {
        return Check::NotApplicable(RejectCode::MisNotAllowed);
    }
    Check::of(
        !split.subject.instrument.definition.mis_allowed,
        Rejection::bare(RejectCode::MisNotAllowed),
    )
}

/// `session`: orders enter in continuous trading only, and after the square-off of a day no intraday position is
/// opened. Venue accounts carry nothing over and square off nothing.
#[inline(always)]
fn session(split: &Split<'_>) -> Check {
    let subject = split.subject;
    if !subject.gate.is_scheduled {
        return Check::NotApplicable(RejectCode::Session);
    }
    let intraday = subject.order.product == Product::Mis && split.is_entry() && !subject.account.venue;
    match subject.gate.refuses(intraday) {
        Some(rejection) => Check::of(true, rejection),
        None => Check::of(false, subject.gate.measured()),
    }
}

/// `market_protection`: a market entry, also one behind a trigger, needs a last price that is not too old.
#[inline(always)]
fn market_protection(split: &Split<'_>) -> Check {
    let is_protected = matches!(
        split.subject.order.order_type,
        OrderType::Market | OrderType::StopMarket { .. }
    );
    if !is_protected {
        return Check::NotApplicable(RejectCode::StaleProtection);
    }
    reference_age(split, RejectCode::StaleProtection)
}

/// `stale_reference`: an entry is checked against the last price, so that may not be too old.
#[inline(always)]
fn stale_reference(split: &Split<'_>) -> Check {
    reference_age(split, RejectCode::StaleReference)
}

#[inline(always)]
fn reference_age(split: &Split<'_>, code: RejectCode) -> Check {
    let (limits, instrument) = (split.subject.limits, split.subject.instrument);
    let (Some(limit), true) = (limits.reference_age_ms_max, split.is_entry()) else {
        return Check::NotApplicable(code);
    };
    let now = split.subject.now;
    let age_ms = reference_age_ns(instrument, now).div_ceil(NS_PER_MS);
    let rejection = Rejection {
        basis: instrument.last_price.map_or(0, |price| i64::from(price.paise())),
        ..Rejection::new(code, i64::try_from(age_ms).unwrap_or(i64::MAX), i64::from(limit))
    };
    Check::of(!is_fresh(limits, instrument, now), rejection)
}

#[inline(always)]
fn tick_size(split: &Split<'_>) -> Check {
    let instrument = split.subject.instrument;
    let domain = instrument.sides.domain();
    let off_grid = !domain.on_tick(split.limit);
    let trigger = trigger_price(split).filter(|&trigger| !off_grid && !domain.on_tick(trigger));
    let paise = trigger.unwrap_or(split.limit).paise();
    let tick = instrument.definition.tick_size.paise();
    let rejection = Rejection::new(RejectCode::TickSize, i64::from(paise), i64::from(tick));
    Check::of(off_grid || trigger.is_some(), rejection)
}

/// The trigger of a stop order; it stands on the tick grid and inside the band like the limit.
#[inline(always)]
fn trigger_price(split: &Split<'_>) -> Option<Price> {
    split.subject.order.order_type.trigger()
}

#[inline(always)]
fn lot_size(split: &Split<'_>) -> Check {
    let quantity = split.total;
    let lot = split.subject.instrument.definition.lot_size.shares();
    let rejection = Rejection::new(RejectCode::LotSize, i64::from(quantity), i64::from(lot));
    Check::of(lot != 1 && quantity.checked_rem(lot) != Some(0), rejection)
}

#[inline(always)]
fn price_band(split: &Split<'_>) -> Check {
    let domain = split.subject.instrument.sides.domain();
    let (low, high) = (i64::from(domain.low().paise()), i64::from(domain.high().paise()));
    let outside = |paise: i64| paise < low || paise > high;
    let limit = i64::from(split.limit.paise());
    let trigger = trigger_price(split).map(|trigger| i64::from(trigger.paise()));
    let trigger = trigger.filter(|&trigger| !outside(limit) && outside(trigger));
    let paise = trigger.unwrap_or(limit);
    let rejection = Rejection {
        basis: high,
        ..Rejection::new(RejectCode::PriceBand, paise, low)
    };
    Check::of(outside(paise), rejection)
}

/// `price_collar`: a warning where the limit is far on the losing side of the last price.
#[inline(always)]
fn price_collar(split: &Split<'_>, warnings: &mut Warnings) {
    let Some(last) = split.subject.instrument.last_price else {
        return;
    };
    let adverse = match split.subject.order.side {
        Side::Buy => split.limit > last,
        Side::Sell => split.limit < last,
    };
    let distance = split.limit.distance(last).wide().wrapping_mul(MILLION);
    if adverse && distance > COLLAR.of(last.money()) {
        *warnings = warnings.with(Warnings::PRICE_COLLAR);
    }
}

/// Notional of one order: the profile's limit, of an increase for what it adds, under the exchange's cap of ₹10 crore for all
/// of the order that is no exit.
#[inline(always)]
fn order_value(split: &Split<'_>) -> Check {
    if !split.is_entry() {
        return Check::NotApplicable(RejectCode::OrderValue);
    }
    let (added, whole) = (
        split.value(split.added_entry),
        split.value(split.total.saturating_sub(split.exit)),
    );
    let own = split.subject.limits.order_value_max;
    let own = own.filter(|&own| own < ORDER_VALUE_CAP && (added > own || whole <= ORDER_VALUE_CAP));
    let (value, limit) = own.map_or((whole, ORDER_VALUE_CAP), |own| (added, own));
    Check::of(
        value > limit,
        Rejection::new(RejectCode::OrderValue, value.paise(), limit.paise()),
    )
}

#[inline(always)]
fn freeze_quantity(split: &Split<'_>) -> Check {
    let limit = split.subject.instrument.definition.freeze_quantity.shares();
    let rejection = Rejection::new(
        RejectCode::FreezeQuantity,
        i64::from(split.total),
        i64::from(limit),
    );
    Check::of(split.total > limit, rejection)
}

/// Notional of all open entries together with this one.
#[inline(always)]
fn open_order_value(split: &Split<'_>) -> Check {
    let account = split.subject.account;
    let (Some(limit), true) = (split.subject.limits.open_order_value_max, split.is_entry()) else {
        return Check::NotApplicable(RejectCode::OpenOrderValue);
    };
    let open = account
        .entry_value
        .total()
        .saturating_add(split.entry_value().paise());
    Check::of(
        open > limit.paise(),
        Rejection::new(RejectCode::OpenOrderValue, open, limit.paise()),
    )
}

/// Σ |position × mark| + open entries + this one, against a multiple of the balance.
#[inline(always)]
fn gross_exposure(split: &Split<'_>) -> Check {
    let account = split.subject.account;
    let (Some(limit), true) = (split.subject.limits.gross_exposure_max, split.is_entry()) else {
        return Check::NotApplicable(RejectCode::GrossExposure);
    };
    let working = account
        .entry_value
        .total()
        .saturating_add(split.entry_value().paise());
    exposure(
        split,
        RejectCode::GrossExposure,
        split.subject.marks.gross.paise().saturating_add(working),
        limit,
    )
}

/// |Σ position × mark| with this order + open entries, whichever way they go, against a multiple of the balance.
#[inline(always)]
fn net_exposure(split: &Split<'_>) -> Check {
    let (Some(limit), true) = (split.subject.limits.net_exposure_max, split.is_entry()) else {
        return Check::NotApplicable(RejectCode::NetExposure);
    };
    let signed = split
        .entry_value()
        .paise()
        .saturating_mul(split.subject.order.side.sign());
    let net = split
        .subject
        .marks
        .net
        .paise()
        .saturating_add(signed)
        .saturating_abs()
        .saturating_add(split.subject.account.entry_value.total());
    exposure(split, RejectCode::NetExposure, net, limit)
}

#[inline(always)]
fn exposure(split: &Split<'_>, code: RejectCode, observed: i64, limit: Ratio) -> Check {
    let balance = split.subject.account.balance;
    let rejection = Rejection {
        basis: balance.paise(),
        ratio: limit,
        ..Rejection::new(code, observed, limit.of_floor(balance).paise())
    };
    Check::of(
        i128::from(observed).wrapping_mul(MILLION) > limit.of(balance),
        rejection,
    )
}

/// The worst case |position + open orders of the side + this one|: the profile's limit for entries, and for everyone
/// what a position's exact cost can represent.
#[inline(always)]
fn symbol_position(split: &Split<'_>) -> Check {
    let quantity = i64::from(split.subject.order.quantity.shares());
    let side = split.subject.order.side;
    let worst = split
        .subject
        .position
        .map_or(quantity, |position| position.worst_case(side, quantity));
    let own = split
        .subject
        .limits
        .symbol_position_max
        .filter(|_| split.is_entry() && !split.subject.account.venue);
    let limit = own.map_or(POSITION_QUANTITY_MAX, |limit| {
        i64::from(limit).min(POSITION_QUANTITY_MAX)
    });
    Check::of(
        worst > limit,
        Rejection::new(RejectCode::SymbolPosition, worst, limit),
    )
}

/// A delivery sell may only sell what is held and not yet on sale.
#[inline(always)]
fn holdings(split: &Split<'_>) -> Check {
    let order = split.subject.order;
    if order.product != Product::Cnc || order.side != Side::Sell {
        return Check::NotApplicable(RejectCode::Holdings);
    }
    let rejection = Rejection::new(
        RejectCode::Holdings,
        i64::from(order.quantity.shares()),
        i64::from(split.exit),
    );
    Check::of(split.is_entry(), rejection)
}

/// The bucket of the account's order rate, and that of its strategy, where there are any.
#[inline(always)]
fn order_rate(split: &Split<'_>) -> Check {
    let subject = split.subject;
    let of_account = Bucket::of(subject.account);
    if !split.is_entry() || (of_account.is_none() && subject.bucket.is_none()) {
        return Check::NotApplicable(RejectCode::OrderRate);
    }
    let refuses = |bucket: &Bucket| bucket.is_empty(subject.now);
    let empty = of_account.filter(refuses).or(subject.bucket.filter(refuses));
    let Some(shown) = empty.or(subject.bucket).or(of_account) else {
        return Check::NotApplicable(RejectCode::OrderRate);
    };
    let taken = shown.taken(subject.now).saturating_add(1);
    let rejection = Rejection::new(RejectCode::OrderRate, taken, i64::from(shown.rate));
    Check::of(empty.is_some(), rejection)
}

/// Orders of the day; a modification is none.
#[inline(always)]
fn daily_orders(split: &Split<'_>) -> Check {
    let account = split.subject.account;
    let limit = split
        .subject
        .limits
        .daily_orders_max
        .filter(|_| split.subject.revises.is_none() && split.is_entry());
    let Some(limit) = limit else {
        return Check::NotApplicable(RejectCode::DailyOrders);
    };
    let orders = account.orders_today.saturating_add(1);
    Check::of(
        orders > limit,
        Rejection::new(RejectCode::DailyOrders, i64::from(orders), i64::from(limit)),
    )
}

/// The n-th identical order (instrument, side, quantity, price) within a second.
#[inline(always)]
fn duplicate_burst(split: &Split<'_>) -> Check {
    let account = split.subject.account;
    let limit = split
        .subject
        .limits
        .duplicate_burst_max
        .filter(|_| split.subject.revises.is_none() && split.is_entry());
    let Some(limit) = limit else {
        return Check::NotApplicable(RejectCode::DuplicateBurst);
    };
    let (likeness, now) = (split.likeness(), split.subject.now);
    let recent = |&&(earlier, at): &&_| earlier == likeness && now.saturating_since(at) < BURST_WINDOW_NS;
    let count = account.recent_orders.iter().filter(recent).count();
    let count = i64::try_from(count).unwrap_or(i64::MAX).saturating_add(1);
    let rejection = Rejection::new(
        RejectCode::DuplicateBurst,
        count,
        i64::from(limit).saturating_sub(1),
    );
    Check::of(count >= i64::from(limit), rejection)
}

/// A strategy whose fills of this side came too fast stays stopped on that side until it is re-armed.
#[inline(always)]
fn repeated_execution(split: &Split<'_>) -> Check {
    let (Some(limit), true) = (split.subject.limits.repeated_executions_max, split.is_entry()) else {
        return Check::NotApplicable(RejectCode::RepeatedExecution);
    };
    let count = split.subject.executions;
    let rejection = Rejection::new(RejectCode::RepeatedExecution, i64::from(count), i64::from(limit));
    Check::of(count > limit, rejection)
}
