//! `x0x init`: binds a repository to a task list. It writes `.x0x.toml`, never over anything, and
//! leaves git alone unless the merge driver is asked for.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::merge_driver::MergeDriver;
use super::prefix;
use crate::args::init::InitArgs;
use crate::error::{CliError, Exit};
use crate::files::{self, Pending};
use crate::git::Git;
use crate::output::plain::one_line;
use crate::resolve::binding::{self, Binding, DEFAULT_JSONL};
use crate::resolve::{Session, repository};

/// Binds the repository around the current directory.
pub fn run(session: &Session, args: InitArgs) -> Result<Exit, CliError> {
    let root = root(session)?;
    let git = Git::around(&root);
    let git = if args.merge_driver { Some(git?) } else { git.ok() };
    if let Some(git) = git.as_ref().filter(|_| args.merge_driver) {
        MergeDriver::require_free(git)?;
    }
    let typed_jsonl =
        args.jsonl.as_deref().map(|path| from_root(session, &root, path)).transpose()?;
    let is_new =
        Binding::at(&root)?.is_none() && found(session, &root, &args, typed_jsonl.clone())?;
    let Some(binding) = Binding::at(&root)? else {
        return Err(CliError::Missing {
            detail: format!("{} vanished again", root.join(binding::FILE).display()),
            hint: "run `x0x init` once more".to_owned(),
        });
    };
    if !is_new {
        refuse_other(&binding, &args, typed_jsonl.as_deref())?;
        join_existing(session, &binding)?;
    }
    let driver = match &git {
        Some(git) if args.merge_driver => Some(MergeDriver::install(git, &binding)?),
        Some(git) => Some(MergeDriver::find(git, &binding)),
        None => None,
    };
    answer(session, &binding, is_new, driver.as_ref())?;
    Ok(Exit::Done)
}

/// Returns the repository's root; without git, where `.x0x.toml` lies, else the current directory.
fn root(session: &Session) -> Result<PathBuf, CliError> {
    let here = &session.current_dir;
    if let Some(root) = repository::root_of(here) {
        return Ok(root.to_owned());
    }
    Ok(session.binding()?.map_or_else(|| here.clone(), |binding| binding.root().to_owned()))
}

fn from_root(session: &Session, root: &Path, path: &Path) -> Result<PathBuf, CliError> {
    let io = |error| CliError::file("cannot find", path, error);
    let absolute = files::canonical(&session.current_dir.join(path)).map_err(io)?;
    let root = files::canonical(root).map_err(io)?;
    match absolute.strip_prefix(&root) {
        Ok(inside) if binding::stays_inside(inside) && inside.to_str().is_some() => {
            Ok(inside.to_owned())
        }
        _ => Err(CliError::usage(
            format!("{} is not a file inside {}", path.display(), root.display()),
            "--jsonl names a file of this repository, from the current directory",
        )),
    }
}

fn refuse_other(binding: &Binding, args: &InitArgs, jsonl: Option<&Path>) -> Result<(), CliError> {
    let differs = |typed: Option<&str>, there: &str| typed.is_some_and(|typed| typed != there);
    let what = if differs(args.name.as_deref(), &binding.name) {
        format!("name '{}'", binding.name)
    } else if differs(args.prefix.as_deref(), &binding.prefix) {
        format!("prefix '{}'", binding.prefix)
    } else if jsonl.is_some_and(|jsonl| jsonl != binding.jsonl) {
        format!("file '{}'", binding.jsonl.display())
    } else {
        return Ok(());
    };
    Err(CliError::usage(
        format!("{} is there already, with {what}", binding.file.display()),
        "run `x0x init` without options to use what is there",
    ))
}

fn join_existing(session: &Session, binding: &Binding) -> Result<(), CliError> {
    if !session.home.holds(binding.list) {
        return session.attach(binding);
    }
    session.output.note(&format!(
        "{} is there already, and so is its task list; nothing was changed.",
        binding.file.display()
    ));
    Ok(())
}

/// Founds a list and writes `.x0x.toml`; tells whether it did, or another process was faster.
fn found(
    session: &Session,
    root: &Path,
    args: &InitArgs,
    jsonl: Option<PathBuf>,
) -> Result<bool, CliError> {
    let file = root.join(binding::FILE);
    let io = |error| CliError::file("cannot write", &file, error);
    let jsonl = jsonl.unwrap_or_else(|| PathBuf::from(DEFAULT_JSONL));
    let name = args.name.clone().unwrap_or_else(|| name_of(root));
    let prefix = match &args.prefix {
        Some(prefix) => prefix.clone(),
        None => {
            let path = root.join(&jsonl);
            let learned = prefix::in_file(&path)
                .map_err(|error| CliError::file("cannot read", &path, error))?;
            learned.unwrap_or_else(|| prefix::from_name(&name))
        }
    };
    // Begun before the list is founded: where nothing can be written, nothing is founded.
    let mut pending = Pending::of(&file).map_err(io)?;
    session.check_node()?;
    let list = session.home.found(&name, &prefix, session.lock_timeout)?;
    let branch = repository::branch_of(root);
    let binding = Binding { file: file.clone(), list, name, prefix, jsonl, branch };
    pending.write_all(binding.to_toml()?.as_bytes()).map_err(io)?;
    match pending.create() {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(CliError::file("cannot write", &file, error)),
    }
}

fn name_of(root: &Path) -> String {
    let name = root.file_name().map(|name| one_line(&name.to_string_lossy()).into_owned());
    name.filter(|name| !name.trim().is_empty()).unwrap_or_else(|| "issues".to_owned())
}

fn answer(
    session: &Session,
    binding: &Binding,
    is_new: bool,
    driver: Option<&MergeDriver>,
) -> Result<(), CliError> {
    let output = session.output;
    let jsonl = binding.jsonl.display().to_string();
    if output.json {
        return output.json(&json!({
            "list": binding.list.to_string(),
            "name": binding.name,
            "prefix": binding.prefix,
            "jsonl": jsonl,
            "branch": binding.branch,
            "file": binding.file.display().to_string(),
            "created": is_new,
            "merge_driver": driver.map(MergeDriver::object),
        }));
    }
    let Binding { name, prefix, list, .. } = binding;
    output.data(|stdout| {
        writeln!(
            stdout,
            "{}  task list '{}' ({}), prefix {prefix}, file {}",
            one_line(&binding.file.display().to_string()),
            one_line(name),
            list.short(),
            one_line(&jsonl)
        )
    })?;
    if binding.root().join(&binding.jsonl).exists() {
        output.note("next: `x0x issues import` reads the file's issues.");
    } else {
        output
            .note("next: `x0x issues create 'A title'`, then `x0x issues export` writes the file.");
    }
    if is_new {
        output.note("Commit .x0x.toml, so that clones find the same task list.");
    }
    if let Some(driver) = driver {
        driver.tell(session);
    }
    Ok(())
}
