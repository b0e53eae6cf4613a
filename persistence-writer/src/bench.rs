//! The journal's own benchmark: records per second by batch size, beside what the disk gives to a bare program.
//!
//! All of these check that their result is right before they report it.

use std::fs::OpenOptions;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use engine::lane::JournalEntry;
use engine::{
    AccountId, Command, InstrumentId, NewOrder, OrderType, Price, Product, Quantity, Seq, Sequenced, Side,
    StrategyId, Text, TimeInForce, Timestamp,
};
use hdrhistogram::Histogram;

use crate::journal::{Disk, JournalError, Settings, Storage, open, walk};
use crate::limits::{BLOCK_BYTES, SEGMENT_BYTES_DEFAULT};
use crate::progress::{Ack, Progress};
use crate::writer::{self, Writer};

/// Orders that may wait for the writer.
const RING: usize = 65_536;

/// A sleep may last longer by about this.
const SLEEP_SLACK: Duration = Duration::from_micros(150);

/// How much is written: `batches` syncs of `batch` records each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Load {
    pub batch: u32,
    pub batches: u32,
}

impl Load {
    pub fn records(self) -> u64 {
        u64::from(self.batch) * u64::from(self.batches)
    }
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Measured {
    pub records: u64,
    /// Bytes in the files that the records account for, padding included.
    pub bytes: u64,
    pub elapsed: Duration,
    /// Nanoseconds of each batch: from its first append to the return of its sync.
    pub batch_ns: Histogram<u64>,
}

impl Measured {
    pub fn records_per_second(&self) -> u64 {
        let rate = u128::from(self.records) * 1_000_000_000 / self.elapsed.as_nanos().max(1);
        u64::try_from(rate).unwrap_or(u64::MAX)
    }
}

/// A limit order as a strategy sends it: what most records of a journal are.
pub fn sample_order(seq: u64) -> Sequenced<Command> {
    Sequenced {
        seq: Seq::new(seq),
        time: Timestamp::from_nanos(seq),
        command: Command::NewOrder(NewOrder {
            account: AccountId::new(1),
            strategy: StrategyId::new(1),
            instrument: InstrumentId::new(1),
            side: Side::Buy,
            product: Product::Mis,
            order_type: OrderType::Limit(Price::from_paise_clamped(245_000)),
            time_in_force: TimeInForce::Day,
            quantity: Quantity::clamped(10),
            post_only: false,
            disclosed: None,
            minimum: None,
            stop_loss: None,
            take_profit: None,
            client_order_id: Text::cut(&format!("bench-{seq}")),
            metadata: None,
        }),
    }
}

/// Appends and syncs orders in a new journal in `directory`, which must exist and be empty, with the settings of a
/// server. Changes of segment are part of the measurement.
pub fn journal(directory: &Path, load: Load) -> Result<Measured, JournalError> {
    let disk = Disk::new(directory);
    let settings =
        Settings::server(SEGMENT_BYTES_DEFAULT, Arc::default()).map_err(|source| JournalError::Io {
            action: "make a journal id for",
            path: disk.path(""),
            source,
        })?;
    let orders: Vec<Sequenced<Command>> = (1..=load.records()).map(sample_order).collect();
    let mut appender = open(disk.clone(), &settings, Seq::new(0), |_| {})?.appender;
    let mut measured = Measured {
        records: load.records(),
        bytes: 0,
        elapsed: Duration::ZERO,
        batch_ns: histogram(),
    };
    let start = Instant::now();
    for batch in orders.chunks(load.batch as usize) {
        let begun = Instant::now();
        for order in batch {
            appender.append(order)?;
        }
        measured.bytes += appender.unsynced_bytes().next_multiple_of(BLOCK_BYTES);
        appender.sync()?;
        measured.batch_ns.saturating_record(nanos(begun.elapsed()));
    }
    measured.elapsed = start.elapsed();
    drop(appender);
    let mut expected = orders.iter();
    walk(&disk, Seq::new(0), |found| {
        assert_eq!(Some(found), expected.next(), "what was read is what was written");
        ControlFlow::Continue(())
    })?;
    assert_eq!(expected.next(), None, "everything that was written is read");
    Ok(measured)
}

/// Writes and syncs the same number of batches, of `batch_bytes` each, into a preallocated file of zeros and does
/// nothing else: the most that this disk can give to anyone who syncs.
pub fn bare(directory: &Path, load: Load, batch_bytes: u64) -> io::Result<Measured> {
    let path = directory.join("bare");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    let batch_bytes = batch_bytes.next_multiple_of(BLOCK_BYTES);
    let batch = vec![0x5a; usize::try_from(batch_bytes).map_err(io::Error::other)?];
    let zeros = vec![0; batch.len()];
    for index in 0..u64::from(load.batches) {
        file.write_all_at(&zeros, index * batch_bytes)?;
    }
    file.sync_all()?;
    let mut batch_ns = histogram();
    let start = Instant::now();
    for index in 0..u64::from(load.batches) {
        let begun = Instant::now();
        file.write_all_at(&batch, index * batch_bytes)?;
        file.sync_data()?;
        batch_ns.saturating_record(nanos(begun.elapsed()));
    }
    let elapsed = start.elapsed();
    let bytes = u64::from(load.batches) * batch_bytes;
    assert_eq!(file.metadata()?.len(), bytes, "everything was written");
    std::fs::remove_file(&path)?;
    Ok(Measured {
        records: load.records(),
        bytes,
        elapsed,
        batch_ns,
    })
}

/// Orders that come one by one, at planned times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offered {
    pub per_second: u32,
    pub orders: u32,
    /// Whether the writer is told that an order is on its way, as the gateway does.
    pub nudge: bool,
}

