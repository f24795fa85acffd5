//! The fuzz targets have a workspace of their own, and so a lock of their own, which no other task looks at: it must know
//! our crates as they are, with the versions that are tested and shipped.

use std::collections::{BTreeMap, BTreeSet};

use crate::tidy::Finding;
use crate::workspace::Package;

const FUZZ: &str = "fuzz/Cargo.lock";
const WAY_OUT: &str = "cargo metadata --manifest-path fuzz/Cargo.toml >/dev/null mends it";

/// A package of a lock, as far as two locks can differ in it.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Locked {
    version: String,
    dependencies: BTreeSet<String>,
}

/// What the fuzz targets' lock says otherwise than the workspace's, and than the manifests of our crates.
pub(super) fn differences(workspace: &str, fuzz: &str, members: &[&Package]) -> Vec<Finding> {
    let (workspace, fuzz) = (packages(workspace), packages(fuzz));
    let mut messages = Vec::new();
    for (name, locked) in &fuzz {
        let Some(known) = workspace.get(name) else { continue };
        for one in locked.iter().filter(|one| known.iter().all(|known| known.version != one.version)) {
            messages.push(format!("{name} {} is no version that the workspace has", one.version));
        }
    }
    for member in members {
        let Some(locked) = fuzz.get(&member.name).and_then(BTreeSet::first) else { continue };
        // Those of tests are none of theirs.
        let needed = member.dependencies.iter().filter(|one| one.kind.as_deref() != Some("dev"));
        for dependency in needed.filter(|one| !locked.dependencies.contains(&one.name)) {
            messages.push(format!("{} depends on {}, which it does not know", member.name, dependency.name));
        }
    }
    messages.into_iter().map(|what| Finding::new(FUZZ, None, format!("{what}; {WAY_OUT}"))).collect()
}

fn packages(lock: &str) -> BTreeMap<String, BTreeSet<Locked>> {
    let mut all: BTreeMap<String, BTreeSet<Locked>> = BTreeMap::new();
    for part in lock.split("[[package]]").skip(1) {
        let value = |key: &str| {
            let line = part.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))?;
            Some(line.trim_matches('"').to_owned())
        };
        let Some(name) = value("name") else { continue };
        // A version or a source is named behind it where there are several, which differs with what else is there.
        let dependency =
            |line: &str| Some(line.trim().strip_prefix('"')?.split(['"', ' ']).next()?.to_owned());
        all.entry(name).or_default().insert(Locked {
            version: value("version").unwrap_or_default(),
            dependencies: part.lines().filter_map(dependency).collect(),
        });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dependency;

    const WORKSPACE: &str = r#"
version = 4

[[package]]
name = "aead"
version = "0.6.1"
source = "registry+https://github.com/rust-lang/crates.io-index"

[[package]]
name = "countersign-pki"
version = "0.1.0"
dependencies = [
 "aead",
 "rand 0.8.5",
]
"#;

    fn found(fuzz: &str) -> Vec<String> {
        let dependency = |name: &str, kind: Option<&str>| Dependency {
            name: name.to_owned(),
            kind: kind.map(str::to_owned),
        };
        let ours = Package {
            id: String::new(),
            name: "countersign-pki".to_owned(),
            dependencies: vec![
                dependency("aead", None),
                dependency("rand", None),
                dependency("proptest", Some("dev")),
            ],
        };
        differences(WORKSPACE, fuzz, &[&ours]).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn the_same_packages_and_those_of_the_targets_alone_are_fine() {
        let more = "[[package]]\nname = \"libfuzzer-sys\"\nversion = \"1.0.0\"\n\n";
        let fuzz =
            WORKSPACE.replace("rand 0.8.5", "rand").replacen("[[package]]", &format!("{more}[[package]]"), 1);
        assert_eq!(found(&fuzz), Vec::<String>::new());
    }

    #[test]
    fn a_dependency_that_is_missing_and_another_version_are_found() {
        let [without] = &found(&WORKSPACE.replace(" \"aead\",\n", ""))[..] else { panic!() };
        assert!(without.starts_with("countersign-pki depends on aead, which it does not know"), "{without}");
        let [other] = &found(&WORKSPACE.replace("0.6.1", "0.6.0"))[..] else { panic!() };
        assert!(other.starts_with("aead 0.6.0 is no version"), "{other}");
    }
}
