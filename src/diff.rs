//! `pinion diff`: the first command at which two journals, or two builds over one journal, part ways.
//!
//! A side is a data directory, or what another build wrote with `pinion replay --dump hashes`. Two directories are
//! compared command by command; against a file, state hash by state hash.

use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::Args;
use engine::{Command, Seq, Sequenced};
use persistence_writer::journal::{Disk, JournalError, Tailer, walk};
use persistence_writer::{DataDir, DataDirError};

use crate::base::{self, BaseError};
use crate::facts::{self, Facts};
use crate::fold::Fold;

#[derive(Args, Clone, Debug)]
#[command(args_override_self = true)]
pub struct DiffArgs {
    /// A data directory, or a file written by `pinion replay --dump hashes`.
    #[arg(value_name = "A")]
    pub a: PathBuf,
    /// The same.
    #[arg(value_name = "B")]
    pub b: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Base(#[from] BaseError),
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} is neither a data directory nor written by `pinion replay --dump hashes` (line {line})", path.display())]
    NotHashes { path: PathBuf, line: usize },
    #[error("they differ from seq {0} on")]
    Differ(Seq),
    #[error("standard output: {0}")]
    Output(#[from] std::io::Error),
}

/// One side, read a step at a time.
enum Side {
    Journal {
        tailer: Box<Tailer<Disk>>,
        last: Seq,
        fold: Box<Fold>,
    },
    Hashes {
        path: PathBuf,
        lines: std::iter::Enumerate<std::io::Lines<BufReader<File>>>,
    },
}

/// What one side has at a sequence number.
struct Step {
    seq: Seq,
    /// `None` from a file of hashes.
    command: Option<Sequenced<Command>>,
    state_hash: u64,
}

/// Prints where the sides part; an error where they do. One that is a beginning of the other parts at its end.
pub fn run(args: &DiffArgs) -> Result<(), DiffError> {
    let (mut a, mut b) = (Side::open(&args.a)?, Side::open(&args.b)?);
    // Of pruned journals what both still have is compared.
    let begin = a.begin().max(b.begin());
    let (from_a, from_b) = (a.step_after(begin)?, b.step_after(begin)?);
    let mut ahead = Some((from_a, from_b));
    let mut same_to = begin;
    let parted = loop {
        let pair = match ahead.take() {
            Some(pair) => pair,
            None => (a.next()?, b.next()?),
        };
        match pair {
            (None, None) => break None,
            (Some(a), Some(b)) if a.agrees_with(&b) => same_to = a.seq,
            (a, b) => break Some((a, b)),
        }
    };
    let mut facts = Facts::new()
        .with("same_up_to_seq", same_to.get())
        .with("differ", parted.is_some());
    let mut result = Ok(());
    if let Some((a, b)) = parted {
        let seq = a.as_ref().or(b.as_ref()).map_or(same_to, |step| step.seq);
        facts = facts
            .with("first_difference_seq", seq.get())
            .with("a", describe(a.as_ref()))
            .with("b", describe(b.as_ref()));
        result = Err(DiffError::Differ(seq));
    }
    let mut out = std::io::stdout().lock();
    facts.print(args.json, &mut out)?;
    out.flush()?;
    result
}

fn describe(step: Option<&Step>) -> serde_json::Value {
    let Some(step) = step else {
        return "ends before".into();
    };
    let time = step.command.as_ref().map(|command| command.time.nanos());
    let command = step
        .command
        .as_ref()
        .map(|command| format!("{:?}", command.command));
    Facts::new()
        .with_some("time_ns", time)
        .with_some("command", command)
        .with("state_hash", facts::hash(step.state_hash))
        .into_value()
}

impl Step {
    fn agrees_with(&self, other: &Step) -> bool {
        let commands = match (&self.command, &other.command) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        };
        commands && (self.seq, self.state_hash) == (other.seq, other.state_hash)
    }
}

impl Side {
    fn open(path: &Path) -> Result<Side, DiffError> {
        if !path.is_dir() {
            let unread = |source| DiffError::Read {
                path: path.to_owned(),
                source,
            };
            let lines = BufReader::new(File::open(path).map_err(unread)?)
                .lines()
                .enumerate();
            return Ok(Side::Hashes {
                path: path.to_owned(),
                lines,
            });
        }
        let journal = DataDir::existing_journal(path)?;
        let fold = base::earliest(path, &journal)?;
        let begin = fold.engine().last_seq();
        let walked = walk(&journal, begin, |_| ControlFlow::Continue(()))?;
        Ok(Side::Journal {
            tailer: Box::new(Tailer::after(journal, begin)?),
            last: walked.map_or(Seq::default(), |walked| walked.last_seq),
            fold: Box::new(fold),
        })
    }

    /// The record before the first step.
    fn begin(&self) -> Seq {
        match self {
            Side::Journal { fold, .. } => fold.engine().last_seq(),
            Side::Hashes { .. } => Seq::default(),
        }
    }

    /// The first step after `seq`.
    fn step_after(&mut self, seq: Seq) -> Result<Option<Step>, DiffError> {
        loop {
            match self.next()? {
                Some(step) if step.seq <= seq => {}
                step => return Ok(step),
            }
        }
    }

    fn next(&mut self) -> Result<Option<Step>, DiffError> {
        match self {
            Side::Journal { tailer, last, fold } => {
                let Some(command) = tailer.next(*last)? else {
                    return Ok(None);
                };
                fold.apply(&command, |_, _| {});
                Ok(Some(Step {
                    seq: command.seq,
                    command: Some(command),
                    state_hash: fold.engine().state_hash(),
                }))
            }
            Side::Hashes { path, lines } => {
                let Some((index, line)) = lines.next() else {
                    return Ok(None);
                };
                let unread = |source| DiffError::Read {
                    path: path.clone(),
                    source,
                };
                let parsed = parse_hash_line(&line.map_err(unread)?);
                let not_hashes = || DiffError::NotHashes {
                    path: path.clone(),
                    line: index + 1,
                };
                let (seq, state_hash) = parsed.ok_or_else(not_hashes)?;
                Ok(Some(Step {
                    seq,
                    command: None,
                    state_hash,
                }))
            }
        }
    }
}

/// `SEQ HASH`, or the same as a JSON object.
fn parse_hash_line(line: &str) -> Option<(Seq, u64)> {
    let (seq, hash) = match serde_json::from_str::<serde_json::Value>(line) {
        Ok(object @ serde_json::Value::Object(_)) => {
            let hash = object.get("state_hash")?.as_str()?.to_owned();
            (object.get("seq")?.as_u64()?, hash)
        }
        _ => {
            let (seq, hash) = line.split_once(' ')?;
            (seq.parse().ok()?, hash.to_owned())
        }
    };
    Some((Seq::new(seq), u64::from_str_radix(&hash, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_hash_line_are_read() {
        let expected = Some((Seq::new(12), 0xab));
        assert_eq!(parse_hash_line("12 00000000000000ab"), expected);
        assert_eq!(
            parse_hash_line(r#"{"seq":12,"state_hash":"00000000000000ab"}"#),
            expected
        );
        for nonsense in ["", "12", "x 00", "12 zz", "{}", "[1]"] {
            assert_eq!(parse_hash_line(nonsense), None, "{nonsense}");
        }
    }
}
