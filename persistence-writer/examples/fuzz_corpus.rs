//! Writes the first corpus of the fuzz target `engine_commands`: streams of the engine's own tests, encoded, each record
//! behind its length. The folder is the argument.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    unreachable_pub,
    reason = "the streams are test support of the engine"
)]

#[path = "../../engine/tests/streams/mod.rs"]
mod streams;

use std::path::PathBuf;

use engine::{Capacity, Command, Engine, Event, EventBuffer, Sequenced, Work};
use streams::{OpenOrder, Stream};

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

fn main() -> std::io::Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.expect("usage: fuzz_corpus FOLDER");
    std::fs::create_dir_all(&folder)?;
    for seed in 1..=STREAMS {
        std::fs::write(folder.join(format!("stream-{seed:02}")), stream(seed))?;
    }
    Ok(())
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
    for command in stream.begin() {
        take(&mut engine, command, &mut open);
    }
    for seed in streams::seeds(seed, COMMANDS) {
        stream.turn(seed);
        while let Some(tick) = stream.tick(engine.next_deadline()) {
            take(&mut engine, tick, &mut open);
        }
        let command = stream.command(&open);
        take(&mut engine, command, &mut open);
    }
    bytes
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
