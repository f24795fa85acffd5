//! Where passphrases come from: a file, a descriptor, a systemd credential, or the person at the terminal. Never an
//! argument and never a value of the environment: every user of the machine reads the former, and every child and crash
//! report has the latter.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use keys::Passphrase;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::context::Context;
use crate::failure::{Failure, OrFail as _};
use crate::input::plain;

/// The most octets that are typed.
const LONGEST: usize = 1024;

/// Whether a source names a file, rather than a descriptor, a credential, or the terminal. A file with such a name is
/// written with its folder: `./prompt`.
pub(crate) fn is_a_file(source: &str) -> bool {
    source != "prompt" && !source.starts_with("fd:") && !source.starts_with("credential:")
}

/// The passphrase that a source holds: the first line of a file, of a descriptor (`fd:3`) or of a credential of systemd's
/// (`credential:NAME`), or what is typed (`prompt`). What can be read only once is kept for the next time it is asked for.
pub(crate) fn read(context: &Context, source: &Path, what: &str) -> Result<Passphrase, Failure> {
    static ONCE: Mutex<BTreeMap<(PathBuf, String), Passphrase>> = Mutex::new(BTreeMap::new());
    let text = source.to_str().unwrap_or_default();
    if is_a_file(text) {
        return from_file(context, source);
    }
    if let Some(name) = text.strip_prefix("credential:") {
        return from_credential(context, name);
    }
    // Typed passphrases are told apart by what they are for; a descriptor has one.
    let what_for = if text == "prompt" { what.to_owned() } else { String::new() };
    let mut known = ONCE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(passphrase) = known.get(&(source.to_owned(), what_for.clone())) {
        return Ok(passphrase.clone());
    }
    let passphrase = match text.strip_prefix("fd:") {
        Some(number) => from_descriptor(number)?,
        None => ask(what)?,
    };
    known.insert((source.to_owned(), what_for), passphrase.clone());
    Ok(passphrase)
}

/// The same for something new: what is typed is typed twice, and an empty one is none.
pub(crate) fn read_new(context: &Context, source: &Path, what: &str) -> Result<Passphrase, Failure> {
    let passphrase = read(context, source, what)?;
    if passphrase.is_empty() {
        return Err(Failure::usage(format!("the passphrase from {} is empty", source.display()))
            .hint("an empty passphrase protects nothing; put one into the first line"));
    }
    if source == Path::new("prompt") && !ask(&format!("{what}, again"))?.is_same_as(&passphrase) {
        return Err(Failure::usage("the two passphrases differ, and nothing was made"));
    }
    Ok(passphrase)
}

fn from_file(context: &Context, path: &Path) -> Result<Passphrase, Failure> {
    let (passphrase, warnings) = keys::file::read_passphrase_file(path).or_usage()?;
    for warning in warnings {
        context.warn(warning.to_string());
    }
    Ok(passphrase)
}

fn from_credential(context: &Context, name: &str) -> Result<Passphrase, Failure> {
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(Failure::usage(format!("'{name}' is no name of a credential; it is a plain file name")));
    }
    let directory = context.credentials_directory().ok_or_else(|| {
        Failure::usage(format!("there is no credential '{name}': CREDENTIALS_DIRECTORY is not set"))
            .hint(format!("in the unit of the service: LoadCredential={name}:/etc/countersign/{name}"))
    })?;
    // systemd gives the service alone access, by ways that the mode does not show.
    keys::file::read_passphrase_file(&directory.join(name)).map(|(passphrase, _)| passphrase).or_usage()
}

fn from_descriptor(number: &str) -> Result<Passphrase, Failure> {
    let valid = !number.is_empty() && number.len() < 10 && number.bytes().all(|digit| digit.is_ascii_digit());
    if !valid {
        return Err(Failure::usage(format!("'fd:{number}' names no descriptor"))
            .hint("--passphrase-file fd:3 3</path/to/file"));
    }
    let path = PathBuf::from(format!("/dev/fd/{number}"));
    keys::file::read_passphrase_file(&path).map(|(passphrase, _)| passphrase).map_err(|error| {
        Failure::usage(format!("no passphrase comes from descriptor {number}"))
            .because(&error)
            .hint("--passphrase-file fd:3 3</path/to/file")
    })
}

/// Asks at the terminal, whatever standard input and output are. Nothing is echoed.
fn ask(what: &str) -> Result<Passphrase, Failure> {
    let no_terminal = |error: std::io::Error| {
        Failure::usage(format!(
            "nobody can be asked for the passphrase: there is no terminal ({})",
            plain(&error)
        ))
        .hint("--passphrase-file FILE, fd:3 or credential:NAME")
    };
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(no_terminal)?;
    let quiet = Quiet::on(&terminal).map_err(|error| no_terminal(error.into()))?;
    let _ = write!(&terminal, "{what}: ");
    let typed = read_line(&terminal);
    drop(quiet);
    let _ = writeln!(&terminal);
    typed
}

fn read_line(mut terminal: &File) -> Result<Passphrase, Failure> {
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST));
    let mut octet = Zeroizing::new([0u8; 1]);
    loop {
        match terminal.read(&mut *octet) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => {
                return Err(Failure::usage(format!("the terminal cannot be read: {}", plain(&error))));
            }
        }
        match octet[0] {
            b'\n' | b'\r' => break,
            // Ctrl-C and Ctrl-\\, which mean nothing by themselves while nothing is echoed.
            3 | 28 => return Err(Failure::usage("given up at the passphrase, and nothing was done")),
            typed if line.len() < LONGEST => line.push(typed),
            _ => return Err(Failure::usage(format!("the passphrase is longer than {LONGEST} octets"))),
        }
    }
    Ok(Passphrase::new(line.to_vec()))
}

/// A terminal that echoes nothing and sends no signals, until it is dropped: ended by a signal in between, the process would
/// leave it silent.
struct Quiet<'a>(&'a File, rustix::termios::Termios);

impl<'a> Quiet<'a> {
    fn on(terminal: &'a File) -> Result<Self, rustix::io::Errno> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Quiet(terminal, before))
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.0, OptionalActions::Flush, &self.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_from_files_by_their_words() {
        for (source, file) in [
            ("prompt", false),
            ("fd:3", false),
            ("credential:ca", false),
            ("./prompt", true),
            ("pass.txt", true),
            ("/dev/fd/3", true),
        ] {
            assert_eq!(is_a_file(source), file, "{source}");
        }
    }

    #[test]
    fn what_names_no_descriptor_and_no_credential_is_refused() {
        let context = Context::from_environment(None, true);
        for source in
            ["fd:", "fd:x", "fd:-1", "fd:99999999999", "credential:", "credential:../x", "credential:a/b"]
        {
            assert!(read(&context, Path::new(source), "Passphrase").is_err(), "{source}");
        }
    }
}
