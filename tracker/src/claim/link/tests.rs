use super::super::record::Verdict;
use super::super::rules::{Sight, may_claim};
use super::*;
use crate::journal::charter::Role;
use crate::testing::claims::{ISSUE, Scene, agent, record, shard};

/// Checks what a deed adds to a scene against what was there before it.
fn outcome(scene: &Scene, deed: impl FnOnce(&mut Scene)) -> Result<(), &'static str> {
    let (known, count) = (scene.tree(), scene.records.len());
    let mut scene = scene.clone();
    deed(&mut scene);
    assert!(scene.records.len() > count, "the deed is there already");
    check(ISSUE, &known, &scene.records[count..])
}

#[test]
fn a_first_claim_comes_together_with_its_shard_record() {
    let mut scene = Scene::new();
    scene.records.clear();
    assert_eq!(
        outcome(&scene, |scene| {
            scene.add(0, Act::Shard(shard(0, &[0, 1, 2])));
            scene.first(1);
        }),
        Ok(())
    );
    let alone = outcome(&scene, |scene| {
        scene.first(1);
    });
    assert_eq!(alone, Err("its claim names no shard record"));
}

#[test]
fn the_order_among_records_that_were_written_together_does_not_matter() {
    let mut scene = Scene::new();
    scene.first(1);
    let mut together = scene.records.clone();
    together.reverse();
    assert_eq!(check(ISSUE, &Tree::of(ISSUE, []), &together), Ok(()));
}

#[test]
fn a_shard_record_is_of_the_next_epoch() {
    let wrong = Err("its shard record is not of the next epoch");
    let scene = Scene::new();
    let draw = |epoch, considered: &[u8]| {
        let drawn = shard(epoch, considered);
        outcome(&scene, |scene| {
            scene.add(0, Act::Shard(drawn));
        })
    };
    assert_eq!(draw(1, &[2]), Ok(()));
    assert_eq!((draw(0, &[2]), draw(2, &[2])), (wrong, wrong));
    let both = outcome(&scene, |scene| {
        scene.add(0, Act::Shard(shard(1, &[2])));
        scene.add(0, Act::Shard(shard(1, &[1])));
    });
    assert_eq!(both, wrong);
    let nothing = Tree::of(ISSUE, []);
    let later = check(ISSUE, &nothing, &[record(0, Act::Shard(shard(1, &[2])))]);
    assert_eq!(later, wrong);
}

#[test]
fn an_epoch_that_cannot_be_counted_further_is_the_last() {
    let mut scene = Scene::new();
    scene.add(0, Act::Shard(shard(u32::MAX, &[1])));
    let next = outcome(&scene, |scene| {
        scene.add(0, Act::Shard(shard(0, &[2])));
    });
    assert_eq!(next, Err("its shard record is not of the next epoch"));
}

#[test]
fn a_claim_names_a_shard_record() {
    let mut scene = Scene::new();
    let first = scene.first(0);
    scene.release(0, first);
    scene.shard = first;
    let end = scene.tree().end_of(first).unwrap();
    let after = outcome(&scene, |scene| {
        scene.claim(1, Origin::After { claim: first, end });
    });
    assert_eq!(after, Err("its claim names no shard record"));
}

#[test]
fn a_claim_names_the_shard_record_that_counts() {
    let mut scene = Scene::new();
    let old = scene.shard;
    let new = scene.add(0, Act::Shard(shard(1, &[2])));
    let first = |named| {
        outcome(&scene, |scene| {
            scene.shard = named;
            scene.first(1);
        })
    };
    assert_eq!(first(old), Err("its claim names a shard record that does not count"));
    assert_eq!(first(new), Ok(()));
}

const WRONG_ORIGIN: Result<(), &str> = Err("its claim does not start from what its author knew");

#[test]
fn a_claim_of_a_held_issue_takes_its_holder_over() {
    let mut scene = Scene::new();
    let first = scene.first(1);
    let taken = scene.take_over(2, first);
    let of = |origin| {
        outcome(&scene, |scene| {
            scene.claim(0, origin);
        })
    };
    assert_eq!(of(Origin::Takeover(taken)), Ok(()));
    assert_eq!(of(Origin::Takeover(first)), WRONG_ORIGIN, "a claim that was taken over already");
    assert_eq!(of(Origin::First), WRONG_ORIGIN);
    assert_eq!(of(Origin::After { claim: taken, end: first }), WRONG_ORIGIN);
}

