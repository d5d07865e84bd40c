//! A JSON array in the place of a JSONL file: told once, beside all the lines that it makes bad.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use x0x_tracker::interface::TrackerError;
use x0x_tracker::jsonl::read::Lines;

use crate::error::CliError;

/// What some editors put before the first character of a file.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Returns what to do with a file that begins an array; `None` where it does not, or cannot be read.
pub fn hint(path: &Path) -> Option<String> {
    let mut lines = Lines::new(BufReader::new(File::open(path).ok()?));
    while let Some(line) = lines.next_line().ok()? {
        let text = line.text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&line.text).trim_ascii_start();
        if let Some(first) = text.first() {
            let file = path.display();
            let hint =
                format!("the file must hold one object a line: `jq -c '.[]' {file}` makes it");
            return (*first == b'[').then_some(hint);
        }
    }
    None
}

/// Returns an error of an import, with that hint where its bad lines are those of an array.
pub fn explained(error: TrackerError, path: &Path) -> CliError {
    let hint = if matches!(error, TrackerError::BadLines { .. }) { hint(path) } else { None };
    match hint {
        Some(hint) => CliError::Hinted { hint, source: Box::new(error.into()) },
        None => error.into(),
    }
}
