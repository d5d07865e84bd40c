//! `x0x issues merge --resolve`: mends the file that a merge by lines left. It keeps a copy of the
//! file first, and asks neither a list nor git.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::json;
use x0x_tracker::TrackerError;
use x0x_tracker::jsonl::resolve::{self, Resolved};

use crate::error::{CliError, Exit};
use crate::files::{self, Pending};
use crate::output::plain::one_line;
use crate::resolve::Session;

/// What the name of a copy adds to that of the file; from the second on a number follows.
const COPY_SUFFIX: &str = "before-resolve";

/// How many copies may lie beside a file. A guess: somebody is to look at them before.
const COPIES_MAX: usize = 1_000;

/// Resolves a file in its place; a bad line leaves it as it is.
pub fn run(session: &Session, file: &Path, is_dry: bool) -> Result<Exit, CliError> {
    let read = |error| CliError::file("cannot read", file, error);
    // A link stays one: what it leads to is replaced.
    let path = files::canonical(file).map_err(read)?;
    let text = fs::read(&path).map_err(read)?;
    let name = file.display().to_string();
    let resolved = resolve::resolve(&text).map_err(|problems| CliError::Hinted {
        hint: "mend these lines and resolve again; the file was left as it is".to_owned(),
        source: Box::new(TrackerError::BadLines { file: name.clone(), problems }.into()),
    })?;
    let copy = if is_dry || resolved.is_nothing() {
        None
    } else {
        Some(replace(&path, &text, &resolved.text)?)
    };
    tell(session, &name, is_dry, &resolved, copy.as_deref())?;
    Ok(Exit::Done)
}

/// Replaces a file after a copy of it is on the disk; returns the copy's path.
fn replace(path: &Path, old: &[u8], new: &[u8]) -> Result<PathBuf, CliError> {
    let failed = |error| CliError::file("cannot write", path, error);
    let mut pending = Pending::of(path).map_err(failed)?;
    pending.write_all(new).map_err(failed)?;
    let copy = keep_copy(path, old)?;
    let is_as_read = fs::read(path).map_err(|e| CliError::file("cannot read", path, e))? == old;
    if !is_as_read {
        return Err(CliError::Invalid {
            detail: format!("{} changed while it was resolved; it was left alone", path.display()),
            hint: "resolve it again when nobody else writes it".to_owned(),
        });
    }
    pending.replace().map_err(failed)?;
    Ok(copy)
}

/// Writes a copy beside a file, under a name that nothing has yet, for no more eyes than the file.
fn keep_copy(path: &Path, text: &[u8]) -> Result<PathBuf, CliError> {
    let mode =
        fs::metadata(path).map_err(|e| CliError::file("cannot read", path, e))?.permissions();
    for number in 1..=COPIES_MAX {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{COPY_SUFFIX}"));
        if number > 1 {
            name.push(format!("-{number}"));
        }
        let copy = PathBuf::from(name);
        if copy.symlink_metadata().is_ok() {
            continue;
        }
        let failed = |error| CliError::file("cannot write", &copy, error);
        let mut pending = Pending::of(&copy).map_err(failed)?;
        pending.write_all(text).map_err(failed)?;
        pending.set_permissions(mode.clone()).map_err(failed)?;
        match pending.create() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            done => return done.map(|()| copy.clone()).map_err(failed),
        }
    }
    Err(CliError::Invalid {
        detail: format!("{COPIES_MAX} copies of {} lie beside it already", path.display()),
        hint: format!("move the files ending in {COPY_SUFFIX} to another place"),
    })
}

/// Says what became of the file; what a person has to look at not even --quiet hides.
fn tell(
    session: &Session,
    name: &str,
    is_dry: bool,
    resolved: &Resolved,
    copy: Option<&Path>,
) -> Result<(), CliError> {
    let output = session.output;
    if output.json {
        let fields = |(id, fields): &(String, Vec<String>)| json!({"id": id, "fields": fields});
        let disputed: Vec<_> = resolved.disputed.iter().map(fields).collect();
        return output.json(&json!({
            "file": name,
            "dry_run": is_dry,
            "changed": copy.is_some(),
            "copy": copy.map(|copy| copy.display().to_string()),
            "conflicts": resolved.conflicts,
            "repeated": resolved.repeated,
            "merged": resolved.merged,
            "disputed": disputed,
            "removed": resolved.removed,
            "collisions": resolved.collisions,
        }));
    }
    for (id, fields) in &resolved.disputed {
        output.tell(&one_line(&format!(
            "{id}: {} had several values; the later one is kept, all are under conflicts",
            fields.join(", ")
        )));
    }
    for id in &resolved.removed {
        output.tell(&one_line(&format!("{id}: one side removed it, the other left it as it was")));
    }
    for id in &resolved.collisions {
        output.tell(&one_line(&format!(
            "{id}: several issues of different created_at have this id; each keeps its line"
        )));
    }
    output.note(&summary(name, is_dry, resolved, copy));
    Ok(())
}

fn summary(name: &str, is_dry: bool, resolved: &Resolved, copy: Option<&Path>) -> String {
    if resolved.is_nothing() {
        return format!("{name}: nothing to resolve; it was left alone");
    }
    let Resolved { conflicts, repeated, merged, .. } = resolved;
    let what = format!(
        "{conflicts} conflicts and {repeated} repeated lines resolved, {} records merged",
        merged.len()
    );
    match copy {
        Some(copy) => {
            let copy = copy.display();
            format!(
                "{name}: {what}\nThe file as it was is kept in {copy}; in a merge, `git add {name}` comes next."
            )
        }
        None if is_dry => format!("dry run, nothing was written: {name}: {what}"),
        None => format!("{name}: {what}"),
    }
}
