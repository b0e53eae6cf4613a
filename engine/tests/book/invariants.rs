//! The invariants that outsiders' suites check, on both sides. `away(side, n)` is a price `n` ticks from the middle, on the
//! side's own half of the book: the further, the worse for whoever takes it.

use super::*;

const MIDDLE: u32 = 50_000;
const SIDES: [Side; 2] = [Side::Buy, Side::Sell];

struct Desk {
    book: Book,
    /// Maker, taker, price, quantity, what is left of the maker.
    trades: Vec<(u32, u32, u32, u32, u32)>,
}

impl Desk {
    fn new() -> Desk {
        Desk::between(1, 2 * MIDDLE)
    }

    fn between(low: u32, high: u32) -> Desk {
        let settings = BookSettings {
            min_price: price(low),
            max_price: price(high),
            tick: price(1),
            max_orders: 10_000,
            max_order_id: 10_000,
        };
        Desk {
            book: Book::new(&settings).unwrap(),
            trades: Vec::new(),
        }
    }

    fn step(&mut self, step: &Step) -> Answer {
        run(&mut self.book, step, &mut self.trades)
    }

    fn add(&mut self, id: u32, side: Side, at: u32, shares: u32) -> Answer {
        self.step(&Step::New(id, side, at, shares, TimeInForce::Day))
    }

    fn trades(&mut self) -> Vec<(u32, u32, u32, u32, u32)> {
        std::mem::take(&mut self.trades)
    }

    /// Price and quantity of the best bid and offer.
    fn touch(&self) -> [Option<(u32, u64)>; 2] {
        SIDES.map(|side| self.book.best(side).map(|(at, quantity)| (at.paise(), quantity)))
    }

    /// The same, the given side first.
    fn touch_from(&self, side: Side) -> [Option<(u32, u64)>; 2] {
        let [bid, offer] = self.touch();
        if side == Side::Buy {
            [bid, offer]
        } else {
            [offer, bid]
        }
    }
}

fn away(side: Side, ticks: u32) -> u32 {
    if side == Side::Buy {
        MIDDLE - ticks
    } else {
        MIDDLE + ticks
    }
}

#[test]
fn a_trade_prints_at_the_makers_price() {
    for maker in SIDES {
        let mut desk = Desk::new();
        let taker = maker.opposite();
        desk.add(1, maker, away(maker, 3), 5).unwrap();
        desk.add(2, maker, away(maker, 1), 5).unwrap();
        // Willing to trade much further than both.
        assert_eq!(desk.add(3, taker, away(maker, 100), 7), Ok((7, 0)));
        let expected = [(2, 3, away(maker, 1), 5, 0), (1, 3, away(maker, 3), 2, 3)];
        assert_eq!(desk.trades(), expected, "makers on side {maker:?}");
    }
}

#[test]
fn an_exact_fill_leaves_nothing_and_a_share_less_or_more_leaves_one() {
    for maker in SIDES {
        let taker = maker.opposite();
        let at = away(maker, 1);
        for (shares, answer, maker_leaves, touch) in [
            (9, (9, 0), 1, [Some((at, 1)), None]),
            (10, (10, 0), 0, [None, None]),
            (11, (10, 1), 0, [None, Some((at, 1))]),
        ] {
            let mut desk = Desk::new();
            desk.add(1, maker, at, 10).unwrap();
            assert_eq!(desk.add(2, taker, at, shares), Ok(answer), "{shares} of 10");
            assert_eq!(desk.trades(), [(1, 2, at, shares.min(10), maker_leaves)]);
            assert_eq!(desk.touch_from(maker), touch, "{shares} of 10");
            assert_eq!(desk.book.len(), u32::from(shares != 10));
        }
    }
}

#[test]
fn one_tick_short_of_the_touch_does_not_trade() {
    for maker in SIDES {
        let mut desk = Desk::new();
        desk.add(1, maker, away(maker, 5), 10).unwrap();
        assert_eq!(desk.add(2, maker.opposite(), away(maker, 4), 10), Ok((0, 10)));
        assert_eq!(desk.trades(), []);
        let touch = [Some((away(maker, 5), 10)), Some((away(maker, 4), 10))];
        assert_eq!(desk.touch_from(maker), touch);
    }
}

