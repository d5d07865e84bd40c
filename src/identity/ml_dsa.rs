//! ML-DSA-65 (FIPS 204) as the journal uses it: pure, with the empty context. Not a place for keys on
//! disk, and not an implementation: aws-lc-rs does the arithmetic.

use aws_lc_rs::signature::{
    KeyPair as _, ML_DSA_65, ML_DSA_65_SIGNING, PqdsaKeyPair, UnparsedPublicKey,
};
use x0x_tracker::journal::signature::{PUBLIC_KEY_BYTES, SIGNATURE_BYTES, SignError, Verifier};

/// The bytes of a key's seed (FIPS 204, algorithm 1: ξ).
pub(super) const SEED_BYTES: usize = 32;

/// Checks ML-DSA-65 signatures.
#[derive(Clone, Copy, Debug, Default)]
pub struct MlDsa;

impl Verifier for MlDsa {
    fn verify(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        // The library takes a key in DER as well; one key must not have two spellings.
        public_key.len() == PUBLIC_KEY_BYTES
            && signature.len() == SIGNATURE_BYTES
            && UnparsedPublicKey::new(&ML_DSA_65, public_key).verify(message, signature).is_ok()
    }
}

/// A key that signs; the library holds the secret and clears it when dropped.
pub(super) struct KeyPair(PqdsaKeyPair);

impl KeyPair {
    /// Returns the key that FIPS 204 derives from `seed`; `None` if the library fails.
    pub(super) fn from_seed(seed: &[u8; SEED_BYTES]) -> Option<Self> {
        PqdsaKeyPair::from_seed(&ML_DSA_65_SIGNING, seed).ok().map(Self)
    }

    pub(super) fn public_key(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// Signs with fresh randomness (the hedged variant), so two signatures of one message differ.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let mut signature = vec![0; SIGNATURE_BYTES];
        match self.0.sign(message, &mut signature) {
            Ok(SIGNATURE_BYTES) => Ok(signature),
            Ok(bytes) => Err(SignError { reason: format!("a signature of {bytes} bytes") }),
            Err(error) => Err(SignError { reason: error.to_string() }),
        }
    }
}
