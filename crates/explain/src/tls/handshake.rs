//! Handshake messages (RFC 8446 section 4, RFC 5246 section 7.4), field by field. A message is decoded alone, with
//! what the hellos before it decided; whatever its bytes are, a tree comes back that covers them all.

use crate::escape;
use crate::finding::Sender;
use crate::tls::der_fields;
use crate::tls::extension::{Place, certificate_status, compression_name, extensions, numbers};
use crate::tls::handshake12::{
    certificate_of_tls12, certificate_request_of_tls12, client_key_exchange, server_key_exchange,
    session_ticket_of_tls12,
};
use crate::tls::inflate::{self, inflate};
use crate::tls::node::{Decoder, Node, Said, big_endian, hex_start, said};
use crate::tls::registry::{KeyExchange, cipher_suite_name, or_hex, signature_scheme_name, version_name};

/// A longer message is shown as one field: no real one is (OpenSSL takes certificates up to 100 KiB by default,
/// rustls messages up to 64 KiB), and each field costs memory.
pub(crate) const LONGEST: usize = 256 * 1024;

/// The random value of a ServerHello that is a HelloRetryRequest (RFC 8446 section 4.1.3).
pub(crate) const HELLO_RETRY_REQUEST: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
    0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// What was decided before a message, and how it has to be read therefore.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// The version, once a ServerHello chose it.
    pub version: Option<u16>,
    /// How keys are agreed on (TLS 1.2).
    pub key_exchange: Option<KeyExchange>,
    /// The length of Finished under TLS 1.3: that of the suite's hash.
    pub finished_length: Option<usize>,
    /// Who sent the message.
    pub from_client: bool,
}

impl Context {
    pub(crate) fn is_tls13(&self) -> bool {
        self.version == Some(0x0304)
    }

    pub(crate) fn sender(&self) -> Sender {
        if self.from_client { Sender::Client } else { Sender::Server }
    }
}

/// What a CertificateRequest asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateRequest {
    /// The names of the CAs that are accepted, in DER; none means that it does not say.
    pub authorities: Vec<Vec<u8>>,
    /// The signature schemes that are accepted.
    pub signature_schemes: Vec<u16>,
    /// The kinds of certificates (TLS 1.2): 1 is RSA, 64 is ECDSA.
    pub certificate_types: Vec<u8>,
    /// What the client repeats, so that the two belong together; not empty only after the handshake.
    pub context: Vec<u8>,
}

/// What a message says that later messages depend on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    /// Certificates are one field each: for a table, where nobody sees their fields.
    pub(crate) brief: bool,
    pub(crate) random: Option<[u8; 32]>,
    pub(crate) legacy_version: Option<u16>,
    pub(crate) cipher_suite: Option<u16>,
    pub(crate) session_id: Vec<u8>,
    pub(crate) extensions: Vec<(u16, Vec<u8>)>,
    pub(crate) certificates: Option<Vec<Vec<u8>>>,
    /// Whether a delegated credential comes with the certificates (RFC 9345): CertificateVerify is made with that.
    pub(crate) delegated: bool,
    /// The CertificateStatus of the sender's own certificate (RFC 6066 section 8).
    pub(crate) status: Option<Vec<u8>>,
    pub(crate) request: Option<CertificateRequest>,
    pub(crate) signature: Option<(u16, Vec<u8>)>,
    /// The part of a ServerKeyExchange that is signed.
    pub(crate) parameters: Vec<u8>,
    pub(crate) group: Option<u16>,
    pub(crate) verify_data: Vec<u8>,
    pub(crate) lifetime: Option<u64>,
    pub(crate) update_requested: bool,
}

impl Facts {
    pub(crate) fn extension(&self, number: u16) -> Option<&[u8]> {
        self.extensions.iter().find(|(known, _)| *known == number).map(|(_, data)| data.as_slice())
    }

    pub(crate) fn is_hello_retry_request(&self) -> bool {
        self.random == Some(HELLO_RETRY_REQUEST)
    }
}

/// The name of a message as RFC 8446 and RFC 5246 spell it.
#[must_use]
pub fn message_name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        0 => "HelloRequest",
        1 => "ClientHello",
        2 => "ServerHello",
        4 => "NewSessionTicket",
        5 => "EndOfEarlyData",
        8 => "EncryptedExtensions",
        11 => "Certificate",
        12 => "ServerKeyExchange",
        13 => "CertificateRequest",
        14 => "ServerHelloDone",
        15 => "CertificateVerify",
        16 => "ClientKeyExchange",
        20 => "Finished",
        21 => "CertificateURL",
        22 => "CertificateStatus",
        23 => "SupplementalData",
        24 => "KeyUpdate",
        25 => "CompressedCertificate",
        67 => "NextProtocol",
        203 => "ChannelID",
        254 => "message_hash",
        _ => return None,
    })
}

