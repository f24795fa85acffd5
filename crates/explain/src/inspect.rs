//! From bytes to items: what kind of file it is, and what each part of it is. Nothing is refused; what cannot be
//! read is told.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jiff::Timestamp;

use crate::armour::{self, Armoured};
use crate::certificate::CertificateDescription;
use crate::chain;
use crate::crl::RevocationListDescription;
use crate::key::{KeyDescription, KeyFormat};
use crate::model::{Content, Inspection, Item, Position, Remark};
use crate::pkcs7::Pkcs7Description;
use crate::pkcs12::Pkcs12Description;
use crate::recognise::{Kind, is_ocsp_response, recognise};
use crate::remark;
use crate::request::RequestDescription;
use crate::tlv::{Cursor, Problems, Tree};

/// How many items of one input are described; a bundle of every public root has about 150.
const MOST_ITEMS: usize = 2000;

/// Padding is accepted with or without: this is for showing.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Inspects a file: PEM, DER, base64 without markers, or something else that is then named.
///
/// ```
/// let now = "2026-06-15T12:00:00Z".parse()?;
/// let inspection = explain::inspect(b"<html>", "page.pem", now);
/// assert!(!inspection.is_understood());
/// # Ok::<(), jiff::Error>(())
/// ```
#[must_use]
pub fn inspect(bytes: &[u8], source_name: &str, now: Timestamp) -> Inspection {
    let mut inspector = Inspector { items: Vec::new(), problems: Problems::default(), now };
    inspector.read(bytes);
    inspector.finish(source_name, false)
}

/// Describes the certificates a server sent, in the order it sent them.
#[must_use]
pub fn describe_chain(ders: &[Vec<u8>], source_name: &str, now: Timestamp) -> Inspection {
    let mut inspector = Inspector { items: Vec::new(), problems: Problems::default(), now };
    for (index, der) in ders.iter().enumerate().take(MOST_ITEMS) {
        inspector.add(der, Position::Sent(index + 1), None, Some(Kind::Certificate));
    }
    if ders.is_empty() {
        inspector.problems.note(0, "the peer sent no certificate");
    }
    inspector.finish(source_name, true)
}

struct Inspector {
    items: Vec<Item>,
    problems: Problems,
    now: Timestamp,
}

impl Inspector {
    fn finish(self, source_name: &str, sent: bool) -> Inspection {
        let remarks = chain::remarks(&self.items, sent);
        Inspection {
            source: crate::escape::text(source_name),
            at: self.now,
            items: self.items,
            problems: self.problems.into_list(),
            remarks,
        }
    }

