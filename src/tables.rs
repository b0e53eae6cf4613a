//! The tables: where they are, and the commands about them.

use scheduling::SharedCore;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api_sidecar::rest::{ReconcileDifference, ReconcileProbe, Reconciliation, TablesHealth};
use clap::Args;
use engine::{Seq, Timestamp};
use persistence_writer::journal::{self, Disk, JournalError, JournalId, SpareSegments};
use persistence_writer::projector::reconcile::{self, Report, Requests, Standing};
use persistence_writer::projector::{
    self, AlarmHook, Fold, PostgresSettings, PostgresStore, Projector, ProjectorStatus, Reconciler, Source,
    SqliteStore, StoreError, TableStore, UrlError,
};
use persistence_writer::{Ack, DataDir, DataDirError, Progress};
use read_model::SharedReadModel;
use serde_json::json;

use crate::cli::ServeArgs;
use crate::config::{Config, ConfigError, Environment, Machine};
use crate::limits::{READ_MODEL_WAIT, RECONCILE_ATTEMPTS, RECONCILE_TIMEOUT};

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
    #[error("the tables hold commands up to {tables}, but the journal ends at {journal}")]
    AheadOfJournal { tables: u64, journal: u64 },
    #[error("the tables move too fast to be compared from outside: ask the server, GET /api/oms/reconcile")]
    Moving,
    #[error("{0} differences")]
    Different(usize),
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
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
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

    /// The body of the thread `projector`: until `stop`, rows follow the journal. Troubles are told to `alarm`.
    /// Snapshots of the fold go to `snapshots`. `core` is the engine's, where the thread may work too.
    pub fn follow(
        self,
        source: Source<Disk>,
        snapshots: Disk,
        alarm: AlarmHook,
        behind_after: Duration,
        requests: Requests,
        (core, stop): (SharedCore, &AtomicBool),
    ) -> Result<(), JournalError> {
        match self {
            Tables::Embedded(path) => {
                let store = SqliteStore::new(path);
                let projector = Projector::new(source, store)
                    .with_core(core)
                    .with_alarm(alarm, behind_after);
                projector::run(projector.with_requests(requests).with_snapshots(snapshots), stop)
            }
            Tables::Postgres(settings) => {
                let store = PostgresStore::new(*settings);
                let projector = Projector::new(source, store)
                    .with_core(core)
                    .with_alarm(alarm, behind_after);
                projector::run(projector.with_requests(requests).with_snapshots(snapshots), stop)
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

/// Answers `/reconcile`: the projector's thread compares, the read model shows what it has.
pub fn reconcile_probe(reconciler: Reconciler, model: Arc<SharedReadModel>) -> ReconcileProbe {
    Box::new(move || {
        let model = Arc::clone(&model);
        let capture = move |seq| {
            let model = model.read_at(Seq::new(seq), READ_MODEL_WAIT)?;
            Some(Standing::of(model.engine(), model.history()))
        };
        reconciler
            .reconcile(capture, RECONCILE_TIMEOUT)
            .map(reconciliation)
    })
}

fn reconciliation(report: Report) -> Reconciliation {
    let differences = report
        .differences
        .into_iter()
        .map(|difference| ReconcileDifference {
            side: difference.side,
            account: difference.account,
            symbol: difference.symbol,
            exchange: difference.exchange,
            issue_type: difference.issue_type,
            severity: difference.severity,
            engine_quantity: difference.engine_quantity,
            other_quantity: difference.other_quantity,
            message: difference.message,
        });
    Reconciliation {
        seq: report.seq,
        open_orders: report.open_orders,
        open_positions: report.open_positions,
        accounts: report.accounts,
        orders: report.orders,
        trades: report.trades,
        differences: differences.collect(),
    }
}

/// `pinion reconcile`: folds the journal up to where the tables stand, and compares. A server may run; while it writes
/// fast, ask it instead.
pub fn reconcile(args: &TablesArgs) -> Result<Report, TablesError> {
    let config = args.load()?;
    let journal = DataDir::existing_journal(&config.server.data_dir)?;
    let mut store: Box<dyn TableStore> = match Tables::of(&config)? {
        Tables::Embedded(path) => Box::new(SqliteStore::new(path)),
        Tables::Postgres(settings) => Box::new(PostgresStore::new(*settings)),
    };
    let (mut tables, _) = reconcile::read_tables(&mut *store, 0)?;
    let mut fold = Fold::new(u64::MAX);
    for _ in 0..RECONCILE_ATTEMPTS {
        fold_to(&mut fold, &journal, tables.seq)?;
        let engine = Standing::of(fold.engine(), fold.history());
        let volume;
        (tables, volume) = reconcile::read_tables(&mut *store, engine.day)?;
        if tables.seq == engine.seq {
            let differences = reconcile::compare(&engine, &tables, "tables");
            let report = Report::new(&engine, volume, fold.volume(), differences);
            reconcile::log(&mut *store, &report, now())?;
            return Ok(report);
        }
    }
    Err(TablesError::Moving)
}

fn fold_to(fold: &mut Fold, journal: &Disk, seq: u64) -> Result<(), TablesError> {
    journal::walk(journal, Seq::new(fold.seq()), |command| {
        if command.seq.get() > seq {
            return ControlFlow::Break(());
        }
        fold.apply(command);
        ControlFlow::Continue(())
    })?;
    if fold.seq() == seq {
        Ok(())
    } else {
        Err(TablesError::AheadOfJournal {
            tables: seq,
            journal: fold.seq(),
        })
    }
}

/// A report for a person.
pub fn show(report: &Report) -> String {
    let mut text = format!(
        "compared at seq {}: {} open orders, {} open positions, {} accounts; {} orders and {} trades in all\n",
        report.seq, report.open_orders, report.open_positions, report.accounts, report.orders, report.trades
    );
    for difference in &report.differences {
        let line = format!(
            "{} {}: {}\n",
            difference.severity, difference.issue_type, difference.message
        );
        text.push_str(&line);
    }
    text
}

/// A report as JSON.
pub fn show_json(report: &Report) -> String {
    let differences: Vec<_> = report
        .differences
        .iter()
        .map(|difference| {
            json!({
                "side": difference.side,
                "account": difference.account,
                "symbol": difference.symbol,
                "exchange": difference.exchange,
                "issue_type": difference.issue_type,
                "severity": difference.severity,
                "message": difference.message,
                "engine_quantity": difference.engine_quantity,
                "other_quantity": difference.other_quantity,
            })
        })
        .collect();
    json!({
        "status": if differences.is_empty() { "matched" } else { "different" },
        "seq": report.seq,
        "compared": {
            "open_orders": report.open_orders,
            "open_positions": report.open_positions,
            "accounts": report.accounts,
            "orders": report.orders,
            "trades": report.trades,
        },
        "count": differences.len(),
        "differences": differences,
    })
    .to_string()
}

/// What a rebuild came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rebuilt {
    pub last_seq: u64,
    pub rows: u64,
    pub dead_letters: u64,
}

impl Rebuilt {
    pub fn to_json(self) -> String {
        json!({ "last_seq": self.last_seq, "rows": self.rows, "dead_letters": self.dead_letters }).to_string()
    }
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
