use super::*;
use crate::entropy::{self, Seeded};

fn below(generator: &mut Seeded, end: usize) -> usize {
    usize::try_from(u64::from_be_bytes(entropy::draw(generator)) % end as u64).unwrap()
}

/// A message in good form, about agents of which some are strangers.
fn message<'a>(generator: &mut Seeded, said: &'a [Said]) -> Message<'a> {
    let number = |generator: &mut Seeded| {
        let [number] = entropy::draw(generator);
        if number < 60 { 200 + number % 9 } else { number % 12 }
    };
    let nodes = |generator: &mut Seeded| -> Vec<_> {
        (0..below(generator, SHUFFLE_MAX + 1)).map(|_| node(number(generator))).collect()
    };
    let ttl = u16::try_from(below(generator, 7)).unwrap();
    let said = &said[below(generator, said.len())];
    let hops = [0, 1, 7, 40, HOPS_MAX, HOPS_MAX + 1, u16::MAX][below(generator, 7)];
    let priority = if ttl % 2 == 0 { Priority::High } else { Priority::Low };
    match below(generator, 12) {
        0 => Message::Swarm(Swarm::Join(None)),
        1 => Message::Swarm(Swarm::ForwardJoin { peer: node(number(generator)), ttl }),
        2 => {
            let (origin, nodes) = (agent(number(generator)), nodes(generator));
            Message::Swarm(Swarm::Shuffle { origin, nodes, ttl })
        }
        3 => Message::Swarm(Swarm::ShuffleReply { nodes: nodes(generator) }),
        4 => Message::Swarm(Swarm::Neighbor { priority, data: None }),
        5 => Message::Swarm(Swarm::Disconnect { alive: ttl % 2 == 0, respond: false }),
        6..=8 => Message::Gossip(said.after(hops)),
        9 => Message::Gossip(Gossip::Prune),
        10 => Message::Gossip(Gossip::Graft { id: (ttl > 1).then_some(said.id), round: hops }),
        _ => Message::Gossip(Gossip::IHave(vec![Offer { id: said.id, round: hops }; 5])),
    }
}

/// Changes a frame here and there.
fn mutate(generator: &mut Seeded, frame: &mut Vec<u8>) {
    for _ in 0..=below(generator, 3) {
        let [byte] = entropy::draw(generator);
        let at = below(generator, frame.len().max(1));
        match below(generator, 4) {
            0 => frame.truncate(at),
            1 => frame.insert(at.min(frame.len()), byte),
            _ if frame.is_empty() => {}
            2 => frame[at] = byte,
            _ => frame[at] ^= 1 << (byte % 8),
        }
    }
}

/// Checks that effects are of the kind that frames may have, whatever they say.
fn check(bench: &Bench, effects: &[Effect], judged: usize) {
    let new = &bench.door.judged[judged..];
    for effect in effects {
        match effect {
            Effect::Send { to, frame } => {
                assert!(bench.door.is_member(*to) && *to != agent(0), "sent to {to}");
                assert!(frame.len() <= FRAME_BYTES_MAX);
                wire::read(frame).unwrap();
            }
            Effect::Deliver { payload, hops, .. } => {
                assert!(
                    new.iter().any(|judged| judged == payload),
                    "delivered without being judged"
                );
                assert!(*hops <= HOPS_MAX);
            }
            Effect::NeighbourUp(peer)
            | Effect::NeighbourDown(peer)
            | Effect::Detached(peer)
            | Effect::Missed { from: peer } => {
                assert!(bench.door.is_member(*peer) && *peer != agent(0));
            }
            Effect::Breach { .. } => assert_eq!(effects.len(), 1),
        }
    }
    assert!(bench.mesh.neighbours().len() <= 5);
    assert!(bench.mesh.neighbours().iter().all(|peer| bench.door.is_member(*peer)));
}

fn rattle(seed: u8, rounds: usize, make: impl Fn(&mut Seeded, &[Said]) -> Vec<u8>) -> Tally {
    let mut generator = entropy::seeded([seed; 32]);
    let mut bench = Bench::new();
    let said: Vec<_> = (0..40).map(|nonce| Said::new(nonce, b"some payload")).collect();
    for _ in 0..rounds {
        let from = u8::try_from(below(&mut generator, 10)).unwrap();
        let bytes = make(&mut generator, &said);
        let verdicts = [Verdict::Relay, Verdict::Relay, Verdict::Known, Verdict::Refuse];
        bench.door.verdict = verdicts[below(&mut generator, 4)];
        // What is due first has effects of its own.
        let effects = bench.wait(Duration::from_millis(below(&mut generator, 60) as u64));
        check(&bench, &effects, bench.door.judged.len());
        let judged = bench.door.judged.len();
        let effects = bench.input(Input::Frame { from: agent(from), bytes: &bytes });
        check(&bench, &effects, judged);
        if below(&mut generator, 50) == 0 {
            let effects = bench.input(Input::LinkDown(agent(from)));
            check(&bench, &effects, bench.door.judged.len());
        }
    }
    bench.mesh.tally()
}

#[test]
fn random_bytes_do_nothing_but_be_reported() {
    let mut generator = entropy::seeded([1; 32]);
    let mut bench = Bench::new();
    bench.befriend(1);
    for _ in 0..20_000 {
        let mut bytes: Vec<u8> = entropy::draw::<96>(&mut generator).to_vec();
        bytes.truncate(below(&mut generator, 97));
        if let [version, plane, ..] = &mut bytes[..] {
            (*version, *plane) = (wire::VERSION, *plane % 3);
        }
        let judged = bench.door.judged.len();
        let effects = bench.input(Input::Frame { from: agent(1), bytes: &bytes });
        check(&bench, &effects, judged);
        assert!(wire::read(&bytes).is_ok() || effects.len() == 1);
    }
}

#[test]
fn frames_in_good_form_and_bad_order_never_panic() {
    let tally =
        rattle(2, 20_000, |generator, said| wire::write(&message(generator, said)).unwrap());
    assert!(tally.outsiders_total > 100 && tally.known_total > 10 && tally.refused_total > 10);
}

#[test]
fn mutated_frames_never_panic() {
    rattle(3, 20_000, |generator, said| {
        let mut frame = wire::write(&message(generator, said)).unwrap();
        mutate(generator, &mut frame);
        frame
    });
}
