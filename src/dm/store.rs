//! The file in which messages wait: those to be delivered, those that came, and how far the messages of each
//! sender have come. Not: what is to be written when.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
};
use serde::{Deserialize, Serialize};
use x0x_tracker::id::AgentId;
use x0x_tracker::store::unpanicked;

use super::inbox::LOGS_MAX;
use super::message::{DmReceipt, Envelope};
use super::post::Order;
use super::wire::{Message, Place};
use super::{BYTES_MAX, IDS_MAX, MESSAGES_MAX};

/// The name of the file inside the data directory.
pub const FILE: &str = "direct.redb";

/// The version of the file.
const FORMAT: u64 = 1;

/// How much of the file is kept in memory, in bytes.
const CACHE_BYTES: usize = 16 << 20;

/// The most bytes of payload that one reading returns, but for a single message.
const READ_BYTES_MAX: usize = 4 << 20;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const OUT: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("out");
const IN: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("in");
const HEADS: TableDefinition<'_, ([u8; 32], u64), u64> = TableDefinition::new("heads");
const IDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("ids");
const BLOCKED: TableDefinition<'_, [u8; 32], ()> = TableDefinition::new("blocked");

/// The id that a sender gave a message which was delivered, so that it is not sent once more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The name that the message had.
    pub order: Order,
    /// To whom it went.
    pub to: AgentId,
    /// What it said, in one word.
    pub digest: [u8; 32],
    /// What its sender was told; names its id.
    pub receipt: DmReceipt,
}

/// Something to be written.
#[derive(Clone, Debug)]
pub enum Op {
    /// A message is to be delivered.
    PutOut {
        /// Its name.
        order: Order,
        /// The message.
        message: Arc<Message>,
        /// When its time is over, in Unix milliseconds.
        expires_at_ms: i64,
    },
    /// A message is delivered, or given up.
    DropOut(Order),
    /// A message is delivered; goes before it is dropped. Of more than [`IDS_MAX`] those that were delivered first are
    /// forgotten.
    Keep(Arc<Kept>),
    /// A message came.
    PutIn {
        /// The message.
        envelope: Arc<Envelope>,
        /// Where it is one to oneself that was given an id.
        kept: Option<Arc<Kept>>,
    },
    /// Messages up to this one are released.
    Release(u64),
    /// Messages of an agent are not taken any more, or again.
    Block(AgentId, bool),
    /// After a failure, writing goes on from here.
    Resume,
}

/// What the file holds.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// The greatest name of a message to be delivered.
    pub next_order: u64,
    /// Messages to be delivered, in order, and how much of its time each has left.
    pub outbox: Vec<(Order, Message, Duration)>,
    /// The number of the next message that comes; the first is 1.
    pub next_number: u64,
    /// Messages that came, and how much room each takes.
    pub inbox: Vec<(u64, usize)>,
    /// How far the messages of each sender have come.
    pub heads: Vec<(AgentId, Place)>,
    /// Whose messages are not taken.
    pub blocked: BTreeSet<AgentId>,
    /// The ids of messages that were delivered, in the order in which they were.
    pub kept: Vec<Kept>,
}

/// The file failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database refused, or the disk.
    #[error("{}: {what}", .path.display())]
    Failed {
        /// Which file.
        path: PathBuf,
        /// What it said.
        what: String,
    },
    /// Another version of this program wrote it.
    #[error("{} is of format {found}, this program knows {FORMAT}; install the version of x0x that wrote it, or a newer one", .path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// The format.
        found: u64,
    },
}

/// The open file.
pub struct Store {
    path: PathBuf,
    /// `None` where it could not be opened again.
    database: Option<Arc<Database>>,
    /// The same, for those who read.
    shared: Arc<Mutex<Weak<Database>>>,
    next_number: u64,
}

/// Reads messages that came, beside whoever writes. It does not keep the file open.
#[derive(Clone)]
pub struct Reader {
    path: PathBuf,
    database: Arc<Mutex<Weak<Database>>>,
}

