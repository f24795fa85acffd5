//! No case may make anything say a secret: when one has ended, what it printed and every file it left is searched for
//! the private keys and passphrases that it worked with, and output and logs for whatever has the form of a secret.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::secrets;

/// A piece of base64 as short as this stands in other things too.
const SHORTEST: usize = 40;

/// Files larger than this are captures and stores, which are searched by tests of their own.
const LARGEST: u64 = 4 << 20;

/// What files are called that hold a secret on each line: words of the names that cases give them.
const HOLDERS: [&str; 5] = ["passphrase", "password", "pin", "token", "secret"];

/// Where a secret of the files under `folder` stands outside of the files that are there to hold it; `output` is what
/// the case printed. What has the form of a secret is one in the output and in the logs, whoever made it.
pub(crate) fn leaks(folder: &Path, output: &str) -> Vec<String> {
    let files = files_under(folder);
    let output = without_commands(output);
    let mut secrets = BTreeSet::new();
    let mut others = vec![(OUTPUT.to_owned(), output.clone())];
    let mut found: Vec<String> = secrets::complaint(OUTPUT, &output).into_iter().collect();
    for file in &files {
        let text = String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned();
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if text.contains("PRIVATE KEY-----") {
            secrets.extend(key_lines(&text));
        } else if let Some(exponent) = private_jwk(&text) {
            secrets.insert(exponent);
        } else if holds_secrets(&name) {
            secrets.extend(text.lines().map(str::trim).filter(|line| line.len() >= 8).map(str::to_owned));
        } else {
            if is_log(&name) {
                found.extend(secrets::complaint(&name, &text));
            }
            others.push((name, text));
        }
    }
    for (place, text) in others {
        if secrets.iter().any(|secret| text.contains(secret.as_str())) {
            found.push(format!("a private key or passphrase of the case stands in {place}"));
        }
    }
    found.sort();
    found
}

const OUTPUT: &str = "its output";

/// A case that names the commands it runs names the secrets that it gives to programs of others on their command lines:
/// those lines are its own, and no program's.
fn without_commands(output: &str) -> String {
    let own = |line: &&str| line.starts_with("# $ ") || line.starts_with("# server ");
    // An empty line keeps the numbers of the others right.
    output
        .lines()
        .map(|line| if own(&line) { "" } else { line })
        .fold(String::new(), |text, line| text + line + "\n")
}

/// Logs of servers and clients; those of LevelDB are numbers, and a browser's memory of where it was.
fn is_log(name: &str) -> bool {
    name.strip_suffix(".log").is_some_and(|stem| !stem.bytes().all(|octet| octet.is_ascii_digit()))
}

fn holds_secrets(name: &str) -> bool {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    stem.split(['-', '_']).any(|word| HOLDERS.contains(&word)) || name.ends_with(".pass")
}

/// The lines of private keys that nobody can guess and that hold nothing public. A key file holds the public key too,
/// and a line of that may stand in a certificate: behind the private part in the few lines of an elliptic curve's key,
/// before it, as the modulus, in the many of an RSA key.
fn key_lines(text: &str) -> Vec<String> {
    let mut secret = Vec::new();
    let mut block: Option<Vec<&str>> = None;
    for line in text.lines().map(str::trim) {
        if line.starts_with("-----BEGIN") {
            block = line.ends_with("PRIVATE KEY-----").then(Vec::new);
        } else if line.starts_with("-----END") {
            let lines = block.take().unwrap_or_default();
            let private =
                if lines.len() <= 6 { &lines[..lines.len().min(2)] } else { &lines[lines.len() / 2..] };
            secret
                .extend(private.iter().filter(|line| line.len() >= SHORTEST).map(|line| (*line).to_owned()));
        } else if let Some(lines) = &mut block
            && !line.contains(' ')
        {
            lines.push(line);
        }
    }
    secret
}

/// What a private key in JSON (RFC 7517) is private by: its member `d` (RFC 7518 sections 6.2.2 and 6.3.2, RFC 8037).
fn private_jwk(text: &str) -> Option<String> {
    let key: serde_json::Value = serde_json::from_str(text).ok()?;
    key.get("kty")?;
    Some(key.get("d")?.as_str()?.to_owned())
}

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() && entry.metadata().is_ok_and(|m| m.len() <= LARGEST) => {
                    files.push(entry.path());
                }
                _ => {}
            }
        }
    }
    files
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // In a test a panic is the report.
mod tests {
    use super::*;

    const LINE: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgVcB/UNPxalR9zDYA";

