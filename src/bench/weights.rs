//! Distributions as tables of integers, computed with integer arithmetic only, so that any language reproduces the
//! streams drawn from them bit for bit.
//!
//! Powers go through logarithms to base 2 in 32.32 fixed point: the logarithm by squaring the mantissa once for each
//! bit, the exponential as a product of 2^(1/2), 2^(1/4), … , which are integer square roots of one another.

use super::workload::SplitMix64;

/// Fraction bits of exponents and logarithms.
const FRACTION: u32 = 32;
/// Fraction bits of mantissas.
const MANTISSA: u32 = 62;
/// The weight of something of relative frequency 1: 2^40.
const ONE_BITS: u64 = 40;

/// A discrete distribution over `0..n`: cumulative weights, drawn from by bisection.
#[derive(Clone, Debug)]
pub struct Weights(Vec<u64>);

impl Weights {
    pub fn new(weights: impl Iterator<Item = u64>) -> Weights {
        let mut sum = 0;
        let cumulative = weights.map(|weight| {
            sum += weight;
            sum
        });
        Weights(cumulative.collect())
    }

    /// One draw of `below(total)`; the first index whose cumulative weight is above it.
    pub fn draw(&self, random: &mut SplitMix64) -> usize {
        let total = self.0.last().copied().unwrap_or(0);
        let drawn = random.below(total);
        self.0.partition_point(|&cumulative| cumulative <= drawn)
    }

    /// The cumulative weights.
    pub fn cumulative(&self) -> &[u64] {
        &self.0
    }
}

/// Zipf's law with exponent 1.1 over `n` items: item i has weight ⌊2^40 ÷ (i + 1)^1.1⌋, up to the last bits of the
/// fixed-point arithmetic.
pub fn zipf(n: usize) -> Weights {
    Weights::new((1..=n as u64).map(|rank| inverse_power(rank, 11, 10)))
}

/// ⌊2^40 ÷ base^(numerator ÷ denominator)⌋ for a base of at least 1 whose power stays below 2^40.
pub fn inverse_power(base: u64, numerator: u64, denominator: u64) -> u64 {
    let exponent = log2(base) * numerator / denominator;
    exp2((ONE_BITS << FRACTION).saturating_sub(exponent))
}

/// An exponentially distributed number with mean `mean`: −ln(u) × mean with one draw of u.
pub fn exponential(random: &mut SplitMix64, mean: u64) -> u64 {
    /// ln 2 in 0.32 fixed point.
    const LN_2: u128 = 0xb172_17f7;
    let minus_log2 = (64 << FRACTION) - log2(random.draw() | 1);
    ((u128::from(minus_log2) * LN_2 * u128::from(mean)) >> (2 * FRACTION)) as u64
}

/// Logarithm to base 2 in 32.32 fixed point, rounded down. `value` is at least 1.
pub(super) fn log2(value: u64) -> u64 {
    let whole = value.ilog2();
    let mut mantissa =
        u128::from(value) << (MANTISSA - whole.min(MANTISSA)) >> whole.saturating_sub(MANTISSA);
    let mut fraction = 0;
    for _ in 0..FRACTION {
        mantissa = (mantissa * mantissa) >> MANTISSA;
        fraction <<= 1;
        if mantissa >> (MANTISSA + 1) > 0 {
            mantissa >>= 1;
            fraction |= 1;
        }
    }
    u64::from(whole) << FRACTION | fraction
}

/// 2 to a power below 62 in 32.32 fixed point, rounded down.
fn exp2(exponent: u64) -> u64 {
    let mut result = 1_u128 << MANTISSA;
    let mut root = 2_u128 << MANTISSA;
    for bit in (0..FRACTION).rev() {
        root = (root << MANTISSA).isqrt();
        if exponent >> bit & 1 == 1 {
            result = (result * root) >> MANTISSA;
        }
    }
    let whole = (exponent >> FRACTION) as u32;
    (result >> (MANTISSA - whole)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_right() {
        assert_eq!(inverse_power(1, 11, 10), 1 << 40);
        // Computed with 60 decimal digits elsewhere.
        for (base, numerator, denominator, expected) in [
            (4, 1, 2, 1_u64 << 39),
            (2, 22, 10, 239_295_116_727),
            (10, 11, 10, 87_337_313_035),
            (1_000, 11, 10, 551_061_191),
        ] {
            let found = inverse_power(base, numerator, denominator);
            assert!(
                found.abs_diff(expected) <= expected >> 24,
                "{base}^({numerator}/{denominator}): {found}, not {expected}"
            );
        }
    }

    /// The table of workload C, for whoever writes it again.
    #[test]
    fn the_table_of_zipf_is_pinned() {
        let table = zipf(1_000);
        let cumulative = table.cumulative();
        assert_eq!(
            [cumulative[0], cumulative[1], cumulative[9], cumulative[999]],
            [
                1_099_511_627_776,
                1_612_451_939_472,
                2_946_861_786_403,
                6_127_387_730_496
            ]
        );
    }

    #[test]
    fn exponential_lifetimes_have_their_mean() {
        let mut random = SplitMix64::new(42);
        let sum: u64 = (0..100_000).map(|_| exponential(&mut random, 10_000)).sum();
        let mean = sum / 100_000;
        assert!((9_900..10_100).contains(&mean), "{mean}");
    }
}
