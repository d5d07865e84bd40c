use proptest::prelude::*;

use super::*;
use crate::journal::signature::Signer;
use crate::testing::{START, StandIn, StandInVerifier};

/// Agents, each with what it knows of the charter of one list. Agent 0 founded it.
struct Team {
    agents: Vec<StandIn>,
    known: Vec<Charter>,
    /// Everything that was stated, in an order in which it can be taken.
    said: Vec<Signed>,
}

impl Team {
    fn new(count: u64) -> Self {
        let agents: Vec<StandIn> = (0..count).map(StandIn::new).collect();
        let (name, founder) = ("team".to_owned(), agents[0].public_key().to_vec());
        let found = Statement::Found { name, founder, nonce: [0; 16], at: START };
        let mut team = Self {
            known: vec![Charter::default(); agents.len()],
            said: vec![Signed::new(&found, &agents[0]).unwrap()],
            agents,
        };
        team.meet();
        team
    }

    /// Returns a team of maintainers, each granted by the founder, that know of each other.
    fn of_maintainers(count: u64) -> Self {
        let mut team = Self::new(count);
        (1..count as usize).for_each(|agent| team.grants(0, agent, Role::Maintainer));
        team.meet();
        team
    }

    fn id(&self, agent: usize) -> AgentId {
        self.agents[agent].agent()
    }

    fn says(&mut self, by: usize, statement: &Statement) -> Result<(), JournalError> {
        let signed = Signed::new(statement, &self.agents[by]).unwrap();
        self.known[by].accept(&signed, &StandInVerifier)?;
        self.said.push(signed);
        Ok(())
    }

    fn try_grant(&mut self, by: usize, member: usize, role: Role) -> Result<(), JournalError> {
        let list = self.known[by].list().unwrap();
        let seen = self.known[by].seen(self.id(by), self.id(member));
        let member = self.agents[member].public_key().to_vec();
        self.says(by, &Statement::Grant { list, by: self.id(by), member, role, seen })
    }

    fn try_revoke(&mut self, by: usize, member: usize) -> Result<(), JournalError> {
        let list = self.known[by].list().unwrap();
        let (by_id, member) = (self.id(by), self.id(member));
        let (seen, reason) = (self.known[by].seen(by_id, member), "it is lost".to_owned());
        self.says(by, &Statement::Revoke { list, by: by_id, member, at: START, reason, seen })
    }

    fn grants(&mut self, by: usize, member: usize, role: Role) {
        self.try_grant(by, member, role).unwrap();
    }

    fn revokes(&mut self, by: usize, member: usize) {
        self.try_revoke(by, member).unwrap();
    }

    /// Everybody hears of everything.
    fn meet(&mut self) {
        for charter in &mut self.known {
            for signed in &self.said {
                charter.accept(signed, &StandInVerifier).unwrap();
            }
        }
    }

    /// Returns what everybody is once all is known.
    fn roles(&mut self) -> Vec<Option<Role>> {
        self.meet();
        (0..self.agents.len()).map(|agent| self.known[0].role(self.id(agent))).collect()
    }
}

const MAINTAINER: Option<Role> = Some(Role::Maintainer);
const WORKER: Option<Role> = Some(Role::Worker);

#[test]
fn a_revoked_agent_has_no_role_and_what_it_granted_before_stands() {
    let mut team = Team::of_maintainers(2);
    team.agents.push(StandIn::new(2));
    team.known.push(Charter::default());
    team.grants(1, 2, Role::Worker);
    team.meet();
    team.revokes(0, 1);
    assert_eq!(team.roles(), [MAINTAINER, None, WORKER]);
    let revoked = team.known[2].revoked();
    assert_eq!(revoked.len(), 1);
    assert_eq!((revoked[0].agent, revoked[0].by), (team.id(1), team.id(0)));
    assert_eq!(revoked[0].reason, "it is lost");
}

