//! The TOML file as it is written: sections of texts, not yet judged.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::de::{Deserialize, Deserializer, Visitor};

use super::error::ConfigError;
use crate::limits::CONFIG_FILE_BYTES_MAX;

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) server: ServerSection,
    pub(super) auth: AuthSection,
    pub(super) accounts: Vec<AccountSection>,
    /// `base` and limits by name.
    pub(super) profiles: BTreeMap<String, BTreeMap<String, Scalar>>,
    pub(super) market: MarketSection,
    pub(super) session: SessionSection,
    pub(super) instruments: InstrumentsSection,
    pub(super) engine: EngineSection,
    pub(super) journal: JournalSection,
    pub(super) charges: Vec<ChargesSection>,
    pub(super) dashboard: DashboardSection,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SessionSection {
    pub(super) mode: Option<Scalar>,
    /// A file of dates without trading.
    pub(super) calendar: Option<PathBuf>,
    pub(super) pre_open: Option<Scalar>,
    pub(super) continuous: Option<Scalar>,
    pub(super) closing: Option<Scalar>,
    pub(super) closing_derivatives: Option<Scalar>,
    pub(super) closed: Option<Scalar>,
    pub(super) square_off: Option<Scalar>,
    pub(super) square_off_derivatives: Option<Scalar>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DashboardSection {
    pub(super) assets_dir: Option<PathBuf>,
    pub(super) upstream: Option<Scalar>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ServerSection {
    pub(super) listen: Option<Scalar>,
    pub(super) data_dir: Option<PathBuf>,
    pub(super) ack: Option<Scalar>,
    pub(super) wait: Option<Scalar>,
    pub(super) engine_core: Option<Scalar>,
    pub(super) gateway_core: Option<Scalar>,
    pub(super) allowed_origins: Vec<Scalar>,
    pub(super) log_level: Option<Scalar>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AuthSection {
    pub(super) loopback_account: Option<Scalar>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountSection {
    pub(super) name: Scalar,
    pub(super) balance: Option<Scalar>,
    pub(super) profile: Option<Scalar>,
    pub(super) role: Option<Scalar>,
    #[serde(default)]
    pub(super) api_key_hashes: Vec<Scalar>,
    #[serde(default)]
    pub(super) limits: BTreeMap<String, Scalar>,
    /// By number: `name`, and limits that tighten the account's.
    #[serde(default)]
    pub(super) strategies: BTreeMap<String, BTreeMap<String, Scalar>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MarketSection {
    pub(super) mode: Option<Scalar>,
    pub(super) seed: Option<Scalar>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct InstrumentsSection {
    pub(super) file: Option<PathBuf>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct EngineSection {
    pub(super) capacity: CapacitySection,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CapacitySection {
    pub(super) accounts: Option<Scalar>,
    pub(super) instruments: Option<Scalar>,
    pub(super) orders: Option<Scalar>,
    pub(super) positions: Option<Scalar>,
    pub(super) client_order_ids: Option<Scalar>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChargesSection {
    pub(super) effective_from: Scalar,
    pub(super) exchange: Option<Scalar>,
    pub(super) sebi: Option<Scalar>,
    pub(super) gst: Option<Scalar>,
    #[serde(default)]
    pub(super) mis: ProductChargesSection,
    #[serde(default)]
    pub(super) cnc: ProductChargesSection,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ProductChargesSection {
    pub(super) brokerage: Option<Scalar>,
    pub(super) brokerage_max: Option<Scalar>,
    pub(super) stt_buy: Option<Scalar>,
    pub(super) stt_sell: Option<Scalar>,
    pub(super) stamp_duty_buy: Option<Scalar>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct JournalSection {
    pub(super) segment_mib: Option<Scalar>,
}

impl File {
    pub(super) fn read(path: &Path) -> Result<File, ConfigError> {
        let failed = |source| ConfigError::Read {
            path: path.to_owned(),
            source,
        };
        let mut text = String::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(CONFIG_FILE_BYTES_MAX + 1).read_to_string(&mut text))
            .map_err(failed)?;
        if text.len() as u64 > CONFIG_FILE_BYTES_MAX {
            return Err(ConfigError::TooLarge {
                path: path.to_owned(),
                limit: CONFIG_FILE_BYTES_MAX,
            });
        }
        File::parse(&text, path)
    }

    /// `path` is for messages only.
    pub(super) fn parse(text: &str, path: &Path) -> Result<File, ConfigError> {
        let failed = |key: &str, error: &toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
            let message = error.message().replace('\n', "; ");
            ConfigError::File {
                path: path.to_owned(),
                line: before.matches('\n').count() + 1,
                message: match key {
                    "" | "." => message,
                    key => format!("{key}: {message}"),
                },
            }
        };
        let document = toml::Deserializer::parse(text).map_err(|error| failed("", &error))?;
        serde_path_to_error::deserialize(document)
            .map_err(|error| failed(&error.path().to_string(), error.inner()))
    }
}

/// A text, a whole number or a boolean, kept as text. A TOML float is refused: it is binary, and limits and money are
/// exact decimals.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Scalar(String);

impl Scalar {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Scalar, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a whole number, true or false (a decimal is written as text: \"0.02\")")
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar(text.to_owned()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar(number.to_string()))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Scalar, E> {
        Ok(Scalar(flag.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        File::parse(text, Path::new("pinion.toml"))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn errors_name_the_line_and_the_key() {
        let check = |text: &str, parts: &[&str]| {
            let message = message(text);
            for part in parts {
                assert!(message.contains(part), "{message:?} lacks {part:?}");
            }
            assert!(!message.contains('\n'), "{message:?} is more than one line");
        };
        check(
            "[server]\nlisten = 1.5",
            &["pinion.toml, line 2", "server.listen", "as text"],
        );
        check("[server]\nlisten = [1]", &["line 2", "server.listen"]);
        check(
            "[server]\nlisen = \"x\"",
            &["line 2", "unknown field `lisen`", "listen"],
        );
        check("[sever]\n", &["line 1", "unknown field `sever`"]);
        check("\n\n[server\n", &["line 3"]);
        check(
            "[[accounts]]\nbalance = \"1\"",
            &["accounts[0]", "missing field `name`"],
        );
        check("[[accounts]]\nname = \"a\"\nlimits = 3", &["accounts[0].limits"]);
        check("[engine]\norders = 3", &["unknown field `orders`"]);
    }

    #[test]
    fn scalars_keep_their_text() {
        let file = File::parse(
            "[profiles.own]\nbase = \"maker\"\npositions_max = 7\nbalance_check = false\nrisk_per_trade_max = \"0.010\"",
            Path::new("x"),
        )
        .unwrap();
        let own = &file.profiles["own"];
        let text = |name: &str| own[name].as_str();
        assert_eq!(
            [
                text("base"),
                text("positions_max"),
                text("balance_check"),
                text("risk_per_trade_max")
            ],
            ["maker", "7", "false", "0.010"]
        );
    }

    #[test]
    fn a_file_too_large_or_absent_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big.toml");
        assert!(matches!(File::read(&path), Err(ConfigError::Read { .. })));
        let length = usize::try_from(CONFIG_FILE_BYTES_MAX).unwrap() + 1;
        std::fs::write(&path, "#".repeat(length)).unwrap();
        assert!(matches!(File::read(&path), Err(ConfigError::TooLarge { .. })));
    }
}
