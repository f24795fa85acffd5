//! The messages that only TLS 1.2 has, or has in another form (RFC 5246 section 7.4).

use crate::tls::extension::{distinguished_names, numbers};
use crate::tls::handshake::{
    CertificateRequest, Context, Facts, certificate_entry, names_in, requested, signature,
};
use crate::tls::node::{Decoder, Said, hex_start, said};
use crate::tls::registry::{Parameters, group_name, or_hex, signature_scheme_name};

pub(super) fn certificate_request_of_tls12(d: &mut Decoder<'_>, facts: &mut Facts) -> Said {
    let at = "RFC 5246 section 7.4.4";
    let mut request = CertificateRequest::default();
    d.vector(1, "certificate_types", at, |list| {
        while !list.is_empty() {
            let kind = list.number(1, "ClientCertificateType", at, |kind| {
                let name = match kind {
                    1 => "rsa_sign (1)".to_owned(),
                    2 => "dss_sign (2)".to_owned(),
                    3 => "rsa_fixed_dh (3)".to_owned(),
                    4 => "dss_fixed_dh (4)".to_owned(),
                    64 => "ecdsa_sign (64)".to_owned(),
                    65 => "rsa_fixed_ecdh (65)".to_owned(),
                    66 => "ecdsa_fixed_ecdh (66)".to_owned(),
                    other => other.to_string(),
                };
                said(
                    name,
                    "A kind of key that the client's certificate may have; Ed25519 counts as ecdsa_sign.",
                )
            });
            request.certificate_types.extend(kind.map(|kind| kind as u8));
        }
        said("", "The kinds of certificates that are accepted.")
    });
    request.signature_schemes = numbers(
        d,
        2,
        "supported_signature_algorithms",
        "SignatureAndHashAlgorithm",
        at,
        "The signatures that the server accepts.",
        signature_scheme_name,
        "A way to sign.",
    );
    d.vector(2, "certificate_authorities", at, |list| {
        let start = list.at();
        let names = distinguished_names(list, at);
        request.authorities = names_in(list.since(start));
        said(names.join("; "), "The CAs whose certificates are accepted; empty leaves it open.")
    });
    let text = requested(&request);
    facts.request = Some(request);
    said(text, "The server asks the client to prove who it is: this is where TLS becomes mutual.")
}

pub(super) fn certificate_of_tls12(d: &mut Decoder<'_>, facts: &mut Facts) -> Said {
    let at = "RFC 5246 section 7.4.2";
    let mut chain = Vec::new();
    d.vector(3, "certificate_list", at, |list| {
        while !list.is_empty() {
            let start = list.at();
            chain.extend(certificate_entry(list, at, chain.len(), facts.brief));
            if list.at() == start {
                break;
            }
        }
        said(
            format!("{} certificate(s)", chain.len()),
            "The sender's own certificate, then those of the CAs above it.",
        )
    });
    let text = format!("{} certificate(s)", chain.len());
    let meaning = if chain.is_empty() {
        "No certificate that fits: the sender stays unproven."
    } else {
        "Who the sender says it is, readable by everyone on the way under TLS 1.2."
    };
    facts.certificates = Some(chain);
    said(text, meaning)
}

pub(super) fn session_ticket_of_tls12(d: &mut Decoder<'_>, facts: &mut Facts) -> Said {
    let at = "RFC 5077 section 3.3";
    facts.lifetime = d.number(4, "ticket_lifetime_hint", at, |seconds| {
        said(format!("{seconds} s"), "About how long the ticket may be used.")
    });
    d.vector(2, "ticket", at, |ticket| {
        ticket.rest("ticket", at, |octets| {
            said(hex_start(octets), "The session, encrypted by the server for itself.")
        });
        Said::default()
    });
    said("", "With this the client can resume the session later.")
}

pub(super) fn server_key_exchange(d: &mut Decoder<'_>, context: &Context, facts: &mut Facts) -> Said {
    let at = "RFC 5246 section 7.4.3";
    let Some(exchange) = context.key_exchange else {
        d.rest("params", at, |octets| {
            said(hex_start(octets), "The parameters of the key exchange, undecoded: the suite is unknown.")
        });
        return said("", "The server's half of the key exchange.");
    };
    if exchange.has_identity() {
        named(d, 2, "psk_identity_hint", "RFC 4279 section 2", "Helps the client to choose one of its keys.");
    }
    let start = d.at();
    match exchange.parameters() {
        Parameters::Curve => facts.group = server_curve(d),
        Parameters::FiniteField => numbers_of(
            d,
            at,
            &[
                (2, "dh_p", "The prime."),
                (2, "dh_g", "The generator."),
                (2, "dh_Ys", "The server's ephemeral public key, made for this connection alone."),
            ],
        ),
        Parameters::Password => numbers_of(
            d,
            "RFC 5054 section 2.8.3",
            &[
                (2, "srp_N", "The prime."),
                (2, "srp_g", "The generator."),
                (1, "srp_s", "The salt of the password's verifier."),
                (2, "srp_B", "The server's public value, made for this connection alone."),
            ],
        ),
        Parameters::Encrypted | Parameters::None => {}
    }
    let group = facts.group.map(|group| or_hex(group_name(group), group)).unwrap_or_default();
    if !exchange.is_signed() {
        return said(
            group,
            "The server's half of the key exchange. It is not signed: no certificate vouches for it.",
        );
    }
    facts.parameters = d.since(start).to_vec();
    let scheme = d.number(2, "algorithm", at, |scheme| {
        said(or_hex(signature_scheme_name(scheme as u16), scheme as u16), "How it is signed.")
    });
    signature(d, at, scheme, facts);
    said(
        group,
        "The server's half of the key exchange, signed with the key of its certificate: this is how a server proves \
         itself under TLS 1.2.",
    )
}

