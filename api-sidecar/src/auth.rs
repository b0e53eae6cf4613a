//! Who asks: API keys, roles and the trust that loopback connections have.
//!
//! A key is shown once and kept as `sha256:<hex>` in the configuration. Keys are 256 random bits, so a plain hash is
//! enough: there is nothing to guess that a slow hash would protect.

use core::fmt;
use core::str::FromStr;

use engine::{AccountId, AccountName};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// What a principal may do. Ordered: a later role may do all that an earlier one may.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// Reads, and asks whether an order would pass.
    Viewer,
    /// Also trades for its own account.
    Trader,
    /// Also acts on every account.
    Admin,
}

impl Role {
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Trader => "trader",
            Role::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = AuthError;

    fn from_str(text: &str) -> Result<Role, AuthError> {
        match text {
            "viewer" => Ok(Role::Viewer),
            "trader" => Ok(Role::Trader),
            "admin" => Ok(Role::Admin),
            _ => Err(AuthError::UnknownRole(text.to_owned())),
        }
    }
}

/// The SHA-256 of an API key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    pub fn of(key: &[u8]) -> KeyHash {
        KeyHash(Sha256::digest(key).into())
    }
}

impl FromStr for KeyHash {
    type Err = AuthError;

    /// `sha256:` and 64 hexadecimal digits.
    fn from_str(text: &str) -> Result<KeyHash, AuthError> {
        let malformed = || AuthError::MalformedHash(text.to_owned());
        let hex = text.strip_prefix("sha256:").ok_or_else(malformed)?.as_bytes();
        let mut hash = [0_u8; 32];
        if hex.len() != 2 * hash.len() {
            return Err(malformed());
        }
        for (byte, pair) in hash.iter_mut().zip(hex.chunks_exact(2)) {
            let digit = |digit: u8| {
                char::from(digit)
                    .to_digit(16)
                    .and_then(|value| u8::try_from(value).ok())
            };
            let value = match pair {
                [high, low] => digit(*high).zip(digit(*low)),
                _ => None,
            };
            let (high, low) = value.ok_or_else(malformed)?;
            *byte = high << 4 | low;
        }
        Ok(KeyHash(hash))
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyHash {
    /// Only enough to tell two apart in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{:02x}{:02x}…", self.0[0], self.0[1])
    }
}

/// An account as the configuration lets clients reach it.
#[derive(Clone, Debug)]
pub struct AccountAccess {
    pub name: AccountName,
    pub role: Role,
    pub key_hashes: Vec<KeyHash>,
}

/// Who may come in, by name.
#[derive(Clone, Debug)]
pub struct AuthTable {
    accounts: Vec<AccountAccess>,
    /// Index of the account that loopback requests without a key act for.
    loopback: Option<usize>,
}

/// A setting of `[auth]` or `[[accounts]]` that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AuthError {
    #[error("role {0:?} is not viewer, trader or admin")]
    UnknownRole(String),
    #[error(
        "API key hash {0:?} is not \"sha256:\" and 64 hexadecimal digits (make one with: pinion keys new)"
    )]
    MalformedHash(String),
    #[error("API key hash {0:?} is listed twice")]
    DuplicateHash(KeyHash),
    #[error("loopback_account {0:?} is not an account")]
    UnknownLoopbackAccount(String),
    #[error("account {0:?} has access but does not exist in the engine")]
    UnknownAccount(AccountName),
}

impl AuthTable {
    /// `loopback_account` empty: loopback has no special trust.
    ///
    /// # Errors
    /// Where the loopback account is not listed, or two entries share a key.
    pub fn new(accounts: Vec<AccountAccess>, loopback_account: &str) -> Result<AuthTable, AuthError> {
        let hashes: Vec<KeyHash> = accounts
            .iter()
            .flat_map(|account| account.key_hashes.iter().copied())
            .collect();
        if let Some((_, twice)) = hashes
            .iter()
            .enumerate()
            .find(|(at, hash)| hashes[..*at].contains(hash))
        {
            return Err(AuthError::DuplicateHash(*twice));
        }
        let loopback = match loopback_account {
            "" => None,
            name => Some(
                accounts
                    .iter()
                    .position(|account| account.name.as_str() == name)
                    .ok_or_else(|| AuthError::UnknownLoopbackAccount(name.to_owned()))?,
            ),
        };
        Ok(AuthTable { accounts, loopback })
    }

    /// Whether anyone can come in with a key: without one, a listener beyond loopback is of no use.
    pub fn has_keys(&self) -> bool {
        self.accounts.iter().any(|account| !account.key_hashes.is_empty())
    }

