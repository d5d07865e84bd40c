//! Claim records for tests: agents whose place on a slate is known beforehand, and records made in
//! a few words. Says nothing about whether records fit each other.

use crate::claim::{
    Act, Claim, End, How, Origin, Record, Reopen, Ruling, Shard, Tree, Verdict, slate,
};
use crate::id::{AgentId, RecordHash};

/// The issue that the records belong to.
pub const ISSUE: &str = "T-0001";

/// How long the claims live without a beat, in milliseconds.
pub const TTL_MS: u64 = 3_600_000;

/// Returns the agent at this distance from [`ISSUE`]: of several, the lower number is nearer.
pub fn agent(number: u8) -> AgentId {
    let mut bytes = slate::distance(ISSUE, AgentId([0; 32]));
    bytes[31] ^= number;
    AgentId(bytes)
}

/// Returns what a shard record says that considers these agents.
pub fn shard(epoch: u32, numbers: &[u8]) -> Shard {
    let agents: Vec<AgentId> = numbers.iter().map(|number| agent(*number)).collect();
    let considered = slate::considered(ISSUE, agents);
    Shard {
        epoch,
        charter: Vec::new(),
        slate: slate::draw(ISSUE, &considered),
        considered,
        ttl_ms: TTL_MS,
        reason: (epoch > 0).then(|| "drawn anew".to_owned()),
    }
}

/// Returns a record by the agent with this number.
pub fn record(by: u8, act: Act) -> Record {
    Record { by: agent(by), at: super::START, act }
}

/// Records that grow one by one.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The records, in the order in which they were made.
    pub records: Vec<Record>,
    /// The shard record that new claims name.
    pub shard: RecordHash,
    nonces: u64,
}

impl Default for Scene {
    fn default() -> Self {
        Self::new()
    }
}

impl Scene {
    /// Returns a scene with one shard record: agents 0, 1 and 2 are its slate, in this order.
    pub fn new() -> Self {
        let first = record(0, Act::Shard(shard(0, &[0, 1, 2])));
        Self { shard: first.hash(), records: vec![first], nonces: 0 }
    }

    /// Adds a record; one that is there already is not added again.
    pub fn add(&mut self, by: u8, act: Act) -> RecordHash {
        let record = record(by, act);
        let hash = record.hash();
        if !self.records.contains(&record) {
            self.records.push(record);
        }
        hash
    }

    /// Returns a claim that no other equals.
    pub fn new_claim(&mut self, origin: Origin) -> Claim {
        self.nonces += 1;
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&self.nonces.to_le_bytes());
        Claim { worker: "w".to_owned(), nonce, shard: self.shard, origin, ttl_ms: TTL_MS }
    }

    /// Adds a claim.
    pub fn claim(&mut self, by: u8, origin: Origin) -> RecordHash {
        let claim = self.new_claim(origin);
        self.add(by, Act::Claim(claim))
    }

    /// Adds a claim at the root.
    pub fn first(&mut self, by: u8) -> RecordHash {
        self.claim(by, Origin::First)
    }

    /// Adds a claim that takes another over.
    pub fn take_over(&mut self, by: u8, claim: RecordHash) -> RecordHash {
        self.claim(by, Origin::Takeover(claim))
    }

    /// Adds the end of a claim.
    pub fn end(&mut self, by: u8, claim: RecordHash, how: How) -> RecordHash {
        self.add(by, Act::End(End { claim, how, reason: None, retry_after_ms: None }))
    }

    /// Adds an end by which a claim is given up.
    pub fn release(&mut self, by: u8, claim: RecordHash) -> RecordHash {
        self.end(by, claim, How::Released)
    }

    /// Adds a handoff.
    pub fn hand_off(&mut self, by: u8, claim: RecordHash) -> RecordHash {
        self.end(by, claim, How::HandedOff("{}".to_owned()))
    }

    /// Adds a contest of a takeover.
    pub fn contest(&mut self, by: u8, takeover: RecordHash) -> RecordHash {
        self.add(by, Act::Contest { takeover })
    }

    /// Adds a reopen by agent 0.
    pub fn reopen(&mut self, answers: &[RecordHash]) -> RecordHash {
        let mut answers = answers.to_vec();
        answers.sort_unstable();
        self.add(0, Act::Reopen(Reopen { answers, reason: None }))
    }

    /// Adds a ruling by agent 0.
    pub fn rule(
        &mut self,
        verdict: Verdict,
        answers: &[RecordHash],
        ends: Option<RecordHash>,
    ) -> RecordHash {
        let mut answers = answers.to_vec();
        answers.sort_unstable();
        self.add(0, Act::Ruling(Ruling { verdict, answers, ends, reason: None }))
    }

    /// Returns what the records come to.
    pub fn tree(&self) -> Tree {
        Tree::of(ISSUE, self.records.iter().cloned())
    }
}
