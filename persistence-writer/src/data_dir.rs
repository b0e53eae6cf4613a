//! The data directory: where everything durable lives, and that only one server at a time writes there.
//!
//! ```text
//! data/           0700
//!   lock          held by the running server
//!   archive.lock  held by whoever archives, prunes or repairs
//!   journal/      see crate::journal
//!   snapshots/    see crate::snapshot
//!   tables-snapshots/   the same of the tables' fold
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
    #[error("another program archives, prunes or repairs the journal in {}", path.display())]
    ArchivesInUse { path: PathBuf },
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
        let lock = lock_file(&path.join("lock"))?.ok_or_else(|| DataDirError::InUse {
            path: path.to_owned(),
        })?;
        for name in ["journal", "snapshots", "tables-snapshots"] {
            let directory = path.join(name);
            create_private(&directory).map_err(at("create", &directory))?;
        }
        Ok(DataDir {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Keeps others from archiving, pruning and repairing. A server may run meanwhile: it only writes the last segment.
    pub fn lock_archives(path: &Path) -> Result<ArchiveLock, DataDirError> {
        let lock = lock_file(&path.join("archive.lock"))?;
        lock.map(ArchiveLock).ok_or_else(|| DataDirError::ArchivesInUse {
            path: path.to_owned(),
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

    pub fn tables_snapshots(&self) -> Disk {
        Disk::new(self.path.join("tables-snapshots"))
    }

    /// The snapshots of the tables' fold of a data directory, for reading; `None` where there never were any.
    pub fn existing_tables_snapshots(path: &Path) -> Option<Disk> {
        let snapshots = path.join("tables-snapshots");
        snapshots.is_dir().then(|| Disk::new(snapshots))
    }

    /// The snapshots of a data directory, for reading; `None` where there never were any.
    pub fn existing_snapshots(path: &Path) -> Option<Disk> {
        let snapshots = path.join("snapshots");
        snapshots.is_dir().then(|| Disk::new(snapshots))
    }

    /// The journal of a data directory, for reading: takes no lock and changes nothing.
    pub fn existing_journal(path: &Path) -> Result<Disk, DataDirError> {
        let journal = path.join("journal");
        match journal.metadata() {
            Ok(found) if found.is_dir() => Ok(Disk::new(journal)),
            // Of somebody else's directory nobody can say that there is none.
            Err(source) if source.kind() == io::ErrorKind::PermissionDenied => Err(DataDirError::Io {
                action: "look into",
                path: path.to_owned(),
                source,
            }),
            Ok(_) | Err(_) => Err(DataDirError::NoJournal {
                path: path.to_owned(),
            }),
        }
    }
}

/// The lock over closed segments, held until it is dropped.
#[derive(Debug)]
pub struct ArchiveLock(#[expect(dead_code, reason = "it is held, not read")] File);

/// Creates the file where it is missing, and locks it; `None` where another process holds it.
fn lock_file(path: &Path) -> Result<Option<File>, DataDirError> {
    let at = |action| {
        let path = path.to_owned();
        move |source| DataDirError::Io { action, path, source }
    };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(at("open"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(at("lock")(source)),
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
        let archiving = DataDir::lock_archives(&path).unwrap();
        let again = DataDir::lock_archives(&path).unwrap_err();
        assert!(matches!(again, DataDirError::ArchivesInUse { .. }), "{again}");
        drop((first, archiving));
        DataDir::open(&path).unwrap();
        DataDir::lock_archives(&path).unwrap();
    }
}
