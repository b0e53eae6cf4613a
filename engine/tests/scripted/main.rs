//! Scripts that are more than scenarios: stores that are filled up, ids that go round, questions between the commands.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "test support shared with other tests"
)]

mod full_store;
mod order_ids;
mod reducing;
#[path = "../script/mod.rs"]
mod script;

use engine::{Capacity, Engine, EventBuffer, Work};
use script::Step;

fn engine(orders: u32) -> Engine {
    Engine::new(Capacity {
        accounts: 8,
        instruments: 4,
        orders,
        positions: 64,
        client_order_ids: 64,
    })
}

/// Plays a script in which a line that ends in `fill-up` stands for so many of its kind, and compares the events that it
/// expects with those that it `looks_at`. `after` each command the engine is shown.
fn play(
    engine: &mut Engine,
    script: &str,
    fill_up: usize,
    looks_at: impl Fn(&str) -> bool,
    mut after: impl FnMut(&Engine),
) {
    let mut text = String::new();
    for line in script.lines() {
        let (line, times) = line
            .strip_suffix(" fill-up")
            .map_or((line, 1), |order| (order, fill_up));
        for _ in 0..times {
            text.push_str(line);
            text.push('\n');
        }
    }
    let scenario = script::parse_file(&text);
    let (mut events, mut seen) = (EventBuffer::new(), Vec::new());
    for step in &scenario.steps {
        match step {
            Step::Do { command, .. } => {
                events.clear();
                assert_eq!(engine.apply(command, &mut events), Work::Done);
                after(engine);
                let covered = events.iter().filter(|event| scenario.shown.covers(event));
                seen.extend(covered.map(|event| script::show_event(event, &scenario.names)));
            }
            Step::Events { line, expected } => {
                seen.retain(|line: &String| looks_at(line));
                assert_eq!(&std::mem::take(&mut seen), expected, "line {line}");
            }
            _ => panic!("commands and events only"),
        }
    }
}
