use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const MAKER: AccountId = AccountId::new(3);
const TAKER: AccountId = AccountId::new(4);

fn price(paise: u32) -> Price {
    Price::from_paise(paise).unwrap()
}

fn instrument(id: u32, reference: u32, tick: u32, lot: u32, band_percent: u32) -> SimInstrument {
    let half = reference / 100 * band_percent;
    SimInstrument {
        id: InstrumentId::new(id),
        tick: price(tick),
        lot: Quantity::new(lot).unwrap(),
        reference: price(reference),
        band_low: price((reference - half).max(1)),
        band_high: price(reference + half),
        last_price: None,
    }
}

/// From a penny share to one above a lakh of rupees, on the ticks of VENUE.md.
fn market() -> Vec<SimInstrument> {
    vec![
        instrument(0, 245_000, 10, 1, 10),
        instrument(1, 45_000, 5, 1, 20),
        instrument(2, 1_050, 1, 25, 5),
        instrument(3, 14_000_000, 500, 1, 2),
        instrument(4, 80_000, 5, 1, 10),
    ]
}

fn settings(seed: u64, instruments: Vec<SimInstrument>) -> SimulatorSettings {
    SimulatorSettings::new(seed, instruments, MAKER, TAKER)
}

/// The commands of each step until `until`, stepping whenever one is due.
fn play(simulator: &mut Simulator, until: Duration) -> Vec<(Duration, Vec<Command>)> {
    let mut steps = Vec::new();
    while simulator.next_due() <= until {
        let now = simulator.next_due();
        let mut commands = Vec::new();
        simulator.step(now, &mut commands);
        steps.push((now, commands));
    }
    steps
}

fn orders(commands: &[Command]) -> impl Iterator<Item = &NewOrder> {
    commands.iter().filter_map(|command| match command {
        Command::NewOrder(order) => Some(order),
        _ => None,
    })
}

fn limit(order: &NewOrder) -> Price {
    order
        .order_type
        .price()
        .expect("every simulated order has a limit")
}

/// A naive book of the maker's orders in one instrument with self-trade prevention `cancel-resting`.
#[derive(Default)]
struct NaiveBook {
    /// Limit in paise, strategy, shares left.
    bids: Vec<(u32, StrategyId, u32)>,
    asks: Vec<(u32, StrategyId, u32)>,
    last_price: Option<u32>,
}

impl NaiveBook {
    fn apply(&mut self, command: &Command) {
        match command {
            Command::CancelAll(cancel) => {
                let keep = |order: &(u32, StrategyId, u32)| cancel.strategy.is_some_and(|it| it != order.1);
                self.bids.retain(keep);
                self.asks.retain(keep);
            }
            Command::NewOrder(order) if order.account == MAKER => {
                let entry = (limit(order).paise(), order.strategy, order.quantity.shares());
                match order.side {
                    Side::Buy => {
                        self.asks.retain(|ask| ask.0 > entry.0);
                        self.bids.push(entry);
                    }
                    Side::Sell => {
                        self.bids.retain(|bid| bid.0 < entry.0);
                        self.asks.push(entry);
                    }
                }
            }
            Command::NewOrder(order) => self.take(order),
            other => panic!("a simulator does not send {other:?}"),
        }
    }

    fn take(&mut self, order: &NewOrder) {
        assert_eq!(order.time_in_force, TimeInForce::Ioc);
        let limit = limit(order).paise();
        let mut left = order.quantity.shares();
        let side = match order.side {
            Side::Buy => &mut self.asks,
            Side::Sell => &mut self.bids,
        };
        side.sort_by_key(|resting| match order.side {
            Side::Buy => i64::from(resting.0),
            Side::Sell => -i64::from(resting.0),
        });
        for resting in side.iter_mut() {
            let crosses = match order.side {
                Side::Buy => resting.0 <= limit,
                Side::Sell => resting.0 >= limit,
            };
            let traded = if crosses { left.min(resting.2) } else { 0 };
            if traded > 0 {
                self.last_price = Some(resting.0);
            }
            left -= traded;
            resting.2 -= traded;
        }
        side.retain(|resting| resting.2 > 0);
    }
}

