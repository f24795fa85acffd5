//! What the doctor is told: the files and settings of this side, and what each connection showed. Facts only; what
//! they mean is the rules' work beside this file. Nothing here holds a private key: of one only the public half.

use jiff::Timestamp;
use pki::Certificate;
use pki::crl::CertificateRevocationList;
use pki::name::{DistinguishedName, ServerName};

use super::programs::Program;
use crate::finding::Finding;

/// Everything that is known.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The moment of judgement, by this machine's clock.
    pub at: Timestamp,
    /// The program whose behaviour is judged.
    pub program: Program,
    /// Who was to be reached.
    pub target: Target,
    /// What this side, the client, has.
    pub own: OwnSide,
    /// The connections, the first one as the user's client would make it.
    pub attempts: Vec<Attempt>,
    /// Certificates found beside the files that were named: a missing piece may be among them.
    pub neighbours: Vec<Neighbour>,
}

/// Who was to be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Whether the URL says `https`.
    pub is_tls: bool,
    /// The host as the certificate must name it.
    pub host: ServerName,
    /// The port.
    pub port: u16,
    /// Path and query.
    pub path: String,
    /// The Host header, where it is another than the URL's host.
    pub host_header: Option<String>,
    /// Whether the address was given instead of looked up.
    pub is_redirected: bool,
}

impl Target {
    /// A server at `host:port`.
    ///
    /// ```
    /// use explain::doctor::Target;
    /// let target = Target::new(pki::name::ServerName::parse("localhost")?, 8443);
    /// assert_eq!(target.url(), "https://localhost:8443/");
    /// # Ok::<(), pki::name::NameError>(())
    /// ```
    #[must_use]
    pub fn new(host: ServerName, port: u16) -> Self {
        Target { is_tls: true, host, port, path: "/".to_owned(), host_header: None, is_redirected: false }
    }

    /// `host:port`, with the brackets of an IPv6 address.
    #[must_use]
    pub fn authority(&self) -> String {
        match &self.host {
            ServerName::Ip(ip) if ip.is_ipv6() => format!("[{ip}]:{}", self.port),
            host => format!("{host}:{}", self.port),
        }
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority(), self.path)
    }
}

/// What the client has: what it would send, and what it believes.
#[derive(Debug, Clone, Default)]
pub struct OwnSide {
    /// Where the certificate was named, such as `client.pem`.
    pub certificate_file: Option<String>,
    /// Where the key was named.
    pub key_file: Option<String>,
    /// What it would send, leaf first; empty without a certificate.
    pub chain: Vec<Certificate>,
    /// Whether it has the key for it and so can send it.
    pub can_sign: bool,
    /// What it believes.
    pub anchors: Vec<Certificate>,
    /// The files that `anchors` come from; empty where they are the program's default.
    pub anchor_files: Vec<String>,
    /// Where the default is read from, where that is one file: Java's `cacerts`.
    pub default_anchor_file: Option<String>,
    /// Whether it is not known what the client believes, as in a recording: then only the rest is judged.
    pub trust_unknown: bool,
    /// What the server believes of clients, where that is known: its own side of a recording.
    pub peer_anchors: Vec<Certificate>,
    /// CAs that were added to the system's trust, where the program does not read that.
    pub added_anchors: Vec<Certificate>,
    /// The certificates of the authority on this machine, from which `countersign issue` issues.
    pub authority: Vec<Certificate>,
    /// The revocation lists at hand.
    pub crls: Vec<CertificateRevocationList>,
    /// Whether the user switched verification of the server off.
    pub verification_off: bool,
    /// The proxy that takes the connection.
    pub proxy: Option<Proxy>,
    /// Settings that offer less than the defaults, as they were written: `--tls-max 1.2`.
    pub restrictions: Vec<String>,
    /// The options that the client was given, in curl's words and without restrictions: for commands to paste.
    pub options: Vec<(String, String)>,
    /// What was found while reading files and settings, the blocking ones first.
    pub findings: Vec<LocalFinding>,
}

/// A finding on this side, before any connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalFinding {
    /// Whether the program does not get as far as connecting, or not with its certificate.
    pub blocks: bool,
    /// The finding.
    pub finding: Finding,
}

/// A proxy that takes the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Its host and port.
    pub authority: String,
    /// Where it was set: `--proxy`, or the environment variable.
    pub source: String,
}

/// A certificate in a file that nobody named.
#[derive(Debug, Clone)]
pub struct Neighbour {
    /// The file, relative to where the user stands.
    pub file: String,
    /// What is in it.
    pub content: NeighbourContent,
}

