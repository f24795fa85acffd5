//! Hello extensions (RFC 8446 section 4.2, RFC 6066 and the others that each arm cites), field by field. What an
//! extension holds depends on the message it stands in.

mod browsers;

use crate::escape;
use crate::tls::node::{Decoder, Said, hex_start, said};
use crate::tls::registry::{
    extension_name, group_name, is_grease, or_hex, signature_scheme_name, version_name,
};

/// The message an extension stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    ClientHello,
    ServerHello,
    HelloRetryRequest,
    EncryptedExtensions,
    CertificateRequest,
    Certificate,
    NewSessionTicket,
}

const SECTION: &str = "RFC 8446 section 4.2";

/// Reads the vector of extensions that ends a hello and other messages. `seen` is told of each type and its data.
pub(crate) fn extensions<'a>(decoder: &mut Decoder<'a>, place: Place, seen: &mut dyn FnMut(u16, &'a [u8])) {
    let meaning = match place {
        Place::ClientHello => "What the client offers and asks for beyond the fields above.",
        Place::ServerHello => "The server's answers that both sides need before they can encrypt.",
        Place::HelloRetryRequest => "What the client's second ClientHello must do differently.",
        Place::EncryptedExtensions => "The server's answers that need not be in clear.",
        Place::CertificateRequest => "What the certificate must be like.",
        Place::Certificate => "What comes with this certificate.",
        Place::NewSessionTicket => "Limits on the use of the ticket.",
    };
    decoder.vector(2, "extensions", SECTION, |inner| {
        let mut types: Vec<u16> = Vec::new();
        while !inner.is_empty() {
            let data = extension(inner, place, types.last().copied());
            let Some((number, data)) = data else { break };
            if types.contains(&number) {
                // RFC 8446 section 4.2: there must not be more than one of a type.
                inner.blame(format!(
                    "{} stands here twice, which is forbidden",
                    or_hex(extension_name(number), number)
                ));
            }
            types.push(number);
            seen(number, data);
        }
        said(format!("{} extension(s)", types.len()), meaning)
    });
}

fn extension<'a>(decoder: &mut Decoder<'a>, place: Place, before: Option<u16>) -> Option<(u16, &'a [u8])> {
    let number = decoder.peek(2).and_then(|number| u16::try_from(number).ok());
    let name = number.and_then(extension_name).unwrap_or("unknown_extension");
    let mut result = None;
    decoder.group(name, reference(number.unwrap_or(u16::MAX)), |inner| {
        let Some(number) = inner.number(2, "extension_type", SECTION, |number| {
            let number = number as u16;
            said(or_hex(extension_name(number), number), "Which extension this is.")
        }) else {
            return Said::default();
        };
        let number = number as u16;
        let mut whole = Said::default();
        let start = inner.at();
        inner.vector(2, "extension_data", reference(number), |data| {
            whole = body(data, number, place);
            Said { value: String::new(), meaning: "The content of the extension.".into(), problem: None }
        });
        let data = inner.since(start);
        result = Some((number, data.get(2..).unwrap_or_default()));
        // RFC 8446 section 4.2.11: the binders cover all that stands before them.
        whole.but_if(before == Some(41), "pre_shared_key has to be the last extension, and this follows it")
    });
    result
}

