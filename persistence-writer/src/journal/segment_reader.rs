//! Reads one segment, record by record.

use std::io;

use engine::Seq;

use super::archive::SegmentFile;
use super::error::{Context, Flaw, JournalError};
use super::frame::{FRAME_HEADER_BYTES, FrameHeader, framed_bytes, is_intact};
use super::header::{FORMAT_VERSION, HEADER_BYTES, NotAHeader, SegmentHeader, segment_name};
use super::storage::{Storage, StorageFile};
use crate::limits::BLOCK_BYTES;

/// A place in the journal: after one record and before the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    pub(super) segment: u32,
    /// Where the last record's frame ended.
    pub(super) offset: u64,
    pub(super) next_seq: u64,
    /// Checksum of the last frame.
    pub(super) chain: u32,
    /// Place in its batch of the next record, if it continues the last one's batch.
    pub(super) next_index: u32,
}

impl Position {
    pub(super) fn start_of(header: &SegmentHeader) -> Position {
        Position {
            segment: header.segment,
            offset: HEADER_BYTES as u64,
            next_seq: header.first_seq,
            chain: header.chain,
            next_index: 0,
        }
    }

    fn after(frame: &FrameHeader, at: u64) -> Position {
        Position {
            segment: frame.segment,
            offset: at + framed_bytes(frame.length as usize) as u64,
            next_seq: frame.seq + 1,
            chain: frame.crc,
            next_index: frame.index + 1,
        }
    }

    /// Checksum of the last frame: the head of the hash chain, which every record before has a part in.
    pub fn chain(&self) -> u32 {
        self.chain
    }

    /// The record before this place; zero at the beginning of the journal.
    pub fn seq(&self) -> Seq {
        Seq::new(self.next_seq - 1)
    }
}

/// What stands at a position.
#[derive(Debug)]
pub(super) enum Probe<'a> {
    Record {
        /// Offset of the frame.
        at: u64,
        next: Position,
        payload: &'a [u8],
    },
    /// No record follows in this segment.
    End,
    /// Something that is not the next record.
    Flawed(Flaw),
}

pub(super) struct SegmentReader<F> {
    file: SegmentFile<F>,
    pub(super) header: SegmentHeader,
    window: Vec<u8>,
    /// Offset in the file of the window's first byte.
    window_start: u64,
    /// Bytes read at a time.
    chunk_bytes: usize,
}

impl<F: StorageFile> SegmentReader<F> {
    pub(super) fn open<S: Storage<File = F>>(
        storage: &S,
        segment: u32,
        chunk_bytes: usize,
    ) -> Result<SegmentReader<F>, JournalError> {
        let name = segment_name(segment);
        let mut file = SegmentFile::open(storage, segment)?;
        let mut block = vec![0; HEADER_BYTES];
        let read = file.read_full_at(&mut block, 0).context(storage, "read", &name)?;
        block.truncate(read);
        let path = storage.path(&name);
        let header = SegmentHeader::decode(&block).map_err(|why| match why {
            NotAHeader::Damaged => JournalError::Damaged {
                path: path.clone(),
                offset: 0,
                flaw: Flaw::Header,
            },
            NotAHeader::Format(found) => JournalError::UnknownFormat {
                path: path.clone(),
                found,
                known: FORMAT_VERSION,
            },
            NotAHeader::Semantics(found) => JournalError::unknown_semantics(path.clone(), found),
        })?;
        if header.segment != segment {
            return Err(JournalError::Damaged {
                path,
                offset: 0,
                flaw: Flaw::ForeignSegment,
            });
        }
        Ok(SegmentReader::with_header(file, header, chunk_bytes))
    }

    /// Trusts `header` instead of the file's own.
    pub(super) fn with_header(
        file: SegmentFile<F>,
        header: SegmentHeader,
        chunk_bytes: usize,
    ) -> SegmentReader<F> {
        SegmentReader {
            file,
            header,
            window: Vec::with_capacity(chunk_bytes),
            window_start: 0,
            chunk_bytes,
        }
    }

