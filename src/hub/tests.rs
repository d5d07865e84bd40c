use std::net::SocketAddr;
use std::sync::Arc;

use x0x_tracker::journal::charter::{Charter, Role, Signed, Statement};
use x0x_tracker::journal::commit::RULES_VERSION;
use x0x_tracker::journal::frontier::Frontier;
use x0x_tracker::journal::signature::Signer;
use x0x_tracker::testing::{START, StandIn, StandInVerifier};

use super::*;
use crate::wire::{self, Card, Control, Hello, Lane, SignedCard, shared_tag};

const US: u64 = 1;

/// A hub whose list has members with these numbers.
struct Scene {
    hub: Hub,
    list: ListId,
    now: Duration,
}

fn agent(number: u64) -> AgentId {
    StandIn::new(number).agent()
}

fn address(number: u64) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], number as u16))
}

/// An agent's card, made so many seconds after the start.
fn card(number: u64, seconds: i64) -> SignedCard {
    let at_ms = START.0 + seconds * 1_000;
    let card = Card {
        agent: agent(number),
        at_ms,
        addresses: vec![address(number)],
        load_pct: None,
        seal_key: Vec::new(),
    };
    SignedCard::new(&card, &StandIn::new(number)).unwrap()
}

fn at(seconds: i64) -> Option<i64> {
    Some(START.0 + seconds * 1_000)
}

impl Scene {
    fn new(members: u64) -> Self {
        let founder = StandIn::new(US);
        let public_key = founder.public_key().to_vec();
        let name = "pump".to_owned();
        let found = Statement::Found { name, founder: public_key, nonce: [0; 16], at: START };
        let found = Signed::new(&found, &founder).unwrap();
        let list = ListId::of(&found.statement);
        let mut charter = Charter::default();
        charter.accept(&found, &StandInVerifier).unwrap();
        for number in US + 1..=members {
            let member = StandIn::new(number).public_key().to_vec();
            let (by, role, seen) = (founder.agent(), Role::Worker, charter.heads());
            let grant = Statement::Grant { list, by, member, role, seen };
            charter.accept(&Signed::new(&grant, &founder).unwrap(), &StandInVerifier).unwrap();
        }
        let hub = Hub::new(agent(US), "0", Arc::new(StandInVerifier), [3; 32]);
        let mut scene = Self { hub, list, now: Duration::from_secs(100) };
        let frontier = Frontier::default();
        scene.tell(Input::Opened { list, frontier, charter: charter.into() });
        scene
    }

    fn tell(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.hub.handle(self.now, input, &mut effects);
        effects
    }

    fn hear(&mut self, link: u64, frame: &Control) -> Vec<Effect> {
        let bytes = wire::encode(frame);
        self.tell(Input::Frame { link: LinkId(link), lane: Lane::Control, bytes: bytes.into() })
    }

    /// Links a member that greets with the list; the link has the member's number.
    fn link(&mut self, number: u64, rules: u16) -> Vec<Effect> {
        let (link, peer, binding) = (LinkId(number), agent(number), [number as u8; 32]);
        let public_key = StandIn::new(number).public_key().to_vec();
        let (is_caller, address) = (false, address(number));
        self.tell(Input::Up { link, peer, public_key, binding, is_caller, address });
        let lists = vec![shared_tag(&binding, peer, self.list)];
        let hello = Hello { program: "0".to_owned(), rules, lists, card: Some(card(number, 0)) };
        self.hear(number, &Control::Hello(hello))
    }
}

/// Returns what is said of cards, and on which link.
fn about_cards(effects: &[Effect]) -> Vec<(u64, Control)> {
    let of = |effect: &Effect| match effect {
        Effect::Send { link, lane: Lane::Control, frame } => {
            let frame = Control::read(frame).unwrap();
            let is_it = matches!(frame, Control::Cards { .. } | Control::CardsHeld { .. });
            is_it.then_some((link.0, frame))
        }
        _ => None,
    };
    effects.iter().filter_map(of).collect()
}

