//! Instruments: definition, price band, order book, last traded price and the day's statistics.

use crate::arena::NIL;
use crate::book::ladder::{Best, Nodes, PriceDomain, Sides};
use crate::command::InstrumentDefinition;
use crate::event::{Event, EventBuffer, TopOfBook};
use crate::extremes::Extremes;
use crate::ids::InstrumentId;
use crate::state_hash::{Digest, Digested, Entity};
use crate::stops::Prints;
use crate::terms::Side;
use crate::triggers::Trees;
use crate::units::{Price, Quantity, Timestamp};

/// The day's trading in an instrument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct DayStatistics {
    pub(crate) open: Option<Price>,
    pub(crate) high: Option<Price>,
    pub(crate) low: Option<Price>,
    pub(crate) volume: u64,
    pub(crate) turnover: i128,
    pub(crate) trades: u64,
}

impl DayStatistics {
    #[inline]
    pub(crate) fn record(&mut self, price: Price, quantity: Quantity) {
        self.open = self.open.or(Some(price));
        self.high = self.high.max(Some(price));
        self.low = Some(self.low.map_or(price, |low| low.min(price)));
        self.volume = self.volume.saturating_add(u64::from(quantity.shares()));
        self.turnover = self.turnover.saturating_add(price.notional(quantity).wide());
        self.trades = self.trades.saturating_add(1);
    }
}

/// Best bid and ask with their visible quantities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Top {
    pub(crate) bid: Best,
    pub(crate) ask: Best,
}

#[derive(Clone, Debug)]
pub(crate) struct Instrument {
    pub(crate) definition: InstrumentDefinition,
    pub(crate) sides: Sides,
    /// Any share of it may be traded intraday, by anyone: what the short way of the risk pass asks of it.
    pub(crate) is_plain: bool,
    /// The last print or market-price command; never the reference price.
    pub(crate) last_price: Option<Price>,
    /// The lowest trigger that a rise would reach and the highest that a fall would, in paise: all that a print is
    /// compared with. `u32::MAX` and 0 where there is none.
    pub(crate) rise_at: u32,
    pub(crate) fall_at: u32,
    /// When that came.
    pub(crate) last_price_at: Timestamp,
    /// `stale_feed` has been raised and no price has come since.
    pub(crate) feed_alerted: bool,
    /// The last price that open positions were marked with, how many marks there have been, and how far they went.
    pub(crate) marked_price: Option<Price>,
    pub(crate) marks: u64,
    pub(crate) extremes: Extremes,
    /// Ends of the bands of the accounts that hold nothing else: lower ends as bids, upper ends as asks.
    pub(crate) bands: Sides,
    pub(crate) day: DayStatistics,
    /// Pending stop orders and conditions of positions, by price.
    pub(crate) triggers: Trees,
    /// Prints that reached a trigger and were not acted upon yet.
    pub(crate) prints: Option<Prints>,
    /// First in the list of open positions, venue accounts' excepted.
    pub(crate) first_open: u32,
    /// First in the list of those that are marked on every print.
    pub(crate) first_spread: u32,
    /// On the list of instruments whose marks wait to be published.
    pub(crate) marks_waiting: bool,
    /// As last published.
    pub(crate) top: Top,
    /// On the list of instruments that this command touched.
    pub(crate) touched: bool,
    /// On the list of instruments whose positions wait to be marked.
    pub(crate) unmarked: bool,
    pub(crate) digested: Digested,
}

/// The price band: multiples of the tick within `reference ± band`.
pub(crate) fn price_domain(definition: &InstrumentDefinition) -> Option<PriceDomain> {
    let reference = definition.reference_price.money();
    let width = i64::try_from(definition.price_band.of(reference).wrapping_div(1_000_000)).ok()?;
    let low = Price::from_paise_clamped(reference.paise().saturating_sub(width));
    let high = Price::from_paise_clamped(reference.paise().saturating_add(width));
    PriceDomain::new(low, high, definition.tick_size)
}

pub(crate) fn is_plain(definition: &InstrumentDefinition) -> bool {
    definition.mis_allowed && !definition.banned && definition.lot_size.shares() == 1
}

impl Instrument {
    pub(crate) fn new(definition: &InstrumentDefinition, domain: PriceDomain) -> Instrument {
        Instrument {
            definition: definition.clone(),
            sides: Sides::new(domain),
            is_plain: is_plain(definition),
            last_price: None,
            rise_at: u32::MAX,
            fall_at: 0,
            triggers: Trees::EMPTY,
            prints: None,
            last_price_at: Timestamp::ZERO,
            feed_alerted: false,
            marked_price: None,
            marks: 0,
            extremes: Extremes::new(),
            bands: Sides::new(domain),
            day: DayStatistics::default(),
            first_open: NIL,
            first_spread: NIL,
            marks_waiting: false,
            top: Top::default(),
            touched: false,
            unmarked: false,
            digested: Digested::default(),
        }
    }

    #[inline]
    pub(crate) fn current_top(&self, nodes: &Nodes) -> Top {
        Top {
            bid: self.sides.best(nodes, Side::Buy),
            ask: self.sides.best(nodes, Side::Sell),
        }
    }

    /// Emits the top of the book where it differs from the one last published.
    #[inline(always)]
    pub(crate) fn publish_top(&mut self, nodes: &Nodes, id: InstrumentId, out: &mut EventBuffer) {
        let top = self.current_top(nodes);
        if top != self.top {
            self.top = top;
            out.push(Event::TopOfBook(TopOfBook {
                instrument: id,
                bid: top.bid.price,
                ask: top.ask.price,
                bid_quantity: top.bid.visible,
                ask_quantity: top.ask.visible,
            }));
        }
    }

    /// The price a market order is limited to: last price ± p, toward the last price on the tick grid, inside the
    /// band (RISK.md, `market_protection`).
    pub(crate) fn protected_price(&self, side: Side) -> Option<Price> {
        self.last_price.map(|last| self.protection_from(last, side))
    }

    /// As [`Instrument::protected_price`], from another price than the last one.
    pub(crate) fn protection_from(&self, reference: Price, side: Side) -> Price {
        let paise = i64::from(reference.paise());
        // In thousandths: 2 % under ₹100, 1 % up to ₹500, 0.5 % above.
        let share = if paise < 10_000 {
            20
        } else if paise <= 50_000 {
            10
        } else {
            5
        };
        let scaled = paise.saturating_mul(share);
        let domain = self.sides.domain();
        match side {
            Side::Buy => domain.floor(paise.saturating_add(scaled.div_euclid(1_000))),
            Side::Sell => domain.ceil(paise.saturating_sub(scaled.div_euclid(1_000))),
        }
    }

    /// The band's edge that a close of `side` may go to when there is no last price.
    pub(crate) fn band_edge(&self, side: Side) -> Price {
        match side {
            Side::Buy => self.sides.domain().high(),
            Side::Sell => self.sides.domain().low(),
        }
    }
}

impl Entity for Instrument {
    fn compute_digest(&self) -> u64 {
        let digest = Digest::new(4)
            .pair(
                self.last_price.map_or(0, Price::paise),
                self.definition.reference_price.paise(),
            )
            .word(self.day.volume)
            .word(self.day.trades)
            .word(self.last_price_at.nanos());
        if self.rise_at == u32::MAX && self.fall_at == 0 {
            return digest.finish();
        }
        digest.pair(self.rise_at, self.fall_at).finish()
    }

    fn digested(&self) -> &Digested {
        &self.digested
    }

    fn digested_mut(&mut self) -> &mut Digested {
        &mut self.digested
    }
}