    #[test]
    fn a_key_outside_of_its_file_is_found_wherever_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let key = format!("-----BEGIN PRIVATE KEY-----\n{LINE}\n-----END PRIVATE KEY-----\n");
        fs::write(folder.path().join("a-key.pem"), &key).unwrap();
        fs::write(folder.path().join("my-passphrase"), "of a program\n").unwrap();
        fs::create_dir(folder.path().join("logs")).unwrap();
        fs::write(folder.path().join("logs/server.log"), "all is well\n").unwrap();
        assert_eq!(leaks(folder.path(), "nothing to see"), [""; 0]);
        fs::write(folder.path().join("logs/server.log"), format!("read {LINE}\n")).unwrap();
        assert_eq!(
            leaks(folder.path(), "with 'of a program'"),
            [
                "a private key or passphrase of the case stands in its output",
                "a private key or passphrase of the case stands in server.log",
                "a secret stands in server.log: line 1: a private key (P-256)",
            ]
        );
    }

    #[test]
    fn what_has_the_form_of_a_secret_is_found_in_output_and_logs_but_for_the_commands_of_the_case() {
        let folder = tempfile::tempdir().unwrap();
        let code = "h7kq2m3n-abcdefghjkmnpqrstuvwxyz023";
        fs::write(folder.path().join("link"), code).unwrap();
        assert_eq!(leaks(folder.path(), &format!("# $ countersign join https://ca/i/{code}\n")), [""; 0]);
        fs::write(folder.path().join("server-1.log"), format!("GET /i/{code}\n")).unwrap();
        fs::write(folder.path().join("000003.log"), format!("visited /i/{code}\n")).unwrap();
        assert_eq!(
            leaks(folder.path(), &format!("joined by {code}\n")),
            [
                "a secret stands in its output: line 1: the code of an invite",
                "a secret stands in server-1.log: line 1: the code of an invite",
            ]
        );
    }

    #[test]
    fn files_of_secrets_are_known_by_a_word_of_their_name() {
        for name in
            ["passphrase.txt", "other-passphrase.txt", "pin", "wrong-pin", "alice-p12-password.txt", "a.pass"]
        {
            assert!(holds_secrets(name), "{name}");
        }
        for name in ["spinning.txt", "pinned.pem", "tokens.conf", "server-1.log"] {
            assert!(!holds_secrets(name), "{name}");
        }
    }

    #[test]
    fn the_public_half_of_a_key_is_no_secret() {
        let public = "m3DPh3Y5o0oG7T6r1Yy9tVwJm0uQ2sZb4cXeF8aKLpR5vWnHd7gB";
        let folder = tempfile::tempdir().unwrap();
        let key =
            format!("-----BEGIN PRIVATE KEY-----\n{LINE}\n{LINE}\n{public}\n-----END PRIVATE KEY-----\n");
        fs::write(folder.path().join("a-key.pem"), &key).unwrap();
        fs::write(folder.path().join("a.pem"), format!("MIIB{public}\n")).unwrap();
        assert_eq!(leaks(folder.path(), ""), [""; 0]);
        fs::write(folder.path().join("a.pem"), format!("{LINE}\n")).unwrap();
        assert_eq!(leaks(folder.path(), ""), ["a private key or passphrase of the case stands in a.pem"]);
    }

    #[test]
    fn a_copy_in_a_file_that_holds_keys_is_no_leak() {
        let folder = tempfile::tempdir().unwrap();
        let key = format!("-----BEGIN PRIVATE KEY-----\n{LINE}\n-----END PRIVATE KEY-----\n");
        fs::write(folder.path().join("a-key.pem"), &key).unwrap();
        fs::write(folder.path().join("both.pem"), format!("-----BEGIN CERTIFICATE-----\n{key}")).unwrap();
        assert_eq!(leaks(folder.path(), ""), [""; 0]);
    }

    #[test]
    fn a_private_key_in_json_is_a_file_of_keys_and_its_member_d_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let secret = "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE";
        let key = format!(r#"{{"kty":"EC","crv":"P-256","x":"MKBC","y":"4Etl","d":"{secret}"}}"#);
        fs::write(folder.path().join("a.jwk"), key).unwrap();
        fs::write(folder.path().join("public.jwk"), r#"{"kty":"EC","crv":"P-256","x":"MKBC"}"#).unwrap();
        assert_eq!(leaks(folder.path(), ""), [""; 0]);
        assert_eq!(
            leaks(folder.path(), secret),
            ["a private key or passphrase of the case stands in its output"]
        );
    }
}
