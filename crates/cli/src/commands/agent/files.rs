//! Putting a key and its certificate in place together, though a file system replaces one file at a time.
//!
//! Both are written beside their places first, durably; then the key is renamed, then the certificate. A crash in between
//! leaves the certificate's half beside its place, and the next start finishes what was begun: whoever loads the pair
//! after that finds one.

use std::fs;
use std::path::{Path, PathBuf};

use keys::PrivateKey;
use keys::file::{Replace, write_private, write_public};
use pki::Certificate;
use pki::key::SigningKey as _;

use crate::commands::agent::config::Wanted;
use crate::failure::{Failure, OrFail as _};
use crate::input::{self, plain};

/// Where the half of a pair waits.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

/// Puts a new pair in place.
pub(super) fn install(wanted: &Wanted, key: &PrivateKey, chain: &[Certificate]) -> Result<(), Failure> {
    let (key_path, certificate_path) = (wanted.files.key(), wanted.files.certificate());
    let leaf = chain.first().ok_or_else(|| Failure::refused("the authority sent no certificate"))?;
    if leaf.public_key().ok() != Some(key.public_key()) {
        return Err(Failure::refused(
            "the authority sent a certificate for another key; nothing was changed",
        ));
    }
    let pem: String = chain.iter().map(Certificate::to_pem).collect();
    write_private(&beside(&key_path), key.to_pkcs8_pem().as_bytes(), Replace::Yes).or_usage()?;
    write_public(&beside(&certificate_path), pem.as_bytes(), Replace::Yes).or_usage()?;
    move_in(&key_path)?;
    move_in(&certificate_path)
}

fn move_in(path: &Path) -> Result<(), Failure> {
    fs::rename(beside(path), path)
        .map_err(|error| Failure::usage(format!("cannot put {} in place: {}", path.display(), plain(&error))))
}

/// Finishes what a crash left half done, and clears away what was not yet begun.
pub(super) fn recover(wanted: &Wanted) -> Result<(), Failure> {
    let (key_path, certificate_path) = (wanted.files.key(), wanted.files.certificate());
    let (new_key, new_certificate) = (beside(&key_path), beside(&certificate_path));
    if new_certificate.exists() {
        // The key is renamed first: it is in place already, or still beside it.
        let key = if new_key.exists() { &new_key } else { &key_path };
        if belong_together(&new_certificate, key) {
            if new_key.exists() {
                move_in(&key_path)?;
            }
            return move_in(&certificate_path);
        }
    }
    // Written before the other half was: neither was in use.
    for leftover in [new_key, new_certificate] {
        match fs::remove_file(&leftover) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(Failure::usage(format!(
                    "cannot remove {}: {}",
                    leftover.display(),
                    plain(&error)
                )));
            }
        }
    }
    Ok(())
}

fn belong_together(certificate: &Path, key: &Path) -> bool {
    let Ok(chain) = input::certificates(certificate) else { return false };
    let Ok((key, _)) = keys::file::read_key_file(key, None) else { return false };
    chain.first().and_then(|leaf| leaf.public_key().ok()) == Some(key.public_key())
}

/// The certificate in place, if there is a whole pair.
pub(super) fn current(wanted: &Wanted) -> Option<Certificate> {
    let (key, certificate) = (wanted.files.key(), wanted.files.certificate());
    if !belong_together(&certificate, &key) {
        return None;
    }
    input::certificates(&certificate).ok()?.into_iter().next()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::commands::agent::config::{Join, Source};
    use crate::material::Files;
    use pki::key::KeyAlgorithm;

    fn wanted(folder: &Path) -> Wanted {
        Wanted {
            files: Files::beside(&folder.join("a.pem")).unwrap(),
            key: KeyAlgorithm::P256,
            reload: None,
            source: Source::Join(Join { ca: String::new(), anchors: PathBuf::new() }),
        }
    }

    fn pair(name: &str) -> (PrivateKey, Vec<Certificate>) {
        let identity = testkit::TestCa::new().issue_client(name);
        let key = PrivateKey::from_pkcs8_der(identity.key.pkcs8_der()).unwrap();
        (key, vec![identity.certificate])
    }

    /// Stops after each step of an installation, and starts anew.
    #[test]
    fn crash_at_any_step_leaves_a_whole_pair_old_or_new() {
        for step in 0..=4 {
            let folder = tempfile::tempdir().unwrap();
            let wanted = wanted(folder.path());
            let ((old_key, old), (new_key, new)) = (pair("old"), pair("new"));
            install(&wanted, &old_key, &old).unwrap();
            let (key_path, certificate_path) = (wanted.files.key(), wanted.files.certificate());
            if step > 0 {
                write_private(&beside(&key_path), new_key.to_pkcs8_pem().as_bytes(), Replace::Yes).unwrap();
            }
            if step > 1 {
                write_public(&beside(&certificate_path), new[0].to_pem().as_bytes(), Replace::Yes).unwrap();
            }
            if step > 2 {
                move_in(&key_path).unwrap();
            }
            if step > 3 {
                move_in(&certificate_path).unwrap();
            }
            recover(&wanted).unwrap();
            let found = current(&wanted).unwrap_or_else(|| panic!("no pair after step {step}"));
            assert_eq!(found, if step > 1 { new[0].clone() } else { old[0].clone() }, "step {step}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left over");
        }
    }

    #[test]
    fn certificate_for_another_key_is_not_put_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = wanted(folder.path());
        let ((key, _), (_, other)) = (pair("a"), pair("b"));
        assert!(install(&wanted, &key, &other).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
