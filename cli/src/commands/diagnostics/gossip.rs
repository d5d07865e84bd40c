//! `x0x diagnostics gossip`: the queues of the node that runs here, once or every second; on a terminal as a view that
//! is drawn anew.

use std::io::Write;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use x0x::rest::client::{Client, ClientError};
use x0x::time;

use super::super::node::client;
use super::drawing::Figures;
use crate::args::diagnostics::GossipArgs;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::output::plain::cut;
use crate::output::screen::{self, Screen, Sign};
use crate::output::table::{Colour, Look, painted};
use crate::resolve::Session;

const PATH: &str = "/diagnostics/gossip";

/// How often it is shown.
const EVERY: Duration = Duration::from_secs(1);

/// How much may wait to be drawn. What is older than the newest of it is not.
const WAITING_MAX: usize = 8;

/// Shows it, as often as was asked for.
pub fn run(session: &Session, args: &GossipArgs) -> Result<Exit, CliError> {
    let (client, output) = (client(session)?, session.output);
    let is_json = output.json || args.jsonl;
    if args.watch && output.is_screen() && !is_json {
        return view(&output, client);
    }
    let count = if args.watch { usize::MAX } else { 1 };
    for (at, answer) in answers(client).take(count).enumerate() {
        let answer = answer?;
        if is_json {
            output.json(&answer)?;
            continue;
        }
        let lines = figures(&answer)?.lines(output.look, output.verbose, None);
        output.data(|stdout| {
            // Between two tables.
            if at > 0 {
                writeln!(stdout)?;
            }
            lines.iter().try_for_each(|line| writeln!(stdout, "{line}"))
        })?;
    }
    Ok(Exit::Done)
}

/// Returns what the node answers: the first at once, the others a second apart.
fn answers(client: Client) -> impl Iterator<Item = Result<Value, CliError>> {
    let mut due = None;
    std::iter::repeat_with(move || {
        let now = time::origin();
        let at = due.map_or(now, |due| now.max(due));
        time::pause(at - now);
        due = Some(at + EVERY);
        Ok(client.get(PATH)?)
    })
}

fn figures(answer: &Value) -> Result<Figures, CliError> {
    let not_understood = |error| ClientError::NotUnderstood { source: Box::new(error) };
    Ok(Figures::of(answer).map_err(not_understood)?)
}

/// What the view hears of.
enum Heard {
    /// What the node says now, or why it says nothing.
    Answer(Result<Value, CliError>),
    /// Something of the terminal.
    Sign(Sign),
}

impl From<Sign> for Heard {
    fn from(sign: Sign) -> Self {
        Self::Sign(sign)
    }
}

/// Draws it until somebody ends it, or the node goes away.
fn view(output: &Output, client: Client) -> Result<Exit, CliError> {
    // What is refused at once is told without a view.
    let mut shown = figures(&client.get(PATH)?)?;
    let (tell, heard) = sync_channel(WAITING_MAX);
    screen::listen(tell.clone())
        .map_err(|source| CliError::Io { what: "cannot listen to signals".to_owned(), source })?;
    let mut screen = Screen::take().map_err(CliError::stdout)?;
    screen
        .listen_to_keys(tell.clone())
        .map_err(|source| CliError::Io { what: "cannot read the keyboard".to_owned(), source })?;
    ask(client, tell);
    let mut answered_at = time::origin();
    loop {
        let (columns, rows) = screen.size();
        let look = Look { columns_max: Some(columns), ..output.look };
        let silent_s = answered_at.elapsed().as_secs();
        let title = match silent_s {
            0..=2 => "what waits in this node, every second; q ends".to_owned(),
            _ => format!("no answer of the node for {silent_s} s, what waited before; q ends"),
        };
        let title = cut(&title, columns);
        let mut lines = vec![painted(&title, Some(Colour::Faint), look)];
        lines.extend(shown.lines(look, output.verbose, Some(rows.saturating_sub(1))));
        screen.show(&lines).map_err(CliError::stdout)?;
        match heard.recv_timeout(EVERY) {
            Ok(Heard::Answer(answer)) => {
                (shown, answered_at) = (figures(&answer?)?, time::origin());
            }
            Ok(Heard::Sign(Sign::Resized)) | Err(RecvTimeoutError::Timeout) => {}
            Ok(Heard::Sign(Sign::Stop)) | Err(RecvTimeoutError::Disconnected) => {
                return Ok(Exit::Done);
            }
        }
    }
}

/// Asks the node on a thread of its own, so that keys are heard while it does not answer.
fn ask(client: Client, tell: SyncSender<Heard>) {
    thread::spawn(move || {
        for answer in answers(client) {
            let is_over = answer.is_err();
            // Without anybody who listens there is nobody to ask for.
            if tell.send(Heard::Answer(answer)).is_err() || is_over {
                return;
            }
        }
    });
}