    fn read(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            self.problems.note(0, "the file is empty");
            return;
        }
        let utf8 = armour::from_utf16(bytes);
        if utf8.is_some() {
            self.problems
                .note(0, "the text is UTF-16, which OpenSSL does not read; save it as UTF-8 without BOM");
        }
        let bytes = utf8.as_deref().unwrap_or(bytes);
        if armour::has_markers(bytes) {
            let blocks = armour::read(bytes, &mut self.problems);
            for block in blocks {
                self.add_block(block);
            }
            return;
        }
        if let Some(decoded) = bare_base64(bytes) {
            if decoded.first() == Some(&0x30) {
                self.problems
                    .note(0, "base64 without -----BEGIN and -----END lines, which TLS programs do not read");
                self.add_all(&decoded);
            } else {
                // Decoding makes it shorter each time, and a PEM block is no bare base64, so this goes one deep.
                self.problems.note(
                    0,
                    "PEM encoded as base64 once more, as in a Kubernetes secret; decode it: base64 -d",
                );
                self.read(&decoded);
            }
        } else if matches!(bytes, [0x30, _, ..]) {
            self.add_all(bytes);
        } else {
            self.add_foreign(bytes);
        }
    }

    /// DER structures one after the other.
    fn add_all(&mut self, der: &[u8]) {
        let mut cursor = Cursor::new(der);
        let mut ahead = Problems::default();
        while let Some(element) = cursor.next(&mut ahead) {
            if self.items.len() >= MOST_ITEMS {
                self.problems.note(element.offset, "more items follow, which are not described");
                return;
            }
            if !element.is(0x30) {
                let count = der.len() - element.offset;
                self.problems.note(element.offset, format!("{count} byte(s) follow the structure"));
                return;
            }
            self.add(element.whole, Position::Byte(element.offset), None, None);
        }
    }

    fn add_block(&mut self, block: Armoured) {
        if self.items.len() >= MOST_ITEMS {
            self.problems.note(0, format!("line {}: more items follow, which are not described", block.line));
            return;
        }
        let position = Position::Line(block.line);
        let label = block.label.as_str();
        let dek_info =
            block.headers.iter().find(|(name, _)| name == "DEK-Info").map(|(_, value)| value.as_str());
        if let Some(dek_info) = dek_info {
            let key = KeyDescription::from_encrypted_headers(label, dek_info);
            self.push_key(key, position, Some(block.label), Problems::default());
            return;
        }
        if label == "OPENSSH PRIVATE KEY" {
            let key = KeyDescription::from_openssh(&block.der);
            self.push_key(key, position, Some(block.label), Problems::default());
            return;
        }
        let kind = match label {
            "CERTIFICATE" | "X509 CERTIFICATE" => Some(Kind::Certificate),
            "TRUSTED CERTIFICATE" => {
                self.add_trusted(&block.der, position, block.label);
                return;
            }
            "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => Some(Kind::Request),
            "X509 CRL" => Some(Kind::RevocationList),
            "PRIVATE KEY" => Some(Kind::Key(KeyFormat::Pkcs8)),
            "ENCRYPTED PRIVATE KEY" => Some(Kind::Key(KeyFormat::EncryptedPkcs8)),
            "EC PRIVATE KEY" => Some(Kind::Key(KeyFormat::Sec1)),
            "RSA PRIVATE KEY" => Some(Kind::Key(KeyFormat::Pkcs1)),
            "PUBLIC KEY" => Some(Kind::Key(KeyFormat::Spki)),
            "RSA PUBLIC KEY" => Some(Kind::Key(KeyFormat::Pkcs1Public)),
            "PKCS7" | "CMS" => Some(Kind::Pkcs7),
            "PKCS12" => Some(Kind::Pkcs12),
            _ => None,
        };
        self.add(&block.der, position, Some(block.label), kind);
    }

    /// OpenSSL's TRUSTED CERTIFICATE: the certificate, and what it is trusted for behind it.
    fn add_trusted(&mut self, der: &[u8], position: Position, label: String) {
        let mut ahead = Problems::default();
        let first = Cursor::new(der).next(&mut ahead);
        let certificate = first.map_or(der, |element| element.whole);
        self.add(certificate, position, Some(label), Some(Kind::Certificate));
        if let Some(item) = self.items.last_mut() {
            item.remarks.push(Remark::note(
                "trusted_certificate",
                "OpenSSL's TRUSTED CERTIFICATE, which most other programs do not read",
            ));
        }
    }

    /// Describes one structure. `said` is what the label says; what the structure itself says counts more.
    fn add(&mut self, der: &[u8], position: Position, label: Option<String>, said: Option<Kind>) {
        let mut problems = Problems::default();
        let secret = label.as_deref().is_some_and(|label| label.contains("PRIVATE"));
        // What is labelled a private key is shown as something else only where that is beyond doubt: a damaged key
        // may have any shape, and its octets must not be taken for a public field.
        let found = recognise(der)
            .filter(|found| !secret || found.is_private_key() || pki::Certificate::from_der(der).is_ok());
        let kind = match (said, found) {
            (Some(said), Some(found)) if said != found => {
                problems.note(0, format!("it is labelled {} and is {}", said.text(), found.text()));
                Some(found)
            }
            (Some(said), None) => Some(said),
            (_, found) => found,
        };
        let (content, remarks) = match kind {
            Some(Kind::Certificate) => {
                let certificate = CertificateDescription::read(der, &mut problems);
                let remarks = remark::remarks(&certificate, self.now);
                (Content::Certificate(Box::new(certificate)), remarks)
            }
            Some(Kind::Request) => {
                let request = RequestDescription::read(der, &mut problems);
                let remarks = request.remarks();
                (Content::Request(Box::new(request)), remarks)
            }
            Some(Kind::RevocationList) => {
                let list = RevocationListDescription::read(der, &mut problems);
                let remarks = list.remarks(self.now);
                (Content::RevocationList(Box::new(list)), remarks)
            }
            Some(Kind::Key(format)) => {
                let key = KeyDescription::read(der, format, &mut problems);
                self.push_key(key, position, label, problems);
                return;
            }
            Some(Kind::Pkcs12) => {
                let container = Pkcs12Description::read(der, &mut problems);
                let remarks = container.remarks();
                let inside = container.certificates.clone();
                self.push(Item {
                    position,
                    label,
                    // It may hold a private key in the clear.
                    der: Vec::new(),
                    content: Content::Pkcs12(Box::new(container)),
                    problems: problems.into_list(),
                    remarks,
                });
                self.add_inside("PKCS#12", &inside, Kind::Certificate);
                return;
            }
            Some(Kind::Pkcs7) => {
                let container = Pkcs7Description::read(der, &mut problems);
                let (certificates, lists) =
                    (container.certificates.clone(), container.revocation_lists.clone());
                self.push(Item {
                    position,
                    label,
                    der: der.to_vec(),
                    content: Content::Pkcs7(Box::new(container)),
                    problems: problems.into_list(),
                    remarks: Vec::new(),
                });
                self.add_inside("PKCS#7", &certificates, Kind::Certificate);
                self.add_inside("PKCS#7", &lists, Kind::RevocationList);
                return;
            }
            Some(Kind::Parameters) => {
                let what = "the name of an elliptic curve, as openssl writes it before a key".to_owned();
                (Content::Unknown { what, tree: Tree::default() }, Vec::new())
            }
            None => {
                let what = if secret {
                    "a private key that cannot be read"
                } else if is_ocsp_response(der) {
                    "an OCSP response"
                } else {
                    "DER of an unknown kind"
                };
                let mut heard = Problems::default();
                let tree = if secret { Tree::default() } else { Tree::read(der, &mut heard) };
                for problem in heard.into_list() {
                    problems.note(problem.offset, problem.message);
                }
                (Content::Unknown { what: what.to_owned(), tree }, Vec::new())
            }
        };
        let keeps_der = !matches!(content, Content::Unknown { .. });
        let der = if keeps_der { der.to_vec() } else { Vec::new() };
        self.push(Item { position, label, der, content, problems: problems.into_list(), remarks });
    }

    fn add_inside(&mut self, container: &'static str, ders: &[Vec<u8>], kind: Kind) {
        let start = self
            .items
            .iter()
            .rev()
            .take_while(|item| matches!(item.position, Position::Inside { .. }))
            .count();
        for (index, der) in ders.iter().enumerate().take(MOST_ITEMS) {
            self.add(der, Position::Inside { container, number: start + index + 1 }, None, Some(kind));
        }
    }

    fn push_key(
        &mut self,
        key: KeyDescription,
        position: Position,
        label: Option<String>,
        problems: Problems,
    ) {
        let remarks = key.remarks();
        // Of a private key only the public half is kept, which `pem` then gives.
        let der = key.public_key.as_ref().map(|public| public.spki.clone()).unwrap_or_default();
        self.push(Item {
            position,
            label,
            der,
            content: Content::Key(Box::new(key)),
            problems: problems.into_list(),
            remarks,
        });
    }

    fn push(&mut self, item: Item) {
        self.items.push(item);
    }

    /// Something that is neither PEM nor DER.
    fn add_foreign(&mut self, bytes: &[u8]) {
        let start = bytes.trim_ascii_start();
        let begins =
            |text: &str| start.get(..text.len()).is_some_and(|s| s.eq_ignore_ascii_case(text.as_bytes()));
        let (what, hint) = if start.is_empty() {
            ("nothing but white space", "")
        } else if begins("ssh-") || begins("ecdsa-sha2-") || begins("sk-ssh-") || begins("sk-ecdsa-") {
            ("an OpenSSH public key", "convert it with: ssh-keygen -e -m PKCS8 -f FILE")
        } else if begins("---- BEGIN SSH2") {
            ("an SSH2 public key", "convert it with: ssh-keygen -i -f FILE, then ssh-keygen -e -m PKCS8")
        } else if begins("PuTTY-User-Key-File") {
            ("a PuTTY private key", "convert it with: puttygen FILE -O private-openssh")
        } else if begins("<!doctype") || begins("<html") || begins("<?xml") || begins("<") {
            ("an HTML or XML page", "perhaps an error page that was saved under this name")
        } else if begins("{") || begins("[") {
            ("JSON", "a certificate in it is a string with \\n in it: take it out with jq -r")
        } else if bytes.starts_with(&[0xfe, 0xed, 0xfe, 0xed]) {
            (
                "a Java keystore (JKS)",
                "convert it with: keytool -importkeystore -srckeystore FILE -destkeystore NEW.p12 -deststoretype PKCS12",
            )
        } else if bytes.starts_with(&[0xce, 0xce, 0xce, 0xce]) {
            (
                "a Java keystore (JCEKS)",
                "convert it with: keytool -importkeystore -srckeystore FILE -destkeystore NEW.p12 -deststoretype PKCS12",
            )
        } else if bytes.starts_with(b"PK\x03\x04") {
            ("a ZIP archive", "unpack it first")
        } else if bytes.starts_with(&[0x1f, 0x8b]) {
            ("a gzip file", "unpack it first: gunzip FILE")
        } else if bytes.starts_with(b"\x7fELF") {
            ("a program", "")
        } else if std::str::from_utf8(bytes).is_ok() {
            ("some other text", "there is no -----BEGIN line in it")
        } else {
            ("some other binary format", "it starts with no DER structure and holds no PEM")
        };
        let comma = if hint.is_empty() { "" } else { "; " };
        self.problems
            .note(0, format!("this is {what}, not a certificate, request, key or list{comma}{hint}"));
    }
}

/// Base64 of DER with no markers, as it is pasted from Kubernetes secrets or SAML metadata.
fn bare_base64(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bytes).ok()?.trim_start_matches('\u{feff}');
    let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '-' | '_');
    if compact.len() < 16 || !compact.chars().all(fits) {
        return None;
    }
    let standard: String = compact.replace('-', "+").replace('_', "/");
    let decoded = LENIENT.decode(standard).ok()?;
    (decoded.first() == Some(&0x30) || armour::has_markers(&decoded)).then_some(decoded)
}
