//! The one door to randomness: the operating system's, and the kind that repeats. It draws and decides
//! nothing.
//!
//! Whatever decides takes its randomness as a value, so that a run can be repeated from a seed.

pub use rand::RngExt;
use rand::{Rng, SeedableRng};

/// A generator that gives the same numbers for the same seed, on every machine. Not for keys.
pub type Seeded = rand::rngs::ChaCha12Rng;

/// Returns the generator of a seed.
pub fn seeded(seed: [u8; 32]) -> Seeded {
    Seeded::from_seed(seed)
}

/// Returns the next bytes of a generator.
pub fn draw<const BYTES: usize>(generator: &mut Seeded) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    generator.fill_bytes(&mut bytes);
    bytes
}

/// Fills `bytes` from the operating system's random source.
///
/// # Panics
///
/// When the system has none to give (no `getrandom`, no `/dev/urandom`): a key or a nonce made without
/// it would be worse than a stop.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that may ask the system for randomness"
)]
pub fn fill(bytes: &mut [u8]) {
    if let Err(error) = getrandom::fill(bytes) {
        panic!("the operating system gave no random bytes: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_for_ever() {
        let mut generator = seeded([7; 32]);
        let (first, second): ([u8; 8], [u8; 8]) = (draw(&mut generator), draw(&mut generator));
        assert_eq!(first, [246, 146, 137, 120, 133, 192, 203, 32]);
        assert_ne!(first, second);
        assert_eq!(draw::<16>(&mut seeded([7; 32]))[8..], second);
        assert_ne!(draw::<8>(&mut seeded([8; 32])), first);
    }

    #[test]
    fn two_draws_differ() {
        let (mut first, mut second) = ([0; 32], [0; 32]);
        fill(&mut first);
        fill(&mut second);
        assert_ne!(first, second);
        assert_ne!(first, [0; 32]);
    }
}
