//! Sequences of which no more is decoded than there may be: their elements can take a hundred times the
//! memory of the bytes that they come in.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// How much room is made before an element was seen.
const ROOM_MAX: usize = 64;

/// Decodes a sequence of at most `MAX` elements, for `#[serde(deserialize_with = ...)]`.
///
/// # Errors
/// Where there are more, as soon as the first of those is met.
pub fn at_most<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_seq(AtMost::<T, MAX>(PhantomData))
}

struct AtMost<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for AtMost<T, MAX> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a sequence of at most {MAX} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let told = seq.size_hint().unwrap_or(0);
        if told > MAX {
            return Err(A::Error::invalid_length(told, &self));
        }
        let mut elements = Vec::with_capacity(told.min(ROOM_MAX));
        while let Some(element) = seq.next_element()? {
            if elements.len() == MAX {
                return Err(A::Error::invalid_length(MAX + 1, &self));
            }
            elements.push(element);
        }
        Ok(elements)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::at_most;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Few(#[serde(deserialize_with = "at_most::<_, _, 2>")] Vec<String>);

    #[test]
    fn one_more_than_there_may_be_is_refused() {
        let of = |texts: &[&str]| postcard::to_stdvec(texts).unwrap();
        let two: Few = postcard::from_bytes(&of(&["a", "b"])).unwrap();
        assert_eq!(two, Few(vec!["a".to_owned(), "b".to_owned()]));
        assert!(postcard::from_bytes::<Few>(&of(&["a", "b", "c"])).is_err());
        // A format that does not say how many there are.
        assert!(serde_json::from_str::<Few>("[\"a\",\"b\",\"c\"]").is_err());
        assert!(postcard::from_bytes::<Few>(&of(&[])).unwrap().0.is_empty());
    }
}
