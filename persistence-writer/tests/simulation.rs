//! Engine, writer, replica, snapshots and a disk that forgets, in one thread and from one seed.
//!
//! Each life of a server ends at a random operation of the disk: the power goes, an operation fails, the disk is full,
//! or the process is killed. The next life must find everything that was acknowledged, nothing that was never
//! decided, and the very state that the engine had after that record.
//!
//! `make sim SEEDS=10000 FIRST_SEED=1 IMAGES=2` (images looked at beside the one that each power cut goes on with)
#![allow(clippy::unwrap_used, reason = "a test panics where its own data is wrong")]

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use engine::lane::JournalEntry;
use engine::{
    AccountDefinition, AccountId, Actor, AdjustCash, CancelOrder, Capacity, Command, Engine, EventBuffer,
    InstrumentDefinition, InstrumentId, KillScope, KillSwitch, Money, NewOrder, OrderId, OrderRef, OrderType,
    Price, Product, Quantity, Ratio, Rearm, RiskLimits, Seq, Sequenced, Side, StrategyId, Symbol, Text,
    TimeInForce, Timestamp, TradingState, Work,
};
use persistence_writer::journal::{
    Fault, JournalError, JournalId, Opened, Settings, SimulatedDisk, SpareSegments, archive_closed, chain_at,
    open, prunable, prune, walk,
};
use persistence_writer::replica::Replica;
use persistence_writer::retention;
use persistence_writer::snapshot::{self, Place};
use persistence_writer::writer::Writer;
use persistence_writer::{Ack, Progress};
use read_model::{ReadModel, SharedReadModel};

const CAPACITY: Capacity = Capacity {
    accounts: 4,
    instruments: 2,
    orders: 256,
    positions: 16,
    client_order_ids: 256,
};
const LIVES: u32 = 6;
const STEPS: u64 = 60;
const START_NS: u64 = 1_785_911_400_000_000_000;

/// Marsaglia's xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 33) % bound
    }
}

/// What outlives a life of the server, and what an all-knowing observer remembers of the past ones.
struct World {
    random: Random,
    journal: SimulatedDisk,
    snapshots: SimulatedDisk,
    /// The engine's state hash after every record ever decided, by sequence number.
    hashes: Vec<u64>,
    /// The last record whose answer may have left a server.
    acknowledged: u64,
    now_ns: u64,
    /// Images looked at beside the one that each power cut goes on with.
    images: u64,
    counts: Counts,
}

#[derive(Clone, Copy, Default, Debug)]
struct Counts {
    lives: u64,
    failures: u64,
    from_snapshot: u64,
    lost_unacknowledged: u64,
    kills_after_failure: u64,
    archived: u64,
    pruned: u64,
    /// Power cuts, each with another choice of what survives.
    images: u64,
    /// Faults that struck a recovery, a snapshot, an archive or a prune.
    nested: u64,
}

/// One server from recovery on.
struct Server {
    engine: Engine,
    events: EventBuffer,
    producer: rtrb::Producer<JournalEntry>,
    writer: Writer<SimulatedDisk>,
    replica: Replica<SimulatedDisk>,
    model: Arc<SharedReadModel>,
    progress: Arc<Progress>,
}

fn settings() -> Settings {
    Settings {
        segment_bytes: 16 * 1024,
        fresh_id: JournalId::from_bytes([7; 16]),
        spares: SpareSegments::OnDemand,
    }
}

impl World {
    fn new(seed: u64, images: u64) -> World {
        World {
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            journal: SimulatedDisk::new(),
            snapshots: SimulatedDisk::new(),
            hashes: vec![Engine::new(CAPACITY).state_hash()],
            acknowledged: 0,
            now_ns: START_NS,
            images,
            counts: Counts::default(),
        }
    }

