//! Signatures and seals, computed again from the recording: CertificateVerify (RFC 8446 section 4.4.3, RFC 5246
//! section 7.4.8), the signature in ServerKeyExchange, and Finished.

use pki::key::{PublicKey, SignatureAlgorithm};

use crate::certificate::CertificateDescription;
use crate::finding::Sender;
use crate::tls::conversation::Check;
use crate::tls::handshake::Facts;
use crate::tls::key_schedule::{finished_of_tls12, finished_of_tls13};
use crate::tls::node::hex_start;
use crate::tls::registry::{CipherSuite, or_hex, signature_scheme_name};

/// The handshake messages before the one that is checked.
pub(crate) struct Transcript<'a> {
    pub(crate) messages: &'a [u8],
    pub(crate) suite: Option<&'static CipherSuite>,
    pub(crate) tls13: bool,
}

fn cannot(text: impl Into<String>) -> Check {
    Check { passed: None, text: text.into(), steps: Vec::new() }
}

const HIDDEN: &str =
    "it cannot be checked: the true ClientHello was encrypted (ECH), and the transcript begins with it";

/// A CertificateVerify that the certificate's own key did not make.
pub(crate) fn made_with_delegated_credential() -> Check {
    cannot(
        "it is not checked: it is made with a delegated credential, whose key stands in the Certificate's extensions",
    )
}

/// Checks what a CertificateVerify signs.
pub(crate) fn certificate_verify(
    transcript: Transcript<'_>,
    leaf: Option<&CertificateDescription>,
    facts: &Facts,
    sender: Sender,
    encrypted_hello: bool,
) -> Check {
    let Some((scheme, signature)) = &facts.signature else {
        return cannot("it cannot be checked: there is no signature in it");
    };
    if !transcript.tls13 {
        let steps = vec![(
            "signed",
            format!("all {} bytes of handshake messages before this one", transcript.messages.len()),
        )];
        return signature_check(leaf, *scheme, transcript.messages, signature, steps);
    }
    let Some(suite) = transcript.suite else {
        return cannot("it cannot be checked: the cipher suite is unknown");
    };
    let context = match sender {
        Sender::Client => "TLS 1.3, client CertificateVerify",
        Sender::Server => "TLS 1.3, server CertificateVerify",
    };
    let hash = suite.hash.of(transcript.messages);
    let spaces = [0x20; 64];
    let signed = [&spaces[..], context.as_bytes(), &[0], &hash].concat();
    let steps = vec![
        ("64 spaces", pki::hex(&spaces)),
        ("context string", context.to_owned()),
        ("separator", "00".to_owned()),
        (
            "transcript hash",
            format!("{} ({} of all messages before this one)", pki::hex(&hash), suite.hash.name()),
        ),
    ];
    if encrypted_hello {
        let check = signature_check(leaf, *scheme, &signed, signature, steps);
        return if check.passed == Some(true) { check } else { cannot(HIDDEN) };
    }
    signature_check(leaf, *scheme, &signed, signature, steps)
}

/// Checks the signature in a ServerKeyExchange: over both random values and the parameters.
pub(crate) fn key_exchange(
    leaf: Option<&CertificateDescription>,
    facts: &Facts,
    client_random: &[u8; 32],
    server_random: &[u8; 32],
) -> Check {
    let Some((scheme, signature)) = &facts.signature else {
        return cannot("it cannot be checked: there is no signature in it");
    };
    let signed = [client_random.as_slice(), server_random, &facts.parameters].concat();
    let steps = vec![
        ("client random", pki::hex(client_random)),
        ("server random", pki::hex(server_random)),
        ("parameters", hex_start(&facts.parameters)),
    ];
    signature_check(leaf, *scheme, &signed, signature, steps)
}

fn signature_check(
    leaf: Option<&CertificateDescription>,
    scheme: u16,
    signed: &[u8],
    signature: &[u8],
    steps: Vec<(&'static str, String)>,
) -> Check {
    let scheme_name = or_hex(signature_scheme_name(scheme), scheme);
    let check = |passed, text: String| Check { passed, text, steps: steps.clone() };
    let Some(leaf) = leaf else {
        return check(
            None,
            "the signature cannot be checked: the certificate it belongs to is not at hand".to_owned(),
        );
    };
    let key = leaf.public_key.as_ref().and_then(|key| PublicKey::from_spki_der(&key.spki).ok());
    let (Some(algorithm), Some(key)) = (algorithm_of(scheme), key) else {
        return check(None, format!("the signature cannot be checked: {scheme_name} is not verified here"));
    };
    match key.verify(algorithm, signed, signature) {
        Ok(()) => check(
            Some(true),
            format!("the signature ({scheme_name}) verifies with the key of {}", leaf.subject_text()),
        ),
        Err(_) => check(
            Some(false),
            format!("the signature ({scheme_name}) does NOT verify with the key of {}", leaf.subject_text()),
        ),
    }
}

fn algorithm_of(scheme: u16) -> Option<SignatureAlgorithm> {
    use SignatureAlgorithm as Signature;
    Some(match scheme {
        0x0403 => Signature::EcdsaSha256,
        0x0503 => Signature::EcdsaSha384,
        0x0603 => Signature::EcdsaSha512,
        0x0401 => Signature::RsaPkcs1Sha256,
        0x0501 => Signature::RsaPkcs1Sha384,
        0x0601 => Signature::RsaPkcs1Sha512,
        0x0804 | 0x0809 => Signature::RsaPssSha256,
        0x0805 | 0x080a => Signature::RsaPssSha384,
        0x0806 | 0x080b => Signature::RsaPssSha512,
        0x0807 => Signature::Ed25519,
        0x0904 => Signature::MlDsa44,
        0x0905 => Signature::MlDsa65,
        0x0906 => Signature::MlDsa87,
        _ => return None,
    })
}

/// Checks a Finished against the transcript.
pub(crate) fn finished(
    transcript: Transcript<'_>,
    secret: Option<&[u8]>,
    facts: &Facts,
    sender: Sender,
    encrypted_hello: bool,
) -> Check {
    let (Some(suite), Some(secret)) = (transcript.suite, secret) else {
        return cannot("it cannot be checked: the secret it is computed with is not at hand");
    };
    let hash = suite.hash.of(transcript.messages);
    let (expected, key) = if transcript.tls13 {
        let label = match sender {
            Sender::Client => "the client's handshake traffic secret, label \"finished\"",
            Sender::Server => "the server's handshake traffic secret, label \"finished\"",
        };
        (finished_of_tls13(suite.hash, secret, &hash), label)
    } else {
        let label = match sender {
            Sender::Client => "client finished",
            Sender::Server => "server finished",
        };
        (finished_of_tls12(suite.hash, secret, label, transcript.messages), "the master secret")
    };
    let Some(expected) = expected else { return cannot("it cannot be checked: the secret is unusable") };
    let steps = vec![
        (
            "transcript hash",
            format!("{} ({} of all messages before this one)", pki::hex(&hash), suite.hash.name()),
        ),
        ("key", key.to_owned()),
        ("computed", pki::hex(&expected)),
        ("received", pki::hex(&facts.verify_data)),
    ];
    let passed = expected == facts.verify_data;
    if !passed && encrypted_hello {
        return cannot(HIDDEN);
    }
    let text = if passed {
        "verify_data is what it must be: both sides saw the same handshake"
    } else {
        "verify_data is NOT what it must be: the two sides saw different handshakes, or the key log is another one's"
    };
    Check { passed: Some(passed), text: text.to_owned(), steps }
}
