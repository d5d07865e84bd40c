//! The receive pump, with frames that say nothing.

use super::*;
use crate::pump::{BYTES_MAX, FRAMES_MAX};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

fn agent(n: u8) -> AgentId {
    AgentId([n; 32])
}

fn pump(policy: Policy, peers: u8) -> RecvPump {
    let mut pump = RecvPump::new(Duration::ZERO, policy);
    (1..=peers).for_each(|n| pump.open(Duration::ZERO, agent(n)));
    pump
}

fn frame(lane: Lane, bytes: usize, kind: Kind) -> Arrived {
    Arrived { link: LinkId(1), lane, bytes: vec![0; bytes].into(), kind }
}

fn offer(pump: &mut RecvPump, now: Duration, n: u8, frame: Arrived) -> Offered {
    pump.offer(now, agent(n), frame, false, &mut Vec::new())
}

fn put(pump: &mut RecvPump, n: u8, lane: Lane, kind: Kind) -> &'static str {
    match offer(pump, SECOND, n, frame(lane, 100, kind)) {
        Offered::In => "in",
        Offered::Left => "left",
        Offered::Held(_) => "held",
    }
}

/// Has everything looked at that nobody looked at.
fn check_all(pump: &mut RecvPump) {
    while let Some(job) = pump.job() {
        pump.checked(&job, Proofs::default(), Some(MS));
    }
}

#[test]
fn recv_pump_drops_the_oldest_gossip_where_it_is_full_and_a_repair_follows() {
    let mut pump = pump(Policy::FAIR, 2);
    for _ in 0..FRAMES_MAX {
        assert_eq!(put(&mut pump, 1, Lane::Pubsub, Kind::Data), "in");
    }
    assert_eq!(pump.deadline(), None, "nothing is lost yet");
    assert_eq!(put(&mut pump, 1, Lane::Pubsub, Kind::Data), "in");
    let view = pump.view(SECOND).0.pubsub;
    let kept = FRAMES_MAX as u64 / 10 + 1;
    assert_eq!((view.latest_depth, view.max_depth), (kept, FRAMES_MAX as u64));
    assert_eq!(view.dropped_full, FRAMES_MAX as u64 + 1 - kept);
    assert_eq!(view.produced_total, view.enqueued_total);
    assert_eq!(view.enqueued_total, view.dropped_full + view.latest_depth);
    let due = pump.deadline().unwrap();
    assert_eq!((pump.repairs(SECOND), pump.repairs(due)), (vec![], vec![agent(1)]));
    assert_eq!(put(&mut pump, 2, Lane::Pubsub, Kind::Data), "in", "no peer is behind another");
}

#[test]
fn recv_pump_is_bounded_in_bytes_too() {
    let mut pump = pump(Policy::FAIR, 1);
    let large = || frame(Lane::Pubsub, 64 << 10, Kind::Data);
    for _ in 0..1_000 {
        assert!(matches!(offer(&mut pump, SECOND, 1, large()), Offered::In));
        assert!(pump.view(SECOND).0.pubsub.latest_bytes <= BYTES_MAX as u64);
    }
    assert!(pump.view(SECOND).0.pubsub.dropped_full > 0);
}

#[test]
fn recv_pump_leaves_out_what_others_can_do_without_before_it_drops_anything() {
    let mut pump = pump(Policy::FAIR, 1);
    while pump.view(SECOND).0.pubsub.latest_depth * 10 <= FRAMES_MAX as u64 * 9 {
        assert_eq!(put(&mut pump, 1, Lane::Pubsub, Kind::Light), "in");
    }
    assert_eq!(put(&mut pump, 1, Lane::Pubsub, Kind::Light), "left");
    assert_eq!(put(&mut pump, 1, Lane::Pubsub, Kind::Firm), "in");
    assert_eq!(put(&mut pump, 1, Lane::Pubsub, Kind::Data), "in");
    let view = pump.view(SECOND).0.pubsub;
    assert_eq!((view.shed_priority, view.dropped_full), (1, 0));
    assert!(pump.deadline().is_some(), "what was left out is made good too");
}

#[test]
fn recv_pump_keeps_what_nothing_brings_again_as_long_as_there_is_something_else() {
    let mut pump = pump(Policy::FAIR, 1);
    (0..100).for_each(|_| assert_eq!(put(&mut pump, 1, Lane::Pubsub, Kind::Firm), "in"));
    (0..3_000).for_each(|_| assert_eq!(put(&mut pump, 1, Lane::Pubsub, Kind::Data), "in"));
    check_all(&mut pump);
    let mut firm = 0;
    while let Some(job) = pump.take(SECOND, Lane::Pubsub) {
        firm += u64::from(job.bytes.len() == 100);
    }
    assert!(firm > 100);
    (0..3_000).for_each(|_| assert_eq!(put(&mut pump, 1, Lane::Pubsub, Kind::Firm), "in"));
    assert!(pump.view(SECOND).0.pubsub.latest_depth <= FRAMES_MAX as u64);
}

