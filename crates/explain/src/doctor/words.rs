//! What the other side saw of it, and what common programs tell their users: the words people paste into searches.
//! From the programs themselves (OpenSSL 3.0, curl 7.88, Node.js 20 and 26, Go 1.27, Java 25, Python 3.13, nginx 1.22).

use super::{Direction, End, Facts, Ranked, Weight};
use crate::finding::FindingCode as Code;

pub(super) fn add(facts: &Facts, ranked: &mut Ranked) {
    if ranked.weight == Weight::Warns {
        return;
    }
    let code = ranked.finding.code;
    ranked.other_side = match ranked.direction {
        Direction::ClientRefusedServer => Some(server_hears(code)),
        Direction::ServerRefusedClient => client_hears(facts),
        Direction::ClientStopped => Some("nothing: the client does not get as far as connecting".to_owned()),
        Direction::Between | Direction::Neither => None,
    };
    let words = match ranked.direction {
        Direction::ClientRefusedServer => of_clients(code),
        Direction::ServerRefusedClient => of_refused(facts, code),
        _ => &[],
    };
    ranked.programs = words.iter().map(|(program, text)| (*program, (*text).to_owned())).collect();
}

/// What a server hears of a client that refuses its certificate.
fn server_hears(code: Code) -> String {
    let alert = match code {
        Code::UnknownIssuer
        | Code::IntermediateMissing
        | Code::SelfSigned
        | Code::InterceptingProxy
        | Code::LeafAsAnchor
        | Code::AnchorNotRoot
        | Code::PathLengthExceeded
        | Code::IssuerNotCa => "unknown_ca (48)",
        Code::CertificateExpired | Code::AnchorExpired | Code::StaleCertificateServed | Code::CrlExpired => {
            "certificate_expired (45)"
        }
        Code::CertificateRevoked => "certificate_revoked (44)",
        Code::WrongPurpose | Code::KeyUsageMissing => "unsupported_certificate (43)",
        Code::SignatureInvalid => "decrypt_error (51)",
        Code::NameMismatch | Code::AddressNotNamed | Code::NoSubjectAltName | Code::WildcardTooDeep => {
            return "curl and Node.js close without an alert; openssl, GnuTLS and Go send bad_certificate (42). The server \
                    logs an unexpected end, or `alert bad certificate`"
                .to_owned();
        }
        Code::CertificateNotYetValid | Code::WeakKey => "bad_certificate (42)",
        _ => "certificate_unknown (46)",
    };
    format!(
        "the server gets {alert} from curl, Python and openssl, 42 from Go, 46 from Java and Chrome, and only a closed \
         connection from Node.js; its log reads as if its own CA file were wrong"
    )
}

/// What a client hears of a server that refuses it.
fn client_hears(facts: &Facts) -> Option<String> {
    let main = facts.main()?;
    let late = "TLS 1.3 clients have said \"connected\" before: the refusal comes on their first read";
    Some(match &main.end {
        End::Alert { description, after_finished } => {
            let cited = crate::alert::cite(*description);
            if *after_finished {
                format!("the server sent {cited}; {late}. A client that writes first may see only a reset")
            } else {
                format!("the server sent {cited} within the handshake")
            }
        }
        End::Closed { .. } | End::Reset { .. } => {
            format!("the server closed without an alert and most likely logs a reset or nothing; {late}")
        }
        End::Answered => {
            "the server finished the handshake and refuses in HTTP; no alert is sent, and curl exits 0"
                .to_owned()
        }
        _ => return None,
    })
}

type Words = &'static [(&'static str, &'static str)];

