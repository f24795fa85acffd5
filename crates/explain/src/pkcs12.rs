//! A PKCS#12 container (RFC 7292) from outside: what is in it, how it is encrypted and how its integrity is
//! kept. Without the password the certificates inside an encrypted part cannot be seen, and it is not asked for.

use pki::der::tag;
use pki::oid;

use crate::field::{AlgorithmDescription, Identifier};
use crate::key::{EncryptionDescription, version_text};
use crate::model::Remark;
use crate::tlv::{Cursor, Element, Problems};

/// A container.
#[derive(Debug, Clone, Default)]
pub struct Pkcs12Description {
    /// Its version, which is 3.
    pub version: Option<String>,
    /// Its parts in order.
    pub parts: Vec<SafeDescription>,
    /// How its integrity is kept.
    pub integrity: Option<IntegrityDescription>,
    /// The DER of certificates that stand in the clear.
    pub certificates: Vec<Vec<u8>>,
}

/// One part of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SafeDescription {
    /// `data` or `encryptedData`.
    pub content_type: String,
    /// How it is encrypted, if it is.
    pub encryption: Option<EncryptionDescription>,
    /// What can be seen in it.
    pub bags: Vec<BagDescription>,
}

/// One thing in a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BagDescription {
    /// `certBag`, `pkcs-8ShroudedKeyBag`, `keyBag`, …
    pub kind: String,
    /// How a key in it is encrypted.
    pub encryption: Option<EncryptionDescription>,
    /// friendlyName.
    pub friendly_name: Option<String>,
}

/// The message authentication code of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntegrityDescription {
    /// The digest or scheme.
    pub algorithm: String,
    /// The iterations.
    pub iterations: u64,
    /// The salt's octets.
    pub salt_length: usize,
}

impl Pkcs12Description {
    /// Reads one container.
    #[must_use]
    pub fn read(der: &[u8], problems: &mut Problems) -> Self {
        let mut container = Pkcs12Description::default();
        let mut outer = Cursor::new(der);
        let Some(whole) = outer.expect(tag::SEQUENCE, "PKCS#12", problems) else { return container };
        outer.finish("PKCS#12", problems);
        let mut parts = whole.cursor();
        container.version = parts.expect(tag::INTEGER, "version", problems).as_ref().map(version_text);
        if let Some(auth_safe) = parts.expect(tag::SEQUENCE, "authenticated safe", problems)
            && let Some(octets) = content_octets(&auth_safe, problems)
            && let Some(safes) = octets.cursor().expect(tag::SEQUENCE, "list of safes", problems)
        {
            let mut list = safes.cursor();
            while let Some(safe) = list.next(problems) {
                container.read_safe(&safe, problems);
            }
        }
        if let Some(mac) = parts.optional(tag::SEQUENCE, problems) {
            container.integrity = read_mac(&mac, problems);
        }
        container
    }

    fn read_safe(&mut self, safe: &Element<'_>, problems: &mut Problems) {
        let mut parts = safe.cursor();
        let Some(kind) = Identifier::read(&mut parts, "content type", problems) else { return };
        let mut part = SafeDescription { content_type: kind.text(), encryption: None, bags: Vec::new() };
        if kind.is(&oid::ENCRYPTED_DATA) {
            part.encryption = encrypted_content(parts, problems);
        } else if let Some(octets) = content_octets(safe, problems)
            && let Some(bags) = octets.cursor().expect(tag::SEQUENCE, "list of bags", problems)
        {
            let mut list = bags.cursor();
            while let Some(bag) = list.next(problems) {
                // A key in the clear must not leave its octets in a message.
                let mut heard = Problems::default();
                part.bags.extend(self.read_bag(&bag, &mut heard));
                if !heard.is_empty() {
                    problems.note(bag.offset, "a bag is malformed");
                }
            }
        }
        self.parts.push(part);
    }

    fn read_bag(&mut self, bag: &Element<'_>, problems: &mut Problems) -> Option<BagDescription> {
        let mut parts = bag.cursor();
        let kind = Identifier::read(&mut parts, "bag type", problems)?;
        let value = parts.next(problems);
        let content = value.and_then(|explicit| explicit.cursor().next(problems));
        let mut description = BagDescription { kind: kind.text(), encryption: None, friendly_name: None };
        if kind.is(&oid::SHROUDED_KEY_BAG) {
            let algorithm = content.and_then(|c| c.cursor().next(problems));
            description.encryption =
                algorithm.and_then(|a| EncryptionDescription::from_element(&a, problems));
        } else if kind.is(&oid::CERT_BAG)
            && let Some(content) = content
        {
            // certId, and [0] with an OCTET STRING.
            let mut cert = content.cursor();
            cert.next(problems);
            let octets = cert.next(problems).and_then(|explicit| explicit.cursor().next(problems));
            self.certificates.extend(octets.map(|octets| octets.content.to_vec()));
        }
        if let Some(attributes) = parts.next(problems) {
            description.friendly_name = friendly_name(&attributes, problems);
        }
        Some(description)
    }

