//! `pinion bench journal` and `pinion bench recovery`: what durability costs, beside what the disk gives to a program
//! that does nothing else.

use std::fmt;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use engine::{
    AccountDefinition, AccountId, Actor, CancelOrder, Capacity, Command, InstrumentDefinition, InstrumentId,
    Money, NewOrder, OrderId, OrderRef, OrderType, Price, Product, Quantity, Ratio, RiskLimits, Seq,
    Sequenced, Side, StrategyId, Symbol, Text, TimeInForce, Timestamp,
};
use hdrhistogram::Histogram;
use persistence_writer::bench::{self, Load, Measured, Offered};
use persistence_writer::journal::{self, Disk, JournalError, Settings, walk};
use persistence_writer::limits::SEGMENT_BYTES_DEFAULT;
use read_model::ReadModel;
use serde_json::{Value, json};

use crate::fold::Fold;

#[derive(Args, Clone, Debug)]
#[command(args_override_self = true)]
pub struct JournalBenchArgs {
    /// On the disk to be measured; a folder is made in it and removed again.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
    /// Syncs per batch size.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub batches: u32,
    /// Orders of each run that measures how long a durable acknowledgement takes.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(10..=10_000_000))]
    pub orders: u32,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Clone, Debug)]
#[command(args_override_self = true)]
pub struct RecoveryBenchArgs {
    /// Where the journal is made; a folder is made in it and removed again.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
    /// Commands in the journal.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    pub commands: u64,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Why there is no figure to report.
#[derive(Debug, thiserror::Error)]
pub enum JournalBenchError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("wrong result, so no time: {0}")]
    WrongResult(&'static str),
}

/// Batch sizes: a lone order, and what gathers during a sync under load.
const BATCHES: [u32; 4] = [1, 10, 100, 1_000];

/// Orders a second: lone ones, which find the writer asleep, and as many as a strategy may send.
const ACK_RATES: [u32; 3] = [100, 1_000, 5_000];

/// A folder that is gone when this is.
struct Scratch(PathBuf);

impl Scratch {
    fn new(directory: &Path) -> Result<Scratch, JournalBenchError> {
        let path = directory.join(format!("pinion-bench-{}", std::process::id()));
        match std::fs::create_dir(&path) {
            Ok(()) => Ok(Scratch(path)),
            Err(source) => Err(JournalBenchError::Io { path, source }),
        }
    }

    fn folder(&self, name: &str) -> Result<PathBuf, JournalBenchError> {
        let path = self.0.join(name);
        match std::fs::create_dir(&path) {
            Ok(()) => Ok(path),
            Err(source) => Err(JournalBenchError::Io { path, source }),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("pinion: {} remains: {error}", self.0.display());
        }
    }
}

/// One batch size: the journal, and bare write + fdatasync of as many bytes.
#[derive(Clone, Debug)]
pub struct Row {
    pub batch: u32,
    pub journal: Measured,
    pub bare: Measured,
}

/// Orders one by one at a fixed rate, through the writer's thread: how long a durable acknowledgement takes, from the
/// planned arrival of the order.
#[derive(Clone, Debug)]
pub struct AckRow {
    pub offered: Offered,
    pub ack_ns: Histogram<u64>,
}

#[derive(Clone, Debug)]
pub struct JournalReport {
    batches: Vec<Row>,
    acks: Vec<AckRow>,
}

/// Measures all batch sizes. What was written is read again and compared before a figure counts.
pub fn journal(args: &JournalBenchArgs) -> Result<JournalReport, JournalBenchError> {
    let scratch = Scratch::new(&args.directory)?;
    let mut rows = Vec::new();
    for batch in BATCHES {
        let load = Load {
            batch,
            batches: args.batches,
        };
        let folder = scratch.folder(&format!("batch-{batch}"))?;
        let journal = bench::journal(&folder, load)?;
        let bytes = journal.bytes / u64::from(args.batches);
        let bare = bench::bare(&folder, load, bytes);
        let bare = bare.map_err(|source| JournalBenchError::Io { path: folder, source })?;
        rows.push(Row { batch, journal, bare });
    }
    let mut acks = Vec::new();
    for per_second in ACK_RATES {
        for nudge in [false, true] {
            let offered = Offered {
                per_second,
                orders: args.orders,
                nudge,
            };
            let folder = scratch.folder(&format!("ack-{per_second}-{nudge}"))?;
            let ack_ns = bench::acknowledgements(&folder, offered)?;
            acks.push(AckRow { offered, ack_ns });
        }
    }
    Ok(JournalReport { batches: rows, acks })
}

