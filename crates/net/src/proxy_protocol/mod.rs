//! The PROXY protocol, versions 1 and 2 (HAProxy's proxy-protocol.txt): how a load balancer in front tells where a
//! connection came from, and how a TCP upstream is told who the client is. A header is believed from named addresses
//! only, which is the caller's affair; what is done here is reading and writing, without a socket.

mod read;
mod write;

use std::net::SocketAddr;

pub use read::{Decoded, ProxyHeaderError, decode};
pub use write::{TlsFacts, encode};

/// The twelve octets that version 2 starts with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The longest line of version 1, its end included (section 2.1).
const LONGEST_LINE: usize = 107;

/// The most octets that are read behind a header of version 2. The protocol allows 65,535; a chain of certificates fits in
/// a quarter of it, and nothing is held in memory for those who only claim to send more.
const LONGEST_REST: usize = 16 * 1024;

/// The types of the values behind the addresses (section 2.2).
mod kind {
    pub(super) const ALPN: u8 = 0x01;
    pub(super) const AUTHORITY: u8 = 0x02;
    pub(super) const CRC32C: u8 = 0x03;
    pub(super) const SSL: u8 = 0x20;
    pub(super) const SSL_VERSION: u8 = 0x21;
    pub(super) const SSL_CN: u8 = 0x22;
    pub(super) const SSL_CIPHER: u8 = 0x23;
    pub(super) const SSL_SIGNATURE_ALGORITHM: u8 = 0x24;
    pub(super) const SSL_KEY_ALGORITHM: u8 = 0x25;
    pub(super) const SSL_GROUP: u8 = 0x26;
    pub(super) const SSL_CLIENT_CERTIFICATE: u8 = 0x28;
}

/// The bits of the `client` octet of an SSL value.
mod client {
    pub(super) const SSL: u8 = 0x01;
    pub(super) const CERTIFICATE_IN_CONNECTION: u8 = 0x02;
    pub(super) const CERTIFICATE_IN_SESSION: u8 = 0x04;
}

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// Where the connection came from. `None` for connections of the sender's own (health checks), and where it does
    /// not know: then the connection's own address counts.
    pub source: Option<SocketAddr>,
    /// Where it went to.
    pub destination: Option<SocketAddr>,
    /// The host name that the client asked for (SNI), where the sender knows.
    pub authority: Option<String>,
    /// The application protocol.
    pub alpn: Option<Vec<u8>>,
    /// What the sender says of TLS on its side.
    pub tls: Option<HeaderTls>,
}

/// What a sender says of TLS between the client and itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderTls {
    /// The version, such as `TLSv1.3`.
    pub version: Option<String>,
    /// The commonName of the client's certificate.
    pub common_name: Option<String>,
    /// The cipher suite.
    pub cipher_suite: Option<String>,
    /// The DER of the client's certificate.
    pub certificate: Option<Vec<u8>>,
    /// Whether the client presented a certificate, and the sender verified it.
    pub is_verified: bool,
}

