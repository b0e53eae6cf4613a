//! Pruning: what is older than anybody needs is removed, and where the journal now begins is written down.
//!
//! Only archives are removed, the oldest first, and only where a person asks. The file `floor` is durable before the
//! first of them goes: a reader that misses a record learns that it was pruned, and is not left to think of damage.
//!
//! | offset | bytes | field of `floor` |
//! |---|---|---|
//! | 0 | 8 | magic `PINIONFL` |
//! | 8 | 4 | format version |
//! | 12 | 16 | journal id |
//! | 28 | 4 | first segment that is kept |
//! | 32 | 8 | its first record |
//! | 40 | 4 | CRC32C of all of the above |

use engine::Seq;

use super::archive::exists;
use super::error::{Context, Flaw, JournalError};
use super::header::{FORMAT_VERSION, JournalId, archive_name, segment_name};
use super::segment_reader::SegmentReader;
use super::storage::{Access, Storage, StorageFile};
use super::walk::list_segments;
use crate::limits::BLOCK_BYTES;

const NAME: &str = "floor";
const UNFINISHED: &str = "floor-unfinished";
const MAGIC: &[u8; 8] = b"PINIONFL";
const BYTES: usize = 44;

/// Where a pruned journal begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Floor {
    pub journal: JournalId,
    /// First segment that is kept.
    pub segment: u32,
    /// Its first record: those before are gone.
    pub first_seq: Seq,
}

/// An archive that may go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prunable {
    pub segment: u32,
    pub first_seq: Seq,
    pub last_seq: Seq,
    pub bytes: u64,
}

/// What a prune would do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PrunePlan {
    /// The oldest first.
    pub archives: Vec<Prunable>,
    /// Where the journal will begin; `None` where nothing is to be removed.
    pub floor: Option<Floor>,
}

/// The floor that was recorded; `None` where nothing was ever pruned.
pub fn floor<S: Storage>(storage: &S) -> Result<Option<Floor>, JournalError> {
    if !exists(storage, NAME)? {
        return Ok(None);
    }
    let file = storage.open(NAME, Access::Read).context(storage, "open", NAME)?;
    let mut bytes = [0; BYTES + 1];
    let read = file.read_full_at(&mut bytes, 0).context(storage, "read", NAME)?;
    let damaged = JournalError::Damaged {
        path: storage.path(NAME),
        offset: 0,
        flaw: Flaw::Floor,
    };
    let Some(bytes) = bytes
        .get(..read)
        .and_then(|bytes| <&[u8; BYTES]>::try_from(bytes).ok())
    else {
        return Err(damaged);
    };
    let (covered, crc) = bytes.split_at(BYTES - 4);
    if !covered.starts_with(MAGIC) || crc32c::crc32c(covered).to_le_bytes() != crc {
        return Err(damaged);
    }
    let format = u32::from_le_bytes(field(bytes, 8));
    if format != FORMAT_VERSION {
        return Err(JournalError::UnknownFormat {
            path: storage.path(NAME),
            found: format,
            known: FORMAT_VERSION,
        });
    }
    Ok(Some(Floor {
        journal: JournalId::from_bytes(field(bytes, 12)),
        segment: u32::from_le_bytes(field(bytes, 28)),
        first_seq: Seq::new(u64::from_le_bytes(field(bytes, 32))),
    }))
}

/// The record before the journal's first: zero where nothing was ever pruned. Less may be gone than that, where a prune
/// was cut short; more is damage.
pub fn start<S: Storage>(storage: &S) -> Result<Seq, JournalError> {
    let floor = floor(storage)?;
    Ok(floor.map_or(Seq::default(), |floor| {
        Seq::new(floor.first_seq.get().saturating_sub(1))
    }))
}

