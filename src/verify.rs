//! `pinion verify`: reads everything that is durable, folds it, and says whether it is whole. Takes no lock and changes
//! nothing.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use api_sidecar::wire::Iso8601;
use clap::Args;
use engine::Seq;
use persistence_writer::journal::{self, Disk, JournalError, Walked, walk_as_far_as_possible};
use persistence_writer::record::Kind;
use persistence_writer::snapshot::{self, SnapshotError};
use persistence_writer::{DataDir, DataDirError};

use crate::base::{self, BaseError};
use crate::facts::{self, Facts};
use crate::fold::{Divergence, Fold};

#[derive(Args, Clone, Debug)]
#[command(args_override_self = true)]
pub struct VerifyArgs {
    /// Data directory of the journal.
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Why a journal is not whole, or could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error("{damage}; see: pinion repair --data-dir {}", data_dir.display())]
    Damaged { damage: JournalError, data_dir: PathBuf },
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Base(#[from] BaseError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("the journal in {} is empty", .0.display())]
    Empty(PathBuf),
    #[error(transparent)]
    Divergence(#[from] Divergence),
    #[error("the state breaks an invariant of the engine: {0}")]
    Audit(&'static str),
    #[error("standard output: {0}")]
    Output(#[from] std::io::Error),
}

/// Prints what there is, as far as it can be read; an error where that is not all of it.
pub fn run(args: &VerifyArgs) -> Result<(), VerifyError> {
    let journal = DataDir::existing_journal(&args.data_dir)?;
    let mut fold = base::earliest(&args.data_dir, &journal)?;
    let (start, folded_from) = (journal::start(&journal)?, fold.engine().last_seq());
    let mut kinds = BTreeMap::new();
    let (walked, result) = walk_as_far_as_possible(&journal, start, |command| {
        *kinds
            .entry(format!("{:?}", Kind::of(&command.command)))
            .or_insert(0_u64) += 1;
        if command.seq > folded_from {
            fold.apply(command, |_, _| {});
        }
        ControlFlow::Continue(())
    });
    let audit = fold.engine().audit();
    let (snapshots, bad_snapshot) = check_snapshots(&args.data_dir, &journal)?;
    let mut report = Facts::new();
    if start > Seq::default() {
        report = report
            .with("pruned_up_to_seq", start.get())
            .with("folded_from_snapshot_seq", folded_from.get());
    }
    if let Some(walked) = &walked {
        report = describe(report, walked, &fold);
    }
    let counts = kinds
        .into_iter()
        .fold(Facts::new(), |facts, (kind, count)| facts.with(&kind, count));
    let damage = match &result {
        Ok(()) => "none".to_owned(),
        Err(error) => error.to_string(),
    };
    report
        .with("commands", counts.into_value())
        .with("snapshots", snapshots)
        .with("audit", audit.err().unwrap_or("sound"))
        .with("damage", damage)
        .print(args.json, &mut std::io::stdout().lock())?;
    match result {
        Err(damage @ JournalError::Damaged { .. }) => {
            let data_dir = args.data_dir.clone();
            return Err(VerifyError::Damaged { damage, data_dir });
        }
        other => other?,
    }
    if walked.is_none() {
        return Err(VerifyError::Empty(args.data_dir.clone()));
    }
    if let Some(divergence) = fold.divergence() {
        return Err(divergence.into());
    }
    audit.map_err(VerifyError::Audit)?;
    bad_snapshot.map_or(Ok(()), Err)
}

/// Every snapshot is restored (which checks its state hash and the engine's invariants) and found on the journal's
/// chain. Returns a row for each, and the first error: not a loss, since a start then takes an older one.
fn check_snapshots(
    data_dir: &Path,
    journal: &Disk,
) -> Result<(Vec<serde_json::Value>, Option<VerifyError>), VerifyError> {
    let (mut rows, mut bad) = (Vec::new(), None);
    let Some(storage) = DataDir::existing_snapshots(data_dir) else {
        return Ok((rows, bad));
    };
    for seq in snapshot::list(&storage)? {
        let row = Facts::new().with("seq", seq.get());
        let row = match snapshot::read_for(&storage, journal, seq) {
            Ok((_, model)) => row.with("state_hash", facts::hash(model.engine().state_hash())),
            Err(error) => {
                let row = row.with("damage", error.to_string());
                bad.get_or_insert(VerifyError::Snapshot(error));
                row
            }
        };
        rows.push(row.into_value());
    }
    Ok((rows, bad))
}

fn describe(report: Facts, walked: &Walked, fold: &Fold) -> Facts {
    let torn = walked.torn.map(|torn| {
        Facts::new()
            .with("segment", torn.segment)
            .with("offset", torn.offset)
            .with("bytes", torn.bytes)
            .into_value()
    });
    report
        .with("journal", walked.journal.to_string())
        .with("segments", walked.segments)
        .with("records", walked.records)
        .with("last_seq", walked.last_seq.get())
        .with("last_time", Iso8601(walked.last_time).to_string())
        .with("chain", format!("{:08x}", walked.end.chain()))
        .with("state_hash", facts::hash(fold.engine().state_hash()))
        .with("hash_checks", fold.hash_checks())
        .with_some("torn_tail", torn)
}
