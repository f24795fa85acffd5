//! Files on disk: modes, links, what is replaced and what is not.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use keys::Passphrase;
use keys::file::{
    FileWarning, ReadFileError, ReadKeyFileError, Replace, WriteFileError, read_key_file,
    read_passphrase_file, write_private, write_public,
};
use pki::key::{KeyAlgorithm, SigningKey};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_private_file_is_0600_and_a_public_one_0644() {
    let home = tempfile::tempdir().unwrap();
    let (private, public) = (home.path().join("a-key.pem"), home.path().join("a.pem"));
    write_private(&private, b"secret", Replace::No).unwrap();
    write_public(&public, b"open", Replace::No).unwrap();
    assert_eq!((mode(&private), fs::read(&private).unwrap()), (0o600, b"secret".to_vec()));
    // Less what the umask of whoever runs this takes away.
    assert_eq!(mode(&public) & 0o7600, 0o600);
    assert_eq!(mode(&public) & !0o644, 0);
    assert_eq!(names(home.path()), ["a-key.pem", "a.pem"]);
}

#[test]
fn an_existing_file_is_kept_unless_replacing_is_asked_for() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("key.pem");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let error = write_private(&path, b"new", Replace::No).unwrap_err();
    assert!(matches!(&error, WriteFileError::Exists { path: named } if *named == path), "{error}");
    assert!(error.to_string().contains("key.pem exists already"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"old");
    write_private(&path, b"new", Replace::Yes).unwrap();
    assert_eq!((mode(&path), fs::read(&path).unwrap()), (0o600, b"new".to_vec()));
    assert_eq!(names(home.path()), ["key.pem"]);
}

#[test]
fn a_symbolic_link_at_the_destination_is_never_followed() {
    let home = tempfile::tempdir().unwrap();
    let (target, link) = (home.path().join("target"), home.path().join("key.pem"));
    fs::write(&target, "precious").unwrap();
    symlink(&target, &link).unwrap();
    let dangling = home.path().join("dangling.pem");
    symlink(home.path().join("nowhere"), &dangling).unwrap();
    for path in [&link, &dangling] {
        for replace in [Replace::No, Replace::Yes] {
            let error = write_private(path, b"secret", replace).unwrap_err();
            assert!(matches!(error, WriteFileError::SymbolicLink { .. }), "{error}");
        }
    }
    assert_eq!(fs::read(&target).unwrap(), b"precious");
    assert_eq!(names(home.path()), ["dangling.pem", "key.pem", "target"]);
}

#[test]
fn what_is_no_file_is_not_written_over() {
    let home = tempfile::tempdir().unwrap();
    let error = write_private(home.path(), b"x", Replace::Yes).unwrap_err();
    assert!(matches!(error, WriteFileError::NotAFile { what: "a directory", .. }), "{error}");
    let error = write_public(Path::new("/dev/null"), b"x", Replace::Yes).unwrap_err();
    assert!(matches!(error, WriteFileError::NotAFile { what: "a device", .. }), "{error}");
    for path in ["", "..", "name/"] {
        let error = write_private(Path::new(path), b"x", Replace::No).unwrap_err();
        assert!(matches!(error, WriteFileError::NoFileName { .. }), "{path}: {error}");
    }
}

#[test]
fn a_missing_directory_is_named_and_not_made() {
    let home = tempfile::tempdir().unwrap();
    let error = write_private(&home.path().join("not/there/key.pem"), b"x", Replace::No).unwrap_err();
    assert!(error.to_string().contains("not/there does not exist; run: mkdir -p"), "{error}");
    fs::write(home.path().join("file"), "").unwrap();
    let error = write_private(&home.path().join("file/key.pem"), b"x", Replace::No).unwrap_err();
    assert!(matches!(error, WriteFileError::NotADirectory { .. }), "{error}");
    assert_eq!(names(home.path()), ["file"]);
}

#[test]
fn the_longest_file_name_can_be_written() {
    let home = tempfile::tempdir().unwrap();
    write_private(&home.path().join("k".repeat(255)), b"x", Replace::No).unwrap();
}

