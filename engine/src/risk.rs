//! The pre-trade risk pass: a pure function of the live state. `validate-order` runs the same code.
//!
//! Order of evaluation (RISK.md): Layer A checks 1 to 10, then Layer B; the first failure is the answer. An order is
//! split into an *exit* part, which closes what is open and is exempt from the checks marked ✱ there, and an *entry*
//! part, which is not.

use crate::account::Account;
use crate::command::NewOrder;
use crate::instrument::Instrument;
use crate::lane::Warnings;
use crate::limits::{ORDER_VALUE_CAP, POSITION_QUANTITY_MAX};
use crate::position::{Position, Standing};
use crate::rejection::{RejectCode, Rejection};
use crate::terms::{OrderType, Product, Side, TradingState};
use crate::units::{Money, Price, Quantity, Ratio, Timestamp};

const NS_PER_SECOND: u64 = 1_000_000_000;
/// A limit this much worse than the last price draws a warning: 3 %.
const COLLAR: Ratio = Ratio::from_ppm(30_000);
const MILLION: i128 = 1_000_000;

/// What the checks look at.
pub(crate) struct Subject<'a> {
    pub(crate) order: &'a NewOrder,
    pub(crate) account: &'a Account,
    pub(crate) instrument: &'a Instrument,
    /// `None` where the key has never been used.
    pub(crate) position: Option<&'a Position>,
    /// A modification of an open order: it counts against the order rate but not as another order of the day.
    pub(crate) modifies: bool,
    /// The strictest of the engine's, the account's and the strategy's.
    pub(crate) state: TradingState,
    pub(crate) now: Timestamp,
}

/// How an order that passed will be carried out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) limit: Price,
    pub(crate) exit_quantity: u32,
    pub(crate) stop_loss: Option<Price>,
    pub(crate) take_profit: Option<Price>,
}

/// An order seen by the checks: its limit and its two parts.
struct Split<'a> {
    subject: &'a Subject<'a>,
    limit: Price,
    stop_loss: Option<Price>,
    take_profit: Option<Price>,
    exit: u32,
    entry: u32,
}

/// Runs every check. On success the plan; on failure the first that failed. Warnings either way.
pub(crate) fn evaluate(subject: &Subject<'_>) -> (Result<Plan, Rejection>, Warnings) {
    let mut warnings = Warnings::NONE;
    if subject.order.quantity.is_zero() {
        return (Err(Rejection::new(RejectCode::QuantityBelowOne, 0, 1)), warnings);
    }
    let limit = match subject.order.order_type {
        OrderType::Limit(price) => price,
        OrderType::Market => match subject.instrument.protected_price(subject.order.side) {
            Some(price) => price,
            None => return (Err(Rejection::bare(RejectCode::NoLastPrice)), warnings),
        },
    };
    let split = split(subject, limit, &mut warnings);
    let plan = || Plan {
        limit,
        exit_quantity: split.exit,
        stop_loss: split.stop_loss,
        take_profit: split.take_profit,
    };
    if subject.account.venue {
        return (venue_checks(&split).map(|()| plan()), warnings);
    }
    let result = layer_a(&split, &mut warnings)
        .and_then(|()| layer_b(&split, &mut warnings))
        .map(|()| plan());
    (result, warnings)
}

fn split<'a>(subject: &'a Subject<'a>, limit: Price, warnings: &mut Warnings) -> Split<'a> {
    let order = subject.order;
    let quantity = order.quantity.shares();
    let closable = subject
        .position
        .map_or(0, |position| position.closable_by(order.side));
    let exit = u32::try_from(closable).unwrap_or(u32::MAX).min(quantity);
    // An off-tick stop or target moves to where it triggers earlier: a long's stop up and its target down.
    let domain = subject.instrument.sides.domain();
    let mut on_grid = |price: Price, up: bool| {
        if domain.on_tick(price) {
            return price;
        }
        *warnings = warnings.with(Warnings::STOP_ROUNDED);
        let tick = i64::from(subject.instrument.definition.tick_size.paise());
        let paise = i64::from(price.paise());
        let below = paise.saturating_sub(paise.rem_euclid(tick));
        Price::from_paise_clamped(if up { below.saturating_add(tick) } else { below })
    };
    let is_buy = order.side == Side::Buy;
    Split {
        subject,
        limit,
        stop_loss: order.stop_loss.map(|price| on_grid(price, is_buy)),
        take_profit: order.take_profit.map(|price| on_grid(price, !is_buy)),
        exit,
        entry: quantity.wrapping_sub(exit),
    }
}

