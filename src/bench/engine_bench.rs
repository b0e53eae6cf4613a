//! `pinion bench engine`: the workloads of [`super::workload`] on the code that production runs.
//!
//! An untimed pass checks every trade, every best price and the final queues against the reference books and, where the
//! table has the stream, against what twelve other engines gave. Only then is the same stream timed: the mean over the
//! whole batch first, each command on its own in a pass of its own.

use std::fmt;
use std::ops::RangeInclusive;

use clap::{Args, ValueEnum};
use engine::book::BookRefusal;
use thiserror::Error;

use super::book_run::BookRun;
use super::checksum::Outcome;
use super::expected;
use super::full_run::{Decisions, FullRun};
use super::hand_off_run::{self, InPlace};
use super::latency::{Latency, rss_bytes};
use super::limits::{COMMANDS_MAX, TIMED_PASSES, TIMED_PASSES_C, TIMED_PASSES_LONG};
use super::swings::Scenario;
use super::workload::{Name, Workload};

#[derive(Args, Clone, Debug)]
#[command(args_override_self = true)]
pub struct EngineBenchArgs {
    /// Which stream. A: quote-driven (mostly moves), one book. B: order-driven (additions and cancellations), one book.
    /// C: B over 1,000 books with a million resting orders. D: B with the dashboard's risk profile. E: swinging prices,
    /// with reports handed to a second thread.
    #[arg(long, value_enum, ignore_case = true)]
    pub workload: Name,
    /// Of workload E: how far the price swings, in per cent [default: all five; the slowest counts].
    #[arg(long, value_enum)]
    pub scenario: Option<Scenario>,
    /// Commands after the prefill [default: 1,000,000; of E 2,000,000].
    #[arg(long)]
    pub commands: Option<usize>,
    /// Seed of the stream; results of others are known for A and B, 42, with 1,000, 100,000 and 1,000,000 commands.
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// What runs the stream [default: book; of D full]. D in mode book is B: the bare book has no risk profile.
    #[arg(long, value_enum)]
    pub mode: Option<Mode>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Mode {
    /// The order book alone, through its library face (E with reports).
    Book,
    /// Everything that an order costs on the engine thread, and its journal record.
    Full,
}

/// Why there is no time to report.
#[derive(Debug, Error)]
pub enum EngineBenchError {
    #[error("--commands is {0}; a stream has 1 to {COMMANDS_MAX} commands")]
    Commands(usize),
    #[error("--scenario belongs to workload E")]
    Scenario,
    #[error("the book refused command {index}: {refusal}")]
    Refused { index: usize, refusal: BookRefusal },
    #[error("wrong result, so no time: {}", .0.join("; "))]
    WrongResult(Vec<String>),
}

/// A run whose results are right.
#[derive(Clone, Debug)]
pub struct Report {
    workload: Name,
    mode: Mode,
    scenario: Option<Scenario>,
    seed: u64,
    commands: usize,
    stream_checksum: u64,
    outcome: Outcome,
    /// Of full runs.
    decisions: Option<Decisions>,
    /// Median over the timed passes, for all commands together.
    elapsed_ns: u128,
    passes: usize,
    /// The same in `Engine::apply` alone, of full runs.
    apply_ns: Option<u128>,
    /// The same where buys and sells of an account meet in one position, of full runs but D's, which is that anyway.
    netting_ns: Option<u128>,
    latency: Latency,
    /// The same for commands with so many trades, of full runs.
    by_trades: Vec<(RangeInclusive<u64>, Latency)>,
    empty: Latency,
    rss_bytes: u64,
    /// Of workload E: the other scenarios, with nanoseconds for all messages.
    others: Vec<(Scenario, u128)>,
}

/// Runs a stream: generate, check, time.
///
/// # Errors
/// Where the arguments are out of range, or the results are not the expected ones.
pub fn run(args: &EngineBenchArgs) -> Result<Report, EngineBenchError> {
    let standard = if args.workload == Name::E {
        2_000_000
    } else {
        1_000_000
    };
    let commands = args.commands.unwrap_or(standard);
    if commands == 0 || commands > COMMANDS_MAX {
        return Err(EngineBenchError::Commands(commands));
    }
    if args.scenario.is_some() && args.workload != Name::E {
        return Err(EngineBenchError::Scenario);
    }
    let standard = if args.workload == Name::D {
        Mode::Full
    } else {
        Mode::Book
    };
    let mode = args.mode.unwrap_or(standard);
    let generate =
        |scenario: Option<Scenario>| Workload::generate(args.workload, scenario, commands, args.seed);
    let measure = match (args.workload, mode) {
        (Name::E, Mode::Book) => hand_off,
        (_, Mode::Book) => book,
        (_, Mode::Full) => full,
    };
    match (args.workload, args.scenario) {
        (Name::E, None) => worst_scenario(generate, measure),
        (_, scenario) => measure(&generate(scenario)),
    }
}

fn book(workload: &Workload) -> Result<Report, EngineBenchError> {
    let run = BookRun::new(workload);
    let outcome = run.checked_pass()?;
    compare(workload, &outcome)?;
    let passes = if workload.name == Name::C {
        TIMED_PASSES_LONG
    } else {
        TIMED_PASSES
    };
    let elapsed_ns = median(passes, || run.timed_pass())?;
    let latency = run.latency_pass()?;
    Ok(Report::new(
        workload,
        Mode::Book,
        outcome,
        (elapsed_ns, passes),
        latency,
    ))
}

fn full(workload: &Workload) -> Result<Report, EngineBenchError> {
    let passes = match workload.name {
        Name::C | Name::E => TIMED_PASSES_C,
        _ => TIMED_PASSES_LONG,
    };
    let mut netting = FullRun::netting(workload);
    let (mut run, netting_ns) = match workload.name {
        Name::D => (netting, None),
        _ => {
            netting.checked_pass()?;
            let elapsed_ns = median(passes, || Ok(netting.timed_pass()))?;
            (FullRun::new(workload), Some(elapsed_ns))
        }
    };
    let (outcome, decisions) = run.checked_pass()?;
    match workload.name {
        Name::D => compare_decisions(workload, &outcome, &decisions)?,
        _ => compare(workload, &outcome)?,
    }
    let elapsed_ns = median(passes, || Ok(run.timed_pass()))?;
    let apply_ns = median(passes, || Ok(run.apply_pass()))?;
    let (latency, by_trades) = run.latency_pass();
    let timed = (elapsed_ns, passes);
    Ok(Report {
        by_trades,
        decisions: Some(decisions),
        apply_ns: Some(apply_ns),
        netting_ns,
        ..Report::new(workload, Mode::Full, outcome, timed, latency)
    })
}

/// One scenario of workload E.
fn hand_off(workload: &Workload) -> Result<Report, EngineBenchError> {
    let run = BookRun::new(workload);
    let outcome = run.checked_pass()?;
    compare(workload, &outcome)?;
    let expected = hand_off_run::expected(&run)?;
    let elapsed_ns = median(TIMED_PASSES, || hand_off_run::timed_pass(&run, expected))?;
    let mut in_place = InPlace::new(&run);
    let latency = Latency::measure(run.orders.len(), |index| {
        in_place
            .message(&run.orders[index])
            .map_err(|refusal| EngineBenchError::Refused { index, refusal })
    })?;
    if in_place.finish() != expected {
        let wrong = "the reports read in place are not those of the stream".to_owned();
        return Err(EngineBenchError::WrongResult(vec![wrong]));
    }
    Ok(Report::new(
        workload,
        Mode::Book,
        outcome,
        (elapsed_ns, TIMED_PASSES),
        latency,
    ))
}

/// All scenarios of workload E; the slowest is the report.
fn worst_scenario(
    generate: impl Fn(Option<Scenario>) -> Workload,
    measure: fn(&Workload) -> Result<Report, EngineBenchError>,
) -> Result<Report, EngineBenchError> {
    let mut reports = Vec::with_capacity(Scenario::ALL.len());
    for scenario in Scenario::ALL {
        reports.push((scenario, measure(&generate(Some(scenario)))?));
    }
    let rates = reports
        .iter()
        .map(|(scenario, report)| (*scenario, report.elapsed_ns));
    let others = rates.collect();
    let worst = reports.into_iter().max_by_key(|(_, report)| report.elapsed_ns);
    let (_, worst) = worst.expect("there are scenarios");
    Ok(Report { others, ..worst })
}

fn median(
    passes: usize,
    mut pass: impl FnMut() -> Result<u128, EngineBenchError>,
) -> Result<u128, EngineBenchError> {
    let mut times = (0..passes).map(|_| pass()).collect::<Result<Vec<_>, _>>()?;
    times.sort_unstable();
    Ok(times[passes / 2])
}

/// Against the reference books always, against the table where it has the stream.
fn compare(workload: &Workload, found: &Outcome) -> Result<(), EngineBenchError> {
    let mut wrong = Vec::new();
    if *found != workload.outcome {
        wrong.push("the books and the reference books disagree".to_owned());
    }
    if let Some(row) = expected::row(workload.name, workload.commands(), workload.seed) {
        if workload.checksum() != row.stream_checksum {
            wrong.push("the stream is not the one of the table".to_owned());
        }
        wrong.extend(row.mismatches(found));
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(EngineBenchError::WrongResult(wrong))
    }
}

/// Workload D trades otherwise than any book, so there is no reference but what is known of the stream; its checked pass
/// has compared the engine with a fold of its records.
fn compare_decisions(
    workload: &Workload,
    found: &Outcome,
    decisions: &Decisions,
) -> Result<(), EngineBenchError> {
    let Some(row) = expected::decided(workload.commands(), workload.seed) else {
        return Ok(());
    };
    let wrong = row.mismatches(found, decisions.accepted, decisions.rejected.values().sum());
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(EngineBenchError::WrongResult(wrong)),
    }
}

