//! The rules of the house, executed: what neither the compiler nor clippy can see.
//!
//! Each rule is a small function over text or over `cargo metadata`, with its table beside it. A rule is changed
//! by changing its table, and the table is where its reasons stand.

mod arrows;
mod calls;
mod cases;
mod links;
mod locks;
mod planted;
mod sources;
mod threats;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::interop::case;
use crate::workspace::Workspace;

/// One breach of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// The file, or the crate, it is in.
    pub(crate) place: String,
    /// The line, where there is one.
    pub(crate) line: Option<usize>,
    /// What is there, the rule, and the way out.
    pub(crate) message: String,
}

impl Finding {
    fn new(place: impl Into<String>, line: Option<usize>, message: impl Into<String>) -> Self {
        Self { place: place.into(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "{}:{line}: {}", self.place, self.message),
            None => write!(formatter, "{}: {}", self.place, self.message),
        }
    }
}

/// The task `cargo xtask tidy`.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<ExitCode> {
    let findings = check(workspace)?;
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        println!("tidy: every rule is kept");
        return Ok(ExitCode::SUCCESS);
    }
    println!("tidy: {} findings", findings.len());
    Ok(ExitCode::FAILURE)
}

/// All rules over the whole repository.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<Vec<Finding>> {
    let metadata = workspace.metadata()?;
    let mut findings = arrows::between_our_crates(&metadata.members());
    findings.extend(arrows::to_external_crates(&metadata.members()));
    for package in metadata.members().into_iter().filter(|package| arrows::is_pure(package)) {
        findings.extend(arrows::into_pure_crate(package, &workspace.linked_by(&package.name)?));
    }

    let files = workspace.files()?;
    let known: BTreeSet<PathBuf> = files.iter().cloned().collect();
    let mut lengths = Vec::new();
    // What the threat tables may name: functions, and interop cases.
    let mut known_tests: BTreeSet<String> = BTreeSet::new();
    for file in &files {
        // A file that is not text has nothing that these rules read.
        let Ok(text) = std::fs::read_to_string(workspace.root.join(file)) else { continue };
        findings.extend(sources::machine_paths(file, &text));
        findings.extend(planted::unmarked(file, &text));
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => {
                findings.extend(sources::introduction(file, &text));
                findings.extend(sources::stubs(file, &text));
                findings.extend(calls::forbidden(file, &text));
                known_tests.extend(threats::functions(&text));
                lengths.push((file.clone(), text.lines().count()));
            }
            Some("md") => {
                let read = |path: &Path| std::fs::read_to_string(workspace.root.join(path)).ok();
                findings.extend(links::unresolved(file, &text, &known, read));
            }
            Some("toml") => findings.extend(sources::inherited_lints(file, &text)),
            _ => {}
        }
        if file.starts_with(case::FOLDER) {
            known_tests.extend(file.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned));
            findings.extend(cases::form(file, &text, cases::is_executable(&workspace.root.join(file))?));
        }
    }
    let threats = std::fs::read_to_string(workspace.root.join(threats::FILE))?;
    findings.extend(threats::unproven(Path::new(threats::FILE), &threats, &known_tests));
    findings.extend(threats::unknown(Path::new(threats::FILE), &threats, &known_tests));
    let read = |path: &str| std::fs::read_to_string(workspace.root.join(path));
    findings.extend(locks::differences(&read("Cargo.lock")?, &read("fuzz/Cargo.lock")?, &metadata.members()));
    findings.extend(sources::length(&lengths, sources::LONG_FILES));
    findings.sort();
    findings.dedup();
    Ok(findings)
}
