//! DNS messages (RFC 1035 section 4), as far as a stub resolver needs them: one question out, its answers in. What is
//! read is bounded: names by their 255 octets, compression by going backwards only.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The kinds of record that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordType {
    A,
    Aaaa,
    Txt,
    Caa,
}

impl RecordType {
    /// The number in the registry.
    pub(crate) fn code(self) -> u16 {
        match self {
            RecordType::A => 1,
            RecordType::Txt => 16,
            RecordType::Aaaa => 28,
            RecordType::Caa => 257,
        }
    }

    /// The name in the registry.
    pub(crate) fn name(self) -> &'static str {
        match self {
            RecordType::A => "A",
            RecordType::Txt => "TXT",
            RecordType::Aaaa => "AAAA",
            RecordType::Caa => "CAA",
        }
    }
}

const CNAME: u16 = 5;
const CLASS_IN: u16 = 1;

/// What an answer holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Data {
    Address(IpAddr),
    /// The strings of one record, joined (RFC 8555 section 8.4 compares the whole).
    Text(Vec<u8>),
    Alias(String),
    /// RFC 8659 section 4.1.
    Authorization {
        critical: bool,
        tag: String,
        value: Vec<u8>,
    },
}

/// A response to the question that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    /// RFC 1035 section 4.1.1: 0 for no error, 3 for a name that does not exist.
    pub(crate) code: u8,
    /// It did not fit, and is to be asked for by TCP.
    pub(crate) truncated: bool,
    /// Owner names in lower case, and what they hold.
    pub(crate) answers: Vec<(String, Data)>,
}

/// Why octets are no response to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MessageError {
    /// Another id or question: perhaps somebody guesses.
    #[error("it answers another question")]
    NotOurs,
    /// Cut short, or impossible.
    #[error("it is malformed")]
    Malformed,
}

/// A query for one name, with EDNS to allow 1,232 octets (the DNS flag day 2020's figure); `None` where the name has no
/// form in the DNS.
pub(crate) fn query(id: u16, name: &str, kind: RecordType) -> Option<Vec<u8>> {
    let mut message = id.to_be_bytes().to_vec();
    // Recursion desired; one question, one additional record.
    message.extend_from_slice(&[0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 1]);
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        message.push(length);
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    // The header has 12 octets; RFC 1035 section 2.3.4 gives a name 255.
    if message.len() - 12 > 255 {
        return None;
    }
    message.extend_from_slice(&kind.code().to_be_bytes());
    message.extend_from_slice(&CLASS_IN.to_be_bytes());
    // OPT (RFC 6891): root name, type 41, the size in place of the class.
    message.extend_from_slice(&[0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]);
    Some(message)
}

/// Reads the response to a query.
///
/// # Errors
/// [`MessageError`].
pub(crate) fn response(
    octets: &[u8],
    id: u16,
    name: &str,
    kind: RecordType,
) -> Result<Response, MessageError> {
    let mut reader = Reader { octets, at: 0 };
    if reader.u16()? != id {
        return Err(MessageError::NotOurs);
    }
    let flags = reader.u16()?;
    let [questions, answers] = [reader.u16()?, reader.u16()?];
    reader.take(4)?;
    // It is a response, to a standard query, with the question that was asked.
    if flags & 0xf800 != 0x8000 || questions != 1 {
        return Err(MessageError::NotOurs);
    }
    let asked = (reader.name()?, reader.u16()?, reader.u16()?);
    if asked != (name.trim_end_matches('.').to_ascii_lowercase(), kind.code(), CLASS_IN) {
        return Err(MessageError::NotOurs);
    }
    let truncated = flags & 0x0200 != 0;
    let mut found = Vec::new();
    for _ in 0..answers {
        match reader.record() {
            Ok((owner, Some(data))) => found.push((owner, data)),
            Ok((_, None)) => {}
            // A truncated message may end anywhere.
            Err(_) if truncated => break,
            Err(error) => return Err(error),
        }
    }
    // The mask keeps it within an octet.
    Ok(Response { code: (flags & 0x000f) as u8, truncated, answers: found })
}

