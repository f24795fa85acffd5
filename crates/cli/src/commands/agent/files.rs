//! Putting a key and its certificate in place together, though a file system replaces one file at a time.
//!
//! Both are written beside their places first, durably; then the key is renamed, then the certificate. A crash in between
//! leaves the certificate's half beside its place, and the next start finishes what was begun: whoever loads the pair
//! after that finds one.
//!
//! The key is there before it is asked with: one who was cut off, or whose answer was lost, asks again with the same key. An
//! invite is good once, and the authority gives the certificate again to the key that it was made for and to no other.
//!
//! A key in a token or behind a signer is the same one before and after. Its reference is written after the first certificate
//! for it: without one, what is in place is the pair before, or none.

use std::fs;
use std::path::{Path, PathBuf};

use keys::file::{Replace, read_key_file, write_private, write_public};
use pki::Certificate;
use pki::key::SigningKey as _;

use crate::commands::agent::config::Wanted;
use crate::context::Context;
use crate::failure::{Failure, OrFail as _};
use crate::input::{self, plain};
use crate::key::{self, OwnKey};
use crate::material::remove;

/// Where the half of a pair waits.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

/// The key to ask for a certificate with: the one that waits beside its place, or a new one, which then waits there.
pub(super) fn next_key(context: &Context, wanted: &Wanted) -> Result<OwnKey, Failure> {
    // One that is elsewhere stays there; the file in the key's place says where, once there is a certificate for it.
    let place = wanted.key_at.clone().or_else(|| wanted.files.key_elsewhere());
    let waiting = beside(&wanted.files.key());
    if place.is_none()
        && let Ok((key, _)) = read_key_file(&waiting, None)
        && key.public_key().algorithm() == wanted.key
    {
        return Ok(OwnKey::File(key));
    }
    match (key::new_or_at(context, place.as_deref(), wanted.key)?, place) {
        // As it is configured, so that it is known again.
        (OwnKey::Elsewhere(key, _), Some(place)) => Ok(OwnKey::Elsewhere(key, place)),
        (OwnKey::File(key), _) => {
            write_private(&waiting, key.to_pkcs8_pem().as_bytes(), Replace::Yes).or_usage()?;
            Ok(OwnKey::File(key))
        }
        (key, None) => Ok(key),
    }
}

