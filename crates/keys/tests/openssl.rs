//! Against the real openssl program, both ways: what it writes is read here, what is written here it reads, and the
//! commands in error messages do what they promise. These tests fail where openssl 3 is not installed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use keys::encrypted::{self, DecryptKeyError};
use keys::file::read_key_file;
use keys::pkcs12::{ReadPkcs12Error, Target, describe_pkcs12, read_pkcs12, write_pkcs12};
use keys::read::{ReadKeyError, read_private_key};
use keys::{Passphrase, PrivateKey};
use pki::key::{KeyAlgorithm, SigningKey};

const PASSWORD: &str = "planted-secret horse";

/// A directory in which openssl runs.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        Bench(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Runs one openssl command, its words separated by single spaces, and gives its output.
    fn openssl(&self, arguments: &str) -> Vec<u8> {
        let output = Command::new("openssl")
            .args(arguments.split(' ').map(|word| if word == "PASS" { "pass:planted-secret horse" } else { word }))
            .current_dir(self.0.path())
            .stdin(std::process::Stdio::null())
            .output()
            .expect("the openssl program is needed for these tests; install it (Debian, Ubuntu: apt-get install openssl)");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments}: {error}");
        output.stdout
    }

    /// The public key that openssl finds in a private key file.
    fn public_key(&self, file: &str) -> Vec<u8> {
        self.openssl(&format!("pkey -in {file} -passin PASS -pubout -outform DER"))
    }

    fn key(&self, name: &str) -> PrivateKey {
        read_key_file(&self.path(name), Some(&password())).unwrap_or_else(|error| panic!("{error}")).0
    }
}

fn password() -> Passphrase {
    Passphrase::new(PASSWORD)
}

/// Makes one key of each kind that is read, as PKCS#8 PEM.
fn generate_all(bench: &Bench) -> Vec<&'static str> {
    let kinds = [
        ("p256", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256"),
        ("p384", "-algorithm EC -pkeyopt ec_paramgen_curve:P-384"),
        ("p521", "-algorithm EC -pkeyopt ec_paramgen_curve:P-521"),
        ("ed25519", "-algorithm ED25519"),
        ("rsa2048", "-algorithm RSA -pkeyopt rsa_keygen_bits:2048"),
        ("rsa2056", "-algorithm RSA -pkeyopt rsa_keygen_bits:2056"),
    ];
    for (name, options) in kinds {
        bench.openssl(&format!("genpkey {options} -out {name}"));
    }
    kinds.map(|(name, _)| name).to_vec()
}

#[test]
fn keys_that_openssl_makes_are_read_in_every_form_it_writes() {
    let bench = Bench::new();
    for name in generate_all(&bench) {
        let public = bench.public_key(name);
        let forms = [
            "pkey -outform DER",
            "pkey -traditional",
            "pkey -traditional -outform DER",
            "pkcs8 -topk8 -nocrypt",
            "pkcs8 -topk8 -passout PASS",
            "pkcs8 -topk8 -passout PASS -outform DER",
            "pkcs8 -topk8 -passout PASS -v2 aes-128-cbc",
            "pkcs8 -topk8 -passout PASS -v2 aes-192-cbc -v2prf hmacWithSHA512",
            "pkcs8 -topk8 -passout PASS -v2 aes-256-cbc -v2prf hmacWithSHA384 -iter 1",
            "pkcs8 -topk8 -passout PASS -v2 aes-256-cbc -v2prf hmacWithSHA1",
        ];
        for form in forms {
            if name == "ed25519" && form.contains("-traditional") {
                // RFC 8410 gave Ed25519 no form but PKCS#8.
                continue;
            }
            bench.openssl(&format!("{form} -in {name} -out form"));
            let key = bench.key("form");
            assert_eq!(key.public_key().spki_der(), public, "{name}: {form}");
        }
        assert_eq!(
            bench.key(name).to_pkcs8_der(),
            bench.openssl(&format!("pkcs8 -topk8 -nocrypt -in {name} -outform DER")),
            "{name}: the one form written here is openssl's"
        );
    }
}

