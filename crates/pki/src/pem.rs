//! PEM (RFC 7468), strictly enough to be believed and with an error for each damage met in the wild. What can be
//! repaired without guessing is repaired by [`repair`], for tools that show a damaged file and say what is wrong.

use std::borrow::Cow;

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
        "this is DER (binary), not PEM; convert a certificate with: openssl x509 -inform DER -in FILE -out FILE.pem"
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
    /// A whole block on one line.
    #[error(
        "line {line}: the block stands on one line, its line ends lost or turned into spaces, as a shell does with \
         $PEM without quotes; write it with: printf '%s\\n' \"$PEM\" > FILE"
    )]
    OneLine {
        /// Where.
        line: usize,
    },
    /// White space before a marker, which OpenSSL then does not see.
    #[error(
        "line {line}: the marker is indented, as when PEM is pasted from YAML; take the white space away: \
         sed 's/^[[:space:]]*//' FILE"
    )]
    Indented {
        /// Where.
        line: usize,
    },
    /// A marker that is none, for one of several reasons that the message tells apart.
    #[error(
        "line {line}: the marker '{text}' is damaged: {fault}; it must stand alone on its line, with exactly five \
         ASCII dashes on each side",
        fault = marker_fault(text)
    )]
    Marker {
        /// Where.
        line: usize,
        /// The line, without what could be content of the block.
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
    /// An END without its BEGIN.
    #[error("line {line}: -----END {label}----- closes nothing: the start of the block is missing")]
    EndWithoutBegin {
        /// Where.
        line: usize,
        /// Its label.
        label: String,
    },
    /// An END with another label than was begun.
    #[error(
        "line {line}: -----END {found}----- where -----END {expected}----- belongs: parts of two blocks were joined"
    )]
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
    if let Some(at) = text.find("-----BEGIN")
        && text[at..].lines().next().is_some_and(|line| line.contains("\\n"))
    {
        return Err(PemError::LiteralNewlines { line: text[..at].matches('\n').count() + 1 });
    }
    let mut blocks = Vec::new();
    let mut open: Option<Open> = None;
    for (index, raw) in lines(&text).enumerate() {
        let line = index + 1;
        let content = raw.trim_end();
        if is_marker_like(content, open.is_some()) {
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
                (Marker::End(label), None) => return Err(PemError::EndWithoutBegin { line, label }),
            };
        } else if let Some(open) = &mut open {
            open.add(content, line)?;
        }
    }
    if let Some(open) = open {
        return Err(PemError::CutShort { line: open.line, label: open.label });
    }
    if blocks.is_empty() { Err(PemError::NoBlock(describe(&text))) } else { Ok(blocks) }
}

/// Reads a file whose damage can be undone without guessing (UTF-16, a byte order mark, literal `\n`, glued,
/// indented or single-line blocks, dashes that an editor changed), and says what was undone. `None` where [`read`]
/// needs no help or nothing helps.
///
/// ```
/// let (blocks, undone) = pki::pem::repair(br"-----BEGIN X-----\nMAA=\n-----END X-----").ok_or("nothing helps")?;
/// assert_eq!((blocks.len(), undone.len()), (1, 1));
/// # Ok::<(), &str>(())
/// ```
#[must_use]
pub fn repair(bytes: &[u8]) -> Option<(Vec<Block>, Vec<PemError>)> {
    let mut undone: Vec<PemError> = Vec::new();
    let mut current = Cow::Borrowed(bytes);
    loop {
        let error = match read(&current) {
            Ok(blocks) => return (!undone.is_empty()).then_some((blocks, undone)),
            Err(error) => error,
        };
        // A kind of damage that is still there was not undone.
        if undone.iter().any(|before| std::mem::discriminant(before) == std::mem::discriminant(&error)) {
            return None;
        }
        let text = || String::from_utf8_lossy(&current);
        current = Cow::Owned(match &error {
            PemError::ByteOrderMark => current.get(3..)?.to_vec(),
            PemError::Utf16 => from_utf16(&current)?.into_bytes(),
            PemError::LiteralNewlines { .. } => {
                markers_on_own_lines(&text().replace("\\r", "").replace("\\n", "\n")).into_bytes()
            }
            PemError::Glued { .. } | PemError::OneLine { .. } => markers_on_own_lines(&text()).into_bytes(),
            PemError::Indented { .. } => {
                text().lines().map(str::trim_start).collect::<Vec<_>>().join("\n").into_bytes()
            }
            PemError::Marker { .. } => {
                let restore =
                    |line: &str| restored_marker(line).map_or_else(|| line.to_owned(), |(_, marker)| marker);
                text().lines().map(restore).collect::<Vec<_>>().join("\n").into_bytes()
            }
            _ => return None,
        });
        undone.push(error);
    }
}

