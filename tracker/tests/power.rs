//! Power cuts: random operations on a disk that forgets what was not synced, cut at every sync, and
//! what survives is opened again. What was answered is there, whole, and agrees with itself.
//!
//! `X0X_POWER_OPERATIONS` says how many operations, `X0X_SEED` which.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod support;

use std::path::PathBuf;

use support::{FILE, List, record};
use tempfile::TempDir;
use x0x_tracker::interface::{Comment, Draft, ExportFrom, ImportOptions, Patch, Ruling};
use x0x_tracker::store::{Disk, Moment, Repair};
use x0x_tracker::testing::{self, StandInVerifier};
use x0x_tracker::{Host, LocalTracker, Tracker, TrackerError};

/// Operations of a run, unless the environment says another number.
const OPERATIONS: u64 = 45;

/// The seed of a run, unless the environment says another.
const SEED: u64 = 1;

/// One in so many survivors is cut again while it is repaired.
const CUT_AGAIN_EVERY: u64 = 9;

#[test]
fn nothing_answered_is_lost_wherever_the_power_is_cut() {
    let (operations, seed) =
        (setting("X0X_POWER_OPERATIONS", OPERATIONS), setting("X0X_SEED", SEED));
    eprintln!("X0X_POWER_OPERATIONS={operations} X0X_SEED={seed}");
    let mut run = Run::new(seed);
    for operation in 0..operations {
        run.step(operation);
    }
    eprintln!("{:?}", run.tally);
    let Tally { syncs, cuts, lost, kept, repairs, cut_again, .. } = run.tally;
    assert_eq!(syncs, run.disk.syncs() - run.syncs_before, "every sync was cut");
    assert!(syncs >= operations, "each operation is synced");
    assert!(cuts >= 4 * syncs && lost > 0 && kept > 0, "some cuts lose what was not answered");
    assert!(repairs > cuts / 2 && cut_again > 0);
}

#[test]
fn opening_syncs_once_closing_four_times_and_a_commit_twice_or_thrice() {
    let mut run = Run::new(SEED);
    let mut syncs = run.disk.syncs();
    let mut more = |run: &Run| {
        let before = std::mem::replace(&mut syncs, run.disk.syncs());
        syncs - before
    };
    for at in 0..12 {
        run.create(at);
        let commit = more(&run);
        assert!((2..=3).contains(&commit), "{commit}");
    }
    run.tracker = None;
    assert_eq!(more(&run), 4, "to close");
    let disk = run.disk.clone();
    run.tracker = Some(run.open(&disk).unwrap());
    assert_eq!(more(&run), 1, "to open");
}

/// Several writings that share a sync are there together, or none of them.
#[test]
fn nothing_answered_is_lost_where_writings_share_a_sync() {
    let mut run = Run::alone(SEED);
    for operation in 0..12 {
        run.step(operation);
    }
    let Tally { syncs, cuts, lost, kept, .. } = run.tally;
    eprintln!("{:?}", run.tally);
    assert!(
        (12..=24).contains(&syncs),
        "one or two syncs for each step of several writings: {syncs}"
    );
    assert!(cuts >= 4 * syncs && lost > 0 && kept > 0);
}

/// After a large import the file is made smaller by moving pages, in commits of their own.
#[test]
fn nothing_is_lost_where_the_power_is_cut_while_the_file_shrinks() {
    let mut run = Run::new(SEED);
    let lines: String = (0..1_100).map(|n| record(&format!("I-{n}"), &[])).collect();
    run.tracker().import(FILE, &mut lines.as_bytes(), &Default::default(), &mut |_| {}).unwrap();
    run.said = Said::by(run.tracker());
    let (before, bytes) = (run.said.clone(), run.disk.now().kind().len());
    run.disk.record();
    let again = lines.replace("\"title\":", "\"description\":\"long\",\"title\":");
    run.tracker().import(FILE, &mut again.as_bytes(), &Default::default(), &mut |_| {}).unwrap();
    let moments = run.disk.recorded();
    let after = Said::by(run.tracker());
    assert!(before != after && moments.len() > 6, "{} syncs of {bytes} bytes", moments.len());
    // A few moments, evenly: each is looked at four times, and at every issue.
    for moment in moments.iter().step_by(moments.len().div_ceil(5)) {
        run.cut(moment, &before, &after, 0);
    }
    let answered = run.disk.now();
    run.cut(&answered, &after, &after, 0);
    eprintln!("{} syncs, {:?}", moments.len(), run.tally);
    assert!(run.tally.lost > 0 && run.tally.kept > 0);
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// What a list says, and how far its journal and its file are.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    canonical: String,
    commits: u64,
    file: String,
    base: Option<[u8; 32]>,
}

impl Said {
    fn by(tracker: &LocalTracker) -> Self {
        let (mut canonical, mut file) = (Vec::new(), Vec::new());
        tracker.export(&ExportFrom::Canonical, &mut canonical).unwrap();
        let base = tracker.export(&ExportFrom::File(FILE.to_owned()), &mut file).unwrap().base;
        let commits = tracker.info().unwrap().commits;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { canonical: text(canonical), commits, file: text(file), base }
    }
}

