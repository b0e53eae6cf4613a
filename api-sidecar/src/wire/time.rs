//! Instants as text: ISO 8601 in UTC; trading days as calendar dates.

use core::fmt;

use engine::Timestamp;

const NS_PER_SECOND: u64 = 1_000_000_000;
const SECONDS_PER_DAY: u64 = 86_400;

/// `2026-08-03T09:15:00.000042Z`: UTC with microseconds, the resolution of the tables.
#[derive(Clone, Copy, Debug)]
pub struct Iso8601(pub Timestamp);

impl fmt::Display for Iso8601 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.nanos() / NS_PER_SECOND;
        let micros = self.0.nanos() % NS_PER_SECOND / 1_000;
        let (year, month, day) = civil_from_days(seconds / SECONDS_PER_DAY);
        let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z"
        )
    }
}

/// `Mon, 03 Aug 2026 09:15:00 GMT`: the `Date` of an HTTP answer (RFC 9110 section 5.6.7).
#[derive(Clone, Copy, Debug)]
pub struct HttpDate(pub Timestamp);

impl fmt::Display for HttpDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 1970-01-01 was a Thursday.
        const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
        let seconds = self.0.nanos() / NS_PER_SECOND;
        let days = seconds / SECONDS_PER_DAY;
        let (year, month, day) = civil_from_days(days);
        let weekday = usize::try_from(days % 7).map_or("", |at| DAYS[at]);
        let month = usize::try_from(month * 3).map_or("", |end| &MONTHS[end - 3..end]);
        let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
        write!(
            f,
            "{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT"
        )
    }
}

/// `2026-08-03`: a trading day of the engine (days since 1970-01-01 in India).
#[derive(Clone, Copy, Debug)]
pub struct TradingDate(pub u32);

impl fmt::Display for TradingDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(u64::from(self.0));
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// A trading day from `YYYY-MM-DD`. `None` for anything else and for days before 1970.
pub fn parse_date(text: &str) -> Option<u32> {
    let midnight = parse_iso8601(&format!("{text}T00:00:00Z")).filter(|_| text.len() == 10)?;
    u32::try_from(midnight.nanos() / NS_PER_SECOND / SECONDS_PER_DAY).ok()
}

/// An instant from ISO 8601 (RFC 3339 profile): `YYYY-MM-DDTHH:MM:SS[.fraction](Z|±HH:MM)`. `None` for anything else,
/// for instants before 1970 and for those past the range of [`Timestamp`].
pub fn parse_iso8601(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<u64> {
        let digits = bytes.get(from..to)?;
        digits.iter().all(u8::is_ascii_digit).then_some(())?;
        text.get(from..to)?.parse().ok()
    };
    let is = |at: usize, set: &[u8]| bytes.get(at).is_some_and(|byte| set.contains(byte));
    let shape = is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":");
    shape.then_some(())?;
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let sane = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    sane.then_some(())?;

    let fraction_len = match bytes.get(19) {
        Some(b'.') => bytes
            .get(20..)?
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count(),
        _ => 0,
    };
    let nanos = if fraction_len == 0 {
        0
    } else {
        let kept = fraction_len.min(9);
        number(20, 20 + kept)? * 10_u64.pow(9 - u32::try_from(kept).ok()?)
    };
    let zone = text.get(if fraction_len == 0 { 19 } else { 20 + fraction_len }..)?;
    let offset = zone_offset_seconds(zone)?;
    let local = i64::try_from(days_from_civil(year, month, day)? * SECONDS_PER_DAY).ok()?
        + i64::try_from(hour * 3_600 + minute * 60 + second).ok()?;
    let seconds = u64::try_from(local - offset).ok()?;
    Some(Timestamp::from_nanos(
        seconds.checked_mul(NS_PER_SECOND)?.checked_add(nanos)?,
    ))
}

fn zone_offset_seconds(zone: &str) -> Option<i64> {
    if zone == "Z" || zone == "z" {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let two_digits = |text: &str| -> Option<i64> {
        (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(())?;
        text.parse().ok()
    };
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days before January of `year`, counted from 1970.
fn days_before_year(year: u64) -> u64 {
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    (year - 1970) * 365 + leaps(year - 1) - leaps(1969)
}

/// Proleptic Gregorian date to days since 1970-01-01. `None` before 1970.
fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    (year >= 1970).then_some(())?;
    let months: u64 = (1..month).map(|month| days_in_month(year, month)).sum();
    Some(days_before_year(year) + months + day - 1)
}

/// Days since 1970-01-01 to (year, month, day).
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let mut year = 1970 + days / 366;
    while days_before_year(year + 1) <= days {
        year += 1;
    }
    let mut left = days - days_before_year(year);
    let mut month = 1;
    while left >= days_in_month(year, month) {
        left -= days_in_month(year, month);
        month += 1;
    }
    (year, month, left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_print_and_parse_back() {
        for (nanos, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400_000_001_000, "2000-02-29T00:00:00.000001Z"),
            (1_785_921_300_000_042_000, "2026-08-05T09:15:00.000042Z"),
            (4_107_542_399_999_999_000, "2100-02-28T23:59:59.999999Z"),
            (4_107_542_400_000_000_000, "2100-03-01T00:00:00.000000Z"),
        ] {
            let instant = Timestamp::from_nanos(nanos);
            assert_eq!(Iso8601(instant).to_string(), text);
            assert_eq!(parse_iso8601(text), Some(instant), "{text}");
        }
    }

    #[test]
    fn http_dates_are_imf_fixdate() {
        // The example of RFC 9110 section 5.6.7.
        let instant = parse_iso8601("1994-11-06T08:49:37Z").unwrap();
        assert_eq!(HttpDate(instant).to_string(), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn every_day_of_five_centuries_round_trips() {
        for days in 0..182_621 {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), Some(days));
        }
    }

    #[test]
    fn zones_shift_and_nonsense_is_none() {
        let base = parse_iso8601("2026-08-05T09:15:00Z");
        assert!(base.is_some());
        assert_eq!(parse_iso8601("2026-08-05T14:45:00+05:30"), base);
        assert_eq!(parse_iso8601("2026-08-05t04:15:00.000-05:00"), base);
        for bad in [
            "",
            "2026-08-05",
            "2026-08-05T09:15:00",
            "2026-02-29T09:15:00Z",
            "2026-13-01T09:15:00Z",
            "2026-08-05T24:00:00Z",
            "2026-08-05T09:15:60Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59Z",
            "2026-08-05T09:15:00.Z",
            "2026-08-05T09:15:00+5:30",
            "+026-08-05T09:15:00Z",
            "२026-08-05T09:15:00Z",
        ] {
            assert_eq!(parse_iso8601(bad), None, "{bad}");
        }
    }
}
