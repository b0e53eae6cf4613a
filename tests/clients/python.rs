//! The Python programs of this folder, and the environment that `scripts/setup.sh` makes for them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// This folder.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// A program of the environment, such as `python` or `schemathesis`.
///
/// # Panics
/// Where it is missing, with what to do about it.
pub fn program(name: &str) -> Command {
    let program = folder().join(".venv/bin").join(name);
    assert!(
        program.exists(),
        "the client tests need {}: run scripts/setup.sh, which makes it from tests/clients/requirements.txt",
        program.display()
    );
    let mut command = Command::new(program);
    command.current_dir(folder());
    command
}

/// Runs a program to its end.
///
/// # Panics
/// Where it does not succeed, with what it printed.
pub fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    text
}
