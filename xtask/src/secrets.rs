//! No secret in what anything says: the output of the tests and of the cases is searched for secrets by their form.
//!
//! What tests work with is recognised wherever it turns up: their passphrases and PINs are planted (they begin with
//! [`PLANTED`] or [`PLANTED_DIGITS`]), an invite's code has a form that nothing else has, and every encoding of a private key
//! begins with octets that say that it is one. What a case made with other programs is known by its own files alone, and is
//! sought by `interop::secrets`.

use std::fmt;
use std::sync::OnceLock;

/// How every passphrase, password and token begins that a test or a case thinks of.
pub(crate) const PLANTED: &str = "planted-secret";

/// How every PIN begins that a test or a case thinks of: tokens like digits.
pub(crate) const PLANTED_DIGITS: &str = "4815162342";

/// Letters of an invite's handle and of its secret (`ca::invite::Code`), and what they are made of.
const CODE: (usize, usize) = (8, 26);
const CODE_LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz023456789";

/// What begins a private key, as far as it is the same for each of its kind: the version, the algorithm, and where the
/// private half starts (RFC 5958 section 2, RFC 5915 section 3, RFC 8017 appendix A.1.2).
#[rustfmt::skip] // One line a kind.
const KEYS: &[(&str, &[u8])] = &[
    ("P-256",             b"\x02\x01\0\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04"),
    ("P-384 or P-521",    b"\x02\x01\0\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\0"),
    ("Ed25519",           b"\x02\x01\0\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20"),
    ("Ed25519",           b"\x02\x01\x01\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20"),
    ("RSA",               b"\x02\x01\0\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\0\x04\x82"),
    ("RSA 2048, PKCS #1", b"\x02\x01\0\x02\x82\x01\x01\0"),
    ("RSA 3072, PKCS #1", b"\x02\x01\0\x02\x82\x01\x81\0"),
    ("RSA 4096, PKCS #1", b"\x02\x01\0\x02\x82\x02\x01\0"),
    ("P-256, SEC 1",      b"\x30\x77\x02\x01\x01\x04\x20"),
    ("P-384, SEC 1",      b"\x30\x81\xa4\x02\x01\x01\x04\x30"),
    ("P-521, SEC 1",      b"\x30\x81\xdc\x02\x01\x01\x04\x42"),
];

/// One secret that was told: where, and of what kind. It holds nothing of the secret, since it is printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// The line, from 1.
    pub(crate) line: usize,
    pub(crate) kind: String,
}

impl fmt::Display for Told {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: {}", self.line, self.kind)
    }
}

/// The secrets that stand in a text.
pub(crate) fn told(text: &str) -> Vec<Told> {
    let mut found = Vec::new();
    let mut begun: Option<&str> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let mut tell = |kind: String| found.push(Told { line: number, kind });
        if line.to_ascii_lowercase().contains(PLANTED) {
            tell("a planted passphrase".to_owned());
        }
        if line.contains(PLANTED_DIGITS) {
            tell("a planted PIN".to_owned());
        }
        if has_code(line.as_bytes()) {
            tell("the code of an invite".to_owned());
        }
        if let Some(kind) = key_on(line) {
            tell(format!("a private key ({kind})"));
        }
        // A header alone is what messages quote; with a line of its body it is a key.
        if let Some(label) = begun.take()
            && body_of_pem(line)
        {
            tell(format!("the body of a PEM block '{label}'"));
        }
        begun = private_label(line);
    }
    found
}

/// What a text says of what it told: nothing, or the first few places.
pub(crate) fn complaint(place: &str, text: &str) -> Option<String> {
    /// So many places are enough to find the rest.
    const SHOWN: usize = 5;
    let told = told(text);
    let first: Vec<String> = told.iter().take(SHOWN).map(Told::to_string).collect();
    let more = told.len().saturating_sub(SHOWN);
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    (!told.is_empty()).then(|| format!("a secret stands in {place}: {}{more}", first.join("; ")))
}

