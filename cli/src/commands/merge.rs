//! `x0x issues merge`: git's merge driver for the JSONL file. It reads three files and writes one of
//! them; no list and no data directory is asked.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::json;
use x0x_tracker::TrackerError;
use x0x_tracker::jsonl::merge::{self, MergeError, Merged, Side};

use crate::args::MergeArgs;
use crate::error::{CliError, Exit};
use crate::files::Pending;
use crate::resolve::Session;

/// Merges what THEIRS changed since BASE into OURS.
///
/// Where one of them has bad lines, OURS stays as it is and git takes the file for conflicted.
pub fn run(session: &Session, args: &MergeArgs) -> Result<Exit, CliError> {
    let (base, ours, theirs) = (read(&args.base)?, read(&args.ours)?, read(&args.theirs)?);
    let merged = merge::merge(&base, &ours, &theirs).map_err(|error| refused(args, error))?;
    if merged.text != ours {
        let failed = |error| CliError::file("cannot write", &args.ours, error);
        let mut pending = Pending::of(&args.ours).map_err(failed)?;
        pending.write_all(&merged.text).map_err(failed)?;
        pending.replace().map_err(failed)?;
    }
    tell(session, &merged)?;
    Ok(Exit::Done)
}

/// Names what both sides changed: a person has to look at it, so not even --quiet hides it.
fn tell(session: &Session, merged: &Merged) -> Result<(), CliError> {
    let output = session.output;
    if output.json {
        let fields = |(id, fields): &(String, Vec<String>)| json!({"id": id, "fields": fields});
        let disputed: Vec<_> = merged.disputed.iter().map(fields).collect();
        return output.json(&json!({ "disputed": disputed }));
    }
    for (id, fields) in &merged.disputed {
        eprintln!(
            "{id}: both sides changed {}; the later value is kept, both are under conflicts",
            fields.join(", ")
        );
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    fs::read(path).map_err(|error| CliError::file("cannot read", path, error))
}

fn refused(args: &MergeArgs, error: MergeError) -> CliError {
    let path = match error.side {
        Side::Base => &args.base,
        Side::Ours => &args.ours,
        Side::Theirs => &args.theirs,
    };
    let file = path.display().to_string();
    CliError::from(TrackerError::BadLines { file, problems: error.problems })
}
