//! Running git, for what was asked of it by name: a commit of one file, and the configuration of the
//! merge driver. What can be learned from files alone is in [`repository`].

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::error::{CliError, GitFault};
use crate::resolve::repository;

/// The most lines of what git or a hook said that an error repeats.
const SAID_LINES_MAX: usize = 20;

/// What git leaves in its directory while it is at work, what that is, and what ends it.
pub const UNDER_WAY: [(&str, &str, &str); 6] = [
    ("rebase-merge", "a rebase", "`git rebase --continue`"),
    ("rebase-apply", "a rebase or `git am`", "`git rebase --continue` or `git am --continue`"),
    ("CHERRY_PICK_HEAD", "a cherry-pick", "`git cherry-pick --continue`"),
    ("REVERT_HEAD", "a revert", "`git revert --continue`"),
    ("MERGE_HEAD", "a merge", "`git merge --continue`"),
    ("sequencer", "a cherry-pick or revert", "`git status`, which says how it goes on,"),
];

/// The git repository around a directory.
pub struct Git {
    root: PathBuf,
}

/// A commit that was made.
pub struct Committed {
    /// Its id, in hex.
    pub id: String,
    /// What git and its hooks said.
    pub said: String,
}

impl Git {
    /// Returns the repository around `dir`, which must have one.
    pub fn around(dir: &Path) -> Result<Self, CliError> {
        let root = repository::root_of(dir).ok_or_else(|| CliError::Missing {
            detail: format!("{} is in no git repository", dir.display()),
            hint: "run `git init` first, or leave the option out that needs git".to_owned(),
        })?;
        Ok(Self { root: root.to_owned() })
    }

    /// Returns its root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the value of a setting, wherever git takes it from; none where it has none.
    pub fn config(&self, name: &str) -> Result<Option<String>, CliError> {
        let output = self.output(["config", "--get", name])?;
        match output.status.code() {
            Some(0) => Ok(Some(text_of(&output.stdout))),
            Some(1) => Ok(None),
            _ => Err(failed("`git config`", &output)),
        }
    }

    /// Sets a value in the repository's own configuration, which its worktrees share.
    pub fn set_config(&self, name: &str, value: &str) -> Result<(), CliError> {
        self.run(["config", "--local", name, value]).map(drop)
    }

    /// Returns the merge driver that `.gitattributes` files name for a path; none where they name
    /// none.
    pub fn merge_attribute(&self, path: &Path) -> Result<Option<String>, CliError> {
        let args = [OsStr::new("check-attr"), "-z".as_ref(), "merge".as_ref(), "--".as_ref()];
        let output = self.run(args.into_iter().chain([path.as_os_str()]))?;
        // Three fields, each with a NUL behind it: path, attribute, value.
        let value = output.stdout.split(|byte| *byte == 0).nth(2).map(text_of);
        Ok(value.filter(|value| value != "unspecified"))
    }

    /// Returns the commit that is checked out; `None` before the first.
    pub fn head(&self) -> Result<Option<String>, CliError> {
        self.object("HEAD^{commit}")
    }

    /// Tells whether a commit is another or one of its ancestors. One that is not there any more is none's.
    pub fn is_ancestor(&self, ancestor: &str, commit: &str) -> Result<bool, CliError> {
        let output = self.output(["merge-base", "--is-ancestor", ancestor, commit])?;
        Ok(output.status.success())
    }

