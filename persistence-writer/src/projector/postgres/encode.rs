//! Values as PostgreSQL's binary protocol has them.

use std::error::Error;

use postgres::types::private::BytesMut;
use postgres::types::{IsNull, ToSql, Type};

use super::super::table::{Kind, Value};

/// 2000-01-01, where PostgreSQL counts from.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
const EPOCH_DAYS: i32 = 10_957;

/// How a column travels: lists as text, because `unnest` would flatten them.
pub(super) fn travel_type(kind: Kind) -> (&'static str, Type) {
    match kind {
        Kind::Int4 => ("int4", Type::INT4),
        Kind::Int8 => ("int8", Type::INT8),
        Kind::Bool => ("bool", Type::BOOL),
        Kind::Text | Kind::Ids | Kind::Texts => ("text", Type::TEXT),
        Kind::Decimal2 | Kind::Decimal4 => ("numeric", Type::NUMERIC),
        Kind::Time => ("timestamp", Type::TIMESTAMP),
        Kind::Date => ("date", Type::DATE),
        Kind::Json => ("jsonb", Type::JSONB),
    }
}

/// What turns it back where it arrives.
pub(super) fn arrival_cast(kind: Kind) -> &'static str {
    match kind {
        Kind::Ids => "::bigint[]",
        Kind::Texts => "::text[]",
        _ => "",
    }
}

type Encoded = Result<IsNull, Box<dyn Error + Sync + Send>>;

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Encoded {
        match self {
            Value::Null => return Ok(IsNull::Yes),
            Value::Int(number) if *ty == Type::INT4 => {
                let end = if *number < 0 { i32::MIN } else { i32::MAX };
                return i32::try_from(*number).unwrap_or(end).to_sql(ty, out);
            }
            Value::Int(number) => return number.to_sql(ty, out),
            Value::Bool(truth) => return truth.to_sql(ty, out),
            Value::Text(text) => return text.as_ref().to_sql(ty, out),
            Value::Hundredths(hundredths) => put_numeric(*hundredths, out),
            Value::Time(time) => {
                let micros = i64::try_from(time.nanos() / 1_000)?;
                return (micros - EPOCH_MICROS).to_sql(ty, out);
            }
            Value::Date(day) => return (i32::try_from(*day)? - EPOCH_DAYS).to_sql(ty, out),
            Value::Json(json) => {
                // The version of the format of `jsonb`.
                out.extend_from_slice(&[1]);
                out.extend_from_slice(json.as_bytes());
            }
            Value::Ids(ids) => {
                let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
                out.extend_from_slice(format!("{{{}}}", ids.join(",")).as_bytes());
            }
            Value::Texts(texts) => {
                let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
                out.extend_from_slice(format!("{{{}}}", texts.join(",")).as_bytes());
            }
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn to_sql_checked(&self, ty: &Type, out: &mut BytesMut) -> Encoded {
        self.to_sql(ty, out)
    }
}

/// `hundredths / 100` with two decimals: digits to the base of 10,000, the most significant first.
fn put_numeric(hundredths: i64, out: &mut BytesMut) {
    // One group of the base is behind the point: hundredths times a hundred of it.
    let scaled = hundredths.unsigned_abs();
    let (mut whole, fraction) = (scaled / 100, scaled % 100 * 100);
    let mut digits = vec![fraction];
    while whole > 0 {
        digits.push(whole % 10_000);
        whole /= 10_000;
    }
    let sign: u16 = if hundredths < 0 { 0x4000 } else { 0 };
    let count = u16::try_from(digits.len()).unwrap_or_default();
    // The first digit's exponent; -1 where there is nothing before the point.
    let weight = count.wrapping_sub(2);
    for field in [count, weight, sign, 2] {
        out.extend_from_slice(&field.to_be_bytes());
    }
    for digit in digits.iter().rev() {
        out.extend_from_slice(&u16::try_from(*digit).unwrap_or_default().to_be_bytes());
    }
}

/// An element of an array literal.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use postgres::types::FromSql;

    use super::*;

    fn bytes(value: &Value, ty: &Type) -> Vec<u8> {
        let mut out = BytesMut::new();
        assert!(matches!(value.to_sql(ty, &mut out), Ok(IsNull::No)));
        out.to_vec()
    }

    /// Against the format of `numeric_send`: count, weight, sign, scale, digits.
    #[test]
    fn numerics_are_exact() {
        let check = |hundredths, fields: &[u16]| {
            let expected: Vec<u8> = fields.iter().flat_map(|field| field.to_be_bytes()).collect();
            assert_eq!(
                bytes(&Value::Hundredths(hundredths), &Type::NUMERIC),
                expected,
                "{hundredths}"
            );
        };
        check(0, &[1, 0xffff, 0, 2, 0]);
        check(5, &[1, 0xffff, 0, 2, 500]);
        check(-5, &[1, 0xffff, 0x4000, 2, 500]);
        check(245_005, &[2, 0, 0, 2, 2_450, 500]);
        check(1_234_567_890, &[3, 1, 0, 2, 1_234, 5_678, 9_000]);
        check(i64::MAX, &[6, 4, 0, 2, 9, 2_233, 7_203, 6_854, 7_758, 700]);
    }

    #[test]
    fn times_and_dates_are_what_postgres_reads() {
        use std::time::{Duration, SystemTime};
        let at = engine::Timestamp::from_nanos(1_785_921_300_000_042_999);
        let read =
            SystemTime::from_sql(&Type::TIMESTAMP, &bytes(&Value::Time(at), &Type::TIMESTAMP)).unwrap();
        assert_eq!(
            read.duration_since(SystemTime::UNIX_EPOCH).unwrap(),
            Duration::from_micros(1_785_921_300_000_042)
        );
        assert_eq!(bytes(&Value::Date(10_958), &Type::DATE), 1_i32.to_be_bytes());
    }

    #[test]
    fn lists_are_array_literals() {
        let texts = Value::Texts(vec!["a \"b\"".into(), "c\\d,e".into()]);
        assert_eq!(bytes(&texts, &Type::TEXT), br#"{"a \"b\"","c\\d,e"}"#);
        assert_eq!(bytes(&Value::Ids(vec![1, -2]), &Type::TEXT), b"{1,-2}");
    }
}
