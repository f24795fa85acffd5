//! The threat tables of SECURITY.md: each threat names the tests that show what stands against it, and they exist.

use std::collections::BTreeSet;
use std::path::Path;

use crate::rust_source::blanked;
use crate::tidy::Finding;

/// Where the tables are.
pub(super) const FILE: &str = "SECURITY.md";

/// The letters of STRIDE, which a threat's line begins with.
const LETTERS: [&str; 6] = ["S", "T", "R", "I", "D", "E"];

/// What stands in place of tests where nothing stands against a threat yet.
const OPEN: &str = "not yet";

/// The names of the functions in a Rust file: its tests are among them.
pub(super) fn functions(text: &str) -> Vec<String> {
    let blanked = blanked(text);
    let after = blanked.split("fn ").skip(1);
    let name = |rest: &str| {
        rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().unwrap_or("").to_owned()
    };
    after.map(name).filter(|name| !name.is_empty()).collect()
}

/// What is wrong with the tables of a file: threats without a test, and tests that do not exist. `known` has the names of
/// functions and of interop cases.
pub(super) fn unproven(file: &Path, text: &str, known: &BTreeSet<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find =
        |line, message| findings.push(Finding::new(file.display().to_string(), Some(line), message));
    for (number, line) in (1..).zip(text.lines()) {
        let Some(row) = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |")) else { continue };
        let cells: Vec<&str> = row.split(" | ").map(str::trim).collect();
        let [letter, threat, .., last] = cells.as_slice() else { continue };
        if !LETTERS.contains(letter) {
            continue;
        }
        if cells.len() < 4 {
            let message =
                format!("the threat '{threat}' names no test: fill the column 'shown by', or write {OPEN}");
            find(number, message);
            continue;
        }
        if *last == OPEN {
            continue;
        }
        let names: Vec<&str> = last.split(", ").map(|name| name.trim_matches('`')).collect();
        for name in names.iter().filter(|name| !known.contains(**name)) {
            find(number, format!("'{name}' is neither a test nor an interop case"));
        }
    }
    findings
}

/// Names of tests elsewhere in a file, in tables of attacks and in sentences, that do not exist: what is in backquotes and
/// has so many words is a test's name or a case's.
pub(super) fn unknown(file: &Path, text: &str, known: &BTreeSet<String>) -> Vec<Finding> {
    /// Nothing else that is quoted there has as many words with underscores, or with hyphens, between.
    const WORDS: (usize, usize) = (4, 6);
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        for quoted in line.split('`').skip(1).step_by(2) {
            let name = quoted.rsplit("::").next().unwrap_or(quoted);
            let is_of = |separator: char, words: usize| {
                let is_word = |word: &str| {
                    !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
                };
                name.split(separator).count() >= words && name.split(separator).all(is_word)
            };
            if (is_of('_', WORDS.0) || is_of('-', WORDS.1)) && !known.contains(name) {
                let message = format!("'{name}' is neither a test nor an interop case");
                findings.push(Finding::new(file.display().to_string(), Some(number), message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_a_test_anywhere_that_does_not_exist_is_found_and_other_words_are_left_alone() {
        let known = ["a_thing_holds_well", "curl-gets-in-with-a-key"].map(str::to_owned).into();
        let text = "| attack | `main::a_thing_holds_well`, `a_thing_is_gone_now` |\n\
                    see `curl-gets-in-with-a-key` and `curl-gets-in-with-no-key`, `--max-connections-per-address`, `clear_text`";
        let found: Vec<String> =
            unknown(Path::new("A.md"), text, &known).iter().map(Finding::to_string).collect();
        assert_eq!(
            found,
            [
                "A.md:1: 'a_thing_is_gone_now' is neither a test nor an interop case",
                "A.md:2: 'curl-gets-in-with-no-key' is neither a test nor an interop case",
            ]
        );
    }

    fn said(text: &str) -> Vec<String> {
        let known = ["a_thing_holds", "curl-gets-in-with-tls1.3"].map(str::to_owned).into();
        unproven(Path::new("SECURITY.md"), text, &known).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn threat_without_a_test_and_test_that_does_not_exist_are_found() {
        let text = "| | threat | what | shown by |\n| --- | --- | --- | --- |\n| S | a | b | `a_thing_holds`, `gone` |\n\
                    | T | c | d |\n| D | e | f | not yet |\n| E | g | h | `curl-gets-in-with-tls1.3` |\n";
        assert_eq!(
            said(text),
            [
                "SECURITY.md:3: 'gone' is neither a test nor an interop case",
                "SECURITY.md:4: the threat 'c' names no test: fill the column 'shown by', or write not yet",
            ]
        );
    }

    #[test]
    fn names_in_comments_and_strings_are_no_tests() {
        let text = "// fn no_test() {}\nconst A: &str = \"fn neither()\";\n#[test]\nasync fn it_holds() {}\n";
        assert_eq!(functions(text), ["it_holds"]);
    }
}