#[test]
fn a_residual_becomes_the_touch() {
    for maker in SIDES {
        let taker = maker.opposite();
        let mut desk = Desk::new();
        desk.add(1, maker, away(maker, 1), 4).unwrap();
        desk.add(2, maker, away(maker, 3), 4).unwrap();
        desk.add(3, taker, away(taker, 1), 4).unwrap();
        // Takes the first level, and its rest stands before the second.
        assert_eq!(desk.add(4, taker, away(maker, 2), 10), Ok((4, 6)));
        let touch = [Some((away(maker, 3), 4)), Some((away(maker, 2), 6))];
        assert_eq!(desk.touch_from(maker), touch);
        assert_eq!(desk.book.depth_at(maker, price(away(maker, 1))), (0, 0));
    }
}

#[test]
fn a_modify_into_the_other_side_trades_and_rests() {
    for maker in SIDES {
        let taker = maker.opposite();
        let mut desk = Desk::new();
        desk.add(1, maker, away(maker, 1), 4).unwrap();
        desk.add(2, maker, away(maker, 2), 4).unwrap();
        desk.add(3, taker, away(taker, 1), 20).unwrap();
        assert_eq!(desk.step(&Step::Modify(3, away(maker, 1), 10)), Ok((4, 6)));
        assert_eq!(desk.trades(), [(1, 3, away(maker, 1), 4, 0)]);
        let touch = [Some((away(maker, 2), 4)), Some((away(maker, 1), 6))];
        assert_eq!(desk.touch_from(maker), touch);
        assert_eq!(desk.book.depth_at(taker, price(away(taker, 1))), (0, 0));
        // The rest of it is filled by a further one, whole, and it is gone.
        assert_eq!(desk.step(&Step::Modify(3, away(maker, 2), 4)), Ok((4, 0)));
        assert_eq!(desk.trades(), [(2, 3, away(maker, 2), 4, 0)]);
        assert!(desk.book.is_empty());
    }
}

#[test]
fn what_is_gone_is_refused_and_its_id_is_free() {
    type Gone = fn(&mut Desk, Side);
    let ways: [(&str, Gone); 4] = [
        ("cancelled", |desk, side| {
            desk.add(1, side, away(side, 1), 5).unwrap();
            assert_eq!(desk.step(&Step::Cancel(1)), Ok((0, 5)));
        }),
        ("filled as the maker", |desk, side| {
            desk.add(1, side, away(side, 1), 5).unwrap();
            assert_eq!(desk.add(2, side.opposite(), away(side, 1), 5), Ok((5, 0)));
        }),
        ("filled as the taker", |desk, side| {
            desk.add(2, side.opposite(), away(side, 1), 5).unwrap();
            assert_eq!(desk.add(1, side, away(side, 1), 5), Ok((5, 0)));
        }),
        ("filled by its own modify", |desk, side| {
            let other = side.opposite();
            desk.add(2, other, away(other, 1), 5).unwrap();
            desk.add(1, side, away(side, 1), 5).unwrap();
            assert_eq!(desk.step(&Step::Modify(1, away(other, 1), 5)), Ok((5, 0)));
        }),
    ];
    for (what, gone) in ways {
        for side in SIDES {
            let mut desk = Desk::new();
            gone(&mut desk, side);
            desk.trades();
            let at = away(side, 1);
            for step in [Step::Cancel(1), Step::Modify(1, at, 5), Step::Move(1, at)] {
                let answer = desk.step(&step);
                assert_eq!(answer, Err(BookRefusal::UnknownOrder), "{what}, {step:?}");
            }
            assert!(desk.book.is_empty() && desk.trades().is_empty(), "{what}");
            // Another order of the same id: other side, other price, and none of the first one's quantity.
            let other = side.opposite();
            assert_eq!(desk.add(1, other, away(other, 2), 3), Ok((0, 3)), "{what}");
            assert_eq!(desk.add(1, other, away(other, 2), 3), Err(BookRefusal::IdInUse));
            assert_eq!(desk.touch_from(side), [None, Some((away(other, 2), 3))], "{what}");
            assert_eq!(desk.step(&Step::Cancel(1)), Ok((0, 3)), "{what}");
        }
    }
}

