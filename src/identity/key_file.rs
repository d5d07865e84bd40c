//! The key file: how a seed lies on disk, how it is read, and how it comes to be there whole or not at
//! all. It never writes over a file and never removes one.
//!
//! ```text
//! x0x agent key, format 1
//! seed 64 hex digits
//! agent 64 hex digits
//! ```
//!
//! The length is fixed and the agent is the hash of the seed's public key, so a cut or flipped file is
//! known as such.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use data_encoding::HEXLOWER;
use rustix::fs::{Mode, OFlags};
use x0x_tracker::id::AgentId;
use zeroize::Zeroizing;

use super::IdentityError;
use super::ml_dsa::SEED_BYTES;
use crate::entropy;

/// The secret from which the key is derived; cleared when dropped.
pub(super) type Seed = Zeroizing<[u8; SEED_BYTES]>;

/// What a key file says.
pub(super) struct StoredKey {
    pub(super) seed: Seed,
    /// Whose key it claims to be; the caller compares.
    pub(super) agent: AgentId,
}

/// Whose key is in place after [`publish`].
pub(super) enum Published {
    /// The one that was to be published.
    Ours,
    /// Another process was faster.
    AlreadyThere,
}

const FORMAT: u32 = 1;
const HEADER: &str = "x0x agent key, format ";
const HEX_DIGITS: usize = 64;
/// The first line with its one-digit number, and the two fields.
const FILE_BYTES: usize =
    HEADER.len() + "1\n".len() + "seed \n".len() + "agent \n".len() + 2 * HEX_DIGITS;

/// Draws the seed of a new key.
pub(super) fn draw_seed() -> Seed {
    let mut seed = Seed::default();
    entropy::fill(seed.as_mut_slice());
    seed
}

/// Reads the key file; `None` only if nothing is there.
pub(super) fn read(file: &Path) -> Result<Option<StoredKey>, IdentityError> {
    let Some(open) = open(file)? else {
        return Ok(None);
    };
    let unreadable = |source| IdentityError::Unreadable { file: file.to_owned(), source };
    let metadata = open.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(IdentityError::NotAFile { file: file.to_owned() });
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(IdentityError::Exposed { file: file.to_owned(), mode });
    }
    // One byte more than a key has, to tell a longer file from a whole one.
    let mut buffer = Zeroizing::new([0; FILE_BYTES + 1]);
    let length = read_up_to(open, buffer.as_mut_slice()).map_err(unreadable)?;
    parse(&buffer[..length]).map(Some).map_err(|fault| match fault {
        Fault::Damaged(reason) => IdentityError::Damaged { file: file.to_owned(), reason },
        Fault::Format(found) => {
            IdentityError::Format { file: file.to_owned(), found, known: FORMAT }
        }
    })
}

/// Puts a key in place unless one is there; what is there is never replaced.
///
/// The file appears under its name only when it is complete and synced.
pub(super) fn publish(
    dir: &Path,
    file: &Path,
    seed: &Seed,
    agent: AgentId,
) -> Result<Published, IdentityError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| IdentityError::NoDataDir { dir: dir.to_owned(), source })?;
    let published = (|| {
        let mut draft = tempfile::Builder::new()
            .prefix(".agent.key.")
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(dir)?;
        draft.write_all(&text(seed, agent))?;
        draft.as_file().sync_all()?;
        let published = match draft.persist_noclobber(file) {
            Ok(_) => Published::Ours,
            Err(refused) if refused.error.kind() == io::ErrorKind::AlreadyExists => {
                Published::AlreadyThere
            }
            Err(refused) => return Err(refused.error),
        };
        // The loser of a race syncs as well: it goes on to use the winner's key at once.
        File::open(dir)?.sync_all()?;
        Ok(published)
    })();
    published.map_err(|source| IdentityError::NotCreated { file: file.to_owned(), source })
}

/// Opens the file without waiting for the other end of a pipe; `None` only if nothing is there.
fn open(file: &Path) -> Result<Option<File>, IdentityError> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let unreadable = |source| IdentityError::Unreadable { file: file.to_owned(), source };
    match rustix::fs::open(file, flags, Mode::empty()) {
        Ok(open) => Ok(Some(File::from(open))),
        // A link whose target is away says "not found" too, but somebody's key is meant to be there.
        Err(rustix::io::Errno::NOENT) => match file.symlink_metadata() {
            Ok(metadata) if metadata.is_symlink() => {
                Err(IdentityError::DanglingLink { file: file.to_owned() })
            }
            // Made by another process since; whoever wants to create one will meet it.
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(error)),
        },
        Err(errno) => Err(unreadable(errno.into())),
    }
}

fn read_up_to(mut file: File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

fn text(seed: &Seed, agent: AgentId) -> Zeroizing<Vec<u8>> {
    // Reserved at once: growing would leave a copy of the seed behind.
    let mut text = Zeroizing::new(Vec::with_capacity(FILE_BYTES));
    text.extend_from_slice(HEADER.as_bytes());
    text.extend_from_slice(FORMAT.to_string().as_bytes());
    text.extend_from_slice(b"\nseed ");
    let mut digits = Zeroizing::new([0; HEX_DIGITS]);
    HEXLOWER.encode_mut(seed.as_slice(), digits.as_mut_slice());
    text.extend_from_slice(digits.as_slice());
    text.extend_from_slice(b"\nagent ");
    text.extend_from_slice(agent.to_string().as_bytes());
    text.push(b'\n');
    text
}

/// What is wrong with a key file's bytes.
enum Fault {
    Damaged(&'static str),
    Format(u32),
}

fn parse(bytes: &[u8]) -> Result<StoredKey, Fault> {
    let damaged = Fault::Damaged;
    if bytes.is_empty() {
        return Err(damaged("it is empty"));
    }
    let format = format_of(bytes).ok_or(damaged("its first line is not a key file's"))?;
    if format != FORMAT {
        return Err(Fault::Format(format));
    }
    if bytes.len() < FILE_BYTES {
        return Err(damaged("its end is missing"));
    }
    if bytes.len() > FILE_BYTES {
        return Err(damaged("it is longer than a key"));
    }
    let mut lines = bytes.split(|byte| *byte == b'\n').skip(1);
    let mut seed = Seed::default();
    read_field(lines.next(), b"seed ", &mut seed).ok_or(damaged("its seed line is garbled"))?;
    let mut agent = [0; 32];
    read_field(lines.next(), b"agent ", &mut agent).ok_or(damaged("its agent line is garbled"))?;
    Ok(StoredKey { seed, agent: AgentId(agent) })
}

fn format_of(bytes: &[u8]) -> Option<u32> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let first_line = std::str::from_utf8(&bytes[..end]).ok()?;
    first_line.strip_prefix(HEADER)?.parse().ok()
}

fn read_field(line: Option<&[u8]>, label: &[u8], value: &mut [u8; 32]) -> Option<()> {
    let digits = line?.strip_prefix(label)?;
    if digits.len() != HEX_DIGITS {
        return None;
    }
    HEXLOWER.decode_mut(digits, value).ok()?;
    Some(())
}
