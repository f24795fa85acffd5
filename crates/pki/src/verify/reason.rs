//! Why a path is not valid: a code for machines, a sentence for people, and the certificate it is about.

use std::fmt;

use crate::certificate::Certificate;

/// What is wrong. The names are stable: logs, metrics and `--json` carry them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReasonCode {
    /// No path leads to an anchor.
    UnknownIssuer,
    /// A signature does not verify with the key of the issuer by that name.
    SignatureInvalid,
    /// It is on its issuer's revocation list.
    CertificateRevoked,
    /// Its validity is over.
    CertificateExpired,
    /// Its validity has not started.
    CertificateNotYetValid,
    /// Its extended key usages do not include the purpose.
    WrongPurpose,
    /// Its key usage does not allow what is done with it.
    KeyUsage,
    /// It signed another certificate and is no CA.
    IssuerNotCa,
    /// A CA's certificate is used as a leaf.
    CaAsLeaf,
    /// More CAs below it than its path length allows.
    PathLengthExceeded,
    /// A name outside the constraints of a CA above.
    NameConstraintsViolated,
    /// It does not name the server that was asked for.
    NameMismatch,
    /// It has a critical extension nobody here understands.
    UnknownCriticalExtension,
    /// Its key is too weak or of an unknown kind.
    WeakKey,
    /// It is signed with an algorithm that is broken or unknown.
    WeakSignature,
    /// The revocation list at hand is past its nextUpdate, or not from the issuer.
    CrlExpired,
    /// A revocation list is required and there is none.
    CrlMissing,
    /// A list is at hand and says nothing of this certificate: it is of another part, or covers only some reasons.
    CrlUnusable,
    /// An OCSP response is at hand for this certificate, and it cannot be believed or says nothing.
    OcspInvalid,
    /// The path is valid for none of the certificate policies demanded.
    PolicyNotAccepted,
    /// It breaks a rule that binds those who make certificates; only with [`super::Conformance::Strict`].
    NotConforming,
    /// The search for a path was given up.
    TooComplex,
    /// rustls-webpki refuses a path that this engine accepts.
    SecondOpinion,
}

impl ReasonCode {
    /// The stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::UnknownIssuer => "unknown_issuer",
            Self::SignatureInvalid => "signature_invalid",
            Self::CertificateRevoked => "certificate_revoked",
            Self::CertificateExpired => "certificate_expired",
            Self::CertificateNotYetValid => "certificate_not_yet_valid",
            Self::WrongPurpose => "wrong_purpose",
            Self::KeyUsage => "key_usage_missing",
            Self::IssuerNotCa => "issuer_not_ca",
            Self::CaAsLeaf => "ca_as_leaf",
            Self::PathLengthExceeded => "path_length_exceeded",
            Self::NameConstraintsViolated => "name_constraints_violated",
            Self::NameMismatch => "name_mismatch",
            Self::UnknownCriticalExtension => "unknown_critical_extension",
            Self::WeakKey => "weak_key",
            Self::WeakSignature => "weak_signature",
            Self::CrlExpired => "crl_expired",
            Self::CrlMissing => "crl_missing",
            Self::CrlUnusable => "crl_unusable",
            Self::OcspInvalid => "ocsp_invalid",
            Self::PolicyNotAccepted => "policy_not_accepted",
            Self::NotConforming => "not_conforming",
            Self::TooComplex => "path_too_complex",
            Self::SecondOpinion => "second_opinion",
        }
    }

    /// The order in which reasons are told: what cannot be mended by waiting or configuring comes first.
    pub(super) fn rank(self) -> u8 {
        match self {
            Self::SignatureInvalid => 0,
            Self::UnknownIssuer => 1,
            Self::CertificateRevoked => 2,
            Self::WeakSignature => 3,
            Self::WeakKey => 4,
            Self::IssuerNotCa => 5,
            Self::PathLengthExceeded => 6,
            Self::NameConstraintsViolated => 7,
            Self::UnknownCriticalExtension => 8,
            Self::PolicyNotAccepted => 9,
            Self::CertificateExpired => 10,
            Self::CertificateNotYetValid => 11,
            Self::WrongPurpose => 12,
            Self::KeyUsage => 13,
            Self::CaAsLeaf => 14,
            Self::NameMismatch => 15,
            Self::CrlExpired => 16,
            Self::CrlUnusable => 17,
            Self::CrlMissing => 18,
            Self::OcspInvalid => 19,
            Self::NotConforming => 20,
            Self::TooComplex => 21,
            Self::SecondOpinion => 22,
        }
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One reason against a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// What is wrong.
    pub code: ReasonCode,
    /// Where in the path: 0 is the leaf.
    pub depth: usize,
    /// The certificate it is about, by its short name.
    pub certificate: String,
    /// The sentence, with the values compared.
    pub message: String,
}

impl Reason {
    pub(super) fn new(code: ReasonCode, depth: usize, certificate: &Certificate, message: String) -> Self {
        Reason { code, depth, certificate: certificate.short_name(), message }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Where the reasons against a path go. A handshake only asks whether there is one, and then nobody reads sentences:
/// they are made where they are collected.
#[derive(Debug)]
pub(super) struct Verdict {
    faults: usize,
    reasons: Option<Vec<Reason>>,
}

impl Verdict {
    /// Counts the reasons.
    pub(super) fn counting() -> Self {
        Verdict { faults: 0, reasons: None }
    }

    /// Keeps the reasons, after those that are known already.
    pub(super) fn collecting(reasons: Vec<Reason>) -> Self {
        Verdict { faults: reasons.len(), reasons: Some(reasons) }
    }

    /// One more reason.
    pub(super) fn against(
        &mut self,
        code: ReasonCode,
        depth: usize,
        certificate: &Certificate,
        message: impl FnOnce() -> String,
    ) {
        self.faults += 1;
        if let Some(reasons) = &mut self.reasons {
            reasons.push(Reason::new(code, depth, certificate, message()));
        }
    }

    /// Whether nothing speaks against it.
    pub(super) fn is_clear(&self) -> bool {
        self.faults == 0
    }

    /// The reasons that were kept.
    pub(super) fn into_reasons(self) -> Vec<Reason> {
        self.reasons.unwrap_or_default()
    }
}
