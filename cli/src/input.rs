//! Text that is typed, or read from where `@file` or `-` points. Not: what the text is for.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::error::CliError;

/// The most bytes of one text: no line of the JSONL file may be longer.
const TEXT_BYTES_MAX: u64 = x0x_tracker::jsonl::read::LINE_BYTES_MAX as u64;

/// Reads texts; stdin can be had once.
#[derive(Default)]
pub struct Texts {
    stdin_read: bool,
}

impl Texts {
    /// Returns what an argument means: `-` is stdin, `@FILE` a file, `@@x` the text `@x`.
    ///
    /// One line feed at the end of a file or of stdin is no part of the text.
    pub fn read(&mut self, argument: &str) -> Result<String, CliError> {
        if argument == "-" {
            return self.stdin();
        }
        match argument.strip_prefix('@') {
            Some(literal) if literal.starts_with('@') => Ok(literal.to_owned()),
            Some(path) => file_text(Path::new(path)),
            None => Ok(argument.to_owned()),
        }
    }

    /// Returns what a file holds; `-` is stdin.
    pub fn read_file(&mut self, path: &Path) -> Result<String, CliError> {
        if path == Path::new("-") { self.stdin() } else { file_text(path) }
    }

    fn stdin(&mut self) -> Result<String, CliError> {
        if std::mem::replace(&mut self.stdin_read, true) {
            return Err(CliError::usage(
                "'-' stands for stdin, which can be read once",
                "put the other texts into files and name them with @FILE",
            ));
        }
        text_of(&mut io::stdin().lock(), Path::new("stdin"))
    }
}

fn file_text(path: &Path) -> Result<String, CliError> {
    let mut file = File::open(path).map_err(|error| CliError::file("cannot read", path, error))?;
    text_of(&mut file, path)
}

fn text_of(input: &mut dyn Read, path: &Path) -> Result<String, CliError> {
    let mut bytes = Vec::new();
    let read = input.take(TEXT_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| CliError::file("cannot read", path, error))?;
    if bytes.len() as u64 > TEXT_BYTES_MAX {
        return Err(CliError::Invalid {
            detail: format!("{} has more than {TEXT_BYTES_MAX} bytes", path.display()),
            hint: "keep such a text beside the issue and link to it with --links".to_owned(),
        });
    }
    let mut text = String::from_utf8(bytes).map_err(|_| CliError::Invalid {
        detail: format!("{} is not UTF-8 text", path.display()),
        hint: "convert it to UTF-8 first".to_owned(),
    })?;
    if text.ends_with('\n') {
        text.truncate(text.len() - if text.ends_with("\r\n") { 2 } else { 1 });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_a_text_or_the_name_of_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("text");
        std::fs::write(&path, "one\n\ntwo\n\n").unwrap();
        let mut texts = Texts::default();
        assert_eq!(texts.read("plain").unwrap(), "plain");
        assert_eq!(texts.read("@@home").unwrap(), "@home");
        assert_eq!(texts.read(&format!("@{}", path.display())).unwrap(), "one\n\ntwo\n");
        assert!(matches!(texts.read("@/no/such"), Err(CliError::Missing { .. })));
        std::fs::write(&path, [0xff]).unwrap();
        let read = texts.read(&format!("@{}", path.display()));
        assert!(matches!(read, Err(CliError::Invalid { .. })));
    }
}
