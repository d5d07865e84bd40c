use super::*;

const US: AgentId = AgentId([5; 32]);
const SMALLER: AgentId = AgentId([1; 32]);
const LARGER: AgentId = AgentId([9; 32]);

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn ports(ports: std::ops::Range<u16>) -> Vec<SocketAddr> {
    ports.map(at).collect()
}

fn agent(number: u64) -> AgentId {
    let mut bytes = [0x77; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    AgentId(bytes)
}

/// A policy and its clock.
struct Scene {
    policy: Policy,
    now: Duration,
}

impl Scene {
    fn new() -> Self {
        Self { policy: Policy::new(US, [3; 32]), now: Duration::from_secs(1_000) }
    }

    fn tell(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.policy.handle(self.now, input, &mut effects);
        effects
    }

    fn want(&mut self, agent: AgentId, addresses: Vec<SocketAddr>) -> Vec<Effect> {
        self.tell(Input::Wanted { agent, addresses })
    }

    fn up(&mut self, link: u64, peer: AgentId, is_caller: bool) -> Vec<Effect> {
        self.up_at(link, peer, is_caller, at(1))
    }

    fn up_at(&mut self, link: u64, peer: AgentId, is_caller: bool, to: SocketAddr) -> Vec<Effect> {
        self.tell(Input::Up { link: LinkId(link), peer, is_caller, address: to })
    }

    fn down(&mut self, link: u64, peer: AgentId, why: End) -> Vec<Effect> {
        self.tell(Input::Down { link: LinkId(link), peer, why })
    }

    fn fail(&mut self, port: u16, wanted: Option<AgentId>, why: Failure) -> Vec<Effect> {
        self.tell(Input::DialFailed { address: at(port), wanted, why })
    }

    /// Waits until something is due; returns how long, and what is done then.
    fn wait(&mut self) -> (Duration, Vec<Effect>) {
        let due = self.policy.deadline().unwrap();
        let waited = due.saturating_sub(self.now);
        self.now = self.now.max(due);
        (waited, self.tell(Input::Tick))
    }

    /// Whether nothing happens by itself.
    fn rests(&self) -> bool {
        self.policy.deadline().is_none()
    }
}

fn dial(port: u16, wanted: Option<AgentId>) -> Effect {
    Effect::Dial { address: at(port), wanted }
}

fn end(link: u64, why: Farewell) -> Effect {
    Effect::End { link: LinkId(link), why }
}

fn peer_up(peer: AgentId, link: u64) -> Effect {
    Effect::PeerUp(peer, LinkId(link))
}

#[test]
fn who_is_wanted_is_called_and_called_anew_once_the_link_is_gone() {
    let mut scene = Scene::new();
    assert_eq!(scene.want(LARGER, ports(1..2)), [dial(1, Some(LARGER))]);
    assert_eq!(scene.want(LARGER, ports(1..2)), []);
    assert_eq!(scene.up(7, LARGER, true), [peer_up(LARGER, 7)]);
    assert!(scene.rests() && scene.policy.link(LARGER) == Some(LinkId(7)));
    assert_eq!(scene.down(7, LARGER, End::Passing), [Effect::PeerDown(LARGER)]);
    let (waited, effects) = scene.wait();
    assert!(waited <= BACKOFF_FIRST, "{waited:?}");
    assert_eq!(effects, [dial(1, Some(LARGER))]);
}

#[test]
fn who_is_linked_already_is_not_called_until_that_link_is_gone() {
    let mut scene = Scene::new();
    assert_eq!(scene.up(7, LARGER, false), [peer_up(LARGER, 7)]);
    assert_eq!(scene.want(LARGER, ports(1..2)), []);
    assert!(scene.rests());
    scene.down(7, LARGER, End::Passing);
    assert_eq!(scene.wait().1, [dial(1, Some(LARGER))]);
}

#[test]
fn who_is_wanted_no_longer_is_not_called_anew() {
    let mut scene = Scene::new();
    scene.want(LARGER, ports(1..2));
    scene.up(7, LARGER, true);
    assert_eq!(scene.tell(Input::Unwanted(Whom::Agent(LARGER))), []);
    assert_eq!(scene.down(7, LARGER, End::Passing), [Effect::PeerDown(LARGER)]);
    assert!(scene.rests());
    scene.tell(Input::WantedAt(at(2)));
    scene.fail(2, None, Failure::Passing);
    assert_eq!(scene.tell(Input::Unwanted(Whom::At(at(2)))), []);
    assert!(scene.rests());
}

#[test]
fn nobody_calls_himself() {
    let mut scene = Scene::new();
    assert_eq!(scene.want(US, ports(1..2)), []);
    assert_eq!(scene.up(7, US, true), [end(7, Farewell::Superfluous)]);
    scene.want(LARGER, ports(1..3));
    assert_eq!(scene.fail(1, Some(LARGER), Failure::Oneself), [dial(2, Some(LARGER))]);
    assert_eq!(scene.tell(Input::WantedAt(at(1))), []);
    assert_eq!(scene.want(SMALLER, ports(1..2)), []);
    // In another network somebody else may be there.
    scene.tell(Input::Woke);
    assert_eq!(scene.tell(Input::WantedAt(at(1))), [dial(1, None)]);
}

#[test]
fn an_address_of_somebody_else_is_given_up_for_this_agent_alone() {
    let mut scene = Scene::new();
    scene.want(LARGER, ports(1..2));
    assert_eq!(scene.fail(1, Some(LARGER), Failure::NotThere), []);
    assert!(scene.rests());
    assert_eq!(scene.want(SMALLER, ports(1..2)), [dial(1, Some(SMALLER))]);
    assert_eq!(scene.want(LARGER, ports(2..3)), [dial(2, Some(LARGER))]);
}

#[test]
fn addresses_are_tried_in_turn_and_the_wait_comes_after_all_of_them() {
    let mut scene = Scene::new();
    scene.want(LARGER, ports(1..4));
    assert_eq!(scene.fail(1, Some(LARGER), Failure::Passing), [dial(2, Some(LARGER))]);
    assert_eq!(scene.fail(2, Some(LARGER), Failure::Passing), [dial(3, Some(LARGER))]);
    assert_eq!(scene.fail(3, Some(LARGER), Failure::Passing), []);
    let (waited, effects) = scene.wait();
    assert!(Duration::ZERO < waited && waited <= BACKOFF_FIRST);
    assert_eq!(effects, [dial(1, Some(LARGER))]);
    scene.fail(1, Some(LARGER), Failure::Passing);
    scene.up_at(7, LARGER, true, at(2));
    scene.down(7, LARGER, End::Passing);
    assert_eq!(scene.wait().1, [dial(2, Some(LARGER))], "where it was found last");
}

#[test]
fn a_new_address_is_tried_at_once_and_an_old_one_changes_nothing() {
    let mut scene = Scene::new();
    scene.want(LARGER, ports(1..3));
    scene.fail(1, Some(LARGER), Failure::Passing);
    scene.fail(2, Some(LARGER), Failure::Passing);
    assert_eq!(scene.want(LARGER, ports(1..3)), []);
    assert_eq!(scene.want(LARGER, ports(1..4)), [dial(3, Some(LARGER))]);
    assert_eq!(scene.want(LARGER, ports(4..5)), [], "one call at a time");
    scene.fail(3, Some(LARGER), Failure::Passing);
    assert_eq!(scene.wait().1, [dial(4, Some(LARGER))]);
}

#[test]
fn waits_double_up_to_the_longest_and_are_spread() {
    let mut scene = Scene::new();
    scene.want(LARGER, ports(1..2));
    let mut longest = BACKOFF_FIRST;
    let mut shares = Vec::new();
    for _ in 0..200 {
        assert_eq!(scene.fail(1, Some(LARGER), Failure::Passing), []);
        let (waited, effects) = scene.wait();
        assert_eq!(effects, [dial(1, Some(LARGER))]);
        assert!(waited <= longest, "{waited:?}");
        shares.push(waited.as_secs_f64() / longest.as_secs_f64());
        longest = BACKOFF_MAX.min(longest * 2);
    }
    let mean = shares.iter().sum::<f64>() / 200.0;
    assert!((0.4..0.6).contains(&mean), "{mean}");
    assert!(shares.iter().any(|share| *share < 0.1) && shares.iter().any(|share| *share > 0.9));
}

/// Fails so often that the longest wait is reached.
fn tried_in_vain() -> Scene {
    let mut scene = Scene::new();
    scene.want(LARGER, ports(1..2));
    for _ in 0..20 {
        scene.fail(1, Some(LARGER), Failure::Passing);
        scene.wait();
    }
    scene
}

#[test]
fn a_link_that_stayed_makes_up_for_what_failed_and_one_that_fell_does_not() {
    for (lived, longest) in [(STAYED, BACKOFF_FIRST), (STAYED / 2, BACKOFF_MAX)] {
        let waits: Vec<_> = (0..20)
            .map(|seed| {
                let mut scene = tried_in_vain();
                scene.policy.random = seeded([seed; 32]);
                scene.up(7, LARGER, true);
                scene.now += lived;
                scene.down(7, LARGER, End::Passing);
                scene.wait().0
            })
            .collect();
        assert!(waits.iter().all(|wait| *wait <= longest), "{waits:?}");
        assert!(waits.iter().any(|wait| *wait > longest / 4), "{waits:?}");
    }
}

#[test]
fn whoever_wakes_calls_everybody_at_once() {
    let mut scene = tried_in_vain();
    scene.fail(1, Some(LARGER), Failure::Passing);
    scene.up_at(7, SMALLER, false, at(2));
    scene.want(SMALLER, ports(2..3));
    assert_eq!(scene.tell(Input::Woke), [dial(1, Some(LARGER))]);
    scene.fail(1, Some(LARGER), Failure::Passing);
    assert!(scene.wait().0 <= BACKOFF_FIRST);
}

#[test]
fn another_version_is_called_seldom() {
    let mut scene = Scene::new();
    scene.want(LARGER, ports(1..2));
    let waits: Vec<_> = (0..20)
        .map(|_| {
            scene.fail(1, Some(LARGER), Failure::Lasting);
            scene.wait().0
        })
        .collect();
    assert!(waits[..3].iter().any(|wait| *wait > BACKOFF_FIRST), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= BACKOFF_MAX));
}

