//! `pinion bench engine`: the workloads of [`super::workload`] on the order book that production matches with.
//!
//! An untimed pass checks every trade, every best price and the final queues against the reference book and, where the
//! table has the stream, against what twelve other engines gave. Only then is the same stream timed, with nothing but
//! the book inside the measurement.

use std::fmt;
use std::hint::black_box;
use std::time::Instant;

use clap::{Args, ValueEnum};
use engine::book::{Book, BookRefusal, BookSettings, Execution};
use engine::{Price, Quantity, Side, TimeInForce};
use thiserror::Error;

use super::checksum::{Outcome, Touch};
use super::expected::{self, Expected};
use super::limits::{COMMANDS_MAX, PREFILL, PRICE_HIGH, PRICE_LOW, RESTING_MAX, TIMED_PASSES};
use super::workload::{Kind, Mix, Record, Workload};

#[derive(Args, Clone, Debug)]
#[command(args_override_self = true)]
pub struct EngineBenchArgs {
    /// Which stream: A is quote-driven (mostly moves), B order-driven (additions and cancellations).
    #[arg(long, value_enum, ignore_case = true)]
    pub workload: Mix,
    /// Commands after the prefill of 1,000.
    #[arg(long, default_value_t = 1_000_000)]
    pub commands: usize,
    /// Seed of the stream; results are known for 42 with 1,000, 100,000 and 1,000,000 commands.
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// What runs the stream.
    #[arg(long, value_enum, default_value = "book")]
    pub mode: Mode,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Mode {
    /// The order book alone, through its library face.
    Book,
}

/// Why there is no time to report.
#[derive(Debug, Error)]
pub enum EngineBenchError {
    #[error("--commands is {0}; a stream has 1 to {COMMANDS_MAX} commands")]
    Commands(usize),
    #[error("the book refused command {index}: {refusal}")]
    Refused { index: usize, refusal: BookRefusal },
    #[error("wrong result, so no time: {}", .0.join("; "))]
    WrongResult(Vec<String>),
}

/// A run whose results are right.
#[derive(Clone, Debug)]
pub struct Report {
    workload: Mix,
    seed: u64,
    commands: usize,
    stream_checksum: u64,
    outcome: Outcome,
    /// Median over the timed passes, for all commands together.
    elapsed_ns: u128,
}

/// Runs a stream: generate, check, time.
///
/// # Errors
/// Where the arguments are out of range, or the book's results are not the expected ones.
pub fn run(args: &EngineBenchArgs) -> Result<Report, EngineBenchError> {
    if args.commands == 0 || args.commands > COMMANDS_MAX {
        return Err(EngineBenchError::Commands(args.commands));
    }
    let Mode::Book = args.mode;
    let workload = Workload::generate(args.workload, args.commands, args.seed);
    let row = expected::row(args.workload, args.commands, args.seed);
    let commands: Vec<Order> = workload.records.iter().map(Order::from).collect();
    let outcome = checked_pass(&workload, &commands)?;
    compare(&workload, &outcome, row)?;
    let mut passes = Vec::with_capacity(TIMED_PASSES);
    for _ in 0..TIMED_PASSES {
        passes.push(timed_pass(&workload, &commands)?);
    }
    passes.sort_unstable();
    Ok(Report {
        workload: args.workload,
        seed: args.seed,
        commands: args.commands,
        stream_checksum: workload.checksum(),
        outcome,
        elapsed_ns: passes[TIMED_PASSES / 2],
    })
}

impl Report {
    /// One JSON object; checksums are 16 hexadecimal digits.
    pub fn json(&self) -> String {
        let hex = |checksum: u64| format!("\"{checksum:016x}\"");
        let fields = [
            ("workload", format!("\"{}\"", self.workload)),
            ("mode", "\"book\"".to_owned()),
            ("seed", self.seed.to_string()),
            ("commands", self.commands.to_string()),
            ("stream_checksum", hex(self.stream_checksum)),
            ("trades", self.outcome.trades.to_string()),
            ("traded_qty", self.outcome.traded_quantity.to_string()),
            ("trade_checksum", hex(self.outcome.trade_checksum())),
            ("l1_checksum", hex(self.outcome.l1_checksum())),
            ("book_checksum", hex(self.outcome.book_checksum())),
            ("ns_per_command", self.ns_per_command()),
        ];
        let fields: Vec<_> = fields
            .iter()
            .map(|(key, value)| format!("\"{key}\":{value}"))
            .collect();
        format!("{{{}}}", fields.join(","))
    }

