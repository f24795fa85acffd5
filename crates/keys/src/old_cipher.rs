//! Triple DES and RC2 in CBC mode, which AWS-LC does not offer: they open files of old programs, and Triple DES is
//! written for importers that read nothing newer. Nothing else may be encrypted with them.

use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyIvInit};
use des::TdesEde3;
use rc2::Rc2;
use zeroize::{Zeroize, Zeroizing};

use crate::pbes2::CipherFailed;

/// Octets of a block of both, and so of an initialization vector.
pub(crate) const BLOCK_LENGTH: usize = 8;

/// A cipher with 64-bit blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OldCipher {
    /// Triple DES with three keys (EDE), 24 octets.
    TripleDes,
    /// RC2 with an effective key length that is the key's length (RFC 2268 section 6).
    Rc2,
}

impl OldCipher {
    /// Decrypts and takes the padding away.
    pub(crate) fn decrypt(
        self,
        key: &[u8],
        initialization_vector: &[u8],
        encrypted: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CipherFailed> {
        if encrypted.is_empty() || !encrypted.len().is_multiple_of(BLOCK_LENGTH) {
            return Err(CipherFailed);
        }
        let mut buffer = Zeroizing::new(encrypted.to_vec());
        let length = match self {
            OldCipher::TripleDes => cbc::Decryptor::<TdesEde3>::new_from_slices(key, initialization_vector)
                .map_err(|_| CipherFailed)?
                .decrypt_padded::<Pkcs7>(&mut buffer)
                .map(<[u8]>::len),
            OldCipher::Rc2 => {
                let cipher = Rc2::new_with_eff_key_len(key, key.len() * 8);
                cbc::Decryptor::inner_iv_slice_init(cipher, initialization_vector)
                    .map_err(|_| CipherFailed)?
                    .decrypt_padded::<Pkcs7>(&mut buffer)
                    .map(<[u8]>::len)
            }
        };
        let length = length.map_err(|_| CipherFailed)?;
        buffer[length..].zeroize();
        buffer.truncate(length);
        Ok(buffer)
    }

    /// Pads and encrypts.
    pub(crate) fn encrypt(
        self,
        key: &[u8],
        initialization_vector: &[u8],
        plain: &[u8],
    ) -> Result<Vec<u8>, CipherFailed> {
        // The padding fills the last block, or is one of its own.
        let padded = (plain.len() / BLOCK_LENGTH + 1) * BLOCK_LENGTH;
        let mut buffer = Zeroizing::new(vec![0; padded]);
        buffer[..plain.len()].copy_from_slice(plain);
        match self {
            OldCipher::TripleDes => cbc::Encryptor::<TdesEde3>::new_from_slices(key, initialization_vector)
                .map_err(|_| CipherFailed)?
                .encrypt_padded::<Pkcs7>(&mut buffer, plain.len())
                .map(|_| ()),
            OldCipher::Rc2 => {
                let cipher = Rc2::new_with_eff_key_len(key, key.len() * 8);
                cbc::Encryptor::inner_iv_slice_init(cipher, initialization_vector)
                    .map_err(|_| CipherFailed)?
                    .encrypt_padded::<Pkcs7>(&mut buffer, plain.len())
                    .map(|_| ())
            }
        }
        .map_err(|_| CipherFailed)?;
        Ok(std::mem::take(&mut *buffer))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn what_is_encrypted_is_decrypted_and_only_whole_blocks_are_tried() {
        for (cipher, key) in [
            (OldCipher::TripleDes, &[1u8, 2, 3, 4, 5, 6, 7, 8].repeat(3)[..]),
            (OldCipher::Rc2, &[7; 16]),
            (OldCipher::Rc2, &[7; 5]),
        ] {
            for length in [0, 1, 7, 8, 9, 1000] {
                let plain = vec![0x5a; length];
                let encrypted = cipher.encrypt(key, &[9; 8], &plain).unwrap();
                assert_eq!(encrypted.len() % BLOCK_LENGTH, 0);
                assert_eq!(*cipher.decrypt(key, &[9; 8], &encrypted).unwrap(), plain);
                assert!(cipher.decrypt(key, &[9; 8], &encrypted[1..]).is_err());
            }
            assert!(cipher.decrypt(key, &[9; 8], &[]).is_err());
            assert!(cipher.decrypt(key, &[9; 7], &[0; 8]).is_err(), "a short initialization vector");
        }
    }
}
