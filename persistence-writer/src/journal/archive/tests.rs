use std::ops::ControlFlow;

use super::super::tests::{journal_of, layout, sample, settings, try_open, try_walk};
use super::super::{Fault, Remedy, Settings, SimulatedDisk, Tailer, chain_at, open, repair, survey, walk};
use super::*;

fn archive(disk: &SimulatedDisk) -> Result<Vec<Archived>, JournalError> {
    let mut done = Vec::new();
    archive_closed(disk, |archived| done.push(*archived)).map(|()| done)
}

fn names(disk: &SimulatedDisk) -> Vec<String> {
    let mut names = disk.list().unwrap();
    names.retain(|name| name.contains("segment"));
    names
}

#[test]
fn archives_are_read_like_segments() {
    let (disk, last) = journal_of(40);
    let pristine = disk.power_cut(0);
    let chains: Vec<_> = (0..=last)
        .map(|seq| chain_at(&disk, Seq::new(seq)).unwrap())
        .collect();
    let done = archive(&disk).unwrap();
    let segments = list_segments(&disk).unwrap();
    assert!(done.len() > 3 && done.len() + 1 == segments.len(), "{done:?}");
    assert_eq!(names(&disk).len(), segments.len());
    let records: u64 = done.iter().map(|archived| archived.records).sum();
    let in_last = layout(&disk)
        .iter()
        .filter(|place| place.segment == segments[segments.len() - 1])
        .count();
    assert_eq!(records + in_last as u64, last);
    for archived in &done {
        // Any program that knows Zstandard gives the very segment back.
        let packed = disk.content(&archive_name(archived.segment)).unwrap();
        let unpacked = zstd::stream::decode_all(&packed[..]).unwrap();
        assert_eq!(Some(unpacked), pristine.content(&segment_name(archived.segment)));
        assert!(archived.archive_bytes < archived.segment_bytes);
    }
    assert_eq!(try_walk(&disk).unwrap(), (last, None));
    for (seq, chain) in chains.iter().enumerate() {
        assert_eq!(chain_at(&disk, Seq::new(seq as u64)).unwrap(), *chain);
    }
    for after in [0, 1, last / 2, last] {
        let mut tailer = Tailer::after(disk.clone(), Seq::new(after)).unwrap();
        while let Some(found) = tailer.next(Seq::new(last)).unwrap() {
            assert_eq!(found, sample(tailer.seq().get()));
        }
        assert_eq!(tailer.seq().get(), last);
    }
    // The journal goes on, and what it fills is archived in its turn.
    let mut appender = try_open(&disk).unwrap().1.appender;
    for seq in last + 1..=last + 60 {
        appender.append(&sample(seq)).unwrap();
        appender.sync().unwrap();
    }
    assert!(!archive(&disk).unwrap().is_empty());
    assert_eq!(try_open(&disk).unwrap().0, last + 60);
    assert_eq!(archive(&disk).unwrap(), []);
}

/// A reader that is in the middle of a segment goes on while that is archived under it.
#[test]
fn readers_do_not_notice() {
    let (disk, last) = journal_of(40);
    let mut tailer = Tailer::after(disk.clone(), Seq::new(3)).unwrap();
    archive(&disk).unwrap();
    while let Some(found) = tailer.next(Seq::new(last)).unwrap() {
        assert_eq!(found, sample(tailer.seq().get()));
    }
    assert_eq!(tailer.seq().get(), last);
}

