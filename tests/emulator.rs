//! The emulator of links does what it is asked, or the tests over it would show nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod harness;

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use harness::{Conditions, Counters, Direction, Network, Path};

/// What a socket waits for a datagram that must come.
const PATIENCE: Duration = Duration::from_secs(10);

struct Scene {
    path: Path,
    caller: UdpSocket,
    callee: UdpSocket,
    _network: Network,
}

impl Scene {
    fn new() -> Self {
        Self::seeded(1)
    }

    fn seeded(seed: u64) -> Self {
        let network = Network::new(seed);
        let (caller, callee) = (socket(), socket());
        let path = network.path(callee.local_addr().unwrap());
        Self { path, caller, callee, _network: network }
    }

    fn call(&self, number: u32) {
        self.caller.send_to(&number.to_le_bytes(), self.path.address()).unwrap();
    }

    /// Sends numbers, not more at once than sockets hold, and returns what came and in which order.
    fn call_all(&self, numbers: std::ops::Range<u32>) -> Vec<u32> {
        let mut heard = Vec::new();
        for number in numbers {
            let before = self.path.counters(Direction::There);
            self.call(number);
            self.path.wait_until(Direction::There, |now| now.arrived > before.arrived);
            let through = self.path.wait_until(Direction::There, is_through);
            for _ in before.forwarded..through.forwarded {
                heard.push(hear(&self.callee).0);
            }
        }
        heard
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn hear(socket: &UdpSocket) -> (u32, SocketAddr) {
    let mut bytes = [0; 4];
    let (_, from) = socket.recv_from(&mut bytes).unwrap();
    (u32::from_le_bytes(bytes), from)
}

/// Whether nothing is on its way.
fn is_through(counters: &Counters) -> bool {
    let Counters { arrived, forwarded, lost, cut, duplicated, overflowed, .. } = counters;
    arrived + duplicated == forwarded + lost + cut + overflowed
}

#[expect(clippy::disallowed_methods, reason = "the emulator is measured in real time")]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn callers_that_are_far_wait_for_longer_and_others_do_not() {
    let scene = Scene::new();
    let begun = now();
    scene.call(1);
    assert_eq!(hear(&scene.callee).0, 1);
    assert!(now() - begun < Duration::from_millis(150), "nobody is far yet");
    let far = Duration::from_millis(200);
    scene.path.set_distances([(scene.caller.local_addr().unwrap().ip(), far)]);
    let begun = now();
    scene.call(2);
    assert_eq!(hear(&scene.callee).0, 2);
    assert!(now() - begun >= far, "{:?}", now() - begun);
}

#[test]
fn without_conditions_everything_arrives_in_order_and_answers_come_back() {
    let scene = Scene::new();
    let heard = scene.call_all(0..100);
    assert!(heard.iter().copied().eq(0..100));
    scene.call(100);
    let (number, caller) = hear(&scene.callee);
    assert_ne!(caller, scene.caller.local_addr().unwrap());
    scene.callee.send_to(&number.to_le_bytes(), caller).unwrap();
    assert_eq!(hear(&scene.caller), (100, scene.path.address()));
    let expected = |count| Counters { arrived: count, forwarded: count, ..Counters::default() };
    let counted = |direction| scene.path.wait_until(direction, is_through);
    assert_eq!((counted(Direction::There), counted(Direction::Back)), (expected(101), expected(1)));
}

#[test]
fn of_a_thousand_about_the_share_that_was_asked_for_is_lost_or_doubled() {
    let scene = Scene::new();
    let conditions = Conditions { loss: 0.3, duplication: 0.2, ..Conditions::default() };
    scene.path.set(Direction::There, conditions);
    let heard = scene.call_all(0..1_000);
    let counters = scene.path.counters(Direction::There);
    assert_eq!(heard.len() as u64, counters.forwarded);
    assert!((230..370).contains(&counters.lost), "{counters:?}");
    assert!((90..200).contains(&counters.duplicated), "{counters:?}");
}

#[test]
fn one_seed_decides_alike_and_another_does_not() {
    let lost_by = |seed| {
        let scene = Scene::seeded(seed);
        scene.path.set(Direction::There, Conditions { loss: 0.5, ..Conditions::default() });
        scene.call_all(0..64)
    };
    assert_eq!(lost_by(7), lost_by(7));
    assert_ne!(lost_by(7), lost_by(8));
}

#[test]
fn a_cut_direction_passes_nothing_and_the_other_goes_on() {
    let scene = Scene::new();
    scene.call(1);
    let (_, caller) = hear(&scene.callee);
    scene.path.cut(Direction::There);
    assert_eq!(scene.call_all(2..22), [0; 0]);
    scene.callee.send_to(&23_u32.to_le_bytes(), caller).unwrap();
    assert_eq!(hear(&scene.caller).0, 23);
    scene.path.heal();
    assert_eq!(scene.call_all(24..26), [24, 25]);
    assert_eq!(scene.path.counters(Direction::There).cut, 20);
    scene.path.cut(Direction::Back);
    scene.callee.send_to(&26_u32.to_le_bytes(), caller).unwrap();
    assert_eq!(scene.path.wait_until(Direction::Back, |now| now.cut == 1).forwarded, 1);
    assert_eq!(scene.call_all(27..28), [27]);
}

#[test]
fn what_is_on_its_way_when_the_cut_comes_is_lost() {
    let scene = Scene::new();
    let delay = Duration::from_millis(50);
    scene.path.set(Direction::There, Conditions { delay, ..Conditions::default() });
    scene.call(1);
    scene.path.wait_until(Direction::There, |now| now.arrived == 1);
    scene.path.cut(Direction::There);
    assert_eq!(scene.path.wait_until(Direction::There, |now| now.cut == 1).forwarded, 0);
}

#[test]
fn a_delay_is_at_least_what_was_asked_for_and_jitter_changes_the_order() {
    let scene = Scene::new();
    let (delay, jitter) = (Duration::from_millis(30), Duration::from_millis(50));
    let conditions = Conditions { delay, jitter, ..Conditions::default() };
    scene.path.set(Direction::There, conditions);
    let start = now();
    (0..50).for_each(|number| scene.call(number));
    let heard: Vec<u32> = (0..50).map(|_| hear(&scene.callee).0).collect();
    assert!(now() - start >= delay);
    assert!(!heard.is_sorted(), "{heard:?}");
    assert_eq!(scene.path.counters(Direction::There).delayed, 50);
}

#[test]
fn a_narrow_path_takes_its_time_and_drops_what_it_cannot_hold() {
    let scene = Scene::new();
    // 4 bytes take 5 ms.
    let bytes_per_second = Some(800);
    scene.path.set(Direction::There, Conditions { bytes_per_second, ..Conditions::default() });
    let start = now();
    (0..20).for_each(|number| scene.call(number));
    (0..20).for_each(|number| assert_eq!(hear(&scene.callee).0, number));
    assert!(now() - start >= Duration::from_millis(95));
    (0..100).for_each(|number| scene.call(number));
    let counters = scene.path.wait_until(Direction::There, |now| now.arrived == 120);
    assert!(counters.overflowed > 0, "{counters:?}");
}

#[test]
fn after_a_rebind_the_caller_seems_to_have_moved_and_is_still_reached() {
    let scene = Scene::new();
    scene.call(1);
    let (_, before) = hear(&scene.callee);
    scene.path.rebind();
    scene.call(2);
    let (_, after) = hear(&scene.callee);
    assert_ne!(before, after);
    scene.callee.send_to(&3_u32.to_le_bytes(), after).unwrap();
    assert_eq!(hear(&scene.caller), (3, scene.path.address()));
}

#[test]
fn callers_that_move_are_seen_to_move() {
    let scene = Scene::new();
    scene.call(1);
    let moved = Scene { caller: socket(), ..scene };
    let (_, before) = hear(&moved.callee);
    moved.call(2);
    assert_ne!(hear(&moved.callee).1, before);
}

#[test]
fn a_closed_port_is_told_to_the_caller_and_opens_again() {
    let scene = Scene::new();
    scene.caller.connect(scene.path.address()).unwrap();
    scene.path.close();
    scene.caller.send(&1_u32.to_le_bytes()).unwrap();
    let told = scene.caller.recv(&mut [0; 4]).unwrap_err();
    assert_eq!(told.kind(), ErrorKind::ConnectionRefused);
    scene.path.reopen();
    scene.caller.send(&2_u32.to_le_bytes()).unwrap();
    assert_eq!(hear(&scene.callee).0, 2);
}
