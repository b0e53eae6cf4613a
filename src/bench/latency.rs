//! Time of single commands, by the processor's time-stamp counter, and what the process holds in memory.

use std::fs;
use std::hint::black_box;

use hdrhistogram::Histogram;
use quanta::Clock;

/// Nanoseconds of single commands.
#[derive(Clone, Debug)]
pub struct Latency(Histogram<u64>);

/// Longest time that is told apart: 100 s.
const HIGHEST_NS: u64 = 100_000_000_000;

impl Latency {
    /// Runs `step` for each index and times it alone. Reading the counter twice is part of every figure: see
    /// [`Latency::of_nothing`].
    ///
    /// # Errors
    /// The first that `step` returns.
    pub fn measure<E>(count: usize, mut step: impl FnMut(usize) -> Result<(), E>) -> Result<Latency, E> {
        let mut stopwatch = Stopwatch::new(count);
        for index in 0..count {
            stopwatch.time(|| step(index))?;
        }
        Ok(stopwatch.finish())
    }

    /// The same loop with nothing in it: what the counter and the machine add to each figure.
    pub fn of_nothing(count: usize) -> Latency {
        let measured = Latency::measure::<std::convert::Infallible>(count, |index| {
            black_box(index);
            Ok(())
        });
        match measured {
            Ok(latency) => latency,
            Err(never) => match never {},
        }
    }

    /// Median, in nanoseconds.
    pub fn p50(&self) -> u64 {
        self.0.value_at_quantile(0.5)
    }

    pub fn p99(&self) -> u64 {
        self.0.value_at_quantile(0.99)
    }

    pub fn p999(&self) -> u64 {
        self.0.value_at_quantile(0.999)
    }

    pub fn max(&self) -> u64 {
        self.0.max()
    }

    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Steps that took longer.
    pub fn count_above(&self, ns: u64) -> u64 {
        self.0.count_between(ns.saturating_add(1), u64::MAX)
    }
}

/// Times single steps, with whatever has to be done between them.
#[derive(Debug)]
pub struct Stopwatch {
    clock: Clock,
    /// Recorded at the end, so that the histogram's memory is not in the cache instead of the engine's.
    ticks: Vec<u64>,
}

impl Stopwatch {
    /// For about `count` steps.
    pub fn new(count: usize) -> Stopwatch {
        Stopwatch {
            clock: Clock::new(),
            ticks: Vec::with_capacity(count),
        }
    }

    #[inline(always)]
    pub fn time<R>(&mut self, step: impl FnOnce() -> R) -> R {
        let start = self.clock.raw();
        let result = step();
        let end = self.clock.raw();
        self.ticks.push(end.saturating_sub(start));
        result
    }

    pub fn finish(self) -> Latency {
        self.of_steps(|_| true)
    }

    /// Of the steps that are `chosen` by their number.
    pub fn of_steps(&self, chosen: impl Fn(usize) -> bool) -> Latency {
        let mut histogram = Histogram::new_with_bounds(1, HIGHEST_NS, 3).expect("the bounds are valid");
        for (_, &ticks) in self.ticks.iter().enumerate().filter(|(step, _)| chosen(*step)) {
            histogram.saturating_record(self.clock.delta_as_nanos(0, ticks));
        }
        Latency(histogram)
    }
}

/// Bytes of this process in memory; 0 where the system does not say.
pub fn rss_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1_024
}
