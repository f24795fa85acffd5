//! The strict reader: definite minimal lengths, low tag numbers, no trailing bytes.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::tag;
use crate::oid::Oid;

/// Why bytes are not the DER that was expected. Offsets count from the start of the slice given to the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DerError {
    /// The input ended inside an element.
    #[error("the encoding is cut short: {needed} more byte(s) wanted at offset {offset}")]
    Truncated {
        /// Where the missing bytes should start.
        offset: usize,
        /// How many are missing.
        needed: usize,
    },
    /// Another tag stands where this one was expected.
    #[error("tag 0x{found:02x} at offset {offset} where 0x{expected:02x} belongs")]
    UnexpectedTag {
        /// The tag that the structure requires.
        expected: u8,
        /// The tag that is there.
        found: u8,
        /// Where it is.
        offset: usize,
    },
    /// A length that is indefinite, not minimal, or above 4 GiB (X.690 section 10.1).
    #[error("a length at offset {offset} is not DER (indefinite, not minimal, or too large)")]
    Length {
        /// Where the length is.
        offset: usize,
    },
    /// A tag number above 30, which nothing in X.509 uses.
    #[error("a multi-byte tag at offset {offset}, which X.509 never uses")]
    HighTag {
        /// Where the tag is.
        offset: usize,
    },
    /// Bytes follow the end of the structure.
    #[error("{count} byte(s) follow the end of the structure at offset {offset}")]
    Trailing {
        /// Where they start.
        offset: usize,
        /// How many there are.
        count: usize,
    },
    /// The content of an element breaks a rule of its type.
    #[error("the {what} at offset {offset} is malformed")]
    Value {
        /// The type or field.
        what: &'static str,
        /// Where its content starts.
        offset: usize,
    },
}

/// One element: its tag, its content, and the whole encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// The identifier octet.
    pub tag: u8,
    /// The content octets.
    pub content: &'a [u8],
    /// Identifier, length and content octets.
    pub whole: &'a [u8],
    /// Where `content` starts, counted from the start of the outermost slice.
    pub content_offset: usize,
}

impl<'a> Tlv<'a> {
    /// A reader over the content.
    #[must_use]
    pub fn reader(&self) -> Reader<'a> {
        Reader { input: self.content, at: 0, base: self.content_offset }
    }
}

