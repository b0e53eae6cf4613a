//! A disk in memory that forgets what was not synced, and fails when it is told to.
//!
//! What survives a power cut, decided by a seed:
//!
//! - of every 512-byte sector written since its file was last synced: any of the versions it has had, or the
//!   beginning of one and the end of another (lost, kept, reordered and torn writes);
//! - of every file that grew since then: its old or its new size;
//! - of the directory: a prefix of what was done since it was last synced.
//!
//! A failed sync makes nothing durable and forgets which sectors it was for: no later sync makes up for it.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::storage::{Access, Storage, StorageFile};

const SECTOR_BYTES: usize = 512;
type Sector = [u8; SECTOR_BYTES];

/// What happens at a chosen operation. Operations are everything that changes the disk: creations, writes, syncs,
/// renames, removals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It fails, once; a write leaves a part behind.
    Error,
    /// It and every later one that needs space fails.
    NoSpace,
    /// A write writes only a part, and says so. Other operations are not affected.
    ShortWrite,
    /// It and every later one fails; a write leaves a part behind.
    PowerCut,
}

/// One directory of simulated files. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    files: Vec<Content>,
    /// Names as the running process sees them.
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    unsynced_changes: Vec<NameChange>,
    operations: u64,
    fault: Option<(u64, Fault)>,
}

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    synced_len: usize,
    /// Of each sector written since the last sync: what it held when it was last durable, and every version since.
    unsynced: BTreeMap<usize, Vec<Sector>>,
    /// The same for sectors whose sync failed.
    doubtful: BTreeMap<usize, Vec<Sector>>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
}

impl SimulatedDisk {
    pub fn new() -> SimulatedDisk {
        SimulatedDisk::default()
    }

    /// Operations so far.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Plans a fault for the operation with this number, counted from 1 over the life of the disk.
    pub fn fail_at(&self, operation: u64, fault: Fault) {
        self.lock().fault = Some((operation, fault));
    }

    /// What is on the disk after a power cut at this moment, as a new disk without faults.
    pub fn power_cut(&self, seed: u64) -> SimulatedDisk {
        let state = self.lock();
        let mut random = SplitMix64::new(seed);
        let mut names = state.synced_names.clone();
        let survivors = random.below(state.unsynced_changes.len() + 1);
        for change in &state.unsynced_changes[..survivors] {
            change.apply(&mut names);
        }
        let mut image = State::default();
        for (name, &file) in &names {
            let bytes = state.files[file].after_power_cut(&mut random);
            image.names.insert(name.clone(), image.files.len());
            image.files.push(Content {
                synced_len: bytes.len(),
                bytes,
                ..Content::default()
            });
        }
        image.synced_names = image.names.clone();
        SimulatedDisk {
            state: Arc::new(Mutex::new(image)),
        }
    }

