//! `x0x up --export` in repositories of real git: file and list follow each other, and whatever git does to
//! the file, nothing of it is undone in silence.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]
#![expect(
    clippy::disallowed_methods,
    reason = "processes are waited for by looking, up to a limit"
)]

mod common;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{Answer, Place, record, until};
use serde_json::Value;
use x0x::time;

/// A repository whose node keeps the file.
struct Kept {
    place: Place,
    up: Option<Child>,
}

impl Kept {
    /// With two issues, the file committed and branch `main` checked out.
    fn new() -> Self {
        let lines = [record("T-1", "one", "todo"), record("T-2", "two", "todo")].concat();
        let mut kept = Self { place: Place::with_committed(&lines), up: None };
        kept.with_git();
        kept.up();
        kept
    }

    /// Where the node finds git, and nothing else.
    fn bin(&self) -> PathBuf {
        self.place.dir().join("bin")
    }

    fn with_git(&self) {
        let path = std::env::var_os("PATH").unwrap();
        let mut found = std::env::split_paths(&path).map(|dir| dir.join("git"));
        fs::create_dir_all(self.bin()).unwrap();
        let git = found.find(|git| git.exists()).unwrap();
        std::os::unix::fs::symlink(git, self.bin().join("git")).unwrap();
    }

    fn up(&mut self) {
        let log = File::options().create(true).append(true).open(self.place.dir().join("log"));
        let args = ["up", "--export", "--json", "--import-within", "0"];
        let any = ["--listen", "127.0.0.1:0", "--api", "127.0.0.1:0"];
        let mut command = self.place.command(&[&args[..], &any].concat());
        command.env("PATH", self.bin());
        command.stdout(log.unwrap()).stderr(Stdio::inherit());
        self.up = Some(command.spawn().unwrap());
        until("the node answers", || self.place.run(&["status"]).code == 0);
    }

    fn stop(&mut self) {
        self.place.ok(&["stop"]);
        assert!(self.up.take().unwrap().wait().unwrap().success());
    }

    /// What it said of the file, in order.
    fn told(&self) -> Vec<Value> {
        let log = fs::read_to_string(self.place.dir().join("log")).unwrap();
        let events = log.lines().filter_map(|line| serde_json::from_str(line).ok());
        let kinds = ["paused", "resumed", "imported", "exported"];
        events.filter(|event: &Value| kinds.iter().any(|kind| event["event"] == *kind)).collect()
    }

    fn count(&self, kind: &str) -> usize {
        self.told().iter().filter(|event| event["event"] == kind).count()
    }

    /// Waits for a pause that says `why`; returns it.
    fn paused(&self, why: &str) -> Value {
        let is_meant =
            |event: &Value| event["event"] == "paused" && event["why"].to_string().contains(why);
        until(&format!("paused: {why}: {:?}", self.told()), || {
            self.told().last().is_some_and(is_meant)
        });
        self.told().pop().unwrap()
    }

    fn resumed(&self, times: usize) {
        until("it goes on", || self.count("resumed") == times);
    }

    fn title(&self, id: &str) -> String {
        self.place.json(&["issues", "show", id])["title"].as_str().unwrap().to_owned()
    }

    fn edit(&self, id: &str, title: &str) {
        self.place.ok(&["issues", "edit", id, "--title", title]);
    }

    /// Waits until the file holds a text.
    fn written(&self, text: &str) {
        until(&format!("the file says {text}: {:?}", self.told()), || {
            fs::read_to_string(self.place.jsonl()).is_ok_and(|file| file.contains(text))
        });
    }

    /// Gives the node time for several looks, in which it must not do anything.
    fn looks(&self) {
        let begun = Instant::now();
        until("several looks", || begun.elapsed() > Duration::from_millis(3_500));
    }

    /// Waits until the node has nothing to do: what is edited then is written at the next look.
    fn settled(&self) {
        self.place.ok(&["issues", "comment", "T-2", "a mark of the test"]);
        self.written("a mark of the test");
    }

    fn commit(&self, message: &str) {
        self.place.git(&["commit", "-qam", message]);
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(mut up) = self.up.take() {
            up.kill().unwrap();
            up.wait().unwrap();
        }
    }
}

