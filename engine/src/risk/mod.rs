//! The pre-trade risk pass: a pure function of the live state. `validate-order` runs the same code.
//!
//! Order of evaluation (RISK.md): Layer A checks 1 to 10, then Layer B; the first failure is the answer. An order is
//! split into an *exit* part, which closes what is open and is exempt from the checks marked ✱ there, and an *entry*
//! part, which is not.
//!
//! A modification is checked as what the open order becomes, on the state without it. For whatever is measured on that
//! state (funds, exposure, positions) this is the check of an entry of the difference; limits on one order, and the split
//! itself, look at the difference where price and trigger stay as they were ([`Revised`]).

use crate::account::Account;
use crate::cause::Cause;
use crate::command::NewOrder;
use crate::instrument::Instrument;
use crate::lane::Warnings;
use crate::marking::Marks;
use crate::position::Position;
use crate::rejection::{RejectCode, Rejection};
use crate::risk_limits::RiskLimits;
use crate::session::Gate;
use crate::state_hash::Digest;
use crate::terms::{OrderType, Side, TradingState};
use crate::units::{Money, Price, Quantity, Timestamp};

mod check;
mod layer_a;
mod layer_b;
mod pace;
pub(crate) mod usual;

use check::Check;
pub(crate) use pace::Pace;
pub(crate) use usual::{Ask, Bounds, Ground, Released};

const NS_PER_SECOND: u64 = 1_000_000_000;
const NS_PER_MS: u64 = 1_000_000;
const MILLION: i128 = 1_000_000;

/// What the checks look at.
pub(crate) struct Subject<'a> {
    pub(crate) order: &'a NewOrder,
    pub(crate) account: &'a Account,
    /// The account's, or its strategy's where that has tighter ones.
    pub(crate) limits: &'a RiskLimits,
    /// Of the order rate of its strategy alone, where that has one.
    pub(crate) bucket: Option<Bucket>,
    /// What the account's positions are worth at the last marks.
    pub(crate) marks: Marks,
    pub(crate) instrument: &'a Instrument,
    /// `None` where the key has never been used.
    pub(crate) position: Option<&'a Position>,
    /// Of a modification, the open order that it changes: it counts against the order rate but not as another order of the
    /// day.
    pub(crate) revises: Option<Revised>,
    /// The strictest of the engine's, the account's and the strategy's.
    pub(crate) state: TradingState,
    /// What the instrument's session says.
    pub(crate) gate: Gate,
    pub(crate) now: Timestamp,
    /// Fills of the order's strategy and side within the minute, where the account's limits count them.
    pub(crate) executions: u32,
}

/// Of an open order that is modified, what the state without it does not tell. In shares.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Revised {
    /// Filled: the exchange's rules on the size of an order hold for its total (VENUE.md, Caps).
    pub(crate) filled: u32,
    /// What was open at the price and trigger that it keeps: a profile's limits on one order measure what is added to that,
    /// "an entry of the difference". 0 where price or trigger change, since then all of it enters the market anew.
    pub(crate) open: u32,
    /// The entry part of that.
    pub(crate) entry: u32,
}

/// How an order that passed will be carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Plan {
    pub(crate) limit: Price,
    /// Its number in the instrument's price domain; `None` where that does not contain it.
    pub(crate) tick: Option<u32>,
    pub(crate) exit_quantity: u32,
    pub(crate) stop_loss: Option<Price>,
    pub(crate) take_profit: Option<Price>,
    /// Why the engine places it by itself.
    pub(crate) cause: Option<Cause>,
}

/// An order seen by the checks: its limit, its two parts, and what limits on one order measure. Quantities in shares.
#[derive(Clone, Copy)]
struct Split<'a> {
    subject: &'a Subject<'a>,
    limit: Price,
    stop_loss: Option<Price>,
    take_profit: Option<Price>,
    exit: u32,
    entry: u32,
    /// With what is filled: the exchange's rules on the size of an order hold for this.
    total: u32,
    /// What enters the market: the whole order, or what an increase adds at the same price.
    added: u32,
    /// The entry part of that.
    added_entry: u32,
}

/// Runs every check. On success the plan; on failure the first that failed. Warnings either way.
#[inline(never)]
pub(crate) fn evaluate(subject: &Subject<'_>) -> (Result<Plan, Rejection>, Warnings) {
    let mut warnings = Warnings::NONE;
    let limit = match premise(subject) {
        Ok(limit) => limit,
        Err(rejection) => return (Err(rejection), warnings),
    };
    let split = split(subject, limit, &mut warnings);
    let plan = || Plan {
        limit,
        tick: subject.instrument.sides.domain().tick_of(limit),
        exit_quantity: split.exit,
        stop_loss: split.stop_loss,
        take_profit: split.take_profit,
        cause: None,
    };
    if subject.account.venue {
        return (layer_b::venue_verdict(&split).map(|()| plan()), warnings);
    }
    let result = layer_a::verdict(&split, &mut warnings)
        .and_then(|()| layer_b::verdict(&split, &mut warnings))
        .map(|()| plan());
    (result, warnings)
}

/// The price to check an order at; fails where the order has nothing to be checked.
#[inline(always)]
fn premise(subject: &Subject<'_>) -> Result<Price, Rejection> {
    if subject.order.quantity.is_zero() {
        return Err(Rejection::new(RejectCode::QuantityBelowOne, 0, 1));
    }
    check_price(subject).ok_or(Rejection::bare(RejectCode::NoLastPrice))
}

