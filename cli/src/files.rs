//! Files that are replaced whole or not at all, and the hash of one. Not what stands in them.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use tempfile::NamedTempFile;

/// The mode of a new file, before the umask takes away what others may not.
const NEW_FILE_MODE: u32 = 0o666;

/// How the name of a file begins that is not finished.
const TEMPORARY_PREFIX: &str = ".x0x-";

/// How it ends.
const TEMPORARY_SUFFIX: &str = ".tmp";

/// After this long an unfinished file was left behind by a process that was killed.
const ABANDONED_AFTER: Duration = Duration::from_secs(600);

/// What will be a file's content; dropped before it takes the file's place, it leaves nothing.
pub struct Pending {
    temporary: NamedTempFile,
    target: PathBuf,
}

impl Pending {
    /// Starts the content of `target`, beside it; missing directories are made.
    pub fn of(target: &Path) -> io::Result<Self> {
        if fs::metadata(target).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        let dir = directory_of(target);
        fs::create_dir_all(dir)?;
        let temporary = tempfile::Builder::new()
            .prefix(TEMPORARY_PREFIX)
            .suffix(TEMPORARY_SUFFIX)
            .permissions(Permissions::from_mode(NEW_FILE_MODE))
            .tempfile_in(dir)?;
        sweep(dir, temporary.as_file().metadata()?.modified()?)?;
        Ok(Self { temporary, target: target.to_owned() })
    }

    /// Takes the target's place and keeps its mode; on disk when this returns.
    pub fn replace(self) -> io::Result<()> {
        self.prepare()?;
        self.temporary.persist(&self.target).map_err(|error| error.error)?;
        sync_directory(&self.target)
    }

    /// Does the same if `may`, which is asked when nothing is left to do but that, and if the target is what
    /// it was: whatever comes in its place meanwhile stays.
    ///
    /// Returns whether it was done.
    pub fn replace_if(self, was: Option<Stamp>, may: impl FnOnce() -> bool) -> io::Result<bool> {
        self.prepare()?;
        if !may() {
            return Ok(false);
        }
        match was {
            None => match self.temporary.persist_noclobber(&self.target) {
                Ok(_file) => {}
                Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                    return Ok(false);
                }
                Err(error) => return Err(error.error),
            },
            Some(was) => {
                if !exchange(&self.temporary, &self.target, was, || {})? {
                    return Ok(false);
                }
            }
        }
        sync_directory(&self.target)?;
        Ok(true)
    }

    fn prepare(&self) -> io::Result<()> {
        match fs::metadata(&self.target) {
            Ok(old) => self.temporary.as_file().set_permissions(old.permissions())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.temporary.as_file().sync_all()
    }

    /// Sets who may read and write it; said last, for a new file that is not as open as others.
    pub fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        self.temporary.as_file().set_permissions(permissions)
    }

    /// Becomes the target, which must not be there yet; on disk when this returns.
    pub fn create(self) -> io::Result<()> {
        self.temporary.as_file().sync_all()?;
        self.temporary.persist_noclobber(&self.target).map_err(|error| error.error)?;
        sync_directory(&self.target)
    }
}

impl Write for Pending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.temporary.as_file_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temporary.as_file_mut().flush()
    }
}

/// What makes a file another than before, as far as it shows without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    modified: (i64, i64),
    bytes: u64,
    inode: u64,
}

impl Stamp {
    /// Returns that of the file at a path; `None` where there is none.
    pub fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Some(Self { modified, bytes: metadata.len(), inode: metadata.ino() })
    }
}

/// What is known of a file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// Its BLAKE3-256 hash.
    pub hash: [u8; 32],
    /// How many bytes it has.
    pub bytes: u64,
}

/// Returns what a file holds now; `None` where there is none.
pub fn content_of(path: &Path) -> io::Result<Option<Content>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            let (hash, bytes) = (*hasher.finalize().as_bytes(), hasher.count());
            return Ok(Some(Content { hash, bytes }));
        }
        hasher.update(&buffer[..read]);
    }
}

/// Returns the absolute path without links; of a file that is not there, its directory's.
pub fn canonical(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let name = path.file_name().ok_or(error)?;
            Ok(canonical(directory_of(path))?.join(name))
        }
        result => result,
    }
}

/// Returns the directory that a path's last name stands in.
fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if dir != Path::new("") => dir,
        _ => Path::new("."),
    }
}

/// Removes unfinished files that were left behind long before `now`, the time of one made just now.
fn sweep(dir: &Path, now: SystemTime) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_ours = name.to_str().is_some_and(|name| {
            name.starts_with(TEMPORARY_PREFIX) && name.ends_with(TEMPORARY_SUFFIX)
        });
        if !is_ours {
            continue;
        }
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified.ok().and_then(|modified| now.duration_since(modified).ok());
        if age.is_some_and(|age| age > ABANDONED_AFTER) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Puts what was written in a target's place and takes that in its own, in one step, if the target is what it
