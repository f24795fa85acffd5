//! The shells of a PKCS#12 file, taken off one by one: PFX, AuthenticatedSafe, SafeContents, SafeBag (RFC 7292
//! section 4). Nothing is decrypted here.

use pki::der::{DerError, Reader, tag};
use pki::oid::{self, Oid};
use zeroize::Zeroizing;

use super::ber;
use super::mac::Mac;
use crate::pbes2::SchemeError;
use crate::shape::Shape;

/// How deep SafeContents may hold SafeContents (RFC 7292 section 4.2.6); real files do not do it at all.
const NESTING_LIMIT: usize = 4;

/// The most octets of a file that are read: all 150 roots of a browser have 200 kB.
const SIZE_LIMIT: usize = 16 << 20;

/// Why bytes are no PKCS#12 file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Pkcs12FormatError {
    /// Something else.
    #[error("this is no PKCS#12 file but a {0}")]
    Other(String),
    /// Larger than any file of keys and certificates.
    #[error(
        "the PKCS#12 file has {found} bytes, and no more than {limit} are read; keys and certificates need far less"
    )]
    TooLarge {
        /// Its size.
        found: usize,
        /// The most that is read.
        limit: usize,
    },
    /// A Java key store of the older kind.
    #[error(
        "this is a Java key store (JKS or JCEKS), not PKCS#12; convert it: keytool -importkeystore -srckeystore FILE -destkeystore NEW.p12 -deststoretype PKCS12"
    )]
    JavaKeyStore,
    /// PEM or other text where the binary file is expected.
    #[error("this is no PKCS#12 file but text; PKCS#12 files are binary")]
    Text,
    /// Cut short or broken.
    #[error("the PKCS#12 file is damaged: {0}; export or copy it again")]
    Der(#[from] DerError),
    /// Another version than 3.
    #[error("the PKCS#12 file has version {0}; the only one in use is 3")]
    Version(u32),
    /// A content type that RFC 7292 does not have there.
    #[error("the PKCS#12 file holds {0} where RFC 7292 section 4 wants data or signedData")]
    ContentType(Oid),
}

/// A PFX with its safes.
pub(super) struct Pfx {
    /// Whether it was BER that is not DER.
    pub(super) was_ber: bool,
    /// The octets that the MAC is over.
    pub(super) authenticated: Zeroizing<Vec<u8>>,
    pub(super) integrity: Seal,
    pub(super) safes: Vec<Safe>,
}

pub(super) enum Seal {
    /// A MAC; unreadable ones are carried with the reason.
    Mac(Result<Mac, SchemeError>),
    /// A signature over the content: the public-key integrity mode.
    Signature,
    None,
}

/// One ContentInfo of the AuthenticatedSafe.
pub(super) enum Safe {
    /// SafeContents in the clear (keys in it may still be encrypted each).
    Plain(Zeroizing<Vec<u8>>),
    /// SafeContents under a password: the AlgorithmIdentifier, and the encrypted octets.
    Encrypted { identifier: Vec<u8>, encrypted: Vec<u8> },
    /// SafeContents under somebody's public key.
    Enveloped,
    /// A content type that RFC 7292 does not have.
    Other(Oid),
}