    fn live(&mut self) {
        self.counts.lives += 1;
        let faults = [Fault::PowerCut, Fault::Error, Fault::NoSpace, Fault::ShortWrite];
        let fault = faults[self.random.below(4) as usize];
        self.journal
            .fail_at(self.journal.operations() + 1 + self.random.below(150), fault);
        self.snapshots
            .fail_at(self.snapshots.operations() + 1 + self.random.below(30), fault);
        match self.recover() {
            Ok(mut server) => {
                for _ in 0..=self.random.below(STEPS) {
                    if self.step(&mut server).is_err() {
                        self.counts.failures += 1;
                        self.check_failed(&mut server);
                        break;
                    }
                }
                self.acknowledged = server.progress.durable();
                self.check_replica(&mut server);
            }
            Err(JournalError::Io { .. }) => {
                self.counts.failures += 1;
                self.counts.nested += 1;
            }
            Err(error) => panic!("no fault may look like damage: {error}"),
        }
        // A killed process leaves the page cache behind; a power cut does not.
        for disk in [&mut self.journal, &mut self.snapshots] {
            disk.fail_at(u64::MAX, Fault::Error);
        }
        if fault == Fault::PowerCut || self.random.below(2) == 0 {
            for _ in 0..self.images {
                self.check_image();
            }
            self.counts.images += 1;
            self.journal = self.journal.power_cut(self.random.next());
            self.snapshots = self.snapshots.power_cut(self.random.next());
        }
    }

    /// One more image of what the power cut may have left: what a start would find on it is neither less than what was
    /// acknowledged nor more than what was decided, and is the state that the engine had there.
    fn check_image(&mut self) {
        self.counts.images += 1;
        let journal = self.journal.power_cut(self.random.next());
        let snapshots = self.snapshots.power_cut(self.random.next());
        let newest = snapshot::newest(&snapshots, &journal, Seq::new(u64::MAX)).unwrap();
        let mut model = newest.map_or_else(|| ReadModel::new(CAPACITY), |(_, model)| model);
        let walked = walk(&journal, model.seq(), |command| {
            model.apply(command);
            ControlFlow::Continue(())
        });
        let found = walked.unwrap().map_or(0, |walked| walked.last_seq.get());
        let decided = self.hashes.len() as u64 - 1;
        assert!(
            (self.acknowledged..=decided).contains(&found),
            "found {found}, acknowledged {}, decided {decided}",
            self.acknowledged
        );
        self.check_hash(&model);
    }

    fn recover(&mut self) -> Result<Server, JournalError> {
        let newest = snapshot::newest(&self.snapshots, &self.journal, Seq::new(u64::MAX)).unwrap();
        let mut model = newest.map_or_else(|| ReadModel::new(CAPACITY), |(_, model)| model);
        let from = model.seq();
        self.check_hash(&model);
        let opened = open(self.journal.clone(), &settings(), from, |command| {
            model.apply(command)
        })?;
        let found = model.seq().get();
        let decided = self.hashes.len() as u64 - 1;
        assert!(
            (self.acknowledged..=decided).contains(&found),
            "found {found}, acknowledged {}, decided {decided}",
            self.acknowledged
        );
        self.check_hash(&model);
        assert_eq!(model.audit(), Ok(()));
        self.counts.from_snapshot += u64::from(from > Seq::default());
        self.counts.lost_unacknowledged += decided - found;
        self.hashes.truncate(1 + found as usize);
        self.now_ns = self.now_ns.max(model.time().nanos());
        // Recovery made durable what it found: it may be acknowledged again.
        self.acknowledged = found;
        Ok(self.start(opened, model))
    }

    fn start(&mut self, opened: Opened<SimulatedDisk>, model: ReadModel) -> Server {
        let failed_before = opened.previous_failure.is_some();
        let end = opened.walked.end;
        let engine = Engine::restore(&model.engine().save()).unwrap();
        let progress = Arc::new(Progress::new(Ack::Durable, model.seq(), Arc::default()));
        let model = Arc::new(SharedReadModel::new(model));
        let (producer, entries) = rtrb::RingBuffer::new(64);
        let storage = self.journal.clone();
        let mut server = Server {
            engine,
            events: EventBuffer::new(),
            producer,
            writer: Writer::new(opened, entries, Arc::clone(&progress), Box::new(|| {})),
            replica: Replica::new(storage, end, Arc::clone(&model), Arc::clone(&progress)).unwrap(),
            model,
            progress,
        };
        if failed_before {
            self.counts.kills_after_failure += 1;
            self.decide(&mut server, kill(), true);
        }
        server
    }

