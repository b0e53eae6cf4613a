//! Layer A: the ten checks of the dashboard's contract (CONTRACT.md section 4, RISK.md). All comparisons are strict:
//! exactly at the limit passes.

use super::check::Check;
use super::{MILLION, Split};
use crate::lane::Warnings;
use crate::position::Standing;
use crate::rejection::{RejectCode, Rejection};
use crate::terms::{Product, Side, TradingState};
use crate::units::Money;

/// The checks in their order. Those marked ✱ in RISK.md do not apply to exits.
pub(super) const CHECKS: [fn(&Split<'_>) -> Check; 10] = [
    balance_check,
    position_limit,
    risk_per_trade,
    daily_loss_limit,
    stop_loss_required,
    risk_reward_ratio,
    price_sanity,
    quantity_limits,
    order_to_position_ratio,
    circuit_breaker,
];

/// The first failure.
#[inline]
pub(super) fn verdict(split: &Split<'_>, warnings: &mut Warnings) -> Result<(), Rejection> {
    balance_check(split).verdict()?;
    position_limit(split).verdict()?;
    risk_per_trade(split).verdict()?;
    daily_loss_limit(split).verdict()?;
    stop_loss_required(split).verdict()?;
    risk_reward_ratio(split).verdict()?;
    let applies = split.is_entry() && split.subject.limits.price_sanity_max.is_some();
    if applies && split.subject.instrument.last_price.is_none() {
        *warnings = warnings.with(Warnings::NO_LAST_PRICE);
    }
    price_sanity(split).verdict()?;
    quantity_limits(split).verdict()?;
    order_to_position_ratio(split).verdict()?;
    circuit_breaker(split).verdict()
}

/// 1. Required margin against available funds, both multiplied by the leverage so that nothing is rounded.
#[inline(always)]
fn balance_check(split: &Split<'_>) -> Check {
    let account = split.subject.account;
    if !account.limits.balance_check || !split.is_entry() {
        return Check::NotApplicable(RejectCode::InsufficientBalance);
    }
    let leverage = i128::from(split.subject.limits.mis_leverage.max(1));
    let required = match split.subject.order.product {
        Product::Mis => split.entry_value().wide(),
        Product::Cnc => split.entry_value().wide().wrapping_mul(leverage),
    };
    let available = account.available_leveraged(split.subject.marks.unrealised);
    let required_paise = required
        .wrapping_add(leverage)
        .wrapping_sub(1)
        .div_euclid(leverage);
    let rejection = Rejection::new(
        RejectCode::InsufficientBalance,
        Money::from_wide(required_paise).paise(),
        Money::from_wide(available.div_euclid(leverage)).paise(),
    );
    Check::of(required > available, rejection)
}

/// 2. A new position beyond the limit; flat keys with entries working count.
#[inline(always)]
fn position_limit(split: &Split<'_>) -> Check {
    let account = split.subject.account;
    let opens = split
        .subject
        .position
        .is_none_or(|position| position.standing == Standing::Flat);
    let (Some(limit), true) = (split.subject.limits.positions_max, split.is_entry() && opens) else {
        return Check::NotApplicable(RejectCode::PositionLimit);
    };
    let count = account.open_positions.saturating_add(account.pending_positions);
    Check::of(
        count >= limit,
        Rejection::new(RejectCode::PositionLimit, i64::from(count), i64::from(limit)),
    )
}

/// 3. |price − stop| × quantity (of an increase, what it adds) against a share of the balance.
#[inline(always)]
fn risk_per_trade(split: &Split<'_>) -> Check {
    let account = split.subject.account;
    let (Some(limit), Some(stop), true) = (
        split.subject.limits.risk_per_trade_max,
        split.stop_loss,
        split.is_entry(),
    ) else {
        return Check::NotApplicable(RejectCode::RiskPerTrade);
    };
    let risk = split
        .limit
        .distance(stop)
        .wide()
        .wrapping_mul(i128::from(split.added_entry));
    let (observed, allowed) = (Money::from_wide(risk), limit.of_floor(account.balance));
    let rejection = Rejection {
        basis: account.balance.paise(),
        ratio: limit,
        ..Rejection::new(RejectCode::RiskPerTrade, observed.paise(), allowed.paise())
    };
    Check::of(risk.wrapping_mul(MILLION) > limit.of(account.balance), rejection)
}

/// 4. Today's P&L, less the loss base, against a share of the balance.
#[inline(always)]
fn daily_loss_limit(split: &Split<'_>) -> Check {
    let account = split.subject.account;
    let (Some(limit), true) = (split.subject.limits.daily_loss_max, split.is_entry()) else {
        return Check::NotApplicable(RejectCode::DailyLossLimit);
    };
    let loss = account.counted_pnl(split.subject.marks.unrealised).negated();
    let allowed = limit.of_floor(account.balance);
    let rejection = Rejection {
        basis: account.balance.paise(),
        ratio: limit,
        ..Rejection::new(RejectCode::DailyLossLimit, loss.paise(), allowed.paise())
    };
    Check::of(
        loss.wide().wrapping_mul(MILLION) > limit.of(account.balance),
        rejection,
    )
}

/// 5. An entry needs a stop-loss on the losing side of its price; an exit may leave it out.
#[inline(always)]
fn stop_loss_required(split: &Split<'_>) -> Check {
    let missing = Rejection::bare(RejectCode::StopLossMissing);
    if !split.subject.limits.stop_loss_required {
        return Check::NotApplicable(missing.code);
    }
    let Some(stop) = split.stop_loss else {
        return if split.is_entry() {
            Check::of(true, missing)
        } else {
            Check::NotApplicable(missing.code)
        };
    };
    let (wrong, code) = match split.subject.order.side {
        Side::Buy => (stop >= split.limit, RejectCode::StopLossNotBelowEntry),
        Side::Sell => (stop <= split.limit, RejectCode::StopLossNotAboveEntry),
    };
    Check::of(
        wrong,
        Rejection::new(code, i64::from(stop.paise()), i64::from(split.limit.paise())),
    )
}

/// 6. |target − price| ÷ |price − stop|.
#[inline(always)]
fn risk_reward_ratio(split: &Split<'_>) -> Check {
    let minimum = split.subject.limits.risk_reward_min;
    let (Some(minimum), Some(stop), Some(target), true) =
        (minimum, split.stop_loss, split.take_profit, split.is_entry())
    else {
        return Check::NotApplicable(RejectCode::RiskRewardRatio);
    };
    let (risk, reward) = (split.limit.distance(stop), split.limit.distance(target));
    if risk == Money::ZERO {
        return Check::of(true, Rejection::bare(RejectCode::RiskZero));
    }
    let rejection = Rejection {
        basis: risk.paise(),
        ratio: minimum,
        ..Rejection::new(
            RejectCode::RiskRewardRatio,
            reward.paise(),
            minimum.of_floor(risk).paise(),
        )
    };
    Check::of(reward.wide().wrapping_mul(MILLION) < minimum.of(risk), rejection)
}

/// 7. Distance from the last traded price; not applicable without one.
#[inline(always)]
fn price_sanity(split: &Split<'_>) -> Check {
    let (limit, last) = (
        split.subject.limits.price_sanity_max,
        split.subject.instrument.last_price,
    );
    let (Some(limit), Some(last), true) = (limit, last, split.is_entry()) else {
        return Check::NotApplicable(RejectCode::PriceSanity);
    };
    let distance = split.limit.distance(last);
    let allowed = limit.of_floor(last.money());
    let rejection = Rejection {
        basis: i64::from(last.paise()),
        ratio: limit,
        ..Rejection::new(
            RejectCode::PriceSanity,
            i64::from(split.limit.paise()),
            allowed.paise(),
        )
    };
    Check::of(
        distance.wide().wrapping_mul(MILLION) > limit.of(last.money()),
        rejection,
    )
}

/// 8. Shares per order (of an increase, what it adds); a pure exit may go up to the freeze quantity, which Layer B checks.
#[inline(always)]
fn quantity_limits(split: &Split<'_>) -> Check {
    let (Some(limit), true) = (split.subject.limits.order_quantity_max, split.is_entry()) else {
        return Check::NotApplicable(RejectCode::QuantityAboveLimit);
    };
    let rejection = Rejection::new(
        RejectCode::QuantityAboveLimit,
        i64::from(split.added),
        i64::from(limit),
    );
    Check::of(split.added > limit, rejection)
}

/// 9. Active entry orders per open position.
#[inline(always)]
fn order_to_position_ratio(split: &Split<'_>) -> Check {
    let account = split.subject.account;
    let (Some(limit), true) = (split.subject.limits.orders_per_position_max, split.is_entry()) else {
        return Check::NotApplicable(RejectCode::OrderToPositionRatio);
    };
    let allowed = limit.saturating_mul(account.open_positions.max(1));
    let rejection = Rejection {
        basis: i64::from(account.open_positions),
        ..Rejection::new(
            RejectCode::OrderToPositionRatio,
            i64::from(account.entry_orders),
            i64::from(limit),
        )
    };
    Check::of(account.entry_orders >= allowed, rejection)
}

/// 10. The kill switch: REDUCING lets exits pass, HALTED nothing.
#[inline(always)]
fn circuit_breaker(split: &Split<'_>) -> Check {
    let blocked = match split.subject.state {
        TradingState::Normal => false,
        TradingState::Reducing => split.is_entry(),
        TradingState::Halted => true,
    };
    Check::of(blocked, Rejection::bare(RejectCode::CircuitBreaker))
}
