//! One JSON object as a list of fields, each as spelled. Not: what they mean.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The fields of a JSON object, in order, the values as spelled.
#[derive(Debug, Default)]
pub struct Record<'a>(Vec<(String, &'a str)>);

impl<'a> Record<'a> {
    /// Reads a JSON object; anything else has no fields.
    pub fn of(json: &'a str) -> Self {
        serde_json::from_str(json).unwrap_or_default()
    }

    /// Returns a field's value as spelled.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, json)| *json)
    }

    /// Returns the fields in order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().map(|(name, json)| (name.as_str(), *json))
    }

    /// Returns an object of the named fields in the given order; absent ones are left out.
    pub fn pick(&self, names: &[String]) -> String {
        let picked = names.iter().filter_map(|name| Some((name.as_str(), self.get(name)?)));
        object(picked)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Record<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Record<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record<'de>, A::Error> {
                let mut fields = Vec::with_capacity(32);
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    fields.push((name, value.get()));
                }
                Ok(Record(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// Returns a text as a JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Returns a JSON object of fields whose values are JSON already.
pub fn object<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let members: Vec<String> =
        fields.into_iter().map(|(name, json)| format!("{}:{json}", quoted(name))).collect();
    format!("{{{}}}", members.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_picked_in_the_order_asked_and_as_spelled() {
        let record = Record::of(r#"{"a":1.0,"b":{"c":1e400},"d":"\ud800"}"#);
        let names = ["d", "none", "b", "a"].map(str::to_owned);
        assert_eq!(record.pick(&names), r#"{"d":"\ud800","b":{"c":1e400},"a":1.0}"#);
        assert_eq!(Record::of("[1]").pick(&names), "{}");
    }
}