impl Report {
    fn new(
        workload: &Workload,
        mode: Mode,
        outcome: Outcome,
        (elapsed_ns, passes): (u128, usize),
        latency: Latency,
    ) -> Report {
        Report {
            workload: workload.name,
            mode,
            scenario: workload.scenario,
            seed: workload.seed,
            commands: workload.commands(),
            stream_checksum: workload.checksum(),
            outcome,
            decisions: None,
            elapsed_ns,
            passes,
            apply_ns: None,
            netting_ns: None,
            latency,
            by_trades: Vec::new(),
            empty: Latency::of_nothing(workload.commands()),
            rss_bytes: rss_bytes(),
            others: Vec::new(),
        }
    }

    /// One JSON object; checksums are 16 hexadecimal digits. Workload E also says its scenario.
    pub fn json(&self) -> String {
        let hex = |checksum: u64| format!("\"{checksum:016x}\"");
        let mut fields = vec![("workload", format!("\"{}\"", self.workload))];
        fields.extend(
            self.scenario
                .map(|scenario| ("scenario", format!("\"{scenario}\""))),
        );
        fields.extend([
            ("mode", format!("\"{}\"", self.mode)),
            ("seed", self.seed.to_string()),
            ("commands", self.commands.to_string()),
            ("stream_checksum", hex(self.stream_checksum)),
            ("trades", self.outcome.trades.to_string()),
            ("traded_qty", self.outcome.traded_quantity.to_string()),
            ("trade_checksum", hex(self.outcome.trade_checksum())),
            ("l1_checksum", hex(self.outcome.l1_checksum())),
            ("book_checksum", hex(self.outcome.book_checksum())),
            ("ns_per_command", self.per_command(self.elapsed_ns)),
            ("p50_ns", self.latency.p50().to_string()),
            ("p99_ns", self.latency.p99().to_string()),
            ("p999_ns", self.latency.p999().to_string()),
            ("max_ns", self.latency.max().to_string()),
            ("empty_p50_ns", self.empty.p50().to_string()),
            ("empty_p99_ns", self.empty.p99().to_string()),
            ("rss_bytes", self.rss_bytes.to_string()),
        ]);
        let fields: Vec<_> = fields
            .iter()
            .map(|(key, value)| format!("\"{key}\":{value}"))
            .collect();
        format!("{{{}}}", fields.join(","))
    }

