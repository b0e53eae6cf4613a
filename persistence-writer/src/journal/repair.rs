//! Repair of a damaged journal: explicit, one remedy at a time, and nothing that was there is thrown away.
//!
//! Damage that took no record is mended: garbage between two batches becomes zeros again, and a segment's header is
//! written anew from its neighbours. Otherwise the journal is cut before the first damage. A remedy first puts what
//! it is going to change aside, as `<segment>.damaged-N`, and a cut leaves the failure marker, so that the next start
//! begins with trading stopped: what was acknowledged and is lost needs a person.

use std::ops::ControlFlow;

use engine::{SEMANTICS_VERSION, Seq};

use super::archive::{SegmentFile, exists};
use super::error::{Context, Flaw, JournalError};
use super::failure_marker::FailureMarker;
use super::frame::FRAME_ALIGN;
use super::header::{HEADER_BYTES, SegmentHeader, archive_name, is_segment_size, segment_name};
use super::prune::start;
use super::segment_reader::{Position, Probe, SegmentReader};
use super::spare::fill_with_zeros;
use super::storage::{Access, Storage, StorageFile};
use super::walk::{Walked, list_segments, walk_as_far_as_possible};
use crate::limits::{BLOCK_BYTES, WALK_CHUNK_BYTES};

/// A segment while it is made of its archive.
const UNPACKED: &str = "unpacked-unfinished";

/// What would be done about the first damage of a journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repair {
    /// The damage, for people.
    pub damage: String,
    pub remedy: Remedy,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Remedy {
    /// Nothing is lost: zeros belong into these bytes of the segment.
    ClearPadding { segment: u32, from: u64, to: u64 },
    /// Nothing is lost: the header follows from the segment before and the records behind it.
    RebuildHeader { segment: u32, header: RebuiltHeader },
    /// The journal ends after `kept`.
    Cut { kept: Seq, at: Position, lost: Lost },
}

/// A header that fits the records of its segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RebuiltHeader(SegmentHeader);

/// What a cut takes away.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Lost {
    /// Records behind the cut that are still whole; the copy put aside has them.
    pub whole_records: u64,
    /// The last of them: at least everything from the cut up to here had been written.
    pub last: Option<Seq>,
    /// Segments that are put aside as a whole.
    pub segments: Vec<u32>,
}

/// Looks for the first damage; changes nothing. `None` where the journal is sound (a torn tail is).
///
/// # Errors
/// What is wrong and no damage that could be repaired: an unreadable disk, another version, a journal of which not
/// even the beginning is there.
pub fn survey<S: Storage>(storage: &S) -> Result<Option<Repair>, JournalError> {
    let segments = list_segments(storage)?;
    let (walked, result) = walk_as_far_as_possible(storage, start(storage)?, |_| ControlFlow::Continue(()));
    let Err(error) = result else { return Ok(None) };
    let flaw = match &error {
        JournalError::Damaged { flaw, .. } => *flaw,
        _ => return Err(error),
    };
    let damaged = match &walked {
        // A flaw of a header is that of the segment after the last one that could be read.
        Some(walked) if matches!(flaw, Flaw::Header) => walked.end.segment + 1,
        Some(walked) => walked.end.segment,
        None => segments.first().copied().unwrap_or(1),
    };
    let remedy = match (flaw, &walked) {
        (Flaw::Header, _) => rebuild_header(storage, &segments, damaged, walked.as_ref())?,
        (_, Some(walked)) => clear_padding(storage, &walked.end)?,
        (_, None) => None,
    };
    let remedy = match (remedy, &walked) {
        (Some(remedy), _) => remedy,
        (None, Some(walked)) => cut(storage, &segments, walked)?,
        (None, None) => return Err(error),
    };
    let damage = error.to_string();
    Ok(Some(Repair { damage, remedy }))
}