    /// What stands at `position`, which must be in this segment.
    pub(super) fn probe(&mut self, position: &Position) -> io::Result<Probe<'_>> {
        let mut at = position.offset;
        let mut frame = self.frame_header_at(at)?;
        if frame.length == 0 {
            let block = at.next_multiple_of(BLOCK_BYTES);
            let padding = usize::try_from(block - at).unwrap_or(0);
            if self.bytes(at, padding)?.iter().any(|&byte| byte != 0) {
                return Ok(Probe::Flawed(Flaw::Padding));
            }
            frame = self.frame_header_at(block)?;
            if block == at || frame.length == 0 {
                return Ok(Probe::End);
            }
            at = block;
        }
        let Some(len) = frame.bytes() else {
            return Ok(Probe::Flawed(Flaw::Length));
        };
        let begins_batch = frame.index == 0 && at.is_multiple_of(BLOCK_BYTES);
        let continues_batch = frame.index == position.next_index && at == position.offset;
        let segment = self.header.segment;
        let bytes = self.bytes(at, len)?;
        let flaw = match bytes.get(FRAME_HEADER_BYTES..len) {
            None => Flaw::Length,
            Some(_) if !is_intact(&frame, bytes) => Flaw::Checksum,
            Some(_) if frame.segment != segment => Flaw::ForeignSegment,
            Some(_) if frame.seq != position.next_seq || frame.previous != position.chain => Flaw::Sequence,
            Some(_) if !begins_batch && !continues_batch => Flaw::Batch,
            Some(payload) => {
                let next = Position::after(&frame, at);
                return Ok(Probe::Record { at, next, payload });
            }
        };
        Ok(Probe::Flawed(flaw))
    }

    /// The frame header at `at`, as if zeros followed the end of the segment.
    pub(super) fn frame_header_at(&mut self, at: u64) -> io::Result<FrameHeader> {
        let bytes = self.bytes(at, FRAME_HEADER_BYTES)?;
        Ok(match bytes.first_chunk() {
            Some(bytes) => FrameHeader::decode(bytes),
            None => {
                let mut padded = [0; FRAME_HEADER_BYTES];
                padded[..bytes.len()].copy_from_slice(bytes);
                FrameHeader::decode(&padded)
            }
        })
    }

    /// Whether a whole frame with a right checksum stands at `at`.
    pub(super) fn is_intact_at(&mut self, at: u64, frame: &FrameHeader) -> io::Result<bool> {
        match frame.bytes() {
            Some(len) => {
                let bytes = self.bytes(at, len)?;
                Ok(bytes.len() == len && is_intact(frame, bytes))
            }
            None => Ok(false),
        }
    }

    /// `len` bytes from `offset`; fewer at the end of the file or of the segment.
    pub(super) fn bytes(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        let cached = offset
            .checked_sub(self.window_start)
            .and_then(|start| usize::try_from(start).ok())
            .filter(|start| start + len <= self.window.len());
        let start = match cached {
            Some(start) => start,
            None => {
                self.fill_window(offset, len)?;
                0
            }
        };
        let end = self.window.len().min(start + len);
        Ok(&self.window[start..end])
    }

    fn fill_window(&mut self, offset: u64, len: usize) -> io::Result<()> {
        let room = u64::from(self.header.segment_bytes).saturating_sub(offset);
        let wanted = usize::try_from(room)
            .unwrap_or(usize::MAX)
            .min(self.chunk_bytes.max(len));
        self.window.resize(wanted, 0);
        self.window_start = offset;
        let read = self.file.read_full_at(&mut self.window, offset);
        self.window.truncate(*read.as_ref().unwrap_or(&0));
        read.map(|_| ())
    }

    /// Forgets what has been read: the writer may have written there since.
    pub(super) fn forget(&mut self) {
        self.window.clear();
    }
}
