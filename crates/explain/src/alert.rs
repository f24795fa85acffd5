//! TLS alerts by number (RFC 8446 section 6, and the IANA registry "TLS Alerts"). What an alert means in practice
//! is [`crate::finding::from_alert`]'s work, not this module's.

/// Every alert description that was ever assigned, with the name its RFC gives it.
const NAMES: &[(u8, &str)] = &[
    (0, "close_notify"),
    (10, "unexpected_message"),
    (20, "bad_record_mac"),
    (21, "decryption_failed"),
    (22, "record_overflow"),
    (30, "decompression_failure"),
    (40, "handshake_failure"),
    (41, "no_certificate"),
    (42, "bad_certificate"),
    (43, "unsupported_certificate"),
    (44, "certificate_revoked"),
    (45, "certificate_expired"),
    (46, "certificate_unknown"),
    (47, "illegal_parameter"),
    (48, "unknown_ca"),
    (49, "access_denied"),
    (50, "decode_error"),
    (51, "decrypt_error"),
    (52, "too_many_cids_requested"),
    (60, "export_restriction"),
    (70, "protocol_version"),
    (71, "insufficient_security"),
    (80, "internal_error"),
    (86, "inappropriate_fallback"),
    (90, "user_canceled"),
    (100, "no_renegotiation"),
    (109, "missing_extension"),
    (110, "unsupported_extension"),
    (111, "certificate_unobtainable"),
    (112, "unrecognized_name"),
    (113, "bad_certificate_status_response"),
    (114, "bad_certificate_hash_value"),
    (115, "unknown_psk_identity"),
    (116, "certificate_required"),
    (117, "general_error"),
    (120, "no_application_protocol"),
    (121, "ech_required"),
];

/// The name of an alert description, where it is an assigned one.
///
/// ```
/// assert_eq!(explain::alert::name(116), Some("certificate_required"));
/// assert_eq!(explain::alert::name(99), None);
/// ```
#[must_use]
pub fn name(description: u8) -> Option<&'static str> {
    NAMES.iter().find(|(number, _)| *number == description).map(|(_, name)| *name)
}

/// The number of the alert with this name.
///
/// ```
/// assert_eq!(explain::alert::number("unknown_ca"), Some(48));
/// ```
#[must_use]
pub fn number(name: &str) -> Option<u8> {
    NAMES.iter().find(|(_, known)| *known == name).map(|(number, _)| *number)
}

/// The alert as a person cites it: `certificate_required (116)`, or `unassigned alert (99)`.
///
/// ```
/// assert_eq!(explain::alert::cite(48), "unknown_ca (48)");
/// ```
#[must_use]
pub fn cite(description: u8) -> String {
    format!("{} ({description})", name(description).unwrap_or("unassigned alert"))
}

/// Whether the alert ends a connection in good order (RFC 8446 section 6.1).
#[must_use]
pub fn is_closure(description: u8) -> bool {
    matches!(description, 0 | 90)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_each_others_inverse() {
        for description in 0..=u8::MAX {
            if let Some(known) = name(description) {
                assert_eq!(number(known), Some(description));
            }
        }
        assert!(NAMES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
