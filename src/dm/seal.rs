//! Sealing what goes to an agent through others: nobody but its recipient can open it or tell who sent it.
//!
//! A shared secret is encapsulated to the recipient's ML-KEM-768 key (FIPS 203), which its card names; the AEAD is
//! ChaCha20-Poly1305 (RFC 8439), whose key is derived from that secret by BLAKE3. Each sealing has a secret of its
//! own, so its nonce is zero. Inside, the sender's ML-DSA-65 signature says whose frame it is. A recipient's key
//! lives as long as its node runs: what was caught before cannot be opened after.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::kem::{
    AlgorithmId, Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_768, SharedSecret,
};
use serde::{Deserialize, Serialize};
use x0x_tracker::id::AgentId;
use x0x_tracker::journal::signature::{SIGNATURE_BYTES, Signer, Verifier};

use crate::wire::{SEAL_KEY_BYTES, at_most, decode, encode};

/// How long the ciphertext of an encapsulation is, in bytes (FIPS 203, table 3).
const CIPHERTEXT_BYTES: usize = 1_088;

/// How much longer than its frame a sealed one is at most, in bytes: ciphertext, tag, the sender's keys, its
/// signature and their lengths.
pub const SEALED_MORE_BYTES: usize =
    CIPHERTEXT_BYTES + 16 + 1_952 + SEAL_KEY_BYTES + SIGNATURE_BYTES + 16;

/// What the key of the AEAD is derived under.
const KEY_CONTEXT: &str = "x0x 2026 direct message seal v1";

/// What is signed begins with this.
const LABEL: &[u8] = b"x0x/direct-seal/v1\0";

/// The key of one run of a node.
pub struct SealKey {
    secret: DecapsulationKey<AlgorithmId>,
    public: Vec<u8>,
}

/// Something cannot be sealed, or opened by this agent.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
#[error("it cannot be sealed or opened")]
pub struct SealError;

/// What was sealed, and by whom.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened {
    /// Who.
    pub from: AgentId,
    /// That agent's public key.
    pub public_key: Vec<u8>,
    /// With what an answer is sealed for it.
    pub reply_key: Vec<u8>,
    /// The frame.
    pub frame: Vec<u8>,
}

/// What is inside.
#[derive(Serialize, Deserialize)]
struct Inside {
    #[serde(with = "serde_bytes")]
    public_key: Vec<u8>,
    #[serde(with = "serde_bytes")]
    reply_key: Vec<u8>,
    #[serde(with = "serde_bytes")]
    signature: Vec<u8>,
    #[serde(with = "serde_bytes")]
    frame: Vec<u8>,
}

impl SealKey {
    /// Draws a key.
    ///
    /// # Errors
    /// Where the library refuses.
    pub fn draw() -> Result<Self, SealError> {
        let secret = DecapsulationKey::generate(&ML_KEM_768).map_err(|_unspecified| SealError)?;
        let public =
            secret.encapsulation_key().and_then(|key| Ok(key.key_bytes()?.as_ref().to_vec()));
        let public = public.map_err(|_unspecified| SealError)?;
        debug_assert_eq!(public.len(), SEAL_KEY_BYTES);
        Ok(Self { secret, public })
    }

    /// Returns what others seal with.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// Seals a frame for an agent with the key that its card names, or that came with something sealed from it.
    ///
    /// # Errors
    /// Where the key is none, or the sender's key refuses.
    pub fn seal(
        &self,
        to: AgentId,
        public: &[u8],
        frame: Vec<u8>,
        signer: &dyn Signer,
    ) -> Result<Vec<u8>, SealError> {
        let public = EncapsulationKey::new(&ML_KEM_768, public).map_err(|_rejected| SealError)?;
        let (ciphertext, secret) = public.encapsulate().map_err(|_unspecified| SealError)?;
        let signed = signed_bytes(to, &self.public, &frame);
        let signature = signer.sign(&signed).map_err(|_refused| SealError)?;
        let (public_key, reply_key) = (signer.public_key().to_vec(), self.public.clone());
        let mut boxed = encode(&Inside { public_key, reply_key, signature, frame });
        let key = key_of(&secret, ciphertext.as_ref())?;
        let sealed = key.seal_in_place_append_tag(nonce(), Aad::from(to.0), &mut boxed);
        sealed.map_err(|_unspecified| SealError)?;
        Ok([ciphertext.as_ref(), &boxed].concat())
    }

