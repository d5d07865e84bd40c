//! The proofs of one job: a directory with what the command read and wrote, and a manifest of it.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use x0x_tracker::timestamp::Timestamp;

use super::foreman::Outcome;
use super::haste::Haste;
use super::keeper::Ending;
use crate::files::Pending;

/// The file that says what the others are.
pub const MANIFEST: &str = "manifest.json";

/// The file in which a command may say what it did.
pub const HANDOFF: &str = "handoff.json";

/// What a manifest begins with, by which ours are known.
pub const FORMAT: &str = "x0x-run/1";

/// What is added to the name of a directory whose claim was lost.
pub const ABANDONED: &str = "-abandoned";

/// The most files of one job that are listed; the others stay unlisted.
const FILES_MAX: usize = 10_000;

/// The most directories of one issue that begin in one second.
const TWINS_MAX: u32 = 1_000;

/// So much of a file is hashed though the runner is to end.
const HURRIED_BYTES_MAX: u64 = 1 << 20;

/// The longest name of an issue that a directory is called by, in bytes; systems take 255.
const NAME_BYTES_MAX: usize = 200;

/// The longest manifest that is read.
const MANIFEST_BYTES_MAX: u64 = 16 << 20;

/// What is known of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always [`FORMAT`].
    pub format: String,
    /// The id of the issue.
    pub issue: String,
    /// What it was called.
    pub identifier: String,
    /// The token of the claim, as at the start.
    pub claim: String,
    /// Whose claim: the agent's id.
    pub agent: String,
    /// And which of its workers'.
    pub worker: String,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Whether the command runs, or is over.
    pub state: Stage,
    /// When it was started, by the wall clock.
    pub started_at: String,
    /// When it was over.
    pub ended_at: Option<String>,
    /// How long it ran.
    pub duration_ms: Option<u64>,
    /// How the job ended.
    pub outcome: Option<Outcome>,
    /// Why it ended so.
    pub reason: Option<String>,
    /// The command's exit code.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// How many of its processes did not end on SIGKILL.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub processes_left: usize,
    /// Everything that lies beside the manifest.
    pub files: Vec<Listed>,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Its command runs, or ran when its runner was last heard of.
    Running,
    /// It is over.
    Ended,
}

/// A file among the proofs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its path within the directory.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its BLAKE3-256 hash; `None` where nobody waited for it.
    pub blake3: Option<String>,
}

/// How a job ended, as its manifest has it.
#[derive(Clone, Debug, Default)]
pub struct Closing {
    /// How the command ended.
    pub ending: Ending,
    /// How long it ran.
    pub duration_ms: Option<u64>,
    /// What lies beside the manifest.
    pub files: Vec<Listed>,
}

/// The directory of one job.
#[derive(Clone, Debug)]
pub struct Proofs {
    /// Where it is.
    pub dir: PathBuf,
    manifest: Manifest,
}

impl Proofs {
    /// Makes the directory of a job that starts now, with the command's stdin in it.
    pub fn open(root: &Path, manifest: Manifest, now: Timestamp, stdin: &str) -> io::Result<Self> {
        let parent = root.join(safe(&manifest.identifier));
        let dir = match Self::make(&parent, now) {
            // Whoever removes old proofs takes a directory away that is empty.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::make(&parent, now)?,
            made => made?,
        };
        let proofs = Self { dir, manifest };
        let filled = fs::write(proofs.dir.join(super::keeper::STDIN_FILE), stdin);
        match filled.and_then(|()| proofs.write()) {
            Ok(()) => Ok(proofs),
            Err(error) => {
                // Without a manifest nobody would know whose it is.
                let _ = fs::remove_dir_all(&proofs.dir);
                Err(error)
            }
        }
    }

