//! The incremental state hash: the sum of one digest per entity, so that a change costs only the entity it touches.
//!
//! Not even that at once: an entity that changed joins a backlog, and its digest is brought up to date when the
//! backlog has grown past its bound, or when somebody asks for the hash. An order that came and went in between is never hashed
//! at all, and an account that trades all the time once for many fills.

use alloc::collections::VecDeque;

use crate::arena::Slots;
use crate::limits::{NOTES_PER_CALL_MAX, STALE_DIGESTS_MAX};

/// What the state consists of: orders, positions, accounts, instruments.
pub(crate) trait Entity {
    /// The digest of the entity as it is.
    fn compute_digest(&self) -> u64;
    fn digested(&self) -> &Digested;
    fn digested_mut(&mut self) -> &mut Digested;
}

/// An entity's digest as the sum contains it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digested {
    digest: u64,
    /// Its number in the backlog, from 1; 0 where the digest is up to date.
    ticket: u64,
}

/// The wrapping sum of the digests of all entities of one kind, and the backlog of those that changed since. Order does
/// not matter, so no history is hidden in it.
#[derive(Clone, Debug)]
pub(crate) struct DigestSum {
    sum: u64,
    /// Slots by ticket; void where the entity has another ticket by now, or none.
    stale: VecDeque<u32>,
    /// The last ticket given out.
    tickets: u64,
}

impl DigestSum {
    pub(crate) fn new() -> DigestSum {
        DigestSum {
            sum: 0,
            stale: VecDeque::with_capacity(STALE_DIGESTS_MAX.saturating_add(NOTES_PER_CALL_MAX)),
            tickets: 0,
        }
    }

    /// Notes that an entity is new or has changed.
    #[inline(always)]
    pub(crate) fn note<E: Entity>(&mut self, entities: &mut [E], slot: u32) {
        self.note_one(entities.at_mut(slot), slot);
    }

    /// As [`DigestSum::note`], for the entity in `slot`.
    #[inline(always)]
    pub(crate) fn note_one<E: Entity>(&mut self, entity: &mut E, slot: u32) {
        if entity.digested().ticket == 0 {
            self.tickets = self.tickets.wrapping_add(1);
            entity.digested_mut().ticket = self.tickets;
            self.stale.push_back(slot);
        }
    }

    /// Works off what the backlog holds beyond its bound, before a call ends.
    #[inline(always)]
    pub(crate) fn trim<E: Entity>(&mut self, entities: &mut [E]) {
        while self.stale.len() > STALE_DIGESTS_MAX {
            self.settle_first(entities);
        }
    }

    #[inline(never)]
    fn settle_first<E: Entity>(&mut self, entities: &mut [E]) {
        let ticket = self.first_ticket();
        let Some(slot) = self.stale.pop_front() else {
            return;
        };
        let entity = entities.at_mut(slot);
        if entity.digested().ticket == ticket {
            let digest = entity.compute_digest();
            self.sum = self
                .sum
                .wrapping_sub(entity.digested().digest)
                .wrapping_add(digest);
            *entity.digested_mut() = Digested { digest, ticket: 0 };
        }
    }

    /// The ticket of the first in the backlog.
    fn first_ticket(&self) -> u64 {
        let waiting = u64::from(crate::arena::slot_of(self.stale.len()));
        self.tickets.wrapping_sub(waiting).wrapping_add(1)
    }

    /// Takes an entity out of the sum.
    #[inline]
    pub(crate) fn remove<E: Entity>(&mut self, entity: &mut E) {
        self.sum = self.sum.wrapping_sub(entity.digested().digest);
        *entity.digested_mut() = Digested::default();
    }

    /// The sum as it is with the backlog worked off.
    pub(crate) fn value<E: Entity>(&self, entities: &[E]) -> u64 {
        let mut sum = self.sum;
        for (ticket, &slot) in (self.first_ticket()..).zip(&self.stale) {
            let entity = entities.at(slot);
            if entity.digested().ticket == ticket {
                let fresh = entity.compute_digest();
                sum = sum.wrapping_sub(entity.digested().digest).wrapping_add(fresh);
            }
        }
        sum
    }
}

/// Folds 64-bit words into one, each word diffused by a multiplication (constants: SplitMix64).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Digest(u64);

impl Digest {
    /// `domain` keeps entities of different kinds apart.
    #[inline(always)]
    pub(crate) const fn new(domain: u64) -> Digest {
        Digest(domain.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    #[inline(always)]
    pub(crate) const fn word(self, word: u64) -> Digest {
        let mixed = (self.0 ^ word).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Digest(mixed ^ (mixed >> 29))
    }

    #[inline(always)]
    pub(crate) fn signed(self, word: i64) -> Digest {
        self.word(u64::from_le_bytes(word.to_le_bytes()))
    }

    /// Two halves in one word.
    #[inline(always)]
    pub(crate) fn pair(self, high: u32, low: u32) -> Digest {
        self.word((u64::from(high) << 32) | u64::from(low))
    }

    #[inline(always)]
    pub(crate) const fn finish(self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 30)
    }
}
