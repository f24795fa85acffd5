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
    /// An OCSP response is required, and the responder gives none: it cannot be reached, is late, or refuses to answer.
    OcspUnavailable = "ocsp_unavailable";
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

    /// The server's certificate is signed by its own key, and nobody was told to trust it.
    SelfSigned = "self_signed";
    /// The certificate between a leaf and a trusted CA was not sent.
    IntermediateMissing = "intermediate_missing";
    /// The certificates of a chain are not in the order leaf first.
    ChainOrder = "chain_order";
    /// A leaf stands among the anchors, where its CA belongs.
    LeafAsAnchor = "leaf_as_anchor";
    /// An intermediate stands among the anchors without its root, which some programs do not accept.
    AnchorNotRoot = "anchor_not_root";
    /// A trusted root, on the side that judges, is past its end.
    AnchorExpired = "anchor_expired";
    /// Two different certificates have the same issuer and serial number.
    SameSerialNumber = "same_serial_number";
    /// The chain ends in the root of a program that inspects traffic.
    InterceptingProxy = "intercepting_proxy";
    /// The trust store that was filled is not the one this program reads.
    TrustStoreIgnored = "trust_store_ignored";
    /// The trust bundle of one side is older than the CA of the other.
    TrustBundleStale = "trust_bundle_stale";
    /// A trust directory has no hashed names, so OpenSSL finds nothing in it.
    TrustDirectoryNotHashed = "trust_directory_not_hashed";
    /// The chain is longer than the verifier goes.
    VerifyDepthExceeded = "verify_depth_exceeded";
    /// The authorityKeyIdentifier names another key than the issuer's.
    AuthorityKeyMismatch = "authority_key_mismatch";
    /// The certificate breaks a rule that only strict programs check (Python 3.13, rustls).
    StrictProfile = "strict_profile";
    /// A certificate of X.509 version 1, which has no extensions.
    CertificateVersion1 = "certificate_version_1";
    /// A server's certificate names the server in its commonName alone.
    NoSubjectAltName = "no_subject_alt_name";
    /// The server is reached by an address, and its certificate names none, or names it as a DNS name.
    AddressNotNamed = "address_not_named";
    /// A wildcard is expected to stand for two labels.
    WildcardTooDeep = "wildcard_too_deep";
    /// The certificate on the disk is newer than the one that is served.
    StaleCertificateServed = "stale_certificate_served";
    /// A certificate in use ends within days.
    ExpiresSoon = "expires_soon";
    /// The key is of a kind, or on a curve, that many peers do not take.
    KeyKindUnsupported = "key_kind_unsupported";

    /// A certificate is configured and its private key is not.
    PrivateKeyMissing = "private_key_missing";
    /// The private key is encrypted and no passphrase was given.
    PassphraseMissing = "passphrase_missing";
    /// The passphrase does not open the key.
    PassphraseWrong = "passphrase_wrong";
    /// The key is in a format this program does not read.
    KeyFormatUnsupported = "key_format_unsupported";
    /// Others may read the private key's file, which some programs refuse.
    KeyFileTooOpen = "key_file_too_open";
    /// The private key is in a store or token that cannot make the signature.
    KeyStoreCannotSign = "key_store_cannot_sign";
    /// A PKCS#12 encrypted as current libraries no longer read it.
    Pkcs12LegacyEncryption = "pkcs12_legacy_encryption";
    /// A PKCS#12 that some platform does not import although the password is right.
    Pkcs12NotPortable = "pkcs12_not_portable";
    /// DER where PEM is expected, PKCS#12 where PEM is expected, or the like.
    EncodingMismatch = "encoding_mismatch";
    /// PEM that was damaged on its way.
    PemDamaged = "pem_damaged";
    /// A named file is not there.
    FileMissing = "file_missing";
    /// A named file may not be read by this user.
    FileUnreadable = "file_unreadable";
    /// Certificate and key were given in each other's place.
    FilesSwapped = "files_swapped";
    /// An option means another thing to this program.
    OptionMisread = "option_misread";
    /// Verification is switched off on this side, which never changes the other side's verdict.
    VerificationDisabled = "verification_disabled";

    /// The client sent no certificate since the server takes no signature its key can make.
    ClientKeyNotAccepted = "client_key_not_accepted";
    /// The list of CAs in the CertificateRequest is longer than clients or the protocol take.
    IssuerListTooLong = "issuer_list_too_long";
    /// The client's chain is larger than the server takes.
    ChainTooLarge = "chain_too_large";
    /// The server wants a certificate for one location only, and TLS 1.3 clients cannot be asked again.
    PostHandshakeAuthentication = "post_handshake_authentication";
    /// The proxy in front has the client's certificate, and the server behind it never sees it.
    CertificateNotForwarded = "certificate_not_forwarded";
    /// The server in front cannot reach the one behind it.
    UpstreamFailed = "upstream_failed";
    /// No key exchange group in common.
    NoSharedGroup = "no_shared_group";
    /// No signature algorithm in common.
    NoSharedSignatureAlgorithm = "no_shared_signature_algorithm";
    /// The peer chose no application protocol where the client insists on one.
    ApplicationProtocolNotSelected = "application_protocol_not_selected";
    /// The client sends no server name and gets another host's certificate.
    ServerNameMissing = "server_name_missing";
    /// The request was sent on a connection for another host.
    MisdirectedRequest = "misdirected_request";
    /// A ClientHello that fills more than one packet is dropped on the way.
    LargeClientHelloDropped = "large_client_hello_dropped";
    /// The server does not know secure renegotiation (RFC 5746).
    RenegotiationUnsafe = "renegotiation_unsafe";
    /// A connection that was opened and closed without a ClientHello: a health check.
    ConnectionWithoutHello = "connection_without_hello";

    /// A browser remembers an old choice of certificate, or none, for this host.
    BrowserChoiceRemembered = "browser_choice_remembered";
    /// The browser's CORS preflight carries no certificate.
    PreflightWithoutCertificate = "preflight_without_certificate";
    /// Where the issuer publishes revocation cannot be reached.
    RevocationUnreachable = "revocation_unreachable";
    /// The verifier does not look at revocation although it is configured to.
    RevocationNotChecked = "revocation_not_checked";
    /// A resumed session is let in without its certificate being judged again.
    ResumptionNotRechecked = "resumption_not_rechecked";
    /// A service behind a proxy believes identity headers from anybody.
    IdentityHeaderForgeable = "identity_header_forgeable";
    /// Nothing known explains what was seen.
    Unexplained = "unexplained";
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

