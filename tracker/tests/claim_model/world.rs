//! A state of the model: what each agent has written, in order, and which workers believe in what.
//!
//! What an agent has heard is no part of it. When it acts, it may have heard any part of what the others
//! wrote, as long as that holds each log from its start and with a record those that it names; and it
//! knows all of its own log. So a message may take any time and any way, be lost, doubled or overtaken,
//! and any agents may be cut off from each other for any time. An agent may even forget what it had
//! heard from others, which no real one does: that adds histories and takes none away.

use crate::breach::Breach;
use crate::judge::{AGENTS, Id, Judge};

/// One log for each agent, and one more for an agent whose disk went back.
pub const LOGS: usize = AGENTS + 1;

/// How many entries of each log are known.
pub type View = [u8; LOGS];

/// Records that were written together.
pub type Entry = Vec<Id>;

/// What an agent is up to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// Which log it writes.
    pub log: u8,
    /// How much of its first log it knows for sure, if it writes another.
    pub kept: u8,
    /// How many claims it has made.
    pub claims: u8,
    /// Its claims with a worker that believes in them.
    pub works: Vec<Id>,
    /// Its claims whose worker is gone.
    pub gone: Vec<Id>,
    /// Its claims that it was told are lost.
    pub lost: Vec<Id>,
}

/// How often each rare thing happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rare {
    pub contests: u8,
    pub forces: u8,
    pub reopens: u8,
    pub rulings: u8,
    pub reshards: u8,
    pub crashes: u8,
    pub rollbacks: u8,
}

impl Rare {
    pub fn all(&self) -> u8 {
        let Self { contests, forces, reopens, rulings, reshards, crashes, rollbacks } = self;
        contests + forces + reopens + rulings + reshards + crashes + rollbacks
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub logs: [Vec<Entry>; LOGS],
    pub nodes: [Node; AGENTS],
    pub spent: Rare,
    pub broken: Vec<Breach>,
}

impl World {
    /// Returns the state in which nobody has written anything.
    pub fn empty() -> Self {
        let node = |log: usize| Node {
            log: log as u8,
            kept: 0,
            claims: 0,
            works: Vec::new(),
            gone: Vec::new(),
            lost: Vec::new(),
        };
        Self {
            logs: std::array::from_fn(|_| Vec::new()),
            nodes: std::array::from_fn(node),
            spent: Rare::default(),
            broken: Vec::new(),
        }
    }

    /// Returns everything that was written.
    pub fn whole(&self) -> View {
        std::array::from_fn(|log| self.logs[log].len() as u8)
    }

    /// Returns the records of a view.
    pub fn records(&self, view: &View) -> Vec<Id> {
        let of_log = |log: usize| &self.logs[log][..usize::from(view[log])];
        (0..LOGS).flat_map(of_log).flatten().copied().collect()
    }

    /// Returns what an agent knows for sure.
    pub fn own(&self, at: usize) -> View {
        let node = &self.nodes[at];
        let mut own = [0; LOGS];
        own[at] = node.kept;
        own[usize::from(node.log)] = self.logs[usize::from(node.log)].len() as u8;
        own
    }

    /// Returns everything that may be known of what was written, with the sum of the marks of its
    /// records.
    pub fn views(&self, judge: &Judge) -> Vec<(View, u128)> {
        let needs: [Vec<View>; LOGS] = std::array::from_fn(|log| self.needs(judge, log));
        let sums: [Vec<u128>; LOGS] = std::array::from_fn(|log| {
            let mut sums = vec![0_u128];
            for entry in &self.logs[log] {
                sums.push(sums[sums.len() - 1].wrapping_add(judge.sum(entry)));
            }
            sums
        });
        let is_closed =
            |view: &View| (0..LOGS).all(|log| is_within(&needs[log][usize::from(view[log])], view));
        let (mut views, mut view) = (Vec::new(), [0; LOGS]);
        loop {
            if is_closed(&view) {
                let of_logs = (0..LOGS).map(|log| sums[log][usize::from(view[log])]);
                views.push((view, of_logs.fold(0, u128::wrapping_add)));
            }
            // The next one, as a number whose digits are counted up.
            let next = (0..LOGS).find(|log| usize::from(view[*log]) < self.logs[*log].len());
            let Some(next) = next else { return views };
            view[next] += 1;
            view[..next].fill(0);
        }
    }

    /// Returns for each length of a log what must be known of the logs with so much of it.
    fn needs(&self, judge: &Judge, log: usize) -> Vec<View> {
        let mut needs = vec![[0; LOGS]];
        for entry in &self.logs[log] {
            let mut need = needs[needs.len() - 1];
            for named in entry.iter().flat_map(|id| judge.named(*id).to_vec()) {
                if let Some((log, at)) = self.place(named) {
                    need[log] = need[log].max(at as u8 + 1);
                }
            }
            needs.push(need);
        }
        needs
    }

    /// Returns where a record stands.
    fn place(&self, id: Id) -> Option<(usize, usize)> {
        let at = |log: usize| self.logs[log].iter().position(|entry| entry.contains(&id));
        (0..LOGS).find_map(|log| Some((log, at(log)?)))
    }
}

/// Tells whether one view is part of another.
pub fn is_within(part: &View, whole: &View) -> bool {
    part.iter().zip(whole).all(|(part, whole)| part <= whole)
}
