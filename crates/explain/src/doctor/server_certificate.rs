//! What the client thinks of the server's certificate: every reason of our own validator, in the shape that the
//! client's program gives it.

use pki::Certificate;
use pki::name::{GeneralName, ServerName};
use pki::verify::{Purpose, Reason, ReasonCode, Rules, TrustBundle, examine};

use super::mend::{self, OldKey};
use super::{Direction, Facts, Notes, Program, Weight, anchors, name, place, profile, shell, stapled};
use crate::finding::{Fault, Finding, FindingCode};
use crate::humane;

/// Names that stand in the roots of programs which inspect traffic.
const INSPECTORS: &[&str] = &[
    "zscaler",
    "netskope",
    "palo alto",
    "fortinet",
    "fortigate",
    "blue coat",
    "bluecoat",
    "symantec web",
    "mcafee web",
    "forcepoint",
    "websense",
    "sophos",
    "cisco umbrella",
    "barracuda",
    "check point",
    "checkpoint",
    "squid",
    "mitmproxy",
    "charles proxy",
    "fiddler",
    "burp",
    "kaspersky",
    "eset ssl",
    "avast",
    "avg technologies",
    "bitdefender",
    "cloudflare gateway",
    "cato networks",
    "iboss",
    "smoothwall",
    "untangle",
    "lightspeed",
    "securly",
    "goguardian",
];

pub(super) fn judge(facts: &Facts, notes: &mut Notes) {
    let Some(shown) = facts.attempts.iter().find(|attempt| !attempt.served.is_empty()) else { return };
    let served = shown.served_certificates();
    let Some(leaf) = served.first() else {
        let finding = Finding::new(
            FindingCode::MalformedCertificate,
            Fault::Server,
            "the server's certificate cannot be read, so no client that looks at it accepts it",
        )
        .certain()
        .evidence(match Certificate::from_der(&shown.served[0]) {
            Err(error) => error.to_string(),
            Ok(_) => String::new(),
        })
        .fix(Fault::Server, format!("countersign inspect https://{}", facts.target.authority()));
        notes.push(Weight::Blocks, Direction::ClientRefusedServer, finding);
        return;
    };
    let before = notes.found.len();
    let anchors = TrustBundle::new(facts.own.anchors.clone());
    let rules = Rules {
        server_name: Some(&facts.target.host),
        crls: &facts.own.crls,
        ..Rules::new(&anchors, Purpose::Server, facts.at)
    };
    // All checks on all paths: three faults in one chain are three findings.
    let examination = examine(leaf, &served[1..], &rules);
    match examination.valid() {
        Some(_) if facts.own.trust_unknown => {}
        Some(path) => anchors::judge(facts, &path.certificates, notes),
        None => {
            let unknown = |reason: &&Reason| {
                facts.own.trust_unknown
                    && matches!(reason.code, ReasonCode::UnknownIssuer | ReasonCode::SignatureInvalid)
            };
            let best = examination.best();
            for reason in best.reasons.iter().filter(|reason| !unknown(reason)) {
                let judged = Judged { facts, served: &served, path: &best.certificates, reason };
                if let Some((weight, finding)) = judged.finding() {
                    notes.push(weight, Direction::ClientRefusedServer, finding);
                }
            }
        }
    }
    if let Some(der) = &shown.stapled {
        stapled::judge(facts, der, &served, notes);
    }
    profile::judge(facts, &served, notes);
    if let Some(doubt) = &shown.doubt
        && leaf.public_key().is_ok_and(|key| key.weakness().is_none())
        && !leaf.extensions().is_empty()
    {
        let finding = Finding::new(
            FindingCode::CryptographicFailure,
            Fault::Server,
            format!(
                "the server could not prove that it has the key of {}: its signature over the handshake does not verify",
                name(leaf)
            ),
        )
        .certain()
        .evidence(doubt.clone())
        .fix(Fault::Server, "compare the public keys: openssl x509 -in server.pem -noout -pubkey; openssl pkey -in server-key.pem -pubout")
        .remedy("give the server the certificate and key that were made together; or somebody is in between");
        notes.push(Weight::Blocks, Direction::ClientRefusedServer, finding);
    }
    if facts.own.verification_off {
        // Nothing of it stops this client; it stops every other one.
        for ranked in &mut notes.found[before..] {
            ranked.weight = Weight::Warns;
        }
        let finding = Finding::new(
            FindingCode::VerificationDisabled,
            Fault::Client,
            "verification of the server is switched off: anybody on the way can be the server; and it changes nothing \
             about what the server thinks of the client",
        )
        .certain()
        .fix(Fault::Client, facts.program.trust_command("rootCA.pem", &facts.target.url()))
        .remedy("give the client the CA, and take the switch away");
        notes.push(Weight::Warns, Direction::Neither, finding);
    }
    if notes.found.len() == before {
        notes.checked(format!(
            "the server's certificate {} is verified for {} until {}",
            name(leaf),
            facts.target.host,
            humane::minute(leaf.not_after())
        ));
    }
}

