//! What of a journal must stay: from where on those who follow it may still have to start.
//!
//! A server starts from the newer of its two snapshots, and from the older where the newer turns out to be bad. The
//! tables are followed from a snapshot of their own in the same way. So nothing behind the older of each may be pruned,
//! and nothing at all while one of the four is missing. A database that is older than that (restored from a backup, or
//! emptied) cannot be brought up to date from a pruned journal, and is refused with that explanation.

use engine::Seq;

use crate::journal::Storage;
use crate::limits::SNAPSHOTS_KEPT;
use crate::projector;
use crate::snapshot::{self, SnapshotError};

/// The first records that are still needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Needs {
    /// By a start of the server.
    pub server: Seq,
    /// By the tables.
    pub tables: Seq,
}

impl Needs {
    /// By anybody.
    pub fn first(self) -> Seq {
        self.server.min(self.tables)
    }
}

/// Why nothing may be pruned.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    #[error(
        "a start of the server needs the whole journal: two good snapshots must be there, and {0} are (a clean stop \
         leaves one, and so do a million commands)"
    )]
    Server(usize),
    #[error(
        "the tables need the whole journal: two good snapshots must be there, and {0} are (a clean stop leaves \
         one, and so do a million commands)"
    )]
    Tables(usize),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

/// Looks at every snapshot as a start would. `tables` is `None` only where there are none to follow the journal.
pub fn needs<S: Storage>(journal: &S, server: &S, tables: Option<&S>) -> Result<Needs, RetentionError> {
    let good_for_server = |seq| snapshot::read_for(server, journal, seq).map(|_| ());
    let (count, server) = older_of_two(server, good_for_server)?;
    let server = server.ok_or(RetentionError::Server(count))?;
    let Some(tables) = tables else {
        return Ok(Needs {
            server,
            tables: server,
        });
    };
    let (count, tables) = older_of_two(tables, |seq| projector::check_snapshot(tables, journal, seq))?;
    let tables = tables.ok_or(RetentionError::Tables(count))?;
    Ok(Needs { server, tables })
}

/// How many good ones there are (at most two are looked for), and the older of two. That they are there is made durable
/// first: a name that a power cut takes back would be relied on.
fn older_of_two<S: Storage>(
    storage: &S,
    check: impl Fn(Seq) -> Result<(), SnapshotError>,
) -> Result<(usize, Option<Seq>), SnapshotError> {
    let found = snapshot::list(storage)?;
    snapshot::make_durable(storage)?;
    let mut good = Vec::new();
    for seq in found {
        match check(seq) {
            Ok(()) => good.push(seq),
            Err(reason) => tracing::warn!(%reason, "a snapshot does not count"),
        }
        if good.len() == SNAPSHOTS_KEPT {
            return Ok((good.len(), Some(seq)));
        }
    }
    Ok((good.len(), None))
}