impl Offered {
    fn planned(self, order: u64) -> Duration {
        let nanos = u128::from(order - 1) * 1_000_000_000 / u128::from(self.per_second.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// The writer's thread over a new journal in `directory`, fed in an open loop: nanoseconds of each order from its planned
/// arrival in the writer's ring until it may be acknowledged as durable. What is wrong with the disk ends it.
pub fn acknowledgements(directory: &Path, offered: Offered) -> Result<Histogram<u64>, JournalError> {
    let disk = Disk::new(directory);
    let settings =
        Settings::server(SEGMENT_BYTES_DEFAULT, Arc::default()).map_err(|source| JournalError::Io {
            action: "make a journal id for",
            path: disk.path(""),
            source,
        })?;
    let opened = open(disk.clone(), &settings, Seq::new(0), |_| {})?;
    let progress = Arc::new(Progress::new(Ack::Durable, Seq::new(0), Arc::default()));
    let (mut producer, entries) = rtrb::RingBuffer::new(RING);
    let recorded = Arc::new(Mutex::new((histogram(), 0)));
    let start = Instant::now() + Duration::from_millis(100);
    let released = {
        let (progress, recorded) = (Arc::clone(&progress), Arc::clone(&recorded));
        move || {
            let elapsed = start.elapsed();
            let mut recorded = recorded.lock().unwrap_or_else(PoisonError::into_inner);
            let (histogram, last) = &mut *recorded;
            for order in *last + 1..=progress.durable() {
                histogram.saturating_record(nanos(elapsed.saturating_sub(offered.planned(order))));
            }
            *last = progress.durable();
        }
    };
    let writer = Writer::new(opened, entries, Arc::clone(&progress), Box::new(released));
    let writer = std::thread::spawn(move || writer::run(writer));
    for order in 1..=u64::from(offered.orders) {
        wait_until(start + offered.planned(order));
        if offered.nudge {
            progress.nudge_writer();
        }
        let mut entry = JournalEntry::Command {
            command: sample_order(order),
            urgent: true,
        };
        while let Err(rtrb::PushError::Full(back)) = producer.push(entry) {
            if progress.is_ended() {
                break;
            }
            entry = back;
            std::thread::yield_now();
        }
    }
    drop(producer);
    writer.join().expect("the writer's thread does not panic")?;
    let recorded = recorded.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(
        recorded.0.len(),
        u64::from(offered.orders),
        "every order is acknowledged"
    );
    Ok(recorded.0.clone())
}

/// Sleeps while there is time for it; the rest is given to other threads.
fn wait_until(instant: Instant) {
    loop {
        let left = instant.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        match left.checked_sub(SLEEP_SLACK) {
            Some(sleep) => std::thread::sleep(sleep),
            None => std::thread::yield_now(),
        }
    }
}

/// Reads and decodes a whole journal and folds nothing: the floor of a recovery. Returns the records and the time.
pub fn recovery(directory: &Path) -> Result<(u64, Duration), JournalError> {
    let start = Instant::now();
    let walked = walk(&Disk::new(directory), Seq::new(0), |command| {
        std::hint::black_box(command);
        ControlFlow::Continue(())
    })?;
    Ok((walked.map_or(0, |walked| walked.records), start.elapsed()))
}

fn histogram() -> Histogram<u64> {
    // One minute is longer than any sync that is worth a digit.
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("constant bounds are valid")
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_load_is_measured_and_checked() {
        let directory = tempfile::tempdir().unwrap();
        let load = Load { batch: 7, batches: 5 };
        let measured = journal(directory.path(), load).unwrap();
        assert_eq!((measured.records, measured.batch_ns.len()), (35, 5));
        assert_eq!(measured.bytes, 5 * BLOCK_BYTES);
        assert!(measured.records_per_second() > 0);
        assert_eq!(recovery(directory.path()).unwrap().0, 35);
        let bare = bare(directory.path(), load, measured.bytes / 5).unwrap();
        assert_eq!((bare.records, bare.bytes), (35, measured.bytes));
    }

    #[test]
    fn every_order_is_acknowledged_and_counted() {
        for nudge in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let offered = Offered {
                per_second: 2_000,
                orders: 50,
                nudge,
            };
            assert_eq!(acknowledgements(directory.path(), offered).unwrap().len(), 50);
            assert_eq!(recovery(directory.path()).unwrap().0, 50);
        }
    }
}