/// Decodes one handshake message with its header.
///
/// ```
/// use explain::tls::handshake::{Context, decode};
/// let node = decode(&[24, 0, 0, 1, 1], &Context { version: Some(0x0304), ..Context::default() });
/// assert_eq!(node.name, "KeyUpdate");
/// assert_eq!(node.leaves().len(), 3);
/// ```
#[must_use]
pub fn decode(message: &[u8], context: &Context) -> Node {
    decode_with_facts(message, context, false).0
}

pub(crate) fn decode_with_facts(message: &[u8], context: &Context, brief: bool) -> (Node, Facts) {
    let mut facts = Facts { brief, ..Facts::default() };
    let mut d = Decoder::new(message);
    let kind = message.first().copied().unwrap_or_default();
    let kind_name = message_name(kind);
    d.number(1, "msg_type", "RFC 8446 section 4", |kind| {
        let name = kind_name.map_or_else(|| format!("unknown ({kind})"), |name| format!("{name} ({kind})"));
        let said = said(name, "Which handshake message this is.");
        said.but_if(kind_name.is_none(), "no message has this type")
    });
    let length = d.number(3, "length", "RFC 8446 section 4", |length| {
        said(length.to_string(), "How many bytes of the message follow.")
    });
    let left = d.left();
    if let Some(length) = length
        && length as usize != left
    {
        d.blame(format!("its length says {length} bytes, and {left} follow"));
    }
    let whole = if message.len() > LONGEST {
        d.rest("body", "RFC 8446 section 4", |octets| {
            said(hex_start(octets), "Too long to be shown field by field.")
                .but(format!("a message of {} bytes, which no receiver takes", octets.len()))
        });
        Said::default()
    } else {
        body(&mut d, kind, context, &mut facts)
    };
    d.close();
    let Said { value, meaning, problem } = whole;
    let name = match kind {
        2 if facts.is_hello_retry_request() => "HelloRetryRequest".into(),
        _ => kind_name.map_or_else(|| format!("Handshake({kind})").into(), Into::into),
    };
    let children = d.into_nodes();
    (
        Node {
            name,
            start: 0,
            end: message.len(),
            value,
            meaning,
            reference: reference(kind, context),
            problem,
            children,
        },
        facts,
    )
}

fn reference(kind: u8, context: &Context) -> &'static str {
    let tls13 = context.is_tls13();
    match kind {
        0 => "RFC 5246 section 7.4.1.1",
        1 => "RFC 8446 section 4.1.2",
        2 => "RFC 8446 section 4.1.3",
        4 if tls13 => "RFC 8446 section 4.6.1",
        4 => "RFC 5077 section 3.3",
        5 => "RFC 8446 section 4.5",
        8 => "RFC 8446 section 4.3.1",
        11 if tls13 => "RFC 8446 section 4.4.2",
        11 if context.from_client => "RFC 5246 section 7.4.6",
        11 => "RFC 5246 section 7.4.2",
        12 => "RFC 5246 section 7.4.3",
        13 if tls13 => "RFC 8446 section 4.3.2",
        13 => "RFC 5246 section 7.4.4",
        14 => "RFC 5246 section 7.4.5",
        15 if tls13 => "RFC 8446 section 4.4.3",
        15 => "RFC 5246 section 7.4.8",
        16 => "RFC 5246 section 7.4.7",
        20 if tls13 => "RFC 8446 section 4.4.4",
        20 => "RFC 5246 section 7.4.9",
        22 => "RFC 6066 section 8",
        24 => "RFC 8446 section 4.6.3",
        25 => "RFC 8879 section 4",
        _ => "RFC 8446 section 4",
    }
}