impl JournalReport {
    pub fn json(&self) -> Value {
        let side = |measured: &Measured| {
            json!({
                "records_per_second": measured.records_per_second(),
                "batch_ns_p50": measured.batch_ns.value_at_quantile(0.5),
                "batch_ns_p90": measured.batch_ns.value_at_quantile(0.9),
                "batch_ns_p99": measured.batch_ns.value_at_quantile(0.99),
                "batch_ns_max": measured.batch_ns.max(),
            })
        };
        let rows = self.batches.iter().map(|row| {
            json!({
                "batch": row.batch,
                "records": row.journal.records,
                "bytes": row.journal.bytes,
                "journal": side(&row.journal),
                "bare_fdatasync": side(&row.bare),
            })
        });
        let acks = self.acks.iter().map(|row| {
            json!({
                "orders_per_second": row.offered.per_second,
                "orders": row.offered.orders,
                "nudged": row.offered.nudge,
                "ack_ns_p50": row.ack_ns.value_at_quantile(0.5),
                "ack_ns_p90": row.ack_ns.value_at_quantile(0.9),
                "ack_ns_p99": row.ack_ns.value_at_quantile(0.99),
                "ack_ns_p999": row.ack_ns.value_at_quantile(0.999),
                "ack_ns_max": row.ack_ns.max(),
            })
        });
        json!({
            "benchmark": "journal",
            "batches": rows.collect::<Vec<_>>(),
            "durable_acknowledgement": acks.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for JournalReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "batch  records/s  p50 us  p99 us  max us | bare: records/s  p50 us  p99 us  max us"
        )?;
        for row in &self.batches {
            let us = |measured: &Measured, quantile| measured.batch_ns.value_at_quantile(quantile) / 1_000;
            let (journal, bare) = (&row.journal, &row.bare);
            writeln!(
                f,
                "{:>5} {:>10} {:>7} {:>7} {:>7} | {:>15} {:>7} {:>7} {:>7}",
                row.batch,
                journal.records_per_second(),
                us(journal, 0.5),
                us(journal, 0.99),
                us(journal, 1.0),
                bare.records_per_second(),
                us(bare, 0.5),
                us(bare, 0.99),
                us(bare, 1.0),
            )?;
        }
        writeln!(
            f,
            "\ndurable acknowledgement, from the planned arrival of each order"
        )?;
        writeln!(f, "orders/s  nudged  p50 us  p90 us  p99 us  p99.9 us  max us")?;
        for row in &self.acks {
            let us = |quantile| row.ack_ns.value_at_quantile(quantile) / 1_000;
            writeln!(
                f,
                "{:>8} {:>7} {:>7} {:>7} {:>7} {:>9} {:>7}",
                row.offered.per_second,
                row.offered.nudge,
                us(0.5),
                us(0.9),
                us(0.99),
                us(0.999),
                us(1.0),
            )?;
        }
        Ok(())
    }
}

#[derive(Clone, Debug)]
pub struct RecoveryReport {
    commands: u64,
    /// Each stage with its time: reading and decoding, then folding too, then with the history of the read model.
    stages: [(&'static str, Duration); 3],
    snapshot_bytes: usize,
    save: Duration,
    restore: Duration,
}

/// Writes a journal of orders that rest, trade and are cancelled, and recovers from it in every way there is. All of
/// them must come to the same state.
pub fn recovery(args: &RecoveryBenchArgs) -> Result<RecoveryReport, JournalBenchError> {
    let scratch = Scratch::new(&args.directory)?;
    let disk = Disk::new(scratch.folder("journal")?);
    write(&disk, args.commands)?;
    let timed = |visit: &mut dyn FnMut(&Sequenced<Command>)| {
        let started = Instant::now();
        walk(&disk, Seq::default(), |command| {
            visit(command);
            ControlFlow::Continue(())
        })
        .map(|_| started.elapsed())
    };
    let mut read = 0;
    let reading = timed(&mut |command| read += u64::from(black_box(command).seq > Seq::default()))?;
    let mut fold = Fold::new();
    let folding = timed(&mut |command| fold.apply(command, |_, _| {}))?;
    let mut model = ReadModel::new(Capacity::default());
    let modelling = timed(&mut |command| model.apply(command))?;
    let started = Instant::now();
    let saved = model.save();
    let save = started.elapsed();
    let started = Instant::now();
    let restored = ReadModel::restore(&saved);
    let restore = started.elapsed();
    let restored = restored.map_err(|_| JournalBenchError::WrongResult("the snapshot cannot be restored"))?;
    let hash = fold.engine().state_hash();
    let same = [model.engine().state_hash(), restored.engine().state_hash()] == [hash; 2];
    if !same || read != args.commands || fold.trades() == 0 {
        return Err(JournalBenchError::WrongResult(
            "the ways of recovery do not agree",
        ));
    }
    Ok(RecoveryReport {
        commands: args.commands,
        stages: [("read", reading), ("engine", folding), ("read model", modelling)],
        snapshot_bytes: saved.len(),
        save,
        restore,
    })
}

impl RecoveryReport {
    fn rate(&self, time: Duration) -> u64 {
        let rate = u128::from(self.commands) * 1_000_000_000 / time.as_nanos().max(1);
        u64::try_from(rate).unwrap_or(u64::MAX)
    }

    pub fn json(&self) -> Value {
        let [read, engine, model] = self.stages.map(|(_, time)| self.rate(time));
        json!({
            "benchmark": "recovery",
            "commands": self.commands,
            "read_per_second": read,
            "engine_per_second": engine,
            "read_model_per_second": model,
            "snapshot_bytes": self.snapshot_bytes,
            "snapshot_save_ns": self.save.as_nanos() as u64,
            "snapshot_restore_ns": self.restore.as_nanos() as u64,
        })
    }
}

impl fmt::Display for RecoveryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} commands", self.commands)?;
        for (stage, time) in self.stages {
            writeln!(f, "{stage:<10} {:>11} commands/s", self.rate(time))?;
        }
        writeln!(
            f,
            "snapshot   {:>11} bytes, save {:?}, restore {:?}",
            self.snapshot_bytes, self.save, self.restore
        )
    }
}