#[test]
fn elliptic_curve_keys_are_read_in_the_old_and_odd_forms() {
    let bench = Bench::new();
    // With EC PARAMETERS before it, as `openssl ecparam -genkey` writes it.
    bench.openssl("ecparam -name secp384r1 -genkey -out parameters");
    assert!(bench.read("parameters").starts_with(b"-----BEGIN EC PARAMETERS"));
    assert_eq!(bench.key("parameters").public_key().spki_der(), bench.public_key("parameters"));
    bench.openssl("ec -in parameters -no_public -out without-public");
    bench.openssl("ec -in parameters -conv_form compressed -out compressed");
    for odd in ["without-public", "compressed"] {
        assert_eq!(bench.key(odd).to_pkcs8_der(), bench.key("parameters").to_pkcs8_der(), "{odd}");
    }
}

#[test]
fn keys_written_here_are_read_by_openssl() {
    let bench = Bench::new();
    for key in support::all_keys() {
        let kind = key.public_key().algorithm();
        bench.write("plain", key.to_pkcs8_pem().as_bytes());
        bench.write("encrypted", encrypted::encrypt_to_pem(key, &password()).unwrap());
        for file in ["plain", "encrypted"] {
            assert_eq!(bench.public_key(file), key.public_key().spki_der(), "{kind}: {file}");
        }
        bench.openssl("pkey -in plain -check -noout");
    }
}

#[test]
fn signatures_made_here_are_verified_by_openssl() {
    let bench = Bench::new();
    for key in support::all_keys() {
        bench.write("message", "message");
        bench.write("signature", key.sign(b"message").unwrap());
        bench.write("public", pki::pem::encode("PUBLIC KEY", key.public_key().spki_der()));
        let digest = match key.public_key().algorithm() {
            KeyAlgorithm::Ed25519 => "-rawin",
            KeyAlgorithm::P384 => "-rawin -digest sha384",
            _ => "-rawin -digest sha256",
        };
        bench.openssl(&format!(
            "pkeyutl -verify -pubin -inkey public -in message -sigfile signature {digest}"
        ));
    }
}

#[test]
fn old_and_memory_hard_encryption_of_openssl_is_read() {
    let bench = Bench::new();
    bench.openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key");
    let public = bench.public_key("key");
    let forms = [
        ("-v2 des3", "des-EDE3-CBC"),
        ("-scrypt", "scrypt with N=16384, r=8, p=1, AES-256-CBC"),
        ("-scrypt -scrypt_N 1024 -scrypt_p 3", "scrypt with N=1024, r=8, p=3"),
        ("-v1 PBE-SHA1-3DES", "pbeWithSHAAnd3-KeyTripleDES-CBC with 2048 iterations"),
        ("-v1 PBE-SHA1-2DES", "pbeWithSHAAnd2-KeyTripleDES-CBC"),
        ("-v1 PBE-SHA1-RC2-128 -provider legacy -provider default", "pbeWithSHAAnd128BitRC2-CBC"),
        ("-v1 PBE-SHA1-RC2-40 -provider legacy -provider default", "pbeWithSHAAnd40BitRC2-CBC"),
    ];
    for (form, description) in forms {
        bench.openssl(&format!("pkcs8 -topk8 -in key -passout PASS -outform DER -out OLD {form}"));
        let der = bench.read("OLD");
        assert!(encrypted::describe(&der).unwrap().contains(description), "{form}");
        let read =
            read_private_key(&der, Some(&password())).unwrap_or_else(|error| panic!("{form}: {error}"));
        assert_eq!(read.public_key().spki_der(), public, "{form}");
        let wrong = read_private_key(&der, Some(&Passphrase::new("planted-secret wrong"))).unwrap_err();
        assert!(matches!(wrong, ReadKeyError::Decrypt(DecryptKeyError::WrongPassphrase)), "{form}: {wrong}");
    }
}

#[test]
fn keys_encrypted_under_scrypt_are_read_by_openssl() {
    let bench = Bench::new();
    for key in support::all_keys().iter().take(4) {
        bench.write("key", encrypted::encrypt_with_scrypt(key, &password()).unwrap());
        let public = bench.openssl("pkey -inform DER -in key -passin PASS -pubout -outform DER");
        assert_eq!(public, key.public_key().spki_der());
    }
}

