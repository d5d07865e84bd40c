//! What a command finds in its environment.

use std::ffi::OsString;
use std::path::Path;

use x0x_tracker::issue::as_text;

use super::desk::Taken;
use crate::output::record::Record;

/// The longest value, in bytes: the system starts no program with one of 128 KiB.
const VALUE_BYTES_MAX: usize = 32 << 10;

/// Returns the variables of a command that works on an issue; what the issue lacks is empty.
pub fn of(
    taken: &Taken,
    worker: &str,
    proofs: &Path,
    handoff: &Path,
    data_dir: &Path,
) -> Vec<(&'static str, OsString)> {
    let record = Record::of(&taken.json);
    let text = |name: &str| record.get(name).and_then(as_text).unwrap_or_default();
    let row = &taken.issue.row;
    let fence = row.held.as_ref().map_or_else(String::new, |held| held.fence.to_string());
    let texts = [
        ("X0X_ISSUE_ID", row.id.clone()),
        ("X0X_ISSUE_IDENTIFIER", taken.issue.name.clone()),
        ("X0X_ISSUE_TITLE", row.title.clone()),
        ("X0X_ISSUE_STATE", row.state.clone().unwrap_or_default()),
        ("X0X_ISSUE_PRIORITY", row.priority.map_or_else(String::new, |n| n.to_string())),
        ("X0X_ISSUE_BRANCH_NAME", text("branch_name")),
        ("X0X_ISSUE_URL", text("url")),
        ("X0X_ISSUE_ATTEMPT", row.tally.attempts().to_string()),
        ("X0X_CLAIM", taken.claim.to_string()),
        ("X0X_CLAIM_FENCE", fence),
        ("X0X_WORKER", worker.to_owned()),
    ];
    let paths = [("X0X_PROOFS", proofs), ("X0X_HANDOFF", handoff), ("X0X_DATA_DIR", data_dir)];
    let texts = texts.map(|(name, text)| (name, OsString::from(fit(&text))));
    texts.into_iter().chain(paths.map(|(name, path)| (name, path.into()))).collect()
}

/// Returns what the system takes of a value: no NUL, and not too much.
fn fit(text: &str) -> String {
    let mut text = text.replace('\0', "");
    let mut end = text.len().min(VALUE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_one_that_the_system_takes() {
        assert_eq!(fit("a\0b"), "ab");
        let long = fit(&"é".repeat(VALUE_BYTES_MAX));
        assert_eq!(long.len(), VALUE_BYTES_MAX);
        assert_eq!(fit(&format!("a{}", "é".repeat(VALUE_BYTES_MAX))).len(), VALUE_BYTES_MAX - 1);
    }
}
