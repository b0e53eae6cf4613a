//! Accounts by name: a table of slots that is reserved at start-up, so that defining the last of a million accounts
//! costs what the first one does.

use alloc::vec;
use alloc::vec::Vec;

use crate::account::Account;
use crate::arena::{Slots, index, slot_of};
use crate::state_hash::Digest;
use crate::text::AccountName;

/// Open addressing with linear probing, at most half full. The names themselves are the accounts'.
#[derive(Clone, Debug)]
pub(crate) struct AccountNames {
    /// Account slot + 1; 0 is empty.
    buckets: Vec<u32>,
}

impl AccountNames {
    /// For at most `capacity` accounts.
    pub(crate) fn new(capacity: u32) -> AccountNames {
        let buckets = capacity.saturating_mul(2).next_power_of_two().max(16);
        AccountNames {
            buckets: vec![0; index(buckets)],
        }
    }

    /// The slot of the account with this name.
    pub(crate) fn find(&self, name: &AccountName, accounts: &[Account]) -> Option<u32> {
        let bucket = self.bucket(name, accounts);
        self.buckets.as_slice().at(bucket).checked_sub(1)
    }

    /// Enters the last of `accounts`, whose name no other has.
    pub(crate) fn enter_last(&mut self, accounts: &[Account]) {
        if let Some(last) = accounts.last() {
            let bucket = self.bucket(&last.name, accounts);
            *self.buckets.as_mut_slice().at_mut(bucket) = slot_of(accounts.len());
        }
    }

    /// The bucket with this name, or the empty one where it belongs.
    fn bucket(&self, name: &AccountName, accounts: &[Account]) -> u32 {
        let mask = slot_of(self.buckets.len()).wrapping_sub(1);
        let mut digest = Digest::new(8);
        for chunk in name.as_str().as_bytes().chunks(8) {
            let mut word = [0_u8; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            digest = digest.word(u64::from_le_bytes(word));
        }
        let mut bucket = u32::try_from(digest.finish() >> 32).unwrap_or(0) & mask;
        loop {
            match self.buckets.as_slice().at(bucket).checked_sub(1) {
                Some(slot) if accounts.at(slot).name != *name => bucket = bucket.wrapping_add(1) & mask,
                _ => return bucket,
            }
        }
    }
}
