//! How far the journal is, for everyone who waits for it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use engine::Seq;

/// When an answer may leave the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ack {
    /// When the journal is synced up to it.
    Durable,
    /// At once.
    Memory,
}

/// Positions of the journal's writer. One thread advances them; any number read them or sleep until they move.
/// Positions are sequence numbers.
#[derive(Debug)]
pub struct Progress {
    ack: Ack,
    written: AtomicU64,
    durable: AtomicU64,
    released: Arc<AtomicU64>,
    disk_low: Arc<AtomicBool>,
    ended: AtomicBool,
    failed: AtomicBool,
    failure: OnceLock<String>,
    /// Positions have moved, and sleepers do not know it yet.
    moved: AtomicBool,
    /// Taken by sleepers from their last look until they sleep, and by the writer after every advance.
    gate: Mutex<()>,
    advanced: Condvar,
    writer: OnceLock<Thread>,
    writer_asleep: AtomicBool,
}

impl Progress {
    /// `recovered` is the last record of the journal as it was opened, which is durable. `disk_low` is the flag that
    /// was given to [`crate::journal::SpareSegments::Ahead`].
    pub fn new(ack: Ack, recovered: Seq, disk_low: Arc<AtomicBool>) -> Progress {
        let seq = recovered.get();
        Progress {
            ack,
            written: AtomicU64::new(seq),
            durable: AtomicU64::new(seq),
            released: Arc::new(AtomicU64::new(match ack {
                Ack::Durable => seq,
                Ack::Memory => u64::MAX,
            })),
            disk_low,
            ended: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            failure: OnceLock::new(),
            moved: AtomicBool::new(false),
            gate: Mutex::new(()),
            advanced: Condvar::new(),
            writer: OnceLock::new(),
            writer_asleep: AtomicBool::new(false),
        }
    }

    pub fn ack(&self) -> Ack {
        self.ack
    }

    /// Up to here records are in the file: a tailer can read them.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Up to here records survive a power cut.
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Up to here readers of this process may look: the durable position, or with [`Ack::Memory`] the written one.
    pub fn readable(&self) -> u64 {
        match self.ack {
            Ack::Durable => self.durable(),
            Ack::Memory => self.written(),
        }
    }

