//! PostgreSQL: the tables where the old tools look for them.
//!
//! Needs version 12 or later. A role with least privilege owns nothing but may `CONNECT` and `TEMPORARY` on the
//! database, `USAGE` on its schemas, and `SELECT, INSERT, UPDATE, DELETE` on the tables of both; migrations are then run
//! by the owner (`pinion migrate`).

mod encode;
mod migrate;
mod session;
mod settings;
mod write;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use engine::Timestamp;
use postgres::types::ToSql;
use postgres::{GenericClient, IsolationLevel, Statement};
use tracing::info;

use super::batch::Batch;
use super::held::Held;
use super::limits::{ANSWER_TIME, MIGRATION_TIME};
use super::store::{
    Lineage, Question, StoreError, TableStore, Takeover, TextRows, Watermark, Written, judge,
};
use super::table::{Column, Kind, OnConflict, Row, TABLES};
use session::{Connection, Session};
pub use settings::{PostgresSettings, UrlError};

/// The tables in a PostgreSQL database.
#[derive(Debug)]
pub struct PostgresStore {
    settings: PostgresSettings,
    session: Option<Session>,
    sessions: Arc<AtomicUsize>,
    /// The server's process behind the connection that failed last. It may still hold locks.
    left: Option<i32>,
    epoch: Option<u64>,
    answer_time: Duration,
}

impl PostgresStore {
    /// Nothing is connected before the first claim.
    pub fn new(settings: PostgresSettings) -> PostgresStore {
        PostgresStore {
            settings,
            session: None,
            sessions: Arc::default(),
            left: None,
            epoch: None,
            answer_time: ANSWER_TIME,
        }
    }

    /// How long the database may take to answer a batch before its connection is given up.
    pub fn with_answer_time(self, answer_time: Duration) -> PostgresStore {
        PostgresStore { answer_time, ..self }
    }

    /// Connects and brings the schema up to date, and nothing else. Returns the migrations that were applied.
    pub fn migrate(&mut self) -> Result<Vec<String>, StoreError> {
        let session = Session::open(&self.settings, &self.sessions, self.answer_time)?;
        if let Some(left) = self.left {
            session.ask(self.answer_time, move |connection| terminate(connection, left))?;
            self.left = None;
        }
        let applied = if session.ask(self.answer_time, migrate::is_up_to_date)? {
            Vec::new()
        } else {
            session.ask(MIGRATION_TIME, migrate::migrate)?
        };
        for migration in &applied {
            info!(migration, "schema migrated");
        }
        self.session = Some(session);
        Ok(applied)
    }

    /// The upserts of a batch in one transaction and nothing around them: what a projector is measured by.
    pub fn upsert_bare(&mut self, batch: &Arc<Batch>) -> Result<(), StoreError> {
        let batch = Arc::clone(batch);
        self.ask(move |connection| write::upsert_bare(connection, &batch))
    }

    fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match &self.session {
            Some(session) => session.ask(self.answer_time, job),
            None => Err(StoreError::Unavailable("not connected".to_owned())),
        }
    }
}

