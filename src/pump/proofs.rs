//! Signatures that were looked at before, so that whoever decides need not look again. A proof is the answer for the
//! very bytes that were looked at; for any others the signature is checked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use x0x_tracker::journal::signature::Verifier;

/// How many keys are kept that were asked about: members who write at the same time.
const KEYS_MAX: usize = 64;

/// Answers of a verifier.
#[derive(Clone, Debug, Default)]
pub struct Proofs(Arc<[Proof]>);

/// One answer.
#[derive(Debug)]
struct Proof {
    public_key: Arc<[u8]>,
    message: Box<[u8]>,
    signature: Bytes,
    is_good: bool,
}

impl Proofs {
    /// Tells whether nothing was looked at.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn answer(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Option<bool> {
        let is_it = |proof: &&Proof| {
            *proof.message == *message
                && *proof.signature == *signature
                && *proof.public_key == *public_key
        };
        self.0.iter().find(is_it).map(|proof| proof.is_good)
    }
}

/// The keys that were asked about of late, so that each is there once, however many proofs name it.
#[derive(Debug, Default)]
pub struct Keys(Mutex<VecDeque<Arc<[u8]>>>);

impl Keys {
    fn shared(&self, key: &[u8]) -> Arc<[u8]> {
        let mut kept = lock(&self.0);
        if let Some(known) = kept.iter().find(|known| ***known == *key) {
            return known.clone();
        }
        let key: Arc<[u8]> = key.into();
        kept.push_back(key.clone());
        if kept.len() > KEYS_MAX {
            kept.pop_front();
        }
        key
    }
}

/// Remembers what it was asked.
pub struct Recorder<'a> {
    verifier: &'a dyn Verifier,
    keys: &'a Keys,
    /// What is looked at, with whose signature it mostly ends.
    signed: Bytes,
    proofs: Mutex<Vec<Proof>>,
}

impl<'a> Recorder<'a> {
    /// Returns one that has another look. A signature with which `signed` ends is not copied: the proof keeps that.
    pub fn new(verifier: &'a dyn Verifier, keys: &'a Keys, signed: Bytes) -> Self {
        Self { verifier, keys, signed, proofs: Mutex::default() }
    }

    /// Returns what it was asked, and the answers.
    pub fn into_proofs(self) -> Proofs {
        let proofs = self.proofs.into_inner().unwrap_or_else(PoisonError::into_inner);
        Proofs(proofs.into())
    }
}

impl Verifier for Recorder<'_> {
    fn verify(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        let is_good = self.verifier.verify(public_key, message, signature);
        let signature = match self.signed.strip_suffix(signature) {
            Some(before) => self.signed.slice(before.len()..),
            None => Bytes::copy_from_slice(signature),
        };
        let public_key = self.keys.shared(public_key);
        let proof = Proof { public_key, message: message.into(), signature, is_good };
        lock(&self.proofs).push(proof);
        is_good
    }
}

/// Answers from proofs where it has them.
pub struct Prover {
    verifier: Arc<dyn Verifier>,
    proofs: Mutex<Proofs>,
}

impl Prover {
    /// Returns one that has another look where it has no proof.
    pub fn new(verifier: Arc<dyn Verifier>) -> Self {
        Self { verifier, proofs: Mutex::default() }
    }

    /// Has it answer from these proofs, and no others.
    pub fn trust(&self, proofs: Proofs) {
        *lock(&self.proofs) = proofs;
    }
}

impl Verifier for Prover {
    fn verify(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        let known = lock(&self.proofs).answer(public_key, message, signature);
        known.unwrap_or_else(|| self.verifier.verify(public_key, message, signature))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked while holding it leaves it whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Finds those good whose key and signature are the same, and counts.
    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Verifier for Counting {
        fn verify(&self, public_key: &[u8], _: &[u8], signature: &[u8]) -> bool {
            self.0.fetch_add(1, Ordering::Relaxed);
            public_key == signature
        }
    }

    #[test]
    fn recv_pump_a_proof_answers_for_the_very_bytes_alone_that_were_looked_at() {
        let counting = Arc::new(Counting::default());
        let keys = Keys::default();
        let recorder = Recorder::new(counting.as_ref(), &keys, Bytes::from_static(b"signed: key"));
        assert!(recorder.verify(b"key", b"message", b"key"));
        assert!(!recorder.verify(b"key", b"message", b"other"));
        let prover = Prover::new(counting.clone());
        prover.trust(recorder.into_proofs());
        let asked = |key: &[u8], message: &[u8], signature: &[u8]| {
            let before = counting.0.load(Ordering::Relaxed);
            let is_good = prover.verify(key, message, signature);
            (is_good, counting.0.load(Ordering::Relaxed) - before)
        };
        assert_eq!(asked(b"key", b"message", b"key"), (true, 0));
        assert_eq!(asked(b"key", b"message", b"other"), (false, 0));
        assert_eq!(asked(b"key", b"messagE", b"key"), (true, 1));
        assert_eq!(asked(b"kez", b"message", b"key"), (false, 1));
        prover.trust(Proofs::default());
        assert_eq!(asked(b"key", b"message", b"key"), (true, 1), "old ones count no more");
    }

    #[test]
    fn recv_pump_so_many_keys_are_kept_each_once() {
        let keys = Keys::default();
        for n in 0..KEYS_MAX as u16 * 2 {
            let first = keys.shared(&n.to_be_bytes());
            assert!(Arc::ptr_eq(&first, &keys.shared(&n.to_be_bytes())));
        }
        assert_eq!(lock(&keys.0).len(), KEYS_MAX);
    }
}
