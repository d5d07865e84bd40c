//! An error as a node tells it to a program, of which there is no more than words.

use serde::{Deserialize, Serialize};

use super::error::{Fault, TrackerError};

/// What a node said of an error whose parts cannot travel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{detail}")]
pub struct Told {
    /// The word that programs tell errors apart by.
    pub code: String,
    /// What happened, with what lies behind it.
    pub detail: String,
    /// What to do about it.
    pub hint: String,
    /// Who can mend it.
    pub fault: Fault,
    /// Whether the same request may succeed later.
    pub is_retryable: bool,
}

impl TrackerError {
    /// Returns the error in a form that can be encoded, and that says the same.
    pub fn to_tell(self) -> Self {
        match self {
            Self::OneOfSeveral { place, count, name, source } => {
                Self::OneOfSeveral { place, count, name, source: Box::new(source.to_tell()) }
            }
            Self::Io { .. }
            | Self::Store { .. }
            | Self::Sign(_)
            | Self::Document(_)
            | Self::Journal(_) => self.in_words(),
            whole => whole,
        }
    }

    /// Returns the error in words: for several who are to be told the same.
    pub fn in_words(&self) -> Self {
        Self::Told(Box::new(Told {
            code: self.code().to_owned(),
            detail: self.detail(),
            hint: self.hint(),
            fault: self.fault(),
            is_retryable: self.is_retryable(),
        }))
    }
}