#[test]
fn what_the_list_changes_is_written_and_what_the_file_changes_is_read() {
    let kept = Kept::new();
    let index = fs::read(kept.place.repo().join(".git/index")).unwrap();
    kept.edit("T-1", "edited in the list");
    kept.written("edited in the list");
    let text = kept.place.read_jsonl().replace("\"two\"", "\"edited in the file\"");
    kept.place.write_jsonl(&text);
    until("it is read", || kept.title("T-2") == "edited in the file");
    kept.place.ok(&["issues", "comment", "T-1", "and back"]);
    kept.written("and back");
    assert!(kept.place.read_jsonl().contains("edited in the file"));
    assert_eq!(kept.count("paused"), 0, "{:?}", kept.told());
    assert_eq!(fs::read(kept.place.repo().join(".git/index")).unwrap(), index);
    let status = kept.place.git(&["--no-optional-locks", "status", "--porcelain"]);
    assert_eq!(status, " M issues/issues.jsonl\n");
}

#[test]
fn a_quiet_list_and_a_quiet_file_stay_untouched() {
    let kept = Kept::new();
    let before = fs::metadata(kept.place.jsonl()).unwrap().modified().unwrap();
    kept.looks();
    assert_eq!(fs::metadata(kept.place.jsonl()).unwrap().modified().unwrap(), before);
    assert_eq!(kept.told(), [Value::Null; 0]);
}

#[test]
fn another_branch_pauses_both_ways_and_the_way_back_goes_on() {
    let kept = Kept::new();
    kept.settled();
    kept.commit("mark");
    kept.place.git(&["checkout", "-qb", "other"]);
    let pause = kept.paused("branch other is checked out, and the file is bound to main");
    assert!(pause["hint"].as_str().is_some_and(|hint| !hint.is_empty()));
    kept.edit("T-1", "while away");
    let on_other = kept.place.read_jsonl().replace("\"two\"", "\"on other\"");
    kept.place.write_jsonl(&on_other);
    kept.looks();
    assert_eq!(kept.place.read_jsonl(), on_other);
    assert_eq!(kept.title("T-2"), "two");
    kept.commit("on other");
    kept.place.git(&["checkout", "-q", "main"]);
    kept.written("while away");
    kept.resumed(1);
    assert_eq!(kept.title("T-2"), "two");
    assert_eq!(kept.count("paused"), 1, "{:?}", kept.told());
    kept.place.git(&["checkout", "-q", "--detach"]);
    kept.paused("no branch is checked out");
}

#[test]
fn a_reset_to_an_older_commit_is_not_undone() {
    let kept = Kept::new();
    kept.edit("T-1", "later");
    kept.written("later");
    kept.commit("later");
    kept.settled();
    kept.place.git(&["reset", "-q", "--hard", "HEAD~1"]);
    let reset = kept.place.read_jsonl();
    assert!(!reset.contains("later"));
    let pause = kept.paused("does not descend from");
    assert!(pause["hint"].as_str().unwrap().contains("x0x issues sync"), "{pause}");
    kept.place.create(&["meanwhile"]);
    kept.looks();
    assert_eq!(kept.place.read_jsonl(), reset);
    assert_eq!(kept.count("paused"), 1, "{:?}", kept.told());
    kept.place.ok(&["issues", "sync"]);
    kept.resumed(1);
    kept.edit("T-2", "and on");
    kept.written("and on");
}

#[test]
fn a_reset_is_not_undone_by_a_node_that_was_away() {
    let mut kept = Kept::new();
    kept.edit("T-1", "later");
    kept.written("later");
    kept.commit("later");
    kept.settled();
    kept.stop();
    kept.place.git(&["reset", "-q", "--hard", "HEAD~1"]);
    let reset = kept.place.read_jsonl();
    kept.up();
    kept.paused("does not descend from");
    kept.looks();
    assert_eq!(kept.place.read_jsonl(), reset);
}

#[test]
fn a_file_that_git_put_back_to_what_is_committed_stays_so() {
    let kept = Kept::new();
    kept.edit("T-1", "not committed");
    kept.written("not committed");
    // HEAD moves on without the file, so it alone tells nothing.
    kept.place.git(&["commit", "-q", "--allow-empty", "-m", "something else"]);
    kept.place.git(&["reset", "-q", "--hard"]);
    let reset = kept.place.read_jsonl();
    kept.paused("put the file back");
    kept.looks();
    assert_eq!(kept.place.read_jsonl(), reset);
    assert_eq!(kept.title("T-1"), "not committed");
    kept.place.ok(&["issues", "sync"]);
    kept.resumed(1);
    assert!(kept.place.read_jsonl().contains("not committed"));
}

