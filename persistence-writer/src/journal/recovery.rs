//! Opens a journal for writing: folds what is there, removes what a torn write left, and goes on after it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use engine::{Command, SEMANTICS_VERSION, Seq, Sequenced};

use super::appender::{Appender, Target, begin_segment};
use super::error::{Context, JournalError};
use super::failure_marker::FailureMarker;
use super::header::{JournalId, SegmentHeader, is_segment_size, segment_name};
use super::segment_reader::SegmentReader;
use super::spare::{Spares, fill_with_zeros, remove_leftovers};
use super::storage::{Access, Storage, StorageFile};
use super::walk::{Walked, walk};
use crate::limits::{BATCH_BYTES_MAX, WALK_CHUNK_BYTES};

/// How a journal is written from now on. What exists keeps its own sizes.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Size of new segments: a multiple of [`crate::limits::BLOCK_BYTES`], within the bounds of [`crate::limits`].
    pub segment_bytes: u32,
    /// The id of the journal, should there be none yet.
    pub fresh_id: JournalId,
    pub spares: SpareSegments,
}

/// Who prepares the next segment.
#[derive(Clone, Debug)]
pub enum SpareSegments {
    /// A thread, ahead of use; it raises the flag while the disk's free space is below the reserve.
    Ahead { disk_low: Arc<AtomicBool> },
    /// The writer, when it needs one: for simulations in a single thread.
    OnDemand,
}

impl Settings {
    /// Those of a server: segments prepared ahead, a random id.
    pub fn server(segment_bytes: u32, disk_low: Arc<AtomicBool>) -> std::io::Result<Settings> {
        Ok(Settings {
            segment_bytes,
            fresh_id: JournalId::random()?,
            spares: SpareSegments::Ahead { disk_low },
        })
    }
}

/// A journal, ready to be written.
#[derive(Debug)]
pub struct Opened<S: Storage> {
    /// What was found; `torn` has been removed. A new journal has no records and one segment.
    pub walked: Walked,
    pub appender: Appender<S>,
    pub marker: FailureMarker<S>,
    /// Why the journal failed in an earlier run. The first new command must then be an engine-wide kill switch, and
    /// [`FailureMarker::clear`] be called once that is durable.
    pub previous_failure: Option<String>,
}

/// Opens the journal in `storage`, or begins one. Calls `fold` with every record after `after` (zero for all), in
/// order; refuses to where one was written under other rules. When it returns, all of them are durable, including those that the last run wrote and never synced.
///
/// # Panics
/// Where `settings.segment_bytes` is not a size that a segment may have.
pub fn open<S: Storage>(
    storage: S,
    settings: &Settings,
    after: Seq,
    mut fold: impl FnMut(&Sequenced<Command>),
) -> Result<Opened<S>, JournalError> {
    assert!(is_segment_size(settings.segment_bytes), "{settings:?}");
    let marker = FailureMarker::open(storage.clone())?;
    let previous_failure = marker.reason()?;
    remove_leftovers(&storage)?;
    let found = walk(&storage, after, |command| {
        fold(command);
        ControlFlow::Continue(())
    })?;
    let spares = match &settings.spares {
        SpareSegments::OnDemand => Spares::inline(storage.clone(), settings.segment_bytes),
        SpareSegments::Ahead { disk_low } => {
            Spares::helper(storage.clone(), settings.segment_bytes, Arc::clone(disk_low))?
        }
    };
    let mut target = Target {
        storage,
        spares,
        segment_bytes: settings.segment_bytes,
    };
    let walked = match found {
        Some(walked) => walked,
        None => begin_journal(&mut target, settings)?,
    };
    if walked.last_seq < after {
        return Err(JournalError::Missing {
            path: target.storage.path(""),
            wanted: after,
        });
    }
    let cleaned = clean_tail(&target.storage, &walked, previous_failure.is_some());
    if let Err(error) = &cleaned {
        // The next start has to know, for the kernel will not say it twice. Best effort: the disk has failed already.
        let _ = marker.record(&error.to_string());
    }
    cleaned?;
    let header = SegmentReader::open(&target.storage, walked.end.segment, WALK_CHUNK_BYTES)?.header;
    let mut appender = Appender::resume(target, &header, &walked.end)?;
    if header.semantics_version != SEMANTICS_VERSION {
        appender.leave_old_rules()?;
    }
    Ok(Opened {
        walked,
        appender,
        marker,
        previous_failure,
    })
}

fn begin_journal<S: Storage>(target: &mut Target<S>, settings: &Settings) -> Result<Walked, JournalError> {
    let header = SegmentHeader {
        semantics_version: SEMANTICS_VERSION,
        journal: settings.fresh_id,
        segment: 1,
        segment_bytes: settings.segment_bytes,
        first_seq: 1,
        chain: settings.fresh_id.chain_start(),
    };
    begin_segment(target, &header)?;
    let walked = walk(&target.storage, Seq::new(0), |_| ControlFlow::Continue(()))?;
    walked.ok_or_else(|| JournalError::Missing {
        path: target.storage.path(""),
        wanted: Seq::new(1),
    })
}

/// Removes a torn tail, completes a segment that lost its end, and makes everything before durable.
///
/// After a failed sync the kernel may believe that pages are clean which never reached the disk, and nobody may have
/// been able to note it. So the last batch is always written again; its bytes do not change. Where a failure was noted,
/// so are the zeros behind it, for the remains of a torn batch may still be there.
fn clean_tail<S: Storage>(storage: &S, walked: &Walked, failed: bool) -> Result<(), JournalError> {
    let name = segment_name(walked.end.segment);
    let header = SegmentReader::open(storage, walked.end.segment, WALK_CHUNK_BYTES)?.header;
    let clean = || {
        let file = storage.open(&name, Access::ReadWrite)?;
        let batch_bytes = walked.end.offset - walked.batch_offset;
        let mut batch = vec![0; usize::try_from(batch_bytes).map_err(std::io::Error::other)?];
        let read = file.read_full_at(&mut batch, walked.batch_offset)?;
        file.write_all_at(&batch[..read], walked.batch_offset)?;
        let torn_end = walked
            .torn
            .map_or(walked.end.offset, |torn| torn.offset + torn.bytes);
        let reach = if failed {
            walked.end.offset + BATCH_BYTES_MAX
        } else {
            0
        };
        let zeros_end = torn_end.max(reach).min(u64::from(header.segment_bytes));
        fill_with_zeros(&file, walked.end.offset, zeros_end, || false)?;
        let size = file.size()?.max(walked.end.offset);
        fill_with_zeros(&file, size, u64::from(header.segment_bytes), || false)?;
        file.sync_data()?;
        storage.sync_directory()
    };
    clean().context(storage, "clean the end of", &name)
}
