//! What the projector needs of a database. There are two: SQLite and PostgreSQL.

use std::sync::Arc;

use engine::Timestamp;

use super::batch::Batch;
use super::held::Held;
use super::table::{Column, Row, Table};
use crate::journal::{JournalError, JournalId};

/// A database that holds the tables.
pub trait TableStore: Send {
    /// `sqlite` or `postgres`.
    fn backend(&self) -> &'static str;

    /// Whether [`TableStore::write`] is work of the calling thread, and not a wait for somebody else's.
    fn writes_itself(&self) -> bool;

    /// Connects, brings the schema up to date, and takes the tables over for this process. Returns the command up to
    /// which they stand. Tables that are not those of `lineage` are refused.
    fn claim(&mut self, lineage: Lineage) -> Result<u64, StoreError>;

    /// Whether these rows are there, as rows or as dead letters.
    fn holds(&mut self, held: &Held) -> Result<bool, StoreError>;

    /// Whether the watermark is where this process left it, at `seq`: an error otherwise.
    fn verify(&mut self, seq: u64) -> Result<(), StoreError>;

    /// Forgets how far the tables stand, so that everything is written again.
    fn rewind(&mut self) -> Result<(), StoreError>;

    /// Removes every row that comes from a journal, and forgets how far the tables stand.
    fn clear(&mut self) -> Result<(), StoreError>;

    /// Writes a batch and the new watermark in one transaction, if the tables still hold what they did ([`Moved`]
    /// otherwise). After an error nothing is known about whether it was committed: the caller disconnects and claims
    /// again.
    ///
    /// [`Moved`]: StoreError::Moved
    fn write(&mut self, batch: &Arc<Batch>, held: &Held) -> Result<Written, StoreError>;

    /// What stands before the names of Pinion's own tables.
    fn own_prefix(&self) -> &'static str;

    /// SQL for a column as [`Kind::text`] shows its values.
    ///
    /// [`Kind::text`]: super::table::Kind::text
    fn as_text(&self, column: &Column) -> String;

    /// Answers questions whose columns are all texts, all of them on one snapshot.
    fn read(&mut self, questions: Vec<Question>) -> Result<Vec<TextRows>, StoreError>;

    /// Resolves what Pinion wrote to `reconciliation_log` before, and writes these rows.
    fn log(&mut self, rows: Vec<Row>, now: Timestamp) -> Result<(), StoreError>;

    fn disconnect(&mut self);
}

/// A query, and the texts for its parameters `$1`, `$2`, …, each of which it uses once and in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    pub sql: String,
    pub texts: Vec<String>,
}

impl From<String> for Question {
    fn from(sql: String) -> Question {
        let texts = Vec::new();
        Question { sql, texts }
    }
}

/// What the tables are compared with before they are taken over.
pub struct Lineage {
    pub journal: JournalId,
    /// The journal's last command.
    pub last: u64,
    /// A command's checksum in the journal's hash chain; `None` where the journal does not have it any more.
    pub chain_at: Box<dyn Fn(u64) -> Result<Option<u32>, JournalError> + Send>,
}

impl std::fmt::Debug for Lineage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lineage")
            .field("journal", &self.journal)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

/// Rows of texts, or NULLs.
pub type TextRows = Vec<Vec<Option<String>>>;

/// What a batch came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Written {
    pub rows: u64,
    /// Rows that the database refused for what they hold.
    pub dead_letters: u64,
    /// Rows that never change, and stood there with other content.
    pub conflicts: u64,
}

/// Why a database does not do what it is asked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreError {
    /// Connection, shutdown, resources, rights: may pass, and is tried again.
    #[error("{0}")]
    Unavailable(String),
    /// The watermark is not where this process left it, or rows are gone: look again before anything else.
    #[error("the tables are not as this process left them")]
    Moved,
    /// Another process has taken the tables over.
    #[error("another projector has taken over the tables (epoch {theirs}; this one has {mine})")]
    Fenced { mine: u64, theirs: u64 },
    /// These tables are not this journal's. Nothing is written.
    #[error("{0}")]
    Refused(String),
    /// The file is not a database any more.
    #[error("the database is damaged: {0}")]
    Damaged(String),
}

