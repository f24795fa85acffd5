//! Opening recorded records: AEADs of TLS 1.3 (RFC 8446 section 5.2) and 1.2 (RFC 5246 section 6.2.3.3), and CBC with
//! HMAC, MAC first (RFC 5246 section 6.2.3.2) or encryption first (RFC 7366). AES and ChaCha20 are AWS-LC's; it has
//! neither ARIA nor Camellia.
//!
//! It reads recordings at rest: nobody gets an answer from it whose timing or wording could serve as an oracle.

use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{AesGcm, KeyInit as _};
use aria::{Aria128, Aria256};
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    AES_128, AES_256, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::hmac;
use camellia::{Camellia128, Camellia256};
use cbc::Decryptor;
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeDecrypt as _, KeyIvInit as _};

use crate::tls::key_schedule::{DirectionKeys, expand_label};
use crate::tls::registry::{Cipher, CipherSuite, Hash};

/// The keys of one direction, and how many records they have opened.
pub(crate) struct Opener {
    algorithm: Algorithm,
    tls13: bool,
    iv: Vec<u8>,
    sequence: u64,
}

enum Algorithm {
    Aead { key: Box<LessSafeKey>, explicit_nonce: bool },
    Ccm { key: Box<[u8]>, tag: usize, explicit_nonce: bool },
    Aria { key: Box<[u8]> },
    Cbc(Cbc),
    Null { mac: hmac::Key, mac_length: usize },
}

/// Blocks with an HMAC.
struct Cbc {
    key: Box<[u8]>,
    camellia: bool,
    mac: hmac::Key,
    mac_length: usize,
    encrypt_then_mac: bool,
}

impl Opener {
    /// The keys of a traffic secret (RFC 8446 section 7.3). `None` where the suite is not decrypted here.
    pub(crate) fn of_traffic_secret(suite: &CipherSuite, secret: &[u8]) -> Option<Self> {
        let key_length = match suite.cipher {
            Cipher::AesGcm(length) | Cipher::AesCcm(length, _) => length,
            Cipher::ChaCha20Poly1305 => 32,
            // Suites of TLS 1.2.
            Cipher::AesCbc(_)
            | Cipher::AriaGcm(_)
            | Cipher::CamelliaCbc(_)
            | Cipher::Null
            | Cipher::Other => return None,
        };
        if secret.len() != suite.hash.length() {
            return None;
        }
        let key = expand_label(suite.hash, secret, "key", key_length)?;
        let iv = expand_label(suite.hash, secret, "iv", 12)?;
        let algorithm = Algorithm::new(suite, &key, &[], false, false)?;
        Some(Opener { algorithm, tls13: true, iv: iv.to_vec(), sequence: 0 })
    }

    /// The keys of one direction of a TLS 1.2 connection.
    pub(crate) fn of_key_block(
        suite: &CipherSuite,
        keys: &DirectionKeys,
        encrypt_then_mac: bool,
    ) -> Option<Self> {
        let algorithm = Algorithm::new(suite, &keys.key, &keys.mac, true, encrypt_then_mac)?;
        Some(Opener { algorithm, tls13: false, iv: keys.iv.to_vec(), sequence: 0 })
    }

