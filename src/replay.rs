//! `pinion replay`: folds a journal and says where it ends. Takes no lock and changes nothing.

use std::io::Write as _;
use std::ops::ControlFlow;

use engine::{Capacity, Engine, Event, EventBuffer, Seq, Work};
use persistence_writer::journal::{JournalError, walk};
use persistence_writer::{DataDir, DataDirError};
use serde_json::json;

use crate::cli::ReplayArgs;

#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the journal in {0} is empty")]
    Empty(String),
    #[error(
        "the fold disagrees with the journal's state hash at seq {seq}: expected {expected:016x}, found {found:016x}"
    )]
    Divergence { seq: Seq, expected: u64, found: u64 },
    #[error("standard output: {0}")]
    Output(#[from] std::io::Error),
}

/// What a fold came to.
struct Fold {
    engine: Engine,
    events: EventBuffer,
    trades: u64,
    divergence: Option<(Seq, u64, u64)>,
}

/// Prints the last sequence number, counts and the state hash, as text or as one JSON object.
pub fn run(args: &ReplayArgs) -> Result<(), ReplayError> {
    let journal = DataDir::existing_journal(&args.data_dir)?;
    let mut fold = Fold {
        engine: Engine::new(Capacity::default()),
        events: EventBuffer::new(),
        trades: 0,
        divergence: None,
    };
    let walked = walk(&journal, Seq::default(), |command| {
        let mut work = fold.engine.apply(command, &mut fold.events);
        fold.absorb(command.seq);
        while work == Work::More {
            work = fold.engine.resume(&mut fold.events);
            fold.absorb(command.seq);
        }
        ControlFlow::Continue(())
    })?;
    if walked.is_none() {
        return Err(ReplayError::Empty(args.data_dir.display().to_string()));
    }
    print(&fold, args.json)?;
    match fold.divergence {
        Some((seq, expected, found)) => Err(ReplayError::Divergence { seq, expected, found }),
        None => Ok(()),
    }
}

impl Fold {
    fn absorb(&mut self, seq: Seq) {
        for event in self.events.iter() {
            match event {
                Event::Trade(_) => self.trades += 1,
                Event::HashMismatch { expected, found } if self.divergence.is_none() => {
                    self.divergence = Some((seq, *expected, *found));
                }
                _ => {}
            }
        }
        self.events.clear();
    }
}

fn print(fold: &Fold, json: bool) -> Result<(), std::io::Error> {
    let engine = &fold.engine;
    let open_positions = engine
        .positions()
        .filter(|position| position.quantity != 0)
        .count();
    let facts = [
        ("last_seq", json!(engine.last_seq().get())),
        ("accounts", json!(engine.accounts().count())),
        ("instruments", json!(engine.instruments().count())),
        ("open_orders", json!(engine.open_orders())),
        ("open_positions", json!(open_positions)),
        ("trades", json!(fold.trades)),
        ("state_hash", json!(format!("{:016x}", engine.state_hash()))),
    ];
    let mut out = std::io::stdout().lock();
    if json {
        let object: serde_json::Map<_, _> = facts
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        return writeln!(out, "{}", serde_json::Value::Object(object));
    }
    for (key, value) in facts {
        match value.as_str() {
            Some(text) => writeln!(out, "{key} {text}")?,
            None => writeln!(out, "{key} {value}")?,
        }
    }
    Ok(())
}
