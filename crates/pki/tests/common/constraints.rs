//! Name constraints as data: a CA that permits or excludes these subtrees, a certificate below it with this name,
//! and whether it is valid. `pki::verify` and openssl are held to the same table.

use pki::der::{Writer, tag};
use pki::name::DistinguishedName;
use pki::oid;
use testkit::{RawCertificate, TestIdentity, constraints_der, subtree_der};

/// One row.
pub(crate) struct Row {
    pub(crate) permitted: &'static [&'static str],
    pub(crate) excluded: &'static [&'static str],
    /// `DNS:…`, `email:…`, `URI:…`, `IP:…` in subjectAltName; `O:…` or `E:…` in the subject.
    pub(crate) name: &'static str,
    pub(crate) valid: bool,
    /// Why openssl 3.0 comes to another verdict, where it does.
    pub(crate) openssl_differs: Option<&'static str>,
}

const fn row(
    permitted: &'static [&'static str],
    excluded: &'static [&'static str],
    name: &'static str,
    valid: bool,
) -> Row {
    Row { permitted, excluded, name, valid, openssl_differs: None }
}

const fn differs(row: Row, why: &'static str) -> Row {
    Row { openssl_differs: Some(why), ..row }
}

/// The table.
pub(crate) const ROWS: &[Row] = &[
    // DNS: a domain and all under it.
    row(&["DNS:example.com"], &[], "DNS:example.com", true),
    row(&["DNS:example.com"], &[], "DNS:a.b.EXAMPLE.com", true),
    row(&["DNS:example.com"], &[], "DNS:badexample.com", false),
    row(&["DNS:example.com"], &[], "DNS:*.example.com", true),
    row(&["DNS:a.example.com"], &[], "DNS:*.example.com", false),
    row(&["DNS:.example.com"], &[], "DNS:a.example.com", true),
    row(&["DNS:.example.com"], &[], "DNS:example.com", false),
    row(&["DNS:example.com", "DNS:example.org"], &[], "DNS:www.example.org", true),
    row(&[], &["DNS:example.com"], "DNS:www.example.com", false),
    row(&[], &["DNS:example.com"], "DNS:example.org", true),
    row(&["DNS:example.com"], &["DNS:secret.example.com"], "DNS:a.secret.example.com", false),
    row(&["DNS:example.com"], &["DNS:secret.example.com"], "DNS:open.example.com", true),
    differs(
        row(&[], &["DNS:secret.example.com"], "DNS:*.example.com", false),
        "openssl compares the wildcard as if it were a label (CVE-2025-61727 was Go's form of it)",
    ),
    differs(
        row(&[], &["DNS:example.com"], "DNS:www.example.com.", false),
        "openssl compares the trailing dot as if it were part of the name",
    ),
    row(&["DNS:localhost"], &[], "DNS:localhost", true),
    row(&["DNS:localhost"], &[], "DNS:app.localhost", true),
    row(&["DNS:localhost"], &[], "DNS:notlocalhost", false),
    // Addresses.
    row(&["IP:127.0.0.0/8"], &[], "IP:127.200.3.4", true),
    row(&["IP:127.0.0.0/8"], &[], "IP:128.0.0.1", false),
    row(&["IP:::1/128"], &[], "IP:::1", true),
    row(&["IP:::1/128"], &[], "IP:::2", false),
    row(&["IP:127.0.0.0/8"], &[], "IP:::1", false),
    row(&[], &["IP:0.0.0.0/0"], "IP:192.0.2.1", false),
    row(&[], &["IP:10.0.0.0/8"], "IP:192.0.2.1", true),
    row(&["IP:192.0.2.128/25"], &[], "IP:192.0.2.127", false),
    // Mailboxes: one, all of a host, all under a domain.
    row(&["email:example.com"], &[], "email:a@example.com", true),
    row(&["email:example.com"], &[], "email:a@EXAMPLE.com", true),
    row(&["email:example.com"], &[], "email:a@b.example.com", false),
    row(&["email:.example.com"], &[], "email:a@b.example.com", true),
    row(&["email:.example.com"], &[], "email:a@example.com", false),
    row(&["email:a@example.com"], &[], "email:a@example.com", true),
    row(&["email:a@example.com"], &[], "email:b@example.com", false),
    row(&[], &["email:example.com"], "email:a@example.com", false),
    row(&[], &["email:a@example.com"], "email:b@example.com", true),
    row(&["email:example.com"], &[], "E:a@example.com", true),
    row(&["email:example.com"], &[], "E:a@example.org", false),
    // URIs: one host, or all under a domain.
    row(&["URI:acme.test"], &[], "URI:spiffe://acme.test/web", true),
    row(&["URI:acme.test"], &[], "URI:https://acme.test:8443/x?y#z", true),
    differs(
        row(&["URI:acme.test"], &[], "URI:https://user@acme.test/", true),
        "openssl takes the user for a part of the host",
    ),
    row(&["URI:acme.test"], &[], "URI:spiffe://www.acme.test/web", false),
    row(&["URI:.acme.test"], &[], "URI:spiffe://www.acme.test/web", true),
    row(&["URI:.acme.test"], &[], "URI:spiffe://acme.test/web", false),
    row(&["URI:acme.test"], &[], "URI:https://127.0.0.1/", false),
    row(&["URI:acme.test"], &[], "URI:urn:acme.test", false),
    row(&[], &["URI:acme.test"], "URI:spiffe://acme.test/web", false),
    row(&[], &["URI:acme.test"], "URI:spiffe://other.test/web", true),
    // Directory names: those that start with all of the subtree's attributes.
    row(&["O:Acme"], &[], "O:Acme", true),
    row(&["O:Acme"], &[], "O:acme", true),
    row(&["O:Acme"], &[], "O:Other", false),
    row(&[], &["O:Acme"], "O:Acme", false),
    row(&[], &["O:Acme"], "O:Other", true),
    // Constraints on one kind of name say nothing about the others.
    row(&["DNS:example.com"], &[], "email:a@example.org", true),
    row(&["email:example.com"], &[], "DNS:example.org", true),
    row(&["IP:127.0.0.0/8"], &[], "DNS:example.org", true),
    row(&["URI:acme.test"], &[], "DNS:example.org", true),
];

