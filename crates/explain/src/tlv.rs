//! A lenient reader for BER and damaged DER: it takes what is there, notes what is wrong and goes on. What it
//! reads is for showing, never for believing; believing is `pki::der`'s work.

use std::fmt;

/// How deep a structure is followed. X.509 stays under 20.
pub const MAX_DEPTH: usize = 64;
/// How many elements a [`Tree`] holds; what is beyond is counted as cut off.
pub const MAX_NODES: usize = 4096;
/// How many problems are kept of one structure; a damaged length makes nonsense of all that follows it.
const MAX_PROBLEMS: usize = 32;

/// Something wrong with the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where, counted from the start of the structure (or of the file, for a problem of the whole file).
    pub offset: usize,
    /// What, in a sentence without its full stop.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.offset, self.message)
    }
}

/// Collects problems, up to a bound, and each only where it is met first.
#[derive(Debug, Clone, Default)]
pub struct Problems {
    list: Vec<Problem>,
}

impl Problems {
    /// Notes one.
    pub fn note(&mut self, offset: usize, message: impl Into<String>) {
        let message = message.into();
        if self.list.len() < MAX_PROBLEMS && !self.list.iter().any(|known| known.message == message) {
            self.list.push(Problem { offset, message });
        }
    }

    /// All that were noted.
    #[must_use]
    pub fn into_list(self) -> Vec<Problem> {
        self.list
    }

    /// Whether nothing was noted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// The class of a tag (X.690 section 8.1.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Types of ASN.1 itself.
    Universal,
    /// Types of an application.
    Application,
    /// `[n]` of the structure around it.
    Context,
    /// Private agreement.
    Private,
}

/// One element as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    /// The class of its tag.
    pub class: Class,
    /// Whether it says that it holds elements.
    pub constructed: bool,
    /// The tag number.
    pub number: u32,
    /// Where its identifier octet is.
    pub offset: usize,
    /// Where its content starts.
    pub content_offset: usize,
    /// Its content; less than its length says where the input ends before.
    pub content: &'a [u8],
    /// Header and content; with the end-of-contents octets of an indefinite length.
    pub whole: &'a [u8],
    /// Whether the input ended inside it.
    pub cut_short: bool,
}

impl<'a> Element<'a> {
    /// Whether it has this identifier octet (low tag numbers only).
    #[must_use]
    pub fn is(&self, identifier: u8) -> bool {
        self.whole.first() == Some(&identifier)
    }

    /// A cursor over its content.
    #[must_use]
    pub fn cursor(&self) -> Cursor<'a> {
        Cursor { input: self.content, at: 0, base: self.content_offset }
    }

    /// The name of its type, such as `SEQUENCE` or `[0]`.
    #[must_use]
    pub fn type_name(&self) -> String {
        let universal = match self.number {
            1 => "BOOLEAN",
            2 => "INTEGER",
            3 => "BIT STRING",
            4 => "OCTET STRING",
            5 => "NULL",
            6 => "OBJECT IDENTIFIER",
            10 => "ENUMERATED",
            12 => "UTF8String",
            16 => "SEQUENCE",
            17 => "SET",
            18 => "NumericString",
            19 => "PrintableString",
            20 => "TeletexString",
            22 => "IA5String",
            23 => "UTCTime",
            24 => "GeneralizedTime",
            26 => "VisibleString",
            28 => "UniversalString",
            30 => "BMPString",
            _ => "",
        };
        match self.class {
            Class::Universal if !universal.is_empty() => universal.to_owned(),
            Class::Universal => format!("[UNIVERSAL {}]", self.number),
            Class::Application => format!("[APPLICATION {}]", self.number),
            Class::Context => format!("[{}]", self.number),
            Class::Private => format!("[PRIVATE {}]", self.number),
        }
    }
}

