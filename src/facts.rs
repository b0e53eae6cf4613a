//! Named values for people and programs: the same facts as aligned text or as one JSON object.

use std::fmt::Display;
use std::io::{self, Write};

use serde_json::{Map, Number, Value};

/// Names and values, in order.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Facts(Map<String, Value>);

impl Facts {
    pub fn new() -> Facts {
        Facts::default()
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Facts {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// Only where there is a value.
    #[must_use]
    pub fn with_some(self, name: &str, value: Option<impl Into<Value>>) -> Facts {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }

    /// One JSON object in a line, or `name value` in lines of their own.
    pub fn print(self, json: bool, out: &mut impl Write) -> io::Result<()> {
        if json {
            return writeln!(out, "{}", self.into_value());
        }
        for (name, value) in &self.0 {
            match value {
                Value::String(text) => writeln!(out, "{name} {text}")?,
                Value::Array(items) if items.iter().any(Value::is_object) => {
                    writeln!(out, "{name}")?;
                    for item in items {
                        writeln!(out, "  {}", in_one_line(item))?;
                    }
                }
                other => writeln!(out, "{name} {}", in_one_line(other))?,
            }
        }
        Ok(())
    }
}

/// `name=value name=value`, nested objects in braces.
pub fn in_one_line(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| match value {
                Value::Object(_) => format!("{name}={{{}}}", in_one_line(value)),
                _ => format!("{name}={}", in_one_line(value)),
            });
            fields.collect::<Vec<_>>().join(" ")
        }
        Value::Array(items) => {
            let items = items.iter().map(in_one_line).collect::<Vec<_>>();
            format!("[{}]", items.join(", "))
        }
        Value::String(text) if text.is_empty() || text.contains(' ') => format!("{text:?}"),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A decimal as a JSON number with exactly the digits of its text.
pub fn number(decimal: impl Display) -> Value {
    let text = decimal.to_string();
    text.parse::<Number>().map_or(Value::String(text), Value::Number)
}

/// Sixteen hexadecimal digits: how state hashes are written everywhere.
pub fn hash(hash: u64) -> Value {
    Value::String(format!("{hash:016x}"))
}

#[cfg(test)]
mod tests {
    use engine::Money;

    use super::*;

    #[test]
    fn text_and_json_say_the_same() {
        let facts = || {
            let row = Facts::new().with("a", 1).with("b", "two words").into_value();
            Facts::new()
                .with("cash", number(Money::from_paise(123_450)))
                .with_some("absent", None::<u64>)
                .with("hash", hash(10))
                .with("rows", vec![row])
        };
        let print = |json| {
            let mut out = Vec::new();
            facts().print(json, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            print(false),
            "cash 1234.50\nhash 000000000000000a\nrows\n  a=1 b=\"two words\"\n"
        );
        assert_eq!(
            print(true),
            "{\"cash\":1234.50,\"hash\":\"000000000000000a\",\"rows\":[{\"a\":1,\"b\":\"two words\"}]}\n"
        );
    }
}