    /// Opens the fragment of a record. `header` is the record's five octets. Under TLS 1.3 the answer still has its
    /// content type and padding at the end. `None` where the keys do not fit; the sequence number stays then.
    pub(crate) fn open(&mut self, header: &[u8; 5], fragment: &[u8]) -> Option<Vec<u8>> {
        let plain = match &self.algorithm {
            Algorithm::Aead { key, explicit_nonce } => {
                let (explicit, sealed) = fragment.split_at_checked(if *explicit_nonce { 8 } else { 0 })?;
                let nonce = self.nonce(explicit)?;
                let aad = self.additional_data(header, sealed.len().checked_sub(16)?);
                let mut buffer = sealed.to_vec();
                let opened =
                    key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut buffer);
                let length = opened.ok()?.len();
                buffer.truncate(length);
                buffer
            }
            Algorithm::Ccm { key, tag, explicit_nonce } => {
                let (explicit, sealed) = fragment.split_at_checked(if *explicit_nonce { 8 } else { 0 })?;
                let nonce = self.nonce(explicit)?;
                let aad = self.additional_data(header, sealed.len().checked_sub(*tag)?);
                open_ccm(key, *tag, nonce, &aad, sealed)?
            }
            Algorithm::Aria { key } => {
                let (explicit, sealed) = fragment.split_at_checked(8)?;
                let aad = self.additional_data(header, sealed.len().checked_sub(16)?);
                open_aria(key, self.nonce(explicit)?, &aad, sealed)?
            }
            Algorithm::Cbc(cbc) => self.open_cbc(header, fragment, cbc)?,
            Algorithm::Null { mac, mac_length } => {
                let (plain, found) = fragment.split_at_checked(fragment.len().checked_sub(*mac_length)?)?;
                let authenticated = [&self.additional_data(header, plain.len())[..], plain].concat();
                (hmac::sign(mac, &authenticated).as_ref() == found).then(|| plain.to_vec())?
            }
        };
        self.sequence += 1;
        Some(plain)
    }

    fn nonce(&self, explicit: &[u8]) -> Option<[u8; 12]> {
        if !explicit.is_empty() {
            // GCM and CCM of TLS 1.2: four octets of the key block, eight in the record (RFC 5288 section 3).
            return <[u8; 12]>::try_from([self.iv.as_slice(), explicit].concat()).ok();
        }
        let mut nonce = <[u8; 12]>::try_from(self.iv.as_slice()).ok()?;
        for (octet, sequence) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *octet ^= sequence;
        }
        Some(nonce)
    }

    fn additional_data(&self, header: &[u8; 5], length: usize) -> Vec<u8> {
        if self.tls13 {
            return header.to_vec();
        }
        let length = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
        [&self.sequence.to_be_bytes()[..], &header[..3], &length].concat()
    }

    fn open_cbc(&self, header: &[u8; 5], fragment: &[u8], cbc: &Cbc) -> Option<Vec<u8>> {
        let Cbc { mac, mac_length, encrypt_then_mac, .. } = cbc;
        let (mac_length, encrypt_then_mac) = (*mac_length, *encrypt_then_mac);
        let sealed = if encrypt_then_mac {
            let (sealed, found) = fragment.split_at_checked(fragment.len().checked_sub(mac_length)?)?;
            let authenticated = [&self.additional_data(header, sealed.len())[..], sealed].concat();
            if hmac::sign(mac, &authenticated).as_ref() != found {
                return None;
            }
            sealed
        } else {
            fragment
        };
        let (iv, blocks) = sealed.split_at_checked(16)?;
        if blocks.is_empty() || blocks.len() % 16 != 0 {
            return None;
        }
        let mut plain = blocks.to_vec();
        cbc.decrypt(<[u8; 16]>::try_from(iv).ok()?, &mut plain)?;
        // Each octet of the padding, its length included, is the padding's length.
        let padding = usize::from(*plain.last()?);
        let content = plain.len().checked_sub(padding + 1)?;
        if plain[content..].iter().any(|octet| usize::from(*octet) != padding) {
            return None;
        }
        plain.truncate(content);
        if !encrypt_then_mac {
            let content = plain.len().checked_sub(mac_length)?;
            let found = plain.split_off(content);
            let authenticated = [&self.additional_data(header, plain.len())[..], &plain].concat();
            if hmac::sign(mac, &authenticated).as_ref() != found {
                return None;
            }
        }
        Some(plain)
    }
}

impl Cbc {
    fn decrypt(&self, iv: [u8; 16], blocks: &mut [u8]) -> Option<()> {
        let key = &*self.key;
        match (self.camellia, key.len()) {
            (false, _) => {
                let key = DecryptingKey::cbc(unbound(key)?).ok()?;
                key.decrypt(blocks, DecryptionContext::Iv128(iv.into())).ok()?;
            }
            (true, 16) => {
                let key = Decryptor::<Camellia128>::new_from_slices(key, &iv).ok()?;
                key.decrypt_padded::<NoPadding>(blocks).ok()?;
            }
            (true, _) => {
                let key = Decryptor::<Camellia256>::new_from_slices(key, &iv).ok()?;
                key.decrypt_padded::<NoPadding>(blocks).ok()?;
            }
        }
        Some(())
    }
}