/// Reads elements one after the other.
///
/// ```
/// use pki::der::{Reader, tag};
/// let mut reader = Reader::new(&[0x30, 0x03, 0x02, 0x01, 0x05]);
/// let mut sequence = reader.nested(tag::SEQUENCE)?;
/// assert_eq!(sequence.small_integer("version")?, 5);
/// sequence.finish()?;
/// reader.finish()?;
/// # Ok::<(), pki::der::DerError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    input: &'a [u8],
    at: usize,
    base: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `input`.
    #[must_use]
    pub fn new(input: &'a [u8]) -> Self {
        Reader { input, at: 0, base: 0 }
    }

    /// The offset of the next byte.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.base + self.at
    }

    /// Whether everything has been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.at >= self.input.len()
    }

    /// The bytes not read yet.
    #[must_use]
    pub fn remaining(&self) -> &'a [u8] {
        &self.input[self.at..]
    }

    /// The next tag, not consumed.
    #[must_use]
    pub fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    /// The next element, whatever its tag.
    ///
    /// # Errors
    /// [`DerError`] where the header is not DER or the content is cut short.
    pub fn any(&mut self) -> Result<Tlv<'a>, DerError> {
        let start = self.at;
        let tag = *self.input.get(start).ok_or(DerError::Truncated { offset: self.offset(), needed: 1 })?;
        if tag & 0x1f == 0x1f {
            return Err(DerError::HighTag { offset: self.offset() });
        }
        let length_at = start + 1;
        let length_offset = self.base + length_at;
        let first =
            *self.input.get(length_at).ok_or(DerError::Truncated { offset: length_offset, needed: 1 })?;
        let (length, header) = if first < 0x80 {
            (usize::from(first), 2)
        } else {
            let octets = usize::from(first & 0x7f);
            if octets == 0 || octets > 4 {
                return Err(DerError::Length { offset: length_offset });
            }
            let bytes = self
                .input
                .get(length_at + 1..length_at + 1 + octets)
                .ok_or(DerError::Truncated { offset: length_offset + 1, needed: octets })?;
            let length = bytes.iter().fold(0usize, |value, byte| value << 8 | usize::from(*byte));
            if bytes[0] == 0 || length < 0x80 {
                return Err(DerError::Length { offset: length_offset });
            }
            (length, 2 + octets)
        };
        let content_at = start + header;
        let available = self.input.len().saturating_sub(content_at);
        if length > available {
            return Err(DerError::Truncated {
                offset: self.base + self.input.len(),
                needed: length - available,
            });
        }
        self.at = content_at + length;
        Ok(Tlv {
            tag,
            content: &self.input[content_at..self.at],
            whole: &self.input[start..self.at],
            content_offset: self.base + content_at,
        })
    }

    /// The next element, which must have this tag.
    ///
    /// # Errors
    /// [`DerError::UnexpectedTag`], or what [`Reader::any`] gives.
    pub fn expect(&mut self, expected: u8) -> Result<Tlv<'a>, DerError> {
        match self.peek() {
            Some(found) if found != expected => {
                Err(DerError::UnexpectedTag { expected, found, offset: self.offset() })
            }
            _ => self.any(),
        }
    }

    /// The next element if it has this tag.
    ///
    /// # Errors
    /// What [`Reader::any`] gives.
    pub fn optional(&mut self, tag: u8) -> Result<Option<Tlv<'a>>, DerError> {
        if self.peek() == Some(tag) { self.any().map(Some) } else { Ok(None) }
    }

    /// A reader over the content of the next element, which must have this tag.
    ///
    /// # Errors
    /// What [`Reader::expect`] gives.
    pub fn nested(&mut self, expected: u8) -> Result<Reader<'a>, DerError> {
        Ok(self.expect(expected)?.reader())
    }

    /// Succeeds where nothing is left.
    ///
    /// # Errors
    /// [`DerError::Trailing`].
    pub fn finish(&self) -> Result<(), DerError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(DerError::Trailing { offset: self.offset(), count: self.input.len() - self.at })
        }
    }

    /// An INTEGER's content octets: two's complement, minimal.
    ///
    /// # Errors
    /// [`DerError::Value`] where the content is empty or not minimal.
    pub fn integer(&mut self) -> Result<&'a [u8], DerError> {
        let tlv = self.expect(tag::INTEGER)?;
        check_integer(tlv)?;
        Ok(tlv.content)
    }

    /// An INTEGER between 0 and 2^31 - 1.
    ///
    /// # Errors
    /// [`DerError::Value`] naming `what`, where it is negative or larger.
    pub fn small_integer(&mut self, what: &'static str) -> Result<u32, DerError> {
        let offset = self.offset();
        let content = self.integer()?;
        if content.len() > 4 || content[0] & 0x80 != 0 {
            return Err(DerError::Value { what, offset });
        }
        Ok(content.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    }

    /// A BOOLEAN (X.690 section 11.1: 0x00 or 0xff).
    ///
    /// # Errors
    /// [`DerError::Value`] for any other content.
    pub fn boolean(&mut self) -> Result<bool, DerError> {
        let tlv = self.expect(tag::BOOLEAN)?;
        match tlv.content {
            [0x00] => Ok(false),
            [0xff] => Ok(true),
            _ => Err(DerError::Value { what: "BOOLEAN", offset: tlv.content_offset }),
        }
    }

    /// A BIT STRING: the number of unused bits, and the octets.
    ///
    /// # Errors
    /// [`DerError::Value`] where the count is impossible or unused bits are set.
    pub fn bit_string(&mut self) -> Result<(u8, &'a [u8]), DerError> {
        let tlv = self.expect(tag::BIT_STRING)?;
        parse_bit_string(tlv)
    }

    /// A BIT STRING of whole octets, as signatures and keys are.
    ///
    /// # Errors
    /// [`DerError::Value`] where bits are unused.
    pub fn octet_bit_string(&mut self) -> Result<&'a [u8], DerError> {
        let offset = self.offset();
        match self.bit_string()? {
            (0, octets) => Ok(octets),
            _ => Err(DerError::Value { what: "BIT STRING", offset }),
        }
    }

    /// An OBJECT IDENTIFIER.
    ///
    /// # Errors
    /// [`DerError::Value`] where [`Oid::from_content`] refuses the content.
    pub fn object_identifier(&mut self) -> Result<Oid, DerError> {
        let tlv = self.expect(tag::OBJECT_IDENTIFIER)?;
        Oid::from_content(tlv.content)
            .ok_or(DerError::Value { what: "OBJECT IDENTIFIER", offset: tlv.content_offset })
    }

    /// A Time: UTCTime or GeneralizedTime as RFC 5280 section 4.1.2.5 wants them (seconds, `Z`, no fraction).
    ///
    /// # Errors
    /// [`DerError::Value`] for any other form.
    pub fn time(&mut self) -> Result<Timestamp, DerError> {
        let tlv = self.any()?;
        parse_time(tlv).ok_or(DerError::Value { what: "Time", offset: tlv.content_offset })
    }
}

fn check_integer(tlv: Tlv<'_>) -> Result<(), DerError> {
    let padded = match tlv.content {
        [] => true,
        [0x00, next, ..] => next & 0x80 == 0,
        [0xff, next, ..] => next & 0x80 != 0,
        _ => false,
    };
    if padded { Err(DerError::Value { what: "INTEGER", offset: tlv.content_offset }) } else { Ok(()) }
}

fn parse_bit_string(tlv: Tlv<'_>) -> Result<(u8, &[u8]), DerError> {
    let malformed = DerError::Value { what: "BIT STRING", offset: tlv.content_offset };
    let (unused, octets) = tlv.content.split_first().ok_or(malformed)?;
    let spare = match octets.last() {
        _ if *unused > 7 => return Err(malformed),
        Some(last) => last & ((1u8 << unused) - 1),
        None => *unused,
    };
    if spare == 0 { Ok((*unused, octets)) } else { Err(malformed) }
}

