//! One point of a curve: a steady flow on the bare book and on the full engine, checked, then its time.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use engine::book::{Book, BookSettings};
use engine::{
    AccountDefinition, AccountId, Actor, CancelOrder, Capacity, ClientOrderId, Command, Engine, EventBuffer,
    InstrumentDefinition, InstrumentId, Money, NewOrder, OrderId, OrderRef, OrderType, Price, Product,
    Quantity, Ratio, RiskLimits, SelfTrade, Seq, Sequenced, Side, StrategyId, Symbol, Text, TimeInForce,
    Timestamp,
};

use super::full_run::START;
use super::limits::PRICE_START;
use super::rig::{Rig, apply};
use super::steady_flow::{Flow, Op, OpKind, Shape};

/// Time between two commands. A whole point takes less than the two seconds after which marks are published: the rig empties
/// its rings only between commands, and the marks of a million positions are more events than the ring holds.
const INTERVAL_NS: u64 = 100;
/// A rate that nobody reaches at that interval; its check stays on.
const ORDERS_PER_SECOND: u32 = 1_000_000_000;
/// Positions that the accounts get have their instruments among so many, whatever their number.
pub(super) const HELD_MAX: u32 = 1_000;

/// How long one point is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// Commands of one timed batch, a multiple of four.
    pub(super) batch: usize,
    /// Timed batches, of which the median counts; one more runs before them.
    pub(super) batches: usize,
}

/// Nanoseconds for one batch, or what was wrong.
pub(super) type Timed = Result<u128, String>;

fn median(mut times: Vec<u128>) -> u128 {
    times.sort_unstable();
    times[times.len() / 2]
}

fn paise(ticks: u32) -> Price {
    Price::from_paise_clamped(i64::from(ticks))
}

fn side(is_sell: bool) -> Side {
    if is_sell { Side::Sell } else { Side::Buy }
}

/// Ticks above and below the middle that a book must hold.
fn reach(shape: &Shape) -> u32 {
    (shape.levels / 2 + 2).max(1_000)
}

/// The loop over a batch with nothing in it.
pub(super) fn empty(shape: Shape, effort: Effort) -> u128 {
    let mut flow = Flow::new(shape);
    flow.prefill(|_| ());
    let ops = flow.next(effort.batch);
    let time = || {
        let start = Instant::now();
        ops.iter().for_each(|op| {
            black_box(op);
        });
        start.elapsed().as_nanos()
    };
    median((0..=effort.batches).map(|_| time()).skip(1).collect())
}

/// The flow on bare books, one for each instrument.
pub(super) fn book(shape: Shape, effort: Effort) -> Timed {
    let mut flow = Flow::new(shape);
    let commands = (effort.batch * (effort.batches + 1)) as u32;
    let own = shape.resting.div_ceil(shape.instruments);
    let settings = BookSettings {
        min_price: paise(PRICE_START - reach(&shape)),
        max_price: paise(PRICE_START + reach(&shape)),
        tick: paise(1),
        max_orders: own + 16,
        max_order_id: own + 2 * commands / shape.instruments + 10_000,
    };
    let new_book = |_| Book::new(&settings).expect("the prices fit into a book");
    let mut books: Vec<Book> = (0..shape.instruments).map(new_book).collect();
    let mut trades = 0;
    let mut refused = 0_u64;
    let mut run = |op: &Op| {
        let book = &mut books[usize::from(op.instrument)];
        let done = match op.kind {
            OpKind::Cancel => book.cancel(op.book_id).map(drop),
            OpKind::Rest | OpKind::Take => {
                let life = match op.kind {
                    OpKind::Take => TimeInForce::Ioc,
                    _ => TimeInForce::Day,
                };
                let one = Quantity::clamped(1);
                book.new_order(op.book_id, side(op.is_sell), paise(op.price), one, life, |_| {
                    trades += 1;
                })
                .map(drop)
            }
        };
        refused += u64::from(done.is_err());
    };
    flow.prefill(|op| run(&op));
    let mut times = Vec::with_capacity(effort.batches);
    for batch in 0..=effort.batches {
        let ops = flow.next(effort.batch);
        let start = Instant::now();
        ops.iter().for_each(&mut run);
        let elapsed = start.elapsed().as_nanos();
        if batch > 0 {
            times.push(elapsed);
        }
    }
    if (trades, refused) != (flow.trades, 0) {
        return Err(format!(
            "the books traded {trades} times and refused {refused} commands; {} trades are right",
            flow.trades
        ));
    }
    check_queues(&flow, &books)?;
    Ok(median(times))
}

