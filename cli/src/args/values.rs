//! Values of options that have a form: each is checked where it is typed.

use std::time::Duration;

use x0x_tracker::interface::Moment;

/// Reads a number of seconds, which may have a fraction.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// Reads a priority as JSON text: 1 to 4, or null for `none`.
pub fn priority(text: &str) -> Result<String, String> {
    match text {
        "1" | "2" | "3" | "4" => Ok(text.to_owned()),
        "none" | "null" => Ok("null".to_owned()),
        _ => Err("expected 1 (urgent) to 4 (low), or none".to_owned()),
    }
}

/// Reads a priority to look for: any whole number, or none.
pub fn wanted_priority(text: &str) -> Result<WantedPriority, String> {
    match text.trim() {
        "none" | "null" => Ok(WantedPriority(None)),
        text => match text.parse() {
            Ok(priority) => Ok(WantedPriority(Some(priority))),
            Err(_) => Err("expected a number or none".to_owned()),
        },
    }
}

/// A priority to look for.
#[derive(Clone, Copy, Debug)]
pub struct WantedPriority(pub Option<i64>);

/// Reads what a commit says; git takes no empty message.
pub fn commit_message(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("expected some text".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

/// Reads the prefix of new ids.
pub fn prefix(text: &str) -> Result<String, String> {
    if is_prefix(text) {
        Ok(text.to_owned())
    } else {
        Err("expected letters, digits, '.' and '_', 32 at most".to_owned())
    }
}

/// The longest prefix. A guess: it is typed with every id.
const PREFIX_BYTES_MAX: usize = 32;

/// Tells whether new ids may start with this.
pub fn is_prefix(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_');
    (1..=PREFIX_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

/// Reads `NAME=JSON`, where what stands for the JSON may be `@FILE` or `-`.
pub fn named(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, json)) if !name.is_empty() => Ok((name.to_owned(), json.to_owned())),
        _ => Err("expected NAME=JSON".to_owned()),
    }
}

/// Reads a time in RFC 3339.
pub fn time(text: &str) -> Result<String, String> {
    match x0x_tracker::timestamp::Timestamp::parse(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("expected a time such as 2026-05-01T20:35:00Z".to_owned()),
    }
}

/// Reads a moment in the life of an issue.
pub fn moment(text: &str) -> Result<Moment, String> {
    Moment::parse(text).ok_or_else(|| {
        "expected a time such as 2026-05-01T20:35:00Z, a date, or at least 6 hex digits of a commit"
            .to_owned()
    })
}

/// Reads a time, or one of the words `now` and `none`.
pub fn time_or_word(text: &str) -> Result<String, String> {
    match text {
        "now" | "none" => Ok(text.to_owned()),
        _ => time(text).map_err(|expected| format!("{expected}, now or none")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_form_are_refused() {
        assert!(seconds("-1").is_err() && seconds("soon").is_err());
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert!(priority("5").is_err() && priority("").is_err());
        assert!(prefix("a-b").is_err() && prefix("").is_err() && prefix("X0.x_").is_ok());
        assert!(named("=1").is_err() && named("a").is_err());
        assert!(time("yesterday").is_err() && time_or_word("now").is_ok());
    }
}