#[test]
fn recv_pump_holds_senders_of_direct_messages_back_and_drops_none() {
    let mut pump = pump(Policy::FAIR, 2);
    (0..FRAMES_MAX).for_each(|_| assert_eq!(put(&mut pump, 1, Lane::Direct, Kind::Firm), "in"));
    assert_eq!(put(&mut pump, 1, Lane::Direct, Kind::Firm), "held");
    pump.hold(SECOND, agent(1), Lane::Direct, true);
    assert_eq!(put(&mut pump, 2, Lane::Direct, Kind::Firm), "in");
    assert_eq!(pump.view(SECOND * 3).0.direct.backpressured_ms, 2_000, "it counts while it waits");
    check_all(&mut pump);
    assert!(pump.take(SECOND * 3, Lane::Direct).is_some());
    pump.hold(SECOND * 3, agent(1), Lane::Direct, false);
    let again = frame(Lane::Direct, 100, Kind::Firm);
    let offered = pump.offer(SECOND * 3, agent(1), again, true, &mut Vec::new());
    assert!(matches!(offered, Offered::In));
    let view = pump.view(SECOND * 9).0.direct;
    assert_eq!((view.backpressured_ms, view.dropped_full), (2_000, 0));
    assert_eq!(view.produced_total, FRAMES_MAX as u64 + 2, "a frame is counted once");
}

#[test]
fn recv_pump_control_waits_for_no_gossip_and_is_limited_by_peer() {
    let mut pump = pump(Policy::FAIR, 2);
    (0..FRAMES_MAX).for_each(|_| assert_eq!(put(&mut pump, 1, Lane::Pubsub, Kind::Data), "in"));
    assert_eq!(put(&mut pump, 1, Lane::Control, Kind::Firm), "in");
    assert!(pump.take(SECOND, Lane::Control).is_some());
    let mut outcomes = BTreeMap::<&str, u64>::new();
    for _ in 0..CONTROL_RATE.burst + 10 {
        *outcomes.entry(put(&mut pump, 1, Lane::Control, Kind::Light)).or_default() += 1;
        pump.take(SECOND, Lane::Control);
    }
    assert_eq!(outcomes, BTreeMap::from([("in", CONTROL_RATE.burst - 1), ("held", 11)]));
    assert_eq!(put(&mut pump, 1, Lane::Control, Kind::Firm), "held", "a beat is not lost");
    assert_eq!(put(&mut pump, 2, Lane::Control, Kind::Light), "in");
    let later = offer(&mut pump, SECOND + MS, 1, frame(Lane::Control, 1, Kind::Firm));
    assert!(matches!(later, Offered::In));
}

#[test]
fn recv_pump_control_that_finds_no_room_takes_nothing_of_what_a_peer_may_send() {
    let mut pump = pump(Policy::FAIR, 1);
    (0..FRAMES_MAX).for_each(|_| assert_eq!(put(&mut pump, 1, Lane::Control, Kind::Firm), "in"));
    for _ in 0..CONTROL_RATE.burst * 2 {
        assert_eq!(put(&mut pump, 1, Lane::Control, Kind::Firm), "held");
    }
    assert!(pump.take(SECOND, Lane::Control).is_some());
    assert_eq!(put(&mut pump, 1, Lane::Control, Kind::Firm), "in");
}

#[test]
fn recv_pump_workers_are_wanted_for_what_waits_of_all_peers() {
    let mut pump = pump(Policy::FAIR, 40);
    for n in 1..=40 {
        (0..7).for_each(|_| assert_eq!(put(&mut pump, n, Lane::Pubsub, Kind::Data), "in"));
        put(&mut pump, n, Lane::Control, Kind::Firm);
    }
    assert_eq!(pump.unchecked(), 280);
    assert!(pump.job().is_some());
    assert_eq!(pump.unchecked(), 279);
    assert!(pump.is_looked_at(Lane::Pubsub) && !pump.is_looked_at(Lane::Control));
}