/// One reason against the server's path, in its context.
struct Judged<'a> {
    facts: &'a Facts,
    served: &'a [Certificate],
    path: &'a [Certificate],
    reason: &'a Reason,
}

impl Judged<'_> {
    fn certificate(&self) -> &Certificate {
        self.path.get(self.reason.depth).unwrap_or(&self.path[0])
    }

    fn leaf(&self) -> &Certificate {
        &self.path[0]
    }

    fn reissue(&self, old_key: OldKey) -> String {
        mend::issue_server(self.facts, self.leaf(), old_key)
    }

    fn is_anchor(&self) -> bool {
        self.facts.own.anchors.contains(self.certificate())
    }

    /// `CN=localhost (the leaf, first in the chain)`
    fn who(&self) -> String {
        format!("{} ({})", name(self.certificate()), place(self.reason.depth, self.certificate()))
    }

    fn finding(&self) -> Option<(Weight, Finding)> {
        let program = self.facts.program;
        let message = self.reason.message.clone();
        let blocks = Weight::Blocks;
        let issued =
            |code, text: String| Finding::new(code, Fault::Issuer, text).certain().evidence(message.clone());
        Some(match self.reason.code {
            ReasonCode::UnknownIssuer => (blocks, self.unknown_issuer()),
            ReasonCode::SignatureInvalid => (blocks, self.signature()),
            ReasonCode::CertificateExpired if self.is_anchor() => {
                let weight = if program.checks_dates_of_roots() { blocks } else { Weight::Warns };
                (weight, self.anchor_expired())
            }
            ReasonCode::CertificateExpired => (blocks, self.expired()),
            ReasonCode::CertificateNotYetValid => (blocks, self.not_yet_valid()),
            ReasonCode::NameMismatch if self.leaf().extensions().is_empty() && !program.reads_version_1() => {
                // What it cannot have it does not lack.
                (blocks, profile::version_1(self.leaf(), Fault::Server, "server", self.facts))
            }
            ReasonCode::NameMismatch => self.name_mismatch(),
            ReasonCode::WrongPurpose => (
                blocks,
                Finding::new(
                    FindingCode::WrongPurpose,
                    Fault::Server,
                    format!("the client refuses the server's certificate {}: it is not for TLS servers", self.who()),
                )
                .certain()
                .evidence(message)
                .fix(Fault::Issuer, self.reissue(OldKey::Kept))
                .remedy("issue the server's certificate with extKeyUsage serverAuth"),
            ),
            ReasonCode::KeyUsage => (
                blocks,
                issued(
                    FindingCode::KeyUsageMissing,
                    format!("the client refuses {}: its key usage does not allow what its key does", self.who()),
                )
                .fix(Fault::Issuer, self.reissue(OldKey::Kept))
                .remedy("issue it again with the right keyUsage (a leaf: digitalSignature, a CA: keyCertSign)"),
            ),
            ReasonCode::IssuerNotCa => (
                blocks,
                issued(
                    FindingCode::IssuerNotCa,
                    format!(
                        "the client refuses the server's certificate {}: {} signed it and is no CA",
                        name(self.leaf()),
                        self.who()
                    ),
                )
                .fix(Fault::Issuer, self.reissue(OldKey::Kept))
                .remedy("issue it from a certificate with basicConstraints CA:TRUE and keyUsage keyCertSign"),
            ),
            ReasonCode::PathLengthExceeded => (
                blocks,
                issued(
                    FindingCode::PathLengthExceeded,
                    format!("the client refuses the server's chain: {} allows fewer CAs below it", self.who()),
                )
                .fix(Fault::Issuer, self.reissue(OldKey::Kept))
                .remedy("issue the intermediate with a larger path length, or the leaf from a CA further up"),
            ),
            ReasonCode::NameConstraintsViolated => {
                let weight = if program.enforces_constraints_of_roots() { blocks } else { Weight::Warns };
                (
                    weight,
                    issued(
                        FindingCode::NameConstraintsViolated,
                        format!(
                            "the client refuses the server's certificate {}: a CA above it may not issue for that name",
                            self.who()
                        ),
                    )
                    .fix(Fault::Issuer, mend::widen(self.facts, self.leaf()).unwrap_or_else(|| {
                        format!("countersign init --permit {}", shell(&self.facts.target.host.to_string()))
                    }))
                    .remedy("issue it from a CA whose constraints permit the name, or use a name that they permit"),
                )
            }
            ReasonCode::CaAsLeaf => {
                let weight = if program.accepts_ca_as_leaf() { Weight::Warns } else { blocks };
                (weight, profile::ca_as_leaf(self.leaf(), self.facts))
            }
            ReasonCode::WeakKey => {
                let takes = program.least_rsa_bits() <= 1024 && message.contains("1024");
                let unknown = self.certificate().public_key().is_err();
                let code = if unknown { FindingCode::KeyKindUnsupported } else { FindingCode::WeakKey };
                (
                    if takes { Weight::Warns } else { blocks },
                    Finding::new(
                        code,
                        Fault::Server,
                        format!("the client refuses the key of {}: too weak, or of a kind it does not know", self.who()),
                    )
                    .certain()
                    .evidence(message)
                    .fix(Fault::Server, "openssl ecparam -name prime256v1 -genkey -noout -out server-key.pem")
                    .remedy("make a P-256 or RSA-2048 key, and issue the certificate again"),
                )
            }
            ReasonCode::WeakSignature => (
                blocks,
                issued(
                    FindingCode::WeakSignature,
                    format!("the client refuses {}: its signature is made with a broken or unknown algorithm", self.who()),
                )
                .fix(Fault::Issuer, self.reissue(OldKey::Kept))
                .remedy("issue it again with SHA-256"),
            ),
            ReasonCode::CertificateRevoked => (
                blocks,
                Finding::new(
                    FindingCode::CertificateRevoked,
                    Fault::Server,
                    format!("the client refuses {}: it is revoked", self.who()),
                )
                .certain()
                .evidence(message)
                .fix(Fault::Issuer, self.reissue(OldKey::Replaced))
                .remedy("issue the server a new certificate with a new key"),
            ),
            ReasonCode::CrlExpired => (
                blocks,
                Finding::new(
                    FindingCode::CrlExpired,
                    Fault::Client,
                    "the client's revocation list is past its nextUpdate, so it believes no certificate of that CA; \
                     programs call that an expired certificate",
                )
                .certain()
                .evidence(message)
                .fix(Fault::Issuer, "countersign crl --out ca.crl")
                .remedy("fetch or publish a newer list"),
            ),
            ReasonCode::CrlMissing => (
                blocks,
                Finding::new(
                    FindingCode::CrlMissing,
                    Fault::Client,
                    format!("the client requires a revocation list for {} and has none", self.who()),
                )
                .certain()
                .evidence(message)
                .fix(Fault::Issuer, "countersign crl --out ca.crl"),
            ),
            ReasonCode::UnknownCriticalExtension => (
                blocks,
                issued(
                    FindingCode::UnknownCriticalExtension,
                    format!("the client refuses {}: it has a critical extension that nobody here knows", self.who()),
                )
                .remedy("issue it without that extension, or with it not critical"),
            ),
            ReasonCode::TooComplex => (
                blocks,
                issued(FindingCode::PathTooComplex, "the search for a path to a trusted root was given up".to_owned())
                    .remedy("serve the leaf and its intermediates only, without cross-signed certificates in circles"),
            ),
            ReasonCode::PolicyNotAccepted
            | ReasonCode::NotConforming
            | ReasonCode::CrlUnusable
            | ReasonCode::OcspInvalid => (
                blocks,
                issued(self.reason.code.into(), format!("the client refuses {}: {}", self.who(), self.reason.message)),
            ),
            ReasonCode::SecondOpinion => (
                if program == Program::Rustls { blocks } else { Weight::Warns },
                issued(
                    FindingCode::SecondOpinion,
                    format!("rustls refuses the server's certificate {}, and others accept it", self.who()),
                ),
            ),
        })
    }

    fn signature(&self) -> Finding {
        let issuer = self.certificate().issuer();
        Finding::new(
            FindingCode::SignatureInvalid,
            Fault::Client,
            format!(
                "the client refuses {}: its issuer {issuer} is trusted by that name, and the signature was made by \
                 another key. The CA was made again, and one side has the old certificate of it",
                self.who()
            ),
        )
        .certain()
        .evidence(self.reason.message.clone())
        .evidence(format!("the client believes {}", anchors::files(self.facts)))
        .fix(Fault::Client, self.facts.program.trust_command("rootCA.pem", &self.facts.target.url()))
        .alternative(Fault::Issuer, self.reissue(OldKey::Kept))
        .remedy("give the client the current certificate of the CA, or both during a rotation")
    }

    fn unknown_issuer(&self) -> Finding {
        let (facts, leaf) = (self.facts, self.leaf());
        let (url, last) = (facts.target.url(), &self.path[self.path.len() - 1]);
        let believed = match facts.own.anchor_files.as_slice() {
            [] => match &facts.own.default_anchor_file {
                Some(file) => format!("the client believes what stands in {file}"),
                None => format!("the client believes the default roots of {}", facts.program.title()),
            },
            some => {
                let names: Vec<String> = facts.own.anchors.iter().take(4).map(name).collect();
                format!("the client believes, from {}: {}", some.join(", "), names.join("; "))
            }
        };
        if self.path.len() == 1 && leaf.is_self_issued() {
            return Finding::new(
                FindingCode::SelfSigned,
                Fault::Server,
                format!("the client refuses the server's certificate {}: it is self-signed", self.who()),
            )
            .certain()
            .evidence(format!("subject and issuer are both {}", name(leaf)))
            .evidence(believed)
            .fix(Fault::Issuer, self.reissue(OldKey::Kept))
            .alternative(
                Fault::Client,
                format!(
                    "countersign inspect --pem {} > server.pem && {}",
                    shell(&url),
                    facts.program.trust_command("server.pem", &url)
                ),
            )
            .remedy("issue the server's certificate from a CA, and give the client that CA");
        }
        let signed_last = |c: &Certificate| {
            c.is_ca()
                && c.subject().matches(last.issuer())
                && c.public_key().is_ok_and(|key| last.verify_signature(key).is_ok())
        };
        // A name in the server's own list of CAs is that of a root more often than not.
        let is_known_as_root = facts.neighbour(|c| c.is_self_issued() && signed_last(c)).is_some()
            || facts.asked().is_some_and(|asked| asked.names().iter().any(|n| n.matches(last.issuer())));
        let sent_alone = self.served.len() == 1 && !is_known_as_root;
        // The issuer of the topmost certificate that was sent: is it an intermediate that the server left out?
        let missing = facts.neighbour(|c| !c.is_self_issued() && signed_last(c));
        let is_private_trust = !facts.own.anchor_files.is_empty();
        let publishes_issuer = last.extensions().iter().any(|e| e.oid.dotted() == "1.3.6.1.5.5.7.1.1");
        if !last.is_self_issued()
            && (missing.is_some() || (sent_alone && (is_private_trust || publishes_issuer)))
        {
            let mut finding = Finding::new(
                FindingCode::IntermediateMissing,
                Fault::Server,
                format!(
                    "the client cannot get from the server's certificate {} to a root it believes: the issuer {} was \
                     not sent along",
                    name(leaf),
                    last.issuer()
                ),
            )
            .evidence(format!("the server sent {} certificate(s), the last one issued by {}", self.served.len(), last.issuer()))
            .evidence(believed);
            let file = match missing {
                Some((file, found)) => {
                    finding = finding.certain().evidence(format!(
                        "{} is in {file}, issued by {}",
                        name(found),
                        found.issuer()
                    ));
                    shell(file)
                }
                None => "intermediate.pem".to_owned(),
            };
            return finding
                .fix(Fault::Server, mend::serve_intermediate(facts, leaf, &file))
                .alternative(Fault::Client, facts.program.trust_command(&file, &url))
                .remedy(format!(
                    "let the server send leaf and intermediate (nginx: ssl_certificate fullchain.pem); if {} is a root \
                     of your own, give it to the client",
                    last.issuer()
                ));
        }
        let text = last.issuer().to_string().to_lowercase();
        if let Some(inspector) = INSPECTORS.iter().find(|word| text.contains(*word)) {
            return Finding::new(
                FindingCode::InterceptingProxy,
                Fault::Client,
                format!(
                    "the certificate that arrives for {} is not the server's: a program on the way that inspects \
                     traffic made it ({}), and the client does not know that program's root",
                    facts.target.host,
                    last.issuer()
                ),
            )
            .evidence(format!("the chain ends in {}, a name of '{inspector}'", last.issuer()))
            .evidence(believed)
            .evidence("a program that ends TLS on the way cannot pass a client certificate on")
            .fix(Fault::Proxy, format!("exempt {} from inspection", facts.target.host))
            .alternative(Fault::Client, facts.program.trust_command("inspection-root.pem", &url))
            .remedy("mutual TLS works only where the inspection is bypassed for this host");
        }
        let root = if last.is_self_issued() { last.subject() } else { last.issuer() };
        let local = facts.neighbour(|c| {
            c.is_ca()
                && c.subject().matches(root)
                && c.public_key().is_ok_and(|key| last.verify_signature(key).is_ok())
        });
        let mut finding = Finding::new(
            FindingCode::UnknownIssuer,
            Fault::Client,
            format!(
                "the client refuses the server's certificate {}: the client does not know its CA {root}. This is about \
                 what the client believes, not about the client's own certificate",
                name(leaf)
            ),
        )
        .certain()
        .evidence(believed)
        .evidence(self.reason.message.clone());
        if last.is_self_issued() && self.served.len() > 1 {
            finding = finding.evidence(
                "the server sent the root along; programs then speak of a \"self-signed certificate in certificate \
                 chain\", which is that root and no fault",
            );
        }
        match local {
            Some((file, found)) => finding
                .evidence(format!("{file} holds {}, whose key made the signature", name(found)))
                .fix(Fault::Client, facts.program.trust_command(&shell(file), &url)),
            None => finding
                .fix(Fault::Client, facts.program.trust_command("rootCA.pem", &url))
                .remedy(format!(
                    "get the certificate of {root} from whoever runs the server, compare its fingerprint, and give it \
                     to the client"
                )),
        }
    }

    fn anchor_expired(&self) -> Finding {
        let (root, facts) = (self.certificate(), self.facts);
        let renewed = facts.neighbour(|c| {
            c.subject().matches(root.subject()) && c != root && c.not_after() > facts.at && c.is_ca()
        });
        Finding::new(
            FindingCode::AnchorExpired,
            Fault::Client,
            format!(
                "the client's own copy of the root {} has expired; everything the server sent may be in date",
                name(root)
            ),
        )
        .certain()
        .evidence(self.reason.message.clone())
        .evidence(format!("it comes from {}", anchors::files(facts)))
        .fix(
            Fault::Client,
            facts
                .program
                .trust_command(&renewed.map_or("rootCA.pem".to_owned(), |(file, _)| shell(file)), &facts.target.url()),
        )
        .remedy("replace the old root in the client's trust store by the renewed one; do not renew the server's certificate")
    }

    fn expired(&self) -> Finding {
        let (certificate, facts) = (self.certificate(), self.facts);
        let newer = facts.neighbour(|c| {
            c != certificate
                && c.not_after() >= facts.at
                && c.subject().matches(certificate.subject())
                && c.subject_alt_names() == certificate.subject_alt_names()
        });
        if let Some((file, found)) = newer.filter(|_| self.reason.depth == 0) {
            return Finding::new(
                FindingCode::StaleCertificateServed,
                Fault::Server,
                format!(
                    "the server still serves the certificate {} that expired {} ago; the renewed one is on the disk, \
                     in {file}",
                    name(certificate),
                    humane::span(facts.at.duration_since(certificate.not_after()))
                ),
            )
            .certain()
            .evidence(format!("served: serial {}, until {}", certificate.serial_hex(), certificate.not_after()))
            .evidence(format!("in {file}: serial {}, until {}", found.serial_hex(), found.not_after()))
            .fix(Fault::Server, "nginx -s reload")
            .remedy("reload the server");
        }
        Finding::new(
            FindingCode::CertificateExpired,
            Fault::Server,
            format!(
                "the client refuses the server's certificate {}: it expired {} ago",
                self.who(),
                humane::span(facts.at.duration_since(certificate.not_after()))
            ),
        )
        .certain()
        .evidence(format!("valid until {}; now it is {}", certificate.not_after(), facts.at))
        .fix(
            Fault::Issuer,
            match self.reason.depth {
                0 => mend::renew_server(facts, certificate),
                _ => self.reissue(OldKey::Kept),
            },
        )
        .remedy("renew the server's certificate and reload the server")
    }

    fn not_yet_valid(&self) -> Finding {
        let (certificate, facts) = (self.certificate(), self.facts);
        Finding::new(
            FindingCode::CertificateNotYetValid,
            Fault::Clock,
            format!(
                "the client refuses {}: it is valid only in {}, so the clock of the client or that of its CA is wrong",
                self.who(),
                humane::span(certificate.not_before().duration_since(facts.at))
            ),
        )
        .certain()
        .evidence(format!("valid from {}; now it is {} here", certificate.not_before(), facts.at))
        .fix(Fault::Clock, "timedatectl set-ntp true")
        .alternative(Fault::Issuer, self.reissue(OldKey::Kept))
        .remedy("correct the clock that is wrong, or issue the certificate again")
    }

    fn name_mismatch(&self) -> (Weight, Finding) {
        let (facts, leaf) = (self.facts, self.leaf());
        let host = &facts.target.host;
        let names = leaf.subject_alt_names();
        let listed: Vec<String> = names.iter().take(8).map(ToString::to_string).collect();
        let reissue = self.reissue(OldKey::Kept);
        let certain = |code, fault, text: String| {
            Finding::new(code, fault, text).certain().evidence(format!("asked for: {host}")).evidence(
                if listed.is_empty() {
                    format!("presented: no subjectAltName, the subject is {}", name(leaf))
                } else {
                    format!("presented: {}", listed.join(", "))
                },
            )
        };
        if names.is_empty() {
            let common = leaf.subject().common_name().unwrap_or_default();
            let by_name = host.to_string().eq_ignore_ascii_case(&common);
            let falls_back = by_name && facts.program.falls_back_to_common_name();
            let finding = certain(
                FindingCode::NoSubjectAltName,
                Fault::Server,
                format!(
                    "the server's certificate {} has no subjectAltName: Go, rustls and browsers look nowhere else, and \
                     refuse it",
                    self.who()
                ),
            )
            .fix(Fault::Issuer, reissue)
            .remedy("issue it again with a subjectAltName");
            return (if falls_back { Weight::Warns } else { Weight::Blocks }, finding);
        }
        if let (ServerName::Ip(ip), Some(header)) = (host, &facts.target.host_header) {
            let finding = certain(
                FindingCode::ServerNameMissing,
                Fault::Client,
                format!(
                    "the client connects to the address {ip} and so sends no server name: it gets the default \
                     certificate {}, and perhaps the default rules, instead of those of {header}",
                    name(leaf)
                ),
            )
            .fix(
                Fault::Client,
                format!("curl --resolve {header}:{}:{ip} https://{header}:{}{}", facts.target.port, facts.target.port, facts.target.path),
            )
            .remedy("connect by name; a Host header alone chooses no certificate");
            return (Weight::Blocks, finding);
        }
        if let ServerName::Ip(ip) = host {
            let as_text =
                names.iter().any(|n| matches!(n, GeneralName::Dns(text) if *text == ip.to_string()));
            let finding = certain(
                FindingCode::AddressNotNamed,
                Fault::Server,
                if as_text {
                    format!(
                        "the client refuses the server's certificate {}: it has {ip} as a DNS name, which never \
                         matches an address; it needs IP:{ip}",
                        self.who()
                    )
                } else {
                    format!(
                        "the client refuses the server's certificate {}: the client connects to the address {ip}, and \
                         the certificate has no address in it",
                        self.who()
                    )
                },
            )
            .fix(Fault::Issuer, reissue)
            .remedy("issue it with the address as an IP entry, or connect by a name it has");
            return (Weight::Blocks, with_name(facts, names, finding));
        }
        let wildcard = names.iter().find_map(|n| match n {
            GeneralName::Dns(text) => text
                .strip_prefix("*.")
                .filter(|parent| host.to_string().ends_with(&format!(".{parent}")))
                .map(|_| text),
            _ => None,
        });
        if let Some(wildcard) = wildcard {
            let finding = certain(
                FindingCode::WildcardTooDeep,
                Fault::Server,
                format!("the client refuses the server's certificate {}: {wildcard} stands for one label, and {host} has two there", self.who()),
            )
            .fix(Fault::Issuer, reissue)
            .remedy("issue it with the exact name, or a wildcard one level deeper");
            return (Weight::Blocks, finding);
        }
        let finding = certain(
            FindingCode::NameMismatch,
            Fault::Server,
            format!("the client refuses the server's certificate {}: it does not name {host}", self.who()),
        )
        .fix(Fault::Issuer, reissue)
        .remedy("connect by a name in the certificate, or issue it again with this one");
        let finding = match profile::unsent_server_name(facts) {
            Some(host) => finding.evidence(format!(
                "{} sends no server name for {host}, which has no dot, and so is served the default host's certificate",
                facts.program.title()
            )),
            None => finding,
        };
        (Weight::Blocks, with_name(facts, names, finding))
    }
}

/// The second best of a wrong name: a name that the certificate has.
fn with_name(facts: &Facts, names: &[GeneralName], finding: Finding) -> Finding {
    let usable = names.iter().find_map(|n| match n {
        GeneralName::Dns(text) if !text.starts_with("*.") && !is_address(text) => Some(text),
        _ => None,
    });
    let Some(usable) = usable else { return finding };
    let port = facts.target.port;
    let address = facts.attempts.iter().find_map(|attempt| attempt.address.as_deref());
    let resolve = match address.and_then(|address| address.rsplit_once(':')) {
        Some((ip, _)) => format!("--resolve {usable}:{port}:{ip} "),
        None => String::new(),
    };
    finding.alternative(Fault::Client, format!("curl {resolve}https://{usable}:{port}{}", facts.target.path))
}

fn is_address(text: &str) -> bool {
    matches!(ServerName::parse(text), Ok(ServerName::Ip(_)))
}
