//! The view of a task list on a terminal: open issues, who holds them and for how long, and below them the
//! newest events.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use serde_json::Value;
use x0x::time::{self, Moment};
use x0x_tracker::id::ListId;
use x0x_tracker::interface::{Filter, Shown};
use x0x_tracker::state;

use super::feed::Heard;
use super::line;
use crate::args::watch::WatchArgs;
use crate::error::{CliError, Exit};
use crate::output::issue;
use crate::output::plain::{cut, one_line};
use crate::output::screen::{self, Screen};
use crate::output::table::{self, Colour, Look, painted};
use crate::resolve::Session;

/// How often what is shown is drawn anew where nothing happens: ages are in seconds.
const DRAW_EVERY: Duration = Duration::from_secs(1);

/// After how long the issues are read again though nothing happened: a beat of a worker is no event.
const READ_EVERY: Duration = Duration::from_secs(10);

/// The least time between two readings, however much happens.
const READ_PAUSE: Duration = Duration::from_millis(250);

/// How many events are kept to be shown; no terminal has more rows for them.
const EVENTS_KEPT: usize = 100;

/// How many open issues that nobody holds are kept to be shown.
const ISSUES_KEPT: usize = 500;

/// The part of the rows that events have: one of so many.
const EVENTS_PART: usize = 3;

/// Shows the list until somebody ends it.
pub fn run(
    session: &Session,
    args: &WatchArgs,
    list: ListId,
    tell: SyncSender<Heard>,
    heard: &Receiver<Heard>,
) -> Result<Exit, CliError> {
    screen::listen(tell)
        .map_err(|source| CliError::Io { what: "cannot listen to signals".to_owned(), source })?;
    let mut view = View::new(session, args, list);
    // What is refused at once is told without a view.
    loop {
        match heard.recv() {
            Ok(Heard::Linked { .. }) => break view.read()?,
            Ok(Heard::Ended(error)) => return Err(error),
            Ok(Heard::Resized) => {}
            _ => return Ok(Exit::Done),
        }
    }
    let mut screen = Screen::take().map_err(CliError::stdout)?;
    loop {
        screen.show(&view.lines(screen.size())).map_err(CliError::stdout)?;
        let mut next = match heard.recv_timeout(DRAW_EVERY) {
            Ok(next) => Some(next),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return Ok(Exit::Done),
        };
        // Of many events at once only what comes of them is drawn.
        while let Some(heard_now) = next {
            match view.take(heard_now) {
                ControlFlow::Continue(()) => {}
                ControlFlow::Break(done) => return done,
            }
            next = heard.try_recv().ok();
        }
        view.read_if_due();
    }
}

struct View<'a> {
    session: &'a Session,
    list: ListId,
    kinds: &'a [String],
    left: Option<u64>,
    name: String,
    held: Vec<Shown>,
    free: Vec<Shown>,
    open: usize,
    /// The newest last.
    events: VecDeque<(Moment, String)>,
    /// When it was read, and when that was last tried.
    read_at: Moment,
    tried_at: Moment,
    is_changed: bool,
    is_linked: bool,
    trouble: Option<String>,
}

impl<'a> View<'a> {
    fn new(session: &'a Session, args: &'a WatchArgs, list: ListId) -> Self {
        Self {
            session,
            list,
            kinds: &args.kind,
            left: args.limit,
            name: String::new(),
            held: Vec::new(),
            free: Vec::new(),
            open: 0,
            events: VecDeque::new(),
            read_at: time::origin(),
            tried_at: time::origin(),
            is_changed: false,
            is_linked: true,
            trouble: None,
        }
    }

    fn take(&mut self, heard: Heard) -> ControlFlow<Result<Exit, CliError>> {
        match heard {
            Heard::Event { data, .. } => {
                self.is_changed = true;
                return self.take_event(&data);
            }
            Heard::Linked { .. } => {
                (self.is_linked, self.is_changed) = (true, true);
            }
            Heard::Gone => self.is_linked = false,
            Heard::Ended(error) => return ControlFlow::Break(Err(error)),
            Heard::Stop => return ControlFlow::Break(Ok(Exit::Done)),
            Heard::Alive | Heard::Resized => {}
        }
        ControlFlow::Continue(())
    }

    fn take_event(&mut self, data: &Value) -> ControlFlow<Result<Exit, CliError>> {
        let kind = data["type"].as_str().unwrap_or_default();
        let is_wanted = self.kinds.is_empty() || self.kinds.iter().any(|wanted| wanted == kind);
        if kind != "reset" && !is_wanted {
            return ControlFlow::Continue(());
        }
        self.events.push_back((time::origin(), line(data)));
        if self.events.len() > EVENTS_KEPT {
            self.events.pop_front();
        }
        self.left = self.left.map(|left| left.saturating_sub(1));
        match self.left {
            Some(0) => ControlFlow::Break(Ok(Exit::Done)),
            _ => ControlFlow::Continue(()),
        }
    }