    pub(crate) fn remarks(&self) -> Vec<Remark> {
        let mut remarks = Vec::new();
        let ciphers: Vec<String> = self
            .parts
            .iter()
            .flat_map(|part| {
                part.encryption.iter().chain(part.bags.iter().filter_map(|b| b.encryption.as_ref()))
            })
            .map(|encryption| encryption.scheme.clone())
            .collect();
        if ciphers
            .iter()
            .any(|scheme| scheme.contains("RC2") || scheme.contains("RC4") || scheme.contains("TripleDES"))
        {
            remarks.push(Remark::warning(
                "weak_encryption",
                "encrypted with RC2 or triple DES, which OpenSSL 3 and Node.js do not load by default; it looks like a \
                 wrong password. Convert it: openssl pkcs12 -legacy -in OLD -nodes -out ALL.pem, then openssl pkcs12 \
                 -export -in ALL.pem -out NEW",
            ));
        } else if ciphers.iter().any(|scheme| scheme == "PBES2") {
            remarks.push(Remark::note(
                "modern_encryption",
                "encrypted with PBES2, as it should be; older macOS and Java versions take it for a wrong password",
            ));
        }
        if self.parts.iter().any(|part| part.bags.iter().any(|bag| bag.kind == "keyBag")) {
            remarks.push(Remark::warning("key_not_encrypted", "it holds a private key in the clear"));
        }
        match &self.integrity {
            None => remarks.push(Remark::note("no_integrity", "it has no MAC: changes to it go unnoticed")),
            Some(mac) if mac.algorithm != "PBMAC1" && mac.iterations < 1000 => remarks.push(Remark::note(
                "few_iterations",
                format!(
                    "its MAC uses {}: the password can be guessed quickly",
                    crate::humane::count(mac.iterations as usize, "iteration", "iterations")
                ),
            )),
            Some(_) => {}
        }
        remarks
    }
}

/// `[0] OCTET STRING` behind the content type of a ContentInfo.
fn content_octets<'a>(info: &Element<'a>, problems: &mut Problems) -> Option<Element<'a>> {
    let mut parts = info.cursor();
    parts.next(problems);
    let explicit = parts.expect(tag::context_constructed(0), "content", problems)?;
    explicit.cursor().next(problems)
}

/// EncryptedData: version, and the content's type, algorithm and octets.
fn encrypted_content(mut parts: Cursor<'_>, problems: &mut Problems) -> Option<EncryptionDescription> {
    let explicit = parts.expect(tag::context_constructed(0), "content", problems)?;
    let data = explicit.cursor().expect(tag::SEQUENCE, "encrypted data", problems)?;
    let mut fields = data.cursor();
    fields.next(problems);
    let info = fields.expect(tag::SEQUENCE, "encrypted content", problems)?;
    let mut fields = info.cursor();
    fields.next(problems);
    let algorithm = fields.expect(tag::SEQUENCE, "encryption algorithm", problems)?;
    EncryptionDescription::from_element(&algorithm, problems)
}

fn friendly_name(attributes: &Element<'_>, problems: &mut Problems) -> Option<String> {
    let mut list = attributes.cursor();
    while let Some(attribute) = list.next(problems) {
        let mut parts = attribute.cursor();
        let Some(kind) = Identifier::read(&mut parts, "attribute", problems) else { continue };
        let value = parts.next(problems).and_then(|set| set.cursor().next(problems));
        if kind.is(&oid::FRIENDLY_NAME)
            && let Some(value) = value
        {
            let units: Vec<u16> =
                value.content.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            return Some(crate::escape::text(&String::from_utf16_lossy(&units)));
        }
    }
    None
}

/// MacData: DigestInfo, salt, iterations (1 where absent).
fn read_mac(mac: &Element<'_>, problems: &mut Problems) -> Option<IntegrityDescription> {
    let mut parts = mac.cursor();
    let digest_info = parts.expect(tag::SEQUENCE, "MAC", problems)?;
    let algorithm = digest_info.cursor().expect(tag::SEQUENCE, "MAC algorithm", problems)?;
    let algorithm = AlgorithmDescription::from_element(&algorithm, "MAC algorithm", problems)?;
    let salt = parts.expect(tag::OCTET_STRING, "MAC salt", problems)?;
    let iterations = parts.next(problems).as_ref().and_then(crate::field::small_number).unwrap_or(1);
    Some(IntegrityDescription { algorithm: algorithm.text, iterations, salt_length: salt.content.len() })
}
