//! What the server thinks of the client's certificate. What the server believes is not seen, but its
//! CertificateRequest names it, and the certificate itself is here: it is judged by all rules, and the server's own
//! words (an alert, a close, a status) are held against that.

use pki::Certificate;
use pki::verify::{Purpose, Reason, ReasonCode, Rules, TrustBundle, examine};

use super::mend::{self, OldKey};
use super::profile::{authority_key, authority_key_mismatch, strict, version_1};
use super::{Asked, Attempt, Direction, End, Facts, Notes, Weight, end_text, name, place, shell};
use crate::alert;
use crate::finding::{Fault, Finding, FindingCode};
use crate::humane;

/// The most octets of a chain that OpenSSL takes by default (SSL_MAX_CERT_LIST_DEFAULT).
const OPENSSL_CHAIN_LIMIT: usize = 100 * 1024;

/// The length of a list of CA names from which Java refuses the message (jdk.tls.maxHandshakeMessageSize).
const JAVA_MESSAGE_LIMIT: usize = 32_768;

pub(super) fn judge(facts: &Facts, notes: &mut Notes) {
    let Some(main) = facts.main().filter(|_| facts.target.is_tls) else { return };
    let Some(asked) = facts.asked() else {
        if main.is_finished() {
            notes.checked("the server asks for no client certificate");
        }
        return;
    };
    let names = asked.names();
    notes.checked(match names.len() {
        0 => "the server asks for a client certificate, of any CA".to_owned(),
        1 => format!("the server asks for a client certificate, issued under {}", names[0]),
        more => format!("the server asks for a client certificate, issued under one of {more} CAs"),
    });
    list_length(asked, notes);
    let told = refusal_of(main);
    // Where the server is ours, what it would say is judged by what it believes.
    let assumed = told.is_none() && !facts.own.peer_anchors.is_empty();
    let refused =
        if assumed { Some("judged as a server that believes what is given here".to_owned()) } else { told };
    if facts.own.chain.is_empty() {
        if let Some(refused) = &refused {
            notes.push(Weight::Blocks, Direction::ServerRefusedClient, none_sent(facts, asked, refused));
        }
        return;
    }
    let case = Case { facts, asked, main, refused, assumed };
    if !main.sent_certificate {
        case.not_sent(notes);
        return;
    }
    case.sent(notes);
}

/// The server's words, where they are a refusal that can be about the client's certificate.
fn refusal_of(main: &Attempt) -> Option<String> {
    match &main.end {
        // A TLS 1.2 server refuses before it finishes, a TLS 1.3 server after the client has.
        End::Alert { .. } | End::Closed { .. } | End::Reset { .. } if !main.served.is_empty() => {
            Some(end_text(&main.end))
        }
        _ => {
            let answer = main.answer.as_ref()?;
            let body = answer.body.to_lowercase();
            let about_certificate = matches!(answer.status, 495 | 496)
                || (answer.status == 400 && body.contains("ssl certificate"));
            about_certificate.then(|| {
                let sentence = ["No required SSL certificate was sent", "The SSL certificate error"]
                    .into_iter()
                    .find(|known| body.contains(&known.to_lowercase()))
                    .map_or(String::new(), |known| format!(", \"{known}\""));
                format!("the server answered with status {}{sentence}", answer.status)
            })
        }
    }
}

fn list_length(asked: &Asked, notes: &mut Notes) {
    let octets = asked.list_octets();
    if octets < JAVA_MESSAGE_LIMIT {
        return;
    }
    let finding = Finding::new(
        FindingCode::IssuerListTooLong,
        Fault::Server,
        format!(
            "the server's list of acceptable CAs has {} names in {octets} octets: Java refuses a message from 32,768 on, \
             Windows has a limit of its own, and beyond 65,535 it cannot be sent at all",
            asked.authorities.len()
        ),
    )
    .certain()
    .evidence(format!("CertificateRequest: certificate_authorities of {octets} octets"))
    .fix(Fault::Server, "ssl_client_certificate client-ca.pem;  # the CA that issues clients, not the system's bundle")
    .remedy("point the client-CA file at the few CAs that issue client certificates");
    notes.push(Weight::Warns, Direction::Neither, finding);
}