impl Split<'_> {
    fn entry_quantity(&self) -> Quantity {
        Quantity::clamped(i64::from(self.entry))
    }

    fn entry_value(&self) -> Money {
        self.limit.notional(self.entry_quantity())
    }

    fn is_entry(&self) -> bool {
        self.entry > 0
    }
}

/// `Err` with the rejection when `failed`.
#[inline(always)]
fn fail_if(failed: bool, rejection: impl FnOnce() -> Rejection) -> Result<(), Rejection> {
    if failed { Err(rejection()) } else { Ok(()) }
}

/// The ten checks of the dashboard's contract, in its order.
fn layer_a(split: &Split<'_>, warnings: &mut Warnings) -> Result<(), Rejection> {
    if split.is_entry() {
        balance_check(split)?;
        position_limit(split)?;
        risk_per_trade(split)?;
        daily_loss_limit(split)?;
    }
    stop_loss_required(split)?;
    if split.is_entry() {
        risk_reward_ratio(split)?;
        price_sanity(split, warnings)?;
    }
    quantity_limits(split)?;
    if split.is_entry() {
        order_to_position_ratio(split)?;
    }
    circuit_breaker(split)
}

/// 1. Required margin against available funds, both multiplied by the leverage so that nothing is rounded.
fn balance_check(split: &Split<'_>) -> Result<(), Rejection> {
    let account = split.subject.account;
    if !account.limits.balance_check {
        return Ok(());
    }
    let leverage = i128::from(account.limits.mis_leverage.max(1));
    let required = match split.subject.order.product {
        Product::Mis => split.entry_value().wide(),
        Product::Cnc => split.entry_value().wide().wrapping_mul(leverage),
    };
    let available = account.available_leveraged();
    fail_if(required > available, || {
        let required = Money::from_wide(
            required
                .wrapping_add(leverage)
                .wrapping_sub(1)
                .div_euclid(leverage),
        );
        let available = Money::from_wide(available.div_euclid(leverage));
        Rejection::new(
            RejectCode::InsufficientBalance,
            required.paise(),
            available.paise(),
        )
    })
}

/// 2. A new position beyond the limit; flat keys with entries working count.
fn position_limit(split: &Split<'_>) -> Result<(), Rejection> {
    let account = split.subject.account;
    let Some(limit) = account.limits.positions_max else {
        return Ok(());
    };
    let opens = split
        .subject
        .position
        .is_none_or(|position| position.standing == Standing::Flat);
    let count = account.open_positions.saturating_add(account.pending_positions);
    fail_if(opens && count >= limit, || {
        Rejection::new(RejectCode::PositionLimit, i64::from(count), i64::from(limit))
    })
}

/// 3. |price − stop| × quantity against a share of the balance.
fn risk_per_trade(split: &Split<'_>) -> Result<(), Rejection> {
    let account = split.subject.account;
    let (Some(limit), Some(stop)) = (account.limits.risk_per_trade_max, split.stop_loss) else {
        return Ok(());
    };
    let risk = split
        .limit
        .distance(stop)
        .wide()
        .wrapping_mul(i128::from(split.entry));
    fail_if(risk.wrapping_mul(MILLION) > limit.of(account.balance), || {
        Rejection {
            basis: account.balance.paise(),
            ratio: limit,
            ..Rejection::new(
                RejectCode::RiskPerTrade,
                Money::from_wide(risk).paise(),
                limit.of_floor(account.balance).paise(),
            )
        }
    })
}

/// 4. Today's P&L, less the loss base, against a share of the balance.
fn daily_loss_limit(split: &Split<'_>) -> Result<(), Rejection> {
    let account = split.subject.account;
    let Some(limit) = account.limits.daily_loss_max else {
        return Ok(());
    };
    let loss = account.counted_pnl().negated();
    fail_if(
        loss.wide().wrapping_mul(MILLION) > limit.of(account.balance),
        || Rejection {
            basis: account.balance.paise(),
            ratio: limit,
            ..Rejection::new(
                RejectCode::DailyLossLimit,
                loss.paise(),
                limit.of_floor(account.balance).paise(),
            )
        },
    )
}

/// 5. An entry needs a stop-loss on the losing side of its price; an exit may leave it out.
fn stop_loss_required(split: &Split<'_>) -> Result<(), Rejection> {
    if !split.subject.account.limits.stop_loss_required {
        return Ok(());
    }
    let Some(stop) = split.stop_loss else {
        return fail_if(split.is_entry(), || Rejection::bare(RejectCode::StopLossMissing));
    };
    let (wrong, code) = match split.subject.order.side {
        Side::Buy => (stop >= split.limit, RejectCode::StopLossNotBelowEntry),
        Side::Sell => (stop <= split.limit, RejectCode::StopLossNotAboveEntry),
    };
    fail_if(wrong, || {
        Rejection::new(code, i64::from(stop.paise()), i64::from(split.limit.paise()))
    })
}

