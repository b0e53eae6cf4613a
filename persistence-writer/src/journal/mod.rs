//! The journal: an append-only sequence of records in segments of fixed size.
//!
//! ```text
//! 0000000001.segment   header block │ batch │ batch │ … │ zeros
//! 0000000002.segment   header block │ batch │ …
//! spare-3              zeros: the next segment, ready
//! failed               the failure marker
//! ```
//!
//! A batch is what one sync made durable: frames back to back ([`frame`]), beginning on a fresh block. Every frame
//! carries a checksum, its sequence number, its segment and the checksum of the frame before it, so a record can be
//! neither changed, dropped, moved nor taken from another journal unnoticed. A segment is begun only when the one
//! before it is complete and durable, and its own header is durable before it has its name ([`header`]).
//!
//! What follows from that for reading is written at [`walk`].

mod appender;
mod archive;
mod error;
mod failure_marker;
mod frame;
mod header;
mod prune;
mod recovery;
mod repair;
mod segment_reader;
mod simulated_disk;
mod spare;
mod storage;
mod tailer;
#[cfg(test)]
mod tests;
mod walk;

pub use appender::Appender;
pub use archive::{Archived, archive_closed};
pub use error::{Flaw, JournalError};
pub use failure_marker::FailureMarker;
pub use header::{FORMAT_VERSION, JournalId};
pub use prune::{Floor, Prunable, PrunePlan, floor, prunable, prune, start};
pub use recovery::{Opened, Settings, SpareSegments, open};
pub use repair::{Lost, Remedy, Repair, apply as repair, survey};
pub use segment_reader::Position;
pub use simulated_disk::{Fault, SimulatedDisk};
pub use storage::{Access, Disk, Storage, StorageFile};
pub use tailer::Tailer;
pub use walk::{TornTail, Walked, chain_at, walk, walk_as_far_as_possible};
