//! Looks at JSON as a client does: names, types and values.

use serde_json::Value;

/// Each of `fields` is there with that JSON text; numbers are compared digit by digit.
#[track_caller]
pub fn assert_fields(body: &Value, fields: &[(&str, &str)]) {
    for (name, expected) in fields {
        let found = body.get(name).map(Value::to_string);
        assert_eq!(found.as_deref(), Some(*expected), "{name} in {body}");
    }
}

/// The JSON type of a field, as the contract writes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    Integer,
    /// With or without decimals.
    Number,
    NumberOrNull,
    Text,
    TextOrNull,
    Boolean,
    Array,
    Object,
    /// ISO 8601 with `Z`.
    Instant,
    InstantOrNull,
}

impl Type {
    fn holds(self, value: &Value) -> bool {
        match self {
            Type::Integer => value.is_i64() || value.is_u64(),
            Type::Number => value.is_number(),
            Type::NumberOrNull => value.is_number() || value.is_null(),
            Type::Text => value.is_string(),
            Type::TextOrNull => value.is_string() || value.is_null(),
            Type::Boolean => value.is_boolean(),
            Type::Array => value.is_array(),
            Type::Object => value.is_object(),
            Type::Instant => value.as_str().is_some_and(is_instant),
            Type::InstantOrNull => value.is_null() || Type::Instant.holds(value),
        }
    }
}

/// `2026-08-03T09:15:00Z`, with or without a fraction.
fn is_instant(text: &str) -> bool {
    let shape: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    let fraction = shape
        .strip_prefix("0000-00-00T00:00:00")
        .and_then(|rest| rest.strip_suffix('Z'));
    fraction.is_some_and(|rest| {
        rest.is_empty() || rest.len() > 1 && rest.starts_with('.') && rest[1..].bytes().all(|b| b == b'0')
    })
}

/// Each of `fields` is there and of its type.
#[track_caller]
pub fn assert_types(body: &Value, fields: &[(&str, Type)]) {
    for (name, expected) in fields {
        let found = body.get(name).unwrap_or_else(|| panic!("no {name} in {body}"));
        assert!(expected.holds(found), "{name} is not {expected:?} in {body}");
    }
}