/// How sure a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Confidence {
    /// One of several explanations, and nothing contradicts it.
    Possible,
    /// The best explanation of what was seen.
    Likely,
    /// What was seen allows no other.
    Certain,
}

impl Confidence {
    /// The stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Confidence::Possible => "possible",
            Confidence::Likely => "likely",
            Confidence::Certain => "certain",
        }
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One command, or one setting, that mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// What to type or to write, such that it can be pasted.
    pub command: String,
    /// Who must do it.
    pub place: Fault,
}

impl Fix {
    /// A fix to be done by `place`.
    ///
    /// ```
    /// use explain::{Fault, finding::Fix};
    /// let fix = Fix::new(Fault::Server, "nginx -s reload");
    /// assert_eq!(fix.json()["where"], "server");
    /// ```
    #[must_use]
    pub fn new(place: Fault, command: impl Into<String>) -> Self {
        Fix { command: command.into(), place }
    }

    /// The fix with the field names of `--json`.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({ "command": self.command, "where": self.place.name() })
    }
}

/// One diagnosed fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was found.
    pub code: FindingCode,
    /// Whose fault it is.
    pub fault: Fault,
    /// How sure it is.
    pub confidence: Confidence,
    /// The finding in one or two sentences.
    pub summary: String,
    /// The facts it rests on.
    pub evidence: Vec<String>,
    /// What to do, in words, where that can be said.
    pub remedy: Option<String>,
    /// What to type or write, where one thing mends it.
    pub fix: Option<Box<Fix>>,
    /// The second best, for where the first is not ours to do.
    pub alternative: Option<Box<Fix>>,
}

