//! What is handed off: what the command wrote of its work, and what the runner saw of it.

use serde_json::{Map, Value, json};

/// The largest handoff file that is taken; it becomes part of the issue, in git too.
pub const BYTES_MAX: u64 = 256 << 10;

/// As much of a command line as a handoff tells: it stands there twice, and has to fit into an issue.
const COMMAND_BYTES_MAX: usize = 1 << 10;

/// Fields of a handoff that are lists.
const LISTS: [&str; 3] = ["files_changed", "validation", "follow_up"];

/// What the runner itself can say.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The command line.
    pub command: String,
    /// How long it ran.
    pub duration_ms: u64,
    /// Where the proofs lie.
    pub proofs_dir: String,
    /// How many processes did not end on SIGKILL.
    pub processes_left: usize,
}

/// Returns the handoff of a command that wrote none.
pub fn own(seen: &Seen) -> Map<String, Value> {
    let took = x0x_tracker::interface::claims::duration(seen.duration_ms);
    let mut handoff = Map::new();
    handoff.insert("summary".to_owned(), format!("`{}` succeeded in {took}", seen.command).into());
    for list in LISTS {
        handoff.insert(list.to_owned(), json!([]));
    }
    handoff.insert("validation".to_owned(), json!([passed(seen)]));
    handoff.insert("proofs_dir".to_owned(), seen.proofs_dir.clone().into());
    follow_up(&mut handoff, seen);
    handoff
}

/// Adds what somebody has to look after.
fn follow_up(handoff: &mut Map<String, Value>, seen: &Seen) {
    let list = handoff.get_mut("follow_up").and_then(Value::as_array_mut);
    if let Some(list) = list.filter(|_| seen.processes_left > 0) {
        let left = seen.processes_left;
        list.push(format!("{left} processes of the command did not end on SIGKILL").into());
    }
}

/// Returns the handoff of a command that wrote one; what it says comes before what the runner saw.
///
/// # Errors
/// What is wrong with what it wrote.
pub fn merged(written: &str, seen: &Seen) -> Result<Map<String, Value>, String> {
    let value: Value = serde_json::from_str(written).map_err(|error| error.to_string())?;
    let Value::Object(written) = value else {
        return Err("expected a JSON object".to_owned());
    };
    let mut handoff = own(seen);
    for (name, value) in written {
        if LISTS.contains(&name.as_str()) && !value.is_array() {
            return Err(format!("{name}: expected a list"));
        }
        let is_follow_up = name == "follow_up";
        handoff.insert(name, value);
        if is_follow_up {
            follow_up(&mut handoff, seen);
        }
    }
    let validation = handoff.get_mut("validation").and_then(Value::as_array_mut);
    if let Some(validation) = validation
        && !validation.iter().any(|entry| entry["command"] == seen.command.as_str())
    {
        validation.push(passed(seen));
    }
    Ok(handoff)
}

/// Returns the handoff of a command that wrote one which cannot be taken, and why.
pub fn without(why: &str, file: &str, seen: &Seen) -> Map<String, Value> {
    let mut handoff = own(seen);
    let note = format!("The command's handoff could not be taken ({why}); it is kept as {file}");
    handoff.insert("follow_up".to_owned(), json!([note]));
    follow_up(&mut handoff, seen);
    handoff
}

fn passed(seen: &Seen) -> Value {
    json!({"command": seen.command, "status": "passed"})
}

/// Returns a command line as a shell would read it; a long one is cut, the manifest has it whole.
pub fn command_line(command: &[String]) -> String {
    let is_plain = |c: char| {
        c.is_ascii_alphanumeric()
            || matches!(c, '.' | '_' | '-' | '/' | '=' | ':' | ',' | '@' | '%' | '+')
    };
    let quoted = command.iter().map(|word| match word.chars().all(is_plain) && !word.is_empty() {
        true => word.clone(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    });
    let mut line = quoted.collect::<Vec<_>>().join(" ");
    if line.len() > COMMAND_BYTES_MAX {
        let mut end = COMMAND_BYTES_MAX;
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        line.truncate(end);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Seen {
        Seen {
            command: "make check".to_owned(),
            duration_ms: 2_000,
            proofs_dir: "proofs/T-1/20260501T203500Z".to_owned(),
            processes_left: 0,
        }
    }

    #[test]
    fn what_the_command_wrote_comes_first() {
        let written = r#"{"summary":"mended","files_changed":["a.c"],"validation":[{"command":"b","status":"failed"}],"extra":1}"#;
        let handoff = Value::Object(merged(written, &seen()).unwrap());
        assert_eq!(handoff["summary"], "mended");
        assert_eq!(handoff["files_changed"], json!(["a.c"]));
        assert_eq!(
            handoff["validation"],
            json!([
                {"command": "b", "status": "failed"},
                {"command": "make check", "status": "passed"},
            ])
        );
        assert_eq!(handoff["follow_up"], json!([]));
        assert_eq!(handoff["proofs_dir"], "proofs/T-1/20260501T203500Z");
        assert_eq!(handoff["extra"], 1);
    }

    #[test]
    fn the_runner_does_not_repeat_what_the_command_said_of_itself() {
        let written =
            r#"{"validation":[{"command":"make check","status":"passed","note":"2 skipped"}]}"#;
        let handoff = merged(written, &seen()).unwrap();
        assert_eq!(handoff["validation"].as_array().unwrap().len(), 1);
        assert_eq!(handoff["summary"], "`make check` succeeded in 2 s");
    }

    #[test]
    fn a_file_that_is_no_handoff_is_named() {
        for (written, why) in [
            ("", "EOF"),
            ("[]", "an object"),
            (r#"{"validation":"ok"}"#, "validation: expected a list"),
        ] {
            let error = merged(written, &seen()).unwrap_err();
            let is_told = error.contains(why) || error.contains("expected a JSON object");
            assert!(is_told, "{written}: {error}");
        }
        let handoff = without("expected a list", "handoff.json", &seen());
        assert!(handoff["follow_up"][0].as_str().unwrap().contains("expected a list"));
        assert_eq!(handoff["validation"][0]["status"], "passed");
    }

    #[test]
    fn processes_that_do_not_end_are_to_be_followed_up() {
        let seen = Seen { processes_left: 2, ..seen() };
        let written = merged(r#"{"follow_up":["a"]}"#, &seen).unwrap();
        for (handoff, count) in [(own(&seen), 1), (written, 2), (without("no", "f", &seen), 2)] {
            let list = handoff["follow_up"].as_array().unwrap();
            let told = list.last().unwrap().as_str().unwrap();
            assert_eq!((list.len(), told.starts_with("2 processes")), (count, true), "{list:?}");
        }
    }

    #[test]
    fn a_long_command_line_is_cut() {
        let line = command_line(&["echo".to_owned(), "é".repeat(100_000)]);
        assert!(line.len() <= COMMAND_BYTES_MAX + 3 && line.ends_with('…'), "{}", line.len());
    }

    #[test]
    fn a_command_line_can_be_pasted_into_a_shell() {
        let words = ["sh", "-c", "echo 'a b'", "", "--x=1"].map(str::to_owned);
        assert_eq!(command_line(&words), r"sh -c 'echo '\''a b'\''' '' --x=1");
    }
}
