//! The journal writer: takes what the engine decided, appends it, and says when it is durable.
//!
//! **When it syncs.** At once when a client's reply waits for an entry (with [`Ack::Memory`] none ever does); else when
//! the oldest unsynced entry is 100 ms old or 256 KiB have gathered. While a sync runs, entries gather in the ring, and the next sync covers all
//! of them: under load batches grow by themselves, and nobody ever waits for a batch to fill.
//!
//! **How it waits.** It spins, then yields, then parks for 50 to 200 µs at a time. The engine never wakes it, so a
//! lone order can wait that long; an edge that knows that an order is on its way calls
//! [`Progress::nudge_writer`] instead. With [`Ack::Memory`] only readers wait for it, who nudge: it parks for 1 ms at a
//! time, and takes what has gathered.
//!
//! **When the disk fails.** Nothing is tried again. No position moves any more, the failure marker is written if that
//! is still possible, and the thread ends with the error; dropping its end of the ring tells the engine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::lane::JournalEntry;
use engine::{Command, KillScope, Sequenced};

use crate::journal::{Appender, FailureMarker, JournalError, Opened, Storage};
use crate::limits::{
    ENTRIES_PER_TURN, IDLE_SPINS, IDLE_YIELDS, PARK_BEHIND, PARK_MAX, PARK_MIN, SPIN_CORES_MIN,
    UNSYNCED_AGE_MAX, UNSYNCED_BYTES_MAX,
};
use crate::progress::{Ack, Progress};

/// What a turn of the writer did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    Worked,
    Idle,
    /// The producer is gone and everything is durable.
    Finished,
}

/// The state of the writer's thread.
pub struct Writer<S: Storage> {
    appender: Appender<S>,
    marker: FailureMarker<S>,
    entries: rtrb::Consumer<JournalEntry>,
    progress: Arc<Progress>,
    released: Box<dyn Fn() + Send>,
    /// Somebody waits for an entry that is not durable yet.
    urgent: bool,
    /// When the oldest entry that is not durable was taken.
    oldest: Option<Duration>,
    /// An earlier run failed, and its consequence is not durable yet.
    marked: bool,
    /// The engine-wide kill switch that follows from it.
    kill: Option<u64>,
}

impl<S: Storage> Writer<S> {
    /// `released` is called after each advance that lets answers leave the process.
    pub fn new(
        opened: Opened<S>,
        entries: rtrb::Consumer<JournalEntry>,
        progress: Arc<Progress>,
        released: Box<dyn Fn() + Send>,
    ) -> Writer<S> {
        Writer {
            appender: opened.appender,
            marked: opened.previous_failure.is_some(),
            marker: opened.marker,
            entries,
            progress,
            released,
            urgent: false,
            oldest: None,
            kill: None,
        }
    }

    /// Takes what is in the ring, writes it, and syncs if that is due. `now` is any clock that only runs forwards.
    /// After an error the writer is of no more use.
    pub fn turn(&mut self, now: Duration) -> Result<Turn, JournalError> {
        let turn = self.take_write_sync(now);
        if let Err(error) = &turn {
            self.give_up(error);
        }
        turn
    }

    fn take_write_sync(&mut self, now: Duration) -> Result<Turn, JournalError> {
        // Asked before the ring is emptied: nothing comes after a ring that was abandoned and then found empty.
        let abandoned = self.entries.is_abandoned();
        let taken = self.take_entries(now)?;
        let last = abandoned && taken == 0;
        let old = self
            .oldest
            .is_some_and(|since| now.saturating_sub(since) >= UNSYNCED_AGE_MAX);
        let due = self.urgent || old || last || self.appender.unsynced_bytes() >= UNSYNCED_BYTES_MAX;
        if due && self.oldest.is_some() {
            self.appender.sync()?;
            self.urgent = false;
            self.oldest = None;
            self.clear_marker()?;
        } else if taken > 0 {
            self.appender.write()?;
        }
        let (written, durable) = (self.appender.written(), self.appender.durable());
        if self.progress.advance(written, durable) {
            // Whoever answers clients comes first.
            (self.released)();
        }
        self.progress.wake_sleepers();
        if last {
            self.progress.finish();
            return Ok(Turn::Finished);
        }
        Ok(if taken > 0 { Turn::Worked } else { Turn::Idle })
    }

