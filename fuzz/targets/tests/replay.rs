//! The smoke run: every target gets all of its corpus and then mutations of it, always the same ones.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use fuzz_targets::work::{Dice, mutated};
use fuzz_targets::{TARGETS, Target};

/// Mutations for each target: some seconds in all in a debug build. More where `FUZZ_MUTATIONS` says so.
const MUTATIONS: usize = 600;

/// Files that are too large to be worth replaying thousands of times in a debug build.
const LARGEST: usize = 64 * 1024;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The inputs of a target, in the order of their names.
fn inputs(target: &Target) -> Vec<Vec<u8>> {
    let own = format!("fuzz/corpus/{}", target.name);
    let seeds = std::fs::read_to_string(root().join("fuzz/seeds.txt")).unwrap();
    let more = seeds.lines().filter_map(|line| line.split_once(' ')).filter(|(name, _)| *name == target.name);
    let mut files = Vec::new();
    for folder in more.map(|(_, folder)| folder.trim()).chain([own.as_str()]) {
        let entries = std::fs::read_dir(root().join(folder));
        let entries = entries.unwrap_or_else(|error| panic!("{folder}: {error}"));
        files.extend(entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()));
    }
    files.sort();
    let inputs: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    inputs.into_iter().filter(|input| input.len() <= LARGEST).collect()
}

/// Tries one input; what went wrong is told with all that is needed to try it again.
fn attempt(target: &Target, input: &[u8]) {
    assert!(catch_unwind(|| (target.run)(input)).is_ok(), "{} fails on {}", target.name, hex(input));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn smoke(targets: &[Target]) {
    let mutations = std::env::var("FUZZ_MUTATIONS").map_or(MUTATIONS, |number| number.parse().unwrap());
    for target in targets {
        let inputs = inputs(target);
        assert!(!inputs.is_empty(), "{} has no corpus", target.name);
        inputs.iter().for_each(|input| attempt(target, input));
        let mut dice = Dice::new(0x2026_0615_1200_0000);
        for _ in 0..mutations {
            attempt(target, &mutated(&inputs, &mut dice));
        }
    }
}

/// Two halves, so that two processors share them.
#[test]
fn first_targets_hold_on_their_corpora_and_on_mutations_of_them() {
    smoke(&TARGETS[..TARGETS.len() / 2]);
}

#[test]
fn other_targets_hold_on_their_corpora_and_on_mutations_of_them() {
    smoke(&TARGETS[TARGETS.len() / 2..]);
}

#[test]
fn every_target_has_a_file_for_libfuzzer_and_no_file_is_without_a_target() {
    // The configuration belongs to the binary, which nothing can link; its file takes the module as it is.
    let mut names: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(names.len(), TARGETS.len(), "two targets have one name");
    names.insert("config".to_owned());
    let files = std::fs::read_dir(root().join("fuzz/fuzz_targets")).unwrap();
    let files: BTreeSet<String> =
        files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(names, files);
    let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    for name in &names {
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "fuzz/Cargo.toml lacks {name}");
    }
}
