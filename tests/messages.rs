//! No message steers towards losing data: every text that the program can say is searched for words that
//! destroy, and each place where one stands is listed here with the reason why it may.
//!
//! It reads sources as text: literals outside tests and, of the command line's arguments, the comments
//! that become help.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};

/// What a program or a person must not be told to do with what they have.
const DESTROYING: &[&str] = &[
    "clean",
    "clobber",
    "delete",
    "deletes",
    "discard",
    "drop",
    "erase",
    "force",
    "forget",
    "overwrite",
    "overwrites",
    "purge",
    "recreate",
    "reinit",
    "reinitialize",
    "remove",
    "removes",
    "replace",
    "replaces",
    "reset",
    "rm",
    "rmdir",
    "scratch",
    "shred",
    "truncate",
    "unlink",
    "wipe",
];

/// Texts in which such a word may stand, and why.
const HARMLESS: &[(&str, &str)] = &[
    ("it overwrites or deletes a record", "a refusal of such a change"),
    ("--remove-link docs/design.md", "removal is an edit that another edit takes back, as it says"),
    ("Remove the issue (a time, or now), or bring it back (none)", "the same"),
    ("nothing is erased, and it can be undone", "the same"),
    ("Remove issues whose line disappeared from the file", "the same, only where it is asked for"),
    ("missing from the file, kept here (--prune removes them)", "the same, and kept comes first"),
    ("--force takes it back all the same, and that can be undone too", "as it says"),
    (" (--force restores it)", "an undo, which can be undone"),
    ("  left {}: {}{force}", "a name in a format"),
    ("`x0x backup` wrote to FILE, and keeps the damaged list beside it", "a copy stays"),
    ("or with --replace is kept under another\nname", "a copy stays"),
    (
        "--replace puts it in the place of the list that is here, which is kept beside it",
        "a copy stays",
    ),
    ("a backup replaces no file", "as it says"),
    ("member; and reset, which says that events were missed", "a kind of event"),
    ("`reset` is always told", "a kind of event"),
    (
        "--force --reason 'its machine is gone'     a maintainer ends any claim",
        "the issue and its history stay; its holder is told why",
    ),
];

/// Where the words come from that the program says.
const SOURCES: &[&str] = &["cli/src", "src", "tracker/src"];

/// Where comments become help.
const HELP: &[&str] = &["cli/src/args", "src/service/args", "src/bin"];

#[test]
fn no_message_tells_anybody_to_destroy_what_they_have() {
    let mut used = BTreeSet::new();
    let mut broken = Vec::new();
    let mut texts = 0;
    for (file, source) in sources() {
        for text in literals(&file, &source) {
            texts += 1;
            if let Some(word) = destroying_word(&text) {
                match HARMLESS.iter().find(|(harmless, _)| text.contains(harmless)) {
                    Some((harmless, _)) => _ = used.insert(*harmless),
                    None => broken.push(format!("{file}: '{word}' in {text:?}")),
                }
            }
        }
    }
    assert!(texts > 500, "{texts} texts are all there are?");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    let unused: Vec<_> = HARMLESS.iter().filter(|(text, _)| !used.contains(text)).collect();
    assert!(unused.is_empty(), "no text says this any more: {unused:?}");
}

/// Returns the first word of a text that destroys.
fn destroying_word(text: &str) -> Option<&'static str> {
    // A lone word is a field, a flag or a key, not something that is said.
    if !text.trim().contains(' ') {
        return None;
    }
    let lower = text.to_lowercase();
    let words: BTreeSet<&str> = lower.split(|c: char| !c.is_alphanumeric()).collect();
    DESTROYING.iter().find(|word| words.contains(**word)).copied()
}

/// Returns every text literal of a source that is not in its tests.
fn literals(file: &str, source: &str) -> Vec<String> {
    let said = source.split("#[cfg(test)]\nmod ").next().unwrap_or(source);
    let tokens: TokenStream = said.parse().unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut found = Vec::new();
    collect(tokens, HELP.iter().any(|folder| file.starts_with(folder)), &mut found);
    found
}

fn collect(tokens: TokenStream, comments_too: bool, found: &mut Vec<String>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let inside: Vec<TokenTree> = group.stream().into_iter().collect();
                let is_comment =
                    matches!(inside.first(), Some(TokenTree::Ident(word)) if word == "doc");
                if comments_too || !is_comment {
                    collect(inside.into_iter().collect(), comments_too, found);
                }
            }
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                if text.starts_with(['"', 'r']) {
                    let raw = text.trim_start_matches(['r', '#']).trim_end_matches('#');
                    // A line that ends in a backslash goes on with the first letter of the next.
                    let lines: Vec<&str> = raw.trim_matches('"').split("\\\n").collect();
                    let rest = lines[1..].iter().map(|line| line.trim_start());
                    let said: String = std::iter::once(lines[0]).chain(rest).collect();
                    found.push(said.replace("\\n", "\n"));
                }
            }
            _ => {}
        }
    }
}

/// Returns all sources that may say something, with their paths.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<String> = SOURCES.iter().map(|folder| (*folder).to_owned()).collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{folder}/{}", entry.file_name().into_string().unwrap());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if path.ends_with(".rs") && !path.ends_with("/tests.rs") {
                found.push((path.clone(), fs::read_to_string(root.join(&path)).unwrap()));
            }
        }
    }
    found
}

#[test]
fn a_message_that_destroys_is_found_wherever_it_stands() {
    for source in [
        "fn f() -> String { format!(\"delete the store and begin again\") }",
        "const A: &str = r#\"run `x0x init --force`\"#;",
        "#[error(\"{path}: rm it\")] struct E;",
        "m!(\"a\", hint: \"Remove the\\n data directory\")",
        "fn f() { g(|| h(\"wipe it \\\n clean\")) }",
    ] {
        let said = literals("src/a.rs", source);
        assert!(said.iter().any(|text| destroying_word(text).is_some()), "{source}: {said:?}");
    }
    let comment = "/// Remove the store first.\nstruct S;";
    assert_eq!(literals("src/a.rs", comment), [""; 0]);
    assert!(destroying_word(&literals("cli/src/args/a.rs", comment)[0]).is_some());
    let tests = "fn f() {}\n#[cfg(test)]\nmod tests { const A: &str = \"rm -rf it\"; }";
    assert_eq!(literals("src/a.rs", tests), [""; 0]);
    for harmless in ["delete", "removed issues too", "a firm dropping of hints"] {
        assert_eq!(destroying_word(harmless), None, "{harmless}");
    }
}
