//! Average prices, derived from exact sums and rounded once, half up, to the paisa.

use engine::{Money, Quantity};

/// `notional ÷ quantity`; `None` where nothing was filled.
pub fn average_price(notional: Money, quantity: Quantity) -> Option<Money> {
    half_up(notional.wide().abs(), i128::from(quantity.shares()))
}

/// A position's average entry price: `|cost| ÷ |quantity|`, zero for a flat position.
pub fn position_average(cost: Money, quantity: i64) -> Money {
    half_up(cost.wide().abs(), i128::from(quantity).abs()).unwrap_or(Money::ZERO)
}

/// For a numerator and denominator that are not negative.
fn half_up(numerator: i128, denominator: i128) -> Option<Money> {
    numerator
        .checked_mul(2)?
        .checked_add(denominator)?
        .checked_div(denominator.checked_mul(2)?)
        .map(Money::from_wide)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_round_half_up_to_the_paisa() {
        let check = |notional: i64, shares: u32, expected: Option<i64>| {
            let quantity = Quantity::new(shares).unwrap();
            let average = average_price(Money::from_paise(notional), quantity).map(Money::paise);
            assert_eq!(average, expected, "{notional} / {shares}");
        };
        check(1_000, 3, Some(333));
        check(1_001, 2, Some(501));
        check(2_000, 3, Some(667));
        check(0, 0, None);
        assert_eq!(position_average(Money::from_paise(-1_001), -2).paise(), 501);
        assert_eq!(position_average(Money::ZERO, 0), Money::ZERO);
    }
}
