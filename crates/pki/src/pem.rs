//! PEM (RFC 7468), strictly enough to be believed and with an error for each damage met in the wild. What can be
//! repaired without guessing is repaired by [`repair`], for tools that show a damaged file and say what is wrong.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Padding is required; nothing may hide in the bits behind the last octet.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// One block: what stands between a BEGIN and its END.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The label, such as `CERTIFICATE`.
    pub label: String,
    /// The decoded content.
    pub der: Vec<u8>,
    /// RFC 1421 headers, such as `Proc-Type`.
    pub headers: Vec<(String, String)>,
    /// The line of its BEGIN, counted from 1.
    pub line: usize,
}

/// What is wrong with a PEM file, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// The file is empty.
    #[error("the file is empty")]
    Empty,
    /// DER where PEM was expected.
    #[error(
        "this is DER (binary), not PEM; convert it with: openssl x509 -inform DER -in FILE -out FILE.pem"
    )]
    Der,
    /// UTF-16, as Windows' `>` writes it.
    #[error("the file is UTF-16 text; save it as UTF-8 or ASCII (PowerShell: Set-Content -Encoding ascii)")]
    Utf16,
    /// A byte order mark before the text.
    #[error(
        "the file starts with a byte order mark, which OpenSSL does not read; save it as UTF-8 without BOM"
    )]
    ByteOrderMark,
    /// The two characters `\n` where lines should end.
    #[error(
        "line {line}: the line ends are the two characters \\n instead of real ones, as when PEM is pasted from \
         JSON or an environment variable; restore them with: printf '%b' \"$PEM\" > FILE"
    )]
    LiteralNewlines {
        /// Where the first one is.
        line: usize,
    },
    /// The end of one block and the start of the next on one line.
    #[error(
        "line {line}: two blocks are glued together (-----END …----------BEGIN …-----): a file without a last \
         line end was joined with another; put a line end between them"
    )]
    Glued {
        /// Where.
        line: usize,
    },
    /// A marker with something before it, or with other than five dashes of ASCII on each side.
    #[error(
        "line {line}: the marker '{text}' is damaged; it must stand alone on its line between exactly five ASCII dashes on each side"
    )]
    Marker {
        /// Where.
        line: usize,
        /// The line.
        text: String,
    },
    /// A BEGIN without its END.
    #[error("line {line}: the block {label} is cut short: -----END {label}----- is missing")]
    CutShort {
        /// Where its BEGIN is.
        line: usize,
        /// Its label.
        label: String,
    },
    /// An END that closes nothing, or another label than was begun.
    #[error("line {line}: -----END {found}----- where {expected} belongs")]
    WrongEnd {
        /// Where.
        line: usize,
        /// The label there.
        found: String,
        /// What should be there.
        expected: String,
    },
    /// A character that is none of base64's.
    #[error(
        "line {line}, column {column}: {character:?} is no base64 character; the file was damaged on its way"
    )]
    Character {
        /// Where.
        line: usize,
        /// Where in the line, counted from 1.
        column: usize,
        /// The character.
        character: char,
    },
    /// Base64 whose length or last characters cannot be.
    #[error(
        "line {line}: the base64 of block {label} is incomplete or wrongly padded; a part of it is missing"
    )]
    Padding {
        /// Where its BEGIN is.
        line: usize,
        /// Its label.
        label: String,
    },
    /// A block with nothing in it.
    #[error("line {line}: the block {label} is empty")]
    EmptyBlock {
        /// Where its BEGIN is.
        line: usize,
        /// Its label.
        label: String,
    },
    /// Something else altogether.
    #[error("there is no PEM block in it: {0}")]
    NoBlock(&'static str),
}

/// Whether the bytes have a PEM marker.
#[must_use]
pub fn looks_like_pem(bytes: &[u8]) -> bool {
    bytes.windows(11).any(|window| window == b"-----BEGIN ")
}

