//! Ids go round in a window: one whose place an old open order still holds is skipped, and is nobody's.

use crate::{engine, play};

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
    let mut engine = engine(16);
    let looks_at = |line: &str| !line.contains(" IOC") && !line.contains(" 1 leaves 0 CANCELLED");
    play(&mut engine, SCRIPT, WINDOW - 1, looks_at, |_| ());
    assert_eq!(engine.audit(), Ok(()));
}