#[test]
fn what_a_revoked_agent_states_meanwhile_or_afterwards_does_not_stand() {
    let mut team = Team::of_maintainers(2);
    for agent in 2..4 {
        team.agents.push(StandIn::new(agent));
        team.known.push(Charter::default());
    }
    // The agent does not know of it yet; its friend grants on.
    team.revokes(0, 1);
    team.grants(1, 2, Role::Maintainer);
    let said = team.said.clone();
    for signed in &said[..2] {
        team.known[2].accept(signed, &StandInVerifier).unwrap();
    }
    team.known[2].accept(said.last().unwrap(), &StandInVerifier).unwrap();
    team.grants(2, 3, Role::Worker);
    assert_eq!(team.roles(), [MAINTAINER, None, None, None]);
    // Knowing of it, it can state nothing at all.
    let refused = team.try_grant(1, 3, Role::Worker).unwrap_err();
    assert!(matches!(refused, JournalError::NotAllowed { .. }), "{refused}");
}

#[test]
fn a_grant_beside_a_revocation_does_not_stand_and_one_that_names_it_does() {
    let mut team = Team::of_maintainers(3);
    team.revokes(0, 2);
    team.grants(1, 2, Role::Worker);
    assert_eq!(team.roles(), [MAINTAINER, MAINTAINER, None]);
    team.grants(1, 2, Role::Worker);
    assert_eq!(team.roles(), [MAINTAINER, MAINTAINER, WORKER]);
    assert_eq!(team.known[0].revoked(), []);
    // What it granted as a worker was never taken, and what it grants as a maintainer again is.
    assert!(team.try_grant(2, 2, Role::Maintainer).is_err());
    team.grants(0, 2, Role::Maintainer);
    team.meet();
    team.grants(2, 1, Role::Maintainer);
    assert_eq!(team.roles(), [MAINTAINER; 3]);
}

#[test]
fn of_two_that_revoke_each_other_the_senior_stays() {
    // 1 was granted by the founder, 2 by 1.
    let mut team = Team::new(3);
    team.grants(0, 1, Role::Maintainer);
    team.meet();
    team.grants(1, 2, Role::Maintainer);
    team.meet();
    team.revokes(1, 2);
    team.revokes(2, 1);
    assert_eq!(team.roles(), [MAINTAINER, MAINTAINER, None]);
    team.revokes(0, 1);
    team.revokes(1, 0);
    assert_eq!(team.roles(), [MAINTAINER, None, None]);
}

#[test]
fn of_two_equals_that_revoke_each_other_the_smaller_id_stays() {
    let mut team = Team::of_maintainers(3);
    team.revokes(1, 2);
    team.revokes(2, 1);
    let stays = if team.id(1) < team.id(2) { 1 } else { 2 };
    let roles = team.roles();
    assert_eq!(roles[stays], MAINTAINER);
    assert_eq!(roles[3 - stays], None);
}

#[test]
fn a_junior_that_nobody_revokes_may_revoke_a_senior_and_what_that_one_revokes_meanwhile() {
    // 1 is the senior of 2, and revokes 3 while 2 revokes 1.
    let mut team = Team::new(4);
    team.grants(0, 1, Role::Maintainer);
    team.grants(0, 3, Role::Maintainer);
    team.meet();
    team.grants(1, 2, Role::Maintainer);
    team.meet();
    team.revokes(2, 1);
    team.revokes(1, 3);
    assert_eq!(team.roles(), [MAINTAINER, None, MAINTAINER, MAINTAINER]);
}

#[test]
fn who_is_revoked_does_not_stay_by_revoking_whoever_granted_the_other() {
    // 2 holds its role by 1; it revokes 0's friend 3 by a new member, whose grant falls with it.
    let mut team = Team::of_maintainers(3);
    team.agents.push(StandIn::new(3));
    team.known.push(Charter::default());
    team.grants(2, 3, Role::Maintainer);
    let said = team.said.clone();
    for signed in &said {
        team.known[3].accept(signed, &StandInVerifier).unwrap();
    }
    team.revokes(3, 1);
    team.revokes(1, 2);
    // 2's grant of 3 and 1's revocation of 2 void each other through 3; 1 is the senior.
    assert_eq!(team.roles(), [MAINTAINER, MAINTAINER, None, None]);
}

