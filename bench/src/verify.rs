//! Path validation beside the cost of its signature checks alone, and graphs that were made to keep it busy.

use std::time::Duration;

use anyhow::{Result, ensure};
use pki::Certificate;
use pki::oid::Oid;
use pki::verify::{Conformance, PolicyDemand, Purpose, Rules, TrustBundle, examine, verify};
use testkit::{
    KeyKind, RawCertificate, TestCa, TestIdentity, TestKey, TestOrder, constraints_der, subtree_der,
};

use crate::Options;
use crate::report::{figure, spread};

const SUITE: &str = "verify";

/// How many chains are validated in one round, and how many rounds there are; the median counts.
const CHAINS: usize = 500;
const ROUNDS: usize = 31;

pub(crate) fn run(_: &Options) -> Result<()> {
    println!("verify: path validation, one core");
    for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Rsa2048] {
        chain_of_three(kind)?;
    }
    hostile()
}

/// Certificates remember the key they were verified with, so each round has new ones.
fn fresh(certificate: &Certificate) -> Result<Vec<Certificate>> {
    Ok((0..CHAINS).map(|_| Certificate::from_der(certificate.der())).collect::<Result<_, _>>()?)
}

fn chain_of_three(kind: KeyKind) -> Result<()> {
    let ca = TestCa::new().with_keys(kind);
    let client = ca.issue(TestOrder::client("alice").key_kind(kind)).certificate;
    let (issuing, anchors) = (&ca.issuing().certificate, ca.anchors());
    let rules = Rules::new(&anchors, Purpose::Client, testkit::now());
    let strict = Rules { conformance: Conformance::Strict, ..rules.clone() };
    let (mut alone, mut whole, mut with_reading, mut strictly) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let (leaves, issuers) = (fresh(&client)?, fresh(issuing)?);
        alone.push(time(|| {
            for (leaf, issuer) in leaves.iter().zip(&issuers) {
                leaf.verify_signature(issuer.public_key()?)?;
                issuer.verify_signature(ca.root().certificate.public_key()?)?;
            }
            Ok(())
        })?);
        for (times, rules) in [(&mut whole, &rules), (&mut strictly, &strict)] {
            let (leaves, issuers) = (fresh(&client)?, fresh(issuing)?);
            times.push(time(|| {
                for (leaf, issuer) in leaves.iter().zip(&issuers) {
                    verify(leaf, std::slice::from_ref(issuer), rules)?;
                }
                Ok(())
            })?);
        }
        with_reading.push(time(|| {
            for _ in 0..CHAINS {
                let leaf = Certificate::from_der(client.der())?;
                let issuer = Certificate::from_der(issuing.der())?;
                verify(&leaf, &[issuer], &rules)?;
            }
            Ok(())
        })?);
    }
    let (alone, whole) = (median(alone), median(whole));
    let per_chain = |time: Duration| time.as_secs_f64() * 1e6 / CHAINS as f64;
    let target = (kind == KeyKind::P256).then_some("90 and more");
    figure(SUITE, &format!("{kind:?}, two signature checks alone"), per_chain(alone), "µs", None);
    figure(SUITE, &format!("{kind:?}, a chain of three"), per_chain(whole), "µs", None);
    figure(SUITE, &format!("{kind:?}, the same, strict"), per_chain(median(strictly)), "µs", None);
    figure(SUITE, &format!("{kind:?}, the same, read from DER"), per_chain(median(with_reading)), "µs", None);
    let rate = 100.0 * alone.as_secs_f64() / whole.as_secs_f64();
    figure(SUITE, &format!("{kind:?}, rate beside the signature checks alone"), rate, "%", target);
    Ok(())
}

/// The processor time of this thread: other work on the machine does not count.
fn time(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let start = on_processor()?;
    work()?;
    Ok(on_processor()? - start)
}

/// Nanoseconds on a processor, the first field (Documentation/scheduler/sched-stats.rst of Linux).
fn on_processor() -> Result<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = text.split(' ').next().unwrap_or_default().parse()?;
    Ok(Duration::from_nanos(nanoseconds))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// One graph that was made to keep a validator busy: it is refused, and the time until then is what counts.
struct Graph {
    name: &'static str,
    leaf: TestIdentity,
    intermediates: Vec<Certificate>,
    anchor: TestIdentity,
    acceptable: Vec<Oid>,
}

fn hostile() -> Result<()> {
    for graph in [lattice(KeyKind::P256), lattice(KeyKind::P384), crowd(), names(), mailboxes(), policies()] {
        let anchors = TrustBundle::new(vec![graph.anchor.certificate.clone()]);
        let rules = Rules {
            policies: PolicyDemand {
                acceptable: &graph.acceptable,
                explicit: !graph.acceptable.is_empty(),
                ..PolicyDemand::default()
            },
            ..Rules::new(&anchors, Purpose::Client, testkit::now())
        };
        let mut times = Vec::new();
        for _ in 0..11 {
            let leaf = Certificate::from_der(graph.leaf.certificate.der())?;
            let intermediates = graph
                .intermediates
                .iter()
                .map(|certificate| Certificate::from_der(certificate.der()))
                .collect::<Result<Vec<_>, _>>()?;
            times.push(time(|| {
                ensure!(verify(&leaf, &intermediates, &rules).is_err(), "{}: refused", graph.name);
                Ok(())
            })?);
            ensure!(examine(&leaf, &intermediates, &rules).valid().is_none(), "{}", graph.name);
        }
        spread(SUITE, graph.name, times, Some("100"));
    }
    Ok(())
}

