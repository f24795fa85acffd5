//! The writer: every element is written once, with its length patched in behind it.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::tag;
use crate::oid::Oid;

/// Writes DER into a growing buffer.
///
/// ```
/// use pki::der::{Writer, tag};
/// let mut writer = Writer::new();
/// writer.nested(tag::SEQUENCE, |w| w.integer(&[0x05]));
/// assert_eq!(writer.into_bytes(), [0x30, 0x03, 0x02, 0x01, 0x05]);
/// ```
#[derive(Debug, Default, Clone)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty writer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What has been written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// An element whose content the closure writes.
    pub fn nested(&mut self, tag: u8, content: impl FnOnce(&mut Writer)) {
        self.bytes.push(tag);
        let start = self.bytes.len();
        content(self);
        let length = self.bytes.len() - start;
        let mut header = [0u8; 9];
        let used = length_octets(length, &mut header);
        self.bytes.splice(start..start, header[..used].iter().copied());
    }

    /// An element with this content.
    pub fn primitive(&mut self, tag: u8, content: &[u8]) {
        let mut header = [0u8; 9];
        let used = length_octets(content.len(), &mut header);
        self.bytes.push(tag);
        self.bytes.extend_from_slice(&header[..used]);
        self.bytes.extend_from_slice(content);
    }

    /// Bytes that are DER already.
    pub fn raw(&mut self, der: &[u8]) {
        self.bytes.extend_from_slice(der);
    }

    /// A non-negative INTEGER from its big-endian magnitude; leading zeros are trimmed and the sign octet added.
    pub fn integer(&mut self, magnitude: &[u8]) {
        self.primitive(tag::INTEGER, &integer_content(magnitude));
    }

    /// A BOOLEAN.
    pub fn boolean(&mut self, value: bool) {
        self.primitive(tag::BOOLEAN, &[if value { 0xff } else { 0x00 }]);
    }

    /// NULL.
    pub fn null(&mut self) {
        self.primitive(tag::NULL, &[]);
    }

    /// An OBJECT IDENTIFIER.
    pub fn object_identifier(&mut self, oid: &Oid) {
        self.primitive(tag::OBJECT_IDENTIFIER, oid.content());
    }

    /// A BIT STRING of whole octets.
    pub fn octet_bit_string(&mut self, octets: &[u8]) {
        self.nested(tag::BIT_STRING, |w| {
            w.bytes.push(0);
            w.bytes.extend_from_slice(octets);
        });
    }

    /// A BIT STRING of named bits (X.690 section 11.2.2: trailing zero bits are left out). `bits[0]` is bit 0.
    pub fn named_bits(&mut self, bits: &[bool]) {
        let used = bits.iter().rposition(|bit| *bit).map_or(0, |last| last + 1);
        let mut octets = vec![0u8; used.div_ceil(8)];
        for (index, _) in bits[..used].iter().enumerate().filter(|(_, bit)| **bit) {
            octets[index / 8] |= 0x80 >> (index % 8);
        }
        // At most 7, so the cast keeps the value.
        let unused = (octets.len() * 8 - used) as u8;
        self.nested(tag::BIT_STRING, |w| {
            w.bytes.push(unused);
            w.bytes.extend_from_slice(&octets);
        });
    }

    /// A Time as RFC 5280 section 4.1.2.5 wants it: UTCTime through 2049, GeneralizedTime from 2050.
    pub fn time(&mut self, time: Timestamp) {
        let civil = time.to_zoned(TimeZone::UTC).datetime();
        if (1950..2050).contains(&civil.year()) {
            let year = civil.year().rem_euclid(100);
            self.primitive(tag::UTC_TIME, format!("{year:02}{}", after_year(civil)).as_bytes());
        } else {
            self.generalized_time(time);
        }
    }

    /// A GeneralizedTime in whole seconds, as OCSP has it whatever the year.
    pub fn generalized_time(&mut self, time: Timestamp) {
        let civil = time.to_zoned(TimeZone::UTC).datetime();
        let text = format!("{:04}{}", civil.year(), after_year(civil));
        self.primitive(tag::GENERALIZED_TIME, text.as_bytes());
    }
}