fn body(d: &mut Decoder<'_>, kind: u8, context: &Context, facts: &mut Facts) -> Said {
    match kind {
        0 => said("", "The server asks the client to begin a new handshake within the connection."),
        1 => client_hello(d, facts),
        2 => server_hello(d, facts),
        4 if context.is_tls13() => new_session_ticket(d, facts),
        4 => session_ticket_of_tls12(d, facts),
        5 => said("", "The end of the 0-RTT data."),
        8 => encrypted_extensions(d, facts),
        11 if context.is_tls13() => certificate(d, context, facts),
        11 => certificate_of_tls12(d, facts),
        12 => server_key_exchange(d, context, facts),
        13 if context.is_tls13() => certificate_request(d, facts),
        13 => certificate_request_of_tls12(d, facts),
        14 => said("", "The server has said all of its part; it is the client's turn."),
        15 => certificate_verify(d, context, facts),
        16 => client_key_exchange(d, context),
        20 => finished(d, context, facts),
        22 => {
            facts.status = Some(d.remaining().to_vec());
            certificate_status(d);
            said("", "The issuer's word on whether the server's certificate is revoked (OCSP stapling).")
        }
        24 => key_update(d, facts),
        25 => compressed_certificate(d, context, facts),
        _ => {
            d.rest("body", "RFC 8446 section 4", |octets| said(hex_start(octets), "Its content, undecoded."));
            Said::default()
        }
    }
}

fn random<'a>(d: &mut Decoder<'a>, meaning: &'static str) -> Option<[u8; 32]> {
    let octets = d.octets(32, "random", "RFC 8446 section 4.1.2", |octets| {
        let (text, meaning) = if octets == HELLO_RETRY_REQUEST {
            (
                "HelloRetryRequest".to_owned(),
                "The SHA-256 of \"HelloRetryRequest\": that is what this message is.",
            )
        } else if octets.ends_with(b"DOWNGRD\x01") {
            (
                pki::hex(octets),
                "Ends in DOWNGRD 01: a server that speaks TLS 1.3 says that it was asked for 1.2.",
            )
        } else if octets.ends_with(b"DOWNGRD\x00") {
            (
                pki::hex(octets),
                "Ends in DOWNGRD 00: a server that speaks a newer TLS says that it was asked for an old one.",
            )
        } else {
            (pki::hex(octets), meaning)
        };
        said(text, meaning)
    })?;
    <[u8; 32]>::try_from(octets).ok()
}

fn session_id(d: &mut Decoder<'_>, name: &'static str, meaning: &'static str) -> Vec<u8> {
    let mut id = Vec::new();
    d.vector(1, name, "RFC 8446 section 4.1.2", |inner| {
        id = inner
            .rest("session_id", "RFC 8446 section 4.1.2", |octets| {
                said(pki::hex(octets), "Random, or the name of a session.")
                    .but_if(octets.len() > 32, "longer than 32 bytes")
            })
            .to_vec();
        said(hex_start(&id), meaning)
    });
    id
}

fn client_hello(d: &mut Decoder<'_>, facts: &mut Facts) -> Said {
    let at = "RFC 8446 section 4.1.2";
    facts.legacy_version = d
        .number(2, "legacy_version", at, |version| {
            said(
                or_hex(version_name(version as u16), version as u16),
                "TLS 1.2 also where 1.3 is meant, since old servers choke on anything else; supported_versions says \
                 the truth.",
            )
        })
        .map(|version| version as u16);
    facts.random = random(
        d,
        "32 fresh random bytes: no two handshakes are the same. Key logs name a connection by them.",
    );
    facts.session_id = session_id(
        d,
        "legacy_session_id",
        "Under TLS 1.3 without a meaning: filled so that middleboxes see what looks like a resumed TLS 1.2 session.",
    );
    numbers(
        d,
        2,
        "cipher_suites",
        "CipherSuite",
        at,
        "The suites that the client takes, the preferred one first.",
        cipher_suite_name,
        "A cipher with its hash; before TLS 1.3 with the key exchange too.",
    );
    d.vector(1, "legacy_compression_methods", at, |list| {
        while !list.is_empty() {
            list.number(1, "CompressionMethod", at, |method| {
                said(
                    if method == 0 { "null (0)".to_owned() } else { method.to_string() },
                    "Only null is allowed now.",
                )
                .but_if(method != 0, "compression of records leaks secrets (CRIME) and is not used any more")
            });
        }
        said("", "Not used any more.")
    });
    if !d.is_empty() {
        extensions(d, Place::ClientHello, &mut |number, data| facts.extensions.push((number, data.to_vec())));
    }
    let name = server_name(facts).unwrap_or_else(|| "no server name".to_owned());
    let meaning = if facts.extension(51).is_some() {
        "The client opens the conversation: what it can do, what it wants, and its half of the key exchange."
    } else {
        "The client opens the conversation: what it can do, and what it wants."
    };
    said(name, meaning)
}

