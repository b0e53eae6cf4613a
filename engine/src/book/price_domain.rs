//! The prices of a book: a grid from a lowest to a highest price, its ticks numbered from 0.

use crate::limits::LADDER_TICKS_MAX;
use crate::units::Price;

/// The prices that a book can hold: `low`, `low + tick`, … , `ticks` of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PriceDomain {
    low: u32,
    tick: u32,
    ticks: u32,
    /// ⌈2^64 ÷ tick⌉: divides any `u32` by the tick exactly with one multiplication.
    reciprocal: u64,
}

impl PriceDomain {
    /// All multiples of `tick` from `low` to `high` inclusive. `None` when there are none or more than
    /// [`LADDER_TICKS_MAX`].
    pub(crate) fn new(low: Price, high: Price, tick: Price) -> Option<PriceDomain> {
        let tick = tick.paise();
        let first = low.paise().div_ceil(tick).checked_mul(tick)?;
        let span = high.paise().checked_sub(first)?;
        let ticks = span.checked_div(tick)?.checked_add(1)?;
        if ticks > LADDER_TICKS_MAX {
            return None;
        }
        let reciprocal = u64::MAX.wrapping_div(u64::from(tick)).wrapping_add(1);
        Some(PriceDomain {
            low: first,
            tick,
            ticks,
            reciprocal,
        })
    }

    /// `paise ÷ tick`, exactly, without a division.
    #[inline(always)]
    fn quotient(&self, paise: u32) -> u32 {
        if self.tick == 1 {
            return paise;
        }
        let wide = u128::from(self.reciprocal).wrapping_mul(u128::from(paise));
        u32::try_from(wide >> 64).unwrap_or(u32::MAX)
    }

    /// Whether the price is a multiple of the tick.
    #[inline]
    pub(crate) fn on_tick(&self, price: Price) -> bool {
        let paise = price.paise();
        self.quotient(paise).wrapping_mul(self.tick) == paise
    }

    /// The tick's number, for a price on the grid and inside the domain.
    #[inline]
    pub(crate) fn tick_of(&self, price: Price) -> Option<u32> {
        let offset = price.paise().checked_sub(self.low)?;
        let tick = self.quotient(offset);
        if tick < self.ticks && tick.wrapping_mul(self.tick) == offset {
            Some(tick)
        } else {
            None
        }
    }

    #[inline]
    pub(crate) fn price_of(&self, tick: u32) -> Price {
        Price::from_paise(self.low.wrapping_add(tick.wrapping_mul(self.tick))).unwrap_or(Price::MIN)
    }

    /// How many prices there are.
    pub(super) fn ticks(&self) -> u32 {
        self.ticks
    }

    /// The number of the last tick.
    pub(crate) fn last_tick(&self) -> u32 {
        self.ticks.wrapping_sub(1)
    }

    /// The lowest price in ticks.
    pub(crate) fn first_tick(&self) -> u32 {
        self.quotient(self.low)
    }

    /// The tick at or below a price, or the domain's first or last one.
    pub(crate) fn nearest_tick(&self, price: Price) -> u32 {
        let offset = price.paise().saturating_sub(self.low);
        self.quotient(offset).min(self.last_tick())
    }

    /// The highest tick below a price and the lowest above it.
    pub(crate) fn ticks_beside(&self, price: Price) -> (Option<u32>, Option<u32>) {
        let nearest = self.nearest_tick(price);
        match self.price_of(nearest).cmp(&price) {
            core::cmp::Ordering::Less => (
                Some(nearest),
                nearest.checked_add(1).filter(|&tick| tick < self.ticks),
            ),
            core::cmp::Ordering::Equal => (
                nearest.checked_sub(1),
                nearest.checked_add(1).filter(|&tick| tick < self.ticks),
            ),
            core::cmp::Ordering::Greater => (None, Some(nearest)),
        }
    }

    pub(crate) fn low(&self) -> Price {
        self.price_of(0)
    }

    pub(crate) fn high(&self) -> Price {
        self.price_of(self.ticks.wrapping_sub(1))
    }

    /// The highest price on the grid at or below `paise`, inside the domain.
    pub(crate) fn floor(&self, paise: i64) -> Price {
        let offset = paise.saturating_sub(i64::from(self.low)).max(0);
        let tick = self
            .quotient(u32::try_from(offset).unwrap_or(u32::MAX))
            .min(self.ticks.wrapping_sub(1));
        self.price_of(tick)
    }

