//! Packing of large values: LZ4 where it makes them smaller, with a byte before them that says so.

use std::borrow::Cow;

use super::rows::damaged;
use crate::interface::TrackerError;

/// The byte before a value that is stored as it is.
const PLAIN: u8 = 0;

/// The byte before the length (four bytes, little endian) and the LZ4 block of a value.
const LZ4: u8 = 1;

/// Below this many bytes a value is not worth packing.
const PACK_FROM_BYTES: usize = 256;

/// How many bytes one byte of an LZ4 block stands for at the most (LZ4 block format, "sequences").
const LZ4_RATIO_MAX: usize = 255;

/// Returns a value as it is stored.
pub(super) fn pack(value: &[u8]) -> Vec<u8> {
    if value.len() >= PACK_FROM_BYTES {
        let mut packed = vec![LZ4];
        packed.extend_from_slice(&lz4_flex::compress_prepend_size(value));
        // A tenth less is what makes unpacking worth its while.
        if packed.len() < value.len() - value.len() / 10 {
            return packed;
        }
    }
    let mut plain = Vec::with_capacity(value.len() + 1);
    plain.push(PLAIN);
    plain.extend_from_slice(value);
    plain
}

/// Returns the value that [`pack`] was given.
///
/// # Errors
/// [`TrackerError::Damaged`] for bytes that it never wrote.
pub(super) fn unpack(stored: &[u8]) -> Result<Cow<'_, [u8]>, TrackerError> {
    let broken = || damaged("a packed value");
    match stored.split_first() {
        Some((&PLAIN, value)) => Ok(Cow::Borrowed(value)),
        Some((&LZ4, packed)) => {
            let (bytes, _) = lz4_flex::block::uncompressed_size(packed).map_err(|_| broken())?;
            if bytes > packed.len().saturating_mul(LZ4_RATIO_MAX) {
                return Err(broken());
            }
            let value = lz4_flex::decompress_size_prepended(packed).map_err(|_| broken())?;
            Ok(Cow::Owned(value))
        }
        _ => Err(broken()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back() {
        let text = "the same words again and ".repeat(100).into_bytes();
        let mut noise = vec![0; 4_000];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        for value in [&b""[..], b"short", &text, &noise] {
            assert_eq!(unpack(&pack(value)).unwrap().as_ref(), value);
        }
        assert!(pack(&text).len() < text.len() / 4);
        assert_eq!(pack(&noise).len(), noise.len() + 1);
    }

    #[test]
    fn what_was_never_packed_is_damage() {
        let mut bomb = vec![LZ4];
        bomb.extend_from_slice(&u32::MAX.to_le_bytes());
        for bytes in [&b""[..], &[9, 1, 2], &[LZ4], &[LZ4, 9, 0, 0, 0, 255], &bomb] {
            assert!(matches!(unpack(bytes), Err(TrackerError::Damaged { .. })), "{bytes:?}");
        }
    }
}
