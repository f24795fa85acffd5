//! Faults between a server and a client who both speak TLS: their certificates, what they believe, what they agree on.

use pki::Certificate;
use pki::oid;

use super::{Answer, Asks, Fault, Pair, Scene};
use crate::{RawCertificate, TestCa, TestIdentity, TestOrder, days_from_now, now};

/// A pair that works: a server for localhost, alice, one authority.
///
/// ```
/// assert!(testkit::faults::healthy().client.is_some());
/// ```
#[must_use]
pub fn healthy() -> Pair {
    World::new().pair()
}

pub(super) struct World {
    pub(super) ca: TestCa,
}

impl World {
    pub(super) fn new() -> Self {
        World { ca: TestCa::new() }
    }

    pub(super) fn root(&self) -> Certificate {
        self.ca.root().certificate.clone()
    }

    pub(super) fn pair(&self) -> Pair {
        Pair {
            server: self.ca.issue_server(&["localhost", "127.0.0.1"]),
            served: None,
            asks: Some(self.asks()),
            answer: Answer { status: 200, header: "Server: zoo", body: "ok" },
            client: Some(self.ca.issue_client("alice")),
            client_trust: vec![self.root()],
            trust_is_named: true,
            added_trust: Vec::new(),
            client_crls: Vec::new(),
            neighbours: Vec::new(),
            host: "localhost",
            host_header: None,
            program: "curl",
            insecure: false,
            restriction: None,
            only_version: None,
            stapled: None,
            wants_p256_first: false,
            only_group: None,
            only_protocol: None,
            client_clock: now(),
            not_in: None,
        }
    }

    pub(super) fn asks(&self) -> Asks {
        Asks {
            names: vec![self.root().subject().der().to_vec()],
            anchors: vec![self.root()],
            crls: Vec::new(),
            schemes: None,
            required: true,
            alert: None,
        }
    }

    /// The pair with another server's certificate; it asks nothing.
    pub(super) fn server(&self, server: TestIdentity) -> Pair {
        Pair { server, asks: None, client: None, ..self.pair() }
    }

    /// The pair with a server's certificate that `pki::issuer` would not make, issued by the root.
    fn raw_server(&self, change: impl FnOnce(RawCertificate) -> RawCertificate) -> Pair {
        self.server(change(RawCertificate::server("localhost")).issued_by(self.ca.root()))
    }

    /// The pair whose server refuses every client's certificate with this alert.
    pub(super) fn refusing(&self, alert: u8) -> Pair {
        Pair { asks: Some(Asks { alert: Some(alert), ..self.asks() }), ..self.pair() }
    }

    fn answers(&self, status: u16, header: &'static str, body: &'static str) -> Pair {
        Pair { answer: Answer { status, header, body }, ..self.pair() }
    }
}

