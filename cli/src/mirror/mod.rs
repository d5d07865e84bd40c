//! `x0x up --export`: a bound file and its list say the same, as long as git stands still. It imports and
//! exports as the commands do, beside the node like any other program; when it may, `verdict.rs` decides.
//! Of git it reads, and never writes index, HEAD, hooks or branches.

mod heads;
mod verdict;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use x0x::entropy;
use x0x::node::Events;
use x0x::time::{self, Moment};
use x0x_tracker::interface::{ImportReport, TrackerError};

use crate::args::{ExportArgs, ImportArgs};
use crate::commands::{export, import};
use crate::error::{CliError, problem_text};
use crate::files::{self, Stamp};
use crate::git::{Git, UNDER_WAY};
use crate::output::Output;
use crate::resolve::{Session, file_name, repository};
use heads::Heads;
use verdict::{Look, Pause, Standing, Verdict, decide};

/// How often file and git are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long is waited after something happened, in case more does.
const CALM: Duration = Duration::from_millis(200);

/// How long the file stays as it is before it is imported: git changes it a moment before HEAD.
const SETTLED: Duration = Duration::from_millis(900);

/// How long something has to last that is mostly over within moments, before it is told.
const BRIEF: Duration = Duration::from_secs(2);

/// How long is waited after a failure that may pass, and at most after several.
const AGAIN_FIRST: Duration = Duration::from_secs(2);
const AGAIN_LAST: Duration = Duration::from_secs(60);

/// What git leaves in its directory besides what [`UNDER_WAY`] has.
const BISECT: (&str, &str) = ("BISECT_LOG", "a bisect");

/// Something that whoever runs the node should hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The file is left alone.
    Paused {
        /// Why.
        why: String,
        /// What to do.
        hint: String,
    },
    /// It is not any more.
    Resumed,
    /// What the file changed was taken in.
    Imported {
        /// How many issues are new.
        created: usize,
        /// How many were edited.
        edited: usize,
        /// How many older values of the file were not taken.
        old_news: usize,
    },
    /// What the list changed was written.
    Exported {
        /// How many lines are others now.
        changed: u64,
        /// How many are new.
        added: u64,
    },
}

/// A failure of an import or an export.
struct Failure {
    /// The file and the list with which it failed.
    file: Option<Stamp>,
    list: u64,
    pause: Pause,
    /// When it is tried again with the same, and how long was waited for that; `None` where what the file says
    /// is the reason.
    again: Option<(Duration, Duration)>,
}

/// One file that is kept.
pub struct Mirror {
    session: Session,
    path: PathBuf,
    name: String,
    /// The repository, if there is one, and the branch that the file is bound to there.
    git: Option<(Git, String)>,
    heads: Heads,
    import_within: Duration,
    told: UnboundedSender<Told>,
    origin: Moment,
    /// How the file and the list were when they last said the same.
    agreed: Option<(Option<Stamp>, u64)>,
    /// The file as it was last seen, and since when.
    stamp: (Option<Stamp>, Duration),
    import_at: Option<Duration>,
    /// Why nothing is done, since when, and whether that was told.
    pause: Option<(Pause, Duration, bool)>,
    failed: Option<Failure>,
}

impl Mirror {
    /// Returns what keeps the bound file of this repository.
    ///
    /// # Errors
    /// Where there is no such file, its list is not here, or its branch is unknown.
    pub fn new(
        session: &Session,
        import_within: Duration,
        told: UnboundedSender<Told>,
    ) -> Result<Self, CliError> {
        let quiet = Output { quiet: true, json: false, ..session.output };
        let mut session = session.clone();
        session.output = quiet;
        let path = session.file(None)?;
        let name = file_name(&path)?.to_owned();
        let binding = session.binding()?.filter(|binding| session.home.holds(binding.list));
        let binding = binding.ok_or_else(|| CliError::Missing {
            detail: "the task list of this repository is not in the data directory".to_owned(),
            hint: "`x0x issues import` begins it from the file, `x0x join TICKET` fetches it"
                .to_owned(),
        })?;
        let git = match Git::around(binding.root()) {
            Err(_none) => None,
            Ok(git) => {
                let branch = binding.branch.clone().ok_or_else(|| CliError::Missing {
                    detail: format!(
                        "{} names no branch to keep the file on",
                        binding.file.display()
                    ),
                    hint: "add the line `branch = \"NAME\"` to it".to_owned(),
                })?;
                Some((git, branch))
            }
        };
        let heads = Heads::load(session.home.dir())?;
        let stamp = (Stamp::of(&path), Duration::ZERO);
        Ok(Self {
            session,
            path,
            name,
            git,
            heads,
            import_within,
            told,
            origin: time::origin(),
            agreed: None,
            stamp,
            import_at: None,
            pause: None,
            failed: None,
        })
    }

