//! The project's own tasks: test everything, check the rules of the house, run real peers, measure.
//!
//! Nothing here ships. Each task is one module; what a task needs from the machine (a program, a right to
//! install one) is decided in one place each: [`peers`] for programs, [`workspace`] for cargo.

mod deny;
mod fuzz;
mod interop;
mod packages;
mod peers;
mod process;
mod report;
mod reproducible;
mod rust_source;
mod sbom;
mod secrets;
mod soak;
mod test;
mod tidy;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::workspace::Workspace;

/// The tasks of the countersign workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_version_flag = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Everything a change must pass: formatting, rules, lints, docs, tests, real peers, licences.
    Test(TestArguments),
    /// The rules of the house: arrows between crates, forbidden calls, file length, links.
    Tidy,
    /// The interop cases alone, against the release binary.
    Interop(InteropArguments),
    /// The fuzz targets under libFuzzer; needs a C++ compiler. The nightly run is this without arguments.
    Fuzz(FuzzArguments),
    /// Whether two builds of the last commit in two places are the same; two release builds, so 10 minutes on two cores.
    Reproducible {
        /// Another profile, for a quicker look.
        #[arg(long, default_value = "release")]
        profile: String,
    },
    /// Gateway, authority and agents together under mixed load: every answer right, memory and open files flat.
    Soak {
        #[arg(long, default_value_t = 30.0)]
        minutes: f64,
        /// Use this countersign instead of building the release binary.
        #[arg(long, value_name = "FILE")]
        binary: Option<PathBuf>,
    },
    /// What the release binary is made of, as CycloneDX, into target/countersign.cdx.json.
    Sbom,
    /// The benchmarks: `cargo run --release -p bench` with the arguments given.
    Bench {
        /// Passed on to the benchmark program as they are.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

#[derive(Args)]
struct TestArguments {
    /// Go on after a step that failed, and report all of them at the end.
    #[arg(long)]
    keep_going: bool,
    /// Accepted so that scripts can say it; every cargo call made here is locked, with or without.
    #[arg(long)]
    locked: bool,
}

#[derive(Args)]
struct InteropArguments {
    /// Run only the cases whose name contains one of these.
    filters: Vec<String>,
    /// How many cases run at once.
    #[arg(long, default_value_t = interop::DEFAULT_JOBS)]
    jobs: usize,
    /// Use this countersign instead of building the release binary.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Print the output of every case, not only of those that fail.
    #[arg(long)]
    show_output: bool,
    /// List the cases, their claims and the programs they need; run nothing.
    #[arg(long)]
    list: bool,
}

#[derive(Args)]
struct FuzzArguments {
    /// Run only the targets whose name contains one of these.
    filters: Vec<String>,
    /// Seconds for each target.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Add inputs that reach something new to the corpus in fuzz/corpus.
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::locate()?;
    match arguments.task {
        Task::Test(TestArguments { keep_going, locked: _ }) => test::run(&workspace, keep_going),
        Task::Tidy => tidy::run(&workspace),
        Task::Interop(InteropArguments { filters, jobs, binary, show_output, list }) => {
            let selection = interop::Selection { filters };
            if list {
                return interop::list(&workspace, &selection);
            }
            let options = interop::Options { jobs, binary, show_output };
            interop::run(&workspace, &selection, &options)
        }
        Task::Fuzz(FuzzArguments { filters, seconds, keep }) => {
            fuzz::run(&workspace, &fuzz::Options { filters, seconds, keep })
        }
        Task::Reproducible { profile } => reproducible::run(&workspace, &profile),
        Task::Soak { minutes, binary } => soak::run(&workspace, &soak::Options { minutes, binary }),
        Task::Sbom => sbom::run(&workspace),
        Task::Bench { arguments } => {
            let binary = workspace.build_release()?;
            let status = workspace
                .cargo(&["run", "--release", "--package", "bench", "--"])
                .args(arguments)
                .env("COUNTERSIGN", binary)
                .status()?;
            Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}
