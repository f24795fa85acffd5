//! PKCS#12 by itself: what is written is read, what is wrong is named. Against openssl: `openssl.rs`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keys::Passphrase;
use keys::pkcs12::{
    Integrity, Pkcs12FormatError, Protection, ReadPkcs12Error, Target, WritePkcs12Error, describe_pkcs12,
    read_pkcs12, write_pkcs12, write_trust_store,
};
use pki::der::{Writer, tag};
use pki::key::{KeyAlgorithm, SigningKey};
use pki::oid::{self, Oid};

fn password() -> Passphrase {
    Passphrase::new("planted-secret pässword")
}

fn sequence(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.nested(tag::SEQUENCE, write);
    writer.into_bytes()
}

fn content_info(kind: &Oid, content: &[u8]) -> Vec<u8> {
    sequence(|w| {
        w.object_identifier(kind);
        w.nested(tag::context_constructed(0), |w| w.raw(content));
    })
}

fn octet_string(content: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.primitive(tag::OCTET_STRING, content);
    writer.into_bytes()
}

/// A PFX around these ContentInfos, with this MacData.
fn pfx(safes: &[Vec<u8>], mac: &[u8]) -> Vec<u8> {
    let authenticated = sequence(|w| safes.iter().for_each(|safe| w.raw(safe)));
    sequence(|w| {
        w.integer(&[3]);
        w.raw(&content_info(&oid::DATA, &octet_string(&authenticated)));
        w.raw(mac);
    })
}

/// SafeContents of one bag, as plain data.
fn plain_safe(kind: &Oid, value: &[u8]) -> Vec<u8> {
    let contents = sequence(|w| {
        w.nested(tag::SEQUENCE, |w| {
            w.object_identifier(kind);
            w.nested(tag::context_constructed(0), |w| w.raw(value));
        });
    });
    content_info(&oid::DATA, &octet_string(&contents))
}

/// EncryptedData under an older scheme: pkcs-12PbeParams with 2048 iterations.
fn legacy_safe(scheme: &Oid) -> Vec<u8> {
    let data = sequence(|w| {
        w.integer(&[0]);
        w.nested(tag::SEQUENCE, |w| {
            w.object_identifier(&oid::DATA);
            w.nested(tag::SEQUENCE, |w| {
                w.object_identifier(scheme);
                w.nested(tag::SEQUENCE, |w| {
                    w.primitive(tag::OCTET_STRING, b"saltsalt");
                    w.integer(&[8, 0]);
                });
            });
            w.primitive(tag::context(0), &[7; 64]);
        });
    });
    content_info(&oid::ENCRYPTED_DATA, &data)
}

#[test]
fn every_kind_of_key_comes_back_with_its_chain_and_names() {
    for key in support::all_keys() {
        let leaf = support::certificate(key, "alice");
        let issuer = support::certificate(support::key(KeyAlgorithm::P384), "issuer");
        let file = write_pkcs12(key, &[&leaf, &issuer], "alice 🔑", &password(), Target::Modern).unwrap();
        let contents = read_pkcs12(&file, &password()).unwrap();
        let [read] = &contents.keys[..] else { panic!("{} keys", contents.keys.len()) };
        assert_eq!(read.key.to_pkcs8_der(), key.to_pkcs8_der());
        assert_eq!(read.friendly_name.as_deref(), Some("alice 🔑"));
        let [first, second] = &contents.certificates[..] else { panic!("certificates") };
        assert_eq!((&first.der, &second.der), (&leaf, &issuer));
        assert!(first.local_key_id.is_some());
        assert_eq!(first.local_key_id, read.local_key_id);
        assert_eq!((&second.local_key_id, &second.friendly_name), (&None, &None));
        assert!(contents.other.is_empty());
    }
}

#[test]
fn without_the_password_the_protection_is_described() {
    let key = support::key(KeyAlgorithm::P256);
    let file =
        write_pkcs12(key, &[&support::certificate(key, "a")], "a", &password(), Target::Modern).unwrap();
    let facts = describe_pkcs12(&file).unwrap();
    assert!(!facts.indefinite_length);
    let Integrity::Mac { description, iterations, supported } = &facts.integrity else { panic!("{facts:?}") };
    assert_eq!(description, "HMAC-SHA-256 with 250000 iterations");
    assert_eq!((*iterations, *supported), (Some(250_000), true));
    let Protection::Password(encryption) = &facts.safes[0].protection else { panic!("{facts:?}") };
    let expected = "PBES2: PBKDF2 with HMAC-SHA-256 and 125000 iterations, AES-256-CBC";
    assert_eq!(encryption.description, expected);
    assert_eq!(facts.safes[1].protection, Protection::None);
    let bag = &facts.safes[1].bags.as_ref().unwrap()[0];
    assert_eq!((bag.kind.as_str(), bag.friendly_name.as_deref()), ("pkcs-8ShroudedKeyBag", Some("a")));
    assert_eq!(bag.encryption.as_ref().unwrap().description, expected);
    assert!(facts.unsupported_encryption().is_empty());
}

