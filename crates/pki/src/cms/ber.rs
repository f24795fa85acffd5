//! BER (X.690 section 8) brought into DER as it arrives: indefinite and overlong lengths become definite and short,
//! strings in pieces become whole. Nothing is kept of the content of signed data; what is kept is bounded, in octets and in
//! depth, before it is kept.

use crate::der::tag;

/// Elements within elements; signed data with certificates needs about 15.
const DEEPEST: usize = 32;

/// An identifier octet's bit for "constructed".
const CONSTRUCTED: u8 = 0x20;

/// Where the content of signed data stands: ContentInfo, its `[0]`, SignedData, encapContentInfo, its `[0]` (RFC 5652
/// sections 3, 5.1 and 5.2). SignedData has no other SEQUENCE among its fields, so the tags alone tell it.
const CONTENT: [u8; 5] =
    [tag::SEQUENCE, tag::context_constructed(0), tag::SEQUENCE, tag::SEQUENCE, tag::context_constructed(0)];
/// Where the hash algorithms stand, before the content: SignedData's first SET.
const DIGEST_ALGORITHMS: [u8; 4] = [tag::SEQUENCE, tag::context_constructed(0), tag::SEQUENCE, tag::SET];

/// Why octets are no BER that is taken here. Offsets count from the first octet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BerError {
    /// They ended inside an element.
    #[error("it is cut short: it ends at offset {0} inside an element")]
    Truncated(u64),
    /// Octets follow the outermost element.
    #[error("something follows the end of the structure at offset {0}")]
    Trailing(u64),
    /// A length that reaches beyond the element around it.
    #[error("the length at offset {0} reaches beyond the element around it")]
    Beyond(u64),
    /// A length of more than eight octets, or a reserved one.
    #[error("the length at offset {0} has an impossible form (X.690 section 8.1.3)")]
    Length(u64),
    /// An indefinite length on a primitive element.
    #[error("the element at offset {0} is primitive and has an indefinite length (X.690 section 8.1.3.2)")]
    IndefinitePrimitive(u64),
    /// An end-of-contents where none belongs.
    #[error("an end-of-contents at offset {0} ends nothing")]
    EndOfContents(u64),
    /// A tag number above 30.
    #[error("the tag at offset {0} has several octets, which no signed data has")]
    HighTag(u64),
    /// Too many elements within each other.
    #[error("at offset {0} more than 32 elements stand within each other, which no signed data needs")]
    TooDeep(u64),
    /// More than is kept.
    #[error("at offset {0} there is more than 8 MiB beside the content, which no signature needs")]
    TooLarge(u64),
    /// A piece of a string that is no piece of it.
    #[error("the string at offset {0} is in pieces that do not belong together (X.690 section 8.7.3)")]
    Pieces(u64),
}

/// What becomes of an element's octets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Kept, as an element.
    Kept,
    /// A piece of a string that is kept.
    Piece,
    /// Content: passed on.
    Content,
}

struct Frame {
    tag: u8,
    /// Where its octets start in what is kept.
    start: usize,
    /// Where it ends, if that was said.
    end: Option<u64>,
    /// Where it must have ended, by what is around it.
    limit: u64,
    fate: Fate,
}

enum State {
    Header,
    /// So many octets of a primitive are still to come.
    Octets(u64, Fate),
    Done,
}

/// Takes content, with the hash algorithms as far as they are known.
pub(super) type Sink<'a> = dyn FnMut(Option<&[u8]>, &[u8]) + 'a;

/// Brings BER into DER, piece by piece.
pub(super) struct Normaliser {
    state: State,
    stack: Vec<Frame>,
    kept: Vec<u8>,
    largest: usize,
    offset: u64,
    header: [u8; 10],
    header_length: usize,
    /// SignedData's first SET, once it was complete.
    pub(super) digest_algorithms: Option<Vec<u8>>,
}