/// Puts a new pair in place.
pub(super) fn install(wanted: &Wanted, key: &OwnKey, chain: &[Certificate]) -> Result<(), Failure> {
    let (key_path, certificate_path) = (wanted.files.key(), wanted.files.certificate());
    let leaf = chain.first().ok_or_else(|| Failure::refused("the authority sent no certificate"))?;
    if leaf.public_key().ok() != Some(key.public_key()) {
        return Err(Failure::refused(
            "the authority sent a certificate for another key; nothing was changed",
        ));
    }
    let pem: String = chain.iter().map(Certificate::to_pem).collect();
    let key = match key {
        OwnKey::File(key) => key,
        OwnKey::Elsewhere(_, reference) => {
            write_public(&certificate_path, pem.as_bytes(), Replace::Yes).or_usage()?;
            wanted.files.write_reference(reference, Replace::Yes)?;
            return remove(&key_path);
        }
    };
    write_private(&beside(&key_path), key.to_pkcs8_pem().as_bytes(), Replace::Yes).or_usage()?;
    write_public(&beside(&certificate_path), pem.as_bytes(), Replace::Yes).or_usage()?;
    move_in(&key_path)?;
    move_in(&certificate_path)?;
    remove(&wanted.files.key_reference())
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
    // A certificate without its key is of no use. A key waits for the next pass, unless keys are elsewhere now.
    let leftovers = [Some(new_certificate), wanted.key_at.as_ref().map(|_| new_key)];
    for leftover in leftovers.into_iter().flatten() {
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
    let Ok((key, _)) = read_key_file(key, None) else { return false };
    chain.first().and_then(|leaf| leaf.public_key().ok()) == Some(key.public_key())
}

/// The certificate in place, if there is a whole pair.
pub(super) fn current(wanted: &Wanted) -> Option<Certificate> {
    let (key, certificate) = (wanted.files.key(), wanted.files.certificate());
    let is_whole = match (&wanted.key_at, wanted.files.key_elsewhere()) {
        // Nobody logs in to a token only to look.
        (None, Some(_)) => true,
        (Some(wanted), Some(there)) => *wanted == there,
        (None, None) => belong_together(&certificate, &key),
        (Some(_), None) => false,
    };
    if !is_whole {
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
    use keys::PrivateKey;
    use pki::key::KeyAlgorithm;
    use std::sync::Arc;

    fn wanted(folder: &Path) -> Wanted {
        Wanted {
            files: Files::beside(&folder.join("a.pem")).unwrap(),
            key: KeyAlgorithm::P256,
            key_at: None,
            reload: None,
            source: Source::Join(Join { ca: String::new(), anchors: PathBuf::new() }),
        }
    }

    fn pair(name: &str) -> (OwnKey, Vec<Certificate>) {
        let identity = testkit::TestCa::new().issue_client(name);
        let key = PrivateKey::from_pkcs8_der(identity.key.pkcs8_der()).unwrap();
        (OwnKey::File(key), vec![identity.certificate])
    }

    fn elsewhere(key: OwnKey, reference: &str) -> OwnKey {
        OwnKey::Elsewhere(Arc::new(key), reference.to_owned())
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
                let OwnKey::File(new_key) = &new_key else { unreachable!("made so") };
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
            // A key that nothing was obtained for yet is the one that is asked with next.
            let waiting = usize::from(step == 1);
            assert_eq!(
                fs::read_dir(folder.path()).unwrap().count(),
                2 + waiting,
                "nothing else is left over"
            );
        }
    }

    /// An invite is good once, and for its key: with another one after a crash, or after an answer that was lost, there would
    /// be no certificate.
    #[test]
    fn the_key_that_was_asked_with_is_asked_with_again_until_there_is_a_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let mut wanted = wanted(folder.path());
        let context = Context::from_environment(None, true);
        let public = |key: &OwnKey| key.public_key().spki_der().to_vec();
        let first = next_key(&context, &wanted).unwrap();
        recover(&wanted).unwrap();
        let again = next_key(&context, &wanted).unwrap();
        assert_eq!(public(&again), public(&first));
        // One of another kind than is wanted now is not asked with.
        wanted.key = KeyAlgorithm::P384;
        let other = next_key(&context, &wanted).unwrap();
        assert_ne!(public(&other), public(&first));
        assert_eq!(public(&next_key(&context, &wanted).unwrap()), public(&other));
        // Once keys are elsewhere, none waits.
        wanted.key_at = Some("pkcs11:token=t;object=a".to_owned());
        recover(&wanted).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_key_that_moves_into_a_token_and_back_is_in_one_place_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut wanted = wanted(folder.path());
        let (key, chain) = pair("a");
        install(&wanted, &key, &chain).unwrap();
        // What is to be in a token and is in a file is due, and so is what is in another token.
        wanted.key_at = Some("pkcs11:token=t;object=a".to_owned());
        assert_eq!(current(&wanted), None);
        let (in_token, chain) = pair("a");
        install(&wanted, &elsewhere(in_token.clone(), "pkcs11:token=t;object=a"), &chain).unwrap();
        assert_eq!(current(&wanted).as_ref(), chain.first());
        assert!(!wanted.files.key().exists());
        assert_eq!(wanted.files.key_place(), Path::new("pkcs11:token=t;object=a"));
        wanted.key_at = Some("pkcs11:token=u;object=a".to_owned());
        assert_eq!(current(&wanted), None);
        // Without key_at, the file in the key's place says where it is.
        wanted.key_at = None;
        assert_eq!(current(&wanted).as_ref(), chain.first());
        install(&wanted, &in_token, &chain).unwrap();
        assert_eq!(wanted.files.key_place(), wanted.files.key());
        assert!(current(&wanted).is_some());
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