/// 6. |target − price| ÷ |price − stop|.
fn risk_reward_ratio(split: &Split<'_>) -> Result<(), Rejection> {
    let Some(minimum) = split.subject.account.limits.risk_reward_min else {
        return Ok(());
    };
    let (Some(stop), Some(target)) = (split.stop_loss, split.take_profit) else {
        return Ok(());
    };
    let (risk, reward) = (split.limit.distance(stop), split.limit.distance(target));
    fail_if(risk == Money::ZERO, || Rejection::bare(RejectCode::RiskZero))?;
    fail_if(reward.wide().wrapping_mul(MILLION) < minimum.of(risk), || {
        Rejection {
            basis: risk.paise(),
            ratio: minimum,
            ..Rejection::new(
                RejectCode::RiskRewardRatio,
                reward.paise(),
                minimum.of_floor(risk).paise(),
            )
        }
    })
}

/// 7. Distance from the last traded price.
fn price_sanity(split: &Split<'_>, warnings: &mut Warnings) -> Result<(), Rejection> {
    let Some(limit) = split.subject.account.limits.price_sanity_max else {
        return Ok(());
    };
    let Some(last) = split.subject.instrument.last_price else {
        *warnings = warnings.with(Warnings::NO_LAST_PRICE);
        return Ok(());
    };
    let distance = split.limit.distance(last);
    fail_if(
        distance.wide().wrapping_mul(MILLION) > limit.of(last.money()),
        || Rejection {
            basis: i64::from(last.paise()),
            ratio: limit,
            ..Rejection::new(
                RejectCode::PriceSanity,
                i64::from(split.limit.paise()),
                limit.of_floor(last.money()).paise(),
            )
        },
    )
}

/// 8. Shares per order; a pure exit may go up to the freeze quantity, which Layer B checks.
fn quantity_limits(split: &Split<'_>) -> Result<(), Rejection> {
    let Some(limit) = split.subject.account.limits.order_quantity_max else {
        return Ok(());
    };
    let quantity = split.subject.order.quantity.shares();
    fail_if(split.is_entry() && quantity > limit, || {
        Rejection::new(
            RejectCode::QuantityAboveLimit,
            i64::from(quantity),
            i64::from(limit),
        )
    })
}

/// 9. Active entry orders per open position.
fn order_to_position_ratio(split: &Split<'_>) -> Result<(), Rejection> {
    let account = split.subject.account;
    let Some(limit) = account.limits.orders_per_position_max else {
        return Ok(());
    };
    let allowed = limit.saturating_mul(account.open_positions.max(1));
    fail_if(account.entry_orders >= allowed, || Rejection {
        basis: i64::from(account.open_positions),
        ..Rejection::new(
            RejectCode::OrderToPositionRatio,
            i64::from(account.entry_orders),
            i64::from(limit),
        )
    })
}

/// 10. The kill switch: REDUCING lets exits pass, HALTED nothing.
fn circuit_breaker(split: &Split<'_>) -> Result<(), Rejection> {
    let blocked = match split.subject.state {
        TradingState::Normal => false,
        TradingState::Reducing => split.is_entry(),
        TradingState::Halted => true,
    };
    fail_if(blocked, || Rejection::bare(RejectCode::CircuitBreaker))
}

/// Layer B, in the order of RISK.md's table. An exit faces tick, lot, band, freeze and holdings only.
fn layer_b(split: &Split<'_>, warnings: &mut Warnings) -> Result<(), Rejection> {
    let Split { subject, entry, .. } = split;
    let (order, account, limits) = (subject.order, subject.account, &subject.account.limits);
    let definition = &subject.instrument.definition;
    let value = split.entry_value();
    fail_if(
        split.is_entry() && order.product == Product::Mis && !definition.mis_allowed,
        || Rejection::bare(RejectCode::MisNotAllowed),
    )?;
    grid_checks(split)?;
    price_collar(split, warnings);
    let limit = limits
        .order_value_max
        .unwrap_or(ORDER_VALUE_CAP)
        .min(ORDER_VALUE_CAP);
    fail_if(value > limit, || {
        Rejection::new(RejectCode::OrderValue, value.paise(), limit.paise())
    })?;
    freeze_quantity(split)?;
    if let (Some(limit), true) = (limits.open_order_value_max, split.is_entry()) {
        let open = account
            .entry_value
            .mis
            .saturating_add(account.entry_value.cnc)
            .saturating_add(value.paise());
        fail_if(open > limit.paise(), || {
            Rejection::new(RejectCode::OpenOrderValue, open, limit.paise())
        })?;
    }
    symbol_position(split)?;
    let delivery_sell = order.product == Product::Cnc && order.side == Side::Sell;
    fail_if(delivery_sell && *entry > 0, || {
        Rejection::new(
            RejectCode::Holdings,
            i64::from(order.quantity.shares()),
            i64::from(split.exit),
        )
    })?;
    if split.is_entry() {
        order_rate(split)?;
        if let Some(limit) = limits.daily_orders_max.filter(|_| !subject.modifies) {
            let orders = account.orders_today.saturating_add(1);
            fail_if(orders > limit, || {
                Rejection::new(RejectCode::DailyOrders, i64::from(orders), i64::from(limit))
            })?;
        }
    }
    Ok(())
}

