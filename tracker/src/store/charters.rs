//! The charter of a list, worked out once for all who ask while nobody states anything.

use std::sync::{Arc, Mutex, PoisonError};

use super::journal::Journal;
use super::tables::{Entry, Table, Tables};
use crate::interface::TrackerError;
use crate::journal::charter::Charter;

/// The charter that was worked out last; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Charters(Arc<Mutex<Option<Known>>>);

#[derive(Clone, Debug)]
struct Known {
    /// The newest of the statements. They are only ever added to, so it tells which they are.
    newest: Option<Entry>,
    charter: Arc<Charter>,
}

impl Charters {
    fn of(&self, newest: &Option<Entry>) -> Option<Arc<Charter>> {
        // Whoever panicked while holding it left it whole.
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|known| known.newest == *newest).map(|known| known.charter.clone())
    }

    fn keep(&self, known: Known) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
    }
}

/// Returns the charter as these tables have it.
pub(super) fn charter(tables: &(impl Tables + ?Sized)) -> Result<Arc<Charter>, TrackerError> {
    let all = || Ok::<_, TrackerError>(Arc::new(Charter::of_accepted(&tables.statements()?)?));
    // What is being stated may never be committed.
    let Some(charters) = tables.charters() else { return all() };
    let newest = tables.last(Table::Statements, &[])?;
    if let Some(charter) = charters.of(&newest) {
        return Ok(charter);
    }
    let charter = all()?;
    charters.keep(Known { newest, charter: charter.clone() });
    Ok(charter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ListId;
    use crate::journal::charter::{Signed, Statement};
    use crate::journal::signature::Signer;
    use crate::store::{Founding, Store};
    use crate::testing::{START, StandIn};

    #[test]
    fn what_was_stated_and_never_committed_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list.redb");
        let founder = StandIn::new(1);
        let key = founder.public_key().to_vec();
        let found =
            Statement::Found { name: "team".to_owned(), founder: key, nonce: [0; 16], at: START };
        let signed = Signed::new(&found, &founder).unwrap();
        let list = ListId::of(&signed.statement);
        let (name, prefix) = ("team".to_owned(), "T".to_owned());
        Store::create(&path, &Founding { list, name, prefix, statement: None }).unwrap();
        let store = Store::open_to_write(&path).unwrap();
        let beside = store.beside().unwrap();
        let writing = store.write().unwrap();
        assert!(writing.charter().unwrap().is_empty());
        writing.append_statement(&signed).unwrap();
        assert_eq!(writing.charter().unwrap().len(), 1);
        drop(writing);
        assert!(store.read().unwrap().charter().unwrap().is_empty());
        let before = beside.read().unwrap();
        let writing = store.write().unwrap();
        writing.append_statement(&signed).unwrap();
        writing.commit().unwrap();
        let known = beside.read().unwrap().charter().unwrap();
        assert_eq!(known.list(), Some(list));
        assert!(Arc::ptr_eq(&known, &store.read().unwrap().charter().unwrap()));
        assert!(before.charter().unwrap().is_empty(), "an older state has its own");
        assert_eq!(store.write().unwrap().charter().unwrap().len(), 1);
    }
}
