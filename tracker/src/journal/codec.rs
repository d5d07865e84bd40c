//! Postcard, as headers, bodies and statements are written; bytes left over are an error.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::JournalError;

/// Encodes a value of which every length is known.
pub(super) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // Postcard fails only for sequences of unknown length, and these types have none.
    postcard::to_stdvec(value).expect("every length is known")
}

/// Decodes all of `bytes`; bytes left over are an error.
pub(super) fn decode<T: DeserializeOwned>(
    what: &'static str,
    bytes: &[u8],
) -> Result<T, JournalError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        _ => Err(JournalError::Malformed { what }),
    }
}
