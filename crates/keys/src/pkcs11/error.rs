//! Why a token did not do what was asked: what was wanted, what is there, and what to do about it.

use std::path::PathBuf;

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};
use pki::key::{KeyAlgorithm, SignatureAlgorithm};

/// Why a key in a token cannot be used or made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No module is named, and there is none that knows all others.
    #[error(
        "the PKCS#11 URI names no module, and p11-kit's proxy is not installed; name it: \
         module-path=/usr/lib/softhsm/libsofthsm2.so, or whichever file the token's maker gives"
    )]
    NoModule,
    /// A name without a file.
    #[error(
        "there is no PKCS#11 module '{name}' ({name}.so or lib{name}.so in {searched}); give its file with module-path="
    )]
    ModuleName {
        /// The name.
        name: String,
        /// Where it was looked for.
        searched: String,
    },
    /// The file is no module that can be loaded.
    #[error(
        "the PKCS#11 module {path} cannot be used: {why}; give the file that the token's maker installs, such as /usr/lib/softhsm/libsofthsm2.so"
    )]
    Module {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// No token fits.
    #[error("no token fits {wanted}: the module {module} has {found}")]
    NoToken {
        /// What was asked for.
        wanted: String,
        /// The module.
        module: PathBuf,
        /// The tokens that are there.
        found: String,
    },
    /// More than one token fits.
    #[error("{wanted} fits several tokens: {found}; add the serial= of the one that is meant")]
    SeveralTokens {
        /// What was asked for.
        wanted: String,
        /// The tokens that fit.
        found: String,
    },
    /// No PIN was given, and the token wants one.
    #[error(
        "the token '{0}' wants a PIN, and none is given; write it into a file with mode 0600 and name that: pin-source=file:/path/to/pin"
    )]
    NoPin(String),
    /// The token refused the PIN.
    #[error(
        "the token '{0}' refused the PIN. It is not tried again, since tokens lock themselves after a few wrong ones; put the right PIN into the file, then start again"
    )]
    PinRefused(String),
    /// One try is left.
    #[error(
        "the token '{0}' locks itself after one more wrong PIN, so none is tried here; log in once with the right one by the token's own tool (pkcs11-tool --login --test), which sets the count back"
    )]
    PinLastTry(String),
    /// The token is locked.
    #[error(
        "the token '{0}' has locked its user PIN after too many wrong ones; its security officer can set a new one (pkcs11-tool --init-pin --login --login-type so)"
    )]
    PinLocked(String),
    /// The token was never given a user PIN.
    #[error("the token '{0}' has no user PIN yet; set one: pkcs11-tool --init-pin --login --login-type so")]
    PinNotSet(String),
    /// The PIN has a form that the token does not take.
    #[error(
        "the token '{token}' takes PINs of {shortest} to {longest} characters, and the one given has {length}"
    )]
    PinLength {
        /// The token.
        token: String,
        /// The fewest characters.
        shortest: usize,
        /// The most.
        longest: usize,
        /// Those of the PIN.
        length: usize,
    },
    /// The URI names something else than a private key.
    #[error("the PKCS#11 URI has type={0}, and a private key is needed: type=private, or no type")]
    NotPrivate(String),
    /// No key fits.
    #[error("the token '{token}' has no private key for {wanted}; it has {found}")]
    NoKey {
        /// The token.
        token: String,
        /// What was asked for.
        wanted: String,
        /// The keys that are there.
        found: String,
    },
    /// More than one key fits.
    #[error(
        "the token '{token}' has several private keys for {wanted}: {found}; name one by its object= or id="
    )]
    SeveralKeys {
        /// The token.
        token: String,
        /// What was asked for.
        wanted: String,
        /// The keys that fit.
        found: String,
    },
    /// The public half is not in the token.
    #[error(
        "the token '{token}' has no public half for its key {key}: neither a public key nor a certificate with the same id; write the certificate into it (pkcs11-tool --write-object CERT --type cert --id ID)"
    )]
    NoPublicKey {
        /// The token.
        token: String,
        /// The key.
        key: String,
    },
    /// The key is of a kind that is not used.
    #[error(
        "the key {key} in the token '{token}' cannot be used: {why}; use RSA of 2048 bits and more, ECDSA P-256 or P-384, or Ed25519"
    )]
    KeyKind {
        /// The token.
        token: String,
        /// The key.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// The key asks for a PIN for every signature.
    #[error(
        "the key {key} in the token '{token}' wants its PIN again for every signature (CKA_ALWAYS_AUTHENTICATE), which no service can give; use another key of the token"
    )]
    AlwaysAuthenticate {
        /// The token.
        token: String,
        /// The key.
        key: String,
    },
    /// The key may not sign.
    #[error(
        "the key {key} in the token '{token}' may not sign (its CKA_SIGN is false); use a key that was made for signatures"
    )]
    MayNotSign {
        /// The token.
        token: String,
        /// The key.
        key: String,
    },
    /// The token has no mechanism for this.
    #[error("the token '{token}' does not offer {mechanism}, which {needed_for} needs; it offers {offered}")]
    Mechanism {
        /// The token.
        token: String,
        /// The mechanism's name in PKCS#11.
        mechanism: String,
        /// What for.
        needed_for: String,
        /// The ones it has that sign or make keys.
        offered: String,
    },
    /// A kind of key that is not made in tokens.
    #[error("{0} keys are not made in tokens; use p256, p384, ed25519, rsa2048, rsa3072 or rsa4096")]
    NotMade(KeyAlgorithm),
    /// A key of that name is there.
    #[error(
        "the token '{token}' has a key named '{label}' already, and it is left as it is; take another name, or use that key"
    )]
    KeyIsThere {
        /// The token.
        token: String,
        /// The name.
        label: String,
    },
    /// Another kind of signature than the key makes.
    #[error("the {key} key in the token does not sign with {algorithm}")]
    Algorithm {
        /// The kind of key.
        key: KeyAlgorithm,
        /// What was asked.
        algorithm: SignatureAlgorithm,
    },
    /// The token is not there.
    #[error("the token '{0}' was taken away; it is used again as soon as it is back")]
    Away(String),
    /// The token answers too slowly.
    #[error(
        "the token did not answer within {0} seconds; look whether it is connected, and whether another program holds it"
    )]
    Slow(u64),
    /// What the token made is no signature of its key.
    #[error(
        "the token made a signature that its own public key does not verify; the public key or certificate beside the key belongs to another, or the token is broken"
    )]
    WrongSignature,
    /// The token or its module said no.
    #[error("{call} failed with {code}")]
    Refused {
        /// The function of PKCS#11.
        call: String,
        /// The code, by its name in PKCS#11.
        code: String,
    },
    /// The system gave no thread.
    #[error("no thread could be had for the token")]
    NoThread,
}