#[test]
fn of_many_writers_at_once_exactly_one_wins_without_replace() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("key.pem");
    let won: Vec<u8> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8u8)
            .map(|number| {
                let path = &path;
                scope.spawn(move || write_private(path, &[number; 5000], Replace::No).map(|()| number))
            })
            .collect();
        writers.into_iter().filter_map(|writer| writer.join().unwrap().ok()).collect()
    });
    assert_eq!(won.len(), 1);
    assert_eq!(fs::read(&path).unwrap(), vec![won[0]; 5000]);
    assert_eq!(names(home.path()), ["key.pem"]);
}

#[test]
fn a_key_file_that_others_can_read_is_read_with_a_warning() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("key.pem");
    let key = support::key(KeyAlgorithm::P256);
    write_private(&path, key.to_pkcs8_pem().as_bytes(), Replace::No).unwrap();
    let (read, warnings) = read_key_file(&path, None).unwrap();
    assert_eq!((read.public_key(), warnings.len()), (key.public_key(), 0));
    for (bits, who) in [(0o644, "every user of this machine"), (0o640, "its group"), (0o602, "every user")] {
        fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap();
        let (_, warnings) = read_key_file(&path, None).unwrap();
        assert_eq!(warnings, [FileWarning::OpenToOthers { path: path.clone(), mode: bits }]);
        let text = warnings[0].to_string();
        assert!(text.contains(&format!("chmod 600 {}", path.display())) && text.contains(who), "{text}");
    }
}

#[test]
fn key_files_are_read_through_links_and_pipes() {
    let home = tempfile::tempdir().unwrap();
    let key = support::key(KeyAlgorithm::Rsa(2048));
    let path = home.path().join("key.pem");
    write_private(&path, key.to_pkcs8_pem().as_bytes(), Replace::No).unwrap();
    let link = home.path().join("link.pem");
    symlink(&path, &link).unwrap();
    assert_eq!(read_key_file(&link, None).unwrap().0.public_key(), key.public_key());

    let pipe = home.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::thread::scope(|scope| {
        scope.spawn(|| fs::write(&pipe, key.to_pkcs8_pem().as_bytes()).unwrap());
        let (read, warnings) = read_key_file(&pipe, None).unwrap();
        assert_eq!((read.public_key(), warnings.len()), (key.public_key(), 0));
    });
}

#[test]
fn unreadable_key_files_are_explained() {
    let home = tempfile::tempdir().unwrap();
    let file_error = |path: &Path| match read_key_file(path, None).unwrap_err() {
        ReadKeyFileError::File(error) => error,
        other => panic!("{other}"),
    };
    let missing = file_error(&home.path().join("none.pem"));
    assert!(matches!(missing, ReadFileError::Missing { .. }) && missing.to_string().contains("none.pem"));
    assert!(matches!(file_error(home.path()), ReadFileError::Directory { .. }));
    assert!(matches!(file_error(Path::new("/dev/zero")), ReadFileError::TooLarge { .. }));
    let text = home.path().join("text");
    fs::write(&text, "hello").unwrap();
    let error = read_key_file(&text, None).unwrap_err().to_string();
    assert!(error.contains("text: this is no private key"), "{error}");
    // Root reads everything, so this one needs another user.
    fs::set_permissions(&text, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&text).is_err() {
        let error = file_error(&text).to_string();
        assert!(error.contains("belongs to user") && error.contains("mode 0000"), "{error}");
    }
}

#[test]
fn a_passphrase_file_gives_its_first_line() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("passphrase");
    fs::write(&path, "planted-secret horse\nignored\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let (passphrase, warnings) = read_passphrase_file(&path).unwrap();
    assert!(warnings.is_empty());
    let key = support::key(KeyAlgorithm::P256);
    let der = keys::encrypted::encrypt(key, &Passphrase::new("planted-secret horse")).unwrap();
    assert_eq!(keys::encrypted::decrypt(&der, &passphrase).unwrap().public_key(), key.public_key());
}
