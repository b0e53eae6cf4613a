//! Why the configuration stops the start. Every message is one sentence that names the culprit.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the configuration file {} is larger than {limit} bytes", path.display())]
    TooLarge { path: PathBuf, limit: u64 },
    /// Not TOML, an unknown key, or a value of the wrong shape.
    #[error("{}, line {line}: {message}", path.display())]
    File {
        path: PathBuf,
        line: usize,
        message: String,
    },
    /// A value that cannot be used. `key` is the flag, the variable or the file's key that gave it.
    #[error("{key} {reason}, not \"{value}\"")]
    Value {
        key: String,
        value: String,
        reason: String,
    },
    /// As [`ConfigError::Value`], of a value that must not be repeated or that is missing.
    #[error("{key} {reason}")]
    Setting { key: String, reason: String },
    #[error(
        "listening on {address} needs an API key: run `pinion keys new` and add its hash to an account, or listen on 127.0.0.1"
    )]
    OpenWithoutKeys { address: std::net::SocketAddr },
}

impl ConfigError {
    pub(super) fn setting(key: impl Into<String>, reason: impl Into<String>) -> ConfigError {
        ConfigError::Setting {
            key: key.into(),
            reason: reason.into(),
        }
    }
}
