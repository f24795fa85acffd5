//! The one refusal vocabulary: what was found wrong, whose fault it is, and what to do. The gateway's log, metrics,
//! `verify`, `fetch`, `explain`, `doctor` and the console all speak it. How a path is judged is `pki::verify`'s
//! work; what a bare alert allows to be concluded is `from_alert`'s.

use std::fmt;

use pki::verify::ReasonCode;

macro_rules! finding_codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal;)*) => {
        /// What was found. The names are stable: logs, metrics and `--json` carry them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum FindingCode {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl FindingCode {
            /// Every code.
            pub const ALL: &[FindingCode] = &[$(FindingCode::$variant),*];

            /// The stable name, in snake case.
            ///
            /// ```
            /// assert_eq!(explain::FindingCode::UnknownIssuer.name(), "unknown_issuer");
            /// ```
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(FindingCode::$variant => $name,)*
                }
            }
        }
    };
}

finding_codes! {
    /// No path leads to an anchor.
    UnknownIssuer = "unknown_issuer";
    /// A signature does not verify with the key of the issuer by that name.
    SignatureInvalid = "signature_invalid";
    /// The certificate is on its issuer's revocation list.
    CertificateRevoked = "certificate_revoked";
    /// The certificate's validity is over.
    CertificateExpired = "certificate_expired";
    /// The certificate's validity has not started.
    CertificateNotYetValid = "certificate_not_yet_valid";
    /// The extended key usages do not include the purpose.
    WrongPurpose = "wrong_purpose";
    /// The key usage does not allow what is done with the key.
    KeyUsageMissing = "key_usage_missing";
    /// A certificate that is no CA's signed another one.
    IssuerNotCa = "issuer_not_ca";
    /// A CA's certificate is used as a leaf.
    CaAsLeaf = "ca_as_leaf";
    /// More CAs stand below a CA than its path length allows.
    PathLengthExceeded = "path_length_exceeded";
    /// A name is outside the constraints of a CA above.
    NameConstraintsViolated = "name_constraints_violated";
    /// The certificate does not name the server that was asked for.
    NameMismatch = "name_mismatch";
    /// A critical extension nobody here understands.
    UnknownCriticalExtension = "unknown_critical_extension";
    /// The key is too weak or of an unknown kind.
    WeakKey = "weak_key";
    /// Signed with an algorithm that is broken or unknown.
    WeakSignature = "weak_signature";
    /// The revocation list at hand is past its nextUpdate.
    CrlExpired = "crl_expired";
    /// A revocation list is required and there is none.
    CrlMissing = "crl_missing";
    /// A revocation list is at hand and says nothing of this certificate: it is of another part.
    CrlUnusable = "crl_unusable";
    /// An OCSP response is at hand for the certificate, and cannot be believed or says nothing.
    OcspInvalid = "ocsp_invalid";
    /// The path is valid for none of the certificate policies demanded.
    PolicyNotAccepted = "policy_not_accepted";
    /// The certificate breaks a rule for those who make certificates, and strictness was asked for.
    NotConforming = "not_conforming";
    /// The search for a path was given up.
    PathTooComplex = "path_too_complex";
    /// rustls-webpki refuses a path that our engine accepts.
    SecondOpinion = "second_opinion";
    /// The certificate cannot be read.
    MalformedCertificate = "malformed_certificate";
    /// The peer refused the certificate without a reason that can be relied on.
    CertificateRefused = "certificate_refused";

    /// The server requires a client certificate and got none.
    NoClientCertificate = "no_client_certificate";
    /// The server never asked for a client certificate.
    ClientCertificateNotRequested = "client_certificate_not_requested";
    /// The issuer of the client's certificate is not among those the server's CertificateRequest names.
    IssuerNotRequested = "issuer_not_requested";
    /// The private key does not belong to the certificate.
    KeyMismatch = "key_mismatch";
    /// The certificate is good, and its identity is not on the list.
    NotAllowedByPolicy = "not_allowed_by_policy";
    /// The identity has asked for more than it may in this time, or at the same time.
    TooManyRequests = "too_many_requests";

    /// A fatal alert that says nothing more precise.
    AlertReceived = "alert_received";
    /// The handshake parameters, or the client's certificate, were refused without saying which.
    HandshakeFailure = "handshake_failure";
    /// The connection was closed in the middle without an alert.
    ClosedWithoutAlert = "closed_without_alert";
    /// The peer does not speak TLS.
    NotTls = "not_tls";
    /// The peer answers TLS with plain HTTP, or sends plain HTTP to a TLS port.
    PlainHttp = "plain_http";
    /// No TLS version in common.
    ProtocolVersion = "protocol_version";
    /// No cipher suite, group or signature algorithm in common.
    NoSharedCipher = "no_shared_cipher";
    /// No application protocol (ALPN) in common.
    NoApplicationProtocol = "no_application_protocol";
    /// The server has nothing under the name in SNI.
    UnrecognizedName = "unrecognized_name";
    /// A handshake message that breaks the protocol.
    ProtocolViolation = "protocol_violation";
    /// A record or signature that does not verify.
    CryptographicFailure = "cryptographic_failure";
    /// The session or pre-shared key offered is not accepted.
    SessionRefused = "session_refused";
    /// The peer failed for a reason of its own.
    PeerInternalError = "peer_internal_error";
    /// The peer ended the connection on purpose.
    Canceled = "canceled";
    /// Encrypted Client Hello was required and not achieved.
    EncryptedClientHelloRequired = "encrypted_client_hello_required";

    /// Nothing listens on the port.
    ConnectionRefused = "connection_refused";
    /// The connection was reset.
    ConnectionReset = "connection_reset";
    /// No answer in time.
    Timeout = "timeout";
    /// The host cannot be reached.
    Unreachable = "unreachable";
    /// The name has no address.
    NameNotResolved = "name_not_resolved";
    /// A proxy on the way refused the connection.
    ProxyRefused = "proxy_refused";
    /// The machine's clock is wrong.
    ClockWrong = "clock_wrong";
    /// A file or setting on this machine cannot be used.
    ConfigurationUnusable = "configuration_unusable";
}

