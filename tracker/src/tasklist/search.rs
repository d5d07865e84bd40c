//! Finding text in records: one pass over all of them in the order in which they lie on disk, and a
//! quick look at the bytes before a record is parsed. There is no index to keep.

use std::collections::HashSet;
use std::ops::ControlFlow;

use memchr::{memchr2_iter, memmem};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::document::Birth;
use crate::id::DocumentKey;
use crate::interface::TrackerError;
use crate::issue::as_text;
use crate::store::{Reading, RowKey, Rows, row_key};

/// What may spell an ASCII letter without being one: an escape, and the two characters whose lower
/// case has an ASCII letter in it (Unicode SpecialCasing: U+212A and U+0130).
const DISGUISES: [&[u8]; 3] = [b"\\u", "\u{212a}".as_bytes(), "\u{130}".as_bytes()];

/// The issues that hold a text.
#[derive(Default)]
pub(super) struct Found {
    /// Their documents.
    pub(super) keys: HashSet<DocumentKey>,
    /// Where their rows stand, oldest first.
    pub(super) rows: Vec<RowKey>,
}

/// Returns the issues whose title, description or a comment holds `text`, without regard to case.
pub(super) fn matching(reading: &Reading, text: &str) -> Result<Found, TrackerError> {
    let needle = Needle::of(text);
    let mut found = Found::default();
    reading.visit_views(&mut |key, json| {
        if needle.is_in(json) {
            found.keys.insert(key);
            found.rows.push(row_key(&birth_of(json)?));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    found.rows.sort_unstable();
    Ok(found)
}

/// Returns what names the document of a record.
fn birth_of(json: &str) -> Result<Birth, TrackerError> {
    #[derive(Deserialize)]
    struct Names<'a> {
        id: String,
        #[serde(borrow, default, deserialize_with = "present")]
        created_at: Option<&'a RawValue>,
    }
    // A `null` that is written down belongs to the name of a document; one that is absent does not.
    fn present<'de, D: Deserializer<'de>>(json: D) -> Result<Option<&'de RawValue>, D::Error> {
        <&RawValue>::deserialize(json).map(Some)
    }
    let names: Names<'_> = serde_json::from_str(json)
        .map_err(|_| TrackerError::Damaged { what: "a record cannot be read".to_owned() })?;
    Ok(Birth { id: names.id, created_at: names.created_at.map(|json| json.get().to_owned()) })
}

/// A text to look for, in lower case.
struct Needle {
    text: String,
    /// The text's bytes and what may disguise them, where a look at the bytes of a record can tell
    /// that it is not there.
    quick: Option<(Vec<u8>, [memmem::Finder<'static>; 3])>,
}

impl Needle {
    fn of(text: &str) -> Self {
        let text = text.to_lowercase();
        let is_plain = |byte: u8| (b' '..=b'~').contains(&byte) && !b"\"\\/".contains(&byte);
        let quick = (!text.is_empty() && text.bytes().all(is_plain))
            .then(|| (text.clone().into_bytes(), DISGUISES.map(memmem::Finder::new)));
        Self { text, quick }
    }

    fn is_in(&self, json: &str) -> bool {
        self.may_be_in(json.as_bytes()) && holds_text(json, &self.text)
    }

    fn may_be_in(&self, json: &[u8]) -> bool {
        let Some((text, disguises)) = &self.quick else { return true };
        let first = text[0];
        let is_here = |at: usize| {
            json.get(at..at + text.len()).is_some_and(|here| here.eq_ignore_ascii_case(text))
        };
        memchr2_iter(first, first.to_ascii_uppercase(), json).any(is_here)
            || disguises.iter().any(|disguise| disguise.find(json).is_some())
    }
}

/// Tells whether title, description or a comment holds `text`, which is in lower case.
fn holds_text(json: &str, text: &str) -> bool {
    #[derive(Deserialize)]
    struct Texts<'a> {
        #[serde(borrow)]
        title: Option<&'a RawValue>,
        #[serde(borrow)]
        description: Option<&'a RawValue>,
        #[serde(borrow)]
        comments: Option<&'a RawValue>,
    }
    let Ok(texts) = serde_json::from_str::<Texts<'_>>(json) else { return false };
    let holds = |json: &str| as_text(json).is_some_and(|value| value.to_lowercase().contains(text));
    let body_holds = |comment: &String| {
        let comment: Option<serde_json::Value> = serde_json::from_str(comment).ok();
        let body = comment.as_ref().and_then(|comment| comment.get("body")?.as_str());
        body.is_some_and(|body| body.to_lowercase().contains(text))
    };
    [texts.title, texts.description].into_iter().flatten().any(|value| holds(value.get()))
        || texts
            .comments
            .is_some_and(|list| crate::issue::elements_of(list.get()).iter().any(body_holds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r#"{"id":"A-1","title":"Mend the \u0050ump","description":"Größe 10 \"cm\"\nand \/ more","comments":[{"id":"c","body":"KELVIN \u212a and Kilo"}],"labels":["hidden"]}"#;

    #[test]
    fn text_is_found_however_it_is_spelled() {
        for text in [
            "mend",
            "MEND THE PUMP",
            "größe",
            "GRÖSSE 10",
            "10 \"cm\"",
            "\nand",
            "/ more",
            "k and k",
            "",
        ] {
            let is_there = text != "GRÖSSE 10";
            assert_eq!(Needle::of(text).is_in(RECORD), is_there, "{text:?}");
        }
        assert!(!Needle::of("hidden").is_in(RECORD), "labels are not searched");
        assert!(!Needle::of("c\",\"body").is_in(RECORD), "nor is the JSON around the texts");
    }

    #[test]
    fn the_quick_look_never_hides_what_is_there() {
        let texts = ["pump", "ump", "kelvin", "k", "i", "size", "o \u{212a}", "Istanbul"];
        let records = [
            RECORD.to_owned(),
            r#"{"title":"\u212Aelvin"}"#.to_owned(),
            "{\"title\":\"\u{212a}elvin in \u{130}stanbul\"}".to_owned(),
            r#"{"title":"s\u0049ze"}"#.to_owned(),
        ];
        for text in texts {
            for json in &records {
                let lower = text.to_lowercase();
                assert_eq!(Needle::of(text).is_in(json), holds_text(json, &lower), "{text} {json}");
            }
        }
    }
}
