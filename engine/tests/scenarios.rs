//! Order-book scenarios as text (`tests/scenarios/*.txt`): book before, commands, expected events, book after. The
//! expectations are written by hand from the rules; the engine and the oracle both have to meet them.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    dead_code,
    unreachable_pub,
    reason = "test support shared with other tests"
)]

mod oracle;
mod script;

use std::fmt::Write as _;
use std::path::Path;

use engine::{
    Capacity, Command, DepthLevel, Engine, Event, EventBuffer, InstrumentId, InstrumentView, OrderAccepted,
    Seq, Sequenced, Side, Timestamp, Work,
};

use oracle::Oracle;
use script::{Scenario, Step};

/// Where the engine of a scenario comes from before each command.
#[derive(Clone, Copy, PartialEq)]
enum Restarts {
    Never,
    FromSnapshots,
    FromTheJournal,
}

/// A scenario under way: the engine and the oracle, and what was seen since the last `events`.
struct Stage {
    engine: Engine,
    restarts: Restarts,
    journal: Vec<Sequenced<Command>>,
    oracle: Oracle,
    buffer: EventBuffer,
    /// Ticks between the scripted commands shift their sequence numbers.
    seq: u64,
    seen: Vec<Event>,
}

impl Stage {
    fn new(orders: u32, restarts: Restarts) -> Stage {
        Stage {
            engine: Engine::new(capacity(orders)),
            restarts,
            journal: Vec::new(),
            oracle: Oracle::new(64, orders as usize),
            buffer: EventBuffer::new(),
            seq: 0,
            seen: Vec::new(),
        }
    }

    /// Fires what is due up to a time, each at its own time.
    fn wait(&mut self, until: Timestamp) -> Result<(), String> {
        while let Some(due) = self.engine.next_deadline().filter(|due| *due <= until) {
            self.apply(due, Command::Tick)?;
        }
        Ok(())
    }

    fn apply(&mut self, time: Timestamp, command: Command) -> Result<(), String> {
        self.seq += 1;
        let command = Sequenced {
            seq: Seq::new(self.seq),
            time,
            command,
        };
        self.restart()?;
        let events = in_order_of_books(fold(&mut self.engine, &command, &mut self.buffer));
        self.journal.push(command.clone());
        let expected = in_order_of_books(self.oracle.apply(&command));
        if events != expected {
            return Err(format!(
                "engine and oracle disagree:\n  {events:?}\n  {expected:?}"
            ));
        }
        self.seen.extend(events);
        self.engine.audit().map_err(String::from)
    }

    /// The engine is lost, and another made of what is on disk.
    fn restart(&mut self) -> Result<(), String> {
        let hash = self.engine.state_hash();
        match self.restarts {
            Restarts::Never => {}
            Restarts::FromSnapshots => {
                self.engine = Engine::restore(&self.engine.save()).map_err(|error| error.to_string())?;
            }
            Restarts::FromTheJournal => {
                self.engine = Engine::new(self.engine.capacity());
                for command in &self.journal {
                    fold(&mut self.engine, command, &mut self.buffer);
                }
            }
        }
        if self.engine.state_hash() == hash {
            Ok(())
        } else {
            Err("a restart led to another state".to_owned())
        }
    }

    fn book(&self, scenario: &Scenario) -> Vec<String> {
        let mut lines = Vec::new();
        for index in 0..scenario.names.instruments.len() as u32 {
            let id = InstrumentId::new(index);
            let book = scenario.names.book(id);
            for side in [Side::Buy, Side::Sell] {
                let levels: Vec<DepthLevel> = self.engine.depth(id, side, usize::MAX);
                lines.extend(levels.iter().map(|level| script::level_line(&book, side, level)));
            }
        }
        lines
    }

    fn statistics(&self, scenario: &Scenario) -> Vec<String> {
        let line =
            |view: InstrumentView<'_>| script::statistics_line(&scenario.names.book(view.instrument), &view);
        self.engine.instruments().map(line).collect()
    }
}

fn capacity(orders: u32) -> Capacity {
    Capacity {
        accounts: 8,
        instruments: 4,
        orders,
        positions: 64,
        client_order_ids: 64,
    }
}

/// Folds one command to its end.
fn fold(engine: &mut Engine, command: &Sequenced<Command>, buffer: &mut EventBuffer) -> Vec<Event> {
    let mut events = Vec::new();
    buffer.clear();
    let mut work = engine.apply(command, buffer);
    events.extend_from_slice(buffer);
    while work == Work::More {
        buffer.clear();
        work = engine.resume(buffer);
        events.extend_from_slice(buffer);
    }
    events
}

