//! `pinion bench curves`: what a command costs as the work grows. For each figure one size varies and all others stay:
//! resting orders, levels in use, instruments, accounts, positions of an account.
//!
//! The flow is [`super::steady_flow`]; each point runs it on a fresh book or engine, checks what came of it against the
//! flow's own bookkeeping (orders, levels, trades, the engine's audit), and only then has a time: the median over batches.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::curve_points::{self, Effort, HELD_MAX};
use super::limits::{CURVE_BATCH, CURVE_BATCH_QUICK, CURVE_BYTES_PER_ORDER, TIMED_PASSES, TIMED_PASSES_LONG};
use super::steady_flow::Shape;
use super::svg::{Chart, Line, short};

#[derive(Args, Clone, Debug)]
#[command(args_override_self = true)]
pub struct CurvesBenchArgs {
    /// Which figure; may be repeated [default: all].
    #[arg(long, value_enum)]
    pub figure: Vec<Figure>,
    /// Two small points of each figure: whether it works, not what it costs.
    #[arg(long)]
    pub quick: bool,
    /// Also write one SVG for each figure into this directory.
    #[arg(long, value_name = "DIR")]
    pub svg_dir: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Figure {
    /// 1,000 to 10,000,000 resting orders in one book.
    Resting,
    /// 10 to 60,000 prices in use in one book.
    Levels,
    /// 1 to 5,000 instruments that share the orders.
    Instruments,
    /// 1 to 1,000,000 accounts that share the orders.
    Accounts,
    /// 1 to 1,000 positions of each of a hundred accounts.
    Positions,
}

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub enum CurvesBenchError {
    #[error("wrong result at {figure} {x} ({on}), so no time: {wrong}")]
    WrongResult {
        figure: Figure,
        x: u32,
        on: &'static str,
        wrong: String,
    },
    #[error("cannot write {path}: {source}")]
    Write { path: PathBuf, source: io::Error },
}

/// Nanoseconds per command in hundredths.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Point {
    x: u32,
    empty: u64,
    /// `None` where the book has no such size.
    book: Option<u64>,
    /// `None` where the machine has not the memory.
    full: Option<u64>,
}

#[derive(Clone, Debug)]
pub struct CurvesReport {
    batch: usize,
    batches: usize,
    figures: Vec<(Figure, Vec<Point>)>,
}

/// Measures the figures and writes their drawings.
///
/// # Errors
/// Where a result is wrong, or a drawing cannot be written.
pub fn run(args: &CurvesBenchArgs) -> Result<CurvesReport, CurvesBenchError> {
    let effort = match args.quick {
        true => Effort {
            batch: CURVE_BATCH_QUICK,
            batches: TIMED_PASSES_LONG,
        },
        false => Effort {
            batch: CURVE_BATCH,
            batches: TIMED_PASSES,
        },
    };
    let chosen = match args.figure.is_empty() {
        true => Figure::value_variants(),
        false => &args.figure[..],
    };
    let mut figures = Vec::with_capacity(chosen.len());
    for &figure in chosen {
        let points = figure.sizes(args.quick).iter();
        let points = points.map(|&x| figure.measure(x, args.quick, effort));
        figures.push((figure, points.collect::<Result<Vec<_>, _>>()?));
    }
    let report = CurvesReport {
        batch: effort.batch,
        batches: effort.batches,
        figures,
    };
    if let Some(directory) = &args.svg_dir {
        fs::create_dir_all(directory).map_err(|source| CurvesBenchError::Write {
            path: directory.clone(),
            source,
        })?;
        for (figure, points) in &report.figures {
            let path = directory.join(format!("{figure}.svg"));
            fs::write(&path, figure.chart(points))
                .map_err(|source| CurvesBenchError::Write { path, source })?;
        }
    }
    Ok(report)
}

