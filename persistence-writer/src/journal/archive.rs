//! Archives: closed segments, compressed, that are read like segments.
//!
//! `0000000001.segment.zst` is a Zstandard file in the "seekable" form: frames of [`ARCHIVE_CHUNK_BYTES`] of the segment
//! each, with a checksum each, then a skippable frame with their sizes. So any part can be read alone, in bounded
//! memory, and `zstd -d` gives back the very segment.
//!
//! | seek table: offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic of a skippable frame, `0x184D2A5E` |
//! | 4 | 4 | bytes that follow |
//! | 8 | 8 × frames | compressed size, plain size |
//! | | 4 | frames |
//! | | 1 | 0 |
//! | | 4 | `0x8F92EAB1` |
//!
//! A segment is archived when a later one exists: it will never be written again. Its chain is verified first; the
//! archive is written beside it, synced, read back and compared, and only then named; the segment is removed when the
//! name is durable. Whatever happens in between, one of the two is whole, and a reader takes the segment while it is
//! there.

use std::io;

use engine::Seq;
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

use super::error::{Context, Flaw, JournalError};
use super::header::{archive_name, archive_of, segment_name, segment_of};
use super::segment_reader::{Position, Probe, SegmentReader};
use super::storage::{Access, Storage, StorageFile};
use super::walk::list_segments;
use crate::limits::{ARCHIVE_CHUNK_BYTES, ARCHIVE_FRAME_BYTES_MAX, ARCHIVE_LEVEL, SEGMENT_BYTES_MAX};

/// The archive while it is written.
const UNFINISHED: &str = "archive-unfinished";
const SKIPPABLE_MAGIC: u32 = 0x184d_2a5e;
const SEEK_TABLE_MAGIC: u32 = 0x8f92_eab1;
const SKIPPABLE_HEADER_BYTES: usize = 8;
const ENTRY_BYTES: usize = 8;
const FOOTER_BYTES: usize = 9;
const FRAMES_MAX: usize = (SEGMENT_BYTES_MAX as usize).div_ceil(ARCHIVE_CHUNK_BYTES);

/// A segment that is now an archive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Archived {
    pub segment: u32,
    pub first_seq: Seq,
    pub records: u64,
    /// Size of the segment.
    pub segment_bytes: u64,
    /// Size of its archive.
    pub archive_bytes: u64,
}

/// Archives every closed segment that is not yet, the oldest first, and shows each. The caller keeps others from
/// archiving, pruning and repairing; the journal's writer and readers need not stop.
pub fn archive_closed<S: Storage>(storage: &S, mut show: impl FnMut(&Archived)) -> Result<(), JournalError> {
    remove_unfinished(storage)?;
    let segments = list_segments(storage)?;
    for pair in segments.windows(2) {
        let (segment, next) = (pair[0], pair[1]);
        if !exists(storage, &segment_name(segment))? {
            continue;
        }
        let (first_seq, records) = check_closed(storage, segment, next)?;
        if !has_whole_archive(storage, segment)? {
            write_archive(storage, segment)?;
        }
        let name = segment_name(segment);
        let file = storage
            .open(&name, Access::Read)
            .context(storage, "open", &name)?;
        let segment_bytes = file.size().context(storage, "read", &name)?;
        drop(file);
        storage
            .remove(&name)
            .and_then(|()| storage.sync_directory())
            .context(storage, "remove", &name)?;
        let name = archive_name(segment);
        let file = storage
            .open(&name, Access::Read)
            .context(storage, "open", &name)?;
        show(&Archived {
            segment,
            first_seq,
            records,
            segment_bytes,
            archive_bytes: file.size().context(storage, "read", &name)?,
        });
    }
    Ok(())
}

pub(super) fn exists<S: Storage>(storage: &S, name: &str) -> Result<bool, JournalError> {
    let names = storage.list().context(storage, "list", "")?;
    Ok(names.iter().any(|found| found == name))
}

fn remove_unfinished<S: Storage>(storage: &S) -> Result<(), JournalError> {
    if exists(storage, UNFINISHED)? {
        storage
            .remove(UNFINISHED)
            .context(storage, "remove", UNFINISHED)?;
    }
    Ok(())
}