/// Encodes DER as one PEM block: 64 columns, LF.
///
/// ```
/// let text = pki::pem::encode("CERTIFICATE", &[0x30, 0x00]);
/// assert_eq!(text, "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n");
/// ```
#[must_use]
pub fn encode(label: &str, der: &[u8]) -> String {
    let body = BASE64.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = next;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// Reads every block of a file. Text before, between and behind blocks is passed over, as RFC 7468 section 2
/// allows; both kinds of line end are read.
///
/// # Errors
/// [`PemError`] for the first damage, also where it could be repaired.
///
/// ```
/// let blocks = pki::pem::read(b"-----BEGIN X-----\nMAA=\n-----END X-----\n")?;
/// assert_eq!((blocks[0].label.as_str(), &blocks[0].der[..]), ("X", &[0x30, 0x00][..]));
/// # Ok::<(), pki::pem::PemError>(())
/// ```
pub fn read(bytes: &[u8]) -> Result<Vec<Block>, PemError> {
    let text = text_of(bytes)?;
    if let Some(rest) = text.find("-----BEGIN").map(|at| &text[at..])
        && rest.lines().next().is_some_and(|line| line.contains("\\n"))
    {
        let at = text.len() - rest.len();
        return Err(PemError::LiteralNewlines { line: text[..at].lines().count().max(1) });
    }
    let mut blocks = Vec::new();
    let mut open: Option<Open> = None;
    for (index, raw) in text.lines().enumerate() {
        let line = index + 1;
        let content = raw.trim_end();
        if is_marker_like(content) {
            let marker = parse_marker(content, line)?;
            open = match (marker, open.take()) {
                (Marker::Begin(label), None) => Some(Open::new(label, line)),
                (Marker::Begin(_), Some(open)) => {
                    return Err(PemError::CutShort { line: open.line, label: open.label });
                }
                (Marker::End(label), Some(open)) if label == open.label => {
                    blocks.push(open.close()?);
                    None
                }
                (Marker::End(found), Some(open)) => {
                    return Err(PemError::WrongEnd { line, found, expected: open.label });
                }
                (Marker::End(found), None) => {
                    return Err(PemError::WrongEnd { line, found, expected: "a BEGIN before it".to_owned() });
                }
            };
        } else if let Some(open) = &mut open {
            open.add(content, line)?;
        }
    }
    if let Some(open) = open {
        return Err(PemError::CutShort { line: open.line, label: open.label });
    }
    if blocks.is_empty() { Err(PemError::NoBlock(describe(text))) } else { Ok(blocks) }
}

/// Reads a file whose damage can be undone without guessing (a byte order mark, literal `\n`, glued markers), and
/// says what was undone. `None` where [`read`] needs no help or nothing helps.
#[must_use]
pub fn repair(bytes: &[u8]) -> Option<(Vec<Block>, Vec<PemError>)> {
    let mut undone = Vec::new();
    let mut current = bytes.to_vec();
    // Each kind of damage is undone at most once, so three rounds and the last reading suffice.
    for _ in 0..4 {
        let error = match read(&current) {
            Ok(blocks) => return (!undone.is_empty()).then_some((blocks, undone)),
            Err(error) => error,
        };
        let text = String::from_utf8(current.clone()).ok();
        current = match &error {
            PemError::ByteOrderMark => current.get(3..)?.to_vec(),
            PemError::LiteralNewlines { .. } => {
                text?.replace("\\r", "").replace("\\n", "\n").trim_matches(['"', '\'']).as_bytes().to_vec()
            }
            PemError::Glued { .. } => text?.replace("----------BEGIN", "-----\n-----BEGIN").into_bytes(),
            _ => return None,
        };
        undone.push(error);
    }
    None
}

struct Open {
    label: String,
    line: usize,
    headers: Vec<(String, String)>,
    body: String,
}

impl Open {
    fn new(label: String, line: usize) -> Self {
        Open { label, line, headers: Vec::new(), body: String::new() }
    }

    fn add(&mut self, content: &str, line: usize) -> Result<(), PemError> {
        if self.body.is_empty() {
            if let Some((name, value)) = content.split_once(": ") {
                self.headers.push((name.to_owned(), value.to_owned()));
                return Ok(());
            }
            // A long header goes on behind white space (RFC 1421 section 4.6).
            if content.starts_with([' ', '\t'])
                && let Some((_, value)) = self.headers.last_mut()
            {
                value.push_str(content.trim());
                return Ok(());
            }
        }
        for (index, character) in content.chars().enumerate() {
            let fits = character.is_ascii_alphanumeric() || "+/=".contains(character);
            if !fits && !character.is_ascii_whitespace() {
                return Err(PemError::Character { line, column: index + 1, character });
            }
        }
        self.body.extend(content.chars().filter(|c| !c.is_ascii_whitespace()));
        Ok(())
    }

    fn close(self) -> Result<Block, PemError> {
        let Open { label, line, headers, body } = self;
        if body.is_empty() {
            return Err(PemError::EmptyBlock { line, label });
        }
        match BASE64.decode(&body) {
            Ok(der) => Ok(Block { label, der, headers, line }),
            Err(_) => Err(PemError::Padding { line, label }),
        }
    }
}

enum Marker {
    Begin(String),
    End(String),
}

fn is_marker_like(line: &str) -> bool {
    let dashes = |c: char| "-\u{2010}\u{2011}\u{2012}\u{2013}\u{2014}\u{2212}".contains(c);
    let start = line.trim_start();
    start.starts_with(dashes) && (line.contains("BEGIN ") || line.contains("END "))
        || line.contains("-----BEGIN ")
        || line.contains("-----END ")
}

fn parse_marker(line: &str, number: usize) -> Result<Marker, PemError> {
    if line.contains("----------BEGIN") {
        return Err(PemError::Glued { line: number });
    }
    let damaged = || PemError::Marker { line: number, text: line.chars().take(80).collect() };
    let inner = line.strip_prefix("-----").and_then(|rest| rest.strip_suffix("-----")).ok_or_else(damaged)?;
    let (kind, label) = inner.split_once(' ').ok_or_else(damaged)?;
    let label_is_right = !label.is_empty()
        && label.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b" #.".contains(&b));
    match kind {
        "BEGIN" if label_is_right => Ok(Marker::Begin(label.to_owned())),
        "END" if label_is_right => Ok(Marker::End(label.to_owned())),
        _ => Err(damaged()),
    }
}

