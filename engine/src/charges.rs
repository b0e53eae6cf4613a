//! Charges of a fill (RISK.md, Charges), exact to the paisa.
//!
//! Each component is computed on the order's cumulative turnover and rounded half up; a fill pays the difference to
//! the turnover before it, so neither the brokerage cap nor rounding depends on how an order was sliced. Both ends of
//! that difference are computed by the rates in force at the fill: what an order was charged under earlier rates is
//! never charged again and never given back.

use alloc::vec::Vec;

use crate::charge_rates::{ChargeRate, ChargeRates, ProductRates};
use crate::engine::Engine;
use crate::event::Charges;
use crate::limits::CHARGE_RATES_MAX;
use crate::order::Order;
use crate::rejection::Refusal;
use crate::state_hash::Digest;
use crate::terms::{Product, Side};
use crate::units::Money;

/// One in the unit of [`ChargeRate`].
const WHOLE: u64 = 1_000_000_000;

/// The rates by effective date, and those in force.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Tariff {
    /// By effective date, each date once. Empty until one is defined.
    defined: Vec<ChargeRates>,
    current: ChargeRates,
    /// Grows whenever `current` changes: what an order was charged is kept with the generation that it was computed by.
    generation: u32,
    digest: u64,
}

impl Tariff {
    pub(crate) fn new() -> Tariff {
        Tariff {
            defined: Vec::with_capacity(CHARGE_RATES_MAX),
            current: ChargeRates::built_in(),
            generation: 0,
            digest: 0,
        }
    }

    /// Adds rates, or replaces those of the same date; `false` where there is no room. Fills of the past stay as they are.
    fn define(&mut self, rates: &ChargeRates, day: u32) -> bool {
        match self
            .defined
            .binary_search_by_key(&rates.effective_from, |of| of.effective_from)
        {
            Ok(at) => {
                if let Some(of) = self.defined.get_mut(at) {
                    *of = *rates;
                }
            }
            Err(_) if self.defined.len() >= CHARGE_RATES_MAX => return false,
            Err(at) => self.defined.insert(at, *rates),
        }
        self.choose(day);
        let dates = self.defined.iter();
        self.digest = dates.fold(Digest::new(9), digest_rates).finish();
        true
    }

    /// Puts the rates of a trading day in force.
    pub(crate) fn choose(&mut self, day: u32) {
        let of_day = self.defined.iter().rev().find(|of| of.effective_from <= day);
        let rates = of_day.copied().unwrap_or(ChargeRates::built_in());
        if rates != self.current {
            self.current = rates;
            self.generation = self.generation.wrapping_add(1);
        }
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// Charges an order that has just traded: what its last fill of `notional` adds.
    #[inline]
    pub(crate) fn charge(&self, order: &mut Order, notional: Money) -> Charges {
        let of = |turnover| on_turnover(&self.current, turnover, order.side, order.product);
        let before = if order.charged_by == self.generation {
            order.charged
        } else {
            of(order.cum_notional.saturating_sub(notional))
        };
        let after = of(order.cum_notional);
        order.charged = after;
        order.charged_by = self.generation;
        difference(&after, &before)
    }
}

fn digest_rates(digest: Digest, rates: &ChargeRates) -> Digest {
    let ChargeRates {
        effective_from,
        mis,
        cnc,
        exchange,
        sebi,
        gst,
    } = rates;
    let product = |digest: Digest, rates: &ProductRates| {
        digest
            .signed(rates.brokerage_max.map_or(-1, Money::paise))
            .pair(rates.brokerage.ppb(), rates.stamp_duty_buy.ppb())
            .pair(rates.stt_buy.ppb(), rates.stt_sell.ppb())
    };
    product(product(digest, mis), cnc)
        .pair(*effective_from, exchange.ppb())
        .pair(sebi.ppb(), gst.ppb())
}

impl Engine {
    pub(crate) fn define_charges(&mut self, rates: &ChargeRates) -> Result<(), Refusal> {
        let negative = |of: &ProductRates| of.brokerage_max.is_some_and(Money::is_negative);
        if negative(&rates.mis) || negative(&rates.cnc) {
            return Err(Refusal::InvalidDefinition("a brokerage cap must not be negative"));
        }
        if !self.tariff.define(rates, self.day) {
            return Err(Refusal::InvalidDefinition(
                "the engine holds its maximum of charge rates",
            ));
        }
        Ok(())
    }

    /// The rates in force.
    pub fn charge_rates(&self) -> &ChargeRates {
        &self.tariff.current
    }

