//! Workloads on the order book alone, through its library face: matching, and nothing else.

use std::hint::black_box;
use std::time::Instant;

use engine::book::{Book, BookRefusal, BookSettings, Execution};
use engine::{Price, Quantity, Side, TimeInForce};

use super::checksum::{Outcome, Touch};
use super::engine_bench::EngineBenchError;
use super::latency::Latency;
use super::limits::{PRICE_HIGH, PRICE_LOW, RESTING_MAX, RESTING_MAX_E};
use super::workload::{Kind, Name, Record, Workload};

/// A record in the book's own units. `id` is dense within its book.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    kind: Kind,
    side: Side,
    instrument: u16,
    pub(super) id: u32,
    price: Price,
    quantity: Quantity,
}

/// A workload in the books' own units.
#[derive(Debug)]
pub(super) struct BookRun<'a> {
    workload: &'a Workload,
    pub(super) orders: Vec<Order>,
    /// Per book: own id → id of the stream. Empty where there is one book, whose ids are the stream's.
    stream_ids: Vec<Vec<u32>>,
}

impl<'a> BookRun<'a> {
    pub(super) fn new(workload: &'a Workload) -> BookRun<'a> {
        let mut run = BookRun {
            workload,
            orders: Vec::with_capacity(workload.records.len()),
            stream_ids: Vec::new(),
        };
        if workload.name.instruments() == 1 {
            let orders = workload
                .records
                .iter()
                .map(|record| Order::new(record, record.id));
            run.orders.extend(orders);
        } else {
            run.renumber();
        }
        run
    }

    fn renumber(&mut self) {
        self.stream_ids = vec![vec![0]; usize::from(self.workload.name.instruments())];
        let mut own_ids = vec![0; self.workload.max_order_id as usize + 1];
        for record in &self.workload.records {
            let own_id = &mut own_ids[record.id as usize];
            if matches!(record.kind, Kind::Limit | Kind::ImmediateOrCancel) {
                let ids = &mut self.stream_ids[usize::from(record.instrument)];
                *own_id = ids.len() as u32;
                ids.push(record.id);
            }
            self.orders.push(Order::new(record, *own_id));
        }
    }

    /// The whole stream with every checksum.
    pub(super) fn checked_pass(&self) -> Result<Outcome, EngineBenchError> {
        let mut books = self.books();
        let mut outcome = Outcome::default();
        for (index, order) in self.orders.iter().enumerate() {
            let book = &mut books[usize::from(order.instrument)];
            let done = execute(book, order, |trade| {
                let (maker, taker) = (
                    self.stream_id(order, trade.maker),
                    self.stream_id(order, trade.taker),
                );
                outcome.trade(maker, taker, trade.price.paise(), trade.quantity.shares());
            });
            done.map(drop).or_else(|refusal| self.excuse(index, refusal))?;
            outcome.l1(touch(book, Side::Buy), touch(book, Side::Sell));
        }
        for (instrument, book) in books.iter().enumerate() {
            for side in [Side::Buy, Side::Sell] {
                for (id, price, quantity) in book.orders(side) {
                    let id = self.stream_ids.get(instrument).map_or(id, |ids| ids[id as usize]);
                    outcome.resting(id, price.paise(), quantity.shares());
                }
            }
        }
        Ok(outcome)
    }

    /// Nanoseconds for all commands after the prefill.
    pub(super) fn timed_pass(&self) -> Result<u128, EngineBenchError> {
        let prefill = self.workload.name.prefill();
        let mut books = self.prefilled()?;
        let start = Instant::now();
        match &mut books[..] {
            [book] => {
                for (index, order) in self.orders.iter().enumerate().skip(prefill) {
                    self.run_one(book, index, order)?;
                }
            }
            books => {
                for (index, order) in self.orders.iter().enumerate().skip(prefill) {
                    let book = &mut books[usize::from(order.instrument)];
                    self.run_one(book, index, order)?;
                }
            }
        }
        let elapsed = start.elapsed();
        black_box(&books);
        Ok(elapsed.as_nanos())
    }

    /// Each command after the prefill on its own.
    pub(super) fn latency_pass(&self) -> Result<Latency, EngineBenchError> {
        let prefill = self.workload.name.prefill();
        let mut books = self.prefilled()?;
        Latency::measure(self.workload.commands(), |index| {
            let order = &self.orders[prefill + index];
            let book = &mut books[usize::from(order.instrument)];
            self.run_one(book, prefill + index, order)
        })
    }

    pub(super) fn books(&self) -> Vec<Book> {
        match self.workload.name {
            Name::C => self
                .stream_ids
                .iter()
                .map(|ids| new_book(RESTING_MAX, ids.len() as u32))
                .collect(),
            Name::E => vec![new_book(RESTING_MAX_E, self.workload.max_order_id)],
            _ => vec![new_book(RESTING_MAX, self.workload.max_order_id)],
        }
    }

    fn prefilled(&self) -> Result<Vec<Book>, EngineBenchError> {
        let mut books = self.books();
        let prefill = self.orders.iter().take(self.workload.name.prefill());
        for (index, order) in prefill.enumerate() {
            let book = &mut books[usize::from(order.instrument)];
            self.run_one(book, index, order)?;
        }
        Ok(books)
    }

    #[inline(always)]
    fn run_one(&self, book: &mut Book, index: usize, order: &Order) -> Result<(), EngineBenchError> {
        match execute(book, order, ignore) {
            Ok(_) => Ok(()),
            Err(refusal) => self.excuse(index, refusal),
        }
    }

    /// Workload E asks for what has to be refused; nothing else does.
    #[cold]
    fn excuse(&self, index: usize, refusal: BookRefusal) -> Result<(), EngineBenchError> {
        if self.workload.name == Name::E && refusal == BookRefusal::UnknownOrder {
            Ok(())
        } else {
            Err(EngineBenchError::Refused { index, refusal })
        }
    }

    fn stream_id(&self, order: &Order, own: u32) -> u32 {
        self.stream_ids
            .get(usize::from(order.instrument))
            .map_or(own, |ids| ids[own as usize])
    }
}

impl Order {
    fn new(record: &Record, id: u32) -> Order {
        Order {
            kind: record.kind,
            side: if record.side == 0 { Side::Buy } else { Side::Sell },
            instrument: record.instrument,
            id,
            price: ticks(record.price),
            quantity: Quantity::clamped(i64::from(record.quantity)),
        }
    }
}

/// A price of so many ticks of one paisa.
fn ticks(price: u32) -> Price {
    Price::from_paise_clamped(i64::from(price))
}

fn new_book(max_orders: u32, max_order_id: u32) -> Book {
    let settings = BookSettings {
        min_price: ticks(PRICE_LOW),
        max_price: ticks(PRICE_HIGH),
        tick: ticks(1),
        max_orders,
        max_order_id,
    };
    Book::new(&settings).expect("the prices of a workload fit into a book")
}

fn ignore(trade: Execution) {
    black_box(trade);
}

/// Runs one command. Gives the shares that rest of the order afterwards; of a cancel, those taken off the book.
#[inline(always)]
pub(super) fn execute(
    book: &mut Book,
    order: &Order,
    report: impl FnMut(Execution),
) -> Result<u32, BookRefusal> {
    let Order {
        kind,
        side,
        id,
        price,
        quantity,
        ..
    } = *order;
    let rests = match kind {
        Kind::Limit => {
            book.new_order(id, side, price, quantity, TimeInForce::Day, report)?
                .resting
        }
        Kind::ImmediateOrCancel => {
            book.new_order(id, side, price, quantity, TimeInForce::Ioc, report)?
                .resting
        }
        Kind::Cancel => book.cancel(id)?,
        Kind::Move => book.move_to(id, price, report)?.resting,
        Kind::Modify => book.modify(id, price, quantity, report)?.resting,
    };
    Ok(rests.shares())
}

fn touch(book: &Book, side: Side) -> Touch {
    book.best(side)
        .map_or((0, 0), |(price, quantity)| (price.paise(), quantity))
}
