//! Texts into values, each with a reason that completes the sentence "KEY …, not VALUE".

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;

use api_sidecar::wire::parse_date;
use engine::{Money, Ratio, Text};

use super::error::ConfigError;
use crate::limits::NAME_LEN_MAX;

/// One text with the name of where it came from: a flag, a variable, or a key of the file.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) key: String,
    pub(super) text: String,
}

impl Setting {
    pub(super) fn new(key: impl Into<String>, text: impl Into<String>) -> Setting {
        Setting {
            key: key.into(),
            text: text.into(),
        }
    }

    pub(super) fn invalid(&self, reason: impl Into<String>) -> ConfigError {
        ConfigError::Value {
            key: self.key.clone(),
            value: self.text.clone(),
            reason: reason.into(),
        }
    }

    /// `true` or `false`, as people also write them in environment files.
    pub(super) fn flag(&self) -> Result<bool, ConfigError> {
        match self.text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(self.invalid("must be true or false")),
        }
    }

    pub(super) fn whole<T>(&self, range: RangeInclusive<T>) -> Result<T, ConfigError>
    where
        T: FromStr + PartialOrd + std::fmt::Display,
    {
        self.text
            .parse::<T>()
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                self.invalid(format!(
                    "must be a whole number from {} to {}",
                    range.start(),
                    range.end()
                ))
            })
    }

    /// A ratio in `range`, both ends included.
    pub(super) fn ratio(&self, range: RangeInclusive<Ratio>) -> Result<Ratio, ConfigError> {
        self.text
            .parse::<Ratio>()
            .ok()
            .filter(|ratio| range.contains(ratio))
            .ok_or_else(|| {
                let from = if range.start().ppm() == 1 {
                    "above 0".to_owned()
                } else {
                    format!("at least {}", range.start())
                };
                self.invalid(format!(
                    "must be a decimal number {from} and at most {}, with at most six decimals",
                    range.end()
                ))
            })
    }

    /// An amount in rupees in `range`, both ends included.
    pub(super) fn money(&self, range: RangeInclusive<Money>) -> Result<Money, ConfigError> {
        self.text
            .parse::<Money>()
            .ok()
            .filter(|amount| range.contains(amount))
            .ok_or_else(|| {
                self.invalid(format!(
                    "must be an amount in rupees from {} to {} with at most two decimals",
                    range.start(),
                    range.end()
                ))
            })
    }

    /// A trading day as a calendar date.
    pub(super) fn date(&self) -> Result<u32, ConfigError> {
        parse_date(&self.text).ok_or_else(|| self.invalid("must be a date such as 2026-10-01"))
    }

    /// One of a closed list of words.
    pub(super) fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, ConfigError> {
        words
            .iter()
            .find(|(word, _)| *word == self.text)
            .map(|(_, value)| *value)
            .ok_or_else(|| {
                let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                self.invalid(format!("must be {}", alternatives(&names)))
            })
    }

    pub(super) fn name(&self) -> Result<Text<NAME_LEN_MAX>, ConfigError> {
        parse_name(&self.text).map_err(|_| self.invalid(NAME_RULE))
    }

    /// `ADDR:PORT`, where the address is a number or `localhost`.
    pub(super) fn socket_address(&self) -> Result<SocketAddr, ConfigError> {
        let parsed = match self.text.strip_prefix("localhost:") {
            Some(port) => port
                .parse()
                .ok()
                .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
            None => self.text.parse().ok(),
        };
        parsed
            .ok_or_else(|| self.invalid("must be an IP address (or localhost) and a port, as 127.0.0.1:8050"))
    }

    pub(super) fn host(&self) -> Result<IpAddr, ConfigError> {
        if self.text == "localhost" {
            return Ok(Ipv4Addr::LOCALHOST.into());
        }
        self.text
            .parse()
            .map_err(|_| self.invalid("must be an IP address or localhost"))
    }

    /// `http://HOST:PORT`, where the host is an address or `localhost`.
    pub(super) fn http_address(&self) -> Result<SocketAddr, ConfigError> {
        let wrong =
            || self.invalid("must be http:// with an IP address (or localhost) and a port, and no path");
        let authority = self.text.strip_prefix("http://").ok_or_else(wrong)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        authority
            .replace("localhost", "127.0.0.1")
            .parse()
            .map_err(|_| wrong())
    }

    /// What a browser sends as `Origin`: scheme, host and perhaps port, in lower case.
    pub(super) fn origin(&self) -> Result<String, ConfigError> {
        let origin = self.text.to_ascii_lowercase();
        let host = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"))
            .unwrap_or("");
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        if host.is_empty() || !host.bytes().all(allowed) {
            return Err(self.invalid("must be http:// or https:// and a host with no path"));
        }
        Ok(origin)
    }
}

const NAME_RULE: &str = "must be 1 to 32 characters of A-Z, a-z, 0-9, '.', '_' and '-'";

/// The name of an account or profile; the error is the rule and the text, as one sentence's end.
///
/// The alphabet is closed because names are shown on pages, written to tables and used in file keys.
pub fn parse_name(text: &str) -> Result<Text<NAME_LEN_MAX>, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if text.is_empty() || !text.bytes().all(allowed) {
        return Err(format!("{NAME_RULE}, not \"{text}\""));
    }
    Text::new(text).ok_or_else(|| format!("{NAME_RULE}, not \"{text}\""))
}

/// `a, b or c`.
pub(super) fn alternatives(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
