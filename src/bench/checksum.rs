//! Word-wise FNV-1a, the checksum of the workloads: cheap enough to run beside a book, strict about order.

/// An accumulator over 64-bit words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    pub fn word(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0000_0100_0000_01b3);
    }

    pub const fn value(self) -> u64 {
        self.0
    }
}

/// What a run of a book over a stream adds up to. Two books agree on every trade, on the best prices after every
/// command and on the final queues exactly if these agree.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Outcome {
    pub trades: u64,
    pub traded_quantity: u64,
    trade: Fnv,
    l1: Fnv,
    book: Fnv,
}

/// One side's best price in ticks and the whole quantity there; `(0, 0)` where the side is empty.
pub type Touch = (u32, u64);

impl Outcome {
    /// One trade, in the order of execution. Prices are in ticks.
    pub fn trade(&mut self, maker: u32, taker: u32, price: u32, quantity: u32) {
        self.trades += 1;
        self.traded_quantity += u64::from(quantity);
        for word in [maker, taker, price, quantity] {
            self.trade.word(u64::from(word));
        }
    }

    /// The touch after a command.
    pub fn l1(&mut self, bid: Touch, ask: Touch) {
        for (price, quantity) in [bid, ask] {
            self.l1.word(u64::from(price));
            self.l1.word(quantity);
        }
    }

    /// One order that rests at the end: bids best to worst, then asks, each level first in, first out.
    pub fn resting(&mut self, id: u32, price: u32, quantity: u32) {
        for word in [id, price, quantity] {
            self.book.word(u64::from(word));
        }
    }

    pub const fn trade_checksum(&self) -> u64 {
        self.trade.value()
    }

    pub const fn l1_checksum(&self) -> u64 {
        self.l1.value()
    }

    pub const fn book_checksum(&self) -> u64 {
        self.book.value()
    }
}
