//! `pinion bench ring`: what it costs to hand something from one thread to another over the rings that Pinion uses.

use std::fmt;
use std::thread;
use std::time::Instant;

use clap::Args;
use engine::lane::Outbound;
use engine::{Seq, Timestamp};
use rtrb::{Consumer, Producer, RingBuffer};
use serde_json::{Value, json};

use super::latency::Latency;
use crate::config::Wait;
use crate::engine_thread::rest;
use crate::limits::OUTBOUND_RING;

#[derive(Args, Clone, Debug)]
#[command(args_override_self = true)]
pub struct RingBenchArgs {
    /// Items handed over, one at a time and in a stream, published singly and in batches.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1_000..=100_000_000))]
    pub items: u32,
    /// How both threads wait: busy-spin, yield or park.
    #[arg(long, value_name = "STRATEGY", default_value = "yield")]
    pub wait: Wait,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Why there is no figure to report.
#[derive(Debug, thiserror::Error)]
pub enum RingBenchError {
    #[error("wrong result, so no time: {found} of {expected} items arrived in order")]
    WrongResult { found: u64, expected: u64 },
}

/// Items written with one publication.
const BATCHES: [usize; 4] = [1, 4, 16, 64];

/// Nanoseconds for all items where they are published in batches of a size.
#[derive(Clone, Copy, Debug)]
struct Batch {
    size: usize,
    publish_ns: u128,
    stream_ns: u128,
}

#[derive(Clone, Debug)]
pub struct RingReport {
    items: u32,
    wait: Wait,
    /// There and back, one item under way.
    round_trip: Latency,
    empty: Latency,
    /// By batch size: what publishing costs the producer's thread, and all items in one direction across threads.
    batches: [Batch; BATCHES.len()],
}

/// An item of the engine's output; its `seq` is its number.
fn item(number: u64) -> Outbound {
    Outbound::Begin {
        seq: Seq::new(number),
        time: Timestamp::ZERO,
        token: Some(number),
        dequeued: 0,
    }
}

fn number(item: &Outbound) -> u64 {
    match item {
        Outbound::Begin { seq, .. } => seq.get(),
        _ => 0,
    }
}

/// Measures all ways of use.
///
/// # Errors
/// Where an item was lost or came out of order.
pub fn run(args: &RingBenchArgs) -> Result<RingReport, RingBenchError> {
    let round_trip = round_trips(args)?;
    let mut batches = BATCHES.map(|size| Batch {
        size,
        publish_ns: 0,
        stream_ns: 0,
    });
    for batch in &mut batches {
        batch.publish_ns = publish(args, batch.size)?;
        batch.stream_ns = stream(args, batch.size)?;
    }
    Ok(RingReport {
        items: args.items,
        wait: args.wait,
        round_trip,
        empty: Latency::of_nothing(args.items as usize),
        batches,
    })
}

fn round_trips(args: &RingBenchArgs) -> Result<Latency, RingBenchError> {
    let (mut there, far) = RingBuffer::<Outbound>::new(OUTBOUND_RING);
    let (back, mut near) = RingBuffer::<Outbound>::new(OUTBOUND_RING);
    let wait = args.wait;
    let echo = thread::spawn(move || echo(far, back, wait));
    let wrong = |found| RingBenchError::WrongResult {
        found,
        expected: u64::from(args.items),
    };
    let measured = Latency::measure(args.items as usize, |index| {
        let sent = index as u64;
        let pushed = there.push(item(sent)).is_ok();
        match take(&mut near, wait) {
            Some(item) if pushed && number(&item) == sent => Ok(()),
            _ => Err(wrong(sent)),
        }
    });
    drop(there);
    drop(near);
    echo.join().expect("the echo does not panic");
    measured
}

fn echo(mut far: Consumer<Outbound>, mut back: Producer<Outbound>, wait: Wait) {
    while let Some(item) = take(&mut far, wait) {
        if back.push(item).is_err() {
            return;
        }
    }
}

/// The next item; `None` once the other end is gone.
fn take(ring: &mut Consumer<Outbound>, wait: Wait) -> Option<Outbound> {
    let mut idle = 0;
    loop {
        if let Ok(item) = ring.pop() {
            return Some(item);
        }
        if ring.is_abandoned() && ring.is_empty() {
            return None;
        }
        idle += 1;
        rest(wait, idle);
    }
}

/// Writes the items from `first` on, at most `size` of them with one publication; `false` where they do not fit now.
#[inline(always)]
fn write(producer: &mut Producer<Outbound>, first: u64, size: usize) -> bool {
    match producer.write_chunk_uninit(size) {
        Ok(chunk) => {
            chunk.fill_from_iter((first..).map(item));
            true
        }
        Err(_) => false,
    }
}

/// Both ends on this thread: the ring is filled, which is timed, and emptied, which is not.
fn publish(args: &RingBenchArgs, size: usize) -> Result<u128, RingBenchError> {
    let (mut producer, mut consumer) = RingBuffer::<Outbound>::new(OUTBOUND_RING);
    let items = u64::from(args.items);
    let (mut sent, mut found, mut elapsed_ns) = (0, 0, 0);
    while sent < items {
        let start = Instant::now();
        while sent < items {
            let count = size.min(usize::try_from(items - sent).unwrap_or(size));
            if !write(&mut producer, sent, count) {
                break;
            }
            sent += count as u64;
        }
        elapsed_ns += start.elapsed().as_nanos();
        while let Ok(item) = consumer.pop() {
            found += u64::from(number(&item) == found);
        }
    }
    match found == items {
        true => Ok(elapsed_ns),
        false => Err(RingBenchError::WrongResult {
            found,
            expected: items,
        }),
    }
}

fn stream(args: &RingBenchArgs, size: usize) -> Result<u128, RingBenchError> {
    let (mut producer, mut consumer) = RingBuffer::<Outbound>::new(OUTBOUND_RING);
    let wait = args.wait;
    let reader = thread::spawn(move || {
        let mut expected = 0;
        while let Some(item) = take(&mut consumer, wait) {
            if number(&item) != expected {
                break;
            }
            expected += 1;
        }
        expected
    });
    let items = u64::from(args.items);
    let start = Instant::now();
    let mut sent = 0;
    while sent < items {
        let count = size.min(usize::try_from(items - sent).unwrap_or(size));
        let mut idle = 0;
        while !write(&mut producer, sent, count) && !producer.is_abandoned() {
            idle += 1;
            rest(wait, idle);
        }
        sent += count as u64;
    }
    drop(producer);
    let found = reader.join().expect("the reader does not panic");
    let elapsed = start.elapsed();
    if found == items {
        Ok(elapsed.as_nanos())
    } else {
        Err(RingBenchError::WrongResult {
            found,
            expected: items,
        })
    }
}

impl RingReport {
    pub fn json(&self) -> Value {
        json!({
            "benchmark": "ring",
            "items": self.items,
            "item_bytes": size_of::<Outbound>(),
            "wait": self.wait.as_str(),
            "round_trip_p50_ns": self.round_trip.p50(),
            "round_trip_p99_ns": self.round_trip.p99(),
            "round_trip_p999_ns": self.round_trip.p999(),
            "round_trip_max_ns": self.round_trip.max(),
            "empty_p50_ns": self.empty.p50(),
            "empty_p99_ns": self.empty.p99(),
            "batches": self.batches.iter().map(|batch| json!({
                "items": batch.size,
                "publish_ns_per_item": self.per_item(batch.publish_ns),
                "stream_ns_per_item": self.per_item(batch.stream_ns),
            })).collect::<Vec<_>>(),
        })
    }