impl Store {
    /// Opens the file of a data directory, making it where there is none, and begins a log in it. Returns
    /// which, and what the file holds. `now_ms` is the wall clock, `noise` any number.
    ///
    /// A file that cannot be read is kept beside, under a name that says so, and another one is made: what
    /// is missing then are messages that waited, and that some of them came before.
    ///
    /// # Errors
    /// Where the disk refuses, or a newer program wrote the file.
    pub fn open(dir: &Path, now_ms: i64, noise: u16) -> Result<(Self, u64, Stored), StoreError> {
        let path = dir.join(FILE);
        match Self::open_whole(&path, now_ms, noise) {
            Err(StoreError::Failed { what, .. }) if path.exists() && is_damage(&path) => {
                let aside = dir.join(format!("direct.damaged-{now_ms}.redb"));
                std::fs::rename(&path, &aside).map_err(|source| failed(&path, &source))?;
                tracing::error!(what, kept = %aside.display(),
                    "the file of direct messages is damaged: it is kept beside, and a new one is begun");
                Self::open_whole(&path, now_ms, noise)
            }
            opened => opened,
        }
    }

    fn open_whole(path: &Path, now_ms: i64, noise: u16) -> Result<(Self, u64, Stored), StoreError> {
        let open = || Database::builder().set_cache_size(CACHE_BYTES).create(path);
        let database = guarded(path, open)?;
        private(path).map_err(|source| failed(path, &source))?;
        let mut store =
            Self { path: path.to_owned(), database: None, shared: Arc::default(), next_number: 1 };
        let database = store.take(database);
        let log = guarded(path, || begin(&database, now_ms, noise))?;
        let found = log.0;
        if found != FORMAT {
            return Err(StoreError::Format { path: path.to_owned(), found });
        }
        let stored = guarded(path, || load(&database, now_ms))?;
        store.next_number = stored.next_number;
        Ok((store, log.1, stored))
    }

    fn take(&mut self, database: Database) -> Arc<Database> {
        let database = Arc::new(database);
        *lock(&self.shared) = Arc::downgrade(&database);
        self.database = Some(database.clone());
        database
    }

    /// Opens the file again: after its disk failed once, the database takes nothing more.
    ///
    /// # Errors
    /// Where the disk still refuses, or somebody reads just now.
    pub fn reopen(&mut self) -> Result<(), StoreError> {
        self.database = None;
        let open = || Database::builder().set_cache_size(CACHE_BYTES).open(&self.path);
        let database = guarded(&self.path, open)?;
        self.take(database);
        Ok(())
    }

    /// Returns what reads messages that came.
    pub fn reader(&self) -> Reader {
        Reader { path: self.path.clone(), database: self.shared.clone() }
    }

    /// Writes all of it or nothing; it is on disk when this returns. That messages are delivered alone
    /// reaches the disk with what is written next: were it lost, they would be sent once more.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn write(&mut self, ops: &[Op]) -> Result<(), StoreError> {
        let is_late = ops.iter().all(|op| matches!(op, Op::DropOut(_) | Op::Resume));
        let path = self.path.clone();
        let database = self.database.clone();
        let database = database.ok_or_else(|| failed(&path, &"it could not be opened again"))?;
        let number = guarded(&path, || {
            let mut tx = database.begin_write()?;
            if is_late {
                tx.set_durability(Durability::None)?;
            }
            let number = self.put(&tx, ops)?;
            tx.commit()?;
            Ok::<_, redb::Error>(number)
        })?;
        self.next_number = number;
        Ok(())
    }

    fn put(&self, tx: &redb::WriteTransaction, ops: &[Op]) -> Result<u64, redb::Error> {
        let mut next_number = self.next_number;
        let mut out = tx.open_table(OUT)?;
        let mut came = tx.open_table(IN)?;
        let mut heads = tx.open_table(HEADS)?;
        let mut blocked = tx.open_table(BLOCKED)?;
        let mut ids = tx.open_table(IDS)?;
        // What is delivered before it was on disk need not come there.
        let dropped: BTreeSet<Order> = ops
            .iter()
            .filter_map(|op| if let Op::DropOut(order) = op { Some(*order) } else { None })
            .collect();
        for op in ops {
            match op {
                Op::PutOut { order, .. } if dropped.contains(order) => {}
                Op::PutOut { order, message, expires_at_ms } => {
                    let value = encoded(&(expires_at_ms, &**message));
                    out.insert(order.0, value.as_slice())?;
                }
                Op::DropOut(order) => drop(out.remove(order.0)?),
                Op::Keep(kept) => keep(&mut ids, kept)?,
                Op::PutIn { envelope, kept } => {
                    if let Some(kept) = kept {
                        keep(&mut ids, kept)?;
                    }
                    let Envelope { number, message, path, .. } = &**envelope;
                    came.insert(*number, encoded(&**envelope).as_slice())?;
                    next_number = next_number.max(number + 1);
                    if *path != super::DmPath::Loopback {
                        let Place { log, number } = message.place;
                        heads.insert((message.from.0, log), number)?;
                    }
                }
                Op::Release(up_to) => came.retain_in(..=*up_to, |_, _| false)?,
                Op::Block(agent, true) => drop(blocked.insert(agent.0, ())?),
                Op::Block(agent, false) => drop(blocked.remove(agent.0)?),
                Op::Resume => {}
            }
        }
        while ids.len()? > IDS_MAX as u64 {
            ids.pop_first()?;
        }
        if next_number != self.next_number {
            tx.open_table(META)?.insert("number", next_number - 1)?;
        }
        Ok(next_number)
    }
}

