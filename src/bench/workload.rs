//! Workloads A and B: two streams of order-book commands that any language reproduces bit for bit.
//!
//! They are drawn with integer arithmetic only, against a slow reference book, because where a command goes depends on
//! what the earlier ones did. A is a quote-driven flow of mostly moved orders, B one of additions and cancellations
//! with takers. Twelve other engines have run the same streams.

use std::fmt;

use super::checksum::{Fnv, Outcome, Touch};
use super::limits::{COMMANDS_MAX, PREFILL, PRICE_HIGH, PRICE_LOW};
use super::reference_book::{BUY, ReferenceBook, Side};

/// Which stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Mix {
    #[value(name = "A")]
    A,
    #[value(name = "B")]
    B,
}

impl Mix {
    /// How far from the touch new orders spread, in ticks.
    const fn spread(self) -> u64 {
        match self {
            Mix::A => 400,
            Mix::B => 200,
        }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Mix::A => "A",
            Mix::B => "B",
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// A limit order that rests until it is cancelled.
    Limit = 0,
    /// A limit order whose remainder is dropped.
    ImmediateOrCancel = 1,
    Cancel = 2,
    /// A new price for a resting order, whose quantity stays and whose place in the queue is lost.
    Move = 3,
}

/// One command. `side` is 0 for a buy and 1 for a sell; `price` is in ticks. Of cancels, price and quantity are 0; of
/// moves, the quantity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    pub kind: Kind,
    pub side: u8,
    pub uid: u16,
    /// Dense from 1 in order of the limit and immediate-or-cancel commands.
    pub id: u32,
    pub price: u32,
    pub quantity: u32,
}

impl Record {
    /// The two words of the stream checksum; little endian they are the record's 16 bytes.
    pub fn words(&self) -> [u64; 2] {
        [
            self.kind as u64
                | u64::from(self.side) << 8
                | u64::from(self.uid) << 16
                | u64::from(self.id) << 32,
            u64::from(self.price) | u64::from(self.quantity) << 32,
        ]
    }

    pub fn bytes(&self) -> [u8; 16] {
        let [first, second] = self.words();
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&first.to_le_bytes());
        bytes[8..].copy_from_slice(&second.to_le_bytes());
        bytes
    }
}

/// A stream: [`PREFILL`] records that fill the book, then the commands that are timed.
#[derive(Clone, Debug)]
pub struct Workload {
    pub mix: Mix,
    pub seed: u64,
    pub records: Vec<Record>,
    pub max_order_id: u32,
    /// What the reference book made of it.
    pub outcome: Outcome,
    /// The final best bid and ask.
    pub touch: (Touch, Touch),
}

impl Workload {
    /// Draws `commands` commands after the prefill.
    ///
    /// # Panics
    /// Above [`COMMANDS_MAX`] commands.
    pub fn generate(mix: Mix, commands: usize, seed: u64) -> Workload {
        assert!(
            commands <= COMMANDS_MAX,
            "a workload has at most {COMMANDS_MAX} commands"
        );
        let mut generator = Generator {
            mix,
            random: SplitMix64(seed),
            book: ReferenceBook::new(),
            records: Vec::with_capacity(commands + PREFILL),
        };
        for _ in 0..PREFILL {
            generator.step(Draw::Add);
        }
        for _ in 0..commands {
            let draw = generator.draw();
            generator.step(draw);
        }
        generator.finish(seed)
    }

    pub fn commands(&self) -> usize {
        self.records.len().saturating_sub(PREFILL)
    }

    pub fn checksum(&self) -> u64 {
        let mut checksum = Fnv::default();
        for word in self.records.iter().flat_map(Record::words) {
            checksum.word(word);
        }
        checksum.value()
    }
}