fn text_of(bytes: &[u8]) -> Result<&str, PemError> {
    match bytes {
        [] => Err(PemError::Empty),
        [0xef, 0xbb, 0xbf, ..] => Err(PemError::ByteOrderMark),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Err(PemError::Utf16),
        [0x30, 0x80..=0x84, ..] => Err(PemError::Der),
        _ => std::str::from_utf8(bytes).map_err(|_| {
            PemError::NoBlock(
                "it holds bytes that are no text; it may be DER, a PKCS#12 or another binary format",
            )
        }),
    }
}

fn describe(text: &str) -> &'static str {
    let start = text.trim_start();
    if start.is_empty() {
        "it holds nothing but white space"
    } else if start.starts_with("ssh-") || start.starts_with("ecdsa-sha2-") {
        "it is an OpenSSH public key"
    } else if start.starts_with('<') {
        "it is an HTML or XML page, perhaps an error page saved under this name"
    } else if start.starts_with('{') {
        "it is JSON"
    } else {
        "it is some other text"
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "-----BEGIN X-----\nMAA=\n-----END X-----\n";

    #[test]
    fn each_damage_has_its_own_error() {
        let cases: &[(&str, fn(&PemError) -> bool)] = &[
            ("", |e| *e == PemError::Empty),
            ("\u{feff}-----BEGIN X-----\nMAA=\n-----END X-----\n", |e| *e == PemError::ByteOrderMark),
            (r"-----BEGIN X-----\nMAA=\n-----END X-----\n", |e| {
                matches!(e, PemError::LiteralNewlines { line: 1 })
            }),
            ("-----BEGIN X-----\nMAA=\n-----END X----------BEGIN X-----\nMAA=\n-----END X-----", |e| {
                matches!(e, PemError::Glued { line: 3 })
            }),
            ("-----BEGIN X-----\nMAA=\n", |e| matches!(e, PemError::CutShort { line: 1, .. })),
            ("-----BEGIN X-----\nMAA=\n-----END Y-----\n", |e| {
                matches!(e, PemError::WrongEnd { line: 3, .. })
            }),
            ("-----BEGIN X-----\nM!A=\n-----END X-----\n", |e| {
                matches!(e, PemError::Character { line: 2, column: 2, character: '!' })
            }),
            ("-----BEGIN X-----\nMAA\n-----END X-----\n", |e| matches!(e, PemError::Padding { .. })),
            ("-----BEGIN X-----\n-----END X-----\n", |e| matches!(e, PemError::EmptyBlock { .. })),
            ("----BEGIN X----\nMAA=\n", |e| matches!(e, PemError::Marker { line: 1, .. })),
            ("\u{2014}\u{2014}BEGIN X-----\nMAA=\n", |e| matches!(e, PemError::Marker { line: 1, .. })),
            ("  -----BEGIN X-----\nMAA=\n", |e| matches!(e, PemError::Marker { line: 1, .. })),
            ("<html>", |e| matches!(e, PemError::NoBlock(_))),
        ];
        for (text, fits) in cases {
            let error = read(text.as_bytes()).unwrap_err();
            assert!(fits(&error), "{text:?} gave {error:?}");
        }
        assert_eq!(read(&[0x30, 0x82, 1, 1]), Err(PemError::Der));
        assert_eq!(read(&[0xff, 0xfe, 0x2d, 0]), Err(PemError::Utf16));
    }

    #[test]
    fn text_around_blocks_and_both_line_ends_are_read() {
        let text = format!("subject=CN = a\r\n{}\nBag Attributes\n{GOOD}", GOOD.replace('\n', "\r\n"));
        let blocks = read(text.as_bytes()).unwrap();
        assert_eq!(blocks.iter().map(|b| b.line).collect::<Vec<_>>(), [2, 7]);
    }

    #[test]
    fn what_can_be_undone_is_undone_and_told() {
        let glued = "-----BEGIN X-----\nMAA=\n-----END X----------BEGIN X-----\nMAA=\n-----END X-----";
        let (blocks, undone) = repair(glued.as_bytes()).unwrap();
        assert_eq!((blocks.len(), undone.len()), (2, 1));
        let pasted = r#""-----BEGIN X-----\nMAA=\n-----END X-----\n""#;
        assert_eq!(repair(pasted.as_bytes()).unwrap().0.len(), 1);
        assert_eq!(repair(GOOD.as_bytes()), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(der in proptest::collection::vec(any::<u8>(), 1..300)) {
            let blocks = read(encode("CERTIFICATE", &der).as_bytes()).unwrap();
            prop_assert_eq!(&blocks[0].der, &der);
        }

        #[test]
        fn no_bytes_make_it_panic(text in "(-----BEGIN X-----|-----END X-----|MAA=|\\PC|\n|\\\\n){0,12}") {
            let _ = read(text.as_bytes());
            let _ = repair(text.as_bytes());
        }
    }
}