fn server_curve(d: &mut Decoder<'_>) -> Option<u16> {
    let at = "RFC 8422 section 5.4";
    d.number(1, "curve_type", at, |kind| {
        said(
            if kind == 3 { "named_curve (3)".to_owned() } else { kind.to_string() },
            "How the curve is given.",
        )
        .but_if(kind != 3, "only named curves are in use")
    });
    let group = d.number(2, "named_curve", at, |group| {
        said(or_hex(group_name(group as u16), group as u16), "The curve that the server chose.")
    });
    d.vector(1, "public", at, |point| {
        point.rest("point", at, |octets| {
            said(hex_start(octets), "The server's ephemeral public key, made for this connection alone.")
        });
        Said::default()
    });
    group.map(|group| group as u16)
}

/// Numbers behind their lengths: the octets of the length, the name, the meaning.
fn numbers_of(d: &mut Decoder<'_>, at: &'static str, numbers: &[(usize, &'static str, &'static str)]) {
    for &(length, name, meaning) in numbers {
        d.vector(length, name, at, |number| {
            number.rest(name, at, |octets| said(hex_start(octets), meaning));
            Said::default()
        });
    }
}

/// A name in octets behind its length, shown as text.
fn named(d: &mut Decoder<'_>, length: usize, name: &'static str, at: &'static str, meaning: &'static str) {
    d.vector(length, name, at, |inside| {
        inside.rest(name, at, |octets| said(crate::escape::text(&String::from_utf8_lossy(octets)), meaning));
        Said::default()
    });
}

pub(super) fn client_key_exchange(d: &mut Decoder<'_>, context: &Context) -> Said {
    let both = "The client's half of the key exchange: now both sides can compute the master secret.";
    let Some(exchange) = context.key_exchange else {
        d.rest("exchange_keys", "RFC 5246 section 7.4.7", |octets| said(hex_start(octets), "Undecoded."));
        return said("", "The client's half of the key exchange.");
    };
    if exchange.has_identity() {
        named(
            d,
            2,
            "psk_identity",
            "RFC 4279 section 2",
            "The name of the key that the client has had before.",
        );
    }
    match exchange.parameters() {
        Parameters::Curve => {
            d.vector(1, "ecdh_Yc", "RFC 8422 section 5.7", |point| {
                point.rest("point", "RFC 8422 section 5.7", |octets| {
                    said(
                        hex_start(octets),
                        "The client's ephemeral public key, made for this connection alone.",
                    )
                });
                Said::default()
            });
            said("", both)
        }
        Parameters::FiniteField => {
            let number = (2, "dh_Yc", "The client's ephemeral public key.");
            numbers_of(d, "RFC 5246 section 7.4.7.2", &[number]);
            said("", both)
        }
        Parameters::Password => {
            let number = (2, "srp_A", "The client's public value, made for this connection alone.");
            numbers_of(d, "RFC 5054 section 2.8.4", &[number]);
            said("", both)
        }
        Parameters::None => said("", both),
        Parameters::Encrypted => {
            let secret = (
                2,
                "encrypted_pre_master_secret",
                "A secret that the client made up, encrypted with the server's RSA key.",
            );
            numbers_of(d, "RFC 5246 section 7.4.7.1", &[secret]);
            said(
                "",
                "The client chooses the secret alone. Whoever gets the server's key one day can read all that was \
                 recorded: that is why TLS 1.3 has no such exchange.",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::registry::KeyExchange;

    /// The names of what a ServerKeyExchange and a ClientKeyExchange hold, and what is left of each.
    fn exchanged(exchange: KeyExchange, server: &[u8], client: &[u8]) -> (Vec<String>, Vec<String>) {
        let context = Context { key_exchange: Some(exchange), ..Context::default() };
        let names = |d: Decoder<'_>| {
            assert!(d.is_empty(), "{} octets are left", d.left());
            d.into_nodes().iter().map(|node| node.name.to_string()).collect()
        };
        let (mut of_server, mut of_client) = (Decoder::new(server), Decoder::new(client));
        server_key_exchange(&mut of_server, &context, &mut Facts::default());
        client_key_exchange(&mut of_client, &context);
        (names(of_server), names(of_client))
    }

    /// OpenSSL's own server does not get through a handshake with a password, so these stand in for a recording.
    #[test]
    fn exchange_by_a_password_has_its_fields_with_a_signature_and_without() {
        // N, g and B behind two octets of length, the salt behind one (RFC 5054 section 2.8.3).
        let server = [0, 2, 0xc0, 0xde, 0, 1, 2, 3, 7, 8, 9, 0, 2, 0xb0, 0xb1];
        let client = [0, 2, 0xa0, 0xa1];
        let (of_server, of_client) = exchanged(KeyExchange::Srp, &server, &client);
        assert_eq!(of_server, ["srp_N", "srp_g", "srp_s", "srp_B"]);
        assert_eq!(of_client, ["srp_A"]);
        let signed = [&server[..], &[4, 1, 0, 3, 1, 2, 3]].concat();
        let (of_server, _) = exchanged(KeyExchange::SrpSigned, &signed, &client);
        assert_eq!(of_server, ["srp_N", "srp_g", "srp_s", "srp_B", "algorithm", "signature"]);
    }
}
