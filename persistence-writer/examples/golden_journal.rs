//! Writes the golden journal of the engine's present rules (`make golden`): a stream of the engine's own tests as a
//! journal, archived but for its last segment, and what it must fold to. The folder that holds one folder a version is
//! the argument.
//!
//! A released version's journal is never written again: raise `engine::SEMANTICS_VERSION` first.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    unreachable_pub,
    reason = "the streams are test support of the engine"
)]

#[path = "../tests/golden/fold.rs"]
mod fold;
#[path = "../../engine/tests/streams/mod.rs"]
mod streams;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;

use engine::{
    Capacity, Command, Engine, Event, EventBuffer, Fill, OrderCancelled, OrderModified, SEMANTICS_VERSION,
    Seq, Sequenced, Work,
};
use fold::fold;
use persistence_writer::journal::{Disk, JournalId, Settings, SpareSegments, archive_closed, open};
use persistence_writer::limits::SEGMENT_BYTES_MIN;
use streams::{OpenOrder, Stream};

const COMMANDS: usize = 1_500;
const SEED: u64 = 8;
const CAPACITY: Capacity = Capacity {
    accounts: 8,
    instruments: 4,
    orders: 256,
    positions: 64,
    client_order_ids: 64,
};
/// Commands between two state hashes in the journal.
const HASH_CHECK_INTERVAL: usize = 100;
/// Records of a batch.
const BATCH: u64 = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or("usage: golden_journal FOLDER")?;
    let folder = folder.join(format!("semantics-{SEMANTICS_VERSION}"));
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let disk = Disk::new(&folder);
    let settings = Settings {
        segment_bytes: 4 * SEGMENT_BYTES_MIN,
        fresh_id: JournalId::from_bytes(*b"a golden journal"),
        spares: SpareSegments::OnDemand,
    };
    let mut appender = open(disk.clone(), &settings, Seq::default(), |_| {})?.appender;
    for command in stream() {
        appender.append(&command)?;
        if command.seq.get().is_multiple_of(BATCH) {
            appender.sync()?;
        }
    }
    appender.sync()?;
    drop(appender);
    archive_closed(&disk, |_| {})?;
    // It says that nothing has failed, which is no part of a history.
    std::fs::remove_file(folder.join("failed"))?;
    let expected = fold(&disk)?;
    std::fs::write(folder.join("expected.json"), format!("{:#}\n", expected.json()))?;
    println!("{}: {}", folder.display(), expected.json());
    Ok(())
}

/// The commands, with the capacities first and a state hash now and then. They are drawn while an engine answers them, so
/// that most are about orders that are open.
fn stream() -> Vec<Sequenced<Command>> {
    let mut stream = Stream::default();
    let mut run = Run {
        engine: Engine::new(Capacity::default()),
        open: BTreeMap::new(),
        commands: Vec::new(),
    };
    run.apply(stream.sequence(Command::SetCapacity(CAPACITY)));
    for command in stream.begin() {
        run.apply(command);
    }
    for (at, seed) in streams::seeds(SEED, COMMANDS).into_iter().enumerate() {
        stream.turn(seed);
        while let Some(tick) = stream.tick(run.engine.next_deadline()) {
            run.apply(tick);
        }
        let open: Vec<OpenOrder> = run.open.values().copied().collect();
        run.apply(stream.command(&open));
        if at % HASH_CHECK_INTERVAL == 0 {
            let hash = run.engine.state_hash();
            run.apply(stream.sequence(Command::HashCheck(hash)));
        }
    }
    run.commands
}

struct Run {
    engine: Engine,
    open: BTreeMap<u64, OpenOrder>,
    commands: Vec<Sequenced<Command>>,
}

impl Run {
    fn apply(&mut self, command: Sequenced<Command>) {
        let mut events = EventBuffer::new();
        let mut work = self.engine.apply(&command, &mut events);
        while work == Work::More {
            work = self.engine.resume(&mut events);
        }
        for event in events.iter() {
            match event {
                Event::OrderAccepted(accepted) => {
                    let order = OpenOrder {
                        id: accepted.order,
                        account: accepted.account,
                        instrument: accepted.instrument,
                    };
                    self.open.insert(accepted.order.get(), order);
                }
                Event::Fill(Fill { order, status, .. })
                | Event::OrderCancelled(OrderCancelled { order, status, .. })
                | Event::OrderModified(OrderModified { order, status, .. })
                    if !status.is_active() =>
                {
                    self.open.remove(&order.get());
                }
                _ => {}
            }
        }
        self.commands.push(command);
    }
}