/// The name in SNI.
pub(crate) fn server_name(facts: &Facts) -> Option<String> {
    // ServerNameList: two octets of length, the type, and two octets of length again.
    let data = facts.extension(0)?;
    let length = usize::from(*data.get(3)?) << 8 | usize::from(*data.get(4)?);
    let name = data.get(5..)?;
    Some(escape::bytes(name.get(..length.min(name.len()))?)).filter(|name| !name.is_empty())
}

/// The protocols in ALPN.
pub(crate) fn application_protocols(facts: &Facts) -> Vec<String> {
    let mut names = Vec::new();
    let mut data = facts.extension(16).and_then(|data| data.get(2..)).unwrap_or_default();
    while let Some((length, rest)) = data.split_first() {
        let (name, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        names.push(escape::bytes(name));
        data = rest;
    }
    names
}

fn server_hello(d: &mut Decoder<'_>, facts: &mut Facts) -> Said {
    let at = "RFC 8446 section 4.1.3";
    facts.legacy_version = d
        .number(2, "legacy_version", at, |version| {
            said(
                or_hex(version_name(version as u16), version as u16),
                "The version, up to TLS 1.2; TLS 1.3 stands in supported_versions, and 1.2 here.",
            )
        })
        .map(|version| version as u16);
    facts.random = random(d, "The server's 32 fresh random bytes.");
    let retry = facts.is_hello_retry_request();
    facts.session_id = session_id(
        d,
        "legacy_session_id_echo",
        "Under TLS 1.3 the client's value sent back; under TLS 1.2 the name of the session.",
    );
    facts.cipher_suite = d
        .number(2, "cipher_suite", at, |suite| {
            let suite = suite as u16;
            said(
                or_hex(cipher_suite_name(suite), suite),
                "The suite that the server chose from the client's list.",
            )
        })
        .map(|suite| suite as u16);
    d.number(1, "legacy_compression_method", at, |method| {
        said(if method == 0 { "null (0)".to_owned() } else { method.to_string() }, "None.")
            .but_if(method != 0, "compression of records leaks secrets (CRIME) and is not used any more")
    });
    if !d.is_empty() {
        let place = if retry { Place::HelloRetryRequest } else { Place::ServerHello };
        extensions(d, place, &mut |number, data| facts.extensions.push((number, data.to_vec())));
    }
    let suite = facts.cipher_suite.map(|suite| or_hex(cipher_suite_name(suite), suite)).unwrap_or_default();
    let meaning = if retry {
        "The client's guess was not good enough: it has to send its hello again, with what is asked for here."
    } else if facts.extension(43).is_some() {
        "The server chooses, and gives its half of the key exchange: from here on both can encrypt."
    } else {
        "The server chooses from what the client offered. Keys are agreed on further down, still in clear."
    };
    said(suite, meaning)
}

fn encrypted_extensions(d: &mut Decoder<'_>, facts: &mut Facts) -> Said {
    extensions(d, Place::EncryptedExtensions, &mut |number, data| {
        facts.extensions.push((number, data.to_vec()))
    });
    said("", "The rest of the server's answers; the first message that nobody else can read.")
}

fn certificate_request(d: &mut Decoder<'_>, facts: &mut Facts) -> Said {
    let at = "RFC 8446 section 4.3.2";
    let mut request = CertificateRequest::default();
    d.vector(1, "certificate_request_context", at, |inner| {
        request.context = inner
            .rest("context", at, |octets| said(hex_start(octets), "The client's Certificate repeats it."))
            .to_vec();
        said(
            hex_start(&request.context),
            "Empty within the handshake; names the request where it comes after it.",
        )
    });
    extensions(d, Place::CertificateRequest, &mut |number, data| match number {
        13 => {
            let list = data.get(2..).unwrap_or_default();
            request.signature_schemes = list.chunks_exact(2).map(|pair| big_endian(pair) as u16).collect();
        }
        47 => request.authorities = names_in(data.get(2..).unwrap_or_default()),
        _ => {}
    });
    let text = requested(&request);
    facts.request = Some(request);
    said(text, "The server asks the client to prove who it is: this is where TLS becomes mutual.")
}

pub(super) fn requested(request: &CertificateRequest) -> String {
    match request.authorities.len() {
        0 => "a certificate of any CA".to_owned(),
        1 => "a certificate of the one CA named".to_owned(),
        many => format!("a certificate of one of {many} CAs"),
    }
}

pub(super) fn names_in(mut list: &[u8]) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    while let (Some(length), Some(rest)) = (list.get(..2), list.get(2..)) {
        let length = big_endian(length) as usize;
        let (name, rest) = rest.split_at(length.min(rest.len()));
        names.push(name.to_vec());
        list = rest;
    }
    names
}

