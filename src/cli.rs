//! The command line. Values stay text here: [`crate::config`] parses them together with the environment and the file,
//! so that a bad value is named in one sentence wherever it came from.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::archive::ArchiveArgs;
use crate::bench::curves::CurvesBenchArgs;
use crate::bench::engine_bench::EngineBenchArgs;
use crate::bench::fan_out::FanOutArgs;
use crate::bench::gateway_bench::GatewayBenchArgs;
use crate::bench::journal_bench::{JournalBenchArgs, RecoveryBenchArgs};
use crate::bench::loop_bench::LoopBenchArgs;
use crate::bench::postgres_bench::PostgresBenchArgs;
use crate::bench::ring_bench::RingBenchArgs;
use crate::bench::risk_bench::RiskBenchArgs;
use crate::diff::DiffArgs;
use crate::repair::RepairArgs;
use crate::replay::ReplayArgs;
use crate::tables::TablesArgs;
use crate::verify::VerifyArgs;

/// An order management system with its own exchange inside.
#[derive(Debug, Parser)]
#[command(name = "pinion", version, about, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the exchange, the gateway and the journal.
    Serve(ServeArgs),
    /// Make API keys.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Fold a journal up to any moment; show what was there then, or how it came about.
    Replay(ReplayArgs),
    /// Read everything durable and say whether it is whole.
    Verify(VerifyArgs),
    /// Show what could be done about a damaged journal, and do it with --yes.
    Repair(RepairArgs),
    /// Compress the segments that the journal has finished, beside a running server or without one.
    Archive(ArchiveArgs),
    /// Find the first command at which two journals, or two builds, part ways.
    Diff(DiffArgs),
    /// Bring the schema of the database in DATABASE_URL up to date.
    Migrate(TablesArgs),
    /// Replace the rows of the tables by those of the journal.
    RebuildTables(TablesArgs),
    /// Compare the tables with the journal; differences also go to reconciliation_log.
    Reconcile(TablesArgs),
    /// Measure parts of Pinion; every result is checked before a time is given.
    #[command(subcommand)]
    Bench(BenchCommand),
}

/// Flags override the environment, the environment overrides the file, the file overrides the defaults.
/// Of a repeated flag the last one wins.
#[derive(Args, Clone, Debug, Default)]
#[command(args_override_self = true)]
pub struct ServeArgs {
    /// TOML configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the journal lives [default: ./data].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address of the gateway; port 0 picks a free one [default: 127.0.0.1:8050].
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<String>,
    /// Paper market: none or sim [default: sim].
    #[arg(long, value_name = "MODE")]
    pub market: Option<String>,
    /// When an answer may leave: durable or memory [default: durable].
    #[arg(long, value_name = "WHEN")]
    pub ack: Option<String>,
    /// How the engine thread waits: busy-spin, yield or park [default: busy-spin on 4 or more cores, else yield].
    #[arg(long, value_name = "STRATEGY")]
    pub wait: Option<String>,
    /// Core to keep the engine thread on, or any [default: any; on two cores with yield the last, the gateway on the first].
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub engine_core: Option<String>,
    /// Core to keep the gateway thread on, or any [default: any; see --engine-core].
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub gateway_core: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Print a new key once, with the hash that goes into the configuration.
    New(NewKeyArgs),
}

#[derive(Args, Clone, Debug)]
#[command(args_override_self = true)]
pub struct NewKeyArgs {
    /// Account that the key acts for.
    #[arg(long, value_name = "NAME")]
    pub account: String,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// The engine on the workloads of shared/workloads/ORACLE.md.
    Engine(EngineBenchArgs),
    /// What a command costs as orders, levels, instruments, accounts and positions grow; tables and drawings.
    Curves(CurvesBenchArgs),
    /// Handing items from one thread to another, one at a time and in a stream.
    Ring(RingBenchArgs),
    /// What the pre-trade checks cost a command of workload D, by profile.
    Risk(RiskBenchArgs),
    /// A command into the real engine thread, its events out.
    Loop(LoopBenchArgs),
    /// Order entry over HTTP and WebSocket, beside a bare echo of the same bytes.
    Gateway(GatewayBenchArgs),
    /// Each order's event to a thousand WebSocket clients, some of which never read.
    FanOut(FanOutArgs),
    /// Records per second and latency by batch size, beside bare write + fdatasync.
    Journal(JournalBenchArgs),
    /// Commands per second from files to state.
    Recovery(RecoveryBenchArgs),
    /// Rows per second into a PostgreSQL, beside the bare upsert of the same rows; the time to drain a journal.
    Postgres(PostgresBenchArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Command {
        Cli::try_parse_from(line.split_whitespace()).unwrap().command
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_last_of_a_repeated_flag_wins() {
        let line = "pinion serve --ack durable --data-dir a --ack memory --data-dir b --listen x --listen y";
        let Command::Serve(args) = parse(line) else {
            panic!("not serve");
        };
        assert_eq!(args.ack.as_deref(), Some("memory"));
        assert_eq!(args.data_dir, Some(PathBuf::from("b")));
        assert_eq!(args.listen.as_deref(), Some("y"));
    }

    #[test]
    fn every_command_of_the_readme_parses() {
        for line in [
            "pinion serve",
            "pinion serve --config pinion.toml --market none --wait yield --engine-core 1",
            "pinion keys new --account main --json",
            "pinion keys new --account main --json --json",
            "pinion replay --data-dir ./data",
            "pinion replay --data-dir ./data --until 2026-08-03T09:15:00Z --dump book --symbol TCS --json",
            "pinion replay --data-dir ./data --order 42",
            "pinion verify --data-dir ./data",
            "pinion bench engine --workload e --scenario 25 --json",
            "pinion bench engine --workload A --mode full --commands 1000 --seed 42",
            "pinion bench curves --quick --figure levels --figure accounts --svg-dir benches/curves --json",
            "pinion bench ring --wait busy-spin",
            "pinion bench loop --commands 100000 --json",
            "pinion bench gateway --ack durable --rate 1000 --seconds 2 --json",
            "pinion bench fan-out --clients 100 --stalled 2 --rate 20 --seconds 2 --json",
            "pinion bench journal --json",
            "pinion bench recovery --commands 100000",
            "pinion repair --data-dir ./data --yes",
            "pinion archive --data-dir ./data --json",
            "pinion archive prune --data-dir ./data --before 1000 --yes",
            "pinion diff ./data ./other",
            "pinion migrate --config pinion.toml",
            "pinion rebuild-tables --data-dir ./data",
            "pinion reconcile --data-dir ./data --json",
            "pinion bench postgres --trades 1000 --sample 1000 --json",
        ] {
            parse(line);
        }
    }

    #[test]
    fn unknown_flags_and_missing_values_are_refused() {
        for line in [
            "pinion",
            "pinion serve --lisen 127.0.0.1:1",
            "pinion serve --ack",
            "pinion keys new",
            "pinion archive",
            "pinion archive prune",
            "pinion replay",
            "pinion replay --data-dir ./data --until yesterday",
        ] {
            assert!(Cli::try_parse_from(line.split_whitespace()).is_err(), "{line}");
        }
    }
}
