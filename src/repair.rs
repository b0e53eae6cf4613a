//! `pinion repair`: shows what could be done about a journal's first damage, and does it when told to.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use persistence_writer::journal::{self, JournalError, Remedy, Repair};
use persistence_writer::{DataDir, DataDirError};

use crate::facts::Facts;

#[derive(Args, Clone, Debug)]
#[command(args_override_self = true)]
pub struct RepairArgs {
    /// Data directory of the journal.
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Do it. Without this nothing is changed.
    #[arg(long)]
    pub yes: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Why a journal was not repaired.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("nothing was changed; to do it: pinion repair --yes --data-dir {}", .0.display())]
    NotConfirmed(PathBuf),
    #[error("there is more damage; look again: pinion repair --data-dir {}", .0.display())]
    MoreDamage(PathBuf),
    #[error("standard output: {0}")]
    Output(#[from] std::io::Error),
}

/// Repairs the first damage where `--yes` is given. Ends well only if the journal is then whole.
pub fn run(args: &RepairArgs) -> Result<(), RepairError> {
    // Looked for first, because opening a data directory would create one.
    DataDir::existing_journal(&args.data_dir)?;
    let data_dir = DataDir::open(&args.data_dir)?;
    let _archives = DataDir::lock_archives(&args.data_dir)?;
    let storage = data_dir.journal();
    let mut out = std::io::stdout().lock();
    let Some(repair) = journal::survey(&storage)? else {
        Facts::new().with("damage", "none").print(args.json, &mut out)?;
        return Ok(());
    };
    describe(&repair)
        .with("done", args.yes)
        .print(args.json, &mut out)?;
    out.flush()?;
    if !args.yes {
        return Err(RepairError::NotConfirmed(args.data_dir.clone()));
    }
    journal::repair(&storage, &repair)?;
    match journal::survey(&storage)? {
        Some(_) => Err(RepairError::MoreDamage(args.data_dir.clone())),
        None => Ok(()),
    }
}

fn describe(repair: &Repair) -> Facts {
    let facts = Facts::new().with("damage", repair.damage.as_str());
    match &repair.remedy {
        Remedy::ClearPadding { segment, from, to } => facts
            .with("remedy", "clear_padding")
            .with("segment", *segment)
            .with("from", *from)
            .with("to", *to)
            .with("lost_records", 0),
        Remedy::RebuildHeader { segment, .. } => facts
            .with("remedy", "rebuild_header")
            .with("segment", *segment)
            .with("lost_records", 0),
        Remedy::Cut { kept, lost, .. } => {
            let last = lost.last.map_or(kept.get(), engine::Seq::get);
            facts
                .with("remedy", "cut")
                .with("last_seq_kept", kept.get())
                .with("lost_records", last.saturating_sub(kept.get()).max(1))
                .with("lost_records_still_whole", lost.whole_records)
                .with_some("lost_up_to_seq", lost.last.map(engine::Seq::get))
                .with("segments_put_aside", lost.segments.clone())
                .with("next_start", "trading stopped until a person re-arms it")
        }
    }
}
