//! What is fuzzed: a function over bytes for each parser and state machine that bytes of strangers reach, with what must
//! hold beside "it does not panic". `fuzz_targets/` gives each to libFuzzer under its name; `tests/replay.rs` gives each
//! its corpus and some thousand mutations in every test run, without libFuzzer.

mod conversation;
mod enrolment;
mod http;
mod keys_and_containers;
mod tls;
pub mod work;
mod x509;

/// One target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: that of its file in `fuzz_targets/` and of its folder in `corpus/`.
    pub name: &'static str,
    /// What takes the bytes; a panic is a find.
    pub run: fn(&[u8]),
}

/// All of them.
#[rustfmt::skip] // One line a target reads as the table it is.
pub const TARGETS: &[Target] = &[
    Target { name: "acme_identifier", run: enrolment::acme_identifier },
    Target { name: "certificate",     run: x509::certificate },
    Target { name: "cms",             run: keys_and_containers::cms },
    Target { name: "der",             run: x509::der },
    Target { name: "dns",             run: enrolment::dns },
    Target { name: "est",             run: enrolment::est },
    Target { name: "extensions",      run: tls::extensions },
    Target { name: "handshake",       run: tls::handshake },
    Target { name: "http1_conversation", run: conversation::http1 },
    Target { name: "http2_conversation", run: conversation::http2 },
    Target { name: "http2_fields",    run: http::http2_fields },
    Target { name: "http2_frames",    run: http::http2_frames },
    Target { name: "http_body",       run: http::body },
    Target { name: "http_request",    run: http::request },
    Target { name: "http_response",   run: http::response },
    Target { name: "identity_header", run: http::identity_header },
    Target { name: "inspect",         run: keys_and_containers::inspect },
    Target { name: "jws",             run: enrolment::jws },
    Target { name: "key_log",         run: tls::key_log },
    Target { name: "names",           run: x509::names },
    Target { name: "ocsp_request",    run: x509::ocsp_request },
    Target { name: "ocsp_response",   run: x509::ocsp_response },
    Target { name: "path",            run: x509::path },
    Target { name: "pcap",            run: tls::pcap },
    Target { name: "pem",             run: x509::pem },
    Target { name: "pkcs12",          run: keys_and_containers::pkcs12 },
    Target { name: "policy",          run: x509::policy },
    Target { name: "private_key",     run: keys_and_containers::private_key },
    Target { name: "proxy_protocol",  run: http::proxy_protocol },
    Target { name: "records",         run: tls::records },
    Target { name: "revocation_list", run: x509::revocation_list },
    Target { name: "signing_request", run: x509::signing_request },
    Target { name: "transcript",      run: tls::transcript },
    Target { name: "url",             run: http::url },
];

/// The moment that targets are at: a target is a function of its bytes alone.
pub(crate) fn now() -> jiff::Timestamp {
    // 2026-06-15T12:00:00Z, in the middle of what the corpora's certificates are valid for.
    jiff::Timestamp::from_second(1_781_524_800).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

/// Gives bytes to the target of this name.
///
/// # Panics
/// Where the target finds a fault, or there is no target of this name.
pub fn run(name: &str, bytes: &[u8]) {
    match TARGETS.iter().find(|target| target.name == name) {
        Some(target) => (target.run)(bytes),
        None => panic!("there is no fuzz target '{name}'"),
    }
}
