//! Follows a journal that is being written.

use engine::{Command, SEMANTICS_VERSION, Seq, Sequenced};

use super::error::{Flaw, JournalError, io_error};
use super::header::{JournalId, segment_name};
use super::segment_reader::{Position, Probe, SegmentReader};
use super::storage::Storage;
use super::walk::{first_segment, list_segments};
use crate::limits::TAIL_CHUNK_BYTES;
use crate::record;

/// Reads records in order, never further than its caller says. It needs no lock and no word from the writer but the
/// position up to which records have been written.
pub struct Tailer<S: Storage> {
    storage: S,
    reader: SegmentReader<S::File>,
    position: Position,
    /// Records up to this one had been written when the reader's window was filled.
    fresh_to: u64,
}

impl<S: Storage> Tailer<S> {
    /// From a place that recovery or a walk returned.
    pub fn at(storage: S, position: Position) -> Result<Tailer<S>, JournalError> {
        let reader = SegmentReader::open(&storage, position.segment, TAIL_CHUNK_BYTES)?;
        Ok(Tailer {
            storage,
            reader,
            position,
            fresh_to: 0,
        })
    }

    /// From the record after `after`, which must have been written already (or be zero). Finds the segment and skips
    /// what comes before.
    pub fn after(storage: S, after: Seq) -> Result<Tailer<S>, JournalError> {
        let segments = list_segments(&storage)?;
        let first = first_segment(&storage, &segments, after)?.ok_or_else(|| JournalError::Missing {
            path: storage.path(""),
            wanted: Seq::new(after.get() + 1),
        })?;
        let mut tailer = Tailer::at(storage, Position::start_of(&first.header))?;
        while tailer.skip(after)? {}
        Ok(tailer)
    }

    /// Passes the next record without a look into it, unless it is beyond `limit`; whether there was one.
    fn skip(&mut self, limit: Seq) -> Result<bool, JournalError> {
        if self.position.next_seq > limit.get() {
            return Ok(false);
        }
        loop {
            match self.reader.probe(&self.position) {
                Ok(Probe::Record { next, .. }) => {
                    self.position = next;
                    return Ok(true);
                }
                Ok(Probe::End) => self.enter_next_segment()?,
                Ok(Probe::Flawed(flaw)) => return Err(self.damaged(flaw)),
                Err(source) => {
                    let name = segment_name(self.position.segment);
                    return Err(io_error(&self.storage, "read", &name, source));
                }
            }
        }
    }

    /// The last record that was read.
    pub fn seq(&self) -> Seq {
        self.position.seq()
    }

    /// The journal's id, and the last record's place in its hash chain.
    pub fn chain(&self) -> (JournalId, u32) {
        (self.reader.header.journal, self.position.chain)
    }

    /// The next record, or `None` where that would be beyond `limit`. Every record up to `limit` must have been
    /// written; one that is not there is damage.
    pub fn next(&mut self, limit: Seq) -> Result<Option<Sequenced<Command>>, JournalError> {
        if self.position.next_seq > limit.get() {
            return Ok(None);
        }
        if self.position.next_seq > self.fresh_to {
            self.reader.forget();
            self.fresh_to = limit.get();
        }
        loop {
            let segment = self.position.segment;
            let version = self.reader.header.semantics_version;
            let path = |storage: &S| storage.path(&segment_name(segment));
            match self.reader.probe(&self.position) {
                Ok(Probe::Record { .. }) if version != SEMANTICS_VERSION => {
                    return Err(JournalError::unknown_semantics(path(&self.storage), version));
                }
                Ok(Probe::Record { at, next, payload }) => {
                    let seq = next.seq();
                    let command =
                        record::decode(seq, payload).map_err(|source| JournalError::Undecodable {
                            path: path(&self.storage),
                            offset: at,
                            seq,
                            source,
                        })?;
                    self.position = next;
                    return Ok(Some(command));
                }
                Ok(Probe::End) => self.enter_next_segment()?,
                Ok(Probe::Flawed(flaw)) => return Err(self.damaged(flaw)),
                Err(source) => return Err(io_error(&self.storage, "read", &segment_name(segment), source)),
            }
        }
    }

    fn enter_next_segment(&mut self) -> Result<(), JournalError> {
        let reader = SegmentReader::open(&self.storage, self.position.segment + 1, TAIL_CHUNK_BYTES)?;
        let header = &reader.header;
        if header.journal != self.reader.header.journal
            || header.first_seq != self.position.next_seq
            || header.chain != self.position.chain
        {
            return Err(self.damaged(Flaw::Gap));
        }
        self.position = Position::start_of(header);
        self.reader = reader;
        Ok(())
    }

    fn damaged(&self, flaw: Flaw) -> JournalError {
        JournalError::Damaged {
            path: self.storage.path(&segment_name(self.position.segment)),
            offset: self.position.offset,
            flaw,
        }
    }
}

impl<S: Storage> std::fmt::Debug for Tailer<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tailer")
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
