//! Calls into the database behind a barrier: it trusts its file, and panics on bytes that it never
//! wrote. Here such a panic becomes the error of a damaged store.

use std::any::Any;
use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::interface::TrackerError;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Tells whether this thread is inside a call whose panic becomes an error, so that a panic hook
/// can keep silent.
pub fn catches_panics() -> bool {
    INSIDE.get()
}

/// Calls the database; its errors and its panics become the store's.
///
/// The call must hold nothing of ours that a panic could leave half changed.
pub(super) fn call<T, E: Into<redb::Error>>(
    path: &Path,
    call: impl FnOnce() -> Result<T, E>,
) -> Result<T, TrackerError> {
    match quietly(call) {
        Ok(result) => result.map_err(|source| told(path, source.into())),
        Err(panic) => Err(damaged(path, &format!("the database gave up: {}", text_of(&*panic)))),
    }
}

/// Drops what the database has to close; a panic on the way leaves the file to the next opening.
pub(super) fn close<T>(closed: T) {
    let _ = quietly(|| drop(closed));
}

/// Calls something of a database; a panic of it becomes the text that it panicked with.
pub fn unpanicked<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    quietly(call).map_err(|panic| text_of(&*panic).to_owned())
}

fn quietly<T>(call: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    let before = INSIDE.replace(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    INSIDE.set(before);
    result
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let literal = panic.downcast_ref::<&str>().copied();
    literal.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it panicked")
}

/// Returns what an error of the database means: a file that is not what was written, a disk that
/// refused, another process, or something that only the database knows.
fn told(path: &Path, source: redb::Error) -> TrackerError {
    use io::ErrorKind::{InvalidData, StorageFull, UnexpectedEof};
    match source {
        redb::Error::Corrupted(what) => damaged(path, &what),
        redb::Error::Io(source) => match source.kind() {
            InvalidData => damaged(path, &source.to_string()),
            UnexpectedEof => damaged(path, "its end is missing"),
            kind => {
                let what = if kind == StorageFull { "write" } else { "use" };
                TrackerError::Io { what: format!("cannot {what} {}", path.display()), source }
            }
        },
        redb::Error::DatabaseAlreadyOpen => {
            TrackerError::Busy { holder: "a process that does not take the lock".to_owned() }
        }
        // We wrote one type of table in one version of the file, and a poisoned lock or transaction
        // is what an earlier panic left.
        // Every table is made with the store.
        source @ (redb::Error::TableDoesNotExist(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TypeDefinitionChanged { .. }
        | redb::Error::TableIsMultimap(_)
        | redb::Error::TableIsNotMultimap(_)
        | redb::Error::UpgradeRequired(_)
        | redb::Error::LockPoisoned(_)
        | redb::Error::TransactionPoisoned) => damaged(path, &source.to_string()),
        source => {
            TrackerError::Store { path: path.display().to_string(), source: Box::new(source) }
        }
    }
}

pub(super) fn damaged(path: &Path, what: &str) -> TrackerError {
    TrackerError::Damaged { what: format!("{}: {what}", path.display()) }
}
