//! A client's view of a server's certificate: the verdict of `pki::verify`, enforced, or (see [`crate::danger`])
//! only noted. One verifier serves one connection and keeps what was served with the verdict.

use std::sync::OnceLock;

use explain::{Fault, Finding, FindingCode};
use jiff::Timestamp;
use pki::Certificate;
use pki::crl::CertificateRevocationList;
use pki::identity::VerifiedPeer;
use pki::name::ServerName;
use pki::policy::{Denial, Policy};
use pki::verify::{Purpose, Refusal, RevocationMode, Rules, TrustBundle, VerifiedPath, verify_stapled};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

use super::signatures;
use crate::{disagreement, refusal};

/// By what a server is recognised, once its certificate leads to an anchor.
#[derive(Debug, Clone, Default)]
pub enum ServerIdentity {
    /// By the name that is dialled, or [`Expectation::server_name`] (RFC 9525).
    #[default]
    HostName,
    /// By a rule, in place of the name: identities such as SPIFFE's name no host. Without a rule nobody is recognised.
    Rules(Policy),
    /// By the name and by a rule.
    HostNameAndRules(Policy),
}

impl ServerIdentity {
    fn is_host_name_needed(&self) -> bool {
        matches!(self, ServerIdentity::HostName | ServerIdentity::HostNameAndRules(_))
    }

    fn rules(&self) -> Option<&Policy> {
        match self {
            ServerIdentity::HostName => None,
            ServerIdentity::Rules(policy) | ServerIdentity::HostNameAndRules(policy) => Some(policy),
        }
    }
}

/// What a client expects of a server.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// What is believed.
    pub anchors: TrustBundle,
    /// The revocation lists at hand.
    pub crls: Vec<CertificateRevocationList>,
    /// What a missing list means.
    pub revocation: RevocationMode,
    /// The name the certificate must have, where it is not the host that is dialled.
    pub server_name: Option<ServerName>,
    /// By what it is recognised.
    pub identity: ServerIdentity,
    /// The moment of judgement.
    pub clock: fn() -> Timestamp,
    pub(crate) enforcement: Enforcement,
}

/// What follows from a bad verdict. Only [`crate::danger`] makes anything but `Enforce`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Enforcement {
    Enforce,
    Note,
}

impl Expectation {
    /// A server whose certificate leads to one of these anchors and names the host that is dialled, now.
    ///
    /// ```
    /// let expectation = net::tls::server_verifier::Expectation::new(pki::verify::TrustBundle::default());
    /// assert!(expectation.anchors.is_empty());
    /// ```
    #[must_use]
    pub fn new(anchors: TrustBundle) -> Self {
        Expectation {
            anchors,
            crls: Vec::new(),
            revocation: RevocationMode::default(),
            server_name: None,
            identity: ServerIdentity::default(),
            clock: Timestamp::now,
            enforcement: Enforcement::Enforce,
        }
    }
}

/// What was found about a server's certificate.
#[derive(Debug, Clone)]
pub enum ServerVerdict {
    /// A path to an anchor that is valid for this name.
    Verified(VerifiedPath),
    /// None; every reason against the best one.
    Refused(Refusal),
    /// A path, and no rule that recognises the server at its end.
    Denied(Denial),
    /// The certificate cannot be read.
    Unreadable(pki::certificate::CertificateError),
}

impl ServerVerdict {
    /// The finding, where the verdict is a bad one.
    #[must_use]
    pub fn finding(&self) -> Option<Finding> {
        match self {
            ServerVerdict::Verified(_) => None,
            ServerVerdict::Refused(refused) => Some(refusal::of_path(refused, Fault::Server)),
            ServerVerdict::Denied(denial) => Some(
                Finding::new(
                    FindingCode::NotAllowedByPolicy,
                    Fault::Server,
                    format!("the server is none that is expected: {denial}"),
                )
                .remedy("add a rule that recognises it, such as --verify-dns NAME, or dial the right server"),
            ),
            ServerVerdict::Unreadable(error) => Some(Finding::new(
                FindingCode::MalformedCertificate,
                Fault::Server,
                format!("the server's certificate cannot be read: {error}"),
            )),
        }
    }
}

/// What a server sent in its Certificate message.
#[derive(Debug, Clone)]
pub struct Served {
    /// The certificates in DER, in the order they were sent.
    pub chain: Vec<Vec<u8>>,
    /// The OCSP response that it sent with them; empty where it sent none.
    pub stapled: Vec<u8>,
    /// What was found about them.
    pub verdict: ServerVerdict,
}

