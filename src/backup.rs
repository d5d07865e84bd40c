//! Backing a task list up into one file, and putting such a file back. The agent's key is no part of
//! it, and no list is ever replaced without being kept.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use x0x_tracker::id::ListId;
use x0x_tracker::interface::{ListInfo, TrackerError};
use x0x_tracker::store::{Store, StoreLock};
use x0x_tracker::tasklist::LocalTracker;
use x0x_tracker::timestamp::Timestamp;

use crate::home::{Home, HomeError, holder_of, io_error, patiently};
use crate::identity::MlDsa;
use crate::time;

/// A list that was put back.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The list, as it is now.
    pub info: ListInfo,
    /// Where the list lies that was here before.
    pub kept_as: Option<PathBuf>,
}

/// What was found in a list, and what became of it.
#[derive(Clone, Debug)]
pub struct Repaired {
    /// What is damaged; empty where nothing is.
    pub faults: Vec<String>,
    /// The name under which the damaged list is kept.
    pub kept_as: Option<PathBuf>,
}

impl Home {
    /// Copies a list as it stands into a file that must not exist; waits for nobody. A node that has the
    /// list copies it.
    ///
    /// `progress` is told how many bytes were copied.
    pub fn back_up(
        &self,
        list: ListId,
        file: &Path,
        progress: &mut dyn FnMut(u64),
    ) -> Result<ListInfo, HomeError> {
        if fs::symlink_metadata(file).is_ok() {
            return Err(HomeError::FileIsThere { file: file.to_owned() });
        }
        let dir = file.parent().filter(|dir| *dir != Path::new("")).unwrap_or(Path::new("."));
        File::open(dir).map_err(|source| io_error("open", dir, source))?;
        let path = self.known_path(list)?;
        match self.of_node(list)? {
            Some(node) => node.back_up(file, progress)?,
            None => Store::open_to_copy(&path)?.copy_to(file, progress)?,
        }
        Ok(LocalTracker::info_of_any_format(file)?)
    }

    /// Puts a list from a backup into this data directory.
    ///
    /// A list that is here already is replaced only with `replace`, and kept beside it under another
    /// name. The restored file is another file than the one whose log it holds, so its first edit
    /// opens a new log.
    pub fn restore(
        &self,
        file: &Path,
        replace: bool,
        wait: Duration,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Restored, HomeError> {
        File::open(file).map_err(|source| io_error("read", file, source))?;
        let opened = Store::open_to_copy(file)
            .and_then(|backup| Ok((backup, LocalTracker::info_of_any_format(file)?)));
        let (backup, found) = opened.map_err(|source| match source {
            TrackerError::Format { .. } => HomeError::from(source),
            source => HomeError::NotABackup { file: file.to_owned(), source: Box::new(source) },
        })?;
        self.make_lists_dir()?;
        let _lock = self.lock(wait)?;
        let path = self.path_of(found.list);
        if !path.exists() {
            backup.copy_to(&path, progress)?;
            return Ok(Restored { info: found, kept_as: None });
        }
        if !replace {
            let here = LocalTracker::info_of_any_format(&path).ok();
            let commits_here = here.map(|info| info.commits);
            return Err(HomeError::ListIsHere { found: Box::new(found), commits_here });
        }
        let kept = kept_name(&path, "replaced");
        let restored = path.with_extension("restored");
        remove_leftover(&restored)?;
        backup.copy_to(&restored, progress)?;
        // The list that is here has a second name before it loses its first.
        fs::hard_link(&path, &kept).map_err(|source| io_error("create", &kept, source))?;
        fs::rename(&restored, &path).map_err(|source| io_error("replace", &path, source))?;
        sync_folder(&path)?;
        Ok(Restored { info: found, kept_as: Some(kept) })
    }

    /// Verifies a list of which nobody else writes meanwhile, and keeps it under another name where it is
    /// damaged, so that it can be fetched or restored anew. Nothing is removed.
    ///
    /// # Errors
    /// [`HomeError::UnknownList`] where there is none; where the lock is not free within `wait`; where the list
    /// cannot be verified for another reason than damage. Nothing was renamed then.
    pub fn repair(&self, list: ListId, wait: Duration) -> Result<Repaired, HomeError> {
        let path = self.known_path(list)?;
        // What is sound needs no lock.
        if faults_of(&path)?.is_empty() {
            return Ok(Repaired { faults: Vec::new(), kept_as: None });
        }
        let own = holder_of("repair", None);
        let _lock = patiently(wait, || Ok(StoreLock::try_acquire(self.dir(), &own)?))?;
        let faults = faults_of(&path)?;
        if faults.is_empty() {
            return Ok(Repaired { faults, kept_as: None });
        }
        let kept = kept_name(&path, "damaged");
        fs::rename(&path, &kept).map_err(|source| io_error("rename", &path, source))?;
        sync_folder(&path)?;
        Ok(Repaired { faults, kept_as: Some(kept) })
    }
}

/// Returns what is damaged in the file of a list.
fn faults_of(path: &Path) -> Result<Vec<String>, TrackerError> {
    match LocalTracker::open_to_check(path).and_then(|list| list.check(&MlDsa)) {
        Err(error) if error.is_damage() => Ok(vec![error.to_string()]),
        checked => checked,
    }
}

/// Makes durable what names the folder of a file has.
fn sync_folder(file: &Path) -> Result<(), HomeError> {
    let Some(dir) = file.parent() else { return Ok(()) };
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|source| io_error("write", dir, source))
}

