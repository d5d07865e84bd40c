//! `x0x issues handoff`: work goes to review, with what was done. The form is checked where it is kept.

use std::io::Write;

use serde::de::IgnoredAny;
use x0x_tracker::issue::{elements_of, list_of};

use super::{claim, rule};
use crate::args::claims::{HandoffArgs, ReportArgs};
use crate::error::{CliError, Exit};
use crate::input::Texts;
use crate::output::record::{self, Record, object, quoted};
use crate::resolve::Session;

/// Hands an issue off and says how it stands.
pub fn run(session: &Session, args: &HandoffArgs) -> Result<Exit, CliError> {
    let handoff = typed(&args.report, &mut Texts::default())?;
    let mut tracker = session.writer()?;
    let kept = claim::speak(&args.holding, |holding| tracker.hand_off(holding, &handoff))?;
    let kept = claim::whole(&*tracker, kept)?;
    claim::note_losses(session, &kept);
    claim::note_renewal(session, &kept, None);
    if session.output.json {
        let text = record::shaped_claim(&kept, &Default::default());
        session.output.data(|stdout| writeln!(stdout, "{text}"))?;
    } else {
        rule::answer(session, &*tracker, &kept.issue)?;
    }
    Ok(Exit::Done)
}

/// What an option gives a member of the handoff.
enum Typed {
    /// Its value.
    Value(String),
    /// More elements of a list.
    Elements(Vec<String>),
}

/// Returns the handoff that a file and the options make together, as JSON.
fn typed(args: &ReportArgs, texts: &mut Texts) -> Result<String, CliError> {
    let file = match &args.file {
        Some(path) => texts.read_file(path)?,
        None => "{}".to_owned(),
    };
    let file = file.trim();
    let base = Record::of(file);
    if !file.starts_with('{') || serde_json::from_str::<IgnoredAny>(file).is_err() {
        return Err(CliError::Invalid {
            detail: "the handoff file does not hold one JSON object".to_owned(),
            hint: "`x0x issues handoff --help` shows its fields; nothing was handed off".to_owned(),
        });
    }
    let mut members: Vec<(String, String)> =
        base.fields().map(|(name, json)| (name.to_owned(), json.to_owned())).collect();
    for (name, json) in options(args, texts)? {
        match (members.iter_mut().find(|(member, _)| *member == name), json) {
            (Some((_, value)), Typed::Value(json)) => *value = json,
            (Some((_, value)), Typed::Elements(more)) => {
                *value = list_of(&[elements_of(value), more].concat());
            }
            (None, Typed::Value(json)) => members.push((name.to_owned(), json)),
            (None, Typed::Elements(all)) => members.push((name.to_owned(), list_of(&all))),
        }
    }
    if members.is_empty() {
        return Err(CliError::usage(
            "a handoff says what was done",
            "--summary TEXT at the least; --file FILE brings a whole handoff as JSON",
        ));
    }
    Ok(object(members.iter().map(|(name, json)| (name.as_str(), json.as_str()))))
}

/// Returns what the options say of each member.
fn options(args: &ReportArgs, texts: &mut Texts) -> Result<Vec<(&'static str, Typed)>, CliError> {
    let mut typed = Vec::new();
    if let Some(summary) = &args.summary {
        typed.push(("summary", Typed::Value(quoted(&texts.read(summary)?))));
    }
    let paths = args.files_changed.iter().flat_map(|paths| paths.split(','));
    let paths: Vec<String> = paths.map(str::trim).filter(|p| !p.is_empty()).map(quoted).collect();
    if !paths.is_empty() {
        typed.push(("files_changed", Typed::Elements(paths)));
    }
    let checks: Vec<String> =
        args.validation.iter().map(|check| validation(check)).collect::<Result<_, _>>()?;
    if !checks.is_empty() {
        typed.push(("validation", Typed::Elements(checks)));
    }
    let mut rest = Vec::new();
    for text in &args.follow_up {
        rest.push(quoted(&texts.read(text)?));
    }
    if !rest.is_empty() {
        typed.push(("follow_up", Typed::Elements(rest)));
    }
    if let Some(dir) = &args.proofs_dir {
        typed.push(("proofs_dir", Typed::Value(quoted(dir))));
    }
    Ok(typed)
}

/// Returns one entry of `validation`: a JSON object as it is, else a command and its status.
fn validation(text: &str) -> Result<String, CliError> {
    if text.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok() {
        return Ok(text.to_owned());
    }
    match text.rsplit_once('=') {
        Some((command, status)) if !command.trim().is_empty() && !status.trim().is_empty() => {
            let (command, status) = (quoted(command.trim()), quoted(status.trim()));
            Ok(object([("command", command.as_str()), ("status", status.as_str())]))
        }
        _ => Err(CliError::usage(
            format!("--validation '{text}' says no status"),
            "write COMMAND=STATUS, as in 'cargo test=passed', or a JSON object",
        )),
    }
}