    fn step(&mut self, server: &mut Server) -> Result<(), JournalError> {
        self.now_ns += self.random.below(200_000_000);
        for _ in 0..self.random.below(6) {
            if server
                .engine
                .next_deadline()
                .is_some_and(|at| at.nanos() <= self.now_ns)
            {
                self.decide(server, Command::Tick, false);
            }
            let command = self.command(&server.engine);
            let urgent = self.random.below(3) == 0;
            self.decide(server, command, urgent);
        }
        let before = server.progress.durable();
        let turn = server.writer.turn(Duration::from_nanos(self.now_ns - START_NS));
        assert!(server.progress.durable() >= before);
        turn?;
        if self.random.below(2) == 0 {
            server.replica.turn()?;
            self.check_hash(&server.model.read());
        }
        if self.random.below(12) == 0 {
            self.snapshot(server);
        }
        if self.random.below(15) == 0 {
            self.archive();
        }
        Ok(())
    }

    /// Gives a command its place, applies it, remembers the state, and hands it to the writer.
    fn decide(&mut self, server: &mut Server, command: Command, urgent: bool) {
        let seq = Seq::new(server.engine.last_seq().get() + 1);
        let time = Timestamp::from_nanos(self.now_ns);
        let command = Sequenced { seq, time, command };
        server.events.clear();
        let mut work = server.engine.apply(&command, &mut server.events);
        while work == Work::More {
            server.events.clear();
            work = server.engine.resume(&mut server.events);
        }
        self.hashes.push(server.engine.state_hash());
        server
            .producer
            .push(JournalEntry::Command { command, urgent })
            .unwrap();
    }

    /// A snapshot is only ever taken of what is durable; it may fail, and then changes nothing.
    fn snapshot(&mut self, server: &Server) {
        let model = server.model.read();
        let seq = model.seq();
        assert!(seq.get() <= server.progress.durable());
        let (journal, chain) = chain_at(&self.journal, seq).unwrap().unwrap();
        let place = Place { journal, seq, chain };
        if snapshot::write(&self.snapshots, &place, &model.save()).is_ok() {
            // What cannot be removed today is removed the next time.
            snapshot::prune(&self.snapshots, Seq::new(u64::MAX)).ok();
        } else {
            self.counts.nested += 1;
        }
    }

    /// Archives what is closed and prunes what nobody needs, beside the server. It may fail anywhere, and then changes
    /// nothing that anybody could read.
    fn archive(&mut self) {
        let archived = archive_closed(&self.journal, |_| self.counts.archived += 1);
        assert!(
            matches!(archived, Ok(()) | Err(JournalError::Io { .. })),
            "{archived:?}"
        );
        self.counts.nested += u64::from(archived.is_err());
        if self.random.below(2) == 0 {
            return;
        }
        // Fewer than two snapshots, or a disk that fails: nothing goes.
        let Ok(needs) = retention::needs(&self.journal, &self.snapshots, None) else {
            return;
        };
        let pruned = prunable(&self.journal, needs.first()).and_then(|plan| {
            prune(&self.journal, &plan)?;
            Ok(plan.archives.len() as u64)
        });
        match pruned {
            Ok(count) => self.counts.pruned += count,
            Err(JournalError::Io { .. }) => self.counts.nested += 1,
            Err(error) => panic!("no fault may look like damage: {error}"),
        }
    }

    /// After a failure nothing more is released: `released` stays at what was durable before.
    fn check_failed(&mut self, server: &mut Server) {
        let released = server.progress.released().load(Ordering::Acquire);
        assert!(server.progress.is_failed() && server.progress.is_ended());
        assert_eq!(released, server.progress.durable());
        self.journal.fail_at(u64::MAX, Fault::Error);
    }

    /// The replica reads as far as is durable, and has the same state there.
    fn check_replica(&mut self, server: &mut Server) {
        while server.replica.turn().unwrap() {}
        assert_eq!(server.model.seq().get(), server.progress.durable());
        self.check_hash(&server.model.read());
    }

    fn check_hash(&self, model: &ReadModel) {
        let seq = model.seq().get() as usize;
        assert_eq!(
            Some(&model.engine().state_hash()),
            self.hashes.get(seq),
            "state after {seq}"
        );
        assert_eq!(model.history().divergence(), None);
    }

