//! Steps from one format of the store to the next. Each works inside one writing, so that it happens
//! whole or not at all.

use std::ops::ControlFlow;

use super::pack::pack;
use super::tables::{Entry, Table, Tables, Writing};
use crate::interface::TrackerError;

/// A step from one format to the next.
pub(super) type Upgrade = fn(&Writing) -> Result<(), TrackerError>;

/// Upgrades by the format that they start from.
pub(super) const UPGRADES: &[(u32, Upgrade)] =
    &[(1, pack_values_and_index_commits), (2, widen_rows), (3, add_tables)];

/// About how many bytes of values are held in memory at once.
const BATCH_BYTES: usize = 4 << 20;

fn pack_values_and_index_commits(writing: &Writing) -> Result<(), TrackerError> {
    pack_values(writing)?;
    writing.index_commits()
}

/// What format 3 has at least at the end of a row that nobody claimed: no holder, no end, and five
/// counts of 0.
const UNCLAIMED: [u8; 7] = [0; 7];

/// Adds to each row what format 3 knows of claims; format 2 had none.
fn widen_rows(writing: &Writing) -> Result<(), TrackerError> {
    let mut start = Vec::new();
    loop {
        let batch = batch(writing, Table::Rows, &start)?;
        let Some((last, _)) = batch.last() else { break };
        start.clone_from(last);
        start.push(0);
        for (key, mut row) in batch {
            row.extend_from_slice(&UNCLAIMED);
            writing.put_stored(Table::Rows, &key, &row)?;
        }
    }
    Ok(())
}

/// Adds the tables of format 4, which start out empty; a program of format 3 would leave them behind.
fn add_tables(writing: &Writing) -> Result<(), TrackerError> {
    let tables = [Table::Rests, Table::Voids, Table::Tickets, Table::Lost, Table::Rivals];
    tables.into_iter().try_for_each(|table| writing.len(table).map(|_| ()))
}

/// Packs the values that format 1 held as they were.
fn pack_values(writing: &Writing) -> Result<(), TrackerError> {
    for table in Table::ALL.into_iter().filter(|table| table.is_packed()) {
        let mut start = Vec::new();
        loop {
            let batch = batch(writing, table, &start)?;
            let Some((last, _)) = batch.last() else { break };
            start.clone_from(last);
            // The key that comes next is the last one with a byte more.
            start.push(0);
            for (key, value) in batch {
                writing.put_stored(table, &key, &pack(&value))?;
            }
        }
    }
    Ok(())
}

fn batch(writing: &Writing, table: Table, start: &[u8]) -> Result<Vec<Entry>, TrackerError> {
    let (mut entries, mut bytes) = (Vec::new(), 0);
    writing.visit_stored(table, start, &mut |key, value| {
        bytes += value.len();
        entries.push((key.to_vec(), value.to_vec()));
        Ok(if bytes < BATCH_BYTES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ListId;
    use crate::store::{Founding, Store};

    #[test]
    fn a_row_of_format_2_is_a_row_that_nobody_claimed() {
        let row = crate::testing::row();
        let stored = crate::store::rows::encode(&row).unwrap();
        // Renewals are counted after that, and may be missing.
        let stored = &stored[..stored.len() - 1];
        assert!(stored.ends_with(&UNCLAIMED));
        let old = &stored[..stored.len() - UNCLAIMED.len()];
        assert!(crate::store::row_of(old).is_err());
        assert_eq!(crate::store::row_of(&[old, &UNCLAIMED].concat()).unwrap(), row);
    }

    #[test]
    fn values_of_format_1_are_packed_and_read_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list.redb");
        let (name, prefix) = ("test".to_owned(), "T".to_owned());
        let founding = Founding { list: ListId([7; 32]), name, prefix, statement: None };
        Store::create(&path, &founding).unwrap();
        let store = Store::open_to_write(&path).unwrap();
        let writing = store.write().unwrap();
        let value = |n: u32| format!("{n} ").repeat(BATCH_BYTES / 100).into_bytes();
        for n in 0..120_u32 {
            writing.put_stored(Table::Views, &n.to_be_bytes(), &value(n)).unwrap();
        }
        writing.put_stored(Table::Lines, b"short", b"text").unwrap();
        pack_values(&writing).unwrap();
        for n in 0..120_u32 {
            let read = writing.get(Table::Views, &n.to_be_bytes()).unwrap();
            assert!(read == Some(value(n)), "{n}");
        }
        assert_eq!(writing.get(Table::Lines, b"short").unwrap().unwrap(), b"text");
        let mut stored = 0;
        let count = |_: &[u8], value: &[u8]| {
            stored += value.len();
            Ok(ControlFlow::Continue(()))
        };
        writing.visit_stored(Table::Views, &[], &mut { count }).unwrap();
        assert!(stored < BATCH_BYTES);
    }
}
