//! The fault zoo: for each code of the one refusal vocabulary a pair, a file, an answer on the wire or a text that is
//! wrong in that way. Data only; the tests of `net` bring it to life, in TLS 1.2 and 1.3.

mod files;
pub(crate) mod pairs;
mod texts;
mod variants;
mod wire;

pub use pairs::healthy;
pub use variants::variant;

use jiff::Timestamp;
use pki::Certificate;
use pki::crl::CertificateRevocationList;

use crate::TestIdentity;

/// Something that is wrong.
#[derive(Debug)]
pub struct Fault {
    /// The side that has to change something, by its stable name.
    pub side: &'static str,
    /// What is wrong.
    pub scene: Scene,
}

/// Where it is wrong.
#[derive(Debug)]
pub enum Scene {
    /// A server and a client.
    Pair(Box<Pair>),
    /// What listens on the port answers the first bytes in this way.
    Wire(Wire),
    /// The client's files.
    Files(Box<Files>),
    /// A client's command line, and the files that are there.
    Command(&'static [&'static str], &'static [&'static str]),
    /// A text that a program printed.
    Text(&'static str),
    /// A bare alert of a server, of which nothing else is known.
    Alert(u8),
    /// There is no connection, for this reason.
    NoConnection(NoConnection),
}

/// A server and a client. Starts as a pair that works.
#[derive(Debug)]
pub struct Pair {
    /// The server's certificate and key.
    pub server: TestIdentity,
    /// What it sends, in DER, where that is not its chain.
    pub served: Option<Vec<Vec<u8>>>,
    /// What it asks of clients.
    pub asks: Option<Asks>,
    /// Status, headers and body of its answer to those it lets in.
    pub answer: Answer,
    /// The client's certificate and key.
    pub client: Option<TestIdentity>,
    /// What the client believes.
    pub client_trust: Vec<Certificate>,
    /// Whether that was given as a file.
    pub trust_is_named: bool,
    /// What was added to the system's trust, for programs that do not read that.
    pub added_trust: Vec<Certificate>,
    /// The client's revocation lists.
    pub client_crls: Vec<CertificateRevocationList>,
    /// Certificates in files beside the client's.
    pub neighbours: Vec<Vec<Certificate>>,
    /// The host in the URL.
    pub host: &'static str,
    /// The Host header, where it is another.
    pub host_header: Option<&'static str>,
    /// The client's program.
    pub program: &'static str,
    /// Whether the client switched verification off.
    pub insecure: bool,
    /// What the client offers less than the defaults: an option of curl and its value.
    pub restriction: Option<(&'static str, &'static str)>,
    /// The server takes only this TLS version: `1.2` or `1.3`.
    pub only_version: Option<&'static str>,
    /// The OCSP response that the server staples to its certificate.
    pub stapled: Option<Vec<u8>>,
    /// The server answers no ClientHello but one that offers P-256 and P-384 alone: it never sends a HelloRetryRequest.
    pub wants_p256_first: bool,
    /// The server takes only this group.
    pub only_group: Option<&'static str>,
    /// The application protocol the server insists on.
    pub only_protocol: Option<&'static str>,
    /// The client's clock.
    pub client_clock: Timestamp,
    /// TLS versions in which this cannot happen, with the reason.
    pub not_in: Option<(&'static str, &'static str)>,
}

/// What a server answers to those it lets in.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// A header line, without its end.
    pub header: &'static str,
    /// The body.
    pub body: &'static str,
}

/// What a server asks of clients.
#[derive(Debug)]
pub struct Asks {
    /// The DER of the CAs it names.
    pub names: Vec<Vec<u8>>,
    /// What it believes.
    pub anchors: Vec<Certificate>,
    /// Its revocation lists.
    pub crls: Vec<CertificateRevocationList>,
    /// The signature schemes it takes, where not all.
    pub schemes: Option<&'static [&'static str]>,
    /// Whether a client without a certificate is refused.
    pub required: bool,
    /// It refuses every certificate with this alert, whatever it is.
    pub alert: Option<u8>,
}

/// What listens on a port and is no right TLS server.
#[derive(Debug, Clone)]
pub enum Wire {
    /// It answers the first bytes with these, and closes.
    Bytes(Vec<u8>),
    /// It answers with a fatal alert.
    Alert(u8),
    /// It closes.
    Close,
    /// It resets the connection.
    Reset,
    /// It never answers.
    Silence,
    /// It is a right server behind a device that drops a ClientHello of more octets than these.
    DropsLargeHello(usize),
    /// It is a proxy, and refuses.
    RefusingProxy,
    /// It is a right TLS server, and is spoken to without TLS.
    SpokenToInPlain,
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoConnection {
    /// The port is closed.
    Refused,
    /// The name has no address.
    NotResolved,
    /// Nothing comes back.
    Timeout,
    /// No route.
    Unreachable,
}

/// The client's files as they are named on its command line.
#[derive(Debug, Default)]
pub struct Files {
    /// The program that reads them.
    pub program: &'static str,
    /// `--cert`: its bytes, or why there are none.
    pub certificate: Option<Content>,
    /// `--key`.
    pub key: Option<Content>,
    /// `--cacert` or `--capath`.
    pub trust: Option<Content>,
    /// What becomes of the key with the passphrase at hand.
    pub passphrase: Passphrase,
}

/// A file.
#[derive(Debug, Clone)]
pub enum Content {
    /// Its bytes.
    Bytes(Vec<u8>),
    /// It is not there.
    Missing,
    /// It may not be read.
    Denied,
    /// It is a directory of certificates without hashed names.
    PlainDirectory,
}

/// What the passphrase at hand does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Passphrase {
    /// None is needed.
    #[default]
    NotNeeded,
    /// One is needed and there is none.
    Missing,
    /// It is the wrong one.
    Wrong,
}

/// The fault of a code, by its stable name.
///
/// ```
/// assert!(testkit::faults::build("certificate_expired").is_some());
/// assert!(testkit::faults::build("no such code").is_none());
/// ```
#[must_use]
pub fn build(code: &str) -> Option<Fault> {
    pairs::build(code)
        .or_else(|| wire::build(code))
        .or_else(|| files::build(code))
        .or_else(|| texts::build(code))
}