#[test]
fn in_a_ring_of_revocations_not_everybody_falls() {
    let mut team = Team::of_maintainers(4);
    let mut ring = [1, 2, 3];
    ring.sort_by_key(|agent| team.id(*agent));
    let [first, second, third] = ring;
    team.revokes(first, second);
    team.revokes(second, third);
    team.revokes(third, first);
    let roles = team.roles();
    // The senior's stands, so that the second's does not, so that the third's does.
    assert_eq!((roles[first], roles[second], roles[third]), (None, None, MAINTAINER));
    assert_eq!(roles[0], MAINTAINER);
}

#[test]
fn a_maintainer_may_leave_and_a_worker_revokes_nobody() {
    let mut team = Team::of_maintainers(3);
    team.revokes(1, 1);
    assert_eq!(team.roles(), [MAINTAINER, None, MAINTAINER]);
    let mut team = Team::new(3);
    team.grants(0, 1, Role::Worker);
    team.grants(0, 2, Role::Reader);
    team.meet();
    assert!(team.try_revoke(1, 2).is_err());
    assert!(team.try_revoke(2, 2).is_err());
    assert_eq!(team.roles(), [MAINTAINER, WORKER, Some(Role::Reader)]);
}

#[test]
fn a_role_is_judged_by_what_a_commit_names_whatever_became_of_it() {
    let mut team = Team::of_maintainers(2);
    let before = team.known[0].heads();
    team.revokes(0, 1);
    team.meet();
    let after = team.known[0].heads();
    let charter = &team.known[1];
    assert_eq!(charter.role_under(team.id(1), &before), MAINTAINER);
    assert_eq!(charter.role_under(team.id(1), &after), None);
    assert!(charter.public_key(team.id(1)).is_some());
}

#[test]
fn statements_are_bounded_and_grants_leave_room_for_revocations() {
    let mut team = Team::of_maintainers(2);
    for n in team.said.len() as u64..GRANTS_MAX as u64 {
        let (list, by) = (team.known[0].list().unwrap(), team.id(0));
        let member = StandIn::new(1_000 + n).public_key().to_vec();
        let seen = team.known[0].heads();
        let grant = Statement::Grant { list, by, member, role: Role::Reader, seen };
        let signed = Signed::new(&grant, &team.agents[0]).unwrap();
        team.known[0].accept(&signed, &StandInVerifier).unwrap();
    }
    let refused = team.try_grant(0, 1, Role::Worker).unwrap_err();
    assert!(matches!(refused, JournalError::Full { .. }), "{refused}");
    for _ in 0..REVOCATIONS_MAX {
        team.revokes(0, 1);
    }
    let refused = team.try_revoke(0, 1).unwrap_err();
    assert!(matches!(refused, JournalError::Full { .. }), "{refused}");
}

#[test]
fn a_statement_names_a_bounded_number_of_others_and_the_next_ones_name_the_rest() {
    let mut team = Team::of_maintainers(2);
    let seen = team.known[0].heads();
    let list = team.known[0].list().unwrap();
    for n in 0..2 * SEEN_MAX as u64 {
        let (by, member) = (team.id(0), StandIn::new(1_000 + n).public_key().to_vec());
        let grant = Statement::Grant { list, by, member, role: Role::Reader, seen: seen.clone() };
        team.says(0, &grant).unwrap();
    }
    assert_eq!(team.known[0].seen(team.id(0), team.id(1)).len(), SEEN_MAX);
    team.grants(0, 1, Role::Maintainer);
    team.grants(0, 1, Role::Maintainer);
    team.grants(0, 1, Role::Maintainer);
    assert_eq!(team.known[0].heads().len(), 1);
}

#[test]
fn a_revocation_covers_what_its_signer_knew_of_the_agent_however_many_heads_there_are() {
    let mut team = Team::of_maintainers(3);
    team.agents.extend((3..103).map(StandIn::new));
    team.known.resize(103, Charter::default());
    let (list, seen) = (team.known[0].list().unwrap(), team.known[0].heads());
    // One that turns makes more heads than a statement names, beside what another one did.
    let granted = |team: &mut Team, by: usize, member: Vec<u8>| {
        let (by_id, role) = (team.id(by), Role::Worker);
        team.says(by, &Statement::Grant { list, by: by_id, member, role, seen: seen.clone() })
    };
    for member in 3..103 {
        let key = team.agents[member].public_key().to_vec();
        granted(&mut team, 1, key).unwrap();
    }
    for n in 0..200 {
        let key = StandIn::new(1_000 + n).public_key().to_vec();
        granted(&mut team, 2, key).unwrap();
    }
    team.meet();
    team.revokes(0, 1);
    assert_eq!(team.roles()[1], None);
    assert!(team.roles()[3..].iter().all(|role| *role == WORKER), "its grants were seen");
}