    /// Opens what was sealed for this agent, and checks who signed it.
    ///
    /// # Errors
    /// Where it was sealed for another key, or is not whole, or its signature is not its sender's.
    pub fn open(
        &self,
        me: AgentId,
        sealed: &[u8],
        verifier: &dyn Verifier,
    ) -> Result<Opened, SealError> {
        let (ciphertext, boxed) = sealed.split_at_checked(CIPHERTEXT_BYTES).ok_or(SealError)?;
        let secret = self.secret.decapsulate(Ciphertext::from(ciphertext));
        let secret = secret.map_err(|_unspecified| SealError)?;
        let mut boxed = boxed.to_vec();
        let key = key_of(&secret, ciphertext)?;
        let inside = key.open_in_place(nonce(), Aad::from(me.0), &mut boxed);
        let inside = inside.map_err(|_unspecified| SealError)?;
        let inside: Inside = decode("sealed frame", inside).map_err(|_malformed| SealError)?;
        let Inside { public_key, reply_key, signature, frame } = inside;
        if reply_key.len() != SEAL_KEY_BYTES {
            return Err(SealError);
        }
        at_most("signature", signature.len(), SIGNATURE_BYTES).map_err(|_long| SealError)?;
        if !verifier.verify(&public_key, &signed_bytes(me, &reply_key, &frame), &signature) {
            return Err(SealError);
        }
        let from = AgentId::of_public_key(&public_key);
        Ok(Opened { from, public_key, reply_key, frame })
    }
}

fn key_of(secret: &SharedSecret, ciphertext: &[u8]) -> Result<LessSafeKey, SealError> {
    let mut material = [secret.as_ref(), ciphertext].concat();
    let mut key = blake3::derive_key(KEY_CONTEXT, &material);
    zeroize::Zeroize::zeroize(&mut material);
    let unbound = UnboundKey::new(&CHACHA20_POLY1305, &key).map_err(|_unspecified| SealError);
    zeroize::Zeroize::zeroize(&mut key);
    unbound.map(LessSafeKey::new)
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

fn signed_bytes(to: AgentId, reply_key: &[u8], frame: &[u8]) -> Vec<u8> {
    // The key has one length.
    [LABEL, &to.0, reply_key, frame].concat()
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Identity, MlDsa};

    #[test]
    fn only_its_recipient_opens_a_sealed_frame_and_learns_who_sent_it() {
        let (ann, bob) = (Identity::passing().unwrap(), Identity::passing().unwrap());
        let (key, other) = (SealKey::draw().unwrap(), SealKey::draw().unwrap());
        let frame = vec![7; crate::dm::PAYLOAD_BYTES_MAX];
        let sealed = other.seal(bob.agent(), key.public(), frame.clone(), &ann).unwrap();
        assert!(sealed.len() <= frame.len() + SEALED_MORE_BYTES, "{}", sealed.len());
        let opened = key.open(bob.agent(), &sealed, &MlDsa).unwrap();
        assert_eq!((opened.from, opened.frame), (ann.agent(), frame));
        assert_eq!(opened.reply_key, other.public());
        assert!(other.open(bob.agent(), &sealed, &MlDsa).is_err());
        assert!(key.open(ann.agent(), &sealed, &MlDsa).is_err(), "it names whom it is for");
        for at in [0, CIPHERTEXT_BYTES, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open(bob.agent(), &changed, &MlDsa).is_err());
        }
        assert!(key.open(bob.agent(), &sealed[..CIPHERTEXT_BYTES - 1], &MlDsa).is_err());
        assert!(other.seal(bob.agent(), &[1; 7], vec![1], &ann).is_err());
    }

    #[test]
    fn nobody_passes_on_what_another_signed_for_somebody_else() {
        let (ann, bob) = (Identity::passing().unwrap(), Identity::passing().unwrap());
        let key = SealKey::draw().unwrap();
        let eve = Identity::passing().unwrap();
        let for_eve = SealKey::draw().unwrap();
        let sealed = key.seal(eve.agent(), for_eve.public(), vec![5], &ann).unwrap();
        let opened = for_eve.open(eve.agent(), &sealed, &MlDsa).unwrap();
        // Eve has Ann's signature on the frame for her alone.
        let again = for_eve.seal(bob.agent(), key.public(), opened.frame, &eve).unwrap();
        assert_eq!(key.open(bob.agent(), &again, &MlDsa).unwrap().from, eve.agent());
    }
}
