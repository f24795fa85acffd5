//! The key schedule as a picture (RFC 8446 section 7.1, RFC 5246 section 8.1): which secret comes from which, with
//! what, and which traffic each protects. No values here.

use crate::capture::key_log::Secrets;
use crate::tls::conversation::ScheduledSecret;

/// The key log's label of the secret that protects 0-RTT data.
pub(crate) const EARLY: &str = "CLIENT_EARLY_TRAFFIC_SECRET";

struct Line {
    name: &'static str,
    label: Option<&'static str>,
    from: Option<&'static str>,
    with: &'static str,
    protects: &'static str,
}

const fn line(
    name: &'static str,
    label: Option<&'static str>,
    from: Option<&'static str>,
    with: &'static str,
    protects: &'static str,
) -> Line {
    Line { name, label, from, with, protects }
}

#[rustfmt::skip] // One line a secret reads as the picture it is.
const TLS13: &[Line] = &[
    line("early_secret", None, None, "the pre-shared key, or zeros", "nothing itself"),
    line("client_early_traffic_secret", Some(EARLY), Some("early_secret"), "ClientHello", "the client's 0-RTT data"),
    line("handshake_secret", None, Some("early_secret"), "the key exchange's result", "nothing itself"),
    line("client_handshake_traffic_secret", Some("CLIENT_HANDSHAKE_TRAFFIC_SECRET"), Some("handshake_secret"), "ClientHello…ServerHello", "the client's Certificate, CertificateVerify, Finished"),
    line("server_handshake_traffic_secret", Some("SERVER_HANDSHAKE_TRAFFIC_SECRET"), Some("handshake_secret"), "ClientHello…ServerHello", "EncryptedExtensions to the server's Finished"),
    line("master_secret", None, Some("handshake_secret"), "zeros", "nothing itself"),
    line("client_application_traffic_secret_0", Some("CLIENT_TRAFFIC_SECRET_0"), Some("master_secret"), "ClientHello…server Finished", "what the client sends after its Finished"),
    line("server_application_traffic_secret_0", Some("SERVER_TRAFFIC_SECRET_0"), Some("master_secret"), "ClientHello…server Finished", "what the server sends after its Finished, its refusal of the client's certificate too"),
    line("exporter_master_secret", Some("EXPORTER_SECRET"), Some("master_secret"), "ClientHello…server Finished", "keys for applications"),
    line("resumption_master_secret", None, Some("master_secret"), "ClientHello…client Finished", "the keys of session tickets"),
];

#[rustfmt::skip] // One line a secret reads as the picture it is.
const TLS12: &[Line] = &[
    line("pre_master_secret", None, None, "the key exchange's result", "nothing itself"),
    line("master_secret", Some("CLIENT_RANDOM"), Some("pre_master_secret"), "both random values, or with extended_master_secret the whole handshake so far", "Finished of both sides"),
    line("key_block", None, Some("master_secret"), "both random values", "all that both sides send after ChangeCipherSpec"),
];

/// The picture of one connection.
pub(crate) fn of(
    tls13: bool,
    resumed: bool,
    early_data: bool,
    secrets: Option<&Secrets>,
) -> Vec<ScheduledSecret> {
    let lines = if tls13 { TLS13 } else { TLS12 };
    lines
        .iter()
        .filter(|line| early_data || line.label != Some(EARLY))
        .map(|line| ScheduledSecret {
            name: line.name,
            label: line.label,
            from: line.from,
            with: match line.name {
                "early_secret" if resumed => "the key of the earlier session",
                "early_secret" => "zeros, since nothing is resumed",
                _ => line.with,
            },
            protects: line.protects,
            known: line
                .label
                .is_some_and(|label| secrets.is_some_and(|secrets| secrets.find(label).is_some())),
            opened: 0,
        })
        .collect()
}
