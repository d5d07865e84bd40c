//! What a node remembers of the network over a restart: where agents were reached, the port that it
//! listened on, and the secret of its stateless resets. All of it can be lost; then tickets and cards
//! bring the agents back.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use x0x_tracker::id::AgentId;
use x0x_tracker::timestamp::Timestamp;

use super::NodeError;
use crate::entropy;

/// The name of the file in a data directory.
const FILE: &str = "peers.json";

/// The name of the file with the secret.
const RESET_KEY_FILE: &str = "reset.key";

/// The most agents that are remembered.
const AGENTS_MAX: usize = 1_024;

/// The most bytes of a file that is read.
const BYTES_MAX: u64 = 1 << 20;

/// An agent that was heard longer ago than this, or in the future, was so by a clock that was set since.
const ODD_AFTER: Duration = Duration::from_secs(365 * 86_400);

/// How long ago it counts as heard then: it is not there, and may come back.
const UNKNOWN: Duration = Duration::from_secs(86_400);

/// What is remembered.
#[derive(Debug, Default)]
pub struct PeersFile {
    path: PathBuf,
    content: Content,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    port: Option<u16>,
    agents: BTreeMap<String, Vec<SocketAddr>>,
    /// When agents were last heard, in Unix milliseconds.
    #[serde(default)]
    heard: BTreeMap<String, i64>,
}

impl PeersFile {
    /// Reads the file of a data directory; one that cannot be read is begun anew.
    pub fn load(dir: &Path) -> Self {
        let path = dir.join(FILE);
        let content = match read(&path) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                tracing::warn!(%error, "what is known of peers is unreadable, and begun anew");
                Content::default()
            }),
            Err(_absent) => Content::default(),
        };
        Self { path, content }
    }

    /// Returns the port that the node listened on.
    pub fn port(&self) -> Option<u16> {
        self.content.port
    }

    /// Returns where agents were reached, and how long ago each was heard.
    pub fn known(&self, now: Timestamp) -> Vec<(AgentId, Vec<SocketAddr>, Option<Duration>)> {
        let Content { agents, heard, .. } = &self.content;
        let names: BTreeSet<&String> = agents.keys().chain(heard.keys()).collect();
        let ago = |at_ms: &i64| {
            let ago_ms = u64::try_from(now.0.saturating_sub(*at_ms)).ok();
            ago_ms.map(Duration::from_millis).filter(|ago| *ago < ODD_AFTER).unwrap_or(UNKNOWN)
        };
        let known = |name: &String| {
            let addresses = agents.get(name).cloned().unwrap_or_default();
            Some((name.parse().ok()?, addresses, heard.get(name).map(ago)))
        };
        names.into_iter().filter_map(known).collect()
    }

    /// Remembers how long ago agents were heard.
    pub fn put_heard(&mut self, heard: Vec<(AgentId, Duration)>, now: Timestamp) {
        let known = &mut self.content.heard;
        for (agent, ago) in heard {
            let agent = agent.to_string();
            if known.len() < AGENTS_MAX || known.contains_key(&agent) {
                let ago_ms = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
                known.insert(agent, now.0.saturating_sub(ago_ms));
            }
        }
        self.save();
    }

    /// Remembers the port.
    pub fn put_port(&mut self, port: u16) {
        if self.content.port.replace(port) != Some(port) {
            self.save();
        }
    }

    /// Remembers where an agent was reached.
    pub fn put(&mut self, agent: AgentId, addresses: Vec<SocketAddr>) {
        let is_full = self.content.agents.len() >= AGENTS_MAX;
        let agent = agent.to_string();
        if is_full && !self.content.agents.contains_key(&agent) {
            return;
        }
        if self.content.agents.get(&agent) != Some(&addresses) {
            self.content.agents.insert(agent, addresses);
            self.save();
        }
    }

    /// Writes the file. It is a memory aid: where that fails, it is said, and the node goes on.
    fn save(&self) {
        let written =
            serde_json::to_vec_pretty(&self.content).map_err(io::Error::from).and_then(|text| {
                let partial = self.path.with_extension("partial");
                fs::write(&partial, text)?;
                fs::rename(&partial, &self.path)
            });
        if let Err(error) = written {
            tracing::warn!(path = %self.path.display(), %error, "where peers are is not remembered");
        }
    }
}

/// Returns the port on which the node of a data directory listened before, which it takes again where it is not told
/// another.
pub fn remembered_port(dir: &Path) -> Option<u16> {
    PeersFile::load(dir).port()
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read;
    let mut text = Vec::new();
    fs::File::open(path)?.take(BYTES_MAX).read_to_end(&mut text)?;
    Ok(text)
}

/// Returns the secret of stateless resets of a data directory; makes it on first use.
///
/// # Errors
/// Where it is there and cannot be read, or cannot be made.
pub fn reset_key(dir: &Path) -> Result<[u8; 32], NodeError> {
    let path = dir.join(RESET_KEY_FILE);
    let failed = |what| {
        let path = path.clone();
        move |source| NodeError::Io { what, path, source }
    };
    match read(&path) {
        Ok(bytes) => match <[u8; 32]>::try_from(bytes) {
            Ok(key) => return Ok(key),
            // Cut short by a crash: it was never used for long.
            Err(_short) => fs::remove_file(&path).map_err(failed("replace"))?,
        },
        Err(source) if source.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(failed("read")(source)),
    }
    let mut key = [0; 32];
    entropy::fill(&mut key);
    let mut options = fs::OpenOptions::new();
    let made = options.write(true).create_new(true).mode(0o600).open(&path);
    made.and_then(|mut file| io::Write::write_all(&mut file, &key)).map_err(failed("write"))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_there_after_a_restart_and_a_broken_file_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let address: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let mut file = PeersFile::load(dir.path());
        let now = Timestamp(50_000);
        assert_eq!((file.port(), file.known(now)), (None, Vec::new()));
        file.put_port(7);
        file.put(AgentId([7; 32]), vec![address]);
        let ago = Duration::from_secs(20);
        file.put_heard(vec![(AgentId([7; 32]), ago), (AgentId([8; 32]), ago)], now);
        let again = PeersFile::load(dir.path());
        assert_eq!(again.port(), Some(7));
        let later = Some(ago + Duration::from_secs(5));
        let expected =
            [(AgentId([7; 32]), vec![address], later), (AgentId([8; 32]), Vec::new(), later)];
        assert_eq!(again.known(Timestamp(55_000)), expected);
        for odd in [0, 50 * 365 * 86_400_000] {
            assert!(again.known(Timestamp(odd)).iter().all(|(.., ago)| *ago == Some(UNKNOWN)));
        }
        fs::write(dir.path().join(FILE), "{").unwrap();
        assert!(PeersFile::load(dir.path()).known(now).is_empty());
    }

    #[test]
    fn the_secret_is_made_once_and_only_its_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let key = reset_key(dir.path()).unwrap();
        assert_eq!(reset_key(dir.path()).unwrap(), key);
        let path = dir.path().join(RESET_KEY_FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "short").unwrap();
        assert_ne!(reset_key(dir.path()).unwrap(), key);
    }
}