/// The OCSP response in a CertificateStatus, where it is a whole one.
pub(super) fn ocsp_response(status: &[u8]) -> Option<Vec<u8>> {
    let [1, a, b, c, response @ ..] = status else { return None };
    let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
    (response.len() == length).then(|| response.to_vec())
}

pub(super) fn certificate_entry(
    list: &mut Decoder<'_>,
    at: &'static str,
    index: usize,
    brief: bool,
) -> Option<Vec<u8>> {
    let mut der = None;
    list.vector(3, "cert_data", at, |data| {
        der = Some(data.remaining().to_vec());
        let subject = if brief {
            data.rest("Certificate", at, |octets| said(hex_start(octets), "A certificate in DER."));
            String::new()
        } else {
            der_fields::certificate(data)
        };
        said(subject, if index == 0 { "The sender's own certificate." } else { "A CA above it." })
    });
    der
}

fn certificate(d: &mut Decoder<'_>, context: &Context, facts: &mut Facts) -> Said {
    let at = "RFC 8446 section 4.4.2";
    let mut chain = Vec::new();
    d.vector(1, "certificate_request_context", at, |inner| {
        inner.rest("context", at, |octets| said(hex_start(octets), "The one of the CertificateRequest."));
        said("", "What the CertificateRequest had in its place; empty from a server.")
    });
    d.vector(3, "certificate_list", at, |list| {
        while !list.is_empty() {
            let start = list.at();
            list.group("CertificateEntry", at, |entry| {
                let der = certificate_entry(entry, at, chain.len(), facts.brief);
                if !entry.is_empty() {
                    let is_own = chain.is_empty();
                    extensions(entry, Place::Certificate, &mut |number, data| match number {
                        // status_request
                        5 if is_own => facts.status = Some(data.to_vec()),
                        34 => facts.delegated = true,
                        _ => {}
                    });
                }
                chain.extend(der);
                said("", "A certificate with its extensions.")
            });
            if list.at() == start {
                break;
            }
        }
        said(
            format!("{} certificate(s)", chain.len()),
            "The sender's own certificate, then those of the CAs above it.",
        )
    });
    let said = chain_said(&chain, context.sender());
    facts.certificates = Some(chain);
    said
}

fn chain_said(chain: &[Vec<u8>], sender: Sender) -> Said {
    match (chain.len(), sender) {
        (0, Sender::Client) => said(
            "empty",
            "The client has no certificate that fits, and says so by an empty list. Whether that is enough is the \
             server's decision, which the client has not heard yet.",
        ),
        (0, Sender::Server) => {
            said("empty", "A server must send a certificate.").but("a server's list may not be empty")
        }
        (many, Sender::Client) => said(
            format!("{many} certificate(s)"),
            "Who the client says it is. The proof follows in CertificateVerify.",
        ),
        (many, Sender::Server) => said(
            format!("{many} certificate(s)"),
            "Who the server says it is. Anyone could send this: the proof follows.",
        ),
    }
}

fn compressed_certificate(d: &mut Decoder<'_>, context: &Context, facts: &mut Facts) -> Said {
    let at = "RFC 8879 section 4";
    let algorithm = d.number(2, "algorithm", at, |algorithm| {
        said(or_hex(compression_name(algorithm as u16), algorithm as u16), "How it is compressed.")
    });
    let length = d.number(3, "uncompressed_length", at, |length| {
        said(length.to_string(), "How long the Certificate message is once decompressed, without its header.")
    });
    let mut whole = said("", "A Certificate message, compressed.");
    d.vector(3, "compressed_certificate_message", at, |data| {
        let mut result = Err(inflate::InflateError::UnknownAlgorithm);
        data.rest("compressed", at, |octets| {
            result =
                inflate(algorithm.unwrap_or_default() as u16, octets, length.unwrap_or_default() as usize);
            let said = said(hex_start(octets), "The message, compressed; it is shown decompressed below.");
            match &result {
                Ok(_) => said,
                Err(error) => said.but(error.to_string()),
            }
        });
        if let Ok(message) = result {
            let mut inner = Decoder::new(&message);
            whole = certificate(&mut inner, context, facts);
        }
        said("", "The content.")
    });
    whole
}