#[test]
fn recv_pump_serves_peers_alike_and_each_in_its_order() {
    let mut pump = pump(Policy::FAIR, 3);
    for n in 1..=3 {
        for number in 0..600_usize * usize::from(n) {
            let bytes = number.to_le_bytes().to_vec().into();
            let arrived =
                Arrived { link: LinkId(u64::from(n)), lane: Lane::Pubsub, bytes, kind: Kind::Data };
            offer(&mut pump, SECOND, n, arrived);
        }
    }
    // Workers give back what they found in another order than that in which they took it.
    let mut jobs: Vec<Job> = std::iter::from_fn(|| pump.job()).collect();
    jobs.reverse();
    for job in jobs {
        pump.checked(&job, Proofs::default(), None);
    }
    let mut seen = BTreeMap::<AgentId, usize>::new();
    for _ in 0..1_200 {
        let taken = pump.take(SECOND, Lane::Pubsub).unwrap();
        let number = seen.entry(taken.peer).or_default();
        assert_eq!(taken.bytes, number.to_le_bytes().to_vec());
        *number += 1;
    }
    assert!(seen.values().all(|count| (300..=600).contains(count)), "{seen:?}");
}

#[test]
fn recv_pump_lets_go_of_what_a_link_brought_that_ended_and_counts_on() {
    let mut pump = pump(Policy::FAIR, 1);
    pump.open(SECOND, agent(1));
    (0..10).for_each(|_| assert_eq!(put(&mut pump, 1, Lane::Pubsub, Kind::Data), "in"));
    let other = Arrived { link: LinkId(2), ..frame(Lane::Pubsub, 5, Kind::Data) };
    offer(&mut pump, SECOND, 1, other);
    let job = pump.job().unwrap();
    pump.close(SECOND, agent(1), LinkId(1));
    pump.checked(&job, Proofs::default(), Some(MS));
    let view = pump.view(SECOND).0.pubsub;
    assert_eq!((view.latest_depth, view.latest_bytes, view.produced_total), (1, 5, 11));
    pump.close(SECOND, agent(1), LinkId(2));
    assert_eq!(pump.view(SECOND).0.pubsub.latest_depth, 0);
    assert!(pump.view(SECOND).1.is_empty(), "who has no link is not shown");
    pump.open(SECOND, agent(1));
    assert_eq!(pump.view(SECOND).1[&agent(1).to_string()].pubsub.produced_total, 11);
}

#[test]
fn recv_pump_keeps_account_of_a_bounded_number_of_peers() {
    let mut pump = pump(Policy::FAIR, 1);
    for n in 2..=250 {
        pump.open(SECOND * u32::from(n), agent(n));
        pump.close(SECOND * u32::from(n), agent(n), LinkId(u64::from(n)));
    }
    assert_eq!(pump.peers.len(), GONE_MAX + 1);
    assert!(pump.peers.contains_key(&agent(1)) && pump.peers.contains_key(&agent(250)));
    assert!(matches!(
        offer(&mut pump, SECOND, 2, frame(Lane::Pubsub, 1, Kind::Data)),
        Offered::Left
    ));
}

#[test]
fn recv_pump_sync_streams_have_so_much_room_and_repairs_wait_for_a_half_of_it() {
    let mut pump = pump(Policy::FAIR, 1);
    let enter =
        |pump: &mut RecvPump, bytes| pump.enter(SECOND, agent(1), bytes, false, &mut Vec::new());
    assert!(enter(&mut pump, BYTES_MAX + 4), "the largest finds room alone");
    assert!(!enter(&mut pump, 1));
    (0..=FRAMES_MAX).for_each(|_| {
        put(&mut pump, 1, Lane::Pubsub, Kind::Data);
    });
    let due = pump.deadline().unwrap();
    assert_eq!(pump.repairs(due), []);
    pump.leave(SECOND, agent(1), BYTES_MAX + 4, MS);
    assert_eq!(pump.repairs(due), [agent(1)]);
    let view = pump.view(SECOND).0.sync;
    assert_eq!((view.produced_total, view.dequeued_total, view.latest_depth), (2, 1, 0));
}

#[test]
fn recv_pump_counts_for_how_long_a_queue_was_nearly_full_and_says_so_with_its_first_sample() {
    let mut pump = pump(Policy::NAIVE, 2);
    let mut reports = Vec::new();
    for ms in 0..FRAMES_MAX as u32 {
        let arrived = frame(Lane::Pubsub, 10, Kind::Data);
        let offered = pump.offer(MS * ms, agent(1 + (ms % 2) as u8), arrived, false, &mut reports);
        assert!(matches!(offered, Offered::In));
    }
    assert_eq!(put(&mut pump, 1, Lane::Control, Kind::Light), "held", "all wait in one queue");
    let above = FRAMES_MAX as u64 - (FRAMES_MAX as u64 * 8 / 10);
    assert_eq!(pump.view(MS * FRAMES_MAX as u32).0.pubsub.above_80_ms, above);
    let told: Vec<_> = reports.iter().map(|report| (report.level, report.fill.used)).collect();
    use super::super::pressure::Level::{Info, Warn};
    assert_eq!(told, [(Info, 1_025), (Warn, 1_639)]);
}
