//! The projector: tails the journal, folds it, and writes what changed, at its own pace.
//!
//! Every batch and the watermark that says so are one transaction. After any error the watermark is read again before
//! anything else: the batch was committed, or is written again, or the tables have been replaced by others, which are
//! then followed from where they stand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use engine::{Notice, NoticeKind, Seq, Text, Timestamp};
use read_model::Divergence;
use scheduling::SharedCore;
use tracing::{error, info, warn};

use super::batch::Batch;
use super::fold::Fold;
use super::held::Held;
use super::limits::{
    BACK_OFF_MAX, BACK_OFF_MIN, BEHIND, CATCH_UP_LAG, CATCH_UP_ROWS, COMMANDS_PER_BATCH, COMMANDS_PER_YIELD,
    DRAIN_TIME, FOLD_SLICE, GATHER_TIME, IDLE_WAIT, LIVE_ROWS, RECONCILE_WAIT, REFUSALS_OVER,
    VERIFY_INTERVAL, WATERMARK_INTERVAL,
};
use super::reconcile::{self, Capture, Report, Request, Requests, Standing};
use super::snapshots::Snapshots;
use super::status::{ProjectorStatus, State};
use super::store::{Lineage, StoreError, TableStore};
use crate::journal::{self, JournalError, JournalId, Storage, Tailer};
use crate::progress::Progress;

/// Where the projector reads from, and whom it tells.
#[derive(Debug)]
pub struct Source<S: Storage> {
    pub storage: S,
    pub journal: JournalId,
    pub progress: Arc<Progress>,
    pub status: Arc<ProjectorStatus>,
}

/// Told of each trouble with the tables, when it begins.
pub type AlarmHook = Box<dyn FnMut(Notice) + Send>;

/// The state of the projector's thread.
pub struct Projector<S: Storage, T: TableStore> {
    source: Source<S>,
    store: T,
    claimed: bool,
    following: Option<Following<S>>,
    /// Taken from the fold, and not known to be committed.
    unwritten: Option<Arc<Batch>>,
    /// The tables stand here.
    watermark: u64,
    /// And hold this.
    held: Held,
    /// Whether they have been asked for those since they were claimed.
    checked: bool,
    watermark_written: Instant,
    verified: Instant,
    back_off: Duration,
    /// Nothing will be written any more.
    halted: bool,
    alarm: AlarmHook,
    /// Lag from which the tables count as behind.
    behind_after: Duration,
    /// When rows were last refused.
    refused_rows: Option<Instant>,
    /// The fold was found to differ, and that was told.
    diverged: bool,
    behind: bool,
    requests: Option<Requests>,
    /// Waits for the tables to be up to date.
    request: Option<Request>,
    snapshots: Option<Snapshots<S>>,
    core: SharedCore,
}

/// The fold and its place in the journal.
struct Following<S: Storage> {
    fold: Fold,
    tailer: Tailer<S>,
    /// The tables hold everything up to here from before.
    from: u64,
}

/// What a step came to.
enum Step {
    Again,
    /// Nothing to do for now.
    Idle,
    /// Try again after a pause.
    Failed,
}

impl<S: Storage, T: TableStore> Projector<S, T> {
    pub fn new(source: Source<S>, store: T) -> Projector<S, T> {
        Projector {
            source,
            store,
            claimed: false,
            following: None,
            unwritten: None,
            watermark: 0,
            held: Held::default(),
            checked: false,
            watermark_written: Instant::now(),
            verified: Instant::now(),
            back_off: BACK_OFF_MIN,
            halted: false,
            alarm: Box::new(|_| ()),
            behind_after: BEHIND,
            refused_rows: None,
            diverged: false,
            behind: false,
            requests: None,
            request: None,
            snapshots: None,
            core: SharedCore::default(),
        }
    }

    /// Says when it works on a core that somebody else owns.
    pub fn with_core(self, core: SharedCore) -> Projector<S, T> {
        Projector { core, ..self }
    }

    /// Takes snapshots of the fold into `storage`, and starts from the newest that the tables and the journal allow.
    pub fn with_snapshots(self, storage: S) -> Projector<S, T> {
        Projector {
            snapshots: Some(Snapshots::new(storage)),
            ..self
        }
    }

