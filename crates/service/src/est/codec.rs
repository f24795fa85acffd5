//! What EST carries: certificates in a CMS structure that holds nothing else (RFC 5272 section 4.1), the attributes that
//! a request should have (RFC 7030 section 4.5.2), and base64 around both.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pki::Certificate;
use pki::der::{Writer, tag};
use pki::oid;

/// A SignedData without content and signers (RFC 5652 section 5.1): the way to carry certificates in CMS.
pub(super) fn certificates_only(certificates: &[Certificate]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.nested(tag::SEQUENCE, |w| {
        w.object_identifier(&oid::SIGNED_DATA);
        w.nested(tag::context_constructed(0), |w| {
            w.nested(tag::SEQUENCE, |w| {
                w.integer(&[1]);
                w.nested(tag::SET, |_| {});
                w.nested(tag::SEQUENCE, |w| w.object_identifier(&oid::DATA));
                w.nested(tag::context_constructed(0), |w| certificates.iter().for_each(|c| w.raw(c.der())));
                w.nested(tag::SET, |_| {});
            });
        });
    });
    writer.into_bytes()
}

/// An ECDSA key on P-256, signing with SHA-256: what a request should be made with where nothing speaks for another.
pub(super) fn request_attributes() -> Vec<u8> {
    let mut writer = Writer::new();
    writer.nested(tag::SEQUENCE, |w| {
        w.nested(tag::SEQUENCE, |w| {
            w.object_identifier(&oid::EC_PUBLIC_KEY);
            w.nested(tag::SET, |w| w.object_identifier(&oid::SECP256R1));
        });
        w.object_identifier(&oid::ECDSA_WITH_SHA256);
    });
    writer.into_bytes()
}

/// Base64 in lines of 64 characters, as every decoder reads it.
pub(super) fn lines(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut lines = String::with_capacity(text.len() + text.len() / 64 + 1);
    for (index, character) in text.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            lines.push('\n');
        }
        lines.push(character);
    }
    lines.push('\n');
    lines
}

/// Base64 with white space anywhere, decoded; `None` where it is something else.
pub(super) fn from_lines(text: &[u8]) -> Option<Vec<u8>> {
    let compact: Vec<u8> = text.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
    STANDARD.decode(compact).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_back_in_any_shape() {
        let der: Vec<u8> = (0..200).collect();
        let text = lines(&der);
        assert!(text.lines().all(|line| line.len() <= 64));
        assert_eq!(from_lines(text.as_bytes()).as_deref(), Some(&der[..]));
        assert_eq!(from_lines(text.replace('\n', "\r\n ").as_bytes()).as_deref(), Some(&der[..]));
        assert_eq!(from_lines(b"-----BEGIN CERTIFICATE REQUEST-----"), None);
        assert_eq!(from_lines(&[0x30, 0x82, 0x01]), None);
    }

    #[test]
    fn structure_is_that_of_cms_and_holds_the_certificates_in_order() {
        let ca = testkit::TestCa::new();
        let chain = [ca.issuing().certificate.clone(), ca.root().certificate.clone()];
        let der = certificates_only(&chain);
        let found = pki::der::Reader::new(&der).nested(tag::SEQUENCE).and_then(|mut outer| {
            outer.object_identifier()?;
            let mut signed = outer.nested(tag::context_constructed(0))?.nested(tag::SEQUENCE)?;
            signed.small_integer("version")?;
            signed.expect(tag::SET)?;
            signed.expect(tag::SEQUENCE)?;
            let certificates = signed.expect(tag::context_constructed(0))?;
            signed.expect(tag::SET)?;
            signed.finish()?;
            Ok(certificates.content.to_vec())
        });
        assert_eq!(found.ok(), Some([chain[0].der(), chain[1].der()].concat()));
    }
}
