//! `cargo deny check`: licences, bans and sources of the whole dependency tree.
//!
//! The advisories check is not part of it: it needs a database from the network, and a test run must not fail
//! because a server elsewhere is down.

use std::process::Stdio;

use anyhow::bail;

use crate::workspace::Workspace;

/// The version that deny.toml is written for.
const VERSION: &str = "0.20.2";

/// The command that installs it, for a person to type.
pub(crate) fn install_command() -> String {
    format!("cargo install cargo-deny --version {VERSION} --locked")
}

/// What `cargo deny --version` says, if it is there.
pub(crate) fn installed_version(workspace: &Workspace) -> Option<String> {
    let output = workspace.cargo_unlocked(&["deny", "--version"]).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Installing is a minute and a half of both cores: done where the machine is ours (root) or CI's.
pub(crate) fn may_install(is_ci: bool) -> bool {
    is_ci || rustix::process::geteuid().is_root()
}

/// Installs it into cargo's own bin folder, once per machine.
///
/// Unoptimised: it runs for a second here, and optimising it takes minutes.
pub(crate) fn install(workspace: &Workspace) -> anyhow::Result<()> {
    println!("+ {} (unoptimised: 90 seconds on two cores; once per machine)", install_command());
    let status = workspace
        .cargo_unlocked(&["install", "cargo-deny", "--version", VERSION, "--locked"])
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "256")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
        // A target folder set for this workspace would keep the leftovers of a program that is none of it.
        .env_remove("CARGO_TARGET_DIR")
        .status()?;
    if !status.success() {
        bail!("cargo-deny {VERSION} could not be installed");
    }
    Ok(())
}

/// Runs the three checks. `true` when all of them pass.
///
/// A failure is printed in full, with the way by which the crate came in; of warnings the headline is enough.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<bool> {
    let arguments = ["deny", "--locked", "--all-features", "check", "licenses", "bans", "sources"];
    // Diagnostics go to standard error, the closing line to standard output.
    let output = workspace.cargo_unlocked(&arguments).output()?;
    let report = String::from_utf8_lossy(&output.stderr);
    let passed = output.status.success();
    for line in report.lines().filter(|line| !passed || line.starts_with("warning")) {
        println!("{line}");
    }
    println!("{}", String::from_utf8_lossy(&output.stdout).trim());
    Ok(passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn install_command_pins_the_version_and_the_lock_file() {
        assert_eq!(install_command(), "cargo install cargo-deny --version 0.20.2 --locked");
    }
}