    /// Keeps the file until nobody can wake it any more; it is woken when something happened.
    pub fn run(mut self, events: &Events, wakes: &Receiver<()>) {
        loop {
            self.tick(events.newest());
            match wakes.recv_timeout(LOOK_EVERY) {
                Ok(()) => {
                    // One look sees all that happens at once, and then there is none for a while.
                    time::pause(CALM);
                    self.tick(events.newest());
                    time::pause(LOOK_EVERY - CALM);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Looks, and does what is to be done.
    fn tick(&mut self, list: u64) {
        let now = self.origin.elapsed();
        let stamp = Stamp::of(&self.path);
        if self.stamp.0 != stamp {
            self.stamp = (stamp, now);
        }
        let standing = self.standing();
        if standing == Standing::Here {
            let agrees = self.agreed == Some((stamp, list));
            if agrees && self.pause.is_none() {
                return;
            }
            if let Some(failure) = &self.failed
                && (failure.file, failure.list) == (stamp, list)
                && failure.again.is_none_or(|(at, _)| now < at)
            {
                return self.leave(now, failure.pause.clone());
            }
        }
        let look = match standing {
            Standing::Here => self.look(stamp),
            _ => Ok(Look::default()),
        };
        let done = look.and_then(|look| match decide(standing, &look) {
            Verdict::Leave(pause) => {
                self.import_at = None;
                self.leave(now, pause);
                Ok(())
            }
            Verdict::Import => self.import(now, &look),
            Verdict::Export => self.export(list, &look),
        });
        if let Err(error) = done {
            let pause = failure(&error);
            let waited = self.failed.as_ref().and_then(|failure| Some(failure.again?.1));
            let wait = waited.map_or(AGAIN_FIRST, |waited| (waited * 2).min(AGAIN_LAST));
            let again = (!is_of_content(&error)).then_some((now + wait, wait));
            self.failed = Some(Failure { file: stamp, list, pause: pause.clone(), again });
            self.leave(now, pause);
        }
    }

    fn standing(&self) -> Standing {
        let Some((git, bound)) = &self.git else { return Standing::Here };
        let dir = repository::git_dir(git.root()).unwrap_or_else(|| git.root().join(".git"));
        let under_way = UNDER_WAY.iter().map(|(name, what, _)| (*name, *what)).chain([BISECT]);
        for (name, what) in under_way {
            if dir.join(name).exists() {
                return Standing::UnderWay(what);
            }
        }
        if dir.join("index.lock").exists() {
            return Standing::Locked;
        }
        let branch = repository::branch_of(git.root());
        if branch.as_ref() == Some(bound) {
            return Standing::Here;
        }
        Standing::Elsewhere { branch, bound: bound.clone() }
    }

    fn look(&self, stamp: Option<Stamp>) -> Result<Look, CliError> {
        let mut look = Look { is_there: stamp.is_some(), descends: true, ..Look::default() };
        if let Some((git, _)) = &self.git {
            look.head = git.head()?;
            look.last = self.heads.of(&self.name).cloned();
        }
        // Nobody changed it since: what it cost to know that need not be paid again.
        if stamp.is_some() && self.agreed.is_some_and(|(agreed, _)| agreed == stamp) {
            return Ok(Look { has_base: true, is_base: true, ..look });
        }
        let base = export::base_of(&*self.session.reader()?, &self.name)?;
        let content = files::content_of(&self.path)
            .map_err(|error| CliError::file("cannot read", &self.path, error))?;
        look.has_base = base.is_some();
        look.is_there = content.is_some();
        look.is_base = base.is_some() && content.map(|content| content.hash) == base;
        if let (Some((git, _)), Some(last)) = (&self.git, &look.last) {
            look.descends = match &look.head {
                Some(head) => git.carries(head, last)?,
                None => false,
            };
            if !look.is_base && look.is_there && look.descends {
                let committed = git.blob("HEAD", &self.path)?;
                look.is_set_back = committed.is_some()
                    && committed == git.blob(last, &self.path)?
                    && committed == Some(git.blob_of_file(&self.path)?);
            }
        }
        Ok(look)
    }

    fn import(&mut self, now: Duration, look: &Look) -> Result<(), CliError> {
        let at = *self.import_at.get_or_insert_with(|| now + below(self.import_within));
        if now < at.max(self.stamp.1 + SETTLED) {
            return Ok(());
        }
        self.import_at = None;
        let imported = import::import(&self.session, &ImportArgs::default(), &self.path)?;
        let ImportReport { created, edited, old_news, .. } = &imported.report;
        let told = Told::Imported {
            created: created.len(),
            edited: edited.len(),
            old_news: old_news.len(),
        };
        self.resume();
        self.tell(told);
        // What the list says beyond it is written at the next look, if nothing changed it since.
        self.remember(look)
    }

    fn export(&mut self, list: u64, look: &Look) -> Result<(), CliError> {
        self.import_at = None;
        let (session, args) = (&self.session, ExportArgs::default());
        let may = || self.standing() == Standing::Here;
        let exported = match export::to_known_if(session, &args, &self.path, &may) {
            Ok(exported) => exported,
            // It was edited, or git went on, between the look and now: the next look sees it.
            Err(CliError::Tracker(error)) if matches!(*error, TrackerError::NotImported { .. }) => {
                self.agreed = None;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        // It may be another by now than was written; then the next look sees how it stands.
        let stamp = Stamp::of(&self.path);
        let content = files::content_of(&self.path)
            .map_err(|error| CliError::file("cannot read", &self.path, error))?;
        let is_written = content.is_some_and(|content| content.hash == exported.report.hash);
        self.agreed = is_written.then_some((stamp, list));
        if is_written {
            self.stamp.0 = stamp;
        }
        self.resume();
        if !exported.is_same {
            let (changed, added) = (exported.report.changed, exported.report.added);
            self.tell(Told::Exported { changed, added });
        }
        self.remember(look)
    }

    fn remember(&mut self, look: &Look) -> Result<(), CliError> {
        self.failed = None;
        match &look.head {
            Some(head) => self.heads.put(&self.name, head),
            None => Ok(()),
        }
    }

    /// Leaves the file alone, and says so once.
    fn leave(&mut self, now: Duration, pause: Pause) {
        let (since, was_told) = match &self.pause {
            Some((before, since, was_told)) if *before == pause => (*since, *was_told),
            // What was told stands until the file is worked with again or something else is in the way.
            Some((_, since, true)) if pause.is_brief() => (*since, true),
            _ => (now, false),
        };
        let is_told = was_told || !pause.is_brief() || now >= since + BRIEF;
        if is_told && !was_told {
            self.tell(Told::Paused { why: pause.why(), hint: pause.hint() });
        }
        self.pause = Some((pause, since, is_told));
    }

    /// Works with the file again, and says so where the pause was told.
    fn resume(&mut self) {
        if let Some((_, _, true)) = self.pause.take() {
            self.tell(Told::Resumed);
        }
    }

    fn tell(&self, told: Told) {
        // Whoever listened is about to end.
        let _gone = self.told.send(told);
    }
}

/// Tells whether it is what the file says that failed, so that the same file fails again.
fn is_of_content(error: &CliError) -> bool {
    matches!(error.tracker(), Some(TrackerError::BadLines { .. }))
}

fn failure(error: &CliError) -> Pause {
    let mut detail = error.to_string();
    if let Some(TrackerError::BadLines { file, problems }) = error.tracker()
        && let Some(first) = problems.first()
    {
        detail = format!("{detail}: {}", problem_text(file, first));
    }
    Pause::Failed { detail, hint: error.hint() }
}

/// Returns a random time of at most `limit`.
fn below(limit: Duration) -> Duration {
    let mut bytes = [0; 4];
    entropy::fill(&mut bytes);
    limit.mul_f64(f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX))
}