impl Reader {
    /// Returns messages after a number, oldest first; as many as are wanted, or as few as 4 MiB hold.
    ///
    /// # Errors
    /// Where the disk refuses, or the file is damaged.
    pub fn after(&self, number: u64, limit: usize) -> Result<Vec<Envelope>, StoreError> {
        let database = lock(&self.database).upgrade();
        let database = database.ok_or_else(|| failed(&self.path, &"it is closed"))?;
        guarded(&self.path, || {
            let tx = database.begin_read()?;
            let table = tx.open_table(IN)?;
            let (mut found, mut bytes) = (Vec::new(), 0);
            for entry in table.range(number.saturating_add(1)..)?.take(limit.min(MESSAGES_MAX)) {
                let envelope: Envelope = decoded(entry?.1.value())?;
                bytes += envelope.message.weight();
                if bytes > READ_BYTES_MAX.min(BYTES_MAX) && !found.is_empty() {
                    break;
                }
                found.push(envelope);
            }
            Ok::<_, redb::Error>(found)
        })
    }
}

/// Keeps an id behind those that were kept before.
fn keep(ids: &mut redb::Table<'_, u64, &'static [u8]>, kept: &Kept) -> Result<(), redb::Error> {
    let next = ids.last()?.map_or(0, |(last, _)| last.value().saturating_add(1));
    ids.insert(next, encoded(kept).as_slice())?;
    Ok(())
}

/// Returns the format of the file and the log that begins.
fn begin(database: &Database, now_ms: i64, noise: u16) -> Result<(u64, u64), redb::Error> {
    let tx = database.begin_write()?;
    let (found, log);
    {
        let mut meta = tx.open_table(META)?;
        found = meta.get("format")?.map_or(FORMAT, |value| value.value());
        // A clock that was put back does not make a log twice.
        let last = meta.get("log")?.map_or(0, |value| value.value());
        let timed = u64::try_from(now_ms).unwrap_or(0) << 16 | u64::from(noise);
        log = timed.max(last + 1);
        if found == FORMAT {
            meta.insert("format", FORMAT)?;
            meta.insert("log", log)?;
        }
        tx.open_table(OUT)?;
        tx.open_table(IN)?;
        tx.open_table(HEADS)?;
        tx.open_table(BLOCKED)?;
        tx.open_table(IDS)?;
    }
    tx.commit()?;
    Ok((found, log))
}

