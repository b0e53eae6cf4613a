//! The journal as a whole, over the simulated disk (and once over a real one).

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::{
    AccountId, Actor, CancelOrder, Command, InstrumentId, NewOrder, OrderId, OrderRef, OrderType, Price,
    Product, Quantity, Seq, Sequenced, Side, StrategyId, Text, TimeInForce, Timestamp,
};

use super::header::segment_name;
use super::segment_reader::{Probe, SegmentReader};
use super::simulated_disk::SplitMix64;
use super::*;
use crate::limits::{BLOCK_BYTES, WALK_CHUNK_BYTES};

mod faults;

const SEGMENT_BYTES: u32 = 16 * 1024;

pub(super) fn settings() -> Settings {
    Settings {
        segment_bytes: SEGMENT_BYTES,
        fresh_id: JournalId::from_bytes(*b"a test's journal"),
        spares: SpareSegments::OnDemand,
    }
}

/// The command with this number; the same in every run.
pub(super) fn sample(seq: u64) -> Sequenced<Command> {
    let mut random = SplitMix64::new(seq);
    let command = match random.below(10) {
        0 => Command::Tick,
        1 => Command::HashCheck(random.next()),
        2 => Command::CancelOrder(CancelOrder {
            actor: Actor {
                account: AccountId::new(1),
                admin: false,
            },
            order: OrderRef::Id(OrderId::new(seq)),
        }),
        _ => Command::NewOrder(NewOrder {
            account: AccountId::new(1),
            strategy: StrategyId::new(1),
            instrument: InstrumentId::new(random.below(50) as u32),
            side: Side::Buy,
            product: Product::Mis,
            order_type: OrderType::Limit(Price::from_paise(245_000).unwrap()),
            time_in_force: TimeInForce::Day,
            quantity: Quantity::new(10).unwrap(),
            post_only: false,
            disclosed: None,
            minimum: None,
            stop_loss: None,
            take_profit: None,
            client_order_id: Text::cut(&format!("order {seq}")),
            metadata: (random.below(8) == 0).then(|| "m".repeat(random.below(2_000)).into()),
        }),
    };
    Sequenced {
        seq: Seq::new(seq),
        time: Timestamp::from_nanos(seq * 10),
        command,
    }
}

/// A number that the environment may give, as `make soak` does.
fn number_in(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

pub(super) fn try_open(disk: &SimulatedDisk) -> Result<(u64, Opened<SimulatedDisk>), JournalError> {
    let mut last = 0;
    let opened = open(disk.clone(), &settings(), Seq::new(0), |found| {
        last += 1;
        assert_eq!(*found, sample(last));
    })?;
    assert_eq!(opened.walked.last_seq, Seq::new(last));
    assert_eq!(opened.appender.durable(), Seq::new(last));
    Ok((last, opened))
}

/// Folds with a check of every record, changing nothing.
pub(super) fn try_walk(disk: &SimulatedDisk) -> Result<(u64, Option<TornTail>), JournalError> {
    let mut last = 0;
    let walked = walk(disk, Seq::new(0), |found| {
        last += 1;
        assert_eq!(*found, sample(last));
        ControlFlow::Continue(())
    })?
    .unwrap();
    assert_eq!(walked.last_seq, Seq::new(last));
    Ok((last, walked.torn))
}

/// A journal of `batches` batches of 1 to 9 records.
pub(super) fn journal_of(batches: u64) -> (SimulatedDisk, u64) {
    let disk = SimulatedDisk::new();
    let mut appender = try_open(&disk).unwrap().1.appender;
    let mut random = SplitMix64::new(batches);
    let mut last = 0;
    for _ in 0..batches {
        for _ in 0..=random.below(9) {
            last += 1;
            appender.append(&sample(last)).unwrap();
        }
        appender.sync().unwrap();
    }
    (disk, last)
}

/// One record's frame: segment, offset, length with header, whether it begins a batch, its number.
pub(super) struct Placed {
    pub(super) segment: u32,
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) begins_batch: bool,
    pub(super) seq: u64,
}