#[test]
fn a_first_claim_is_made_where_none_is_known() {
    let mut scene = Scene::new();
    let first = |scene: &Scene| {
        outcome(scene, |scene| {
            scene.first(1);
        })
    };
    assert_eq!(first(&scene), Ok(()));
    let made = scene.first(0);
    assert_eq!(first(&scene), WRONG_ORIGIN);
    scene.release(0, made);
    assert_eq!(first(&scene), WRONG_ORIGIN);
}

#[test]
fn a_claim_of_an_open_issue_starts_from_the_end_of_its_winner() {
    let mut scene = Scene::new();
    let loser = scene.first(1);
    let loser_end = scene.release(1, loser);
    let first = scene.first(0);
    let end = scene.release(0, first);
    let of = |origin| {
        outcome(&scene, |scene| {
            scene.claim(2, origin);
        })
    };
    assert_eq!(of(Origin::After { claim: first, end }), Ok(()));
    assert_eq!(of(Origin::After { claim: loser, end: loser_end }), WRONG_ORIGIN);
    assert_eq!(of(Origin::After { claim: first, end: loser_end }), WRONG_ORIGIN);
    assert_eq!(of(Origin::After { claim: first, end: first }), WRONG_ORIGIN);
    assert_eq!(of(Origin::Takeover(first)), WRONG_ORIGIN, "what is over is not taken over");
}

#[test]
fn a_claim_of_a_reopened_issue_starts_from_the_reopen() {
    let mut scene = Scene::new();
    let first = scene.first(0);
    let handoff = scene.hand_off(0, first);
    let reopen = scene.reopen(&[handoff]);
    let after = outcome(&scene, |scene| {
        scene.claim(1, Origin::After { claim: first, end: reopen });
    });
    assert_eq!(after, Ok(()));
}

#[test]
fn what_is_over_or_handed_off_is_not_claimed() {
    let wrong = Err("it claims what is over or handed off");
    let mut scene = Scene::new();
    let first = scene.first(0);
    let mut ruled = scene.clone();
    ruled.rule(Verdict::Done, &[], None);
    let taken = outcome(&ruled, |scene| {
        scene.take_over(1, first);
    });
    assert_eq!(taken, wrong);
    let handoff = scene.hand_off(0, first);
    let after = outcome(&scene, |scene| {
        scene.claim(1, Origin::After { claim: first, end: handoff });
    });
    assert_eq!(after, wrong);
}

#[test]
fn one_act_may_end_a_claim_and_make_the_next() {
    let mut scene = Scene::new();
    let first = scene.first(0);
    let both = outcome(&scene, |scene| {
        let end = scene.release(0, first);
        scene.claim(0, Origin::After { claim: first, end });
    });
    assert_eq!(both, Ok(()));
    let twice = outcome(&scene, |scene| {
        scene.take_over(1, first);
        scene.take_over(1, first);
    });
    assert_eq!(twice, WRONG_ORIGIN, "two claims of one act would be rivals of each other");
}

#[test]
fn an_end_names_a_claim() {
    let scene = Scene::new();
    for how in [How::Released, How::Forced, How::HandedOff("{}".to_owned())] {
        let shard = scene.shard;
        let end = outcome(&scene, |scene| {
            scene.end(0, shard, how);
        });
        assert_eq!(end, Err("it ends what is no claim"));
    }
}

#[test]
fn only_a_forced_end_is_of_another_agents_claim() {
    let mut scene = Scene::new();
    let first = scene.first(1);
    let taken = scene.take_over(2, first);
    let of = |by, how| {
        outcome(&scene, |scene| {
            scene.end(by, first, how);
        })
    };
    let wrong = Err("it ends another agent's claim");
    assert_eq!(of(2, How::Released), wrong);
    assert_eq!(of(2, How::HandedOff("{}".to_owned())), wrong);
    assert_eq!(of(2, How::Abandoned { to: taken }), wrong);
    assert_eq!((of(0, How::Forced), of(1, How::Released)), (Ok(()), Ok(())));
}

#[test]
fn a_claim_is_handed_off_while_it_holds_the_issue_as_its_holder_knows_it() {
    let mut scene = Scene::new();
    let first = scene.first(1);
    let handoff = |scene: &Scene, by, claim| {
        outcome(scene, |scene| {
            scene.hand_off(by, claim);
        })
    };
    assert_eq!(handoff(&scene, 1, first), Ok(()));
    let taken = scene.take_over(2, first);
    let lost = Err("it hands off a claim that did not hold the issue");
    assert_eq!((handoff(&scene, 1, first), handoff(&scene, 2, taken)), (lost, Ok(())));
    let mut ruled = scene.clone();
    ruled.rule(Verdict::Done, &[], None);
    assert_eq!(handoff(&ruled, 2, taken), lost);
    let released = outcome(&scene, |scene| {
        scene.release(1, first);
    });
    assert_eq!(released, Ok(()), "what was lost may be given up");
}

