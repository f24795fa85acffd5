//! Keys for tests: fresh for elliptic curves, taken in turn from a few for RSA, whose generation is slow.

use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use pki::key::{KeyAlgorithm, PublicKey, SignError, SigningKey};

/// How many RSA keys a process makes: enough for a root, an issuing CA and two leaves that all differ.
const RSA_KEYS: usize = 4;

/// A kind of key that tests make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum KeyKind {
    /// ECDSA P-256.
    #[default]
    P256,
    /// ECDSA P-384.
    P384,
    /// Ed25519.
    Ed25519,
    /// RSA of 2048 bits.
    Rsa2048,
}

impl KeyKind {
    /// Every kind.
    pub const ALL: [KeyKind; 4] = [KeyKind::P256, KeyKind::P384, KeyKind::Ed25519, KeyKind::Rsa2048];

    /// The same in the words of `pki`.
    #[must_use]
    pub fn algorithm(self) -> KeyAlgorithm {
        match self {
            KeyKind::P256 => KeyAlgorithm::P256,
            KeyKind::P384 => KeyAlgorithm::P384,
            KeyKind::Ed25519 => KeyAlgorithm::Ed25519,
            KeyKind::Rsa2048 => KeyAlgorithm::Rsa(2048),
        }
    }
}

/// A private key that signs. Cloning it is cheap.
#[derive(Clone)]
pub struct TestKey(Arc<Inner>);

struct Inner {
    public: PublicKey,
    pkcs8: Vec<u8>,
    pair: Pair,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl TestKey {
    /// A key of this kind: fresh, except that RSA keys come round again after the fourth.
    #[must_use]
    pub fn generate(kind: KeyKind) -> Self {
        static RSA: [OnceLock<TestKey>; RSA_KEYS] = [const { OnceLock::new() }; RSA_KEYS];
        // A counter for each thread, and so for each test: others cannot make root and issuing CA share a key.
        thread_local! {
            static NEXT: Cell<usize> = const { Cell::new(0) };
        }
        match kind {
            KeyKind::P256 => Self::ecdsa(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap()),
            KeyKind::P384 => Self::ecdsa(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap()),
            KeyKind::Ed25519 => {
                let pair = Ed25519KeyPair::generate().unwrap();
                let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
                let spki = spki.as_ref().to_vec();
                // Version 1 holds the seed alone, which every reader takes.
                let pkcs8 = pair.to_pkcs8v1().unwrap().as_ref().to_vec();
                Self::new(Pair::Ed25519(pair), pkcs8, &spki)
            }
            KeyKind::Rsa2048 => {
                let index = NEXT.replace((NEXT.get() + 1) % RSA_KEYS);
                RSA[index].get_or_init(|| Self::rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())).clone()
            }
        }
    }

    /// A fresh P-256 key.
    #[must_use]
    pub fn p256() -> Self {
        Self::generate(KeyKind::P256)
    }

    fn ecdsa(pair: EcdsaKeyPair) -> Self {
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let pkcs8 = pair.to_pkcs8v1().unwrap().as_ref().to_vec();
        let spki = spki.as_ref().to_vec();
        Self::new(Pair::Ecdsa(pair), pkcs8, &spki)
    }

    fn rsa(pair: RsaKeyPair) -> Self {
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let spki = spki.as_ref().to_vec();
        let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap().as_ref().to_vec();
        Self::new(Pair::Rsa(pair), pkcs8, &spki)
    }

    fn new(pair: Pair, pkcs8: Vec<u8>, spki: &[u8]) -> Self {
        let public = PublicKey::from_spki_der(spki).unwrap();
        TestKey(Arc::new(Inner { public, pkcs8, pair }))
    }

    /// The private key as PKCS#8 version 1 in DER, as rustls and openssl read it.
    #[must_use]
    pub fn pkcs8_der(&self) -> &[u8] {
        &self.0.pkcs8
    }

    /// The private key as a `PRIVATE KEY` block of PEM.
    #[must_use]
    pub fn pkcs8_pem(&self) -> String {
        pki::pem::encode("PRIVATE KEY", self.pkcs8_der())
    }

    /// The kind of key.
    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.0.public.algorithm()
    }
}

impl SigningKey for TestKey {
    fn public_key(&self) -> &PublicKey {
        &self.0.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let refused = |_| SignError::Refused("the provider failed".to_owned());
        match &self.0.pair {
            Pair::Ecdsa(pair) => {
                pair.sign(&SystemRandom::new(), message).map(|s| s.as_ref().to_vec()).map_err(refused)
            }
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
                    .map_err(refused)?;
                Ok(signature)
            }
        }
    }
}

impl fmt::Debug for TestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TestKey({:?})", self.0.public)
    }
}
