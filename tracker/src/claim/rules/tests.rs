use super::super::record::How;
use super::*;
use crate::testing::claims::{ISSUE, Scene, TTL_MS, agent};

/// The slate of every scene here.
fn slate() -> [AgentId; 3] {
    [0, 1, 2].map(agent)
}

fn ask(scene: &Scene, by: u8, sight: &Sight) -> Result<Origin, Refusal> {
    may_claim(&scene.tree(), &slate(), agent(by), Some(Role::Worker), sight)
}

/// Up to date, a member of the slate is online, and nothing was watched for long.
const BUSY: Sight = Sight {
    silent_ms: Some(0),
    is_holder_out: false,
    unheld_ms: 0,
    slate_online: true,
    settles_in_ms: 0,
};

fn silent_for(silent_ms: u64) -> Sight {
    Sight { silent_ms: Some(silent_ms), ..BUSY }
}

#[test]
fn a_slate_member_claims_an_unheld_issue_at_once() {
    for by in 0..3 {
        assert_eq!(ask(&Scene::new(), by, &BUSY), Ok(Origin::First));
    }
}

#[test]
fn another_worker_claims_at_once_when_no_slate_member_is_online() {
    let sight = Sight { slate_online: false, ..BUSY };
    assert_eq!(ask(&Scene::new(), 7, &sight), Ok(Origin::First));
    assert_eq!(ask(&Scene::new(), 7, &Sight::alone(None)), Ok(Origin::First));
}

#[test]
fn another_worker_waits_for_the_slate_until_it_had_its_time() {
    let after = |unheld_ms| ask(&Scene::new(), 7, &Sight { unheld_ms, ..BUSY });
    let Err(Refusal::SlateFirst { retry_after_ms }) = after(0) else { panic!("it did not wait") };
    assert!((OPEN_AFTER_MS..OPEN_AFTER_MS + OPEN_SPREAD_MS).contains(&retry_after_ms));
    assert_eq!(after(retry_after_ms - 1), Err(Refusal::SlateFirst { retry_after_ms: 1 }));
    assert_eq!(after(retry_after_ms), Ok(Origin::First));
}

#[test]
fn those_on_no_slate_begin_each_after_a_while_of_its_own() {
    let opens = |by: u8| opens_in_ms(ISSUE, &slate(), agent(by), &BUSY);
    let takes = |by: u8| takeover_after_ms(TTL_MS, SLOT_OTHER, agent(by), RecordHash([by; 32]));
    let spread =
        |of: &dyn Fn(u8) -> u64| (3..60).map(of).collect::<std::collections::BTreeSet<_>>();
    assert!(spread(&opens).len() > 50 && spread(&takes).len() > 40);
    let parts = TTL_MS / TURN_PARTS;
    assert!(spread(&takes).iter().all(|ms| (3 * TTL_MS..3 * TTL_MS + parts).contains(ms)));
}

#[test]
fn only_members_that_may_work_claim() {
    let as_role = |role| may_claim(&Scene::new().tree(), &slate(), agent(0), role, &BUSY);
    assert_eq!(as_role(None), Err(Refusal::NoWorker));
    assert_eq!(as_role(Some(Role::Reader)), Err(Refusal::NoWorker));
    assert_eq!(as_role(Some(Role::Worker)), Ok(Origin::First));
    assert_eq!(as_role(Some(Role::Maintainer)), Ok(Origin::First));
}

#[test]
fn what_is_over_or_in_review_is_not_claimed_however_silent() {
    let mut scene = Scene::new();
    let first = scene.first(1);
    scene.hand_off(1, first);
    assert_eq!(ask(&scene, 0, &silent_for(u64::MAX)), Err(Refusal::InReview(first)));
    scene.rule(Verdict::Cancelled, &[], None);
    let over = Err(Refusal::Over(Verdict::Cancelled));
    assert_eq!(ask(&scene, 0, &silent_for(u64::MAX)), over);
}

