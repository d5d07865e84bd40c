//! Values of options that have a form: each is checked where it is typed.

use std::time::Duration;

use x0x_tracker::claim::record::{WORKER_BYTES_MAX, is_worker};
use x0x_tracker::interface::Moment;

/// Reads a number of seconds, which may have a fraction.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// The units of a duration, in milliseconds.
const UNITS: [(char, u64); 4] = [('d', 86_400_000), ('h', 3_600_000), ('m', 60_000), ('s', 1_000)];

/// Reads a duration in milliseconds: whole seconds, or numbers with the units d, h, m and s, the
/// largest first, each at most once.
pub fn duration(text: &str) -> Result<u64, String> {
    const EXPECTED: &str = "expected a duration such as 90, 90s, 15m, 1h30m or 2d";
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let with_unit = if is_number(text) { format!("{text}s") } else { text.to_owned() };
    let mut rest = with_unit.as_str();
    let mut units = UNITS.iter();
    let mut sum_ms = 0_u64;
    loop {
        let (number, unit) =
            rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).ok_or(EXPECTED)?);
        let number: u64 = number.parse().map_err(|_| EXPECTED.to_owned())?;
        let (name, unit_ms) = units.find(|(name, _)| unit.starts_with(*name)).ok_or(EXPECTED)?;
        let part_ms = number.checked_mul(*unit_ms);
        let sum = part_ms.and_then(|part_ms| sum_ms.checked_add(part_ms));
        sum_ms = sum.ok_or("the duration is too long")?;
        rest = &unit[name.len_utf8()..];
        if rest.is_empty() {
            return Ok(sum_ms);
        }
    }
}

/// Reads a duration in the same spellings.
pub fn period(text: &str) -> Result<Duration, String> {
    duration(text).map(Duration::from_millis)
}

/// Reads the name of a worker.
pub fn worker(text: &str) -> Result<String, String> {
    if is_worker(text) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "expected letters, digits, '.', '_' and '-', {WORKER_BYTES_MAX} at most and no '.' first"
    ))
}

/// The fewest digits of a token that a claim can be known by.
const TOKEN_DIGITS_MIN: usize = 8;

/// The digits of a whole token.
const TOKEN_DIGITS: usize = 64;

/// Reads the token of a claim, or the beginning of one.
pub fn token(text: &str) -> Result<String, String> {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex && (TOKEN_DIGITS_MIN..=TOKEN_DIGITS).contains(&text.len()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err("expected the token of a claim, at least 8 of its 64 hex digits".to_owned())
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
    fn a_duration_has_units_from_the_largest_down() {
        for (text, ms) in [
            ("90", 90_000),
            ("90s", 90_000),
            ("15m", 900_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            ("1d1h1m1s", 90_061_000),
            ("0", 0),
        ] {
            assert_eq!(duration(text), Ok(ms), "{text}");
        }
        let odd =
            ["", " ", "s", "m5", "5 m", "1.5h", "-1", "1m1h", "1s1s", "1h30", "5ms", "5w", "0m5"];
        for text in odd.into_iter().chain(["99999999999999999999", "99999999999999999d", "5ü"]) {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn workers_and_tokens_are_what_names_and_hashes_are() {
        assert_eq!(worker("run-1.b_2"), Ok("run-1.b_2".to_owned()));
        let long = "w".repeat(65);
        for name in ["", " ", "a b", "../x", ".w", "ü", "a/b", &long] {
            assert!(worker(name).is_err(), "{name}");
        }
        assert!(worker(&long[1..]).is_ok());
        assert_eq!(token("0123ABCD"), Ok("0123abcd".to_owned()));
        assert!(token(&"a".repeat(64)).is_ok() && token(&"a".repeat(65)).is_err());
        assert!(token("0123abc").is_err() && token("0123abcg").is_err() && token("").is_err());
    }

    #[test]
    fn values_out_of_form_are_refused() {
        assert!(seconds("-1").is_err() && seconds("soon").is_err());
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(period("1h30m"), Ok(Duration::from_secs(5_400)));
        assert!(priority("5").is_err() && priority("").is_err());
        assert!(prefix("a-b").is_err() && prefix("").is_err() && prefix("X0.x_").is_ok());
        assert!(named("=1").is_err() && named("a").is_err());
        assert!(time("yesterday").is_err() && time_or_word("now").is_ok());
    }
}
