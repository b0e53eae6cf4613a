//! File descriptors: shells and service managers often allow a process 1,024, which is less than the gateway's clients.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

use crate::limits::DESCRIPTORS;

/// Raises the soft limit to what a full gateway needs, as far as the hard limit permits. Says so where that is less.
pub(crate) fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let Some(wanted) = wanted(current, maximum) else {
        return;
    };
    let raised = Rlimit {
        current: Some(wanted),
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        warn!(%error, "the limit of file descriptors could not be raised");
    } else if wanted < DESCRIPTORS {
        warn!(
            wanted = DESCRIPTORS,
            permitted = wanted,
            "few file descriptors: connections beyond them are refused"
        );
    }
}

/// The new soft limit; `None` where it is high enough. `None` in either argument is no limit.
fn wanted(current: Option<u64>, maximum: Option<u64>) -> Option<u64> {
    let wanted = maximum.map_or(DESCRIPTORS, |maximum| maximum.min(DESCRIPTORS));
    current.filter(|&current| current < wanted).map(|_| wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_only_ever_rises_and_stays_below_the_hard_one() {
        for (current, maximum, expected) in [
            (Some(1_024), Some(1 << 20), Some(DESCRIPTORS)),
            (Some(1_024), None, Some(DESCRIPTORS)),
            (Some(1_024), Some(4_096), Some(4_096)),
            (Some(4_096), Some(4_096), None),
            (Some(1 << 20), Some(1 << 20), None),
            (None, None, None),
        ] {
            assert_eq!(wanted(current, maximum), expected, "{current:?} {maximum:?}");
        }
    }
}
