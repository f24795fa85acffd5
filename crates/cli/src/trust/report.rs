//! What was found or done, store by store, as lines for people and as JSON. Nothing is printed here.

use std::fmt;
use std::path::Path;

use serde_json::{Value, json};

use super::{Outcome, Status, Step, Store};

/// What one store came to.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// The store.
    pub(crate) store: Store,
    /// What was asked of it and the answer.
    pub(crate) verdict: Verdict,
    /// What was done on the way.
    pub(crate) steps: Vec<Step>,
}

/// The answer of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// To `status`.
    Status(Status),
    /// To `install`.
    Installed(Outcome),
    /// To `uninstall`.
    Uninstalled(Outcome),
}

/// How a line is to be taken at a glance; what a colour is chosen by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// It is trusted, or what was asked is done.
    Good,
    /// Nothing had to be done, or it is not there.
    Neutral,
    /// It did not work.
    Bad,
    /// Belongs to the line above.
    Detail,
}

/// One line for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// How to take it.
    pub(crate) mark: Mark,
    /// What it says.
    pub(crate) text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.mark {
            Mark::Good => "✓ ",
            Mark::Neutral => "· ",
            Mark::Bad => "✗ ",
            Mark::Detail => "    ",
        };
        write!(f, "{sign}{}", self.text)
    }
}

impl Report {
    /// Whether the store is now as was asked; for `status`, whether it could be told.
    pub(crate) fn succeeded(&self) -> bool {
        !matches!(
            self.verdict,
            Verdict::Installed(Outcome::CouldNot { .. })
                | Verdict::Uninstalled(Outcome::CouldNot { .. })
                | Verdict::Status(Status::Unreadable(_) | Status::ToolMissing { .. })
        )
    }

    /// The verdict's mark, word, reason and remedy.
    fn parts(&self) -> (Mark, &'static str, Option<String>, Option<&str>) {
        match &self.verdict {
            Verdict::Status(Status::Present) => (Mark::Good, "trusted", None, None),
            Verdict::Status(Status::Absent) => (Mark::Neutral, "not trusted", None, None),
            Verdict::Status(Status::Untrusted) => {
                let reason = "the certificate is there, without trust for servers".to_owned();
                (Mark::Neutral, "not trusted", Some(reason), None)
            }
            Verdict::Status(Status::Unreadable(reason)) => {
                (Mark::Bad, "cannot tell", Some(reason.clone()), None)
            }
            Verdict::Status(Status::ToolMissing { program, remedy }) => {
                let reason = format!("the program `{program}` is not installed");
                (Mark::Bad, "cannot tell", Some(reason), Some(remedy))
            }
            Verdict::Installed(Outcome::Done) => (Mark::Good, "installed", None, None),
            Verdict::Uninstalled(Outcome::Done) => (Mark::Good, "removed", None, None),
            Verdict::Installed(Outcome::CouldNot { reason, remedy }) => {
                (Mark::Bad, "not installed", Some(reason.clone()), remedy.as_deref())
            }
            Verdict::Uninstalled(Outcome::CouldNot { reason, remedy }) => {
                (Mark::Bad, "not removed", Some(reason.clone()), remedy.as_deref())
            }
            Verdict::Installed(_) => (Mark::Neutral, "already trusted", None, None),
            Verdict::Uninstalled(_) => (Mark::Neutral, "was not there", None, None),
        }
    }

    /// The verdict as one word for programs.
    fn word(&self) -> &'static str {
        match &self.verdict {
            Verdict::Status(Status::Present) => "present",
            Verdict::Status(Status::Absent) => "absent",
            Verdict::Status(Status::Untrusted) => "untrusted",
            Verdict::Status(Status::Unreadable(_)) => "unreadable",
            Verdict::Status(Status::ToolMissing { .. }) => "tool-missing",
            Verdict::Installed(Outcome::Done) => "installed",
            Verdict::Uninstalled(Outcome::Done) => "removed",
            Verdict::Installed(Outcome::AlreadyThere) | Verdict::Uninstalled(Outcome::AlreadyThere) => {
                "already-there"
            }
            Verdict::Installed(Outcome::NotThere) | Verdict::Uninstalled(Outcome::NotThere) => "not-there",
            Verdict::Installed(Outcome::CouldNot { .. }) | Verdict::Uninstalled(Outcome::CouldNot { .. }) => {
                "could-not"
            }
        }
    }
}

/// One line a store, with `home` shortened to `~`; below it what was written, removed or noted, then why not and what
/// would do it. With `verbose` the programs that were run as well.
pub(crate) fn render(reports: &[Report], home: &Path, verbose: bool) -> Vec<Line> {
    let labels: Vec<String> = reports.iter().map(|report| report.store.label()).collect();
    let width = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for (report, label) in reports.iter().zip(&labels) {
        let (mark, word, reason, remedy) = report.parts();
        let location = match report.store.location().strip_prefix(home) {
            // A home that is the root folder would make everything look like the user's own.
            Ok(inside) if home.components().count() > 1 => format!("~/{}", inside.display()),
            _ => report.store.location().display().to_string(),
        };
        lines.push(Line { mark, text: format!("{word:<15}  {label:<width$}  {location}") });
        let mut detail = |text: String| lines.push(Line { mark: Mark::Detail, text });
        for step in &report.steps {
            if verbose || matches!(step, Step::Note(_) | Step::Wrote(_) | Step::Removed(_)) {
                detail(step.to_string());
            }
        }
        if let Some(reason) = reason {
            detail(reason);
        }
        if let Some(remedy) = remedy {
            detail(format!("to do it: {remedy}"));
        }
    }
    lines
}

/// The reports for programs: an array with one object a store.
pub(crate) fn json(reports: &[Report]) -> Value {
    reports
        .iter()
        .map(|report| {
            let (_, _, reason, remedy) = report.parts();
            json!({
                "store": report.store.kind().as_str(),
                "name": report.store.label(),
                "location": report.store.location().to_string_lossy(),
                "result": report.word(),
                "reason": reason,
                "remedy": remedy,
                "steps": report.steps.iter().map(ToString::to_string).collect::<Vec<_>>(),
            })
        })
        .collect()
}