#[test]
fn an_amended_commit_is_no_reason_to_stop() {
    let kept = Kept::new();
    kept.settled();
    kept.commit("mark");
    kept.settled();
    kept.place.git(&["commit", "-q", "--amend", "-m", "another word"]);
    kept.edit("T-1", "after the amend");
    kept.written("after the amend");
    assert_eq!(kept.count("paused"), 0, "{:?}", kept.told());
}

#[test]
fn a_pull_is_read_and_nothing_that_the_list_knows_better_is_undone() {
    let kept = Kept::new();
    let other = parted(&kept);
    kept.place.git(&["pull", "-q", "--ff-only", other.repo().to_str().unwrap(), "main"]);
    until("it is read", || kept.title("T-2") == "from a clone");
    kept.edit("T-1", "after the pull");
    kept.written("after the pull");
    assert!(kept.place.read_jsonl().contains("from a clone"));
    assert_eq!(kept.count("paused"), 0, "{:?}", kept.told());
}

/// Has a clone change one issue, and both sides commit something of the file.
fn parted(kept: &Kept) -> Place {
    let other = Place::clone_of(&kept.place);
    let theirs = other.read_jsonl().replace("\"two\"", "\"from a clone\"");
    other.write_jsonl(&theirs.replace("2026-05-01T20:35:00Z\"}\n", "2026-05-02T20:35:00Z\"}\n"));
    other.git(&["commit", "-qam", "from a clone"]);
    other
}

#[test]
fn a_pull_that_rebases_is_no_reason_to_stop_even_where_both_sides_changed_the_file() {
    let kept = Kept::new();
    let other = parted(&kept);
    kept.place.ok(&["init", "--merge-driver"]);
    kept.place.git(&["add", "."]);
    kept.place.git(&["commit", "-qm", "the driver"]);
    kept.edit("T-1", "ours");
    kept.written("ours");
    kept.commit("ours");
    let from = other.repo();
    kept.place.git(&["pull", "-q", "--rebase", from.to_str().unwrap(), "main"]);
    until("it is read", || kept.title("T-2") == "from a clone");
    kept.edit("T-2", "after the pull");
    kept.written("after the pull");
    assert!(kept.place.read_jsonl().contains("ours"));
    let stopped = |event: &Value| event["why"].to_string().contains("does not descend");
    assert!(!kept.told().iter().any(stopped), "{:?}", kept.told());
}

#[test]
fn commits_that_a_rebase_moved_are_known_again() {
    let kept = Kept::new();
    let other = parted(&kept);
    kept.looks();
    fs::write(kept.place.repo().join("code"), "beside the issues").unwrap();
    kept.place.git(&["add", "code"]);
    kept.place.git(&["commit", "-qm", "code"]);
    kept.looks();
    kept.place.git(&["fetch", "-q", other.repo().to_str().unwrap(), "main"]);
    kept.place.git(&["rebase", "-q", "FETCH_HEAD"]);
    until("it is read", || kept.title("T-2") == "from a clone");
    kept.edit("T-1", "after the rebase");
    kept.written("after the rebase");
    let stopped = |event: &Value| event["why"].to_string().contains("does not descend");
    assert!(!kept.told().iter().any(stopped), "{:?}", kept.told());
}

#[test]
fn a_rebase_and_a_bisect_are_waited_for() {
    let kept = Kept::new();
    for (name, what) in [("rebase-merge", "a rebase"), ("BISECT_LOG", "a bisect")] {
        let under_way = kept.place.repo().join(".git").join(name);
        let before = kept.count("resumed");
        fs::create_dir(&under_way).unwrap();
        kept.paused(what);
        let title = format!("during {what}");
        let file = kept.place.read_jsonl();
        kept.edit("T-1", &title);
        kept.looks();
        assert_eq!(kept.place.read_jsonl(), file);
        fs::remove_dir(&under_way).unwrap();
        kept.written(&title);
        kept.resumed(before + 1);
    }
}

#[test]
fn a_real_rebase_that_stops_leaves_the_file_to_git() {
    let kept = Kept::new();
    kept.settled();
    kept.commit("mark");
    kept.place.git(&["checkout", "-qb", "side", "HEAD~1"]);
    let side = kept.place.read_jsonl().replace("\"two\"", "\"side\"");
    kept.place.write_jsonl(&side);
    kept.commit("side");
    kept.place.git(&["checkout", "-q", "main"]);
    assert_ne!(kept.place.try_git(&["rebase", "-q", "side"]).code, 0, "it stops at a conflict");
    let conflicted = kept.place.read_jsonl();
    assert!(conflicted.contains("<<<<<<<"));
    kept.paused("a rebase");
    kept.edit("T-1", "meanwhile");
    kept.looks();
    assert_eq!(kept.place.read_jsonl(), conflicted);
    kept.place.git(&["rebase", "--abort"]);
    kept.written("meanwhile");
    assert_eq!(kept.title("T-2"), "two");
}