    /// Nanoseconds with two decimals, rounded down.
    fn per_command(&self, elapsed_ns: u128) -> String {
        let hundredths = elapsed_ns * 100 / self.commands as u128;
        format!("{}.{:02}", hundredths / 100, hundredths % 100)
    }

    /// Millions of commands per second with two decimals, rounded down.
    fn millions_per_second(&self, elapsed_ns: u128) -> String {
        let hundredths = self.commands as u128 * 100_000 / elapsed_ns.max(1);
        format!("{}.{:02}", hundredths / 100, hundredths % 100)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Mode::Book => "book",
            Mode::Full => "full",
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report {
            workload,
            mode,
            seed,
            commands,
            outcome,
            latency,
            empty,
            ..
        } = self;
        write!(f, "workload {workload}")?;
        if let Some(scenario) = self.scenario {
            write!(f, ", scenario {scenario}")?;
        }
        writeln!(f, ", mode {mode}, seed {seed}, {commands} commands")?;
        writeln!(f, "stream   {:016x}", self.stream_checksum)?;
        writeln!(
            f,
            "trades   {:016x}  {} trades of {} shares",
            outcome.trade_checksum(),
            outcome.trades,
            outcome.traded_quantity
        )?;
        writeln!(f, "l1       {:016x}", outcome.l1_checksum())?;
        writeln!(f, "book     {:016x}", outcome.book_checksum())?;
        if let Some(decisions) = &self.decisions {
            let Decisions {
                accepted,
                own,
                rejected: by_code,
                refused,
            } = decisions;
            let rejected: u64 = by_code.values().sum();
            let share = rejected * 1_000 / (accepted + rejected).max(1);
            let (whole, tenth) = (share / 10, share % 10);
            writeln!(
                f,
                "orders   {accepted} accepted, {rejected} rejected ({whole}.{tenth} %); {refused} cancels and modifies refused; {own} by the engine itself"
            )?;
            for (code, count) in by_code {
                let (number, check) = (code.code(), code.check());
                writeln!(f, "  {number:>6}  {count:>8} {code:?} ({check})")?;
            }
        }
        let mean = self.per_command(self.elapsed_ns);
        let rate = self.millions_per_second(self.elapsed_ns);
        writeln!(
            f,
            "mean     {mean} ns per command, {rate} M/s (median of {} passes)",
            self.passes
        )?;
        if let Some(apply_ns) = self.apply_ns {
            let mean = self.per_command(apply_ns);
            writeln!(f, "  of it  {mean} ns in Engine::apply, without rings and record")?;
        }
        if let Some(netting_ns) = self.netting_ns {
            let mean = self.per_command(netting_ns);
            writeln!(
                f,
                "  netted {mean} ns where each account has one position (other trades: excess exits are trimmed)"
            )?;
        }
        for (scenario, elapsed_ns) in &self.others {
            let rate = self.millions_per_second(*elapsed_ns);
            writeln!(
                f,
                "  {scenario:>5}  {} ns, {rate} M/s",
                self.per_command(*elapsed_ns)
            )?;
        }
        for (name, of) in [("each", latency), ("empty", empty)] {
            let (p50, p99, p999, max) = (of.p50(), of.p99(), of.p999(), of.max());
            writeln!(
                f,
                "{name:8} p50 {p50} ns, p99 {p99} ns, p99.9 {p999} ns, max {max} ns"
            )?;
        }
        for (trades, of) in &self.by_trades {
            let name = match (trades.start(), trades.end()) {
                (fewest, most) if fewest == most => format!("{fewest}"),
                (fewest, &u64::MAX) => format!("{fewest} or more"),
                (fewest, most) => format!("{fewest} to {most}"),
            };
            let (count, slow) = (of.count(), of.count_above(latency.p99()));
            let (p50, p99) = (of.p50(), of.p99());
            writeln!(
                f,
                "  {name:>9} trades: {count} commands, p50 {p50} ns, p99 {p99} ns; {slow} of them above the p99 of all"
            )?;
        }
        write!(f, "memory   {} MiB resident", self.rss_bytes >> 20)
    }
}