fn after_year(civil: DateTime) -> String {
    let (month, day) = (civil.month(), civil.day());
    format!("{month:02}{day:02}{:02}{:02}{:02}Z", civil.hour(), civil.minute(), civil.second())
}

/// The content octets of a non-negative INTEGER, from its big-endian magnitude.
///
/// ```
/// assert_eq!(pki::der::integer_content(&[0x00, 0x80]), [0x00, 0x80]);
/// assert_eq!(pki::der::integer_content(&[]), [0x00]);
/// ```
#[must_use]
pub fn integer_content(magnitude: &[u8]) -> Vec<u8> {
    let first = magnitude.iter().position(|byte| *byte != 0).unwrap_or(magnitude.len());
    let significant = &magnitude[first..];
    let mut content = Vec::with_capacity(significant.len() + 1);
    if significant.first().is_none_or(|byte| byte & 0x80 != 0) {
        content.push(0);
    }
    content.extend_from_slice(significant);
    content
}

/// The content octets of an OBJECT IDENTIFIER from its dotted form; `None` where it is not one.
///
/// ```
/// assert_eq!(pki::der::object_identifier_content("2.5.4.3").as_deref(), Some(&[0x55, 0x04, 0x03][..]));
/// ```
#[must_use]
pub fn object_identifier_content(dotted: &str) -> Option<Vec<u8>> {
    let arcs = dotted.split('.').map(|arc| arc.parse::<u64>().ok()).collect::<Option<Vec<_>>>()?;
    let [first, second, rest @ ..] = arcs.as_slice() else { return None };
    if *first > 2 || (*first < 2 && *second > 39) {
        return None;
    }
    let mut content = Vec::new();
    for arc in std::iter::once((first * 40).checked_add(*second)?).chain(rest.iter().copied()) {
        let septets = (64 - arc.leading_zeros()).div_ceil(7).max(1);
        for index in (0..septets).rev() {
            // Seven bits, so the cast keeps the value.
            let septet = (arc >> (7 * index)) as u8 & 0x7f;
            content.push(if index == 0 { septet } else { septet | 0x80 });
        }
    }
    Some(content)
}

fn length_octets(length: usize, header: &mut [u8; 9]) -> usize {
    if length < 0x80 {
        // Below 128, so the cast keeps the value.
        header[0] = length as u8;
        return 1;
    }
    let bytes = length.to_be_bytes();
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1);
    let octets = &bytes[first..];
    // At most 8, so the cast keeps the value.
    header[0] = 0x80 | octets.len() as u8;
    header[1..=octets.len()].copy_from_slice(octets);
    1 + octets.len()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::der::Reader;
    use proptest::prelude::*;

    #[test]
    fn named_bits_leave_out_trailing_zeros() {
        let mut writer = Writer::new();
        // keyCertSign (5) and cRLSign (6).
        writer.named_bits(&[false, false, false, false, false, true, true, false, false]);
        assert_eq!(writer.into_bytes(), [0x03, 0x02, 0x01, 0x06]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(content in proptest::collection::vec(any::<u8>(), 0..70_000)) {
            let mut writer = Writer::new();
            writer.nested(tag::SEQUENCE, |w| w.primitive(tag::OCTET_STRING, &content));
            let bytes = writer.into_bytes();
            let mut reader = Reader::new(&bytes);
            let mut sequence = reader.nested(tag::SEQUENCE).unwrap();
            prop_assert_eq!(sequence.expect(tag::OCTET_STRING).unwrap().content, &content[..]);
            sequence.finish().unwrap();
            reader.finish().unwrap();
        }

        #[test]
        fn a_time_is_read_back(seconds in -631_152_000i64..253_402_300_799) {
            let time = Timestamp::from_second(seconds).unwrap();
            let mut writer = Writer::new();
            writer.time(time);
            prop_assert_eq!(Reader::new(&writer.into_bytes()).time().unwrap(), time);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = Reader::new(&bytes);
            while reader.any().is_ok() {}
            let _ = Reader::new(&bytes).time();
            let _ = Reader::new(&bytes).bit_string();
            let _ = Reader::new(&bytes).object_identifier();
        }
    }
}