struct Reader<'a> {
    octets: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], MessageError> {
        let taken = self.octets.get(self.at..self.at + count).ok_or(MessageError::Malformed)?;
        self.at += count;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, MessageError> {
        let octets = self.take(2)?;
        Ok(u16::from_be_bytes([octets[0], octets[1]]))
    }

    /// A name in lower case. Pointers go backwards only, so that no message can hold a reader for ever.
    fn name(&mut self) -> Result<String, MessageError> {
        let mut name = String::new();
        let mut at = self.at;
        let mut behind = None;
        loop {
            let length = usize::from(*self.octets.get(at).ok_or(MessageError::Malformed)?);
            match length {
                0 => {
                    self.at = behind.unwrap_or(at + 1);
                    return Ok(name);
                }
                1..=63 => {
                    let label = self.octets.get(at + 1..at + 1 + length).ok_or(MessageError::Malformed)?;
                    if !name.is_empty() {
                        name.push('.');
                    }
                    // Octets beyond ASCII, and dots within a label, have no place in the names that are asked for.
                    if !label.iter().all(|octet| octet.is_ascii_graphic() && *octet != b'.') {
                        return Err(MessageError::Malformed);
                    }
                    name.extend(label.iter().map(|octet| char::from(octet.to_ascii_lowercase())));
                    at += 1 + length;
                }
                0xc0..=0xff => {
                    let low = usize::from(*self.octets.get(at + 1).ok_or(MessageError::Malformed)?);
                    let target = (length & 0x3f) << 8 | low;
                    behind.get_or_insert(at + 2);
                    if target >= at {
                        return Err(MessageError::Malformed);
                    }
                    at = target;
                }
                _ => return Err(MessageError::Malformed),
            }
            if name.len() > 255 {
                return Err(MessageError::Malformed);
            }
        }
    }

    /// The next record: its owner, and its data where it is of a kind that is looked at.
    fn record(&mut self) -> Result<(String, Option<Data>), MessageError> {
        let owner = self.name()?;
        let (kind, class) = (self.u16()?, self.u16()?);
        self.take(4)?;
        let length = usize::from(self.u16()?);
        let start = self.at;
        let data = self.take(length)?;
        if class != CLASS_IN {
            return Ok((owner, None));
        }
        let data = match kind {
            1 => <[u8; 4]>::try_from(data).ok().map(|ip| Data::Address(Ipv4Addr::from(ip).into())),
            28 => <[u8; 16]>::try_from(data).ok().map(|ip| Data::Address(Ipv6Addr::from(ip).into())),
            16 => Some(Data::Text(character_strings(data)?)),
            257 => Some(authorization(data)?),
            CNAME => {
                let mut target = Reader { octets: &self.octets[..start + length], at: start };
                Some(Data::Alias(target.name()?))
            }
            _ => return Ok((owner, None)),
        };
        Ok((owner, Some(data.ok_or(MessageError::Malformed)?)))
    }
}

fn character_strings(mut data: &[u8]) -> Result<Vec<u8>, MessageError> {
    let mut text = Vec::new();
    while let Some((length, rest)) = data.split_first() {
        let (string, rest) = rest.split_at_checked(usize::from(*length)).ok_or(MessageError::Malformed)?;
        text.extend_from_slice(string);
        data = rest;
    }
    Ok(text)
}