impl TokenError {
    /// What the module said, where nothing more is known.
    pub(super) fn of(error: Error) -> Self {
        match error {
            Error::Pkcs11(code, call) => {
                TokenError::Refused { call: format!("C_{}", name_of(call)), code: code_name(code) }
            }
            other => TokenError::Refused { call: "the PKCS#11 module".to_owned(), code: other.to_string() },
        }
    }
}

fn name_of(call: Function) -> String {
    format!("{call:?}")
}

/// `CKR_PIN_INCORRECT` of `PinIncorrect`.
fn code_name(code: RvError) -> String {
    let name = match code {
        RvError::VendorDefined(number) | RvError::UnknownErrorCode(number) => {
            return format!("the code 0x{number:08x}");
        }
        known => format!("{known:?}"),
    };
    let mut text = "CKR".to_owned();
    for character in name.chars() {
        if character.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(character.to_ascii_uppercase());
    }
    text
}

/// Whether the session, the login or the token behind it is gone, so that a new one may help.
pub(super) fn is_lost(error: &Error) -> bool {
    let Error::Pkcs11(code, _) = error else { return false };
    matches!(
        code,
        RvError::DeviceRemoved
            | RvError::DeviceError
            | RvError::DeviceMemory
            | RvError::GeneralError
            | RvError::FunctionFailed
            | RvError::TokenNotPresent
            | RvError::TokenNotRecognized
            | RvError::SlotIdInvalid
            | RvError::SessionClosed
            | RvError::SessionHandleInvalid
            | RvError::UserNotLoggedIn
            | RvError::KeyHandleInvalid
            | RvError::ObjectHandleInvalid
            | RvError::OperationActive
            | RvError::CryptokiNotInitialized
    )
}

/// Whether the token itself is not there.
pub(super) fn is_away(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::DeviceRemoved
                | RvError::TokenNotPresent
                | RvError::TokenNotRecognized
                | RvError::SlotIdInvalid,
            _
        )
    )
}
