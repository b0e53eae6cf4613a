//! One batch, one transaction.

use postgres::binary_copy::BinaryCopyInWriter;
use postgres::types::{ToSql, Type};
use postgres::{Statement, Transaction};

use engine::Timestamp;

use super::super::batch::Batch;
use super::super::held::Held;
use super::super::limits::COPY_ROWS;
use super::super::reconcile::RECONCILIATION_LOG;
use super::super::store::{ChunkError, Poison, StoreError, Written, seq_of, write_by_bisection};
use super::super::table::{OnConflict, Row, Table, Value};
use super::encode::{arrival_cast, travel_type};
use super::session::Connection;
use super::{held_sql, holds, name_of, settings::reason, signed, unavailable};

/// Writes the batch and moves the watermark. Where a row is refused for what it holds, everything is written once more,
/// with care.
pub(super) fn write(
    connection: &mut Connection,
    batch: &Batch,
    held: &Held,
    epoch: i64,
) -> Result<Written, StoreError> {
    let copy = batch.len() >= COPY_ROWS;
    let tables = prepare(connection, batch, copy).map_err(|error| of_chunk(classify(&error)))?;
    let place = Place {
        batch,
        held,
        holds: match held_sql(held) {
            Some(sql) => Some(connection.prepared(&sql).map_err(unavailable)?),
            None => None,
        },
        epoch,
    };
    match transact(connection, &place, &tables, Care::Fast { copy }) {
        Err(ChunkError::Row(_)) => {
            let tables = prepare(connection, batch, false).map_err(|error| of_chunk(classify(&error)))?;
            transact(connection, &place, &tables, Care::RowByRow).map_err(of_chunk)
        }
        done => done.map_err(of_chunk),
    }
}

/// One upsert for each table, in a transaction.
pub(super) fn upsert_bare(connection: &mut Connection, batch: &Batch) -> Result<(), StoreError> {
    let tables = prepare(connection, batch, false).map_err(unavailable)?;
    let mut transaction = connection.client.transaction().map_err(unavailable)?;
    for of in &tables {
        upsert(&mut transaction, of, &of.rows).map_err(of_chunk)?;
    }
    transaction.commit().map_err(unavailable)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Care {
    Fast {
        copy: bool,
    },
    /// A savepoint before each chunk, and bisection.
    RowByRow,
}

/// Where the tables stand before the batch, and where afterwards.
struct Place<'a> {
    batch: &'a Batch,
    held: &'a Held,
    /// Asks for `held`, where there is anything.
    holds: Option<Statement>,
    epoch: i64,
}

impl Place<'_> {
    /// Before the first row is written: nothing that is written now can then hide that others are gone.
    fn is_as_left(&self, transaction: &mut Transaction<'_>) -> Result<(), ChunkError> {
        let Some(statement) = &self.holds else {
            return Ok(());
        };
        match holds(transaction, statement, self.held) {
            Ok(true) => Ok(()),
            Ok(false) => Err(ChunkError::Store(StoreError::Moved)),
            Err(error) => Err(ChunkError::Store(unavailable(error))),
        }
    }

    /// Moves the watermark.
    fn move_on(&self, transaction: &mut Transaction<'_>) -> Result<(), ChunkError> {
        let batch = self.batch;
        let moved = transaction
            .execute(
                "UPDATE pinion.watermark SET seq = $1, time = $2, chain = $3, updated_at = now() AT TIME ZONE 'UTC'
                 WHERE id = 1 AND seq = $4 AND epoch = $5",
                &[
                    &signed(batch.to),
                    &Value::Time(batch.time),
                    &batch.chain.map(i64::from),
                    &signed(batch.after),
                    &self.epoch,
                ],
            )
            .map_err(|error| ChunkError::Store(unavailable(error)))?;
        if moved == 1 {
            Ok(())
        } else {
            Err(ChunkError::Store(StoreError::Moved))
        }
    }
}

/// A table with its statements.
struct Prepared<'a> {
    table: &'static Table,
    rows: Vec<&'a Row>,
    upsert: Statement,
    /// From the copy's staging table, where that is how rows travel.
    from_stage: Option<Statement>,
    differing: Option<Statement>,
}

fn prepare<'a>(
    connection: &mut Connection,
    batch: &'a Batch,
    copy: bool,
) -> Result<Vec<Prepared<'a>>, postgres::Error> {
    let mut tables = Vec::new();
    for (table, rows) in batch.tables() {
        let from_stage = if copy {
            connection.client.batch_execute(&stage_sql(table))?;
            let source = format!("FROM pinion_stage_{} AS s", table.name);
            Some(connection.prepared(&upsert_sql(table, &source))?)
        } else {
            None
        };
        let differing = match table.on_conflict {
            OnConflict::Once => Some(connection.prepared(&differing_sql(table))?),
            OnConflict::Newer => None,
        };
        tables.push(Prepared {
            table,
            rows,
            upsert: connection.prepared(&upsert_sql(table, &unnest_sql(table)))?,
            from_stage,
            differing,
        });
    }
    Ok(tables)
}

