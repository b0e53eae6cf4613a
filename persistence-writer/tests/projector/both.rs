//! A session in both databases, and the pages of its histories.

use std::path::PathBuf;

use persistence_writer::projector::earlier::{History, PageQuery};
use persistence_writer::projector::{SqliteStore, TableStore};

use crate::cluster::{Cluster, Database};
use crate::journal::Journal;
use crate::session::Session;

/// The rows of a session's journal, in a file and in a PostgreSQL.
pub(crate) struct Both {
    pub(crate) journal: Journal,
    pub(crate) file: PathBuf,
    pub(crate) database: Database,
    _directory: tempfile::TempDir,
}

impl Both {
    /// All of it at once: batches travel by COPY.
    pub(crate) fn with(session: &Session) -> Both {
        let journal = Journal::of(1, &session.commands);
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pinion.db");
        journal.project(SqliteStore::new(&file)).unwrap();
        let database = Cluster::shared().database();
        journal.project(database.store()).unwrap();
        Both {
            journal,
            file,
            database,
            _directory: directory,
        }
    }

    /// SQLite's and PostgreSQL's.
    pub(crate) fn stores(&self) -> [Box<dyn TableStore>; 2] {
        [
            Box::new(SqliteStore::for_reading(&self.file)),
            Box::new(self.database.store()),
        ]
    }
}

/// Everything of a history.
pub(crate) fn all_of(of: History, limit: usize, scan: usize) -> PageQuery {
    PageQuery {
        of,
        account: None,
        symbol: None,
        strategy: None,
        order: None,
        status: None,
        from: None,
        to: None,
        before: None,
        id: None,
        limit,
        scan,
    }
}
