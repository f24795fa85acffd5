//! HPACK (RFC 7541). Reading knows the dynamic table, since clients send with it; what is sent uses the static table
//! alone: looking for what could be indexed takes more time than the octets that it saves are worth.

use std::collections::VecDeque;

use super::huffman;
use crate::serve::http1::head::Field;

/// The size of the dynamic table that clients may fill: the value that holds where SETTINGS name no other.
const TABLE: usize = 4096;
/// How many times as large as it may be a list gets before nothing more of it is decoded. Up to here it costs its stream
/// alone; but an octet can stand for an entry of 4 KiB, and each is copied.
const FAR_TOO_MUCH: usize = 8;
/// What each entry of a table or a list counts beside its octets (RFC 7541 section 4.1, RFC 9113 section 6.5.2).
const ENTRY: usize = 32;

/// The static table (RFC 7541 appendix A); its first entry has the index 1.
const STATIC: [(&[u8], &[u8]); 61] = [
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b""),
    (b"accept-ranges", b""),
    (b"accept", b""),
    (b"access-control-allow-origin", b""),
    (b"age", b""),
    (b"allow", b""),
    (b"authorization", b""),
    (b"cache-control", b""),
    (b"content-disposition", b""),
    (b"content-encoding", b""),
    (b"content-language", b""),
    (b"content-length", b""),
    (b"content-location", b""),
    (b"content-range", b""),
    (b"content-type", b""),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"expect", b""),
    (b"expires", b""),
    (b"from", b""),
    (b"host", b""),
    (b"if-match", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"if-range", b""),
    (b"if-unmodified-since", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"max-forwards", b""),
    (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""),
    (b"range", b""),
    (b"referer", b""),
    (b"refresh", b""),
    (b"retry-after", b""),
    (b"server", b""),
    (b"set-cookie", b""),
    (b"strict-transport-security", b""),
    (b"transfer-encoding", b""),
    (b"user-agent", b""),
    (b"vary", b""),
    (b"via", b""),
    (b"www-authenticate", b""),
];

/// Why a block of fields cannot be decoded. The connection is over then: the table may be another one on each side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum HpackError {
    #[error("a block of fields ends inside of one")]
    Short,
    #[error("an integer of a block is too large")]
    Integer,
    #[error("an index of a block is in no table")]
    Index,
    #[error("the table is made larger than was allowed, or behind a field")]
    TableSize,
    #[error("a string's Huffman code is broken")]
    Huffman,
    #[error("a list of fields is many times as large as it may be")]
    TooLarge,
}

/// The fields of one block, in order.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) octets: Vec<u8>,
    pub(super) list: Vec<Field>,
    /// The size as section 6.5.2 of RFC 9113 counts it.
    size: usize,
    /// There was more than may be; the rest was decoded, and not kept.
    pub(super) is_over: bool,
}

impl Fields {
    fn clear(&mut self) {
        self.octets.clear();
        self.list.clear();
        self.size = 0;
        self.is_over = false;
    }

    /// Each name with its value.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.list.iter().map(|field| (field.name(&self.octets), field.value(&self.octets)))
    }
}

/// An entry of the dynamic table: the octets of a name, and behind it those of the value.
#[derive(Debug)]
struct Entry {
    octets: Box<[u8]>,
    name: usize,
}

/// What a client's blocks are decoded with.
#[derive(Debug)]
pub(super) struct Decoder {
    /// The newest first.
    entries: VecDeque<Entry>,
    size: usize,
    most: usize,
}

/// The octets of a block that are left.
struct Input<'b>(&'b [u8]);

impl<'b> Input<'b> {
    fn octet(&mut self) -> Result<u8, HpackError> {
        let (first, rest) = self.0.split_first().ok_or(HpackError::Short)?;
        self.0 = rest;
        Ok(*first)
    }

