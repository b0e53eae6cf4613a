//! Workload E: every message's reports cross a ring to a second thread, and the measurement ends when the last of them
//! has been read there.

use std::hint::black_box;
use std::thread;
use std::time::Instant;

use engine::book::{Book, BookRefusal};
use rtrb::{Consumer, Producer, RingBuffer};

use super::book_run::{BookRun, Order, execute};
use super::engine_bench::EngineBenchError;
use super::limits::REPORT_RING;

/// One report, 20 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub(super) struct Report {
    id: u32,
    /// Of a trade: the resting order. Else 0.
    maker: u32,
    price: u32,
    /// Traded, resting or taken off the book.
    quantity: u32,
    kind: ReportKind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum ReportKind {
    Trade = 0,
    /// The command was carried out; `quantity` is what rests, or what a cancel took off the book.
    Acknowledged = 1,
    Rejected = 2,
}

/// What a reader adds up: enough to see a report that is missing, doubled or damaged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Read {
    reports: u64,
    rejected: u64,
    sum: u64,
}

impl Read {
    #[inline(always)]
    fn add(&mut self, report: &Report) {
        let Report {
            id,
            maker,
            price,
            quantity,
            kind,
        } = *report;
        self.reports += 1;
        self.rejected += u64::from(kind == ReportKind::Rejected);
        let words = u64::from(id) ^ u64::from(maker) << 32;
        let amounts = u64::from(price) << 31 ^ u64::from(quantity) ^ (kind as u64) << 62;
        self.sum = self.sum.wrapping_add(words.wrapping_mul(3) ^ amounts);
    }
}

/// Runs one message and hands over its reports.
#[inline(always)]
fn run_one(book: &mut Book, order: &Order, mut hand_over: impl FnMut(Report)) -> Result<(), BookRefusal> {
    let done = execute(book, order, |trade| {
        hand_over(Report {
            id: trade.taker,
            maker: trade.maker,
            price: trade.price.paise(),
            quantity: trade.quantity.shares(),
            kind: ReportKind::Trade,
        });
    });
    let (kind, quantity) = match done {
        Ok(quantity) => (ReportKind::Acknowledged, quantity),
        Err(BookRefusal::UnknownOrder) => (ReportKind::Rejected, 0),
        Err(refusal) => return Err(refusal),
    };
    hand_over(Report {
        id: order.id,
        maker: 0,
        price: 0,
        quantity,
        kind,
    });
    Ok(())
}

/// What the reports of the whole stream add up to, without a ring.
pub(super) fn expected(run: &BookRun<'_>) -> Result<Read, EngineBenchError> {
    let mut read = Read::default();
    let mut books = run.books();
    for (index, order) in run.orders.iter().enumerate() {
        run_one(&mut books[0], order, |report| read.add(&report))
            .map_err(|refusal| EngineBenchError::Refused { index, refusal })?;
    }
    Ok(read)
}

/// Nanoseconds from the first message to the last report's reading, over two threads.
pub(super) fn timed_pass(run: &BookRun<'_>, expected: Read) -> Result<u128, EngineBenchError> {
    let mut books = run.books();
    let (mut producer, consumer) = RingBuffer::new(REPORT_RING);
    let reader = thread::spawn(move || drain(consumer));
    let start = Instant::now();
    let done = produce(&mut books[0], run, &mut producer);
    drop(producer);
    let read = reader.join().expect("the reader does not panic");
    let elapsed = start.elapsed();
    black_box(&books);
    done?;
    if read == expected {
        Ok(elapsed.as_nanos())
    } else {
        Err(EngineBenchError::WrongResult(vec![format!(
            "the reader found {read:?} instead of {expected:?}"
        )]))
    }
}

fn produce(
    book: &mut Book,
    run: &BookRun<'_>,
    producer: &mut Producer<Report>,
) -> Result<(), EngineBenchError> {
    for (index, order) in run.orders.iter().enumerate() {
        run_one(book, order, |report| push(producer, report))
            .map_err(|refusal| EngineBenchError::Refused { index, refusal })?;
    }
    Ok(())
}

#[inline(always)]
fn push(producer: &mut Producer<Report>, report: Report) {
    while producer.push(report).is_err() {
        // The reader may share this core.
        thread::yield_now();
    }
}

fn drain(mut consumer: Consumer<Report>) -> Read {
    let mut read = Read::default();
    loop {
        let slots = consumer.slots();
        if slots == 0 {
            if consumer.is_abandoned() && consumer.is_empty() {
                return read;
            }
            thread::yield_now();
            continue;
        }
        let Ok(chunk) = consumer.read_chunk(slots) else {
            continue;
        };
        let (first, second) = chunk.as_slices();
        for report in first.iter().chain(second) {
            read.add(report);
        }
        chunk.commit_all();
    }
}

/// Runs the stream's messages over a ring that is read in place, so that each can be timed alone.
#[derive(Debug)]
pub(super) struct InPlace {
    book: Book,
    producer: Producer<Report>,
    consumer: Consumer<Report>,
    read: Read,
}

impl InPlace {
    pub(super) fn new(run: &BookRun<'_>) -> InPlace {
        let (producer, consumer) = RingBuffer::new(REPORT_RING);
        InPlace {
            book: run.books().swap_remove(0),
            producer,
            consumer,
            read: Read::default(),
        }
    }

    #[inline(always)]
    pub(super) fn message(&mut self, order: &Order) -> Result<(), BookRefusal> {
        let InPlace {
            book,
            producer,
            consumer,
            read,
        } = self;
        run_one(book, order, |report| {
            if producer.push(report).is_err() {
                empty(consumer, read);
                push(producer, report);
            }
        })
    }

    /// What has been read once the ring is empty.
    pub(super) fn finish(mut self) -> Read {
        empty(&mut self.consumer, &mut self.read);
        self.read
    }
}

fn empty(consumer: &mut Consumer<Report>, read: &mut Read) {
    while let Ok(report) = consumer.pop() {
        read.add(&report);
    }
}
