//! The handshake's parameters: versions, suites, groups, signatures, names, protocols; and what happens to a
//! ClientHello on its way. Judged by trying again with one thing changed.

use super::{Attempt, Direction, End, Facts, GivenUp, Notes, Variation, Weight, end_text, shell};
use crate::finding::{Fault, Finding, FindingCode, Sender, from_alert};

pub(super) fn judge(facts: &Facts, notes: &mut Notes) {
    let Some(main) = facts.main() else { return };
    if let Some(agreed) = &main.negotiated {
        let alpn = agreed.application_protocol.as_deref().unwrap_or("none");
        notes.checked(format!(
            "{} with {}, {}, ALPN {alpn}",
            agreed.version, agreed.cipher_suite, agreed.group
        ));
        return;
    }
    // A server that has sent its certificate has agreed on the parameters.
    if !main.served.is_empty() || !facts.target.is_tls {
        return;
    }
    let finding = match &main.end {
        End::Alert { description, .. } => by_alert(facts, *description),
        End::GivenUp(GivenUp::Version(text)) => Some(version(facts, Some(text))),
        End::GivenUp(GivenUp::Parameters(text)) => Some(parameters(facts, Some(text))),
        End::GivenUp(GivenUp::ApplicationProtocol) => Some(application_protocol(facts)),
        End::Reset { .. } | End::HandshakeTimeout | End::Closed { .. } => Some(silence(facts, main)),
        _ => None,
    };
    if let Some(finding) = finding {
        notes.push(Weight::Blocks, Direction::ServerRefusedClient, evidence_of_variations(facts, finding));
    }
}

fn by_alert(facts: &Facts, description: u8) -> Option<Finding> {
    let cited = format!("the server sent the alert {}", crate::alert::cite(description));
    Some(match description {
        70 | 86 => version(facts, None).evidence(cited),
        40 | 71 => parameters(facts, None).evidence(cited),
        112 => {
            let finding = Finding::new(
                FindingCode::UnrecognizedName,
                Fault::Client,
                format!("the server serves nothing under the name {}", facts.target.host),
            )
            .certain()
            .evidence(cited)
            .fix(Fault::Server, format!("add a virtual host and a certificate for {}", facts.target.host))
            .alternative(Fault::Client, format!("countersign inspect https://{}", facts.target.authority()));
            match facts.with(Variation::WithoutServerName) {
                Some(without) if !without.served.is_empty() => {
                    finding.evidence("without a server name it answers with its default certificate")
                }
                _ => finding,
            }
        }
        120 => application_protocol(facts).evidence(cited),
        80 if facts.with(Variation::OnlyTls12).is_some_and(|other| !other.served.is_empty()) => {
            from_alert(description, Sender::Server, false, false)
        }
        _ => from_alert(description, Sender::Server, false, false)
            .fix(Fault::Server, "read the server's log of this moment, with its level at info or debug"),
    })
}

/// No version in common: whichever side is older has to move.
fn version(facts: &Facts, text: Option<&str>) -> Finding {
    let without_limits = facts.with(Variation::Defaults).is_some_and(|other| !other.served.is_empty());
    let restriction = facts.own.restrictions.iter().find(|r| r.contains("tls"));
    let finding = match (without_limits, restriction) {
        (true, Some(restriction)) => {
            let agreed = facts.with(Variation::Defaults).and_then(|other| other.negotiated.as_ref());
            let version = agreed.map_or("a newer version", |agreed| agreed.version.as_str());
            Finding::new(
                FindingCode::ProtocolVersion,
                Fault::Client,
                format!(
                    "the client offers no TLS version that the server speaks: `{restriction}` keeps it from {version}, \
                     which the server takes"
                ),
            )
            .certain()
            .evidence(format!("the setting {restriction}"))
            .fix(Fault::Client, format!("curl {}", shell(&facts.target.url())))
            .remedy(format!("take {restriction} away"))
            .alternative(Fault::Server, "ssl_protocols TLSv1.2 TLSv1.3;")
        }
        _ => Finding::new(
            FindingCode::ProtocolVersion,
            Fault::Server,
            "the server speaks neither TLS 1.2 nor TLS 1.3: it is older than 2008, or set so",
        )
        .certain()
        .fix(Fault::Server, "ssl_protocols TLSv1.2 TLSv1.3;")
        .alternative(Fault::Client, format!("openssl s_client -tls1 -connect {}", facts.target.authority()))
        .remedy("allow TLS 1.2 and 1.3 on the server; TLS 1.0 and 1.1 are no longer accepted (RFC 8996)"),
    };
    match text {
        Some(text) => finding.evidence(text.to_owned()),
        None => finding,
    }
}

