//! When snapshots are taken, and the thread that writes them.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use engine::Seq;

use crate::journal::Storage;
use crate::limits::{SNAPSHOT_COMMANDS, SNAPSHOT_DURABLE_TIMEOUT, SNAPSHOT_INTERVAL_MIN};
use crate::progress::Progress;
use crate::snapshot::{self, Place};

/// Says where the slowest consumer of the journal is (a sequence number): the newest snapshot that it could start from is
/// kept.
pub type Consumed = Box<dyn Fn() -> u64 + Send>;

struct Job {
    place: Place,
    model: Vec<u8>,
}

/// Hands copies of the state to a thread named `snapshots`. Dropping it waits until the last is written.
pub(super) struct Snapshots {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    last: Seq,
    last_at: Instant,
}

impl Snapshots {
    /// `at` is where the model stands now.
    pub(super) fn start<S: Storage>(
        storage: S,
        at: Seq,
        consumed: Consumed,
        progress: Arc<Progress>,
    ) -> std::io::Result<Snapshots> {
        // One may wait while another is written: what the end of a server takes is never left out.
        let (jobs, queue) = sync_channel(1);
        let newest = snapshot::list(&storage)
            .ok()
            .and_then(|found| found.first().copied());
        let thread = std::thread::Builder::new()
            .name("snapshots".into())
            .spawn(move || write_all(&storage, &queue, &consumed, &progress))?;
        Ok(Snapshots {
            jobs: Some(jobs),
            thread: Some(thread),
            // A snapshot beyond the journal is none.
            last: newest.filter(|&seq| seq <= at).unwrap_or_default(),
            last_at: Instant::now(),
        })
    }

    pub(super) fn is_due(&self, seq: Seq) -> bool {
        seq.get().saturating_sub(self.last.get()) >= SNAPSHOT_COMMANDS
            && self.last_at.elapsed() >= SNAPSHOT_INTERVAL_MIN
    }

    /// Whether there is none of this place yet.
    pub(super) fn lacks(&self, seq: Seq) -> bool {
        seq > self.last
    }

    pub(super) fn take(&mut self, place: Place, model: impl FnOnce() -> Vec<u8>) {
        self.last = place.seq;
        self.last_at = Instant::now();
        if let Some(jobs) = &self.jobs {
            // It only fails if the thread panicked, which has been reported by then.
            jobs.send(Job {
                place,
                model: model(),
            })
            .ok();
        }
    }
}

impl Drop for Snapshots {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn write_all<S: Storage>(storage: &S, queue: &Receiver<Job>, consumed: &Consumed, progress: &Progress) {
    for Job { place, model } in queue {
        // With `ack = memory` the replica may be ahead of what survives a power cut; a snapshot must not be.
        let before = place.seq.get().saturating_sub(1);
        if progress.wait_durable_beyond(before, SNAPSHOT_DURABLE_TIMEOUT) < place.seq.get() {
            tracing::warn!(
                seq = place.seq.get(),
                "no snapshot: the journal is not durable up to it"
            );
            continue;
        }
        let started = Instant::now();
        let consumed = Seq::new(consumed());
        let written =
            snapshot::write(storage, &place, &model).and_then(|()| snapshot::prune(storage, consumed));
        match written {
            Ok(()) => tracing::info!(
                seq = place.seq.get(),
                bytes = model.len(),
                elapsed_ms = started.elapsed().as_millis(),
                "snapshot written"
            ),
            Err(error) => tracing::warn!(%error, "no snapshot"),
        }
    }
}
