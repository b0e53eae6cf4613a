//! The embedded default: one SQLite file in the data directory. The journal is the truth, so a file that is missing or
//! damaged is made anew.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::Timestamp;
use rusqlite::types::{ToSqlOutput, Value as Sql, ValueRef};
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension as _, ToSql, Transaction, TransactionBehavior,
};
use tracing::warn;

use super::batch::Batch;
use super::held::Held;
use super::limits::{READER_BUSY_TIME, ROWS_PER_YIELD};
use super::migrations;
use super::reconcile::RECONCILIATION_LOG;
use super::store::{
    Lineage, Question, StoreError, TableStore, Takeover, TextRows, Watermark, Written, judge, seq_of,
};
use super::table::{Column, Kind, OnConflict, Row, Table, Value, time_text};

/// Prepared statements kept: an upsert and a comparison for each table, and a few for the watermark.
const STATEMENTS_KEPT: usize = 64;

/// The tables in a SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    connection: Option<Connection>,
    epoch: Option<u64>,
    reads_only: bool,
}

impl SqliteStore {
    /// Nothing is opened before the first claim.
    pub fn new(path: impl Into<PathBuf>) -> SqliteStore {
        SqliteStore {
            path: path.into(),
            connection: None,
            epoch: None,
            reads_only: false,
        }
    }

    /// For [`TableStore::read`] alone, beside whoever writes.
    pub fn for_reading(path: impl Into<PathBuf>) -> SqliteStore {
        SqliteStore {
            reads_only: true,
            ..SqliteStore::new(path)
        }
    }

    fn connection(&mut self) -> Result<&mut Connection, StoreError> {
        self.connection.as_mut().ok_or_else(not_connected)
    }

    fn try_claim(&mut self, lineage: &Lineage) -> Result<u64, StoreError> {
        let mut connection = open(&self.path)?;
        migrations::sqlite(&mut connection)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found = watermark(&transaction)?;
        let (seq, epoch) = match judge(found.as_ref(), lineage, self.epoch)? {
            Takeover::Keep { seq } => (seq, self.epoch.unwrap_or_default()),
            Takeover::Take { seq, epoch } => (seq, epoch),
            Takeover::Begin { epoch } => (0, epoch),
        };
        transaction.execute(
            "INSERT INTO pinion_watermark (id, journal, epoch, seq) VALUES (1, ?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch",
            (lineage.journal.to_string(), signed(epoch), signed(seq)),
        )?;
        transaction.commit()?;
        self.epoch = Some(epoch);
        self.connection = Some(connection);
        Ok(seq)
    }
}