impl Pfx {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Pkcs12FormatError> {
        if bytes.len() > SIZE_LIMIT {
            return Err(Pkcs12FormatError::TooLarge { found: bytes.len(), limit: SIZE_LIMIT });
        }
        if bytes.starts_with(&[0xfe, 0xed, 0xfe, 0xed]) || bytes.starts_with(&[0xce, 0xce, 0xce, 0xce]) {
            return Err(Pkcs12FormatError::JavaKeyStore);
        }
        let text = bytes.iter().take(16).all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
        if text && !bytes.is_empty() {
            return Err(Pkcs12FormatError::Text);
        }
        match Shape::of(bytes) {
            Shape::Pkcs12 | Shape::Unknown => {}
            // A version other than 3 does not change the outer form, so only what is surely something else ends here.
            other => return Err(Pkcs12FormatError::Other(other.to_string())),
        }
        let (der, outer_ber) = ber::to_der(bytes)?;
        let mut outer = Reader::new(&der);
        let mut pfx = outer.nested(tag::SEQUENCE)?;
        outer.finish()?;
        let version = pfx.small_integer("PFX version")?;
        if version != 3 {
            return Err(Pkcs12FormatError::Version(version));
        }
        let mut content_info = pfx.nested(tag::SEQUENCE)?;
        let content_type = content_info.object_identifier()?;
        let mut content = content_info.nested(tag::context_constructed(0))?;
        content_info.finish()?;
        let mac_data = pfx.optional(tag::SEQUENCE)?;
        pfx.finish()?;
        let (authenticated, integrity) = match content_type {
            oid::DATA => {
                let octets = content.expect(tag::OCTET_STRING)?.content.to_vec();
                content.finish()?;
                (octets, mac_data.map_or(Seal::None, |mac| Seal::Mac(Mac::read(mac))))
            }
            oid::SIGNED_DATA => (signed_content(&mut content)?, Seal::Signature),
            other => return Err(Pkcs12FormatError::ContentType(other)),
        };
        if let Seal::Mac(Err(SchemeError::Der(error))) = integrity {
            return Err(error.into());
        }
        let authenticated = Zeroizing::new(authenticated);
        let (safes, inner_ber) = read_safes(&authenticated)?;
        Ok(Pfx { was_ber: outer_ber || inner_ber, authenticated, integrity, safes })
    }
}

/// The content of a SignedData (RFC 2315 section 9.1): version, digest algorithms, then the content itself.
fn signed_content(reader: &mut Reader<'_>) -> Result<Vec<u8>, DerError> {
    let mut signed = reader.nested(tag::SEQUENCE)?;
    signed.small_integer("SignedData version")?;
    signed.expect(tag::SET)?;
    let mut content_info = signed.nested(tag::SEQUENCE)?;
    content_info.object_identifier()?;
    let mut content = content_info.nested(tag::context_constructed(0))?;
    Ok(content.expect(tag::OCTET_STRING)?.content.to_vec())
}

fn read_safes(authenticated: &[u8]) -> Result<(Vec<Safe>, bool), DerError> {
    let (der, was_ber) = ber::to_der(authenticated)?;
    let mut outer = Reader::new(&der);
    let mut list = outer.nested(tag::SEQUENCE)?;
    outer.finish()?;
    let mut safes = Vec::new();
    while !list.is_empty() {
        let mut content_info = list.nested(tag::SEQUENCE)?;
        let content_type = content_info.object_identifier()?;
        let content = content_info.optional(tag::context_constructed(0))?;
        content_info.finish()?;
        safes.push(match (content_type, content) {
            (oid::DATA, Some(content)) => {
                let mut content = content.reader();
                let octets = content.expect(tag::OCTET_STRING)?.content.to_vec();
                content.finish()?;
                Safe::Plain(Zeroizing::new(octets))
            }
            (oid::ENCRYPTED_DATA, Some(content)) => read_encrypted_data(&mut content.reader())?,
            (other, _) if other.dotted() == "1.2.840.113549.1.7.3" => Safe::Enveloped,
            (other, _) => Safe::Other(other),
        });
    }
    Ok((safes, was_ber))
}

/// EncryptedData (RFC 2315 section 13).
fn read_encrypted_data(reader: &mut Reader<'_>) -> Result<Safe, DerError> {
    let mut data = reader.nested(tag::SEQUENCE)?;
    reader.finish()?;
    data.small_integer("EncryptedData version")?;
    let mut info = data.nested(tag::SEQUENCE)?;
    let content_type = info.object_identifier()?;
    if content_type != oid::DATA {
        return Ok(Safe::Other(content_type));
    }
    let identifier = info.expect(tag::SEQUENCE)?.whole.to_vec();
    let content = info.any()?;
    info.finish()?;
    let encrypted = if content.tag == tag::context_constructed(0) {
        // [0] IMPLICIT OCTET STRING in pieces: BER that does not show which type it is.
        let mut pieces = content.reader();
        let mut octets = Vec::new();
        while !pieces.is_empty() {
            octets.extend_from_slice(pieces.expect(tag::OCTET_STRING)?.content);
        }
        octets
    } else if content.tag == tag::context(0) {
        content.content.to_vec()
    } else {
        return Err(DerError::UnexpectedTag {
            expected: tag::context(0),
            found: content.tag,
            offset: content.content_offset,
        });
    };
    Ok(Safe::Encrypted { identifier, encrypted })
}

