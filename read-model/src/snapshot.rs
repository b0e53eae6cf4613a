//! The whole read model as bytes, and back.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | layout version |
//! | 4 | 8 | length of the engine's own snapshot |
//! | 12 | | the engine's own snapshot, then history and definitions (postcard) |
//!
//! Whether the bytes are those that were written is for whoever keeps them to check.

use engine::{Engine, EventBuffer};
use serde::{Deserialize, Serialize};

use crate::definitions::Definitions;
use crate::history::History;
use crate::model::ReadModel;

/// Layout of the bytes. Another layout is refused.
const VERSION: u32 = 2;

/// Why bytes are not a read model.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("read model layout {0} is unknown")]
    Version(u32),
    #[error("the bytes are not a read model")]
    Malformed,
    #[error(transparent)]
    Engine(#[from] engine::RestoreError),
}

#[derive(Serialize)]
struct Saved<'a> {
    history: &'a History,
    definitions: &'a Definitions,
}

#[derive(Deserialize)]
struct Restored {
    history: History,
    definitions: Definitions,
}

impl ReadModel {
    /// The state after the last command folded.
    pub fn save(&self) -> Vec<u8> {
        let engine = self.engine.save();
        let mut bytes = Vec::with_capacity(2 * engine.len() + 1_024);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(engine.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&engine);
        let saved = Saved {
            history: &self.history,
            definitions: &self.definitions,
        };
        postcard::to_extend(&saved, bytes).expect("plain data is written into memory")
    }

    /// A model that goes on exactly like the one that was saved. The engine's state is checked against its hash and
    /// all invariants.
    pub fn restore(bytes: &[u8]) -> Result<ReadModel, RestoreError> {
        let (version, rest) = bytes.split_first_chunk().ok_or(RestoreError::Malformed)?;
        let version = u32::from_le_bytes(*version);
        if version != VERSION {
            return Err(RestoreError::Version(version));
        }
        let (len, rest) = rest.split_first_chunk().ok_or(RestoreError::Malformed)?;
        let len = usize::try_from(u64::from_le_bytes(*len)).map_err(|_| RestoreError::Malformed)?;
        let (engine, rest) = rest.split_at_checked(len).ok_or(RestoreError::Malformed)?;
        let engine = Engine::restore(engine)?;
        let restored: Restored = postcard::from_bytes(rest).map_err(|_| RestoreError::Malformed)?;
        Ok(ReadModel {
            capacity: engine.capacity(),
            engine,
            events: EventBuffer::new(),
            history: restored.history,
            definitions: restored.definitions,
        })
    }
}