/// What may go where `needed` and every record after it must stay. Changes nothing.
pub fn prunable<S: Storage>(storage: &S, needed: Seq) -> Result<PrunePlan, JournalError> {
    let mut plan = PrunePlan {
        archives: Vec::new(),
        floor: None,
    };
    let headers = list_segments(storage)?
        .into_iter()
        .map(|segment| Ok(SegmentReader::open(storage, segment, BLOCK_BYTES as usize)?.header));
    let headers = headers.collect::<Result<Vec<_>, JournalError>>()?;
    for (header, next) in headers.iter().zip(headers.iter().skip(1)) {
        // A segment that was never archived was never verified.
        if next.first_seq > needed.get() || exists(storage, &segment_name(header.segment))? {
            break;
        }
        let name = archive_name(header.segment);
        let file = storage
            .open(&name, Access::Read)
            .context(storage, "open", &name)?;
        plan.archives.push(Prunable {
            segment: header.segment,
            first_seq: Seq::new(header.first_seq),
            last_seq: Seq::new(next.first_seq - 1),
            bytes: file.size().context(storage, "read", &name)?,
        });
        plan.floor = Some(Floor {
            journal: next.journal,
            segment: next.segment,
            first_seq: Seq::new(next.first_seq),
        });
    }
    Ok(plan)
}

/// Does what [`prunable`] said. The caller keeps others from archiving, pruning and repairing. Where it fails half
/// way, the journal begins somewhere between its old beginning and the new floor, and it can be repeated.
pub fn prune<S: Storage>(storage: &S, plan: &PrunePlan) -> Result<(), JournalError> {
    let Some(floor) = &plan.floor else { return Ok(()) };
    record(storage, floor)?;
    for archive in &plan.archives {
        let name = archive_name(archive.segment);
        // One by one, so that what remains never has a hole.
        storage
            .remove(&name)
            .and_then(|()| storage.sync_directory())
            .context(storage, "remove", &name)?;
    }
    Ok(())
}

fn record<S: Storage>(storage: &S, floor: &Floor) -> Result<(), JournalError> {
    if exists(storage, UNFINISHED)? {
        storage
            .remove(UNFINISHED)
            .context(storage, "remove", UNFINISHED)?;
    }
    let mut bytes = Vec::with_capacity(BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes.extend_from_slice(&floor.journal.bytes());
    bytes.extend_from_slice(&floor.segment.to_le_bytes());
    bytes.extend_from_slice(&floor.first_seq.get().to_le_bytes());
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    storage
        .create(UNFINISHED)
        .and_then(|file| {
            file.write_all_at(&bytes, 0)?;
            file.sync_data()
        })
        .and_then(|()| storage.rename(UNFINISHED, NAME))
        .and_then(|()| storage.sync_directory())
        .context(storage, "write", NAME)
}

/// A field, which lies within the bytes.
fn field<const N: usize>(bytes: &[u8; BYTES], offset: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[offset..offset + N]);
    field
}