#[test]
fn a_claim_is_abandoned_to_another_one() {
    let mut scene = Scene::new();
    let first = scene.first(1);
    let taken = scene.take_over(2, first);
    let to = |to| {
        outcome(&scene, |scene| {
            scene.end(1, first, How::Abandoned { to });
        })
    };
    let wrong = Err("it abandons a claim to what is no other claim");
    assert_eq!(to(taken), Ok(()));
    assert_eq!((to(first), to(scene.shard)), (wrong, wrong));
}

#[test]
fn what_is_over_is_not_ended_again() {
    let wrong = Err("it ends a claim that is over");
    let mut scene = Scene::new();
    let first = scene.first(1);
    let both = outcome(&scene, |scene| {
        scene.release(1, first);
        scene.hand_off(1, first);
    });
    assert_eq!(both, wrong);
    scene.release(1, first);
    for how in [How::HandedOff("{}".to_owned()), How::Forced] {
        let end = outcome(&scene, |scene| {
            scene.end(1, first, how);
        });
        assert_eq!(end, wrong);
    }
}

#[test]
fn a_contest_names_a_takeover_of_ones_own_claim() {
    let mut scene = Scene::new();
    let first = scene.first(0);
    let taken = scene.take_over(1, first);
    let end = scene.release(1, taken);
    let after = scene.claim(2, Origin::After { claim: taken, end });
    let of = |by, takeover| {
        outcome(&scene, |scene| {
            scene.contest(by, takeover);
        })
    };
    let no_takeover = Err("it contests what is no takeover");
    assert_eq!(of(0, taken), Ok(()));
    assert_eq!([of(0, first), of(1, after), of(1, end)], [no_takeover; 3]);
    let of_another = Err("it contests a takeover of another agent's claim");
    assert_eq!([of(1, taken), of(2, taken)], [of_another; 2]);
}

/// Returns a record that differs from others only in its time.
fn at(by: u8, ms: i64, act: Act) -> Record {
    let record = record(by, act);
    Record { at: crate::timestamp::Timestamp(record.at.0 + ms), ..record }
}

#[test]
fn a_takeover_is_contested_once() {
    let mut scene = Scene::new();
    let first = scene.first(0);
    let takeover = scene.take_over(1, first);
    let contests = |count: i64| -> Vec<Record> {
        (0..count).map(|n| at(0, n, Act::Contest { takeover })).collect()
    };
    let again = Err("it contests what is contested already");
    assert_eq!(check(ISSUE, &scene.tree(), &contests(1)), Ok(()));
    assert_eq!(check(ISSUE, &scene.tree(), &contests(2)), again);
    scene.contest(0, takeover);
    assert_eq!(check(ISSUE, &scene.tree(), &contests(2)[1..]), again);
}

#[test]
fn a_change_adds_a_bounded_number_of_records() {
    let mut scene = Scene::new();
    let first = scene.first(0);
    let takeovers: Vec<RecordHash> =
        (0..=CHANGE_RECORDS_MAX).map(|_| scene.take_over(1, first)).collect();
    let contests: Vec<Record> =
        takeovers.iter().map(|takeover| record(0, Act::Contest { takeover: *takeover })).collect();
    let known = scene.tree();
    assert_eq!(check(ISSUE, &known, &contests[1..]), Ok(()));
    assert_eq!(check(ISSUE, &known, &contests), Err("it adds too many records at once"));
}

#[test]
fn a_change_rules_once() {
    let mut scene = Scene::new();
    let ruling = scene.rule(Verdict::Done, &[], None);
    let twice = outcome(&scene, |scene| {
        scene.rule(Verdict::Cancelled, &[ruling], None);
        scene.rule(Verdict::Duplicate, &[ruling], None);
    });
    assert_eq!(twice, Err("it rules twice at once"));
}

#[test]
fn a_reopen_answers_handoffs_and_verdicts() {
    let mut scene = Scene::new();
    let first = scene.first(0);
    let handoff = scene.hand_off(0, first);
    let ruling = scene.rule(Verdict::Done, &[], None);
    let earlier = scene.reopen(&[ruling]);
    let of = |answers: &[RecordHash]| {
        outcome(&scene, |scene| {
            scene.reopen(answers);
        })
    };
    assert_eq!(of(&[handoff, ruling, earlier]), Ok(()));
    let wrong = Err("it reopens what was neither handed off nor ruled");
    assert_eq!([of(&[first]), of(&[handoff, scene.shard])], [wrong; 2]);
    assert_eq!(of(&[RecordHash([0; 32])]), wrong);
    let mut released = Scene::new();
    let first = released.first(0);
    let release = released.release(0, first);
    let reopened = outcome(&released, |scene| {
        scene.reopen(&[release]);
    });
    assert_eq!(reopened, wrong);
}

