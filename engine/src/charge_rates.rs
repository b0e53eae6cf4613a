//! Charge rates as data with an effective date (RISK.md, Charges).

use core::fmt;
use core::str::FromStr;

use crate::units::{Money, ParseDecimalError, decimal_to_scaled};

/// A share of a turnover in parts per billion, at most the whole: 0.00307 % is 30,700.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
pub struct ChargeRate(u32);

impl ChargeRate {
    pub const ZERO: ChargeRate = ChargeRate(0);
    pub const ONE: ChargeRate = ChargeRate(1_000_000_000);

    /// `None` above the whole.
    pub const fn from_ppb(ppb: u32) -> Option<ChargeRate> {
        if ppb <= ChargeRate::ONE.0 {
            Some(ChargeRate(ppb))
        } else {
            None
        }
    }

    pub const fn ppb(self) -> u32 {
        self.0
    }
}

impl fmt::Display for ChargeRate {
    /// The plain number with at least one decimal and no trailing zeros: `0.0003`, `0.0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0.wrapping_div(ChargeRate::ONE.0);
        let mut fraction = self.0.wrapping_rem(ChargeRate::ONE.0);
        let mut width = 9_usize;
        while width > 1 && fraction.checked_rem(10) == Some(0) {
            fraction = fraction.wrapping_div(10);
            width = width.saturating_sub(1);
        }
        write!(f, "{whole}.{fraction:0width$}")
    }
}

impl fmt::Debug for ChargeRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ChargeRate {
    type Err = ParseDecimalError;

    /// A decimal of 0 to 1 (`0.0000307`), exactly; more than nine decimals are an error, not a rounding.
    fn from_str(text: &str) -> Result<ChargeRate, ParseDecimalError> {
        let ppb = decimal_to_scaled(text, 9)?;
        u32::try_from(ppb)
            .ok()
            .and_then(ChargeRate::from_ppb)
            .ok_or(ParseDecimalError::OutOfRange)
    }
}

/// The rates that depend on the product. All are shares of the turnover.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct ProductRates {
    pub brokerage: ChargeRate,
    /// What one order's brokerage is capped at; `None` for no cap. Not negative.
    pub brokerage_max: Option<Money>,
    /// Securities transaction tax of buys and of sells.
    pub stt_buy: ChargeRate,
    pub stt_sell: ChargeRate,
    /// Stamp duty, which only buyers pay.
    pub stamp_duty_buy: ChargeRate,
}

/// Every rate from a trading day on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct ChargeRates {
    /// First trading day (IST, days since 1970-01-01) that they hold for.
    pub effective_from: u32,
    pub mis: ProductRates,
    pub cnc: ProductRates,
    /// Exchange transaction charge.
    pub exchange: ChargeRate,
    /// Turnover fee of the regulator.
    pub sebi: ChargeRate,
    /// Goods and services tax, on brokerage + exchange + SEBI.
    pub gst: ChargeRate,
}

impl ChargeRates {
    /// The rates of RISK.md, for every day before the first that a configuration names.
    pub const fn built_in() -> ChargeRates {
        ChargeRates {
            effective_from: 0,
            // 0.03 % and at most ₹20; 0.025 % on sells; 0.003 % on buys.
            mis: ProductRates {
                brokerage: ChargeRate(300_000),
                brokerage_max: Some(Money::from_paise(2_000)),
                stt_buy: ChargeRate::ZERO,
                stt_sell: ChargeRate(250_000),
                stamp_duty_buy: ChargeRate(30_000),
            },
            // No brokerage; 0.1 % on both sides; 0.015 % on buys.
            cnc: ProductRates {
                brokerage: ChargeRate::ZERO,
                brokerage_max: None,
                stt_buy: ChargeRate(1_000_000),
                stt_sell: ChargeRate(1_000_000),
                stamp_duty_buy: ChargeRate(150_000),
            },
            // 0.00307 %, ₹10 a crore, 18 %.
            exchange: ChargeRate(30_700),
            sebi: ChargeRate(1_000),
            gst: ChargeRate(180_000_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_exact_decimals() {
        let check = |text: &str, ppb: u32, shown: &str| {
            let rate: ChargeRate = text.parse().unwrap();
            assert_eq!((rate.ppb(), std::format!("{rate}").as_str()), (ppb, shown));
        };
        check("0.0000307", 30_700, "0.0000307");
        check("3e-4", 300_000, "0.0003");
        check("0", 0, "0.0");
        check("1", 1_000_000_000, "1.0");
        check("0.000000001", 1, "0.000000001");
        let wrong = |text: &str| text.parse::<ChargeRate>().unwrap_err();
        assert_eq!(wrong("0.0000000001"), ParseDecimalError::TooManyDecimals);
        assert_eq!(wrong("1.000000001"), ParseDecimalError::OutOfRange);
        assert_eq!(wrong("-0.1"), ParseDecimalError::OutOfRange);
        assert_eq!(wrong("18%"), ParseDecimalError::NotANumber);
    }
}
