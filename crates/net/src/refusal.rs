//! Refusals in the project's one vocabulary: from `pki`'s reasons to the alert a peer gets, and from what a TLS
//! connection died of to a finding. What a received alert means is `explain`'s work.

use std::io;

use explain::doctor::{Direction, advised};
use explain::finding::{Sender, from_alert};
use explain::{Fault, Finding, FindingCode};
use pki::identity::Identity;
use pki::policy::Denial;
use pki::verify::{ReasonCode, Refusal};
use rustls::{AlertDescription, CertificateError, OtherError, PeerIncompatible};

use crate::snapshot::NoClient;

/// The rustls error whose alert says this reason best. rustls picks the alert from the variant; the sentence for
/// people comes from the reason itself.
pub(crate) fn certificate_error(reason: ReasonCode) -> CertificateError {
    match reason {
        // unknown_ca (48): "a valid certificate chain … was received, but … could not be matched with a known trust
        // anchor" (RFC 8446 section 6.2). OpenSSL sends it too where a CA's own certificate or its path length forbids it.
        ReasonCode::UnknownIssuer | ReasonCode::IssuerNotCa | ReasonCode::PathLengthExceeded => {
            CertificateError::UnknownIssuer
        }
        // unknown_ca (48), as OpenSSL, BoringSSL and rustls send it for an undetermined status.
        ReasonCode::CrlExpired
        | ReasonCode::CrlMissing
        | ReasonCode::CrlUnusable
        | ReasonCode::OcspInvalid => CertificateError::UnknownRevocationStatus,
        // decrypt_error (51).
        ReasonCode::SignatureInvalid => CertificateError::BadSignature,
        // certificate_revoked (44).
        ReasonCode::CertificateRevoked => CertificateError::Revoked,
        // certificate_expired (45): "has expired or is not currently valid".
        ReasonCode::CertificateExpired => CertificateError::Expired,
        ReasonCode::CertificateNotYetValid => CertificateError::NotValidYet,
        // unsupported_certificate (43).
        ReasonCode::WrongPurpose | ReasonCode::KeyUsage | ReasonCode::CaAsLeaf => {
            CertificateError::InvalidPurpose
        }
        // bad_certificate (42).
        ReasonCode::NameMismatch | ReasonCode::NameConstraintsViolated => CertificateError::NotValidForName,
        ReasonCode::UnknownCriticalExtension => CertificateError::UnhandledCriticalExtension,
        ReasonCode::WeakKey | ReasonCode::WeakSignature => CertificateError::BadEncoding,
        // certificate_unknown (46).
        ReasonCode::TooComplex
        | ReasonCode::SecondOpinion
        | ReasonCode::PolicyNotAccepted
        | ReasonCode::NotConforming => CertificateError::Other(OtherError(std::sync::Arc::new(Unspecified))),
    }
}

