//! Prices, quantities, money, ratios and time: exact integers behind private fields.
//!
//! The only product across units is [`Price::notional`]. Nothing here is a float, and nothing wraps silently:
//! additions either cannot overflow by the bounds of [`crate::limits`] or saturate, which is named.

use core::fmt;
use core::num::NonZeroU32;
use core::str::FromStr;

use crate::limits::QUANTITY_MAX;

/// A price of one share in paise, 1 to 4,294,967,295 (₹4.29 crore). Zero is not a price.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Price(NonZeroU32);

impl Price {
    pub const MIN: Price = Price(NonZeroU32::MIN);
    pub const MAX: Price = Price(NonZeroU32::MAX);

    /// `None` for zero.
    pub const fn from_paise(paise: u32) -> Option<Price> {
        match NonZeroU32::new(paise) {
            Some(paise) => Some(Price(paise)),
            None => None,
        }
    }

    /// The nearest price for any integer: below 1 paisa becomes 1 paisa, above the type's ceiling the ceiling.
    pub fn from_paise_clamped(paise: i64) -> Price {
        match u32::try_from(paise) {
            Ok(paise) => Price::from_paise(paise).unwrap_or(Price::MIN),
            Err(_) if paise < 0 => Price::MIN,
            Err(_) => Price::MAX,
        }
    }

    pub const fn paise(self) -> u32 {
        self.0.get()
    }

    /// Price × quantity in paise; cannot overflow (see [`QUANTITY_MAX`]).
    pub fn notional(self, quantity: Quantity) -> Money {
        let product = u64::from(self.paise()).wrapping_mul(u64::from(quantity.shares()));
        Money(i64::try_from(product).unwrap_or(i64::MAX))
    }

    /// Distance between two prices, per share.
    pub fn distance(self, other: Price) -> Money {
        Money(i64::from(self.paise().abs_diff(other.paise())))
    }

    pub fn money(self) -> Money {
        Money(i64::from(self.paise()))
    }
}

impl fmt::Display for Price {
    /// Rupees with two decimals: `2450.05`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.money(), f)
    }
}

impl fmt::Debug for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a decimal text is not a price or an amount.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParseDecimalError {
    NotANumber,
    TooManyDecimals,
    OutOfRange,
}

impl fmt::Display for ParseDecimalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ParseDecimalError::NotANumber => "is not a decimal number",
            ParseDecimalError::TooManyDecimals => "has more than two decimals",
            ParseDecimalError::OutOfRange => "is out of range",
        })
    }
}

impl core::error::Error for ParseDecimalError {}

impl FromStr for Price {
    type Err = ParseDecimalError;

    /// Rupees as decimal text (`2450`, `2450.5`, `2450.05`, `2.45e3`), exactly; zero and negative are out of range.
    fn from_str(text: &str) -> Result<Price, ParseDecimalError> {
        let paise = text.parse::<Money>()?.paise();
        u32::try_from(paise)
            .ok()
            .and_then(Price::from_paise)
            .ok_or(ParseDecimalError::OutOfRange)
    }
}

/// A number of shares, 0 to [`QUANTITY_MAX`].
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
pub struct Quantity(u32);

impl Quantity {
    pub const ZERO: Quantity = Quantity(0);
    pub const MAX: Quantity = Quantity(QUANTITY_MAX);

    pub const fn new(shares: u32) -> Option<Quantity> {
        if shares <= QUANTITY_MAX {
            Some(Quantity(shares))
        } else {
            None
        }
    }

    /// The nearest quantity for any integer.
    pub fn clamped(shares: i64) -> Quantity {
        match u32::try_from(shares) {
            Ok(shares) if shares <= QUANTITY_MAX => Quantity(shares),
            Ok(_) => Quantity::MAX,
            Err(_) if shares < 0 => Quantity::ZERO,
            Err(_) => Quantity::MAX,
        }
    }

    pub const fn shares(self) -> u32 {
        self.0
    }

    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    pub const fn saturating_sub(self, other: Quantity) -> Quantity {
        Quantity(self.0.saturating_sub(other.0))
    }

