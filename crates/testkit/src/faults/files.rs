//! Faults in the client's own files and command line.

use super::{Content, Fault, Files, Passphrase, Scene};
use crate::{RawCertificate, TestCa, TestKey};

fn pem(certificates: &[&pki::Certificate]) -> Vec<u8> {
    certificates.iter().map(|c| c.to_pem()).collect::<String>().into_bytes()
}

fn key(key: &TestKey) -> Vec<u8> {
    pki::pem::encode("PRIVATE KEY", key.pkcs8_der()).into_bytes()
}

pub(super) fn build(code: &str) -> Option<Fault> {
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    let other = ca.issue_client("other");
    let chain = pem(&[&alice.certificate, &ca.issuing().certificate]);
    let right = || Files {
        program: "curl",
        certificate: Some(Content::Bytes(chain.clone())),
        key: Some(Content::Bytes(key(&alice.key))),
        trust: Some(Content::Bytes(pem(&[&ca.root().certificate]))),
        passphrase: Passphrase::NotNeeded,
    };
    let files = match code {
        "private_key_missing" => Files { key: None, ..right() },
        "key_mismatch" => Files { key: Some(Content::Bytes(key(&other.key))), ..right() },
        "passphrase_missing" => Files { key: Some(encrypted()), passphrase: Passphrase::Missing, ..right() },
        "passphrase_wrong" => Files { key: Some(encrypted()), passphrase: Passphrase::Wrong, ..right() },
        "key_format_unsupported" => {
            Files { program: "java", key: Some(Content::Bytes(sec1(&alice.key))), ..right() }
        }
        "files_swapped" => Files {
            certificate: Some(Content::Bytes(key(&alice.key))),
            key: Some(Content::Bytes(chain.clone())),
            ..right()
        },
        "encoding_mismatch" => {
            Files { certificate: Some(Content::Bytes(alice.certificate.der().to_vec())), ..right() }
        }
        "pem_damaged" => {
            let escaped = String::from_utf8(chain.clone()).unwrap().replace('\n', "\\n");
            Files { certificate: Some(Content::Bytes(escaped.into_bytes())), ..right() }
        }
        "file_missing" => Files { trust: Some(Content::Missing), ..right() },
        "file_unreadable" => Files { key: Some(Content::Denied), ..right() },
        "trust_directory_not_hashed" => Files { trust: Some(Content::PlainDirectory), ..right() },
        "configuration_unusable" => Files { trust: Some(Content::Bytes(key(&other.key))), ..right() },
        "weak_signature" => {
            let algorithm = crate::sha1_with_rsa();
            let old = RawCertificate::client("alice").algorithms(&algorithm, &algorithm).issued_by(ca.root());
            Files {
                certificate: Some(Content::Bytes(pem(&[&old.certificate]))),
                key: Some(Content::Bytes(key(&old.key))),
                ..right()
            }
        }
        "option_misread" => {
            let words = &["curl", "--cert", "alice:2026.pem", "https://localhost/"];
            return Some(Fault { side: "client", scene: Scene::Command(words, &["alice:2026.pem"]) });
        }
        _ => return None,
    };
    let side = if code == "weak_signature" { "issuer" } else { "client" };
    Some(Fault { side, scene: Scene::Files(Box::new(files)) })
}

/// An EncryptedPrivateKeyInfo, of which nobody needs the key.
fn encrypted() -> Content {
    // PBES2 with PBKDF2 and AES-256-CBC over sixteen octets of nothing.
    let der = pki::der::Writer::new();
    let mut writer = der;
    writer.nested(pki::der::tag::SEQUENCE, |w| {
        w.nested(pki::der::tag::SEQUENCE, |w| {
            w.object_identifier(&pki::oid::PBES2);
            w.nested(pki::der::tag::SEQUENCE, |w| {
                w.nested(pki::der::tag::SEQUENCE, |w| {
                    w.object_identifier(&pki::oid::PBKDF2);
                    w.nested(pki::der::tag::SEQUENCE, |w| {
                        w.primitive(pki::der::tag::OCTET_STRING, &[7; 16]);
                        w.integer(&[0x08, 0]);
                    });
                });
                w.nested(pki::der::tag::SEQUENCE, |w| {
                    w.object_identifier(&pki::oid::AES_256_CBC);
                    w.primitive(pki::der::tag::OCTET_STRING, &[9; 16]);
                });
            });
        });
        w.primitive(pki::der::tag::OCTET_STRING, &[0x5a; 16]);
    });
    Content::Bytes(pki::pem::encode("ENCRYPTED PRIVATE KEY", &writer.into_bytes()).into_bytes())
}

/// The ECPrivateKey inside a PKCS#8 (RFC 5915), as `openssl ecparam` writes it.
fn sec1(key: &TestKey) -> Vec<u8> {
    let mut reader = pki::der::Reader::new(key.pkcs8_der());
    let mut info = reader.nested(pki::der::tag::SEQUENCE).unwrap();
    info.any().unwrap();
    info.any().unwrap();
    let inner = info.expect(pki::der::tag::OCTET_STRING).unwrap().content;
    pki::pem::encode("EC PRIVATE KEY", inner).into_bytes()
}
