//! Which crate may use which: ours among themselves, and those of others in ours.
//!
//! The table is the one of ARCHITECTURE.md. An arrow that is not in it is either a mistake or a change of the
//! design, and then both change together.

use std::collections::BTreeMap;

use crate::tidy::Finding;
use crate::workspace::Package;

/// One of our crates, and what of ours its code may use.
struct House {
    /// The short name: the folder under `crates/`.
    name: &'static str,
    uses: &'static [&'static str],
}

const LIBRARIES: &[&str] = &["pki", "keys", "explain", "ca", "store", "net", "service"];

#[rustfmt::skip] // One line a crate reads as the table it is.
const HOUSES: &[House] = &[
    House { name: "pki",     uses: &[] },
    House { name: "keys",    uses: &["pki"] },
    House { name: "explain", uses: &["pki"] },
    House { name: "ca",      uses: &["pki"] },
    House { name: "store",   uses: &["ca", "pki"] },
    House { name: "net",     uses: &["explain", "pki"] },
    House { name: "service", uses: &["ca", "net", "explain", "pki"] },
    House { name: "cli",     uses: LIBRARIES },
    House { name: "testkit", uses: LIBRARIES },
    House { name: "bench",   uses: LIBRARIES },
    House { name: "fuzz-targets", uses: LIBRARIES },
    House { name: "xtask",   uses: &[] },
];

/// Test builders: for `[dev-dependencies]` everywhere, and for the two programs that never ship.
const TESTKIT: &str = "testkit";
/// An arrow that tests alone may draw: the service is tested with the memories it will have.
const FOR_TESTS: &[(&str, &str)] = &[("service", "store")];
const MAY_LINK_TESTKIT: &[&str] = &["bench", "fuzz-targets", "xtask"];

/// Never part of what a user runs; the rules on external crates do not hold for them.
const TOOLS: &[&str] = &["testkit", "bench", "fuzz-targets", "xtask"];

/// An external crate that only some of ours may name in `[dependencies]`.
struct Reserved {
    external: &'static str,
    only_in: &'static [&'static str],
    reason: &'static str,
}

#[rustfmt::skip] // One line a crate reads as the table it is.
const RESERVED: &[Reserved] = &[
    Reserved { external: "rusqlite",       only_in: &["store"],                  reason: "SQL lives only there" },
    Reserved { external: "postgres",       only_in: &["store"],                  reason: "SQL lives only there" },
    Reserved { external: "tokio-postgres", only_in: &["store"],                  reason: "SQL lives only there" },
    Reserved { external: "rustls",         only_in: &["net", "store", "cli"],    reason: "TLS on a socket is net's work, and its types stay there; store's is that of the database's protocol" },
    Reserved { external: "tokio-rustls",   only_in: &["net", "store", "cli"],    reason: "TLS on a socket is net's work, and its types stay there; store's is that of the database's protocol" },
    Reserved { external: "cryptoki",       only_in: &["keys"],                   reason: "tokens are reached where private keys are" },
    Reserved { external: "h2",             only_in: &["net"],                    reason: "HTTP is spoken only there" },
    Reserved { external: "hyper",          only_in: &["net", "service", "cli"],  reason: "HTTP is spoken only there" },
    Reserved { external: "hyper-util",     only_in: &["net", "service", "cli"],  reason: "HTTP is spoken only there" },
    Reserved { external: "axum",           only_in: &["service"],                reason: "the API and the console only" },
    Reserved { external: "tokio",          only_in: &["net", "store", "service", "cli"], reason: "the rest is synchronous, and testable without a runtime; store has its traits of streams, for the database's TLS" },
    Reserved { external: "tracing",        only_in: &["net", "service", "cli"],  reason: "the core returns facts instead of logging them" },
    Reserved { external: "tracing-subscriber", only_in: &["cli"],                reason: "where logs go is decided once" },
    Reserved { external: "clap",           only_in: &["cli"],                    reason: "arguments end there" },
    Reserved { external: "anstream",       only_in: &["cli"],                    reason: "printing is done only there" },
    Reserved { external: "comfy-table",    only_in: &["cli"],                    reason: "printing is done only there" },
    Reserved { external: "anyhow",         only_in: &["cli"],                    reason: "libraries return typed errors" },
    Reserved { external: "rand",           only_in: &[],                         reason: "randomness comes from aws-lc-rs" },
    Reserved { external: "getrandom",      only_in: &[],                         reason: "randomness comes from aws-lc-rs" },
    Reserved { external: "des",            only_in: &["keys"],                   reason: "what is broken opens old files, and does nothing else" },
    Reserved { external: "rc2",            only_in: &["keys"],                   reason: "what is broken opens old files, and does nothing else" },
    Reserved { external: "cbc",            only_in: &["keys", "explain"],        reason: "it opens old files and recordings, and seals nothing that is sent" },
    Reserved { external: "aria",           only_in: &["explain"],                reason: "it opens recordings, and seals nothing" },
    Reserved { external: "camellia",       only_in: &["explain"],                reason: "it opens recordings, and seals nothing" },
    Reserved { external: "aes-gcm",        only_in: &["explain"],                reason: "GCM for ARIA in recordings; AES is AWS-LC's" },
    Reserved { external: "scrypt",         only_in: &["keys"],                   reason: "passphrases are used only there" },
    Reserved { external: "serde",          only_in: &["explain", "store", "net", "service", "cli"], reason: "domain types are not serde types; each outside format has a type of its own" },
];

