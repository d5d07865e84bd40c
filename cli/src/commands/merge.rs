//! `x0x issues merge`: git's merge driver for the JSONL file. It reads three files and writes one of
//! them; no list and no data directory is asked. What --resolve does is in [`resolution`].

use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::json;
use x0x_tracker::TrackerError;
use x0x_tracker::jsonl::merge::{self, MergeError, Merged, Side};

use super::resolution;
use crate::args::MergeArgs;
use crate::error::{CliError, Exit};
use crate::files::Pending;
use crate::resolve::Session;

/// Merges three versions, or resolves one file.
pub fn run(session: &Session, args: &MergeArgs) -> Result<Exit, CliError> {
    match args {
        // clap lets what an argument requires be absent where both exclude each other.
        MergeArgs { resolve: None, dry_run: true, .. } => Err(CliError::usage(
            "--dry-run goes with --resolve FILE",
            "copy the three files to try a merge on them",
        )),
        MergeArgs { resolve: Some(file), .. } => resolution::run(session, file, args.dry_run),
        MergeArgs { base: Some(base), ours: Some(ours), theirs: Some(theirs), .. } => {
            drive(session, &Versions { base, ours, theirs })
        }
        _ => Err(CliError::usage(
            "merge takes BASE OURS THEIRS, or --resolve FILE",
            "see `x0x issues merge --help`",
        )),
    }
}

/// The files that git gives a merge driver.
struct Versions<'a> {
    base: &'a Path,
    ours: &'a Path,
    theirs: &'a Path,
}

/// Merges what THEIRS changed since BASE into OURS.
///
/// Where one of them has bad lines, OURS stays as it is and git takes the file for conflicted.
fn drive(session: &Session, paths: &Versions<'_>) -> Result<Exit, CliError> {
    let (base, ours, theirs) = (read(paths.base)?, read(paths.ours)?, read(paths.theirs)?);
    let merged = merge::merge(&base, &ours, &theirs).map_err(|error| refused(paths, error))?;
    if merged.text != ours {
        let failed = |error| CliError::file("cannot write", paths.ours, error);
        let mut pending = Pending::of(paths.ours).map_err(failed)?;
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

fn refused(paths: &Versions<'_>, error: MergeError) -> CliError {
    let (path, side) = match error.side {
        Side::Base => (paths.base, "the version that both come from"),
        Side::Ours => (paths.ours, "our version"),
        Side::Theirs => (paths.theirs, "their version"),
    };
    let file = path.display().to_string();
    // Git's three files are gone when a person reads this.
    let hint = format!(
        "nothing was merged, and OURS has nothing of THEIRS yet: mend {side} of the file where it \
         comes from (`x0x issues merge --resolve FILE` merges conflict markers and repeated ids), \
         then merge again"
    );
    let source = Box::new(TrackerError::BadLines { file, problems: error.problems }.into());
    CliError::Hinted { hint, source }
}
