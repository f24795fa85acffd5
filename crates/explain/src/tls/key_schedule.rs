//! From secrets to keys: HKDF-Expand-Label of TLS 1.3 (RFC 8446 section 7), the PRF of TLS 1.2 (RFC 5246 section 5),
//! and what Finished is computed with. The primitives are AWS-LC's; here is only how TLS puts them together.

use aws_lc_rs::{digest, hkdf, hmac, tls_prf};
use zeroize::Zeroizing;

use crate::tls::registry::{Cipher, CipherSuite, Hash};

impl Hash {
    /// The length of its output in octets.
    pub(crate) fn length(self) -> usize {
        match self {
            Hash::Sha1 => 20,
            Hash::Sha256 => 32,
            Hash::Sha384 => 48,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Hash::Sha1 => "SHA-1",
            Hash::Sha256 => "SHA-256",
            Hash::Sha384 => "SHA-384",
        }
    }

    /// The hash of `message`.
    pub(crate) fn of(self, message: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Hash::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => &digest::SHA256,
            Hash::Sha384 => &digest::SHA384,
        };
        digest::digest(algorithm, message).as_ref().to_vec()
    }

    pub(crate) fn hmac_algorithm(self) -> hmac::Algorithm {
        match self {
            Hash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha384 => hmac::HMAC_SHA384,
        }
    }

    fn hkdf_algorithm(self) -> hkdf::Algorithm {
        match self {
            Hash::Sha384 => hkdf::HKDF_SHA384,
            Hash::Sha1 | Hash::Sha256 => hkdf::HKDF_SHA256,
        }
    }
}

struct Octets(usize);

impl hkdf::KeyType for Octets {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Expand-Label (RFC 8446 section 7.1) with an empty context. `None` where the secret is unusable.
pub(crate) fn expand_label(
    hash: Hash,
    secret: &[u8],
    label: &str,
    length: usize,
) -> Option<Zeroizing<Vec<u8>>> {
    let octets = u16::try_from(length).ok()?.to_be_bytes();
    let label_length = [u8::try_from(label.len() + 6).ok()?];
    let info: [&[u8]; 5] = [&octets, &label_length, b"tls13 ", label.as_bytes(), &[0]];
    let key = hkdf::Prk::new_less_safe(hash.hkdf_algorithm(), secret);
    let mut output = Zeroizing::new(vec![0; length]);
    key.expand(&info, Octets(length)).ok()?.fill(&mut output).ok()?;
    Some(output)
}

/// What Finished must hold under TLS 1.3 (RFC 8446 section 4.4.4).
pub(crate) fn finished_of_tls13(hash: Hash, base_key: &[u8], transcript_hash: &[u8]) -> Option<Vec<u8>> {
    let key = expand_label(hash, base_key, "finished", hash.length())?;
    let key = hmac::Key::new(hash.hmac_algorithm(), &key);
    Some(hmac::sign(&key, transcript_hash).as_ref().to_vec())
}

/// The PRF of TLS 1.2 (RFC 5246 section 5).
fn prf(hash: Hash, secret: &[u8], label: &[u8], seed: &[u8], length: usize) -> Option<Zeroizing<Vec<u8>>> {
    let algorithm = match hash {
        Hash::Sha384 => &tls_prf::P_SHA384,
        Hash::Sha1 | Hash::Sha256 => &tls_prf::P_SHA256,
    };
    let output = tls_prf::Secret::new(algorithm, secret).ok()?.derive(label, seed, length).ok()?;
    Some(Zeroizing::new(output.as_ref().to_vec()))
}

/// What Finished must hold under TLS 1.2 (RFC 5246 section 7.4.9).
pub(crate) fn finished_of_tls12(hash: Hash, master: &[u8], label: &str, messages: &[u8]) -> Option<Vec<u8>> {
    let output = prf(hash, master, label.as_bytes(), &hash.of(messages), 12)?;
    Some(output.to_vec())
}

/// The keys of one direction under TLS 1.2.
pub(crate) struct DirectionKeys {
    pub(crate) mac: Zeroizing<Vec<u8>>,
    pub(crate) key: Zeroizing<Vec<u8>>,
    pub(crate) iv: Zeroizing<Vec<u8>>,
}

/// The key block (RFC 5246 section 6.3), cut into the client's and the server's keys.
pub(crate) fn key_block(
    suite: &CipherSuite,
    master: &[u8],
    client_random: &[u8; 32],
    server_random: &[u8; 32],
) -> Option<(DirectionKeys, DirectionKeys)> {
    let (mac, key, iv) = match suite.cipher {
        Cipher::AesGcm(key) | Cipher::AesCcm(key, _) | Cipher::AriaGcm(key) => (0, key, 4),
        Cipher::ChaCha20Poly1305 => (0, 32, 12),
        Cipher::AesCbc(key) | Cipher::CamelliaCbc(key) => (suite.mac.length(), key, 0),
        Cipher::Null => (suite.mac.length(), 0, 0),
        Cipher::Other => return None,
    };
    let seed = [server_random.as_slice(), client_random.as_slice()].concat();
    let block = prf(suite.hash, master, b"key expansion", &seed, 2 * (mac + key + iv))?;
    let mut rest = block.as_slice();
    let mut take = |length: usize| {
        let (taken, left) = rest.split_at(length);
        rest = left;
        Zeroizing::new(taken.to_vec())
    };
    let (client_mac, server_mac) = (take(mac), take(mac));
    let (client_key, server_key) = (take(key), take(key));
    let (client_iv, server_iv) = (take(iv), take(iv));
    Some((
        DirectionKeys { mac: client_mac, key: client_key, iv: client_iv },
        DirectionKeys { mac: server_mac, key: server_key, iv: server_iv },
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn octets(hex: &str) -> Vec<u8> {
        hex.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn keys_of_rfc_8448_come_out() {
        // RFC 8448 section 3: the server's handshake traffic secret, its write key and iv.
        let secret = octets("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38");
        assert_eq!(
            pki::hex(&expand_label(Hash::Sha256, &secret, "key", 16).unwrap()),
            "3fce516009c21727d0f2e4e86ee403bc"
        );
        assert_eq!(
            pki::hex(&expand_label(Hash::Sha256, &secret, "iv", 12).unwrap()),
            "5d313eb2671276ee13000b30"
        );
    }
}
