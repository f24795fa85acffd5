//! Where the workspace is, what is in it, and how cargo is called from here.
//!
//! Not a model of cargo: only the fields of `cargo metadata` that a rule reads.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use serde::Deserialize;

/// The repository, found from wherever the task was started.
pub(crate) struct Workspace {
    /// The folder of the workspace's Cargo.toml.
    pub(crate) root: PathBuf,
    cargo: OsString,
}

/// What `cargo metadata` says, as far as it is needed here.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) workspace_members: Vec<String>,
    pub(crate) target_directory: PathBuf,
}

/// One package of the dependency tree.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) dependencies: Vec<Dependency>,
}

/// One dependency as a manifest declares it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `None` for a normal dependency, else `dev` or `build`.
    pub(crate) kind: Option<String>,
}

impl Metadata {
    /// The packages of this repository.
    pub(crate) fn members(&self) -> Vec<&Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id)).collect()
    }
}

impl Workspace {
    /// Finds the workspace: by the manifest that cargo says it is running, else by asking cargo.
    pub(crate) fn locate() -> anyhow::Result<Self> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(&cargo)
            .args(["locate-project", "--workspace", "--message-format", "plain"])
            .output()
            .context("cargo could not be started")?;
        if !output.status.success() {
            bail!(
                "this is not inside the countersign repository: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        let manifest = PathBuf::from(String::from_utf8(output.stdout)?.trim());
        let root = manifest.parent().context("the workspace's Cargo.toml has no folder")?.to_owned();
        Ok(Self { root, cargo })
    }

    /// A workspace in a folder that a test made.
    #[cfg(test)]
    pub(crate) fn at(root: PathBuf) -> Self {
        Self { root, cargo: "cargo".into() }
    }

    /// A cargo call in the workspace's root. What `cargo run` put into our environment is taken out again:
    /// it describes this package, and build scripts that watch such a variable would run anew.
    pub(crate) fn cargo_unlocked(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.cargo);
        command.current_dir(&self.root).args(arguments);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let described = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
            if described.iter().any(|prefix| text.starts_with(prefix)) || text == "CARGO_PRIMARY_PACKAGE" {
                command.env_remove(&name);
            }
        }
        command
    }

    /// A cargo call that may not change Cargo.lock. `--locked` goes behind the subcommand, before any `--`.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let (subcommand, rest) = arguments.split_at(1.min(arguments.len()));
        let mut locked = subcommand.to_vec();
        locked.push("--locked");
        locked.extend(rest);
        self.cargo_unlocked(&locked)
    }

    /// The packages of this repository, as their manifests describe them.
    pub(crate) fn metadata(&self) -> anyhow::Result<Metadata> {
        let text = output_of(self.cargo(&["metadata", "--no-deps", "--format-version", "1"]))?;
        serde_json::from_str(&text).context("cargo metadata printed something else than expected")
    }

    /// Names of all packages that `package` links into a program on any platform, each with the name of one
    /// that brought it in. Build scripts, derive macros and tests are not linked.
    ///
    /// From `cargo tree`, since the graph in `cargo metadata` also has optional dependencies that no feature
    /// turned on (`ring` below rustls-webpki, for one).
    pub(crate) fn linked_by(&self, package: &str) -> anyhow::Result<BTreeMap<String, String>> {
        let mut command = self.cargo(&["tree", "--package", package, "--edges", "normal,no-proc-macro"]);
        command.args(["--target", "all", "--prefix", "depth", "--format", " {p}"]);
        parse_tree(&output_of(command)?)
    }

    /// Builds the binary as it is released, and says where it is.
    pub(crate) fn build_release(&self) -> anyhow::Result<PathBuf> {
        let status = self.cargo(&["build", "--release", "--package", "countersign"]).status()?;
        if !status.success() {
            bail!("the release build failed");
        }
        Ok(self.metadata()?.target_directory.join("release").join("countersign"))
    }

    /// Every file that belongs to the repository: tracked, or new and not ignored. Paths are relative to the
    /// root. Without git (an unpacked archive) it is every file outside of `target`.
    pub(crate) fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        let listed = Command::new("git")
            .current_dir(&self.root)
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .output();
        let mut files = match listed {
            Ok(output) if output.status.success() => String::from_utf8(output.stdout)?
                .split('\0')
                .filter(|name| !name.is_empty())
                .map(PathBuf::from)
                .collect(),
            _ => {
                let mut found = Vec::new();
                walk(&self.root, Path::new(""), &mut found)?;
                found
            }
        };
        // git lists a tracked file that was deleted and not yet committed.
        files.retain(|file| self.root.join(file).is_file());
        files.sort();
        files.dedup();
        Ok(files)
    }
}

/// What a command printed, where it succeeded.
pub(crate) fn output_of(mut command: Command) -> anyhow::Result<String> {
    let output = command.output().context("cargo could not be started")?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Reads lines of `DEPTH NAME VERSION…`, in which a package stands below the one that brought it in.
fn parse_tree(text: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let mut linked = BTreeMap::new();
    let mut path: Vec<&str> = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(depth), Some(name)) = (words.next().and_then(|depth| depth.parse().ok()), words.next())
        else {
            bail!("cargo tree printed something else than expected: {line}");
        };
        path.truncate(depth);
        if let Some(parent) = path.last() {
            linked.entry(name.to_owned()).or_insert_with(|| (*parent).to_owned());
        }
        path.push(name);
    }
    Ok(linked)
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir()
            && !["target", ".git", "node_modules"].iter().any(|skipped| entry.file_name() == *skipped)
        {
            walk(root, &path, found)?;
        } else if kind.is_file() {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // In a test a panic is the report.
mod tests {
    use super::*;

    #[test]
    fn locked_stands_behind_the_subcommand_and_before_the_double_dash() {
        let workspace = Workspace::at(".".into());
        let command = workspace.cargo(&["run", "--package", "bench", "--", "x"]);
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_str().unwrap()).collect();
        assert_eq!(arguments, ["run", "--locked", "--package", "bench", "--", "x"]);
    }

    #[test]
    fn tree_names_each_package_with_the_one_that_brought_it_in() {
        let text = "0 alpha v0.1.0 (/a)\n1 beta v1.0.0\n2 gamma v1.0.0\n1 delta v1.0.0\n2 gamma v1.0.0 (*)\n";
        let expected = [("beta", "alpha"), ("delta", "alpha"), ("gamma", "beta")];
        let expected = expected.map(|(name, by)| (name.to_owned(), by.to_owned()));
        assert_eq!(parse_tree(text).unwrap(), BTreeMap::from(expected));
        assert!(parse_tree("alpha v0.1.0\n").is_err());
    }

    #[test]
    fn without_git_every_file_outside_of_target_is_found() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a/b/c.rs", "target/debug/x", ".git/config", "README.md"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let mut found = Vec::new();
        walk(folder.path(), Path::new(""), &mut found).unwrap();
        found.sort();
        assert_eq!(found, [PathBuf::from("README.md"), PathBuf::from("a/b/c.rs")]);
    }
}
