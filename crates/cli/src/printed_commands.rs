//! What the product tells people to type, it must itself understand: every command of ours in the sources of its advice
//! is given to our own parser.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use clap::error::ErrorKind;

use crate::Arguments;

/// Where advice is written, from the workspace's root.
const PLACES: &[&str] = &[
    "crates/explain/src/doctor",
    "crates/explain/src/finding.rs",
    "crates/explain/src/tls",
    "crates/net/src/refusal.rs",
    "crates/net/src/serve/access.rs",
    "crates/net/src/dial",
    "crates/service/src/console",
    "crates/cli/src/commands",
    "crates/cli/src/input.rs",
    "crates/cli/src/home.rs",
    "crates/cli/src/feed.rs",
];

fn sources(place: &Path, found: &mut Vec<PathBuf>) {
    if !place.is_dir() {
        found.push(place.to_owned());
        return;
    }
    for entry in std::fs::read_dir(place).unwrap() {
        sources(&entry.unwrap().path(), found);
    }
}

/// The string literals of a Rust source that begin with the program's name; documentation prints nothing.
fn commands(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (start, _) in source.match_indices("\"countersign ") {
        let line = source[..start].lines().next_back().unwrap_or_default();
        if line.trim_start().starts_with("//") {
            continue;
        }
        let mut literal = String::new();
        let mut rest = source[start + 1..].chars();
        while let Some(letter) = rest.next() {
            match letter {
                '"' => break,
                '\\' => match rest.next() {
                    // A line that goes on: its indentation is none of the text.
                    Some('\n') => rest = rest.as_str().trim_start().chars(),
                    Some(escaped) => literal.push(escaped),
                    None => break,
                },
                other => literal.push(other),
            }
        }
        found.push(literal);
    }
    found
}

/// What stands in the place of what is filled in, where not any word will do.
const FILLED: &[(&str, &str)] = &[
    ("issue {kind}", "issue client"),
    ("issue {} {}", "issue client x"),
    ("--profile {}", "--profile client"),
    ("{flag}", "--allow-cn x"),
    ("PORT", "443"),
];

/// The words of the command up to what is no part of it, as a shell takes them.
fn words(command: &str) -> Vec<String> {
    let end = ["  #", " && ", " > ", " | ", "; ", "    ("].iter().filter_map(|mark| command.find(mark)).min();
    let mut text = command[..end.unwrap_or(command.len())].to_owned();
    for (pattern, word) in FILLED {
        text = text.replace(pattern, word);
    }
    while let Some((open, close)) =
        text.find('{').and_then(|open| Some((open, open + text[open..].find('}')?)))
    {
        text.replace_range(open..=close, "x");
    }
    let quoted = text.split('\'').enumerate().flat_map(|(number, part)| match number % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    quoted.filter(|word| word != "…").collect()
}

#[test]
fn every_command_of_ours_that_is_printed_is_one_that_we_understand() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for place in PLACES {
        sources(&root.join(place), &mut files);
    }
    let (mut wrong, mut count) = (Vec::new(), 0);
    for file in files {
        let source = std::fs::read_to_string(&file).unwrap();
        // Where the subcommand is put together elsewhere, there is nothing to read.
        let is_whole = |command: &String| {
            command.split(' ').nth(1).is_some_and(|word| word.starts_with(char::is_alphabetic))
        };
        for command in commands(&source).into_iter().filter(is_whole) {
            count += 1;
            let Err(error) = Arguments::command().try_get_matches_from(words(&command)) else { continue };
            let is_cut = command.contains('…') && error.kind() == ErrorKind::MissingRequiredArgument;
            if !is_cut {
                let first = error.to_string();
                wrong.push(format!(
                    "{}: {command}\n    {}",
                    file.display(),
                    first.lines().next().unwrap_or_default()
                ));
            }
        }
    }
    assert!(count > 80, "only {count} commands were found");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
