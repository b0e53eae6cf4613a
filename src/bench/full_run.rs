//! Workloads through everything that an order costs in production, on one thread: the sequencer with the engine in it
//! (validation, every risk check, reservations, matching, positions, P&L, state hash), its events in the slots of the
//! outbound ring, its command through the journal's ring, and the record that the writer would append.
//!
//! The rings have their sizes of production and are emptied after every command, so that only this thread's work counts.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::ops::RangeInclusive;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use engine::{
    AccountDefinition, AccountId, Actor, CancelOrder, Capacity, ClientOrderId, Command, Engine, EventBuffer,
    InstrumentDefinition, InstrumentId, ModifyOrder, Money, NewOrder, OrderId, OrderRef, OrderType, Price,
    Product, Quantity, Ratio, RejectCode, RiskLimits, SelfTrade, Seq, Sequenced, Side, StrategyId, Symbol,
    Text, TimeInForce, Timestamp,
};
use persistence_writer::record;

use super::book_run::{BookRun, Order, execute};
use super::checksum::Outcome;
use super::engine_bench::EngineBenchError;
use super::event_books::EventBooks;
use super::latency::{Latency, Stopwatch};
use super::limits::{PRICE_START, REPLAY_CHUNK, REPLAY_CHUNKS, RESTING_MAX, RESTING_MAX_E};
use super::rig::{Rig, apply};
use super::workload::{Kind, Name, Record, Workload};

/// 2024-10-04 10:00 in India, a Friday: when the streams begin.
pub(super) const START: Timestamp =
    Timestamp::from_nanos(Timestamp::start_of_trading_day(20_000).nanos() + 36_000_000_000_000);

/// Commands that are made ahead of a timed run.
const BATCH: usize = 256;

/// Groups of commands by their trades.
const TRADES: [RangeInclusive<u64>; 5] = [0..=0, 1..=1, 2..=3, 4..=7, 8..=u64::MAX];

/// What a full run did besides trading.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Decisions {
    /// New orders of clients.
    pub(super) accepted: u64,
    /// Orders that the engine placed itself.
    pub(super) own: u64,
    /// New orders, by the code of what refused them.
    pub(super) rejected: BTreeMap<RejectCode, u64>,
    /// Cancels and modifies, of orders that were rejected before.
    pub(super) refused: u64,
}

/// A workload and the engine that it needs.
#[derive(Debug)]
pub(super) struct FullRun<'a> {
    workload: &'a Workload,
    netting: bool,
    /// Of workload E: by record, the total quantity that a modify asks for. The stream says what is to be open, the
    /// engine counts what has been filled, too.
    totals: Vec<u32>,
    /// Trades of each command, found by the checked pass.
    trades: Vec<u64>,
    /// Of workload D: by the stream's id, the one that the engine gave. They part because the engine numbers its own
    /// exits, too. Filled by the checked pass; empty where both are the same.
    pub(super) order_ids: Vec<u32>,
}

