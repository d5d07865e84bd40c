//! `issues/schema.md` says what the code does, row by row.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::path::Path;

use x0x_tracker::document::schema::{self, Presence};
use x0x_tracker::state::State;

fn documented() -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../issues/schema.md");
    std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .filter_map(|line| line.trim().strip_prefix("| `")?.strip_suffix(" |"))
        .map(|row| {
            let (name, rest) = row.split_once("` | ").unwrap_or((row, ""));
            std::iter::once(name).chain(rest.split(" | ")).map(str::to_owned).collect()
        })
        .collect()
}

#[test]
fn every_field_is_documented_as_the_code_has_it() {
    let rows: Vec<_> = documented().into_iter().filter(|row| row.len() == 5).collect();
    let wanted: Vec<Vec<String>> = schema::rules()
        .map(|rule| {
            let presence = match rule.presence {
                Presence::Always => "always",
                Presence::Optional => "optional",
                Presence::WhenPresent => "when present",
            };
            vec![
                rule.name.to_owned(),
                rule.json_type.to_owned(),
                rule.place.describe(rule.name),
                rule.place.merge_rule(rule.name).to_owned(),
                presence.to_owned(),
            ]
        })
        .collect();
    assert_eq!(rows, wanted);
}

#[test]
fn every_state_is_documented_as_the_code_has_it() {
    let rows: Vec<_> = documented().into_iter().filter(|row| row.len() == 2).collect();
    let wanted: Vec<Vec<String>> = State::ALL
        .iter()
        .map(|state| vec![state.name().to_owned(), state.meaning().to_owned()])
        .collect();
    assert_eq!(rows, wanted);
}