/// The crates without input, output, clock and dice, and what may therefore not even be linked into them.
const PURE: &[&str] = &["pki", "explain", "ca"];
const IMPURE: &[&str] =
    &["tokio", "mio", "socket2", "hyper", "rustls", "rusqlite", "tracing", "log", "getrandom", "rand"];

/// The short name of one of our packages.
fn short_name(package: &str) -> &str {
    if package == "countersign" { "cli" } else { package.strip_prefix("countersign-").unwrap_or(package) }
}

/// Arrows between our crates that the table does not have.
pub(super) fn between_our_crates(members: &[&Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in members {
        let name = short_name(&package.name);
        let Some(house) = HOUSES.iter().find(|house| house.name == name) else {
            let message =
                "this crate is not in the table of arrows (xtask/src/tidy/arrows.rs, ARCHITECTURE.md)";
            findings.push(Finding::new(name, None, message));
            continue;
        };
        let ours = |dependency: &str| members.iter().any(|member| member.name == dependency);
        for dependency in package.dependencies.iter().filter(|dependency| ours(&dependency.name)) {
            let target = short_name(&dependency.name);
            let is_dev = dependency.kind.as_deref() == Some("dev");
            let allowed = if target == TESTKIT {
                is_dev || MAY_LINK_TESTKIT.contains(&name)
            } else {
                house.uses.contains(&target) || (is_dev && FOR_TESTS.contains(&(name, target)))
            };
            if !allowed {
                let may =
                    if house.uses.is_empty() { "none of ours".to_owned() } else { house.uses.join(", ") };
                let rule = if target == TESTKIT {
                    "testkit belongs in [dev-dependencies]".to_owned()
                } else {
                    format!("{name} may use {may}")
                };
                findings.push(Finding::new(name, None, format!("uses {target}, but {rule}")));
            }
        }
    }
    findings
}

/// Direct dependencies on external crates that are reserved for others. Tests may use what they like.
pub(super) fn to_external_crates(members: &[&Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in members {
        let name = short_name(&package.name);
        if TOOLS.contains(&name) {
            continue;
        }
        for dependency in
            package.dependencies.iter().filter(|dependency| dependency.kind.as_deref() != Some("dev"))
        {
            let reserved = RESERVED.iter().find(|reserved| reserved.external == dependency.name);
            if let Some(Reserved { external, only_in, reason }) =
                reserved.filter(|rule| !rule.only_in.contains(&name))
            {
                let place = if only_in.is_empty() {
                    "nowhere".to_owned()
                } else {
                    format!("only in {}", only_in.join(", "))
                };
                findings.push(Finding::new(
                    name,
                    None,
                    format!("depends on {external}, which is used {place}: {reason}"),
                ));
            }
        }
    }
    findings
}

/// Is this one of the crates whose links are looked at?
pub(super) fn is_pure(package: &Package) -> bool {
    PURE.contains(&short_name(&package.name))
}

/// What is linked into a pure crate by any way at all. `linked` names each package and who brought it in.
pub(super) fn into_pure_crate(package: &Package, linked: &BTreeMap<String, String>) -> Vec<Finding> {
    let impure = linked.iter().filter(|(name, _)| IMPURE.contains(&name.as_str()));
    let message =
        |(name, by)| format!("links {name} (through {by}), but has no input, output, clock or dice");
    impure.map(|link| Finding::new(short_name(&package.name), None, message(link))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // In a test a panic is the report.
mod tests {
    use super::*;

    /// Packages from lines `name: dependency dependency(dev)`.
    fn packages(text: &str) -> Vec<Package> {
        let package = |line: &str| {
            let (name, dependencies) = line.split_once(':').unwrap();
            let dependencies: Vec<_> = dependencies
                .split_whitespace()
                .map(|dependency| match dependency.strip_suffix("(dev)") {
                    Some(name) => serde_json::json!({ "name": name, "kind": "dev" }),
                    None => serde_json::json!({ "name": dependency, "kind": null }),
                })
                .collect();
            let value = serde_json::json!({ "id": name, "name": name, "dependencies": dependencies });
            serde_json::from_value(value).unwrap()
        };
        text.lines().map(package).collect()
    }

    fn findings(rule: fn(&[&Package]) -> Vec<Finding>, text: &str) -> Vec<String> {
        let packages = packages(text);
        rule(&packages.iter().collect::<Vec<_>>()).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn allowed_arrows_give_no_finding() {
        let text = "countersign-pki: der countersign-testkit(dev)\ncountersign-ca: countersign-pki\n\
                    countersign-testkit: countersign-ca\ncountersign: countersign-ca countersign-pki\n\
                    bench: countersign-testkit";
        assert_eq!(findings(between_our_crates, text), Vec::<String>::new());
    }

    #[test]
    fn arrow_that_the_table_lacks_is_found_also_among_dev_dependencies() {
        let text = "countersign-ca:\ncountersign-net: countersign-ca\ncountersign-pki: countersign-ca(dev)";
        assert_eq!(
            findings(between_our_crates, text),
            ["net: uses ca, but net may use explain, pki", "pki: uses ca, but pki may use none of ours"]
        );
    }

    #[test]
    fn testkit_may_not_be_linked_into_what_ships() {
        let text = "countersign-testkit:\ncountersign: countersign-testkit";
        assert_eq!(
            findings(between_our_crates, text),
            ["cli: uses testkit, but testkit belongs in [dev-dependencies]"]
        );
    }

    #[test]
    fn crate_without_a_line_in_the_table_is_found() {
        assert!(findings(between_our_crates, "countersign-extra:")[0].contains("not in the table"));
    }

    #[test]
    fn reserved_external_crate_is_found_outside_of_its_place_but_not_in_tests() {
        let text = "countersign-ca: rusqlite\ncountersign-store: rusqlite\ncountersign-pki: tokio(dev)\nxtask: anyhow";
        assert_eq!(
            findings(to_external_crates, text),
            ["ca: depends on rusqlite, which is used only in store: SQL lives only there"]
        );
    }

    #[test]
    fn impure_crate_is_found_however_deep_it_is() {
        let package = &packages("countersign-pki: x")[0];
        let linked =
            [("x", "countersign-pki"), ("tokio", "x")].map(|(name, by)| (name.to_owned(), by.to_owned()));
        let found: Vec<String> =
            into_pure_crate(package, &linked.into()).iter().map(Finding::to_string).collect();
        assert!(is_pure(package));
        assert_eq!(found, ["pki: links tokio (through x), but has no input, output, clock or dice"]);
    }
}
