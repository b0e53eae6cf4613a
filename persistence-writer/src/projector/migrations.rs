//! Schema migrations. Versions are append-only; `refinery` refuses a database where one of them was another.

use refinery::{Migration, Runner};

use super::store::StoreError;

/// Brings a SQLite file up to date. A schema that this version does not know makes the file one to be made anew.
pub(crate) fn sqlite(connection: &mut rusqlite::Connection) -> Result<(), StoreError> {
    let mut runner = runner(&[
        (
            "V1__seven_tables",
            include_str!("../../migrations/sqlite/V1__seven_tables.sql"),
        ),
        (
            "V2__earlier_days",
            include_str!("../../migrations/sqlite/V2__earlier_days.sql"),
        ),
        (
            "V3__pages_of_history",
            include_str!("../../migrations/sqlite/V3__pages_of_history.sql"),
        ),
    ])?;
    runner.set_migration_table_name("pinion_migrations");
    runner
        .run(connection)
        .map(|_| ())
        .map_err(|error| match error.kind() {
            refinery::error::Kind::DivergentVersion(..) | refinery::error::Kind::MissingVersion(_) => {
                StoreError::Damaged(error.to_string())
            }
            _ => unwrap_sqlite(&error),
        })
}

/// The last version that [`postgres`] knows.
pub(crate) const POSTGRES_VERSION: i32 = 5;

/// Brings a PostgreSQL database up to date, all migrations or none. Returns the names of those applied.
pub(crate) fn postgres(client: &mut postgres::Client) -> Result<Vec<String>, StoreError> {
    let mut runner = runner(&[
        (
            "V1__seven_tables",
            include_str!("../../migrations/postgres/V1__seven_tables.sql"),
        ),
        (
            "V2__pinion",
            include_str!("../../migrations/postgres/V2__pinion.sql"),
        ),
        (
            "V3__earlier_days",
            include_str!("../../migrations/postgres/V3__earlier_days.sql"),
        ),
        (
            "V4__finish_what_was_open",
            include_str!("../../migrations/postgres/V4__finish_what_was_open.sql"),
        ),
        (
            "V5__pages_of_history",
            include_str!("../../migrations/postgres/V5__pages_of_history.sql"),
        ),
    ])?;
    runner.set_migration_table_name("pinion_migrations");
    let report = runner.run(client).map_err(|error| match error.kind() {
        refinery::error::Kind::Connection(_, source) => {
            let said = source
                .downcast_ref::<postgres::Error>()
                .and_then(postgres::Error::as_db_error);
            let why = said.map_or_else(|| source.to_string(), |said| said.to_string());
            StoreError::Unavailable(format!("the schema cannot be migrated: {why}"))
        }
        _ => StoreError::Refused(format!("the schema is not of this version: {error}")),
    })?;
    Ok(report
        .applied_migrations()
        .iter()
        .map(ToString::to_string)
        .collect())
}

fn unwrap_sqlite(error: &refinery::Error) -> StoreError {
    let refinery::error::Kind::Connection(_, source) = error.kind() else {
        return StoreError::Damaged(error.to_string());
    };
    match source
        .downcast_ref::<rusqlite::Error>()
        .and_then(rusqlite::Error::sqlite_error_code)
    {
        // A table that is there already: not a schema of ours.
        Some(
            rusqlite::ErrorCode::Unknown
            | rusqlite::ErrorCode::DatabaseCorrupt
            | rusqlite::ErrorCode::NotADatabase,
        ) => StoreError::Damaged(source.to_string()),
        _ => StoreError::Unavailable(source.to_string()),
    }
}

fn runner(migrations: &[(&str, &str)]) -> Result<Runner, StoreError> {
    let parsed: Result<Vec<Migration>, refinery::Error> = migrations
        .iter()
        .map(|(name, sql)| Migration::unapplied(name, sql))
        .collect();
    let parsed = parsed.map_err(|error| StoreError::Refused(error.to_string()))?;
    // All of them or none: a half-migrated schema is nobody's.
    Ok(Runner::new(&parsed).set_grouped(true))
}
