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
        Negotiated { version, cipher_suite, group, alpn }
    }

    /// The same as [`Self::of`], shared by all connections of a thread that agreed on the same.
    pub(crate) fn shared(connection: &CommonState) -> Arc<Self> {
        type Agreed = (Option<u16>, Option<u16>, Option<u16>, Option<Vec<u8>>);
        thread_local! {
            static KNOWN: RefCell<HashMap<Agreed, Arc<Negotiated>>> = RefCell::default();
        }
        let agreed = (
            connection.protocol_version().map(u16::from),
            connection.negotiated_cipher_suite().map(|suite| u16::from(suite.suite())),
            connection.negotiated_key_exchange_group().map(|group| u16::from(group.name())),
            connection.alpn_protocol().map(<[u8]>::to_vec),
        );
        // Bounded: a server chooses all four of what it has itself.
        KNOWN.with_borrow_mut(|known| {
            Arc::clone(known.entry(agreed).or_insert_with(|| Arc::new(Self::of(connection))))
        })
    }

    /// Whether it is TLS 1.3, where a client is done before the server has judged its certificate.
    #[must_use]
    pub fn is_tls13(&self) -> bool {
        self.version == "TLSv1.3"
    }
}
