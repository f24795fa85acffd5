//! BER to DER for PKCS#12: Firefox and NSS write indefinite lengths and strings in pieces (X.690 sections 8.1.3.6
//! and 8.7.3), which the strict reader refuses. Only lengths and string forms change here; the result is still
//! read strictly.

use pki::der::DerError;
use zeroize::Zeroizing;

/// How deep structures may nest: real files stay under 15, and the recursion must end before the stack does.
const DEPTH_LIMIT: usize = 40;

/// How many elements one file may have: each takes about 60 octets of memory while two octets of file can make one. A
/// trust store of 1,000 certificates has 15,000.
const ELEMENT_LIMIT: usize = 200_000;

const OCTET_STRING: u8 = 0x04;
const CONSTRUCTED: u8 = 0x20;
const CONSTRUCTED_OCTET_STRING: u8 = OCTET_STRING | CONSTRUCTED;

/// One element, with the length that its content will have in DER.
struct Node<'a> {
    tag: u8,
    length: usize,
    content: Content<'a>,
}

enum Content<'a> {
    Primitive(&'a [u8]),
    Elements(Vec<Node<'a>>),
}

/// The same structure in DER, and whether it had been anything else.
pub(super) fn to_der(bytes: &[u8]) -> Result<(Zeroizing<Vec<u8>>, bool), DerError> {
    let mut parser = Parser { input: bytes, at: 0, elements: 0 };
    let node = parser.element(0)?;
    if parser.at < bytes.len() {
        return Err(DerError::Trailing { offset: parser.at, count: bytes.len() - parser.at });
    }
    let mut der = Zeroizing::new(Vec::with_capacity(header_length(node.length) + node.length));
    node.write(&mut der);
    let changed = *der != bytes;
    Ok((der, changed))
}

struct Parser<'a> {
    input: &'a [u8],
    at: usize,
    elements: usize,
}

impl<'a> Parser<'a> {
    fn byte(&mut self) -> Result<u8, DerError> {
        let byte = *self.input.get(self.at).ok_or(DerError::Truncated { offset: self.at, needed: 1 })?;
        self.at += 1;
        Ok(byte)
    }

    fn element(&mut self, depth: usize) -> Result<Node<'a>, DerError> {
        let start = self.at;
        if depth > DEPTH_LIMIT {
            return Err(DerError::Value { what: "nesting (too deep)", offset: start });
        }
        self.elements += 1;
        if self.elements > ELEMENT_LIMIT {
            return Err(DerError::Value { what: "number of elements (too many)", offset: start });
        }
        let tag = self.byte()?;
        if tag & 0x1f == 0x1f {
            return Err(DerError::HighTag { offset: start });
        }
        let length_at = self.at;
        let first = self.byte()?;
        let end = match first {
            0x80 if tag & CONSTRUCTED != 0 => None,
            0x80 => return Err(DerError::Length { offset: length_at }),
            short if short < 0x80 => Some(usize::from(short)),
            long => {
                let mut length = 0usize;
                for _ in 0..long & 0x7f {
                    if length >> 24 != 0 {
                        return Err(DerError::Length { offset: length_at });
                    }
                    length = length << 8 | usize::from(self.byte()?);
                }
                Some(length)
            }
        };
        let end = match end {
            Some(length) if length > self.input.len() - self.at => {
                let needed = length - (self.input.len() - self.at);
                return Err(DerError::Truncated { offset: self.input.len(), needed });
            }
            Some(length) => Some(self.at + length),
            None => None,
        };
        match end {
            Some(end) if tag & CONSTRUCTED == 0 => {
                let content = &self.input[self.at..end];
                self.at = end;
                Ok(Node { tag, length: content.len(), content: Content::Primitive(content) })
            }
            end => {
                let elements = self.elements(end, depth)?;
                Ok(Node::constructed(tag, elements))
            }
        }
    }

    /// The elements up to `end`, or up to the end-of-contents octets.
    fn elements(&mut self, end: Option<usize>, depth: usize) -> Result<Vec<Node<'a>>, DerError> {
        let mut elements = Vec::new();
        loop {
            match end {
                Some(end) if self.at == end => return Ok(elements),
                Some(end) if self.at > end => return Err(DerError::Length { offset: end }),
                None if self.input[self.at..].starts_with(&[0, 0]) => {
                    self.at += 2;
                    return Ok(elements);
                }
                _ => elements.push(self.element(depth + 1)?),
            }
        }
    }
}