fn none_sent(facts: &Facts, asked: &Asked, refused: &str) -> Finding {
    let (certificate, key) = facts
        .neighbours
        .iter()
        .find_map(|neighbour| pair_for(facts, asked, &neighbour.file))
        .unwrap_or_else(|| ("client.pem".to_owned(), "client-key.pem".to_owned()));
    let url = facts.target.url();
    let mut finding = Finding::new(
        FindingCode::NoClientCertificate,
        Fault::Client,
        format!(
            "the server {} refused the client: it requires a client certificate and the client sent none",
            facts.target.host
        ),
    )
    .certain()
    .evidence("the server sent a CertificateRequest, and the client's Certificate message was empty")
    .evidence(refused.to_owned())
    .fix(Fault::Client, facts.program.certificate_command(&certificate, &key, &url))
    .remedy("give the client its certificate and key");
    let names: Vec<String> = asked.names().iter().take(4).map(ToString::to_string).collect();
    if !names.is_empty() {
        finding = finding.evidence(format!("the server takes those issued under {}", names.join("; ")));
    }
    if facts.own.verification_off {
        finding = finding.evidence("-k only switches off what the client checks; the server's verdict stays");
    }
    finding
}

/// A certificate for clients in this file, with its key in a file beside it.
fn pair_for(facts: &Facts, asked: &Asked, file: &str) -> Option<(String, String)> {
    use super::NeighbourContent::{Certificates, Key};
    let certificate = facts.neighbours.iter().find_map(|neighbour| match &neighbour.content {
        Certificates(chain) if neighbour.file == file => chain.first(),
        _ => None,
    })?;
    let for_clients =
        certificate.extended_key_usages().is_some_and(|usages| usages.contains(&pki::oid::CLIENT_AUTH));
    if !for_clients || certificate.is_ca() || !asked.names_an_issuer_of(std::slice::from_ref(certificate)) {
        return None;
    }
    let spki = certificate.public_key().ok()?.spki_der();
    let key = facts.neighbours.iter().find_map(|neighbour| match &neighbour.content {
        Key(public) if public == spki => Some(neighbour.file.clone()),
        _ => None,
    })?;
    Some((shell(file), shell(&key)))
}

struct Case<'a> {
    facts: &'a Facts,
    asked: &'a Asked,
    main: &'a Attempt,
    /// The server's words of refusal.
    refused: Option<String>,
    /// Whether nobody said them: they would be.
    assumed: bool,
}

