//! Copying a store into a new file: every value as it is stored, from one committed state. The copy
//! has no free space, and is whole or not there.

use std::ops::ControlFlow;
use std::path::Path;

use super::tables::{Reading, Table, Tables};
use super::{Store, barrier, open};
use crate::interface::TrackerError;

impl Store {
    /// Copies this store, as it stands, to a file that must not exist ([`Reading::copy_to`]).
    ///
    /// # Errors
    /// [`TrackerError::Io`] where the file exists or cannot be written; then nothing is left of it.
    pub fn copy_to(&self, path: &Path, progress: &mut dyn FnMut(u64)) -> Result<(), TrackerError> {
        self.read()?.copy_to(path, progress)
    }
}

impl Reading {
    /// Copies this state of a store to a file that must not exist; others may write to the store
    /// meanwhile.
    ///
    /// `progress` is told the bytes that were copied so far.
    ///
    /// # Errors
    /// [`TrackerError::Io`] where the file exists or cannot be written; then nothing is left of it.
    pub fn copy_to(&self, path: &Path, progress: &mut dyn FnMut(u64)) -> Result<(), TrackerError> {
        open::make_whole(path, |temporary| self.copy_into(temporary, progress))
    }

    fn copy_into(&self, path: &Path, progress: &mut dyn FnMut(u64)) -> Result<(), TrackerError> {
        let database = barrier::call(path, || open::builder().create(path))?;
        let copy = Store::writer(path, database, None);
        let writing = copy.write()?;
        let mut bytes = 0;
        for table in Table::ALL {
            // An empty table is made too, so that readers find it.
            writing.len(table)?;
            self.visit_stored(table, &mut |key, stored| {
                writing.put_stored(table, key, stored)?;
                bytes += (key.len() + stored.len()) as u64;
                progress(bytes);
                Ok(ControlFlow::Continue(()))
            })?;
        }
        writing.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ListId;
    use crate::store::{Founding, Meta};

    #[test]
    fn a_copy_holds_what_was_committed_and_replaces_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (path, copy) = (dir.path().join("list.redb"), dir.path().join("copy"));
        let (name, prefix) = ("test".to_owned(), "T".to_owned());
        let founding = Founding { list: ListId([7; 32]), name, prefix, statement: None };
        Store::create(&path, &founding).unwrap();
        let store = Store::open_to_write(&path).unwrap();
        let writing = store.write().unwrap();
        let text = "some text ".repeat(100);
        writing.put(Table::Views, b"key", text.as_bytes()).unwrap();
        writing.commit().unwrap();
        let unfinished = store.write().unwrap();
        unfinished.put(Table::Views, b"late", b"not committed").unwrap();
        Store::open_to_read(&path).unwrap().copy_to(&copy, &mut |_| {}).unwrap();
        let reading = Store::open_to_read(&copy).unwrap().read().unwrap();
        assert_eq!(reading.list_id().unwrap(), ListId([7; 32]));
        assert_eq!(reading.get(Table::Views, b"key").unwrap().unwrap(), text.as_bytes());
        assert_eq!(reading.get(Table::Views, b"late").unwrap(), None);
        let before = std::fs::read(&copy).unwrap();
        assert!(store.copy_to(&copy, &mut |_| {}).is_err());
        assert!(std::fs::read(&copy).unwrap() == before);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
