//! Chains made at random, right and wrong in up to three ways at once, before `pki::verify` with strictness and before
//! `openssl verify -x509_strict`. Where the two differ, one of the chain's faults must be in [`EXPLAINED`]; an explanation
//! that explains nothing fails too. COUNTERSIGN_DIFFERENTIAL is how many chains, 160 where it is not set.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;

use common::openssl::Openssl;
use pki::oid::{self, Oid};
use pki::verify::{Conformance, Purpose, Rules, TrustBundle, verify};
use testkit::{RawCertificate, TestIdentity, constraints_der, days_from_now, now, subtree_der};

/// One way in which a certificate can be different.
struct Change {
    name: &'static str,
    apply: fn(RawCertificate) -> RawCertificate,
}

const fn change(name: &'static str, apply: fn(RawCertificate) -> RawCertificate) -> Change {
    Change { name, apply }
}

fn policy(number: u8) -> Oid {
    Oid::from_dotted(&format!("1.3.6.1.4.1.55555.2.{number}")).unwrap()
}

fn permits(raw: RawCertificate, subtree: &str) -> RawCertificate {
    raw.name_constraints(constraints_der(&[subtree_der(subtree)], &[]))
}

fn excludes(raw: RawCertificate, subtree: &str) -> RawCertificate {
    raw.name_constraints(constraints_der(&[], &[subtree_der(subtree)]))
}

const EVERYWHERE: &[Change] = &[
    change("expired", |raw| raw.valid(days_from_now(-9), days_from_now(-3))),
    change("not yet valid", |raw| raw.valid(days_from_now(3), days_from_now(9))),
    change("ends this second", |raw| raw.valid(days_from_now(-3), now())),
    change("starts this second", |raw| raw.valid(now(), days_from_now(3))),
    change("a damaged signature", RawCertificate::damaged_signature),
    change("an unknown critical extension", |raw| raw.unknown_extension(true)),
    change("an unknown extension", |raw| raw.unknown_extension(false)),
    change("no authority key identifier", RawCertificate::without_authority_key),
    change("another authority key identifier", |raw| raw.authority_key(&[7; 20])),
    change("no key usage", |raw| raw.without(oid::KEY_USAGE)),
    change("a key usage for encryption", |raw| raw.key_usage(&[2])),
    change("usages for servers", |raw| raw.extended_key_usages(&[oid::SERVER_AUTH])),
    change("usages for clients", |raw| raw.extended_key_usages(&[oid::CLIENT_AUTH])),
    change("usages for anything", |raw| raw.extended_key_usages(&[oid::ANY_EXTENDED_KEY_USAGE])),
    change("usages for code", |raw| raw.extended_key_usages(&[oid::CODE_SIGNING])),
    change("a policy", |raw| raw.policies(&[policy(1)])),
    change("another policy", |raw| raw.policies(&[policy(2)])),
    change("any policy", |raw| raw.policies(&[oid::ANY_POLICY])),
    change("a negative serial number", |raw| raw.serial(&[0x80, 1])),
    change("a serial number of 30 octets", |raw| raw.serial(&[0x11; 30])),
    change("a DNS name", |raw| raw.alternative(&[(2, b"a.example.com")])),
    change("another DNS name", |raw| raw.alternative(&[(2, b"a.example.org")])),
    change("a mailbox", |raw| raw.alternative(&[(1, b"a@example.com")])),
    change("a URI", |raw| raw.alternative(&[(6, b"spiffe://example.com/a")])),
    change("an address", |raw| raw.alternative(&[(7, &[10, 0, 0, 1])])),
];