    /// Has reconciliations asked for.
    pub fn with_requests(self, requests: Requests) -> Projector<S, T> {
        let requests = Some(requests);
        Projector { requests, ..self }
    }

    /// Has somebody told when the tables fall behind by `behind_after` or are given up, when the database refuses rows,
    /// and when the fold is not what the sequencer has.
    pub fn with_alarm(self, alarm: AlarmHook, behind_after: Duration) -> Projector<S, T> {
        Projector {
            alarm,
            behind_after,
            ..self
        }
    }

    /// What its thread writes, and any may read.
    pub fn status(&self) -> Arc<ProjectorStatus> {
        Arc::clone(&self.source.status)
    }

    fn durable(&self) -> u64 {
        self.source.progress.durable()
    }

    /// Whether the tables, watermark included, stand at the journal's end.
    fn is_up_to_date(&self) -> bool {
        self.claimed && self.checked && self.unwritten.is_none() && self.watermark == self.durable()
    }

    fn step(&mut self) -> Result<Step, JournalError> {
        if self.halted {
            return Ok(Step::Idle);
        }
        // All of a step: looking at the tables and freeing what was written take the core as well.
        let _work = self.store.writes_itself().then(|| self.core.work());
        let stepped = match &mut self.following {
            Some(following) if self.claimed && following.fold.seq() < following.from => {
                following.fold_slice(following.from, usize::MAX)?;
                if following.fold.seq() == following.from {
                    self.held = following.fold.held();
                }
                Ok(Step::Again)
            }
            Some(_) if self.claimed => {
                if !self.checked {
                    self.check_tables()?
                } else if let Some(batch) = self.unwritten.take() {
                    self.write(batch)?
                } else {
                    self.follow()?
                }
            }
            _ => self.claim()?,
        };
        Ok(stepped.unwrap_or_else(|error| self.fail(&error)))
    }

    /// Takes the tables over, and finds out what they hold.
    fn claim(&mut self) -> Result<Result<Step, StoreError>, JournalError> {
        let durable = self.durable();
        let storage = self.source.storage.clone();
        let lineage = Lineage {
            journal: self.source.journal,
            last: durable,
            chain_at: Box::new(move |seq| {
                let found = journal::chain_at(&storage, Seq::new(seq))?;
                Ok(found.map(|(_, chain)| chain))
            }),
        };
        let seq = match self.store.claim(lineage) {
            Ok(seq) => seq,
            Err(error) => return Ok(Err(error)),
        };
        self.claimed = true;
        self.checked = false;
        self.watermark = seq;
        self.watermark_written = Instant::now();
        match &self.unwritten {
            // Committed after all.
            Some(batch) if batch.to == seq => {
                self.held = batch.held;
                self.unwritten = None;
            }
            Some(batch) if batch.after == seq => {}
            Some(_) => self.following = None,
            None if self
                .following
                .as_ref()
                .is_some_and(|following| following.base() == seq) => {}
            None => self.following = None,
        }
        if self.following.is_none() {
            self.unwritten = None;
            if let Err(error) = self.start_at(seq)? {
                return Ok(Err(error));
            }
        }
        info!(backend = self.store.backend(), seq, durable, "tables taken over");
        Ok(Ok(Step::Again))
    }

    /// Begins to fold for tables that stand at `seq`: from a snapshot, else from the journal's beginning. Refuses tables
    /// that stand below where a pruned journal begins.
    fn start_at(&mut self, seq: u64) -> Result<Result<(), StoreError>, JournalError> {
        let storage = &self.source.storage;
        let snapshots = self.snapshots.as_mut();
        let fold = snapshots.and_then(|snapshots| snapshots.newest(storage, seq));
        let fold = fold.unwrap_or_else(|| Fold::new(seq));
        let tailer = match Tailer::after(storage.clone(), Seq::new(fold.seq())) {
            Ok(tailer) => tailer,
            Err(JournalError::Pruned { floor, .. }) => return Ok(Err(below_the_floor(seq, floor))),
            Err(error) => return Err(error),
        };
        self.held = if fold.seq() == seq {
            fold.held()
        } else {
            Held::default()
        };
        self.following = Some(Following {
            fold,
            tailer,
            from: seq,
        });
        self.source.status.stands_at(seq, None);
        self.enter(State::Starting, "");
        Ok(Ok(()))
    }

