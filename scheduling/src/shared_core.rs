//! One core, an owner who must answer at once, and others who work there when it has nothing to do.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, Pid, gettid, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// How often the core is offered to an owner that is awake before work begins. It may be at work itself, or on another core.
const OFFERS: u32 = 3;

/// How long whoever waits for the owner lets it rest before it is fetched: more than a wake-up takes (38 to 40 µs for a whole
/// order that meets a sleeping engine), and less than what a request may take at the 99th percentile.
pub const FETCH_AFTER: Duration = Duration::from_micros(40);

/// How long an owner that was fetched stays away: about what those who take its core unannounced keep it for.
pub const AWAY_TIME: Duration = Duration::from_millis(1);

/// A core that its owner shares with others. A thread that yields gets its core back when the other gives it up, or at the
/// scheduler's next tick (4 ms at 250 Hz); one that sleeps gets it back when it is woken. So the owner yields while nobody
/// else works there, which costs whoever gives it something nothing, and sleeps while somebody does.
///
/// What a kernel thread or another program takes is not announced, and an owner that yielded to it waits until it is done or
/// for the tick. Whoever waits for the owner then fetches it to a core where it can go on ([`SharedCore::fetch`]).
///
/// The default is a core of nobody's: every call does nothing.
#[derive(Clone, Debug, Default)]
pub struct SharedCore(Option<Arc<State>>);

#[derive(Debug, Default)]
struct State {
    owner: OnceLock<Owner>,
    asleep: AtomicBool,
    /// Threads that work on the core now, the owner excepted.
    working: AtomicUsize,
    rests: Rests,
}

#[derive(Debug)]
struct Owner {
    thread: Thread,
    id: Pid,
    /// The cores that it runs on by its own choice; `None` where the system does not say.
    home: Option<CpuSet>,
}

/// What the owner writes at every turn, away from what others look at.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Rests {
    /// Rests begun and ended: odd while the owner rests.
    count: AtomicU64,
    /// It was fetched to another core.
    away: AtomicBool,
}

/// What somebody who waits for the owner has seen of its rest.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overdue {
    count: u64,
    since: Option<Instant>,
}

impl Overdue {
    /// Whether the owner has been in the rest of this `count` for [`FETCH_AFTER`], as far as was seen.
    fn is_after(&mut self, count: u64, now: Instant) -> bool {
        match self.since {
            Some(since) if self.count == count => {
                count % 2 == 1 && now.saturating_duration_since(since) >= FETCH_AFTER
            }
            _ => {
                let since = Some(now);
                *self = Overdue { count, since };
                false
            }
        }
    }
}

impl SharedCore {
    pub fn new() -> SharedCore {
        SharedCore(Some(Arc::default()))
    }

    /// The calling thread is the one that [`SharedCore::ring`] wakes. The first to say so stays it.
    pub fn own(&self) {
        if let Some(state) = &self.0 {
            let owner = Owner {
                thread: thread::current(),
                id: gettid(),
                home: sched_getaffinity(None).ok(),
            };
            state.owner.set(owner).ok();
        }
    }

    /// Has the owner give its core away by `how`, so that it is known where it does not get it back.
    pub fn rest(&self, how: impl FnOnce()) {
        let Some(state) = &self.0 else { return how() };
        let count = state.rests.count.load(Ordering::Relaxed);
        state.rests.count.store(count + 1, Ordering::Relaxed);
        how();
        state.rests.count.store(count + 2, Ordering::Relaxed);
    }

    /// Fetches the owner to the calling thread's core where something waits for it and it has not come back from one and
    /// the same rest for [`FETCH_AFTER`]: somebody whom nobody announced has its core. Call it again and again while
    /// something waits. Returns whether the owner was fetched.
    pub fn fetch(&self, overdue: &mut Overdue, now: Instant) -> bool {
        let Some(state) = &self.0 else { return false };
        let count = state.rests.count.load(Ordering::Relaxed);
        if !overdue.is_after(count, now) {
            return false;
        }
        *overdue = Overdue::default();
        let core = sched_getcpu();
        let elsewhere = |owner: &&Owner| owner.home.is_some_and(|home| !home.is_set(core));
        let Some(owner) = state.owner.get().filter(elsewhere) else {
            return false;
        };
        let mut here = CpuSet::new();
        here.set(core);
        let fetched = sched_setaffinity(Some(owner.id), &here).is_ok();
        if fetched {
            state.rests.away.store(true, Ordering::Release);
        }
        fetched
    }

