//! One core, an owner who must answer at once, and others who work there when it has nothing to do.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

/// How often the core is offered to an owner that is awake before work begins. It may be at work itself, or on another core.
const OFFERS: u32 = 3;

/// A core that its owner shares with others. A thread that yields gets its core back when the other gives it up, or at the
/// scheduler's next tick (4 ms at 250 Hz); one that sleeps gets it back when it is woken. So the owner yields while nobody
/// else works there, which costs whoever gives it something nothing, and sleeps while somebody does.
///
/// The default is a core of nobody's: every call does nothing.
#[derive(Clone, Debug, Default)]
pub struct SharedCore(Option<Arc<State>>);

#[derive(Debug, Default)]
struct State {
    owner: OnceLock<Thread>,
    asleep: AtomicBool,
    /// Threads that work on the core now, the owner excepted.
    working: AtomicUsize,
}

impl SharedCore {
    pub fn new() -> SharedCore {
        SharedCore(Some(Arc::default()))
    }

    /// The calling thread is the one that [`SharedCore::ring`] wakes. The first to say so stays it.
    pub fn own(&self) {
        if let Some(state) = &self.0 {
            state.owner.set(thread::current()).ok();
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
            thread::park_timeout(time);
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
            owner.unpark();
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