/// Reads a closed segment record by record up to the header of the next. Returns its first record and their count.
fn check_closed<S: Storage>(storage: &S, segment: u32, next: u32) -> Result<(Seq, u64), JournalError> {
    let mut reader = SegmentReader::open(storage, segment, ARCHIVE_CHUNK_BYTES)?;
    let name = segment_name(segment);
    let mut position = Position::start_of(&reader.header);
    let damaged = |position: &Position, flaw| JournalError::Damaged {
        path: storage.path(&name),
        offset: position.offset,
        flaw,
    };
    loop {
        match reader.probe(&position).context(storage, "read", &name)? {
            Probe::Record { next, .. } => position = next,
            Probe::End => break,
            Probe::Flawed(flaw) => return Err(damaged(&position, flaw)),
        }
    }
    let following = SegmentReader::open(storage, next, ARCHIVE_CHUNK_BYTES)?.header;
    let continues = next == segment + 1
        && following.journal == reader.header.journal
        && following.first_seq == position.next_seq
        && following.chain == position.chain;
    if !continues {
        return Err(damaged(&position, Flaw::Gap));
    }
    let first = reader.header.first_seq;
    Ok((Seq::new(first), position.next_seq - first))
}

/// Whether an earlier run left an archive that holds exactly this segment. One that does not is removed.
fn has_whole_archive<S: Storage>(storage: &S, segment: u32) -> Result<bool, JournalError> {
    let name = archive_name(segment);
    if !exists(storage, &name)? {
        return Ok(false);
    }
    match compare(storage, segment, &name) {
        Ok(true) => Ok(true),
        Ok(false) | Err(JournalError::Damaged { .. }) => {
            storage.remove(&name).context(storage, "remove", &name)?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

fn write_archive<S: Storage>(storage: &S, segment: u32) -> Result<(), JournalError> {
    let plain_name = segment_name(segment);
    let plain = storage
        .open(&plain_name, Access::Read)
        .context(storage, "open", &plain_name)?;
    storage
        .create(UNFINISHED)
        .and_then(|file| {
            pack(&plain, &file)?;
            file.sync_data()
        })
        .context(storage, "write", UNFINISHED)?;
    if !compare(storage, segment, UNFINISHED)? {
        return Err(JournalError::Damaged {
            path: storage.path(UNFINISHED),
            offset: 0,
            flaw: Flaw::Archive,
        });
    }
    let name = archive_name(segment);
    storage
        .rename(UNFINISHED, &name)
        .and_then(|()| storage.sync_directory())
        .context(storage, "write", &name)
}

/// Whether the archive `name` gives back the segment, byte for byte.
fn compare<S: Storage>(storage: &S, segment: u32, name: &str) -> Result<bool, JournalError> {
    let plain_name = segment_name(segment);
    let plain = storage
        .open(&plain_name, Access::Read)
        .context(storage, "open", &plain_name)?;
    let archive = storage.open(name, Access::Read).context(storage, "open", name)?;
    let mut archive = Archive::open(archive, segment).context(storage, "read", name)?;
    if plain.size().context(storage, "read", &plain_name)? != archive.size() {
        return Ok(false);
    }
    let (mut a, mut b) = (vec![0; ARCHIVE_CHUNK_BYTES], vec![0; ARCHIVE_CHUNK_BYTES]);
    let mut offset = 0;
    while offset < archive.size() {
        let read = plain
            .read_full_at(&mut a, offset)
            .context(storage, "read", &plain_name)?;
        let unpacked = archive
            .read_full_at(&mut b, offset)
            .context(storage, "read", name)?;
        if a.get(..read) != b.get(..unpacked) || read == 0 {
            return Ok(false);
        }
        offset += read as u64;
    }
    Ok(true)
}

/// Writes the archive of a whole file.
fn pack<F: StorageFile>(plain: &F, archive: &F) -> io::Result<()> {
    let mut compressor = Compressor::new(ARCHIVE_LEVEL)?;
    compressor.set_parameter(CParameter::ChecksumFlag(true))?;
    let mut chunk = vec![0; ARCHIVE_CHUNK_BYTES];
    let (mut from, mut to) = (0_u64, 0_u64);
    let mut table = Vec::new();
    loop {
        let read = plain.read_full_at(&mut chunk, from)?;
        if read == 0 {
            break;
        }
        let frame = compressor.compress(chunk.get(..read).unwrap_or_default())?;
        archive.write_all_at(&frame, to)?;
        table.extend_from_slice(&length(frame.len())?.to_le_bytes());
        table.extend_from_slice(&length(read)?.to_le_bytes());
        from += read as u64;
        to += frame.len() as u64;
    }
    let frames = table.len() / ENTRY_BYTES;
    let mut seek = Vec::with_capacity(SKIPPABLE_HEADER_BYTES + table.len() + FOOTER_BYTES);
    seek.extend_from_slice(&SKIPPABLE_MAGIC.to_le_bytes());
    seek.extend_from_slice(&length(table.len() + FOOTER_BYTES)?.to_le_bytes());
    seek.extend_from_slice(&table);
    seek.extend_from_slice(&length(frames)?.to_le_bytes());
    seek.push(0);
    seek.extend_from_slice(&SEEK_TABLE_MAGIC.to_le_bytes());
    archive.write_all_at(&seek, to)
}

fn length(bytes: usize) -> io::Result<u32> {
    u32::try_from(bytes).map_err(io::Error::other)
}

/// The bytes of an archive are not an archive. Travels as an [`io::Error`] through the readers of segments.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the archive of segment {segment} cannot be unpacked at offset {offset}")]
pub(super) struct BadArchive {
    pub(super) segment: u32,
    /// In the archive.
    pub(super) offset: u64,
}

/// One frame of an archive.
#[derive(Clone, Copy, Debug)]
struct Frame {
    at: u64,
    packed_bytes: usize,
    /// In the segment.
    start: u64,
    bytes: usize,
}

/// An archive that is read like the segment that it holds.
pub(super) struct Archive<F> {
    file: F,
    segment: u32,
    frames: Vec<Frame>,
    decompressor: Decompressor<'static>,
    /// The frame that was unpacked last, and its bytes.
    unpacked: Option<usize>,
    bytes: Vec<u8>,
    packed: Vec<u8>,
}

impl<F: StorageFile> Archive<F> {
    pub(super) fn open(file: F, segment: u32) -> io::Result<Archive<F>> {
        let size = file.size()?;
        let frames = read_seek_table(&file, size)?;
        let frames = frames.ok_or_else(|| bad(segment, size))?;
        Ok(Archive {
            file,
            segment,
            frames,
            decompressor: Decompressor::new()?,
            unpacked: None,
            bytes: Vec::new(),
            packed: Vec::new(),
        })
    }

    /// Of the segment.
    pub(super) fn size(&self) -> u64 {
        self.frames
            .last()
            .map_or(0, |frame| frame.start + frame.bytes as u64)
    }

    /// Fills the buffer from the segment's bytes at `offset`, or stops at its end; returns the bytes read.
    pub(super) fn read_full_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            let at = offset + filled as u64;
            let index = self
                .frames
                .partition_point(|frame| frame.start + frame.bytes as u64 <= at);
            let Some(&frame) = self.frames.get(index) else {
                break;
            };
            self.unpack(index, frame)?;
            let from = usize::try_from(at - frame.start).map_err(io::Error::other)?;
            let wanted = (buffer.len() - filled).min(frame.bytes - from);
            buffer[filled..filled + wanted].copy_from_slice(&self.bytes[from..from + wanted]);
            filled += wanted;
        }
        Ok(filled)
    }

    fn unpack(&mut self, index: usize, frame: Frame) -> io::Result<()> {
        if self.unpacked == Some(index) {
            return Ok(());
        }
        self.unpacked = None;
        self.packed.resize(frame.packed_bytes, 0);
        let read = self.file.read_full_at(&mut self.packed, frame.at)?;
        self.bytes.resize(frame.bytes, 0);
        let unpacked = self
            .decompressor
            .decompress_to_buffer(&self.packed, &mut self.bytes);
        if read != frame.packed_bytes || unpacked.ok() != Some(frame.bytes) {
            return Err(bad(self.segment, frame.at));
        }
        self.unpacked = Some(index);
        Ok(())
    }
}

fn bad(segment: u32, offset: u64) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, BadArchive { segment, offset })
}