/// Where an extension is laid down.
fn reference(number: u16) -> &'static str {
    match number {
        0 => "RFC 6066 section 3",
        1 => "RFC 6066 section 4",
        5 => "RFC 6066 section 8",
        9 => "RFC 6091 section 3.1",
        10 => "RFC 8446 section 4.2.7",
        11 => "RFC 8422 section 5.1.2",
        14 => "RFC 5764 section 4.1.1",
        15 => "RFC 6520 section 2",
        13 | 50 => "RFC 8446 section 4.2.3",
        16 => "RFC 7301 section 3.1",
        17 => "RFC 6961 section 2.2",
        18 => "RFC 6962 section 3.3",
        19 | 20 => "RFC 7250 section 3",
        21 => "RFC 7685 section 3",
        22 => "RFC 7366 section 2",
        23 => "RFC 7627 section 5.1",
        27 => "RFC 8879 section 3",
        28 => "RFC 8449 section 4",
        34 => "RFC 9345 section 4",
        35 => "RFC 5077 section 3.2",
        41 => "RFC 8446 section 4.2.11",
        42 => "RFC 8446 section 4.2.10",
        43 => "RFC 8446 section 4.2.1",
        44 => "RFC 8446 section 4.2.2",
        45 => "RFC 8446 section 4.2.9",
        47 => "RFC 8446 section 4.2.4",
        48 => "RFC 8446 section 4.2.5",
        49 => "RFC 8446 section 4.2.6",
        51 => "RFC 8446 section 4.2.8",
        58 => "RFC 9149 section 3",
        13172 => "draft-agl-tls-nextprotoneg-04 section 3",
        17513 | 17613 => "draft-vvv-tls-alps-01 section 4",
        0xca34 => "draft-ietf-tls-trust-anchor-ids section 4",
        0xfe0d => "RFC 9849 section 5",
        0xff01 => "RFC 5746 section 3.2",
        _ if is_grease(number) => "RFC 8701 section 3",
        _ => SECTION,
    }
}

fn body(d: &mut Decoder<'_>, number: u16, place: Place) -> Said {
    let at = reference(number);
    if is_grease(number) {
        d.rest("grease", at, |octets| said(hex_start(octets), "Means nothing."));
        return said(
            "",
            "A value that means nothing, sent so that servers keep ignoring what they do not know.",
        );
    }
    match (number, place) {
        (0, Place::ClientHello) => server_name(d),
        (0, _) => empty(d, "The server used the name that the client asked for."),
        (1, _) => max_fragment_length(d),
        (5, Place::ClientHello | Place::CertificateRequest) => status_request(d, place),
        (5, Place::Certificate) => status_response(d),
        (5, _) => empty(d, "The server will send the revocation status of its certificate (OCSP stapling)."),
        (10, _) => groups(d, place),
        (11, _) => point_formats(d),
        (13 | 50, _) => signature_schemes(d, number, place),
        (14, _) => browsers::use_srtp(d),
        (15, _) => browsers::heartbeat(d),
        (16, _) => application_protocols(d, place),
        (17, Place::ClientHello) => browsers::status_request_v2(d),
        (17, _) => empty(d, "The server will send the revocation status of all its certificates."),
        (18, Place::ClientHello | Place::CertificateRequest) => {
            empty(d, "Asks for proof that the certificate is logged (Certificate Transparency).")
        }
        (18, _) => browsers::signed_certificate_timestamps(d),
        (9 | 19 | 20, _) => certificate_type(d, number, place),
        (21, _) => {
            d.rest("padding", at, |octets| {
                said(format!("{} bytes", octets.len()), "Zeros that make the message longer.")
                    .but_if(octets.iter().any(|octet| *octet != 0), "padding has to be zeros")
            });
            said("", "Makes the ClientHello longer, since some middleboxes choke on certain lengths.")
        }
        (22, _) => empty(d, "With CBC suites: encrypt first, then compute the MAC, which is the safe order."),
        (23, _) => empty(
            d,
            "The master secret will depend on the whole handshake, not on the two random values alone, so that it \
             cannot be shared between two connections.",
        ),
        (27, _) => compression_algorithms(d),
        (28, _) => {
            let limit = d.number(2, "RecordSizeLimit", at, |limit| {
                said(limit.to_string(), "The longest record this side takes, in bytes.")
                    .but_if(limit < 64, "a limit below 64 is refused")
            });
            said(limit.map(|limit| limit.to_string()).unwrap_or_default(), "Limits the size of records.")
        }
        (34, _) => browsers::delegated_credential(d, place),
        (35, _) => {
            let length = d.left();
            d.rest("ticket", at, |octets| {
                said(hex_start(octets), "The session, encrypted by the server for itself.")
            });
            let meaning = match (place, length) {
                (Place::ClientHello, 0) => "The client takes session tickets of TLS 1.2, and has none yet.",
                (Place::ClientHello, _) => "The client wants to resume the TLS 1.2 session in this ticket.",
                _ => "The server will send a new session ticket.",
            };
            said("", meaning)
        }
        (41, Place::ClientHello) => offered_psks(d),
        (41, _) => {
            let index = d.number(2, "selected_identity", at, |index| {
                said(index.to_string(), "Which of the offered keys is used, counted from 0.")
            });
            said(
                format!("identity {}", index.unwrap_or_default()),
                "The session is resumed. Both sides already proved who they are when it began: there is no \
                 Certificate and no CertificateVerify in this handshake.",
            )
        }
        (42, Place::NewSessionTicket) => {
            let most = d.number(4, "max_early_data_size", at, |most| {
                said(most.to_string(), "How many bytes of 0-RTT data the server takes, at most.")
            });
            said(
                most.map(|most| format!("{most} bytes")).unwrap_or_default(),
                "The ticket may be used for 0-RTT.",
            )
        }
        (42, Place::ClientHello) => {
            empty(d, "Application data follows at once, encrypted with the offered key (0-RTT).")
        }
        (42, _) => empty(d, "The server accepts the 0-RTT data."),
        (43, _) => supported_versions(d, place),
        (44, _) => {
            d.vector(2, "cookie", at, |inner| {
                inner.rest("cookie", at, |octets| said(hex_start(octets), "The server's note to itself."));
                said("", "Comes back unchanged, so that a server can keep nothing in memory meanwhile.")
            });
            said("", "What the server wants to be reminded of in the second ClientHello.")
        }
        (45, _) => psk_modes(d),
        (47, _) => authorities(d),
        (48, _) => oid_filters(d),
        (49, _) => {
            empty(d, "The client is ready to be asked for its certificate later, after the handshake.")
        }
        (51, _) => key_share(d, place),
        (58, _) => browsers::ticket_request(d, place),
        (13172, _) => browsers::next_protocol_negotiation(d),
        (17513 | 17613, _) => browsers::application_settings(d, place),
        (0xca34, _) => browsers::trust_anchors(d),
        (0xfe0d, _) => browsers::encrypted_client_hello(d, place),
        (0xff01, _) => renegotiation_info(d),
        _ => {
            let known = extension_name(number).is_some();
            d.rest("data", at, |octets| said(hex_start(octets), "Its content, undecoded."));
            let meaning = if known {
                "Known by name; its content is not decoded here."
            } else {
                "Not known here. A receiver ignores what it does not know."
            };
            said("", meaning)
        }
    }
}

