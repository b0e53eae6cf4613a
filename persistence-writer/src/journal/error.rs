//! What can go wrong with a journal, each with where.

use std::io;
use std::path::PathBuf;

use engine::{SEMANTICS_VERSION, Seq};

use super::archive::BadArchive;
use super::header::archive_name;
use super::storage::Storage;
use crate::record::RecordError;

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// Something that was synced is not what was written. The journal is not touched.
    #[error("the journal is damaged: {} at offset {offset}: {flaw}", path.display())]
    Damaged { path: PathBuf, offset: u64, flaw: Flaw },
    #[error("{} has journal format {found}; this version of Pinion reads format {known}", path.display())]
    UnknownFormat { path: PathBuf, found: u32, known: u32 },
    #[error(
        "{} was written under engine rules {found}; this version of Pinion replays rules {known}: {advice}",
        path.display()
    )]
    UnknownSemantics {
        path: PathBuf,
        found: u32,
        known: u32,
        advice: &'static str,
    },
    /// A whole, undamaged record of a kind or layout that this version does not know.
    #[error("cannot read record {seq} of the journal, {} at offset {offset}: {source}", path.display())]
    Undecodable {
        path: PathBuf,
        offset: u64,
        seq: Seq,
        source: RecordError,
    },
    #[error("the journal in {} has no record {wanted}", path.display())]
    Missing { path: PathBuf, wanted: Seq },
    /// Removed on purpose; see [`super::floor`].
    #[error(
        "the journal in {} was pruned and begins at record {floor}: record {wanted} is gone, and no good snapshot \
         stands in for it", path.display()
    )]
    Pruned { path: PathBuf, wanted: Seq, floor: Seq },
    /// An earlier write or sync failed. Nothing is written after that, since it is unknown what the disk holds.
    #[error("the journal has failed and accepts nothing more")]
    Failed,
}

impl JournalError {
    pub(super) fn unknown_semantics(path: PathBuf, found: u32) -> JournalError {
        JournalError::UnknownSemantics {
            path,
            found,
            known: SEMANTICS_VERSION,
            advice: if found > SEMANTICS_VERSION {
                "use the version that wrote it"
            } else {
                "replay it with the version that wrote it; to go on from it, start and stop that version once, which \
                 leaves snapshots at its end"
            },
        }
    }
}

/// How bytes of a journal differ from what must be there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Flaw {
    #[error("the segment's header is not one")]
    Header,
    #[error("the segment is missing, although later ones are there")]
    MissingSegment,
    #[error("the segment belongs to another journal or place")]
    ForeignSegment,
    #[error("a record has an impossible length")]
    Length,
    #[error("a record's checksum does not match")]
    Checksum,
    #[error("a record does not follow the one before it")]
    Sequence,
    #[error("a record does not begin where its batch does")]
    Batch,
    #[error("records are missing")]
    Gap,
    #[error("there is something between two batches")]
    Padding,
    #[error("the archive cannot be unpacked")]
    Archive,
    #[error("the record of where the journal begins is not one")]
    Floor,
}

/// Adds what was being done, and to which file, to an I/O error.
pub(super) trait Context<T> {
    fn context<S: Storage>(self, storage: &S, action: &'static str, name: &str) -> Result<T, JournalError>;
}

/// An I/O error with its context; damage where it says that an archive is not one.
pub(super) fn io_error<S: Storage>(
    storage: &S,
    action: &'static str,
    name: &str,
    source: io::Error,
) -> JournalError {
    match source
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<BadArchive>())
    {
        Some(bad) => JournalError::Damaged {
            path: storage.path(&archive_name(bad.segment)),
            offset: bad.offset,
            flaw: Flaw::Archive,
        },
        None => JournalError::Io {
            action,
            path: storage.path(name),
            source,
        },
    }
}

impl<T> Context<T> for io::Result<T> {
    fn context<S: Storage>(self, storage: &S, action: &'static str, name: &str) -> Result<T, JournalError> {
        self.map_err(|source| io_error(storage, action, name, source))
    }
}
