//! A server's view of a client's certificate: the snapshot's judge gives the verdict, rustls the signature over the
//! handshake. One verifier serves all connections of a snapshot; the verdict goes into the connection's slot, since
//! rustls itself keeps only an alert.
//!
//! Where the snapshot tells refused clients why with a page, the handshake of one whose path is not valid goes on: what
//! makes a client is the `Ok` in the slot, never the end of the handshake. It proves that it has the key all the same.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::{signatures, slot};
use crate::refusal;
use crate::snapshot::{ClientAuth, Judge, NoClient};

/// The verifier of one snapshot.
#[derive(Debug)]
pub(crate) struct ClientVerifier {
    judge: Arc<Judge>,
    client_auth: ClientAuth,
    tells_refused: bool,
    /// The subjects of the anchors: what CertificateRequest names as acceptable.
    hints: Vec<DistinguishedName>,
}

impl ClientVerifier {
    pub(crate) fn new(
        judge: Arc<Judge>,
        client_auth: ClientAuth,
        tells_refused: bool,
        hints: Vec<DistinguishedName>,
    ) -> Self {
        ClientVerifier { judge, client_auth, tells_refused, hints }
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn offer_client_auth(&self) -> bool {
        self.client_auth != ClientAuth::Off
    }

    fn client_auth_mandatory(&self) -> bool {
        self.client_auth == ClientAuth::Require
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verdict = slot::look(|slot| {
            let verdict = self.judge.judge(end_entity, intermediates, slot.now);
            let error = match &verdict {
                Ok(_) => None,
                // Who it is stays refused; `accept` reads the verdict, and makes no client of it.
                Err(NoClient::Refused { .. }) if self.tells_refused => None,
                Err(NoClient::Unreadable(_)) => Some(rustls::CertificateError::BadEncoding),
                Err(NoClient::Refused { refusal, .. }) => {
                    Some(refusal::certificate_error(refusal.first().code))
                }
            };
            slot.verdict = Some(verdict);
            error
        });
        match verdict {
            Some(None) => Ok(ClientCertVerified::assertion()),
            Some(Some(error)) => Err(error.into()),
            None => Err(Error::General("a certificate outside of a connection".to_owned())),
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
