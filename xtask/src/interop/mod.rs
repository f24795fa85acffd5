//! Runs the interop cases: countersign as it is released against real programs of others.
//!
//! Each case gets a world of its own (folder, home, environment) and a bounded time. What a case proves stands
//! in its file; nothing here knows any of them.

pub(crate) mod case;
mod secrets;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail};

use crate::interop::case::Case;
use crate::process::{Ending, run_bounded, search_path};
use crate::report::duration;
use crate::workspace::Workspace;
use crate::{packages, peers, report};

/// Two cases at once: most of their time is waiting for processes to start.
pub(crate) const DEFAULT_JOBS: usize = 2;

/// What cases keep, such as screenshots, in the repository's own target folder.
const ARTEFACTS: &str = "target/interop/artefacts";

/// The longest that a case may take: several times what the longest takes on a machine that has other work.
const LIMIT: Duration = Duration::from_secs(300);

/// What makes cases longer or wider than a run of all of them has time for; each says it in its comment.
const LARGER: [&str; 3] = ["STORM_SECONDS", "STORM_CLIENTS", "FAULTS"];

/// How long such a case may take.
const LARGER_LIMIT: Duration = Duration::from_secs(2 * 3600);

/// Which cases.
#[derive(Default)]
pub(crate) struct Selection {
    /// A case is chosen when its name contains one of these, or there are none.
    pub(crate) filters: Vec<String>,
}

/// How they are run.
pub(crate) struct Options {
    pub(crate) jobs: usize,
    pub(crate) binary: Option<PathBuf>,
    pub(crate) show_output: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { jobs: DEFAULT_JOBS, binary: None, show_output: false }
    }
}

/// What came out of a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    /// The cases that failed, and why: the verdict, and the last line that the case said.
    pub(crate) failures: BTreeMap<String, String>,
    /// The cases that did not run, and the programs each lacked.
    pub(crate) skipped: BTreeMap<String, BTreeSet<String>>,
}

impl Tally {
    /// The line that closes a run, in a form that programs may rely on.
    pub(crate) fn line(&self) -> String {
        let mut line = format!("{} passed, {} failed", self.passed, self.failures.len());
        if !self.skipped.is_empty() {
            line.push_str(&format!(", {} skipped", self.skipped.len()));
        }
        line
    }

    /// One line for each case that failed: a log that is cut still has its end.
    pub(crate) fn failed(&self) -> Vec<String> {
        self.failures.iter().map(|(name, why)| format!("failed: interop {name}: {why}")).collect()
    }

    /// One line for each case that did not run, with the package it needs; then the command to type.
    pub(crate) fn not_run(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .skipped
            .iter()
            .map(|(name, programs)| {
                let packages = peers::debian_packages(programs.iter().map(String::as_str));
                let packages: Vec<&str> = packages.into_iter().collect();
                let programs: Vec<&str> = programs.iter().map(String::as_str).collect();
                format!(
                    "not run: interop {name}: needs {} (Debian package {})",
                    programs.join(", "),
                    packages.join(", ")
                )
            })
            .collect();
        if !lines.is_empty() {
            let programs: BTreeSet<&str> = self.skipped.values().flatten().map(String::as_str).collect();
            lines.push(format!("to run them: {}", peers::install_command(programs)));
        }
        lines
    }
}

/// Is this a continuous integration run, where a missing peer is a failure?
pub(crate) fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

impl Selection {
    fn cases(&self, root: &Path) -> anyhow::Result<Vec<Case>> {
        let mut cases = case::all(root)?;
        cases.retain(|case| {
            self.filters.is_empty() || self.filters.iter().any(|part| case.name.contains(part))
        });
        if cases.is_empty() {
            bail!("no case in {} is called anything like {:?}", case::FOLDER, self.filters.join(" "));
        }
        Ok(cases)
    }
}

/// Prints the selected cases with their claims.
pub(crate) fn list(workspace: &Workspace, selection: &Selection) -> anyhow::Result<ExitCode> {
    for case in selection.cases(&workspace.root)? {
        let needs =
            if case.head.needs.is_empty() { case::NOTHING.to_owned() } else { case.head.needs.join(" ") };
        println!("{}\n    {}\n    needs: {needs}", case.name, case.head.claim);
    }
    Ok(ExitCode::SUCCESS)
}

