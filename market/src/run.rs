//! The body of the thread `market`.

use scheduling::SharedCore;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use engine::Command;

use crate::limits::{COMMANDS_PER_STEP_MAX, SLEEP_MAX, STEP_INTERVAL_MIN};
use crate::simulator::Simulator;

/// What the thread did, for the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    pub steps: u64,
    pub commands: u64,
    /// Due steps that were left out because the ring had no room for a whole one.
    pub steps_skipped: u64,
}

/// Steps the simulator whenever it is due until `stop` is set (seen within [`SLEEP_MAX`]) or the engine's end of the
/// ring is gone.
///
/// While `paused` is set (the disk is low) nothing is sent; what rests stays. A step goes onto the ring as a whole or
/// not at all: with fewer than [`COMMANDS_PER_STEP_MAX`] free slots it is left out, counted, and due again at once.
///
/// `core` is the engine's, who may sleep there.
///
/// # Panics
///
/// If the ring is smaller than one step, which could never be sent.
pub fn run(
    mut simulator: Simulator,
    mut commands: rtrb::Producer<Command>,
    stop: &AtomicBool,
    paused: &AtomicBool,
    core: &SharedCore,
) -> Summary {
    let capacity = commands.buffer().capacity();
    assert!(
        capacity >= COMMANDS_PER_STEP_MAX,
        "the market's ring holds {capacity} commands, fewer than one step ({COMMANDS_PER_STEP_MAX})"
    );
    let started = Instant::now();
    let mut due = Vec::with_capacity(COMMANDS_PER_STEP_MAX);
    let mut summary = Summary::default();
    while !stop.load(Ordering::Acquire) && !commands.is_abandoned() {
        let now = started.elapsed();
        let wait = simulator.next_due().saturating_sub(now);
        if !wait.is_zero() {
            thread::sleep(wait.min(SLEEP_MAX));
            continue;
        }
        if paused.load(Ordering::Acquire) {
            thread::sleep(SLEEP_MAX);
            continue;
        }
        if commands.slots() < COMMANDS_PER_STEP_MAX {
            summary.steps_skipped += 1;
        } else {
            simulator.step(now, &mut due);
            summary.steps += 1;
            for command in due.drain(..) {
                // Only this thread fills the ring, so the room seen above is still there.
                if commands.push(command).is_ok() {
                    summary.commands += 1;
                }
            }
            core.ring();
        }
        thread::sleep(STEP_INTERVAL_MIN);
    }
    summary
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread::JoinHandle;
    use std::time::Duration;

    use engine::{AccountId, InstrumentId, Price, Quantity};

    use super::*;
    use crate::simulator::{SimInstrument, SimulatorSettings};

    fn simulator() -> Simulator {
        let price = |paise| Price::from_paise(paise).unwrap();
        let instrument = SimInstrument {
            id: InstrumentId::new(0),
            tick: price(10),
            lot: Quantity::new(1).unwrap(),
            reference: price(245_000),
            band_low: price(220_500),
            band_high: price(269_500),
            last_price: None,
        };
        let mut settings = SimulatorSettings::new(1, vec![instrument], AccountId::new(1), AccountId::new(2));
        settings.quote_interval = Duration::from_millis(5);
        Simulator::new(settings)
    }

    struct Running {
        thread: JoinHandle<Summary>,
        commands: rtrb::Consumer<Command>,
        stop: Arc<AtomicBool>,
        paused: Arc<AtomicBool>,
    }

    fn start(capacity: usize, paused: bool) -> Running {
        let (producer, commands) = rtrb::RingBuffer::new(capacity);
        let stop = Arc::new(AtomicBool::new(false));
        let paused = Arc::new(AtomicBool::new(paused));
        let thread = {
            let (stop, paused) = (Arc::clone(&stop), Arc::clone(&paused));
            thread::spawn(move || run(simulator(), producer, &stop, &paused, &SharedCore::default()))
        };
        Running {
            thread,
            commands,
            stop,
            paused,
        }
    }

    impl Running {
        /// Takes `count` commands off the ring, however long they take to come.
        fn take(&mut self, count: usize) -> Vec<Command> {
            let mut taken = Vec::new();
            while taken.len() < count {
                match self.commands.pop() {
                    Ok(command) => taken.push(command),
                    Err(_) => thread::sleep(Duration::from_millis(1)),
                }
            }
            taken
        }

        fn finish(self) -> Summary {
            self.stop.store(true, Ordering::Release);
            self.thread.join().unwrap()
        }
    }

    #[test]
    fn commands_flow_until_stopped() {
        let mut running = start(1_024, false);
        let taken = running.take(100);
        assert!(matches!(taken[0], Command::CancelAll(_)));
        let summary = running.finish();
        assert!(summary.commands >= 100 && summary.steps > 1, "{summary:?}");
    }

    #[test]
    fn a_ring_without_room_skips_whole_steps_and_goes_on_later() {
        // A thread that gets no core while the ring is full has nothing to skip: then it is shown another full ring.
        while fill_and_drain().steps_skipped == 0 {}
    }

    fn fill_and_drain() -> Summary {
        let mut running = start(COMMANDS_PER_STEP_MAX, false);
        // Two clears, a ladder of ten, its cancel, a print; then less room than a step needs, until somebody drains.
        while running.commands.slots() < 14 {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(30));
        assert_eq!(
            running.commands.slots(),
            14,
            "nothing is added without room for a whole step"
        );
        running.take(14);
        running.take(11);
        let summary = running.finish();
        assert!(summary.steps >= 2, "{summary:?}");
        summary
    }

    #[test]
    fn a_paused_market_sends_nothing() {
        let mut running = start(1_024, true);
        thread::sleep(Duration::from_millis(30));
        assert_eq!(running.commands.slots(), 0);
        running.paused.store(false, Ordering::Release);
        running.take(14);
        running.finish();
    }

    #[test]
    fn the_thread_ends_when_the_engine_is_gone() {
        let running = start(1_024, false);
        drop(running.commands);
        running.thread.join().unwrap();
    }
}
