//! The journal: what makes every decision of the engine durable, and what everything else is folded from.
//!
//! - [`record`]: one sequenced command as bytes.
//! - [`journal`]: the files: append, recover, walk, follow.
//! - [`writer`]: the thread that appends, and [`Progress`], which tells everyone how far it is.
//! - [`replica`]: the thread that folds the journal into the read model.
//! - [`snapshot`]: the read model in files, so that a start folds the tail only.
//! - [`DataDir`]: where all of it is, and that only one server is there.

pub mod bench;
mod data_dir;
pub mod journal;
pub mod limits;
mod progress;
pub mod projector;
pub mod record;
pub mod replica;
pub mod retention;
pub mod snapshot;
pub mod writer;

pub use data_dir::{ArchiveLock, DataDir, DataDirError};
pub use progress::{Ack, Progress};