    fn make(parent: &Path, now: Timestamp) -> io::Result<PathBuf> {
        fs::DirBuilder::new().recursive(true).create(parent)?;
        let stamp = stamp_of(now);
        let mut twin = 1;
        loop {
            let name = if twin == 1 { stamp.clone() } else { format!("{stamp}-{twin}") };
            let dir = parent.join(name);
            // What a command says may hold secrets of its environment.
            match fs::DirBuilder::new().mode(0o700).create(&dir) {
                Ok(()) => return Ok(dir),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && twin < TWINS_MAX => {
                    twin += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads the manifest in a directory; `None` where there is none of ours.
    pub fn read(dir: &Path) -> Option<Self> {
        let file = dir.join(MANIFEST);
        let metadata = file.symlink_metadata().ok()?;
        let is_good = metadata.is_file() && metadata.len() <= MANIFEST_BYTES_MAX;
        let text = is_good.then(|| fs::read_to_string(&file).ok())??;
        let manifest: Manifest = serde_json::from_str(&text).ok()?;
        (manifest.format == FORMAT).then(|| Self { dir: dir.to_owned(), manifest })
    }

    /// Returns what the manifest says.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns the file in which the command may say what it did.
    pub fn handoff(&self) -> PathBuf {
        self.dir.join(HANDOFF)
    }

    /// Writes how the job ended; what was abandoned is kept under another name.
    pub fn close(
        &mut self,
        outcome: Outcome,
        reason: Option<&str>,
        closing: Closing,
        now: Option<Timestamp>,
    ) -> io::Result<()> {
        let Closing { ending, duration_ms, files } = closing;
        self.manifest = Manifest {
            state: Stage::Ended,
            ended_at: now.map(|now| now.to_string()),
            duration_ms,
            outcome: Some(outcome),
            reason: reason.map(str::to_owned),
            exit_code: ending.exit_code,
            signal: ending.signal,
            processes_left: ending.left,
            files,
            ..self.manifest.clone()
        };
        self.write()?;
        if outcome == Outcome::Abandoned {
            let mut name = self.dir.clone().into_os_string();
            name.push(ABANDONED);
            fs::rename(&self.dir, &name)?;
            self.dir = name.into();
        }
        Ok(())
    }

    fn write(&self) -> io::Result<()> {
        let mut text = serde_json::to_string_pretty(&self.manifest)?;
        text.push('\n');
        let mut pending = Pending::of(&self.dir.join(MANIFEST))?;
        pending.write_all(text.as_bytes())?;
        pending.replace()
    }
}

/// Returns every regular file in a directory and below, by name, without the manifest; links are not
/// followed. What goes away or cannot be read meanwhile is left out; once the runner is to end, large
/// files are listed without their hashes.
pub fn listed(dir: &Path, haste: &Haste) -> Vec<Listed> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(dir.join(&folder)) else { continue };
        for entry in entries.flatten() {
            let name = folder.join(entry.file_name());
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(name);
            } else if kind.is_file() && name != Path::new(MANIFEST) && found.len() < FILES_MAX {
                let Ok((bytes, blake3)) = content_of(&entry.path(), haste) else { continue };
                found.push(Listed { name: name.to_string_lossy().into_owned(), bytes, blake3 });
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// Returns how long a file is, and its hash where there was time for it.
fn content_of(path: &Path, haste: &Haste) -> io::Result<(u64, Option<String>)> {
    let mut file = fs::File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        if hasher.count() > HURRIED_BYTES_MAX && haste.is(Haste::ENDING) {
            return Ok((file.metadata()?.len(), None));
        }
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((hasher.count(), Some(hasher.finalize().to_hex().to_string())));
        }
        hasher.update(&buffer[..read]);
    }
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// Returns a name as it may stand in a path: other characters than `[A-Za-z0-9._-]` become `_`, and what
/// would then be the name of another issue ends with a part of its hash.
pub fn safe(name: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let is_short = name.len() <= NAME_BYTES_MAX;
    if x0x_tracker::name::is_identifier(name) && !name.starts_with('.') && is_short {
        return name.to_owned();
    }
    let hash = blake3::hash(name.as_bytes()).to_hex();
    let safe: String = name.chars().take(64).map(|c| if is_safe(c) { c } else { '_' }).collect();
    format!("_{safe}-{}", &hash[..8])
}

/// Returns a time as directories are called: `20260501T203500Z`.
pub fn stamp_of(time: Timestamp) -> String {
    let text = time.to_string();
    let seconds = text.split_once('.').map_or(text.as_str(), |(seconds, _)| seconds);
    format!("{}Z", seconds.replace(['-', ':'], ""))
}

/// Reads the time from the name of a directory, with whatever follows it.
pub fn time_of(name: &str) -> Option<Timestamp> {
    let digits = |from: usize, to: usize| {
        name.get(from..to).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let (day, time) = (digits(0, 8)?, digits(9, 15)?);
    let is_form = name.get(8..9)? == "T" && name.get(15..16)? == "Z";
    let rest = name.get(16..)?;
    let is_ours = rest.is_empty() || rest.starts_with('-');
    let (year, month, day) = (&day[..4], &day[4..6], &day[6..]);
    let (hour, minute, second) = (&time[..2], &time[2..4], &time[4..]);
    let spelled = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
    Timestamp::parse(&spelled).filter(|_| is_form && is_ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            format: FORMAT.to_owned(),
            issue: "t-1".to_owned(),
            identifier: "T-0001".to_owned(),
            claim: "ab".to_owned(),
            agent: "cd".to_owned(),
            worker: "run-1".to_owned(),
            command: vec!["make".to_owned()],
            state: Stage::Running,
            started_at: "2026-05-01T20:35:00.000Z".to_owned(),
            ended_at: None,
            duration_ms: None,
            outcome: None,
            reason: None,
            exit_code: None,
            signal: None,
            processes_left: 0,
            files: Vec::new(),
        }
    }

    const NOW: Timestamp = Timestamp(1_777_667_700_123);

    #[test]
    fn the_time_in_a_name_is_read_back() {
        let stamp = stamp_of(NOW);
        assert_eq!(stamp, "20260501T203500Z");
        let second = Timestamp(1_777_667_700_000);
        for name in [stamp.clone(), format!("{stamp}-2"), format!("{stamp}-abandoned")] {
            assert_eq!(time_of(&name), Some(second), "{name}");
        }
        for name in ["", "20260501", "20260501T203500Zx", "20261301T203500Z", "é0260501T203500Z"] {
            assert_eq!(time_of(name), None, "{name}");
        }
    }

    #[test]
    fn names_stay_one_part_of_a_path_and_apart_from_each_other() {
        assert_eq!(safe("X0X-0042"), "X0X-0042");
        for name in ["..", ".", "a/b", "../../etc", "", "a b", ".git", "é"] {
            let made = safe(name);
            assert!(made.starts_with('_') && !made.contains(['/', ' ']), "{name} -> {made}");
        }
        assert_ne!(safe("a/b"), safe("a b"));
        let long = |end: &str| safe(&format!("{}{end}", "x".repeat(NAME_BYTES_MAX)));
        assert!(long("1").len() < NAME_BYTES_MAX && long("1") != long("2"), "{}", long("1"));
    }

    #[test]
    fn jobs_that_begin_in_one_second_lie_apart() {
        let root = tempfile::tempdir().unwrap();
        let open = || Proofs::open(root.path(), manifest(), NOW, "{}\n").unwrap().dir;
        assert_eq!(open(), root.path().join("T-0001/20260501T203500Z"));
        assert_eq!(open(), root.path().join("T-0001/20260501T203500Z-2"));
    }

    #[test]
    fn a_manifest_lists_every_file_with_size_and_hash() {
        let root = tempfile::tempdir().unwrap();
        let mut proofs = Proofs::open(root.path(), manifest(), NOW, "{}\n").unwrap();
        assert_eq!(Proofs::read(&proofs.dir).unwrap().manifest().state, Stage::Running);
        fs::create_dir(proofs.dir.join("deep")).unwrap();
        fs::write(proofs.dir.join("deep/log"), "said").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", proofs.dir.join("link")).unwrap();
        let files = listed(&proofs.dir, &Haste::default());
        let closing = Closing { files, duration_ms: Some(7), ..Closing::default() };
        proofs.close(Outcome::Failed, Some("exit code 3"), closing, Some(NOW)).unwrap();
        let read = Proofs::read(&proofs.dir).unwrap();
        assert_eq!(read.manifest(), proofs.manifest());
        let names: Vec<_> =
            read.manifest().files.iter().map(|f| (f.name.as_str(), f.bytes)).collect();
        assert_eq!(names, [("deep/log", 4), ("issue.json", 3)]);
        assert_eq!(
            read.manifest().files[0].blake3.as_deref(),
            Some(blake3::hash(b"said").to_hex().as_str())
        );
    }

    #[test]
    fn large_files_are_not_hashed_once_the_runner_is_to_end() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("large"), vec![7; 3 << 20]).unwrap();
        fs::write(root.path().join("small"), "said").unwrap();
        let haste = Haste::default();
        haste.set(Haste::ENDING);
        let files = listed(root.path(), &haste);
        assert_eq!((files[0].bytes, &files[0].blake3), (3 << 20, &None));
        assert!(files[1].blake3.is_some());
    }

    #[test]
    fn abandoned_proofs_are_kept_under_another_name() {
        let root = tempfile::tempdir().unwrap();
        let mut proofs = Proofs::open(root.path(), manifest(), NOW, "{}\n").unwrap();
        let before = proofs.dir.clone();
        proofs.close(Outcome::Abandoned, None, Closing::default(), None).unwrap();
        assert!(!before.exists());
        assert!(proofs.dir.ends_with("T-0001/20260501T203500Z-abandoned"));
        assert!(Proofs::read(&proofs.dir).is_some());
    }

    #[test]
    fn a_manifest_of_others_is_none_of_ours() {
        let root = tempfile::tempdir().unwrap();
        assert!(Proofs::read(root.path()).is_none());
        for text in ["{}", "", "{\"format\":\"x0x-run/1\"}"] {
            fs::write(root.path().join(MANIFEST), text).unwrap();
            assert!(Proofs::read(root.path()).is_none(), "{text}");
        }
    }
}
