//! Where tiles are served, and what a bundle of entries is made of (c2sp.org/tlog-tiles).

/// The hashes of a full tile, and the entries of a full bundle.
pub const TILE: u64 = 256;

/// The place of a tile or a bundle within its level, as its address says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TilePath {
    /// Which one of its level.
    pub number: u64,
    /// How many hashes or entries it holds: 1 to 256.
    pub width: u64,
}

impl TilePath {
    /// Reads the part of an address behind the level: `x001/x234/067`, or `x001/x234/067.p/12` for a partial one. There
    /// is one address for each tile.
    ///
    /// ```
    /// use ca::log::TilePath;
    /// assert_eq!(TilePath::parse("x001/x234/067.p/12"), Some(TilePath { number: 1_234_067, width: 12 }));
    /// assert_eq!(TilePath::parse("000"), Some(TilePath { number: 0, width: 256 }));
    /// assert_eq!(TilePath::parse("x000/001"), None);
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (place, width) = match text.split_once(".p/") {
            None => (text, TILE),
            Some((place, width)) => (place, width.parse().ok()?),
        };
        let mut number: u64 = 0;
        let mut elements = place.split('/').peekable();
        while let Some(element) = elements.next() {
            let digits = if elements.peek().is_some() { element.strip_prefix('x')? } else { element };
            if digits.len() != 3 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
                return None;
            }
            number = number.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
        }
        let path = TilePath { number, width };
        // Leading zeros, plus signs and partial tiles of the full width would be second addresses.
        let is_known = (1..=TILE).contains(&width) && path.to_string() == text;
        is_known.then_some(path)
    }
}

impl std::fmt::Display for TilePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut groups = vec![self.number % 1000];
        let mut rest = self.number / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        for group in groups.iter().skip(1).rev() {
            write!(f, "x{group:03}/")?;
        }
        write!(f, "{:03}", groups[0])?;
        if self.width < TILE { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

/// A bundle of entries: each behind its length in two octets. `None` where one is longer than that can say.
#[must_use]
pub fn bundle(entries: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    for entry in entries {
        octets.extend_from_slice(&u16::try_from(entry.len()).ok()?.to_be_bytes());
        octets.extend_from_slice(entry);
    }
    Some(octets)
}

/// The entries of a bundle; `None` where it ends within one.
///
/// ```
/// use ca::log::{bundle, entries_of};
/// let entries = vec![b"one".to_vec(), Vec::new()];
/// assert_eq!(entries_of(&bundle(&entries).unwrap_or_default()), Some(entries));
/// assert_eq!(entries_of(&[0, 2, 1]), None);
/// ```
#[must_use]
pub fn entries_of(mut octets: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut entries = Vec::new();
    while !octets.is_empty() {
        let (length, rest) = octets.split_at_checked(2)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let (entry, rest) = rest.split_at_checked(length)?;
        entries.push(entry.to_vec());
        octets = rest;
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tile_has_one_address() {
        for (number, text) in [(0, "000"), (999, "999"), (1000, "x001/000"), (1_234_067, "x001/x234/067")] {
            let full = TilePath { number, width: 256 };
            assert_eq!(full.to_string(), text);
            assert_eq!(TilePath::parse(text), Some(full));
            let partial = TilePath { number, width: 7 };
            assert_eq!(TilePath::parse(&partial.to_string()), Some(partial));
        }
        for bad in [
            "",
            "0",
            "00",
            "0000",
            "x000/000",
            "001/000",
            "x001",
            "x001/00",
            "000.p/0",
            "000.p/256",
            "000.p/07",
            "000.p/+7",
            "000.p/",
            "000/",
            "/000",
            "x001//000",
            "-01",
            "000.p/7/",
            "x999/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert_eq!(TilePath::parse(bad), None, "{bad}");
        }
    }
}
