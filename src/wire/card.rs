//! An agent's card: where it can be called, signed by itself, passed along by others.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use x0x_tracker::id::AgentId;
use x0x_tracker::journal::signature::{SIGNATURE_BYTES, SignError, Signer, Verifier};

use super::{WireError, at_most, decode, encode};

/// The most addresses on a card.
pub const ADDRESSES_MAX: usize = 8;

/// How long an ML-KEM-768 encapsulation key is, in bytes (FIPS 203, table 3).
pub const SEAL_KEY_BYTES: usize = 1_184;

/// What is signed begins with this.
const LABEL: &[u8] = b"x0x/card/v1\0";

/// Where an agent can be called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Whose card it is.
    pub agent: AgentId,
    /// When it was made, in Unix milliseconds by the agent's clock; the newest counts.
    pub at_ms: i64,
    /// Addresses, best first.
    pub addresses: Vec<SocketAddr>,
    /// How busy its machine is: the load average of a minute for each core, in percent; `None` where the
    /// machine does not say.
    pub load_pct: Option<u16>,
    /// The ML-KEM-768 key of this run of its node, for whoever seals something for it; empty where it takes
    /// nothing sealed.
    #[serde(with = "serde_bytes")]
    pub seal_key: Vec<u8>,
}

/// A card as it travels: bytes, not yet believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedCard {
    #[serde(with = "serde_bytes")]
    card: Vec<u8>,
    #[serde(with = "serde_bytes")]
    signature: Vec<u8>,
}

impl SignedCard {
    /// Signs a card.
    ///
    /// # Errors
    /// Where the key refuses.
    pub fn new(card: &Card, signer: &dyn Signer) -> Result<Self, SignError> {
        let card = encode(card);
        let signature = signer.sign(&signed_bytes(&card))?;
        Ok(Self { card, signature })
    }

    /// Checks the bounds and returns the card; whose it is, nothing has shown yet.
    ///
    /// # Errors
    /// Where it is no card.
    pub fn peek(&self) -> Result<Card, WireError> {
        let card: Card = decode("card", &self.card)?;
        at_most("list of addresses", card.addresses.len(), ADDRESSES_MAX)?;
        if !matches!(card.seal_key.len(), 0 | SEAL_KEY_BYTES) {
            return Err(WireError::Malformed { what: "card" });
        }
        at_most("signature", self.signature.len(), SIGNATURE_BYTES)?;
        Ok(card)
    }

    /// Tells whether the agent with this key signed it.
    pub fn is_signed_by(&self, public_key: &[u8], verifier: &dyn Verifier) -> bool {
        verifier.verify(public_key, &signed_bytes(&self.card), &self.signature)
    }
}

fn signed_bytes(card: &[u8]) -> Vec<u8> {
    [LABEL, card].concat()
}