/// Every queue, order by order. Of many books the first ones: the others' lengths.
fn check_queues(flow: &Flow, books: &[Book]) -> Result<(), String> {
    for (instrument, book) in books.iter().enumerate() {
        let populations = flow.populations(instrument as u32);
        let resting: u64 = populations.iter().flatten().sum();
        if u64::from(book.len()) != resting {
            return Err(format!(
                "book {instrument} holds {} orders, not {resting}",
                book.len()
            ));
        }
        for (is_sell, expected) in [false, true].into_iter().zip(populations) {
            let found: Vec<_> = book
                .levels(side(is_sell))
                .map(|level| u64::from(level.2))
                .collect();
            let used: Vec<_> = expected.into_iter().filter(|&orders| orders > 0).collect();
            if found != used {
                return Err(format!("book {instrument} has other levels than the flow"));
            }
        }
    }
    for (instrument, book) in books.iter().enumerate().take(8) {
        for is_sell in [false, true] {
            let expected = flow.queue(instrument as u16, is_sell);
            let price = |level| paise(Flow::price(is_sell, level));
            let expected = expected.into_iter().map(|(level, id)| (id, price(level)));
            let found = book.orders(side(is_sell)).map(|(id, price, _)| (id, price));
            if !found.eq(expected) {
                return Err(format!("the queues of book {instrument} are not the flow's"));
            }
        }
    }
    Ok(())
}

/// The flow through sequencer, engine, rings and record. Where `held` is given, each account holds that many positions
/// in as many instruments before.
pub(super) fn full(shape: Shape, held: Option<u32>, effort: Effort) -> Timed {
    let mut flow = Flow::new(shape);
    let commands = (effort.batch * (effort.batches + 1)) as u32;
    let (engine, first_id) = built(&shape, held, commands);
    let traded_before = engine
        .instrument(InstrumentId::new(0))
        .map_or(0, |view| view.trades);
    let start_at = Timestamp::from_nanos(engine.time().nanos() + INTERVAL_NS);
    let mut rig = Rig::new(engine, start_at, INTERVAL_NS);
    let mut run = |op: &Op| rig.step(command(op, first_id), |_| (), |_| ());
    flow.prefill(|op| run(&op));
    if held.is_none() {
        flow.introduce(|op| run(&op));
    }
    let mut times = Vec::with_capacity(effort.batches);
    for batch in 0..=effort.batches {
        let ops = flow.next(effort.batch);
        let start = Instant::now();
        ops.iter().for_each(&mut run);
        let elapsed = start.elapsed().as_nanos();
        if batch > 0 {
            times.push(elapsed);
        }
    }
    check_engine(&flow, rig.engine(), held, traded_before)?;
    Ok(median(times))
}

fn check_engine(flow: &Flow, engine: &Engine, held: Option<u32>, traded_before: u64) -> Result<(), String> {
    let Shape {
        resting, instruments, ..
    } = flow.shape;
    if engine.open_orders() != resting {
        return Err(format!("{} orders are open, not {resting}", engine.open_orders()));
    }
    let mut trades = 0;
    for instrument in 0..instruments {
        let id = InstrumentId::new(instrument);
        trades += engine.instrument(id).map_or(0, |view| view.trades);
        for (is_sell, expected) in [false, true].into_iter().zip(flow.populations(instrument)) {
            let depth = engine.depth(id, side(is_sell), expected.len() + 1);
            let found: BTreeMap<_, _> = depth.iter().map(|level| (level.price, level.quantity)).collect();
            let level = |(level, orders)| (paise(Flow::price(is_sell, level)), orders);
            let used = (0..).zip(expected).filter(|&(_, orders)| orders > 0);
            if found != used.map(level).collect() {
                return Err(format!("instrument {instrument} has other levels than the flow"));
            }
        }
    }
    if trades != flow.trades + traded_before {
        return Err(format!(
            "{trades} trades instead of {}",
            flow.trades + traded_before
        ));
    }
    if let Some(held) = held {
        let open = engine
            .positions()
            .filter(|position| position.quantity == 1)
            .count() as u64;
        // Those of instrument 0 grow with the flow.
        let others = u64::from(flow.shape.accounts) * u64::from(held - 1);
        if open < others {
            return Err(format!("{open} positions of one share, not {others}"));
        }
    }
    engine.audit().map_err(|broken| format!("audit: {broken}"))
}