fn empty(_: &mut Decoder<'_>, meaning: &'static str) -> Said {
    // Whatever stands in it becomes a leaf with a problem when the vector closes.
    said("", meaning)
}

fn server_name(d: &mut Decoder<'_>) -> Said {
    let at = "RFC 6066 section 3";
    let mut first = String::new();
    d.vector(2, "server_name_list", at, |list| {
        while !list.is_empty() {
            let start = list.at();
            list.group("ServerName", at, |name| {
                name.number(1, "name_type", at, |kind| {
                    said(
                        if kind == 0 { "host_name (0)".to_owned() } else { kind.to_string() },
                        "What kind of name it is.",
                    )
                    .but_if(kind != 0, "only host_name (0) is defined")
                });
                name.vector(2, "HostName", at, |host| {
                    let text = escape::bytes(host.rest("host_name", at, |octets| {
                        let text = escape::bytes(octets);
                        let is_address = text.parse::<std::net::IpAddr>().is_ok();
                        said(text, "The name, in ASCII.")
                            .but_if(octets.is_empty(), "the name is empty")
                            .but_if(is_address, "an IP address, which SNI does not allow")
                    }));
                    if first.is_empty() {
                        first.clone_from(&text);
                    }
                    said(text, "The host that the client wants to talk to.")
                });
                said(first.clone(), "")
            });
            if list.at() == start {
                break;
            }
        }
        Said::default()
    });
    said(
        first,
        "The host the client wants (SNI), in clear, so that a server with many names can choose its certificate.",
    )
}

