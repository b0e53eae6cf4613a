//! Where an order's time goes: a stamp at each border that it crosses, a histogram for each stage in between.
//!
//! ```text
//!  read ──decode──> sent ──queue──> dequeued ──decide──> decided ──journal──> released ──reply──> written
//!  gateway          gateway         engine                engine               writer              gateway
//! ```
//!
//! The stamps travel with the request and its decision, so the thread that writes the reply sees all of them and is
//! the only one that records. The engine thread reads the clock twice for a client's command, and not at all for the
//! market's.

mod report;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use engine::lane::Stamp;
use hdrhistogram::Histogram;

pub(crate) use self::report::{write_hgrm, write_json, write_metrics};
use crate::limits::{LATENCY_NS_MAX, LATENCY_SPILL_MAX};

/// The time-stamp counter of the processor where it is constant (else the monotonic clock of the system). Copies may
/// be read on any thread.
#[derive(Clone, Debug)]
pub struct StampClock(quanta::Clock);

impl Default for StampClock {
    fn default() -> StampClock {
        StampClock::new()
    }
}

impl StampClock {
    /// The first one of a process is calibrated against the system's clock, which takes up to 0.2 s.
    pub fn new() -> StampClock {
        StampClock(quanta::Clock::new())
    }

    #[inline]
    pub fn stamp(&self) -> Stamp {
        self.0.raw()
    }

    /// Nanoseconds from one stamp to another; 0 where the second is not later.
    pub fn nanos_between(&self, from: Stamp, to: Stamp) -> u64 {
        self.0.delta_as_nanos(from, to)
    }
}

/// What an order passes through. [`Stage::Total`] is all of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// From the bytes off the socket to the engine's ring: framing, authority, parsing.
    Decode,
    /// Until the engine thread takes it.
    Queue,
    /// Risk, matching, positions, events published.
    Decide,
    /// Until the journal covers it; nothing with `--ack memory`.
    Journal,
    /// Until the socket has taken the whole answer.
    Reply,
    Total,
}

impl Stage {
    pub const ALL: [Stage; 6] = [
        Stage::Decode,
        Stage::Queue,
        Stage::Decide,
        Stage::Journal,
        Stage::Reply,
        Stage::Total,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Stage::Decode => "decode",
            Stage::Queue => "queue",
            Stage::Decide => "decide",
            Stage::Journal => "journal",
            Stage::Reply => "reply",
            Stage::Total => "total",
        }
    }

    pub(crate) fn by_name(name: &str) -> Option<Stage> {
        Stage::ALL.into_iter().find(|stage| stage.as_str() == name)
    }
}

/// When one request crossed each border. `released` is `None` where no answer waits for the journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Stamps {
    pub(crate) read: Stamp,
    pub(crate) sent: Stamp,
    pub(crate) dequeued: Stamp,
    pub(crate) decided: Stamp,
    pub(crate) released: Option<Stamp>,
}

/// Nanoseconds of each stage of one request, in the order of [`Stage::ALL`]. `None`: it had no such stage.
pub(crate) type Durations = [Option<u64>; Stage::ALL.len()];

impl Stamps {
    /// `written`: when the answer was out, or is being made.
    pub(crate) fn durations(&self, clock: &StampClock, written: Stamp) -> Durations {
        let between = |from, to| Some(clock.nanos_between(from, to));
        [
            between(self.read, self.sent),
            between(self.sent, self.dequeued),
            between(self.dequeued, self.decided),
            self.released.and_then(|released| between(self.decided, released)),
            between(self.released.unwrap_or(self.decided), written),
            between(self.read, written),
        ]
    }
}

/// The histograms of a process since its start: one thread records, any may look.
#[derive(Debug)]
pub struct Latency {
    clock: StampClock,
    stages: Mutex<Recorded>,
    /// When the journal last released something; stored by whoever rings the gateway for it.
    released_at: AtomicU64,
}

/// Histograms in the order of [`Stage::ALL`], and the exact sum of each in nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    histograms: [Histogram<u64>; Stage::ALL.len()],
    sums_ns: [u64; Stage::ALL.len()],
}

impl Default for Recorded {
    fn default() -> Recorded {
        let empty = || {
            Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("the bounds are constants that it allows")
        };
        Recorded {
            histograms: std::array::from_fn(|_| empty()),
            sums_ns: [0; Stage::ALL.len()],
        }
    }
}

impl Recorded {
    fn record(&mut self, durations: &Durations) {
        let stages = self.histograms.iter_mut().zip(&mut self.sums_ns);
        for ((histogram, sum_ns), nanos) in stages.zip(durations) {
            if let Some(nanos) = *nanos {
                histogram.saturating_record(nanos);
                *sum_ns = sum_ns.saturating_add(nanos);
            }
        }
    }

