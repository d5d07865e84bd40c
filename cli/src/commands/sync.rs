//! `x0x issues sync`: import and export of the bound file, and on request a commit of that file alone.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{export, import};
use crate::args::{ExportArgs, ImportArgs, SyncArgs};
use crate::error::{CliError, Exit};
use crate::git::{Committed, Git};
use crate::resolve::Session;

/// How many digits of a commit's id people are shown.
const ID_DIGITS: usize = 10;

/// Takes in what the file changed, then writes what the list changed.
///
/// Where the import fails nothing is exported, and where the export fails nothing is committed.
pub fn run(session: &Session, args: &SyncArgs) -> Result<Exit, CliError> {
    let path = path(session)?;
    let git = args.commit.then(|| idle_git(&path)).transpose()?;
    let imported = if path.exists() {
        let imported = import::import(session, &ImportArgs::default(), &path)?;
        if !session.output.json {
            import::tell(session, &path, &imported)?;
        }
        Some(imported)
    } else {
        None
    };
    let exported = export::to_known(session, &ExportArgs::default(), &path)?;
    if !session.output.json {
        exported.tell(session)?;
    }
    let committed = git.map(|git| commit(session, args, &git, &path)).transpose()?.flatten();
    if session.output.json {
        let commit = committed.map(|commit| json!({"id": commit.id, "message": args.message}));
        session.output.json(&json!({
            "import": imported.map_or(Value::Null, |imported| imported.object),
            "export": exported.object(),
            "commit": commit,
        }))?;
    }
    Ok(Exit::Done)
}

/// Returns the bound file; it may be away only where the task list is here, to be written from it.
fn path(session: &Session) -> Result<PathBuf, CliError> {
    let is_held = session.binding()?.is_some_and(|binding| session.home.holds(binding.list));
    if is_held { session.file(None) } else { session.file_to_read(None) }
}

/// Returns the repository that the file lies in, if a commit can be made there now.
fn idle_git(path: &Path) -> Result<Git, CliError> {
    let git = Git::around(path.parent().unwrap_or(path))?;
    git.require_idle()?;
    git.require_merged(path)?;
    Ok(git)
}

fn commit(
    session: &Session,
    args: &SyncArgs,
    git: &Git,
    path: &Path,
) -> Result<Option<Committed>, CliError> {
    let committed = git.commit_alone(path, &args.message)?;
    let shown = path.strip_prefix(git.root()).unwrap_or(path).display();
    match &committed {
        Some(Committed { id, said }) => {
            if !said.is_empty() {
                session.output.note(said);
            }
            let id = id.get(..ID_DIGITS).unwrap_or(id);
            session.output.note(&format!("{shown}: committed as {id}, '{}'", args.message));
        }
        None => session.output.note(&format!("{shown}: nothing to commit")),
    }
    Ok(committed)
}
