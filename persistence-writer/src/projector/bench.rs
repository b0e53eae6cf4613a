//! What PostgreSQL gives: rows per second through the projector, beside the same rows written bare, and the time to
//! drain a journal. Everything happens in databases of its own, which are dropped afterwards.
//!
//! All of these check that the rows are there before they report a time.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{
    AccountDefinition, AccountId, AccountName, ClientOrderId, Command, InstrumentDefinition, InstrumentId,
    Money, NewOrder, OrderType, Price, Product, Quantity, Ratio, RiskLimits, Seq, Sequenced, Side,
    StrategyId, Symbol, Text, TimeInForce, Timestamp,
};

use super::fold::Fold;
use super::held::Held;
use super::limits::{CATCH_UP_ROWS, LIVE_ROWS};
use super::postgres::{PostgresSettings, PostgresStore};
use super::run::{Projector, Source, to_the_end};
use super::status::ProjectorStatus;
use super::store::{Lineage, Question, StoreError, TableStore};
use crate::journal::{Disk, JournalError, JournalId, Settings, SpareSegments, Tailer, open};
use crate::limits::SEGMENT_BYTES_DEFAULT;
use crate::progress::{Ack, Progress};

#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("wrong result, so no time: {0}")]
    WrongResult(String),
}

/// The same rows in the same batches, two ways.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pair {
    pub rows: u64,
    /// From the journal's files through the fold.
    pub projected: Duration,
    /// Rows made beforehand, by one prepared upsert for each table and transaction, and nothing else.
    pub bare: Duration,
}

/// What was measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Measured {
    /// In batches as they are while the tables are up to date.
    pub live: Pair,
    /// In batches as they are far behind.
    pub catch_up: Pair,
    /// A whole journal, from an empty database to its end.
    pub drained_trades: u64,
    pub drained_rows: u64,
    pub drain: Duration,
}

/// `scratch` is an empty folder for the journal; `trades` are drained, and `sample` of them measured both ways.
pub fn measure(
    settings: &PostgresSettings,
    scratch: &Path,
    trades: u64,
    sample: u64,
) -> Result<Measured, BenchError> {
    let journal = Written::new(scratch, trades)?;
    let live = both_ways(settings, &journal, sample, LIVE_ROWS)?;
    let catch_up = both_ways(settings, &journal, sample, CATCH_UP_ROWS)?;
    let database = ScratchDatabase::create(settings, "drain")?;
    let status = Arc::new(ProjectorStatus::new("postgres"));
    let source = Source {
        storage: journal.disk.clone(),
        journal: journal.id,
        progress: Arc::new(Progress::new(Ack::Durable, journal.last, Arc::default())),
        status: Arc::clone(&status),
    };
    let begun = Instant::now();
    to_the_end(Projector::new(source, database.store()))??;
    let drain = begun.elapsed();
    database.check_trades(trades)?;
    Ok(Measured {
        live,
        catch_up,
        drained_trades: trades,
        drained_rows: status.rows(),
        drain,
    })
}

/// Each batch is written both ways, one right after the other, and the way that comes first changes: whatever else the
/// machine does meets both alike.
fn both_ways(
    settings: &PostgresSettings,
    journal: &Written,
    trades: u64,
    rows: usize,
) -> Result<Pair, BenchError> {
    let end = Seq::new(SETUP_COMMANDS + trades * COMMANDS_PER_TRADE);
    let with_fold = ScratchDatabase::create(settings, "projected")?;
    let alone = ScratchDatabase::create(settings, "bare")?;
    let (mut store, mut bare) = (with_fold.store(), alone.store());
    let lineage = || Lineage {
        journal: journal.id,
        last: end.get(),
        // Fresh databases hold nothing to compare.
        chain_at: Box::new(|_| Ok(None)),
    };
    store.claim(lineage())?;
    bare.claim(lineage())?;
    let mut tailer = Tailer::after(journal.disk.clone(), Seq::new(0))?;
    let mut fold = Fold::new(0);
    let mut held = Held::default();
    let mut pair = Pair::default();
    let mut bare_first = false;
    while fold.seq() < end.get() {
        let begun = Instant::now();
        while fold.pending_rows() < rows {
            match tailer.next(end)? {
                Some(command) => fold.apply(&command),
                None => break,
            }
        }
        let batch = Arc::new(fold.take_batch());
        pair.projected += begun.elapsed();
        for is_bare in [bare_first, !bare_first] {
            let begun = Instant::now();
            if is_bare {
                bare.upsert_bare(&batch)?;
                pair.bare += begun.elapsed();
            } else {
                pair.rows += store.write(&batch, &held)?.rows;
                pair.projected += begun.elapsed();
            }
        }
        held = batch.held;
        bare_first = !bare_first;
    }
    with_fold.check_trades(trades)?;
    alone.check_trades(trades)?;
    Ok(pair)
}

/// A database that is gone when this is.
struct ScratchDatabase {
    server: PostgresSettings,
    settings: PostgresSettings,
    name: String,
}

