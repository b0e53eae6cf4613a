//! The replica: folds the journal from disk into the read model, at its own pace, checks it, and takes snapshots of it.
//!
//! Whenever the journal holds a state hash, the fold compares it, and the replica then recomputes its whole state as
//! well: what a flipped bit changed is found within one check interval, even where no command has touched it.
//! A model that is not what the sequencer has is alarmed about, never saved.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::{Command, Notice, NoticeKind, Seq, Sequenced, Text};
use read_model::{Divergence, SharedReadModel};
use scheduling::SharedCore;

use crate::journal::{JournalError, Position, Storage, Tailer};
use crate::limits::{REPLICA_PACE, REPLICA_SLICE, REPLICA_WAIT, REPLICA_WORK};
use crate::progress::Progress;
use crate::snapshot::Place;
pub use snapshots::Consumed;
use snapshots::Snapshots;

mod snapshots;

/// The state of the replica's thread.
pub struct Replica<S: Storage> {
    tailer: Tailer<S>,
    model: Arc<SharedReadModel>,
    progress: Arc<Progress>,
    slice: Vec<Sequenced<Command>>,
    snapshots: Option<Snapshots>,
    alarm: AlarmHook,
    /// The model was found to differ, and that was told.
    diverged: bool,
    core: SharedCore,
}

/// Told when the model is not what the sequencer has.
pub type AlarmHook = Box<dyn FnMut(Notice) + Send>;

impl<S: Storage> Replica<S> {
    /// Goes on from `position`, up to which `model` has been folded (by the visitor of recovery, say).
    ///
    /// # Panics
    /// Where the model is somewhere else.
    pub fn new(
        storage: S,
        position: Position,
        model: Arc<SharedReadModel>,
        progress: Arc<Progress>,
    ) -> Result<Replica<S>, JournalError> {
        assert_eq!(
            model.read().seq(),
            position.seq(),
            "the model stands at the position"
        );
        Ok(Replica {
            tailer: Tailer::at(storage, position)?,
            model,
            progress,
            slice: Vec::with_capacity(REPLICA_SLICE),
            snapshots: None,
            alarm: Box::new(|_| ()),
            diverged: false,
            core: SharedCore::default(),
        })
    }

    /// Has somebody told, once, when the model is not what the sequencer has.
    #[must_use]
    pub fn with_alarm(self, alarm: AlarmHook) -> Replica<S> {
        Replica { alarm, ..self }
    }

    /// Takes snapshots into `storage` from now on; `consumed` is where the slowest consumer of the journal is.
    pub fn with_snapshots(mut self, storage: S, consumed: Consumed) -> std::io::Result<Replica<S>> {
        let progress = Arc::clone(&self.progress);
        self.snapshots = Some(Snapshots::start(storage, self.tailer.seq(), consumed, progress)?);
        Ok(self)
    }

    /// Says when it works for long on a core that somebody else owns: a fold of what came since the last is over before an
    /// owner that slept would be awake.
    #[must_use]
    pub fn with_core(self, core: SharedCore) -> Replica<S> {
        Replica { core, ..self }
    }

    /// Folds at most one slice of what is readable; returns whether there was anything.
    pub fn turn(&mut self) -> Result<bool, JournalError> {
        let limit = Seq::new(self.progress.readable());
        // Read and decoded outside of the lock, which is held for the fold alone.
        while self.slice.len() < REPLICA_SLICE
            && let Some(command) = self.tailer.next(limit)?
        {
            self.slice.push(command);
        }
        if self.slice.is_empty() {
            return Ok(false);
        }
        let slice = &self.slice;
        let work = (slice.len() >= REPLICA_WORK).then(|| self.core.work());
        self.model
            .advance(|model| slice.iter().for_each(|command| model.apply(command)));
        let checked = slice
            .iter()
            .any(|command| matches!(command.command, Command::HashCheck(_)));
        self.slice.clear();
        drop(work);
        if checked {
            self.audit();
        }
        if self
            .snapshots
            .as_ref()
            .is_some_and(|snapshots| snapshots.is_due(self.tailer.seq()))
        {
            self.take_snapshot();
        }
        Ok(true)
    }

    /// Looks at the whole state, beside the readers; the write lock is only taken for bad news.
    fn audit(&mut self) {
        let _work = self.core.work();
        if self.model.read().engine().audit().is_err() {
            self.model.advance(|model| {
                if let Err(broken) = model.audit() {
                    tracing::error!(broken, "the read model breaks an invariant of the engine");
                }
            });
        }
        self.watch_model();
    }

