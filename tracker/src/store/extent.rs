//! How long the file of a store must be, by its own header. The database itself looks only when it
//! opens a file to write, so a reader would find out page by page that the end is missing.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The first bytes of the file (redb, docs/design.md, "Database header").
const MAGIC: &[u8; 9] = b"redb\x1a\x0a\xa9\x0d\x0a";
/// The byte of flags, right after them.
const FLAGS_AT: usize = MAGIC.len();
/// The flag of a file that its last writer did not close: its region counts may be torn.
const RECOVERY_REQUIRED: u8 = 2;
/// Where the five numbers stand that make the layout.
const NUMBERS_AT: usize = 12;
const HEADER_BYTES: usize = NUMBERS_AT + 5 * 4;

/// Tells whether the end of a file that was closed is missing.
///
/// A file that is open to a writer, or needs a repair, is not judged: the repair does that.
pub(super) fn is_cut_short(path: &Path) -> io::Result<bool> {
    let file = File::open(path)?;
    let mut header = [0; HEADER_BYTES];
    match file.read_exact_at(&mut header, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(true),
        read => read?,
    }
    let is_closed = header[FLAGS_AT] & RECOVERY_REQUIRED == 0;
    if !header.starts_with(MAGIC) || !is_closed || file.metadata()?.len() >= bytes_of(&header) {
        return Ok(false);
    }
    // A writer may have shrunk the file between the two looks; then the header is another by now.
    let mut again = [0; HEADER_BYTES];
    file.read_exact_at(&mut again, 0)?;
    Ok(again == header)
}

/// Returns how many bytes the layout in a header takes.
fn bytes_of(header: &[u8; HEADER_BYTES]) -> u64 {
    let number = |at: usize| {
        let from = NUMBERS_AT + 4 * at;
        let bytes = header[from..from + 4].first_chunk().copied().unwrap_or_default();
        u64::from(u32::from_le_bytes(bytes))
    };
    let [page_bytes, region_header, region_pages, regions, trailing] = [0, 1, 2, 3, 4].map(number);
    let trailing = if trailing > 0 { region_header + trailing } else { 0 };
    let pages = regions.saturating_mul(region_header + region_pages).saturating_add(1 + trailing);
    pages.saturating_mul(page_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::{Draft, Tracker};
    use crate::testing;

    #[test]
    fn the_header_of_a_closed_file_says_how_long_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list.redb");
        let mut tracker = testing::found(dir.path(), 1).unwrap();
        for growth in 0..4 {
            drop(tracker);
            let file = File::open(&path).unwrap();
            let mut header = [0; HEADER_BYTES];
            file.read_exact_at(&mut header, 0).unwrap();
            assert_eq!(bytes_of(&header), file.metadata().unwrap().len(), "{growth}");
            assert!(!is_cut_short(&path).unwrap());
            tracker = testing::open(dir.path(), 1).unwrap();
            let text = format!("\"{}\"", "long ".repeat(30_000 * growth));
            tracker.create(&Draft::titled("one").with("description", &text)).unwrap();
            assert!(!is_cut_short(&path).unwrap(), "open to a writer");
        }
    }
}