#[test]
fn a_slate_takes_a_stale_claim_over_in_order_an_eighth_of_its_life_apart() {
    let mut scene = Scene::new();
    let claim = scene.first(1);
    for slot in 0..3 {
        let wait_ms = TTL_MS + u64::from(slot) * TTL_MS / 8;
        let refused = |silent_ms, retry_after_ms| {
            let silent_ms = Some(silent_ms);
            Err(Refusal::Held { claim, silent_ms, retry_after_ms: Some(retry_after_ms) })
        };
        assert_eq!(ask(&scene, slot, &silent_for(0)), refused(0, wait_ms + 1));
        assert_eq!(ask(&scene, slot, &silent_for(wait_ms)), refused(wait_ms, 1));
        let later = silent_for(wait_ms + 1);
        assert_eq!(ask(&scene, slot, &later), Ok(Origin::Takeover(claim)));
    }
}

#[test]
fn anybody_takes_a_claim_over_that_was_silent_for_three_lives() {
    let mut scene = Scene::new();
    let claim = scene.first(1);
    let wait_ms = takeover_after_ms(TTL_MS, SLOT_OTHER, agent(9), claim);
    assert!(wait_ms >= 3 * TTL_MS);
    let silent_ms = Some(wait_ms);
    let refused = Err(Refusal::Held { claim, silent_ms, retry_after_ms: Some(1) });
    assert_eq!(ask(&scene, 9, &silent_for(wait_ms)), refused);
    assert_eq!(ask(&scene, 9, &silent_for(wait_ms + 1)), Ok(Origin::Takeover(claim)));
}

#[test]
fn the_slate_member_who_is_told_when_to_try_again_succeeds_then() {
    let mut scene = Scene::new();
    let claim = scene.first(0);
    for by in [0, 1, 2, 9] {
        for silent_ms in [0, 17, TTL_MS - 1, TTL_MS] {
            let Err(Refusal::Held { retry_after_ms: Some(retry_after_ms), .. }) =
                ask(&scene, by, &silent_for(silent_ms))
            else {
                panic!("taken over too early");
            };
            let then = |ms| ask(&scene, by, &silent_for(silent_ms + ms));
            assert_eq!(then(retry_after_ms), Ok(Origin::Takeover(claim)));
            assert!(then(retry_after_ms - 1).is_err(), "a millisecond earlier");
        }
    }
}

#[test]
fn a_claim_is_judged_by_its_own_time_to_live() {
    let mut scene = Scene::new();
    let mut short = scene.new_claim(Origin::First);
    short.ttl_ms = 8_000;
    let claim = scene.add(1, crate::claim::Act::Claim(short));
    assert_eq!(ask(&scene, 2, &silent_for(10_001)), Ok(Origin::Takeover(claim)));
    assert!(ask(&scene, 2, &silent_for(10_000)).is_err());
    let tree = scene.tree();
    assert!(!is_lapsed(&tree, claim, 8_000) && is_lapsed(&tree, claim, 8_001));
}

#[test]
fn a_node_that_is_not_up_to_date_takes_nothing_over() {
    let mut scene = Scene::new();
    let claim = scene.first(1);
    let sight = Sight { settles_in_ms: 77, ..silent_for(u64::MAX) };
    let silent_ms = Some(u64::MAX);
    let refused = Err(Refusal::Held { claim, silent_ms, retry_after_ms: Some(77) });
    assert_eq!(ask(&scene, 0, &sight), refused);
}

#[test]
fn the_claim_of_an_agent_that_may_work_no_more_waits_for_nobody() {
    let mut scene = Scene::new();
    let claim = scene.first(1);
    for silent_ms in [None, Some(0)] {
        let sight = Sight { is_holder_out: true, settles_in_ms: 9, silent_ms, ..BUSY };
        for by in [0, 2, 9] {
            assert_eq!(ask(&scene, by, &sight), Ok(Origin::Takeover(claim)));
        }
    }
}

#[test]
fn a_claim_that_nobody_here_watches_is_not_taken_over() {
    let mut scene = Scene::new();
    let claim = scene.first(1);
    let refused = Err(Refusal::Held { claim, silent_ms: None, retry_after_ms: None });
    assert_eq!(ask(&scene, 0, &Sight::alone(None)), refused);
}

#[test]
fn a_primary_that_knows_of_a_live_claim_is_refused_like_anyone() {
    let mut scene = Scene::new();
    let claim = scene.first(2);
    for by in [0, 1, 9] {
        let Err(Refusal::Held { claim: held, .. }) = ask(&scene, by, &silent_for(1)) else {
            panic!("a live claim was taken over");
        };
        assert_eq!(held, claim);
    }
}