/// Goes through the elements of a content one by one.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    input: &'a [u8],
    at: usize,
    base: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor at the start of `input`.
    #[must_use]
    pub fn new(input: &'a [u8]) -> Self {
        Cursor { input, at: 0, base: 0 }
    }

    /// The same, with offsets counted from `base`.
    #[must_use]
    pub fn with_base(input: &'a [u8], base: usize) -> Self {
        Cursor { input, at: 0, base }
    }

    /// Where the next element is.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.base + self.at
    }

    /// What was not read yet.
    #[must_use]
    pub fn remaining(&self) -> &'a [u8] {
        self.input.get(self.at..).unwrap_or_default()
    }

    /// Whether everything was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.at >= self.input.len()
    }

    /// The next identifier octet.
    #[must_use]
    pub fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    /// The next element, if any byte is left and a header can be made out.
    pub fn next(&mut self, problems: &mut Problems) -> Option<Element<'a>> {
        let header = match Header::read(self.remaining()) {
            Ok(header) => header,
            Err(None) => return None,
            Err(Some(message)) => {
                problems.note(self.offset(), message);
                self.at = self.input.len();
                return None;
            }
        };
        let start = self.at;
        let offset = self.offset();
        let content_at = start + header.octets;
        let available = self.input.len() - content_at;
        if header.not_minimal {
            problems.note(offset, "a length is written with more octets than it needs, which DER forbids");
        }
        if header.number > 30 {
            problems.note(offset, format!("the tag number {} is one that X.509 never uses", header.number));
        }
        let (length, trailer, cut_short) = match header.length {
            Some(length) if length <= available as u64 => (length as usize, 0, false),
            Some(length) => {
                problems.note(
                    offset,
                    format!(
                        "an element says it is {length} bytes long and only {available} are left: the data was cut \
                         short or its length is wrong"
                    ),
                );
                (available, 0, true)
            }
            None => {
                problems.note(offset, "an indefinite length, which is BER and not DER");
                match indefinite_length(&self.input[content_at..], 0) {
                    Some(length) => (length, 2, false),
                    None => {
                        problems.note(offset, "the end of an element of indefinite length is missing");
                        (available, 0, true)
                    }
                }
            }
        };
        self.at = content_at + length + trailer;
        Some(Element {
            class: header.class,
            constructed: header.constructed,
            number: header.number,
            offset,
            content_offset: self.base + content_at,
            content: &self.input[content_at..content_at + length],
            whole: &self.input[start..self.at],
            cut_short,
        })
    }

    /// The next element if it has this identifier octet; otherwise nothing is read.
    pub fn optional(&mut self, identifier: u8, problems: &mut Problems) -> Option<Element<'a>> {
        if self.peek() == Some(identifier) { self.next(problems) } else { None }
    }

    /// The next element, which should have this identifier octet; otherwise a problem naming `what` is noted and
    /// nothing is read.
    pub fn expect(&mut self, identifier: u8, what: &str, problems: &mut Problems) -> Option<Element<'a>> {
        match self.peek() {
            Some(found) if found == identifier => self.next(problems),
            Some(found) => {
                problems.note(
                    self.offset(),
                    format!(
                        "the {what} is missing: tag 0x{found:02x} stands where 0x{identifier:02x} belongs"
                    ),
                );
                None
            }
            None => {
                problems.note(self.offset(), format!("the {what} is missing: the data ends here"));
                None
            }
        }
    }

    /// Notes what is left over at the end of `what`.
    pub fn finish(&self, what: &str, problems: &mut Problems) {
        if !self.is_empty() {
            let count = self.input.len() - self.at;
            problems.note(self.offset(), format!("{count} byte(s) follow the end of the {what}"));
        }
    }
}

struct Header {
    class: Class,
    constructed: bool,
    number: u32,
    /// `None` is indefinite.
    length: Option<u64>,
    octets: usize,
    not_minimal: bool,
}

impl Header {
    /// `Err(None)` where nothing is left.
    fn read(input: &[u8]) -> Result<Self, Option<&'static str>> {
        let first = *input.first().ok_or(None)?;
        let class = match first >> 6 {
            0 => Class::Universal,
            1 => Class::Application,
            2 => Class::Context,
            _ => Class::Private,
        };
        let mut at = 1;
        let mut number = u32::from(first & 0x1f);
        if number == 0x1f {
            number = 0;
            loop {
                let octet = *input.get(at).ok_or(Some("the data ends inside a tag"))?;
                at += 1;
                number = number
                    .checked_mul(128)
                    .and_then(|n| n.checked_add(u32::from(octet & 0x7f)))
                    .ok_or(Some("a tag number too large to be one"))?;
                if octet & 0x80 == 0 {
                    break;
                }
            }
        }
        let first_length = *input.get(at).ok_or(Some("the data ends where a length belongs"))?;
        at += 1;
        let mut not_minimal = false;
        let length = match first_length {
            0..=0x7f => Some(u64::from(first_length)),
            0x80 => None,
            _ => {
                let octets = usize::from(first_length & 0x7f);
                if octets > 8 {
                    return Err(Some("a length of more than 8 octets, which nothing has"));
                }
                let bytes = input.get(at..at + octets).ok_or(Some("the data ends inside a length"))?;
                at += octets;
                let value = bytes.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
                not_minimal = value < 0x80 || bytes[0] == 0;
                Some(value)
            }
        };
        Ok(Header { class, constructed: first & 0x20 != 0, number, length, octets: at, not_minimal })
    }
}

/// How many octets of content stand before the end-of-contents octets that close an indefinite length.
fn indefinite_length(input: &[u8], depth: usize) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = input.get(at..)?;
        if rest.starts_with(&[0, 0]) {
            return Some(at);
        }
        let header = Header::read(rest).ok()?;
        let content = at + header.octets;
        at = match header.length {
            Some(length) => content.checked_add(usize::try_from(length).ok()?)?,
            None if depth < MAX_DEPTH => content + indefinite_length(input.get(content..)?, depth + 1)? + 2,
            None => return None,
        };
    }
}

/// One line of a [`Tree`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// How deep it stands; 0 is outermost.
    pub depth: usize,
    /// Where it is.
    pub offset: usize,
    /// The number of its content octets.
    pub length: usize,
    /// The name of its type.
    pub type_name: String,
    /// Its value, where it is short and cannot be a secret: identifiers, texts, times, small numbers.
    pub value: Option<String>,
}