impl Normaliser {
    pub(super) fn new(largest: usize) -> Self {
        Normaliser {
            state: State::Header,
            stack: Vec::new(),
            kept: Vec::new(),
            largest,
            offset: 0,
            header: [0; 10],
            header_length: 0,
            digest_algorithms: None,
        }
    }

    /// Takes the next octets; those of the content go to `content`, with the hash algorithms as far as they are known.
    pub(super) fn push(&mut self, mut bytes: &[u8], content: &mut Sink<'_>) -> Result<(), BerError> {
        while !bytes.is_empty() {
            match self.state {
                State::Done => return Err(BerError::Trailing(self.offset)),
                State::Header => {
                    self.header[self.header_length] = bytes[0];
                    self.header_length += 1;
                    self.offset += 1;
                    bytes = &bytes[1..];
                    self.header(content)?;
                }
                State::Octets(left, fate) => {
                    let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    let (now, rest) = bytes.split_at(count);
                    match fate {
                        Fate::Content => content(self.digest_algorithms.as_deref(), now),
                        Fate::Kept | Fate::Piece => self.kept.extend_from_slice(now),
                    }
                    self.offset += count as u64;
                    bytes = rest;
                    let left = left - count as u64;
                    self.state = State::Octets(left, fate);
                    if left == 0 {
                        self.state = State::Header;
                        self.close();
                    }
                }
            }
        }
        Ok(())
    }

    /// What was kept, in DER.
    pub(super) fn finish(self) -> Result<Vec<u8>, BerError> {
        match self.state {
            State::Done => Ok(self.kept),
            _ => Err(BerError::Truncated(self.offset)),
        }
    }

    /// Looks at the octets of a header so far; acts once they are all there.
    fn header(&mut self, content: &mut Sink<'_>) -> Result<(), BerError> {
        let start = self.offset - self.header_length as u64;
        let header = &self.header[..self.header_length];
        let tag = header[0];
        if tag & 0x1f == 0x1f {
            return Err(BerError::HighTag(start));
        }
        let Some(first) = header.get(1).copied() else { return Ok(()) };
        let length = match first {
            0..0x80 => Some(u64::from(first)),
            0x80 => None,
            _ => {
                let octets = usize::from(first & 0x7f);
                if octets > 8 {
                    return Err(BerError::Length(start + 1));
                }
                if header.len() < 2 + octets {
                    return Ok(());
                }
                Some(header[2..].iter().fold(0u64, |value, octet| value << 8 | u64::from(*octet)))
            }
        };
        self.header_length = 0;
        if tag == 0 {
            return self.end_of_contents(start, length);
        }
        self.open(start, tag, length, content)
    }

    fn end_of_contents(&mut self, start: u64, length: Option<u64>) -> Result<(), BerError> {
        match self.stack.last() {
            Some(frame) if frame.end.is_none() && length == Some(0) => {
                // It stands within what is around.
                if self.offset > frame.limit {
                    return Err(BerError::Beyond(start));
                }
                self.pop();
                self.close();
                Ok(())
            }
            _ => Err(BerError::EndOfContents(start)),
        }
    }

