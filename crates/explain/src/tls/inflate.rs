//! Compressed certificates (RFC 8879): zlib, brotli and zstd, each stopped at the length that was announced.

use std::fmt;
use std::io::Read;

/// The most that is decompressed: as much as a Certificate message may hold in common implementations.
const MOST: usize = 256 * 1024;

/// Why something was not decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InflateError {
    UnknownAlgorithm,
    TooLong(usize),
    Malformed,
    WrongLength { announced: usize, found: usize },
}

impl fmt::Display for InflateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InflateError::UnknownAlgorithm => f.write_str("compressed with an algorithm that nobody knows"),
            InflateError::TooLong(length) => {
                write!(f, "{length} bytes once decompressed, more than anyone takes ({MOST})")
            }
            InflateError::Malformed => f.write_str("the compressed data is damaged"),
            InflateError::WrongLength { announced, found } => {
                write!(f, "decompressed it is {found} bytes or more, and {announced} were announced")
            }
        }
    }
}

/// Decompresses `data`, which is `length` octets long once decompressed.
pub(crate) fn inflate(algorithm: u16, data: &[u8], length: usize) -> Result<Vec<u8>, InflateError> {
    if length > MOST {
        return Err(InflateError::TooLong(length));
    }
    let plain =
        match algorithm {
            1 => miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(data, length.max(1)).map_err(
                |error| match error.status {
                    miniz_oxide::inflate::TINFLStatus::HasMoreOutput => {
                        InflateError::WrongLength { announced: length, found: error.output.len() + 1 }
                    }
                    _ => InflateError::Malformed,
                },
            )?,
            2 => read_up_to(brotli_decompressor::Decompressor::new(data, 4096), length)?,
            3 => {
                let decoder =
                    ruzstd::decoding::StreamingDecoder::new(data).map_err(|_| InflateError::Malformed)?;
                read_up_to(decoder, length)?
            }
            _ => return Err(InflateError::UnknownAlgorithm),
        };
    if plain.len() == length {
        Ok(plain)
    } else {
        Err(InflateError::WrongLength { announced: length, found: plain.len() })
    }
}

fn read_up_to(reader: impl Read, length: usize) -> Result<Vec<u8>, InflateError> {
    let mut plain = Vec::new();
    reader.take(length as u64 + 1).read_to_end(&mut plain).map_err(|_| InflateError::Malformed)?;
    Ok(plain)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn what_is_longer_than_announced_is_not_decompressed_to_its_end() {
        let bomb = miniz_oxide::deflate::compress_to_vec_zlib(&vec![0; 100_000], 9);
        assert!(matches!(inflate(1, &bomb, 1000), Err(InflateError::WrongLength { announced: 1000, .. })));
        assert_eq!(inflate(1, &bomb, 100_000).unwrap().len(), 100_000);
        assert_eq!(inflate(1, &bomb, 1 << 24), Err(InflateError::TooLong(1 << 24)));
    }

    #[test]
    fn damage_and_unknown_algorithms_are_errors() {
        for algorithm in 1..=3 {
            assert_eq!(inflate(algorithm, b"no such thing", 13), Err(InflateError::Malformed), "{algorithm}");
        }
        assert_eq!(inflate(9, b"", 0), Err(InflateError::UnknownAlgorithm));
    }
}
