//! `pinion archive`: compresses what the journal has finished writing. Beside a running server or without one.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use persistence_writer::journal::{self, JournalError};
use persistence_writer::{DataDir, DataDirError};

use crate::facts::Facts;

#[derive(Args, Clone, Debug)]
#[command(args_override_self = true, subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
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
pub enum ArchiveCommand {}

/// Why nothing, or not all, was archived or pruned.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("standard output: {0}")]
    Output(#[from] std::io::Error),
}

/// Archives every closed segment and prints what was done, also where not all could be.
pub fn run(args: &ArchiveArgs) -> Result<(), ArchiveError> {
    match &args.command {
        Some(command) => match *command {},
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
