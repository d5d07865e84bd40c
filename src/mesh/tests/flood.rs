use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Five neighbours, and time for the proto to forget how they came.
fn crowd(config: MeshConfig) -> Bench {
    let mut bench = Bench::with(config);
    for number in 1..=5 {
        bench.befriend(number);
    }
    bench.wait(SECOND * 6);
    bench
}

/// How often the proto's state names a broadcast, anywhere.
fn notes_of_broadcasts(bench: &Bench) -> usize {
    format!("{:?}", bench.mesh).matches("MessageId(").count()
}

#[test]
fn a_flood_of_offers_meets_a_bound() {
    let mut bench = crowd(MeshConfig { offers_max: 100, ..MeshConfig::default() });
    let (mut timers, mut number) = (0, 0_u64);
    for round in 0..1_000_u64 {
        let from = 1 + u8::try_from(round % 5).unwrap();
        let offers = (0..OFFERS_PER_FRAME_MAX).map(|_| {
            number += 1;
            Offer { id: Said::new(number, b"").id, round: 1 }
        });
        let effects = bench.gossip(from, Gossip::IHave(offers.collect()));
        assert!(round < 5 || effects.contains(&missed(from)), "what is too much is pulled");
        let held = bench.mesh.held();
        assert!(held.offers <= 500, "{held:?}");
        timers = timers.max(held.timers);
        if round % 10 == 0 {
            bench.wait(SECOND / 20);
        }
    }
    assert_eq!(number, 128_000);
    assert!((500..=1_010).contains(&timers), "{timers}");
    assert!(bench.mesh.tally().throttled_total > 900);
    bench.wait(SECOND * 7);
    assert_eq!(bench.mesh.held().offers, 0);
    assert!(bench.mesh.held().timers < 5, "{:?}", bench.mesh.held());
    assert_eq!(notes_of_broadcasts(&bench), 0, "the proto keeps nothing of what never came");
}

#[test]
fn an_offer_repeated_counts_once() {
    let mut bench = crowd(MeshConfig::default());
    let before = bench.mesh.held().timers;
    for _ in 0..1_000 {
        let id = Said::new(1, b"").id;
        let offers = vec![Offer { id, round: 1 }; OFFERS_PER_FRAME_MAX];
        assert_eq!(bench.gossip(1, Gossip::IHave(offers)), []);
    }
    let held = bench.mesh.held();
    assert_eq!((held.offers, held.timers - before), (1, 1));
    assert!(notes_of_broadcasts(&bench) < 10);
    bench.wait(SECOND * 4);
    bench.gossip(1, Said::new(1, b"").offer());
    let given_up = bench.wait(SECOND * 2);
    assert!(given_up.contains(&missed(1)), "a repetition brings no more time");
}

#[test]
fn a_flood_of_broadcasts_is_kept_to_a_limit_and_the_rest_is_pulled() {
    let config = MeshConfig { kept_max: 200, kept_bytes_max: 10_000, ..MeshConfig::default() };
    let mut bench = crowd(config);
    for (payload, kept_max) in [(&b"small"[..], 200), (&[7; 1_000][..], 9)] {
        let mut delivered = 0;
        for nonce in 0..1_000 {
            let effects = bench.gossip(1, Said::new(nonce, payload).after(0));
            assert!(is_delivered(&effects) != effects.contains(&missed(1)));
            delivered += usize::from(is_delivered(&effects));
            assert!(bench.mesh.held().kept_bytes <= 10_000);
        }
        assert_eq!((delivered, bench.mesh.held().kept), (kept_max, kept_max));
        let (done, effects) = bench.try_input(Input::Broadcast(payload.to_vec()));
        assert_eq!(done, if payload.len() > 5 { Err(MeshError::Full) } else { done });
        assert_eq!(effects.is_empty(), done.is_err());
        bench.wait(SECOND * 12);
        assert_eq!((bench.mesh.held().kept, bench.mesh.held().kept_bytes), (0, 0));
    }
    assert_eq!(bench.mesh.tally().full_total, 2_000 - 209);
    bench.wait(SECOND * 40);
    assert_eq!((bench.mesh.held().remembered, notes_of_broadcasts(&bench)), (0, 0));
}

#[test]
fn the_proto_keeps_no_broadcast_longer_than_is_counted() {
    let mut bench = crowd(MeshConfig::default());
    for nonce in 0..50 {
        bench.gossip(1, Said::new(nonce, b"news").after(0));
        bench.wait(SECOND / 3);
        let kept = format!("{:?}", bench.mesh).matches("Gossip { id: ").count();
        assert!(kept <= bench.mesh.held().kept, "{kept} at {nonce}");
    }
    // A driver that sleeps through all its deadlines.
    bench.now += SECOND * 60;
    bench.input(Input::LinkDown(agent(77)));
    assert_eq!(format!("{:?}", bench.mesh).matches("Gossip { id: ").count(), 0);
}

