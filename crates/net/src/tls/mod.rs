//! The TLS settings, made in this one place for both sides: rustls on AWS-LC, TLS 1.3 and 1.2, the post-quantum
//! hybrid group first. Who is believed is decided in the verifiers beside this file, not here.

mod chooser;
pub mod client_verifier;
pub mod credentials;
pub mod key_log;
mod negotiated;
pub mod server_verifier;
pub(crate) mod signatures;
pub(crate) mod slot;
pub(crate) mod socket;
mod ticket;

use std::sync::{Arc, LazyLock};

use rustls::client::{ClientSessionStore, ResolvesClientCert, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::server::NoServerSessionStorage;
use rustls::{ClientConfig, KeyLog, ServerConfig, SupportedProtocolVersion};

pub use credentials::{Credentials, CredentialsError};
pub use negotiated::{Negotiated, Offers};
pub(crate) use ticket::Tickets;

/// A version of TLS that is spoken here. SSL 2 and 3, TLS 1.0 and 1.1 are not (RFC 8996).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// The versions a side offers or takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersions {
    /// TLS 1.3 and 1.2.
    #[default]
    Both,
    /// One alone.
    Only(TlsVersion),
}

impl TlsVersions {
    /// All versions from `least` to `most`; `None` where there is none between them.
    ///
    /// ```
    /// use net::tls::{TlsVersion, TlsVersions};
    /// let only_new = TlsVersions::between(TlsVersion::Tls13, TlsVersion::Tls13);
    /// assert_eq!(only_new, Some(TlsVersions::Only(TlsVersion::Tls13)));
    /// assert_eq!(TlsVersions::between(TlsVersion::Tls13, TlsVersion::Tls12), None);
    /// ```
    #[must_use]
    pub fn between(least: TlsVersion, most: TlsVersion) -> Option<Self> {
        match least.cmp(&most) {
            std::cmp::Ordering::Less => Some(TlsVersions::Both),
            std::cmp::Ordering::Equal => Some(TlsVersions::Only(least)),
            std::cmp::Ordering::Greater => None,
        }
    }

    pub(crate) fn for_rustls(self) -> &'static [&'static SupportedProtocolVersion] {
        use rustls::version::{TLS12, TLS13};
        static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
        static ONLY_12: [&SupportedProtocolVersion; 1] = [&TLS12];
        static ONLY_13: [&SupportedProtocolVersion; 1] = [&TLS13];
        match self {
            TlsVersions::Both => &BOTH,
            TlsVersions::Only(TlsVersion::Tls12) => &ONLY_12,
            TlsVersions::Only(TlsVersion::Tls13) => &ONLY_13,
        }
    }
}

/// The cryptography of every connection. The groups in order: the hybrid of X25519 and ML-KEM-768 keeps what is
/// recorded today from being read by tomorrow's quantum computer; the others are for peers without it.
pub(crate) fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        Arc::new(CryptoProvider {
            kx_groups: vec![
                kx_group::X25519MLKEM768,
                kx_group::X25519,
                kx_group::SECP256R1,
                kx_group::SECP384R1,
            ],
            ..aws_lc_rs::default_provider()
        })
    });
    &PROVIDER
}

/// The same without the hybrid group, whose share makes a ClientHello larger than one TCP segment: for boxes in between
/// that read no further.
pub(crate) fn classical_provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let mut provider = CryptoProvider::clone(provider());
        provider.kx_groups.retain(|group| group.name() != rustls::NamedGroup::X25519MLKEM768);
        Arc::new(provider)
    });
    &PROVIDER
}

/// The server side's settings for all connections of one snapshot.
///
/// Resumption is by tickets alone, which are bound to the snapshot (see [`ticket`]); one is sent, since each costs 5 %
/// of a handshake (bench/README.md), and a client that wants to resume twice at a time does one more full handshake.
/// 0-RTT stays off, which is rustls' default: it can be replayed.
pub(crate) fn server_config(
    verifier: Arc<client_verifier::ClientVerifier>,
    tickets: Tickets,
    credentials: &Credentials,
    more_credentials: &[Credentials],
    versions: TlsVersions,
    alpn: &[&[u8]],
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider()))
        .with_protocol_versions(versions.for_rustls())?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(chooser::Chooser::new(credentials, more_credentials, versions)));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = Arc::new(tickets);
    config.send_tls13_tickets = 1;
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

/// What a client's TLS is made of.
pub(crate) struct ClientParts {
    pub(crate) verifier: Arc<server_verifier::ServerVerifier>,
    pub(crate) resolver: Arc<dyn ResolvesClientCert>,
    pub(crate) versions: TlsVersions,
    /// Whether the hybrid group is left out.
    pub(crate) classical: bool,
    pub(crate) alpn: Vec<Vec<u8>>,
    pub(crate) key_log: Option<Arc<dyn KeyLog>>,
    /// Is told of tickets; what it keeps is offered again. `None` keeps nothing.
    pub(crate) tickets: Option<Arc<dyn ClientSessionStore>>,
}

/// The client side's settings for one connection.
pub(crate) fn client_config(parts: ClientParts) -> Result<ClientConfig, rustls::Error> {
    let provider = if parts.classical { classical_provider() } else { provider() };
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(parts.versions.for_rustls())?
        .dangerous()
        // Not without verification: with our own.
        .with_custom_certificate_verifier(parts.verifier)
        .with_client_cert_resolver(parts.resolver);
    config.resumption = match parts.tickets {
        Some(store) => Resumption::store(store),
        None => Resumption::disabled(),
    };
    config.alpn_protocols = parts.alpn;
    if let Some(key_log) = parts.key_log {
        config.key_log = key_log;
    }
    Ok(config)
}