const IN_CAS: &[Change] = &[
    change("no CA", |raw| raw.basic_constraints(false, None)),
    change("no basic constraints", |raw| raw.without(oid::BASIC_CONSTRAINTS)),
    change("basic constraints not critical", |raw| {
        raw.replace(oid::BASIC_CONSTRAINTS, false, vec![0x30, 3, 1, 1, 0xff])
    }),
    change("path length 0", |raw| raw.basic_constraints(true, Some(0))),
    change("path length 1", |raw| raw.basic_constraints(true, Some(1))),
    change("permits DNS", |raw| permits(raw, "DNS:example.com")),
    change("excludes DNS", |raw| excludes(raw, "DNS:example.com")),
    change("permits mailboxes", |raw| permits(raw, "email:example.com")),
    change("excludes mailboxes", |raw| excludes(raw, "email:example.com")),
    change("permits URIs", |raw| permits(raw, "URI:example.com")),
    change("excludes URIs", |raw| excludes(raw, "URI:example.com")),
    change("permits addresses", |raw| permits(raw, "IP:10.0.0.0/8")),
    change("excludes addresses", |raw| excludes(raw, "IP:10.0.0.0/8")),
    change("permits an organisation", |raw| permits(raw, "O:Acme")),
    change("excludes an organisation", |raw| excludes(raw, "O:Acme")),
    change("constraints not critical", |raw| {
        let value = constraints_der(&[subtree_der("DNS:example.com")], &[]);
        raw.replace(oid::NAME_CONSTRAINTS, false, value)
    }),
    change("requires a policy", |raw| raw.policy_constraints(Some(0), None)),
    change("requires a policy below", |raw| raw.policy_constraints(Some(1), None)),
    change("maps a policy", |raw| raw.policies(&[policy(1)]).policy_mappings(&[(policy(1), policy(2))])),
    change("maps any policy", |raw| {
        raw.policies(&[policy(1)]).policy_mappings(&[(oid::ANY_POLICY, policy(2))])
    }),
    change("inhibits mapping", |raw| raw.policy_constraints(Some(0), Some(0))),
    change("inhibits any policy", |raw| raw.inhibit_any_policy(0)),
];

const IN_LEAVES: &[Change] = &[
    change("version 1", RawCertificate::version_1),
    change("is a CA", |raw| raw.basic_constraints(true, None).key_usage(&[0, 5])),
    change("may sign certificates", |raw| raw.key_usage(&[0, 5])),
    change("an organisation", |raw| {
        raw.subject(&[(oid::ORGANIZATION_NAME, "Acme"), (oid::COMMON_NAME, "alice")])
    }),
    change("a commonName like a host", |raw| raw.subject(&[(oid::COMMON_NAME, "a.example.org")])),
    change("no subject", |raw| raw.subject(&[])),
];

/// A fault over which the two may differ, and why.
#[rustfmt::skip] // One line an explanation reads as the table it is.
const EXPLAINED: &[(&str, &str)] = &[
    ("ends this second", "RFC 5280 section 4.1.2.5 has notAfter inclusive; openssl ends at its beginning."),
    ("usages for anything", "RFC 5280 section 4.2.1.12 gives anyExtendedKeyUsage its meaning; openssl wants the usage itself."),
    ("another authority key identifier", "RFC 5280 section 4.2.1.1 makes it a hint; openssl looks for no other issuer."),
    ("a negative serial number", "RFC 5280 section 4.1.2.2 forbids it; openssl does not look."),
    ("a serial number of 30 octets", "RFC 5280 section 4.1.2.2 forbids it; openssl does not look."),
    ("constraints not critical", "RFC 5280 section 4.2.1.10 wants the mark; openssl does not look."),
    ("is a CA", "A CA's certificate is no TLS peer's here, though section 6.1 would let it pass."),
    ("requires a policy, in the root", "An anchor's constraints are inputs (RFC 5937); openssl leaves the anchor out."),
    ("requires a policy below, in the root", "An anchor's constraints are inputs (RFC 5937); openssl leaves the anchor out."),
    ("inhibits mapping, in the root", "An anchor's constraints are inputs (RFC 5937); openssl leaves the anchor out."),
    ("no key usage", "RFC 5280 section 4.2.1.3 wants one in a CA whose certificate is for signatures, and a reader cannot know; openssl demands it."),
    ("version 1", "Strictness wants the authority key identifier, which version 1 cannot have; openssl looks from version 3 on."),
];

