//! Revocation lists that nobody here makes: parts of an issuer's certificates, deltas, indirect ones, and broken ones.

use jiff::Timestamp;
use pki::der::{Writer, tag};
use pki::key::SigningKey;
use pki::oid::{self, Oid};

use crate::{RawExtension, TestIdentity, days_from_now};

/// A list in the making: of version 2, from yesterday until in a week, with number and authority key, of nobody.
///
/// ```
/// use testkit::{RawCertificate, RawList};
/// let ca = RawCertificate::ca("CA").self_signed();
/// let list = RawList::new().revoke(&[7]).signed_by(&ca);
/// assert_eq!(pki::crl::CertificateRevocationList::from_der(&list)?.len(), 1);
/// # Ok::<(), pki::crl::CrlError>(())
/// ```
#[derive(Debug, Clone)]
pub struct RawList {
    version: Option<u8>,
    this_update: Timestamp,
    next_update: Option<Timestamp>,
    serials: Vec<Vec<u8>>,
    extensions: Vec<RawExtension>,
}

impl Default for RawList {
    fn default() -> Self {
        Self::new()
    }
}

impl RawList {
    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        let number = RawExtension { oid: oid::CRL_NUMBER, critical: false, value: vec![tag::INTEGER, 1, 1] };
        RawList {
            version: Some(1),
            this_update: days_from_now(-1),
            next_update: Some(days_from_now(7)),
            serials: Vec::new(),
            extensions: vec![number],
        }
    }

    /// One more serial number, by its content octets.
    #[must_use]
    pub fn revoke(mut self, serial: &[u8]) -> Self {
        self.serials.push(serial.to_vec());
        self
    }

    /// Its time; without an end where `next_update` is `None`.
    #[must_use]
    pub fn valid(mut self, this_update: Timestamp, next_update: Option<Timestamp>) -> Self {
        (self.this_update, self.next_update) = (this_update, next_update);
        self
    }

    /// Its version field; `None` leaves it out.
    #[must_use]
    pub fn version(mut self, version: Option<u8>) -> Self {
        self.version = version;
        self
    }

    /// This extension instead of the one that is there.
    #[must_use]
    pub fn replace(mut self, oid: Oid, critical: bool, value: Vec<u8>) -> Self {
        self.extensions.retain(|extension| extension.oid != oid);
        self.extensions.push(RawExtension { oid, critical, value });
        self
    }

    /// Without this extension.
    #[must_use]
    pub fn without(mut self, oid: Oid) -> Self {
        self.extensions.retain(|extension| extension.oid != oid);
        self
    }

    /// The DER, in the name of this identity and signed with its key.
    ///
    /// # Panics
    /// Where the key refuses.
    #[must_use]
    pub fn signed_by(&self, issuer: &TestIdentity) -> Vec<u8> {
        let algorithm = issuer.key.signature_algorithm().algorithm_identifier();
        let mut tbs = Writer::new();
        tbs.nested(tag::SEQUENCE, |w| {
            if let Some(version) = self.version {
                w.integer(&[version]);
            }
            w.raw(&algorithm);
            w.raw(issuer.certificate.subject().der());
            w.time(self.this_update);
            if let Some(next) = self.next_update {
                w.time(next);
            }
            if !self.serials.is_empty() {
                w.nested(tag::SEQUENCE, |w| {
                    for serial in &self.serials {
                        w.nested(tag::SEQUENCE, |w| {
                            w.primitive(tag::INTEGER, serial);
                            w.time(days_from_now(-1));
                        });
                    }
                });
            }
            if !self.extensions.is_empty() {
                w.nested(tag::context_constructed(0), |w| {
                    w.nested(tag::SEQUENCE, |w| {
                        self.extensions.iter().for_each(|e| crate::raw::write_extension(w, e));
                    });
                });
            }
        });
        let tbs = tbs.into_bytes();
        let signature = issuer.key.sign(&tbs).unwrap();
        let mut list = Writer::new();
        list.nested(tag::SEQUENCE, |w| {
            w.raw(&tbs);
            w.raw(&algorithm);
            w.octet_bit_string(&signature);
        });
        list.into_bytes()
    }
}