impl Row {
    /// A root, a CA under it with these constraints, and a client under that with this name.
    pub(crate) fn chain(&self) -> (TestIdentity, TestIdentity) {
        let root = RawCertificate::ca("Unconstrained Root").self_signed();
        let list = |texts: &[&str]| texts.iter().map(|text| subtree_der(text)).collect::<Vec<_>>();
        let ca = RawCertificate::ca("Constrained CA")
            .name_constraints(constraints_der(&list(self.permitted), &list(self.excluded)))
            .issued_by(&root);
        let leaf = RawCertificate::client("peer");
        let leaf = match self.name.split_once(':').unwrap() {
            ("DNS", text) => leaf.alternative(&[(2, text.as_bytes())]),
            ("email", text) => leaf.alternative(&[(1, text.as_bytes())]),
            ("URI", text) => leaf.alternative(&[(6, text.as_bytes())]),
            ("IP", text) => match text.parse().unwrap() {
                std::net::IpAddr::V4(ip) => leaf.alternative(&[(7, &ip.octets())]),
                std::net::IpAddr::V6(ip) => leaf.alternative(&[(7, &ip.octets())]),
            },
            ("O", text) => leaf.subject(&[(oid::ORGANIZATION_NAME, text), (oid::COMMON_NAME, "peer")]),
            ("E", text) => leaf.subject(&[(oid::COMMON_NAME, "peer"), (oid::EMAIL_ADDRESS, text)]),
            (kind, _) => panic!("{kind}"),
        };
        (root, leaf.issued_by(&ca))
    }

    pub(crate) fn describe(&self) -> String {
        format!("permitted {:?}, excluded {:?}: {}", self.permitted, self.excluded, self.name)
    }
}

/// A directoryName in subjectAltName, which [`RawCertificate::alternative`] cannot write.
pub(crate) fn directory_alternative(organization: &str) -> Vec<u8> {
    let name = DistinguishedName::build(&[(oid::ORGANIZATION_NAME, organization)]);
    let mut writer = Writer::new();
    writer.nested(tag::SEQUENCE, |w| w.nested(tag::context_constructed(4), |w| w.raw(name.der())));
    writer.into_bytes()
}
