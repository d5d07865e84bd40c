//! `x0x daemon`: a node without the terminal's view, in the foreground for a service manager, or behind.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use x0x::config::Settings;
use x0x::logs;
use x0x::service::{self, LEVEL};
use x0x::time;

use super::node::{running, settings};
use crate::args::node::DaemonArgs;
use crate::error::{CliError, Exit};
use crate::resolve::Session;
use crate::runner::look_after;

/// The file in the data directory that holds what a node behind says.
const LOG_FILE: &str = "daemon.log";

/// How long a node may take to answer, besides waiting for the data directory. Stores of a killed writer
/// are read whole first.
const START_MAX: Duration = Duration::from_secs(120);

/// How often it is looked whether it does.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How much of what it said is shown where it did not start, in bytes.
const SHOWN_BYTES: usize = 4_096;

/// The argument that makes this program the node that `--detach` starts.
pub const DETACHED: &str = "--detached";

/// Runs a node, starts one behind, or says how one would run.
pub fn run(session: &Session, args: &DaemonArgs) -> Result<Exit, CliError> {
    let settings = settings(session, args.node.given(), args.node.config(), LEVEL)?;
    if args.check {
        return check(session, &settings);
    }
    if args.detach {
        return detach(session);
    }
    if args.detached {
        let failed = |source| CliError::Io { what: "cannot leave the terminal".to_owned(), source };
        rustix::process::setsid().map_err(|errno| failed(errno.into()))?;
        let dir = session.home.dir();
        env::set_current_dir(dir).map_err(|error| CliError::file("cannot enter", dir, error))?;
        logs::file::bound(dir.join(LOG_FILE))
            .map_err(|source| CliError::Io { what: "cannot start a thread".to_owned(), source })?;
    }
    let (home, wait) = (session.home.clone(), session.lock_timeout);
    service::run_beside(home.clone(), &settings, wait, |node| look_after(node, home, wait))?;
    Ok(Exit::Done)
}

fn check(session: &Session, settings: &Settings) -> Result<Exit, CliError> {
    if session.output.json {
        session.output.json(&settings.json())?;
    } else {
        let lines = settings.lines();
        session.output.data(|stdout| writeln!(stdout, "{}", lines.join("\n")))?;
    }
    Ok(Exit::Done)
}

/// Starts a node behind, and waits until it answers.
fn detach(session: &Session) -> Result<Exit, CliError> {
    if let Some(client) = running(session)? {
        let status: Value = client.get("/status")?;
        return Err(CliError::Runs { pid: status["pid"].as_u64().unwrap_or_default() });
    }
    session.home.make()?;
    let path = session.home.dir().join(LOG_FILE);
    let failed = |error| CliError::file("cannot write", &path, error);
    let log = logs::file::open(&path).map_err(failed)?;
    let before = log.metadata().map_err(failed)?.len();
    let mut child = start(log)
        .map_err(|source| CliError::Io { what: "cannot start the node".to_owned(), source })?;
    let limit = START_MAX + session.lock_timeout;
    let begun = time::origin();
    loop {
        let ended = child.try_wait().map_err(|source| CliError::Io {
            what: "cannot wait for the node".to_owned(),
            source,
        })?;
        if let Some(ended) = ended {
            return not_started(session, ended, &said(&path, before).map_err(failed)?, &path);
        }
        if let Some(status) = answer(session, &child)? {
            return tell(session, &status, &path);
        }
        if begun.elapsed() >= limit {
            return Err(CliError::Slow { pid: child.id(), log: path });
        }
        time::pause(LOOK_EVERY);
    }
}

/// Starts this program again, with what was typed.
fn start(log: File) -> io::Result<Child> {
    let as_node = |argument: OsString| match argument == "--detach" {
        true => DETACHED.into(),
        false => argument,
    };
    Command::new(env::current_exe()?)
        .args(env::args_os().skip(1).map(as_node))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

/// Returns what the node that was started says of itself, once it answers.
fn answer(session: &Session, child: &Child) -> Result<Option<Value>, CliError> {
    let Ok(Some(client)) = running(session) else { return Ok(None) };
    // One that does not say yet how it is, is asked again.
    let status = client.get::<Value>("/status").ok();
    Ok(status.filter(|status| status["pid"] == child.id()))
}

fn tell(session: &Session, status: &Value, log: &Path) -> Result<Exit, CliError> {
    let output = session.output;
    let log = log.display();
    if output.json {
        let (pid, version) = (&status["pid"], &status["version"]);
        let (listen, api) = (&status["listen"], &status["api"]);
        output.json(&json!({
            "pid": pid, "version": version, "listen": listen, "api": api, "log": log.to_string(),
        }))?;
        return Ok(Exit::Done);
    }
    let text = |name: &str| status[name].as_str().unwrap_or_default();
    output.data(|stdout| {
        writeln!(stdout, "pid     {}", status["pid"])?;
        writeln!(stdout, "listen  {}, for other nodes", text("listen"))?;
        writeln!(stdout, "api     {}, for programs of this machine", text("api"))?;
        writeln!(stdout, "log     {log}")
    })?;
    output.note("`x0x status` shows how it is, `x0x stop` ends it.");
    Ok(Exit::Done)
}

/// Returns the end of what was said since the log had that many bytes.
fn said(log: &Path, since: u64) -> io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(since.max(length.saturating_sub(SHOWN_BYTES as u64))))?;
    let mut said = Vec::new();
    file.take(SHOWN_BYTES as u64).read_to_end(&mut said)?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}

/// Tells the error of a node that did not start as its own, and ends as it did.
fn not_started(
    session: &Session,
    ended: ExitStatus,
    said: &str,
    log: &Path,
) -> Result<Exit, CliError> {
    let exit = ended.code().and_then(Exit::from_code).filter(|exit| *exit != Exit::Done);
    match (exit, error_in(said, session.output.json)) {
        (Some(exit), Some(error)) => {
            session.output.tell(error);
            Ok(exit)
        }
        _ => Err(CliError::NotStarted {
            how: ended.to_string(),
            said: said.lines().last().unwrap_or("nothing").to_owned(),
            log: log.to_owned(),
        }),
    }
}

/// Returns the error that a program ended with, of what it said.
fn error_in(said: &str, is_json: bool) -> Option<&str> {
    if is_json {
        let is_error = |line: &&str| {
            let value: Value = serde_json::from_str(line).unwrap_or_default();
            value["error"].is_string() && value["hint"].is_string()
        };
        return said.lines().rfind(is_error);
    }
    let at = said.rfind("\nerror: ").map_or(0, |at| at + 1);
    said.get(at..).filter(|text| text.starts_with("error: ")).map(str::trim_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_found_among_what_was_logged() {
        let said = "INFO x: started\nerror: no\n  because: so\nhint: do\n";
        assert_eq!(error_in(said, false), Some("error: no\n  because: so\nhint: do"));
        assert_eq!(error_in("error: no\n", false), Some("error: no"));
        assert_eq!(error_in("INFO x: an error: no\n", false), None);
        let object = "{\"error\":\"io\",\"detail\":\"d\",\"hint\":\"h\",\"retryable\":false}";
        assert_eq!(error_in(&format!("{{\"level\":\"INFO\"}}\n{object}\n"), true), Some(object));
        assert_eq!(error_in("{\"level\":\"INFO\"}\n", true), None);
    }
}