#[test]
fn cards_go_to_whoever_lacks_them_and_to_nobody_else() {
    let mut scene = Scene::new(5);
    let list = scene.list;
    scene.link(2, RULES_VERSION);
    // A new neighbour is told whose cards there are, and asked for those that are not here; the others are told
    // that there is one more.
    let said = about_cards(&scene.link(3, RULES_VERSION));
    let held = |held: Vec<(AgentId, Option<i64>)>| Control::CardsHeld { list, held };
    assert_eq!(said.len(), 3, "{said:?}");
    let lacking = [4, 5].map(agent).into_iter().collect::<std::collections::BTreeSet<_>>();
    let asked = lacking.into_iter().map(|agent| (agent, None)).collect();
    assert!(said.contains(&(3, held(asked))), "{said:?}");
    assert!(said.contains(&(2, held(vec![(agent(3), at(0))]))), "{said:?}");
    assert!(said.contains(&(3, held(vec![(agent(2), at(0))]))), "{said:?}");
    // Who has none of it is shown it; who has a newer one is told what is here.
    let said = scene.hear(3, &held(vec![(agent(2), None), (agent(4), at(5)), (agent(US), at(9))]));
    let shown = Control::Cards { list, cards: vec![card(2, 0)] };
    assert_eq!(about_cards(&said), [(3, shown), (3, held(vec![(agent(4), None)]))]);
    // Where both have it, nothing is said.
    assert_eq!(about_cards(&scene.hear(3, &held(vec![(agent(2), at(0)), (agent(5), None)]))), []);
    // What came so is taken, and told to those who do not know of it.
    let said = scene.hear(3, &Control::Cards { list, cards: vec![card(4, 5)] });
    assert_eq!(about_cards(&said), [(2, held(vec![(agent(4), at(5))]))]);
    // Nobody asks for the card of a stranger.
    assert_eq!(about_cards(&scene.hear(3, &held(vec![(agent(77), at(0))]))), []);
}

#[test]
fn of_newer_cards_that_come_too_soon_the_newest_is_taken_a_little_later() {
    let mut scene = Scene::new(3);
    let list = scene.list;
    scene.link(2, RULES_VERSION);
    let held = |scene: &mut Scene| {
        let asked = Control::CardsHeld { list, held: vec![(agent(3), None)] };
        about_cards(&scene.hear(2, &asked))
    };
    let shown = |seconds| (2, Control::Cards { list, cards: vec![card(3, seconds)] });
    for seconds in [0, 5, 9, 7, 3] {
        scene.hear(2, &Control::Cards { list, cards: vec![card(3, seconds)] });
    }
    assert_eq!(held(&mut scene), [shown(0)], "a stream of cards goes no further");
    scene.now += Duration::from_secs(1);
    assert!(scene.hub.deadline().unwrap() <= scene.now);
    scene.tell(Input::Tick);
    assert_eq!(held(&mut scene), [shown(9)]);
    // One that its agent did not sign ends the link, and drives out none.
    let forged = Card { at_ms: START.0 + 60_000, ..card(3, 60).peek().unwrap() };
    let forged = SignedCard::new(&forged, &StandIn::new(2)).unwrap();
    let ended = |effect: &Effect| matches!(effect, Effect::End { why: Farewell::Breach, .. });
    let effects = scene.hear(2, &Control::Cards { list, cards: vec![forged] });
    assert!(effects.iter().any(ended));
    assert_eq!(held(&mut scene), [], "the link is gone");
}

