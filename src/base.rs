//! Where a fold outside of a server begins: with the first record, or, of a pruned journal, with a snapshot.

use std::path::Path;

use engine::{Engine, Seq};
use persistence_writer::DataDir;
use persistence_writer::journal::{self, Disk, JournalError};
use persistence_writer::snapshot::{self, SnapshotError};

use crate::fold::Fold;

/// Why a journal cannot be folded.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Engine(#[from] engine::RestoreError),
}

/// The fold before the first record that can be folded. Of a pruned journal that is the one after its oldest good
/// snapshot; where there is none, the fold before the first record of all, which is not there to go on with.
pub fn earliest(data_dir: &Path, journal: &Disk) -> Result<Fold, BaseError> {
    if journal::start(journal)? == Seq::default() {
        return Ok(Fold::new());
    }
    let Some(snapshots) = DataDir::existing_snapshots(data_dir) else {
        return Ok(Fold::new());
    };
    for seq in snapshot::list(&snapshots)?.into_iter().rev() {
        match snapshot::read_for(&snapshots, journal, seq) {
            Ok((_, model)) => return Ok(Fold::starting_with(Engine::restore(&model.engine().save())?)),
            Err(reason) => eprintln!("pinion: left out: {reason}"),
        }
    }
    Ok(Fold::new())
}