#[test]
fn a_revocation_is_made_by_who_may_however_many_heads_there_are() {
    let mut team = Team::new(3);
    team.grants(0, 2, Role::Maintainer);
    team.meet();
    let (list, before) = (team.known[0].list().unwrap(), team.known[2].heads());
    // The signer's role hangs on one head, and one that turned makes all others come before that.
    team.grants(0, 1, Role::Maintainer);
    let own = team.said.last().unwrap().hash();
    let mut made = 0;
    for n in 0.. {
        let (by, role, seen) = (team.id(2), Role::Reader, before.clone());
        let member = StandIn::new(1_000 + n).public_key().to_vec();
        let grant = Statement::Grant { list, by, member, role, seen };
        if Signed::new(&grant, &team.agents[2]).unwrap().hash() < own {
            team.says(2, &grant).unwrap();
            made += 1;
        }
        if made > SEEN_MAX {
            break;
        }
    }
    team.meet();
    let smallest = team.known[1].heads().into_iter().take(SEEN_MAX).collect::<Vec<_>>();
    assert!(!smallest.contains(&own), "it would be left out");
    team.revokes(1, 2);
    team.meet();
    assert_eq!(team.known[0].role(team.id(2)), None);
}

#[test]
fn a_maintainer_that_turns_leaves_room_for_the_others_whatever_agents_it_makes_up() {
    let mut team = Team::of_maintainers(3);
    // Each of those whom it makes is a maintainer, makes the next, and states as much as it can.
    let (mut last, mut refused) = (2, 0);
    while refused < 20 {
        let next = team.agents.len();
        team.agents.push(StandIn::new(next as u64));
        let known = team.known[last].clone();
        team.known.push(known);
        let made = team.try_grant(last, next, Role::Maintainer);
        let put_out = team.try_revoke(last, 1);
        for failed in [made.as_ref(), put_out.as_ref()].into_iter().filter_map(|done| done.err()) {
            assert!(matches!(failed, JournalError::Full { .. }), "{failed}");
        }
        match made {
            Ok(()) => {
                team.known[next] = team.known[last].clone();
                last = next;
            }
            Err(_) => refused += 1,
        }
    }
    let told = team.said.clone();
    let of_all = Charter::from_statements(&told, &StandInVerifier).unwrap();
    assert!(of_all.len() > SHARE_GRANTS_MAX, "{}", of_all.len());
    team.known[0] = of_all;
    team.revokes(0, 2);
    team.grants(0, 1, Role::Maintainer);
    for n in 0..SHARE_GRANTS_MAX - 100 {
        let (list, by) = (team.known[0].list().unwrap(), team.id(0));
        let member = StandIn::new(10_000 + n as u64).public_key().to_vec();
        let seen = team.known[0].heads();
        let grant = Statement::Grant { list, by, member, role: Role::Reader, seen };
        team.says(0, &grant).unwrap();
    }
    let charter = &team.known[0];
    assert_eq!(charter.role(team.id(2)), None);
    assert_eq!(charter.role(team.id(1)), MAINTAINER);
}

/// One thing that happens: an agent states something, or hears what another knows.
#[derive(Clone, Debug)]
enum Happens {
    Grant { by: usize, member: usize, role: Role },
    Revoke { by: usize, member: usize },
    Hear { who: usize, of: usize },
}

const AGENTS: usize = 5;

