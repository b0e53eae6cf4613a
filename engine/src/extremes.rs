//! The highest and the lowest mark since any earlier one, without keeping every mark.

use alloc::vec::Vec;

use crate::limits::EXTREMES_MAX;
use crate::units::Price;

/// Marks of one instrument by number. Only those that no later mark has surpassed are kept, so their prices are in
/// order and the extreme since a mark is the first entry after it.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Extremes {
    /// Descending prices.
    highs: Vec<(u64, Price)>,
    /// Ascending prices.
    lows: Vec<(u64, Price)>,
}

impl Extremes {
    pub(crate) fn new() -> Extremes {
        Extremes {
            highs: Vec::with_capacity(EXTREMES_MAX),
            lows: Vec::with_capacity(EXTREMES_MAX),
        }
    }

    /// The same with the room that it was built with, which an image does not keep.
    pub(crate) fn with_room(mut self) -> Extremes {
        for entries in [&mut self.highs, &mut self.lows] {
            entries.truncate(EXTREMES_MAX);
            entries.reserve_exact(EXTREMES_MAX.saturating_sub(entries.len()));
        }
        self
    }

    /// Notes mark number `mark`, the highest number so far. `false` where there is no room: the caller brings
    /// everyone up to date and then calls [`Extremes::begin`].
    #[inline]
    pub(crate) fn note(&mut self, mark: u64, price: Price) -> bool {
        while self.highs.last().is_some_and(|&(_, high)| high <= price) {
            self.highs.pop();
        }
        while self.lows.last().is_some_and(|&(_, low)| low >= price) {
            self.lows.pop();
        }
        let has_room = self.highs.len() < EXTREMES_MAX && self.lows.len() < EXTREMES_MAX;
        if has_room {
            self.highs.push((mark, price));
            self.lows.push((mark, price));
        }
        has_room
    }

    /// Forgets everything before mark number `mark`.
    pub(crate) fn begin(&mut self, mark: u64, price: Price) {
        self.highs.clear();
        self.lows.clear();
        self.highs.push((mark, price));
        self.lows.push((mark, price));
    }

    /// The highest mark after number `mark`.
    #[inline]
    pub(crate) fn highest_after(&self, mark: u64) -> Option<Price> {
        first_after(&self.highs, mark)
    }

    /// The lowest mark after number `mark`.
    #[inline]
    pub(crate) fn lowest_after(&self, mark: u64) -> Option<Price> {
        first_after(&self.lows, mark)
    }
}

#[inline]
fn first_after(entries: &[(u64, Price)], mark: u64) -> Option<Price> {
    let first = entries.partition_point(|&(number, _)| number <= mark);
    entries.get(first).map(|&(_, price)| price)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_every_mark_kept(prices in prop::collection::vec(1_u32..2_000, 1..2_000)) {
            let prices: Vec<Price> = prices.into_iter().filter_map(Price::from_paise).collect();
            let mut extremes = Extremes::new();
            let mut begun = 0;
            for (mark, &price) in (1..).zip(&prices) {
                if !extremes.note(mark, price) {
                    extremes.begin(mark, price);
                    begun = mark - 1;
                }
                for since in [begun, begun + (mark - begun) / 2, mark - 1] {
                    let after = &prices[since as usize..mark as usize];
                    prop_assert_eq!(extremes.highest_after(since), after.iter().max().copied());
                    prop_assert_eq!(extremes.lowest_after(since), after.iter().min().copied());
                }
                prop_assert_eq!(extremes.highest_after(mark), None);
            }
        }
    }
}
