//! What a Java client believes: the key stores that hold its anchors, PKCS#12 or JKS.

use std::path::PathBuf;

use explain::doctor::Unread;
use explain::java_store;
use keys::Passphrase;
use pki::Certificate;

use crate::trust::java::discover;
use crate::trust::machine::Machine;

/// The password of every store that is shipped with Java; it guards nothing.
const SHIPPED: &str = "changeit";

/// The certificates that a store holds as trusted, in DER.
fn trusted(bytes: &[u8], password: Option<&Passphrase>) -> Result<Vec<Vec<u8>>, String> {
    match java_store::trusted_certificates(bytes) {
        Ok(found) => return Ok(found),
        Err(java_store::JavaStoreError::NotOne) => {}
        Err(error) => return Err(error.to_string()),
    }
    let shipped = [Passphrase::new(Vec::new()), Passphrase::new(SHIPPED)];
    let mut passwords: Vec<&Passphrase> = password.into_iter().collect();
    if passwords.is_empty() {
        passwords.extend(&shipped);
    }
    let mut refused = String::new();
    for password in passwords {
        match keys::pkcs12::read_pkcs12(bytes, password) {
            Ok(contents) => {
                let count = contents.certificates.len();
                // As for JKS: what is marked, and the certificates of private keys.
                let believed =
                    contents.certificates.into_iter().filter(|c| c.trusted || c.local_key_id.is_some());
                let ders: Vec<Vec<u8>> = believed.map(|certificate| certificate.der).collect();
                if ders.is_empty() && count > 0 {
                    return Err(format!(
                        "{count} certificate(s) are in it and none is marked as trusted, as `keytool -importcert` does it and \
                         `openssl pkcs12` does not"
                    ));
                }
                return Ok(ders);
            }
            Err(error) => refused = error.to_string(),
        }
    }
    Err(refused)
}

/// A trust store as PEM, which is what the engine reads; anything else as it is.
pub(super) fn as_pem(bytes: Vec<u8>, password: Option<&Passphrase>) -> Result<Vec<u8>, Unread> {
    let is_store = bytes.starts_with(&[0xfe, 0xed, 0xfe, 0xed])
        || bytes.starts_with(&[0xce; 4])
        || keys::pkcs12::describe_pkcs12(&bytes).is_ok();
    if !is_store {
        return Ok(bytes);
    }
    let ders = trusted(&bytes, password).map_err(Unread::Other)?;
    Ok(ders.iter().map(|der| pki::pem::encode("CERTIFICATE", der)).collect::<String>().into_bytes())
}

/// The `cacerts` of the runtime that `java` starts, and what is in it.
pub(super) fn default_store() -> Option<(PathBuf, Vec<Certificate>)> {
    let cacerts = discover(&Machine::from_environment()).into_iter().next()?.cacerts;
    // It stands before cacerts where somebody made it (JSSE Reference Guide, "Trust Manager").
    let own = cacerts.with_file_name("jssecacerts");
    let file = if own.exists() { own } else { cacerts };
    let ders = trusted(&std::fs::read(&file).ok()?, None).ok()?;
    Some((file, ders.iter().filter_map(|der| Certificate::from_der(der).ok()).collect()))
}
