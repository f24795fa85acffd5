//! Other faults of codes that the zoo has already: the same cause on the other side, several at once, or shown by other
//! means. By a name each.

use pki::ocsp::{CertId, CertStatus, HashAlgorithm, SingleResponse, prepare};
use pki::oid;

use super::pairs::World;
use super::{Fault, Pair, Scene};
use crate::{KeyKind, RawCertificate, TestKey, TestOrder, days_from_now, now, sha1_with_rsa};

/// The variant of this name.
///
/// ```
/// assert!(testkit::faults::variant("client without its intermediate").is_some());
/// ```
#[must_use]
pub fn variant(name: &str) -> Option<Fault> {
    let world = World::new();
    let ca = &world.ca;
    let (side, pair) = match name {
        "client without its intermediate" => {
            let mut pair = world.pair();
            if let Some(client) = &mut pair.client {
                client.chain.clear();
            }
            ("client", Pair { neighbours: vec![vec![ca.issuing().certificate.clone()]], ..pair })
        }
        "client whose key may not sign" => {
            // keyEncipherment alone.
            let client = RawCertificate::client("alice").key_usage(&[2]).issued_by(ca.root());
            ("client", Pair { client: Some(client), ..world.pair() })
        }
        "client below too many authorities" => {
            let short = RawCertificate::ca("Short CA").basic_constraints(true, Some(0)).issued_by(ca.root());
            let below = RawCertificate::ca("CA below").issued_by(&short);
            let client = RawCertificate::client("alice").issued_by(&below);
            ("issuer", Pair { client: Some(client), ..world.pair() })
        }
        "client of version 1" => {
            let client = RawCertificate::client("alice").version_1().issued_by(ca.root());
            ("client", Pair { client: Some(client), ..world.refusing(46) })
        }
        "client without certificate that does not verify" => {
            ("client", Pair { client: None, insecure: true, ..world.pair() })
        }
        "browser and a server with Ed25519" => {
            let key = TestKey::generate(KeyKind::Ed25519);
            let server = RawCertificate::server("localhost").key(&key).issued_by(ca.root());
            ("server", Pair { program: "chrome", ..world.server(server) })
        }
        "server that sends a weak certificate along" => {
            let algorithm = sha1_with_rsa();
            let old = RawCertificate::ca("Old cross").algorithms(&algorithm, &algorithm).issued_by(ca.root());
            let mut pair = world.pair();
            let mut served = pair.server.chain_der();
            served.push(old.certificate.der().to_vec());
            pair.served = Some(served);
            ("server", pair)
        }
        "server that says itself that it is revoked" => {
            let pair = world.server(ca.issue_server(&["localhost"]));
            let revocation = pki::crl::Revocation {
                revoked_at: days_from_now(-3),
                reason: pki::crl::RevocationReason::KeyCompromise,
            };
            let stapled = staple(&world, &pair, CertStatus::Revoked(revocation), days_from_now(1));
            ("server", Pair { program: "firefox", stapled: Some(stapled), ..pair })
        }
        "server with a stale OCSP response" => {
            let pair = world.server(ca.issue_server(&["localhost"]));
            let stapled = staple(&world, &pair, CertStatus::Good, days_from_now(-1));
            ("server", Pair { program: "firefox", stapled: Some(stapled), ..pair })
        }
        "server with a good OCSP response" => {
            let pair = world.pair();
            let stapled = staple(&world, &pair, CertStatus::Good, days_from_now(1));
            ("server", Pair { program: "firefox", stapled: Some(stapled), ..pair })
        }
        "server with three faults in one certificate" => {
            let raw = RawCertificate::server("www.example.test")
                .extended_key_usages(&[oid::CLIENT_AUTH])
                .valid(days_from_now(-90), days_from_now(-2));
            ("server", world.server(raw.issued_by(ca.root())))
        }
        "client with three faults in one certificate" => {
            let raw = RawCertificate::client("alice")
                .extended_key_usages(&[oid::SERVER_AUTH])
                .key_usage(&[2])
                .valid(days_from_now(-90), days_from_now(-2));
            ("client", Pair { client: Some(raw.issued_by(ca.root())), ..world.pair() })
        }
        "server that wants a key share of P-256" => (
            "server",
            Pair {
                wants_p256_first: true,
                not_in: Some(("1.2", "its ClientHello has no key share")),
                ..world.server(ca.issue(TestOrder::server(&["localhost"])))
            },
        ),
        _ => return None,
    };
    Some(Fault { side, scene: Scene::Pair(Box::new(pair)) })
}

/// The issuer's answer about the server's certificate, good until `until`.
fn staple(world: &World, pair: &Pair, status: CertStatus, until: jiff::Timestamp) -> Vec<u8> {
    let issuer = world.ca.issuing();
    let serial = pair.server.certificate.serial();
    let answer = SingleResponse {
        certificate: CertId::new(&issuer.certificate, serial, HashAlgorithm::Sha1).unwrap(),
        status,
        this_update: days_from_now(-4),
        next_update: Some(until),
    };
    prepare(&issuer.certificate, now(), &[answer], None, &[]).unwrap().sign(&issuer.key).unwrap()
}