impl Figure {
    const fn sizes(self, quick: bool) -> &'static [u32] {
        match (self, quick) {
            (Figure::Resting, true) => &[1_000, 10_000],
            (Figure::Resting, false) => &[
                1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000,
            ],
            (Figure::Levels, true) => &[10, 1_000],
            (Figure::Levels, false) => &[10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 60_000],
            (Figure::Instruments, true) => &[1, 30],
            (Figure::Instruments, false) => &[1, 3, 10, 30, 100, 300, 1_000, 3_000, 5_000],
            (Figure::Accounts, true) => &[1, 100],
            (Figure::Accounts, false) => &[1, 10, 100, 1_000, 10_000, 100_000, 1_000_000],
            (Figure::Positions, true) => &[1, 10],
            (Figure::Positions, false) => &[1, 2, 3, 10, 30, 100, 300, HELD_MAX],
        }
    }

    fn shape(self, x: u32, quick: bool) -> Shape {
        let many = if quick { 4_000 } else { 200_000 };
        let plain = Shape {
            resting: 10_000,
            levels: 100,
            instruments: 1,
            accounts: 1_000,
        };
        match self {
            Figure::Resting => Shape { resting: x, ..plain },
            Figure::Levels => Shape {
                resting: many,
                levels: x,
                ..plain
            },
            Figure::Instruments => Shape {
                resting: many,
                levels: 20,
                instruments: x,
                ..plain
            },
            Figure::Accounts => Shape { accounts: x, ..plain },
            Figure::Positions => Shape {
                accounts: 100,
                ..plain
            },
        }
    }

    fn measure(self, x: u32, quick: bool, effort: Effort) -> Result<Point, CurvesBenchError> {
        let shape = self.shape(x, quick);
        let wrong = |on| {
            move |wrong| CurvesBenchError::WrongResult {
                figure: self,
                x,
                on,
                wrong,
            }
        };
        let per_command = |elapsed_ns: u128| (elapsed_ns * 100 / effort.batch as u128) as u64;
        let book = match self {
            Figure::Accounts | Figure::Positions => None,
            _ => Some(curve_points::book(shape, effort).map_err(wrong("book"))?),
        };
        let held = (self == Figure::Positions).then_some(x);
        let full = match u64::from(shape.resting) * CURVE_BYTES_PER_ORDER < available_bytes() {
            true => Some(curve_points::full(shape, held, effort).map_err(wrong("full"))?),
            false => None,
        };
        Ok(Point {
            x,
            empty: per_command(curve_points::empty(shape, effort)),
            book: book.map(per_command),
            full: full.map(per_command),
        })
    }

    /// What varies, with its unit.
    const fn x_label(self) -> &'static str {
        match self {
            Figure::Resting => "resting orders",
            Figure::Levels => "levels in use",
            Figure::Instruments => "instruments",
            Figure::Accounts => "accounts",
            Figure::Positions => "positions per account",
        }
    }

    /// What stays.
    const fn conditions(self) -> &'static str {
        match self {
            Figure::Resting => "one instrument, 100 levels, 1,000 accounts",
            Figure::Levels => "one instrument, 200,000 resting orders, 1,000 accounts",
            Figure::Instruments => "200,000 resting orders, 20 levels each, 1,000 accounts",
            Figure::Accounts => "one instrument, 10,000 resting orders, 100 levels",
            Figure::Positions => "100 accounts, 10,000 resting orders in one of 1,000 instruments",
        }
    }

    fn chart(self, points: &[Point]) -> String {
        let line = |name, of: fn(&Point) -> Option<u64>| Line {
            name,
            points: points
                .iter()
                .filter_map(|point| Some((u64::from(point.x), of(point)?)))
                .collect(),
        };
        let lines = [
            line("full engine", |point| point.full),
            line("bare book", |point| point.book),
            line("empty loop", |point| Some(point.empty)),
        ];
        let title = format!("{}: {}", self.x_label(), self.conditions());
        let chart = Chart {
            title: &title,
            x_label: self.x_label(),
            y_label: "nanoseconds per command",
            lines: lines.into_iter().filter(|line| !line.points.is_empty()).collect(),
        };
        chart.render()
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Figure::Resting => "resting",
            Figure::Levels => "levels",
            Figure::Instruments => "instruments",
            Figure::Accounts => "accounts",
            Figure::Positions => "positions",
        })
    }
}

/// Memory that the system could give without swapping; everything where it does not say.
fn available_bytes() -> u64 {
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.map_or(u64::MAX, |kib| kib * 1_024)
}

fn decimal(hundredths: u64) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