impl Case<'_> {
    fn leaf(&self) -> &Certificate {
        // Called with a certificate.
        &self.facts.own.chain[0]
    }

    /// A certificate that the server takes, in place of this one.
    fn reissue(&self, old_key: OldKey) -> String {
        mend::issue_client(self.facts, self.leaf(), old_key)
    }

    fn weight(&self) -> Weight {
        if self.refused.is_some() { Weight::Blocks } else { Weight::Warns }
    }

    fn alert(&self) -> Option<u8> {
        match self.main.end {
            End::Alert { description, .. } => Some(description),
            _ => None,
        }
    }

    fn names(&self) -> String {
        let names: Vec<String> = self.asked.names().iter().take(4).map(ToString::to_string).collect();
        match self.asked.authorities.len() {
            0 => "any CA".to_owned(),
            count if count > 4 => format!("{} and {} more", names.join("; "), count - 4),
            _ => names.join("; "),
        }
    }

    fn with_words(&self, finding: Finding) -> Finding {
        match &self.refused {
            Some(words) => finding.evidence(words.clone()),
            None => finding,
        }
    }

    /// A certificate is configured, and none was sent.
    fn not_sent(&self, notes: &mut Notes) {
        let (facts, leaf) = (self.facts, self.leaf());
        if !facts.own.can_sign {
            // The files' own findings say why.
            return;
        }
        let program = facts.program;
        let finding = if program.withholds_by_issuer() && !self.asked.names_an_issuer_of(&facts.own.chain) {
            self.issuer_not_requested()
        } else if program.withholds_by_purpose() && facts.at > leaf.not_after() {
            self.expired(0, leaf)
        } else if program.withholds_by_purpose() && !is_for_clients(leaf) {
            self.wrong_purpose(leaf, &format!("'{}' has no extended key usage clientAuth", leaf.short_name()))
        } else {
            Finding::new(
                FindingCode::ClientKeyNotAccepted,
                Fault::Server,
                format!(
                    "the client has the certificate {} and did not send it: the server takes none of the signatures \
                     that its key can make",
                    name(leaf)
                ),
            )
            .certain()
            .evidence(format!("the server takes: {}", self.asked.signature_schemes.join(", ")))
            .evidence(format!(
                "the key: {}",
                leaf.public_key().map_or_else(|e| e.to_string(), |key| key.algorithm().to_string())
            ))
            .fix(Fault::Server, "drop the setting of client signature algorithms (OpenSSL: ClientSignatureAlgorithms)")
            .alternative(Fault::Issuer, format!("countersign issue client {} --key rsa2048", shell(&leaf.short_name())))
            .remedy("let the server accept the key's signatures, or use a certificate with another kind of key")
        };
        notes.push(self.weight(), Direction::ServerRefusedClient, self.with_words(finding));
    }

    fn sent(&self, notes: &mut Notes) {
        let before = notes.found.len();
        self.judge_chain(notes);
        self.profile(notes);
        let has_blocking = notes.found[before..].iter().any(|ranked| ranked.weight == Weight::Blocks);
        if self.refused.is_some() && !self.assumed && !has_blocking {
            let finding = self.by_words();
            notes.push(Weight::Blocks, Direction::ServerRefusedClient, finding);
        }
        if (self.refused.is_none() || self.assumed) && self.main.is_let_in() && !has_blocking {
            if notes.found.len() == before {
                let leaf = self.leaf();
                notes.checked(format!(
                    "the client's certificate {} was sent and not refused; it ends on {}",
                    name(leaf),
                    humane::minute(leaf.not_after())
                ));
            }
            if self.main.end == End::Silent {
                notes.unchecked(
                    "whether the server accepts the certificate: it said nothing, and TLS 1.3 servers judge after the \
                     client is done",
                );
            }
        }
    }

    /// Our own verdict on the chain that was sent, with every certificate that is known here as a possible anchor.
    fn judge_chain(&self, notes: &mut Notes) {
        let facts = self.facts;
        let chain = &facts.own.chain;
        let names = self.asked.names();
        let is_named =
            |c: &Certificate| names.is_empty() || names.iter().any(|name| c.subject().matches(name));
        let served = facts.served();
        let mut anchors: Vec<Certificate> = Vec::new();
        let neighbouring = facts.neighbours.iter().flat_map(|neighbour| match &neighbour.content {
            super::NeighbourContent::Certificates(list) => list.as_slice(),
            super::NeighbourContent::Key(_) | super::NeighbourContent::RevocationLists(_) => &[],
        });
        // What the user believes is most often what the server believes as well: it comes first.
        for candidate in facts
            .own
            .peer_anchors
            .iter()
            .chain(&facts.own.anchors)
            .chain(&served)
            .chain(chain)
            .chain(neighbouring)
        {
            let rekeyed = anchors.iter().any(|known| known.subject().matches(candidate.subject()));
            if candidate.is_ca() && candidate.is_self_issued() && is_named(candidate) && !rekeyed {
                anchors.push(candidate.clone());
            }
        }
        let trust = TrustBundle::new(anchors);
        let rules = Rules { crls: &facts.own.crls, ..Rules::new(&trust, Purpose::Client, facts.at) };
        let issuer_is_named = self.asked.names_an_issuer_of(chain) && !names.is_empty();
        let examination = examine(&chain[0], &chain[1..], &rules);
        if examination.valid().is_some() {
            if !names.is_empty() && !self.asked.names_an_issuer_of(chain) {
                self.not_named(notes);
            }
            return;
        }
        let best = examination.best();
        let mut reasons: Vec<&Reason> = best.reasons.iter().collect();
        // What the alert points to comes first.
        reasons.sort_by_key(|reason| !self.alert().is_some_and(|alert| points_to(alert, reason.code)));
        for reason in reasons {
            let unknown = reason.code == ReasonCode::UnknownIssuer;
            if unknown && (issuer_is_named || names.is_empty()) {
                // The top of the chain is what the server names; its certificate is only not at hand here.
                continue;
            }
            if unknown {
                self.not_named(notes);
                continue;
            }
            if reason.code == ReasonCode::SecondOpinion && chain[0].extensions().is_empty() {
                // Version 1, which is told as such.
                continue;
            }
            if reason.code == ReasonCode::SignatureInvalid && self.refused.is_none() {
                // The server has another certificate of that CA than is known here.
                continue;
            }
            let finding = self.of_reason(reason, &best.certificates);
            notes.push(self.weight(), Direction::ServerRefusedClient, self.with_words(finding));
        }
    }

    fn not_named(&self, notes: &mut Notes) {
        if self.refused.is_none() {
            notes.push(Weight::Warns, Direction::Neither, self.issuer_not_requested());
            return;
        }
        let finding = self.unknown_issuer();
        notes.push(Weight::Blocks, Direction::ServerRefusedClient, self.with_words(finding));
    }

    /// The server lets the certificate in and does not name its CA.
    fn issuer_not_requested(&self) -> Finding {
        let top = self.facts.own.chain.last().unwrap_or(self.leaf());
        Finding::new(
            FindingCode::IssuerNotRequested,
            Fault::Server,
            format!(
                "the server's list of acceptable CAs leaves out {}, the issuer of the client's certificate {}: curl, \
                 openssl and Node.js send it all the same and get in; Go, Java, Chrome and Firefox send none",
                top.issuer(),
                name(self.leaf())
            ),
        )
        .certain()
        .evidence(format!("certificate_authorities: {}", self.names()))
        .evidence(format!("the client's certificate is issued by {}", top.issuer()))
        .fix(Fault::Server, mend::admit(self.facts, top.issuer()))
        .remedy("put the issuing CA into the list that the server sends (nginx: the file of ssl_client_certificate, not only that of ssl_trusted_certificate), and reload the server")
    }

    /// None of the CAs that the server names issued any certificate of the chain.
    fn unknown_issuer(&self) -> Finding {
        let (facts, leaf) = (self.facts, self.leaf());
        let chain = &facts.own.chain;
        let top = &chain[chain.len() - 1];
        // An intermediate that was left out is the other explanation, and it may be in a file nearby.
        let missing = facts.neighbour(|c| {
            c.is_ca()
                && !c.is_self_issued()
                && c.subject().matches(top.issuer())
                && c.public_key().is_ok_and(|key| top.verify_signature(key).is_ok())
                && self.asked.names_an_issuer_of(std::slice::from_ref(c))
        });
        if let Some((file, found)) = missing {
            return Finding::new(
                FindingCode::IntermediateMissing,
                Fault::Client,
                format!(
                    "the server refused the client's certificate {}: its issuer {} was not sent along, and the server \
                     knows only the CA above it",
                    name(leaf),
                    top.issuer()
                ),
            )
            .certain()
            .evidence(format!("the client sent {} certificate(s), the last one issued by {}", chain.len(), top.issuer()))
            .evidence(format!("{file} holds {}, issued by {}, which the server names", name(found), found.issuer()))
            .fix(Fault::Client, mend::send_intermediate(facts, &shell(file)))
            .remedy("let the client send leaf and intermediate");
        }
        let issuer = if chain.len() > 1 && !leaf.issuer().matches(top.issuer()) {
            format!("{} (under {})", leaf.issuer(), top.issuer())
        } else {
            leaf.issuer().to_string()
        };
        let mut finding = Finding::new(
            FindingCode::UnknownIssuer,
            Fault::Client,
            format!(
                "the server refused the client's certificate {}: its issuer {} is not among the CAs that the server \
                 accepts ({}). This is about the server's client-CA file, not about --cacert",
                name(leaf),
                issuer,
                self.names()
            ),
        )
        .evidence(format!("presented: {}, issued by {issuer}", name(leaf)))
        .evidence(format!("accepted: {}", self.names()))
        .fix(Fault::Issuer, self.reissue(OldKey::Kept))
        .alternative(Fault::Server, mend::admit(facts, top.issuer()))
        .remedy(format!(
            "use a client certificate issued by {}, or add {} to the server's client-CA file",
            self.names(),
            top.issuer()
        ));
        if self.asked.authorities.is_empty() {
            return finding;
        }
        if let End::Closed { .. } | End::Reset { .. } = self.main.end {
            finding = finding.evidence("a close without an alert right after the client's Finished is how Node.js refuses a certificate");
        }
        if top.is_self_issued() || self.alert() == Some(48) { finding.certain() } else { finding }
    }

    fn expired(&self, depth: usize, certificate: &Certificate) -> Finding {
        let late = humane::span(self.facts.at.duration_since(certificate.not_after()));
        let is_leaf = depth == 0;
        Finding::new(
            FindingCode::CertificateExpired,
            Fault::Client,
            format!(
                "the server refuses the client's certificate: {} ({}) expired {late} ago",
                name(certificate),
                place(depth, certificate)
            ),
        )
        .certain()
        .evidence(format!("valid until {}; now it is {}", certificate.not_after(), self.facts.at))
        .fix(
            Fault::Issuer,
            if is_leaf { mend::renew_client(self.facts, certificate) } else { self.reissue(OldKey::Kept) },
        )
        .remedy("renew the client's certificate")
    }

    fn wrong_purpose(&self, certificate: &Certificate, message: &str) -> Finding {
        Finding::new(
            FindingCode::WrongPurpose,
            Fault::Client,
            format!(
                "the server refuses the client's certificate {}: it is not for TLS clients. Public CAs no longer issue \
                 certificates for clients",
                name(certificate)
            ),
        )
        .certain()
        .evidence(message.to_owned())
        .fix(Fault::Issuer, self.reissue(OldKey::Kept))
        .remedy("issue the client's certificate with extKeyUsage clientAuth, from a private CA")
    }

    fn of_reason(&self, reason: &Reason, path: &[Certificate]) -> Finding {
        let certificate = path.get(reason.depth).unwrap_or(&path[0]);
        let who = format!("{} ({})", name(certificate), place(reason.depth, certificate));
        let replaces = matches!(reason.code, ReasonCode::CertificateRevoked | ReasonCode::WeakKey);
        let issue = self.reissue(if replaces { OldKey::Replaced } else { OldKey::Kept });
        let certain = |code, fault, text: String| {
            Finding::new(code, fault, text)
                .certain()
                .evidence(reason.message.clone())
                .fix(Fault::Issuer, issue.clone())
        };
        match reason.code {
            ReasonCode::CertificateExpired => self.expired(reason.depth, certificate),
            ReasonCode::CertificateNotYetValid => certain(
                FindingCode::CertificateNotYetValid,
                Fault::Clock,
                format!(
                    "the server refuses the client's certificate {who}: it is valid only in {}, so a clock is wrong",
                    humane::span(certificate.not_before().duration_since(self.facts.at))
                ),
            )
            .fix(Fault::Clock, "timedatectl set-ntp true")
            .remedy("correct the clock that is wrong, or issue the certificate again"),
            ReasonCode::WrongPurpose => self.wrong_purpose(certificate, &reason.message),
            ReasonCode::KeyUsage => certain(
                FindingCode::KeyUsageMissing,
                Fault::Client,
                format!("the server refuses the client's certificate: the key usage of {who} lacks what TLS needs"),
            )
            .remedy("issue it with keyUsage digitalSignature; OpenSSL speaks of an unsuitable purpose"),
            ReasonCode::SignatureInvalid => certain(
                FindingCode::SignatureInvalid,
                Fault::Client,
                format!(
                    "the server refuses the client's certificate {who}: it was signed by another key than the {} of \
                     today has. The CA was made again under the same name, and this certificate is from the old one",
                    certificate.issuer()
                ),
            )
            .alternative(Fault::Server, "cat old-ca.pem >> client-ca.pem  # trust both during the rotation")
            .remedy("issue the client certificate again from the current CA, or trust both CAs during the rotation"),
            ReasonCode::IssuerNotCa => certain(
                FindingCode::IssuerNotCa,
                Fault::Issuer,
                format!("the server refuses the client's certificate: {who} signed it and is no CA"),
            )
            .remedy("issue it from a certificate with basicConstraints CA:TRUE and keyUsage keyCertSign"),
            ReasonCode::PathLengthExceeded => certain(
                FindingCode::PathLengthExceeded,
                Fault::Issuer,
                format!("the server refuses the client's chain: {who} allows fewer CAs below it; the client only hears unknown ca"),
            )
            .remedy("issue the intermediate with a larger path length, or the leaf from a CA further up"),
            ReasonCode::NameConstraintsViolated => certain(
                FindingCode::NameConstraintsViolated,
                Fault::Issuer,
                format!("the server refuses the client's certificate {who}: a CA above it may not issue for that name"),
            )
            .remedy("issue it from a CA whose constraints permit the name"),
            ReasonCode::CertificateRevoked => certain(
                FindingCode::CertificateRevoked,
                Fault::Client,
                format!("the server refuses the client's certificate {who}: it is revoked"),
            )
            .remedy("issue the client a new certificate with a new key"),
            ReasonCode::WeakKey => certain(
                if certificate.public_key().is_err() { FindingCode::KeyKindUnsupported } else { FindingCode::WeakKey },
                Fault::Client,
                format!("the server refuses the key of {who}: too weak, or of a kind it does not know"),
            )
            .remedy("make a P-256 or RSA-2048 key, and issue the certificate again"),
            ReasonCode::WeakSignature => certain(
                FindingCode::WeakSignature,
                Fault::Issuer,
                format!("{who} is signed with a broken algorithm: OpenSSL does not even load it (\"ca md too weak\")"),
            )
            .remedy("issue it again with SHA-256"),
            ReasonCode::CaAsLeaf => certain(
                FindingCode::CaAsLeaf,
                Fault::Client,
                format!("the client's certificate {who} is a CA's; rustls refuses it as a client's"),
            )
            .remedy("issue a leaf (CA:FALSE) from a CA"),
            ReasonCode::CrlExpired => certain(
                FindingCode::CrlExpired,
                Fault::Server,
                format!(
                    "the revocation list by which {who} is judged is past its nextUpdate; servers call that an expired \
                     certificate"
                ),
            )
            .fix(Fault::Issuer, mend::renew_list(self.facts, self.leaf()))
            .remedy("publish a fresh list and reload the server"),
            ReasonCode::UnknownCriticalExtension => certain(
                FindingCode::UnknownCriticalExtension,
                Fault::Issuer,
                format!("{who} has a critical extension that TLS libraries do not know, so they refuse it"),
            ),
            other => certain(other.into(), Fault::Client, format!("the client's certificate is refused: {reason}")),
        }
    }

    /// What only some servers mind about the chain.
    fn profile(&self, notes: &mut Notes) {
        let (facts, leaf) = (self.facts, self.leaf());
        let chain = &facts.own.chain;
        let octets: usize = chain.iter().map(|c| c.der().len() + 3).sum();
        if octets > OPENSSL_CHAIN_LIMIT {
            let finding = Finding::new(
                FindingCode::ChainTooLarge,
                Fault::Client,
                format!("the client sends {} certificates in {octets} octets, more than servers take (OpenSSL: 102,400)", chain.len()),
            )
            .certain()
            .evidence(format!("{} is a bundle, not a chain", facts.own.certificate_file.as_deref().unwrap_or("the file")))
            .fix(Fault::Client, mend::send_first_alone(facts))
            .remedy("send the leaf and its intermediates only");
            notes.push(self.weight(), Direction::ServerRefusedClient, self.with_words(finding));
        }
        let anchors: Vec<Certificate> = facts.own.anchors.iter().filter(|a| a.is_ca()).cloned().collect();
        if let Some((child, issuer)) = authority_key_mismatch(chain, &anchors) {
            let finding = authority_key(facts, child, issuer, "client");
            notes.push(self.weight(), Direction::ServerRefusedClient, self.with_words(finding));
        }
        if leaf.extensions().is_empty() {
            let weight = if self.alert() == Some(46) { Weight::Blocks } else { Weight::Warns };
            notes.push(
                weight,
                Direction::ServerRefusedClient,
                version_1(leaf, Fault::Client, "client", facts),
            );
        }
        if self.refused.is_none()
            && let Some(finding) = strict(leaf, chain, &[], "client", &self.reissue(OldKey::Kept))
        {
            notes.push(Weight::Warns, Direction::Neither, finding);
        }
    }

    /// The certificate is good by everything that is known here; the server's words are all there is.
    fn by_words(&self) -> Finding {
        let (facts, leaf) = (self.facts, self.leaf());
        let who = name(leaf);
        let words = self.refused.clone().unwrap_or_default();
        let good = format!(
            "seen from here {who} is in order: in date until {}, for clients, issued by {}",
            humane::minute(leaf.not_after()),
            leaf.issuer()
        );
        let issue = self.reissue(OldKey::Kept);
        let finding = |code, fault, text: String| {
            Finding::new(code, fault, text).evidence(words.clone()).evidence(good.clone())
        };
        if facts.own.chain.len() > 2 && self.alert().is_none_or(|alert| alert == 48) {
            return finding(
                FindingCode::VerifyDepthExceeded,
                Fault::Server,
                format!(
                    "the server refused the client's certificate {who}, most likely since its chain is longer than the \
                     server follows: {} CAs stand above the leaf",
                    facts.own.chain.len() - 1
                ),
            )
            .fix(Fault::Server, format!("ssl_verify_depth {};", facts.own.chain.len()))
            .remedy("nginx follows one CA below the root unless ssl_verify_depth says more");
        }
        if self.alert().is_none()
            && let Some((file, since)) = mend::stale_list(facts, leaf)
        {
            return finding(
                FindingCode::CrlExpired,
                Fault::Server,
                format!(
                    "the server refused the client's certificate {who}, most likely since its revocation list has expired: \
                     the one in {file} ended {} ago",
                    humane::span(facts.at.duration_since(since))
                ),
            )
            .evidence(format!("nextUpdate of the list in {file}: {since}; now: {}", facts.at))
            .fix(Fault::Server, mend::renew_list(facts, leaf))
            .remedy("publish a fresh list and reload the server");
        }
        match self.alert() {
            Some(44) => finding(
                FindingCode::CertificateRevoked,
                Fault::Client,
                format!("the server refused the client's certificate {who} (serial {}): it knows it as revoked", leaf.serial_hex()),
            )
            .certain()
            .fix(Fault::Issuer, self.reissue(OldKey::Replaced))
            .remedy("issue the client a new certificate with a new key; if the revocation was a mistake, the server's list must change"),
            Some(45) => finding(
                FindingCode::CrlExpired,
                Fault::Server,
                format!(
                    "the server says that the client's certificate {who} is out of date, and it is not: the server's \
                     revocation list has expired, for which OpenSSL servers send the same alert, to every client"
                ),
            )
            .evidence(format!("notAfter of the certificate: {}; now: {}", leaf.not_after(), facts.at))
            .evidence(match mend::stale_list(facts, leaf) {
                Some((file, since)) => format!("nextUpdate of the list in {file}: {since}"),
                None => "less likely: the server's copy of the root has expired, or its clock is wrong".to_owned(),
            })
            .fix(Fault::Server, mend::renew_list(facts, leaf))
            .alternative(Fault::Server, "openssl crl -in ca.crl -noout -lastupdate -nextupdate")
            .remedy("publish a fresh list and reload the server"),
            Some(51) => finding(
                FindingCode::SignatureInvalid,
                Fault::Client,
                format!(
                    "the server could not verify the signature on the client's certificate {who}: its {} has another \
                     key. The CA was made again under the same name, and this certificate is from the old one",
                    leaf.issuer()
                ),
            )
            .fix(Fault::Issuer, issue)
            .alternative(Fault::Server, "cat old-ca.pem >> client-ca.pem  # trust both during the rotation")
            .remedy("issue the client certificate again from the current CA"),
            Some(48) if self.asked.authorities.is_empty() => finding(
                FindingCode::UnknownIssuer,
                Fault::Client,
                format!(
                    "the server does not know the issuer {} of the client's certificate {who}; it does not say which it \
                     knows. This is about the server's client-CA file, not about --cacert",
                    leaf.issuer()
                ),
            )
            .fix(Fault::Server, mend::admit(facts, leaf.issuer()))
            .alternative(Fault::Issuer, issue)
            .remedy("use a client certificate of a CA that the server knows, with its intermediates"),
            Some(48) => finding(
                FindingCode::CrlMissing,
                Fault::Server,
                format!(
                    "the server names the issuer of {who} among its CAs and says unknown ca all the same: most likely it \
                     requires a revocation list for every CA of the chain and has none for one, or an OCSP response and gets none"
                ),
            )
            .possible()
            .fix(Fault::Server, "cat root.crl issuing.crl > crls.pem  # one list for every CA of the chain")
            .remedy("give the server the revocation list of every CA of the chain, or let it check the leaf alone"),
            Some(47) => finding(
                FindingCode::ChainTooLarge,
                Fault::Client,
                format!("the server could not take the client's Certificate message: {} certificates", facts.own.chain.len()),
            )
            .possible()
            .fix(Fault::Client, mend::send_first_alone(facts)),
            Some(49) => finding(
                FindingCode::NotAllowedByPolicy,
                Fault::Server,
                format!("the server read the client's certificate {who} and does not let it in"),
            )
            .evidence("GnuTLS servers send access_denied for every fault of a certificate")
            .fix(Fault::Server, format!("countersign serve … --allow-cn {}", shell(&leaf.short_name()))),
            other => {
                let text = match (&self.main.end, other) {
                    (End::Closed { .. } | End::Reset { .. }, _) => format!(
                        "the server hung up right after it had seen the client's certificate {who}, without a word, as \
                         Node.js does when it refuses one"
                    ),
                    (_, Some(alert)) => format!(
                        "the server refused the client's certificate {who} with {}, which does not say why",
                        alert::cite(alert)
                    ),
                    _ => format!("the server refused the client's certificate {who} and does not say why"),
                };
                finding(FindingCode::CertificateRefused, Fault::Client, text)
                    .possible()
                    .evidence(
                        "what cannot be seen from here: what the server believes, its revocation list, and its clock",
                    )
                    .fix(Fault::Server, log_command(self.main))
                    .remedy("the reason is in the server's log; nginx writes it at level info only")
            }
        }
    }
}