    /// Tells, once, when the model is not what the sequencer has: a bug or bad memory.
    fn watch_model(&mut self) {
        let found = self.model.read().history().divergence();
        let Some(Divergence {
            seq, expected, found, ..
        }) = found.filter(|_| !self.diverged)
        else {
            return;
        };
        self.diverged = true;
        let why =
            format!("the read model has hash {found:016x} where the engine had {expected:016x}, at {seq}");
        tracing::error!(why, "state_divergence");
        (self.alarm)(Notice {
            kind: NoticeKind::StateDivergence,
            reason: Text::cut(&why),
        });
    }

    /// Copies the state and hands it to the thread that writes it.
    fn take_snapshot(&mut self) {
        let _work = self.core.work();
        let (journal, chain) = self.tailer.chain();
        let place = Place {
            journal,
            seq: self.tailer.seq(),
            chain,
        };
        let model = self.model.read();
        if let Some(snapshots) = &mut self.snapshots
            && model.history().divergence().is_none()
        {
            snapshots.take(place, || model.save());
        }
    }

    /// Folds the rest and leaves a last snapshot.
    fn finish(mut self) -> Result<(), JournalError> {
        while self.turn()? {}
        let news = self
            .snapshots
            .as_ref()
            .is_some_and(|snapshots| snapshots.lacks(self.tailer.seq()));
        if news && !self.progress.is_failed() {
            self.take_snapshot();
        }
        Ok(())
    }
}

impl<S: Storage> std::fmt::Debug for Replica<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica")
            .field("tailer", &self.tailer)
            .finish_non_exhaustive()
    }
}