#[test]
fn a_card_that_its_agent_did_not_sign_ends_the_link() {
    let mut scene = Scene::new(3);
    let list = scene.list;
    scene.link(2, RULES_VERSION);
    let forged = Card {
        agent: agent(3),
        at_ms: START.0,
        addresses: vec![address(2)],
        load_pct: None,
        seal_key: Vec::new(),
    };
    let forged = SignedCard::new(&forged, &StandIn::new(2)).unwrap();
    let effects = scene.hear(2, &Control::Cards { list, cards: vec![forged] });
    let ended = |effect: &Effect| matches!(effect, Effect::End { why: Farewell::Breach, .. });
    assert!(effects.iter().any(ended), "{effects:?}");
}

#[test]
fn people_are_told_of_a_peer_that_follows_newer_rules() {
    let newer = |effects: &[Effect]| {
        effects.iter().any(|effect| matches!(effect, Effect::Note(Note::Newer { rules, .. }) if *rules == RULES_VERSION + 1))
    };
    let mut scene = Scene::new(3);
    let effects = scene.link(2, RULES_VERSION);
    assert!(!newer(&effects), "{effects:?}");
    let effects = scene.link(3, RULES_VERSION + 1);
    assert!(newer(&effects), "{effects:?}");
    assert_eq!(scene.hub.peers().iter().map(|peer| peer.rules).max(), Some(RULES_VERSION + 1));
}

#[test]
fn a_link_that_is_not_the_one_that_stands_is_not_taken_for_a_stranger_s() {
    let mut scene = Scene::new(2);
    scene.link(2, RULES_VERSION);
    // The same agent from elsewhere: one of the two links stands.
    let (link, peer, binding) = (LinkId(9), agent(2), [9; 32]);
    let public_key = StandIn::new(2).public_key().to_vec();
    let (is_caller, address) = (false, address(9));
    scene.tell(Input::Up { link, peer, public_key, binding, is_caller, address });
    let mut ends = Vec::new();
    for _ in 0..20 {
        scene.now += Duration::from_secs(1);
        for effect in scene.tell(Input::Tick) {
            if let Effect::End { link, why } = effect {
                ends.push((link.0, why));
            }
        }
    }
    // The older one makes room, to come again; the newer one said nothing, and is let go.
    assert!(ends.iter().all(|end| *end != (2, Farewell::NoSharedList)), "{ends:?}");
    assert!(ends.contains(&(9, Farewell::NoSharedList)), "{ends:?}");
}

fn ticket(list: ListId, secret: u8) -> wire::Ticket {
    wire::Ticket {
        list,
        name: "pump".to_owned(),
        prefix: "PUMP".to_owned(),
        issuer: agent(2),
        addresses: vec![address(2)],
        secret: [secret; 32],
        role: Role::Worker,
        expires_at_ms: i64::MAX,
    }
}

#[test]
fn an_answer_is_about_the_ticket_that_was_shown_first() {
    let mut scene = Scene::new(2);
    let list = scene.list;
    let shown = |effects: &[Effect]| {
        let is_shown = |effect: &Effect| match effect {
            Effect::Send { lane: Lane::Control, frame, .. } => {
                matches!(Control::read(frame).unwrap(), Control::Join { .. })
            }
            _ => false,
        };
        effects.iter().filter(|effect| is_shown(effect)).count()
    };
    let answers = |effects: &[Effect]| -> Vec<(bool, u64)> {
        let of = |effect: &Effect| match effect {
            Effect::Note(Note::Joined { ticket, .. }) => Some((true, *ticket)),
            Effect::Note(Note::NotJoined { ticket, .. }) => Some((false, *ticket)),
            _ => None,
        };
        effects.iter().filter_map(of).collect()
    };
    let (first, second) = (ticket(list, 1), ticket(list, 2));
    assert_eq!(shown(&scene.tell(Input::Join(first.clone()))), 0, "nobody is linked");
    assert_eq!(shown(&scene.link(2, RULES_VERSION)), 1);
    assert_eq!(shown(&scene.tell(Input::Join(first.clone()))), 0, "it is on its way");
    let effects = scene.tell(Input::Join(second.clone()));
    assert_eq!((shown(&effects), answers(&effects)), (1, vec![(false, first.mark())]));
    let refused = Control::NotJoined { list, why: wire::JoinRefusal::Used };
    assert_eq!(answers(&scene.hear(2, &refused)), [], "that is the first, which nobody awaits");
    let taken = Control::Joined { list, role: Role::Worker, statements: Vec::new(), more: false };
    assert_eq!(answers(&scene.hear(2, &taken)), [], "the store has to have it first");
    let kept = Input::StatementsKept { list, role: Some(Role::Worker) };
    assert_eq!(answers(&scene.tell(kept)), [(true, second.mark())]);
    assert_eq!(answers(&scene.hear(2, &refused)), [], "an answer to nothing");
    // Whoever wants it again is answered again.
    for _ in 0..3 {
        assert_eq!(shown(&scene.tell(Input::Join(first.clone()))), 1);
        assert_eq!(answers(&scene.hear(2, &refused)), [(false, first.mark())]);
    }
}

