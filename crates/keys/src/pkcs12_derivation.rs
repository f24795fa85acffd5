//! The key derivation of PKCS#12 (RFC 7292 appendix B.2), for MAC keys and for the older encryption schemes.

use std::num::NonZeroU32;

use aws_lc_rs::digest;
use zeroize::Zeroizing;

/// What the derived octets are for (appendix B.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Key = 1,
    InitializationVector = 2,
    MacKey = 3,
}

/// Derives `length` octets. The names in the comments are those of the RFC.
pub(crate) fn derive(
    algorithm: &'static digest::Algorithm,
    purpose: Purpose,
    password: &[u8],
    salt: &[u8],
    iterations: NonZeroU32,
    length: usize,
) -> Zeroizing<Vec<u8>> {
    let block = algorithm.block_len();
    let diversifier = vec![purpose as u8; block];
    // I: salt and password, each repeated until it fills whole blocks.
    let filled = |part: &[u8]| part.len().div_ceil(block) * block;
    let mut input = Zeroizing::new(Vec::with_capacity(filled(salt) + filled(password)));
    for part in [salt, password] {
        input.extend(part.iter().copied().cycle().take(filled(part)));
    }
    // The whole at once: a buffer that grows would leave octets of the key behind.
    let mut derived = Zeroizing::new(Vec::with_capacity(length + algorithm.output_len()));
    loop {
        let mut context = digest::Context::new(algorithm);
        context.update(&diversifier);
        context.update(&input);
        let mut round = Zeroizing::new(context.finish().as_ref().to_vec());
        for _ in 1..iterations.get() {
            let next = digest::digest(algorithm, &round);
            round.copy_from_slice(next.as_ref());
        }
        derived.extend_from_slice(&round);
        if derived.len() >= length {
            derived.truncate(length);
            return derived;
        }
        // Each block of I becomes I + B + 1, with B the round repeated to a block.
        for chunk in input.chunks_mut(block) {
            let mut carry = 1u16;
            for (at, octet) in chunk.iter_mut().enumerate().rev() {
                carry += u16::from(*octet) + u16::from(round[at % round.len()]);
                // The low octet; what is above it is carried.
                *octet = carry as u8;
                carry >>= 8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::password::Password;

    #[test]
    fn the_vectors_that_implementations_share_are_met() {
        // From the tests of Bouncy Castle and OpenSSL: password "smeg", SHA-1, one iteration and a thousand.
        let smeg = Password::new(b"smeg").utf16();
        let derived = |purpose, salt: &[u8], iterations, length| {
            let iterations = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
            let algorithm = &digest::SHA1_FOR_LEGACY_USE_ONLY;
            pki::hex(&derive(algorithm, purpose, &smeg, salt, iterations, length))
        };
        let salt = [0x0a, 0x58, 0xcf, 0x64, 0x53, 0x0d, 0x82, 0x3f];
        assert_eq!(derived(Purpose::Key, &salt, 1, 24), "8aaae6297b6cb04642ab5b077851284eb7128f1a2a7fbca3");
        assert_eq!(derived(Purpose::InitializationVector, &salt, 1, 8), "79993dfe048d3b76");
        let salt = [0x3d, 0x83, 0xc0, 0xe4, 0x54, 0x6a, 0xc1, 0x40];
        assert_eq!(derived(Purpose::MacKey, &salt, 1, 20), "8d967d88f6caa9d714800ab3d48051d63f73a312");
    }
}