/// Does what a [`survey`] of the same journal proposed. The caller holds the data directory's lock. Where it fails
/// half way, the journal is still damaged, or cut as was asked for; the original is beside it in any case.
pub fn apply<S: Storage>(storage: &S, repair: &Repair) -> Result<(), JournalError> {
    match &repair.remedy {
        Remedy::ClearPadding { segment, from, to } => {
            copy_aside(storage, &segment_name(*segment))?;
            overwrite_with_zeros(storage, *segment, *from, *to)
        }
        Remedy::RebuildHeader { segment, header } => {
            let name = segment_name(*segment);
            copy_aside(storage, &name)?;
            let file = storage.open(&name, Access::ReadWrite);
            file.and_then(|file| {
                file.write_all_at(&header.0.encode(), 0)?;
                file.sync_data()
            })
            .context(storage, "write", &name)
        }
        Remedy::Cut { kept, at, lost } => {
            let marker = FailureMarker::open(storage.clone())?;
            marker.record(&format!(
                "repaired by cutting after record {kept}: {}",
                repair.damage
            ))?;
            // From the last on: a journal never has a hole that it did not have before.
            for &segment in lost.segments.iter().rev() {
                for name in [archive_name(segment), segment_name(segment)] {
                    if exists(storage, &name)? {
                        let aside = aside_name(storage, &name)?;
                        storage.rename(&name, &aside).context(storage, "rename", &name)?;
                        storage.sync_directory().context(storage, "sync", "")?;
                    }
                }
            }
            if is_archived(storage, at.segment)? {
                copy_aside(storage, &archive_name(at.segment))?;
                return unpack(storage, at);
            }
            copy_aside(storage, &segment_name(at.segment))?;
            let size = segment_size(storage, at.segment)?;
            overwrite_with_zeros(storage, at.segment, at.offset, size)
        }
    }
}

fn clear_padding<S: Storage>(storage: &S, end: &Position) -> Result<Option<Remedy>, JournalError> {
    if is_archived(storage, end.segment)? {
        return Ok(None);
    }
    let name = segment_name(end.segment);
    let mut reader = SegmentReader::open(storage, end.segment, WALK_CHUNK_BYTES)?;
    let to = end.offset.next_multiple_of(BLOCK_BYTES);
    let beyond = Position { offset: to, ..*end };
    // Only where the records go on behind it is it known that nothing was there.
    let goes_on = matches!(
        reader.probe(&beyond).context(storage, "read", &name)?,
        Probe::Record { .. }
    );
    Ok(goes_on.then_some(Remedy::ClearPadding {
        segment: end.segment,
        from: end.offset,
        to,
    }))
}

/// A header is known from the segment before it (or, for the first segment, from the journal's id in any other), and
/// confirmed by the first record behind it.
fn rebuild_header<S: Storage>(
    storage: &S,
    segments: &[u32],
    segment: u32,
    before: Option<&Walked>,
) -> Result<Option<Remedy>, JournalError> {
    if is_archived(storage, segment)? {
        return Ok(None);
    }
    let size = u32::try_from(segment_size(storage, segment)?).unwrap_or(0);
    let known = match before {
        Some(before) => Some((before.journal, before.end.next_seq, before.end.chain)),
        None if segment == 1 => segments
            .iter()
            .filter(|&&other| other != segment)
            .find_map(|&other| SegmentReader::open(storage, other, WALK_CHUNK_BYTES).ok())
            .map(|reader| (reader.header.journal, 1, reader.header.journal.chain_start())),
        None => None,
    };
    let known = known.filter(|_| is_segment_size(size));
    let semantics_version = rules_around(storage, segments, segment);
    let (Some((journal, first_seq, chain)), Some(semantics_version)) = (known, semantics_version) else {
        return Ok(None);
    };
    let header = SegmentHeader {
        semantics_version,
        journal,
        segment,
        segment_bytes: size,
        first_seq,
        chain,
    };
    let name = segment_name(segment);
    let file = SegmentFile::open(storage, segment)?;
    let mut reader = SegmentReader::with_header(file, header, WALK_CHUNK_BYTES);
    let start = Position::start_of(&header);
    let fits = matches!(
        reader.probe(&start).context(storage, "read", &name)?,
        Probe::Record { .. }
    );
    let header = RebuiltHeader(header);
    Ok(fits.then_some(Remedy::RebuildHeader { segment, header }))
}

