//! Calls that a crate may not make, outside of its tests.
//!
//! Clippy's `disallowed-methods` holds for a whole workspace; these rules differ from crate to crate.

use std::path::{Component, Path};

use crate::rust_source::{NamedPath, blanked, named_paths, without_tests};
use crate::tidy::Finding;

/// Where a rule holds.
enum Scope {
    Only(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}

struct Rule {
    /// Paths or ends of paths: `SystemTime::now` is found in `std::time::SystemTime::now` too.
    paths: &'static [&'static str],
    /// What may follow a path above: plain data that shares its module with what is forbidden.
    but: &'static [&'static str],
    scope: Scope,
    reason: &'static str,
}

const PURE: Scope = Scope::Only(&["pki", "explain", "ca"]);

const RULES: &[Rule] = &[
    Rule {
        paths: &["std::fs", "std::process", "std::io::stdin", "std::io::stdout", "std::io::stderr"],
        but: &[],
        scope: PURE,
        reason: "this crate does no input and output: bytes come in and go out as values",
    },
    Rule {
        paths: &["std::net"],
        but: &["IpAddr", "Ipv4Addr", "Ipv6Addr", "AddrParseError"],
        scope: PURE,
        reason: "this crate opens no sockets",
    },
    Rule {
        paths: &["SystemTime::now", "Instant::now", "Timestamp::now", "Zoned::now"],
        but: &[],
        scope: PURE,
        reason: "this crate reads no clock: `now` is an argument",
    },
    Rule {
        paths: &["aws_lc_rs::rand"],
        but: &[],
        scope: PURE,
        reason: "this crate throws no dice: random bytes are an argument",
    },
    Rule {
        paths: &["println!", "print!", "eprintln!", "eprint!", "dbg!"],
        but: &[],
        scope: Scope::AllBut(&["cli", "bench", "xtask"]),
        reason: "printing is done only in cli",
    },
    Rule {
        paths: &["process::exit", "process::abort"],
        but: &[],
        scope: Scope::AllBut(&["cli"]),
        reason: "only cli ends the process, so that every destructor runs",
    },
    Rule {
        paths: &["std::env"],
        but: &[],
        scope: Scope::AllBut(&["cli", "testkit", "bench", "xtask"]),
        reason: "only cli reads the environment; a setting reaches a library as an argument",
    },
];

/// Calls in `file` that its crate may not make.
pub(super) fn forbidden(file: &Path, text: &str) -> Vec<Finding> {
    let Some(krate) = crate_of(file).filter(|_| !is_test_code(file)) else { return Vec::new() };
    let paths = named_paths(&without_tests(&blanked(text)));
    let mut findings = Vec::new();
    for rule in RULES.iter().filter(|rule| rule.scope.holds_for(krate)) {
        for path in &paths {
            if let Some(found) = rule.paths.iter().find(|forbidden| rule.is_broken_by(path, forbidden)) {
                let message = format!("`{found}` in {krate}: {}", rule.reason);
                findings.push(Finding::new(file.display().to_string(), Some(path.line), message));
            }
        }
    }
    findings
}

impl Scope {
    fn holds_for(&self, krate: &str) -> bool {
        match self {
            Self::Only(crates) => crates.contains(&krate),
            Self::AllBut(crates) => !crates.contains(&krate),
        }
    }
}

impl Rule {
    fn is_broken_by(&self, path: &NamedPath, forbidden: &str) -> bool {
        let forbidden: Vec<&str> = forbidden.split("::").collect();
        path.segments.windows(forbidden.len()).enumerate().any(|(start, window)| {
            let follows = path.segments.get(start + forbidden.len());
            window == forbidden && !follows.is_some_and(|next| self.but.contains(&next.as_str()))
        })
    }
}

/// The crate a source file belongs to: `crates/NAME/…`, or a folder of the root for the tools.
fn crate_of(file: &Path) -> Option<&str> {
    let mut parts = file.components().filter_map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    match (parts.next()?, parts.next()?) {
        ("crates", name) => Some(name),
        (name, _) => Some(name),
    }
}

/// Integration tests, build scripts, and modules that are only compiled for tests.
fn is_test_code(file: &Path) -> bool {
    let in_folder = |name: &str| file.parent().is_some_and(|folder| folder.iter().any(|part| part == name));
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    in_folder("tests") || in_folder("examples") || in_folder("benches") || stem == "tests" || stem == "build"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: &str, text: &str) -> Vec<String> {
        forbidden(Path::new(file), text).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn pure_crate_may_not_read_files_clock_or_dice_in_any_spelling() {
        for call in [
            "use std::{fmt, fs};",
            "fn f() { ::std::fs::read(p) }",
            "use std::net::{self, IpAddr};",
            "use std::net::TcpStream;",
            "let now = std::time::SystemTime::now();",
            "let now = jiff::Timestamp::now();",
            "use aws_lc_rs::rand::SystemRandom;",
            "println!(\"x\");",
        ] {
            assert_eq!(found("crates/pki/src/lib.rs", call).len(), 1, "{call}");
        }
    }

    #[test]
    fn plain_data_comments_strings_and_tests_are_free() {
        let text = "use std::net::{IpAddr, Ipv4Addr}; // std::fs\nconst A: &str = \"std::fs\";\n\
                    #[cfg(test)]\nmod tests { use std::fs; }\nfn now(env: std_env) {}\nenv!(\"X\");";
        assert_eq!(found("crates/pki/src/lib.rs", text), Vec::<String>::new());
        assert_eq!(found("crates/pki/tests/all.rs", "use std::fs;"), Vec::<String>::new());
        assert_eq!(found("crates/pki/src/der/tests.rs", "use std::fs;"), Vec::<String>::new());
    }

    #[test]
    fn only_cli_prints_exits_and_reads_the_environment() {
        let text = "fn f() {\n std::process::exit(1);\n std::env::var(x);\n eprintln!();\n}";
        assert_eq!(
            found("crates/net/src/lib.rs", text),
            [
                "crates/net/src/lib.rs:4: `eprintln!` in net: printing is done only in cli",
                "crates/net/src/lib.rs:2: `process::exit` in net: only cli ends the process, so that every destructor runs",
                "crates/net/src/lib.rs:3: `std::env` in net: only cli reads the environment; a setting reaches a library \
                 as an argument",
            ]
        );
        assert_eq!(found("crates/cli/src/main.rs", text), Vec::<String>::new());
    }
}
