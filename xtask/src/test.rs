//! `cargo xtask test`: everything a change must pass, the cheap first.
//!
//! The steps are a table; a step that is added there is run, timed and reported. Three builds are made and no
//! more: check metadata (clippy and docs share it), debug (the tests), release (the binary that real peers
//! meet).

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::interop::{Options, Selection, Tally};
use crate::report::{Outcome, Row, banner, duration, table};
use crate::workspace::Workspace;
use crate::{deny, interop, process, secrets, tidy};

/// One step: its name in the closing table, what it is in a few words, and the work.
struct Step {
    name: &'static str,
    about: &'static str,
    run: fn(&mut Run) -> anyhow::Result<Outcome>,
}

#[rustfmt::skip] // One line a step reads as the order it is.
const STEPS: &[Step] = &[
    Step { name: "fmt",     about: "every file is formatted",                          run: fmt },
    Step { name: "tidy",    about: "the rules of the house",                           run: tidy },
    Step { name: "clippy",  about: "no lint, in code and tests",                       run: clippy },
    Step { name: "docs",    about: "the documentation builds without a warning",       run: docs },
    Step { name: "peers",   about: "the programs that interop cases talk to",          run: peers },
    Step { name: "test",    about: "unit, command-line and documentation tests",       run: unit_tests },
    Step { name: "release", about: "the binary as it is released",                     run: release },
    Step { name: "interop", about: "the released binary against real peers",           run: interop_cases },
    Step { name: "deny",    about: "licences, bans and sources of all dependencies",   run: deny },
];

/// What one run of all steps hands from step to step.
struct Run<'a> {
    workspace: &'a Workspace,
    is_ci: bool,
    binary: Option<PathBuf>,
    tally: Option<Tally>,
    not_run: Vec<String>,
}

/// Runs the steps, then prints the table, what did not run and why, and the count of the interop cases.
pub(crate) fn run(workspace: &Workspace, keep_going: bool) -> anyhow::Result<ExitCode> {
    let mut run = Run { workspace, is_ci: interop::is_ci(), binary: None, tally: None, not_run: Vec::new() };
    let start = Instant::now();
    let mut rows: Vec<Row> = Vec::new();
    for step in STEPS {
        let failed_before = rows.iter().any(|row| matches!(row.outcome, Outcome::Failed(_)));
        if failed_before && !keep_going {
            rows.push(Row { step: step.name, outcome: Outcome::NotReached, took: Duration::ZERO });
            continue;
        }
        banner(&format!("{}: {}", step.name, step.about));
        let step_start = Instant::now();
        let outcome = (step.run)(&mut run).unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
        let took = step_start.elapsed();
        println!("--- {}: {} in {}", step.name, word(&outcome), duration(took));
        rows.push(Row { step: step.name, outcome, took });
    }
    banner(&format!("all steps, {}", duration(start.elapsed())));
    print!("{}", table(&rows));
    Ok(close(&run, &rows))
}

/// The last lines: what did not run, and the count that closes the run.
fn close(run: &Run, rows: &[Row]) -> ExitCode {
    let failed: Vec<&str> =
        rows.iter().filter(|row| matches!(row.outcome, Outcome::Failed(_))).map(|row| row.step).collect();
    if !failed.is_empty() {
        println!("failed: {}", failed.join(", "));
    }
    for row in rows.iter().filter(|row| row.outcome == Outcome::NotReached) {
        println!("not run: {}: a step before it failed; --keep-going runs it all the same", row.step);
    }
    for line in &run.not_run {
        println!("{line}");
    }
    // Without a run of the cases there is no count: a line of zeros would read as if there had been one.
    if let Some(tally) = &run.tally {
        tally.failed().iter().for_each(|line| println!("{line}"));
        println!("{}", tally.line());
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Passed => "ok".to_owned(),
        Outcome::Failed(why) => format!("FAILED ({why})"),
        Outcome::NotRun(why) => format!("not run ({why})"),
        Outcome::NotReached => "not reached".to_owned(),
    }
}

/// Runs a command to its end; what it printed is the evidence, the outcome only says that there is some.
fn judged(mut command: Command) -> anyhow::Result<Outcome> {
    let status = command.status()?;
    Ok(if status.success() { Outcome::Passed } else { Outcome::Failed(status.to_string()) })
}

fn fmt(run: &mut Run) -> anyhow::Result<Outcome> {
    judged(run.workspace.cargo_unlocked(&["fmt", "--all", "--check"]))
}

fn tidy(run: &mut Run) -> anyhow::Result<Outcome> {
    let findings = tidy::check(run.workspace)?;
    for finding in &findings {
        println!("{finding}");
    }
    Ok(if findings.is_empty() {
        Outcome::Passed
    } else {
        Outcome::Failed(format!("{} findings", findings.len()))
    })
}