    /// Folds a slice, and takes a batch when one is due.
    fn follow(&mut self) -> Result<Result<Step, StoreError>, JournalError> {
        let work = self.core.work();
        let durable = self.durable();
        let watermark_due = self.watermark_written.elapsed() >= WATERMARK_INTERVAL || self.ends();
        let Some(following) = &mut self.following else {
            return Ok(Ok(Step::Again));
        };
        let behind = durable.saturating_sub(following.fold.seq()) > CATCH_UP_LAG;
        let rows = if behind { CATCH_UP_ROWS } else { LIVE_ROWS };
        let more = following.fold_slice(durable, rows)?;
        let fold = &mut following.fold;
        let full = fold.pending_rows() >= rows || fold.pending_commands() >= COMMANDS_PER_BATCH;
        let waits = fold.pending_rows() > 0;
        if full || (!more && (waits || (watermark_due && fold.pending_commands() > 0))) {
            let batch = Arc::new(following.take_batch());
            drop(work);
            return self.write(batch);
        }
        drop(work);
        let seq = fold.seq();
        if !waits {
            // What was folded changed no row: the tables are as good as up to date.
            self.source.status.stands_at(seq, None);
            if !more {
                self.enter(State::Live, "");
                if self.verified.elapsed() >= VERIFY_INTERVAL {
                    return Ok(self.verify());
                }
            }
        }
        Ok(Ok(if more { Step::Again } else { Step::Idle }))
    }

    /// Nobody may have touched the tables while there was nothing to write.
    fn verify(&mut self) -> Result<Step, StoreError> {
        self.store.verify(self.watermark)?;
        self.verified = Instant::now();
        // Whether the rows are there is asked next.
        self.checked = false;
        Ok(Step::Again)
    }

    /// Whether the journal's writer has finished, so that the watermark need not wait for more.
    fn ends(&self) -> bool {
        self.source.progress.is_ended()
    }

    /// Tables that were emptied while their watermark stayed are filled again from the beginning.
    fn check_tables(&mut self) -> Result<Result<Step, StoreError>, JournalError> {
        match self.store.holds(&self.held) {
            Ok(true) => self.checked = true,
            Ok(false) => {
                if let Some(floor) = journal::floor(&self.source.storage)? {
                    return Ok(Err(emptied_below_the_floor(floor.first_seq)));
                }
                warn!("the tables have lost rows that they held: writing everything again");
                if let Err(error) = self.store.rewind() {
                    return Ok(Err(error));
                }
                self.watermark = 0;
                self.unwritten = None;
                if let Err(error) = self.start_at(0)? {
                    return Ok(Err(error));
                }
            }
            Err(error) => return Ok(Err(error)),
        }
        Ok(Ok(Step::Again))
    }

    fn write(&mut self, batch: Arc<Batch>) -> Result<Result<Step, StoreError>, JournalError> {
        self.source.status.stands_at(batch.after, Some(batch.first_time));
        let written = match self.store.write(&batch, &self.held) {
            Ok(written) => written,
            Err(error) => {
                self.unwritten = Some(batch);
                return Ok(Err(error));
            }
        };
        self.held = batch.held;
        self.watermark = batch.to;
        self.watermark_written = Instant::now();
        self.back_off = BACK_OFF_MIN;
        self.source.status.count(&written);
        let lag = self.durable().saturating_sub(batch.to);
        // What follows is about as old as what was just written.
        self.source
            .status
            .stands_at(batch.to, (lag > 0).then_some(batch.first_time));
        if let Some(batch) = Arc::into_inner(batch) {
            let _work = self.core.work();
            batch.free();
        }
        if written.dead_letters > 0 {
            warn!(
                rows = written.dead_letters,
                "the database refused rows: see dead_letter"
            );
            let before = self.refused_rows.replace(Instant::now());
            if before.is_none_or(|before| before.elapsed() >= REFUSALS_OVER) {
                self.tell(
                    NoticeKind::DeadLetter,
                    "see the table dead_letter for which and why",
                );
            }
        }
        if written.conflicts > 0 {
            error!(
                rows = written.conflicts,
                "rows that never change stood there otherwise: see dead_letter"
            );
            let why = format!(
                "{} rows stood there otherwise, see dead_letter",
                written.conflicts
            );
            self.tell(NoticeKind::TableConflict, &why);
        }
        let state = if lag > CATCH_UP_LAG {
            State::CatchingUp
        } else {
            State::Live
        };
        self.enter(state, "");
        if self
            .snapshots
            .as_ref()
            .is_some_and(|snapshots| snapshots.is_due(self.watermark))
        {
            self.take_snapshot();
        }
        Ok(Ok(Step::Again))
    }