#[cfg(test)]
mod tests {
    use super::super::expected::Expected;
    use super::*;

    fn args(workload: Name, commands: usize, seed: u64) -> EngineBenchArgs {
        EngineBenchArgs {
            workload,
            scenario: None,
            commands: Some(commands),
            seed,
            mode: None,
            json: true,
        }
    }

    fn workload(name: Name, commands: usize, seed: u64) -> Workload {
        Workload::generate(name, None, commands, seed)
    }

    /// Every row of the table, by the book that production runs.
    #[test]
    fn the_book_reproduces_every_row() {
        for row in expected::ROWS {
            let workload = workload(row.workload, row.commands, row.seed);
            let outcome = BookRun::new(&workload)
                .checked_pass()
                .expect("the book takes every command");
            let wrong = row.mismatches(&outcome);
            assert_eq!(
                wrong,
                Vec::<String>::new(),
                "workload {} n={}",
                row.workload,
                row.commands
            );
        }
    }

    /// The full engine trades as the books do: same trades, same best prices, same queues, out of its events alone.
    #[test]
    fn the_full_engine_reproduces_the_table() {
        for row in expected::ROWS.iter().filter(|row| row.commands <= 100_000) {
            let workload = workload(row.workload, row.commands, row.seed);
            let (outcome, _) = FullRun::new(&workload)
                .checked_pass()
                .expect("nothing is refused");
            let wrong = row.mismatches(&outcome);
            assert_eq!(
                wrong,
                Vec::<String>::new(),
                "workload {} n={}",
                row.workload,
                row.commands
            );
        }
    }

