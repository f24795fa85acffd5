//! The failures of mutual TLS that people really meet, a hundred and three of them: each gets its code first, on the
//! right side, with a fix for the right place. Those that need a real server and a real client are pairs of the live
//! case, and held against its table; what other platforms and programs do is known here by their own words alone.

use std::collections::BTreeSet;

use explain::Confidence;
use explain::doctor::{PileFile, Report, examine_files, read_text};
use testkit::faults::{build, variant};

use crate::facts;

/// How a failure is shown to the doctor.
#[derive(Debug, Clone, Copy)]
enum By {
    /// A fault of the zoo, by its code.
    Zoo(&'static str),
    /// A variant of one, by its name.
    Variant(&'static str),
    /// What the program prints.
    Text(&'static str),
    /// A pair of the live case; here its line in that case's table.
    Live,
    /// A file that begins with the intermediate.
    ChainFile,
}
use By::{ChainFile, Live, Text, Variant, Zoo};

/// The failure, how it is shown, and what is expected first: code, fault, and where the fix is done (`-` for none).
#[rustfmt::skip] // One line a failure reads as the table it is.
const CATALOGUE: &[(&str, &str, By, &str, &str, &str)] = &[
    ("F01", "no client certificate, TLS 1.3", Live, "no_client_certificate", "client", "client"),
    ("F02", "no client certificate, TLS 1.2", Zoo("no_client_certificate"), "no_client_certificate", "client", "client"),
    ("F03", "no client certificate, told by nginx in HTTP", Live, "no_client_certificate", "client", "client"),
    // The doctor sends no body, so the alert is not lost to it; a pasted text of the reset is the last line of this table.
    ("F04", "the alert is lost while the client sends", Zoo("no_client_certificate"), "no_client_certificate", "client", "client"),
    ("F05", "the CA is trusted and not named", Live, "issuer_not_requested", "server", "server"),
    ("F06", "the list of CAs is too long", Zoo("issuer_list_too_long"), "issuer_list_too_long", "server", "server"),
    ("F07", "the TLS server never asks", Zoo("client_certificate_not_requested"), "client_certificate_not_requested", "server", "server"),
    ("F08", "a certificate without its key", Zoo("private_key_missing"), "private_key_missing", "client", "client"),
    ("F09", "the client does not know the server's CA", Live, "unknown_issuer", "client", "client"),
    ("F10", "a self-signed server", Zoo("self_signed"), "self_signed", "server", "issuer"),
    ("F11", "the server leaves its intermediate out", Live, "intermediate_missing", "server", "server"),
    ("F12", "the client leaves its intermediate out", Variant("client without its intermediate"), "intermediate_missing", "client", "client"),
    // Of a file alone it is not known whose it is.
    ("F13", "the chain file begins with the intermediate", ChainFile, "chain_order", "client", "client"),
    ("F14", "the leaf given as the CA", Live, "leaf_as_anchor", "client", "client"),
    ("F15", "only the intermediate in the CA file", Zoo("anchor_not_root"), "anchor_not_root", "client", "client"),
    ("F16", "the client's copy of the root expired", Zoo("anchor_expired"), "anchor_expired", "client", "client"),
    ("F17", "the CA made again under its name", Live, "signature_invalid", "client", "issuer"),
    ("F18", "one serial number twice", Zoo("same_serial_number"), "same_serial_number", "issuer", "issuer"),
    ("F19", "traffic is inspected", Zoo("intercepting_proxy"), "intercepting_proxy", "client", "proxy"),
    ("F20", "the system trusts the CA, Node.js does not", Zoo("trust_store_ignored"), "trust_store_ignored", "client", "client"),
    ("F21", "the trust file is not there", Zoo("file_missing"), "file_missing", "client", "client"),
    ("F22", "the server does not know the client's CA", Live, "unknown_issuer", "client", "issuer"),
    ("F23", "the server's certificate expired", Zoo("certificate_expired"), "certificate_expired", "server", "issuer"),
    ("F24", "the client's certificate expired", Live, "certificate_expired", "client", "issuer"),
    ("F25", "a certificate not valid yet", Zoo("certificate_not_yet_valid"), "certificate_not_yet_valid", "clock", "clock"),
    ("F26", "a server's certificate used by a client", Live, "wrong_purpose", "client", "issuer"),
    ("F27", "a client's certificate used by a server", Zoo("wrong_purpose"), "wrong_purpose", "server", "issuer"),
    ("F28", "the client's key may not sign", Variant("client whose key may not sign"), "key_usage_missing", "client", "issuer"),
    ("F29", "issued by what is no CA", Zoo("issuer_not_ca"), "issuer_not_ca", "issuer", "issuer"),
    ("F30", "a path longer than a CA allows", Variant("client below too many authorities"), "path_length_exceeded", "issuer", "issuer"),
    ("F31", "a name outside the CA's constraints", Live, "name_constraints_violated", "issuer", "issuer"),
    ("F32", "a chain longer than the server's depth", Zoo("verify_depth_exceeded"), "verify_depth_exceeded", "server", "server"),
    ("F33", "authorityKeyIdentifier of another key", Zoo("authority_key_mismatch"), "authority_key_mismatch", "issuer", "issuer"),
    ("F34", "Python 3.13 is strict", Zoo("strict_profile"), "strict_profile", "issuer", "issuer"),
    ("F35", "a short RSA key", Zoo("weak_key"), "weak_key", "server", "server"),
    ("F36", "signed with SHA-1", Zoo("weak_signature"), "weak_signature", "issuer", "issuer"),
    ("F37", "the client is revoked", Live, "certificate_revoked", "client", "issuer"),
    ("F38", "the server's list expired", Live, "crl_expired", "server", "server"),
    ("F39", "a CA without a list", Zoo("crl_missing"), "crl_missing", "server", "server"),
    ("F40", "the old certificate is still served", Zoo("stale_certificate_served"), "stale_certificate_served", "server", "server"),
    ("F41", "a CA's certificate as the server's own", Zoo("ca_as_leaf"), "ca_as_leaf", "server", "issuer"),
    ("F42", "a client's certificate of version 1", Variant("client of version 1"), "certificate_version_1", "client", "issuer"),
    ("F43", "a server without subjectAltName", Zoo("no_subject_alt_name"), "no_subject_alt_name", "server", "issuer"),
    ("F44", "another host's name", Live, "name_mismatch", "server", "issuer"),
    ("F45", "an address that is not named", Live, "address_not_named", "server", "issuer"),
    ("F46", "a wildcard two labels deep", Zoo("wildcard_too_deep"), "wildcard_too_deep", "server", "issuer"),
    ("F47", "no server name is sent", Zoo("server_name_missing"), "server_name_missing", "client", "client"),
    ("F48", "misdirected request", Zoo("misdirected_request"), "misdirected_request", "client", "client"),
    ("F49", "a proxy checks the wrong name of its upstream", Zoo("upstream_failed"), "upstream_failed", "proxy", "proxy"),
    ("F50", "the key of another certificate", Live, "key_mismatch", "client", "client"),
    ("F51", "an encrypted key without passphrase", Zoo("passphrase_missing"), "passphrase_missing", "client", "client"),
    ("F52", "a key that is not PKCS#8", Zoo("key_format_unsupported"), "key_format_unsupported", "client", "client"),
    ("F53", "PKCS#12 of old encryption", Live, "pkcs12_legacy_encryption", "client", "client"),
    ("F54", "DER where PEM is expected", Zoo("encoding_mismatch"), "encoding_mismatch", "client", "client"),
    ("F55", "damaged PEM", Live, "pem_damaged", "client", "client"),
    ("F56", "a key file that may not be read", Zoo("file_unreadable"), "file_unreadable", "client", "client"),
    ("F57", "a colon in --cert", Zoo("option_misread"), "option_misread", "client", "client"),
    ("F58", "certificate and key swapped", Zoo("files_swapped"), "files_swapped", "client", "client"),
    ("F59", "a CA directory without hashed names", Zoo("trust_directory_not_hashed"), "trust_directory_not_hashed", "client", "client"),
    ("F60", "no version in common", Live, "protocol_version", "client", "client"),
    ("F61", "no suite in common", Zoo("no_shared_cipher"), "no_shared_cipher", "client", "client"),
    ("F62", "no signature algorithm in common", Zoo("no_shared_signature_algorithm"), "no_shared_signature_algorithm", "client", "client"),
    ("F63", "the server takes no signature of the client's key", Zoo("client_key_not_accepted"), "client_key_not_accepted", "server", "server"),
    ("F64", "a server's key on an unusual curve", Zoo("key_kind_unsupported"), "key_kind_unsupported", "server", "server"),
    ("F65", "Ed25519 and a browser", Variant("browser and a server with Ed25519"), "key_kind_unsupported", "server", "issuer"),
    ("F66", "plain HTTP to a TLS port", Live, "plain_http", "client", "client"),
    ("F67", "TLS to a plain HTTP port", Text("curl: (35) error:0A00010B:SSL routines::wrong version number"), "plain_http", "client", "client"),
    ("F68", "no application protocol in common", Zoo("no_application_protocol"), "no_application_protocol", "client", "client"),
    ("F69", "asked for in one location only", Zoo("post_handshake_authentication"), "post_handshake_authentication", "server", "server"),
    ("F70", "a session of another virtual host", Text("SSL_do_handshake() failed (SSL: error:0A000115:SSL routines::session id context uninitialized)"), "session_refused", "client", "client"),
    ("F71", "a large ClientHello is dropped", Zoo("large_client_hello_dropped"), "large_client_hello_dropped", "network", "client"),
    ("F72", "the proxy keeps the certificate", Live, "certificate_not_forwarded", "proxy", "proxy"),
    ("F73", "HTTPS_PROXY refuses", Zoo("proxy_refused"), "proxy_refused", "environment", "client"),
    ("F74", "-k does not change the server's mind", Variant("client without certificate that does not verify"), "no_client_certificate", "client", "client"),
    ("F75", "good certificate, not on the list", Zoo("not_allowed_by_policy"), "not_allowed_by_policy", "server", "server"),
    ("F76", "Node.js closes without a word", Live, "unknown_issuer", "client", "issuer"),
    ("F77", "a chain larger than the server takes", Zoo("chain_too_large"), "chain_too_large", "client", "client"),
    ("X01", "a trustedCertEntry is no key", Text("Alias name: client\nEntry type: trustedCertEntry"), "private_key_missing", "client", "client"),
    ("X02", "macOS and a PKCS#12 of OpenSSL 3", Text("security: SecKeychainItemImport: MAC verification failed during PKCS12 import (wrong password?)"), "pkcs12_not_portable", "client", "client"),
    ("X03", "Apple and an empty password", Text("MAC verification failed during PKCS12 import (wrong password?)"), "pkcs12_not_portable", "client", "client"),
    ("X04", "Windows cannot reach revocation", Text("curl: (35) schannel: next InitializeSecurityContext failed: CRYPT_E_NO_REVOCATION_CHECK (0x80092012)"), "revocation_unreachable", "client", "client"),
    ("X05", "--cert names a Windows store", Text("curl: (58) could not load PEM client certificate from LocalMachine//My//0a1b, OpenSSL error"), "option_misread", "client", "client"),
    ("X06", "a .NET key in memory only", Text("System.ComponentModel.Win32Exception (0x8009030E): No credentials are available in the security package"), "key_store_cannot_sign", "client", "client"),
    ("X07", "a CORS preflight has no certificate", Text("blocked by CORS policy: Response to preflight request doesn't pass. OPTIONS net::ERR_FAILED"), "preflight_without_certificate", "server", "server"),
    ("X08", "a browser remembers \"none\"", Text("ERR_BAD_SSL_CLIENT_AUTH_CERT"), "browser_choice_remembered", "client", "client"),
    ("X09", "a token without RSA-PSS", Text("pkcs11: 0x70: CKR_MECHANISM_INVALID"), "key_store_cannot_sign", "client", "client"),
    ("X10", "grpc-go insists on ALPN", Text("credentials: cannot check peer: missing selected ALPN property"), "application_protocol_not_selected", "server", "server"),
    ("X11", "STRICT and a plain client", Text("upstream connect error or disconnect/reset before headers. reset reason: connection termination"), "plain_http", "client", "client"),
    ("X12", "identity headers from anybody", Text("CVE-2024-10039: keycloak accepts X-SSL-Client-Cert"), "identity_header_forgeable", "proxy", "proxy"),
    ("X13", "Go resumes past a changed ClientCAs", Text("GO-2026-4337 (CVE-2025-68121)"), "resumption_not_rechecked", "server", "server"),
    ("X14", "OpenSSL 1.0.2 and DST Root CA X3", Text("depth=3 O = Digital Signature Trust Co., CN = DST Root CA X3\nverify error:num=10:certificate has expired"), "anchor_expired", "client", "client"),
    ("X15", "no close_notify", Text("error:0A000126:SSL routines::unexpected eof while reading"), "closed_without_alert", "server", "client"),
    ("X16", "no secure renegotiation", Text("error:0A000152:SSL routines::unsafe legacy renegotiation disabled"), "renegotiation_unsafe", "server", "server"),
    ("X17", "etcd speaks with itself", Text("rejected connection from \"127.0.0.1:40210\" (error \"tls: failed to verify certificate: x509: certificate specifies an incompatible key usage\")"), "wrong_purpose", "server", "issuer"),
    ("X18", "a health check", Text("http: TLS handshake error from 10.0.0.7:40210: EOF"), "connection_without_hello", "network", "network"),
    ("X19", "a rotation half done", Text("x509: certificate signed by unknown authority (possibly because of \"crypto/rsa: verification error\" while trying to verify candidate authority certificate \"Test CA\")"), "trust_bundle_stale", "client", "client"),
    ("X20", "a webhook's old caBundle", Text("failed calling webhook \"w.example.io\": x509: certificate signed by unknown authority"), "trust_bundle_stale", "client", "client"),
    ("X21", "a key file that is too open", Text("FATAL: private key file \"client.key\" has group or world access"), "key_file_too_open", "client", "client"),
    ("X22", "nginx stream takes a revoked client", Text("nginx is affected by CVE-2026-28755"), "revocation_not_checked", "server", "server"),
    ("X23", "Windows limits messages", Text("schannel: next InitializeSecurityContext failed: SEC_E_ILLEGAL_MESSAGE (0x80090326)"), "issuer_list_too_long", "server", "server"),
    ("X24", "Bun and NODE_TLS_REJECT_UNAUTHORIZED=0", Text("bun: NODE_TLS_REJECT_UNAUTHORIZED=0 is set"), "verification_disabled", "environment", "environment"),
    ("X25", "macOS curl wants a keychain", Text("curl: (58) Can't load the certificate \"client.pem\" and its private key: OSStatus -25299"), "option_misread", "client", "client"),
    ("X26", "curl needs --cert-type P12", Text("curl: (58) could not load PEM client certificate from client.p12, OpenSSL error error:0480006C:PEM routines::no start line"), "encoding_mismatch", "client", "client"),
];

/// The live case's table: id, code, side, verdict, kind.
const LIVE_CASE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../interop/cases/doctor-names-the-cause-of-live-failures-and-its-fix-works.sh"
);

#[tokio::test]
async fn each_of_a_hundred_and_three_failures_gets_its_code_side_and_place_of_the_fix() {
    let live = std::fs::read_to_string(LIVE_CASE).unwrap();
    let ids: BTreeSet<&str> = CATALOGUE.iter().map(|(id, ..)| *id).collect();
    let all: BTreeSet<String> =
        (1..=77).map(|n| format!("F{n:02}")).chain((1..=26).map(|n| format!("X{n:02}"))).collect();
    assert_eq!(ids, all.iter().map(String::as_str).collect());
    let mut wrong = Vec::new();
    for (id, what, by, code, fault, place) in CATALOGUE {
        let mut reports: Vec<(String, Report)> = Vec::new();
        match by {
            Zoo(key) | Variant(key) => {
                let fault = build(key).or_else(|| variant(key)).unwrap();
                for version in ["1.2", "1.3"] {
                    if let Some(report) = facts::report(&fault, version).await {
                        reports.push((format!("TLS {version}"), report));
                    }
                }
            }
            Text(text) => reports.push(("text".to_owned(), read_text(text))),
            ChainFile => reports.push(("file".to_owned(), chain_file())),
            Live => {
                let line = live.lines().find(|line| line.starts_with(&format!("{id} ")));
                let words: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
                if words.get(1..3) != Some(&[*code, *fault]) {
                    wrong.push(format!("{id}, {what}: the live case has {words:?}"));
                }
            }
        }
        for (how, report) in reports {
            let first = &report.findings[0].finding;
            let fix = first.fix.as_ref().map_or("-", |fix| fix.place.name());
            if (first.code.name(), first.fault.name(), fix) != (*code, *fault, *place) {
                wrong.push(format!(
                    "{id}, {what} ({how}): {} {} fix {fix}; expected {code} {fault} {place}",
                    first.code, first.fault
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn chain_file() -> Report {
    let ca = testkit::TestCa::new();
    let server = ca.issue_server(&["localhost"]);
    let file =
        |name: &str, text: String| PileFile { name: name.into(), bytes: text.into(), ..PileFile::default() };
    let chain = ca.issuing().certificate.to_pem() + &server.certificate.to_pem();
    examine_files(
        &[
            file("fullchain.pem", chain),
            file("server-key.pem", server.key.pkcs8_pem()),
            file("root.pem", ca.root().certificate.to_pem()),
        ],
        testkit::now(),
    )
}

#[tokio::test]
async fn three_faults_in_one_chain_are_three_findings() {
    let cases = [
        (
            "server with three faults in one certificate",
            ["certificate_expired", "name_mismatch", "wrong_purpose"],
        ),
        (
            "client with three faults in one certificate",
            ["certificate_expired", "key_usage_missing", "wrong_purpose"],
        ),
    ];
    for (name, expected) in cases {
        let report = facts::report(&variant(name).unwrap(), "1.3").await.unwrap();
        let found: BTreeSet<&str> = report.findings.iter().map(|ranked| ranked.finding.code.name()).collect();
        assert_eq!(found, BTreeSet::from(expected), "{name}");
    }
}

#[tokio::test]
async fn a_weak_certificate_that_is_sent_along_and_not_needed_is_a_warning() {
    for version in ["1.2", "1.3"] {
        let fault = variant("server that sends a weak certificate along").unwrap();
        let report = facts::report(&fault, version).await.unwrap();
        let found: Vec<(&str, &str)> =
            report.findings.iter().map(|r| (r.finding.code.name(), r.weight.name())).collect();
        assert_eq!(found, [("weak_signature", "warns")], "TLS {version}: {report:?}");
    }
}

#[tokio::test]
async fn a_stapled_response_is_judged_and_a_good_one_is_said_to_be() {
    for version in ["1.2", "1.3"] {
        let first = |report: &Report| report.findings.first().map(|ranked| ranked.finding.code.name());
        let revoked = variant("server that says itself that it is revoked").unwrap();
        assert_eq!(first(&facts::report(&revoked, version).await.unwrap()), Some("certificate_revoked"));
        let stale = variant("server with a stale OCSP response").unwrap();
        assert_eq!(first(&facts::report(&stale, version).await.unwrap()), Some("ocsp_invalid"));
        let good =
            facts::report(&variant("server with a good OCSP response").unwrap(), version).await.unwrap();
        assert!(good.findings.is_empty(), "{good:?}");
        assert!(good.checked.iter().any(|line| line.contains("stapled")), "{good:?}");
    }
}

#[tokio::test]
async fn a_server_that_cannot_ask_for_another_key_share_is_told_by_trying_one() {
    let fault = variant("server that wants a key share of P-256").unwrap();
    let report = facts::report(&fault, "1.3").await.unwrap();
    let first = &report.findings[0].finding;
    assert_eq!((first.code.name(), first.fault.name()), ("no_shared_group", "server"), "{report:?}");
    assert!(first.evidence.iter().any(|line| line.contains("key share of P-256")), "{first:?}");
}

#[test]
fn a_text_that_fits_nothing_or_too_much_is_never_called_certain() {
    for text in ["the moon is full", "curl: (56) OpenSSL SSL_read: Connection reset by peer, errno 104"] {
        let report = read_text(text);
        assert!(
            report.findings.iter().all(|ranked| ranked.finding.confidence < Confidence::Certain),
            "{report:?}"
        );
        assert!(report.findings[0].finding.remedy.is_some() && report.findings[0].finding.fix.is_some());
    }
}
