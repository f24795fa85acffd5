//! `cargo xtask soak`: gateway, authority and agents together under mixed load, for as long as it is asked to.
//!
//! What they do and must keep is in `interop/soak.py`; a case of a few seconds of it runs with the others. Here is what
//! gives it the release binary, and a folder that stays to be looked into.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Context;

use crate::workspace::Workspace;

/// How it is run.
pub(crate) struct Options {
    pub(crate) minutes: f64,
    /// Use this countersign instead of building the release binary.
    pub(crate) binary: Option<PathBuf>,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> anyhow::Result<ExitCode> {
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => workspace.build_release()?,
    };
    let folder = workspace.root.join("target/soak");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let status = Command::new("python3")
        .arg(workspace.root.join("interop/soak.py"))
        .args(["--minutes", &options.minutes.to_string()])
        .arg("--binary")
        .arg(&binary)
        .arg("--out")
        .arg(&folder)
        .status()
        .context("python3 could not be started (Debian package python3)")?;
    println!("logs and certificates are in {}", folder.display());
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