fn max_fragment_length(d: &mut Decoder<'_>) -> Said {
    let code = d.number(1, "max_fragment_length", "RFC 6066 section 4", |code| {
        let text = match code {
            1..=4 => format!("{} bytes", 256 << code),
            other => other.to_string(),
        };
        said(text, "The longest record, by a code.")
            .but_if(!(1..=4).contains(&code), "only 1 to 4 are defined")
    });
    said(code.map(|code| code.to_string()).unwrap_or_default(), "Asks for shorter records.")
}

fn status_request(d: &mut Decoder<'_>, place: Place) -> Said {
    let at = "RFC 6066 section 8";
    if place == Place::CertificateRequest && d.is_empty() {
        return said("", "The server would like the client's certificate to come with an OCSP response.");
    }
    let kind = d.number(1, "status_type", at, |kind| {
        said(if kind == 1 { "ocsp (1)".to_owned() } else { kind.to_string() }, "Which kind of status.")
    });
    if kind == Some(1) {
        status_request_body(d);
    }
    said("", "Asks the server to send proof that its certificate is not revoked (OCSP stapling).")
}

/// OCSPStatusRequest (RFC 6066 section 8).
fn status_request_body(d: &mut Decoder<'_>) {
    let at = "RFC 6066 section 8";
    d.vector(2, "responder_id_list", at, |ids| {
        ids.rest("responder_ids", at, |octets| said(hex_start(octets), "Responders that are trusted."));
        said("", "Which OCSP responders the client trusts; empty leaves it to the server.")
    });
    d.vector(2, "request_extensions", at, |extensions| {
        extensions.rest("extensions", at, |octets| said(hex_start(octets), "OCSP extensions."));
        said("", "Extensions of the OCSP request.")
    });
}

fn status_response(d: &mut Decoder<'_>) -> Said {
    certificate_status(d);
    said("", "The issuer's word on whether this certificate is revoked, stapled to it.")
}

/// CertificateStatus (RFC 6066 section 8), alone or in an extension.
pub(crate) fn certificate_status(d: &mut Decoder<'_>) {
    let at = "RFC 6066 section 8";
    d.number(1, "status_type", at, |kind| {
        said(if kind == 1 { "ocsp (1)".to_owned() } else { kind.to_string() }, "Which kind of status.")
    });
    d.vector(3, "response", at, |response| {
        crate::tls::der_fields::structure(response, "OCSPResponse", "RFC 6960 section 4.2.1");
        said("", "The OCSP response, in DER.")
    });
}

/// A list of two-octet numbers, each a leaf.
#[allow(
    clippy::too_many_arguments,
    reason = "a list's names, place and meanings; a struct would only name them again"
)]
pub(crate) fn numbers(
    d: &mut Decoder<'_>,
    octets_of_length: usize,
    list: &'static str,
    item: &'static str,
    at: &'static str,
    meaning: &'static str,
    name: fn(u16) -> Option<&'static str>,
    each: &'static str,
) -> Vec<u16> {
    let mut found = Vec::new();
    d.vector(octets_of_length, list, at, |inner| {
        while !inner.is_empty() {
            let number = inner.number(2, item, at, |number| {
                let number = number as u16;
                let meaning = if is_grease(number) { "Means nothing (RFC 8701)." } else { each };
                said(or_hex(name(number), number), meaning)
            });
            match number {
                Some(number) => found.push(number as u16),
                None => break,
            }
        }
        said(listed(&found, name), meaning).but_if(found.is_empty(), "the list is empty")
    });
    found
}

fn listed(numbers: &[u16], name: fn(u16) -> Option<&'static str>) -> String {
    let text = |number: &u16| name(*number).map_or_else(|| format!("0x{number:04x}"), str::to_owned);
    let shown: Vec<String> = numbers.iter().filter(|number| !is_grease(**number)).map(text).collect();
    match shown.len() {
        0..=4 => shown.join(", "),
        many => format!("{}, and {} more", shown[..3].join(", "), many - 3),
    }
}

fn groups(d: &mut Decoder<'_>, place: Place) -> Said {
    let found = numbers(
        d,
        2,
        "named_group_list",
        "NamedGroup",
        "RFC 8446 section 4.2.7",
        "The groups in order of preference.",
        group_name,
        "A curve, a finite field, or a hybrid with a post-quantum key encapsulation.",
    );
    let meaning = match place {
        Place::ClientHello => "The groups that the client can agree on a key in, the preferred one first.",
        _ => "The groups that the server prefers, for the client's next connection.",
    };
    said(listed(&found, group_name), meaning)
}

