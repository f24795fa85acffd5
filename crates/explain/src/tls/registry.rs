//! The numbers of TLS and their names: versions, cipher suites, groups, signature schemes, extensions (IANA
//! registries "TLS Parameters" and "TLS Extensions"). Of a suite also what decryption needs.

/// The name of a protocol version.
#[must_use]
pub fn version_name(version: u16) -> Option<&'static str> {
    Some(match version {
        0x0002 => "SSL 2.0",
        0x0300 => "SSL 3.0",
        0x0301 => "TLS 1.0",
        0x0302 => "TLS 1.1",
        0x0303 => "TLS 1.2",
        0x0304 => "TLS 1.3",
        _ => return None,
    })
}

/// GREASE: values that mean nothing, sent so that peers stay tolerant (RFC 8701 section 2).
#[must_use]
pub fn is_grease(value: u16) -> bool {
    value & 0x0f0f == 0x0a0a && value >> 8 == value & 0xff
}

/// How keys are agreed on under TLS 1.2; TLS 1.3 has it outside of the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyExchange {
    /// Ephemeral elliptic curves.
    Ecdhe,
    /// Ephemeral finite fields.
    Dhe,
    /// Encrypted to the server's RSA key.
    Rsa,
    /// Ephemeral elliptic curves, and nobody proves who they are.
    EcdhAnon,
    /// Ephemeral finite fields, and nobody proves who they are.
    DhAnon,
    /// A key that both have had before (RFC 4279).
    Psk,
    /// The same, with ephemeral elliptic curves (RFC 5489).
    EcdhePsk,
    /// The same, with ephemeral finite fields.
    DhePsk,
    /// The same, with a secret that is encrypted to the server's RSA key.
    RsaPsk,
    /// A password (RFC 5054).
    Srp,
    /// The same, and the server has a certificate.
    SrpSigned,
    /// By key_share and pre_shared_key (TLS 1.3).
    Tls13,
}

/// What ServerKeyExchange and ClientKeyExchange hold, beside identities and signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameters {
    /// A curve and points.
    Curve,
    /// A prime, a generator and numbers.
    FiniteField,
    /// A secret encrypted to an RSA key.
    Encrypted,
    /// Those of a password's exchange.
    Password,
    /// None.
    None,
}

impl KeyExchange {
    /// What its messages hold.
    #[must_use]
    pub fn parameters(self) -> Parameters {
        match self {
            KeyExchange::Ecdhe | KeyExchange::EcdhAnon | KeyExchange::EcdhePsk => Parameters::Curve,
            KeyExchange::Dhe | KeyExchange::DhAnon | KeyExchange::DhePsk => Parameters::FiniteField,
            KeyExchange::Rsa | KeyExchange::RsaPsk => Parameters::Encrypted,
            KeyExchange::Srp | KeyExchange::SrpSigned => Parameters::Password,
            KeyExchange::Psk | KeyExchange::Tls13 => Parameters::None,
        }
    }

    /// Whether its messages name a key that both have had before.
    #[must_use]
    pub fn has_identity(self) -> bool {
        matches!(self, KeyExchange::Psk | KeyExchange::EcdhePsk | KeyExchange::DhePsk | KeyExchange::RsaPsk)
    }

    /// Whether ServerKeyExchange is signed with the key of the server's certificate.
    #[must_use]
    pub fn is_signed(self) -> bool {
        matches!(self, KeyExchange::Ecdhe | KeyExchange::Dhe | KeyExchange::SrpSigned)
    }
}

/// What a suite encrypts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    /// AES in GCM, with the key's length in octets.
    AesGcm(usize),
    /// ChaCha20-Poly1305.
    ChaCha20Poly1305,
    /// AES in CCM: the key's length, and the tag's.
    AesCcm(usize, usize),
    /// AES in CBC with an HMAC: the key's length.
    AesCbc(usize),
    /// ARIA in GCM (RFC 6209): the key's length.
    AriaGcm(usize),
    /// Camellia in CBC with an HMAC (RFC 5932, RFC 6367): the key's length.
    CamelliaCbc(usize),
    /// No encryption, only an HMAC.
    Null,
    /// One that is not decrypted here.
    Other,
}

/// A hash function of a suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1, as the MAC of old CBC suites only.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
}

/// A cipher suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CipherSuite {
    /// The number.
    pub number: u16,
    /// The registry's name.
    pub name: &'static str,
    /// How keys are agreed on.
    pub key_exchange: KeyExchange,
    /// What records are encrypted with.
    pub cipher: Cipher,
    /// The hash of the key schedule (PRF or HKDF).
    pub hash: Hash,
    /// The hash of the record's HMAC, where there is one.
    pub mac: Hash,
}