/// The frames, where the end of the file is a seek table that accounts for every byte of it.
fn read_seek_table<F: StorageFile>(file: &F, size: u64) -> io::Result<Option<Vec<Frame>>> {
    let mut footer = [0; FOOTER_BYTES];
    let Some(footer_at) = size.checked_sub(FOOTER_BYTES as u64) else {
        return Ok(None);
    };
    file.read_full_at(&mut footer, footer_at)?;
    let count = u32_at(&footer, 0) as usize;
    if u32_at(&footer, 5) != SEEK_TABLE_MAGIC || footer[4] != 0 || count > FRAMES_MAX {
        return Ok(None);
    }
    let table_bytes = SKIPPABLE_HEADER_BYTES + count * ENTRY_BYTES;
    let Some(table_at) = footer_at.checked_sub(table_bytes as u64) else {
        return Ok(None);
    };
    let mut table = vec![0; table_bytes];
    file.read_full_at(&mut table, table_at)?;
    let (head, entries) = table.split_at(SKIPPABLE_HEADER_BYTES);
    let follow = (entries.len() + FOOTER_BYTES) as u64;
    if u32_at(head, 0) != SKIPPABLE_MAGIC || u64::from(u32_at(head, 4)) != follow {
        return Ok(None);
    }
    let mut frames = Vec::with_capacity(count);
    let (mut at, mut start) = (0, 0);
    for entry in entries.chunks_exact(ENTRY_BYTES) {
        let (packed_bytes, bytes) = (u32_at(entry, 0) as usize, u32_at(entry, 4) as usize);
        if packed_bytes > ARCHIVE_FRAME_BYTES_MAX || !(1..=ARCHIVE_CHUNK_BYTES).contains(&bytes) {
            return Ok(None);
        }
        frames.push(Frame {
            at,
            packed_bytes,
            start,
            bytes,
        });
        at += packed_bytes as u64;
        start += bytes as u64;
    }
    Ok((at == table_at).then_some(frames))
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_le_bytes(field)
}

