//! A random walk of an instrument's best bid on its tick grid, pulled softly back to the reference price.

use crate::random::SplitMix64;

/// A step's largest move is this share of the price: 1 part in 2,000 (5 basis points).
const MOVE_PER_STEP: i64 = 2_000;

/// Each step takes back 1 part in this many of the distance from the anchor. With [`MOVE_PER_STEP`] the walk spends
/// most of its time within about 1 % of the anchor.
const REVERSION: i64 = 1_024;

/// The walk of one instrument. Everything is counted in ticks.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    position: i64,
    anchor: i64,
    low: i64,
    high: i64,
}

impl Walk {
    /// A walk that starts at `start` and stays in `low..=high`. `None` for an empty range.
    pub(crate) fn new(start: i64, anchor: i64, low: i64, high: i64) -> Option<Walk> {
        (low <= high).then(|| Walk {
            position: start.clamp(low, high),
            anchor: anchor.clamp(low, high),
            low,
            high,
        })
    }

    pub(crate) fn position(&self) -> i64 {
        self.position
    }

    /// Moves one step and returns the new position.
    pub(crate) fn step(&mut self, random: &mut SplitMix64) -> i64 {
        let reach = (self.anchor / MOVE_PER_STEP).max(1);
        let noise = random.between(-reach, reach);
        // A distance below REVERSION pulls by one tick with the right probability rather than never.
        let pull = (self.anchor - self.position + random.between(0, REVERSION - 1)).div_euclid(REVERSION);
        self.position = (self.position + noise + pull).clamp(self.low, self.high);
        self.position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_range_has_no_walk() {
        assert!(Walk::new(5, 5, 6, 5).is_none());
        assert!(Walk::new(5, 5, 5, 5).is_some());
    }

    #[test]
    fn the_walk_moves_both_ways_and_stays_near_its_anchor() {
        for seed in 0..20 {
            let mut random = SplitMix64::new(seed);
            let mut walk = Walk::new(24_500, 24_500, 22_050, 26_950).unwrap();
            let (mut ups, mut downs) = (0, 0);
            for _ in 0..50_000 {
                let before = walk.position();
                let after = walk.step(&mut random);
                ups += i32::from(after > before);
                downs += i32::from(after < before);
                assert!(
                    (after - 24_500).abs() <= 24_500 / 20,
                    "seed {seed}: strayed to {after}"
                );
            }
            assert!(
                ups > 15_000 && downs > 15_000,
                "seed {seed}: {ups} up, {downs} down"
            );
        }
    }

    #[test]
    fn a_walk_that_starts_far_away_comes_back() {
        let mut random = SplitMix64::new(1);
        let mut walk = Walk::new(27_000, 24_500, 20_000, 29_000).unwrap();
        for _ in 0..10_000 {
            walk.step(&mut random);
        }
        assert!((walk.position() - 24_500).abs() < 1_225, "at {}", walk.position());
    }
}