impl FindingCode {
    /// The code with this stable name.
    ///
    /// ```
    /// use explain::FindingCode;
    /// assert_eq!(FindingCode::from_name("plain_http"), Some(FindingCode::PlainHttp));
    /// ```
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }
}

impl fmt::Display for FindingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<ReasonCode> for FindingCode {
    fn from(reason: ReasonCode) -> Self {
        match reason {
            ReasonCode::UnknownIssuer => Self::UnknownIssuer,
            ReasonCode::SignatureInvalid => Self::SignatureInvalid,
            ReasonCode::CertificateRevoked => Self::CertificateRevoked,
            ReasonCode::CertificateExpired => Self::CertificateExpired,
            ReasonCode::CertificateNotYetValid => Self::CertificateNotYetValid,
            ReasonCode::WrongPurpose => Self::WrongPurpose,
            ReasonCode::KeyUsage => Self::KeyUsageMissing,
            ReasonCode::IssuerNotCa => Self::IssuerNotCa,
            ReasonCode::CaAsLeaf => Self::CaAsLeaf,
            ReasonCode::PathLengthExceeded => Self::PathLengthExceeded,
            ReasonCode::NameConstraintsViolated => Self::NameConstraintsViolated,
            ReasonCode::NameMismatch => Self::NameMismatch,
            ReasonCode::UnknownCriticalExtension => Self::UnknownCriticalExtension,
            ReasonCode::WeakKey => Self::WeakKey,
            ReasonCode::WeakSignature => Self::WeakSignature,
            ReasonCode::CrlExpired => Self::CrlExpired,
            ReasonCode::CrlMissing => Self::CrlMissing,
            ReasonCode::CrlUnusable => Self::CrlUnusable,
            ReasonCode::OcspInvalid => Self::OcspInvalid,
            ReasonCode::PolicyNotAccepted => Self::PolicyNotAccepted,
            ReasonCode::NotConforming => Self::NotConforming,
            ReasonCode::TooComplex => Self::PathTooComplex,
            ReasonCode::SecondOpinion => Self::SecondOpinion,
        }
    }
}

/// Whose fault it is: who has to change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The TLS client, its certificate or its settings.
    Client,
    /// The TLS server, its certificate or its settings.
    Server,
    /// Whoever issued a certificate or list.
    Issuer,
    /// A proxy between the two.
    Proxy,
    /// The network between the two.
    Network,
    /// A clock.
    Clock,
    /// The machine this runs on: files, permissions, environment variables.
    Environment,
}

impl Fault {
    /// The stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Fault::Client => "client",
            Fault::Server => "server",
            Fault::Issuer => "issuer",
            Fault::Proxy => "proxy",
            Fault::Network => "network",
            Fault::Clock => "clock",
            Fault::Environment => "environment",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One of the two ends of a TLS connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sender {
    /// The side that opened the connection.
    Client,
    /// The side that was connected to.
    Server,
}

/// One diagnosed fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was found.
    pub code: FindingCode,
    /// Whose fault it is.
    pub fault: Fault,
    /// The finding in one or two sentences.
    pub summary: String,
    /// The facts it rests on.
    pub evidence: Vec<String>,
    /// What to do, where that can be said.
    pub remedy: Option<String>,
}

impl Finding {
    /// A finding without evidence or remedy.
    ///
    /// ```
    /// use explain::{Fault, Finding, FindingCode};
    /// let finding = Finding::new(FindingCode::Timeout, Fault::Network, "no answer within 10 s")
    ///     .evidence("connecting to 192.0.2.1:443")
    ///     .remedy("check the address and the firewall");
    /// assert_eq!(finding.to_string(), "timeout: no answer within 10 s");
    /// ```
    #[must_use]
    pub fn new(code: FindingCode, fault: Fault, summary: impl Into<String>) -> Self {
        Finding { code, fault, summary: summary.into(), evidence: Vec::new(), remedy: None }
    }

    /// Adds a fact it rests on.
    #[must_use]
    pub fn evidence(mut self, fact: impl Into<String>) -> Self {
        self.evidence.push(fact.into());
        self
    }

    /// Sets what to do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// The finding with the field names of `--json`.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "code": self.code.name(),
            "fault": self.fault.name(),
            "summary": self.summary,
            "evidence": self.evidence,
            "remedy": self.remedy,
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.summary)
    }
}

pub use crate::diagnosis::from_alert;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_snake_case_and_read_back() {
        let names: BTreeSet<&str> = FindingCode::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), FindingCode::ALL.len());
        for code in FindingCode::ALL {
            assert!(code.name().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{code}");
            assert_eq!(FindingCode::from_name(code.name()), Some(*code));
        }
    }

    #[test]
    fn a_reason_of_path_validation_keeps_its_name() {
        for reason in [
            ReasonCode::UnknownIssuer,
            ReasonCode::KeyUsage,
            ReasonCode::TooComplex,
            ReasonCode::SecondOpinion,
            ReasonCode::CaAsLeaf,
            ReasonCode::WeakSignature,
        ] {
            assert_eq!(FindingCode::from(reason).name(), reason.name());
        }
    }
}