#[test]
fn all_iterations_of_a_file_together_stay_under_what_dotnet_accepts() {
    let sum = keys::pkcs12::MAC_ITERATIONS.get() + 2 * keys::pkcs12::ENCRYPTION_ITERATIONS.get();
    assert!(sum < 600_000, "{sum}");
}

/// Made by NSS 3 (`pk12util -o`), as Firefox does it: indefinite lengths, strings in pieces, AES-128 for the
/// certificates. The key has no other use.
const OF_NSS: &[u8] = include_bytes!("fixtures/nss-indefinite-length.p12");

#[test]
fn the_indefinite_lengths_of_nss_and_firefox_are_read() {
    assert!(describe_pkcs12(OF_NSS).unwrap().indefinite_length);
    let contents = read_pkcs12(OF_NSS, &Passphrase::new("secret12")).unwrap();
    assert_eq!(contents.keys[0].friendly_name.as_deref(), Some("alice"));
    assert_eq!(contents.certificates[0].friendly_name.as_deref(), Some("alice"));
    assert_eq!(contents.certificates[0].local_key_id, contents.keys[0].local_key_id);
    let key = contents.keys[0].key.public_key().spki_der();
    assert!(contents.certificates[0].der.windows(key.len()).any(|window| window == key));
}

#[test]
fn the_wrong_password_is_its_own_error() {
    let key = support::key(KeyAlgorithm::P256);
    let file =
        write_pkcs12(key, &[&support::certificate(key, "a")], "", &password(), Target::Modern).unwrap();
    for wrong in ["", "planted-secret passwort", "planted-secret pässword "] {
        assert_eq!(read_pkcs12(&file, &Passphrase::new(wrong)).unwrap_err(), ReadPkcs12Error::WrongPassword);
    }
    let latin1 = Passphrase::new(&b"planted-secret p\xe4ssword"[..]);
    // Octets that are no UTF-8 are letters each, as OpenSSL before 1.1 took them: that spelling fits the seal, whose
    // derivation takes letters, and not the encryption, whose derivation takes octets.
    let error = read_pkcs12(&file, &latin1).unwrap_err();
    assert_eq!(error, ReadPkcs12Error::OtherPassword("the certificates"));
}

#[test]
fn a_changed_file_does_not_verify() {
    let key = support::key(KeyAlgorithm::P256);
    let mut file =
        write_pkcs12(key, &[&support::certificate(key, "a")], "alice", &password(), Target::Modern).unwrap();
    let name: Vec<u8> = "alice".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let at = file.windows(name.len()).position(|window| window == name).unwrap();
    file[at + 1] = b'A';
    assert_eq!(read_pkcs12(&file, &password()).unwrap_err(), ReadPkcs12Error::WrongPassword);
}

#[test]
fn files_without_a_mac_are_read() {
    let key = support::key(KeyAlgorithm::Ed25519);
    let shrouded = keys::encrypted::encrypt(key, &password()).unwrap();
    let file = pfx(
        &[plain_safe(&oid::SHROUDED_KEY_BAG, &shrouded), plain_safe(&oid::KEY_BAG, key.to_pkcs8_der())],
        &[],
    );
    assert_eq!(describe_pkcs12(&file).unwrap().integrity, Integrity::None);
    let contents = read_pkcs12(&file, &password()).unwrap();
    assert!(contents.keys.iter().all(|read| read.key.public_key() == key.public_key()));
    assert_eq!(contents.keys.len(), 2);
    let error = read_pkcs12(&file, &Passphrase::new("planted-secret other")).unwrap_err();
    assert_eq!(error, ReadPkcs12Error::WrongPassword);
}

#[test]
fn other_bags_are_named_and_passed_over() {
    let crl = sequence(|w| w.object_identifier(&oid::CRL_BAG));
    let secret = Oid::from_dotted("1.2.840.113549.1.12.10.1.5").unwrap();
    let file = pfx(&[plain_safe(&oid::CRL_BAG, &crl), plain_safe(&secret, &crl)], &[]);
    assert_eq!(read_pkcs12(&file, &password()).unwrap().other, ["crlBag", "secretBag"]);
}