    #[test]
    fn the_book_agrees_with_the_reference_on_other_seeds() {
        for seed in 0..20 {
            for name in [Name::A, Name::B] {
                run(&args(name, 2_000, seed))
                    .unwrap_or_else(|why| panic!("workload {name} seed {seed}: {why}"));
            }
        }
    }

    #[test]
    fn swinging_prices_agree_with_the_reference() {
        for seed in 0..5 {
            run(&args(Name::E, 20_000, seed)).unwrap_or_else(|why| panic!("workload E seed {seed}: {why}"));
        }
    }

    /// The full engine refuses, fills and leaves what the books do, modifies of what is partly filled included.
    #[test]
    fn swinging_prices_agree_in_the_full_engine() {
        for (seed, scenario) in (0..).zip(Scenario::ALL) {
            let workload = Workload::generate(Name::E, Some(scenario), 20_000, seed);
            let (outcome, decisions) = FullRun::new(&workload)
                .checked_pass()
                .unwrap_or_else(|why| panic!("scenario {scenario}: {why}"));
            compare(&workload, &outcome).unwrap_or_else(|why| panic!("scenario {scenario}: {why}"));
            assert!(decisions.refused > 0, "scenario {scenario} asks for what is gone");
        }
    }

    #[test]
    fn without_its_profile_workload_d_is_b() {
        let book = |name| {
            let args = EngineBenchArgs {
                mode: Some(Mode::Book),
                ..args(name, 2_000, 42)
            };
            run(&args).expect("a known stream").outcome
        };
        assert_eq!(book(Name::D), book(Name::B));
    }

    /// About three of ten orders are rejected, for several reasons, and what the engine decides is what is known of the
    /// stream and can be replayed from its records.
    #[test]
    fn the_dashboard_rejects_its_share() {
        let workload = workload(Name::D, 100_000, 42);
        let (outcome, decisions) = FullRun::netting(&workload)
            .checked_pass()
            .expect("a consistent run");
        let rejected: u64 = decisions.rejected.values().sum();
        let share = rejected * 100 / (decisions.accepted + rejected);
        assert!(
            (25..=35).contains(&share),
            "{share} % of the orders were rejected"
        );
        assert!(decisions.rejected.len() >= 5, "{:?}", decisions.rejected);
        assert!(decisions.refused > 0, "cancels of rejected orders are refused");
        compare_decisions(&workload, &outcome, &decisions).expect("the known decisions");
    }

    #[test]
    fn the_report_is_json_with_the_agreed_keys() {
        let report = run(&args(Name::A, 1_000, 42)).expect("a known stream");
        let json: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&report.json()).expect("valid JSON");
        let keys: Vec<_> = json.keys().map(String::as_str).collect();
        assert_eq!(
            keys.join(" "),
            "workload mode seed commands stream_checksum trades traded_qty trade_checksum l1_checksum book_checksum \
             ns_per_command p50_ns p99_ns p999_ns max_ns empty_p50_ns empty_p99_ns rss_bytes"
        );
        assert_eq!(json["trade_checksum"], "0510c28f07a45303");
        assert_eq!(json["trades"].to_string(), "133");
    }

    /// A result that differs from the table in one number gives an error that names it, and no report.
    #[test]
    fn a_wrong_result_has_no_time() {
        let workload = workload(Name::B, 1_000, 42);
        let row = expected::row(Name::B, 1_000, 42).expect("a row of the table");
        let wrong = Expected {
            l1_checksum: row.l1_checksum ^ 1,
            ..*row
        };
        let reasons = wrong.mismatches(&workload.outcome);
        assert_eq!(reasons.len(), 1);
        assert!(
            reasons[0].starts_with("l1_checksum is 1ff33ec19e3e6ab7"),
            "{}",
            reasons[0]
        );
        let mut outcome = workload.outcome;
        outcome.trade(1, 2, 3, 4);
        let Err(EngineBenchError::WrongResult(reasons)) = compare(&workload, &outcome) else {
            panic!("the difference was not seen");
        };
        assert_eq!(reasons.len(), 4, "{reasons:?}");
    }

    #[test]
    fn what_cannot_run_is_an_error() {
        assert!(matches!(
            run(&args(Name::A, 0, 42)),
            Err(EngineBenchError::Commands(0))
        ));
        let args = EngineBenchArgs {
            scenario: Some(Scenario::Still),
            ..args(Name::A, 10, 42)
        };
        assert!(matches!(run(&args), Err(EngineBenchError::Scenario)));
    }
}
