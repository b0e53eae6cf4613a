//! Amounts that are derived for showing.

use engine::Money;

/// The average price of `quantity` shares whose Σ price × quantity is `notional`, both with the same sign (a short
/// position's are negative), in rupees with two decimals, halves away from zero. `None` for no shares.
pub fn average_price(notional: Money, quantity: i64) -> Option<Money> {
    let (notional, quantity) = (notional.wide().abs(), i128::from(quantity).abs());
    if quantity == 0 {
        return None;
    }
    Some(Money::from_wide((notional * 2 + quantity) / (quantity * 2)))
}

/// Realised P&L net of charges (CONTRACT.md section 0).
pub fn net_pnl(realised: Money, charges: Money) -> Money {
    realised.saturating_sub(charges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_round_half_away_from_zero() {
        let average = |paise, quantity| average_price(Money::from_paise(paise), quantity).map(Money::paise);
        assert_eq!(average(300, 2), Some(150));
        assert_eq!(average(301, 2), Some(151));
        assert_eq!(average(-301, -2), Some(151));
        assert_eq!(average(100, 3), Some(33));
        assert_eq!(average(0, 0), None);
    }
}