/// The label of a PEM header for a private key in the clear that ends the line, or of one whose lines were joined.
fn private_label(line: &str) -> Option<&str> {
    let (_, header) = line.rsplit_once("-----BEGIN ")?;
    let label = header.trim_end().strip_suffix("-----")?;
    (label.ends_with("PRIVATE KEY") && !label.starts_with("ENCRYPTED")).then_some(label)
}

fn body_of_pem(line: &str) -> bool {
    let line = line.trim().trim_start_matches(['|', '>', '#']).trim();
    line.len() >= 40 && line.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
}

fn has_code(line: &[u8]) -> bool {
    let (handle, secret) = CODE;
    let length = handle + 1 + secret;
    let is_of_word =
        |octet: Option<&u8>| octet.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'-' || *b == b'_');
    let is_code = |window: &[u8]| {
        window.iter().enumerate().all(|(at, b)| if at == handle { *b == b'-' } else { CODE_LETTERS.contains(b) })
            // Words of a path are letters alone; of 34 drawn ones there is a digit but once in ten thousand times.
            && window.iter().any(u8::is_ascii_digit)
    };
    line.windows(length).enumerate().any(|(start, window)| {
        is_code(window)
            && !is_of_word(start.checked_sub(1).and_then(|before| line.get(before)))
            && !is_of_word(line.get(start + length))
    })
}

/// How the beginning of a key is written: its octets, their hexadecimal digits, and the letters of base64 that it alone
/// decides, by where among the groups of three octets it begins.
struct Beginning {
    kind: &'static str,
    octets: &'static [u8],
    hexadecimal: String,
    base64: Vec<String>,
}

impl Beginning {
    fn all() -> &'static [Beginning] {
        static ALL: OnceLock<Vec<Beginning>> = OnceLock::new();
        ALL.get_or_init(|| KEYS.iter().map(|(kind, octets)| Beginning::of(kind, octets)).collect())
    }

    fn of(kind: &'static str, octets: &'static [u8]) -> Self {
        let mut written = Vec::new();
        for before in 0..3 {
            let shifted = [&[0; 2][..before], octets].concat();
            // A letter that holds bits of a neighbour is another one there.
            let text = base64(&shifted)[(before * 8).div_ceil(6)..shifted.len() * 8 / 6].to_owned();
            written.push(text.replace('+', "-").replace('/', "_"));
            written.push(text);
        }
        let hexadecimal = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        Beginning { kind, octets, hexadecimal, base64: written }
    }
}

/// The kind of the private key on a line: in base64, in hexadecimal, or as `Debug` prints octets.
fn key_on(line: &str) -> Option<&'static str> {
    // No line as short as this holds one.
    if line.len() < 28 {
        return None;
    }
    let digits: String = line.chars().filter(char::is_ascii_hexdigit).collect();
    let digits = digits.to_ascii_lowercase();
    let numbers = line.split([',', '[', ']']).map(|word| word.trim().parse::<u8>().ok());
    let numbers: Vec<u8> = numbers.flatten().collect();
    let is_here = |beginning: &&Beginning| {
        beginning.base64.iter().any(|text| line.contains(text))
            || digits.contains(&beginning.hexadecimal)
            || numbers.windows(beginning.octets.len()).any(|window| window == beginning.octets)
    };
    Beginning::all().iter().find(is_here).map(|beginning| beginning.kind)
}

