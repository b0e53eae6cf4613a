//! Workload E: one book under a price that stands still or swings, with orders that come and go.
//!
//! The generator, in the order of its draws (all of one SplitMix64 from the seed; tables in [`super::weights`]):
//!
//! - The mid begins at [`PRICE_START`] ticks, in 16 more bits. Before each message it moves up or down (`rnd(2)`) by the
//!   share `swing ÷ √commands` of itself, so that its standard deviation over the run is the swing; a step beyond
//!   `1 ± swing` of the start goes the other way instead. Without a swing nothing is drawn.
//! - If an action on an earlier order is due, the first of them (by time, then by when it was planned) is the message;
//!   else it is a new order: `side = rnd(2)`, `uid = 1 + rnd(1000)`, a distance `d`, `quantity = 1 + rnd(100)`, and
//!   `rnd(100) < 15` makes it immediate-or-cancel at `d` ticks through the mid. Others rest `d` ticks behind it.
//! - `d` is 1 to 2,048 ticks with weight `d^-2.2`, plus a hump of a quarter of the mass: a triangle from 5 to 11 with
//!   its top at 8.
//! - A resting order draws its lifetime from an exponential distribution with mean `commands ÷ 21` messages; with
//!   `rnd(100) < 95` its cancel is due then, and with `rnd(100) < 20` a modify at half of that.
//! - A modify adds `1 + rnd(50)` shares; `rnd(4) > 0` also moves the price by a tick, up or down by `rnd(2)`. A cancel or
//!   modify of an order that has been filled meanwhile is left out.
//! - After a cancel `rnd(100)`: 0 and 1 plan a second cancel, 2 and 3 a modify of the order that is gone, `1 + rnd(100)`
//!   messages later. These have to be refused.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;

use super::limits::PRICE_START;
use super::reference_market::{BUY, NewOrder, ReferenceMarket, Side};
use super::weights::{Weights, exponential, inverse_power};
use super::workload::{Kind, Name, Record, SplitMix64, Workload, away, clamp};

/// How far the price swings over the run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Scenario {
    Still,
    #[value(name = "2")]
    Swing2,
    #[value(name = "25")]
    Swing25,
    #[value(name = "40")]
    Swing40,
    #[value(name = "60")]
    Swing60,
}

impl Scenario {
    pub const ALL: [Scenario; 5] = [
        Scenario::Still,
        Scenario::Swing2,
        Scenario::Swing25,
        Scenario::Swing40,
        Scenario::Swing60,
    ];

    /// Per cent.
    pub const fn swing(self) -> u64 {
        match self {
            Scenario::Still => 0,
            Scenario::Swing2 => 2,
            Scenario::Swing25 => 25,
            Scenario::Swing40 => 40,
            Scenario::Swing60 => 60,
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scenario::Still => f.pad("still"),
            _ => write!(f, "{}", self.swing()),
        }
    }
}

/// Furthest distance from the mid, in ticks.
const DISTANCE_MAX: u64 = 2_048;
/// Mean lifetimes in a run.
const LIFETIMES: u64 = 21;
/// Fraction bits of the mid.
const MID_FRACTION: u32 = 16;

pub(super) fn generate(scenario: Scenario, commands: usize, seed: u64) -> Workload {
    let mut generator = Generator {
        random: SplitMix64::new(seed),
        market: ReferenceMarket::new(1),
        records: Vec::with_capacity(commands),
        walk: Walk::new(scenario, commands),
        distances: distances(),
        lifetime: commands as u64 / LIFETIMES,
        planned: BinaryHeap::new(),
        plans: 0,
    };
    while generator.records.len() < commands {
        generator.walk.step(&mut generator.random);
        generator.message();
        generator.market.note_l1(0);
    }
    generator.market.note_resting();
    Workload {
        name: Name::E,
        scenario: Some(scenario),
        seed,
        stops: Vec::new(),
        max_order_id: generator.market.next_id() - 1,
        outcome: generator.market.outcome,
        touch: (generator.market.touch(0, BUY), generator.market.touch(0, 1 - BUY)),
        records: generator.records,
    }
}

fn distances() -> Weights {
    let law = |distance| inverse_power(distance, 22, 10);
    let mass: u64 = (1..=DISTANCE_MAX).map(law).sum();
    // The triangle has 1 + 2 + 3 + 4 + 3 + 2 + 1 = 16 parts; a quarter of all is a third of the law's mass.
    let part = mass / (3 * 16);
    Weights::new(
        (1..=DISTANCE_MAX).map(|distance| law(distance) + part * 4_u64.saturating_sub(distance.abs_diff(8))),
    )
}

/// The mid price.
struct Walk {
    mid: u64,
    low: u64,
    high: u64,
    /// Share of the mid in a step, in 0.32 fixed point.
    step: u64,
}

