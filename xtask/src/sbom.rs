//! `cargo xtask sbom`: what the release binary is made of, as a CycloneDX 1.5 document: every crate that is linked into it
//! or runs while it is built, with version, licence, checksum and who asked for it.
//!
//! From `cargo tree`, which heeds features, and Cargo.lock, which has the checksums. The same source gives the same
//! document: it has no time and no serial number.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::workspace::{Workspace, output_of};

/// The binary's package.
const ROOT: &str = "countersign";

/// Crates that bring the source of a C library along: it is a part of what is shipped, under a name of its own.
const BUNDLED: &[(&str, &str, &str)] =
    &[("aws-lc-sys", "aws-lc", "ISC AND (Apache-2.0 OR ISC)"), ("libsqlite3-sys", "sqlite", "blessing")];

/// Writes `target/countersign.cdx.json`.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<ExitCode> {
    let format = "\u{241f}{p}\u{241f}{l}";
    let mut command = workspace.cargo(&["tree", "--package", ROOT, "--edges", "normal,build"]);
    command.args(["--prefix", "depth", "--format", format]);
    let tree = parse_tree(&output_of(command)?)?;
    let checksums = checksums(&fs::read_to_string(workspace.root.join("Cargo.lock"))?);
    let document = document(&tree, &checksums);
    let file = workspace.root.join("target/countersign.cdx.json");
    fs::write(&file, serde_json::to_string_pretty(&document)? + "\n")?;
    println!("{} components: {}", tree.len() - 1, file.display());
    Ok(ExitCode::SUCCESS)
}

/// A crate by name and version.
type Id = (String, String);

/// What is known of a crate.
#[derive(Debug, Default, PartialEq, Eq)]
struct Crate {
    licence: String,
    uses: BTreeSet<Id>,
}

/// Reads lines of `DEPTH ␟ NAME vVERSION … ␟ LICENCE`, in which a crate stands below the one that uses it.
fn parse_tree(text: &str) -> anyhow::Result<BTreeMap<Id, Crate>> {
    let mut crates: BTreeMap<Id, Crate> = BTreeMap::new();
    let mut path: Vec<Id> = Vec::new();
    for line in text.lines() {
        let parts: Vec<&str> = line.split('\u{241f}').collect();
        let [depth, package, licence] = parts.as_slice() else {
            bail!("cargo tree printed something else than expected: {line}");
        };
        let mut words = package.split(' ');
        let (Some(name), Some(version)) =
            (words.next(), words.next().and_then(|word| word.strip_prefix('v')))
        else {
            bail!("cargo tree names no version: {line}");
        };
        let id = (name.to_owned(), version.to_owned());
        path.truncate(depth.parse().context("cargo tree gives no depth")?);
        if let Some(parent) = path.last() {
            crates.entry(parent.clone()).or_default().uses.insert(id.clone());
        }
        crates.entry(id.clone()).or_default().licence = licence.trim_end_matches(" (*)").to_owned();
        path.push(id);
    }
    Ok(crates)
}

/// The SHA-256 of each package from a registry, as Cargo.lock has it.
fn checksums(lock: &str) -> BTreeMap<Id, String> {
    let value = |block: &str, key: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))?;
        Some(line.trim_matches('"').to_owned())
    };
    let blocks = lock.split("[[package]]");
    blocks
        .filter_map(|block| {
            Some(((value(block, "name")?, value(block, "version")?), value(block, "checksum")?))
        })
        .collect()
}

fn purl((name, version): &Id) -> String {
    format!("pkg:cargo/{name}@{version}")
}

fn document(tree: &BTreeMap<Id, Crate>, checksums: &BTreeMap<Id, String>) -> Value {
    let component = |id: &Id, found: &Crate| {
        let mut component = json!({
            "type": if id.0 == ROOT { "application" } else { "library" },
            "bom-ref": purl(id), "name": id.0, "version": id.1, "purl": purl(id),
        });
        // `MIT/Apache-2.0` is how expressions were written once.
        let licence = found.licence.replace('/', " OR ");
        if !licence.is_empty() {
            component["licenses"] = json!([{ "expression": licence }]);
        }
        if let Some(checksum) = checksums.get(id) {
            component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
        }
        if let Some((_, library, licence)) = BUNDLED.iter().find(|(name, ..)| *name == id.0) {
            // Its version is that of the crate's own choosing.
            component["components"] = json!([{
                "type": "library", "bom-ref": format!("{}#{library}", purl(id)), "name": library,
                "licenses": [{ "expression": licence }],
            }]);
        }
        component
    };
    let root = tree.iter().find(|(id, _)| id.0 == ROOT).map(|(id, found)| component(id, found));
    let others = tree.iter().filter(|(id, _)| id.0 != ROOT);
    let edges = tree.iter().map(|(id, found)| {
        json!({ "ref": purl(id), "dependsOn": found.uses.iter().map(purl).collect::<Vec<_>>() })
    });
    json!({
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": { "component": root },
        "components": others.map(|(id, found)| component(id, found)).collect::<Vec<_>>(),
        "dependencies": edges.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // In a test a panic is the report.
mod tests {
    use super::*;

    const TREE: &str = "0\u{241f}countersign v0.1.0 (/x/cli)\u{241f}MIT OR Apache-2.0\n1\u{241f}a v1.0.0\u{241f}MIT/Apache-2.0\n\
                        2\u{241f}libsqlite3-sys v2.0.0\u{241f}MIT\n1\u{241f}b v3.0.0\u{241f}ISC (*)\n";
    const LOCK: &str = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"x\"\nchecksum = \"00ff\"\n\n\
                        [[package]]\nname = \"countersign\"\nversion = \"0.1.0\"\n";

    #[test]
    fn document_names_each_crate_with_licence_checksum_and_what_it_uses() {
        let document = document(&parse_tree(TREE).unwrap(), &checksums(LOCK));
        assert_eq!(document["metadata"]["component"]["purl"], "pkg:cargo/countersign@0.1.0");
        let components = document["components"].as_array().unwrap();
        assert_eq!(components.len(), 3);
        assert_eq!(components[0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(components[0]["hashes"][0]["content"], "00ff");
        assert_eq!(components[1]["licenses"][0]["expression"], "ISC");
        assert_eq!(components[2]["components"][0]["name"], "sqlite");
        let uses = &document["dependencies"].as_array().unwrap()[2];
        assert_eq!(uses["dependsOn"], json!(["pkg:cargo/a@1.0.0", "pkg:cargo/b@3.0.0"]));
    }

    #[test]
    fn something_else_than_a_tree_is_refused() {
        for text in ["countersign", "0\u{241f}x\u{241f}MIT", "x\u{241f}a v1\u{241f}MIT"] {
            assert!(parse_tree(text).is_err(), "{text}");
        }
    }
}
