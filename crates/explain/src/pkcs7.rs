//! A PKCS#7 or CMS SignedData (RFC 5652) as a container of certificates and revocation lists, which is how EST
//! and Windows hand out chains. Its signatures are counted, not verified.

use pki::der::tag;
use pki::oid;

use crate::field::Identifier;
use crate::tlv::{Cursor, Problems};

/// A container.
#[derive(Debug, Clone, Default)]
pub struct Pkcs7Description {
    /// The content type, such as `signedData`.
    pub content_type: Option<Identifier>,
    /// The DER of the certificates in it, in order.
    pub certificates: Vec<Vec<u8>>,
    /// The DER of the revocation lists in it.
    pub revocation_lists: Vec<Vec<u8>>,
    /// How many have signed its content; none in a container that only carries certificates.
    pub signers: usize,
}

impl Pkcs7Description {
    /// Reads one container.
    #[must_use]
    pub fn read(der: &[u8], problems: &mut Problems) -> Self {
        let mut container = Pkcs7Description::default();
        let mut outer = Cursor::new(der);
        let Some(whole) = outer.expect(tag::SEQUENCE, "PKCS#7", problems) else { return container };
        outer.finish("PKCS#7", problems);
        let mut parts = whole.cursor();
        container.content_type = Identifier::read(&mut parts, "content type", problems);
        if !container.content_type.as_ref().is_some_and(|kind| kind.is(&oid::SIGNED_DATA)) {
            return container;
        }
        let Some(explicit) = parts.expect(tag::context_constructed(0), "content", problems) else {
            return container;
        };
        let Some(signed) = explicit.cursor().expect(tag::SEQUENCE, "signed data", problems) else {
            return container;
        };
        let mut fields = signed.cursor();
        fields.expect(tag::INTEGER, "version", problems);
        fields.expect(tag::SET, "digest algorithms", problems);
        fields.expect(tag::SEQUENCE, "content that is signed", problems);
        for (number, list) in [(0, &mut container.certificates), (1, &mut container.revocation_lists)] {
            if let Some(set) = fields.optional(tag::context_constructed(number), problems) {
                let mut members = set.cursor();
                while let Some(member) = members.next(problems) {
                    if member.is(tag::SEQUENCE) {
                        list.push(member.whole.to_vec());
                    }
                }
            }
        }
        if let Some(signers) = fields.expect(tag::SET, "signers", problems) {
            let mut signers = signers.cursor();
            while signers.next(problems).is_some() {
                container.signers += 1;
            }
        }
        container
    }
}