fn parse_time(tlv: Tlv<'_>) -> Option<Timestamp> {
    let digits = tlv.content.strip_suffix(b"Z")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let pair = |at: usize| i8::try_from((digits[at] - b'0') * 10 + (digits[at + 1] - b'0')).ok();
    let (year, rest) = match (tlv.tag, digits.len()) {
        // RFC 5280 section 4.1.2.5.1: 50 and above is the twentieth century.
        (tag::UTC_TIME, 12) => {
            let year = i16::from(pair(0)?);
            (if year >= 50 { 1900 + year } else { 2000 + year }, 2)
        }
        (tag::GENERALIZED_TIME, 14) => (i16::from(pair(0)?) * 100 + i16::from(pair(2)?), 4),
        _ => return None,
    };
    let civil = DateTime::new(
        year,
        pair(rest)?,
        pair(rest + 2)?,
        pair(rest + 4)?,
        pair(rest + 6)?,
        pair(rest + 8)?,
        0,
    )
    .ok()?;
    match civil.to_zoned(TimeZone::UTC) {
        Ok(zoned) => Some(zoned.timestamp()),
        // jiff's time ends 26 hours before 99991231235959Z, which means "never" (RFC 5280 section 4.1.2.5).
        Err(_) => Timestamp::from_second(Timestamp::MAX.as_second()).ok().filter(|_| year == 9999),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn first_error(bytes: &[u8]) -> DerError {
        Reader::new(bytes).any().unwrap_err()
    }

    #[test]
    fn lengths_must_be_definite_and_minimal() {
        assert_eq!(first_error(&[0x30, 0x80, 0, 0]), DerError::Length { offset: 1 });
        assert_eq!(first_error(&[0x30, 0x81, 0x01, 0]), DerError::Length { offset: 1 });
        assert_eq!(first_error(&[0x30, 0x82, 0x00, 0x80]), DerError::Length { offset: 1 });
        assert_eq!(first_error(&[0x30, 0x05, 0x00]), DerError::Truncated { offset: 3, needed: 4 });
        assert_eq!(first_error(&[0x1f, 0x00]), DerError::HighTag { offset: 0 });
    }

    #[test]
    fn integers_must_be_minimal() {
        for bytes in [&[0x02u8, 0x00][..], &[0x02, 0x02, 0x00, 0x7f], &[0x02, 0x02, 0xff, 0x80]] {
            assert!(matches!(Reader::new(bytes).integer(), Err(DerError::Value { .. })), "{bytes:?}");
        }
        assert_eq!(Reader::new(&[0x02, 0x02, 0x00, 0x80]).small_integer("x").unwrap(), 128);
        assert!(Reader::new(&[0x02, 0x01, 0x80]).small_integer("x").is_err());
    }

    #[test]
    fn offsets_count_from_the_outermost_slice() {
        let mut outer = Reader::new(&[0x30, 0x05, 0x30, 0x03, 0x02, 0x01, 0x05]);
        let mut middle = outer.nested(tag::SEQUENCE).unwrap();
        let mut inner = middle.nested(tag::SEQUENCE).unwrap();
        assert_eq!(
            inner.boolean(),
            Err(DerError::UnexpectedTag { expected: tag::BOOLEAN, found: tag::INTEGER, offset: 4 })
        );
    }

    #[test]
    fn times_are_read_in_both_forms_and_no_other() {
        let time = |tag: u8, text: &str| {
            let mut bytes = vec![tag, u8::try_from(text.len()).unwrap()];
            bytes.extend_from_slice(text.as_bytes());
            Reader::new(&bytes).time().map(|t| t.to_string())
        };
        assert_eq!(time(tag::UTC_TIME, "491231235959Z").unwrap(), "2049-12-31T23:59:59Z");
        assert_eq!(time(tag::UTC_TIME, "500101000000Z").unwrap(), "1950-01-01T00:00:00Z");
        assert_eq!(time(tag::GENERALIZED_TIME, "20500101000000Z").unwrap(), "2050-01-01T00:00:00Z");
        for bad in ["4912312359Z", "491231235959+0100", "491331235959Z", "4912312359 9Z"] {
            assert!(time(tag::UTC_TIME, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_date_that_means_never_is_read() {
        // RFC 5280 section 4.1.2.5: no well-defined expiration date.
        let bytes = [&[tag::GENERALIZED_TIME, 15][..], b"99991231235959Z"].concat();
        assert_eq!(Reader::new(&bytes).time().unwrap().as_second(), Timestamp::MAX.as_second());
    }

    #[test]
    fn unused_bits_must_be_zero() {
        assert!(Reader::new(&[0x03, 0x02, 0x01, 0x01]).bit_string().is_err());
        assert!(Reader::new(&[0x03, 0x02, 0x08, 0x00]).bit_string().is_err());
        assert!(Reader::new(&[0x03, 0x01, 0x01]).bit_string().is_err());
        assert_eq!(Reader::new(&[0x03, 0x02, 0x01, 0x02]).bit_string().unwrap(), (1, &[2u8][..]));
    }
}
