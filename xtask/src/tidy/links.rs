//! Links in Markdown to files of this repository, and to headings in them, lead somewhere.
//!
//! Addresses outside are not followed: a test run does not depend on other people's servers.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::tidy::Finding;

/// Links in `text` that lead to no file, or to no heading of the Markdown file they lead to.
pub(super) fn unresolved(
    file: &Path,
    text: &str,
    known: &BTreeSet<PathBuf>,
    read: impl Fn(&Path) -> Option<String>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, target) in targets(text) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (path, heading) = target.split_once('#').unwrap_or((&target, ""));
        let resolved = if path.is_empty() { Some(file.to_owned()) } else { resolve(file, path) };
        let message = match resolved {
            None => format!("the link `{target}` leads out of the repository"),
            Some(path) => {
                let is_folder = || known.iter().any(|file| file.starts_with(&path));
                if !known.contains(&path) && !is_folder() {
                    format!("the link `{target}` leads to no file of the repository")
                } else if !heading.is_empty()
                    && path.extension().is_some_and(|extension| extension == "md")
                    && !read(&path).is_some_and(|text| headings(&text).iter().any(|known| known == heading))
                {
                    format!("the link `{target}` leads to a heading that is not there")
                } else {
                    continue;
                }
            }
        };
        findings.push(Finding::new(file.display().to_string(), Some(line), message));
    }
    findings
}

/// The target as a path from the root; `None` when it leaves the repository.
fn resolve(file: &Path, target: &str) -> Option<PathBuf> {
    let joined = match target.strip_prefix('/') {
        Some(absolute) => PathBuf::from(absolute),
        None => file.parent()?.join(target),
    };
    let mut path = PathBuf::new();
    for part in joined.components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::ParentDir if path.pop() => {}
            Component::ParentDir => return None,
            _ => {}
        }
    }
    Some(path)
}

/// The lines of a Markdown text outside of fenced code, with inline code blanked.
fn prose(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut fence: Option<&str> = None;
    (1..).zip(text.lines()).filter_map(move |(number, line)| {
        let start = line.trim_start();
        let marker = ["```", "~~~"].into_iter().find(|marker| start.starts_with(marker));
        match (fence, marker) {
            (None, Some(marker)) => fence = Some(marker),
            (Some(open), Some(marker)) if open == marker => fence = None,
            (None, None) => {
                let outside = |(place, part)| if place % 2 == 0 { part } else { "`" };
                return Some((number, line.split('`').enumerate().map(outside).collect()));
            }
            _ => {}
        }
        None
    })
}

/// Targets of `[text](target)` and of `[name]: target`, with their lines.
fn targets(text: &str) -> Vec<(usize, String)> {
    let mut targets = Vec::new();
    for (number, line) in prose(text) {
        let definition = line.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("]: "));
        let inline =
            line.match_indices("](").map(|(at, _)| &line[at + 2..]).filter_map(|rest| rest.split(')').next());
        for target in definition.map(|(_, target)| target).into_iter().chain(inline) {
            // Behind the target a title may stand; around it, angle brackets.
            let target = target.split_whitespace().next().unwrap_or_default();
            targets.push((number, target.trim_matches(['<', '>']).to_owned()));
        }
    }
    targets
}

/// The anchors that a forge makes of a text's headings: lower case, punctuation dropped, spaces to hyphens, and
/// a number behind the second of the same.
fn headings(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    // Inline code is blanked in prose and counts in a heading: the number finds the line as it was written.
    let outside_of_fences: BTreeSet<usize> = prose(text).map(|(number, _)| number).collect();
    for (_, line) in (1..).zip(text.lines()).filter(|(number, _)| outside_of_fences.contains(number)) {
        let title = line.trim_start_matches('#');
        if title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let slug: String = title
            .trim()
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let same = found.iter().filter(|known| **known == slug).count();
        found.push(if same == 0 { slug } else { format!("{slug}-{same}") });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: &str, text: &str) -> Vec<String> {
        let known = ["README.md", "docs/guide.md", "xtask/src/main.rs"].map(PathBuf::from).into();
        let read = |path: &Path| {
            (path == Path::new("docs/guide.md")).then(|| "# The guide, in short\n## A\n## A\n".to_owned())
        };
        unresolved(Path::new(file), text, &known, read).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn links_to_files_folders_headings_and_elsewhere_resolve() {
        let text = "[a](docs/guide.md) [b](docs) [c](docs/guide.md#the-guide-in-short) [d](https://x.example/y)\n\
                    [e](docs/guide.md#a-1 \"title\") [mail](mailto:a@b.example)\n[f]: <xtask/src/main.rs>\n";
        assert_eq!(found("README.md", text), Vec::<String>::new());
        assert_eq!(
            found("docs/guide.md", "[up](../README.md) [root](/README.md) [here](#a)"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn link_to_nothing_is_found() {
        let text = "[a](docs/none.md)\n[b](docs/guide.md#none)\n[c](../out.md)\n[d]: none.md\n";
        assert_eq!(
            found("README.md", text),
            [
                "the link `docs/none.md` leads to no file of the repository",
                "the link `docs/guide.md#none` leads to a heading that is not there",
                "the link `../out.md` leads out of the repository",
                "the link `none.md` leads to no file of the repository",
            ]
        );
    }

    #[test]
    fn code_is_no_link() {
        assert_eq!(
            found("README.md", "`[a](none)`\n```sh\n[b](none)\n```\n~~~\n[c](none)\n~~~\n"),
            Vec::<String>::new()
        );
    }
}