#[test]
fn a_link_that_shares_and_unshares_a_list_without_end_is_ended() {
    let mut scene = Scene::new(2);
    scene.link(2, RULES_VERSION);
    let tag = shared_tag(&[2; 32], agent(2), scene.list);
    let mut greet = |lists: Vec<[u8; 32]>| {
        let hello = Hello { program: "0".to_owned(), rules: 1, lists, card: None };
        let effects = scene.hear(2, &Control::Hello(hello));
        effects.iter().any(|effect| matches!(effect, Effect::End { .. }))
    };
    let ended_at = (0..1_000).find(|_| greet(Vec::new()) | greet(vec![tag]));
    assert_eq!(ended_at, Some(256));
}

#[test]
fn whose_commits_a_fork_took_is_named_although_the_peer_it_was_found_with_is_gone() {
    let mut scene = Scene::new(3);
    scene.link(3, RULES_VERSION);
    let log = x0x_tracker::id::LogId { agent: agent(3), nonce: [1; 8] };
    let (list, losers) = (scene.list, vec![agent(2), agent(3)]);
    let effects = scene.tell(Input::Settled { list, with: agent(2), log, losers });
    let named =
        |effect: &Effect| matches!(effect, Effect::NameLost { of, .. } if *of == [agent(3)]);
    assert!(effects.iter().any(named), "{effects:?}");
}

#[test]
fn a_list_is_joined_once_the_store_has_all_that_was_shown_for_the_ticket() {
    let notes = |effects: &[Effect]| -> Vec<Note> {
        let of = |effect: &Effect| match effect {
            Effect::Note(note) => Some(note.clone()),
            _ => None,
        };
        effects.iter().filter_map(of).collect()
    };
    for role in [Some(Role::Worker), None] {
        let mut scene = Scene::new(2);
        let list = scene.list;
        scene.link(2, RULES_VERSION);
        let ticket = ticket(list, 1);
        let mark = ticket.mark();
        scene.tell(Input::Join(ticket));
        for more in [true, false] {
            // What it says of the role is nothing.
            let (role, statements) = (Role::Maintainer, Vec::new());
            let effects = scene.hear(2, &Control::Joined { list, role, statements, more });
            assert_eq!(notes(&effects), []);
        }
        let mut kept = || notes(&scene.tell(Input::StatementsKept { list, role }));
        assert_eq!(kept(), [], "the first of two parts");
        let why = wire::JoinRefusal::Failed;
        let expected = match role {
            Some(role) => Note::Joined { list, ticket: mark, role },
            None => Note::NotJoined { list, ticket: mark, why },
        };
        assert_eq!(kept(), [expected]);
    }
}

