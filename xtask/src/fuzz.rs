//! `cargo xtask fuzz`: the targets of `fuzz/` under libFuzzer, with the stable toolchain.
//!
//! What cargo-fuzz does with nightly is done here without: coverage is asked of LLVM by code generation flags, which are
//! stable, and the one thing that is not, a sanitizer, would look for faults of memory in code without `unsafe`.
//! Overflows and broken assertions are finds, since the profile has both checks on.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::process::{Ending, run_bounded};
use crate::report::{banner, duration};
use crate::workspace::Workspace;

/// What is run, and for how long.
pub(crate) struct Options {
    /// Targets whose name contains one of these; all where there is none.
    pub(crate) filters: Vec<String>,
    /// Seconds for each target.
    pub(crate) seconds: u64,
    /// Whether inputs that reach something new are added to the corpus.
    pub(crate) keep: bool,
}

/// What cargo-fuzz gives to rustc for coverage, and no sanitizer.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// One input may take this many seconds. The dearest ones (a PKCS#12 file with all its iterations) take a tenth of one.
const SECONDS_FOR_AN_INPUT: u32 = 10;
const MEGABYTES: u32 = 2048;
/// Octets of an input that is kept: a corpus is read by people too.
const LARGEST_KEPT: u64 = 16 * 1024;

/// Builds the targets and runs each; a crash leaves its input in `target/fuzz/finds` and fails the task.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> anyhow::Result<ExitCode> {
    let folder = workspace.root.join("fuzz");
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).context("fuzz/Cargo.toml")?;
    let targets: Vec<String> =
        target_names(&manifest).into_iter().filter(|name| is_wanted(name, &options.filters)).collect();
    if targets.is_empty() {
        bail!("no target's name contains {}", options.filters.join(" or "));
    }
    let output = workspace.root.join("target/fuzz");
    let host = host()?;
    build(workspace, &folder, &output, &host, &targets)?;
    let seeds = fs::read_to_string(folder.join("seeds.txt")).context("fuzz/seeds.txt")?;
    let mut failed = Vec::new();
    banner(&format!("{} targets, {} s each", targets.len(), options.seconds));
    for name in &targets {
        let binary = output.join(&host).join("release").join(name);
        let more = seeds_of(&seeds, name).map(|folder| workspace.root.join(folder));
        let target = Target { name, binary, own: folder.join("corpus").join(name), more: more.collect() };
        if !target.fuzz(&output, options)? {
            failed.push(name.as_str());
        }
        if options.keep {
            target.keep(&output)?;
        }
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("found faults: {}; the inputs are in {}", failed.join(", "), output.join("finds").display());
    println!("make each a test where the code is, named after what it claims; then mend it");
    Ok(ExitCode::FAILURE)
}

/// The names of the binaries in a manifest, in their order.
fn target_names(manifest: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_binary = false;
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            is_binary = line == "[[bin]]";
        } else if is_binary && let Some(name) = line.strip_prefix("name = ") {
            names.push(name.trim_matches('"').to_owned());
        }
    }
    names
}

fn is_wanted(name: &str, filters: &[String]) -> bool {
    filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
}

/// The folders that `seeds.txt` names for a target.
fn seeds_of<'t>(seeds: &'t str, target: &'t str) -> impl Iterator<Item = &'t str> {
    let lines = seeds.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '));
    lines.filter(move |(name, _)| *name == target).map(|(_, folder)| folder.trim())
}

/// The triple of this machine. With it named, build scripts and macros are built without the flags for targets.
fn host() -> anyhow::Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("rustc could not be started")?;
    let text = String::from_utf8(output.stdout)?;
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("rustc -vV names no host")?.to_owned())
}

fn build(
    workspace: &Workspace,
    folder: &Path,
    output: &Path,
    host: &str,
    targets: &[String],
) -> anyhow::Result<()> {
    banner("the fuzz targets, with coverage");
    let mut command = workspace.cargo(&["build", "--release", "--target", host]);
    for target in targets {
        command.args(["--bin", target]);
    }
    let status =
        command.current_dir(folder).env("RUSTFLAGS", FLAGS).env("CARGO_TARGET_DIR", output).status()?;
    if !status.success() {
        bail!(
            "the fuzz targets do not build; libFuzzer needs a C++ compiler beside what CONTRIBUTING.md names"
        );
    }
    Ok(())
}

struct Target<'a> {
    name: &'a str,
    binary: PathBuf,
    /// Its corpus in the repository.
    own: PathBuf,
    more: Vec<PathBuf>,
}

