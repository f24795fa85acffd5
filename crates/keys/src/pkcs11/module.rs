//! PKCS#11 modules: found, loaded once in a process, and never unloaded, since many do not survive it. And tokens: found
//! by what a URI says of them, and logged in to with one try.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::RawAuthPin;

use super::error::{TokenError, is_away};
use super::uri::Uri;
use crate::Passphrase;

/// Where modules are by the customs of Debian, Fedora, Arch, Alpine and Homebrew.
const FOLDERS: [&str; 10] = [
    "/usr/lib/x86_64-linux-gnu/pkcs11",
    "/usr/lib/aarch64-linux-gnu/pkcs11",
    "/usr/lib64/pkcs11",
    "/usr/lib/pkcs11",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib/softhsm",
    "/usr/lib64",
    "/usr/lib",
    "/opt/homebrew/lib",
];

/// The module that speaks for all those registered with p11-kit.
const PROXY: &str = "p11-kit-proxy";

static LOADED: Mutex<Vec<Arc<Module>>> = Mutex::new(Vec::new());

/// A module that is loaded.
pub(super) struct Module {
    pub(super) path: PathBuf,
    pub(super) context: Pkcs11,
    /// Held for a login: of many threads with a wrong PIN, one tries it. Hashes of a token's serial number and label with
    /// the PIN that it refused.
    refused: Mutex<HashSet<[u8; 32]>>,
}

/// A token that fits, in its slot.
pub(super) struct Token {
    pub(super) slot: Slot,
    pub(super) info: TokenInfo,
}

impl Token {
    /// Its label without the padding.
    pub(super) fn label(&self) -> &str {
        self.info.label()
    }
}

/// The module that a URI names, loaded.
pub(super) fn of(uri: &Uri) -> Result<Arc<Module>, TokenError> {
    let path = locate(uri)?;
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = loaded.iter().find(|module| module.path == path) {
        return Ok(Arc::clone(module));
    }
    let module = Arc::new(load(path)?);
    loaded.push(Arc::clone(&module));
    Ok(module)
}

fn locate(uri: &Uri) -> Result<PathBuf, TokenError> {
    if let Some(path) = &uri.module_path {
        return Ok(path.clone());
    }
    let name = uri.module_name.as_deref();
    let wanted = name.unwrap_or(PROXY);
    let names = [format!("{wanted}.so"), format!("lib{wanted}.so"), format!("{wanted}.dylib")];
    let candidates = FOLDERS.iter().flat_map(|folder| names.iter().map(|name| Path::new(folder).join(name)));
    candidates.into_iter().find(|path| path.exists()).ok_or_else(|| match name {
        Some(name) => TokenError::ModuleName { name: name.to_owned(), searched: FOLDERS.join(", ") },
        None => TokenError::NoModule,
    })
}

fn load(path: PathBuf) -> Result<Module, TokenError> {
    let wrong = |why: String| TokenError::Module { path: path.clone(), why };
    let metadata = std::fs::metadata(&path).map_err(|error| {
        wrong(match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
            std::io::ErrorKind::PermissionDenied => "it may not be read".to_owned(),
            _ => error.to_string(),
        })
    })?;
    if !metadata.is_file() {
        return Err(wrong("it is no file".to_owned()));
    }
    // Whoever can write it runs code in this process, beside its keys.
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o002 != 0 {
        return Err(wrong("every user of this machine can write to it (chmod o-w)".to_owned()));
    }
    let context = Pkcs11::new(&path).map_err(|error| wrong(why_not_loaded(&error)))?;
    match context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(wrong(format!("it does not start: {}", TokenError::of(error)))),
    }
    Ok(Module { path, context, refused: Mutex::default() })
}

fn why_not_loaded(error: &Error) -> String {
    match error {
        Error::MissingSymbol(_) | Error::NullFunctionPointer => {
            "it is a library, and no PKCS#11 module (it has no C_GetFunctionList)".to_owned()
        }
        Error::LibraryLoading(error) => {
            let text = error.to_string();
            if text.contains("C_GetFunctionList") {
                "it is a library, and no PKCS#11 module (it has no C_GetFunctionList)".to_owned()
            } else {
                format!("it is no library that can be loaded ({text})")
            }
        }
        other => other.to_string(),
    }
}

impl Module {
    /// The one token that fits.
    pub(super) fn token(&self, uri: &Uri) -> Result<Token, TokenError> {
        self.check_library(uri)?;
        let slots = self.context.get_slots_with_token().map_err(TokenError::of)?;
        let mut fitting = Vec::new();
        let mut others = Vec::new();
        for slot in slots {
            // One that was taken away in between is not there.
            let Ok(info) = self.context.get_token_info(slot) else { continue };
            if info.token_initialized() && self.fits(uri, slot, &info) {
                fitting.push(Token { slot, info });
            } else if info.token_initialized() {
                others.push(format!("'{}' (serial={})", info.label(), info.serial_number()));
            }
        }
        match (fitting.len(), fitting.pop()) {
            (1, Some(token)) => Ok(token),
            (0, _) | (_, None) => Err(TokenError::NoToken {
                wanted: described(uri),
                module: self.path.clone(),
                found: listed(&others, "no token"),
            }),
            (_, Some(last)) => {
                fitting.push(last);
                let names: Vec<String> = fitting
                    .iter()
                    .map(|token| format!("'{}' (serial={})", token.label(), token.info.serial_number()))
                    .collect();
                Err(TokenError::SeveralTokens { wanted: described(uri), found: listed(&names, "none") })
            }
        }
    }

