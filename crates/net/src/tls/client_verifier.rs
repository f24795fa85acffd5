//! A server's view of a client's certificate: the snapshot's judge gives the verdict, rustls the signature over the
//! handshake. One verifier serves all connections of a snapshot; the verdict goes into the connection's slot, since
//! rustls itself keeps only an alert.
//!
//! Where the snapshot tells refused clients why with a page, the handshake of one whose path is not valid goes on: what
//! makes a client is the `Ok` in the slot, never the end of the handshake. It proves that it has the key all the same.
//!
//! Where responders are asked about certificates, that is done when the client has proven that the key is its own, so that
//! nobody has us ask about certificates that are not theirs: the refusal is then an alert like any other. rustls wants its
//! answer at once, so the handshake's step is made on a thread that may wait (`tls::socket`).

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use tokio::runtime::Handle;

use super::{signatures, slot};
use crate::refusal;
use crate::revocation::Online;
use crate::snapshot::{ClientAuth, Judge, NoClient};

/// The verifier of one snapshot.
#[derive(Debug)]
pub(crate) struct ClientVerifier {
    pub(crate) judge: Arc<Judge>,
    /// Whom to ask about single certificates.
    pub(crate) online: Option<Arc<Online>>,
    pub(crate) client_auth: ClientAuth,
    pub(crate) tells_refused: bool,
    /// The subjects of the anchors: what CertificateRequest names as acceptable.
    pub(crate) hints: Vec<DistinguishedName>,
}

impl ClientVerifier {
    /// Has the responder asked about the client that has just proven its key, and refuses whom no answer speaks for.
    fn vouched(&self, proven: HandshakeSignatureValid) -> Result<HandshakeSignatureValid, Error> {
        let Some(online) = &self.online else { return Ok(proven) };
        let waiting = slot::look(|slot| match &slot.verdict {
            Some(Ok(client)) if slot.may_wait => Some((Arc::clone(client), slot.now)),
            _ => None,
        });
        // Where nobody may wait, the connection asks after the handshake.
        let (Some(Some((client, now))), Ok(runtime)) = (waiting, Handle::try_current()) else {
            return Ok(proven);
        };
        runtime.block_on(online.ask(&self.judge, &client, now));
        let Err(unvouched) = online.verdict(&client, now) else { return Ok(proven) };
        let certificate = Box::new(client.presented().leaf.clone());
        let no_client = NoClient::Unvouched { certificate, unvouched };
        let error = refusal::client_error(&no_client);
        slot::look(|slot| slot.verdict = Some(Err(no_client)));
        // As above: who is told why by a page comes to the end of the handshake, and is nobody.
        if self.tells_refused { Ok(proven) } else { Err(error.into()) }
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
                Err(no_client) => Some(refusal::client_error(no_client)),
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
        signatures::verify_tls12(message, certificate, signature).and_then(|proven| self.vouched(proven))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signatures::verify_tls13(message, certificate, signature).and_then(|proven| self.vouched(proven))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        signatures::schemes()
    }
}