/// The command of an op. Buys and sells are of two strategies, so that no order reduces a position.
#[inline(always)]
fn command(op: &Op, first_id: u64) -> Command {
    let account = AccountId::new(op.account);
    match op.kind {
        OpKind::Cancel => Command::CancelOrder(CancelOrder {
            actor: Actor {
                account,
                admin: false,
            },
            order: OrderRef::Id(OrderId::new(first_id + u64::from(op.id))),
        }),
        OpKind::Rest => new_order(op, account, TimeInForce::Day, 1),
        OpKind::Take => new_order(op, account, TimeInForce::Ioc, 1),
    }
}

#[inline(always)]
fn new_order(op: &Op, account: AccountId, time_in_force: TimeInForce, quantity: u32) -> Command {
    Command::NewOrder(NewOrder {
        account,
        strategy: StrategyId::new(1 + u32::from(op.is_sell)),
        instrument: InstrumentId::new(u32::from(op.instrument)),
        side: side(op.is_sell),
        product: Product::Mis,
        order_type: OrderType::Limit(paise(op.price)),
        time_in_force,
        quantity: Quantity::clamped(i64::from(quantity)),
        post_only: false,
        disclosed: None,
        minimum: None,
        stop_loss: None,
        take_profit: None,
        client_order_id: ClientOrderId::EMPTY,
        metadata: None,
    })
}

/// An engine with instruments, accounts and positions, and the number of orders it has seen.
fn built(shape: &Shape, held: Option<u32>, commands: u32) -> (Engine, u64) {
    let instruments = held.map_or(shape.instruments, |_| HELD_MAX);
    // Ids are not used again within a run: the window over them is four times the orders that fit.
    let orders = (shape.resting + shape.resting / 8).max(commands / 4 + shape.accounts) + 4_096;
    let mut engine = Engine::new(Capacity {
        accounts: shape.accounts + 1,
        instruments,
        orders,
        positions: (shape.accounts + 1) * held.unwrap_or(0).max(shape.instruments.min(16)) * 2
            + HELD_MAX * 2
            + shape.resting.min(shape.accounts * shape.instruments * 2)
            + commands.min(shape.accounts * shape.instruments * 2),
        client_order_ids: 16,
    });
    let mut events = EventBuffer::new();
    let mut seq = 0;
    let mut take = |engine: &mut Engine, command: Command| {
        seq += 1;
        let command = Sequenced {
            seq: Seq::new(seq),
            time: Timestamp::from_nanos(START.nanos() + seq * INTERVAL_NS),
            command,
        };
        apply(engine, &command, &mut events);
    };
    // What lets the band reach both ends of the levels.
    let band = u64::from(reach(shape) + 2) * 1_000_000 / u64::from(PRICE_START);
    let band = Ratio::from_ppm(band as u32);
    for number in 0..instruments {
        take(&mut engine, instrument(number, band));
    }
    for number in 0..=shape.accounts {
        take(&mut engine, account(number));
    }
    let mut orders = 0;
    for instrument in 0..held.unwrap_or(0) {
        let at = |account, is_sell| Op {
            kind: OpKind::Take,
            is_sell,
            instrument: instrument as u16,
            account,
            id: 0,
            book_id: 0,
            price: PRICE_START,
        };
        let venue = AccountId::new(0);
        take(
            &mut engine,
            new_order(&at(0, true), venue, TimeInForce::Day, shape.accounts),
        );
        for number in 1..=shape.accounts {
            let buyer = AccountId::new(number);
            take(
                &mut engine,
                new_order(&at(number, false), buyer, TimeInForce::Ioc, 1),
            );
        }
        orders += u64::from(shape.accounts) + 1;
    }
    (engine, orders)
}

fn instrument(number: u32, price_band: Ratio) -> Command {
    Command::DefineInstrument(Box::new(InstrumentDefinition {
        symbol: Symbol::cut(&format!("BENCH{number}")),
        exchange: Text::cut("NSE"),
        tick_size: paise(1),
        lot_size: Quantity::clamped(1),
        freeze_quantity: Quantity::clamped(10_000_000),
        reference_price: paise(PRICE_START),
        price_band,
        mis_allowed: true,
        banned: false,
        derivatives: false,
    }))
}

/// The maker's profile with room for everything the flow does. Account 0 is the venue's.
fn account(number: u32) -> Command {
    Command::DefineAccount(Box::new(AccountDefinition {
        name: Text::cut(&format!("account-{number}")),
        opening_balance: Money::from_paise(10_000_000_000_000),
        limits: RiskLimits {
            self_trade: SelfTrade::Off,
            price_sanity_max: Some(Ratio::from_ppm(4_000_000)),
            positions_max: Some(1_000_000),
            open_order_value_max: None,
            orders_per_second_max: Some(ORDERS_PER_SECOND),
            ..RiskLimits::maker()
        },
        profile: Text::cut("bench"),
        venue: number == 0,
    }))
}
