//! What programs are told of an error beside its word, hint and kind; the same from the command line and
//! from a node.

use std::error::Error;

use serde_json::{Map, Value, json};

use super::claims::Loss;
use super::error::TrackerError;
use crate::jsonl::read::Problem;

/// Returns what lies behind an error, nearest first, without what the text before it says already.
pub fn causes<'a>(text: &str, first: Option<&'a (dyn Error + 'static)>) -> Vec<String> {
    let (mut causes, mut last, mut cause) = (Vec::new(), text.to_owned(), first);
    while let Some(error) = cause {
        let text = error.to_string();
        if !last.contains(&text) {
            causes.push(text.clone());
        }
        last = text;
        cause = error.source();
    }
    causes
}

impl TrackerError {
    /// Returns what happened, with what lies behind it.
    pub fn detail(&self) -> String {
        let text = self.to_string();
        let causes = causes(&text, self.source());
        std::iter::once(text).chain(causes).collect::<Vec<_>>().join(": ")
    }

    /// Returns what programs need beside the words: `candidates` of an ambiguous name, `problems` of a
    /// file with bad lines, and of a refused or lost claim who holds the issue (`holder`), the claim
    /// (`claim`), others that are lost too (`also`) and when to try again (`retry_after_ms`).
    pub fn details(&self) -> Map<String, Value> {
        if let Self::OneOfSeveral { source, .. } = self {
            return source.details();
        }
        let mut details = Map::new();
        let mut add = |name: &str, value: Value| details.insert(name.to_owned(), value);
        if let Some(holder) = self.holder() {
            add("holder", holder.json());
        }
        match self {
            Self::Ambiguous { candidates, .. } => drop(add("candidates", json!(candidates))),
            Self::ManyClaims { names, .. } => drop(add("candidates", json!(names))),
            Self::BadLines { file, problems } => {
                add("problems", problems.iter().map(|problem| problem.json(file)).collect());
            }
            Self::ClaimLost { claim: Some(claim), also, .. } => {
                add("claim", json!(claim.to_string()));
                if !also.is_empty() {
                    add("also", also.iter().map(Loss::json).collect());
                }
            }
            Self::Refused { retry_after_ms: Some(retry_after_ms), .. } => {
                add("retry_after_ms", json!(retry_after_ms));
            }
            _ => {}
        }
        details
    }
}

impl Problem {
    /// Returns a bad line of a file in the form that programs get: {file, line, column, reason}.
    pub fn json(&self, file: &str) -> Value {
        let Self { line, column, reason, .. } = self;
        json!({"file": file, "line": line, "column": column, "reason": reason})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_source_says_again_is_told_once() {
        let io = std::io::Error::other("no space");
        let error = TrackerError::Io { what: "cannot write x".to_owned(), source: io };
        assert_eq!(error.detail(), "cannot write x: no space");
        let io = std::io::Error::other("no space");
        let error = TrackerError::Io { what: "cannot write x: no space".to_owned(), source: io };
        assert_eq!(error.detail(), "cannot write x: no space");
    }

    #[test]
    fn an_edit_among_several_is_told_with_what_is_known_of_it() {
        let (name, candidates) = ("1".to_owned(), vec!["A-1".to_owned(), "B-1".to_owned()]);
        let source = Box::new(TrackerError::Ambiguous { name: name.clone(), candidates });
        let error = TrackerError::OneOfSeveral { place: 2, count: 3, name, source };
        assert_eq!(Value::from(error.details()), json!({"candidates": ["A-1", "B-1"]}));
    }
}