/// Every marker of five dashes put on a line of its own.
fn markers_on_own_lines(text: &str) -> String {
    let mut separated = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some(at) = [rest.find("-----BEGIN "), rest.find("-----END ")].into_iter().flatten().min() {
        let (before, marker) = rest.split_at(at);
        separated.push_str(before);
        separated.push('\n');
        // The label ends at the dashes behind it; a marker without them is left to be refused.
        let end = marker[5..].find("-----").map_or(marker.len(), |end| end + 10);
        separated.push_str(&marker[..end]);
        separated.push('\n');
        rest = &marker[end..];
    }
    separated.push_str(rest);
    separated
}

fn from_utf16(bytes: &[u8]) -> Option<String> {
    let unit: fn([u8; 2]) -> u16 =
        if bytes.starts_with(&[0xff, 0xfe]) { u16::from_le_bytes } else { u16::from_be_bytes };
    let units: Vec<u16> = bytes.get(2..)?.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
    String::from_utf16(&units).ok()
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
            if let Some((name, value)) = content.split_once(':') {
                self.headers.push((name.trim().to_owned(), value.trim().to_owned()));
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
        let fits = |character: char| character.is_ascii_alphanumeric() || "+/=".contains(character);
        if content.bytes().all(|octet| fits(char::from(octet))) {
            self.body.push_str(content);
            return Ok(());
        }
        for (index, character) in content.chars().enumerate() {
            if fits(character) {
                self.body.push(character);
            } else if !character.is_ascii_whitespace() {
                return Err(PemError::Character { line, column: index + 1, character });
            }
        }
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

/// CR alone ends lines too (RFC 7468 section 3), in files that have no LF at all.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let alone = !text.contains('\n');
    text.split(move |character| character == '\n' || (alone && character == '\r'))
}

fn is_dash(character: char) -> bool {
    // Hyphen-minus, and what editors put in its place.
    matches!(character, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}')
}

/// The dashes before a damaged marker, and the marker as it should have been.
fn restored_marker(line: &str) -> Option<(&str, String)> {
    let line = line.trim();
    let inner = line.trim_matches(is_dash);
    let (kind, label) = inner.split_once(' ')?;
    let restorable = line.starts_with(is_dash) && ["BEGIN", "END"].contains(&kind) && is_label(label);
    restorable
        .then(|| (&line[..line.len() - line.trim_start_matches(is_dash).len()], format!("-----{inner}-----")))
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && !label.ends_with(' ')
        && label.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b" #.".contains(&b))
}

/// Inside a block every line with dashes is a marker; outside of one, a line of dashes may be anybody's text.
fn is_marker_like(line: &str, inside: bool) -> bool {
    line.contains("-----BEGIN ")
        || line.contains("-----END ")
        || inside && line.trim_start().starts_with(is_dash)
        || restored_marker(line).is_some()
}

fn parse_marker(line: &str, number: usize) -> Result<Marker, PemError> {
    if line.contains("----------BEGIN") {
        return Err(PemError::Glued { line: number });
    }
    if line.contains("-----BEGIN ") && line.contains("-----END ") {
        return Err(PemError::OneLine { line: number });
    }
    if let Some((kind, label)) =
        line.trim_start().strip_prefix("-----").and_then(|rest| rest.strip_suffix("-----")?.split_once(' '))
        && is_label(label)
        && ["BEGIN", "END"].contains(&kind)
    {
        return match kind {
            _ if line.starts_with(char::is_whitespace) => Err(PemError::Indented { line: number }),
            "BEGIN" => Ok(Marker::Begin(label.to_owned())),
            _ => Ok(Marker::End(label.to_owned())),
        };
    }
    Err(PemError::Marker { line: number, text: without_content(line).chars().take(80).collect() })
}

/// A damaged marker may share its line with the content of a private key, and errors end up in logs: every long
/// word is left out.
fn without_content(line: &str) -> String {
    let is_content = |character: char| character.is_ascii_alphanumeric() || "+/=".contains(character);
    let mut shown = String::new();
    for word in line.split_inclusive(|character| !is_content(character)) {
        // No word of a label is longer than CERTIFICATE.
        let content: usize = word.chars().take_while(|character| is_content(*character)).count();
        if content > 12 {
            shown.push('…');
            shown.push_str(&word[content..]);
        } else {
            shown.push_str(word);
        }
    }
    shown
}

