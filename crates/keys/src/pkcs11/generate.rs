//! New keys that never leave their token.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, ObjectClass};
use pki::der::{Writer, tag};
use pki::key::KeyAlgorithm;
use pki::oid::{self, Oid};

use super::error::TokenError;
use super::module;
use super::object::lacks;
use super::uri::Uri;
use crate::Passphrase;

/// How long a token may take to make a key: smart cards search minutes for the primes of RSA 4096.
const MAKING: Duration = Duration::from_secs(240);

/// Makes a key pair in the token that `uri` names, under `uri.object` as its label, and gives the URI of the new key, with
/// its token's serial number and its own id. The private key is sensitive and cannot be extracted.
///
/// # Errors
/// [`TokenError`]; a key that has the label already is left as it is.
pub fn generate(uri: &Uri, pin: Option<Passphrase>, algorithm: KeyAlgorithm) -> Result<Uri, TokenError> {
    let (answer, answered) = sync_channel(1);
    let uri = uri.clone();
    let run = move || {
        let _ = answer.send(make(&uri, pin.as_ref(), algorithm));
    };
    let thread =
        thread::Builder::new().name("token".to_owned()).spawn(run).map_err(|_| TokenError::NoThread)?;
    let made = answered.recv_timeout(MAKING).map_err(|error| match error {
        RecvTimeoutError::Timeout => TokenError::Slow(MAKING.as_secs()),
        RecvTimeoutError::Disconnected => TokenError::NoThread,
    })?;
    // It ends at once; a process that ended before it would crash in the module.
    let _ = thread.join();
    made
}

fn make(uri: &Uri, pin: Option<&Passphrase>, algorithm: KeyAlgorithm) -> Result<Uri, TokenError> {
    let curve = |curve: &Oid| {
        let mut writer = Writer::new();
        writer.object_identifier(curve);
        Attribute::EcParams(writer.into_bytes())
    };
    let (mechanism, mut public) = match algorithm {
        KeyAlgorithm::P256 => (Mechanism::EccKeyPairGen, vec![curve(&oid::SECP256R1)]),
        KeyAlgorithm::P384 => (Mechanism::EccKeyPairGen, vec![curve(&oid::SECP384R1)]),
        KeyAlgorithm::Ed25519 => {
            // By name, as PKCS#11 3.0 has it and older tokens know it alone.
            let mut writer = Writer::new();
            writer.primitive(tag::PRINTABLE_STRING, b"edwards25519");
            (Mechanism::EccEdwardsKeyPairGen, vec![Attribute::EcParams(writer.into_bytes())])
        }
        KeyAlgorithm::Rsa(bits @ (2048 | 3072 | 4096)) => (
            Mechanism::RsaPkcsKeyPairGen,
            vec![
                Attribute::ModulusBits(u64::from(bits).into()),
                Attribute::PublicExponent(vec![0x01, 0x00, 0x01]),
            ],
        ),
        other => return Err(TokenError::NotMade(other)),
    };
    let module = module::of(uri)?;
    let token = module.token(uri)?;
    let mechanisms = module.context.get_mechanism_list(token.slot).map_err(TokenError::of)?;
    let needed: MechanismType = mechanism.mechanism_type();
    if !mechanisms.contains(&needed) {
        return Err(lacks(&token, needed, &format!("making an {algorithm} key"), &mechanisms));
    }
    let session = module.session(&token, pin, true)?;
    let label = uri.object.clone().unwrap_or_else(|| "countersign".to_owned());
    let there = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(label.clone().into_bytes())];
    if !session.find_objects(&there).map_err(TokenError::of)?.is_empty() {
        return Err(TokenError::KeyIsThere { token: token.label().to_owned(), label });
    }
    let id = match &uri.id {
        Some(id) => id.clone(),
        None => crate::random::random_bytes::<16>().map_err(|_| TokenError::NoThread)?.to_vec(),
    };
    let both =
        [Attribute::Token(true), Attribute::Label(label.clone().into_bytes()), Attribute::Id(id.clone())];
    public.extend(both.clone());
    public.extend([Attribute::Verify(true), Attribute::Private(false)]);
    let mut private = both.to_vec();
    private.extend([
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ]);
    session.generate_key_pair(&mechanism, &public, &private).map_err(TokenError::of)?;
    Ok(Uri {
        token: Some(token.label().to_owned()),
        serial: Some(token.info.serial_number().trim_end().to_owned()),
        object: Some(label),
        id: Some(id),
        class: Some("private".to_owned()),
        module_path: uri.module_path.clone(),
        module_name: uri.module_name.clone(),
        pin_source: uri.pin_source.clone(),
        ..Uri::default()
    })
}
