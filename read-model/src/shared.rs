//! One writer, many readers, and a way to wait for a position of the journal.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard};
use std::thread;
use std::time::Duration;

use engine::Seq;

use crate::limits::READER_YIELDS;
use crate::model::ReadModel;

/// A [`ReadModel`] that one thread folds and others read.
///
/// A panic inside the fold is a bug of the engine; every later access then panics too rather than serve torn state.
#[derive(Debug)]
pub struct SharedReadModel {
    model: RwLock<ReadModel>,
    /// Readers between asking for the lock and having it.
    arriving: AtomicUsize,
    folded: Mutex<Seq>,
    advanced: Condvar,
}

impl SharedReadModel {
    pub fn new(model: ReadModel) -> SharedReadModel {
        SharedReadModel {
            folded: Mutex::new(model.seq()),
            model: RwLock::new(model),
            arriving: AtomicUsize::new(0),
            advanced: Condvar::new(),
        }
    }

    /// Folds under the write lock, then wakes everyone who waits for a position that is now reached. Keep `fold` short
    /// (a few hundred commands): readers wait for it.
    pub fn advance(&self, fold: impl FnOnce(&mut ReadModel)) {
        for _ in 0..READER_YIELDS {
            if self.arriving.load(Ordering::Acquire) == 0 {
                break;
            }
            thread::yield_now();
        }
        let seq = {
            let mut model = self.model.write().expect("a fold never panics");
            fold(&mut model);
            model.seq()
        };
        *self.position() = seq;
        self.advanced.notify_all();
    }

    /// The model as far as it is folded. The fold stands still while the guard lives.
    pub fn read(&self) -> RwLockReadGuard<'_, ReadModel> {
        self.arriving.fetch_add(1, Ordering::AcqRel);
        let guard = self.model.read();
        self.arriving.fetch_sub(1, Ordering::AcqRel);
        guard.expect("a fold never panics")
    }

    /// The model once it has folded `seq`; `None` where that takes longer than `timeout`.
    pub fn read_at(&self, seq: Seq, timeout: Duration) -> Option<RwLockReadGuard<'_, ReadModel>> {
        let position = self.position();
        let (position, _) = self
            .advanced
            .wait_timeout_while(position, timeout, |folded| *folded < seq)
            .expect("nothing panics while it holds the position");
        if *position < seq {
            return None;
        }
        drop(position);
        Some(self.read())
    }

    /// The last position folded.
    pub fn seq(&self) -> Seq {
        *self.position()
    }

    fn position(&self) -> MutexGuard<'_, Seq> {
        self.folded
            .lock()
            .expect("nothing panics while it holds the position")
    }
}
