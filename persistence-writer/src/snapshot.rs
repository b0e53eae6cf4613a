//! Snapshots: the read model after one record, in a file of its own, so that a start folds the tail only.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `PINIONSN` |
//! | 8 | 4 | format version of this file |
//! | 12 | 4 | semantics version of the engine |
//! | 16 | 16 | journal id |
//! | 32 | 8 | sequence number of the last record folded |
//! | 40 | 4 | that record's place in the hash chain |
//! | 44 | 8 | length of the model |
//! | 52 | | the model ([`ReadModel::save`]) |
//! | end | 4 | CRC32C of all of the above |
//!
//! A snapshot is a convenience, never the truth: one that is damaged, of another version, of another journal or not on
//! this journal's chain is left out, and the next older one is tried, then the whole journal. The place in the hash
//! chain is what tells: after a repair the journal may have the same sequence number with another past.

use std::io;
use std::path::PathBuf;

use engine::{SEMANTICS_VERSION, Seq};
use read_model::ReadModel;

use crate::journal::{JournalError, JournalId, Storage, StorageFile, chain_at};
use crate::limits::SNAPSHOTS_KEPT;
use crate::projector::FoldRestoreError;

/// Format version that this crate writes and reads.
pub const FORMAT_VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"PINIONSN";
const HEADER_BYTES: usize = 52;
const CRC_BYTES: usize = 4;
/// The file while it is written.
const UNFINISHED: &str = "unfinished";

#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{} is not a whole snapshot", .0.display())]
    Damaged(PathBuf),
    #[error("{} has snapshot format {found}; this version of Pinion reads format {FORMAT_VERSION}", path.display())]
    UnknownFormat { path: PathBuf, found: u32 },
    #[error("{} was taken under engine rules {found}; this version of Pinion has rules {SEMANTICS_VERSION}", path.display())]
    UnknownSemantics { path: PathBuf, found: u32 },
    #[error("{} is of another journal, or of a past that this journal no longer has", .0.display())]
    ForeignJournal(PathBuf),
    #[error("{}: {source}", path.display())]
    Restore {
        path: PathBuf,
        source: read_model::RestoreError,
    },
    #[error("{}: {source}", path.display())]
    RestoreTables { path: PathBuf, source: FoldRestoreError },
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Where a snapshot stands in its journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    pub journal: JournalId,
    pub seq: Seq,
    pub chain: u32,
}

/// The sequence numbers of all snapshots, newest first.
pub fn list<S: Storage>(storage: &S) -> Result<Vec<Seq>, SnapshotError> {
    let names = storage.list().map_err(at(storage, "list", ""))?;
    let mut found: Vec<Seq> = names.iter().filter_map(|name| seq_of(name)).collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// Writes a snapshot: when this returns it is whole and durable under its name, and it is not there before.
/// `model` is what [`ReadModel::save`] gave after the record at `place`.
pub fn write<S: Storage>(storage: &S, place: &Place, model: &[u8]) -> Result<(), SnapshotError> {
    let mut head = Vec::with_capacity(HEADER_BYTES);
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    head.extend_from_slice(&SEMANTICS_VERSION.to_le_bytes());
    head.extend_from_slice(&place.journal.bytes());
    head.extend_from_slice(&place.seq.get().to_le_bytes());
    head.extend_from_slice(&place.chain.to_le_bytes());
    head.extend_from_slice(&(model.len() as u64).to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&head), model);
    let names = storage.list().map_err(at(storage, "list", ""))?;
    if names.iter().any(|name| name == UNFINISHED) {
        storage
            .remove(UNFINISHED)
            .map_err(at(storage, "remove", UNFINISHED))?;
    }
    let file = storage
        .create(UNFINISHED)
        .map_err(at(storage, "create", UNFINISHED))?;
    let body_end = (HEADER_BYTES + model.len()) as u64;
    file.write_all_at(&head, 0)
        .and_then(|()| file.write_all_at(model, HEADER_BYTES as u64))
        .and_then(|()| file.write_all_at(&crc.to_le_bytes(), body_end))
        .and_then(|()| file.sync_data())
        .map_err(at(storage, "write", UNFINISHED))?;
    let name = name_of(place.seq);
    storage
        .rename(UNFINISHED, &name)
        .and_then(|()| storage.sync_directory())
        .map_err(at(storage, "write", &name))
}

/// Reads one snapshot and checks all that can be checked without the journal.
pub fn read<S: Storage>(storage: &S, seq: Seq) -> Result<(Place, ReadModel), SnapshotError> {
    let (place, bytes) = read_bytes(storage, seq)?;
    let path = || storage.path(&name_of(seq));
    let model =
        ReadModel::restore(&bytes).map_err(|source| SnapshotError::Restore { path: path(), source })?;
    if model.seq() != seq {
        return Err(SnapshotError::Damaged(path()));
    }
    Ok((place, model))
}

/// What was saved after the record `seq`, whole.
fn read_bytes<S: Storage>(storage: &S, seq: Seq) -> Result<(Place, Vec<u8>), SnapshotError> {
    let name = name_of(seq);
    let path = || storage.path(&name);
    let file = storage
        .open(&name, crate::journal::Access::Read)
        .map_err(at(storage, "open", &name))?;
    let size = file.size().map_err(at(storage, "read", &name))?;
    let mut bytes = vec![0; usize::try_from(size).map_err(|_| SnapshotError::Damaged(path()))?];
    let read = file
        .read_full_at(&mut bytes, 0)
        .map_err(at(storage, "read", &name))?;
    bytes.truncate(read);
    let (place, model) = parse(&bytes).map_err(|why| why.at(path()))?;
    if place.seq != seq {
        return Err(SnapshotError::Damaged(path()));
    }
    Ok((place, model.to_vec()))
}