/// The task `cargo xtask interop`: peers, binary, cases, closing lines.
pub(crate) fn run(
    workspace: &Workspace,
    selection: &Selection,
    options: &Options,
) -> anyhow::Result<ExitCode> {
    provide_peers(workspace, selection)?;
    let binary = match &options.binary {
        Some(file) => fs::canonicalize(file).with_context(|| format!("{} cannot be used", file.display()))?,
        None => workspace.build_release()?,
    };
    let tally = run_cases(workspace, selection, options, &binary)?;
    for line in tally.not_run().iter().chain(&tally.failed()) {
        println!("{line}");
    }
    println!("{}", tally.line());
    Ok(if tally.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Installs what the selected cases need and the machine lacks, where that is ours to do. Says what it found,
/// and returns the programs that are still missing.
pub(crate) fn provide_peers(
    workspace: &Workspace,
    selection: &Selection,
) -> anyhow::Result<BTreeSet<String>> {
    let cases = selection.cases(&workspace.root)?;
    let needed: BTreeSet<&str> = cases.iter().flat_map(|case| &case.head.needs).map(String::as_str).collect();
    let missing = peers::missing(needed.iter().copied());
    // A name that is not in the table is no package's either.
    let installable: BTreeSet<&str> =
        missing.into_iter().filter(|program| peers::find(program).is_some()).collect();
    if !installable.is_empty() && peers::may_install() {
        peers::install(&installable)?;
    }
    packages::install(needed.iter().copied().filter(|word| packages::is_one(word)))?;
    let missing = peers::missing(needed.iter().copied());
    for word in &needed {
        let role = peers::find(word).map(|peer| peer.role);
        let role = role.or_else(|| packages::find(word).map(|package| package.role));
        let place = match (missing.contains(word), crate::process::find_program(word)) {
            (true, _) => "MISSING".to_owned(),
            (false, Some(file)) => file.display().to_string(),
            (false, None) => "target/interop".to_owned(),
        };
        println!("  {word:22} {place:34} {}", role.unwrap_or("not in the table of peers"));
    }
    Ok(missing.into_iter().map(str::to_owned).collect())
}

enum Verdict {
    Passed,
    Failed(String),
    Lacks(BTreeSet<String>),
}

struct Result {
    name: String,
    verdict: Verdict,
    output: String,
    took: Duration,
}

/// Runs the selected cases and prints a line each as it ends; for a failed one how its output begins and ends.
pub(crate) fn run_cases(
    workspace: &Workspace,
    selection: &Selection,
    options: &Options,
    binary: &Path,
) -> anyhow::Result<Tally> {
    let cases = selection.cases(&workspace.root)?;
    let world = World::new(workspace, binary)?;
    let next = AtomicUsize::new(0);
    let (sender, results) = mpsc::channel();
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.clamp(1, cases.len()) {
            let (sender, next, cases, world) = (sender.clone(), &next, &cases, &world);
            scope.spawn(move || {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if sender.send(run_case(case, world)).is_err() {
                        return; // Nobody listens any more.
                    }
                }
            });
        }
        drop(sender); // So that the loop below ends with the last worker.
        for result in results {
            record(&mut tally, result, is_ci(), options.show_output);
        }
    });
    Ok(tally)
}

/// Counts a result and prints it. A missing peer is a failure in CI, where the peers are ours to provide.
fn record(tally: &mut Tally, result: Result, is_ci: bool, show_output: bool) {
    let Result { name, verdict, output, took } = result;
    let lacks = |programs: &BTreeSet<String>| {
        format!("lacks {}", programs.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
    };
    let (word, why) = match &verdict {
        Verdict::Passed => ("ok     ", String::new()),
        Verdict::Failed(why) => ("FAILED ", why.clone()),
        Verdict::Lacks(programs) if is_ci => {
            ("FAILED ", format!("{} (and this is CI, where every peer must be there)", lacks(programs)))
        }
        Verdict::Lacks(programs) => ("skipped", lacks(programs)),
    };
    let colon = if why.is_empty() { "" } else { ": " };
    println!("{word} {name} ({}){colon}{why}", duration(took));
    let failed = word.starts_with("FAILED");
    if show_output {
        output.lines().for_each(|line| println!("    | {line}"));
    } else if failed {
        excerpt(&output).iter().for_each(|line| println!("    | {line}"));
    }
    match verdict {
        Verdict::Passed => tally.passed += 1,
        Verdict::Lacks(programs) if !failed => {
            tally.skipped.insert(name, programs);
        }
        Verdict::Failed(_) | Verdict::Lacks(_) => {
            let said = output.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
            let said = if said.is_empty() { String::new() } else { format!("; it said: {}", fold(said)) };
            tally.failures.insert(name, why + &said);
        }
    }
}

/// Lines shown from the beginning and from the end of what a failed case printed: one that prints a document
/// of thousands of lines must not push the other cases out of a log.
const SHOWN: (usize, usize) = (20, 100);

/// Characters shown of a line.
const WIDTH: usize = 400;

fn fold(line: &str) -> String {
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}… ({} bytes)", &line[..end], line.len()),
        None => line.to_owned(),
    }
}

