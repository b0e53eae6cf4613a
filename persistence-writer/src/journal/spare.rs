//! Spare segments: files of zeros, synced, ready to become the next segment.
//!
//! Overwriting synced zeros needs no change of the file's size or extents, so a sync of the journal never waits for
//! the file system's own journal. And one spare that is always ready leaves room to stop cleanly on a full disk.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::error::{Context, JournalError};
use super::storage::{Storage, StorageFile};
use crate::limits::{RESERVE_SEGMENTS, SPACE_CHECK_INTERVAL, ZERO_FILL_CHUNK_BYTES};

const SPARE_PREFIX: &str = "spare-";

/// Where the next segment's file comes from.
pub(super) enum Spares<S: Storage> {
    /// Made when it is needed, by whoever needs it.
    Inline { storage: S, bytes: u32, made: u64 },
    /// Made ahead by a thread named `segments`.
    Helper(Helper<S>),
}

/// A spare's name and file.
pub(super) type Spare<S> = (String, <S as Storage>::File);

impl<S: Storage> Spares<S> {
    pub(super) fn inline(storage: S, bytes: u32) -> Spares<S> {
        Spares::Inline {
            storage,
            bytes,
            made: 0,
        }
    }

    /// Starts the helper thread, which also keeps `disk_low` up to date.
    pub(super) fn helper(
        storage: S,
        bytes: u32,
        disk_low: Arc<AtomicBool>,
    ) -> Result<Spares<S>, JournalError> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                ready: None,
                failed: None,
                wanted: true,
                stop: false,
            }),
            changed: Condvar::new(),
        });
        let (thread_storage, thread_shared) = (storage.clone(), Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("segments".into())
            .spawn(move || prepare_ahead(&thread_storage, bytes, &disk_low, &thread_shared))
            .context(&storage, "start the thread that prepares segments in", "")?;
        Ok(Spares::Helper(Helper {
            shared,
            thread: Some(thread),
        }))
    }

    /// A file of zeros. Waits for the helper where none is ready; fails where none can be made.
    pub(super) fn take(&mut self) -> Result<Spare<S>, JournalError> {
        match self {
            Spares::Inline { storage, bytes, made } => {
                *made += 1;
                let name = format!("{SPARE_PREFIX}{made}");
                let file = prepare(storage, &name, *bytes, || false)?;
                Ok((name, file))
            }
            Spares::Helper(helper) => helper.take(),
        }
    }
}

/// Removes spares that an earlier run left behind: how far they were filled is unknown.
pub(super) fn remove_leftovers<S: Storage>(storage: &S) -> Result<(), JournalError> {
    for name in storage.list().context(storage, "list", "")? {
        if name.starts_with(SPARE_PREFIX) {
            storage.remove(&name).context(storage, "remove", &name)?;
        }
    }
    Ok(())
}

/// Creates a synced file of zeros; `stop` is asked between chunks. On failure nothing remains of it, if possible.
fn prepare<S: Storage>(
    storage: &S,
    name: &str,
    bytes: u32,
    stop: impl Fn() -> bool,
) -> Result<S::File, JournalError> {
    let filled = storage
        .create(name)
        .and_then(|file| fill_with_zeros(&file, 0, u64::from(bytes), stop).map(|()| file))
        .and_then(|file| storage.sync_directory().map(|()| file));
    if filled.is_err() {
        // What remains is removed at the next start.
        storage.remove(name).ok();
    }
    filled.context(storage, "prepare", name)
}

/// Writes zeros from `offset` up to `end` and syncs, a chunk at a time.
pub(super) fn fill_with_zeros<F: StorageFile>(
    file: &F,
    mut offset: u64,
    end: u64,
    stop: impl Fn() -> bool,
) -> io::Result<()> {
    let zeros = vec![0; ZERO_FILL_CHUNK_BYTES];
    while offset < end {
        if stop() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let len = usize::try_from(end - offset)
            .unwrap_or(usize::MAX)
            .min(zeros.len());
        file.write_all_at(&zeros[..len], offset)?;
        file.sync_data()?;
        offset += len as u64;
    }
    Ok(())
}

struct Shared<S: Storage> {
    state: Mutex<State<S>>,
    changed: Condvar,
}

struct State<S: Storage> {
    ready: Option<Spare<S>>,
    /// Why the last attempt failed.
    failed: Option<JournalError>,
    /// An attempt is due now.
    wanted: bool,
    stop: bool,
}

impl<S: Storage> Shared<S> {
    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that prepares one spare ahead, and its state. Dropping it stops the thread.
pub(super) struct Helper<S: Storage> {
    shared: Arc<Shared<S>>,
    thread: Option<JoinHandle<()>>,
}

impl<S: Storage> Helper<S> {
    fn take(&self) -> Result<Spare<S>, JournalError> {
        let mut state = self.shared.lock();
        // An old failure may be over: ask for one more attempt before giving up.
        state.failed = None;
        state.wanted = true;
        self.shared.changed.notify_all();
        loop {
            if let Some(spare) = state.ready.take() {
                state.wanted = true;
                self.shared.changed.notify_all();
                return Ok(spare);
            }
            if let Some(error) = state.failed.take() {
                return Err(error);
            }
            state = self
                .shared
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<S: Storage> Drop for Helper<S> {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // It only fails if it panicked, which has been reported by then.
            thread.join().ok();
        }
    }
}

fn prepare_ahead<S: Storage>(storage: &S, bytes: u32, disk_low: &AtomicBool, shared: &Shared<S>) {
    let reserve = RESERVE_SEGMENTS * u64::from(bytes);
    let mut made = 0_u64;
    loop {
        let mut state = shared.lock();
        if state.stop {
            return;
        }
        if state.ready.is_none() {
            state.wanted = false;
            drop(state);
            made += 1;
            let name = format!("{SPARE_PREFIX}{made}");
            let result = prepare(storage, &name, bytes, || shared.lock().stop);
            state = shared.lock();
            if state.stop {
                // An attempt given up says nothing about the disk. What remains is removed at the next start.
                return;
            }
            match result {
                Ok(file) => {
                    state.ready = Some((name, file));
                    state.failed = None;
                }
                Err(error) => state.failed = Some(error),
            }
            shared.changed.notify_all();
        }
        // A disk that cannot say how much is free is not trusted to have any.
        let low = state.failed.is_some() || storage.free_bytes().map_or(true, |free| free < reserve);
        if disk_low.swap(low, Ordering::Relaxed) != low {
            let failure = state.failed.as_ref().map(JournalError::to_string);
            tracing::warn!(low, reserve, failure, "free space of the journal's disk");
        }
        let idle = |state: &mut State<S>| !(state.stop || state.wanted && state.ready.is_none());
        let waited = shared
            .changed
            .wait_timeout_while(state, SPACE_CHECK_INTERVAL, idle);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}
