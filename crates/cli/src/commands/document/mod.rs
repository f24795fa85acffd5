//! `countersign document`: signatures over documents, which are files of any kind and size.

mod judge;
mod sign;
mod timestamp;
mod verify;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use clap::Subcommand;
use pki::cms::{ContentHash, HashAlgorithm, Hasher, Intake, SignedData};

use crate::context::Context;
use crate::failure::{Failure, OrFail as _, Outcome};
use crate::input::plain;

/// Sign documents, and verify what others signed
#[derive(Debug, Subcommand)]
#[command(before_help = "\
Examples:
  countersign document sign contract.pdf --cert alice.pem
      # contract.pdf.p7s, beside it
  countersign document verify contract.pdf --signature contract.pdf.p7s \\
      --cacert rootCA.pem
  openssl cms -verify -binary -inform DER -in contract.pdf.p7s \\
      -content contract.pdf -CAfile rootCA.pem -purpose any -out /dev/null
      # the same by OpenSSL")]
pub(crate) enum Document {
    /// Make a detached CMS signature
    Sign(sign::Sign),
    /// Check content, signature, chain, purpose and revocation, and say who signed, when, and what that is worth
    Verify(verify::Verify),
    /// Have a time-stamping authority say when a signature was there (RFC 3161)
    Timestamp(timestamp::TimestampArguments),
}

impl Document {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self {
            Document::Sign(command) => command.run(context),
            Document::Verify(command) => command.run(context),
            Document::Timestamp(command) => command.run(context),
        }
    }
}

/// What is read at once: large enough that hashing is all that counts.
const PIECE: usize = 256 * 1024;

/// Opens a file, or standard input for `-`.
fn open(path: &Path) -> Result<Box<dyn Read>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(std::io::stdin()));
    }
    let cannot = |why: String| Failure::usage(format!("cannot read {}: {why}", path.display()));
    let file = File::open(path).map_err(|error| cannot(plain(&error)))?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(cannot("it is a directory".to_owned()).hint("tar it first, and sign the archive"));
    }
    Ok(Box::new(file))
}

/// Reads a file in pieces.
fn each_piece(path: &Path, mut take: impl FnMut(&[u8]) -> Result<(), Failure>) -> Result<u64, Failure> {
    let mut file = open(path)?;
    let mut buffer = vec![0; PIECE];
    let mut octets = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(octets),
            Ok(count) => {
                octets += count as u64;
                take(&buffer[..count])?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(Failure::usage(format!("cannot read {}: {}", path.display(), plain(&error))));
            }
        }
    }
}

/// The hashes of a file's content.
fn hash_file(path: &Path, algorithms: &[HashAlgorithm]) -> Result<ContentHash, Failure> {
    let mut hasher = Hasher::new(algorithms);
    each_piece(path, |octets| {
        hasher.update(octets);
        Ok(())
    })?;
    Ok(hasher.finish())
}

/// Reads a signature, DER, BER or PEM, with its content where that came along; that goes on to `content`.
fn read_signature(
    path: &Path,
    content: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
) -> Result<SignedData, Failure> {
    let damaged = |error: &dyn std::fmt::Display| Failure::refused(format!("{}: {error}", path.display()));
    let mut written = Ok(());
    let mut intake = Intake::new();
    let mut text: Option<Vec<u8>> = None;
    let mut is_first = true;
    let mut keep = |octets: &[u8]| {
        if written.is_ok() {
            written = content(octets);
        }
    };
    each_piece(path, |octets| {
        if std::mem::take(&mut is_first) && octets.first() != Some(&0x30) {
            text = Some(Vec::new());
        }
        match &mut text {
            // PEM is decoded as a whole, and so it is bounded.
            Some(text) if text.len() + octets.len() > 2 * pki::cms::LARGEST => {
                Err(Failure::refused(format!(
                    "{} is text of more than 16 MiB; a signature of that size is read in DER",
                    path.display()
                ))
                .hint(format!(
                    "openssl cms -cmsout -inform PEM -in {} -outform DER -out SIG.p7s",
                    path.display()
                )))
            }
            Some(text) => {
                text.extend_from_slice(octets);
                Ok(())
            }
            None => intake.push_to(octets, &mut keep).map_err(|error| damaged(&error)),
        }
    })?;
    if let Some(text) = text {
        for der in from_text(path, &text)? {
            intake.push_to(&der, &mut keep).map_err(|error| damaged(&error))?;
        }
    }
    written.map_err(|error| Failure::usage(format!("cannot write the content: {}", plain(&error))))?;
    intake.finish().map_err(|error| damaged(&error))
}

fn from_text(path: &Path, text: &[u8]) -> Result<Vec<Vec<u8>>, Failure> {
    if text.is_empty() {
        return Err(Failure::refused(format!("{} is empty", path.display())));
    }
    let start = String::from_utf8_lossy(&text[..text.len().min(512)]).to_lowercase();
    if start.contains("mime-version:") || start.contains("content-type: multipart/signed") {
        return Err(Failure::usage(format!("{} is S/MIME mail, which is not read here", path.display()))
            .hint(format!("openssl cms -verify -in {} -CAfile rootCA.pem", path.display())));
    }
    let blocks = pki::pem::read(text)
        .map_err(|error| Failure::refused(format!("{} is no signature: {error}", path.display())))?;
    let found: Vec<Vec<u8>> =
        blocks.into_iter().filter(|b| matches!(b.label.as_str(), "CMS" | "PKCS7")).map(|b| b.der).collect();
    if found.len() == 1 {
        return Ok(found);
    }
    Err(Failure::refused(format!(
        "{} holds {} signatures, and one belongs in it",
        path.display(),
        found.len()
    )))
}

/// The whole of a small signature in DER.
fn whole_signature(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = crate::input::bytes(path)?;
    if bytes.first() == Some(&0x30) {
        return Ok(bytes);
    }
    from_text(path, &bytes)?.pop().ok_or_else(|| Failure::refused(format!("{} is empty", path.display())))
}

/// The signature as it is read from memory, for commands that change it.
fn parsed(path: &Path, der: &[u8]) -> Result<SignedData, Failure> {
    let mut intake = Intake::new();
    intake.push(der).or_refuse()?;
    intake.finish().map_err(|error| Failure::refused(format!("{}: {error}", path.display())))
}
