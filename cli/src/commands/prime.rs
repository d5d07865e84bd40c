//! `x0x issues prime`: what an agent must know to work the list, short enough for any prompt.

use std::io::Write;
use std::ops::ControlFlow;

use serde_json::json;
use x0x_tracker::interface::{Filter, Open, Shown};

use crate::error::{CliError, Exit};
use crate::output::plain::one_line;
use crate::resolve::Session;

/// How many ready issues are named.
const READY_SHOWN: usize = 5;

/// How much of a title is shown, in characters.
const TITLE_CHARS: usize = 72;

/// What goes for every list.
const GUIDE: &str = "\
Every command below starts with `x0x issues`; each has `--help` with examples.

## Work
0. `export X0X_WORKER=NAME`: a name that no other worker on this machine has.
1. `next --claim --json` takes the best ready issue for you alone; exit 3 means that nothing is ready.
   `claim ID` takes a certain one; exit 4 says who has it: leave it. After a crash: `claim --resume`.
2. Do what `description` and `acceptance` say; run the commands under `validation`.
3. `heartbeat` before `claim.deadline`, in long work every quarter of `ttl_ms`. Exit 4: the issue is
   somebody else's now. Stop, keep what you have, take another.
4. `comment ID 'what was found'` as you go; `-` in the place of the text reads stdin.
5. `handoff --summary 'what was done' --files-changed a,b --validation 'CMD=passed'` when it is ready to
   be looked at, or `release --reason WHY` to give it back. Only a maintainer says `done ID`, or `reopen
   ID --reason WHY` to send it back.
6. `sync` takes in what the JSONL file brought and writes the file, and `sync --commit` commits that file
   alone. After a pull or a merge: `import`, then `conflicts`.

## Look
- `ready [--explain]`, `list [--state S] [--label L] [--text T] [--limit N]`, `show ID`, `stats`
- `log ID`: who changed what, when. `conflicts`: fields that two sides changed at once.
- Small answers: `--brief`, `--fields title,state`, `--limit N`. `--json` for programs.

## Write
- `create 'Title' --priority 2 --labels a,b --description @FILE --acceptance 'how it is known to be done'`
- `edit ID --title T --add-label L --priority N`; with `--if-version V` only if `_version` is still V.
- `block ID OTHER...`: ID waits for the others; `block -` reads many such lines. `unblock ID OTHER`.
- Found something else to do? Create an issue for it, say so in a comment, and stay with yours.
- A mistake: `undo ID --dry-run`, then `undo ID`. Nothing is ever erased: what `edit ID --deleted-at now`
  takes out, `--deleted-at none` brings back.

## Rules
- ID is an id, an identifier or a unique prefix. Titles are one line.
- States: todo, in_progress, review, blocked, done, cancelled, duplicate. Priority 1 is urgent, 4 low.
- The JSONL file may be edited by hand: `import` merges it field by field. A bad line is named and nothing
  is imported; conflict markers: `merge --resolve FILE`.
- Errors go to stderr with a `hint` that says what to do. Exit codes: 0 done, 1 failed, 2 usage,
  3 not found, 4 conflict, 5 not allowed, 7 invalid data.
";

/// Prints the guide, after a few lines on this list.
pub fn run(session: &Session) -> Result<Exit, CliError> {
    let tracker = session.reader()?;
    let (info, stats) = (tracker.info()?, tracker.stats()?);
    let mut ready: Vec<Shown> = Vec::new();
    let filter = Filter { limit: Some(READY_SHOWN), ..Filter::default() };
    tracker.agenda(&filter, &mut |open| {
        if let Open::Ready(shown) = open {
            ready.push(shown);
        }
        if ready.len() < READY_SHOWN { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let file = session.binding()?.map(|binding| binding.jsonl.display().to_string());
    let mut text = format!(
        "# Issues of '{}' (x0x)\n{} issues, {} ready; names look like {}-0042.{}\n",
        cut(&info.name),
        stats.issues,
        stats.ready,
        info.prefix,
        file.map_or(String::new(), |file| format!(" In git: {}.", cut(&file)))
    );
    if !ready.is_empty() {
        text.push_str("Ready first:\n");
    }
    for Shown { name, row, .. } in &ready {
        text.push_str(&format!("- {} {}\n", one_line(name), cut(&row.title)));
    }
    text.push('\n');
    text.push_str(GUIDE);
    if session.output.json {
        session.output.json(&json!({ "prime": text }))?;
    } else {
        session.output.data(|stdout| stdout.write_all(text.as_bytes()))?;
    }
    Ok(Exit::Done)
}

/// Returns a text on one line, and no longer than is needed to know it again.
fn cut(text: &str) -> String {
    let text = one_line(text);
    match text.char_indices().nth(TITLE_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.into_owned(),
    }
}
