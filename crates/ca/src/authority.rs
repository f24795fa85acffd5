//! The authority when it is open: its memory, its issuer, its signing key.

use pki::Certificate;
use pki::certificate::CertificateError;
use pki::issuer::{Issuer, PrepareError};
use pki::key::SigningKey;
use pki::verify::TrustBundle;

use crate::Entropy;
use crate::issue::Step;
use crate::publication::Publication;
use crate::store::{AuthorityRecord, Store, StoreError};

/// An authority that can sign.
pub struct Authority<S> {
    pub(crate) store: S,
    pub(crate) name: String,
    pub(crate) issuer: Issuer,
    pub(crate) anchors: TrustBundle,
    /// The issuing CA alone, whose own signature was verified when the authority was opened: what each new
    /// certificate's path is verified to.
    pub(crate) issuing: TrustBundle,
    pub(crate) key: Box<dyn SigningKey>,
    pub(crate) entropy: Entropy,
    pub(crate) publication: Publication,
    pub(crate) observer: Option<Box<dyn Fn(Step) + Send + Sync>>,
}

/// Why an authority cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The memory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is none in this memory.
    #[error(
        "the database holds no authority: making it was interrupted; remove it and run `countersign init`"
    )]
    None,
    /// A certificate of it cannot be read.
    #[error("a certificate of the authority cannot be read")]
    Certificate(#[from] CertificateError),
    /// Its issuing certificate may not sign.
    #[error(transparent)]
    Issuer(#[from] PrepareError),
    /// The issuing CA is not the root's.
    #[error("the issuing CA '{0}' is not signed by the root on record; restore the database from a backup")]
    NotSigned(String),
    /// The key is another one.
    #[error("the signing key does not belong to the issuing CA '{0}'; restore the right key file")]
    WrongKey(String),
}

impl<S: Store> Authority<S> {
    /// Opens the authority that `store` remembers, with the key of its issuing CA.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(store: S, key: Box<dyn SigningKey>, entropy: Entropy) -> Result<Self, OpenError> {
        let record = store.authority()?.ok_or(OpenError::None)?;
        Self::from_record(store, &record, key, entropy)
    }

    pub(crate) fn from_record(
        store: S,
        record: &AuthorityRecord,
        key: Box<dyn SigningKey>,
        entropy: Entropy,
    ) -> Result<Self, OpenError> {
        let issuer = record.issuer()?;
        let certificate = issuer.certificate();
        if certificate.public_key().ok() != Some(key.public_key()) {
            return Err(OpenError::WrongKey(certificate.subject().short()));
        }
        let root_key = issuer.anchor().public_key().map_err(PrepareError::from)?;
        certificate
            .verify_signature(root_key)
            .map_err(|_| OpenError::NotSigned(certificate.subject().short()))?;
        let issuing = TrustBundle::new(vec![certificate.clone()]);
        let anchors = TrustBundle::new(vec![issuer.anchor().clone()]);
        let name = record.name.clone();
        Ok(Authority {
            store,
            name,
            issuer,
            anchors,
            issuing,
            key,
            entropy,
            publication: Publication::default(),
            observer: None,
        })
    }

    /// Has every step of issuing told to `observer`, before the next one begins.
    #[must_use]
    pub fn observed_by(mut self, observer: impl Fn(Step) + Send + Sync + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Has every certificate say where its revocation is published.
    #[must_use]
    pub fn publishing(mut self, publication: Publication) -> Self {
        self.publication = publication;
        self
    }

    /// Where certificates say that their revocation is published.
    #[must_use]
    pub fn publication(&self) -> &Publication {
        &self.publication
    }

    /// The key of its issuing CA, for what else that CA signs.
    #[must_use]
    pub fn key(&self) -> &dyn SigningKey {
        &*self.key
    }

    /// Where its random octets come from.
    #[must_use]
    pub fn entropy(&self) -> &Entropy {
        &self.entropy
    }

    /// Fills the slice with random octets.
    ///
    /// # Errors
    /// Why there are none.
    pub fn random(&self, octets: &mut [u8]) -> Result<(), String> {
        (self.entropy)(octets)
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its issuing CA and the anchor above it.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// What those believe who believe it.
    #[must_use]
    pub fn anchors(&self) -> &TrustBundle {
        &self.anchors
    }

    /// Its memory.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.store
    }
}

impl AuthorityRecord {
    /// The issuing CA and the anchor above it.
    ///
    /// # Errors
    /// [`OpenError`] where a certificate cannot be read or is no CA's.
    pub fn issuer(&self) -> Result<Issuer, OpenError> {
        let root = Certificate::from_der(&self.root)?;
        let issuing = Certificate::from_der(&self.issuing)?;
        Ok(Issuer::new(issuing, vec![root])?)
    }
}
