//! The generator of simulated quotes and prints.
//!
//! The maker keeps a ladder of bids and asks around a random walk in every instrument. A new ladder is placed under
//! the other of two strategy ids before the old one is cancelled, so a trader's marketable order never finds an empty
//! book; where the new ladder crosses the old one, the maker's self-trade prevention (`cancel-resting`) takes the old
//! order away. The taker sends small IOC orders through the maker's best price, so that prints move the last price.

use std::time::Duration;

use engine::{
    AccountId, Actor, CancelAll, ClientOrderId, Command, InstrumentId, InstrumentView, NewOrder, OrderType,
    Price, Product, Quantity, Side, StrategyId, TimeInForce,
};

use crate::limits::{COMMANDS_PER_STEP_MAX, LEVELS_MAX, ORDER_SHARES_MAX, STEP_INTERVAL_MIN};
use crate::random::SplitMix64;
use crate::walk::Walk;

/// The strategies whose ladders take turns. The taker's orders never rest and use the first.
const LADDERS: [StrategyId; 2] = [StrategyId::new(1), StrategyId::new(2)];

/// Widest spread and widest gap between levels, each beyond one tick, as 1 part in this many of the price.
const SPREAD_SHARE: i64 = 5_000;
const GAP_SHARE: i64 = 10_000;

/// How far through the best price a taker's limit reaches, in ticks.
const TAKER_REACH: i64 = 3;

/// Notional of a quoted level nearest the touch, and of a taker's order, in paise. Each further level adds a step.
const LEVEL_VALUE: (i64, i64) = (10_000_000, 30_000_000);
const LEVEL_VALUE_STEP: i64 = 5_000_000;
const TAKE_VALUE: (i64, i64) = (1_000_000, 5_000_000);

/// What the simulator knows of an instrument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SimInstrument {
    pub id: InstrumentId,
    pub tick: Price,
    pub lot: Quantity,
    /// What the random walk is anchored to.
    pub reference: Price,
    /// Ends of the price band; nothing is quoted outside.
    pub band_low: Price,
    pub band_high: Price,
    /// Where the walk goes on from after a restart; `None` starts it at the reference price.
    pub last_price: Option<Price>,
}