/// Why a record is not there: it was pruned, or it is missing.
pub(super) fn missing<S: Storage>(storage: &S, wanted: Seq) -> JournalError {
    match floor(storage) {
        Ok(Some(floor)) if wanted < floor.first_seq => JournalError::Pruned {
            path: storage.path(""),
            wanted,
            floor: floor.first_seq,
        },
        Ok(_) => JournalError::Missing {
            path: storage.path(""),
            wanted,
        },
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{journal_of, settings, try_open};
    use super::super::{Fault, SimulatedDisk, Tailer, archive_closed, open};
    use super::*;

    /// An archived journal, and its last record.
    fn archived(batches: u64) -> (SimulatedDisk, u64) {
        let (disk, last) = journal_of(batches);
        archive_closed(&disk, |_| {}).unwrap();
        (disk, last)
    }

    /// The record from which on a journal can be folded; it must be possible up to its end, and the journal go on.
    fn begins_at(disk: &SimulatedDisk, last: u64) -> u64 {
        let first = list_segments(disk).unwrap()[0];
        let begin = SegmentReader::open(disk, first, 4_096).unwrap().header.first_seq;
        let mut tailer = Tailer::after(disk.clone(), Seq::new(begin - 1)).unwrap();
        while tailer.next(Seq::new(last)).unwrap().is_some() {}
        assert_eq!(tailer.seq(), Seq::new(last));
        let opened = open(disk.power_cut(0), &settings(), Seq::new(begin), |_| {}).unwrap();
        assert_eq!(opened.walked.last_seq, Seq::new(last));
        begin
    }

    #[test]
    fn only_what_nobody_needs_goes() {
        let (pristine, last) = archived(40);
        let firsts: Vec<u64> = list_segments(&pristine)
            .unwrap()
            .into_iter()
            .map(|segment| {
                SegmentReader::open(&pristine, segment, 4_096)
                    .unwrap()
                    .header
                    .first_seq
            })
            .collect();
        for needed in 0..=last + 5 {
            let disk = pristine.power_cut(0);
            let plan = prunable(&disk, Seq::new(needed)).unwrap();
            let expected = firsts.iter().rfind(|&&first| first <= needed.max(1)).copied();
            prune(&disk, &plan).unwrap();
            assert_eq!(Some(begins_at(&disk, last)), expected, "{needed}");
            let kept = floor(&disk).unwrap();
            assert_eq!(kept, plan.floor);
            assert_eq!(
                kept.map(|kept| kept.first_seq.get()),
                expected.filter(|&first| first > 1)
            );
            assert_eq!(prunable(&disk, Seq::new(needed)).unwrap().archives, []);
        }
    }

    #[test]
    fn what_was_pruned_is_named_and_not_taken_for_damage() {
        let (disk, last) = archived(40);
        let plan = prunable(&disk, Seq::new(last / 2)).unwrap();
        prune(&disk, &plan).unwrap();
        let begin = plan.floor.unwrap().first_seq;
        let error = try_open(&disk).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "the journal in /simulated/ was pruned and begins at record {begin}: record 1 is gone, and no good \
                 snapshot stands in for it"
            )
        );
        // Segments that were removed behind the journal's back are missing, floor or not.
        disk.remove(&archive_name(plan.floor.unwrap().segment)).unwrap();
        let error = open(disk.clone(), &settings(), begin, |_| {}).unwrap_err();
        assert!(matches!(error, JournalError::Missing { .. }), "{error}");
        let content = disk.content(NAME).unwrap();
        for bit in 0..content.len() * 8 {
            let mut flipped = content.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            disk.replace(NAME, flipped);
            assert!(floor(&disk).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn segments_that_are_not_archived_stay() {
        let (disk, last) = journal_of(40);
        assert_eq!(prunable(&disk, Seq::new(last)).unwrap().archives, []);
    }

    /// The power goes, or something fails, at every operation; and again while it is repeated.
    #[test]
    fn a_prune_that_is_cut_short_can_be_repeated() {
        let (pristine, last) = archived(40);
        let plan = prunable(&pristine, Seq::new(last)).unwrap();
        let target = plan.floor.unwrap().first_seq.get();
        assert!(plan.archives.len() > 3);
        for fault in [Fault::PowerCut, Fault::Error, Fault::NoSpace, Fault::ShortWrite] {
            for operation in 1.. {
                let disk = pristine.power_cut(0);
                disk.fail_at(operation, fault);
                let ended = prune(&disk, &plan).is_ok() && disk.operations() < operation;
                disk.fail_at(u64::MAX, fault);
                for seed in 0..6 {
                    let image = disk.power_cut(seed);
                    let begin = begins_at(&image, last);
                    assert!(
                        begin == 1
                            || floor(&image)
                                .unwrap()
                                .is_some_and(|floor| begin <= floor.first_seq.get())
                    );
                    image.fail_at(image.operations() + 1 + seed * 2, Fault::PowerCut);
                    prunable(&image, Seq::new(last))
                        .and_then(|plan| prune(&image, &plan))
                        .ok();
                    let image = image.power_cut(seed);
                    assert!((begin..=target).contains(&begins_at(&image, last)));
                    prune(&image, &prunable(&image, Seq::new(last)).unwrap()).unwrap();
                    assert_eq!(begins_at(&image.power_cut(seed), last), target);
                }
                if ended {
                    assert!(operation > 8);
                    break;
                }
            }
        }
    }
}