    /// Tells whether what was committed up to a commit is in another one, which is checked out: below it, or
    /// moved there by a rebase, or as a pull left it.
    pub fn carries(&self, head: &str, commit: &str) -> Result<bool, CliError> {
        if head == commit || self.is_ancestor(commit, head)? {
            return Ok(true);
        }
        // Each commit that is not below it, with a minus where one below it makes the same change.
        let output = self.output(["cherry", head, commit])?;
        let moved = text_of(&output.stdout);
        if output.status.success() && !moved.is_empty() && moved.lines().all(|l| l.starts_with('-'))
        {
            return Ok(true);
        }
        let output = self.output([
            "log",
            "--no-show-signature",
            "--walk-reflogs",
            "--format=%H %gs",
            "HEAD",
            "--",
        ])?;
        let log = text_of(&output.stdout);
        let steps = log.lines().filter_map(|line| line.split_once(' '));
        let since = |(at, _): &(&str, &str)| *at != commit;
        let is_known = log.lines().any(|line| line.starts_with(commit));
        let by_pull =
            |(_, what): (&str, &str)| what.starts_with("pull") || what.starts_with("commit");
        Ok(output.status.success() && is_known && steps.take_while(since).all(by_pull))
    }

    /// Returns the id of the content that a commit has for a path; `None` where it has none.
    pub fn blob(&self, commit: &str, path: &Path) -> Result<Option<String>, CliError> {
        let path = path.strip_prefix(&self.root).unwrap_or(path);
        let mut object = OsString::from(format!("{commit}:"));
        object.push(path);
        self.object(object)
    }

    /// Returns the id that the content of a file would have in a commit. Writes nothing.
    pub fn blob_of_file(&self, path: &Path) -> Result<String, CliError> {
        let args = [OsStr::new("hash-object"), "--".as_ref(), path.as_os_str()];
        Ok(text_of(self.run(args)?.stdout))
    }

    fn object(&self, name: impl AsRef<OsStr>) -> Result<Option<String>, CliError> {
        let args = ["rev-parse", "--quiet", "--verify"].map(OsStr::new);
        let output = self.output(args.into_iter().chain([name.as_ref()]))?;
        Ok(output.status.success().then(|| text_of(output.stdout)))
    }

    /// Refuses where a commit of one file cannot be made now, and says why.
    pub fn require_idle(&self) -> Result<(), CliError> {
        let names: Vec<&str> = UNDER_WAY.iter().map(|(name, ..)| *name).chain(["index"]).collect();
        let args = names.iter().flat_map(|name| ["--git-path", name]);
        let output = self.run(std::iter::once("rev-parse").chain(args))?;
        let paths = text_of(&output.stdout);
        let paths: Vec<PathBuf> = paths.lines().map(|path| self.root.join(path)).collect();
        for ((_, what, end), path) in UNDER_WAY.iter().zip(&paths) {
            if path.exists() {
                return Err(CliError::Git {
                    detail: format!("git is in the middle of {what}; nothing was done"),
                    hint: format!("finish it first with {end}; sync without --commit works now"),
                    fault: GitFault::UnderWay,
                });
            }
        }
        let mut lock = paths.last().map(|path| path.as_os_str().to_owned()).unwrap_or_default();
        lock.push(".lock");
        let lock = Path::new(&lock);
        if lock.exists() {
            return Err(CliError::Git {
                detail: format!("{} is there: git is at work; nothing was done", lock.display()),
                hint:
                    "try again when that git has ended; if none runs any more, it was killed, and \
                       that file is all it left"
                        .to_owned(),
                fault: GitFault::Locked,
            });
        }
        Ok(())
    }

    /// Refuses a file of which git still holds several versions to be merged: a merge driver that
    /// failed leaves one of them in its place, without markers.
    pub fn require_merged(&self, path: &Path) -> Result<(), CliError> {
        let spec = self.pathspec(path);
        let args = [OsStr::new("ls-files"), "-z".as_ref(), "--unmerged".as_ref(), "--".as_ref()];
        if self.run(args.into_iter().chain([spec.as_os_str()]))?.stdout.is_empty() {
            return Ok(());
        }
        let shown = path.strip_prefix(&self.root).unwrap_or(path).display();
        Err(CliError::Git {
            detail: format!("git has not merged {shown} yet; nothing was done"),
            hint: format!(
                "`git show :2:{shown}` and `git show :3:{shown}` are the two sides; when the file \
                 has what both changed, `git add {shown}`"
            ),
            fault: GitFault::UnderWay,
        })
    }