    /// Sends the owner, who calls it between two turns, back to its own core once it has been away for [`AWAY_TIME`]. `since`
    /// is the owner's note of when it found itself away.
    pub fn return_home(&self, since: &mut Option<Instant>) {
        let Some(state) = &self.0 else { return };
        if !state.rests.away.load(Ordering::Acquire) {
            return;
        }
        let found = *since.get_or_insert_with(Instant::now);
        if found.elapsed() < AWAY_TIME {
            return;
        }
        *since = None;
        state.rests.away.store(false, Ordering::Relaxed);
        if let Some(home) = state.owner.get().and_then(|owner| owner.home) {
            // It may have to wait for its own core, and may then be fetched again. A core that is gone leaves it where it is.
            self.rest(|| {
                let _ = sched_setaffinity(None, &home);
            });
        }
    }

    /// Says that the calling thread works on the core until the result is dropped. For stretches without a wait in them:
    /// an owner who sleeps on an idle core is woken for nothing.
    pub fn work(&self) -> Work {
        if let Some(state) = &self.0 {
            state.working.fetch_add(1, Ordering::SeqCst);
            // An owner who was yielding learns of it when it runs, and only then goes to sleep.
            for _ in 0..OFFERS {
                if state.asleep.load(Ordering::Relaxed) {
                    break;
                }
                thread::yield_now();
            }
        }
        Work(self.0.clone())
    }

    /// Wakes the owner if it sleeps. Call it after the owner was given something: a fence where it is awake, a system call
    /// where it is not.
    pub fn ring(&self) {
        if let Some(state) = &self.0 {
            state.ring();
        }
    }

    /// Has the owner, who found nothing to do, sleep for at most `time` where somebody else works on the core. `has_work` is
    /// asked once more. Returns whether it slept.
    pub fn sleep_while_others_work(&self, time: Duration, has_work: impl FnOnce() -> bool) -> bool {
        let Some(state) = &self.0 else { return false };
        if state.working.load(Ordering::Relaxed) == 0 {
            return false;
        }
        state.asleep.store(true, Ordering::Relaxed);
        // Against the fence of `ring`: either we see what was given, or they see that we sleep.
        fence(Ordering::SeqCst);
        let sleeps = state.working.load(Ordering::Relaxed) > 0 && !has_work();
        if sleeps {
            self.rest(|| thread::park_timeout(time));
        }
        state.asleep.store(false, Ordering::Relaxed);
        sleeps
    }
}

impl State {
    fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed)
            && let Some(owner) = self.owner.get()
            && self.asleep.swap(false, Ordering::Relaxed)
        {
            owner.thread.unpark();
        }
    }
}

/// Somebody works on the core while this lives.
#[must_use]
#[derive(Debug)]
pub struct Work(Option<Arc<State>>);

