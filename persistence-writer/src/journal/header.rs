//! The header of a segment: its first block.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `PINIONJL` |
//! | 8 | 4 | format version: of this header, of frames and of records |
//! | 12 | 4 | semantics version: the engine's rules under which the records were written |
//! | 16 | 16 | journal id |
//! | 32 | 4 | segment id, from 1 without gaps |
//! | 36 | 4 | size of the segment in bytes, a multiple of the block |
//! | 40 | 8 | sequence number of the first record |
//! | 48 | 4 | checksum of the frame before the first (its place in the hash chain) |
//! | 52 | 4,040 | zeros |
//! | 4,092 | 4 | CRC32C of all of the above |
//!
//! Magic, versions and checksum keep their places in every future format, so that any version can say what it found.

use engine::SEMANTICS_VERSION;

use crate::limits::{BLOCK_BYTES, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};

/// Format version that this crate writes and reads.
pub const FORMAT_VERSION: u32 = 1;

pub(super) const HEADER_BYTES: usize = 4_096;
const CRC_OFFSET: usize = HEADER_BYTES - 4;
const MAGIC: [u8; 8] = *b"PINIONJL";

const _: () = assert!(HEADER_BYTES as u64 == BLOCK_BYTES);

/// Sixteen random bytes that tell one journal from another.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct JournalId([u8; 16]);

impl JournalId {
    pub const fn from_bytes(bytes: [u8; 16]) -> JournalId {
        JournalId(bytes)
    }

    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// From the operating system.
    pub fn random() -> std::io::Result<JournalId> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        Ok(JournalId(bytes))
    }

    /// What stands before the first frame of a journal in its hash chain.
    pub(super) fn chain_start(self) -> u32 {
        crc32c::crc32c(&self.0)
    }
}

impl std::fmt::Display for JournalId {
    /// Thirty-two hexadecimal digits.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl std::fmt::Debug for JournalId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SegmentHeader {
    pub(super) semantics_version: u32,
    pub(super) journal: JournalId,
    pub(super) segment: u32,
    pub(super) segment_bytes: u32,
    pub(super) first_seq: u64,
    pub(super) chain: u32,
}

/// Why a block is not a header that this version can read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NotAHeader {
    Damaged,
    Format(u32),
    Semantics(u32),
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut block = Vec::with_capacity(HEADER_BYTES);
        block.extend_from_slice(&MAGIC);
        block.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        block.extend_from_slice(&self.semantics_version.to_le_bytes());
        block.extend_from_slice(&self.journal.bytes());
        block.extend_from_slice(&self.segment.to_le_bytes());
        block.extend_from_slice(&self.segment_bytes.to_le_bytes());
        block.extend_from_slice(&self.first_seq.to_le_bytes());
        block.extend_from_slice(&self.chain.to_le_bytes());
        block.resize(CRC_OFFSET, 0);
        let crc = crc32c::crc32c(&block);
        block.extend_from_slice(&crc.to_le_bytes());
        block
    }

    pub(super) fn decode(block: &[u8]) -> Result<SegmentHeader, NotAHeader> {
        let whole = block.len() == HEADER_BYTES && block.starts_with(&MAGIC);
        if !whole || crc32c::crc32c(&block[..CRC_OFFSET]) != u32_at(block, CRC_OFFSET) {
            return Err(NotAHeader::Damaged);
        }
        let format = u32_at(block, 8);
        if format != FORMAT_VERSION {
            return Err(NotAHeader::Format(format));
        }
        let mut journal = [0; 16];
        journal.copy_from_slice(&block[16..32]);
        let header = SegmentHeader {
            semantics_version: u32_at(block, 12),
            journal: JournalId(journal),
            segment: u32_at(block, 32),
            segment_bytes: u32_at(block, 36),
            first_seq: u64_at(block, 40),
            chain: u32_at(block, 48),
        };
        // Older rules are not replayed, but the chain leads through their segments.
        if header.semantics_version > SEMANTICS_VERSION {
            return Err(NotAHeader::Semantics(header.semantics_version));
        }
        let possible = is_segment_size(header.segment_bytes)
            && (1..u64::MAX / 2).contains(&header.first_seq)
            && (1..u32::MAX).contains(&header.segment);
        if possible {
            Ok(header)
        } else {
            Err(NotAHeader::Damaged)
        }
    }
}

/// Whether a segment may have this size.
pub(super) const fn is_segment_size(bytes: u32) -> bool {
    bytes >= SEGMENT_BYTES_MIN && bytes <= SEGMENT_BYTES_MAX && (bytes as u64).is_multiple_of(BLOCK_BYTES)
}

/// The file of a segment.
pub(super) fn segment_name(segment: u32) -> String {
    format!("{segment:010}.segment")
}

/// The id in a segment's file name; `None` for any other file.
pub(super) fn segment_of(name: &str) -> Option<u32> {
    let segment = name.strip_suffix(".segment")?.parse().ok()?;
    (segment_name(segment) == name).then_some(segment)
}

/// The file of a segment's archive.
pub(super) fn archive_name(segment: u32) -> String {
    format!("{segment:010}.segment.zst")
}

/// The id in an archive's file name; `None` for any other file.
pub(super) fn archive_of(name: &str) -> Option<u32> {
    segment_of(name.strip_suffix(".zst")?)
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_le_bytes(field)
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[offset..offset + 8]);
    u64::from_le_bytes(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: SegmentHeader = SegmentHeader {
        semantics_version: SEMANTICS_VERSION,
        journal: JournalId::from_bytes(*b"0123456789abcdef"),
        segment: 7,
        segment_bytes: 65_536,
        first_seq: 1_000,
        chain: 0xdead_beef,
    };

    /// The header of format 1, byte for byte.
    #[test]
    fn golden_header() {
        let block = HEADER.encode();
        let expected = b"PINIONJL\x01\0\0\0\x01\0\0\x000123456789abcdef\x07\0\0\0\0\0\x01\0\
                         \xe8\x03\0\0\0\0\0\0\xef\xbe\xad\xde";
        assert_eq!(block.len(), HEADER_BYTES);
        assert_eq!(block[..52], expected[..]);
        assert!(block[52..CRC_OFFSET].iter().all(|&byte| byte == 0));
        assert_eq!(SegmentHeader::decode(&block), Ok(HEADER));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let block = HEADER.encode();
        for bit in 0..HEADER_BYTES * 8 {
            let mut flipped = block.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                SegmentHeader::decode(&flipped),
                Err(NotAHeader::Damaged),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn other_versions_are_named() {
        let with = |offset: usize, version: u32| {
            let mut block = HEADER.encode();
            block[offset..offset + 4].copy_from_slice(&version.to_le_bytes());
            let crc = crc32c::crc32c(&block[..CRC_OFFSET]);
            block[CRC_OFFSET..].copy_from_slice(&crc.to_le_bytes());
            SegmentHeader::decode(&block)
        };
        assert_eq!(with(8, 2), Err(NotAHeader::Format(2)));
        assert_eq!(with(12, 9), Err(NotAHeader::Semantics(9)));
        assert_eq!(with(36, 4_097), Err(NotAHeader::Damaged));
    }

    #[test]
    fn names_are_ids() {
        assert_eq!(segment_of(&segment_name(12)), Some(12));
        for other in [
            "12.segment",
            "spare",
            "+000000001.segment",
            "0000000012.segment.bak",
        ] {
            assert_eq!(segment_of(other), None, "{other}");
        }
    }
}
