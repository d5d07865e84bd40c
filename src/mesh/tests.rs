mod flood;
mod noise;
mod swarm;

use std::collections::BTreeSet;
use std::time::Duration;

use x0x_tracker::id::AgentId;

use super::wire::{self, BroadcastId, Gossip, Message, Offer, PeerInfo, Priority, Scope, Swarm};
use super::*;

fn agent(number: u8) -> AgentId {
    AgentId([number; 32])
}

/// A gate that says the same of every payload.
struct Door {
    members: BTreeSet<AgentId>,
    verdict: Verdict,
    judged: Vec<Vec<u8>>,
}

impl Door {
    /// Members are 0 to 99.
    fn new() -> Self {
        let members = (0..100).map(agent).collect();
        Self { members, verdict: Verdict::Relay, judged: Vec::new() }
    }
}

impl Gate for Door {
    fn judge(&mut self, _from: AgentId, payload: &[u8]) -> Verdict {
        self.judged.push(payload.to_vec());
        self.verdict
    }

    fn is_member(&self, agent: AgentId) -> bool {
        self.members.contains(&agent)
    }
}

/// The mesh of agent 0, joined, in a world that the test makes up.
struct Bench {
    mesh: Mesh,
    door: Door,
    now: Duration,
}

impl Bench {
    fn new() -> Self {
        Self::with(MeshConfig::default())
    }

    fn with(config: MeshConfig) -> Self {
        let mesh = Mesh::new(agent(0), [1; 32], config);
        let mut bench = Self { mesh, door: Door::new(), now: Duration::from_secs(1_000) };
        assert_eq!(bench.input(Input::Join(Vec::new())), []);
        bench
    }

    fn try_input(&mut self, input: Input<'_>) -> (Result<(), MeshError>, Vec<Effect>) {
        let mut effects = Vec::new();
        let done = self.mesh.handle(self.now, input, &mut self.door, &mut effects);
        (done, effects)
    }

    fn input(&mut self, input: Input<'_>) -> Vec<Effect> {
        let (done, effects) = self.try_input(input);
        done.unwrap();
        effects
    }

    fn frame(&mut self, from: u8, message: &Message<'_>) -> Vec<Effect> {
        let frame = wire::write(message).unwrap();
        self.input(Input::Frame { from: agent(from), bytes: &frame })
    }

    fn gossip(&mut self, from: u8, gossip: Gossip<'_>) -> Vec<Effect> {
        self.frame(from, &Message::Gossip(gossip))
    }

    fn swarm(&mut self, from: u8, swarm: Swarm<'_>) -> Vec<Effect> {
        self.frame(from, &Message::Swarm(swarm))
    }

    /// Lets time pass, with a tick at each deadline.
    fn wait(&mut self, duration: Duration) -> Vec<Effect> {
        let end = self.now + duration;
        let mut effects = Vec::new();
        while let Some(deadline) = self.mesh.deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            effects.extend(self.input(Input::Tick));
        }
        self.now = end;
        effects
    }

    /// Makes an agent a neighbour, at its own wish, and lets the proto forget how.
    fn befriend(&mut self, number: u8) {
        let effects = self.swarm(number, Swarm::Neighbor { priority: Priority::High, data: None });
        assert!(effects.contains(&Effect::NeighbourUp(agent(number))), "{effects:?}");
    }
}

/// A broadcast as its author sends it.
struct Said {
    id: BroadcastId,
    content: Vec<u8>,
}

impl Said {
    fn new(nonce: u64, payload: &[u8]) -> Self {
        let content = [&nonce.to_be_bytes(), payload].concat();
        Self { id: *blake3::hash(&content).as_bytes(), content }
    }

    fn after(&self, hops: u16) -> Gossip<'_> {
        Gossip::Broadcast { id: self.id, content: &self.content, scope: Scope::Swarm(hops) }
    }

    fn offer(&self) -> Gossip<'static> {
        Gossip::IHave(vec![Offer { id: self.id, round: 1 }])
    }
}

/// Who is sent what, as the names of messages.
fn sent(effects: &[Effect]) -> Vec<(AgentId, Message<'_>)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Send { to, frame } => Some((*to, wire::read(frame).unwrap())),
            _ => None,
        })
        .collect()
}