/// No suite, group or signature in common.
fn parameters(facts: &Facts, text: Option<&str>) -> Finding {
    let with_defaults = facts.with(Variation::Defaults).filter(|other| !other.served.is_empty());
    let restricting = |word: &str| facts.own.restrictions.iter().find(|r| r.contains(word)).cloned();
    let candidates = [
        ("sigalgs", FindingCode::NoSharedSignatureAlgorithm, "signature algorithm"),
        ("curves", FindingCode::NoSharedGroup, "key exchange group"),
        ("ciphers", FindingCode::NoSharedCipher, "cipher suite"),
    ];
    let restricted =
        candidates.into_iter().find_map(|(word, code, what)| Some((restricting(word)?, code, what)));
    let finding = match (restricted, with_defaults) {
        (Some((restriction, code, what)), Some(_)) => Finding::new(
            code,
            Fault::Client,
            format!("client and server have no {what} in common: `{restriction}` leaves out all that the server takes"),
        )
        .certain()
        .evidence(format!("without {restriction} the handshake succeeds"))
        .fix(Fault::Client, format!("curl {}", shell(&facts.target.url())))
        .remedy(format!("take {restriction} away"))
        .alternative(Fault::Server, "use the default suites, groups and signature algorithms"),
        _ if first_group_decides(facts) => first_group(),
        _ => match [Variation::OnlyTls12, Variation::OnlyTls13]
            .into_iter()
            .find(|v| facts.with(*v).is_some_and(|other| !other.served.is_empty()))
        {
            Some(works) => Finding::new(
                FindingCode::NoSharedCipher,
                Fault::Server,
                format!("the server agrees on parameters only {}", works.text()),
            )
            .fix(Fault::Server, "ssl_protocols TLSv1.2 TLSv1.3;  # with the default suites of both versions"),
            None => Finding::new(
                FindingCode::KeyKindUnsupported,
                Fault::Server,
                "the server found nothing in common with a client that offers every current suite, group and \
                 signature: most often its key is of a kind that nearly nobody takes, such as secp256k1 or DSA",
            )
            .evidence("offered: TLS 1.3 and 1.2, AES-GCM and ChaCha20 suites with ECDHE, X25519, P-256, P-384, \
                       ECDSA on P-256, P-384 and P-521, Ed25519, RSA")
            .fix(Fault::Server, "openssl x509 -in server.pem -noout -text | grep -A3 'Public Key Algorithm'")
            .alternative(Fault::Server, "openssl ecparam -name prime256v1 -genkey -noout -out server-key.pem")
            .remedy("make a P-256 key for the server and issue its certificate again; or let it offer ECDHE suites"),
        },
    };
    match text {
        Some(text) => finding.evidence(text.to_owned()),
        None => finding,
    }
}

/// Whether the server answers a first key share of P-256 with TLS 1.3, and no other one.
fn first_group_decides(facts: &Facts) -> bool {
    let other = facts.with(Variation::OtherGroup).and_then(|other| other.negotiated.as_ref());
    let fails_alike = facts.with(Variation::OnlyTls13).is_none_or(|other| other.served.is_empty());
    other.is_some_and(super::Agreed::is_tls13) && fails_alike
}

fn first_group() -> Finding {
    Finding::new(
        FindingCode::NoSharedGroup,
        Fault::Server,
        "the server refuses a client whose first key share is of another group than P-256, although the client offers \
         P-256 too: it does not ask again with a HelloRetryRequest, as RFC 8446 section 4.1.4 has it",
    )
    .certain()
    .evidence("with X25519MLKEM768 and X25519 first it refuses, with P-256 first it agrees on TLS 1.3")
    .fix(Fault::Server, "ssl_ecdh_curve X25519:prime256v1:secp384r1;")
    .alternative(Fault::Client, "curl --curves P-256 …")
    .remedy("let the server take X25519, which nearly every client sends first, and update its TLS library")
}