fn clippy(run: &mut Run) -> anyhow::Result<Outcome> {
    judged(run.workspace.cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

/// Private items too: the binary and the tasks have no others, and a link from a module's introduction to a
/// private function is worth keeping true.
fn docs(run: &mut Run) -> anyhow::Result<Outcome> {
    let mut command = run.workspace.cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    judged(command)
}

fn peers(run: &mut Run) -> anyhow::Result<Outcome> {
    let missing = match interop::provide_peers(run.workspace, &Selection::default()) {
        Ok(missing) => missing,
        Err(error) if run.is_ci => return Err(error),
        // Elsewhere a package that cannot be had is no reason to stop: the cases that need it say so.
        Err(error) => {
            println!("{error:#}");
            return Ok(Outcome::NotRun("a package could not be installed".to_owned()));
        }
    };
    let names: Vec<&str> = missing.iter().map(String::as_str).collect();
    Ok(match (names.is_empty(), run.is_ci) {
        (true, _) => Outcome::Passed,
        (false, true) => Outcome::Failed(format!("missing: {}", names.join(", "))),
        (false, false) => Outcome::NotRun(format!("missing: {}", names.join(", "))),
    })
}

/// What tests print is kept, of those that pass too, and searched for secrets: a log, an error, a panic that tells one
/// fails the step.
fn unit_tests(run: &mut Run) -> anyhow::Result<Outcome> {
    let mut command = run.workspace.cargo(&["test", "--workspace", "--no-fail-fast", "--", "--show-output"]);
    if std::io::stderr().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let mut successes = Successes::default();
    let (status, output) = process::run_watched(command, |line| !successes.holds(line))?;
    Ok(match secrets::complaint("the output of the tests", &output) {
        Some(complaint) => Outcome::Failed(complaint),
        None if status.success() => Outcome::Passed,
        None => Outcome::Failed(status.to_string()),
    })
}

/// Where the test harness says again what passed, and all that it printed: for the search, and for nobody to read.
#[derive(Default)]
struct Successes {
    is_inside: bool,
}

impl Successes {
    fn holds(&mut self, line: &str) -> bool {
        match line.trim_end() {
            "successes:" => self.is_inside = true,
            "failures:" => self.is_inside = false,
            line if line.starts_with("test result:") => self.is_inside = false,
            _ => {}
        }
        self.is_inside
    }
}

fn release(run: &mut Run) -> anyhow::Result<Outcome> {
    run.binary = Some(run.workspace.build_release()?);
    Ok(Outcome::Passed)
}

fn interop_cases(run: &mut Run) -> anyhow::Result<Outcome> {
    let Some(binary) = &run.binary else {
        return Ok(Outcome::Failed("there is no release binary".to_owned()));
    };
    let tally = interop::run_cases(run.workspace, &Selection::default(), &Options::default(), binary)?;
    run.not_run.extend(tally.not_run());
    let outcome = match (tally.failures.len(), tally.passed) {
        (0, 0) => Outcome::NotRun("no case could run".to_owned()),
        (0, _) => Outcome::Passed,
        (failed, _) => Outcome::Failed(format!("{failed} cases")),
    };
    run.tally = Some(tally);
    Ok(outcome)
}

fn deny(run: &mut Run) -> anyhow::Result<Outcome> {
    if deny::installed_version(run.workspace).is_none() {
        if !deny::may_install(run.is_ci) {
            run.not_run.push(format!("not run: deny: needs cargo-deny: {}", deny::install_command()));
            return Ok(Outcome::NotRun("cargo-deny is missing".to_owned()));
        }
        deny::install(run.workspace)?;
    }
    let passed = deny::check(run.workspace)?;
    Ok(if passed { Outcome::Passed } else { Outcome::Failed("cargo deny check".to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passing_tests_print_is_held_back_and_what_failed_is_shown() {
        let output = [
            "running 2 tests",
            "test a ... ok",
            "test b ... FAILED",
            "successes:",
            "---- a stdout ----",
            "well",
            "failures:",
            "---- b stdout ----",
            "not well",
            "test result: FAILED. 1 passed; 1 failed",
        ];
        let mut successes = Successes::default();
        let held: Vec<&str> = output.into_iter().filter(|line| successes.holds(line)).collect();
        assert_eq!(held, ["successes:", "---- a stdout ----", "well"]);
    }

    #[test]
    fn cheap_steps_come_before_builds_and_the_peers_before_their_cases() {
        let place = |name: &str| STEPS.iter().position(|step| step.name == name);
        let order = ["fmt", "tidy", "clippy", "test", "release", "interop"].map(place);
        assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{order:?}");
        assert!(place("peers") < place("interop"));
    }
}