macro_rules! suites {
    ($($number:literal $name:ident $key_exchange:ident $cipher:expr, $hash:ident $mac:ident;)*) => {
        const SUITES: &[CipherSuite] = &[$(CipherSuite {
            number: $number,
            name: stringify!($name),
            key_exchange: KeyExchange::$key_exchange,
            cipher: $cipher,
            hash: Hash::$hash,
            mac: Hash::$mac,
        }),*];
    };
}

suites! {
    0x1301 TLS_AES_128_GCM_SHA256 Tls13 Cipher::AesGcm(16), Sha256 Sha256;
    0x1302 TLS_AES_256_GCM_SHA384 Tls13 Cipher::AesGcm(32), Sha384 Sha384;
    0x1303 TLS_CHACHA20_POLY1305_SHA256 Tls13 Cipher::ChaCha20Poly1305, Sha256 Sha256;
    0x1304 TLS_AES_128_CCM_SHA256 Tls13 Cipher::AesCcm(16, 16), Sha256 Sha256;
    0x1305 TLS_AES_128_CCM_8_SHA256 Tls13 Cipher::AesCcm(16, 8), Sha256 Sha256;
    0xc02b TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 Ecdhe Cipher::AesGcm(16), Sha256 Sha256;
    0xc02c TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 Ecdhe Cipher::AesGcm(32), Sha384 Sha384;
    0xc02f TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 Ecdhe Cipher::AesGcm(16), Sha256 Sha256;
    0xc030 TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 Ecdhe Cipher::AesGcm(32), Sha384 Sha384;
    0xcca8 TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 Ecdhe Cipher::ChaCha20Poly1305, Sha256 Sha256;
    0xcca9 TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 Ecdhe Cipher::ChaCha20Poly1305, Sha256 Sha256;
    0xccaa TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256 Dhe Cipher::ChaCha20Poly1305, Sha256 Sha256;
    0x009c TLS_RSA_WITH_AES_128_GCM_SHA256 Rsa Cipher::AesGcm(16), Sha256 Sha256;
    0x009d TLS_RSA_WITH_AES_256_GCM_SHA384 Rsa Cipher::AesGcm(32), Sha384 Sha384;
    0x009e TLS_DHE_RSA_WITH_AES_128_GCM_SHA256 Dhe Cipher::AesGcm(16), Sha256 Sha256;
    0x009f TLS_DHE_RSA_WITH_AES_256_GCM_SHA384 Dhe Cipher::AesGcm(32), Sha384 Sha384;
    0xc09c TLS_RSA_WITH_AES_128_CCM Rsa Cipher::AesCcm(16, 16), Sha256 Sha256;
    0xc09d TLS_RSA_WITH_AES_256_CCM Rsa Cipher::AesCcm(32, 16), Sha256 Sha256;
    0xc09e TLS_DHE_RSA_WITH_AES_128_CCM Dhe Cipher::AesCcm(16, 16), Sha256 Sha256;
    0xc09f TLS_DHE_RSA_WITH_AES_256_CCM Dhe Cipher::AesCcm(32, 16), Sha256 Sha256;
    0xc0a0 TLS_RSA_WITH_AES_128_CCM_8 Rsa Cipher::AesCcm(16, 8), Sha256 Sha256;
    0xc0a1 TLS_RSA_WITH_AES_256_CCM_8 Rsa Cipher::AesCcm(32, 8), Sha256 Sha256;
    0xc0a2 TLS_DHE_RSA_WITH_AES_128_CCM_8 Dhe Cipher::AesCcm(16, 8), Sha256 Sha256;
    0xc0a3 TLS_DHE_RSA_WITH_AES_256_CCM_8 Dhe Cipher::AesCcm(32, 8), Sha256 Sha256;
    0xc0ac TLS_ECDHE_ECDSA_WITH_AES_128_CCM Ecdhe Cipher::AesCcm(16, 16), Sha256 Sha256;
    0xc0ad TLS_ECDHE_ECDSA_WITH_AES_256_CCM Ecdhe Cipher::AesCcm(32, 16), Sha256 Sha256;
    0xc0ae TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8 Ecdhe Cipher::AesCcm(16, 8), Sha256 Sha256;
    0xc0af TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8 Ecdhe Cipher::AesCcm(32, 8), Sha256 Sha256;
    0xc009 TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA Ecdhe Cipher::AesCbc(16), Sha256 Sha1;
    0xc00a TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA Ecdhe Cipher::AesCbc(32), Sha256 Sha1;
    0xc013 TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA Ecdhe Cipher::AesCbc(16), Sha256 Sha1;
    0xc014 TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA Ecdhe Cipher::AesCbc(32), Sha256 Sha1;
    0xc023 TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256 Ecdhe Cipher::AesCbc(16), Sha256 Sha256;
    0xc024 TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384 Ecdhe Cipher::AesCbc(32), Sha384 Sha384;
    0xc027 TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256 Ecdhe Cipher::AesCbc(16), Sha256 Sha256;
    0xc028 TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384 Ecdhe Cipher::AesCbc(32), Sha384 Sha384;
    0x002f TLS_RSA_WITH_AES_128_CBC_SHA Rsa Cipher::AesCbc(16), Sha256 Sha1;
    0x0035 TLS_RSA_WITH_AES_256_CBC_SHA Rsa Cipher::AesCbc(32), Sha256 Sha1;
    0x003c TLS_RSA_WITH_AES_128_CBC_SHA256 Rsa Cipher::AesCbc(16), Sha256 Sha256;
    0x003d TLS_RSA_WITH_AES_256_CBC_SHA256 Rsa Cipher::AesCbc(32), Sha256 Sha256;
    0x0033 TLS_DHE_RSA_WITH_AES_128_CBC_SHA Dhe Cipher::AesCbc(16), Sha256 Sha1;
    0x0039 TLS_DHE_RSA_WITH_AES_256_CBC_SHA Dhe Cipher::AesCbc(32), Sha256 Sha1;
    0x0067 TLS_DHE_RSA_WITH_AES_128_CBC_SHA256 Dhe Cipher::AesCbc(16), Sha256 Sha256;
    0x006b TLS_DHE_RSA_WITH_AES_256_CBC_SHA256 Dhe Cipher::AesCbc(32), Sha256 Sha256;
    0x003b TLS_RSA_WITH_NULL_SHA256 Rsa Cipher::Null, Sha256 Sha256;
    0x000a TLS_RSA_WITH_3DES_EDE_CBC_SHA Rsa Cipher::Other, Sha256 Sha1;
    0xc008 TLS_ECDHE_ECDSA_WITH_3DES_EDE_CBC_SHA Ecdhe Cipher::Other, Sha256 Sha1;
    0xc012 TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA Ecdhe Cipher::Other, Sha256 Sha1;
    0x0016 TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA Dhe Cipher::Other, Sha256 Sha1;
    0x0005 TLS_RSA_WITH_RC4_128_SHA Rsa Cipher::Other, Sha256 Sha1;
    0xc011 TLS_ECDHE_RSA_WITH_RC4_128_SHA Ecdhe Cipher::Other, Sha256 Sha1;
    0x0041 TLS_RSA_WITH_CAMELLIA_128_CBC_SHA Rsa Cipher::CamelliaCbc(16), Sha256 Sha1;
    0x0084 TLS_RSA_WITH_CAMELLIA_256_CBC_SHA Rsa Cipher::CamelliaCbc(32), Sha256 Sha1;
    0x0045 TLS_DHE_RSA_WITH_CAMELLIA_128_CBC_SHA Dhe Cipher::CamelliaCbc(16), Sha256 Sha1;
    0x0088 TLS_DHE_RSA_WITH_CAMELLIA_256_CBC_SHA Dhe Cipher::CamelliaCbc(32), Sha256 Sha1;
    0x00ba TLS_RSA_WITH_CAMELLIA_128_CBC_SHA256 Rsa Cipher::CamelliaCbc(16), Sha256 Sha256;
    0x00c0 TLS_RSA_WITH_CAMELLIA_256_CBC_SHA256 Rsa Cipher::CamelliaCbc(32), Sha256 Sha256;
    0x00be TLS_DHE_RSA_WITH_CAMELLIA_128_CBC_SHA256 Dhe Cipher::CamelliaCbc(16), Sha256 Sha256;
    0x00c4 TLS_DHE_RSA_WITH_CAMELLIA_256_CBC_SHA256 Dhe Cipher::CamelliaCbc(32), Sha256 Sha256;
    0xc072 TLS_ECDHE_ECDSA_WITH_CAMELLIA_128_CBC_SHA256 Ecdhe Cipher::CamelliaCbc(16), Sha256 Sha256;
    0xc073 TLS_ECDHE_ECDSA_WITH_CAMELLIA_256_CBC_SHA384 Ecdhe Cipher::CamelliaCbc(32), Sha384 Sha384;
    0xc076 TLS_ECDHE_RSA_WITH_CAMELLIA_128_CBC_SHA256 Ecdhe Cipher::CamelliaCbc(16), Sha256 Sha256;
    0xc077 TLS_ECDHE_RSA_WITH_CAMELLIA_256_CBC_SHA384 Ecdhe Cipher::CamelliaCbc(32), Sha384 Sha384;
    0xc050 TLS_RSA_WITH_ARIA_128_GCM_SHA256 Rsa Cipher::AriaGcm(16), Sha256 Sha256;
    0xc051 TLS_RSA_WITH_ARIA_256_GCM_SHA384 Rsa Cipher::AriaGcm(32), Sha384 Sha384;
    0xc052 TLS_DHE_RSA_WITH_ARIA_128_GCM_SHA256 Dhe Cipher::AriaGcm(16), Sha256 Sha256;
    0xc053 TLS_DHE_RSA_WITH_ARIA_256_GCM_SHA384 Dhe Cipher::AriaGcm(32), Sha384 Sha384;
    0xc05c TLS_ECDHE_ECDSA_WITH_ARIA_128_GCM_SHA256 Ecdhe Cipher::AriaGcm(16), Sha256 Sha256;
    0xc05d TLS_ECDHE_ECDSA_WITH_ARIA_256_GCM_SHA384 Ecdhe Cipher::AriaGcm(32), Sha384 Sha384;
    0xc060 TLS_ECDHE_RSA_WITH_ARIA_128_GCM_SHA256 Ecdhe Cipher::AriaGcm(16), Sha256 Sha256;
    0xc061 TLS_ECDHE_RSA_WITH_ARIA_256_GCM_SHA384 Ecdhe Cipher::AriaGcm(32), Sha384 Sha384;
    0x008c TLS_PSK_WITH_AES_128_CBC_SHA Psk Cipher::AesCbc(16), Sha256 Sha1;
    0x008d TLS_PSK_WITH_AES_256_CBC_SHA Psk Cipher::AesCbc(32), Sha256 Sha1;
    0x00a8 TLS_PSK_WITH_AES_128_GCM_SHA256 Psk Cipher::AesGcm(16), Sha256 Sha256;
    0x00a9 TLS_PSK_WITH_AES_256_GCM_SHA384 Psk Cipher::AesGcm(32), Sha384 Sha384;
    0x0001 TLS_RSA_WITH_NULL_MD5 Rsa Cipher::Other, Sha256 Sha1;
    0x0002 TLS_RSA_WITH_NULL_SHA Rsa Cipher::Null, Sha256 Sha1;
    0x002c TLS_PSK_WITH_NULL_SHA Psk Cipher::Null, Sha256 Sha1;
    0x002d TLS_DHE_PSK_WITH_NULL_SHA DhePsk Cipher::Null, Sha256 Sha1;
    0x002e TLS_RSA_PSK_WITH_NULL_SHA RsaPsk Cipher::Null, Sha256 Sha1;
    0x0032 TLS_DHE_DSS_WITH_AES_128_CBC_SHA Dhe Cipher::AesCbc(16), Sha256 Sha1;
    0x0034 TLS_DH_anon_WITH_AES_128_CBC_SHA DhAnon Cipher::AesCbc(16), Sha256 Sha1;
    0x0038 TLS_DHE_DSS_WITH_AES_256_CBC_SHA Dhe Cipher::AesCbc(32), Sha256 Sha1;
    0x003a TLS_DH_anon_WITH_AES_256_CBC_SHA DhAnon Cipher::AesCbc(32), Sha256 Sha1;
    0x0040 TLS_DHE_DSS_WITH_AES_128_CBC_SHA256 Dhe Cipher::AesCbc(16), Sha256 Sha256;
    0x0044 TLS_DHE_DSS_WITH_CAMELLIA_128_CBC_SHA Dhe Cipher::CamelliaCbc(16), Sha256 Sha1;
    0x0046 TLS_DH_anon_WITH_CAMELLIA_128_CBC_SHA DhAnon Cipher::CamelliaCbc(16), Sha256 Sha1;
    0x006a TLS_DHE_DSS_WITH_AES_256_CBC_SHA256 Dhe Cipher::AesCbc(32), Sha256 Sha256;
    0x006c TLS_DH_anon_WITH_AES_128_CBC_SHA256 DhAnon Cipher::AesCbc(16), Sha256 Sha256;
    0x006d TLS_DH_anon_WITH_AES_256_CBC_SHA256 DhAnon Cipher::AesCbc(32), Sha256 Sha256;
    0x0087 TLS_DHE_DSS_WITH_CAMELLIA_256_CBC_SHA Dhe Cipher::CamelliaCbc(32), Sha256 Sha1;
    0x0089 TLS_DH_anon_WITH_CAMELLIA_256_CBC_SHA DhAnon Cipher::CamelliaCbc(32), Sha256 Sha1;
    0x0090 TLS_DHE_PSK_WITH_AES_128_CBC_SHA DhePsk Cipher::AesCbc(16), Sha256 Sha1;
    0x0091 TLS_DHE_PSK_WITH_AES_256_CBC_SHA DhePsk Cipher::AesCbc(32), Sha256 Sha1;
    0x0094 TLS_RSA_PSK_WITH_AES_128_CBC_SHA RsaPsk Cipher::AesCbc(16), Sha256 Sha1;
    0x0095 TLS_RSA_PSK_WITH_AES_256_CBC_SHA RsaPsk Cipher::AesCbc(32), Sha256 Sha1;
    0x00a2 TLS_DHE_DSS_WITH_AES_128_GCM_SHA256 Dhe Cipher::AesGcm(16), Sha256 Sha256;
    0x00a3 TLS_DHE_DSS_WITH_AES_256_GCM_SHA384 Dhe Cipher::AesGcm(32), Sha384 Sha384;
    0x00a6 TLS_DH_anon_WITH_AES_128_GCM_SHA256 DhAnon Cipher::AesGcm(16), Sha256 Sha256;
    0x00a7 TLS_DH_anon_WITH_AES_256_GCM_SHA384 DhAnon Cipher::AesGcm(32), Sha384 Sha384;
    0x00aa TLS_DHE_PSK_WITH_AES_128_GCM_SHA256 DhePsk Cipher::AesGcm(16), Sha256 Sha256;
    0x00ab TLS_DHE_PSK_WITH_AES_256_GCM_SHA384 DhePsk Cipher::AesGcm(32), Sha384 Sha384;
    0x00ac TLS_RSA_PSK_WITH_AES_128_GCM_SHA256 RsaPsk Cipher::AesGcm(16), Sha256 Sha256;
    0x00ad TLS_RSA_PSK_WITH_AES_256_GCM_SHA384 RsaPsk Cipher::AesGcm(32), Sha384 Sha384;
    0x00ae TLS_PSK_WITH_AES_128_CBC_SHA256 Psk Cipher::AesCbc(16), Sha256 Sha256;
    0x00af TLS_PSK_WITH_AES_256_CBC_SHA384 Psk Cipher::AesCbc(32), Sha384 Sha384;
    0x00b0 TLS_PSK_WITH_NULL_SHA256 Psk Cipher::Null, Sha256 Sha256;
    0x00b1 TLS_PSK_WITH_NULL_SHA384 Psk Cipher::Null, Sha384 Sha384;
    0x00b2 TLS_DHE_PSK_WITH_AES_128_CBC_SHA256 DhePsk Cipher::AesCbc(16), Sha256 Sha256;
    0x00b3 TLS_DHE_PSK_WITH_AES_256_CBC_SHA384 DhePsk Cipher::AesCbc(32), Sha384 Sha384;
    0x00b4 TLS_DHE_PSK_WITH_NULL_SHA256 DhePsk Cipher::Null, Sha256 Sha256;
    0x00b5 TLS_DHE_PSK_WITH_NULL_SHA384 DhePsk Cipher::Null, Sha384 Sha384;
    0x00b6 TLS_RSA_PSK_WITH_AES_128_CBC_SHA256 RsaPsk Cipher::AesCbc(16), Sha256 Sha256;
    0x00b7 TLS_RSA_PSK_WITH_AES_256_CBC_SHA384 RsaPsk Cipher::AesCbc(32), Sha384 Sha384;
    0x00b8 TLS_RSA_PSK_WITH_NULL_SHA256 RsaPsk Cipher::Null, Sha256 Sha256;
    0x00b9 TLS_RSA_PSK_WITH_NULL_SHA384 RsaPsk Cipher::Null, Sha384 Sha384;
    0x00bd TLS_DHE_DSS_WITH_CAMELLIA_128_CBC_SHA256 Dhe Cipher::CamelliaCbc(16), Sha256 Sha256;
    0x00bf TLS_DH_anon_WITH_CAMELLIA_128_CBC_SHA256 DhAnon Cipher::CamelliaCbc(16), Sha256 Sha256;
    0x00c3 TLS_DHE_DSS_WITH_CAMELLIA_256_CBC_SHA256 Dhe Cipher::CamelliaCbc(32), Sha256 Sha256;
    0x00c5 TLS_DH_anon_WITH_CAMELLIA_256_CBC_SHA256 DhAnon Cipher::CamelliaCbc(32), Sha256 Sha256;
    0xc006 TLS_ECDHE_ECDSA_WITH_NULL_SHA Ecdhe Cipher::Null, Sha256 Sha1;
    0xc010 TLS_ECDHE_RSA_WITH_NULL_SHA Ecdhe Cipher::Null, Sha256 Sha1;
    0xc015 TLS_ECDH_anon_WITH_NULL_SHA EcdhAnon Cipher::Null, Sha256 Sha1;
    0xc018 TLS_ECDH_anon_WITH_AES_128_CBC_SHA EcdhAnon Cipher::AesCbc(16), Sha256 Sha1;
    0xc019 TLS_ECDH_anon_WITH_AES_256_CBC_SHA EcdhAnon Cipher::AesCbc(32), Sha256 Sha1;
    0xc01d TLS_SRP_SHA_WITH_AES_128_CBC_SHA Srp Cipher::AesCbc(16), Sha256 Sha1;
    0xc01e TLS_SRP_SHA_RSA_WITH_AES_128_CBC_SHA SrpSigned Cipher::AesCbc(16), Sha256 Sha1;
    0xc01f TLS_SRP_SHA_DSS_WITH_AES_128_CBC_SHA SrpSigned Cipher::AesCbc(16), Sha256 Sha1;
    0xc020 TLS_SRP_SHA_WITH_AES_256_CBC_SHA Srp Cipher::AesCbc(32), Sha256 Sha1;
    0xc021 TLS_SRP_SHA_RSA_WITH_AES_256_CBC_SHA SrpSigned Cipher::AesCbc(32), Sha256 Sha1;
    0xc022 TLS_SRP_SHA_DSS_WITH_AES_256_CBC_SHA SrpSigned Cipher::AesCbc(32), Sha256 Sha1;
    0xc035 TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA EcdhePsk Cipher::AesCbc(16), Sha256 Sha1;
    0xc036 TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA EcdhePsk Cipher::AesCbc(32), Sha256 Sha1;
    0xc037 TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256 EcdhePsk Cipher::AesCbc(16), Sha256 Sha256;
    0xc038 TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA384 EcdhePsk Cipher::AesCbc(32), Sha384 Sha384;
    0xc039 TLS_ECDHE_PSK_WITH_NULL_SHA EcdhePsk Cipher::Null, Sha256 Sha1;
    0xc03a TLS_ECDHE_PSK_WITH_NULL_SHA256 EcdhePsk Cipher::Null, Sha256 Sha256;
    0xc03b TLS_ECDHE_PSK_WITH_NULL_SHA384 EcdhePsk Cipher::Null, Sha384 Sha384;
    0xc056 TLS_DHE_DSS_WITH_ARIA_128_GCM_SHA256 Dhe Cipher::AriaGcm(16), Sha256 Sha256;
    0xc057 TLS_DHE_DSS_WITH_ARIA_256_GCM_SHA384 Dhe Cipher::AriaGcm(32), Sha384 Sha384;
    0xc06a TLS_PSK_WITH_ARIA_128_GCM_SHA256 Psk Cipher::AriaGcm(16), Sha256 Sha256;
    0xc06b TLS_PSK_WITH_ARIA_256_GCM_SHA384 Psk Cipher::AriaGcm(32), Sha384 Sha384;
    0xc06c TLS_DHE_PSK_WITH_ARIA_128_GCM_SHA256 DhePsk Cipher::AriaGcm(16), Sha256 Sha256;
    0xc06d TLS_DHE_PSK_WITH_ARIA_256_GCM_SHA384 DhePsk Cipher::AriaGcm(32), Sha384 Sha384;
    0xc06e TLS_RSA_PSK_WITH_ARIA_128_GCM_SHA256 RsaPsk Cipher::AriaGcm(16), Sha256 Sha256;
    0xc06f TLS_RSA_PSK_WITH_ARIA_256_GCM_SHA384 RsaPsk Cipher::AriaGcm(32), Sha384 Sha384;
    0xc094 TLS_PSK_WITH_CAMELLIA_128_CBC_SHA256 Psk Cipher::CamelliaCbc(16), Sha256 Sha256;
    0xc095 TLS_PSK_WITH_CAMELLIA_256_CBC_SHA384 Psk Cipher::CamelliaCbc(32), Sha384 Sha384;
    0xc096 TLS_DHE_PSK_WITH_CAMELLIA_128_CBC_SHA256 DhePsk Cipher::CamelliaCbc(16), Sha256 Sha256;
    0xc097 TLS_DHE_PSK_WITH_CAMELLIA_256_CBC_SHA384 DhePsk Cipher::CamelliaCbc(32), Sha384 Sha384;
    0xc098 TLS_RSA_PSK_WITH_CAMELLIA_128_CBC_SHA256 RsaPsk Cipher::CamelliaCbc(16), Sha256 Sha256;
    0xc099 TLS_RSA_PSK_WITH_CAMELLIA_256_CBC_SHA384 RsaPsk Cipher::CamelliaCbc(32), Sha384 Sha384;
    0xc09a TLS_ECDHE_PSK_WITH_CAMELLIA_128_CBC_SHA256 EcdhePsk Cipher::CamelliaCbc(16), Sha256 Sha256;
    0xc09b TLS_ECDHE_PSK_WITH_CAMELLIA_256_CBC_SHA384 EcdhePsk Cipher::CamelliaCbc(32), Sha384 Sha384;
    0xc0a4 TLS_PSK_WITH_AES_128_CCM Psk Cipher::AesCcm(16, 16), Sha256 Sha256;
    0xc0a5 TLS_PSK_WITH_AES_256_CCM Psk Cipher::AesCcm(32, 16), Sha256 Sha256;
    0xc0a6 TLS_DHE_PSK_WITH_AES_128_CCM DhePsk Cipher::AesCcm(16, 16), Sha256 Sha256;
    0xc0a7 TLS_DHE_PSK_WITH_AES_256_CCM DhePsk Cipher::AesCcm(32, 16), Sha256 Sha256;
    0xc0a8 TLS_PSK_WITH_AES_128_CCM_8 Psk Cipher::AesCcm(16, 8), Sha256 Sha256;
    0xc0a9 TLS_PSK_WITH_AES_256_CCM_8 Psk Cipher::AesCcm(32, 8), Sha256 Sha256;
    0xc0aa TLS_PSK_DHE_WITH_AES_128_CCM_8 DhePsk Cipher::AesCcm(16, 8), Sha256 Sha256;
    0xc0ab TLS_PSK_DHE_WITH_AES_256_CCM_8 DhePsk Cipher::AesCcm(32, 8), Sha256 Sha256;
    0xccab TLS_PSK_WITH_CHACHA20_POLY1305_SHA256 Psk Cipher::ChaCha20Poly1305, Sha256 Sha256;
    0xccac TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256 EcdhePsk Cipher::ChaCha20Poly1305, Sha256 Sha256;
    0xccad TLS_DHE_PSK_WITH_CHACHA20_POLY1305_SHA256 DhePsk Cipher::ChaCha20Poly1305, Sha256 Sha256;
    0xccae TLS_RSA_PSK_WITH_CHACHA20_POLY1305_SHA256 RsaPsk Cipher::ChaCha20Poly1305, Sha256 Sha256;
}

