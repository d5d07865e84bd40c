//! The one door to the operating system's randomness; it draws bytes and decides nothing.
//!
//! Whatever decides takes its randomness as a value, so that a run can be repeated from a seed.

pub use rand::RngExt;

/// A source of random numbers that gives the same again from the same seed.
pub type Seeded = rand::rngs::ChaCha8Rng;

/// Returns the source that a seed stands for.
pub fn seeded(seed: [u8; 32]) -> Seeded {
    rand::SeedableRng::from_seed(seed)
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
    fn a_seed_gives_the_same_again() {
        let drawn = |seed| seeded(seed).random::<u64>();
        assert_eq!(drawn([1; 32]), drawn([1; 32]));
        assert_ne!(drawn([1; 32]), drawn([2; 32]));
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