/// The structure of bytes nobody knows, in reading order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// The elements.
    pub nodes: Vec<Node>,
    /// Whether more stood there than is kept.
    pub cut_off: bool,
}

impl Tree {
    /// Reads the structure of `input`, at most [`MAX_DEPTH`] deep and [`MAX_NODES`] long.
    pub fn read(input: &[u8], problems: &mut Problems) -> Tree {
        let mut tree = Tree::default();
        // A stack of its own: input decides how deep it goes.
        let mut open = vec![Cursor::new(input)];
        while let Some(cursor) = open.last_mut() {
            let Some(element) = cursor.next(problems) else {
                open.pop();
                continue;
            };
            if tree.nodes.len() >= MAX_NODES {
                tree.cut_off = true;
                break;
            }
            tree.nodes.push(Node {
                depth: open.len() - 1,
                offset: element.offset,
                length: element.content.len(),
                type_name: element.type_name(),
                value: harmless_value(&element),
            });
            if element.constructed {
                if open.len() <= MAX_DEPTH {
                    open.push(element.cursor());
                } else {
                    problems.note(element.offset, format!("nested deeper than {MAX_DEPTH} levels"));
                    tree.cut_off = true;
                }
            }
        }
        tree
    }
}

/// Octet strings, bit strings and long integers may be private keys, so only their length is told.
fn harmless_value(element: &Element<'_>) -> Option<String> {
    if element.class != Class::Universal || element.constructed {
        return None;
    }
    let content = element.content;
    match element.number {
        1 => content.first().map(|octet| (*octet != 0).to_string()),
        2 | 10 if content.len() <= 4 => Some(format!("0x{}", pki::hex(content))),
        6 => pki::oid::Oid::from_content(content).map(|oid| oid.to_string()),
        12 | 18..=20 | 22..=24 | 26 => {
            let text: String = content.iter().take(120).map(|octet| char::from(*octet)).collect();
            let text = std::str::from_utf8(content).map_or(text, |t| t.chars().take(120).collect());
            Some(crate::escape::text(&text))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn problems_of(input: &[u8]) -> (Tree, Vec<Problem>) {
        let mut problems = Problems::default();
        let tree = Tree::read(input, &mut problems);
        (tree, problems.into_list())
    }

    #[test]
    fn an_indefinite_length_is_read_and_told() {
        let (tree, problems) = problems_of(&[0x30, 0x80, 0x30, 0x80, 0x05, 0x00, 0, 0, 0x02, 1, 5, 0, 0]);
        let depths: Vec<usize> = tree.nodes.iter().map(|node| node.depth).collect();
        assert_eq!(depths, [0, 1, 2, 1]);
        assert!(problems[0].message.contains("indefinite"));
    }

    #[test]
    fn a_lying_length_yields_what_is_there() {
        let (tree, problems) = problems_of(&[0x30, 0x82, 0xff, 0xff, 0x02, 0x01, 0x07]);
        assert_eq!(tree.nodes[1].value.as_deref(), Some("0x07"));
        assert!(problems[0].message.contains("65535"), "{problems:?}");
    }

    #[test]
    fn high_tags_and_padded_lengths_are_told() {
        let (_, problems) = problems_of(&[0x1f, 0x81, 0x01, 0x81, 0x01, 0x00]);
        assert!(problems.iter().any(|p| p.message.contains("tag number 129")));
        assert!(problems.iter().any(|p| p.message.contains("more octets than it needs")));
    }

    #[test]
    fn nesting_without_end_is_bounded() {
        let deep: Vec<u8> = std::iter::repeat_n([0x30, 0x80], 100_000).flatten().collect();
        let (tree, problems) = problems_of(&deep);
        assert!(tree.nodes.len() <= MAX_DEPTH + 2 && !problems.is_empty());
        let wide: Vec<u8> = std::iter::repeat_n([0x05, 0x00], 100_000).flatten().collect();
        let (tree, _) = problems_of(&wide);
        assert!(tree.cut_off && tree.nodes.len() == MAX_NODES);
    }

    #[test]
    fn octet_strings_never_show_their_content() {
        let (tree, _) = problems_of(&[0x04, 0x03, 0xde, 0xad, 0x01]);
        assert_eq!(tree.nodes[0].value, None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_leave_the_input(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let (tree, _) = problems_of(&bytes);
            for node in tree.nodes {
                prop_assert!(node.offset + node.length <= bytes.len());
            }
        }

        #[test]
        fn what_the_strict_reader_accepts_is_read_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(strict) = pki::der::Reader::new(&bytes).any() {
                let mut problems = Problems::default();
                let lenient = Cursor::new(&bytes).next(&mut problems);
                prop_assert_eq!(lenient.map(|e| (e.content, e.whole)), Some((strict.content, strict.whole)));
                prop_assert!(problems.is_empty());
            }
        }
    }
}