    /// The same table with the engine's ids in place of names.
    ///
    /// # Errors
    /// Where an account is not known to the engine.
    pub(crate) fn resolve(
        &self,
        id: impl Fn(&AccountName) -> Option<AccountId>,
    ) -> Result<Authenticator, AuthError> {
        let principal = |access: &AccountAccess| {
            let account = id(&access.name).ok_or(AuthError::UnknownAccount(access.name))?;
            Ok(Principal {
                account,
                name: access.name,
                role: access.role,
            })
        };
        let mut keys = Vec::new();
        for access in &self.accounts {
            let principal = principal(access)?;
            keys.extend(access.key_hashes.iter().map(|&hash| (hash, principal)));
        }
        let loopback = self
            .loopback
            .map(|at| principal(&self.accounts[at]))
            .transpose()?;
        Ok(Authenticator { keys, loopback })
    }
}

/// Someone who may act, and for which account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Principal {
    pub account: AccountId,
    pub name: AccountName,
    pub role: Role,
}

impl Principal {
    pub(crate) fn actor(&self) -> engine::Actor {
        engine::Actor {
            account: self.account,
            admin: self.role == Role::Admin,
        }
    }
}

/// Answers who a request comes from.
#[derive(Debug)]
pub(crate) struct Authenticator {
    keys: Vec<(KeyHash, Principal)>,
    loopback: Option<Principal>,
}

/// What a request shows of its sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Credentials<'a> {
    Absent,
    Key(&'a [u8]),
    /// More than one key, or an `Authorization` that is not `Bearer`.
    Malformed,
}

impl Authenticator {
    /// `trusted_loopback`: the connection is from this host and nothing says that it speaks for someone elsewhere.
    /// `None`: nobody known. A wrong key is never helped by loopback trust.
    pub(crate) fn authenticate(
        &self,
        credentials: Credentials<'_>,
        trusted_loopback: bool,
    ) -> Option<Principal> {
        match credentials {
            Credentials::Absent => self.loopback.filter(|_| trusted_loopback),
            Credentials::Key(key) => self.by_key(key),
            Credentials::Malformed => None,
        }
    }

    /// Looks at every entry whatever matches, so that the time taken says nothing about the table.
    fn by_key(&self, key: &[u8]) -> Option<Principal> {
        let presented = KeyHash::of(key);
        let mut found = None;
        for (hash, principal) in &self.keys {
            let same: Choice = hash.0.ct_eq(&presented.0);
            if bool::from(same) {
                found = Some(*principal);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(loopback: &str) -> Result<AuthTable, AuthError> {
        let access = |name: &str, role, keys: &[&[u8]]| AccountAccess {
            name: AccountName::cut(name),
            role,
            key_hashes: keys.iter().map(|key| KeyHash::of(key)).collect(),
        };
        AuthTable::new(
            vec![
                access("main", Role::Admin, &[]),
                access("counter", Role::Trader, &[b"k1", b"k2"]),
            ],
            loopback,
        )
    }

    #[test]
    fn keys_and_loopback_name_a_principal() {
        let ids = |name: &AccountName| match name.as_str() {
            "main" => Some(AccountId::new(0)),
            "counter" => Some(AccountId::new(3)),
            _ => None,
        };
        let open = table("main").unwrap().resolve(ids).unwrap();
        let shut = table("").unwrap().resolve(ids).unwrap();
        let name = |principal: Option<Principal>| principal.map(|who| who.account.get());
        assert_eq!(name(open.authenticate(Credentials::Absent, true)), Some(0));
        assert_eq!(name(open.authenticate(Credentials::Absent, false)), None);
        assert_eq!(name(shut.authenticate(Credentials::Absent, true)), None);
        assert_eq!(name(open.authenticate(Credentials::Key(b"k2"), false)), Some(3));
        assert_eq!(name(open.authenticate(Credentials::Key(b"k3"), true)), None);
        assert_eq!(name(open.authenticate(Credentials::Malformed, true)), None);
    }

    #[test]
    fn a_table_that_cannot_work_is_refused() {
        assert_eq!(
            table("nobody").unwrap_err(),
            AuthError::UnknownLoopbackAccount("nobody".to_owned())
        );
        assert_eq!(
            table("main").unwrap().resolve(|_| None).unwrap_err(),
            AuthError::UnknownAccount(AccountName::cut("main"))
        );
    }

    #[test]
    fn hashes_print_and_parse_back() {
        let hash = KeyHash::of(b"abc");
        let text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.to_string(), text);
        assert_eq!(text.parse::<KeyHash>(), Ok(hash));
        for bad in ["", "sha256:", &text[..70], "md5:00", &text.replace('b', "g")] {
            assert!(bad.parse::<KeyHash>().is_err(), "{bad}");
        }
    }
}