fn is_delivered(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Deliver { .. }))
}

fn missed(from: u8) -> Effect {
    Effect::Missed { from: agent(from) }
}

fn node(number: u8) -> PeerInfo<'static> {
    PeerInfo { id: agent(number), data: None }
}

#[test]
fn a_mesh_can_move_to_another_thread() {
    fn check<T: Send + 'static>() {}
    check::<Mesh>();
}

#[test]
fn a_broadcast_above_64_kib_is_a_typed_error_and_nothing_changes() {
    let mut bench = Bench::new();
    bench.befriend(1);
    let before = (bench.mesh.held(), bench.mesh.deadline(), format!("{:?}", bench.mesh));
    let payload = vec![7; PAYLOAD_BYTES_MAX + 1];
    bench.now += Duration::from_secs(60);
    let (done, effects) = bench.try_input(Input::Broadcast(payload));
    let (bytes, bytes_max) = (PAYLOAD_BYTES_MAX + 1, PAYLOAD_BYTES_MAX);
    assert_eq!(done, Err(MeshError::TooLarge { bytes, bytes_max }));
    assert_eq!(effects, []);
    let after = (bench.mesh.held(), bench.mesh.deadline(), format!("{:?}", bench.mesh));
    assert!(before == after);
}

#[test]
fn the_largest_broadcast_is_sent_and_heard() {
    let mut bench = Bench::new();
    bench.befriend(1);
    let payload = vec![7; PAYLOAD_BYTES_MAX];
    let effects = bench.input(Input::Broadcast(payload.clone()));
    let [Effect::Send { to, frame }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(*to, agent(1));
    assert_eq!(payload_of(frame), Some(&payload[..]));
    let mut other = Bench::new();
    other.befriend(2);
    let said = Said::new(3, &payload);
    assert!(is_delivered(&other.gossip(2, said.after(HOPS_MAX))));
}

#[test]
fn what_the_gate_lets_pass_is_relayed_and_delivered_once() {
    let mut bench = Bench::new();
    bench.befriend(1);
    bench.befriend(2);
    let said = Said::new(1, b"news");
    let effects = bench.gossip(1, said.after(4));
    let relayed = vec![(agent(2), Message::Gossip(said.after(5)))];
    assert_eq!(sent(&effects), relayed);
    let payload = Bytes::from_static(b"news");
    assert!(effects.contains(&Effect::Deliver { from: agent(1), payload, hops: 4 }));
    let copy = bench.gossip(2, said.after(1));
    assert_eq!(sent(&copy), [(agent(2), Message::Gossip(Gossip::Prune))]);
    assert!(!is_delivered(&copy));
    assert_eq!(bench.door.judged, [b"news"], "a copy is not judged again");
}

#[test]
fn what_the_gate_refuses_is_neither_relayed_nor_delivered() {
    let mut bench = Bench::new();
    bench.befriend(1);
    bench.befriend(2);
    let said = Said::new(1, b"news");
    bench.door.verdict = Verdict::Refuse;
    assert_eq!(bench.gossip(1, said.after(0)), []);
    bench.door.verdict = Verdict::Breach;
    let breach = Effect::Breach { from: agent(1), breach: Breach::Payload };
    assert_eq!(bench.gossip(1, said.after(0)), [breach]);
    bench.door.verdict = Verdict::Relay;
    assert!(is_delivered(&bench.gossip(2, said.after(0))), "another copy is judged anew");
    assert_eq!(bench.door.judged.len(), 3);
}

#[test]
fn what_is_known_is_neither_relayed_nor_delivered_nor_asked_for() {
    let mut bench = Bench::new();
    for number in 1..=3 {
        bench.befriend(number);
    }
    let said = Said::new(1, b"news");
    assert_eq!(bench.gossip(2, said.offer()), []);
    bench.door.verdict = Verdict::Known;
    assert_eq!(bench.gossip(1, said.after(0)), []);
    assert_eq!(bench.gossip(3, said.after(0)), []);
    assert_eq!(bench.gossip(3, said.offer()), []);
    assert_eq!(bench.door.judged.len(), 1);
    let later = bench.wait(Duration::from_secs(20));
    assert!(sent(&later).is_empty() && !later.contains(&missed(2)), "{later:?}");
    assert_eq!(bench.mesh.held().offers, 0);
}

#[test]
fn a_broadcast_under_the_hash_of_another_is_a_breach_and_takes_nothing_from_that() {
    let mut bench = Bench::new();
    bench.befriend(1);
    bench.befriend(2);
    let said = Said::new(1, b"news");
    bench.gossip(2, said.offer());
    let breach = Effect::Breach { from: agent(1), breach: Breach::WrongId };
    for verdict in [Verdict::Relay, Verdict::Known] {
        bench.door.verdict = verdict;
        let forged = Said { id: said.id, content: b"12345678 payload".to_vec() };
        assert_eq!(bench.gossip(1, forged.after(0)), std::slice::from_ref(&breach));
        let held = bench.mesh.held();
        assert_eq!((held.kept, held.remembered, held.offers), (0, 0, 1));
    }
    bench.door.verdict = Verdict::Relay;
    assert!(is_delivered(&bench.gossip(2, said.after(0))));
}

#[test]
fn a_round_over_the_limit_is_pulled_and_no_blame_on_who_passed_it_on() {
    let mut bench = Bench::new();
    bench.befriend(1);
    bench.befriend(2);
    for round in [HOPS_MAX + 1, u16::MAX] {
        let said = Said::new(u64::from(round), b"news");
        assert_eq!(bench.gossip(1, said.after(round)), [missed(1)]);
        let offer = Gossip::IHave(vec![Offer { id: said.id, round }]);
        assert_eq!(bench.gossip(1, offer), [missed(1)]);
        assert_eq!(bench.gossip(1, Gossip::Graft { id: Some(said.id), round }), []);
    }
    let said = Said::new(1, b"news");
    let effects = bench.gossip(1, said.after(HOPS_MAX));
    assert_eq!(sent(&effects), [(agent(2), Message::Gossip(said.after(HOPS_MAX + 1)))]);
    assert_eq!(bench.door.judged.len(), 1);
}

#[test]
fn frames_that_break_the_protocol_are_reported_and_do_nothing_else() {
    let mut bench = Bench::new();
    bench.befriend(1);
    let prune = wire::write(&Message::Gossip(Gossip::Prune)).unwrap();
    for bytes in
        [&[][..], &[2, 1, 1], &[&prune[..], &[0]].concat(), &[1, 9], &vec![1; FRAME_BYTES_MAX + 1]]
    {
        let breach = wire::read(bytes).unwrap_err();
        let effects = bench.input(Input::Frame { from: agent(1), bytes });
        assert_eq!(effects, [Effect::Breach { from: agent(1), breach }]);
    }
    assert!(bench.mesh.neighbours().contains(&agent(1)));
}

#[test]
fn strangers_are_not_listened_to() {
    let mut bench = Bench::new();
    let said = Said::new(1, b"news");
    for from in [200, 0] {
        assert_eq!(bench.swarm(from, Swarm::Join(None)), []);
        let asks = Swarm::Neighbor { priority: Priority::High, data: None };
        assert_eq!(bench.swarm(from, asks), []);
        assert_eq!(bench.gossip(from, said.after(0)), []);
    }
    assert_eq!(bench.mesh.tally().strangers_total, 6);
    assert_eq!((bench.mesh.neighbours().len(), bench.mesh.held().peers), (0, 0));
}

#[test]
fn gossip_from_outside_the_active_view_is_dropped_and_pulled() {
    let mut bench = Bench::new();
    for number in 1..=5 {
        bench.befriend(number);
    }
    let said = Said::new(1, b"news");
    for gossip in [said.after(0), said.offer()] {
        let effects = bench.gossip(9, gossip);
        assert_eq!(effects[0], missed(9));
        assert!(!is_delivered(&effects));
        let farewell = Message::Swarm(Swarm::Disconnect { alive: true, respond: false });
        assert!(sent(&effects).contains(&(agent(9), farewell)), "it is told that it is none");
        assert!(!effects.contains(&Effect::NeighbourUp(agent(9))));
    }
    assert_eq!(bench.door.judged.len(), 0);
    assert_eq!(sent(&bench.wait(Duration::from_secs(3))), [], "nothing is asked of it");
}

#[test]
fn a_member_that_believes_it_is_a_neighbour_becomes_one_where_there_is_room() {
    let mut bench = Bench::new();
    let effects = bench.gossip(9, Said::new(1, b"news").after(0));
    assert!(effects.contains(&missed(9)) && effects.contains(&Effect::NeighbourUp(agent(9))));
    let asks = Swarm::Neighbor { priority: Priority::Low, data: None };
    assert_eq!(sent(&effects), [(agent(9), Message::Swarm(asks))]);
    assert!(is_delivered(&bench.gossip(9, Said::new(2, b"news").after(0))));
}

#[test]
fn a_graft_from_outside_the_active_view_is_answered_by_nothing() {
    let mut bench = Bench::new();
    bench.befriend(1);
    let said = Said::new(1, b"news");
    bench.gossip(1, said.after(0));
    let graft = || Gossip::Graft { id: Some(said.id), round: 1 };
    assert_eq!(bench.gossip(9, graft()), []);
    let more = Said::new(2, b"more");
    assert_eq!(sent(&bench.gossip(1, more.after(0))), [], "it has not been let in");
    bench.befriend(9);
    let answer = bench.gossip(9, graft());
    assert_eq!(sent(&answer), [(agent(9), Message::Gossip(said.after(1)))]);
    bench.swarm(9, Swarm::Disconnect { alive: true, respond: false });
    assert_eq!(bench.gossip(9, graft()), [], "a late graft does not bring it back");
}

#[test]
fn walks_from_outside_the_active_view_go_no_further() {
    let mut bench = Bench::new();
    for number in 1..=5 {
        bench.befriend(number);
    }
    bench.wait(Duration::from_secs(6));
    let nodes = vec![node(30), node(31)];
    for walk in [
        Swarm::Shuffle { origin: agent(9), nodes, ttl: 6 },
        Swarm::ForwardJoin { peer: node(32), ttl: 6 },
    ] {
        let effects = bench.swarm(9, walk);
        assert!(sent(&effects).iter().all(|(to, _)| *to == agent(9)), "{effects:?}");
    }
    assert!(!format!("{:?}", bench.mesh).contains(&agent(30).short()));
}

#[test]
fn strangers_are_taken_out_of_walks() {
    let mut bench = Bench::new();
    bench.befriend(1);
    bench.befriend(2);
    assert_eq!(bench.swarm(1, Swarm::ForwardJoin { peer: node(200), ttl: 6 }), []);
    assert_eq!(bench.swarm(1, Swarm::ForwardJoin { peer: node(0), ttl: 0 }), []);
    let nodes = vec![node(200), node(30), node(0), node(201), node(31)];
    let from_stranger = Swarm::Shuffle { origin: agent(200), nodes: nodes.clone(), ttl: 6 };
    assert_eq!(bench.swarm(1, from_stranger), []);
    let effects = bench.swarm(1, Swarm::Shuffle { origin: agent(1), nodes: nodes.clone(), ttl: 6 });
    let kept = Swarm::Shuffle { origin: agent(1), nodes: vec![node(30), node(31)], ttl: 5 };
    assert_eq!(sent(&effects), [(agent(2), Message::Swarm(kept))]);
    bench.swarm(1, Swarm::ShuffleReply { nodes });
    bench.swarm(1, Swarm::Shuffle { origin: agent(2), nodes: vec![node(202)], ttl: 0 });
    for stranger in 200..=202 {
        let id = agent(stranger).short();
        assert!(!format!("{:?}", bench.mesh).contains(&id), "{stranger}");
    }
}

#[test]
fn who_is_no_member_any_more_is_not_asked_but_another_is() {
    let mut bench = Bench::new();
    bench.befriend(1);
    bench.wait(Duration::from_secs(6));
    // 30 is asked at once, 31 to 33 wait.
    bench.swarm(1, Swarm::ShuffleReply { nodes: (30..=33).map(node).collect() });
    bench.door.members.retain(|member| ![agent(31), agent(32), agent(30)].contains(member));
    let effects = bench.wait(Duration::from_secs(6));
    let asked: Vec<_> = sent(&effects).into_iter().map(|(to, _)| to).collect();
    assert_eq!(asked, [agent(33)]);
}

#[test]
fn equal_payloads_sent_twice_both_arrive() {
    let (mut author, mut reader) = (Bench::new(), Bench::new());
    author.befriend(1);
    reader.befriend(2);
    for _ in 0..2 {
        let effects = author.input(Input::Broadcast(b"again".to_vec()));
        let [Effect::Send { frame, .. }] = &effects[..] else { panic!("{effects:?}") };
        assert_eq!(payload_of(frame), Some(&b"again"[..]));
        let heard = reader.input(Input::Frame { from: agent(2), bytes: frame });
        assert!(is_delivered(&heard));
    }
}

#[test]
fn what_is_offered_and_does_not_come_is_asked_for_after_400_ms_and_of_the_next_after_200() {
    let mut bench = Bench::new();
    bench.befriend(1);
    bench.befriend(2);
    let said = Said::new(1, b"news");
    for number in [1, 2] {
        assert_eq!(bench.gossip(number, said.offer()), []);
    }
    let graft = |number| {
        let graft = Gossip::Graft { id: Some(said.id), round: 1 };
        vec![(agent(number), Message::Gossip(graft))]
    };
    assert_eq!(bench.wait(Duration::from_millis(399)), []);
    assert_eq!(sent(&bench.wait(Duration::from_millis(1))), graft(1));
    assert_eq!(bench.wait(Duration::from_millis(199)), []);
    assert_eq!(sent(&bench.wait(Duration::from_millis(1))), graft(2));
    assert_eq!(bench.wait(Duration::from_secs(4)), []);
    let given_up = bench.wait(Duration::from_secs(2));
    assert_eq!(given_up, [missed(1), missed(2)], "both are pulled from");
    assert!(!format!("{:?}", bench.mesh).contains("MessageId"), "nothing is kept of it");
}

#[test]
fn a_neighbour_that_is_detached_keeps_its_link() {
    let mut bench = Bench::new();
    for number in 1..=5 {
        bench.befriend(number);
    }
    let said = Said::new(1, b"news");
    bench.gossip(1, said.offer());
    let effects = bench.swarm(6, Swarm::Join(None));
    let gone = (1..=5).map(agent).find(|agent| !bench.mesh.neighbours().contains(agent)).unwrap();
    assert!(effects.contains(&Effect::NeighbourDown(gone)));
    assert!(effects.contains(&Effect::Detached(gone)));
    assert!(effects.contains(&Effect::NeighbourUp(agent(6))));
    assert_eq!(effects.contains(&missed(1)), gone == agent(1));
    // It may come back over the same link.
    let [_, 0..=31] = gone.0[..2] else { panic!() };
    bench.befriend(gone.0[0]);
}

#[test]
fn a_slow_neighbour_is_only_offered_broadcasts_until_it_asks_for_one() {
    let mut bench = Bench::new();
    bench.befriend(1);
    bench.befriend(2);
    assert_eq!(bench.input(Input::Slow(agent(1))), []);
    assert_eq!(bench.input(Input::Slow(agent(3))), [], "who is no neighbour stays none");
    let mut effects = bench.input(Input::Broadcast(b"news".to_vec()));
    effects.extend(bench.wait(Duration::from_secs(1)));
    let sent = sent(&effects);
    let to = |number: u8| sent.iter().filter(move |(to, _)| *to == agent(number));
    assert!(to(2).any(|(_, said)| matches!(said, Message::Gossip(Gossip::Broadcast { .. }))));
    let offered: Vec<_> = to(1).collect();
    let [(_, Message::Gossip(Gossip::IHave(offers)))] = offered[..] else { panic!("{offered:?}") };
    let graft = Gossip::Graft { id: Some(offers[0].id), round: offers[0].round };
    let answered = bench.gossip(1, graft);
    let is_sent = |said: &Message<'_>| matches!(said, Message::Gossip(Gossip::Broadcast { .. }));
    assert!(self::sent(&answered).iter().any(|(to, said)| *to == agent(1) && is_sent(said)));
    assert!(bench.mesh.neighbours().contains(&agent(1)));
}

#[test]
fn a_neighbour_that_is_too_slow_rests_for_a_while_and_is_told_so() {
    let mut bench = Bench::new();
    bench.befriend(1);
    let is_farewell = |effects: &[Effect]| {
        let farewell = Message::Swarm(Swarm::Disconnect { alive: true, respond: false });
        sent(effects).contains(&(agent(1), farewell))
    };
    assert_eq!(bench.input(Input::TooSlow(agent(3))), [], "who is no neighbour stays none");
    let effects = bench.input(Input::TooSlow(agent(1)));
    assert!(is_farewell(&effects), "{effects:?}");
    assert!(effects.contains(&Effect::NeighbourDown(agent(1))));
    // Whatever it says or asks, it is none, and so it is if this side would like to join through it.
    let said = Said::new(1, b"news");
    assert_eq!(bench.gossip(1, said.after(0)), [missed(1)], "its news is pulled");
    bench.wait(Duration::from_secs(1));
    let effects = bench.gossip(1, said.after(0));
    assert!(is_farewell(&effects) && effects.contains(&missed(1)));
    for swarm in [Swarm::Join(None), Swarm::Neighbor { priority: Priority::High, data: None }] {
        assert_eq!(bench.swarm(1, swarm.clone()), [], "it was told so just now");
        bench.wait(Duration::from_secs(1));
        let effects = bench.swarm(1, swarm);
        assert!(is_farewell(&effects) && effects.len() == 1, "{effects:?}");
    }
    assert_eq!(bench.mesh.held().resting, 1);
    assert_eq!(bench.input(Input::Join(vec![agent(1)])), []);
    bench.befriend(2);
    let walk = Swarm::ForwardJoin { peer: node(1), ttl: 0 };
    assert!(sent(&bench.swarm(2, walk)).iter().all(|(to, _)| *to != agent(1)));
    bench.wait(Duration::from_secs(26));
    assert!(!bench.mesh.neighbours().contains(&agent(1)));
    bench.wait(Duration::from_secs(2));
    assert_eq!(bench.mesh.held().resting, 0);
    bench.befriend(1);
    // A link that was lost ends the rest: what was slow about it may be over.
    bench.input(Input::TooSlow(agent(1)));
    bench.input(Input::LinkDown(agent(1)));
    bench.befriend(1);
}

#[test]
fn a_frame_tells_by_its_first_bytes_what_it_is_for() {
    let said = Said::new(1, b"news");
    let of = |message: Message<'_>| purpose_of(&wire::write(&message).unwrap());
    let swarm = |swarm| of(Message::Swarm(swarm));
    let gossip = |gossip| of(Message::Gossip(gossip));
    for member in [
        Swarm::Join(None),
        Swarm::ForwardJoin { peer: node(1), ttl: 1 },
        Swarm::Neighbor { priority: Priority::High, data: None },
    ] {
        assert_eq!(swarm(member), Some(Purpose::Membership));
    }
    let farewell = Swarm::Disconnect { alive: true, respond: false };
    assert_eq!(swarm(farewell), Some(Purpose::Farewell));
    let shuffle = Swarm::Shuffle { origin: agent(1), nodes: vec![], ttl: 1 };
    assert_eq!(swarm(shuffle), Some(Purpose::Walk));
    assert_eq!(swarm(Swarm::ShuffleReply { nodes: vec![] }), Some(Purpose::Walk));
    assert_eq!(gossip(said.after(0)), Some(Purpose::Broadcast));
    assert_eq!(gossip(Gossip::Prune), Some(Purpose::Membership));
    assert_eq!(gossip(Gossip::Graft { id: None, round: 1 }), Some(Purpose::Request));
    assert_eq!(gossip(said.offer()), Some(Purpose::Offer));
    assert_eq!((purpose_of(&[]), purpose_of(&[wire::VERSION, 1, 4])), (None, None));
    let is_own =
        |hops| is_from_its_author(&wire::write(&Message::Gossip(said.after(hops))).unwrap());
    assert!(is_own(0) && !is_own(1));
}

#[test]
fn a_failed_call_makes_it_ask_another() {
    let mut bench = Bench::new();
    bench.befriend(1);
    bench.befriend(2);
    bench.wait(Duration::from_secs(6));
    bench.swarm(1, Swarm::ShuffleReply { nodes: (30..=33).map(node).collect() });
    bench.wait(Duration::from_millis(100));
    let mut asked = BTreeSet::new();
    let mut effects = bench.input(Input::LinkDown(agent(2)));
    while let [(to, Message::Swarm(Swarm::Neighbor { .. }))] = sent(&effects)[..] {
        assert!(asked.insert(to), "{to} is asked again");
        effects = bench.input(Input::LinkDown(to));
    }
    assert!(asked.len() >= 3, "{asked:?}");
    assert_eq!(*bench.mesh.neighbours(), BTreeSet::from([agent(1)]));
}

#[test]
fn who_does_not_answer_is_given_up_and_another_is_asked() {
    let mut bench = Bench::new();
    bench.befriend(1);
    bench.wait(Duration::from_secs(6));
    let effects = bench.swarm(1, Swarm::ShuffleReply { nodes: (30..=33).map(node).collect() });
    let mut asked: BTreeSet<_> = sent(&effects).into_iter().map(|(to, _)| to).collect();
    assert_eq!(asked.len(), 1);
    let effects = bench.wait(Duration::from_secs(30));
    asked.extend(sent(&effects).into_iter().map(|(to, _)| to));
    assert_eq!(asked, (30..=33).map(agent).collect());
    assert_eq!(bench.mesh.held().asked, 0);
}

#[test]
fn who_takes_leave_is_not_asked_to_come_back() {
    let mut bench = Bench::new();
    for number in 1..=5 {
        bench.befriend(number);
    }
    bench.wait(Duration::from_secs(6));
    assert_eq!(bench.swarm(1, Swarm::ShuffleReply { nodes: vec![node(30), node(31)] }), []);
    bench.swarm(30, Swarm::Disconnect { alive: false, respond: false });
    bench.swarm(31, Swarm::Disconnect { alive: true, respond: false });
    let effects = bench.swarm(1, Swarm::Disconnect { alive: false, respond: false });
    let later = bench.wait(Duration::from_secs(30));
    let asked: Vec<_> = sent(&effects).iter().chain(&sent(&later)).map(|(to, _)| *to).collect();
    assert_eq!(asked, [agent(31)]);
}

#[test]
fn an_answer_does_not_count_as_a_neighbour_to_come_for_ever() {
    let mut bench = Bench::new();
    // Each of the three was answered, and the proto awaits a word of each: three and three are more than
    // five.
    for number in 1..=3 {
        bench.befriend(number);
    }
    assert_eq!(bench.swarm(1, Swarm::ShuffleReply { nodes: vec![node(30)] }), []);
    let effects = bench.wait(Duration::from_secs(7));
    let asks = Swarm::Neighbor { priority: Priority::Low, data: None };
    assert_eq!(sent(&effects), [(agent(30), Message::Swarm(asks))]);
}

#[test]
fn who_was_dropped_and_asks_again_is_answered() {
    let mut bench = Bench::new();
    for number in 1..=6 {
        bench.befriend(number);
    }
    let gone = (1..=6).find(|number| !bench.mesh.neighbours().contains(&agent(*number))).unwrap();
    let effects = bench.swarm(gone, Swarm::Neighbor { priority: Priority::High, data: None });
    let answers = Swarm::Neighbor { priority: Priority::High, data: None };
    assert!(sent(&effects).contains(&(agent(gone), Message::Swarm(answers))), "{effects:?}");
}

#[test]
fn a_mesh_that_lost_everybody_joins_again() {
    let mut bench = Bench::new();
    let effects = bench.input(Input::Join(vec![agent(1), agent(0), agent(200), agent(2)]));
    let joins = |numbers: &[u8]| -> Vec<_> {
        numbers.iter().map(|n| (agent(*n), Message::Swarm(Swarm::Join(None)))).collect()
    };
    assert_eq!(sent(&effects), joins(&[1, 2]), "neither itself nor strangers");
    bench.befriend(1);
    bench.befriend(2);
    assert_eq!(sent(&bench.input(Input::Join(vec![agent(1)]))), [], "it is a neighbour");
    bench.input(Input::LinkDown(agent(1)));
    let effects = bench.input(Input::LinkDown(agent(2)));
    assert!(effects.contains(&Effect::NeighbourDown(agent(2))));
    assert!(bench.mesh.neighbours().is_empty());
    assert_eq!(sent(&bench.wait(Duration::from_secs(60))), [], "it knows nobody");
    assert_eq!(sent(&bench.input(Input::Join(vec![agent(3)]))), joins(&[3]));
    bench.befriend(3);
    let contacts = (10..30).map(agent).collect();
    assert_eq!(sent(&bench.input(Input::Join(contacts))).len(), 5, "no more than it wants");
}

#[test]
fn a_closed_mesh_says_and_hears_nothing() {
    let mut mesh = Mesh::new(agent(0), [1; 32], MeshConfig::default());
    assert_eq!(mesh.deadline(), None);
    let mut bench = Bench::new();
    std::mem::swap(&mut bench.mesh, &mut mesh);
    let (done, effects) = bench.try_input(Input::Broadcast(b"news".to_vec()));
    assert_eq!((done, effects), (Err(MeshError::NotJoined), vec![]));
    assert_eq!(bench.swarm(1, Swarm::Join(None)), []);
    assert_eq!(bench.input(Input::LinkDown(agent(1))), []);
    assert_eq!(bench.input(Input::Leave), []);
    assert_eq!((bench.mesh.deadline(), bench.mesh.held()), (None, Held::default()));
}

#[test]
fn leaving_takes_leave_and_leaves_nothing_behind() {
    let mut bench = Bench::new();
    for number in 1..=3 {
        bench.befriend(number);
    }
    bench.gossip(1, Said::new(1, b"news").after(0));
    let effects = bench.input(Input::Leave);
    for number in 1..=3 {
        let farewell = Swarm::Disconnect { alive: false, respond: false };
        assert!(sent(&effects).contains(&(agent(number), Message::Swarm(farewell))));
        assert!(effects.contains(&Effect::NeighbourDown(agent(number))));
    }
    assert_eq!((bench.mesh.deadline(), bench.mesh.held()), (None, Held::default()));
    assert_eq!(bench.swarm(1, Swarm::Join(None)), [], "it does not become a neighbour again");
    bench.input(Input::Join(vec![agent(1)]));
    bench.befriend(1);
    assert!(is_delivered(&bench.gossip(1, Said::new(2, b"news").after(0))));
}

#[test]
fn time_that_goes_back_counts_as_the_latest() {
    let mut bench = Bench::new();
    bench.befriend(1);
    bench.gossip(1, Said::new(1, b"news").offer());
    bench.now -= Duration::from_secs(900);
    bench.input(Input::Tick);
    let deadline = bench.mesh.deadline().unwrap();
    assert!(deadline >= Duration::from_secs(1_000));
}

#[test]
fn a_mesh_with_room_where_all_others_have_none_asks_seldom() {
    let mut bench = Bench::new();
    for number in 1..=3 {
        bench.befriend(number);
    }
    bench.wait(Duration::from_secs(6));
    let nodes: Vec<_> = (30..=37).map(node).collect();
    let mut effects = bench.swarm(1, Swarm::ShuffleReply { nodes });
    let (mut asked, minutes) = (0, 5);
    let end = bench.now + Duration::from_secs(60) * minutes;
    while bench.now < end {
        let questions: Vec<AgentId> = sent(&effects)
            .into_iter()
            .filter(|(_, word)| matches!(word, Message::Swarm(Swarm::Neighbor { .. })))
            .map(|(to, _)| to)
            .collect();
        asked += questions.len();
        effects = bench.wait(Duration::from_millis(2));
        for to in questions {
            // Who refuses tells of others first.
            let nodes = (30..=37).map(node).collect();
            effects.extend(bench.swarm(to.0[0], Swarm::ShuffleReply { nodes }));
            let word = Swarm::Disconnect { alive: true, respond: false };
            effects.extend(bench.swarm(to.0[0], word));
        }
    }
    let most = 12 + 3 * minutes as usize;
    assert!((most / 2..=most).contains(&asked), "{asked}");
}
