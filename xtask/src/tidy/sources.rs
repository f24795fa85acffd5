//! Rules on the text of single files: introductions, length, stubs, paths of somebody's machine, lints.

use std::path::{Path, PathBuf};

use crate::rust_source::blanked;
use crate::tidy::Finding;

/// Past this a file has a reason in the table below, or is split.
const LONGEST: usize = 800;

/// Files that may be longer, each with its reason.
pub(super) const LONG_FILES: &[(&str, &str)] = &[];

fn finding(file: &Path, line: Option<usize>, message: impl Into<String>) -> Finding {
    Finding::new(file.display().to_string(), line, message)
}

/// Every Rust file says first what it is for.
pub(super) fn introduction(file: &Path, text: &str) -> Option<Finding> {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    (!first.starts_with("//!"))
        .then(|| finding(file, Some(1), "begins without `//!`: say what the file is for, and what it is not"))
}

/// No file is longer than is read in one sitting, and no exception outlives its need.
pub(super) fn length(lengths: &[(PathBuf, usize)], exceptions: &[(&str, &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, lines) in lengths {
        let listed = exceptions.iter().any(|(name, _)| Path::new(name) == file);
        if *lines > LONGEST && !listed {
            let message = format!("{lines} lines, more than {LONGEST}: split it, or list it with its reason");
            findings.push(finding(file, None, message));
        } else if *lines <= LONGEST && listed {
            findings.push(finding(
                file,
                None,
                format!("{lines} lines: it needs no place among LONG_FILES any more"),
            ));
        }
    }
    for (name, _) in
        exceptions.iter().filter(|(name, _)| !lengths.iter().any(|(file, _)| file == Path::new(name)))
    {
        findings.push(finding(Path::new(name), None, "is listed in LONG_FILES and does not exist"));
    }
    findings
}

/// What stands for work that was not done.
#[rustfmt::skip] // One line a stub reads as the table it is.
const STUBS: &[(&str, &str)] = &[
    ("#[ignore",       "a test runs or is not there"),
    ("todo!",          "what is not built is an error that says so, or is not there"),
    ("unimplemented!", "what is not built is an error that says so, or is not there"),
];

/// Stubs and ignored tests, in tests too.
pub(super) fn stubs(file: &Path, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(blanked(text).lines()) {
        let line: String = line.chars().filter(|c| !c.is_whitespace()).collect();
        for (stub, reason) in STUBS.iter().filter(|(stub, _)| line.contains(stub)) {
            findings.push(finding(file, Some(number), format!("`{stub}`: {reason}")));
        }
    }
    findings
}

/// Folders that exist on somebody's machine only. In two parts each, so that this file may be scanned too.
const MACHINE_PATHS: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/tmp/bash", "_jobs"), concat!("/ro", "ot/.")];

/// Paths of the machine that something was written on.
pub(super) fn machine_paths(file: &Path, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        for path in MACHINE_PATHS {
            // In the middle of a longer path or an address it is something else.
            let starts_here = |at: usize| {
                !line[..at]
                    .ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | '~'))
            };
            if line.match_indices(path).any(|(at, _)| starts_here(at)) {
                findings.push(finding(file, Some(number), format!("`{path}` is a path of one machine")));
            }
        }
    }
    findings
}

/// Every package takes the workspace's lints; one that does not is checked for nothing.
pub(super) fn inherited_lints(file: &Path, text: &str) -> Option<Finding> {
    if file.file_name()? != "Cargo.toml" {
        return None;
    }
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let inherits = lines.windows(2).any(|pair| pair == ["[lints]", "workspace = true"]);
    (lines.contains(&"[package]") && !inherits)
        .then(|| finding(file, None, "has no `[lints]` with `workspace = true`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "crates/pki/src/lib.rs";

    fn said(findings: impl IntoIterator<Item = Finding>) -> Vec<String> {
        findings.into_iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn file_without_introduction_is_found() {
        assert_eq!(introduction(Path::new(FILE), "\n//! What it is for.\nuse a;\n"), None);
        assert!(introduction(Path::new(FILE), "// a comment\n").is_some());
        assert!(introduction(Path::new(FILE), "").is_some());
    }

    #[test]
    fn long_file_needs_a_reason_and_a_reason_needs_a_long_file() {
        let lengths =
            [(PathBuf::from("a.rs"), 801), (PathBuf::from("b.rs"), 801), (PathBuf::from("c.rs"), 800)];
        let found = said(length(&lengths, &[("b.rs", "a table"), ("c.rs", "was long"), ("d.rs", "is gone")]));
        assert_eq!(
            found,
            [
                "a.rs: 801 lines, more than 800: split it, or list it with its reason",
                "c.rs: 800 lines: it needs no place among LONG_FILES any more",
                "d.rs: is listed in LONG_FILES and does not exist",
            ]
        );
    }

    #[test]
    fn stubs_and_ignored_tests_are_found_but_not_in_comments() {
        let text = "//! todo!()\nfn f() { todo!() }\n#[ignore = \"slow\"]\nfn g() { unimplemented !() }\nlet s = \"todo!\";\n";
        let lines: Vec<_> = stubs(Path::new(FILE), text).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [Some(2), Some(3), Some(4)]);
    }

    #[test]
    fn path_of_one_machine_is_found_and_a_part_of_a_longer_one_is_not() {
        let path = MACHINE_PATHS[0];
        assert_eq!(machine_paths(Path::new("a.md"), &format!("see {path}main")).len(), 1);
        assert_eq!(machine_paths(Path::new("a.md"), &format!("({path}main)\n\"{path}x\"")).len(), 2);
        assert_eq!(
            machine_paths(Path::new("a.md"), &format!("https://example.com{path}main and frame{path}")).len(),
            0
        );
    }

    #[test]
    fn package_that_leaves_the_lints_out_is_found() {
        let file = Path::new("crates/pki/Cargo.toml");
        assert_eq!(inherited_lints(file, "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n"), None);
        assert!(inherited_lints(file, "[package]\nname = \"a\"\n").is_some());
        assert_eq!(inherited_lints(Path::new("Cargo.toml"), "[workspace]\n"), None);
        assert_eq!(inherited_lints(Path::new("deny.toml"), "[package]\n"), None);
    }
}