impl TableStore for PostgresStore {
    fn backend(&self) -> &'static str {
        "postgres"
    }

    fn writes_itself(&self) -> bool {
        false
    }

    fn claim(&mut self, lineage: Lineage) -> Result<u64, StoreError> {
        self.disconnect();
        self.migrate()?;
        let mine = self.epoch;
        let (seq, epoch) = self.ask(move |connection| take_over(connection, &lineage, mine))?;
        self.epoch = Some(epoch);
        Ok(seq)
    }

    fn holds(&mut self, held: &Held) -> Result<bool, StoreError> {
        let held = *held;
        self.ask(move |connection| {
            let Some(sql) = held_sql(&held) else {
                return Ok(true);
            };
            let statement = connection.prepared(&sql).map_err(unavailable)?;
            holds(&mut connection.client, &statement, &held).map_err(unavailable)
        })
    }

    fn verify(&mut self, seq: u64) -> Result<(), StoreError> {
        let epoch = signed(self.epoch.unwrap_or_default());
        self.ask(move |connection| {
            let sql =
                "SELECT EXISTS (SELECT 1 FROM pinion.watermark WHERE id = 1 AND seq = $1 AND epoch = $2)";
            let row = connection
                .client
                .query_one(sql, &[&signed(seq), &epoch])
                .map_err(unavailable)?;
            if row.get(0) {
                Ok(())
            } else {
                Err(StoreError::Moved)
            }
        })
    }

    fn rewind(&mut self) -> Result<(), StoreError> {
        self.ask(|connection| {
            let sql = "BEGIN; UPDATE pinion.watermark SET seq = 0, time = NULL, chain = NULL;
                DELETE FROM pinion.dead_letter; COMMIT";
            connection.client.batch_execute(sql).map_err(unavailable)
        })
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        self.migrate()?;
        match &self.session {
            Some(session) => session.ask(MIGRATION_TIME, clear),
            None => Err(StoreError::Unavailable("not connected".to_owned())),
        }
    }

    fn write(&mut self, batch: &Arc<Batch>, held: &Held) -> Result<Written, StoreError> {
        let epoch = signed(self.epoch.unwrap_or_default());
        let (batch, held) = (Arc::clone(batch), *held);
        self.ask(move |connection| write::write(connection, &batch, &held, epoch))
    }

    fn own_prefix(&self) -> &'static str {
        "pinion."
    }

    fn as_text(&self, Column { name, kind, .. }: &Column) -> String {
        match kind {
            Kind::Time => format!("to_char({name}, 'YYYY-MM-DD HH24:MI:SS.US')"),
            Kind::Ids | Kind::Texts => format!("to_json({name})::text"),
            _ => format!("{name}::text"),
        }
    }

    fn read(&mut self, questions: Vec<Question>) -> Result<Vec<TextRows>, StoreError> {
        if self.session.is_none() {
            self.session = Some(Session::open(&self.settings, &self.sessions, self.answer_time)?);
        }
        self.ask(move |connection| read(connection, &questions).map_err(unavailable))
    }

    fn log(&mut self, rows: Vec<Row>, now: Timestamp) -> Result<(), StoreError> {
        self.ask(move |connection| write::log(connection, &rows, now))
    }

    fn disconnect(&mut self) {
        if let Some(session) = self.session.take() {
            self.left = Some(session.backend);
        }
    }
}

/// The question whether the tables hold these rows; `None` where there is nothing to ask for.
fn held_sql(held: &Held) -> Option<String> {
    let parameter = |number| format!("${number}::int8");
    (!held.is_empty()).then(|| held.sql(name_of, "pinion.dead_letter", parameter))
}

fn holds(
    client: &mut impl GenericClient,
    statement: &Statement,
    held: &Held,
) -> Result<bool, postgres::Error> {
    let numbers = held.parameters();
    let parameters: Vec<&(dyn ToSql + Sync)> = numbers.iter().map(|number| number as _).collect();
    Ok(client.query_one(statement, &parameters)?.get(0))
}

/// Ends what a connection of ours left behind: it may not know yet that nobody listens, and hold locks.
fn terminate(connection: &mut Connection, backend: i32) -> Result<(), StoreError> {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE pid = $1 AND application_name = $2 AND usename = current_user";
    let ours = settings::APPLICATION_NAME;
    connection
        .client
        .query(sql, &[&backend, &ours])
        .map(|_| ())
        .map_err(unavailable)
}

fn read(connection: &mut Connection, questions: &[Question]) -> Result<Vec<TextRows>, postgres::Error> {
    let mut snapshot = connection
        .client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()?;
    let mut answers = Vec::with_capacity(questions.len());
    for Question { sql, texts } in questions {
        let parameters: Vec<&(dyn ToSql + Sync)> = texts.iter().map(|text| text as _).collect();
        let rows = snapshot.query(sql.as_str(), &parameters)?;
        let texts = |row: &postgres::Row| (0..row.len()).map(|place| row.get(place)).collect();
        answers.push(rows.iter().map(texts).collect());
    }
    Ok(answers)
}

