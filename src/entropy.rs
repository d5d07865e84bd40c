//! The one door to the operating system's randomness; it draws bytes and decides nothing.
//!
//! Whatever decides takes its randomness as a value, so that a run can be repeated from a seed.

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
    fn two_draws_differ() {
        let (mut first, mut second) = ([0; 32], [0; 32]);
        fill(&mut first);
        fill(&mut second);
        assert_ne!(first, second);
        assert_ne!(first, [0; 32]);
    }
}