    /// Where all that was folded is committed.
    fn take_snapshot(&mut self) {
        if let (Some(snapshots), Some(following)) = (&mut self.snapshots, &self.following)
            && self.unwritten.is_none()
            && self.watermark == following.fold.seq()
        {
            snapshots.take(&following.fold, &following.tailer);
        }
    }

    fn fail(&mut self, error: &StoreError) -> Step {
        self.store.disconnect();
        self.claimed = false;
        let reason = error.to_string();
        match error {
            StoreError::Moved => return Step::Again,
            StoreError::Unavailable(_) | StoreError::Damaged(_) => {
                self.enter(State::Unavailable, &reason);
                return Step::Failed;
            }
            StoreError::Refused(_) => self.enter(State::Refused, &reason),
            StoreError::Fenced { .. } => self.enter(State::Fenced, &reason),
        }
        self.halted = true;
        Step::Idle
    }

    fn enter(&self, state: State, reason: &str) {
        if !self.source.status.enter(state, reason) {
            return;
        }
        let (backend, seq) = (self.store.backend(), self.watermark);
        match state {
            State::Starting | State::CatchingUp | State::Live => {
                info!(backend, seq, state = state.as_str(), "tables");
            }
            State::Unavailable => warn!(backend, seq, reason, "the tables cannot be written; trying again"),
            State::Refused | State::Fenced => {
                error!(
                    backend,
                    seq,
                    reason,
                    state = state.as_str(),
                    "the tables are not written any more"
                );
            }
        }
    }

    /// Whether the journal's end is a few batches away, at most.
    fn is_near_the_end(&self) -> bool {
        let ready = self.claimed && self.checked && self.unwritten.is_none();
        let near = |following: &Following<S>| {
            let seq = following.fold.seq();
            seq >= following.from && self.durable().saturating_sub(seq) <= CATCH_UP_LAG
        };
        ready && self.following.as_ref().is_some_and(near)
    }

    /// Does one reconciliation, if somebody asks.
    fn answer_requests(&mut self) -> Result<(), JournalError> {
        let asked = || self.requests.as_ref().and_then(|asked| asked.0.try_recv().ok());
        let Some(request) = self.request.take().or_else(asked) else {
            return Ok(());
        };
        if !self.is_near_the_end() && !self.halted && Instant::now() < request.until {
            self.request = Some(request);
            return Ok(());
        }
        let report = self.reconcile(request.capture)?.map_err(|why| {
            let (state, reason) = self.source.status.state();
            match reason.as_str() {
                "" => format!("{why} (the tables are {})", state.as_str()),
                reason => format!("{why} (the tables are {}: {reason})", state.as_str()),
            }
        });
        // Whoever asked may have given up.
        let _ = request.reply.send(report);
        Ok(())
    }