#[test]
fn a_ruling_answers_verdicts_and_ends_a_live_claim() {
    let mut scene = Scene::new();
    let first = scene.first(1);
    let over = scene.take_over(2, first);
    let handoff = scene.hand_off(2, over);
    let ruling = scene.rule(Verdict::Done, &[], None);
    let of = |answers: &[RecordHash], ends| {
        outcome(&scene, |scene| {
            scene.rule(Verdict::Cancelled, answers, ends);
        })
    };
    assert_eq!(of(&[ruling], Some(first)), Ok(()));
    assert_eq!(of(&[handoff], None), Err("its ruling answers what is no ruling"));
    let not_live = Err("its ruling ends a claim that is not live");
    assert_eq!([of(&[], Some(over)), of(&[], Some(ruling))], [not_live; 2]);
}

/// Returns a scene with a claim that holds the issue, and so many records of workers.
fn crowd(count: usize) -> (Scene, RecordHash) {
    let mut scene = Scene::new();
    let first = scene.first(0);
    let holder = scene.take_over(0, first);
    while scene.records.len() < count {
        let claim = scene.new_claim(Origin::Takeover(holder));
        scene.records.push(record(1, Act::Claim(claim)));
    }
    let known = scene.tree().holder().unwrap();
    (scene, known)
}

const FULL: Result<(), &str> = Err("the issue has more records than it may");

#[test]
fn claims_stop_where_there_is_still_room_to_end_them() {
    let take_over = |count| {
        let (scene, holder) = crowd(count);
        outcome(&scene, |scene| {
            scene.take_over(2, holder);
        })
    };
    assert_eq!(take_over(RECORDS_BEFORE_CLAIM_MAX - 1), Ok(()));
    assert_eq!(take_over(RECORDS_BEFORE_CLAIM_MAX), FULL);
    let end = |count| {
        let (scene, holder) = crowd(count);
        outcome(&scene, |scene| {
            scene.hand_off(1, holder);
        })
    };
    assert_eq!((end(RECORDS_MAX - 1), end(RECORDS_MAX)), (Ok(()), FULL));
}

#[test]
fn a_maintainer_always_has_room_however_many_records_workers_made() {
    let (mut scene, holder) = crowd(RECORDS_MAX + 9);
    let forced = outcome(&scene, |scene| {
        scene.end(0, holder, How::Forced);
    });
    let ruled = outcome(&scene, |scene| {
        scene.rule(Verdict::Done, &[], Some(holder));
    });
    assert_eq!((forced, ruled), (Ok(()), Ok(())));
    let mut last = scene.rule(Verdict::Done, &[], None);
    for n in 1..RULINGS_MAX {
        let ruling =
            Ruling { verdict: Verdict::Done, answers: vec![last], ends: None, reason: None };
        last = ruling_at(&mut scene, n as i64, ruling);
    }
    let more = outcome(&scene, |scene| {
        scene.reopen(&[last]);
    });
    assert_eq!(more, FULL);
}

fn ruling_at(scene: &mut Scene, ms: i64, ruling: Ruling) -> RecordHash {
    let record = at(0, ms, Act::Ruling(ruling));
    let hash = record.hash();
    scene.records.push(record);
    hash
}

#[test]
fn what_may_be_claimed_fits_what_is_known() {
    let mut scene = Scene::new();
    let mut claims = vec![scene.first(1)];
    let taken = scene.take_over(2, claims[0]);
    let phases = [
        scene.clone(),
        {
            scene.contest(1, taken);
            scene.clone()
        },
        {
            scene.release(1, claims[0]);
            scene.clone()
        },
        {
            scene.end(0, taken, How::Forced);
            scene.clone()
        },
    ];
    claims.clear();
    for scene in phases {
        let slate = [agent(0), agent(1), agent(2)];
        let sight = Sight::alone(Some(u64::MAX));
        let origin =
            may_claim(&scene.tree(), &slate, agent(0), Some(Role::Worker), &sight).unwrap();
        let claimed = outcome(&scene, |scene| {
            claims.push(scene.claim(0, origin));
        });
        assert_eq!(claimed, Ok(()), "{origin:?}");
    }
}