/// The Certificate message within a CompressedCertificate, with a header as if it had been sent like that.
pub(crate) fn decompressed(message: &[u8]) -> Option<Vec<u8>> {
    let algorithm = big_endian(message.get(4..6)?) as u16;
    let length = big_endian(message.get(6..9)?) as usize;
    let body = inflate(algorithm, message.get(12..)?, length).ok()?;
    let mut whole = vec![11];
    whole.extend_from_slice(&u32::try_from(body.len()).ok()?.to_be_bytes()[1..]);
    whole.extend(body);
    Some(whole)
}

fn certificate_verify(d: &mut Decoder<'_>, context: &Context, facts: &mut Facts) -> Said {
    let at = reference(15, context);
    let scheme = d.number(2, "algorithm", at, |scheme| {
        said(or_hex(signature_scheme_name(scheme as u16), scheme as u16), "How it is signed.")
    });
    signature(d, at, scheme, facts);
    let who = if context.from_client { "client" } else { "server" };
    said(
        scheme.and_then(|scheme| signature_scheme_name(scheme as u16)).unwrap_or_default(),
        format!(
            "The {who}'s proof: a signature over all that was said so far, which only the holder of the certificate's \
             private key can make, and only in this connection."
        ),
    )
}

pub(super) fn signature(d: &mut Decoder<'_>, at: &'static str, scheme: Option<u64>, facts: &mut Facts) {
    d.vector(2, "signature", at, |inner| {
        let octets = inner.rest("signature", at, |octets| said(hex_start(octets), "The signature itself."));
        facts.signature = scheme.map(|scheme| (scheme as u16, octets.to_vec()));
        said("", "")
    });
}

fn finished(d: &mut Decoder<'_>, context: &Context, facts: &mut Facts) -> Said {
    // RFC 5246 section 7.4.9: twelve octets in every suite there is.
    let length = if context.is_tls13() { context.finished_length.unwrap_or_else(|| d.left()) } else { 12 };
    let who = if context.from_client { "client" } else { "server" };
    let octets = d.octets(length, "verify_data", reference(20, context), |octets| {
        said(
            pki::hex(octets),
            "An HMAC over the handshake's transcript, with a key that only the two sides have.",
        )
    });
    facts.verify_data = octets.unwrap_or_default().to_vec();
    said(
        "",
        format!(
            "The {who}'s seal on the handshake: it has the keys, and it saw the same messages in the same order. Had \
             anyone changed one byte on the way, this would not fit."
        ),
    )
}

fn new_session_ticket(d: &mut Decoder<'_>, facts: &mut Facts) -> Said {
    let at = "RFC 8446 section 4.6.1";
    facts.lifetime = d.number(4, "ticket_lifetime", at, |seconds| {
        said(format!("{seconds} s"), "How long the ticket may be used.")
            .but_if(seconds > 604_800, "more than seven days")
    });
    d.number(4, "ticket_age_add", at, |number| {
        said(
            number.to_string(),
            "Added to the ticket's age when it is used, so that two uses cannot be linked.",
        )
    });
    d.vector(1, "ticket_nonce", at, |nonce| {
        nonce.rest("nonce", at, |octets| {
            said(hex_start(octets), "Makes the key of each ticket a different one.")
        });
        Said::default()
    });
    d.vector(2, "ticket", at, |ticket| {
        ticket.rest("ticket", at, |octets| {
            said(
                hex_start(octets),
                "Either the session encrypted by the server for itself, or a name for it.",
            )
        });
        Said::default()
    });
    if !d.is_empty() {
        extensions(d, Place::NewSessionTicket, &mut |_, _| {});
    }
    let lifetime = facts.lifetime.map(|seconds| format!("good for {seconds} s")).unwrap_or_default();
    said(lifetime, "With this the client can resume the session later without certificates.")
}

fn key_update(d: &mut Decoder<'_>, facts: &mut Facts) -> Said {
    let requested = d.number(1, "request_update", "RFC 8446 section 4.6.3", |value| match value {
        0 => said("update_not_requested (0)", "The other side may keep its keys."),
        1 => said("update_requested (1)", "The other side has to change its keys too."),
        other => said(other.to_string(), "Unknown.").but("only 0 and 1 are defined"),
    });
    facts.update_requested = requested == Some(1);
    said("", "All that this side sends from here on is encrypted with the next key.")
}