    fn reconcile(&mut self, capture: Capture) -> Result<Result<Report, String>, JournalError> {
        let _work = self.store.writes_itself().then(|| self.core.work());
        let behind = "the tables are not up to date, so there is nothing to compare";
        let near = self.is_near_the_end();
        let Some(following) = self.following.as_mut().filter(|_| near) else {
            return Ok(Err(behind.to_owned()));
        };
        let Some(model) = capture(following.fold.seq()) else {
            return Ok(Err("the read model has not caught up".to_owned()));
        };
        let end = self
            .source
            .progress
            .wait_durable_beyond(model.seq.saturating_sub(1), RECONCILE_WAIT);
        if end < model.seq {
            return Ok(Err("the journal is not durable up to the read model".to_owned()));
        }
        while following.fold_slice(model.seq, usize::MAX)? {}
        if following.fold.pending_commands() > 0 {
            let batch = Arc::new(following.take_batch());
            if let Err(error) = self.write(batch)? {
                self.fail(&error);
                return Ok(Err(behind.to_owned()));
            }
        }
        Ok(self.compare(&model).map_err(|error| {
            self.fail(&error);
            behind.to_owned()
        }))
    }

    /// All sides stand at the same command now.
    fn compare(&mut self, model: &Standing) -> Result<Report, StoreError> {
        let Some(following) = &self.following else {
            return Err(StoreError::Moved);
        };
        let engine = Standing::of(following.fold.engine(), following.fold.history());
        let (tables, volume) = reconcile::read_tables(&mut self.store, engine.day)?;
        let mut differences = reconcile::compare(&engine, model, "read_model");
        differences.extend(reconcile::compare(&engine, &tables, "tables"));
        let report = Report::new(&engine, volume, following.fold.volume(), differences);
        reconcile::log(&mut self.store, &report, now())?;
        Ok(report)
    }

    /// Tells when the tables fall behind, and again only after they have caught up.
    fn watch_lag(&mut self) {
        let status = &self.source.status;
        if status.written() < self.durable() {
            // Nobody may have come to fold what waits, as while the database is away.
            status.waits_since(now());
        }
        let late = status.lag(now()).is_some_and(|lag| lag >= self.behind_after);
        if !late && !self.halted {
            self.behind &= status.pending_since().is_some();
            return;
        }
        if !self.behind {
            self.behind = true;
            let (state, reason) = status.state();
            let lag = self.source.progress.durable().saturating_sub(status.written());
            let why = match reason.as_str() {
                "" => format!("{} commands behind ({})", lag, state.as_str()),
                reason => format!("{} commands behind ({}): {reason}", lag, state.as_str()),
            };
            warn!(backend = self.store.backend(), why, "database_behind");
            self.tell(NoticeKind::DatabaseBehind, &why);
        }
    }

    /// Tells, once, when the fold is not what the sequencer has.
    fn watch_fold(&mut self) {
        let found = self
            .following
            .as_ref()
            .and_then(|following| following.fold.history().divergence());
        let Some(Divergence {
            seq, expected, found, ..
        }) = found.filter(|_| !self.diverged)
        else {
            return;
        };
        self.diverged = true;
        let why = format!(
            "the fold of the tables has hash {found:016x} where the engine had {expected:016x}, at {seq}"
        );
        error!(why, "state_divergence");
        self.tell(NoticeKind::StateDivergence, &why);
    }

    fn tell(&mut self, kind: NoticeKind, reason: &str) {
        let reason = Text::cut(reason);
        (self.alarm)(Notice { kind, reason });
    }

    fn pause(&mut self, step: &Step, stop: &AtomicBool) {
        match step {
            Step::Again => {}
            Step::Idle => {
                let seq = self
                    .following
                    .as_ref()
                    .map_or(0, |following| following.fold.seq());
                if self.halted || self.ends() {
                    std::thread::sleep(IDLE_WAIT);
                } else {
                    let durable = self.source.progress.wait_durable_beyond(seq, IDLE_WAIT);
                    if durable > seq {
                        // A commit for every sync of the journal would take the processor from those who answer.
                        let since = self.watermark_written.elapsed();
                        std::thread::sleep(GATHER_TIME.saturating_sub(since));
                    }
                }
            }
            Step::Failed => {
                let until = Instant::now() + self.back_off;
                while Instant::now() < until && !stop.load(Ordering::Acquire) {
                    std::thread::sleep(IDLE_WAIT.min(self.back_off));
                }
                self.back_off = (self.back_off * 2).min(BACK_OFF_MAX);
            }
        }
    }
}

