//! Amounts that are derived for showing.

use engine::{AveragePrice, Money};

/// The average price of `quantity` shares whose Σ price × quantity is `notional`, in rupees with two decimals, halves up.
/// `None` for no shares.
pub fn average_price(notional: Money, quantity: i64) -> Option<Money> {
    AveragePrice::of(notional, quantity).map(AveragePrice::round_half_up)
}

/// Realised P&L net of charges (CONTRACT.md section 0).
pub fn net_pnl(realised: Money, charges: Money) -> Money {
    realised.saturating_sub(charges)
}