#[test]
fn what_is_refused_is_converted_by_the_command_in_the_message() {
    let bench = Bench::new();
    bench.openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key");
    let public = bench.public_key("key");
    let makers = [
        ("rsa -in key -aes128 -passout PASS -traditional -out OLD", ""),
        (
            "pkcs8 -topk8 -in key -passout PASS -v1 PBE-MD5-DES -provider legacy -provider default -out OLD",
            " -provider legacy -provider default",
        ),
    ];
    for (maker, providers) in makers {
        bench.openssl(maker);
        let error = read_private_key(&bench.read("OLD"), Some(&password())).unwrap_err();
        let named = matches!(
            error,
            ReadKeyError::Decrypt(DecryptKeyError::Unsupported { .. })
                | ReadKeyError::LegacyPemEncryption { .. }
        );
        assert!(named, "{maker}: {error}");
        let text = error.to_string();
        let at = text.find("openssl ").unwrap();
        let end = text.find("NEW.pem").unwrap() + "NEW.pem".len();
        let command = text[at + "openssl ".len()..end].replace("KEY", "OLD");
        bench.openssl(&format!("{command} -passin PASS -passout PASS{providers}"));
        assert_eq!(bench.key("NEW.pem").public_key().spki_der(), public, "{maker}");
    }
}

#[test]
fn a_curve_that_is_spelled_out_is_converted_by_the_command_in_the_message() {
    let bench = Bench::new();
    bench.openssl(
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit -out KEY",
    );
    let text = read_private_key(&bench.read("KEY"), None).unwrap_err().to_string();
    let command = &text[text.find("openssl ").unwrap() + "openssl ".len()..];
    bench.openssl(command);
    assert_eq!(bench.key("NEW.pem").public_key().algorithm(), KeyAlgorithm::P256);
}

#[test]
fn keys_nobody_should_use_are_refused_by_name() {
    let bench = Bench::new();
    let refused = [
        ("-algorithm RSA -pkeyopt rsa_keygen_bits:1024", "1024 bits"),
        ("-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048", "RSA-PSS"),
        ("-algorithm EC -pkeyopt ec_paramgen_curve:secp256k1", "secp256k1"),
        ("-algorithm X25519", "X25519"),
        ("-algorithm ED448", "Ed448"),
    ];
    for (options, name) in refused {
        bench.openssl(&format!("genpkey {options} -out key"));
        let error = read_private_key(&bench.read("key"), None).unwrap_err().to_string();
        assert!(error.contains(name), "{options}: {error}");
    }
}

/// A certificate chain of openssl's making: `leaf` with its key, and the root that signed it.
fn make_chain(bench: &Bench) {
    bench.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=root -keyout root-key -out root -days 30");
    bench.openssl("req -newkey rsa:2048 -nodes -subj /CN=leaf -keyout leaf-key -out request");
    bench.openssl("x509 -req -in request -CA root -CAkey root-key -days 30 -out leaf");
}

fn der_of(pem: &[u8]) -> Vec<u8> {
    pki::pem::read(pem).unwrap().remove(0).der
}

#[test]
fn pkcs12_files_of_openssl_are_read() {
    let bench = Bench::new();
    make_chain(&bench);
    let (leaf, root) = (der_of(&bench.read("leaf")), der_of(&bench.read("root")));
    let forms = [
        "",
        " -macalg sha1",
        " -macalg sha384",
        " -macalg sha512 -maciter -iter 1",
        " -nomac",
        " -keypbe AES-128-CBC -certpbe AES-192-CBC",
        " -certpbe NONE",
        " -keypbe NONE -certpbe NONE",
        " -keypbe NONE -certpbe AES-256-CBC",
        " -legacy",
        " -legacy -descert",
        " -legacy -keypbe PBE-SHA1-RC2-128 -certpbe PBE-SHA1-2DES",
        " -keypbe PBE-SHA1-3DES -certpbe AES-256-CBC -nomac",
    ];
    for form in forms {
        bench.openssl(&format!(
            "pkcs12 -export -inkey leaf-key -in leaf -certfile root -name alice -passout PASS -out file{form}"
        ));
        let contents =
            read_pkcs12(&bench.read("file"), &password()).unwrap_or_else(|e| panic!("{form}: {e}"));
        assert_eq!(contents.keys[0].key.public_key().spki_der(), bench.public_key("leaf-key"), "{form}");
        assert_eq!(contents.keys[0].friendly_name.as_deref(), Some("alice"));
        let certificates: Vec<_> = contents.certificates.iter().map(|read| &read.der).collect();
        assert_eq!(certificates, [&leaf, &root], "{form}");
        assert_eq!(contents.certificates[0].local_key_id, contents.keys[0].local_key_id);
        let encrypted = !form.contains("-certpbe NONE") || !form.contains("-nomac");
        if encrypted {
            let wrong =
                read_pkcs12(&bench.read("file"), &Passphrase::new("planted-secret wrong")).unwrap_err();
            assert_eq!(wrong, ReadPkcs12Error::WrongPassword, "{form}");
        }
    }
}