/// The verifier of one connection.
#[derive(Debug)]
pub(crate) struct ServerVerifier {
    expectation: Expectation,
    expected: ServerName,
    served: OnceLock<Served>,
}

impl ServerVerifier {
    /// A verifier of `dialled`, or of the name that the expectation has instead.
    pub(crate) fn new(expectation: Expectation, dialled: ServerName) -> Self {
        let expected = expectation.server_name.clone().unwrap_or(dialled);
        ServerVerifier { expectation, expected, served: OnceLock::new() }
    }

    /// What is expected of the server.
    pub(crate) fn expectation(&self) -> &Expectation {
        &self.expectation
    }

    /// The name that the server must have.
    pub(crate) fn expected(&self) -> &ServerName {
        &self.expected
    }

    /// What the server sent, once it has.
    pub(crate) fn served(&self) -> Option<&Served> {
        self.served.get()
    }

    /// Whether the verdict refuses the connection.
    pub(crate) fn is_enforced(&self) -> bool {
        self.expectation.enforcement == Enforcement::Enforce
    }

    fn judge(
        &self,
        end_entity: &[u8],
        intermediates: &[CertificateDer<'_>],
        stapled: &[u8],
    ) -> ServerVerdict {
        let intermediates = intermediates.iter().map(|der| der.as_ref());
        self.expectation.judge(&self.expected, end_entity, intermediates, stapled)
    }
}

impl Expectation {
    /// Judges what a server called `expected` has served: at its handshake, and again when the expectation has changed
    /// during a connection's life.
    pub(crate) fn judge<'a>(
        &self,
        expected: &ServerName,
        end_entity: &[u8],
        intermediates: impl Iterator<Item = &'a [u8]>,
        stapled: &[u8],
    ) -> ServerVerdict {
        let leaf = match Certificate::from_der(end_entity) {
            Ok(leaf) => leaf,
            Err(error) => return ServerVerdict::Unreadable(error),
        };
        let intermediates: Vec<Certificate> =
            intermediates.filter_map(|der| Certificate::from_der(der).ok()).collect();
        let rules = Rules {
            server_name: self.identity.is_host_name_needed().then_some(expected),
            crls: &self.crls,
            revocation: self.revocation,
            ..Rules::new(&self.anchors, Purpose::Server, (self.clock)())
        };
        let path = match verify_stapled(&leaf, &intermediates, &rules, stapled) {
            Ok(path) => path,
            Err(refused) => {
                disagreement::note(&refused);
                return ServerVerdict::Refused(refused);
            }
        };
        match self.identity.rules().map(|rules| rules.evaluate(&VerifiedPeer::new(path.clone()))) {
            Some(Err(denial)) => ServerVerdict::Denied(denial),
            Some(Ok(_)) | None => ServerVerdict::Verified(path),
        }
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &rustls::pki_types::ServerName<'_>,
        ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.judge(end_entity, intermediates, ocsp_response);
        let error = match &verdict {
            ServerVerdict::Verified(_) => None,
            ServerVerdict::Refused(refused) => Some(refusal::certificate_error(refused.first().code)),
            // access_denied (49): "a valid certificate … was received, but when access control was applied, the sender
            // decided not to proceed" (RFC 8446 section 6.2).
            ServerVerdict::Denied(_) => Some(rustls::CertificateError::ApplicationVerificationFailure),
            ServerVerdict::Unreadable(_) => Some(rustls::CertificateError::BadEncoding),
        };
        self.served.get_or_init(|| Served {
            chain: std::iter::once(end_entity).chain(intermediates).map(|der| der.to_vec()).collect(),
            stapled: ocsp_response.to_vec(),
            verdict,
        });
        match error {
            Some(error) if self.is_enforced() => Err(error.into()),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verified = signatures::verify_tls12(message, certificate, signature);
        if self.is_enforced() {
            return verified;
        }
        verified.or_else(|_| signatures::verify_with_key_of(message, certificate, signature))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verified = signatures::verify_tls13(message, certificate, signature);
        if self.is_enforced() {
            return verified;
        }
        verified.or_else(|_| signatures::verify_with_key_of(message, certificate, signature))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        signatures::schemes()
    }
}
