//! Which certificate is meant.

/// A certificate, or the certificates of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// All certificates filed under this name.
    Label(String),
    /// The one with this serial number.
    Serial(Vec<u8>),
    /// What a person typed: a name, the first octets of a serial number, or all of a SHA-256 fingerprint.
    Typed(String, Vec<u8>),
}

/// The fewest octets of a serial number that count as one: chance finds four only among billions.
const FEWEST_SERIAL_OCTETS: usize = 4;

impl Selector {
    /// Reads a name; or, in hexadecimal with or without colons, the start of a serial number of at least 8 digits, or a
    /// SHA-256 fingerprint.
    ///
    /// ```
    /// use ca::Selector;
    /// assert_eq!(Selector::parse("alice"), Selector::Label("alice".into()));
    /// assert_eq!(Selector::parse("01:02:03:04"), Selector::Typed("01:02:03:04".into(), vec![1, 2, 3, 4]));
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        let digits: Vec<char> = text.chars().filter(|c| *c != ':').collect();
        let nibbles: Option<Vec<u8>> =
            digits.iter().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
        match nibbles {
            Some(nibbles) if nibbles.len().is_multiple_of(2) && nibbles.len() >= 2 * FEWEST_SERIAL_OCTETS => {
                let octets = nibbles.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
                Selector::Typed(text.to_owned(), octets)
            }
            _ => Selector::Label(text.to_owned()),
        }
    }
}

impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Selector::Label(label) | Selector::Typed(label, _) => f.write_str(label),
            Selector::Serial(serial) => f.write_str(&pki::certificate::serial_hex(serial)),
        }
    }
}
