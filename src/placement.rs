//! Which core a thread runs on.
//!
//! On two cores the scheduler may put engine and gateway on the same one for seconds, and then every request waits for a switch
//! from one to the other and back. Kept apart they hand over through memory (figures: `tuning.md`, "Who has the core").

use scheduling::SharedCore;
use tracing::warn;

use crate::config::Wait;

/// The cores of threads that are kept on one; `None` leaves a thread to the scheduler.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Placement {
    pub engine: Option<usize>,
    pub gateway: Option<usize>,
    /// What only follows: replica, projector, figures, paper market. Threads that answer reads are never kept anywhere.
    pub followers: Option<usize>,
}

impl Placement {
    /// Where nobody says anything: on two cores, with an engine that gives its core away when it has nothing to do, the
    /// gateway has the first and everything that follows shares the other with the engine.
    pub fn standard(wait: Wait, cores: &[usize]) -> Placement {
        match (wait, cores) {
            (Wait::Yield, &[first, last]) => Placement {
                engine: Some(last),
                gateway: Some(first),
                followers: Some(last),
            },
            _ => Placement::default(),
        }
    }

    /// What the engine shares its core through; nobody's where nothing follows on the same one.
    pub fn engine_core(&self) -> SharedCore {
        let shares = self.engine.is_some() && self.engine == self.followers;
        if shares {
            SharedCore::new()
        } else {
            SharedCore::default()
        }
    }

    /// Whether gateway and engine certainly do not share a core.
    pub fn is_apart(&self) -> bool {
        self.engine
            .zip(self.gateway)
            .is_some_and(|(engine, gateway)| engine != gateway)
    }
}

/// Keeps the calling thread, and those that it starts, on a core.
pub(crate) fn stay_on(core: Option<usize>) {
    if let Some(id) = core
        && !core_affinity::set_for_current(core_affinity::CoreId { id })
    {
        let thread = std::thread::current();
        warn!(
            core = id,
            thread = thread.name(),
            "the thread could not be pinned"
        );
    }
}

/// Has the calling thread take its core at once when it is woken.
pub(crate) fn take_short_turns() {
    if let Err(error) = scheduling::shorten_time_slice() {
        let thread = std::thread::current();
        warn!(%error, thread = thread.name(), "the thread's turns cannot be shortened");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_cores_that_are_shared_are_divided() {
        let divided = Placement {
            engine: Some(3),
            gateway: Some(1),
            followers: Some(3),
        };
        assert_eq!(Placement::standard(Wait::Yield, &[1, 3]), divided);
        assert!(divided.is_apart());
        for (wait, cores) in [
            (Wait::Yield, &[0][..]),
            (Wait::Yield, &[0, 1, 2]),
            (Wait::Park, &[0, 1]),
            (Wait::BusySpin, &[0, 1]),
        ] {
            let placement = Placement::standard(wait, cores);
            assert_eq!(placement, Placement::default(), "{wait:?} {cores:?}");
            assert!(!placement.is_apart());
        }
        let together = Placement {
            gateway: Some(3),
            ..divided
        };
        assert!(!together.is_apart());
    }
}