/// The body of the `replica` thread. Returns when `stop` is set, after a last snapshot, or when the journal cannot be
/// read.
pub fn run<S: Storage>(mut replica: Replica<S>, stop: &AtomicBool) -> Result<(), JournalError> {
    // What recovery folded may have differed already.
    replica.watch_model();
    while !stop.load(Ordering::Acquire) {
        if replica.turn()? {
            if replica.tailer.seq().get() >= replica.progress.readable() {
                std::thread::sleep(REPLICA_PACE);
            }
            continue;
        }
        let (seq, progress) = (replica.tailer.seq().get(), &replica.progress);
        if progress.wait_readable_beyond(seq, REPLICA_WAIT) <= seq && progress.is_ended() {
            // Nothing will come; only the flag is awaited.
            std::thread::sleep(REPLICA_WAIT);
        }
    }
    replica.finish()
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::time::Duration;

    use engine::lane::JournalEntry;
    use engine::{
        AccountDefinition, AccountId, Actor, AdjustCash, Capacity, Money, RiskLimits, Text, Timestamp,
    };
    use read_model::ReadModel;

    use super::*;
    use crate::data_dir::DataDir;
    use crate::journal::{JournalId, Settings, SimulatedDisk, SpareSegments, open, walk};
    use crate::progress::Ack;
    use crate::snapshot;
    use crate::writer::{self, Writer};

    const CAPACITY: Capacity = Capacity {
        accounts: 4,
        instruments: 4,
        orders: 64,
        positions: 64,
        client_order_ids: 64,
    };

    fn command(seq: u64) -> Sequenced<Command> {
        let command = match seq {
            1 => Command::DefineAccount(Box::new(AccountDefinition {
                name: Text::cut("main"),
                opening_balance: Money::from_paise(100),
                limits: RiskLimits::dashboard(),
                profile: Text::cut("dashboard"),
                venue: false,
            })),
            _ => Command::AdjustCash(AdjustCash {
                actor: Actor {
                    account: AccountId::new(0),
                    admin: true,
                },
                reason: Text::EMPTY,
                account: AccountId::new(0),
                amount: Money::from_paise(1),
            }),
        };
        Sequenced {
            seq: Seq::new(seq),
            time: Timestamp::from_nanos(1_790_000_000_000_000_000 + seq),
            command,
        }
    }

    /// Writer and replica as a server runs them, twice over one directory: the second start folds what the first
    /// wrote, and the replica goes on from there.
    #[test]
    fn the_read_model_follows_the_journal() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir::open(directory.path()).unwrap();
        let settings = Settings {
            segment_bytes: crate::limits::SEGMENT_BYTES_MIN,
            fresh_id: JournalId::from_bytes([3; 16]),
            spares: SpareSegments::OnDemand,
        };
        let mut last = 0;
        for ack in [Ack::Durable, Ack::Memory, Ack::Durable] {
            let newest = snapshot::newest(&data.snapshots(), &data.journal(), Seq::new(u64::MAX)).unwrap();
            let mut model = newest.map_or_else(|| ReadModel::new(CAPACITY), |(_, model)| model);
            assert_eq!(
                model.seq().get(),
                last,
                "the run before left a snapshot at its end"
            );
            let opened = open(data.journal(), &settings, model.seq(), |found| model.apply(found)).unwrap();
            let end = opened.walked.end;
            let progress = Arc::new(Progress::new(ack, end.seq(), Arc::default()));
            let model = Arc::new(SharedReadModel::new(model));
            let (mut producer, entries) = rtrb::RingBuffer::new(4_096);
            let writer = Writer::new(opened, entries, Arc::clone(&progress), Box::new(|| {}));
            let writer = std::thread::spawn(move || writer::run(writer));
            let stop = Arc::new(AtomicBool::new(false));
            let replica = Replica::new(data.journal(), end, Arc::clone(&model), Arc::clone(&progress))
                .unwrap()
                .with_snapshots(data.snapshots(), Box::new(|| u64::MAX))
                .unwrap();
            let replica = std::thread::spawn({
                let stop = Arc::clone(&stop);
                move || run(replica, &stop)
            });
            for _ in 0..2_000 {
                last += 1;
                let command = command(last);
                let urgent = last % 50 == 0;
                producer.push(JournalEntry::Command { command, urgent }).unwrap();
            }
            let guard = model.read_at(Seq::new(last), Duration::from_secs(60)).unwrap();
            let account = guard.engine().account(AccountId::new(0)).unwrap();
            assert_eq!(account.balance.paise(), 100 + i64::try_from(last).unwrap() - 1);
            drop(guard);
            drop(producer);
            writer.join().unwrap().unwrap();
            stop.store(true, Ordering::Release);
            replica.join().unwrap().unwrap();
        }
    }

    /// A replica whose state was changed behind its back is found at the next state hash in the journal, alarmed
    /// about, and never saved.
    #[test]
    fn a_replica_that_went_astray_is_found_at_the_next_check() {
        let disk = SimulatedDisk::new();
        let settings = Settings {
            segment_bytes: crate::limits::SEGMENT_BYTES_MIN,
            fresh_id: JournalId::from_bytes([4; 16]),
            spares: SpareSegments::OnDemand,
        };
        let mut appender = open(disk.clone(), &settings, Seq::new(0), |_| {})
            .unwrap()
            .appender;
        let mut sequencer = ReadModel::new(CAPACITY);
        for seq in 1..=20 {
            let mut command = command(seq);
            if seq % 10 == 0 {
                command.command = Command::HashCheck(sequencer.engine().state_hash());
            }
            sequencer.apply(&command);
            appender.append(&command).unwrap();
        }
        appender.sync().unwrap();
        for flip in 0..100 {
            // What a flip of a bit of the balance gives: the state after another amount of cash.
            let (flipped_bit, at) = (flip % 50, 4 + flip / 50);
            let mut model = ReadModel::new(CAPACITY);
            let mut position = None;
            for seq in 1..=at {
                let mut astray = command(seq);
                if seq == at
                    && let Command::AdjustCash(cash) = &mut astray.command
                {
                    cash.amount = Money::from_paise(cash.amount.paise() ^ (1 << flipped_bit));
                }
                model.apply(&astray);
            }
            walk(&disk, Seq::new(0), |found| {
                if found.seq.get() == at {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })
            .map(|walked| position = walked.map(|walked| walked.end))
            .unwrap();
            let progress = Arc::new(Progress::new(Ack::Durable, Seq::new(20), Arc::default()));
            let model = Arc::new(SharedReadModel::new(model));
            let snapshots = SimulatedDisk::new();
            let replica = Replica::new(disk.clone(), position.unwrap(), Arc::clone(&model), progress)
                .unwrap()
                .with_snapshots(snapshots.clone(), Box::new(|| u64::MAX))
                .unwrap();
            let (tell, told) = std::sync::mpsc::channel();
            let replica = replica.with_alarm(Box::new(move |notice| tell.send(notice).unwrap()));
            run(replica, &AtomicBool::new(true)).unwrap();
            let divergence = model.read().history().divergence().map(|found| found.seq.get());
            assert_eq!(divergence, Some(10), "bit {flipped_bit} at {at}");
            let told: Vec<_> = told.try_iter().map(|notice| notice.kind).collect();
            assert_eq!(
                told,
                [NoticeKind::StateDivergence],
                "once, though two checks differ"
            );
            assert_eq!(snapshot::list(&snapshots).unwrap(), []);
        }
    }
}