#[test]
fn whoever_has_nothing_to_do_with_us_is_not_called_until_wanted_anew() {
    let mut scene = Scene::new();
    scene.want(LARGER, ports(1..2));
    scene.up(7, LARGER, true);
    assert_eq!(scene.down(7, LARGER, End::Final), [Effect::PeerDown(LARGER)]);
    assert!(scene.rests());
    assert_eq!(scene.tell(Input::Woke), []);
    assert_eq!(scene.want(LARGER, ports(1..2)), [dial(1, Some(LARGER))]);
}

#[test]
fn of_crossing_calls_the_one_with_the_smaller_id_ends_the_other_ones() {
    // We are the smaller: whatever comes up first, ours stays.
    for ours_first in [true, false] {
        let mut scene = Scene::new();
        scene.want(LARGER, ports(1..2));
        let (first, second) = (scene.up(1, LARGER, ours_first), scene.up(2, LARGER, !ours_first));
        assert_eq!(first, [peer_up(LARGER, 1)]);
        match ours_first {
            true => assert_eq!(second, [end(2, Farewell::Superfluous)]),
            false => assert_eq!(second, [end(1, Farewell::Superfluous), peer_up(LARGER, 2)]),
        }
        let (ended, stays) = if ours_first { (2, 1) } else { (1, 2) };
        assert_eq!(scene.down(ended, LARGER, End::Passing), []);
        assert_eq!(scene.policy.link(LARGER), Some(LinkId(stays)));
    }
    // We are the larger: we end none, and expect theirs to stay.
    for ours_first in [true, false] {
        let mut scene = Scene::new();
        scene.want(SMALLER, ports(1..2));
        assert_eq!(scene.up(1, SMALLER, ours_first), [peer_up(SMALLER, 1)]);
        let second = scene.up(2, SMALLER, !ours_first);
        assert_eq!(second, if ours_first { vec![peer_up(SMALLER, 2)] } else { vec![] });
        let (ended, stays) = if ours_first { (1, 2) } else { (2, 1) };
        assert_eq!(scene.down(ended, SMALLER, End::Superfluous), []);
        assert_eq!(scene.policy.link(SMALLER), Some(LinkId(stays)));
    }
}

