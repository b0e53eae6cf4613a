//! Ids go round in a window: one whose place an old open order still holds is skipped, and is nobody's.

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

/// Ids in the window of an engine with few orders.
const WINDOW: usize = 1 << 16;

/// The order after the fill-up would have had the id whose place order 1 holds: 65,537.
const SCRIPT: &str = "
setup
  account alice
  account bob
commands
  alice buy 5 @ 95.00 id old
  bob buy 1 @ 90.00 ioc fill-up
  bob buy 7 @ 90.00 id first
  bob buy 7 @ 90.00 id first
  bob cancel 65537
  alice cancel 1
  bob cancel 65537
  alice cancel 65537
  alice buy 5 @ 95.00 id old
  bob cancel 65538
  bob buy 7 @ 90.00 id first
events
  accepted 1 alice buy 5 @ 95.00
  top 5 @ 95.00 | none
  accepted 65538 bob buy 7 @ 90.00
  repeated 65538 bob OPEN
  refused: Order not found
  cancelled 1 alice 5 leaves 0 CANCELLED: Cancelled by user
  top 7 @ 90.00 | none
  refused: Order not found
  refused: Order not found
  repeated 1 alice OPEN
  cancelled 65538 bob 7 leaves 0 CANCELLED: Cancelled by user
  top none | none
  repeated 65538 bob OPEN
";

#[test]
fn an_id_that_is_skipped_is_nobodys() {
    let mut engine = Engine::new(Capacity {
        accounts: 8,
        instruments: 4,
        orders: 16,
        positions: 64,
        client_order_ids: 64,
    });
    let mut text = String::new();
    for line in SCRIPT.lines() {
        match line.strip_suffix(" fill-up") {
            Some(order) => (1..WINDOW).for_each(|_| {
                text.push_str(order);
                text.push('\n');
            }),
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    let scenario = script::parse_file(&text);
    let (mut events, mut seen) = (EventBuffer::new(), Vec::new());
    for step in &scenario.steps {
        match step {
            Step::Do { command, .. } => {
                events.clear();
                assert_eq!(engine.apply(command, &mut events), Work::Done);
                let covered = events.iter().filter(|event| scenario.shown.covers(event));
                seen.extend(covered.map(|event| script::show_event(event, &scenario.names)));
            }
            Step::Events { line, expected } => {
                seen.retain(|line| !line.contains(" IOC") && !line.contains(" 1 leaves 0 CANCELLED"));
                assert_eq!(&std::mem::take(&mut seen), expected, "line {line}");
            }
            _ => panic!("commands and events only"),
        }
    }
    assert_eq!(engine.audit(), Ok(()));
}