    /// An integer whose first bits are the lowest `prefix` of `first` (section 5.1).
    fn integer(&mut self, first: u8, prefix: u8) -> Result<usize, HpackError> {
        let most = (1_usize << prefix) - 1;
        let mut value = usize::from(first) & most;
        if value < most {
            return Ok(value);
        }
        // Four octets more are 28 bits, and more than any frame has.
        for shift in [0, 7, 14, 21] {
            let octet = self.octet()?;
            value += usize::from(octet & 0x7f) << shift;
            if octet & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(HpackError::Integer)
    }

    /// A string (section 5.2), decoded behind what is in `out`.
    fn string(&mut self, out: &mut Vec<u8>) -> Result<(), HpackError> {
        let first = self.octet()?;
        let length = self.integer(first, 7)?;
        let (text, rest): (&'b [u8], _) = self.0.split_at_checked(length).ok_or(HpackError::Short)?;
        self.0 = rest;
        if first & 0x80 == 0 {
            out.extend_from_slice(text);
            return Ok(());
        }
        huffman::decode(text, out).map_err(|_| HpackError::Huffman)
    }
}

impl Decoder {
    pub(super) fn new() -> Self {
        Decoder { entries: VecDeque::new(), size: 0, most: TABLE }
    }

    /// Decodes one block; of a list that is larger than `limit` the beginning is kept.
    pub(super) fn decode(
        &mut self,
        block: &[u8],
        limit: usize,
        fields: &mut Fields,
    ) -> Result<(), HpackError> {
        fields.clear();
        let mut input = Input(block);
        let mut is_first = true;
        while let Ok(first) = input.octet() {
            let start = fields.octets.len();
            let (name_length, indexed) = match first {
                // Indexed (section 6.1).
                0x80.. => {
                    let (name, value) = self.entry(input.integer(first, 7)?)?;
                    fields.octets.extend_from_slice(name);
                    fields.octets.extend_from_slice(value);
                    (name.len(), false)
                }
                // Another size of the table (section 6.3).
                0x20..0x40 => {
                    let size = input.integer(first, 5)?;
                    if !is_first || size > TABLE {
                        return Err(HpackError::TableSize);
                    }
                    self.most = size;
                    self.evict(0);
                    continue;
                }
                // A literal: with indexing (section 6.2.1), without, or never (6.2.2 and 6.2.3).
                _ => {
                    let indexed = first & 0x40 != 0;
                    let index = input.integer(first, if indexed { 6 } else { 4 })?;
                    if index == 0 {
                        input.string(&mut fields.octets)?;
                    } else {
                        fields.octets.extend_from_slice(self.entry(index)?.0);
                    }
                    let name = fields.octets.len() - start;
                    input.string(&mut fields.octets)?;
                    (name, indexed)
                }
            };
            is_first = false;
            if indexed {
                self.insert(&fields.octets[start..], name_length);
            }
            fields.size += fields.octets.len() - start + ENTRY;
            if fields.size > limit {
                fields.is_over = true;
            }
            if fields.size / FAR_TOO_MUCH > limit {
                return Err(HpackError::TooLarge);
            }
            if fields.is_over {
                fields.octets.truncate(start);
                continue;
            }
            let at = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
            let (name, end) = (start + name_length, fields.octets.len());
            fields.list.push(Field::at((at(start), at(name)), (at(name), at(end))));
        }
        Ok(())
    }

    fn entry(&self, index: usize) -> Result<(&[u8], &[u8]), HpackError> {
        match index.checked_sub(1).ok_or(HpackError::Index)? {
            place if place < STATIC.len() => Ok(STATIC[place]),
            place => {
                let entry = self.entries.get(place - STATIC.len()).ok_or(HpackError::Index)?;
                Ok(entry.octets.split_at(entry.name))
            }
        }
    }

    fn insert(&mut self, octets: &[u8], name: usize) {
        let size = octets.len() + ENTRY;
        self.evict(size);
        if size <= self.most {
            self.size += size;
            self.entries.push_front(Entry { octets: octets.into(), name });
        }
    }

    /// Makes room; where there is none even in an empty table, it is emptied (section 4.4).
    fn evict(&mut self, size: usize) {
        while self.size + size > self.most {
            let Some(oldest) = self.entries.pop_back() else { return };
            self.size -= oldest.octets.len() + ENTRY;
        }
    }
}

/// Writes an integer whose first octet begins with `pattern` (section 5.1).
fn write_integer(out: &mut Vec<u8>, pattern: u8, prefix: u8, value: usize) {
    let most = (1_usize << prefix) - 1;
    if value < most {
        out.push(pattern | value as u8);
        return;
    }
    out.push(pattern | most as u8);
    let mut rest = value - most;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Says that our table holds nothing, and never will (section 4.2).
pub(super) fn write_empty_table(out: &mut Vec<u8>) {
    out.push(0x20);
}

/// Writes the status of an answer.
pub(super) fn write_status(out: &mut Vec<u8>, status: u16) {
    match status {
        200 => out.push(0x88),
        204 => out.push(0x89),
        206 => out.push(0x8a),
        304 => out.push(0x8b),
        400 => out.push(0x8c),
        404 => out.push(0x8d),
        500 => out.push(0x8e),
        _ => {
            out.extend_from_slice(&[0x08, 3]);
            out.extend([status / 100, status / 10 % 10, status % 10].map(|digit| b'0' + (digit % 10) as u8));
        }
    }
}

/// Writes a field, its name in small letters. A cookie is marked as never to be indexed by anyone (section 7.1.3).
pub(super) fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    match static_name(name) {
        SET_COOKIE => write_integer(out, 0x10, 4, SET_COOKIE),
        0 => {
            out.push(0);
            write_integer(out, 0, 7, name.len());
            out.extend(name.iter().map(u8::to_ascii_lowercase));
        }
        index => write_integer(out, 0, 4, index),
    }
    write_integer(out, 0, 7, value.len());
    out.extend_from_slice(value);
}

const SET_COOKIE: usize = 55;

/// The index of a name in the static table, of those that answers have; 0 of others.
fn static_name(name: &[u8]) -> usize {
    let candidates: &[usize] = match name.len() {
        3 => &[21, 60],
        4 => &[33, 34, 59, 45],
        5 => &[22],
        6 => &[54],
        7 => &[36],
        8 => &[46],
        10 => &[SET_COOKIE],
        11 => &[53],
        12 => &[31],
        13 => &[24, 44, 18, 30],
        14 => &[28],
        16 => &[26, 27, 29, 61],
        19 => &[25],
        25 => &[56],
        27 => &[20],
        _ => return 0,
    };
    let named = |index: &&usize| name.eq_ignore_ascii_case(STATIC[**index - 1].0);
    candidates.iter().find(named).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 64 * 1024;

    fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<(String, String)>, HpackError> {
        let mut fields = Fields::default();
        decoder.decode(block, LIMIT, &mut fields)?;
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        Ok(fields.iter().map(|(name, value)| (text(name), text(value))).collect())
    }

    fn octets(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    type Expected<'e> = (&'e str, &'e [(&'e str, &'e str)], usize);

    /// RFC 7541 appendix C.3 and C.4: three requests on a connection, and the table's size after each.
    #[test]
    fn the_requests_of_the_rfc_are_read() {
        let first: &[(&str, &str)] =
            &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")];
        let second: &[(&str, &str)] = &[
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/"),
            (":authority", "www.example.com"),
            ("cache-control", "no-cache"),
        ];
        let third: &[(&str, &str)] = &[
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/index.html"),
            (":authority", "www.example.com"),
            ("custom-key", "custom-value"),
        ];
        let plain: [Expected<'_>; 3] = [
            ("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", first, 57),
            ("8286 84be 5808 6e6f 2d63 6163 6865", second, 110),
            ("8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", third, 164),
        ];
        let huffman: [Expected<'_>; 3] = [
            ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", first, 57),
            ("8286 84be 5886 a8eb 1064 9cbf", second, 110),
            ("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", third, 164),
        ];
        for blocks in [plain, huffman] {
            let mut decoder = Decoder::new();
            for (block, expected, size) in blocks {
                let found = decode(&mut decoder, &octets(block)).unwrap();
                let found: Vec<(&str, &str)> = found.iter().map(|(n, v)| (&**n, &**v)).collect();
                assert_eq!(found, expected);
                assert_eq!(decoder.size, size);
            }
        }
    }

    /// RFC 7541 appendix C.5, whose table of 256 octets loses its oldest entries.
    #[test]
    fn a_full_table_loses_its_oldest_entries() {
        let mut decoder = Decoder::new();
        decode(&mut decoder, &octets("3fe1 01")).unwrap();
        let first = "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 \
                     303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d";
        assert_eq!(decode(&mut decoder, &octets(first)).unwrap().len(), 4);
        assert_eq!(decoder.size, 222);
        let found = decode(&mut decoder, &octets("4803 3330 37c1 c0bf")).unwrap();
        assert_eq!(found[0], (":status".to_owned(), "307".to_owned()));
        assert_eq!(found[3], ("location".to_owned(), "https://www.example.com".to_owned()));
        assert_eq!((decoder.size, decoder.entries.len()), (222, 4));
        // An entry that is larger than the table empties it.
        let large = [&[0x40, 1, b'x', 0x7f, 0xad, 0x02][..], &[b'y'; 428]].concat();
        decode(&mut decoder, &large).unwrap();
        assert_eq!((decoder.size, decoder.entries.len()), (0, 0));
    }

    #[test]
    fn broken_blocks_are_refused() {
        let cases: &[(&[u8], HpackError)] = &[
            (&[0x80], HpackError::Index),
            (&[0xbe], HpackError::Index),
            (&[0x7f, 0x00, 0x00], HpackError::Index),
            (&[0xff], HpackError::Short),
            (&[0xff, 0x80, 0x80, 0x80, 0x80, 0x01], HpackError::Integer),
            (&[0x00, 0x05, b'a'], HpackError::Short),
            (&[0x00, 0x01, b'a'], HpackError::Short),
            (&[0x00, 0x81, 0x00, 0x00], HpackError::Huffman),
            (&[0x3f, 0xe2, 0x1f], HpackError::TableSize),
            (&[0x82, 0x20], HpackError::TableSize),
        ];
        for (block, error) in cases {
            assert_eq!(decode(&mut Decoder::new(), block), Err(*error), "{block:02x?}");
        }
        assert_eq!(decode(&mut Decoder::new(), &[0x20, 0x3f, 0xe1, 0x1f, 0x82]).unwrap().len(), 1);
    }

    #[test]
    fn of_a_list_that_is_too_large_the_beginning_is_kept_and_the_table_with_all_of_it() {
        let mut decoder = Decoder::new();
        let mut block = Vec::new();
        for number in 0..10 {
            block.extend_from_slice(&[0x40, 2, b'x', b'0' + number, 1, b'v']);
        }
        let mut fields = Fields::default();
        decoder.decode(&block, 100, &mut fields).unwrap();
        assert!(fields.is_over);
        assert_eq!(fields.list.len(), 2);
        assert_eq!(decoder.entries.len(), 10);
        decoder.decode(&[0xbe], 100, &mut fields).unwrap();
        assert!(!fields.is_over);
        assert_eq!(fields.iter().next().unwrap(), (&b"x9"[..], &b"v"[..]));
    }

    #[test]
    fn octets_that_stand_for_large_entries_are_not_copied_without_end() {
        let mut decoder = Decoder::new();
        let mut fields = Fields::default();
        let mut block = vec![0x40, 1, b'x'];
        write_integer(&mut block, 0, 7, 4000);
        block.extend([b'v'; 4000]);
        decoder.decode(&block, 16 * 1024, &mut fields).unwrap();
        assert_eq!(decoder.decode(&[0xbe; 20], 16 * 1024, &mut fields), Ok(()));
        assert!(fields.is_over);
        assert_eq!(decoder.decode(&[0xbe; 16 * 1024], 16 * 1024, &mut fields), Err(HpackError::TooLarge));
    }

    #[test]
    fn every_status_and_every_name_of_the_table_is_read_back() {
        for status in 100..=999 {
            let mut block = Vec::new();
            write_status(&mut block, status);
            let expected = vec![(":status".to_owned(), status.to_string())];
            assert_eq!(decode(&mut Decoder::new(), &block).unwrap(), expected);
        }
        for (index, (name, _)) in STATIC.iter().enumerate() {
            let found = static_name(name);
            assert!(found == 0 || found == index + 1, "{}", String::from_utf8_lossy(name));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            fields in proptest::collection::vec(("[A-Za-z-]{1,30}", proptest::collection::vec(any::<u8>(), 0..300)), 0..40)
        ) {
            let mut block = Vec::new();
            write_empty_table(&mut block);
            for (name, value) in &fields {
                write_field(&mut block, name.as_bytes(), value);
            }
            let mut found = Fields::default();
            Decoder::new().decode(&block, usize::MAX, &mut found).unwrap();
            let expected: Vec<_> = fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
            let found: Vec<_> = found.iter().map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec())).collect();
            prop_assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                prop_assert_eq!((&found.0, &found.1), (&expected.0, expected.1));
            }
        }

        #[test]
        fn any_octets_are_read_or_refused(blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..5)) {
            let mut decoder = Decoder::new();
            let mut fields = Fields::default();
            for block in blocks {
                if decoder.decode(&block, 1000, &mut fields).is_err() {
                    break;
                }
                prop_assert!(decoder.size <= decoder.most && decoder.most <= TABLE);
                prop_assert!(fields.octets.len() <= 1000);
            }
        }
    }
}
