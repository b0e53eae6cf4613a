//! `pinion archive`: compresses what the journal has finished writing. Beside a running server or without one.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use engine::Seq;
use persistence_writer::journal::{self, JournalError};
use persistence_writer::retention::{self, Needs, RetentionError};
use persistence_writer::{DataDir, DataDirError};

use crate::facts::Facts;

#[derive(Args, Clone, Debug)]
#[command(
    args_override_self = true,
    subcommand_negates_reqs = true,
    args_conflicts_with_subcommands = true
)]
pub struct ArchiveArgs {
    #[command(subcommand)]
    pub command: Option<ArchiveCommand>,
    /// Data directory of the journal.
    #[arg(long, value_name = "DIR", required = true)]
    pub data_dir: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, Subcommand)]
pub enum ArchiveCommand {
    /// Show which archives nobody needs any more, and remove them with --yes.
    Prune(PruneArgs),
}

#[derive(Args, Clone, Debug)]
#[command(args_override_self = true)]
pub struct PruneArgs {
    /// Data directory of the journal.
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Keep this record and all after it [default: as far back as a start of the server and the tables need].
    #[arg(long, value_name = "SEQ")]
    pub before: Option<u64>,
    /// Do it. Without this nothing is changed.
    #[arg(long)]
    pub yes: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Why nothing, or not all, was archived or pruned.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Retention(#[from] RetentionError),
    #[error(
        "records before {asked} are still needed: a start of the server goes back to {}, the tables to {}",
        needs.server, needs.tables
    )]
    BelowTheFloor { asked: Seq, needs: Needs },
    #[error("nothing was changed; to do it: pinion archive prune --yes --data-dir {}", .0.display())]
    NotConfirmed(PathBuf),
    #[error("standard output: {0}")]
    Output(#[from] std::io::Error),
}

/// Archives every closed segment and prints what was done, also where not all could be.
pub fn run(args: &ArchiveArgs) -> Result<(), ArchiveError> {
    match &args.command {
        Some(ArchiveCommand::Prune(args)) => prune(args),
        None => archive(args),
    }
}

fn archive(args: &ArchiveArgs) -> Result<(), ArchiveError> {
    let path = args.data_dir.clone().unwrap_or_default();
    let storage = DataDir::existing_journal(&path)?;
    let _lock = DataDir::lock_archives(&path)?;
    let mut rows = Vec::new();
    let (mut plain, mut packed) = (0, 0);
    let archived = journal::archive_closed(&storage, |archived| {
        plain += archived.segment_bytes;
        packed += archived.archive_bytes;
        rows.push(
            Facts::new()
                .with("segment", archived.segment)
                .with("first_seq", archived.first_seq.get())
                .with("records", archived.records)
                .with("bytes", archived.segment_bytes)
                .with("archive_bytes", archived.archive_bytes)
                .into_value(),
        );
    });
    Facts::new()
        .with("archived", rows)
        .with("bytes", plain)
        .with("archive_bytes", packed)
        .print(args.json, &mut std::io::stdout().lock())?;
    Ok(archived?)
}

/// Says what would go, and what holds the rest; removes it where that was confirmed.
fn prune(args: &PruneArgs) -> Result<(), ArchiveError> {
    let storage = DataDir::existing_journal(&args.data_dir)?;
    let _lock = DataDir::lock_archives(&args.data_dir)?;
    let snapshots = DataDir::existing_snapshots(&args.data_dir).ok_or(RetentionError::Server(0))?;
    let tables = DataDir::existing_tables_snapshots(&args.data_dir).ok_or(RetentionError::Tables(0))?;
    let needs = retention::needs(&storage, &snapshots, Some(&tables))?;
    let keep = args.before.map_or(needs.first(), Seq::new);
    if keep > needs.first() {
        return Err(ArchiveError::BelowTheFloor { asked: keep, needs });
    }
    let plan = journal::prunable(&storage, keep)?;
    let rows = plan.archives.iter().map(|archive| {
        Facts::new()
            .with("segment", archive.segment)
            .with("first_seq", archive.first_seq.get())
            .with("last_seq", archive.last_seq.get())
            .with("archive_bytes", archive.bytes)
            .into_value()
    });
    let nothing = plan.archives.is_empty();
    Facts::new()
        .with("prunable", rows.collect::<Vec<_>>())
        .with(
            "archive_bytes",
            plan.archives.iter().map(|archive| archive.bytes).sum::<u64>(),
        )
        .with("server_needs_seq", needs.server.get())
        .with("tables_need_seq", needs.tables.get())
        .with_some("floor_seq", plan.floor.map(|floor| floor.first_seq.get()))
        .with("done", args.yes && !nothing)
        .print(args.json, &mut std::io::stdout().lock())?;
    if nothing {
        return Ok(());
    }
    if !args.yes {
        return Err(ArchiveError::NotConfirmed(args.data_dir.clone()));
    }
    Ok(journal::prune(&storage, &plan)?)
}
