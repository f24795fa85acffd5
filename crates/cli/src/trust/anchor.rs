//! The root that is to be trusted, and finding it among other certificates by its bytes.
//!
//! Not a parser: whether these bytes are a certificate is the caller's to know.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
/// The labels under which bundles hold certificates: RFC 7468 section 5.1, OpenSSL's older one, and OpenSSL's with
/// trust settings behind the certificate (of which only the certificate is compared).
const LABELS: [&str; 3] = ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"];

/// One root certificate and the name it goes by in stores that want one.
#[derive(Clone, Debug)]
pub(crate) struct Anchor {
    /// The certificate.
    pub(crate) der: Vec<u8>,
    /// The same in PEM, one block.
    pub(crate) pem: String,
    /// `countersign NAME 1a2b3c4d`: printable ASCII, with the first eight digits of the SHA-256 fingerprint, since
    /// two roots of one name must not meet under one nickname.
    pub(crate) nickname: String,
    /// SHA-256 of `der`.
    pub(crate) sha256: [u8; 32],
    /// A file that holds this certificate alone, in PEM: what the commands that a person is told to paste name.
    pub(crate) file: PathBuf,
}

impl Anchor {
    /// The anchor for the certificate `der`, whose SHA-256 the caller has.
    ///
    /// `name` is what the authority calls itself; what NSS and keytool would trip over in it becomes a hyphen
    /// (NSS reads what is before a colon as the name of a token; keytool in the C locale garbles what is not ASCII).
    pub(crate) fn new(name: &str, der: Vec<u8>, sha256: [u8; 32], file: PathBuf) -> Self {
        let mut safe = String::new();
        for character in name.chars().take(48) {
            let keep = character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
            let next = if keep { character } else { '-' };
            if !(next == '-' && (safe.is_empty() || safe.ends_with('-'))) {
                safe.push(next);
            }
        }
        let safe = safe.trim_matches(['-', '.']);
        let prefix: String = sha256[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        let nickname = if safe.is_empty() {
            format!("countersign {prefix}")
        } else {
            format!("countersign {safe} {prefix}")
        };
        Self { pem: pem_encode(&der), der, nickname, sha256, file }
    }

    /// The nickname as a file name without its extension.
    pub(crate) fn file_stem(&self) -> String {
        self.nickname.replace(' ', "-")
    }

    /// Whether this certificate is one of those in `text`, a PEM bundle with whatever else between the blocks.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        blocks(text).iter().any(|block| self.is(block))
    }

    /// Whether these bytes are this certificate, perhaps with OpenSSL's trust settings behind it.
    pub(crate) fn is(&self, block: &Block) -> bool {
        block.der == self.der || (block.label == "TRUSTED CERTIFICATE" && block.der.starts_with(&self.der))
    }
}

/// One PEM block that claims to be a certificate.
#[derive(Debug)]
pub(crate) struct Block {
    label: String,
    /// Its bytes.
    pub(crate) der: Vec<u8>,
    /// Where in the text its first line begins.
    pub(crate) start: usize,
}

/// The certificate blocks of a bundle, in order. A block that cannot be decoded is passed over: it cannot be ours.
pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String, String)> = None;
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let start = offset;
        offset += line.len();
        let line = line.trim();
        if let Some(label) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix("-----")) {
            open = Some((start, label.to_owned(), String::new()));
        } else if line.starts_with(END) {
            if let Some((start, label, body)) = open.take()
                && LABELS.contains(&label.as_str())
                && let Ok(der) = STANDARD.decode(body)
            {
                found.push(Block { label, der, start });
            }
        } else if let Some((_, _, body)) = &mut open {
            body.push_str(line);
        }
    }
    found
}

/// One PEM block with lines of 64 characters (RFC 7468 section 2).
fn pem_encode(der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}
