//! How the tables stand, for health, metrics and reports.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use engine::Timestamp;

use super::store::Written;

/// What the projector is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Folding what the tables hold already.
    Starting,
    /// Far behind the journal.
    CatchingUp,
    Live,
    /// The database does not answer as it should; tried again.
    Unavailable,
    /// The tables are not this journal's; nothing is written.
    Refused,
    /// Another process has taken the tables over.
    Fenced,
}

impl State {
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Starting => "starting",
            State::CatchingUp => "catching_up",
            State::Live => "live",
            State::Unavailable => "unavailable",
            State::Refused => "refused",
            State::Fenced => "fenced",
        }
    }

    /// Whether rows are on their way.
    pub const fn is_working(self) -> bool {
        matches!(self, State::Starting | State::CatchingUp | State::Live)
    }
}

/// Written by the projector's thread, read by any.
#[derive(Debug)]
pub struct ProjectorStatus {
    backend: &'static str,
    state: Mutex<(State, String)>,
    written: AtomicU64,
    pending_since: AtomicU64,
    rows: AtomicU64,
    dead_letters: AtomicU64,
    conflicts: AtomicU64,
}

impl ProjectorStatus {
    pub fn new(backend: &'static str) -> ProjectorStatus {
        ProjectorStatus {
            backend,
            state: Mutex::new((State::Starting, String::new())),
            written: AtomicU64::new(0),
            pending_since: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            dead_letters: AtomicU64::new(0),
            conflicts: AtomicU64::new(0),
        }
    }

    /// `sqlite` or `postgres`.
    pub fn backend(&self) -> &'static str {
        self.backend
    }

    /// The state, and why where it is not working (empty otherwise). Never holds a credential.
    pub fn state(&self) -> (State, String) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The tables hold every row of the commands up to this one.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Time of the first command whose rows are missing, as far as it is known; else when that was noticed.
    pub fn pending_since(&self) -> Option<Timestamp> {
        let nanos = self.pending_since.load(Ordering::Acquire);
        (nanos > 0).then(|| Timestamp::from_nanos(nanos))
    }

    /// Age of the oldest command whose rows are missing, at `now` by the wall clock; `None` where that is not known.
    pub fn lag(&self, now: Timestamp) -> Option<Duration> {
        let since = self.pending_since()?;
        Some(Duration::from_nanos(now.saturating_since(since)))
    }

    /// Rows written since the process started, by this process.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Rows that the database refused for what they hold, since the process started.
    pub fn dead_letters(&self) -> u64 {
        self.dead_letters.load(Ordering::Relaxed)
    }

    /// Rows that must never change and stood there with other content, since the process started.
    pub fn conflicts(&self) -> u64 {
        self.conflicts.load(Ordering::Relaxed)
    }

    /// Returns whether the state is another than before.
    pub(crate) fn enter(&self, state: State, reason: &str) -> bool {
        let mut current = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if current.0 == state && current.1 == reason {
            return false;
        }
        *current = (state, reason.to_owned());
        true
    }

    pub(crate) fn stands_at(&self, seq: u64, pending_since: Option<Timestamp>) {
        let nanos = pending_since.map_or(0, Timestamp::nanos);
        self.pending_since.store(nanos, Ordering::Release);
        self.written.store(seq, Ordering::Release);
    }

    /// Rows are missing, at least since `now`. An earlier time that is known stays.
    pub(crate) fn waits_since(&self, now: Timestamp) {
        // Whoever else writes it is the same thread.
        if self.pending_since().is_none() {
            self.pending_since.store(now.nanos(), Ordering::Release);
        }
    }

    pub(crate) fn count(&self, written: &Written) {
        self.rows.fetch_add(written.rows, Ordering::Relaxed);
        self.dead_letters
            .fetch_add(written.dead_letters, Ordering::Relaxed);
        self.conflicts.fetch_add(written.conflicts, Ordering::Relaxed);
    }
}