/// The rules that the segments around one were written under; `None` where those differ, and its own cannot be known.
fn rules_around<S: Storage>(storage: &S, segments: &[u32], segment: u32) -> Option<u32> {
    let neighbours = segments.iter().filter(|&&other| other.abs_diff(segment) == 1);
    let mut rules: Vec<u32> = neighbours
        .filter_map(|&other| SegmentReader::open(storage, other, WALK_CHUNK_BYTES).ok())
        .map(|reader| reader.header.semantics_version)
        .collect();
    rules.dedup();
    match rules[..] {
        [] => Some(SEMANTICS_VERSION),
        [rules] => Some(rules),
        _ => None,
    }
}

fn cut<S: Storage>(storage: &S, segments: &[u32], walked: &Walked) -> Result<Remedy, JournalError> {
    let end = walked.end;
    let later = segments.iter().copied().filter(|&segment| segment > end.segment);
    let mut lost = Lost {
        segments: later.collect(),
        ..Lost::default()
    };
    count_whole_records(storage, end.segment, end.offset, &mut lost)?;
    for segment in lost.segments.clone() {
        count_whole_records(storage, segment, HEADER_BYTES as u64, &mut lost)?;
    }
    Ok(Remedy::Cut {
        kept: end.seq(),
        at: end,
        lost,
    })
}

/// Counts the intact frames of a segment from `offset` on, whether or not they follow one another. Of an archive up to
/// where it cannot be unpacked.
fn count_whole_records<S: Storage>(
    storage: &S,
    segment: u32,
    offset: u64,
    lost: &mut Lost,
) -> Result<(), JournalError> {
    match count_frames(storage, segment, offset, lost) {
        Err(JournalError::Damaged {
            flaw: Flaw::Archive, ..
        }) => Ok(()),
        counted => counted,
    }
}

fn count_frames<S: Storage>(
    storage: &S,
    segment: u32,
    offset: u64,
    lost: &mut Lost,
) -> Result<(), JournalError> {
    let name = segment_name(segment);
    let file = SegmentFile::open(storage, segment)?;
    let size = file.size().context(storage, "read", &name)?;
    let header = SegmentHeader {
        semantics_version: SEMANTICS_VERSION,
        journal: super::JournalId::from_bytes([0; 16]),
        segment,
        segment_bytes: u32::try_from(size).unwrap_or(u32::MAX),
        first_seq: 1,
        chain: 0,
    };
    let mut reader = SegmentReader::with_header(file, header, WALK_CHUNK_BYTES);
    let mut at = offset.next_multiple_of(FRAME_ALIGN);
    while at < size {
        let frame = reader.frame_header_at(at).context(storage, "read", &name)?;
        let whole = frame.length != 0
            && frame.segment == segment
            && reader.is_intact_at(at, &frame).context(storage, "read", &name)?;
        let step = frame.bytes().filter(|_| whole);
        if step.is_some() {
            lost.whole_records += 1;
            lost.last = lost.last.max(Some(Seq::new(frame.seq)));
        }
        at = (at + step.unwrap_or(1) as u64).next_multiple_of(FRAME_ALIGN);
    }
    Ok(())
}

fn segment_size<S: Storage>(storage: &S, segment: u32) -> Result<u64, JournalError> {
    let file = SegmentFile::open(storage, segment)?;
    file.size().context(storage, "read", &segment_name(segment))
}

/// Whether only the archive of a segment is there.
fn is_archived<S: Storage>(storage: &S, segment: u32) -> Result<bool, JournalError> {
    Ok(!exists(storage, &segment_name(segment))? && exists(storage, &archive_name(segment))?)
}

