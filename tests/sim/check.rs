//! What must hold: at every step the bounds, and in the end that all have the same, that nothing
//! acknowledged is gone, and that it is quiet.

use x0x::hub::Held;
use x0x::link::policy::{LINKS_MAX, LINKS_PER_PEER_MAX};
use x0x::mesh::MeshConfig;
use x0x::replica::{POOL_BYTES_MAX, POOL_COMMITS_MAX, POOL_PER_LOG_MAX, PULLS_MAX};
use x0x_tracker::testing::StandInVerifier;

use crate::world::{SECOND, Time, World};

/// How many bytes a second a node sends at most where nothing happens: digests and their answers, and
/// what the gossip exchanges about neighbours. What a new link begins with is not counted, but links are.
pub const QUIET_BYTES_PER_SECOND: f64 = 200.0;

/// How long it is calm before it is held to be quiet, and how long that is measured.
pub const PEACE: Time = 120 * SECOND;
pub const QUIET: Time = 60 * SECOND;

/// How many agents a hub knows the addresses of at most, and how many frames wait for one of them
/// (`src/hub/{cards,lists}.rs`).
const AGENTS_MAX: usize = 1_024;
const FRAMES_HELD_MAX: usize = 16;

/// How many forks a hub looks into with one peer at most (`src/hub/forks.rs`).
const FORKS_MAX: usize = 16;

/// How many things wait for a store at most: what streams there may be, and what the hub asks for.
const JOBS_MAX: usize = 512;

impl World {
    /// Holds what a hub holds against its bounds.
    pub fn check_held(&mut self, node: usize, held: Option<Held>) {
        let Some(held) = held.filter(|_| !self.nodes[node].is_lying) else { return };
        let members = self.nodes.len();
        let (replica, mesh, config) = (held.replica, held.mesh, MeshConfig::default());
        let bounds = [
            ("commits that wait", replica.waiting, POOL_COMMITS_MAX),
            ("bytes that wait", replica.waiting_bytes, POOL_BYTES_MAX),
            ("commits of a log that wait", replica.waiting_of_a_log, POOL_PER_LOG_MAX),
            ("commits to judge", replica.ready, 2 * POOL_COMMITS_MAX),
            ("pulls", replica.pulls, PULLS_MAX),
            ("offers", mesh.offers, config.offers_max * mesh.peers),
            ("broadcasts kept", mesh.kept, config.kept_max),
            ("bytes of broadcasts", mesh.kept_bytes, config.kept_bytes_max),
            ("hashes of broadcasts", mesh.remembered, 8 * config.kept_max),
            ("accounts", mesh.peers, config.peers_max),
            // A timer outlives what it was set for until it fires.
            (
                "timers",
                mesh.timers,
                2 * (mesh.offers + mesh.remembered + mesh.peers + members) + 64,
            ),
            ("frames for members that are called", held.frames, FRAMES_HELD_MAX * members),
            ("forks", held.forks, FORKS_MAX * members),
            ("agents", held.agents, AGENTS_MAX),
            ("links", held.links, LINKS_MAX + LINKS_PER_PEER_MAX),
            ("jobs of the store", self.nodes[node].jobs.len(), JOBS_MAX),
        ];
        for (what, found, most) in bounds {
            assert!(found <= most, "node {node}: {found} {what}, at most {most}");
        }
        let before = std::mem::replace(&mut self.nodes[node].waiting_before, replica.waiting);
        self.counts.waited += replica.waiting.saturating_sub(before) as u64;
        self.peaks.see(&held);
    }

    pub fn honest(&self) -> Vec<usize> {
        let is_honest = |node: &usize| {
            let node = &self.nodes[*node];
            !node.is_lying && !node.is_revoked
        };
        (0..self.nodes.len()).filter(is_honest).collect()
    }

    /// Tells whether all honest nodes have the same commits and statements.
    pub fn is_level(&mut self) -> bool {
        let honest = self.honest();
        let mut standings = honest.iter().map(|node| self.standing_of(*node)).collect::<Vec<_>>();
        standings.dedup();
        standings.len() == 1
    }

    fn standing_of(&mut self, node: usize) -> impl PartialEq + std::fmt::Debug + use<> {
        let tracker = self.open_or_running(node);
        (tracker.frontier().unwrap(), tracker.charter().unwrap().heads())
    }