impl CurvesReport {
    pub fn json(&self) -> Value {
        let number = |hundredths: Option<u64>| -> Value {
            hundredths.map_or(Value::Null, |hundredths| {
                serde_json::from_str(&decimal(hundredths)).expect("a decimal is JSON")
            })
        };
        let point = |point: &Point| {
            json!({
                "x": point.x,
                "book_ns": number(point.book),
                "full_ns": number(point.full),
                "empty_ns": number(Some(point.empty)),
            })
        };
        let figures = self.figures.iter().map(|(figure, points)| {
            json!({
                "figure": figure.to_string(),
                "x": figure.x_label(),
                "conditions": figure.conditions(),
                "points": points.iter().map(point).collect::<Vec<_>>(),
            })
        });
        json!({
            "benchmark": "curves",
            "commands_per_batch": self.batch,
            "batches": self.batches,
            "figures": figures.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for CurvesReport {
    /// Tables in Markdown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CurvesReport { batch, batches, .. } = self;
        writeln!(
            f,
            "ns per command, median of {batches} batches of {batch} commands"
        )?;
        for (figure, points) in &self.figures {
            writeln!(f, "\n{}\n", figure.conditions())?;
            writeln!(
                f,
                "| {} | book | full | empty loop |\n|---|---|---|---|",
                figure.x_label()
            )?;
            for point in points {
                let cell = |hundredths: Option<u64>| hundredths.map_or("–".to_owned(), decimal);
                let (x, empty) = (short(u64::from(point.x)), decimal(point.empty));
                writeln!(
                    f,
                    "| {x} | {} | {} | {empty} |",
                    cell(point.book),
                    cell(point.full)
                )?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opening and closing tags of a document match; returns how many elements have a name.
    fn elements(svg: &str, name: &str) -> usize {
        let mut open = Vec::new();
        let mut found = 0;
        for tag in svg.split('<').skip(1) {
            let (tag, text) = tag.split_once('>').expect("a tag ends");
            assert!(!text.contains('>'), "text holds a bare >: {text}");
            assert_eq!(
                tag.matches('"').count() % 2,
                0,
                "an attribute does not end: {tag}"
            );
            if let Some(closed) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(closed), "elements nest");
                continue;
            }
            let own = tag.split([' ', '/']).next().expect("a tag has a name");
            found += usize::from(own == name);
            if !tag.ends_with('/') {
                open.push(own);
            }
        }
        assert_eq!(open, Vec::<&str>::new(), "every element is closed");
        found
    }

    #[test]
    fn every_figure_has_a_table_and_a_drawing() {
        let directory = tempfile::tempdir().unwrap();
        let args = CurvesBenchArgs {
            figure: Vec::new(),
            quick: true,
            svg_dir: Some(directory.path().to_owned()),
            json: false,
        };
        let report = run(&args).expect("every point is right");
        let table = report.to_string();
        let json = report.json();
        let figures = json["figures"].as_array().unwrap();
        assert_eq!(figures.len(), Figure::value_variants().len());
        for figure in figures {
            let name = figure["figure"].as_str().unwrap();
            let points = figure["points"].as_array().unwrap();
            assert_eq!(points.len(), 2, "{name}");
            let curves = ["book_ns", "full_ns", "empty_ns"].map(|curve| {
                let measured = points.iter().filter(|point| !point[curve].is_null());
                measured.count()
            });
            let expected = match name {
                "accounts" | "positions" => [0, 2, 2],
                _ => [2, 2, 2],
            };
            assert_eq!(curves, expected, "{name}");
            let path = directory.path().join(format!("{name}.svg"));
            let svg = fs::read_to_string(path).unwrap();
            assert_eq!(elements(&svg, "circle"), curves.iter().sum::<usize>(), "{name}");
            assert_eq!(elements(&svg, "svg"), 1, "{name}");
            assert!(svg.contains("nanoseconds per command"), "{name}");
            assert!(svg.contains(figure["x"].as_str().unwrap()), "{name}");
            assert!(table.contains(&format!("| {} | book |", figure["x"].as_str().unwrap())));
        }
        let rows = table.lines().filter(|line| line.starts_with("| ")).count();
        assert_eq!(rows, 3 * figures.len());
        let columns = |line: &str| line.matches('|').count();
        assert!(
            table
                .lines()
                .filter(|line| line.starts_with('|'))
                .all(|line| columns(line) == 5)
        );
    }
}
