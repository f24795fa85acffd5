//! Conversations with real peers, recorded once (see `conversations/record.sh`): what is said of them, byte by byte,
//! and that nothing that is done to them makes the decoder fail.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod captures;
mod golden;
mod sturdy;
mod truths;

use std::path::PathBuf;

use explain::capture::Transcript;

/// Where the recordings are.
fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/walk/conversations")
}

/// The recording of this name.
fn recording(name: &str) -> Transcript {
    let path = folder().join(format!("{name}.transcript"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Transcript::from_bytes(&bytes).unwrap()
}

/// All of them, with their names.
fn recordings() -> Vec<(String, Transcript)> {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| {
            entry.unwrap().file_name().to_str()?.strip_suffix(".transcript").map(str::to_owned)
        })
        .collect();
    names.sort();
    assert!(names.len() >= 15, "recordings are missing: {names:?}");
    names.into_iter().map(|name| (name.clone(), recording(&name))).collect()
}
