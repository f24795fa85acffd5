//! Keys in tokens: smart cards, hardware security modules, TPMs, whatever has a PKCS#11 module. A key there is named by
//! a URI ([`mod@uri`]), its module is loaded once in a process, and its signatures are made on threads of their own
//! ([`TokenKey`]), so that a slow token makes nobody wait who did not ask it. [`generate()`] makes keys that never leave
//! their token. Loading a module runs its code: who may name one may run code here.

mod error;
mod generate;
mod key;
mod module;
mod object;
mod sign;
pub mod uri;

pub use error::TokenError;
pub use generate::generate;
pub use key::TokenKey;
pub use uri::{Uri, UriError};