/// Makes an archive the segment again, up to a place in it and with zeros behind. The caller has a copy.
fn unpack<S: Storage>(storage: &S, end: &Position) -> Result<(), JournalError> {
    let (name, archive) = (segment_name(end.segment), archive_name(end.segment));
    let mut from = SegmentFile::open(storage, end.segment)?;
    let size = from.size().context(storage, "read", &archive)?;
    if exists(storage, UNPACKED)? {
        storage.remove(UNPACKED).context(storage, "remove", UNPACKED)?;
    }
    let to = storage.create(UNPACKED).context(storage, "create", UNPACKED)?;
    let mut chunk = vec![0; WALK_CHUNK_BYTES];
    let mut offset = 0;
    while offset < end.offset {
        let wanted = usize::try_from(end.offset - offset).unwrap_or(usize::MAX);
        let wanted = wanted.min(chunk.len());
        let part = chunk.get_mut(..wanted).unwrap_or_default();
        let read = from
            .read_full_at(part, offset)
            .context(storage, "read", &archive)?;
        to.write_all_at(part, offset)
            .context(storage, "write", UNPACKED)?;
        if read < wanted {
            break;
        }
        offset += read as u64;
    }
    fill_with_zeros(&to, end.offset, size, || false)
        .and_then(|()| to.sync_data())
        .context(storage, "write", UNPACKED)?;
    storage
        .rename(UNPACKED, &name)
        .and_then(|()| storage.sync_directory())
        .context(storage, "rename", UNPACKED)?;
    storage
        .remove(&archive)
        .and_then(|()| storage.sync_directory())
        .context(storage, "remove", &archive)
}

/// The first free name for what is put aside.
fn aside_name<S: Storage>(storage: &S, name: &str) -> Result<String, JournalError> {
    let taken = storage.list().context(storage, "list", "")?;
    let free = (1_u64..)
        .map(|number| format!("{name}.damaged-{number}"))
        .find(|aside| !taken.contains(aside));
    Ok(free.expect("a directory holds fewer than 2^64 files"))
}

/// Copies a file beside itself, durably, before it is changed.
fn copy_aside<S: Storage>(storage: &S, name: &str) -> Result<(), JournalError> {
    let aside = aside_name(storage, name)?;
    let copy = || {
        let from = storage.open(name, Access::Read)?;
        let to = storage.create(&aside)?;
        let mut chunk = vec![0; WALK_CHUNK_BYTES];
        let mut offset = 0;
        loop {
            let read = from.read_full_at(&mut chunk, offset)?;
            if read == 0 {
                break;
            }
            to.write_all_at(chunk.get(..read).unwrap_or_default(), offset)?;
            offset += read as u64;
        }
        to.sync_data()?;
        storage.sync_directory()
    };
    copy().context(storage, "copy", name)
}

fn overwrite_with_zeros<S: Storage>(
    storage: &S,
    segment: u32,
    from: u64,
    to: u64,
) -> Result<(), JournalError> {
    let name = segment_name(segment);
    storage
        .open(&name, Access::ReadWrite)
        .and_then(|file| fill_with_zeros(&file, from, to, || false))
        .context(storage, "write", &name)
}

#[cfg(test)]
mod tests {
    use super::super::SimulatedDisk;
    use super::super::tests::{journal_of, layout, sample, try_open, try_walk};
    use super::*;

    fn flip(disk: &SimulatedDisk, segment: u32, offset: u64) {
        let name = segment_name(segment);
        let mut content = disk.content(&name).unwrap();
        content[usize::try_from(offset).unwrap()] ^= 1;
        disk.replace(&name, content);
    }

    /// Surveys, repairs and opens: what was proposed, and the last record that is left.
    fn repaired(disk: &SimulatedDisk) -> (Remedy, u64) {
        let repair = survey(disk).unwrap().expect("damage was done");
        assert_eq!(
            survey(disk).unwrap().as_ref(),
            Some(&repair),
            "a survey changes nothing"
        );
        apply(disk, &repair).unwrap();
        assert_eq!(survey(disk).unwrap(), None);
        // All of it is durable, whatever the power does.
        let (found, opened) = try_open(&disk.power_cut(7)).unwrap();
        let stopped = matches!(repair.remedy, Remedy::Cut { .. });
        assert_eq!(opened.previous_failure.is_some(), stopped, "{repair:?}");
        (repair.remedy, found)
    }

    #[test]
    fn a_sound_journal_needs_none() {
        let (disk, _) = journal_of(12);
        assert_eq!(survey(&disk).unwrap(), None);
        assert_eq!(survey(&SimulatedDisk::new()).unwrap(), None);
    }