/// What makes the server's log say why.
fn log_command(main: &Attempt) -> String {
    let server =
        main.answer.as_ref().and_then(|answer| answer.server.as_deref()).unwrap_or_default().to_lowercase();
    if server.contains("nginx") || main.answer.is_some() {
        "error_log /var/log/nginx/error.log info;  # then: grep 'client SSL certificate verify error' error.log".to_owned()
    } else if server.contains("apache") {
        "LogLevel ssl:info".to_owned()
    } else if matches!(main.end, End::Closed { .. } | End::Reset { .. }) {
        "server.on('tlsClientError', (error, socket) => console.error(socket.authorizationError ?? error))"
            .to_owned()
    } else {
        "read the server's log of this moment, with its level at info or debug".to_owned()
    }
}

fn is_for_clients(leaf: &Certificate) -> bool {
    leaf.extended_key_usages().is_none_or(|usages| {
        usages.contains(&pki::oid::CLIENT_AUTH) || usages.contains(&pki::oid::ANY_EXTENDED_KEY_USAGE)
    })
}

/// Whether libraries send this alert for this reason (OpenSSL's x509table, Go, rustls, Java).
fn points_to(alert: u8, reason: ReasonCode) -> bool {
    match alert {
        45 => matches!(reason, ReasonCode::CertificateExpired | ReasonCode::CrlExpired),
        44 => reason == ReasonCode::CertificateRevoked,
        43 => matches!(reason, ReasonCode::WrongPurpose | ReasonCode::KeyUsage | ReasonCode::CaAsLeaf),
        48 => matches!(
            reason,
            ReasonCode::UnknownIssuer
                | ReasonCode::IssuerNotCa
                | ReasonCode::PathLengthExceeded
                | ReasonCode::CrlMissing
        ),
        51 => matches!(reason, ReasonCode::SignatureInvalid | ReasonCode::WeakKey),
        _ => false,
    }
}