#[test]
fn pkcs12_files_of_openssl_with_odd_passwords_are_read() {
    let bench = Bench::new();
    make_chain(&bench);
    for password in ["", "planted-secret-pässwörd", "planted-secret-密码🔑"] {
        // Words are separated by spaces, so a password without any can stand among them.
        for form in ["", " -legacy"] {
            let export = "pkcs12 -export -inkey leaf-key -in leaf";
            bench.openssl(&format!("{export} -passout pass:{password} -out file{form}"));
            let contents = read_pkcs12(&bench.read("file"), &Passphrase::new(password));
            assert_eq!(contents.unwrap_or_else(|e| panic!("{password}{form}: {e}")).keys.len(), 1);
        }
    }
}

#[test]
fn pkcs12_files_written_here_are_read_by_openssl() {
    let bench = Bench::new();
    for key in support::all_keys() {
        let kind = key.public_key().algorithm();
        let leaf = support::certificate(key, "alice");
        let issuer = support::certificate(support::key(KeyAlgorithm::Ed25519), "issuer");
        let target = if kind == KeyAlgorithm::Rsa(3072) { Target::Legacy } else { Target::Modern };
        bench.write("file", write_pkcs12(key, &[&leaf, &issuer], "alice", &password(), target).unwrap());
        bench.openssl("pkcs12 -in file -passin PASS -nodes -nocerts -out key");
        assert_eq!(bench.public_key("key"), key.public_key().spki_der(), "{kind}");
        bench.openssl("pkcs12 -in file -passin PASS -nokeys -clcerts -out leaf");
        assert_eq!(der_of(&bench.read("leaf")), leaf, "{kind}");
        bench.openssl("pkcs12 -in file -passin PASS -nokeys -cacerts -out issuer");
        assert_eq!(der_of(&bench.read("issuer")), issuer, "{kind}");
        let text = String::from_utf8(bench.openssl("pkcs12 -in file -passin PASS -nodes")).unwrap();
        assert!(text.contains("friendlyName: alice") && text.contains("localKeyID"), "{text}");
    }
}

#[test]
fn an_old_pkcs12_is_converted_by_the_commands_in_the_message() {
    let bench = Bench::new();
    make_chain(&bench);
    bench.openssl("pkcs12 -export -legacy -keypbe PBE-SHA1-RC4-128 -certpbe PBE-SHA1-RC4-40 -inkey leaf-key -in leaf -passout PASS -out FILE");
    let facts = describe_pkcs12(&bench.read("FILE")).unwrap();
    assert_eq!(facts.unsupported_encryption(), ["pbeWithSHAAnd40BitRC4", "pbeWithSHAAnd128BitRC4"]);
    let text = read_pkcs12(&bench.read("FILE"), &password()).unwrap_err().to_string();
    let commands: Vec<_> =
        text.split("openssl ").skip(1).map(|rest| rest.split([',', ';']).next().unwrap().trim()).collect();
    let [first, second] = commands[..] else { panic!("{text}") };
    bench.openssl(&format!("{first} -passin PASS"));
    bench.openssl(&format!("{second} -passout PASS"));
    let contents = read_pkcs12(&bench.read("NEW.p12"), &password()).unwrap();
    assert_eq!(contents.keys[0].key.public_key().spki_der(), bench.public_key("leaf-key"));
}

#[test]
fn a_pkcs12_file_is_not_taken_for_a_key_file() {
    let bench = Bench::new();
    make_chain(&bench);
    bench.openssl("pkcs12 -export -inkey leaf-key -in leaf -passout PASS -out FILE");
    let error = read_private_key(&bench.read("FILE"), None).unwrap_err();
    assert!(matches!(error, ReadKeyError::Pkcs12), "{error}");
    assert!(error.to_string().contains("countersign key convert FILE --out KEY.pem"), "{error}");
}