impl Walk {
    fn new(scenario: Scenario, commands: usize) -> Walk {
        let mid = u64::from(PRICE_START) << MID_FRACTION;
        let swing = mid * scenario.swing() / 100;
        Walk {
            mid,
            low: mid - swing,
            high: mid + swing,
            step: (scenario.swing() << 32) / (100 * (commands as u64).isqrt().max(1)),
        }
    }

    fn step(&mut self, random: &mut SplitMix64) {
        if self.step == 0 {
            return;
        }
        let by = ((u128::from(self.mid) * u128::from(self.step)) >> 32) as u64;
        let up = random.below(2) == 1;
        self.mid = match up {
            true if self.mid + by <= self.high => self.mid + by,
            false if self.mid - by < self.low => self.mid + by,
            _ => self.mid - by,
        };
    }

    fn ticks(&self) -> i64 {
        (self.mid >> MID_FRACTION) as i64
    }
}

/// What happens to an order later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Action {
    Cancel,
    Modify,
    /// A second cancel of an order that is gone.
    StaleCancel,
    StaleModify,
}

struct Generator {
    random: SplitMix64,
    market: ReferenceMarket,
    records: Vec<Record>,
    walk: Walk,
    distances: Weights,
    /// Mean, in messages.
    lifetime: u64,
    /// When, in order of planning, what, and to which order.
    planned: BinaryHeap<Reverse<(u64, u64, Action, u32)>>,
    plans: u64,
}

impl Generator {
    fn message(&mut self) {
        let now = self.records.len() as u64;
        while let Some(&Reverse((due, _, action, id))) = self.planned.peek()
            && due <= now
        {
            self.planned.pop();
            let live = self.market.order(id).is_live();
            match action {
                Action::Cancel if live => return self.cancel(id, now),
                Action::Modify if live => return self.modify(id),
                Action::Cancel | Action::Modify => {}
                Action::StaleCancel => return self.record(Kind::Cancel, id, 0, 0),
                Action::StaleModify => {
                    let price = self.market.order(id).price;
                    return self.record(Kind::Modify, id, price, 1);
                }
            }
        }
        self.new_order(now);
    }

    fn new_order(&mut self, now: u64) {
        let side = self.random.below(2) as Side;
        let uid = 1 + self.random.below(1_000) as u16;
        let distance = 1 + self.distances.draw(&mut self.random) as i64;
        let quantity = 1 + self.random.below(100) as u32;
        let immediate = self.random.below(100) < 15;
        let price = clamp(away(
            side,
            self.walk.ticks(),
            if immediate { -distance } else { distance },
        ));
        let id = self.market.next_id();
        self.records.push(Record {
            kind: if immediate {
                Kind::ImmediateOrCancel
            } else {
                Kind::Limit
            },
            side: side as u8,
            uid,
            instrument: 0,
            id,
            price,
            quantity,
        });
        let order = NewOrder {
            instrument: 0,
            side,
            uid,
            price,
            quantity,
        };
        self.market.add(order, !immediate);
        if !immediate {
            let lifetime = 1 + exponential(&mut self.random, self.lifetime);
            if self.random.below(100) < 95 {
                self.plan(now + lifetime, Action::Cancel, id);
            }
            if self.random.below(100) < 20 {
                self.plan(now + lifetime.div_ceil(2), Action::Modify, id);
            }
        }
    }

    fn cancel(&mut self, id: u32, now: u64) {
        self.record(Kind::Cancel, id, 0, 0);
        self.market.cancel(id);
        let stale = match self.random.below(100) {
            0..2 => Action::StaleCancel,
            2..4 => Action::StaleModify,
            _ => return,
        };
        let due = now + 1 + self.random.below(100);
        self.plan(due, stale, id);
    }

    fn modify(&mut self, id: u32) {
        let order = self.market.order(id);
        let quantity = order.remaining + 1 + self.random.below(50) as u32;
        let price = match self.random.below(4) {
            0 => order.price,
            _ => clamp(i64::from(order.price) + 2 * self.random.below(2) as i64 - 1),
        };
        self.record(Kind::Modify, id, price, quantity);
        self.market.reprice(id, price, quantity);
    }

    fn plan(&mut self, due: u64, action: Action, id: u32) {
        self.plans += 1;
        self.planned.push(Reverse((due, self.plans, action, id)));
    }

    /// A command about an order that was there.
    fn record(&mut self, kind: Kind, id: u32, price: u32, quantity: u32) {
        let order = self.market.order(id);
        self.records.push(Record {
            kind,
            side: order.side as u8,
            uid: order.uid,
            instrument: 0,
            id,
            price,
            quantity,
        });
    }
}