fn transact(
    connection: &mut Connection,
    place: &Place<'_>,
    tables: &[Prepared<'_>],
    care: Care,
) -> Result<Written, ChunkError> {
    let mut written = Written::default();
    let mut transaction = connection
        .client
        .transaction()
        .map_err(|error| classify(&error))?;
    place.is_as_left(&mut transaction)?;
    for of in tables {
        let poison = match care {
            Care::Fast { copy } => {
                let stored = if copy {
                    copy_rows(&mut transaction, of)?
                } else {
                    upsert(&mut transaction, of, &of.rows)?
                };
                conflicts(&mut transaction, of, stored, &of.rows)?
            }
            Care::RowByRow => write_with_care(&mut transaction, of)?,
        };
        written.rows += (of.rows.len() - poison.rows.len()) as u64;
        written.conflicts += poison.conflicts;
        written.dead_letters += poison.rows.len() as u64 - poison.conflicts;
        for poison in poison.rows {
            dead_letter(&mut transaction, of.table, &poison)?;
        }
    }
    place.move_on(&mut transaction)?;
    transaction
        .commit()
        .map_err(|error| ChunkError::Store(unavailable(error)))?;
    Ok(written)
}

/// Rows that are not there afterwards, or not as they should be.
#[derive(Default)]
struct Refused<'a> {
    rows: Vec<Poison<'a>>,
    /// How many of them stood there with other content.
    conflicts: u64,
}

fn write_with_care<'a>(
    transaction: &mut Transaction<'_>,
    of: &Prepared<'a>,
) -> Result<Refused<'a>, ChunkError> {
    let mut refused = Refused::default();
    let mut poison = Vec::new();
    let mut conflicting: Vec<Poison<'a>> = Vec::new();
    let mut write = |chunk: &[&'a Row]| {
        let mut savepoint = transaction.savepoint("chunk").map_err(|error| classify(&error))?;
        match upsert(&mut savepoint, of, chunk)
            .and_then(|stored| conflicts(&mut savepoint, of, stored, chunk))
        {
            Ok(found) => {
                conflicting.extend(found.rows);
                savepoint.commit().map_err(|error| classify(&error))
            }
            Err(error) => {
                savepoint.rollback().map_err(|error| classify(&error))?;
                Err(error)
            }
        }
    };
    write_by_bisection(&of.rows, &mut write, &mut poison).map_err(ChunkError::Store)?;
    refused.conflicts = conflicting.len() as u64;
    refused.rows = poison;
    refused.rows.append(&mut conflicting);
    Ok(refused)
}

/// Returns the rows that the statement wrote.
fn upsert(transaction: &mut Transaction<'_>, of: &Prepared<'_>, rows: &[&Row]) -> Result<u64, ChunkError> {
    with_columns(of.table, rows, |columns| transaction.execute(&of.upsert, columns))
}

fn copy_rows(transaction: &mut Transaction<'_>, of: &Prepared<'_>) -> Result<u64, ChunkError> {
    let Some(from_stage) = &of.from_stage else {
        return upsert(transaction, of, &of.rows);
    };
    let copied = |transaction: &mut Transaction<'_>| -> Result<u64, postgres::Error> {
        let sql = format!(
            "COPY pinion_stage_{} ({}) FROM STDIN BINARY",
            of.table.name,
            of.table.column_list()
        );
        let types: Vec<Type> = of
            .table
            .columns
            .iter()
            .map(|column| travel_type(column.kind).1)
            .collect();
        let mut writer = BinaryCopyInWriter::new(transaction.copy_in(&sql)?, &types);
        for row in &of.rows {
            let values: Vec<&(dyn ToSql + Sync)> = row.iter().map(|value| value as _).collect();
            writer.write(&values)?;
        }
        writer.finish()?;
        transaction.execute(from_stage, &[])
    };
    copied(transaction).map_err(|error| classify(&error))
}

/// Of a table whose rows never change: those that stood there with other content.
fn conflicts<'a>(
    transaction: &mut Transaction<'_>,
    of: &Prepared<'_>,
    stored: u64,
    rows: &[&'a Row],
) -> Result<Refused<'a>, ChunkError> {
    let (Some(differing), true) = (&of.differing, stored < rows.len() as u64) else {
        return Ok(Refused::default());
    };
    let found = with_columns(of.table, rows, |columns| transaction.query(differing, columns))?;
    let places = found
        .iter()
        .filter_map(|row| usize::try_from(row.get::<_, i64>(0) - 1).ok());
    let error = || "a row that never changes stands there otherwise".to_owned();
    let rows: Vec<Poison<'a>> = places
        .filter_map(|place| rows.get(place))
        .map(|&row| Poison { row, error: error() })
        .collect();
    Ok(Refused {
        conflicts: rows.len() as u64,
        rows,
    })
}