impl Target<'_> {
    /// Runs it for its time. `false` when it found something.
    fn fuzz(&self, output: &Path, options: &Options) -> anyhow::Result<bool> {
        let (found, finds) = (output.join("corpus").join(self.name), output.join("finds"));
        let log = output.join(format!("{}.log", self.name));
        fs::create_dir_all(&found)?;
        fs::create_dir_all(&finds)?;
        let before = files_in(&finds)?;
        let mut command = Command::new(&self.binary);
        // The first folder is where libFuzzer writes.
        command.arg(&found).args(self.own.is_dir().then_some(&self.own)).args(&self.more);
        command.args([
            format!("-max_total_time={}", options.seconds),
            format!("-timeout={SECONDS_FOR_AN_INPUT}"),
            format!("-rss_limit_mb={MEGABYTES}"),
            format!("-artifact_prefix={}/{}-", finds.display(), self.name),
            "-print_final_stats=1".to_owned(),
            "-verbosity=1".to_owned(),
        ]);
        let start = Instant::now();
        // It ends by itself; the limit is for one that hangs in what its own alarm does not see.
        let ending = run_bounded(command, &log, Duration::from_secs(options.seconds + 120))?;
        let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        let passed = matches!(ending, Ending::Exited(status) if status.success());
        let took = duration(start.elapsed());
        println!(
            "{:16} {} in {took}: {}",
            self.name,
            if passed { "ok    " } else { "FAILED" },
            summary(&text)
        );
        if !passed {
            let told = text.lines().filter(|line| is_telling(line));
            told.take(12).for_each(|line| println!("    {line}"));
            for file in files_in(&finds)?.difference(&before) {
                println!("    {}", file.display());
            }
        }
        Ok(passed)
    }

    /// Takes from what was found new the inputs that reach what the corpus does not.
    fn keep(&self, output: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(&self.own)?;
        let found = output.join("corpus").join(self.name);
        for file in files_in(&found)? {
            if fs::metadata(&file)?.len() > LARGEST_KEPT {
                fs::remove_file(file)?;
            }
        }
        let before = files_in(&self.own)?;
        let mut command = Command::new(&self.binary);
        command.args(["-merge=1", "-timeout=10"]).arg(&self.own).args([&found]).args(&self.more);
        let log = output.join(format!("{}-merge.log", self.name));
        run_bounded(command, &log, Duration::from_secs(600))?;
        println!("{:16} kept {} new inputs", self.name, files_in(&self.own)?.difference(&before).count());
        Ok(())
    }
}

fn files_in(folder: &Path) -> anyhow::Result<BTreeSet<PathBuf>> {
    Ok(fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?)
}

/// What matters of libFuzzer's closing statistics.
fn summary(log: &str) -> String {
    let figure = |name: &str| {
        let line = log.lines().find_map(|line| line.strip_prefix(name));
        line.map_or_else(|| "?".to_owned(), |value| value.trim().to_owned())
    };
    // The last status line says `cov: 1234 ft: …`.
    let coverage = log.lines().rev().find_map(|line| line.split_once("cov: ")?.1.split(' ').next());
    format!(
        "{} runs, {} edges, {} new inputs",
        figure("stat::number_of_executed_units:"),
        coverage.unwrap_or("?"),
        figure("stat::new_units_added:")
    )
}

/// The lines of a crash that say what broke, and where.
fn is_telling(line: &str) -> bool {
    ["panicked at", "ERROR: libFuzzer", "assertion", "  left:", " right:", "SUMMARY:"]
        .iter()
        .any(|sign| line.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_the_binaries_of_the_manifest_and_nothing_else() {
        let manifest =
            "[package]\nname = \"x\"\n\n[[bin]]\nname = \"der\"\npath = \"a\"\n[[bin]]\nname = \"pem\"\n";
        assert_eq!(target_names(manifest), ["der", "pem"]);
        assert!(is_wanted("http_body", &["http".to_owned()]) && !is_wanted("der", &["http".to_owned()]));
    }

    #[test]
    fn seeds_of_a_target_are_the_folders_of_its_lines() {
        let seeds = "# a comment\nder   a/b\npem   c\nder d\n";
        assert_eq!(seeds_of(seeds, "der").collect::<Vec<_>>(), ["a/b", "d"]);
    }

    #[test]
    fn figures_are_taken_from_the_closing_lines() {
        let log = "#2 INITED cov: 3 ft: 4\n#900 DONE   cov: 1234 ft: 9 corp: 2\n\
                   stat::number_of_executed_units: 900\nstat::new_units_added:          7\n";
        assert_eq!(summary(log), "900 runs, 1234 edges, 7 new inputs");
        assert!(is_telling("thread '<unnamed>' panicked at src/lib.rs:1:2:"));
    }
}