#[test]
fn a_newer_link_takes_the_place_of_one_that_the_other_side_has_lost() {
    let superfluous = |link| end(link, Farewell::Superfluous);
    // The larger was started anew, and calls again.
    let mut scene = Scene::new();
    scene.up(1, LARGER, false);
    assert_eq!(scene.up(2, LARGER, false), [superfluous(1), peer_up(LARGER, 2)]);
    // We called it; too long ago for its call to have crossed ours.
    let mut scene = Scene::new();
    scene.up(1, LARGER, true);
    scene.now += CROSSING_MAX;
    assert_eq!(scene.up(2, LARGER, false), [superfluous(1), peer_up(LARGER, 2)]);
    // The smaller was started anew: what it forgot goes by itself.
    let mut scene = Scene::new();
    scene.up(1, SMALLER, false);
    assert_eq!(scene.up(2, SMALLER, false), [peer_up(SMALLER, 2)]);
    assert_eq!(scene.down(1, SMALLER, End::Passing), []);
}

#[test]
fn a_link_that_the_smaller_id_chose_otherwise_is_used_all_the_same() {
    let mut scene = Scene::new();
    scene.up(1, SMALLER, false);
    scene.up(2, SMALLER, false);
    assert_eq!(scene.down(2, SMALLER, End::Superfluous), [peer_up(SMALLER, 1)]);
}

