//! A walk over the journal from the files alone, changing nothing: the base of recovery, replay and verification.
//!
//! Where the last segment does not end in clean zeros, two causes are told apart:
//!
//! - **A torn write.** The power went while a batch was being written; any of its sectors may be missing. Nobody was
//!   told about any record of that batch, so the journal ends before the first record that is not whole.
//! - **Damage.** A batch is only begun after the one before it was synced. So an intact frame whose batch began after
//!   the missing record proves that the missing record had been synced, and perhaps acknowledged. Nothing is cut.

use std::ops::ControlFlow;

use engine::{Command, SEMANTICS_VERSION, Seq, Sequenced, Timestamp};

use super::archive::segment_or_archive_of;
use super::error::{Context, Flaw, JournalError};
use super::frame::{FRAME_ALIGN, FrameHeader};
use super::header::{JournalId, SegmentHeader, segment_name};
use super::prune::missing;
use super::segment_reader::{Position, Probe, SegmentReader};
use super::storage::Storage;
use crate::limits::{BLOCK_BYTES, WALK_CHUNK_BYTES};
use crate::record;

/// What a walk found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Walked {
    pub journal: JournalId,
    /// The last record; zero where there is none.
    pub last_seq: Seq,
    /// Time of the last record that was visited; zero where none was.
    pub last_time: Timestamp,
    /// Records given to the visitor.
    pub records: u64,
    /// Segments that were read.
    pub segments: u32,
    /// After the last record.
    pub end: Position,
    /// What a torn write left behind the last record, if anything.
    pub torn: Option<TornTail>,
    /// Where the last record's batch begins, in the last segment.
    pub(super) batch_offset: u64,
}

/// Remains of a batch that was never synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TornTail {
    pub segment: u32,
    pub offset: u64,
    /// From `offset` to the last byte that is not zero.
    pub bytes: u64,
}

impl Walked {
    fn starting_at(header: &SegmentHeader) -> Walked {
        let start = Position::start_of(header);
        Walked {
            journal: header.journal,
            last_seq: start.seq(),
            last_time: Timestamp::ZERO,
            records: 0,
            segments: 1,
            end: start,
            torn: None,
            batch_offset: start.offset,
        }
    }
}

/// Visits every record after `after`, in order, until the visitor breaks. `None` where there is no journal.
pub fn walk<S: Storage>(
    storage: &S,
    after: Seq,
    visit: impl FnMut(&Sequenced<Command>) -> ControlFlow<()>,
) -> Result<Option<Walked>, JournalError> {
    let (walked, result) = walk_as_far_as_possible(storage, after, visit);
    result.map(|()| walked)
}

/// As [`walk`], and says how far it came where the journal cannot be read to its end.
pub fn walk_as_far_as_possible<S: Storage>(
    storage: &S,
    after: Seq,
    visit: impl FnMut(&Sequenced<Command>) -> ControlFlow<()>,
) -> (Option<Walked>, Result<(), JournalError>) {
    let begin = || {
        let segments = list_segments(storage)?;
        Ok((first_segment(storage, &segments, after)?, segments))
    };
    match begin() {
        Ok((None, _)) => (None, Ok(())),
        Ok((Some(reader), segments)) => {
            let mut walked = Walked::starting_at(&reader.header);
            let result = walk_on(storage, after, visit, reader, &segments, &mut walked);
            (Some(walked), result)
        }
        Err(error) => (None, Err(error)),
    }
}

fn walk_on<S: Storage>(
    storage: &S,
    after: Seq,
    mut visit: impl FnMut(&Sequenced<Command>) -> ControlFlow<()>,
    mut reader: SegmentReader<S::File>,
    segments: &[u32],
    walked: &mut Walked,
) -> Result<(), JournalError> {
    let mut name = segment_name(walked.end.segment);
    loop {
        let version = reader.header.semantics_version;
        let flaw = match reader.probe(&walked.end).context(storage, "read", &name)? {
            Probe::Record { at, next, payload } => {
                if version != SEMANTICS_VERSION && next.seq() > after {
                    let path = storage.path(&name);
                    return Err(JournalError::unknown_semantics(path, version));
                }
                if visit_record(storage, after, at, next, payload, walked, &mut visit)?.is_break() {
                    return Ok(());
                }
                continue;
            }
            Probe::End => None,
            Probe::Flawed(flaw) => Some(flaw),
        };
        if segments.last().is_some_and(|&last| last > walked.end.segment) {
            reader = next_segment(storage, segments, walked, flaw)?;
            walked.segments += 1;
            walked.end = Position::start_of(&reader.header);
            walked.batch_offset = walked.end.offset;
            name = segment_name(walked.end.segment);
        } else {
            walked.torn = examine_tail(storage, &mut reader, &walked.end, flaw)?;
            return Ok(());
        }
    }
}

/// Journal id and place in the hash chain of the record `seq` (of the journal's beginning, for zero). `None` where
/// the journal does not have it, or is damaged before.
pub fn chain_at<S: Storage>(storage: &S, seq: Seq) -> Result<Option<(JournalId, u32)>, JournalError> {
    let segments = list_segments(storage)?;
    let before = Seq::new(seq.get().saturating_sub(1));
    let first = match first_segment(storage, &segments, before) {
        Ok(first) => first,
        Err(JournalError::Missing { .. } | JournalError::Pruned { .. } | JournalError::Damaged { .. }) => {
            None
        }
        Err(error) => return Err(error),
    };
    let Some(mut reader) = first else { return Ok(None) };
    let mut position = Position::start_of(&reader.header);
    let name = segment_name(position.segment);
    while position.seq() < seq {
        match reader.probe(&position).context(storage, "read", &name)? {
            Probe::Record { next, .. } => position = next,
            Probe::End | Probe::Flawed(_) => return Ok(None),
        }
    }
    Ok(Some((reader.header.journal, position.chain)))
}

