//! The answer, written (RFC 6960 section 4.2.1): prepared, then signed once.

use jiff::Timestamp;

use super::request::write_nonce;
use super::{CertStatus, HashAlgorithm, ResponseStatus, SingleResponse};
use crate::certificate::Certificate;
use crate::crl::RevocationReason;
use crate::der::{Writer, tag};
use crate::key::{PublicKey, PublicKeyError, SignError, SigningKey};
use crate::oid;

/// An answer whose to-be-signed bytes are made. Signing consumes it.
#[derive(Debug)]
pub struct Prepared {
    tbs: Vec<u8>,
    signer: PublicKey,
    certificates: Vec<Vec<u8>>,
}

/// Prepares an answer that this responder will sign: the issuer itself, or a certificate that the issuer made for it
/// with the usage OCSPSigning, which then must be among `certificates`. The nonce is the question's.
///
/// # Errors
/// [`PublicKeyError`] where the responder's key is of no use here.
///
/// ```
/// use pki::ocsp::{CertId, CertStatus, HashAlgorithm, Response, SingleResponse, prepare};
/// # let ca = testkit::TestCa::new();
/// # let (issuer, alice) = (ca.issuing(), ca.issue_client("alice").certificate);
/// let answer = SingleResponse {
///     certificate: CertId::new(&issuer.certificate, alice.serial(), HashAlgorithm::Sha1)?,
///     status: CertStatus::Good,
///     this_update: testkit::now(),
///     next_update: Some(testkit::days_from_now(1)),
/// };
/// let der = prepare(&issuer.certificate, testkit::now(), &[answer], None, &[])?.sign(&issuer.key)?;
/// assert_eq!(Response::from_der(&der)?.responses().len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn prepare(
    responder: &Certificate,
    produced_at: Timestamp,
    responses: &[SingleResponse],
    nonce: Option<&[u8]>,
    certificates: &[Certificate],
) -> Result<Prepared, PublicKeyError> {
    let signer = responder.public_key()?.clone();
    let mut writer = Writer::new();
    writer.nested(tag::SEQUENCE, |w| {
        // byKey: RFC 6960 section 4.2.1 hashes with SHA-1, which names and protects nothing.
        w.nested(tag::context_constructed(2), |w| {
            w.primitive(tag::OCTET_STRING, &HashAlgorithm::Sha1.of(signer.key_octets()));
        });
        w.generalized_time(produced_at);
        w.nested(tag::SEQUENCE, |w| responses.iter().for_each(|response| write_single(w, response)));
        if let Some(nonce) = nonce {
            w.nested(tag::context_constructed(1), |w| {
                w.nested(tag::SEQUENCE, |w| write_nonce(w, nonce));
            });
        }
    });
    let certificates = certificates.iter().map(|certificate| certificate.der().to_vec()).collect();
    Ok(Prepared { tbs: writer.into_bytes(), signer, certificates })
}

impl Prepared {
    /// Signs, and gives the whole answer in DER.
    ///
    /// # Errors
    /// [`SignError`] where the key refuses, or is not the responder's.
    pub fn sign(self, key: &dyn SigningKey) -> Result<Vec<u8>, SignError> {
        if *key.public_key() != self.signer {
            return Err(SignError::Refused("the key is not that of the responder's certificate".to_owned()));
        }
        let signature = key.sign(&self.tbs)?;
        let mut basic = Writer::new();
        basic.nested(tag::SEQUENCE, |w| {
            w.raw(&self.tbs);
            w.raw(&key.signature_algorithm().algorithm_identifier());
            w.octet_bit_string(&signature);
            if !self.certificates.is_empty() {
                w.nested(tag::context_constructed(0), |w| {
                    w.nested(tag::SEQUENCE, |w| self.certificates.iter().for_each(|der| w.raw(der)));
                });
            }
        });
        let basic = basic.into_bytes();
        let mut writer = Writer::new();
        writer.nested(tag::SEQUENCE, |w| {
            w.primitive(tag::ENUMERATED, &[ResponseStatus::Successful.code()]);
            w.nested(tag::context_constructed(0), |w| {
                w.nested(tag::SEQUENCE, |w| {
                    w.object_identifier(&oid::OCSP_BASIC);
                    w.primitive(tag::OCTET_STRING, &basic);
                });
            });
        });
        Ok(writer.into_bytes())
    }
}

/// An answer that says only why there is none. It is not signed (RFC 6960 section 2.3).
///
/// ```
/// use pki::ocsp::{ResponseStatus, refusal};
/// assert_eq!(refusal(ResponseStatus::TryLater), [0x30, 3, 0x0a, 1, 3]);
/// ```
#[must_use]
pub fn refusal(status: ResponseStatus) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.nested(tag::SEQUENCE, |w| w.primitive(tag::ENUMERATED, &[status.code()]));
    writer.into_bytes()
}

fn write_single(writer: &mut Writer, response: &SingleResponse) {
    writer.nested(tag::SEQUENCE, |w| {
        response.certificate.write(w);
        match response.status {
            CertStatus::Good => w.primitive(tag::context(0), &[]),
            CertStatus::Revoked(revocation) => w.nested(tag::context_constructed(1), |w| {
                w.generalized_time(revocation.revoked_at);
                if revocation.reason != RevocationReason::Unspecified {
                    w.nested(tag::context_constructed(0), |w| {
                        w.primitive(tag::ENUMERATED, &[revocation.reason.code()]);
                    });
                }
            }),
            CertStatus::Unknown => w.primitive(tag::context(2), &[]),
        }
        w.generalized_time(response.this_update);
        if let Some(next) = response.next_update {
            w.nested(tag::context_constructed(0), |w| w.generalized_time(next));
        }
    });
}
