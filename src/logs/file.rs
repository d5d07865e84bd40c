//! The log of a program that runs behind, in a file that never outgrows its room by much: a full one is put
//! aside, in place of the one before.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::time;

/// Beyond that many bytes a file is put aside, and a new one begun.
pub const LOG_BYTES_MAX: u64 = 10 << 20;

/// How often it is looked how long it is.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Opens the file to append; one that has outgrown its room is put aside.
///
/// # Errors
/// Where it cannot be renamed or opened.
pub fn open(path: &Path) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
        let beside = |end: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        };
        // Nothing is put aside before there is another to write to.
        let new = beside(".new");
        append(&new)?;
        fs::rename(path, beside(".1"))?;
        fs::rename(new, path)?;
    }
    append(path)
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Has the file to which this program's output goes put aside whenever it has outgrown its room, for as long
/// as the program runs.
///
/// # Errors
/// Where no thread can be started.
pub fn bound(path: PathBuf) -> io::Result<()> {
    let look = move || {
        loop {
            time::pause(LOOK_EVERY);
            if is_as_it_should_be(&path) {
                continue;
            }
            // Where that fails it is written on, and tried again.
            if let Err(error) = open(&path).and_then(|log| redirect(&log)) {
                tracing::warn!(%error, "the log is longer than it should be");
            }
        }
    };
    thread::Builder::new().name("log".to_owned()).spawn(look).map(|_goes_on| ())
}

fn redirect(log: &File) -> io::Result<()> {
    rustix::stdio::dup2_stdout(log)?;
    Ok(rustix::stdio::dup2_stderr(log)?)
}

/// Tells whether what is written goes to the file of that name, which has room. Another program may have put
/// it aside, or an operator moved it.
fn is_as_it_should_be(path: &Path) -> bool {
    let Ok(log) = rustix::fs::fstat(rustix::stdio::stdout()) else { return true };
    let is_named = |named: fs::Metadata| (named.dev(), named.ino()) == (log.st_dev, log.st_ino);
    let has_room = u64::try_from(log.st_size).is_ok_and(|bytes| bytes <= LOG_BYTES_MAX);
    has_room && fs::metadata(path).is_ok_and(is_named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_has_outgrown_its_room_is_put_aside_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        open(&path).unwrap().set_len(LOG_BYTES_MAX).unwrap();
        assert_eq!(open(&path).unwrap().metadata().unwrap().len(), LOG_BYTES_MAX);
        open(&path).unwrap().set_len(LOG_BYTES_MAX + 1).unwrap();
        assert_eq!(open(&path).unwrap().metadata().unwrap().len(), 0);
        assert_eq!(fs::metadata(dir.path().join("log.1")).unwrap().len(), LOG_BYTES_MAX + 1);
    }
}