/// One SafeBag, with the two attributes that everybody uses.
pub(super) struct Bag<'a> {
    pub(super) kind: Oid,
    /// What is inside its `[0]`.
    pub(super) value: &'a [u8],
    pub(super) friendly_name: Option<String>,
    pub(super) local_key_id: Option<Vec<u8>>,
    /// Whether Java's trustedKeyUsage is there: without it, Java takes no certificate that stands alone for an anchor.
    pub(super) trusted: bool,
}

/// Java's attribute of certificates to trust, in the JDK's words ORACLE_TrustedKeyUsage.
pub(super) const TRUSTED_KEY_USAGE: &str = "2.16.840.1.113894.746875.1.1";

/// The bags of SafeContents in DER, those of nested SafeContents among them.
pub(super) fn read_bags(safe_contents: &[u8]) -> Result<Vec<Bag<'_>>, DerError> {
    let mut bags = Vec::new();
    collect_bags(safe_contents, &mut bags, 0)?;
    Ok(bags)
}

fn collect_bags<'a>(safe_contents: &'a [u8], bags: &mut Vec<Bag<'a>>, depth: usize) -> Result<(), DerError> {
    let mut outer = Reader::new(safe_contents);
    let mut list = outer.nested(tag::SEQUENCE)?;
    outer.finish()?;
    while !list.is_empty() {
        let mut bag = list.nested(tag::SEQUENCE)?;
        let kind = bag.object_identifier()?;
        let value = bag.expect(tag::context_constructed(0))?;
        let attributes = bag.optional(tag::SET)?;
        bag.finish()?;
        // safeContentsBag
        if kind.dotted() == "1.2.840.113549.1.12.10.1.6" {
            if depth == NESTING_LIMIT {
                return Err(DerError::Value {
                    what: "nesting of SafeContents",
                    offset: value.content_offset,
                });
            }
            collect_bags(value.content, bags, depth + 1)?;
            continue;
        }
        let mut read =
            Bag { kind, value: value.content, friendly_name: None, local_key_id: None, trusted: false };
        if let Some(attributes) = attributes {
            read_attributes(&mut attributes.reader(), &mut read)?;
        }
        bags.push(read);
    }
    Ok(())
}

fn read_attributes(attributes: &mut Reader<'_>, bag: &mut Bag<'_>) -> Result<(), DerError> {
    while !attributes.is_empty() {
        let mut attribute = attributes.nested(tag::SEQUENCE)?;
        let kind = attribute.object_identifier()?;
        let mut values = attribute.nested(tag::SET)?;
        attribute.finish()?;
        let Some(value) = (if values.is_empty() { None } else { Some(values.any()?) }) else { continue };
        match (kind, value.tag) {
            (oid::FRIENDLY_NAME, tag::BMP_STRING) => {
                let units = value
                    .content
                    .chunks(2)
                    .map(|pair| pair.iter().fold(0u16, |unit, byte| unit << 8 | u16::from(*byte)));
                let name: String = char::decode_utf16(units)
                    .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect();
                // Some writers end it with the zero that passwords have.
                bag.friendly_name = Some(name.trim_end_matches('\0').to_owned());
            }
            (kind, _) if kind.dotted() == TRUSTED_KEY_USAGE => bag.trusted = true,
            (oid::LOCAL_KEY_ID, tag::OCTET_STRING) => bag.local_key_id = Some(value.content.to_vec()),
            _ => {}
        }
    }
    Ok(())
}

/// What people call a kind of bag.
pub(super) fn bag_name(kind: &Oid) -> String {
    match kind.dotted().as_str() {
        "1.2.840.113549.1.12.10.1.5" => "secretBag".to_owned(),
        _ => kind.to_string(),
    }
}
