//! The engine beside the oracle of its tests, on streams that the fuzzer chooses: the same events after every command, the same
//! state, and nothing leaked.
//!
//! An input is a list of commands of [`CHOICES`] bytes; each byte is one of the choices that make a command (its kind, its
//! price, …). Whatever the bytes are, commands come of it, so nothing is spent on finding what decodes.

#![no_main]

#[allow(dead_code, reason = "each user takes its part")]
#[path = "../../engine/tests/oracle/mod.rs"]
mod oracle;
#[allow(dead_code, reason = "each user takes its part")]
#[path = "../../engine/tests/pair/mod.rs"]
mod pair;
#[path = "../../engine/tests/streams/mod.rs"]
mod streams;

use libfuzzer_sys::fuzz_target;
use pair::{Pair, open_orders};
use streams::{Random, Stream};

/// Bytes of a command. Changed limits and charge rates, the longest, take a little more; what is not there counts as 0.
const CHOICES: usize = 64;

fuzz_target!(|bytes: &[u8]| {
    if let Err(why) = run(bytes) {
        panic!("{why}");
    }
});

fn run(bytes: &[u8]) -> Result<(), String> {
    let mut pair = Pair::default();
    let mut stream = Stream::default();
    for command in stream.begin() {
        pair.step(&command)?;
    }
    for choices in bytes.chunks(CHOICES) {
        stream.turn_to(Random::chosen(choices));
        while let Some(tick) = stream.tick(pair.oracle.next_deadline()) {
            pair.step(&tick)?;
        }
        let command = stream.command(&open_orders(&pair.oracle));
        let same = pair.step(&command).and_then(|()| pair.compare_state());
        same.map_err(|why| format!("{command:?}\n{why}"))?;
    }
    Ok(())
}
