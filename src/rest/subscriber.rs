//! What a program that follows something is called: as it calls itself, and where it asks from.

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;

use super::errors::Failure;
use super::serving::{Caller, Limits};
use crate::node::{NAME_BYTES_MAX, Node};

/// The name of a program that says none.
const UNNAMED: &str = "unnamed";

/// A program that wants to follow something.
pub(super) struct Subscriber {
    /// Its `User-Agent` and its address, the first cut so that the second is whole.
    pub(super) name: String,
    /// How many may follow at once.
    pub(super) max: usize,
}

impl FromRequestParts<Node> for Subscriber {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _node: &Node) -> Result<Self, Failure> {
        let said = parts.headers.get(header::USER_AGENT).map(|said| said.as_bytes());
        let caller = parts.extensions.get::<Caller>();
        let limits = parts.extensions.get::<Limits>().copied().unwrap_or_default();
        Ok(Self { name: name(said.unwrap_or_default(), caller), max: limits.subscribers_max })
    }
}

fn name(said: &[u8], caller: Option<&Caller>) -> String {
    let address = caller.map_or(String::new(), |Caller(address)| format!(" {address}"));
    let said = String::from_utf8_lossy(said);
    let said = match said.trim() {
        "" => UNNAMED,
        said => said,
    };
    let room = NAME_BYTES_MAX.saturating_sub(address.len());
    format!("{}{address}", &said[..said.floor_char_boundary(room)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_called_what_it_says_and_where_it_is() {
        let caller = Caller("127.0.0.1:4567".parse().unwrap());
        assert_eq!(name(b"curl/8.5", Some(&caller)), "curl/8.5 127.0.0.1:4567");
        assert_eq!(name(b"", Some(&caller)), "unnamed 127.0.0.1:4567");
        let long = name(&[0xff; 300], Some(&caller));
        assert!(long.len() <= NAME_BYTES_MAX && long.ends_with(" 127.0.0.1:4567"), "{long}");
    }
}
