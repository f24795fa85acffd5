//! Writing what was asked for: secrets into files of mode 0600 or, where `-` says so, to a pipe; never onto a terminal.

use std::io::IsTerminal as _;
use std::path::Path;

use keys::file::{Replace, write_private, write_public};

use crate::context::Context;
use crate::failure::{Failure, OrFail as _};

/// Writes a secret.
pub(super) fn secret(context: &Context, out: &Path, bytes: &[u8], force: bool) -> Result<(), Failure> {
    if out != Path::new("-") {
        return write_private(out, bytes, replace(force)).or_usage();
    }
    if std::io::stdout().is_terminal() {
        return Err(Failure::usage(
            "a private key is not printed onto a terminal, whose scrollback keeps it",
        )
        .hint("--out FILE, or a pipe"));
    }
    context.bytes(bytes);
    Ok(())
}

/// Writes what everybody may see; to standard output where no file is named.
pub(super) fn public(
    context: &Context,
    out: Option<&Path>,
    bytes: &[u8],
    force: bool,
) -> Result<(), Failure> {
    match out.filter(|out| *out != Path::new("-")) {
        Some(out) => write_public(out, bytes, replace(force)).or_usage(),
        None => {
            context.bytes(bytes);
            Ok(())
        }
    }
}

fn replace(force: bool) -> Replace {
    if force { Replace::Yes } else { Replace::No }
}