/// What a neighbouring file holds.
#[derive(Debug, Clone)]
pub enum NeighbourContent {
    /// One or more certificates, in their order.
    Certificates(Vec<Certificate>),
    /// A private key, by the SubjectPublicKeyInfo of its public half.
    Key(Vec<u8>),
    /// Revocation lists.
    RevocationLists(Vec<CertificateRevocationList>),
}

/// What a connection was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Variation {
    /// As the user's client does.
    AsAsked,
    /// Without the client's certificate.
    WithoutCertificate,
    /// TLS 1.2 alone.
    OnlyTls12,
    /// TLS 1.3 alone.
    OnlyTls13,
    /// Without the user's restrictions: all versions, suites and groups of this program.
    Defaults,
    /// Without a post-quantum group, so that the ClientHello fits one packet.
    SmallHello,
    /// With P-256 and P-384 alone, so that the first key share is another one.
    OtherGroup,
    /// Without server_name.
    WithoutServerName,
    /// Offering HTTP/2 alone by ALPN.
    OnlyHttp2,
    /// Plain HTTP, without TLS.
    PlainHttp,
    /// TLS to a port that was addressed without it.
    WithTls,
}

impl Variation {
    /// What is told of it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Variation::AsAsked => "as your client connects",
            Variation::WithoutCertificate => "without the client certificate",
            Variation::OnlyTls12 => "with TLS 1.2 alone",
            Variation::OnlyTls13 => "with TLS 1.3 alone",
            Variation::Defaults => "without your restrictions",
            Variation::SmallHello => "with a ClientHello that fits one packet",
            Variation::OtherGroup => "with a key share of P-256",
            Variation::WithoutServerName => "without a server name",
            Variation::OnlyHttp2 => "offering HTTP/2 by ALPN",
            Variation::PlainHttp => "with plain HTTP",
            Variation::WithTls => "with TLS",
        }
    }
}

/// One connection.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// What it was made with.
    pub variation: Variation,
    /// The address and port that answered.
    pub address: Option<String>,
    /// The certificates the server sent, in DER, in its order.
    pub served: Vec<Vec<u8>>,
    /// What was agreed on, where the handshake came that far.
    pub negotiated: Option<Agreed>,
    /// What the server asked for, where it asked for a client certificate.
    pub request: Option<Asked>,
    /// Whether a certificate was sent.
    pub sent_certificate: bool,
    /// The OCSP response that the server stapled to its leaf, in DER, where it did.
    pub stapled: Option<Vec<u8>>,
    /// Why the server's signature over the handshake could not be verified, where it could not.
    pub doubt: Option<String>,
    /// How it ended.
    pub end: End,
    /// The answer, where one came.
    pub answer: Option<Answer>,
}

impl Attempt {
    /// A connection of which nothing is known yet but how it ended.
    ///
    /// ```
    /// use explain::doctor::{Attempt, End, Variation};
    /// let attempt = Attempt::new(Variation::AsAsked, End::Answered);
    /// assert!(attempt.served.is_empty());
    /// ```
    #[must_use]
    pub fn new(variation: Variation, end: End) -> Self {
        Attempt {
            variation,
            address: None,
            served: Vec::new(),
            negotiated: None,
            request: None,
            sent_certificate: false,
            stapled: None,
            doubt: None,
            end,
            answer: None,
        }
    }

    /// The certificates the server sent, as far as they can be read.
    #[must_use]
    pub fn served_certificates(&self) -> Vec<Certificate> {
        self.served.iter().filter_map(|der| Certificate::from_der(der).ok()).collect()
    }

    /// Whether the handshake came to its end on the client's side.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.negotiated.is_some()
    }

    /// Whether the server did not refuse: it answered, or was silent after the handshake.
    #[must_use]
    pub fn is_let_in(&self) -> bool {
        matches!(self.end, End::Answered | End::Silent)
    }
}

/// What two sides agreed on, in the registries' words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Agreed {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: String,
    /// The cipher suite.
    pub cipher_suite: String,
    /// The group.
    pub group: String,
    /// The application protocol.
    pub application_protocol: Option<String>,
}

impl Agreed {
    /// Whether it is TLS 1.3, where the server judges the client's certificate after the client is done.
    #[must_use]
    pub fn is_tls13(&self) -> bool {
        self.version == "TLSv1.3"
    }
}

/// A CertificateRequest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// The DER of the names of the CAs; none means that it does not say.
    pub authorities: Vec<Vec<u8>>,
    /// The signature schemes, in the registry's names.
    pub signature_schemes: Vec<String>,
}

