//! Faults of which this side sees only what a program prints: other platforms, browsers, logs, advisories.

use super::{Fault, Scene};

#[rustfmt::skip] // One line a text reads as the table it is.
const TEXTS: &[(&str, &str, &str)] = &[
    ("key_file_too_open", "client", "FATAL: private key file \"client.key\" has group or world access; permissions should be u=rw (0600) or less"),
    ("key_store_cannot_sign", "client", "schannel: AcquireCredentialsHandle failed: SEC_E_NO_CREDENTIALS (0x8009030E) - No credentials are available in the security package"),
    ("pkcs12_legacy_encryption", "client", "Error: unsupported PKCS12 PFX data, code: 'ERR_CRYPTO_UNSUPPORTED_OPERATION'"),
    ("pkcs12_not_portable", "client", "security: SecKeychainItemImport: MAC verification failed during PKCS12 import (wrong password?)"),
    ("browser_choice_remembered", "client", "This site can't provide a secure connection. ERR_BAD_SSL_CLIENT_AUTH_CERT"),
    ("preflight_without_certificate", "server", "Access to fetch has been blocked by CORS policy: Response to preflight request doesn't pass. OPTIONS net::ERR_FAILED"),
    ("revocation_unreachable", "client", "curl: (35) schannel: next InitializeSecurityContext failed: CRYPT_E_NO_REVOCATION_CHECK (0x80092012)"),
    ("revocation_not_checked", "server", "a revoked client is let in; nginx is affected by CVE-2026-28755"),
    ("resumption_not_rechecked", "server", "GO-2026-4337 (CVE-2025-68121): crypto/tls resumes sessions"),
    ("identity_header_forgeable", "proxy", "CVE-2024-10039: keycloak accepts X-SSL-Client-Cert"),
    ("trust_bundle_stale", "client", "Internal error occurred: failed calling webhook \"w.example.io\": x509: certificate signed by unknown authority"),
    ("renegotiation_unsafe", "server", "curl: (35) error:0A000152:SSL routines::unsafe legacy renegotiation disabled"),
    ("connection_without_hello", "network", "http: TLS handshake error from 10.0.0.7:40210: EOF"),
    ("application_protocol_not_selected", "server", "rpc error: code = Unavailable desc = credentials: cannot check peer: missing selected ALPN property"),
    ("unexplained", "environment", "the moon is full"),
];

pub(super) fn build(code: &str) -> Option<Fault> {
    let (_, side, text) = TEXTS.iter().find(|(known, ..)| *known == code)?;
    Some(Fault { side, scene: Scene::Text(text) })
}
