//! Golden journals: one of each version of the engine's rules (and of the journal's format), as that version wrote it.
//!
//! That of the present rules must fold to exactly what stands beside it. Records of other rules must be refused with a
//! reason. Where the present one differs although that is meant:
//!
//! - before a release of these rules: `make golden` writes it anew, to be committed with the change;
//! - after one: raise `engine::SEMANTICS_VERSION` (or the journal's format version) first, so that the old one stays.
#![allow(clippy::unwrap_used, reason = "a test panics where its own data is wrong")]

mod fold;

use std::path::{Path, PathBuf};

use engine::{SEMANTICS_VERSION, Seq};
use persistence_writer::journal::{Disk, JournalError, walk_as_far_as_possible};
use serde_json::Value;

const HELP: &str = "the engine decides otherwise than the golden journal says, or cannot read it. If that is meant: \
                    `make golden`, and commit what it writes (persistence-writer/tests/golden/main.rs says more)";

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

#[test]
fn the_golden_journal_of_the_present_rules_folds_to_what_it_did() {
    let folder = golden().join(format!("semantics-{SEMANTICS_VERSION}"));
    let expected: Value =
        serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let folded = fold::fold(&Disk::new(&folder)).unwrap_or_else(|error| panic!("{error}; {HELP}"));
    assert_eq!(folded.json(), expected, "{HELP}");
    // A journal in which nothing happens would show nothing.
    assert!(
        folded.last_seq > 1_000 && folded.events > folded.last_seq,
        "{folded:?}"
    );
}

/// The first segment, whose header says that its records were written under rules `version`.
fn first_segment_of_rules(version: u32) -> Vec<u8> {
    let folder = golden().join(format!("semantics-{SEMANTICS_VERSION}"));
    let archived = std::fs::File::open(folder.join("0000000001.segment.zst")).unwrap();
    let mut segment = zstd::decode_all(archived).unwrap();
    segment[12..16].copy_from_slice(&version.to_le_bytes());
    let checksum = crc32c::crc32c(&segment[..4_092]);
    segment[4_092..4_096].copy_from_slice(&checksum.to_le_bytes());
    segment
}

#[test]
fn records_of_other_rules_are_refused_with_a_reason() {
    for version in [SEMANTICS_VERSION - 1, SEMANTICS_VERSION + 1] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0000000001.segment");
        std::fs::write(&path, first_segment_of_rules(version)).unwrap();
        let (_, walked) = walk_as_far_as_possible(&Disk::new(folder.path()), Seq::default(), |_| {
            unreachable!("a record of rules {version}")
        });
        match walked {
            Err(error @ JournalError::UnknownSemantics { found, .. }) => {
                assert_eq!(found, version, "{error}");
            }
            other => panic!("version {version}: {other:?}"),
        }
    }
}
