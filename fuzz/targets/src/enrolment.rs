//! What the authority reads from the network: JWS and identifiers of ACME, EST's bodies, DNS answers.

use service::fuzzing;

/// A signed request: see [`fuzzing::jws`].
pub(crate) fn jws(bytes: &[u8]) {
    fuzzing::jws(bytes);
}

/// An identifier, its kind in the first octet: see [`fuzzing::identifier`].
pub(crate) fn acme_identifier(bytes: &[u8]) {
    if let Some((kind, value)) = bytes.split_first()
        && let Ok(value) = std::str::from_utf8(value)
    {
        fuzzing::identifier(["dns", "ip", "email", "other"][usize::from(kind % 4)], value);
    }
}

/// The response of a DNS server: see [`fuzzing::dns_response`].
pub(crate) fn dns(bytes: &[u8]) {
    fuzzing::dns_response(bytes);
}

/// The body of an EST request at the server, and of an answer at the client.
pub(crate) fn est(bytes: &[u8]) {
    fuzzing::est_request(bytes);
    let _ = net::provision::est::certificates(bytes);
}