#[test]
fn whoever_is_told_of_a_link_that_it_has_not_waits_for_the_other_to_notice() {
    let mut scene = Scene::new();
    scene.want(SMALLER, ports(1..2));
    for link in 1..50 {
        scene.up(link, SMALLER, true);
        assert_eq!(scene.down(link, SMALLER, End::Superfluous), [Effect::PeerDown(SMALLER)]);
        let (waited, effects) = scene.wait();
        assert!((SUPERFLUOUS_WAIT / 2..=SUPERFLUOUS_WAIT).contains(&waited), "{waited:?}");
        assert_eq!(effects, [dial(1, Some(SMALLER))]);
    }
    // None of it counted as a failure.
    scene.fail(1, Some(SMALLER), Failure::Passing);
    assert!(scene.wait().0 <= BACKOFF_FIRST);
}

#[test]
fn whoever_is_found_at_an_address_is_wanted_from_then_on() {
    let mut scene = Scene::new();
    assert_eq!(scene.tell(Input::WantedAt(at(1))), [dial(1, None)]);
    assert_eq!(scene.up(7, LARGER, true), [peer_up(LARGER, 7)]);
    assert!(scene.rests());
    scene.down(7, LARGER, End::Passing);
    assert_eq!(scene.wait().1, [dial(1, Some(LARGER))]);
    // An address alone is tried again as well.
    scene.tell(Input::WantedAt(at(2)));
    assert_eq!(scene.fail(2, None, Failure::Passing), []);
    assert_eq!(scene.wait().1, [dial(2, None)]);
    // Where nobody can be called it is given up.
    scene.fail(2, None, Failure::NotThere);
    scene.fail(1, Some(LARGER), Failure::NotThere);
    assert!(scene.rests());
}