impl<S: Storage> Following<S> {
    /// Where the tables stand according to this fold.
    fn base(&self) -> u64 {
        self.from
            .max(self.fold.seq().saturating_sub(self.fold.pending_commands()))
    }

    /// The rows of what was folded, with their end's place in the hash chain.
    fn take_batch(&mut self) -> Batch {
        let mut batch = self.fold.take_batch();
        batch.chain = (self.tailer.seq().get() == batch.to).then(|| self.tailer.chain().1);
        batch
    }

    /// Folds until `limit`, or until so many rows wait, but at most a slice. Returns whether there is more to fold.
    fn fold_slice(&mut self, limit: u64, rows: usize) -> Result<bool, JournalError> {
        let end = self.fold.seq().saturating_add(FOLD_SLICE);
        while self.fold.seq() < end && self.fold.pending_rows() < rows {
            match self.tailer.next(Seq::new(limit))? {
                Some(command) => self.fold.apply(&command),
                None => return Ok(false),
            }
            if rows <= LIVE_ROWS && self.fold.seq().is_multiple_of(COMMANDS_PER_YIELD) {
                std::thread::yield_now();
            }
        }
        Ok(self.fold.seq() < limit)
    }
}

fn below_the_floor(seq: u64, floor: Seq) -> StoreError {
    StoreError::Refused(format!(
        "the tables stand at command {seq}, and the journal was pruned and begins at {floor}, without a snapshot that \
         the tables could go on from: restore a newer backup of the database"
    ))
}

fn emptied_below_the_floor(floor: Seq) -> StoreError {
    StoreError::Refused(format!(
        "the tables have lost rows that they held, and cannot be written again, because the journal was pruned and \
         begins at {floor}: restore a backup of the database"
    ))
}

/// The body of the `projector` thread. Returns when `stop` is set and the tables are up to date, or are not within
/// [`DRAIN_TIME`], or cannot be; or when the journal cannot be read.
pub fn run<S: Storage, T: TableStore>(
    mut projector: Projector<S, T>,
    stop: &AtomicBool,
) -> Result<(), JournalError> {
    let mut stopping: Option<Instant> = None;
    loop {
        let step = projector.step()?;
        projector.watch_lag();
        projector.watch_fold();
        projector.answer_requests()?;
        if stop.load(Ordering::Acquire) {
            let since = *stopping.get_or_insert_with(Instant::now);
            let hopeless = projector.halted || matches!(step, Step::Failed);
            if hopeless || projector.is_up_to_date() || since.elapsed() > DRAIN_TIME {
                projector.take_snapshot();
                return Ok(());
            }
        }
        projector.pause(&step, stop);
    }
}

/// Removes the rows that came from a journal, and writes them again from this one until its end. For a command, not
/// for a server: whoever calls owns the data directory.
pub fn rebuild<S: Storage, T: TableStore>(
    mut projector: Projector<S, T>,
) -> Result<Result<(), StoreError>, JournalError> {
    if let Err(error) = projector.store.clear() {
        return Ok(Err(error));
    }
    to_the_end(projector)
}

/// Writes until the journal's end. The first failure ends it.
pub fn to_the_end<S: Storage, T: TableStore>(
    mut projector: Projector<S, T>,
) -> Result<Result<(), StoreError>, JournalError> {
    loop {
        let step = projector.step()?;
        let (state, reason) = projector.source.status.state();
        match step {
            Step::Failed => return Ok(Err(StoreError::Unavailable(reason))),
            Step::Idle if state == State::Refused || state == State::Fenced => {
                return Ok(Err(StoreError::Refused(reason)));
            }
            _ if projector.is_up_to_date() => return Ok(Ok(())),
            step => projector.pause(&step, &AtomicBool::new(false)),
        }
    }
}

/// The wall clock, by which commands are stamped.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let nanos = since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
    Timestamp::from_nanos(nanos)
}

impl<S: Storage, T: TableStore> std::fmt::Debug for Projector<S, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Projector")
            .field("backend", &self.store.backend())
            .field("watermark", &self.watermark)
            .finish_non_exhaustive()
    }
}