#[test]
fn a_link_that_was_ended_for_a_breach_is_not_listened_to() {
    let mut scene = Scene::new(2);
    scene.link(2, RULES_VERSION);
    let mut garbage = || {
        let (link, lane, bytes) = (LinkId(2), Lane::Control, vec![9; 9].into());
        scene.tell(Input::Frame { link, lane, bytes }).len()
    };
    assert_eq!(garbage(), 2, "it is ended, and that is told");
    assert_eq!((garbage(), garbage()), (0, 0));
    let pull = wire::encode(&wire::Request::Lost { list: scene.list });
    let request = Input::Request { link: LinkId(2), stream: 0, bytes: pull };
    assert!(scene.tell(request).is_empty());
}

#[test]
fn the_store_looks_at_a_bounded_number_of_tickets_and_who_has_a_wrong_one_does_not_stay() {
    let mut scene = Scene::new(1);
    scene.link(2, RULES_VERSION);
    let (list, secret) = (ListId([7; 32]), [1; 32]);
    let is_looked_at =
        |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::Redeem { .. }));
    let join = |scene: &mut Scene, link: u64| {
        is_looked_at(&scene.hear(link, &Control::Join { list, secret }))
    };
    assert_eq!((0..20).filter(|_| join(&mut scene, 2)).count(), 16);
    let others = (3..9).flat_map(|link| [link; 20]);
    for link in 3..9 {
        scene.link(link, RULES_VERSION);
    }
    assert_eq!(others.filter(|link| join(&mut scene, *link)).count(), 64 - 16);
    // While the store looks, it may stay; once it was told, it has as long as anybody.
    let ended = |effects: &[Effect]| {
        effects.iter().any(|effect| matches!(effect, Effect::End { link: LinkId(2), .. }))
    };
    scene.now += Duration::from_secs(20);
    assert!(!ended(&scene.tell(Input::Tick)));
    let outcome = || Err(wire::JoinRefusal::Unknown);
    for _ in 0..16 {
        scene.tell(Input::Redeemed { list, link: LinkId(2), outcome: outcome() });
    }
    scene.link(9, RULES_VERSION);
    assert!(join(&mut scene, 9), "there is room again");
    assert!(ended(&scene.tell(Input::Tick)));
}

mod beats {
    use x0x_tracker::claim::Around;
    use x0x_tracker::claim::beat::{Beat, Kind, SignedBeat, Turn, tag};
    use x0x_tracker::id::{LogId, RecordHash};

    use super::*;
    use crate::hub::BeatCounts;

    const CLAIM: RecordHash = RecordHash([7; 32]);

    fn log(of: u64) -> LogId {
        LogId { agent: agent(of), nonce: [1; 8] }
    }

    fn turn(counter: u64) -> Turn {
        Turn { start: 1, counter }
    }

    fn signed(list: ListId, of: u64, by: u64, counter: u64) -> SignedBeat {
        let (kind, claims) = (Kind::Worked, vec![tag(CLAIM)]);
        let beat = Beat { list, log: log(of), turn: turn(counter), kind, claims };
        SignedBeat::new(&beat, &StandIn::new(by)).unwrap()
    }

    fn frame(list: ListId, of: u64, counter: u64) -> Control {
        Control::Beat { list, beat: signed(list, of, of, counter), is_late: false }
    }

    fn late(list: ListId, of: u64, counter: u64) -> Control {
        Control::Beat { list, beat: signed(list, of, of, counter), is_late: true }
    }

    /// Returns what is said of beats, and on which link.
    fn said(effects: &[Effect]) -> Vec<(u64, Control)> {
        let of = |effect: &Effect| match effect {
            Effect::Send { link, lane: Lane::Control, frame } => {
                let frame = Control::read(frame).unwrap();
                let is_it = matches!(
                    frame,
                    Control::Beat { .. } | Control::BeatDigest { .. } | Control::BeatsHeld { .. }
                );
                is_it.then_some((link.0, frame))
            }
            _ => None,
        };
        effects.iter().filter_map(of).collect()
    }

    fn heard(effects: &[Effect]) -> usize {
        effects.iter().filter(|effect| matches!(effect, Effect::Hear { .. })).count()
    }