fn visit_record<S: Storage>(
    storage: &S,
    after: Seq,
    at: u64,
    next: Position,
    payload: &[u8],
    walked: &mut Walked,
    visit: &mut impl FnMut(&Sequenced<Command>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, JournalError> {
    let seq = next.seq();
    walked.end = next;
    walked.last_seq = seq;
    if next.next_index == 1 {
        walked.batch_offset = at;
    }
    if seq <= after {
        return Ok(ControlFlow::Continue(()));
    }
    let command = record::decode(seq, payload).map_err(|source| JournalError::Undecodable {
        path: storage.path(&segment_name(next.segment)),
        offset: at,
        seq,
        source,
    })?;
    walked.last_time = command.time;
    walked.records += 1;
    Ok(visit(&command))
}

/// The ids of all segments, archived or not, ascending.
pub(super) fn list_segments<S: Storage>(storage: &S) -> Result<Vec<u32>, JournalError> {
    let names = storage.list().context(storage, "list", "")?;
    let mut segments: Vec<u32> = names
        .iter()
        .filter_map(|name| segment_or_archive_of(name))
        .collect();
    segments.sort_unstable();
    // A segment may be there beside its archive.
    segments.dedup();
    Ok(segments)
}

/// The last segment that begins at or before the record after `after`; `None` where there is no segment at all.
pub(super) fn first_segment<S: Storage>(
    storage: &S,
    segments: &[u32],
    after: Seq,
) -> Result<Option<SegmentReader<S::File>>, JournalError> {
    let wanted = after.get() + 1;
    let mut damaged = None;
    for &segment in segments.iter().rev() {
        match SegmentReader::open(storage, segment, WALK_CHUNK_BYTES) {
            Ok(reader) if reader.header.first_seq <= wanted => return Ok(Some(reader)),
            Ok(_) => {}
            // The walk that begins before it will say how far the journal is whole.
            Err(error @ JournalError::Damaged { .. }) => damaged = Some(error),
            Err(error) => return Err(error),
        }
    }
    if let Some(error) = damaged {
        return Err(error);
    }
    if segments.is_empty() {
        return Ok(None);
    }
    Err(missing(storage, Seq::new(wanted)))
}

/// The segment after the one that `walked` ends in, which exists only because that one was complete and synced.
fn next_segment<S: Storage>(
    storage: &S,
    segments: &[u32],
    walked: &Walked,
    flaw: Option<Flaw>,
) -> Result<SegmentReader<S::File>, JournalError> {
    let end = &walked.end;
    let damaged = |segment: u32, offset: u64, flaw: Flaw| JournalError::Damaged {
        path: storage.path(&segment_name(segment)),
        offset,
        flaw,
    };
    if let Some(flaw) = flaw {
        return Err(damaged(end.segment, end.offset, flaw));
    }
    if segments.binary_search(&(end.segment + 1)).is_err() {
        return Err(damaged(end.segment + 1, 0, Flaw::MissingSegment));
    }
    let reader = SegmentReader::open(storage, end.segment + 1, WALK_CHUNK_BYTES)?;
    let header = &reader.header;
    if header.journal != walked.journal {
        return Err(damaged(header.segment, 0, Flaw::ForeignSegment));
    }
    if header.first_seq != end.next_seq || header.chain != end.chain {
        return Err(damaged(end.segment, end.offset, Flaw::Gap));
    }
    Ok(reader)
}

/// Looks at everything behind `end` in the last segment. `flaw` is what stands at `end`, if that is not the end.
fn examine_tail<S: Storage>(
    storage: &S,
    reader: &mut SegmentReader<S::File>,
    end: &Position,
    flaw: Option<Flaw>,
) -> Result<Option<TornTail>, JournalError> {
    let name = segment_name(end.segment);
    let mut last_used = None;
    let mut offset = end.offset;
    loop {
        let block_end = (offset + 1).next_multiple_of(BLOCK_BYTES);
        let len = usize::try_from(block_end - offset).unwrap_or(0);
        let block = reader.bytes(offset, len).context(storage, "read", &name)?;
        if block.is_empty() {
            break;
        }
        let zeros = [0; BLOCK_BYTES as usize];
        if !zeros.starts_with(block)
            && let Some(last) = block.iter().rposition(|&byte| byte != 0)
        {
            last_used = Some(offset + last as u64);
            for at in (offset..block_end).step_by(FRAME_ALIGN as usize) {
                if is_synced_record(reader, end, at).context(storage, "read", &name)? {
                    return Err(JournalError::Damaged {
                        path: storage.path(&name),
                        offset: end.offset,
                        flaw: flaw.unwrap_or(Flaw::Gap),
                    });
                }
            }
        }
        offset = block_end;
    }
    Ok(last_used.map(|last| TornTail {
        segment: end.segment,
        offset: end.offset,
        bytes: last + 1 - end.offset,
    }))
}

/// Whether an intact frame at `at` proves that the record due at `end` had been synced.
fn is_synced_record<F: super::StorageFile>(
    reader: &mut SegmentReader<F>,
    end: &Position,
    at: u64,
) -> std::io::Result<bool> {
    let frame = reader.frame_header_at(at)?;
    if frame.segment != end.segment || !proves_a_gap(&frame, end) {
        return Ok(false);
    }
    reader.is_intact_at(at, &frame)
}

/// An intact frame that is the record due, or an earlier one, is not where it was written. A later one whose batch
/// began after the record due was written after that had been synced.
fn proves_a_gap(frame: &FrameHeader, end: &Position) -> bool {
    frame.seq <= end.next_seq || frame.batch_seq() > end.next_seq
}