fn marker_fault(line: &str) -> String {
    let line = line.trim();
    if line.chars().any(|character| is_dash(character) && character != '-') {
        return "an editor has put typographic dashes in the place of ASCII ones".to_owned();
    }
    if let Some((before, _)) = restored_marker(line) {
        let after = line.len() - line.trim_end_matches('-').len();
        return format!("it has {} dashes before and {after} behind", before.len());
    }
    let (before, behind) = (line.starts_with("-----"), line.ends_with("-----"));
    let what = match line.strip_prefix("-----").unwrap_or_default() {
        marker if before && behind && (marker.starts_with("BEGIN ") || marker.starts_with("END ")) => {
            "its label is not in capital letters"
        }
        marker if before && (marker.starts_with("BEGIN ") || marker.starts_with("END ")) => {
            "the dashes behind it are missing or something follows them"
        }
        _ if behind && (line.contains("-----BEGIN ") || line.contains("-----END ")) => {
            "something stands before it on its line"
        }
        _ => "it is neither BEGIN nor END and a label",
    };
    what.to_owned()
}

fn text_of(bytes: &[u8]) -> Result<Cow<'_, str>, PemError> {
    match bytes {
        [] => Err(PemError::Empty),
        [0xef, 0xbb, 0xbf, ..] => Err(PemError::ByteOrderMark),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Err(PemError::Utf16),
        [0x30, 0x80..=0x84, ..] => Err(PemError::Der),
        [0x30, length, rest @ ..] if usize::from(*length) == rest.len() => Err(PemError::Der),
        // Text around the blocks may be Latin-1, as in older bundles of root certificates.
        _ if looks_like_pem(bytes) => Ok(String::from_utf8_lossy(bytes)),
        _ => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| {
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
    } else if start.starts_with("ssh-") || start.starts_with("ecdsa-sha2-") || start.starts_with("sk-ssh-") {
        "it is an OpenSSH public key, which TLS does not use"
    } else if start.starts_with("---- BEGIN SSH2") {
        "it is an SSH public key (RFC 4716), which TLS does not use"
    } else if start.starts_with("PuTTY-User-Key-File") {
        "it is a PuTTY key, which TLS does not use"
    } else if start.starts_with('<') {
        "it is an HTML or XML page, perhaps an error page saved under this name"
    } else if start.starts_with('{') {
        "it is JSON"
    } else if start.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=\r\n ".contains(&b)) {
        "it is base64 without the BEGIN and END lines, or a single word"
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
        type Fits = fn(&PemError) -> bool;
        let cases: &[(&str, Fits)] = &[
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
            ("----BEGIN X----\nMAA=\n", |e| e.to_string().contains("4 dashes before and 4 behind")),
            ("------BEGIN X-----\nMAA=\n", |e| e.to_string().contains("6 dashes before and 5 behind")),
            ("\u{2014}\u{2014}BEGIN X-----\nMAA=\n", |e| e.to_string().contains("typographic")),
            ("a\n-----BEGIN x-----\nMAA=\n", |e| e.to_string().contains("capital")),
            ("-----BEGIN X---\nMAA=\n", |e| e.to_string().contains("5 dashes before and 3 behind")),
            ("key: -----BEGIN X-----\nMAA=\n", |e| e.to_string().contains("before it on its line")),
            ("a\n  -----BEGIN X-----\nMAA=\n", |e| *e == PemError::Indented { line: 2 }),
            ("-----BEGIN X----- MAA= -----END X-----", |e| *e == PemError::OneLine { line: 1 }),
            ("MAA=\n-----END X-----\n", |e| matches!(e, PemError::EndWithoutBegin { line: 2, .. })),
            ("<html>", |e| matches!(e, PemError::NoBlock(what) if what.contains("HTML"))),
            ("{}", |e| matches!(e, PemError::NoBlock(what) if what.contains("JSON"))),
            ("ssh-ed25519 AAAA me", |e| matches!(e, PemError::NoBlock(what) if what.contains("SSH"))),
            (
                "---- BEGIN SSH2 PUBLIC KEY ----\nAA",
                |e| matches!(e, PemError::NoBlock(what) if what.contains("4716")),
            ),
            ("MIIBszCC\nAVk=\n", |e| matches!(e, PemError::NoBlock(what) if what.contains("base64"))),
        ];
        for (text, fits) in cases {
            let error = read(text.as_bytes()).unwrap_err();
            assert!(fits(&error), "{text:?} gave {error:?}");
        }
        assert_eq!(read(&[0x30, 0x82, 1, 1]), Err(PemError::Der));
        assert_eq!(read(&[0x30, 0x02, 5, 0]), Err(PemError::Der));
        assert_eq!(read(&[0xff, 0xfe, 0x2d, 0]), Err(PemError::Utf16));
    }

    #[test]
    fn text_around_blocks_and_both_line_ends_are_read() {
        let text = format!("subject=CN = a\r\n{}\nBag Attributes\n{GOOD}", GOOD.replace('\n', "\r\n"));
        let blocks = read(text.as_bytes()).unwrap();
        assert_eq!(blocks.iter().map(|b| b.line).collect::<Vec<_>>(), [2, 7]);
    }

    #[test]
    fn the_line_of_pasted_newlines_is_where_the_block_is() {
        let error = read(b"a\nb\n-----BEGIN X-----\\nMAA=\\n-----END X-----").unwrap_err();
        assert_eq!(error, PemError::LiteralNewlines { line: 3 });
    }

    #[test]
    fn a_damaged_marker_does_not_show_the_content_beside_it() {
        let content = "MC4CAQAwBQYDK2VwBCIEIGlPojCH0Qd5l1SXPkSRTnYtO1K4Z2cwouowWEIFn7U1Tw==";
        for text in [
            format!("-----BEGIN PRIVATE KEY---{content}\n-----END PRIVATE KEY-----\n"),
            format!("-----BEGIN PRIVATE KEY-----\n{content}-----END PRIVATE KEY-----\n"),
            format!("-----BEGIN PRIVATE KEY-----{content}\n-----END PRIVATE KEY-----\n"),
        ] {
            let message = read(text.as_bytes()).unwrap_err().to_string();
            assert!(message.contains("PRIVATE KEY") && message.contains('…'), "{message}");
            assert!(!message.contains("MC4C") && !message.contains("Tw=="), "{message}");
        }
    }

    #[test]
    fn comments_with_dashes_and_in_latin_1_are_passed_over() {
        let mut file = b"F\xf5tan\xfas\n--- END of the old ones ---\n-- BEGIN here\n=====\n".to_vec();
        file.extend_from_slice(GOOD.as_bytes());
        assert_eq!(read(&file).unwrap()[0].line, 5);
    }

    #[test]
    fn carriage_returns_alone_end_lines() {
        let blocks = read(GOOD.replace('\n', "\r").repeat(2).as_bytes()).unwrap();
        assert_eq!(blocks.iter().map(|b| b.line).collect::<Vec<_>>(), [1, 4]);
    }

    #[test]
    fn headers_of_old_encryption_are_kept_apart_from_the_content() {
        let text =
            "-----BEGIN X-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: A,\n 00FF\nEmpty:\n\nMAA=\n-----END X-----";
        let block = &read(text.as_bytes()).unwrap()[0];
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected =
            [header("Proc-Type", "4,ENCRYPTED"), header("DEK-Info", "A,00FF"), header("Empty", "")];
        assert_eq!(block.headers, expected);
        assert_eq!(block.der, [0x30, 0]);
    }

    #[test]
    fn what_can_be_undone_is_undone_and_told() {
        let glued = GOOD.trim_end().repeat(3);
        let utf16: Vec<u8> =
            "\u{feff}".chars().chain(GOOD.chars()).flat_map(|c| (c as u16).to_le_bytes()).collect();
        let cases: &[(&[u8], usize, usize)] = &[
            (glued.as_bytes(), 3, 1),
            (br#""-----BEGIN X-----\r\nMAA=\r\n-----END X-----\n""#, 1, 1),
            (br#"{"cert":"-----BEGIN X-----\nMAA=\n-----END X-----\n","b":1}"#, 1, 1),
            (br"-----BEGIN X-----\nMAA=\n-----END X----------BEGIN X-----\nMAA=\n-----END X-----", 2, 1),
            (b"-----BEGIN X----- MAA= -----END X----- -----BEGIN X----- MA A= -----END X-----", 2, 1),
            (b"key: |\n  -----BEGIN X-----\n  MAA=\n  -----END X-----\n", 1, 1),
            ("\u{feff}\u{2014}-BEGIN X\u{2014}\nMAA=\n\u{2014}END X----\n".as_bytes(), 1, 2),
            (&utf16, 1, 1),
        ];
        for (file, count, damages) in cases {
            let text = String::from_utf8_lossy(file);
            let (blocks, undone) = repair(file).unwrap_or_else(|| panic!("{text:?}: {:?}", read(file)));
            assert_eq!((blocks.len(), undone.len()), (*count, *damages), "{text:?} {undone:?}");
            assert!(blocks.iter().all(|block| block.der == [0x30, 0]), "{text:?}");
        }
    }

    #[test]
    fn what_would_be_guessing_is_left_alone() {
        for file in
            [GOOD, "", "-----BEGIN X-----\nMAA=\n", "-----BEGIN X-----\nMA!=\n-----END X-----", "hello"]
        {
            assert_eq!(repair(file.as_bytes()), None, "{file:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(der in proptest::collection::vec(any::<u8>(), 1..300)) {
            let blocks = read(encode("CERTIFICATE", &der).as_bytes()).unwrap();
            prop_assert_eq!(&blocks[0].der, &der);
        }

        #[test]
        fn no_bytes_make_it_panic(text in "(-----BEGIN X-----|-----END X-----|-----BEGIN|----END X---|\u{2014}|-|MAA=|\\PC|\n|\r| |\\\\n){0,14}") {
            let _ = read(text.as_bytes());
            let _ = repair(text.as_bytes());
        }
    }
}