    /// Nanoseconds with two decimals, rounded down.
    fn ns_per_command(&self) -> String {
        let hundredths = self.elapsed_ns * 100 / self.commands as u128;
        format!("{}.{:02}", hundredths / 100, hundredths % 100)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report {
            workload,
            seed,
            commands,
            outcome,
            ..
        } = self;
        writeln!(
            f,
            "workload {workload}, seed {seed}, {commands} commands, book alone"
        )?;
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
        write!(
            f,
            "{} ns per command (median of {TIMED_PASSES} passes)",
            self.ns_per_command()
        )
    }
}

/// A record in the book's own units.
#[derive(Clone, Copy, Debug)]
struct Order {
    kind: Kind,
    side: Side,
    id: u32,
    price: Price,
    quantity: Quantity,
}

impl From<&Record> for Order {
    fn from(record: &Record) -> Order {
        Order {
            kind: record.kind,
            side: if record.side == 0 { Side::Buy } else { Side::Sell },
            id: record.id,
            price: ticks(record.price),
            quantity: Quantity::clamped(i64::from(record.quantity)),
        }
    }
}

/// A price of so many ticks of one paisa.
fn ticks(price: u32) -> Price {
    Price::from_paise_clamped(i64::from(price))
}

fn new_book(workload: &Workload) -> Book {
    let settings = BookSettings {
        min_price: ticks(PRICE_LOW),
        max_price: ticks(PRICE_HIGH),
        tick: ticks(1),
        max_orders: RESTING_MAX,
        max_order_id: workload.max_order_id,
    };
    Book::new(&settings).expect("the prices of a workload fit into a book")
}

#[inline(always)]
fn execute(book: &mut Book, order: &Order, report: impl FnMut(Execution)) -> Result<(), BookRefusal> {
    let Order {
        kind,
        side,
        id,
        price,
        quantity,
    } = *order;
    match kind {
        Kind::Limit => {
            book.new_order(id, side, price, quantity, TimeInForce::Day, report)?;
        }
        Kind::ImmediateOrCancel => {
            book.new_order(id, side, price, quantity, TimeInForce::Ioc, report)?;
        }
        Kind::Cancel => {
            book.cancel(id)?;
        }
        Kind::Move => {
            book.move_to(id, price, report)?;
        }
    }
    Ok(())
}

/// The whole stream with every checksum.
fn checked_pass(workload: &Workload, commands: &[Order]) -> Result<Outcome, EngineBenchError> {
    let mut book = new_book(workload);
    let mut outcome = Outcome::default();
    for (index, order) in commands.iter().enumerate() {
        execute(&mut book, order, |trade| {
            let (price, quantity) = (trade.price.paise(), trade.quantity.shares());
            outcome.trade(trade.maker, trade.taker, price, quantity);
        })
        .map_err(|refusal| EngineBenchError::Refused { index, refusal })?;
        outcome.l1(touch(&book, Side::Buy), touch(&book, Side::Sell));
    }
    for side in [Side::Buy, Side::Sell] {
        for (id, price, quantity) in book.orders(side) {
            outcome.resting(id, price.paise(), quantity.shares());
        }
    }
    Ok(outcome)
}

fn touch(book: &Book, side: Side) -> Touch {
    book.best(side)
        .map_or((0, 0), |(price, quantity)| (price.paise(), quantity))
}

/// Against the reference book always, against the table where it has the stream.
fn compare(workload: &Workload, found: &Outcome, row: Option<&Expected>) -> Result<(), EngineBenchError> {
    let mut wrong = Vec::new();
    if *found != workload.outcome {
        wrong.push("the book and the reference book disagree".to_owned());
    }
    if let Some(row) = row {
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

/// Nanoseconds for the commands after the prefill.
fn timed_pass(workload: &Workload, commands: &[Order]) -> Result<u128, EngineBenchError> {
    let mut book = new_book(workload);
    let run = |book: &mut Book, first: usize, orders: &[Order]| {
        for (index, order) in orders.iter().enumerate() {
            execute(book, order, |trade| {
                black_box(trade);
            })
            .map_err(|refusal| EngineBenchError::Refused {
                index: first + index,
                refusal,
            })?;
        }
        Ok(())
    };
    let (prefill, timed) = commands.split_at(PREFILL);
    run(&mut book, 0, prefill)?;
    let start = Instant::now();
    run(&mut book, PREFILL, timed)?;
    let elapsed = start.elapsed();
    black_box(&book);
    Ok(elapsed.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(workload: Mix, commands: usize, seed: u64) -> EngineBenchArgs {
        EngineBenchArgs {
            workload,
            commands,
            seed,
            mode: Mode::Book,
            json: true,
        }
    }

    /// Every row of the table, by the book that production runs.
    #[test]
    fn the_book_reproduces_every_row() {
        for row in expected::ROWS {
            let workload = Workload::generate(row.mix, row.commands, row.seed);
            let commands: Vec<Order> = workload.records.iter().map(Order::from).collect();
            let outcome = checked_pass(&workload, &commands).expect("the book takes every command");
            assert_eq!(
                row.mismatches(&outcome),
                Vec::<String>::new(),
                "mix {} n={}",
                row.mix,
                row.commands
            );
        }
    }

    #[test]
    fn the_book_agrees_with_the_reference_on_other_seeds() {
        for seed in 0..20 {
            for mix in [Mix::A, Mix::B] {
                run(&args(mix, 2_000, seed)).unwrap_or_else(|why| panic!("mix {mix} seed {seed}: {why}"));
            }
        }
    }

    #[test]
    fn the_report_is_json_with_the_agreed_keys() {
        let report = run(&args(Mix::A, 1_000, 42)).expect("a known stream");
        let json: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&report.json()).expect("valid JSON");
        let keys: Vec<_> = json.keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "workload",
                "mode",
                "seed",
                "commands",
                "stream_checksum",
                "trades",
                "traded_qty",
                "trade_checksum",
                "l1_checksum",
                "book_checksum",
                "ns_per_command"
            ]
        );
        assert_eq!(json["trade_checksum"], "0510c28f07a45303");
        assert_eq!(json["trades"].to_string(), "133");
    }

    /// A result that differs from the table in one number gives an error that names it, and no report.
    #[test]
    fn a_wrong_result_has_no_time() {
        let workload = Workload::generate(Mix::B, 1_000, 42);
        let row = expected::row(Mix::B, 1_000, 42).expect("a row of the table");
        let wrong = Expected {
            l1_checksum: row.l1_checksum ^ 1,
            ..*row
        };
        let Err(EngineBenchError::WrongResult(reasons)) = compare(&workload, &workload.outcome, Some(&wrong))
        else {
            panic!("the difference was not seen");
        };
        assert_eq!(reasons.len(), 1);
        assert!(
            reasons[0].starts_with("l1_checksum is 1ff33ec19e3e6ab7"),
            "{}",
            reasons[0]
        );
    }

    #[test]
    fn no_commands_is_an_error() {
        assert!(matches!(
            run(&args(Mix::A, 0, 42)),
            Err(EngineBenchError::Commands(0))
        ));
    }
}