    /// Returns how many entries were taken.
    fn take_entries(&mut self, now: Duration) -> Result<usize, JournalError> {
        let count = self.entries.slots().min(ENTRIES_PER_TURN);
        for _ in 0..count {
            match self.entries.pop() {
                Ok(JournalEntry::Command { command, urgent }) => {
                    self.appender.append(&command)?;
                    self.urgent |= urgent && self.progress.ack() == Ack::Durable;
                    self.oldest.get_or_insert(now);
                    self.watch_for_kill(&command);
                }
                // Where everything is durable already, there is nothing to wait for.
                Ok(JournalEntry::Sync) => {
                    self.urgent |= self.oldest.is_some() && self.progress.ack() == Ack::Durable;
                }
                Err(rtrb::PopError::Empty) => break,
            }
        }
        Ok(count)
    }

    fn watch_for_kill(&mut self, command: &Sequenced<Command>) {
        if self.marked
            && let Command::KillSwitch(kill) = &command.command
            && kill.scope == KillScope::Engine
        {
            self.kill = Some(command.seq.get());
        }
    }

    /// The marker of an earlier failure has done its work when the kill switch that follows from it is durable.
    fn clear_marker(&mut self) -> Result<(), JournalError> {
        if self.kill.is_some_and(|seq| seq <= self.appender.durable().get()) {
            self.marker.clear()?;
            self.marked = false;
            self.kill = None;
        }
        Ok(())
    }

    fn give_up(&mut self, error: &JournalError) {
        let why = error.to_string();
        self.progress.fail(&why);
        if let Err(unmarked) = self.marker.record(&why) {
            tracing::error!(%unmarked, "the failure marker could not be written");
        }
        tracing::error!(%error, "the journal has failed; nothing is acknowledged any more");
        (self.released)();
    }
}

impl<S: Storage> std::fmt::Debug for Writer<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("appender", &self.appender)
            .finish_non_exhaustive()
    }
}