    fn is_breach(effects: &[Effect]) -> bool {
        let ended = |effect: &Effect| matches!(effect, Effect::End { why: Farewell::Breach, .. });
        effects.iter().any(ended)
    }

    #[test]
    fn what_is_news_is_noted_and_passed_on_once_and_to_nobody_who_has_it() {
        let mut scene = Scene::new(5);
        let list = scene.list;
        (2..=4).for_each(|member| drop(scene.link(member, RULES_VERSION)));
        let effects = scene.hear(2, &frame(list, 4, 1));
        assert_eq!((heard(&effects), said(&effects)), (1, vec![(3, frame(list, 4, 1))]));
        // The same from another, and an older one: nothing.
        for counter in [1, 0] {
            let effects = scene.hear(3, &frame(list, 4, counter));
            assert_eq!((heard(&effects), said(&effects)), (0, Vec::new()));
        }
        let counts = scene.hub.beat_counts(list).unwrap();
        assert_eq!(counts, BeatCounts { taken: 1, old: 1, ..BeatCounts::default() });
    }

    #[test]
    fn a_forged_beat_ends_the_link_and_one_of_who_may_not_work_is_counted_alone() {
        let mut scene = Scene::new(4);
        let list = scene.list;
        (2..=3).for_each(|member| drop(scene.link(member, RULES_VERSION)));
        let of = |beat: SignedBeat| Control::Beat { list, beat, is_late: false };
        let foreign =
            [signed(list, 77, 77, 1), signed(ListId([9; 32]), 4, 4, 1), signed(list, US, US, 1)];
        for beat in foreign {
            let effects = scene.hear(2, &of(beat));
            assert!(heard(&effects) == 0 && said(&effects).is_empty() && !is_breach(&effects));
        }
        let effects = scene.hear(2, &of(signed(list, 4, 3, 1)));
        assert!(heard(&effects) == 0 && is_breach(&effects));
        let counts = scene.hub.beat_counts(list).unwrap();
        assert_eq!(counts, BeatCounts { foreign: 3, forged: 1, ..BeatCounts::default() });
    }

    #[test]
    fn a_flood_of_beats_is_let_through_at_a_bounded_pace() {
        let mut scene = Scene::new(3);
        let list = scene.list;
        scene.link(2, RULES_VERSION);
        let mut taken = 0;
        for counter in 1..200 {
            taken += heard(&scene.hear(2, &frame(list, 2, counter)));
        }
        let counts = scene.hub.beat_counts(list).unwrap();
        assert_eq!((counts.taken, counts.surplus), (16, 183));
        assert_eq!(taken, 16);
        scene.now += Duration::from_secs(1);
        assert_eq!(heard(&scene.hear(2, &frame(list, 2, 500))), 1);
    }

    #[test]
    fn own_claims_are_beaten_for_at_once_and_then_four_times_in_the_shortest_life() {
        let mut scene = Scene::new(3);
        let list = scene.list;
        scene.link(2, RULES_VERSION);
        let asked = |scene: &mut Scene, ttl_s: u64| {
            let claims = vec![(CLAIM, Duration::from_secs(ttl_s))];
            scene.tell(Input::Beaten { list, claims })
        };
        let beats = |effects: &[Effect]| {
            effects.iter().filter(|effect| matches!(effect, Effect::Beat { .. })).count()
        };
        assert_eq!(beats(&asked(&mut scene, 60)), 1);
        assert_eq!(beats(&asked(&mut scene, 60)), 0, "the next is not due");
        scene.now += Duration::from_secs(14);
        assert_eq!(beats(&scene.tell(Input::Tick)), 0);
        scene.now += Duration::from_secs(1);
        assert!(scene.hub.deadline().unwrap() <= scene.now);
        assert_eq!(beats(&scene.tell(Input::Tick)), 1);
        scene.now += Duration::from_secs(100);
        assert_eq!(beats(&scene.tell(Input::Tick)), 0, "nobody asked since");
        let effects = scene.tell(Input::Beat { list, beat: signed(list, US, US, 1) });
        assert_eq!(said(&effects), [(2, frame(list, US, 1))]);
    }

