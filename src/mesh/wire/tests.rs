use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use iroh_gossip::proto::topic::{Command, InEvent, OutEvent, State};
use iroh_gossip::proto::{self, Scope as Reach};

use super::*;
use crate::mesh::MeshConfig;
use crate::{entropy, time};

fn agent(number: u8) -> AgentId {
    AgentId([number; 32])
}

fn node(id: AgentId) -> PeerInfo<'static> {
    PeerInfo { id, data: None }
}

/// One of each, with its frame in hex.
fn one_of_each() -> Vec<(&'static str, Message<'static>, String)> {
    let (a, b) = ("0a".repeat(32), "0b".repeat(32));
    let swarm = |swarm, rest: &str| (Message::Swarm(swarm), format!("0100{rest}"));
    let gossip = |gossip, rest: &str| (Message::Gossip(gossip), format!("0101{rest}"));
    let nodes = vec![node(agent(11)), node(agent(10))];
    let offers = vec![Offer { id: [10; 32], round: 5 }, Offer { id: [11; 32], round: HOPS_MAX }];
    let broadcast =
        Gossip::Broadcast { id: [10; 32], content: b"8 bytes, payload", scope: Scope::Swarm(300) };
    let content = "382062797465732c207061796c6f6164";
    [
        ("Join", swarm(Swarm::Join(None), "0000")),
        (
            "ForwardJoin",
            swarm(Swarm::ForwardJoin { peer: node(agent(10)), ttl: 6 }, &format!("01{a}0006")),
        ),
        (
            "Shuffle",
            swarm(
                Swarm::Shuffle { origin: agent(10), nodes: nodes.clone(), ttl: 3 },
                &format!("02{a}02{b}00{a}0003"),
            ),
        ),
        ("ShuffleReply", swarm(Swarm::ShuffleReply { nodes }, &format!("0302{b}00{a}00"))),
        ("Neighbor", swarm(Swarm::Neighbor { priority: Priority::High, data: None }, "040000")),
        ("Neighbor", swarm(Swarm::Neighbor { priority: Priority::Low, data: None }, "040100")),
        ("Disconnect", swarm(Swarm::Disconnect { alive: true, respond: false }, "050100")),
        ("Gossip", gossip(broadcast, &format!("00{a}10{content}00ac02"))),
        ("Prune", gossip(Gossip::Prune, "01")),
        ("Graft", gossip(Gossip::Graft { id: None, round: 0 }, "020000")),
        ("Graft", gossip(Gossip::Graft { id: Some([11; 32]), round: 7 }, &format!("0201{b}07"))),
        ("IHave", gossip(Gossip::IHave(offers), &format!("0302{a}05{b}ff07"))),
    ]
    .into_iter()
    .map(|(name, (message, hex))| (name, message, hex))
    .collect()
}

#[test]
fn the_bytes_of_every_message_are_frozen() {
    for (name, message, hex) in one_of_each() {
        let frame = write(&message).unwrap();
        assert_eq!(data_encoding::HEXLOWER.encode(&frame), hex, "{name}");
        assert_eq!(read(&frame), Ok(message), "{name}");
    }
}

#[test]
fn the_mirror_is_read_by_the_proto_and_written_back_alike() {
    for (name, message, _) in one_of_each() {
        let frame = write(&message).unwrap();
        let theirs = to_proto(&frame).unwrap();
        assert!(format!("{theirs:?}").contains(&format!("({name}")), "{name}: {theirs:?}");
        assert_eq!(write(&theirs).unwrap(), frame, "{name}");
    }
}

