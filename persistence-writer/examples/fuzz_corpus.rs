//! Writes the first corpora of the fuzz targets into folders of their names below the one that is the argument: for
//! `engine_commands` streams of the engine's own tests, encoded, each record behind its length, with commands that only a
//! journal has in between; for `engine_oracle` bytes to choose commands by.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    unreachable_pub,
    reason = "the streams are test support of the engine"
)]

#[path = "../../engine/tests/streams/mod.rs"]
mod streams;

use std::path::PathBuf;

use engine::{Actor, Capacity, Command, Engine, Event, EventBuffer, Sequenced, Work};
use streams::{OpenOrder, Random, Stream};

const STREAMS: u64 = 64;
const COMMANDS: usize = 120;
/// That of the target.
const CAPACITY: Capacity = Capacity {
    accounts: 8,
    instruments: 4,
    orders: 128,
    positions: 32,
    client_order_ids: 32,
};

/// Commands between two hash checks.
const HASH_CHECK_INTERVAL: usize = 25;
/// Bytes of an input of `engine_oracle`: some 100 commands.
const CHOICES: usize = 6_400;

fn main() -> std::io::Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.expect("usage: fuzz_corpus FOLDER");
    for (target, input) in [
        ("engine_commands", stream as fn(u64) -> Vec<u8>),
        ("engine_oracle", choices),
    ] {
        let folder = folder.join(target);
        std::fs::create_dir_all(&folder)?;
        for seed in 1..=STREAMS {
            std::fs::write(folder.join(format!("stream-{seed:02}")), input(seed))?;
        }
    }
    Ok(())
}

fn choices(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let words = (0..CHOICES / 8).map(|_| random.draw().to_le_bytes());
    words.flatten().collect()
}

fn stream(seed: u64) -> Vec<u8> {
    let mut engine = Engine::new(CAPACITY);
    let mut stream = Stream::default();
    let mut open: Vec<OpenOrder> = Vec::new();
    let mut bytes = Vec::new();
    let mut take = |engine: &mut Engine, command: Sequenced<Command>, open: &mut Vec<OpenOrder>| {
        let mut record = Vec::new();
        persistence_writer::record::encode(command.time, &command.command, &mut record);
        let length = u16::try_from(record.len()).expect("records are shorter than 64 KiB");
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&record);
        follow(engine, &command, open);
    };
    let mut begin = stream.begin();
    begin.push(stream.sequence(Command::SetCapacity(CAPACITY)));
    for command in begin {
        take(&mut engine, command, &mut open);
    }
    for (place, seed) in streams::seeds(seed, COMMANDS).into_iter().enumerate() {
        stream.turn(seed);
        while let Some(tick) = stream.tick(engine.next_deadline()) {
            take(&mut engine, tick, &mut open);
        }
        let command = dressed(stream.command(&open), place);
        take(&mut engine, command, &mut open);
        if place % HASH_CHECK_INTERVAL == 0 {
            let check = stream.sequence(Command::HashCheck(engine.state_hash()));
            take(&mut engine, check, &mut open);
        }
    }
    bytes
}

/// Every fifth order with metadata, and every second kill switch the process's own.
fn dressed(mut sequenced: Sequenced<Command>, place: usize) -> Sequenced<Command> {
    match &mut sequenced.command {
        Command::NewOrder(order) if place.is_multiple_of(5) => order.metadata = Some("{\"note\":1}".into()),
        Command::KillSwitch(kill) if place.is_multiple_of(2) => kill.actor = Actor::PROCESS,
        _ => {}
    }
    sequenced
}

fn follow(engine: &mut Engine, command: &Sequenced<Command>, open: &mut Vec<OpenOrder>) {
    let mut buffer = EventBuffer::new();
    let mut work = engine.apply(command, &mut buffer);
    while work == Work::More {
        work = engine.resume(&mut buffer);
    }
    for event in buffer.iter() {
        if let Event::OrderAccepted(accepted) = event {
            open.push(OpenOrder {
                id: accepted.order,
                account: accepted.account,
                instrument: accepted.instrument,
            });
        }
    }
}