fn load(database: &Database, now_ms: i64) -> Result<Stored, redb::Error> {
    trim_heads(database)?;
    let tx = database.begin_read()?;
    let mut stored = Stored { next_number: 1, ..Stored::default() };
    for entry in tx.open_table(OUT)?.iter()?.take(MESSAGES_MAX) {
        let (order, value) = entry?;
        stored.next_order = order.value();
        let (expires_at_ms, message): (i64, Message) = decoded(value.value())?;
        let left_ms = u64::try_from(expires_at_ms.saturating_sub(now_ms)).unwrap_or(0);
        // A clock that was put back makes nothing live for ever.
        let left = Duration::from_millis(left_ms).min(super::TTL_MAX);
        stored.outbox.push((Order(order.value()), message, left));
    }
    for entry in tx.open_table(IN)?.iter()? {
        let (number, value) = entry?;
        let envelope: Envelope = decoded(value.value())?;
        stored.inbox.push((number.value(), envelope.message.weight()));
        stored.next_number = number.value() + 1;
    }
    if let Some(newest) = tx.open_table(META)?.get("number")? {
        stored.next_number = stored.next_number.max(newest.value() + 1);
    }
    for entry in tx.open_table(IDS)?.iter()? {
        let kept: Kept = decoded(entry?.1.value())?;
        // Names are used once, also where nothing waits any more.
        stored.next_order = stored.next_order.max(kept.order.0);
        stored.kept.push(kept);
    }
    for entry in tx.open_table(HEADS)?.iter()? {
        let (key, number) = entry?;
        let (agent, log) = key.value();
        stored.heads.push((AgentId(agent), Place { log, number: number.value() }));
    }
    for entry in tx.open_table(BLOCKED)?.iter()? {
        stored.blocked.insert(AgentId(entry?.0.value()));
    }
    Ok(stored)
}

/// Drops the logs of each sender that are closed.
fn trim_heads(database: &Database) -> Result<(), redb::Error> {
    let tx = database.begin_write()?;
    {
        let mut heads = tx.open_table(HEADS)?;
        let mut surplus = Vec::new();
        let (mut agent, mut count) = (None, 0);
        for entry in heads.iter()?.rev() {
            let key = entry?.0.value();
            count = if agent == Some(key.0) { count + 1 } else { 1 };
            agent = Some(key.0);
            if count > LOGS_MAX {
                surplus.push(key);
            }
        }
        for key in surplus {
            heads.remove(key)?;
        }
    }
    tx.commit()?;
    Ok(())
}

fn lock(shared: &Mutex<Weak<Database>>) -> MutexGuard<'_, Weak<Database>> {
    // Whoever panicked while holding it leaves it whole.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn encoded<T: serde::Serialize>(value: &T) -> Vec<u8> {
    // Postcard fails for sequences of unknown length alone, and these have none.
    postcard::to_stdvec(value).expect("every length is known")
}

fn decoded<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, redb::Error> {
    postcard::from_bytes(bytes).map_err(|error| redb::Error::Corrupted(error.to_string()))
}

fn failed(path: &Path, what: &dyn std::fmt::Display) -> StoreError {
    StoreError::Failed { path: path.to_owned(), what: what.to_string() }
}

/// Calls the database, which panics on bytes that it never wrote.
fn guarded<T, E: Into<redb::Error>>(
    path: &Path,
    call: impl FnOnce() -> Result<T, E>,
) -> Result<T, StoreError> {
    match unpanicked(call) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(failed(path, &error.into())),
        Err(panic) => Err(failed(path, &panic)),
    }
}

/// Tells whether a file that cannot be opened is at fault, rather than who may open it, or the disk.
fn is_damage(path: &Path) -> bool {
    let readable = std::fs::File::options().read(true).write(true).open(path);
    let opened = readable.map_err(redb::Error::Io).and_then(|_| {
        unpanicked(|| Database::open(path).map(drop).map_err(redb::Error::from))
            .unwrap_or_else(|panic| Err(redb::Error::Corrupted(panic)))
    });
    match opened {
        Ok(()) | Err(redb::Error::Corrupted(_)) => true,
        Err(redb::Error::Io(error)) => {
            matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
        }
        Err(_) => false,
    }
}