#[test]
fn after_the_stop_every_link_is_ended_and_nobody_called() {
    let mut scene = Scene::new();
    scene.want(LARGER, ports(1..2));
    scene.up(1, LARGER, true);
    scene.up(2, SMALLER, false);
    scene.want(agent(1), ports(3..4));
    let farewells = [end(2, Farewell::Stopping), end(1, Farewell::Stopping)];
    assert_eq!(scene.tell(Input::Stop), farewells);
    assert_eq!(scene.down(1, LARGER, End::Passing), [Effect::PeerDown(LARGER)]);
    assert_eq!(scene.up_at(3, agent(1), true, at(3)), [end(3, Farewell::Stopping)]);
    assert!(scene.rests());
}

#[test]
fn answers_to_what_was_not_asked_change_nothing() {
    let mut scene = Scene::new();
    scene.want(LARGER, ports(1..2));
    assert_eq!(scene.fail(1, None, Failure::Passing), []);
    assert_eq!(scene.fail(2, Some(LARGER), Failure::Oneself), []);
    assert_eq!(scene.down(1, LARGER, End::Final), []);
    assert!(scene.rests());
    assert_eq!(scene.up(7, LARGER, true), [peer_up(LARGER, 7)]);
    assert_eq!(scene.down(8, LARGER, End::Final), []);
}

#[test]
fn one_address_is_called_once_at_a_time() {
    let mut scene = Scene::new();
    scene.tell(Input::WantedAt(at(1)));
    assert_eq!(scene.want(LARGER, ports(1..2)), []);
    assert!(scene.rests());
    assert_eq!(scene.fail(1, None, Failure::NotThere), [dial(1, Some(LARGER))]);
}

#[test]
fn only_so_many_calls_are_on_their_way() {
    let mut scene = Scene::new();
    for port in 0..2 * CALLS_MAX as u16 {
        let effects = scene.want(agent(port.into()), ports(port..port + 1));
        assert_eq!(effects.len(), usize::from(usize::from(port) < CALLS_MAX));
    }
    assert!(scene.rests());
    let next = CALLS_MAX as u16;
    let effects = scene.up_at(1, agent(3), true, at(3));
    assert_eq!(effects, [peer_up(agent(3), 1), dial(next, Some(agent(next.into())))]);
    let effects = scene.fail(5, Some(agent(5)), Failure::Passing);
    assert_eq!(effects, [dial(next + 1, Some(agent(u64::from(next) + 1)))]);
}

#[test]
fn only_so_many_addresses_of_an_agent_are_tried() {
    let mut scene = Scene::new();
    scene.want(LARGER, [ports(1..30), ports(1..30)].concat());
    let mut tried = 1;
    while let [Effect::Dial { address, .. }] = scene.fail(tried, Some(LARGER), Failure::Passing)[..]
    {
        tried = address.port();
    }
    assert_eq!(usize::from(tried), ADDRESSES_MAX);
}

#[test]
fn only_so_many_agents_and_addresses_are_wanted_and_the_next_is_refused() {
    let mut scene = Scene::new();
    (0..PEERS_MAX as u64).for_each(|number| drop(scene.want(agent(number), vec![])));
    assert_eq!(scene.want(LARGER, vec![]), [Effect::NoRoom(Whom::Agent(LARGER))]);
    assert_eq!(scene.want(agent(0), ports(1..2)), [dial(1, Some(agent(0)))]);
    let mut scene = Scene::new();
    (0..PLACES_MAX as u16).for_each(|port| drop(scene.tell(Input::WantedAt(at(port)))));
    assert_eq!(scene.tell(Input::WantedAt(at(0))), []);
    assert_eq!(scene.tell(Input::WantedAt(at(99))), [Effect::NoRoom(Whom::At(at(99)))]);
}

