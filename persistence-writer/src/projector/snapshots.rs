//! Snapshots of the tables' fold: files like those of the read model ([`crate::snapshot`]), in a folder of their own.
//!
//! One is taken of what is committed, never of more. So the tables, unless they are older than that, can be followed
//! without the journal's beginning: what `pinion archive prune` asks for.

use std::time::Instant;

use engine::Seq;
use tracing::{info, warn};

use super::fold::Fold;
use crate::journal::{Storage, Tailer};
use crate::limits::{SNAPSHOT_COMMANDS, SNAPSHOT_INTERVAL_MIN};
use crate::snapshot::{self, Place, SnapshotError};

/// Where they are, and when the last was taken.
#[derive(Debug)]
pub(super) struct Snapshots<S: Storage> {
    storage: S,
    last: u64,
    last_at: Instant,
}

impl<S: Storage> Snapshots<S> {
    pub(super) fn new(storage: S) -> Snapshots<S> {
        Snapshots {
            storage,
            last: 0,
            last_at: Instant::now(),
        }
    }

    /// The newest at or below `limit` from which `journal` goes on, for tables that stand at `limit`.
    pub(super) fn newest(&mut self, journal: &S, limit: u64) -> Option<Fold> {
        let found = snapshot::list(&self.storage).unwrap_or_default();
        for seq in found.into_iter().filter(|seq| seq.get() <= limit) {
            match read(&self.storage, journal, seq, limit) {
                Ok(fold) => {
                    self.last = seq.get();
                    return Some(fold);
                }
                Err(reason) => warn!(%reason, "a snapshot of the tables is left out"),
            }
        }
        None
    }

    pub(super) fn is_due(&self, seq: u64) -> bool {
        seq.saturating_sub(self.last) >= SNAPSHOT_COMMANDS && self.last_at.elapsed() >= SNAPSHOT_INTERVAL_MIN
    }

    /// Takes one of `fold`, which is committed and stands where `tailer` does. A failure changes nothing.
    pub(super) fn take(&mut self, fold: &Fold, tailer: &Tailer<S>) {
        let (journal, chain) = tailer.chain();
        let seq = tailer.seq();
        if seq.get() <= self.last || seq.get() != fold.seq() {
            return;
        }
        let Some(bytes) = fold.save() else { return };
        self.last = seq.get();
        self.last_at = Instant::now();
        let place = Place { journal, seq, chain };
        let taken = snapshot::write(&self.storage, &place, &bytes)
            .and_then(|()| snapshot::prune(&self.storage, Seq::new(u64::MAX)));
        match taken {
            Ok(()) => info!(
                seq = seq.get(),
                bytes = bytes.len(),
                "snapshot of the tables written"
            ),
            Err(error) => warn!(%error, "no snapshot of the tables"),
        }
    }
}

/// Whether the tables could be followed from the snapshot after the record `seq`.
pub(crate) fn check<S: Storage>(storage: &S, journal: &S, seq: Seq) -> Result<(), SnapshotError> {
    read(storage, journal, seq, seq.get()).map(|_| ())
}

fn read<S: Storage>(storage: &S, journal: &S, seq: Seq, written_to: u64) -> Result<Fold, SnapshotError> {
    let bytes = snapshot::read_bytes_for(storage, journal, seq)?;
    match Fold::restore(&bytes, written_to) {
        Ok(fold) if fold.seq() == seq.get() => Ok(fold),
        Ok(_) => Err(snapshot::not_of(storage, seq)),
        Err(source) => Err(snapshot::not_a_fold(storage, seq, source)),
    }
}