    /// Looks around at a time of the machine's; returns what is seen then.
    fn looked(scene: &mut Scene, uptime_ms: u64) -> Arc<Around> {
        scene.now = Duration::from_millis(uptime_ms);
        let effects = scene.tell(Input::Look { uptime_ms, wall_ms: START.0 });
        let around = effects.into_iter().rev().find_map(|effect| match effect {
            Effect::Around { around, .. } => Some(around),
            _ => None,
        });
        around.unwrap()
    }

    #[test]
    fn a_frame_that_is_passed_on_late_makes_nobody_heard_and_shows_what_was_missed() {
        let mut scene = Scene::new(5);
        let list = scene.list;
        looked(&mut scene, 100_000);
        (2..=3).for_each(|member| drop(scene.link(member, RULES_VERSION)));
        let heard_at = |around: &Around| around.heard.get(&agent(4)).copied();
        let effects = scene.hear(2, &late(list, 4, 7));
        assert_eq!(heard(&effects), 1);
        assert_eq!(said(&effects), [(3, late(list, 4, 7))], "whoever gets it from here is told so");
        let around = looked(&mut scene, 100_100);
        assert_eq!(heard_at(&around), None);
        // How long nothing was heard of it before, nobody knows.
        let away = |around: &Around| {
            let returns = around.returns_of.get(&agent(4)).into_iter();
            returns.flat_map(|all| all.iter()).map(|back| back.away_ms).collect::<Vec<_>>()
        };
        assert_eq!(away(&around), [u64::MAX]);
        // What goes on coming says that it is there, and where nothing is left out, that nothing was missed.
        assert_eq!(heard(&scene.hear(2, &frame(list, 4, 8))), 1);
        let around = looked(&mut scene, 100_200);
        assert_eq!((heard_at(&around), away(&around)), (Some(100_100), vec![u64::MAX]));
        looked(&mut scene, 130_000);
        scene.hear(2, &frame(list, 4, 10));
        assert_eq!(away(&looked(&mut scene, 130_100)), [u64::MAX, 29_900]);
    }

    #[test]
    fn a_holder_that_is_heard_late_alone_is_waited_for_as_long_as_it_says_something() {
        let hour = 3_600_000;
        let mut scene = Scene::new(5);
        let list = scene.list;
        let mut now_ms = 100_000;
        let mut pass = |scene: &mut Scene, ms: u64| {
            let mut last = None;
            for _ in 0..ms / 1_000 {
                now_ms += 1_000;
                last = Some(looked(scene, now_ms));
            }
            let now = x0x_tracker::claim::Uptime { ms: now_ms, ..Default::default() };
            last.unwrap().settles_in_ms(agent(4), hour, None, now)
        };
        pass(&mut scene, 1_000);
        scene.link(2, RULES_VERSION);
        scene.hear(2, &Control::BeatsHeld { list, held: Vec::new(), wants_answer: false });
        scene.hear(2, &frame(list, 4, 1));
        // Each of its frames is shown by somebody a little after it was made, and none comes on time.
        for quarter in 1..12 {
            let settles = pass(&mut scene, hour / 4 + 30_000);
            // Before that its claims are young anyway.
            assert!(quarter < 4 || settles > 0, "{quarter}");
            scene.hear(2, &late(list, 4, quarter + 1));
        }
        assert!(pass(&mut scene, hour / 2 - 1_000) > 0);
        assert!(pass(&mut scene, 2_000) == 0, "it is gone");
    }

