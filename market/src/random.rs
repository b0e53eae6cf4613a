//! SplitMix64: a small generator that is the same on every machine.

/// Sebastiano Vigna's SplitMix64 (public domain, <https://prng.di.unimi.it/splitmix64.c>): a Weyl sequence through a
/// 64-bit finaliser.
#[derive(Clone, Debug)]
pub(crate) struct SplitMix64(u64);

impl SplitMix64 {
    pub(crate) const fn new(seed: u64) -> SplitMix64 {
        SplitMix64(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `low..=high` (to within 2^-32 for the small ranges used here); `low` where `high` is below it.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        let Ok(width) = u128::try_from(i128::from(high) - i128::from(low) + 1) else {
            return low;
        };
        // The product of a 64-bit draw and a width of at most 2^64 fits, and its upper half is below the width.
        let offset = i128::try_from((u128::from(self.next()) * width) >> 64).unwrap_or(0);
        i64::try_from(i128::from(low) + offset).unwrap_or(low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_that_of_the_reference_implementation() {
        let mut random = SplitMix64::new(1_234_567);
        let sequence = [(); 3].map(|()| random.next());
        assert_eq!(
            sequence,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn ranges_include_both_ends() {
        let mut random = SplitMix64::new(7);
        let mut seen = [0_u32; 5];
        for _ in 0..1_000 {
            let drawn = random.between(-2, 2);
            seen[usize::try_from(drawn + 2).unwrap()] += 1;
        }
        assert!(seen.iter().all(|&count| count > 100), "{seen:?}");
        assert_eq!(random.between(3, 3), 3);
        assert_eq!(random.between(3, 1), 3);
        let wide = random.between(i64::MIN, i64::MAX);
        assert_ne!(wide, random.between(i64::MIN, i64::MAX));
    }
}
