//! Where choices come from.

/// SplitMix64; or what a fuzzer chose, byte by byte, and 0 when there is nothing left of it.
#[derive(Default)]
pub struct Random {
    state: u64,
    chosen: Option<std::vec::IntoIter<u8>>,
}

impl Random {
    pub fn new(seed: u64) -> Random {
        Random {
            state: seed,
            chosen: None,
        }
    }

    pub fn chosen(bytes: &[u8]) -> Random {
        Random {
            state: 0,
            chosen: Some(Vec::from(bytes).into_iter()),
        }
    }

    pub fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `0..bound`.
    pub fn below(&mut self, bound: u32) -> u32 {
        if let Some(chosen) = &mut self.chosen {
            let bytes = match bound {
                0..=0x100 => 1,
                0x101..=0x1_0000 => 2,
                _ => 4,
            };
            let number = chosen
                .take(bytes)
                .fold(0, |number, byte| number << 8 | u32::from(byte));
            return number.checked_rem(bound).unwrap_or(0);
        }
        (((self.draw() >> 32) * u64::from(bound)) >> 32) as u32
    }

    pub(super) fn percent(&mut self, chance: u32) -> bool {
        self.below(100) < chance
    }

    pub(super) fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u32) as usize]
    }
}
