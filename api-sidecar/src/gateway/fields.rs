//! Scalars of a JSON body, read from their own text: a decimal is parsed exactly and never passes through a float.
//!
//! The rules are those of the old backend's clients (CONTRACT.md section 2, Order body): numbers may be strings, `null`
//! and zero mean "none" where a price is optional, words are matched in any case.

use std::borrow::Cow;

use engine::{Price, Quantity};
use serde_json::value::RawValue;

/// A sentence that names the field and says what is wrong with it.
pub(crate) type Invalid = String;

/// A field as it stands in the body; absent and `null` are the same.
pub(crate) type Raw<'b> = Option<&'b RawValue>;

enum Scalar<'b> {
    Text(Cow<'b, str>),
    /// The digits as written.
    Number(&'b str),
    Boolean(bool),
    Composite,
}

fn scalar(raw: &RawValue) -> Scalar<'_> {
    let text = raw.get().trim();
    match text.as_bytes().first() {
        Some(b'"') => match text[1..text.len() - 1].contains('\\') {
            false => Scalar::Text(Cow::Borrowed(&text[1..text.len() - 1])),
            true => match serde_json::from_str::<String>(text) {
                Ok(unescaped) => Scalar::Text(Cow::Owned(unescaped)),
                Err(_) => Scalar::Composite,
            },
        },
        Some(b't') => Scalar::Boolean(true),
        Some(b'f') => Scalar::Boolean(false),
        Some(b'-' | b'0'..=b'9') => Scalar::Number(text),
        _ => Scalar::Composite,
    }
}

/// A string. `Ok(None)` where it is absent.
pub(crate) fn string<'b>(name: &str, raw: Raw<'b>) -> Result<Option<Cow<'b, str>>, Invalid> {
    match raw.map(scalar) {
        None => Ok(None),
        Some(Scalar::Text(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{name} must be a string")),
    }
}

/// A string of at most `bytes_max` bytes without control characters. Empty counts as absent.
pub(crate) fn short_string<'b>(
    name: &str,
    raw: Raw<'b>,
    bytes_max: usize,
) -> Result<Option<Cow<'b, str>>, Invalid> {
    let Some(text) = string(name, raw)?.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    if text.len() > bytes_max {
        return Err(format!("{name} is longer than {bytes_max} bytes"));
    }
    if text.chars().any(char::is_control) {
        return Err(format!("{name} contains a control character"));
    }
    Ok(Some(text))
}

pub(crate) fn boolean(name: &str, raw: Raw<'_>) -> Result<Option<bool>, Invalid> {
    match raw.map(scalar) {
        None => Ok(None),
        Some(Scalar::Boolean(value)) => Ok(Some(value)),
        Some(_) => Err(format!("{name} must be true or false")),
    }
}

/// An integer as Python's `int()` takes it: `10`, `"10"`, and 10.7 cut to 10. Beyond the type it saturates.
pub(crate) fn integer(name: &str, raw: Raw<'_>) -> Result<Option<i64>, Invalid> {
    let wrong = || format!("{name} must be an integer");
    match raw.map(scalar) {
        None => Ok(None),
        Some(Scalar::Number(text)) => truncate_decimal(text).map(Some).ok_or_else(wrong),
        Some(Scalar::Text(text)) => parse_integer(text.trim()).map(Some).ok_or_else(wrong),
        Some(_) => Err(wrong()),
    }
}

/// Digits with an optional sign; the nearest representable value where there are too many.
fn parse_integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let saturated = if text.starts_with('-') { i64::MIN } else { i64::MAX };
    Some(text.parse().unwrap_or(saturated))
}

/// The integer part of a JSON number, towards zero.
fn truncate_decimal(text: &str) -> Option<i64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        // An exponent beyond the type is beyond every integer, or below one.
        Some((mantissa, exponent)) => (mantissa, parse_integer(exponent)?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (negative, whole) = match whole.strip_prefix('-') {
        Some(whole) => (true, whole),
        None => (false, whole),
    };
    let point = i64::try_from(whole.len()).ok()?.saturating_add(exponent);
    let mut value: i64 = 0;
    for (at, digit) in (0_i64..).zip(whole.bytes().chain(fraction.bytes())) {
        if at >= point {
            break;
        }
        value = value.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
    }
    let digits = i64::try_from(whole.len() + fraction.len()).ok()?;
    let mut zeros = point.saturating_sub(digits);
    while zeros > 0 && value != 0 && value != i64::MAX {
        value = value.saturating_mul(10);
        zeros -= 1;
    }
    Some(if negative { value.saturating_neg() } else { value })
}

/// A required number of shares, at least 1.
pub(crate) fn quantity(name: &str, raw: Raw<'_>) -> Result<Quantity, Invalid> {
    let shares = integer(name, raw)?.ok_or_else(|| format!("{name} is required"))?;
    positive_quantity(name, shares)
}

/// A number of shares; absent, `null`, `""` and 0 mean none.
pub(crate) fn optional_quantity(name: &str, raw: Raw<'_>) -> Result<Option<Quantity>, Invalid> {
    let raw = raw.filter(|raw| raw.get() != "\"\"");
    match integer(name, raw)? {
        None | Some(0) => Ok(None),
        Some(shares) => positive_quantity(name, shares).map(Some),
    }
}

