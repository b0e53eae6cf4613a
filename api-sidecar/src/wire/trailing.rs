//! Trailing stops as clients set and see them.

use engine::{Price, Ratio, Trailing};

use super::json::Object;

/// `trailing`, as `PUT /positions/<id>` takes it (`{"distance": rupees}` or `{"percent": p}`), and `trailing_stop`, the price
/// at which it stands now. Both `null` where there is none.
pub(crate) fn trailing_fields(row: &mut Object<'_>, trailing: Option<Trailing>, stop: Option<Price>) {
    match trailing {
        None => row.null("trailing"),
        Some(Trailing::Distance(distance)) => row.object("trailing", |row| {
            row.number("distance", distance);
        }),
        Some(Trailing::Percent(share)) => row.object("trailing", |row| {
            row.number("percent", percent(share));
        }),
    };
    row.optional_number("trailing_stop", stop);
}

/// A share below 1, a hundred times as large: percents print as ratios do.
fn percent(share: Ratio) -> Ratio {
    Ratio::from_ppm(share.ppm().saturating_mul(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_read_as_they_are_set() {
        let check = |trailing: Option<Trailing>, expected: &str| {
            let mut out = Vec::new();
            let stop = trailing.and_then(|_| Price::from_paise(9_950));
            trailing_fields(&mut Object::begin(&mut out), trailing, stop);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        let percent = |ppm| Some(Trailing::Percent(Ratio::from_ppm(ppm)));
        check(None, r#"{"trailing":null,"trailing_stop":null}"#);
        check(
            Price::from_paise(50).map(Trailing::Distance),
            r#"{"trailing":{"distance":0.50},"trailing_stop":99.50}"#,
        );
        check(
            percent(5_000),
            r#"{"trailing":{"percent":0.5},"trailing_stop":99.50}"#,
        );
        check(
            percent(100),
            r#"{"trailing":{"percent":0.01},"trailing_stop":99.50}"#,
        );
        check(
            percent(999_900),
            r#"{"trailing":{"percent":99.99},"trailing_stop":99.50}"#,
        );
    }
}
