//! The failure marker: one preallocated block that says why the journal failed.
//!
//! It is written when a write or a sync has failed, and read at the next start, which then begins with an engine-wide
//! kill switch. Its block is allocated beforehand, so that a full disk does not stop it.

use super::error::{Context, JournalError};
use super::spare::fill_with_zeros;
use super::storage::{Access, Storage, StorageFile};
use crate::limits::{BLOCK_BYTES, FAILURE_REASON_BYTES_MAX};

const NAME: &str = "failed";

pub struct FailureMarker<S: Storage> {
    storage: S,
    file: S::File,
}

impl<S: Storage> FailureMarker<S> {
    /// Opens the marker, or creates an empty one.
    pub(super) fn open(storage: S) -> Result<FailureMarker<S>, JournalError> {
        let names = storage.list().context(&storage, "list", "")?;
        let exists = names.iter().any(|name| name == NAME);
        let file = if exists {
            storage.open(NAME, Access::ReadWrite)
        } else {
            storage.create(NAME)
        };
        let file = file.context(&storage, "open", NAME)?;
        let marker = FailureMarker { storage, file };
        let size = marker.file.size().context(&marker.storage, "open", NAME)?;
        fill_with_zeros(&marker.file, size, BLOCK_BYTES, || false)
            .and_then(|()| marker.storage.sync_directory())
            .context(&marker.storage, "create", NAME)?;
        Ok(marker)
    }

    /// Why the journal failed in an earlier run; `None` where it did not.
    pub fn reason(&self) -> Result<Option<String>, JournalError> {
        let mut block = vec![0; BLOCK_BYTES as usize];
        let read = self
            .file
            .read_full_at(&mut block, 0)
            .context(&self.storage, "read", NAME)?;
        block.truncate(read);
        let used = block.iter().rposition(|&byte| byte != 0).map(|last| last + 1);
        Ok(used.map(|used| String::from_utf8_lossy(&block[..used]).into_owned()))
    }

    /// Writes the marker. Best effort: the disk has failed already.
    pub fn record(&self, reason: &str) -> Result<(), JournalError> {
        let mut block = reason.as_bytes().to_vec();
        block.truncate(FAILURE_REASON_BYTES_MAX);
        if block.is_empty() {
            block.push(b'?');
        }
        block.resize(BLOCK_BYTES as usize, 0);
        self.overwrite(&block)
    }

    /// Forgets the failure. To be called when what must follow from it (the kill switch) is itself durable.
    pub fn clear(&self) -> Result<(), JournalError> {
        self.overwrite(&[0; BLOCK_BYTES as usize])
    }

    fn overwrite(&self, block: &[u8]) -> Result<(), JournalError> {
        self.file
            .write_all_at(block, 0)
            .and_then(|()| self.file.sync_data())
            .context(&self.storage, "write", NAME)
    }
}

impl<S: Storage> std::fmt::Debug for FailureMarker<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FailureMarker").finish_non_exhaustive()
    }
}
