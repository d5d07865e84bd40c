//! Who wins, compared with an independent implementation of the rule: each line of the file is a set
//! of records with the winner and the state that it named.
//!
//! A record names others by their place in the line. The agent is a number: 0, 1 and 2 are on the
//! slate, in this order, and a lower number is nearer. Claims of one agent with one parent stand in the
//! order of their hashes. `X0X_CLAIM_TREES` names another file to compare with.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use x0x_tracker::claim::{Act, How, Origin, Phase, Record};
use x0x_tracker::id::RecordHash;
use x0x_tracker::testing::claims::{ISSUE, Scene, record};

#[derive(Debug, Deserialize)]
struct Line {
    records: Vec<Spelled>,
    winner: Option<usize>,
    state: String,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Spelled {
    Claim { claim: u8, parent: Option<usize>, after: Option<usize> },
    End { end: usize, how: String },
    Contest { contest: usize, by: u8 },
    Reopen { reopen: Vec<usize> },
}

/// Claims that only their hashes tell apart: agent and parent.
type Rivals = (u8, Option<usize>);

/// Real records for the ones of a line, each at its place.
struct Cast {
    scene: Scene,
    hashes: Vec<RecordHash>,
    agents: Vec<u8>,
    /// How many claims are still to come of those that only their hashes tell apart, and the hash of
    /// the last one that came.
    rivals: BTreeMap<Rivals, (u32, Option<RecordHash>)>,
}

impl Cast {
    fn of(line: &Line) -> Self {
        let mut rivals: BTreeMap<Rivals, (u32, _)> = BTreeMap::new();
        for spelled in &line.records {
            if let Spelled::Claim { claim, parent, .. } = spelled {
                rivals.entry((*claim, *parent)).or_default().0 += 1;
            }
        }
        let mut cast = Self { scene: Scene::new(), hashes: Vec::new(), agents: Vec::new(), rivals };
        for spelled in &line.records {
            let (agent, hash) = cast.add(spelled);
            cast.agents.push(agent);
            cast.hashes.push(hash);
        }
        cast
    }

    fn add(&mut self, spelled: &Spelled) -> (u8, RecordHash) {
        let hash = match spelled {
            Spelled::Claim { claim, parent, after } => {
                return (*claim, self.claim((*claim, *parent), *after));
            }
            Spelled::End { end, how } => {
                let how = match how.as_str() {
                    "handoff" => How::HandedOff(format!("{{\"record\":{}}}", self.hashes.len())),
                    "release" => How::Released,
                    "force" => How::Forced,
                    "abandon" => How::Abandoned { to: self.hashes[*end] },
                    other => panic!("{other} is no way to end a claim"),
                };
                self.scene.end(self.agents[*end], self.hashes[*end], how)
            }
            Spelled::Contest { contest, by } => self.scene.contest(*by, self.hashes[*contest]),
            Spelled::Reopen { reopen } => {
                let answers: Vec<_> = reopen.iter().map(|at| self.hashes[*at]).collect();
                self.scene.reopen(&answers)
            }
        };
        (0, hash)
    }

    /// Adds a claim whose hash is larger than those of the rivals before it, whatever it starts from.
    fn claim(&mut self, rivals: Rivals, after: Option<usize>) -> RecordHash {
        let (by, parent) = rivals;
        let origin = match (parent.map(|at| self.hashes[at]), after.map(|at| self.hashes[at])) {
            (None, _) => Origin::First,
            (Some(claim), None) => Origin::Takeover(claim),
            (Some(claim), Some(end)) => Origin::After { claim, end },
        };
        let (left, last) = self.rivals[&rivals];
        // The lowest part of the room above the last one, so that those to come find room as well.
        let floor = last.map_or(0, place);
        let ceiling = floor + (u64::MAX - floor) / u64::from(left);
        let (hash, claim) = loop {
            let claim = self.scene.new_claim(origin);
            let hash = record(by, Act::Claim(claim.clone())).hash();
            if Some(hash) > last && place(hash) <= ceiling {
                break (hash, claim);
            }
        };
        self.rivals.insert(rivals, (left - 1, Some(hash)));
        self.scene.add(by, Act::Claim(claim))
    }
}

/// Returns where a hash stands among all hashes.
fn place(hash: RecordHash) -> u64 {
    u64::from_be_bytes(hash.0[..8].try_into().unwrap())
}

/// Returns what the records of a line come to, as the line would say it.
fn judged(cast: &Cast) -> (Option<usize>, &'static str) {
    let tree = cast.scene.tree();
    let place = |claim| cast.hashes.iter().position(|hash| *hash == claim);
    match tree.phase() {
        Phase::Review(claim) => (place(claim), "review"),
        Phase::Held(claim) => (place(claim), "in_progress"),
        Phase::Open => (tree.winner().and_then(place), "todo"),
        Phase::Ruled(verdict) => panic!("nobody ruled, and yet {verdict:?}"),
    }
}

#[test]
fn winner_and_state_are_those_of_an_independent_implementation() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/claim_trees.jsonl");
    let file = std::env::var_os("X0X_CLAIM_TREES").map_or(golden, Into::into);
    let text = std::fs::read_to_string(&file).unwrap();
    let mut states: BTreeMap<String, usize> = BTreeMap::new();
    for (number, json) in text.lines().enumerate() {
        let line: Line = serde_json::from_str(json).unwrap();
        let cast = Cast::of(&line);
        for record in &cast.scene.records {
            assert_eq!(Record::decode(&record.encode(), ISSUE).as_ref(), Some(record));
        }
        let said = (line.winner, line.state.as_str());
        assert_eq!(judged(&cast), said, "line {}: {json}", number + 1);
        *states.entry(line.state).or_default() += 1;
    }
    println!("{} trees: {states:?}", text.lines().count());
    assert!(states.len() == 3 && states.values().all(|count| *count >= 30), "{states:?}");
}