/// The suite with this number.
#[must_use]
pub fn cipher_suite(number: u16) -> Option<&'static CipherSuite> {
    SUITES.iter().find(|suite| suite.number == number)
}

/// The name of a suite as the registry has it, the signalling values included.
#[must_use]
pub fn cipher_suite_name(number: u16) -> Option<&'static str> {
    match number {
        0x00ff => Some("TLS_EMPTY_RENEGOTIATION_INFO_SCSV"),
        0x5600 => Some("TLS_FALLBACK_SCSV"),
        _ if is_grease(number) => Some("GREASE"),
        _ => cipher_suite(number).map(|suite| suite.name),
    }
}

/// The name of a group for key exchange.
#[must_use]
pub fn group_name(number: u16) -> Option<&'static str> {
    Some(match number {
        0x0013 => "secp192r1",
        0x0015 => "secp224r1",
        0x0016 => "secp256k1",
        0x0017 => "secp256r1",
        0x0018 => "secp384r1",
        0x0019 => "secp521r1",
        0x001a => "brainpoolP256r1",
        0x001b => "brainpoolP384r1",
        0x001c => "brainpoolP512r1",
        0x001d => "x25519",
        0x001e => "x448",
        0x001f => "brainpoolP256r1tls13",
        0x0020 => "brainpoolP384r1tls13",
        0x0021 => "brainpoolP512r1tls13",
        0x0100 => "ffdhe2048",
        0x0101 => "ffdhe3072",
        0x0102 => "ffdhe4096",
        0x0103 => "ffdhe6144",
        0x0104 => "ffdhe8192",
        0x0200 => "MLKEM512",
        0x0201 => "MLKEM768",
        0x0202 => "MLKEM1024",
        0x11eb => "SecP256r1MLKEM768",
        0x11ec => "X25519MLKEM768",
        0x11ed => "SecP384r1MLKEM1024",
        0x6399 => "X25519Kyber768Draft00",
        _ if is_grease(number) => "GREASE",
        _ => return None,
    })
}