/// What two to four agents say to each other in the course of a life.
fn spoken() -> Vec<proto::topic::Message<AgentId>> {
    let config = MeshConfig { active_view: 2, ..MeshConfig::default() }.proto();
    let origin = time::origin();
    let mut states: BTreeMap<AgentId, _> = (0..4)
        .map(|n| {
            let rng = entropy::seeded([n; 32]);
            (agent(n), State::with_rng(agent(n), None, config.clone(), rng))
        })
        .collect();
    let join = |n, contact| (agent(n), InEvent::Command(Command::Join(vec![agent(contact)])));
    let say = |n, text: &'static [u8]| {
        let command = Command::Broadcast(Bytes::from_static(text), Reach::Swarm);
        (agent(n), InEvent::Command(command))
    };
    let acts = [
        vec![join(0, 1), join(2, 1), join(3, 2)],
        vec![say(0, b"........one"), say(1, b"........two"), say(2, b"........three")],
        vec![say(3, b"........four"), say(0, b"........five")],
        vec![(agent(2), InEvent::Command(Command::Quit))],
    ];
    let mut spoken = Vec::new();
    let mut now = Duration::ZERO;
    for act in acts {
        // Timers and messages take one step each; a payload is lost, so that it is asked for.
        let mut queue: Vec<_> = act;
        for _ in 0..200 {
            now += Duration::from_millis(500);
            for (to, event) in std::mem::take(&mut queue) {
                let state = states.get_mut(&to).unwrap();
                for out in state.handle(event, origin + now).collect::<Vec<_>>() {
                    match out {
                        OutEvent::SendMessage(peer, message) => {
                            let is_lost = format!("{message:?}").contains("(Gossip(Gossip")
                                && spoken.len() % 3 == 0;
                            spoken.push(message.clone());
                            if !is_lost {
                                queue.push((peer, InEvent::RecvMessage(to, message)));
                            }
                        }
                        OutEvent::ScheduleTimer(_, timer) => {
                            queue.push((to, InEvent::TimerExpired(timer)));
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    spoken
}

#[test]
fn the_mirror_agrees_with_every_message_that_the_proto_says() {
    let spoken = spoken();
    for theirs in &spoken {
        let frame = write(theirs).unwrap();
        let ours = read(&frame).unwrap_or_else(|breach| panic!("{breach}: {theirs:?}"));
        assert_eq!(write(&ours).unwrap(), frame);
    }
    for (name, ..) in one_of_each() {
        let is_there = |theirs: &&_| format!("{theirs:?}").contains(&format!("({name}"));
        assert!(spoken.iter().find(is_there).is_some(), "nobody said {name}");
    }
}

#[test]
fn a_frame_that_is_not_one_message_of_this_version_is_a_breach() {
    let good = write(&Message::Gossip(Gossip::Prune)).unwrap();
    assert_eq!(read(&[]), Err(Breach::Malformed));
    assert_eq!(read(&[VERSION]), Err(Breach::Malformed));
    assert_eq!(read(&[2, 1, 1]), Err(Breach::OtherVersion { found: 2 }));
    assert_eq!(read(&[VERSION, 2]), Err(Breach::Malformed), "there is no third plane");
    assert_eq!(read(&[&good[..], &[0, 0]].concat()), Err(Breach::Leftover { bytes: 2 }));
    let bytes = FRAME_BYTES_MAX + 1;
    assert_eq!(read(&vec![VERSION; bytes]), Err(Breach::TooLong { bytes }));
    for (_, message, _) in one_of_each() {
        let frame = write(&message).unwrap();
        for end in 0..frame.len() {
            read(&frame[..end]).unwrap_err();
        }
    }
}

#[test]
fn what_a_message_says_has_limits() {
    let breach = |message: Message<'_>| read(&write(&message).unwrap()).err();
    let swarm = |swarm| breach(Message::Swarm(swarm));
    let gossip = |gossip| breach(Message::Gossip(gossip));
    let data = Some(&b"data"[..]);
    let told = PeerInfo { id: agent(1), data };
    let (origin, hops) = (agent(1), WALK_MAX + 1);
    for (found, expected) in [
        (swarm(Swarm::Join(data)), Breach::PeerData),
        (swarm(Swarm::Neighbor { priority: Priority::Low, data }), Breach::PeerData),
        (swarm(Swarm::ForwardJoin { peer: told.clone(), ttl: 1 }), Breach::PeerData),
        (swarm(Swarm::ShuffleReply { nodes: vec![told.clone()] }), Breach::PeerData),
        (swarm(Swarm::Shuffle { origin, nodes: vec![told], ttl: 1 }), Breach::PeerData),
        (swarm(Swarm::ForwardJoin { peer: node(origin), ttl: hops }), Breach::LongWalk { hops }),
        (swarm(Swarm::Shuffle { origin, nodes: vec![], ttl: hops }), Breach::LongWalk { hops }),
        (
            gossip(Gossip::Broadcast { id: [0; 32], content: &[0; 9], scope: Scope::Neighbors }),
            Breach::NeighboursOnly,
        ),
        (
            gossip(Gossip::Broadcast { id: [0; 32], content: &[0; 7], scope: Scope::Swarm(0) }),
            Breach::NoNonce,
        ),
        (
            gossip(Gossip::Broadcast {
                id: [0; 32],
                content: &[0; PAYLOAD_BYTES_MAX + NONCE_BYTES + 1],
                scope: Scope::Swarm(0),
            }),
            Breach::TooLong { bytes: PAYLOAD_BYTES_MAX + NONCE_BYTES + 1 },
        ),
    ] {
        assert_eq!(found, Some(expected));
    }
}

#[test]
fn a_shuffle_of_more_than_16_and_offers_of_more_than_128_are_breaches() {
    for count in [SHUFFLE_MAX, SHUFFLE_MAX + 1] {
        let nodes = vec![node(agent(1)); count];
        let breach = Breach::TooMany { count, count_max: SHUFFLE_MAX };
        let expected = (count > SHUFFLE_MAX).then_some(breach);
        for swarm in [
            Swarm::Shuffle { origin: agent(1), nodes: nodes.clone(), ttl: 1 },
            Swarm::ShuffleReply { nodes: nodes.clone() },
        ] {
            assert_eq!(read(&write(&Message::Swarm(swarm)).unwrap()).err(), expected);
        }
    }
    for count in [OFFERS_PER_FRAME_MAX, OFFERS_PER_FRAME_MAX + 1] {
        let offers = Gossip::IHave(vec![Offer { id: [1; 32], round: u16::MAX }; count]);
        let breach = Breach::TooMany { count, count_max: OFFERS_PER_FRAME_MAX };
        let expected = (count > OFFERS_PER_FRAME_MAX).then_some(breach);
        assert_eq!(read(&write(&Message::Gossip(offers)).unwrap()).err(), expected);
    }
}

#[test]
fn the_payload_of_a_broadcast_can_be_seen_beforehand() {
    for (name, message, _) in one_of_each() {
        let frame = write(&message).unwrap();
        assert_eq!(payload_of(&frame), (name == "Gossip").then_some(&b" payload"[..]), "{name}");
    }
    assert_eq!(payload_of(b"nonsense"), None);
}

#[test]
fn hops_are_read_as_the_proto_counts_them() {
    let scope = |scope| postcard::from_bytes(&postcard::to_stdvec(&scope).unwrap()).unwrap();
    for hops in [0, 1, 300, HOPS_MAX] {
        assert_eq!(hops_of(&scope(Scope::Swarm(hops))), hops);
        assert_eq!(Scope::Swarm(hops).hops(), Some(hops));
    }
    assert_eq!(Scope::Swarm(HOPS_MAX + 1).hops(), None);
}
