//! The replica: folds the journal from disk into the read model, at its own pace.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::{Command, Seq, Sequenced};
use read_model::SharedReadModel;

use crate::journal::{JournalError, Position, Storage, Tailer};
use crate::limits::{REPLICA_SLICE, REPLICA_WAIT};
use crate::progress::Progress;

/// The state of the replica's thread.
pub struct Replica<S: Storage> {
    tailer: Tailer<S>,
    model: Arc<SharedReadModel>,
    progress: Arc<Progress>,
    slice: Vec<Sequenced<Command>>,
}

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
        })
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
        self.model
            .advance(|model| slice.iter().for_each(|command| model.apply(command)));
        self.slice.clear();
        Ok(true)
    }
}

impl<S: Storage> std::fmt::Debug for Replica<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica")
            .field("tailer", &self.tailer)
            .finish_non_exhaustive()
    }
}

/// The body of the `replica` thread. Returns when `stop` is set, or when the journal cannot be read.
pub fn run<S: Storage>(mut replica: Replica<S>, stop: &AtomicBool) -> Result<(), JournalError> {
    while !stop.load(Ordering::Acquire) {
        if replica.turn()? {
            continue;
        }
        let (seq, progress) = (replica.tailer.seq().get(), &replica.progress);
        if progress.wait_readable_beyond(seq, REPLICA_WAIT) <= seq && progress.is_ended() {
            // Nothing will come; only the flag is awaited.
            std::thread::sleep(REPLICA_WAIT);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use engine::lane::JournalEntry;
    use engine::{AccountDefinition, AccountId, AdjustCash, Capacity, Money, RiskLimits, Text, Timestamp};
    use read_model::ReadModel;

    use super::*;
    use crate::data_dir::DataDir;
    use crate::journal::{JournalId, Settings, SpareSegments, open};
    use crate::progress::Ack;
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
        for ack in [Ack::Durable, Ack::Memory] {
            let mut model = ReadModel::new(CAPACITY);
            let opened = open(data.journal(), &settings, Seq::new(0), |found| model.apply(found)).unwrap();
            assert_eq!(model.seq().get(), last);
            let end = opened.walked.end;
            let progress = Arc::new(Progress::new(ack, end.seq(), Arc::default()));
            let model = Arc::new(SharedReadModel::new(model));
            let (mut producer, entries) = rtrb::RingBuffer::new(4_096);
            let writer = Writer::new(opened, entries, Arc::clone(&progress), Box::new(|| {}));
            let writer = std::thread::spawn(move || writer::run(writer));
            let stop = Arc::new(AtomicBool::new(false));
            let replica =
                Replica::new(data.journal(), end, Arc::clone(&model), Arc::clone(&progress)).unwrap();
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
}