/// The name of a signature scheme.
#[must_use]
pub fn signature_scheme_name(number: u16) -> Option<&'static str> {
    Some(match number {
        0x0201 => "rsa_pkcs1_sha1",
        0x0202 => "dsa_sha1",
        0x0203 => "ecdsa_sha1",
        0x0301 => "rsa_pkcs1_sha224",
        0x0302 => "dsa_sha224",
        0x0303 => "ecdsa_sha224",
        0x0401 => "rsa_pkcs1_sha256",
        0x0402 => "dsa_sha256",
        0x0403 => "ecdsa_secp256r1_sha256",
        0x0501 => "rsa_pkcs1_sha384",
        0x0502 => "dsa_sha384",
        0x0503 => "ecdsa_secp384r1_sha384",
        0x0601 => "rsa_pkcs1_sha512",
        0x0602 => "dsa_sha512",
        0x0603 => "ecdsa_secp521r1_sha512",
        0x0804 => "rsa_pss_rsae_sha256",
        0x0805 => "rsa_pss_rsae_sha384",
        0x0806 => "rsa_pss_rsae_sha512",
        0x0807 => "ed25519",
        0x0808 => "ed448",
        0x0809 => "rsa_pss_pss_sha256",
        0x080a => "rsa_pss_pss_sha384",
        0x080b => "rsa_pss_pss_sha512",
        0x081a => "ecdsa_brainpoolP256r1tls13_sha256",
        0x081b => "ecdsa_brainpoolP384r1tls13_sha384",
        0x081c => "ecdsa_brainpoolP512r1tls13_sha512",
        0x0904 => "mldsa44",
        0x0905 => "mldsa65",
        0x0906 => "mldsa87",
        0x0101 => "rsa_pkcs1_md5",
        _ if is_grease(number) => "GREASE",
        _ => return None,
    })
}

