//! The streams of order-book commands that any language reproduces bit for bit.
//!
//! All are drawn with integer arithmetic only, against slow reference books, because where a command goes depends on
//! what the earlier ones did.
//!
//! - A and B (`ORACLE.md`): one book. A is a quote-driven flow of mostly moved orders, B one of additions and
//!   cancellations with takers. Twelve other engines have run the same streams.
//! - C: B over [`C_INSTRUMENTS`] books with a prefill of [`PREFILL`] orders each, a million in all. A timed command
//!   draws its book first, by Zipf's law with exponent 1.1 from a table of integers ([`weights::zipf`]); everything
//!   after that is B's draws on that book, out of the one generator. The prefill takes the books in turn. Ids are dense
//!   over all books. The account is `1000 × (book mod 200) + uid`: 200,000 accounts, each in five books. The stream
//!   checksum has the book as a third word of each record.
//! - D: exactly B's records; beside each order stands a stop-loss from a generator of its own ([`stops`]).
//! - E: see [`super::swings`].

use std::fmt;

use super::checksum::{Fnv, Outcome, Touch};
use super::limits::{COMMANDS_MAX, PREFILL, PRICE_HIGH, PRICE_LOW};
use super::reference_market::{BUY, NewOrder, Order, ReferenceMarket, Side};
use super::swings::{self, Scenario};
use super::weights::{self, Weights};

/// Which stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
#[value(rename_all = "verbatim")]
pub enum Name {
    A,
    B,
    C,
    D,
    E,
}

/// Books of workload C.
pub const C_INSTRUMENTS: u16 = 1_000;
/// Groups of a thousand accounts in workload C; books whose numbers agree modulo this share one.
const C_GROUPS: u32 = 200;

impl Name {
    pub const fn instruments(self) -> u16 {
        match self {
            Name::C => C_INSTRUMENTS,
            _ => 1,
        }
    }

    /// Highest account number; they begin at 1.
    pub const fn accounts(self) -> u32 {
        match self {
            Name::C => C_GROUPS * 1_000,
            _ => 1_000,
        }
    }

    /// Commands before the timed ones.
    pub const fn prefill(self) -> usize {
        match self {
            Name::A | Name::B | Name::D => PREFILL,
            Name::C => PREFILL * C_INSTRUMENTS as usize,
            Name::E => 0,
        }
    }

    /// Who sends an order of `uid` to a book.
    pub const fn account(self, record: &Record) -> u32 {
        match self {
            Name::C => record.instrument as u32 % C_GROUPS * 1_000 + record.uid as u32,
            _ => record.uid as u32,
        }
    }

