//! `cargo xtask reproducible`: the release binary is a function of the source, the compiler and nothing else. It is built
//! twice, from two copies of the last commit in folders of different names, and both come out the same, octet by octet.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail};

use crate::report::banner;
use crate::workspace::Workspace;

/// Folders of the two copies: of different depth and length, so that a path that stays in the binary shows.
const COPIES: [&str; 2] = ["a", "another/and-deeper"];

/// Builds twice and compares.
pub(crate) fn run(workspace: &Workspace, profile: &str) -> anyhow::Result<ExitCode> {
    let place = workspace.root.join("target/reproducible");
    let mut binaries = Vec::new();
    for copy in COPIES {
        banner(&format!("the {profile} build in {copy}"));
        let folder = place.join(copy);
        unpack(workspace, &folder)?;
        binaries.push(build(workspace, &folder, profile)?);
    }
    let contents = binaries.iter().map(fs::read).collect::<std::io::Result<Vec<_>>>()?;
    for binary in &binaries {
        sha256sum(binary)?;
    }
    match first_difference(&contents[0], &contents[1]) {
        None => {
            println!("both builds are the same, {} octets", contents[0].len());
            Ok(ExitCode::SUCCESS)
        }
        Some(at) => {
            println!("the builds differ from octet {at} on, where the first one has:");
            println!(
                "    {}",
                contents[0][at.saturating_sub(40)..contents[0].len().min(at + 80)].escape_ascii()
            );
            println!("diffoscope {} {}", binaries[0].display(), binaries[1].display());
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Where two contents begin to differ.
fn first_difference(one: &[u8], other: &[u8]) -> Option<usize> {
    if one == other {
        return None;
    }
    let shorter = one.len().min(other.len());
    Some(one.iter().zip(other).position(|(one, other)| one != other).unwrap_or(shorter))
}

/// The last commit, as `git archive` gives it: what is not committed is no part of a release.
fn unpack(workspace: &Workspace, folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let mut archive = Command::new("git")
        .current_dir(&workspace.root)
        .args(["archive", "HEAD"])
        .stdout(Stdio::piped())
        .spawn()
        .context("git could not be started")?;
    let stream = archive.stdout.take().context("git archive has no output")?;
    let unpacked = Command::new("tar").arg("-x").current_dir(folder).stdin(stream).status()?;
    if !unpacked.success() || !archive.wait()?.success() {
        bail!("the last commit could not be unpacked into {}", folder.display());
    }
    Ok(())
}

fn build(workspace: &Workspace, folder: &Path, profile: &str) -> anyhow::Result<PathBuf> {
    let target = folder.join("target");
    let mut command = workspace.cargo(&["build", "--profile", profile, "--package", "countersign"]);
    command.current_dir(folder).env("CARGO_TARGET_DIR", &target);
    for (name, value) in environment(folder, &cargo_home()?) {
        command.env(name, value);
    }
    if !command.status()?.success() {
        bail!("the build in {} failed", folder.display());
    }
    let output = if profile == "dev" { "debug" } else { profile };
    Ok(target.join(output).join("countersign"))
}

/// The environment that keeps a place out of what is built in it: paths in panics and in C's `__FILE__` begin with words
/// that are the same everywhere, and nothing takes the time of the build.
fn environment(folder: &Path, cargo_home: &Path) -> [(&'static str, String); 3] {
    let (folder, home) = (folder.display(), cargo_home.display());
    let c = format!("-ffile-prefix-map={folder}=/countersign -ffile-prefix-map={home}=/cargo -g0");
    [
        ("RUSTFLAGS", format!("--remap-path-prefix={folder}=/countersign --remap-path-prefix={home}=/cargo")),
        ("CFLAGS", c),
        // 2026-01-01T00:00:00Z (reproducible-builds.org/specs/source-date-epoch).
        ("SOURCE_DATE_EPOCH", "1767225600".to_owned()),
    ]
}

/// Where cargo keeps the sources of crates.
fn cargo_home() -> anyhow::Result<PathBuf> {
    if let Some(home) = std::env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    let home = std::env::var_os("HOME").context("neither CARGO_HOME nor HOME is set")?;
    Ok(Path::new(&home).join(".cargo"))
}

fn sha256sum(file: &Path) -> anyhow::Result<()> {
    let status = Command::new("sha256sum").arg(file).status().context("sha256sum could not be started")?;
    if !status.success() {
        bail!("sha256sum failed");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn difference_is_found_where_it_begins_also_at_an_end() {
        assert_eq!(first_difference(b"abc", b"abc"), None);
        assert_eq!(first_difference(b"abc", b"abd"), Some(2));
        assert_eq!(first_difference(b"abc", b"abcd"), Some(3));
    }

    #[test]
    fn two_places_differ_in_what_is_mapped_and_not_in_what_it_becomes() {
        let home = Path::new("/home/x/.cargo");
        let [one, other] = ["/a", "/b/c"].map(|folder| environment(Path::new(folder), home));
        let without = |text: &str, folder: &str| text.replace(&format!("={folder}="), "==");
        for ((name, one), (_, other)) in one.iter().zip(&other) {
            assert_eq!(without(one, "/a"), without(other, "/b/c"), "{name}");
        }
    }
}