#[test]
fn old_encryption_is_described_and_what_is_not_read_is_named_before_any_password_is_tried() {
    let file = pfx(&[legacy_safe(&oid::PBE_SHA1_RC2_40), legacy_safe(&oid::PBE_SHA1_3DES)], &[]);
    let facts = describe_pkcs12(&file).unwrap();
    let Protection::Password(encryption) = &facts.safes[0].protection else { panic!("{facts:?}") };
    assert_eq!(encryption.description, "pbeWithSHAAnd40BitRC2-CBC with 2048 iterations");
    assert_eq!((encryption.iterations, encryption.supported), (Some(2048), true));
    assert_eq!(read_pkcs12(&file, &password()).unwrap_err(), ReadPkcs12Error::WrongPassword);
    let rc4 = Oid::from_dotted("1.2.840.113549.1.12.1.1").unwrap();
    let des = Oid::from_dotted("1.2.840.113549.1.5.10").unwrap();
    let file = pfx(&[legacy_safe(&rc4), legacy_safe(&des)], &[]);
    let error = read_pkcs12(&file, &password()).unwrap_err().to_string();
    assert!(error.contains("pbeWithSHAAnd128BitRC4 and pbeWithSHA1AndDES-CBC"), "{error}");
    assert!(error.contains("openssl pkcs12 -legacy -in"), "{error}");
    let facts = describe_pkcs12(&file).unwrap();
    assert_eq!(facts.unsupported_encryption(), ["pbeWithSHAAnd128BitRC4", "pbeWithSHA1AndDES-CBC"]);
}

#[test]
fn each_target_has_its_algorithms_and_comes_back() {
    let key = support::key(KeyAlgorithm::P256);
    let (leaf, other) =
        (support::certificate(key, "a"), support::certificate(support::key(KeyAlgorithm::P384), "b"));
    for target in Target::ALL {
        let file = write_pkcs12(key, &[&leaf, &other], "alice", &password(), target).unwrap();
        let facts = describe_pkcs12(&file).unwrap();
        let Integrity::Mac { description: mac, .. } = &facts.integrity else { panic!("{facts:?}") };
        let Protection::Password(certificates) = &facts.safes[0].protection else { panic!("{facts:?}") };
        let shrouded = facts.safes[1].bags.as_ref().unwrap()[0].encryption.as_ref().unwrap();
        let (sealed, encrypted) = match target {
            Target::Modern | Target::Windows | Target::Java => (
                "HMAC-SHA-256 with 250000 iterations",
                "PBES2: PBKDF2 with HMAC-SHA-256 and 125000 iterations, AES-256-CBC",
            ),
            Target::Apple | Target::Android | Target::Legacy => (
                "HMAC-SHA-1 with 100000 iterations",
                "pbeWithSHAAnd3-KeyTripleDES-CBC with 100000 iterations",
            ),
        };
        assert_eq!((mac.as_str(), certificates.description.as_str()), (sealed, encrypted), "{target}");
        assert_eq!(shrouded.description, encrypted, "{target}");
        let contents = read_pkcs12(&file, &password()).unwrap();
        assert_eq!(contents.keys[0].key.to_pkcs8_der(), key.to_pkcs8_der(), "{target}");
        assert_eq!(contents.certificates.len(), 2);
        if target.is_old() && target != Target::Legacy {
            continue;
        }
        let store = write_trust_store(&[(&leaf, "one"), (&other, "zwei 🔑")], &password(), target).unwrap();
        let contents = read_pkcs12(&store, &password()).unwrap();
        assert!(contents.keys.is_empty() && contents.certificates.iter().all(|entry| entry.trusted));
        assert_eq!(contents.certificates[1].friendly_name.as_deref(), Some("zwei 🔑"));
    }
}

#[test]
fn public_key_modes_are_named() {
    let enveloped = Oid::from_dotted("1.2.840.113549.1.7.3").unwrap();
    let file = pfx(&[content_info(&enveloped, &sequence(|_| {}))], &[]);
    assert!(matches!(read_pkcs12(&file, &password()), Err(ReadPkcs12Error::PublicKeyMode(_))));
    assert_eq!(describe_pkcs12(&file).unwrap().safes[0].protection, Protection::PublicKey);
}

#[test]
fn a_mac_with_too_many_iterations_is_refused_unverified() {
    let mac = sequence(|w| {
        w.nested(tag::SEQUENCE, |w| {
            w.nested(tag::SEQUENCE, |w| w.object_identifier(&oid::SHA256));
            w.primitive(tag::OCTET_STRING, &[0; 32]);
        });
        w.primitive(tag::OCTET_STRING, b"salt");
        w.integer(&[0x7f, 0xff, 0xff, 0xff]);
    });
    let error = read_pkcs12(&pfx(&[], &mac), &password()).unwrap_err();
    assert_eq!(error, ReadPkcs12Error::Iterations { found: 0x7fff_ffff, limit: 2_000_000 });
}

