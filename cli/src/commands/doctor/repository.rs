//! The repository: which list and file it is bound to, whether both say the same, and the merge driver.

use std::path::Path;

use x0x_tracker::interface::ExportFrom;

use super::{Findings, Remedy};
use crate::commands::merge_driver::MergeDriver;
use crate::commands::validate;
use crate::error::CliError;
use crate::files;
use crate::git::Git;
use crate::resolve::binding::Binding;
use crate::resolve::{Session, file_name, repository};

pub(super) fn look(session: &Session, findings: &mut Findings) {
    let binding = match session.binding() {
        Ok(Some(binding)) => binding,
        Ok(None) => return findings.pass("binding", "no .x0x.toml here: no file is kept in step"),
        Err(error) => return findings.fail("binding", &error),
    };
    let said = format!("{} binds {}", binding.file.display(), binding.name);
    let branch = repository::branch_of(binding.root());
    match (&binding.branch, branch) {
        (Some(bound), Some(branch)) if *bound != branch => findings.warn(
            "binding",
            format!("{said} on branch {bound}, and {branch} is checked out"),
            "`x0x up --export` keeps the file on that branch alone; by hand all goes on as ever",
        ),
        _ => findings.pass("binding", said),
    }
    if session.home.holds(binding.list) {
        if let Err(error) = file(session, &binding, findings) {
            findings.fail("file", &error);
        }
    } else {
        let detail = format!("the list {} is not in this data directory", binding.name);
        findings.warn("file", detail, "`x0x issues import` takes it from the file");
    }
    driver(&binding, findings);
}

fn file(session: &Session, binding: &Binding, findings: &mut Findings) -> Result<(), CliError> {
    let path = binding.canonical_jsonl()?;
    let content =
        files::content_of(&path).map_err(|error| CliError::file("cannot read", &path, error))?;
    let Some(content) = content else {
        let detail = format!("{} is not there", path.display());
        findings.warn("file", detail, "`x0x issues export` writes it");
        return Ok(());
    };
    let (records, problems) = validate::check(&path)?;
    if let Some(problem) = problems.first() {
        let detail = format!("{} has {} bad lines", path.display(), problems.len());
        let hint = validate::hint(&problems, &path)
            .unwrap_or_else(|| format!("`x0x issues validate` names them; line {}", problem.line));
        return Err(CliError::Invalid { detail, hint });
    }
    session.check_node()?;
    let tracker = session.home.reader(binding.list, session.lock_timeout)?.tracker;
    let from = ExportFrom::File(file_name(&path)?.to_owned());
    let report = tracker.export(&from, &mut std::io::sink())?;
    let said = format!("{}: {records} records", path.display());
    let is_known = report.base == Some(content.hash) || report.hash == content.hash;
    if !is_known {
        let hint = "`x0x issues import` takes them in; nothing is written over them until then";
        findings.warn("file", format!("{said}, with edits that were not imported"), hint);
    } else if report.hash != content.hash {
        let detail = format!("{said}, {} lines behind the list", report.changed + report.added);
        findings.warn("file", detail, "`x0x issues export` writes them");
    } else {
        findings.pass("file", format!("{said}, as the list says"));
    }
    Ok(())
}

fn driver(binding: &Binding, findings: &mut Findings) {
    let root: &Path = binding.root();
    if repository::git_dir(root).is_none() {
        return;
    }
    let Ok(git) = Git::around(root) else {
        return findings.warn("merge", "git does not run here", "install git to merge the file");
    };
    if MergeDriver::find(&git, binding).object()["installed"] == true {
        return findings.pass("merge", "git merges the file by records");
    }
    let hint = "`x0x init --merge-driver` has it merge by records and fields, or --fix";
    findings.warn("merge", "git merges the file by lines", hint);
    findings.remedied_by(Remedy::MergeDriver);
}

/// Has git merge the file by records.
pub(super) fn install(session: &Session) -> Result<(), CliError> {
    let Some(binding) = session.binding()? else { return Ok(()) };
    MergeDriver::install(&Git::around(binding.root())?, &binding)?;
    Ok(())
}
