//! What reading `.x0x.toml` must do whatever its bytes are; run by the tests and by the fuzzer.

use std::path::Path;

use super::spelled::{read, write};

/// Checks it for one input.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match read(text) {
        Ok(spelled) => {
            let written = write(&spelled).expect("what was read can be written");
            assert_eq!(read(&written), Ok(spelled.clone()), "{written}");
            let root = Path::new("/repository");
            assert!(root.join(&spelled.jsonl).starts_with(root), "{:?}", spelled.jsonl);
        }
        Err(fault) => {
            let lines = text.lines().count() + 1;
            assert!(fault.line.is_none_or(|line| (1..=lines).contains(&line)), "{fault:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// The inputs that the fuzzer starts from, and what it found.
    fn kept() -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/binding");
        let mut paths: Vec<PathBuf> =
            std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        assert!(!paths.is_empty(), "{} has no inputs", folder.display());
        paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
    }

    #[test]
    fn any_bytes_are_read_or_refused() {
        let inputs = kept();
        let read_ones = inputs.iter().filter_map(|input| std::str::from_utf8(input).ok());
        assert!(read_ones.filter(|text| read(text).is_ok()).count() > 0);
        for input in &inputs {
            run(input);
            for at in 0..input.len() {
                for changed in [0, b'\n', b'"', b'\\', b'=', b'.', b'[', 0xff, input[at] ^ 1] {
                    let mut bytes = input.clone();
                    bytes[at] = changed;
                    run(&bytes);
                }
                run(&input[..at]);
            }
        }
    }
}