impl Asked {
    /// The names of the CAs.
    #[must_use]
    pub fn names(&self) -> Vec<DistinguishedName> {
        self.authorities.iter().filter_map(|der| DistinguishedName::from_der(der).ok()).collect()
    }

    /// Whether one of the chain was issued by a CA that is named. True where none is named.
    #[must_use]
    pub fn names_an_issuer_of(&self, chain: &[Certificate]) -> bool {
        self.authorities.is_empty()
            || self.names().iter().any(|name| chain.iter().any(|c| c.issuer().matches(name)))
    }

    /// The octets of the list of names on the wire (RFC 8446 section 4.2.4): two octets of length each.
    #[must_use]
    pub fn list_octets(&self) -> usize {
        self.authorities.iter().map(|der| der.len() + 2).sum()
    }
}

/// How a connection ended, or stood when it was left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The server answered the request.
    Answered,
    /// The handshake is done and the server said nothing in the time it was given.
    Silent,
    /// The server sent a fatal alert.
    Alert {
        /// Its number.
        description: u8,
        /// Whether it came after the client's Finished.
        after_finished: bool,
    },
    /// The server closed without an alert, or with close_notify.
    Closed {
        /// Whether that was after the client's Finished.
        after_finished: bool,
    },
    /// The connection was reset.
    Reset {
        /// Whether that was after the client's Finished.
        after_finished: bool,
        /// Whether the server had sent anything before.
        heard_anything: bool,
    },
    /// Nothing came in the time the handshake was given.
    HandshakeTimeout,
    /// This side ended the handshake: the reason in the library's words.
    GivenUp(GivenUp),
    /// The server speaks something else; its first bytes.
    NotTls(Vec<u8>),
    /// No connection: the port is closed.
    ConnectionRefused,
    /// No connection: the name has no address.
    NotResolved(String),
    /// No connection in time.
    ConnectTimeout,
    /// No connection for another reason.
    Unreachable(String),
    /// The proxy refused to connect; its status line.
    ProxyRefused(String),
    /// The proxy itself could not be reached.
    ProxyUnreachable(String),
}

/// Why this side ended a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenUp {
    /// The server chose a version that is not offered.
    Version(String),
    /// The server chose a cipher suite, group or signature that is not offered.
    Parameters(String),
    /// The server's certificate cannot be read or its signature does not verify.
    Certificate(String),
    /// No application protocol in common.
    ApplicationProtocol,
    /// Anything else that breaks the protocol.
    Protocol(String),
}

/// The answer to an empty GET.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The Date header.
    pub date: Option<Timestamp>,
    /// The Server header.
    pub server: Option<String>,
    /// The Location header.
    pub location: Option<String>,
    /// The beginning of the body as text.
    pub body: String,
}

impl Facts {
    /// The connection as the user's client makes it, where one was tried.
    #[must_use]
    pub fn main(&self) -> Option<&Attempt> {
        self.attempts.iter().find(|attempt| attempt.variation == Variation::AsAsked)
    }

    /// The connection with this variation, where it was tried.
    #[must_use]
    pub fn with(&self, variation: Variation) -> Option<&Attempt> {
        self.attempts.iter().find(|attempt| attempt.variation == variation)
    }

    /// What the server serves, from whichever connection showed it.
    #[must_use]
    pub fn served(&self) -> Vec<Certificate> {
        let seen = |attempt: &&Attempt| {
            !attempt.served.is_empty() && attempt.variation != Variation::WithoutServerName
        };
        self.attempts.iter().find(seen).map(Attempt::served_certificates).unwrap_or_default()
    }

    /// What the server asks of clients, from whichever connection showed it.
    #[must_use]
    pub fn asked(&self) -> Option<&Asked> {
        self.attempts.iter().find_map(|attempt| attempt.request.as_ref())
    }

    /// The leaf this side would send.
    #[must_use]
    pub fn own_leaf(&self) -> Option<&Certificate> {
        self.own.chain.first()
    }

    /// The file beside the named ones that holds a certificate for which this holds.
    pub(crate) fn neighbour(&self, fits: impl Fn(&Certificate) -> bool) -> Option<(&str, &Certificate)> {
        self.neighbours.iter().find_map(|neighbour| match &neighbour.content {
            NeighbourContent::Certificates(list) => {
                list.iter().find(|certificate| fits(certificate)).map(|c| (neighbour.file.as_str(), c))
            }
            NeighbourContent::Key(_) | NeighbourContent::RevocationLists(_) => None,
        })
    }
}
