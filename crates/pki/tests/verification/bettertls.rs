//! The name-constraint matrix of BetterTLS (github.com/Netflix/bettertls, Apache-2.0), made here: every combination of a
//! name in the commonName, a DNS name, an address, and what the CA permits and excludes of both: 8,748 judgements.

use jiff::Timestamp;
use pki::Certificate;
use pki::name::ServerName;
use pki::oid;
use pki::verify::{Conformance, Purpose, ReasonCode, Rules, TrustBundle, verify};
use testkit::{RawCertificate, TestIdentity, TestKey, constraints_der, subtree_der};

/// Absent, the one that is asked for, or another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Value {
    Absent,
    Wanted,
    Other,
}

const VALUES: [Value; 3] = [Value::Absent, Value::Wanted, Value::Other];

struct Leaf {
    common_name_is_dns: bool,
    common_name: Value,
    dns: Value,
    ip: Value,
    certificate: Certificate,
}

struct Ca {
    permitted_dns: Value,
    permitted_ip: Value,
    excluded_dns: Value,
    excluded_ip: Value,
    certificate: Certificate,
}

fn leaves(ca: &TestIdentity) -> Vec<Leaf> {
    let key = TestKey::p256();
    let mut leaves = Vec::new();
    for common_name_is_dns in [true, false] {
        for common_name in VALUES {
            for dns in VALUES {
                for ip in VALUES {
                    let text = match (common_name, common_name_is_dns) {
                        (Value::Absent, _) => "",
                        (Value::Wanted, true) => "test.localhost",
                        (Value::Wanted, false) => "127.0.0.1",
                        (Value::Other, true) => "bad.example.com",
                        (Value::Other, false) => "1.1.1.1",
                    };
                    let mut names: Vec<(u8, &[u8])> = Vec::new();
                    match dns {
                        Value::Absent => {}
                        Value::Wanted => names.push((2, b"test.localhost")),
                        Value::Other => names.push((2, b"bad.example.com")),
                    }
                    match ip {
                        Value::Absent => {}
                        Value::Wanted => names.push((7, &[127, 0, 0, 1])),
                        Value::Other => names.push((7, &[1, 1, 1, 1])),
                    }
                    let mut subject = vec![(oid::ORGANIZATION_NAME, "BetterTLS")];
                    subject.extend((!text.is_empty()).then_some((oid::COMMON_NAME, text)));
                    let mut raw = RawCertificate::server("x").key(&key).subject(&subject);
                    raw = if names.is_empty() {
                        raw.without(oid::SUBJECT_ALT_NAME)
                    } else {
                        raw.alternative(&names)
                    };
                    let certificate = raw.issued_by(ca).certificate;
                    leaves.push(Leaf { common_name_is_dns, common_name, dns, ip, certificate });
                }
            }
        }
    }
    leaves
}

fn cas(root: &TestIdentity, key: &TestKey) -> Vec<Ca> {
    let mut cas = Vec::new();
    let subtrees = |dns: Value, ip: Value, host: &str| -> Vec<Vec<u8>> {
        let dns = match dns {
            Value::Absent => None,
            Value::Wanted => Some(subtree_der("DNS:localhost")),
            Value::Other => Some(subtree_der(host)),
        };
        let ip = match ip {
            Value::Absent => None,
            Value::Wanted => Some(subtree_der("IP:127.0.0.0/24")),
            Value::Other => Some(subtree_der("IP:1.1.1.0/24")),
        };
        dns.into_iter().chain(ip).collect()
    };
    for permitted_dns in VALUES {
        for permitted_ip in VALUES {
            for excluded_dns in VALUES {
                for excluded_ip in VALUES {
                    let permitted = subtrees(permitted_dns, permitted_ip, "DNS:example.com");
                    let excluded = subtrees(excluded_dns, excluded_ip, "DNS:bad.example.com");
                    let mut raw = RawCertificate::ca("CA").key(key);
                    if !(permitted.is_empty() && excluded.is_empty()) {
                        raw = raw.name_constraints(constraints_der(&permitted, &excluded));
                    }
                    let certificate = raw.issued_by(root).certificate;
                    cas.push(Ca { permitted_dns, permitted_ip, excluded_dns, excluded_ip, certificate });
                }
            }
        }
    }
    cas
}

/// Whether a name of this kind is outside what the CA allows of the kind.
fn is_forbidden(name: Value, permitted: Value, excluded: Value) -> bool {
    name != Value::Absent && ((permitted != Value::Absent && permitted != name) || excluded == name)
}

/// BetterTLS's rule, where a commonName names nothing and binds nothing (RFC 9525 section 2).
fn is_valid(asks_for_dns: bool, leaf: &Leaf, ca: &Ca) -> bool {
    let named = if asks_for_dns { leaf.dns } else { leaf.ip };
    named == Value::Wanted
        && !is_forbidden(leaf.dns, ca.permitted_dns, ca.excluded_dns)
        && !is_forbidden(leaf.ip, ca.permitted_ip, ca.excluded_ip)
}

#[test]
fn every_combination_of_names_and_constraints_has_the_verdict_of_bettertls() {
    let root = RawCertificate::ca("Root").self_signed();
    let key = TestKey::p256();
    let (cas, leaves) = (cas(&root, &key), leaves(&RawCertificate::ca("CA").key(&key).issued_by(&root)));
    let anchors = TrustBundle::new(vec![root.certificate.clone()]);
    let at: Timestamp = testkit::now();
    let (dns, ip) = (ServerName::parse("test.localhost").unwrap(), ServerName::parse("127.0.0.1").unwrap());
    let mut count = 0;
    for asks_for_dns in [true, false] {
        let rules = Rules {
            server_name: Some(if asks_for_dns { &dns } else { &ip }),
            conformance: Conformance::Strict,
            ..Rules::new(&anchors, Purpose::Server, at)
        };
        for leaf in &leaves {
            for ca in &cas {
                count += 1;
                let verdict = verify(&leaf.certificate, std::slice::from_ref(&ca.certificate), &rules);
                assert_eq!(
                    verdict.is_ok(),
                    is_valid(asks_for_dns, leaf, ca),
                    "asks for DNS {asks_for_dns}, commonName {:?} (DNS {}), dns {:?}, ip {:?}, permits {:?} {:?}, \
                     excludes {:?} {:?}: {verdict:?}",
                    leaf.common_name,
                    leaf.common_name_is_dns,
                    leaf.dns,
                    leaf.ip,
                    ca.permitted_dns,
                    ca.permitted_ip,
                    ca.excluded_dns,
                    ca.excluded_ip,
                );
                if let Err(refusal) = verdict {
                    let expected = [ReasonCode::NameConstraintsViolated, ReasonCode::NameMismatch];
                    assert!(
                        refusal.reasons().iter().all(|reason| expected.contains(&reason.code)),
                        "{refusal:?}"
                    );
                }
            }
        }
    }
    assert_eq!(count, 8748);
}