    /// Up to here answers and events may leave the process: the durable position, or with [`Ack::Memory`]
    /// `u64::MAX` for as long as the journal works.
    pub fn released(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.released)
    }

    /// Raised while the disk's free space is below the reserve: new orders are to be refused.
    pub fn disk_low(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.disk_low)
    }

    /// Whether a write or a sync has failed. No position moves after that.
    pub fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Why the journal failed, if it did.
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Whether the writer has finished or failed: no position will move any more.
    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Sleeps until the durable position is beyond `seq`, the writer has ended, or `timeout` has passed. Returns the
    /// durable position.
    pub fn wait_durable_beyond(&self, seq: u64, timeout: Duration) -> u64 {
        self.wait(|| self.durable(), seq, timeout)
    }

    /// As [`Progress::wait_durable_beyond`] for the written position.
    pub fn wait_written_beyond(&self, seq: u64, timeout: Duration) -> u64 {
        self.wait(|| self.written(), seq, timeout)
    }

    /// As [`Progress::wait_durable_beyond`] for the readable position.
    pub fn wait_readable_beyond(&self, seq: u64, timeout: Duration) -> u64 {
        self.wait(|| self.readable(), seq, timeout)
    }

    /// Wakes the writer if it sleeps, so that it is awake when the entry arrives that the caller expects. Costs an
    /// atomic load where the writer is awake. Not for the engine thread: it is a system call otherwise.
    pub fn nudge_writer(&self) {
        if self.writer_asleep.load(Ordering::Acquire)
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }

    fn wait(&self, position: impl Fn() -> u64, seq: u64, timeout: Duration) -> u64 {
        if position() > seq {
            return position();
        }
        let gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let asleep = |_: &mut ()| position() <= seq && !self.is_ended();
        let waited = self.advanced.wait_timeout_while(gate, timeout, asleep);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        position()
    }

    fn wake_all(&self) {
        drop(self.gate.lock().unwrap_or_else(PoisonError::into_inner));
        self.advanced.notify_all();
    }

    /// Wakes whoever sleeps until a position moves, where one has moved since the last call.
    pub(crate) fn wake_sleepers(&self) {
        if self.moved.swap(false, Ordering::AcqRel) {
            self.wake_all();
        }
    }

    /// Publishes new positions, and wakes nobody: that is for [`Progress::wake_sleepers`]. Returns whether answers may
    /// now leave that could not before (with [`Ack::Memory`]: whether anything moved).
    pub(crate) fn advance(&self, written: Seq, durable: Seq) -> bool {
        let (written, durable) = (written.get(), durable.get());
        let wrote = self.written.load(Ordering::Relaxed) < written;
        let synced = self.durable.load(Ordering::Relaxed) < durable;
        if !wrote && !synced {
            return false;
        }
        self.written.store(written, Ordering::Release);
        self.durable.store(durable, Ordering::Release);
        if self.ack == Ack::Durable {
            self.released.store(durable, Ordering::Release);
        }
        self.moved.store(true, Ordering::Release);
        synced || self.ack == Ack::Memory
    }

    /// Nothing moves any more, because everything is durable.
    pub(crate) fn finish(&self) {
        self.ended.store(true, Ordering::Release);
        self.wake_all();
    }

    /// Nothing moves any more, because the journal has failed. What is not durable stays unanswered.
    pub(crate) fn fail(&self, why: &str) {
        // The first reason stands.
        self.failure.set(why.into()).ok();
        self.released.store(self.durable(), Ordering::Release);
        self.failed.store(true, Ordering::Release);
        self.finish();
    }

    /// Names the thread that [`Progress::nudge_writer`] wakes.
    pub(crate) fn register_writer(&self, thread: Thread) {
        self.writer.set(thread).ok();
    }

    /// Parks the writer for at most `time`, unless `has_work` says that it must not.
    pub(crate) fn park_writer(&self, time: Duration, has_work: impl FnOnce() -> bool) {
        self.writer_asleep.store(true, Ordering::Release);
        if !has_work() {
            std::thread::park_timeout(time);
        }
        self.writer_asleep.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(ack: Ack) -> Progress {
        Progress::new(ack, Seq::new(5), Arc::default())
    }

    #[test]
    fn sleepers_wake_when_the_position_moves_beyond_theirs() {
        let progress = Arc::new(progress(Ack::Durable));
        let sleeper = Arc::clone(&progress);
        let thread = std::thread::spawn(move || sleeper.wait_durable_beyond(6, Duration::from_secs(60)));
        for durable in [6, 8] {
            progress.advance(Seq::new(9), Seq::new(durable));
            progress.wake_sleepers();
        }
        assert_eq!(thread.join().unwrap(), 8);
        assert_eq!(
            (progress.written(), progress.durable(), progress.readable()),
            (9, 8, 8)
        );
    }

    #[test]
    fn an_end_wakes_everyone() {
        let progress = Arc::new(progress(Ack::Durable));
        let sleeper = Arc::clone(&progress);
        let thread = std::thread::spawn(move || sleeper.wait_written_beyond(5, Duration::from_secs(60)));
        progress.fail("no disk");
        assert_eq!(thread.join().unwrap(), 5);
        assert_eq!(progress.failure(), Some("no disk"));
        assert!(progress.is_failed() && progress.is_ended());
    }

    #[test]
    fn released_is_what_may_leave() {
        let durable = progress(Ack::Durable);
        assert!(!durable.advance(Seq::new(7), Seq::new(5)));
        assert_eq!(durable.released().load(Ordering::Relaxed), 5);
        assert!(durable.advance(Seq::new(7), Seq::new(7)));
        assert_eq!(durable.released().load(Ordering::Relaxed), 7);
        assert!(!durable.advance(Seq::new(7), Seq::new(7)));

        let memory = progress(Ack::Memory);
        assert!(memory.advance(Seq::new(7), Seq::new(5)));
        assert_eq!(memory.released().load(Ordering::Relaxed), u64::MAX);
        assert_eq!(memory.readable(), 7);
        memory.fail("no disk");
        assert_eq!(memory.released().load(Ordering::Relaxed), 5);
    }
}