/// A row of the watermark table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Watermark {
    /// Hexadecimal.
    pub(crate) journal: String,
    pub(crate) epoch: u64,
    pub(crate) seq: u64,
    /// Of the command `seq`; `None` where it is not known.
    pub(crate) chain: Option<u32>,
}

impl Watermark {
    /// A database has the checksum as a number of 64 bits.
    pub(crate) fn chain_of(stored: Option<i64>) -> Option<u32> {
        stored.and_then(|chain| u32::try_from(chain).ok())
    }
}

/// What to do with a watermark that was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Takeover {
    /// It is this process's.
    Keep { seq: u64 },
    /// Take it over under a new epoch.
    Take { seq: u64, epoch: u64 },
    /// There is none: begin at zero.
    Begin { epoch: u64 },
}

/// `mine` is the epoch that this process took the tables over with, if it did.
pub(crate) fn judge(
    found: Option<&Watermark>,
    lineage: &Lineage,
    mine: Option<u64>,
) -> Result<Takeover, StoreError> {
    let (journal, last) = (lineage.journal, lineage.last);
    let Some(found) = found else {
        let epoch = mine.unwrap_or_default() + 1;
        return Ok(Takeover::Begin { epoch });
    };
    if found.journal.is_empty() {
        // Cleared, to be written by whoever comes.
        let epoch = found.epoch.max(mine.unwrap_or_default()) + 1;
        return Ok(Takeover::Begin { epoch });
    }
    if found.journal != journal.to_string() {
        return Err(StoreError::Refused(format!(
            "the tables belong to journal {}, and this is journal {journal}: give this journal its own database, or \
             run `pinion rebuild-tables` to replace their rows by this journal's",
            found.journal
        )));
    }
    // Before what the tables hold: whoever took over may have read further in the same journal.
    if let Some(mine) = mine.filter(|&mine| mine < found.epoch) {
        return Err(StoreError::Fenced {
            mine,
            theirs: found.epoch,
        });
    }
    if found.seq > last {
        return Err(StoreError::Refused(format!(
            "the tables hold commands up to {}, but the journal ends at {last}: the journal has lost its end. Restore \
             the journal, or run `pinion rebuild-tables` to make the tables follow it",
            found.seq
        )));
    }
    if let Some(stored) = found.chain.filter(|_| found.seq > 0) {
        let chain =
            (lineage.chain_at)(found.seq).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        if chain.is_some_and(|chain| chain != stored) {
            return Err(StoreError::Refused(format!(
                "the tables follow another history of this journal: what they hold as command {} is not what the \
                 journal has there. Either is a copy that went its own way, as after a repair or an older backup. \
                 Restore the one that fits, or run `pinion rebuild-tables` to make the tables follow this journal",
                found.seq
            )));
        }
    }
    match mine {
        Some(mine) if mine == found.epoch => Ok(Takeover::Keep { seq: found.seq }),
        _ => Ok(Takeover::Take {
            seq: found.seq,
            epoch: found.epoch.max(mine.unwrap_or_default()) + 1,
        }),
    }
}

/// A row that the database refused, with why.
#[derive(Debug)]
pub(crate) struct Poison<'a> {
    pub(crate) row: &'a Row,
    pub(crate) error: String,
}

/// Why a chunk of rows was not written.
#[derive(Debug)]
pub(crate) enum ChunkError {
    /// For what one of the rows holds; the chunk left nothing behind.
    Row(String),
    Store(StoreError),
}