/// The body of the `writer` thread. Returns when the producer has been dropped and everything is durable, or with
/// the first error.
pub fn run<S: Storage>(mut writer: Writer<S>) -> Result<(), JournalError> {
    let progress = Arc::clone(&writer.progress);
    progress.register_writer(std::thread::current());
    let start = Instant::now();
    if progress.ack() == Ack::Memory {
        return run_behind(&mut writer, &progress, start);
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let spins = if cores < SPIN_CORES_MIN { 0 } else { IDLE_SPINS };
    let mut idle_turns = 0_u32;
    let mut park = PARK_MIN;
    loop {
        match writer.turn(start.elapsed())? {
            Turn::Finished => return Ok(()),
            Turn::Worked => {
                idle_turns = 0;
                park = PARK_MIN;
            }
            Turn::Idle if idle_turns < spins => {
                idle_turns += 1;
                std::hint::spin_loop();
            }
            Turn::Idle if idle_turns < spins + IDLE_YIELDS => {
                idle_turns += 1;
                std::thread::yield_now();
            }
            Turn::Idle => {
                let slept = Instant::now();
                progress.park_writer(park, || !writer.entries.is_empty());
                // Woken early: something is on its way, so watch for it closely.
                let nudged = slept.elapsed() < park;
                idle_turns = if nudged { 0 } else { idle_turns };
                park = if nudged { PARK_MIN } else { PARK_MAX.min(park * 2) };
            }
        }
    }
}

/// Nobody waits for the disk, so the processor is left to those who answer.
fn run_behind<S: Storage>(
    writer: &mut Writer<S>,
    progress: &Progress,
    start: Instant,
) -> Result<(), JournalError> {
    while writer.turn(start.elapsed())? != Turn::Finished {
        let entries = &writer.entries;
        progress.park_writer(PARK_BEHIND, || entries.slots() >= ENTRIES_PER_TURN);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::atomic::{AtomicU64, Ordering};

    use engine::{AccountId, Actor, KillSwitch, Seq, Text, Timestamp, TradingState};

    use super::*;
    use crate::journal::{Fault, JournalId, Settings, SimulatedDisk, SpareSegments, open, walk};

    struct Rig {
        writer: Writer<SimulatedDisk>,
        producer: rtrb::Producer<JournalEntry>,
        progress: Arc<Progress>,
        rings: Arc<AtomicU64>,
        seq: u64,
    }

    fn rig(disk: &SimulatedDisk, ack: Ack) -> Rig {
        let settings = Settings {
            segment_bytes: 1024 * 1024,
            fresh_id: JournalId::from_bytes([1; 16]),
            spares: SpareSegments::OnDemand,
        };
        let opened = open(disk.clone(), &settings, Seq::new(0), |_| {}).unwrap();
        let seq = opened.walked.last_seq;
        let progress = Arc::new(Progress::new(ack, seq, Arc::default()));
        let (producer, entries) = rtrb::RingBuffer::new(16_384);
        let rings = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&rings);
        let ring = move || {
            counter.fetch_add(1, Ordering::Relaxed);
        };
        Rig {
            writer: Writer::new(opened, entries, Arc::clone(&progress), Box::new(ring)),
            producer,
            progress,
            rings,
            seq: seq.get(),
        }
    }

    impl Rig {
        fn push(&mut self, command: Command, urgent: bool) {
            self.seq += 1;
            let command = Sequenced {
                seq: Seq::new(self.seq),
                time: Timestamp::from_nanos(self.seq),
                command,
            };
            self.producer
                .push(JournalEntry::Command { command, urgent })
                .unwrap();
        }

        fn turn_at(&mut self, millis: u64) -> Turn {
            self.writer.turn(Duration::from_millis(millis)).unwrap()
        }

        fn positions(&self) -> (u64, u64, u64) {
            (
                self.progress.written(),
                self.progress.durable(),
                self.rings.load(Ordering::Relaxed),
            )
        }
    }

    fn kill() -> Command {
        Command::KillSwitch(KillSwitch {
            actor: Actor {
                account: AccountId::new(0),
                admin: true,
            },
            scope: KillScope::Engine,
            state: TradingState::Reducing,
            flatten: None,
            reason: Text::cut("journal error"),
            triggered_by: Text::cut("recovery"),
        })
    }

    #[test]
    fn a_waiting_client_is_served_at_once_and_others_ride_along() {
        let mut rig = rig(&SimulatedDisk::new(), Ack::Durable);
        rig.push(Command::Tick, false);
        rig.push(Command::Tick, true);
        rig.push(Command::Tick, false);
        assert_eq!(rig.turn_at(0), Turn::Worked);
        assert_eq!(rig.positions(), (3, 3, 1));
        assert_eq!(rig.turn_at(0), Turn::Idle);
    }

    #[test]
    fn entries_that_nobody_waits_for_are_written_at_once_and_synced_by_age() {
        let mut rig = rig(&SimulatedDisk::new(), Ack::Durable);
        rig.push(Command::Tick, false);
        assert_eq!(rig.turn_at(10), Turn::Worked);
        assert_eq!(rig.positions(), (1, 0, 0));
        rig.push(Command::Tick, false);
        rig.turn_at(109);
        assert_eq!(rig.positions(), (2, 0, 0));
        assert_eq!(rig.turn_at(110), Turn::Idle);
        assert_eq!(rig.positions(), (2, 2, 1));
    }

    #[test]
    fn an_answer_without_an_entry_waits_for_those_before_it() {
        let mut rig = rig(&SimulatedDisk::new(), Ack::Durable);
        rig.push(Command::Tick, false);
        rig.turn_at(0);
        rig.producer.push(JournalEntry::Sync).unwrap();
        assert_eq!(rig.turn_at(0), Turn::Worked);
        assert_eq!(rig.positions(), (1, 1, 1));
        // With nothing before it, it neither syncs nor hurries what comes later.
        rig.producer.push(JournalEntry::Sync).unwrap();
        rig.push(Command::Tick, false);
        rig.turn_at(0);
        assert_eq!(rig.positions(), (2, 1, 1));
    }

    #[test]
    fn entries_that_nobody_waits_for_are_synced_by_size() {
        let mut rig = rig(&SimulatedDisk::new(), Ack::Durable);
        let mut turns = 0;
        while rig.progress.durable() == 0 {
            for _ in 0..100 {
                rig.push(Command::HashCheck(0), false);
            }
            rig.turn_at(0);
            turns += 1;
        }
        let frame_bytes = 48;
        let expected = UNSYNCED_BYTES_MAX.div_ceil(100 * frame_bytes);
        assert_eq!(turns, expected);
        assert_eq!(rig.progress.durable(), rig.seq);
    }

    #[test]
    fn without_durable_answers_every_write_is_news() {
        let mut rig = rig(&SimulatedDisk::new(), Ack::Memory);
        rig.push(Command::Tick, false);
        rig.turn_at(0);
        assert_eq!(rig.positions(), (1, 0, 1));
    }

    #[test]
    fn the_end_of_the_ring_drains_and_syncs() {
        let disk = SimulatedDisk::new();
        let mut rig = rig(&disk, Ack::Durable);
        for _ in 0..10_000 {
            rig.push(Command::Tick, false);
        }
        drop(std::mem::replace(&mut rig.producer, rtrb::RingBuffer::new(1).0));
        let mut turns = vec![rig.turn_at(0)];
        while turns.last() != Some(&Turn::Finished) {
            turns.push(rig.turn_at(0));
        }
        assert_eq!(turns, [Turn::Worked, Turn::Worked, Turn::Worked, Turn::Finished]);
        assert!(rig.progress.is_ended() && !rig.progress.is_failed());
        let after_cut = walk(&disk.power_cut(0), Seq::new(0), |_| ControlFlow::Continue(()));
        assert_eq!(after_cut.unwrap().unwrap().last_seq, Seq::new(10_000));
    }

    #[test]
    fn a_failed_sync_is_final_and_the_next_start_knows() {
        let disk = SimulatedDisk::new();
        let mut rig = rig(&disk, Ack::Durable);
        rig.push(Command::Tick, true);
        rig.turn_at(0);
        rig.push(Command::Tick, true);
        // The write of the next turn, then its sync.
        disk.fail_at(disk.operations() + 2, Fault::Error);
        let error = rig.writer.turn(Duration::ZERO).unwrap_err();
        assert!(error.to_string().starts_with("cannot sync"), "{error}");
        assert_eq!(rig.positions(), (1, 1, 2));
        assert_eq!(rig.progress.released().load(Ordering::Relaxed), 1);
        assert!(rig.progress.is_failed());
        assert_eq!(rig.progress.failure(), Some(error.to_string().as_str()));
        drop(rig);

        // The kill switch is what the next run owes; until it is durable, the marker stays.
        let mut rig = self::rig(&disk, Ack::Durable);
        let marked = |disk: &SimulatedDisk| disk.content("failed").unwrap().iter().any(|&byte| byte != 0);
        rig.push(Command::Tick, true);
        rig.turn_at(0);
        assert!(marked(&disk));
        rig.push(kill(), false);
        rig.turn_at(0);
        assert!(marked(&disk));
        rig.turn_at(200);
        assert!(!marked(&disk.power_cut(3)));
    }

    #[test]
    fn the_thread_serves_and_ends() {
        let disk = SimulatedDisk::new();
        let Rig {
            writer,
            mut producer,
            progress,
            ..
        } = rig(&disk, Ack::Durable);
        let thread = std::thread::spawn(move || run(writer));
        for seq in 1..=20 {
            let command = Sequenced {
                seq: Seq::new(seq),
                time: Timestamp::ZERO,
                command: Command::Tick,
            };
            producer
                .push(JournalEntry::Command {
                    command,
                    urgent: true,
                })
                .unwrap();
            progress.nudge_writer();
            assert_eq!(
                progress.wait_durable_beyond(seq - 1, Duration::from_secs(60)),
                seq
            );
        }
        drop(producer);
        thread.join().unwrap().unwrap();
        assert!(progress.is_ended());
    }
}
