//! The `pinion` program: hands the command line to the part that does it and turns its end into an exit code.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use pinion::bench::{
    curves, engine_bench, fan_out, gateway_bench, journal_bench, loop_bench, postgres_bench, ring_bench,
    risk_bench,
};
use pinion::cli::{BenchCommand, Cli, Command, KeysCommand};
use pinion::keys::NewKey;
use pinion::tables::TablesError;
use pinion::{archive, diff, repair, replay, serve, tables, verify};

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(args) => serve::run(&args).map_err(|error| error.to_string()),
        Command::Keys(KeysCommand::New(args)) => {
            show(NewKey::generate(&args.account), args.json, NewKey::to_json)
        }
        Command::Bench(bench) => measure(bench),
        Command::Replay(args) => replay::run(&args).map_err(|error| error.to_string()),
        Command::Verify(args) => verify::run(&args).map_err(|error| error.to_string()),
        Command::Repair(args) => repair::run(&args).map_err(|error| error.to_string()),
        Command::Archive(args) => archive::run(&args).map_err(|error| error.to_string()),
        Command::Migrate(args) => tables::migrate(&args)
            .map_err(|error| error.to_string())
            .and_then(|applied| match (args.json, applied.is_empty()) {
                (true, _) => say(serde_json::json!({ "applied": applied })),
                (false, true) => say("the schema is up to date"),
                (false, false) => say(format_args!("applied {}", applied.join(", "))),
            }),
        Command::RebuildTables(args) => show(tables::rebuild(&args), args.json, |rebuilt| rebuilt.to_json()),
        Command::Reconcile(args) => tables::reconcile(&args)
            .map_err(|error| error.to_string())
            .and_then(|report| {
                match args.json {
                    true => say(tables::show_json(&report)),
                    false => say(tables::show(&report)),
                }?;
                match report.differences.len() {
                    0 => Ok(()),
                    count => Err(TablesError::Different(count).to_string()),
                }
            }),
        Command::Diff(args) => diff::run(&args).map_err(|error| error.to_string()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where nobody hears this either, the exit code says it.
            let _ = writeln!(io::stderr(), "pinion: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(bench: BenchCommand) -> Result<(), String> {
    match bench {
        BenchCommand::Engine(args) => show(engine_bench::run(&args), args.json, |report| report.json()),
        BenchCommand::Curves(args) => show(curves::run(&args), args.json, |report| report.json()),
        BenchCommand::Ring(args) => show(ring_bench::run(&args), args.json, |report| report.json()),
        BenchCommand::Risk(args) => show(risk_bench::run(&args), args.json, |report| report.json()),
        BenchCommand::Loop(args) => show(loop_bench::run(&args), args.json, |report| report.json()),
        BenchCommand::Gateway(args) => show(gateway_bench::run(&args), args.json, |report| report.json()),
        BenchCommand::FanOut(args) => show(fan_out::run(&args), args.json, |report| report.json()),
        BenchCommand::Journal(args) => show(journal_bench::journal(&args), args.json, |report| report.json()),
        BenchCommand::Recovery(args) => {
            show(journal_bench::recovery(&args), args.json, |report| report.json())
        }
        BenchCommand::Postgres(args) => show(postgres_bench::run(&args), args.json, |report| report.json()),
    }
}

/// Writes what was found to the standard output, for people or as JSON.
fn show<R: Display, J: Display, E: Display>(
    found: Result<R, E>,
    json: bool,
    to_json: impl FnOnce(&R) -> J,
) -> Result<(), String> {
    match found {
        Ok(report) if json => say(to_json(&report)),
        Ok(report) => say(report),
        Err(error) => Err(error.to_string()),
    }
}

/// Writes a text, and the end of its last line where it has none. A full disk or a closed pipe is an error like any other.
fn say(text: impl Display) -> Result<(), String> {
    let mut text = text.to_string();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| format!("standard output: {error}"))
}