#[test]
fn a_lock_of_the_index_is_waited_for() {
    let kept = Kept::new();
    let lock = kept.place.repo().join(".git/index.lock");
    let file = kept.place.read_jsonl();
    fs::write(&lock, "").unwrap();
    kept.edit("T-1", "locked");
    kept.paused("index.lock");
    assert_eq!(kept.place.read_jsonl(), file);
    fs::remove_file(&lock).unwrap();
    kept.written("locked");
    kept.resumed(1);
}

#[test]
fn a_file_that_vanished_is_not_made_again_unasked() {
    let kept = Kept::new();
    kept.settled();
    fs::remove_file(kept.place.jsonl()).unwrap();
    let pause = kept.paused("the file is gone");
    assert!(pause["hint"].as_str().unwrap().contains("x0x issues export"), "{pause}");
    kept.edit("T-1", "meanwhile");
    kept.looks();
    assert!(!kept.place.jsonl().exists());
    kept.place.ok(&["issues", "export"]);
    kept.resumed(1);
    kept.edit("T-1", "and on");
    kept.written("and on");
}

#[test]
fn conflict_markers_are_named_and_nothing_is_written_over_them() {
    let kept = Kept::new();
    let (ours, theirs) = (record("T-1", "ours", "todo"), record("T-1", "theirs", "todo"));
    let rest = record("T-2", "two", "todo");
    let text = format!("<<<<<<< HEAD\n{ours}=======\n{theirs}>>>>>>> other\n{rest}");
    kept.place.write_jsonl(&text);
    let pause = kept.paused("issues.jsonl:1:");
    assert!(pause["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{pause}");
    kept.edit("T-2", "meanwhile");
    kept.looks();
    assert_eq!(kept.place.read_jsonl(), text);
    kept.place.write_jsonl(&format!("{ours}{rest}"));
    until("it is read", || kept.title("T-1") == "ours");
    kept.written("meanwhile");
    kept.resumed(1);
}

#[test]
fn what_failed_for_a_moment_is_tried_again_though_nothing_changed() {
    let kept = Kept::new();
    kept.settled();
    fs::remove_file(kept.bin().join("git")).unwrap();
    kept.edit("T-1", "while git was away");
    let pause = kept.paused("git");
    assert!(pause["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{pause}");
    assert!(!kept.place.read_jsonl().contains("while git was away"));
    kept.with_git();
    kept.written("while git was away");
    kept.resumed(1);
    assert_eq!(kept.count("paused"), 1, "{:?}", kept.told());
}

#[test]
fn an_edit_that_comes_while_the_file_is_written_is_never_lost() {
    let place =
        Place::with_file(&[record("T-1", "one", "todo"), record("T-2", "two", "todo")].concat());
    let beside = place.repo().join("issues/edited");
    let mut refused = 0;
    for n in 0..40 {
        place.ok(&["issues", "edit", "T-1", "--title", &format!("list {n}")]);
        let mut export = place.command(&["issues", "export", "-q"]);
        let export = export.stderr(Stdio::piped()).spawn().unwrap();
        // Later and later, up to about what an export takes.
        time::pause(Duration::from_millis(n));
        let edit = format!("file {n}");
        let lines = [record("T-1", "old", "todo"), record("T-2", &edit, "todo")].concat();
        fs::write(&beside, lines).unwrap();
        fs::rename(&beside, place.jsonl()).unwrap();
        let answer = Answer::of(export.wait_with_output().unwrap());
        assert!(place.read_jsonl().contains(&edit), "{n}: {answer:?}");
        refused += usize::from(answer.code != 0);
        place.ok(&["issues", "sync"]);
        assert_eq!(place.json(&["issues", "show", "T-2"])["title"], edit);
    }
    assert!(refused > 0, "no edit came in time");
}

#[test]
fn without_a_file_to_keep_no_node_starts() {
    let place = Place::new();
    let error = place.error(&["up", "--export"], 3);
    assert!(error["hint"].as_str().unwrap().contains("x0x init"), "{error}");
}