    /// How far from the touch new orders spread, in ticks.
    const fn spread(self) -> u64 {
        match self {
            Name::A => 400,
            _ => 200,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Name::A => "A",
            Name::B => "B",
            Name::C => "C",
            Name::D => "D",
            Name::E => "E",
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
    /// A new price and open quantity for a resting order. Only in workload E.
    Modify = 4,
}

/// One command. `side` is 0 for a buy and 1 for a sell; `price` is in ticks. Of cancels, price and quantity are 0; of
/// moves, the quantity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    pub kind: Kind,
    pub side: u8,
    pub uid: u16,
    /// 0 where there is one book.
    pub instrument: u16,
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

/// A stream: records that fill the books, then the commands that are timed.
#[derive(Clone, Debug)]
pub struct Workload {
    pub name: Name,
    /// Of workload E.
    pub scenario: Option<Scenario>,
    pub seed: u64,
    pub records: Vec<Record>,
    /// Of workload D: the stop-loss of each record in paise, 0 for none. Else empty.
    pub stops: Vec<u32>,
    pub max_order_id: u32,
    /// What the reference books made of it.
    pub outcome: Outcome,
    /// The final best bid and ask of the first book.
    pub touch: (Touch, Touch),
}

impl Workload {
    /// Draws `commands` commands after the prefill. `scenario` is for workload E only; without one its price stands
    /// still.
    ///
    /// # Panics
    /// Above [`COMMANDS_MAX`] commands.
    pub fn generate(name: Name, scenario: Option<Scenario>, commands: usize, seed: u64) -> Workload {
        assert!(
            commands <= COMMANDS_MAX,
            "a workload has at most {COMMANDS_MAX} commands"
        );
        if name == Name::E {
            return swings::generate(scenario.unwrap_or(Scenario::Still), commands, seed);
        }
        let mut generator = Generator {
            name,
            random: SplitMix64(seed),
            market: ReferenceMarket::new(name.instruments()),
            records: Vec::with_capacity(commands + name.prefill()),
            instrument: 0,
        };
        for _ in 0..PREFILL {
            for instrument in 0..name.instruments() {
                generator.instrument = instrument;
                generator.step(Draw::Add);
            }
        }
        let popularity = weights::zipf(usize::from(name.instruments()));
        for _ in 0..commands {
            generator.draw_instrument(&popularity);
            let draw = generator.draw();
            generator.step(draw);
        }
        generator.finish(seed)
    }

    pub fn commands(&self) -> usize {
        self.records.len().saturating_sub(self.name.prefill())
    }

    pub fn checksum(&self) -> u64 {
        let mut checksum = Fnv::default();
        for record in &self.records {
            for word in record.words() {
                checksum.word(word);
            }
            if self.name == Name::C {
                checksum.word(u64::from(record.instrument));
            }
        }
        checksum.value()
    }
}

/// Stop-losses for workload D, in paise, 0 for none. Each order draws `rnd(100)` and a distance `1 + rnd(60)` in ticks
/// from the generator of the inverted seed:
///
/// | draw | stop-loss | what comes of it |
/// |---|---|---|
/// | 0 to 14 | none | rejected, unless the order is an exit |
/// | 15 to 22 | at the distance on the wrong side of the price | rejected |
/// | 23 to 42 | ₹40 and the distance away | risks too much of ₹1,00,000 on more than fifty shares |
/// | 43 to 47 | ten ticks and the distance away | accepted; would fire where the price swings that far |
/// | 48 to 99 | ₹10 and the distance away | accepted |
///
/// The rest of the rejections comes from what the accounts do: working orders for one position, and executions that
/// come too fast.
fn stops(records: &[Record], seed: u64) -> Vec<u32> {
    let mut random = SplitMix64(!seed);
    let stop = |record: &Record| {
        if !matches!(record.kind, Kind::Limit | Kind::ImmediateOrCancel) {
            return 0;
        }
        let die = random.below(100);
        let distance = 1 + random.below(60) as i64;
        let side = Side::from(record.side);
        match die {
            0..15 => 0,
            15..23 => clamp(away(side, i64::from(record.price), -distance)),
            23..43 => clamp(away(side, i64::from(record.price), 4_000 + distance)),
            43..48 => clamp(away(side, i64::from(record.price), 10 + distance)),
            _ => clamp(away(side, i64::from(record.price), 1_000 + distance)),
        }
    };
    records.iter().map(stop).collect()
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
    name: Name,
    random: SplitMix64,
    market: ReferenceMarket,
    records: Vec<Record>,
    /// The book of the command in turn.
    instrument: u16,
}

/// The resting orders are held between these counts.
const LIVE_LOW: usize = 900;
const LIVE_HIGH: usize = 1_100;

impl Generator {
    /// Draws nothing where there is one book.
    fn draw_instrument(&mut self, popularity: &Weights) {
        if self.name == Name::C {
            self.instrument = popularity.draw(&mut self.random) as u16;
        }
    }

    fn draw(&mut self) -> Draw {
        let die = self.random.below(100);
        let live = self.market.live(self.instrument).len();
        let drawn = match (self.name, die) {
            (Name::A, 0..9) => Draw::Add,
            (Name::A, 9..12) => Draw::Take,
            (Name::A, 12..18) => Draw::Cancel,
            (Name::A, _) => Draw::Move,
            (_, 0..45) => Draw::Add,
            (_, 45..90) => Draw::Cancel,
            _ => Draw::Take,
        };
        let capped = if drawn == Draw::Add && live > LIVE_HIGH {
            Draw::Cancel
        } else {
            drawn
        };
        let refill = match self.name {
            Name::A => capped != Draw::Add,
            _ => capped == Draw::Cancel,
        };
        if refill && live < LIVE_LOW {
            Draw::Add
        } else {
            capped
        }
    }

    fn step(&mut self, draw: Draw) {
        match (self.name, draw) {
            (_, Draw::Cancel) => {
                let id = self.pick();
                self.record(Kind::Cancel, id, 0);
                self.market.cancel(id);
            }
            (_, Draw::Move) => self.reprice(),
            (Name::A, Draw::Add) => self.add_around_last(),
            (Name::A, Draw::Take) => self.take_everything(),
            (_, Draw::Add) => self.add_behind_touch(),
            (_, Draw::Take) => self.take_near_touch(),
        }
        self.market.note_l1(self.instrument);
    }

    fn add_around_last(&mut self) {
        let (side, uid) = self.side_and_uid();
        let offset = self.offset();
        let price = clamp(away(side, i64::from(self.market.last(self.instrument)), offset));
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
        let Order { price, remaining, .. } = self.market.order(id);
        let price = i64::from(price);
        let distance = i64::from(self.market.last(self.instrument)) - price;
        let step = match distance {
            0 => 2 * self.random.below(2) as i64 - 1,
            _ => distance.signum() * (distance.abs() + 99).div_euclid(100),
        };
        let price = clamp(price + step);
        self.record(Kind::Move, id, price);
        self.market.reprice(id, price, remaining);
    }

    fn side_and_uid(&mut self) -> (Side, u16) {
        let side = self.random.below(2) as Side;
        (side, 1 + self.random.below(1_000) as u16)
    }

    /// A distance with a peak at zero and a tail whose width is itself drawn.
    fn offset(&mut self) -> i64 {
        let u = self.random.draw() >> 32;
        let width = 1 + ((((u * u) >> 32) * self.name.spread()) >> 32);
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
        let live = self.market.live(self.instrument);
        live[self.random.below(live.len() as u64) as usize]
    }

    /// The best price that `side` could trade at, or the last price where there is none.
    fn opposite_touch(&self, side: Side) -> i64 {
        let (price, quantity) = self.market.touch(self.instrument, 1 - side);
        i64::from(if quantity > 0 {
            price
        } else {
            self.market.last(self.instrument)
        })
    }

    fn submit(&mut self, kind: Kind, side: Side, uid: u16, price: u32, quantity: u32) {
        let id = self.market.next_id();
        self.records.push(Record {
            kind,
            side: side as u8,
            uid,
            instrument: self.instrument,
            id,
            price,
            quantity,
        });
        let order = NewOrder {
            instrument: self.instrument,
            side,
            uid,
            price,
            quantity,
        };
        self.market.add(order, kind == Kind::Limit);
    }

    /// A command about a resting order.
    fn record(&mut self, kind: Kind, id: u32, price: u32) {
        let order = self.market.order(id);
        self.records.push(Record {
            kind,
            side: order.side as u8,
            uid: order.uid,
            instrument: order.instrument,
            id,
            price,
            quantity: 0,
        });
    }

    fn finish(mut self, seed: u64) -> Workload {
        self.market.note_resting();
        let stops = match self.name {
            Name::D => stops(&self.records, seed),
            _ => Vec::new(),
        };
        Workload {
            name: self.name,
            scenario: None,
            seed,
            stops,
            max_order_id: self.market.next_id() - 1,
            outcome: self.market.outcome,
            touch: (self.market.touch(0, BUY), self.market.touch(0, 1 - BUY)),
            records: self.records,
        }
    }
}

/// `distance` ticks away from trading: below for a buy, above for a sell.
pub(super) fn away(side: Side, from: i64, distance: i64) -> i64 {
    if side == BUY {
        from - distance
    } else {
        from + distance
    }
}

pub(super) fn clamp(price: i64) -> u32 {
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
            let workload = Workload::generate(row.workload, None, row.commands, row.seed);
            let name = format!("workload {} n={}", row.workload, row.commands);
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

    /// The generators of C, D and E have no table of others; these are their own first results.
    #[test]
    fn the_own_streams_are_pinned() {
        let still = Workload::generate(Name::E, Some(Scenario::Still), 20_000, 42);
        let swinging = Workload::generate(Name::E, Some(Scenario::Swing60), 20_000, 42);
        let many = Workload::generate(Name::C, None, 20_000, 42);
        let found = [&many, &still, &swinging].map(|workload| {
            let outcome = &workload.outcome;
            let sums = [
                workload.checksum(),
                outcome.trade_checksum(),
                outcome.l1_checksum(),
                outcome.book_checksum(),
            ];
            (outcome.trades, sums.map(|sum| format!("{sum:016x}")).join(" "))
        });
        assert_eq!(
            found,
            [
                (
                    3_745,
                    "aa37ab8070803a94 4b22fbfb04cf3994 b6577ed05dcb89df c34aaafa3cf5acf9".to_owned()
                ),
                (
                    3_188,
                    "47cb0b2c68550630 46b2541a88e365ab 79ae7142bfc976d0 33ed1eaaa0bfa7ad".to_owned()
                ),
                (
                    14_417,
                    "12b65916d9445e6f cb2758802d30152e 80ffeb6b800748b9 4bb630051a1cf067".to_owned()
                ),
            ]
        );
        let with_stops = Workload::generate(Name::D, None, 1_000, 42);
        let mut stops = Fnv::default();
        with_stops
            .stops
            .iter()
            .for_each(|&stop| stops.word(u64::from(stop)));
        let plain = Workload::generate(Name::B, None, 1_000, 42);
        assert_eq!(with_stops.checksum(), plain.checksum(), "D is B with stop-losses");
        assert_eq!(format!("{:016x}", stops.value()), "708dfb5856fbf90a");
    }

    #[test]
    fn another_seed_gives_another_stream() {
        let stream = |seed| Workload::generate(Name::B, None, 100, seed).checksum();
        assert_ne!(stream(42), stream(43));
    }
}