#[test]
fn the_iterations_of_many_keys_are_added_up() {
    // Each key has 600,000 iterations: three may be tried, the fourth may not.
    let key = support::key(KeyAlgorithm::P256);
    let shrouded = keys::encrypted::encrypt(key, &password()).unwrap();
    let file = pfx(&vec![plain_safe(&oid::SHROUDED_KEY_BAG, &shrouded); 4], &[]);
    let error = read_pkcs12(&file, &password()).unwrap_err();
    assert_eq!(error, ReadPkcs12Error::Iterations { found: 4 * 600_000, limit: 2_250_000 });
}

#[test]
fn what_is_no_pkcs12_is_called_by_its_name() {
    let key = support::key(KeyAlgorithm::P256);
    let of = |bytes: &[u8]| describe_pkcs12(bytes).unwrap_err();
    assert_eq!(of(key.to_pkcs8_pem().as_bytes()), Pkcs12FormatError::Text);
    assert!(of(&support::certificate(key, "a")).to_string().contains("a certificate"));
    assert!(of(key.to_pkcs8_der()).to_string().contains("a private key"));
    assert!(matches!(of(&[]), Pkcs12FormatError::Der(_)));
    let file =
        write_pkcs12(key, &[&support::certificate(key, "a")], "", &password(), Target::Modern).unwrap();
    assert!(of(&file[..file.len() - 5]).to_string().contains("damaged"));
}

#[test]
fn what_cannot_be_a_pkcs12_is_not_written() {
    let key = support::key(KeyAlgorithm::P256);
    let own = support::certificate(key, "a");
    let other = support::certificate(support::key(KeyAlgorithm::P384), "b");
    let write = |chain: &[&[u8]], password: &str| {
        write_pkcs12(key, chain, "", &Passphrase::new(password), Target::Modern)
    };
    assert_eq!(write(&[&own], ""), Err(WritePkcs12Error::EmptyPassword));
    assert_eq!(write(&[], "secret"), Err(WritePkcs12Error::NoCertificate));
    assert_eq!(write(&[&other, &own], "secret"), Err(WritePkcs12Error::KeyMismatch));
    let error = write(&[&own, b"junk"], "secret").unwrap_err();
    assert!(matches!(error, WritePkcs12Error::Certificate { place: 2, .. }), "{error}");
}

fn integer(value: u64) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.integer(&value.to_be_bytes());
    writer.into_bytes()
}

/// EncryptedData under this AlgorithmIdentifier.
fn encrypted_safe(identifier: &[u8]) -> Vec<u8> {
    let data = sequence(|w| {
        w.integer(&[0]);
        w.nested(tag::SEQUENCE, |w| {
            w.object_identifier(&oid::DATA);
            w.raw(identifier);
            w.primitive(tag::context(0), &[7; 64]);
        });
    });
    content_info(&oid::ENCRYPTED_DATA, &data)
}

/// An AlgorithmIdentifier of PBES2 with this key derivation.
fn pbes2(derivation: &[u8]) -> Vec<u8> {
    sequence(|w| {
        w.object_identifier(&oid::PBES2);
        w.nested(tag::SEQUENCE, |w| {
            w.raw(derivation);
            w.nested(tag::SEQUENCE, |w| {
                w.object_identifier(&oid::AES_256_CBC);
                w.primitive(tag::OCTET_STRING, &[1; 16]);
            });
        });
    })
}

fn pbkdf2(count: &[u8], hash: &Oid) -> Vec<u8> {
    sequence(|w| {
        w.object_identifier(&oid::PBKDF2);
        w.nested(tag::SEQUENCE, |w| {
            w.primitive(tag::OCTET_STRING, b"salt");
            w.raw(count);
            w.nested(tag::SEQUENCE, |w| {
                w.object_identifier(hash);
                w.null();
            });
        });
    })
}

fn scrypt(n: u64, r: u64, p: u64) -> Vec<u8> {
    sequence(|w| {
        w.object_identifier(&oid::SCRYPT);
        w.nested(tag::SEQUENCE, |w| {
            w.primitive(tag::OCTET_STRING, b"salt");
            [n, r, p].iter().for_each(|count| w.raw(&integer(*count)));
        });
    })
}

