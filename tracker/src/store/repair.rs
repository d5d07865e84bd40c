//! Reading a file that a killed writer left in need of repair, without changing a byte of it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use redb::StorageBackend;

/// Bytes of a block that the repair wrote.
const BLOCK_BYTES: u64 = 4096;

/// The file as it lies, with what the repair writes kept in memory.
///
/// Where somebody may write the file meanwhile, what was read is kept too: a block is read from the file
/// once, so that what was checked is what is served.
#[derive(Debug)]
pub(super) struct Overlay {
    file: File,
    keeps_read: bool,
    changed: Mutex<Changed>,
}

#[derive(Debug)]
struct Changed {
    bytes: u64,
    /// Block number -> its content, as far as it is kept.
    blocks: BTreeMap<u64, Vec<u8>>,
}

impl Overlay {
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        let changed = Mutex::new(Changed { bytes, blocks: BTreeMap::new() });
        Ok(Self { file, keeps_read: true, changed })
    }

    /// The same for a caller that holds the lock under which alone the file is written.
    pub(super) fn of_locked(path: &Path) -> io::Result<Self> {
        Ok(Self { keeps_read: false, ..Self::new(path)? })
    }

    fn changed(&self) -> std::sync::MutexGuard<'_, Changed> {
        // A panic while holding it leaves whole blocks behind, which are safe to read.
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn block<'a>(&self, changed: &'a mut Changed, number: u64) -> io::Result<&'a mut Vec<u8>> {
        match changed.blocks.entry(number) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(free) => Ok(free.insert(self.block_of_file(number)?)),
        }
    }

    fn block_of_file(&self, number: u64) -> io::Result<Vec<u8>> {
        let mut block = vec![0; BLOCK_BYTES as usize];
        let mut filled = 0;
        while filled < block.len() {
            let at = number * BLOCK_BYTES + filled as u64;
            match self.file.read_at(&mut block[filled..], at)? {
                0 => break,
                read => filled += read,
            }
        }
        Ok(block)
    }
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.changed().bytes)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut changed = self.changed();
        if offset.saturating_add(out.len() as u64) > changed.bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut done = 0;
        while done < out.len() {
            let at = offset + done as u64;
            let number = at / BLOCK_BYTES;
            let from = (at % BLOCK_BYTES) as usize;
            let take = (BLOCK_BYTES as usize - from).min(out.len() - done);
            let part = &mut out[done..done + take];
            if self.keeps_read || changed.blocks.contains_key(&number) {
                let block = self.block(&mut changed, number)?;
                part.copy_from_slice(&block[from..from + take]);
            } else {
                part.copy_from_slice(&self.block_of_file(number)?[from..from + take]);
            }
            done += take;
        }
        Ok(())
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let mut changed = self.changed();
        if bytes < changed.bytes {
            let first_gone = bytes.div_ceil(BLOCK_BYTES);
            let last = changed.bytes / BLOCK_BYTES;
            for number in first_gone..=last {
                changed.blocks.insert(number, vec![0; BLOCK_BYTES as usize]);
            }
        }
        changed.bytes = bytes;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut changed = self.changed();
        let mut done = 0;
        while done < data.len() {
            let at = offset + done as u64;
            let number = at / BLOCK_BYTES;
            let block = self.block(&mut changed, number)?;
            let from = (at % BLOCK_BYTES) as usize;
            let take = (block.len() - from).min(data.len() - done);
            block[from..from + take].copy_from_slice(&data[done..done + take]);
            done += take;
        }
        changed.bytes = changed.bytes.max(offset + data.len() as u64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_locked_file_only_what_was_written_is_kept() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [1; 3 * BLOCK_BYTES as usize]).unwrap();
        let overlay = Overlay::of_locked(file.path()).unwrap();
        overlay.write(BLOCK_BYTES + 1, &[3]).unwrap();
        overlay.set_len(4 * BLOCK_BYTES).unwrap();
        let mut all = vec![9; 4 * BLOCK_BYTES as usize];
        overlay.read(0, &mut all).unwrap();
        let mut expected = vec![1; 3 * BLOCK_BYTES as usize];
        expected[BLOCK_BYTES as usize + 1] = 3;
        expected.resize(4 * BLOCK_BYTES as usize, 0);
        assert_eq!(all, expected);
        assert_eq!(overlay.changed().blocks.len(), 1);
    }

    #[test]
    fn a_block_is_read_from_the_file_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [1; 3 * BLOCK_BYTES as usize]).unwrap();
        let overlay = Overlay::new(file.path()).unwrap();
        let read = |block: u64| {
            let mut byte = [0];
            overlay.read(block * BLOCK_BYTES, &mut byte).unwrap();
            byte[0]
        };
        assert_eq!(read(0), 1);
        std::fs::write(file.path(), [2; 3 * BLOCK_BYTES as usize]).unwrap();
        assert_eq!((read(0), read(1)), (1, 2));
        overlay.write(0, &[3]).unwrap();
        overlay.set_len(BLOCK_BYTES).unwrap();
        overlay.set_len(2 * BLOCK_BYTES).unwrap();
        assert_eq!((read(0), read(1)), (3, 0));
        assert_eq!(std::fs::read(file.path()).unwrap(), [2; 3 * BLOCK_BYTES as usize]);
    }
}