    /// Reads the issues where they may be others by now. One that cannot be read stays as it was.
    fn read_if_due(&mut self) {
        let since = time::origin() - self.tried_at;
        let is_due = self.is_changed && since > READ_PAUSE || since > READ_EVERY;
        if self.is_linked && is_due {
            self.trouble = self.read().err().map(|error| error.to_string());
        }
    }

    fn read(&mut self) -> Result<(), CliError> {
        self.tried_at = time::origin();
        let tracker = self.session.home.reader(self.list, Duration::ZERO)?.tracker;
        let stats = tracker.stats()?;
        let is_open = |name: &&String| !name.is_empty() && !state::is_terminal(Some(name));
        let states: Vec<String> = stats.by_state.keys().filter(is_open).cloned().collect();
        let (mut held, mut free, mut open) = (Vec::new(), Vec::new(), 0);
        // Without a state that is open, the filter would let all pass.
        if !states.is_empty() {
            tracker.list(&Filter { states, ..Filter::default() }, &mut |shown| {
                open += 1;
                if shown.row.held.is_some() {
                    held.push(shown.clone());
                } else if free.len() < ISSUES_KEPT {
                    free.push(shown.clone());
                }
                ControlFlow::Continue(())
            })?;
        }
        self.name = tracker.info()?.name;
        (self.held, self.free, self.open) = (held, free, open);
        (self.read_at, self.is_changed) = (self.tried_at, false);
        Ok(())
    }

    /// Returns what a terminal of some size shows, line by line.
    fn lines(&self, (columns, rows): (usize, usize)) -> Vec<String> {
        let look = Look { columns_max: Some(columns), ..self.session.output.look };
        let mut lines = vec![self.heading(columns, look)];
        let events_max = (rows / EVENTS_PART).min(self.events.len());
        // A line over the events, and one that says how many issues do not fit.
        let issues_max = rows.saturating_sub(lines.len() + events_max + 2);
        lines.extend(self.issues(issues_max, look));
        if events_max > 0 {
            lines.truncate(rows.saturating_sub(events_max + 1));
            lines.push(painted(&cut("newest events", columns), Some(Colour::Faint), look));
        }
        let now = time::origin();
        for (at, event) in self.events.iter().rev().take(events_max) {
            let age = format!("{:>4}", issue::span((now - *at).as_secs()));
            lines.push(cut(&format!("{age}  {event}"), columns).into_owned());
        }
        lines.truncate(rows);
        lines
    }

    fn heading(&self, columns: usize, look: Look) -> String {
        let id = self.list.short();
        let (open, held) = (self.open, self.held.len());
        let mut text = format!("{} ({id})  {open} open, {held} held", one_line(&self.name));
        if !self.is_linked {
            text.push_str("  -- the node went away; waiting for it");
        } else if let Some(trouble) = &self.trouble {
            text.push_str(&format!("  -- {}", one_line(trouble)));
        }
        let colour = if self.is_linked { Colour::Bold } else { Colour::Red };
        painted(&cut(&text, columns), Some(colour), look)
    }

    /// Returns the table of issues, in at most so many lines and one more.
    fn issues(&self, rows_max: usize, look: Look) -> Vec<String> {
        let now_ms = time::now_ms();
        let passed = time::origin() - self.read_at;
        let passed_ms = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        // One row is the heading of the table.
        let shown_max = rows_max.saturating_sub(1);
        let shown = self.held.iter().chain(&self.free).take(shown_max);
        let rows: Vec<_> = shown.map(|shown| issue::row(&aged(shown, passed_ms), now_ms)).collect();
        let mut written = Vec::new();
        // Writing to memory cannot fail.
        let _written = table::write(&mut written, &issue::COLUMNS, &rows, look);
        let text = String::from_utf8_lossy(&written).into_owned();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if self.open > rows.len() {
            lines.push(format!("and {} more", self.open - rows.len()));
        }
        lines
    }
}

/// Returns an issue with its claim as old as it is by now.
fn aged(shown: &Shown, passed_ms: u64) -> Shown {
    let mut shown = shown.clone();
    let ttl_ms = shown.row.held.as_ref().map_or(u64::MAX, |held| held.ttl_ms);
    if let Some(watch) = &mut shown.watch {
        watch.age_ms = watch.age_ms.saturating_add(passed_ms);
        watch.silent_ms = watch.silent_ms.map(|silent_ms| silent_ms.saturating_add(passed_ms));
        watch.is_stale |= watch.silent_ms.is_some_and(|silent_ms| silent_ms > ttl_ms);
    }
    shown
}
