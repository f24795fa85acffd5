//! The secrets of tests and cases are planted: they begin with what `cargo xtask test` seeks in all that is printed.

use std::path::Path;

use crate::secrets::{PLANTED, PLANTED_DIGITS};
use crate::tidy::Finding;

/// What stands before a passphrase or a PIN that somebody wrote down.
const BEFORE: [&str; 5] = ["Passphrase::new(\"", "-passout pass:", "-passin pass:", "--pin ", "--userpin "];

/// Secrets that are no test's own, and secret from nobody.
const PUBLIC: [&str; 3] = [
    "",         // no passphrase
    "changeit", // what every Java ships with
    "secret12", // of a file that NSS made
];

/// The secrets in a test or a case that nobody would find again.
pub(super) fn unmarked(file: &Path, text: &str) -> Vec<Finding> {
    let is_test = file.components().any(|part| part.as_os_str() == "tests") || file.starts_with("interop");
    if !is_test {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        for before in BEFORE {
            for rest in line.split(before).skip(1) {
                let ends = |c: char| c == '"' || (!before.ends_with('"') && (c.is_whitespace() || c == '\''));
                let secret = rest.split(ends).next().unwrap_or_default();
                let is_planted =
                    secret.to_ascii_lowercase().starts_with(PLANTED) || secret.starts_with(PLANTED_DIGITS);
                // A variable has its secret from elsewhere.
                if !is_planted && !PUBLIC.contains(&secret) && !secret.starts_with(['$', '{']) {
                    findings.push(Finding::new(
                        file.display().to_string(),
                        Some(number),
                        format!("a secret of a test begins with {PLANTED} or {PLANTED_DIGITS}, so that its leak is found"),
                    ));
                }
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_is_not_planted_is_found_in_tests_and_cases() {
        let count = |file: &str, text: &str| unmarked(Path::new(file), text).len();
        assert_eq!(count("crates/keys/tests/a.rs", "Passphrase::new(\"correct horse\")"), 1);
        assert_eq!(count("interop/cases/a.sh", "openssl pkcs8 -passout pass:correct -out a"), 1);
        assert_eq!(count("interop/cases/a.sh", "softhsm2-util --pin 1234 --so-pin 1"), 1);
    }

    #[test]
    fn planted_public_and_drawn_secrets_are_left_alone() {
        let count = |file: &str, text: &str| unmarked(Path::new(file), text).len();
        assert_eq!(
            count("crates/keys/tests/a.rs", "Passphrase::new(\"Planted-secret a\") Passphrase::new(\"\")"),
            0
        );
        assert_eq!(
            count("interop/cases/a.sh", "--pin 4815162342 --pin \"$(cat pin)\" -passout pass:changeit"),
            0
        );
        assert_eq!(count("crates/keys/src/a.rs", "Passphrase::new(\"correct horse\")"), 0);
    }
}