    pub fn saturating_add(self, other: Quantity) -> Quantity {
        Quantity(self.0.saturating_add(other.0).min(QUANTITY_MAX))
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// An amount of money in paise, negative for a loss or a debit.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
pub struct Money(i64);

impl Money {
    pub const ZERO: Money = Money(0);
    pub const MAX: Money = Money(i64::MAX);

    pub(crate) const fn doubled(self) -> Money {
        Money(self.0.saturating_mul(2))
    }

    pub const fn from_paise(paise: i64) -> Money {
        Money(paise)
    }

    pub const fn paise(self) -> i64 {
        self.0
    }

    /// Sums saturate at the type's ends (±₹9.2 × 10^16), far above what the bounds of an account allow.
    #[inline(always)]
    pub const fn saturating_add(self, other: Money) -> Money {
        match self.0.checked_add(other.0) {
            Some(sum) => Money(sum),
            None => Money::end(other.0 < 0),
        }
    }

    /// See [`Money::saturating_add`].
    #[inline(always)]
    pub const fn saturating_sub(self, other: Money) -> Money {
        match self.0.checked_sub(other.0) {
            Some(difference) => Money(difference),
            None => Money::end(other.0 > 0),
        }
    }

    /// The type's lower or upper end. Out of the way: a branch that is never taken costs less than a selection.
    #[cold]
    #[inline(never)]
    const fn end(lower: bool) -> Money {
        Money(if lower { i64::MIN } else { i64::MAX })
    }

    pub const fn negated(self) -> Money {
        Money(self.0.saturating_neg())
    }

    pub const fn abs(self) -> Money {
        Money(self.0.saturating_abs())
    }

    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// The nearest amount to a wide sum.
    pub fn from_wide(paise: i128) -> Money {
        match i64::try_from(paise) {
            Ok(paise) => Money(paise),
            Err(_) if paise < 0 => Money(i64::MIN),
            Err(_) => Money(i64::MAX),
        }
    }

    pub fn wide(self) -> i128 {
        i128::from(self.0)
    }
}

impl fmt::Display for Money {
    /// Rupees with two decimals and no grouping: `-1234.50`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(
            f,
            "{sign}{}.{:02}",
            magnitude.wrapping_div(100),
            magnitude.wrapping_rem(100)
        )
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Money {
    type Err = ParseDecimalError;

    /// Rupees as decimal text, exactly: an optional sign, digits, an optional fraction, an optional exponent. More
    /// than two significant decimals are an error, not a rounding.
    fn from_str(text: &str) -> Result<Money, ParseDecimalError> {
        decimal_to_scaled(text, 2).map(Money)
    }
}

/// `text × 10^decimals` as an exact integer.
pub(crate) fn decimal_to_scaled(text: &str, decimals: i32) -> Result<i64, ParseDecimalError> {
    use ParseDecimalError::{NotANumber, OutOfRange, TooManyDecimals};
    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, text.get(1..).unwrap_or("")),
        Some(b'+') => (false, text.get(1..).unwrap_or("")),
        _ => (false, text),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| NotANumber)?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return Err(NotANumber);
    }
    let mut value: i128 = 0;
    let mut scale = decimals.saturating_add(exponent.clamp(-1_000, 1_000));
    for (digit, in_fraction) in whole
        .bytes()
        .map(|b| (b, false))
        .chain(fraction.bytes().map(|b| (b, true)))
    {
        if !digit.is_ascii_digit() {
            return Err(NotANumber);
        }
        value = value.checked_mul(10).ok_or(OutOfRange)?;
        value = value
            .checked_add(i128::from(digit.wrapping_sub(b'0')))
            .ok_or(OutOfRange)?;
        scale = scale.saturating_sub(i32::from(in_fraction));
    }
    while scale > 0 && value != 0 {
        value = value.checked_mul(10).ok_or(OutOfRange)?;
        scale = scale.saturating_sub(1);
    }
    while scale < 0 && value != 0 {
        if value.checked_rem(10) != Some(0) {
            return Err(TooManyDecimals);
        }
        value = value.checked_div(10).unwrap_or(0);
        scale = scale.saturating_add(1);
    }
    let signed = if negative { value.wrapping_neg() } else { value };
    i64::try_from(signed).map_err(|_| OutOfRange)
}

/// A ratio in parts per million: 2 % is 20,000, a reward of 2.0 : 1 is 2,000,000.
///
/// Limits are compared with strict inequality "exactly at the limit passes", so they must be exact decimals; a binary
/// fixed-point type cannot hold 0.05.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
pub struct Ratio(u32);

impl Ratio {
    pub const ZERO: Ratio = Ratio(0);
    pub const ONE: Ratio = Ratio(1_000_000);

    pub const fn from_ppm(ppm: u32) -> Ratio {
        Ratio(ppm)
    }

    pub const fn ppm(self) -> u32 {
        self.0
    }

    /// `amount × self` in millionths of a paisa, exact.
    pub fn of(self, amount: Money) -> i128 {
        amount.wide().wrapping_mul(i128::from(self.0))
    }

    /// `amount × self` rounded down (towards −∞) to the paisa.
    pub fn of_floor(self, amount: Money) -> Money {
        Money::from_wide(self.of(amount).div_euclid(1_000_000))
    }
}

impl fmt::Display for Ratio {
    /// The plain number with at least one decimal and no trailing zeros: `2.0`, `0.025`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0.wrapping_div(1_000_000);
        let mut fraction = self.0.wrapping_rem(1_000_000);
        let mut width = 6_usize;
        while width > 1 && fraction.checked_rem(10) == Some(0) {
            fraction = fraction.wrapping_div(10);
            width = width.saturating_sub(1);
        }
        write!(f, "{whole}.{fraction:0width$}")
    }
}

