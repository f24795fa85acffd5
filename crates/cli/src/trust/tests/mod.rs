//! Machines made of temporary folders and small scripts: what the engine decides, without touching the real one.
//! The real programs are in `interop/cases/trust-*.sh`.

#![allow(clippy::unwrap_used, reason = "a test that cannot make its machine has failed")]

mod anchor;
mod java;
mod nss;
mod program;
mod report;
mod system;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::machine::{Machine, Platform};
use super::{Anchor, Outcome, Status, Step, Store};

/// What the scripts of a machine are made of.
const HELPERS: [&str; 10] = ["awk", "cat", "cp", "env", "grep", "install", "mv", "rm", "sh", "sleep"];

/// A machine in a temporary folder.
struct World {
    folder: TempDir,
    machine: Machine,
}

impl World {
    /// A machine whose os-release(5) says `id`, with nothing on it.
    fn new(id: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        let machine = Machine {
            home: root.join("home/user"),
            // Nothing but the machine's own: a test that found the real certutil or Java would change real stores.
            path: vec![root.join("usr/bin")],
            java_home: None,
            temporary: root.join("tmp"),
            effective_user_is_root: true,
            sudo_user: None,
            platform: Platform::Linux,
            root,
        };
        let world = Self { folder, machine };
        for made in ["home/user", "usr/bin", "tmp", "usr/sbin"] {
            fs::create_dir_all(world.at(made)).unwrap();
        }
        for helper in HELPERS {
            let folders = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(helper));
            let real = folders.into_iter().find(|path| path.exists()).unwrap();
            std::os::unix::fs::symlink(real, world.at("usr/bin").join(helper)).unwrap();
        }
        world.write("etc/os-release", &format!("NAME=Test\nID=\"{id}\"\n"));
        world
    }

    /// A path in the machine's tree.
    fn at(&self, path: &str) -> PathBuf {
        self.machine.at(path)
    }

    fn write(&self, path: &str, contents: &str) -> PathBuf {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, contents).unwrap();
        path
    }

    /// A program of the machine: a shell script in which `ROOT` is the machine's tree.
    fn program(&self, name: &str, script: &str) -> PathBuf {
        let root = self.machine.root.display();
        let script = self.write("tmp/script", &format!("#!/bin/sh\nROOT='{root}'\n{script}\n"));
        let path = self.at("usr/bin").join(name);
        // Written by another process: a file that this one had open for writing may be held open by the fork of
        // another test's thread, and could then not be run ("text file busy").
        let installed = Command::new("install").args(["-m", "755"]).args([&script, &path]).status().unwrap();
        assert!(installed.success());
        fs::remove_file(script).unwrap();
        path
    }

    /// The only store that is discovered.
    fn store(&self) -> Store {
        let stores = super::discover(&self.machine);
        assert_eq!(stores.len(), 1, "{stores:?}");
        stores.into_iter().next().unwrap()
    }

    fn status(&self, anchor: &Anchor) -> Status {
        super::status(&self.machine, &self.store(), anchor)
    }

    fn install(&self, anchor: &Anchor) -> (Outcome, Vec<Step>) {
        let mut steps = Vec::new();
        let outcome =
            super::install(&self.machine, &self.store(), anchor, &mut |step| steps.push(step.clone()));
        (outcome, steps)
    }

    fn uninstall(&self, anchor: &Anchor) -> (Outcome, Vec<Step>) {
        let mut steps = Vec::new();
        let outcome =
            super::uninstall(&self.machine, &self.store(), anchor, &mut |step| steps.push(step.clone()));
        (outcome, steps)
    }

    /// Every file under the tree with its contents, to see that nothing was touched.
    fn snapshot(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            files.push((folder.clone(), Vec::new()));
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.is_symlink() {
                    folders.push(path);
                } else {
                    let contents = fs::read(&path).unwrap_or_default();
                    files.push((path, contents));
                }
            }
        }
        files.sort();
        files
    }
}

/// An anchor whose certificate is `seed` many times over: the engine compares bytes and never looks into them.
fn anchor(name: &str, seed: u8) -> Anchor {
    Anchor::new(name, vec![seed; 300], [seed; 32], PathBuf::from("/home/user/rootCA.pem"))
}

/// The reason and the remedy of an outcome that must be a failure.
fn could_not(outcome: &Outcome) -> (&str, &str) {
    match outcome {
        Outcome::CouldNot { reason, remedy } => (reason, remedy.as_deref().unwrap_or("")),
        other => panic!("{other:?} instead of CouldNot"),
    }
}

/// The permission bits of a file.
fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}