fn point_formats(d: &mut Decoder<'_>) -> Said {
    let at = "RFC 8422 section 5.1.2";
    d.vector(1, "ec_point_format_list", at, |list| {
        while !list.is_empty() {
            list.number(1, "ECPointFormat", at, |format| {
                let name = match format {
                    0 => "uncompressed (0)",
                    1 => "ansiX962_compressed_prime (1)",
                    2 => "ansiX962_compressed_char2 (2)",
                    _ => "unknown",
                };
                said(name, "How a point on a curve may be written. Only uncompressed is left in use.")
            });
        }
        Said::default()
    });
    said("", "How points on curves are written; of use to TLS 1.2 and before.")
}

fn signature_schemes(d: &mut Decoder<'_>, number: u16, place: Place) -> Said {
    let found = numbers(
        d,
        2,
        "supported_signature_algorithms",
        "SignatureScheme",
        "RFC 8446 section 4.2.3",
        "In order of preference.",
        signature_scheme_name,
        "A way to sign: the key's kind and the hash.",
    );
    let meaning = match (number, place) {
        (50, _) => {
            "The signatures that are accepted on certificates, where they differ from those in CertificateVerify."
        }
        (_, Place::CertificateRequest) => {
            "The signatures that the server accepts from the client: its key has to be able to make one of them."
        }
        _ => {
            "The signatures that the client accepts from the server, in CertificateVerify and on certificates."
        }
    };
    said(listed(&found, signature_scheme_name), meaning)
}

fn application_protocols(d: &mut Decoder<'_>, place: Place) -> Said {
    let at = "RFC 7301 section 3.1";
    let mut names = Vec::new();
    d.vector(2, "protocol_name_list", at, |list| {
        while !list.is_empty() {
            let start = list.at();
            list.vector(1, "ProtocolName", at, |name| {
                let text = escape::bytes(name.rest("protocol_name", at, |octets| {
                    let meaning = match octets {
                        b"h2" => "HTTP/2.",
                        b"http/1.1" => "HTTP/1.1.",
                        b"acme-tls/1" => "The TLS-ALPN challenge of ACME.",
                        _ => "A protocol.",
                    };
                    said(escape::bytes(octets), meaning)
                }));
                names.push(text.clone());
                said(text, "")
            });
            if list.at() == start {
                break;
            }
        }
        Said::default()
    });
    let meaning = match place {
        Place::ClientHello => {
            "The protocols that the client would speak inside (ALPN), the preferred one first."
        }
        _ => "The protocol that the server chose (ALPN).",
    };
    said(names.join(", "), meaning)
}

fn certificate_type(d: &mut Decoder<'_>, number: u16, place: Place) -> Said {
    let at = reference(number);
    let kind = |kind: u64| {
        let name = match kind {
            0 => "X509 (0)".to_owned(),
            1 => "OpenPGP (1)".to_owned(),
            2 => "RawPublicKey (2)".to_owned(),
            other => other.to_string(),
        };
        said(name, "A kind of certificate.")
    };
    if place == Place::ClientHello {
        d.vector(1, "certificate_types", at, |list| {
            while !list.is_empty() {
                list.number(1, "CertificateType", at, kind);
            }
            Said::default()
        });
    } else {
        d.number(1, "CertificateType", at, kind);
    }
    said(
        "",
        match number {
            9 => "The kind of certificates that both sides send.",
            19 => "The kind of the client's certificate.",
            _ => "The kind of the server's certificate.",
        },
    )
}

/// The name of a certificate compression algorithm (RFC 8879 section 7.3).
pub(crate) fn compression_name(number: u16) -> Option<&'static str> {
    match number {
        1 => Some("zlib"),
        2 => Some("brotli"),
        3 => Some("zstd"),
        _ => None,
    }
}

