//! The authority when it is open: its memory, its issuer, its signing key.

use std::sync::{Arc, PoisonError, RwLock};

use pki::Certificate;
use pki::certificate::CertificateError;
use pki::issuer::{Issuer, PrepareError};
use pki::key::SigningKey;
use pki::verify::TrustBundle;

use crate::Entropy;
use crate::issue::Step;
use crate::line::{KeyName, Keyring, Line, Lines, LinesRecord};
use crate::publication::Publication;
use crate::store::{AuthorityRecord, Store, StoreError};

/// An authority that can sign.
pub struct Authority<S> {
    pub(crate) store: S,
    pub(crate) name: String,
    lines: RwLock<Arc<Lines>>,
    keyring: Option<Arc<dyn Keyring>>,
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
    /// The record of its lines cannot be read.
    #[error("the record of the authority's lines cannot be read; restore the database from a backup")]
    Lines,
    /// The key of the line that issues is not here.
    #[error(
        "the authority issues by '{issuer}' now, and its key is not here; copy keys/{key}.pem from where it was made"
    )]
    NoKey {
        /// The issuing CA.
        issuer: String,
        /// The key.
        key: KeyName,
    },
    /// Whom to believe now could not be written down.
    #[error("the authority's anchors have changed, and could not be written: {0}")]
    Believe(String),
    /// The key is another one.
    #[error("the signing key does not belong to the issuing CA '{0}'; restore the right key file")]
    WrongKey(String),
}

impl<S: Store> Authority<S> {
    /// Opens the authority that `store` remembers, with the key of the issuing CA that issues now
    /// ([`crate::line::issuing_line`]).
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
        let key: Arc<dyn SigningKey> = key.into();
        let has = |certificate: &Certificate| certificate.public_key().ok() == Some(key.public_key());
        let lines = LinesRecord::read(&store, record)?
            .assemble(|_, certificate| has(certificate).then(|| Arc::clone(&key)))?;
        let issuing = lines.issuing();
        if issuing.key().is_none() {
            return Err(OpenError::WrongKey(issuing.issuer().certificate().subject().short()));
        }
        Ok(Authority {
            store,
            name: record.name.clone(),
            lines: RwLock::new(Arc::new(lines)),
            keyring: None,
            entropy,
            publication: Publication::default(),
            observer: None,
        })
    }

    /// Takes further keys from here: those of the other lines, and those of the lines to come.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn with_keyring(mut self, keyring: Arc<dyn Keyring>) -> Result<Self, OpenError> {
        self.keyring = Some(keyring);
        let lines = self.lines();
        self.put_in_place(lines.record.clone())?;
        if let Some(keyring) = self.keyring.as_ref().filter(|_| lines.version() > 0) {
            // Another process may have taken a step meanwhile. Where it cannot be written down, nothing here needs it.
            let _ = keyring.believe(self.anchors().anchors());
        }
        Ok(self)
    }

    /// Reads which lines there are, where that has changed, or a key was missing. Another process may have taken a step
    /// of a rollover. Says whether anything is otherwise than before.
    ///
    /// # Errors
    /// [`OpenError`]; then what was known stays in force.
    pub fn refresh(&self) -> Result<bool, OpenError> {
        let known = self.lines();
        let authority = self.store.authority()?.ok_or(OpenError::None)?;
        let record = LinesRecord::read(&self.store, &authority)?;
        let is_new = record.version != known.record.version;
        let may_find_a_key = known.misses_a_key() && self.keyring.is_some();
        if !is_new && !may_find_a_key {
            return Ok(false);
        }
        self.put_in_place(record)?;
        if is_new && let Some(keyring) = &self.keyring {
            keyring.believe(self.anchors().anchors()).map_err(OpenError::Believe)?;
        }
        Ok(true)
    }

    fn put_in_place(&self, record: LinesRecord) -> Result<(), OpenError> {
        let known = self.lines();
        let lines = record.assemble(|line, certificate| {
            // One that is here and cannot be opened now is asked for again with the next look.
            let open = || {
                let key = self.keyring.as_ref()?.open(KeyName::Issuing(line.number)).ok().flatten()?;
                (certificate.public_key().ok() == Some(key.public_key())).then(|| key.into())
            };
            known.key_of(line.number).or_else(open)
        })?;
        let issuing = lines.issuing();
        if issuing.key().is_none() {
            let issuer = issuing.issuer().certificate().subject().short();
            return Err(OpenError::NoKey { issuer, key: KeyName::Issuing(issuing.number()) });
        }
        *self.lines.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(lines);
        Ok(())
    }

    pub(crate) fn keyring(&self) -> Option<&Arc<dyn Keyring>> {
        self.keyring.as_ref()
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

    /// Its lines as they are now.
    #[must_use]
    pub fn lines(&self) -> Arc<Lines> {
        Arc::clone(&self.lines.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The line that issues now.
    #[must_use]
    pub fn line(&self) -> Arc<Line> {
        Arc::clone(self.lines().issuing())
    }

    /// The issuing CA that issues now, and the anchor above it.
    #[must_use]
    pub fn issuer(&self) -> Issuer {
        self.line().issuer().clone()
    }

    /// What those believe who believe it.
    #[must_use]
    pub fn anchors(&self) -> TrustBundle {
        self.lines().anchors().clone()
    }

    /// Its memory.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.store
    }
}