/// Seven levels with four keys each, every key certified by each of the level above: 16,384 paths, none of which ends
/// at an anchor.
fn lattice(kind: KeyKind) -> Graph {
    let mut above = vec![RawCertificate::ca("Stray Root").key(&TestKey::generate(kind)).self_signed()];
    let mut all = Vec::new();
    for level in 0..7 {
        let keys: Vec<TestKey> = (0..4).map(|_| TestKey::generate(kind)).collect();
        let mut here = Vec::new();
        for key in &keys {
            for parent in &above {
                here.push(RawCertificate::ca(&format!("Level {level}")).key(key).issued_by(parent));
            }
        }
        all.extend(here.iter().map(|identity| identity.certificate.clone()));
        let step = above.len();
        above = here.into_iter().step_by(step).collect();
    }
    let leaf = RawCertificate::client("alice").issued_by(&above[0]);
    let name =
        if kind == KeyKind::P256 { "16,384 crossed paths, P-256" } else { "16,384 crossed paths, P-384" };
    let anchor = RawCertificate::ca("Root").self_signed();
    Graph { name, leaf, intermediates: all, anchor, acceptable: Vec::new() }
}

fn crowd() -> Graph {
    let root = RawCertificate::ca("Root").self_signed();
    let leaf = RawCertificate::client("alice").issued_by(&RawCertificate::ca("Same").self_signed());
    let intermediates = (0..1000).map(|_| RawCertificate::ca("Same").issued_by(&root).certificate).collect();
    Graph { name: "1,000 CAs of one name", leaf, intermediates, anchor: root, acceptable: Vec::new() }
}

/// As many names and constraints as the budget lets through, of the longest and most alike kind.
fn names() -> Graph {
    let root = RawCertificate::ca("Root").self_signed();
    let tail = format!("{}.test", vec!["a".repeat(60); 3].join("."));
    let subtrees: Vec<Vec<u8>> = (0..300).map(|n| subtree_der(&format!("DNS:x{n}.{tail}"))).collect();
    let ca = RawCertificate::ca("CA").name_constraints(constraints_der(&[], &subtrees)).issued_by(&root);
    let names: Vec<String> = (0..300).map(|n| format!("y{n}.{tail}")).collect();
    let mut names: Vec<(u8, &[u8])> = names.iter().map(|name| (2, name.as_bytes())).collect();
    names.push((2, b"x299"));
    let leaf = RawCertificate::client("alice")
        .alternative(&names)
        .extended_key_usages(&[pki::oid::SERVER_AUTH])
        .issued_by(&ca);
    let intermediates = vec![ca.certificate];
    Graph {
        name: "300 names under 300 constraints",
        leaf,
        intermediates,
        anchor: root,
        acceptable: Vec::new(),
    }
}

fn mailboxes() -> Graph {
    let root = RawCertificate::ca("Root").self_signed();
    let tail = format!("{}.test", vec!["a".repeat(60); 3].join("."));
    let subtrees: Vec<Vec<u8>> = (0..300).map(|n| subtree_der(&format!("email:x{n}.{tail}"))).collect();
    let ca = RawCertificate::ca("CA").name_constraints(constraints_der(&subtrees, &[])).issued_by(&root);
    let names: Vec<String> = (0..300).map(|n| format!("{}{n}@y.{tail}", "l".repeat(40))).collect();
    let names: Vec<(u8, &[u8])> = names.iter().map(|name| (1, name.as_bytes())).collect();
    let leaf = RawCertificate::client("alice").alternative(&names).issued_by(&ca);
    let intermediates = vec![ca.certificate];
    let name = "300 mailboxes under 300 constraints, each a violation";
    Graph { name, leaf, intermediates, anchor: root, acceptable: Vec::new() }
}

fn policies() -> Graph {
    let all: Vec<Oid> =
        (1..=200).filter_map(|n| Oid::from_dotted(&format!("1.3.6.1.4.1.55555.2.{n}"))).collect();
    let crossed: Vec<(Oid, Oid)> =
        all.iter().take(200).flat_map(|from| all.iter().take(200).map(|to| (*from, *to))).collect();
    let root = RawCertificate::ca("Root").self_signed();
    let mut ca = root.clone();
    for number in 0..4 {
        let raw = RawCertificate::ca(&format!("CA {number}")).policies(&all).policy_mappings(&crossed);
        ca = raw.issued_by(&ca);
    }
    let leaf = RawCertificate::client("alice").policies(&all).issued_by(&ca);
    let intermediates = leaf.chain.clone();
    Graph { name: "200 policies crossed in 4 CAs", leaf, intermediates, anchor: root, acceptable: all }
}
