use proptest::prelude::*;

use super::super::record::{ANSWERS_MAX, Origin, RECORDS_MAX};
use super::*;
use crate::testing::claims::{ISSUE, Scene, agent, record, shard};

#[test]
fn nobody_holds_an_issue_without_records() {
    let tree = Tree::of(ISSUE, []);
    assert!(tree.is_empty() && tree.claims().next().is_none());
    assert_eq!((tree.winner(), tree.phase(), tree.holder()), (None, Phase::Open, None));
    assert_eq!(Scene::new().tree().phase(), Phase::Open);
}

#[test]
fn a_claim_without_followers_is_what_it_leads_to() {
    let mut scene = Scene::new();
    let first = scene.first(1);
    assert_eq!(scene.tree().phase(), Phase::Held(first));
    scene.release(1, first);
    let tree = scene.tree();
    assert_eq!((tree.winner(), tree.phase()), (Some(first), Phase::Open));
}

#[test]
fn a_standing_handoff_comes_before_a_follower() {
    let mut scene = Scene::new();
    let first = scene.first(0);
    let taken = scene.take_over(1, first);
    assert_eq!(scene.tree().phase(), Phase::Held(taken));
    scene.hand_off(0, first);
    assert_eq!(scene.tree().phase(), Phase::Review(first));
    scene.hand_off(1, taken);
    let tree = scene.tree();
    assert_eq!(tree.phase(), Phase::Review(first), "of two the one nearer to the root is shown");
    assert_eq!(tree.standing_handoffs().len(), 2);
}

#[test]
fn a_reopened_handoff_no_longer_stands() {
    let mut scene = Scene::new();
    let first = scene.first(0);
    let taken = scene.take_over(1, first);
    let handoff = scene.hand_off(0, first);
    scene.reopen(&[handoff]);
    let tree = scene.tree();
    assert_eq!(tree.phase(), Phase::Held(taken));
    assert!(!tree.is_live(first) && !tree.is_handed_off(first));
    assert!(tree.reopened(first).is_some());
}