/// CRC-32C (RFC 3720 appendix B.4), bit by bit: a header is short and comes once a connection.
fn crc32c(octets: &[u8]) -> u32 {
    !octets.iter().fold(!0, |crc, octet| {
        (0..8).fold(
            crc ^ u32::from(*octet),
            |crc, _| {
                if crc & 1 == 0 { crc >> 1 } else { (crc >> 1) ^ 0x82f6_3b78 }
            },
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_check_value_of_the_checksum_is_right() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    fn header(octets: &[u8]) -> (Header, usize) {
        match decode(octets).unwrap() {
            Decoded::Done { header, length } => (*header, length),
            Decoded::Incomplete => panic!("incomplete"),
        }
    }

    #[test]
    fn version_1_is_read_as_written_and_not_otherwise() {
        let (read, length) = header(b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\nGET /");
        assert_eq!((read.source, length), (Some("192.0.2.7:56324".parse().unwrap()), 45));
        assert_eq!(read.destination, Some("198.51.100.1:443".parse().unwrap()));
        let (read, _) = header(b"PROXY TCP6 2001:db8::7 ::1 1 65535\r\n");
        assert_eq!(read.source, Some("[2001:db8::7]:1".parse().unwrap()));
        for unknown in [&b"PROXY UNKNOWN\r\n"[..], b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"] {
            assert_eq!(header(unknown), (Header::default(), unknown.len()));
        }
        for bad in [
            &b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\n "[..],
            b"PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n",
            // Found by fuzzing: a line feed made it no header or one, by where the network had cut it.
            b"PROXY UNKNOWN fff\n\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443 1\r\n",
            b"PROXY TCP4 192.0.2.7  198.51.100.1 56324 443\r\n",
            b"PROXY TCP4 192.0.2.07 198.51.100.1 56324 443\r\n",
            b"PROXY TCP4 2001:db8::7 ::1 1 2\r\n",
            b"PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 +1 443\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 007 443\r\n",
            b"PROXY UDP4 192.0.2.7 198.51.100.1 1 443\r\n",
            b"proxy TCP4 192.0.2.7 198.51.100.1 1 443\r\n",
            b"GET / HTTP/1.1\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00",
            b"",
        ] {
            let decoded = decode(bad);
            assert!(!matches!(decoded, Ok(Decoded::Done { .. })), "{}: {decoded:?}", bad.escape_ascii());
        }
        let endless = [&b"PROXY UNKNOWN "[..], &[b'x'; LONGEST_LINE]].concat();
        assert!(matches!(decode(&endless), Err(ProxyHeaderError::Line(_))));
    }

    #[test]
    fn version_2_of_a_health_check_says_nothing_of_a_client() {
        let local = [&SIGNATURE[..], &[0x20, 0x11, 0, 12], &[1; 12]].concat();
        assert_eq!(header(&local), (Header::default(), 28));
        let unspecified = [&SIGNATURE[..], &[0x21, 0x00, 0, 0]].concat();
        assert_eq!(header(&unspecified), (Header::default(), 16));
    }

    #[test]
    fn what_breaks_version_2_is_refused_by_name() {
        let with = |tail: &[u8]| decode(&[&SIGNATURE[..], tail].concat());
        assert!(matches!(with(&[0x11, 0x11, 0, 0]), Err(ProxyHeaderError::Version(1))));
        assert!(matches!(with(&[0x22, 0x11, 0, 0]), Err(ProxyHeaderError::Command(2))));
        assert!(matches!(with(&[0x21, 0x12, 0, 12]), Err(ProxyHeaderError::Family(0x12))), "UDP");
        assert!(matches!(with(&[0x21, 0x11, 0, 11]), Err(ProxyHeaderError::TooShort { .. })));
        assert!(matches!(with(&[0x21, 0x11, 0xff, 0xff]), Err(ProxyHeaderError::TooLong(65535))));
        let cut_value = [&[0x21, 0x11, 0, 15][..], &[9; 12], &[0x04, 0, 1]].concat();
        assert!(matches!(with(&cut_value), Err(ProxyHeaderError::Value(0x04))));
        let wrong_sum = [&[0x21, 0x11, 0, 19][..], &[9; 12], &[0x03, 0, 4, 1, 2, 3, 4]].concat();
        assert!(matches!(with(&wrong_sum), Err(ProxyHeaderError::Checksum)));
    }

    #[test]
    fn a_right_checksum_is_taken() {
        let mut octets = [&SIGNATURE[..], &[0x21, 0x11, 0, 19], &[9; 12], &[0x03, 0, 4, 0, 0, 0, 0]].concat();
        let sum = crc32c(&octets).to_be_bytes();
        let end = octets.len() - 4;
        octets[end..].copy_from_slice(&sum);
        assert_eq!(header(&octets).1, octets.len());
    }

    fn any_address() -> impl Strategy<Value = SocketAddr> {
        let ip = prop_oneof![
            any::<[u8; 4]>().prop_map(std::net::IpAddr::from),
            any::<[u8; 16]>().prop_map(std::net::IpAddr::from),
        ];
        (ip, any::<u16>()).prop_map(SocketAddr::from)
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(source in any_address(), destination in any_address(),
            verified in any::<bool>(), version in "TLSv1\\.[23]", behind in proptest::collection::vec(any::<u8>(), 0..20)) {
            let ca = testkit::TestCa::new();
            let alice = ca.issue_client("alice").certificate;
            let tls = TlsFacts {
                version: &version, cipher_suite: "TLS_AES_128_GCM_SHA256", group: "X25519", alpn: Some("h2"),
                server_name: Some("api.test"), certificate: verified.then_some(&alice),
            };
            let written = encode(source, destination, Some(&tls));
            let (read, length) = header(&[&written[..], &behind].concat());
            prop_assert_eq!(length, written.len());
            let v6 = |address: SocketAddr| match address.ip() {
                std::net::IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
                std::net::IpAddr::V6(_) => address,
            };
            if source.is_ipv4() == destination.is_ipv4() {
                prop_assert_eq!((read.source, read.destination), (Some(source), Some(destination)));
            } else {
                prop_assert_eq!((read.source, read.destination), (Some(v6(source)), Some(v6(destination))));
            }
            let told = read.tls.unwrap();
            prop_assert_eq!(told.version.as_deref(), Some(&*version));
            prop_assert_eq!(told.is_verified, verified);
            prop_assert_eq!(told.common_name.as_deref(), verified.then_some("alice"));
            prop_assert_eq!(told.certificate.as_deref(), verified.then(|| alice.der()));
            prop_assert_eq!(read.authority.as_deref(), Some("api.test"));
            // Every beginning is incomplete, and none is taken for something else.
            for end in 0..written.len() {
                prop_assert!(matches!(decode(&written[..end]), Ok(Decoded::Incomplete)), "{}", end);
            }
        }

        #[test]
        fn no_octets_make_it_panic_or_claim_more_than_it_got(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            for octets in [octets.clone(), [&SIGNATURE[..], &[0x21, 0x11], &octets].concat()] {
                if let Ok(Decoded::Done { length, .. }) = decode(&octets) {
                    prop_assert!(length <= octets.len());
                }
            }
        }
    }
}
