//! What a ClientHello offers, in the words of curl's and OpenSSL's options.

use rustls::SignatureScheme;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};

use explain::doctor::Variation;

use crate::tls::{TlsVersion, TlsVersions, provider};

/// What a client offers; the default is everything this program speaks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// The versions.
    pub versions: TlsVersions,
    suites: Option<Vec<rustls::CipherSuite>>,
    groups: Option<Vec<rustls::NamedGroup>>,
    schemes: Option<Vec<SignatureScheme>>,
}

/// Nothing in a list is spoken here, so it cannot be tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("none of '{list}' is spoken here, so {option} cannot be tried; known are {known}")]
pub struct OfferError {
    option: &'static str,
    list: String,
    known: String,
}

/// OpenSSL's names of the suites that rustls has, and those of the registry.
#[rustfmt::skip]
const SUITES: &[(&str, &str, rustls::CipherSuite)] = &[
    ("TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384", rustls::CipherSuite::TLS13_AES_256_GCM_SHA384),
    ("TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256", rustls::CipherSuite::TLS13_AES_128_GCM_SHA256),
    ("TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256", rustls::CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-RSA-AES256-GCM-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", rustls::CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", rustls::CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-RSA-CHACHA20-POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", rustls::CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

const GROUPS: &[(&[&str], rustls::NamedGroup)] = &[
    (&["x25519mlkem768"], rustls::NamedGroup::X25519MLKEM768),
    (&["x25519"], rustls::NamedGroup::X25519),
    (&["p-256", "prime256v1", "secp256r1"], rustls::NamedGroup::secp256r1),
    (&["p-384", "secp384r1"], rustls::NamedGroup::secp384r1),
];

const SCHEMES: &[(&[&str], SignatureScheme)] = &[
    (&["ecdsa_secp256r1_sha256", "ecdsa+sha256"], SignatureScheme::ECDSA_NISTP256_SHA256),
    (&["ecdsa_secp384r1_sha384", "ecdsa+sha384"], SignatureScheme::ECDSA_NISTP384_SHA384),
    (&["ecdsa_secp521r1_sha512", "ecdsa+sha512"], SignatureScheme::ECDSA_NISTP521_SHA512),
    (&["ed25519"], SignatureScheme::ED25519),
    (&["rsa_pss_rsae_sha256", "rsa-pss+sha256", "pss+sha256"], SignatureScheme::RSA_PSS_SHA256),
    (&["rsa_pss_rsae_sha384", "rsa-pss+sha384", "pss+sha384"], SignatureScheme::RSA_PSS_SHA384),
    (&["rsa_pss_rsae_sha512", "rsa-pss+sha512", "pss+sha512"], SignatureScheme::RSA_PSS_SHA512),
    (&["rsa_pkcs1_sha256", "rsa+sha256"], SignatureScheme::RSA_PKCS1_SHA256),
    (&["rsa_pkcs1_sha384", "rsa+sha384"], SignatureScheme::RSA_PKCS1_SHA384),
    (&["rsa_pkcs1_sha512", "rsa+sha512"], SignatureScheme::RSA_PKCS1_SHA512),
];

impl Offer {
    /// Everything that is spoken here of these versions.
    #[must_use]
    pub fn of(versions: TlsVersions) -> Self {
        Offer { versions, ..Offer::default() }
    }

    /// Whether it offers less than everything.
    #[must_use]
    pub fn is_restricted(&self) -> bool {
        *self != Offer::default()
    }

    /// Offers these TLS 1.2 suites alone, in OpenSSL's or the registry's names (curl: `--ciphers`). What they leave
    /// open, TLS 1.3's suites, stays.
    ///
    /// # Errors
    /// [`OfferError`] where none is spoken here.
    ///
    /// ```
    /// use net::doctor::Offer;
    /// assert!(Offer::default().ciphers("ECDHE-RSA-AES128-GCM-SHA256").is_ok_and(|offer| offer.is_restricted()));
    /// assert!(Offer::default().ciphers("RC4-SHA").is_err());
    /// ```
    pub fn ciphers(mut self, list: &str) -> Result<Self, OfferError> {
        let mut suites: Vec<_> = parts(list)
            .filter_map(|word| {
                let known = SUITES.iter().find(|(openssl, registry, _)| {
                    word.eq_ignore_ascii_case(openssl) || word.eq_ignore_ascii_case(registry)
                });
                known.map(|(_, _, suite)| *suite)
            })
            .collect();
        if suites.is_empty() {
            let known = SUITES.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(", ");
            return Err(OfferError { option: "--ciphers", list: list.to_owned(), known });
        }
        if suites.iter().all(|suite| !is_tls13(*suite)) {
            suites.extend(SUITES.iter().map(|(.., suite)| *suite).filter(|suite| is_tls13(*suite)));
        }
        self.suites = Some(suites);
        Ok(self)
    }

    /// Offers these groups alone (curl: `--curves`).
    ///
    /// # Errors
    /// [`OfferError`] where none is spoken here.
    pub fn curves(mut self, list: &str) -> Result<Self, OfferError> {
        self.groups = Some(by_name("--curves", list, GROUPS)?);
        Ok(self)
    }

    /// Offers these signature algorithms alone (curl: `--sigalgs`, openssl: `-sigalgs`).
    ///
    /// # Errors
    /// [`OfferError`] where none is spoken here.
    pub fn sigalgs(mut self, list: &str) -> Result<Self, OfferError> {
        self.schemes = Some(by_name("--sigalgs", list, SCHEMES)?);
        Ok(self)
    }

    /// The same with one thing changed.
    pub(super) fn varied(&self, variation: Variation) -> Offer {
        match variation {
            Variation::Defaults | Variation::WithTls => Offer::default(),
            Variation::OnlyTls12 => Offer { versions: TlsVersions::Only(TlsVersion::Tls12), ..self.clone() },
            Variation::OnlyTls13 => Offer { versions: TlsVersions::Only(TlsVersion::Tls13), ..self.clone() },
            Variation::SmallHello => Offer {
                groups: Some(vec![rustls::NamedGroup::X25519, rustls::NamedGroup::secp256r1]),
                ..self.clone()
            },
            Variation::OtherGroup => Offer {
                groups: Some(vec![rustls::NamedGroup::secp256r1, rustls::NamedGroup::secp384r1]),
                ..self.clone()
            },
            _ => self.clone(),
        }
    }

    pub(super) fn schemes(&self) -> Option<&[SignatureScheme]> {
        self.schemes.as_deref()
    }

    /// The cryptography with what is offered alone.
    pub(super) fn provider(&self) -> CryptoProvider {
        let mut provider = CryptoProvider::clone(provider());
        if let Some(suites) = &self.suites {
            provider.cipher_suites = aws_lc_rs::ALL_CIPHER_SUITES
                .iter()
                .copied()
                .filter(|suite| suites.contains(&suite.suite()))
                .collect();
        }
        if let Some(groups) = &self.groups {
            let all = [kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];
            provider.kx_groups = groups
                .iter()
                .filter_map(|group| all.iter().copied().find(|known| known.name() == *group))
                .collect();
        }
        provider
    }
}

fn is_tls13(suite: rustls::CipherSuite) -> bool {
    [
        cipher_suite::TLS13_AES_128_GCM_SHA256,
        cipher_suite::TLS13_AES_256_GCM_SHA384,
        cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ]
    .iter()
    .any(|known| known.suite() == suite)
}

fn parts(list: &str) -> impl Iterator<Item = &str> {
    list.split([':', ',', ' ']).map(str::trim).filter(|word| !word.is_empty())
}

fn by_name<T: Copy>(option: &'static str, list: &str, table: &[(&[&str], T)]) -> Result<Vec<T>, OfferError> {
    let found: Vec<T> = parts(list)
        .filter_map(|word| {
            let lower = word.to_ascii_lowercase();
            table.iter().find(|(names, _)| names.contains(&lower.as_str())).map(|(_, value)| *value)
        })
        .collect();
    if found.is_empty() {
        let known = table.iter().map(|(names, _)| names[0]).collect::<Vec<_>>().join(", ");
        return Err(OfferError { option, list: list.to_owned(), known });
    }
    Ok(found)
}