/// Hands the rows to a statement, a parameter for each column.
fn with_columns<T>(
    table: &Table,
    rows: &[&Row],
    run: impl FnOnce(&[&(dyn ToSql + Sync)]) -> Result<T, postgres::Error>,
) -> Result<T, ChunkError> {
    let columns: Vec<Vec<&Value>> = (0..table.columns.len())
        .map(|place| rows.iter().map(|row| &row[place]).collect())
        .collect();
    let parameters: Vec<&(dyn ToSql + Sync)> = columns.iter().map(|column| column as _).collect();
    run(&parameters).map_err(|error| classify(&error))
}

fn dead_letter(
    transaction: &mut Transaction<'_>,
    table: &Table,
    poison: &Poison<'_>,
) -> Result<(), ChunkError> {
    transaction
        .execute(
            "INSERT INTO pinion.dead_letter (seq, table_name, row_key, row, error)
             VALUES ($1, $2, $3, $4::text::json, $5)
             ON CONFLICT (seq, table_name, row_key) DO UPDATE SET row = excluded.row, error = excluded.error",
            &[
                &seq_of(table, poison.row),
                &table.name,
                &table.key_text(poison.row),
                &table.row_json(poison.row),
                &poison.error,
            ],
        )
        .map(|_| ())
        .map_err(|error| ChunkError::Store(unavailable(error)))
}

/// Resolves what was written to `reconciliation_log` before, and writes these rows.
pub(super) fn log(connection: &mut Connection, rows: &[Row], now: Timestamp) -> Result<(), StoreError> {
    let table = &RECONCILIATION_LOG;
    let mut transaction = connection.client.transaction().map_err(unavailable)?;
    transaction
        .execute(
            "UPDATE reconciliation_log SET resolved = TRUE, resolved_at = $1, resolution = 'Reconciled again'
             WHERE seq IS NOT NULL AND NOT resolved",
            &[&Value::Time(now)],
        )
        .map_err(unavailable)?;
    let insert = format!(
        "INSERT INTO {} ({}) SELECT {} {}",
        table.name,
        table.column_list(),
        arrivals(table),
        unnest_sql(table)
    );
    let rows: Vec<&Row> = rows.iter().collect();
    with_columns(table, &rows, |columns| transaction.execute(&insert, columns)).map_err(of_chunk)?;
    transaction.commit().map_err(unavailable)
}

/// Whether an error is about what a row holds (data exceptions, constraints, a trigger's word), or about anything else.
fn classify(error: &postgres::Error) -> ChunkError {
    let about_the_row = error.as_db_error().is_some_and(|said| {
        let code = said.code().code();
        ["22", "23", "44", "P0"]
            .iter()
            .any(|class| code.starts_with(class))
    });
    if about_the_row {
        ChunkError::Row(reason(error))
    } else {
        ChunkError::Store(StoreError::Unavailable(reason(error)))
    }
}

fn of_chunk(error: ChunkError) -> StoreError {
    match error {
        ChunkError::Row(why) => StoreError::Unavailable(why),
        ChunkError::Store(error) => error,
    }
}

/// The rows as a relation: one array for each column.
fn unnest_sql(table: &Table) -> String {
    let arrays: Vec<String> = table
        .columns
        .iter()
        .zip(1..)
        .map(|(column, place)| format!("${place}::{}[]", travel_type(column.kind).0))
        .collect();
    format!(
        "FROM unnest({}) AS s ({})",
        arrays.join(", "),
        table.column_list()
    )
}

fn upsert_sql(table: &Table, source: &str) -> String {
    let name = name_of(table);
    format!(
        "INSERT INTO {name} ({}) SELECT {} {source} {}",
        table.column_list(),
        arrivals(table),
        table.conflict_clause(if table.own { &name } else { table.name })
    )
}

fn arrivals(table: &Table) -> String {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| format!("s.{}{}", column.name, arrival_cast(column.kind)))
        .collect();
    columns.join(", ")
}

/// Places, from 1, of the given rows that stand in the table with other content.
fn differing_sql(table: &Table) -> String {
    let arrays: Vec<String> = table
        .columns
        .iter()
        .zip(1..)
        .map(|(column, place)| format!("${place}::{}[]", travel_type(column.kind).0))
        .collect();
    let stored: Vec<String> = table
        .columns
        .iter()
        .map(|column| format!("t.{}", column.name))
        .collect();
    let keys: Vec<String> = table.key.iter().map(|key| format!("t.{key} = s.{key}")).collect();
    format!(
        "SELECT s.place FROM unnest({}) WITH ORDINALITY AS s ({}, place) JOIN {} t ON {}
         WHERE ({}) IS DISTINCT FROM ({})",
        arrays.join(", "),
        table.column_list(),
        name_of(table),
        keys.join(" AND "),
        stored.join(", "),
        arrivals(table),
    )
}

fn stage_sql(table: &Table) -> String {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| format!("{} {}", column.name, travel_type(column.kind).0))
        .collect();
    format!(
        "CREATE TEMPORARY TABLE IF NOT EXISTS pinion_stage_{} ({}) ON COMMIT DELETE ROWS",
        table.name,
        columns.join(", ")
    )
}
