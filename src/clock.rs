//! What time it is for the sequencer: the wall clock's, or one that somebody moves.
//!
//! The engine has no clock; it takes the time from its commands. So whoever sets the sequencer's clock decides how fast
//! days pass, and the journal replays the same either way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use engine::Timestamp;

#[derive(Clone, Debug, Default)]
pub enum Clock {
    #[default]
    Wall,
    Virtual(VirtualClock),
}

impl Clock {
    #[inline]
    pub fn now(&self) -> Timestamp {
        match self {
            Clock::Wall => {
                let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp::from_nanos(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
            }
            Clock::Virtual(clock) => clock.now(),
        }
    }
}

/// How time goes on while the wall clock shows less than what was already sequenced: it was set back, or the journal comes
/// from a machine whose clock was ahead.
///
/// Standing still until the wall clock has caught up would keep every deadline from coming: a dead-man switch would not fire
/// and a used-up rate would not recover. So time passes at half its speed, and the wall clock does catch up.
#[derive(Debug, Default)]
pub(crate) struct Slew {
    /// When the wall clock was first seen behind, and the time then.
    since: Option<(Instant, Timestamp)>,
}

impl Slew {
    /// The wall clock is not behind.
    #[inline]
    pub(crate) fn end(&mut self) {
        if self.since.is_some() {
            self.since = None;
        }
    }

    /// What time it is at `now` of a clock that nobody sets. `last` is the time of the last command.
    #[cold]
    pub(crate) fn time(&mut self, last: Timestamp, now: Instant) -> Timestamp {
        let (since, from) = *self.since.get_or_insert((now, last));
        let passed = now.saturating_duration_since(since) / 2;
        let passed = u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX);
        from.saturating_add_nanos(passed).max(last)
    }
}

/// A clock that stands still until it is set. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct VirtualClock(Arc<Hands>);

#[derive(Debug)]
struct Hands {
    time: AtomicU64,
    /// What the last reader was told.
    told: AtomicU64,
}

impl VirtualClock {
    pub fn at(time: Timestamp) -> VirtualClock {
        VirtualClock(Arc::new(Hands {
            time: AtomicU64::new(time.nanos()),
            told: AtomicU64::new(0),
        }))
    }

    pub fn now(&self) -> Timestamp {
        let time = self.0.time.load(Ordering::Acquire);
        self.0.told.store(time, Ordering::Release);
        Timestamp::from_nanos(time)
    }

    /// Setting it back has no effect on a sequencer, whose time never runs backwards.
    pub fn set(&self, time: Timestamp) {
        self.0.time.store(time.nanos(), Ordering::Release);
    }

    /// Whether somebody has looked since it was set to another time: what a loop that looks once a turn takes up from now on
    /// comes no earlier than that time.
    pub fn is_noticed(&self) -> bool {
        self.0.told.load(Ordering::Acquire) == self.0.time.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_virtual_clock_stands_still_and_knows_who_looked() {
        let clock = VirtualClock::at(Timestamp::from_nanos(5));
        let reader = Clock::Virtual(clock.clone());
        assert!(!clock.is_noticed());
        assert_eq!(reader.now(), Timestamp::from_nanos(5));
        assert!(clock.is_noticed());
        clock.set(Timestamp::from_nanos(9));
        assert!(!clock.is_noticed());
        assert_eq!(
            (reader.now(), reader.now()),
            (Timestamp::from_nanos(9), Timestamp::from_nanos(9))
        );
        assert!(clock.is_noticed());
    }

    #[test]
    fn time_goes_on_at_half_its_speed_while_the_wall_clock_is_behind() {
        let at = |nanos| Timestamp::from_nanos(nanos);
        let start = Instant::now();
        let mut slew = Slew::default();
        let mut after = |last, nanos| slew.time(at(last), start + Duration::from_nanos(nanos));
        assert_eq!(after(1_000, 0), at(1_000));
        assert_eq!(after(1_000, 10), at(1_005));
        assert_eq!(after(1_005, 30), at(1_015), "counted from where it began");
        assert_eq!(after(2_000, 30), at(2_000), "never behind the last command");
        slew.end();
        assert_eq!(slew.time(at(3_000), start + Duration::from_nanos(50)), at(3_000));
    }

    #[test]
    fn the_wall_clock_counts_from_1970() {
        let in_2024 = Timestamp::from_nanos(1_704_067_200_000_000_000);
        assert!(Clock::Wall.now() > in_2024);
    }
}