/// The same for all that makes nobody a client.
pub(crate) fn client_error(refused: &NoClient) -> CertificateError {
    match refused {
        NoClient::Unreadable(_) => CertificateError::BadEncoding,
        NoClient::Refused { refusal, .. } => certificate_error(refusal.first().code),
        NoClient::Unvouched { unvouched, .. } if unvouched.is_revoked => CertificateError::Revoked,
        NoClient::Unvouched { .. } => CertificateError::UnknownRevocationStatus,
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the certificate is unacceptable")]
struct Unspecified;

/// The finding of a path that is not valid; `whose` certificate it was.
pub(crate) fn of_path(refused: &Refusal, whose: Fault) -> Finding {
    let who = if whose == Fault::Server { "server" } else { "client" };
    let first = refused.first();
    let mut finding =
        Finding::new(first.code.into(), whose, format!("the {who}'s certificate was refused: {first}"))
            .certain();
    for reason in &refused.reasons()[1..] {
        finding = finding.evidence(reason.to_string());
    }
    advised(finding, direction_of(whose))
}

/// Who refused whom, where this certificate was refused.
fn direction_of(whose: Fault) -> Direction {
    if whose == Fault::Server { Direction::ClientRefusedServer } else { Direction::ServerRefusedClient }
}

/// The finding of a client's certificate that was refused or could not be read.
pub(crate) fn of_client(refused: &NoClient) -> Finding {
    match refused {
        NoClient::Refused { refusal, certificate } => {
            of_path(refusal, Fault::Client).called(&certificate.short_name())
        }
        NoClient::Unvouched { unvouched, .. } => (*unvouched.finding).clone(),
        NoClient::Unreadable(error) => advised(
            Finding::new(
                FindingCode::MalformedCertificate,
                Fault::Client,
                format!("the client's certificate cannot be read: {error}"),
            ),
            Direction::ServerRefusedClient,
        ),
    }
}

/// The finding of a policy's denial, with the flag that would admit the first name that the client presented.
pub(crate) fn of_policy(denial: &Denial) -> Finding {
    let finding = Finding::new(FindingCode::NotAllowedByPolicy, Fault::Client, denial.to_string()).certain();
    let flag = denial.presented().iter().find_map(flag_for).filter(|_| denial.forbidden_by().is_none());
    let finding = match flag {
        Some(flag) => finding.fix(Fault::Server, format!("countersign serve … {flag}")),
        None => finding,
    };
    advised(finding, Direction::ServerRefusedClient)
}

/// The flag that admits this name, where there is one for its kind.
fn flag_for(identity: &Identity) -> Option<String> {
    let kind = identity.kind();
    let has_flag = matches!(kind, "cn" | "ou" | "dns" | "ip" | "email" | "uri");
    has_flag.then(|| format!("--allow-{kind} {}", explain::doctor::shell(&identity.value())))
}

/// The finding of a client without a certificate where one is needed.
pub(crate) fn no_client_certificate() -> Finding {
    let finding = Finding::new(
        FindingCode::NoClientCertificate,
        Fault::Client,
        "a client certificate is required and the client sent none",
    );
    advised(finding.certain(), Direction::ServerRefusedClient)
}

/// The TLS error inside an error of a stream, where it is one.
pub(crate) fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// The alert number in an error, where an alert was received.
pub(crate) fn received_alert(error: &rustls::Error) -> Option<u8> {
    match error {
        rustls::Error::AlertReceived(description) => Some(u8::from(*description)),
        _ => None,
    }
}

/// The alert that rustls sends for an error, as far as it always sends the same one.
pub(crate) fn sent_alert(error: &rustls::Error) -> Option<u8> {
    let description = match error {
        rustls::Error::InvalidCertificate(error) => AlertDescription::from(error.clone()),
        rustls::Error::NoCertificatesPresented => AlertDescription::CertificateRequired,
        rustls::Error::NoApplicationProtocol => AlertDescription::NoApplicationProtocol,
        rustls::Error::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::Tls13RequiredForQuic
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => AlertDescription::ProtocolVersion,
        rustls::Error::PeerIncompatible(
            PeerIncompatible::NoCipherSuitesInCommon
            | PeerIncompatible::NoKxGroupsInCommon
            | PeerIncompatible::NoSignatureSchemesInCommon
            | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon,
        ) => AlertDescription::HandshakeFailure,
        _ => return None,
    };
    Some(u8::from(description))
}

/// What a handshake died of, where no certificate was judged bad by this side. `local` says which side this is.
pub(crate) fn of_tls(error: &rustls::Error, local: Sender) -> Finding {
    let (who, peer) = match local {
        Sender::Server => ("client", Fault::Client),
        Sender::Client => ("server", Fault::Server),
    };
    // Who ends a handshake for what the other side sent refuses that side.
    let direction = match local {
        Sender::Server => Direction::ServerRefusedClient,
        Sender::Client => Direction::ClientRefusedServer,
    };
    let named = |code, text: String| advised(Finding::new(code, peer, text), direction);
    match error {
        rustls::Error::AlertReceived(description) => {
            let sender = if local == Sender::Server { Sender::Client } else { Sender::Server };
            let refused_us = match local {
                Sender::Server => Direction::ClientRefusedServer,
                Sender::Client => Direction::ServerRefusedClient,
            };
            advised(from_alert(u8::from(*description), sender, false, false), refused_us)
        }
        rustls::Error::NoCertificatesPresented => no_client_certificate(),
        rustls::Error::PeerIncompatible(_) if sent_alert(error) == Some(70) => named(
            FindingCode::ProtocolVersion,
            format!("the {who} offers no TLS version that is enabled here; TLS 1.2 and 1.3 are spoken"),
        ),
        rustls::Error::PeerIncompatible(why) => named(
            FindingCode::NoSharedCipher,
            format!("no cipher suite, group or signature algorithm in common with the {who}: {why:?}"),
        ),
        rustls::Error::NoApplicationProtocol => named(
            FindingCode::NoApplicationProtocol,
            format!("the {who} offers no application protocol that is spoken here (ALPN: h2, http/1.1)"),
        ),
        rustls::Error::InvalidMessage(_) => {
            named(FindingCode::NotTls, format!("the {who} sent bytes that are not TLS: {error}"))
        }
        rustls::Error::InvalidCertificate(CertificateError::BadSignature) | rustls::Error::DecryptError => {
            named(
                FindingCode::CryptographicFailure,
                format!("the {who} sent a record or signature that does not verify"),
            )
        }
        rustls::Error::InvalidCertificate(inner) => {
            named(FindingCode::CertificateRefused, format!("the {who}'s certificate was refused: {inner}"))
        }
        other => named(FindingCode::ProtocolViolation, format!("the {who} broke the protocol: {other}")),
    }
}

/// What a connection died of below TLS.
pub(crate) fn of_io(error: &io::Error, peer: Fault, during: &str) -> Finding {
    let who = peer.name();
    let finding = match error.kind() {
        io::ErrorKind::UnexpectedEof => Finding::new(
            FindingCode::ClosedWithoutAlert,
            peer,
            format!("the {who} closed the connection {during} without saying why"),
        ),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => {
            Finding::new(
                FindingCode::ConnectionReset,
                peer,
                format!("the {who} reset the connection {during} without saying why"),
            )
        }
        io::ErrorKind::TimedOut => {
            Finding::new(FindingCode::Timeout, Fault::Network, format!("the {who} did not answer {during}"))
        }
        _ => Finding::new(
            FindingCode::ClosedWithoutAlert,
            Fault::Network,
            format!("the connection failed {during}: {error}"),
        ),
    };
    let direction =
        if peer == Fault::Client { Direction::ServerRefusedClient } else { Direction::ClientRefusedServer };
    advised(finding, direction)
}