#[test]
fn each_handoff_of_a_claim_is_reopened_by_itself() {
    let mut scene = Scene::new();
    let first = scene.first(0);
    let one = scene.hand_off(0, first);
    let other = scene.end(0, first, How::HandedOff(r#"{"summary":"again"}"#.to_owned()));
    scene.reopen(&[one]);
    let tree = scene.tree();
    assert_eq!(tree.phase(), Phase::Review(first));
    assert_eq!(tree.handoffs_of(first), [(other, r#"{"summary":"again"}"#)]);
    scene.reopen(&[other]);
    assert_eq!(scene.tree().phase(), Phase::Open);
}

#[test]
fn an_uncontested_takeover_comes_before_a_live_claim() {
    let mut scene = Scene::new();
    let first = scene.first(0);
    let taken = scene.take_over(2, first);
    let again = scene.take_over(1, taken);
    assert_eq!(scene.tree().phase(), Phase::Held(again));
}

#[test]
fn a_claim_that_was_taken_over_does_not_come_back_when_the_takeover_ends() {
    let mut scene = Scene::new();
    let first = scene.first(0);
    let taken = scene.take_over(1, first);
    scene.release(1, taken);
    let tree = scene.tree();
    assert_eq!((tree.winner(), tree.phase()), (Some(taken), Phase::Open));
    assert!(tree.is_live(first));
}

#[test]
fn a_live_claim_comes_before_a_contested_takeover() {
    let mut scene = Scene::new();
    let first = scene.first(0);
    let taken = scene.take_over(1, first);
    scene.take_over(2, taken);
    scene.contest(0, taken);
    let tree = scene.tree();
    assert!(tree.is_contested(taken));
    assert_eq!(tree.phase(), Phase::Held(first));
}

#[test]
fn a_contested_takeover_that_leads_to_a_standing_handoff_counts() {
    let mut scene = Scene::new();
    let first = scene.first(0);
    let taken = scene.take_over(1, first);
    let again = scene.take_over(2, taken);
    scene.contest(0, taken);
    scene.hand_off(2, again);
    assert_eq!(scene.tree().phase(), Phase::Review(again));
}

#[test]
fn a_contested_takeover_counts_once_the_contesting_claim_is_over() {
    let mut scene = Scene::new();
    let first = scene.first(0);
    let taken = scene.take_over(1, first);
    scene.contest(0, taken);
    scene.release(0, first);
    assert_eq!(scene.tree().phase(), Phase::Held(taken));
}

#[test]
fn an_uncontested_follower_comes_before_a_contested_one_whatever_its_slot() {
    let mut scene = Scene::new();
    let first = scene.first(0);
    let contested = scene.take_over(1, first);
    let silent = scene.take_over(2, first);
    assert_eq!(scene.tree().phase(), Phase::Held(contested));
    scene.contest(0, contested);
    assert_eq!(scene.tree().phase(), Phase::Held(silent));
    scene.release(0, first);
    assert_eq!(scene.tree().phase(), Phase::Held(silent));
}

#[test]
fn of_contested_followers_of_an_ended_claim_the_live_one_counts() {
    let mut scene = Scene::new();
    let first = scene.first(0);
    let ended = scene.take_over(1, first);
    let live = scene.take_over(2, first);
    scene.contest(0, ended);
    scene.contest(0, live);
    scene.release(1, ended);
    scene.release(0, first);
    assert_eq!(scene.tree().phase(), Phase::Held(live));
}

/// Checks that of two rivals in slots 2 and 1, one with something more, the former counts; at the
/// root and below a claim.
fn check_rivals(deed: impl Fn(&mut Scene, RecordHash, u8), expected: fn(RecordHash) -> Phase) {
    let mut scene = Scene::new();
    let (late, early) = (scene.first(2), scene.first(1));
    assert_eq!(scene.tree().phase(), Phase::Held(early));
    deed(&mut scene, late, 2);
    assert_eq!(scene.tree().phase(), expected(late));

    let mut scene = Scene::new();
    let first = scene.first(0);
    let (late, early) = (scene.take_over(2, first), scene.take_over(1, first));
    assert_eq!(scene.tree().phase(), Phase::Held(early));
    deed(&mut scene, late, 2);
    assert_eq!(scene.tree().phase(), expected(late));
}

#[test]
fn of_rivals_a_handoff_comes_first_whatever_its_slot() {
    check_rivals(
        |scene, late, by| {
            scene.hand_off(by, late);
        },
        Phase::Review,
    );
}

#[test]
fn of_rivals_a_live_one_comes_before_an_ended_one() {
    let mut scene = Scene::new();
    let (late, early) = (scene.first(2), scene.first(1));
    scene.release(1, early);
    assert_eq!(scene.tree().phase(), Phase::Held(late));
    scene.release(2, late);
    assert_eq!(scene.tree().winner(), Some(early));
}

#[test]
fn rivals_are_judged_by_what_they_lead_to() {
    let mut scene = Scene::new();
    let (late, early) = (scene.first(2), scene.first(1));
    let deep = scene.take_over(0, late);
    assert_eq!(scene.tree().phase(), Phase::Held(early), "the slot of the rival itself counts");
    let handoff = scene.hand_off(0, deep);
    assert_eq!(scene.tree().phase(), Phase::Review(deep));
    scene.reopen(&[handoff]);
    assert_eq!(scene.tree().phase(), Phase::Held(early));
    scene.release(1, early);
    assert_eq!(scene.tree().winner(), Some(early), "two ended ones, the better slot");
}

#[test]
fn of_equal_slots_the_nearer_agent_counts_and_of_one_agent_the_smaller_hash() {
    let mut scene = Scene::new();
    let far = scene.first(9);
    assert_eq!(scene.tree().slot(far), slate::SLOT_OTHER);
    let near = scene.first(8);
    assert_eq!(scene.tree().phase(), Phase::Held(near));
    for _ in 0..8 {
        scene.first(8);
    }
    let of_near = |tree: &Tree| tree.claims().filter(|claim| *claim != far).min();
    let tree = scene.tree();
    assert_eq!(tree.winner(), of_near(&tree));
}

#[test]
fn a_slot_is_read_in_the_shard_record_that_the_claim_names() {
    let mut scene = Scene::new();
    let first = scene.first(2);
    scene.shard = scene.add(0, Act::Shard(shard(1, &[2])));
    let rival = scene.first(1);
    let drawn_anew = scene.first(2);
    let tree = scene.tree();
    assert_eq!([first, rival, drawn_anew].map(|claim| tree.slot(claim)), [2, 3, 0]);
    assert_eq!(tree.winner(), Some(drawn_anew));
}

#[test]
fn a_claim_that_names_no_shard_record_has_the_last_slot() {
    let mut scene = Scene::new();
    let named = scene.first(2);
    scene.shard = named;
    let unnamed = scene.first(0);
    assert_eq!(scene.tree().slot(unnamed), slate::SLOT_OTHER);
    assert_eq!(scene.tree().winner(), Some(named));
}

#[test]
fn the_highest_epoch_counts_for_new_claims_then_the_smaller_hash() {
    let mut scene = Scene::new();
    assert_eq!(scene.tree().shard().map(|(hash, _)| hash), Some(scene.shard));
    let rivals = [1, 2, 3, 4].map(|by| scene.add(by, Act::Shard(shard(1, &[by]))));
    assert_eq!(scene.tree().shard().map(|(hash, _)| hash), rivals.into_iter().min());
    let newest = scene.add(0, Act::Shard(shard(2, &[0])));
    assert_eq!(scene.tree().shard().map(|(hash, shard)| (hash, shard.epoch)), Some((newest, 2)));
}

#[test]
fn a_handoff_outranks_other_ends_of_its_claim() {
    for how in [How::Released, How::Forced] {
        let mut scene = Scene::new();
        let first = scene.first(0);
        let other = scene.end(0, first, how);
        assert_eq!(scene.tree().end_of(first), Some(other));
        let handoff = scene.hand_off(0, first);
        let tree = scene.tree();
        assert_eq!((tree.end_of(first), tree.phase()), (Some(handoff), Phase::Review(first)));
        assert!(tree.ended_by(first, other) && tree.ended_by(first, handoff));
    }
}

#[test]
fn only_the_holder_and_a_maintainer_end_a_claim() {
    let mut scene = Scene::new();
    let first = scene.first(1);
    let rival = scene.take_over(2, first);
    scene.release(2, first);
    scene.hand_off(0, first);
    scene.end(2, first, How::Abandoned { to: rival });
    let tree = scene.tree();
    assert!(tree.is_live(first) && !tree.is_handed_off(first) && tree.end_of(first).is_none());
    scene.end(0, first, How::Forced);
    assert!(!scene.tree().is_live(first));
}

#[test]
fn a_contest_counts_from_the_holder_of_what_was_taken_over_alone() {
    let mut scene = Scene::new();
    let first = scene.first(0);
    let taken = scene.take_over(1, first);
    let again = scene.take_over(2, taken);
    scene.contest(2, taken);
    scene.contest(0, again);
    assert_eq!(scene.tree().phase(), Phase::Held(again));
    scene.contest(1, again);
    assert_eq!(scene.tree().phase(), Phase::Held(taken));
    scene.contest(0, taken);
    assert_eq!(scene.tree().phase(), Phase::Held(first));
}

#[test]
fn only_a_takeover_is_contested() {
    let mut scene = Scene::new();
    let first = scene.first(0);
    let end = scene.release(0, first);
    let after = scene.claim(1, Origin::After { claim: first, end });
    scene.contest(0, after);
    scene.contest(1, first);
    let tree = scene.tree();
    assert!(!tree.is_contested(after) && !tree.is_contested(first));
    assert_eq!(tree.phase(), Phase::Held(after));
}

#[test]
fn a_terminal_ruling_comes_before_everything() {
    let mut scene = Scene::new();
    let first = scene.first(0);
    scene.hand_off(0, first);
    for verdict in [Verdict::Done, Verdict::Cancelled, Verdict::Duplicate] {
        let mut scene = scene.clone();
        scene.rule(verdict, &[], None);
        assert_eq!(scene.tree().phase(), Phase::Ruled(verdict));
    }
}

#[test]
fn a_ruling_ends_the_claim_that_it_names() {
    let mut scene = Scene::new();
    let first = scene.first(1);
    let ruling = scene.rule(Verdict::Done, &[], Some(first));
    let tree = scene.tree();
    assert!(!tree.is_live(first) && tree.end_of(first) == Some(ruling));
    scene.reopen(&[ruling]);
    assert_eq!(scene.tree().phase(), Phase::Open);
}

#[test]
fn of_unanswered_verdicts_a_terminal_one_comes_first_then_the_smaller_hash() {
    let mut scene = Scene::new();
    let done = scene.rule(Verdict::Done, &[], None);
    let reopen = scene.reopen(&[done]);
    assert_eq!((scene.tree().phase(), scene.tree().verdicts()), (Phase::Open, &[reopen][..]));
    let apart = [Verdict::Cancelled, Verdict::Duplicate].map(|v| (scene.rule(v, &[done], None), v));
    let (first, verdict) = apart.into_iter().min_by_key(|(hash, _)| *hash).unwrap();
    let tree = scene.tree();
    assert_eq!(tree.phase(), Phase::Ruled(verdict));
    assert_eq!((tree.verdicts()[0], tree.verdicts()[2]), (first, reopen));
    let all = tree.verdicts().to_vec();
    scene.reopen(&all);
    assert_eq!(scene.tree().phase(), Phase::Open);
}

#[test]
fn a_reopen_that_answers_one_of_two_rulings_leaves_the_other() {
    let mut scene = Scene::new();
    let done = scene.rule(Verdict::Done, &[], None);
    scene.rule(Verdict::Cancelled, &[], None);
    scene.reopen(&[done]);
    assert_eq!(scene.tree().phase(), Phase::Ruled(Verdict::Cancelled));
}

#[test]
fn a_ruling_answers_no_handoff_so_that_reopening_it_shows_the_handoff_again() {
    let mut scene = Scene::new();
    let first = scene.first(0);
    let handoff = scene.hand_off(0, first);
    let done = scene.rule(Verdict::Done, &[handoff], None);
    scene.reopen(&[done]);
    assert_eq!(scene.tree().phase(), Phase::Review(first));
}

#[test]
fn the_fence_is_the_number_of_claims_from_the_root() {
    let mut scene = Scene::new();
    let first = scene.first(0);
    let taken = scene.take_over(1, first);
    let end = scene.release(1, taken);
    let after = scene.claim(2, Origin::After { claim: taken, end });
    let rival = scene.first(2);
    let tree = scene.tree();
    assert_eq!([first, taken, after, rival].map(|claim| tree.fence(claim)), [1, 2, 3, 1]);
    assert_eq!(tree.fence(end), 0);
}

#[test]
fn a_reunion_may_choose_the_branch_with_the_lower_fence() {
    let mut scene = Scene::new();
    let late = scene.first(1);
    let deep = scene.take_over(2, late);
    assert_eq!((scene.tree().winner(), scene.tree().fence(deep)), (Some(deep), 2));
    let early = scene.first(0);
    assert_eq!((scene.tree().winner(), scene.tree().fence(early)), (Some(early), 1));
}

/// Records that speak of records that are not there: of each kind one.
fn dangling() -> Vec<Record> {
    let nowhere = RecordHash([0; 32]);
    let mut scene = Scene::new();
    let after = scene.claim(0, Origin::After { claim: nowhere, end: nowhere });
    let taken = scene.take_over(0, nowhere);
    scene.take_over(0, taken);
    scene.hand_off(0, taken);
    scene.contest(0, after);
    scene.contest(0, nowhere);
    for how in [How::Released, How::Forced, How::Abandoned { to: nowhere }] {
        scene.end(0, nowhere, how);
    }
    scene.hand_off(0, nowhere);
    scene.reopen(&[nowhere]);
    scene.records
}

/// What somebody did, by numbers that are taken modulo what there is.
#[derive(Clone, Debug)]
struct Deed {
    kind: u8,
    by: u8,
    of: usize,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = (0..10_u8, 0..5_u8, any::<usize>());
    prop::collection::vec(deed.prop_map(|(kind, by, of)| Deed { kind, by, of }), 0..24)
}

/// Returns records that came about in any way, also in ways that nobody may.
fn scene_of(deeds: &[Deed]) -> Scene {
    let mut scene = Scene::new();
    let (mut claims, mut closing) = (vec![scene.first(3)], Vec::new());
    for &Deed { kind, by, of } in deeds {
        let claim = claims[of % claims.len()];
        let holder = scene.tree().claim(claim).map(|(record, _)| record.by);
        let holder = (0..5).find(|number| Some(agent(*number)) == holder).unwrap();
        match kind {
            0 => claims.push(scene.first(by)),
            1..=3 => claims.push(scene.take_over(by, claim)),
            4 => closing.push(scene.hand_off(holder, claim)),
            5 => closing.push(scene.release(holder, claim)),
            6 => {
                scene.contest(by, claim);
            }
            7 => closing.push(scene.rule(Verdict::Done, &[], (by > 2).then_some(claim))),
            8 if !closing.is_empty() => {
                let answered = closing[of % closing.len()];
                closing.push(scene.reopen(&[answered]));
            }
            _ => {
                let end = scene.end(0, claim, How::Forced);
                claims.push(scene.claim(by, Origin::After { claim, end }));
            }
        }
    }
    scene
}

proptest! {
    #[test]
    fn the_order_in_which_records_come_does_not_matter(
        (deeds, seed) in (deeds(), any::<u64>())
    ) {
        let scene = scene_of(&deeds);
        let tree = scene.tree();
        let mut shuffled = scene.records.clone();
        shuffled.sort_by_cached_key(|record| {
            *blake3::keyed_hash(&[seed as u8; 32], &[&record.hash().0[..], &seed.to_le_bytes()].concat())
                .as_bytes()
        });
        let twice = shuffled.iter().chain(&scene.records).cloned();
        prop_assert_eq!(&Tree::of(ISSUE, twice), &tree);
        prop_assert!(tree.winner().is_some());
    }

    #[test]
    fn records_that_speak_of_what_is_not_there_change_nothing(deeds in deeds()) {
        let scene = scene_of(&deeds);
        let tree = scene.tree();
        let more = Tree::of(ISSUE, scene.records.iter().cloned().chain(dangling()));
        prop_assert_eq!((more.phase(), more.winner()), (tree.phase(), tree.winner()));
        prop_assert!(more.claims().eq(tree.claims()));
        for claim in tree.claims() {
            prop_assert_eq!(more.fence(claim), tree.fence(claim));
            prop_assert_eq!(more.is_live(claim), tree.is_live(claim));
            prop_assert_eq!(more.is_contested(claim), tree.is_contested(claim));
            prop_assert_eq!(more.handoffs_of(claim), tree.handoffs_of(claim));
        }
        prop_assert_eq!(more.standing_handoffs(), tree.standing_handoffs());
    }

    #[test]
    fn a_standing_handoff_is_never_hidden(deeds in deeds()) {
        let tree = scene_of(&deeds).tree();
        let is_shown = matches!(tree.phase(), Phase::Review(_) | Phase::Ruled(_));
        prop_assert!(tree.standing_handoffs().is_empty() || is_shown);
    }
}

/// The most records that an issue may have, as claims after a shard record; all of them counted.
fn resolved_at_most(origin: impl Fn(usize, RecordHash) -> Origin) -> Tree {
    let mut scene = Scene::new();
    let mut last = RecordHash([0; 32]);
    for at in 0..RECORDS_MAX - 1 {
        let claim = scene.new_claim(origin(at, last));
        let record = record((at % 5) as u8, Act::Claim(claim));
        last = record.hash();
        scene.records.push(record);
    }
    let tree = scene.tree();
    assert_eq!(tree.claims().count(), RECORDS_MAX - 1);
    tree
}

#[test]
fn a_chain_of_as_many_claims_as_there_may_be_is_resolved_on_a_small_stack() {
    let tree = std::thread::Builder::new()
        .stack_size(256 << 10)
        .spawn(|| {
            resolved_at_most(
                |at, last| if at == 0 { Origin::First } else { Origin::Takeover(last) },
            )
        })
        .unwrap()
        .join()
        .unwrap();
    let winner = tree.winner().unwrap();
    assert_eq!(tree.fence(winner) as usize, RECORDS_MAX - 1);
}

#[test]
fn a_star_of_as_many_rivals_as_there_may_be_is_resolved() {
    let tree = resolved_at_most(|_, _| Origin::First);
    let winner = tree.winner().unwrap();
    assert_eq!((tree.slot(winner), tree.fence(winner)), (0, 1));
}

#[test]
fn records_that_all_answer_the_same_ones_are_resolved() {
    let mut scene = Scene::new();
    let first = scene.first(0);
    let ends: Vec<_> = (0..ANSWERS_MAX)
        .map(|at| {
            record(
                0,
                Act::End(End {
                    claim: first,
                    how: How::HandedOff(format!("{{\"n\":{at}}}")),
                    reason: None,
                    retry_after_ms: None,
                }),
            )
        })
        .collect();
    let mut answers: Vec<_> = ends.iter().map(Record::hash).collect();
    answers.sort_unstable();
    scene.records.extend(ends);
    for by in 0..100 {
        let answers = answers.clone();
        let reopen = super::super::record::Reopen { answers, reason: None };
        scene.records.push(record(by, Act::Reopen(reopen)));
    }
    let tree = scene.tree();
    assert!(tree.standing_handoffs().is_empty());
    assert!(tree.reopened(first).is_some());
    assert_eq!(tree.phase(), Phase::Open);
}
