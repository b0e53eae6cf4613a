//! The data directory: where everything durable lives, and that only one server at a time writes there.
//!
//! ```text
//! data/           0700
//!   lock          held by the running server
//!   journal/      see crate::journal
//!   snapshots/    see crate::snapshot
//! ```

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::journal::Disk;

#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("another server is running on the data directory {}", path.display())]
    InUse { path: PathBuf },
    #[error("there is no journal in the data directory {}", path.display())]
    NoJournal { path: PathBuf },
}

/// A data directory that this process alone may write to. The lock goes with the value, or with the process.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Creates the directory where it is missing, and locks it.
    pub fn open(path: &Path) -> Result<DataDir, DataDirError> {
        let at = |action, path: &Path| {
            let path = path.to_owned();
            move |source| DataDirError::Io { action, path, source }
        };
        create_private(path).map_err(at("create", path))?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(at("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DataDirError::InUse {
                    path: path.to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(at("lock", &lock_path)(source)),
        }
        for name in ["journal", "snapshots"] {
            let directory = path.join(name);
            create_private(&directory).map_err(at("create", &directory))?;
        }
        Ok(DataDir {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn journal(&self) -> Disk {
        Disk::new(self.path.join("journal"))
    }

    pub fn snapshots(&self) -> Disk {
        Disk::new(self.path.join("snapshots"))
    }

    /// The snapshots of a data directory, for reading; `None` where there never were any.
    pub fn existing_snapshots(path: &Path) -> Option<Disk> {
        let snapshots = path.join("snapshots");
        snapshots.is_dir().then(|| Disk::new(snapshots))
    }

    /// The journal of a data directory, for reading: takes no lock and changes nothing.
    pub fn existing_journal(path: &Path) -> Result<Disk, DataDirError> {
        let journal = path.join("journal");
        if journal.is_dir() {
            Ok(Disk::new(journal))
        } else {
            Err(DataDirError::NoJournal {
                path: path.to_owned(),
            })
        }
    }
}

/// Creates a directory that only its owner may enter, with its parents, durably.
fn create_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_second_server_is_refused_until_the_first_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/data");
        assert!(matches!(
            DataDir::existing_journal(&path),
            Err(DataDirError::NoJournal { .. })
        ));
        let first = DataDir::open(&path).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o700
        );
        let second = DataDir::open(&path).unwrap_err();
        assert_eq!(
            second.to_string(),
            format!(
                "another server is running on the data directory {}",
                path.display()
            )
        );
        assert_eq!(
            DataDir::existing_journal(&path).unwrap().directory(),
            first.journal().directory()
        );
        drop(first);
        DataDir::open(&path).unwrap();
    }
}