    fn check_library(&self, uri: &Uri) -> Result<(), TokenError> {
        if uri.library_description.is_none()
            && uri.library_manufacturer.is_none()
            && uri.library_version.is_none()
        {
            return Ok(());
        }
        let info = self.context.get_library_info().map_err(TokenError::of)?;
        let version = (info.library_version().major(), info.library_version().minor());
        let same =
            |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|w| w == found.trim_end());
        if same(&uri.library_description, info.library_description())
            && same(&uri.library_manufacturer, info.manufacturer_id())
            && uri.library_version.is_none_or(|wanted| wanted == version)
        {
            return Ok(());
        }
        Err(TokenError::NoToken {
            wanted: described(uri),
            module: self.path.clone(),
            found: format!(
                "the description '{}', the manufacturer '{}' and the version {}.{}",
                info.library_description().trim_end(),
                info.manufacturer_id().trim_end(),
                version.0,
                version.1
            ),
        })
    }

    fn fits(&self, uri: &Uri, slot: Slot, info: &TokenInfo) -> bool {
        let same =
            |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|w| w == found.trim_end());
        let of_slot = || {
            if uri.slot_description.is_none() && uri.slot_manufacturer.is_none() {
                return true;
            }
            self.context.get_slot_info(slot).is_ok_and(|slot| {
                same(&uri.slot_description, slot.slot_description())
                    && same(&uri.slot_manufacturer, slot.manufacturer_id())
            })
        };
        same(&uri.token, info.label())
            && same(&uri.serial, info.serial_number())
            && same(&uri.model, info.model())
            && same(&uri.manufacturer, info.manufacturer_id())
            && uri.slot_id.is_none_or(|id| id == slot.id())
            && of_slot()
    }

    /// A session with the token, logged in where the token wants that.
    pub(super) fn session(
        &self,
        token: &Token,
        pin: Option<&Passphrase>,
        writes: bool,
    ) -> Result<Session, TokenError> {
        let opened = if writes {
            self.context.open_rw_session(token.slot)
        } else {
            self.context.open_ro_session(token.slot)
        };
        let session = opened.map_err(|error| match is_away(&error) {
            true => TokenError::Away(token.label().to_owned()),
            false => TokenError::of(error),
        })?;
        if token.info.login_required() {
            self.log_in(&session, token, pin)?;
        }
        Ok(session)
    }

    /// Logs in with one try. A PIN that was refused is not tried again in this process, and none where one wrong try is
    /// all that is left.
    fn log_in(&self, session: &Session, token: &Token, pin: Option<&Passphrase>) -> Result<(), TokenError> {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let state = session.get_session_info().map_err(TokenError::of)?.session_state();
        if matches!(state, SessionState::RoUser | SessionState::RwUser) {
            return Ok(());
        }
        let label = || token.label().to_owned();
        // Asked anew: the count of tries may have changed since the token was found.
        let info = self.context.get_token_info(token.slot).map_err(TokenError::of)?;
        if info.user_pin_locked() {
            return Err(TokenError::PinLocked(label()));
        }
        let Some(pin) = pin else {
            if info.protected_authentication_path() {
                // The PIN is typed at the token.
                return session.login(UserType::User, None).map_err(TokenError::of);
            }
            return Err(TokenError::NoPin(label()));
        };
        let mut hash = Context::new(&SHA256);
        // Tokens of a TPM have one serial number between them, and labels of their own.
        for part in [token.info.serial_number(), token.label()] {
            hash.update(part.as_bytes());
            hash.update(&[0]);
        }
        hash.update(pin.bytes());
        let mut tried = [0; 32];
        tried.copy_from_slice(hash.finish().as_ref());
        if refused.contains(&tried) {
            return Err(TokenError::PinRefused(label()));
        }
        if info.user_pin_final_try() {
            return Err(TokenError::PinLastTry(label()));
        }
        let raw = RawAuthPin::new(Box::new(pin.bytes().to_vec()));
        match session.login_with_raw(UserType::User, &raw) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid, _)) => {
                refused.insert(tried);
                Err(TokenError::PinRefused(label()))
            }
            Err(Error::Pkcs11(RvError::PinLocked, _)) => {
                refused.insert(tried);
                Err(TokenError::PinLocked(label()))
            }
            Err(Error::Pkcs11(RvError::PinLenRange, _)) => {
                refused.insert(tried);
                Err(TokenError::PinLength {
                    token: label(),
                    shortest: info.min_pin_length(),
                    longest: info.max_pin_length(),
                    length: pin.bytes().len(),
                })
            }
            Err(Error::Pkcs11(RvError::UserPinNotInitialized, _)) => Err(TokenError::PinNotSet(label())),
            Err(error) if is_away(&error) => Err(TokenError::Away(label())),
            Err(error) => Err(TokenError::of(error)),
        }
    }
}

/// What a URI asks for, without module and PIN.
pub(super) fn described(uri: &Uri) -> String {
    Uri { module_path: None, module_name: None, pin_source: None, ..uri.clone() }.to_string()
}

/// At most a dozen, so that an error stays a sentence.
pub(super) fn listed(names: &[String], none: &str) -> String {
    const MOST: usize = 12;
    match names.len() {
        0 => none.to_owned(),
        count if count > MOST => format!("{} and {} more", names[..MOST].join(", "), count - MOST),
        _ => names.join(", "),
    }
}