fn happens() -> impl Strategy<Value = Happens> {
    let roles = prop_oneof![3 => Just(Role::Maintainer), 1 => Just(Role::Worker)];
    prop_oneof![
        2 => (0..AGENTS, 0..AGENTS, roles)
            .prop_map(|(by, member, role)| Happens::Grant { by, member, role }),
        3 => (0..AGENTS, 0..AGENTS).prop_map(|(by, member)| Happens::Revoke { by, member }),
        3 => (0..AGENTS, 0..AGENTS).prop_map(|(who, of)| Happens::Hear { who, of }),
    ]
}

/// Returns the statements in another order in which each comes after all that it names.
fn shuffled(said: &[Signed], seed: u64) -> Vec<Signed> {
    let mut left: Vec<&Signed> = said.iter().collect();
    left.sort_by_key(|signed| {
        blake3::keyed_hash(&[7; 32], &[&seed.to_le_bytes(), &signed.hash().0[..]].concat())
            .to_string()
    });
    let mut charter = Charter::default();
    let mut order = Vec::new();
    while !left.is_empty() {
        let before = left.len();
        left.retain(|signed| {
            let is_next = charter.accept(signed, &StandInVerifier).is_ok();
            if is_next {
                order.push((*signed).clone());
            }
            !is_next
        });
        assert!(left.len() < before, "what was taken once is not taken in another order");
    }
    order
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn everybody_judges_alike_in_whatever_order_they_hear_it(
        story in proptest::collection::vec(happens(), 1..40),
        seed: u64,
    ) {
        let mut team = Team::of_maintainers(AGENTS as u64);
        let mut was_heard: Vec<Vec<Signed>> = vec![team.said.clone(); AGENTS];
        for happened in story {
            let (by, stated) = match happened {
                Happens::Grant { by, member, role } => (by, team.try_grant(by, member, role)),
                Happens::Revoke { by, member } => (by, team.try_revoke(by, member)),
                Happens::Hear { who, of } => {
                    for signed in was_heard[of].clone() {
                        team.known[who].accept(&signed, &StandInVerifier).unwrap();
                        if !was_heard[who].contains(&signed) {
                            was_heard[who].push(signed);
                        }
                    }
                    continue;
                }
            };
            if stated.is_ok() {
                was_heard[by].push(team.said.last().unwrap().clone());
            }
        }
        let roles = team.roles();
        let order = shuffled(&team.said, seed);
        let other = Charter::of_accepted(&order).unwrap();
        let one = &team.known[0];
        prop_assert_eq!(one.members(), other.members());
        prop_assert_eq!(one.heads(), other.heads());
        prop_assert_eq!(one.revoked().len(), other.revoked().len());
        for signed in &team.said {
            let heads = [signed.hash()];
            for agent in 0..AGENTS {
                let agent = team.id(agent);
                prop_assert_eq!(one.role_under(agent, &heads), other.role_under(agent, &heads));
            }
        }
        // What stands is the same whoever knows it, and whoever speaks against nobody is spoken against
        // by nobody: with no revocation, all keep what they had.
        if one.revocations == 0 {
            prop_assert!(roles.iter().all(|role| *role == MAINTAINER));
        }
    }

    #[test]
    fn a_revocation_that_stands_leaves_nothing_standing_that_it_voids(
        story in proptest::collection::vec(happens(), 1..60),
    ) {
        let mut team = Team::of_maintainers(AGENTS as u64);
        for happened in story {
            match happened {
                Happens::Grant { by, member, role } => drop(team.try_grant(by, member, role)),
                Happens::Revoke { by, member } => drop(team.try_revoke(by, member)),
                Happens::Hear { .. } => {}
            }
        }
        team.meet();
        let charter = &team.known[0];
        let stands = charter.standing(&charter.all());
        for revocation in stands.ones().filter(|place| charter.taken[*place].role.is_none()) {
            for void in stands.ones() {
                let (revokes, by) = (charter.taken[revocation].member, charter.taken[void].by);
                if revokes != by || !charter.voids(revocation, void) {
                    continue;
                }
                // Only where they are of one ring, and the one that is voided is the senior's.
                prop_assert!(charter.taken[void].role.is_none());
                let distances = (charter.taken[void].distance, charter.taken[revocation].distance);
                prop_assert!(distances.0 <= distances.1, "{distances:?}");
            }
        }
    }
}