    fn command(&mut self, engine: &Engine) -> Command {
        let random = &mut self.random;
        let actor = Actor {
            account: AccountId::new(random.below(2) as u32),
            admin: true,
        };
        match engine.last_seq().get() {
            0 => return instrument(),
            1 => return account("asha"),
            2 => return account("ravi"),
            _ => {}
        }
        match random.below(20) {
            0 => Command::HashCheck(engine.state_hash()),
            1 => Command::AdjustCash(AdjustCash {
                actor: Actor { admin: true, ..actor },
                reason: Text::EMPTY,
                account: actor.account,
                amount: Money::from_paise(random.below(1_000) as i64 - 500),
            }),
            2 => kill(),
            3 => Command::Rearm(Rearm {
                actor,
                deactivated_by: Text::cut("asha"),
            }),
            4..=7 => Command::CancelOrder(CancelOrder {
                actor,
                order: OrderRef::Id(OrderId::new(1 + random.below(engine.last_seq().get()))),
            }),
            _ => Command::NewOrder(NewOrder {
                account: actor.account,
                strategy: StrategyId::new(1),
                instrument: InstrumentId::new(0),
                side: if random.below(2) == 0 {
                    Side::Buy
                } else {
                    Side::Sell
                },
                product: Product::Mis,
                order_type: OrderType::Limit(
                    Price::from_paise(244_900 + 10 * random.below(20) as u32).unwrap(),
                ),
                time_in_force: TimeInForce::Day,
                quantity: Quantity::new(1 + random.below(50) as u32).unwrap(),
                post_only: false,
                disclosed: None,
                minimum: None,
                stop_loss: None,
                take_profit: None,
                client_order_id: Text::cut(""),
                metadata: (random.below(10) == 0).then(|| "m".repeat(random.below(1_500) as usize).into()),
            }),
        }
    }
}

fn kill() -> Command {
    Command::KillSwitch(KillSwitch {
        actor: Actor {
            account: AccountId::new(0),
            admin: true,
        },
        scope: KillScope::Engine,
        state: TradingState::Reducing,
        flatten: Some(false),
        reason: Text::cut("simulated"),
        triggered_by: Text::cut("simulation"),
    })
}

fn instrument() -> Command {
    Command::DefineInstrument(Box::new(InstrumentDefinition {
        symbol: Symbol::parse("RELIANCE").unwrap(),
        exchange: Text::cut("NSE"),
        tick_size: Price::from_paise(10).unwrap(),
        lot_size: Quantity::new(1).unwrap(),
        freeze_quantity: Quantity::new(100_000).unwrap(),
        reference_price: Price::from_paise(245_000).unwrap(),
        price_band: Ratio::from_ppm(100_000),
        mis_allowed: true,
        banned: false,
        derivatives: false,
    }))
}

fn account(name: &str) -> Command {
    Command::DefineAccount(Box::new(AccountDefinition {
        name: Text::cut(name),
        opening_balance: Money::from_paise(1_000_000_000),
        limits: RiskLimits::maker(),
        profile: Text::cut("maker"),
        venue: false,
    }))
}

fn number_in(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn whatever_the_disk_does_nothing_acknowledged_is_lost() {
    let (seeds, first) = (number_in("SEEDS", 300), number_in("FIRST_SEED", 1));
    let images = number_in("IMAGES", 2);
    let mut all = Counts::default();
    for seed in first..first + seeds {
        let run = std::panic::catch_unwind(|| {
            let mut world = World::new(seed, images);
            (0..LIVES).for_each(|_| world.live());
            world.counts
        });
        let Ok(counts) = run else {
            panic!("failed with seed {seed}: SEEDS=1 FIRST_SEED={seed} make sim");
        };
        all.lives += counts.lives;
        all.failures += counts.failures;
        all.from_snapshot += counts.from_snapshot;
        all.lost_unacknowledged += counts.lost_unacknowledged;
        all.kills_after_failure += counts.kills_after_failure;
        all.images += counts.images;
        all.nested += counts.nested;
        all.archived += counts.archived;
        all.pruned += counts.pruned;
    }
    println!("{seeds} seeds from {first}: {all:?}");
    let floors = [number_in("IMAGES_FLOOR", 0), number_in("NESTED_FLOOR", 0)];
    assert!(
        all.images >= floors[0] && all.nested >= floors[1],
        "too few for the floors {floors:?}"
    );
    if seeds >= 100 {
        // The simulation is worth nothing if what it is about does not happen in it.
        assert!(
            all.failures > seeds && all.from_snapshot > seeds && all.kills_after_failure > seeds / 10,
            "{all:?}"
        );
        assert!(all.lost_unacknowledged > seeds, "{all:?}");
        assert!(all.archived > seeds && all.pruned > seeds / 10, "{all:?}");
    }
}