fn write(disk: &Disk, commands: u64) -> Result<(), JournalBenchError> {
    let settings = Settings::server(SEGMENT_BYTES_DEFAULT, std::sync::Arc::default());
    let settings = settings.map_err(|source| JournalBenchError::Io {
        path: PathBuf::from("/dev/urandom"),
        source,
    })?;
    let mut appender = journal::open(disk.clone(), &settings, Seq::default(), |_| {})?.appender;
    for seq in 1..=commands {
        appender.append(&Sequenced {
            seq: Seq::new(seq),
            time: Timestamp::from_nanos(1_785_911_400_000_000_000 + seq * 1_000),
            command: command(seq),
        })?;
        if seq % 1_000 == 0 {
            appender.sync()?;
        }
    }
    Ok(appender.sync()?)
}

/// Two makers around one price: of eight commands six are orders, of which some trade, and two are cancels.
fn command(seq: u64) -> Command {
    let maker = |name: &str| {
        Command::DefineAccount(Box::new(AccountDefinition {
            name: Text::cut(name),
            opening_balance: Money::from_paise(100_000_000_000),
            limits: RiskLimits::unlimited_paper(),
            profile: Text::cut("unlimited-paper"),
            venue: true,
        }))
    };
    match seq {
        1 => return instrument(),
        2 => return maker("bench-a"),
        3 => return maker("bench-b"),
        _ => {}
    }
    let mixed = seq.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let (account, step) = ((seq & 1) as u32, (mixed % 16) as u32);
    if seq % 8 >= 6 {
        return Command::CancelOrder(CancelOrder {
            actor: Actor {
                account: AccountId::new(account),
                admin: true,
            },
            order: OrderRef::Id(OrderId::new((seq / 8 * 6).saturating_sub(mixed % 64).max(1))),
        });
    }
    let side = if mixed & 32 == 0 { Side::Buy } else { Side::Sell };
    let price = match side {
        Side::Buy => 245_010 - 10 * step,
        Side::Sell => 244_990 + 10 * step,
    };
    Command::NewOrder(NewOrder {
        account: AccountId::new(account),
        strategy: StrategyId::new(1),
        instrument: InstrumentId::new(0),
        side,
        product: Product::Mis,
        order_type: OrderType::Limit(Price::from_paise_clamped(i64::from(price))),
        time_in_force: TimeInForce::Day,
        quantity: Quantity::clamped(1 + i64::from(step)),
        post_only: false,
        disclosed: None,
        minimum: None,
        stop_loss: None,
        take_profit: None,
        client_order_id: Text::cut(""),
        metadata: None,
    })
}

fn instrument() -> Command {
    Command::DefineInstrument(Box::new(InstrumentDefinition {
        symbol: Symbol::parse("BENCH").expect("a valid symbol"),
        exchange: Text::cut("NSE"),
        tick_size: Price::from_paise_clamped(10),
        lot_size: Quantity::clamped(1),
        freeze_quantity: Quantity::clamped(100_000),
        reference_price: Price::from_paise_clamped(245_000),
        price_band: Ratio::from_ppm(100_000),
        mis_allowed: true,
        banned: false,
        derivatives: false,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_runs_are_measured_checked_and_cleaned_up() {
        let directory = tempfile::tempdir().unwrap();
        let arguments = JournalBenchArgs {
            directory: directory.path().into(),
            batches: 2,
            orders: 10,
            json: true,
        };
        let report = journal(&arguments).unwrap().json();
        assert_eq!(report["batches"][3]["records"], 2_000);
        let acks = report["durable_acknowledgement"].as_array().unwrap();
        assert_eq!(acks.len(), 2 * ACK_RATES.len());
        assert!(
            acks.iter()
                .all(|row| row["ack_ns_max"].as_u64() >= row["ack_ns_p50"].as_u64())
        );
        let arguments = RecoveryBenchArgs {
            directory: directory.path().into(),
            commands: 2_000,
            json: true,
        };
        assert_eq!(recovery(&arguments).unwrap().json()["commands"], 2_000);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