fn take_over(
    connection: &mut Connection,
    lineage: &Lineage,
    mine: Option<u64>,
) -> Result<(u64, u64), StoreError> {
    let mut transaction = connection.client.transaction().map_err(unavailable)?;
    let sql = "SELECT journal, epoch, seq, chain FROM pinion.watermark WHERE id = 1 FOR UPDATE";
    let found = transaction
        .query_opt(sql, &[])
        .map_err(unavailable)?
        .map(|row| Watermark {
            journal: row.get(0),
            epoch: unsigned(row.get(1)),
            seq: unsigned(row.get(2)),
            chain: Watermark::chain_of(row.get(3)),
        });
    let (seq, epoch) = match judge(found.as_ref(), lineage, mine)? {
        Takeover::Keep { seq } => (seq, mine.unwrap_or_default()),
        Takeover::Take { seq, epoch } => (seq, epoch),
        Takeover::Begin { epoch } => (0, epoch),
    };
    transaction
        .execute(
            "INSERT INTO pinion.watermark (id, journal, epoch, seq) VALUES (1, $1, $2, $3)
             ON CONFLICT (id) DO UPDATE SET journal = excluded.journal, epoch = excluded.epoch",
            &[&lineage.journal.to_string(), &signed(epoch), &signed(seq)],
        )
        .map_err(unavailable)?;
    transaction.commit().map_err(unavailable)?;
    Ok((seq, epoch))
}

/// Removes what came from a journal. Rows that older ones refer to stay until they are written again; who projected
/// into the tables until now is fenced.
fn clear(connection: &mut Connection) -> Result<(), StoreError> {
    let mut sql = "BEGIN; SET LOCAL statement_timeout = 0; DELETE FROM trades WHERE seq IS NOT NULL;
        DELETE FROM positions p WHERE seq IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM trades t WHERE t.position_id = p.id);
        DELETE FROM strategies s WHERE seq IS NOT NULL AND id <> 1
            AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.account = s.account AND o.strategy_id = s.id
                            AND o.seq IS NULL)
            AND NOT EXISTS (SELECT 1 FROM positions p WHERE p.account = s.account AND p.strategy_id = s.id);
        DELETE FROM pinion.dead_letter;"
        .to_owned();
    // Orders go before the strategies that they refer to.
    sql = sql.replacen(
        "DELETE FROM strategies",
        "DELETE FROM orders WHERE seq IS NOT NULL; DELETE FROM strategies",
        1,
    );
    for table in TABLES
        .iter()
        .filter(|table| table.own || table.key.len() == 2 || table.name == "kill_switch_events")
    {
        let name = name_of(table);
        match (table.name, table.on_conflict) {
            ("strategies", _) => sql.push_str("UPDATE strategies SET seq = NULL; "),
            (_, OnConflict::Newer | OnConflict::Once) => {
                sql.push_str(&format!("DELETE FROM {name} WHERE seq IS NOT NULL; "));
            }
        }
    }
    sql.push_str(
        "UPDATE positions SET seq = NULL WHERE seq IS NOT NULL;
         UPDATE pinion.watermark SET journal = '', seq = 0, time = NULL, chain = NULL, epoch = epoch + 1; COMMIT",
    );
    connection.client.batch_execute(&sql).map_err(unavailable)
}

/// A table's name in this database.
pub(super) fn name_of(table: &super::table::Table) -> String {
    let schema = if table.own { "pinion." } else { "" };
    format!("{schema}{}", table.name)
}

fn unavailable(error: postgres::Error) -> StoreError {
    StoreError::Unavailable(settings::reason(&error))
}

/// Journal positions and epochs stay below 2^63.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
