//! Appends records to the journal.

use engine::{Command, SEMANTICS_VERSION, Seq, Sequenced};

use super::error::{Context, JournalError};
use super::frame::{FrameHeader, framed_bytes, put_frame};
use super::header::{HEADER_BYTES, JournalId, SegmentHeader, segment_name};
use super::segment_reader::Position;
use super::spare::Spares;
use super::storage::{Access, Storage, StorageFile};
use crate::limits::{BLOCK_BYTES, PAYLOAD_BYTES_MAX};
use crate::record;

/// Where and how large the next segments are.
pub(super) struct Target<S: Storage> {
    pub(super) storage: S,
    pub(super) spares: Spares<S>,
    pub(super) segment_bytes: u32,
}

/// The one writer of a journal.
///
/// Records go from [`Appender::append`] (memory) through [`Appender::write`] (the file; other readers see them) to
/// [`Appender::sync`] (durable). A sync ends a batch; the next one begins on a fresh block, and on a fresh segment
/// where the present one is full.
///
/// After the first error every call fails with [`JournalError::Failed`]: what the disk holds is then unknown, and
/// only recovery can tell.
pub struct Appender<S: Storage> {
    target: Target<S>,
    journal: JournalId,
    segment: u32,
    segment_bytes: u32,
    file: S::File,
    /// Frames that have been appended and not written.
    buffer: Vec<u8>,
    record: Vec<u8>,
    /// Where in the file the buffer belongs.
    write_offset: u64,
    batch_offset: u64,
    next_index: u32,
    chain: u32,
    appended: u64,
    written: u64,
    durable: u64,
    failed: bool,
}

impl<S: Storage> Appender<S> {
    /// Goes on after the last record of a journal, whose tail is clean and synced.
    pub(super) fn resume(
        target: Target<S>,
        header: &SegmentHeader,
        end: &Position,
    ) -> Result<Appender<S>, JournalError> {
        let name = segment_name(end.segment);
        let file = target
            .storage
            .open(&name, Access::ReadWrite)
            .context(&target.storage, "open", &name)?;
        let offset = end.offset.next_multiple_of(BLOCK_BYTES);
        let seq = end.seq().get();
        Ok(Appender {
            target,
            journal: header.journal,
            segment: header.segment,
            segment_bytes: header.segment_bytes,
            file,
            buffer: Vec::with_capacity(1024 * 1024),
            record: Vec::with_capacity(PAYLOAD_BYTES_MAX),
            write_offset: offset,
            batch_offset: offset,
            next_index: 0,
            chain: end.chain,
            appended: seq,
            written: seq,
            durable: seq,
            failed: false,
        })
    }

    /// The last record that has been handed to the file: a [`super::Tailer`] may read up to it.
    pub fn written(&self) -> Seq {
        Seq::new(self.written)
    }

    /// The last record that survives a power cut.
    pub fn durable(&self) -> Seq {
        Seq::new(self.durable)
    }

    /// Bytes that the next sync has to make durable.
    pub fn unsynced_bytes(&self) -> u64 {
        self.write_offset + self.buffer.len() as u64 - self.batch_offset
    }

    /// Whether an earlier call failed.
    pub fn is_failed(&self) -> bool {
        self.failed
    }

    /// Takes the next record into memory. Changes the segment (and so syncs) where this one is full.
    ///
    /// # Panics
    /// Where `command.seq` is not the one after the last record.
    pub fn append(&mut self, command: &Sequenced<Command>) -> Result<(), JournalError> {
        assert_eq!(
            command.seq.get(),
            self.appended + 1,
            "commands reach the journal in sequence"
        );
        self.ensure_sound()?;
        self.record.clear();
        record::encode(command.time, &command.command, &mut self.record);
        let end = self.write_offset + (self.buffer.len() + framed_bytes(self.record.len())) as u64;
        if end > u64::from(self.segment_bytes) {
            let changed = self.change_segment();
            self.note(changed)?;
        }
        let header = FrameHeader {
            crc: 0,
            length: 0,
            seq: command.seq.get(),
            segment: self.segment,
            previous: self.chain,
            index: self.next_index,
        };
        self.chain = put_frame(header, &self.record, &mut self.buffer);
        self.next_index += 1;
        self.appended = command.seq.get();
        Ok(())
    }