pub(super) fn layout(disk: &SimulatedDisk) -> Vec<Placed> {
    let mut placed = Vec::new();
    for segment in walk::list_segments(disk).unwrap() {
        let mut reader = SegmentReader::open(disk, segment, WALK_CHUNK_BYTES).unwrap();
        let mut position = Position::start_of(&reader.header);
        while let Probe::Record { at, next, payload } = reader.probe(&position).unwrap() {
            placed.push(Placed {
                segment,
                offset: at,
                bytes: (frame::FRAME_HEADER_BYTES + payload.len()) as u64,
                begins_batch: next.next_index == 1,
                seq: next.seq().get(),
            });
            position = next;
        }
    }
    placed
}

#[test]
fn what_was_appended_is_folded_again() {
    let (disk, last) = journal_of(40);
    let (found, opened) = try_open(&disk).unwrap();
    assert_eq!(found, last);
    assert!(opened.walked.segments > 2, "{:?}", opened.walked);
    assert_eq!(opened.walked.torn, None);
    assert_eq!(opened.walked.journal, settings().fresh_id);
    assert_eq!(opened.walked.last_time, sample(last).time);
    assert_eq!(opened.previous_failure, None);

    let mut appender = opened.appender;
    appender.append(&sample(last + 1)).unwrap();
    appender.sync().unwrap();
    assert_eq!(try_walk(&disk).unwrap(), (last + 1, None));
}

#[test]
fn an_empty_journal_is_a_journal() {
    let disk = SimulatedDisk::new();
    assert!(
        walk(&disk, Seq::new(0), |_| ControlFlow::Continue(()))
            .unwrap()
            .is_none()
    );
    drop(try_open(&disk).unwrap());
    let (found, opened) = try_open(&disk).unwrap();
    assert_eq!((found, opened.walked.segments), (0, 1));
}

