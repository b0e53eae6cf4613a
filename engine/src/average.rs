//! Average prices: derived from an exact cost when somebody looks, never stored.

use fixed::types::I80F48;

use crate::units::Money;

/// The average price of a number of shares, in paise with 48 binary decimals.
///
/// Exactly half a paisa is representable, and for fewer than 2^47 shares no other quotient is close enough to half a
/// paisa to be mistaken for it, so rounding to the paisa is that of the exact quotient.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct AveragePrice(I80F48);

/// Half a paisa.
const HALF: I80F48 = I80F48::from_bits(1 << 47);

impl AveragePrice {
    /// Of `quantity` shares with Σ price × quantity `notional`, both with the same sign (a short position's are
    /// negative). `None` for no shares.
    pub fn of(notional: Money, quantity: i64) -> Option<AveragePrice> {
        let paise = I80F48::from_num(notional.paise().unsigned_abs());
        paise
            .checked_div_int(i128::from(quantity.unsigned_abs()))
            .map(AveragePrice)
    }

    /// In rupees and paise, halves up.
    pub fn round_half_up(self) -> Money {
        Money::from_wide(self.0.saturating_add(HALF).floor().to_num())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn halves_go_up() {
        let average = |paise, quantity| {
            AveragePrice::of(Money::from_paise(paise), quantity)
                .map(|average| average.round_half_up().paise())
        };
        assert_eq!(average(300, 2), Some(150));
        assert_eq!(average(301, 2), Some(151));
        assert_eq!(average(-301, -2), Some(151));
        assert_eq!(average(100, 3), Some(33));
        assert_eq!(average(0, 0), None);
        assert_eq!(average(i64::MAX, 1), Some(i64::MAX));
    }

    proptest! {
        #[test]
        fn is_the_exact_quotient_rounded(notional in 0..i64::MAX, quantity in 1..2_000_000_000_i64) {
            let exact = (i128::from(notional) * 2 + i128::from(quantity)) / (i128::from(quantity) * 2);
            let average = AveragePrice::of(Money::from_paise(notional), quantity).unwrap();
            prop_assert_eq!(average.round_half_up(), Money::from_wide(exact));
        }
    }
}
