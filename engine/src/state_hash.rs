//! The incremental state hash: the sum of one digest per entity, so that a change costs only the entity it touches.

/// Wrapping sum of the digests of everything in the state. Order does not matter, so no history is hidden in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StateHash(u64);

impl StateHash {
    #[inline]
    pub(crate) fn remove(&mut self, digest: u64) {
        self.0 = self.0.wrapping_sub(digest);
    }

    /// Exchanges an entity's digest.
    #[inline]
    pub(crate) fn replace(&mut self, cached: &mut u64, digest: u64) {
        self.0 = self.0.wrapping_sub(*cached).wrapping_add(digest);
        *cached = digest;
    }

    pub(crate) const fn from_value(value: u64) -> StateHash {
        StateHash(value)
    }

    pub(crate) const fn value(self) -> u64 {
        self.0
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
