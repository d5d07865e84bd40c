//! What is said to a line that the parser does not understand: its own words, shortened for programs,
//! and the command of ours that another tool calls differently.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Error, Subcommand};

use super::{IssuesCommand, Typed};
use crate::error::{CliError, Exit};
use crate::output::Output;

/// Words of other tools, and what they are here.
const WORDS: [(&[&str], &str); 14] = [
    (&["close", "finish", "complete", "resolve"], "done ID"),
    (&["delete", "remove", "rm"], "edit ID --deleted-at now"),
    (&["restore", "undelete"], "edit ID --deleted-at none"),
    (&["start", "take"], "claim ID"),
    (&["assign"], "edit ID --assignee NAME"),
    (&["search", "find", "grep"], "list --text TEXT"),
    (&["update", "set", "modify", "change"], "edit ID"),
    (&["add", "new"], "create TITLE"),
    (&["view", "get", "cat"], "show ID"),
    (&["ls"], "list"),
    (&["open"], "reopen ID"),
    (&["depend", "dep", "depends"], "block ID --on OTHER"),
    (&["label", "tag"], "edit ID --add-label LABEL"),
    (&["count", "status"], "stats"),
];

/// Tells on stderr what is wrong with the line.
pub fn tell(mut error: Error, output: &Output) -> Exit {
    let meant = meant(&error);
    if meant.is_some() {
        // The nearest spelling is not the nearest meaning.
        error.remove(ContextKind::SuggestedSubcommand);
    }
    if output.json {
        return usage(&error, meant).report(output);
    }
    // Nobody to read it is nobody to tell.
    let _ = error.print();
    if let Some(meant) = meant {
        output.tell(&format!("hint: {meant}"));
    }
    Exit::Usage
}

/// Returns the command that is meant by a word that is none.
fn meant(error: &Error) -> Option<String> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    let issues = IssuesCommand::augment_subcommands(clap::Command::new("issues"));
    if issues.find_subcommand(typed).is_some() {
        return Some(format!("`x0x issues {typed}`"));
    }
    if Typed::command().find_subcommand(typed).is_some() {
        return Some(format!("`x0x {typed}`"));
    }
    let (_, ours) = WORDS.iter().find(|(words, _)| words.contains(&typed.as_str()))?;
    Some(format!("`x0x issues {ours}`"))
}

/// Returns what the parser says as an error for programs: its first sentence, and as hint what is
/// meant, or else the likeliest spelling and how the command is used.
fn usage(error: &Error, meant: Option<String>) -> CliError {
    let message = error.render().to_string();
    let mut lines = message.lines();
    let mut detail = lines.next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    if detail.ends_with(':') {
        // What is missing or conflicts stands below, one a line.
        let names: Vec<&str> = lines.take_while(|line| !line.is_empty()).map(str::trim).collect();
        detail = format!("{detail} {}", names.join(", "));
    }
    let said = |start: &str| {
        let line = message.lines().find_map(|line| line.trim().strip_prefix(start))?;
        Some(line.trim().to_owned())
    };
    let usage = said("Usage:").map(|usage| format!("usage: {usage}"));
    let parts: Vec<String> = match meant {
        Some(meant) => vec![meant],
        None => said("tip:").into_iter().chain(usage).collect(),
    };
    let hint = match parts.is_empty() {
        true => "--help shows what the command takes".to_owned(),
        false => parts.join("; "),
    };
    CliError::usage(detail, hint)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn told(line: &str) -> (String, String) {
        let error = Typed::try_parse_from(line.split(' ')).unwrap_err();
        let meant = meant(&error);
        match usage(&error, meant) {
            CliError::Usage { detail, hint } => (detail, hint),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_message_of_the_parser_becomes_detail_and_hint() {
        let (detail, hint) = told("x0x issues list --limt 3");
        assert_eq!(detail, "unexpected argument '--limt' found");
        assert!(hint.contains("--limit") && !hint.contains('\n'), "{hint}");
        let (detail, hint) = told("x0x issues create");
        assert!(detail.ends_with("were not provided: <TITLE>"), "{detail}");
        assert!(hint.starts_with("usage: x0x issues create"), "{hint}");
        let (_, hint) = told("x0x issues create a --priority 9");
        assert!(!hint.is_empty());
    }

    #[test]
    fn a_word_of_another_tool_is_answered_with_ours() {
        for (line, hint) in [
            ("x0x issues close X-1", "`x0x issues done ID`"),
            ("x0x issues delete X-1", "`x0x issues edit ID --deleted-at now`"),
            ("x0x issues start X-1", "`x0x issues claim ID`"),
            ("x0x search pump", "`x0x issues list --text TEXT`"),
            ("x0x list --json", "`x0x issues list`"),
            ("x0x import", "`x0x issues import`"),
            ("x0x issues init", "`x0x init`"),
        ] {
            assert_eq!(told(line).1, hint, "{line}");
        }
        for line in ["x0x issues log", "x0x issues history"] {
            assert!(meant(&Typed::try_parse_from(line.split(' ')).unwrap_err()).is_none());
        }
    }

    #[test]
    fn every_word_stands_for_a_line_that_parses() {
        for (words, ours) in WORDS {
            let line = ["x0x", "issues"].into_iter().chain(ours.split(' '));
            assert!(Typed::try_parse_from(line).is_ok(), "{ours}");
            let issues = IssuesCommand::augment_subcommands(clap::Command::new("issues"));
            assert!(words.iter().all(|word| issues.find_subcommand(word).is_none()), "{words:?}");
        }
    }
}