impl fmt::Debug for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Ratio {
    type Err = ParseDecimalError;

    fn from_str(text: &str) -> Result<Ratio, ParseDecimalError> {
        let ppm = decimal_to_scaled(text, 6)?;
        u32::try_from(ppm)
            .map(Ratio)
            .map_err(|_| ParseDecimalError::OutOfRange)
    }
}

/// Nanoseconds since the Unix epoch, UTC. Never runs backwards inside an engine.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
pub struct Timestamp(u64);

/// India Standard Time is UTC + 5:30, without daylight saving.
const IST_OFFSET_NS: u64 = 19_800 * NS_PER_SECOND;
const NS_PER_SECOND: u64 = 1_000_000_000;
const NS_PER_DAY: u64 = 86_400 * NS_PER_SECOND;

impl Timestamp {
    pub const ZERO: Timestamp = Timestamp(0);
    pub const MAX: Timestamp = Timestamp(u64::MAX);

    pub const fn from_nanos(nanos: u64) -> Timestamp {
        Timestamp(nanos)
    }

    pub const fn nanos(self) -> u64 {
        self.0
    }

    pub const fn saturating_add_nanos(self, nanos: u64) -> Timestamp {
        Timestamp(self.0.saturating_add(nanos))
    }

    pub const fn saturating_since(self, earlier: Timestamp) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The IST calendar day, counted from 1970-01-01: the trading day.
    pub const fn trading_day(self) -> u32 {
        let days = self.0.saturating_add(IST_OFFSET_NS).wrapping_div(NS_PER_DAY);
        #[expect(
            clippy::as_conversions,
            reason = "2^64 ns are fewer than 2^32 days; `try_from` is not const"
        )]
        let day = days as u32;
        day
    }

    /// The first instant of an IST calendar day.
    pub const fn start_of_trading_day(day: u32) -> Timestamp {
        #[expect(clippy::as_conversions, reason = "widening; `from` is not const")]
        let day = day as u64;
        Timestamp(day.saturating_mul(NS_PER_DAY).saturating_sub(IST_OFFSET_NS))
    }

    /// An instant of an IST calendar day, in whole seconds since its midnight.
    pub const fn in_trading_day(day: u32, second: u32) -> Timestamp {
        #[expect(clippy::as_conversions, reason = "widening; `from` is not const")]
        let second = second as u64;
        Timestamp::start_of_trading_day(day).saturating_add_nanos(second.saturating_mul(NS_PER_SECOND))
    }

    /// Whole seconds since midnight in India.
    pub const fn second_of_trading_day(self) -> u32 {
        let since = self.0.saturating_add(IST_OFFSET_NS).wrapping_rem(NS_PER_DAY);
        #[expect(
            clippy::as_conversions,
            reason = "a day has fewer than 2^32 seconds; `try_from` is not const"
        )]
        let second = since.wrapping_div(NS_PER_SECOND) as u32;
        second
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ns", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_parses_exactly() {
        let check = |text: &str, expected: Result<i64, ParseDecimalError>| {
            assert_eq!(text.parse::<Money>().map(Money::paise), expected, "{text}");
        };
        check("2450", Ok(245_000));
        check("2450.5", Ok(245_050));
        check("-0.05", Ok(-5));
        check("2.45e3", Ok(245_000));
        check("245000e-2", Ok(245_000));
        check("100.000", Ok(10_000));
        check("0e999999", Ok(0));
        check(".5", Ok(50));
        check("5.", Ok(500));
        check("1.005", Err(ParseDecimalError::TooManyDecimals));
        check("", Err(ParseDecimalError::NotANumber));
        check(".", Err(ParseDecimalError::NotANumber));
        check("1e", Err(ParseDecimalError::NotANumber));
        check("NaN", Err(ParseDecimalError::NotANumber));
        check("१", Err(ParseDecimalError::NotANumber));
        check("1e30", Err(ParseDecimalError::OutOfRange));
        check(
            "99999999999999999999999999999999999999999",
            Err(ParseDecimalError::OutOfRange),
        );
    }

    #[test]
    fn display_is_rupees() {
        assert_eq!(
            std::format!("{} {}", Money::from_paise(-5), Money::from_paise(123_456)),
            "-0.05 1234.56"
        );
        assert_eq!(
            std::format!("{} {}", Ratio::from_ppm(2_000_000), Ratio::from_ppm(25_000)),
            "2.0 0.025"
        );
    }

    #[test]
    fn the_trading_day_turns_at_midnight_in_india() {
        let turn = Timestamp::start_of_trading_day(20_000);
        assert_eq!(turn.trading_day(), 20_000);
        assert_eq!(Timestamp::from_nanos(turn.nanos() - 1).trading_day(), 19_999);
    }

    #[test]
    fn notional_cannot_overflow() {
        assert!(Price::MAX.notional(Quantity::MAX).paise() > 0);
    }
}
