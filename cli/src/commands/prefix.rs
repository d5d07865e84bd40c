//! What the ids of a list start with, learned from the ids or from the name it has.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use x0x_tracker::issue::as_text;
use x0x_tracker::jsonl::read::{Content, Lines, parse_line};

use crate::args::values::is_prefix;

/// The longest prefix that is made from a name.
const PREFIX_CHARS_MAX: usize = 8;

/// Returns the part before the last `-` that most ids of a file have; of equals the one that comes
/// first. `None` where there is no file or no such id.
pub fn in_file(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut lines = Lines::new(BufReader::new(file));
    let mut counts: HashMap<String, (usize, usize)> = HashMap::new();
    while let Some(raw) = lines.next_line()? {
        let Ok(Content::Record(line)) = parse_line(&raw) else { continue };
        let id = line.get("id").and_then(|field| as_text(field.raw)).unwrap_or_default();
        if let Some((prefix, _)) = id.rsplit_once('-').filter(|(prefix, _)| is_prefix(prefix)) {
            let (count, _) = counts.entry(prefix.to_owned()).or_insert((0, raw.number));
            *count += 1;
        }
    }
    let most = counts.into_iter().max_by_key(|(_, (count, line))| (*count, usize::MAX - line));
    Ok(most.map(|(prefix, _)| prefix))
}

/// Returns the letters and digits of a name, in upper case.
pub fn from_name(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric).take(PREFIX_CHARS_MAX);
    let prefix: String = letters.map(|c| c.to_ascii_uppercase()).collect();
    if prefix.is_empty() { "ISSUE".to_owned() } else { prefix }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_common_prefix_counts() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("issues.jsonl");
        assert_eq!(in_file(&file).unwrap(), None);
        let ids = ["A-1", "not-a-prefix-1", "B.x-1", "plain", "B.x-2"];
        let lines: Vec<String> = ids.iter().map(|id| format!("{{\"id\":\"{id}\"}}\n")).collect();
        std::fs::write(&file, lines.concat() + "<<<<<<< bad\n").unwrap();
        assert_eq!(in_file(&file).unwrap().as_deref(), Some("B.x"));
    }

    #[test]
    fn a_name_gives_letters_and_digits() {
        assert_eq!(from_name("my-project_2026"), "MYPROJEC");
        assert_eq!(from_name("漢字"), "ISSUE");
    }
}
