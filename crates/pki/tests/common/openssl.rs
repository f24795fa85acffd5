//! Runs the real openssl. A machine without it fails the test, and the message says what to install.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pki::Certificate;
use tempfile::TempDir;

/// A folder for one test's files, and openssl in it.
pub(crate) struct Openssl {
    folder: TempDir,
}

impl Openssl {
    pub(crate) fn new() -> Self {
        Openssl { folder: TempDir::new().unwrap() }
    }

    /// Writes a file and gives its path.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes certificates as PEM, one after the other.
    pub(crate) fn pem(&self, name: &str, certificates: &[&Certificate]) -> PathBuf {
        self.file(name, certificates.iter().map(|certificate| certificate.to_pem()).collect::<String>())
    }

    /// Runs openssl; `Err` has everything it said.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String, String> {
        self.run_with_input(arguments, &[])
    }

    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Result<String, String> {
        let mut child = Command::new("openssl")
            .args(arguments)
            .current_dir(self.folder.path())
            // No configuration of the machine may change what a test means.
            .env("OPENSSL_CONF", "/dev/null")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("openssl cannot be run ({error}); install it: apt-get install openssl")
            });
        // openssl may end without reading its input.
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() { Ok(said) } else { Err(said) }
    }

    /// `openssl verify` as strict as it gets, at `testkit::now()`.
    pub(crate) fn verify(
        &self,
        root: &Certificate,
        untrusted: &[Certificate],
        leaf: &Certificate,
        more: &[&str],
    ) -> Result<String, String> {
        let root = self.pem("root.pem", &[root]);
        let untrusted = self.pem("untrusted.pem", &untrusted.iter().collect::<Vec<_>>());
        let leaf = self.pem("leaf.pem", &[leaf]);
        let at = testkit::now().as_second().to_string();
        let mut arguments = vec!["verify", "-x509_strict", "-attime", &at, "-CAfile", text(&root)];
        if std::fs::metadata(&untrusted).unwrap().len() > 0 {
            arguments.extend(["-untrusted", text(&untrusted)]);
        }
        arguments.extend_from_slice(more);
        arguments.push(text(&leaf));
        self.run(&arguments)
    }
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
