//! The `pinion` program: hands the command line to the part that does it and turns its end into an exit code.

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
        Command::Keys(KeysCommand::New(args)) => NewKey::generate(&args.account)
            .map(|key| match args.json {
                true => println!("{}", key.to_json()),
                false => println!("{key}"),
            })
            .map_err(|error| error.to_string()),
        Command::Bench(BenchCommand::Engine(args)) => engine_bench::run(&args)
            .map(|report| match args.json {
                true => println!("{}", report.json()),
                false => println!("{report}"),
            })
            .map_err(|error| error.to_string()),
        Command::Bench(BenchCommand::Curves(args)) => curves::run(&args)
            .map(|report| match args.json {
                true => println!("{}", report.json()),
                false => print!("{report}"),
            })
            .map_err(|error| error.to_string()),
        Command::Bench(BenchCommand::Ring(args)) => ring_bench::run(&args)
            .map(|report| match args.json {
                true => println!("{}", report.json()),
                false => print!("{report}"),
            })
            .map_err(|error| error.to_string()),
        Command::Bench(BenchCommand::Risk(args)) => risk_bench::run(&args)
            .map(|report| match args.json {
                true => println!("{}", report.json()),
                false => println!("{report}"),
            })
            .map_err(|error| error.to_string()),
        Command::Bench(BenchCommand::Loop(args)) => loop_bench::run(&args)
            .map(|report| match args.json {
                true => println!("{}", report.json()),
                false => println!("{report}"),
            })
            .map_err(|error| error.to_string()),
        Command::Bench(BenchCommand::Gateway(args)) => gateway_bench::run(&args)
            .map(|report| match args.json {
                true => println!("{}", report.json()),
                false => print!("{report}"),
            })
            .map_err(|error| error.to_string()),
        Command::Bench(BenchCommand::FanOut(args)) => fan_out::run(&args)
            .map(|report| match args.json {
                true => println!("{}", report.json()),
                false => print!("{report}"),
            })
            .map_err(|error| error.to_string()),
        Command::Bench(BenchCommand::Journal(args)) => journal_bench::journal(&args)
            .map(|report| match args.json {
                true => println!("{}", report.json()),
                false => print!("{report}"),
            })
            .map_err(|error| error.to_string()),
        Command::Bench(BenchCommand::Recovery(args)) => journal_bench::recovery(&args)
            .map(|report| match args.json {
                true => println!("{}", report.json()),
                false => print!("{report}"),
            })
            .map_err(|error| error.to_string()),
        Command::Bench(BenchCommand::Postgres(args)) => postgres_bench::run(&args)
            .map(|report| match args.json {
                true => println!("{}", report.json()),
                false => print!("{report}"),
            })
            .map_err(|error| error.to_string()),
        Command::Replay(args) => replay::run(&args).map_err(|error| error.to_string()),
        Command::Verify(args) => verify::run(&args).map_err(|error| error.to_string()),
        Command::Repair(args) => repair::run(&args).map_err(|error| error.to_string()),
        Command::Archive(args) => archive::run(&args).map_err(|error| error.to_string()),
        Command::Migrate(args) => tables::migrate(&args)
            .map(|applied| match applied.is_empty() {
                true => println!("the schema is up to date"),
                false => println!("applied {}", applied.join(", ")),
            })
            .map_err(|error| error.to_string()),
        Command::RebuildTables(args) => tables::rebuild(&args)
            .map(|rebuilt| println!("{rebuilt}"))
            .map_err(|error| error.to_string()),
        Command::Reconcile(args) => tables::reconcile(&args)
            .and_then(|report| {
                print!("{}", tables::show(&report));
                match report.differences.len() {
                    0 => Ok(()),
                    count => Err(TablesError::Different(count)),
                }
            })
            .map_err(|error| error.to_string()),
        Command::Diff(args) => diff::run(&args).map_err(|error| error.to_string()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pinion: {error}");
            ExitCode::FAILURE
        }
    }
}