    fn per_item(&self, elapsed_ns: u128) -> u64 {
        u64::try_from(elapsed_ns / u128::from(self.items)).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for RingReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = size_of::<Outbound>();
        writeln!(
            f,
            "{} items of {bytes} bytes, both threads wait by {}",
            self.items,
            self.wait.as_str()
        )?;
        for (name, of) in [("round trip", &self.round_trip), ("empty", &self.empty)] {
            let (p50, p99, p999, max) = (of.p50(), of.p99(), of.p999(), of.max());
            writeln!(
                f,
                "{name:10} p50 {p50} ns, p99 {p99} ns, p99.9 {p999} ns, max {max} ns"
            )?;
        }
        for batch in &self.batches {
            writeln!(
                f,
                "batches of {:2}: {:3} ns an item to publish, {:3} ns an item across threads",
                batch.size,
                self.per_item(batch.publish_ns),
                self.per_item(batch.stream_ns)
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_arrives() {
        let args = RingBenchArgs {
            items: 5_000,
            wait: Wait::Yield,
            json: true,
        };
        let report = run(&args).expect("nothing is lost");
        let json = report.json();
        assert_eq!(json["items"], 5_000);
        assert_eq!(json["batches"].as_array().map(Vec::len), Some(BATCHES.len()));
        assert!(json["round_trip_p50_ns"].as_u64() > Some(0));
    }
}
