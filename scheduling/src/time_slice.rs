//! The length of a thread's turn.
#![expect(
    unsafe_code,
    reason = "no safe crate has these two system calls; what they give: tuning.md, \"Who has the core\""
)]

use std::io;
use std::mem::{self, MaybeUninit};
use std::time::Duration;

/// The shortest turn that Linux takes (`__setparam_fair`, since 6.12).
pub const TIME_SLICE: Duration = Duration::from_micros(100);

/// Gives the calling thread turns of [`TIME_SLICE`], for a thread that answers in microseconds and then waits. When it wakes,
/// it takes the core from a thread with longer turns at once, instead of after that one's turn of some milliseconds; its
/// share of the core stays the same. Policy and nice value are kept. Needs no privilege; a thread of a real-time or deadline
/// policy is left alone, and a Linux before 6.12 takes the call and ignores it.
///
/// # Errors
/// Where the kernel does not have the calls, or a sandbox refuses them.
pub fn shorten_time_slice() -> io::Result<()> {
    let mut attributes = attributes()?;
    let policy = i32::try_from(attributes.sched_policy).unwrap_or(i32::MAX);
    if matches!(policy, libc::SCHED_OTHER | libc::SCHED_BATCH) {
        attributes.sched_runtime = TIME_SLICE.subsec_nanos().into();
        // SAFETY: the kernel reads `attributes.size` bytes, which is what the structure has, and only during the call.
        let set = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
        if set != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Of the calling thread.
fn attributes() -> io::Result<libc::sched_attr> {
    let mut attributes = MaybeUninit::<libc::sched_attr>::zeroed();
    let size = mem::size_of::<libc::sched_attr>();
    // SAFETY: the kernel writes at most `size` bytes, which is what the structure has, and only during the call.
    let got = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, attributes.as_mut_ptr(), size, 0) };
    if got != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all its fields are integers, for which the zeros of the beginning are values too.
    let attributes = unsafe { attributes.assume_init() };
    debug_assert!(usize::try_from(attributes.size).is_ok_and(|written| written <= size));
    Ok(attributes)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// On every thread, whatever it was before, and on no other: the rest of its attributes stays.
    #[test]
    fn a_thread_changes_its_own_turns_and_nothing_else() {
        let before = attributes().unwrap();
        for nice in [before.sched_nice, (before.sched_nice + 1).min(19), 19] {
            thread::spawn(move || {
                let mut wanted = attributes().unwrap();
                wanted.sched_nice = nice;
                // SAFETY: as in `shorten_time_slice`.
                let set = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const wanted, 0) };
                assert_eq!(set, 0);
                for _ in 0..2 {
                    shorten_time_slice().unwrap();
                    let after = attributes().unwrap();
                    assert_eq!(
                        (after.sched_nice, after.sched_policy),
                        (nice, wanted.sched_policy)
                    );
                    // 0 before Linux 6.12.
                    assert!(
                        [0, 100_000].contains(&after.sched_runtime),
                        "{}",
                        after.sched_runtime
                    );
                }
            })
            .join()
            .unwrap();
        }
        let after = attributes().unwrap();
        assert_eq!(
            (after.sched_nice, after.sched_runtime),
            (before.sched_nice, before.sched_runtime)
        );
    }
}