fn excerpt(output: &str) -> Vec<String> {
    let lines: Vec<&str> = output.lines().collect();
    let (first, last) = SHOWN;
    let Some(left_out) = lines.len().checked_sub(first + last).filter(|count| *count > 0) else {
        return lines.into_iter().map(fold).collect();
    };
    let note = format!("… {left_out} lines left out; --show-output shows them …");
    let head = lines[..first].iter().map(|line| fold(line));
    head.chain([note]).chain(lines[lines.len() - last..].iter().map(|line| fold(line))).collect()
}

fn run_case(case: &Case, world: &World) -> Result {
    let start = Instant::now();
    let missing = peers::missing(case.head.needs.iter().map(String::as_str));
    let (verdict, output) = if missing.is_empty() {
        match world.run(case) {
            Ok((verdict, output)) => (verdict, output),
            Err(error) => (Verdict::Failed(format!("it could not be run: {error:#}")), String::new()),
        }
    } else {
        (Verdict::Lacks(missing.into_iter().map(str::to_owned).collect()), String::new())
    };
    Result { name: case.name.clone(), verdict, output, took: start.elapsed() }
}

/// What all cases of a run share, and the folder that holds what is theirs alone; removed at the end.
struct World {
    /// Where cases put what is to be looked at afterwards, each in a folder of its name.
    artefacts: PathBuf,
    folder: PathBuf,
    binary: PathBuf,
    path: OsString,
}

impl World {
    fn new(workspace: &Workspace, binary: &Path) -> anyhow::Result<Self> {
        let nanoseconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos();
        let folder =
            std::env::temp_dir().join(format!("countersign-interop-{}-{nanoseconds}", std::process::id()));
        let binary = workspace.root.join(binary);
        if !binary.is_file() {
            bail!("{} is not there", binary.display());
        }
        let path = std::env::join_paths(search_path()).context("PATH cannot be used")?;
        // The cases make private keys in it: nobody else may look.
        fs::DirBuilder::new().mode(0o700).create(&folder).with_context(|| folder.display().to_string())?;
        fs::create_dir(folder.join("ports"))?;
        let artefacts = workspace.root.join(ARTEFACTS);
        Ok(Self { folder, artefacts, binary, path })
    }