    /// Commits one file as it lies on the disk; none where the newest commit has it so already.
    ///
    /// What else is staged stays staged, and hooks run. If git or a hook refuses, the index is as it
    /// was.
    pub fn commit_alone(&self, path: &Path, message: &str) -> Result<Option<Committed>, CliError> {
        let path = self.pathspec(path);
        let is_new = self.run([OsStr::new("ls-files"), "-z".as_ref(), &path])?.stdout.is_empty();
        if is_new {
            // Without this git does not know the name; it stages no content.
            self.run([OsStr::new("add"), "--intent-to-add".as_ref(), "--".as_ref(), &path])?;
        }
        let committed = self.commit_changes(&path, message);
        if is_new && !matches!(committed, Ok(Some(_))) {
            let args = ["rm", "--cached", "--force", "--quiet", "--"].map(OsStr::new);
            self.run(args.into_iter().chain([path.as_os_str()]))?;
        }
        committed
    }

    fn commit_changes(&self, path: &OsStr, message: &str) -> Result<Option<Committed>, CliError> {
        if self.says_head(path)? {
            return Ok(None);
        }
        let args = ["commit", "--quiet", "--only", "-m", message, "--"].map(OsStr::new);
        let output = self.output(args.into_iter().chain([path]))?;
        if !output.status.success() {
            return Err(failed("`git commit`", &output));
        }
        let id = text_of(&self.run(["rev-parse", "HEAD"])?.stdout);
        Ok(Some(Committed { id, said: said(&output) }))
    }

    /// Tells whether the newest commit, if there is one, has a path as it lies on the disk.
    fn says_head(&self, path: &OsStr) -> Result<bool, CliError> {
        let head = self.output(["rev-parse", "--quiet", "--verify", "HEAD"])?;
        if !head.status.success() {
            return Ok(false);
        }
        let args = ["diff", "--quiet", "--no-ext-diff", "HEAD", "--"].map(OsStr::new);
        let output = self.output(args.into_iter().chain([path]))?;
        match output.status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(failed("`git diff`", &output)),
        }
    }

    /// Returns what names a path below the root to git, whatever characters it has.
    ///
    /// Said with the path: git's option for it would reach hooks through their environment.
    fn pathspec(&self, path: &Path) -> OsString {
        let mut spec = OsString::from(":(top,literal)");
        spec.push(path.strip_prefix(&self.root).unwrap_or(path));
        spec
    }

    /// Runs what has to succeed.
    fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Result<Output, CliError> {
        let args: Vec<OsString> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let output = self.output(&args)?;
        if output.status.success() {
            return Ok(output);
        }
        let name = args.first().map(|name| name.to_string_lossy().into_owned());
        Err(failed(&format!("`git {}`", name.unwrap_or_default()), &output))
    }

    fn output<A: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
    ) -> Result<Output, CliError> {
        let output = Command::new("git").args(args).current_dir(&self.root).output();
        output.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => CliError::Missing {
                detail: "there is no program git on the PATH".to_owned(),
                hint: "install git, or leave the option out that needs it".to_owned(),
            },
            _ => CliError::Io { what: "cannot run git".to_owned(), source },
        })
    }
}

fn failed(what: &str, output: &Output) -> CliError {
    let said = said(output);
    let detail = match said.is_empty() {
        true => format!("{what} failed ({})", output.status),
        false => format!("{what} failed: {said}"),
    };
    CliError::Git {
        detail,
        hint: "git, or a hook of the repository, said so; mend that and try again".to_owned(),
        fault: GitFault::Failed,
    }
}

/// Returns what git said, of much the end.
fn said(output: &Output) -> String {
    let text = [text_of(&output.stdout), text_of(&output.stderr)].join("\n");
    let lines: Vec<&str> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(SAID_LINES_MAX)..].join("\n")
}

fn text_of(bytes: impl AsRef<[u8]>) -> String {
    String::from_utf8_lossy(bytes.as_ref()).trim_end().to_owned()
}