    /// What an order is charged in all that trades `turnover` by the rates in force.
    pub fn charges_on(&self, turnover: Money, side: Side, product: Product) -> Charges {
        on_turnover(&self.tariff.current, turnover, side, product)
    }
}

/// `turnover × rate`, half up.
#[inline(always)]
fn share(turnover: u64, rate: ChargeRate) -> u64 {
    let ppb = u64::from(rate.ppb());
    // Up to a turnover of ₹18 crore at the highest rate, and far beyond at those of practice.
    let scaled = turnover.checked_mul(ppb);
    if let Some(rounded) = scaled.and_then(|scaled| scaled.checked_add(WHOLE >> 1)) {
        return rounded.wrapping_div(WHOLE);
    }
    let scaled = u128::from(turnover).wrapping_mul(u128::from(ppb));
    let rounded = scaled
        .wrapping_add(u128::from(WHOLE >> 1))
        .checked_div(u128::from(WHOLE))
        .unwrap_or(u128::MAX);
    u64::try_from(rounded).unwrap_or(u64::MAX)
}

fn component(paise: u64) -> u32 {
    u32::try_from(paise).unwrap_or(u32::MAX)
}

/// All charges of an order whose fills so far come to `turnover`.
#[inline]
fn on_turnover(rates: &ChargeRates, turnover: Money, side: Side, product: Product) -> Charges {
    let turnover = u64::try_from(turnover.paise()).unwrap_or(0);
    let of_product = match product {
        Product::Mis => &rates.mis,
        Product::Cnc => &rates.cnc,
    };
    let (stt, stamp_duty) = match side {
        Side::Buy => (of_product.stt_buy, of_product.stamp_duty_buy),
        Side::Sell => (of_product.stt_sell, ChargeRate::ZERO),
    };
    let cap = of_product
        .brokerage_max
        .map_or(u64::MAX, |cap| u64::try_from(cap.paise()).unwrap_or(0));
    let brokerage = component(share(turnover, of_product.brokerage).min(cap));
    let exchange = component(share(turnover, rates.exchange));
    let sebi = component(share(turnover, rates.sebi));
    let taxed = u64::from(brokerage)
        .wrapping_add(u64::from(exchange))
        .wrapping_add(u64::from(sebi));
    Charges {
        brokerage,
        stt: component(share(turnover, stt)),
        exchange,
        gst: component(share(taxed, rates.gst)),
        stamp_duty: component(share(turnover, stamp_duty)),
        sebi,
    }
}

/// `after − before`, component by component. Components never shrink as turnover grows.
#[inline]
fn difference(after: &Charges, before: &Charges) -> Charges {
    Charges {
        brokerage: after.brokerage.saturating_sub(before.brokerage),
        stt: after.stt.saturating_sub(before.stt),
        exchange: after.exchange.saturating_sub(before.exchange),
        gst: after.gst.saturating_sub(before.gst),
        stamp_duty: after.stamp_duty.saturating_sub(before.stamp_duty),
        sebi: after.sebi.saturating_sub(before.sebi),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: ChargeRates = ChargeRates::built_in();

    fn charges(paise: i64, side: Side, product: Product) -> [u32; 6] {
        let found = on_turnover(&RATES, Money::from_paise(paise), side, product);
        [
            found.brokerage,
            found.stt,
            found.exchange,
            found.gst,
            found.stamp_duty,
            found.sebi,
        ]
    }

    #[test]
    fn a_delivery_buy_and_an_intraday_round_trip() {
        // ₹24,500 bought for delivery.
        assert_eq!(
            charges(2_450_000, Side::Buy, Product::Cnc),
            [0, 2_450, 75, 14, 368, 2]
        );
        // ₹24,500 intraday: brokerage 7.35, exchange 0.75215, SEBI 0.0245, GST 18 % of 8.12.
        assert_eq!(
            charges(2_450_000, Side::Buy, Product::Mis),
            [735, 0, 75, 146, 74, 2]
        );
        assert_eq!(
            charges(2_450_000, Side::Sell, Product::Mis),
            [735, 613, 75, 146, 0, 2]
        );
    }

    #[test]
    fn halves_go_up_and_large_turnovers_stay_exact() {
        let rate = |ppb| ChargeRate::from_ppb(ppb).unwrap();
        // 0.03 % of ₹16.66 is 0.4998 paise, of ₹16.67 it is 0.5001.
        assert_eq!((share(1_666, rate(300_000)), share(1_667, rate(300_000))), (0, 1));
        assert_eq!(share(1, rate(500_000_000)), 1);
        let most = u64::try_from(i64::MAX).unwrap();
        assert_eq!(share(most, ChargeRate::ONE), most);
        assert_eq!(share(most, rate(500_000_000)), most.div_ceil(2));
    }

    #[test]
    fn slicing_does_not_change_the_sum() {
        let steps = [1_i64, 333, 99_999, 7_000_000, 12_345_678];
        let (mut turnover, mut paid, mut sum) = (0, Charges::default(), 0);
        for step in steps {
            turnover += step;
            let so_far = on_turnover(&RATES, Money::from_paise(turnover), Side::Sell, Product::Mis);
            sum += difference(&so_far, &paid).total().paise();
            paid = so_far;
        }
        assert_eq!(
            sum,
            on_turnover(&RATES, Money::from_paise(turnover), Side::Sell, Product::Mis)
                .total()
                .paise()
        );
        assert_eq!(paid.brokerage, 2_000, "capped at ₹20 an order");
    }

    #[test]
    fn the_day_decides_which_rates_hold() {
        let from = |effective_from: u32, ppb: u32| ChargeRates {
            effective_from,
            exchange: ChargeRate::from_ppb(ppb).unwrap(),
            ..RATES
        };
        let mut tariff = Tariff::new();
        let in_force = |tariff: &mut Tariff, day| {
            tariff.choose(day);
            tariff.current.exchange.ppb()
        };
        assert_eq!(in_force(&mut tariff, 100), 30_700, "the built-in ones before any");
        for rates in [from(120, 3), from(110, 2), from(130, 4)] {
            assert!(tariff.define(&rates, 100));
        }
        let days = [109, 110, 119, 120, 129, 130, 10_000];
        assert_eq!(
            days.map(|day| in_force(&mut tariff, day)),
            [30_700, 2, 2, 3, 3, 4, 4]
        );
        assert!(tariff.define(&from(120, 7), 125));
        assert_eq!((tariff.current.exchange.ppb(), tariff.defined.len()), (7, 3));
        for day in 200..200 + u32::try_from(CHARGE_RATES_MAX).unwrap() - 3 {
            assert!(tariff.define(&from(day, 1), 125));
        }
        assert!(!tariff.define(&from(999, 1), 125), "no room for another date");
        assert!(
            tariff.define(&from(200, 9), 125),
            "but for another word on a date"
        );
    }
}