fn application_protocol(facts: &Facts) -> Finding {
    let finding = Finding::new(
        FindingCode::NoApplicationProtocol,
        Fault::Client,
        "the server speaks none of the application protocols (ALPN) that the client offers",
    )
    .evidence("the client offers http/1.1")
    .alternative(Fault::Server, "accept http/1.1 by ALPN as well");
    match facts.with(Variation::OnlyHttp2) {
        Some(attempt) if !attempt.served.is_empty() => finding
            .certain()
            .evidence(
                "offering h2 the handshake succeeds: the server speaks HTTP/2 alone, as gRPC servers do",
            )
            .fix(Fault::Client, format!("curl --http2 {}", shell(&facts.target.url()))),
        _ => finding.fix(Fault::Client, format!("curl --http2 {}", shell(&facts.target.url()))),
    }
}

/// No answer to a ClientHello: a device in between, a server that is none, or one that does not say why.
fn silence(facts: &Facts, main: &Attempt) -> Finding {
    let small = facts.with(Variation::SmallHello).filter(|other| !other.served.is_empty());
    if small.is_some() {
        return Finding::new(
            FindingCode::LargeClientHelloDropped,
            Fault::Network,
            format!(
                "a device on the way to {} drops a ClientHello that needs more than one packet, as those with a \
                 post-quantum group do",
                facts.target.authority()
            ),
        )
        .certain()
        .evidence(format!("with X25519MLKEM768: {}", end_text(&main.end)))
        .evidence("without it, in one packet: the server answers")
        .fix(Fault::Client, format!("curl --curves X25519 {}", shell(&facts.target.url())))
        .alternative(Fault::Network, "update the firewall or load balancer that reads only the first packet")
        .remedy(
            "update the device in between; meanwhile offer no post-quantum group (countersign fetch, connect, inspect and \
             explain: --classical)",
        );
    }
    if first_group_decides(facts) {
        return first_group().evidence(end_text(&main.end));
    }
    if facts.with(Variation::WithoutServerName).is_some_and(|other| !other.served.is_empty()) {
        return Finding::new(
            FindingCode::UnrecognizedName,
            Fault::Server,
            format!("the server hangs up on the name {} and answers without one", facts.target.host),
        )
        .fix(Fault::Server, format!("add a virtual host and a certificate for {}", facts.target.host))
        .evidence(end_text(&main.end));
    }
    let code = match main.end {
        End::HandshakeTimeout => FindingCode::Timeout,
        End::Reset { .. } => FindingCode::ConnectionReset,
        _ => FindingCode::ClosedWithoutAlert,
    };
    let (fault, who) = match main.end {
        End::HandshakeTimeout => (Fault::Server, "does not answer"),
        End::Reset { .. } => (Fault::Server, "resets the connection after"),
        _ => (Fault::Server, "closes the connection after"),
    };
    let finding = Finding::new(
        code,
        fault,
        format!("{} takes connections and {who} a ClientHello, without a word of TLS", facts.target.authority()),
    )
    .possible()
    .evidence(end_text(&main.end))
    .remedy(
        "either it speaks no TLS there, or a device in between, or an address filter, cuts the connection; its log \
         tells which, and so does a capture on its side",
    )
    .fix(Fault::Server, format!("tcpdump -ni any port {} -w failure.pcap", facts.target.port));
    finding.alternative(
        Fault::Client,
        match main.end {
            End::HandshakeTimeout => {
                "countersign doctor … --max-time 30  # where the server is only slow".to_owned()
            }
            _ => format!("curl -v {}", shell(&facts.target.url().replacen("https", "http", 1))),
        },
    )
}

/// What the other connections showed, as evidence.
fn evidence_of_variations(facts: &Facts, mut finding: Finding) -> Finding {
    for attempt in facts.attempts.iter().filter(|attempt| attempt.variation != Variation::AsAsked) {
        let result = match &attempt.negotiated {
            Some(agreed) => format!("{} is agreed on", agreed.version),
            None => end_text(&attempt.end),
        };
        finding = finding.evidence(format!("tried {}: {result}", attempt.variation.text()));
    }
    finding
}
