//! Golden journals: one of each version of the engine's rules (and of the journal's format), as that version wrote it.
//!
//! That of the present rules must fold to exactly what stands beside it. Those of older rules must be refused with a
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

#[test]
fn journals_of_older_rules_are_refused_with_a_reason() {
    for version in 1..SEMANTICS_VERSION {
        let disk = Disk::new(golden().join(format!("semantics-{version}")));
        let (_, walked) = walk_as_far_as_possible(&disk, Seq::default(), |_| unreachable!("{version}"));
        match walked {
            Err(error @ JournalError::UnknownSemantics { found, .. }) => {
                assert_eq!(found, version, "{error}");
            }
            other => panic!("version {version}: {other:?}"),
        }
    }
}
