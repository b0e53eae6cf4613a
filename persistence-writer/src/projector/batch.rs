//! What one transaction writes: the rows that a run of commands changed, each once.

use std::collections::BTreeMap;

use engine::Timestamp;

use super::held::Held;
use super::limits::{LIVE_ROWS, ROWS_PER_YIELD};
use super::table::{Row, TABLES, TABLES_LEN, Table, TableId};

/// Rows changed by the commands after `after` up to `to`.
#[derive(Debug, Default)]
pub struct Batch {
    /// The tables stand here before the batch is written.
    pub after: u64,
    /// And here afterwards.
    pub to: u64,
    /// Of the first command.
    pub first_time: Timestamp,
    /// Of the last command.
    pub time: Timestamp,
    /// Checksum of the last command in the journal's hash chain; `None` where it is not known.
    pub chain: Option<u32>,
    /// What the tables hold when it has been written.
    pub held: Held,
    rows: [BTreeMap<[u64; 2], Row>; TABLES_LEN],
    len: usize,
}

impl Batch {
    pub(crate) fn starting_after(seq: u64) -> Batch {
        Batch {
            after: seq,
            to: seq,
            ..Batch::default()
        }
    }

    /// Puts a row in place of an earlier version of it. `key` orders rows and tells them apart.
    pub(crate) fn put(&mut self, table: TableId, key: [u64; 2], row: Row) {
        debug_assert_eq!(row.len(), table.table().columns.len(), "{}", table.table().name);
        if self.rows[table as usize].insert(key, row).is_none() {
            self.len += 1;
        }
    }

    /// Rows in all.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Frees the rows, with an offer of the core after every few while the tables are nearly up to date: some hundred at
    /// once take half a millisecond.
    pub(crate) fn free(self) {
        let live = self.len <= LIVE_ROWS;
        for (at, row) in self.rows.into_iter().flatten().enumerate() {
            drop(row);
            if live && at % ROWS_PER_YIELD == ROWS_PER_YIELD - 1 {
                std::thread::yield_now();
            }
        }
    }

    /// The tables that have rows, referenced ones first.
    pub fn tables(&self) -> impl Iterator<Item = (&'static Table, Vec<&Row>)> {
        TABLES
            .iter()
            .zip(&self.rows)
            .filter(|(_, rows)| !rows.is_empty())
            .map(|(table, rows)| (table, rows.values().collect()))
    }
}