/// The name of an extension.
#[must_use]
pub fn extension_name(number: u16) -> Option<&'static str> {
    Some(match number {
        0 => "server_name",
        1 => "max_fragment_length",
        2 => "client_certificate_url",
        3 => "trusted_ca_keys",
        4 => "truncated_hmac",
        5 => "status_request",
        7 => "client_authz",
        8 => "server_authz",
        9 => "cert_type",
        10 => "supported_groups",
        11 => "ec_point_formats",
        12 => "srp",
        13 => "signature_algorithms",
        14 => "use_srtp",
        15 => "heartbeat",
        16 => "application_layer_protocol_negotiation",
        17 => "status_request_v2",
        18 => "signed_certificate_timestamp",
        19 => "client_certificate_type",
        20 => "server_certificate_type",
        21 => "padding",
        22 => "encrypt_then_mac",
        23 => "extended_master_secret",
        24 => "token_binding",
        25 => "cached_info",
        27 => "compress_certificate",
        28 => "record_size_limit",
        34 => "delegated_credential",
        35 => "session_ticket",
        41 => "pre_shared_key",
        42 => "early_data",
        43 => "supported_versions",
        44 => "cookie",
        45 => "psk_key_exchange_modes",
        47 => "certificate_authorities",
        48 => "oid_filters",
        49 => "post_handshake_auth",
        50 => "signature_algorithms_cert",
        51 => "key_share",
        52 => "transparency_info",
        57 => "quic_transport_parameters",
        58 => "ticket_request",
        13172 => "next_protocol_negotiation",
        17513 => "application_settings",
        17613 => "application_settings",
        0xca34 => "trust_anchors",
        0xfd00 => "ech_outer_extensions",
        0xfe0d => "encrypted_client_hello",
        0xff01 => "renegotiation_info",
        _ if is_grease(number) => "GREASE",
        _ => return None,
    })
}

/// What an unnamed number is shown as.
pub(crate) fn or_hex(name: Option<&'static str>, number: u16) -> String {
    name.map_or_else(|| format!("unknown (0x{number:04x})"), |name| format!("{name} (0x{number:04x})"))
}
