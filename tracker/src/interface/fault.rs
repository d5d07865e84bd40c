//! Who can mend what went wrong.

use serde::{Deserialize, Serialize};

/// Who can mend an error; each surface maps it to its own codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The named thing is not there.
    NotFound,
    /// Somebody else was first.
    Conflict,
    /// The caller's input.
    Invalid,
    /// The caller may not.
    NotAllowed,
    /// Trying again may help.
    Unavailable,
    /// Whoever has the store does not answer.
    Unreachable,
    /// This machine or this program.
    Internal,
}

/// Returns what to do where the system refused to read or write a file.
pub fn hint_of(source: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match source.kind() {
        StorageFull | QuotaExceeded => {
            "free some space there, then run the command again; what was there before is unharmed"
        }
        ReadOnlyFilesystem => {
            "it can be read but not written: make it writable, or work in another directory \
             (--data-dir, or another clone)"
        }
        _ => "check that the path exists and may be read and written",
    }
}
