//! PEM for showing: what `pki::pem` reads or repairs is taken as it is, and of anything worse each block is
//! salvaged as far as it goes.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use pki::pem::{self, PemError};

use crate::tlv::Problems;

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The longest label that is one.
const LONGEST_LABEL: usize = 64;

/// One block.
#[derive(Debug)]
pub(crate) struct Armoured {
    pub(crate) label: String,
    pub(crate) der: Vec<u8>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) line: usize,
}

/// Whether anything in it looks like a PEM marker.
pub(crate) fn has_markers(bytes: &[u8]) -> bool {
    pem::looks_like_pem(bytes)
        || bytes.windows(9).any(|window| window == b"--BEGIN C" || window == b"--BEGIN P")
}

/// UTF-16 text with a byte order mark as UTF-8.
pub(crate) fn from_utf16(bytes: &[u8]) -> Option<Vec<u8>> {
    let big = match bytes {
        [0xff, 0xfe, ..] => false,
        [0xfe, 0xff, ..] => true,
        _ => return None,
    };
    let units = bytes[2..].chunks_exact(2).map(|pair| {
        if big { u16::from_be_bytes([pair[0], pair[1]]) } else { u16::from_le_bytes([pair[0], pair[1]]) }
    });
    let text: String = char::decode_utf16(units).map(|unit| unit.unwrap_or('\u{fffd}')).collect();
    Some(text.into_bytes())
}

/// Reads every block, noting what is damaged.
pub(crate) fn read(bytes: &[u8], problems: &mut Problems) -> Vec<Armoured> {
    match pem::read(bytes) {
        Ok(blocks) => return blocks.into_iter().map(Armoured::from).collect(),
        Err(error) => {
            if let Some((blocks, undone)) = pem::repair(bytes) {
                for damage in undone {
                    problems.note(0, damage_text(&damage));
                }
                return blocks.into_iter().map(Armoured::from).collect();
            }
            problems.note(0, damage_text(&error));
        }
    }
    salvage(&String::from_utf8_lossy(bytes))
}

fn damage_text(error: &PemError) -> String {
    crate::escape::text(&error.to_string())
}

impl From<pem::Block> for Armoured {
    fn from(block: pem::Block) -> Self {
        Armoured { label: block.label, der: block.der, headers: block.headers, line: block.line }
    }
}

/// Takes what stands behind each BEGIN up to the next marker, leaving out what is no base64.
fn salvage(text: &str) -> Vec<Armoured> {
    // Literal line ends and markers glued to other text are the damages that come together with others.
    let text = text.replace("\\r", "").replace("\\n", "\n").replace("-----BEGIN ", "\n-----BEGIN ");
    let mut blocks: Vec<Armoured> = Vec::new();
    let mut open: Option<(Armoured, String)> = None;
    for (index, content) in text.lines().enumerate() {
        let line = index + 1;
        if let Some(label) = label_behind(content, "BEGIN ") {
            blocks.extend(open.take().and_then(close));
            open = Some((Armoured { label, der: Vec::new(), headers: Vec::new(), line }, String::new()));
        } else if content.contains("--") && content.contains("END ") {
            blocks.extend(open.take().and_then(close));
        } else if let Some((block, body)) = &mut open {
            match content.split_once(": ") {
                Some((name, value)) if body.is_empty() => {
                    block.headers.push((name.trim().to_owned(), value.trim().to_owned()));
                }
                _ => body.extend(content.chars().filter(|c| c.is_ascii_alphanumeric() || "+/".contains(*c))),
            }
        }
    }
    blocks.extend(open.take().and_then(close));
    blocks
}

fn label_behind(line: &str, word: &str) -> Option<String> {
    if !line.contains('-') && !line.contains(['\u{2013}', '\u{2014}', '\u{2212}']) {
        return None;
    }
    let (_, behind) = line.split_once(word)?;
    let label: String = behind
        .chars()
        .take_while(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || " #.".contains(*c))
        .collect();
    let label = label.trim().to_owned();
    (!label.is_empty() && label.len() <= LONGEST_LABEL).then_some(label)
}

/// A group of four characters is three octets; an incomplete last group is dropped.
fn close((mut block, body): (Armoured, String)) -> Option<Armoured> {
    let whole = body.len() - if body.len() % 4 == 1 { 1 } else { 0 };
    block.der = LENIENT.decode(&body[..whole]).ok()?;
    (!block.der.is_empty()).then_some(block)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn read_of(text: &str) -> (Vec<Armoured>, usize) {
        let mut problems = Problems::default();
        let blocks = read(text.as_bytes(), &mut problems);
        (blocks, problems.into_list().len())
    }

    #[test]
    fn a_block_without_its_end_is_salvaged_and_told() {
        let (blocks, problems) = read_of("-----BEGIN X-----\nMAMCAQU=\n");
        assert_eq!((blocks[0].der.as_slice(), problems), (&[0x30, 3, 2, 1, 5][..], 1));
    }

    #[test]
    fn damage_in_one_block_leaves_the_others() {
        let (blocks, problems) =
            read_of("-----BEGIN A-----\nM!AA=\n-----END A-----\n-----BEGIN B-----\nMAA=\n-----END B-----\n");
        assert_eq!(blocks.iter().map(|b| b.label.as_str()).collect::<Vec<_>>(), ["A", "B"]);
        assert_eq!(problems, 1);
    }

    #[test]
    fn utf_16_is_read() {
        let text: Vec<u8> = "\u{feff}-----BEGIN".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(from_utf16(&text).unwrap(), b"-----BEGIN");
        assert!(from_utf16(b"-----").is_none());
    }
}
