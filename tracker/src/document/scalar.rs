//! One JSON value as one Automerge scalar, without loss.
//!
//! A string is a `Str`, null a `Null`, a truth value a `Boolean`, an integer that is spelled in the
//! plain way an `Int`. Everything else (1.0, 1e400, 20 digits, lists, objects, strings with a lone
//! surrogate) is `Bytes` that hold its compact JSON text.

use automerge::ScalarValue;

/// Returns the scalar for a compact JSON text.
pub fn from_json(json: &str) -> ScalarValue {
    match json.as_bytes().first() {
        Some(b'"') => match serde_json::from_str::<String>(json) {
            Ok(text) => ScalarValue::Str(text.into()),
            Err(_lone_surrogate) => as_bytes(json),
        },
        Some(b'n') => ScalarValue::Null,
        Some(b't') => ScalarValue::Boolean(true),
        Some(b'f') => ScalarValue::Boolean(false),
        _ => match json.parse::<i64>() {
            Ok(number) if number.to_string() == json => ScalarValue::Int(number),
            _ => as_bytes(json),
        },
    }
}

/// Returns the compact JSON text of a scalar; `None` for kinds that [`from_json`] never writes.
pub fn to_json(scalar: &ScalarValue) -> Option<String> {
    match scalar {
        ScalarValue::Str(text) => Some(quote(text)),
        ScalarValue::Null => Some("null".to_owned()),
        ScalarValue::Boolean(truth) => Some(truth.to_string()),
        ScalarValue::Int(number) => Some(number.to_string()),
        ScalarValue::Bytes(bytes) => String::from_utf8(bytes.clone()).ok(),
        _ => None,
    }
}

/// Returns a string as compact JSON text.
pub fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn as_bytes(json: &str) -> ScalarValue {
    ScalarValue::Bytes(json.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_json_value_comes_back_as_it_was_spelled() {
        for json in [
            "null",
            "true",
            "false",
            "0",
            "-0",
            "1",
            "1.0",
            "1e3",
            "1e400",
            "12345678901234567890",
            "\"\"",
            "\"a\\nb\"",
            "\"\\ud800\"",
            "[]",
            "{\"a\":[1,2.50]}",
            "-9223372036854775808",
        ] {
            assert_eq!(to_json(&from_json(json)).as_deref(), Some(json));
        }
    }

    #[test]
    fn foreign_scalars_are_not_taken_for_json() {
        assert_eq!(to_json(&ScalarValue::counter(3)), None);
        assert_eq!(to_json(&ScalarValue::Bytes(vec![0xff])), None);
    }
}
