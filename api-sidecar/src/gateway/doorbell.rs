//! Waking the gateway: only when it sleeps, and never from the engine thread.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

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
}

impl Doorbell {
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Doorbell> {
        let inner = Inner {
            waker: Waker::new(registry, token)?,
            asleep: AtomicBool::new(false),
        };
        Ok(Doorbell {
            inner: Arc::new(inner),
        })
    }

    pub fn ring(&self) {
        // Pairs with the fence of `about_to_sleep`: either the ringer sees the flag, or the sleeper sees the work.
        fence(Ordering::SeqCst);
        if self.inner.asleep.load(Ordering::Relaxed) && self.inner.asleep.swap(false, Ordering::AcqRel) {
            // The only failure is a closed epoll: then there is nobody to wake.
            let _ = self.inner.waker.wake();
        }
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
        doorbell.ring();
        doorbell.ring();
        poll.poll(&mut events, Some(Duration::from_secs(10))).unwrap();
        assert_eq!(
            events.iter().map(|event| event.token()).collect::<Vec<_>>(),
            [Token(7)]
        );
    }
}
