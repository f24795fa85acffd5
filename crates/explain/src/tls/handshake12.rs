//! The messages that only TLS 1.2 has, or has in another form (RFC 5246 section 7.4).

use crate::tls::extension::{distinguished_names, numbers};
use crate::tls::handshake::{
    CertificateRequest, Context, Facts, certificate_entry, names_in, requested, signature,
};
use crate::tls::node::{Decoder, Said, hex_start, said};
use crate::tls::registry::{KeyExchange, group_name, or_hex, signature_scheme_name};

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
    let at = "RFC 8422 section 5.4";
    let start = d.at();
    match context.key_exchange {
        Some(KeyExchange::Ecdhe) => {
            d.number(1, "curve_type", at, |kind| {
                said(
                    if kind == 3 { "named_curve (3)".to_owned() } else { kind.to_string() },
                    "How the curve is given.",
                )
                .but_if(kind != 3, "only named curves are in use")
            });
            facts.group = d
                .number(2, "named_curve", at, |group| {
                    said(or_hex(group_name(group as u16), group as u16), "The curve that the server chose.")
                })
                .map(|group| group as u16);
            d.vector(1, "public", at, |point| {
                point.rest("point", at, |octets| {
                    said(
                        hex_start(octets),
                        "The server's ephemeral public key, made for this connection alone.",
                    )
                });
                Said::default()
            });
        }
        Some(KeyExchange::Dhe) => {
            let at = "RFC 5246 section 7.4.3";
            for (name, meaning) in [
                ("dh_p", "The prime."),
                ("dh_g", "The generator."),
                ("dh_Ys", "The server's ephemeral public key, made for this connection alone."),
            ] {
                d.vector(2, name, at, |number| {
                    number.rest(name, at, |octets| said(hex_start(octets), meaning));
                    Said::default()
                });
            }
        }
        _ => {
            d.rest("params", "RFC 5246 section 7.4.3", |octets| {
                said(hex_start(octets), "The parameters of this suite's key exchange, undecoded.")
            });
            return said("", "The server's half of the key exchange.");
        }
    }
    facts.parameters = d.since(start).to_vec();
    let scheme = d.number(2, "algorithm", "RFC 5246 section 7.4.3", |scheme| {
        said(or_hex(signature_scheme_name(scheme as u16), scheme as u16), "How it is signed.")
    });
    signature(d, "RFC 5246 section 7.4.3", scheme, facts);
    said(
        facts.group.map(|group| or_hex(group_name(group), group)).unwrap_or_default(),
        "The server's half of the key exchange, signed with the key of its certificate: this is how a server proves \
         itself under TLS 1.2.",
    )
}

pub(super) fn client_key_exchange(d: &mut Decoder<'_>, context: &Context) -> Said {
    match context.key_exchange {
        Some(KeyExchange::Ecdhe) => {
            d.vector(1, "ecdh_Yc", "RFC 8422 section 5.7", |point| {
                point.rest("point", "RFC 8422 section 5.7", |octets| {
                    said(
                        hex_start(octets),
                        "The client's ephemeral public key, made for this connection alone.",
                    )
                });
                Said::default()
            });
            said("", "The client's half of the key exchange: now both sides can compute the master secret.")
        }
        Some(KeyExchange::Dhe) => {
            d.vector(2, "dh_Yc", "RFC 5246 section 7.4.7.2", |number| {
                number.rest("dh_Yc", "RFC 5246 section 7.4.7.2", |octets| {
                    said(hex_start(octets), "The client's ephemeral public key.")
                });
                Said::default()
            });
            said("", "The client's half of the key exchange: now both sides can compute the master secret.")
        }
        Some(KeyExchange::Rsa) => {
            d.vector(2, "encrypted_pre_master_secret", "RFC 5246 section 7.4.7.1", |number| {
                number.rest("encrypted_pre_master_secret", "RFC 5246 section 7.4.7.1", |octets| {
                    said(
                        hex_start(octets),
                        "A secret that the client made up, encrypted with the server's RSA key.",
                    )
                });
                Said::default()
            });
            said(
                "",
                "The client chooses the secret alone. Whoever gets the server's key one day can read all that was \
                 recorded: that is why TLS 1.3 has no such exchange.",
            )
        }
        _ => {
            d.rest("exchange_keys", "RFC 5246 section 7.4.7", |octets| said(hex_start(octets), "Undecoded."));
            said("", "The client's half of the key exchange.")
        }
    }
}