/// What even a venue account faces: the exchange's grid and band, and capacity.
fn venue_checks(split: &Split<'_>) -> Result<(), Rejection> {
    grid_checks(split)?;
    symbol_position(split)
}

/// `tick_size`, `lot_size`, `price_band`.
fn grid_checks(split: &Split<'_>) -> Result<(), Rejection> {
    let instrument = split.subject.instrument;
    let domain = instrument.sides.domain();
    let paise = i64::from(split.limit.paise());
    if domain.tick_of(split.limit).is_some() && instrument.definition.lot_size.shares() == 1 {
        return Ok(());
    }
    fail_if(!domain.on_tick(split.limit), || {
        Rejection::new(
            RejectCode::TickSize,
            paise,
            i64::from(instrument.definition.tick_size.paise()),
        )
    })?;
    let (quantity, lot) = (
        split.subject.order.quantity.shares(),
        instrument.definition.lot_size.shares(),
    );
    fail_if(quantity.checked_rem(lot) != Some(0), || {
        Rejection::new(RejectCode::LotSize, i64::from(quantity), i64::from(lot))
    })?;
    fail_if(domain.tick_of(split.limit).is_none(), || Rejection {
        basis: i64::from(domain.high().paise()),
        ..Rejection::new(RejectCode::PriceBand, paise, i64::from(domain.low().paise()))
    })
}

/// A warning where the limit is far on the losing side of the last price.
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

fn freeze_quantity(split: &Split<'_>) -> Result<(), Rejection> {
    let quantity = split.subject.order.quantity;
    let limit = split.subject.instrument.definition.freeze_quantity;
    fail_if(quantity > limit, || {
        Rejection::new(
            RejectCode::FreezeQuantity,
            i64::from(quantity.shares()),
            i64::from(limit.shares()),
        )
    })
}

/// Keeps a position's worst case within what its exact cost can represent.
fn symbol_position(split: &Split<'_>) -> Result<(), Rejection> {
    let quantity = i64::from(split.subject.order.quantity.shares());
    let worst = split.subject.position.map_or(quantity, |position| {
        position.worst_case(split.subject.order.side, quantity)
    });
    fail_if(worst > POSITION_QUANTITY_MAX, || {
        Rejection::new(RejectCode::SymbolPosition, worst, POSITION_QUANTITY_MAX)
    })
}

/// Token bucket of one second's depth, kept as the time at which it would be full again (GCRA).
fn order_rate(split: &Split<'_>) -> Result<(), Rejection> {
    let Some(rate) = split.subject.account.limits.orders_per_second_max else {
        return Ok(());
    };
    let interval = NS_PER_SECOND
        .checked_div(u64::from(rate))
        .unwrap_or(NS_PER_SECOND);
    let backlog = split
        .subject
        .account
        .rate_horizon
        .saturating_since(split.subject.now);
    fail_if(
        rate == 0 || backlog.saturating_add(interval) > NS_PER_SECOND,
        || {
            Rejection::new(
                RejectCode::OrderRate,
                i64::from(rate).saturating_add(1),
                i64::from(rate),
            )
        },
    )
}

/// The bucket's horizon after taking one token.
pub(crate) fn horizon_after_token(account: &Account, now: Timestamp) -> Timestamp {
    match account.limits.orders_per_second_max {
        Some(rate) => {
            let interval = NS_PER_SECOND.checked_div(u64::from(rate)).unwrap_or(0);
            // Exits take tokens too but are never refused: the bucket does not sink below empty.
            let horizon = account.rate_horizon.max(now).saturating_add_nanos(interval);
            horizon.min(now.saturating_add_nanos(NS_PER_SECOND))
        }
        None => account.rate_horizon,
    }
}
