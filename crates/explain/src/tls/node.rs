//! What decoding gives: a tree of named spans over the bytes of one message, and the cursor that grows it. Each byte
//! belongs to exactly one leaf, whatever the bytes are: the cursor only moves by making a leaf, and what a structure
//! leaves unread becomes one.

use std::borrow::Cow;

/// A span of a message with its name, its value and a sentence on what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The name in the RFC's presentation, such as `legacy_version`.
    pub name: Cow<'static, str>,
    /// Its first byte, counted from the start of the message.
    pub start: usize,
    /// The byte after its last.
    pub end: usize,
    /// The value decoded, safe to print; may be empty where the parts say all.
    pub value: String,
    /// What it means, in a sentence.
    pub meaning: Cow<'static, str>,
    /// Where that is laid down, such as `RFC 8446 section 4.1.2`.
    pub reference: &'static str,
    /// What is wrong with it.
    pub problem: Option<String>,
    /// Its parts in order, without gaps; none in a leaf.
    pub children: Vec<Node>,
}

impl Node {
    /// The leaves in order.
    ///
    /// ```
    /// let node = explain::tls::handshake::decode(&[0x0e, 0, 0, 0], &Default::default());
    /// assert_eq!(node.leaves().len(), 2);
    /// ```
    #[must_use]
    pub fn leaves(&self) -> Vec<&Node> {
        let mut leaves = Vec::new();
        let mut open = vec![self];
        while let Some(node) = open.pop() {
            if node.children.is_empty() {
                leaves.push(node);
            }
            open.extend(node.children.iter().rev());
        }
        leaves
    }

    /// The first node below with this name, this one included.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Node> {
        if self.name == name {
            return Some(self);
        }
        self.children.iter().find_map(|child| child.find(name))
    }

    /// Everything that is wrong in it, with the byte.
    #[must_use]
    pub fn problems(&self) -> Vec<(usize, &str)> {
        let mut problems = Vec::new();
        let mut open = vec![self];
        while let Some(node) = open.pop() {
            problems.extend(node.problem.as_deref().map(|problem| (node.start, problem)));
            open.extend(node.children.iter().rev());
        }
        problems
    }
}

/// What is said of a span: its value, its meaning, and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) value: String,
    pub(crate) meaning: Cow<'static, str>,
    pub(crate) problem: Option<String>,
}

/// Something that is right.
pub(crate) fn said(value: impl Into<String>, meaning: impl Into<Cow<'static, str>>) -> Said {
    Said { value: value.into(), meaning: meaning.into(), problem: None }
}

impl Said {
    pub(crate) fn but(mut self, problem: impl Into<String>) -> Self {
        self.problem.get_or_insert(problem.into());
        self
    }

    pub(crate) fn but_if(self, condition: bool, problem: impl Into<String>) -> Self {
        if condition { self.but(problem) } else { self }
    }
}