fn compression_algorithms(d: &mut Decoder<'_>) -> Said {
    let found = numbers(
        d,
        1,
        "algorithms",
        "CertificateCompressionAlgorithm",
        "RFC 8879 section 3",
        "In order of preference.",
        compression_name,
        "A way to compress.",
    );
    said(listed(&found, compression_name), "This side takes the other's Certificate message compressed.")
}

fn offered_psks(d: &mut Decoder<'_>) -> Said {
    let at = "RFC 8446 section 4.2.11";
    let mut count = 0;
    d.vector(2, "identities", at, |list| {
        while !list.is_empty() {
            let start = list.at();
            list.group("PskIdentity", at, |one| {
                one.vector(2, "identity", at, |identity| {
                    identity.rest("identity", at, |octets| {
                        said(hex_start(octets), "The ticket of an earlier connection, or the name of a key.")
                    });
                    said("", "Which key is meant.")
                });
                one.number(4, "obfuscated_ticket_age", at, |age| {
                    said(
                        age.to_string(),
                        "The ticket's age in milliseconds plus a number only the two know, modulo 2^32.",
                    )
                });
                Said::default()
            });
            count += 1;
            if list.at() == start {
                break;
            }
        }
        said(format!("{count} key(s)"), "The keys offered.")
    });
    d.vector(2, "binders", at, |list| {
        while !list.is_empty() {
            let start = list.at();
            list.vector(1, "PskBinderEntry", at, |binder| {
                binder.rest("binder", at, |octets| {
                    said(
                        hex_start(octets),
                        "An HMAC over this ClientHello up to here: proof of having the key. To compute it again the \
                         key itself would be needed, which no key log holds.",
                    )
                });
                Said::default()
            });
            if list.at() == start {
                break;
            }
        }
        said("", "For each key offered, the proof that the client has it.")
    });
    said(
        format!("{count} key(s)"),
        "Keys shared with the server from before: the client wants to resume a session.",
    )
}

fn supported_versions(d: &mut Decoder<'_>, place: Place) -> Said {
    let at = "RFC 8446 section 4.2.1";
    if place == Place::ClientHello {
        let found = numbers(
            d,
            1,
            "versions",
            "ProtocolVersion",
            at,
            "The preferred one first.",
            version_name_or_grease,
            "A version of the protocol.",
        );
        return said(
            listed(&found, version_name),
            "The versions the client speaks. This counts, not legacy_version.",
        );
    }
    let version = d.number(2, "selected_version", at, |version| {
        said(or_hex(version_name(version as u16), version as u16), "The version chosen.")
    });
    let text = version.and_then(|version| version_name(version as u16)).unwrap_or("unknown");
    said(text, "The version of this connection. This counts, not legacy_version.")
}

fn version_name_or_grease(number: u16) -> Option<&'static str> {
    if is_grease(number) { Some("GREASE") } else { version_name(number) }
}

fn psk_modes(d: &mut Decoder<'_>) -> Said {
    let at = "RFC 8446 section 4.2.9";
    d.vector(1, "ke_modes", at, |list| {
        while !list.is_empty() {
            list.number(1, "PskKeyExchangeMode", at, |mode| match mode {
                0 => said("psk_ke (0)", "The shared key alone: whoever learns it later can read everything."),
                1 => said(
                    "psk_dhe_ke (1)",
                    "The shared key and a fresh key exchange: past traffic stays safe.",
                ),
                other => said(other.to_string(), "Unknown."),
            });
        }
        Said::default()
    });
    said("", "How a session may be resumed.")
}

fn authorities(d: &mut Decoder<'_>) -> Said {
    let at = "RFC 8446 section 4.2.4";
    let mut names = Vec::new();
    d.vector(2, "authorities", at, |list| {
        names = distinguished_names(list, at);
        said(format!("{} name(s)", names.len()), "The names of CAs, in DER.")
            .but_if(names.is_empty(), "the list is empty")
    });
    said(
        names.join("; "),
        "The CAs whose certificates are accepted: the client picks a certificate issued under one of them.",
    )
}