#[test]
fn a_walk_can_begin_and_end_anywhere() {
    let (disk, last) = journal_of(40);
    for after in 0..last {
        let mut expected = after + 1;
        let until = (after + 5).min(last);
        let walked = walk(&disk, Seq::new(after), |found| {
            assert_eq!(*found, sample(expected));
            expected += 1;
            if found.seq.get() == until {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        assert_eq!(walked.unwrap().unwrap().last_seq.get(), until);
    }
    let beyond = open(disk, &settings(), Seq::new(last + 1), |_| {}).unwrap_err();
    assert!(matches!(beyond, JournalError::Missing { .. }), "{beyond}");
}

/// A batch begins on a fresh block, and what a sync made durable is never written again.
#[test]
fn acknowledged_blocks_are_never_rewritten() {
    let disk = SimulatedDisk::new();
    let mut appender = try_open(&disk).unwrap().1.appender;
    let mut random = SplitMix64::new(3);
    let mut acknowledged: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    for seq in 1..=200 {
        appender.append(&sample(seq)).unwrap();
        match random.below(4) {
            0 => appender.write().unwrap(),
            1 => {
                appender.sync().unwrap();
                let placed = layout(&disk);
                let last = placed.last().unwrap();
                let end = (last.offset + last.bytes).next_multiple_of(BLOCK_BYTES) as usize;
                let content = disk.content(&segment_name(last.segment)).unwrap();
                acknowledged.insert(last.segment, content[..end].to_vec());
            }
            _ => {}
        }
        for (&segment, expected) in &acknowledged {
            let content = disk.content(&segment_name(segment)).unwrap();
            assert!(
                content.starts_with(expected),
                "segment {segment} after record {seq}"
            );
        }
    }
    for placed in layout(&disk) {
        assert!(!placed.begins_batch || placed.offset.is_multiple_of(BLOCK_BYTES));
    }
}

#[test]
fn truncation_at_every_byte_leaves_an_exact_prefix() {
    let (disk, last) = journal_of(12);
    let placed = layout(&disk);
    let segment = placed.last().unwrap().segment;
    assert!(segment > 1);
    let name = segment_name(segment);
    let content = disk.content(&name).unwrap();
    for len in 0..content.len() {
        disk.replace(&name, content[..len].to_vec());
        let found = try_walk(&disk);
        if (len as u64) < BLOCK_BYTES {
            assert!(
                matches!(found, Err(JournalError::Damaged { .. })),
                "{len}: {found:?}"
            );
            continue;
        }
        let whole = |place: &&Placed| place.segment < segment || place.offset + place.bytes <= len as u64;
        let expected = placed.iter().filter(whole).count() as u64;
        assert_eq!(found.unwrap().0, expected, "{len}");
        if len % 61 == 0 {
            // Everything is synced, so this is a copy.
            let copy = disk.power_cut(0);
            let (found, opened) = try_open(&copy).unwrap();
            let mut appender = opened.appender;
            appender.append(&sample(found + 1)).unwrap();
            appender.sync().unwrap();
            assert_eq!(try_walk(&copy).unwrap(), (found + 1, None), "{len}");
            assert_eq!(copy.content(&name).unwrap().len(), SEGMENT_BYTES as usize);
        }
    }
    disk.replace(&name, content);
    assert_eq!(try_walk(&disk).unwrap().0, last);
}

#[test]
fn truncation_of_an_earlier_segment_is_damage() {
    let (disk, _) = journal_of(12);
    let name = segment_name(1);
    let content = disk.content(&name).unwrap();
    let used = layout(&disk)
        .iter()
        .filter(|place| place.segment == 1)
        .map(|p| p.offset + p.bytes)
        .max();
    for len in (0..used.unwrap()).step_by(7) {
        disk.replace(&name, content[..len as usize].to_vec());
        let found = try_walk(&disk);
        assert!(
            matches!(found, Err(JournalError::Damaged { .. })),
            "{len}: {found:?}"
        );
    }
}

/// In the last batch a flipped bit looks like a torn write: the batch is cut there. Anywhere else it is damage, and
/// what is not noticed (the zeros behind the records of a batch) changes no record.
#[test]
fn every_flipped_bit_is_cut_or_refused() {
    let (disk, last) = journal_of(8);
    let placed = layout(&disk);
    let last_batch = placed.iter().rfind(|place| place.begins_batch).unwrap();
    let (mut cut, mut refused) = (0, 0);
    for place in &placed {
        let name = segment_name(place.segment);
        let content = disk.content(&name).unwrap();
        for bit in 0..place.bytes * 8 {
            let mut flipped = content.clone();
            flipped[(place.offset + bit / 8) as usize] ^= 1 << (bit % 8);
            disk.replace(&name, flipped);
            match try_walk(&disk) {
                Ok((found, torn)) => {
                    assert!(place.seq >= last_batch.seq, "bit {bit} of record {}", place.seq);
                    assert_eq!(found, place.seq - 1, "bit {bit} of record {}", place.seq);
                    assert!(torn.is_some());
                    cut += 1;
                }
                Err(JournalError::Damaged { .. }) => {
                    assert!(
                        place.seq < last_batch.seq,
                        "bit {bit} of record {} of {last}",
                        place.seq
                    );
                    refused += 1;
                }
                Err(other) => panic!("bit {bit} of record {}: {other}", place.seq),
            }
        }
        disk.replace(&name, content);
    }
    assert!(cut > 0 && refused > 0);
}

/// Any bit of any file, headers, padding and unused zeros included (`BIT_STRIDE`: every so many of them): no record is
/// ever another, and none is missing but those of the last batch.
#[test]
fn no_flipped_bit_changes_a_record() {
    let (disk, last) = journal_of(8);
    let first_of_last_batch = layout(&disk)
        .iter()
        .rfind(|place| place.begins_batch)
        .unwrap()
        .seq;
    let stride = usize::try_from(number_in("BIT_STRIDE", 61)).unwrap();
    let (mut refused, mut cut, mut harmless) = (0, 0, 0);
    for segment in walk::list_segments(&disk).unwrap() {
        let name = segment_name(segment);
        let content = disk.content(&name).unwrap();
        for bit in (0..content.len() * 8).step_by(stride) {
            let mut flipped = content.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            disk.replace(&name, flipped);
            // Compares every record that it is given.
            match try_walk(&disk) {
                Ok((found, _)) if found == last => harmless += 1,
                Ok((found, torn)) => {
                    assert!(
                        torn.is_some() && found + 1 >= first_of_last_batch,
                        "bit {bit} of {name}"
                    );
                    cut += 1;
                }
                Err(JournalError::Damaged { .. } | JournalError::UnknownFormat { .. }) => refused += 1,
                Err(other) => panic!("bit {bit} of {name}: {other}"),
            }
        }
        disk.replace(&name, content);
    }
    println!("{refused} refused, {cut} cut, {harmless} beside the records");
    assert!(refused > 0 && cut > 0 && harmless > 0);
}

#[test]
fn damage_names_its_place_and_nothing_is_changed() {
    let (disk, _) = journal_of(8);
    let placed = layout(&disk);
    let victim = &placed[2];
    let name = segment_name(victim.segment);
    let mut content = disk.content(&name).unwrap();
    content[(victim.offset + victim.bytes - 1) as usize] ^= 0x40;
    disk.replace(&name, content.clone());
    let error = try_open(&disk).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the journal is damaged: /simulated/{name} at offset {}: a record's checksum does not match",
            victim.offset
        )
    );
    assert_eq!(disk.content(&name), Some(content));
}

#[test]
fn padding_is_part_of_the_record_of_what_happened() {
    let (disk, _) = journal_of(8);
    let placed = layout(&disk);
    let second_batch = placed
        .iter()
        .position(|place| place.begins_batch && place.seq > 1)
        .unwrap();
    let before = &placed[second_batch - 1];
    let name = segment_name(before.segment);
    let mut content = disk.content(&name).unwrap();
    content[(before.offset + before.bytes).next_multiple_of(8) as usize + 1] = 1;
    disk.replace(&name, content);
    let error = try_walk(&disk).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
}

#[test]
fn segments_that_do_not_belong_are_refused() {
    let (disk, _) = journal_of(40);
    let (other, _) = {
        let disk = SimulatedDisk::new();
        let foreign = Settings {
            fresh_id: JournalId::from_bytes([7; 16]),
            ..settings()
        };
        let mut appender = open(disk.clone(), &foreign, Seq::new(0), |_| {})
            .unwrap()
            .appender;
        for seq in 1..=100 {
            appender.append(&sample(seq)).unwrap();
            appender.sync().unwrap();
        }
        (disk, 100)
    };
    let check = |name: &str, replacement: Option<Vec<u8>>, expected: &str| {
        let original = disk.content(name).unwrap();
        match replacement {
            Some(content) => disk.replace(name, content),
            None => disk.remove(name).unwrap(),
        }
        let error = try_open(&disk).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        disk.replace(name, original);
    };
    let second = segment_name(2);
    check(&second, other.content(&second), "another journal");
    check(
        &second,
        disk.content(&segment_name(3)),
        "another journal or place",
    );
    check(&second, None, "the segment is missing");
    check(&segment_name(1), None, "no record 1");
    let mut future = disk.content(&second).unwrap();
    future[8] = 2;
    let crc = crc32c::crc32c(&future[..4_092]);
    future[4_092..4_096].copy_from_slice(&crc.to_le_bytes());
    check(
        &second,
        Some(future),
        "has journal format 2; this version of Pinion reads format 1",
    );
    assert!(try_open(&disk).is_ok());
}

/// As an upgrade finds it: what was written under older rules is there, is not replayed, and is gone on from where a
/// snapshot stands in for it.
#[test]
fn records_of_older_rules_are_left_to_a_snapshot() {
    let (disk, last) = journal_of(20);
    let older = engine::SEMANTICS_VERSION - 1;
    for segment in walk::list_segments(&disk).unwrap() {
        let name = segment_name(segment);
        let mut content = disk.content(&name).unwrap();
        content[12..16].copy_from_slice(&older.to_le_bytes());
        let crc = crc32c::crc32c(&content[..4_092]);
        content[4_092..4_096].copy_from_slice(&crc.to_le_bytes());
        disk.replace(&name, content);
    }
    let refusal = format!("was written under engine rules {older}");
    for after in [0, last - 1] {
        let error = open(disk.clone(), &settings(), Seq::new(after), |_| {}).unwrap_err();
        assert!(error.to_string().contains(&refusal), "{error}");
        let mut tailer = Tailer::after(disk.clone(), Seq::new(after)).unwrap();
        let error = tailer.next(Seq::new(last)).unwrap_err();
        assert!(error.to_string().contains(&refusal), "{error}");
    }
    let segments = walk::list_segments(&disk).unwrap().len();
    let mut end = None;
    for expected in [last, last + 3, last + 3] {
        let opened = open(disk.clone(), &settings(), Seq::new(last), |_| {}).unwrap();
        assert_eq!(opened.walked.last_seq, Seq::new(expected));
        // The first start begins one segment, the others go on in it.
        assert_eq!(walk::list_segments(&disk).unwrap().len(), segments + 1);
        end.get_or_insert(opened.walked.end);
        let mut appender = opened.appender;
        for seq in expected + 1..=last + 3 {
            appender.append(&sample(seq)).unwrap();
        }
        appender.sync().unwrap();
    }
    for mut tailer in [
        Tailer::at(disk.clone(), end.unwrap()).unwrap(),
        Tailer::after(disk.clone(), Seq::new(last)).unwrap(),
    ] {
        for seq in last + 1..=last + 3 {
            assert_eq!(tailer.next(Seq::new(last + 3)).unwrap(), Some(sample(seq)));
        }
    }
    assert!(chain_at(&disk, Seq::new(last / 2)).unwrap().is_some());
    let again = open(disk.power_cut(1), &settings(), Seq::new(last), |_| {}).unwrap();
    assert_eq!(again.walked.last_seq, Seq::new(last + 3));
}

#[test]
fn the_failure_marker_survives_until_it_is_cleared() {
    let disk = SimulatedDisk::new();
    let opened = try_open(&disk).unwrap().1;
    opened.marker.record("cannot sync: EIO").unwrap();
    let disk = disk.power_cut(1);
    for _ in 0..2 {
        let opened = try_open(&disk).unwrap().1;
        assert_eq!(opened.previous_failure.as_deref(), Some("cannot sync: EIO"));
    }
    try_open(&disk).unwrap().1.marker.clear().unwrap();
    assert_eq!(try_open(&disk.power_cut(2)).unwrap().1.previous_failure, None);
}

#[test]
fn a_tailer_follows_the_writer() {
    let disk = SimulatedDisk::new();
    let opened = try_open(&disk).unwrap().1;
    let mut appender = opened.appender;
    let mut tailer = Tailer::at(disk.clone(), opened.walked.end).unwrap();
    let mut random = SplitMix64::new(5);
    let mut last = 0;
    for _ in 0..150 {
        for _ in 0..random.below(5) {
            last += 1;
            appender.append(&sample(last)).unwrap();
        }
        if random.below(3) == 0 {
            appender.sync().unwrap();
        } else {
            appender.write().unwrap();
        }
        while let Some(found) = tailer.next(appender.written()).unwrap() {
            assert_eq!(found, sample(tailer.seq().get()));
        }
        assert_eq!(tailer.seq(), appender.written());
    }
    assert!(walk::list_segments(&disk).unwrap().len() > 3);
    for after in [0, 1, last / 2, last] {
        let mut tailer = Tailer::after(disk.clone(), Seq::new(after)).unwrap();
        let mut expected = after;
        while let Some(found) = tailer.next(appender.written()).unwrap() {
            expected += 1;
            assert_eq!(found, sample(expected));
        }
        assert_eq!(expected, last);
    }
}

/// On a real disk, with the helper thread.
#[test]
fn a_real_directory_works_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let disk_low = Arc::new(AtomicBool::new(true));
    let settings = Settings {
        spares: SpareSegments::Ahead {
            disk_low: Arc::clone(&disk_low),
        },
        ..settings()
    };
    let mut last = 0;
    for _ in 0..3 {
        let disk = Disk::new(directory.path());
        let mut found = 0;
        let opened = open(disk.clone(), &settings, Seq::new(0), |record| {
            found += 1;
            assert_eq!(*record, sample(found));
        });
        let mut opened = opened.unwrap();
        assert_eq!(found, last);
        let mut tailer = Tailer::at(disk, opened.walked.end).unwrap();
        for _ in 0..300 {
            last += 1;
            opened.appender.append(&sample(last)).unwrap();
            if last % 10 == 0 {
                opened.appender.sync().unwrap();
            }
        }
        assert_eq!(opened.appender.durable().get(), last);
        while let Some(found) = tailer.next(opened.appender.written()).unwrap() {
            assert_eq!(found, sample(tailer.seq().get()));
        }
        assert_eq!(tailer.seq().get(), last);
    }
    assert!(!disk_low.load(Ordering::Relaxed));
}
