//! A JSON writer for answers and events: appends to a byte buffer, allocates nothing, and prints numbers through their
//! `Display`, so that a decimal never passes through a float.

use core::fmt;
use std::io::Write as _;

/// Writes one object. Closed when dropped.
#[derive(Debug)]
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Object<'a> {
    pub fn begin(out: &'a mut Vec<u8>) -> Object<'a> {
        out.push(b'{');
        Object { out, first: true }
    }

    /// `key` is a plain identifier: it is written without escaping.
    fn key(&mut self, key: &str) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    pub fn string(&mut self, key: &str, value: &str) -> &mut Self {
        self.key(key);
        write_string(self.out, value);
        self
    }

    /// A string whose text is its `Display`.
    pub fn text(&mut self, key: &str, value: impl fmt::Display) -> &mut Self {
        self.key(key);
        let mut escaper = Escaper(self.out);
        escaper.0.push(b'"');
        // Appending to a Vec cannot fail.
        let _ = fmt::Write::write_fmt(&mut escaper, format_args!("{value}"));
        escaper.0.push(b'"');
        self
    }

    /// A number whose JSON text is its `Display`: integers, prices, money.
    pub fn number(&mut self, key: &str, value: impl fmt::Display) -> &mut Self {
        self.key(key);
        let _ = write!(self.out, "{value}");
        self
    }

    /// [`Object::number`], or `null`.
    pub fn optional_number(&mut self, key: &str, value: Option<impl fmt::Display>) -> &mut Self {
        match value {
            Some(value) => self.number(key, value),
            None => self.null(key),
        }
    }

    pub fn boolean(&mut self, key: &str, value: bool) -> &mut Self {
        self.raw(key, if value { b"true" } else { b"false" })
    }

    pub fn null(&mut self, key: &str) -> &mut Self {
        self.raw(key, b"null")
    }

    /// `json` must be a JSON text.
    pub fn raw(&mut self, key: &str, json: &[u8]) -> &mut Self {
        self.key(key);
        self.out.extend_from_slice(json);
        self
    }

    pub fn object(&mut self, key: &str, fill: impl FnOnce(&mut Object<'_>)) -> &mut Self {
        self.key(key);
        fill(&mut Object::begin(self.out));
        self
    }

    pub fn array(&mut self, key: &str, fill: impl FnOnce(&mut Array<'_>)) -> &mut Self {
        self.key(key);
        fill(&mut Array::begin(self.out));
        self
    }
}

impl Drop for Object<'_> {
    fn drop(&mut self) {
        self.out.push(b'}');
    }
}

/// Writes one array. Closed when dropped.
#[derive(Debug)]
pub struct Array<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Array<'a> {
    pub fn begin(out: &'a mut Vec<u8>) -> Array<'a> {
        out.push(b'[');
        Array { out, first: true }
    }

    fn separate(&mut self) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
    }

    pub fn string(&mut self, value: &str) -> &mut Self {
        self.separate();
        write_string(self.out, value);
        self
    }

    /// `json` must be a JSON text.
    pub fn raw(&mut self, json: &[u8]) -> &mut Self {
        self.separate();
        self.out.extend_from_slice(json);
        self
    }

    pub fn object(&mut self, fill: impl FnOnce(&mut Object<'_>)) -> &mut Self {
        self.separate();
        fill(&mut Object::begin(self.out));
        self
    }
}

impl Drop for Array<'_> {
    fn drop(&mut self) {
        self.out.push(b']');
    }
}

fn write_string(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    escape_into(out, value);
    out.push(b'"');
}

/// RFC 8259 section 7: quotation mark, reverse solidus and control characters are escaped.
fn escape_into(out: &mut Vec<u8>, value: &str) {
    for &byte in value.as_bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..=0x1f | 0x7f => {
                let _ = write!(out, "\\u{byte:04x}");
            }
            _ => out.push(byte),
        }
    }
}

struct Escaper<'a>(&'a mut Vec<u8>);

impl fmt::Write for Escaper<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape_into(self.0, text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{Money, Price};

    #[test]
    fn objects_nest_and_close() {
        let mut out = Vec::new();
        Object::begin(&mut out)
            .string("a", "x\"\\\n\u{1}₹")
            .number("b", Money::from_paise(-5))
            .optional_number("c", Price::from_paise(245_005))
            .optional_number("d", None::<Price>)
            .boolean("e", true)
            .text("f", format_args!("{}\"", 7))
            .array("g", |list| {
                list.string("h").object(|item| {
                    item.null("i");
                });
            })
            .object("j", |_| ());
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"a":"x\"\\\n\u0001₹","b":-0.05,"c":2450.05,"d":null,"e":true,"f":"7\"","g":["h",{"i":null}],"j":{}}"#
        );
    }

    #[test]
    fn every_string_survives_a_real_parser() {
        for code in (0_u32..0x250).chain([0x2028, 0x1f680]) {
            let Some(character) = char::from_u32(code) else {
                continue;
            };
            let text = format!("a{character}b");
            let mut out = Vec::new();
            Array::begin(&mut out).string(&text);
            let parsed: Vec<String> = serde_json::from_slice(&out).unwrap();
            assert_eq!(parsed, [text]);
        }
    }
}