/// Returns the name under which a list that gives way is kept: one that nothing has.
fn kept_name(path: &Path, why: &str) -> PathBuf {
    let now = Timestamp(time::now_ms()).to_string().replace([':', '-'], "");
    let named = |text: String| {
        let mut name = path.as_os_str().to_owned();
        name.push(text);
        PathBuf::from(name)
    };
    let first = named(format!(".{why}-{now}"));
    let others = (2..).map(|n| named(format!(".{why}-{now}-{n}")));
    std::iter::once(first).chain(others).find(|name| !name.exists()).unwrap_or_default()
}

fn remove_leftover(path: &Path) -> Result<(), HomeError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(io_error("remove", path, source))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use x0x_tracker::interface::{Draft, ExportFrom, Patch, Tracker};

    use super::*;

    const WAIT: Duration = Duration::ZERO;

    fn home_with_list(dir: &Path) -> (Home, ListId) {
        let home = Home::at(dir.to_owned());
        let list = home.found("test", "T", WAIT).unwrap();
        home.write(list, WAIT).unwrap().create(&Draft::titled("first")).unwrap();
        (home, list)
    }

    fn export(home: &Home, list: ListId) -> Vec<u8> {
        let mut text = Vec::new();
        home.read(list).unwrap().export(&ExportFrom::Canonical, &mut text).unwrap();
        text
    }

    #[test]
    fn a_list_comes_back_and_its_next_edit_opens_a_new_log() {
        let dir = tempfile::tempdir().unwrap();
        let (home, list) = home_with_list(&dir.path().join("one"));
        let file = dir.path().join("backup");
        let info = home.back_up(list, &file, &mut |_| {}).unwrap();
        assert_eq!((info.list, info.issues), (list, 1));
        let before = export(&home, list);
        let other = Home::at(dir.path().join("two"));
        fs::create_dir(other.dir()).unwrap();
        fs::copy(home.dir().join("agent.key"), other.dir().join("agent.key")).unwrap();
        assert_eq!(other.restore(&file, false, WAIT, &mut |_| {}).unwrap().kept_as, None);
        assert_eq!(export(&other, list), before);
        let logs = |home: &Home| home.read(list).unwrap().frontier().unwrap().0.len();
        assert_eq!(logs(&other), 1);
        let patch = Patch::default().set_text("title", "second");
        other.write(list, WAIT).unwrap().edit("T-0001", &patch, None).unwrap();
        assert_eq!(logs(&other), 2, "the log of the backup goes on elsewhere");
        assert_eq!(logs(&home), 1);
    }

    #[test]
    fn nothing_that_is_there_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let (home, list) = home_with_list(&dir.path().join("one"));
        let file = dir.path().join("backup");
        home.back_up(list, &file, &mut |_| {}).unwrap();
        let again = home.back_up(list, &file, &mut |_| {});
        assert!(matches!(again, Err(HomeError::FileIsThere { .. })));
        let nowhere = home.back_up(list, &dir.path().join("none/backup"), &mut |_| {});
        assert!(matches!(nowhere, Err(HomeError::Io { .. })), "the list is not what is wrong");
        home.write(list, WAIT).unwrap().create(&Draft::titled("since")).unwrap();
        let now = export(&home, list);
        let refused = home.restore(&file, false, WAIT, &mut |_| {});
        assert!(matches!(refused, Err(HomeError::ListIsHere { commits_here: Some(2), .. })));
        assert_eq!(export(&home, list), now);
        let kept = home.restore(&file, true, WAIT, &mut |_| {}).unwrap().kept_as.unwrap();
        assert_ne!(export(&home, list), now);
        assert_eq!(home.list_ids().unwrap().len(), 1, "what is kept is no list of its own");
        let kept = LocalTracker::open_to_read(&kept).unwrap();
        let mut text = Vec::new();
        kept.export(&ExportFrom::Canonical, &mut text).unwrap();
        assert_eq!(text, now);
    }

    #[test]
    fn a_list_of_an_older_format_is_named_and_backed_up_like_any() {
        use x0x_tracker::store::Table;
        let dir = tempfile::tempdir().unwrap();
        let (home, list) = home_with_list(&dir.path().join("one"));
        let store = Store::open_to_write(&home.path_of(list)).unwrap();
        let writing = store.write().unwrap();
        writing.put(Table::Meta, b"format", &1_u32.to_be_bytes()).unwrap();
        writing.commit().unwrap();
        drop(store);
        assert_eq!(home.list_named(None, WAIT).unwrap(), list);
        assert_eq!(home.list_named(Some("test"), WAIT).unwrap(), list);
        let file = dir.path().join("backup");
        assert_eq!(home.back_up(list, &file, &mut |_| {}).unwrap().list, list);
        let refused = home.restore(&file, false, WAIT, &mut |_| {});
        assert!(matches!(refused, Err(HomeError::ListIsHere { commits_here: Some(1), .. })));
    }

    #[test]
    fn what_is_no_backup_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (home, list) = home_with_list(&dir.path().join("one"));
        let before = export(&home, list);
        let file = dir.path().join("notes.txt");
        for text in ["", "no backup", &"x".repeat(10_000)] {
            fs::write(&file, text).unwrap();
            assert!(home.restore(&file, true, WAIT, &mut |_| {}).is_err());
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
        }
        assert!(home.restore(&dir.path().join("none"), true, WAIT, &mut |_| {}).is_err());
        assert_eq!(export(&home, list), before);
    }
}
