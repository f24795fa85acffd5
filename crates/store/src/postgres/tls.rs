//! TLS to PostgreSQL: what a database's address asks for, and a connector that makes it so.
//!
//! There are two ways, not libpq's six: without TLS, or with a server whose certificate is verified for the name of the
//! host. What lies between encrypts to whoever answers, and so protects from nobody who can answer.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::{fmt, io};

use pki::key::SignatureAlgorithm;
use postgres::Socket;
use postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What the address of a database says about TLS, in libpq's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsWish {
    /// `sslrootcert`: the file with the roots that the server's certificate leads to.
    pub root: PathBuf,
    /// `sslcert` and `sslkey`: the files with the certificate to show and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Why an address cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// A way of TLS that protects from nobody.
    #[error(
        "sslmode={0} does not verify who answers; write sslmode=verify-full&sslrootcert=FILE, or sslmode=disable \
         where the way there is protected otherwise"
    )]
    Unverified(String),
    /// No roots are named.
    #[error("sslmode=verify-full needs the root of the server's certificate: sslrootcert=FILE")]
    NoRoot,
    /// A certificate without its key, or a key without a certificate.
    #[error("sslcert=FILE and sslkey=FILE belong together")]
    HalfClient,
    /// Nothing is said about a way that others may listen on.
    #[error(
        "the database is on {0}, and its address does not say how the way there is protected; add \
         sslmode=verify-full&sslrootcert=FILE, or sslmode=disable where it is protected otherwise"
    )]
    Unprotected(String),
    /// It is no address.
    #[error("this is no address of a database: {0}; postgres://USER@HOST/DATABASE is one")]
    Malformed(String),
}

/// Divides the address of a database into what the database's protocol needs and what it says about TLS.
///
/// ```
/// use store::tls::{AddressError, read_address};
/// let (_, wish) = read_address("postgres://ca@db.test/ca?sslmode=verify-full&sslrootcert=root.pem")?;
/// assert_eq!(wish.map(|wish| wish.root), Some("root.pem".into()));
/// assert!(read_address("postgres://ca@db.test/ca?sslmode=require").is_err());
/// assert!(read_address("postgres://ca@localhost/ca").is_ok());
/// # Ok::<(), AddressError>(())
/// ```
///
/// # Errors
/// [`AddressError`].
pub fn read_address(url: &str) -> Result<(String, Option<TlsWish>), AddressError> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut mode, mut root, mut certificate, mut key) = (None, None, None, None);
    let mut rest = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let slot = match name {
            "sslmode" => &mut mode,
            "sslrootcert" => &mut root,
            "sslcert" => &mut certificate,
            "sslkey" => &mut key,
            _ => {
                rest.push(pair);
                continue;
            }
        };
        // What is no escape stands for itself.
        *slot = Some(pki::percent_decode(value).unwrap_or_else(|| value.to_owned()));
    }
    let plain = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
    let config: postgres::Config =
        plain.parse().map_err(|error: postgres::Error| AddressError::Malformed(error.to_string()))?;
    match mode.as_deref() {
        None => match distant(&config) {
            Some(host) => Err(AddressError::Unprotected(host)),
            None => Ok((plain, None)),
        },
        Some("disable") => Ok((plain, None)),
        Some("verify-full") => {
            let client = match (certificate, key) {
                (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
                (None, None) => None,
                _ => return Err(AddressError::HalfClient),
            };
            Ok((plain, Some(TlsWish { root: root.ok_or(AddressError::NoRoot)?.into(), client })))
        }
        Some(other) => Err(AddressError::Unverified(other.to_owned())),
    }
}

/// The first host that is not this machine.
fn distant(config: &postgres::Config) -> Option<String> {
    config.get_hosts().iter().find_map(|host| match host {
        postgres::config::Host::Unix(_) => None,
        postgres::config::Host::Tcp(name) => {
            let is_here = name == "localhost"
                || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
            (!is_here).then(|| name.clone())
        }
    })
}

/// What a verified connection is made with.
pub struct TlsMaterial {
    /// The roots that the server's certificate leads to, in DER.
    pub roots: Vec<Vec<u8>>,
    /// The chain to show, in DER, and its key.
    pub client: Option<(Vec<Vec<u8>>, ClientKey)>,
}

/// What signs for the chain that is shown.
pub enum ClientKey {
    /// The PKCS #8 of a key.
    Pkcs8(Vec<u8>),
    /// A key in a token, or behind a program or a service.
    Elsewhere(Arc<dyn rustls::sign::SigningKey>),
}