pub(super) fn build(code: &str) -> Option<Fault> {
    let world = World::new();
    let ca = &world.ca;
    let other = TestCa::new().named("Other");
    let (side, pair) = match code {
        // The client refuses the server.
        "unknown_issuer" => {
            ("client", Pair { client_trust: vec![other.root().certificate.clone()], ..world.pair() })
        }
        "signature_invalid" => (
            "client",
            world.server(RawCertificate::server("localhost").damaged_signature().issued_by(ca.root())),
        ),
        "certificate_expired" => {
            ("server", world.server(ca.issue(TestOrder::server(&["localhost"]).expired())))
        }
        "certificate_not_yet_valid" => {
            ("clock", world.server(ca.issue(TestOrder::server(&["localhost"]).not_yet_valid())))
        }
        "wrong_purpose" => ("server", world.raw_server(|c| c.extended_key_usages(&[oid::CLIENT_AUTH]))),
        "key_usage_missing" => ("issuer", world.raw_server(|c| c.key_usage(&[4]))),
        "issuer_not_ca" => {
            let no_ca = RawCertificate::ca("Not a CA").basic_constraints(false, None).issued_by(ca.root());
            ("issuer", world.server(RawCertificate::server("localhost").issued_by(&no_ca)))
        }
        "ca_as_leaf" => {
            ("server", Pair { program: "firefox", ..world.raw_server(|c| c.basic_constraints(true, None)) })
        }
        "path_length_exceeded" => {
            let short = RawCertificate::ca("Short CA").basic_constraints(true, Some(0)).issued_by(ca.root());
            let below = RawCertificate::ca("CA below").issued_by(&short);
            ("issuer", world.server(RawCertificate::server("localhost").issued_by(&below)))
        }
        "name_constraints_violated" => {
            let constrained = RawCertificate::ca("Constrained CA")
                .name_constraints(crate::constraints_der(&[crate::subtree_der("DNS:internal.test")], &[]))
                .issued_by(ca.root());
            ("issuer", world.server(RawCertificate::server("localhost").issued_by(&constrained)))
        }
        "name_mismatch" => ("server", world.server(ca.issue_server(&["www.example.test"]))),
        "unknown_critical_extension" => ("issuer", world.raw_server(|c| c.unknown_extension(true))),
        "weak_key" => ("server", world.raw_server(|c| c.public_key_der(crate::rsa_1024_spki()))),
        "certificate_revoked" => {
            let pair = world.pair();
            let list = ca.current_crl(&[&pair.server.certificate]);
            ("server", Pair { client_crls: vec![list], ..pair })
        }
        "crl_expired" => {
            let list = ca.crl(&[], days_from_now(-20), days_from_now(-10));
            ("client", Pair { client_crls: vec![list], ..world.pair() })
        }
        "path_too_complex" => {
            let mut issuer = ca.root().clone();
            for depth in 0..12 {
                issuer = RawCertificate::ca(&format!("CA {depth}")).issued_by(&issuer);
            }
            ("issuer", world.server(RawCertificate::server("localhost").issued_by(&issuer)))
        }
        "malformed_certificate" => {
            let broken = RawCertificate::server("localhost").version(Some(7)).der_issued_by(ca.root());
            ("server", Pair { served: Some(vec![broken]), ..world.server(ca.issue_server(&["localhost"])) })
        }
        "self_signed" => ("server", world.server(RawCertificate::server("localhost").self_signed())),
        "intermediate_missing" => {
            let pair = world.pair();
            let leaf = vec![pair.server.certificate.der().to_vec()];
            (
                "server",
                Pair { served: Some(leaf), neighbours: vec![vec![ca.issuing().certificate.clone()]], ..pair },
            )
        }
        "chain_order" => {
            let above = RawCertificate::ca("Upper CA").issued_by(ca.root());
            let below = RawCertificate::ca("Lower CA").issued_by(&above);
            let server = RawCertificate::server("localhost").issued_by(&below);
            let ders = [&server.certificate, &above.certificate, &below.certificate];
            let served = ders.iter().map(|c| c.der().to_vec()).collect();
            ("server", Pair { served: Some(served), ..world.server(server) })
        }
        "leaf_as_anchor" => {
            let pair = world.pair();
            ("client", Pair { client_trust: vec![pair.server.certificate.clone()], program: "node", ..pair })
        }
        "anchor_not_root" => (
            "client",
            Pair { client_trust: vec![ca.issuing().certificate.clone()], program: "node", ..world.pair() },
        ),
        "anchor_expired" => {
            let old =
                RawCertificate::ca("Old CA").valid(days_from_now(-400), days_from_now(-2)).self_signed();
            let server = RawCertificate::server("localhost").issued_by(&old);
            ("client", Pair { client_trust: vec![old.certificate.clone()], ..world.server(server) })
        }
        "same_serial_number" => {
            let serial = [0x31; 16];
            let one = ca.issue(TestOrder::server(&["localhost"]).serial(&serial));
            let two = ca.issue(TestOrder::server(&["other.test"]).serial(&serial));
            ("issuer", Pair { neighbours: vec![vec![two.certificate]], ..world.server(one) })
        }
        "intercepting_proxy" => {
            let inspector = RawCertificate::ca("Zscaler Root CA").self_signed();
            let mut server = RawCertificate::server("localhost").issued_by(&inspector);
            server.chain.push(inspector.certificate);
            ("client", world.server(server))
        }
        "trust_store_ignored" => {
            let pair = world.pair();
            (
                "client",
                Pair { added_trust: vec![world.root()], trust_is_named: false, program: "node", ..pair },
            )
        }
        "authority_key_mismatch" => ("issuer", world.raw_server(|c| c.authority_key(&[9; 20]))),
        "strict_profile" => {
            ("issuer", Pair { program: "python", ..world.raw_server(RawCertificate::without_authority_key) })
        }
        "certificate_version_1" => {
            let plain = |c: RawCertificate| c.version_1();
            ("server", Pair { program: "rustls", host: "localhost", ..world.raw_server(plain) })
        }
        "no_subject_alt_name" => {
            ("server", Pair { program: "go", ..world.raw_server(|c| c.without(oid::SUBJECT_ALT_NAME)) })
        }
        "address_not_named" => {
            ("server", Pair { host: "127.0.0.1", ..world.server(ca.issue_server(&["localhost"])) })
        }
        "wildcard_too_deep" => {
            ("server", Pair { host: "a.b.localhost", ..world.server(ca.issue_server(&["*.localhost"])) })
        }
        "server_name_missing" => {
            let pair = world.server(ca.issue_server(&["default.test"]));
            ("client", Pair { host: "127.0.0.1", host_header: Some("api.test"), ..pair })
        }
        "stale_certificate_served" => {
            let old = ca.issue(TestOrder::server(&["localhost"]).expired());
            let new = ca.issue(TestOrder::server(&["localhost"]));
            ("server", Pair { neighbours: vec![vec![new.certificate]], ..world.server(old) })
        }
        "expires_soon" => {
            let order = TestOrder::server(&["localhost"]).valid(days_from_now(-85), days_from_now(5));
            ("server", world.server(ca.issue(order)))
        }
        "verification_disabled" => ("client", Pair { insecure: true, ..world.pair() }),
        "ocsp_invalid" => {
            let pair = world.server(ca.issue_server(&["localhost"]));
            ("server", Pair { program: "firefox", stapled: Some(vec![0x30, 0x03, 0x0a, 0x01, 0x03]), ..pair })
        }
        "cryptographic_failure" => {
            let (server, thief) = (ca.issue_server(&["localhost"]), ca.issue_server(&["localhost"]));
            let served = server.chain_der();
            ("server", Pair { served: Some(served), ..world.server(thief) })
        }
        "clock_wrong" => ("clock", Pair { client_clock: days_from_now(40), ..world.pair() }),
        // The server refuses the client.
        "no_client_certificate" => ("client", Pair { client: None, ..world.pair() }),
        "client_certificate_not_requested" => {
            ("server", Pair { asks: None, ..world.answers(403, "Server: zoo", "forbidden") })
        }
        "issuer_not_requested" => {
            let names = vec![other.root().certificate.subject().der().to_vec()];
            ("server", Pair { asks: Some(Asks { names, ..world.asks() }), ..world.pair() })
        }
        "certificate_refused" => ("client", world.refusing(46)),
        "crl_missing" => ("server", world.refusing(48)),
        "chain_too_large" => ("client", world.refusing(47)),
        "verify_depth_exceeded" => {
            let above = RawCertificate::ca("CA above").issued_by(ca.root());
            let below = RawCertificate::ca("CA below").issued_by(&above);
            let client = RawCertificate::client("alice").issued_by(&below);
            ("server", Pair { client: Some(client), ..world.refusing(48) })
        }
        "client_key_not_accepted" => {
            let schemes: &[&str] = &["rsa_pss_rsae_sha256", "rsa_pkcs1_sha256"];
            ("server", Pair { asks: Some(Asks { schemes: Some(schemes), ..world.asks() }), ..world.pair() })
        }
        "issuer_list_too_long" => {
            let names = (0..700)
                .map(|number| {
                    let name =
                        format!("An authority with a long name, as public ones have them, number {number}");
                    pki::name::DistinguishedName::build(&[(oid::COMMON_NAME, &name)]).der().to_vec()
                })
                .chain(world.asks().names)
                .collect();
            ("server", Pair { asks: Some(Asks { names, ..world.asks() }), ..world.pair() })
        }
        "not_allowed_by_policy" => ("server", world.answers(403, "Server: zoo", "not on the list")),
        "post_handshake_authentication" => {
            let body = "Reason: Cannot perform Post-Handshake Authentication.";
            ("server", Pair { asks: None, ..world.answers(403, "Server: Apache/2.4.66", body) })
        }
        "certificate_not_forwarded" => {
            let body = "<center>No required SSL certificate was sent</center>";
            ("proxy", Pair { asks: None, ..world.answers(400, "Server: nginx", body) })
        }
        "too_many_requests" => ("client", world.answers(429, "Retry-After: 60", "slow down")),
        "misdirected_request" => ("client", world.answers(421, "Server: Apache", "Misdirected Request")),
        "upstream_failed" => ("proxy", world.answers(502, "Server: nginx", "Bad Gateway")),
        // They do not agree.
        "protocol_version" => (
            "client",
            Pair {
                restriction: Some(("--tls-max", "1.2")),
                only_version: Some("1.3"),
                not_in: Some(("1.2", "the server speaks the other one alone")),
                ..world.pair()
            },
        ),
        "no_shared_cipher" => (
            "client",
            Pair {
                restriction: Some(("--ciphers", "TLS_AES_128_GCM_SHA256:ECDHE-RSA-AES128-GCM-SHA256")),
                only_version: Some("1.2"),
                not_in: Some(("1.3", "its suites are not chosen by the kind of key")),
                ..world.pair()
            },
        ),
        "no_shared_group" => (
            "client",
            Pair { restriction: Some(("--curves", "P-384")), only_group: Some("x25519"), ..world.pair() },
        ),
        "no_shared_signature_algorithm" => {
            ("client", Pair { restriction: Some(("--sigalgs", "RSA-PSS+SHA256")), ..world.pair() })
        }
        "no_application_protocol" => ("client", Pair { only_protocol: Some("h2"), ..world.pair() }),
        _ => return None,
    };
    Some(Fault { side, scene: Scene::Pair(Box::new(pair)) })
}