fn base64(octets: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in octets.chunks(3) {
        let bits = (0..3).fold(0u32, |bits, at| bits << 8 | u32::from(group.get(at).copied().unwrap_or(0)));
        for place in 0..4 {
            text.push(char::from(LETTERS[(bits >> (18 - 6 * place)) as usize & 63]));
        }
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // In a test a panic is the report.
mod tests {
    use super::*;

    /// Keys that were made for this test and are used nowhere.
    const P256: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgVcB/UNPxalR9zDYA";
    const ED25519: &str = "MC4CAQAwBQYDK2VwBCIEIGJhJ2cOe0vQjQvA7q3dHl9lXk0gkz2rfCSdVaZQ0m5x";
    const SEC1: &str = "MHcCAQEEIFXAf1DT8WpUfcw2AGJhJ2cOe0vQjQvA7q3doAoGCCqGSM49AwEHoUQD";
    const RSA: &str = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";

    fn kinds(text: &str) -> Vec<String> {
        told(text).into_iter().map(|told| told.to_string()).collect()
    }

    fn octets(base64: &str) -> Vec<u8> {
        let value = |letter: u8| match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        let groups = base64
            .as_bytes()
            .chunks(4)
            .map(|group| group.iter().fold(0u32, |bits, letter| bits << 6 | u32::from(value(*letter))));
        groups.flat_map(|bits| [(bits >> 16) as u8, (bits >> 8) as u8, bits as u8]).collect()
    }

    #[test]
    fn planted_words_and_digits_are_found_with_their_line() {
        let text = format!("all is well\nopened with '{PLANTED}-of-a-case'\npin={PLANTED_DIGITS}99\n");
        assert_eq!(kinds(&text), ["line 2: a planted passphrase", "line 3: a planted PIN"]);
    }

    #[test]
    fn an_invites_code_is_found_by_its_form() {
        let code = "h7kq2m3n-abcdefghjkmnpqrstuvwxyz023";
        assert_eq!(kinds(&format!("GET /i/{code} 404")), ["line 1: the code of an invite"]);
        assert_eq!(kinds(&format!("#{code}")), ["line 1: the code of an invite"]);
        // Its handle alone is no secret, and longer words are something else.
        assert_eq!(kinds("invite h7kq2m3n was used"), [""; 0]);
        assert_eq!(kinds(&format!("x{code} {code}-z")), [""; 0]);
    }

    #[test]
    fn a_private_key_is_found_in_every_writing() {
        for (key, kind) in [(P256, "P-256"), (ED25519, "Ed25519"), (SEC1, "P-256, SEC 1"), (RSA, "RSA")] {
            let octets = octets(key);
            let hexadecimal: Vec<String> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
            let mut embedded = b"ab".to_vec();
            embedded.extend(&octets);
            for text in [
                format!("read {key}"),
                format!("key: {octets:?}"),
                hexadecimal.concat(),
                hexadecimal.join(":").to_uppercase(),
                format!("in the middle {}", base64(&embedded)),
            ] {
                assert_eq!(kinds(&text), [format!("line 1: a private key ({kind})")], "{text}");
            }
        }
    }

    #[test]
    fn the_body_of_a_pem_block_is_found_and_a_header_in_a_message_is_not() {
        let body = "q".repeat(64);
        let text = format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n");
        assert_eq!(kinds(&text), ["line 2: the body of a PEM block 'OPENSSH PRIVATE KEY'"]);
        let quoted = format!("    | -----BEGIN RSA PRIVATE KEY-----\n    | {body}\n");
        assert_eq!(kinds(&quoted), ["line 2: the body of a PEM block 'RSA PRIVATE KEY'"]);
        assert_eq!(kinds("does the file say -----BEGIN PRIVATE KEY-----?\nnext\n"), [""; 0]);
        assert_eq!(kinds(&format!("-----BEGIN CERTIFICATE-----\n{body}\n")), [""; 0]);
        assert_eq!(kinds(&format!("-----BEGIN ENCRYPTED PRIVATE KEY-----\n{body}\n")), [""; 0]);
    }

    #[test]
    fn what_is_public_is_no_secret() {
        let public =
            "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEm3DPh3Y5o0oG7T6r1Yy9tVwJm0uQ2sZb4cXeF8aKLpR5vWnHd7gBAAAA";
        assert_eq!(kinds(public), [""; 0]);
        assert_eq!(kinds("no-secret-that-was-planted-is-told-by-any-process-log-page-or-error"), [""; 0]);
        assert_eq!(complaint("a log", public), None);
    }

    #[test]
    fn a_complaint_says_where_and_nothing_of_the_secret() {
        let text = format!("{PLANTED}-a\n").repeat(7);
        let said = complaint("the log", &text).unwrap();
        assert_eq!(
            said,
            "a secret stands in the log: line 1: a planted passphrase; line 2: a planted passphrase; \
             line 3: a planted passphrase; line 4: a planted passphrase; line 5: a planted passphrase; and 2 more"
        );
    }
}
