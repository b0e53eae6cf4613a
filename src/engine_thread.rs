//! The engine thread: polls its lanes, sequences what comes, and waits as configured when nothing does.

use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, TryRecvError};
use engine::Command;
use engine::lane::Request;
use rtrb::Consumer;
use scheduling::SharedCore;

use crate::config::Wait;
use crate::sequencer::Sequencer;

/// Requests of the gateway served before the other lanes get a turn.
const GATEWAY_BURST: usize = 32;
/// Commands of the market served in a turn: traders come first, and a burst of quotes never holds one up for long.
const MARKET_BURST: usize = 2;
/// Idle turns before `yield` and `park` give the core away. Few, because the gateway that waits for the last decision may
/// share the core, and a turn costs some 100 ns.
const SPINS_BEFORE_YIELD: u32 = 4;
const YIELDS_BEFORE_PARK: u32 = 64;
/// `park` looks again after this long; nobody wakes it, since a wake-up costs its producer 13–15 µs.
const PARK_INTERVAL: Duration = Duration::from_micros(200);
/// An engine that sleeps while others work on its core is woken for every request; deadlines and the control lane are not
/// waited for longer than this.
const SLEEP_MAX: Duration = Duration::from_millis(1);

/// Where commands come from, in the order they are polled.
#[derive(Debug)]
pub struct Lanes {
    /// Control plane: the process itself and, later, administration.
    pub control: Receiver<Command>,
    pub gateway: Consumer<Request>,
    /// `None` without a simulated market.
    pub market: Option<Consumer<Command>>,
}

impl Lanes {
    fn have_more(&self) -> bool {
        let market = self.market.as_ref();
        !self.gateway.is_empty() || market.is_some_and(|market| !market.is_empty())
    }

    /// Whether no lane can ever bring another command.
    fn are_closed(&self) -> bool {
        let market = self
            .market
            .as_ref()
            .is_none_or(|market| market.is_abandoned() && market.is_empty());
        self.gateway.is_abandoned() && self.gateway.is_empty() && market
    }
}

/// Runs until every lane is closed and drained (then the journal's ring closes behind it), or until the journal is
/// gone. Returns the sequencer for a last look at the state.
pub fn run(mut sequencer: Sequencer, mut lanes: Lanes, wait: Wait, core: &SharedCore) -> Sequencer {
    core.own();
    let mut idle = 0;
    let mut control_open = true;
    let mut away = None;
    loop {
        core.return_home(&mut away);
        if turn(&mut sequencer, &mut lanes, &mut control_open) {
            idle = 0;
            continue;
        }
        idle += 1;
        if (!control_open && lanes.are_closed()) || sequencer.is_cut_off() {
            return sequencer;
        }
        let slept = idle >= SPINS_BEFORE_YIELD
            && sequencer.has_room()
            && core.sleep_while_others_work(SLEEP_MAX, || lanes.have_more());
        if !slept {
            core.rest(|| rest(wait, idle));
        }
    }
}

/// One turn over deadline and lanes; `false` when there was nothing to do.
fn turn(sequencer: &mut Sequencer, lanes: &mut Lanes, control_open: &mut bool) -> bool {
    if !sequencer.has_room() {
        return false;
    }
    sequencer.begin_turn();
    let now = sequencer.now();
    let mut worked = sequencer.tick_when_due(now);
    if *control_open && sequencer.has_room() {
        match lanes.control.try_recv() {
            Ok(command) => {
                sequencer.sequence(command, None, now);
                worked = true;
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => *control_open = false,
        }
    }
    for _ in 0..GATEWAY_BURST {
        if !sequencer.has_room() {
            return worked;
        }
        let Ok(request) = lanes.gateway.pop() else { break };
        sequencer.serve(request, now);
        worked = true;
    }
    let Some(market) = &mut lanes.market else {
        return worked;
    };
    for _ in 0..MARKET_BURST {
        if !sequencer.has_room() {
            return worked;
        }
        let Ok(command) = market.pop() else { break };
        sequencer.sequence(command, None, now);
        worked = true;
    }
    worked
}

/// Waits a little after `idle` turns in a row without work.
pub(crate) fn rest(wait: Wait, idle: u32) {
    match wait {
        Wait::BusySpin => std::hint::spin_loop(),
        _ if idle < SPINS_BEFORE_YIELD => std::hint::spin_loop(),
        Wait::Yield => thread::yield_now(),
        Wait::Park if idle < SPINS_BEFORE_YIELD + YIELDS_BEFORE_PARK => thread::yield_now(),
        Wait::Park => thread::park_timeout(PARK_INTERVAL),
    }
}