    /// The lowest price on the grid at or above `paise`, inside the domain.
    pub(crate) fn ceil(&self, paise: i64) -> Price {
        self.floor(paise.saturating_add(i64::from(self.tick)).saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn price(paise: u32) -> Price {
        Price::from_paise(paise).expect("a positive price")
    }

    fn domain(low: u32, high: u32, tick: u32) -> Option<PriceDomain> {
        PriceDomain::new(price(low), price(high), price(tick))
    }

    /// Everything that is asked of a domain, against a list of its prices.
    fn check(domain: &PriceDomain, prices: &[u32], probe: u32) {
        let tick = prices.get(1).map_or(0, |second| second - prices[0]);
        let last = u32::try_from(prices.len()).unwrap() - 1;
        let at = |number: u32| prices[usize::try_from(number).unwrap()];
        let number = |paise: u32| {
            prices
                .iter()
                .position(|&at| at == paise)
                .map(|at| u32::try_from(at).unwrap())
        };
        let below = prices
            .iter()
            .rposition(|&at| at <= probe)
            .map(|at| u32::try_from(at).unwrap());
        let of = price(probe);
        assert_eq!(domain.tick_of(of), number(probe), "tick of {probe}");
        assert_eq!((domain.ticks(), domain.last_tick()), (last + 1, last));
        assert_eq!((domain.low(), domain.high()), (price(at(0)), price(at(last))));
        assert_eq!(domain.nearest_tick(of), below.unwrap_or(0), "nearest to {probe}");
        let strictly_below = prices
            .iter()
            .rposition(|&at| at < probe)
            .map(|at| u32::try_from(at).unwrap());
        let strictly_above = prices
            .iter()
            .position(|&at| at > probe)
            .map(|at| u32::try_from(at).unwrap());
        assert_eq!(
            domain.ticks_beside(of),
            (strictly_below, strictly_above),
            "beside {probe}"
        );
        let above = prices
            .iter()
            .position(|&at| at >= probe)
            .map_or(last, |at| u32::try_from(at).unwrap());
        assert_eq!(
            domain.floor(i64::from(probe)),
            price(at(below.unwrap_or(0))),
            "floor of {probe}"
        );
        assert_eq!(
            domain.ceil(i64::from(probe)),
            price(at(above)),
            "ceiling of {probe}"
        );
        if tick > 0 {
            assert_eq!(
                domain.on_tick(of),
                probe.is_multiple_of(tick),
                "{probe} on {tick}"
            );
            assert_eq!(domain.first_tick(), at(0) / tick);
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_list_of_prices(
            tick in prop_oneof![Just(1_u32), Just(5), Just(10), Just(50), 1_u32..600],
            low in prop_oneof![1_u32..2_000, u32::MAX - 40_000..u32::MAX - 20_000],
            width in 0_u32..9_000,
            aside in 0_u32..700,
        ) {
            let high = low + width;
            let prices: Vec<u32> = (low..=high).filter(|paise| paise % tick == 0).collect();
            let Some(domain) = domain(low, high, tick) else {
                prop_assert!(prices.is_empty());
                return Ok(());
            };
            prop_assert!(!prices.is_empty());
            let (first, last) = (prices[0], prices[prices.len() - 1]);
            for probe in [first, last, low + width / 2, first + tick, first.saturating_sub(aside).max(1), last.saturating_add(aside)] {
                check(&domain, &prices, probe);
            }
        }
    }

    #[test]
    fn a_domain_has_at_most_so_many_ticks() {
        assert_eq!(
            domain(1, LADDER_TICKS_MAX, 1).map(|domain| domain.ticks()),
            Some(LADDER_TICKS_MAX)
        );
        assert_eq!(domain(1, LADDER_TICKS_MAX + 1, 1), None);
        assert_eq!(domain(6, 9, 5), None);
        assert_eq!(
            domain(u32::MAX, u32::MAX, 4),
            None,
            "the next multiple is no price"
        );
    }

    #[test]
    fn what_is_no_price_is_cut_to_the_domain() {
        let domain = domain(100, 200, 10).expect("a domain");
        for (paise, floor, ceil) in [
            (i64::MIN, 100, 100),
            (-5, 100, 100),
            (99, 100, 100),
            (101, 100, 110),
            (i64::from(u32::MAX) + 500, 200, 200),
            (i64::MAX, 200, 200),
        ] {
            assert_eq!(
                (domain.floor(paise), domain.ceil(paise)),
                (price(floor), price(ceil)),
                "{paise}"
            );
        }
    }
}
