//! Snapshots of the tables' fold, and tables beside a journal that was pruned.

use std::path::Path;

use engine::Seq;
use persistence_writer::journal::{Disk, archive_closed, floor, prunable, prune};
use persistence_writer::projector::{SqliteStore, State};
use persistence_writer::snapshot;

use crate::journal::Journal;
use crate::rows::{assert_same, expected};
use crate::session::Session;
use crate::sqlite::dump;

/// Projects to the journal's end, as a server does, and leaves a snapshot there.
fn serve(journal: &Journal, file: &Path, snapshots: &Path) {
    let running = journal.projector_with_snapshots(SqliteStore::new(file), Disk::new(snapshots));
    running.wait_for_seq(journal.last());
    running.stop();
    let found = snapshot::list(&Disk::new(snapshots)).unwrap();
    assert_eq!(found.first(), Some(&Seq::new(journal.last())));
    assert!(found.len() <= 2, "{found:?}");
}

/// From snapshot to snapshot, the journal archived and pruned behind each: the rows are those of the whole session.
#[test]
fn the_tables_go_on_from_a_snapshot_without_the_journals_beginning() {
    let session = Session::random(21, 6_000);
    let directory = tempfile::tempdir().unwrap();
    let (file, snapshots) = (
        directory.path().join("pinion.db"),
        directory.path().join("snapshots"),
    );
    std::fs::create_dir(&snapshots).unwrap();
    let mut journal = Journal::new(1);
    let storage = journal.source().storage;
    let (mut from, mut pruned) = (0, 0);
    for to in [700, 701, 2_000, 3_500, 5_000, session.commands.len()] {
        journal.append_in_batches(&session.commands[from..to]);
        from = to;
        serve(&journal, &file, &snapshots);
        assert_same(
            &dump(&file),
            &expected(&session.commands[..to]),
            &format!("after {to}"),
        );
        archive_closed(&storage, |_| {}).unwrap();
        let plan = prunable(&storage, Seq::new(journal.last())).unwrap();
        pruned += plan.archives.len();
        prune(&storage, &plan).unwrap();
    }
    assert!(pruned > 2, "{pruned} segments were pruned");
    let begin = floor(&storage).unwrap().unwrap().first_seq;

    // A database without those rows, and one that lost them: nothing is written, and it says why.
    let empty = directory.path().join("empty.db");
    let running = journal.projector_with_snapshots(SqliteStore::new(&empty), Disk::new(&snapshots));
    let reason = running.wait_for_state(State::Refused);
    assert!(
        reason.contains("stand at command 0") && reason.contains(&format!("begins at {begin}")),
        "{reason}"
    );
    running.stop();
    let lost = rusqlite::Connection::open(&file).unwrap();
    lost.execute_batch("PRAGMA foreign_keys = OFF; DELETE FROM orders")
        .unwrap();
    drop(lost);
    let running = journal.projector_with_snapshots(SqliteStore::new(&file), Disk::new(&snapshots));
    let reason = running.wait_for_state(State::Refused);
    assert!(
        reason.contains("lost rows") && reason.contains("restore a backup"),
        "{reason}"
    );
    running.stop();
}

/// A damaged snapshot is left out: the one before, then the whole journal.
#[test]
fn a_damaged_snapshot_of_the_tables_is_left_out() {
    let session = Session::random(22, 2_000);
    let directory = tempfile::tempdir().unwrap();
    let (file, snapshots) = (
        directory.path().join("pinion.db"),
        directory.path().join("snapshots"),
    );
    std::fs::create_dir(&snapshots).unwrap();
    let mut journal = Journal::new(2);
    let mut from = 0;
    for (damaged, to) in [(0, 600), (0, 1_000), (1, 1_400), (2, session.commands.len())] {
        let found = snapshot::list(&Disk::new(&snapshots)).unwrap();
        for seq in found.iter().take(damaged) {
            let path = snapshots.join(format!("{:020}.snapshot", seq.get()));
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x20;
            std::fs::write(&path, bytes).unwrap();
        }
        journal.append(&session.commands[from..to]);
        from = to;
        serve(&journal, &file, &snapshots);
        assert_same(
            &dump(&file),
            &expected(&session.commands[..to]),
            &format!("after {to}"),
        );
    }
}