#[test]
fn the_gate_is_asked_again_once_a_broadcast_is_forgotten() {
    let mut bench = crowd(MeshConfig::default());
    let said = Said::new(1, b"news");
    bench.gossip(1, said.after(0));
    for _ in 0..1_000 {
        bench.wait(SECOND / 10);
        let judged = bench.door.judged.len();
        let effects = bench.gossip(3, said.after(0));
        assert_eq!(is_delivered(&effects), bench.door.judged.len() > judged);
    }
    let times = 1 + 100 / 31;
    assert_eq!(bench.door.judged.len(), times, "once in 31 s");
}

#[test]
fn a_peer_has_only_so_much_sent_again() {
    let mut bench = crowd(MeshConfig::default());
    let said = Said::new(1, &[7; 60_000]);
    bench.gossip(1, said.after(0));
    let graft = || Gossip::Graft { id: Some(said.id), round: 1 };
    let answered = |bench: &mut Bench, from| {
        (0..1_000).filter(|_| !sent(&bench.gossip(from, graft())).is_empty()).count()
    };
    let (burst, second) = (4 << 20, 1 << 20);
    assert_eq!(answered(&mut bench, 2), burst / 60_008);
    assert_eq!(answered(&mut bench, 3), burst / 60_008, "each has its own");
    bench.wait(SECOND);
    assert_eq!(answered(&mut bench, 2), (burst % 60_008 + second) / 60_008);
}

#[test]
fn a_peer_may_say_only_so_much_about_neighbours() {
    let mut bench = crowd(MeshConfig::default());
    let mut sent_total = 0;
    for round in 0..10_000_u32 {
        let number = 10 + u8::try_from(round % 80).unwrap();
        let effects = bench.swarm(1, Swarm::ForwardJoin { peer: node(number), ttl: 6 });
        sent_total += sent(&effects).len();
    }
    assert_eq!(sent_total, 256);
    let farewell = Swarm::Disconnect { alive: true, respond: false };
    let effects = bench.swarm(1, farewell);
    assert!(effects.contains(&Effect::NeighbourDown(agent(1))), "a farewell always counts");
}

#[test]
fn account_is_kept_of_few_and_for_a_while() {
    let mut bench = crowd(MeshConfig { peers_max: 8, ..MeshConfig::default() });
    for number in 10..100 {
        bench.swarm(number, Swarm::ShuffleReply { nodes: vec![node(99)] });
        assert!(bench.mesh.held().peers <= 8);
    }
    assert_eq!(bench.mesh.tally().throttled_total, 87);
    bench.wait(SECOND * 20);
    assert_eq!(bench.mesh.held().peers, 5, "the neighbours");
}

#[test]
fn agents_that_never_answer_are_not_kept() {
    let mut bench = Bench::new();
    bench.befriend(1);
    for number in 2..100 {
        bench.swarm(1, Swarm::ForwardJoin { peer: node(number), ttl: 0 });
        assert!(bench.mesh.held().asked < 100);
    }
    bench.wait(SECOND * 30);
    assert_eq!(bench.mesh.held().asked, 0);
    let state = format!("{:?}", bench.mesh);
    let pending = state.split("pending_neighbor_requests: ").nth(1).unwrap();
    assert!(pending.starts_with("{}"), "{}", &pending[..80]);
}

#[test]
fn one_frame_offers_no_more_than_may_be_offered() {
    let mut bench = crowd(MeshConfig::default());
    bench.gossip(1, Gossip::Prune);
    for nonce in 0..1_000_u64 {
        bench.gossip(2, Said::new(nonce, b"news").after(0));
    }
    let effects = bench.wait(SECOND);
    let counts: Vec<_> = sent(&effects)
        .into_iter()
        .filter_map(|(to, message)| match message {
            Message::Gossip(Gossip::IHave(offers)) => Some((to, offers.len())),
            _ => None,
        })
        .collect();
    assert!(counts.iter().all(|(to, count)| *to == agent(1) && *count <= OFFERS_PER_FRAME_MAX));
    assert_eq!(counts.iter().map(|(_, count)| count).sum::<usize>(), 1_000);
    assert_eq!(counts[0].1, OFFERS_PER_FRAME_MAX);
}

#[test]
fn offers_for_a_neighbour_that_was_lost_do_not_leave() {
    let mut bench = crowd(MeshConfig::default());
    bench.gossip(1, Gossip::Prune);
    bench.gossip(2, Said::new(1, b"news").after(0));
    bench.input(Input::LinkDown(agent(1)));
    assert_eq!(sent(&bench.wait(SECOND)), []);
}