    pub(crate) fn stages(&self) -> impl Iterator<Item = (Stage, &Histogram<u64>, u64)> {
        let rows = Stage::ALL.into_iter().zip(&self.histograms).zip(self.sums_ns);
        rows.map(|((stage, histogram), sum_ns)| (stage, histogram, sum_ns))
    }

    pub(crate) fn stage(&self, stage: Stage) -> &Histogram<u64> {
        let at = Stage::ALL.iter().position(|other| *other == stage);
        &self.histograms[at.expect("ALL has every stage")]
    }
}

impl Default for Latency {
    fn default() -> Latency {
        Latency::new(StampClock::new())
    }
}

impl Latency {
    pub fn new(clock: StampClock) -> Latency {
        Latency {
            clock,
            stages: Mutex::default(),
            released_at: AtomicU64::new(0),
        }
    }

    pub fn clock(&self) -> &StampClock {
        &self.clock
    }

    /// To be called by the writer's thread after each advance of the released position.
    pub fn note_release(&self) {
        self.released_at.store(self.clock.stamp(), Ordering::Release);
    }

    /// When something decided at `decided` was released: the stamp of the last release. It may be that of a later
    /// batch, and is the present where the release was seen before its stamp.
    pub(crate) fn released_after(&self, decided: Stamp) -> Stamp {
        let stamp = self.released_at.load(Ordering::Acquire);
        if stamp >= decided {
            stamp
        } else {
            self.clock.stamp()
        }
    }

    /// What was recorded so far. The recording thread is not held up.
    pub(crate) fn snapshot(&self) -> Recorded {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The recording end. It never waits for a reader: what cannot be recorded now is kept aside.
#[derive(Debug)]
pub(crate) struct Recorder {
    shared: Arc<Latency>,
    spill: Vec<Durations>,
}

impl Recorder {
    pub(crate) fn new(shared: Arc<Latency>) -> Recorder {
        Recorder {
            shared,
            spill: Vec::with_capacity(LATENCY_SPILL_MAX),
        }
    }

    pub(crate) fn shared(&self) -> &Latency {
        &self.shared
    }

    /// Records requests whose answers are out, and forgets them.
    pub(crate) fn record(&mut self, written: &mut Vec<Stamps>) {
        let now = self.shared.clock.stamp();
        let mut stages = match self.shared.stages.try_lock() {
            Ok(stages) => Some(stages),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        if let Some(stages) = &mut stages {
            for durations in self.spill.drain(..) {
                stages.record(&durations);
            }
        }
        for stamps in written.drain(..) {
            let durations = stamps.durations(&self.shared.clock, now);
            match &mut stages {
                Some(stages) => stages.record(&durations),
                // A reader copies for some 100 µs; more requests than this do not end in that time.
                None if self.spill.len() < LATENCY_SPILL_MAX => self.spill.push(durations),
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_follow_each_other_and_add_up() {
        let clock = StampClock::new();
        let mut stamps = Stamps {
            read: 1_000_000,
            sent: 2_000_000,
            dequeued: 4_000_000,
            decided: 7_000_000,
            released: Some(11_000_000),
        };
        let [decode, queue, decide, journal, reply, total] = stamps.durations(&clock, 16_000_000);
        let parts: u64 = [decode, queue, decide, journal, reply].iter().flatten().sum();
        // Each conversion rounds down by less than one.
        assert!(total.is_some_and(|total| total.abs_diff(parts) < 5));
        assert!(decode < queue && queue < decide && decide < journal && journal < reply);
        stamps.released = None;
        let [.., journal, without, _] = stamps.durations(&clock, 16_000_000);
        assert_eq!(journal, None);
        assert!(without > reply);
    }

    #[test]
    fn a_reader_does_not_lose_what_is_recorded_meanwhile() {
        let shared = Arc::new(Latency::default());
        let mut recorder = Recorder::new(Arc::clone(&shared));
        let stamps = Stamps::default();
        let reader = shared.stages.lock().unwrap();
        recorder.record(&mut vec![stamps; 3]);
        drop(reader);
        assert_eq!(shared.snapshot().stage(Stage::Total).len(), 0);
        recorder.record(&mut vec![stamps]);
        let recorded = shared.snapshot();
        assert_eq!(recorded.stage(Stage::Total).len(), 4);
        assert_eq!(recorded.stage(Stage::Journal).len(), 0);
    }

    #[test]
    fn a_release_is_never_before_its_decision() {
        let latency = Latency::default();
        latency.note_release();
        let before = latency.clock.stamp();
        assert!(latency.released_after(before) >= before);
        latency.note_release();
        let noted = latency.released_after(before);
        assert_eq!(latency.released_after(before), noted);
    }
}