/// A segment of several frames, read in windows that straddle them.
#[test]
fn archives_of_many_frames_are_read_like_segments() {
    let disk = SimulatedDisk::new();
    let settings = Settings {
        segment_bytes: 3 * 1024 * 1024,
        ..settings()
    };
    let mut appender = open(disk.clone(), &settings, Seq::new(0), |_| {})
        .unwrap()
        .appender;
    let last = 24_000;
    for seq in 1..=last {
        appender.append(&sample(seq)).unwrap();
        if seq % 50 == 0 {
            appender.sync().unwrap();
        }
    }
    let done = archive(&disk).unwrap();
    assert!(!done.is_empty());
    let mut found = 0;
    walk(&disk, Seq::new(0), |record| {
        found += 1;
        assert_eq!(*record, sample(found));
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(found, last);
    let mut random = super::super::simulated_disk::SplitMix64::new(1);
    let mut tailer = Tailer::after(disk.clone(), Seq::new(random.next() % last)).unwrap();
    let next = tailer.seq().get() + 1;
    assert_eq!(tailer.next(Seq::new(last)).unwrap(), Some(sample(next)));
}

#[test]
fn a_damaged_archive_is_refused_and_repair_cuts_before_it() {
    let (pristine, last) = journal_of(12);
    archive(&pristine).unwrap();
    let name = archive_name(1);
    let content = pristine.content(&name).unwrap();
    let check = |content: Vec<u8>| {
        let disk = pristine.power_cut(0);
        disk.replace(&name, content);
        match try_walk(&disk) {
            Ok(found) => assert_eq!(found, (last, None)),
            Err(JournalError::Damaged { path, flaw, .. }) => {
                assert_eq!((path, flaw), (pristine.path(&name), Flaw::Archive));
                return true;
            }
            Err(other) => panic!("{other}"),
        }
        false
    };
    let mut refused = 0;
    for bit in 0..content.len() * 8 {
        let mut flipped = content.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        refused += usize::from(check(flipped));
    }
    assert!(
        refused * 10 > content.len() * 8 * 9,
        "{refused} of {}",
        content.len() * 8
    );
    for len in 0..content.len() {
        assert!(check(content[..len].to_vec()), "{len}");
    }

    let segments = list_segments(&pristine).unwrap();
    let second = archive_name(2);
    assert!(segments.len() > 2);
    let mut damaged = pristine.content(&second).unwrap();
    damaged[40] ^= 0x10;
    let disk = pristine.power_cut(0);
    disk.replace(&second, damaged.clone());
    let in_first = layout_of_first(&pristine);
    let proposed = survey(&disk).unwrap().unwrap();
    assert!(matches!(&proposed.remedy, Remedy::Cut { kept, .. } if kept.get() == in_first));
    repair(&disk, &proposed).unwrap();
    assert_eq!(survey(&disk).unwrap(), None);
    assert_eq!(disk.content(&format!("{second}.damaged-1")), Some(damaged));
    assert_eq!(disk.content(&format!("{name}.damaged-1")), Some(content));
    let (found, opened) = try_open(&disk.power_cut(3)).unwrap();
    assert_eq!(found, in_first);
    assert!(opened.previous_failure.is_some());
    let mut appender = opened.appender;
    appender.append(&sample(found + 1)).unwrap();
    appender.sync().unwrap();
}

fn layout_of_first(disk: &SimulatedDisk) -> u64 {
    layout(disk).iter().filter(|place| place.segment == 1).count() as u64
}

#[test]
fn what_an_archive_holds_is_compared_before_the_segment_goes() {
    let (disk, last) = journal_of(40);
    let pristine = disk.power_cut(0);
    archive(&disk).unwrap();
    // Beside their segments: one that is right, one that is another's, one that is nothing.
    let again = pristine.power_cut(0);
    again.replace(&archive_name(1), disk.content(&archive_name(1)).unwrap());
    again.replace(&archive_name(2), disk.content(&archive_name(1)).unwrap());
    again.replace(&archive_name(3), b"nothing".to_vec());
    assert_eq!(try_walk(&again).unwrap().0, last, "segments come before archives");
    archive(&again).unwrap();
    for segment in 1..=3 {
        let name = archive_name(segment);
        assert_eq!(again.content(&name), disk.content(&name));
    }
    // A damaged segment is never archived.
    let damaged = pristine.power_cut(0);
    let place = &layout(&damaged)[1];
    let mut content = damaged.content(&segment_name(1)).unwrap();
    content[place.offset as usize + 30] ^= 1;
    damaged.replace(&segment_name(1), content);
    assert!(matches!(archive(&damaged), Err(JournalError::Damaged { .. })));
    assert_eq!(names(&damaged), names(&pristine));
}

/// The power goes, or something fails, at every operation of the archiving; and again while it is tried once more.
#[test]
fn nothing_is_lost_wherever_it_is_cut_short() {
    let (pristine, last) = journal_of(14);
    for fault in [Fault::PowerCut, Fault::Error, Fault::NoSpace, Fault::ShortWrite] {
        for operation in 1.. {
            let disk = pristine.power_cut(0);
            disk.fail_at(operation, fault);
            let ended = archive(&disk).is_ok() && disk.operations() < operation;
            disk.fail_at(u64::MAX, fault);
            for seed in 0..4 {
                let image = disk.power_cut(seed);
                assert_eq!(
                    try_walk(&image).unwrap(),
                    (last, None),
                    "{fault:?} {operation} {seed}"
                );
                image.fail_at(image.operations() + 1 + seed * 3, Fault::PowerCut);
                archive(&image).ok();
                let image = image.power_cut(seed + 7);
                assert_eq!(try_open(&image).unwrap().0, last, "{fault:?} {operation} {seed}");
                archive(&image).unwrap();
                assert_eq!(try_open(&image.power_cut(seed)).unwrap().0, last);
                let unfinished = image.list().unwrap().iter().any(|name| name == UNFINISHED);
                assert!(!unfinished, "{fault:?} {operation} {seed}");
            }
            if ended {
                assert!(operation > 10);
                break;
            }
        }
    }
}
