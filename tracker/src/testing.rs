//! Stand-ins for tests and simulations: signatures of true size that cost nothing, a clock that
//! ticks when it is read, randomness from a seed. Proves nothing about anybody.

pub mod claims;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::claim::Uptime;
use crate::id::{DocumentKey, Version};
use crate::interface::TrackerError;
use crate::interface::report::{Row, Tally};
use crate::journal::signature::{PUBLIC_KEY_BYTES, SIGNATURE_BYTES, SignError, Signer, Verifier};
use crate::store::{Disk, Holder, Store, StoreLock};
use crate::tasklist::{Host, LocalTracker, founding};
use crate::timestamp::Timestamp;

/// 2026-01-01T00:00:00Z, where every test's clock starts.
pub const START: Timestamp = Timestamp(1_767_225_600_000);

/// An agent whose "signature" is a hash that anybody can make.
#[derive(Clone, Debug)]
pub struct StandIn {
    public_key: Vec<u8>,
}

impl StandIn {
    /// Returns the agent with this number.
    pub fn new(seed: u64) -> Self {
        let mut public_key = vec![0; PUBLIC_KEY_BYTES];
        blake3::Hasher::new_derive_key("x0x stand-in key")
            .update(&seed.to_le_bytes())
            .finalize_xof()
            .fill(&mut public_key);
        Self { public_key }
    }
}

impl Signer for StandIn {
    fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok(stand_in_signature(&self.public_key, message))
    }
}

/// Checks what [`StandIn`] signs.
#[derive(Clone, Copy, Debug)]
pub struct StandInVerifier;

impl Verifier for StandInVerifier {
    fn verify(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        stand_in_signature(public_key, message) == signature
    }
}

fn stand_in_signature(public_key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; SIGNATURE_BYTES];
    blake3::Hasher::new_derive_key("x0x stand-in signature")
        .update(public_key)
        .update(message)
        .finalize_xof()
        .fill(&mut signature);
    signature
}

/// Returns the row of an issue that has nothing but an id.
pub fn row() -> Row {
    Row {
        key: DocumentKey([1; 32]),
        id: "T-1".to_owned(),
        identifier: None,
        title: String::new(),
        state: None,
        priority: None,
        labels: Vec::new(),
        assignee: None,
        holder: None,
        blocked_by: Vec::new(),
        created_at: None,
        updated_at: None,
        deleted: false,
        conflicts: 0,
        comments: 0,
        version: Version([0; 8]),
        held: None,
        rest: None,
        tally: Tally::default(),
    }
}

/// Returns the host of an agent on a machine whose uptime, in milliseconds, is what the number says.
pub fn host_up(seed: u64, uptime_ms: Arc<AtomicU64>) -> Host {
    let uptime = move || Uptime { boot: [1; 16], ms: uptime_ms.load(Ordering::Relaxed) };
    Host { uptime: Box::new(uptime), ..host(seed) }
}

/// Returns the host of an agent: a clock that moves on by a second each time it is read, and
/// randomness that follows from the seed.
pub fn host(seed: u64) -> Host {
    let ticks = AtomicI64::new(0);
    let draws = AtomicU64::new(0);
    Host {
        uptime: Box::new(Uptime::default),
        senses: Arc::default(),
        signer: Box::new(StandIn::new(seed)),
        verifier: Box::new(StandInVerifier),
        clock: Box::new(move || Timestamp(START.0 + 1_000 * ticks.fetch_add(1, Ordering::Relaxed))),
        entropy: Box::new(move |bytes| {
            let draw = draws.fetch_add(1, Ordering::Relaxed);
            blake3::Hasher::new_derive_key("x0x stand-in entropy")
                .update(&seed.to_le_bytes())
                .update(&draw.to_le_bytes())
                .finalize_xof()
                .fill(bytes);
        }),
    }
}

/// Makes a list in a folder, in the name of the agent with this seed, and opens it to write.
pub fn found(dir: &Path, seed: u64) -> Result<LocalTracker, TrackerError> {
    let founding = founding("test", "T", &host(seed))?;
    Store::create(&dir.join("list.redb"), &founding)?;
    open(dir, seed)
}

/// Opens the list in a folder to write, in the name of the agent with this seed.
pub fn open(dir: &Path, seed: u64) -> Result<LocalTracker, TrackerError> {
    let holder = Holder { pid: 0, role: "test".to_owned(), api: None, version: String::new() };
    let lock = StoreLock::try_acquire(dir, &holder)?
        .map_err(|_| TrackerError::Busy { holder: "another test".to_owned() })?;
    LocalTracker::open_to_write(&dir.join("list.redb"), host(seed), lock)
}

/// Makes a list on a disk of memory, in the name of the agent with this seed, and opens it to write.
///
/// `path` is a file that the disk is taken for: two disks of one path are the same store.
pub fn found_on(disk: &Disk, path: &Path, seed: u64) -> Result<LocalTracker, TrackerError> {
    Store::create_on(disk.clone(), path, &founding("test", "T", &host(seed))?)?;
    open_on(disk, path, host(seed))
}

/// Opens the list on a disk of memory to write.
pub fn open_on(disk: &Disk, path: &Path, host: Host) -> Result<LocalTracker, TrackerError> {
    Ok(LocalTracker::over(Store::open_on(disk.clone(), path)?, host))
}

/// The same, alone: several writings can share a sync of the disk.
pub fn open_alone_on(disk: &Disk, path: &Path, host: Host) -> Result<LocalTracker, TrackerError> {
    Ok(LocalTracker::over(Store::open_alone_on(disk.clone(), path)?, host))
}
