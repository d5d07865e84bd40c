//! Points in time as the JSONL file spells them: RFC 3339 text, compared as instants.
//!
//! No clock here: what time it is comes in as a value.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Reads an RFC 3339 date-time with an offset or `Z`; `None` for anything else.
    ///
    /// Digits below a millisecond are cut off.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|instant| Self(instant.as_millisecond()))
    }

    /// Returns the later of `self` and the millisecond after `previous`.
    ///
    /// An edit is dated so: a version never looks older than the one it was made from.
    pub fn after(self, previous: Option<Self>) -> Self {
        match previous {
            Some(Self(previous)) if previous < YEAR_9999_MS => Self(self.0.max(previous + 1)),
            _ => self,
        }
    }
}

/// 9999-01-01T00:00:00Z, past which a date is taken for a mistake rather than followed.
const YEAR_9999_MS: i64 = 253_370_764_800_000;

impl fmt::Display for Timestamp {
    /// Writes RFC 3339 in UTC with milliseconds, as in `2026-05-01T20:35:00.000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = jiff::Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        });
        write!(f, "{instant:.3}")
    }
}

/// Compares two spelled times: instants by time, anything else before every instant, then by bytes.
pub fn compare(a: &str, b: &str) -> Ordering {
    Timestamp::parse(a).cmp(&Timestamp::parse(b)).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_in_milliseconds_and_read_back() {
        let time = Timestamp::parse("2026-05-01T20:35:00Z").unwrap();
        assert_eq!(time.to_string(), "2026-05-01T20:35:00.000Z");
        assert_eq!(Timestamp::parse(&time.to_string()), Some(time));
        assert_eq!(Timestamp::parse("2026-05-01T22:35:00+02:00"), Some(time));
        assert_eq!(Timestamp::parse("yesterday"), None);
        assert_eq!(Timestamp(i64::MAX).to_string().len(), 24);
    }

    #[test]
    fn offsets_do_not_deceive_the_comparison() {
        assert_eq!(compare("2026-01-01T00:00:00Z", "2026-01-01T00:30:00+01:00"), Ordering::Greater);
        assert_eq!(compare("soon", "2026-01-01T00:00:00Z"), Ordering::Less);
    }

    #[test]
    fn an_edit_is_dated_after_what_it_edits() {
        assert_eq!(Timestamp(5).after(Some(Timestamp(9))), Timestamp(10));
        assert_eq!(Timestamp(50).after(Some(Timestamp(9))), Timestamp(50));
        assert_eq!(Timestamp(50).after(Some(Timestamp(i64::MAX))), Timestamp(50));
    }
}
