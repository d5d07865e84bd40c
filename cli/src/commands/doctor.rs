//! `x0x doctor`: whether all is as it should be here, and what to do where it is not. It looks, and changes
//! nothing unless it was told to do what it planned.

mod installation;
mod lists;
mod node;
mod repository;

use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::args::DoctorArgs;
use crate::error::{CliError, Exit};
use crate::output::plain::one_line;
use crate::resolve::Session;

/// How one thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Pass,
    Warn,
    Fail,
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }
}

/// What can be put right without losing anything.
#[derive(Debug)]
enum Remedy {
    /// Nobody but its owner may read a file.
    Close(PathBuf),
    /// Git merges the file of this repository by records.
    MergeDriver,
}

impl Remedy {
    fn plan(&self) -> String {
        match self {
            Self::Close(path) => format!("chmod 600 {}", path.display()),
            Self::MergeDriver => "x0x init --merge-driver".to_owned(),
        }
    }
}

/// One thing that was looked at.
#[derive(Debug)]
struct Check {
    name: &'static str,
    verdict: Verdict,
    detail: String,
    hint: Option<String>,
    remedy: Option<Remedy>,
}

/// What was found so far.
#[derive(Debug, Default)]
struct Findings(Vec<Check>);

impl Findings {
    fn pass(&mut self, name: &'static str, detail: impl Into<String>) {
        self.add(name, Verdict::Pass, detail.into(), None);
    }

    fn warn(&mut self, name: &'static str, detail: impl Into<String>, hint: &str) {
        self.add(name, Verdict::Warn, detail.into(), Some(hint.to_owned()));
    }

    /// Notes what went wrong in looking.
    fn fail(&mut self, name: &'static str, error: &CliError) {
        self.add(name, Verdict::Fail, error.to_string(), Some(error.hint()));
    }

    fn add(&mut self, name: &'static str, verdict: Verdict, detail: String, hint: Option<String>) {
        self.0.push(Check { name, verdict, detail, hint, remedy: None });
    }

    /// Says what would put the last finding right.
    fn remedied_by(&mut self, remedy: Remedy) {
        if let Some(last) = self.0.last_mut() {
            last.remedy = Some(remedy);
        }
    }
}

/// Looks at everything; the exit code is 1 where something failed.
pub fn run(session: &Session, args: &DoctorArgs) -> Result<Exit, CliError> {
    let checks = look(session, args);
    let mut worst = worst_of(&checks);
    let output = session.output;
    if output.json {
        let listed: Vec<Value> = checks.iter().map(object).collect();
        let worst = worst.name().to_ascii_lowercase();
        output.json(&json!({"checks": listed, "worst": worst}))?;
    } else {
        output.data(|stdout| {
            checks.iter().try_for_each(|check| {
                let Check { name, verdict, detail, hint, .. } = check;
                writeln!(stdout, "{}  {name:<10}  {}", verdict.name(), one_line(detail))?;
                let hint = hint.as_deref().filter(|_| *verdict != Verdict::Pass);
                hint.map_or(Ok(()), |hint| writeln!(stdout, "{:18}{}", "", one_line(hint)))
            })
        })?;
    }
    if args.fix {
        put_right(session, &checks, args.yes)?;
        if args.yes {
            worst = worst_of(&look(session, args));
        }
    }
    Ok(if worst == Verdict::Fail { Exit::Failed } else { Exit::Done })
}

fn look(session: &Session, args: &DoctorArgs) -> Vec<Check> {
    let mut findings = Findings::default();
    installation::look(session, &mut findings);
    let node = node::look(session, &mut findings);
    lists::look(session, node.as_ref(), args.deep, &mut findings);
    repository::look(session, &mut findings);
    findings.0
}

fn worst_of(checks: &[Check]) -> Verdict {
    checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Pass)
}

fn object(check: &Check) -> Value {
    json!({
        "name": check.name,
        "status": check.verdict.name().to_ascii_lowercase(),
        "detail": check.detail,
        "hint": check.hint,
        "fix": check.remedy.as_ref().map(Remedy::plan),
    })
}

/// Says what would be done, and does it where that was allowed.
fn put_right(session: &Session, checks: &[Check], may_act: bool) -> Result<(), CliError> {
    let remedies: Vec<&Remedy> = checks.iter().filter_map(|check| check.remedy.as_ref()).collect();
    let output = session.output;
    if remedies.is_empty() {
        output.note("Nothing here can be put right by itself.");
        return Ok(());
    }
    for remedy in remedies {
        if !may_act {
            output.note(&format!("would run: {}", remedy.plan()));
            continue;
        }
        match remedy {
            Remedy::Close(path) => installation::close(path)?,
            Remedy::MergeDriver => repository::install(session)?,
        }
        output.note(&format!("done: {}", remedy.plan()));
    }
    if !may_act {
        output.note("Nothing was changed; --fix --yes does it.");
    }
    Ok(())
}
