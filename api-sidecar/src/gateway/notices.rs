//! What other threads have to tell the operators: it goes to the engine like any command, so that every consumer of the
//! journal has it, and from there to all who are connected.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use engine::Notice;

use super::doorbell::Doorbell;
use crate::limits::NOTICES_MAX;

/// Takes notices from any thread.
#[derive(Clone, Debug)]
pub struct Notices {
    shared: Arc<Shared>,
    doorbell: Doorbell,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<VecDeque<Notice>>,
    /// Whether there may be something in the queue.
    waiting: AtomicBool,
}

impl Notices {
    pub(crate) fn new(doorbell: Doorbell) -> Notices {
        Notices {
            shared: Arc::default(),
            doorbell,
        }
    }

    /// Has a notice told. Of more than [`NOTICES_MAX`] that the engine has not taken the oldest stay: each is raised at
    /// the beginning of a trouble only.
    pub fn raise(&self, notice: Notice) {
        let mut queue = self.queue();
        if queue.len() < NOTICES_MAX {
            queue.push_back(notice);
        } else {
            tracing::error!(?notice, "too many notices wait: this one is only here");
        }
        drop(queue);
        self.shared.waiting.store(true, Ordering::Release);
        self.doorbell.ring();
    }

    pub(crate) fn has_next(&self) -> bool {
        self.shared.waiting.load(Ordering::Acquire)
    }

    /// Gives the notices to `submit`, as long as it takes them.
    pub(crate) fn drain(&self, mut submit: impl FnMut(&Notice) -> bool) {
        self.shared.waiting.store(false, Ordering::Release);
        let mut queue = self.queue();
        while let Some(notice) = queue.front() {
            if !submit(notice) {
                // The engine is busy, or not there yet.
                self.shared.waiting.store(true, Ordering::Release);
                return;
            }
            queue.pop_front();
        }
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, VecDeque<Notice>> {
        self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
