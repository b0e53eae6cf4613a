//! A journal on a real disk, and the projector over it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use engine::lane::JournalEntry;
use engine::{Command, Seq, Sequenced};
use persistence_writer::journal::{Disk, JournalId, Settings, SpareSegments, open};
use persistence_writer::limits::SEGMENT_BYTES_DEFAULT;
use persistence_writer::projector::{
    AlarmHook, Projector, ProjectorStatus, Source, State, StoreError, TableStore, run, to_the_end,
};
use persistence_writer::writer::{self, Writer};
use persistence_writer::{Ack, Progress};

/// Longest wait for something that must happen; only a failing test waits that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const RING: usize = 4_096;

/// A journal in a temporary directory, with its writer's thread.
pub(crate) struct Journal {
    directory: tempfile::TempDir,
    pub(crate) id: JournalId,
    entries: Option<rtrb::Producer<JournalEntry>>,
    writer: Option<JoinHandle<()>>,
    pub(crate) progress: Arc<Progress>,
    last: u64,
}

impl Journal {
    pub(crate) fn new(id: u8) -> Journal {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings {
            segment_bytes: SEGMENT_BYTES_DEFAULT / 64,
            fresh_id: JournalId::from_bytes([id; 16]),
            spares: SpareSegments::OnDemand,
        };
        let opened = open(Disk::new(directory.path()), &settings, Seq::new(0), |_| ()).unwrap();
        let id = opened.walked.journal;
        let progress = Arc::new(Progress::new(Ack::Durable, Seq::new(0), Arc::default()));
        let (entries, consumer) = rtrb::RingBuffer::new(RING);
        let writer = Writer::new(opened, consumer, Arc::clone(&progress), Box::new(|| {}));
        Journal {
            directory,
            id,
            entries: Some(entries),
            writer: Some(std::thread::spawn(move || writer::run(writer).unwrap())),
            progress,
            last: 0,
        }
    }

    pub(crate) fn of(id: u8, commands: &[Sequenced<Command>]) -> Journal {
        let mut journal = Journal::new(id);
        journal.append(commands);
        journal
    }

    /// Returns when the commands are durable.
    pub(crate) fn append(&mut self, commands: &[Sequenced<Command>]) {
        let entries = self.entries.as_mut().unwrap();
        for command in commands {
            self.last = command.seq.get();
            let mut entry = JournalEntry::Command {
                command: command.clone(),
                urgent: true,
            };
            while let Err(rtrb::PushError::Full(back)) = entries.push(entry) {
                entry = back;
                std::thread::yield_now();
            }
        }
        while self.progress.durable() < self.last {
            self.progress.wait_durable_beyond(self.last - 1, PATIENCE);
        }
    }

    /// The same in batches of four, which fill the segments sooner.
    pub(crate) fn append_in_batches(&mut self, commands: &[Sequenced<Command>]) {
        commands.chunks(4).for_each(|batch| self.append(batch));
    }

    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// What a projector reads.
    pub(crate) fn source(&self) -> Source<Disk> {
        Source {
            storage: Disk::new(self.directory.path()),
            journal: self.id,
            progress: Arc::clone(&self.progress),
            status: Arc::new(ProjectorStatus::new("test")),
        }
    }

    /// Projects to the journal's end, at the first failure an error.
    pub(crate) fn project(&self, store: impl TableStore) -> Result<(), StoreError> {
        to_the_end(Projector::new(self.source(), store)).unwrap()
    }

    /// A projector's thread, as a server runs it.
    pub(crate) fn projector(&self, store: impl TableStore + 'static) -> Running {
        self.run(Projector::new(self.source(), store))
    }

    /// The same, with somebody to tell of troubles other than a long lag.
    pub(crate) fn projector_with_alarm(&self, store: impl TableStore + 'static, alarm: AlarmHook) -> Running {
        self.run(Projector::new(self.source(), store).with_alarm(alarm, Duration::MAX))
    }

    /// The same, with snapshots of the fold in `snapshots`.
    pub(crate) fn projector_with_snapshots(
        &self,
        store: impl TableStore + 'static,
        snapshots: Disk,
    ) -> Running {
        self.run(Projector::new(self.source(), store).with_snapshots(snapshots))
    }

    fn run<T: TableStore + 'static>(&self, projector: Projector<Disk, T>) -> Running {
        let status = projector.status();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || run(projector, &stop).unwrap()
        });
        Running {
            status,
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.entries = None;
        if let Some(writer) = self.writer.take() {
            // A panic of the thread has been printed; the test fails by itself.
            let _ = writer.join();
        }
    }
}

pub(crate) struct Running {
    pub(crate) status: Arc<ProjectorStatus>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn wait_until(&self, what: &str, mut done: impl FnMut(&ProjectorStatus) -> bool) {
        const LOOK_EVERY: Duration = Duration::from_millis(2);
        // Looks are counted, not the time: who gets no core has as many as before.
        let looks = PATIENCE.as_millis() / LOOK_EVERY.as_millis();
        let seen = (0..looks).any(|_| {
            done(&self.status) || {
                std::thread::sleep(LOOK_EVERY);
                false
            }
        });
        assert!(seen, "{what}: {:?}", self.status);
    }

    /// However long it takes, as long as something is written.
    pub(crate) fn wait_for_seq(&self, seq: u64) {
        loop {
            let written = self.status.written();
            if written >= seq {
                return;
            }
            self.wait_until("the tables come nearer to the journal's end", |status| {
                status.written() != written
            });
        }
    }

    pub(crate) fn wait_for_state(&self, state: State) -> String {
        let mut reason = String::new();
        // Both at one look: a moment later the state may be another.
        self.wait_until("the projector changes its state", |status| {
            let (found, why) = status.state();
            reason = why;
            found == state
        });
        reason
    }

    pub(crate) fn stop(mut self) {
        self.stop.store(true, Ordering::Release);
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed; the test fails by itself.
            let _ = thread.join();
        }
    }
}