/// Writes what can be written, and finds by bisection what cannot.
pub(crate) fn write_by_bisection<'a>(
    rows: &[&'a Row],
    write: &mut dyn FnMut(&[&'a Row]) -> Result<(), ChunkError>,
    poison: &mut Vec<Poison<'a>>,
) -> Result<(), StoreError> {
    match write(rows) {
        Ok(()) => Ok(()),
        Err(ChunkError::Store(error)) => Err(error),
        Err(ChunkError::Row(error)) => {
            if let [row] = rows {
                poison.push(Poison { row, error });
                return Ok(());
            }
            let (first, second) = rows.split_at(rows.len() / 2);
            write_by_bisection(first, write, poison)?;
            write_by_bisection(second, write, poison)
        }
    }
}

/// A dead letter's place: the row's `seq`.
pub(crate) fn seq_of(table: &Table, row: &Row) -> i64 {
    let column = table.columns.iter().position(|column| column.name == "seq");
    match column.and_then(|index| row.get(index)) {
        Some(super::table::Value::Int(seq)) => *seq,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::Value;
    use super::*;

    #[test]
    fn a_watermark_is_taken_kept_or_refused() {
        let journal = JournalId::from_bytes([7; 16]);
        let lineage = Lineage {
            journal,
            last: 100,
            // Pruned below 10.
            chain_at: Box::new(|seq| Ok((seq >= 10).then_some(5))),
        };
        let at = |epoch, seq| Watermark {
            journal: journal.to_string(),
            epoch,
            seq,
            chain: Some(5),
        };
        let check = |found: Option<Watermark>, mine, expected| {
            assert_eq!(
                judge(found.as_ref(), &lineage, mine),
                Ok(expected),
                "{found:?} {mine:?}"
            );
        };
        check(None, None, Takeover::Begin { epoch: 1 });
        check(None, Some(4), Takeover::Begin { epoch: 5 });
        let cleared = Watermark {
            journal: String::new(),
            ..at(6, 0)
        };
        check(Some(cleared), Some(4), Takeover::Begin { epoch: 7 });
        check(Some(at(3, 90)), None, Takeover::Take { seq: 90, epoch: 4 });
        check(Some(at(3, 90)), Some(3), Takeover::Keep { seq: 90 });
        // Restored from a backup that was made before this process took over.
        check(Some(at(3, 90)), Some(7), Takeover::Take { seq: 90, epoch: 8 });
        let chained = |seq, chain| Watermark { chain, ..at(3, seq) };
        // Nothing to compare: written by an earlier version, pruned, or nothing written yet.
        for found in [chained(90, None), chained(9, Some(6)), chained(0, Some(6))] {
            let seq = found.seq;
            check(Some(found), None, Takeover::Take { seq, epoch: 4 });
        }
        assert_eq!(
            judge(Some(&at(4, 90)), &lineage, Some(3)),
            Err(StoreError::Fenced { mine: 3, theirs: 4 })
        );
        for (found, word) in [
            (at(1, 101), "the journal ends at 100"),
            (
                Watermark {
                    journal: "ab".to_owned(),
                    ..at(1, 1)
                },
                "belong to journal ab",
            ),
            (chained(90, Some(6)), "another history of this journal"),
        ] {
            let error = judge(Some(&found), &lineage, None).unwrap_err();
            assert!(
                matches!(&error, StoreError::Refused(why) if why.contains(word)),
                "{error}"
            );
        }
    }

    #[test]
    fn bisection_finds_exactly_the_poison() {
        let rows: Vec<Row> = (0..1_000).map(|number| vec![Value::Int(number)]).collect();
        let rows: Vec<&Row> = rows.iter().collect();
        let bad = |row: &Row| matches!(row[0], Value::Int(3 | 4 | 500 | 999));
        let (mut written, mut calls) = (Vec::new(), 0);
        let mut poison = Vec::new();
        let mut write = |chunk: &[&Row]| {
            calls += 1;
            if chunk.iter().any(|row| bad(row)) {
                return Err(ChunkError::Row("bad".to_owned()));
            }
            written.extend(chunk.iter().map(|row| row[0].clone()));
            Ok(())
        };
        write_by_bisection(&rows, &mut write, &mut poison).unwrap();
        assert_eq!(written.len(), 996);
        assert_eq!(poison.len(), 4);
        assert!(poison.iter().all(|poison| bad(poison.row)));
        assert!(calls < 100, "{calls}");
    }
}
