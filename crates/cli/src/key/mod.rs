//! The key that stands where a path to a key file may stand: the file, a PKCS#11 URI of a key in a token, or a reference to
//! a program or service that signs.

mod https;

use std::path::Path;
use std::sync::Arc;

use keys::pkcs11::{TokenError, TokenKey, Uri};
use keys::{Passphrase, PrivateKey};
use net::tls::Credentials;
use pki::Certificate;
use pki::key::{KeyAlgorithm, PublicKey, SignError, SignatureAlgorithm, SigningKey};

use crate::context::Context;
use crate::failure::{Failure, OrFail as _};
use crate::input;

/// A key of ours, wherever it is.
#[derive(Clone)]
pub(crate) enum OwnKey {
    /// It is in memory.
    File(PrivateKey),
    /// It is in a token, or behind a program or a service; and the reference that names it.
    Elsewhere(Arc<dyn SigningKey>, String),
}

/// What a text that is no path refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A key in a token.
    Token,
    /// A program that signs.
    Command,
    /// A service that signs.
    Https,
}

/// Whether this is a reference and no path of a file. A file by such a name is reached as `./pkcs11:…`.
pub(crate) fn reference(path: &Path) -> Option<(Kind, &str)> {
    let text = path.to_str()?;
    let starts =
        |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    if starts(keys::pkcs11::uri::SCHEME) {
        return Some((Kind::Token, text));
    }
    if starts(keys::command::SCHEME) {
        return Some((Kind::Command, text));
    }
    starts(https::SCHEME).then_some((Kind::Https, text))
}

impl OwnKey {
    /// Opens the key that a path or reference names.
    pub(crate) fn open(
        context: &Context,
        path: &Path,
        passphrase: Option<&Passphrase>,
    ) -> Result<Self, Failure> {
        match reference(path) {
            None => input::private_key(context, path, passphrase).map(OwnKey::File),
            Some((Kind::Token, text)) => {
                let uri = token_uri(text)?;
                let pin = input::passphrase(context, uri.pin_source.as_deref())?;
                let key = TokenKey::open(&uri, pin).or_usage()?;
                Ok(OwnKey::Elsewhere(Arc::new(key), text.to_owned()))
            }
            Some((Kind::Command, text)) => {
                Ok(OwnKey::Elsewhere(Arc::new(keys::command::open(text).or_usage()?), text.to_owned()))
            }
            Some((Kind::Https, text)) => {
                Ok(OwnKey::Elsewhere(Arc::new(https::open(context, text)?), text.to_owned()))
            }
        }
    }

    /// With a certificate's chain, as a side of a TLS connection.
    pub(crate) fn credentials(
        self,
        chain: Vec<Certificate>,
    ) -> Result<Credentials, net::tls::CredentialsError> {
        match self {
            OwnKey::File(key) => Credentials::new(chain, key.to_pkcs8_der()),
            OwnKey::Elsewhere(key, _) => Credentials::with_signer(chain, key),
        }
    }

    fn signer(&self) -> &dyn SigningKey {
        match self {
            OwnKey::File(key) => key,
            OwnKey::Elsewhere(key, _) => &**key,
        }
    }
}

/// The key for a new certificate: made here, or the one that a reference names.
pub(crate) fn new_or_at(
    context: &Context,
    reference: Option<&str>,
    algorithm: KeyAlgorithm,
) -> Result<OwnKey, Failure> {
    match reference {
        None => Ok(OwnKey::File(PrivateKey::generate(algorithm).or_usage()?)),
        Some(text) => open_or_make(context, text, algorithm),
    }
}

/// Opens the key of a reference; one in a token that is not there yet is made there. The reference of the key that is
/// given back names this very one.
fn open_or_make(context: &Context, text: &str, algorithm: KeyAlgorithm) -> Result<OwnKey, Failure> {
    match reference(Path::new(text)) {
        None => Err(Failure::usage(format!("{text} is no reference to a key in a token or behind a signer"))
            .hint("pkcs11:token=TOKEN;object=KEY?module-path=FILE&pin-source=file:FILE")
            .hint("command:/PATH/PROGRAM?key=NAME    (docs/external-signers.md)")),
        Some((Kind::Token, _)) => {
            let uri = token_uri(text)?;
            let pin = input::passphrase(context, uri.pin_source.as_deref())?;
            match TokenKey::open(&uri, pin.clone()) {
                Ok(key) => Ok(OwnKey::Elsewhere(Arc::new(key), text.to_owned())),
                Err(TokenError::NoKey { .. }) if uri.object.is_some() => {
                    let made = keys::pkcs11::generate(&uri, pin.clone(), algorithm).or_usage()?;
                    context.say(format!("Made a key in the token: {made}"));
                    let key = TokenKey::open(&made, pin).or_usage()?;
                    Ok(OwnKey::Elsewhere(Arc::new(key), made.to_string()))
                }
                Err(error) => Err(error).or_usage(),
            }
        }
        Some(_) => OwnKey::open(context, Path::new(text), None),
    }
}

/// Reads a PKCS#11 URI from an argument or a configuration.
pub(crate) fn token_uri(text: &str) -> Result<Uri, Failure> {
    text.parse::<Uri>().or_usage()
}

impl SigningKey for OwnKey {
    fn public_key(&self) -> &PublicKey {
        self.signer().public_key()
    }

    fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.signer().signature_algorithm()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.signer().sign(message)
    }

    fn signature_algorithms(&self) -> Vec<SignatureAlgorithm> {
        self.signer().signature_algorithms()
    }

    fn sign_with(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.signer().sign_with(algorithm, message)
    }

    fn is_elsewhere(&self) -> bool {
        self.signer().is_elsewhere()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_told_from_paths_by_their_scheme() {
        for (text, expected) in [
            ("alice-key.pem", None),
            ("./pkcs11:token=x", None),
            ("commands/key.pem", None),
            ("pkcs11:token=x", Some(Kind::Token)),
            ("PKCS11:token=x", Some(Kind::Token)),
            ("command:/usr/bin/sign", Some(Kind::Command)),
            ("https+signer://kms.test/sign", Some(Kind::Https)),
        ] {
            assert_eq!(reference(Path::new(text)).map(|(kind, _)| kind), expected, "{text}");
        }
    }
}
