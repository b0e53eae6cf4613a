use std::ops::ControlFlow;

use engine::{
    AccountDefinition, AccountId, Actor, AdjustCash, Capacity, Command, Money, RiskLimits, Sequenced, Text,
    Timestamp,
};

use super::*;
use crate::journal::{Fault, Settings, SimulatedDisk, SpareSegments, open, walk};

const CAPACITY: Capacity = Capacity {
    accounts: 4,
    instruments: 4,
    orders: 64,
    positions: 64,
    client_order_ids: 64,
};

fn command(seq: u64, amount: i64) -> Sequenced<Command> {
    let command = match seq {
        1 => Command::DefineAccount(Box::new(AccountDefinition {
            name: Text::cut("main"),
            opening_balance: Money::from_paise(100),
            limits: RiskLimits::dashboard(),
            profile: Text::cut("dashboard"),
            venue: false,
        })),
        _ => Command::AdjustCash(AdjustCash {
            actor: Actor {
                account: AccountId::new(0),
                admin: true,
            },
            reason: Text::EMPTY,
            account: AccountId::new(0),
            amount: Money::from_paise(amount),
        }),
    };
    Sequenced {
        seq: Seq::new(seq),
        time: Timestamp::from_nanos(1_790_000_000_000_000_000 + seq),
        command,
    }
}

/// A journal of `last` records, each a batch; from the third on they add `amount`.
fn journal(last: u64, amount: i64) -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    let settings = Settings {
        segment_bytes: 32 * 1024,
        fresh_id: JournalId::from_bytes([9; 16]),
        spares: SpareSegments::OnDemand,
    };
    let mut appender = open(disk.clone(), &settings, Seq::new(0), |_| {})
        .unwrap()
        .appender;
    for seq in 1..=last {
        appender
            .append(&command(seq, if seq < 3 { 1 } else { amount }))
            .unwrap();
        appender.sync().unwrap();
    }
    disk
}

/// The model after `seq`, and its place.
fn folded(journal: &SimulatedDisk, seq: u64) -> (Place, ReadModel) {
    let mut model = ReadModel::new(CAPACITY);
    walk(journal, Seq::new(0), |found| {
        if found.seq.get() > seq {
            return ControlFlow::Break(());
        }
        model.apply(found);
        ControlFlow::Continue(())
    })
    .unwrap();
    let seq = Seq::new(seq);
    let (id, chain) = chain_at(journal, seq).unwrap().unwrap();
    (
        Place {
            journal: id,
            seq,
            chain,
        },
        model,
    )
}

fn save(disk: &SimulatedDisk, journal: &SimulatedDisk, seq: u64) {
    let (place, model) = folded(journal, seq);
    write(disk, &place, &model.save()).unwrap();
}

fn newest_seq(disk: &SimulatedDisk, journal: &SimulatedDisk) -> Option<u64> {
    let found = newest(disk, journal, Seq::new(u64::MAX)).unwrap();
    found.map(|(place, model)| {
        let (expected, whole) = folded(journal, place.seq.get());
        assert_eq!((place, model.save()), (expected, whole.save()));
        place.seq.get()
    })
}

#[test]
fn a_start_takes_the_newest_good_one() {
    let (journal, disk) = (journal(20, 1), SimulatedDisk::new());
    assert_eq!(newest_seq(&disk, &journal), None);
    for seq in [5, 8, 13, 20] {
        save(&disk, &journal, seq);
        assert_eq!(newest_seq(&disk, &journal), Some(seq));
    }
    let limited = newest(&disk, &journal, Seq::new(12)).unwrap();
    assert_eq!(limited.map(|(place, _)| place.seq.get()), Some(8));

    // Bits flipped all over the newest two: each is noticed, and the one before is taken.
    for (damaged, before) in [(20, 13), (13, 8)] {
        let name = name_of(Seq::new(damaged));
        let content = disk.content(&name).unwrap();
        for bit in (0..content.len() * 8).step_by(41) {
            let mut flipped = content.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            disk.replace(&name, flipped);
            assert_eq!(newest_seq(&disk, &journal), Some(before), "bit {bit}");
        }
        disk.replace(&name, content[..content.len() / 2].to_vec());
    }
    disk.replace(&name_of(Seq::new(8)), Vec::new());
    disk.replace(&name_of(Seq::new(5)), Vec::new());
    assert_eq!(newest_seq(&disk, &journal), None, "then the journal alone");
}

#[test]
fn other_pasts_and_versions_are_left_out() {
    let (journal_a, disk) = (journal(20, 1), SimulatedDisk::new());
    save(&disk, &journal_a, 2);
    save(&disk, &journal_a, 10);
    // The same journal id and the same numbers, but another past from the third record on.
    assert_eq!(newest_seq(&disk, &journal(20, 7)), Some(2));
    // A journal that ends before the snapshot.
    assert_eq!(newest_seq(&disk, &journal(9, 1)), Some(2));

    let name = name_of(Seq::new(10));
    for (offset, expected) in [(8, "snapshot format 9"), (12, "engine rules 9")] {
        let mut other = disk.content(&name).unwrap();
        other[offset] = 9;
        let end = other.len() - CRC_BYTES;
        let crc = crc32c::crc32c(&other[..end]).to_le_bytes();
        other[end..].copy_from_slice(&crc);
        let copy = disk.power_cut(0);
        copy.replace(&name, other);
        let error = read(&copy, Seq::new(10)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn two_are_kept_and_the_one_that_the_slowest_needs() {
    let (journal, disk) = (journal(20, 1), SimulatedDisk::new());
    for seq in [3, 6, 9, 12, 15] {
        save(&disk, &journal, seq);
    }
    let kept = || -> Vec<u64> { list(&disk).unwrap().iter().map(|seq| seq.get()).collect() };
    prune(&disk, Seq::new(7)).unwrap();
    assert_eq!(kept(), [15, 12, 6]);
    prune(&disk, Seq::new(u64::MAX)).unwrap();
    assert_eq!(kept(), [15, 12]);
}

/// The power goes at every operation of a write, or it fails there: the older one is there in any case, and what is
/// there under a name is whole.
#[test]
fn a_write_that_is_cut_short_leaves_the_older_one() {
    let journal = journal(20, 1);
    for fault in [Fault::PowerCut, Fault::Error, Fault::NoSpace] {
        let mut operation = 0;
        loop {
            operation += 1;
            let disk = SimulatedDisk::new();
            save(&disk, &journal, 5);
            disk.fail_at(disk.operations() + operation, fault);
            let (place, model) = folded(&journal, 15);
            let written = write(&disk, &place, &model.save()).is_ok();
            disk.fail_at(u64::MAX, fault);
            for seed in 0..20 {
                let found = newest_seq(&disk.power_cut(seed), &journal);
                assert!(
                    found == Some(15) || (!written && found == Some(5)),
                    "{fault:?} {operation} {seed}: {found:?}"
                );
            }
            save(&disk, &journal, 18);
            assert_eq!(newest_seq(&disk, &journal), Some(18));
            if written {
                break;
            }
        }
        assert!(operation > 3);
    }
}
