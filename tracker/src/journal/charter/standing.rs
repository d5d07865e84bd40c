//! Which statements of a charter stand.
//!
//! A revocation voids every statement of the revoked agent that is neither in its past nor made knowing of
//! it. A statement stands if no revocation that stands voids it, and its author is maintainer by statements
//! in its past that stand. Revocations may void each other, in pairs or in longer rings, directly or through
//! the grant of a signer: there the senior signer's stands (distance from the founder by grants, then the
//! smaller id, then the smaller hash).
//!
//! The rules are a logic program with negation; what follows of them whatever is assumed is its well-founded
//! model (Van Gelder, Ross, Schlipf, 1991), computed by alternating fixpoints. What that leaves open are the
//! rings.

use std::collections::{BTreeMap, BTreeSet};

use fixedbitset::FixedBitSet;
use petgraph::Direction::Incoming;
use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use super::{Charter, Role, Taken};
use crate::id::AgentId;

impl Charter {
    /// Returns which of the statements at these places stand, if no others are known. `within` holds the
    /// past of each.
    pub(super) fn standing(&self, within: &FixedBitSet) -> FixedBitSet {
        if !within.ones().any(|place| self.taken[place].role.is_none()) {
            // Each was taken because its author could make it, and nothing speaks against it.
            return within.clone();
        }
        // What follows whatever is assumed follows as well once more is ruled.
        let (mut ruled, mut sure) = (self.none(), self.none());
        loop {
            let open = loop {
                let possible = self.derive(within, &sure, &ruled);
                let next = self.derive(within, &possible, &ruled);
                if next == sure {
                    break possible.difference(&sure).collect::<Vec<usize>>();
                }
                sure = next;
            };
            if open.is_empty() {
                return sure;
            }
            ruled.extend(self.seniors(&open));
        }
    }

    /// Returns the role of an agent, if no statements but these are known.
    pub(super) fn role_in(&self, agent: AgentId, within: &FixedBitSet) -> Option<Role> {
        let stands = self.standing(within);
        let of_agent: Vec<usize> =
            stands.ones().filter(|place| self.taken[*place].member == agent).collect();
        self.role_by(&of_agent)
    }

    /// Returns the role of every member, if no statements but these are known.
    pub(super) fn roles_in(&self, within: &FixedBitSet) -> BTreeMap<AgentId, Role> {
        let mut of_agents: BTreeMap<AgentId, Vec<usize>> = BTreeMap::new();
        for place in self.standing(within).ones() {
            of_agents.entry(self.taken[place].member).or_default().push(place);
        }
        let role =
            |(agent, of_agent): (AgentId, Vec<usize>)| Some((agent, self.role_by(&of_agent)?));
        of_agents.into_iter().filter_map(role).collect()
    }

    /// Returns the highest role that is granted and was not revoked since, by the statements on one agent
    /// that stand.
    fn role_by(&self, of_agent: &[usize]) -> Option<Role> {
        let revokes = |place: &&usize| self.taken[**place].role.is_none();
        let holds = |grant: &&usize| {
            let past = &self.taken[**grant].past;
            of_agent.iter().filter(revokes).all(|revoked| past.contains(*revoked))
        };
        of_agent.iter().filter(holds).filter_map(|grant| self.taken[*grant].role).max()
    }

    /// Returns which statements stand if these revocations do, and those that were ruled to in any case.
    fn derive(
        &self,
        within: &FixedBitSet,
        presumed: &FixedBitSet,
        ruled: &FixedBitSet,
    ) -> FixedBitSet {
        let mut revocations: BTreeMap<AgentId, Vec<usize>> = BTreeMap::new();
        for place in presumed.ones().filter(|place| self.taken[*place].role.is_none()) {
            revocations.entry(self.taken[place].member).or_default().push(place);
        }
        let mut stands = self.none();
        // Whatever comes before a statement has a smaller place.
        for place in within.ones() {
            let taken = &self.taken[place];
            let against = revocations.get(&taken.by).map(Vec::as_slice).unwrap_or_default();
            let is_void = || against.iter().any(|against| self.voids(*against, place));
            let is_founding = taken.past.is_clear();
            let may_state = || {
                let known: Vec<usize> =
                    against.iter().copied().filter(|known| taken.past.contains(*known)).collect();
                stands.intersection(&taken.past).any(|grant| {
                    let Taken { member, role, past, .. } = &self.taken[grant];
                    (*member, *role) == (taken.by, Some(Role::Maintainer))
                        && known.iter().all(|revoked| past.contains(*revoked))
                })
            };
            if ruled.contains(place) || is_founding || !is_void() && may_state() {
                stands.insert(place);
            }
        }
        stands
    }

    /// Tells whether a revocation voids a statement of the agent that it revokes: neither names the other.
    pub(super) fn voids(&self, revocation: usize, statement: usize) -> bool {
        revocation != statement
            && !self.taken[statement].past.contains(revocation)
            && !self.taken[revocation].past.contains(statement)
    }

    /// Returns, of statements that bear on each other in rings, the senior revocation of each ring on which
    /// nothing outside of it bears that is open too.
    fn seniors(&self, open: &[usize]) -> Vec<usize> {
        let mut bearing: DiGraph<usize, ()> = DiGraph::new();
        let mut of_signers: BTreeMap<AgentId, Vec<NodeIndex>> = BTreeMap::new();
        for place in open {
            let node = bearing.add_node(*place);
            of_signers.entry(self.taken[*place].by).or_default().push(node);
        }
        for from in bearing.node_indices() {
            for on in of_signers.get(&self.taken[bearing[from]].member).into_iter().flatten() {
                if self.bears_on(bearing[from], bearing[*on]) {
                    bearing.add_edge(from, *on, ());
                }
            }
        }
        let rings = kosaraju_scc(&bearing);
        let is_alone = |ring: &&Vec<NodeIndex>| {
            let inside: BTreeSet<NodeIndex> = ring.iter().copied().collect();
            let mut from = ring.iter().flat_map(|on| bearing.neighbors_directed(*on, Incoming));
            ring.len() > 1 && from.all(|from| inside.contains(&from))
        };
        let senior = |ring: &Vec<NodeIndex>| {
            let places = ring.iter().map(|node| bearing[*node]);
            let revocations = places.filter(|place| self.taken[*place].role.is_none());
            revocations.min_by_key(|place| {
                let Taken { distance, by, hash, .. } = &self.taken[*place];
                (*distance, *by, *hash)
            })
        };
        rings.iter().filter(is_alone).filter_map(senior).collect()
    }

    /// Tells whether it matters to a statement that another one stands: that one voids it, or is a grant or
    /// a revocation of its signer that it knew.
    fn bears_on(&self, from: usize, on: usize) -> bool {
        let (bearing, taken) = (&self.taken[from], &self.taken[on]);
        from != on
            && bearing.member == taken.by
            && !bearing.past.contains(on)
            && (bearing.role.is_none() || taken.past.contains(from))
    }

    fn none(&self) -> FixedBitSet {
        FixedBitSet::with_capacity(self.taken.len())
    }
}