impl TableStore for SqliteStore {
    fn backend(&self) -> &'static str {
        "sqlite"
    }

    fn writes_itself(&self) -> bool {
        true
    }

    fn claim(&mut self, lineage: Lineage) -> Result<u64, StoreError> {
        self.connection = None;
        match self.try_claim(&lineage) {
            Err(StoreError::Damaged(why)) => {
                warn!(file = %self.path.display(), why, "the tables are damaged: making them anew from the journal");
                set_aside(&self.path)?;
                self.try_claim(&lineage)
            }
            done => done,
        }
    }

    fn holds(&mut self, held: &Held) -> Result<bool, StoreError> {
        holds(self.connection()?, held)
    }

    fn verify(&mut self, seq: u64) -> Result<(), StoreError> {
        let epoch = self.epoch.unwrap_or_default();
        let sql = "SELECT EXISTS (SELECT 1 FROM pinion_watermark WHERE id = 1 AND seq = ?1 AND epoch = ?2)";
        let stands: bool = self
            .connection()?
            .prepare_cached(sql)?
            .query_row((signed(seq), signed(epoch)), |row| row.get(0))?;
        if stands { Ok(()) } else { Err(StoreError::Moved) }
    }

    fn rewind(&mut self) -> Result<(), StoreError> {
        self.connection()?.execute_batch(
            "BEGIN IMMEDIATE; UPDATE pinion_watermark SET seq = 0, time = NULL, chain = NULL; DELETE FROM pinion_dead_letter; COMMIT;",
        )?;
        Ok(())
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        self.connection = None;
        set_aside(&self.path)
    }

    fn write(&mut self, batch: &Arc<Batch>, held: &Held) -> Result<Written, StoreError> {
        let epoch = self.epoch.unwrap_or_default();
        let connection = self.connection()?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if !holds(&transaction, held)? {
            return Err(StoreError::Moved);
        }
        let mut written = Written::default();
        for (table, rows) in batch.tables() {
            write_table(&transaction, table, &rows, &mut written)?;
        }
        let moved = transaction
            .prepare_cached(
                "UPDATE pinion_watermark SET seq = ?1, time = ?2, chain = ?3 WHERE id = 1 AND seq = ?4 AND epoch = ?5",
            )?
            .execute((
                signed(batch.to),
                time_text(batch.time),
                batch.chain,
                signed(batch.after),
                signed(epoch),
            ))?;
        if moved != 1 {
            return Err(StoreError::Moved);
        }
        transaction.commit()?;
        Ok(written)
    }

    fn own_prefix(&self) -> &'static str {
        "pinion_"
    }

    fn as_text(&self, Column { name, kind, .. }: &Column) -> String {
        match kind {
            Kind::Int4 | Kind::Int8 => format!("CAST({name} AS TEXT)"),
            Kind::Bool => format!("CASE {name} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END"),
            _ => (*name).to_owned(),
        }
    }

    fn read(&mut self, questions: Vec<Question>) -> Result<Vec<TextRows>, StoreError> {
        if self.reads_only {
            // Opened each time: the file may have been made anew since, and whoever reads must not keep the old one.
            return read(&mut open_for_reading(&self.path)?, &questions);
        }
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => self.connection.insert(open(&self.path)?),
        };
        read(connection, &questions)
    }

    fn log(&mut self, rows: Vec<Row>, now: Timestamp) -> Result<(), StoreError> {
        let transaction = self
            .connection()?
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute(
            "UPDATE reconciliation_log SET resolved = TRUE, resolved_at = ?1, resolution = 'Reconciled again'
             WHERE seq IS NOT NULL AND NOT resolved",
            (time_text(now),),
        )?;
        let table = &RECONCILIATION_LOG;
        let insert = format!(
            "INSERT INTO {} ({}) VALUES ({})",
            table.name,
            table.column_list(),
            places(table)
        );
        for row in &rows {
            transaction.execute(&insert, rusqlite::params_from_iter(parameters(table, row)))?;
        }
        Ok(transaction.commit()?)
    }

    fn disconnect(&mut self) {
        self.connection = None;
    }
}

fn open(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(path)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    // A lost end comes again from the journal, so a commit need not wait for the disk.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;
         PRAGMA busy_timeout = 5000;",
    )?;
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0))?;
    if verdict == "ok" {
        Ok(connection)
    } else {
        Err(StoreError::Damaged(verdict))
    }
}

/// Makes no file, changes none, and trusts the one that is there: its writer has checked it.
fn open_for_reading(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(READER_BUSY_TIME)?;
    Ok(connection)
}

/// All of them on one snapshot.
fn read(connection: &mut Connection, questions: &[Question]) -> Result<Vec<TextRows>, StoreError> {
    let transaction = connection.transaction()?;
    let mut answers = Vec::with_capacity(questions.len());
    for Question { sql, texts } in questions {
        let mut statement = transaction.prepare(sql)?;
        let width = statement.column_count();
        let cells = |row: &rusqlite::Row<'_>| (0..width).map(|place| row.get(place)).collect();
        let rows: rusqlite::Result<TextRows> = statement
            .query_map(rusqlite::params_from_iter(texts), cells)?
            .collect();
        answers.push(rows?);
    }
    Ok(answers)
}

fn watermark(transaction: &Transaction<'_>) -> Result<Option<Watermark>, StoreError> {
    let sql = "SELECT journal, epoch, seq, chain FROM pinion_watermark WHERE id = 1";
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Watermark {
            journal: row.get(0)?,
            epoch: unsigned(row.get(1)?),
            seq: unsigned(row.get(2)?),
            chain: Watermark::chain_of(row.get(3)?),
        })
    };
    Ok(transaction.query_row(sql, (), read).optional()?)
}

fn holds(connection: &Connection, held: &Held) -> Result<bool, StoreError> {
    if held.is_empty() {
        return Ok(true);
    }
    let sql = held.sql(name_of, "pinion_dead_letter", |number| format!("?{number}"));
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement.query_row(rusqlite::params_from_iter(held.parameters()), |row| row.get(0))?)
}

