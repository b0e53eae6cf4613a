//! Power cuts, operations that fail, and starts that fail after them.

use super::*;

/// Appends, writes and syncs at random from record `last + 1` until the disk fails or `records` are in. Returns the
/// last record appended.
fn drive(
    appender: &mut Appender<SimulatedDisk>,
    mut last: u64,
    records: u64,
    random: &mut SplitMix64,
) -> u64 {
    for _ in 0..records {
        if appender.append(&sample(last + 1)).is_err() {
            return last + 1;
        }
        last += 1;
        let done = match random.below(6) {
            0 | 1 => appender.write(),
            2 => appender.sync(),
            _ => Ok(()),
        };
        if done.is_err() {
            break;
        }
    }
    last
}

/// Power cuts at random operations, in normal work and in recovery itself, six to a seed (`POWER_CUT_SEEDS`): whatever was durable is there, nothing
/// that was never appended is, and the journal goes on.
#[test]
fn power_cuts_lose_nothing_durable() {
    for seed in 0..number_in("POWER_CUT_SEEDS", 400) {
        let mut random = SplitMix64::new(seed);
        let mut disk = SimulatedDisk::new();
        let (mut durable, mut appended) = (0, 0);
        for cut in 0..6 {
            disk.fail_at(disk.operations() + 1 + random.next() % 60, Fault::PowerCut);
            match try_open(&disk) {
                Ok((found, mut opened)) => {
                    assert!(
                        (durable..=appended).contains(&found),
                        "seed {seed}, cut {cut}: {found} of {durable}..={appended}"
                    );
                    appended = drive(&mut opened.appender, found, 120, &mut random);
                    durable = opened.appender.durable().get();
                }
                Err(JournalError::Io { .. }) => {}
                Err(error) => panic!("seed {seed}, cut {cut}: {error}"),
            }
            disk = disk.power_cut(random.next());
        }
        let (found, _) = try_open(&disk).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert!((durable..=appended).contains(&found), "seed {seed}");
    }
}

/// The N-th operation fails, for every N of a run of `FAULT_RECORDS` records: nothing is acknowledged after it, and the next start finds
/// everything that was acknowledged before, even if the power goes right after that start.
#[test]
fn a_failed_operation_is_the_last() {
    let records = number_in("FAULT_RECORDS", 150);
    let run = |disk: &SimulatedDisk| {
        let (found, mut opened) = try_open(disk)?;
        let mut random = SplitMix64::new(11);
        drive(&mut opened.appender, found, records, &mut random);
        let durable = opened.appender.durable();
        if opened.appender.is_failed() {
            let again = opened.appender.sync().unwrap_err();
            assert!(matches!(again, JournalError::Failed), "{again}");
            assert_eq!(opened.appender.durable(), durable);
            // The marker may be what cannot be written.
            opened.marker.record("a test").ok();
        }
        Ok::<_, JournalError>((durable.get(), opened.appender.is_failed()))
    };
    let clean = SimulatedDisk::new();
    let (complete, _) = run(&clean).unwrap();
    println!("three faults at each of {} operations", clean.operations());
    for fault in [Fault::Error, Fault::NoSpace, Fault::ShortWrite] {
        for operation in 1..=clean.operations() {
            let disk = SimulatedDisk::new();
            disk.fail_at(operation, fault);
            let (durable, failed) = run(&disk).unwrap_or((0, true));
            if fault == Fault::ShortWrite {
                assert_eq!((durable, failed), (complete, false), "{operation}");
            }
            disk.fail_at(u64::MAX, fault);
            let (found, opened) =
                try_open(&disk).unwrap_or_else(|error| panic!("{fault:?} at {operation}: {error}"));
            assert!(found >= durable, "{fault:?} at {operation}");
            let marked = opened.previous_failure.is_some();
            assert!(!marked || failed, "{fault:?} at {operation}");
            let (after_cut, _) = try_open(&disk.power_cut(operation)).unwrap();
            assert!(
                after_cut >= found,
                "{fault:?} at {operation}: {after_cut} of {found}"
            );
        }
    }
}

/// A process is killed with a batch that was written and not synced, or that is torn, and the N-th operation of the next
/// start fails. The start after that makes durable what it finds: the kernel will not say twice that a sync failed.
#[test]
fn a_start_that_fails_leaves_the_next_one_nothing_to_lose() {
    let killed = |seed, torn| {
        let disk = SimulatedDisk::new();
        let (found, mut opened) = try_open(&disk).unwrap();
        let mut random = SplitMix64::new(seed);
        let last = drive(&mut opened.appender, found, 40, &mut random);
        for seq in last + 1..last + 10 {
            opened.appender.append(&sample(seq)).unwrap();
        }
        opened.appender.write().unwrap();
        let written = opened.appender.written().get();
        (if torn { disk.power_cut(seed) } else { disk }, written)
    };
    for (seed, torn) in [(3, false), (4, true), (5, false), (6, true)] {
        let start = |operation| {
            let (disk, written) = killed(seed, torn);
            let before = disk.operations();
            disk.fail_at(before + operation, Fault::Error);
            let failed = try_open(&disk).is_err();
            let operations = disk.operations() - before;
            disk.fail_at(u64::MAX, Fault::Error);
            (disk, written, failed, operations)
        };
        let (.., operations) = start(u64::MAX / 2);
        for operation in 1..=operations {
            let (disk, written, failed, _) = start(operation);
            let (found, mut opened) = try_open(&disk).unwrap();
            assert!(torn || found == written, "{operation}: {found}");
            assert!(failed || opened.previous_failure.is_none(), "{operation}");
            opened.appender.append(&sample(found + 1)).unwrap();
            opened.appender.sync().unwrap();
            for cut in 1..8 {
                let (after_cut, _) = try_open(&disk.power_cut(cut))
                    .unwrap_or_else(|error| panic!("seed {seed}, operation {operation}: {error}"));
                assert_eq!(after_cut, found + 1, "seed {seed}, operation {operation}");
            }
        }
    }
}