/// The tops that end a command come in no particular order.
fn in_order_of_books(mut events: Vec<Event>) -> Vec<Event> {
    let book = |event: &Event| match event {
        Event::TopOfBook(top) => Some(top.instrument),
        _ => None,
    };
    let tops = events.iter().rev().take_while(|event| book(event).is_some());
    let start = events.len() - tops.count();
    events[start..].sort_by_key(book);
    events
}

fn run(scenario: &Scenario, restarts: Restarts) -> Result<(), String> {
    let mut stage = Stage::new(scenario.room, restarts);
    for step in &scenario.steps {
        match step {
            Step::Do { line, command } => {
                stage.wait(command.time)?;
                stage
                    .apply(command.time, command.command.clone())
                    .map_err(|why| format!("line {line}: {why}"))?;
            }
            Step::Wait { until } => stage.wait(*until)?,
            Step::AllRest { line } => {
                let refused = |event: &&Event| !matches!(event, Event::OrderAccepted(OrderAccepted { .. }));
                let seen = std::mem::take(&mut stage.seen);
                let orders = seen.iter().filter(|event| scenario.shown.covers(event));
                if let Some(event) = orders
                    .filter(|event| !matches!(event, Event::TopOfBook(_)))
                    .find(refused)
                {
                    return Err(format!(
                        "line {line}: the book before does not just rest: {event:?}"
                    ));
                }
            }
            Step::Events { line, expected } => {
                let seen = std::mem::take(&mut stage.seen);
                let seen: Vec<_> = seen
                    .iter()
                    .filter(|event| scenario.shown.covers(event))
                    .map(|event| script::show_event(event, &scenario.names))
                    .collect();
                compare("events", *line, expected, &seen)?;
            }
            Step::Book { line, expected } => {
                let book = stage.book(scenario);
                compare("book", *line, expected, &book)?;
            }
            Step::Statistics { line, expected } => {
                compare("statistics", *line, expected, &stage.statistics(scenario))?;
            }
        }
    }
    let unseen = stage.seen.iter().filter(|event| scenario.shown.covers(event));
    match unseen.count() {
        0 => Ok(()),
        count => Err(format!("{count} events after the last `events`")),
    }
}

fn compare(what: &str, line: usize, expected: &[String], found: &[String]) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    let mut text = format!("line {line}: {what} differ\n");
    for index in 0..expected.len().max(found.len()) {
        let (expected, found) = (expected.get(index), found.get(index));
        let shown = |line: Option<&String>| line.map_or("(nothing)", String::as_str).to_owned();
        if expected == found {
            writeln!(text, "    {}", shown(found)).expect("writing to a string");
        } else {
            writeln!(text, "  - {}\n  + {}", shown(expected), shown(found)).expect("writing to a string");
        }
    }
    Err(text)
}

#[test]
fn every_scenario_plays_as_written() {
    play_all(Restarts::Never);
}

/// A snapshot between any two commands: a half-fired cascade, a trailing stop that has moved, a close whose slices wait for
/// room, a square-off or a flatten that waits for trading go on as if nothing had been.
#[test]
fn every_scenario_plays_as_written_over_restarts() {
    play_all(Restarts::FromSnapshots);
}

/// The same from the journal: the commands so far are folded anew before every one.
#[test]
fn every_scenario_plays_as_written_over_replays() {
    play_all(Restarts::FromTheJournal);
}

fn play_all(restarts: Restarts) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("the folder of scenarios")
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    let mut failures = String::new();
    for file in &files {
        let name = file
            .file_name()
            .map(|name| name.to_string_lossy())
            .unwrap_or_default();
        let text = std::fs::read_to_string(file).expect("a readable scenario");
        let played = std::panic::catch_unwind(|| run(&script::parse_file(&text), restarts));
        match played {
            Ok(Ok(())) => {}
            Ok(Err(why)) => writeln!(failures, "{name}, {why}").expect("writing to a string"),
            Err(_) => writeln!(failures, "{name} panicked, see above").expect("writing to a string"),
        }
    }
    assert!(files.len() >= 30, "the scenarios are gone: {} files", files.len());
    assert!(failures.is_empty(), "\n{failures}");
}

/// The table of rulings names no scenario that is not there.
#[test]
fn every_ruling_has_its_scenarios() {
    let rows: Vec<&str> = include_str!("RULINGS.md")
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains('`'))
        .collect();
    assert!(rows.len() >= 20, "the table is gone: {} rows", rows.len());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    for row in rows {
        let named = row.split('`').skip(1).step_by(2);
        for name in named {
            let file = folder.join(format!("{name}.txt"));
            assert!(file.is_file(), "{name}.txt is not there: {row}");
        }
    }
}
