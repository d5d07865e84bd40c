//! What the journal asks of an identity: to sign, and to check a signature.
//!
//! The keys themselves live outside this crate; a test or a simulation brings a stand-in.

use crate::id::AgentId;

/// The bytes of an ML-DSA-65 signature (FIPS 204, table 2).
pub const SIGNATURE_BYTES: usize = 3_309;

/// The bytes of an ML-DSA-65 public key (FIPS 204, table 2).
pub const PUBLIC_KEY_BYTES: usize = 1_952;

/// A signature could not be made; nothing was written.
#[derive(Debug, thiserror::Error)]
#[error("signing failed: {reason}")]
pub struct SignError {
    /// What the key or its library said.
    pub reason: String,
}

/// Signs in the name of one agent.
pub trait Signer: Send + Sync {
    /// Returns the agent in whose name this signs.
    fn agent(&self) -> AgentId {
        AgentId::of_public_key(self.public_key())
    }

    /// Returns the public key, of [`PUBLIC_KEY_BYTES`] bytes.
    fn public_key(&self) -> &[u8];

    /// Returns a signature of `message`, of [`SIGNATURE_BYTES`] bytes.
    ///
    /// The caller has put the domain label into the message.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// Checks signatures of any agent.
pub trait Verifier: Send + Sync {
    /// Tells whether `signature` is `public_key`'s over `message`; false for malformed input.
    fn verify(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool;
}