impl ScratchDatabase {
    fn create(server: &PostgresSettings, what: &str) -> Result<ScratchDatabase, StoreError> {
        let name = format!("pinion_bench_{}_{what}", std::process::id());
        server.execute(&format!("CREATE DATABASE {name}"))?;
        Ok(ScratchDatabase {
            server: server.clone(),
            settings: server.with_database(&name),
            name,
        })
    }

    fn store(&self) -> PostgresStore {
        PostgresStore::new(self.settings.clone())
    }

    fn check_trades(&self, trades: u64) -> Result<(), BenchError> {
        let queries = vec![
            "SELECT CAST(count(*) AS TEXT) FROM trades".to_owned(),
            "SELECT CAST(count(*) AS TEXT) FROM pinion.dead_letter".to_owned(),
        ];
        let counts = self
            .store()
            .read(queries.into_iter().map(Question::from).collect())?;
        let expected = [trades.to_string(), "0".to_owned()];
        let found: Vec<String> = counts.into_iter().flatten().flatten().flatten().collect();
        if found == expected {
            return Ok(());
        }
        Err(BenchError::WrongResult(format!(
            "trades and dead letters are {found:?}, not {expected:?}"
        )))
    }
}

impl Drop for ScratchDatabase {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        if let Err(error) = self.server.execute(&sql) {
            tracing::warn!(database = self.name, %error, "a scratch database is left behind");
        }
    }
}

/// A journal of trades between a trader and the simulated market.
struct Written {
    disk: Disk,
    id: JournalId,
    last: Seq,
}

/// Instrument, trader and market; then a resting order and one that takes it for every trade.
const SETUP_COMMANDS: u64 = 3;
const COMMANDS_PER_TRADE: u64 = 2;

/// Commands of one sync.
const SYNC_EVERY: u64 = 10_000;

impl Written {
    fn new(scratch: &Path, trades: u64) -> Result<Written, JournalError> {
        let disk = Disk::new(scratch);
        let settings = Settings {
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            fresh_id: JournalId::from_bytes(*b"pinion benchmark"),
            spares: SpareSegments::OnDemand,
        };
        let opened = open(disk.clone(), &settings, Seq::new(0), |_| ())?;
        let mut appender = opened.appender;
        let last = SETUP_COMMANDS + trades * COMMANDS_PER_TRADE;
        for seq in 1..=last {
            appender.append(&command(seq))?;
            if seq.is_multiple_of(SYNC_EVERY) || seq == last {
                appender.write()?;
                appender.sync()?;
            }
        }
        Ok(Written {
            disk,
            id: opened.walked.journal,
            last: Seq::new(last),
        })
    }
}

fn command(seq: u64) -> Sequenced<Command> {
    let command = match seq {
        1 => Command::DefineInstrument(Box::new(InstrumentDefinition {
            symbol: Symbol::cut("RELIANCE"),
            exchange: Text::cut("NSE"),
            tick_size: PRICE_STEP,
            lot_size: Quantity::clamped(1),
            freeze_quantity: Quantity::clamped(100_000),
            reference_price: Price::from_paise_clamped(245_000),
            price_band: Ratio::from_ppm(100_000),
            mis_allowed: true,
            banned: false,
            derivatives: false,
        })),
        2 | 3 => Command::DefineAccount(Box::new(AccountDefinition {
            name: AccountName::cut(if seq == 2 { "main" } else { "market" }),
            opening_balance: Money::from_paise(100_000_000_000),
            limits: RiskLimits::unlimited_paper(),
            profile: Text::cut("unlimited-paper"),
            venue: seq == 3,
        })),
        _ => order(seq - SETUP_COMMANDS - 1),
    };
    Sequenced {
        seq: Seq::new(seq),
        // Noon in India on 5 August 2026, and a microsecond for every command.
        time: Timestamp::from_nanos(1_785_911_400_000_000_000 + seq * 1_000),
        command,
    }
}

const PRICE_STEP: Price = Price::MIN;

/// The market offers and the trader buys; then the market bids and the trader sells; and so on.
fn order(number: u64) -> Command {
    let trader = number % COMMANDS_PER_TRADE == 1;
    let trader_buys = (number / COMMANDS_PER_TRADE).is_multiple_of(2);
    let side = if trader == trader_buys {
        Side::Buy
    } else {
        Side::Sell
    };
    let wobble = i64::try_from(number / COMMANDS_PER_TRADE % 100).unwrap_or_default();
    Command::NewOrder(NewOrder {
        account: AccountId::new(if trader { 0 } else { 1 }),
        strategy: StrategyId::new(1),
        instrument: InstrumentId::new(0),
        side,
        product: Product::Mis,
        order_type: OrderType::Limit(Price::from_paise_clamped(245_000 + wobble)),
        time_in_force: TimeInForce::Day,
        quantity: Quantity::clamped(10),
        post_only: false,
        disclosed: None,
        minimum: None,
        stop_loss: None,
        take_profit: None,
        client_order_id: ClientOrderId::EMPTY,
        metadata: None,
    })
}