fn authorization(data: &[u8]) -> Result<Data, MessageError> {
    let [flags, tag_length, rest @ ..] = data else { return Err(MessageError::Malformed) };
    let (tag, value) = rest.split_at_checked(usize::from(*tag_length)).ok_or(MessageError::Malformed)?;
    if tag.is_empty() || !tag.iter().all(u8::is_ascii_alphanumeric) {
        return Err(MessageError::Malformed);
    }
    let tag = String::from_utf8_lossy(tag).to_ascii_lowercase();
    Ok(Data::Authorization { critical: flags & 0x80 != 0, tag, value: value.to_vec() })
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    /// A response to `query` with these records: owner, type, data.
    pub(crate) fn answer(query: &[u8], code: u8, records: &[(&str, u16, Vec<u8>)]) -> Vec<u8> {
        // The question ends where the OPT record begins, eleven octets from the end.
        let mut message = query[..query.len() - 11].to_vec();
        message[2] = 0x81;
        message[3] = 0x80 | code;
        message[6..8].copy_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
        message[10..12].copy_from_slice(&[0, 0]);
        for (owner, kind, data) in records {
            message.extend(name(owner));
            message.extend_from_slice(&kind.to_be_bytes());
            message.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
            message.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
            message.extend_from_slice(data);
        }
        message
    }

    pub(crate) fn name(text: &str) -> Vec<u8> {
        let mut octets = Vec::new();
        for label in text.split('.') {
            octets.push(u8::try_from(label.len()).unwrap());
            octets.extend_from_slice(label.as_bytes());
        }
        octets.push(0);
        octets
    }

    fn sample() -> (Vec<u8>, Vec<u8>) {
        let query = query(7, "_acme-challenge.A.test", RecordType::Txt).unwrap();
        let records = [
            ("_acme-challenge.a.test", CNAME, name("x.b.test")),
            ("x.b.test", 16, b"\x03abc\x02de".to_vec()),
        ];
        let response = answer(&query, 0, &records);
        (query, response)
    }

    #[test]
    fn answers_are_read_with_aliases_and_joined_strings() {
        let (_, octets) = sample();
        let read = response(&octets, 7, "_acme-challenge.a.test", RecordType::Txt).unwrap();
        assert_eq!(read.code, 0);
        assert_eq!(
            read.answers,
            [
                ("_acme-challenge.a.test".to_owned(), Data::Alias("x.b.test".to_owned())),
                ("x.b.test".to_owned(), Data::Text(b"abcde".to_vec())),
            ]
        );
    }

    #[test]
    fn response_to_another_question_is_not_ours() {
        let (_, octets) = sample();
        let read = |id, name, kind| response(&octets, id, name, kind);
        assert_eq!(read(8, "_acme-challenge.a.test", RecordType::Txt), Err(MessageError::NotOurs));
        assert_eq!(read(7, "_acme-challenge.b.test", RecordType::Txt), Err(MessageError::NotOurs));
        assert_eq!(read(7, "_acme-challenge.a.test", RecordType::A), Err(MessageError::NotOurs));
    }

    #[test]
    fn pointer_that_goes_in_circles_is_malformed() {
        let query = query(7, "a.test", RecordType::A).unwrap();
        let mut octets = answer(&query, 0, &[]);
        octets[7] = 1;
        let at = u8::try_from(octets.len()).unwrap();
        octets.extend_from_slice(&[0xc0, at, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]);
        assert_eq!(response(&octets, 7, "a.test", RecordType::A), Err(MessageError::Malformed));
    }

    #[test]
    fn mutated_responses_never_panic() {
        let (_, octets) = sample();
        for at in 0..octets.len() {
            for value in 0..=255 {
                let mut changed = octets.clone();
                changed[at] = value;
                let _ = response(&changed, 7, "_acme-challenge.a.test", RecordType::Txt);
            }
            let _ = response(&octets[..at], 7, "_acme-challenge.a.test", RecordType::Txt);
        }
    }

    #[test]
    fn names_that_the_dns_cannot_hold_are_not_asked_for() {
        assert_eq!(query(1, "a..test", RecordType::A), None);
        assert_eq!(query(1, &"a".repeat(64), RecordType::A), None);
        assert_eq!(query(1, &["a".repeat(63).as_str(); 5].join("."), RecordType::A), None);
    }
}