/// A cursor over a part of a message, which gathers the nodes of what it read.
pub(crate) struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
    nodes: Vec<Node>,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Decoder { bytes, at: 0, end: bytes.len(), nodes: Vec::new() }
    }

    pub(crate) fn left(&self) -> usize {
        self.end - self.at
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.left() == 0
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// What was not read yet.
    pub(crate) fn remaining(&self) -> &'a [u8] {
        &self.bytes[self.at..self.end]
    }

    /// The octets of the whole message from `start` to here.
    pub(crate) fn since(&self, start: usize) -> &'a [u8] {
        &self.bytes[start..self.at]
    }

    pub(crate) fn peek(&self, octets: usize) -> Option<u64> {
        Some(big_endian(self.remaining().get(..octets)?))
    }

    /// A leaf of `length` octets. Where fewer are left, they become the leaf with the problem on it, and the answer
    /// is `None`.
    pub(crate) fn octets(
        &mut self,
        length: usize,
        name: impl Into<Cow<'static, str>>,
        reference: &'static str,
        describe: impl FnOnce(&'a [u8]) -> Said,
    ) -> Option<&'a [u8]> {
        let name = name.into();
        if length > self.left() {
            let left = self.left();
            if left > 0 {
                let problem = format!("cut short: {length} bytes belong here and only {left} are left");
                let end = self.end;
                let said = said(hex_start(self.remaining()), "The message ends inside this field.");
                self.leaf(name, end, reference, said.but(problem));
            } else if let Some(last) = self.nodes.last_mut() {
                last.problem.get_or_insert(format!("the message ends after this; {name} is missing"));
            }
            return None;
        }
        let octets = &self.bytes[self.at..self.at + length];
        if length > 0 {
            let end = self.at + length;
            self.leaf(name, end, reference, describe(octets));
        }
        Some(octets)
    }

    /// A leaf that is a number, most significant octet first.
    pub(crate) fn number(
        &mut self,
        octets: usize,
        name: impl Into<Cow<'static, str>>,
        reference: &'static str,
        describe: impl FnOnce(u64) -> Said,
    ) -> Option<u64> {
        self.octets(octets, name, reference, |octets| describe(big_endian(octets))).map(big_endian)
    }

    /// All that is left, as one leaf.
    pub(crate) fn rest(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        reference: &'static str,
        describe: impl FnOnce(&'a [u8]) -> Said,
    ) -> &'a [u8] {
        let left = self.left();
        self.octets(left, name, reference, describe).unwrap_or_default()
    }

    /// A structure: its parts are read by `inside`, which gives what is said of the whole.
    pub(crate) fn group(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        reference: &'static str,
        inside: impl FnOnce(&mut Decoder<'a>) -> Said,
    ) {
        let mut inner = Decoder { bytes: self.bytes, at: self.at, end: self.end, nodes: Vec::new() };
        let said = inside(&mut inner);
        let (start, end) = (self.at, inner.at);
        self.at = end;
        self.push(name.into(), start, end, reference, said, inner.nodes);
    }

    /// A vector: a length of `octets` octets, and that many octets, read by `inside`.
    pub(crate) fn vector(
        &mut self,
        octets: usize,
        name: impl Into<Cow<'static, str>>,
        reference: &'static str,
        inside: impl FnOnce(&mut Decoder<'a>) -> Said,
    ) {
        let start = self.at;
        let name = name.into();
        let mut inner = Decoder { bytes: self.bytes, at: self.at, end: self.end, nodes: Vec::new() };
        let Some(length) = inner.number(octets, "length", "RFC 8446 section 3.4", |length| {
            said(length.to_string(), "How many bytes follow in this vector.")
        }) else {
            self.at = inner.at;
            self.push(name, start, inner.at, reference, Said::default(), inner.nodes);
            return;
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let left = inner.left();
        let lies = length > left;
        inner.end = inner.at + length.min(left);
        let mut said = inside(&mut inner);
        inner.close();
        if lies {
            let problem = format!("its length says {length} bytes, and only {left} are left");
            match inner.nodes.first_mut() {
                Some(length) => length.problem = Some(problem),
                None => said = said.but(problem),
            }
        }
        self.at = inner.end;
        self.push(name, start, inner.end, reference, said, inner.nodes);
    }

    /// Makes a leaf of what is left over at the end of a structure.
    pub(crate) fn close(&mut self) {
        let left = self.left();
        if left > 0 {
            self.rest("unexpected", "RFC 8446 section 6.2", |octets| {
                said(
                    hex_start(octets),
                    "Nothing is defined here; a receiver refuses it with decode_error (50).",
                )
                .but(format!("{left} byte(s) follow where the structure should have ended"))
            });
        }
    }

    /// Reads the next `length` octets (or what is left of them) with `inside`, into this structure's own parts; what
    /// it leaves unread becomes a leaf with a problem.
    pub(crate) fn within(&mut self, length: usize, inside: impl FnOnce(&mut Decoder<'a>)) {
        let end = self.end;
        self.end = self.at + length.min(self.left());
        inside(self);
        self.close();
        self.end = end;
    }

    /// Notes a problem on what was read last.
    pub(crate) fn blame(&mut self, problem: impl Into<String>) {
        if let Some(last) = self.nodes.last_mut() {
            last.problem.get_or_insert(problem.into());
        }
    }

    pub(crate) fn into_nodes(self) -> Vec<Node> {
        self.nodes
    }

    fn leaf(&mut self, name: Cow<'static, str>, end: usize, reference: &'static str, said: Said) {
        let start = self.at;
        self.at = end;
        self.push(name, start, end, reference, said, Vec::new());
    }

    fn push(
        &mut self,
        name: Cow<'static, str>,
        start: usize,
        end: usize,
        reference: &'static str,
        said: Said,
        children: Vec<Node>,
    ) {
        // A structure without a single byte has no place to be shown at.
        if start < end {
            let Said { value, meaning, problem } = said;
            self.nodes.push(Node { name, start, end, value, meaning, reference, problem, children });
        } else if let (Some(problem), Some(last)) = (said.problem, self.nodes.last_mut()) {
            last.problem.get_or_insert(problem);
        }
    }
}

pub(crate) fn big_endian(octets: &[u8]) -> u64 {
    octets.iter().fold(0, |value, octet| value << 8 | u64::from(*octet))
}

/// The octets in hexadecimal; of more than 16 the first, with the number of all.
pub(crate) fn hex_start(octets: &[u8]) -> String {
    match octets {
        [] => "(empty)".to_owned(),
        short if short.len() <= 16 => pki::hex(short),
        long => format!("{}… ({} bytes)", pki::hex(&long[..16]), long.len()),
    }
}