    fn open(
        &mut self,
        start: u64,
        tag: u8,
        length: Option<u64>,
        content: &mut Sink<'_>,
    ) -> Result<(), BerError> {
        let limit = self.stack.last().map_or(u64::MAX, |frame| frame.end.unwrap_or(frame.limit));
        let end = match length {
            Some(length) => Some(self.offset.checked_add(length).ok_or(BerError::Length(start + 1))?),
            None => None,
        };
        if end.unwrap_or(self.offset) > limit {
            return Err(BerError::Beyond(start + 1));
        }
        let fate = self.fate(start, tag)?;
        if tag & CONSTRUCTED == 0 {
            let length = length.ok_or(BerError::IndefinitePrimitive(start))?;
            if fate != Fate::Content {
                let room = self.largest.saturating_sub(self.kept.len()) as u64;
                if length + 10 > room {
                    return Err(BerError::TooLarge(start));
                }
            }
            if fate == Fate::Kept {
                self.kept.push(tag);
                // At most `largest`, so it fits.
                push_length(&mut self.kept, length as usize);
            }
            if fate == Fate::Content && length == 0 {
                content(self.digest_algorithms.as_deref(), &[]);
            }
            self.state = State::Octets(length, fate);
            if length == 0 {
                self.state = State::Header;
                self.close();
            }
            return Ok(());
        }
        if self.stack.len() >= DEEPEST {
            return Err(BerError::TooDeep(start));
        }
        if self.kept.len() + 10 > self.largest {
            return Err(BerError::TooLarge(start));
        }
        if fate == Fate::Kept {
            self.kept.push(if is_string(tag) { tag & !CONSTRUCTED } else { tag });
        }
        if fate == Fate::Content {
            content(self.digest_algorithms.as_deref(), &[]);
        }
        self.stack.push(Frame { tag, start: self.kept.len(), end, limit, fate });
        self.state = State::Header;
        self.close();
        Ok(())
    }

    /// What becomes of an element with this tag at this place.
    fn fate(&self, start: u64, tag: u8) -> Result<Fate, BerError> {
        let Some(parent) = self.stack.last() else { return Ok(Fate::Kept) };
        let is_octets = tag & !CONSTRUCTED == tag::OCTET_STRING;
        match parent.fate {
            Fate::Content if is_octets => Ok(Fate::Content),
            Fate::Content => Err(BerError::Pieces(start)),
            _ if is_string(parent.tag) => {
                // The pieces have the tag of the whole; those of other strings than octets may be OCTET STRINGs
                // (X.690 section 8.23.6 with 8.21).
                if tag & !CONSTRUCTED == parent.tag & !CONSTRUCTED || is_octets {
                    Ok(Fate::Piece)
                } else {
                    Err(BerError::Pieces(start))
                }
            }
            Fate::Piece => Err(BerError::Pieces(start)),
            Fate::Kept => {
                let at_content = is_octets
                    && self.stack.len() == CONTENT.len()
                    && self.stack.iter().zip(CONTENT).all(|(frame, tag)| frame.tag == tag);
                Ok(if at_content { Fate::Content } else { Fate::Kept })
            }
        }
    }

    /// Closes what ends here.
    fn close(&mut self) {
        while self.stack.last().is_some_and(|frame| frame.end == Some(self.offset)) {
            self.pop();
        }
        if self.stack.is_empty() {
            self.state = State::Done;
        }
    }

    fn pop(&mut self) {
        let is_first_set = self.digest_algorithms.is_none()
            && self.stack.len() == DIGEST_ALGORITHMS.len()
            && self.stack.iter().zip(DIGEST_ALGORITHMS).all(|(frame, tag)| frame.tag == tag);
        let Some(frame) = self.stack.pop() else { return };
        if is_first_set {
            self.digest_algorithms = Some(self.kept[frame.start..].to_vec());
        }
        if frame.fate == Fate::Kept {
            let mut length = Vec::with_capacity(9);
            push_length(&mut length, self.kept.len() - frame.start);
            self.kept.splice(frame.start..frame.start, length);
        }
    }
}

/// A constructed string of the universal class: OCTET STRING, UTF8String, and the strings from 18 to 30 but for the times.
/// A BIT STRING in pieces is met nowhere.
fn is_string(tag: u8) -> bool {
    tag & 0xc0 == 0 && tag & CONSTRUCTED != 0 && matches!(tag & 0x1f, 0x04 | 0x0c | 0x12..=0x16 | 0x19..=0x1e)
}