/// xorshift64*: the same chains on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % end
    }
}

struct Chain {
    root: TestIdentity,
    leaf: TestIdentity,
    changes: Vec<String>,
}

/// A root, up to two CAs, a leaf, and up to three changes somewhere.
fn chain(dice: &mut Dice) -> Option<Chain> {
    let count = 1 + dice.below(3);
    let mut raws = vec![RawCertificate::client("alice")];
    raws.extend((0..count).map(|number| RawCertificate::ca(&format!("CA {number}"))));
    let mut changes = Vec::new();
    for _ in 0..dice.below(4) {
        let at = dice.below(raws.len());
        let own = if at == 0 { IN_LEAVES } else { IN_CAS };
        let pick = dice.below(EVERYWHERE.len() + own.len());
        let change = EVERYWHERE.get(pick).unwrap_or_else(|| &own[pick - EVERYWHERE.len()]);
        raws[at] = (change.apply)(raws[at].clone());
        changes.push(if at == count {
            format!("{}, in the root", change.name)
        } else {
            change.name.to_owned()
        });
    }
    // One that cannot be read is refused by both, and says nothing.
    pki::Certificate::from_der(&raws[count].der_self_signed()).ok()?;
    let root = raws[count].self_signed();
    let mut issuer = root.clone();
    for raw in raws[..count].iter().rev() {
        pki::Certificate::from_der(&raw.der_issued_by(&issuer)).ok()?;
        issuer = raw.issued_by(&issuer);
    }
    Some(Chain { root, leaf: issuer, changes })
}

/// What is explained anywhere is explained in the root.
fn explains(explained: &str, changes: &[String]) -> bool {
    changes
        .iter()
        .any(|change| change == explained || change.strip_suffix(", in the root") == Some(explained))
}

#[test]
fn openssl_comes_to_the_same_verdict_but_for_what_is_explained() {
    let mut dice = Dice(0x2026_1125_0000_0001);
    let openssl = Openssl::new();
    let mut explained: BTreeSet<&str> = BTreeSet::new();
    let (mut complaints, mut accepted, mut refused) = (Vec::new(), 0, 0);
    let wanted =
        std::env::var("COUNTERSIGN_DIFFERENTIAL").ok().and_then(|text| text.parse().ok()).unwrap_or(160);
    while accepted + refused < wanted {
        let Some(Chain { root, leaf, changes }) = chain(&mut dice) else { continue };
        let anchors = TrustBundle::new(vec![root.certificate.clone()]);
        let rules =
            Rules { conformance: Conformance::Strict, ..Rules::new(&anchors, Purpose::Client, now()) };
        let ours = verify(&leaf.certificate, &leaf.chain, &rules);
        let theirs = openssl.verify(
            &root.certificate,
            &leaf.chain,
            &leaf.certificate,
            &["-purpose", "sslclient", "-policy_check"],
        );
        if ours.is_ok() {
            accepted += 1
        } else {
            refused += 1
        }
        if ours.is_ok() == theirs.is_ok() {
            continue;
        }
        let reasons: Vec<&str> = EXPLAINED
            .iter()
            .map(|(change, _)| *change)
            .filter(|explained| explains(explained, &changes))
            .collect();
        if reasons.is_empty() {
            complaints.push(format!("{changes:?}\n  ours: {:?}\n  theirs: {theirs:?}", ours.map(drop)));
        }
        explained.extend(reasons);
    }
    assert!(complaints.is_empty(), "{} unexplained:\n{}", complaints.len(), complaints.join("\n"));
    assert!(accepted > 20 && refused > 60, "{accepted} accepted, {refused} refused");
    for (change, why) in EXPLAINED {
        assert!(wanted < 1000 || explained.contains(change), "{change}: nothing differs over it");
        assert!(why.ends_with('.'), "{change}: the explanation is a sentence");
    }
}