fn positive_quantity(name: &str, shares: i64) -> Result<Quantity, Invalid> {
    if shares <= 0 {
        let (first, rest) = name.split_at(name.len().min(1));
        return Err(format!("{}{} must be positive", first.to_ascii_uppercase(), rest));
    }
    u32::try_from(shares)
        .ok()
        .and_then(Quantity::new)
        .ok_or_else(|| format!("{name} is out of range"))
}

/// A number without the noise of arithmetic on binary doubles, which is what most clients' numbers are: of more than 15
/// digits the first 15 count, so that 0.1 + 0.2 is 0.3. What is not a number comes back as it is.
pub(crate) fn without_noise(number: &str) -> Cow<'_, str> {
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    if mantissa.bytes().filter(u8::is_ascii_digit).count() <= 15 {
        return Cow::Borrowed(number);
    }
    match number.parse::<f64>() {
        Ok(value) if value.is_finite() => Cow::Owned(format!("{value:.14e}")),
        _ => Cow::Borrowed(number),
    }
}

/// A price as a number or a numeric string; absent, `null`, `""` and 0 mean none.
pub(crate) fn optional_price(name: &str, raw: Raw<'_>) -> Result<Option<Price>, Invalid> {
    let text = match raw.map(scalar) {
        None => return Ok(None),
        Some(Scalar::Number(text)) => without_noise(text),
        Some(Scalar::Text(text)) => text,
        Some(_) => return Err(format!("{name} must be a number")),
    };
    let text = text.trim();
    if text.is_empty() || text.parse::<engine::Money>() == Ok(engine::Money::ZERO) {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error| format!("{name} {error}"))
}

/// One of a few words, in any case.
pub(crate) fn word<T: Copy>(
    name: &str,
    type_name: &str,
    raw: Raw<'_>,
    words: &[(&str, T)],
) -> Result<Option<T>, Invalid> {
    let Some(text) = string(name, raw)? else {
        return Ok(None);
    };
    match words.iter().find(|(word, _)| text.eq_ignore_ascii_case(word)) {
        Some(&(_, value)) => Ok(Some(value)),
        None => {
            let shown: String = text.chars().take(20).collect();
            Err(format!("'{}' is not a valid {type_name}", shown.to_uppercase()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn quantities_follow_int() {
        let check = |json: &str, expected: Result<u32, &str>| {
            let found = quantity("quantity", Some(&raw(json))).map(Quantity::shares);
            assert_eq!(found, expected.map_err(str::to_owned), "{json}");
        };
        let not_integer = Err("quantity must be an integer");
        let not_positive = Err("Quantity must be positive");
        check("10", Ok(10));
        check("\"10\"", Ok(10));
        check("\" +10 \"", Ok(10));
        check("10.7", Ok(10));
        check("1e2", Ok(100));
        check("1.25e1", Ok(12));
        check("125e-1", Ok(12));
        check("\"\\u0031\"", Ok(1));
        check("\"10.7\"", not_integer);
        check("\"\"", not_integer);
        check("\"ten\"", not_integer);
        check("true", not_integer);
        check("[10]", not_integer);
        check("0", not_positive);
        check("0.9", not_positive);
        check("-5", not_positive);
        check("1e-400", not_positive);
        check("2147483648", Err("quantity is out of range"));
        check("1e999999999999999999999", Err("quantity is out of range"));
        check("\"99999999999999999999999\"", Err("quantity is out of range"));
        assert_eq!(quantity("quantity", None), Err("quantity is required".to_owned()));
    }

    #[test]
    fn nothing_said_of_a_quantity_leaves_it() {
        for json in ["0", "\"0\"", "\"\"", "0.5"] {
            assert_eq!(
                optional_quantity("quantity", Some(&raw(json))),
                Ok(None),
                "{json}"
            );
        }
        assert!(optional_quantity("quantity", Some(&raw("-1"))).is_err());
        assert!(optional_quantity("quantity", Some(&raw("\" \""))).is_err());
    }

    #[test]
    fn prices_are_exact_decimals() {
        let check = |json: &str, expected: Result<Option<u32>, &str>| {
            let found = optional_price("price", Some(&raw(json))).map(|price| price.map(Price::paise));
            assert_eq!(found, expected.map_err(str::to_owned), "{json}");
        };
        check("2450", Ok(Some(245_000)));
        check("2450.05", Ok(Some(245_005)));
        check("\"2450.05\"", Ok(Some(245_005)));
        check("2.45005e3", Ok(Some(245_005)));
        check("0.1", Ok(Some(10)));
        check("0", Ok(None));
        check("0.0", Ok(None));
        check("\"0\"", Ok(None));
        check("\"\"", Ok(None));
        check("-0.0", Ok(None));
        check("-1", Err("price is out of range"));
        check("1e30", Err("price is out of range"));
        check("2450.005", Err("price has more than two decimals"));
        check("2450.00500000000001", Err("price has more than two decimals"));
        check("\"2452.4499999999998\"", Err("price has more than two decimals"));
        // As 2450 * 1.001 and 0.1 + 0.2 come out in binary.
        check("2452.4499999999998", Ok(Some(245_245)));
        check("0.30000000000000004", Ok(Some(30)));
        check("0.00000000000000001", Err("price has more than two decimals"));
        check("1000000.0000000000", Ok(Some(100_000_000)));
        check("\"NaN\"", Err("price is not a decimal number"));
        check("true", Err("price must be a number"));
        check("{}", Err("price must be a number"));
    }
}