/// The price that an order is checked at: the limit of LIMIT and SL, the protected price of MARKET and SL-M (of an SL-M
/// that of its trigger). `None` for the latter two without a last price.
#[inline(always)]
fn check_price(subject: &Subject<'_>) -> Option<Price> {
    let (instrument, side) = (subject.instrument, subject.order.side);
    match subject.order.order_type {
        OrderType::Limit(price) | OrderType::Stop { limit: price, .. } => Some(price),
        OrderType::Market => instrument.protected_price(side),
        OrderType::StopMarket { trigger } => instrument
            .last_price
            .map(|_| instrument.protection_from(trigger, side)),
    }
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
    let entry = quantity.wrapping_sub(exit);
    let revised = subject.revises.unwrap_or_default();
    Split {
        subject,
        limit,
        stop_loss: order.stop_loss.map(|price| on_grid(price, is_buy)),
        take_profit: order.take_profit.map(|price| on_grid(price, !is_buy)),
        exit,
        entry,
        total: quantity.saturating_add(revised.filled),
        added: quantity.saturating_sub(revised.open),
        // What was an entry and has become an exit, because the position grew meanwhile, adds nothing.
        added_entry: entry.saturating_sub(revised.entry),
    }
}

impl Split<'_> {
    /// At its limit.
    fn value(&self, shares: u32) -> Money {
        self.limit.notional(Quantity::clamped(i64::from(shares)))
    }

    fn entry_value(&self) -> Money {
        self.value(self.entry)
    }

    /// Not only an exit, or an increase by what only reduces the position: the checks marked ✱ apply.
    fn is_entry(&self) -> bool {
        self.added_entry > 0
    }

    fn likeness(&self) -> u64 {
        likeness(self.subject.order, self.limit)
    }
}

/// A digest of what makes two orders identical: instrument, side, quantity, price.
pub(crate) fn likeness(order: &NewOrder, limit: Price) -> u64 {
    Digest::new(8)
        .pair(order.instrument.get(), u32::from(order.side == Side::Sell))
        .pair(order.quantity.shares(), limit.paise())
        .finish()
}

/// What one check says of an order, for explanations.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct ExplainedCheck {
    pub outcome: CheckOutcome,
    /// The check's name and numbers as a rejection would carry them, whether it failed or not; bare where it does
    /// not apply.
    pub measured: Rejection,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum CheckOutcome {
    Passed,
    Failed,
    /// Switched off for the account, not concerned with this order, or with nothing to look at: an order without a
    /// price to be checked at fails one check, and no other applies.
    NotApplicable,
}

impl CheckOutcome {
    /// `pass`, `fail`, `not_applicable`.
    pub const fn as_str(self) -> &'static str {
        match self {
            CheckOutcome::Passed => "pass",
            CheckOutcome::Failed => "fail",
            CheckOutcome::NotApplicable => "not_applicable",
        }
    }
}

/// Every check of both layers in order, each on its own. Where the order has no price to be checked with or no quantity,
/// the check that refuses it for that has failed and no other applies.
pub(crate) fn explain(subject: &Subject<'_>) -> impl Iterator<Item = ExplainedCheck> {
    let premise = premise(subject);
    // Any price will do where none is used.
    let limit = premise.unwrap_or(subject.instrument.sides.domain().low());
    let split = split(subject, limit, &mut Warnings::default());
    let checks = layer_a::CHECKS.into_iter().chain(layer_b::CHECKS);
    checks.map(move |check| {
        let found = check(&split);
        match premise {
            Ok(_) => explained(found),
            Err(rejection) if rejection.code.check() == found.code().check() => {
                explained(Check::of(true, rejection))
            }
            Err(_) => explained(Check::NotApplicable(found.code())),
        }
    })
}

fn explained(check: Check) -> ExplainedCheck {
    let (outcome, measured) = match check {
        Check::NotApplicable(code) => (CheckOutcome::NotApplicable, Rejection::bare(code)),
        Check::Measured {
            failed: true,
            rejection,
        } => (CheckOutcome::Failed, rejection),
        Check::Measured {
            failed: false,
            rejection,
        } => (CheckOutcome::Passed, rejection),
    };
    ExplainedCheck { outcome, measured }
}

/// Age of an instrument's last price, in nanoseconds; since ever where there is none.
pub(crate) fn reference_age_ns(instrument: &Instrument, now: Timestamp) -> u64 {
    match instrument.last_price {
        Some(_) => now.saturating_since(instrument.last_price_at),
        None => u64::MAX,
    }
}

/// Whether the last price is young enough for an account's limits.
pub(crate) fn is_fresh(limits: &RiskLimits, instrument: &Instrument, now: Timestamp) -> bool {
    let fresh = |ms: u32| reference_age_ns(instrument, now) <= u64::from(ms).saturating_mul(NS_PER_MS);
    limits.reference_age_ms_max.is_none_or(fresh)
}

/// A token bucket of one second's depth (see [`Pace`]).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// Orders a second.
    pub(crate) rate: u32,
    pub(crate) pace: Pace,
    pub(crate) horizon: Timestamp,
}

impl Bucket {
    /// That of an account's order rate; `None` where it is not limited.
    fn of(account: &Account) -> Option<Bucket> {
        let rate = account.limits.orders_per_second_max?;
        Some(Bucket {
            rate,
            pace: account.pace,
            horizon: account.rate_horizon,
        })
    }

    fn is_empty(self, now: Timestamp) -> bool {
        !self.pace.has_token(self.horizon, now)
    }

    /// Whole tokens that it lacks.
    fn taken(self, now: Timestamp) -> i64 {
        self.pace.taken(self.horizon, now)
    }

    /// The horizon after taking one token.
    pub(crate) fn after_token(self, now: Timestamp) -> Timestamp {
        self.pace.after_token(self.horizon, now)
    }
}
