//! What of the messages is in the canonical exports, read as streams.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use serde::Deserialize;

use super::common::site::Site;

/// How many of those that are missing are named.
const NAMED_MAX: usize = 5;

/// What a canonical export has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Export {
    /// Of its bytes; empty where there was none.
    pub hash: String,
    /// How many of the messages are in it.
    pub present: usize,
    /// How many lines it has.
    pub lines: usize,
    /// Some of the messages that are not in it.
    pub missing: Vec<String>,
    /// Why it could not be had.
    pub why: Option<String>,
}

/// The ids of messages.
pub struct Ids(BTreeMap<String, usize>);

#[derive(Deserialize)]
struct Line {
    id: String,
}

impl Ids {
    pub fn of(created: &[Vec<String>]) -> Self {
        Self(created.iter().flatten().cloned().zip(0..).collect())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Looks for them in what a node exports.
    pub fn look(&self, site: &Site) -> Export {
        let mut command = site.command(&["issues", "export", "--canonical", "--out", "-"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let looked = self.look_in(child.stdout.take().unwrap());
        let mut said = String::new();
        // It says little, which waits in the pipe.
        let read = child.stderr.take().unwrap().read_to_string(&mut said);
        let status = child.wait().unwrap();
        match looked {
            Ok(export) if status.success() => export,
            Ok(_) => Export { why: Some(format!("{status}: {said}")), ..Export::default() },
            Err(why) => Export { why: Some(format!("{why} {read:?} {said}")), ..Export::default() },
        }
    }

    fn look_in(&self, export: impl Read) -> Result<Export, String> {
        let mut found = vec![false; self.0.len()];
        let (mut hash, mut lines) = (blake3::Hasher::new(), 0);
        let (mut reader, mut line) = (BufReader::with_capacity(1 << 16, export), Vec::new());
        while reader.read_until(b'\n', &mut line).map_err(|error| error.to_string())? > 0 {
            hash.update(&line);
            lines += 1;
            let Line { id } = serde_json::from_slice(&line).map_err(|error| error.to_string())?;
            if let Some(number) = self.0.get(&id) {
                found[*number] = true;
            }
            line.clear();
        }
        let absent = self.0.iter().filter(|(_, number)| !found[**number]);
        Ok(Export {
            hash: hash.finalize().to_hex().to_string(),
            present: found.iter().filter(|is_found| **is_found).count(),
            lines,
            missing: absent.map(|(id, _)| id.clone()).take(NAMED_MAX).collect(),
            why: None,
        })
    }
}

/// Tells whether all have the same.
pub fn are_equal(exports: &[Export]) -> bool {
    let mut hashes = exports.iter().map(|export| &export.hash);
    let first = hashes.next();
    first.is_some_and(|first| !first.is_empty() && hashes.all(|hash| hash == first))
}

#[test]
fn a_message_counts_once_and_one_that_is_not_there_is_named() {
    let ids = Ids::of(&[vec!["a".into(), "b".into()], vec!["c".into()]]);
    let export = "{\"id\":\"a\",\"title\":\"1\"}\n{\"id\":\"x\"}\n{\"id\":\"a\"}\n{\"id\":\"c\"}\n";
    let export = ids.look_in(export.as_bytes()).unwrap();
    assert_eq!((export.present, export.lines, &export.missing), (2, 4, &vec!["b".to_owned()]));
    assert!(ids.look_in(&b"{\"id\":\"a\"}\n{\"id\""[..]).is_err(), "it broke off");
    let other = ids.look_in(&b"{\"id\":\"a\"}\n"[..]).unwrap();
    assert!(are_equal(&[export.clone(), export.clone()]) && !are_equal(&[export, other]));
    assert!(!are_equal(&[Export::default(), Export::default()]), "none was had");
}
