//! Key logs in the format of `SSLKEYLOGFILE` (draft-ietf-tls-keylogfile): lines of a label, the ClientHello's random
//! value, and a secret. Whoever has them can read the traffic: nothing here shows one, in `Debug` neither.

use std::collections::HashMap;
use std::fmt;

use zeroize::Zeroizing;

/// A longer secret is none: the longest is a hash of 64 octets.
const LONGEST_SECRET: usize = 64;

/// The labels that mean something here, with what each protects.
pub const LABELS: &[(&str, &str)] = &[
    ("CLIENT_EARLY_TRAFFIC_SECRET", "the client's 0-RTT data"),
    ("EARLY_EXPORTER_SECRET", "keys that applications derive from 0-RTT"),
    ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", "the client's part of the handshake"),
    ("SERVER_HANDSHAKE_TRAFFIC_SECRET", "the server's part of the handshake"),
    ("CLIENT_TRAFFIC_SECRET_0", "what the client sends after the handshake"),
    ("SERVER_TRAFFIC_SECRET_0", "what the server sends after the handshake"),
    ("EXPORTER_SECRET", "keys that applications derive"),
    ("CLIENT_RANDOM", "a whole TLS 1.2 connection: its master secret"),
];

/// The secrets of one connection.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// Label and secret, in the order they were logged.
    entries: Vec<(String, Zeroizing<Vec<u8>>)>,
}

impl Secrets {
    /// None.
    ///
    /// ```
    /// let mut secrets = explain::capture::key_log::Secrets::new();
    /// secrets.insert("CLIENT_RANDOM", &[7; 48]);
    /// assert_eq!(secrets.find("CLIENT_RANDOM").map(<[u8]>::len), Some(48));
    /// assert_eq!(format!("{secrets:?}"), "Secrets[CLIENT_RANDOM]");
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one; a label that is there already is not replaced.
    pub fn insert(&mut self, label: &str, secret: &[u8]) {
        if self.find(label).is_none() {
            self.entries.push((label.to_owned(), Zeroizing::new(secret.to_vec())));
        }
    }

    /// The secret of this label.
    #[must_use]
    pub fn find(&self, label: &str) -> Option<&[u8]> {
        self.entries.iter().find(|(known, _)| known == label).map(|(_, secret)| secret.as_slice())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The labels with their secrets, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.entries.iter().map(|(label, secret)| (label.as_str(), secret.as_slice()))
    }

    /// The same without what protects application data: enough to explain a handshake, and not what went through it.
    /// The master secret of TLS 1.2 protects both, so it goes.
    #[must_use]
    pub fn of_handshake_alone(&self) -> Self {
        let kept = |label: &str| label.ends_with("_HANDSHAKE_TRAFFIC_SECRET");
        Secrets { entries: self.entries.iter().filter(|(label, _)| kept(label)).cloned().collect() }
    }

    /// As lines of a key log.
    #[must_use]
    pub fn to_lines(&self, client_random: &[u8]) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::new());
        for (label, secret) in self.iter() {
            text.push_str(&format!(
                "{label} {} {}\n",
                pki::hex(client_random),
                *Zeroizing::new(pki::hex(secret))
            ));
        }
        text
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels: Vec<&str> = self.iter().map(|(label, _)| label).collect();
        write!(f, "Secrets[{}]", labels.join(", "))
    }
}

/// The secrets of many connections, by the random value of their ClientHello.
#[derive(Clone, Default)]
pub struct KeyLog {
    connections: HashMap<[u8; 32], Secrets>,
    /// How many lines were neither a comment nor understood.
    pub strange_lines: usize,
}

impl KeyLog {
    /// Reads key log lines. What is not one is counted and passed over.
    ///
    /// ```
    /// let rsa = format!("RSA {} {}", "11".repeat(8), "22".repeat(48));
    /// assert_eq!(explain::capture::key_log::KeyLog::parse(rsa.as_bytes()).strange_lines, 0);
    /// let line = format!("CLIENT_RANDOM {} {}\n", "11".repeat(32), "22".repeat(48));
    /// let log = explain::capture::key_log::KeyLog::parse(format!("# a comment\n{line}nonsense\n").as_bytes());
    /// assert_eq!((log.len(), log.strange_lines), (1, 1));
    /// ```
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let mut log = KeyLog::default();
        log.add(bytes);
        log
    }

    /// Adds the lines of another.
    pub fn add(&mut self, bytes: &[u8]) {
        for line in bytes.split(|byte| matches!(byte, b'\n' | b'\r')) {
            let line = line.trim_ascii();
            // OpenSSL names a pre-master secret by what it was encrypted to, before it names the master secret as everybody
            // does: `RSA <8 octets> <48 octets>`.
            if line.is_empty() || line.starts_with(b"#") || line.starts_with(b"RSA ") {
                continue;
            }
            match parse_line(line) {
                Some((label, random, secret)) => {
                    self.connections.entry(random).or_default().insert(label, &secret);
                }
                None => self.strange_lines += 1,
            }
        }
    }

    /// Adds one secret.
    pub fn insert(&mut self, client_random: [u8; 32], label: &str, secret: &[u8]) {
        self.connections.entry(client_random).or_default().insert(label, secret);
    }

    /// Adds the secrets of one connection.
    pub fn insert_all(&mut self, client_random: [u8; 32], secrets: &Secrets) {
        for (label, secret) in secrets.iter() {
            self.insert(client_random, label, secret);
        }
    }

    /// The connections' random values with their secrets.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8; 32], &Secrets)> {
        self.connections.iter()
    }

    /// As the lines of a file.
    #[must_use]
    pub fn to_lines(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::new());
        let mut all: Vec<_> = self.iter().collect();
        all.sort_by_key(|(random, _)| **random);
        for (random, secrets) in all {
            text.push_str(&secrets.to_lines(random));
        }
        text
    }

    /// The same without what protects application data; see [`Secrets::of_handshake_alone`].
    #[must_use]
    pub fn of_handshake_alone(&self) -> Self {
        let connections =
            self.iter().map(|(random, secrets)| (*random, secrets.of_handshake_alone())).collect();
        KeyLog { connections, strange_lines: 0 }
    }

    /// The secrets of the connection whose ClientHello has this random value.
    #[must_use]
    pub fn find(&self, client_random: &[u8; 32]) -> Option<&Secrets> {
        self.connections.get(client_random)
    }

    /// Of how many connections it has secrets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }
}

impl fmt::Debug for KeyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyLog({} connections)", self.connections.len())
    }
}

/// A label, the random value, and the secret.
type Line<'a> = (&'a str, [u8; 32], Zeroizing<Vec<u8>>);

fn parse_line(line: &[u8]) -> Option<Line<'_>> {
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    let (label, random, secret) = (words.next()?, words.next()?, words.next()?);
    let fits = words.next().is_none()
        && label.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
        && secret.len() <= 2 * LONGEST_SECRET;
    if !fits {
        return None;
    }
    Some((label, from_hex(random)?.as_slice().try_into().ok()?, from_hex(secret)?))
}

/// Octets from hexadecimal digits.
pub(crate) fn from_hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    pki::unhex(text).map(Zeroizing::new)
}
