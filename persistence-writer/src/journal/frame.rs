//! The frame around a record.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | CRC32C of all that follows, record included |
//! | 4 | 4 | length of the record, never 0 |
//! | 8 | 8 | sequence number |
//! | 16 | 4 | segment id |
//! | 20 | 4 | CRC32C field of the frame before it: the hash chain |
//! | 24 | 4 | place in its batch, from 0 |
//! | 28 | | record, then zeros up to the next multiple of 8 |
//!
//! Frames begin at multiples of 8, so CRC and length never straddle a block, and a length of 0 means that the rest of
//! the block is padding. The place in the batch is what tells a torn write from damage: a batch is only begun after
//! the one before it was synced (see [`super::walk`]).

use crate::limits::PAYLOAD_BYTES_MAX;

pub(super) const FRAME_HEADER_BYTES: usize = 28;
pub(super) const FRAME_ALIGN: u64 = 8;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FrameHeader {
    pub(super) crc: u32,
    pub(super) length: u32,
    pub(super) seq: u64,
    pub(super) segment: u32,
    pub(super) previous: u32,
    pub(super) index: u32,
}

impl FrameHeader {
    pub(super) fn decode(bytes: &[u8; FRAME_HEADER_BYTES]) -> FrameHeader {
        let u32_at = |offset: usize| {
            u32::from_le_bytes([
                bytes[offset],
                bytes[offset + 1],
                bytes[offset + 2],
                bytes[offset + 3],
            ])
        };
        FrameHeader {
            crc: u32_at(0),
            length: u32_at(4),
            seq: u64::from(u32_at(8)) | u64::from(u32_at(12)) << 32,
            segment: u32_at(16),
            previous: u32_at(20),
            index: u32_at(24),
        }
    }

    /// Bytes of header and record; `None` for a length that no frame has.
    pub(super) fn bytes(&self) -> Option<usize> {
        let length = usize::try_from(self.length).ok()?;
        (1..=PAYLOAD_BYTES_MAX)
            .contains(&length)
            .then_some(FRAME_HEADER_BYTES + length)
    }

    /// Sequence number of the first frame of its batch.
    pub(super) fn batch_seq(&self) -> u64 {
        self.seq.saturating_sub(u64::from(self.index))
    }
}

/// Whether the checksum of a whole frame (header and record) is right.
pub(super) fn is_intact(header: &FrameHeader, frame: &[u8]) -> bool {
    frame
        .get(4..)
        .is_some_and(|covered| crc32c::crc32c(covered) == header.crc)
}

/// Bytes that a frame with this record takes in a segment.
pub(super) const fn framed_bytes(record_bytes: usize) -> usize {
    (FRAME_HEADER_BYTES + record_bytes).next_multiple_of(FRAME_ALIGN as usize)
}

/// Appends a frame with its padding to `out`. `header.crc` and `header.length` are ignored; returns the checksum.
///
/// # Panics
/// Where the record is empty or longer than [`PAYLOAD_BYTES_MAX`].
pub(super) fn put_frame(header: FrameHeader, record: &[u8], out: &mut Vec<u8>) -> u32 {
    assert!(
        (1..=PAYLOAD_BYTES_MAX).contains(&record.len()),
        "a record of {} bytes",
        record.len()
    );
    let start = out.len();
    let mut fields = [0_u8; FRAME_HEADER_BYTES];
    fields[4..8].copy_from_slice(&(record.len() as u32).to_le_bytes());
    fields[8..16].copy_from_slice(&header.seq.to_le_bytes());
    fields[16..20].copy_from_slice(&header.segment.to_le_bytes());
    fields[20..24].copy_from_slice(&header.previous.to_le_bytes());
    fields[24..28].copy_from_slice(&header.index.to_le_bytes());
    out.extend_from_slice(&fields);
    out.extend_from_slice(record);
    let crc = crc32c::crc32c(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
    out.resize(start + framed_bytes(record.len()), 0);
    crc
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The frame of format 1, byte for byte.
    #[test]
    fn golden_frame() {
        let header = FrameHeader {
            crc: 0,
            length: 0,
            seq: 0x0102_0304_0506_0708,
            segment: 9,
            previous: 0xaabb_ccdd,
            index: 2,
        };
        let mut bytes = vec![0xee; 8];
        let crc = put_frame(header, b"record", &mut bytes);
        let frame = &bytes[8..];
        assert_eq!(frame.len(), 40);
        assert_eq!(frame[..4], crc.to_le_bytes());
        assert_eq!(
            frame[4..],
            *b"\x06\0\0\0\x08\x07\x06\x05\x04\x03\x02\x01\x09\0\0\0\xdd\xcc\xbb\xaa\x02\0\0\0record\0\0\0\0\0\0"
        );
        // CRC32C, independently: reflected polynomial 0x82f63b78, bit by bit.
        let mut expected = u32::MAX;
        for byte in &frame[4..34] {
            expected ^= u32::from(*byte);
            for _ in 0..8 {
                expected = (expected >> 1) ^ (0x82f6_3b78 & (expected & 1).wrapping_neg());
            }
        }
        assert_eq!(crc, !expected);
        let decoded = FrameHeader::decode(frame.first_chunk().unwrap());
        assert_eq!(
            decoded,
            FrameHeader {
                crc,
                length: 6,
                ..header
            }
        );
        assert_eq!(decoded.bytes(), Some(34));
        assert_eq!(decoded.batch_seq(), 0x0102_0304_0506_0706);
        assert!(is_intact(&decoded, &frame[..34]));
        assert!(!is_intact(&decoded, &frame[..33]));
    }
}