    #[test]
    fn a_frame_that_was_known_late_and_comes_on_time_is_heard_then() {
        let mut scene = Scene::new(5);
        let list = scene.list;
        (2..=3).for_each(|member| drop(scene.link(member, RULES_VERSION)));
        assert_eq!(heard(&scene.hear(2, &late(list, 4, 7))), 1);
        let effects = scene.hear(3, &frame(list, 4, 7));
        assert_eq!(heard(&effects), 1);
        assert_eq!(said(&effects), [(2, frame(list, 4, 7))]);
        for again in [frame(list, 4, 7), late(list, 4, 7)] {
            assert_eq!(heard(&scene.hear(2, &again)), 0);
        }
    }

    #[test]
    fn made_up_frames_take_nothing_of_the_room_of_whom_they_name() {
        let mut scene = Scene::new(5);
        let list = scene.list;
        (2..=3).for_each(|member| drop(scene.link(member, RULES_VERSION)));
        for counter in 100..200 {
            let beat = signed(list, 4, 2, counter);
            scene.hear(2, &Control::Beat { list, beat, is_late: false });
        }
        assert_eq!(heard(&scene.hear(3, &frame(list, 4, 1))), 1);
    }

    #[test]
    fn whoever_shows_its_own_frame_is_there_however_old_that_is() {
        let mut scene = Scene::new(3);
        let list = scene.list;
        looked(&mut scene, 100_000);
        scene.link(2, RULES_VERSION);
        scene.hear(2, &late(list, 2, 7));
        assert_eq!(looked(&mut scene, 100_100).heard.get(&agent(2)), Some(&100_100));
    }

    #[test]
    fn whoever_comes_back_is_asked_for_the_beats_that_it_heard() {
        let mut scene = Scene::new(3);
        let list = scene.list;
        looked(&mut scene, 100_000);
        scene.link(2, RULES_VERSION);
        let hash = scene.hub.lists[&list].replica.standing().digest(list);
        let digest = Control::Digest(wire::Digest { list, hash, wants_answer: false });
        let asks = Control::BeatsHeld { list, held: Vec::new(), wants_answer: true };
        assert_eq!(said(&scene.hear(2, &digest)), [(2, asks)]);
        assert!(looked(&mut scene, 100_100).is_comparing);
        let told = Control::BeatsHeld { list, held: Vec::new(), wants_answer: false };
        scene.hear(2, &told);
        assert!(!looked(&mut scene, 100_200).is_comparing);
        assert_eq!(said(&scene.hear(2, &digest)), [], "it told them");
    }

    #[test]
    fn two_that_were_cut_off_find_what_each_has_newer() {
        let mut scene = Scene::new(5);
        let list = scene.list;
        scene.link(2, RULES_VERSION);
        scene.hear(2, &frame(list, 4, 3));
        scene.hear(2, &frame(list, 5, 3));
        // A new neighbour is told in one word; who knows the same says nothing.
        let told = said(&scene.link(3, RULES_VERSION));
        let [(3, Control::BeatDigest { hash, .. })] = told[..] else { panic!("{told:?}") };
        assert_eq!(said(&scene.hear(3, &Control::BeatDigest { list, hash })), []);
        let held: Vec<_> = [4, 5].map(|of| ((log(of), Kind::Worked), turn(3))).to_vec();
        let answer = |wants_answer| Control::BeatsHeld { list, held: held.clone(), wants_answer };
        let other = Control::BeatDigest { list, hash: [0; 32] };
        assert_eq!(said(&scene.hear(3, &other)), [(3, answer(true))]);
        // It lacks one, has an older one, and asks back.
        let theirs = Control::BeatsHeld {
            list,
            held: vec![((log(4), Kind::Worked), turn(1))],
            wants_answer: true,
        };
        let shown = said(&scene.hear(3, &theirs));
        assert_eq!(shown, [(3, late(list, 4, 3)), (3, late(list, 5, 3)), (3, answer(false))]);
        let level = Control::BeatsHeld { list, held: held.clone(), wants_answer: false };
        assert_eq!(said(&scene.hear(3, &level)), [], "it comes to an end");
    }
}