fn push_length(out: &mut Vec<u8>, length: usize) {
    if length < 0x80 {
        // Below 128, so the cast keeps the value.
        out.push(length as u8);
        return;
    }
    let bytes = length.to_be_bytes();
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1);
    // At most 8, so the cast keeps the value.
    out.push(0x80 | (bytes.len() - first) as u8);
    out.extend_from_slice(&bytes[first..]);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use proptest::prelude::*;

    const LARGEST: usize = 1 << 16;

    /// DER and content of BER that comes in pieces of this size.
    fn normalised(bytes: &[u8], piece: usize) -> Result<(Vec<u8>, Vec<u8>), BerError> {
        let mut normaliser = Normaliser::new(LARGEST);
        let mut content = Vec::new();
        for piece in bytes.chunks(piece) {
            normaliser.push(piece, &mut |_, octets| content.extend_from_slice(octets))?;
        }
        Ok((normaliser.finish()?, content))
    }

    #[test]
    fn indefinite_lengths_and_strings_in_pieces_become_der() {
        for (ber, der) in [
            ("3080020101 0000", "3003020101"),
            ("30 81 03 020101", "3003020101"),
            ("24 80 04 01 61 04 02 62 63 0000", "0403616263"),
            ("24 08 04 01 61 24 03 04 01 62", "04026162"),
            ("30 80 2c 80 0c 01 61 0c 01 62 0000 0000", "30040c026162"),
            ("30 80 30 80 30 80 0000 0000 0000", "300430023000"),
            ("3000", "3000"),
        ] {
            let ber = unhex(ber);
            for piece in [1, 2, 100] {
                assert_eq!(crate::hex(&normalised(&ber, piece).unwrap().0), der.replace(' ', ""));
            }
        }
    }

    #[test]
    fn hostile_encodings_are_refused_by_their_fault() {
        let bomb = [0x30, 0x80].repeat(100_000);
        let long = [&[0x30, 0x80][..], &[0x04, 0x84, 0xff, 0xff, 0xff, 0xff]].concat();
        let many = [&[0x30, 0x80][..], &[0x30, 0x00].repeat(100_000)].concat();
        let cases: [(&[u8], BerError); 11] = [
            (&bomb, BerError::TooDeep(64)),
            (&long, BerError::TooLarge(2)),
            (&many, BerError::TooLarge(65528)),
            (&[0x30, 0x03, 0x04, 0x05], BerError::Beyond(3)),
            (&[0x30, 0x89, 1, 1, 1, 1, 1, 1, 1, 1, 1], BerError::Length(1)),
            (&[0x30, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], BerError::Length(1)),
            (&[0x04, 0x80, 0x00, 0x00], BerError::IndefinitePrimitive(0)),
            (&[0x30, 0x04, 0x00, 0x00, 0x00, 0x00], BerError::EndOfContents(2)),
            (&[0x1f, 0x81, 0x00], BerError::HighTag(0)),
            (&[0x24, 0x80, 0x02, 0x01, 0x00], BerError::Pieces(2)),
            (&[0x30, 0x00, 0x00], BerError::Trailing(2)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(normalised(bytes, 7).unwrap_err(), expected);
        }
        assert_eq!(normalised(&[0x30, 0x80, 0x02], 7).unwrap_err(), BerError::Truncated(3));
    }

    fn unhex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> =
            text.chars().filter_map(|c| c.to_digit(16)).map(|digit| u8::try_from(digit).unwrap()).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    proptest! {
        #[test]
        fn no_octets_make_it_panic_or_keep_more_than_it_may(
            bytes in proptest::collection::vec(prop_oneof![Just(0x30u8), Just(0x80), Just(0), Just(0xa0), Just(4), any::<u8>()], 0..200),
            piece in 1usize..20,
        ) {
            if let Ok((der, content)) = normalised(&bytes, piece) {
                prop_assert!(der.len() + content.len() <= bytes.len() * 2 + 10);
                // What is DER stays as it is.
                if content.is_empty() {
                    prop_assert_eq!(normalised(&der, 3).unwrap().0, der);
                }
            }
        }
    }
}
