//! How each position came to its numbers: its fills since the day began, folded one by one.
//!
//! The arithmetic here is written from the rules (RISK.md; a position is the fold of its fills), not taken from the
//! engine, so that an explanation is a second opinion.

use std::collections::{BTreeMap, VecDeque};

use engine::{Charges, Money, PositionId, Price, Quantity, Side, Timestamp};

use crate::fills::FillRecord;

/// Sums of the six charges.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct ChargeSums {
    pub brokerage: Money,
    pub stt: Money,
    pub exchange: Money,
    pub gst: Money,
    pub stamp_duty: Money,
    pub sebi: Money,
}

impl ChargeSums {
    pub fn add(&mut self, charges: &Charges) {
        let parts = [
            (&mut self.brokerage, charges.brokerage),
            (&mut self.stt, charges.stt),
            (&mut self.exchange, charges.exchange),
            (&mut self.gst, charges.gst),
            (&mut self.stamp_duty, charges.stamp_duty),
            (&mut self.sebi, charges.sebi),
        ];
        for (sum, part) in parts {
            *sum = sum.saturating_add(Money::from_paise(i64::from(part)));
        }
    }

    pub fn total(&self) -> Money {
        let parts = [
            self.brokerage,
            self.stt,
            self.exchange,
            self.gst,
            self.stamp_duty,
            self.sebi,
        ];
        parts.into_iter().fold(Money::ZERO, Money::saturating_add)
    }
}

/// A position between two fills.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Running {
    /// Signed: negative is short.
    pub quantity: i64,
    /// Signed cost of the open quantity.
    pub cost: Money,
    /// Since it was last flat, before charges. Of a flat position: of its last life.
    pub realised: Money,
    /// Since it was last flat; of a flat position, of its last life.
    pub charges: ChargeSums,
}

/// What one fill did to a position.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Effect {
    /// Shares that closed something, and shares that opened or added. Together the fill's quantity.
    pub closed: Quantity,
    pub opened: Quantity,
    /// The closed shares' part of the cost, signed as the cost is, and what closing them realised.
    pub released_cost: Money,
    pub realised: Money,
    /// The life that this fill ended, as it was left.
    pub ended: Option<Running>,
}

impl Running {
    /// Takes a fill: first what closes, then what opens. A fill that turns the position over ends one life, which
    /// bears its charges, and begins the next.
    pub fn take(&mut self, side: Side, quantity: Quantity, price: Price, charges: &Charges) -> Effect {
        let shares = i64::from(quantity.shares());
        let open = self.quantity.saturating_abs();
        let opposite = self.quantity.signum() == -side.sign();
        let closed = if opposite { shares.min(open) } else { 0 };
        let opened = shares.saturating_sub(closed);
        let mut effect = Effect {
            closed: Quantity::clamped(closed),
            opened: Quantity::clamped(opened),
            ..Effect::default()
        };
        if self.quantity == 0 {
            *self = Running::default();
        }
        self.charges.add(charges);
        if closed > 0 {
            effect.released_cost = part_of(self.cost, closed, open);
            let proceeds = signed_value(price, effect.closed, side).negated();
            effect.realised = proceeds.saturating_sub(effect.released_cost);
            self.cost = self.cost.saturating_sub(effect.released_cost);
            self.realised = self.realised.saturating_add(effect.realised);
            self.quantity = self.quantity.saturating_add(closed.saturating_mul(side.sign()));
            effect.ended = (self.quantity == 0).then_some(*self);
        }
        if opened > 0 {
            if effect.ended.is_some() {
                *self = Running::default();
            }
            self.quantity = self.quantity.saturating_add(opened.saturating_mul(side.sign()));
            self.cost = self.cost.saturating_add(signed_value(price, effect.opened, side));
        }
        effect
    }
}

/// Price × quantity, negative for a sell.
fn signed_value(price: Price, quantity: Quantity, side: Side) -> Money {
    let value = price.notional(quantity);
    if side == Side::Sell {
        value.negated()
    } else {
        value
    }
}

/// `cost × shares ÷ open` to the nearest paisa, halves away from zero; all of it for all shares.
fn part_of(cost: Money, shares: i64, open: i64) -> Money {
    if shares >= open {
        return cost;
    }
    let (doubled, open) = (2 * cost.wide() * i128::from(shares), i128::from(open));
    let away = if doubled < 0 { -open } else { open };
    Money::from_wide((doubled + away) / (2 * open))
}

/// Where an explanation begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum Start {
    /// Flat, before its first fill.
    Flat,
    /// As the trading day found it.
    DayBegan,
    /// Its older fills of the day are no longer kept.
    FillsForgotten,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Story {
    start: Start,
    since: Timestamp,
    base: Running,
    running: Running,
    /// Numbers of its fills since `base`, in the log of fills.
    fills: VecDeque<u64>,
}

