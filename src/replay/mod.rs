//! `pinion replay`: folds a journal up to any moment of the past and shows what was there then, or how it came about.
//! Takes no lock and changes nothing.

mod describe;
mod selection;
mod state;

use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;

use api_sidecar::wire::Iso8601;
use clap::{Args, ValueEnum};
use engine::{Command, Event, Seq, Sequenced};
use persistence_writer::journal::{JournalError, walk};
use persistence_writer::{DataDir, DataDirError};
use serde_json::Value;

use crate::base::{self, BaseError};
use crate::facts::{self, Facts, in_one_line};
use crate::fold::{Divergence, Fold};
use selection::Selection;
pub use selection::{SelectionError, Until};

#[derive(Args, Clone, Debug)]
#[command(args_override_self = true)]
pub struct ReplayArgs {
    /// Data directory of the journal.
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Stop after this command or instant (2026-08-03T09:15:00Z).
    #[arg(long, value_name = "SEQ|TIME")]
    pub until: Option<Until>,
    /// Tell the story of one order (as --dump events, of that order only).
    #[arg(long, value_name = "ID")]
    pub order: Option<u64>,
    /// Only this symbol.
    #[arg(long, value_name = "SYMBOL")]
    pub symbol: Option<String>,
    /// Only this account.
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// What to show beside the counts.
    #[arg(long, value_enum)]
    pub dump: Option<Dump>,
    /// Print JSON: one object, with --dump events and hashes one per line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Dump {
    /// Every price level of every book.
    Book,
    /// Open positions.
    Positions,
    /// Money and limits in use of every account.
    Account,
    /// Every command with what the engine decided.
    Events,
    /// The state hash after every command, for `pinion diff` between builds.
    Hashes,
}

#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error("{damage}; see: pinion repair --data-dir {}", data_dir.display())]
    Damaged { damage: JournalError, data_dir: PathBuf },
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Base(#[from] BaseError),
    #[error("the journal was pruned: the earliest moment that can be shown is seq {0}, {1}")]
    Pruned(Seq, String),
    #[error("the journal in {0} is empty")]
    Empty(String),
    #[error(transparent)]
    Selection(#[from] SelectionError),
    #[error(transparent)]
    Divergence(#[from] Divergence),
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

/// Prints what was asked for, then the last sequence number, counts and the state hash.
pub fn run(args: &ReplayArgs) -> Result<(), ReplayError> {
    let journal = DataDir::existing_journal(&args.data_dir)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let dump = args.dump.or(args.order.map(|_| Dump::Events));
    let mut selection = Selection::new(args.order, args.symbol.as_deref(), args.account.as_deref());
    let mut fold = base::earliest(&args.data_dir, &journal)?;
    let earliest = fold.engine();
    if args
        .until
        .is_some_and(|until| until.is_over_at(earliest.last_seq(), earliest.time()))
    {
        return Err(ReplayError::Pruned(
            earliest.last_seq(),
            Iso8601(earliest.time()).to_string(),
        ));
    }
    let mut printed = Ok(());
    let mut tells = false;
    let walked = walk(&journal, earliest.last_seq(), |command| {
        if args.until.is_some_and(|until| until.is_before(command)) {
            return ControlFlow::Break(());
        }
        printed = match dump {
            Some(Dump::Events) => {
                tell(&mut fold, command, &mut selection, args.json, &mut out).map(|told| tells |= told)
            }
            Some(Dump::Hashes) => {
                fold.apply(command, |_, _| {});
                print_hash(&fold, args.json, &mut out)
            }
            _ => {
                fold.apply(command, |_, _| {});
                Ok(())
            }
        };
        match printed {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    })
    .map_err(|error| match error {
        damage @ JournalError::Damaged { .. } => ReplayError::Damaged {
            damage,
            data_dir: args.data_dir.clone(),
        },
        error => error.into(),
    })?;
    printed?;
    if walked.is_none() {
        return Err(ReplayError::Empty(args.data_dir.display().to_string()));
    }
    if let Some(order) = args.order.filter(|_| dump == Some(Dump::Events) && !tells) {
        return Err(SelectionError::UnknownOrder(order).into());
    }
    if dump != Some(Dump::Hashes) {
        let scope = selection.resolve(fold.engine())?;
        let facts = summary(&fold);
        let facts = match dump {
            Some(Dump::Book) => facts.with("book", state::book(fold.engine(), &scope)),
            Some(Dump::Positions) => facts.with("positions", state::positions(fold.engine(), &scope)),
            Some(Dump::Account) => facts.with("account", state::accounts(fold.engine(), &scope)),
            _ => facts,
        };
        facts.print(args.json, &mut out)?;
    }
    out.flush()?;
    fold.divergence()
        .map_or(Ok(()), |divergence| Err(divergence.into()))
}

fn summary(fold: &Fold) -> Facts {
    let engine = fold.engine();
    let open = engine.positions().filter(|position| position.quantity != 0);
    Facts::new()
        .with("last_seq", engine.last_seq().get())
        .with("last_time", Iso8601(engine.time()).to_string())
        .with("accounts", engine.accounts().count())
        .with("instruments", engine.instruments().count())
        .with("open_orders", engine.open_orders())
        .with("open_positions", open.count())
        .with("trades", fold.trades())
        .with("hash_checks", fold.hash_checks())
        .with("state_hash", facts::hash(engine.state_hash()))
}

/// Folds a command and prints it with those of its events that are selected; false where none of it is.
fn tell(
    fold: &mut Fold,
    command: &Sequenced<Command>,
    selection: &mut Selection,
    json: bool,
    out: &mut impl Write,
) -> io::Result<bool> {
    let mut told: Vec<Facts> = Vec::new();
    let mut direct = selection.names_command(fold.engine(), &command.command);
    fold.apply(command, |engine, event| {
        let mine = selection.names_event(engine, event);
        // A refusal names nothing itself: it belongs to its command.
        if mine || (direct && matches!(event, Event::Refused(_))) {
            told.push(describe::event(engine, event));
        }
    });
    direct |= !told.is_empty();
    if !direct {
        return Ok(false);
    }
    let place = || {
        Facts::new()
            .with("seq", command.seq.get())
            .with("time", Iso8601(command.time).to_string())
    };
    let head = describe::command(fold.engine(), &command.command);
    if json {
        let lines = std::iter::once(("command", head)).chain(told.into_iter().map(|event| ("event", event)));
        for (kind, facts) in lines {
            writeln!(out, "{}", place().with(kind, facts.into_value()).into_value())?;
        }
        return Ok(true);
    }
    let time = Iso8601(command.time);
    writeln!(out, "{} {time} {}", command.seq, in_one_line(&head.into_value()))?;
    for event in told {
        writeln!(out, "    {}", in_one_line(&event.into_value()))?;
    }
    Ok(true)
}

fn print_hash(fold: &Fold, json: bool, out: &mut impl Write) -> io::Result<()> {
    let (seq, hash) = (fold.engine().last_seq(), facts::hash(fold.engine().state_hash()));
    if json {
        let facts = Facts::new().with("seq", seq.get()).with("state_hash", hash);
        return writeln!(out, "{}", facts.into_value());
    }
    writeln!(out, "{seq} {}", hash.as_str().unwrap_or_default())
}

/// A list for [`Facts::with`].
fn list(rows: impl Iterator<Item = Facts>) -> Value {
    Value::Array(rows.map(Facts::into_value).collect())
}