#[test]
fn the_same_seed_gives_the_same_commands() {
    let until = Duration::from_secs(20);
    let run = |seed| play(&mut Simulator::new(settings(seed, market())), until);
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn the_first_step_clears_what_an_earlier_run_left() {
    let mut simulator = Simulator::new(settings(1, market()));
    let mut commands = Vec::new();
    simulator.step(Duration::from_secs(100), &mut commands);
    assert_eq!(commands[0], cancel_all(MAKER, None, None));
    assert_eq!(commands[1], cancel_all(TAKER, None, None));
    assert!(matches!(commands[2], Command::NewOrder(_)));
}

#[test]
fn every_instrument_has_a_last_price_within_the_first_second() {
    for count in [1, 50, 1_024] {
        let instruments = (0..count).map(|id| instrument(id, 245_000, 10, 1, 10)).collect();
        let mut simulator = Simulator::new(settings(9, instruments));
        let mut books: BTreeMap<InstrumentId, NaiveBook> = BTreeMap::new();
        for (_, commands) in play(&mut simulator, Duration::from_millis(999)) {
            for command in &commands {
                match command {
                    Command::NewOrder(order) => books.entry(order.instrument).or_default().apply(command),
                    Command::CancelAll(CancelAll {
                        instrument: Some(instrument),
                        ..
                    }) => {
                        books.entry(*instrument).or_default().apply(command);
                    }
                    _ => {}
                }
            }
        }
        let priced = books.values().filter(|book| book.last_price.is_some()).count();
        assert_eq!(priced, usize::try_from(count).unwrap(), "of {count} instruments");
    }
}

#[test]
fn an_open_book_is_never_one_sided_or_crossed() {
    for seed in 0..10 {
        let mut simulator = Simulator::new(settings(seed, vec![instrument(0, 245_000, 10, 1, 10)]));
        let mut book = NaiveBook::default();
        let mut prints = Vec::new();
        for (now, commands) in play(&mut simulator, Duration::from_secs(600)) {
            for command in &commands {
                book.apply(command);
                if now > Duration::ZERO {
                    let best_bid = book.bids.iter().map(|order| order.0).max();
                    let best_ask = book.asks.iter().map(|order| order.0).min();
                    assert!(
                        matches!((best_bid, best_ask), (Some(bid), Some(ask)) if bid < ask),
                        "seed {seed} at {now:?}: {best_bid:?} / {best_ask:?} after {command:?}"
                    );
                }
            }
            assert!(
                book.bids.len() <= 5 && book.asks.len() <= 5,
                "the old ladder is gone"
            );
            prints.extend(book.last_price);
        }
        prints.sort_unstable();
        prints.dedup();
        assert!(
            prints.len() > 50,
            "seed {seed}: the price moved to {} levels",
            prints.len()
        );
    }
}

#[test]
fn rates_are_those_of_the_settings() {
    let instruments: Vec<_> = (0..50).map(|id| instrument(id, 245_000, 10, 1, 10)).collect();
    let mut simulator = Simulator::new(settings(5, instruments));
    play(&mut simulator, Duration::from_millis(500));
    let steps = play(&mut simulator, Duration::from_millis(60_500));
    let commands: Vec<Command> = steps.into_iter().flat_map(|(_, commands)| commands).collect();
    let ladders = commands
        .iter()
        .filter(|command| matches!(command, Command::CancelAll(_)))
        .count();
    let takes = orders(&commands).filter(|order| order.account == TAKER).count();
    assert!(
        (2_990..=3_001).contains(&ladders),
        "{ladders} ladders of 50 instruments in 60 s"
    );
    assert!((210..=270).contains(&takes), "{takes} prints in 60 s");
    assert!(commands.len() <= 40_000, "{} commands", commands.len());
}

#[test]
fn a_late_step_does_not_make_up_for_what_was_missed() {
    let mut simulator = Simulator::new(settings(5, market()));
    play(&mut simulator, Duration::from_secs(1));
    let mut commands = Vec::new();
    let late = Duration::from_secs(3_600);
    simulator.step(late, &mut commands);
    assert!((11..=12).contains(&commands.len()), "{} commands", commands.len());
    assert!(simulator.next_due() > late);
}

#[test]
fn quotes_go_on_from_the_last_price() {
    let resumed = SimInstrument {
        last_price: Some(price(260_000)),
        ..instrument(0, 245_000, 10, 1, 10)
    };
    let mut simulator = Simulator::new(settings(3, vec![resumed]));
    let steps = play(&mut simulator, Duration::ZERO);
    let highest = orders(&steps[0].1).map(limit).max().unwrap();
    assert!(highest >= price(259_000), "quoted around {highest}");
}

#[test]
fn a_market_without_a_quotable_instrument_has_nothing_to_do() {
    let stuck = SimInstrument {
        band_low: price(245_000),
        band_high: price(245_000),
        ..market()[0]
    };
    for instruments in [Vec::new(), vec![stuck]] {
        let mut simulator = Simulator::new(settings(3, instruments));
        let mut commands = Vec::new();
        simulator.step(Duration::ZERO, &mut commands);
        assert_eq!(commands.len(), 2, "only the clearing of old orders");
        assert_eq!(simulator.next_due(), Duration::MAX);
    }
}

proptest! {
    /// Whatever the instrument and the levels: bounded steps, on the grid, inside the band, whole lots, two-sided.
    #[test]
    fn every_order_is_one_that_the_venue_allows(
        seed: u64,
        tick in prop::sample::select(vec![1_u32, 5, 10, 50, 100, 500]),
        reference_ticks in 60_u32..200_000,
        last_ticks in prop::option::of(1_u32..300_000),
        lot in 1_u32..200_000,
        band_percent in 2_u32..=20,
        levels in 0_usize..40,
    ) {
        let last_price = last_ticks.map(|ticks| price(ticks * tick));
        let listed = SimInstrument { last_price, ..instrument(7, reference_ticks * tick, tick, lot, band_percent) };
        let mut simulator = Simulator::new(SimulatorSettings { levels, ..settings(seed, vec![listed]) });
        for (now, commands) in play(&mut simulator, Duration::from_secs(20)) {
            prop_assert!(commands.len() <= COMMANDS_PER_STEP_MAX);
            let quotes = orders(&commands).filter(|order| order.account == MAKER);
            let (bids, asks): (Vec<_>, Vec<_>) = quotes.partition(|order| order.side == Side::Buy);
            prop_assert_eq!(bids.is_empty(), asks.is_empty(), "one-sided at {:?}", now);
            for order in orders(&commands) {
                let paise = limit(order).paise();
                prop_assert_eq!(paise % tick, 0);
                prop_assert!(listed.band_low <= limit(order) && limit(order) <= listed.band_high);
                prop_assert!(order.quantity.shares() > 0 && order.quantity.shares() % lot == 0);
                prop_assert!(order.quantity.shares() <= ORDER_SHARES_MAX.max(lot));
            }
        }
    }
}
