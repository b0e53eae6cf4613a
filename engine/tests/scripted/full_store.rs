//! What a full store of orders lets through: its last sixteenth is for exits, and where even that is taken, closes are
//! refused and a stop that is reached takes the place of the position's own exits (where there are none it waits:
//! `exits_wait_for_room`).

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

mod script;

use engine::{Capacity, Engine, EventBuffer, Work};
use script::Step;

/// Sixteen orders fit, fifteen of which may be entries.
const ORDERS: u32 = 16;

const SCRIPT: &str = "
setup
  account alice
  account bob
  account sim venue
commands
  sim sell 10 @ 100.00
  alice buy 10 @ 100.00
  alice edit 2 stop 99.00
events
  top none | 10 @ 100.00
  accepted 2 alice buy 10 @ 100.00
  trade 1 10 @ 100.00 maker 1 taker 2
  fill 2 alice buy 10 @ 100.00 cum 10 leaves 0 FILLED
  top none | none
  conditions 2 alice stop 99.00 target none trailing none
commands
  bob buy 1 @ 90.00 fill-up
  bob buy 1 @ 90.00
  alice sell 4 @ 104.00
  alice sell 4 @ 104.00
  alice close 2
  last 98.00
  alice cancel 19
events
  rejected 18 bob capacity: The engine holds its maximum of 15 open orders
  accepted 19 alice sell 4 @ 104.00
  top 15 @ 90.00 | 4 @ 104.00
  rejected 20 alice capacity: The engine holds its maximum of 16 open orders
  refused: The engine holds its maximum of 16 open orders
  conditions 2 alice stop none target none trailing none fired 99.00 by 98.00
  cancelled 19 alice 4 leaves 0 CANCELLED: Exit exceeds the open position
  accepted 21 alice sell 10 market @ 96.05 by stop_loss
  closing position 2: 10 from order 21
  top 15 @ 90.00 | 10 @ 96.05
  refused: Order is already CANCELLED
";

#[test]
fn exits_have_the_last_places_and_a_stop_takes_that_of_its_positions_own() {
    let mut engine = Engine::new(Capacity {
        accounts: 8,
        instruments: 4,
        orders: ORDERS,
        positions: 64,
        client_order_ids: 64,
    });
    let mut text = String::new();
    for line in SCRIPT.lines() {
        match line.strip_suffix(" fill-up") {
            Some(order) => (1..ORDERS).for_each(|_| text = format!("{text}{order}\n")),
            None => text = format!("{text}{line}\n"),
        }
    }
    let scenario = script::parse_file(&text);
    let (mut events, mut seen) = (EventBuffer::new(), Vec::new());
    for step in &scenario.steps {
        match step {
            Step::Do { command, .. } => {
                events.clear();
                assert_eq!(engine.apply(command, &mut events), Work::Done);
                assert_eq!(engine.audit(), Ok(()));
                let covered = events.iter().filter(|event| scenario.shown.covers(event));
                seen.extend(covered.map(|event| script::show_event(event, &scenario.names)));
            }
            Step::Events { line, expected } => {
                // Of those that fill the store up only what follows is looked at.
                seen.retain(|line| !line.ends_with("bob buy 1 @ 90.00"));
                seen.retain(|line| !(line.starts_with("top") && line.contains("@ 90.00 | none")));
                assert_eq!(&std::mem::take(&mut seen), expected, "line {line}");
            }
            _ => panic!("commands and events only"),
        }
    }
}
