//! The tables: where they are, and the commands about them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{SystemTime, UNIX_EPOCH};

use api_sidecar::rest::TablesHealth;
use clap::Args;
use engine::{Seq, Timestamp};
use persistence_writer::journal::{self, Disk, JournalError, JournalId, SpareSegments};
use persistence_writer::projector::{
    self, PostgresSettings, PostgresStore, Projector, ProjectorStatus, Source, SqliteStore, StoreError,
    UrlError,
};
use persistence_writer::{Ack, DataDir, DataDirError, Progress};
use read_model::SharedReadModel;

use crate::cli::ServeArgs;
use crate::config::{Config, ConfigError, Environment, Machine};

/// The embedded database, in the data directory.
const EMBEDDED: &str = "pinion.db";

/// Where the tables are.
#[derive(Clone, Debug)]
pub enum Tables {
    Embedded(PathBuf),
    Postgres(Box<PostgresSettings>),
}

#[derive(Debug, thiserror::Error)]
pub enum TablesError {
    #[error("DATABASE_URL {0}")]
    Url(#[from] UrlError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the journal's id cannot be made: {0}")]
    JournalId(std::io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "there is nothing to migrate: DATABASE_URL is not set, and the embedded database migrates itself"
    )]
    NothingToMigrate,
}

/// Which configuration, and which data.
#[derive(Args, Clone, Debug, Default)]
#[command(args_override_self = true)]
pub struct TablesArgs {
    /// TOML configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the journal lives [default: ./data].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

impl TablesArgs {
    fn load(&self) -> Result<Config, ConfigError> {
        let args = ServeArgs {
            config: self.config.clone(),
            data_dir: self.data_dir.clone(),
            ..ServeArgs::default()
        };
        Config::load(&args, &Environment::of_process(), &Machine::here())
    }
}

impl Tables {
    pub fn of(config: &Config) -> Result<Tables, UrlError> {
        match &config.database_url {
            None => Ok(Tables::Embedded(config.server.data_dir.join(EMBEDDED))),
            Some(url) => Ok(Tables::Postgres(Box::new(PostgresSettings::parse(url.as_str())?))),
        }
    }

    pub const fn backend(&self) -> &'static str {
        match self {
            Tables::Embedded(_) => "sqlite",
            Tables::Postgres(_) => "postgres",
        }
    }

    /// The body of the thread `projector`: until `stop`, rows follow the journal. Alerts go to the read model.
    pub fn follow(
        self,
        source: Source<Disk>,
        model: &Arc<SharedReadModel>,
        stop: &AtomicBool,
    ) -> Result<(), JournalError> {
        let model = Arc::clone(model);
        let hook = Box::new(move |reason: &str| {
            let now = now();
            model.advance(|model| model.raise_database_behind(reason, now));
        });
        match self {
            Tables::Embedded(path) => {
                let store = SqliteStore::new(path);
                projector::run(Projector::new(source, store).with_behind_hook(hook), stop)
            }
            Tables::Postgres(settings) => {
                let store = PostgresStore::new(*settings);
                projector::run(Projector::new(source, store).with_behind_hook(hook), stop)
            }
        }
    }
}

/// How the tables stand, for `/health`.
pub fn health(status: &ProjectorStatus) -> TablesHealth {
    let (state, reason) = status.state();
    let lag = status.lag(now());
    TablesHealth {
        backend: status.backend(),
        state: state.as_str(),
        working: state.is_working(),
        reason,
        written: status.written(),
        lag_ms: lag.map(|lag| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX)),
        dead_letters: status.dead_letters(),
        conflicts: status.conflicts(),
    }
}

/// `pinion migrate`: brings the schema of `DATABASE_URL` up to date. Returns what was applied.
pub fn migrate(args: &TablesArgs) -> Result<Vec<String>, TablesError> {
    match Tables::of(&args.load()?)? {
        Tables::Embedded(_) => Err(TablesError::NothingToMigrate),
        Tables::Postgres(settings) => Ok(PostgresStore::new(*settings).migrate()?),
    }
}

/// `pinion rebuild-tables`: replaces the rows by those of this journal. Returns how far they reach and how many were
/// written. No server may run on the data directory.
pub fn rebuild(args: &TablesArgs) -> Result<Rebuilt, TablesError> {
    let config = args.load()?;
    let tables = Tables::of(&config)?;
    DataDir::existing_journal(&config.server.data_dir)?;
    let data_dir = DataDir::open(&config.server.data_dir)?;
    let settings = journal::Settings {
        segment_bytes: config.segment_bytes,
        fresh_id: JournalId::random().map_err(TablesError::JournalId)?,
        spares: SpareSegments::OnDemand,
    };
    let opened = journal::open(data_dir.journal(), &settings, Seq::default(), |_| ())?;
    let last = opened.walked.last_seq;
    let status = Arc::new(ProjectorStatus::new(tables.backend()));
    let source = Source {
        storage: data_dir.journal(),
        journal: opened.walked.journal,
        progress: Arc::new(Progress::new(Ack::Durable, last, Arc::default())),
        status: Arc::clone(&status),
    };
    match tables {
        Tables::Embedded(path) => projector::rebuild(Projector::new(source, SqliteStore::new(path)))??,
        Tables::Postgres(settings) => {
            projector::rebuild(Projector::new(source, PostgresStore::new(*settings)))??;
        }
    }
    Ok(Rebuilt {
        last_seq: last.get(),
        rows: status.rows(),
        dead_letters: status.dead_letters(),
    })
}

/// What a rebuild came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rebuilt {
    pub last_seq: u64,
    pub rows: u64,
    pub dead_letters: u64,
}

impl std::fmt::Display for Rebuilt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Rebuilt {
            last_seq,
            rows,
            dead_letters,
        } = self;
        write!(
            f,
            "tables rebuilt up to seq {last_seq}: {rows} rows, {dead_letters} dead letters"
        )
    }
}

/// The wall clock, by which commands are stamped.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp::from_nanos(since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)))
}