/// was; returns whether it is. What came out is looked at afterwards, so that nothing can come in between.
/// `meanwhile` stands for what others may do before theirs goes back.
fn exchange(
    written: &NamedTempFile,
    target: &Path,
    was: Stamp,
    meanwhile: impl FnOnce(),
) -> io::Result<bool> {
    let swap = || renameat_with(CWD, written.path(), CWD, target, RenameFlags::EXCHANGE);
    let own = Stamp::of(written.path());
    match swap() {
        Ok(()) => {}
        Err(Errno::NOENT) => return Ok(false),
        // A file system that cannot do so.
        Err(Errno::INVAL | Errno::NOSYS) => {
            if Stamp::of(target) != Some(was) {
                return Ok(false);
            }
            fs::rename(written.path(), target)?;
            return Ok(true);
        }
        Err(error) => return Err(error.into()),
    }
    if Stamp::of(written.path()) == Some(was) {
        return Ok(true);
    }
    // Others wrote it: theirs goes back.
    meanwhile();
    match swap() {
        Ok(()) if Stamp::of(written.path()) == own => Ok(false),
        // And they did so again in these moments: what they wrote last stays, and what came before it is kept.
        Ok(()) => {
            // Whichever of the two has no name after that is kept.
            let _refused = swap();
            Err(kept(written, target))
        }
        Err(Errno::NOENT) => {
            fs::rename(written.path(), target)?;
            Ok(false)
        }
        Err(_refused) => Err(kept(written, target)),
    }
}

/// Keeps what somebody else wrote, and that has no name of its own any more, beside the file; returns the error
/// that says so.
fn kept(theirs: &NamedTempFile, target: &Path) -> io::Error {
    let named = |number: u32| {
        let mut name = target.as_os_str().to_owned();
        name.push(format!(".kept-{number}"));
        PathBuf::from(name)
    };
    let name = (1..).map(named).find(|name| !name.exists()).unwrap_or_default();
    match fs::rename(theirs.path(), &name) {
        Ok(()) => io::Error::other(format!(
            "others wrote it at the same time; what has no other name is kept as {}",
            name.display()
        )),
        Err(error) => error,
    }
}

fn sync_directory(target: &Path) -> io::Result<()> {
    File::open(directory_of(target))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("deep/file");
        let write = |text: &str| {
            let mut pending = Pending::of(&file).unwrap();
            pending.write_all(text.as_bytes()).unwrap();
            pending.replace().unwrap();
        };
        write("one");
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        write("two");
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_process_left_long_ago_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let leave = |name: &str, age: Duration| {
            let file = File::create(dir.path().join(name)).unwrap();
            let now = file.metadata().unwrap().modified().unwrap();
            file.set_modified(now - age).unwrap();
        };
        let old = ABANDONED_AFTER * 2;
        leave(".x0x-left.tmp", old);
        leave(".x0x-at-work.tmp", Duration::from_secs(1));
        leave("issues.tmp", old);
        drop(Pending::of(&dir.path().join("file")).unwrap());
        let mut names: Vec<String> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, [".x0x-at-work.tmp", "issues.tmp"]);
    }

    #[test]
    fn what_changes_in_the_last_moment_is_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "read").unwrap();
        let before = Stamp::of(&file);
        let write = |edit: &dyn Fn()| {
            let mut pending = Pending::of(&file).unwrap();
            pending.write_all(b"ours").unwrap();
            let may = || {
                edit();
                true
            };
            pending.replace_if(before, may).unwrap()
        };
        // The last thing before the replacement; as long as what was there.
        let beside = dir.path().join("beside");
        fs::write(&beside, "edit").unwrap();
        assert!(!write(&|| fs::rename(&beside, &file).unwrap()));
        assert_eq!(fs::read(&file).unwrap(), b"edit");
        assert!(!write(&|| fs::remove_file(&file).unwrap()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let new = |before| {
            let mut pending = Pending::of(&file).unwrap();
            pending.write_all(b"new").unwrap();
            pending.replace_if(before, || true).unwrap()
        };
        assert!(new(None) && !new(None) && new(Stamp::of(&file)));
        assert!(!Pending::of(&file).unwrap().replace_if(Stamp::of(&file), || false).unwrap());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_others_write_while_theirs_goes_back_stays_and_theirs_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (file, beside) = (dir.path().join("file"), dir.path().join("beside"));
        let write = |text: &str| {
            fs::write(&beside, text).unwrap();
            fs::rename(&beside, &file).unwrap();
        };
        write("read");
        let was = Stamp::of(&file).unwrap();
        write("their first");
        let mut pending = Pending::of(&file).unwrap();
        pending.write_all(b"ours").unwrap();
        let error = exchange(&pending.temporary, &file, was, || write("their second"));
        assert!(error.unwrap_err().to_string().contains("kept as"));
        drop(pending);
        assert_eq!(fs::read(&file).unwrap(), b"their second");
        assert_eq!(fs::read(dir.path().join("file.kept-1")).unwrap(), b"their first");
        let mut pending = Pending::of(&file).unwrap();
        pending.write_all(b"ours").unwrap();
        let gone = || fs::remove_file(&file).unwrap();
        assert!(!exchange(&pending.temporary, &file, was, gone).unwrap());
        assert_eq!(fs::read(&file).unwrap(), b"their second", "it is put back");
    }

    #[test]
    fn a_new_file_never_takes_the_place_of_another() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "theirs").unwrap();
        let mut pending = Pending::of(&file).unwrap();
        pending.write_all(b"ours").unwrap();
        assert_eq!(pending.create().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&file).unwrap(), b"theirs");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_abandoned_content_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        drop(Pending::of(&dir.path().join("file")).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