impl Finding {
    /// A likely finding without evidence, remedy or fix.
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
        Finding {
            code,
            fault,
            confidence: Confidence::Likely,
            summary: summary.into(),
            evidence: Vec::new(),
            remedy: None,
            fix: None,
            alternative: None,
        }
    }

    /// Sets how sure it is.
    #[must_use]
    pub fn confidence(mut self, confidence: Confidence) -> Self {
        self.confidence = confidence;
        self
    }

    /// Marks it as certain.
    #[must_use]
    pub fn certain(self) -> Self {
        self.confidence(Confidence::Certain)
    }

    /// Marks it as one possibility among others.
    #[must_use]
    pub fn possible(self) -> Self {
        self.confidence(Confidence::Possible)
    }

    /// Adds a fact it rests on.
    #[must_use]
    pub fn evidence(mut self, fact: impl Into<String>) -> Self {
        self.evidence.push(fact.into());
        self
    }

    /// Sets what to do, in words.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Sets what to type or write, and who must.
    #[must_use]
    pub fn fix(mut self, place: Fault, command: impl Into<String>) -> Self {
        self.fix = Some(Box::new(Fix::new(place, command)));
        self
    }

    /// Sets the second best.
    #[must_use]
    pub fn alternative(mut self, place: Fault, command: impl Into<String>) -> Self {
        self.alternative = Some(Box::new(Fix::new(place, command)));
        self
    }

    /// Puts the server's name and port where the commands have `HOST` and `PORT`.
    ///
    /// ```
    /// use explain::{Fault, Finding, FindingCode};
    /// let finding = Finding::new(FindingCode::NotTls, Fault::Client, "no TLS")
    ///     .fix(Fault::Client, "curl -v https://HOST:PORT/")
    ///     .at("localhost", 8443);
    /// assert!(finding.fix.is_some_and(|fix| fix.command == "curl -v https://localhost:8443/"));
    /// ```
    #[must_use]
    pub fn at(mut self, host: &str, port: u16) -> Self {
        for fix in self.fix.iter_mut().chain(self.alternative.iter_mut()) {
            fix.command = fix.command.replace("PORT", &port.to_string()).replace("HOST", host);
        }
        self
    }

    /// The finding with the holder of the certificate in its commands, where they are patterns. A name is a stranger's:
    /// one that a command would take for an option, or that is longer than a commonName, stays out.
    ///
    /// ```
    /// use explain::{Fault, Finding, FindingCode};
    /// let finding = Finding::new(FindingCode::CertificateExpired, Fault::Client, "it expired")
    ///     .fix(Fault::Issuer, "countersign renew NAME")
    ///     .called("Alice's laptop");
    /// assert!(finding.fix.is_some_and(|fix| fix.command == r"countersign renew 'Alice'\''s laptop'"));
    /// ```
    #[must_use]
    pub fn called(mut self, name: &str) -> Self {
        // RFC 5280 appendix A: ub-common-name.
        if name.is_empty()
            || name.starts_with('-')
            || name.chars().count() > 64
            || name.contains(char::is_control)
        {
            return self;
        }
        for fix in self.fix.iter_mut().chain(self.alternative.iter_mut()) {
            let words = fix.command.split(' ');
            let filled =
                words.map(|word| if word == "NAME" { crate::doctor::shell(name) } else { word.to_owned() });
            fix.command = filled.collect::<Vec<_>>().join(" ");
        }
        self
    }

    /// The finding with the field names of `--json`.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "code": self.code.name(),
            "fault": self.fault.name(),
            "confidence": self.confidence.name(),
            "summary": self.summary,
            "evidence": self.evidence,
            "remedy": self.remedy,
            "fix": self.fix.as_deref().map(Fix::json),
            "alternative": self.alternative.as_deref().map(Fix::json),
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
            assert!(
                code.name().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
                "{code}"
            );
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