    /// Hands all appended records to the file.
    pub fn write(&mut self) -> Result<(), JournalError> {
        self.ensure_sound()?;
        let written = self.write_buffer();
        self.note(written)
    }

    /// Makes all appended records durable, and ends the batch.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.ensure_sound()?;
        let synced = self.write_and_sync();
        self.note(synced)
    }

    fn ensure_sound(&self) -> Result<(), JournalError> {
        if self.failed {
            Err(JournalError::Failed)
        } else {
            Ok(())
        }
    }

    fn note(&mut self, result: Result<(), JournalError>) -> Result<(), JournalError> {
        self.failed |= result.is_err();
        result
    }

    fn write_buffer(&mut self) -> Result<(), JournalError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let frames = self.buffer.len();
        // Whole blocks, so that the kernel never has to read one in order to complete it.
        let end = (self.write_offset + frames as u64).next_multiple_of(BLOCK_BYTES);
        let padded = usize::try_from(end - self.write_offset).expect("a buffer's length");
        self.buffer.resize(padded, 0);
        let result = self.file.write_all_at(&self.buffer, self.write_offset);
        result.context(&self.target.storage, "write", &segment_name(self.segment))?;
        self.buffer.clear();
        self.write_offset += frames as u64;
        self.written = self.appended;
        Ok(())
    }

    fn write_and_sync(&mut self) -> Result<(), JournalError> {
        self.write_buffer()?;
        if self.durable == self.written {
            return Ok(());
        }
        let result = self.file.sync_data();
        result.context(&self.target.storage, "sync", &segment_name(self.segment))?;
        self.durable = self.written;
        self.write_offset = self.write_offset.next_multiple_of(BLOCK_BYTES);
        self.batch_offset = self.write_offset;
        self.next_index = 0;
        Ok(())
    }

    /// Begins a segment under the present rules, where the one that would go on has older ones.
    pub(super) fn leave_old_rules(&mut self) -> Result<(), JournalError> {
        let changed = self.change_segment();
        self.note(changed)
    }

    fn change_segment(&mut self) -> Result<(), JournalError> {
        self.write_and_sync()?;
        let header = SegmentHeader {
            semantics_version: SEMANTICS_VERSION,
            journal: self.journal,
            segment: self.segment + 1,
            segment_bytes: self.target.segment_bytes,
            first_seq: self.appended + 1,
            chain: self.chain,
        };
        self.file = begin_segment(&mut self.target, &header)?;
        self.segment = header.segment;
        self.segment_bytes = header.segment_bytes;
        self.write_offset = HEADER_BYTES as u64;
        self.batch_offset = self.write_offset;
        Ok(())
    }
}

impl<S: Storage> std::fmt::Debug for Appender<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Appender")
            .field("journal", &self.journal)
            .field("segment", &self.segment)
            .field("appended", &self.appended)
            .field("written", &self.written)
            .field("durable", &self.durable)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

/// Turns a spare into a segment. Its header is durable before its name is, so a segment without a whole header is
/// damaged, never half made.
pub(super) fn begin_segment<S: Storage>(
    target: &mut Target<S>,
    header: &SegmentHeader,
) -> Result<S::File, JournalError> {
    let (spare, file) = target.spares.take()?;
    let name = segment_name(header.segment);
    let storage = &target.storage;
    file.write_all_at(&header.encode(), 0)
        .context(storage, "write", &spare)?;
    file.sync_data().context(storage, "sync", &spare)?;
    storage.rename(&spare, &name).context(storage, "rename", &spare)?;
    storage.sync_directory().context(storage, "sync", "")?;
    Ok(file)
}
