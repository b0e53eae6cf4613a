//! What a full store of orders lets through: its last sixteenth is for exits, and where even that is taken, closes are
//! refused and a stop that is reached takes the place of the position's own exits (where there are none it waits:
//! `exits_wait_for_room`).

use crate::{engine, play};

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
    // Of those that fill the store up only what follows is looked at.
    let looks_at = |line: &str| {
        let its_top = line.starts_with("top") && line.contains("@ 90.00 | none");
        !(its_top || line.ends_with("bob buy 1 @ 90.00"))
    };
    let fill_up = usize::try_from(ORDERS - 1).expect("a small number");
    play(&mut engine(ORDERS), SCRIPT, fill_up, looks_at, |engine| {
        assert_eq!(engine.audit(), Ok(()));
    });
}