#[derive(Debug, Default)]
struct Tally {
    syncs: u64,
    cuts: u64,
    /// Cuts after which the operation in flight had not happened, though it did later.
    lost: u64,
    /// Cuts before its answer after which it had happened all the same.
    kept: u64,
    repairs: u64,
    cut_again: u64,
    refused: u64,
    bytes: usize,
}

/// Randomness from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }
}

/// A list on a disk whose power is cut, and another whose commits it takes.
struct Run {
    dice: Dice,
    disk: Disk,
    _dir: TempDir,
    /// The file that the disk is taken for.
    path: PathBuf,
    /// `None` only while it is opened anew.
    tracker: Option<LocalTracker>,
    said: Said,
    other: List,
    hosts: u64,
    /// Whether the list is opened alone, and several operations share a sync.
    is_alone: bool,
    syncs_before: u64,
    tally: Tally,
}

impl Run {
    fn alone(seed: u64) -> Self {
        let mut run = Self { is_alone: true, ..Self::new(seed) };
        run.reopen();
        run
    }

    fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("place");
        std::fs::write(&path, "").unwrap();
        let disk = Disk::default();
        let tracker = testing::found_on(&disk, &path, 1).unwrap();
        let mut ours = List { dir, tracker, last: String::new() };
        let other = List::member_of(&mut ours, 2);
        let List { dir, tracker, .. } = ours;
        Self {
            dice: Dice(seed),
            said: Said::by(&tracker),
            syncs_before: disk.syncs(),
            disk,
            _dir: dir,
            path,
            tracker: Some(tracker),
            other,
            hosts: 10,
            is_alone: false,
            tally: Tally::default(),
        }
    }

    fn tracker(&mut self) -> &mut LocalTracker {
        self.tracker.as_mut().unwrap()
    }

    /// Does one operation, and cuts at each sync on its way and after its answer.
    fn step(&mut self, operation: u64) {
        self.disk.record();
        if self.is_alone {
            self.tracker().sync_later();
            for _ in 0..4 {
                self.create(operation);
                self.comment(operation);
                self.rule();
            }
            self.tracker().sync().unwrap();
        } else {
            self.act(operation);
        }
        let moments = self.disk.recorded();
        let after = Said::by(self.tracker());
        let before = std::mem::replace(&mut self.said, after.clone());
        self.tally.syncs += moments.len() as u64;
        for moment in &moments {
            self.cut(moment, &before, &after, operation);
        }
        let answered = self.disk.now();
        self.cut(&answered, &after, &after, operation);
        self.tally.bytes = self.tally.bytes.max(answered.kind().len());
    }

    /// Cuts at one moment, in every way.
    fn cut(&mut self, moment: &Moment, before: &Said, after: &Said, operation: u64) {
        let mut images = vec![moment.forgetful(), moment.kind()];
        for sector_bytes in [512, 4096] {
            let dice = &mut self.dice;
            images.push(moment.torn(sector_bytes, || dice.roll().is_multiple_of(2)));
        }
        for image in images {
            self.tally.cuts += 1;
            let place = format!("operation {operation}, cut {}", self.tally.cuts);
            let found = self.survivor(image, before, after, &place);
            self.tally.lost += u64::from(before != after && found == *before);
            self.tally.kept += u64::from(before != after && found == *after);
        }
    }

    /// Opens what a cut left and holds it against what may be there; returns what it says.
    fn survivor(&mut self, image: Vec<u8>, before: &Said, after: &Said, place: &str) -> Said {
        let disk = Disk::holding(image);
        disk.record();
        let tracker = self.open(&disk).expect(place);
        self.tally.repairs += u64::from(tracker.repair() == Some(Repair::OnDisk));
        let moments = disk.recorded();
        let found = Said::by(&tracker);
        assert!(found == *before || found == *after, "{place}: {found:#?}");
        assert_eq!(tracker.check(&StandInVerifier).unwrap(), [""; 0], "{place}");
        drop(tracker);
        if self.tally.cuts.is_multiple_of(CUT_AGAIN_EVERY) {
            for moment in moments {
                self.tally.cut_again += 1;
                let dice = &mut self.dice;
                let torn = moment.torn(512, || dice.roll().is_multiple_of(2));
                self.go_on(Disk::holding(torn), &found, place);
            }
            self.go_on(disk, &found, place);
        }
        found
    }

    /// Opens what a cut repair left: it says the same, and can be written.
    fn go_on(&mut self, disk: Disk, said: &Said, place: &str) {
        let mut tracker = self.open(&disk).expect(place);
        assert_eq!(Said::by(&tracker), *said, "{place}, cut again");
        let made = tracker.create(&Draft::titled("afterwards")).unwrap();
        drop(tracker);
        let tracker = self.open(&disk).expect(place);
        assert_eq!(tracker.repair(), None, "{place}: it was closed");
        assert_eq!(tracker.show(&made.row.id).unwrap().row, made.row, "{place}");
        assert_eq!(tracker.check(&StandInVerifier).unwrap(), [""; 0], "{place}, cut again");
    }

    /// Opens the list on a disk, in the name of its agent and with randomness that goes on.
    fn open(&mut self, disk: &Disk) -> Result<LocalTracker, TrackerError> {
        self.hosts += 1;
        let host = Host { entropy: testing::host(self.hosts).entropy, ..testing::host(1) };
        let open = if self.is_alone { testing::open_alone_on } else { testing::open_on };
        open(disk, &self.path, host)
    }

    fn act(&mut self, operation: u64) {
        let any = self.dice.below(16);
        match any {
            0..=3 => self.create(operation),
            4..=6 => self.edit(operation),
            7 | 8 => self.comment(operation),
            9 => self.rule(),
            10 | 11 => self.import(operation),
            12 => self.export(),
            13 => self.admit(operation),
            _ => self.reopen(),
        }
    }

    fn create(&mut self, operation: u64) {
        let mut draft = Draft::titled(&format!("issue {operation}"));
        if self.dice.below(4) == 0 {
            let text = "long ".repeat(self.dice.below(4_000) as usize);
            draft = draft.with("description", &format!("\"{text}\""));
        }
        self.tracker().create(&draft).unwrap();
    }

    fn edit(&mut self, operation: u64) {
        let Some(id) = self.some_issue() else { return self.create(operation) };
        let priority = (1 + self.dice.below(4)).to_string();
        let patch = Patch::default()
            .set("priority", &priority)
            .set("identifier", &format!("\"N-{operation}\""))
            .set("labels", &format!("[\"l{}\",\"x\"]", self.dice.below(3)));
        self.tracker().edit(&id, &patch, None).unwrap();
    }

    fn comment(&mut self, operation: u64) {
        let Some(id) = self.some_issue() else { return self.create(operation) };
        let comment = Comment { body: format!("at {operation}"), author: None, key: None };
        self.tracker().comment(&id, &comment).unwrap();
    }

    fn rule(&mut self) {
        let Some(id) = self.some_issue() else { return };
        let ruling = if self.dice.below(2) == 0 { Ruling::Done } else { Ruling::Reopened };
        let refused = self.tracker().rule(&id, &ruling, None).is_err();
        self.tally.refused += u64::from(refused);
    }

    /// Imports the file with a title changed, a line gone and a line added.
    fn import(&mut self, operation: u64) {
        let mut lines: Vec<String> =
            self.said.file.lines().map(|line| format!("{line}\n")).collect();
        if !lines.is_empty() {
            let at = self.dice.below(lines.len() as u64) as usize;
            lines[at] = lines[at].replacen("\"title\":\"", "\"title\":\"by hand ", 1);
            let gone = self.dice.below(lines.len() as u64) as usize;
            lines.remove(gone);
        }
        lines.push(record(&format!("I-{operation}"), &[("priority", "2")]));
        let options = ImportOptions { prune: self.dice.below(3) == 0, ..ImportOptions::default() };
        let text = lines.concat();
        self.tracker().import(FILE, &mut text.as_bytes(), &options, &mut |_| {}).unwrap();
    }

    fn export(&mut self) {
        let mut file = Vec::new();
        let tracker = self.tracker();
        let report = tracker.export(&ExportFrom::File(FILE.to_owned()), &mut file).unwrap();
        tracker.exported(FILE, &report).unwrap();
    }

    /// Takes what another agent wrote, who knew what is here or did not.
    fn admit(&mut self, operation: u64) {
        let tracker = self.tracker.as_mut().unwrap();
        let commits = |from: &LocalTracker, to: &LocalTracker| -> Vec<_> {
            let news = from.commits_after(&to.frontier().unwrap(), usize::MAX).unwrap();
            news.into_iter().map(|sealed| sealed.commit).collect()
        };
        if self.dice.below(2) == 0 {
            let ours = commits(tracker, &self.other.tracker);
            self.other.tracker.admit(&ours).unwrap();
        }
        let theirs = self.other.create(&format!("theirs {operation}"));
        self.other.set(&theirs.row.id, "priority", "3");
        let theirs = commits(&self.other.tracker, tracker);
        tracker.admit(&theirs).unwrap();
    }

    fn reopen(&mut self) {
        self.tracker = None;
        let disk = self.disk.clone();
        self.tracker = Some(self.open(&disk).unwrap());
        assert_eq!(self.tracker().repair(), None, "it was closed");
    }

    fn some_issue(&mut self) -> Option<String> {
        let canonical = &self.said.canonical;
        let count = canonical.lines().count() as u64;
        let at = self.dice.below(count.max(1)) as usize;
        let issue: serde_json::Value = serde_json::from_str(canonical.lines().nth(at)?).unwrap();
        Some(issue["id"].as_str().unwrap().to_owned())
    }
}
