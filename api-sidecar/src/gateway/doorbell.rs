//! Waking the gateway: only when it sleeps, and never from the engine thread.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

use mio::{Registry, Token, Waker};

/// Wakes the gateway thread if it sleeps, and costs a load otherwise. Ring it after making work for the gateway
/// visible: after advancing the released position, or setting the stop flag.
#[derive(Clone, Debug)]
pub struct Doorbell {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    waker: Waker,
    asleep: AtomicBool,
    /// Everything that the engine said up to this sequence number has been taken.
    taken: AtomicU64,
}

impl Doorbell {
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Doorbell> {
        let inner = Inner {
            waker: Waker::new(registry, token)?,
            asleep: AtomicBool::new(false),
            taken: AtomicU64::new(0),
        };
        Ok(Doorbell {
            inner: Arc::new(inner),
        })
    }

    /// As [`Doorbell::ring`], where the news are that answers up to `seq` may leave: nothing is done where the gateway
    /// has taken all of them already. A needless wake-up costs both sides some 15 µs.
    pub fn ring_for(&self, seq: u64) {
        // Pairs with the gateway's own: it says what it has taken before it says that it sleeps.
        fence(Ordering::SeqCst);
        if self.inner.taken.load(Ordering::Relaxed) < seq {
            self.ring();
        }
    }

    pub fn ring(&self) {
        // Pairs with the fence of `about_to_sleep`: either the ringer sees the flag, or the sleeper sees the work.
        fence(Ordering::SeqCst);
        if self.inner.asleep.load(Ordering::Relaxed) && self.inner.asleep.swap(false, Ordering::AcqRel) {
            // The only failure is a closed epoll: then there is nobody to wake.
            let _ = self.inner.waker.wake();
        }
    }

    /// The gateway has taken everything that the engine said about the command `seq`.
    pub(crate) fn note_taken(&self, seq: u64) {
        self.inner.taken.store(seq, Ordering::Relaxed);
    }

    /// The gateway calls this, then looks for work once more, then sleeps.
    pub(crate) fn about_to_sleep(&self) {
        self.inner.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    pub(crate) fn awake(&self) {
        self.inner.asleep.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn only_a_sleeper_is_woken() {
        let mut poll = mio::Poll::new().unwrap();
        let mut events = mio::Events::with_capacity(4);
        let doorbell = Doorbell::new(poll.registry(), Token(7)).unwrap();

        doorbell.ring();
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        assert!(events.is_empty());

        doorbell.about_to_sleep();
        doorbell.note_taken(7);
        doorbell.ring_for(7);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        assert!(events.is_empty(), "all of it was taken");
        doorbell.ring_for(8);
        doorbell.ring();
        poll.poll(&mut events, Some(Duration::from_secs(10))).unwrap();
        assert_eq!(
            events.iter().map(|event| event.token()).collect::<Vec<_>>(),
            [Token(7)]
        );
    }
}
