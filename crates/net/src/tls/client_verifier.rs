//! A server's view of a client's certificate: `pki::verify` gives the verdict, rustls the signature over the
//! handshake. One verifier serves one connection and keeps the verdict, since rustls itself keeps only an alert.

use std::sync::{Arc, OnceLock};

use explain::{Fault, Finding, FindingCode};
use jiff::Timestamp;
use pki::Certificate;
use pki::certificate::CertificateError;
use pki::identity::VerifiedPeer;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::signatures;
use crate::refusal;
use crate::snapshot::{ClientAuth, Current};

/// What a client presented: its certificate and those it sent behind it, as far as they could be read.
#[derive(Debug, Clone)]
pub(crate) struct Presented {
    pub(crate) leaf: Certificate,
    pub(crate) intermediates: Vec<Certificate>,
}

/// What was found about it.
#[derive(Debug)]
pub(crate) enum Verdict {
    Verified { peer: VerifiedPeer, presented: Presented },
    Refused { certificate: Box<Certificate>, finding: Finding },
    Unreadable(CertificateError),
}

/// The verifier of one connection.
#[derive(Debug)]
pub(crate) struct ClientVerifier {
    current: Arc<Current>,
    clock: fn() -> Timestamp,
    verdict: OnceLock<Verdict>,
}

impl ClientVerifier {
    pub(crate) fn new(current: Arc<Current>, clock: fn() -> Timestamp) -> Self {
        ClientVerifier { current, clock, verdict: OnceLock::new() }
    }

    /// The verdict, where a certificate was presented.
    pub(crate) fn verdict(&self) -> Option<&Verdict> {
        self.verdict.get()
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn offer_client_auth(&self) -> bool {
        self.current.client_auth() != ClientAuth::Off
    }

    fn client_auth_mandatory(&self) -> bool {
        self.current.client_auth() == ClientAuth::Require
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.current.hints()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let leaf = match Certificate::from_der(end_entity) {
            Ok(leaf) => leaf,
            Err(error) => {
                self.verdict.get_or_init(|| Verdict::Unreadable(error));
                return Err(rustls::CertificateError::BadEncoding.into());
            }
        };
        // One that cannot be read cannot be part of a path; whether one is missing, the search for it will tell.
        let intermediates = intermediates.iter().filter_map(|der| Certificate::from_der(der).ok()).collect();
        let presented = Presented { leaf, intermediates };
        match self.current.judge(&presented, (self.clock)()) {
            Ok(peer) => {
                self.verdict.get_or_init(|| Verdict::Verified { peer, presented });
                Ok(ClientCertVerified::assertion())
            }
            Err(refused) => {
                let error = refusal::certificate_error(refused.first().code);
                let finding = refusal::of_path(&refused, Fault::Client);
                let certificate = Box::new(presented.leaf);
                self.verdict.get_or_init(|| Verdict::Refused { certificate, finding });
                Err(error.into())
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signatures::verify_tls12(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signatures::verify_tls13(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        signatures::schemes()
    }
}

/// The finding for a certificate that cannot be read.
pub(crate) fn unreadable(error: &CertificateError) -> Finding {
    Finding::new(
        FindingCode::MalformedCertificate,
        Fault::Client,
        format!("the client's certificate cannot be read: {error}"),
    )
    .remedy("send the certificate as it was issued")
}
