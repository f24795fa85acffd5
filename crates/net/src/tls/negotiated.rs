//! What two sides agreed on, in the names of the IANA registries.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use rustls::CommonState;

/// The parameters of a finished handshake.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Negotiated {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: String,
    /// The cipher suite, such as `TLS_AES_256_GCM_SHA384`.
    pub cipher_suite: String,
    /// The key exchange group, such as `X25519MLKEM768`.
    pub group: String,
    /// The application protocol, where ALPN chose one: `h2`, `http/1.1`.
    pub alpn: Option<String>,
    /// What the client offered beyond it; nothing is known of servers.
    pub offers: Offers,
}

/// What a ClientHello offered of the post-quantum world, whether it came to be used or not: who could switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Offers {
    /// A hybrid key exchange group: X25519MLKEM768.
    pub post_quantum_group: bool,
    /// An ML-DSA signature scheme: a certificate with such a key could be shown to it.
    pub post_quantum_signature: bool,
}

impl Offers {
    pub(crate) fn of(hello: &rustls::server::ClientHello<'_>) -> Self {
        let groups = hello.named_groups().unwrap_or_default();
        Offers {
            post_quantum_group: groups.contains(&rustls::NamedGroup::X25519MLKEM768),
            post_quantum_signature: hello.signature_schemes().iter().copied().any(is_post_quantum),
        }
    }
}

/// Whether a signature scheme is ML-DSA's: for TLS 1.3 alone (draft-ietf-tls-mldsa section 3).
pub(crate) fn is_post_quantum(scheme: rustls::SignatureScheme) -> bool {
    use rustls::SignatureScheme as Scheme;
    matches!(scheme, Scheme::ML_DSA_44 | Scheme::ML_DSA_65 | Scheme::ML_DSA_87)
}

impl Negotiated {
    pub(crate) fn of(connection: &CommonState) -> Self {
        let version = match connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3".to_owned(),
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
            Some(other) => format!("{other:?}"),
            None => String::new(),
        };
        let cipher_suite = connection.negotiated_cipher_suite().map_or_else(String::new, |suite| {
            // rustls writes TLS13_AES_128_GCM_SHA256 where the registry has TLS_AES_128_GCM_SHA256.
            let name = format!("{:?}", suite.suite());
            name.strip_prefix("TLS13_").map_or(name.clone(), |rest| format!("TLS_{rest}"))
        });
        let group = connection
            .negotiated_key_exchange_group()
            .map_or_else(String::new, |group| format!("{:?}", group.name()));
        let alpn = connection.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
        Negotiated { version, cipher_suite, group, alpn, offers: Offers::default() }
    }

    /// The same as [`Self::of`] with the client's offers, shared by all connections of a thread that agreed on the same.
    pub(crate) fn shared(connection: &CommonState, offers: Offers) -> Arc<Self> {
        type Agreed = (Option<u16>, Option<u16>, Option<u16>, Option<Vec<u8>>, Offers);
        thread_local! {
            static KNOWN: RefCell<HashMap<Agreed, Arc<Negotiated>>> = RefCell::default();
        }
        let agreed = (
            connection.protocol_version().map(u16::from),
            connection.negotiated_cipher_suite().map(|suite| u16::from(suite.suite())),
            connection.negotiated_key_exchange_group().map(|group| u16::from(group.name())),
            connection.alpn_protocol().map(<[u8]>::to_vec),
            offers,
        );
        // Bounded: a server chooses the first four of what it has itself, and the last is two bits.
        KNOWN.with_borrow_mut(|known| {
            let new = || Arc::new(Negotiated { offers, ..Self::of(connection) });
            Arc::clone(known.entry(agreed).or_insert_with(new))
        })
    }

    /// Whether it is TLS 1.3, where a client is done before the server has judged its certificate.
    #[must_use]
    pub fn is_tls13(&self) -> bool {
        self.version == "TLSv1.3"
    }
}