/// Lets nobody else read the file.
fn private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dm::{DmPath, Form};

    fn message(number: u64) -> Message {
        Message {
            from: AgentId([1; 32]),
            to: AgentId([2; 32]),
            place: Place { log: 7, number },
            message_id: number.to_string(),
            sent_at_ms: 5,
            form: Form::Text,
            payload: b"hello".to_vec(),
            issues: Vec::new(),
        }
    }

    fn came(number: u64) -> Op {
        let (message, path) = (message(number), DmPath::Quic);
        let envelope = Arc::new(Envelope { number, message, received_at_ms: 9, path });
        Op::PutIn { envelope, kept: None }
    }

    #[test]
    fn what_was_written_is_there_after_a_start_and_each_start_begins_a_greater_log() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, first, stored) = Store::open(dir.path(), 1_000, 3).unwrap();
        assert_eq!((stored.next_number, stored.outbox.len()), (1, 0));
        let put = |order| Op::PutOut {
            order: Order(order),
            message: Arc::new(message(order)),
            expires_at_ms: 4_000,
        };
        store.write(&[put(1), put(2), put(3), Op::DropOut(Order(3)), came(1), came(2)]).unwrap();
        store.write(&[Op::DropOut(Order(1)), Op::Block(AgentId([9; 32]), true)]).unwrap();
        assert_eq!(store.reader().after(0, 9).unwrap().len(), 2);
        store.write(&[Op::Release(2)]).unwrap();
        store.reopen().unwrap();
        store.write(&[put(4), Op::DropOut(Order(4)), Op::Resume]).unwrap();
        assert_eq!(store.reader().after(0, 9).unwrap().len(), 0);
        drop(store);
        // The clock was put back.
        let (store, second, stored) = Store::open(dir.path(), 500, 0).unwrap();
        assert!(second > first);
        let orders: Vec<_> =
            stored.outbox.iter().map(|(order, _, left)| (order.0, *left)).collect();
        assert_eq!(orders, [(2, Duration::from_millis(3_500))]);
        assert_eq!((stored.next_number, stored.inbox.len()), (3, 0), "no number comes again");
        assert_eq!(stored.heads, [(AgentId([1; 32]), Place { log: 7, number: 2 })]);
        assert_eq!(stored.blocked, BTreeSet::from([AgentId([9; 32])]));
        drop(store);
    }

    #[test]
    fn only_so_many_logs_of_a_sender_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, ..) = Store::open(dir.path(), 1_000, 3).unwrap();
        let ops = (1..=2 * LOGS_MAX as u64).map(|log| {
            let message = Message { place: Place { log, number: 1 }, ..message(1) };
            let (received_at_ms, path) = (9, DmPath::Gossip);
            let envelope = Arc::new(Envelope { number: log, message, received_at_ms, path });
            Op::PutIn { envelope, kept: None }
        });
        store.write(&ops.collect::<Vec<_>>()).unwrap();
        drop(store);
        let (_store, _, stored) = Store::open(dir.path(), 1_000, 3).unwrap();
        assert_eq!(stored.heads.len(), LOGS_MAX);
        assert_eq!(stored.heads[0].1.log, LOGS_MAX as u64 + 1, "the highest");
    }

    #[test]
    fn of_the_ids_of_delivered_messages_the_last_are_kept_in_the_order_of_delivery() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, ..) = Store::open(dir.path(), 1_000, 3).unwrap();
        let keep = |order: u64| {
            let receipt = DmReceipt {
                message_id: order.to_string(),
                path: None,
                tried: Vec::new(),
                accepted_at_ms: None,
                delivered_at_ms: Some(5),
                attempts: 1,
                latency_us: None,
            };
            let (order, to, digest) = (Order(order), AgentId([2; 32]), [0; 32]);
            Op::Keep(Arc::new(Kept { order, to, digest, receipt }))
        };
        let ops: Vec<Op> = (1..=IDS_MAX as u64).map(|n| keep(n + 10)).collect();
        store.write(&ops).unwrap();
        // One that waited for long is no older than others for that.
        store.write(&[keep(1)]).unwrap();
        drop(store);
        let (_store, _, stored) = Store::open(dir.path(), 1_000, 3).unwrap();
        let orders: Vec<u64> = stored.kept.iter().map(|kept| kept.order.0).collect();
        assert_eq!((orders.len(), orders[0], orders.last()), (IDS_MAX, 12, Some(&1)));
        assert_eq!(stored.next_order, IDS_MAX as u64 + 10);
    }

    #[test]
    fn a_damaged_file_is_kept_beside_and_one_that_may_not_be_read_stays() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), vec![7; 9_000]).unwrap();
        let (_store, _, stored) = Store::open(dir.path(), 1_000, 3).unwrap();
        assert_eq!(stored.next_number, 1);
        assert!(dir.path().join("direct.damaged-1000.redb").exists());
        let other = tempfile::tempdir().unwrap();
        std::fs::create_dir(other.path().join(FILE)).unwrap();
        assert!(Store::open(other.path(), 1_000, 3).is_err());
        assert!(other.path().join(FILE).is_dir());
    }
}
