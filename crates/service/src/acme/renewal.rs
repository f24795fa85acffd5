//! When to renew (ARI, RFC 9773): how a certificate is named in a URL, and the window that is suggested for it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};

/// What a client names a certificate by: the key identifier of its issuer and its serial number (section 4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateName {
    pub(crate) authority_key_identifier: Vec<u8>,
    /// Content octets, with a leading zero where the first bit would be a sign.
    pub(crate) serial: Vec<u8>,
}

impl CertificateName {
    /// Reads the two parts in base64url around a dot; `None` where it is anything else, padding included.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (key, serial) = text.split_once('.')?;
        let decode =
            |part: &str| URL_SAFE_NO_PAD.decode(part).ok().filter(|octets| (1..=64).contains(&octets.len()));
        Some(CertificateName { authority_key_identifier: decode(key)?, serial: decode(serial)? })
    }
}

/// The window in which a certificate should be renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
}

impl Window {
    /// Around two thirds of its life: from there, a fifteenth of the life to either side. A crowd of certificates that
    /// were made together spreads over it, since each client picks a moment of its own within (section 4.2). Of a
    /// revoked certificate it has passed, which tells clients to renew at once.
    pub(crate) fn of(not_before: Timestamp, not_after: Timestamp, revoked: Option<Timestamp>) -> Self {
        if let Some(at) = revoked {
            let end = at.max(not_before);
            return Window { start: end - SignedDuration::from_secs(1), end };
        }
        let life = not_after.duration_since(not_before).as_secs().max(0);
        let two_thirds = not_before + SignedDuration::from_secs(life * 2 / 3);
        let half_width = SignedDuration::from_secs((life / 15).max(1));
        Window { start: two_thirds - half_width, end: two_thirds + half_width }
    }
}

/// After how many seconds a client should ask again (section 4.3.2): four times a day, more often where the certificate
/// lives shorter than that allows.
pub(crate) fn ask_again(not_before: Timestamp, not_after: Timestamp) -> u32 {
    let life = not_after.duration_since(not_before).as_secs();
    u32::try_from((life / 30).clamp(60, 21_600)).unwrap_or(21_600)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn name_of_rfc_9773_is_read() {
        // RFC 9773 section 4.1.
        let name = CertificateName::parse("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE").unwrap();
        assert_eq!(pki::hex(&name.authority_key_identifier), "69885b6b87464041e1b37b847ba0ae2cde01c8d4");
        assert_eq!(name.serial, [0x00, 0x87, 0x65, 0x43, 0x21]);
        for bad in ["", ".", "a.", ".b", "aYhb", "aYhb.AIdlQyE=", "aYhb.AId.lQyE", "a b.c"] {
            assert_eq!(CertificateName::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn window_lies_around_two_thirds_and_in_the_past_once_revoked() {
        let at = |days: i64| Timestamp::from_second(1_800_000_000 + days * 86_400).unwrap();
        let window = Window::of(at(0), at(90), None);
        assert_eq!((window.start, window.end), (at(54), at(66)));
        let window = Window::of(at(0), at(90), Some(at(3)));
        assert!(window.start < window.end && window.end == at(3));
        assert_eq!(ask_again(at(0), at(90)), 21_600);
        assert_eq!(ask_again(at(0), at(1)), 2880);
    }
}