/// Every position that was ever filled, with its fills of today.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Stories(BTreeMap<PositionId, Story>);

/// A position's numbers before its first known fill, after its last, and the fills between them.
#[derive(Clone, Debug)]
pub struct Explanation<'a> {
    pub start: Start,
    /// When it was as in `base`.
    pub since: Timestamp,
    pub base: Running,
    pub end: Running,
    /// In order.
    pub fills: Vec<&'a FillRecord>,
}

impl Stories {
    /// A fill that the log of fills has under `number`.
    pub(crate) fn filled(&mut self, number: u64, fill: &FillRecord) {
        let story = self.0.entry(fill.position).or_insert_with(|| Story {
            start: Start::Flat,
            since: fill.executed,
            base: Running::default(),
            running: Running::default(),
            fills: VecDeque::new(),
        });
        story
            .running
            .take(fill.side, fill.quantity, fill.price, &fill.charges);
        story.fills.push_back(number);
    }

    /// The log has forgotten a fill, which is always the oldest of its position.
    pub(crate) fn forgotten(&mut self, number: u64, fill: &FillRecord) {
        let story = self.0.get_mut(&fill.position);
        if let Some(story) = story.filter(|story| story.fills.front() == Some(&number)) {
            story.fills.pop_front();
            story
                .base
                .take(fill.side, fill.quantity, fill.price, &fill.charges);
            (story.start, story.since) = (Start::FillsForgotten, fill.executed);
        }
    }

    /// A trading day has begun; the log of fills is empty.
    pub(crate) fn roll_day(&mut self, begin: Timestamp) {
        for story in self.0.values_mut() {
            story.fills.clear();
            story.base = story.running;
            (story.start, story.since) = (Start::DayBegan, begin);
        }
    }

    /// `fill` looks a fill up by its number. `None` for a position that was never filled.
    pub(crate) fn explain<'a>(
        &self,
        position: PositionId,
        fill: impl Fn(u64) -> Option<&'a FillRecord>,
    ) -> Option<Explanation<'a>> {
        let story = self.0.get(&position)?;
        Some(Explanation {
            start: story.start,
            since: story.since,
            base: story.base,
            end: story.running,
            fills: story.fills.iter().filter_map(|&number| fill(number)).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paise(paise: i64) -> Money {
        Money::from_paise(paise)
    }

    fn take(running: &mut Running, side: Side, shares: i64, rupees: u32) -> Effect {
        let charges = Charges {
            brokerage: 7,
            ..Charges::default()
        };
        let price = Price::from_paise(rupees * 100).unwrap();
        running.take(side, Quantity::clamped(shares), price, &charges)
    }

    #[test]
    fn a_long_is_built_cut_and_turned_over() {
        let mut running = Running::default();
        take(&mut running, Side::Buy, 2, 100);
        take(&mut running, Side::Buy, 1, 101);
        assert_eq!((running.quantity, running.cost), (3, paise(30_100)));

        // A third of ₹301.00 is ₹100.33; it was sold for ₹110.
        let cut = take(&mut running, Side::Sell, 1, 110);
        assert_eq!((cut.released_cost, cut.realised), (paise(10_033), paise(967)));
        assert_eq!((running.quantity, running.cost), (2, paise(20_067)));
        assert_eq!(running.charges.total(), paise(21));

        let turned = take(&mut running, Side::Sell, 5, 90);
        assert_eq!((turned.closed.shares(), turned.opened.shares()), (2, 3));
        let ended = turned.ended.unwrap();
        assert_eq!((ended.quantity, ended.cost), (0, Money::ZERO));
        assert_eq!(ended.realised, paise(967 + 18_000 - 20_067));
        assert_eq!(
            ended.charges.total(),
            paise(28),
            "the ended life bears the charges"
        );
        assert_eq!((running.quantity, running.cost), (-3, paise(-27_000)));
        assert_eq!(
            (running.realised, running.charges.total()),
            (Money::ZERO, Money::ZERO)
        );

        let closed = take(&mut running, Side::Buy, 3, 80);
        assert_eq!(closed.ended, Some(running));
        assert_eq!(
            (running.realised, running.charges.total()),
            (paise(3_000), paise(7))
        );
        take(&mut running, Side::Buy, 1, 80);
        assert_eq!(
            (running.realised, running.charges.total()),
            (Money::ZERO, paise(7))
        );
    }

    #[test]
    fn halves_go_away_from_zero() {
        assert_eq!(part_of(paise(67), 1, 2), paise(34));
        assert_eq!(part_of(paise(-67), 1, 2), paise(-34));
        assert_eq!(part_of(paise(100), 1, 3), paise(33));
        assert_eq!(part_of(paise(100), 3, 3), paise(100));
    }
}