impl Drop for Work {
    fn drop(&mut self) {
        if let Some(state) = &self.0
            && state.working.fetch_sub(1, Ordering::SeqCst) == 1
        {
            state.ring();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn an_owner_alone_does_not_sleep() {
        let core = SharedCore::new();
        core.own();
        assert!(!core.sleep_while_others_work(LONG, || false));
        drop(core.work());
        assert!(!core.sleep_while_others_work(LONG, || false));
        let nobodys = SharedCore::default();
        let _work = nobodys.work();
        nobodys.own();
        nobodys.ring();
        assert!(!nobodys.sleep_while_others_work(LONG, || false));
    }

    /// Seen at work or in another rest in between, it is not overdue, however long that is.
    #[test]
    fn only_one_long_rest_is_overdue() {
        let start = Instant::now();
        let (resting, next, at_work) = (7, 9, 8);
        let mut overdue = Overdue::default();
        assert!(!overdue.is_after(resting, start));
        assert!(!overdue.is_after(resting, start + FETCH_AFTER / 2));
        assert!(overdue.is_after(resting, start + FETCH_AFTER));
        assert!(!overdue.is_after(next, start + 2 * FETCH_AFTER));
        assert!(!overdue.is_after(at_work, start + 3 * FETCH_AFTER));
        assert!(!overdue.is_after(at_work, start + 9 * FETCH_AFTER));
        assert!(!overdue.is_after(next, start + 9 * FETCH_AFTER));
        assert!(overdue.is_after(next, start + 10 * FETCH_AFTER));
    }

    /// On a machine of one core there is nowhere to be fetched to.
    #[test]
    fn an_owner_is_fetched_and_goes_home() {
        let all = sched_getaffinity(None).unwrap();
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core));
        let (Some(home), Some(here)) = (cores.next(), cores.next()) else {
            return;
        };
        let only = |core| {
            let mut set = CpuSet::new();
            set.set(core);
            sched_setaffinity(None, &set).unwrap();
            set
        };
        let core = SharedCore::new();
        let (say, said) = mpsc::channel();
        let (go, going) = mpsc::channel::<()>();
        let owner = thread::spawn({
            let core = core.clone();
            move || {
                let home = only(home);
                core.own();
                core.return_home(&mut None);
                assert_eq!(sched_getaffinity(None).unwrap(), home);
                core.rest(|| {
                    say.send(()).unwrap();
                    going.recv().unwrap();
                });
                assert_ne!(sched_getaffinity(None).unwrap(), home);
                let (begun, mut since) = (Instant::now(), None);
                while sched_getaffinity(None).unwrap() != home {
                    assert!(begun.elapsed() < LONG, "the owner stays away");
                    core.return_home(&mut since);
                }
                say.send(()).unwrap();
                going.recv().unwrap();
            }
        });
        only(here);
        said.recv_timeout(LONG).unwrap();
        let (start, mut overdue) = (Instant::now(), Overdue::default());
        assert!(!core.fetch(&mut overdue, start));
        assert!(core.fetch(&mut overdue, start + FETCH_AFTER));
        go.send(()).unwrap();
        said.recv_timeout(LONG).unwrap();
        // It is at work now.
        assert!(!core.fetch(&mut overdue, start));
        assert!(!core.fetch(&mut overdue, start + FETCH_AFTER));
        go.send(()).unwrap();
        owner.join().unwrap();
    }

    #[test]
    fn what_came_before_the_sleep_is_seen() {
        let core = SharedCore::new();
        core.own();
        let _work = core.work();
        assert!(!core.sleep_while_others_work(LONG, || true));
    }

    /// Would take a minute for each ring that is lost.
    #[test]
    fn each_ring_is_heard() {
        let core = SharedCore::new();
        let (give, given) = mpsc::channel::<u32>();
        let (answer, answered) = mpsc::channel::<u32>();
        let owner = thread::spawn({
            let core = core.clone();
            move || {
                core.own();
                loop {
                    match given.try_recv() {
                        Ok(number) => answer.send(number).unwrap(),
                        Err(mpsc::TryRecvError::Disconnected) => return,
                        Err(mpsc::TryRecvError::Empty) => {
                            let mut found = None;
                            core.sleep_while_others_work(LONG, || {
                                found = given.try_recv().ok();
                                found.is_some()
                            });
                            if let Some(number) = found {
                                answer.send(number).unwrap();
                            }
                        }
                    }
                }
            }
        });
        let _work = core.work();
        for number in 0..20_000 {
            give.send(number).unwrap();
            core.ring();
            assert_eq!(answered.recv_timeout(LONG / 2), Ok(number));
        }
        drop(give);
        core.ring();
        owner.join().unwrap();
    }

    /// The owner goes back to what it does without company.
    #[test]
    fn the_last_to_finish_wakes_the_owner() {
        let core = SharedCore::new();
        let (first, second) = (core.work(), core.work());
        let (done, is_done) = mpsc::channel();
        thread::spawn({
            let core = core.clone();
            move || {
                core.own();
                while core.sleep_while_others_work(LONG, || false) {}
                done.send(()).unwrap();
            }
        });
        drop(first);
        thread::yield_now();
        drop(second);
        assert_eq!(is_done.recv_timeout(LONG / 2), Ok(()), "the owner sleeps on");
    }
}
