//! Charges of a fill (RISK.md, Charges), exact to the paisa.
//!
//! Each component is computed on the order's cumulative turnover and rounded half up; a fill pays the difference to
//! what its order has paid so far, so neither the brokerage cap nor rounding depends on how an order was sliced.

use crate::event::Charges;
use crate::terms::{Product, Side};
use crate::units::Money;

/// Brokerage cap of an intraday order: ₹20.
const BROKERAGE_CAP_PAISE: u64 = 2_000;
/// GST: 18 %.
const GST_PERCENT: u64 = 18;

/// `turnover × numerator ÷ denominator`, half up.
#[inline(always)]
fn share<const NUMERATOR: u64, const DENOMINATOR: u64>(turnover: u64) -> u64 {
    let scaled = turnover
        .saturating_mul(NUMERATOR)
        .saturating_add(DENOMINATOR >> 1);
    scaled.checked_div(DENOMINATOR).unwrap_or(0)
}

fn component(paise: u64) -> u32 {
    u32::try_from(paise).unwrap_or(u32::MAX)
}

/// All charges of an order whose fills so far come to `turnover`.
#[inline]
pub(crate) fn on_turnover(turnover: Money, side: Side, product: Product) -> Charges {
    let turnover = u64::try_from(turnover.paise()).unwrap_or(0);
    let brokerage = match product {
        Product::Mis => share::<3, 10_000>(turnover).min(BROKERAGE_CAP_PAISE),
        Product::Cnc => 0,
    };
    let stt = match (product, side) {
        (Product::Mis, Side::Sell) => share::<25, 100_000>(turnover),
        (Product::Mis, Side::Buy) => 0,
        (Product::Cnc, _) => share::<1, 1_000>(turnover),
    };
    let stamp_duty = match (product, side) {
        (_, Side::Sell) => 0,
        (Product::Mis, Side::Buy) => share::<3, 100_000>(turnover),
        (Product::Cnc, Side::Buy) => share::<15, 100_000>(turnover),
    };
    let exchange = share::<307, 10_000_000>(turnover);
    let sebi = share::<1, 1_000_000>(turnover);
    let taxed = brokerage.saturating_add(exchange).saturating_add(sebi);
    let gst = taxed
        .saturating_mul(GST_PERCENT)
        .saturating_add(50)
        .wrapping_div(100);
    Charges {
        brokerage: component(brokerage),
        stt: component(stt),
        exchange: component(exchange),
        gst: component(gst),
        stamp_duty: component(stamp_duty),
        sebi: component(sebi),
    }
}

/// `after − before`, component by component. Components never shrink as turnover grows.
#[inline]
pub(crate) fn difference(after: &Charges, before: &Charges) -> Charges {
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

    #[test]
    fn a_delivery_buy_and_an_intraday_round_trip() {
        let rupees = |amount: i64| Money::from_paise(amount * 100);
        // ₹24,500 bought for delivery.
        let cnc = on_turnover(rupees(24_500), Side::Buy, Product::Cnc);
        assert_eq!(
            cnc,
            Charges {
                brokerage: 0,
                stt: 2_450,
                exchange: 75,
                gst: 14,
                stamp_duty: 368,
                sebi: 2
            }
        );
        // ₹24,500 intraday: brokerage 7.35, exchange 0.75215, SEBI 0.0245, GST 18 % of 8.12.
        let buy = on_turnover(rupees(24_500), Side::Buy, Product::Mis);
        assert_eq!(
            buy,
            Charges {
                brokerage: 735,
                stt: 0,
                exchange: 75,
                gst: 146,
                stamp_duty: 74,
                sebi: 2
            }
        );
        let sell = on_turnover(rupees(24_500), Side::Sell, Product::Mis);
        assert_eq!(
            sell,
            Charges {
                brokerage: 735,
                stt: 613,
                exchange: 75,
                gst: 146,
                stamp_duty: 0,
                sebi: 2
            }
        );
    }

    #[test]
    fn slicing_does_not_change_the_sum() {
        let steps = [1_i64, 333, 99_999, 7_000_000, 12_345_678];
        let (mut turnover, mut paid, mut sum) = (0, Charges::default(), 0);
        for step in steps {
            turnover += step;
            let so_far = on_turnover(Money::from_paise(turnover), Side::Sell, Product::Mis);
            sum += difference(&so_far, &paid).total().paise();
            paid = so_far;
        }
        assert_eq!(
            sum,
            on_turnover(Money::from_paise(turnover), Side::Sell, Product::Mis)
                .total()
                .paise()
        );
        assert_eq!(paid.brokerage, 2_000, "capped at ₹20 an order");
    }
}