/// The material cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the certificates or the key for the database cannot be used: {0}")]
pub struct MaterialError(#[from] rustls::Error);

/// Makes TLS connections to a database.
#[derive(Clone)]
pub(super) struct Connector {
    config: Arc<ClientConfig>,
}

impl Connector {
    pub(super) fn new(material: TlsMaterial) -> Result<Self, MaterialError> {
        let mut roots = RootCertStore::empty();
        for root in material.roots {
            roots.add(CertificateDer::from(root))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let config = match material.client {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = chain.into_iter().map(CertificateDer::from).collect();
                match key {
                    ClientKey::Pkcs8(key) => builder
                        .with_client_auth_cert(chain, PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key)))?,
                    ClientKey::Elsewhere(key) => {
                        let certified = CertifiedKey::new(chain, key);
                        builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
                    }
                }
            }
        };
        Ok(Connector { config: Arc::new(config) })
    }
}

impl MakeTlsConnect<Socket> for Connector {
    type Stream = Stream;
    type TlsConnect = Handshake;
    type Error = Untrusted;

    fn make_tls_connect(&mut self, host: &str) -> Result<Handshake, Untrusted> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Untrusted(format!("'{host}' is no name that a certificate can have")))?;
        Ok(Handshake { config: Arc::clone(&self.config), name })
    }
}

/// One handshake that is to be made.
pub(super) struct Handshake {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl TlsConnect<Socket> for Handshake {
    type Stream = Stream;
    type Error = Untrusted;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, Untrusted>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            let connector = tokio_rustls::TlsConnector::from(self.config);
            connector
                .connect(self.name, socket)
                .await
                .map(Stream)
                .map_err(|error| Untrusted(error.to_string()))
        })
    }
}

/// The server did not show that it is who it should be, or refused us.
#[derive(Debug, Clone)]
pub(super) struct Untrusted(pub(super) String);

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Untrusted {}

/// A connection that is encrypted.
pub(super) struct Stream(tokio_rustls::client::TlsStream<Socket>);

impl TlsStream for Stream {
    /// Binds a password to the certificate that was seen (RFC 5929 section 4), so that nobody in the middle can pass it
    /// on.
    fn channel_binding(&self) -> ChannelBinding {
        let presented = self.0.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let certificate = presented.and_then(|der| pki::Certificate::from_der(der).ok());
        let Some(certificate) = certificate else { return ChannelBinding::none() };
        // The hash of the certificate's own signature; for the others none is defined, or none is at hand.
        match certificate.signature_algorithm() {
            Some(
                SignatureAlgorithm::EcdsaSha256
                | SignatureAlgorithm::RsaPkcs1Sha256
                | SignatureAlgorithm::RsaPssSha256,
            ) => ChannelBinding::tls_server_end_point(pki::sha256(certificate.der()).to_vec()),
            _ => ChannelBinding::none(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_protection_is_refused_unless_it_stays_on_this_machine_or_says_so() {
        for here in [
            "postgres://u@localhost/d",
            "postgres://u@127.0.0.1:5433/d",
            "postgres://u@%2Fvar%2Frun/d",
            "postgres://u@db.test/d?sslmode=disable",
            "host=/tmp user=u dbname=d",
        ] {
            assert_eq!(read_address(here).map(|(_, wish)| wish), Ok(None), "{here}");
        }
        let refused = |url: &str| read_address(url).err();
        assert_eq!(refused("postgres://u@db.test/d"), Some(AddressError::Unprotected("db.test".to_owned())));
        for mode in ["allow", "prefer", "require", "verify-ca", "verify-fuII"] {
            let url = format!("postgres://u@db.test/d?sslmode={mode}");
            assert_eq!(refused(&url), Some(AddressError::Unverified(mode.to_owned())));
        }
        assert_eq!(refused("postgres://u@db.test/d?sslmode=verify-full"), Some(AddressError::NoRoot));
        let half = "postgres://u@db.test/d?sslmode=verify-full&sslrootcert=r&sslcert=c";
        assert_eq!(refused(half), Some(AddressError::HalfClient));
    }

    #[test]
    fn what_says_nothing_about_tls_is_left_in_the_address() {
        let url = "postgres://u@db.test/d?connect_timeout=3&sslmode=verify-full&sslrootcert=%2Fa%20b%2Fr.pem\
                   &sslcert=c.pem&sslkey=k.pem";
        let expected = TlsWish { root: "/a b/r.pem".into(), client: Some(("c.pem".into(), "k.pem".into())) };
        let read = read_address(url);
        assert_eq!(read, Ok(("postgres://u@db.test/d?connect_timeout=3".to_owned(), Some(expected))));
    }
}
