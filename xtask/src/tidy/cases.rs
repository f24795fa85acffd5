//! The form of an interop case: a name that is a claim, a head that can be read, a file that can be run.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::interop::case::parse_head;
use crate::tidy::Finding;
use crate::{packages, peers};

/// A name of fewer words names a subject and claims nothing about it.
const FEWEST_WORDS: usize = 4;

/// Programs that are everywhere a case can run at all, and need no package.
const EVERYWHERE: &[&str] = &["bash"];

/// Can the file be run as it is?
pub(super) fn is_executable(file: &Path) -> std::io::Result<bool> {
    Ok(std::fs::metadata(file)?.permissions().mode() & 0o111 != 0)
}

/// What is wrong with the form of a case. Files beside the cases (a Node.js server that a case starts) are free.
pub(super) fn form(file: &Path, text: &str, is_executable: bool) -> Vec<Finding> {
    if file.extension().is_none_or(|extension| extension != "sh") {
        return Vec::new();
    }
    let mut wrong = Vec::new();
    let name = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let words: Vec<&str> = name.split('-').collect();
    let is_word = |word: &&str| {
        !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.')
    };
    if words.len() < FEWEST_WORDS || !words.iter().all(is_word) {
        wrong.push(format!(
            "the name must be a claim: at least {FEWEST_WORDS} lower-case words with hyphens between"
        ));
    }
    if !is_executable {
        wrong.push("is not executable: chmod +x it".to_owned());
    }
    match parse_head(text) {
        Err(reason) => wrong.push(reason),
        Ok(head) => {
            let unknown = |word: &&String| {
                peers::find(word).is_none()
                    && packages::find(word).is_none()
                    && !EVERYWHERE.contains(&word.as_str())
            };
            wrong.extend(head.needs.iter().filter(unknown).map(|word| {
                format!("needs {word}, which is in no table (xtask/src/peers.rs, xtask/src/packages.rs)")
            }));
        }
    }
    if !text.lines().any(|line| line.ends_with("/lib.sh\"") && line.starts_with(". ")) {
        wrong.push("does not use the library: . \"$(dirname \"$0\")/../lib.sh\"".to_owned());
    }
    wrong.into_iter().map(|message| Finding::new(file.display().to_string(), None, message)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "#!/usr/bin/env bash\n# Curl gets in.\n# needs: curl\n. \"$(dirname \"$0\")/../lib.sh\"\nsay hello\n";

    fn wrong(name: &str, text: &str, is_executable: bool) -> Vec<String> {
        form(Path::new("interop/cases").join(name).as_path(), text, is_executable)
            .into_iter()
            .map(|finding| finding.message)
            .collect()
    }

    #[test]
    fn case_in_good_form_gives_no_finding() {
        assert_eq!(wrong("curl-gets-in-with-tls1.3.sh", GOOD, true), Vec::<String>::new());
        assert_eq!(wrong("server.mjs", "", false), Vec::<String>::new());
    }

    #[test]
    fn name_that_claims_nothing_is_found() {
        for name in ["curl.sh", "curl-works.sh", "Curl-Gets-In-Here.sh", "curl_gets_in_here.sh", "a--b-c.sh"]
        {
            assert_eq!(wrong(name, GOOD, true).len(), 1, "{name}");
        }
    }

    #[test]
    fn case_that_is_not_executable_is_found() {
        assert_eq!(wrong("curl-gets-in-here.sh", GOOD, false), ["is not executable: chmod +x it"]);
    }

    #[test]
    fn unknown_program_and_missing_library_are_found() {
        let text = "#!/usr/bin/env bash\n# It holds.\n# needs: curl lynx\n";
        let found = wrong("lynx-gets-in-here.sh", text, true);
        assert!(found.len() == 2 && found[0].contains("lynx") && found[1].contains("lib.sh"), "{found:?}");
    }
}