    /// A flip in every record but the last batch's: the journal ends before it, the count of what is whole behind it
    /// is exact, the original is beside, and the journal goes on.
    #[test]
    fn a_cut_keeps_what_was_before_and_the_original_beside() {
        let (pristine, last) = journal_of(30);
        let placed = layout(&pristine);
        let last_batch = placed.iter().rposition(|place| place.begins_batch).unwrap();
        for victim in &placed[..last_batch] {
            let disk = pristine.power_cut(0);
            flip(&disk, victim.segment, victim.offset + victim.bytes - 1);
            let name = segment_name(victim.segment);
            let damaged = disk.content(&name).unwrap();
            let (remedy, found) = repaired(&disk);
            let Remedy::Cut { kept, lost, .. } = remedy else {
                panic!("{remedy:?}")
            };
            assert_eq!((kept.get(), found), (victim.seq - 1, victim.seq - 1));
            assert_eq!(
                (lost.whole_records, lost.last),
                (last - victim.seq, Some(Seq::new(last)))
            );
            assert_eq!(disk.content(&format!("{name}.damaged-1")), Some(damaged));
            for segment in lost.segments {
                let aside = format!("{}.damaged-1", segment_name(segment));
                assert_eq!(disk.content(&aside), pristine.content(&segment_name(segment)));
            }
            let mut appender = try_open(&disk).unwrap().1.appender;
            appender.append(&sample(found + 1)).unwrap();
            appender.sync().unwrap();
            assert_eq!(try_walk(&disk).unwrap(), (found + 1, None));
        }
    }

    #[test]
    fn garbage_between_batches_loses_nothing() {
        let (pristine, last) = journal_of(12);
        let placed = layout(&pristine);
        let next = placed
            .iter()
            .position(|place| place.begins_batch && place.seq > 1)
            .unwrap();
        let before = &placed[next - 1];
        let padding = (before.offset + before.bytes).next_multiple_of(8)..placed[next].offset;
        for offset in padding.step_by(5) {
            let disk = pristine.power_cut(0);
            flip(&disk, before.segment, offset);
            let (remedy, found) = repaired(&disk);
            assert!(matches!(remedy, Remedy::ClearPadding { .. }), "{remedy:?}");
            assert_eq!(found, last);
        }
    }

    #[test]
    fn a_header_is_rebuilt_from_its_neighbours() {
        let (pristine, last) = journal_of(40);
        for segment in 1..=3 {
            let disk = pristine.power_cut(0);
            let name = segment_name(segment);
            let intact = disk.content(&name);
            flip(&disk, segment, 40);
            let (remedy, found) = repaired(&disk);
            assert!(matches!(remedy, Remedy::RebuildHeader { .. }), "{remedy:?}");
            assert_eq!((found, disk.content(&name)), (last, intact));
        }
    }

    #[test]
    fn a_missing_segment_ends_the_journal() {
        let (disk, last) = journal_of(40);
        let expected = layout(&disk).iter().filter(|place| place.segment == 1).count() as u64;
        disk.remove(&segment_name(2)).unwrap();
        disk.sync_directory().unwrap();
        let (remedy, found) = repaired(&disk);
        let Remedy::Cut { lost, .. } = remedy else {
            panic!("{remedy:?}")
        };
        assert_eq!((found, lost.last), (expected, Some(Seq::new(last))));
        assert_eq!(lost.segments.first(), Some(&3));
    }

    /// A power cut at every operation of a repair: the next survey proposes to go on, or finds what was asked for.
    #[test]
    fn a_repair_that_is_cut_short_can_be_repeated() {
        let (pristine, last) = journal_of(30);
        let victim = layout(&pristine).swap_remove(5);
        flip(&pristine, victim.segment, victim.offset + 30);
        let repair = survey(&pristine).unwrap().unwrap();
        let mut operation = 0;
        loop {
            operation += 1;
            let disk = pristine.power_cut(0);
            disk.fail_at(operation, super::super::Fault::PowerCut);
            if apply(&disk, &repair).is_ok() {
                break;
            }
            let disk = disk.power_cut(operation);
            while let Some(again) = survey(&disk).unwrap() {
                apply(&disk, &again).unwrap();
            }
            let (found, _) = try_open(&disk).unwrap();
            assert_eq!(found, victim.seq - 1, "operation {operation} of {last}");
        }
        assert!(operation > 5);
    }
}