#[test]
fn a_sweep_of_five_thousand_fills() {
    const FILLS: u32 = 5_000;
    for maker in SIDES {
        let mut desk = Desk::new();
        // A hundred at each of fifty prices, the furthest first.
        for id in 0..FILLS {
            desk.add(id, maker, away(maker, 50 - id / 100), 2).unwrap();
        }
        let mut by_priority: Vec<u32> = (0..FILLS).collect();
        by_priority.sort_by_key(|&id| (50 - id / 100, id));
        // All of them but one share of the last.
        let answer = desk.add(FILLS, maker.opposite(), away(maker, 50), 2 * FILLS - 1);
        assert_eq!(answer, Ok((2 * FILLS - 1, 0)));
        let trades = desk.trades();
        let makers: Vec<u32> = trades.iter().map(|trade| trade.0).collect();
        assert_eq!(makers, by_priority);
        for (maker_id, _, at, shares, left) in trades {
            let last = u32::from(maker_id == 99);
            assert_eq!(
                (at, shares, left),
                (away(maker, 50 - maker_id / 100), 2 - last, last)
            );
        }
        assert_eq!(desk.touch_from(maker), [Some((away(maker, 50), 1)), None]);
        assert_eq!(desk.book.len(), 1);
    }
}

#[test]
fn prices_near_the_types_ceiling() {
    const TOP: u32 = u32::MAX;
    for maker in SIDES {
        let mut desk = Desk::between(TOP - 10, TOP);
        let taker = maker.opposite();
        for (id, at) in [(1, TOP - 10), (2, TOP - 1), (3, TOP)] {
            assert_eq!(desk.add(id, maker, at, 1), Ok((0, 1)));
        }
        let (best, worst) = if maker == Side::Buy {
            (TOP, TOP - 10)
        } else {
            (TOP - 10, TOP)
        };
        assert_eq!(desk.touch_from(maker), [Some((best, 1)), None]);
        assert_eq!(desk.add(4, taker, TOP - 11, 1), Err(BookRefusal::InvalidPrice));
        assert_eq!(desk.add(4, taker, worst, 4), Ok((3, 1)));
        let mut prices: Vec<u32> = desk.trades().iter().map(|trade| trade.2).collect();
        assert_eq!((prices[0], prices[2]), (best, worst));
        prices.sort_unstable();
        assert_eq!(prices, [TOP - 10, TOP - 1, TOP]);
        assert_eq!(desk.touch_from(maker), [None, Some((worst, 1))]);
    }
}

#[test]
fn no_level_is_left_of_a_best_order_that_went() {
    type Leave = fn(&mut Desk, Side);
    let ways: [(&str, Leave); 4] = [
        ("cancelled", |desk, _| {
            assert!(desk.step(&Step::Cancel(1)).is_ok())
        }),
        ("moved back", |desk, side| {
            assert!(desk.step(&Step::Modify(1, away(side, 9), 5)).is_ok())
        }),
        ("traded", |desk, side| {
            assert_eq!(desk.add(9, side.opposite(), away(side, 1), 5), Ok((5, 0)))
        }),
        ("filled whole", |desk, side| {
            let fok = Step::New(9, side.opposite(), away(side, 1), 5, TimeInForce::Fok);
            assert_eq!(desk.step(&fok), Ok((5, 0)));
        }),
    ];
    for (what, leave) in ways {
        for side in SIDES {
            let mut desk = Desk::new();
            desk.add(1, side, away(side, 1), 5).unwrap();
            desk.add(2, side, away(side, 4), 7).unwrap();
            leave(&mut desk, side);
            desk.trades();
            assert_eq!(
                desk.touch_from(side)[0],
                Some((away(side, 4), 7)),
                "{what}, {side:?}"
            );
            for ticks in 1..4 {
                assert_eq!(desk.book.depth_at(side, price(away(side, ticks))), (0, 0));
            }
            // An order that would have met it rests.
            assert_eq!(
                desk.add(8, side.opposite(), away(side, 1), 5),
                Ok((0, 5)),
                "{what}"
            );
            assert_eq!(desk.trades(), []);
        }
    }
}
