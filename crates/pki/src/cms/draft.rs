//! Signed data as it is written: a detached signature over a document, by one signer, in DER (RFC 5652 with the signed
//! attributes of RFC 5035); and a timestamp put beside it.

use jiff::Timestamp as Moment;

use super::hash::HashAlgorithm;
use crate::certificate::Certificate;
use crate::der::{DerError, Reader, Writer, tag};
use crate::key::{PublicKeyError, SignError, SignatureAlgorithm, SignatureInvalid, SigningKey};
use crate::oid::{self, Oid};

/// Why no signature was made.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// The key does not belong to the certificate.
    #[error("the key does not belong to the certificate of '{0}'")]
    KeyMismatch(String),
    /// The certificate's key is of an unknown kind.
    #[error(transparent)]
    Key(#[from] PublicKeyError),
    /// The key did not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// What the key made does not verify.
    #[error("the key made a signature that does not verify: {0}")]
    Verify(#[from] SignatureInvalid),
    /// A signature that is to be stamped cannot be read.
    #[error("the signature cannot be stamped: {0}")]
    Structure(#[from] DerError),
    /// A signature that is to be stamped has other than one signer.
    #[error("the signature has {0} signers, and one can be stamped")]
    Signers(usize),
}

/// A signature that is to be made.
#[derive(Debug, Clone)]
pub struct Draft<'a> {
    /// The signer's certificate.
    pub certificate: &'a Certificate,
    /// The issuers that go along with it; the anchor may be left out.
    pub chain: &'a [Certificate],
    /// What is signed with: one that the key has.
    pub algorithm: SignatureAlgorithm,
    /// The hash of the content by [`HashAlgorithm::for_signature`] of `algorithm`.
    pub digest: &'a [u8],
    /// The moment that the signer claims.
    pub signing_time: Moment,
}

impl Draft<'_> {
    /// Makes the detached signature, and verifies it.
    ///
    /// # Errors
    /// [`DraftError`].
    pub fn sign(&self, key: &dyn SigningKey) -> Result<Vec<u8>, DraftError> {
        let certified = self.certificate.public_key()?;
        if certified != key.public_key() {
            return Err(DraftError::KeyMismatch(self.certificate.short_name()));
        }
        let hash = HashAlgorithm::for_signature(self.algorithm);
        let attributes = self.attributes();
        let mut to_be_signed = Writer::new();
        to_be_signed.nested(tag::SET, |w| attributes.iter().for_each(|attribute| w.raw(attribute)));
        let to_be_signed = to_be_signed.into_bytes();
        let signature = key.sign_with(self.algorithm, &to_be_signed)?;
        certified.verify(self.algorithm, &to_be_signed, &signature)?;
        let mut certificates: Vec<&[u8]> =
            std::iter::once(self.certificate).chain(self.chain).map(Certificate::der).collect();
        // A SET OF in DER is sorted (X.690 section 11.6).
        certificates.sort_unstable();
        certificates.dedup();
        let mut writer = Writer::new();
        writer.nested(tag::SEQUENCE, |w| {
            w.object_identifier(&oid::SIGNED_DATA);
            w.nested(tag::context_constructed(0), |w| {
                w.nested(tag::SEQUENCE, |w| {
                    // Version 1: plain data, X.509 certificates, signers by issuer and serial (section 5.1).
                    w.integer(&[1]);
                    w.nested(tag::SET, |w| hash.write(w));
                    w.nested(tag::SEQUENCE, |w| w.object_identifier(&oid::DATA));
                    w.nested(tag::context_constructed(0), |w| certificates.iter().for_each(|der| w.raw(der)));
                    w.nested(tag::SET, |w| {
                        w.nested(tag::SEQUENCE, |w| {
                            w.integer(&[1]);
                            w.nested(tag::SEQUENCE, |w| issuer_and_serial(w, self.certificate));
                            hash.write(w);
                            w.nested(tag::context_constructed(0), |w| {
                                attributes.iter().for_each(|attribute| w.raw(attribute));
                            });
                            self.write_algorithm(w);
                            w.primitive(tag::OCTET_STRING, &signature);
                        })
                    });
                });
            });
        });
        Ok(writer.into_bytes())
    }

    /// The signed attributes, each in DER, in the order of a SET OF.
    fn attributes(&self) -> Vec<Vec<u8>> {
        let mut attributes = vec![
            attribute(&oid::CONTENT_TYPE, |w| w.object_identifier(&oid::DATA)),
            attribute(&oid::SIGNING_TIME, |w| w.time(self.signing_time)),
            attribute(&oid::MESSAGE_DIGEST, |w| w.primitive(tag::OCTET_STRING, self.digest)),
            attribute(&oid::SIGNING_CERTIFICATE_V2, |w| {
                w.nested(tag::SEQUENCE, |w| {
                    w.nested(tag::SEQUENCE, |w| {
                        w.nested(tag::SEQUENCE, |w| {
                            // The hash is SHA-256, which DER leaves out as the default (RFC 5035 section 4).
                            w.primitive(tag::OCTET_STRING, &self.certificate.sha256());
                            w.nested(tag::SEQUENCE, |w| {
                                w.nested(tag::SEQUENCE, |w| {
                                    w.nested(tag::context_constructed(4), |w| {
                                        w.raw(self.certificate.issuer().der())
                                    });
                                });
                                w.primitive(tag::INTEGER, self.certificate.serial());
                            });
                        })
                    })
                });
            }),
        ];
        attributes.sort_unstable();
        attributes
    }

    fn write_algorithm(&self, writer: &mut Writer) {
        use SignatureAlgorithm as Algorithm;
        match self.algorithm {
            // RFC 3370 section 3.2: the hash is named beside it, and older readers know this name alone.
            Algorithm::RsaPkcs1Sha256 | Algorithm::RsaPkcs1Sha384 | Algorithm::RsaPkcs1Sha512 => {
                writer.nested(tag::SEQUENCE, |w| {
                    w.object_identifier(&oid::RSA_ENCRYPTION);
                    w.null();
                });
            }
            other => writer.raw(&other.algorithm_identifier()),
        }
    }
}

