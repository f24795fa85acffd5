//! Randomness, from AWS-LC's generator (seeded by the operating system): serial numbers, salts, file names.
//! Keys are made by AWS-LC itself ([`crate::PrivateKey::generate`]), not from these bytes.

/// The operating system or the provider gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the system's random number generator failed; check that /dev/urandom or getrandom(2) works in this environment"
)]
pub struct RandomError;

/// Fills `bytes` with random ones.
///
/// # Errors
/// [`RandomError`] where the generator fails; `bytes` must not be used then.
pub fn fill(bytes: &mut [u8]) -> Result<(), RandomError> {
    aws_lc_rs::rand::fill(bytes).map_err(|_| RandomError)
}

/// `N` random bytes.
///
/// ```
/// let serial = keys::random::random_bytes::<16>()?;
/// assert_ne!(serial, keys::random::random_bytes::<16>()?);
/// # Ok::<(), keys::random::RandomError>(())
/// ```
///
/// # Errors
/// [`RandomError`] where the generator fails.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}
