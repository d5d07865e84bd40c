//! The data directory, the key, what killed processes left, and the clock.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use x0x::identity::KEY_FILE;
use x0x_tracker::journal::signature::Signer;
use x0x_tracker::timestamp::Timestamp;

use super::{Findings, Remedy};
use crate::error::CliError;
use crate::resolve::Session;

/// Less free space than this is worth a word; with less than a tenth of it writing fails soon.
const FREE_BYTES_FEW: u64 = 512 << 20;

/// How old a temporary file is that nobody works on any more.
const LEFT_FOR: Duration = Duration::from_secs(3_600);

/// When x0x was not there yet, and when it will hardly be any more.
const YEARS: [&str; 2] = ["2025-01-01T00:00:00Z", "2100-01-01T00:00:00Z"];

pub(super) fn look(session: &Session, findings: &mut Findings) {
    let dir = session.home.dir();
    match fs::metadata(dir) {
        Ok(found) if found.is_dir() => space(dir, findings),
        Ok(_) => findings.fail(
            "data",
            &CliError::Invalid {
                detail: format!("{} is no directory", dir.display()),
                hint: "name another one with --data-dir DIR".to_owned(),
            },
        ),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => findings.warn(
            "data",
            format!("{} is not there yet", dir.display()),
            "`x0x init` makes a list, `x0x join TICKET` joins one",
        ),
        Err(error) => findings.fail("data", &CliError::file("cannot look at", dir, error)),
    }
    key(session, findings);
    leftovers(dir, findings);
    clock(findings);
}

fn space(dir: &Path, findings: &mut Findings) {
    let name = "data";
    let Ok(disk) = rustix::fs::statvfs(dir) else {
        return findings.pass(name, dir.display().to_string());
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let said = format!("{}, {} MiB free", dir.display(), free >> 20);
    match free {
        FREE_BYTES_FEW.. => findings.pass(name, said),
        _ => findings.warn(name, said, "make room: a full disk stops every writing"),
    }
}

fn key(session: &Session, findings: &mut Findings) {
    let path = session.home.dir().join(KEY_FILE);
    let mode = fs::metadata(&path).map_or(0, |found| found.permissions().mode());
    if mode & 0o077 != 0 {
        let detail = format!("{} can be read by others (mode {:o})", path.display(), mode & 0o777);
        let hint = "whoever has it is this agent: chmod 600, or --fix --yes".to_owned();
        findings.fail("key", &CliError::Invalid { detail, hint });
        return findings.remedied_by(Remedy::Close(path));
    }
    match session.home.known_identity() {
        Ok(None) => findings.pass("key", "none yet; it is made on first use"),
        Err(error) => findings.fail("key", &error.into()),
        Ok(Some(identity)) => findings.pass("key", format!("agent {}", identity.agent())),
    }
}

/// How names of files begin and end that are not finished: of downloads and keys, and of stores that are made,
/// restored or brought up to date.
const LEFT_BEGINNINGS: [&str; 3] = [".tmp", ".x0x-", ".agent.key."];
const LEFT_ENDS: [&str; 3] = [".x0x-unfinished", ".restored", ".partial"];

/// Lets nobody but the owner read a file.
pub(super) fn close(path: &Path) -> Result<(), CliError> {
    fs::set_permissions(path, Permissions::from_mode(0o600))
        .map_err(|error| CliError::file("cannot change the mode of", path, error))
}

fn leftovers(dir: &Path, findings: &mut Findings) {
    let now = Duration::from_millis(u64::try_from(x0x::time::now_ms()).unwrap_or_default());
    let is_left = |entry: &fs::DirEntry| {
        let modified = entry.metadata().and_then(|found| found.modified());
        let at = modified.ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let age = at.and_then(|at| now.checked_sub(at));
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_partial = LEFT_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
            || LEFT_ENDS.iter().any(|end| name.ends_with(end));
        is_partial && age > Some(LEFT_FOR)
    };
    let folders = [dir.to_owned(), dir.join("lists")];
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let left: Vec<String> =
        entries.filter(is_left).map(|entry| entry.path().display().to_string()).collect();
    if !left.is_empty() {
        let detail = format!("killed programs left {}", left.join(", "));
        findings.warn("leftovers", detail, "nobody needs them any more; they can be removed");
    }
}

fn clock(findings: &mut Findings) {
    let now = Timestamp(x0x::time::now_ms());
    let [first, last] = YEARS.map(|at| Timestamp::parse(at).unwrap_or_default());
    if (first..last).contains(&now) {
        return findings.pass("clock", now.to_string());
    }
    findings.warn(
        "clock",
        format!("it is {now}, says this machine"),
        "set its clock: times of edits are told to others",
    );
}
