//! API keys: 256 random bits shown once, of which only the SHA-256 is kept.

use std::fmt;
use std::str::FromStr;

use engine::AccountName;
use sha2::{Digest, Sha256};

use crate::config::parse_name;
use crate::limits::KEY_RANDOM_BYTES;

/// What a key starts with, so that secret scanners and people recognise one.
const KEY_PREFIX: &str = "pinion_";
const HASH_PREFIX: &str = "sha256:";

/// SHA-256 of a key's text, written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// The hash of a key as a client sends it.
    pub fn of(key: &str) -> KeyHash {
        KeyHash(Sha256::digest(key.as_bytes()).into())
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HASH_PREFIX)?;
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not `sha256:` and 64 hexadecimal digits. It is not repeated: it may be a key pasted by mistake.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("is not `sha256:` followed by 64 hexadecimal digits (make one with `pinion keys new`)")]
pub struct ParseKeyHashError;

impl FromStr for KeyHash {
    type Err = ParseKeyHashError;

    fn from_str(text: &str) -> Result<KeyHash, ParseKeyHashError> {
        let digits = text.strip_prefix(HASH_PREFIX).ok_or(ParseKeyHashError)?;
        if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ParseKeyHashError);
        }
        let mut hash = [0_u8; 32];
        for (index, byte) in hash.iter_mut().enumerate() {
            *byte =
                u8::from_str_radix(&digits[index * 2..index * 2 + 2], 16).map_err(|_| ParseKeyHashError)?;
        }
        Ok(KeyHash(hash))
    }
}

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
        let hash = KeyHash::of(&key).to_string();
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
        write_hex(f, self.0)
    }
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_sha256_of_the_text() {
        // FIPS 180-2, appendix B.1.
        let expected = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(KeyHash::of("abc").to_string(), expected);
        assert_eq!(expected.parse(), Ok(KeyHash::of("abc")));
        assert_eq!(
            expected.to_uppercase().replace("SHA256", "sha256").parse(),
            Ok(KeyHash::of("abc"))
        );
    }

    #[test]
    fn what_is_not_a_hash_is_refused() {
        for text in [
            "",
            "sha256:",
            "sha256:ab",
            "md5:ab",
            &format!("sha256:{}", "é".repeat(32)),
        ] {
            assert_eq!(text.parse::<KeyHash>(), Err(ParseKeyHashError), "{text}");
        }
    }

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
            KeyHash::of(json["key"].as_str().unwrap()).to_string(),
            json["hash"]
        );
        assert!(!format!("{first:?}").contains(&first.key));
    }

    #[test]
    fn an_account_name_is_checked() {
        assert!(matches!(NewKey::generate("a b"), Err(KeyError::Account(_))));
    }
}