impl Algorithm {
    fn new(
        suite: &CipherSuite,
        key: &[u8],
        mac: &[u8],
        explicit_nonce: bool,
        encrypt_then_mac: bool,
    ) -> Option<Self> {
        let aead = |algorithm, explicit_nonce| {
            let key = Box::new(LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?));
            Some(Algorithm::Aead { key, explicit_nonce })
        };
        let mac_key = || hmac::Key::new(suite.mac.hmac_algorithm(), mac);
        match suite.cipher {
            Cipher::AesGcm(16) => aead(&AES_128_GCM, explicit_nonce),
            Cipher::AesGcm(_) => aead(&AES_256_GCM, explicit_nonce),
            Cipher::ChaCha20Poly1305 => aead(&CHACHA20_POLY1305, false),
            Cipher::AesCcm(_, tag) => Some(Algorithm::Ccm { key: key.into(), tag, explicit_nonce }),
            Cipher::AriaGcm(_) => Some(Algorithm::Aria { key: key.into() }),
            Cipher::AesCbc(_) | Cipher::CamelliaCbc(_) => Some(Algorithm::Cbc(Cbc {
                key: key.into(),
                camellia: matches!(suite.cipher, Cipher::CamelliaCbc(_)),
                mac: mac_key(),
                mac_length: suite.mac.length(),
                encrypt_then_mac,
            })),
            Cipher::Null => Some(Algorithm::Null { mac: mac_key(), mac_length: suite.mac.length() }),
            Cipher::Other => None,
        }
    }
}

fn unbound(key: &[u8]) -> Option<UnboundCipherKey> {
    UnboundCipherKey::new(if key.len() == 16 { &AES_128 } else { &AES_256 }, key).ok()
}

fn open_aria(key: &[u8], nonce: [u8; 12], aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, payload) = (nonce.into(), Payload { msg: sealed, aad });
    if key.len() == 16 {
        AesGcm::<Aria128, U12>::new_from_slice(key).ok()?.decrypt(&nonce, payload).ok()
    } else {
        AesGcm::<Aria256, U12>::new_from_slice(key).ok()?.decrypt(&nonce, payload).ok()
    }
}

/// AES-CCM (RFC 3610, RFC 6655), of which AWS-LC's interface has only the parts: counter mode and single blocks.
fn open_ccm(key: &[u8], tag_length: usize, nonce: [u8; 12], aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (body, tag) = sealed.split_at_checked(sealed.len().checked_sub(tag_length)?)?;
    // Three octets count blocks, since the nonce has twelve of the fifteen.
    let counter = |number: u8| {
        let mut block = [0; 16];
        block[0] = 2;
        block[1..13].copy_from_slice(&nonce);
        block[15] = number;
        block
    };
    // The zeroth block of the key stream hides the tag, the others the text.
    let mut stream = vec![0; 16];
    stream.extend_from_slice(body);
    let decrypting = DecryptingKey::ctr(unbound(key)?).ok()?;
    decrypting.decrypt(&mut stream, DecryptionContext::Iv128(counter(0).into())).ok()?;
    let plain = stream.split_off(16);

    let mut first = counter(0);
    first[0] = 0x40 | (u8::try_from((tag_length - 2) / 2).ok()? << 3) | 2;
    first[13..].copy_from_slice(&u32::try_from(plain.len()).ok()?.to_be_bytes()[1..]);
    let mut input = first.to_vec();
    input.extend_from_slice(&u16::try_from(aad.len()).ok()?.to_be_bytes());
    input.extend_from_slice(aad);
    input.resize(input.len().next_multiple_of(16), 0);
    input.extend_from_slice(&plain);
    input.resize(input.len().next_multiple_of(16), 0);
    // CBC-MAC is the last block of CBC with an initial vector of zeros.
    let encrypting = EncryptingKey::cbc(unbound(key)?).ok()?;
    encrypting.less_safe_encrypt(&mut input, EncryptionContext::Iv128([0; 16].into())).ok()?;
    let computed = input.rchunks(16).next()?;
    let fits = tag.iter().zip(computed.iter().zip(&stream)).all(|(tag, (mac, pad))| *tag == mac ^ pad);
    fits.then_some(plain)
}

/// The traffic secret after a KeyUpdate (RFC 8446 section 7.2).
pub(crate) fn next_secret(hash: Hash, secret: &[u8]) -> Option<Vec<u8>> {
    Some(expand_label(hash, secret, "traffic upd", hash.length())?.to_vec())
}