#[test]
fn only_so_many_links_are_kept_and_the_next_is_told_that_there_is_no_room() {
    let mut scene = Scene::new();
    scene.want(LARGER, ports(1..2));
    (0..LINKS_MAX as u64).for_each(|link| drop(scene.up_at(link, agent(link), false, at(2))));
    assert_eq!(scene.up_at(9_000, SMALLER, false, at(2)), [end(9_000, Farewell::Full)]);
    assert_eq!(scene.up(9_001, LARGER, true), [end(9_001, Farewell::Full)]);
    assert!(scene.rests(), "nobody is called who could not stay");
    assert_eq!(scene.down(3, agent(3), End::Passing), [Effect::PeerDown(agent(3))]);
    assert_eq!(scene.wait().1, [dial(1, Some(LARGER))]);
}

#[test]
fn whoever_has_the_choice_and_does_not_choose_loses_its_oldest_link() {
    let mut scene = Scene::new();
    let most = LINKS_PER_PEER_MAX as u64;
    for link in 0..most {
        assert_eq!(scene.up(link, SMALLER, false), [peer_up(SMALLER, link)]);
    }
    let superfluous = end(0, Farewell::Superfluous);
    assert_eq!(scene.up(most, SMALLER, false), [superfluous, peer_up(SMALLER, most)]);
}

#[test]
fn two_nodes_of_one_agent_take_turns_whoever_would_have_the_choice() {
    let superfluous = |link| end(link, Farewell::Superfluous);
    // The other would have it: neither of its nodes knows of a link to choose against.
    let mut scene = Scene::new();
    scene.up(1, SMALLER, false);
    assert_eq!(scene.up(2, SMALLER, false), [peer_up(SMALLER, 2)]);
    assert_eq!(scene.wait(), (CHOICE_MAX, vec![superfluous(1)]));
    assert!(scene.rests());
    // The one that was ended calls again, and has its turn.
    assert_eq!(scene.up(3, SMALLER, false), [peer_up(SMALLER, 3)]);
    assert_eq!(scene.wait(), (CHOICE_MAX, vec![superfluous(2)]));
    // We have it.
    let mut scene = Scene::new();
    scene.up(1, LARGER, false);
    assert_eq!(scene.up(2, LARGER, false), [superfluous(1), peer_up(LARGER, 2)]);
    assert_eq!(scene.up(3, LARGER, false), [superfluous(2), peer_up(LARGER, 3)]);
}

#[test]
fn only_so_many_addresses_are_remembered_as_our_own() {
    let mut scene = Scene::new();
    let most = OWN_ADDRESSES_MAX as u16;
    for port in 0..=most {
        scene.tell(Input::WantedAt(at(port)));
        scene.fail(port, None, Failure::Oneself);
    }
    assert_eq!(scene.tell(Input::WantedAt(at(most))), []);
    assert_eq!(scene.tell(Input::WantedAt(at(0))), [dial(0, None)]);
}

#[test]
fn what_a_link_says_is_understood() {
    let address = at(1);
    let ended = |why| End::from(&LinkError::Ended { address, why });
    assert_eq!(ended(Farewell::Superfluous), End::Superfluous);
    for why in [Farewell::Stopping, Farewell::Unheard, Farewell::Full] {
        assert_eq!(ended(why), End::Passing);
    }
    for why in [Farewell::NoSharedList, Farewell::Revoked, Farewell::Breach] {
        assert_eq!(ended(why), End::Final);
    }
    for error in [LinkError::Silent { address }, LinkError::Forgotten { address }] {
        assert_eq!((End::from(&error), Failure::from(&error)), (End::Passing, Failure::Passing));
    }
    assert_eq!(Failure::from(&LinkError::Oneself { address }), Failure::Oneself);
    let other = LinkError::OtherAgent { address, expected: US, found: LARGER };
    assert_eq!(Failure::from(&other), Failure::NotThere);
    let version = LinkError::OtherVersion { address, found: None };
    assert_eq!(Failure::from(&version), Failure::Lasting);
}