/// The id of a segment by the name of its file or of its archive; `None` for any other file.
pub(super) fn segment_or_archive_of(name: &str) -> Option<u32> {
    segment_of(name).or_else(|| archive_of(name))
}

/// The bytes of a segment, whichever file has them.
pub(super) enum SegmentFile<F> {
    Plain(F),
    Archived(Archive<F>),
}

impl<F: StorageFile> SegmentFile<F> {
    /// The segment's own file, or its archive where that is gone.
    pub(super) fn open<S: Storage<File = F>>(
        storage: &S,
        segment: u32,
    ) -> Result<SegmentFile<F>, JournalError> {
        let name = segment_name(segment);
        match storage.open(&name, Access::Read) {
            Ok(file) => return Ok(SegmentFile::Plain(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).context(storage, "open", &name),
        }
        let archive = archive_name(segment);
        match storage.open(&archive, Access::Read) {
            Ok(file) => Archive::open(file, segment)
                .map(SegmentFile::Archived)
                .context(storage, "read", &archive),
            // What is missing is the segment.
            Err(error) => Err(error).context(storage, "open", &name),
        }
    }

    pub(super) fn size(&self) -> io::Result<u64> {
        match self {
            SegmentFile::Plain(file) => file.size(),
            SegmentFile::Archived(archive) => Ok(archive.size()),
        }
    }

    pub(super) fn read_full_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            SegmentFile::Plain(file) => file.read_full_at(buffer, offset),
            SegmentFile::Archived(archive) => archive.read_full_at(buffer, offset),
        }
    }
}

#[cfg(test)]
mod tests;