    fn run(&self, case: &Case) -> anyhow::Result<(Verdict, String)> {
        let home = self.folder.join(&case.name);
        fs::create_dir(&home)?;
        let log = self.folder.join(format!("{}.log", case.name));
        let artefacts = self.artefacts.join(&case.name);
        // What an earlier run kept would be taken for what this one shows.
        if artefacts.exists() {
            fs::remove_dir_all(&artefacts).with_context(|| artefacts.display().to_string())?;
        }
        let mut command = Command::new("bash");
        command
            .arg(&case.file)
            .current_dir(&home)
            .env_clear()
            .env("PATH", &self.path)
            .env("LANG", "C.UTF-8")
            .env("TERM", std::env::var_os("TERM").unwrap_or_else(|| "dumb".into()))
            .env("HOME", &home)
            .env("TMPDIR", &home)
            .env("COUNTERSIGN", &self.binary)
            .env("COUNTERSIGN_HOME", home.join("countersign"))
            .env("INTEROP_NODE_MODULES", packages::node_modules())
            .env("INTEROP_PROGRAMS", packages::programs())
            .env("INTEROP_PYTHON", packages::python())
            .env("INTEROP_ARTEFACTS", &artefacts)
            .env("INTEROP_PORTS", self.folder.join("ports"));
        let mut limit = LIMIT;
        for (name, value) in LARGER.iter().filter_map(|name| Some((name, std::env::var_os(name)?))) {
            command.env(name, value);
            limit = LARGER_LIMIT;
        }
        let ending = run_bounded(command, &log, limit)?;
        let output = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        let leaks = secrets::leaks(&home, &output);
        if artefacts.exists() {
            println!("kept in {}", artefacts.display());
        }
        let verdict = match ending {
            // Of a case that fails too: its output is shown and pasted.
            _ if !leaks.is_empty() => Verdict::Failed(leaks.join("; ")),
            Ending::Exited(status) if status.success() => Verdict::Passed,
            Ending::Exited(status) => Verdict::Failed(status.to_string()),
            Ending::TimedOut => Verdict::Failed(format!("still running after {}", report::duration(limit))),
        };
        Ok((verdict, output))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // In a test a panic is the report.
mod tests {
    use super::*;

    const HEAD: &str = "#!/usr/bin/env bash\n# It holds.\n";

    /// A repository with these cases, run with `/bin/true` as the binary.
    fn tally_of(cases: &[(&str, &str)]) -> Tally {
        let repository = tempfile::tempdir().unwrap();
        let folder = repository.path().join(case::FOLDER);
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in cases {
            fs::write(folder.join(name).with_extension("sh"), format!("{HEAD}{text}")).unwrap();
        }
        let workspace = Workspace::at(repository.path().into());
        let binary = crate::process::find_program("true").unwrap();
        run_cases(&workspace, &Selection::default(), &Options::default(), &binary).unwrap()
    }

    fn lacking(program: &str) -> Result {
        let verdict = Verdict::Lacks([program.to_owned()].into());
        Result { name: "a-case".into(), verdict, output: String::new(), took: Duration::ZERO }
    }

    #[test]
    fn cases_are_judged_by_their_exit_code() {
        let tally = tally_of(&[
            ("this-one-passes", "# needs: nothing\nexit 0\n"),
            ("this-one-fails", "# needs: nothing\nexit 3\n"),
            ("this-one-passes-too", "# needs: bash\n\"$COUNTERSIGN\"\n"),
        ]);
        assert_eq!(tally.line(), "2 passed, 1 failed");
    }

    #[test]
    fn each_case_has_a_world_of_its_own() {
        let check = "# needs: nothing\n[ \"$PWD\" = \"$HOME\" ] && [ -z \"$(ls -A)\" ] && [ -z \"${CARGO_HOME-}${USER-}\" ] \
                     && [ \"${COUNTERSIGN_HOME#\"$HOME\"/}\" = countersign ] && touch trace\n";
        assert_eq!(
            tally_of(&[("first-has-it", check), ("second-has-it", check)]).line(),
            "2 passed, 0 failed"
        );
    }

    #[test]
    fn missing_peer_is_a_failure_in_ci() {
        let mut tally = Tally::default();
        record(&mut tally, lacking("nginx"), true, false);
        assert_eq!(tally.line(), "0 passed, 1 failed");
    }

    #[test]
    fn failed_case_is_named_at_the_end_with_what_it_said_last() {
        let tally = tally_of(&[("this-one-fails", "# needs: nothing\necho well\necho no port\nexit 3\n")]);
        assert_eq!(
            tally.failed(),
            ["failed: interop this-one-fails: exit status: 3; it said: no port".to_owned()]
        );
    }

    #[test]
    fn long_output_keeps_its_beginning_and_its_end() {
        let output: Vec<String> = (1..=1000).map(|number| format!("line {number}")).collect();
        let shown = excerpt(&output.join("\n"));
        assert_eq!(shown.len(), 121);
        assert_eq!((shown[0].as_str(), shown[19].as_str()), ("line 1", "line 20"));
        assert_eq!((shown[21].as_str(), shown[120].as_str()), ("line 901", "line 1000"));
        assert!(shown[20].contains("880 lines"), "{}", shown[20]);
        assert!(excerpt(&"é".repeat(1000))[0].ends_with("… (2000 bytes)"));
    }

    #[test]
    fn missing_peer_elsewhere_is_named_with_its_package_and_the_remedy() {
        let mut tally = Tally::default();
        record(&mut tally, lacking("certutil"), false, false);
        assert_eq!(tally.line(), "0 passed, 0 failed, 1 skipped");
        assert_eq!(
            tally.not_run(),
            [
                "not run: interop a-case: needs certutil (Debian package libnss3-tools)",
                "to run them: sudo apt-get install libnss3-tools"
            ]
        );
    }

    #[test]
    fn filter_that_matches_nothing_is_an_error() {
        let repository = tempfile::tempdir().unwrap();
        fs::create_dir_all(repository.path().join(case::FOLDER)).unwrap();
        let selection = Selection { filters: vec!["curl".into()] };
        let refused = selection.cases(repository.path()).unwrap_err().to_string();
        assert!(refused.contains("curl"), "{refused}");
    }
}