fn attribute(name: &Oid, value: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.nested(tag::SEQUENCE, |w| {
        w.object_identifier(name);
        w.nested(tag::SET, value);
    });
    writer.into_bytes()
}

fn issuer_and_serial(writer: &mut Writer, certificate: &Certificate) {
    writer.raw(certificate.issuer().der());
    writer.primitive(tag::INTEGER, certificate.serial());
}

/// A detached signature in DER, by one signer, with a timestamp token put among its unsigned attributes (RFC 3161 appendix
/// A). One that is there already is replaced.
///
/// # Errors
/// [`DraftError::Structure`] where the signature is not in DER, [`DraftError::Signers`].
pub fn with_timestamp(signature: &[u8], token: &[u8]) -> Result<Vec<u8>, DraftError> {
    let mut outer = Reader::new(signature);
    let mut info = outer.nested(tag::SEQUENCE)?;
    outer.finish()?;
    let signed_data = info.expect(tag::OBJECT_IDENTIFIER)?.whole;
    let mut signed = info.nested(tag::context_constructed(0))?.nested(tag::SEQUENCE)?;
    let mut before = Vec::new();
    let infos = loop {
        let element = signed.any()?;
        // The second SET is the last field; the first one stands before the content.
        if element.tag == tag::SET && signed.is_empty() {
            break element;
        }
        before.push(element.whole);
    };
    let mut signers = Vec::new();
    let mut reader = infos.reader();
    while !reader.is_empty() {
        signers.push(reader.expect(tag::SEQUENCE)?);
    }
    let [signer] = signers.as_slice() else { return Err(DraftError::Signers(signers.len())) };
    let mut fields = Vec::new();
    let mut reader = signer.reader();
    while !reader.is_empty() {
        let field = reader.any()?;
        if field.tag != tag::context_constructed(1) {
            fields.push(field.whole);
        }
    }
    let stamp = attribute(&oid::TIME_STAMP_TOKEN, |w| w.raw(token));
    let mut writer = Writer::new();
    writer.nested(tag::SEQUENCE, |w| {
        w.raw(signed_data);
        w.nested(tag::context_constructed(0), |w| {
            w.nested(tag::SEQUENCE, |w| {
                before.iter().for_each(|field| w.raw(field));
                w.nested(tag::SET, |w| {
                    w.nested(tag::SEQUENCE, |w| {
                        fields.iter().for_each(|field| w.raw(field));
                        w.nested(tag::context_constructed(1), |w| w.raw(&stamp));
                    })
                });
            })
        });
    });
    Ok(writer.into_bytes())
}