impl From<&InstrumentView<'_>> for SimInstrument {
    fn from(view: &InstrumentView<'_>) -> SimInstrument {
        SimInstrument {
            id: view.instrument,
            tick: view.definition.tick_size,
            lot: view.definition.lot_size,
            reference: view.definition.reference_price,
            band_low: view.band_low,
            band_high: view.band_high,
            last_price: view.last_price,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SimulatorSettings {
    pub seed: u64,
    /// Instruments whose band has no room for a bid and an ask are never quoted.
    pub instruments: Vec<SimInstrument>,
    /// Venue account of the quotes; its self-trade policy must be `cancel-resting`.
    pub maker: AccountId,
    /// Venue account of the prints; another one than the maker.
    pub taker: AccountId,
    /// Price levels on each side, 1 to [`LEVELS_MAX`]; anything outside is brought to the nearest of these.
    pub levels: usize,
    /// Each instrument is quoted anew once in this time, the instruments spread evenly over it.
    pub quote_interval: Duration,
    /// Mean time between two of the taker's orders over all instruments.
    pub take_interval: Duration,
}

impl SimulatorSettings {
    /// Five levels, every instrument quoted once a second, four prints a second in all.
    pub fn new(
        seed: u64,
        instruments: Vec<SimInstrument>,
        maker: AccountId,
        taker: AccountId,
    ) -> SimulatorSettings {
        SimulatorSettings {
            seed,
            instruments,
            maker,
            taker,
            levels: 5,
            quote_interval: Duration::from_secs(1),
            take_interval: Duration::from_millis(250),
        }
    }
}

/// A seeded generator of the simulated participants' commands.
#[derive(Clone, Debug)]
pub struct Simulator {
    random: SplitMix64,
    books: Vec<QuotedBook>,
    maker: AccountId,
    taker: AccountId,
    levels: usize,
    quote_interval: Duration,
    take_interval: Duration,
    phase: Phase,
    next_quote: Duration,
    next_take: Duration,
    /// The book that is quoted next.
    cursor: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Orders of an earlier run may still rest.
    Starting,
    /// The books up to the cursor have been quoted and have printed once.
    Opening,
    Continuous,
}

/// The maker's book in one instrument. Prices are counted in ticks.
#[derive(Clone, Debug)]
struct QuotedBook {
    id: InstrumentId,
    tick: Price,
    lot: Quantity,
    low: i64,
    high: i64,
    walk: Walk,
    best_ask: i64,
    /// Which of [`LADDERS`] the next ladder goes under.
    next_ladder: usize,
}

impl Simulator {
    pub fn new(settings: SimulatorSettings) -> Simulator {
        let books: Vec<QuotedBook> = settings.instruments.iter().filter_map(QuotedBook::new).collect();
        let count = u32::try_from(books.len()).unwrap_or(u32::MAX).max(1);
        Simulator {
            random: SplitMix64::new(settings.seed),
            books,
            maker: settings.maker,
            taker: settings.taker,
            levels: settings.levels.clamp(1, LEVELS_MAX),
            quote_interval: (settings.quote_interval / count).max(STEP_INTERVAL_MIN),
            take_interval: settings.take_interval.max(STEP_INTERVAL_MIN),
            phase: Phase::Starting,
            next_quote: Duration::ZERO,
            next_take: Duration::ZERO,
            cursor: 0,
        }
    }

    /// When the next step has something to do.
    pub fn next_due(&self) -> Duration {
        self.next_quote.min(self.next_take)
    }

    /// Puts the commands that are due at `now` into `out`, which it empties first: at most
    /// [`COMMANDS_PER_STEP_MAX`]. `now` counts from any fixed origin and should not run backwards.
    ///
    /// The first step cancels what an earlier run left behind. The first steps, until every instrument has been quoted
    /// and has printed once, follow each other as closely as [`STEP_INTERVAL_MIN`]. What was missed by stepping late
    /// is not made up for.
    pub fn step(&mut self, now: Duration, out: &mut Vec<Command>) {
        out.clear();
        if self.phase == Phase::Starting {
            out.extend([self.maker, self.taker].map(|account| cancel_all(account, None, None)));
            self.phase = Phase::Opening;
        }
        if self.phase == Phase::Opening {
            self.open(now, out);
            return;
        }
        if now >= self.next_quote {
            self.next_quote = now + self.quote_interval;
            self.quote(self.cursor, out);
            self.cursor = (self.cursor + 1) % self.books.len();
        }
        if now >= self.next_take {
            self.next_take = now + self.random_take_interval();
            let last = i64::try_from(self.books.len()).unwrap_or(i64::MAX) - 1;
            let index = usize::try_from(self.random.between(0, last)).unwrap_or(0);
            self.take(index, out);
        }
    }

    /// Quotes and prints as many books as one step may, from the cursor on.
    fn open(&mut self, now: Duration, out: &mut Vec<Command>) {
        let commands_per_book = 2 * self.levels + 2;
        while self.cursor < self.books.len() && out.len() + commands_per_book <= COMMANDS_PER_STEP_MAX {
            self.quote(self.cursor, out);
            self.take(self.cursor, out);
            self.cursor += 1;
        }
        (self.next_quote, self.next_take) = if self.books.is_empty() {
            (Duration::MAX, Duration::MAX)
        } else if self.cursor < self.books.len() {
            (now + STEP_INTERVAL_MIN, now + STEP_INTERVAL_MIN)
        } else {
            self.phase = Phase::Continuous;
            self.cursor = 0;
            (now + self.quote_interval, now + self.random_take_interval())
        };
    }

    /// Places a new ladder and then cancels the one before it.
    fn quote(&mut self, index: usize, out: &mut Vec<Command>) {
        let book = &mut self.books[index];
        let random = &mut self.random;
        let old_bid = book.walk.position();
        let bid = book.walk.step(random);
        book.best_ask = (bid + random.between(1, 1 + bid / SPREAD_SHARE)).min(book.high);
        let gap = random.between(1, 1 + bid / GAP_SHARE);
        let strategy = LADDERS[book.next_ladder];
        // The side that the market moves away from goes first: it cannot cross the old ladder, so neither side is
        // empty when the other side's new orders take old ones away.
        let sides = if bid >= old_bid {
            [Side::Sell, Side::Buy]
        } else {
            [Side::Buy, Side::Sell]
        };
        for level in (0..).take(self.levels) {
            for side in sides {
                let ticks = match side {
                    Side::Buy => bid - gap * level,
                    Side::Sell => book.best_ask + gap * level,
                };
                if !(book.low..=book.high).contains(&ticks) {
                    continue;
                }
                let extra = LEVEL_VALUE_STEP * level;
                let value = random.between(LEVEL_VALUE.0 + extra, LEVEL_VALUE.1 + extra);
                out.push(book.order(self.maker, strategy, side, ticks, value, TimeInForce::Day));
            }
        }
        book.next_ladder = 1 - book.next_ladder;
        out.push(cancel_all(
            self.maker,
            Some(LADDERS[book.next_ladder]),
            Some(book.id),
        ));
    }

    /// Sends one small order through the maker's best price, either way.
    fn take(&mut self, index: usize, out: &mut Vec<Command>) {
        let book = &self.books[index];
        let (side, ticks) = match self.random.between(0, 1) {
            0 => (Side::Buy, (book.best_ask + TAKER_REACH).min(book.high)),
            _ => (Side::Sell, (book.walk.position() - TAKER_REACH).max(book.low)),
        };
        let value = self.random.between(TAKE_VALUE.0, TAKE_VALUE.1);
        out.push(book.order(self.taker, LADDERS[0], side, ticks, value, TimeInForce::Ioc));
    }

    /// Between a half and one and a half times the mean.
    fn random_take_interval(&mut self) -> Duration {
        let mean_us = i64::try_from(self.take_interval.as_micros()).unwrap_or(i64::MAX / 2);
        let drawn_us = self
            .random
            .between(mean_us / 2, mean_us.saturating_add(mean_us / 2));
        Duration::from_micros(drawn_us.unsigned_abs())
    }
}

impl QuotedBook {
    /// `None` where the band has no room for a bid and an ask on the tick grid.
    fn new(instrument: &SimInstrument) -> Option<QuotedBook> {
        let tick = i64::from(instrument.tick.paise());
        let ticks = |price: Price| i64::from(price.paise()) / tick;
        let low = (i64::from(instrument.band_low.paise()) + tick - 1) / tick;
        let high = ticks(instrument.band_high);
        let anchor = ticks(instrument.reference);
        let start = instrument.last_price.map_or(anchor, ticks);
        let walk = Walk::new(start, anchor, low, high - 1)?;
        let best_ask = walk.position() + 1;
        Some(QuotedBook {
            id: instrument.id,
            tick: instrument.tick,
            lot: instrument.lot,
            low,
            high,
            walk,
            best_ask,
            next_ladder: 0,
        })
    }

    /// A limit order at `ticks` for about `value` paise, at least one lot.
    fn order(
        &self,
        account: AccountId,
        strategy: StrategyId,
        side: Side,
        ticks: i64,
        value: i64,
        time_in_force: TimeInForce,
    ) -> Command {
        let price = Price::from_paise_clamped(ticks * i64::from(self.tick.paise()));
        let lot = i64::from(self.lot.shares()).max(1);
        let shares = (value / i64::from(price.paise())).min(i64::from(ORDER_SHARES_MAX));
        Command::NewOrder(NewOrder {
            account,
            strategy,
            instrument: self.id,
            side,
            product: Product::Mis,
            order_type: OrderType::Limit(price),
            time_in_force,
            quantity: Quantity::clamped((shares / lot).max(1) * lot),
            post_only: false,
            disclosed: None,
            minimum: None,
            stop_loss: None,
            take_profit: None,
            client_order_id: ClientOrderId::EMPTY,
            metadata: None,
        })
    }
}

/// Cancels an account's own orders.
fn cancel_all(account: AccountId, strategy: Option<StrategyId>, instrument: Option<InstrumentId>) -> Command {
    Command::CancelAll(CancelAll {
        actor: Actor {
            account,
            admin: false,
        },
        account: Some(account),
        strategy,
        instrument,
        side: None,
    })
}

#[cfg(test)]
mod tests;
