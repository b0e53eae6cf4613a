//! `pinion bench postgres`: rows per second into a PostgreSQL, beside the same rows written bare.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use persistence_writer::projector::bench::{self, BenchError, Measured, Pair};
use persistence_writer::projector::{PostgresSettings, UrlError};
use serde_json::{Value, json};

#[derive(Args, Clone, Debug)]
#[command(args_override_self = true)]
pub struct PostgresBenchArgs {
    /// A server on which databases may be created; some are, and dropped again [default: DATABASE_URL].
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// Where the journal is made; a folder is made in it and removed again.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
    /// Trades to drain.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    pub trades: u64,
    /// Trades of them that are also written bare.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1_000..=1_000_000))]
    pub sample: u64,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Why there is no figure to report.
#[derive(Debug, thiserror::Error)]
pub enum PostgresBenchError {
    #[error("name a server with --database-url or DATABASE_URL")]
    NoDatabase,
    #[error("the database URL {0}")]
    Url(#[from] UrlError),
    #[error(transparent)]
    Bench(#[from] BenchError),
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
}

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct PostgresReport(Measured);

pub fn run(args: &PostgresBenchArgs) -> Result<PostgresReport, PostgresBenchError> {
    let from_environment = || std::env::var("DATABASE_URL").ok();
    let url = args.database_url.clone().or_else(from_environment);
    let settings = PostgresSettings::parse(&url.ok_or(PostgresBenchError::NoDatabase)?)?;
    let path = args
        .directory
        .join(format!("pinion-bench-{}", std::process::id()));
    std::fs::create_dir(&path).map_err(|source| PostgresBenchError::Io {
        path: path.clone(),
        source,
    })?;
    let measured = bench::measure(&settings, &path, args.trades, args.sample.min(args.trades));
    std::fs::remove_dir_all(&path).map_err(|source| PostgresBenchError::Io { path, source })?;
    Ok(PostgresReport(measured?))
}

fn per_second(rows: u64, elapsed: Duration) -> u64 {
    let rate = u128::from(rows) * 1_000_000_000 / elapsed.as_nanos().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// The projector's share of the bare rate, in percent.
fn share(pair: &Pair) -> u64 {
    let share = pair.bare.as_nanos() * 100 / pair.projected.as_nanos().max(1);
    u64::try_from(share).unwrap_or(u64::MAX)
}

impl PostgresReport {
    pub fn json(&self) -> Value {
        let pair = |pair: &Pair| {
            json!({
                "rows": pair.rows,
                "rows_per_second": per_second(pair.rows, pair.projected),
                "bare_rows_per_second": per_second(pair.rows, pair.bare),
                "share_percent": share(pair),
            })
        };
        let Measured {
            live,
            catch_up,
            drained_trades,
            drained_rows,
            drain,
        } = &self.0;
        json!({
            "live": pair(live),
            "catch_up": pair(catch_up),
            "drain": {
                "trades": drained_trades,
                "rows": drained_rows,
                "elapsed_ms": u64::try_from(drain.as_millis()).unwrap_or(u64::MAX),
                "rows_per_second": per_second(*drained_rows, *drain),
            },
        })
    }
}

impl fmt::Display for PostgresReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measured {
            live,
            catch_up,
            drained_trades,
            drained_rows,
            drain,
        } = &self.0;
        for (name, pair) in [("live", live), ("catch-up", catch_up)] {
            writeln!(
                f,
                "{name:<9} {:>8} rows/s projected, {:>8} rows/s bare: {} % ({} rows)",
                per_second(pair.rows, pair.projected),
                per_second(pair.rows, pair.bare),
                share(pair),
                pair.rows
            )?;
        }
        writeln!(
            f,
            "drain     {drained_trades} trades, {drained_rows} rows in {:.1} s: {} rows/s",
            drain.as_secs_f64(),
            per_second(*drained_rows, *drain)
        )
    }
}