/// What clients say when they refuse a server.
fn of_clients(code: Code) -> Words {
    match code {
        Code::UnknownIssuer | Code::IntermediateMissing | Code::AnchorNotRoot | Code::LeafAsAnchor => &[
            ("curl", "(60) SSL certificate problem: unable to get local issuer certificate"),
            (
                "Node.js",
                "UNABLE_TO_VERIFY_LEAF_SIGNATURE, or SELF_SIGNED_CERT_IN_CHAIN where the root was sent",
            ),
            ("Go", "x509: certificate signed by unknown authority"),
            (
                "Java",
                "PKIX path building failed: unable to find valid certification path to requested target",
            ),
            ("Python", "CERTIFICATE_VERIFY_FAILED: unable to get local issuer certificate"),
            ("Chrome", "NET::ERR_CERT_AUTHORITY_INVALID"),
        ],
        Code::SelfSigned | Code::InterceptingProxy => &[
            ("curl", "(60) SSL certificate problem: self-signed certificate"),
            ("Node.js", "DEPTH_ZERO_SELF_SIGNED_CERT, or SELF_SIGNED_CERT_IN_CHAIN"),
            ("Chrome", "NET::ERR_CERT_AUTHORITY_INVALID"),
        ],
        Code::CertificateExpired | Code::AnchorExpired | Code::StaleCertificateServed => &[
            ("curl", "(60) SSL certificate problem: certificate has expired"),
            ("Node.js", "CERT_HAS_EXPIRED"),
            ("Go", "x509: certificate has expired or is not yet valid"),
            ("Chrome", "NET::ERR_CERT_DATE_INVALID"),
        ],
        Code::NameMismatch | Code::AddressNotNamed | Code::WildcardTooDeep | Code::ServerNameMissing => &[
            ("curl", "(60) SSL: no alternative certificate subject name matches target host name"),
            ("Node.js", "ERR_TLS_CERT_ALTNAME_INVALID"),
            ("Python", "CERTIFICATE_VERIFY_FAILED: Hostname mismatch"),
            ("Chrome", "NET::ERR_CERT_COMMON_NAME_INVALID"),
        ],
        Code::NoSubjectAltName => &[
            ("Go", "x509: certificate relies on legacy Common Name field, use SANs instead"),
            ("Chrome", "NET::ERR_CERT_COMMON_NAME_INVALID"),
        ],
        Code::SignatureInvalid => &[
            ("curl", "(60) SSL certificate problem: certificate signature failure"),
            ("Node.js", "CERT_SIGNATURE_FAILURE"),
        ],
        Code::NameConstraintsViolated => &[
            ("curl", "(60) SSL certificate problem: permitted subtree violation"),
            ("Node.js", "UNSPECIFIED, with \"permitted subtree violation\""),
        ],
        Code::WrongPurpose | Code::KeyUsageMissing => &[
            ("curl", "(60) SSL certificate problem: unsuitable certificate purpose"),
            ("Node.js", "INVALID_PURPOSE"),
        ],
        Code::CaAsLeaf => {
            &[("rustls", "CaUsedAsEndEntity"), ("Firefox", "MOZILLA_PKIX_ERROR_CA_CERT_USED_AS_END_ENTITY")]
        }
        Code::CertificateVersion1 => &[("rustls", "UnsupportedCertVersion")],
        Code::WeakKey => &[
            ("curl", "(60) SSL certificate problem: EE certificate key too weak"),
            ("rustls", "BadSignature"),
        ],
        Code::StrictProfile => {
            &[("Python 3.13", "CERTIFICATE_VERIFY_FAILED: Missing Authority Key Identifier")]
        }
        _ => &[],
    }
}

/// What clients say when a server refuses them.
fn of_refused(facts: &Facts, code: Code) -> Words {
    if matches!(
        code,
        Code::PlainHttp
            | Code::ProtocolVersion
            | Code::NoSharedCipher
            | Code::NoSharedGroup
            | Code::NoSharedSignatureAlgorithm
            | Code::KeyKindUnsupported
            | Code::NoApplicationProtocol
    ) {
        return match code {
            Code::PlainHttp => &[
                ("curl", "(52) Empty reply from server, or (1) Received HTTP/0.9 when not allowed"),
                ("nginx", "400 The plain HTTP request was sent to HTTPS port"),
            ],
            Code::ProtocolVersion => &[
                ("curl", "(35) tlsv1 alert protocol version"),
                ("Node.js", "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION"),
            ],
            Code::NoApplicationProtocol => &[("curl", "(35) tlsv1 alert no application protocol")],
            _ => &[
                ("curl", "(35) sslv3 alert handshake failure"),
                ("Chrome", "ERR_SSL_VERSION_OR_CIPHER_MISMATCH"),
            ],
        };
    }
    let Some(main) = facts.main() else { return &[] };
    match &main.end {
        End::Answered => {
            &[("curl", "exit 0, with the page of the error"), ("Node.js", "status 400, no error")]
        }
        End::Closed { .. } | End::Reset { .. } => &[
            ("curl", "(52) Empty reply from server, or (56) Connection reset by peer"),
            ("Node.js", "ECONNRESET: socket hang up"),
        ],
        End::Alert { description: 116, .. } => &[
            ("curl", "(56) tlsv13 alert certificate required"),
            ("Node.js", "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED"),
            ("Go", "remote error: tls: certificate required"),
            ("Java", "Received fatal alert: certificate_required"),
        ],
        End::Alert { description: 48, .. } => &[
            ("curl", "(56) tlsv1 alert unknown ca"),
            ("Node.js", "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA"),
            (
                "Go, Java, browsers",
                "certificate required: they keep the certificate back where its CA is not named",
            ),
        ],
        End::Alert { description: 45, .. } => &[
            ("curl", "(56) sslv3 alert certificate expired"),
            ("Node.js", "ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED"),
            ("Chrome, Firefox", "no certificate is offered: certificate required"),
        ],
        End::Alert { description: 44, .. } => &[("curl", "(56) sslv3 alert certificate revoked")],
        End::Alert { description: 43, .. } => &[
            ("curl", "(56) sslv3 alert unsupported certificate"),
            ("Chrome, Firefox", "no certificate is offered: certificate required"),
        ],
        End::Alert { description: 42, .. } => {
            &[("curl", "(56) sslv3 alert bad certificate"), ("Go", "remote error: tls: bad certificate")]
        }
        End::Alert { description: 51, .. } => &[("curl", "(56) tlsv1 alert decrypt error")],
        End::Alert { description: 40, .. } => &[("curl", "(35) sslv3 alert handshake failure")],
        _ => &[],
    }
}