/// Moves the file out of the way (over an earlier one), so that a person can still look at it.
fn set_aside(path: &Path) -> Result<(), StoreError> {
    let with = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    for journal in ["-wal", "-shm"] {
        ignore_missing(std::fs::remove_file(with(journal)))?;
    }
    ignore_missing(std::fs::rename(path, with(".damaged")))
}

fn ignore_missing(done: std::io::Result<()>) -> Result<(), StoreError> {
    match done {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::Unavailable(error.to_string()))
        }
        _ => Ok(()),
    }
}

fn write_table(
    transaction: &Transaction<'_>,
    table: &'static Table,
    rows: &[&Row],
    written: &mut Written,
) -> Result<(), StoreError> {
    let name = name_of(table);
    let upsert = format!(
        "INSERT INTO {name} ({}) VALUES ({}) {}",
        table.column_list(),
        places(table),
        table.conflict_clause(&name)
    );
    let mut upsert = transaction.prepare_cached(&upsert)?;
    for (at, row) in rows.iter().enumerate() {
        if at % ROWS_PER_YIELD == ROWS_PER_YIELD - 1 {
            std::thread::yield_now();
        }
        match upsert.execute(rusqlite::params_from_iter(parameters(table, row))) {
            Ok(0) if table.on_conflict == OnConflict::Once && !is_same(transaction, table, row)? => {
                written.conflicts += 1;
                dead_letter(
                    transaction,
                    table,
                    row,
                    "a row that never changes stands there otherwise",
                )?;
            }
            Ok(_) => written.rows += 1,
            Err(error) if is_about_the_row(&error) => {
                written.dead_letters += 1;
                dead_letter(transaction, table, row, &error.to_string())?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A parameter for each column.
fn places(table: &Table) -> String {
    let places: Vec<String> = (1..=table.columns.len())
        .map(|place| format!("?{place}"))
        .collect();
    places.join(", ")
}

/// Whether a row of the same key has the same content.
fn is_same(transaction: &Transaction<'_>, table: &Table, row: &Row) -> Result<bool, StoreError> {
    let equal: Vec<String> = table
        .columns
        .iter()
        .zip(1..)
        .map(|(column, place)| format!("{} IS ?{place}", column.name))
        .collect();
    let sql = format!(
        "SELECT EXISTS (SELECT 1 FROM {} WHERE {})",
        name_of(table),
        equal.join(" AND ")
    );
    let parameters = rusqlite::params_from_iter(parameters(table, row));
    Ok(transaction
        .prepare_cached(&sql)?
        .query_row(parameters, |row| row.get(0))?)
}

fn dead_letter(
    transaction: &Transaction<'_>,
    table: &Table,
    row: &Row,
    error: &str,
) -> Result<(), StoreError> {
    transaction.execute(
        "INSERT OR REPLACE INTO pinion_dead_letter (seq, table_name, row_key, row, error)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        (
            seq_of(table, row),
            table.name,
            table.key_text(row),
            table.row_json(row),
            error,
        ),
    )?;
    Ok(())
}

/// A table's name in this database.
pub(super) fn name_of(table: &Table) -> String {
    let prefix = if table.own { "pinion_" } else { "" };
    format!("{prefix}{}", table.name)
}

fn parameters<'a>(table: &'a Table, row: &'a Row) -> impl Iterator<Item = Parameter<'a>> {
    table
        .columns
        .iter()
        .zip(row)
        .map(|(column, value)| Parameter { column, value })
}

struct Parameter<'a> {
    column: &'a Column,
    value: &'a Value,
}

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.value {
            Value::Int(number) => ToSqlOutput::Owned(Sql::Integer(*number)),
            Value::Bool(truth) => ToSqlOutput::Owned(Sql::Integer((*truth).into())),
            Value::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Value::Json(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            other => ToSqlOutput::Owned(self.column.kind.text(other).map_or(Sql::Null, Sql::Text)),
        })
    }
}

/// Journal positions and epochs stay below 2^63.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn is_about_the_row(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig)
    )
}

fn not_connected() -> StoreError {
    StoreError::Unavailable("not connected".to_owned())
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                StoreError::Damaged(error.to_string())
            }
            _ => StoreError::Unavailable(error.to_string()),
        }
    }
}