    /// Lets time go by until all have the same; panics where they do not come to it within `most`.
    pub fn become_level(&mut self, most: Time) -> Time {
        let (start, step) = (self.now, SECOND / 4);
        while !self.is_level() {
            if self.now >= start + most {
                self.explain();
                panic!("they do not become level within {} s", most / SECOND);
            }
            self.run_for(step);
        }
        self.now - start
    }

    /// Says who lacks what.
    fn explain(&mut self) {
        for node in self.honest() {
            let frontier = self.open_or_running(node).frontier().unwrap();
            let logs: Vec<String> = frontier
                .0
                .iter()
                .map(|(log, at)| format!("{}:{}", log.agent.short(), at.number))
                .collect();
            let peers: Vec<(String, bool)> = match &self.nodes[node].hub {
                None => Vec::new(),
                Some(hub) => hub
                    .peers()
                    .iter()
                    .map(|peer| (peer.agent.short(), peer.lists.iter().any(|(_, level)| *level)))
                    .collect(),
            };
            let agent = self.nodes[node].agent.short();
            eprintln!("node {node} ({agent}): {logs:?}\n    peers, level with: {peers:?}");
        }
    }

    /// Says what each node has of the commits that carried what is missing.
    fn explain_missing(&mut self, canonical: &str) {
        let entries: Vec<_> = self.ledger.lacking(canonical).into_iter().cloned().collect();
        for entry in entries {
            let (log, place) = entry.place;
            eprintln!(
                "{:?} of node {}, commit {} of {log:?}",
                entry.deed, entry.node, place.number
            );
            for node in 0..self.nodes.len() {
                let tracker = self.open_or_running(node);
                let commit = tracker.commit_at(log, place.number).unwrap();
                let is_here = commit.is_some_and(|commit| commit.hash() == place.hash);
                let is_lost = !tracker.lacks_lost(&[(log, place)]).unwrap();
                let voids = tracker.voids().unwrap();
                let void = voids.iter().find(|(hash, _)| *hash == place.hash);
                let why = void.map(|(_, void)| void.why.clone());
                eprintln!("    node {node}: here {is_here}, kept as lost {is_lost}, void {why:?}");
            }
        }
    }

    /// Waits for peace and holds everything against what must be; returns how many bytes a second the
    /// busiest node sent while it was quiet.
    pub fn check_in_peace(&mut self) -> f64 {
        self.run_for(PEACE - QUIET);
        let pulls = self.counts.pulls_whole + self.counts.pulls_broken;
        self.linked.clear();
        let before: Vec<u64> = self.nodes.iter().map(|node| node.sent_bytes).collect();
        self.sent.clear();
        self.run_for(QUIET);
        let honest = self.honest();
        if !self.is_level() {
            self.explain();
            panic!("they are not level after {} s of peace", PEACE / SECOND);
        }
        let first = self.canonical(honest[0]);
        for node in &honest[1..] {
            assert!(self.canonical(*node) == first, "node {node} shows something else");
        }
        let missing = self.ledger.missing(&first);
        if !missing.is_empty() {
            self.explain_missing(&first);
        }
        assert!(missing.is_empty(), "acknowledged, and gone: {missing:#?}");
        self.counts.conflicts += first.matches("\"conflicts\":").count() as u64;
        for node in &honest {
            let faults = self.open_or_running(*node).check(&StandInVerifier).unwrap();
            assert!(faults.is_empty(), "node {node}: {faults:#?}");
        }
        let pulled = self.counts.pulls_whole + self.counts.pulls_broken - pulls;
        assert_eq!(pulled, 0, "nodes that are level go on pulling");
        // Gossip may want a neighbour that was none before; two calls may cross.
        let again: Vec<_> = self.linked.iter().filter(|(_, times)| **times > 2).collect();
        assert!(again.is_empty(), "linked again and again where all is quiet: {again:?}");
        let sent = honest.iter().map(|node| self.nodes[*node].sent_bytes - before[*node]);
        let most = sent.max().unwrap() as f64 / (QUIET / SECOND) as f64;
        let what = &self.sent;
        assert!(
            most <= QUIET_BYTES_PER_SECOND,
            "{most} bytes a second where all is quiet: {what:?}"
        );
        most
    }
}