#[test]
fn a_claim_starts_from_the_end_of_the_last_one_or_from_the_reopen() {
    let mut scene = Scene::new();
    let claim = scene.first(1);
    let mut released = scene.clone();
    let end = released.release(1, claim);
    assert_eq!(ask(&released, 0, &BUSY), Ok(Origin::After { claim, end }));
    let handoff = scene.hand_off(1, claim);
    let end = scene.reopen(&[handoff]);
    assert_eq!(ask(&scene, 0, &BUSY), Ok(Origin::After { claim, end }));
}

#[test]
fn the_slate_comes_first_after_an_end_as_well() {
    let mut scene = Scene::new();
    let claim = scene.first(1);
    scene.release(1, claim);
    assert!(matches!(ask(&scene, 9, &BUSY), Err(Refusal::SlateFirst { .. })));
}

#[test]
fn the_longest_life_does_not_overflow() {
    use super::super::record::TTL_MS_MAX;
    let after_ms = |ttl_ms, slot| takeover_after_ms(ttl_ms, slot, agent(1), RecordHash([1; 32]));
    assert_eq!(after_ms(TTL_MS_MAX, SLOT_OTHER) / TTL_MS_MAX, 3);
    assert_eq!(after_ms(TTL_MS_MAX, u8::MAX) / TTL_MS_MAX, 3);
    assert_eq!(after_ms(7, 2), 7, "a life too short to be divided");
}

#[test]
fn the_holder_holds_and_what_was_never_made_is_unknown() {
    let mut scene = Scene::new();
    let claim = scene.first(1);
    assert_eq!(fate(&scene.tree(), claim), Fate::Holds);
    assert_eq!(fate(&scene.tree(), scene.shard), Fate::Unknown);
    assert_eq!(fate(&Scene::new().tree(), claim), Fate::Unknown);
}

#[test]
fn a_claim_that_was_taken_over_has_lost_even_to_one_that_is_over() {
    let mut scene = Scene::new();
    let claim = scene.first(1);
    let taken = scene.take_over(0, claim);
    assert_eq!(fate(&scene.tree(), claim), Fate::Lost(taken));
    assert_eq!(fate(&scene.tree(), taken), Fate::Holds);
    scene.release(0, taken);
    assert_eq!(fate(&scene.tree(), claim), Fate::Lost(taken));
    scene.end(1, claim, How::Abandoned { to: taken });
    assert_eq!(fate(&scene.tree(), claim), Fate::Ended);
}

#[test]
fn a_live_claim_beside_a_handoff_has_lost_to_it() {
    let mut scene = Scene::new();
    let claim = scene.first(0);
    let rival = scene.first(1);
    let handoff = scene.hand_off(1, rival);
    assert_eq!(fate(&scene.tree(), claim), Fate::Lost(rival));
    assert_eq!(fate(&scene.tree(), rival), Fate::HandedOff);
    scene.reopen(&[handoff]);
    assert_eq!(fate(&scene.tree(), rival), Fate::Ended);
}

#[test]
fn a_contest_gives_the_claim_back() {
    let mut scene = Scene::new();
    let claim = scene.first(1);
    let taken = scene.take_over(0, claim);
    scene.contest(1, taken);
    assert_eq!(fate(&scene.tree(), claim), Fate::Holds);
    assert_eq!(fate(&scene.tree(), taken), Fate::Lost(claim));
}

#[test]
fn released_and_forced_claims_are_over() {
    for how in [How::Released, How::Forced] {
        let mut scene = Scene::new();
        let claim = scene.first(0);
        scene.end(0, claim, how);
        assert_eq!(fate(&scene.tree(), claim), Fate::Ended);
    }
}

#[test]
fn a_ruling_is_told_to_the_holder_of_a_claim_that_it_did_not_name() {
    let mut scene = Scene::new();
    let claim = scene.first(0);
    scene.rule(Verdict::Done, &[], None);
    assert_eq!(fate(&scene.tree(), claim), Fate::Over(Verdict::Done));
    let mut named = Scene::new();
    let claim = named.first(0);
    named.rule(Verdict::Done, &[], Some(claim));
    assert_eq!(fate(&named.tree(), claim), Fate::Ended);
}
