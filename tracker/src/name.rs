//! What an issue may be called. Which issue a name means is decided where the list is known.

/// The longest id or identifier, in bytes.
pub const NAME_BYTES_MAX: usize = 256;

/// Tells whether a text may name an issue.
pub fn is_name(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control)
}

/// Tells whether a text may be an identifier: it also names directories and branches.
pub fn is_identifier(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    is_name(name) && !name.starts_with('.') && name.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_safe_as_the_name_of_a_directory() {
        assert!(is_identifier("X0X-0069b"));
        for name in ["", " ", "..", ".git", "../x", "a b", "#12", "caf\u{e9}", "a\nb"] {
            assert!(!is_identifier(name), "{name:?}");
        }
        assert!(is_name("#12") && !is_name("a\nb") && !is_name(&"x".repeat(257)));
    }
}