/// The generator of Steele, Lea and Flood: one 64-bit state, one output per step.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    pub const fn new(seed: u64) -> SplitMix64 {
        SplitMix64(seed)
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Uniform in `0..bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.draw()) * u128::from(bound)) >> 64) as u64
    }
}

/// What a command will be, before its own draws.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Draw {
    Add,
    Take,
    Cancel,
    Move,
}

struct Generator {
    mix: Mix,
    random: SplitMix64,
    book: ReferenceBook,
    records: Vec<Record>,
}

/// The resting orders are held between these counts.
const LIVE_LOW: usize = 900;
const LIVE_HIGH: usize = 1_100;

impl Generator {
    fn draw(&mut self) -> Draw {
        let die = self.random.below(100);
        let live = self.book.live().len();
        let drawn = match (self.mix, die) {
            (Mix::A, 0..9) | (Mix::B, 0..45) => Draw::Add,
            (Mix::A, 9..12) => Draw::Take,
            (Mix::A, 12..18) | (Mix::B, 45..90) => Draw::Cancel,
            (Mix::A, _) => Draw::Move,
            (Mix::B, _) => Draw::Take,
        };
        let capped = if drawn == Draw::Add && live > LIVE_HIGH {
            Draw::Cancel
        } else {
            drawn
        };
        let refill = match self.mix {
            Mix::A => capped != Draw::Add,
            Mix::B => capped == Draw::Cancel,
        };
        if refill && live < LIVE_LOW {
            Draw::Add
        } else {
            capped
        }
    }

    fn step(&mut self, draw: Draw) {
        match (self.mix, draw) {
            (_, Draw::Cancel) => {
                let id = self.pick();
                self.record(Kind::Cancel, id, 0);
                self.book.cancel(id);
            }
            (_, Draw::Move) => self.reprice(),
            (Mix::A, Draw::Add) => self.add_around_last(),
            (Mix::A, Draw::Take) => self.take_everything(),
            (Mix::B, Draw::Add) => self.add_behind_touch(),
            (Mix::B, Draw::Take) => self.take_near_touch(),
        }
        self.book
            .outcome
            .l1(self.book.touch(BUY), self.book.touch(1 - BUY));
    }

    fn add_around_last(&mut self) {
        let (side, uid) = self.side_and_uid();
        let offset = self.offset();
        let price = clamp(away(side, i64::from(self.book.last), offset));
        let quantity = self.size();
        self.submit(Kind::Limit, side, uid, price, quantity);
    }

    fn take_everything(&mut self) {
        let (side, uid) = self.side_and_uid();
        let price = if side == BUY { PRICE_HIGH } else { PRICE_LOW };
        let quantity = self.size();
        self.submit(Kind::ImmediateOrCancel, side, uid, price, quantity);
    }

    fn add_behind_touch(&mut self) {
        let (side, uid) = self.side_and_uid();
        let offset = self.offset();
        let price = clamp(away(side, self.opposite_touch(side), 1 + offset));
        let quantity = self.lot();
        self.submit(Kind::Limit, side, uid, price, quantity);
    }

    fn take_near_touch(&mut self) {
        let immediate = self.random.below(2) == 1;
        let (side, uid) = self.side_and_uid();
        let through = if immediate { self.random.below(4) as i64 } else { 0 };
        let price = clamp(away(side, self.opposite_touch(side), -through));
        let quantity = self.lot();
        let kind = if immediate {
            Kind::ImmediateOrCancel
        } else {
            Kind::Limit
        };
        self.submit(kind, side, uid, price, quantity);
    }

    /// A step of a hundredth of the distance towards the last price, at least one tick.
    fn reprice(&mut self) {
        let id = self.pick();
        let price = i64::from(self.book.order(id).price);
        let distance = i64::from(self.book.last) - price;
        let step = match distance {
            0 => 2 * self.random.below(2) as i64 - 1,
            _ => distance.signum() * (distance.abs() + 99).div_euclid(100),
        };
        let price = clamp(price + step);
        self.record(Kind::Move, id, price);
        self.book.reprice(id, price);
    }

    fn side_and_uid(&mut self) -> (Side, u16) {
        let side = self.random.below(2) as Side;
        (side, 1 + self.random.below(1_000) as u16)
    }

    /// A distance with a peak at zero and a tail whose width is itself drawn.
    fn offset(&mut self) -> i64 {
        let u = self.random.draw() >> 32;
        let width = 1 + ((((u * u) >> 32) * self.mix.spread()) >> 32);
        let sum: u64 = (0..4).map(|_| self.random.below(width)).sum();
        (2 * (sum / 4) as i64 - width as i64).abs()
    }

    fn size(&mut self) -> u32 {
        let [a, b, c] = [(); 3].map(|()| self.random.below(6) as u32);
        1 + a * b * c
    }

    fn lot(&mut self) -> u32 {
        1 + self.random.below(100) as u32
    }

    fn pick(&mut self) -> u32 {
        let live = self.book.live();
        live[self.random.below(live.len() as u64) as usize]
    }

    /// The best price that `side` could trade at, or the last price where there is none.
    fn opposite_touch(&self, side: Side) -> i64 {
        let (price, quantity) = self.book.touch(1 - side);
        i64::from(if quantity > 0 { price } else { self.book.last })
    }

    fn submit(&mut self, kind: Kind, side: Side, uid: u16, price: u32, quantity: u32) {
        let id = self.book.next_id();
        self.records.push(Record {
            kind,
            side: side as u8,
            uid,
            id,
            price,
            quantity,
        });
        self.book.add(side, uid, price, quantity, kind == Kind::Limit);
    }

    /// A command about a resting order.
    fn record(&mut self, kind: Kind, id: u32, price: u32) {
        let order = self.book.order(id);
        self.records.push(Record {
            kind,
            side: order.side as u8,
            uid: order.uid,
            id,
            price,
            quantity: 0,
        });
    }

    fn finish(self, seed: u64) -> Workload {
        let mut outcome = self.book.outcome;
        for (id, order) in self.book.resting() {
            outcome.resting(id, order.price, order.remaining);
        }
        Workload {
            mix: self.mix,
            seed,
            max_order_id: self.book.next_id() - 1,
            outcome,
            touch: (self.book.touch(BUY), self.book.touch(1 - BUY)),
            records: self.records,
        }
    }
}

/// `distance` ticks away from trading: below for a buy, above for a sell.
fn away(side: Side, from: i64, distance: i64) -> i64 {
    if side == BUY {
        from - distance
    } else {
        from + distance
    }
}

fn clamp(price: i64) -> u32 {
    price.clamp(i64::from(PRICE_LOW), i64::from(PRICE_HIGH)) as u32
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::super::expected;
    use super::*;

    #[test]
    fn the_random_numbers_are_those_of_the_specification() {
        let mut random = SplitMix64::new(42);
        let drawn = [(); 4].map(|()| random.draw());
        assert_eq!(
            drawn,
            [
                0xbdd7_3226_2feb_6e95,
                0x28ef_e333_b266_f103,
                0x4752_6757_130f_9f52,
                0x581c_e1ff_0e4a_e394
            ]
        );
        let mut random = SplitMix64::new(42);
        assert_eq!([(); 6].map(|()| random.below(100)), [74, 15, 27, 34, 3, 86]);
    }

    /// Every row of the table: the bytes, then the trades, every best price and the final queues.
    #[test]
    fn every_row_of_the_table_is_reproduced() {
        for row in expected::ROWS {
            let workload = Workload::generate(row.mix, row.commands, row.seed);
            let name = format!("mix {} n={}", row.mix, row.commands);
            let mut sha256 = Sha256::new();
            for record in &workload.records {
                sha256.update(record.bytes());
            }
            let digest: String = sha256
                .finalize()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(digest, row.sha256, "{name}");
            assert_eq!(workload.checksum(), row.stream_checksum, "{name}");
            assert_eq!(workload.max_order_id, row.max_order_id, "{name}");
            assert_eq!(workload.touch, row.touch, "{name}");
            assert_eq!(row.mismatches(&workload.outcome), Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn another_seed_gives_another_stream() {
        let stream = |seed| Workload::generate(Mix::B, 100, seed).checksum();
        assert_ne!(stream(42), stream(43));
    }
}