impl<'a> FullRun<'a> {
    /// Every account buys under one strategy and sells under another, as pairs of makers do. No order then reduces a
    /// position, so none is trimmed as an excess exit, and every trade is that of the bare book.
    pub(super) fn new(workload: &'a Workload) -> FullRun<'a> {
        FullRun {
            workload,
            netting: false,
            totals: totals(workload),
            trades: Vec::new(),
            order_ids: Vec::new(),
        }
    }

    /// Every account has one position in an instrument: orders reduce it, and the engine trims resting exits that exceed
    /// it, so that the trades are not those of the bare book.
    pub(super) fn netting(workload: &'a Workload) -> FullRun<'a> {
        FullRun {
            workload,
            netting: true,
            totals: totals(workload),
            trades: Vec::new(),
            order_ids: Vec::new(),
        }
    }

    /// The whole stream with every checksum; beside it, on a second thread, its records, decoded, through a second engine,
    /// which has to come to the same state.
    pub(super) fn checked_pass(&mut self) -> Result<(Outcome, Decisions), EngineBenchError> {
        if self.workload.name == Name::D {
            self.order_ids = vec![0; self.workload.max_order_id as usize + 1];
        }
        let mut rig = self.rig();
        let mut books = EventBooks::new(self.workload.name.instruments());
        let (records_in, records) = crossbeam_channel::bounded(REPLAY_CHUNKS);
        let (second, seq) = self.engine();
        let replay = thread::spawn(move || replay(second, seq, &records));
        let mut chunk = Vec::with_capacity(REPLAY_CHUNK);
        self.trades.clear();
        for (index, record) in self.workload.records.iter().enumerate() {
            rig.step(
                self.command(index),
                |item| books.see(item),
                |bytes| chunk.push(Box::from(bytes)),
            );
            books.end_of_command(record.instrument);
            self.trades.push(books.take_trades());
            let given = books.take_order_id();
            if let (Some(entry), Some(given)) = (self.order_ids.get_mut(record.id as usize), given) {
                *entry = given;
            }
            if chunk.len() >= REPLAY_CHUNK {
                // Where the other end has gone, its hash will be missing.
                let _ = records_in.send(std::mem::replace(&mut chunk, Vec::with_capacity(REPLAY_CHUNK)));
            }
        }
        let _ = records_in.send(chunk);
        drop(records_in);
        let replayed = replay.join().expect("the replay does not panic");
        let engine = rig.engine();
        let mut wrong = Vec::new();
        if engine.open_orders() as usize != books.resting() {
            wrong.push("the events do not describe the orders that are open".to_owned());
        }
        if let Err(broken) = engine.audit() {
            wrong.push(format!("audit: {broken}"));
        }
        let hash = engine.state_hash();
        if replayed != Some(hash) {
            wrong.push("the journal's records lead to another state".to_owned());
        }
        let decisions = Decisions {
            accepted: books.accepted,
            own: books.own,
            rejected: books.rejected.clone(),
            refused: books.refused,
        };
        // Workload E asks for what has to be refused.
        let refused = books.refused > 0 && self.workload.name != Name::E;
        if self.workload.name != Name::D && !self.netting && (!books.rejected.is_empty() || refused) {
            wrong.push(format!("what has to pass was refused: {decisions:?}"));
        }
        match wrong.is_empty() {
            true => Ok((books.finish(), decisions)),
            false => Err(EngineBenchError::WrongResult(wrong)),
        }
    }

    /// Nanoseconds for all commands after the prefill.
    pub(super) fn timed_pass(&self) -> u128 {
        let mut rig = self.prefilled();
        let elapsed = self.in_batches(|commands| {
            for command in commands.drain(..) {
                rig.step(command, |_| (), |_| ());
            }
        });
        black_box(&rig);
        elapsed.as_nanos()
    }

    /// Nanoseconds for the commands after the prefill in `Engine::apply` alone: without rings and records.
    pub(super) fn apply_pass(&self) -> u128 {
        let (mut engine, mut seq) = self.engine();
        let mut events = EventBuffer::new();
        let mut time = START.nanos();
        let mut step = |command| {
            seq += 1;
            time += self.interval_ns();
            let command = Sequenced {
                seq: Seq::new(seq),
                time: Timestamp::from_nanos(time),
                command,
            };
            apply(&mut engine, &command, &mut events);
            black_box(events.as_slice());
        };
        let prefill = self.workload.name.prefill();
        (0..prefill).for_each(|index| step(self.command(index)));
        let elapsed = self.in_batches(|commands| commands.drain(..).for_each(&mut step));
        elapsed.as_nanos()
    }

    /// Has the commands after the prefill run, a batch at a time, as they lie in the gateway's ring when the engine takes
    /// them; the time of the runs.
    fn in_batches(&self, mut run: impl FnMut(&mut Vec<Command>)) -> Duration {
        let mut commands = Vec::with_capacity(BATCH);
        let mut elapsed = Duration::ZERO;
        let (first, end) = (self.workload.name.prefill(), self.workload.records.len());
        for begin in (first..end).step_by(BATCH) {
            commands.extend((begin..end.min(begin + BATCH)).map(|index| self.command(index)));
            let start = Instant::now();
            run(&mut commands);
            elapsed += start.elapsed();
        }
        elapsed
    }

    /// Each command after the prefill on its own; then the same in groups by their trades, where the checked pass has
    /// counted them.
    pub(super) fn latency_pass(&self) -> (Latency, Vec<(RangeInclusive<u64>, Latency)>) {
        let mut rig = self.prefilled();
        let prefill = self.workload.name.prefill();
        let mut stopwatch = Stopwatch::new(self.workload.commands());
        self.in_batches(|commands| {
            for command in commands.drain(..) {
                stopwatch.time(|| rig.step(command, |_| (), |_| ()));
            }
        });
        let by_trades = TRADES.into_iter().map(|trades| {
            let latency = stopwatch.of_steps(|step| trades.contains(&self.trades[prefill + step]));
            (trades, latency)
        });
        let by_trades = by_trades.filter(|(_, latency)| latency.count() > 0).collect();
        (stopwatch.finish(), by_trades)
    }

    fn rig(&self) -> Rig {
        Rig::new(self.engine().0, START, self.interval_ns())
    }

    fn prefilled(&self) -> Rig {
        let mut rig = self.rig();
        for index in 0..self.workload.name.prefill() {
            rig.step(self.command(index), |_| (), |_| ());
        }
        rig
    }

    /// What the accounts may do. A and B need room for prices at the ends of the ladder and have no self-trade
    /// prevention (`ORACLE.md`); D is the dashboard's profile as it is.
    fn limits(&self) -> RiskLimits {
        match self.workload.name {
            Name::D => RiskLimits::dashboard(),
            _ => RiskLimits {
                self_trade: SelfTrade::Off,
                price_sanity_max: Some(Ratio::from_ppm(4_000_000)),
                ..RiskLimits::maker()
            },
        }
    }

    /// Opening balance: the dashboard's ₹1,00,000, or ₹1,000 crore, so that no order of a maker lacks funds.
    fn balance(&self) -> Money {
        Money::from_paise(match self.workload.name {
            Name::D => 10_000_000,
            _ => 1_000_000_000_000,
        })
    }

    /// Time between two commands: of a thousand dashboard accounts each sends an order in about two seconds; makers
    /// send as fast as their rate allows.
    pub(super) const fn interval_ns(&self) -> u64 {
        match self.workload.name {
            Name::D => 1_000_000,
            _ => 1_000,
        }
    }

    fn capacity(&self) -> Capacity {
        let name = self.workload.name;
        let instruments = u32::from(name.instruments());
        Capacity {
            accounts: name.accounts() + 1,
            instruments,
            orders: match name {
                // Orders live so long there that ids would be skipped for those whose places they hold, and part from the
                // stream's.
                Name::E => self.workload.max_order_id.max(RESTING_MAX_E),
                _ => RESTING_MAX + instruments * 1_250,
            },
            positions: name.accounts() * if instruments > 1 { 11 } else { 2 } + 1,
            client_order_ids: 16,
        }
    }

    /// An engine with instruments and accounts, and the `seq` of the last definition. Account 0 sends nothing.
    pub(super) fn engine(&self) -> (Engine, u64) {
        let mut engine = Engine::new(self.capacity());
        let mut events = EventBuffer::new();
        let name = self.workload.name;
        let band = match name {
            Name::A | Name::B | Name::E => Ratio::from_ppm(1_000_000),
            _ => Ratio::from_ppm(200_000),
        };
        let instruments = (0..name.instruments()).map(|number| instrument(number, band));
        let accounts = (0..=name.accounts()).map(|number| {
            Command::DefineAccount(Box::new(AccountDefinition {
                name: Text::cut(&format!("account-{number}")),
                opening_balance: self.balance(),
                limits: self.limits(),
                profile: Text::cut("bench"),
                venue: false,
            }))
        });
        let mut seq = 0;
        for command in instruments.chain(accounts) {
            seq += 1;
            let command = Sequenced {
                seq: Seq::new(seq),
                time: START,
                command,
            };
            apply(&mut engine, &command, &mut events);
        }
        (engine, seq)
    }

    /// The command of a record. A move is a modify of the price: the streams always name another price, and then a
    /// modify loses its place just as a move does.
    #[inline(always)]
    pub(super) fn command(&self, index: usize) -> Command {
        let record = &self.workload.records[index];
        let account = AccountId::new(self.workload.name.account(record));
        let actor = Actor {
            account,
            admin: false,
        };
        let id = self.order_ids.get(record.id as usize).copied();
        let order = OrderRef::Id(OrderId::new(u64::from(id.unwrap_or(record.id))));
        match record.kind {
            Kind::Cancel => Command::CancelOrder(CancelOrder { actor, order }),
            Kind::Move | Kind::Modify => Command::ModifyOrder(ModifyOrder {
                actor,
                order,
                quantity: self.totals.get(index).copied().and_then(total),
                price: Some(paise(record.price)),
                trigger: None,
            }),
            Kind::Limit | Kind::ImmediateOrCancel => Command::NewOrder(NewOrder {
                account,
                strategy: StrategyId::new(if self.netting {
                    1
                } else {
                    1 + u32::from(record.side)
                }),
                instrument: InstrumentId::new(u32::from(record.instrument)),
                side: if record.side == 0 { Side::Buy } else { Side::Sell },
                product: Product::Mis,
                order_type: OrderType::Limit(paise(record.price)),
                time_in_force: time_in_force(record),
                quantity: Quantity::clamped(i64::from(record.quantity)),
                post_only: false,
                disclosed: None,
                minimum: None,
                stop_loss: self
                    .workload
                    .stops
                    .get(index)
                    .copied()
                    .and_then(Price::from_paise),
                take_profit: None,
                client_order_id: ClientOrderId::EMPTY,
                metadata: None,
            }),
        }
    }
}

/// The total of a record's modify; `None` for a move, which leaves the quantity as it is.
fn total(shares: u32) -> Option<Quantity> {
    (shares > 0).then(|| Quantity::clamped(i64::from(shares)))
}

/// By record what a modify's order will have been filled with, and what is to be open; empty where the stream has none.
fn totals(workload: &Workload) -> Vec<u32> {
    if workload.name != Name::E {
        return Vec::new();
    }
    let run = BookRun::new(workload);
    let mut book = run.books().swap_remove(0);
    let mut filled = vec![0; workload.max_order_id as usize + 1];
    let mut total = |(record, order): (&Record, &Order)| {
        let total = match record.kind {
            Kind::Modify => filled[record.id as usize] + record.quantity,
            _ => 0,
        };
        // What is refused here is refused there.
        let _ = execute(&mut book, order, |trade| {
            for id in [trade.maker, trade.taker] {
                filled[id as usize] += trade.quantity.shares();
            }
        });
        total
    };
    workload.records.iter().zip(&run.orders).map(&mut total).collect()
}

fn time_in_force(record: &Record) -> TimeInForce {
    match record.kind {
        Kind::ImmediateOrCancel => TimeInForce::Ioc,
        _ => TimeInForce::Day,
    }
}

fn paise(price: u32) -> Price {
    Price::from_paise_clamped(i64::from(price))
}

fn instrument(number: u16, price_band: Ratio) -> Command {
    Command::DefineInstrument(Box::new(InstrumentDefinition {
        symbol: Symbol::cut(&format!("BENCH{number}")),
        exchange: Text::cut("NSE"),
        tick_size: paise(1),
        lot_size: Quantity::clamped(1),
        freeze_quantity: Quantity::clamped(1_000_000),
        reference_price: paise(PRICE_START),
        price_band,
        mis_allowed: true,
        banned: false,
        derivatives: false,
    }))
}

/// The state hash after the records, folded by a fresh engine whose last command has the number `seq`; `None` where one is
/// unreadable.
fn replay(mut engine: Engine, mut seq: u64, records: &Receiver<Vec<Box<[u8]>>>) -> Option<u64> {
    let mut events = EventBuffer::new();
    for bytes in records.iter().flatten() {
        seq += 1;
        let command = record::decode(Seq::new(seq), &bytes).ok()?;
        apply(&mut engine, &command, &mut events);
    }
    Some(engine.state_hash())
}
