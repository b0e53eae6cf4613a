//! A command with more events than the outbound ring holds, under the rule of the gateway: nothing is taken off the ring
//! before the journal covers its command.

#![allow(clippy::expect_used, reason = "test code")]

use std::thread;
use std::time::{Duration, Instant};

use api_sidecar::latency::StampClock;
use engine::lane::{JournalEntry, Outbound};
use engine::{
    AccountDefinition, AccountId, Actor, CancelAll, Capacity, ClientOrderId, Command, Engine, Event,
    InstrumentDefinition, InstrumentId, Money, NewOrder, OrderType, Price, Product, Quantity, Ratio,
    RiskLimits, Seq, Side, StrategyId, Symbol, Text, TimeInForce, Timestamp,
};
use pinion::sequencer::{OUTBOUND_SLOTS_PER_CALL, Sequencer};
use rtrb::{Consumer, RingBuffer};

/// Orders of one share: a sweep of them gives five events each, the ring holds some 4,100.
const RESTING: u32 = 6_000;
/// 2026-11-26 10:00 in India.
const NOW: Timestamp = Timestamp::from_nanos(1_795_667_400_000_000_000);

fn price(paise: u32) -> Price {
    Price::from_paise(paise).expect("a positive price")
}

fn shares(shares: u32) -> Quantity {
    Quantity::new(shares).expect("a small quantity")
}

fn definitions() -> Vec<Command> {
    let account = |name: &str| {
        Command::DefineAccount(Box::new(AccountDefinition {
            name: Text::cut(name),
            opening_balance: Money::from_paise(1_000_000_000_000),
            limits: RiskLimits::unlimited_paper(),
            profile: Text::cut("unlimited-paper"),
            venue: false,
        }))
    };
    let instrument = Command::DefineInstrument(Box::new(InstrumentDefinition {
        symbol: Symbol::cut("INFY"),
        exchange: Text::cut("NSE"),
        tick_size: price(5),
        lot_size: shares(1),
        freeze_quantity: shares(100_000),
        reference_price: price(150_000),
        price_band: Ratio::from_ppm(200_000),
        mis_allowed: true,
        banned: false,
        derivatives: false,
    }));
    vec![instrument, account("maker"), account("taker")]
}

fn order(account: u32, side: Side, quantity: u32) -> Command {
    Command::NewOrder(NewOrder {
        account: AccountId::new(account),
        strategy: StrategyId::new(1),
        instrument: InstrumentId::new(0),
        side,
        product: Product::Mis,
        order_type: OrderType::Limit(price(151_000)),
        time_in_force: TimeInForce::Day,
        quantity: shares(quantity),
        post_only: false,
        disclosed: None,
        minimum: None,
        stop_loss: None,
        take_profit: None,
        client_order_id: ClientOrderId::EMPTY,
        metadata: None,
    })
}

/// The far ends of the rings.
struct Edges {
    journal: Consumer<JournalEntry>,
    outbound: Consumer<Outbound>,
    journaled: Seq,
}

impl Edges {
    /// Takes what the journal covers until the command `last` has ended; hands on its events.
    fn follow(&mut self, last: Seq, mut see: impl FnMut(&Event)) {
        let patience = Instant::now() + Duration::from_secs(120);
        loop {
            while let Ok(entry) = self.journal.pop() {
                if let JournalEntry::Command { command, .. } = entry {
                    self.journaled = command.seq;
                }
            }
            match self.outbound.peek() {
                Ok(Outbound::Begin { seq, .. }) if *seq > self.journaled => {}
                Ok(Outbound::End { seq, .. }) if *seq == last => {
                    self.outbound.pop().expect("it was seen");
                    return;
                }
                Ok(Outbound::Event(event)) => {
                    see(event);
                    self.outbound.pop().expect("it was seen");
                }
                Ok(_) => {
                    self.outbound.pop().expect("it was seen");
                }
                Err(_) => thread::yield_now(),
            }
            assert!(Instant::now() < patience, "command {last:?} never ends");
        }
    }
}

/// Runs `long` after [`RESTING`] orders rest, and counts the events of its kind.
fn events_of(long: Command, counted: fn(&Event) -> bool) -> usize {
    let (journal_in, journal) = RingBuffer::new(64);
    let (outbound_in, outbound) = RingBuffer::new(OUTBOUND_SLOTS_PER_CALL);
    let engine = Engine::new(Capacity {
        accounts: 2,
        instruments: 1,
        orders: 2 * RESTING,
        positions: 4,
        client_order_ids: 4,
    });
    let mut sequencer = Sequencer::new(engine, journal_in, outbound_in, StampClock::new());
    let resting = (0..RESTING).map(|_| order(0, Side::Sell, 1));
    let commands: Vec<Command> = definitions().into_iter().chain(resting).chain([long]).collect();
    let last = Seq::new(u64::try_from(commands.len()).expect("a small number"));
    let sequencing = thread::spawn(move || {
        for command in commands {
            while !sequencer.has_room() {
                thread::yield_now();
            }
            sequencer.sequence(command, Some(7), NOW);
        }
        sequencer.engine().audit()
    });
    let mut edges = Edges {
        journal,
        outbound,
        journaled: Seq::default(),
    };
    edges.follow(Seq::new(last.get() - 1), |_| ());
    let mut count = 0;
    edges.follow(last, |event| count += usize::from(counted(event)));
    assert_eq!(sequencing.join().expect("the sequencer ends"), Ok(()));
    count
}

#[test]
fn a_sweep_comes_to_its_end() {
    let trades = events_of(order(1, Side::Buy, RESTING), |event| {
        matches!(event, Event::Trade(_))
    });
    assert_eq!(trades, 6_000);
}

#[test]
fn a_mass_cancel_comes_to_its_end() {
    let everything = Command::CancelAll(CancelAll {
        actor: Actor {
            account: AccountId::new(0),
            admin: false,
        },
        account: Some(AccountId::new(0)),
        strategy: None,
        instrument: None,
        side: None,
    });
    let cancels = events_of(everything, |event| matches!(event, Event::OrderCancelled(_)));
    assert_eq!(cancels, 6_000);
}