/// DistinguishedName<1..2^16-1>, as CertificateRequest has them in both versions.
pub(crate) fn distinguished_names(list: &mut Decoder<'_>, at: &'static str) -> Vec<String> {
    let mut names = Vec::new();
    while !list.is_empty() {
        let start = list.at();
        list.vector(2, "DistinguishedName", at, |one| {
            let text = crate::tls::der_fields::name(one);
            names.push(text.clone());
            said(text, "The subject of a CA that is accepted.")
        });
        if list.at() == start {
            break;
        }
    }
    names
}

fn oid_filters(d: &mut Decoder<'_>) -> Said {
    let at = "RFC 8446 section 4.2.5";
    d.vector(2, "filters", at, |list| {
        while !list.is_empty() {
            let start = list.at();
            list.group("OIDFilter", at, |filter| {
                filter.vector(1, "certificate_extension_oid", at, |oid| {
                    crate::tls::der_fields::structure(oid, "OBJECT IDENTIFIER", at);
                    said("", "An extension of certificates.")
                });
                filter.vector(2, "certificate_extension_values", at, |values| {
                    values.rest("values", at, |octets| said(hex_start(octets), "What it must hold, in DER."));
                    said("", "The values that are asked for.")
                });
                Said::default()
            });
            if list.at() == start {
                break;
            }
        }
        Said::default()
    });
    said("", "Extensions that the client's certificate must have.")
}

fn key_share_entry(d: &mut Decoder<'_>) -> Option<u16> {
    let at = "RFC 8446 section 4.2.8";
    let mut group = None;
    d.group("KeyShareEntry", at, |entry| {
        group = entry
            .number(2, "group", at, |group| {
                said(or_hex(group_name(group as u16), group as u16), "The group that the key is of.")
            })
            .map(|group| group as u16);
        let what = match group {
            Some(0x11ec) => {
                "An ML-KEM-768 value and an X25519 public key, one after the other: safe if either holds."
            }
            Some(0x11eb | 0x11ed) => {
                "A curve's public key and an ML-KEM value, one after the other: safe if either holds."
            }
            Some(group) if is_grease(group) => "Means nothing (RFC 8701).",
            _ => "An ephemeral public key, made for this connection alone.",
        };
        entry.vector(2, "key_exchange", at, |key| {
            key.rest("key_exchange", at, |octets| said(hex_start(octets), what));
            Said::default()
        });
        said(
            group.map(|group| or_hex(group_name(group), group)).unwrap_or_default(),
            "A public key for the key exchange.",
        )
    });
    group
}

fn key_share(d: &mut Decoder<'_>, place: Place) -> Said {
    let at = "RFC 8446 section 4.2.8";
    let name = |group: u16| or_hex(group_name(group), group);
    match place {
        Place::ClientHello => {
            let mut groups = Vec::new();
            d.vector(2, "client_shares", at, |list| {
                while !list.is_empty() {
                    let start = list.at();
                    groups.extend(key_share_entry(list));
                    if list.at() == start {
                        break;
                    }
                }
                said(format!("{} key(s)", groups.len()), "Empty asks the server for a HelloRetryRequest.")
            });
            said(
                listed(&groups, group_name),
                "The client guesses which groups the server takes, and sends a fresh public key for each, which saves \
                 a round trip where it guesses right.",
            )
        }
        Place::HelloRetryRequest => {
            let group = d.number(2, "selected_group", at, |group| {
                said(name(group as u16), "The group that the client must send a key for.")
            });
            let text = group.map(|group| name(group as u16)).unwrap_or_default();
            said(text, "The client guessed a group wrongly; this is the one to use.")
        }
        _ => {
            let group = key_share_entry(d);
            said(
                group.map(name).unwrap_or_default(),
                "The server's public key. With it both sides compute the same secret, which nobody who listens can.",
            )
        }
    }
}

fn renegotiation_info(d: &mut Decoder<'_>) -> Said {
    let at = "RFC 5746 section 3.2";
    d.vector(1, "renegotiated_connection", at, |inner| {
        inner.rest("verify_data", at, |octets| {
            said(hex_start(octets), "The Finished values of the handshake before.")
        });
        said("", "Empty in the first handshake of a connection.")
    });
    said("", "Ties a renegotiation to the handshake before it, so that nobody can splice two connections.")
}