/// The newest snapshot at or below `limit` from which `journal` goes on. Those that are left out are logged.
pub fn newest<S: Storage, J: Storage>(
    storage: &S,
    journal: &J,
    limit: Seq,
) -> Result<Option<(Place, ReadModel)>, SnapshotError> {
    for seq in list(storage)?.into_iter().filter(|&seq| seq <= limit) {
        match read_for(storage, journal, seq) {
            Ok(found) => return Ok(Some(found)),
            Err(reason) => tracing::warn!(%reason, "a snapshot is left out"),
        }
    }
    Ok(None)
}

/// [`read`], and the check that the journal has that record, with that past.
pub fn read_for<S: Storage, J: Storage>(
    storage: &S,
    journal: &J,
    seq: Seq,
) -> Result<(Place, ReadModel), SnapshotError> {
    let (place, model) = read(storage, seq)?;
    check_place(storage, journal, &place)?;
    Ok((place, model))
}

/// What was saved after the record `seq`, which the journal has, with that past.
pub(crate) fn read_bytes_for<S: Storage, J: Storage>(
    storage: &S,
    journal: &J,
    seq: Seq,
) -> Result<Vec<u8>, SnapshotError> {
    let (place, bytes) = read_bytes(storage, seq)?;
    check_place(storage, journal, &place)?;
    Ok(bytes)
}

fn check_place<S: Storage, J: Storage>(storage: &S, journal: &J, place: &Place) -> Result<(), SnapshotError> {
    if chain_at(journal, place.seq)? == Some((place.journal, place.chain)) {
        Ok(())
    } else {
        Err(SnapshotError::ForeignJournal(storage.path(&name_of(place.seq))))
    }
}

/// Makes the names of what is there durable, should the last run have failed to.
pub(crate) fn make_durable<S: Storage>(storage: &S) -> Result<(), SnapshotError> {
    storage.sync_directory().map_err(at(storage, "sync", ""))
}

/// Removes all but the newest two and the newest that the slowest consumer, which is at `consumed`, could start from;
/// where there is none of those, the oldest.
pub fn prune<S: Storage>(storage: &S, consumed: Seq) -> Result<(), SnapshotError> {
    let found = list(storage)?;
    let for_consumer = found
        .iter()
        .find(|&&seq| seq <= consumed)
        .or(found.last())
        .copied();
    for &seq in found.iter().skip(SNAPSHOTS_KEPT) {
        if Some(seq) != for_consumer {
            let name = name_of(seq);
            storage.remove(&name).map_err(at(storage, "remove", &name))?;
        }
    }
    Ok(())
}

/// The snapshot named after `seq` is whole, and of another record.
pub(crate) fn not_of<S: Storage>(storage: &S, seq: Seq) -> SnapshotError {
    SnapshotError::Damaged(storage.path(&name_of(seq)))
}

/// What was saved after `seq` is no fold of the tables.
pub(crate) fn not_a_fold<S: Storage>(storage: &S, seq: Seq, source: FoldRestoreError) -> SnapshotError {
    let path = storage.path(&name_of(seq));
    SnapshotError::RestoreTables { path, source }
}

enum NotASnapshot {
    Damaged,
    Format(u32),
    Semantics(u32),
}

impl NotASnapshot {
    fn at(self, path: PathBuf) -> SnapshotError {
        match self {
            NotASnapshot::Damaged => SnapshotError::Damaged(path),
            NotASnapshot::Format(found) => SnapshotError::UnknownFormat { path, found },
            NotASnapshot::Semantics(found) => SnapshotError::UnknownSemantics { path, found },
        }
    }
}

fn parse(bytes: &[u8]) -> Result<(Place, &[u8]), NotASnapshot> {
    let (covered, crc) = bytes
        .split_last_chunk::<CRC_BYTES>()
        .ok_or(NotASnapshot::Damaged)?;
    let (head, model) = covered
        .split_at_checked(HEADER_BYTES)
        .ok_or(NotASnapshot::Damaged)?;
    let whole = head.starts_with(MAGIC)
        && crc32c::crc32c(covered) == u32::from_le_bytes(*crc)
        && u64::from_le_bytes(field(head, 44)) == model.len() as u64;
    if !whole {
        return Err(NotASnapshot::Damaged);
    }
    // One of older rules serves where no record under them follows, which the walk over the journal sees to.
    match (
        u32::from_le_bytes(field(head, 8)),
        u32::from_le_bytes(field(head, 12)),
    ) {
        (FORMAT_VERSION, ..=SEMANTICS_VERSION) => {}
        (FORMAT_VERSION, semantics) => return Err(NotASnapshot::Semantics(semantics)),
        (format, _) => return Err(NotASnapshot::Format(format)),
    }
    let place = Place {
        journal: JournalId::from_bytes(field(head, 16)),
        seq: Seq::new(u64::from_le_bytes(field(head, 32))),
        chain: u32::from_le_bytes(field(head, 40)),
    };
    Ok((place, model))
}

/// A field of the header, which is longer than that.
fn field<const N: usize>(head: &[u8], offset: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&head[offset..offset + N]);
    bytes
}

fn name_of(seq: Seq) -> String {
    format!("{:020}.snapshot", seq.get())
}

fn seq_of(name: &str) -> Option<Seq> {
    let seq = Seq::new(name.strip_suffix(".snapshot")?.parse().ok()?);
    (name_of(seq) == name).then_some(seq)
}

fn at<S: Storage>(storage: &S, action: &'static str, name: &str) -> impl FnOnce(io::Error) -> SnapshotError {
    let path = storage.path(name);
    move |source| SnapshotError::Io { action, path, source }
}

#[cfg(test)]
mod tests;