/// What a hostile container asks for is refused by its count or size, before it is computed or built: so each of these is
/// an error of its own, and none of them `WrongPassword`, which is what comes after the computing.
#[test]
fn hostile_containers_are_refused_before_anything_is_computed() {
    let key = support::key(KeyAlgorithm::P256);
    let sha256 = oid::HMAC_WITH_SHA256;
    let huge = integer(1 << 31);
    let legacy = |scheme: &Oid, count: &[u8]| {
        sequence(|w| {
            w.object_identifier(scheme);
            w.nested(tag::SEQUENCE, |w| {
                w.primitive(tag::OCTET_STRING, b"saltsalt");
                w.raw(count);
            });
        })
    };
    let nested = (0..6).fold(sequence(|_| {}), |inner, _| {
        let kind = Oid::from_dotted("1.2.840.113549.1.12.10.1.6").unwrap();
        sequence(|w| {
            w.nested(tag::SEQUENCE, |w| {
                w.object_identifier(&kind);
                w.nested(tag::context_constructed(0), |w| w.raw(&inner));
            });
        })
    });
    let many = [0x05, 0x00].repeat(300_000);
    let many = sequence(|w| w.raw(&many));
    let keys = vec![plain_safe(&oid::KEY_BAG, key.to_pkcs8_der()); 65];
    let shrouded = sequence(|w| {
        w.raw(&pbes2(&pbkdf2(&huge, &sha256)));
        w.primitive(tag::OCTET_STRING, &[0; 64]);
    });
    #[rustfmt::skip]
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("a bomb of indefinite lengths", [0x30, 0x80].repeat(1 << 20), "nesting (too deep)"),
        ("a bomb of strings in strings", [0x24, 0x80].repeat(1 << 20), "nesting (too deep)"),
        ("300,000 elements", many.clone(), "number of elements"),
        ("300,000 elements in the safe", pfx(&[content_info(&oid::DATA, &octet_string(&many))], &[]), "number of elements"),
        ("a file of 100 MB", vec![0x30; 100 << 20], "no more than 16777216 are read"),
        ("a length of 4 GiB", vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 2, 1, 3], "cut short"),
        ("a length of 2^64", vec![0x30, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "length"),
        ("2^31 iterations of PBKDF2", pfx(&[encrypted_safe(&pbes2(&pbkdf2(&huge, &sha256)))], &[]), "2147483648 iterations"),
        ("2^64 iterations and more", pfx(&[encrypted_safe(&pbes2(&pbkdf2(&[2, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0], &sha256)))], &[]), "iterations"),
        ("twice as dear with SHA-512", pfx(&[encrypted_safe(&pbes2(&pbkdf2(&integer(1_100_000), &oid::HMAC_WITH_SHA512)))], &[]), "1100000 iterations"),
        ("no iteration at all", pfx(&[encrypted_safe(&pbes2(&pbkdf2(&integer(0), &sha256)))], &[]), "iteration count"),
        ("a negative count", pfx(&[encrypted_safe(&pbes2(&pbkdf2(&[2, 1, 0x80], &sha256)))], &[]), "iteration count"),
        ("2^31 iterations of Triple DES", pfx(&[encrypted_safe(&legacy(&oid::PBE_SHA1_3DES, &huge))], &[]), "2147483648 iterations"),
        ("scrypt with 2 TiB", pfx(&[encrypted_safe(&pbes2(&scrypt(1 << 31, 8, 1)))], &[]), "octets of memory"),
        ("scrypt with counts beyond 64 bits", pfx(&[encrypted_safe(&pbes2(&scrypt(1 << 62, 1 << 62, 1 << 62)))], &[]), "octets of memory"),
        ("scrypt for an hour", pfx(&[encrypted_safe(&pbes2(&scrypt(1 << 14, 8, 4000)))], &[]), "iterations"),
        ("2^31 iterations of one key", pfx(&[plain_safe(&oid::SHROUDED_KEY_BAG, &shrouded)], &[]), "2147483648 iterations"),
        ("65 keys", pfx(&keys, &[]), "more than 64 private keys"),
        ("safes in safes", pfx(&[content_info(&oid::DATA, &octet_string(&nested))], &[]), "nesting of SafeContents"),
        ("a Java key store", vec![0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2], "keytool -importkeystore"),
        ("nothing", Vec::new(), "damaged"),
    ];
    for (what, file, says) in cases {
        let error = read_pkcs12(&file, &password()).map(|_| ()).unwrap_err();
        assert_ne!(error, ReadPkcs12Error::WrongPassword, "{what}");
        assert!(error.to_string().contains(says), "{what}: {error}");
        assert!(error.to_string().len() < 600, "{what}: {error}");
        let _ = describe_pkcs12(&file);
    }
}