    /// The content of a file, as the process sees it.
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.lock();
        let &file = state.names.get(name)?;
        Some(state.files[file].bytes.clone())
    }

    /// Replaces (or makes) a file behind the journal's back: damage. Not an operation.
    pub fn replace(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.lock();
        let file = state.files.len();
        state.files.push(Content {
            synced_len: bytes.len(),
            bytes,
            ..Content::default()
        });
        state.names.insert(name.into(), file);
        state.synced_names.insert(name.into(), file);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts an operation; the fault that strikes it, if any.
    fn operate(&mut self, needs_space: bool) -> Option<Fault> {
        self.operations += 1;
        let (at, fault) = self.fault?;
        let strikes = match fault {
            Fault::Error | Fault::ShortWrite => self.operations == at,
            Fault::PowerCut => self.operations >= at,
            Fault::NoSpace => self.operations >= at && needs_space,
        };
        strikes.then_some(fault)
    }

    fn change_name(&mut self, change: NameChange, needs_space: bool) -> io::Result<()> {
        match self.operate(needs_space) {
            None | Some(Fault::ShortWrite) => {
                change.apply(&mut self.names);
                self.unsynced_changes.push(change);
                Ok(())
            }
            Some(fault) => Err(error_of(fault)),
        }
    }

    fn file_of(&self, name: &str) -> io::Result<usize> {
        self.names
            .get(name)
            .copied()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn error_of(fault: Fault) -> io::Error {
    match fault {
        Fault::NoSpace => io::ErrorKind::StorageFull.into(),
        Fault::Error | Fault::ShortWrite | Fault::PowerCut => io::Error::other("simulated I/O error"),
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            NameChange::Create(name, file) => {
                names.insert(name.clone(), *file);
            }
            NameChange::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            NameChange::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl Content {
    fn sector(&self, index: usize) -> Sector {
        let mut sector = [0; SECTOR_BYTES];
        let start = (index * SECTOR_BYTES).min(self.bytes.len());
        let end = (start + SECTOR_BYTES).min(self.bytes.len());
        sector[..end - start].copy_from_slice(&self.bytes[start..end]);
        sector
    }

    fn write(&mut self, bytes: &[u8], offset: usize) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len();
        let sectors = offset / SECTOR_BYTES..=(end - 1) / SECTOR_BYTES;
        for index in sectors.clone() {
            let before = self.sector(index);
            self.unsynced.entry(index).or_insert_with(|| vec![before]);
        }
        self.bytes.resize(self.bytes.len().max(end), 0);
        self.bytes[offset..end].copy_from_slice(bytes);
        for index in sectors {
            let after = self.sector(index);
            self.unsynced.entry(index).or_default().push(after);
        }
    }

    fn sync(&mut self) {
        self.synced_len = self.bytes.len();
        for index in self.unsynced.keys() {
            self.doubtful.remove(index);
        }
        self.unsynced.clear();
    }

    fn fail_sync(&mut self) {
        for (index, versions) in std::mem::take(&mut self.unsynced) {
            self.doubtful.entry(index).or_default().extend(versions);
        }
    }

    fn after_power_cut(&self, random: &mut SplitMix64) -> Vec<u8> {
        let grown = random.below(2) == 1;
        let len = if grown { self.bytes.len() } else { self.synced_len };
        let mut image = self.bytes.clone();
        for (index, versions) in self.doubtful.iter().chain(&self.unsynced) {
            let mut sector = versions[random.below(versions.len())];
            if random.below(4) == 0 {
                let other = versions[random.below(versions.len())];
                let torn_at = random.below(SECTOR_BYTES + 1);
                sector[torn_at..].copy_from_slice(&other[torn_at..]);
            }
            let start = (index * SECTOR_BYTES).min(image.len());
            let end = (start + SECTOR_BYTES).min(image.len());
            image[start..end].copy_from_slice(&sector[..end - start]);
        }
        image.truncate(len);
        image
    }
}

/// An open simulated file.
#[derive(Debug)]
pub struct SimulatedFile {
    disk: SimulatedDisk,
    file: usize,
}

impl StorageFile for SimulatedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.lock();
        let bytes = &state.files[self.file].bytes;
        let start = usize::try_from(offset).map_or(bytes.len(), |start| start.min(bytes.len()));
        let read = buffer.len().min(bytes.len() - start);
        buffer[..read].copy_from_slice(&bytes[start..start + read]);
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let mut state = self.disk.lock();
        let grows = offset + bytes.len() > state.files[self.file].bytes.len();
        let fault = state.operate(grows);
        let content = &mut state.files[self.file];
        let part = bytes.len() / 2 + 1;
        match fault {
            None => {
                content.write(bytes, offset);
                Ok(bytes.len())
            }
            Some(Fault::ShortWrite) => {
                content.write(&bytes[..part.min(bytes.len())], offset);
                Ok(part.min(bytes.len()))
            }
            Some(fault) => {
                content.write(&bytes[..bytes.len() - part.min(bytes.len())], offset);
                Err(error_of(fault))
            }
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        let fault = state.operate(false);
        let content = &mut state.files[self.file];
        match fault {
            None | Some(Fault::ShortWrite) => {
                content.sync();
                Ok(())
            }
            Some(fault) => {
                content.fail_sync();
                Err(error_of(fault))
            }
        }
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.lock().files[self.file].bytes.len() as u64)
    }
}

impl Storage for SimulatedDisk {
    type File = SimulatedFile;

    fn create(&self, name: &str) -> io::Result<SimulatedFile> {
        let mut state = self.lock();
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = state.files.len();
        state.change_name(NameChange::Create(name.into(), file), true)?;
        state.files.push(Content::default());
        Ok(SimulatedFile {
            disk: self.clone(),
            file,
        })
    }

    fn open(&self, name: &str, _access: Access) -> io::Result<SimulatedFile> {
        let file = self.lock().file_of(name)?;
        Ok(SimulatedFile {
            disk: self.clone(),
            file,
        })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.lock().names.keys().cloned().collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.file_of(from)?;
        state.change_name(NameChange::Rename(from.into(), to.into()), false)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.file_of(name)?;
        state.change_name(NameChange::Remove(name.into()), false)
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.lock();
        match state.operate(false) {
            None | Some(Fault::ShortWrite) => {
                state.synced_names = state.names.clone();
                state.unsynced_changes.clear();
                Ok(())
            }
            Some(fault) => Err(error_of(fault)),
        }
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("/simulated").join(name)
    }
}

/// Steele, Lea and Flood's SplitMix64: enough randomness for a fault, from one word of state.
pub(crate) struct SplitMix64(u64);

impl SplitMix64 {
    pub(crate) fn new(seed: u64) -> SplitMix64 {
        SplitMix64(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap_or(0)
    }
}
