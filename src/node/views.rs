//! What a node says of itself to people and programs.

use serde::{Deserialize, Serialize};
use x0x_tracker::Tracker;
use x0x_tracker::id::ListId;
use x0x_tracker::interface::TrackerError;
use x0x_tracker::journal::charter::Role;

use super::subscribers::Topic;
use super::{Node, Stopped, VERSION};
use crate::naming::Shut;
use crate::pump::{PumpView, TopicView};
use crate::{hub, time};

/// A linked peer, as people are shown it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PeerView {
    /// Which agent.
    pub agent_id: String,
    /// Where it is.
    pub address: String,
    /// Whether this node called it.
    pub outgoing: bool,
    /// The time that a packet takes there and back, in milliseconds.
    pub rtt_ms: f64,
    /// The version of its program.
    pub version: String,
    /// The newest rules for commits that it knows; where they are newer than this node's, what it writes
    /// waits until this program is a newer one too.
    #[serde(default)]
    pub rules: u16,
    /// The lists that both have.
    pub lists: Vec<PeerList>,
}

/// A list that is shared with a peer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PeerList {
    /// Its id.
    pub id: String,
    /// Whether both were equally far when last compared.
    pub level: bool,
}

/// A list, as `status` shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListView {
    /// Its id.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// How many issues it has.
    pub issues: u64,
    /// How many commits it has.
    pub commits: u64,
    /// This agent's role; `None` where it is no member.
    pub role: Option<Role>,
    /// How many linked peers share it.
    pub peers: usize,
    /// What became of the beats that others sent.
    #[serde(default)]
    pub beats: hub::BeatCounts,
}

/// A list that cannot be opened for now; that is tried again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unopened {
    /// Its id.
    pub id: String,
    /// Who has it, or what is wrong with it.
    pub held_by: String,
}

pub(crate) fn unopened(shut: Shut) -> Vec<Unopened> {
    let view = |(id, held_by): (ListId, String)| Unopened { id: id.to_string(), held_by };
    shut.into_iter().map(view).collect()
}

/// What a node says of itself.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Its agent.
    pub agent_id: String,
    /// Its version.
    pub version: &'static str,
    /// Its process.
    pub pid: u32,
    /// Where it listens for other nodes.
    pub listen: String,
    /// Where it answers programs.
    pub api: String,
    /// How long it has been running.
    pub uptime_ms: i64,
    /// Its lists.
    pub lists: Vec<ListView>,
    /// Those that cannot be opened for now.
    pub unopened: Vec<Unopened>,
    /// Lists that it waits to join, with the agent that is to let it in.
    pub joining: Vec<(String, String)>,
    /// How many peers are linked.
    pub peers: usize,
}

/// How much a node holds on account of others. Each of these is bounded.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// What the hub holds of one list, and of peers.
    pub hub: hub::Held,
    /// Tasks that carry frames, answers and calls.
    pub tasks: usize,
}

impl Node {
    /// Returns what the node says of itself.
    pub async fn status(&self) -> Result<Status, Stopped> {
        let me = self.agent;
        let (peers, joining, beats) = self
            .look(|hub, _| {
                let joining = hub.joining().into_iter();
                let joining = joining.map(|(l, a)| (l.to_string(), a.to_string())).collect();
                (hub.peers(), joining, hub.all_beat_counts())
            })
            .await?;
        let peer_count = peers.len();
        let shared = move |list: ListId| {
            peers.iter().filter(|peer| peer.lists.iter().any(|(id, _)| *id == list)).count()
        };
        let lists = self
            .keeper
            .ask(move |shelf| {
                let view = |(list, tracker): (&ListId, &x0x_tracker::LocalTracker)| {
                    let info = tracker.info()?;
                    Ok(ListView {
                        id: list.to_string(),
                        name: info.name,
                        issues: info.issues,
                        commits: info.commits,
                        role: tracker.charter()?.role(me),
                        peers: shared(*list),
                        beats: beats.get(list).copied().unwrap_or_default(),
                    })
                };
                shelf.lists().filter_map(|entry| view(entry).ok_or_log()).collect()
            })
            .await?;
        Ok(Status {
            agent_id: me.to_string(),
            version: VERSION,
            pid: std::process::id(),
            listen: self.listen.to_string(),
            api: self.api.to_string(),
            uptime_ms: time::now_ms() - self.started_at.0,
            lists,
            unopened: unopened(self.keeper.shut_lists()),
            joining,
            peers: peer_count,
        })
    }

    /// Returns how much is held; `None` where the list is not here.
    pub async fn held(&self, list: ListId) -> Result<Option<Held>, Stopped> {
        self.look(move |hub, carrier| {
            hub.held(list).map(|hub| Held { hub, tasks: carrier.tasks.len() })
        })
        .await
    }

    /// Returns what became of the beats that others sent of a list; `None` where it is not here.
    pub async fn beat_counts(&self, list: ListId) -> Result<Option<hub::BeatCounts>, Stopped> {
        self.look(move |hub, _| hub.beat_counts(list)).await
    }

    /// Returns what its pumps do; whoever decides is not asked, and may be busy.
    pub fn pump(&self) -> PumpView {
        let mut view = self.inlet.view();
        self.outlet.show(&mut view);
        view
    }

    /// Returns what can be followed here, and who does.
    pub fn topics(&self) -> Vec<TopicView> {
        self.subscribers.topics(|topic| match topic {
            Topic::All => self.events.count(None),
            Topic::List(list) => self.events.count(Some(list)),
            Topic::Direct => self.mailbox.newest(),
        })
    }
}

trait OkOrLog<T> {
    fn ok_or_log(self) -> Option<T>;
}

impl<T> OkOrLog<T> for Result<T, TrackerError> {
    fn ok_or_log(self) -> Option<T> {
        self.inspect_err(|error| tracing::error!(%error, "a list cannot be read")).ok()
    }
}