impl<'a> Node<'a> {
    fn constructed(tag: u8, elements: Vec<Node<'a>>) -> Self {
        if tag == CONSTRUCTED_OCTET_STRING {
            // The pieces become one string: their headers fall away when it is written.
            let length = elements.iter().map(|piece| piece.length).sum();
            return Node { tag: OCTET_STRING, length, content: Content::Elements(elements) };
        }
        let length = elements.iter().map(|element| header_length(element.length) + element.length).sum();
        Node { tag, length, content: Content::Elements(elements) }
    }

    fn write(&self, der: &mut Vec<u8>) {
        der.push(self.tag);
        let bytes = self.length.to_be_bytes();
        match header_length(self.length) - 2 {
            // Below 128, so the cast keeps the value.
            0 => der.push(self.length as u8),
            octets => {
                // At most 8, so the cast keeps the value.
                der.push(0x80 | octets as u8);
                der.extend_from_slice(&bytes[bytes.len() - octets..]);
            }
        }
        self.write_content(der);
    }

    fn write_content(&self, der: &mut Vec<u8>) {
        match &self.content {
            Content::Primitive(content) => der.extend_from_slice(content),
            Content::Elements(pieces) if self.tag == OCTET_STRING => {
                pieces.iter().for_each(|piece| piece.write_content(der));
            }
            Content::Elements(elements) => elements.iter().for_each(|element| element.write(der)),
        }
    }
}

/// Octets of identifier and length for a content of this many.
fn header_length(length: usize) -> usize {
    if length < 0x80 { 2 } else { 2 + (usize::BITS - length.leading_zeros()).div_ceil(8) as usize }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn indefinite_lengths_and_pieces_become_der() {
        // SEQUENCE { INTEGER 3, [0] { OCTET STRING in two pieces } }
        let ber = [
            0x30, 0x80, 0x02, 0x01, 0x03, 0xa0, 0x80, 0x24, 0x80, 0x04, 0x01, 0xaa, 0x04, 0x02, 0xbb, 0xcc,
            0, 0, 0, 0, 0, 0,
        ];
        let (der, changed) = to_der(&ber).unwrap();
        assert_eq!(*der, [0x30, 0x0a, 0x02, 0x01, 0x03, 0xa0, 0x05, 0x04, 0x03, 0xaa, 0xbb, 0xcc]);
        assert!(changed);
        let (again, changed) = to_der(&der).unwrap();
        assert_eq!(again, der);
        assert!(!changed);
    }

    #[test]
    fn long_contents_get_minimal_lengths() {
        for length in [0usize, 127, 128, 255, 256, 65535, 65536] {
            let mut ber = vec![0x04, 0x84];
            ber.extend_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
            ber.resize(6 + length, 7);
            let (der, _) = to_der(&ber).unwrap();
            let mut writer = pki::der::Writer::new();
            writer.primitive(OCTET_STRING, &vec![7; length]);
            assert_eq!(*der, writer.into_bytes(), "{length}");
        }
    }

    #[test]
    fn endless_nesting_is_refused() {
        let error = to_der(&[0x30, 0x80].repeat(100_000)).unwrap_err();
        assert!(matches!(error, DerError::Value { .. }), "{error}");
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        for bytes in
            [&[0x30, 0x80][..], &[0x30, 0x80, 0], &[0x30, 3, 2, 1], &[0x30, 2, 2, 1, 3], &[4, 0x80], &[]]
        {
            assert!(to_der(bytes).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = to_der(&bytes);
        }
    }
}
