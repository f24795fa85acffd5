//! A configuration file of any text. The module is the binary's, which nothing can link, so it is taken as it is.
#![no_main]
#![allow(dead_code, unused_imports, reason = "only the reading of files is used")]

#[path = "../../crates/cli/src/config/mod.rs"]
mod config;
#[path = "../../crates/cli/src/duration.rs"]
mod duration;
#[path = "../../crates/cli/src/failure.rs"]
mod failure;

/// Stands in for the module of the binary: a file's contents are the input.
mod input {
    use std::cell::RefCell;
    use std::path::Path;

    use crate::failure::Failure;

    thread_local! {
        pub(crate) static CONTENTS: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }

    pub(crate) fn bytes(_: &Path) -> Result<Vec<u8>, Failure> {
        Ok(CONTENTS.with_borrow(Clone::clone))
    }
}

/// Stands in for the module of the binary: what is a reference to a key, and no path.
mod key {
    use std::path::Path;

    pub(crate) fn reference(path: &Path) -> Option<()> {
        let schemes = ["pkcs11:", "command:", "https+signer:"];
        schemes.iter().any(|scheme| path.to_str().is_some_and(|text| text.starts_with(scheme))).then_some(())
    }
}

/// Stands in for the module of the binary: which sources of passphrases are files.
mod passphrase {
    pub(crate) fn is_a_file(source: &str) -> bool {
        source != "prompt" && !source.starts_with("fd:") && !source.starts_with("credential:")
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // It would read a file of any name.
    if bytes.windows(10).any(|word| word == b"allow_file") {
        return;
    }
    input::CONTENTS.set(bytes.to_vec());
    if let Ok(config) = config::Config::read(std::path::Path::new("countersign.toml")) {
        assert!(!config.listeners.is_empty());
        let _ = (config.files(), config.identity_limits(), config::show::json(&config));
    }
});
