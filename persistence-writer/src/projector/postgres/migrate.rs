//! Migrations under an advisory lock: of several processes that start at once, one migrates and the others wait.

use super::super::migrations;
use super::super::store::StoreError;
use super::session::Connection;
use super::unavailable;

/// Any number that nobody else locks: `pinion` on a telephone's keys, and a version.
const ADVISORY_LOCK: i64 = 7_464_660_001;

/// Whether every migration of this version has been applied.
pub(super) fn is_up_to_date(connection: &mut Connection) -> Result<bool, StoreError> {
    let client = &mut connection.client;
    let sql =
        "SELECT to_regclass('pinion_migrations') IS NOT NULL AND to_regclass('pinion.watermark') IS NOT NULL";
    if !client.query_one(sql, &[]).map_err(unavailable)?.get::<_, bool>(0) {
        return Ok(false);
    }
    let sql = "SELECT coalesce(max(version), 0) FROM pinion_migrations";
    let version: i32 = client.query_one(sql, &[]).map_err(unavailable)?.get(0);
    Ok(version == migrations::POSTGRES_VERSION)
}

/// Applies what is missing, all of it or nothing.
pub(super) fn migrate(connection: &mut Connection) -> Result<Vec<String>, StoreError> {
    let client = &mut connection.client;
    let begin =
        format!("SET statement_timeout = 0; SET lock_timeout = 0; SELECT pg_advisory_lock({ADVISORY_LOCK})");
    client.batch_execute(&begin).map_err(unavailable)?;
    let migrated = forget_lost_schema(client).and_then(|()| migrations::postgres(client));
    let end =
        format!("SELECT pg_advisory_unlock({ADVISORY_LOCK}); RESET statement_timeout; RESET lock_timeout");
    client.batch_execute(&end).map_err(unavailable)?;
    migrated
}

/// Where somebody dropped Pinion's schema but not the list of migrations, they are applied again.
fn forget_lost_schema(client: &mut postgres::Client) -> Result<(), StoreError> {
    let sql = "DO $$ BEGIN
        IF to_regclass('pinion_migrations') IS NOT NULL AND to_regclass('pinion.watermark') IS NULL THEN
            DELETE FROM pinion_migrations;
        END IF; END $$";
    client.batch_execute(sql).map_err(unavailable)
}
