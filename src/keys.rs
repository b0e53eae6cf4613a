//! New API keys: 256 random bits shown once, of which only the hash is kept.

use std::fmt;

use api_sidecar::auth::KeyHash;
use engine::AccountName;

use crate::config::parse_name;
use crate::limits::KEY_RANDOM_BYTES;

/// What a key starts with, so that secret scanners and people recognise one.
const KEY_PREFIX: &str = "pinion_";

/// Why no key was made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("--account {0}")]
    Account(String),
    #[error("the operating system gave no random bytes: {0}")]
    Random(getrandom::Error),
}

/// A key just made, to be shown once.
pub struct NewKey {
    account: String,
    key: String,
    hash: String,
}

impl NewKey {
    /// A fresh key for an account, whether or not that account exists yet.
    pub fn generate(account: &str) -> Result<NewKey, KeyError> {
        let account: AccountName = parse_name(account).map_err(KeyError::Account)?;
        let mut random = [0_u8; KEY_RANDOM_BYTES];
        getrandom::fill(&mut random).map_err(KeyError::Random)?;
        let key = format!("{KEY_PREFIX}{}", Hex(&random));
        let hash = KeyHash::of(key.as_bytes()).to_string();
        Ok(NewKey {
            account: account.as_str().to_owned(),
            key,
            hash,
        })
    }

    /// `{"account","key","hash"}` on one line.
    pub fn to_json(&self) -> String {
        serde_json::json!({ "account": self.account, "key": self.key, "hash": self.hash }).to_string()
    }
}

impl fmt::Display for NewKey {
    /// For a person, with the place where the hash goes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "account  {}", self.account)?;
        writeln!(f, "key      {}   (shown once; send it as X-API-Key)", self.key)?;
        write!(
            f,
            "hash     {}   (add it to this account's api_key_hashes)",
            self.hash
        )
    }
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewKey {{ account: {}, hash: {} }}", self.account, self.hash)
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_hashes_to_its_hash_and_no_two_are_equal() {
        let (first, second) = (
            NewKey::generate("main").unwrap(),
            NewKey::generate("main").unwrap(),
        );
        assert_ne!(first.key, second.key);
        let json: serde_json::Value = serde_json::from_str(&first.to_json()).unwrap();
        assert_eq!(json["account"], "main");
        assert_eq!(
            KeyHash::of(json["key"].as_str().unwrap().as_bytes()).to_string(),
            json["hash"]
        );
        assert!(!format!("{first:?}").contains(&first.key));
    }

    #[test]
    fn an_account_name_is_checked() {
        assert!(matches!(NewKey::generate("a b"), Err(KeyError::Account(_))));
    }
}
